"""W4: the Laplacian of a network 32-256-256-256-256-1 with tanh, at 512 points."""
from . import laplacian
from .harness import Benchmark


def benchmark() -> Benchmark:
    return laplacian.benchmark(
        "w4", "Laplacian of a network 32-256-256-256-256-1 with tanh at 512 points, float32.",
        laplacian.Problem((32, 256, 256, 256, 256, 1), (512,), "tanh"), target=0.5, tolerance=1e-3,
        accelerated_target=0.75,
    )
