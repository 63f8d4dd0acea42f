"""What every elementwise operation is, in mpmath: one line each, from which its slopes follow by differences at a precision that leaves all digits.

Slopes are right to 4 units in the last place, second derivatives to 8. Where more is allowed, the reference says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath as mp

Function = Callable[..., Any]


@dataclass(frozen=True)
class Reference:
    """An operation of one, two or three real numbers. `slopes` and `seconds` state derivatives where differences would take too long."""

    value: Function | None = None
    where: Function = lambda *xs: True  # the points that it is checked at, of those of the grid
    slopes: dict[tuple[int, ...], Function] | None = None  # by which inputs
    ulps: float | Function = 4
    second_ulps: float | Function = 8
    cancels: float = 0.0  # the size of terms whose difference the slope is: near its zero, units in the last place of these
    second_cancels: float = 0.0
    lost: float = 4  # units of the smallest number: a factor of the result is that small, and has lost its digits
    second_where: Function | None = None
    why: str = ""


def one(value: Any, where: Any = lambda *xs: True, **rest: Any) -> Reference:
    return Reference(value, where, **rest)


def stated(first: Any, second: Any, where: Any = lambda *xs: True, **rest: Any) -> Reference:
    return Reference(None, where, {(0,): first, (0, 0): second}, **rest)


def once(function: Function) -> Function:
    """What several references are made of: computed once for the same numbers at the same precision."""
    at = cache(lambda precision, *xs: function(*xs))
    return lambda *xs: at(mp.mp.prec, *xs)


log = once(mp.log)
exp_of_size = once(mp.exp)


def exp(x: Any) -> Any:
    return exp_of_size(x) if x > 0 else 1 / exp_of_size(-x)


def sinh(x: Any) -> Any:
    """By its definition: what cancels near 0 are digits that there are enough of."""
    return (exp(x) - exp(-x)) / 2


def cosh(x: Any) -> Any:
    return (exp(x) + exp(-x)) / 2


def positive(x: Any) -> bool:
    return bool(x > 0)


def inside(x: Any) -> bool:
    return bool(abs(x) < 1)


def outside(x: Any) -> bool:
    return bool(abs(x) > 1)


def inside_exp(x: Any) -> bool:
    """Where exp(x) does not overflow."""
    return bool(abs(x) < 700)


def not_zero(x: Any) -> bool:
    return bool(x != 0)


def not_three(x: Any) -> bool:
    return abs(abs(x) - 3) > 0.01


def logistic(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def root(x: Any, exponent: float, n: int) -> Any:
    exponent = mp.mpf(exponent)
    return mp.fprod(exponent - k for k in range(n)) * x ** (exponent - n)


def share_bend(a: Any, b: Any) -> Any:
    return logistic(a - b) * logistic(b - a)


def bell(x: Any) -> Any:
    return 2 / mp.sqrt(mp.pi) * mp.exp(-x * x)


def density(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def distribution(x: Any) -> Any:
    return mp.mpf(0 if x < 0 else 1) if abs(x) > 10**4 else mp.erfc(-x / mp.sqrt(2)) / 2


def step(x: Any) -> Any:
    return mp.mpf(1 if x > 0 else 0)


def gelu_argument(x: Any) -> Any:
    return 2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3)


def gelu_slope(x: Any, approximation: str) -> Any:
    if approximation == "none":
        return distribution(x) + x * density(x)
    t, slope = gelu_argument(x), 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf(0.044715) * x * x)
    return logistic(t) + x * logistic(t) * logistic(-t) * slope


def gelu_bend(x: Any, approximation: str) -> Any:
    if approximation == "none":
        return density(x) * (2 - x * x)
    t, slope = gelu_argument(x), 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf(0.044715) * x * x)
    flat = logistic(t) * logistic(-t)
    return flat * (2 * slope + x * (12 * mp.sqrt(2 / mp.pi) * mp.mpf(0.044715) * x + slope**2 * (logistic(-t) - logistic(t))))


def gelu_ulps(x: Any, approximation: str) -> Any:
    return 5 if approximation == "none" else 5 + 3 * min(abs(gelu_argument(x)), 800)


@once
def tail(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def tails(x: Any, n: int) -> Any:
    """exp(x**2) times the n-th repeated integral of erfc, by its recurrence, which loses digits that there are enough of."""
    with mp.workprec(3000):
        below, y = 2 / mp.sqrt(mp.pi), tail(x)
        for k in range(1, n + 1):
            below, y = y, (below - 2 * x * y) / (2 * k)
        return y


def bessel_ratio(x: Any, n: int) -> Any:
    """I_n(x) / x ** n."""
    return mp.hyp0f1(n + 1, x * x / 4) / (2**n * mp.factorial(n))


def bessel_decay(x: Any, n: int) -> Any:
    """The n-th derivative of exp(-|x|) I0(x) by -|x|, by Kummer's function."""
    return mp.rf(mp.mpf(1) / 2, n) / mp.factorial(n) * 2**n * kummer(n, abs(x))


@once
def kummer(n: int, size: Any) -> Any:
    return mp.hyp1f1(n + mp.mpf(1) / 2, n + 1, -2 * size)


def inverse_slope(y: Any) -> Any:
    return mp.sqrt(mp.pi) / 2 * mp.exp(y * y)


def beta(a: Any, b: Any) -> Any:
    return mp.gamma(a) * mp.gamma(b) / mp.gamma(a + b)


def whole(a: Any, b: Any) -> bool:
    """Where a / b is surely no integer, and its integer part is one in double and in single precision."""
    return bool(b != 0 and abs(a / b) < 10**5 and abs(a / b - mp.nint(a / b)) > mp.mpf(10) ** -5)


def pairs(**slopes: Any) -> dict[tuple[int, ...], Function]:
    """Stated slopes of two inputs, named a, b, aa, ab, bb."""
    return {tuple(sorted("ab".index(c) for c in name)): f for name, f in slopes.items()}


FLAT = dict.fromkeys(("aa", "ab", "bb"), lambda a, b: 0)


def moderate(*xs: Any) -> bool:
    """Where no intermediate step of a second derivative overflows or underflows."""
    return all(x == 0 or mp.mpf(10) ** -60 < abs(x) < mp.mpf(10) ** 60 for x in xs)


def near(*xs: Any) -> bool:
    return all(x == 0 or mp.mpf(10) ** -8 < abs(x) < mp.mpf(10) ** 8 for x in xs)


ANY = {"second_where": moderate, "why": "second derivatives where no intermediate product overflows or underflows"}
SMALL = "where the logistic function or the density is below the smallest normal number, its lost digits count once for each unit of its factor"
BESSEL = "torch's i0 and i1 have up to 7 units"
ANGLES = "a mean of exponentials of rounded products"
GAMMA = "torch's digamma and lgamma have an absolute error of some units of their terms, which cancel at their zeros"

REFERENCES: dict[str, Reference] = {
    # sums, products, powers
    "add": one(lambda a, b: a + b),
    "subtract": one(lambda a, b: a - b),
    "negative": one(lambda x: -x),
    "positive": one(lambda x: x),
    "multiply": one(lambda a, b: a * b),
    "scale": one(lambda a, b: a * b),
    "minus_twice_product": one(lambda a, b: -2 * a * b),
    "multiply_add": one(lambda a, b, c: a + b * c),
    "divide": one(lambda a, b: a / b, lambda a, b: b != 0, **ANY),
    "square": one(lambda x: x * x),
    "power": one(lambda a, b: a**b, lambda a, b: a > 0 and b != 1 and near(a, b), ulps=10, second_ulps=16, second_cancels=1.0, lost=1e4,
                 why="torch's pow has up to 2 units, and products of small results have lost theirs"),
    "power_log": one(lambda a, b: a**b * log(a), lambda a, b: a > 0 and near(a, b), ulps=16, second_ulps=64, cancels=1.0, second_cancels=1.0, lost=1e6,
                     why="a third derivative of power: 1 + b log(a) cancels"),
    "floor_divide": Reference(None, whole, pairs(a=lambda a, b: 0, b=lambda a, b: 0, **FLAT)),
    "mod": Reference(None, whole, pairs(a=lambda a, b: 1, b=lambda a, b: -mp.floor(a / b), **FLAT)),
    "fmod": Reference(None, whole, pairs(a=lambda a, b: 1, b=lambda a, b: -mp.sign(a / b) * mp.floor(abs(a / b)), aa=lambda a, b: 0, ab=lambda a, b: 0,
                                         bb=lambda a, b: 0)),
    # exponentials and logarithms
    "exp": one(exp),
    "expm1": one(lambda x: exp(x) - 1),
    "exp2": one(lambda x: mp.mpf(2) ** x),
    "log": one(log, positive),
    "log1p": one(lambda x: mp.log(1 + x), lambda x: x > -1),
    "log2": one(lambda x: log(x) / mp.log(2), positive),
    "log10": one(lambda x: log(x) / mp.log(10), positive),
    "sqrt": one(mp.sqrt, positive),
    "rsqrt": one(lambda x: 1 / mp.sqrt(x), positive),
    "reciprocal": one(lambda x: 1 / x, not_zero),
    "logaddexp": Reference(None, lambda a, b: True, pairs(a=lambda a, b: logistic(a - b), b=lambda a, b: logistic(b - a), aa=share_bend,
                                                          ab=lambda a, b: -share_bend(a, b), bb=share_bend), lost=8),
    "logaddexp_share": Reference(None, lambda a, b: True, pairs(a=share_bend, b=lambda a, b: -share_bend(a, b)), lost=16),
    # trigonometric and hyperbolic functions
    "sin": one(mp.sin),
    "cos": one(mp.cos),
    "tan": one(mp.tan),
    "sec": one(mp.sec, second_ulps=12, why="three factors"),
    "csc": one(mp.csc, not_zero, second_ulps=12, why="three factors"),
    "cot": one(mp.cot, not_zero, second_ulps=12, why="three factors"),
    "asin": one(mp.asin, inside),
    "acos": one(mp.acos, inside),
    "atan": one(mp.atan),
    "asec": one(lambda x: mp.acos(1 / x), outside),
    "acsc": one(lambda x: mp.asin(1 / x), outside),
    "acot": one(lambda x: mp.atan(1 / x), not_zero),
    "sinh": one(sinh, lambda x: not 88.7 < abs(x) < 89.5, why="torch's cosh overflows in single precision before its value does"),
    "cosh": one(cosh, lambda x: not 88.7 < abs(x) < 89.5, why="torch's sinh overflows in single precision before its value does"),
    "tanh": one(lambda x: sinh(x) / cosh(x)),
    "sech": one(lambda x: 1 / cosh(x), second_cancels=0.5, lost=8),
    "csch": one(lambda x: 1 / sinh(x), not_zero, second_ulps=12, lost=8, why="three factors"),
    "coth": one(lambda x: cosh(x) / sinh(x), not_zero, lost=8),
    "asinh": one(mp.asinh),
    "acosh": one(mp.acosh, lambda x: x > 1),
    "atanh": one(mp.atanh, inside),
    "asech": one(lambda x: mp.acosh(1 / x), lambda x: 0 < x < 1, second_where=lambda x: x > mp.mpf(10) ** -30, second_cancels=10.0,
                 why="second derivatives where the slope itself is finite"),
    "acsch": one(lambda x: mp.asinh(1 / x), not_zero),
    "acoth": one(lambda x: mp.atanh(1 / x), outside),
    "sinpi": one(mp.sinpi, cancels=1e-8, second_cancels=1e-7),
    "cospi": one(mp.cospi, cancels=1e-8, second_cancels=1e-7),
    "atan2": one(lambda a, b: mp.atan2(a, b), lambda a, b: a != 0 and b != 0 and max(abs(a), abs(b)) > mp.mpf(10) ** -300, second_cancels=0.0, **ANY),
    "hypot": one(lambda a, b: mp.sqrt(a * a + b * b), lambda a, b: a != 0 and b != 0 and max(abs(a), abs(b)) > mp.mpf(10) ** -300, **ANY),
    # activations
    "sigmoid": one(logistic),
    "relu": one(lambda x: x * step(x), not_zero),
    "softplus": one(lambda x: mp.log(1 + exp(x))),
    "silu": one(lambda x: x * logistic(x), cancels=0.3, second_cancels=0.1, lost=1000, why=SMALL),
    "leakyrelu": one(lambda x, scale: x if x > 0 else mp.mpf(scale) * x, not_zero),
    "elu": one(lambda x, alpha: x if x > 0 else mp.mpf(alpha) * (exp(x) - 1), not_zero),
    "gelu": stated(gelu_slope, gelu_bend, ulps=gelu_ulps, second_ulps=lambda x, approximation: 8 + 2 * gelu_ulps(x, approximation), cancels=0.3, second_cancels=0.3, lost=1500,
                why=SMALL + "; the tanh approximation exponentiates a cubic, and so multiplies its rounding"),
    "hardtanh": one(lambda x, low, high: min(max(x, low), high), lambda x: x not in (-1, 0, 1, 6)),
    "hardsigmoid": one(lambda x: min(max(x / 6 + mp.mpf(0.5), 0), 1), not_three),
    "hardswish": one(lambda x: x * min(max(x / 6 + mp.mpf(0.5), 0), 1), not_three, cancels=0.5, lost=1000, why="x / 3 + 1 / 2 cancels near -3 / 2"),
    "hardswish_slope": one(lambda x: x / 3 + mp.mpf(0.5) if abs(x) < 3 else mp.mpf(1 if x > 0 else 0), not_three),
    "clip": one(lambda x, low, high: min(max(x, low), high), lambda x: x not in (-0.5, 0.7)),
    "abs": one(abs, not_zero),
    "sign": one(mp.sign, not_zero),
    "maximum": Reference(None, lambda a, b: a != b, pairs(a=lambda a, b: step(a - b), b=lambda a, b: step(b - a), **FLAT)),
    "minimum": Reference(None, lambda a, b: a != b, pairs(a=lambda a, b: step(b - a), b=lambda a, b: step(a - b), **FLAT)),
    "copysign": one(lambda a, b: abs(a) * (1 if b > 0 else -1), lambda a, b: a != 0 and b != 0),
    "nextafter": Reference(None, lambda a, b: a != b, pairs(a=lambda a, b: 1, b=lambda a, b: 0, **FLAT)),
    **dict.fromkeys(("floor", "ceil", "round", "trunc"), stated(lambda x: 0, lambda x: 0)),
    # the error function, and gamma
    "erf": stated(bell, lambda x: -2 * x * bell(x), lost=100, why=SMALL),
    "erfc": stated(lambda x: -bell(x), lambda x: 2 * x * bell(x), lost=100, why=SMALL),
    "erfinv": stated(lambda x: inverse_slope(mp.erfinv(x)), lambda x: 2 * mp.erfinv(x) * inverse_slope(mp.erfinv(x)) ** 2, lambda x: 1e-30 < abs(x) < 1,
                     ulps=8, second_ulps=24, why="torch's erfcx and erfinv have up to 4 units"),
    "erfcinv": stated(lambda x: -inverse_slope(mp.erfinv(1 - x)), lambda x: 2 * mp.erfinv(1 - x) * inverse_slope(mp.erfinv(1 - x)) ** 2,
                      lambda x: 1e-30 < x < 2 and abs(x - 1) > 1e-3, ulps=8, second_ulps=24, why="torch's erfcx and ndtri have up to 4 units"),
    "erfcx": stated(lambda x, n: -2 * (n + 1) * tails(x, n + 1), lambda x, n: 4 * (n + 1) * (n + 2) * tails(x, n + 2), lambda x: -5 < x < 100,
                    ulps=600, second_ulps=10000, why="the recurrence of repeated integrals loses digits up to where the continued fraction takes over"),
    "i0": stated(lambda x: mp.besseli(1, x), lambda x: (mp.besseli(0, x) + mp.besseli(2, x)) / 2, inside_exp, ulps=8, second_ulps=16, why=BESSEL),
    "i1": stated(lambda x: (mp.besseli(0, x) + mp.besseli(2, x)) / 2, lambda x: (3 * mp.besseli(1, x) + mp.besseli(3, x)) / 4, inside_exp, ulps=8, second_ulps=16, why=BESSEL),
    "i0e": stated(lambda x: -mp.sign(x) * bessel_decay(x, 1), lambda x: bessel_decay(x, 2), not_zero, ulps=8, second_ulps=16, why=ANGLES),
    "i1e": stated(lambda x: bessel_decay(x, 2) - bessel_decay(x, 1), lambda x: mp.sign(x) * (bessel_decay(x, 2) - bessel_decay(x, 3)), not_zero,
                  ulps=8, second_ulps=16, cancels=0.5, second_cancels=0.5, why=ANGLES),
    "bessel_ratio": stated(lambda x, n: x * bessel_ratio(x, n + 1), lambda x, n: bessel_ratio(x, n + 1) + x * x * bessel_ratio(x, n + 2), inside_exp,
                           ulps=16, second_ulps=32, why=BESSEL),
    "bessel_decay": stated(lambda x, n, odd: -(1 if odd else mp.sign(x)) * bessel_decay(x, n + 1), lambda x, n, odd: (mp.sign(x) if odd else 1) * bessel_decay(x, n + 2), not_zero, ulps=8, second_ulps=16, why=ANGLES),
    "digamma": stated(lambda x: mp.psi(1, x), lambda x: mp.psi(2, x), lambda x: 1e-90 < x < 1e15, ulps=16, second_ulps=64, why=GAMMA),
    "gammaln": stated(mp.digamma, lambda x: mp.psi(1, x), lambda x: 1e-90 < x < 1e15, cancels=2.0, second_ulps=16, why=GAMMA),
    "polygamma": stated(lambda x, n: mp.psi(n + 1, x), lambda x, n: mp.psi(n + 2, x), lambda x: 1e-30 < x < 1e15, ulps=64, second_ulps=64, why=GAMMA),
    "gamma": stated(lambda x: mp.gamma(x) * mp.digamma(x), lambda x: mp.gamma(x) * (mp.psi(1, x) + mp.digamma(x) ** 2), lambda x: 1e-90 < x < 100,
                    ulps=lambda x: 16 + 8 * abs(mp.loggamma(x)), second_ulps=lambda x: 64 + 16 * abs(mp.loggamma(x)), cancels=2.0, second_cancels=1.0,
                    why="gamma is the exponential of its logarithm; " + GAMMA),
    "beta": Reference(None, lambda a, b: 1e-4 < a < 60 and 1e-4 < b < 60,
                      pairs(a=lambda a, b: beta(a, b) * (mp.psi(0, a) - mp.psi(0, a + b)), b=lambda a, b: beta(a, b) * (mp.psi(0, b) - mp.psi(0, a + b))),
                      ulps=4000, why="beta is the exponential of a difference of logarithms of gamma; " + GAMMA),
    "xlogy": one(lambda a, b: a * log(b), lambda a, b: b > 0 and b != 1, **ANY),
    "xlogy_first": one(lambda a, b: log(b), lambda a, b: b > 0, **ANY),
    "xlogy_second": one(lambda a, b: a / b, lambda a, b: b != 0, **ANY),
    # slopes, for derivatives of derivatives: their own slopes are second derivatives, and their second derivatives third ones
    **{name: one(value, ulps=8, second_ulps=64, second_cancels=1.0, lost=1000, why="a derivative of a derivative") for name, value in {
        "one_minus_square": lambda x: 1 - x * x,
        "one_plus_square": lambda x: 1 + x * x,
        "atan_slope": lambda x: 1 / (1 + x * x),
        "asinh_slope": lambda x: 1 / mp.sqrt(1 + x * x),
        "logistic": logistic,
        "logistic_slope": lambda x: logistic(x) * logistic(-x),
        "tanh_slope": lambda x: 1 / cosh(x) ** 2,
    }.items()},
    "bell": one(lambda x: mp.exp(-x * x), near, ulps=8, second_ulps=64, second_cancels=1.0, lost=1e4, why="a derivative of a derivative"),
    "density": one(density, near, ulps=8, second_ulps=64, second_cancels=1.0, lost=1e4, why="a derivative of a derivative"),
    "silu_bend": one(lambda x: logistic(x) * logistic(-x) * (2 + x * (1 - 2 * logistic(x))), ulps=16, second_ulps=256, cancels=1.0,
                     second_cancels=1.0, lost=1000, why=SMALL),
    "silu_slope": one(lambda x: logistic(x) * (1 + x * logistic(-x)), ulps=8, second_ulps=64, cancels=0.3, second_cancels=1.0, lost=1000, why=SMALL),
    "inverse_length": one(lambda x, n: x**-n, lambda x: 1e-8 < abs(x) < 1e8, ulps=8, second_ulps=16, why="torch's pow has up to 2 units"),
    "norm_root": one(root, lambda x: 1e-8 < x < 1e8, ulps=32, second_ulps=64, why="the exponents are rounded"),
    "elu_slope": one(lambda x, alpha: mp.mpf(alpha) * exp(x) if x <= 0 else mp.mpf(1), not_zero),
    "atan2_slope": one(lambda a, b: b / (a * a + b * b), lambda a, b: a != 0 and b != 0 and moderate(a, b), ulps=16, second_ulps=128, second_cancels=1e-3,
                       why="a second and a third derivative"),
    "hypot_slope": one(lambda a, b: a / mp.sqrt(a * a + b * b), lambda a, b: a != 0 and b != 0 and moderate(a, b), ulps=8, second_ulps=64, second_cancels=1e-3,
                       why="a second and a third derivative"),
    "erfinv_slope": stated(lambda x: 2 * mp.erfinv(x) * inverse_slope(mp.erfinv(x)) ** 2,
                           lambda x: 2 * (1 + 4 * mp.erfinv(x) ** 2) * inverse_slope(mp.erfinv(x)) ** 3, lambda x: 1e-30 < abs(x) < 1,
                           ulps=20, second_ulps=40, why="torch's erfcx and erfinv have up to 4 units"),
    "erfcinv_slope": stated(lambda x: 2 * mp.erfinv(1 - x) * inverse_slope(mp.erfinv(1 - x)) ** 2,
                            lambda x: -2 * (1 + 4 * mp.erfinv(1 - x) ** 2) * inverse_slope(mp.erfinv(1 - x)) ** 3,
                            lambda x: 1e-30 < x < 2 and abs(x - 1) > 1e-3, ulps=24, second_ulps=48, why="torch's erfcx and ndtri have up to 4 units"),
}

WITHOUT = {
    "where": "selects, and multiplies nothing",
    "astype": "changes the type alone",
    **dict.fromkeys(("conj", "real", "imag", "complex"), "parts of complex numbers: constants"),
    "angle": "of a real number it is a constant",
    "gelu_slope": "its value is held against the slope of gelu, its slope against the second derivative",
}
