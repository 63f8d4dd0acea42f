"""Choosing between elements: where, clip, maximum, minimum. What selects never multiplies."""
from __future__ import annotations

from typing import Any

import torch

from ...blocks.block import Block
from ...core.array import dlarray, operand
from ...core.calls import broadcast_operands, mixed
from ...core.declare import elementwise, public
from ...core.errors import TypeRefused, line_of, user_site
from ...core.kinds.elementwise import Elementwise
from ...core.operation import padded
from ...machine.dtypes import NUMBER_TYPES, Tensor
from .arithmetic import (
    pair,
    positive,
)
from .mathematics import apply_unary

maximum = elementwise("maximum", pair(torch.maximum), lambda a, b: _first(a, b, torch.ge),
                      lambda a, b: 1 - _first(a, b, torch.ge),
                      doc="The larger of a and b; the derivative goes to a where they are equal.", matlab="max",
                      selects=True, promotes=False, real_only="complex numbers have no order")
minimum = elementwise("minimum", pair(torch.minimum), lambda a, b: _first(a, b, torch.le),
                      lambda a, b: 1 - _first(a, b, torch.le),
                      doc="The smaller of a and b; the derivative goes to a where they are equal.", matlab="min",
                      selects=True, promotes=False, real_only="complex numbers have no order")


def _first(a: Any, b: Any, compare: Any) -> Any:
    """1 where compare(a, b), else 0: a constant in the operands' type."""
    raw = [x._value if type(x) is dlarray else x for x in (a, b)]
    like = next(x for x in raw if isinstance(x, Tensor))
    mask = pair(compare)(*raw).to(like.dtype)
    return dlarray._made(mask, None) if dlarray in (type(a), type(b)) else mask


def _where(condition: Any, a: Any, b: Any) -> Any:
    return torch.where(condition, a, b)


class _Where(Elementwise):
    """Selection: the condition carries no derivative, and a cotangent is selected, never multiplied."""

    def __init__(self, *args: Any, **rest: Any):
        super().__init__(*args, **rest)
        self.raw_pulls = None

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        c = v[0]
        return [None, where(c, y_bar, 0) if wanted[1] else None, where(c, 0, y_bar) if wanted[2] else None]

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        c, a_dot, b_dot = v[0], dots[1], dots[2]
        parts = []
        if a_dot is not None:
            parts.append(where(c, padded(a_dot, lead, node.ndim), 0))
        if b_dot is not None:
            parts.append(where(c, 0, padded(b_dot, lead, node.ndim)))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def reads(self, name: str) -> set[str]:
        return {"condition"}


_MASK = torch.tensor([[True, False, True], [False, False, True]], device="cpu")


def _where_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    """Selecting between a Block and 0: one more factor of 0 and 1; it does not multiply what is infinite or not a
    number."""
    c, a, b = inputs
    block, keep = (a, c) if type(a) is Block else (b, ~c)
    keep = keep.to(block.dtype)
    if block.is_finite():
        return block.scaled(keep)
    return block.guarded(keep, lambda values, mask: torch.where(
        mask == 0, torch.zeros((), dtype=values.dtype, device=values.device), values))


_where_operation = _Where("where", _where, [0, 1, 1], ("condition", "a", "b"),
                          samples=[(_MASK, (2, 3), (2, 3), {}), (_MASK[0], (2, 1), (2, 3), {}),
                                   (_MASK, (3,), 0.5, {}), (_MASK, 0.5, (2, 1), {})],
                          selects=True, act=_where_on_block)


@public(_where_operation)
def where(condition: Any, a: Any, b: Any, /) -> Any:
    """a where the condition holds, else b: it selects and never multiplies, so a NaN on the side not taken does not
    leak.

    Shapes broadcast, labels match by name.

    >>> import gradloom as gl
    >>> x = gl.dlarray([-1.0, 4.0])
    >>> gl.where(x > 0, gl.sqrt(x), 0.0)
    2 dlarray float64
    [0. 2.]

    Source: array API where.
    """
    inputs, labels = broadcast_operands(_where_operation, (condition, a, b))
    c = inputs[0]
    if type(c) in NUMBER_TYPES:
        c = dlarray(bool(c))
    elif c.dtype is not torch.bool:
        raise TypeRefused(f"where needs a condition of bools, at {line_of(user_site())}; write x != 0")
    chosen = inputs[1:]
    if all(type(x) in NUMBER_TYPES for x in chosen) and {float, complex} & set(map(type, chosen)):
        chosen[0] = dlarray(chosen[0])  # Python numbers are float64
    return _where_operation.apply((c, *mixed(chosen)), {}, labels)


_clip = Elementwise("clip", lambda x, low, high: torch.clamp(x, low, high),
                    [lambda x, low, high: _inside(x, low, high)], ("x",),
                    samples=[{"low": -0.5, "high": 0.7}], selects=True, real_only="complex numbers have no order")


def _inside(x: Any, low: Any, high: Any) -> Any:
    value = x._value if type(x) is dlarray else x
    mask = torch.ones_like(value, dtype=torch.bool)
    if low is not None:
        mask = mask & (value >= low)
    if high is not None:
        mask = mask & (value <= high)
    mask = mask.to(value.dtype)
    return dlarray._made(mask, None) if type(x) is dlarray else mask


@public(_clip)
def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max], numbers or arrays; derivative 1 on the bounds.

    >>> import gradloom as gl
    >>> gl.clip(gl.dlarray([-2.0, 0.5, 2.0]), -1, 1)
    3 dlarray float64
    [-1.   0.5  1. ]

    Source: array API clip.
    """
    if min is None and max is None:
        return positive(x)
    if (all(bound is None or type(bound) in NUMBER_TYPES for bound in (min, max))
        and getattr(x, "dtype", None) is not torch.bool):
        if float not in (type(min), type(max)) and hasattr(x, "dtype"):
            # integers stay integers
            return _clip.apply((operand(x),), {"low": min, "high": max}, getattr(x, "_labels", None))
        return apply_unary(_clip, x, {"low": min, "high": max})
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)
