"""H3: all 256 outputs of the second hidden layer of a perceptron with respect to its 266,752 weights and biases (273 MB
dense)."""
from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from .harness import Benchmark, Contender, arrays, writing

SIZES = (784, 256, 256)


def parameters() -> dict[str, np.ndarray]:
    rng, found = np.random.default_rng(1), {}
    for k, (m, n) in enumerate(pairwise(SIZES), 1):
        found[f"weights{k}"] = rng.uniform(-1, 1, (n, m)).astype(np.float32) / m**0.5
        found[f"bias{k}"] = rng.uniform(-1, 1, n).astype(np.float32) / m**0.5
    return found


def image() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SIZES[0], dtype=np.float32)


def torch_setup(dtype=torch.float32):
    x = torch.tensor(image(), dtype=dtype)
    start = {key: torch.tensor(value, dtype=dtype) for key, value in parameters().items()}

    def hidden(p):
        h = torch.tanh(p["weights1"] @ x + p["bias1"])
        return torch.tanh(p["weights2"] @ h + p["bias2"])

    jacobian = torch.func.jacrev(hidden)
    return lambda: list(jacobian(start).values())


def jax_setup():
    import jax

    x = jax.numpy.asarray(image())
    start = {key: jax.numpy.asarray(value) for key, value in parameters().items()}

    def hidden(p):
        h = jax.numpy.tanh(p["weights1"] @ x + p["bias1"])
        return jax.numpy.tanh(p["weights2"] @ h + p["bias2"])

    jacobian = jax.jit(jax.jacrev(hidden))

    def run():
        found = jax.block_until_ready(jacobian(start))
        return [found[key] for key in start]

    return run


def gradloom_factors():
    import gradloom as gl

    x = gl.dlarray(image())
    start = {key: gl.dlarray(value) for key, value in parameters().items()}

    def jacobian(p):
        h = gl.tanh(p["weights1"] @ x + p["bias1"])
        return gl.dljacobian(gl.tanh(p["weights2"] @ h + p["bias2"]), p)

    return lambda: gl.dlfeval(jacobian, start)


def dense(memory):
    def setup():
        jacobian, keys = gradloom_factors(), list(parameters())
        first = jacobian()
        kept = {key: memory(first[key]) for key in keys}

        def run():
            J = jacobian()
            return [J[key].dense(out=kept[key]) for key in keys]

        return run

    return setup


def benchmark() -> Benchmark:
    return Benchmark(
        "h3", "Jacobian of a perceptron 784-256-256 with tanh, 256 outputs by 266,752 parameters, float32.",
        [
            Contender("gradloom, in factors", gradloom_factors, "gradloom", 0.01,
                      lambda J: arrays([J[key].dense() for key in parameters()])),
            Contender("gradloom, dense into J.buffer()", dense(lambda part: part.buffer()), "gradloom", 0.12),
            Contender("gradloom, dense into out=", dense(lambda part: torch.full(part.dense().shape, torch.nan)),
                      "gradloom"),
            Contender("torch jacrev", torch_setup),
            Contender("jax jit jacrev", jax_setup),
            writing(4 * 256 * 266_752),
        ],
        lambda: arrays(torch_setup(torch.float64)()), tolerance=1e-5,
    )
