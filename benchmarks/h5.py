"""H5: the Laplacian of a sum over 20 x 100 points of 4 coordinates, ten layers of 100 with silu: the points are
independent, which has to be found."""
from . import laplacian
from .harness import Benchmark


def benchmark() -> Benchmark:
    return laplacian.benchmark(
        "h5", "Laplacian with respect to all (20, 100, 4) inputs of the sum of ten layers of 100 with silu, float32. "
              "The rivals for information are told that the points are independent.",
        laplacian.Problem((4, *[100] * 10, 1), (20, 100), "silu", total=True, spread=0.1), target=0.6, tolerance=1e-2,
    )
