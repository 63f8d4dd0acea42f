"""Entries of a Jacobian as they come, and their values from the partials of a trace.

An entry is a sum of coefficient * slot: slot 0 is the number 1, and each elementwise operation with a partial that depends on
values fills new slots, entries so far times its partial. `Accumulation` keeps these steps, so that the Jacobian of another trace
alike is evaluated without any walk. Numbers (the 2 in 2 * x) are multiplied into the coefficients; each evaluation looks whether
they are still the same.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import torch

from ..core.trace import Node
from ..kernels import NUMBER_TYPES, Tensor

MOST_ENTRIES = 1 << 24  # beyond this many entries a pattern is taken for dense
Indices = np.ndarray
Place = tuple[int, int]  # of a partial: the node, in the order of the trace, and the operand


class Dense(Exception):
    """The pattern has too many entries to be worth knowing."""


class Part(NamedTuple):
    """Entries of a Jacobian: number k adds coefficients[k] * slot[slots[k]] at (rows[k], columns[k])."""

    rows: Indices | None  # None: 0, 1, 2, ..., so that every row has one entry
    columns: Indices
    slots: Indices | range | int
    coefficients: np.ndarray | float

    def spelled(self) -> Part:
        """The same with four arrays."""
        n = len(self.columns)
        slots: Any = self.slots
        slots = np.full(n, slots) if type(slots) is int else np.arange(slots.start, slots.stop) if type(slots) is range else slots
        return Part(np.arange(n) if self.rows is None else self.rows, self.columns, slots, np.broadcast_to(self.coefficients, n))

    def taken(self, which: Any, rows: Indices | None) -> Part:
        """Some of them, in other rows."""
        slots, coefficients = self.slots, self.coefficients
        if type(slots) is range:
            slots = which + slots.start
        elif type(slots) is not int:
            slots = slots[which]  # type: ignore[index]
        return Part(rows, self.columns[which], slots, coefficients[which] if isinstance(coefficients, np.ndarray) else coefficients)

    def times(self, factor: np.ndarray | float) -> Part:
        """The entries times a number, or times one each."""
        return self._replace(coefficients=self.coefficients * factor)


Entries = list[Part]  # several may meet in one place


def count_of(entries: Entries) -> int:
    """How many entries there are."""
    return sum(len(p.columns) for p in entries)


def whole(entries: Entries) -> Part:
    """All entries in four arrays."""
    if len(entries) == 1:
        return entries[0].spelled()
    if not entries:
        return Part(np.arange(0), np.arange(0), np.arange(0), np.ones(0))
    return Part(*map(np.concatenate, zip(*(p.spelled() for p in entries), strict=True)))


def moved(entries: Entries, target: Indices, coefficients: np.ndarray | None = None, present: bool = False) -> Entries:
    """Each row r becomes row target[r], times coefficients[r]; -1 is nowhere. `present`: it is known that there is none."""
    found = []
    for p in entries:
        rows = target if p.rows is None else target[p.rows]
        if coefficients is not None:
            p = p.times(coefficients if p.rows is None else coefficients[p.rows])
        if not present and len(rows) and rows.min() < 0:
            there = np.flatnonzero(rows >= 0)
            found.append(p.taken(there, rows[there]))
        else:
            found.append(p._replace(rows=rows))
    return found


def read(entries: Entries, source: Indices, size: int, coefficients: np.ndarray | None = None, present: bool = False) -> Entries:
    """Row r is what row source[r] was, times coefficients[r]; -1 reads zero. `size`: how many rows there were; `present`: no row is -1."""
    there: Indices | None = None  # which rows there are, where some are not
    if not present and len(source) and source.min() < 0:
        there = np.flatnonzero(source >= 0)
        source, coefficients = source[there], None if coefficients is None else coefficients[there]
    found, scattered = [], []
    for p in entries:
        if p.rows is not None:
            scattered.append(p)
            continue
        p = p.taken(source, there)
        found.append(p if coefficients is None else p.times(coefficients))
    if not scattered:
        return found
    if len(source) <= size:
        inverse = np.full(size, -1)
        inverse[source] = np.arange(len(source)) if there is None else there
        if np.count_nonzero(inverse >= 0) == len(source):  # no row is read twice
            factor = None
            if coefficients is not None:
                factor = np.zeros(size)
                factor[source] = coefficients
            return found + moved(scattered, inverse, factor)
    p = whole(scattered)
    which, wanted = _of_rows(p.rows, source, size)
    p = p.taken(which, np.repeat(np.arange(len(source)) if there is None else there, wanted))
    return [*found, p if coefficients is None else p.times(np.repeat(coefficients, wanted))]


def _of_rows(rows: Any, source: Indices, size: int) -> tuple[Indices, Indices]:
    """Which entries are in row source[0], then in row source[1], ...; and how many in each."""
    counts = np.bincount(rows, minlength=size)
    starts = np.cumsum(counts) - counts
    wanted = counts[source]
    total = int(wanted.sum())
    if total > MOST_ENTRIES:
        raise Dense
    within = np.arange(total) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    return np.argsort(rows, kind="stable")[np.repeat(starts[source], wanted) + within], wanted


def multiplied(matrix: Any, entries: Entries) -> Entries:
    """A constant sparse matrix times the entries."""
    local, p = matrix.tocoo(), whole(entries)
    which, wanted = _of_rows(p.rows, local.col, matrix.shape[1])
    return [p.taken(which, np.repeat(local.row, wanted).astype(np.int64)).times(np.repeat(local.data, wanted))]


def joined(parts: Sequence[Entries]) -> Entries:
    """All entries of several; what is plainly in the same places with the same slots is added up."""
    found: dict[Any, Part] = {}
    for p in (p for entries in parts for p in entries):
        key = id(p.rows), id(p.columns), p.slots if type(p.slots) in (int, range) else id(p.slots)
        same = found.get(key)
        found[key] = p if same is None else p._replace(coefficients=p.coefficients + same.coefficients)
    entries = list(found.values())
    if count_of(entries) > MOST_ENTRIES:
        raise Dense
    return entries


class Places:
    """The places row * n + column at which entries are, in order, each once."""

    def __init__(self, entries: Entries, m: int, n: int):
        ends = np.cumsum([len(p.columns) for p in entries])
        key = np.empty(ends[-1] if entries else 0, dtype=np.int32 if m * n < 1 << 31 else np.int64)  # fresh memory is dear
        before: dict[int, Indices] = {}  # of rows, which several parts share
        for p, end in zip(entries, ends, strict=True):
            count = len(p.columns)
            if id(p.rows) not in before:
                before[id(p.rows)] = (np.arange(count, dtype=key.dtype) if p.rows is None else p.rows.astype(key.dtype)) * n
            np.add(before[id(p.rows)], p.columns, out=key[end - count:end], casting="same_kind")
        self._order = np.argsort(key, kind="stable")
        key = key.take(self._order)
        self._new = np.ones(len(key), dtype=bool)
        np.not_equal(key[1:], key[:-1], out=self._new[1:])
        key = key[self._new]
        self.rows = key // max(n, 1)
        self.columns = np.subtract(key, self.rows * n, out=key)

    def of_entries(self) -> Indices:
        """Which place each entry is at."""
        found = np.empty(len(self._order), dtype=np.intp)
        found[self._order] = np.cumsum(self._new) - 1
        return found


def added(entry: Indices, coefficients: Any, count: int) -> np.ndarray:
    """The sum of the coefficients at each entry."""
    return np.bincount(entry, coefficients, minlength=count).astype(np.float64, copy=False)  # it counts integers where there are none


class Sums:
    """A vector of values from the slots: each a sum of coefficient * slot."""

    def __init__(self, constant: Any, layers: Sequence[tuple[Any, Any]] = (), matrix: Any = None):
        self.constant = constant  # one number, or a vector, None for zero
        self.layers = layers  # (coefficient, slots) that are added to it
        self.matrix = matrix  # or a sparse matrix, of which it is a column

    @classmethod
    def aligned(cls, entries: Entries) -> Sums:
        """Entries of one column in each row."""
        constant = [p.coefficients for p in entries if type(p.slots) is int]
        return cls(sum(constant) if constant else None,
                   [(p.coefficients, slice(p.slots.start, p.slots.stop) if type(p.slots) is range else p.slots) for p in entries if type(p.slots) is not int])

    @classmethod
    def of(cls, entry: Indices, count: int, p: Part, constant: np.ndarray | None = None) -> Sums:
        """Spelled-out entries that are at `entry` of a vector of length `count`, and what is constant there."""
        if constant is not None and not constant.any():
            constant = None
        if not p.slots.any():  # type: ignore[union-attr]
            return cls(added(entry, p.coefficients, count))
        if len(entry) == count:  # every value has one entry: they are put in order
            order = np.empty(count, dtype=np.intp)
            order[entry] = np.arange(count)
            p = p.taken(order, None)
            return cls(constant, [(1.0 if (p.coefficients == 1).all() else p.coefficients, p.slots)])  # type: ignore[union-attr]
        coefficients, places, slots = p.coefficients, entry, p.slots
        if constant is not None:
            coefficients, places, slots = (np.concatenate(two) for two in ((coefficients, constant), (places, np.arange(count)),
                                                                           (slots, np.zeros(count, dtype=np.int64))))
        return cls(None, matrix=scipy.sparse.csr_array((coefficients, (places, slots)), shape=(count, int(np.max(slots)) + 1)))

    def values(self, slots: np.ndarray) -> Any:
        """The vector, or the one number of which it consists; not to be written to."""
        if self.matrix is not None:
            return self.matrix @ slots[:self.matrix.shape[1]]
        total = self.constant
        for coefficient, at in self.layers:
            value = slots[at] if type(at) is slice else slots.take(at)
            if type(coefficient) is not float or coefficient != 1:
                value = value * coefficient
            total = value if total is None else total + value
        return total


@dataclass
class Step:
    """New slots: entries at `rows` of an elementwise operation's output, times one of its partials there."""

    place: Place
    read: int | None  # which value the partial is, where it is one of them
    slots: slice
    entries: Sums
    rows: Indices | None
    shape: tuple[int, ...]
    selects: bool  # the operation pushes a tangent in its own way: it selects, it does not multiply


class Accumulation:
    """The values of the entries, step by step, from the partials of a trace."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.numbers: list[tuple[Place, int | None, Any]] = []  # partials that are in the coefficients: where, which value they are, their own
        self.count = 1
        self.entries: Entries = []  # in the end
        self.places: Any = None  # of theirs
        self.result: tuple[np.ndarray, Indices | None, Sums] | None = None

    def changed(self, order: Sequence[Node]) -> set[Place]:
        """Which numbers are not what they were."""
        found = set()
        for place, read_, number in self.numbers:
            node = order[place[0]]
            partial = _partial(node, place[1], read_)
            if partial is not number and not (type(partial) is type(number) and (type(partial) is not Tensor or not partial.ndim) and bool(partial == number)):
                found.add(place)
        return found

    def values(self, order: Sequence[Node]) -> np.ndarray:
        """The entries of the pattern, in its order."""
        constant, varying, sums = self.result or self._result()
        if varying is None:
            return constant.copy()
        slots = np.empty(self.count)
        slots[0] = 1
        with np.errstate(all="ignore"):  # as in every walk: infinities are results
            for step in self.steps:
                self._take(step, order[step.place[0]], slots)
        values = constant.copy()
        values[varying] = sums.values(slots)
        return values

    def _result(self) -> tuple[np.ndarray, Indices | None, Sums]:
        """The entries that are constant; the places of those that vary, None without any, and their values from the slots."""
        p, entry, count = whole(self.entries), self.places.of_entries(), len(self.places.rows)
        varies = p.slots > 0  # type: ignore[operator]
        constant = added(entry[~varies], p.coefficients[~varies], count)  # type: ignore[index]
        varying, sums = None, Sums(constant)
        if varies.any():
            there = np.zeros(count, dtype=bool)
            there[entry[varies]] = True
            varying = np.flatnonzero(there)
            sums = Sums.of((np.cumsum(there) - 1)[entry[varies]], len(varying), p.taken(varies, None), constant[varying])
        self.result, self.entries, self.places = (constant, varying, sums), [], None
        return self.result

    @staticmethod
    def _take(step: Step, node: Node, slots: np.ndarray) -> None:
        operation: Any = node.operation
        k, operand = step.place
        if step.selects:
            ones = [torch.ones((), dtype=p.dtype) if j == operand and p is not None else None for j, p in enumerate(node.parents)]
            partial = operation.push(node.values, node.params, node, ones, ())
        else:
            partial = _partial(node, operand, step.read)
        if type(partial) not in NUMBER_TYPES:
            partial = values_of(partial)
            if partial.ndim:
                partial = (partial if partial.shape == step.shape else np.broadcast_to(partial, step.shape)).reshape(-1)
                partial = partial if step.rows is None else partial.take(step.rows)
        before, product = step.entries.values(slots), slots[step.slots]
        if type(before) is float and before == 1:
            product[...] = partial
            return
        np.multiply(before, partial, out=product)
        if operation.singular:
            product[np.broadcast_to(before == 0, product.shape)] = 0
        elif step.selects:
            product[np.broadcast_to(partial == 0, product.shape)] = 0


def partial_of(node: Node, operand: int) -> tuple[Any, int | None]:
    """A partial of an elementwise operation in this trace, and which of the node's values it is, where it is stated to be one."""
    operation: Any = node.operation
    stated = operation.stated[operand]
    read_ = operation.inputs.index(stated) if isinstance(stated, str) and stated in operation.inputs else None
    return _partial(node, operand, read_), read_


def _partial(node: Node, operand: int, read_: int | None) -> Any:
    if read_ is not None:
        return node.values[read_]
    operation: Any = node.operation
    return operation.partials[operand].call(node.values, node.params, node, None, (), None)


def number_of(partial: Any) -> float | None:
    """A partial that is one finite real number, else None."""
    if type(partial) is Tensor and not partial.ndim and partial.dtype.is_floating_point or type(partial) in (bool, int, float):
        number = float(partial)
        return number if math.isfinite(number) else None
    return None


def values_of(value: Tensor) -> np.ndarray:
    """As NumPy, which has no bfloat16."""
    value = value.float() if value.dtype is torch.bfloat16 else value
    return value.numpy() if value.is_cpu else value.cpu().numpy()


__all__ = ["MOST_ENTRIES", "Accumulation", "Dense", "Entries", "Indices", "Part", "Place", "Places", "Step", "Sums", "added", "count_of",
           "joined", "moved", "multiplied", "number_of", "partial_of", "read", "values_of", "whole"]
