"""H4: the Laplacian of a wide network with 50 inputs, 50-768-768-512-512-1 with tanh, at 64 points."""
from . import laplacian
from .harness import Benchmark


def benchmark() -> Benchmark:
    return laplacian.benchmark(
        "h4", "Laplacian of a network 50-768-768-512-512-1 with tanh at 64 points, float32.",
        laplacian.Problem((50, 768, 768, 512, 512, 1), (64,), "tanh"), target=1.1, tolerance=1e-3,
        accelerated_target=0.95,
    )
