"""The walk behind divergences and Laplacians: tangents in all directions first, then their second order.

Along direction r a value moves by x_dot[r], and the sum over r of its second derivatives is x_ddot. An operation gives

    y_dot[r] = sum_i p_i x_dot_i[r]
    y_ddot = sum_i p_i x_ddot_i + source
    source = sum_r sum_ij p_ij x_dot_i[r] x_dot_j[r],

so the second order is one linear push that picks up sources on its way. Tangents are pushed only as far as some
operation still bends them, keep size 1 along axes where they are constant (behind the first layer they are the weights
themselves), and, when nothing is recorded, go in pieces of a few directions that stay in cache.

A direction for each entry of an axis of x is not needed as long as no operation has mixed the entries: all of them move
at once, tied to their place, and are untied (given a direction each) in front of the first operation that mixes them.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...blocks.block import Block, identity
from ...core.array import dlarray
from ...core.tables import words
from ...core.trace import Node, ancestors, walking
from ...machine.dtypes import Tensor
from ..walks.failures import FAILURES, refuse_in_words
from ..walks.kept_plans import remembered
from ..walks.places import is_plain, push_places
from ..walks.steps import handles, output_of, reader, refuse
from .bending import bends, elementwise_partials, elementwise_source, plus, source, take_rows, whole
from .pushing import linear_part

PIECE = 1 << 20  # bytes of a tangent that stay in cache
# of an axis of x: the node's axis at whose place it is, entries around it in that axis, entries inside
Ties = dict[int, tuple[int, int, int]]


@dataclass
class Route:
    """What the structure of a trace from x to u says, node by node in the order of the walk."""

    ties: list[Ties]
    bent: list[bool]  # the node bends a tangent
    needed: list[bool]  # a later node bends the tangent of this one


def route(u: Node, x: Node, axes: Sequence[int], order: Sequence[Node]) -> Route:
    """Kept by the trace's signature; `axes` are those of x that directions are needed for."""
    return remembered("route", [u], [x], lambda: _route(x, axes, order), tuple(axes))  # type: ignore[no-any-return]


def _route(x: Node, axes: Sequence[int], order: Sequence[Node]) -> Route:
    active = {x}
    for node in order:
        if any(p in active for p in node.parents):
            active.add(node)
    bent = walking(lambda: [node is not x and node in active and bends(node, active) for node in order])
    needed = dict.fromkeys(order, False)
    for node, bending in zip(reversed(order), reversed(bent), strict=True):
        for parent in node.parents:
            if parent in needed and (bending or needed[node]):  # type: ignore[index]
                needed[parent] = True  # type: ignore[index]
    try:
        blocks = push_places(order, {x: identity(x.shape, x.dtype, "meta")})
    except Exception:  # an operation that cannot run without data: every entry gets a direction of its own
        blocks = [None] * len(order)
    known = {id(block): _ties(block, axes, x) for block in blocks}  # many nodes share one
    ties = [known[id(block)] if node is not x else {k: (k, 1, 1) for k in axes}
            for node, block in zip(order, blocks, strict=True)]
    return Route(ties, bent, [needed[node] for node in order])


def _ties(block: Any, axes: Sequence[int], x: Node) -> Ties:
    """The axes of x that keep their place in a node, all terms alike."""
    if type(block) is tuple:
        parts = [_ties(b, axes, x) for b in block if b is not None]
        return {k: t for k, t in parts[0].items() if all(p.get(k) == t for p in parts)} if parts else {}
    if type(block) is not Block or not block.terms:
        return {}
    found: Ties = {}
    for k in axes:
        places = {_place(term, k, x.shape[k]) for term in block.terms}
        if len(places) == 1 and (place := places.pop()) is not None:
            found[k] = place
    return found


def _place(term: Any, k: int, size: int) -> tuple[int, int, int] | None:
    inn = term.inn[k]
    if size == 1 or inn.positions is not None or len(inn.indices) != 1:
        return None
    index = inn.indices[0]
    at = [o for o, axis in enumerate(term.out) if index in axis.indices]
    if len(at) != 1 or term.out[at[0]].positions is not None or term.out[at[0]].indices.count(index) != 1:
        return None
    ids = term.out[at[0]].indices
    d = ids.index(index)
    return at[0], math.prod(i.size for i in ids[:d]), math.prod(i.size for i in ids[d + 1:])


class Walk:
    """One walk from x to u.

    `seed`: tangents of shape (directions, *x.shape), 1 where constant; where `tied` it is one, and each entry along
    `axes` moves alone by it. `moving`: of an axis the entries that move at all, where that is known.
    """

    def __init__(self, u: Node, x: Node, axes: Sequence[int], seed: Any, tied: bool, recorded: bool,
                 moving: dict[int, list[int]] | None = None):
        self.u, self.x, self.recorded = u, x, recorded
        self.axes = tuple(k for k in axes if x.shape[k] != 1)
        self.moving = {k: (moving or {}).get(k, [*range(x.shape[k])]) for k in self.axes}
        self.order = ancestors([u], x.number)
        self.place = {node: k for k, node in enumerate(self.order)}
        self.route = route(u, x, self.axes, self.order)
        self.seed = (dlarray._made(seed, None) if recorded else seed), frozenset(self.axes if tied else ())
        self.read = reader(handles if recorded else None)
        self.partials: dict[Node, Any] = {}
        self.sources: dict[Node, Any] = {}
        self.sums: dict[Node, dict[tuple[int, int], Any]] = {}
        self.in_pieces: set[Node] = set()
        self.made: set[Node] = set()  # nodes whose tangent is in memory of this walk, which nothing else refers to
        self.bending, self.cut = True, not recorded
        self.cut_axes: set[int] = set()  # their directions come first: pieces of them
        self.ending: dict[int, list[Node]] = {}
        last: dict[Node, int] = {u: len(self.order)}
        for k, node in enumerate(self.order):
            for parent in node.parents:
                if parent is not None:
                    last[parent] = max(last.get(parent, 0), k)
        for node, k in last.items():
            self.ending.setdefault(k, []).append(node)

    # ----- what is asked -----

    def tangents(self) -> Any:
        """(directions, *u.shape): how u moves along each."""
        self.route = Route(self.route.ties, [False] * len(self.order), [True] * len(self.order))
        self.bending = self.cut = False
        return walking(self._all_tangents)

    def _all_tangents(self) -> Any:
        found = self._tangents(0, {})
        if found is None:
            return None
        tangent, tied = found
        for k in [k for k in self.axes if k in tied]:
            tangent, tied = self._untied(tangent, tied, k, self.u, len(self.order) - 1)
        return whole(tangent, self.u.shape)

    def second(self) -> Any:
        """The sum of second derivatives of u over the directions, None where it is zero."""
        try:
            return walking(self._second)
        except FAILURES as error:
            refuse_in_words(error)
            raise

    def tangents_and_second(self) -> tuple[Any, Any]:
        """Both from one walk: nothing is cut, and every tangent goes to the end."""
        self.route = Route(self.route.ties, self.route.bent, [True] * len(self.order))
        self.bending = self.cut = False
        try:
            return walking(self._all_tangents), walking(self._sources_pushed)
        except FAILURES as error:
            refuse_in_words(error)
            raise

    def _second(self) -> Any:
        self._tangents(0, {})
        return self._sources_pushed()

    def _sources_pushed(self) -> Any:
        ddots: dict[Node, Any] = {}
        for k, node in enumerate(self.order):
            parts = [ddots.get(p) if p is not None else None for p in node.parents]
            y_ddot = self._pushed(node, parts, ()) if any(p is not None for p in parts) else None
            found = self.sources.pop(node, None)
            if node in self.sums:
                y_ddot = elementwise_source(node, self.sums.pop(node), self.partials[node][1], y_ddot)
            elif found is not None:
                y_ddot = found if y_ddot is None else plus(y_ddot, found)
            if y_ddot is not None:
                ddots[node] = y_ddot
            for gone in self.ending.get(k, ()):
                ddots.pop(gone, None)
        found = ddots.get(self.u)
        return None if found is None else whole(found, self.u.shape, 0)

    # ----- tangents -----

    def _tangents(self, start: int, dots: dict[Node, Any]) -> Any:
        """From node number `start` on, with the tangents that are alive there; the last node's."""
        found = None
        for k in range(start, len(self.order)):
            node = self.order[k]
            if not self.in_pieces and self.cut and self._large(node, dots):
                for piece in self._pieces(node, dots):
                    self._tangents(k, piece)
                return None
            found = self.seed if node is self.x else self._through(k, node, dots)
            if found is not None and self.route.needed[k]:
                dots[node] = found
            for gone in self.ending.get(k, ()):
                dots.pop(gone, None)
            if self.bending and len(dots) == 1:
                self._reduce(dots)
        return found

    def _reduce(self, dots: dict[Node, Any]) -> None:
        """With more directions than entries that move, a factor of the smaller rank: only sums over directions
        matter."""
        (node, (tangent, tied)), = dots.items()
        if (tied or type(tangent) is tuple or type(tangent) is dlarray and tangent._node is not None
            or node.dtype not in (torch.float32, torch.float64)):
            return
        raw = tangent._value if type(tangent) is dlarray else tangent
        rows, entries = raw.shape[0], math.prod(raw.shape[1:])
        if rows > entries > 0:
            factor = torch.linalg.qr(raw.reshape(rows, entries), mode="r").R.reshape(entries, *raw.shape[1:])
            dots[node] = dlarray._made(factor, None) if self.recorded else factor, tied

    def _through(self, k: int, node: Node, dots: dict[Node, Any]) -> Any:
        carried = [dots.get(p) if p is not None else None for p in node.parents]
        if all(c is None for c in carried) or not (self.route.bent[k] or self.route.needed[k]):
            return None
        refuse(node)
        output = output_of(node)
        if output is not None:
            tangent, tied = carried[0]  # type: ignore[misc]
            return None if tangent[output] is None else (tangent[output], tied)
        common = frozenset(self.route.ties[k]).intersection(*[c[1] for c in carried if c is not None])
        parts: list[Any] = []
        for parent, c in zip(node.parents, carried, strict=True):
            if c is not None:
                tangent, tied = c
                for axis in [a for a in self.axes if a in tied and a not in common]:
                    tangent, tied = self._untied(tangent, tied, axis, parent, self.place[parent])  # type: ignore[arg-type, index]
                parts.append(tangent)
            else:
                parts.append(None)
        if self.route.bent[k]:
            if node not in self.in_pieces:
                self.sums.pop(node, None)
            found = source(node, self.read(node), parts, self.recorded, self.partials, self.sums)
            if found is not None:
                self.sources[node] = (plus(self.sources[node], found) if node in self.in_pieces
                                      and node in self.sources else found)
        if not self.route.needed[k]:
            return None
        y_dot = self._in_place(k, node, parts)
        if y_dot is None:
            rows = next(p.shape[0] for p in parts if p is not None)
            y_dot = self._pushed(node, parts, (rows,))
        return None if y_dot is None else (y_dot, common)

    def _in_place(self, k: int, node: Node, parts: list[Any]) -> Any:
        """The tangent of the one parent that moves times its partial, in the memory of a tangent that nothing reads
        afterwards; None where there is none."""
        if self.recorded:
            return None
        moving = [i for i, d in enumerate(parts) if d is not None]
        ps = elementwise_partials(node, self.read(node), False, self.partials) if is_plain(node) else []
        if not node.operation.row_product and not (ps and all([type(ps[i]) is Tensor for i in moving])):
            self.made.difference_update(node.parents)  # this tangent may be another name for theirs
            self.made.discard(node)
            return None
        self.made.add(node)
        parent, tangent, p = node.parents[moving[0]], parts[moving[0]], ps[moving[0]] if ps else None
        if (p is None or len(moving) > 1 or parent not in self.made or parent not in self.ending.get(k, ())
            or type(tangent) is not Tensor or node.trace.guarded or tangent.shape[1:] != node.shape
            or 0 in tangent.stride() or p.dtype is not tangent.dtype):  # type: ignore[attr-defined]
            return None
        return tangent.mul_(p)

    def _pushed(self, node: Node, parts: list[Any], lead: tuple[int, ...]) -> Any:
        return linear_part(node, parts, lead, self.read, self.recorded, self.partials)

    def _untied(self, tangent: Any, tied: frozenset[int], axis: int, node: Node, k: int) -> tuple[Any, frozenset[int]]:
        """A direction for each entry of an axis that all moved at once so far."""
        out, outer, inner = self.route.ties[k][axis]
        size = self.x.shape[axis]
        entries = self.moving[axis]
        count = len(entries)
        later = [a for a in self.axes if a > axis and a not in tied and a not in self.cut_axes]
        after = math.prod(len(self.moving[a]) for a in later)
        before = tangent.shape[0] // after
        shape = tuple(tangent.shape[1:])
        hot = torch.eye(size, dtype=torch.bool, device=tangent.device)
        hot = hot if count == size else hot[entries]
        hot = hot.reshape(count, 1, size, 1).expand(count, outer, size, inner).reshape(count, outer * size * inner)
        hot = hot.reshape(1, count, 1, *(1,) * out, outer * size * inner, *(1,) * (len(shape) - out - 1))
        split = words.reshape(tangent, (before, 1, after, *shape))
        if self.recorded:  # chosen, not multiplied: a tangent may be infinite
            made = words.where(dlarray._made(hot, None), split, 0)
        else:
            made = torch.where(hot, split, torch.zeros((), dtype=split.dtype, device=split.device))
        return words.reshape(made, (before * count * after, *made.shape[3:])), tied - {axis}

    # ----- pieces -----

    def _large(self, node: Node, dots: dict[Node, Any]) -> bool:
        """Whether the tangent of a node outgrows the cache, while those alive do not yet."""
        if node.shape is None or output_of(node) is not None:
            return False
        parts = [dots[p] for p in node.parents if p in dots]
        if not parts:
            return False
        rows = parts[0][0].shape[0]
        alike = all(type(t) is not tuple and t.shape[0] == rows and tied == parts[0][1] for t, tied in dots.values())
        return rows > 1 and alike and rows * math.prod(node.shape) * node.dtype.itemsize > PIECE

    def _pieces(self, node: Node, dots: dict[Node, Any]) -> Iterator[dict[Node, Any]]:
        rows = next(iter(dots.values()))[0].shape[0]
        least = max(1, PIECE // max(1, math.prod(node.shape) * node.dtype.itemsize))
        count = -(-rows // least)
        step = -(-rows // count)
        self.cut_axes = set(self.axes) - next(iter(dots.values()))[1]
        self.in_pieces.update(self.order[self.place[node]:])
        for first in range(0, rows, step):
            yield {n: (take_rows(t, first, first + step), tied) for n, (t, tied) in dots.items()}


__all__ = ["Walk"]
