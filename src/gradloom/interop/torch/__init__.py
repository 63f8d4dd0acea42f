"""Torch: its functions on dlarrays, and its modules as networks."""
from .modules import from_torch

__all__ = ["from_torch"]
