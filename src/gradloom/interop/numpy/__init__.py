"""NumPy's functions on dlarrays."""
