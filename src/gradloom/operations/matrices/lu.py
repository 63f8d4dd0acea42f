"""The factors of Gauss's elimination, of stacks of matrices in the last two axes, and how LAPACK packs them."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ...core.array import dlarray, raw
from ...core.declare import general, public
from ...machine.dtypes import Tensor
from ..movement.axes import array, matrix_transpose
from ..movement.joining import concat
from ..movement.slices import pad_axis, slice_axis
from .inverses import triangular_solution
from .stacks import (
    adjoint,
    both_types,
    constant_like,
    leading,
    matrices,
    product,
    sample_matrix,
    triangle,
)


def _parts(x: Any, k: int, axis: int) -> tuple[Any, Any]:
    """The first k rows or columns, and the rest, None where there is none."""
    n = x.shape[axis]
    return slice_axis(x, axis, 0, k), slice_axis(x, axis, k, n) if n > k else None


def _divided(x: Any, r: Any) -> Any:
    """x times the inverse of the upper triangular r."""
    return adjoint(triangular_solution(adjoint(r), adjoint(x), False))


def _lu_push(x_dot: Any, y: Any) -> Any:
    """With l m u = x_dot in the square part, the lower triangle of m moves l and the upper one u."""
    p, l, u = y
    k = l.shape[-1]
    top, below = _parts(l, k, -2)
    left, right = _parts(u, k, -1)
    moved, moved_below = _parts(product(adjoint(p), x_dot), k, -2)
    square, beside = _parts(moved, k, -1)
    inside = triangular_solution(top, _divided(square, left), False)
    low, up = triangle(inside, False, strict=True), triangle(inside, True)
    l_dot, u_dot = product(top, low), product(up, left)
    if below is not None:
        l_dot = concat([l_dot, _divided(moved_below, left) - product(below, up)], axis=-2)
    if right is not None:
        u_dot = concat([u_dot, triangular_solution(top, beside, False) - product(low, right)], axis=-1)
    return None, l_dot, u_dot


def _lu_pull(y_bar: Any, y: Any) -> Any:
    p, l, u = y
    _, l_bar, u_bar = y_bar
    k = l.shape[-1]
    top, below = _parts(l, k, -2)
    left, right = _parts(u, k, -1)
    low_bar = up_bar = below_bar = beside_bar = None
    if l_bar is not None:
        its, rest = _parts(l_bar, k, -2)
        low_bar = product(adjoint(top), its)
        if rest is not None:
            up_bar = -product(adjoint(below), rest)
            below_bar = adjoint(triangular_solution(left, adjoint(rest), True))
    if u_bar is not None:
        its, rest = _parts(u_bar, k, -1)
        more = product(its, adjoint(left))
        up_bar = more if up_bar is None else up_bar + more
        if rest is not None:
            more = -product(rest, adjoint(right))
            low_bar = more if low_bar is None else low_bar + more
            beside_bar = triangular_solution(adjoint(top), rest, True)
    inside = [triangle(bar, upper, strict=not upper) for bar, upper in ((low_bar, False), (up_bar, True))
              if bar is not None]
    if not inside:  # only P was read, which is constant
        return None
    inner = inside[0] if len(inside) == 1 else inside[0] + inside[1]
    x_bar = adjoint(triangular_solution(left, adjoint(triangular_solution(adjoint(top), inner, True)), True))
    if below is not None:
        x_bar = pad_axis(x_bar, -2, 0, l.shape[-2] - k) if below_bar is None else concat([x_bar, below_bar], axis=-2)
    if right is not None:
        x_bar = pad_axis(x_bar, -1, 0, u.shape[-1] - k) if beside_bar is None else concat([x_bar, beside_bar], axis=-1)
    return product(p, x_bar)


def _lu_samples() -> list[Any]:
    tall = [torch.cat([a, 0.5 * a[..., :1, :]], -2) for a in both_types((2,), (2, 2), (1,))]
    return [(a, {}) for a in (*both_types((3,), (0,)), sample_matrix(3).flip(0), *tall,
                              *[a.mH.resolve_conj() for a in tall])]


lu_operation = general("lu", lambda x: tuple(torch.linalg.lu(x)), outputs=3, carrying=(1, 2), push=_lu_push,
                       pull=_lu_pull, samples=_lu_samples, matlab="lu", without_half="LAPACK has none", torch=())


class LUResult(NamedTuple):
    """What `lu` returns."""

    P: Any
    L: Any
    U: Any


@public(lu_operation)
def lu(x: Any, /) -> Any:
    """x = P L U with a permutation P, a lower triangular L of diagonal 1 and an upper triangular U, as a named tuple.

    x: (..., m, n); with k = min(m, n), P: (..., m, m), a constant; L: (..., m, k); U: (..., k, n). The derivative needs
    independent columns among the first k, else it is not finite.

    >>> import gradloom as gl
    >>> gl.lu(gl.dlarray([[1.0, 2.0], [4.0, 2.0]])).U
    2 x 2 dlarray float64
    [[4.  2. ]
     [0.  1.5]]

    Source: SciPy linalg.lu, MATLAB lu.
    """
    x = array(x)
    p, l, u = lu_operation.apply((matrices(x, "lu"),), {}, (leading(x),) * 3)
    return LUResult(dlarray._made(raw(p), None, leading(x)), l, u)


# ----- in one array, as LAPACK has them -----


def packed(l: Any, u: Any) -> Any:
    """L without its diagonal and U, in one array."""
    m, k, n = l.shape[-2], l.shape[-1], u.shape[-1]
    return pad_axis(triangle(l, False, strict=True), -1, 0, n - k) + pad_axis(u, -2, 0, m - k)


def unpacked(factors: Any) -> tuple[Any, Any]:
    """L and U of the packed array."""
    m, n = factors.shape[-2:]
    k = min(m, n)
    low = triangle(slice_axis(factors, -1, 0, k), False, strict=True)
    ones = torch.eye(m, k, dtype=low.dtype, device=low.device)
    return low + constant_like(ones, low), triangle(slice_axis(factors, -2, 0, k), True)


def solved_by_factors(permutation: Tensor, factors: Any, b: Any, adjoint_: bool = False) -> Any:
    """The solution y of x y = b, or of x.H y = b, where x = P L U."""
    l, u = unpacked(factors)
    p = constant_like(permutation, b)
    if adjoint_:
        return product(p, triangular_solution(adjoint(l), triangular_solution(adjoint(u), b, False), True))
    return triangular_solution(u, triangular_solution(l, product(matrix_transpose(p), b), False), True)


__all__ = ["lu", "packed", "solved_by_factors", "unpacked"]
