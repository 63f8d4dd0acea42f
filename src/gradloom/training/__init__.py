"""Training: updates of parameters."""
from .updates import dlupdate, sgdmupdate

__all__ = ["dlupdate", "sgdmupdate"]
