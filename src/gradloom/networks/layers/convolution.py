"""The convolution layer."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...core.errors import ShapeError, line_of, user_site
from ...operations.neural.convolution.convolution import dlconv
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout

Sizes = int | tuple[int, int]


def pair_of(value: Any, word: str) -> tuple[int, int]:
    """A size for each of two spatial axes, from one number or two."""
    sizes = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(sizes) != 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ShapeError(f"{word} is one positive integer or two, not {value!r}, at {line_of(user_site())}")
    return sizes


def need_two_spatial(layout: Layout, word: str) -> None:
    """Layers with 2d in their name work on two S axes and C."""
    labels = layout.labels or ""
    if labels.count("S") != 2 or "C" not in labels:
        raise ShapeError(f"{word} needs two axes S and one C, its input is {layout}; label the data, such as \"BCSS\"")


class Convolution2d(Layer):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size`, one number or (height, width).

    Formula: y[n, o, s] = bias[o] + sum over c, k of weights[o, c, k] x[n, c, stride s + dilation k - padding].
    x: any layout with two S, and C. weights: (filters, channels, height, width); bias: (filters,). `padding` is a
    number, one per axis, ((before, after), (before, after)) or "same". Weights start as "glorot" (or "he", or a
    function of the shape) says.

    >>> import gradloom as gl
    >>> gl.layers.Convolution2d(3, 8, padding="same", name="conv1")
    Convolution2d(3, 8, padding='same', name='conv1')

    Source: MATLAB convolution2dLayer.
    """

    filter_size: Sizes
    num_filters: int
    stride: Sizes = field(default=1, kw_only=True)
    padding: Any = field(default=0, kw_only=True)
    dilation_factor: Sizes = field(default=1, kw_only=True)
    weights_initializer: Initializer = field(default="glorot", kw_only=True)
    bias_initializer: Initializer = field(default="zeros", kw_only=True)
    weights: Learnable
    bias: Learnable

    matlab: ClassVar[str] = "convolution2dLayer"
    default_name: ClassVar[str] = "conv"

    def __post_init__(self) -> None:
        for word in ("filter_size", "stride", "dilation_factor"):
            pair_of(getattr(self, word), f"Convolution2d's {word}")
        if not isinstance(self.num_filters, int) or self.num_filters < 1:
            raise ShapeError(
                f"Convolution2d's num_filters is a positive integer, not {self.num_filters!r}, at "
                f"{line_of(user_site())}")

    def initialize(self, layout: Layout) -> None:
        need_two_spatial(layout, f"the layer {self.name!r} (Convolution2d)")
        shape = (self.num_filters, layout.sizes["C"], *pair_of(self.filter_size, "filter_size"))
        self.weights = initial(self.weights_initializer, shape)
        self.bias = initial(self.bias_initializer, (self.num_filters,))

    def predict(self, x: Any) -> Any:
        return dlconv(x, self.weights, self.bias, stride=self.stride, padding=self.padding,
                      dilation_factor=self.dilation_factor)
