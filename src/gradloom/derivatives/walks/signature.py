"""Whether two traces are alike, node by node: what is kept of one may be used for the other."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.kinds.elementwise import Elementwise
from ...core.trace import Node
from ...machine.dtypes import Tensor
from ...machine.questions import decided

PLAIN = frozenset((bool, int, float, complex, str, slice, torch.dtype, type(None), type(Ellipsis)))  # compared by ==


NOWHERE, OUTSIDE = -1, -2  # a parent that is a constant; one that is older than x


class Signature:
    """What a pattern rests on: operations, parameters, shapes, and the constants that select. Numbers and floating constants are free."""

    def __init__(self, order: Sequence[Node]):
        place: dict[Node | None, int] = {node: k for k, node in enumerate(order)}
        place[None] = NOWHERE
        self.x = order[0].shape, order[0].dtype
        self.count = len(order)
        self.nodes = []
        known: dict[Node, Any] = {}
        for k in range(len(order) - 1, 0, -1):
            node = order[k]
            node.restore(known)  # what a walk inside the function has dropped
            places = tuple([place.get(p, OUTSIDE) for p in node.parents])
            elementwise = isinstance(node.operation, Elementwise)
            follows = elementwise and all(p >= 0 for p in places)  # shape and type do, from those of the parents
            self.nodes.append((k, node.operation, node.params, _has_arrays(node.params), places,
                               None if follows else (node.shape, node.dtype),
                               None if elementwise else _selecting(node.values)))

    def order(self, u: Node, x: Node) -> list[Node] | None:
        """The nodes from x to u, each in the place of the one that it is like; None where the traces are not alike.

        The values that elementwise operations read are read anew.
        """
        if (x.shape, x.dtype) != self.x or (u is x) is (self.count > 1):
            return None
        known: dict[Node, Any] = {}
        found: list[Any] = [None] * self.count
        found[-1] = u
        found[0] = x
        for k, operation, params, arrays, places, kind, selecting in self.nodes:
            node = found[k]  # put in its place by a child, which comes later in a trace
            parents = node.parents
            if node.dropped is not None:
                node.restore(known)
            if (node.operation is not operation or len(parents) != len(places) or kind is not None
                and (node.shape, node.dtype) != kind):
                return None
            if params and not (same if arrays else _equal)(node.params, params):
                return None
            if selecting is not None:
                its = _selecting(node.values)
                if (its or selecting) and not same(its, selecting):
                    return None
            for parent, place in zip(parents, places, strict=False):
                if place >= 0:
                    other = found[place]
                    if other is None and parent is not None:
                        found[place] = parent
                    elif other is not parent or parent is None:
                        return None
                elif parent is not None if place == NOWHERE else parent is None or parent.number >= x.number:
                    return None
        return found


def _has_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_arrays, value.values()))
    return any(map(_has_arrays, value)) if isinstance(value, (tuple, list)) else type(value) not in PLAIN


def _selecting(values: Sequence[Any]) -> list[Any]:
    return [v for v in values if v is not None and _selects(v)]


def _selects(value: Any) -> bool:
    if type(value) is tuple:
        return any(map(_selects, value))
    return isinstance(value, Tensor) and not (value.dtype.is_floating_point or value.dtype.is_complex)


def _equal(a: Any, b: Any) -> bool:
    """Whether two parameters are equal, of which the second holds no arrays."""
    return not _has_arrays(a) and bool(a == b)


def same(a: Any, b: Any) -> bool:
    """Whether two parameters are equal, arrays by their elements."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        if a.shape != b.shape or a.dtype is not b.dtype or a.layout is not b.layout:
            return False
        if a.layout is torch.sparse_csr:
            return decided(lambda: all(torch.equal(f(a), f(b))
                                       for f in (Tensor.crow_indices, Tensor.col_indices, Tensor.values)))
        return decided(lambda: torch.equal(a, b))
    if isinstance(a, dlarray):
        return a._labels == b._labels and same(a._value, b._value)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    equal = a == b
    return isinstance(equal, (bool, np.bool_)) and bool(equal)  # what answers with an array is not known to be equal


__all__ = ["Signature", "same"]
