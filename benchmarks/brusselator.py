"""The sparse Jacobian of the right-hand side of a Brusselator on a periodic n x n grid, 2 n n unknowns, six entries in
each row."""
from __future__ import annotations

import numpy as np

from .harness import Benchmark, Contender

A, B, DIFFUSION = 3.4, 1.0, 0.1


def right_hand_side(roll, stack):
    """In the words of any array library: y is (n, n, 2)."""

    def f(y):
        def laplacian(w):
            return roll(w, 1, axis=0) + roll(w, -1, axis=0) + roll(w, 1, axis=1) + roll(w, -1, axis=1) - 4 * w

        u, v = y[..., 0], y[..., 1]
        reaction = u * u * v
        return stack([B + reaction - (A + 1) * u + DIFFUSION * laplacian(u),
                      A * u - reaction + DIFFUSION * laplacian(v)], axis=-1)

    return f


def point(n: int) -> np.ndarray:
    return np.random.default_rng(0).random((n, n, 2))


def direction(n: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(2 * n * n)


def by_hand(n: int) -> list[np.ndarray]:
    """The Jacobian's product with a direction."""
    u, v = point(n)[..., 0], point(n)[..., 1]
    du, dv = direction(n).reshape(n, n, 2)[..., 0], direction(n).reshape(n, n, 2)[..., 1]

    def laplacian(w):
        return np.roll(w, 1, 0) + np.roll(w, -1, 0) + np.roll(w, 1, 1) + np.roll(w, -1, 1) - 4 * w

    reaction = 2 * u * v * du + u * u * dv
    return [np.stack([reaction - (A + 1) * du + DIFFUSION * laplacian(du), A * du - reaction
                      + DIFFUSION * laplacian(dv)], axis=-1).reshape(-1)]


def gradloom_function():
    import gradloom as gl

    return right_hand_side(gl.roll, gl.stack)


def jax_function():
    import jax

    jax.config.update("jax_enable_x64", True)
    return right_hand_side(jax.numpy.roll, jax.numpy.stack)


# ----- evaluation -----------------------------------------------------------------------------------------------------


def gradloom(n: int, partials: bool = True):
    def setup():
        import gradloom as gl
        from gradloom.derivatives.sparse import evaluation as compressed

        found, x = compressed.pattern_of, point(n)

        def without_values(*args):
            pattern = found(*args)
            pattern.accumulation = None
            return pattern

        jacobian = gl.sparse_jacobian(gradloom_function())
        try:
            compressed.pattern_of = found if partials else without_values
            jacobian(x)
        finally:
            compressed.pattern_of = found
        return lambda: jacobian(x)

    return setup


def asdex(n: int):
    def setup():
        import asdex
        import jax

        f = jax_function()
        x = jax.numpy.asarray(point(n))
        jacobian = jax.jit(asdex.jacobian(f, x))
        return lambda: jax.block_until_ready(jacobian(x))

    return setup


def jax_jacfwd(n: int):
    def setup():
        import jax

        f = jax_function()
        x = jax.numpy.asarray(point(n))
        jacobian = jax.jit(jax.jacfwd(f))
        return lambda: jax.block_until_ready(jacobian(x))

    return setup


def times_direction(n: int):
    def numbers(result):
        if not hasattr(result, "tocsr"):
            result = result.todense() if hasattr(result, "todense") else result
            result = np.asarray(result).reshape(2 * n * n, 2 * n * n)
        return [result @ direction(n)]

    return numbers


def evaluation(name: str, n: int) -> Benchmark:
    numbers = times_direction(n)
    rivals = [Contender("asdex, jax jit", asdex(n), numbers=numbers)]
    if n < 32:
        rivals.append(Contender("jax jit jacfwd, dense", jax_jacfwd(n), "information", numbers=numbers))
    return Benchmark(
        name, f"Sparse Jacobian of a Brusselator with {2 * n * n:,} unknowns, pattern and colouring known, float64.",
        [Contender("gradloom, sparse_jacobian", gradloom(n), "gradloom", target=3, numbers=numbers),
         Contender("gradloom, compressed walks", gradloom(n, partials=False), "information", numbers=numbers), *rivals],
        lambda: by_hand(n), tolerance=1e-9,
    )


# ----- detection and colouring ----------------------------------------------------------------------------------------


def gradloom_cold(n: int):
    def setup():
        import gradloom as gl
        from gradloom.derivatives.sparse.dense import trace_between
        from gradloom.derivatives.sparse.evaluation import Prepared

        f, x = gradloom_function(), gl.dlarray(point(n))

        def prepared(x):
            found = Prepared(trace_between(f(x), x), square=False)
            return found.pattern, found.coloring

        return lambda: gl.dlfeval(prepared, x)

    return setup


def gradloom_first_call(n: int):
    def setup():
        import gradloom as gl

        f, x = gradloom_function(), point(n)
        return lambda: gl.sparse_jacobian(f)(x)

    return setup


def asdex_cold(n: int):
    def setup():
        import asdex
        import jax

        f = jax_function()
        x = jax.numpy.asarray(point(n))
        return lambda: asdex.jacobian_coloring(f, x)

    return setup


def entries(result) -> list[np.ndarray]:
    if isinstance(result, tuple):
        return [np.array(len(result[0].columns))]
    return [np.array(result.nnz if hasattr(result, "nnz") else result.sparsity.nnz)]


def detection(name: str, n: int) -> Benchmark:
    return Benchmark(
        name, f"Finding and colouring the pattern of the Jacobian of a Brusselator with {2 * n * n:,} unknowns.",
        [Contender("gradloom, pattern and colouring", gradloom_cold(n), "gradloom", target=0.1, numbers=entries),
         Contender("gradloom, the first Jacobian whole", gradloom_first_call(n), "information", numbers=entries),
         Contender("asdex, pattern and colouring", asdex_cold(n), numbers=entries)],
        lambda: [np.array(12 * n * n)], tolerance=0,
    )
