"""Whether two traces are alike, node by node: what is kept of one may be used for the other."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.elementwise import Elementwise
from ..core.trace import Node
from ..kernels import Tensor

PLAIN = (bool, int, float, complex, str, slice, torch.dtype, type(None), type(Ellipsis))  # compared by ==


NOWHERE, OUTSIDE = -1, -2  # a parent that is a constant; one that is older than x


class Signature:
    """What a pattern rests on: operations, parameters, shapes, and the constants that select. Numbers and floating constants are free."""

    def __init__(self, order: Sequence[Node]):
        place: dict[Node | None, int] = {node: k for k, node in enumerate(order)}
        place[None] = NOWHERE
        self.nodes = [(node.operation, node.params, _has_arrays(node.params), [place.get(p, OUTSIDE) for p in node.parents], node.shape, node.dtype,
                       None if isinstance(node.operation, Elementwise) else _selecting(node.values)) for node in order]

    def order(self, u: Node, x: Node) -> list[Node] | None:
        """The nodes from x to u, each in the place of the one that it is like; None where the traces are not alike.

        The values that elementwise operations read are read anew.
        """
        found: list[Any] = [None] * len(self.nodes)
        found[-1] = u
        if found[0] not in (None, x) or x.shape != self.nodes[0][4] or x.dtype is not self.nodes[0][5]:
            return None
        found[0] = x
        for k in range(len(found) - 1, 0, -1):
            node = found[k]  # each node but u has a child behind it, which has put it in its place
            operation, params, arrays, places, shape, dtype, selecting = self.nodes[k]
            if node.operation is not operation or node.shape != shape or node.dtype is not dtype or len(node.parents) != len(places):
                return None
            if params and not (same(node.params, params) if arrays else node.params == params):
                return None
            if selecting is not None:
                its = _selecting(node.values)
                if (its or selecting) and not same(its, selecting):
                    return None
            for parent, place in zip(node.parents, places, strict=True):
                if place >= 0:
                    if parent is None:
                        return None
                    if found[place] is None:
                        found[place] = parent
                    elif found[place] is not parent:
                        return None
                elif parent is not None if place == NOWHERE else parent is None or parent.number >= x.number:
                    return None
        return found


def _has_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_arrays, value.values()))
    return any(map(_has_arrays, value)) if isinstance(value, (tuple, list)) else not isinstance(value, PLAIN)


def _selecting(values: Sequence[Any]) -> list[Any]:
    return [v for v in values if v is not None and _selects(v)]


def _selects(value: Any) -> bool:
    if type(value) is tuple:
        return any(map(_selects, value))
    return isinstance(value, Tensor) and not (value.dtype.is_floating_point or value.dtype.is_complex)


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
            return all(torch.equal(f(a), f(b)) for f in (Tensor.crow_indices, Tensor.col_indices, Tensor.values))
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


__all__ = ["Signature", "same"]
