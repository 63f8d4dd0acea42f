"""What each function of NumPy records: adapters with NumPy's own arguments. `FUNCTIONS` is read by NumPy's protocol and
by its tests."""
from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.errors import TypeRefused, line_of, user_site
from ..protocol import array, cast, gl

_array = array  # where an argument has its name

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def named_as_theirs(function: Any) -> Any:
    """An adapter, under its own name."""
    FUNCTIONS[function.__name__.removesuffix("_")] = function
    return function


def refuse(word: str, **options: Any) -> None:
    """Options at any value but their default, which none of our operations has."""
    for name, (value, default) in options.items():
        if (value is not default and value is not np._NoValue
            and not (isinstance(value, (str, int)) and value == default)):
            raise TypeRefused(
                f"np.{word} with {name}={value!r:.30} has no operation, at {line_of(user_site())}; leave {name} out")


# ----- counting, running sums, sorting -----

FUNCTIONS["count_nonzero"] = lambda a, axis=None, *, keepdims=False: gl.count_nonzero(a, axis=axis, keepdims=keepdims)
FUNCTIONS["cumulative_sum"] = lambda x, /, *, axis=None, dtype=None, include_initial=False: gl.cumulative_sum(
    x, axis=axis, dtype=dtype, include_initial=include_initial)
FUNCTIONS["cumulative_prod"] = lambda x, /, *, axis=None, dtype=None, include_initial=False: gl.cumulative_prod(
    x, axis=axis, dtype=dtype, include_initial=include_initial)


@named_as_theirs
def cumsum(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    return gl.cumsum(cast(ravel(a) if axis is None else a, dtype), axis=0 if axis is None else axis)


@named_as_theirs
def cumprod(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    return gl.cumprod(cast(ravel(a) if axis is None else a, dtype), axis=0 if axis is None else axis)


@named_as_theirs
def sort(a: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Any:
    return gl.sort(ravel(a) if axis is None else a, axis=0 if axis is None else axis)


@named_as_theirs
def argsort(a: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Any:
    return gl.argsort(ravel(a) if axis is None else a, axis=0 if axis is None else axis)


# ----- shapes: those whose arguments are the same here, under NumPy's names -----

FUNCTIONS["moveaxis"] = lambda a, source, destination: gl.moveaxis(a, source, destination)
FUNCTIONS["broadcast_to"] = lambda array, shape: gl.broadcast_to(array, shape)
FUNCTIONS["tile"] = lambda A, reps: gl.tile(A, reps)
FUNCTIONS["real"], FUNCTIONS["imag"] = lambda val: gl.real(val), lambda val: gl.imag(val)
FUNCTIONS["matrix_transpose"] = lambda x, /: gl.matrix_transpose(x)
FUNCTIONS["tensordot"] = lambda a, b, axes=2: gl.tensordot(a, b, axes=axes)
FUNCTIONS["expand_dims"] = lambda a, axis: gl.expand_dims(a, axis=axis)
FUNCTIONS["squeeze"] = lambda a, axis=None: gl.squeeze(a, axis=axis)
FUNCTIONS["flip"] = lambda m, axis=None: gl.flip(m, axis=axis)
FUNCTIONS["repeat"] = lambda a, repeats, axis=None: gl.repeat(a, repeats, axis=axis)


@named_as_theirs
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: Any = None) -> Any:
    return gl.reshape(a, shape, order=order)


@named_as_theirs
def ravel(a: Any, order: str = "C") -> Any:
    return gl.reshape(array(a), (-1,), order=order)


@named_as_theirs
def transpose(a: Any, axes: Any = None) -> Any:
    a = array(a)
    return gl.permute_dims(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


@named_as_theirs
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(array(a).ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return gl.permute_dims(a, tuple(order))


@named_as_theirs
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return gl.roll(a, shift, axis=axis)


@named_as_theirs
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    n = array(a).ndim
    axis, start = axis % n, start + n if start < 0 else start
    return gl.moveaxis(a, axis, start - (axis < start))


@named_as_theirs
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    for _ in range(k % 4):
        m = gl.flip(swapaxes(m, *axes), axis=axes[0])
    return m


@named_as_theirs
def fliplr(m: Any) -> Any:
    return gl.flip(m, axis=1)


@named_as_theirs
def flipud(m: Any) -> Any:
    return gl.flip(m, axis=0)


def _at_least(count: int, place: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(*arys: Any) -> Any:
        grown = tuple(place(array(a)) for a in arys)
        return grown[0] if len(grown) == 1 else grown
    FUNCTIONS[f"atleast_{count}d"] = call
    return place


_row = _at_least(1, lambda a: gl.reshape(a, (1,)) if not a.ndim else a)
_flat = _at_least(2, lambda a: gl.reshape(a, (1, a.size)) if a.ndim < 2 else a)
_deep = _at_least(3, lambda a: gl.reshape(a, (1, a.size, 1) if a.ndim < 2 else (*a.shape, 1)) if a.ndim < 3 else a)


# ----- joining and splitting -----


@named_as_theirs
def concatenate(arrays: Any, /, axis: Any = 0, *, dtype: Any = None) -> Any:
    return cast(gl.concat([ravel(a) for a in arrays] if axis is None else list(arrays), axis=axis or 0), dtype)


FUNCTIONS["concat"] = concatenate


@named_as_theirs
def stack(arrays: Any, axis: Any = 0, *, dtype: Any = None) -> Any:
    return cast(gl.stack(list(arrays), axis=axis), dtype)


@named_as_theirs
def vstack(tup: Any, *, dtype: Any = None) -> Any:
    return concatenate([_flat(array(a)) for a in tup], 0, dtype=dtype)


@named_as_theirs
def hstack(tup: Any, *, dtype: Any = None) -> Any:
    arrays = [_row(array(a)) for a in tup]
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1, dtype=dtype)


@named_as_theirs
def dstack(tup: Any) -> Any:
    return concatenate([_deep(array(a)) for a in tup], 2)


@named_as_theirs
def column_stack(tup: Any) -> Any:
    return concatenate([gl.reshape(a, (-1, 1)) if a.ndim < 2 else a for a in map(array, tup)], 1)


@named_as_theirs
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate((arr, values), axis)


@named_as_theirs
def block(arrays: Any) -> Any:
    def joined(parts: Any, depth: int) -> Any:
        return concatenate([joined(p, depth - 1) for p in parts], -depth) if isinstance(parts, list) else parts

    def depth_of(parts: Any) -> int:
        return 1 + max(map(depth_of, parts)) if isinstance(parts, list) else 0

    depth = depth_of(arrays)
    grown = _grown(arrays, depth)
    return joined(grown, depth)


def _grown(parts: Any, ndim: int) -> Any:
    if isinstance(parts, list):
        return [_grown(p, ndim) for p in parts]
    a = array(parts)
    return gl.reshape(a, (*(1,) * (ndim - a.ndim), *a.shape)) if a.ndim < ndim else a


@named_as_theirs
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    a = array(ary)
    n = a.shape[axis]
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        ends = [(i + 1) * (n // k) + builtins.min(i + 1, n % k) for i in range(k - 1)]
    else:
        ends = [int(e) for e in indices_or_sections]
    before = (slice(None),) * (axis % a.ndim)
    return [a[(*before, slice(i, j))] for i, j in zip([0, *ends], [*ends, n], strict=True)]


@named_as_theirs
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    if isinstance(indices_or_sections, int) and array(ary).shape[axis] % indices_or_sections:
        raise TypeRefused(f"np.split: axis {axis} of size {ary.shape[axis]} has no {indices_or_sections} equal parts, "
                          f"at {line_of(user_site())}; write np.array_split")
    return array_split(ary, indices_or_sections, axis)


FUNCTIONS["vsplit"] = lambda ary, indices_or_sections: split(ary, indices_or_sections, 0)
FUNCTIONS["hsplit"] = lambda ary, indices_or_sections: split(ary, indices_or_sections, 0 if array(ary).ndim == 1 else 1)
FUNCTIONS["unstack"] = lambda x, /, *, axis=0: tuple(gl.moveaxis(x, axis, 0))


@named_as_theirs
def broadcast_arrays(*args: Any) -> Any:
    arrays = [array(a) for a in args]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    return tuple(gl.broadcast_to(a, shape) for a in arrays)


@named_as_theirs
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    n = len(xi)
    grown = [gl.reshape(array(x), (1,) * k + (-1,) + (1,) * (n - k - 1)) for k, x in enumerate(xi)]
    if indexing == "xy" and n > 1:
        grown = [swapaxes(x, 0, 1) for x in grown]
    return tuple(grown) if sparse else broadcast_arrays(*grown)


# ----- selection -----


@named_as_theirs
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    return gl.nonzero(condition) if x is None and y is None else gl.where(condition, x, y)


FUNCTIONS["nonzero"] = lambda a: gl.nonzero(a)
FUNCTIONS["argwhere"] = lambda a: gl.stack(gl.nonzero(a), axis=-1)
FUNCTIONS["flatnonzero"] = lambda a: gl.nonzero(ravel(a))[0]


@named_as_theirs
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    y = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        y = gl.where(condition, choice, y)
    return y


@named_as_theirs
def take(a: Any, indices: Any, axis: Any = None, *, mode: str = "raise") -> Any:
    indices, n = np.asarray(indices), array(a).size if axis is None else array(a).shape[axis]
    if mode != "raise" and n:
        refuse("take", mode=(mode, mode if mode in ("wrap", "clip") else "raise"))
        indices = indices % n if mode == "wrap" else np.clip(indices, 0, n - 1)
    y = gl.take(ravel(a) if axis is None else a, indices.reshape(-1), axis=0 if axis is None else axis)
    k = 0 if axis is None else axis % array(a).ndim
    return y if indices.ndim == 1 else gl.reshape(y, (*y.shape[:k], *indices.shape, *y.shape[k + 1:]))


@named_as_theirs
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    return gl.take_along_axis(arr, indices, axis=axis)


@named_as_theirs
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return gl.clip(a, a_min if min is None else min, a_max if max is None else max)


@named_as_theirs
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x = array(x)
    if x.dtype.is_complex:  # each part for itself
        return gl.complex(nan_to_num(gl.real(x), copy, nan, posinf, neginf),
                          nan_to_num(gl.imag(x), copy, nan, posinf, neginf))
    largest = float(np.finfo(str(x.dtype)[6:]).max) if x.dtype.is_floating_point else math.inf
    x = gl.where(gl.isnan(x), nan, x)
    x = gl.where(x == math.inf, largest if posinf is None else posinf, x)
    return gl.where(x == -math.inf, -largest if neginf is None else neginf, x)


FUNCTIONS["diagonal"] = lambda a, offset=0, axis1=0, axis2=1: gl.diagonal(
    gl.moveaxis(a, (axis1, axis2), (-2, -1)), offset=offset)
FUNCTIONS["trace"] = lambda a, offset=0, axis1=0, axis2=1, dtype=None: gl.trace(
    gl.moveaxis(a, (axis1, axis2), (-2, -1)), offset=offset, dtype=dtype)
FUNCTIONS["diag"] = lambda v, k=0: gl.diag(v, k=k)
FUNCTIONS["tril"] = lambda m, k=0: gl.tril(m, k=k)
FUNCTIONS["triu"] = lambda m, k=0: gl.triu(m, k=k)
FUNCTIONS["searchsorted"] = lambda a, v, side="left", sorter=None: gl.searchsorted(a, v, side=side, sorter=sorter)
