"""NumPy's functions on dlarrays."""
from . import mathematics, reductions, selection, statistics
