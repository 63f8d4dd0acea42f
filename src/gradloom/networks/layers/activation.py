"""Activation layers: elementwise functions, and softmax over the channels."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.elementwise.activations import gelu, leakyrelu, relu, sigmoid
from ...operations.elementwise.mathematics import tanh
from ...operations.neural.softmax import softmax
from ..layer import Layer


class ReLU(Layer):
    """max(x, 0), with derivative 0 at 0.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.ReLU()])(gl.dlarray([-1.0, 2.0]))
    2 dlarray float64
    [0. 2.]

    Source: MATLAB reluLayer.
    """

    matlab: ClassVar[str] = "reluLayer"

    def predict(self, x: Any) -> Any:
        return relu(x)


class LeakyReLU(Layer):
    """x where x > 0, else `scale` x.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.LeakyReLU(scale=0.1)])(gl.dlarray([-1.0, 2.0]))
    2 dlarray float64
    [-0.1  2. ]

    Source: MATLAB leakyReluLayer.
    """

    scale: float = field(default=0.01, kw_only=True)

    matlab: ClassVar[str] = "leakyReluLayer"

    def predict(self, x: Any) -> Any:
        return leakyrelu(x, self.scale)


class Tanh(Layer):
    """The hyperbolic tangent.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Tanh()])(gl.dlarray([0.0]))
    1 dlarray float64
    [0.]

    Source: MATLAB tanhLayer.
    """

    matlab: ClassVar[str] = "tanhLayer"

    def predict(self, x: Any) -> Any:
        return tanh(x)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)).

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Sigmoid()])(gl.dlarray([0.0]))
    1 dlarray float64
    [0.5]

    Source: MATLAB sigmoidLayer.
    """

    matlab: ClassVar[str] = "sigmoidLayer"

    def predict(self, x: Any) -> Any:
        return sigmoid(x)


class GELU(Layer):
    """x / 2 (1 + erf(x / sqrt(2))); `approximation="tanh"` is the cheaper formula with tanh.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.GELU()])(gl.dlarray([0.0]))
    1 dlarray float64
    [0.]

    Source: MATLAB geluLayer.
    """

    approximation: str = field(default="none", kw_only=True)

    matlab: ClassVar[str] = "geluLayer"
    default_name: ClassVar[str] = "gelu"

    def predict(self, x: Any) -> Any:
        return gelu(x, approximation=self.approximation)


class Softmax(Layer):
    """Positive numbers that sum to 1 over C.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Softmax()])(gl.dlarray([1.0, 1.0], "C"))
    2(C) dlarray float64
    [0.5 0.5]

    Source: MATLAB softmaxLayer.
    """

    matlab: ClassVar[str] = "softmaxLayer"

    def predict(self, x: Any) -> Any:
        return softmax(x)
