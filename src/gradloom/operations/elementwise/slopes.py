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
from ...machine.questions import spared
from .arithmetic import PAIRS_OF_ARRAYS, fused_product, number_like, pair, square

aten = torch.ops.aten


def _slope(name: str, kernel: Callable[..., Any], partial: Any, **rest: Any) -> Callable[..., Any]:
    operation = Elementwise(name, kernel, [partial], ("x",), **rest)
    operation.opaque = True  # most kernels write in place
    return _shared(name, unary(operation))


def _shared(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, with its traced results found again at the node of its argument; whatever else needs them keeps them alive."""
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
    """The slope, left at the node that it is the slope of where a walk records it: the last pull, of tensors, finds it there."""
    its = slope._node if type(slope) is dlarray else None
    if its is not None and its.trace is node.trace and node.dropped is None and len(node.values) == 2:
        node.values.append(slope._value)
    return slope


_minus_twice = Elementwise(
    "minus_twice_product", pair(lambda a, b: fused_product(a, b, -2)), [lambda b: -2 * b, lambda a: -2 * a], ("a", "b"),
    fused_pull=[lambda y_bar, b: minus_twice(y_bar, b), lambda y_bar, a: minus_twice(y_bar, a)], samples=PAIRS_OF_ARRAYS)


def minus_twice(a: Any, b: Any) -> Any:
    """-2 a b, in one pass and one node."""
    return _minus_twice.apply((a, b), labels=getattr(a, "_labels", None))


# ----- of a square and 1 -----


def _one_plus_square_kernel(x: Tensor) -> Tensor:
    return torch.addcmul(number_like(1, x), x, x)


one_minus_square = _slope("one_minus_square", lambda x: (1 - x).mul_(1 + x), lambda x: -2 * x,
                          fused_pull=lambda y_bar, x: fused_product(y_bar, x, -2))
one_plus_square = _slope("one_plus_square", _one_plus_square_kernel, lambda x: 2 * x,
                         fused_pull=lambda y_bar, x: fused_product(y_bar, x, 2))


def _over_length(x: Tensor, power: int) -> Tensor:
    """(1 + x * x) ** (-power / 2) for a power of 1 or 2, from the square unless it overflows."""
    total = _one_plus_square_kernel(x)
    if total.is_complex() or finite(total):
        return total.rsqrt_() if power == 1 else total.reciprocal_()
    inverse = torch.hypot(x, number_like(1, x)).reciprocal_()
    return inverse if power == 1 else inverse * inverse


atan_slope = _slope("atan_slope", lambda x: _over_length(x, 2), lambda y, x: -2 * ((x * y) * y))  # 1 / (1 + x * x)
# 1 / sqrt(1 + x * x)
asinh_slope = _slope("asinh_slope", lambda x: _over_length(x, 1), lambda y, x: -((x * y) * y) * y)


# of two coordinates: b / (a * a + b * b), which is the slope of their angle in a, and a / sqrt(a * a + b * b), that of
# their length in a

_atan2_slope = Elementwise(
    "atan2_slope", pair(lambda a, b: _over_squares(a, b)),
    [lambda a, b: -2 * (atan2_slope(a, b) * atan2_slope(b, a)), lambda a, b: _atan2_bend(a, b)],
    ("a", "b"), singular=True, domain=(0.5, 2), samples=PAIRS_OF_ARRAYS, real_only="takes two real coordinates")
_hypot_slope = Elementwise(
    "hypot_slope", pair(lambda a, b: _share(a, b)),
    [lambda a, b: _turn(a, b, hypot_slope(b, a)), lambda a, b: -_turn(a, b, hypot_slope(a, b))],
    ("a", "b"), domain=(0.5, 2), samples=PAIRS_OF_ARRAYS, real_only="takes two real coordinates")
_hypot_slope.opaque = True  # the kernel writes in place


def atan2_slope(a: Any, b: Any) -> Any:
    return _atan2_slope.apply((a, b))


def hypot_slope(a: Any, b: Any) -> Any:
    return _hypot_slope.apply((a, b))


def _atan2_bend(a: Any, b: Any) -> Any:
    """(a * a - b * b) / (a * a + b * b) ** 2."""
    from .functions import hypot

    length = hypot(a, b)
    return (((a - b) / length) / length) * (((a + b) / length) / length)


def _turn(a: Any, b: Any, share: Any) -> Any:
    """How much the direction of (a, b) turns as a or b grows: NaN at (0, 0), where the slope of the length is 0 by convention."""
    from .functions import hypot

    return (hypot_slope(b, a) / hypot(a, b)) * share


def _over_squares(a: Tensor, b: Tensor) -> Tensor:
    length = torch.hypot(a, b)
    return b / length / length


def _share(a: Tensor, b: Tensor) -> Tensor:
    length = torch.hypot(a, b)
    return a / length.masked_fill_(length == 0, 1)


# ----- of lengths: 1 / x, 0 at 0 by convention, of which there is no derivative


def _inverse_kernel(x: Tensor, n: int) -> Tensor:
    return (x.reciprocal() if n == 1 else x ** -n).masked_fill_(x == 0, 0 if n == 1 else math.nan)


_inverse_length = Elementwise(
    "inverse_length", _inverse_kernel, [lambda x, n: -n * _inverse_length.apply((x,), {"n": n + 1})], ("x",),
    domain=(0.5, 2), samples=[{"n": 1}, {"n": 2}])
_inverse_length.opaque = True  # the kernel writes in place


def inverse_length(x: Any) -> Any:
    """1 / x for a length x: 0 where it vanishes, since the slope of a length is 0 there. Its own slope there is NaN, not 0 again."""
    return _inverse_length.apply((x,), {"n": 1})


# ----- of the error function: exp(-x * x), and the density of the normal distribution -----


_elu_backward_into = aten.elu_backward.grad_input


def _bell_kernel(x: Tensor, factor: float) -> Tensor:
    """exp(-factor x * x) for an x up to 40, with what the square loses in rounding (where a processor multiplies and adds in one step)."""
    power = fused_product(x, x, -factor)
    lost = torch.addcmul(power, x, x, value=factor)
    # exp, of what is never positive, in half of the time
    y = _elu_backward_into(number_like(1, x), 1, 1, 1, False, power, grad_input=power)
    return y.addcmul_(y, lost, value=-1)  # type: ignore[no-any-return]


def _density_kernel(x: Tensor) -> Tensor:
    return _bell_kernel(x.clamp(-40, 40), 0.5).mul_(1 / math.sqrt(2 * math.pi))


bell = _slope("bell", lambda x: _bell_kernel(x.clamp(-40, 40), 1), lambda y, x: -2 * (x * y),
              fused_pull=lambda y_bar, y, x: fused_product(y_bar, y, -2).mul_(x),
              real_only="of real numbers in SciPy, or in torch")
density = _slope("density", _density_kernel, lambda y, x: -(x * y),
                 fused_pull=lambda y_bar, y, x: fused_product(y_bar, y, -1).mul_(x),
                 real_only="of real numbers in SciPy, or in torch")

# ----- of the logistic function and what is made of it -----


_softplus_backward = aten.softplus_backward.default
_softplus_backward_into = aten.softplus_backward.grad_input


def scaled_logistic(y_bar: Tensor, x: Tensor, rate: int = 1) -> Tensor:
    """y_bar / (1 + exp(-rate x)) in one pass, with all digits where it is small. From 37 on, 17 in single precision, it is y_bar."""
    return _softplus_backward(y_bar, x, rate, 37.0 if x.dtype is torch.float64 else 17.0)  # type: ignore[no-any-return]


def _logistic_twice(y_bar: Tensor, x: Tensor, rate: int) -> Tensor:
    """y_bar logistic(rate x) logistic(-rate x)."""
    one = 37.0 if x.dtype is torch.float64 else 17.0
    bar = _softplus_backward(y_bar, x, rate, one)
    return _softplus_backward_into(bar, x, -rate, one, grad_input=bar)  # type: ignore[no-any-return]


def logistic_fused(y_bar: Tensor, x: Tensor) -> Tensor:
    """y_bar times the slope of the logistic function."""
    return _logistic_twice(y_bar, x, 1)


def tanh_fused(y_bar: Tensor, x: Tensor, slope: Tensor | None) -> Tensor:
    """y_bar times the slope of tanh, which is 4 logistic(2 x) logistic(-2 x)."""
    return _logistic_twice(y_bar, x, 2).mul_(4) if slope is None else y_bar * slope


def _logistic_slope_kernel(x: Tensor) -> Tensor:
    if x.is_complex():
        y = torch.sigmoid(x)
        return y * (1 - y)
    return logistic_fused(number_like(1, x), x)


def _tanh_slope_kernel(x: Tensor) -> Tensor:
    return 1 - torch.tanh(x).square_() if x.is_complex() else _logistic_twice(number_like(4, x), x, 2)


def _tanh(x: Any) -> Any:
    from .functions import tanh

    return tanh(x)


_tanh_there = _shared("tanh", _tanh)


def _tanh_slope_fused(y_bar: Tensor, y: Tensor, x: Tensor, x_place: Node) -> Tensor:
    there = _tanh_there.value_at(x_place)  # type: ignore[attr-defined]
    return fused_product(y_bar, y, -2).mul_(torch.tanh(x) if there is None else there)


_tanh_slope = _slope("tanh_slope", _tanh_slope_kernel, lambda y, x: minus_twice(_tanh_there(x), y),
                     fused_pull=_tanh_slope_fused)


def tanh_slope(x: Any, y: Any) -> Any:
    """The slope of tanh at x, where tanh is y, which is found again for the derivative of the slope."""
    if type(x) is dlarray and x._node is not None and type(y) is dlarray and y._node is not None:
        _tanh_there.keep(x._node, y)  # type: ignore[attr-defined]
    return _tanh_slope(x)


logistic = _slope("logistic", lambda x: torch.sigmoid(x) if x.is_complex() else scaled_logistic(number_like(1, x), x),
                  lambda x: logistic_slope(x), fused_pull=logistic_fused)
logistic_slope = _slope("logistic_slope", _logistic_slope_kernel, lambda y, x: -y * _tanh(0.5 * x))

MANY = 4096  # elements, from which two looks at the data cost less than they can save


def silu_fused(y_bar: Tensor, x: Tensor) -> Tensor:
    """y_bar s(x) (1 + x s(-x)) for the logistic function s.

    Where no x is far from 0 in torch's one pass, which takes 1 - s(x) for s(-x).
    """
    moderate = (x.is_complex() or x.numel() >= MANY and x.device.type == "cpu"
                and spared(lambda: x.amax().item() < 6 and x.amin().item() > -80))
    if moderate:
        return aten.silu_backward(y_bar, x)  # type: ignore[no-any-return]
    return (bar := scaled_logistic(y_bar, x)).addcmul_(bar, torch._C._nn.silu(-x), value=-1)


silu_slope = _slope("silu_slope", lambda x: silu_fused(number_like(1, x), x), lambda x: _silu_bend(x))


def _silu_bend(x: Any) -> Any:
    return logistic_slope(x) * (2 + x * (1 - 2 * logistic(x)))


# ----- of elu -----

_elu_slope = Elementwise("elu_slope", lambda x, alpha: aten.elu_backward(number_like(1, x), alpha, 1, 1, False, x),
                         [lambda y, x: _elu_bend(y, x)], ("x",), samples=[{"alpha": 1.5}],
                         real_only="turns on the sign of a real number")


def _elu_bend(y: Any, x: Any) -> Any:
    """The slope again, but 0 where x > 0, where elu is x."""
    value = x._value if type(x) is dlarray else x
    below = torch.le(value, 0, out=torch.empty_like(value))
    return y * (dlarray._made(below, None) if type(x) is dlarray else below)


def elu_slope(x: Any, alpha: float) -> Any:
    return _elu_slope.apply((x,), {"alpha": alpha}, getattr(x, "_labels", None))


# ----- of gelu -----


# gelu is about x times the logistic function of ROOT (x + CUBIC x**3)
ROOT, CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715


def gelu_fused(y_bar: Tensor, x: Tensor, approximation: str) -> Tensor:
    """y_bar times the slope of x D(x) with the normal distribution function D, or the logistic function that approximates it."""
    if approximation == "none":
        x = x.clamp(-40, 40)  # beyond, it is 0 or 1
        twice = (x * -math.sqrt(0.5)).erfc_().addcmul_(x, _bell_kernel(x, 0.5), value=2 / math.sqrt(2 * math.pi))
        return fused_product(y_bar, twice, 0.5)
    x = x.clamp(-30, 30)
    x2 = x * x
    t, moved = (torch.addcmul(x, x2, x, value=factor).mul_(ROOT) for factor in (CUBIC, 3 * CUBIC))
    bar = scaled_logistic(y_bar, t)
    return bar.addcmul_(bar, scaled_logistic(moved, t, -1))


def _gelu_slope_kernel(x: Tensor, approximation: str) -> Tensor:
    return gelu_fused(number_like(1, x), x, approximation)


_gelu_slope = Elementwise(
    "gelu_slope", _gelu_slope_kernel, [lambda x, approximation: _gelu_bend(x, approximation)], ("x",),
    samples=[{"approximation": "none"}, {"approximation": "tanh"}], real_only="turns on the sign of a real number")
_gelu_slope.opaque = True  # the kernel writes in place


def _gelu_slope_with(approximation: str) -> Callable[[Any], Any]:
    params = {"approximation": approximation}
    return _shared(f"gelu_slope.{approximation}", lambda x: _gelu_slope.apply((x,), params, getattr(x, "_labels", None)))


_gelu_slopes = {approximation: _gelu_slope_with(approximation) for approximation in ("none", "tanh")}


def gelu_slope(x: Any, approximation: str) -> Any:
    return _gelu_slopes[approximation](x)


def _gelu_bend(x: Any, approximation: str) -> Any:
    if approximation == "none":
        d = density(x)
        return 2 * d - x * (x * d)
    t = ROOT * (x * (1 + CUBIC * square(x)))

    def along(part: Any) -> Any:
        """Times the slope of t: what is 0 far from 0 comes first, so that nothing overflows there."""
        return ROOT * (part + 3 * CUBIC * ((part * x) * x))

    flat = logistic_slope(t)
    bent = along(flat)
    return 2 * bent + x * ((6 * ROOT * CUBIC) * (flat * x) - along(bent * _tanh(0.5 * t)))
