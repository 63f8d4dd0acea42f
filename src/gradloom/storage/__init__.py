"""Files: any container of arrays, text and numbers as one safetensors file. Nothing in a file is executed."""
from .files import load, save

__all__ = ["load", "save"]
