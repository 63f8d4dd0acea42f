"""Walks over a trace, and the words that take them: gradients, Jacobians and their products."""
