"""A program as groups of pieces that share a loop, with the calls that stay torch's between them.

A group waits until something else needs what it computes, so that calls which do not follow each other share a loop.
What the order of two steps is told by is memory: its root, and the place in it.
"""
from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

import torch

from ...machine.dtypes import Tensor
from ..program import Program, fixed
from ..recorder import Slot, Step
from .pieces import pieces
from .places import Access, Piece, Shape

MOST = 64  # pieces of a group
_VIEWS = {f for name in ("reshape", "view", "permute", "transpose", "t", "unsqueeze", "squeeze", "select", "narrow",
                         "expand", "detach", "flatten", "unflatten", "__getitem__", "unbind", "chunk", "split",
                         "movedim", "as_strided", "unfold", "swapaxes", "diagonal", "view_as", "adjoint")
          for f in (getattr(Tensor, name, None), getattr(torch, name, None)) if f is not None}


class Group:
    """Pieces over one shape. `sums`: whether results are added up, and then whether along the last axis (True) or
    along those before it (False)."""

    def __init__(self, piece: Piece):
        self.shape, self.pieces = piece.shape, [piece]
        self.reads: dict[int, set[Any]] = {}  # a root: the places that are read
        self.writes: dict[int, set[Any]] = {}
        self.summed: set[int] = set()  # roots of what is added up
        self.last = _last(piece)
        self._enter(piece)

    def _enter(self, piece: Piece) -> None:
        for a in piece.reads.values():
            self.reads.setdefault(a.slot.root, set()).add(a.place)
        self.writes.setdefault(piece.output.slot.root, set()).add(piece.output.place)
        if piece.reduces:
            self.summed.add(piece.output.slot.root)

    def touched(self, piece: Piece) -> bool:
        """Whether the order of this and a piece matters."""
        root = piece.output.slot.root
        return root in self.reads or root in self.writes or any(
            [a.slot.root in self.writes for a in piece.reads.values()])

    def taken(self, piece: Piece) -> bool:
        """Take a piece where that is the same as doing it afterwards."""
        if len(self.pieces) >= MOST or piece.alone or self.pieces[0].alone:
            return False
        fitting = piece.reshaped(self.shape)
        if fitting is None:
            mine = [p.reshaped(piece.shape) for p in self.pieces]
            if not all(mine):
                return False
            before = self.shape, self.pieces, self.reads, self.writes, self.last
            self._start(piece.shape, [p for p in mine if p is not None])
            if self._fits(piece):
                self._add(piece)
                return True
            self.shape, self.pieces, self.reads, self.writes, self.last = before
            return False
        if not self._fits(fitting):
            return False
        self._add(fitting)
        return True

    def _start(self, shape: Shape, its: list[Piece]) -> None:
        self.shape, self.pieces, self.reads, self.writes, self.last = shape, [], {}, {}, None
        for p in its:
            self._add(p)

    def _add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self._enter(piece)
        if piece.reduces:
            self.last = _last(piece)

    def _fits(self, piece: Piece) -> bool:
        last = _last(piece)
        if piece.reduces and self.last is not None and last != self.last:
            return False
        for a in piece.reads.values():
            if a.slot.root in self.writes and (a.slot.root in self.summed or self.writes[a.slot.root] != {a.place}):
                return False
        root, place = piece.output.slot.root, piece.output.place
        known = self.reads.get(root, set()) | self.writes.get(root, set())
        return not known or not piece.reduces and root not in self.summed and known == {place}


def _last(piece: Piece) -> bool | None:
    """Of a piece that adds up: whether along the last axis."""
    return piece.output.strides[-1] == 0 if piece.reduces else None


class Grouped:
    """The program in order: `items` are torch's calls, and lists of groups that follow each other."""

    def __init__(self, program: Program, width: int, functions: Any):
        self.program = program
        self.items: list[Step | list[Group]] = []
        self._pending: list[Group] = []
        self._views: dict[int, Step] = {}  # by what they give: they are taken when a call of torch's reads that
        self._width, self._functions = width, functions
        written = {s.root for step in program.steps for s in step.writes}
        self._numbers = {n: x.item() for n, x in program.constants.items()
                         if fixed(x) and x.numel() == 1 and x.dtype.is_floating_point
                         and n not in written}
        given = {s.number: s for s in program.inputs}
        given |= {s.number: s for step in program.steps for s in step.reads if s.number in program.constants}
        roots = [s.root for s in given.values()]
        # where something lies is told by its root, but not where two come in the same memory: in the next call they
        # may come in two
        self._given = given.keys()
        self._roots = {s.number for step in program.steps for s in step.outputs} | given.keys()
        self._roots -= {r for r in roots if roots.count(r) > 1}
        # x[k] of an array k of one integer looks at memory whose place is known in the call only
        self._wandering = {s.root for step in program.steps if len({r.number for r in step.reads}) > 1
                           for s in step.outputs if not step.writes and s.root in {r.root for r in step.reads}}
        every = [*given.values(), *[s for step in program.steps for s in step.outputs]]
        kinds = {s.number: s.dtype for s in every}
        # the parts of complex arrays: what their memory means and where it begins is told in other units
        self._recast = {s.number for s in every if kinds.get(s.root, s.dtype) is not s.dtype}
        for step in program.steps:
            its = None if is_view(step) else pieces(step, self._numbers, width, functions, self._fresh)
            if its is None or any([self._foreign(a) for p in its for a in p.accesses()]):
                self._call(step)
            else:
                for piece in its:
                    self._take(piece)
        self._close(set(range(len(self._pending))))
        self._settle()

    def _fresh(self, like: Slot) -> Slot:
        """A slot for something between the pieces of a call."""
        s = self.program.fresh(like)
        self._roots.add(s.number)
        return s

    def _foreign(self, a: Access) -> bool:
        """Memory that something holds which is no plain array, or whose place nobody knows."""
        s = a.slot
        return (s.root in self.program.shared or s.root in self._wandering or s.number in self._recast
                or s.number not in self._given and s.root not in self._roots)

    def _take(self, piece: Piece) -> None:
        """Into the group that it follows, or another of its shape after that, or one of its own."""
        others = []
        for group in reversed(self._pending):
            if group.touched(piece):
                if group.taken(piece):
                    return
                break
            others.append(group)
        if not any(group.taken(piece) for group in others):  # the first that takes it
            self._pending.append(Group(piece))

    def _call(self, step: Step) -> None:
        """A call of torch's, before what waits where it does not need it."""
        if is_view(step):
            self._views.update({s.number: step for s in step.outputs})
            return
        self._close({k for k, group in enumerate(self._pending) if any([s.root in group.writes for s in step.reads])
                     or any([s.root in group.reads or s.root in group.writes for s in step.writes])})
        self.items.append(step)

    def _looked(self, reads: Sequence[Slot]) -> None:
        """The views that are needed now."""
        for s in reads:
            step = self._views.get(s.number)
            if step is not None:
                for o in step.outputs:
                    self._views.pop(o.number, None)
                self._looked(step.reads)
                self.items.append(step)

    def _close(self, needed: set[int]) -> None:
        """These groups, and what they need of those before them."""
        for k in reversed(range(len(self._pending))):
            if k in needed:
                needed |= {j for j in range(k)
                           if any([self._pending[j].touched(p) for p in self._pending[k].pieces])}
        closed = [g for k, g in enumerate(self._pending) if k in needed]
        self._pending = [g for k, g in enumerate(self._pending) if k not in needed]
        if closed and self.items and isinstance(self.items[-1], list):
            self.items[-1] += closed
        elif closed:
            self.items.append(closed)

    def _settle(self) -> None:
        """A loop for a single call gains nothing: the call itself. Views come before the first call that reads them,
        which is known only then."""
        items, self.items = self.items, []
        for item in items:
            if isinstance(item, list) and len(item) == 1 and len(item[0].pieces) == 1:
                item = item[0].pieces[0].step or item
            if isinstance(item, Step):
                self._looked(item.reads)
            self.items.append(item)
        self._looked(self.program.outputs)


def is_view(step: Step) -> bool:
    """Whether a call only looks at memory in another way."""
    known = step.function in _VIEWS or isinstance(step.function, types.MethodWrapperType)
    return (known and not step.writes and not step.decides and bool(step.outputs)
            and len({r.number for r in step.reads}) == 1
            and all([s.root == step.reads[0].root for s in step.outputs]))


__all__ = ["Group", "Grouped", "is_view"]
