"""Pooling layers over one, two and three axes."""
from __future__ import annotations

import math
from dataclasses import field
from typing import Any, ClassVar

from ...core.array import dlarray
from ...operations.elementwise.choice import where
from ...operations.movement.axes import broadcast_to
from ...operations.neural.pooling.pooling import avgpool, maxpool
from ..layer import Layer
from ..masks import filled, ones_where, refuse
from ..spatial import Sizes, called, letters_of, sizes_of
from ..windows import hides, windows_of


class _Pooling(Layer):
    """What layers that pool windows over `rank` axes have in common."""

    pool_size: Sizes
    stride: Sizes = field(default=1, kw_only=True)
    padding: Any = field(default=0, kw_only=True)

    rank: ClassVar[int]

    def __post_init__(self) -> None:
        for word in ("pool_size", "stride"):
            sizes_of(getattr(self, word), self.rank, f"{type(self).__name__}'s {word}")

    def letters(self, x: Any) -> str:
        """Which axes of x are pooled."""
        return letters_of(x.shape, x._labels, self.rank, called(self))

    def output_mask(self, mask: Any, y: Any) -> Any:
        return windows_of(self).output_mask(mask, y)


class _MaxPooling(_Pooling):
    onnx: ClassVar[str] = "MaxPool"

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        if hides(self, x, mask):  # a window of padding alone is padding: its -inf times a slope of 0 would be NaN
            y = self._pooled(windows_of(self).filled(x, mask, -math.inf))
            return filled(y, self.output_mask(mask, y))
        return self._pooled(x)

    def _pooled(self, x: Any) -> Any:
        return maxpool(x, self.pool_size, stride=self.stride, padding=self.padding, pool_format=self.letters(x))


class MaxPooling1d(_MaxPooling):
    """The largest value of each window of `pool_size` along S, or along T where there is no S.

    Options are those of MaxPooling2d.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.MaxPooling1d(2, stride=2)])(gl.dlarray([[1.0, 4.0, 2.0, 3.0]], "CT"))
    1(C) x 2(T) dlarray float64
    [[4. 3.]]

    Source: MATLAB maxPooling1dLayer.
    """

    matlab: ClassVar[str] = "maxPooling1dLayer"
    default_name: ClassVar[str] = "maxpool1d"
    rank: ClassVar[int] = 1


class MaxPooling2d(_MaxPooling):
    """The largest value of each window of `pool_size`, one number or (height, width).

    The stride is 1 unless it is given. `padding` is a number, one per axis, ((before, after), (before, after)) or
    "same". With `has_unpooling_outputs=True` there are two outputs more, "indices" and "size", which MaxUnpooling2d
    reads: where each value was found, counted over the pooled axes, and their sizes.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((4, 6, 1)), gl.layers.MaxPooling2d(2, stride=2)])
    >>> net(gl.zeros((4, 6, 1), "SSC")).shape
    (2, 3, 1)

    Source: MATLAB maxPooling2dLayer.
    """

    has_unpooling_outputs: bool = field(default=False, kw_only=True)

    matlab: ClassVar[str] = "maxPooling2dLayer"
    default_name: ClassVar[str] = "maxpool"
    rank: ClassVar[int] = 2

    @property
    def output_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """out, and what unpooling reads."""
        return ("out", "indices", "size") if self.has_unpooling_outputs else ("out",)

    def output_mask(self, mask: Any, y: Any) -> Any:
        if self.has_unpooling_outputs:
            raise refuse(self, "has has_unpooling_outputs=True, and what unpooling reads says nothing of padding",
                         "leave that out")
        return super().output_mask(mask, y)

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        if not self.has_unpooling_outputs:
            return super().predict(x, mask=mask)
        letters = self.letters(x)
        y, indices, size = maxpool(x, self.pool_size, stride=self.stride, padding=self.padding, pool_format=letters,
                                   return_indices=True)
        return y, indices, sizes_along(size, x._labels, letters)


class MaxPooling3d(_MaxPooling):
    """The largest value of each window of `pool_size`, one number or (height, width, depth).

    Options are those of MaxPooling2d.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.MaxPooling3d(2, stride=2)])
    >>> net(gl.zeros((1, 3, 4, 4, 4), "BCSSS")).sizes
    {'B': 1, 'C': 3, 'S': (2, 2, 2)}

    Source: MATLAB maxPooling3dLayer.
    """

    matlab: ClassVar[str] = "maxPooling3dLayer"
    default_name: ClassVar[str] = "maxpool3d"
    rank: ClassVar[int] = 3


class _AveragePooling(_Pooling):
    padding_value: Any = field(default=0, kw_only=True)

    onnx: ClassVar[str] = "AveragePool"

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        if mask is None:
            return self._pooled(x)
        windows = windows_of(self)
        y = self._pooled(windows.filled(x, mask))
        if self.padding_value != "mean" or not hides(self, x, mask):
            return y
        there = self._pooled(broadcast_to(ones_where(x, mask), x.shape))  # how much of each window is
        return y / where(there > 0, there, 1)

    def _pooled(self, x: Any) -> Any:
        return avgpool(x, self.pool_size, stride=self.stride, padding=self.padding, padding_value=self.padding_value,
                       pool_format=self.letters(x))


class AveragePooling1d(_AveragePooling):
    """The mean of each window of `pool_size` along S, or along T where there is no S.

    Options are those of AveragePooling2d.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.AveragePooling1d(2, stride=2)])(gl.dlarray([[1.0, 4.0, 2.0, 3.0]], "CT"))
    1(C) x 2(T) dlarray float64
    [[2.5 2.5]]

    Source: MATLAB averagePooling1dLayer.
    """

    matlab: ClassVar[str] = "averagePooling1dLayer"
    default_name: ClassVar[str] = "avgpool1d"
    rank: ClassVar[int] = 1


class AveragePooling2d(_AveragePooling):
    """The mean of each window of `pool_size`, one number or (height, width). The stride is 1 unless it is given.

    Padding, as in MaxPooling2d, counts as zeros; with `padding_value="mean"` it does not count.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((4, 6, 1)), gl.layers.AveragePooling2d((4, 6))])
    >>> float(net(gl.ones((4, 6, 1), "SSC")))
    1.0

    Source: MATLAB averagePooling2dLayer.
    """

    matlab: ClassVar[str] = "averagePooling2dLayer"
    default_name: ClassVar[str] = "avgpool2d"
    rank: ClassVar[int] = 2


class AveragePooling3d(_AveragePooling):
    """The mean of each window of `pool_size`, one number or (height, width, depth).

    Options are those of AveragePooling2d.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.AveragePooling3d(2, stride=2)])
    >>> net(gl.zeros((1, 3, 4, 4, 4), "BCSSS")).sizes
    {'B': 1, 'C': 3, 'S': (2, 2, 2)}

    Source: MATLAB averagePooling3dLayer.
    """

    matlab: ClassVar[str] = "averagePooling3dLayer"
    default_name: ClassVar[str] = "avgpool3d"
    rank: ClassVar[int] = 3


def sizes_along(shape: Any, labels: str, letters: str) -> Any:
    """The sizes of the axes with these letters, as an array of integers: what unpooling needs to know."""
    return dlarray([n for letter in letters for n, its in zip(shape, labels, strict=True) if its == letter],
                   dtype="int64")
