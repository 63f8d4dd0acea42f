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


def _gammaln(x: Any) -> Any:
    return math.lgamma(x) if type(x) in NUMBER_TYPES else gl.gammaln(x)


def betaln(a: Any, b: Any) -> Any:
    """The logarithm of the beta function."""
    return _gammaln(a) + _gammaln(b) - _gammaln(a + b)


def _gamma_density(a: Any, x: Any) -> Any:
    return gl.exp(gl.xlogy(a - 1, x) - x - _gammaln(a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return gl.exp(gl.xlogy(a - 1, x) + gl.xlogy(b - 1, 1 - x) - betaln(a, b))


def xlog1py(a: Any, b: Any) -> Any:
    """a log(1 + b), 0 where a is 0."""
    gone = gl.equal(a, 0)
    return gl.where(gone, 0.0, a) * gl.log1p(gl.where(gone, 0.0, b))


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
    return (_gammaln((v + 1) / 2) - _gammaln(v / 2) - gl.log(math.pi * v) / 2 - (v + 1) / 2 * gl.log1p(t * t / v))


stdtr = gl.elementwise("special_stdtr", lambda v, t: _kernel("stdtr", v, t), _none("stdtr", "v"),
                       lambda v, t: gl.exp(log_t_density(v, t)), pure=True)

UFUNCS: dict[str, Callable[..., Any]] = {
    "jv": jv, "yv": yv, "iv": iv, "ive": ive, "kv": kv, "yn": yv, "kn": kv,
    "j0": lambda x: jv(0.0, x), "j1": lambda x: jv(1.0, x), "y0": lambda x: yv(0.0, x), "y1": lambda x: yv(1.0, x),
    "k0": lambda x: kv(0.0, x), "k1": lambda x: kv(1.0, x),
    "gammasgn": gammasgn, "gammainc": gammainc, "gammaincc": gammaincc, "betainc": betainc, "stdtr": stdtr,
    "betaln": betaln, "xlog1py": xlog1py, "rgamma": rgamma,
}
