"""Pooling layers over two spatial axes."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...core.errors import LabelError, line_of, user_site
from ...core.labels import described
from ...operations.neural.pooling.pooling import avgpool, maxpool
from ...operations.sums.reduction import mean
from ..layer import Layer
from .convolution import Sizes, pair_of


def _two_spatial(x: Any, layer: Layer) -> None:
    if (x._labels or "").count("S") != 2:
        raise LabelError(
            f"the layer {layer.name!r} ({type(layer).__name__}) works on two axes S, x is "
            f"{described(x.shape, x._labels)}, at {line_of(user_site())}; label the data, such as \"BCSS\"")


class MaxPooling2d(Layer):
    """The largest value of each window of `pool_size`, one number or (height, width).

    The stride is 1 unless it is given. `padding` is a number, one per axis, ((before, after), (before, after)) or
    "same".

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((4, 6, 1)), gl.layers.MaxPooling2d(2, stride=2)])
    >>> net(gl.zeros((4, 6, 1), "SSC")).shape
    (2, 3, 1)

    Source: MATLAB maxPooling2dLayer.
    """

    pool_size: Sizes
    stride: Sizes = field(default=1, kw_only=True)
    padding: Any = field(default=0, kw_only=True)

    matlab: ClassVar[str] = "maxPooling2dLayer"
    default_name: ClassVar[str] = "maxpool"

    def __post_init__(self) -> None:
        pair_of(self.pool_size, "MaxPooling2d's pool_size")
        pair_of(self.stride, "MaxPooling2d's stride")

    def predict(self, x: Any) -> Any:
        _two_spatial(x, self)
        return maxpool(x, self.pool_size, stride=self.stride, padding=self.padding)


class AveragePooling2d(Layer):
    """The mean of each window of `pool_size`, one number or (height, width). The stride is 1 unless it is given.

    Padding, as in MaxPooling2d, counts as zeros; with `padding_value="mean"` it does not count.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((4, 6, 1)), gl.layers.AveragePooling2d((4, 6))])
    >>> float(net(gl.ones((4, 6, 1), "SSC")))
    1.0

    Source: MATLAB averagePooling2dLayer.
    """

    pool_size: Sizes
    stride: Sizes = field(default=1, kw_only=True)
    padding: Any = field(default=0, kw_only=True)
    padding_value: Any = field(default=0, kw_only=True)

    matlab: ClassVar[str] = "averagePooling2dLayer"
    default_name: ClassVar[str] = "avgpool2d"

    def __post_init__(self) -> None:
        pair_of(self.pool_size, "AveragePooling2d's pool_size")
        pair_of(self.stride, "AveragePooling2d's stride")

    def predict(self, x: Any) -> Any:
        _two_spatial(x, self)
        return avgpool(x, self.pool_size, stride=self.stride, padding=self.padding, padding_value=self.padding_value)


class GlobalAveragePooling2d(Layer):
    """The mean over both spatial axes, which become of size 1.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((4, 6, 3)), gl.layers.GlobalAveragePooling2d()])
    >>> net(gl.ones((4, 6, 3), "SSC")).shape
    (1, 1, 3)

    Source: MATLAB globalAveragePooling2dLayer.
    """

    matlab: ClassVar[str] = "globalAveragePooling2dLayer"
    default_name: ClassVar[str] = "gapool"

    def predict(self, x: Any) -> Any:
        _two_spatial(x, self)
        return mean(x, axis="S", keepdims=True)
