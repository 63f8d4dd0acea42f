"""The fully connected layer of complex numbers."""
from __future__ import annotations

import math
from dataclasses import field
from typing import Any, ClassVar

import torch

from ...core.array import dlarray
from ...operations.matrices.affine import fullyconnect
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout
from ..options import check_sizes, merged_size


class ComplexFullyConnected(Layer):
    """Complex weights times the channels of x, plus a complex bias; C and S axes are merged, C first.

    Formula: y[o] = sum over i of weights[o, i] x[i] + bias[o]. weights: (outputs, inputs); bias: (outputs,). An
    initializer draws real and imaginary parts, which are divided by sqrt(2): the variance of a number is as that of a
    real one. The gradient of a real loss is dL/da + i dL/db for a weight a + i b.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.ComplexFullyConnected(2)])
    >>> net.learnables["complexfc", "weights"].dtype
    torch.complex64

    Source: Trabelsi et al. 2018; MATLAB complexFullyConnectedLayer.
    """

    output_size: int
    weights_initializer: Initializer = field(default="glorot", kw_only=True)
    bias_initializer: Initializer = field(default="zeros", kw_only=True)
    weights: Learnable
    bias: Learnable

    matlab: ClassVar[str] = "complexFullyConnectedLayer"
    default_name: ClassVar[str] = "complexfc"

    def __post_init__(self) -> None:
        check_sizes(self, "output_size")

    def initialize(self, layout: Layout) -> None:
        self.weights = _complex(self.weights_initializer, (self.output_size, merged_size(self, layout)))
        self.bias = _complex(self.bias_initializer, (self.output_size,))

    def predict(self, x: Any) -> Any:
        return fullyconnect(x, self.weights, self.bias)


def _complex(initializer: Initializer, shape: tuple[int, ...]) -> Any:
    """Complex numbers whose parts an initializer draws; a function may give complex ones itself."""
    drawn = dlarray(initial(initializer, shape))._value
    if not drawn.is_complex():
        drawn = torch.complex(drawn, dlarray(initial(initializer, shape))._value) / math.sqrt(2)
    return dlarray._made(drawn, None)


__all__ = ["ComplexFullyConnected"]
