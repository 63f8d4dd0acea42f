"""NumPy's statistics: reductions that leave NaN out, quantiles, covariances, counts. A NaN that is left out carries no
derivative."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.array import raw
from ...core.errors import ShapeError, line_of, user_site
from ...core.tables import OPERATIONS
from ...machine.dtypes import differentiable
from ...operations.neural.softmax import floating
from ..protocol import array, cast, gl
from .table import FUNCTIONS, named_as_theirs, ravel


def _without_nan(a: Any, dtype: Any, fill: Any) -> tuple[Any, Any]:
    """The array with `fill` for NaN, and where there was one."""
    a = cast(array(a), dtype)
    gone = gl.isnan(a)
    return gl.where(gone, fill, a), gone


@named_as_theirs
def nansum(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return gl.sum(_without_nan(a, dtype, 0)[0], axis=axis, keepdims=keepdims)


@named_as_theirs
def nanprod(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    return gl.prod(_without_nan(a, dtype, 1)[0], axis=axis, keepdims=keepdims)


@named_as_theirs
def nancumsum(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    return FUNCTIONS["cumsum"](_without_nan(a, dtype, 0)[0], axis)


@named_as_theirs
def nancumprod(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    return FUNCTIONS["cumprod"](_without_nan(a, dtype, 1)[0], axis)


@named_as_theirs
def nanmean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    filled, gone = _without_nan(a, dtype, 0)
    count = gl.astype(gl.count_nonzero(gl.logical_not(gone), axis=axis, keepdims=keepdims), gl.real(filled).dtype)
    return gl.sum(filled, axis=axis, keepdims=keepdims) / count


@named_as_theirs
def nanvar(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
           *, correction: Any = None) -> Any:
    filled, gone = _without_nan(a, dtype, 0)
    away = gl.where(gone, 0, filled - nanmean(a, axis, dtype, keepdims=True))
    count = gl.astype(gl.count_nonzero(gl.logical_not(gone), axis=axis, keepdims=keepdims), gl.real(filled).dtype)
    return gl.sum(gl.real(away * gl.conj(away)), axis=axis,
                  keepdims=keepdims) / (count - (ddof if correction is None else correction))


@named_as_theirs
def nanstd(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
           *, correction: Any = None) -> Any:
    return gl.sqrt(nanvar(a, axis, dtype, ddof=ddof, keepdims=keepdims, correction=correction))


def _extreme(name: str, far: float) -> None:
    def call(a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None) -> Any:
        filled, gone = _without_nan(a, None, far if differentiable(array(a).dtype) else 0)
        y = FUNCTIONS[name](filled, axis=axis, keepdims=keepdims, initial=initial)
        return (gl.where(gl.all(gone, axis=axis, keepdims=keepdims), math.nan, y)
                if differentiable(filled.dtype) else y)

    def place(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        filled, gone = _without_nan(a, None, far if differentiable(array(a).dtype) else 0)
        if bool(gl.any(gl.all(gone, axis=axis))):
            raise ShapeError(
                f"np.nanarg{name} where all are NaN, at {line_of(user_site())}; leave them out, as with x[mask]")
        return FUNCTIONS[f"arg{name}"](filled, axis=axis, keepdims=keepdims)

    FUNCTIONS[f"nan{name}"], FUNCTIONS[f"nanarg{name}"] = call, place


_extreme("max", -math.inf)
_extreme("min", math.inf)

# ----- quantiles -----


@named_as_theirs
def quantile(a: Any, q: Any, axis: Any = None,
             method: str = "linear", keepdims: Any = False) -> Any:
    return gl.quantile(a, q, axis=axis, keepdims=keepdims, method=method)


@named_as_theirs
def percentile(a: Any, q: Any, axis: Any = None,
               method: str = "linear", keepdims: Any = False) -> Any:
    return quantile(a, np.asarray(q) / 100, axis, method=method, keepdims=keepdims)


@named_as_theirs
def nanquantile(a: Any, q: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """NaN come last in order, and each row has its own number of others."""
    a, parts = floating(array(a)), np.asarray(q, dtype=np.float64)
    if not ((parts >= 0) & (parts <= 1)).all():
        raise ShapeError(
            f"np.nanquantile needs q from 0 to 1, not {q}, at {line_of(user_site())}; percentages are for "
            "np.nanpercentile")
    axes = (tuple(range(a.ndim)) if axis is None else
            tuple(k % a.ndim for k in (axis if isinstance(axis, tuple) else (axis,))))
    rest = [k for k in range(a.ndim) if k not in axes]
    shape = tuple(a.shape[k] for k in rest)
    ordered = gl.sort(gl.reshape(gl.permute_dims(a, (*rest, *axes)), (*shape, -1)))
    last = np.maximum(np.asarray(gl.count_nonzero(gl.logical_not(gl.isnan(ordered)), axis=-1, keepdims=True)) - 1, 0)
    position = parts.ravel() * last
    low = np.floor(position).astype(np.int64)
    below, above = (gl.take_along_axis(ordered, k, axis=-1) for k in (low, np.minimum(low + 1, last)))
    y = below + gl.where(position > low, above - below, 0.0) * gl.astype(array(position - low), below.dtype)
    y = gl.moveaxis(y, -1, 0)
    kept = tuple(1 if k in axes else n for k, n in enumerate(a.shape)) if keepdims else shape
    return gl.reshape(y, (*parts.shape, *kept))


@named_as_theirs
def nanpercentile(a: Any, q: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return nanquantile(a, np.asarray(q) / 100, axis, keepdims=keepdims)


FUNCTIONS["nanmedian"] = lambda a, axis=None, keepdims=False: nanquantile(
    a, 0.5, axis, keepdims=keepdims)

# ----- covariances and counts -----


@named_as_theirs
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
        aweights: Any = None, *, dtype: Any = None) -> Any:

    def rows(v: Any) -> Any:
        v = cast(array(v), dtype)
        return gl.reshape(v, (1, -1)) if v.ndim < 2 else v if rowvar else gl.matrix_transpose(v)

    x = rows(m) if y is None else gl.concat([rows(m), rows(y)], axis=0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if fweights is None and aweights is None:
        away = x - gl.mean(x, axis=1, keepdims=True)
        return gl.squeeze(gl.matmul(away, gl.conj(gl.matrix_transpose(away))) / (x.shape[1] - ddof))
    aweights = array(1.0 if aweights is None else aweights)
    weights = aweights * array(1.0 if fweights is None else fweights)
    total = gl.sum(weights)
    away = x - gl.sum(x * weights, axis=1, keepdims=True) / total
    return gl.squeeze(gl.matmul(away * weights, gl.conj(gl.matrix_transpose(away)))
                      / (total - ddof * gl.sum(weights * aweights) / total))


@named_as_theirs
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = gl.sqrt(gl.real(gl.diagonal(c)))
    return c / gl.reshape(deviation, (-1, 1)) / deviation


@named_as_theirs
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    places = raw(array(x if weights is None else np.asarray(x, dtype=np.int64)))
    weights = gl.ones(places.shape, dtype="int64") if weights is None else array(weights)
    size = max(int(places.max()) + 1 if places.numel() else 0, minlength)
    return OPERATIONS["put"].apply((weights,), {"where": places.to(weights.device), "axis": -1, "size": size})


@named_as_theirs
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    bins, side = np.asarray(bins), "left" if right else "right"
    falling = bins.size > 1 and bins[0] > bins[-1]
    return (gl.subtract(bins.size, gl.searchsorted(bins[::-1].copy(), x, side=side)) if falling
            else gl.searchsorted(bins, x, side=side))


@named_as_theirs
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * math.pi) -> Any:
    p = array(p)
    step = gl.diff(p, axis=axis)
    half = period / 2
    wrapped = gl.mod(step + half, period) - half
    wrapped = gl.where(gl.logical_and(wrapped == -half, step > 0), half, wrapped)
    change = gl.where(gl.abs(step) < (half if discont is None else discont), 0.0, wrapped - step)
    first = gl.zeros(tuple(1 if k == axis % p.ndim else n for k, n in enumerate(p.shape)), like=p)
    return p + gl.concat([first, gl.cumsum(change, axis=axis)], axis=axis)


@named_as_theirs
def isin(element: Any, test_elements: Any, *, invert: bool = False, kind: Any = None) -> Any:
    element, others = array(element), ravel(test_elements)
    found = gl.any(gl.equal(gl.reshape(element, (*element.shape, 1)), others), axis=-1)
    return gl.logical_not(found) if invert else found
