"""Value and gradient of Rosenbrock's function of two numbers: what an operation and a walk cost, with no arithmetic to
hide behind."""
from __future__ import annotations

import numpy as np
import torch

from .harness import Benchmark, Contender

START = np.array([-1.0, 2.0])


def f(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def by_hand() -> list[np.ndarray]:
    a, b = START
    return [np.array(f(START)), np.array([-400 * a * (b - a**2) - 2 * (1 - a), 200 * (b - a**2)])]


def gradloom(accelerated: bool = False):
    def setup():
        import gradloom as gl

        x0 = gl.dlarray([-1.0, 2.0])

        def value_and_gradient(x):
            y = f(x)
            return y, gl.dlgradient(y, x)

        function = gl.dlaccelerate(value_and_gradient) if accelerated else value_and_gradient
        return lambda: gl.dlfeval(function, x0)

    return setup


def torch_eager():
    x = torch.tensor(START, requires_grad=True)

    def run():
        y = f(x)
        return y, torch.autograd.grad(y, x)

    return run


def hips_autograd():
    from autograd import value_and_grad

    value_and_gradient = value_and_grad(f)
    return lambda: value_and_gradient(START)


def jax(jit: bool):
    def setup():
        import jax

        jax.config.update("jax_enable_x64", True)
        value_and_gradient = jax.value_and_grad(f)
        value_and_gradient = jax.jit(value_and_gradient) if jit else value_and_gradient
        x = jax.numpy.asarray(START)
        return lambda: jax.block_until_ready(value_and_gradient(x))

    return setup


def benchmark() -> Benchmark:
    return Benchmark(
        "rosenbrock", "value and gradient of 100 (x[1] - x[0]^2)^2 + (1 - x[0])^2 at (-1, 2), float64.",
        [
            Contender("gradloom", gradloom(), "gradloom", target=0.8),
            Contender("gradloom, accelerated", gradloom(accelerated=True), "gradloom"),
            Contender("torch eager", torch_eager),
            Contender("HIPS autograd", hips_autograd),
            Contender("jax eager", jax(jit=False), "information"),
            Contender("jax jit", jax(jit=True), "information"),
        ],
        by_hand, tolerance=1e-10,
    )
