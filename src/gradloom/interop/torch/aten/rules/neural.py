"""ATen's operations of neural networks as functions of dlarrays: convolution, normalization, pooling, attention,
recurrent layers."""
from __future__ import annotations

import functools
import math
from typing import Any

import torch

from .....core.array import dlarray, raw
from .....core.errors import ShapeError, TypeRefused, line_of, user_site
from .....core.labels import described
from .....core.tables import OPERATIONS
from .....operations.neural.convolution.unfolding import fold, unfold
from .....operations.neural.pooling.adaptive import averaged
from ....by_position import put_at
from ....protocol import constant, gl
from ...losses import FUNCTIONS
from ...neural import per_axis
from ...table import WHOLE, WRITERS, rule
from ..values import array_of, detached

aten = torch.ops.aten


def _absent(x: Any) -> dlarray:
    """What torch returns for its own backward alone."""
    return constant(x._value.new_empty(0))


# ----- convolution -----


@rule("convolution", "_convolution", "convolution_overrideable")
def _convolution(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
                 transposed: bool, output_padding: Any, groups: int,
                 *flags: Any) -> Any:
    d = weight.ndim - 2
    single = x.ndim == d + 1
    x = gl.expand_dims(x, axis=0) if single else x
    params: dict[str, Any] = {"stride": per_axis(stride, d), "padding": per_axis(padding, d),
                              "dilation": per_axis(dilation, d), "groups": groups}
    if not transposed:
        y = OPERATIONS["dlconv"].apply((x, weight, bias), params)
    else:
        sizes = tuple((n - 1) * s - 2 * p + e * (k - 1) + o + 1 for n, s, p, e, k, o in zip(
            x.shape[2:], params["stride"], params["padding"], params["dilation"], weight.shape[2:],
            per_axis(output_padding, d), strict=True))
        y = OPERATIONS["dltranspconv"].apply((x, weight, bias), {**params, "sizes": sizes})
    return gl.squeeze(y, axis=0) if single else y


@rule("im2col")
def _im2col(x: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    return unfold(x, *(per_axis(option, 2) for option in (kernel_size, stride, padding, dilation)))


@rule("col2im")
def _col2im(x: Any, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    return fold(x, *(per_axis(option, 2) for option in (output_size, kernel_size, stride, padding, dilation)))


# ----- normalization -----


def _or_constant(x: Any, value: float, size: int, like: Any) -> Any:
    return (constant(torch.full((size,), value, dtype=like.dtype, device=like.device)) if x is None
            else gl.reshape(x, (-1,)))


def _layout(x: Any) -> str:
    return "BC" + "S" * (x.ndim - 2)


@rule("native_layer_norm")
def _layer_norm(x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    axes = tuple(range(-len(normalized_shape), 0))
    y = FUNCTIONS["layer_norm"](x, normalized_shape, weight, bias, eps)
    return y, *_statistics(detached(x), axes, eps, True)  # without derivative, in torch


@rule("native_group_norm")
def _group_norm(x: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float) -> Any:
    y = FUNCTIONS["group_norm"](gl.reshape(x, (N, C, HxW)), group, weight, bias, eps)
    return gl.reshape(y, x.shape), *_statistics(gl.reshape(x, (N, group, C // group * HxW)), -1, eps, False)


def _statistics(x: Any, axes: Any, eps: float, keepdims: bool) -> tuple[Any, Any]:
    """The mean and the inverse of the standard deviation."""
    variance = gl.var(x, axis=axes, correction=0, keepdims=keepdims)
    return gl.mean(x, axis=axes, keepdims=keepdims), 1 / gl.sqrt(variance + eps)


def _batch_norm(mode: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool,
                momentum: float, eps: float,
                *flags: Any) -> Any:
    """The running statistics are written to, as torch does without saying so."""
    a = array_of(x)
    shape = a.shape
    if len(shape) < 2:
        raise ShapeError(
            f"batch_norm of an array {described(shape, None)} has no axis of channels, at {line_of(user_site())}; "
            "write reshape(x, (1, -1)) for one observation")
    channels = shape[1]
    a = a if a.ndim <= 5 else gl.reshape(a, (*shape[:2], -1))
    offset, scale = _or_constant(array_of(bias), 0.0, channels, a), _or_constant(array_of(weight), 1.0, channels, a)
    if not training:
        y = gl.batchnorm(a, offset, scale, array_of(mean), array_of(variance), epsilon=eps, data_format=_layout(a))
        return gl.reshape(y, shape), _absent(a), _absent(a)
    y, batch_mean, batch_variance = gl.batchnorm(a, offset, scale, epsilon=eps, data_format=_layout(a))
    if mean is not None:
        n = math.prod(a.shape) // max(channels, 1)
        for running, batch in ((mean, batch_mean), (variance, batch_variance * (n / max(n - 1, 1)))):
            mode.put(running, constant(torch.lerp(raw(array_of(running)), raw(batch).to(running.dtype), momentum)))
    return gl.reshape(y, shape), batch_mean, 1 / gl.sqrt(batch_variance + eps)


def _without_statistics(mode: Any, x: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float) -> Any:
    return _batch_norm(mode, x, weight, bias, None, None, training, momentum, eps)


def _legit(mode: Any, x: Any, weight: Any, bias: Any, *rest: Any) -> Any:
    return (_without_statistics(mode, x, weight, bias, *rest) if len(rest) == 3
            else _batch_norm(mode, x, weight, bias, *rest))


def _with_update(mode: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float,
                 eps: float) -> Any:
    y, *statistics = _batch_norm(mode, x, weight, bias, mean, variance, True, momentum, eps)
    return (y, *statistics, constant(torch.empty(0, dtype=torch.uint8, device=x.device)))


def _rrelu(mode: Any, x: Any, noise: Any, lower: Any = 0.125, upper: Any = 1 / 3, training: bool = False,
           generator: Any = None) -> Any:
    """A slope drawn for each element below 0, also written to `noise`; their mean in evaluation."""
    a = array_of(x)
    if not training:
        return gl.leakyrelu(a, (lower + upper) / 2)
    slopes = gl.where(constant(a._value > 0), 1.0, gl.rand(a.shape, dtype=a.dtype, device=a.device)
                      * (upper - lower) + lower)
    mode.put(noise, slopes)
    return a * slopes


WRITERS.update(rrelu_with_noise=_rrelu, _batch_norm_with_update=_with_update,
               native_batch_norm=_batch_norm, cudnn_batch_norm=_batch_norm, miopen_batch_norm=_batch_norm,
               _native_batch_norm_legit=_legit)


# ----- pooling -----


def _max_pool(d: int) -> None:
    def pooled(x: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
               ceil_mode: bool = False) -> Any:
        size, pads = per_axis(kernel_size, d), per_axis(padding, d)
        strides = per_axis(stride, d) if stride else size
        if any(n != 1 for n in per_axis(dilation, d)) or any(2 * p > n for n, p in zip(size, pads, strict=True)):
            return _picked(func, d, x, kernel_size, stride, padding, dilation, ceil_mode)
        pairs = tuple((p, _behind(n, k, s, p, ceil_mode))
                      for n, k, s, p in zip(x.shape[-d:], size, strides, pads, strict=True))
        y, where, _ = gl.maxpool(x, size, stride=strides, padding=pairs, return_indices=True,
                                 data_format="B" * (x.ndim - d - 1) + "C" + "S" * d)
        return y, where

    func = getattr(aten, f"max_pool{d}d_with_indices")
    rule(f"max_pool{d}d_with_indices")(pooled)
    for name in (f"adaptive_max_pool{d}d", f"fractional_max_pool{d}d"):
        rule(name)(functools.partial(_picked, getattr(aten, name), d))


def _behind(n: int, size: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """The padding behind an axis: as before it, or as far as the last window reaches, which starts in the array or in
    the padding before it."""
    if not ceil_mode:
        return padding
    last = -(-(n + 2 * padding - size) // stride) * stride
    last -= stride if last >= n + padding else 0
    return max(last + size - n - padding, 0)


def _picked(func: Any, d: int, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Windows that our own pooling does not have: the elements at the places that torch finds."""
    where = func(x._value, *[raw(a) for a in args], **kwargs)[1]
    return OPERATIONS["pool_pick"].apply((x,), {"place": where, "d": d}), constant(where)


for _d in (2, 3):
    _max_pool(_d)


@rule("max_unpool2d", "max_unpool3d")
def _max_unpool(x: Any, indices: Any, output_size: Any, *rest: Any) -> Any:
    """Zeros, and values at their places; of several at one place the last."""
    d = len(output_size)
    lead, count = tuple(x.shape[:x.ndim - d]), math.prod(output_size)
    rows = torch.arange(math.prod(lead), device=x.device).reshape(-1, 1) * count
    where = raw(indices).reshape(math.prod(lead), -1) + rows
    zeros = constant(torch.zeros((*lead, *output_size), dtype=x.dtype, device=x.device))
    return put_at(zeros, where.reshape(x.shape), x)


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def _adaptive_avg_pool(x: Any, output_size: Any) -> Any:
    return averaged(x, tuple(output_size))


def _resized(name: str) -> None:
    def resized(x: Any, output_size: Any, *rest: Any) -> Any:
        after = len(getattr(aten, name).default._schema.arguments) - 2
        return OPERATIONS["resize"].apply((x,), {"kernel": name, "size": tuple(output_size),
                                                 "rest": (*rest, *[None] * (after - len(rest)))})

    rule(f"{name}.default")(resized)


for _d in (1, 2, 3):
    for _name in ("upsample_nearest", "_upsample_nearest_exact"):
        _resized(f"{_name}{_d}d")
for _name in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
              "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"):
    _resized(_name)


# ----- attention -----


@rule("_fused_sdp_choice")
def _fused_choice(*args: Any, **kwargs: Any) -> int:
    return 0  # made of matrix products and a softmax


@rule("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention",
      "_scaled_dot_product_flash_attention")
def _attention(q: Any, k: Any, v: Any, dropout_p: float = 0.0, is_causal: bool = False, *,
               attn_mask: Any = None, scale: Any = None) -> Any:
    return FUNCTIONS["scaled_dot_product_attention"](q, k, v, attn_mask, dropout_p, is_causal, scale, True), _absent(q)


# ----- recurrent layers: torch's fused kernel for one layer and direction -----


@rule("mkldnn_rnn_layer")
def _rnn_layer(x: Any, input_weights: Any, recurrent_weights: Any, input_bias: Any, recurrent_bias: Any,
               hx: Any, cx: Any, reverse: bool, batch_sizes: Any,
               mode: int, hidden_size: int, num_layers: int, has_biases: bool, bidirectional: bool,
               batch_first: bool, train: bool) -> Any:
    if mode != 2 or num_layers != 1 or batch_sizes:
        raise TypeRefused(f"this fused recurrent kernel has no derivative in gradloom, at {line_of(user_site())}; "
                          "write torch.backends.mkldnn.enabled = False")
    bias = (input_bias + recurrent_bias if has_biases
            else constant(torch.zeros(4 * hidden_size, dtype=x.dtype, device=x.device)))
    x = gl.flip(x, axis=0) if reverse else x
    y, h, c = gl.lstm(x, hx, cx, input_weights, recurrent_weights, bias, data_format="TBC")
    y = gl.flip(y, axis=0) if reverse else y
    return y, gl.reshape(h, hx.shape), gl.reshape(c, cx.shape), _absent(x)


def _recurrent(step: Any, states: int, gates: int) -> Any:
    """torch.lstm and torch.gru: layers of one direction or two, time first or second."""

    def layers(x: Any, hx: Any, weights: Any, has_biases: bool, num_layers: int, dropout: float,
               train: bool, bidirectional: bool,
               batch_first: bool) -> Any:
        hx = hx if states > 1 else (hx,)
        each, ways = 4 if has_biases else 2, 2 if bidirectional else 1
        if len(weights) != num_layers * ways * each or x.ndim != 3:
            return NotImplemented  # projections
        x = gl.permute_dims(x, (1, 0, 2)) if batch_first else x
        ends: list[Any] = []
        for layer in range(num_layers):
            sides = []
            for way in range(ways):
                k = layer * ways + way
                w, r, *biases = weights[k * each:(k + 1) * each]
                biases = biases or [constant(torch.zeros(gates * hx[0].shape[-1], dtype=x.dtype, device=x.device))] * 2
                seq = gl.flip(x, axis=0) if way else x
                y, *end = step(seq, *[h[k] for h in hx], w, r, *biases)
                sides.append(gl.flip(y, axis=0) if way else y)
                ends.append(end)
            x = gl.concat(sides, axis=-1) if ways > 1 else sides[0]
            if dropout and train and layer < num_layers - 1:
                x = gl.dropout(x, dropout)
        x = gl.permute_dims(x, (1, 0, 2)) if batch_first else x
        return (x, *[gl.stack([end[j] for end in ends]) for j in range(states)])

    return layers


def _lstm(x: Any, h: Any, c: Any, w: Any, r: Any, input_bias: Any, recurrent_bias: Any) -> Any:
    return gl.lstm(x, h, c, w, r, input_bias + recurrent_bias, data_format="TBC")


def _gru(x: Any, h: Any, w: Any, r: Any, input_bias: Any, recurrent_bias: Any) -> Any:
    return gl.gru(x, h, w, r, gl.concat([input_bias, recurrent_bias]),
                  reset_gate_mode="recurrent-bias-after-multiplication", data_format="TBC")


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Torch refuses two types, which this library would promote."""
    if any(a.dtype is not x.dtype for a in (weight, bias) if a is not None):
        return NotImplemented
    return FUNCTIONS["linear"](x, weight, bias)


WHOLE.update(linear=_linear, lstm=_recurrent(_lstm, 2, 4), gru=_recurrent(_gru, 1, 3))
WHOLE.update({name: FUNCTIONS[name] for name in ("layer_norm", "group_norm", "scaled_dot_product_attention",
                                                 "cosine_similarity")},
             ctc_loss=FUNCTIONS["nn.functional.ctc_loss"])
