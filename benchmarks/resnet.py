"""One training step of ResNet-18 (He et al. 2016) on 16 images of 64 x 64, float32, with momentum."""
from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from . import network_step
from .harness import Benchmark

WIDTHS, CLASSES, BATCH, SIZE = (64, 128, 256, 512), 10, 16, 64


def network() -> Any:
    import gradloom as gl

    L = gl.layers

    def conv(size: int, channels: int, stride: int, name: str) -> Any:
        return L.Convolution2d(size, channels, stride=stride, padding=size // 2, name=name)

    trunk = [L.ImageInput((SIZE, SIZE, 3), name="images"), conv(7, WIDTHS[0], 2, "c"), L.BatchNormalization(name="n"),
             L.ReLU(name="r"), L.MaxPooling2d(3, stride=2, padding=1, name="pool")]
    sides, connections, before, channels = [], [], "pool", WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for block in range(2):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            trunk += [conv(3, width, stride, f"{name}c1"), L.BatchNormalization(name=f"{name}n1"),
                      L.ReLU(name=f"{name}r1"), conv(3, width, 1, f"{name}c2"), L.BatchNormalization(name=f"{name}n2"),
                      L.Addition(2, name=f"{name}add"), L.ReLU(name=f"{name}r2")]
            if stride > 1 or width != channels:
                sides.append([conv(1, width, stride, f"{name}c0"), L.BatchNormalization(name=f"{name}n0")])
                connections += [(before, f"{name}c0"), (f"{name}n0", f"{name}add/in2")]
            else:
                connections.append((before, f"{name}add/in2"))
            before, channels = f"{name}r2", width
    trunk += [L.GlobalAveragePooling2d(name="gap"), L.FullyConnected(CLASSES, name="fc")]
    gl.rng(0)
    return gl.dlnetwork([trunk, *sides], connections=connections)


class Block(nn.Module):
    """Two convolutions, and what stands beside them."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(n_in, n_out, 3, stride, 1), nn.BatchNorm2d(n_out)
        self.c2, self.n2 = nn.Conv2d(n_out, n_out, 3, 1, 1), nn.BatchNorm2d(n_out)
        self.beside = stride > 1 or n_in != n_out
        if self.beside:
            self.c0, self.n0 = nn.Conv2d(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        y = self.n2(self.c2(self.n1(self.c1(x)).relu()))
        return (y + (self.n0(self.c0(x)) if self.beside else x)).relu()


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.n, self.pool = nn.Conv2d(3, WIDTHS[0], 7, 2, 3), nn.BatchNorm2d(WIDTHS[0]), nn.MaxPool2d(3, 2, 1)
        channels = WIDTHS[0]
        self.names = []
        for stage, width in enumerate(WIDTHS):
            for block in range(2):
                self.names.append(f"s{stage}b{block}")
                self.add_module(self.names[-1], Block(channels, width, 2 if stage and not block else 1))
                channels = width
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.n(self.c(x)).relu())
        for name in self.names:
            x = self.get_submodule(name)(x)
        return self.fc(x.mean((2, 3)))


WORDS = {"weights": "weight", "bias": "bias", "scale": "weight", "offset": "bias"}


def name(key: tuple[str, str]) -> str:
    """What torch calls a parameter: s0b0c1 is c1 of the block s0b0."""
    layer, parameter = key
    return f"{layer[:4]}.{layer[4:]}.{WORDS[parameter]}" if layer[0] == "s" else f"{layer}.{WORDS[parameter]}"


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((BATCH, 3, SIZE, SIZE), dtype=np.float32)
    return images, rng.integers(CLASSES, size=BATCH)


MODEL = network_step.Model(network, ResNet, name, "BCSS", data)


def benchmark() -> Benchmark:
    return network_step.benchmark("resnet", "one training step of ResNet-18 on 16 images of 64 x 64, float32, sgdm.",
                                  MODEL, 1.0, 0.1, images=True)
