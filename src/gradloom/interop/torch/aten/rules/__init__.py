"""ATen's operations as functions of dlarrays, one family a file. Importing this package fills the tables."""
from . import factors, groups, matrices, movement, neural, pointwise, sampling
