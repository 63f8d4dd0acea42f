"""One step of Adam for 60 parameters: those of 30 fully connected layers, of 128 x 128 weights and 128 biases each.

torch's solvers write over parameters and averages, where gradloom returns new ones and leaves the old as they are. The
further table shows other sizes.
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


Shapes = list[tuple[int, ...]]


def layers(width: int) -> Shapes:
    return [shape for _ in range(LAYERS) for shape in ((width, width), (width,))]


def start(shapes: Shapes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Parameters and gradients."""
    stream = np.random.default_rng(0)
    return tuple([stream.standard_normal(shape).astype(np.float32) for shape in shapes] for _ in range(2))


def by_hand(shapes: Shapes) -> list[np.ndarray]:
    """The parameters after the first step, in double precision."""
    return [p - RATE * np.sign(g) / (1 + EPSILON / np.abs(g.astype(np.float64)))
            for p, g in zip(*start(shapes), strict=True)]


def gradloom(shapes: Shapes):
    import gradloom as gl

    first, gradients = ([gl.dlarray(x) for x in its] for its in start(shapes))
    parameters, average, square, iteration = first, None, None, 0

    def step():
        nonlocal parameters, average, square, iteration
        iteration += 1
        parameters, average, square = gl.adamupdate(parameters, gradients, average, square, iteration, RATE, *DECAYS,
                                                    EPSILON)
        return parameters

    return step


def torch_setup(shapes: Shapes, **options):
    parameters, gradients = ([torch.from_numpy(x) for x in its] for its in start(shapes))
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


def contenders(shapes: Shapes) -> list[Contender]:
    return [
        Contender("gradloom adamupdate", partial(gradloom, shapes), "gradloom", 0.5),
        Contender("torch Adam, foreach", partial(torch_setup, shapes, foreach=True), numbers=copies),
        Contender("torch Adam, fused, in place", partial(torch_setup, shapes, fused=True), "information",
                  numbers=copies),
        Contender("torch Adam, one by one", partial(torch_setup, shapes, foreach=False), "information",
                  numbers=copies),
    ]


def sizes(seconds: float) -> str:
    """Times for layers of other widths, and the ratio to torch's foreach."""
    rows = []
    for width in SIZES:
        times = [m.minimum for m in measure(contenders(layers(width)), seconds / 4, by_hand(layers(width)), 1e-6)]
        ratio = f"{times[0] / times[1]:.2f}" if times[0] and times[1] else "-"
        rows.append([f"{width} x {width}", *[duration(t) for t in times], ratio])
    return aligned(["weights", *[c.name for c in contenders(layers(SIZES[0]))], "gradloom / foreach"], rows)


def benchmark() -> Benchmark:
    return Benchmark("adam_update", "one step of Adam for 60 parameters (30 of 128 x 128, 30 of 128), float32.",
                     contenders(layers(128)), lambda: by_hand(layers(128)), tolerance=1e-6, further=sizes)
