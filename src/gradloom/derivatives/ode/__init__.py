"""Solutions of differential equations, and their adjoints."""
