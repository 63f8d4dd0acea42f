"""Laplacians of networks of dense layers, for h4.py, h5.py and w4.py: forward pass and Laplacian, nothing recorded, are
timed.

The rivals: folx (forward Laplacian, compiled by jax), jax and torch (the trace of the Hessian, mapped over the points),
torch with one gradient of a gradient for each input.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .harness import Benchmark, Contender, arrays

PIECE = 1024  # rows of a product


@dataclass(frozen=True)
class Problem:
    """Layers of these widths, without bias, at random points; `total`: all outputs are summed before the Laplacian with
    respect to all inputs."""

    widths: tuple[int, ...]
    points: tuple[int, ...]
    activation: str
    total: bool = False
    spread: float = 1.0

    def x(self) -> np.ndarray:
        noise = np.random.default_rng(0).standard_normal((*self.points, self.widths[0]), dtype=np.float32)
        return 1 + self.spread * noise if self.total else noise

    def weights(self) -> list[np.ndarray]:
        rng = np.random.default_rng(1)
        return [(rng.standard_normal(pair) / pair[0] ** 0.5).astype(np.float32)
                for pair in zip(self.widths[:-1], self.widths[1:], strict=True)]

    def network(self, x: Any, weights: Any, activation: Callable[[Any], Any]) -> Any:
        for w in weights[:-1]:
            x = activation(x @ w)
        return x @ weights[-1]

    @property
    def flop(self) -> float:
        """Of the products that cannot be left out: value, tangents and second order through all layers but the first
        and the last."""
        inner = sum(a * b for a, b in zip(self.widths[1:-2], self.widths[2:-1], strict=True))
        return 2.0 * float(np.prod(self.points)) * inner * (self.widths[0] + 2)


def gradloom_setup(problem: Problem, accelerated: bool = False):
    def setup():
        import gradloom as gl

        x0, weights = gl.dlarray(problem.x()), [gl.dlarray(w) for w in problem.weights()]
        activation = getattr(gl, problem.activation)

        def laplacian(x):
            u = problem.network(x, weights, activation)
            u = gl.sum(u) if problem.total else u
            return gl.dllaplacian(u, x, tuple(range(x.ndim)) if problem.total else 1, enable_higher_derivatives=False)

        function = gl.dlaccelerate(laplacian) if accelerated else laplacian
        return lambda: gl.dlfeval(function, x0)

    return setup


def torch_problem(problem: Problem, dtype: Any):
    x, weights = torch.tensor(problem.x(), dtype=dtype), [torch.tensor(w, dtype=dtype) for w in problem.weights()]
    activation = getattr(torch.nn.functional, problem.activation)
    x = x.reshape(-1, problem.widths[0])

    def of_point(point):
        return problem.network(point, weights, activation)[0]

    def shown(result):
        return result.sum() if problem.total else result.reshape(-1, 1)

    return x, of_point, shown


def torch_hessian(problem: Problem, dtype: Any = torch.float32):
    """By torch.func: the Hessian of each point, and its trace."""

    def setup():
        x, of_point, shown = torch_problem(problem, dtype)
        trace = torch.func.vmap(lambda point: torch.diagonal(torch.func.hessian(of_point)(point)).sum())
        return lambda: shown(trace(x))

    return setup


def torch_loop(problem: Problem):
    """The PINN way: one gradient of a gradient for each input."""

    def setup():
        x, of_point, shown = torch_problem(problem, torch.float32)
        x = x.clone().requires_grad_()

        def run():
            (g,) = torch.autograd.grad(of_point_all(x), x, create_graph=True)
            return shown(sum(torch.autograd.grad(g[:, k].sum(), x, retain_graph=True)[0][:, k]
                             for k in range(x.shape[1])).detach())

        def of_point_all(x):
            return torch.func.vmap(of_point)(x).sum()

        return run

    return setup


def jax_problem(problem: Problem):
    import jax

    x, weights = jax.numpy.asarray(problem.x()), [jax.numpy.asarray(w) for w in problem.weights()]
    activation = {"tanh": jax.numpy.tanh, "silu": jax.nn.silu}[problem.activation]
    return jax, x, lambda x: problem.network(x, weights, activation)


def folx_setup(problem: Problem):
    def setup():
        import folx

        jax, x, network = jax_problem(problem)
        if problem.total:
            laplacian = jax.jit(lambda x: folx.forward_laplacian(lambda x: network(x).sum(),
                                                                 sparsity_threshold=problem.widths[0])(x).laplacian)
        else:
            laplacian = jax.jit(jax.vmap(lambda x: folx.forward_laplacian(lambda x: network(x)[0])(x).laplacian[None]))
        return lambda: jax.block_until_ready(laplacian(x))

    return setup


def jax_hessian(problem: Problem):
    def setup():
        jax, x, network = jax_problem(problem)
        x = x.reshape(-1, problem.widths[0])
        trace = jax.vmap(lambda point: jax.numpy.trace(jax.hessian(lambda point: network(point)[0])(point)))
        run = jax.jit(lambda x: trace(x).sum() if problem.total else trace(x).reshape(-1, 1))
        return lambda: jax.block_until_ready(run(x))

    return setup


def products(problem: Problem) -> Contender:
    """The floor: the products that cannot be left out, each layer's by pieces of rows that stay in the cache."""

    def setup():
        rows = int(np.prod(problem.points)) * (problem.widths[0] + 2)
        layers = [(torch.randn(PIECE, a), torch.randn(a, b), torch.empty(PIECE, b))
                  for a, b in zip(problem.widths[1:-2], problem.widths[2:-1], strict=True)]

        def run():
            for x, w, out in layers:
                for _ in range(rows // PIECE):
                    torch.mm(x, w, out=out)
                torch.mm(x[:rows % PIECE], w)

        return run

    return Contender(f"floor: {problem.flop / 1e6:.0f} Mflop of products", setup, "floor", amount=problem.flop,
                     unit="flop/s")


def benchmark(name: str, work: str, problem: Problem, target: float, tolerance: float,
              accelerated_target: float | None = None) -> Benchmark:
    exact = torch_hessian(problem, torch.float64)
    role = "information" if problem.total else "rival"  # they are told which points are independent
    return Benchmark(
        name, work,
        [
            Contender("gradloom", gradloom_setup(problem), "gradloom", target),
            Contender("gradloom, accelerated", gradloom_setup(problem, accelerated=True), "gradloom",
                      accelerated_target),
            Contender("folx, jitted", folx_setup(problem)),
            Contender("jax jit vmap(hessian), trace", jax_hessian(problem), role),
            Contender("torch vmap(hessian), trace", torch_hessian(problem), role),
            Contender("torch, a gradient for each input", torch_loop(problem), role),
            products(problem),
        ],
        lambda: arrays(exact()()), tolerance=tolerance,
    )
