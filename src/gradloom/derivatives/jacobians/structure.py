"""The structure-only walk: the push of a Block with arrays replaced by stand-ins that know shape and type.

It says what a structured Jacobian will hold, before anything is allocated.
"""
from __future__ import annotations

from typing import Any

from ...blocks.block import Block, identity
from ...core.trace import Node, ancestors
from ...machine.dtypes import NUMBER_TYPES
from ..walks.push import push
from ..walks.stand_ins import on_structure, stand_ins


def structure(u: Node, x: Node, *, zeros_count: bool = False) -> Block | None:
    """d u / d x on stand-ins: what it will hold. None where u does not depend on x.

    `zeros_count`: what is multiplied with the number 0 counts as held, since it may meet an infinite slope.
    """
    (block,) = on_structure(push, [u], {x: identity(x.shape, x.dtype, "meta")},
                            values_of=_with_ones if zeros_count else stand_ins)
    return block  # type: ignore[no-any-return]


def _with_ones(node: Node) -> list[Any]:
    return [1.0 if type(value) in NUMBER_TYPES and value == 0 else value for value in stand_ins(node)]


def depends(u: Node | None, x: Node | None) -> bool:
    """Whether the trace leads from x to u at all."""
    return u is not None and x is not None and x in ancestors([u], x.number)


__all__ = ["depends", "structure"]
