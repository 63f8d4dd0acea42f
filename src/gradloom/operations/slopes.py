"""Slopes of activations as operations of their own, for derivatives of derivatives: one pass and one node where their formula has several.

While anything needs the slope at a place of the trace, it is not computed there again: a gradient and a Laplacian share it.
"""
from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch

from ..core.array import dlarray
from ..core.calls import unary
from ..core.elementwise import Elementwise
from ..core.trace import Node
from ..kernels import Tensor
from .arithmetic import fused_product, number_like, square

aten = torch.ops.aten


def _slope(name: str, kernel: Callable[..., Any], partial: Any, **rest: Any) -> Callable[..., Any]:
    return _shared(unary(Elementwise(name, kernel, [partial], ("x",), **rest)))


def _shared(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, with its traced results found again at the node of its argument; whatever else needs them keeps them alive."""
    known: weakref.WeakKeyDictionary[Node, tuple[weakref.ref[Node], weakref.ref[Tensor]]] = weakref.WeakKeyDictionary()

    def call(x: Any) -> Any:
        place = x._node if type(x) is dlarray else None
        if place is None or not place.trace.open:
            return function(x)
        found = known.get(place)
        if found is not None and (node := found[0]()) is not None and (value := found[1]()) is not None:
            return dlarray._made(value, node, x._labels)
        y = function(x)
        known[place] = weakref.ref(y._node), weakref.ref(y._value)
        return y

    return call


def _plus_square(x: Tensor, sign: int) -> Tensor:
    return torch.addcmul(number_like(1, x), x, x, value=sign)


one_minus_square = _slope("one_minus_square", lambda x: _plus_square(x, -1), lambda x: -2 * x, fused_pull=lambda y_bar, x: fused_product(y_bar, x, -2))
one_plus_square = _slope("one_plus_square", lambda x: _plus_square(x, 1), lambda x: 2 * x, fused_pull=lambda y_bar, x: fused_product(y_bar, x, 2))

# exp(-x**2), of which the error function is the integral
bell = _slope("bell", lambda x: fused_product(x, x, -1).exp_(), lambda y, x: -2 * (x * y),
              fused_pull=lambda y_bar, y, x: fused_product(y_bar, y, -2).mul_(x))

# of the logistic function s: s (1 - s)
logistic_slope = _slope("logistic_slope", lambda x: x * (1 - x) if x.is_complex() else aten.sigmoid_backward(number_like(1, x), x), lambda x: 1 - 2 * x,
                        fused_pull=lambda y_bar, x: torch.addcmul(y_bar, y_bar, x, value=-2))

silu_slope = _slope("silu_slope", lambda x: aten.silu_backward(number_like(1, x), x), lambda x: _silu_bend(x))


def _silu_bend(x: Any) -> Any:
    from .elementwise import sigmoid

    s = sigmoid(x)
    return logistic_slope(s) * (2 + x - 2 * (x * s))


def _gelu_slope_kernel(x: Tensor, approximation: str) -> Tensor:
    return aten.gelu_backward(torch.ones_like(x), x, approximate=approximation)  # type: ignore[no-any-return]


_gelu_slope = Elementwise("gelu_slope", _gelu_slope_kernel, [lambda x, approximation: _gelu_bend(x, approximation)], ("x",),
                          samples=[{"approximation": "none"}, {"approximation": "tanh"}])


def _gelu_slope_with(approximation: str) -> Callable[[Any], Any]:
    params = {"approximation": approximation}
    return _shared(lambda x: _gelu_slope.apply((x,), params, getattr(x, "_labels", None)))


_gelu_slopes = {approximation: _gelu_slope_with(approximation) for approximation in ("none", "tanh")}


def gelu_slope(x: Any, approximation: str) -> Any:
    return _gelu_slopes[approximation](x)


def _gelu_bend(x: Any, approximation: str) -> Any:
    if approximation == "none":
        return bell(x * math.sqrt(0.5)) * (2 - square(x)) / math.sqrt(2 * math.pi)
    from .elementwise import tanh

    root, c = math.sqrt(2 / math.pi), 0.044715
    x2 = square(x)
    t = tanh(root * (x * (1 + c * x2)))
    slope = root * (1 + 3 * c * x2)  # of the argument of tanh
    flat = one_minus_square(t)  # 0 far from 0: first, so that nothing overflows there
    bent = flat * slope
    return bent + x * (flat * (3 * root * c * x) - t * (bent * slope))
