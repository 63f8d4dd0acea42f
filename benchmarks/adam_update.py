"""One step of Adam for 60 parameters: those of 30 fully connected layers, of 128 x 128 weights and 128 biases each.

torch's solvers write over parameters and averages, where gradloom returns new ones and leaves the old as they are. The
further tables show other sizes, and 20 parameters beside torch's fused solver.
"""
from __future__ import annotations

from functools import partial

import numpy as np
import torch

from .harness import Benchmark, Contender, measure
from .report import aligned, duration

LAYERS = 30
SIZES = (16, 64, 128, 256)
RATE, DECAYS, EPSILON = 0.001, (0.9, 0.999), 1e-8


def start(width: int, layers: int = LAYERS) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Parameters and gradients."""
    stream = np.random.default_rng(0)
    shapes = [shape for _ in range(layers) for shape in ((width, width), (width,))]
    return tuple([stream.standard_normal(shape).astype(np.float32) for shape in shapes] for _ in range(2))


def by_hand(width: int, layers: int = LAYERS) -> list[np.ndarray]:
    """The parameters after the first step, in double precision."""
    return [p - RATE * np.sign(g) / (1 + EPSILON / np.abs(g.astype(np.float64)))
            for p, g in zip(*start(width, layers), strict=True)]


def gradloom(width: int, layers: int = LAYERS):
    import gradloom as gl

    first, gradients = ([gl.dlarray(x) for x in its] for its in start(width, layers))
    parameters, average, square, iteration = first, None, None, 0

    def step():
        nonlocal parameters, average, square, iteration
        iteration += 1
        parameters, average, square = gl.adamupdate(parameters, gradients, average, square, iteration, RATE, *DECAYS,
                                                    EPSILON)
        return parameters

    return step


def torch_setup(width: int, layers: int = LAYERS, **options):
    parameters, gradients = ([torch.from_numpy(x) for x in its] for its in start(width, layers))
    parameters = [torch.nn.Parameter(p) for p in parameters]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g
    solver = torch.optim.Adam(parameters, lr=RATE, betas=DECAYS, eps=EPSILON, **options)

    def step():
        solver.step()
        return parameters

    return step


def copies(result) -> list[np.ndarray]:
    """What torch writes over at the next step."""
    return [p.detach().numpy().copy() for p in result]


def contenders(width: int, layers: int = LAYERS) -> list[Contender]:
    return [
        Contender("gradloom adamupdate", partial(gradloom, width, layers), "gradloom", 0.5),
        Contender("torch Adam, foreach", partial(torch_setup, width, layers, foreach=True), numbers=copies),
        Contender("torch Adam, fused, in place", partial(torch_setup, width, layers, fused=True), "information",
                  numbers=copies),
        Contender("torch Adam, one by one", partial(torch_setup, width, layers, foreach=False), "information",
                  numbers=copies),
    ]


def sizes(seconds: float) -> str:
    """Times for layers of other widths, and of 20 parameters, with the ratios to torch's foreach and fused solvers."""
    rows = []
    for layers, width in [*[(LAYERS, width) for width in SIZES], *[(10, width) for width in SIZES]]:
        found = measure(contenders(width, layers), seconds / 8, by_hand(width, layers), 1e-6)
        times = [m.minimum for m in found]
        ratios = [f"{times[0] / t:.2f}" if times[0] and t else "-" for t in times[1:3]]
        rows.append([f"{2 * layers}, {width} x {width}", *[duration(t) for t in times], *ratios])
    return aligned(["parameters", *[c.name for c in contenders(SIZES[0])], "gradloom / foreach", "gradloom / fused"],
                   rows)


def benchmark() -> Benchmark:
    return Benchmark("adam_update", "one step of Adam for 60 parameters (30 of 128 x 128, 30 of 128), float32.",
                     contenders(128), lambda: by_hand(128), tolerance=1e-6, further=sizes)
