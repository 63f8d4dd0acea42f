"""Accelerated functions: recorded, and replayed without Python's bookkeeping."""
from .accelerated import AcceleratedFunction, dlaccelerate

__all__ = ["AcceleratedFunction", "dlaccelerate"]
