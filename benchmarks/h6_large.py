"""H6: the sparse Jacobian of a Brusselator with 8,192 unknowns: its evaluation."""
from . import brusselator
from .harness import Benchmark


def benchmark() -> Benchmark:
    return brusselator.evaluation("h6_large", 64)
