"""What is computed at each place of a shape, and where that goes."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..recorder import Slot, Step
from .lanes import KINDS, SIZES, Lanes, NotFused, Value

Shape = tuple[int, ...]
Read = Callable[[Slot], Value]


class Access(NamedTuple):
    """Memory over a shape: that of a slot, from an element of its storage on, a stride for each axis."""

    slot: Slot
    offset: int
    strides: Shape

    def along(self, axes: Sequence[int]) -> Access:
        """With these of its axes, in this order."""
        return Access(self.slot, self.offset, tuple([self.strides[k] for k in axes]))

    @property
    def place(self) -> Any:
        """What two accesses to the same elements in the same order have in common."""
        return self.slot.root, self.offset, self.strides


class Piece:
    """`compute(lanes, read)` is the value at one place of `shape`; it goes to `output`, added up where its strides
    are 0."""

    __slots__ = ("alone", "compute", "output", "reads", "reduces", "shape", "step")

    def __init__(self, compute: Callable[[Lanes, Read], Value], shape: Shape, output: Access,
                 reads: Sequence[Slot | Access], reduces: bool = False):
        self.compute, self.reduces = compute, reduces
        given = [a if isinstance(a, Access) else Access(a, a.offset, broadcast(a, shape)) for a in reads]
        axes = [k for k, n in enumerate(shape) if n != 1]
        # from the largest stride to the smallest, of what has no axis twice
        firsts = [a.strides for a in [*[output] * (not reduces), *given]]
        first = next((strides for strides in firsts if all([strides[k] for k in axes])), None)
        if first is not None:
            axes.sort(key=lambda k: -first[k])
        self.shape = tuple([shape[k] for k in axes])
        self.output = output.along(axes)
        self.reads = {a.slot.number: a.along(axes) for a in given}
        self.step: Step | None = None  # where it is all that a call does, and torch does it as well
        self.alone = False  # whether its sums take all registers

    def accesses(self) -> list[Access]:
        return [self.output, *self.reads.values()]

    # ----- what it adds up to -----

    @property
    def numbers(self) -> int:
        """How many numbers those are."""
        return math.prod([n for n, t in zip(self.shape, self.output.strides, strict=True) if t])

    @property
    def size(self) -> int:
        """Bytes of one."""
        return SIZES[KINDS[self.output.slot.dtype]]

    @property
    def span(self) -> int:
        """Bytes of all."""
        return self.numbers * self.size

    @property
    def gaps(self) -> bool:
        """Whether they do not lie in one line."""
        return sum([(n - 1) * t for n, t in zip(self.shape, self.output.strides, strict=True)]) != self.numbers - 1

    # ----- over other shapes -----

    def reshaped(self, shape: Shape) -> Piece | None:
        """The same over another shape of as many places, where all that it touches lies in one line."""
        if shape == self.shape:
            return self
        if math.prod(shape) != math.prod(self.shape):
            return None
        try:
            return self.over(shape, lambda a: self._along(a, shape))
        except NotFused:
            return None

    def over(self, shape: Shape, change: Callable[[Access], Access]) -> Piece:
        """The same over another shape, with its accesses changed."""
        new = object.__new__(Piece)
        new.compute, new.reduces, new.shape, new.step, new.alone = (
            self.compute, self.reduces, shape, self.step, self.alone)
        new.output, new.reads = change(self.output), {n: change(a) for n, a in self.reads.items()}
        return new

    def _along(self, a: Access, shape: Shape) -> Access:
        if not any(a.strides):
            return Access(a.slot, a.offset, (0,) * len(shape))
        if a.strides != rows(self.shape):
            raise NotFused("not in one line")
        return Access(a.slot, a.offset, rows(shape))


class Part(NamedTuple):
    """Some rows of a group."""

    pieces: list[Piece]


def rows(shape: Shape) -> Shape:
    """The strides of an array that lies row by row."""
    return tuple([math.prod(shape[k + 1:]) for k in range(len(shape))])


def between(fresh: Callable[[Slot], Slot], like: Slot, shape: Shape) -> Slot:
    """A slot for something between the pieces of a call, of another one's type, which lies row by row."""
    made = fresh(like)
    made.shape, made.strides, made.offset, made.whole = shape, rows(shape), 0, True
    return made


def broadcast(s: Slot, shape: Shape) -> Shape:
    """The strides of a slot along the axes of a shape that it is broadcast to."""
    if s.strides is None:
        raise NotFused("no strided array")
    its, strides = list(s.shape), list(s.strides)
    while len(its) > len(shape) and its[0] == 1:
        its, strides = its[1:], strides[1:]
    missing = len(shape) - len(its)
    if missing < 0 or any([n not in (1, m) for n, m in zip(its, shape[missing:], strict=True)]):
        raise NotFused("shapes that do not meet")
    return (0,) * missing + tuple([0 if n == 1 else t for n, t in zip(its, strides, strict=True)])


__all__ = ["Access", "Part", "Piece", "Read", "Shape", "between", "broadcast", "rows"]
