"""Sorting and what follows from it: a selection of elements by integer positions, which is all that a derivative
needs."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray, labels_of, raw, relabelled, unlabelled
from ...core.declare import composite, discrete, general, public
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described, tidy, without
from ...machine.dtypes import Tensor
from ...machine.questions import spared
from ..elementwise.choice import where
from ..movement.along_axis import pick_along, put_along, single_axis
from ..movement.axes import array, negative_axes, permute_dims, reshape
from ..movement.selection import take_operation
from ..neural.softmax import floating
from ..sums.reduction import mean, without_trace

# ----- sort -----


def _sort_kernel(x: Tensor, axis: int, descending: bool) -> tuple[Tensor, Tensor]:
    y, place = torch.sort(x, dim=axis, descending=descending, stable=True)
    return y, place


def _sort_fused(y_bar: Tensor, place: Tensor, axis: int) -> Tensor:
    return torch.empty_like(y_bar).scatter_(axis, place, y_bar)  # a permutation: every place is written once


_ORDERS = [((2, 5), {"axis": -1, "descending": False}), ((4, 2), {"axis": -2, "descending": True}),
           ((1,), {"axis": -1, "descending": False}),
           ((0, 2), {"axis": -2, "descending": False})]
_sort = general("sort", _sort_kernel, hidden=("place",), push=lambda x_dot, place, axis: pick_along(x_dot, place, axis),
                pull=lambda y_bar, place, axis, x_shape: put_along(y_bar, place, axis, x_shape[axis]),
                fused_pull=_sort_fused, samples=_ORDERS,
                matlab="sort", selects=True, real_only="complex numbers have no order")
_argsort = discrete("argsort", lambda x, axis, descending: _sort_kernel(x, axis, descending)[1])


def _sortable(x: Any, axis: Any, word: str) -> tuple[Any, int]:
    x = array(x)
    if not x.ndim:
        raise ShapeError(f"{word} of a scalar, at {line_of(user_site())}; write reshape(x, (1,)), which has an axis")
    if x.dtype.is_complex:
        raise TypeRefused(
            f"{word} needs an order and complex numbers have none, x is {described(x.shape, labels_of(x))} "
            f"{str(x.dtype)[6:]}, at {line_of(user_site())}; write {word}(abs(x)), or real(x)")
    return x, single_axis(x, axis, word)


@public(_sort)
def sort(x: Any, /, *, axis: Any = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along an axis. Equal ones keep their order, `stable` or not; a NaN counts as larger than
    every number.

    The derivative goes where the elements came from. Shape and labels of x. Raises ShapeError for a scalar, TypeRefused
    for complex numbers.

    >>> import gradloom as gl
    >>> gl.sort(gl.dlarray([3.0, 1.0, 2.0]), descending=True)
    3 dlarray float64
    [3. 2. 1.]

    Source: array API sort, MATLAB sort.
    """
    x, k = _sortable(x, axis, "sort")
    return _sort.apply((x,), {"axis": k, "descending": bool(descending)}, labels_of(x))


@public(_argsort)
def argsort(x: Any, /, *, axis: Any = -1, descending: bool = False, stable: bool = True) -> Any:
    """The positions, counted from 0, that put the elements in order along an axis; those of equal ones increase.

    >>> import gradloom as gl
    >>> gl.argsort(gl.dlarray([3.0, 1.0, 2.0]))
    3 dlarray int64
    [1 2 0]

    Source: array API argsort, the second output of MATLAB's sort.
    """
    x, k = _sortable(without_trace(array(x)), axis, "argsort")
    return _argsort.apply((x,), {"axis": k, "descending": bool(descending)}, labels_of(x))


# ----- the largest few -----


def _may_have_nan(x: Tensor) -> bool:
    """Whether there may be a NaN: a sum is the quickest way to see that there is none."""
    return x.is_floating_point() and not spared((total := x.sum()) == total)


def _alone(x: Tensor, y: Tensor, axis: int) -> bool:
    """Whether no other element of x equals the finite one of y in its row. Differences and sums are several times as
    quick as comparing and counting."""
    return spared(((x - y).eq_(0).sum(axis) == 1).all())


def _topk_kernel(x: Tensor, k: int, axis: int, largest: bool) -> tuple[Tensor, Tensor]:
    """torch.topk, whose choice among equal ones is its own: where there are some, or a NaN, a stable sort."""
    if k and x.numel() and not x.is_meta and x.dtype is not torch.bool:
        y, place = torch.topk(x, k, dim=axis, largest=largest)
        distinct = k < 2 or spared((y.narrow(axis, 1, k - 1) != y.narrow(axis, 0, k - 1)).all())
        if distinct and spared(torch.isfinite(y.sum())) and _alone(x, y.narrow(axis, k - 1, 1), axis):
            return y, place
    y, place = _sort_kernel(x, axis, largest)
    return y.narrow(axis, 0, k), place.narrow(axis, 0, k)


def _topk_fused(y_bar: Tensor, place: Tensor, axis: int, x_shape: Any) -> Tensor:
    """Every place is written once."""
    return torch.zeros(x_shape, dtype=y_bar.dtype, device=y_bar.device).scatter_(axis, place, y_bar)


_topk = general("topk", _topk_kernel, hidden=("place",), push=lambda x_dot, place, axis: pick_along(x_dot, place, axis),
                pull=lambda y_bar, place, axis, x_shape: put_along(y_bar, place, axis, x_shape[axis]),
                matlab="maxk", fused_pull=_topk_fused,
                samples=[((2, 5), {"axis": -1, "k": 2, "largest": True}),
                         ((4, 2), {"axis": -2, "k": 3, "largest": False}),
                         ((3,), {"axis": -1, "k": 0, "largest": True}), ((1,), {"axis": -1, "k": 1, "largest": True})],
                selects=True, real_only="complex numbers have no order")


@public(_topk)
def topk(x: Any, k: int, /, *, axis: Any = -1, largest: bool = True) -> tuple[Any, Any]:
    """The k largest elements along an axis in descending order (`largest=False`: the k smallest, ascending), and their
    positions from 0.

    Of equal ones the first come first. Both results have x's labels and size k along the axis; the positions carry no
    derivative.
    Raises ShapeError for more than there are.

    >>> import gradloom as gl
    >>> values, places = gl.topk(gl.dlarray([3.0, 1.0, 4.0]), 2)
    >>> values
    2 dlarray float64
    [4. 3.]
    >>> places
    2 dlarray int64
    [2 0]

    Source: PyTorch topk, MATLAB maxk and mink.
    """
    x, a = _sortable(x, axis, "topk")
    if not 0 <= k <= x.shape[a]:
        raise ShapeError(
            f"topk of {k} elements along an axis of {x.shape[a]} of {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; k goes from 0 to {x.shape[a]}")
    params = {"k": int(k), "axis": a, "largest": bool(largest)}
    y = _topk.apply((x,), params, labels_of(x)) if type(x) is dlarray and x.traced else None
    if y is not None:
        return y, dlarray._made(y._node.values[-1], None, labels_of(x))
    return tuple(dlarray._made(value, None, labels_of(x)) if type(x) is dlarray else value
                 for value in _topk.run((raw(x),), params))  # type: ignore[return-value]


# ----- median and quantiles -----


def _flattened(x: Any, axis: Any, word: str) -> tuple[Any, tuple[int, ...]]:
    """The reduced axes as one last axis, which has elements."""
    axes = negative_axes(axis, x)
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(f"{word} of no elements: {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
    rest = [k for k in range(-x.ndim, 0) if k not in axes]
    x = permute_dims(unlabelled(x), (*rest, *sorted(axes)))
    return reshape(x, (*x.shape[:len(rest)], math.prod(x.shape[len(rest):]))), axes


def _finished(y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The reduced axes put back where they are kept, and the labels of what remains."""
    labels = labels_of(x)
    if keepdims:
        y = reshape(y, tuple(1 if k - x.ndim in axes else n for k, n in enumerate(x.shape)))
    elif labels is not None:
        labels = without(labels, [a + x.ndim for a in axes])
    return relabelled(y, labels)


_FEW = 8  # selections cost less than a sort


def _selected_kernel(x: Tensor, ranks: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The elements of given ranks along the last axis; where there is a NaN, that. By selection where none of them has
    an equal, else by sorting."""
    if x.numel() and 0 < len(ranks) <= _FEW and not x.is_meta and not x.is_complex() and not _may_have_nan(x):
        found = [torch.kthvalue(x, r + 1, dim=-1, keepdim=True) for r in ranks]
        if all(_alone(x, f.values, -1) for f in found):
            return torch.cat([f.values for f in found], -1), torch.cat([f.indices for f in found], -1)
    place = torch.sort(x, dim=-1, stable=True)[1]
    last = place[..., -1:]
    broken = torch.isnan(x.gather(-1, last))
    place = torch.where(broken, last, place[..., list(ranks)])
    return x.gather(-1, place), place


_selected = general("order_statistics", _selected_kernel, hidden=("place",),
                    push=lambda x_dot, place: pick_along(x_dot, place, -1),
                    pull=lambda y_bar, place, x_shape: put_along(y_bar, place, -1, x_shape[-1]),
                    samples=[((2, 5), {"ranks": (2,)}), ((3, 4), {"ranks": (1, 2)}), ((1,), {"ranks": (0,)}),
                             ((0, 3), {"ranks": (1,)})],
                    selects=True, real_only="complex numbers have no order")


@public(_selected)
def median(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle element over axes, the mean of the two middle ones where their number is even; NaN where there is one.

    The derivative goes to the middle elements, as in `sort`. `axis` is an integer, a label letter, several, or all of
    them; the axes are dropped, or kept with size 1. Raises ShapeError for no elements, TypeRefused for complex numbers.

    >>> import gradloom as gl
    >>> gl.median(gl.dlarray([4.0, 1.0, 3.0, 2.0]))
    dlarray float64 2.5

    Source: MATLAB median, NumPy median.
    """
    x = floating(x)
    flat, axes = _flattened(x, axis, "median")
    n = flat.shape[-1]
    middle = _selected.apply((flat,), {"ranks": tuple(sorted({(n - 1) // 2, n // 2}))})
    return _finished(mean(middle, axis=-1), x, axes, keepdims)


# Where the value of a part q stands among n in order, counted from 0: q (n + 1 - a - b) + a - 1.
_PLOTTING = {"linear": (1, 1), "weibull": (0, 0), "hazen": (0.5, 0.5), "median_unbiased": (1 / 3, 1 / 3),
             "normal_unbiased": (3 / 8, 3 / 8)}
_ROUNDED: dict[str, Any] = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint,
                            "midpoint": lambda k: (np.floor(k) + np.ceil(k)) / 2}


@composite
def quantile(x: Any, q: Any, /, *, axis: Any = None, keepdims: bool = False, method: str = "linear") -> Any:
    """The value below which a part q of the elements over axes lies, by linear interpolation between neighbours in
    order.

    Formula: with the elements in order, x[0] to x[n - 1], the value at position q (n - 1); q is a number from 0 to 1,
    or an array of them, whose axes come first in the result (as U); a constant. NaN where there is one. `method` has
    NumPy's names: "lower", "higher", "nearest" or "midpoint" of the neighbours, or another position, "hazen"
    (MATLAB's), "weibull", "median_unbiased" or "normal_unbiased". `axis` is an integer, a label letter, several, or all
    of them; the axes are dropped, or kept with size 1. Raises ShapeError for no elements, and for a q outside [0, 1].

    >>> import gradloom as gl
    >>> gl.quantile(gl.dlarray([4.0, 1.0, 3.0, 2.0, 5.0]), 0.375)
    dlarray float64 2.5
    >>> gl.quantile(gl.dlarray([4.0, 1.0, 3.0, 2.0, 5.0]), [0.25, 0.375]).tolist()
    [2.0, 2.5]

    Source: NumPy quantile. MATLAB's places element k at (k - 0.5) / n: method="hazen".
    """
    x = floating(x)
    parts = np.asarray(q, dtype=np.float64)  # refused where it is traced: no derivative goes through it
    if not ((parts >= 0) & (parts <= 1)).all():
        raise ShapeError(
            f"quantile needs q from 0 to 1, not {q}, at {line_of(user_site())}; percentages are divided by 100")
    if method not in _PLOTTING and method not in _ROUNDED:
        raise ShapeError(
            f"quantile: method {method!r:.40}, at {line_of(user_site())}; it is one of "
            f"{', '.join((*_PLOTTING, *_ROUNDED))}")
    flat, axes = _flattened(x, axis, "quantile")
    n = flat.shape[-1]
    a, b = _PLOTTING.get(method, (1, 1))
    position = np.clip((parts * (n + 1 - a - b) + a - 1).ravel(), 0, n - 1)
    position = _ROUNDED[method](position) if method in _ROUNDED else position
    low = np.floor(position).astype(np.int64)
    between = position - low
    ranks = np.unique(np.concatenate([low, low + (between > 0)]))
    found = _selected.apply((flat,), {"ranks": tuple(ranks.tolist())})
    y, above = (take_operation.apply((found,), {"where": torch.from_numpy(np.searchsorted(ranks, k)).to(x.device),
                                                "axis": -1})
                for k in (low, low + (between > 0)))
    if between.any():
        weight = torch.from_numpy(between).to(x.device, x.dtype)
        y = y + where(weight > 0, above - y, 0.0) * weight  # an infinity is no neighbour of its own
    if not parts.ndim:
        return _finished(reshape(y, tuple(flat.shape[:-1])), x, axes, keepdims)
    y = permute_dims(y, (y.ndim - 1, *range(y.ndim - 1)))
    kept = tuple(1 if k - x.ndim in axes else n for k, n in enumerate(x.shape)) if keepdims else tuple(flat.shape[:-1])
    labels = labels_of(x)
    if labels is not None:
        labels = "U" * parts.ndim + (labels if keepdims else without(labels, [k + x.ndim for k in axes])
                                     or "U" * len(kept))
    return relabelled(reshape(y, (*parts.shape, *kept)), None if labels is None else tidy(labels))


__all__ = ["argsort", "median", "quantile", "sort", "topk"]
