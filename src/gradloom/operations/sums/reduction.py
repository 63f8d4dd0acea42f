"""Reductions: sums, moments, norms. `axis` is keyword-only, so that MATLAB's sum(x, 1) is an error, not a wrong
number."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...blocks import action
from ...core.array import dlarray
from ...core.declare import discrete, general, multilinear, public
from ...core.labels import reduced_axes, without
from ...machine.caches import remembered
from ...machine.dtypes import Tensor, differentiable
from ...machine.questions import usually
from ..elementwise.arithmetic import astype, conj, real, square
from ..elementwise.slopes import inverse_length
from ..movement.axes import array, broadcast_to, reshape


def as_double(x: Any) -> Any:
    """Integers and bools as float64, for reductions that divide."""
    return x if x.dtype.is_floating_point or x.dtype.is_complex else astype(x, "float64")


def arguments(x: Any, axis: Any, keepdims: bool) -> tuple[Any, dict[str, Any], str | None]:
    """The operand, the axes counted from the end, and the labels of what remains."""
    if type(x) is not dlarray:
        x = array(x)
    labels, shape = (x._labels, x._value.shape) if type(x) is dlarray else (None, tuple(x.shape))
    kind = type(axis)
    # 1.0 is 1, and no axis
    known = axis is None or kind is int or kind is str or kind is tuple and {*map(type, axis)} == _INTEGERS
    return x, *(_plan if known else _plan.__wrapped__)(axis, shape, labels, bool(keepdims))  # type: ignore[attr-defined]


_INTEGERS = {int}


@remembered(4096)
def _plan(axis: Any, shape: tuple[int, ...], labels: str | None, keepdims: bool) -> tuple[dict[str, Any], str | None]:
    """The parameters of a reduction, and the labels of what remains."""
    n = len(shape)
    axes = reduced_axes(axis, n, labels, shape)
    return {"axis": tuple([k - n for k in axes]), "keepdims": keepdims}, labels if keepdims else without(labels, axes)


def _axes_as_letters(inputs: Any, params: Any) -> Any:
    """The index term of a reduction: kept axes keep their letter, the others are summed."""
    return _letters(len(inputs[0].shape), params["axis"], params["keepdims"])


@remembered(1024)
def _letters(ndim: int, axis: tuple[int, ...], keepdims: bool) -> tuple[list[list[str]], list[str]]:
    """The same by the number of axes: to be read, not changed."""
    letters = [f"a{k}" for k in range(ndim)]
    gone = {a % ndim for a in axis}
    if keepdims:
        return [letters], [f"one{k}" if k in gone else name for k, name in enumerate(letters)]
    return [letters], [name for k, name in enumerate(letters) if k not in gone]


def _sum_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    letters, out = _axes_as_letters(inputs, params)
    sizes = dict(zip(letters[0], inputs[0].shape, strict=True))
    if params["keepdims"]:
        sizes |= {name: 1 for name in out if name.startswith("one")}
    return action.contract(inputs[0], 0, inputs, letters, out, sizes)


def restored(y_bar: Any, axis: tuple[int, ...], keepdims: bool, ndim: int) -> Any:
    """Reduced axes put back with size 1, so that a cotangent broadcasts over them; leading axes stay where they are."""
    if keepdims or not axis:
        return y_bar
    shape = list(y_bar.shape)
    lead = y_bar.ndim - (ndim - len(axis))
    for a in sorted(a % ndim for a in axis):
        shape.insert(lead + a, 1)
    return reshape(y_bar, tuple(shape))


def _sum_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    if len(axis) == x.ndim and axis and not keepdims:
        return torch.sum(x)
    return torch.sum(x, axis, keepdim=keepdims) if axis else as_sum(x)


def as_sum(x: Tensor) -> Tensor:
    """An array in the type of its sums and products: bools and integers are int64."""
    return x if differentiable(x.dtype) else x.to(torch.int64)


def _sum_transpose(y_bar: Any, axis: Any, keepdims: Any, x_shape: Any, lead: Any) -> Any:
    return broadcast_to(restored(y_bar, axis, keepdims, len(x_shape)), (*lead, *x_shape))


def _spread(y_bar: Tensor, axis: tuple[int, ...], keepdims: bool, x_shape: Any, lead: Any = ()) -> Tensor:
    """A cotangent of a reduction over the axes that were reduced: no memory is written."""
    if not keepdims and y_bar.ndim:
        for k in sorted(axis, reverse=True):
            y_bar = y_bar.unsqueeze(k)
    # sizes one by one: torch takes them in half the time of a tuple
    return y_bar.expand(*lead, *x_shape) if x_shape else y_bar


SAMPLES = [((2, 3, 4), {"axis": (-2,), "keepdims": False}), ((2, 3), {"axis": (-1, -2), "keepdims": True})]
_sum = multilinear("sum", _sum_kernel, transposes={"x": _sum_transpose},
                   fused_pull=lambda y_bar, axis, keepdims, x_shape, lead: (
                       _spread(y_bar, axis, keepdims, x_shape, lead),),
                   act=_sum_on_block, samples=SAMPLES, matlab="sum", torch=("sum",))


@public(_sum)
def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum over axes: an integer, a label letter, several, or all of them.

    Formula: y = sum over i of x[i], in x's type (bools and integers in int64) or the `dtype` asked for. The axes are
    dropped, or kept with size 1.

    >>> import gradloom as gl
    >>> gl.sum(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), axis="C")
    2(B) dlarray float64
    [4. 6.]

    Source: array API sum, MATLAB sum.
    """
    x, params, labels = arguments(x, axis, keepdims)
    return (_sum.apply((x,), params, labels) if dtype is None
            else astype(_sum.apply((astype(x, dtype),), params, labels), dtype))


def _mean_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.mean(x, axis, keepdim=keepdims) if axis else x


def _mean_transpose(y_bar: Any, axis: Any, keepdims: Any, x_shape: Any, lead: Any) -> Any:
    return _sum_transpose(y_bar * (1 / (math.prod(x_shape[a] for a in axis) or 1)), axis, keepdims, x_shape, lead)


def _mean_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    n = math.prod(inputs[0].shape[a] for a in params["axis"])
    return _sum_on_block(operation, inputs, params).times(1 / (n or math.nan))


def _mean_fused(y_bar: Tensor, axis: tuple[int, ...], keepdims: bool, x_shape: Any, lead: Any) -> Any:
    return (_spread(y_bar * (1 / (math.prod(x_shape[a] for a in axis) or 1)), axis, keepdims, x_shape, lead),)


_mean = multilinear("mean", _mean_kernel, transposes={"x": _mean_transpose}, fused_pull=_mean_fused,
                    act=_mean_on_block, samples=SAMPLES, matlab="mean", torch=("mean",))


@public(_mean)
def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over axes: an integer, a label letter, several, or all of them.

    >>> import gradloom as gl
    >>> gl.mean(gl.dlarray([1.0, 2.0, 6.0]))
    dlarray float64 3.0

    Source: array API mean, MATLAB mean.
    """
    x, params, labels = arguments(x, axis, keepdims)
    return _mean.apply((as_double(x),), params, labels)


def _var_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool, correction: float) -> Tensor:
    return _moment(torch.var, x, axis, keepdims, correction)


def _moment(kernel: Any, x: Tensor, axis: tuple[int, ...], keepdims: bool, correction: float) -> Tensor:
    if not _enough(x, axis, correction):
        return _of_nothing(x, axis, keepdims)
    if not axis:  # which torch takes for all: each element is its own mean
        return (x - x).abs()
    return kernel(x, axis, correction=correction, keepdim=keepdims)  # type: ignore[no-any-return]


def _enough(x: Tensor, axis: tuple[int, ...], correction: float) -> bool:
    """Whether there are more elements than the correction takes away."""
    return x.numel() > 0 and math.prod([x.shape[a] for a in axis]) > correction


def _of_nothing(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    """NaN: a moment of too few elements, without torch's warning."""
    y = (torch.sum(x, axis, keepdim=keepdims) if axis else x) * math.nan
    return y.real if y.is_complex() else y


def _var_push(x_dot: Any, x: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    centred = x - mean(x, axis=axis, keepdims=True)
    n = math.prod(x_shape[a] for a in axis)
    factor = 2 / (n - correction) if n > correction else math.nan
    if x.dtype.is_complex:
        return real(sum(conj(centred) * x_dot, axis=axis, keepdims=keepdims)) * factor
    return sum(x_dot * (centred * factor), axis=axis, keepdims=keepdims)


def _var_pull(y_bar: Any, x: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    n = math.prod(x_shape[a] for a in axis)
    centred = x - mean(x, axis=axis, keepdims=True)
    scale = 2 / (n - correction) if n > correction else math.nan
    return restored(y_bar, axis, keepdims, len(x_shape)) * (centred * scale)


def _var_fused(y_bar: Tensor, x: Tensor, axis: tuple[int, ...], keepdims: bool, correction: float,
               x_shape: Any) -> Tensor:
    n = math.prod(x_shape[a] for a in axis)
    if not axis or not x.numel():
        return _var_pull(y_bar, x, axis, keepdims, correction, x_shape)
    factor = 2 / (n - correction) if n > correction else math.nan
    return (x - x.mean(axis, keepdim=True)).mul_(_spread(y_bar * factor, axis, keepdims, x_shape))


_var = general("var", _var_kernel, push=_var_push, pull=_var_pull, fused_pull=_var_fused, matlab="var",
               samples=[((4, 3), {"axis": (-2,), "keepdims": False, "correction": 1}),
                        ((4, 3), {"axis": (-1, -2), "keepdims": True, "correction": 0})])


@public(_var)
def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance over axes: the mean square distance from the mean, with n - correction in the denominator.

    >>> import gradloom as gl
    >>> gl.var(gl.dlarray([1.0, 3.0]))
    dlarray float64 1.0

    Source: array API var. MATLAB's var has correction 1.
    """
    x, params, labels = arguments(x, axis, keepdims)
    return _var.apply((as_double(x),), {**params, "correction": correction}, labels)


def _std_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool, correction: float) -> Tensor:
    return _moment(torch.std, x, axis, keepdims, correction)


def _always_zero(axis: Any, x_shape: Any) -> bool:
    """Of one element each: 0 wherever x is, and so is every derivative; it is no length with a kink at 0."""
    return math.prod(x_shape[a] for a in axis) == 1


def _std_push(x_dot: Any, x: Any, y: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    v_dot = _var_push(x_dot, x, axis, keepdims, correction, x_shape)
    return v_dot if _always_zero(axis, x_shape) else v_dot * (0.5 * inverse_length(y))


def _std_pull(y_bar: Any, x: Any, y: Any, axis: Any, keepdims: Any, correction: float, x_shape: Any) -> Any:
    y_bar = y_bar if _always_zero(axis, x_shape) else y_bar * (0.5 * inverse_length(y))
    return _var_pull(y_bar, x, axis, keepdims, correction, x_shape)


def _std_fused(y_bar: Tensor, x: Tensor, y: Tensor, axis: tuple[int, ...], keepdims: bool,
               correction: float, x_shape: Any) -> Tensor:
    return _var_fused(y_bar * inverse_length(y).mul_(0.5), x, axis, keepdims, correction, x_shape)


_std = general("std", _std_kernel, push=_std_push, pull=_std_pull, fused_pull=_std_fused, matlab="std",
               squared=lambda x, axis, keepdims, correction: var(
                   x, axis=axis, keepdims=keepdims, correction=correction),
               samples=[((4, 3), {"axis": (-2,), "keepdims": False, "correction": 1})])


@public(_std)
def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The standard deviation over axes, the square root of `var`; its derivative where it is 0 is 0.

    >>> import gradloom as gl
    >>> gl.std(gl.dlarray([1.0, 3.0]))
    dlarray float64 1.0

    Source: array API std. MATLAB's std has correction 1.
    """
    x, params, labels = arguments(x, axis, keepdims)
    return _std.apply((as_double(x),), {**params, "correction": correction}, labels)


# ----- without derivatives -----

_all = discrete("all", lambda x, axis, keepdims: torch.all(x.bool(), axis, keepdim=keepdims) if axis else x.bool(),
                matlab="all", torch=("all",))
_any = discrete("any", lambda x, axis, keepdims: torch.any(x.bool(), axis, keepdim=keepdims) if axis else x.bool(),
                matlab="any", torch=("any",))


def without_trace(x: Any) -> Any:
    return dlarray._made(x._value, None, x._labels) if type(x) is dlarray else x


def torch_axes(operation: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    x, params, labels = arguments(without_trace(array(x)), axis, keepdims)
    return operation.apply((x,), params, labels)


@public(_all)
def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether every element over axes is not zero.

    >>> import gradloom as gl
    >>> bool(gl.all(gl.dlarray([1.0, 0.0]) > 0))
    False
    """
    return torch_axes(_all, x, axis, keepdims)


@public(_any)
def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether some element over axes is not zero.

    >>> import gradloom as gl
    >>> bool(gl.any(gl.dlarray([1.0, 0.0]) > 0))
    True
    """
    return torch_axes(_any, x, axis, keepdims)


# elements, up to which one pass for both extremes is quicker than two: for many it takes three times as long as they
FEW = 4096


@remembered(128)
def _exact(dtype: torch.dtype) -> tuple[float, float]:
    """Between what lengths no square has underflowed or overflowed."""
    limits = torch.finfo(dtype)
    return (limits.tiny / limits.eps) ** 0.5, limits.max


def _norm_kernel(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    if not axis:
        return x.abs()
    y = torch.linalg.vector_norm(x, 2, axis, keepdim=keepdims)
    if y.device.type != "cpu" or not y.numel() or not x.numel():
        return y
    low, high = _exact(y.dtype)
    smallest, largest = torch.aminmax(y) if y.numel() < FEW else (y.amin(), y.amax())
    if usually(lambda: smallest.item() > low and largest.item() <= high,  # not a NaN
               lambda: (smallest > low) & (largest <= high)):
        return y
    # squares overflow, or underflow: relative to the largest entry they do not
    largest = x.abs().amax(axis, keepdim=True)
    unit = torch.where((largest > 0) & (largest <= high), largest, 1)
    rescaled = torch.linalg.vector_norm(x / unit, 2, axis, keepdim=True) * unit
    return rescaled if keepdims else rescaled.reshape(y.shape)


def _norm_push(x_dot: Any, x: Any, y: Any, axis: Any, keepdims: Any) -> Any:
    along = sum(conj(x) * x_dot, axis=axis, keepdims=keepdims)
    return (real(along) if x.dtype.is_complex else along) * inverse_length(y)


def _norm_pull(y_bar: Any, x: Any, y: Any, axis: Any, keepdims: Any, x_shape: Any) -> Any:
    return x * restored(y_bar * inverse_length(y), axis, keepdims, len(x_shape))


def _norm_fused(y_bar: Tensor, x: Tensor, y: Tensor, axis: Any, keepdims: Any, x_shape: Any) -> Tensor:
    return x * _spread(y_bar * inverse_length(y), axis, keepdims, x_shape)


def _norm_squared(x: Any, axis: Any, keepdims: Any) -> Any:
    return sum(real(conj(x) * x) if x.dtype.is_complex else square(x), axis=axis, keepdims=keepdims)


_norm = general("norm", _norm_kernel, push=_norm_push, pull=_norm_pull, fused_pull=_norm_fused,
                squared=_norm_squared, samples=SAMPLES, matlab="vecnorm")


@public(_norm)
def norm(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The Euclidean norm over axes, sqrt(sum(abs(x)**2)); its derivative at 0 is 0.

    >>> import gradloom as gl
    >>> gl.norm(gl.dlarray([3.0, 4.0]))
    dlarray float64 5.0

    Source: MATLAB vecnorm.
    """
    x, params, labels = arguments(x, axis, keepdims)
    return _norm.apply((as_double(x),), params, labels)


__all__ = ["all", "any", "mean", "norm", "std", "sum", "var"]
