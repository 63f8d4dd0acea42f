"""Layers of scaled dot-product attention."""
from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.errors import ShapeError, line_of, user_site
from ...operations.elementwise.choice import where
from ...operations.matrices.affine import fullyconnect
from ...operations.movement.selection import take
from ...operations.neural.attention import attention
from ..initialize import Initializer, initial, zeros
from ..layer import Layer, Learnable
from ..layout import Layout
from ..masks import combined, filled
from ..options import channels_of, check_choice, check_number, check_sizes, relabelled
from ..spatial import called


class _Attention(Layer):
    """What layers of attention have in common: heads, masks, dropout, and the weights as a second output."""

    scale: float | str = field(default="auto", kw_only=True)
    attention_mask: str = field(default="none", kw_only=True)
    dropout_probability: float = field(default=0.0, kw_only=True)
    has_padding_mask_input: bool = field(default=False, kw_only=True)
    has_scores_output: bool = field(default=False, kw_only=True)

    arrays: ClassVar[tuple[str, ...]]

    if TYPE_CHECKING:  # each declares them in its own order
        num_heads: int
        num_key_heads: int | None

    def __post_init__(self) -> None:
        check_sizes(self, "num_heads", "num_key_heads")
        check_choice(self, "attention_mask", ("none", "causal"))
        check_number(self, "dropout_probability", 0, 1)
        if self.num_key_heads is not None and self.num_heads % self.num_key_heads:
            raise ShapeError(f"{type(self).__name__}'s num_key_heads divides num_heads, which {self.num_key_heads} and "
                             f"{self.num_heads} do not, at {line_of(user_site())}")

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The arrays, then mask with `has_padding_mask_input`."""
        return (*self.arrays, *(("mask",) if self.has_padding_mask_input else ()))

    @property
    def output_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """out, then scores with `has_scores_output`."""
        return ("out", "scores") if self.has_scores_output else ("out",)

    def hidden(self, given: Any, mask: Any) -> Any:
        """The keys that are there: by the input mask, and by the mask of the sequence."""
        return mask if given is None else given if mask is None else where(mask, given, 0)

    def output_mask(self, mask: Any, y: Any) -> Any:
        its = mask[0] if isinstance(mask, tuple) else mask  # that of the queries
        return (its, None) if self.has_scores_output else its

    def attend(self, q: Any, k: Any, v: Any, mask: Any, dropout: float) -> Any:
        """Attention with as many heads of keys and values as there are of queries, each repeated for its group."""
        if self.num_key_heads is not None and self.num_key_heads != self.num_heads:
            k, v = self._for_each_head(k), self._for_each_head(v)
        return attention(q, k, v, self.num_heads, scale=self.scale, padding_mask=mask,
                         attention_mask=self.attention_mask, dropout_probability=dropout,
                         return_weights=self.has_scores_output)

    def _for_each_head(self, x: Any) -> Any:
        groups = self.num_key_heads or self.num_heads
        channel = x.dims.index("C")
        size = x.shape[channel]
        if size % groups:
            raise ShapeError(f"{called(self)} has {groups} heads of keys and values, "
                             f"which do not divide {size} channels, at {line_of(user_site())}")
        where = np.arange(size).reshape(groups, 1, -1).repeat(self.num_heads // groups, 1).reshape(-1)
        return take(x, where, axis=channel)


class Attention(_Attention):
    """For each query the mean of the values, weighted by how well their keys match it, in each of `num_heads` heads.

    Formula: y = softmax(scale q k' + mask) v in each head, the softmax over the keys; scale is "auto", which is 1 /
    sqrt(channels of a head), or a number. Inputs are query, key and value: C, positions (T, or S) and maybe B. y: the
    layout of query with the channels of value. `num_key_heads` divides num_heads: then key and value have fewer heads,
    each used by a group of queries. `attention_mask="causal"` hides later keys. `has_padding_mask_input=True` adds the
    input mask, in key's layout without C, 1 for what is there, 0 for padding. `has_scores_output=True` adds the output
    scores, the weights (batch, heads, queries, keys). `dropout_probability` is that of each weight, in training.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.Attention(2)], *[gl.Layout((1, 3, 4), "BTC")] * 3)
    >>> net(gl.zeros((1, 5, 4), "BTC"), gl.zeros((1, 3, 4), "BTC"), gl.zeros((1, 3, 4), "BTC")).sizes
    {'B': 1, 'T': 5, 'C': 4}

    Raises ShapeError where heads, channels, positions, observations or masks do not fit.

    Source: Vaswani et al. 2017; groups: Ainslie et al. 2023; MATLAB attentionLayer.
    """

    num_heads: int
    num_key_heads: int | None = field(default=None, kw_only=True)

    arrays: ClassVar[tuple[str, ...]] = ("query", "key", "value")
    matlab: ClassVar[str] = "attentionLayer"
    onnx: ClassVar[str] = "Attention"

    def predict(self, q: Any, k: Any, v: Any, given: Any = None, *, mask: Any = None) -> Any:
        return self.run(q, k, v, given, mask, 0.0)

    def forward(self, q: Any, k: Any, v: Any, given: Any = None, *, mask: Any = None) -> Any:
        return self.run(q, k, v, given, mask, self.dropout_probability)

    def run(self, q: Any, k: Any, v: Any, given: Any, mask: Any, dropout: float) -> Any:
        """Attention without the keys and values that are padding."""
        if mask is not None:
            k, v = filled(k, mask[1]), filled(v, mask[2])  # a weight of 0 times NaN is NaN
        return self.attend(q, k, v, self.hidden(given, mask and combined(mask[1:3])), dropout)


class SelfAttention(_Attention):
    """Attention of a sequence to itself: queries, keys and values are linear functions of x, and y one of the result.

    Formula: q = Wq x + bq, k = Wk x + bk, v = Wv x + bv, y = Wo attention(q, k, v) + bo, with `num_heads` heads;
    query_weights Wq: (num_key_channels, channels); key_weights Wk: the same; value_weights Wv: (num_value_channels,
    channels); output_weights Wo: (output_size, num_value_channels). num_value_channels is num_key_channels, and
    output_size the channels of x, unless they are given. With `num_key_heads` less than num_heads, which it divides, Wk
    and Wv have that much fewer rows, and each head of keys and values is used by a group of queries. x: C, positions
    (T, or S) and maybe B. Masks, scores and dropout are those of `Attention`.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.SelfAttention(2, 8, attention_mask="causal")], gl.Layout((4, 1, 3), "CBT"))
    >>> net(gl.zeros((4, 2, 5), "CBT")).sizes
    {'C': 4, 'B': 2, 'T': 5}

    Raises ShapeError where the heads do not divide the channels.

    Source: Vaswani et al. 2017; groups: Ainslie et al. 2023; MATLAB selfAttentionLayer; PyTorch MultiheadAttention.
    """

    num_heads: int
    num_key_channels: int
    num_value_channels: int | None = field(default=None, kw_only=True)
    output_size: int | None = field(default=None, kw_only=True)
    num_key_heads: int | None = field(default=None, kw_only=True)
    weights_initializer: Initializer = field(default="glorot", kw_only=True)
    query_weights: Learnable
    key_weights: Learnable
    value_weights: Learnable
    output_weights: Learnable
    query_bias: Learnable
    key_bias: Learnable
    value_bias: Learnable
    output_bias: Learnable

    arrays: ClassVar[tuple[str, ...]] = ("in",)
    matlab: ClassVar[str] = "selfAttentionLayer"
    default_name: ClassVar[str] = "selfattention"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "num_key_channels", "num_value_channels", "output_size")
        for name in ("num_key_channels", "num_value_channels"):
            size = getattr(self, name)
            if size is not None and size % self.num_heads:
                raise ShapeError(f"SelfAttention's num_heads divides {name}, which {self.num_heads} and {size} do not, "
                                 f"at {line_of(user_site())}")

    def initialize(self, layout: Layout, *others: Layout) -> None:
        channels, keys = channels_of(self, layout), self.num_key_channels
        values, outputs = self.num_value_channels or keys, self.output_size or channels
        heads, groups = self.num_heads, self.num_key_heads or self.num_heads
        rows = {"query": (keys, channels), "key": (keys // heads * groups, channels),
                "value": (values // heads * groups, channels), "output": (outputs, values)}
        for name, shape in rows.items():
            setattr(self, f"{name}_weights", initial(self.weights_initializer, shape))
            setattr(self, f"{name}_bias", zeros(shape[:1]))

    def predict(self, x: Any, given: Any = None, *, mask: Any = None) -> Any:
        return self.run(x, given, mask, 0.0)

    def forward(self, x: Any, given: Any = None, *, mask: Any = None) -> Any:
        return self.run(x, given, mask, self.dropout_probability)

    def run(self, x: Any, given: Any, mask: Any, dropout: float) -> Any:
        """Projections, attention and the last projection."""
        mask = mask[0] if isinstance(mask, tuple) else mask
        x, mask = filled(x, mask), self.hidden(given, mask)  # a weight of 0 times NaN is NaN
        labels = x.dims
        x = relabelled(x, labels.replace("S", "U"))  # fullyconnect would merge S into C
        q = fullyconnect(x, self.query_weights, self.query_bias)
        k = fullyconnect(x, self.key_weights, self.key_bias)
        v = fullyconnect(x, self.value_weights, self.value_bias)
        if mask is not None:
            mask = relabelled(mask, mask.dims.replace("S", "U"))
        y, *scores = self.attend(q, k, v, mask, dropout) if self.has_scores_output else (
            self.attend(q, k, v, mask, dropout),)
        y = relabelled(fullyconnect(y, self.output_weights, self.output_bias), labels)
        return (y, *scores) if scores else y


__all__ = ["Attention", "SelfAttention"]
