"""H10: the Hessian of the loss of a small network, 385 parameters, at 128 points."""
from __future__ import annotations

import numpy as np
import torch

from .harness import Benchmark, Contender, arrays

INPUTS, WIDTH, POINTS = 10, 32, 128
SIZES = (INPUTS * WIDTH, WIDTH, WIDTH, 1)


def data(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(a.astype(dtype) for a in (rng.standard_normal((POINTS, INPUTS)), rng.standard_normal(POINTS),
                                           0.3 * rng.standard_normal(sum(SIZES))))


def loss(tanh, mean, x, y):
    """In the words of any array library, of one vector of parameters."""

    def of(p):
        first, bias, second = p[:320].reshape((INPUTS, WIDTH)), p[320:352], p[352:384]
        return mean((tanh(x @ first + bias) @ second + p[384] - y) ** 2)

    return of


def gradloom_hessian():
    import gradloom as gl

    x, y, p = data()
    hessian = gl.hessian(loss(gl.tanh, gl.mean, gl.dlarray(x), y))
    return lambda: hessian(p)


def gradloom_accelerated():
    """The Hessian of a dlarray, recorded and replayed."""
    import gradloom as gl

    x, y, p = data()
    hessian = gl.dlaccelerate(gl.hessian(loss(gl.tanh, gl.mean, gl.dlarray(x), gl.dlarray(y))))
    p = gl.dlarray(p)
    return lambda: hessian(p)


def gradloom_block():
    """The structured Jacobian of the recorded gradient, written out."""
    import gradloom as gl

    x, y, p = data()
    of = loss(gl.tanh, gl.mean, gl.dlarray(x), y)

    def hessian(p):
        return gl.dljacobian(gl.dlgradient(of(p), p, enable_higher_derivatives=True), p)

    p = gl.dlarray(p)
    return lambda: gl.dlfeval(hessian, p).dense()


def torch_hessian(dtype: str = "float32"):
    def setup():
        x, y, p = (torch.from_numpy(a) for a in data(dtype))
        hessian = torch.func.hessian(loss(torch.tanh, torch.mean, x, y))
        return lambda: hessian(p)

    return setup


def jax_hessian():
    import jax

    x, y, p = (jax.numpy.asarray(a) for a in data())
    hessian = jax.jit(jax.hessian(loss(jax.numpy.tanh, jax.numpy.mean, x, y)))
    return lambda: jax.block_until_ready(hessian(p))


def benchmark() -> Benchmark:
    exact = torch_hessian("float64")
    return Benchmark(
        "h10", "Hessian of the squared error of a network 10-32-1 with tanh, 385 parameters, 128 points, float32.",
        [
            Contender("gradloom, hessian(fun)", gradloom_hessian, "gradloom", target=0.5),
            Contender("gradloom, accelerated", gradloom_accelerated, "gradloom", target=0.35),
            Contender("gradloom, dljacobian of the gradient", gradloom_block, "gradloom", target=0.5),
            Contender("torch.func.hessian", torch_hessian()),
            Contender("jax jit hessian", jax_hessian, "information"),
        ],
        lambda: arrays(exact()()), tolerance=1e-4,
    )
