"""Eigenvalues and eigenvectors of matrices that need not be Hermitian, in the last two axes.

Each eigenvector has length 1 and is turned so that its largest entry is real and positive: it is one function of the
matrix where its eigenvalue is simple.
"""
from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch

from ...core.array import raw
from ...core.declare import composite, general, public
from ...core.errors import GradloomWarning, line_of, user_site
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ..elementwise.arithmetic import conj, imag, real
from ..movement.axes import array
from ..sums.reduction import sum
from .equal_values import phase_pull, phase_push
from .inverses import solution
from .spectral import turned
from .stacks import (
    adjoint,
    both_types,
    column,
    constant_like,
    diagonal_of,
    failed,
    leading,
    masked,
    matrices,
    on_diagonal,
    product,
    row,
)


def _eig_kernel(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    try:
        w, v = torch.linalg.eig(x)
    except RuntimeError as error:
        if "infs or NaNs" not in str(error):
            raise
        raise failed("eig does not converge: the matrix holds NaN or infinity", "mend the matrix") from None
    phases, pivots = turned(v)
    return w, v * phases, pivots


def _warn_of_equal(w: Any) -> None:
    """Where two are equal, their vectors have no derivative, nor have they themselves unless treated alike."""
    value = raw(w)
    if not value.is_cpu or not value.numel():
        return  # without data, or where it would wait for the device
    n = value.shape[-1]
    itself = torch.eye(n, dtype=torch.bool, device=value.device)
    gaps = (value[..., None, :] - value[..., :, None]).abs().masked_fill(itself, torch.inf)
    limit = torch.finfo(value.dtype).eps ** 0.5 * value.abs().amax(-1)[..., None, None]
    if decided((gaps <= limit).any()):
        warnings.warn(f"eigenvalues of a matrix are equal, or nearly, at {line_of(user_site())}: its eig has no "
                      "derivative there; write eigh for a Hermitian matrix", GradloomWarning, stacklevel=2)


def _over_gaps(numerators: Any, w: Any, conjugate: bool) -> Any:
    """Each entry over the eigenvalue of its column less that of its row; 0 on the diagonal."""
    gap = row(w) - column(w)
    eye = torch.eye(w.shape[-1], dtype=w.dtype, device=w.device)
    gap = gap + constant_like(eye, gap)
    return masked(numerators, 1 - eye.real) / (conj(gap) if conjugate else gap)


def _eig_push(x_dot: Any, y: Any, pivots: Any) -> Any:
    w, v = y
    _warn_of_equal(w)
    turn = solution(v, product(x_dot, v))
    v_dot = product(v, _over_gaps(turn, w, False))
    v_dot = v_dot - v * row(real(diagonal_of(v, v_dot)))
    return (sum(masked(turn, torch.eye(turn.shape[-1], device=turn.device)), axis=-1),
            v_dot + v * phase_push(v_dot, v, pivots))


def _eig_pull(y_bar: Any, y: Any, pivots: Any) -> Any:
    w, v = y
    w_bar, v_bar = y_bar
    _warn_of_equal(w)
    inside = None
    if v_bar is not None:
        v_bar = v_bar + phase_pull(imag(diagonal_of(v, v_bar)), v, pivots)
        v_bar = v_bar - v * row(real(diagonal_of(v, v_bar)))
        inside = _over_gaps(product(adjoint(v), v_bar), w, True)
    if w_bar is not None:
        inside = on_diagonal(w_bar) if inside is None else inside + on_diagonal(w_bar)
    return solution(adjoint(v), product(inside, adjoint(v)))


_eig = general("eig", _eig_kernel, outputs=2, hidden=("pivots",), push=_eig_push, pull=_eig_pull,
               samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))], matlab="eig",
               without_half="LAPACK has none", torch=())


class EigResult(NamedTuple):
    """What `eig` returns."""

    eigenvalues: Any
    eigenvectors: Any


@public(_eig)
def eig(x: Any, /) -> Any:
    """Eigenvalues, in the order of LAPACK, and eigenvectors of length 1 of square matrices, as a named tuple.

    Formula: x v[:, k] = w[k] v[:, k]; dw = diag(inv(v) dx v). x: (..., n, n), real or complex; eigenvalues: (..., n)
    and eigenvectors: (..., n, n), the columns, both complex; the largest entry of each is real and positive. Where
    eigenvalues are equal they have no derivative, which a warning says; `eigh` has, for Hermitian matrices.

    >>> import gradloom as gl
    >>> gl.eig(gl.dlarray([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues
    2 dlarray complex128
    [0.+1.j 0.-1.j]

    Source: NumPy linalg.eig, MATLAB eig.
    """
    x = array(x)
    return EigResult(*_eig.apply((matrices(x, "eig", square=True),), {}, (leading(x, 1), leading(x))))


@composite
def eigvals(x: Any, /) -> Any:
    """The eigenvalues of square matrices, complex, in the order of LAPACK: `eig` without the vectors.

    >>> import gradloom as gl
    >>> gl.eigvals(gl.dlarray([[0.0, 1.0], [-1.0, 0.0]]))
    2 dlarray complex128
    [0.+1.j 0.-1.j]

    Source: NumPy linalg.eigvals.
    """
    return eig(x).eigenvalues


__all__ = ["eig", "eigvals"]
