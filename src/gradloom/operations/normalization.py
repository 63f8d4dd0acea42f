"""Normalization: batchnorm, layernorm, groupnorm, instancenorm. One formula: (x - mean) / sqrt(variance + epsilon), scaled and shifted by channel.

Inside, offset and scale are vectors over the channels, and axes are counted from the end. The derivative of the standardized
values with respect to x is symmetric, so that push and pull share `_through`.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..core.array import dlarray, labels_of
from ..core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described, positions
from ..core.operation import NO_PARAMS, General, Operation, composite, general, public
from ..core.trace import Node, live
from ..kernels import NUMBER_TYPES, Tensor
from .arithmetic import square
from .contraction import layout_of, promoted_arrays
from .creation import full
from .elementwise import rsqrt
from .movement import array, reshape
from .reduction import mean, sum
from .softmax import floating

aten = torch.ops.aten
Axes = tuple[int, ...]


# ----- what all rules share -----


def _over(vector: Any, axis: int, ndim: int) -> Any:
    """A vector over the channels, leading axes before it, as it broadcasts over an array of `ndim` axes."""
    return reshape(vector, (*vector.shape[:-1], *(1,) * (ndim + axis), vector.shape[-1], *(1,) * (-axis - 1)))


def _others(ndim: int, axis: int) -> Axes:
    return tuple(k for k in range(-ndim, 0) if k != axis)


def _standardized(x: Any, axes: Axes, epsilon: float, saved: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """(x - mean) / deviation and 1 / deviation; in a raw walk from what the kernel saved."""
    if saved is not None:
        return (x - saved[0]) * saved[1], saved[1]
    centred = x - mean(x, axis=axes, keepdims=True)
    inverse = rsqrt(mean(square(centred), axis=axes, keepdims=True) + epsilon)
    return centred * inverse, inverse


def _through(g: Any, z: Any, inverse: Any, axes: Axes) -> Any:
    """The derivative of the standardized values z, which is symmetric, times a tangent or cotangent g."""
    return (g - mean(g, axis=axes, keepdims=True) - mean(g * z, axis=axes, keepdims=True) * z) * inverse


def _affine_push(z_dot: Any, offset_dot: Any, scale_dot: Any, z: Any, scale: Any, axis: int, ndim: int) -> Any:
    """The tangent of scale * z + offset."""
    y_dot = None if z_dot is None else z_dot * _over(scale, axis, ndim)
    if scale_dot is not None:
        part = _over(scale_dot, axis, ndim) * z
        y_dot = part if y_dot is None else y_dot + part
    if offset_dot is not None:
        part = _over(offset_dot, axis, ndim)
        y_dot = part if y_dot is None else y_dot + part
    return y_dot


def _affine_pull(y_bar: Any, z: Any, axis: int, ndim: int, wanted: Sequence[bool]) -> tuple[Any, Any]:
    """Cotangents of offset and scale."""
    others = _others(ndim, axis)
    return (sum(y_bar, axis=others) if wanted[1] else None), (sum(y_bar * z, axis=others) if wanted[2] else None)


# ----- batchnorm, training: statistics of the batch -----


def _channels_second(x: Tensor, axis: int) -> Tensor:
    return (x if x.ndim > 1 else x.unsqueeze(0)).movedim(axis, 1)


def _channels_back(y: Tensor, x: Tensor, axis: int) -> Tensor:
    y = y.movedim(1, axis)
    return y if x.ndim > 1 else y.squeeze(0)


def _batchnorm_kernel(x: Tensor, offset: Tensor, scale: Tensor, axis: int, epsilon: float) -> tuple[Tensor, ...]:
    moved = _channels_second(x, axis)
    count = x.numel() // max(x.shape[axis], 1)
    statistics = scale.new_zeros((2, scale.shape[0]))
    y, saved_mean, inverse = torch.native_batch_norm(moved, scale, offset, statistics[0], statistics[1], True, 1.0, epsilon)
    variance = statistics[1] * ((count - 1) / count) if count > 1 else torch.zeros_like(statistics[1])
    return _channels_back(y, x, axis), statistics[0], variance, saved_mean, inverse


def _saved(x: Any, saved_mean: Any, inverse: Any, axis: int) -> tuple[Any, Any] | None:
    """What the kernel saved, where the walk is not itself recorded."""
    return (_over(saved_mean, axis, x.ndim), _over(inverse, axis, x.ndim)) if type(x) is Tensor else None


def _batchnorm_push(x_dot: Any, offset_dot: Any, scale_dot: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any, axis: int, epsilon: float) -> Any:
    axes = _others(x.ndim, axis)
    z, inverse = _standardized(x, axes, epsilon, _saved(x, saved_mean, inverse, axis))
    z_dot = None if x_dot is None else _through(x_dot, z, inverse, axes)
    return _affine_push(z_dot, offset_dot, scale_dot, z, scale, axis, x.ndim)


def _batchnorm_pull(y_bar: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any, axis: int, epsilon: float, wanted: Any) -> Any:
    axes = _others(x.ndim, axis)
    z, inverse = _standardized(x, axes, epsilon, _saved(x, saved_mean, inverse, axis))
    x_bar = _through(y_bar * _over(scale, axis, x.ndim), z, inverse, axes) if wanted[0] else None
    return x_bar, *_affine_pull(y_bar, z, axis, x.ndim, wanted)


def _batchnorm_fused(y_bar: Tensor, x: Tensor, scale: Tensor, saved_mean: Tensor, inverse: Tensor, axis: int, epsilon: float, wanted: Any) -> Any:
    moved = _channels_second(x, axis)
    y_bar = _channels_second(y_bar, axis)
    x_bar, scale_bar, offset_bar = aten.native_batch_norm_backward(y_bar, moved, scale, None, None, saved_mean, inverse, True, epsilon,
                                                                   (wanted[0], wanted[2], wanted[1]))
    return _channels_back(x_bar, x, axis) if wanted[0] else None, offset_bar if wanted[1] else None, scale_bar if wanted[2] else None


class _BatchNorm(General):
    """Its second and third output, the batch's mean and variance, carry no derivative."""

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        return super().pull(v, params, node, y_bar[0], lead, wanted)

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        return super().push(v, params, node, dots, lead), None, None


_batchnorm = _BatchNorm("batchnorm", _batchnorm_kernel, ("x", "offset", "scale"), push=_batchnorm_push, pull=_batchnorm_pull,
                        fused_pull=_batchnorm_fused, hidden=("saved_mean", "inverse"), outputs=3, matlab="batchnorm",
                        samples=[((2, 3, 4), (3,), (3,), {"axis": -2, "epsilon": 1e-5}), ((4, 3), (3,), (3,), {"axis": -1, "epsilon": 0.1}),
                                 ((3, 2, 4), (3,), (3,), {"axis": -3, "epsilon": 0.1})])

_STATISTICS = Operation("batch statistics", lambda x: x, ("x",))
_STATISTICS.barrier = True
_STATISTICS.recomputable = False


def _statistic(value: Tensor, x: Any) -> dlarray:
    """Mean or variance of the batch: to differentiate through it is an error."""
    node = live(x._node)
    if node is None:
        return dlarray._made(value, None)
    option = "mean(x, axis=...) and var(x, axis=...) for statistics with a derivative"
    return dlarray._made(value, Node(_STATISTICS, node.trace, (node,), [None, None], {"option": option}, value, user_site()))


# ----- batchnorm, prediction: given statistics -----


def _given_kernel(x: Tensor, offset: Tensor, scale: Tensor, mean: Tensor, variance: Tensor, axis: int, epsilon: float) -> Tensor:
    y = torch.native_batch_norm(_channels_second(x, axis), scale, offset, mean, variance, False, 0.0, epsilon)[0]
    return _channels_back(y, x, axis)


def _given(mean: Any, variance: Any, scale: Any, epsilon: float) -> tuple[Any, Any]:
    """1 / deviation and scale / deviation of each channel."""
    inverse = rsqrt(variance + epsilon)
    return inverse, scale * inverse


def _given_push(x_dot: Any, offset_dot: Any, scale_dot: Any, mean_dot: Any, variance_dot: Any, x: Any, scale: Any, mean: Any, variance: Any,
                axis: int, epsilon: float) -> Any:
    n = x.ndim
    inverse, slope = _given(mean, variance, scale, epsilon)
    parts = []
    if x_dot is not None:
        parts.append(x_dot * _over(slope, axis, n))
    if scale_dot is not None or variance_dot is not None:
        z = (x - _over(mean, axis, n)) * _over(inverse, axis, n)
        if scale_dot is not None:
            parts.append(_over(scale_dot, axis, n) * z)
        if variance_dot is not None:
            parts.append(_over(variance_dot * (slope * inverse * -0.5), axis, n) * z)
    if offset_dot is not None:
        parts.append(_over(offset_dot, axis, n))
    if mean_dot is not None:
        parts.append(_over(mean_dot * -slope, axis, n))
    y_dot = parts[0]
    for part in parts[1:]:
        y_dot = y_dot + part
    return y_dot


def _given_pull(y_bar: Any, x: Any, scale: Any, mean: Any, variance: Any, axis: int, epsilon: float, wanted: Any) -> Any:
    n = x.ndim
    inverse, slope = _given(mean, variance, scale, epsilon)
    axes = _others(n, axis)
    total = sum(y_bar, axis=axes) if wanted[1] or wanted[3] else None
    weighted = None
    if wanted[2] or wanted[4]:
        weighted = sum(y_bar * ((x - _over(mean, axis, n)) * _over(inverse, axis, n)), axis=axes)
    return (y_bar * _over(slope, axis, n) if wanted[0] else None, total if wanted[1] else None, weighted if wanted[2] else None,
            total * -slope if wanted[3] else None, weighted * (slope * inverse * -0.5) if wanted[4] else None)


_batchnorm_given = general(
    "batchnorm_given", _given_kernel, ("x", "offset", "scale", "mean", "variance"), push=_given_push, pull=_given_pull, domain=(0.5, 2),
    samples=[((2, 3, 4), (3,), (3,), (3,), (3,), {"axis": -2, "epsilon": 1e-5}), ((4, 3), (3,), (3,), (3,), (3,), {"axis": -1, "epsilon": 0.1})])


@public(_batchnorm)
def batchnorm(x: Any, offset: Any, scale: Any, mean: Any = None, variance: Any = None, /, *, epsilon: float = 1e-5, training: bool | None = None,
              data_format: str | None = None) -> Any:
    """Each channel with mean 0 and variance 1, then scaled and shifted: with the batch's statistics, or with given ones.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset, for each channel; the batch's statistics are over S, B, T and U,
    the variance with n in its denominator. x: any layout with C; offset, scale, mean, variance: one number for each channel.

    `batchnorm(x, offset, scale)` is training: (y, mean, variance) with the batch's statistics, vectors for updating running ones, which
    carry no derivative. `batchnorm(x, offset, scale, mean, variance)` is prediction: y alone. `training=True` with statistics given is
    training all the same. Raises LabelError without C, ShapeError where a parameter has not one number for each channel, TraceError for
    a derivative through the returned statistics.

    >>> import gradloom as gl
    >>> y, mean, variance = gl.batchnorm(gl.dlarray([[1.0, 3.0]], "CB"), [0.0], [1.0], epsilon=0.0)
    >>> y
    1(C) x 2(B) dlarray float64
    [[-1.  1.]]
    >>> mean, variance
    (1 dlarray float64
    [2.], 1 dlarray float64
    [1.])
    >>> gl.batchnorm(gl.dlarray([[5.0]], "CB"), [0.0], [1.0], mean, variance, epsilon=0.0)
    1(C) x 1(B) dlarray float64
    [[3.]]

    Source: Ioffe and Szegedy 2015; MATLAB batchnorm, where the number of outputs selects the mode.
    """
    x, axis = _real(x, data_format, "batchnorm")
    if (mean is None) != (variance is None):
        raise ShapeError(f"batchnorm takes mean and variance together, at {line_of(user_site())}; write batchnorm(x, offset, scale, mean, variance)")
    training = mean is None if training is None else training
    if not training and mean is None:
        raise ShapeError(f"batchnorm(training=False) needs statistics, at {line_of(user_site())}; write batchnorm(x, offset, scale, mean, variance)")
    inputs = _with_parameters(x, axis, "batchnorm", offset=offset, scale=scale, **({} if training else {"mean": mean, "variance": variance}))
    params = {"axis": axis, "epsilon": float(epsilon)}
    labels = labels_of(x)
    if not training:
        return _batchnorm_given.apply(inputs, params, labels)
    y, batch_mean, batch_variance = _batchnorm.apply(inputs, params, (labels, None, None))
    if type(y) is not dlarray:
        return y, batch_mean, batch_variance
    return y, _statistic(batch_mean._value, inputs[0]), _statistic(batch_variance._value, inputs[0])


def _real(x: Any, data_format: str | None, word: str) -> tuple[Any, int]:
    """x as real floating numbers, and its channel axis."""
    x = floating(x)
    if x.dtype.is_complex:
        raise TypeRefused(f"{word} takes real numbers, x is {str(x.dtype)[6:]}, at {line_of(user_site())}; write {word}(real(x), ...)")
    labels = layout_of(x, data_format, word)
    if "C" not in labels:
        raise LabelError(f"{word} needs an axis C, x is {described(x.shape, labels)}, at {line_of(user_site())}; label it, or write data_format=")
    return x, labels.index("C") - x.ndim


def _with_parameters(x: Any, axis: int, word: str, **parameters: Any) -> list[Any]:
    """x and its parameters, each a vector over the channels, in one type."""
    channels = x.shape[axis]
    made = []
    for name, p in parameters.items():
        if type(p) in NUMBER_TYPES:
            p = full((channels,), p, like=x)
        p = array(p)
        if math.prod(p.shape) != channels or labels_of(p) is not None and p.shape[positions(labels_of(p), "C")[0] if "C" in p.dims else -1] != channels:
            raise ShapeError(f"{word}: {name} {described(p.shape, labels_of(p))} for x {described(x.shape, labels_of(x))}, at {line_of(user_site())}; "
                             f"it has one number for each of the {channels} channels")
        made.append(reshape(dlarray._made(p._value, p._node, None) if type(p) is dlarray else p, (channels,)))
    return promoted_arrays(dlarray._made(x._value, x._node, None) if type(x) is dlarray else x, *made)


# ----- layernorm over the channels of each place -----


def _layernorm_kernel(x: Tensor, offset: Tensor, scale: Tensor, axis: int, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    y, saved_mean, inverse = torch.native_layer_norm(x.movedim(axis, -1), (x.shape[axis],), scale, offset, epsilon)
    return y.movedim(-1, axis), saved_mean.movedim(-1, axis), inverse.movedim(-1, axis)


def _layernorm_push(x_dot: Any, offset_dot: Any, scale_dot: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any, axis: int, epsilon: float) -> Any:
    z, inverse = _standardized(x, (axis,), epsilon, (saved_mean, inverse) if type(x) is Tensor else None)
    z_dot = None if x_dot is None else _through(x_dot, z, inverse, (axis,))
    return _affine_push(z_dot, offset_dot, scale_dot, z, scale, axis, x.ndim)


def _layernorm_pull(y_bar: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any, axis: int, epsilon: float, wanted: Any) -> Any:
    z, inverse = _standardized(x, (axis,), epsilon, (saved_mean, inverse) if type(x) is Tensor else None)
    x_bar = _through(y_bar * _over(scale, axis, x.ndim), z, inverse, (axis,)) if wanted[0] else None
    return x_bar, *_affine_pull(y_bar, z, axis, x.ndim, wanted)


def _layernorm_fused(y_bar: Tensor, x: Tensor, offset: Tensor, scale: Tensor, saved_mean: Tensor, inverse: Tensor, axis: int, wanted: Any) -> Any:
    x_bar, scale_bar, offset_bar = aten.native_layer_norm_backward(
        y_bar.movedim(axis, -1), x.movedim(axis, -1), (x.shape[axis],), saved_mean.movedim(axis, -1), inverse.movedim(axis, -1), scale, offset,
        (wanted[0], wanted[2], wanted[1]))
    return x_bar.movedim(-1, axis) if wanted[0] else None, offset_bar if wanted[1] else None, scale_bar if wanted[2] else None


_layernorm = general("layernorm", _layernorm_kernel, ("x", "offset", "scale"), hidden=("saved_mean", "inverse"), push=_layernorm_push,
                     pull=_layernorm_pull, fused_pull=_layernorm_fused, matlab="layernorm",
                     samples=[((2, 4, 3), (3,), (3,), {"axis": -1, "epsilon": 0.1}), ((4, 3), (4,), (4,), {"axis": -2, "epsilon": 0.1})])


@public(_layernorm)
def layernorm(x: Any, offset: Any, scale: Any, /, *, epsilon: float = 1e-5, operation_dimension: str = "auto", data_format: str | None = None) -> Any:
    """Each observation with mean 0 and variance 1, then scaled and shifted channel by channel.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset, the variance with n in its denominator. The statistics are over C
    ("channel-only"), over C and S ("spatial-channel"), or over all but B ("batch-excluded"); "auto" is the second where x has S, else
    the first. x: any layout with C; offset, scale: one number for each channel; y: as x.
    Raises LabelError without C, ShapeError where a parameter has not one number for each channel.

    >>> import gradloom as gl
    >>> gl.layernorm(gl.dlarray([[1.0, 2.0], [3.0, 6.0]], "CB"), [0.0, 0.0], [1.0, 1.0], epsilon=0.0)
    2(C) x 2(B) dlarray float64
    [[-1. -1.]
     [ 1.  1.]]

    Source: Ba, Kiros, Hinton 2016; MATLAB layernorm.
    """
    x, axis = _real(x, data_format, "layernorm")
    labels = layout_of(x, data_format, "layernorm")
    spatial = {"auto": "S", "channel-only": "", "spatial-channel": "S", "batch-excluded": "STU"}.get(operation_dimension)
    if spatial is None:
        raise ShapeError(f"operation_dimension is \"auto\", \"channel-only\", \"spatial-channel\" or \"batch-excluded\", not {operation_dimension!r}, "
                         f"at {line_of(user_site())}")
    inputs = _with_parameters(x, axis, "layernorm", offset=offset, scale=scale)
    rest = tuple(k - x.ndim for k, letter in enumerate(labels) if letter in spatial)
    if rest:
        return _groupnorm.apply(inputs, {"axis": axis, "rest": rest, "groups": 1, "epsilon": float(epsilon)}, labels_of(x))
    return _layernorm.apply(inputs, {"axis": axis, "epsilon": float(epsilon)}, labels_of(x))


# ----- groupnorm: channels in groups, with the axes `rest` -----


def _grouped(x: Tensor, axis: int, rest: Axes) -> Tensor:
    """(batches, C, rest) in memory order, or channels_last."""
    n = x.ndim
    batches = [k for k in range(-n, 0) if k != axis and k not in rest]
    moved = x.permute([k + n for k in (*batches, axis, *rest)])
    if len(batches) != 1:
        moved = moved.reshape(math.prod(x.shape[k] for k in batches), *moved.shape[len(batches):])
    return moved if moved.ndim == 4 and moved.is_contiguous(memory_format=torch.channels_last) else moved.contiguous()


def _ungrouped(y: Tensor, x: Tensor, axis: int, rest: Axes) -> Tensor:
    n = x.ndim
    order = [k + n for k in (*(k for k in range(-n, 0) if k != axis and k not in rest), axis, *rest)]
    return y.reshape([x.shape[k] for k in order]).permute([order.index(k) for k in range(n)])


def _groupnorm_kernel(x: Tensor, offset: Tensor, scale: Tensor, axis: int, rest: Axes, groups: int, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    moved = _grouped(x, axis, rest)
    n, c = moved.shape[:2]
    y, saved_mean, inverse = torch.native_group_norm(moved, scale, offset, n, c, math.prod(moved.shape[2:]), groups, epsilon)
    return _ungrouped(y, x, axis, rest), saved_mean, inverse


def _split(x: Any, axis: int, groups: int) -> Any:
    """The channel axis as two, groups and their channels."""
    k = x.ndim + axis
    return reshape(x, (*x.shape[:k], groups, x.shape[k] // groups, *x.shape[k + 1:]))


def _together(x: Any, like: Any, ndim: int) -> Any:
    """The inverse of `_split`, leading axes kept."""
    return reshape(x, (*x.shape[:x.ndim - ndim - 1], *like))


def _group_axes(axis: int, rest: Axes) -> Axes:
    """The axes of the statistics once the channel axis is two."""
    return (axis, *(k if k > axis else k - 1 for k in rest))


def _groupnorm_parts(x: Any, axis: int, rest: Axes, groups: int, epsilon: float) -> Any:
    """Standardized values in groups, 1 / deviation, and the axes of the statistics."""
    axes = _group_axes(axis, rest)
    z, inverse = _standardized(_split(x, axis, groups), axes, epsilon)
    return z, inverse, axes


def _groupnorm_push(x_dot: Any, offset_dot: Any, scale_dot: Any, x: Any, scale: Any, axis: int, rest: Axes, groups: int, epsilon: float) -> Any:
    z, inverse, axes = _groupnorm_parts(x, axis, rest, groups, epsilon)
    z_dot = None if x_dot is None else _together(_through(_split(x_dot, axis, groups), z, inverse, axes), x.shape, x.ndim)
    return _affine_push(z_dot, offset_dot, scale_dot, _together(z, x.shape, x.ndim), scale, axis, x.ndim)


def _groupnorm_pull(y_bar: Any, x: Any, scale: Any, axis: int, rest: Axes, groups: int, epsilon: float, wanted: Any) -> Any:
    z, inverse, axes = _groupnorm_parts(x, axis, rest, groups, epsilon)
    x_bar = None
    if wanted[0]:
        x_bar = _together(_through(_split(y_bar * _over(scale, axis, x.ndim), axis, groups), z, inverse, axes), x.shape, x.ndim)
    return x_bar, *_affine_pull(y_bar, _together(z, x.shape, x.ndim), axis, x.ndim, wanted)


def _groupnorm_fused(y_bar: Tensor, x: Tensor, scale: Tensor, saved_mean: Tensor, inverse: Tensor, axis: int, rest: Axes, groups: int, wanted: Any) -> Any:
    moved = _grouped(x, axis, rest)
    bar = _grouped(y_bar, axis, rest)
    if moved.stride() != bar.stride():
        moved, bar = moved.contiguous(), bar.contiguous()
    n, c = moved.shape[:2]
    x_bar, scale_bar, offset_bar = aten.native_group_norm_backward(bar, moved, saved_mean, inverse, scale, n, c, math.prod(moved.shape[2:]), groups,
                                                                   (wanted[0], wanted[2], wanted[1]))
    return _ungrouped(x_bar, x, axis, rest) if wanted[0] else None, offset_bar if wanted[1] else None, scale_bar if wanted[2] else None


_groupnorm = general("groupnorm", _groupnorm_kernel, ("x", "offset", "scale"), hidden=("saved_mean", "inverse"), push=_groupnorm_push,
                     pull=_groupnorm_pull, fused_pull=_groupnorm_fused, matlab="groupnorm",
                     samples=[((2, 4, 3), (4,), (4,), {"axis": -2, "rest": (-1,), "groups": 2, "epsilon": 0.1}),
                              ((3, 2, 4), (4,), (4,), {"axis": -1, "rest": (-3,), "groups": 1, "epsilon": 0.1})])


@public(_groupnorm)
def groupnorm(x: Any, num_groups: Any, offset: Any, scale: Any, /, *, epsilon: float = 1e-5, data_format: str | None = None) -> Any:
    """Each group of channels of each observation with mean 0 and variance 1, then scaled and shifted channel by channel.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset; the statistics are over S, T, U and the channels of a group, for
    each observation. num_groups divides the channels; "all-channels" is one group, "channel-wise" one for each channel.
    x: any layout with C; offset, scale: one number for each channel; y: as x.
    Raises LabelError without C, ShapeError where the groups or the parameters do not fit the channels.

    >>> import gradloom as gl
    >>> gl.groupnorm(gl.dlarray([[1.0], [3.0], [5.0], [9.0]], "CB"), 2, gl.zeros(4), gl.ones(4), epsilon=0.0)
    4(C) x 1(B) dlarray float64
    [[-1.]
     [ 1.]
     [-1.]
     [ 1.]]

    Source: Wu and He 2018; MATLAB groupnorm.
    """
    return _normalized_groups(x, num_groups, offset, scale, epsilon, data_format, "groupnorm")


@composite
def instancenorm(x: Any, offset: Any, scale: Any, /, *, epsilon: float = 1e-5, data_format: str | None = None) -> Any:
    """Each channel of each observation with mean 0 and variance 1, then scaled and shifted: `groupnorm` with one group for each channel.

    >>> import gradloom as gl
    >>> gl.instancenorm(gl.dlarray([[1.0, 3.0], [5.0, 9.0]], "CS"), [0.0, 0.0], [1.0, 1.0], epsilon=0.0)
    2(C) x 2(S) dlarray float64
    [[-1.  1.]
     [-1.  1.]]

    Source: Ulyanov, Vedaldi, Lempitsky 2016; MATLAB instancenorm.
    """
    return _normalized_groups(x, "channel-wise", offset, scale, epsilon, data_format, "instancenorm")


def _normalized_groups(x: Any, num_groups: Any, offset: Any, scale: Any, epsilon: float, data_format: str | None, word: str) -> Any:
    x, axis = _real(x, data_format, word)
    channels = x.shape[axis]
    groups = {"all-channels": 1, "channel-wise": channels}.get(num_groups, num_groups) if isinstance(num_groups, str) else num_groups
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise ShapeError(f"{word}: num_groups divides the {channels} channels, or is \"all-channels\" or \"channel-wise\", not {num_groups!r}, "
                         f"at {line_of(user_site())}")
    labels = layout_of(x, data_format, word)
    rest = tuple(k - x.ndim for k, letter in enumerate(labels) if letter in "STU")
    inputs = _with_parameters(x, axis, word, offset=offset, scale=scale)
    return _groupnorm.apply(inputs, {"axis": axis, "rest": rest, "groups": groups, "epsilon": float(epsilon)}, labels_of(x))


__all__ = ["batchnorm", "groupnorm", "instancenorm", "layernorm"]
