"""Accelerated functions: recorded, and replayed without Python's bookkeeping."""
from .accelerated import AcceleratedFunction
from .words import dlaccelerate

__all__ = ["AcceleratedFunction", "dlaccelerate"]
