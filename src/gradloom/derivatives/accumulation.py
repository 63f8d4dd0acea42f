"""Entries of a Jacobian as they come, and their values from the partials of a trace.

An entry is a sum of coefficient * slot: slot 0 is the number 1, and each elementwise operation with a partial that depends on
values fills new slots, entries so far times its partial. `Accumulation` keeps these steps, so that the Jacobian of another trace
alike is evaluated without any walk.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch

from ..core.trace import Node
from ..kernels import NUMBER_TYPES, Tensor

MOST_ENTRIES = 1 << 24  # beyond this many entries a pattern is taken for dense
Indices = np.ndarray


class Dense(Exception):
    """The pattern has too many entries to be worth knowing."""


@dataclass
class Entries:
    """Entries of a Jacobian: element k adds coefficients[k] * slot[slots[k]] at (rows[k], columns[k]); several may meet in one place."""

    rows: Indices
    columns: Indices
    slots: Indices
    coefficients: np.ndarray

    def taken(self, which: Any) -> Entries:
        """Some of them."""
        return Entries(self.rows[which], self.columns[which], self.slots[which], self.coefficients[which])

    def moved(self, target: Indices, coefficients: np.ndarray | None = None) -> Entries:
        """Each row r becomes row target[r], times coefficients[r]; -1 is nowhere."""
        rows = target[self.rows]
        values = self.coefficients if coefficients is None else self.coefficients * coefficients[self.rows]
        found = Entries(rows, self.columns, self.slots, values)
        return found.taken(rows >= 0) if (rows < 0).any() else found

    def read(self, source: Indices, size: int, coefficients: np.ndarray | None = None) -> Entries:
        """Row r is what row source[r] was, times coefficients[r]; -1 reads zero. `size`: how many rows there were."""
        present = np.flatnonzero(source >= 0)
        times = np.bincount(source[present], minlength=size)
        if not len(times) or times.max() <= 1:
            target = np.full(size, -1)
            target[source[present]] = present
            at = None
            if coefficients is not None:
                at = np.zeros(size)
                at[source[present]] = coefficients[present]
            return self.moved(target, at)
        order = np.argsort(self.rows, kind="stable")
        counts = np.bincount(self.rows, minlength=size)
        starts = np.cumsum(counts) - counts
        wanted = counts[source[present]]
        total = int(wanted.sum())
        if total > MOST_ENTRIES:
            raise Dense
        rows = np.repeat(present, wanted)
        within = np.arange(total) - np.repeat(np.cumsum(wanted) - wanted, wanted)
        found = self.taken(order[np.repeat(starts[source[present]], wanted) + within])
        values = found.coefficients if coefficients is None else found.coefficients * coefficients[rows]
        return Entries(rows, found.columns, found.slots, values)


def joined(parts: Sequence[Entries]) -> Entries:
    """All entries of several."""
    if len(parts) == 1:
        return parts[0]
    total = sum(len(p.rows) for p in parts)
    if total > MOST_ENTRIES:
        raise Dense
    return Entries(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("rows", "columns", "slots", "coefficients")))


@dataclass
class Sums:
    """A vector of values from the slots: each a sum of coefficient * slot."""

    constant: np.ndarray | None  # the values, where only slot 0 counts
    places: Indices | None  # the slots, where each value is one of them
    matrix: Any  # else

    @classmethod
    def of(cls, entry: Indices, count: int, entries: Entries, slots: int) -> Sums:
        if not entries.slots.any():
            return cls(np.bincount(entry, entries.coefficients, minlength=count), None, None)
        if len(entry) == count and (entries.coefficients == 1).all():
            places = np.empty(count, dtype=np.intp)
            places[entry] = entries.slots
            return cls(None, places, None)
        return cls(None, None, scipy.sparse.csr_array((entries.coefficients, (entry, entries.slots)), shape=(count, slots)))

    def values(self, slots: np.ndarray) -> np.ndarray:
        """The vector, not to be written to."""
        if self.constant is not None:
            return self.constant
        if self.places is not None:
            return slots.take(self.places)
        return self.matrix @ slots[:self.matrix.shape[1]]


@dataclass
class Step:
    """New slots: entries at `rows` of an elementwise operation's output, times one of its partials there."""

    node: int  # in the order of the trace
    operand: int
    first: int
    entries: Sums
    rows: Indices
    every: bool  # the rows are 0, 1, 2, ...
    shape: tuple[int, ...]
    selects: bool  # the operation pushes a tangent in its own way: it selects, it does not multiply


class Accumulation:
    """The values of the entries, step by step, from the partials of a trace."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.count = 1
        self.result: Sums | None = None

    def values(self, order: Sequence[Node]) -> np.ndarray:
        """The entries of the pattern, in its order."""
        assert self.result is not None
        slots = np.empty(self.count)
        slots[0] = 1
        with np.errstate(all="ignore"):  # as in every walk: infinities are results
            for step in self.steps:
                self._take(step, order[step.node], slots)
        values = self.result.values(slots)
        return values.copy() if values is self.result.constant else values

    @staticmethod
    def _take(step: Step, node: Node, slots: np.ndarray) -> None:
        operation: Any = node.operation
        if step.selects:
            ones = [torch.ones((), dtype=p.dtype) if j == step.operand and p is not None else None for j, p in enumerate(node.parents)]
            partial = operation.push(node.values, node.params, node, ones, ())
        else:
            partial = operation.partials[step.operand].call(node.values, node.params, node, None, (), None)
        before = step.entries.values(slots)
        last = step.first + len(step.rows)
        if type(partial) not in NUMBER_TYPES:
            partial = values_of(partial)
            if partial.ndim:
                partial = np.broadcast_to(partial, step.shape).reshape(-1)
                partial = partial if step.every else partial.take(step.rows)
        product = np.multiply(before, partial, out=slots[step.first:last])
        if operation.singular:
            product[before == 0] = 0
        elif step.selects:
            product[partial == 0] = 0


def values_of(value: Tensor) -> np.ndarray:
    """As NumPy, which has no bfloat16."""
    return (value.float() if value.dtype is torch.bfloat16 else value).cpu().numpy()


__all__ = ["MOST_ENTRIES", "Accumulation", "Dense", "Entries", "Indices", "Step", "Sums", "joined", "values_of"]
