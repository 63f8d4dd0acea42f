"""Reductions: sums, products, extremes, moments. `axis` is keyword-only, so that MATLAB's sum(x, 1) is an error, not a wrong number."""
from __future__ import annotations

import math
from typing import Any

import torch

from ..core.array import dlarray, labels_of
from ..core.blocks import action
from ..core.errors import ShapeError, line_of, user_site
from ..core.general import general
from ..core.labels import described, without
from ..core.multilinear import multilinear
from ..core.operation import discrete, public
from ..kernels import Tensor
from .arithmetic import conj, divide
from .elementwise import exp, where
from .movement import array, expand_dims, fresh, negative_axes, permute_dims, reshape


def _arguments(x: Any, axis: Any, keepdims: bool) -> tuple[Any, dict[str, Any], str | None]:
    """The operand, the axes counted from the end, and the labels of what remains."""
    x = array(x)
    axes = negative_axes(axis, x)
    labels = labels_of(x)
    if labels is not None and not keepdims:
        labels = without(labels, [a + x.ndim for a in axes])
    return x, {"axis": axes, "keepdims": bool(keepdims)}, labels


def _axes_as_letters(inputs: Any, params: Any) -> Any:
    """The index term of a reduction: kept axes keep their letter, the others are summed."""
    ndim = inputs[0].ndim
    letters = [f"a{k}" for k in range(ndim)]
    gone = {a % ndim for a in params["axis"]}
    if params["keepdims"]:
        return [letters], [f"one{k}" if k in gone else name for k, name in enumerate(letters)]
    return [letters], [name for k, name in enumerate(letters) if k not in gone]


def _sum_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    letters, out = _axes_as_letters(inputs, params)
    sizes = dict(zip(letters[0], inputs[0].shape, strict=True)) | {name: 1 for name in out if name.startswith("one")}
    return action.contract(inputs[0], 0, inputs, letters, out, sizes)


def _restored(y_bar: Any, axis: tuple[int, ...], keepdims: bool, ndim: int) -> Any:
    """Reduced axes put back with size 1, so that a cotangent broadcasts over them; leading axes stay where they are."""
    if keepdims or not axis:
        return y_bar
    shape = list(y_bar.shape)
    lead = y_bar.ndim - (ndim - len(axis))
    for a in sorted(a % ndim for a in axis):
        shape.insert(lead + a, 1)
    return reshape(y_bar, tuple(shape))


def _sum_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.sum(x, axis, keepdim=keepdims) if axis else x


def _sum_transpose(y_bar: Any, axis: Any, keepdims: Any, x_shape: Any, lead: Any) -> Any:
    from .movement import broadcast_to

    return broadcast_to(_restored(y_bar, axis, keepdims, len(x_shape)), (*lead, *x_shape))


_SAMPLES = [((2, 3, 4), {"axis": (-2,), "keepdims": False}), ((2, 3), {"axis": (-1, -2), "keepdims": True})]
_sum = multilinear("sum", _sum_kernel, transposes={"x": _sum_transpose}, act=_sum_on_block, samples=_SAMPLES, matlab="sum")


@public(_sum, method=True)
def sum(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over axes: an integer, a label letter, several, or all of them.

    Formula: y = sum over i of x[i]. The axes are dropped, or kept with size 1.

    >>> import gradloom as gl
    >>> gl.sum(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), axis="C")
    2(B) dlarray float64
    [4. 6.]

    Source: array API sum, MATLAB sum.
    """
    x, params, labels = _arguments(x, axis, keepdims)
    return _sum.apply((x,), params, labels)


def _mean_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.mean(x, axis, keepdim=keepdims) if axis else x


def _mean_transpose(y_bar: Any, axis: Any, keepdims: Any, x_shape: Any, lead: Any) -> Any:
    return _sum_transpose(y_bar * (1 / (math.prod(x_shape[a] for a in axis) or 1)), axis, keepdims, x_shape, lead)


def _mean_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    return _sum_on_block(operation, inputs, params).times(1 / math.prod(inputs[0].shape[a] for a in params["axis"]))


_mean = multilinear("mean", _mean_kernel, transposes={"x": _mean_transpose}, act=_mean_on_block, samples=_SAMPLES, matlab="mean")


@public(_mean, method=True)
def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over axes: an integer, a label letter, several, or all of them.

    >>> import gradloom as gl
    >>> gl.mean(gl.dlarray([1.0, 2.0, 6.0]))
    dlarray float64 3.0

    Source: array API mean, MATLAB mean.
    """
    x, params, labels = _arguments(x, axis, keepdims)
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        x = x.astype("float64")
    return _mean.apply((x,), params, labels)


def _var_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool, correction: float) -> Tensor:
    return torch.var(x, axis, correction=correction, keepdim=keepdims) if x.numel() else _of_nothing(x, axis, keepdims)


def _of_nothing(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    """A moment of an array without elements, without torch's warning."""
    y = torch.sum(x, axis, keepdim=keepdims) * math.nan
    return y.real if y.is_complex() else y


def _var_push(x_dot: Any, x: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    centred = x - mean(x, axis=axis, keepdims=True)
    n = math.prod(x_shape[a] for a in axis)
    factor = 2 / (n - correction) if n > correction else math.nan
    if x.dtype.is_complex:
        from .arithmetic import real

        return real(sum(conj(centred) * x_dot, axis=axis, keepdims=keepdims)) * factor
    return sum(x_dot * (centred * factor), axis=axis, keepdims=keepdims)


def _var_pull(y_bar: Any, x: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    n = math.prod(x_shape[a] for a in axis)
    centred = x - mean(x, axis=axis, keepdims=True)
    return _restored(y_bar, axis, keepdims, len(x_shape)) * (centred * (2 / (n - correction) if n > correction else math.nan))


_var = general("var", _var_kernel, push=_var_push, pull=_var_pull, matlab="var",
               samples=[((4, 3), {"axis": (-2,), "keepdims": False, "correction": 1}), ((4, 3), {"axis": (-1, -2), "keepdims": True, "correction": 0})])


@public(_var, method=True)
def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance over axes: the mean square distance from the mean, with n - correction in the denominator.

    >>> import gradloom as gl
    >>> gl.var(gl.dlarray([1.0, 3.0]))
    dlarray float64 1.0

    Source: array API var. MATLAB's var has correction 1.
    """
    x, params, labels = _arguments(x, axis, keepdims)
    return _var.apply((x,), {**params, "correction": correction}, labels)


def _std_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool, correction: float) -> Tensor:
    return torch.std(x, axis, correction=correction, keepdim=keepdims) if x.numel() else _of_nothing(x, axis, keepdims)


def _inverse(y: Any) -> Any:
    """1 / y, and 0 where y is 0: where a length vanishes, its derivative is 0."""
    return where(y == 0, 0.0, divide(1, y))


def _std_push(x_dot: Any, x: Any, y: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    return _var_push(x_dot, x, axis, keepdims, correction, x_shape) * (0.5 * _inverse(y))


def _std_pull(y_bar: Any, x: Any, y: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    return _var_pull(y_bar * (0.5 * _inverse(y)), x, axis, keepdims, correction, x_shape)


_std = general("std", _std_kernel, push=_std_push, pull=_std_pull, matlab="std",
               samples=[((4, 3), {"axis": (-2,), "keepdims": False, "correction": 1})])


@public(_std, method=True)
def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The standard deviation over axes, the square root of `var`; its derivative where it is 0 is 0.

    >>> import gradloom as gl
    >>> gl.std(gl.dlarray([1.0, 3.0]))
    dlarray float64 1.0

    Source: array API std. MATLAB's std has correction 1.
    """
    x, params, labels = _arguments(x, axis, keepdims)
    return _std.apply((x,), {**params, "correction": correction}, labels)


# ----- extremes: the first of equal ones takes the derivative -----


def _flattened(x: Any, axis: tuple[int, ...]) -> tuple[Any, int]:
    """The reduced axes as one last axis."""
    rest = [k for k in range(-x.ndim, 0) if k not in axis]
    x = permute_dims(x, (*rest, *sorted(axis)))
    shape = tuple(x.shape[:len(rest)])
    return reshape(x, (*shape, math.prod(x.shape[len(rest):]))), len(rest)


def _extreme_kernel(arg: Any) -> Any:
    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        where_ = _first_of(arg, x)
        return x.gather(-1, where_).squeeze(-1), where_

    return run


def _first_of(arg: Any, x: Tensor) -> Tensor:
    """The first position of an extreme along the last axis."""
    if x.is_meta:
        return torch.zeros((*x.shape[:-1], 1), dtype=torch.int64, device=x.device)
    best = (torch.amax if arg == "max" else torch.amin)(x, -1, keepdim=True)
    hit = (x == best) | torch.isnan(x) if x.is_floating_point() else x == best
    return hit.to(torch.uint8).argmax(-1, keepdim=True)


def _pick(x_dot: Any, place: Any) -> Any:
    return _gather.apply((x_dot,), {"place": place})


def _spread(y_bar: Any, place: Any, n: int) -> Any:
    return _scatter.apply((y_bar,), {"place": place, "size": n})


def _raw(place: Any) -> Tensor:
    return place._value if type(place) is dlarray else place


def _gather_kernel(x: Tensor, place: Tensor) -> Tensor:
    place = _raw(place)
    shape = torch.broadcast_shapes(x.shape[:-1], place.shape[:-1])
    return x.expand(*shape, x.shape[-1]).gather(-1, place.expand(*shape, 1)).squeeze(-1)


def _scatter_kernel(x: Tensor, place: Tensor, size: int) -> Tensor:
    place = _raw(place)
    return torch.zeros((*x.shape, size), dtype=x.dtype, device=x.device).scatter_(-1, place.expand(*x.shape, 1), x.unsqueeze(-1))


_PLACE = torch.tensor([[1], [0]])
_gather = multilinear("gather", _gather_kernel, transposes={"x": lambda y_bar, place, x_shape: _spread(y_bar, place, x_shape[-1])},
                      act=action.untying, samples=[((2, 3), {"place": _PLACE})])
_scatter = multilinear("scatter", _scatter_kernel, transposes={"x": lambda y_bar, place: _pick(y_bar, place)}, act=action.untying,
                       samples=[((2,), {"place": _PLACE, "size": 3})])


def _extreme(name: str, matlab: str) -> Any:
    return general(name, _extreme_kernel(name), hidden=("place",), push=lambda x_dot, place: _pick(x_dot, place),
                   pull=lambda y_bar, place, x_shape: _spread(y_bar, place, x_shape[-1]), samples=[((4, 3), {})], matlab=matlab)


_max = _extreme("max", "max")
_min = _extreme("min", "min")


def _reduced(operation: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x, params, labels = _arguments(x, axis, keepdims)
    if 0 in [x.shape[a] for a in params["axis"]]:
        raise ShapeError(f"{operation.name} of no elements: {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
    if not params["axis"]:
        return fresh(x)
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


# ----- products -----


def _others(x: Any) -> Any:
    """The product of all other elements along the last axis: forwards times backwards, so that zeros do no harm."""
    n = x.shape[-1]
    ones = reshape(x, (*x.shape, 1)) * 0 + 1
    grid = ones * reshape(x, (*x.shape[:-1], 1, n))  # grid[..., i, j] = x[..., j]
    eye = torch.eye(n, dtype=torch.bool, device=x.device)
    return _prod.apply((where(eye, 1, grid),))


_prod = general("prod", lambda x: torch.prod(x, -1), push=lambda x_dot, x: sum(x_dot * _others(x), axis=-1),
                pull=lambda y_bar, x: expand_dims(y_bar, axis=-1) * conj(_others(x)), samples=[((4, 3), {})], matlab="prod")


@public(_prod, method=True)
def prod(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The product over axes. Its derivative is the product of the other elements, right also where elements are zero.

    >>> import gradloom as gl
    >>> gl.prod(gl.dlarray([2.0, 3.0]))
    dlarray float64 6.0

    Source: array API prod, MATLAB prod.
    """
    return _reduced(_prod, x, axis, keepdims)


# ----- logsumexp -----


def _softmax_of(x: Any, y: Any, axis: Any, keepdims: Any, x_shape: Any) -> Any:
    y = _restored(y, axis, keepdims, len(x_shape))
    return exp(x - (y if y.dtype.is_complex else where(y == -math.inf, 0.0, y)))  # all of them -infinity: 0, not NaN


_logsumexp = general(
    "logsumexp", lambda x, axis, keepdims: torch.logsumexp(x, axis, keepdim=keepdims),
    push=lambda x_dot, x, y, axis, keepdims, x_shape: sum(x_dot * _softmax_of(x, y, axis, keepdims, x_shape), axis=axis, keepdims=keepdims),
    pull=lambda y_bar, x, y, axis, keepdims, x_shape:
        _restored(y_bar, axis, keepdims, len(x_shape)) * conj(_softmax_of(x, y, axis, keepdims, x_shape)),
    samples=_SAMPLES)


@public(_logsumexp)
def logsumexp(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over axes, without overflow.

    >>> import gradloom as gl
    >>> gl.logsumexp(gl.dlarray([1000.0, -1000.0]))
    dlarray float64 1000.0

    Source: SciPy logsumexp.
    """
    x, params, labels = _arguments(x, axis, keepdims)
    return _logsumexp.apply((x,), params, labels)


# ----- without derivatives -----

_all = discrete("all", lambda x, axis, keepdims: torch.all(x.bool(), axis, keepdim=keepdims) if axis else x.bool(), matlab="all")
_any = discrete("any", lambda x, axis, keepdims: torch.any(x.bool(), axis, keepdim=keepdims) if axis else x.bool(), matlab="any")


def _without_trace(x: Any) -> Any:
    return dlarray._made(x._value, None, x._labels) if type(x) is dlarray else x


def _torch_axes(operation: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x, params, labels = _arguments(_without_trace(array(x)), axis, keepdims)
    return operation.apply((x,), params, labels)


@public(_all, method=True)
def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether every element over axes is not zero.

    >>> import gradloom as gl
    >>> bool(gl.all(gl.dlarray([1.0, 0.0]) > 0))
    False
    """
    return _torch_axes(_all, x, axis, keepdims)


@public(_any, method=True)
def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether some element over axes is not zero.

    >>> import gradloom as gl
    >>> bool(gl.any(gl.dlarray([1.0, 0.0]) > 0))
    True
    """
    return _torch_axes(_any, x, axis, keepdims)


_argmax = discrete("argmax", lambda x: _first_of("max", x).squeeze(-1))
_argmin = discrete("argmin", lambda x: _first_of("min", x).squeeze(-1))


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


def _norm_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.linalg.vector_norm(x, 2, axis, keepdim=keepdims) if axis else x.abs()


def _norm_push(x_dot: Any, x: Any, y: Any, axis: Any, keepdims: Any) -> Any:
    from .arithmetic import real

    along = sum(conj(x) * x_dot, axis=axis, keepdims=keepdims)
    return (real(along) if x.dtype.is_complex else along) * _inverse(y)


def _norm_pull(y_bar: Any, x: Any, y: Any, axis: Any, keepdims: Any, x_shape: Any) -> Any:
    return x * _restored(y_bar * _inverse(y), axis, keepdims, len(x_shape))


_norm = general("norm", _norm_kernel, push=_norm_push, pull=_norm_pull, samples=_SAMPLES, matlab="vecnorm")


@public(_norm)
def norm(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The Euclidean norm over axes, sqrt(sum(abs(x)**2)); its derivative at 0 is 0.

    >>> import gradloom as gl
    >>> gl.norm(gl.dlarray([3.0, 4.0]))
    dlarray float64 5.0

    Source: MATLAB vecnorm.
    """
    x, params, labels = _arguments(x, axis, keepdims)
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        x = x.astype("float64")
    return _norm.apply((x,), params, labels)


__all__ = ["all", "any", "argmax", "argmin", "logsumexp", "max", "mean", "min", "norm", "prod", "std", "sum", "var"]
