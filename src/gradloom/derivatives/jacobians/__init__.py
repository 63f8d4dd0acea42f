"""Jacobian objects: their plans, their parts, and what is asked of them."""
