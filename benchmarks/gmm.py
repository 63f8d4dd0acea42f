"""ADBench's GMM: value and gradient of the log-likelihood of 25 Gaussians in 10 dimensions at 1,000 points.

Formula: sum over points of log sum over k of exp(a_k + sum q_k - |Q_k (x - m_k)|^2 / 2), less n log sum exp a, plus the
Wishart prior; Q_k is lower triangular, exp(q_k) its diagonal. Source: Srajer, Kukelova, Fitzgibbon, "A benchmark of
selected algorithmic differentiation tools", 2018.
"""
from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch

from .harness import Benchmark, Contender, arrays

POINTS, DIMENSIONS, COUNT = 1000, 10, 25
GAMMA, WISHART = 1.0, 0
TRIANGLE = DIMENSIONS * (DIMENSIONS - 1) // 2
# Where the entries below the diagonal go; all others read the zero that is appended to them.
PLACES = np.full((DIMENSIONS, DIMENSIONS), TRIANGLE)
PLACES.T[np.triu_indices(DIMENSIONS, 1)] = np.arange(TRIANGLE)


def data() -> tuple[np.ndarray, ...]:
    """Points; and weights, means, logarithms of the diagonals, entries below them."""
    rng = np.random.default_rng(0)
    shapes = ((POINTS, DIMENSIONS), (COUNT,), (COUNT, DIMENSIONS), (COUNT, DIMENSIONS), (COUNT, TRIANGLE))
    return tuple([0.5 * rng.standard_normal(shape) for shape in shapes])


def objective(words: Any, x: Any, places: Any, zeros: Any, eye: Any):
    """In the words of any array library, of which `words` has exp, log, sum, max, concat and einsum."""
    def logsumexp(a, axis):
        top = words.max(a, axis)
        return words.log(words.sum(words.exp(a - top[..., None] if axis else a - top), axis)) + top

    def of(alphas, means, logs, lower):
        diagonal = words.exp(logs)
        q = words.concat(lower, zeros)[:, places] + diagonal[:, :, None] * eye
        scaled = words.einsum("kij,nkj->nki", q, x[:, None, :] - means)
        inner = alphas + words.sum(logs, 1) - 0.5 * words.sum(scaled**2, 2)
        likelihood = words.sum(logsumexp(inner, 1), 0) - POINTS * logsumexp(alphas, 0)
        prior = 0.5 * GAMMA**2 * (words.sum(words.sum(diagonal**2, 1), 0) + words.sum(words.sum(lower**2, 1), 0))
        constant = -POINTS * DIMENSIONS * 0.5 * math.log(2 * math.pi)
        return constant + likelihood - prior + WISHART * words.sum(words.sum(logs, 1), 0)

    return of


class Words:
    """One library's functions, with axes by position."""

    def __init__(self, library: Any, maximum: Any, concat: Any):
        self.exp, self.log, self.einsum = library.exp, library.log, library.einsum
        self.sum = lambda a, axis: library.sum(a, **{"dim" if library is torch else "axis": axis})
        self.max, self.concat = maximum, concat


def gradloom(accelerated: bool = False):
    import gradloom as gl

    x, *parameters = map(gl.dlarray, data())
    words = Words(gl, lambda a, axis: gl.max(a, axis=axis), lambda *parts: gl.concat(list(parts), axis=1))
    f = objective(words, x, PLACES, gl.zeros((COUNT, 1)), gl.dlarray(np.eye(DIMENSIONS)))

    def value_and_gradient(*parameters):
        y = f(*parameters)
        return y, gl.dlgradient(y, *parameters)

    function = gl.dlaccelerate(value_and_gradient) if accelerated else value_and_gradient
    return lambda: gl.dlfeval(function, *parameters)


def torch_setup(compiled: bool = False):
    x, *parameters = map(torch.from_numpy, data())
    parameters = [p.requires_grad_() for p in parameters]
    words = Words(torch, lambda a, axis: torch.amax(a, axis), lambda *parts: torch.cat(parts, 1))
    f = objective(words, x, torch.from_numpy(PLACES), torch.zeros(COUNT, 1, dtype=torch.float64),
                  torch.eye(DIMENSIONS, dtype=torch.float64))
    f = torch.compile(f) if compiled else f

    def run():
        y = f(*parameters)
        return y, torch.autograd.grad(y, parameters)

    return run


def jax_setup():
    import jax

    jax.config.update("jax_enable_x64", True)
    numpy = jax.numpy
    x, *parameters = map(numpy.asarray, data())
    words = Words(numpy, lambda a, axis: numpy.max(a, axis=axis), lambda *parts: numpy.concatenate(parts, axis=1))
    f = objective(words, x, PLACES, numpy.zeros((COUNT, 1)), numpy.eye(DIMENSIONS))
    run = jax.jit(jax.value_and_grad(f, (0, 1, 2, 3)))
    return lambda: jax.block_until_ready(run(*parameters))


def benchmark() -> Benchmark:
    return Benchmark(
        "gmm", "value and gradient of ADBench's GMM objective, 25 Gaussians in 10 dimensions, 1,000 points, float64.",
        [
            Contender("gradloom", gradloom, "gradloom"),
            Contender("gradloom, accelerated", partial(gradloom, accelerated=True), "gradloom", 1.0),
            Contender("torch eager", torch_setup),
            Contender("torch.compile", partial(torch_setup, compiled=True), "information"),
            Contender("jax jit", jax_setup),
        ],
        lambda: arrays(torch_setup()()), tolerance=1e-6,
    )
