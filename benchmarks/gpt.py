"""One training step of a small GPT: 2 blocks of 64 channels and 4 heads, 8 sequences of 64 tokens out of 256, float32,
with momentum."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, arange, nn

from . import network_step
from .harness import Benchmark

CHANNELS, HEADS, BLOCKS, TOKENS, STEPS, BATCH = 64, 4, 2, 256, 64, 8


def network() -> Any:
    import gradloom as gl

    L = gl.layers
    gl.rng(0)
    block = gl.transformer_block(CHANNELS, HEADS, 4 * CHANNELS, attention_mask="causal")
    return gl.dlnetwork(
        [[L.Identity(name="tokens"), L.Embedding(CHANNELS, TOKENS, name="embedding"), L.Addition(2, name="sum"),
          *[L.Network(block, name=f"block{k}") for k in range(BLOCKS)], L.LayerNormalization(name="norm"),
          L.FullyConnected(TOKENS, operation_dimension="channel", name="fc")],
         [L.PositionEmbedding(CHANNELS, STEPS, name="position")]],
        gl.Layout((1, STEPS), "BT"), connections=[("tokens", "position"), ("position", "sum/in2")])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(CHANNELS, CHANNELS) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
        return self.output(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(CHANNELS), Attention(), nn.LayerNorm(CHANNELS)
        self.fc1, self.fc2 = nn.Linear(CHANNELS, 4 * CHANNELS), nn.Linear(4 * CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(TOKENS, CHANNELS), nn.Embedding(STEPS, CHANNELS)
        for k in range(BLOCKS):
            self.add_module(f"block{k}", Block())
        self.norm, self.fc = nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position(arange(tokens.shape[1]))
        for k in range(BLOCKS):
            x = self.get_submodule(f"block{k}")(x)
        return self.fc(self.norm(x))


WORDS = {"weights": "weight", "bias": "bias", "scale": "weight", "offset": "bias"}


def name(key: tuple[str, str]) -> str:
    """What torch calls a parameter."""
    layer, parameter = key[0].replace("/", "."), key[1]
    part, _, word = parameter.rpartition("_")
    return ".".join(filter(None, (layer, part, WORDS[word])))


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(TOKENS, size=(BATCH, STEPS)), rng.integers(TOKENS, size=(BATCH, STEPS))


MODEL = network_step.Model(network, GPT, name, "BT", data, lambda module, x: module(x).flatten(0, 1), "BT")


def benchmark() -> Benchmark:
    return network_step.benchmark("gpt", f"one training step of a GPT of {BLOCKS} blocks, {CHANNELS} channels and "
                                  f"{HEADS} heads on {BATCH} sequences of {STEPS} tokens, float32, sgdm.",
                                  MODEL, 1.05, 1e-4)
