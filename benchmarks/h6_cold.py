"""H6: the sparse Jacobian of a Brusselator with 1,152 unknowns: its pattern and colouring."""
from . import brusselator
from .harness import Benchmark


def benchmark() -> Benchmark:
    return brusselator.detection("h6_cold", 24)
