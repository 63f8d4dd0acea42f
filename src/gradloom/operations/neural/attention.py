"""Scaled dot-product attention with several heads. Its weights are one operation, the whole of it another, which does
not keep them."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.array import dlarray, labels_of, unlabelled
from ...core.declare import general, public
from ...core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described, positions, tidy
from ...core.trace import selected
from ...machine.dtypes import NUMBER_TYPES, Tensor, differentiable
from ..creation.random import check_probability, dropout
from ..elementwise.choice import where
from ..matrices.contraction import layout_of, matmul, promoted_arrays
from ..movement.axes import array, permute_dims, reshape
from ..sums.reduction import sum
from .softmax import floating

aten = torch.ops.aten

# ----- weights: softmax over the last axis of scores that may be -infinity, throughout a row too ----------------------


def _hide_later(scores: Tensor) -> Tensor:
    """-infinity where the key comes after the query, in place."""
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu_(1)
    return scores.masked_fill_(later, -torch.inf)


def _weights_kernel(x: Tensor, causal: bool) -> Tensor:
    if causal:
        x = _hide_later(x.clone())
    if not x.shape[-1]:
        return x.clone()
    empty = torch.amax(x, -1, keepdim=True) == -torch.inf
    return torch.softmax(x, -1).masked_fill_(empty, 0)


def _weights_push(x_dot: Any, y: Any) -> Any:
    vy = x_dot * y
    return vy - sum(vy, axis=-1, keepdims=True) * y


_SOME = torch.tensor([[0.3, -torch.inf, 1.0], [-torch.inf] * 3, [0.0, 0.5, -0.5]], dtype=torch.float64, device="cpu")
_weights = general("attention_weights", _weights_kernel, push=_weights_push,
                   pull=lambda y_bar, y: _weights_push(y_bar, y),
                   fused_pull=lambda y_bar, y: aten._softmax_backward_data(y_bar, y, -1, y.dtype),
                   samples=[((2, 3, 4), {"causal": False}), ((3, 3), {"causal": True}), ((2, 1), {"causal": True}),
                            ((2, 0), {"causal": False}),
                            (_SOME, {"causal": False})], real_only="probabilities are real",
                   opaque=True)  # the kernel writes in place

# ----- attention: q, k, v are (batch, heads, positions, channels); bias is added to the scores, by broadcasting -------


def _fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> bool:
    """Whether torch has a kernel that never writes the weights: on the CPU."""
    return (q.device.type == "cpu" and 0 not in (*q.shape, *v.shape)
            and q.dtype is k.dtype is v.dtype and not q.dtype.is_complex and (bias is None or bias.dtype is q.dtype))


def _rows(x: Tensor, size: int) -> Tensor:
    """x as that kernel takes it: heads of one size, zeros where they were smaller, each in one piece."""
    if x.shape[-1] < size:
        x = torch.constant_pad_nd(x, (0, size - x.shape[-1]))  # which keeps channels_last
    return x if x.stride(-1) == 1 else x.contiguous()


def _attention_kernel(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float,
                      causal: bool) -> tuple[Tensor, Tensor]:
    if _fused(q, k, v, bias):
        d = max(q.shape[-1], v.shape[-1])
        y, logsumexp = aten._scaled_dot_product_flash_attention_for_cpu(
            _rows(q, d), _rows(k, d), _rows(v, d), 0.0, causal, attn_mask=bias, scale=scale)
        return y[..., :v.shape[-1]], logsumexp
    scores = (q * scale) @ k.mT
    return _weights_kernel(scores if bias is None else scores + bias, causal) @ v, q.new_empty(0)


def _transposed(x: Any) -> Any:
    return permute_dims(x, (*range(-x.ndim, -2), -1, -2))


def attention_weights(q: Any, k: Any, bias: Any, scale: float, causal: bool) -> Any:
    """How much each query takes from each key, in library operations."""
    scores = matmul(q * scale, _transposed(k))
    return _weights.apply((scores if bias is None else scores + bias,), {"causal": causal})


def _attention_push(q_dot: Any, k_dot: Any, v_dot: Any, bias_dot: Any, q: Any, k: Any, v: Any,
                    bias: Any, scale: float, causal: bool) -> Any:
    p = attention_weights(q, k, bias, scale, causal)
    parts = []
    if q_dot is not None:
        parts.append(matmul(q_dot, _transposed(k) * scale))
    if k_dot is not None:
        parts.append(matmul(q * scale, _transposed(k_dot)))
    if bias_dot is not None:
        parts.append(bias_dot)
    y_dots = [] if v_dot is None else [matmul(p, v_dot)]
    if parts:
        y_dots.append(matmul(_weights_push(_total(parts), p), v))
    return _total(y_dots)


def _total(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _attention_pull(y_bar: Any, q: Any, k: Any, v: Any, bias: Any, scale: float, causal: bool, wanted: Any) -> Any:
    p = attention_weights(q, k, bias, scale, causal)
    v_bar = matmul(_transposed(p), y_bar) if wanted[2] else None
    if not (wanted[0] or wanted[1] or wanted[3]):
        return None, None, v_bar, None
    s_bar = _weights_push(matmul(y_bar, _transposed(v)), p)
    return (matmul(s_bar, k * scale) if wanted[0] else None, matmul(_transposed(s_bar), q * scale)
            if wanted[1] else None, v_bar,
            s_bar if wanted[3] else None)


def _attention_fused(y_bar: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, y: Tensor,
                     logsumexp: Tensor, scale: float,
                     causal: bool, wanted: Any) -> Any:
    if not logsumexp.numel() or wanted[3]:
        return _attention_pull(y_bar, q, k, v, bias, scale, causal, wanted)
    d = max(q.shape[-1], v.shape[-1])
    bars = aten._scaled_dot_product_flash_attention_for_cpu_backward(
        *(_rows(x, d) for x in (y_bar, q, k, v, y)), logsumexp, 0.0, causal, attn_mask=bias, scale=scale)
    return (*[bar[..., :x.shape[-1]] if want else None
              for bar, x, want in zip(bars, (q, k, v), wanted[:3], strict=True)], None)


_PLAIN = {"scale": 0.6, "causal": False}
_attention = general(
    "attention", _attention_kernel, ("q", "k", "v", "bias"), hidden=("logsumexp",), push=_attention_push,
    pull=_attention_pull,
    fused_pull=_attention_fused, matlab="attention",
    samples=[((2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2), None, _PLAIN),
             ((1, 2, 3, 2), (1, 2, 3, 2), (1, 2, 3, 3), None, _PLAIN | {"causal": True}),
             ((2, 1, 3, 2), (2, 1, 3, 2), (2, 1, 3, 2), _SOME.reshape(1, 1, 3, 3), _PLAIN),
             ((1, 1, 2, 1), (1, 1, 2, 1), (1, 1, 2, 2), (1, 1, 1, 2), _PLAIN),
             ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), None, _PLAIN),
             ((1, 1, 2, 2), (1, 1, 0, 2), (1, 1, 0, 2), None, _PLAIN)],
                     opaque=True)  # torch's has no second derivative, and refuses a bias that broadcasts

# ----- operands -------------------------------------------------------------------------------------------------------


class _Layout:
    """Where an operand's channels, batch and positions are: T, or all S, or all U."""

    def __init__(self, x: Any, data_format: str | None, name: str):
        self.labels = layout_of(x, None if labels_of(x) is not None else data_format, f"attention: {name}")
        rest = set(self.labels) - {"C", "B"}
        if "C" not in self.labels or len(rest) != 1:
            raise LabelError(
                f"attention: {name} {described(x.shape, self.labels)} needs C and positions, which are T, or S, or U, "
                f"at {line_of(user_site())}; write dlarray({name}, \"BTC\") or data_format=\"BTC\"")
        self.places = positions(self.labels, rest.pop())
        self.order = (*positions(self.labels, "B"), *self.places, *positions(self.labels, "C"))
        self.in_order = self.order == tuple(range(len(self.order)))
        self.batch = x.shape[self.order[0]] if "B" in self.labels else 1
        self.sizes = tuple(x.shape[k] for k in self.places)
        self.length = math.prod(self.sizes)
        self.channels = x.shape[self.order[-1]]

    def heads(self, x: Any, count: int) -> Any:
        """x as (batch, heads, positions, channels of a head)."""
        x = unlabelled(x)
        x = x if self.in_order else permute_dims(x, self.order)
        return permute_dims(reshape(x, (self.batch, self.length, count, self.channels // count)), (0, 2, 1, 3))

    def back(self, y: Any, channels: int) -> Any:
        """From heads to this layout."""
        y = permute_dims(y, (0, 2, 1, 3))
        y = reshape(y, (*((self.batch,) if "B" in self.labels else ()), *self.sizes, channels))
        return y if self.in_order else permute_dims(y, tuple(self.order.index(k) for k in range(len(self.order))))


def _padding(mask: Any, k: Any, layout: _Layout) -> Any:
    """The padding mask as (batch, 1, 1, keys)."""
    mask = array(mask)
    labels = labels_of(mask)
    if labels is not None:
        unknown = set(labels) - set(layout.labels)
        if unknown:
            raise LabelError(
                f"attention: padding_mask {described(mask.shape, labels)} has axes that k "
                f"{described(k.shape, layout.labels)} lacks, at {line_of(user_site())}; label it as k, without C")
        mask = permute_dims(mask, "".join(sorted(labels, key=layout.labels.index)))
        sizes = dict(zip(labels_of(mask) or "", mask.shape, strict=True)) if len(layout.places) == 1 else None
        shape = tuple(mask.shape) if sizes is None else tuple(sizes.get(letter, 1) for letter in layout.labels)
    else:
        shape = tuple(mask.shape)
    channel = layout.order[-1]
    if len(shape) == k.ndim - 1:
        shape = (*shape[:channel], 1, *shape[channel:])
    fits = (len(shape) == k.ndim and all(n == m or n == 1 and j not in layout.places
                                         for j, (n, m) in enumerate(zip(shape, k.shape, strict=True))))
    if not fits or shape[channel] != 1:
        raise ShapeError(
            f"attention: padding_mask {described(mask.shape, labels)} for k {described(k.shape, layout.labels)}, at "
            f"{line_of(user_site())}; it has k's shape without C, 1 for what is there and 0 for padding")
    mask = permute_dims(reshape(unlabelled(mask), shape), layout.order)
    return reshape(mask, (mask.shape[0] if "B" in layout.labels else 1, 1, 1, layout.length))


def _pairs(mask: Any, batch: int, heads: int, queries: int, keys: int) -> Any:
    """The attention mask with four axes."""
    mask = unlabelled(array(mask))
    shape = (*(1,) * (4 - mask.ndim), *mask.shape)
    if (mask.ndim < 2 or any(n not in (1, m) for n, m in zip(shape, (batch, heads, queries, keys), strict=False))
        or len(shape) > 4):
        raise ShapeError(
            f"attention: attention_mask {described(mask.shape, None)} for {queries} queries, {keys} keys, {heads} "
            f"heads and {batch} observations, at {line_of(user_site())}; it is ({queries}, {keys}), heads and before "
            "them the batch may lead")
    return reshape(mask, shape)


def _hidden(mask: Any, like: Any) -> Any:
    """What is added to scores: 0 where a mask is true, else -infinity."""
    raw = mask._value if type(mask) is dlarray else mask
    return torch.zeros(raw.shape, dtype=like.dtype, device=raw.device).masked_fill_(raw == 0, -torch.inf)


def _bias(q: Any, padding: Any, pairs: Any) -> Any:
    """Both masks as one array that is added to the scores, or None."""
    bias = None
    if pairs is not None:
        bias = pairs if differentiable(pairs.dtype) else _hidden(pairs, q)
    if padding is not None:
        if bias is None:
            bias = _hidden(padding, q)
        else:
            raw = padding._value if type(padding) is dlarray else padding
            bias = where(raw != 0, bias, -math.inf)
    return dlarray._made(bias, None) if type(q) is dlarray and isinstance(bias, Tensor) else bias


@public(_attention)
def attention(q: Any, k: Any, v: Any, num_heads: int, /, *, scale: Any = "auto", padding_mask: Any = None,
              attention_mask: Any = "none",
              dropout_probability: float = 0.0, return_weights: bool = False, data_format: str | None = None) -> Any:
    """Scaled dot-product attention: for each query the mean of the values, weighted by how well their keys match it, in
    each head.

    Formula: y = softmax(scale q k' + mask) v in each head, the softmax over the keys. The channels of q, k and v are
    split into `num_heads` heads and joined again; scale is "auto", 1 / sqrt(channels of q / num_heads), or a number.

    q: C, positions and maybe B, in any order; positions are T, or S (all of them), or U. k, v: as many observations as
    q, and as many positions as one another; k has q's channels. y: q's layout with v's channels. Unlabelled q, k, v
    need `data_format=`. padding_mask: k's shape without C, 1 for what is there, 0 for padding. attention_mask: "none";
    "causal", no query sees a later key; or an array (queries, keys), before them heads and batch if they matter: bools
    and integers say what may be seen, floating numbers are added to the scores and may be learned. A query from which
    everything is hidden gets zeros, with derivative 0. dropout_probability: of each weight, as `dropout`.
    return_weights=True: (y, weights), (batch, heads, queries, keys), no batch without B.

    Raises ShapeError where heads, channels, positions, observations or masks do not fit, LabelError where labels are
    missing.

    >>> import gradloom as gl
    >>> q = gl.dlarray([[[1.0, 0.0]]], "BTC")
    >>> v = gl.dlarray([[[1.0, 2.0], [3.0, 4.0]]], "BTC")
    >>> gl.attention(q, gl.zeros((1, 2, 2), "BTC"), v, 1)
    1(B) x 1(T) x 2(C) dlarray float64
    [[[2. 3.]]]

    Source: Vaswani et al. 2017; MATLAB attention, whose masks are (keys, queries).
    """
    q, k, v = (floating(x) for x in (q, k, v))
    layouts = [_Layout(x, data_format, name) for x, name in ((q, "q"), (k, "k"), (v, "v"))]
    heads = _checked(q, k, v, layouts, num_heads)
    causal = isinstance(attention_mask, str) and attention_mask == "causal"
    if isinstance(attention_mask, str) and attention_mask not in ("none", "causal"):
        raise ShapeError(
            f"attention: attention_mask is \"none\", \"causal\" or an array, not {attention_mask!r}, at "
            f"{line_of(user_site())}")
    check_probability(dropout_probability, "attention: dropout_probability")
    padding = None if padding_mask is None else _padding(padding_mask, k, layouts[1])
    pairs = None if attention_mask is None or isinstance(attention_mask, str) else _pairs(
        attention_mask, layouts[0].batch, heads, layouts[0].length, layouts[1].length)
    if causal or padding is not None or pairs is not None:
        selected(q, k, v)
    labels, has_batch = labels_of(q), "B" in layouts[0].labels
    q, k, v, added = promoted_arrays(q, k, v, pairs if pairs is not None and differentiable(pairs.dtype) else None)
    bias = _bias(q, padding, pairs if added is None else added)
    q, k, v = (layout.heads(x, heads) for layout, x in zip(layouts, (q, k, v), strict=True))
    if isinstance(scale, str):
        if scale != "auto":
            raise ShapeError(f"attention: scale is \"auto\" or a number, not {scale!r}, at {line_of(user_site())}")
        scale = 1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    elif type(scale) not in NUMBER_TYPES:
        q, scale = q * unlabelled(array(scale)), 1.0
    weights: Any = None
    if return_weights or dropout_probability:
        weights = dropout(attention_weights(q, k, bias, float(scale), causal), dropout_probability)
        y = matmul(weights, v)
    else:
        y = _attention.apply((q, k, v, bias), {"scale": float(scale), "causal": causal})
    y = _labelled(layouts[0].back(y, layouts[2].channels), labels)
    if not return_weights:
        return y
    if not has_batch:
        return y, reshape(weights, weights.shape[1:])
    return y, _labelled(weights, None if labels is None else "BUUU")


def _labelled(y: Any, labels: str | None) -> Any:
    return dlarray._made(y._value, y._node, tidy(labels)) if type(y) is dlarray else y


def _checked(q: Any, k: Any, v: Any, layouts: list[_Layout], num_heads: Any) -> int:
    """The number of heads, where everything fits."""
    a, b, c = layouts
    if q.dtype.is_complex or k.dtype.is_complex or v.dtype.is_complex:
        raise TypeRefused(
            f"attention takes real numbers, not complex ones, at {line_of(user_site())}; write attention(real(q), "
            "real(k), real(v), ...)")
    if (type(num_heads) is bool or not isinstance(num_heads, int) or num_heads < 1 or a.channels % num_heads
        or c.channels % num_heads):
        problem = (f"num_heads is {num_heads!r}",
                   f"it is an integer that divides the channels, {a.channels} of q and {c.channels} of v")
    elif a.channels != b.channels:
        problem = f"q has {a.channels} channels, k {b.channels}", "project them to one size with fullyconnect"
    elif b.length != c.length:
        problem = f"k has {b.length} positions, v {c.length}", "each key has one value"
    elif not a.batch == b.batch == c.batch:
        problem = f"{a.batch}, {b.batch} and {c.batch} observations", "the sizes of B must be the same"
    else:
        return num_heads
    shown = ", ".join(f"{n} {described(x.shape, layout.labels)}"
                      for n, x, layout in zip("qkv", (q, k, v), layouts, strict=True))
    raise ShapeError(f"attention({shown}): {problem[0]}, at {line_of(user_site())}; {problem[1]}")


__all__ = ["attention"]
