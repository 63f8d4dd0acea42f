"""The push walk: tangents, or structured Jacobians, forwards."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.trace import Node, ancestors, walking
from ...machine.dtypes import Tensor
from ...machine.questions import spared
from .failures import FAILURES, refuse_in_words
from .steps import Reader, Step, handles, pushed, reader


def push(outputs: Sequence[Node], seeds: dict[Node, Any], *, recorded: bool = False, lead: tuple[int, ...] = (),
         values_of: Reader | None = None, step: Step = pushed) -> list[Any]:
    """Tangents of the outputs from tangents of the seeds; None where an output depends on no seed.

    Tangents are tensors, dlarrays (`recorded`) or Blocks. `values_of` gives a node's values where they are not the
    recorded ones, `step` what is done at one.
    """
    order = ancestors(outputs, min([n.number for n in seeds]))
    read = reader(handles if recorded and values_of is None else values_of)
    try:
        if recorded:
            return walking(_push, outputs, seeds, order, read, lead, step)  # type: ignore[no-any-return]
        return _push(outputs, seeds, order, read, lead, step)
    except FAILURES as error:
        refuse_in_words(error)
        raise


def _push(outputs: Sequence[Node], seeds: dict[Node, Any], order: Sequence[Node], read: Reader,
          lead: tuple[int, ...], step: Step) -> list[Any]:
    last: dict[Any, int] = {}  # the last reader of each tangent
    for k, node in enumerate(order):
        for parent in node.parents:
            last[parent] = k
    for node in outputs:
        last[node] = len(order)
    dots: dict[Node, Any] = {}
    for k, node in enumerate(order):
        y_dot = None
        for parent in node.parents:
            if parent in dots:  # quick way past what does not move, without a call; `pushed` says the same
                y_dot = step(node, list(map(dots.get, node.parents)), read, lead)  # type: ignore[arg-type]
                break
        if (lead and type(y_dot) is Tensor and node.operation.selects and node.parents[0] in seeds
            and spared(~y_dot.any())):
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
