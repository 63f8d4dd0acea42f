"""Eigenvalues of Hermitian matrices, and singular values, of stacks of matrices in the last two axes.

Each eigenvector or left singular vector is turned so that its largest entry is real and positive: it is one function of
the matrix, and its derivative needs no choice. Where values are equal, or nearly, the rules leave out how their vectors
turn into each other (equal_values.py), and the walks put it back. Structured Jacobians are untied by the matrix
products.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ...core.array import dlarray, relabelled
from ...core.declare import general, public
from ...core.trace import live
from ...machine.dtypes import Tensor
from ..elementwise.arithmetic import real
from ..movement.axes import array
from ..movement.joining import concat
from ..movement.slices import slice_axis
from ..sums.reduction import sum
from .equal_values import Eigenvectors, SingularVectors, over_gaps
from .factorizations import qr_operation
from .stacks import adjoint, both_types, diagonal_of, failed, hermitian, leading, masked, matrices, product, row

# ----- vectors that are unique but for their phase -----


def turned(u: Tensor) -> tuple[Tensor, Tensor]:
    """The signs or phases that make the largest entry of each column positive, and where those entries are."""
    if not u.shape[-2] or u.is_meta:
        return (torch.ones_like(u[..., :1, :]) if u.shape[-2] else u.new_ones((*u.shape[:-2], 1, u.shape[-1])),
                torch.zeros_like(u, dtype=torch.bool))
    at = u.abs().argmax(-2, keepdim=True)
    entry = u.gather(-2, at)
    return entry.sgn().conj(), torch.zeros_like(u, dtype=torch.bool).scatter_(-2, at, True)


def _values_dot(turn: Any) -> Any:
    """How values move: the diagonal of how the matrix does, among its vectors."""
    return real(sum(masked(turn, torch.eye(turn.shape[-1], device=turn.device)), axis=-1))


# ----- eigenvalues -----


def _eigh_kernel(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    try:
        w, v = torch.linalg.eigh((x + x.mH) / 2)
    except torch.linalg.LinAlgError:
        raise failed("eigh does not converge: the matrix holds NaN or infinity", "mend the matrix") from None
    phases, pivots = turned(v)
    return w, v * phases, pivots


_EIGENVECTORS, _SINGULAR_VECTORS = Eigenvectors(), SingularVectors()


def _eigh_push(x_dot: Any, y: Any, pivots: Any) -> Any:
    rules = _EIGENVECTORS
    turns = rules.turns(y, x_dot)
    return _values_dot(turns[0]), rules.turned(y, over_gaps(turns, rules.inverses(y)), pivots)[1]


def _eigh_pull(y_bar: Any, y: Any, pivots: Any) -> Any:
    rules = _EIGENVECTORS
    if y_bar[1] is None:
        return product(y[1] * row(y_bar[0]), adjoint(y[1]))
    return rules.assembled(y, over_gaps(rules.numerators(y, y_bar, pivots), rules.inverses(y)), y_bar[0])


_eigh = general("eigh", _eigh_kernel, outputs=2, hidden=("pivots",), push=_eigh_push, pull=_eigh_pull,
                samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))],
                meeting=_EIGENVECTORS, matlab="eig", without_half="LAPACK has none")
_eigvalsh = general("eigvalsh", lambda x: torch.linalg.eigvalsh((x + x.mH) / 2),
                    push=lambda x_dot, x: _eigenvalues_push(x_dot, _eigh.apply((x,))[1]),
                    pull=lambda y_bar, x: _eigh_pull((y_bar, None), _eigh.apply((x,)), None),
                    samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))],
                    without_half="LAPACK has none")


def _eigenvalues_push(x_dot: Any, v: Any) -> Any:
    return real(diagonal_of(v, product(hermitian(x_dot), v)))


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


@public(_eigh)
def eigh(x: Any, /) -> Any:
    """Eigenvalues, ascending, and orthonormal eigenvectors of Hermitian matrices, as a named tuple.

    Formula: x v[:, k] = w[k] v[:, k]; dw[k] = v[:, k].H dx v[:, k]. x: (..., n, n), of which (x + x.H) / 2 is taken;
    eigenvalues: (..., n), real; eigenvectors: (..., n, n), the columns; the largest entry of each is real and positive.
    Where eigenvalues are equal, first and second derivatives of what does not depend on the choice of their vectors are
    right; what does depend on it, and third ones, warn.

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

    Where eigenvalues are equal, derivatives up to the third of what treats them alike (sums over them) are right;
    fourth ones warn.

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
    phases, pivots = turned(u)
    return u * phases, s, phases.mH * vh, pivots


def _svd_push(x_dot: Any, y: Any, pivots: Any) -> Any:
    rules = _SINGULAR_VECTORS
    turns = rules.turns(y, x_dot)
    u_dot, _, vh_dot = rules.turned(y, over_gaps(turns, rules.inverses(y)), pivots)
    return u_dot, _values_dot(turns[0]), vh_dot


def _svd_pull(y_bar: Any, y: Any, pivots: Any) -> Any:
    rules = _SINGULAR_VECTORS
    if y_bar[0] is None and y_bar[2] is None:
        return product(y[0] * row(y_bar[1]), y[2])
    return rules.assembled(y, over_gaps(rules.numerators(y, y_bar, pivots), rules.inverses(y)), y_bar[1])


def _svd_samples() -> list[Any]:
    tall = [torch.cat([a, 0.5 * a[..., :1, :]], -2) for a in both_types((2,), (2, 2), (1,))]
    return [(a, {}) for a in (*both_types((3,)), *tall, *[a.mH.resolve_conj() for a in tall],
                              torch.zeros(0, 2, dtype=torch.float64, device="cpu"))]


_svd = general("svd", _svd_kernel, outputs=3, hidden=("pivots",), push=_svd_push, pull=_svd_pull,
               meeting=_SINGULAR_VECTORS, samples=_svd_samples, matlab="svd", without_half="LAPACK has none")


def _values_push(x_dot: Any, y: Any) -> Any:
    return real(diagonal_of(y[0], product(x_dot, adjoint(y[2]))))


_svdvals = general("svdvals", torch.linalg.svdvals, push=lambda x_dot, x: _values_push(x_dot, _svd.apply((x,))),
                   pull=lambda y_bar, x: _svd_pull((None, y_bar, None), _svd.apply((x,)), None), samples=_svd_samples,
                   without_half="LAPACK has none", torch=("linalg.svdvals",))


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    Vh: Any


@public(_svd)
def svd(x: Any, /, *, full_matrices: bool = True) -> Any:
    """x = U diag(S) Vh with orthonormal columns in U and rows in Vh, and S descending, as a named tuple.

    x: (..., m, n); with k = min(m, n), S: (..., k), real; U: (..., m, m) and Vh: (..., n, n), or with
    `full_matrices=False` U: (..., m, k) and Vh: (..., k, n). The largest entry of each column of U is real and
    positive. Where singular values are equal or 0, first and second derivatives of what does not depend on the choice
    of vectors are right, also of the columns that `full_matrices=True` adds; what does depend on it, and third ones,
    warn.

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
    return (u if m == k else concat([u, slice_axis(qr_operation.apply((u,), {"mode": "complete"})[0], -1, k, m)],
                                    axis=-1))


@public(_svdvals)
def svdvals(x: Any, /) -> Any:
    """The singular values, descending: `svd` without the vectors.

    Where singular values are equal, derivatives up to the third of what treats them alike (sums over them) are right;
    fourth ones warn.

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


__all__ = ["eigh", "eigvalsh", "svd", "svdvals", "turned"]
