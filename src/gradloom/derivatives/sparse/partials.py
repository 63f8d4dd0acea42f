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
import torch

from ...core.trace import Node
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.finite import all_finite
from .entries import Entries, Indices, Part, Places, whole

MANY = 4  # times the entries that vary: so many are evaluated whole
Place = tuple[int, int]  # of a partial: the node, in the order of the trace, and the operand


def added(entry: Indices, coefficients: Any, count: int) -> np.ndarray:
    """The sum of the coefficients at each entry."""
    # it counts integers where there are none
    return np.bincount(entry, coefficients, minlength=count).astype(np.float64, copy=False)


class Sums:
    """A vector of values from the slots: each a sum of coefficient * slot."""

    def __init__(self, constant: Any, layers: Sequence[tuple[Any, Any]] = (), matrix: Any = None):
        self.constant = _given(constant)  # one number, or a vector, None for zero
        # (coefficient, slots) that are added to it
        self.layers = [(_given(coefficient), _given(slots)) for coefficient, slots in layers]
        self.matrix = matrix  # or (coefficients, entries, slots, how many entries): sums of unequal length

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
        order = np.argsort(entry, kind="stable")
        return cls(constant, matrix=(*[_given(np.broadcast_to(x, len(entry))[order])
                                       for x in (p.coefficients, entry, p.slots)], count))

    def values(self, slots: Tensor) -> Any:
        """The vector, or the one number of which it consists; not to be written to."""
        total = self.constant
        if self.matrix is not None:
            coefficients, entry, at, count = self.matrix
            sums = slots.new_zeros(count) if total is None else total.clone()
            return sums.index_add_(0, entry, slots.index_select(0, at).mul_(coefficients))
        for coefficient, at in self.layers:
            value = slots[at] if type(at) is slice else slots.index_select(0, at)
            if type(coefficient) is not float or coefficient != 1:
                value = value * coefficient
            total = value if total is None else total + value
        return total


def _given(x: Any) -> Any:
    """What is worked out in NumPy, as the tensor that it is evaluated with."""
    if not isinstance(x, np.ndarray):
        return float(x) if isinstance(x, np.floating) else x
    return torch.tensor(x, dtype=torch.int64 if x.dtype.kind in "iu" else torch.float64, device="cpu")


@dataclass
class Step:
    """New slots: entries at `rows` of an elementwise operation's output, times one of its partials there."""

    place: Place
    read: int | None  # which value the partial is, where it is one of them
    slots: slice
    entries: Sums
    rows: Tensor | None
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

    def values(self, order: Sequence[Node]) -> Tensor:
        """The entries of the pattern, in its order, in fresh memory."""
        values = self._values(order, False)
        # as in every walk: what was not selected may have been infinite; once more, with 0 times infinity as 0
        guarded = any([step.selects or order[step.place[0]].trace.guarded for step in self.steps])
        if guarded and not all_finite([values]):
            return self._values(order, True)
        return values

    def _values(self, order: Sequence[Node], guarded: bool) -> Tensor:
        constant, varying, sums = self.result or self._result()
        if sums is None:
            return constant.clone()
        slots = torch.ones(self.count, dtype=torch.float64, device="cpu")
        for step in self.steps:
            self._take(step, order[step.place[0]], slots, guarded)
        values: Tensor = sums.values(slots)
        return values if varying is None else constant.index_copy(0, varying, values)

    def _result(self) -> tuple[Tensor, Tensor | None, Sums | None]:
        """The entries that are constant; the places of those that vary, None where all do, and their values from the
        slots, None where none varies."""
        ends = self.ends
        if ends is None:  # another thread has been quicker
            return self.result  # type: ignore[no-any-return]
        p, entry, count = whole(ends[0]), ends[1].of_entries(), len(ends[1].rows)
        varies: Any = p.slots > 0  # type: ignore[operator]
        constant = added(entry[~varies], p.coefficients[~varies], count)  # type: ignore[index]
        varying, sums = None, None
        if varies.any():
            there = np.zeros(count, dtype=bool)
            there[entry[varies]] = True
            varying = np.flatnonzero(there)
            p, entry = p.taken(np.flatnonzero(varies), None), entry[varies]
            if len(entry) == len(varying) and count <= MANY * len(varying):  # quick way: of all entries, most times 0
                coefficients, slots = np.zeros(count), np.zeros(count, dtype=np.int64)
                coefficients[entry], slots[entry] = p.coefficients, p.slots
                sums, varying = Sums(constant if constant.any() else None, [(coefficients, slots)]), None
            else:
                sums = Sums.of((np.cumsum(there) - 1)[entry], len(varying), p, constant[varying])
                varying = None if len(varying) == count else _given(varying)
        self.result = _given(constant), varying, sums
        self.ends = None
        return self.result  # type: ignore[no-any-return]

    @staticmethod
    def _take(step: Step, node: Node, slots: Tensor, guarded: bool) -> None:
        operation: Any = node.operation
        k, operand = step.place
        if step.selects:
            ones = [torch.ones((), dtype=p.dtype, device="cpu") if j == operand and p is not None
                    else None for j, p in enumerate(node.parents)]
            partial = operation.push(node.values, node.params, node, ones, ())
        else:
            partial = _partial(node, operand, step.read)
        if type(partial) not in NUMBER_TYPES:
            partial = partial.to("cpu", torch.float64)
            if partial.ndim:
                partial = (partial if partial.shape == step.shape else partial.expand(step.shape)).reshape(-1)
                partial = partial if step.rows is None else partial.index_select(0, step.rows)
        before, product = step.entries.values(slots), slots[step.slots]
        if isinstance(before, Tensor) and before.ndim:
            torch.mul(before, partial, out=product)
        else:
            found = partial if not isinstance(before, Tensor) and before == 1 else before * partial
            product.copy_(found) if isinstance(found, Tensor) else product.fill_(found)
        if guarded and (step.selects or node.trace.guarded):
            product.masked_fill_(torch.as_tensor((before == 0) | (partial == 0), device="cpu"), 0)


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
