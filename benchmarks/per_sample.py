"""The gradients of 64 losses, one for each image, of the network of PyTorch's tutorial on per-sample gradients.

Two convolutions 3x3 of 32 and 64 filters with relu, max pooling 2x2, fully connected layers of 128 and 10: 1,199,882
parameters, float32. As factors the gradients are never written out; as arrays they are 307 MB.
"""
from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Benchmark, Contender, writing

BATCH, CLASSES = 64, 10
SHAPES = {("conv1", "weights"): (32, 1, 3, 3), ("conv1", "bias"): (32,), ("conv2", "weights"): (64, 32, 3, 3),
          ("conv2", "bias"): (64,), ("fc1", "weights"): (128, 9216), ("fc1", "bias"): (128,),
          ("fc2", "weights"): (CLASSES, 128), ("fc2", "bias"): (CLASSES,)}


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, 1, 28, 28), dtype=np.float32), rng.integers(CLASSES, size=BATCH)


def start() -> dict[tuple[str, str], np.ndarray]:
    rng = np.random.default_rng(1)
    return {key: (rng.standard_normal(shape) * np.prod(shape[1:]) ** -0.5).astype(np.float32)
            for key, shape in SHAPES.items()}


def gradloom(accelerated: bool = False, written: bool = False):
    import gradloom as gl

    net = gl.dlnetwork([
        gl.layers.ImageInput((28, 28, 1)), gl.layers.Convolution2d(3, 32, name="conv1"), gl.layers.ReLU(),
        gl.layers.Convolution2d(3, 64, name="conv2"), gl.layers.ReLU(), gl.layers.MaxPooling2d(2, stride=2),
        gl.layers.FullyConnected(128, name="fc1"), gl.layers.ReLU(), gl.layers.FullyConnected(CLASSES, name="fc2")])
    net = net.replace(learnables={key: gl.dlarray(value) for key, value in start().items()})
    images, classes = data()
    x, t = gl.dlarray(images, "BCSS"), gl.dlarray(np.eye(CLASSES, dtype=np.float32)[classes], "BC")

    def gradients(net, x, t):
        y = gl.log_softmax(net.forward(x), axis="C")
        return gl.dljacobian(-gl.sum(y * t, axis="C"), net.learnables)

    function = gl.dlaccelerate(gradients) if accelerated else gradients
    buffers = {key: np.zeros((BATCH, *shape), dtype=np.float32) for key, shape in SHAPES.items()} if written else {}

    def run():
        found = gl.dlfeval(function, net, x, t)
        for key, buffer in buffers.items():
            found[key].dense(out=buffer)
        return found

    return run


def norms_of_factors(found) -> list[np.ndarray]:
    return [np.asarray(found.row_norms()).reshape(-1)]


def torch_setup(dtype: torch.dtype = torch.float32):
    images, classes = data()
    x, t = torch.tensor(images, dtype=dtype), torch.tensor(classes)
    parameters = {key: torch.tensor(value, dtype=dtype) for key, value in start().items()}

    def loss(p, x, t):
        x = F.relu(F.conv2d(x[None], p["conv1", "weights"], p["conv1", "bias"]))
        x = F.max_pool2d(F.relu(F.conv2d(x, p["conv2", "weights"], p["conv2", "bias"])), 2).flatten(1)
        x = F.relu(F.linear(x, p["fc1", "weights"], p["fc1", "bias"]))
        return F.cross_entropy(F.linear(x, p["fc2", "weights"], p["fc2", "bias"]), t[None])

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    return lambda: gradients(parameters, x, t)


def norms_of_arrays(found) -> list[np.ndarray]:
    return [torch.stack([(g.double().reshape(BATCH, -1) ** 2).sum(1) for g in found.values()]).sum(0).sqrt().numpy()]


def benchmark() -> Benchmark:
    exact = partial(torch_setup, torch.float64)
    numbers = {"numbers": norms_of_factors}
    return Benchmark(
        "per_sample", "gradients of 64 losses with respect to 1,199,882 parameters of two convolutions and two fully "
                      "connected layers, float32.",
        [
            Contender("gradloom, factors", gradloom, "gradloom", 0.25, **numbers),
            Contender("gradloom, factors, accelerated", partial(gradloom, accelerated=True), "gradloom", 0.25,
                      **numbers),
            Contender("gradloom, written out", partial(gradloom, written=True), "gradloom", 1.0, **numbers),
            Contender("torch vmap of grad", torch_setup, numbers=norms_of_arrays),
            writing(4 * BATCH * 1_199_882),
        ],
        lambda: norms_of_arrays(exact()()), tolerance=1e-3,
    )
