"""An epoch of the digits network: trainnet beside the same loop in plain torch, whose DataLoader gives the mini-batches.

640 random images of 28x28 in mini-batches of 32, float32; forward pass, cross-entropy, gradient, momentum update. The
network and its first weights are those of `digits_step`. Both go through the data in order, and after the epoch must
agree in the loss of the last mini-batch.
"""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .digits_step import BATCH, BLOCKS, CLASSES, FLOP, LEARN_RATE, MOMENTUM, start, torch_network
from .harness import Benchmark, Contender, multiplying

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
        return info.training["loss"][-1]

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
        for x, t in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), t)
            loss.backward()
            optimizer.step()
            found = loss.item()
        return found

    return epoch


def numbers(result: float) -> list[np.ndarray]:
    """The loss of the last mini-batch."""
    return [np.asarray(result)]


def benchmark() -> Benchmark:
    return Benchmark(
        "trainnet_step", "an epoch of 20 steps of the digits network by trainnet (batch 32, float32, sgdm).",
        [
            Contender("gradloom trainnet", gradloom, "gradloom", 1.0, numbers),
            Contender("torch eager with DataLoader", torch_eager, numbers=numbers),
            multiplying(FLOP * COUNT // BATCH),
        ],
        lambda: numbers(torch_eager()()), tolerance=1e-4,
    )
