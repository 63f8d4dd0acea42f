"""Where the entries of a Jacobian lie, without what they are: a push of Blocks that multiplies no numbers.

An elementwise operation multiplies by a diagonal, and that moves nothing: the Block of what it reads is that of what it
makes, and of several the places of all.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...blocks.block import Block
from ...core.kinds.elementwise import Elementwise
from ...core.operation import padded
from ...core.trace import Node
from ...machine.dtypes import NUMBER_TYPES
from .push import push
from .stand_ins import on_structure, stand_ins
from .steps import Reader, pushed


def push_places(outputs: Sequence[Node], seeds: dict[Node, Any]) -> list[Any]:
    """Blocks of the outputs from Blocks of the seeds, of which only the axes of their terms count; None where an output
    depends on no seed."""
    return on_structure(push, outputs, seeds, values_of=stand_ins, step=_step)  # type: ignore[no-any-return]


def is_plain(node: Node) -> bool:
    """Elementwise, real, with partials as stated."""
    operation = node.operation
    return operation.kind == "elementwise" and type(operation).push is Elementwise.push and not _complex(node)


def _complex(node: Node) -> bool:
    return (node.dtype is not None and node.dtype.is_complex
            or any([p is not None and p.dtype is not None and p.dtype.is_complex for p in node.parents]))


def _step(node: Node, dots: Sequence[Any], read: Reader, lead: tuple[int, ...]) -> Any:
    if not is_plain(node):
        return pushed(node, dots, read, lead)
    found: Any = None
    operation: Any = node.operation
    for dot, absent, partial in zip(dots, operation.absent, operation.stated, strict=True):
        if dot is None or absent:
            continue
        if type(partial) is str:  # the partial is another input
            factor = node.values[operation.inputs.index(partial)]
            if type(factor) in NUMBER_TYPES and factor == 0:
                continue
        if dot.shape != node.shape:
            dot = padded(dot, lead, node.ndim).broadcast(node.shape)
        found = dot if found is None or found is dot else _both(found, dot)
    return found


def _both(a: Block, b: Block) -> Block:
    """The places of two Blocks: of terms with the same, one."""
    return a.made([*{t.pattern(): t for t in (*a.terms, *b.terms)}.values()], a.shape, untied=b.untied)


__all__ = ["is_plain", "push_places"]
