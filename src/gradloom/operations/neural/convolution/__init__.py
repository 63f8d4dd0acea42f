"""Convolutions, their transposes, and how they act on structured Jacobians."""
