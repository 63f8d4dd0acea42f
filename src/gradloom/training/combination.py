"""Weighted sums of two containers of arrays: what accumulation, L2 regularization and averages of weights are made of,
in one grouped call."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.declare import discrete
from ..machine.dtypes import Tensor
from .parameters import Parameters


def _combined(*tensors: Tensor, first: float, second: Sequence[float]) -> tuple[Tensor, ...]:
    """first times each of the first half plus its own factor times each of the second half."""
    count = len(second)
    sums = list(tensors[:count] if first == 1 else torch._foreach_mul(tensors[:count], first))
    if len(set(second)) == 1:  # quick way: one factor for all; the plain one is below
        return tuple(torch._foreach_add(sums, tensors[count:], alpha=second[0]))
    return tuple(torch._foreach_add(sums, torch._foreach_mul(tensors[count:], list(second))))


COMBINATION = discrete("weighted_sum", _combined)


def combined(a: Any, b: Any, first: float, second: float | Sequence[float]) -> Any:
    """first * a + second * b of containers with the same places; `second` may have a factor for each array."""
    p = Parameters(a, "weighted_sum")
    others = p.matched(b, "another argument")
    if not p.arrays:
        return a
    factors = [float(second)] * len(others) if isinstance(second, (int, float)) else [float(x) for x in second]
    found = COMBINATION.apply([*[x._value for x in p.arrays], *[x._value for x in others]],
                              {"first": float(first), "second": factors})
    return p.refilled([dlarray._made(x, None, old._labels) for x, old in zip(found, p.arrays, strict=True)])


def _scaled(*tensors: Tensor, factor: float) -> tuple[Tensor, ...]:
    return tuple(torch._foreach_mul(tensors, factor))


SCALED = discrete("scaled_sum", _scaled)


def scaled(a: Any, factor: float) -> Any:
    """factor * a of a container."""
    p = Parameters(a, "weighted_sum")
    if not p.arrays:
        return a
    found = SCALED.apply([x._value for x in p.arrays], {"factor": float(factor)})
    return p.refilled([dlarray._made(x, None, old._labels) for x, old in zip(found, p.arrays, strict=True)])


__all__ = ["combined", "scaled"]
