"""Layers that pool all of their axes: one value for each channel."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ...operations.movement.axes import squeeze
from ...operations.sums.extremes import max as largest
from ...operations.sums.reduction import mean
from ..layer import Layer
from ..masks import filled, ones_where
from ..spatial import axes_worked, called
from ..windows import hides


class _GlobalPooling(Layer):
    """What layers that pool all of `rank` axes have in common: S becomes of size 1, T is dropped."""

    rank: ClassVar[int]

    def pooled(self, x: Any, reduce: Any) -> Any:
        """x reduced over its axes."""
        y = reduce(x, axis=axes_worked(x, self.rank, called(self)), keepdims=True)
        dropped = x._labels.count("S") < self.rank
        return squeeze(y, axis=x._labels.index("T")) if dropped else y


class _GlobalAveragePooling(_GlobalPooling):
    onnx: ClassVar[str] = "GlobalAveragePool"

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        if not hides(self, x, mask):
            return self.pooled(x, mean)
        return self.pooled(filled(x, mask), mean) / self.pooled(ones_where(x, mask), mean)


class _GlobalMaxPooling(_GlobalPooling):
    onnx: ClassVar[str] = "GlobalMaxPool"

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        return self.pooled(filled(x, mask, -math.inf) if hides(self, x, mask) else x, largest)


class GlobalAveragePooling1d(_GlobalAveragePooling):
    """The mean over S, which becomes of size 1, or over T, which is dropped, where there is no S.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.GlobalAveragePooling1d()])(gl.dlarray([[1.0, 4.0]], "CT"))
    1(C) dlarray float64
    [2.5]

    Source: MATLAB globalAveragePooling1dLayer.
    """

    matlab: ClassVar[str] = "globalAveragePooling1dLayer"
    default_name: ClassVar[str] = "gapool1d"
    rank: ClassVar[int] = 1


class GlobalAveragePooling2d(_GlobalAveragePooling):
    """The mean over both spatial axes, which become of size 1.

    Where there is one S and T the mean is over these, and T is dropped.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((4, 6, 3)), gl.layers.GlobalAveragePooling2d()])
    >>> net(gl.ones((4, 6, 3), "SSC")).shape
    (1, 1, 3)

    Source: MATLAB globalAveragePooling2dLayer.
    """

    matlab: ClassVar[str] = "globalAveragePooling2dLayer"
    default_name: ClassVar[str] = "gapool"
    rank: ClassVar[int] = 2


class GlobalAveragePooling3d(_GlobalAveragePooling):
    """The mean over all three spatial axes, which become of size 1.

    Where there are two S and T the mean is over these, and T is dropped.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.GlobalAveragePooling3d()])(gl.ones((4, 2, 3, 5), "SSSC")).shape
    (1, 1, 1, 5)

    Source: MATLAB globalAveragePooling3dLayer.
    """

    matlab: ClassVar[str] = "globalAveragePooling3dLayer"
    default_name: ClassVar[str] = "gapool3d"
    rank: ClassVar[int] = 3


class GlobalMaxPooling1d(_GlobalMaxPooling):
    """The largest value over S, which becomes of size 1, or over T, which is dropped, where there is no S.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.GlobalMaxPooling1d()])(gl.dlarray([[1.0, 4.0]], "CT"))
    1(C) dlarray float64
    [4.]

    Source: MATLAB globalMaxPooling1dLayer.
    """

    matlab: ClassVar[str] = "globalMaxPooling1dLayer"
    default_name: ClassVar[str] = "gmpool1d"
    rank: ClassVar[int] = 1


class GlobalMaxPooling2d(_GlobalMaxPooling):
    """The largest value over both spatial axes, which become of size 1.

    Where there is one S and T it is over these, and T is dropped.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.GlobalMaxPooling2d()])(gl.ones((4, 6, 3), "SSC")).shape
    (1, 1, 3)

    Source: MATLAB globalMaxPooling2dLayer.
    """

    matlab: ClassVar[str] = "globalMaxPooling2dLayer"
    default_name: ClassVar[str] = "gmpool"
    rank: ClassVar[int] = 2


class GlobalMaxPooling3d(_GlobalMaxPooling):
    """The largest value over all three spatial axes, which become of size 1.

    Where there are two S and T it is over these, and T is dropped.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.GlobalMaxPooling3d()])(gl.ones((4, 2, 3, 5), "SSSC")).shape
    (1, 1, 1, 5)

    Source: MATLAB globalMaxPooling3dLayer.
    """

    matlab: ClassVar[str] = "globalMaxPooling3dLayer"
    default_name: ClassVar[str] = "gmpool3d"
    rank: ClassVar[int] = 3
