"""One training step of a network 784-128-10 with relu and cross-entropy on one observation, float32, with momentum."""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from . import network_step
from .harness import Benchmark, Contender

SIZES, BATCH = (784, 128, 10), 1
NAMES = {("a", "weights"): "0.weight", ("a", "bias"): "0.bias", ("b", "weights"): "2.weight", ("b", "bias"): "2.bias"}


def network() -> Any:
    import gradloom as gl

    L = gl.layers
    gl.rng(0)
    return gl.dlnetwork([L.FeatureInput(SIZES[0]), L.FullyConnected(SIZES[1], name="a"), L.ReLU(),
                         L.FullyConnected(SIZES[2], name="b")])


def module() -> nn.Module:
    return nn.Sequential(nn.Linear(*SIZES[:2]), nn.ReLU(), nn.Linear(*SIZES[1:]))


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, SIZES[0]), dtype=np.float32), rng.integers(SIZES[-1], size=BATCH)


MODEL = network_step.Model(network, module, NAMES.__getitem__, "BC", data)


def jax_setup():
    import jax

    numpy = jax.numpy
    state = [[numpy.asarray(network_step.learned(MODEL)[name]) for name in NAMES.values()]]
    state.append([numpy.zeros_like(p) for p in state[0]])
    x, classes = map(numpy.asarray, data())

    def loss(parameters):
        w, b, v, c = parameters
        z = jax.nn.relu(x @ w.T + b) @ v.T + c
        return -jax.nn.log_softmax(z)[numpy.arange(BATCH), classes].mean()

    @jax.jit
    def update(parameters, velocity):
        y, gradients = jax.value_and_grad(loss)(parameters)
        velocity = [network_step.MOMENTUM * v - network_step.LEARN_RATE * g
                    for v, g in zip(velocity, gradients, strict=True)]
        return y, gradients, [p + v for p, v in zip(parameters, velocity, strict=True)], velocity

    def step():
        y, gradients, *state[:] = jax.block_until_ready(update(*state))
        return y, gradients, state[0]

    return step


def gradloom():
    """The whole step accelerated, update and all."""
    import gradloom as gl

    inputs, classes = data()
    net, velocity, x, t = network(), None, gl.dlarray(inputs, "BC"), gl.dlarray(classes, "B")

    def loss_and_gradients(net, x, t):
        loss = gl.indexcrossentropy(net.forward(x), t, from_logits=True, normalization_factor="target-included")
        return loss, gl.dlgradient(loss, net.learnables)

    @gl.dlaccelerate
    def update(net, velocity, x, t):
        loss, gradients = gl.dlfeval(loss_and_gradients, net, x, t)
        return loss, gradients, *gl.sgdmupdate(net, gradients, velocity, learn_rate=network_step.LEARN_RATE,
                                               momentum=network_step.MOMENTUM)

    def step():
        nonlocal net, velocity
        loss, gradients, net, velocity = update(net, velocity, x, t)
        return loss, gradients, net

    return step


def benchmark() -> Benchmark:
    sizes = "-".join(map(str, SIZES))
    return Benchmark(
        "small_step", f"one training step of {sizes} with relu on {BATCH} observation, float32, sgdm.",
        [
            Contender("gradloom, accelerated", gradloom, "gradloom", 0.6, network_step.gradloom_numbers),
            Contender("torch eager", partial(network_step.torch_step, MODEL), numbers=network_step.torch_numbers),
            Contender("torch.compile", partial(network_step.torch_step, MODEL, compiled=True), "information",
                      numbers=network_step.torch_numbers),
            Contender("jax jit", jax_setup),
        ],
        lambda: network_step.torch_numbers(network_step.torch_step(MODEL, torch.float64)()), tolerance=1e-5)
