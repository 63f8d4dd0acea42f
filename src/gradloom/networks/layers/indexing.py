"""The layer that takes one entry along an axis."""
from __future__ import annotations

from typing import Any, ClassVar

import torch

from ...core.array import dlarray
from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ...machine.questions import decided
from ...operations.elementwise.choice import where
from ...operations.sums.reduction import sum
from ..layer import Layer
from ..masks import aligned
from ..spatial import axes_worked, called

WORDS = {"first": lambda n: 0 * n, "last": lambda n: n - 1, "middle": lambda n: n // 2}


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

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        (axis,) = axes_worked(x, 1, called(self))
        if mask is not None and x._labels[axis] == "T":
            return self._of_each(x, mask, axis)
        n = x.shape[axis]
        at = WORDS[self.index](n) if isinstance(self.index, str) else self.index
        if not -n <= at < n:
            raise ShapeError(f"{called(self)} takes entry {at} of {n}, x is {described(x.shape, x._labels)}, at "
                             f"{line_of(user_site())}; write \"last\"")
        return x[(*[slice(None)] * axis, at)]

    def _of_each(self, x: Any, mask: Any, axis: int) -> Any:
        """That entry of the steps that are there, which differs between the observations."""
        there = aligned(mask, x)
        count = there.sum(axis, keepdim=True)
        at = WORDS[self.index](count) if isinstance(self.index, str) else torch.full_like(count, self.index)
        if decided(((at < -count) | (at >= count)).any()):
            raise ShapeError(f"{called(self)} takes entry {self.index} of sequences of which the shortest has "
                             f"{int(count.min())} steps, at {line_of(user_site())}; write \"last\"")
        chosen = there & (there.cumsum(axis) - 1 == torch.where(at < 0, at + count, at))
        return sum(where(dlarray._made(chosen, None), x, 0), axis=axis)
