"""Sparse Jacobians: patterns, colours, and their evaluation."""
