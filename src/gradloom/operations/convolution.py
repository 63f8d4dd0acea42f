"""Convolution: three bilinear operations that are each other's transposes.

x: (N, C, *S), weight: (O, C / groups, *K), y: (N, O, *S').
"""
from __future__ import annotations

import math
from typing import Any

import torch

from ..core.blocks import action
from ..core.errors import ShapeError, line_of, user_site
from ..core.labels import described
from ..core.multilinear import multilinear
from ..core.operation import public
from ..kernels import Tensor
from .arithmetic import conj
from .contraction import _unlabelled, layout_of, promoted_arrays
from .convolution_blocks import _act
from .convolution_kernels import _forward, _to_input, _to_weight
from .movement import array, reshape
from .selection import pad_axis
from .spatial import Sizes, arranged, padding_of, per_axis, put_back

aten = torch.ops.aten

# ----- the three operations -----


def _same(params: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {k: params[k] for k in ("stride", "padding", "dilation", "groups")} | more


def _conj(x: Any) -> Any:
    return conj(x) if x.dtype.is_complex else x


def _channels_last(x: Tensor) -> Tensor:
    """The same array laid out with its channels together: torch's float32 convolutions on a CPU then take two thirds of the time.

    With one channel both layouts are the same memory, and the strides have to say which is meant.
    """
    n, c, h, w = x.shape
    if c == 1 and x.is_contiguous():
        return x.as_strided((n, c, h, w), (h * w, 1, w, 1))
    return x.contiguous(memory_format=torch.channels_last)


def _kernel(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Tensor:
    d = len(stride)
    if d == 2 and x.ndim == 4 and weight.ndim == 4 and x.dtype is torch.float32 and x.device.type == "cpu":
        x, weight = _channels_last(x), _channels_last(weight)
    if bias is not None and x.ndim == d + 2 and weight.ndim == d + 2 and bias.ndim == 1 and not x.is_complex():
        return torch.convolution(x, weight, bias, stride, padding, dilation, False, (0,) * d, groups)
    y = _forward(x, weight, stride, padding, dilation, groups)
    return y if bias is None else y + bias.reshape(*bias.shape, *(1,) * d)


def _fused(y_bar: Tensor, x: Any, weight: Any, x_shape: Any, weight_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
           wanted: Any) -> Any:
    if y_bar.is_complex():
        options: Any = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
        return (_input_bar(y_bar, weight, x_shape, **options) if wanted[0] else None, _weight_bar(y_bar, x, weight_shape, **options) if wanted[1] else None,
                _bias_bar(y_bar, stride) if wanted[2] else None)
    x = x if x is not None else y_bar.new_empty(1).expand(x_shape)
    weight = weight if weight is not None else y_bar.new_empty(1).expand(weight_shape)
    return aten.convolution_backward(y_bar, x, weight, [y_bar.shape[1]], stride, padding, dilation, False, (0,) * len(stride), groups, tuple(wanted))


def _input_bar(y_bar: Any, weight: Any, x_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    return _convolution_input.apply((y_bar, _conj(weight)), dict(stride=stride, padding=padding, dilation=dilation, groups=groups,
                                                                 sizes=tuple(x_shape[2:])))


def _weight_bar(y_bar: Any, x: Any, weight_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    return _convolution_weight.apply((_conj(x), y_bar), dict(stride=stride, padding=padding, dilation=dilation, groups=groups,
                                                             kernel=tuple(weight_shape[2:])))


def _channel_axes(bias: Any, node: Any, lead: Any, stride: Sizes, **_: Any) -> Any:
    return reshape(bias, (*lead, *(1,) * bool(lead), *bias.shape[len(lead):], *(1,) * len(stride)))


def _bias_bar(y_bar: Any, stride: Sizes) -> Any:
    from .reduction import sum

    d = len(stride)
    return sum(y_bar, axis=(-d - 2, *range(-d, 0)))


_OPTIONS = {"stride": (1,), "padding": (1,), "dilation": (1,), "groups": 1}
_STRIDED = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}

_convolution = multilinear(
    "dlconv", _kernel, ("x", "weight", "bias"), terms=[("x", "weight"), ("bias",)],
    transposes={"x": _input_bar, "weight": _weight_bar, "bias": _bias_bar}, monomials={("bias",): _channel_axes}, fused_pull=_fused,
    act=lambda operation, inputs, params: _act(inputs, params), matlab="dlconv",
    samples=[((2, 3, 5), (4, 3, 3), (4,), _OPTIONS), ((2, 4, 5, 6), (6, 2, 2, 3), (6,), _STRIDED), ((1, 2, 4), (3, 2, 2), None, _OPTIONS)])

_convolution_input = multilinear(
    "convolution_input", _to_input, ("bar", "weight"), act=action.untying,
    transposes={"bar": lambda y_bar, weight, stride, padding, dilation, groups: _convolution.apply(
                    (y_bar, _conj(weight), None), dict(stride=stride, padding=padding, dilation=dilation, groups=groups)),
                "weight": lambda y_bar, bar, weight_shape, stride, padding, dilation, groups: _convolution_weight.apply(
                    (y_bar, _conj(bar)), dict(stride=stride, padding=padding, dilation=dilation, groups=groups, kernel=tuple(weight_shape[2:])))},
    samples=[((2, 6, 3, 2), (6, 2, 2, 3), {**_STRIDED, "sizes": (5, 6)})])

_convolution_weight = multilinear(
    "convolution_weight", _to_weight, ("x", "bar"), act=action.untying,
    transposes={"x": lambda y_bar, bar, x_shape, stride, padding, dilation, groups: _convolution_input.apply(
                    (_conj(bar), y_bar), dict(stride=stride, padding=padding, dilation=dilation, groups=groups, sizes=tuple(x_shape[2:]))),
                "bar": lambda y_bar, x, stride, padding, dilation, groups: _convolution.apply(
                    (_conj(x), y_bar, None), dict(stride=stride, padding=padding, dilation=dilation, groups=groups))},
    samples=[((2, 4, 5, 6), (2, 6, 3, 2), {**_STRIDED, "kernel": (2, 3)})])


# ----- dlconv -----


@public(_convolution)
def dlconv(x: Any, weights: Any, bias: Any = None, /, *, stride: Any = 1, dilation_factor: Any = 1, padding: Any = 0, data_format: str | None = None) -> Any:
    """The convolution (cross-correlation) of x with filters, over its S axes, or over T where it has none.

    Formula: y[n, o, s] = bias[o] + sum over c, k of weights[o, c, k] x[n, c, stride s + dilation k - padding].
    x: any layout with C and up to three S; weights: (filters, channels per group, *spatial), the groups follow from x's
    channels; bias: (filters,) or None; y: x's layout. Options are one number or one per spatial axis; padding may also be
    (before, after) pairs, "same" or "causal".

    Raises LabelError without labels or data_format, ShapeError where sizes do not fit.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[[1.0, 2.0, 3.0]]], "BCS")
    >>> gl.dlconv(x, [[[1.0, 1.0]]])
    1(B) x 1(C) x 2(S) dlarray float64
    [[[3. 5.]]]

    Source: MATLAB dlconv.
    """
    x, weights = array(x), array(weights)
    bias = None if bias is None else array(bias)
    labelled = getattr(x, "_labels", None) is not None
    labels = layout_of(x, data_format, "dlconv")
    shape = x.shape
    x, order, ordered, rest = arranged(x, labels, "dlconv")
    d = x.ndim - 2
    if weights.ndim != d + 2:
        raise ShapeError(f"dlconv of x {described(shape, labels)} needs weights of {d + 2} axes (filters, channels, *spatial), not "
                         f"{described(weights.shape, None)}, at {line_of(user_site())}")
    filters, channels = weights.shape[:2]
    if channels == 0 or x.shape[1] % channels or filters % (x.shape[1] // channels):
        raise ShapeError(f"dlconv of x {described(shape, labels)} with weights {described(weights.shape, None)}: {x.shape[1]} channels do not divide into "
                         f"groups of {channels}, at {line_of(user_site())}; weights are (filters, channels per group, *spatial)")
    if bias is not None and math.prod(bias.shape) != filters:
        raise ShapeError(f"dlconv needs a bias of {filters} elements, not {described(bias.shape, None)}, at {line_of(user_site())}")
    x, weights, bias = promoted_arrays(x, _unlabelled(weights), _unlabelled(bias))
    if bias is not None and bias.ndim != 1:
        bias = reshape(bias, (filters,))
    strides, dilation = per_axis(stride, d, "stride"), per_axis(dilation_factor, d, "dilation_factor")
    pairs = padding_of(padding, x.shape[2:], weights.shape[2:], strides, dilation, "dlconv")
    for k, (before, after) in enumerate(pairs):
        if before != after:
            x = pad_axis(x, k - d, before, after)
            pairs[k] = (0, 0)
    for n, k, (p, _), e in zip(x.shape[2:], weights.shape[2:], pairs, dilation, strict=True):
        if n + 2 * p < e * (k - 1) + 1:
            raise ShapeError(f"dlconv: filters of {e * (k - 1) + 1} are larger than the padded input of {n + 2 * p}, x is {described(shape, labels)}, "
                             f"at {line_of(user_site())}")
    params = {"stride": strides, "padding": tuple(p for p, _ in pairs), "dilation": dilation, "groups": x.shape[1] // channels}
    y = _convolution.apply((x, weights, bias), params)
    return put_back(y, order, ordered, rest, labelled)


__all__ = ["dlconv"]
