"""One training step of an lstm written out as a loop in Python: 128 units on 32 sequences of 50 steps and 32 features,
the mean square of what the last step gives, float32, with momentum."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .harness import Benchmark, Contender, arrays

UNITS, STEPS, FEATURES, OUTPUTS, BATCH = 128, 50, 32, 10, 32
RATE, MOMENTUM = 0.01, 0.9


def data() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Weights of the input, of the recurrence, bias, weights of the output; sequences and targets."""
    rng = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    parameters = [normal(4 * UNITS, FEATURES, scale=FEATURES**-0.5), normal(4 * UNITS, UNITS, scale=UNITS**-0.5),
                  normal(4 * UNITS, scale=0.1), normal(OUTPUTS, UNITS, scale=UNITS**-0.5)]
    return parameters, normal(STEPS, BATCH, FEATURES), normal(BATCH, OUTPUTS)


def loss_of(words: Any, zero: Any):
    """In the words of any array library, of which `words` has sigmoid, tanh and mean."""
    def loss(parameters, x, t):
        w, r, b, out = parameters
        h = c = zero
        for k in range(STEPS):
            z = x[k] @ w.T + h @ r.T + b
            i, f, g, o = (z[:, n * UNITS:(n + 1) * UNITS] for n in range(4))
            c = words.sigmoid(f) * c + words.sigmoid(i) * words.tanh(g)
            h = words.sigmoid(o) * words.tanh(c)
        return words.mean((h @ out.T - t) ** 2)

    return loss


def gradloom():
    import gradloom as gl

    parameters, x, t = data()
    parameters, x, t, velocity = [gl.dlarray(p) for p in parameters], gl.dlarray(x), gl.dlarray(t), None
    loss = loss_of(gl, gl.zeros((BATCH, UNITS), dtype="float32"))

    @gl.dlaccelerate
    def value_and_gradient(parameters, x, t):
        y = loss(parameters, x, t)
        return y, gl.dlgradient(y, parameters)

    def step():
        nonlocal parameters, velocity
        y, gradients = gl.dlfeval(value_and_gradient, parameters, x, t)
        parameters, velocity = gl.sgdmupdate(parameters, gradients, velocity, learn_rate=RATE, momentum=MOMENTUM)
        return y, parameters

    return step


def torch_setup(compiled: bool = False, dtype: torch.dtype = torch.float32):
    parameters, *rest = data()
    parameters = [torch.tensor(p, dtype=dtype, requires_grad=True) for p in parameters]
    x, t = (torch.tensor(a, dtype=dtype) for a in rest)
    loss = loss_of(torch, torch.zeros(BATCH, UNITS, dtype=dtype))
    loss = torch.compile(loss) if compiled else loss
    solver = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)

    def step():
        solver.zero_grad()
        y = loss(parameters, x, t)
        y.backward()
        solver.step()
        return y, parameters

    return step


def copies(result: Any) -> list[np.ndarray]:
    """What torch writes over at the next step."""
    return [a.copy() for a in arrays(result)]


def jax_setup():
    import jax

    parameters, x, t = data()
    numpy = jax.numpy

    def loss(parameters, x, t):
        w, r, b, out = parameters

        def one(state, x):
            h, c = state
            i, f, g, o = numpy.split(x @ w.T + h @ r.T + b, 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * numpy.tanh(g)
            return (jax.nn.sigmoid(o) * numpy.tanh(c), c), None

        zero = numpy.zeros((BATCH, UNITS), "float32")
        (h, _), _ = jax.lax.scan(one, (zero, zero), x)
        return ((h @ out.T - t) ** 2).mean()

    @jax.jit
    def update(parameters, velocity, x, t):
        y, gradients = jax.value_and_grad(loss)(parameters, x, t)
        velocity = [MOMENTUM * v - RATE * g for v, g in zip(velocity, gradients, strict=True)]
        return y, [p + v for p, v in zip(parameters, velocity, strict=True)], velocity

    parameters, x, t = [numpy.asarray(p) for p in parameters], numpy.asarray(x), numpy.asarray(t)
    state = [parameters, [numpy.zeros_like(p) for p in parameters]]

    def step():
        y, *state[:] = jax.block_until_ready(update(*state, x, t))
        return y, state[0]

    return step


def benchmark() -> Benchmark:
    return Benchmark(
        "lstm_loop", f"one training step of lstm({UNITS}) as a loop in Python, {BATCH} sequences of {STEPS} steps and "
                     f"{FEATURES} features, float32, sgdm.",
        [
            Contender("gradloom, accelerated", gradloom, "gradloom", 1.2),
            Contender("torch eager", torch_setup, numbers=copies),
            Contender("torch.compile", lambda: torch_setup(compiled=True), "information", numbers=copies),
            Contender("jax jit, scan", jax_setup),
        ],
        lambda: copies(torch_setup(dtype=torch.float64)()), tolerance=1e-5)
