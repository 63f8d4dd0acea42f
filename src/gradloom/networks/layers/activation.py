"""Activation layers: elementwise functions, and softmax over the channels."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.elementwise.activations import gelu, leakyrelu, relu, sigmoid, silu, softplus
from ...operations.elementwise.mathematics import absolute, tanh
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
    onnx: ClassVar[str] = "Relu"

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
    onnx: ClassVar[str] = "LeakyRelu"

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
    onnx: ClassVar[str] = "Tanh"

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
    onnx: ClassVar[str] = "Sigmoid"

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
    onnx: ClassVar[str] = "Gelu"
    default_name: ClassVar[str] = "gelu"

    def predict(self, x: Any) -> Any:
        return gelu(x, approximation=self.approximation)


class Swish(Layer):
    """x sigmoid(x), also called SiLU.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Swish()])(gl.dlarray([0.0]))
    1 dlarray float64
    [0.]

    Source: Elfwing, Uchibe, Doya 2018; Ramachandran, Zoph, Le 2017; MATLAB swishLayer.
    """

    matlab: ClassVar[str] = "swishLayer"
    onnx: ClassVar[str] = "Swish"

    def predict(self, x: Any) -> Any:
        return silu(x)


class Softplus(Layer):
    """log(1 + exp(x)), a smooth relu.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Softplus()])(gl.dlarray([0.0, 100.0]))
    2 dlarray float64
    [  0.69314718 100.        ]

    Source: Dugas et al. 2001; MATLAB softplusLayer.
    """

    matlab: ClassVar[str] = "softplusLayer"
    onnx: ClassVar[str] = "Softplus"

    def predict(self, x: Any) -> Any:
        return softplus(x)


class Softsign(Layer):
    """x / (1 + |x|).

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Softsign()])(gl.dlarray([-1.0, 3.0]))
    2 dlarray float64
    [-0.5   0.75]

    Source: Bergstra, Desjardins, Lamblin, Bengio 2009; ONNX Softsign.
    """

    onnx: ClassVar[str] = "Softsign"

    def predict(self, x: Any) -> Any:
        return x / (1 + absolute(x))


class Mish(Layer):
    """x tanh(log(1 + exp(x))).

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Mish()])(gl.dlarray([0.0]))
    1 dlarray float64
    [0.]

    Source: Misra 2020; ONNX Mish.
    """

    onnx: ClassVar[str] = "Mish"

    def predict(self, x: Any) -> Any:
        return x * tanh(softplus(x))


class Softmax(Layer):
    """Positive numbers that sum to 1 over C.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Softmax()])(gl.dlarray([1.0, 1.0], "C"))
    2(C) dlarray float64
    [0.5 0.5]

    Source: MATLAB softmaxLayer.
    """

    matlab: ClassVar[str] = "softmaxLayer"
    onnx: ClassVar[str] = "Softmax"

    def predict(self, x: Any) -> Any:
        return softmax(x)
