"""Differences of neighbours along an axis, and integrals of samples."""
from __future__ import annotations

from typing import Any

import torch

from ...core.array import dlarray, labels_of, unlabelled
from ...core.declare import multilinear, public
from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described, without
from ...machine.dtypes import Tensor, differentiable
from ..elementwise.arithmetic import astype
from ..movement.along_axis import single_axis
from ..movement.axes import array, broadcast_to, fresh, negative_axes, reshape
from ..movement.joining import concat
from ..movement.slices import pad_axis, slice_axis
from .reduction import sum
from .scans import scanned

# ----- differences -----


def _differences(x: Any, axis: int) -> Any:
    n = x.shape[axis]
    return slice_axis(x, axis, 1, n) - slice_axis(x, axis, 0, n - 1)


def _diff_fused(y_bar: Tensor, axis: int, x_shape: Any) -> tuple[Tensor]:
    """In one pass: what is taken away at an entry and added at the next."""
    m = x_shape[axis] - 1
    x_bar = y_bar.new_empty(x_shape)
    if not m:
        return (x_bar.zero_(),)
    torch.sub(y_bar.narrow(axis, 0, m - 1), y_bar.narrow(axis, 1, m - 1), out=x_bar.narrow(axis, 1, m - 1))
    torch.neg(y_bar.narrow(axis, 0, 1), out=x_bar.narrow(axis, 0, 1))
    x_bar.narrow(axis, m, 1).copy_(y_bar.narrow(axis, m - 1, 1))
    return (x_bar,)


_diff = multilinear(
    "diff", lambda x, axis: torch.diff(x, dim=axis), matlab="diff",
    transposes={"x": lambda y_bar, axis: -_diff.apply((pad_axis(y_bar, axis, 1, 1),), {"axis": axis})},
    fused_pull=_diff_fused,
    act=lambda operation, inputs, params: _differences(inputs[0], params["axis"]),
    samples=[((4,), {"axis": -1}), ((3, 2), {"axis": -2}), ((2, 1), {"axis": -1}), ((0, 3), {"axis": -1})])


@public(_diff)
def diff(x: Any, /, *, axis: Any = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, taken n times.

    Formula: y[i] = x[i + 1] - x[i]: the axis is shorter by n, and keeps its label. `prepend` and `append` are arrays
    (or numbers) put before and after x along the axis first. Raises ShapeError for a scalar and for a negative n.

    >>> import gradloom as gl
    >>> gl.diff(gl.dlarray([1.0, 4.0, 9.0]))
    2 dlarray float64
    [3. 5.]

    Source: array API diff, MATLAB diff.
    """
    x = array(x)
    x, k = scanned(x, axis, "int64" if x.dtype is torch.bool else None, "diff")
    if n < 0:
        raise ShapeError(
            f"diff is taken n >= 0 times, not {n}, at {line_of(user_site())}; the inverse is cumulative_sum")
    if not n:
        return fresh(x)  # as it is, as NumPy has it
    if prepend is not None or append is not None:
        size = tuple(1 if j == x.ndim + k else m for j, m in enumerate(x.shape))
        parts = [array(a) for a in (prepend, append) if a is not None]
        parts = [broadcast_to(a, size) if not a.ndim else a for a in parts]
        x = concat([*(parts[:1] if prepend is not None else []), x, *(parts[-1:] if append is not None else [])],
                   axis=k)
    for _ in range(min(n, x.shape[k])):
        x = _diff.apply((x,), {"axis": k}, labels_of(x))
    return x


# ----- integrals -----


def _trapz_kernel(x: Tensor, axis: int, dx: float) -> Tensor:
    n = x.shape[axis]
    if n < 2:
        return x.narrow(axis, 0, 0).sum(axis)
    y = torch.add(torch.add(x.narrow(axis, 1, n - 2).sum(axis), x.select(axis, 0), alpha=0.5),
                  x.select(axis, n - 1), alpha=0.5)
    return y if dx == 1 else y * dx


def _trapz_weights(like: Any, n: int, axis: int, dx: float) -> Any:
    """What each sample counts, to broadcast along its axis."""
    weights = torch.full((n, *(1,) * (-axis - 1)), dx if n > 1 else 0, dtype=like.dtype, device=like.device)
    weights[::max(n - 1, 1)] *= 0.5
    return dlarray._made(weights, None) if type(like) is dlarray else weights


def _trapz_transpose(y_bar: Any, axis: int, dx: float, x_shape: Any) -> Any:
    at = y_bar.ndim + 1 + axis
    return reshape(y_bar, (*y_bar.shape[:at], 1, *y_bar.shape[at:])) * _trapz_weights(y_bar, x_shape[axis], axis, dx)


def _trapz_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    (block,), axis = inputs, params["axis"]
    return sum(block * _trapz_weights(block.like, block.shape[axis], axis, params["dx"]), axis=axis)


_trapz = multilinear(
    "trapz", _trapz_kernel, transposes={"x": _trapz_transpose}, act=_trapz_on_block, matlab="trapz",
    fused_pull=lambda y_bar, axis, dx, x_shape: (y_bar.unsqueeze(axis) * _trapz_weights(y_bar, x_shape[axis], axis, dx),
                                                 ),
    samples=[((4,), {"axis": -1, "dx": 0.5}), ((3, 2), {"axis": -2, "dx": 1}), ((2, 2, 1), {"axis": -1, "dx": 2.0}),
             ((0, 2), {"axis": -2, "dx": 1.0})])


@public(_trapz)
def trapz(y: Any, /, *, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """The integral of samples along an axis by the trapezoidal rule.

    Formula: sum over i of (x[i + 1] - x[i]) (y[i] + y[i + 1]) / 2. `x` are the places of the samples, a vector or an
    array of y's shape; without it they are `dx` apart. The axis is dropped. `x` is given by keyword, since MATLAB has
    it first and NumPy second.
    Raises ShapeError where x and y do not fit.

    >>> import gradloom as gl
    >>> gl.trapz(gl.dlarray([1.0, 2.0, 3.0]), x=[0.0, 1.0, 3.0])
    dlarray float64 6.5

    Source: MATLAB trapz, NumPy trapezoid.
    """
    y = array(y)
    (k,) = negative_axes(axis, y) if y.ndim == 1 or axis is not None else (single_axis(y, axis, "trapz"),)
    n = y.shape[k]
    width: Any = dx
    if x is None and type(dx) in (int, float):
        y = y if differentiable(y.dtype) else astype(y, "float64")
        return _trapz.apply((y,), {"axis": k, "dx": dx}, without(labels_of(y), [k + y.ndim]))
    if x is not None:
        x = array(x)
        if x.ndim == 1 and x.shape[0] == n:
            x = reshape(unlabelled(x), (n, *(1,) * (-k - 1)))
        elif tuple(x.shape) != tuple(y.shape):
            raise ShapeError(
                f"trapz: places {described(x.shape, labels_of(x))} for samples {described(y.shape, labels_of(y))}, at "
                f"{line_of(user_site())}; give a vector of {n} places, or an array of the shape of the samples")
        width = diff(x, axis=k)
    if not n:
        return sum(y, axis=k)
    return sum((slice_axis(y, k, 1, n) + slice_axis(y, k, 0, n - 1)) * (width * 0.5), axis=k)


__all__ = ["diff", "trapz"]
