"""NumPy's ways to take an array apart, to put one together and to write into one; polynomials; what is asked of one."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.array import dlarray
from ...core.errors import ShapeError, line_of, user_site
from ..protocol import array, cast, constant, gl, linalg
from .mathematics import linspace
from .table import FUNCTIONS, named_as_theirs, ravel, split

# ----- selection -----


def _flat_or(a: Any, axis: Any) -> tuple[Any, int]:
    """The array and the axis; without one, all elements along one axis."""
    a = array(a)
    return (ravel(a), 0) if axis is None else (a, axis % a.ndim)


@named_as_theirs
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    a, k = _flat_or(arr, axis)
    return gl.take(a, np.delete(np.arange(a.shape[k]), obj), axis=k)


@named_as_theirs
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    a, k = _flat_or(arr, axis)
    new, places = array(values), np.arange(a.shape[k])
    new = gl.reshape(new, (*(1,) * (a.ndim - new.ndim), *new.shape))
    # place, for as many as there are
    one = not isinstance(obj, slice) and np.size(obj) == 1 and np.asarray(obj).dtype != bool
    if one and np.ndim(obj) == 0:
        new = gl.moveaxis(new, 0, k)
    count = new.shape[k] if one else np.insert(places, obj, -1).size - places.size
    new = gl.astype(gl.broadcast_to(new, tuple(count if j == k else n for j, n in enumerate(a.shape))), a.dtype)
    return gl.take(gl.concat([a, new], axis=k), np.insert(places, obj, places.size + np.arange(count)), axis=k)


@named_as_theirs
def resize(a: Any, new_shape: Any) -> Any:
    flat = ravel(a)
    shape = tuple(new_shape) if np.ndim(new_shape) else (new_shape,)
    size = math.prod(shape)
    return (gl.reshape(gl.take(flat, np.arange(size) % max(flat.size, 1), axis=0), shape)
            if flat.size else gl.zeros(shape, like=flat))


@named_as_theirs
def compress(condition: Any, a: Any, axis: Any = None) -> Any:
    a, k = _flat_or(a, axis)
    return gl.take(a, np.flatnonzero(np.asarray(condition)), axis=k)


@named_as_theirs
def extract(condition: Any, arr: Any) -> Any:
    return gl.take(ravel(arr), np.flatnonzero(np.asarray(condition)), axis=0)


@named_as_theirs
def choose(a: Any, choices: Any) -> Any:
    a, choices = array(a), [array(c) for c in choices]
    if bool(gl.any(gl.logical_or(a < 0, a >= len(choices)))):
        raise ShapeError(
            f"np.choose among {len(choices)} arrays needs indices from 0 to {len(choices) - 1}, at "
            f"{line_of(user_site())}; write np.clip(a, 0, ...)")
    y = choices[0]
    for k, choice in enumerate(choices[1:], 1):
        y = gl.where(gl.equal(a, k), choice, y)
    return gl.broadcast_to(y, np.broadcast_shapes(a.shape, y.shape))


@named_as_theirs
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Each function is called with the elements where its condition holds, of several the last."""
    x = array(x)
    masks = [np.broadcast_to(np.asarray(c, dtype=bool), x.shape).copy()
             for c in (condlist if isinstance(condlist, (list, tuple)) else [condlist])]
    if len(funclist) == len(masks) + 1:
        masks.append(~np.any(masks, axis=0))
    if len(funclist) != len(masks):
        raise ShapeError(
            f"np.piecewise has {len(masks)} conditions and {len(funclist)} functions, at {line_of(user_site())}; write "
            "one for each, and one more for the others")
    y = gl.zeros(x.shape, like=x)
    for mask, function in zip(masks, funclist, strict=True):
        if mask.any():
            is_function = callable(function) and not isinstance(function, dlarray)
            y[mask] = function(x[mask], *args, **kw) if is_function else function
    return y


@named_as_theirs
def unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
           axis: Any = None, *, equal_nan: bool = True, sorted: bool = True) -> Any:
    """The distinct values are the first elements that have them; the rest are positions and counts."""
    a = array(ar)
    places, *rest = np.unique(np.asarray(constant(a._value)), True, True, True, axis, equal_nan=equal_nan)[1:]
    found = (gl.take(*((ravel(a), places) if axis is None else (a, places)), axis=axis or 0), places, *rest)
    asked = [x for x, wanted in zip(found, (True, return_index, return_inverse, return_counts), strict=True) if wanted]
    return array(asked[0]) if len(asked) == 1 else tuple(map(array, asked))


FUNCTIONS["unique_all"], FUNCTIONS["unique_counts"] = lambda x: gl.unique_all(x), lambda x: gl.unique_counts(x)
FUNCTIONS["unique_inverse"] = lambda x: gl.unique_inverse(x)
FUNCTIONS["unique_values"] = lambda x: gl.unique_values(x)


@named_as_theirs
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect") -> Any:
    return FUNCTIONS["sort"](a, axis)  # which is one


@named_as_theirs
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect") -> Any:
    return FUNCTIONS["argsort"](a, axis)


FUNCTIONS["dsplit"] = lambda ary, indices_or_sections: split(ary, indices_or_sections, 2)


@named_as_theirs
def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    arr = array(arr)
    axis %= arr.ndim
    rest = tuple(n for k, n in enumerate(arr.shape) if k != axis)
    rows = gl.reshape(gl.moveaxis(arr, axis, -1), (math.prod(rest), arr.shape[axis]))
    y = gl.stack([array(func1d(rows[k], *args, **kwargs)) for k in range(rows.shape[0])])
    own = y.ndim - 1
    y = gl.reshape(y, (*rest, *y.shape[1:]))
    return gl.moveaxis(y, tuple(range(len(rest), y.ndim)), tuple(range(axis, axis + own))) if own else y


@named_as_theirs
def sliding_window_view(x: Any, window_shape: Any, axis: Any = None) -> Any:
    x = array(x)
    sizes = tuple(window_shape) if np.ndim(window_shape) else (window_shape,)
    axes = tuple(range(x.ndim)) if axis is None else tuple(k % x.ndim for k in (axis if np.ndim(axis) else (axis,)))
    for size, k in zip(sizes, axes, strict=True):
        n = x.shape[k] - size + 1
        if n < 1:
            raise ShapeError(
                f"sliding_window_view: windows of {size} along an axis of {x.shape[k]}, at {line_of(user_site())}; "
                "write a smaller window")
        places = (np.arange(n)[:, None] + np.arange(size)).ravel()
        x = gl.take(x, places, axis=k)
        x = gl.moveaxis(gl.reshape(x, (*x.shape[:k], n, size, *x.shape[k + 1:])), k + 1, -1)
    return x


FUNCTIONS["diagflat"] = lambda v, k=0: gl.diag(ravel(v), k=k)

# ----- writing: the handle that is given has a new value, as with x[i] = v -----


@named_as_theirs
def fill_diagonal(a: Any, val: Any) -> None:
    n = min(a.shape)
    a[(np.arange(n),) * a.ndim] = val if isinstance(val, dlarray) else np.resize(val, n) if np.ndim(val) else val


@named_as_theirs
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int = -1) -> None:
    indices = np.asarray(indices)
    shape = tuple(indices.shape[axis] if k == axis % arr.ndim else n for k, n in enumerate(arr.shape))
    indices = np.broadcast_to(indices, shape)
    places: list[Any] = list(np.ogrid[tuple(slice(n) for n in shape)])
    places[axis] = indices
    arr[tuple(places)] = (gl.broadcast_to(array(values), shape) if isinstance(values, dlarray)
                          else np.broadcast_to(values, shape))


@named_as_theirs
def copyto(dst: Any, src: Any) -> None:
    dst[...] = gl.broadcast_to(array(src), dst.shape)


# ----- polynomials: coefficients from the highest power -----


@named_as_theirs
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    x = array(x)
    powers = range(x.shape[0] if N is None else N)
    columns = [gl.ones_like(x) if not k else x ** k for k in (powers if increasing else reversed(powers))]
    return gl.stack(columns, axis=-1) if columns else gl.zeros((x.shape[0], 0), like=x)


@named_as_theirs
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, *, w: Any = None) -> Any:
    left, right = vander(x, int(deg) + 1), array(y)
    if w is not None:
        w = gl.reshape(array(w), (-1, 1))
        left, right = left * w, right * (gl.reshape(w, (-1,)) if right.ndim == 1 else w)
    scale = gl.sqrt(gl.sum(left * left, axis=0))
    found = linalg.lstsq(left / scale, right, rtol=left.shape[0] * np.finfo(np.float64).eps if rcond is None else rcond)
    return found / (scale if right.ndim == 1 else gl.reshape(scale, (-1, 1)))


@named_as_theirs
def polyder(p: Any, m: int = 1) -> Any:
    p = array(p)
    for _ in range(m):
        n = p.shape[0] - 1
        p = p[:-1] * np.arange(n, 0, -1.0)
    return p


@named_as_theirs
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    p = array(p)
    constants = [0.0] * m if k is None else [k] * m if np.ndim(k) == 0 else list(k)
    for c in constants[:m]:
        p = gl.concat([p / np.arange(p.shape[0], 0, -1.0), gl.reshape(gl.astype(array(c), p.dtype), (1,))], axis=0)
    return p


def _sum_of_polynomials(a: Any, b: Any, sign: int) -> Any:
    a, b = (gl.reshape(v, (1,)) if not v.ndim else v for v in map(array, (a, b)))
    n = max(a.shape[0], b.shape[0])
    a, b = (gl.concat([gl.zeros((n - v.shape[0],), like=v), v], axis=0) for v in (a, b))
    return a + b if sign > 0 else a - b


FUNCTIONS["polyadd"] = lambda a1, a2: _sum_of_polynomials(a1, a2, 1)
FUNCTIONS["polysub"] = lambda a1, a2: _sum_of_polynomials(a1, a2, -1)


@named_as_theirs
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = array(a), gl.conj(array(v))
    if mode == "same" and a.shape[0] < v.shape[0]:  # the middle is counted from the other end
        return gl.flip(FUNCTIONS["convolve"](v, gl.flip(a), mode))
    return FUNCTIONS["convolve"](a, gl.flip(v), mode)


# ----- creation, linear algebra, questions -----


@named_as_theirs
def logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0,
             dtype: Any = None, axis: int = 0) -> Any:
    return cast(gl.power(base, linspace(start, stop, num, endpoint, axis=axis)), dtype)


@named_as_theirs
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    start, stop = array(start), array(stop)
    y = cast(start * (stop / start) ** linspace(0.0 * start, 0.0 * stop + 1.0, num, endpoint), dtype)
    return gl.moveaxis(y, 0, axis) if axis else y


@named_as_theirs
def cond(x: Any, p: Any = None) -> Any:
    x = array(x)
    if p in (None, 2, -2):
        s = linalg.svdvals(x)
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    return gl.matrix_norm(x, ord=p) * gl.matrix_norm(linalg.inv(x), ord=p)


@named_as_theirs
def tensorsolve(a: Any, b: Any) -> Any:
    a, b = array(a), array(b)
    return gl.reshape(linalg.solve(gl.reshape(a, (b.size, -1)), ravel(b)), a.shape[b.ndim:])


@named_as_theirs
def tensorinv(a: Any, ind: int = 2) -> Any:
    a = array(a)
    return gl.reshape(linalg.inv(gl.reshape(a, (math.prod(a.shape[:ind]), -1))), (*a.shape[ind:], *a.shape[:ind]))


for _name in ("cond", "tensorsolve", "tensorinv"):
    FUNCTIONS[f"linalg.{_name}"] = FUNCTIONS.pop(_name)

FUNCTIONS["tril_indices_from"] = lambda arr, k=0: np.tril_indices(arr.shape[-2], k, arr.shape[-1])
FUNCTIONS["triu_indices_from"] = lambda arr, k=0: np.triu_indices(arr.shape[-2], k, arr.shape[-1])
FUNCTIONS["isreal"] = lambda x: gl.equal(gl.imag(array(x)), 0)
FUNCTIONS["iscomplex"] = lambda x: gl.not_equal(gl.imag(array(x)), 0)
FUNCTIONS["isposinf"] = lambda x: gl.equal(x, math.inf)
FUNCTIONS["isneginf"] = lambda x: gl.equal(x, -math.inf)
FUNCTIONS["result_type"] = lambda *given: np.result_type(*[np.dtype(str(x.dtype)[6:]) if isinstance(x, dlarray)
                                                           else x for x in given])


@named_as_theirs
def array_equiv(a1: Any, a2: Any) -> bool:
    a1, a2 = array(a1), array(a2)
    try:
        np.broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        return False
    return bool(gl.all(gl.equal(a1, a2)))
