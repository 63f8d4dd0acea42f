"""Normalization of each observation by itself: layernorm, groupnorm, instancenorm; batchnorm has its own file."""
from __future__ import annotations

import math
from typing import Any

import torch

from ....core.array import labels_of
from ....core.declare import composite, general, public
from ....core.errors import ShapeError, line_of, user_site
from ....machine.caches import remembered
from ....machine.dtypes import Tensor
from ....machine.layouts import settled
from ...movement.axes import reshape
from .batchnorm import batchnorm
from .standardizing import (
    Axes,
    affine_pull,
    affine_push,
    far,
    first_entries,
    over_channels,
    real_and_axis,
    standardized,
    through,
    with_parameters,
)

aten = torch.ops.aten

# ----- layernorm over the channels of each place -----


def _layernorm_kernel(x: Tensor, offset: Tensor, scale: Tensor, axis: int,
                      epsilon: float) -> tuple[Tensor, Tensor | None, Tensor]:
    moved = x if axis == -1 else x.movedim(axis, -1)
    y, saved_mean, inverse = torch.native_layer_norm(moved, moved.shape[-1:], scale, offset, epsilon)
    if far(x, saved_mean, inverse):
        first = first_entries(moved, (-1,))
        y, saved_mean, inverse = torch.native_layer_norm(moved - first, moved.shape[-1:], scale, offset, epsilon)
        saved_mean = None  # type: ignore[assignment]
    if axis == -1:
        return y, saved_mean, inverse
    return y.movedim(-1, axis), None if saved_mean is None else saved_mean.movedim(-1, axis), inverse.movedim(-1, axis)


def _saved(x: Any, saved_mean: Any, inverse: Any) -> tuple[Any, Any] | None:
    """What the kernel saved, where the walk is not itself recorded and that has digits enough."""
    return None if type(x) is not Tensor or saved_mean is None else (saved_mean, inverse)


def _layernorm_push(x_dot: Any, offset_dot: Any, scale_dot: Any, x: Any, scale: Any, saved_mean: Any,
                    inverse: Any, axis: int,
                    epsilon: float) -> Any:
    z, inverse = standardized(x, (axis,), epsilon, _saved(x, saved_mean, inverse))
    z_dot = None if x_dot is None else through(x_dot, z, inverse, (axis,))
    return affine_push(z_dot, offset_dot, scale_dot, z, scale, axis, x.ndim)


def _layernorm_pull(y_bar: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any, axis: int,
                    epsilon: float, wanted: Any) -> Any:
    z, inverse = standardized(x, (axis,), epsilon, _saved(x, saved_mean, inverse))
    x_bar = through(y_bar * over_channels(scale, axis, x.ndim), z, inverse, (axis,)) if wanted[0] else None
    return x_bar, *affine_pull(y_bar, z, axis, x.ndim, wanted)


def _layernorm_fused(y_bar: Tensor, x: Tensor, offset: Tensor, scale: Tensor, saved_mean: Tensor,
                     inverse: Tensor, axis: int,
                     epsilon: float, wanted: Any, lead: Any) -> Any:
    if saved_mean is None:
        return _layernorm_pull(y_bar, x, scale, saved_mean, inverse, axis, epsilon, wanted)
    if lead:
        z = (x - saved_mean).mul_(inverse)
        x_bar = None
        if wanted[0]:
            g = y_bar * over_channels(scale, axis, x.ndim)
            along = torch.mean(g * z, axis, keepdim=True)
            x_bar = (g - torch.mean(g, axis, keepdim=True)).addcmul_(along, z, value=-1).mul_(inverse)
        return x_bar, *affine_pull(y_bar, z, axis, x.ndim, wanted)
    if axis != -1:
        y_bar, x, saved_mean, inverse = (a.movedim(axis, -1) for a in (y_bar, x, saved_mean, inverse))
    x_bar, scale_bar, offset_bar = aten.native_layer_norm_backward(
        y_bar, x, x.shape[-1:], saved_mean, inverse, scale, offset, (wanted[0], wanted[2], wanted[1]))
    if axis != -1 and wanted[0]:
        x_bar = x_bar.movedim(-1, axis)
    return x_bar if wanted[0] else None, offset_bar if wanted[1] else None, scale_bar if wanted[2] else None


_layernorm = general("layernorm", _layernorm_kernel, ("x", "offset", "scale"), hidden=("saved_mean", "inverse"),
                     push=_layernorm_push,
                     pull=_layernorm_pull, fused_pull=_layernorm_fused, matlab="layernorm",
                     samples=[((2, 4, 3), (3,), (3,), {"axis": -1, "epsilon": 0.1}),
                              ((4, 3), (4,), (4,), {"axis": -2, "epsilon": 0.1})],
                     real_only="normalizations take real numbers")


@public(_layernorm)
def layernorm(x: Any, offset: Any, scale: Any, /, *, epsilon: float = 1e-5, operation_dimension: str = "auto",
              data_format: str | None = None) -> Any:
    """Each observation with mean 0 and variance 1, then scaled and shifted channel by channel.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset, the variance with n in its denominator. The
    statistics are over C ("channel-only"), over C and S ("spatial-channel"), or over all but B ("batch-excluded");
    "auto" is the second where x has S, else the first. x: any layout with C; offset, scale: one number for each
    channel; y: as x.
    Raises LabelError without C, ShapeError where a parameter has not one number for each channel.

    >>> import gradloom as gl
    >>> gl.layernorm(gl.dlarray([[1.0, 2.0], [3.0, 6.0]], "CB"), [0.0, 0.0], [1.0, 1.0], epsilon=0.0)
    2(C) x 2(B) dlarray float64
    [[-1. -1.]
     [ 1.  1.]]

    Source: Ba, Kiros, Hinton 2016; MATLAB layernorm.
    """
    x, axis, labels = real_and_axis(x, data_format, "layernorm")
    spatial = {"auto": "S", "channel-only": "", "spatial-channel": "S",
               "batch-excluded": "STU"}.get(operation_dimension)
    if spatial is None:
        raise ShapeError(
            "operation_dimension is \"auto\", \"channel-only\", \"spatial-channel\" or \"batch-excluded\", not "
            f"{operation_dimension!r}, at {line_of(user_site())}")
    inputs = with_parameters(x, axis, "layernorm", offset=offset, scale=scale)
    rest = tuple(k - x.ndim for k, letter in enumerate(labels) if letter in spatial)
    if rest:
        return _groupnorm.apply(inputs, {"axis": axis, "rest": rest, "groups": 1, "epsilon": float(epsilon)},
                                labels_of(x))
    return _layernorm.apply(inputs, {"axis": axis, "epsilon": float(epsilon)}, labels_of(x))


# ----- groupnorm: channels in groups, with the axes `rest` -----


def _grouped(x: Tensor, axis: int, rest: Axes) -> Tensor:
    """(batches, C, rest) in memory order, or channels_last."""
    order, _, batches = _order(x.ndim, axis, rest)
    moved = x if order is None else x.permute(order)
    if batches != 1:
        moved = moved.reshape(math.prod(moved.shape[:batches]), *moved.shape[batches:])
    if moved.is_contiguous() or moved.ndim == 4 and moved.is_contiguous(memory_format=torch.channels_last):
        return settled(moved)
    return moved.contiguous()


def _ungrouped(y: Tensor, x: Tensor, axis: int, rest: Axes) -> Tensor:
    order, inverse, batches = _order(x.ndim, axis, rest)
    if order is None or inverse is None:
        return y if batches == 1 else y.reshape(x.shape)
    return y.reshape([x.shape[k] for k in order]).permute(inverse)


@remembered(4096)
def _order(n: int, axis: int, rest: Axes) -> tuple[Axes | None, Axes | None, int]:
    """The order of the axes for the kernel and the way back, None where they are in it, and how many are batches."""
    batches = [k for k in range(-n, 0) if k != axis and k not in rest]
    order = tuple(k + n for k in (*batches, axis, *rest))
    if order == tuple(range(n)):
        return None, None, len(batches)
    return order, tuple(order.index(k) for k in range(n)), len(batches)


def _groupnorm_kernel(x: Tensor, offset: Tensor, scale: Tensor, axis: int, rest: Axes, groups: int,
                      epsilon: float) -> tuple[Tensor, Tensor | None, Tensor]:
    moved = _grouped(x, axis, rest)
    n, c = moved.shape[:2]
    scale, offset = scale.contiguous(), offset.contiguous()  # the kernel does not read their strides
    y, saved_mean, inverse = torch.native_group_norm(moved, scale, offset, n, c, math.prod(moved.shape[2:]),
                                                     groups, epsilon)
    if far(x, saved_mean, inverse):
        parts = moved.reshape(n, groups, -1)
        first = first_entries(parts, (2,))
        y, saved_mean, inverse = torch.native_group_norm((parts - first).reshape(moved.shape), scale,
                                                         offset, n, c, math.prod(moved.shape[2:]), groups, epsilon)
        saved_mean = None  # type: ignore[assignment]
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


def _groupnorm_parts(x: Any, axis: int, rest: Axes, groups: int, epsilon: float, saved_mean: Any, inverse: Any) -> Any:
    """Standardized values in groups, 1 / deviation, and the axes of the statistics."""
    axes = _group_axes(axis, rest)
    saved = _saved(x, saved_mean, inverse)
    if saved is not None:
        saved = _in_place(saved[0], x, axis, rest, groups), _in_place(saved[1], x, axis, rest, groups)
    z, inverse = standardized(_split(x, axis, groups), axes, epsilon, saved)
    return z, inverse, axes


def _in_place(statistic: Tensor, x: Tensor, axis: int, rest: Axes, groups: int) -> Tensor:
    """What the kernel saved, (batches, groups), along the axes of x in groups."""
    batches = [k for k in range(-x.ndim, 0) if k != axis and k not in rest]
    apart = statistic.reshape(*[x.shape[k] for k in batches], groups).movedim(-1, sum([k < axis for k in batches]))
    sizes = [1 if k in rest else x.shape[k] for k in range(-x.ndim, 0)]
    return apart.reshape(*sizes[:axis], groups, 1, *sizes[x.ndim + axis + 1:])


def _groupnorm_push(x_dot: Any, offset_dot: Any, scale_dot: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any,
                    axis: int, rest: Axes, groups: int, epsilon: float) -> Any:
    z, inverse, axes = _groupnorm_parts(x, axis, rest, groups, epsilon, saved_mean, inverse)
    z_dot = (None if x_dot is None else _together(through(_split(x_dot, axis, groups), z, inverse, axes),
                                                  x.shape, x.ndim))
    return affine_push(z_dot, offset_dot, scale_dot, _together(z, x.shape, x.ndim), scale, axis, x.ndim)


def _groupnorm_pull(y_bar: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any, axis: int, rest: Axes, groups: int,
                    epsilon: float, wanted: Any) -> Any:
    z, inverse, axes = _groupnorm_parts(x, axis, rest, groups, epsilon, saved_mean, inverse)
    x_bar = None
    if wanted[0]:
        x_bar = _together(through(_split(y_bar * over_channels(scale, axis, x.ndim), axis, groups), z, inverse, axes),
                          x.shape, x.ndim)
    return x_bar, *affine_pull(y_bar, _together(z, x.shape, x.ndim), axis, x.ndim, wanted)


def _groupnorm_fused(y_bar: Tensor, x: Tensor, scale: Tensor, saved_mean: Tensor, inverse: Tensor,
                     axis: int, rest: Axes, groups: int,
                     epsilon: float, wanted: Any) -> Any:
    if saved_mean is None:
        return _groupnorm_pull(y_bar, x, scale, saved_mean, inverse, axis, rest, groups, epsilon, wanted)
    moved = _grouped(x, axis, rest)
    bar = _grouped(y_bar, axis, rest)
    if moved.stride() != bar.stride():
        moved, bar = moved.contiguous(), bar.contiguous()
    n, c, *sizes = moved.shape
    x_bar, scale_bar, offset_bar = aten.native_group_norm_backward(
        bar, moved, saved_mean, inverse, scale.contiguous(), n, c, math.prod(sizes), groups,
        (wanted[0], wanted[2], wanted[1]))
    return (_ungrouped(x_bar, x, axis, rest) if wanted[0] else None, offset_bar if wanted[1] else None,
            scale_bar if wanted[2] else None)


_groupnorm = general("groupnorm", _groupnorm_kernel, ("x", "offset", "scale"), hidden=("saved_mean", "inverse"),
                     push=_groupnorm_push,
                     pull=_groupnorm_pull, fused_pull=_groupnorm_fused, matlab="groupnorm",
                     samples=[((2, 4, 3), (4,), (4,), {"axis": -2, "rest": (-1,), "groups": 2, "epsilon": 0.1}),
                              ((3, 2, 4), (4,), (4,), {"axis": -1, "rest": (-3,), "groups": 1, "epsilon": 0.1})],
                     real_only="normalizations take real numbers")


@public(_groupnorm)
def groupnorm(x: Any, num_groups: Any, offset: Any, scale: Any, /, *, epsilon: float = 1e-5,
              data_format: str | None = None) -> Any:
    """Each group of channels of each observation with mean 0 and variance 1, then scaled and shifted channel by
    channel.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset; the statistics are over S, T, U and the channels
    of a group, for each observation. num_groups divides the channels; "all-channels" is one group, "channel-wise" one
    for each channel. x: any layout with C; offset, scale: one number for each channel; y: as x.
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
    """Each channel of each observation with mean 0 and variance 1, then scaled and shifted: `groupnorm` with one group
    for each channel.

    >>> import gradloom as gl
    >>> gl.instancenorm(gl.dlarray([[1.0, 3.0], [5.0, 9.0]], "CS"), [0.0, 0.0], [1.0, 1.0], epsilon=0.0)
    2(C) x 2(S) dlarray float64
    [[-1.  1.]
     [-1.  1.]]

    Source: Ulyanov, Vedaldi, Lempitsky 2016; MATLAB instancenorm.
    """
    return _normalized_groups(x, "channel-wise", offset, scale, epsilon, data_format, "instancenorm")


def _normalized_groups(x: Any, num_groups: Any, offset: Any, scale: Any, epsilon: float, data_format: str | None,
                       word: str) -> Any:
    x, axis, labels = real_and_axis(x, data_format, word)
    channels = x.shape[axis]
    groups = ({"all-channels": 1, "channel-wise": channels}.get(num_groups, num_groups) if isinstance(num_groups, str)
              else num_groups)
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise ShapeError(
            f"{word}: num_groups divides the {channels} channels, or is \"all-channels\" or \"channel-wise\", not "
            f"{num_groups!r}, at {line_of(user_site())}")
    rest = tuple(k - x.ndim for k, letter in enumerate(labels) if letter in "STU")
    inputs = with_parameters(x, axis, word, offset=offset, scale=scale)
    return _groupnorm.apply(inputs, {"axis": axis, "rest": rest, "groups": groups, "epsilon": float(epsilon)},
                            labels_of(x))


__all__ = ["batchnorm", "groupnorm", "instancenorm", "layernorm"]
