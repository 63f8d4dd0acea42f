"""H7: the Jacobian of y = x**2 for 10,000 numbers, which is diagonal, with no pattern given."""
from __future__ import annotations

import numpy as np

from .harness import Benchmark, Contender

N = 10_000


def point() -> np.ndarray:
    return np.random.default_rng(0).random(N)


def gradloom_sparse():
    import gradloom as gl

    jacobian, x = gl.sparse_jacobian(lambda x: x**2), point()
    return lambda: jacobian(x)


def gradloom_block():
    import gradloom as gl

    x = gl.dlarray(point())
    return lambda: gl.dlfeval(lambda x: gl.dljacobian(x**2, x), x)


def asdex():
    import asdex
    import jax

    jax.config.update("jax_enable_x64", True)
    x = jax.numpy.asarray(point())
    jacobian = jax.jit(asdex.jacobian(lambda x: x**2, x))
    return lambda: jax.block_until_ready(jacobian(x))


def jax_dense():
    import jax

    jax.config.update("jax_enable_x64", True)
    x = jax.numpy.asarray(point())
    jacobian = jax.jit(jax.jacfwd(lambda x: x**2))
    return lambda: jax.block_until_ready(jacobian(x))


def diagonal(result) -> list[np.ndarray]:
    """The diagonal, and the sum of all entries, which says that there is nothing else."""
    if hasattr(result, "tosparse"):
        result = result.tosparse()
    if hasattr(result, "indices") and hasattr(result, "todense") and not hasattr(result, "tocsr"):
        assert (np.asarray(result.indices)[:, 0] == np.asarray(result.indices)[:, 1]).all()
        return [np.asarray(result.data), np.asarray(result.data).sum()]
    return [np.asarray(result.diagonal()), np.asarray(result.sum())]


def benchmark() -> Benchmark:
    return Benchmark(
        "h7", "Jacobian of x**2 for 10,000 numbers, no pattern given, float64.",
        [
            Contender("gradloom, sparse_jacobian", gradloom_sparse, "gradloom", target=0.01, numbers=diagonal),
            Contender("gradloom, dljacobian in factors", gradloom_block, "gradloom", target=0.01, numbers=diagonal),
            Contender("jax jit jacfwd, dense", jax_dense, numbers=diagonal),
            Contender("asdex, jax jit, pattern kept", asdex, "information", numbers=diagonal),
        ],
        lambda: [2 * point(), (2 * point()).sum()], tolerance=1e-9,
    )
