"""Special functions: the error functions' inverses and scaled form, the less common trigonometric functions."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.array import dlarray
from ...core.declare import elementwise, public
from ...core.kinds.elementwise import Elementwise
from ...machine.dtypes import HALF, Tensor
from ...machine.finite import finite
from ...machine.questions import spared
from .arithmetic import PAIRS_OF_ARRAYS, carried, divide, fused_product, number_like, pair
from .discrete import trunc
from .mathematics import apply_unary, sqrt, tan, tanh
from .slopes import asinh_slope, atan_slope, one_plus_square, scaled_logistic

ROOT_PI = math.sqrt(math.pi)


# ----- trigonometric and hyperbolic functions and their inverses -----


def _side(x: Any) -> Any:
    """-1 left of the imaginary axis, else 1: a constant."""
    value = x._value if type(x) is dlarray else x
    side = torch.where(value.real < 0, -1.0, 1.0).to(value.dtype)
    return dlarray._made(side, None) if type(x) is dlarray else side


def _of_reciprocal(function: Any) -> Any:
    return lambda x: function(1 / x)


def _asec_slope(x: Any) -> Any:
    """1 / (x * x * sqrt(1 - 1 / (x * x))), without a square that overflows or a difference that loses the digits of x
    close to 1."""
    w = divide(1, x)
    return divide(w * w, sqrt((x - 1) * w) * sqrt((x + 1) * w))


def _sech_kernel(x: Tensor) -> Tensor:
    """Real numbers from exp(-|x|), which does not overflow: 2 e / (1 + e * e)."""
    if x.is_complex():
        return 1 / torch.cosh(x)
    e = x.abs().neg_().exp_()
    return (e + e).div_(one_plus_square(e))


def _csch_kernel(x: Tensor) -> Tensor:
    """Real numbers from e = exp(-|x|) again: 2 e / (1 - e * e)."""
    if x.is_complex():
        return 1 / torch.sinh(x)
    negative = torch.copysign(x, number_like(-1, x))
    e = torch.exp(negative)
    return torch.copysign((e + e).div_(negative.mul_(2).expm1_()), x)


def _sech_fused(y_bar: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """tanh(x) as sinh(x) y, which takes half of the time, where that does not overflow."""
    bar = carried(y_bar, torch.sinh(x).mul_(y).mul_(y).neg_())
    return bar if finite(bar) else y_bar * (-y * torch.tanh(x))


sec = elementwise("sec", lambda x: 1 / torch.cos(x), lambda y, x: y * tan(x), domain=(-1, 1),
                  doc="The secant, 1 / cos(x); x in radians.", matlab="sec")
csc = elementwise("csc", lambda x: 1 / torch.sin(x), lambda y, x: -(y * cot(x)), singular=True, domain=(0.5, 2),
                  doc="The cosecant, 1 / sin(x); x in radians.", matlab="csc")
cot = elementwise("cot", lambda x: 1 / torch.tan(x), lambda y: -1 - y * y, singular=True, domain=(0.5, 2),
                  doc="The cotangent, 1 / tan(x); x in radians.", matlab="cot")
asec = elementwise("asec", _of_reciprocal(torch.acos), lambda x: _asec_slope(x), singular=True, domain=(1.5, 3),
                   doc="The inverse secant, acos(1 / x), in radians.", matlab="asec")
acsc = elementwise("acsc", _of_reciprocal(torch.asin), lambda x: -_asec_slope(x), singular=True, domain=(1.5, 3),
                   doc="The inverse cosecant, asin(1 / x), in radians.", matlab="acsc")
acot = elementwise("acot", _of_reciprocal(torch.atan), lambda x: -atan_slope(x),
                   doc="The inverse cotangent, atan(1 / x), in radians.",
                   matlab="acot", domain=(0.5, 3))
sech = elementwise("sech", _sech_kernel, lambda y, x: -y * tanh(x), fused_pull=_sech_fused,
                   doc="The hyperbolic secant, 1 / cosh(x).", matlab="sech")
csch = elementwise("csch", _csch_kernel, lambda y, x: -(y * coth(x)), singular=True, domain=(0.5, 2),
                   fused_pull=lambda y_bar, y: carried(y_bar, (y * y).add_(1).sqrt_().mul_(y.abs()).neg_()),
                   doc="The hyperbolic cosecant, 1 / sinh(x).", matlab="csch", opaque=True)
coth = elementwise("coth", lambda x: 1 / torch.tanh(x), lambda x: -(csch(x) * csch(x)), singular=True,
                   fused_pull=lambda y_bar, x: carried(y_bar, _csch_kernel(x).square_().neg_()), domain=(0.5, 2),
                   doc="The hyperbolic cotangent, 1 / tanh(x).", matlab="coth")
asech = elementwise("asech", _of_reciprocal(torch.acosh), lambda x: divide(-divide(1, x), sqrt(1 - x) * sqrt(1 + x)),
                    singular=True, domain=(0.2, 0.8),
                    doc="The inverse hyperbolic secant, acosh(1 / x).", matlab="asech")
acsch = elementwise("acsch", _of_reciprocal(torch.asinh), lambda x: divide(-asinh_slope(x), x * _side(x)),
                    singular=True, domain=(0.5, 2),
                    doc="The inverse hyperbolic cosecant, asinh(1 / x).", matlab="acsch")
acoth = elementwise("acoth", _of_reciprocal(torch.atanh), lambda x: divide(divide(1, 1 - x), 1 + x),
                    singular=True, domain=(1.5, 3),
                    doc="The inverse hyperbolic cotangent, atanh(1 / x).", matlab="acoth")


def _period(x: Tensor) -> Tensor:
    """x less a multiple of 2, exactly: in [-1, 1]."""
    turns = (x * 0.5).round_()
    return torch.sub(x, turns, alpha=2, out=turns)


def sinpi_kernel(x: Tensor) -> Tensor:
    """The argument is brought to [-1/2, 1/2] exactly, so that integers give 0."""
    r = _period(x)
    return r.sub_(r.clamp(-0.5, 0.5), alpha=2).mul_(-math.pi).sin_()


def _cospi_kernel(x: Tensor) -> Tensor:
    return _period(x).abs_().sub_(0.5).mul_(-math.pi).sin_()


sinpi = elementwise("sinpi", sinpi_kernel, lambda x: math.pi * cospi(x),
                    fused_pull=lambda y_bar, x: fused_product(y_bar, _cospi_kernel(x), math.pi),
                    doc="sin(pi x), exactly 0 at integers.", matlab="sinpi",
                    real_only="of real numbers in SciPy, or in torch", opaque=True)
cospi = elementwise("cospi", _cospi_kernel, lambda x: -math.pi * sinpi(x),
                    fused_pull=lambda y_bar, x: fused_product(y_bar, sinpi_kernel(x), -math.pi),
                    doc="cos(pi x), exactly 0 halfway between integers.", matlab="cospi",
                    real_only="of real numbers in SciPy, or in torch", opaque=True)

# ----- error functions -----


def _over_tail(y_bar: Tensor, y: Tensor, tail: Tensor) -> Tensor:
    """y_bar sqrt(pi) / 2 exp(y * y) where erfc(|y|) is the tail, a number that has digits where y has lost them: exp(y
    * y) is erfcx(|y|) / tail."""
    distance = y.abs().clamp_(max=30)  # erfcx(inf) is 0, as the tail is
    slope = torch.special.erfcx(distance.float() if y.dtype in HALF
                                else distance).to(y.dtype).mul_(ROOT_PI / 2).div_(tail)
    return carried(y_bar, slope)


def _erfinv_fused(y_bar: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return _over_tail(y_bar, y, 1 - x.abs())


def _erfcinv_fused(y_bar: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return _over_tail(y_bar, y, -torch.minimum(x, 2 - x))


def _erfcinv_kernel(x: Tensor) -> Tensor:
    return torch.special.ndtri(x / 2) * -math.sqrt(0.5)


# their slopes: s = sqrt(pi) / 2 exp(y * y), and s' = 2 y s * s
_erfinv_slope = Elementwise("erfinv_slope", lambda x: _erfinv_fused(number_like(1, x), x, torch.erfinv(x)),
                            [lambda y, x: 2 * ((erfinv(x) * y) * y)],
                            ("x",), singular=True, domain=(-0.9, 0.9),
                            real_only="of real numbers in SciPy, or in torch",
                            opaque=True)  # the kernel writes in place
_erfcinv_slope = Elementwise("erfcinv_slope", lambda x: _erfcinv_fused(number_like(1, x), x, _erfcinv_kernel(x)),
                             [lambda y, x: 2 * ((erfcinv(x) * y) * y)], ("x",), singular=True, domain=(0.3, 1.5),
                             real_only="of real numbers in SciPy, or in torch",
                             without_half="torch has no kernel on the CPU", opaque=True)  # the kernel writes in place
erfinv = elementwise("erfinv", torch.erfinv, lambda x: _erfinv_slope.apply((x,)), singular=True,
                     domain=(-0.9, 0.9), fused_pull=_erfinv_fused,
                     doc="The inverse of erf, from -1 to 1.", matlab="erfinv",
                     real_only="of real numbers in SciPy, or in torch",
                     torch=("erfinv", "special.erfinv", "prims.erf_inv"))
erfcinv = elementwise("erfcinv", _erfcinv_kernel, lambda x: _erfcinv_slope.apply((x,)), singular=True,
                      domain=(0.3, 1.5), fused_pull=_erfcinv_fused,
                      doc="The inverse of erfc, from 0 to 2, accurate near 0.", matlab="erfcinv",
                      real_only="of real numbers in SciPy, or in torch", without_half="torch has no kernel on the CPU")

FAR, TERMS = 2.0, 40


def _scaled_integral(x: Tensor, n: int, start: Tensor | None = None) -> Tensor:
    """exp(x^2) times the n-th repeated integral of erfc from x to infinity.

    I[n - 2] = 2 n I[n] + 2 x I[n - 1], upwards where x is small, else as a continued fraction for I[k] / I[k - 1],
    since upwards all digits are lost.
    """
    y = torch.special.erfcx(x) if start is None else start
    if not n:
        return y
    first, below = y, torch.full_like(x, 2 / ROOT_PI)
    for k in range(1, n + 1):
        below, y = y, (below - 2 * x * y) / (2 * k)
    far = x > FAR
    if not x.is_meta and not spared(~far.any()):
        z = x[far]
        ratio, product = 1 / (z + torch.sqrt(z * z + 2 * (TERMS + n))), first[far]
        for k in range(TERMS + n - 1, 0, -1):
            ratio = 1 / (2 * z + 2 * (k + 1) * ratio)
            if k <= n:
                product = product * ratio
        y = y.masked_scatter(far, product)
    return y


def _erfcx_fused(y_bar: Tensor, x: Tensor, y: Tensor, n: int) -> Tensor:
    return y_bar * (-2 * (n + 1) * _scaled_integral(x, n + 1, None if n else y))


_erfcx = Elementwise("erfcx", _scaled_integral, [lambda x, n: -2 * (n + 1) * _erfcx.apply((x,), {"n": n + 1})], ("x",),
                     fused_pull=_erfcx_fused, samples=[{"n": 0}, {"n": 2}], domain=(-1, 5), matlab="erfcx",
                     real_only="of real numbers in SciPy, or in torch", without_half="torch has no kernel on the CPU",
                     torch=("special.erfcx", "prims.erfcx"), opaque=True)  # the kernel writes in place


@public(_erfcx)
def erfcx(x: Any, /) -> Any:
    """exp(x^2) erfc(x), which does not underflow: about 1 / (x sqrt(pi)) for large x. Its derivatives keep all digits
    there, to any order.

    Any shape and labels, which the result keeps. Raises TypeRefused for complex numbers.

    >>> import gradloom as gl
    >>> gl.erfcx(gl.dlarray(0.0))
    dlarray float64 1.0

    Source: MATLAB erfcx; its derivatives are repeated integrals, Abramowitz and Stegun 7.2.
    """
    return apply_unary(_erfcx, x, {"n": 0})


# ----- two operands -----


def _share_kernel(a: Any, b: Any) -> Tensor:
    """exp(a) / (exp(a) + exp(b)), a half each where both are infinity, 0 where both are -infinity."""
    like = a if isinstance(a, Tensor) else b
    return _shared_out(number_like(1, like), a, b)


def _shared_out(y_bar: Tensor, a: Any, b: Any) -> Tensor:
    """y_bar exp(a) / (exp(a) + exp(b)) from the difference, because exp(a - y) has y's rounding, and from what the
    difference loses in rounding."""
    difference = a - b
    if difference.is_complex():
        return y_bar * torch.sigmoid(difference)
    if finite(difference):  # infinities need more care
        away = difference - a
        lost = (a - (difference - away)).sub_(away.add_(b))
        bar = scaled_logistic(y_bar, difference)
        return bar.addcmul_(bar, scaled_logistic(lost, difference, -1))
    a, b = torch.broadcast_tensors(*(torch.as_tensor(v, dtype=difference.dtype, device=difference.device)
                                     for v in (a, b)))
    same = torch.isinf(a) & (a == b)
    return scaled_logistic(y_bar, difference.masked_fill(same & (a > 0), 0).masked_fill(same & (a < 0), -math.inf))


_logaddexp_share = Elementwise(
    "logaddexp_share", _share_kernel, [lambda y, a, b: y * _share(b, a), lambda y, a, b: -y * _share(b, a)], ("a", "b"),
    samples=PAIRS_OF_ARRAYS, opaque=True)  # the kernel writes in place


def _share(a: Any, b: Any) -> Any:
    return _logaddexp_share.apply((a, b))


logaddexp = elementwise("logaddexp", pair(torch.logaddexp), lambda a, b: _share(a, b), lambda a, b: _share(b, a),
                        fused_pull=(_shared_out, lambda y_bar, a, b: _shared_out(y_bar, b, a)),
                        doc="log(exp(a) + exp(b)), without overflow.")


def _log_kernel(a: Tensor, b: Tensor) -> Tensor:
    return torch.log(b).masked_fill((a == 0) & (b <= 0), 0)


def _quotient_kernel(a: Tensor, b: Tensor) -> Tensor:
    return torch.where((a == 0) & (b == 0), torch.zeros((), dtype=a.dtype, device=a.device), a / b)


# the slopes of xlogy, log(b) and a / b, 0 by convention where a is 0 and b has no logarithm: their own slopes are those
# of log(b) and a / b there too
_xlogy_first = Elementwise(
    "xlogy_first", pair(_log_kernel), [0, lambda b: divide(1, b)], ("a", "b"),
    singular=True, domain=(0.5, 2), samples=PAIRS_OF_ARRAYS)
_xlogy_second = Elementwise(
    "xlogy_second", pair(_quotient_kernel), [lambda b: divide(1, b), lambda a, b: -divide(divide(a, b), b)], ("a", "b"),
    singular=True, domain=(0.5, 2), samples=PAIRS_OF_ARRAYS)
xlogy = elementwise("xlogy", pair(torch.xlogy), lambda a, b: _xlogy_first.apply((a, b)),
                    lambda a, b: _xlogy_second.apply((a, b)), singular=True, domain=(0.5, 2),
                    doc="a log(b), 0 where a is 0, as in entropies.", real_only="of real numbers in torch",
                    torch=("xlogy", "special.xlogy"))


def _turned(a: Any, b: Any) -> Any:
    """The sign of a times that of b, 0 where a is 0: a constant."""
    raw = [x._value if type(x) is dlarray else x for x in (a, b)]
    turned = pair(lambda a, b: torch.sign(a) * torch.copysign(torch.ones_like(a), b))(*raw)
    return dlarray._made(turned, None) if dlarray in (type(a), type(b)) else turned


copysign = elementwise("copysign", pair(torch.copysign), _turned, 0,
                       doc="The absolute value of a with the sign of b; derivative 0 where a is 0.",
                       real_only="turns on the sign of a real number")
nextafter = elementwise("nextafter", pair(torch.nextafter), 1, 0,
                        doc="The floating number next to a in the direction of b; derivative 1 in a.",
                        real_only="turns on the sign of a real number")


def _whole_quotient(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode="trunc")


# no multiple of each other: there fmod jumps
_NUMBERS = torch.tensor([5.0, -5.0, 0.7], dtype=torch.float64, device="cpu")
_REMAINDERS: list[Any] = [(_NUMBERS, 3.0, {}), (7.6, _NUMBERS, {}),
                          (_NUMBERS, torch.tensor([[1.9], [-2.2]], dtype=torch.float64, device="cpu"), {})]
fmod = elementwise("fmod", pair(torch.fmod), 1, lambda a, b: -trunc(a / b), domain=(0.6, 0.9),
                   matlab="rem", samples=_REMAINDERS,
                   fused_pull=(None, lambda y_bar, a, b: fused_product(y_bar, pair(_whole_quotient)(a, b), -1)),
                   doc="a - trunc(a / b) b, with the sign of a.", promotes=False,
                   real_only="rounding is of real numbers")


__all__ = ["acot", "acoth", "acsc", "acsch", "asec", "asech", "copysign", "cospi", "cot", "coth", "csc", "csch",
           "erfcinv", "erfcx", "erfinv", "fmod", "logaddexp", "nextafter", "sec", "sech", "sinpi", "xlogy"]
