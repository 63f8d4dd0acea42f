"""Several processes that train together, on one machine or on several."""
from .failing import ProcessFailed
from .group import Group
from .rows import gather_rows, share_rows
from .words import combine, share, start

__all__ = ["Group", "ProcessFailed", "combine", "gather_rows", "share", "share_rows", "start"]
