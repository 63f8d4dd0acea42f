"""Structured Jacobians: sums of products of factors over named indices."""
from . import acts
