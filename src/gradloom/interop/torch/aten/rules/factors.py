"""ATen's factorizations as LAPACK packs them, and what is solved with them. The argument names are ATen's."""
from __future__ import annotations

from typing import Any

import torch

from .....core.array import raw
from .....core.errors import TypeRefused, line_of, user_site
from .....operations.matrices.lu import packed, solved_by_factors, unpacked
from ....protocol import constant, gl
from ...table import rule


def _adjoint(x: Any) -> Any:
    return gl.conj(gl.matrix_transpose(x))


@rule("linalg_eig")
def _eig(a: Any) -> Any:
    return tuple(gl.eig(a))


@rule("linalg_eigvals", "_linalg_eigvals")
def _eigvals(a: Any) -> Any:
    return gl.eigvals(a)


# ----- LU -----


def _pivoted(pivot: bool) -> None:
    if not pivot:
        raise TypeRefused(f"lu(pivot=False) has no kernel on the CPU, at {line_of(user_site())}; leave pivot out")


@rule("linalg_lu")
def _lu(a: Any, *, pivot: bool = True) -> Any:
    _pivoted(pivot)
    return tuple(gl.lu(a))


@rule("linalg_lu_factor_ex")
def _lu_factor_ex(a: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    _pivoted(pivot)
    _, pivots, info = torch.linalg.lu_factor_ex(raw(a), check_errors=check_errors)
    return packed(*gl.lu(a)[1:]), constant(pivots), constant(info)


@rule("linalg_lu_factor")
def _lu_factor(a: Any, *, pivot: bool = True) -> Any:
    return _lu_factor_ex(a, pivot=pivot, check_errors=True)[:2]


@rule("lu_unpack")
def _lu_unpack(factors: Any, pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    theirs = torch.lu_unpack(raw(factors), raw(pivots), unpack_data, unpack_pivots)
    return (constant(theirs[0]), *(unpacked(factors) if unpack_data else map(constant, theirs[1:])))


@rule("linalg_lu_solve")
def _lu_solve(factors: Any, pivots: Any, b: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    permutation = torch.lu_unpack(raw(factors), raw(pivots), False, True)[0]
    if not left:  # y x = b where x.H y.H = b.H
        return _adjoint(_lu_solve(factors, pivots, _adjoint(b), adjoint=not adjoint))
    lead = torch.broadcast_shapes(tuple(factors.shape[:-2]), tuple(b.shape[:-2]))
    factors, b = (x if x.shape[:-2] == lead else gl.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (factors, b))
    return solved_by_factors(permutation, factors, b, adjoint)


@rule("lu_solve")
def _old_lu_solve(b: Any, factors: Any, pivots: Any) -> Any:
    return _lu_solve(factors, pivots, b)


# ----- triangles -----


@rule("triangular_solve")
def _triangular_solve(b: Any, a: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    """The solution, and a copy of the matrix."""
    triangle = gl.triu(a) if upper else gl.tril(a)
    if unitriangular:
        eye = torch.eye(a.shape[-1], dtype=torch.bool, device=a.device)
        triangle = gl.where(constant(eye), 1.0, triangle)
    its = gl.matrix_transpose(triangle) if transpose else triangle
    return gl.solve_triangular(its, b, upper=upper != transpose), triangle if unitriangular else a


@rule("cholesky_solve")
def _cholesky_solve(b: Any, factor: Any, upper: bool = False) -> Any:
    """The solution y of l l.H y = b, or of u.H u y = b."""
    low = _adjoint(factor) if upper else factor
    return gl.solve_triangular(_adjoint(low), gl.solve_triangular(low, b), upper=True)


# ----- products of reflections: (1 - t[0] v[0] v[0].H) (1 - t[1] v[1] v[1].H) ..., v in the columns below the diagonal


def _reflected(vectors: Any, tau: Any, x: Any, adjoint: bool) -> Any:
    """The product times x; `adjoint`: its adjoint times x."""
    m = vectors.shape[-2]
    count = tau.shape[-1]
    for k in range(count) if adjoint else range(count - 1, -1, -1):
        below = gl.pad(vectors[..., k + 1:, k:k + 1], [(0, 0)] * (vectors.ndim - 2) + [(k + 1, 0), (0, 0)])
        v = below + constant(torch.eye(m, dtype=below.dtype, device=below.device)[:, k:k + 1])
        t = gl.reshape(tau[..., k], (*tau.shape[:-1], 1, 1))
        x = x - (gl.conj(t) if adjoint else t) * gl.matmul(v, gl.matmul(_adjoint(v), x))
    return x


@rule("linalg_householder_product")
def _householder_product(a: Any, tau: Any) -> Any:
    eye = torch.eye(*a.shape[-2:], dtype=a.dtype, device=a.device).expand(a.shape)
    return _reflected(a, tau, constant(eye.contiguous()), False)


@rule("orgqr")
def _orgqr(a: Any, tau: Any) -> Any:
    return _householder_product(a, tau)


@rule("ormqr")
def _ormqr(a: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    if left:
        return _reflected(a, tau, other, transpose)
    return _adjoint(_reflected(a, tau, _adjoint(other), not transpose))


__all__: list[str] = []
