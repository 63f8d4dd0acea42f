"""H6: the sparse Jacobian of a Brusselator with 1,152 unknowns: its evaluation."""
from . import brusselator
from .harness import Benchmark


def benchmark() -> Benchmark:
    return brusselator.evaluation("h6", 24)
