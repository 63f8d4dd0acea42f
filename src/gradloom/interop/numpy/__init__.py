"""NumPy's functions on dlarrays."""
from . import mathematics, padding, reductions, selection, statistics
