"""What the functions of torch.nn.functional record."""
from __future__ import annotations

import math
from typing import Any

import torch

from ..core.array import dlarray, labels_of
from .protocol import Unsupported, array, cast, gl
from .torch_table import FUNCTIONS, of_torch, only

# ----- activations -----


def _activation(name: str) -> Any:
    return lambda input, inplace=False: getattr(gl, name)(input)


for _name in ("relu", "silu", "mish"):
    FUNCTIONS[_name] = _activation(_name)
FUNCTIONS["mish"] = lambda input, inplace=False: input * gl.tanh(gl.softplus(input))
FUNCTIONS["relu6"] = lambda input, inplace=False: gl.clip(input, 0.0, 6.0)
FUNCTIONS["hardtanh"] = lambda input, min_val=-1.0, max_val=1.0, inplace=False: gl.clip(input, min_val, max_val)
FUNCTIONS["leaky_relu"] = lambda input, negative_slope=0.01, inplace=False: gl.leakyrelu(input, negative_slope)
FUNCTIONS["elu"] = lambda input, alpha=1.0, inplace=False: gl.elu(input, alpha)
FUNCTIONS["gelu"] = lambda input, *, approximate="none": gl.gelu(input, approximation=approximate)
FUNCTIONS["selu"] = lambda input, inplace=False: 1.0507009873554804934193349852946 * gl.elu(input, 1.6732632423543772848170429916717)
FUNCTIONS["celu"] = lambda input, alpha=1.0, inplace=False: alpha * gl.elu(input / alpha)
FUNCTIONS["logsigmoid"] = lambda input: -gl.softplus(-input)
FUNCTIONS["log_sigmoid"] = FUNCTIONS["logsigmoid"]
FUNCTIONS["hardsigmoid"] = lambda input, inplace=False: gl.clip(input / 6 + 0.5, 0.0, 1.0)
FUNCTIONS["hardswish"] = lambda input, inplace=False: input * gl.clip(input / 6 + 0.5, 0.0, 1.0)
FUNCTIONS["softsign"] = lambda input: input / (1 + gl.abs(input))
FUNCTIONS["tanhshrink"] = lambda input: input - gl.tanh(input)
FUNCTIONS["threshold"] = lambda input, threshold, value, inplace=False: gl.where(input > threshold, input, value)
FUNCTIONS["softplus"] = lambda input, beta=1.0, threshold=20.0: gl.softplus(input * beta) / beta if beta != 1 else gl.softplus(input)
FUNCTIONS["softmax"] = lambda input, dim=None, _stacklevel=3, dtype=None: gl.softmax(cast(input, dtype), axis=_axis(input, dim))
FUNCTIONS["softmin"] = lambda input, dim=None, _stacklevel=3, dtype=None: gl.softmax(-cast(input, dtype), axis=_axis(input, dim))
FUNCTIONS["log_softmax"] = lambda input, dim=None, _stacklevel=3, dtype=None: gl.log_softmax(cast(input, dtype), axis=_axis(input, dim))
FUNCTIONS["special.softmax"], FUNCTIONS["special.log_softmax"] = FUNCTIONS["softmax"], FUNCTIONS["log_softmax"]


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
    y = gl.matmul(input, gl.matrix_transpose(weight)) if labels_of(array(input)) is not None or array(weight).ndim != 2 or input.ndim < 2 else (
        gl.fullyconnect(input, weight, bias, data_format="B" * (input.ndim > 1) + "T" * (input.ndim > 2) + "C") if input.ndim <= 3 else None)
    if y is None:
        flat = gl.reshape(input, (-1, input.shape[-1]))
        return gl.reshape(linear(flat, weight, bias), (*input.shape[:-1], weight.shape[0]))
    return y if bias is None or input.ndim >= 2 and labels_of(array(input)) is None else gl.add(y, bias)


@of_torch
def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
                                 scale: float | None = None, enable_gqa: bool = False) -> Any:
    only(enable_gqa=(enable_gqa, False))
    scores = gl.matmul(query, gl.matrix_transpose(key)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        attn_mask = array(attn_mask)
        scores = gl.where(attn_mask, scores, -math.inf) if attn_mask.dtype is torch.bool else scores + attn_mask
    weights = gl.softmax(scores, axis=-1)
    return gl.matmul(gl.dropout(weights, dropout_p) if dropout_p else weights, value)


@of_torch
def embedding(input: Any, weight: Any, padding_idx: Any = None, max_norm: Any = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
              sparse: bool = False) -> Any:
    if padding_idx is not None and padding_idx != -1:
        raise Unsupported("padding_idx")
    only(max_norm=(max_norm, None), scale_grad_by_freq=(scale_grad_by_freq, False))
    ids = array(input)
    return gl.reshape(gl.take(weight, gl.reshape(ids, (-1,)), axis=0), (*ids.shape, array(weight).shape[-1]))


# ----- windows -----


def _images(x: Any, d: int) -> str | None:
    """What the axes of unlabelled input are; labelled input says so itself."""
    if labels_of(array(x)) is not None:
        return None
    return ("B" if x.ndim == d + 2 else "") + "C" + "S" * d


def _sizes(option: Any) -> Any:
    return option if isinstance(option, (int, str)) else tuple(option) if len(option) > 1 else option[0]


def _windows(d: int) -> None:
    def convolution(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
        padding = 0 if padding == "valid" else _sizes(padding)
        return gl.dlconv(input, weight, bias, stride=_sizes(stride), padding=padding, dilation_factor=_sizes(dilation),
                         data_format=_images(input, d))

    def maxpool(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
                return_indices: bool = False) -> Any:
        only(ceil_mode=(ceil_mode, False), return_indices=(return_indices, False))
        if any(n != 1 for n in ((dilation,) if isinstance(dilation, int) else dilation)):
            raise Unsupported("dilation")
        return gl.maxpool(input, _sizes(kernel_size), stride=_sizes(stride or kernel_size), padding=_sizes(padding), data_format=_images(input, d))

    def avgpool(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
                divisor_override: Any = None) -> Any:
        only(ceil_mode=(ceil_mode, False), divisor_override=(divisor_override, None))
        return gl.avgpool(input, _sizes(kernel_size), stride=_sizes(stride or kernel_size), padding=_sizes(padding),
                          padding_value=0 if count_include_pad else "mean", data_format=_images(input, d))

    def adaptive(pool: str) -> Any:
        def call(input: Any, output_size: Any, return_indices: bool = False) -> Any:
            sizes = (output_size,) * d if isinstance(output_size, int) else tuple(output_size)
            if sizes != (1,) * d or return_indices:
                raise Unsupported("output_size")
            return getattr(gl, pool)(input, axis=tuple(range(-d, 0)), keepdims=True)

        return call

    FUNCTIONS[f"conv{d}d"], FUNCTIONS[f"max_pool{d}d"], FUNCTIONS[f"avg_pool{d}d"] = convolution, maxpool, avgpool
    FUNCTIONS[f"adaptive_avg_pool{d}d"], FUNCTIONS[f"adaptive_max_pool{d}d"] = adaptive("mean"), adaptive("max")


for _d in (1, 2, 3):
    _windows(_d)


@of_torch
def pad(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    only(mode=(mode, "constant"))
    if min(pad) < 0:
        raise Unsupported("pad")
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2) + [(pad[k], pad[k + 1]) for k in range(len(pad) - 2, -1, -2)]
    padded = gl.pad(input, tuple(pairs))
    return padded if not value else gl.where(gl.pad(gl.ones(input.shape), tuple(pairs)) == 1, padded, value)


# ----- normalization -----


@of_torch
def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enable: bool = True) -> Any:
    shape = tuple(normalized_shape)
    n = math.prod(shape)
    labels = labels_of(array(input))
    x = gl.stripdims(array(input))
    if len(shape) > 1:
        x, weight, bias = gl.reshape(x, (-1, n)), weight if weight is None else gl.reshape(weight, (n,)), bias if bias is None else gl.reshape(bias, (n,))
    scale = gl.ones((n,), like=x) if weight is None else weight
    offset = gl.zeros((n,), like=x) if bias is None else bias
    y = gl.layernorm(x, offset, scale, epsilon=eps, data_format="U" * (x.ndim - 1) + "C")
    if len(shape) > 1:
        y = gl.reshape(y, tuple(input.shape))
    return y if labels is None else dlarray(y, labels)


def _channels(x: Any, weight: Any, bias: Any) -> tuple[Any, Any, str | None]:
    x = array(x)
    layout = None if labels_of(x) is not None else "BC" + "S" * (x.ndim - 2)
    n = x.shape[(labels_of(x) or layout or "").index("C")]
    return (gl.zeros((n,), like=x) if bias is None else bias), (gl.ones((n,), like=x) if weight is None else weight), layout


@of_torch
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: bool = True) -> Any:
    offset, scale, layout = _channels(input, weight, bias)
    return gl.groupnorm(input, num_groups, offset, scale, epsilon=eps, data_format=layout)


@of_torch
def batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Any:
    offset, scale, layout = _channels(input, weight, bias)
    if not training:
        return gl.batchnorm(input, offset, scale, running_mean, running_var, epsilon=eps, data_format=layout)
    if running_mean is not None:
        raise Unsupported("running_mean in training: it would be written to")
    return gl.batchnorm(input, offset, scale, epsilon=eps, data_format=layout)[0]


FUNCTIONS["nn.functional.batch_norm"] = FUNCTIONS.pop("batch_norm")  # torch.batch_norm has another order


@of_torch
def instance_norm(input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    only(use_input_stats=(use_input_stats, True), running_mean=(running_mean, None))
    offset, scale, layout = _channels(input, weight, bias)
    return gl.instancenorm(input, offset, scale, epsilon=eps, data_format=layout)


FUNCTIONS["nn.functional.instance_norm"] = FUNCTIONS.pop("instance_norm")


# ----- losses -----


def _reduced(loss: Any, reduction: str) -> Any:
    return loss if reduction == "none" else gl.mean(loss) if reduction == "mean" else gl.sum(loss)


def _loss(name: str) -> Any:
    def declare(element: Any) -> Any:
        def call(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", **options: Any) -> Any:
            only(size_average=(size_average, None), reduce=(reduce, None))
            weight = options.pop("weight", None)
            loss = element(input, target, **options)
            return _reduced(loss if weight is None else loss * weight, reduction)

        FUNCTIONS[name] = call
        return element

    return declare


@_loss("mse_loss")
def _squared(y: Any, target: Any) -> Any:
    return gl.square(gl.subtract(y, target))


@_loss("l1_loss")
def _absolute(y: Any, target: Any) -> Any:
    return gl.abs(gl.subtract(y, target))


@_loss("smooth_l1_loss")
def _smooth(y: Any, target: Any, beta: float = 1.0) -> Any:
    distance = gl.abs(gl.subtract(y, target))
    return gl.where(distance < beta, 0.5 / beta * gl.square(distance), distance - 0.5 * beta) if beta else distance


FUNCTIONS["huber_loss"] = lambda input, target, reduction="mean", delta=1.0, weight=None: FUNCTIONS["smooth_l1_loss"](
    input, target, reduction=reduction, beta=delta, weight=weight) * delta


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Any:
    target = array(target)
    loss = -(target * gl.maximum(gl.log(input), -100.0) + (1 - target) * gl.maximum(gl.log1p(-input), -100.0))
    return _reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
                                     reduction: str = "mean", pos_weight: Any = None) -> Any:
    target = array(target)
    alike = tuple(target.shape) == tuple(input.shape) and target.dtype == input.dtype and math.prod(input.shape) > 0
    if alike and weight is None and pos_weight is None and reduction != "none":  # one operation
        x, t = (gl.stripdims(gl.reshape(a, (1, -1))) for a in (array(input), target))
        return gl.crossentropy(x, t, classification_mode="multilabel", from_logits=True, data_format="BC",
                               normalization_factor="all-elements" if reduction == "mean" else "none")
    per_positive = 1 if pos_weight is None else 1 + (gl.subtract(pos_weight, 1)) * target
    loss = (1 - target) * input + per_positive * gl.softplus(-input)
    return _reduced(loss if weight is None else loss * weight, reduction)


def kl_div(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False) -> Any:
    target = array(target)
    loss = gl.exp(target) * (target - input) if log_target else FUNCTIONS["xlogy"](target, target) - target * input
    return gl.sum(loss) / input.shape[0] if reduction == "batchmean" else _reduced(loss, reduction)


def nll_loss(input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
             reduction: str = "mean") -> Any:
    """The log-probabilities (B, C, ...) at the target classes (B, ...)."""
    target = array(target)._value
    x = input if input.ndim == 1 else gl.reshape(gl.moveaxis(gl.stripdims(array(input)), 1, -1), (-1, input.shape[1]))
    ids = target.reshape(-1)
    kept = ids != ignore_index
    ids = torch.where(kept, ids, 0)
    picked = x[ids] if x.ndim == 1 else x[torch.arange(ids.numel(), device="cpu"), ids]
    w = gl.astype(dlarray(kept), input.dtype) if weight is None else gl.take(weight, ids, axis=0) * dlarray(kept)
    loss = -picked * w
    if reduction == "mean":
        return gl.sum(loss) / gl.sum(w)
    return gl.sum(loss) if reduction == "sum" else gl.reshape(loss, tuple(target.shape))


def cross_entropy(input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    only(label_smoothing=(label_smoothing, 0.0))
    target = array(target)
    if input.ndim == 2 and input.shape[0] and weight is None and reduction != "none" and target.dtype is torch.int64 and target.ndim == 1 and (
            not bool((target._value == ignore_index).any())):  # one operation
        return gl.crossentropy(gl.stripdims(array(input)), target, from_logits=True, data_format="BC",
                               normalization_factor="batch-size" if reduction == "mean" else "none")
    logarithm = gl.log_softmax(input, axis=0 if input.ndim == 1 else 1)
    if not target.dtype.is_floating_point:
        return nll_loss(logarithm, target, weight, ignore_index=ignore_index, reduction=reduction)
    axis = 0 if input.ndim == 1 else 1
    products = logarithm * target
    if weight is not None:
        products = products * gl.reshape(weight, tuple(-1 if k == axis else 1 for k in range(input.ndim)))
    loss = -gl.sum(products, axis=axis)
    return gl.sum(loss) / (math.prod(loss.shape) or math.nan) if reduction == "mean" else _reduced(loss, reduction)


for _function in (binary_cross_entropy, binary_cross_entropy_with_logits, kl_div, nll_loss, cross_entropy):
    FUNCTIONS[f"nn.functional.{_function.__name__}"] = _function


@of_torch
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    lengths = gl.maximum(gl.norm(x1, axis=dim), eps) * gl.maximum(gl.norm(x2, axis=dim), eps)
    return gl.sum(gl.multiply(x1, x2), axis=dim) / lengths


@of_torch
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return FUNCTIONS["linalg.vector_norm"](gl.subtract(x1, x2) + eps, p, -1, keepdim)
