"""Several processes that train together, on one machine or on several."""
from .failing import ProcessFailed
from .group import Group
from .words import combine, share, start

__all__ = ["Group", "ProcessFailed", "combine", "share", "start"]
