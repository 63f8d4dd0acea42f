"""Extremes and where they are, and products: reductions over the reduced axes as one last axis."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...blocks import action
from ...core.array import dlarray, labels_of, raw
from ...core.declare import discrete, general, multilinear, public
from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ...machine.dtypes import Tensor, broadcast_shapes, differentiable
from ..elementwise.arithmetic import astype, conj
from ..movement.axes import array, expand_dims, fresh, permute_dims, reshape
from .reduction import arguments, sum, without_trace
from .scans import divisible, others

# ----- the reduced axes as one -----


def _flattened(x: Any, axis: tuple[int, ...]) -> Any:
    """The reduced axes as one last axis."""
    rest = [k for k in range(-x.ndim, 0) if k not in axis]
    x = permute_dims(x, (*rest, *sorted(axis)))
    return reshape(x, (*x.shape[:len(rest)], math.prod(x.shape[len(rest):])))


def _unflattened(x: Any, axis: tuple[int, ...], shape: Any, lead: tuple[int, ...]) -> Any:
    """The inverse of `_flattened` for an array of `shape`, with leading axes."""
    n = len(shape)
    order = (*(k for k in range(-n, 0) if k not in axis), *sorted(axis))
    x = reshape(x, (*lead, *(shape[k] for k in order)))
    return permute_dims(x, (*range(-n - len(lead), -n), *(order.index(k) - n for k in range(-n, 0))))


def _kept(y: Any, axis: tuple[int, ...], keepdims: bool, shape: Any, lead: tuple[int, ...] = ()) -> Any:
    """A reduced array with the reduced axes of size 1, where they are kept."""
    return reshape(y, (*lead, *(1 if k - len(shape) in axis else n for k, n in enumerate(shape)))) if keepdims else y


def _dropped(y: Any, axis: tuple[int, ...], keepdims: bool, shape: Any, lead: tuple[int, ...]) -> Any:
    """The inverse of `_kept`."""
    return reshape(y, (*lead, *(n for k, n in enumerate(shape) if k - len(shape) not in axis))) if keepdims else y


# ----- extremes: the first of equal ones takes the derivative -----


def _pick(x_dot: Any, place: Any) -> Any:
    return _gather.apply((x_dot,), {"place": place})


def _spread(y_bar: Any, place: Any, n: int) -> Any:
    return _scatter.apply((y_bar,), {"place": place, "size": n})


def _gather_kernel(x: Tensor, place: Tensor) -> Tensor:
    place = raw(place)
    shape = broadcast_shapes(x.shape[:-1], place.shape[:-1])
    return x.expand(*shape, x.shape[-1]).gather(-1, place.expand(*shape, 1)).squeeze(-1)


def _scatter_kernel(x: Tensor, place: Tensor, size: int) -> Tensor:
    place = raw(place)
    return torch.zeros((*x.shape, size), dtype=x.dtype,
                       device=x.device).scatter_(-1, place.expand(*x.shape, 1), x.unsqueeze(-1))


_PLACE = torch.tensor([[1], [0]], device="cpu")
_gather = multilinear("gather", _gather_kernel,
                      transposes={"x": lambda y_bar, place, x_shape: _spread(y_bar, place, x_shape[-1])},
                      act=lambda operation, inputs, params: action.gathered_at(
                          inputs[0], [raw(params["place"]).squeeze(-1)], ()),
                      samples=[((2, 3), {"place": _PLACE})], selects=True)
_scatter = multilinear("scatter", _scatter_kernel, transposes={"x": lambda y_bar, place: _pick(y_bar, place)},
                       act=lambda operation, inputs, params: action.scattered_to(
                           inputs[0], [raw(params["place"]).squeeze(-1)], (params["size"],), 0),
                       samples=[((2,), {"place": _PLACE, "size": 3})])
_SAMPLES = [((4, 3), {"axis": (-1,), "keepdims": False}), ((2, 3, 4), {"axis": (-3, -1), "keepdims": True}),
            ((2, 3), {"axis": (-1, -2), "keepdims": False}), ((3, 4), {"axis": (-2,), "keepdims": True})]


def _extreme(name: str, find: Any, **rest: Any) -> Any:
    """`place`: where the first of the extremes is, among the reduced elements as one last axis."""

    def kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> tuple[Tensor, Tensor]:
        alone = len(axis) == 1 and not x.is_meta
        flat = x if alone else _flattened(x, axis)
        if x.is_meta:  # the place is an integer selector, which must be real
            y, place = flat.new_empty(flat.shape[:-1]), torch.zeros(flat.shape[:-1], dtype=torch.int64, device="cpu")
        else:
            y, place = find(flat, axis[0] if alone else -1)
        return _kept(y, axis, keepdims, x.shape), place.unsqueeze(-1)

    def push(x_dot: Any, place: Any, axis: tuple[int, ...], keepdims: bool, x_shape: Any, lead: tuple[int, ...]) -> Any:
        return _kept(_pick(_flattened(x_dot, axis), place), axis, keepdims, x_shape, lead)

    def pull(y_bar: Any, place: Any, axis: tuple[int, ...], keepdims: bool, x_shape: Any, lead: tuple[int, ...]) -> Any:
        spread = _spread(_dropped(y_bar, axis, keepdims, x_shape, lead), place, math.prod(x_shape[k] for k in axis))
        return _unflattened(spread, axis, x_shape, lead)

    def fused_pull(y_bar: Tensor, place: Tensor, axis: tuple[int, ...], keepdims: bool, x_shape: Any) -> Tensor:
        if len(axis) > 1:
            return pull(y_bar, place, axis, keepdims, x_shape, ())
        x_bar = torch.zeros(x_shape, dtype=y_bar.dtype, device=y_bar.device)
        return x_bar.scatter_(axis[0], place.movedim(-1, axis[0]), y_bar if keepdims else y_bar.unsqueeze(axis[0]))

    return general(name, kernel, hidden=("place",), push=push, pull=pull, fused_pull=fused_pull,
                   samples=_SAMPLES, matlab=name, selects=True, real_only="complex numbers have no order", **rest)


_max = _extreme("max", torch.max, torch=("amax",))
_min = _extreme("min", torch.min, torch=("amin",))
# the value alone takes a tenth of the time
_alone = {_max: discrete("amax", lambda x, axis, keepdims: torch.amax(x, axis, keepdims)),
          _min: discrete("amin", lambda x, axis, keepdims: torch.amin(x, axis, keepdims))}


def _reduced(operation: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x, params, labels = arguments(x, axis, keepdims)
    # the product of nothing is 1
    if 0 in x.shape and operation is not _prod and 0 in [x.shape[a] for a in params["axis"]]:
        raise ShapeError(
            f"{operation.name} of no elements: {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
    if not params["axis"] and operation.kind != "discrete" and not (x.dtype.is_complex and operation in _alone):
        return fresh(x) if operation is not _prod or differentiable(x.dtype) else astype(x, "int64")
    if operation in _alone and not (type(x) is dlarray and x.traced) and not x.dtype.is_complex:
        operation = _alone[operation]
    return operation.apply((x,), params, labels)


@public(_max)
def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element over axes; the first of equal ones takes the derivative. Of two arrays: `maximum(a, b)`.

    >>> import gradloom as gl
    >>> gl.max(gl.dlarray([[1.0, 5.0], [3.0, 2.0]]), axis=0)
    2 dlarray float64
    [3. 5.]

    Source: array API max, MATLAB max.
    """
    return _reduced(_max, x, axis, keepdims)


@public(_min)
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


def _position(find: Any) -> Any:
    """The place of an extreme; of several axes, among their elements in a row."""
    return lambda x, axis, keepdims: _kept(find(_flattened(x, axis), -1).indices, axis, keepdims, x.shape)


_argmax = discrete("argmax", _position(torch.max), torch=("argmax",))
_argmin = discrete("argmin", _position(torch.min), torch=("argmin",))


def _argument(operation: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    return _reduced(operation, without_trace(array(x)), axis, keepdims)


@public(_argmax)
def argmax(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The position of the first largest element along an axis, counted from 0.

    >>> import gradloom as gl
    >>> int(gl.argmax(gl.dlarray([1.0, 5.0, 5.0])))
    1

    Source: array API argmax.
    """
    return _argument(_argmax, x, axis, keepdims)


@public(_argmin)
def argmin(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The position of the first smallest element along an axis, counted from 0.

    >>> import gradloom as gl
    >>> int(gl.argmin(gl.dlarray([1.0, 0.0, 0.0])))
    1

    Source: array API argmin.
    """
    return _argument(_argmin, x, axis, keepdims)


# ----- products -----


def _prod_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    if len(axis) == 1:
        return torch.prod(x, axis[0], keepdims)
    return _kept(torch.prod(x if len(axis) == x.ndim else _flattened(x, axis), *(() if len(axis) == x.ndim else (-1,))),
                 axis, keepdims, x.shape)


def _prod_push(x_dot: Any, x: Any, axis: Any, keepdims: bool, x_shape: Any, lead: Any) -> Any:
    return _kept(sum(_flattened(x_dot, axis) * others(_flattened(x, axis)), axis=-1), axis, keepdims, x_shape, lead)


def _prod_pull(y_bar: Any, x: Any, axis: Any, keepdims: bool, x_shape: Any, lead: Any) -> Any:
    spread = expand_dims(_dropped(y_bar, axis, keepdims, x_shape, lead), axis=-1) * conj(others(_flattened(x, axis)))
    return _unflattened(spread, axis, x_shape, lead)


def _prod_fused(y_bar: Tensor, x: Tensor, y: Tensor, axis: Any, keepdims: bool, x_shape: Any) -> Tensor:
    if not divisible(y):
        return _prod_pull(y_bar, x, axis, keepdims, x_shape, ())
    return _kept(y_bar * y.conj(), axis, not keepdims, x_shape) / x.conj()


_prod = general("prod", _prod_kernel, push=_prod_push, pull=_prod_pull, fused_pull=_prod_fused,
                samples=_SAMPLES, matlab="prod", torch=("prod",))


@public(_prod)
def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over axes, of bools and integers in int64. Its derivative is the product of the other elements, right
    also where elements are zero.

    >>> import gradloom as gl
    >>> gl.prod(gl.dlarray([2.0, 3.0]))
    dlarray float64 6.0

    Source: array API prod, MATLAB prod.
    """
    return (_reduced(_prod, x, axis, keepdims) if dtype is None
            else astype(_reduced(_prod, astype(x, dtype), axis, keepdims), dtype))


__all__ = ["argmax", "argmin", "max", "min", "prod"]
