"""SciPy's special functions that the library has no operation for: SciPy's own kernels, with derivatives to any order
in the arguments that have one. The others are refused by name where they are asked for, not before.

SciPy is not imported here: its ufuncs come to us (`__array_ufunc__`), or are looked up at the first call.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...core.errors import TypeRefused, line_of, needed, user_site
from ...machine.conversion import to_numpy
from ...machine.dtypes import NUMBER_TYPES, Tensor, broadcast_shapes
from ..protocol import gl


def _kernel(name: str, *values: Any) -> Tensor:
    """SciPy's function of tensors and numbers, in their type and at their place."""
    function = getattr(needed("scipy.special", f"special.{name}"), name)
    tensors = [v for v in values if isinstance(v, Tensor)]
    dtype = torch.result_type(tensors[0], tensors[-1]) if len(tensors) < 3 else torch.promote_types(
        torch.result_type(tensors[0], tensors[1]), tensors[2].dtype)
    if tensors[0].is_meta:
        return torch.empty(broadcast_shapes(*(t.shape for t in tensors)), dtype=dtype, device="meta")
    y = function(*(to_numpy(v) if isinstance(v, Tensor) else v for v in values))
    return torch.as_tensor(np.asarray(y), dtype=dtype, device=tensors[0].device)


def _none(name: str, argument: str) -> Callable[..., Any]:
    """The partial derivative that nobody has in closed form."""

    def partial() -> Any:
        raise TypeRefused(
            f"scipy.special.{name} has no derivative in {argument} in known functions, at {line_of(user_site())}; "
            f"write extractdata({argument}) to mean a constant, or state one with gl.elementwise")

    return partial


def _bessel(name: str, slope: Callable[[Any, Any], Any]) -> Any:
    return gl.elementwise(f"special_{name}", lambda v, x: _kernel(name, v, x), _none(name, "v"), slope, pure=True)


jv = _bessel("jv", lambda v, x: (jv(v - 1, x) - jv(v + 1, x)) / 2)
yv = _bessel("yv", lambda v, x: (yv(v - 1, x) - yv(v + 1, x)) / 2)
iv = _bessel("iv", lambda v, x: (iv(v - 1, x) + iv(v + 1, x)) / 2)
kv = _bessel("kv", lambda v, x: (kv(v - 1, x) + kv(v + 1, x)) / -2)


ive = gl.elementwise("special_ive", lambda v, x: _kernel("ive", v, x), _none("ive", "v"),
                     lambda v, x: (ive(v - 1, x) + ive(v + 1, x)) / 2 - gl.sign(x) * ive(v, x), pure=True)

gammasgn = gl.elementwise("special_gammasgn", lambda x: _kernel("gammasgn", x), 0, pure=True)
beta = gl.elementwise("special_beta", lambda a, b: _kernel("beta", a, b),
                      lambda y, a, b: y * (gl.digamma(a) - gl.digamma(a + b)),
                      lambda y, a, b: y * (gl.digamma(b) - gl.digamma(a + b)), singular=True, pure=True)
betaln = gl.elementwise("special_betaln", lambda a, b: _kernel("betaln", a, b),
                        lambda a, b: gl.digamma(a) - gl.digamma(a + b),
                        lambda a, b: gl.digamma(b) - gl.digamma(a + b), singular=True, pure=True)


def _gamma_density(a: Any, x: Any) -> Any:
    return gl.exp(gl.xlogy(a - 1, x) - x - gl.gammaln(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return gl.exp(gl.xlogy(a - 1, x) + gl.xlogy(b - 1, 1 - x) - betaln(a, b))


def xlog1py(a: Any, b: Any) -> Any:
    """a log(1 + b), 0 where a is 0."""
    void = gl.logical_and(gl.equal(a, 0), gl.logical_or(gl.less_equal(b, -1), gl.equal(b, math.inf)))
    return a * gl.log1p(gl.where(void, 0.0, b))  # elsewhere the slope in a is log(1 + b), where a is 0 too


def rgamma(x: Any) -> Any:
    """1 / gamma(x), reflected on the left, where it is 0 at the poles and has a slope there."""
    left = gl.less(x, 0.5)
    near, far = gl.where(left, x, 0.0), gl.where(left, 1.0, x)
    return gl.where(left, gl.sinpi(near) * gl.gamma(1 - near) / math.pi, gl.exp(-gl.gammaln(far)))


gammainc = gl.elementwise("special_gammainc", lambda a, x: _kernel("gammainc", a, x), _none("gammainc", "a"),
                          lambda a, x: _gamma_density(a, x), singular=True, pure=True)
gammaincc = gl.elementwise("special_gammaincc", lambda a, x: _kernel("gammaincc", a, x), _none("gammaincc", "a"),
                           lambda a, x: -_gamma_density(a, x), singular=True, pure=True)
betainc = gl.elementwise("special_betainc", lambda a, b, x: _kernel("betainc", a, b, x), _none("betainc", "a"),
                         _none("betainc", "b"), lambda a, b, x: _beta_density(a, b, x), singular=True, pure=True)


def log_t_density(v: Any, t: Any) -> Any:
    """The logarithm of the density of Student's t with v degrees of freedom."""
    v = v * 1.0
    normal = gl.isinf(v)
    some = gl.where(normal, 1.0, v)
    return gl.where(normal, -math.log(2 * math.pi) / 2 - t * t / 2,
                    -betaln(some / 2, 0.5) - gl.log(some) / 2 - (some + 1) / 2 * gl.log1p(t * t / some))


stdtr = gl.elementwise("special_stdtr", lambda v, t: _kernel("stdtr", v, t), _none("stdtr", "v"),
                       lambda v, t: gl.exp(log_t_density(v, t)), pure=True)

erfi = gl.elementwise("special_erfi", lambda x: _kernel("erfi", x),
                      lambda x: 2 / math.sqrt(math.pi) * gl.exp(x * x), pure=True)
dawsn = gl.elementwise("special_dawsn", lambda x: _kernel("dawsn", x), lambda x, y: 1 - 2 * x * y, pure=True)
exp1 = gl.elementwise("special_exp1", lambda x: _kernel("exp1", x), lambda x: -gl.exp(-x) / x, singular=True, pure=True)
expi = gl.elementwise("special_expi", lambda x: _kernel("expi", x), lambda x: gl.exp(x) / x, singular=True, pure=True)
betaincc = gl.elementwise("special_betaincc", lambda a, b, x: _kernel("betaincc", a, b, x), _none("betaincc", "a"),
                          _none("betaincc", "b"), lambda a, b, x: -_beta_density(a, b, x), singular=True, pure=True)
kve = gl.elementwise("special_kve", lambda v, x: _kernel("kve", v, x), _none("kve", "v"),
                     lambda v, x: kve(v, x) - (kve(v - 1, x) + kve(v + 1, x)) / 2, pure=True)
hyp0f1 = gl.elementwise("special_hyp0f1", lambda v, x: _kernel("hyp0f1", v, x), _none("hyp0f1", "v"),
                        lambda v, x: hyp0f1(v + 1, x) / v, pure=True)
hyp1f1 = gl.elementwise("special_hyp1f1", lambda a, b, x: _kernel("hyp1f1", a, b, x), _none("hyp1f1", "a"),
                        _none("hyp1f1", "b"), lambda a, b, x: a / b * hyp1f1(a + 1, b + 1, x), pure=True)


def _whole(n: Any) -> Any:
    """SciPy's yn and kn are of integer orders, and cut off what is none."""
    return float(math.trunc(n)) if type(n) in NUMBER_TYPES else gl.trunc(n)


def log_ndtr(x: Any) -> Any:
    """The logarithm of the normal distribution function: far to the left by the scaled function, which does not
    underflow, on the right from what is missing to 1."""
    left = gl.less(x, -1.0)
    far, near = gl.where(left, x, -1.0), gl.where(left, -1.0, x)
    return gl.where(left, gl.log(gl.erfcx(far * -math.sqrt(0.5)) / 2) - far * far / 2,
                    gl.log1p(gl.erfc(near * math.sqrt(0.5)) / -2))


def _entr(x: Any) -> Any:
    return gl.where(gl.less(x, 0), -math.inf, -gl.xlogy(x, x))


def _rel_entr(a: Any, b: Any) -> Any:
    """a log(a / b), 0 with slope 0 where a is 0."""
    gone = gl.equal(a, 0)
    up, down = gl.where(gone, 1.0, a), gl.where(gone, 1.0, b)
    near = gl.less(gl.abs(up - down), down / 2)
    log = gl.where(near, gl.log1p((up - down) / gl.where(near, down, 1.0)), gl.log(up) - gl.log(down))
    outside = gl.logical_and(gl.logical_or(gl.less(a, 0), gl.less(b, 0)), gl.logical_not(gl.isnan(a + b)))
    return gl.where(outside, math.inf, gl.where(gl.isnan(b), math.nan, a * log))


def _kl_div(a: Any, b: Any) -> Any:
    y = _rel_entr(a, b)
    return gl.where(gl.equal(y, math.inf), math.inf, y - a + b)


def _boxcox_slope(log: Any, power: Any) -> Any:
    """The slope of (exp(power log) - 1) / power in the power, near 0 as a mean of exponentials: neither divides what
    cancels."""
    exponent = log * power
    near = gl.logical_or(gl.less(gl.abs(exponent), 1), gl.equal(power, 0))
    mean = hyp1f1(2.0, 3.0, gl.where(near, exponent, 0.0)) / 2
    gone = gl.equal(exponent, -math.inf)
    divisor = gl.where(near, 1.0, power)
    far = gl.where(gone, 0.0, log * gl.exp(exponent)) - gl.expm1(exponent) / divisor
    return gl.where(near, gl.square(log) * mean, far / divisor)


boxcox = gl.elementwise("special_boxcox", lambda x, power: _kernel("boxcox", x, power),
                        lambda x, power: gl.power(x, power - 1),
                        lambda x, power: _boxcox_slope(gl.log(x), power), singular=True, pure=True)
boxcox1p = gl.elementwise("special_boxcox1p", lambda x, power: _kernel("boxcox1p", x, power),
                          lambda x, power: gl.power(1 + x, power - 1),
                          lambda x, power: _boxcox_slope(gl.log1p(x), power), singular=True, pure=True)


def _root(x: Any) -> Any:
    """The cube root, with one step of Newton's for the last digits."""
    y = torch.sign(x) * torch.abs(x) ** (1 / 3)
    return torch.where((y == 0) | torch.isinf(y), y, y - (y - x / (y * y)) / 3)


cbrt = gl.elementwise("special_cbrt", _root, lambda y: 1 / (3 * y * y), singular=True, pure=True)


def _huber(delta: Any, r: Any) -> Any:
    """SciPy's, element by element; `gl.huber` is a loss."""
    size = gl.abs(r)
    y = gl.where(gl.less_equal(size, delta), r * r / 2, delta * (size - delta / 2))
    return gl.where(gl.less(delta, 0), math.inf, y)


def _pseudo_huber(delta: Any, r: Any) -> Any:
    flat, endless = gl.equal(delta, 0), gl.isinf(r)
    far = gl.logical_or(endless, gl.logical_and(flat, gl.equal(r, 0)))
    near = gl.where(far, 1.0, r)
    part = gl.where(far, gl.sign(r), near / (gl.hypot(delta, near) + delta))  # of the straight line
    side = gl.where(gl.logical_and(flat, endless), 0.0, r)
    return gl.where(gl.less(delta, 0), math.inf, delta * side * part)


UFUNCS: dict[str, Callable[..., Any]] = {
    **{name: getattr(gl, name) for name in (
        "digamma", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp2", "expm1", "gamma", "gammaln", "i0",
        "i0e", "i1", "i1e", "log1p", "round", "xlogy")},
    "expit": gl.sigmoid, "psi": gl.digamma, "cbrt": cbrt, "beta": beta,
    "logit": lambda p: gl.log(p) - gl.log1p(-p), "log_expit": lambda x: -gl.softplus(-x),
    "ndtr": lambda x: gl.erfc(x * -0.5 ** 0.5) / 2, "ndtri": lambda p: gl.erfcinv(p * 2) * -math.sqrt(2),
    "log_ndtr": log_ndtr, "exp10": lambda x: gl.power(10.0, x),
    "entr": _entr, "rel_entr": _rel_entr, "kl_div": _kl_div,
    "huber": _huber, "pseudo_huber": _pseudo_huber,
    "boxcox": boxcox, "boxcox1p": boxcox1p,
    "jv": jv, "yv": yv, "iv": iv, "ive": ive, "kv": kv, "kve": kve,
    "yn": lambda n, x: yv(_whole(n), x), "kn": lambda n, x: kv(_whole(n), x),
    "j0": lambda x: jv(0.0, x), "j1": lambda x: jv(1.0, x), "y0": lambda x: yv(0.0, x), "y1": lambda x: yv(1.0, x),
    "k0": lambda x: kv(0.0, x), "k1": lambda x: kv(1.0, x), "k0e": lambda x: kve(0.0, x), "k1e": lambda x: kve(1.0, x),
    "gammasgn": gammasgn, "gammainc": gammainc, "gammaincc": gammaincc, "betainc": betainc, "betaincc": betaincc,
    "stdtr": stdtr, "betaln": betaln, "xlog1py": xlog1py, "rgamma": rgamma, "erfi": erfi, "dawsn": dawsn, "exp1": exp1,
    "expi": expi, "hyp0f1": hyp0f1, "hyp1f1": hyp1f1,
}
