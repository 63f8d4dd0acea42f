"""H9: the empirical neural tangent kernel of a convolution network between 20 and 5 images, all 10 x 10 pairs of
outputs."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Benchmark, Contender, arrays


def parameters() -> dict[str, np.ndarray]:
    rng, found = np.random.default_rng(1), {}
    for k, shape in enumerate([(32, 3, 3, 3), (32, 32, 3, 3), (32, 32, 3, 3), (10, 21632)], 1):
        bound = np.prod(shape[1:]) ** -0.5
        found[f"weights{k}"] = rng.uniform(-bound, bound, shape).astype(np.float32)
        found[f"bias{k}"] = rng.uniform(-bound, bound, shape[0]).astype(np.float32)
    return found


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((20, 3, 32, 32), dtype=np.float32), rng.standard_normal((5, 3, 32, 32), dtype=np.float32)


def torch_contraction(dtype=torch.float32):
    """The recipe of torch.func's tutorial: both Jacobians, contracted."""
    x1, x2 = (torch.tensor(x, dtype=dtype) for x in images())
    p = {k: torch.tensor(v, dtype=dtype) for k, v in parameters().items()}

    def single(p, x):
        x = x[None]
        for k in (1, 2, 3):
            x = F.relu(F.conv2d(x, p[f"weights{k}"], p[f"bias{k}"]))
        return F.linear(x.flatten(1), p["weights4"], p["bias4"])[0]

    jacobian = torch.func.vmap(torch.func.jacrev(single), (None, 0))

    def run():
        a, b = jacobian(p, x1), jacobian(p, x2)
        return [sum(torch.einsum("Naf,Mbf->NaMb", a[k].flatten(2), b[k].flatten(2)) for k in p)]

    return run


def jax_contraction():
    import jax
    import jax.numpy as jnp

    x1, x2 = map(jnp.asarray, images())
    p = {k: jnp.asarray(v) for k, v in parameters().items()}

    def single(p, x):
        x = x[None]
        for k in (1, 2, 3):
            x = jax.nn.relu(jax.lax.conv_general_dilated(x, p[f"weights{k}"], (1, 1), "VALID")
                            + p[f"bias{k}"][:, None, None])
        return p["weights4"] @ x.reshape(-1) + p["bias4"]

    jacobian = jax.vmap(jax.jacrev(single), (None, 0))

    @jax.jit
    def kernel(p):
        a, b = jacobian(p, x1), jacobian(p, x2)
        return sum(jnp.einsum("Naf,Mbf->NaMb", a[k].reshape(*a[k].shape[:2], -1), b[k].reshape(*b[k].shape[:2], -1))
                   for k in p)

    return lambda: [jax.block_until_ready(kernel(p))]


def gradloom():
    import gradloom as gl

    x1, x2 = (gl.dlarray(x, "BCSS") for x in images())
    start = {k: gl.dlarray(v) for k, v in parameters().items()}

    def outputs(p, x):
        for k in (1, 2, 3):
            x = gl.relu(gl.dlconv(x, p[f"weights{k}"], p[f"bias{k}"]))
        return gl.fullyconnect(x, p["weights4"], p["bias4"])

    def kernel(p):
        return gl.dljacobian(outputs(p, x1), p) @ gl.dljacobian(outputs(p, x2), p).T

    return lambda: gl.dlfeval(kernel, start)


def benchmark() -> Benchmark:
    return Benchmark(
        "h9", "neural tangent kernel of a convolution network, 20 by 5 images, 10 by 10 outputs, float32.",
        [
            Contender("gradloom, J1 @ J2.T", gradloom, "gradloom", 0.3,
                      lambda k: arrays([np.asarray(k).reshape(20, 10, 5, 10)])),
            Contender("torch, both Jacobians contracted", torch_contraction),
            Contender("jax jit, both Jacobians contracted", jax_contraction),
        ],
        lambda: arrays(torch_contraction(torch.float64)()), tolerance=1e-3,
    )
