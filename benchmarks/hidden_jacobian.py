"""The Jacobian of a stack of convolutions and relus with respect to all of its weights and biases, for h1.py and h2.py.

Forward pass, trace and Jacobian are all timed. The rivals can only allocate a new dense result. gradloom hands over its
structured Jacobian ("as a Block"), writes it dense into memory that the caller keeps ("into out="), or into memory that
remembers its structural zeros ("into J.buffer()").
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Benchmark, Contender, arrays, writing

CHUNK = 256  # rows at once for torch's jacrev; all at once takes more memory and time


@dataclass(frozen=True)
class Stack:
    """Convolutions as (channels in, channels out, width, padding), each followed by relu, on one random 28 x 28
    image."""

    convolutions: tuple[tuple[int, int, int, int], ...]

    def image(self) -> np.ndarray:
        return np.random.default_rng(0).standard_normal((1, 1, 28, 28), dtype=np.float32)

    def parameters(self) -> dict[str, np.ndarray]:
        """Uniform in +-1/sqrt(fan in), as torch.nn.Conv2d starts; weights1, bias1, weights2, ..."""
        rng, parameters = np.random.default_rng(1), {}
        for k, (n_in, n_out, width, _) in enumerate(self.convolutions, 1):
            bound = (n_in * width * width) ** -0.5
            parameters[f"weights{k}"] = rng.uniform(-bound, bound, (n_out, n_in, width, width)).astype(np.float32)
            parameters[f"bias{k}"] = rng.uniform(-bound, bound, n_out).astype(np.float32)
        return parameters

    def forward(self, parameters, x, convolve, relu):
        """`convolve(x, weights, bias, padding)` and `relu(x)` are those of one library."""
        for k, (_, _, _, padding) in enumerate(self.convolutions, 1):
            x = relu(convolve(x, parameters[f"weights{k}"], parameters[f"bias{k}"], padding))
        return x


def torch_convolve(x, weights, bias, padding):
    return F.conv2d(x, weights, bias, padding=padding)


def torch_setup(stack: Stack, transform, dtype=torch.float32):
    """`transform` is torch.func's jacfwd or jacrev."""

    def setup():
        x = torch.tensor(stack.image(), dtype=dtype)
        parameters = {key: torch.tensor(value, dtype=dtype) for key, value in stack.parameters().items()}
        jacobian = transform(lambda parameters: stack.forward(parameters, x, torch_convolve, torch.relu))
        return lambda: list(jacobian(parameters).values())

    return setup


def by_rows(f):
    return torch.func.jacrev(f, chunk_size=CHUNK)


def jax_setup(stack: Stack):
    def setup():
        import jax
        from jax import lax

        x = jax.numpy.asarray(stack.image())
        parameters = {key: jax.numpy.asarray(value) for key, value in stack.parameters().items()}

        def convolve(x, weights, bias, padding):
            return lax.conv_general_dilated(x, weights, (1, 1), [(padding, padding)] * 2) + bias[:, None, None]

        jacobian = jax.jit(jax.jacfwd(lambda parameters: stack.forward(parameters, x, convolve, jax.nn.relu)))

        def run():
            parts = jax.block_until_ready(jacobian(parameters))
            return [parts[key] for key in parameters]

        return run

    return setup


def gradloom_jacobian(stack: Stack, accelerated: bool = False):
    """The function without arguments that gives the Jacobian, and the names of its parts."""
    import gradloom as gl

    x = gl.dlarray(stack.image())
    start = {key: gl.dlarray(value) for key, value in stack.parameters().items()}

    def convolve(x, weights, bias, padding):
        return gl.dlconv(x, weights, bias, padding=padding, data_format="BCSS")

    def jacobian(parameters):
        return gl.dljacobian(stack.forward(parameters, x, convolve, gl.relu), parameters)

    function = gl.dlaccelerate(jacobian) if accelerated else jacobian
    return lambda: gl.dlfeval(function, start), list(start)


def gradloom_block(stack: Stack, accelerated: bool = False):
    def setup():
        jacobian, keys = gradloom_jacobian(stack, accelerated)
        return lambda: (jacobian(), keys)

    return setup


def block_numbers(result) -> list[np.ndarray]:
    block, keys = result
    return arrays([block[key].dense() for key in keys])


def gradloom_dense(stack: Stack, memory):
    """`memory(part)` gives the array that a part of the Jacobian is written into, once, before anything is timed."""

    def setup():
        jacobian, keys = gradloom_jacobian(stack)
        first = jacobian()
        kept = {key: memory(first[key]) for key in keys}

        def run():
            found = jacobian()
            for key in keys:
                found[key].dense(out=kept[key])
            return list(kept.values())

        return run

    return setup


def out_array(part) -> torch.Tensor:
    return torch.full(part.dense().shape, torch.nan)


def benchmark(name: str, work: str, stack: Stack, nbytes: int, as_block: float | None,
              into_buffer: float | None, accelerated: float | None = None) -> Benchmark:
    """`nbytes` is the size of the dense Jacobian; `as_block`, `into_buffer` and `accelerated` are the targets."""
    exact = torch_setup(stack, torch.func.jacfwd, torch.float64)
    return Benchmark(
        name, work,
        [
            Contender("gradloom, as a Block", gradloom_block(stack), "gradloom", as_block, block_numbers),
            Contender("gradloom, accelerated, as a Block", gradloom_block(stack, accelerated=True), "gradloom",
                      accelerated, block_numbers),
            Contender("gradloom, dense into J.buffer()", gradloom_dense(stack, lambda part: part.buffer()),
                      "gradloom", into_buffer),
            Contender("gradloom, dense into out=", gradloom_dense(stack, out_array), "gradloom"),
            Contender("torch jacfwd", torch_setup(stack, torch.func.jacfwd)),
            Contender("jax jit jacfwd", jax_setup(stack)),
            Contender(f"torch jacrev, {CHUNK} rows at once", torch_setup(stack, by_rows), "information"),
            writing(nbytes),
        ],
        lambda: arrays(exact()()), tolerance=1e-5,
    )
