"""Entries of a Jacobian that its structure proves to be zero, where a walk cannot tell.

A walk with a direction for each row or column carries many zeros. Where a slope on the way is infinite, such a zero
times infinity is NaN, though the direction does not go there at all: d sqrt(x[1]) / d x[0] is 0, also at x[0] = 0. A
structured Jacobian has no such entry.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ...blocks.block import Block
from ...blocks.sparse import places
from ...core.array import dlarray
from ...core.errors import GradloomError
from ...core.tables import words
from ...core.trace import Node, walking
from ...machine.dtypes import Tensor
from ...machine.finite import all_finite
from ...machine.memory import out_of_memory
from ..walks.failures import FAILURES
from ..walks.kept_plans import remembered
from .structure import structure


def cleared(found: Any, u: Node, x: Node, axes: Sequence[int]) -> Any:
    """Rows along `axes` of u, of shape (*sizes, *x.shape), an array or a recorded one: NaN and infinities are left
    where an entry can be."""
    raw = found._value if type(found) is dlarray else found
    if u.trace.guarded or all_finite((raw,)):  # where something was selected, 0 times infinity is 0 anyway
        return found
    try:
        block = remembered("possible", [u], [x], lambda: structure(u, x, zeros_count=True))
    except (GradloomError, *FAILURES):  # an operation that cannot be followed without its data: every entry may be one
        return found
    try:
        possible = _possible(block, u, x, axes).to(raw.device)
    except (RuntimeError, MemoryError) as error:  # more entries than can be listed: the same
        if out_of_memory(error) is None:
            raise
        return found
    if type(found) is not dlarray:
        return torch.where(possible, raw, torch.zeros((), dtype=raw.dtype, device=raw.device))
    return walking(words.where, dlarray._made(possible, None), found, 0.0)


def _possible(block: Block | None, u: Node, x: Node, axes: Sequence[int]) -> Tensor:
    """Where the rows along some axes of u can be other than zero, whatever the values, by the structure of d u / d
    x."""
    there = torch.zeros((math.prod(u.shape), math.prod(x.shape)), dtype=torch.bool, device="cpu")
    if block is not None:
        for term in block.terms:
            rows, columns, _ = places(term, block)
            there[rows, columns] = True
    there = there.reshape(*u.shape, *x.shape)
    others = [k for k in range(u.ndim) if k not in axes]
    there = there.permute(*axes, *others, *range(u.ndim, there.ndim))
    return there.flatten(len(axes), u.ndim - 1).any(len(axes)) if others else there


__all__ = ["cleared"]
