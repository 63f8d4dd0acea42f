"""Training: updates of parameters."""
from .adaptive import adamupdate, rmspropupdate
from .updates import dlupdate, sgdmupdate

__all__ = ["adamupdate", "dlupdate", "rmspropupdate", "sgdmupdate"]
