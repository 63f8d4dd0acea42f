"""Linear algebra in the array API's names, `gradloom.linalg`: the rest of it, and all of it in one place."""
from __future__ import annotations

import math
from builtins import max as builtin_max
from builtins import min as builtin_min
from typing import Any

import torch

from ...blocks import action
from ...core.array import dlarray, labels_of, raw, relabelled
from ...core.declare import composite, discrete, general, public
from ...core.errors import ShapeError, line_of, user_site
from ...core.kinds.elementwise import Elementwise
from ...core.labels import described
from ...core.operation import padded
from ...machine.dtypes import Tensor, broadcast_shapes
from ..elementwise.arithmetic import astype
from ..elementwise.discrete import not_equal
from ..elementwise.mathematics import absolute
from ..movement.axes import array, broadcast_to, matrix_transpose, reshape
from ..movement.joining import concat
from ..movement.slices import pad_axis, slice_axis
from ..neural.softmax import floating
from ..sums.extremes import max, min
from ..sums.reduction import norm, sum
from .contraction import matmul, outer, tensordot, vecdot
from .determinants import det, slogdet
from .factorizations import cholesky, qr
from .inverses import inv, inv_operation, lstsq, pinv, solve, solve_triangular
from .spectral import eigh, eigvalsh, svd, svdvals
from .stacks import LinAlgError, adjoint, both_types, leading, matrices, product
from .triangles import cross, diagonal_operation, trace_operation

# ----- diagonals -----


@public(diagonal_operation)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonal of the matrices in the last two axes; `offset` counts to the right, negative to the left below.

    x: (..., m, n); the result: (..., k), with the labels of the leading axes.

    >>> import gradloom as gl
    >>> gl.diagonal(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]))
    2 dlarray float64
    [1. 4.]

    Source: array API linalg.diagonal, MATLAB diag.
    """
    x, offset = _with_diagonal(x, offset, "diagonal")
    return diagonal_operation.apply((x,), {"offset": offset}, leading(x, 1))


def _with_diagonal(x: Any, offset: int, word: str) -> tuple[Any, int]:
    """Matrices, and an offset that is one of their diagonals, if an empty one."""
    x = array(x)
    if x.ndim < 2:
        raise ShapeError(
            f"{word} takes a matrix in the last two axes, x is {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; reshape it")
    m, n = x.shape[-2:]
    return x, builtin_max(-m, builtin_min(int(offset), n))


@public(trace_operation)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of the diagonal of the matrices in the last two axes.

    >>> import gradloom as gl
    >>> gl.trace(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]))
    dlarray float64 5.0

    Source: array API linalg.trace, MATLAB trace.
    """
    x, offset = _with_diagonal(x, offset, "trace")
    y = trace_operation.apply((x,), {"offset": offset}, leading(x, 0))
    return y if dtype is None else astype(y, dtype)


# ----- norms -----


@composite
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
    """The norm of vectors over axes: (sum abs(x)**ord)**(1/ord); their largest entry for infinity, how many are not 0
    for 0.

    Its derivative where all entries are 0 is 0.

    >>> import gradloom as gl
    >>> gl.vector_norm(gl.dlarray([3.0, -4.0]), ord=1)
    dlarray float64 7.0

    Source: array API linalg.vector_norm, MATLAB vecnorm.
    """
    x = floating(x)
    if ord == 2:
        return norm(x, axis=axis, keepdims=keepdims)
    a = absolute(x)
    if ord in (float("inf"), float("-inf")):
        return (max if ord > 0 else min)(a, axis=axis, keepdims=keepdims)
    if ord == 0:
        return astype(sum(not_equal(a, 0), axis=axis, keepdims=keepdims), a.dtype)
    if ord == 1:
        return sum(a, axis=axis, keepdims=keepdims)
    values = raw(a)
    found = relabelled(dlarray(values) if type(a) is dlarray else values, labels_of(a))
    largest = raw(max(found, axis=axis, keepdims=True)) if values.numel() else values.new_zeros(())
    scale = torch.where((largest == 0) | torch.isinf(largest), largest.new_ones(()), largest)
    scale = scale if type(a) is not dlarray else relabelled(dlarray._made(scale, None), labels_of(a))
    scaled = a / scale
    total = sum(_root(scaled, ord), axis=axis, keepdims=True)
    y = _root(total, 1 / ord) * scale
    return y if keepdims else sum(y, axis=axis)


def _root_kernel(x: Tensor, exponent: float, n: int) -> Tensor:
    """The n-th derivative of x ** exponent; at 0, where that has no first one, it is 0 by convention, and there are no
    further ones."""
    factor = math.prod(exponent - k for k in range(n))
    if not factor:
        return torch.zeros_like(x)
    y = torch.pow(x, exponent - n)
    y = y.mul_(factor) if n else y
    return y.masked_fill_(x == 0, 0 if n == 1 else math.nan) if n and exponent < 1 else y


_root_operation = Elementwise("norm_root", _root_kernel, [lambda x, exponent, n: _root(x, exponent, n + 1)],
                              ("x",), domain=(0.5, 2),
                              samples=[{"exponent": 3.0, "n": 0}, {"exponent": 1 / 3, "n": 0},
                                       {"exponent": 0.5, "n": 1}])


def _root(x: Any, exponent: float, n: int = 0) -> Any:
    return _root_operation.apply((x,), {"exponent": exponent, "n": n}, labels_of(x))


@composite
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of the matrices in the last two axes: "fro" (of all entries), "nuc" (sum of singular values), 2 and -2
    (largest and smallest singular value), 1 and -1 (column sums), inf and -inf (row sums).

    Formula: for singular values s, "fro" is sqrt(sum s^2), "nuc" is sum s, 2 is max s. Where "nuc", 2 or -2 has a
    derivative, it is u v' summed over the singular vectors of the s that count: of "nuc" where every s > 0, of 2 and -2
    where that s is single. At s = 0 (a matrix of less than full rank) a sum or minimum of s has a kink, and the
    derivative is that of one side; at a zero matrix "fro" has derivative 0.
    Raises ShapeError for another `ord`.

    >>> import gradloom as gl
    >>> gl.matrix_norm(gl.dlarray([[3.0, 0.0], [4.0, 0.0]]))
    dlarray float64 5.0

    Source: array API linalg.matrix_norm, MATLAB norm of a matrix.
    """
    x = array(x)
    labels = leading(x, 2 if keepdims else 0)
    a = matrices(x, "matrix_norm")
    infinity = float("inf")
    if ord == "fro":
        y = norm(a, axis=(-2, -1))
    elif ord == "nuc":
        y = sum(svdvals(a), axis=-1)
    elif ord in (2, -2):
        y = (max if ord > 0 else min)(svdvals(a), axis=-1)
    elif ord in (1, -1, infinity, -infinity):
        y = (max if ord > 0 else min)(sum(absolute(a), axis=-2 if ord in (1, -1) else -1), axis=-1)
    else:
        raise ShapeError(
            f"matrix_norm: ord is 1, -1, 2, -2, inf, -inf, \"fro\" or \"nuc\", not {ord!r}, at {line_of(user_site())}")
    return relabelled(reshape(y, (*y.shape, 1, 1)) if keepdims else y, labels)


# ----- powers and the exponential -----


@composite
def matrix_power(x: Any, n: int, /) -> Any:
    """The n-th power of square matrices, by squaring; of their inverse for negative n, the identity for n = 0.

    >>> import gradloom as gl
    >>> gl.matrix_power(gl.dlarray([[1.0, 1.0], [0.0, 1.0]]), 5)
    2 x 2 dlarray float64
    [[1. 5.]
     [0. 1.]]

    Source: array API linalg.matrix_power, MATLAB mpower.
    """
    x = array(x)
    a, n = matrices(x, "matrix_power", square=True), int(n)
    if n < 0:
        a, n = inv_operation.apply((a,)), -n
    y = None
    while n:
        if n % 2:
            y = a if y is None else product(y, a)
        n //= 2
        a = product(a, a) if n else a
    if y is None:
        y = a * 0 + torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return relabelled(y, leading(x))


_matrix_rank = discrete("matrix_rank", lambda x, rtol: torch.linalg.matrix_rank(x, rtol=rtol))


@public(_matrix_rank)
def matrix_rank(x: Any, /, *, rtol: float | None = None) -> Any:
    """How many singular values are larger than rtol (max(m, n) times the machine precision) times the largest; no
    derivative.

    >>> import gradloom as gl
    >>> int(gl.matrix_rank(gl.dlarray([[1.0, 2.0], [2.0, 4.0]])))
    1

    Source: array API linalg.matrix_rank, MATLAB rank.
    """
    x = array(x)
    a = matrices(x, "matrix_rank")
    return _matrix_rank.apply((dlarray._made(a._value, None) if type(a) is dlarray else a,),
                              {"rtol": rtol}, leading(x, 0))


def _direction(x: Any, x_dot: Any) -> Any:
    """The derivative of the exponential of x in a direction."""
    return _expm_direction.apply((x, x_dot))


_expm = general("expm", torch.matrix_exp, push=lambda x_dot, x: _direction(x, x_dot),
                pull=lambda y_bar, x: _direction(adjoint(x), y_bar),
                samples=lambda: [(a / 4, {}) for a in both_types((3,), (2, 2), (1,), (0,))], matlab="expm")


def _corner(x: Any, d: Any) -> Any:
    """[[x, d], [0, x]], the exponential of which has the derivative of exp at x along d in its upper right."""
    x, d = (a.expand(broadcast_shapes(x.shape, d.shape)) for a in (x, d))
    return torch.cat([torch.cat([x, d], -1), torch.cat([torch.zeros_like(x), x], -1)], -2)


def _direction_kernel(x: Tensor, d: Tensor) -> Tensor:
    dtype = torch.promote_types(x.dtype, d.dtype)
    n = x.shape[-1]
    return torch.matrix_exp(_corner(x.to(dtype), d.to(dtype)))[..., :n, n:]


def _quarters(x: Any, n: int) -> list[Any]:
    return [slice_axis(slice_axis(x, -2, *rows), -1, *columns) for rows in ((0, n), (n, 2 * n))
            for columns in ((0, n), (n, 2 * n))]


def _twice(x: Any, d: Any) -> Any:
    """[[x, d], [0, x]] in operations."""
    shape = broadcast_shapes(tuple(x.shape), tuple(d.shape))
    x, d = (a if tuple(a.shape) == shape else broadcast_to(a, shape) for a in (x, d))
    return concat([concat([x, d], axis=-1), concat([x * 0, x], axis=-1)], axis=-2)


def _spread(x: Any, *places: tuple[int, int]) -> Any:
    """x in some of the quarters of a matrix of zeros."""
    n, y = x.shape[-1], None
    for top, left in places:
        part = pad_axis(pad_axis(x, -2, top * n, (1 - top) * n), -1, left * n, (1 - left) * n)
        y = part if y is None else y + part
    return y


def _direction_push(x_dot: Any, d_dot: Any, x: Any, d: Any, lead: Any, y_shape: Any) -> Any:
    y_dot = None if d_dot is None else _direction(x, padded(d_dot, lead, len(y_shape)))
    if x_dot is not None:
        moved = _quarters(_direction(_twice(x, d), _spread(padded(x_dot, lead, len(y_shape)), (0, 0), (1, 1))),
                          x.shape[-1])[1]
        y_dot = moved if y_dot is None else y_dot + moved
    return y_dot


def _direction_pull(y_bar: Any, x: Any, d: Any, wanted: Any) -> Any:
    x_bar, n = None, x.shape[-1]
    if wanted[0]:
        parts = _quarters(_direction(adjoint(_twice(x, d)), _spread(y_bar, (0, 1))), n)
        x_bar = parts[0] + parts[3]
    return x_bar, _direction(adjoint(x), y_bar)


def _direction_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    x, block = action.in_one_rank(inputs)
    mixed = [k for k in range(block.ndim) if k >= block.ndim - 2 or x.shape[k - block.ndim] != 1]
    return action.through_arrays(block, lambda d, lead: operation.apply((x, d)), mixed,
                                 "the exponential mixes a whole matrix")


_expm_direction = general("expm_direction", _direction_kernel, ("x", "d"), push=_direction_push, pull=_direction_pull,
                          act=_direction_on_block,
                          samples=lambda: [(a / 4, a.mT.contiguous(), {})
                                           for a in both_types((2,), (2, 2), (1,), (0,))])


@public(_expm)
def expm(x: Any, /) -> Any:
    """The exponential of square matrices: the sum of x**k / k! over all k. Not element by element: that is `exp`.

    x: (..., n, n); the result: as x.

    >>> import gradloom as gl
    >>> gl.expm(gl.dlarray([[0.0, 1.0], [0.0, 0.0]]))
    2 x 2 dlarray float64
    [[1. 1.]
     [0. 1.]]

    Source: MATLAB expm; its derivative, Najfeld and Havel (1995).
    """
    x = array(x)
    return _expm.apply((matrices(x, "expm", square=True),), {}, leading(x))


__all__ = ["LinAlgError", "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "expm",
           "inv", "lstsq", "matmul", "matrix_norm", "matrix_power",
           "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular",
           "svd", "svdvals", "tensordot",
           "trace", "vecdot", "vector_norm"]
