"""What torch's losses record."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.array import dlarray, raw
from ...core.errors import TypeRefused, line_of, user_site
from ...core.tables import OPERATIONS
from ..protocol import array, constant, gl
from .neural import FUNCTIONS
from .table import of_functional, of_torch, only


def _reduced(loss: Any, reduction: str) -> Any:
    return loss if reduction == "none" else gl.mean(loss) if reduction == "mean" else gl.sum(loss)


def _loss(name: str) -> Any:
    def declare(element: Any) -> Any:
        def call(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
                 **options: Any) -> Any:
            only(size_average=(size_average, None), reduce=(reduce, None))
            weight = options.pop("weight", None)
            loss = element(input, target, **options)
            return _reduced(loss if weight is None else loss * weight, reduction)

        FUNCTIONS[f"nn.functional.{name}"] = call
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


@of_functional
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    smooth = FUNCTIONS["nn.functional.smooth_l1_loss"]
    return smooth(input, target, reduction=reduction, beta=delta, weight=weight) * delta


@of_functional
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, size_average: Any = None,
                         reduce: Any = None, reduction: str = "mean") -> Any:
    target = array(target)
    loss = -(target * gl.maximum(gl.log(input), -100.0) + (1 - target) * gl.maximum(gl.log1p(-input), -100.0))
    return _reduced(loss if weight is None else loss * weight, reduction)


@of_functional
def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None, size_average: Any = None,
                                     reduce: Any = None,
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


@of_functional
def kl_div(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
           log_target: bool = False) -> Any:
    target = array(target)
    loss = gl.exp(target) * (target - input) if log_target else FUNCTIONS["xlogy"](target, target) - target * input
    return (gl.sum(loss) / (input.shape[0] if input.ndim else 1) if reduction == "batchmean"
            else _reduced(loss, reduction))


@of_functional
def nll_loss(input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
             reduce: Any = None,
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


@of_functional
def cross_entropy(input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
                  reduce: Any = None,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    only(label_smoothing=(label_smoothing, 0.0))
    target = array(target)
    if input.ndim == 2 and input.shape[
            0] and weight is None and reduction != "none" and target.dtype is torch.int64 and target.ndim == 1 and (
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


@of_torch
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Lengths are of the arrays as they meet: an axis of size 1 is as long as the other's."""
    x1, x2 = FUNCTIONS["broadcast_tensors"](x1, x2)
    lengths = gl.maximum(gl.norm(x1, axis=dim), eps) * gl.maximum(gl.norm(x2, axis=dim), eps)
    return gl.sum(gl.multiply(x1, x2), axis=dim) / lengths


@of_torch
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return FUNCTIONS["linalg.vector_norm"](gl.subtract(x1, x2) + eps, p, -1, keepdim)


@of_functional
def ctc_loss(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: Any = "mean",
             zero_infinity: bool = False) -> Any:
    """As torch has it, with the derivative in what went into log_softmax; of other numbers than its results that would
    be none."""
    x = gl.stripdims(array(log_probs))
    steps, sizes = (torch.as_tensor(raw(n), dtype=torch.int64, device=x.device).reshape(-1)
                    for n in (input_lengths, target_lengths))
    words = torch.as_tensor(raw(targets), device=x.device).to(torch.int64)
    single = x.ndim == 2
    x = gl.expand_dims(x, axis=1) if single else x
    within = torch.arange(x.shape[0], device=x.device)[:, None] < steps
    if x.size and bool((raw(x).logsumexp(-1).abs() > 1e-3).logical_and(within).any()):
        raise TypeRefused(
            f"ctc_loss takes the results of log_softmax, and these do not sum to 1, at {line_of(user_site())}; torch's "
            "derivative is that of the numbers before log_softmax: write x.log_softmax(-1)")
    if words.ndim == 1:  # one after the other
        words = torch.nn.utils.rnn.pad_sequence(list(words.split(sizes.tolist())), batch_first=True,
                                                padding_value=blank)
    y = OPERATIONS["ctc"].apply((x, constant(words.contiguous()), constant(steps), constant(sizes)),
                                {"blank": blank, "from_logits": True})
    y = gl.where(constant(raw(y) == math.inf), 0.0, y) if zero_infinity else y
    if reduction in ("mean", 1):
        return gl.mean(y / constant(sizes.clamp(min=1).to(y.dtype)))
    return gl.sum(y) if reduction in ("sum", 2) else y[0] if single else y
