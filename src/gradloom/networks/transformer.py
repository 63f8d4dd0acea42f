"""The block that transformers repeat, as a network for a place in another."""
from __future__ import annotations

from typing import Any

from ..core.errors import ShapeError, line_of, user_site
from .layer import Layer
from .layers.activation import GELU, ReLU, Swish
from .layers.attention import SelfAttention
from .layers.combination import Addition
from .layers.dropout import Dropout
from .layers.fullyconnected import FullyConnected
from .layers.identity import Identity
from .layers.normalization import LayerNormalization, RMSNormalization
from .network import dlnetwork

NORMALIZATIONS: dict[str, Any] = {"layer": LayerNormalization, "rms": RMSNormalization}
ACTIVATIONS: dict[str, Any] = {"gelu": GELU, "relu": ReLU, "swish": Swish}


def transformer_block(size: int, num_heads: int, feedforward_size: int, /, *, num_key_heads: int | None = None,
                      attention_mask: str = "none", has_padding_mask_input: bool = False, normalization: str = "layer",
                      activation: str = "gelu", norm_first: bool = True, epsilon: float = 1e-5,
                      dropout_probability: float = 0.0) -> dlnetwork:
    """A network of self-attention and then two fully connected layers at each position, each added to what enters it.

    Formula: h = x + attention(norm1(x)), y = h + fc2(activation(fc1(norm2(h)))); with `norm_first=False`, as in the
    first transformer, h = norm1(x + attention(x)), y = norm2(h + fc2(activation(fc1(h)))). x: `size` channels,
    positions (T, or S) and maybe B; y: as x. fc1 has `feedforward_size` outputs. `normalization` is "layer" or "rms",
    `activation` "gelu", "relu" or "swish"; num_heads, num_key_heads and the masks are those of `layers.SelfAttention`.
    dropout_probability is that of both parts, before they are added.

    The network is unfinished: in a list of layers it is initialised with the whole, and by itself with
    `net.initialize(example)`. Its layers are entering, norm1, attention, dropout1, add1, norm2, fc1, activation, fc2,
    dropout2 and add2; in the layer "block" a parameter is ("block/attention", "query_weights").

    Raises ShapeError for words that are none of these, or heads that do not divide the channels.

    >>> import gradloom as gl
    >>> block = gl.transformer_block(4, 2, 16, attention_mask="causal")
    >>> net = gl.dlnetwork([gl.layers.FullyConnected(4), block, block], gl.Layout((3, 1, 5), "CBT"))
    >>> net(gl.zeros((3, 2, 7), "CBT")).sizes
    {'C': 4, 'B': 2, 'T': 7}

    Source: Vaswani et al. 2017; normalization first: Xiong et al. 2020; PyTorch TransformerEncoderLayer.
    """
    for word, value, words in (("normalization", normalization, NORMALIZATIONS),
                               ("activation", activation, ACTIVATIONS)):
        if value not in words:
            raise ShapeError(f"transformer_block: {word} is one of {', '.join(map(repr, words))}, not {value!r}, at "
                             f"{line_of(user_site())}")

    def norm(name: str) -> Layer:
        made: Layer = NORMALIZATIONS[normalization](
            epsilon=epsilon, name=name, **({"operation_dimension": "channel-only"} if normalization == "layer" else {}))
        return made

    attention = [SelfAttention(num_heads, size, num_key_heads=num_key_heads, attention_mask=attention_mask,
                               has_padding_mask_input=has_padding_mask_input, name="attention"),
                 Dropout(dropout_probability, name="dropout1"), Addition(2, name="add1")]
    feedforward = [FullyConnected(feedforward_size, operation_dimension="channel", name="fc1"),
                   ACTIVATIONS[activation](name="activation"),
                   FullyConnected(size, operation_dimension="channel", name="fc2"),
                   Dropout(dropout_probability, name="dropout2"), Addition(2, name="add2")]
    entering = Identity(name="entering")
    chain = ([entering, norm("norm1"), *attention, norm("norm2"), *feedforward] if norm_first
             else [entering, *attention, norm("norm1"), *feedforward, norm("norm2")])
    return dlnetwork(chain, connections=[("entering", "add1/in2"), ("add1" if norm_first else "norm1", "add2/in2")],
                     initialize=False)


__all__ = ["transformer_block"]
