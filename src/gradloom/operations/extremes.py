"""Extremes and where they are, and products: reductions over the reduced axes as one last axis."""
from __future__ import annotations

import math
from typing import Any

import torch

from ..core.array import dlarray, labels_of, raw
from ..core.blocks import action
from ..core.errors import ShapeError, line_of, user_site
from ..core.general import general
from ..core.labels import described
from ..core.multilinear import multilinear
from ..core.operation import discrete, public
from ..kernels import Tensor
from .arithmetic import astype, conj
from .movement import array, expand_dims, fresh, permute_dims, reshape
from .reduction import _arguments, _without_trace, sum
from .scans import divisible, others

# ----- extremes: the first of equal ones takes the derivative -----


def _flattened(x: Any, axis: tuple[int, ...]) -> tuple[Any, int]:
    """The reduced axes as one last axis."""
    rest = [k for k in range(-x.ndim, 0) if k not in axis]
    x = permute_dims(x, (*rest, *sorted(axis)))
    shape = tuple(x.shape[:len(rest)])
    return reshape(x, (*shape, math.prod(x.shape[len(rest):]))), len(rest)


def _extreme_kernel(arg: Any) -> Any:
    find = torch.max if arg == "max" else torch.min

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        if x.is_meta:  # the place is an integer selector, which must be real
            return x.new_empty(x.shape[:-1]), torch.zeros((*x.shape[:-1], 1), dtype=torch.int64, device=x.device)
        y, place = find(x, -1)
        return y, place.unsqueeze(-1)

    return run


def _pick(x_dot: Any, place: Any) -> Any:
    return _gather.apply((x_dot,), {"place": place})


def _spread(y_bar: Any, place: Any, n: int) -> Any:
    return _scatter.apply((y_bar,), {"place": place, "size": n})


def _gather_kernel(x: Tensor, place: Tensor) -> Tensor:
    place = raw(place)
    shape = torch.broadcast_shapes(x.shape[:-1], place.shape[:-1])
    return x.expand(*shape, x.shape[-1]).gather(-1, place.expand(*shape, 1)).squeeze(-1)


def _scatter_kernel(x: Tensor, place: Tensor, size: int) -> Tensor:
    place = raw(place)
    return torch.zeros((*x.shape, size), dtype=x.dtype, device=x.device).scatter_(-1, place.expand(*x.shape, 1), x.unsqueeze(-1))


_PLACE = torch.tensor([[1], [0]])
_gather = multilinear("gather", _gather_kernel, transposes={"x": lambda y_bar, place, x_shape: _spread(y_bar, place, x_shape[-1])},
                      act=lambda operation, inputs, params: action.gathered_at(inputs[0], [raw(params["place"]).squeeze(-1)], ()),
                      samples=[((2, 3), {"place": _PLACE})])
_scatter = multilinear("scatter", _scatter_kernel, transposes={"x": lambda y_bar, place: _pick(y_bar, place)},
                       act=lambda operation, inputs, params: action.scattered_to(inputs[0], [raw(params["place"]).squeeze(-1)], (params["size"],), 0),
                       samples=[((2,), {"place": _PLACE, "size": 3})])


def _extreme(name: str, matlab: str) -> Any:
    return general(name, _extreme_kernel(name), hidden=("place",), push=lambda x_dot, place: _pick(x_dot, place),
                   pull=lambda y_bar, place, x_shape: _spread(y_bar, place, x_shape[-1]), samples=[((4, 3), {})], matlab=matlab)


_max = _extreme("max", "max")
_min = _extreme("min", "min")
_alone = {_max: discrete("amax", lambda x, axis, keepdims: torch.amax(x, axis, keepdims)),  # the value alone takes a tenth of the time
          _min: discrete("amin", lambda x, axis, keepdims: torch.amin(x, axis, keepdims))}


def _reduced(operation: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x, params, labels = _arguments(x, axis, keepdims)
    if operation is not _prod and 0 in [x.shape[a] for a in params["axis"]]:  # the product of nothing is 1
        raise ShapeError(f"{operation.name} of no elements: {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
    if not params["axis"]:
        return fresh(x)
    if operation in _alone and not (type(x) is dlarray and x.traced) and not x.dtype.is_complex:
        return _alone[operation].apply((x,), params, labels)
    flat, _ = _flattened(dlarray._made(x._value, x._node, None) if type(x) is dlarray else x, params["axis"])
    y = operation.apply((flat,))
    if keepdims:
        y = reshape(y, tuple(1 if k - x.ndim in params["axis"] else n for k, n in enumerate(x.shape)))
    if type(y) is dlarray:
        y = dlarray._made(y._value, y._node, labels)
    return y


@public(_max, method=True)
def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element over axes; the first of equal ones takes the derivative. Of two arrays: `maximum(a, b)`.

    >>> import gradloom as gl
    >>> gl.max(gl.dlarray([[1.0, 5.0], [3.0, 2.0]]), axis=0)
    2 dlarray float64
    [3. 5.]

    Source: array API max, MATLAB max.
    """
    return _reduced(_max, x, axis, keepdims)


@public(_min, method=True)
def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element over axes; the first of equal ones takes the derivative. Of two arrays: `minimum(a, b)`.

    >>> import gradloom as gl
    >>> gl.min(gl.dlarray([[1.0, 5.0], [3.0, 2.0]]), axis=0)
    2 dlarray float64
    [1. 2.]

    Source: array API min, MATLAB min.
    """
    return _reduced(_min, x, axis, keepdims)


# ----- positions -----

_argmax = discrete("argmax", lambda x: torch.max(x, -1).indices)
_argmin = discrete("argmin", lambda x: torch.min(x, -1).indices)


def _argument(operation: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x = _without_trace(array(x))
    if axis is None:
        labels_free = dlarray._made(x._value, None, None) if type(x) is dlarray else x
        flat = reshape(labels_free, (math.prod(x.shape),))
        y = operation.apply((flat,))
        return reshape(y, (1,) * x.ndim) if keepdims else y
    return _reduced(operation, x, axis, keepdims)


@public(_argmax, method=True)
def argmax(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The position of the first largest element along an axis, counted from 0.

    >>> import gradloom as gl
    >>> int(gl.argmax(gl.dlarray([1.0, 5.0, 5.0])))
    1

    Source: array API argmax.
    """
    return _argument(_argmax, x, axis, keepdims)


@public(_argmin, method=True)
def argmin(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The position of the first smallest element along an axis, counted from 0.

    >>> import gradloom as gl
    >>> int(gl.argmin(gl.dlarray([1.0, 0.0, 0.0])))
    1

    Source: array API argmin.
    """
    return _argument(_argmin, x, axis, keepdims)


# ----- products -----


def _prod_fused(y_bar: Tensor, x: Tensor, y: Tensor) -> Tensor:
    if not divisible(y):
        return y_bar.unsqueeze(-1) * others(x).conj()
    return (y_bar * y.conj()).unsqueeze(-1) / x.conj()


_prod = general("prod", lambda x: torch.prod(x, -1), push=lambda x_dot, x: sum(x_dot * others(x), axis=-1),
                pull=lambda y_bar, x: expand_dims(y_bar, axis=-1) * conj(others(x)), fused_pull=_prod_fused, samples=[((4, 3), {})], matlab="prod")


@public(_prod, method=True)
def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over axes. Its derivative is the product of the other elements, right also where elements are zero.

    >>> import gradloom as gl
    >>> gl.prod(gl.dlarray([2.0, 3.0]))
    dlarray float64 6.0

    Source: array API prod, MATLAB prod.
    """
    return _reduced(_prod, x if dtype is None else astype(x, dtype), axis, keepdims)


__all__ = ["argmax", "argmin", "max", "min", "prod"]
