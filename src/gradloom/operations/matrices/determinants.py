"""Determinants of stacks of matrices, exact to any order, singular matrices included."""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from ...blocks.block import Block
from ...core.array import dlarray, raw
from ...core.declare import general, public
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ..elementwise.arithmetic import conj, imag, real
from ..elementwise.choice import where
from ..movement.axes import array, matrix_transpose
from ..movement.joining import concat
from ..movement.slices import slice_axis
from ..sums.reduction import sum
from .inverses import inv_operation
from .stacks import both_types, column, constant_like, failed, leading, matrices, product, sample_matrix

aten = torch.ops.aten


def _transposed(x: Tensor) -> Tensor:
    """x.T, which has x's determinant, as LAPACK wants it: it is factored as it is, without being copied to another
    order."""
    return x.contiguous().mT


def _inverse_transposed(lu: Tensor, pivots: Tensor) -> Tensor:
    """inv(x).T from the factors of x.T, in C order."""
    eye = torch.eye(lu.shape[-1], dtype=lu.dtype, device=lu.device)
    y = torch.linalg.lu_solve(lu, pivots, eye.expand(lu.shape), adjoint=True).mT
    return y.conj().resolve_conj() if y.is_complex() else y


def _cofactors(x: Any, y: Any, lu: Any, pivots: Any) -> Any:
    """The derivative of the determinant y in each entry of x: y inv(x).T, and polynomials in x where x is (nearly)
    singular."""
    value = raw(x)
    n = value.shape[-1]
    if not n:
        return x
    if not value.is_meta:
        limit = torch.finfo(value.dtype).eps ** -0.5
        inverse = _inverse_transposed(raw(lu), raw(pivots))  # infinite, or not a number, where x is singular
        if not decided((value.abs().sum(-2).amax(-1) * inverse.abs().sum(-1).amax(-1) < limit).all()):
            return _singular_cofactors(x, value, n, limit)
        if type(x) is Tensor:
            return inverse * column(column(y))
    return matrix_transpose(inv_operation.apply((x,))) * column(column(y))


def _singular_cofactors(x: Any, value: Tensor, n: int, limit: float) -> Any:
    """In the basis of the singular vectors (constants) the regular part is inverted; what is left is small and treated
    as a polynomial."""
    finite = torch.isfinite(value).all(-1, keepdim=True).all(-2, keepdim=True)
    u, s, vh = torch.linalg.svd(torch.where(finite, value, 0))  # what is not finite stays so below
    small = max(1, int((s * limit <= s[..., :1]).sum(-1).max()) if s.numel() else 0)
    k = n - small
    z = product(constant_like(u.mH, x), x, constant_like(vh.mH, x))
    top, bottom = slice_axis(z, -2, 0, k), slice_axis(z, -2, k, n)
    a, b, c, d = (slice_axis(part, -1, *at) for part in (top, bottom) for at in ((0, k), (k, n)))
    inverse = inv_operation.apply((a,))
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


_det = general("det", lambda x: tuple(aten._linalg_det(_transposed(x))), hidden=("lu", "pivots"), matlab="det",
               push=lambda x_dot, x, y, lu, pivots: sum(_cofactors(x, y, lu, pivots) * x_dot, axis=(-2, -1)),
               pull=lambda y_bar, x, y, lu, pivots: column(column(y_bar)) * conj(_cofactors(x, y, lu, pivots)),
               samples=lambda: [
                   *((a, {}) for a in (*both_types((3,), (2, 2), (1,), (0,)), *_singular_samples()))],
               without_half="LAPACK has none", torch=("linalg.det", "det"),
               opaque=True)  # torch's forward derivative at a singular matrix is 0


def _singular_samples() -> list[Tensor]:
    a, b = sample_matrix(3), sample_matrix(3, dtype=torch.complex128)
    two = torch.stack([a, a])
    two[1, 2] = two[1, 0] - two[1, 1]
    return [a[:, :1] * a[:1], torch.stack([b[0], b[1], b[0] + 2j * b[1]]), a.new_zeros(2, 2), a.new_zeros(1, 1), two]


@public(_det)
def det(x: Any, /) -> Any:
    """The determinant of square matrices; 1 of a 0 x 0 one.

    Formula: dy/dx = the matrix of cofactors, y inv(x).T where x has an inverse; exact, to any order, also where it has
    none. x: (..., n, n); y: the leading axes, with their labels. Overflows where `slogdet` does not.

    >>> import gradloom as gl
    >>> gl.det(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]))
    dlarray float64 -2.0

    Source: array API linalg.det, MATLAB det.
    """
    x = array(x)
    return _det.apply((matrices(x, "det", square=True),), {}, leading(x, 0))


def _log_slope(x: Any, y: Any, lu: Any, pivots: Any, seed: Any) -> Any:
    """inv(x).T. Singular matrices are allowed where `seed`, of which each matrix has a number, is 0: 0 times infinity
    is 0."""
    if not x.shape[-1]:
        return x
    singular = raw(y[1]) == -math.inf
    if not singular.is_meta and decided(singular.any()):
        if decided((singular & (raw(seed) != 0)).any()):
            raise failed("slogdet: the derivative at a singular matrix is infinite",
                         "write det(x), which has one, or slogdet(where(mask, x, eye(n))) to leave singular ones out")
        eye = constant_like(torch.eye(x.shape[-1], dtype=x.dtype, device=x.device), x)
        at = singular[..., None, None]
        at = dlarray._made(at, None) if type(x) is dlarray else at
        return matrix_transpose(inv_operation.apply((where(at, eye, x),)))
    return (_inverse_transposed(lu, pivots) if type(x) is Tensor and not x.is_meta
            else matrix_transpose(inv_operation.apply((x,))))


def _slogdet_push(x_dot: Any, x: Any, y: Any, lu: Any, pivots: Any) -> Any:
    slope = _log_slope(x, y, lu, pivots, 1 if type(x_dot) is Block or not x.shape[-1]
                       else raw(x_dot).abs().amax((-2, -1)))
    trace = sum(slope * x_dot, axis=(-2, -1))
    return (y[0] * (imag(trace) * 1j), real(trace)) if x.dtype.is_complex else (None, trace)


def _slogdet_pull(y_bar: Any, x: Any, y: Any, lu: Any, pivots: Any) -> Any:
    sign_bar, bar = y_bar
    if x.dtype.is_complex and sign_bar is not None:
        turn = imag(conj(y[0]) * sign_bar) * 1j
        bar = turn if bar is None else bar + turn
    if bar is None:
        return None
    return column(column(bar)) * conj(_log_slope(x, y, lu, pivots, 1 if type(bar) is Block else bar))


_slogdet = general("slogdet", lambda x: tuple(aten._linalg_slogdet(_transposed(x))), outputs=2,
                   hidden=("lu", "pivots"), push=_slogdet_push,
                   pull=_slogdet_pull, samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))],
                   without_half="LAPACK has none", torch=("linalg.slogdet", "slogdet"))


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Any
    logabsdet: Any


@public(_slogdet)
def slogdet(x: Any, /) -> Any:
    """The sign (or phase) and the logarithm of the absolute value of the determinant, as a named tuple; no overflow.

    Formula: det(x) = sign * exp(logabsdet); d logabsdet/dx = inv(x).H. x: (..., n, n); both results: the leading axes.
    Where x is singular the result is (0, -inf) and its derivative, which is infinite, a LinAlgError; a matrix of a
    stack whose logabsdet is not used (or not selected by `where`) may be singular.

    >>> import gradloom as gl
    >>> gl.slogdet(gl.dlarray([[1e200, 0.0], [0.0, -1e200]])).sign
    dlarray float64 -1.0

    Source: array API linalg.slogdet.
    """
    x = array(x)
    return SlogdetResult(*_slogdet.apply((matrices(x, "slogdet", square=True),), {}, (leading(x, 0),) * 2))


__all__ = ["det", "slogdet"]
