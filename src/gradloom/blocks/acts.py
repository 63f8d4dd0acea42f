"""Which action on a Block a declaration implies: its own, else that of its kind."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.errors import TypeRefused
from .action import contraction, untying
from .block import Block


def _acted_on(block: Block, operation: Any, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
    """The operation on a Block in the place of one input in which it is linear."""
    if operation.act is not None:
        return operation.act(operation, inputs, params)
    if operation.kind == "elementwise":
        return _combined(operation, inputs)
    if operation.kind == "multilinear":
        return (untying if operation.axes is None else contraction)(operation, inputs, params)
    raise TypeRefused(f"{operation.name} is not linear and cannot act on a structured Jacobian; use it on arrays")


def _combined(operation: Any, inputs: Sequence[Any]) -> Any:
    """A linear combination, by the constant partials."""
    if not operation.linear:
        raise TypeRefused(f"{operation.name} is not linear and cannot act on a structured Jacobian; use it on arrays")
    result = None
    for x, p in zip(inputs, operation.partials, strict=True):
        if type(x) is not Block:
            raise TypeRefused(f"{operation.name} of a structured Jacobian and an array is not linear")
        term = x if p == 1 else x.times(p)
        result = term if result is None else result.plus(term)
    return result


Block.acted_on = _acted_on  # type: ignore[method-assign, assignment]
