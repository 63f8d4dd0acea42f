"""The fully connected layer."""
from __future__ import annotations

import math
from dataclasses import field
from typing import Any, ClassVar

from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import channel_last_order
from ...operations.matrices.affine import fullyconnect
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout


class FullyConnected(Layer):
    """Weights times the channels of x, plus a bias; C and S axes are merged, C first.

    Formula: y[o] = sum over i of weights[o, i] x[i] + bias[o]. weights: (outputs, inputs); bias: (outputs,).

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    >>> net.learnables["fc", "weights"].shape
    (2, 3)

    Source: MATLAB fullyConnectedLayer.
    """

    output_size: int
    weights_initializer: Initializer = field(default="glorot", kw_only=True)
    bias_initializer: Initializer = field(default="zeros", kw_only=True)
    weights: Learnable
    bias: Learnable

    matlab: ClassVar[str] = "fullyConnectedLayer"
    onnx: ClassVar[str] = "Gemm"
    default_name: ClassVar[str] = "fc"

    def __post_init__(self) -> None:
        if not isinstance(self.output_size, int) or self.output_size < 1:
            raise ShapeError(
                f"FullyConnected's output_size is a positive integer, not {self.output_size!r}, at "
                f"{line_of(user_site())}")

    def initialize(self, layout: Layout) -> None:
        merged = channel_last_order(layout.labels or "")
        if not merged:
            raise ShapeError(f"the layer {self.name!r} (FullyConnected) needs an axis C or S, its input is {layout}; "
                             "label the data, such as \"CB\"")
        self.weights = initial(self.weights_initializer, (self.output_size, math.prod(layout.shape[k] for k in merged)))
        self.bias = initial(self.bias_initializer, (self.output_size,))

    def predict(self, x: Any) -> Any:
        return fullyconnect(x, self.weights, self.bias)
