"""Determinants of stacks of matrices, exact to any order, singular matrices included."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ..core.array import raw
from ..core.general import general
from ..core.operation import public
from ..kernels import Tensor
from .arithmetic import conj, imag, real
from .inverses import _inv
from .joining import concat
from .matrices import adjoint, both_types, column, constant_like, leading, matrices, product, sample_matrix
from .movement import array, matrix_transpose
from .reduction import sum
from .selection import slice_axis


def _cofactors(x: Any, y: Any) -> Any:
    """The derivative of the determinant y in each entry of x: y inv(x).T, and polynomials in x where x is (nearly) singular."""
    value = raw(x)
    n = value.shape[-1]
    if not n or value.is_meta:
        return x if not n else matrix_transpose(_inv.apply((x,))) * column(column(y))
    inverse, info = torch.linalg.inv_ex(value)
    limit = torch.finfo(value.dtype).eps ** -0.5
    condition = value.abs().sum(-1).amax(-1) * inverse.abs().sum(-1).amax(-1)
    if not bool((info != 0).any()) and bool((condition < limit).all()):
        inverse = inverse if type(x) is Tensor else _inv.apply((x,))
        return matrix_transpose(inverse) * column(column(y))
    return _singular_cofactors(x, value, n, limit)


def _singular_cofactors(x: Any, value: Tensor, n: int, limit: float) -> Any:
    """In the basis of the singular vectors (constants) the regular part is inverted; what is left is small and treated as a polynomial."""
    u, s, vh = torch.linalg.svd(value)
    small = max(1, int((s * limit <= s[..., :1]).sum(-1).max()) if s.numel() else 0)
    k = n - small
    z = product(constant_like(u.mH, x), x, constant_like(vh.mH, x))
    top, bottom = slice_axis(z, -2, 0, k), slice_axis(z, -2, k, n)
    a, b, c, d = (slice_axis(part, -1, *at) for part in (top, bottom) for at in ((0, k), (k, n)))
    inverse = _inv.apply((a,))
    right, left = product(inverse, b), product(c, inverse)
    adjugate, det_rest = _faddeev_leverrier(d - product(c, right), small)
    corner = inverse * column(column(det_rest)) + product(right, adjugate, left)
    rows = [concat([corner, -product(right, adjugate)], axis=-1), concat([-product(adjugate, left), adjugate], axis=-1)]
    inside = concat(rows, axis=-2) * column(column(_det.apply((a,))))
    phase = torch.linalg.det(u) * torch.linalg.det(vh)
    return matrix_transpose(product(constant_like(vh.mH, x), inside, constant_like(u.mH * phase[..., None, None], x)))


def _faddeev_leverrier(x: Any, n: int) -> tuple[Any, Any]:
    """The adjugate and determinant of small matrices as polynomials in their entries."""
    eye = torch.eye(n, dtype=x.dtype, device=x.device)
    inner, c = constant_like(eye.expand(*x.shape[:-2], n, n), x), None
    for k in range(1, n + 1):
        last = inner
        c = sum(x * matrix_transpose(last), axis=(-2, -1)) * (-1 / k)
        inner = product(x, last) + column(column(c)) * eye
    return last * (-1) ** (n - 1), c * (-1) ** n


_det = general("det", torch.linalg.det, push=lambda x_dot, x, y: sum(_cofactors(x, y) * x_dot, axis=(-2, -1)),
               pull=lambda y_bar, x, y: column(column(y_bar)) * conj(_cofactors(x, y)), matlab="det", samples=lambda: [
                   *((a, {}) for a in (*both_types((3,), (2, 2), (1,), (0,)), *_singular_samples()))])


def _singular_samples() -> list[Tensor]:
    a, b = sample_matrix(3), sample_matrix(3, dtype=torch.complex128)
    two = torch.stack([a, a])
    two[1, 2] = two[1, 0] - two[1, 1]
    return [a[:, :1] * a[:1], torch.stack([b[0], b[1], b[0] + 2j * b[1]]), torch.zeros(2, 2, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64), two]


@public(_det)
def det(x: Any, /) -> Any:
    """The determinant of square matrices; 1 of a 0 x 0 one.

    Formula: dy/dx = the matrix of cofactors, y inv(x).T where x has an inverse; exact, to any order, also where it has none.
    x: (..., n, n); y: the leading axes, with their labels. Overflows where `slogdet` does not.

    >>> import gradloom as gl
    >>> gl.det(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]))
    dlarray float64 -2.0

    Source: array API linalg.det, MATLAB det.
    """
    x = array(x)
    return _det.apply((matrices(x, "det", square=True),), {}, leading(x, 0))


def _slogdet_push(x_dot: Any, x: Any, y: Any) -> Any:
    trace = sum(matrix_transpose(_inv.apply((x,))) * x_dot, axis=(-2, -1))
    return (y[0] * (imag(trace) * 1j), real(trace)) if x.dtype.is_complex else (None, trace)


def _slogdet_pull(y_bar: Any, x: Any, y: Any) -> Any:
    sign_bar, bar = y_bar
    if x.dtype.is_complex and sign_bar is not None:
        turn = imag(conj(y[0]) * sign_bar) * 1j
        bar = turn if bar is None else bar + turn
    return None if bar is None else column(column(bar)) * adjoint(_inv.apply((x,)))


_slogdet = general("slogdet", lambda x: tuple(torch.linalg.slogdet(x)), outputs=2, push=_slogdet_push, pull=_slogdet_pull,
                   samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))])


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Any
    logabsdet: Any


@public(_slogdet)
def slogdet(x: Any, /) -> Any:
    """The sign (or phase) and the logarithm of the absolute value of the determinant, as a named tuple; no overflow.

    Formula: det(x) = sign * exp(logabsdet); d logabsdet/dx = inv(x).H. x: (..., n, n); both results: the leading axes. Where x is singular
    the result is (0, -inf) and its derivative a LinAlgError.

    >>> import gradloom as gl
    >>> gl.slogdet(gl.dlarray([[1e200, 0.0], [0.0, -1e200]])).sign
    dlarray float64 -1.0

    Source: array API linalg.slogdet.
    """
    x = array(x)
    return SlogdetResult(*_slogdet.apply((matrices(x, "slogdet", square=True),), {}, (leading(x, 0),) * 2))


__all__ = ["det", "slogdet"]
