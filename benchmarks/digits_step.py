"""One training step of the digits network: forward pass, cross-entropy, gradient, momentum update, batch-norm state.

Three blocks of convolution 3x3, batch normalization and relu with 16, 32 and 64 filters, max pooling 2x2 after the
first two, a fully connected layer of 10 and softmax; 32 random images of 28x28, float32. All start from the same
weights, and after one step must agree in loss, gradients, updated weights and moving means. (Moving variances differ by
convention: torch's is unbiased.)
"""
from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .harness import Benchmark, Contender, arrays, multiplying
from .network_step import MOMENTUM, torch_training_step, training_step

BATCH, CLASSES, LEARN_RATE, DECAY, EPSILON = 32, 10, 0.01, 0.1, 1e-5
BLOCKS = ((1, 16, True), (16, 32, True), (32, 64, False))  # channels in, channels out, pooled
FEATURES = 64 * 7 * 7
# Forwards, for the weights and for the input, which the images do not need.
FLOP = 2 * BATCH * (2 * 9 * 28 * 28 * 1 * 16 + 3 * 9 * 14 * 14 * 16 * 32 + 3 * 9 * 7 * 7 * 32
                    * 64 + 3 * FEATURES * CLASSES)


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images (batch, 1, 28, 28) and their classes (batch,)."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, 1, 28, 28), dtype=np.float32), rng.integers(CLASSES, size=BATCH)


def start() -> dict[tuple[str, str], np.ndarray]:
    """{(layer, parameter): array} in layer order, in PyTorch's layouts."""
    rng = np.random.default_rng(1)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    parameters = {}
    for k, (n_in, n_out, _) in enumerate(BLOCKS, 1):
        parameters[f"conv{k}", "weights"] = normal(n_out, n_in, 3, 3, scale=(2 / (9 * n_in)) ** 0.5)
        parameters[f"conv{k}", "bias"] = normal(n_out, scale=0.1)
        parameters[f"batchnorm{k}", "offset"] = normal(n_out, scale=0.1)
        parameters[f"batchnorm{k}", "scale"] = 1 + normal(n_out, scale=0.1)
    parameters["fc", "weights"] = normal(CLASSES, FEATURES, scale=FEATURES**-0.5)
    parameters["fc", "bias"] = normal(CLASSES, scale=0.1)
    return parameters


KEYS = list(start())
MEANS = [f"batchnorm{k}" for k in range(1, len(BLOCKS) + 1)]


# gradloom

def gradloom(accelerated: bool = False):
    import gradloom as gl

    layers = [gl.layers.ImageInput((28, 28, 1))]
    for k, (_, n_out, pooled) in enumerate(BLOCKS, 1):
        layers += [gl.layers.Convolution2d(3, n_out, padding="same", name=f"conv{k}"),
                   gl.layers.BatchNormalization(name=f"batchnorm{k}"), gl.layers.ReLU()]
        if pooled:
            layers.append(gl.layers.MaxPooling2d(2, stride=2))
    layers += [gl.layers.FullyConnected(CLASSES, name="fc"), gl.layers.Softmax()]
    net = gl.dlnetwork(layers).replace(learnables={key: gl.dlarray(value) for key, value in start().items()})
    images, classes = data()
    x, t = gl.dlarray(images, "BCSS"), gl.dlarray(np.eye(CLASSES, dtype=np.float32)[classes], "BC")
    return training_step(net, x, t, gl.crossentropy, LEARN_RATE, accelerated)


def gradloom_numbers(result) -> list[np.ndarray]:
    loss, gradients, net = result
    means = [net.state[name, "trained_mean"] for name in MEANS]
    return arrays([loss, [gradients[key] for key in KEYS], [net.learnables[key] for key in KEYS], means])


# torch

TORCH_NAMES = {"weights": "weight", "bias": "bias", "scale": "weight", "offset": "bias"}


def torch_name(key: tuple[str, str]) -> str:
    layer, parameter = key
    return f"{layer}.{TORCH_NAMES[parameter]}"


def torch_network() -> nn.Sequential:
    """The same network without its softmax, which torch's cross-entropy contains."""
    net = nn.Sequential()
    for k, (n_in, n_out, pooled) in enumerate(BLOCKS, 1):
        net.add_module(f"conv{k}", nn.Conv2d(n_in, n_out, 3, padding=1))
        net.add_module(f"batchnorm{k}", nn.BatchNorm2d(n_out, EPSILON, DECAY))
        net.add_module(f"relu{k}", nn.ReLU())
        if pooled:
            net.add_module(f"maxpool{k}", nn.MaxPool2d(2, stride=2))
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc", nn.Linear(FEATURES, CLASSES))
    net.load_state_dict({torch_name(key): torch.tensor(value) for key, value in start().items()}, strict=False)
    return net


def torch_setup(dtype=torch.float32, memory_format=torch.contiguous_format, compiled=False):
    def setup():
        images, classes = data()
        x, t = torch.tensor(images, dtype=dtype).to(memory_format=memory_format), torch.tensor(classes)
        net = torch_network().to(dtype)
        net.to(memory_format=memory_format)  # type: ignore[call-overload]

        def loss_of(x, t):
            return F.cross_entropy(net(x), t)

        return torch_training_step(loss_of, x, t, net.parameters(), LEARN_RATE, compiled, net)

    return setup


def torch_numbers(result) -> list[np.ndarray]:
    """Copies: the next step overwrites them."""
    loss, net = result
    parameters = [net.get_parameter(torch_name(key)) for key in KEYS]
    found = arrays([loss, [p.grad for p in parameters], parameters,
                    [net.get_buffer(f"{name}.running_mean") for name in MEANS]])
    return [array.copy() for array in found]


# jax

def jax_setup():
    import jax
    import jax.numpy as jnp
    from jax import lax

    def forward(parameters, x):
        means = []
        for k, (_, _, pooled) in enumerate(BLOCKS, 1):
            names = (f"conv{k}", "bias"), (f"batchnorm{k}", "offset"), (f"batchnorm{k}", "scale")
            bias, offset, scale = (parameters[name][:, None, None] for name in names)
            x = lax.conv_general_dilated(x, parameters[f"conv{k}", "weights"], (1, 1), "SAME") + bias
            mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
            x = jax.nn.relu((x - mean) * lax.rsqrt(variance + EPSILON) * scale + offset)
            if pooled:
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
            means.append((mean.ravel(), variance.ravel()))
        return x.reshape(BATCH, -1) @ parameters["fc", "weights"].T + parameters["fc", "bias"], means

    def loss_function(parameters, x, t):
        y, statistics = forward(parameters, x)
        return -jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], 1).mean(), statistics

    @jax.jit
    def update(parameters, velocity, state, x, t):
        (loss, statistics), gradients = jax.value_and_grad(loss_function, has_aux=True)(parameters, x, t)
        state = jax.tree.map(lambda old, new: (1 - DECAY) * old + DECAY * new, state, statistics)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v - LEARN_RATE * g, velocity, gradients)
        return loss, gradients, jax.tree.map(jnp.add, parameters, velocity), velocity, state

    images, classes = data()
    x, t = jnp.asarray(images), jnp.asarray(classes)
    parameters = {key: jnp.asarray(value) for key, value in start().items()}
    velocity = jax.tree.map(jnp.zeros_like, parameters)
    state = [(jnp.zeros(n), jnp.ones(n)) for _, n, _ in BLOCKS]

    def step():
        nonlocal parameters, velocity, state
        loss, gradients, parameters, velocity, state = jax.block_until_ready(update(parameters, velocity, state, x, t))
        return loss, gradients, parameters, state

    return step


def jax_numbers(result) -> list[np.ndarray]:
    loss, gradients, parameters, state = result
    return arrays([loss, [gradients[key] for key in KEYS], [parameters[key] for key in KEYS],
                   [mean for mean, _ in state]])


def benchmark() -> Benchmark:
    exact = torch_setup(torch.float64)
    return Benchmark(
        "digits_step",
        "one training step of the digits network (convolutions of 16, 32 and 64 filters, batch 32, float32, sgdm).",
        [
            Contender("gradloom", gradloom, "gradloom", 1.1, gradloom_numbers),
            Contender("gradloom, accelerated", partial(gradloom, accelerated=True), "gradloom", 0.75, gradloom_numbers),
            Contender("torch eager", torch_setup(), numbers=torch_numbers),
            Contender("torch eager, channels last", torch_setup(memory_format=torch.channels_last),
                      "information", numbers=torch_numbers),
            Contender("torch.compile", torch_setup(compiled=True), "information", numbers=torch_numbers),
            Contender("jax jit", jax_setup, "information", numbers=jax_numbers),
            multiplying(FLOP),
        ],
        lambda: torch_numbers(exact()()), tolerance=1e-4,
    )
