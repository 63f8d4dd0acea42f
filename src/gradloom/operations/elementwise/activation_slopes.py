"""Slopes of activations as operations of their own: of the logistic function, silu, elu and gelu."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ...core.array import dlarray
from ...core.kinds.elementwise import Elementwise
from ...machine.dtypes import Tensor
from ...machine.questions import spared
from .arithmetic import fused_product, number_like, square
from .mathematics import tanh
from .slopes import aten, bell_kernel, density, logistic_twice, scaled_logistic, shared, slope_of


def logistic_fused(y_bar: Tensor, x: Tensor) -> Tensor:
    """y_bar times the slope of the logistic function."""
    return logistic_twice(y_bar, x, 1)


def _logistic_slope_kernel(x: Tensor) -> Tensor:
    if x.is_complex():
        y = torch.sigmoid(x)
        return y * (1 - y)
    return logistic_fused(number_like(1, x), x)


logistic = slope_of("logistic", lambda x: torch.sigmoid(x) if x.is_complex() else scaled_logistic(number_like(1, x), x),
                    lambda x: logistic_slope(x), fused_pull=logistic_fused)
logistic_slope = slope_of("logistic_slope", _logistic_slope_kernel, lambda y, x: -y * tanh(0.5 * x))
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


def _silu_bend_kernel(x: Tensor) -> Tensor:
    """s'(x) (2 + x (1 - 2 s(x))) for the logistic function s."""
    one = number_like(1, x)
    s = torch.sigmoid(x) if x.is_complex() else scaled_logistic(one, x)
    return torch.addcmul(number_like(2, x), x, torch.rsub(s, one, alpha=2)).mul_(_logistic_slope_kernel(x))


def _silu_third(x: Any) -> Any:
    c, slope = -tanh(0.5 * x), logistic_slope(x)
    return slope * (c * (3 + x * c) - 2 * (x * slope))


silu_slope = slope_of("silu_slope", lambda x: silu_fused(number_like(1, x), x), lambda x: _silu_bend(x))
_silu_bend = slope_of("silu_bend", _silu_bend_kernel, lambda x: _silu_third(x))


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


# gelu is about x times the logistic function of ROOT (x + CUBIC x**3)
ROOT, CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715


def gelu_fused(y_bar: Tensor, x: Tensor, approximation: str) -> Tensor:
    """y_bar times the slope of x D(x) with the normal distribution function D, or the logistic function that
    approximates it."""
    if approximation == "none":
        x = x.clamp(-40, 40)  # beyond, it is 0 or 1
        twice = (x * -math.sqrt(0.5)).erfc_().addcmul_(x, bell_kernel(x, 0.5), value=2 / math.sqrt(2 * math.pi))
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
    samples=[{"approximation": "none"}, {"approximation": "tanh"}], real_only="turns on the sign of a real number",
                          opaque=True)  # the kernel writes in place


def _gelu_slope_with(approximation: str) -> Callable[[Any], Any]:
    params = {"approximation": approximation}
    return shared(f"gelu_slope.{approximation}", lambda x: _gelu_slope.apply((x,), params, getattr(x, "_labels", None)))


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
    return 2 * bent + x * ((6 * ROOT * CUBIC) * (flat * x) - along(bent * tanh(0.5 * t)))
