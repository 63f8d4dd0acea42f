"""Convolution: three bilinear operations that are each other's transposes.

x: (N, C, *S), weight: (O, C / groups, *K), y: (N, O, *S'). The transpose with respect to x is `dltranspconv`, whose
weight is (C, O / groups, *K) for its own x: (N, C, *S) and y: (N, O, *S').
"""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from ....blocks.block import Block
from ....core.array import labels_of, unlabelled
from ....core.declare import multilinear, public
from ....core.errors import ShapeError, line_of, user_site
from ....core.labels import described
from ....machine.caches import remembered
from ....machine.dtypes import Tensor
from ....machine.layouts import settled
from ...elementwise.arithmetic import conj
from ...matrices.contraction import layout_of, promoted_arrays
from ...movement.axes import array, reshape
from ...movement.slices import pad_axis, slice_axis
from ..spatial import Layout, Pairs, Sizes, fixed, layout, padded, padding_of, per_axis, spatial_axes
from .kernels import beyond, forward, laid_out, laying_out, to_input, to_weight
from .on_blocks import act_convolution, act_transposed, act_weight, imaged

aten = torch.ops.aten

# ----- the three operations -----


def _conj(x: Any) -> Any:
    return conj(x) if x.dtype.is_complex else x


def _kernel(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes,
            dilation: Sizes, groups: int) -> Tensor:
    d = len(stride)
    x, weight = laid_out(x, weight, dilation)
    if bias is not None and _plain(x, weight, bias, d):
        return torch.convolution(settled(x), settled(weight), bias, stride, padding, dilation, False, (0,) * d, groups)
    return _with_bias(forward(x, weight, stride, padding, dilation, groups), bias, d)


def _transposed_kernel(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes,
                       dilation: Sizes, groups: int, sizes: Sizes) -> Tensor:
    d = len(stride)
    x, weight = laid_out(x, weight, dilation)
    if bias is not None and _plain(x, weight, bias, d):
        extra = beyond(sizes, x.shape[2:], weight.shape[2:], stride, padding, dilation)
        return torch.convolution(settled(x), settled(weight), bias, stride, padding, dilation, True, extra, groups)
    return _with_bias(to_input(x, weight, stride, padding, dilation, groups, sizes), bias, d)


def _plain(x: Tensor, weight: Tensor, bias: Tensor, d: int) -> bool:
    return (x.ndim == d + 2 and weight.ndim == d + 2 and bias.ndim == 1
            and not any(a.is_complex() for a in (x, weight, bias)))


def _with_bias(y: Tensor, bias: Tensor | None, d: int) -> Tensor:
    return y if bias is None else y + bias.reshape(*bias.shape, *(1,) * d)


def _stated_only(y_bar: Tensor, x_shape: Any, weight_shape: Any, d: int) -> bool:
    """Torch's fused kernel is of real numbers, and of arrays without the leading axes that a recorded walk may have
    given them."""
    return y_bar.is_complex() or len(x_shape) != d + 2 or len(weight_shape) != d + 2


def _fused(y_bar: Tensor, x: Any, weight: Any, x_shape: Any, weight_shape: Any, stride: Sizes,
           padding: Sizes, dilation: Sizes, groups: int,
           wanted: Any) -> Any:
    options: Any = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    if _stated_only(y_bar, x_shape, weight_shape, len(stride)):
        return (_input_bar(y_bar, weight, x_shape, **options) if wanted[0] else None,
                _weight_bar(y_bar, x, weight_shape, **options) if wanted[1] else None,
                _bias_bar(y_bar, stride) if wanted[2] else None)
    return _backward(y_bar, x, weight, x_shape, weight_shape, wanted, False, (0,) * len(stride), **options)


def _fused_transposed(y_bar: Tensor, x: Any, weight: Any, x_shape: Any, weight_shape: Any,
                      stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                      sizes: Sizes, wanted: Any) -> Any:
    options: Any = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    if _stated_only(y_bar, x_shape, weight_shape, len(stride)):
        return (_transposed_x_bar(y_bar, weight, x_shape, y_bar.shape, weight_shape, **options) if wanted[0] else None,
                _transposed_weight_bar(y_bar, x, x_shape, y_bar.shape, weight_shape, **options) if wanted[1] else None,
                _bias_bar(y_bar, stride) if wanted[2] else None)
    extra = beyond(sizes, x_shape[2:], weight_shape[2:], stride, padding, dilation)
    return _backward(y_bar, x, weight, x_shape, weight_shape, wanted, True, extra, **options)


def _backward(y_bar: Tensor, x: Any, weight: Any, x_shape: Any, weight_shape: Any, wanted: Any,
              transposed: bool, extra: Sizes, stride: Sizes,
              padding: Sizes, dilation: Sizes, groups: int) -> Any:
    if (lay := laying_out(y_bar, x_shape, weight_shape, dilation)) is not None:
        y_bar = lay(y_bar)
        x, weight = [None if part is None else lay(part) for part in (x, weight)]
    x = settled(x) if x is not None else y_bar.new_empty(1).expand(x_shape)
    weight = settled(weight) if weight is not None else y_bar.new_empty(1).expand(weight_shape)
    return aten.convolution_backward(settled(y_bar), x, weight, [y_bar.shape[1]], stride, padding,
                                     dilation, transposed, extra, groups, tuple(wanted))


def _input_bar(y_bar: Any, weight: Any, x_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes,
               groups: int, wanted: Any = ()) -> Any:
    if type(y_bar) is Block and wanted and wanted[1]:
        y_bar = imaged(y_bar)  # the weight's cotangent reads it too
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    sizes = tuple(x_shape[-len(stride):])
    return transposed_operation.apply((y_bar, _conj(weight), None), {**options, "sizes": sizes})


def _weight_bar(y_bar: Any, x: Any, weight_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes,
                groups: int) -> Any:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    kernel = tuple(weight_shape[-len(stride):])
    return _convolution_weight.apply((_conj(x), y_bar), {**options, "kernel": kernel})


def _windows(y_shape: Any, weight_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """How many windows a convolution of a transposed one's result finds along each axis: more than its x had, where the
    result reaches far beyond."""
    d = len(stride)
    return tuple((n + 2 * p - q * (e - 1) - 1) // s + 1
                 for n, e, s, p, q in zip(y_shape[-d:], weight_shape[-d:], stride, padding, dilation, strict=True))


def _transposed_x_bar(y_bar: Any, weight: Any, x_shape: Any, y_shape: Any, weight_shape: Any, stride: Sizes,
                      padding: Sizes, dilation: Sizes, groups: int) -> Any:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x_bar = _convolution.apply((y_bar, _conj(weight), None), options)
    found = _windows(y_shape, weight_shape, stride, padding, dilation)
    for k, (m, n) in enumerate(zip(x_shape[-len(stride):], found, strict=True)):
        if n > m:
            x_bar = slice_axis(x_bar, k - len(stride), 0, m)
    return x_bar


def _transposed_weight_bar(y_bar: Any, x: Any, x_shape: Any, y_shape: Any, weight_shape: Any, stride: Sizes,
                           padding: Sizes, dilation: Sizes, groups: int) -> Any:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    found = _windows(y_shape, weight_shape, stride, padding, dilation)
    for k, (m, n) in enumerate(zip(x_shape[-len(stride):], found, strict=True)):
        x = pad_axis(x, k - len(stride), 0, n - m)
    kernel = tuple(weight_shape[-len(stride):])
    return _convolution_weight.apply((y_bar, _conj(x)), {**options, "kernel": kernel})


def _channel_axes(bias: Any, node: Any, lead: Any, stride: Sizes, **_: Any) -> Any:
    return reshape(bias, (*lead, *(1,) * bool(lead), *bias.shape[len(lead):], *(1,) * len(stride)))


def _bias_bar(y_bar: Any, stride: Sizes) -> Any:
    from ...sums.reduction import sum

    d = len(stride)
    return sum(y_bar, axis=(-d - 2, *range(-d, 0)))


_OPTIONS = {"stride": (1,), "padding": (1,), "dilation": (1,), "groups": 1}
_STRIDED = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}

_convolution = multilinear(
    "dlconv", _kernel, ("x", "weight", "bias"), terms=[("x", "weight"), ("bias",)], broadcast=True,
    transposes={"x": _input_bar, "weight": _weight_bar, "bias": _bias_bar}, monomials={("bias",): _channel_axes},
    fused_pull=_fused,
    act=act_convolution, matlab="dlconv",
    samples=[((2, 3, 5), (4, 3, 3), (4,), _OPTIONS), ((2, 4, 5, 6), (6, 2, 2, 3), (6,), _STRIDED),
             ((1, 2, 4), (3, 2, 2), None, _OPTIONS)])

transposed_operation = multilinear(
    "dltranspconv", _transposed_kernel, ("x", "weight", "bias"), terms=[("x", "weight"), ("bias",)], broadcast=True,
    transposes={"x": _transposed_x_bar, "weight": _transposed_weight_bar, "bias": _bias_bar},
    monomials={("bias",): _channel_axes},
    fused_pull=_fused_transposed, act=act_transposed, matlab="dltranspconv",
    samples=[((2, 6, 3, 2), (6, 2, 2, 3), (4,), {**_STRIDED, "sizes": (5, 6)}),
             ((2, 3, 5), (3, 4, 3), (4,), {**_OPTIONS, "sizes": (5,)}),
             ((2, 4, 3), (4, 1, 2), (2,), {"stride": (1,), "padding": (0,), "dilation": (3,),
                                           "groups": 2, "sizes": (8,)})])


def _weight_x_bar(y_bar: Any, bar: Any, x_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes,
                  groups: int) -> Any:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    sizes = tuple(x_shape[-len(stride):])
    return transposed_operation.apply((_conj(bar), y_bar, None), {**options, "sizes": sizes})


def _weight_result_bar(y_bar: Any, x: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _convolution.apply((_conj(x), y_bar, None), options)


_convolution_weight = multilinear(
    "convolution_weight", to_weight, ("x", "bar"), act=act_weight,
    broadcast=True,
    transposes={"x": _weight_x_bar, "bar": _weight_result_bar},
    samples=[((2, 4, 5, 6), (2, 6, 3, 2), {**_STRIDED, "kernel": (2, 3)})])


# ----- dlconv -----


class _Plan(NamedTuple):
    """What a call of these shapes and options does."""

    layout: Layout
    params: dict[str, Any]
    around: Pairs | None  # padding that the kernel cannot do itself


@remembered(4096)
def _plan(labels: str, shape: Sizes, w_shape: Sizes, w_labels: str | None, stride: Any, dilation: Any,
          padding: Any, zeros: bool) -> _Plan:
    spatial = spatial_axes(labels, len(w_shape) - 2, w_labels, shape, "dlconv")
    d = len(spatial)
    way = layout(labels, shape, spatial, "dlconv")
    check_weights("dlconv", labels, shape, w_shape, d, "(filters, channels per group, *spatial)")
    (n,) = [shape[k] for k in range(len(shape)) if labels[k] == "C"]
    filters, channels = w_shape[:2]
    if channels == 0 or n == 0 or n % channels or filters % (n // channels):
        raise ShapeError(
            f"dlconv of x {described(shape, labels)} with weights {described(w_shape, None)}: {n} channels do not "
            f"divide into groups of {channels}, at {line_of(user_site())}; weights are (filters, channels per group, "
            "*spatial)")
    sizes, kernel = [shape[k] for k in spatial], w_shape[2:]
    strides, dilations = per_axis(stride, d, "stride"), per_axis(dilation, d, "dilation_factor")
    pairs = padding_of(padding, sizes, kernel, strides, dilations, "dlconv")
    for size, k, p, e in zip(sizes, kernel, pairs, dilations, strict=True):
        if size + sum(p) < e * (k - 1) + 1:
            raise ShapeError(
                f"dlconv: filters of {e * (k - 1) + 1} are larger than the padded input of {size + sum(p)}, x is "
                f"{described(shape, labels)}, at {line_of(user_site())}; write padding=\"same\", or use smaller "
                "filters")
    own = zeros and all(a == b for a, b in pairs)
    around = (None if own or not any(map(any, pairs)) else
              tuple((0, 0) if zeros and a == b else (a, b) for a, b in pairs))
    inside = tuple(a if zeros and a == b else 0 for a, b in pairs)
    return _Plan(way, {"stride": strides, "padding": inside, "dilation": dilations, "groups": n // channels}, around)


def check_weights(word: str, labels: str, shape: Sizes, w_shape: Sizes, d: int, their: str) -> None:
    """Refuse weights that do not have d spatial axes, and more axes than torch convolves."""
    if len(w_shape) != d + 2:
        raise ShapeError(
            f"{word} of x {described(shape, labels)} needs weights of {d + 2} axes {their}, not "
            f"{described(w_shape, None)}, at {line_of(user_site())}")
    if d > 3:
        raise ShapeError(
            f"{word} convolves 1, 2 or 3 axes, x {described(shape, labels)} has {d}, at {line_of(user_site())}; "
            "reshape it")


def operands(word: str, x: Any, weights: Any, bias: Any, filters: int) -> list[Any]:
    """x, weights and bias without labels and in one type; the bias a vector."""
    if bias is not None:
        bias = unlabelled(array(bias))
        if math.prod(bias.shape) != filters:
            raise ShapeError(
                f"{word} needs a bias of {filters} elements, not {described(bias.shape, None)}, at "
                f"{line_of(user_site())}")
        if len(bias.shape) != 1:
            bias = reshape(bias, (filters,))
        if x.dtype is weights.dtype is bias.dtype:
            return [x, weights, bias]
    elif x.dtype is weights.dtype:
        return [x, weights, None]
    return promoted_arrays(x, weights, bias)


@public(_convolution)
def dlconv(x: Any, weights: Any, bias: Any = None, /, *, stride: Any = 1, dilation_factor: Any = 1,
           padding: Any = 0, padding_value: Any = 0,
           data_format: str | None = None) -> Any:
    """The convolution (cross-correlation) of x with filters, over its S axes, or over T where it has none.

    Formula: y[n, o, s] = bias[o] + sum over c, k of weights[o, c, k] x[n, c, stride s + dilation_factor k - padding].
    x: any layout with C and up to three S or T; weights: (filters, channels per group, *spatial), the groups follow
    from x's channels (one channel per group: channel-wise); bias: (filters,) or None; y: x's layout. Over S and T where
    weights have an axis for both, over T alone where they are labelled "UCT". Options are one number or one per spatial
    axis.

    padding: numbers, (before, after) for each axis, "same" (size n / stride, rounded up, of an odd total the larger
    part at the end) or "causal" (all before). padding_value: a number, or what the border continues with: "replicate",
    "symmetric-include-edge" (2 1 | 1 2 3) or "symmetric-exclude-edge" (3 2 | 1 2 3).
    Raises LabelError without labels or data_format, ShapeError where sizes do not fit.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[[1.0, 2.0, 3.0]]], "BCS")
    >>> gl.dlconv(x, [[[1.0, 1.0]]])
    1(B) x 1(C) x 2(S) dlarray float64
    [[[3. 5.]]]

    Source: MATLAB dlconv.
    """
    x, weights = array(x), array(weights)
    labels = layout_of(x, data_format, "dlconv")
    zeros = isinstance(padding_value, int | float | complex) and padding_value == 0
    plan = _plan(labels, tuple(x.shape), tuple(weights.shape), labels_of(weights), fixed(stride),
                 fixed(dilation_factor), fixed(padding), zeros)
    own = labels_of(x)
    x, weights, bias = operands("dlconv", plan.layout.arranged(x), unlabelled(weights), bias, weights.shape[0])
    if plan.around is not None:
        x = padded(x, plan.around, padding_value, "dlconv")
    return plan.layout.put_back(_convolution.apply((x, weights, bias), plan.params), own)


__all__ = ["dlconv"]
