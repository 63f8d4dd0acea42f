"""Scans along an axis: running sums, products and extremes, the linear recurrence that they differentiate to."""
from __future__ import annotations

from typing import Any

import torch

from ...blocks import action
from ...core.array import dlarray, labels_of
from ...core.declare import composite, discrete, general, multilinear, public
from ...core.errors import ShapeError, line_of, user_site
from ...machine.dtypes import Tensor, promoted
from ...machine.questions import spared
from ..creation.arrays import ones, zeros
from ..elementwise.arithmetic import astype, conj
from ..movement.along_axis import pick_along, put_along, single_axis
from ..movement.axes import array, broadcast_to, reshape
from ..movement.joining import concat
from ..movement.slices import pad_axis, slice_axis

# ----- sums -----


def _cumsum_kernel(x: Tensor, axis: int, reverse: bool) -> Tensor:
    return x.flip(axis).cumsum(axis).flip(axis) if reverse else x.cumsum(axis)


def _on_block(operation: Any, inputs: Any, params: Any) -> Any:
    """The scanned axis is untied, the others keep their ties."""
    block = inputs[0]
    return action.through_arrays(block, lambda x, lead: operation.apply((x,), params), [block.ndim + params["axis"]],
                                 f"{operation.name} mixes its axis")


_cumsum = multilinear("cumulative_sum", _cumsum_kernel, act=_on_block, matlab="cumsum",
                      transposes={"x": lambda y_bar, axis, reverse: _cumsum.apply(
                                      (y_bar,), {"axis": axis, "reverse": not reverse})},
                      samples=[((2, 3, 2), {"axis": -2, "reverse": False}), ((4,), {"axis": -1, "reverse": True}),
                               ((1, 3), {"axis": -2, "reverse": False}),
                               ((2, 0), {"axis": -1, "reverse": False})])


def scanned(x: Any, axis: Any, dtype: Any, word: str) -> tuple[Any, int]:
    x = array(x)
    if not x.ndim:
        raise ShapeError(f"{word} of a scalar, at {line_of(user_site())}; write reshape(x, (1,)), which has an axis")
    if dtype is not None:
        x = astype(x, dtype)
    return x, single_axis(x, axis, word)


def _with_axis(x: Any, axis: Any) -> Any:
    x = array(x)
    return reshape(x, (1,)) if not x.ndim and axis in (0, -1) else x


def _begun(y: Any, axis: int, first: Any, include_initial: bool, dtype: Any) -> Any:
    """In the type, and with the value before the first element in front, where these are asked for."""
    if dtype is not None:
        y = astype(y, dtype)
    if not include_initial:
        return y
    labels = labels_of(y)
    return concat([first(tuple(1 if k == y.ndim + axis else n for k, n in enumerate(y.shape)), labels, like=y), y],
                  axis=axis)


@public(_cumsum)
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The sum of all elements up to each one along an axis, itself included.

    Formula: y[i] = sum over j <= i of x[j]. Shape and labels of x; `include_initial` puts a 0 in front, so that the
    axis is longer by one. `axis` may be left out for a vector. Raises ShapeError for a scalar, or without `axis` where
    there are several axes.

    >>> import gradloom as gl
    >>> gl.cumulative_sum(gl.dlarray([1.0, 2.0, 3.0]), include_initial=True)
    4 dlarray float64
    [0. 1. 3. 6.]

    Source: array API cumulative_sum, MATLAB cumsum.
    """
    x, k = scanned(x, axis, dtype, "cumulative_sum")
    return _begun(_cumsum.apply((x,), {"axis": k, "reverse": False}, labels_of(x)), k, zeros, include_initial, dtype)


@composite
def cumsum(x: Any, /, *, axis: Any = None) -> Any:
    """The sum of all elements up to each one along an axis: `cumulative_sum` under its short name. Along
    axis 0 of a scalar it is an array of one element, as in NumPy.

    >>> import gradloom as gl
    >>> gl.cumsum(gl.dlarray([1.0, 2.0, 3.0]))
    3 dlarray float64
    [1. 3. 6.]

    Source: MATLAB cumsum, NumPy cumsum.
    """
    return cumulative_sum(_with_axis(x, axis), axis=axis)


# ----- the linear recurrence -----


def _neighbour(y: Any, axis: int, reverse: bool) -> Any:
    """y[i - 1] at each i, 0 at the first; in the other direction y[i + 1]."""
    n = y.shape[axis]
    if not n:
        return y
    return (pad_axis(slice_axis(y, axis, 1, n), axis, 0, 1) if reverse
            else pad_axis(slice_axis(y, axis, 0, n - 1), axis, 1, 0))


def _recurrence_kernel(a: Tensor, b: Tensor, axis: int, reverse: bool) -> Tensor:
    """By doubling: after each pass every entry has taken in twice as many before it."""
    dtype = promoted(a.dtype, b.dtype)
    a, b = torch.broadcast_tensors(a.to(dtype), b.to(dtype))
    if reverse:
        return _recurrence_kernel(a.flip(axis), b.flip(axis), axis, False).flip(axis)
    n, d = b.shape[axis], 1
    while d < n:
        last, first = (axis, d, n - d), (axis, 0, n - d)
        b = torch.cat([b.narrow(axis, 0, d), b.narrow(*last) + a.narrow(*last) * b.narrow(*first)], axis)
        if 2 * d < n:
            a = torch.cat([a.narrow(axis, 0, d), a.narrow(*last) * a.narrow(*first)], axis)
        d *= 2
    return b


def _recurrence_push(a_dot: Any, b_dot: Any, a: Any, y: Any, axis: int, reverse: bool) -> Any:
    change = b_dot
    if a_dot is not None:
        change = a_dot * _neighbour(y, axis, reverse)
        change = change if b_dot is None else change + b_dot
    return _recur(a, change, axis, reverse)


def _recurrence_pull(y_bar: Any, a: Any, y: Any, axis: int, reverse: bool, wanted: Any) -> Any:
    b_bar = _recur(_neighbour(conj(a), axis, not reverse), y_bar, axis, not reverse)
    return [b_bar * conj(_neighbour(y, axis, reverse)) if wanted[0] else None, b_bar if wanted[1] else None]


def _recur(a: Any, b: Any, axis: int, reverse: bool) -> Any:
    """a has no leading axes where b has some: both get one shape, so that the result can be differentiated with leading
    axes again."""
    return _recurrence.apply((a if a.ndim == b.ndim else broadcast_to(a, tuple(b.shape)), b),
                             {"axis": axis, "reverse": reverse})


# y[i] = a[i] y[i - 1] + b[i] from y[-1] = 0, or in the other direction; a and b have one shape.
_recurrence = general("linear_recurrence", _recurrence_kernel, ("a", "b"), push=_recurrence_push, pull=_recurrence_pull,
                      act=action.untying,
                      samples=[((2, 5), (2, 5), {"axis": -1, "reverse": False}),
                               ((3, 2), (3, 2), {"axis": -2, "reverse": True}),
                               ((1,), (1,), {"axis": -1, "reverse": False}),
                               ((0,), (0,), {"axis": -1, "reverse": True})])

# ----- products -----


def _cumprod_kernel(x: Tensor, axis: int, reverse: bool) -> Tensor:
    return x.flip(axis).cumprod(axis).flip(axis) if reverse else x.cumprod(axis)


def _before(y: Any, axis: int, reverse: bool) -> Any:
    """The product of what comes before each element: 1 for the first."""
    n = y.shape[axis]
    if not n:
        return y
    one = torch.zeros((n, *(1,) * (-axis - 1)), dtype=y.dtype, device=y.device)
    one[-1 if reverse else 0] = 1
    return _neighbour(y, axis, reverse) + one


def _cumprod_push(x_dot: Any, x: Any, y: Any, axis: int, reverse: bool) -> Any:
    return _recur(x, x_dot * _before(y, axis, reverse), axis, reverse)


def _cumprod_pull(y_bar: Any, x: Any, y: Any, axis: int, reverse: bool) -> Any:
    return conj(_before(y, axis, reverse)) * _recur(_neighbour(conj(x), axis, not reverse), y_bar, axis, not reverse)


def divisible(y: Tensor) -> bool:
    """Whether products may be divided by their factors: none is 0, lost digits near 0, or overflowed."""
    if not y.numel():
        return False
    size = y.abs()
    return spared((size.min() > torch.finfo(y.dtype).smallest_normal) & (size.max() < torch.inf))


def _cumprod_fused(y_bar: Tensor, x: Tensor, y: Tensor, axis: int, reverse: bool) -> Tensor:
    if not divisible(y):
        return _cumprod_pull(y_bar, x, y, axis, reverse)
    return _cumsum_kernel(y_bar * y.conj(), axis, not reverse) / x.conj()


_THROUGH_ZEROS = torch.tensor([2.0, 0.0, -3.0, 0.0, 1.0], dtype=torch.float64, device="cpu")
_cumprod = general("cumulative_prod", _cumprod_kernel, push=_cumprod_push, pull=_cumprod_pull,
                   fused_pull=_cumprod_fused, matlab="cumprod",
                   samples=[((2, 5), {"axis": -1, "reverse": False}), ((3, 2), {"axis": -2, "reverse": True}),
                            ((1,), {"axis": -1, "reverse": False}),
                            ((2, 0), {"axis": -1, "reverse": False}), (_THROUGH_ZEROS, {"axis": -1, "reverse": False})])


def others(x: Any, axis: int = -1) -> Any:
    """The product of all other elements along an axis: what comes before times what comes after, so that zeros do no
    harm."""
    forwards, backwards = (_before(_cumprod.apply((x,), {"axis": axis, "reverse": r}), axis, r) for r in (False, True))
    return forwards * backwards


@public(_cumprod)
def cumulative_prod(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The product of all elements up to each one along an axis, itself included.

    Formula: y[i] = product over j <= i of x[j]; the derivative is the product of the others, right also through zeros.
    Shape and labels of x; `include_initial` puts a 1 in front, so that the axis is longer by one. `axis` may be left
    out for a vector.
    Raises ShapeError for a scalar, or without `axis` where there are several axes.

    >>> import gradloom as gl
    >>> gl.cumulative_prod(gl.dlarray([2.0, 3.0, 0.0]))
    3 dlarray float64
    [2. 6. 0.]

    Source: array API cumulative_prod, MATLAB cumprod.
    """
    x, k = scanned(x, axis, dtype, "cumulative_prod")
    return _begun(_cumprod.apply((x,), {"axis": k, "reverse": False}, labels_of(x)), k, ones, include_initial, dtype)


@composite
def cumprod(x: Any, /, *, axis: Any = None) -> Any:
    """The product of all elements up to each one along an axis: `cumulative_prod` under its short name. Along
    axis 0 of a scalar it is an array of one element, as in NumPy.

    >>> import gradloom as gl
    >>> gl.cumprod(gl.dlarray([2.0, 3.0, 4.0]))
    3 dlarray float64
    [ 2.  6. 24.]

    Source: MATLAB cumprod, NumPy cumprod.
    """
    return cumulative_prod(_with_axis(x, axis), axis=axis)


# ----- extremes: the first of equal ones takes the derivative -----


def _running(scan: Any, better: Any) -> Any:
    def run(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        y, last = scan(x, axis)
        n = x.shape[axis]
        if n < 2 or not x.numel():
            return y, last
        now, before = x.narrow(axis, 1, n - 1), y.narrow(axis, 0, n - 1)
        if not x.is_meta and x.is_floating_point() and spared((now - before).abs_().amin() > 0):
            return y, last  # no equal ones and no NaN, so that the last is the first
        new = better(now, before)
        if x.is_floating_point():
            new |= torch.isnan(now) & ~torch.isnan(before)
        at = torch.arange(1, n, device=x.device).reshape(n - 1, *(1,) * (-axis - 1))
        place = torch.zeros(x.shape, dtype=torch.int64, device=x.device)
        place.narrow(axis, 1, n - 1).copy_(torch.where(new, at, 0).cummax(axis).values)
        return y, place

    return run


def _extreme(name: str, kernel: Any) -> Any:
    return general(name, kernel, hidden=("place",), push=lambda x_dot, place, axis: pick_along(x_dot, place, axis),
                   pull=lambda y_bar, place, axis, x_shape: put_along(y_bar, place, axis, x_shape[axis]),
                   matlab=name, selects=True, real_only="complex numbers have no order",
                   samples=[((2, 5), {"axis": -1}), ((4, 2), {"axis": -2}), ((1,), {"axis": -1}),
                            ((0, 2), {"axis": -2})])


_cummax = _extreme("cummax", _running(torch.cummax, torch.gt))
_cummin = _extreme("cummin", _running(torch.cummin, torch.lt))
# without the places, which a derivative needs
_alone = {_cummax: discrete("running maximum", lambda x, axis: torch.cummax(x, axis).values),
          _cummin: discrete("running minimum", lambda x, axis: torch.cummin(x, axis).values)}


def _ran(operation: Any, x: Any, axis: Any, word: str) -> Any:
    x, k = scanned(x, axis, None, word)
    traced = type(x) is dlarray and x.traced
    return (operation if traced or x.dtype.is_complex else _alone[operation]).apply((x,), {"axis": k}, labels_of(x))


@public(_cummax)
def cummax(x: Any, /, *, axis: Any = None) -> Any:
    """The largest of all elements up to each one along an axis; the first of equal ones takes the derivative, a NaN
    stays.

    Formula: y[i] = max over j <= i of x[j]. Shape and labels of x; `axis` may be left out for a vector.

    >>> import gradloom as gl
    >>> gl.cummax(gl.dlarray([1.0, 3.0, 2.0]))
    3 dlarray float64
    [1. 3. 3.]

    Source: MATLAB cummax, NumPy maximum.accumulate.
    """
    return _ran(_cummax, x, axis, "cummax")


@public(_cummin)
def cummin(x: Any, /, *, axis: Any = None) -> Any:
    """The smallest of all elements up to each one along an axis; the first of equal ones takes the derivative, a NaN
    stays.

    Formula: y[i] = min over j <= i of x[j]. Shape and labels of x; `axis` may be left out for a vector.

    >>> import gradloom as gl
    >>> gl.cummin(gl.dlarray([2.0, 3.0, 1.0]))
    3 dlarray float64
    [2. 2. 1.]

    Source: MATLAB cummin, NumPy minimum.accumulate.
    """
    return _ran(_cummin, x, axis, "cummin")


__all__ = ["cummax", "cummin", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "others"]
