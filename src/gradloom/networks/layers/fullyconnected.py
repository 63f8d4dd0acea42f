"""The fully connected layer."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.matrices.affine import fullyconnect
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout
from ..options import channels_of, check_choice, check_sizes, merged_size, relabelled


class FullyConnected(Layer):
    """Weights times the channels of x, plus a bias; C and S axes are merged, C first.

    Formula: y[o] = sum over i of weights[o, i] x[i] + bias[o]. weights: (outputs, inputs); bias: (outputs,). With
    `operation_dimension="channel"` the S axes stay, and the same is done at each of their positions.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    >>> net.learnables["fc", "weights"].shape
    (2, 3)

    Source: MATLAB fullyConnectedLayer.
    """

    output_size: int
    weights_initializer: Initializer = field(default="glorot", kw_only=True)
    bias_initializer: Initializer = field(default="zeros", kw_only=True)
    operation_dimension: str = field(default="spatial-channel", kw_only=True)
    weights: Learnable
    bias: Learnable

    matlab: ClassVar[str] = "fullyConnectedLayer"
    onnx: ClassVar[str] = "Gemm"
    default_name: ClassVar[str] = "fc"

    def __post_init__(self) -> None:
        check_sizes(self, "output_size")
        check_choice(self, "operation_dimension", ("spatial-channel", "channel"))

    def initialize(self, layout: Layout) -> None:
        inputs = channels_of(self, layout) if self.operation_dimension == "channel" else merged_size(self, layout)
        self.weights = initial(self.weights_initializer, (self.output_size, inputs))
        self.bias = initial(self.bias_initializer, (self.output_size,))

    def predict(self, x: Any) -> Any:
        labels = x._labels or ""
        if self.operation_dimension != "channel" or "S" not in labels:
            return fullyconnect(x, self.weights, self.bias)
        y = fullyconnect(relabelled(x, labels.replace("S", "U")), self.weights, self.bias)
        return relabelled(y, labels)
