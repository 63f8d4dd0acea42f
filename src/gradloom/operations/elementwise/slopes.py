"""Slopes as operations of their own, for derivatives of derivatives: one pass and one node where their formula has
several.

They keep their digits over the whole range. 1 - y * y has none left where y is close to 1, and 1 + x * x overflows, so
slopes of this kind are computed from x: in torch's fused kernels where one of them has the right formula, else in as
few passes as it takes.

While anything needs the slope at a place of the trace, it is not computed there again: a gradient and a Laplacian share
it.
"""
from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch

from ...core.array import dlarray
from ...core.calls import unary
from ...core.kinds.elementwise import Elementwise
from ...core.trace import Node
from ...machine.caches import cache
from ...machine.dtypes import Tensor
from ...machine.finite import finite
from .arithmetic import PAIRS_OF_ARRAYS, fused_product, number_like, pair

aten = torch.ops.aten


def slope_of(name: str, kernel: Callable[..., Any], partial: Any, **rest: Any) -> Callable[..., Any]:
    operation = Elementwise(name, kernel, [partial], ("x",), opaque=True, **rest)  # most kernels write in place
    return shared(name, unary(operation))


def shared(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, with its traced results found again at the node of its argument; whatever else needs them keeps
    them alive."""
    known: weakref.WeakKeyDictionary[Node, tuple[weakref.ref[Node], weakref.ref[Tensor]]] = weakref.WeakKeyDictionary()
    cache(f"{__name__}.{name}", known)

    def call(x: Any) -> Any:
        place = x._node if type(x) is dlarray else None
        if place is None or not place.trace.open:
            return function(x)
        found = known.get(place)
        if found is not None and (node := found[0]()) is not None and (value := found[1]()) is not None:
            return dlarray._made(value, node, x._labels)
        y = function(x)
        keep(place, y)
        return y

    def keep(place: Node, y: Any) -> None:
        known[place] = weakref.ref(y._node), weakref.ref(y._value)

    def value_at(place: Node) -> Tensor | None:
        found = known.get(place)
        return None if found is None else found[1]()

    call.keep, call.value_at = keep, value_at  # type: ignore[attr-defined]
    return call


def left(node: Node, slope: Any) -> Any:
    """The slope, left at the node that it is the slope of where a walk records it: the last pull, of tensors, finds it
    there."""
    its = slope._node if type(slope) is dlarray else None
    if its is not None and its.trace is node.trace and node.dropped is None and len(node.values) == 2:
        node.values.append(slope._value)
    return slope


_minus_twice = Elementwise(
    "minus_twice_product", pair(lambda a, b: fused_product(a, b, -2)), [lambda b: -2 * b, lambda a: -2 * a], ("a", "b"),
    fused_pull=[lambda y_bar, b: minus_twice(y_bar, b), lambda y_bar, a: minus_twice(y_bar, a)],
    samples=PAIRS_OF_ARRAYS)


def minus_twice(a: Any, b: Any) -> Any:
    """-2 a b, in one pass and one node."""
    return _minus_twice.apply((a, b), labels=getattr(a, "_labels", None))


# ----- of a square and 1 -----


def _one_plus_square_kernel(x: Tensor) -> Tensor:
    return torch.addcmul(number_like(1, x), x, x)


one_minus_square = slope_of("one_minus_square", lambda x: (1 - x).mul_(1 + x), lambda x: -2 * x,
                            fused_pull=lambda y_bar, x: fused_product(y_bar, x, -2))
one_plus_square = slope_of("one_plus_square", _one_plus_square_kernel, lambda x: 2 * x,
                           fused_pull=lambda y_bar, x: fused_product(y_bar, x, 2))


def _over_length(x: Tensor, power: int) -> Tensor:
    """(1 + x * x) ** (-power / 2) for a power of 1 or 2, from the square unless it overflows."""
    total = _one_plus_square_kernel(x)
    if total.is_complex() or finite(total):
        return total.rsqrt_() if power == 1 else total.reciprocal_()
    inverse = torch.hypot(x, number_like(1, x)).reciprocal_()
    return inverse if power == 1 else inverse * inverse


atan_slope = slope_of("atan_slope", lambda x: _over_length(x, 2), lambda y, x: -2 * ((x * y) * y))  # 1 / (1 + x * x)
# 1 / sqrt(1 + x * x)
asinh_slope = slope_of("asinh_slope", lambda x: _over_length(x, 1), lambda y, x: -((x * y) * y) * y)


# ----- of lengths: 1 / x, 0 at 0 by convention, of which there is no derivative


def _inverse_kernel(x: Tensor, n: int) -> Tensor:
    return (x.reciprocal() if n == 1 else x ** -n).masked_fill_(x == 0, 0 if n == 1 else math.nan)


_inverse_length = Elementwise(
    "inverse_length", _inverse_kernel, [lambda x, n: -n * _inverse_length.apply((x,), {"n": n + 1})], ("x",),
    domain=(0.5, 2), samples=[{"n": 1}, {"n": 2}], opaque=True)  # the kernel writes in place


def inverse_length(x: Any) -> Any:
    """1 / x for a length x: 0 where it vanishes, since the slope of a length is 0 there. Its own slope there is NaN,
    not 0 again."""
    return _inverse_length.apply((x,), {"n": 1})


# ----- of the error function: exp(-x * x), and the density of the normal distribution -----


_elu_backward_into = aten.elu_backward.grad_input


def bell_kernel(x: Tensor, factor: float) -> Tensor:
    """exp(-factor x * x) for an x up to 40, with what the square loses in rounding (where a processor multiplies and
    adds in one step)."""
    power = fused_product(x, x, -factor)
    lost = torch.addcmul(power, x, x, value=factor)
    # exp, of what is never positive, in half of the time
    y = _elu_backward_into(number_like(1, x), 1, 1, 1, False, power, grad_input=power)
    return y.addcmul_(y, lost, value=-1)  # type: ignore[no-any-return]


def _density_kernel(x: Tensor) -> Tensor:
    return bell_kernel(x.clamp(-40, 40), 0.5).mul_(1 / math.sqrt(2 * math.pi))


bell = slope_of("bell", lambda x: bell_kernel(x.clamp(-40, 40), 1), lambda y, x: -2 * (x * y),
                fused_pull=lambda y_bar, y, x: fused_product(y_bar, y, -2).mul_(x),
                real_only="of real numbers in SciPy, or in torch")
density = slope_of("density", _density_kernel, lambda y, x: -(x * y),
                   fused_pull=lambda y_bar, y, x: fused_product(y_bar, y, -1).mul_(x),
                   real_only="of real numbers in SciPy, or in torch")

# ----- of the logistic function and what is made of it -----


_softplus_backward = aten.softplus_backward.default
_softplus_backward_into = aten.softplus_backward.grad_input


def scaled_logistic(y_bar: Tensor, x: Tensor, rate: int = 1) -> Tensor:
    """y_bar / (1 + exp(-rate x)) in one pass, with all digits where it is small. From 37 on, 17 in single precision, it
    is y_bar."""
    return _softplus_backward(y_bar, x, rate, 37.0 if x.dtype is torch.float64 else 17.0)  # type: ignore[no-any-return]


def logistic_twice(y_bar: Tensor, x: Tensor, rate: int) -> Tensor:
    """y_bar logistic(rate x) logistic(-rate x)."""
    one = 37.0 if x.dtype is torch.float64 else 17.0
    bar = _softplus_backward(y_bar, x, rate, one)
    return _softplus_backward_into(bar, x, -rate, one, grad_input=bar)  # type: ignore[no-any-return]
