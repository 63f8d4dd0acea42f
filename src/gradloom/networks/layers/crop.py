"""Layers that cut images to the size of another."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ..layer import Layer
from ..spatial import axes_worked, called


class _Crop(Layer):
    """What layers that cut `rank` axes have in common."""

    location: str | tuple[int, ...] = "centercrop"

    input_names: ClassVar[tuple[str, ...]] = ("in", "ref")
    onnx: ClassVar[str] = "Slice"
    rank: ClassVar[int]

    def __post_init__(self) -> None:
        its = self.location
        if its != "centercrop" and (not isinstance(its, (tuple, list)) or len(its) != self.rank
                                    or not all(isinstance(n, int) and n >= 0 for n in its)):
            raise ShapeError(f"{type(self).__name__} takes \"centercrop\" or where to begin along each of {self.rank} "
                             f"axes, not {its!r}, at {line_of(user_site())}; write {(0,) * self.rank}")

    def predict(self, x: Any, reference: Any) -> Any:
        axes, others = (axes_worked(a, self.rank, called(self)) for a in (x, reference))
        index = [slice(None)] * x.ndim
        for k, (axis, other) in enumerate(zip(axes, others, strict=True)):
            n, m = x.shape[axis], reference.shape[other]
            start = (n - m) // 2 if isinstance(self.location, str) else self.location[k]
            if m + start > n or start < 0:
                raise ShapeError(
                    f"{called(self)} cuts x {described(x.shape, x._labels)} from {start} on to the size of "
                    f"{described(reference.shape, reference._labels)}, at {line_of(user_site())}; the reference must "
                    "lie within x")
            index[axis] = slice(start, start + m)
        return x[tuple(index)]


class Crop2d(_Crop):
    """The part of an image that has the height and width of a second input, "ref": its centre, or from `location`
    (row, column) on.

    >>> import gradloom as gl
    >>> gl.layers.Crop2d().predict(gl.ones((1, 6, 6), "CSS"), gl.ones((3, 4, 2), "CSS")).shape
    (1, 4, 2)

    Source: MATLAB crop2dLayer (which counts from 1, and columns first).
    """

    matlab: ClassVar[str] = "crop2dLayer"
    default_name: ClassVar[str] = "crop"
    rank: ClassVar[int] = 2


class Crop3d(_Crop):
    """The part of a volume that has the sizes of a second input, "ref": its centre, or from `location` on.

    >>> import gradloom as gl
    >>> gl.layers.Crop3d((0, 1, 2)).predict(gl.ones((1, 6, 6, 6), "CSSS"), gl.ones((3, 4, 2, 3), "CSSS")).shape
    (1, 4, 2, 3)

    Source: MATLAB crop3dLayer.
    """

    matlab: ClassVar[str] = "crop3dLayer"
    default_name: ClassVar[str] = "crop3d"
    rank: ClassVar[int] = 3
