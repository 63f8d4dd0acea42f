"""Groups over the same rows as one loop over blocks of rows, which threads share: what one hands on to the next is
still in the cache, and what nobody else reads is never written to memory.

A group is of a tile where it does to each row what needs that row alone, or adds rows up. What is not about rows (a
matrix laid out anew) comes before, what reads a sum over rows after it.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .groups import Group
from .lanes import KINDS, SIZES
from .places import Access, Part, Piece

ROWS = 1 << 10  # rows from which on a tile is looked for
LEAST = 3  # groups of a tile
NEAR = 1 << 20  # bytes of a block of rows, which stay near
WORK = 1 << 20  # places times pieces of a tile, below which the threads cost more than it gains
BLOCKS = 16, 512  # rows of a block
SUMS = 1 << 20  # bytes of the sums that a thread keeps for itself


class Rows(NamedTuple):
    """How an access goes over rows: elements from one to the next, the row with which it begins, and whether it stays
    in its row."""

    stride: int
    first: int
    inside: bool
    summed: bool


class Tile:
    """Groups over the same rows, with the axis of each that these are."""

    def __init__(self, count: int):
        self.count, self.groups, self.axes = count, list[Group](), list[int]()
        self._touched: dict[int, list[Rows]] = {}
        self._written: set[int] = set()

    @property
    def pieces(self) -> list[Piece]:
        return [p for g in self.groups for p in g.pieces]

    @property
    def shape(self) -> tuple[int, ...]:
        return max([g.shape for g in self.groups], key=math.prod)

    def taken(self, group: Group) -> bool:
        """Take a group where it keeps to its rows."""
        if group.shape.count(self.count) != 1:
            return False
        axis = group.shape.index(self.count)
        if any([p.reduces and not p.output.strides[axis] and p.gaps for p in group.pieces]):
            return False
        found = [(a, self._rows(a, axis, p.shape, p.reduces and a is p.output))
                 for p in group.pieces for a in p.accesses()]
        touched = {root: [*its] for root, its in self._touched.items()}
        for a, rows in found:
            touched.setdefault(a.slot.root, []).append(rows)
        written = self._written | {p.output.slot.root for p in group.pieces}
        for root in written:
            its = touched[root]
            if not (all([r.summed for r in its]) or all([r.inside for r in its])
                    and len({(r.stride, r.first) for r in its}) == 1):
                return False
        self._touched, self._written = touched, written
        self.groups.append(group)
        self.axes.append(axis)
        return True

    @staticmethod
    def _rows(a: Access, axis: int, shape: Sequence[int], output: bool) -> Rows:
        stride = a.strides[axis]
        if not stride:
            return Rows(0, 0, False, output)
        first, start = divmod(a.offset, stride)
        inside = start + sum([(n - 1) * t for k, (n, t) in enumerate(zip(shape, a.strides, strict=True)) if k != axis])
        return Rows(stride, first, inside < stride, False)

    def stride(self, root: int) -> int:
        """Elements of an array from one row to the next; 0 of what is no row's or lies otherwise."""
        its = {(r.stride, r.first, r.inside) for r in self._touched[root]}
        stride, first, inside = next(iter(its))
        return stride if len(its) == 1 and inside and not first else 0

    def bytes_of_a_row(self) -> int:
        """Of all that is read and written."""
        sizes = {a.slot.root: SIZES[KINDS[a.slot.dtype]] for p in self.pieces for a in p.accesses()}
        return sum([max([r.stride for r in its]) * sizes[root] for root, its in self._touched.items()])

    @property
    def block(self) -> int:
        """Rows that are done together."""
        least, most = BLOCKS
        return max(least, min(most, NEAR // max(self.bytes_of_a_row(), 1) // 8 * 8))

    def parts(self, rows: int) -> Iterator[Part]:
        """The groups over so many rows."""
        for group, axis in zip(self.groups, self.axes, strict=True):
            yield Part([p.over((*p.shape[:axis], rows, *p.shape[axis + 1:]), lambda a: a) for p in group.pieces])

    def row_of(self, k: int, a: Access) -> int:
        """Elements between the rows of what group number k touches."""
        return a.strides[self.axes[k]]

    def sums(self) -> dict[Any, Piece]:
        """What is added up over rows, by its place."""
        return {p.output.place: p for g, axis in zip(self.groups, self.axes, strict=True) for p in g.pieces
                if p.reduces and not p.output.strides[axis]}

    def worth_while(self) -> bool:
        work = sum([math.prod(g.shape) * len(g.pieces) for g in self.groups])
        return (len(self.groups) >= LEAST and work >= WORK and sum([p.span for p in self.sums().values()]) <= SUMS
                and self.bytes_of_a_row() * self.count > NEAR and self.count >= 4 * self.block)


def tiled(groups: list[Group], threads: int) -> list[Group | Tile]:
    """The groups in an order that is as good, some of them as tiles."""
    work: dict[int, int] = {}
    for g in groups:
        for n in {n for n in g.shape if n >= ROWS}:
            work[n] = work.get(n, 0) + math.prod(g.shape) * len(g.pieces)
    if not work or threads == 1:
        return [*groups]
    tile, before, after = Tile(max(work, key=work.__getitem__)), list[Group](), list[Group]()
    # what is about no rows goes before or after piece by piece: one may be asked for earlier than another
    apart = [one for g in groups for one in ([g] if tile.count in g.shape else map(Group, g.pieces))]
    for g in apart:
        if any([_touch(g, other) for other in after]) or not tile.taken(g):
            (after if any([_touch(g, other) for other in (*tile.groups, *after)]) else before).append(g)
    if not tile.worth_while():
        return [*groups]
    return [*before, tile, *tiled(after, threads)]


def _touch(a: Group, b: Group) -> bool:
    """Whether the order of two groups matters."""
    return any([root in b.reads or root in b.writes for root in a.writes]) or any(
        [root in b.writes for root in a.reads])


__all__ = ["Tile", "tiled"]
