"""Whether two traces are alike, node by node: what is kept of one may be used for the other.

`account` says once what a node is told by: its operation, its parameters, where its parents stand, shape and type. With
the constants that it reads, as far as they are asked for, three answers are made from it: `signature`, by which plans
are kept; `Signature`, which finds the nodes of a trace that are in the places of another's; and `checks`, which a walk
that was written out makes on its way.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.kinds.elementwise import Elementwise
from ...core.trace import Node, ancestors
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.questions import decided
from .keys import LARGEST, content_of, exactly, frozen
from .stand_ins import stays_real

# kept as they are, and compared by ==
PLAIN = frozenset((bool, int, float, complex, str, slice, torch.dtype, type(None), type(Ellipsis)))
NOWHERE, OUTSIDE = -1, -2  # a parent that is a constant; one that is older than the walk


def account(node: Node, place: dict[Node | None, int]) -> tuple[Any, dict[str, Any], tuple[int, ...], Any, Any]:
    """What a node is told by: operation, parameters, the places of its parents, shape and type.

    `place` knows where the nodes of the walk stand, and None, as which a constant's parent stands, is NOWHERE.
    """
    return (node.operation, node.params, tuple([place.get(p, OUTSIDE) for p in node.parents]), node.shape, node.dtype)


def places_of(order: Iterable[Node]) -> dict[Node | None, int]:
    """Where each node stands."""
    place: dict[Node | None, int] = {node: k for k, node in enumerate(order)}
    place[None] = NOWHERE
    return place


# ----- a key ----------------------------------------------------------------------------------------------------------


def signature(outputs: Sequence[Node], inputs: Sequence[Node], contents: bool = True) -> Any:
    """A key that is equal for traces that are alike; None where that cannot be told cheaply.

    `contents`: integers that select belong to it; without them it is enough to choose between walks, not to tell what
    they find.
    """
    order = ancestors(outputs, min(n.number for n in inputs))
    place = places_of(order)
    rows = []
    for node in order:
        operation, params, places, shape, dtype = account(node, place)
        key = frozen(params, contents) if params else ()
        if key is None:
            return None
        rows.append((operation, key, places, shape, dtype,
                     tuple([_kind(v, contents) if type(v) not in NUMBER_TYPES else number_key(operation, k, v)
                            for k, v in enumerate(node.values)])))
    return tuple(rows), tuple(place[n] for n in outputs), tuple(place.get(n, NOWHERE) for n in inputs)


def _kind(value: Any, contents: bool) -> Any:
    """Of a constant: shape and type; positions belong to the structure, as stand-ins leave them as they are."""
    if isinstance(value, Tensor):
        return ((value.shape, value.dtype, content_of(value)) if contents and stays_real(value)
                else (value.shape, value.dtype))
    if type(value) is tuple:
        return tuple([_kind(v, contents) for v in value])
    return None if value is None else exactly(value)


def number_key(operation: Any, k: int, value: Any) -> Any:
    """Of a number among the operands: a rule that reads it may decide by it; where the partial is the number itself,
    only 0 decides."""
    stated = getattr(operation, "stated", None)
    decides = stated is None or k >= len(operation.inputs) or any(
        callable(p) and operation.inputs[k] in b.reads for p, b in zip(stated, operation.partials, strict=True))
    return exactly(value) if decides or value == 0 else type(value)


# ----- the nodes in the places of another's ---------------------------------------------------------------------------


class Signature:
    """What a pattern rests on: the account of each node, and the constants that select. Numbers and floating constants
    are free."""

    def __init__(self, order: Sequence[Node]):
        place = places_of(order)
        self.x = order[0].shape, order[0].dtype
        self.count = len(order)
        self.nodes = []
        known: dict[Node, Any] = {}
        for k in range(len(order) - 1, 0, -1):
            node = order[k]
            node.restore(known)  # what a walk inside the function has dropped
            operation, params, places, shape, dtype = account(node, place)
            elementwise = isinstance(operation, Elementwise)
            follows = elementwise and all(p >= 0 for p in places)  # shape and type do, from those of the parents
            self.nodes.append((k, operation, _equal_to(params), places, None if follows else (shape, dtype),
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
        for k, operation, equal, places, kind, selecting in self.nodes:
            node = found[k]  # put in its place by a child, which comes later in a trace
            parents = node.parents
            if node.dropped is not None:
                node.restore(known)
            if (node.operation is not operation or len(parents) != len(places) or kind is not None
                and (node.shape, node.dtype) != kind):
                return None
            if equal is not None and not equal(node.params):
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


def _equal_to(params: dict[str, Any]) -> Callable[[dict[str, Any]], bool] | None:
    """Whether other parameters are equal to these; None where there are none."""
    if not params:
        return None
    if any(hasattr(value, "identified_by") for value in params.values()):
        key = frozen(params, True)  # now: the fields of a user's object can change
        return lambda its: key is not None and frozen(its, True) == key
    kept = _copied(params)
    return lambda its: same(its, kept)


def _copied(value: Any) -> Any:
    """Parameters as they are now: lists and arrays can be changed in place by whoever gave them."""
    if type(value) is dict:
        return {k: _copied(v) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if type(value) is np.ndarray:
        return value.copy()
    if type(value) is Tensor and value.layout is torch.strided and value.numel() <= LARGEST:
        return value.clone()
    return value


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
    if type(a) in PLAIN:
        return bool(a == b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all([same(a[k], b[k]) for k in a])
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
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
    equal = a == b
    return isinstance(equal, (bool, np.bool_)) and bool(equal)  # what answers with an array is not known to be equal


# ----- written out ----------------------------------------------------------------------------------------------------


def checks(order: Sequence[Node], names: dict[Node, str], known: dict[str, Any], read: Collection[Node]) -> list[str]:
    """Lines that find the nodes of a trace in the places of these, newest first; the first and the last are given.

    They give the nodes their names, and return None where one is not alike, or a walk has dropped its values. What
    they refer to goes into `known`. `read` are the nodes whose parameters count.
    """
    place = places_of(order)
    found = {0, len(order) - 1}
    lines = []
    for node in order[:-1]:
        name = names[node]
        operation, params, places, shape, dtype = account(node, place)
        known |= {f"operation_{name}": operation, f"dtype_{name}": dtype}
        differs = [f"{name} is None", f"{name}.operation is not operation_{name}", f"{name}.dtype is not dtype_{name}",
                   f"{name}.shape != shape_{name}" if shape else f"{name}.shape", f"{name}.dropped is not None"]
        if shape:
            known[f"shape_{name}"] = shape
        if node in read:
            known[f"params_{name}"] = params
            differs.append(f"{name}.params != params_{name}")
        lines.append(f"if {' or '.join(differs)}: return None")
        parents, differs = [], []
        for k, at in enumerate(places):
            parents.append(f"{name}_{k}")
            if at == NOWHERE or at in found:
                differs.append(f"{parents[k]} is not {'None' if at == NOWHERE else names[order[at]]}")
            else:
                found.add(at)
                parents[k] = names[order[at]]
        lines.append(f"{', '.join(parents)}, = {name}.parents")
        if differs:
            lines.append(f"if {' or '.join(differs)}: return None")
    return lines


__all__ = ["Signature", "checks", "number_key", "same", "signature"]
