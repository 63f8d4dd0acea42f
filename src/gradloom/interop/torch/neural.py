"""What the functions of torch.nn.functional record."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.array import dlarray, labels_of, raw
from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ...core.tables import OPERATIONS
from ...core.trace import selected
from ...machine.dtypes import broadcast_shapes, differentiable
from ...operations.elementwise.hard_activations import hardsigmoid, hardswish, hardtanh
from ...operations.matrices.affine import along_last
from ...operations.neural.pooling.adaptive import averaged
from ..protocol import Unsupported, array, cast, constant, gl
from .products import FUNCTIONS
from .table import of_functional, of_torch, only

# ----- activations -----


# on the bounds their slope is 0, that of `clamp` 1
FUNCTIONS["hardtanh"] = lambda input, min_val=-1.0, max_val=1.0, inplace=False: hardtanh(input, min_val, max_val)
FUNCTIONS["relu6"] = lambda input, inplace=False: hardtanh(input, 0.0, 6.0)
FUNCTIONS["hardsigmoid"] = lambda input, inplace=False: hardsigmoid(input)
FUNCTIONS["hardswish"] = lambda input, inplace=False: hardswish(input)
FUNCTIONS["mish"] = lambda input, inplace=False: input * gl.tanh(gl.softplus(input))
FUNCTIONS["leaky_relu"] = lambda input, negative_slope=0.01, inplace=False: gl.leakyrelu(input, negative_slope)
FUNCTIONS["gelu"] = lambda input, *, approximate="none": gl.gelu(input, approximation=approximate)
FUNCTIONS["selu"] = lambda input, inplace=False: elu(input, 1.6732632423543772848170429916717,
                                                     1.0507009873554804934193349852946)
FUNCTIONS["logsigmoid"] = lambda input: -gl.softplus(-input)
FUNCTIONS["log_sigmoid"] = FUNCTIONS["logsigmoid"]
FUNCTIONS["softsign"] = lambda input: input / (1 + gl.abs(input))
FUNCTIONS["tanhshrink"] = lambda input: input - gl.tanh(input)
FUNCTIONS["threshold"] = lambda input, threshold, value, inplace=False: gl.where(
    constant(raw(input) > threshold), input, value)


@of_torch
def elu(input: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0, inplace: bool = False) -> Any:
    """scale x, below 0 scale alpha (exp(input_scale x) - 1)."""
    if input_scale != 1:
        raise Unsupported("input_scale")
    y = gl.elu(input, alpha)
    return y if scale == 1 else y * scale


@of_torch
def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x, below 0 alpha (exp(x / alpha) - 1)."""
    above = constant(raw(input) > 0)
    return gl.where(above, input, alpha * gl.expm1(gl.where(above, 0.0, input) / alpha))


@of_torch
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; x itself where beta x is above the threshold."""
    y = gl.softplus(input) if beta == 1 else gl.softplus(input * beta) / beta
    beyond = raw(input) * beta > threshold
    return gl.where(constant(beyond), input, y) if bool(beyond.any()) else y


@of_torch
def softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    x = cast(input, dtype)
    return gl.softmax(x, axis=_axis(x, dim)) if x.ndim else gl.exp(x - x)


@of_torch
def log_softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    x = cast(input, dtype)
    return gl.log_softmax(x, axis=_axis(x, dim)) if x.ndim else x - x


FUNCTIONS["softmin"] = lambda input, dim=None, _stacklevel=3, dtype=None: softmax(-input, dim, dtype=dtype)
FUNCTIONS["special.softmax"], FUNCTIONS["special.log_softmax"] = softmax, log_softmax


def _axis(x: Any, dim: Any) -> Any:
    return dim if dim is not None else 0 if x.ndim in (0, 1, 3) else 1


@of_torch
def glu(input: Any, dim: int = -1) -> Any:
    a, b = FUNCTIONS["chunk"](input, 2, dim)
    return a * gl.sigmoid(b)


@of_torch
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    return input / gl.maximum(FUNCTIONS["linalg.vector_norm"](input, p, dim, True), eps)


@of_torch
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    return gl.dropout(input, p) if training else array(input)


# ----- products -----


@of_torch
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """One operation on unlabelled arrays; labelled ones keep their labels."""
    x, w = array(input), array(weight)
    fits = w.ndim == 2 and x.ndim > 0 and x.shape[-1] == w.shape[1] and x.dtype is w.dtype
    if not fits or labels_of(x) is not None or labels_of(w) is not None:
        y = gl.matmul(x, gl.matrix_transpose(w) if w.ndim > 1 else w)
        return y if bias is None else gl.add(y, bias)
    b = None if bias is None else array(bias)
    if b is not None and (b.shape != w.shape[:1] or b.dtype is not x.dtype or labels_of(b) is not None):
        return gl.add(linear(x, w), b)
    return along_last(x, w, b)


@of_torch
def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False,
                                 scale: float | None = None, enable_gqa: bool = False) -> Any:
    """softmax(query key' scale + mask) value; a query that no key is open to gives 0, with derivative 0."""
    q, k, v = (gl.stripdims(array(x)) for x in (query, key, value))
    if enable_gqa:
        k, v = (x if x.shape[-3] == q.shape[-3] else gl.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    bias = None if attn_mask is None else gl.stripdims(array(attn_mask))
    if bias is not None or is_causal:
        selected(q, k, v)
    if bias is not None and bias.dtype is torch.bool:
        bias = gl.where(bias, 0.0, constant(torch.full((), -math.inf, dtype=q.dtype, device=q.device)))
    if not dropout_p:
        if (bias is None and len(q.shape) == 4 and q.shape[:2] == k.shape[:2] == v.shape[:2]):
            # quick way, nothing to broadcast; the plain one is below
            return OPERATIONS["attention"].apply((q, k, v, None), {"scale": float(scale), "causal": bool(is_causal)})
        lead = broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2], () if bias is None else bias.shape[:-2])
        heads = (1,) * (2 - len(lead)) + (math.prod(lead[:-1]) if len(lead) > 2 else lead[0] if len(lead) == 2 else 1,
                                          *lead[-1:])
        heads = heads if len(lead) else (1, 1)

        def four(x: Any) -> Any:
            """As (batch, heads, positions, channels)."""
            x = x if x.shape[:-2] == lead else gl.broadcast_to(x, (*lead, *x.shape[-2:]))
            return x if x.ndim == 4 else gl.reshape(x, (*heads[-2:], *x.shape[-2:]))

        y = OPERATIONS["attention"].apply((four(q), four(k), four(v), None if bias is None
                                           else _score_bias(bias, q, k, four)),
                                          {"scale": float(scale), "causal": bool(is_causal)})
        return y if len(lead) == 2 else gl.reshape(y, (*lead, *y.shape[-2:]))
    scores = gl.matmul(q * scale, gl.matrix_transpose(k))
    weights = OPERATIONS["attention_weights"].apply((scores if bias is None else scores + bias,),
                                                    {"causal": bool(is_causal)})
    return gl.matmul(gl.dropout(weights, dropout_p), v)


def _score_bias(bias: Any, q: Any, k: Any, four: Any) -> Any:
    bias = gl.broadcast_to(bias, (*bias.shape[:-2], q.shape[-2], k.shape[-2]))
    return four(gl.astype(bias, q.dtype) if bias.dtype is not q.dtype else bias)


@of_functional
def embedding(input: Any, weight: Any, padding_idx: Any = None, max_norm: Any = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False,
              sparse: bool = False) -> Any:
    if padding_idx is not None:
        raise Unsupported("padding_idx")
    only(max_norm=(max_norm, None), scale_grad_by_freq=(scale_grad_by_freq, False))
    ids = array(input)
    if type(weight) is dlarray and weight._labels is None and weight.ndim == 2 and not differentiable(ids.dtype):
        # quick way; the plain one is below
        rows = OPERATIONS["take"].apply((weight,), {"where": ids._value.reshape(-1), "axis": -2})
        return OPERATIONS["reshape"].apply((rows,), {"shape": (*ids.shape, weight.shape[1])})
    return gl.reshape(gl.take(weight, gl.reshape(ids, (-1,)), axis=0), (*ids.shape, array(weight).shape[-1]))


# ----- windows -----


def _images(x: Any, d: int) -> str | None:
    """What the axes of unlabelled input are; labelled input says so itself."""
    if labels_of(array(x)) is not None:
        return None
    return ("B" if x.ndim == d + 2 else "") + "C" + "S" * d


def _sizes(option: Any) -> Any:
    return option if isinstance(option, (int, str)) else tuple(option) if len(option) > 1 else option[0]


def per_axis(numbers: Any, d: int) -> tuple[int, ...]:
    """An option for each spatial axis."""
    numbers = tuple(numbers) if isinstance(numbers, (list, tuple)) else (numbers,)
    return numbers * d if len(numbers) == 1 else numbers


def _mean_pool(x: Any, size: Any, strides: Any, pads: Any, ceil_mode: bool, count_include_pad: bool,
               divisor: Any) -> Any:
    """Means over windows; where the last ones reach beyond the padding, or another divisor counts, means of a padded
    array, rescaled."""
    d = len(size)
    if not ceil_mode and divisor is None:
        return OPERATIONS["avgpool"].apply((x,), {"size": size, "stride": strides, "padding": pads,
                                                  "count_padding": count_include_pad})
    outline = raw(x).new_ones((1, *x.shape[-d:]))
    if d == 1:  # torch's kernel has no divisor there
        means = torch.nn.functional.avg_pool1d(outline, size, strides, pads, ceil_mode, count_include_pad)
    else:
        means = getattr(torch.ops.aten, f"avg_pool{d}d")(outline, size, strides, pads, ceil_mode,
                                                         count_include_pad, divisor)
    # a window larger than its axis ends with it, so that no array of its size is made
    size = tuple([min(k, n) if o == 1 and p == 0 else k
                  for o, k, n, p in zip(means.shape[1:], size, x.shape[-d:], pads, strict=True)])
    after = [max((o - 1) * s + k - n - p, 0)
             for o, s, k, n, p in zip(means.shape[1:], strides, size, x.shape[-d:], pads, strict=True)]
    widths = [(0, 0), *zip(pads, after, strict=True)]
    params = {"size": size, "stride": strides, "padding": (0,) * d, "count_padding": True}
    plain = OPERATIONS["avgpool"].run((raw(gl.pad(constant(outline), widths)),), params)[0]
    ratio = torch.where(plain == 0, torch.ones_like(plain), means / plain)
    return OPERATIONS["avgpool"].apply((gl.pad(x, [(0, 0)] * (x.ndim - len(widths)) + widths),),
                                       params) * constant(ratio)


def _windows(d: int) -> None:
    def convolution(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                    dilation: Any = 1, groups: int = 1) -> Any:
        if (type(padding) is not str and type(input) is type(weight) is dlarray
            and input._labels is weight._labels is None
            and input.ndim == weight.ndim == d + 2 and input.shape[1] == weight.shape[1] * groups
            and input.dtype is weight.dtype and (bias is None or type(bias) is dlarray and bias.dtype is input.dtype)):
            # quick way; the plain one is below
            return OPERATIONS["dlconv"].apply((input, weight, bias), {
                "stride": per_axis(stride, d), "padding": per_axis(padding, d), "dilation": per_axis(dilation, d),
                "groups": groups})
        padding = 0 if padding == "valid" else _sizes(padding)
        return gl.dlconv(input, weight, bias, stride=_sizes(stride), padding=padding, dilation_factor=_sizes(dilation),
                         data_format=_images(input, d))

    def maxpool(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                ceil_mode: bool = False,
                return_indices: bool = False) -> Any:
        only(ceil_mode=(ceil_mode, False), return_indices=(return_indices, False))
        if any(n != 1 for n in ((dilation,) if isinstance(dilation, int) else dilation)):
            raise Unsupported("dilation")
        return gl.maxpool(input, _sizes(kernel_size), stride=_sizes(stride or kernel_size),
                          padding=_sizes(padding), data_format=_images(input, d))

    def avgpool(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                count_include_pad: bool = True,
                divisor_override: Any = None) -> Any:
        size = per_axis(kernel_size, d)
        strides, pads = per_axis(stride, d) if stride not in (None, (), []) else size, per_axis(padding, d)
        if labels_of(array(input)) is not None:
            only(ceil_mode=(ceil_mode, False), divisor_override=(divisor_override, None))
            return gl.avgpool(input, size, stride=strides, padding=pads, padding_value=0 if count_include_pad
                              else "mean")
        x = input if input.ndim > d + 1 else gl.expand_dims(input, axis=0)
        y = _mean_pool(x, size, strides, pads, ceil_mode, count_include_pad, divisor_override)
        return y if input.ndim > d + 1 else gl.squeeze(y, axis=0)

    def adaptive(pool: str) -> Any:
        def call(input: Any, output_size: Any, return_indices: bool = False) -> Any:
            sizes = (output_size,) * d if isinstance(output_size, int) else tuple(output_size)
            if sizes == (1,) * d and not return_indices:
                return getattr(gl, pool)(input, axis=tuple(range(-d, 0)), keepdims=True)
            if pool != "mean" or labels_of(array(input)) is not None or input.ndim not in (d + 1, d + 2):
                raise Unsupported("output_size")
            return averaged(input, tuple([n if m is None else m
                                          for n, m in zip(input.shape[-d:], sizes, strict=True)]))

        return call

    FUNCTIONS[
        f"conv{d}d"], FUNCTIONS[
            f"nn.functional.max_pool{d}d"], FUNCTIONS[f"avg_pool{d}d"] = convolution, maxpool, avgpool
    FUNCTIONS[f"nn.functional.adaptive_avg_pool{d}d"] = adaptive("mean")
    FUNCTIONS[f"nn.functional.adaptive_max_pool{d}d"] = adaptive("max")


for _d in (1, 2, 3):
    _windows(_d)


@of_torch
def pad(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    only(mode=(mode, "constant"))
    if min(pad) < 0:
        raise Unsupported("pad")
    if type(input) is dlarray and input._labels is None and not value:  # quick way; the plain one is below
        around = tuple([(pad[k], pad[k + 1]) for k in range(len(pad) - 2, -1, -2)])
        return OPERATIONS["pad"].apply((input,), {"pairs": around}) if any(pad) else input
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2) + [(pad[k], pad[k + 1]) for k in range(len(pad) - 2, -1, -2)]
    padded = gl.pad(input, tuple(pairs))
    return padded if not value else gl.where(gl.pad(gl.ones(input.shape), tuple(pairs)) == 1, padded, value)


# ----- normalization -----


@of_torch
def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
               cudnn_enable: bool = True) -> Any:
    shape = tuple(normalized_shape)
    if (len(shape) == 1 and type(input) is type(weight) is type(bias) is dlarray and input._labels is None
        and weight.shape == bias.shape == shape == input.shape[-1:] and input.dtype is weight.dtype is bias.dtype
        and input.dtype.is_floating_point):  # quick way; the plain one is below
        return OPERATIONS["layernorm"].apply((input, bias, weight), {"axis": -1, "epsilon": float(eps)})
    n = math.prod(shape)
    labels = labels_of(array(input))
    x = gl.stripdims(array(input))
    if len(shape) > 1:
        x, weight, bias = (gl.reshape(x, (-1, n)), weight if weight is None else gl.reshape(weight, (n,)),
                           bias if bias is None else gl.reshape(bias, (n,)))
    scale = gl.ones((n,), like=x) if weight is None else weight
    offset = gl.zeros((n,), like=x) if bias is None else bias
    y = gl.layernorm(x, offset, scale, epsilon=eps, data_format="U" * (x.ndim - 1) + "C")
    if len(shape) > 1:
        y = gl.reshape(y, tuple(input.shape))
    return y if labels is None else dlarray(y, labels)


def _channels(x: Any, weight: Any, bias: Any) -> tuple[Any, Any, str | None]:
    x = array(x)
    if x.ndim < 2:
        raise ShapeError(
            f"a normalization of channels needs an axis of them, x is {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; write reshape(x, (1, -1)) for one observation")
    layout = None if labels_of(x) is not None else "BC" + "S" * (x.ndim - 2)
    n = x.shape[(labels_of(x) or layout or "").index("C")]
    offset = gl.zeros((n,), like=x) if bias is None else bias
    scale = gl.ones((n,), like=x) if weight is None else weight
    return offset, scale, layout


@of_torch
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
               cudnn_enabled: bool = True) -> Any:
    offset, scale, layout = _channels(input, weight, bias)
    return gl.groupnorm(input, num_groups, offset, scale, epsilon=eps, data_format=layout)


@of_functional
def batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
               training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Any:
    if not training and type(input) is dlarray and input._labels is None and 2 <= input.ndim <= 5 and all(
            [type(p) is dlarray and p.shape == input.shape[1:2] and p.dtype is input.dtype
             for p in (weight, bias, running_mean, running_var)]) and input.dtype.is_floating_point:
        # quick way; the plain one is below
        return OPERATIONS["batchnorm_given"].apply((input, bias, weight, running_mean, running_var),
                                                   {"axis": 1 - input.ndim, "epsilon": float(eps)})
    offset, scale, layout = _channels(input, weight, bias)
    if not training:
        return gl.batchnorm(input, offset, scale, running_mean, running_var, epsilon=eps, data_format=layout)
    if running_mean is not None:
        raise Unsupported("running_mean in training: it would be written to")
    return gl.batchnorm(input, offset, scale, epsilon=eps, data_format=layout)[0]


@of_functional
def instance_norm(input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    only(use_input_stats=(use_input_stats, True), running_mean=(running_mean, None))
    offset, scale, layout = _channels(input, weight, bias)
    return gl.instancenorm(input, offset, scale, epsilon=eps, data_format=layout)
