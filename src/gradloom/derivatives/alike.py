"""Whether two traces are alike: what is kept of one may be used for the other."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.elementwise import Elementwise
from ..core.trace import Node
from ..kernels import Tensor

PLAIN = (bool, int, float, complex, str, slice, torch.dtype, type(None), type(Ellipsis))  # compared by ==


class Signature:
    """What a pattern rests on: operations, parameters, shapes, and the constants that select. Numbers and floating constants are free."""

    def __init__(self, order: Sequence[Node]):
        place: dict[Node | None, int | None] = {node: k for k, node in enumerate(order)}
        place[None] = None
        self.nodes = [(node.operation, node.params, _has_arrays(node.params), [place.get(p, -1) for p in node.parents], node.shape, node.dtype,
                       None if isinstance(node.operation, Elementwise) else [v for v in node.values if _selects(v)]) for node in order]

    def fits(self, order: Sequence[Node]) -> bool:
        """Whether a trace has it. The values that elementwise operations read are read anew."""
        if len(order) != len(self.nodes):
            return False
        place: dict[Node | None, int | None] = {None: None}
        for k, (node, (operation, params, arrays, parents, shape, dtype, selecting)) in enumerate(zip(order, self.nodes, strict=True)):
            if node.operation is not operation or node.shape != shape or node.dtype is not dtype:
                return False
            place[node] = k
            if [place.get(p, -1) for p in node.parents] != parents:
                return False
            if params and not (same(node.params, params) if arrays else node.params == params):
                return False
            if selecting is not None and not same([v for v in node.values if v is not None and _selects(v)], selecting):
                return False
        return True


def _has_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_arrays, value.values()))
    return any(map(_has_arrays, value)) if isinstance(value, (tuple, list)) else not isinstance(value, PLAIN)


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
