"""dljacobian(u, x, axis): the Jacobian of 5 class probabilities with respect to each of 128 images, observations
independent.

The network of MATLAB's documentation of dljacobian: images 16x16x3, convolution 3x3 of 64, relu, fully connected 5,
softmax. Forward pass and Jacobian, without a trace for higher derivatives.
"""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Benchmark, Contender, arrays, multiplying

OBSERVATIONS, FILTERS, CLASSES = 128, 64, 5
FEATURES = FILTERS * 14 * 14
FLOP = 2 * OBSERVATIONS * (27 * FEATURES + FEATURES * CLASSES) * (1 + CLASSES)  # forwards, and backwards for each class


def data() -> np.ndarray:
    """(observations, channels, height, width)"""
    return np.random.default_rng(0).random((OBSERVATIONS, 3, 16, 16), dtype=np.float32)


def start() -> dict[tuple[str, str], np.ndarray]:
    rng = np.random.default_rng(1)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    return {
        ("conv", "weights"): normal(FILTERS, 3, 3, 3, scale=(2 / 27) ** 0.5),
        ("conv", "bias"): normal(FILTERS, scale=0.1),
        ("fc", "weights"): normal(CLASSES, FEATURES, scale=FEATURES**-0.5), ("fc", "bias"): normal(CLASSES, scale=0.1),
    }


def gradloom(labels: str, axis: int):
    """`labels` is the layout of the images, `axis` the position of the classes in the stripped predictions."""

    def setup():
        import gradloom as gl

        net = gl.dlnetwork([gl.layers.ImageInput((16, 16, 3)), gl.layers.Convolution2d(3, FILTERS, name="conv"),
                            gl.layers.ReLU(),
                            gl.layers.FullyConnected(CLASSES, name="fc"), gl.layers.Softmax()])
        net = net.replace(learnables={key: gl.dlarray(value) for key, value in start().items()})
        images = data() if labels == "BCSS" else data().transpose(2, 3, 1, 0).copy()
        x0 = gl.dlarray(images, labels)

        def jacobian(net, x):
            y = net.forward(x)
            x, y = gl.stripdims(x), gl.stripdims(y)
            return gl.dljacobian(y, x, axis, enable_higher_derivatives=False)

        return lambda: gl.dlfeval(jacobian, net, x0)

    return setup


def torch_predict(x, conv_weights, conv_bias, weights, bias):
    return torch.softmax(F.linear(F.relu(F.conv2d(x, conv_weights, conv_bias)).flatten(1), weights, bias), 1)


def torch_inputs(dtype):
    return torch.tensor(data(), dtype=dtype), [torch.tensor(value, dtype=dtype) for value in start().values()]


def torch_loop(dtype=torch.float32):
    """One gradient for each class, of its sum over the observations."""

    def setup():
        x, parameters = torch_inputs(dtype)
        x.requires_grad_()

        def run():
            y = torch_predict(x, *parameters)
            return torch.stack([torch.autograd.grad(y[:, k].sum(), x, retain_graph=k < CLASSES - 1)[0]
                                for k in range(CLASSES)])

        return run

    return setup


def torch_vmap_jacrev():
    x, parameters = torch_inputs(torch.float32)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: torch_predict(one[None], *parameters)[0]))
    return lambda: jacobian(x)


def jax_vmap_jacrev():
    import jax
    from jax import lax

    x = jax.numpy.asarray(data())
    conv_weights, conv_bias, weights, bias = (jax.numpy.asarray(value) for value in start().values())

    def predict(one):
        h = jax.nn.relu(lax.conv_general_dilated(one[None], conv_weights, (1, 1), "VALID") + conv_bias[:, None, None])
        return jax.nn.softmax(weights @ h.ravel() + bias)

    jacobian = jax.jit(jax.vmap(jax.jacrev(predict)))
    return lambda: jax.block_until_ready(jacobian(x))


def classes_first(result) -> list[np.ndarray]:
    """(observations, classes, ...) to (classes, observations, ...)"""
    return [np.moveaxis(arrays(result)[0], 1, 0)]


def from_matlab_layout(result) -> list[np.ndarray]:
    """(classes, height, width, channels, observations) to (classes, observations, channels, height, width)"""
    return [arrays(result)[0].transpose(0, 4, 3, 1, 2)]


def benchmark() -> Benchmark:
    exact = torch_loop(torch.float64)
    return Benchmark(
        "jacobian_axis",
        "Jacobian of the 5 outputs of a small convolutional network for each of 128 images of 16x16x3, float32.",
        [
            Contender('gradloom, "BCSS"', gradloom("BCSS", 1), "gradloom", 0.7),
            Contender('gradloom, "SSCB"', gradloom("SSCB", 0), "gradloom", 0.7, numbers=from_matlab_layout),
            Contender("torch, loop of 5 gradients", torch_loop()),
            Contender("torch vmap(jacrev)", torch_vmap_jacrev, numbers=classes_first),
            Contender("jax jit vmap(jacrev)", jax_vmap_jacrev, "information", numbers=classes_first),
            multiplying(FLOP),
        ],
        lambda: arrays(exact()()), tolerance=1e-5,
    )
