"""Special functions: gamma and its kin, the error functions' inverses and scaled form, the less common trigonometric functions."""
from __future__ import annotations

import math
from typing import Any

import torch

from ..core.array import dlarray
from ..core.elementwise import Elementwise, elementwise
from ..core.errors import ShapeError, line_of, user_site
from ..core.operation import public
from ..kernels import NUMBER_TYPES, Tensor
from .arithmetic import divide, finite, fused_product, scale, square
from .creation import full_like
from .discrete import isinf, trunc
from .elementwise import _pair, apply_unary, exp, log, sigmoid, sqrt, tan, tanh, where

ROOT_PI = math.sqrt(math.pi)


def _unbounded(y: Any, slope: Any) -> Any:
    """slope(y) for a y that can be infinite, where the slope is infinite too: its own derivative stays away from there."""
    far = isinf(y)
    return where(far, math.inf, slope(where(far, 0.0, y)))


def _array(a: Any, like: Any) -> Any:
    """A number as an array, which rules need."""
    return full_like(like, a) if type(a) in NUMBER_TYPES else a


# ----- trigonometric and hyperbolic functions and their inverses -----


def _side(x: Any) -> Any:
    """-1 left of the imaginary axis, else 1: a constant."""
    value = x._value if type(x) is dlarray else x
    side = torch.where(value.real < 0, -1.0, 1.0).to(value.dtype)
    return dlarray._made(side, None) if type(x) is dlarray else side


def _of_reciprocal(function: Any) -> Any:
    return lambda x: function(1 / x)


def _sech_fused(y_bar: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """tanh(x) as sinh(x) y, which takes half of the time, where that does not overflow."""
    bar = torch.sinh(x).mul_(y).mul_(y).mul_(y_bar).neg_()
    return bar if finite(bar) else y_bar * (-y * torch.tanh(x))


sec = elementwise("sec", lambda x: 1 / torch.cos(x), lambda y, x: y * tan(x), domain=(-1, 1), doc="The secant, 1 / cos(x); x in radians.", matlab="sec")
csc = elementwise("csc", lambda x: 1 / torch.sin(x), lambda y, x: -scale(y, cot(x)), singular=True, domain=(0.5, 2),
                  doc="The cosecant, 1 / sin(x); x in radians.", matlab="csc")
cot = elementwise("cot", lambda x: 1 / torch.tan(x), lambda y: -1 - scale(y, y), singular=True, domain=(0.5, 2),
                  doc="The cotangent, 1 / tan(x); x in radians.", matlab="cot")
asec = elementwise("asec", _of_reciprocal(torch.acos), lambda x: divide(1, square(x) * sqrt(1 - 1 / square(x))), singular=True, domain=(1.5, 3),
                   doc="The inverse secant, acos(1 / x), in radians.", matlab="asec")
acsc = elementwise("acsc", _of_reciprocal(torch.asin), lambda x: divide(-1, square(x) * sqrt(1 - 1 / square(x))), singular=True, domain=(1.5, 3),
                   doc="The inverse cosecant, asin(1 / x), in radians.", matlab="acsc")
acot = elementwise("acot", _of_reciprocal(torch.atan), lambda x: -1 / (1 + square(x)), doc="The inverse cotangent, atan(1 / x), in radians.",
                   matlab="acot", domain=(0.5, 3))
sech = elementwise("sech", lambda x: 1 / torch.cosh(x), lambda y, x: -y * tanh(x), fused_pull=_sech_fused,
                   doc="The hyperbolic secant, 1 / cosh(x).", matlab="sech")
csch = elementwise("csch", lambda x: 1 / torch.sinh(x), lambda y, x: -scale(y, coth(x)), singular=True, domain=(0.5, 2),
                   fused_pull=lambda y_bar, y: (y * y).add_(1).sqrt_().mul_(y.abs()).neg_().mul_(y_bar),
                   doc="The hyperbolic cosecant, 1 / sinh(x).", matlab="csch")
coth = elementwise("coth", lambda x: 1 / torch.tanh(x), lambda x: -scale(csch(x), csch(x)), singular=True,
                   fused_pull=lambda y_bar, y: y_bar * (1 - y * y), domain=(0.5, 2),
                   doc="The hyperbolic cotangent, 1 / tanh(x).", matlab="coth")
asech = elementwise("asech", _of_reciprocal(torch.acosh), lambda x: divide(-1, x * sqrt(1 - x) * sqrt(1 + x)), singular=True, domain=(0.2, 0.8),
                    doc="The inverse hyperbolic secant, acosh(1 / x).", matlab="asech")
acsch = elementwise("acsch", _of_reciprocal(torch.asinh), lambda x: divide(-1, x * _side(x) * sqrt(1 + square(x))), singular=True, domain=(0.5, 2),
                    doc="The inverse hyperbolic cosecant, asinh(1 / x).", matlab="acsch")
acoth = elementwise("acoth", _of_reciprocal(torch.atanh), lambda x: divide(1, 1 - square(x)), singular=True, domain=(1.5, 3),
                    doc="The inverse hyperbolic cotangent, atanh(1 / x).", matlab="acoth")


def _period(x: Tensor) -> Tensor:
    """x less a multiple of 2, exactly: in [-1, 1]."""
    turns = (x * 0.5).round_()
    return torch.sub(x, turns, alpha=2, out=turns)


def _sinpi_kernel(x: Tensor) -> Tensor:
    """The argument is brought to [-1/2, 1/2] exactly, so that integers give 0."""
    r = _period(x)
    return r.sub_(r.clamp(-0.5, 0.5), alpha=2).mul_(-math.pi).sin_()


def _cospi_kernel(x: Tensor) -> Tensor:
    return _period(x).abs_().sub_(0.5).mul_(-math.pi).sin_()


sinpi = elementwise("sinpi", _sinpi_kernel, lambda x: math.pi * cospi(x), fused_pull=lambda y_bar, x: fused_product(y_bar, _cospi_kernel(x), math.pi),
                    doc="sin(pi x), exactly 0 at integers.", matlab="sinpi")
cospi = elementwise("cospi", _cospi_kernel, lambda x: -math.pi * sinpi(x), fused_pull=lambda y_bar, x: fused_product(y_bar, _sinpi_kernel(x), -math.pi),
                    doc="cos(pi x), exactly 0 halfway between integers.", matlab="cospi")

# ----- gamma -----


def _sign_of_gamma(x: Tensor) -> Tensor:
    """1 at the poles too."""
    below = torch.floor(x)
    return torch.where((x < 0) & (below != x) & (torch.remainder(below, 2) == 1), -1.0, 1.0).to(x.dtype)


def _signed(y: Tensor, *xs: Tensor) -> Tensor:
    """y with the sign of the product of gamma at each x; without passes where all are positive."""
    for x in xs:
        if not x.is_meta and x.numel() and not bool(x.amin() >= 0):
            y = y * _sign_of_gamma(x)
    return y


def _gamma_kernel(x: Tensor) -> Tensor:
    y = _signed(torch.exp(torch.lgamma(x)), x)
    if x.is_meta or not x.numel() or bool((x - torch.floor(x)).amin() > 0):
        return y  # no integers
    whole = (x == torch.floor(x)) & (x >= 1) & (x <= len(_FACTORIALS))
    return torch.where(whole, _FACTORIALS.to(y)[torch.where(whole, x - 1, 0).to(torch.int64)], y)


_FACTORIALS = torch.tensor([float(math.factorial(n)) for n in range(171)], dtype=torch.float64, device="cpu")


def _beta_kernel(a: Tensor, b: Tensor) -> Tensor:
    return _signed(torch.exp(torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)), a, b, a + b)


def _polygamma_kernel(x: Tensor, n: int) -> Tensor:
    """torch.polygamma(1, x) has only nine digits; in double precision Hurwitz' zeta function has all."""
    if n > 1 or x.dtype is not torch.float64:
        return torch.polygamma(n, x)
    left = x < 0  # reflected there, where zeta would sum one term for each integer up to 0
    y = torch.special.zeta(2.0, torch.where(left, 1 - x, x))
    return torch.where(left, (math.pi / _sinpi_kernel(x)) ** 2 - y, y)


_polygamma = Elementwise("polygamma", _polygamma_kernel, [lambda x, n: _polygamma.apply((x,), {"n": n + 1})], ("x",), singular=True,
                         domain=(0.5, 3), samples=[{"n": 1}, {"n": 2}], matlab="psi")
digamma = elementwise("digamma", torch.digamma, lambda x: _polygamma.apply((x,), {"n": 1}), singular=True, domain=(0.5, 3),
                      doc="The derivative of gammaln, gamma'(x) / gamma(x).", matlab="psi")
gammaln = elementwise("gammaln", torch.lgamma, lambda x: digamma(x), singular=True, domain=(0.5, 3),
                      doc="The logarithm of the absolute value of the gamma function, without overflow.", matlab="gammaln")
gamma = elementwise("gamma", _gamma_kernel, lambda y, x: scale(y, digamma(x)), singular=True, domain=(0.5, 3),
                    doc="The gamma function: (x - 1)! at integers from 1, where it is exact; infinite at 0 and negative integers.", matlab="gamma")
beta = elementwise("beta", _pair(_beta_kernel), lambda y, a, b: scale(y, digamma(a) - digamma(a + b)),
                   lambda y, a, b: scale(y, digamma(b) - digamma(a + b)), singular=True, domain=(0.5, 3),
                   doc="The beta function, gamma(a) gamma(b) / gamma(a + b), computed by logarithms.", matlab="beta")


@public(_polygamma)
def polygamma(n: int, x: Any, /) -> Any:
    """The n-th derivative of `digamma`; n = 0 is digamma itself.

    Any shape and labels of x, which the result keeps. Raises ShapeError for an n that is no integer from 0.

    >>> import gradloom as gl
    >>> gl.polygamma(1, gl.dlarray(1.0))
    dlarray float64 1.6449340668482266

    Source: SciPy polygamma, MATLAB psi.
    """
    if type(n) is not int or n < 0:
        raise ShapeError(f"polygamma takes the order first, an integer from 0, not {n!r:.60}, at {line_of(user_site())}; write polygamma(1, x)")
    return digamma(x) if n == 0 else apply_unary(_polygamma, x, {"n": n})


# ----- error functions -----

erfinv = elementwise("erfinv", torch.erfinv, lambda y: _unbounded(y, lambda y: (ROOT_PI / 2) * exp(square(y))), singular=True, domain=(-0.9, 0.9),
                     fused_pull=lambda y_bar, y: torch.exp(y * y).mul_(y_bar).mul_(ROOT_PI / 2),
                     doc="The inverse of erf, from -1 to 1.", matlab="erfinv")
erfcinv = elementwise("erfcinv", lambda x: torch.special.ndtri(x / 2) * -math.sqrt(0.5),
                      lambda y: -_unbounded(y, lambda y: (ROOT_PI / 2) * exp(square(y))), singular=True, domain=(0.3, 1.5),
                      fused_pull=lambda y_bar, y: torch.exp(y * y).mul_(y_bar).mul_(-ROOT_PI / 2),
                      doc="The inverse of erfc, from 0 to 2, accurate near 0.", matlab="erfcinv")

FAR, TERMS = 2.0, 40


def _scaled_integral(x: Tensor, n: int, start: Tensor | None = None) -> Tensor:
    """exp(x^2) times the n-th repeated integral of erfc from x to infinity.

    I[n - 2] = 2 n I[n] + 2 x I[n - 1], upwards where x is small, else as a continued fraction for I[k] / I[k - 1], since upwards all digits are lost.
    """
    y = torch.special.erfcx(x) if start is None else start
    if not n:
        return y
    first, below = y, torch.full_like(x, 2 / ROOT_PI)
    for k in range(1, n + 1):
        below, y = y, (below - 2 * x * y) / (2 * k)
    far = x > FAR
    if not x.is_meta and bool(far.any()):
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
                     fused_pull=_erfcx_fused, samples=[{"n": 0}, {"n": 2}], domain=(-1, 5), matlab="erfcx")


@public(_erfcx)
def erfcx(x: Any, /) -> Any:
    """exp(x^2) erfc(x), which does not underflow: about 1 / (x sqrt(pi)) for large x. Its derivatives keep all digits there, to any order.

    Any shape and labels, which the result keeps. Raises TypeRefused for complex numbers.

    >>> import gradloom as gl
    >>> gl.erfcx(gl.dlarray(0.0))
    dlarray float64 1.0

    Source: MATLAB erfcx; its derivatives are repeated integrals, Abramowitz and Stegun 7.2.
    """
    return apply_unary(_erfcx, x, {"n": 0})


# ----- two operands -----


def _share(y: Any, a: Any, b: Any) -> Any:
    """exp(a) / (exp(a) + exp(b)), from the difference, because exp(a - y) has y's rounding; 0 where both are -infinity."""
    a, b = _array(a, b), _array(b, a)  # `where` of two numbers is in single precision
    same = isinf(a) & (a == b)
    return where(y == -math.inf, 0.0, sigmoid(where(same, 0.0, a - where(same, 0.0, b))))


def _share_fused(y_bar: Tensor, y: Tensor, a: Any, b: Any) -> Tensor:
    difference = a - b
    return difference.sigmoid_().mul_(y_bar) if finite(difference) else y_bar * _share(y, a, b)


logaddexp = elementwise("logaddexp", _pair(torch.logaddexp), lambda y, a, b: _share(y, a, b), lambda y, a, b: _share(y, b, a),
                        fused_pull=(lambda y_bar, y, a, b: _share_fused(y_bar, y, a, b), lambda y_bar, y, a, b: _share_fused(y_bar, y, b, a)),
                        doc="log(exp(a) + exp(b)), without overflow.")


def _xlogy_first(a: Any, b: Any) -> Any:
    b = _array(b, a)
    none = (a == 0) & (b <= 0)
    return where(none, 0.0, log(where(none, 1.0, b)))


def _xlogy_second(a: Any, b: Any) -> Any:
    a = _array(a, b)
    return where(a == 0, 0.0, divide(a, b))


xlogy = elementwise("xlogy", _pair(torch.xlogy), _xlogy_first, _xlogy_second, singular=True, domain=(0.5, 2),
                    doc="a log(b), 0 where a is 0, as in entropies.")


def _turned(a: Any, b: Any) -> Any:
    """The sign of a times that of b, 0 where a is 0: a constant."""
    raw = [x._value if type(x) is dlarray else x for x in (a, b)]
    turned = _pair(lambda a, b: torch.sign(a) * torch.copysign(torch.ones_like(a), b))(*raw)
    return dlarray._made(turned, None) if dlarray in (type(a), type(b)) else turned


copysign = elementwise("copysign", _pair(torch.copysign), _turned, 0, doc="The absolute value of a with the sign of b; derivative 0 where a is 0.")
nextafter = elementwise("nextafter", _pair(torch.nextafter), 1, 0, doc="The floating number next to a in the direction of b; derivative 1 in a.")
def _whole_quotient(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode="trunc")


_NUMBERS = torch.tensor([5.0, -5.0, 0.7], dtype=torch.float64, device="cpu")  # no multiple of each other: there fmod jumps
_REMAINDERS: list[Any] = [(_NUMBERS, 3.0, {}), (7.6, _NUMBERS, {}), (_NUMBERS, torch.tensor([[1.9], [-2.2]], dtype=torch.float64, device="cpu"), {})]
fmod = elementwise("fmod", _pair(torch.fmod), 1, lambda a, b: -trunc(a / b), domain=(0.6, 0.9), matlab="rem", samples=_REMAINDERS,
                   fused_pull=(None, lambda y_bar, a, b: fused_product(y_bar, _pair(_whole_quotient)(a, b), -1)),
                   doc="a - trunc(a / b) b, with the sign of a.", floating=False)

__all__ = ["acot", "acoth", "acsc", "acsch", "asec", "asech", "beta", "copysign", "cospi", "cot", "coth", "csc", "csch", "digamma", "erfcinv", "erfcx",
           "erfinv", "fmod", "gamma", "gammaln", "logaddexp", "nextafter", "polygamma", "sec", "sech", "sinpi", "xlogy"]
