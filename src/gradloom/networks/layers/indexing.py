"""The layer that takes one entry along an axis."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ..layer import Layer
from ..spatial import axes_worked, called

WORDS = {"first": lambda n: 0, "last": lambda n: n - 1, "middle": lambda n: n // 2}


class Indexing1d(Layer):
    """One entry along S, or along T where there is no S: "first", "last", "middle" (entry n // 2 of n) or an integer,
    which counts from the end where it is negative. The axis is dropped.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Indexing1d("last")])(gl.dlarray([[1.0, 4.0, 2.0]], "CT"))
    1(C) dlarray float64
    [2.]

    Source: MATLAB indexing1dLayer (which counts from 1).
    """

    index: str | int = "last"

    matlab: ClassVar[str] = "indexing1dLayer"
    onnx: ClassVar[str] = "Gather"
    default_name: ClassVar[str] = "indexing1d"

    def __post_init__(self) -> None:
        if self.index not in WORDS and (not isinstance(self.index, int) or isinstance(self.index, bool)):
            raise ShapeError(f"Indexing1d takes \"first\", \"last\", \"middle\" or an integer, not {self.index!r}, at "
                             f"{line_of(user_site())}; write Indexing1d(\"last\")")

    def predict(self, x: Any) -> Any:
        (axis,) = axes_worked(x, 1, called(self))
        n = x.shape[axis]
        at = WORDS[self.index](n) if isinstance(self.index, str) else self.index
        if not -n <= at < n:
            raise ShapeError(f"{called(self)} takes entry {at} of {n}, x is {described(x.shape, x._labels)}, at "
                             f"{line_of(user_site())}; write \"last\"")
        return x[(*[slice(None)] * axis, at)]
