"""The values of a Jacobian's entries from the partials of a trace.

An entry is a sum of coefficient * slot: slot 0 is the number 1, and each elementwise operation with a partial that
depends on values fills new slots, entries so far times its partial. `Accumulation` keeps these steps, so that the
Jacobian of another trace alike is evaluated without any walk. Numbers (the 2 in 2 * x) are multiplied into the
coefficients; each evaluation looks whether they are still the same.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch

from ...core.trace import Node
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.modes import without_complaints
from .entries import Entries, Indices, Part, Places, whole

Place = tuple[int, int]  # of a partial: the node, in the order of the trace, and the operand


def added(entry: Indices, coefficients: Any, count: int) -> np.ndarray:
    """The sum of the coefficients at each entry."""
    # it counts integers where there are none
    return np.bincount(entry, coefficients, minlength=count).astype(np.float64, copy=False)


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
                   [(p.coefficients, slice(p.slots.start, p.slots.stop) if type(p.slots) is range else p.slots)
                    for p in entries if type(p.slots) is not int])

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
            coefficients = np.concatenate((coefficients, constant))
            places = np.concatenate((places, np.arange(count)))
            slots = np.concatenate((slots, np.zeros(count, dtype=np.int64)))
        return cls(None, matrix=scipy.sparse.csr_array((coefficients, (places, slots)),
                                                       shape=(count, int(np.max(slots)) + 1)))

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
        # partials that are in the coefficients: where, which value they are, the number
        self.numbers: list[tuple[Place, int | None, float]] = []
        self.count = 1
        self.ends: tuple[Entries, Places] | None = None  # the entries in the end, and their places
        self.result: Any = None  # what `_result` makes of them

    def changed(self, order: Sequence[Node]) -> set[Place]:
        """Which numbers are not what they were."""
        return {place for place, at, number in self.numbers
                if number_of(_partial(order[place[0]], place[1], at)) != number}

    def values(self, order: Sequence[Node]) -> np.ndarray:
        """The entries of the pattern, in its order."""
        constant, varying, sums = self.result or self._result()
        if varying is None:
            return constant.copy()
        slots = np.empty(self.count)
        slots[0] = 1
        # as in every walk: infinities are results
        without_complaints(self._take_all, order, slots, False)
        # quick way: what was not selected counts for nothing, which only an infinity needs; the plain one is `True`
        if not np.isfinite(slots).all() and any([s.selects or order[s.place[0]].trace.guarded for s in self.steps]):
            without_complaints(self._take_all, order, slots, True)
        values = constant.copy()
        values[varying] = sums.values(slots)
        return values

    def _take_all(self, order: Sequence[Node], slots: np.ndarray, guarded: bool) -> None:
        for step in self.steps:
            self._take(step, order[step.place[0]], slots, guarded)

    def _result(self) -> tuple[np.ndarray, Indices | None, Sums]:
        """The entries that are constant; the places of those that vary, None without any, and their values from the
        slots."""
        ends = self.ends
        if ends is None:  # another thread has been quicker
            return self.result  # type: ignore[no-any-return]
        p, entry, count = whole(ends[0]), ends[1].of_entries(), len(ends[1].rows)
        varies: Any = p.slots > 0  # type: ignore[operator]
        constant = added(entry[~varies], p.coefficients[~varies], count)  # type: ignore[index]
        varying, sums = None, Sums(constant)
        if varies.any():
            there = np.zeros(count, dtype=bool)
            there[entry[varies]] = True
            varying = np.flatnonzero(there)
            sums = Sums.of((np.cumsum(there) - 1)[entry[varies]], len(varying), p.taken(varies, None),
                           constant[varying])
        self.result = constant, varying, sums
        self.ends = None
        return constant, varying, sums

    @staticmethod
    def _take(step: Step, node: Node, slots: np.ndarray, guarded: bool) -> None:
        operation: Any = node.operation
        k, operand = step.place
        if step.selects:
            ones = [torch.ones((), dtype=p.dtype, device="cpu") if j == operand and p is not None
                    else None for j, p in enumerate(node.parents)]
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
        if guarded and (node.trace.guarded or step.selects):
            product[np.broadcast_to((before == 0) | (partial == 0), product.shape)] = 0


def partial_of(node: Node, operand: int) -> tuple[Any, int | None]:
    """A partial of an elementwise operation in this trace, and which of the node's values it is, where it is stated to
    be one."""
    operation: Any = node.operation
    stated = operation.stated[operand]
    at = operation.inputs.index(stated) if isinstance(stated, str) and stated in operation.inputs else None
    return _partial(node, operand, at), at


def _partial(node: Node, operand: int, at: int | None) -> Any:
    if at is not None:
        return node.values[at]
    operation: Any = node.operation
    partial = operation.partials[operand].call(node.values, node.params, node, None, (), None)
    return partial.item() if isinstance(partial, np.generic) else partial


def number_of(partial: Any) -> float | None:
    """A partial that is one finite real number, else None."""
    if (type(partial) is Tensor and not partial.ndim and partial.dtype.is_floating_point
        or type(partial) in (bool, int, float)):
        number = float(partial)
        return number if math.isfinite(number) else None
    return None


def values_of(value: Tensor) -> np.ndarray:
    """As NumPy, which has no bfloat16."""
    value = value.float() if value.dtype is torch.bfloat16 else value
    return value.numpy() if value.is_cpu else value.cpu().numpy()


__all__ = ["Accumulation", "Place", "Step", "Sums", "added", "number_of", "partial_of", "values_of"]
