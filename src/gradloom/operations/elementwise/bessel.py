"""The modified Bessel functions of order 0 and 1, and the same scaled by exp(-|x|).

Their derivatives are sums of positive numbers to any order: none is written as a difference of two functions that are
nearly equal.
"""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.declare import elementwise
from ...core.kinds.elementwise import Elementwise
from ...machine.dtypes import Tensor
from ...machine.questions import spared
from .arithmetic import square

_REAL = "of real numbers in SciPy, or in torch"


def _in_double(kernel: Any) -> Any:
    """Torch's own lose digits in single precision, and overflow too early."""

    def call(x: Tensor, **params: Any) -> Tensor:
        if x.is_complex():
            raise TypeError("not implemented for complex numbers")
        return kernel(x.double(), **params).to(x.dtype)  # type: ignore[no-any-return]

    return call


# ----- I_n(x) / x ** n: entire functions, each the slope of the one before over x


NEAR, TERMS = 12.0, 40


@_in_double
def _ratio_kernel(x: Tensor, n: int) -> Tensor:
    """Near 0 the power series, whose terms are positive; else from torch's two by I[n + 1] = I[n - 1] - 2 n I[n] / x,
    upwards, which loses no more than a digit there."""
    near = x.abs() < NEAR
    quarter = torch.where(near, x * x / 4, 0)
    series = torch.ones_like(x)
    for k in range(TERMS, 0, -1):
        series = series * quarter / (k * (k + n)) + 1
    series = series / (2.0 ** n * math.factorial(n))
    if not x.is_meta and spared(near.all()):
        return series
    far = torch.where(near, NEAR, x.abs())
    below, y = torch.special.i0(far), torch.special.i1(far)
    for k in range(1, n):
        below, y = y, below - 2 * k * y / far
    return torch.where(near, series, y / far ** n)


_ratio = Elementwise("bessel_ratio", _ratio_kernel, [lambda x, n: x * _ratio.apply((x,), {"n": n + 1})], ("x",),
                     samples=[{"n": 1}, {"n": 2}], real_only=_REAL, torch=())


def _i1_slope(x: Any) -> Any:
    """(I0 + I2) / 2."""
    return _ratio.apply((x,), {"n": 1}) + square(x) * _ratio.apply((x,), {"n": 2})


i0 = elementwise("i0", _in_double(torch.special.i0), lambda x: i1(x),
                 doc="The modified Bessel function of the first kind of order 0.", real_only=_REAL,
                 torch=("i0", "special.i0", "prims.bessel_i0"))
i1 = elementwise("i1", _in_double(torch.special.i1), lambda x: _i1_slope(x),
                 doc="The modified Bessel function of the first kind of order 1.", real_only=_REAL,
                 torch=("special.i1", "prims.bessel_i1"))

# ----- the mean of t ** n exp(-|x| t) over t = 1 - cos(angle): I0e for n = 0, each less its slope the next. In turn
# they are even and odd, so that derivatives at 0 are the limits that both sides have.


FAR, NODES, PARTS = 32.0, 40, 32


@_in_double
def _decay_kernel(x: Tensor, n: int, odd: bool) -> Tensor:
    """The mean, times the sign of x where it is `odd`."""
    mean = _mean(x.abs(), n)
    return mean * torch.sign(x) if odd else mean


def _mean(x: Tensor, n: int) -> Tensor:
    """The mean for x that is not negative: over equidistant angles, which is exact to rounding for a smooth periodic
    function; far from 0 the asymptotic series, whose terms are positive."""
    far = x >= FAR
    mean = torch.zeros_like(x)
    for k in range(NODES):
        t = 2 * math.sin((k + 0.5) * math.pi / (2 * NODES)) ** 2
        mean = mean + torch.exp(x * -t) * (t ** n / NODES)
    if not x.is_meta and spared(~far.any()):
        return mean
    z = torch.where(far, x, FAR)
    series = torch.ones_like(z)
    for k in range(PARTS, -1, -1):
        series = series * ((k + 0.5) / (k + 1) / 2 * (n + k + 0.5)) / z + 1
    series = series * (math.gamma(n + 0.5) / (math.pi * math.sqrt(2))) / z ** n / torch.sqrt(z)
    return torch.where(far, series, mean)


_decay = Elementwise("bessel_decay", _decay_kernel,
                     [lambda x, n, odd: -_decay.apply((x,), {"n": n + 1, "odd": not odd})], ("x",),
                     samples=[{"n": 1, "odd": False}, {"n": 2, "odd": True}], domain=(0.2, 3), real_only=_REAL,
                     torch=())


def _i1e_slope(x: Any) -> Any:
    return _decay.apply((x,), {"n": 2, "odd": False}) - _decay.apply((x,), {"n": 1, "odd": False})


i0e = elementwise("i0e", torch.special.i0e, lambda x: -_decay.apply((x,), {"n": 1, "odd": True}), domain=(0.2, 3),
                  doc="exp(-|x|) i0(x), which does not overflow; derivative 0 at 0, where it has a kink.",
                  real_only=_REAL, torch=("special.i0e", "prims.bessel_i0e"))
i1e = elementwise("i1e", torch.special.i1e, lambda x: _i1e_slope(x), domain=(0.2, 3),
                  doc="exp(-|x|) i1(x), which does not overflow.", real_only=_REAL,
                  torch=("special.i1e", "prims.bessel_i1e"))

__all__ = ["i0", "i0e", "i1", "i1e"]
