"""H1: the Jacobian of a hidden layer, all 11,520 outputs with respect to all 520 parameters before it (24 MB dense)."""
from . import hidden_jacobian
from .harness import Benchmark


def benchmark() -> Benchmark:
    return hidden_jacobian.benchmark(
        "h1", "Jacobian of a convolution 5x5 with relu (1 to 20 channels) of a 28x28 image: 11,520 by 520, float32.",
        hidden_jacobian.Stack(((1, 20, 5, 0),)), nbytes=4 * 11_520 * 520, as_block=0.04, into_buffer=0.08,
        accelerated=0.015,
    )
