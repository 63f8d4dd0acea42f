"""Eigenvalues of Hermitian matrices, and singular values, of stacks of matrices in the last two axes.

Each eigenvector or left singular vector is turned so that its largest entry is real and positive: it is one function of the matrix, and
its derivative needs no choice. Where values are equal, 1 / (their difference) counts as 0: first derivatives of what does
not depend on the choice of vectors (sums over the equal ones, spectral functions) are right there, higher ones and those of single
vectors are not, and a recorded walk warns. Structured Jacobians are untied by the matrix products.
"""
from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch

from ..core.array import dlarray, raw, relabelled
from ..core.errors import GradloomWarning, line_of, user_site
from ..core.general import general
from ..core.operation import public
from ..core.trace import live
from ..kernels import Tensor
from .arithmetic import imag, real
from .elementwise import where
from .factorizations import _qr
from .joining import concat
from .matrices import (
    adjoint,
    both_types,
    column,
    diagonal_of,
    failed,
    hermitian,
    imaginary_diagonal,
    leading,
    masked,
    matrices,
    on_diagonal,
    product,
    row,
)
from .movement import array
from .reduction import sum
from .selection import slice_axis

# ----- vectors that are unique but for their phase -----


def _turned(u: Tensor) -> tuple[Tensor, Tensor]:
    """The signs or phases that make the largest entry of each column positive, and where those entries are."""
    if not u.shape[-2] or u.is_meta:
        return torch.ones_like(u[..., :1, :]) if u.shape[-2] else u.new_ones((*u.shape[:-2], 1, u.shape[-1])), torch.zeros_like(u, dtype=torch.bool)
    at = u.abs().argmax(-2, keepdim=True)
    entry = u.gather(-2, at)
    return entry.sgn().conj(), torch.zeros_like(u, dtype=torch.bool).scatter_(-2, at, True)


def _largest(u: Any, pivots: Any) -> Any:
    return sum(masked(real(u), raw(pivots)), axis=-2)


def _phase_push(u_dot: Any, u: Any, pivots: Any) -> Any:
    """How the phases turn so that the largest entries stay real: times 1j, for each column."""
    return row(sum(masked(imag(u_dot), raw(pivots)), axis=-2) / _largest(u, pivots)) * -1j


def _phase_pull(turn_bar: Any, u: Any, pivots: Any) -> Any:
    return masked(row(turn_bar / _largest(u, pivots)) * -1j, raw(pivots))


def _inverse_gaps(x: Any, y: Any, largest: Tensor) -> Any:
    """1 / (y[j] - x[i]) for the pairs that differ by more than rounding, 0 for the others."""
    gaps = row(y) - column(x)
    value = raw(gaps)
    if value.is_meta:
        return 1 / gaps
    n = value.shape[-1]
    equal = value.abs() <= torch.finfo(value.dtype).eps * n * largest[..., None, None]
    if type(gaps) is dlarray and live(gaps._node) is not None and int(equal.sum()) > equal.numel() // (n or 1):
        warnings.warn(f"singular or eigenvalues are equal, at {line_of(user_site())}: first derivatives of what does not depend on the choice of "
                      "their vectors are right, second derivatives are not; write a function of the matrix (inv, det, expm, ...) for those",
                      GradloomWarning, stacklevel=2)
    return where(equal, 0.0, 1 / where(equal, 1.0, gaps))


# ----- eigenvalues -----


def _eigh_kernel(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    try:
        w, v = torch.linalg.eigh((x + x.mH) / 2)
    except torch.linalg.LinAlgError:
        raise failed("eigh does not converge: the matrix holds NaN or infinity", "mend the matrix") from None
    phases, pivots = _turned(v)
    return w, v * phases, pivots


def _eigen_gaps(w: Any) -> Any:
    return _inverse_gaps(w, w, raw(w).abs().amax(-1) if w.shape[-1] else raw(w).sum(-1))


def _eigh_push(x_dot: Any, y: Any, pivots: Any) -> Any:
    w, v = y
    moved = product(hermitian(x_dot), v)
    v_dot = product(v, product(adjoint(v), moved) * _eigen_gaps(w))
    if v.dtype.is_complex:
        v_dot = v_dot + v * _phase_push(v_dot, v, pivots)
    return real(diagonal_of(v, moved)), v_dot


def _eigh_pull(y_bar: Any, y: Any, pivots: Any) -> Any:
    (w, v), (w_bar, v_bar) = y, y_bar
    inner = None
    if v_bar is not None:
        if v.dtype.is_complex:
            v_bar = v_bar + _phase_pull(imag(diagonal_of(v, v_bar)), v, pivots)
        inner = product(adjoint(v), v_bar) * _eigen_gaps(w)
    if w_bar is None:
        return hermitian(product(v, inner, adjoint(v)))
    if inner is None:
        return product(v * row(w_bar), adjoint(v))
    return hermitian(product(v, inner + on_diagonal(w_bar), adjoint(v)))


_eigh = general("eigh", _eigh_kernel, outputs=2, hidden=("pivots",), push=_eigh_push, pull=_eigh_pull, matlab="eig",
                samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))])
_eigvalsh = general("eigvalsh", lambda x: torch.linalg.eigvalsh((x + x.mH) / 2),
                    push=lambda x_dot, x: _eigenvalues_push(x_dot, _eigh.apply((x,))[1]),
                    pull=lambda y_bar, x: _eigh_pull((y_bar, None), _eigh.apply((x,)), None),
                    samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))])


def _eigenvalues_push(x_dot: Any, v: Any) -> Any:
    return real(diagonal_of(v, product(hermitian(x_dot), v)))


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


@public(_eigh)
def eigh(x: Any, /) -> Any:
    """Eigenvalues, ascending, and orthonormal eigenvectors of Hermitian matrices, as a named tuple.

    Formula: x v[:, k] = w[k] v[:, k]; dw[k] = v[:, k].H dx v[:, k]. x: (..., n, n), of which (x + x.H) / 2 is taken; eigenvalues: (..., n),
    real; eigenvectors: (..., n, n), the columns; the largest entry of each is real and positive. Where eigenvalues are equal,
    only first derivatives of what does not depend on the choice of their vectors are right.

    >>> import gradloom as gl
    >>> gl.eigh(gl.dlarray([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    2 dlarray float64
    [1. 3.]

    Source: array API linalg.eigh, MATLAB eig of a symmetric matrix.
    """
    x = array(x)
    return EighResult(*_eigh.apply((matrices(x, "eigh", square=True),), {}, (leading(x, 1), leading(x))))


def _traced(x: Any) -> bool:
    return type(x) is dlarray and live(x._node) is not None


@public(_eigvalsh)
def eigvalsh(x: Any, /) -> Any:
    """The eigenvalues of Hermitian matrices, ascending: `eigh` without the vectors.

    Where eigenvalues are equal, first derivatives of what treats them alike (sums over them) are right, and no higher ones.

    >>> import gradloom as gl
    >>> gl.eigvalsh(gl.dlarray([[2.0, 1.0], [1.0, 2.0]]))
    2 dlarray float64
    [1. 3.]

    Source: array API linalg.eigvalsh.
    """
    x = array(x)
    if _traced(x):  # a derivative needs the vectors: computed once, with the values
        return eigh(x).eigenvalues
    return _eigvalsh.apply((matrices(x, "eigvalsh", square=True),), {}, leading(x, 1))


# ----- singular values -----


def _svd_kernel(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    try:
        u, s, vh = torch.linalg.svd(x, full_matrices=False)
    except torch.linalg.LinAlgError:
        raise failed("svd does not converge: the matrix holds NaN or infinity", "mend the matrix") from None
    phases, pivots = _turned(u)
    return u * phases, s, phases.mH * vh, pivots


def _singular_gaps(s: Any) -> tuple[Any, Any]:
    """1 / (s[j]**2 - s[i]**2), and 1 / s; 0 where that is infinite."""
    value = raw(s)
    largest = value.amax(-1) if value.shape[-1] else value.sum(-1)
    total = row(s) + column(s)
    if value.is_meta:
        return _inverse_gaps(s, s, largest) / total, 1 / s
    nothing = raw(total) == 0
    zero = value <= torch.finfo(value.dtype).eps * value.shape[-1] * largest[..., None]
    return _inverse_gaps(s, s, largest) * where(nothing, 0.0, 1 / where(nothing, 1.0, total)), where(zero, 0.0, 1 / where(zero, 1.0, s))


def _svd_push(x_dot: Any, y: Any, pivots: Any, x_shape: Any) -> Any:
    u, s, vh = y
    v, k = adjoint(vh), s.shape[-1]
    right, left = product(x_dot, v), product(adjoint(x_dot), u)
    inside = product(adjoint(u), right)
    star = adjoint(inside)
    gaps, inverse = _singular_gaps(s)
    turn = (inside * row(s) + star * column(s)) * gaps
    if u.dtype.is_complex:
        turn = turn + imaginary_diagonal(inside * row(inverse))
    u_dot, v_dot = product(u, turn), product(v, (inside * column(s) + star * row(s)) * gaps)
    if x_shape[-2] > k:
        u_dot = u_dot + (right - product(u, inside)) * row(inverse)
    if x_shape[-1] > k:
        v_dot = v_dot + (left - product(v, star)) * row(inverse)
    if u.dtype.is_complex:
        phase = _phase_push(u_dot, u, pivots)
        u_dot, v_dot = u_dot + u * phase, v_dot + v * phase
    return u_dot, real(diagonal_of(u, right)), adjoint(v_dot)


def _svd_pull(y_bar: Any, y: Any, pivots: Any, x_shape: Any) -> Any:
    (u, s, vh), (u_bar, s_bar, vh_bar) = y, y_bar
    if u_bar is None and vh_bar is None:
        return product(u * row(s_bar), vh)
    v, k = adjoint(vh), s.shape[-1]
    v_bar = None if vh_bar is None else adjoint(vh_bar)
    gaps, inverse = _singular_gaps(s)
    if u.dtype.is_complex:
        turns = [imag(diagonal_of(a, bar)) for a, bar in ((u, u_bar), (v, v_bar)) if bar is not None]
        fixed = _phase_pull(turns[0] if len(turns) == 1 else turns[0] + turns[1], u, pivots)
        u_bar = fixed if u_bar is None else u_bar + fixed
    parts: list[Any] = [] if s_bar is None else [on_diagonal(s_bar)]
    outside: list[Any] = []
    if u_bar is not None:
        turn = product(adjoint(u), u_bar)
        inner = turn * gaps
        parts.append((inner + adjoint(inner)) * row(s))
        if u.dtype.is_complex:
            parts.append(imaginary_diagonal(turn * row(inverse)))
        if x_shape[-2] > k:
            w = u_bar * row(inverse)
            outside.append(product(w - product(u, product(adjoint(u), w)), vh))
    if v_bar is not None:
        inner = product(vh, v_bar) * gaps
        parts.append((inner + adjoint(inner)) * column(s))
        if x_shape[-1] > k:
            w = v_bar * row(inverse)
            outside.append(product(u, adjoint(w - product(v, product(vh, w)))))
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    x_bar = product(u, total, vh)
    for part in outside:
        x_bar = x_bar + part
    return x_bar


def _svd_samples() -> list[Any]:
    tall = [torch.cat([a, 0.5 * a[..., :1, :]], -2) for a in both_types((2,), (2, 2), (1,))]
    return [(a, {}) for a in (*both_types((3,)), *tall, *[a.mH.resolve_conj() for a in tall], torch.zeros(0, 2, dtype=torch.float64))]


_svd = general("svd", _svd_kernel, outputs=3, hidden=("pivots",), push=_svd_push, pull=_svd_pull, samples=_svd_samples, matlab="svd")


def _values_push(x_dot: Any, y: Any) -> Any:
    return real(diagonal_of(y[0], product(x_dot, adjoint(y[2]))))


_svdvals = general("svdvals", torch.linalg.svdvals, push=lambda x_dot, x: _values_push(x_dot, _svd.apply((x,))),
                   pull=lambda y_bar, x, x_shape: _svd_pull((None, y_bar, None), _svd.apply((x,)), None, x_shape), samples=_svd_samples)


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    Vh: Any


@public(_svd)
def svd(x: Any, /, *, full_matrices: bool = True) -> Any:
    """x = U diag(S) Vh with orthonormal columns in U and rows in Vh, and S descending, as a named tuple.

    x: (..., m, n); with k = min(m, n), S: (..., k), real; U: (..., m, m) and Vh: (..., n, n), or with `full_matrices=False`
    U: (..., m, k) and Vh: (..., k, n). The largest entry of each column of U is real and positive. Where singular values are equal
    or 0, only first derivatives of what does not depend on the choice of vectors are right; so are those of the columns that
    `full_matrices=True` adds.

    >>> import gradloom as gl
    >>> gl.svd(gl.dlarray([[3.0, 0.0], [0.0, -4.0]])).S
    2 dlarray float64
    [4. 3.]

    Source: array API linalg.svd, MATLAB svd (whose third result is Vh.H).
    """
    x = array(x)
    u, s, vh = _svd.apply((matrices(x, "svd"),))
    if full_matrices:
        u, vh = _completed(u), adjoint(_completed(adjoint(vh)))
    return SVDResult(*(relabelled(a, leading(x, own)) for a, own in ((u, 2), (s, 1), (vh, 2))))


def _completed(u: Any) -> Any:
    """More orthonormal columns, so that the matrix is square."""
    m, k = u.shape[-2:]
    return u if m == k else concat([u, slice_axis(_qr.apply((u,), {"mode": "complete"})[0], -1, k, m)], axis=-1)


@public(_svdvals)
def svdvals(x: Any, /) -> Any:
    """The singular values, descending: `svd` without the vectors.

    Where singular values are equal, first derivatives of what treats them alike (sums over them) are right, and no higher ones.

    >>> import gradloom as gl
    >>> gl.svdvals(gl.dlarray([[3.0, 0.0], [0.0, -4.0]]))
    2 dlarray float64
    [4. 3.]

    Source: array API linalg.svdvals.
    """
    x = array(x)
    if _traced(x):  # a derivative needs the vectors: computed once, with the values
        return svd(x, full_matrices=False).S
    return _svdvals.apply((matrices(x, "svdvals"),), {}, leading(x, 1))


__all__ = ["eigh", "eigvalsh", "svd", "svdvals"]
