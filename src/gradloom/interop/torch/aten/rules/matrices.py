"""ATen's products, linear algebra and Fourier transforms as functions of dlarrays. The argument names are ATen's."""
from __future__ import annotations

import math
from typing import Any

import torch

from .....core.array import dlarray, raw
from .....core.errors import TypeRefused, line_of, user_site
from ....numpy.mathematics import as_read
from ....protocol import gl
from ...table import plus, rule
from .pointwise import constant, total

# ----- products -----


@rule("addbmm")
def _addbmm(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return plus(x, gl.sum(gl.matmul(a, b), axis=0), beta, alpha)


@rule("addr")
def _addr(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return plus(x, gl.outer(a, b), beta, alpha)


@rule("_trilinear")
def _trilinear(a: Any, b: Any, c: Any, expand1: Any, expand2: Any, expand3: Any, sumdim: Any,
               unroll_dim: int = 1) -> Any:
    for expand, k in ((expand1, 0), (expand2, 1), (expand3, 2)):
        x = (a, b, c)[k]
        for axis in expand:
            x = gl.expand_dims(x, axis=axis)
        a, b, c = (x if j == k else other for j, other in enumerate((a, b, c)))
    return total(a * b * c, sumdim)


# ----- linear algebra -----


@rule("linalg_inv_ex")
def _inv(a: Any, *, check_errors: bool = False) -> Any:
    return gl.inv(a), _fine(a)


def _fine(a: Any) -> dlarray:
    """LAPACK's info: our operations raise where there is none."""
    return constant(torch.zeros(a.shape[:-2], dtype=torch.int32, device=a.device))


def _unread(a: Any) -> dlarray:
    """A factor that torch keeps for its own backward: NaN, so that whoever reads it sees."""
    return constant(torch.full(a.shape, math.nan, dtype=a.dtype, device=a.device))


@rule("_linalg_det")
def _det(a: Any) -> Any:
    return gl.det(a), _unread(a), _fine(a)


@rule("_linalg_slogdet")
def _slogdet(a: Any) -> Any:
    return (*gl.slogdet(a), _unread(a), _fine(a))


@rule("_linalg_solve_ex")
def _solve(a: Any, b: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    if not left:
        return (gl.matrix_transpose(gl.solve(gl.matrix_transpose(a), gl.matrix_transpose(b))),
                _unread(a), _fine(a), _fine(a))
    vector = b.ndim == 1 or b.ndim == a.ndim - 1 and b.shape == a.shape[:-1]
    y = gl.solve(a, gl.expand_dims(b, axis=-1) if vector else b)
    return gl.squeeze(y, axis=-1) if vector else y, _unread(a), _fine(a), _fine(a)


@rule("linalg_solve_triangular")
def _solve_triangular(a: Any, b: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    if unitriangular:
        n = a.shape[-1]
        a = gl.where(constant(torch.eye(n, dtype=torch.bool, device=a.device)), 1.0, a)
    if not left:
        a, b = gl.matrix_transpose(a), gl.matrix_transpose(b)
        return gl.matrix_transpose(gl.solve_triangular(a, b, upper=not upper))
    return gl.solve_triangular(a, b, upper=upper)


@rule("linalg_cholesky_ex")
def _cholesky(a: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    return gl.cholesky(as_read(a, "U" if upper else "L"), upper=upper), _fine(a)


@rule("cholesky")
def _old_cholesky(a: Any, upper: bool = False) -> Any:
    return gl.cholesky(as_read(a, "U" if upper else "L"), upper=upper)


@rule("_linalg_svd")
def _svd(a: Any, full_matrices: bool = False, compute_uv: bool = True, *, driver: Any = None) -> Any:
    if not compute_uv:
        return _unread(a), gl.svdvals(a), _unread(a)
    return tuple(gl.svd(a, full_matrices=full_matrices))


@rule("_linalg_eigh")
def _eigh(a: Any, UPLO: str = "L", compute_v: bool = True) -> Any:
    a = as_read(a, UPLO)
    return tuple(gl.eigh(a)) if compute_v else (gl.eigvalsh(a), _unread(a))


@rule("linalg_pinv.atol_rtol_tensor")
def _pinv(a: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    if atol is not None and bool((atol._value != 0).any()):
        raise TypeRefused(f"pinv(atol=) has no derivative in gradloom, at {line_of(user_site())}; write rtol=")
    return gl.pinv(as_read(a, "L") if hermitian else a, rtol=None if rtol is None else float(rtol._value.max()))


@rule("linalg_lstsq")
def _lstsq(a: Any, b: Any, rcond: Any = None, *, driver: Any = None) -> Any:
    """The solution; the sums of squares that are left, where torch gives them (by shapes, rank and driver); rank,
    singular values."""
    theirs = torch.linalg.lstsq(raw(a), raw(b), rcond=rcond, driver=driver)
    vector = b.ndim == 1 or b.ndim == a.ndim - 1 and b.shape == a.shape[:-1]
    right = gl.expand_dims(b, axis=-1) if vector else b
    y = gl.lstsq(a, right, rtol=rcond)
    residuals: Any = constant(theirs.residuals)
    if theirs.residuals.numel():
        away = gl.matmul(a, y) - right
        residuals = gl.reshape(gl.sum(gl.real(away * gl.conj(away)), axis=-2), theirs.residuals.shape)
    return gl.squeeze(y, axis=-1) if vector else y, residuals, constant(theirs.rank), constant(theirs.singular_values)


@rule("cholesky_inverse")
def _cholesky_inverse(a: Any, upper: bool = False) -> Any:
    """The inverse of u.H u or of l l.H: one triangle is read, with torch's derivative, that of a whole factor."""
    value = raw(a)
    inverse = gl.inv(a + constant((value.triu() if upper else value.tril()) - value))
    adjoint = gl.conj(gl.matrix_transpose(inverse))
    return gl.matmul(inverse, adjoint) if upper else gl.matmul(adjoint, inverse)


@rule("linalg_matrix_exp")
def _matrix_exp(a: Any) -> Any:
    return gl.expm(a)


# ----- Fourier transforms: sums over roots of unity, linear -----


def _scaled(y: Any, normalization: int, count: int) -> Any:
    """ATen's normalization: 0 none, 1 by the square root of the count, 2 by the count."""
    return y if normalization == 0 else y * (1 / (math.sqrt(count) if normalization == 1 else count))


def _transformed(x: Any, dim: Any, forward: bool) -> Any:
    for k in dim:
        x = gl.fft(x, axis=k) if forward else gl.ifft(x, axis=k, norm="forward")
    return x


@rule("_fft_c2c")
def _fft_c2c(x: Any, dim: Any, normalization: int, forward: bool) -> Any:
    return _scaled(_transformed(x, dim, forward), normalization, math.prod(x.shape[k] for k in dim))


@rule("_fft_r2c")
def _fft_r2c(x: Any, dim: Any, normalization: int, onesided: bool) -> Any:
    *others, last = dim
    y = _transformed(gl.rfft(x, axis=last) if onesided else gl.fft(x, axis=last), others, True)
    return _scaled(y, normalization, math.prod(x.shape[k] for k in dim))


@rule("_fft_c2r")
def _fft_c2r(x: Any, dim: Any, normalization: int, last_dim_size: int) -> Any:
    *others, last = dim
    y = gl.irfft(_transformed(x, others, False), n=last_dim_size, axis=last, norm="forward")
    return _scaled(y, normalization, math.prod(y.shape[k] for k in dim))
