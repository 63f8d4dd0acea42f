"""The push walk: tangents, or structured Jacobians, forwards."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...blocks.block import Block
from ...core.operation import ITEM, padded
from ...core.tables import words
from ...core.trace import Node, ancestors, walking
from ...machine.dtypes import Tensor
from .failures import FAILURES, refuse_in_words
from .pull import cast, handles, unrecorded


def push(outputs: Sequence[Node], seeds: dict[Node, Any], *, recorded: bool = False, lead: tuple[int, ...] = (),
         values_of: Callable[[Node], list[Any]] | None = None) -> list[Any]:
    """Tangents of the outputs from tangents of the seeds; None where an output depends on no seed.

    Tangents are tensors, dlarrays (`recorded`) or Blocks. `values_of` gives a node's values where they are not the
    recorded ones.
    """
    order = ancestors(outputs, min([n.number for n in seeds]))
    try:
        if recorded:
            return walking(_push, outputs, seeds, order, True, lead, values_of)  # type: ignore[no-any-return]
        return _push(outputs, seeds, order, False, lead, values_of)
    except FAILURES as error:
        refuse_in_words(error)
        raise


def _push(outputs: Sequence[Node], seeds: dict[Node, Any], order: Sequence[Node], recorded: bool, lead: tuple[int, ...],
          values_of: Callable[[Node], list[Any]] | None) -> list[Any]:
    last: dict[Any, int] = {}  # the last reader of each tangent
    for k, node in enumerate(order):
        for parent in node.parents:
            last[parent] = k
    for node in outputs:
        last[node] = len(order)
    dots: dict[Node, Any] = {}
    known: dict[Node, Any] = {}
    for k, node in enumerate(order):
        y_dot = _through(node, dots, recorded, lead, values_of, known)
        if lead and type(y_dot) is Tensor and node.operation.selects and node.parents[0] in seeds and not y_dot.any():
            y_dot = None  # a part of x in which none of these directions goes
        seed = seeds.get(node)
        if seed is not None:
            y_dot = seed if y_dot is None else y_dot + seed
        if y_dot is not None:
            dots[node] = y_dot
        for parent in node.parents:
            if last[parent] == k:
                dots.pop(parent, None)  # type: ignore[arg-type]
    return [dots.get(node) for node in outputs]


def _through(node: Node, dots: dict[Node, Any], recorded: bool, lead: tuple[int, ...], values_of: Any,
             known: dict[Node, Any]) -> Any:
    inputs = [dots.get(p) for p in node.parents]  # type: ignore[arg-type]
    if not any([d is not None for d in inputs]):
        return None
    operation = node.operation
    if operation.barrier:
        raise unrecorded(node)
    if operation is ITEM:
        y_dot = inputs[0][node.params["k"]]  # type: ignore[index]
    else:
        if node.dropped is not None:
            node.restore(known)
        values = values_of(node) if values_of is not None else handles(node) if recorded else node.values
        y_dot = operation.push(values, node.params, node, inputs, lead)
    if y_dot is None or node.shape is None:
        return y_dot
    shape = (*lead, *node.shape)
    if tuple(y_dot.shape) != shape:
        y_dot = padded(y_dot, lead, node.ndim)
        y_dot = y_dot.broadcast(shape) if type(y_dot) is Block else words.broadcast_to(y_dot, shape)
    if y_dot.dtype is not node.dtype:
        y_dot = cast(y_dot, node.dtype)
    return y_dot
