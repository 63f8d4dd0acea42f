"""The gamma function and its kin."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.declare import elementwise, public
from ...core.errors import ShapeError, line_of, user_site
from ...core.kinds.elementwise import Elementwise
from ...machine.dtypes import Tensor
from ...machine.finite import finite
from ...machine.questions import spared
from .arithmetic import pair, scale
from .mathematics import apply_unary
from .special import sinpi_kernel


def _sign_of_gamma(x: Tensor) -> Tensor:
    """1 at the poles too."""
    below = torch.floor(x)
    return torch.where((x < 0) & (below != x) & (torch.remainder(below, 2) == 1), -1.0, 1.0).to(x.dtype)


def _signed(y: Tensor, *xs: Tensor) -> Tensor:
    """y with the sign of the product of gamma at each x; without passes where all are positive."""
    for x in xs:
        if not x.is_meta and x.numel() and not spared(x.amin() >= 0):
            y = y * _sign_of_gamma(x)
    return y


def _gamma_kernel(x: Tensor) -> Tensor:
    y = _signed(torch.exp(torch.lgamma(x)), x)
    if x.is_meta or not x.numel() or spared((x - torch.floor(x)).amin() > 0):
        return y  # no integers
    whole = (x == torch.floor(x)) & (x >= 1) & (x <= len(_FACTORIALS))
    return torch.where(whole, _FACTORIALS.to(y)[torch.where(whole, x - 1, 0).to(torch.int64)], y)


_FACTORIALS = torch.tensor([float(math.factorial(n)) for n in range(171)], dtype=torch.float64, device="cpu")


def _beta_kernel(a: Tensor, b: Tensor) -> Tensor:
    return _signed(torch.exp(torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)), a, b, a + b)


def _polygamma_kernel(x: Tensor, n: int) -> Tensor:
    """torch.polygamma(1, x) has only nine digits; in double precision Hurwitz' zeta function has all. Both are NaN at
    infinity, where it is 0."""
    y = _polygamma_of_numbers(x, n)
    return y if finite(y) or x.is_meta else y.masked_fill_(x == math.inf, 0)


def _polygamma_of_numbers(x: Tensor, n: int) -> Tensor:
    if n > 1 or x.dtype is not torch.float64:
        return torch.polygamma(n, x)
    left = x < 0  # reflected there, where zeta would sum one term for each integer up to 0
    y = torch.special.zeta(2.0, torch.where(left, 1 - x, x))
    y = torch.where(x > 1e9, (1 + 0.5 / x) / x, y)  # where zeta gives 0 at last
    return torch.where(left, (math.pi / sinpi_kernel(x)) ** 2 - y, y)


_polygamma = Elementwise("polygamma", _polygamma_kernel, [lambda x, n: _polygamma.apply((x,), {"n": n + 1})],
                         ("x",), singular=True,
                         domain=(0.5, 3), samples=[{"n": 1}, {"n": 2}], matlab="psi",
                         real_only="of real numbers in torch", torch=(),  # whose arguments are named otherwise
                         opaque=True)  # the kernel writes in place
digamma = elementwise("digamma", torch.digamma, lambda x: _polygamma.apply((x,), {"n": 1}),
                      singular=True, domain=(0.5, 3),
                      doc="The derivative of gammaln, gamma'(x) / gamma(x).", matlab="psi",
                      real_only="of real numbers in torch", torch=("digamma", "special.digamma", "special.psi"))
gammaln = elementwise("gammaln", torch.lgamma, lambda x: digamma(x), singular=True, domain=(0.5, 3),
                      doc="The logarithm of the absolute value of the gamma function, without overflow.",
                      matlab="gammaln", real_only="of real numbers in torch",
                      torch=("lgamma", "special.gammaln", "prims.lgamma"))
gamma = elementwise("gamma", _gamma_kernel, lambda y, x: scale(y, digamma(x)), singular=True, domain=(0.5, 3),
                    doc="The gamma function: (x - 1)! at integers from 1, where it is exact; infinite at 0 and "
                        "negative integers.", matlab="gamma",
                    real_only="of real numbers in torch")
beta = elementwise("beta", pair(_beta_kernel), lambda y, a, b: scale(y, digamma(a) - digamma(a + b)),
                   lambda y, a, b: scale(y, digamma(b) - digamma(a + b)), singular=True, domain=(0.5, 3),
                   doc="The beta function, gamma(a) gamma(b) / gamma(a + b), computed by logarithms.", matlab="beta",
                   real_only="of real numbers in torch")


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
        raise ShapeError(
            f"polygamma takes the order first, an integer from 0, not {n!r:.60}, at {line_of(user_site())}; write "
            "polygamma(1, x)")
    return digamma(x) if n == 0 else apply_unary(_polygamma, x, {"n": n})
