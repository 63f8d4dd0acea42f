"""The layer that pools to a given size."""
from __future__ import annotations

from typing import Any, ClassVar

from ...operations.neural.pooling.adaptive import averaged
from ...operations.neural.spatial import with_last
from ..layer import Layer
from ..spatial import Sizes, axes_worked, called, sizes_of


class AdaptiveAveragePooling2d(Layer):
    """The mean over windows that make images of `output_size`, one number or (height, width), whatever their size.

    Formula: along an axis of n entries, entry j of m is the mean of the entries from floor(j n / m) to
    ceil((j + 1) n / m), that one excluded.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.AdaptiveAveragePooling2d(2)])(gl.ones((5, 7, 3), "SSC")).shape
    (2, 2, 3)

    Source: MATLAB adaptiveAveragePooling2dLayer.
    """

    output_size: Sizes

    matlab: ClassVar[str] = "adaptiveAveragePooling2dLayer"
    default_name: ClassVar[str] = "aapool"

    def __post_init__(self) -> None:
        sizes_of(self.output_size, 2, "AdaptiveAveragePooling2d's output_size")

    def predict(self, x: Any) -> Any:
        size = sizes_of(self.output_size, 2, "output_size")
        return with_last(x, axes_worked(x, 2, called(self)), lambda moved: averaged(moved, size))
