"""Batch normalization: with the statistics of the batch in training, with given ones in prediction."""
from __future__ import annotations

import math
from typing import Any

import torch

from ....core.array import dlarray, labels_of
from ....core.declare import general, public
from ....core.errors import ShapeError, line_of, user_site
from ....core.kinds.general import General
from ....core.labels import described
from ....core.operation import Operation
from ....core.trace import Node, live
from ....machine.dtypes import Tensor
from ....machine.layouts import settled
from ....machine.questions import usually
from ...elementwise.mathematics import rsqrt
from ...sums.reduction import sum
from .standardizing import (
    FAR,
    affine_pull,
    affine_push,
    all_but,
    far,
    first_entries,
    over_channels,
    real_and_axis,
    standardized,
    through,
    with_parameters,
)

aten = torch.ops.aten

# ----- batchnorm, training: statistics of the batch -----


def _channels_second(x: Tensor, axis: int) -> Tensor:
    x = x if x.ndim > 1 else x.unsqueeze(0)
    return x if x.ndim + axis == 1 else x.movedim(axis, 1)


def _channels_back(y: Tensor, x: Tensor, axis: int) -> Tensor:
    y = y if y.ndim + axis == 1 else y.movedim(1, axis)
    return y if x.ndim > 1 else y.squeeze(0)


def _batchnorm_kernel(x: Tensor, offset: Tensor, scale: Tensor, axis: int, epsilon: float) -> tuple[Tensor | None, ...]:
    moved = _channels_second(x, axis)
    count = x.numel() // max(x.shape[axis], 1)
    mean, variance = scale.new_zeros((2, scale.shape[0])).unbind()
    y, saved_mean, inverse = torch.native_batch_norm(moved, scale, offset, mean, variance, True, 1.0, epsilon)
    if far(x, saved_mean, inverse):
        first = first_entries(moved, (0, *range(2, moved.ndim)))
        y, saved_mean, inverse = torch.native_batch_norm(moved - first, scale, offset, mean,
                                                         variance, True, 1.0, epsilon)
        saved_mean, mean = None, mean + first.reshape(-1)  # type: ignore[assignment]
    variance = variance.mul_((count - 1) / count) if count > 1 else variance.zero_()
    return _channels_back(y, x, axis), mean, variance, saved_mean, inverse


def _saved(x: Any, saved_mean: Any, inverse: Any, axis: int) -> tuple[Any, Any] | None:
    """What the kernel saved, where the walk is not itself recorded and that has digits enough."""
    if type(x) is not Tensor or saved_mean is None:
        return None
    return over_channels(saved_mean, axis, x.ndim), over_channels(inverse, axis, x.ndim)


def _batchnorm_push(x_dot: Any, offset_dot: Any, scale_dot: Any, x: Any, scale: Any, saved_mean: Any,
                    inverse: Any, axis: int,
                    epsilon: float) -> Any:
    axes = all_but(x.ndim, axis)
    z, inverse = standardized(x, axes, epsilon, _saved(x, saved_mean, inverse, axis))
    z_dot = None if x_dot is None else through(x_dot, z, inverse, axes)
    return affine_push(z_dot, offset_dot, scale_dot, z, scale, axis, x.ndim)


def _batchnorm_pull(y_bar: Any, x: Any, scale: Any, saved_mean: Any, inverse: Any, axis: int,
                    epsilon: float, wanted: Any) -> Any:
    axes = all_but(x.ndim, axis)
    z, inverse = standardized(x, axes, epsilon, _saved(x, saved_mean, inverse, axis))
    x_bar = through(y_bar * over_channels(scale, axis, x.ndim), z, inverse, axes) if wanted[0] else None
    return x_bar, *affine_pull(y_bar, z, axis, x.ndim, wanted)


def _batchnorm_fused(y_bar: Tensor, x: Tensor, scale: Tensor, saved_mean: Tensor | None, inverse: Tensor,
                     axis: int, epsilon: float,
                     wanted: Any) -> Any:
    if saved_mean is None:
        return _batchnorm_pull(y_bar, x, scale, saved_mean, inverse, axis, epsilon, wanted)
    x_bar, scale_bar, offset_bar = aten.native_batch_norm_backward(
        settled(_channels_second(y_bar, axis)), settled(_channels_second(x, axis)), scale.contiguous(),
        None, None, saved_mean,
        inverse, True, epsilon, (wanted[0], wanted[2], wanted[1]))
    return (_channels_back(x_bar, x, axis) if wanted[0] else None, offset_bar if wanted[1] else None,
            scale_bar if wanted[2] else None)


class _BatchNorm(General):
    """Its second and third output, the batch's mean and variance, carry no derivative."""

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        return super().pull(v, params, node, y_bar[0], lead, wanted)

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        return super().push(v, params, node, dots, lead), None, None


_batchnorm = _BatchNorm("batchnorm", _batchnorm_kernel, ("x", "offset", "scale"), push=_batchnorm_push,
                        pull=_batchnorm_pull,
                        fused_pull=_batchnorm_fused, hidden=("saved_mean", "inverse"), outputs=3,
                        carrying=(0,), matlab="batchnorm",
                        real_only="normalizations take real numbers",
                        samples=[((2, 3, 4), (3,), (3,), {"axis": -2, "epsilon": 1e-5}),
                                 ((4, 3), (3,), (3,), {"axis": -1, "epsilon": 0.1}),
                                 ((3, 2, 4), (3,), (3,), {"axis": -3, "epsilon": 0.1})],
                        opaque=True)  # the kernel writes in place

_STATISTICS = Operation("batch statistics", lambda x: x, ("x",))
_STATISTICS.barrier = "the statistic taken"
_STATISTICS.recomputable = False


def _statistic(value: Tensor, x: Any) -> dlarray:
    """Mean or variance of the batch: to differentiate through it is an error."""
    node = live(x._node)
    if node is None:
        return dlarray._made(value, None)
    option = "mean(x, axis=...) and var(x, axis=...) for statistics with a derivative"
    return dlarray._made(value, Node(_STATISTICS, node.trace, (node,), [None, value], {"option": option},
                                     value, user_site()))


def _untraced(x: Any) -> Any:
    return dlarray._made(x._value, None) if type(x) is dlarray else x


# ----- batchnorm, prediction: given statistics -----


def _given_kernel(x: Tensor, offset: Tensor, scale: Tensor, mean: Tensor, variance: Tensor,
                  axis: int, epsilon: float) -> Tensor:
    moved = _channels_second(x, axis)
    limit = FAR * epsilon ** 0.5  # a mean below it is not far from 0, whatever the variance
    near = (mean.device.type != "cpu" or not mean.numel()
            or usually(lambda: torch.linalg.vector_norm(mean, math.inf).item() <= limit,
                       lambda: torch.linalg.vector_norm(mean, math.inf) <= limit))
    if not near and far(x, mean, (variance + epsilon).rsqrt_()):  # the kernel computes x * a + b for each channel
        moved, mean = moved - over_channels(mean, 1 - moved.ndim, moved.ndim), torch.zeros_like(mean)
    y = torch.native_batch_norm(moved, scale, offset, mean, variance, False, 0.0, epsilon)[0]
    return _channels_back(y, x, axis)


def _given(mean: Any, variance: Any, scale: Any, epsilon: float) -> tuple[Any, Any]:
    """1 / deviation and scale / deviation of each channel."""
    inverse = rsqrt(variance + epsilon)
    return inverse, scale * inverse


def _given_push(x_dot: Any, offset_dot: Any, scale_dot: Any, mean_dot: Any, variance_dot: Any,
                x: Any, scale: Any, mean: Any, variance: Any,
                axis: int, epsilon: float) -> Any:
    n = x.ndim
    inverse, slope = _given(mean, variance, scale, epsilon)
    parts = []
    if x_dot is not None:
        parts.append(x_dot * over_channels(slope, axis, n))
    if scale_dot is not None or variance_dot is not None:
        z = (x - over_channels(mean, axis, n)) * over_channels(inverse, axis, n)
        if scale_dot is not None:
            parts.append(over_channels(scale_dot, axis, n) * z)
        if variance_dot is not None:
            parts.append(over_channels(variance_dot * (slope * inverse * -0.5), axis, n) * z)
    if offset_dot is not None:
        parts.append(over_channels(offset_dot, axis, n))
    if mean_dot is not None:
        parts.append(over_channels(mean_dot * -slope, axis, n))
    y_dot = parts[0]
    for part in parts[1:]:
        y_dot = y_dot + part
    return y_dot


def _given_pull(y_bar: Any, x: Any, scale: Any, mean: Any, variance: Any, axis: int, epsilon: float,
                wanted: Any) -> Any:
    n = x.ndim
    inverse, slope = _given(mean, variance, scale, epsilon)
    axes = all_but(n, axis)
    total = sum(y_bar, axis=axes) if wanted[1] or wanted[3] else None
    weighted = None
    if wanted[2] or wanted[4]:
        weighted = sum(y_bar * ((x - over_channels(mean, axis, n)) * over_channels(inverse, axis, n)), axis=axes)
    return (y_bar * over_channels(slope, axis, n) if wanted[0] else None, total if wanted[1] else None,
            weighted if wanted[2] else None,
            total * -slope if wanted[3] else None, weighted * (slope * inverse * -0.5) if wanted[4] else None)


def _given_fused(y_bar: Tensor, x: Tensor, scale: Tensor, mean: Tensor, variance: Tensor, axis: int,
                 epsilon: float, wanted: Any, lead: Any) -> Any:
    if lead and not (wanted[3] or wanted[4]):
        slope, others = (variance + epsilon).rsqrt_(), all_but(x.ndim, axis)
        weighted = None
        if wanted[2]:
            z = (x - over_channels(mean, axis, x.ndim)).mul_(over_channels(slope, axis, x.ndim))
            weighted = torch.sum(y_bar * z, others) if others else y_bar * z
        return (y_bar * over_channels(slope.mul_(scale), axis, x.ndim) if wanted[0] else None,
                (torch.sum(y_bar, others) if others else y_bar) if wanted[1] else None, weighted, None, None)
    plain = (not lead and x.numel() and x.dtype in (torch.float32, torch.float64)
             and x.dtype == scale.dtype == mean.dtype == variance.dtype == y_bar.dtype)
    if wanted[3] or wanted[4] or not plain:
        return _given_pull(y_bar, x, scale, mean, variance, axis, epsilon, wanted)
    x_bar, scale_bar, offset_bar = aten.native_batch_norm_backward(
        _channels_second(y_bar, axis), _channels_second(x, axis), scale.contiguous(), mean,
        variance, mean, variance, False, epsilon,
        (wanted[0], wanted[2], wanted[1]))
    return (_channels_back(x_bar, x, axis) if wanted[0] else None, offset_bar if wanted[1] else None,
            scale_bar if wanted[2] else None, None, None)


_batchnorm_given = general(
    "batchnorm_given", _given_kernel, ("x", "offset", "scale", "mean", "variance"), push=_given_push, pull=_given_pull,
    fused_pull=_given_fused, domain=(0.5, 2),
    samples=[((2, 3, 4), (3,), (3,), (3,), (3,), {"axis": -2, "epsilon": 1e-5}),
             ((4, 3), (3,), (3,), (3,), (3,), {"axis": -1, "epsilon": 0.1})],
                           real_only="normalizations take real numbers",
                           opaque=True)  # torch's wants no derivative in the statistics


@public(_batchnorm)
def batchnorm(x: Any, offset: Any, scale: Any, mean: Any = None, variance: Any = None, /, *, epsilon: float = 1e-5,
              training: bool | None = None, mean_decay: float = 0.1, variance_decay: float = 0.1,
              data_format: str | None = None) -> Any:
    """Each channel with mean 0 and variance 1, then scaled and shifted: with the batch's statistics, or with given
    ones.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset, for each channel; the batch's statistics are over
    S, B, T and U, the variance with n in its denominator. x: any layout with C; offset, scale, mean, variance: one
    number for each channel.

    `batchnorm(x, offset, scale)` is training: (y, mean, variance) with the batch's statistics, vectors for updating
    running ones, which carry no derivative. `batchnorm(x, offset, scale, mean, variance)` is prediction: y alone. With
    `training=True` the statistics given are running ones and come back updated: mean_decay times the batch's mean plus
    (1 - mean_decay) times mean, and so the variance.
    Raises LabelError without C, ShapeError where a parameter has not one number for each channel, TraceError for a
    derivative through the returned statistics.

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
    x, axis, _ = real_and_axis(x, data_format, "batchnorm")
    if (mean is None) != (variance is None):
        raise ShapeError(f"batchnorm takes mean and variance together, at {line_of(user_site())}; "
                         "write batchnorm(x, offset, scale, mean, variance)")
    training = mean is None if training is None else training
    if not training and mean is None:
        raise ShapeError(f"batchnorm(training=False) needs statistics, at {line_of(user_site())}; "
                         "write batchnorm(x, offset, scale, mean, variance)")
    if training and 0 in x.shape:
        raise ShapeError(f"batchnorm: x {described(x.shape, labels_of(x))} has no elements, and so no mean, at "
                         f"{line_of(user_site())}; leave empty mini-batches out")
    given = {} if mean is None else {"mean": mean, "variance": variance}
    inputs = with_parameters(x, axis, "batchnorm", offset=offset, scale=scale, **({} if training else given))
    params = {"axis": axis, "epsilon": float(epsilon)}
    labels = labels_of(x)
    if not training:
        return _batchnorm_given.apply(inputs, params, labels)
    y, *statistics = _batchnorm.apply(inputs, params, (labels, None, None))
    if given:
        old = with_parameters(x, axis, "batchnorm", **given)[1:]
        statistics = [decay * _untraced(new) + (1 - decay) * _untraced(s)
                      for s, new, decay in zip(old, statistics, (mean_decay, variance_decay), strict=True)]
    if type(y) is not dlarray:
        return y, *statistics
    return y, *(_statistic(s._value, inputs[0]) for s in statistics)


__all__ = ["batchnorm"]
