"""PINN: the gradient of the residual loss of Burgers' equation, 8 hidden layers of 50 with tanh, 10,000 points.

Formula: the mean of (u_t + u u_x - (0.01 / pi) u_xx)**2 and its gradient with respect to all weights and biases.
Compiled are jax and the row that says so.
"""
from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import torch

from .harness import Benchmark, Contender, arrays, multiplying

POINTS, WIDTH, LAYERS = 10_000, 50, 8
WIDTHS = (2, *[WIDTH] * LAYERS, 1)
NU = 0.01 / math.pi
# Value, gradient and second order are three products for each layer, and the gradient of the loss doubles each: 9 and
# one for u_x and u_t.
FLOP = 2.0 * POINTS * WIDTH**2 * (LAYERS - 1) * 10


def points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (POINTS, 1)).astype(np.float32), rng.uniform(0, 1, (POINTS, 1)).astype(np.float32)


def parameters() -> list[np.ndarray]:
    """weights, bias, weights, bias, ..."""
    rng, found = np.random.default_rng(1), []
    for a, b in itertools.pairwise(WIDTHS):
        found += [(rng.standard_normal((a, b)) * (2 / (a + b)) ** 0.5).astype(np.float32),
                  (0.1 * rng.standard_normal(b)).astype(np.float32)]
    return found


def network(x, parameters, tanh):
    for k in range(0, len(parameters) - 2, 2):
        x = tanh(x @ parameters[k] + parameters[k + 1])
    return x @ parameters[-2] + parameters[-1]


def gradloom(accelerated: bool = False, executor: str = "auto"):
    import gradloom as gl

    x0, t0 = map(gl.dlarray, points())
    start = [gl.dlarray(p) for p in parameters()]

    def loss(parameters, x, t):
        u = network(gl.concat([x, t], axis=1), parameters, gl.tanh)
        u_x, u_t = gl.dlgradient(gl.sum(u), x, t, enable_higher_derivatives=True)
        residual = u_t + u * u_x - NU * gl.dllaplacian(u, x, 1)
        value = gl.mean(residual ** 2)
        return value, gl.dlgradient(value, parameters)

    function = gl.dlaccelerate(loss, executor=executor) if accelerated else loss
    return lambda: gl.dlfeval(function, start, x0, t0)


def gradloom_inductor():
    """Compiled by torch's compiler, which takes half a minute: before anything is timed."""
    run = gradloom(accelerated=True, executor="inductor")
    for _ in range(6):
        run()
    return run


def gradloom_partials():
    """All derivatives of u from one walk forwards, recorded and replayed."""
    import gradloom as gl

    xt = gl.dlarray(np.concatenate(points(), axis=1))
    start = [gl.dlarray(p) for p in parameters()]

    def loss(parameters, xt):
        u = network(xt, parameters, gl.tanh)
        u_x, heat = gl.partials(u, xt, ["x", {"t": 1, "xx": -NU}], 1, names="xt")
        value = gl.mean((heat + u * u_x) ** 2)
        return value, gl.dlgradient(value, parameters)

    function = gl.dlaccelerate(loss)
    return lambda: gl.dlfeval(function, start, xt)


def torch_setup(dtype=torch.float32):
    def setup():
        x, t = (torch.tensor(p, dtype=dtype, requires_grad=True) for p in points())
        start = [torch.tensor(p, dtype=dtype, requires_grad=True) for p in parameters()]

        def run():
            u = network(torch.cat([x, t], 1), start, torch.tanh)
            u_x, u_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
            (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
            value = ((u_t + u * u_x - NU * u_xx) ** 2).mean()
            return value.detach(), torch.autograd.grad(value, start)

        return run

    return setup


def jax_reverse():
    return jax_setup(False)


def jax_forward():
    return jax_setup(True)


def jax_setup(forward):
    """jit of value_and_grad; u_x and u_xx by two gradients, or by two pushes forward."""
    import jax

    x, t = map(jax.numpy.asarray, points())
    start = [jax.numpy.asarray(p) for p in parameters()]

    def loss(parameters):
        def u(x, t):
            return network(jax.numpy.concatenate([x, t], 1), parameters, jax.numpy.tanh)

        one = jax.numpy.ones_like(x)
        if forward:
            def u_and_x(x):
                return jax.jvp(lambda x: u(x, t), (x,), (one,))

            (value, u_x), (_, u_xx) = jax.jvp(u_and_x, (x,), (one,))
            u_t = jax.jvp(lambda t: u(x, t), (t,), (one,))[1]
        else:
            value, (u_x, u_t) = u(x, t), jax.grad(lambda x, t: u(x, t).sum(), (0, 1))(x, t)
            u_xx = jax.grad(lambda x: jax.grad(lambda x: u(x, t).sum())(x).sum())(x)
        return ((u_t + value * u_x - NU * u_xx) ** 2).mean()

    run = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(run(start))


def benchmark() -> Benchmark:
    exact = torch_setup(torch.float64)
    return Benchmark(
        "pinn", "Residual loss of Burgers' equation and its gradient, 8 hidden layers of 50 with tanh, 10,000 points, "
                "float32.",
        [
            Contender("gradloom", gradloom, "gradloom", 0.9),
            Contender("gradloom, accelerated", partial(gradloom, accelerated=True), "gradloom", 0.8),
            Contender("gradloom, inductor", gradloom_inductor, "gradloom", 0.6),
            Contender("gradloom, partials, accelerated", gradloom_partials, "gradloom", 0.35),
            Contender("torch eager", torch_setup()),
            Contender("jax jit, gradients", jax_reverse),
            Contender("jax jit, pushes forward", jax_forward),
            multiplying(FLOP),
        ],
        lambda: arrays(exact()()), tolerance=1e-3,
    )
