"""Linear equations: solutions and inverses of stacks of matrices in the last two axes.

Derivatives are matrix products and solutions again, so that they are exact to any order. On a structured Jacobian a
solution mixes only the rows of its right-hand side; leading axes of the matrix itself are untied there.
"""
from __future__ import annotations

import math
from typing import Any

import torch

from ...blocks import action
from ...core.array import dlarray, labels_of, raw, unlabelled
from ...core.declare import composite, general, public
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described, tidy
from ...core.operation import padded
from ...machine.dtypes import HALF, Tensor, broadcast_shapes
from ...machine.questions import decided
from ..movement.axes import array, expand_dims, reshape
from ..neural.softmax import floating
from .contraction import promoted_arrays
from .stacks import adjoint, both_types, failed, leading, matrices, product, sample_matrix, sample_side, triangle

# ----- solutions -----


def _columns_folded(solve: Any, a: Tensor, b: Tensor) -> Tensor:
    """Leading axes that only b has, as more columns: one factorization serves them all."""
    dtype = torch.promote_types(a.dtype, b.dtype)
    if not b.numel():
        return b.new_empty((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), dtype=dtype)
    b, extra = b.to(dtype), b.ndim - a.ndim
    if extra <= 0:
        return solve(a.to(dtype), b)
    lead, own = b.shape[:extra], b.shape[extra:]
    flat = b.reshape(math.prod(lead), *own).movedim(0, -1).reshape(*own[:-1], own[-1] * math.prod(lead))
    y = solve(a.to(dtype), flat)
    return y.reshape(*y.shape[:-1], own[-1], math.prod(lead)).movedim(-1, 0).reshape(*lead, *y.shape[:-1], own[-1])


def act_on_right_side(operation: Any, inputs: Any, params: Any) -> Any:
    """A solution for a structured Jacobian as the right-hand side: its rows are mixed, and what the matrix varies
    along."""
    a, block = inputs
    mixed = [k for k in range(block.ndim - 1) if k == block.ndim - 2 or a.shape[k] != 1]
    return action.through_arrays(block, lambda b, lead: operation.apply((a, b), params), mixed,
                                 f"{operation.name} mixes the rows")


def _factored(lu: Tensor, pivots: Tensor, b: Tensor, adjoint: bool = False) -> Tensor:
    return _columns_folded(lambda lu, b: torch.linalg.lu_solve(lu, pivots, b, adjoint=adjoint), lu, b)


def _solve_kernel(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if a.dtype in HALF:
        raise TypeError("there are no solutions in half precision; write a.astype('float32')")
    lu, pivots, info = torch.linalg.lu_factor_ex(a)
    if not info.is_meta and decided((info != 0).any()):
        raise failed("solve: the matrix is singular", "write lstsq(a, b), or add a small multiple of the identity")
    return _factored(lu, pivots, b), lu, pivots


def _solved(a: Any, lu: Any, pivots: Any, b: Any, adjoint_: bool = False) -> Any:
    """Another solution with the same matrix: from its factors, or as an operation where that is differentiated
    again."""
    if type(b) is Tensor and type(a) is Tensor:
        return _factored(lu, pivots, b, adjoint_)
    return _solve.apply((adjoint(a) if adjoint_ else a, b))


def _solve_push(a_dot: Any, b_dot: Any, a: Any, y: Any, lu: Any, pivots: Any, lead: Any, y_shape: Any) -> Any:
    side = None if a_dot is None else -product(padded(a_dot, lead, len(y_shape)), y)
    if b_dot is not None:
        b_dot = padded(b_dot, lead, len(y_shape))
        side = b_dot if side is None else side + b_dot
    return _solved(a, lu, pivots, side)


def _solve_pull(y_bar: Any, a: Any, y: Any, lu: Any, pivots: Any, wanted: Any) -> Any:
    b_bar = _solved(a, lu, pivots, y_bar, True)
    return (-product(b_bar, adjoint(y)) if wanted[0] else None), b_bar


_solve = general("solve", _solve_kernel, ("a", "b"), hidden=("lu", "pivots"), push=_solve_push,
                 pull=_solve_pull, matlab="mldivide", act=act_on_right_side, samples=lambda: [
    *((a, sample_side(a, 2), {}) for a in both_types((3,), (2, 2), (1,), (0,))), (sample_matrix(2, 1), (3, 2, 1), {}),
    (sample_matrix(2, 3), (1, 2, 2), {})], without_half="LAPACK has none")


def _right_side(a: Any, b: Any, word: str) -> tuple[Any, Any, bool, str | None]:
    """The operands of an equation a y = b: equally many axes, one type; whether b is a vector; the labels of y."""
    la, lb = labels_of(a), labels_of(b)
    if la is not None and lb is not None:
        raise LabelError(
            f"{word} of {described(a.shape, la)} and {described(b.shape, lb)} is refused, at {line_of(user_site())}; "
            "write stripdims on one side")
    a, b = promoted_arrays(a, b)
    a, b = matrices(a, word), floating(b)
    if not b.ndim or b.shape[-1 if b.ndim == 1 else -2] != a.shape[-2]:
        raise ShapeError(
            f"{word}: a {described(a.shape, la)} has {a.shape[-2]} rows, b is {described(b.shape, lb)}, at "
            f"{line_of(user_site())}; b is a vector of as many entries, or a stack of matrices of as many rows")
    b = unlabelled(b)
    vector = b.ndim == 1
    b = expand_dims(b, axis=-1) if vector else b
    n = max(a.ndim, b.ndim)
    a, b = (x if x.ndim == n else reshape(x, (*(1,) * (n - x.ndim), *x.shape)) for x in (a, b))
    labels = lb if lb is not None else None if la is None else la[:-2] + ("U" if vector else "UU")
    return a, b, vector, labels


def _equation(y: Any, vector: bool, labels: str | None) -> Any:
    y = reshape(y, tuple(y.shape[:-1])) if vector else y
    if type(y) is dlarray and labels is not None:
        y._labels = tidy("U" * (y.ndim - len(labels)) + labels)
    return y


def solution(a: Any, b: Any) -> Any:
    """The solution of a y = b, inside rules."""
    return _solve.apply((a, b))


@public(_solve)
def solve(a: Any, b: Any, /) -> Any:
    """The solution y of a y = b for square matrices a.

    Formula: y = inv(a) b, by factorization. a: (..., n, n); b: (n,), or (..., n, k) with leading axes that broadcast;
    y: as b. With one labelled operand: b's labels, or those of a's leading axes.
    Raises LinAlgError where a is singular, ShapeError where sizes do not fit. For least squares: `lstsq`.

    >>> import gradloom as gl
    >>> gl.solve(gl.dlarray([[2.0, 0.0], [0.0, 4.0]]), gl.dlarray([2.0, 2.0]))
    2 dlarray float64
    [1.  0.5]

    Source: array API linalg.solve, MATLAB mldivide.
    """
    a, b = array(a), array(b)
    matrices(a, "solve", square=True)
    a, b, vector, labels = _right_side(a, b, "solve")
    return _equation(_solve.apply((a, b)), vector, labels)


def _triangular_kernel(a: Tensor, b: Tensor, upper: bool) -> Tensor:
    return _columns_folded(lambda a, b: torch.linalg.solve_triangular(a, b, upper=upper), a, b)


def _triangular_push(a_dot: Any, b_dot: Any, a: Any, y: Any, upper: bool, lead: Any, y_shape: Any) -> Any:
    side = None if a_dot is None else -product(triangle(padded(a_dot, lead, len(y_shape)), upper), y)
    if b_dot is not None:
        b_dot = padded(b_dot, lead, len(y_shape))
        side = b_dot if side is None else side + b_dot
    return triangular_solution(a, side, upper)


def _triangular_pull(y_bar: Any, a: Any, y: Any, upper: bool, wanted: Any) -> Any:
    b_bar = triangular_solution(adjoint(a), y_bar, not upper)
    return (-triangle(product(b_bar, adjoint(y)), upper) if wanted[0] else None), b_bar


_triangular = general("solve_triangular", _triangular_kernel, ("a", "b"), push=_triangular_push,
                      pull=_triangular_pull, matlab="linsolve", act=act_on_right_side, samples=lambda: [
    *((a, sample_side(a, 2), {"upper": bool(k % 2)}) for k, a in enumerate(both_types((3,), (2, 2), (1,), (0,)))),
    (sample_matrix(2, 1), (3, 2, 1), {"upper": True})], without_half="LAPACK has none")


def triangular_solution(a: Any, b: Any, upper: bool) -> Any:
    """The solution with a triangle of a, inside rules."""
    return _triangular.apply((a, b), {"upper": upper})


@public(_triangular)
def solve_triangular(a: Any, b: Any, /, *, upper: bool = False) -> Any:
    """The solution y of a y = b where only one triangle of a is read: the lower, or with `upper=True` the upper.

    a: (..., n, n); b: (n,) or (..., n, k); y: as b. Labels as in `solve`.
    Raises LinAlgError where a diagonal entry is 0.

    >>> import gradloom as gl
    >>> gl.solve_triangular(gl.dlarray([[2.0, 9.0], [1.0, 1.0]]), gl.dlarray([2.0, 3.0]))
    2 dlarray float64
    [1. 2.]

    Source: SciPy linalg.solve_triangular, MATLAB linsolve.
    """
    a, b = array(a), array(b)
    matrices(a, "solve_triangular", square=True)
    a, b, vector, labels = _right_side(a, b, "solve_triangular")
    if decided((raw(a).diagonal(dim1=-2, dim2=-1) == 0).any()):
        raise failed("solve_triangular: a diagonal entry is 0", "write lstsq(a, b)")
    return _equation(triangular_solution(a, b, bool(upper)), vector, labels)


# ----- inverses -----


def _inv_kernel(x: Tensor) -> Tensor:
    y, info = torch.linalg.inv_ex(x)
    if not info.is_meta and decided((info != 0).any()):
        raise failed("inv: the matrix is singular", "write pinv(x), or add a small multiple of the identity")
    return y


inv_operation = general("inv", _inv_kernel, push=lambda x_dot, y: -product(y, x_dot, y),
                        pull=lambda y_bar, y: -product(adjoint(y), y_bar, adjoint(y)),
                        samples=lambda: [(a, {}) for a in both_types((3,), (2, 2), (1,), (0,))], matlab="inv",
                        without_half="LAPACK has none", torch=("linalg.inv", "inverse"))


@public(inv_operation)
def inv(x: Any, /) -> Any:
    """The inverse of square matrices. To solve equations, `solve(a, b)` is faster and more accurate.

    Formula: y x = identity. x: (..., n, n); y: as x; leading axes keep their labels.
    Raises LinAlgError where x is singular.

    >>> import gradloom as gl
    >>> gl.inv(gl.dlarray([[2.0, 0.0], [0.0, 4.0]]))
    2 x 2 dlarray float64
    [[0.5  0.  ]
     [0.   0.25]]

    Source: array API linalg.inv, MATLAB inv and pageinv.
    """
    x = array(x)
    return inv_operation.apply((matrices(x, "inv", square=True),), {}, leading(x))


def _outside(x: Any, y: Any, z: Any) -> Any:
    """z without its part in the columns of x, where y is the pseudoinverse of x."""
    return z - product(x, product(y, z))


def _pinv_push(x_dot: Any, x: Any, y: Any) -> Any:
    x_star = adjoint(x_dot)
    left = adjoint(_outside(x, y, adjoint(product(y, adjoint(y), x_star))))
    right = _outside(y, x, product(product(x_star, adjoint(y)), y))
    return left + right - product(y, x_dot, y)


def _pinv_pull(y_bar: Any, x: Any, y: Any) -> Any:
    bar, star = adjoint(y_bar), adjoint(y)
    left = _outside(x, y, product(product(bar, y), star))
    right = adjoint(_outside(y, x, adjoint(product(star, product(y, bar)))))
    return left + right - product(star, y_bar, star)


_pinv = general("pinv", lambda x, rtol: torch.linalg.pinv(x, rtol=rtol), push=_pinv_push, pull=_pinv_pull,
                matlab="pinv", samples=lambda: [
    *((a, {"rtol": None}) for a in both_types((2,), (2, 2), (1,))), ((3, 2), {"rtol": None}),
    ((2, 2, 3), {"rtol": 1e-12}), ((0, 2), {"rtol": None})], without_half="LAPACK has none")


@public(_pinv)
def pinv(x: Any, /, *, rtol: float | None = None) -> Any:
    """The Moore-Penrose pseudoinverse: singular values below rtol times the largest count as 0.

    Formula: y = inv(x.H x) x.H where the columns of x are independent. x: (..., m, n); y: (..., n, m). `rtol` is max(m,
    n) times the machine precision unless given. The derivative holds where the rank does not change (Golub and Pereyra
    1973).

    >>> import gradloom as gl
    >>> gl.pinv(gl.dlarray([[2.0], [0.0]]))
    1 x 2 dlarray float64
    [[0.5 0. ]]

    Source: array API linalg.pinv, MATLAB pinv.
    """
    x = array(x)
    return _pinv.apply((matrices(x, "pinv"),), {"rtol": rtol}, leading(x))


@composite
def lstsq(a: Any, b: Any, /, *, rtol: float | None = None) -> Any:
    """The least-squares solution of a y = b, of least norm where there are several.

    Formula: y = pinv(a) b, which minimises norm(a y - b). a: (..., m, n); b: (m,) or (..., m, k); y: (n,) or (..., n,
    k).

    >>> import gradloom as gl
    >>> gl.lstsq(gl.dlarray([[1.0], [1.0]]), gl.dlarray([1.0, 3.0]))
    1 dlarray float64
    [2.]

    Source: NumPy linalg.lstsq (its first result), MATLAB mldivide of a matrix that is not square.
    """
    a, b, vector, labels = _right_side(array(a), array(b), "lstsq")
    return _equation(product(_pinv.apply((a,), {"rtol": rtol}), b), vector, labels)


__all__ = ["inv", "lstsq", "pinv", "solve", "solve_triangular"]
