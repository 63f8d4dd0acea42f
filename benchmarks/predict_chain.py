"""What a network adds to its layers: predict of a chain of 20 small layers, 10 of 16 outputs and their relus, one
observation, float32, beside torch's Sequential."""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from .harness import Benchmark, Contender

SIZE, PAIRS = 16, 10


def start() -> list[np.ndarray]:
    """The weights and biases of each layer, and what enters."""
    rng = np.random.default_rng(0)
    shapes = [(SIZE, SIZE), (SIZE,)] * PAIRS + [(1, SIZE)]
    return [rng.standard_normal(shape).astype(np.float32) / 4 for shape in shapes]


def gradloom(accelerated: bool = False) -> Any:
    import gradloom as gl

    *parameters, x = start()
    L, layers = gl.layers, []
    for weights, bias in zip(parameters[::2], parameters[1::2], strict=True):
        layers += [L.FullyConnected(SIZE, weights=weights, bias=bias), L.ReLU()]
    net, x = gl.dlnetwork(layers, gl.Layout((1, SIZE), "BC")), gl.dlarray(x, "BC")
    if accelerated:
        fast = gl.dlaccelerate(lambda net, x: net.predict(x))
        return lambda: fast(net, x)
    return lambda: net.predict(x)


def sequential(compiled: bool = False) -> Any:
    *parameters, x = start()
    layers = []
    for weights, bias in zip(parameters[::2], parameters[1::2], strict=True):
        layers += [nn.Linear(SIZE, SIZE), nn.ReLU()]
        layers[-2].load_state_dict({"weight": torch.tensor(weights), "bias": torch.tensor(bias)})
    module, given = nn.Sequential(*layers).requires_grad_(False), torch.tensor(x)
    run = torch.compile(module) if compiled else module

    def step():
        with torch.no_grad():
            return run(given)

    return step


def by_hand() -> list[np.ndarray]:
    """The same in double precision."""
    *parameters, x = (part.astype(np.float64) for part in start())
    for weights, bias in zip(parameters[::2], parameters[1::2], strict=True):
        x = np.maximum(x @ weights.T + bias, 0)
    return [x]


def benchmark() -> Benchmark:
    return Benchmark(
        "predict_chain", "predict of a chain of 20 small layers (10 of 16 outputs, 10 relus), one observation.",
        [
            Contender("gradloom net.predict", gradloom, "gradloom", 1.5),
            Contender("gradloom net.predict, accelerated", partial(gradloom, True), "gradloom", 1.5),
            Contender("torch Sequential, no_grad", sequential),
            Contender("torch.compile", partial(sequential, True), "information"),
        ],
        by_hand, tolerance=1e-5)
