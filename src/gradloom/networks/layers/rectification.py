"""Activation layers in pieces: straight lines and curves that meet where a number changes its sign or reaches a
bound."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.elementwise.activations import elu, relu
from ...operations.elementwise.arithmetic import imag, real
from ...operations.elementwise.choice import clip, where
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout
from ..options import along_channels, channels_of, check_number


class ClippedReLU(Layer):
    """x limited to [0, ceiling], with derivative 1 on both bounds.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.ClippedReLU(6.0)])(gl.dlarray([-1.0, 2.0, 7.0]))
    3 dlarray float64
    [0. 2. 6.]

    Raises ShapeError where the ceiling is negative.

    Source: MATLAB clippedReluLayer.
    """

    ceiling: float

    matlab: ClassVar[str] = "clippedReluLayer"
    onnx: ClassVar[str] = "Clip"

    def __post_init__(self) -> None:
        check_number(self, "ceiling", 0)

    def predict(self, x: Any) -> Any:
        return clip(x, 0, self.ceiling)


class ELU(Layer):
    """x where x > 0, else `alpha` (exp(x) - 1).

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.ELU()])(gl.dlarray([0.0, 2.0]))
    2 dlarray float64
    [0. 2.]

    Source: Clevert, Unterthiner, Hochreiter 2016; MATLAB eluLayer.
    """

    alpha: float = field(default=1.0, kw_only=True)

    matlab: ClassVar[str] = "eluLayer"
    onnx: ClassVar[str] = "Elu"

    def predict(self, x: Any) -> Any:
        return elu(x, self.alpha)


class PReLU(Layer):
    """x where x > 0, else alpha x, where each channel has an alpha of its own, which training changes.

    alpha: one number for each channel, 0.25 at first, or as `alpha_initializer` says.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.PReLU()])
    >>> net(gl.dlarray([-4.0, 2.0], "C"))
    2(C) dlarray float32
    [-1.  2.]

    Source: He, Zhang, Ren, Sun 2015; MATLAB preluLayer.
    """

    alpha_initializer: Initializer | float = field(default=0.25, kw_only=True)
    alpha: Learnable

    matlab: ClassVar[str] = "preluLayer"
    onnx: ClassVar[str] = "PRelu"

    def initialize(self, layout: Layout) -> None:
        shape, first = (channels_of(self, layout),), self.alpha_initializer
        self.alpha = first * initial("ones", shape) if isinstance(first, (int, float)) else initial(first, shape)

    def predict(self, x: Any) -> Any:
        return where(x > 0, x, along_channels(self.alpha) * x)


class HardSigmoid(Layer):
    """alpha x + beta limited to [0, 1], with derivative alpha on both bounds.

    `alpha` is 0.2 and `beta` 0.5, as in MATLAB, Keras and ONNX; PyTorch's has alpha=1 / 6.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.HardSigmoid()])(gl.dlarray([-3.0, 0.0, 3.0]))
    3 dlarray float64
    [0.  0.5 1. ]

    Source: Courbariaux, Bengio, David 2015; ONNX HardSigmoid.
    """

    alpha: float = field(default=0.2, kw_only=True)
    beta: float = field(default=0.5, kw_only=True)

    onnx: ClassVar[str] = "HardSigmoid"

    def predict(self, x: Any) -> Any:
        return clip(self.alpha * x + self.beta, 0, 1)


class HardSwish(Layer):
    """x times x / 6 + 1 / 2 limited to [0, 1].

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.HardSwish()])(gl.dlarray([-3.0, 0.0, 4.0]))
    3 dlarray float64
    [-0.  0.  4.]

    Source: Howard et al. 2019; ONNX HardSwish.
    """

    onnx: ClassVar[str] = "HardSwish"

    def predict(self, x: Any) -> Any:
        return x * clip(x / 6 + 0.5, 0, 1)


class ComplexReLU(Layer):
    """max(., 0) of the real and of the imaginary part, each by itself; of real numbers the relu.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.ComplexReLU()])(gl.dlarray([-1 + 2j, 3 - 1j]))
    2 dlarray complex128
    [0.+2.j 3.+0.j]

    Source: Trabelsi et al. 2018; MATLAB complexReluLayer.
    """

    matlab: ClassVar[str] = "complexReluLayer"

    def predict(self, x: Any) -> Any:
        return relu(real(x)) + 1j * relu(imag(x)) if x.dtype.is_complex else relu(x)


class ZReLU(Layer):
    """x where its phase is in [0, pi / 2], else 0; of real numbers the relu.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.ZReLU()])(gl.dlarray([-1 + 2j, 3 + 1j]))
    2 dlarray complex128
    [0.+0.j 3.+1.j]

    Source: Guberman 2016; MATLAB zreluLayer.
    """

    matlab: ClassVar[str] = "zreluLayer"

    def predict(self, x: Any) -> Any:
        return where((real(x) >= 0) & (imag(x) >= 0), x, 0.0) if x.dtype.is_complex else relu(x)


__all__ = ["ELU", "ClippedReLU", "ComplexReLU", "HardSigmoid", "HardSwish", "PReLU", "ZReLU"]
