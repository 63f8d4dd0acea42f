"""Factorizations into triangles, of stacks of matrices in the last two axes: Cholesky and QR.

Each is one function of the matrix, with the signs of the kernel. Structured Jacobians are untied by the triangular
solutions.
"""
from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch

from ...core.array import relabelled
from ...core.declare import general, public
from ...core.errors import GradloomWarning, ShapeError, line_of, user_site
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ..movement.axes import array
from ..movement.slices import pad_axis, slice_axis
from .inverses import triangular_solution
from .stacks import (
    adjoint,
    both_types,
    failed,
    hermitian,
    imaginary_diagonal,
    leading,
    masked,
    matrices,
    product,
    sample_matrix,
    triangle,
)

# ----- Cholesky -----


def _cholesky_kernel(x: Tensor) -> Tensor:
    y, info = torch.linalg.cholesky_ex((x + x.mH) / 2)
    if not info.is_meta and decided((info != 0).any()):
        raise failed("cholesky: the matrix is not positive definite",
                     "add a small multiple of the identity, or use eigh")
    return y


def _halved(x: Any) -> Any:
    """The lower triangle with half the diagonal."""
    mask = torch.ones(x.shape[-2:], device=x.device).tril()
    return masked(x, mask - 0.5 * torch.eye(x.shape[-1], device=x.device))


def _cholesky_push(x_dot: Any, y: Any) -> Any:
    half = adjoint(triangular_solution(y, hermitian(x_dot), False))
    return product(y, _halved(triangular_solution(y, half, False)))


def _cholesky_pull(y_bar: Any, y: Any) -> Any:
    star = adjoint(y)
    inner = adjoint(triangular_solution(star, _halved(product(star, y_bar)), True))
    return hermitian(triangular_solution(star, inner, True))


_cholesky = general("cholesky", _cholesky_kernel, push=_cholesky_push, pull=_cholesky_pull, matlab="chol",
                    samples=lambda: [(a @ a.mH, {}) for a in both_types((3,), (2, 2), (1,), (0,))],
                    without_half="LAPACK has none")


@public(_cholesky)
def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """The lower triangular y with y y.H = x for Hermitian positive definite x; with `upper=True` the upper one with y.H
    y = x.

    x: (..., n, n), of which (x + x.H) / 2 is taken; y: as x. Raises LinAlgError where x is not positive definite.

    >>> import gradloom as gl
    >>> gl.cholesky(gl.dlarray([[4.0, 2.0], [2.0, 2.0]]))
    2 x 2 dlarray float64
    [[2. 0.]
     [1. 1.]]

    Source: array API linalg.cholesky, MATLAB chol (which is the upper one).
    """
    x = array(x)
    y = _cholesky.apply((matrices(x, "cholesky", square=True),))
    return relabelled(adjoint(y) if upper else y, leading(x))


# ----- QR -----


def _turn(x: Any) -> Any:
    """The skew-Hermitian matrix with the strictly lower triangle of x, and the imaginary part of its diagonal."""
    low = triangle(x, upper=False, strict=True)
    y = low - adjoint(low)
    return y + imaginary_diagonal(x) if x.dtype.is_complex else y


def _square_part(x: Any, r: Any) -> tuple[Any, Any]:
    """The first columns of x, and the square triangular part of r."""
    k = min(x.shape[-2:])
    return slice_axis(x, -1, 0, k), slice_axis(slice_axis(r, -1, 0, k), -2, 0, k)


def _over(x: Any, r: Any) -> Any:
    """x times the inverse of the upper triangular r."""
    return adjoint(triangular_solution(adjoint(r), adjoint(x), False))


def _over_adjoint(x: Any, r: Any) -> Any:
    return adjoint(triangular_solution(r, adjoint(x), True))


def _warn_of_low_rank(r: Any) -> None:
    """Where columns depend on each other, Q has no derivative, and what is computed is rounding, multiplied."""
    value = getattr(r, "_value", r)
    if not value.is_cpu or not value.numel():
        return  # without data, or where it would wait for the device
    sizes = value.diagonal(dim1=-2, dim2=-1).abs()
    columns = torch.linalg.vector_norm(value[..., :sizes.shape[-1]], dim=-2)  # beside its own column each is judged
    if decided((sizes <= max(value.shape[-2:]) * torch.finfo(value.dtype).eps * columns).any()):
        warnings.warn(f"columns of a matrix depend on each other, at {line_of(user_site())}: its qr has no derivative "
                      "there; write it with what exists, such as pinv or lstsq", GradloomWarning, stacklevel=2)


def _qr_push(x_dot: Any, y: Any, mode: str) -> Any:
    q, r = y
    _warn_of_low_rank(r)
    part, square = _square_part(x_dot, r)
    moved = _over(part, square)
    inside = product(adjoint(q), moved)
    extra = q.shape[-1] - moved.shape[-1]
    if extra:
        moved, inside = pad_axis(moved, -1, 0, extra), pad_axis(inside, -1, 0, extra)
    turn = _turn(inside)
    return moved + product(q, turn - inside), product(adjoint(q), x_dot) - product(turn, r)


def _qr_pull(y_bar: Any, y: Any, mode: str, x_shape: Any) -> Any:
    q, r = y
    _warn_of_low_rank(r)
    q_bar, r_bar = y_bar
    turn_bar = None if q_bar is None else product(adjoint(q), q_bar)
    inside_bar = None if turn_bar is None else -turn_bar
    if r_bar is not None:
        part = product(r_bar, adjoint(r))
        turn_bar = -part if turn_bar is None else turn_bar - part
    low = triangle(turn_bar - adjoint(turn_bar), upper=False, strict=True)
    low = low + imaginary_diagonal(turn_bar) if low.dtype.is_complex else low
    inside_bar = low if inside_bar is None else low + inside_bar
    k = min(x_shape[-2:])
    moved = product(q, slice_axis(inside_bar, -1, 0, k))
    moved = moved if q_bar is None else moved + slice_axis(q_bar, -1, 0, k)
    square = slice_axis(slice_axis(r, -1, 0, k), -2, 0, k)
    x_bar = pad_axis(_over_adjoint(moved, square), -1, 0, x_shape[-1] - k)
    return x_bar if r_bar is None else x_bar + product(q, r_bar)


def _qr_samples() -> list[Any]:
    tall = [torch.cat([a, 0.5 * a[..., :1, :]], -2) for a in both_types((2,), (2, 2), (1,))]
    reduced = [*both_types((3,), (0,)), *tall, *[a.mH.resolve_conj() for a in tall]]
    complete = [sample_matrix(2), tall[0].mT]
    return [*[(a, {"mode": "reduced"}) for a in reduced], *[(a, {"mode": "complete"}) for a in complete]]


qr_operation = general("qr", lambda x, mode: tuple(torch.linalg.qr(x, mode)), outputs=2, push=_qr_push,
                       pull=_qr_pull, samples=_qr_samples, matlab="qr", without_half="LAPACK has none")


class QRResult(NamedTuple):
    """What `qr` returns."""

    Q: Any
    R: Any


@public(qr_operation)
def qr(x: Any, /, *, mode: str = "reduced") -> Any:
    """x = Q R with orthonormal columns in Q and an upper triangular R, as a named tuple.

    x: (..., m, n); with k = min(m, n), Q: (..., m, k) and R: (..., k, n), or with `mode="complete"` Q: (..., m, m) and
    R: (..., m, n). The derivative needs independent columns among the first k; the further columns of a complete Q turn
    as little as they can, so that the derivative of what does not depend on their choice is right.
    Raises ShapeError for another mode.

    >>> import gradloom as gl
    >>> q, r = gl.qr(gl.dlarray([[3.0, 1.0], [4.0, 2.0]]))
    >>> gl.abs(gl.diagonal(r))
    2 dlarray float64
    [5.  0.4]

    Source: array API linalg.qr, MATLAB qr (whose default is complete).
    """
    x = array(x)
    if mode not in ("reduced", "complete"):
        raise ShapeError(f"qr: mode is \"reduced\" or \"complete\", not {mode!r}, at {line_of(user_site())}")
    return QRResult(*qr_operation.apply((matrices(x, "qr"),), {"mode": mode}, (leading(x),) * 2))


__all__ = ["cholesky", "qr"]
