"""One step of Adam for 20 parameters inside an accelerated function, beside torch's fused solver.

`adamupdate` gives new parameters and averages, and leaves the old ones as they are; torch's solver writes over them.
"""
from __future__ import annotations

from . import adam_update
from .harness import Benchmark, Contender

SHAPES = [(128, 64), (128,)] * 10


def gradloom():
    import gradloom as gl

    parameters, gradients = ([gl.dlarray(x) for x in its] for its in adam_update.start(SHAPES))
    average, square = ([gl.zeros_like(p) for p in parameters] for _ in range(2))
    iteration = 0
    options = adam_update.RATE, *adam_update.DECAYS, adam_update.EPSILON

    def update(parameters, gradients, average, square, iteration):
        return gl.adamupdate(parameters, gradients, average, square, iteration, *options)

    fast = gl.dlaccelerate(update)

    def step():
        nonlocal parameters, average, square, iteration
        iteration += 1  # an array: numbers that change with each call are of another kind each time
        parameters, average, square = fast(parameters, gradients, average, square, gl.dlarray(float(iteration)))
        return parameters

    return step


def jax_setup():
    import jax

    numpy = jax.numpy
    parameters, gradients = ([numpy.asarray(x) for x in its] for its in adam_update.start(SHAPES))
    state = [parameters, *([numpy.zeros_like(p) for p in parameters] for _ in range(2))]
    (decay, square_decay), iteration = adam_update.DECAYS, 0

    @jax.jit
    def update(parameters, gradients, average, square, iteration):
        average = [decay * a + (1 - decay) * g for a, g in zip(average, gradients, strict=True)]
        square = [square_decay * a + (1 - square_decay) * g * g for a, g in zip(square, gradients, strict=True)]
        one, other = 1 - decay ** iteration, 1 - square_decay ** iteration
        return [p - adam_update.RATE * (a / one) / (numpy.sqrt(s / other) + adam_update.EPSILON)
                for p, a, s in zip(parameters, average, square, strict=True)], average, square

    def step():
        nonlocal iteration
        iteration += 1
        state[:] = jax.block_until_ready(update(state[0], gradients, *state[1:], numpy.float32(iteration)))
        return state[0]

    return step


def torch_setup(**options):
    return adam_update.torch_setup(SHAPES, **options)


def benchmark() -> Benchmark:
    return Benchmark(
        "adam_loop", "one accelerated step of Adam for 20 parameters (10 of 128 x 64, 10 of 128), float32.",
        [
            Contender("gradloom, accelerated", gradloom, "gradloom", 1.2),
            Contender("torch Adam, fused, in place", lambda: torch_setup(fused=True), numbers=adam_update.copies),
            Contender("torch Adam, foreach", lambda: torch_setup(foreach=True), numbers=adam_update.copies),
            Contender("jax jit", jax_setup),
        ],
        lambda: adam_update.by_hand(SHAPES), tolerance=1e-6)
