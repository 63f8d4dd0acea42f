"""NumPy's functions on dlarrays."""
from . import mathematics, selection, statistics
