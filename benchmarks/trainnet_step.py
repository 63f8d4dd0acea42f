"""An epoch of the digits network: trainnet beside the same loop in plain torch, whose DataLoader gives the
mini-batches.

640 random images of 28x28 in mini-batches of 32, float32; forward pass, cross-entropy, gradient, momentum update. The
network and its first weights are those of `digits_step`. Both go through the data in order, and must agree in the loss
of each mini-batch (rounding grows to 3e-4 within the epoch; in float64 they agree to 1e-15). Each call of trainnet
records its step anew, which is a part of its time. What the loop itself takes is measured with a small network.
"""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .digits_step import BATCH, BLOCKS, CLASSES, FLOP, LEARN_RATE, start, torch_network
from .harness import Benchmark, Contender, multiplying
from .network_step import MOMENTUM

COUNT = 640


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 1, 28, 28) and their classes (count,)."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((COUNT, 1, 28, 28), dtype=np.float32), rng.integers(CLASSES, size=COUNT)


def gradloom():
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
    x, t = gl.dlarray(images, "BCSS"), gl.dlarray(classes, "B")
    options = gl.TrainingOptions("sgdm", initial_learn_rate=LEARN_RATE, momentum=MOMENTUM, l2_regularization=0.0,
                                 max_epochs=1, mini_batch_size=BATCH, shuffle="never", verbose=False)

    def epoch():
        _, info = gl.trainnet(x, t, net, "crossentropy", options)
        return info.training["loss"]

    return epoch


def torch_eager():
    images, classes = data()
    pairs = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(classes))
    loader = torch.utils.data.DataLoader(pairs, batch_size=BATCH)
    net = torch_network()
    first = {name: value.clone() for name, value in net.state_dict().items()}

    def epoch():
        net.load_state_dict(first)
        optimizer = torch.optim.SGD(net.parameters(), lr=LEARN_RATE, momentum=MOMENTUM)
        found = []
        for x, t in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), t)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    return epoch


def numbers(result: Any) -> list[np.ndarray]:
    """The loss of each mini-batch."""
    return [np.asarray(result)]


def own_time(seconds: float) -> str:
    """What the loop takes beside its steps: trainnet and the same steps by hand, of a network of two small layers."""
    import gradloom as gl

    steps, size = 1000, 4
    rng = np.random.default_rng(0)
    x = gl.dlarray(rng.standard_normal((steps * size, 4), dtype=np.float32), "BC")
    t = gl.dlarray(rng.integers(3, size=steps * size), "B")
    net = gl.dlnetwork([gl.layers.FeatureInput(4), gl.layers.FullyConnected(8), gl.layers.ReLU(),
                        gl.layers.FullyConnected(3), gl.layers.Softmax()])
    parts = [(x[k:k + size], t[k:k + size]) for k in range(0, steps * size, size)]

    def model_loss(net, x, t):
        y, state = net.forward(x, return_state=True)
        loss = gl.crossentropy(y, t)
        return loss, state, gl.dlgradient(loss, net.trainable)

    def by_hand(function):
        moved, velocity = net, None
        for xs, ts in parts:
            loss, state, gradients = gl.dlfeval(function, moved, xs, ts)
            moved = moved.replace(state=state)
            moved, velocity = gl.sgdmupdate(moved, gradients, velocity, learn_rate=LEARN_RATE, momentum=MOMENTUM)
            loss.item()

    def by_trainnet(acceleration):
        gl.trainnet(x, t, net, "crossentropy", gl.TrainingOptions(
            "sgdm", initial_learn_rate=LEARN_RATE, momentum=MOMENTUM, l2_regularization=0.0, max_epochs=1,
            mini_batch_size=size, shuffle="never", verbose=False, acceleration=acceleration))

    fast = gl.dlaccelerate(model_loss)
    runs = {"plain": (lambda: by_trainnet("none"), lambda: by_hand(model_loss)),
            "accelerated": (lambda: by_trainnet("auto"), lambda: by_hand(fast))}
    least = dict.fromkeys([(name, k) for name in runs for k in (0, 1)], float("inf"))
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end:
        for name, k in least:
            start = time.perf_counter()
            runs[name][k]()
            least[name, k] = min(least[name, k], (time.perf_counter() - start) / steps)
    lines = [f"- {name}: {1e6 * least[name, 0]:.0f} us a step, by hand {1e6 * least[name, 1]:.0f} us: the loop takes "
             f"{1e6 * (least[name, 0] - least[name, 1]):.0f} us" for name in runs]
    return "\n".join(["The loop's own time (a network of two small layers, batch 4, 1000 steps):", "", *lines])


def benchmark() -> Benchmark:
    return Benchmark(
        "trainnet_step", "an epoch of 20 steps of the digits network by trainnet (batch 32, float32, sgdm).",
        [
            Contender("gradloom trainnet", gradloom, "gradloom", 1.0, numbers),
            Contender("torch eager with DataLoader", torch_eager, numbers=numbers),
            multiplying(FLOP * COUNT // BATCH),
        ],
        lambda: numbers(torch_eager()()), tolerance=1e-3, further=own_time,
    )
