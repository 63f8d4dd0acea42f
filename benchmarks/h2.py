"""H2: the Jacobian of a second hidden layer, 12,544 outputs with respect to the 1,248 parameters of both layers (63 MB
dense)."""
from . import hidden_jacobian
from .harness import Benchmark


def benchmark() -> Benchmark:
    return hidden_jacobian.benchmark(
        "h2", "Jacobian of two convolutions 3x3 with relu (1 to 8 to 16 channels) of a 28x28 image: 12,544 by 1,248, "
              "float32.",
        hidden_jacobian.Stack(((1, 8, 3, 1), (8, 16, 3, 1))), nbytes=4 * 12_544 * 1_248, as_block=0.02,
        into_buffer=0.03, accelerated=0.008,
    )
