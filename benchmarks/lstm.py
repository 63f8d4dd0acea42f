"""One training step of a classifier of sequences: lstm of 128 units on 32 sequences of 50 steps and 32 features, its
last step, and 10 classes, float32, with momentum."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import network_step
from .harness import Benchmark

UNITS, STEPS, FEATURES, CLASSES, BATCH = 128, 50, 32, 10, 32


def network() -> Any:
    import gradloom as gl

    L = gl.layers
    gl.rng(0)
    return gl.dlnetwork([L.SequenceInput(FEATURES), L.LSTM(UNITS, output_mode="last", name="lstm"),
                         L.FullyConnected(CLASSES, name="fc")])


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(FEATURES, UNITS, batch_first=True), nn.Linear(UNITS, CLASSES)
        nn.init.zeros_(self.lstm.bias_hh_l0)  # the other bias has all

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0][:, -1])


NAMES = {("lstm", "input_weights"): "lstm.weight_ih_l0", ("lstm", "recurrent_weights"): "lstm.weight_hh_l0",
         ("lstm", "bias"): "lstm.bias_ih_l0", ("fc", "weights"): "fc.weight", ("fc", "bias"): "fc.bias"}


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((BATCH, STEPS, FEATURES), dtype=np.float32), rng.integers(CLASSES, size=BATCH))


MODEL = network_step.Model(network, Classifier, NAMES.__getitem__, "BTC", data)


def benchmark() -> Benchmark:
    torch.manual_seed(0)
    return network_step.benchmark("lstm", f"one training step of lstm({UNITS}) on {BATCH} sequences of {STEPS} steps "
                                  f"and {FEATURES} features, float32, sgdm.", MODEL, 1.0, 1e-4)
