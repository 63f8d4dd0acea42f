"""The linear part of an operation, for tangents that keep size 1 along axes where they are constant."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...core.operation import padded
from ...core.tables import words
from ...core.trace import Node
from ..walks.places import is_plain
from ..walks.steps import Reader, cast, output_of, refuse
from .bending import Partials, elementwise_partials, elementwise_push, whole


def linear_part(node: Node, parts: Sequence[Any], lead: tuple[int, ...], read: Reader, recorded: bool,
                known: dict[Node, Partials]) -> Any:
    """Tangents, or derivatives of higher order, from those of the parents; `known` are the partials of this walk."""
    operation = node.operation
    refuse(node)
    if output_of(node) is not None:
        return operation.push([], node.params, node, parts, lead)
    n = len(lead)
    if is_plain(node):
        ps = elementwise_partials(node, read(node), recorded, known)
        y_dot = elementwise_push(node, parts, ps, n)
    else:
        if not _broadcasts(node, parts, n):
            parts = [None if d is None else whole(d, p.shape, n) for d, p in zip(parts, node.parents, strict=True)]  # type: ignore[union-attr]
        y_dot = _folded(node, parts[0], n, read) if operation.row_product and parts[1] is None else None
        if y_dot is None:
            y_dot = operation.push(read(node), node.params, node, parts, lead)
        if (y_dot is not None and node.shape is not None and operation.kind != "elementwise"
            and not _broadcasts(node, parts, n)):
            y_dot = whole(padded(y_dot, lead, node.ndim), node.shape, n)
    if y_dot is None or node.shape is None:
        return y_dot
    if y_dot.ndim < n + node.ndim:
        y_dot = words.reshape(y_dot, (*y_dot.shape[:n], *(1,) * (n + node.ndim - y_dot.ndim), *y_dot.shape[n:]))
    return y_dot if y_dot.dtype is node.dtype else cast(y_dot, node.dtype)


def _folded(node: Node, tangent: Any, n: int, read: Reader) -> Any:
    """All directions and observations as the rows of one matrix product with a constant matrix."""
    b = read(node)[1]
    if b.ndim != 2 or not n:
        return None
    rows = words.reshape(tangent, (math.prod(tangent.shape[:-1]), tangent.shape[-1]))
    return words.reshape(node.operation.apply((rows, b)), (*tangent.shape[:-1], b.shape[-1]))


def _broadcasts(node: Node, parts: Sequence[Any], n: int) -> bool:
    """Whether an operation takes tangents with size 1 along axes where they are constant: it must have the axes that it
    mixes whole."""
    operation = node.operation
    if operation.kind == "elementwise":
        return True
    if operation.whole_axes is None:
        return False
    mixed = [node.params[axis] if type(axis) is str else axis for axis in operation.whole_axes]
    if len(operation.inputs) != len(parts):  # any number of inputs of one name
        mixed *= len(parts)
    for d, p, c in zip(parts, node.parents, mixed, strict=True):
        if d is not None and (c is None or d.ndim != n + p.ndim or d.shape[c] != p.shape[c]):  # type: ignore[union-attr]
            return False
    return True


__all__ = ["linear_part"]
