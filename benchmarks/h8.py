"""H8: the gradients of 64 losses, one for each observation, with respect to the 1.2 million weights of a convolution
network (307 MB dense)."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Benchmark, Contender, arrays

N = 64


def parameters() -> dict[str, np.ndarray]:
    rng, found = np.random.default_rng(1), {}
    for k, shape in enumerate([(32, 1, 3, 3), (64, 32, 3, 3), (128, 9216), (10, 128)], 1):
        bound = np.prod(shape[1:]) ** -0.5
        found[f"weights{k}"] = rng.uniform(-bound, bound, shape).astype(np.float32)
        found[f"bias{k}"] = rng.uniform(-bound, bound, shape[0]).astype(np.float32)
    return found


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, N)


def torch_logits(p, x):
    x = F.relu(F.conv2d(x, p["weights1"], p["bias1"]))
    x = F.max_pool2d(F.relu(F.conv2d(x, p["weights2"], p["bias2"])), 2).flatten(1)
    return F.log_softmax(F.linear(F.relu(F.linear(x, p["weights3"], p["bias3"])), p["weights4"], p["bias4"]), 1)


def torch_tensors(dtype=torch.float32):
    x, t = data()
    return {k: torch.tensor(v, dtype=dtype)
            for k, v in parameters().items()}, torch.tensor(x, dtype=dtype), torch.tensor(t)


def torch_vmap(dtype=torch.float32):
    p, x, t = torch_tensors(dtype)

    def loss(p, x, t):
        return F.nll_loss(torch_logits(p, x[None]), t[None])

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    return lambda: list(gradients(p, x, t).values())


def torch_batch():
    """One gradient of the sum of all losses: what an ordinary training step costs."""
    p, x, t = torch_tensors()
    for value in p.values():
        value.requires_grad_()
    return lambda: torch.autograd.grad(F.nll_loss(torch_logits(p, x), t, reduction="sum"), list(p.values()))


def jax_vmap():
    import jax
    import jax.numpy as jnp

    x, t = map(jnp.asarray, data())
    p = {k: jnp.asarray(v) for k, v in parameters().items()}

    def loss(p, x, t):
        def convolve(x, w, b):
            return jax.nn.relu(jax.lax.conv_general_dilated(x, w, (1, 1), "VALID") + b[:, None, None])

        x = convolve(convolve(x[None], p["weights1"], p["bias1"]), p["weights2"], p["bias2"])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID").reshape(-1)
        x = p["weights4"] @ jax.nn.relu(p["weights3"] @ x + p["bias3"]) + p["bias4"]
        return -jax.nn.log_softmax(x)[t]

    gradients = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))

    def run():
        found = jax.block_until_ready(gradients(p, x, t))
        return [found[key] for key in p]

    return run


def gradloom():
    """The gradients in factors."""
    import gradloom as gl

    x, t = data()
    x = gl.dlarray(x, "BCSS")
    start = {k: gl.dlarray(v) for k, v in parameters().items()}

    def jacobian(p):
        h = gl.relu(gl.dlconv(gl.relu(gl.dlconv(x, p["weights1"], p["bias1"])), p["weights2"], p["bias2"]))
        h = gl.relu(gl.fullyconnect(gl.maxpool(h, 2, stride=2), p["weights3"], p["bias3"]))
        losses = gl.indexcrossentropy(gl.fullyconnect(h, p["weights4"], p["bias4"]), t, from_logits=True,
                                      reduction="none")
        return gl.dljacobian(losses, p)

    return lambda: gl.dlfeval(jacobian, start)


def gradloom_norms():
    jacobian = gradloom()
    return lambda: jacobian().row_norms()


def benchmark() -> Benchmark:
    def reference():
        return arrays(torch_vmap(torch.float64)())

    def norms():
        squares = sum((g.reshape(N, -1) ** 2).sum(1) for g in reference())
        return [np.sqrt(squares)]

    return Benchmark(
        "h8", "gradients of 64 losses with respect to 1.2 million parameters of a convolution network, float32.",
        [
            Contender("gradloom, in factors", gradloom, "gradloom", 0.5,
                      lambda J: arrays([J[key].dense() for key in parameters()])),
            Contender("gradloom, norms alone", gradloom_norms, "information", None, lambda n: reference()),
            Contender("torch vmap(grad)", torch_vmap),
            Contender("jax jit vmap(grad)", jax_vmap),
            Contender("floor: torch, one gradient of the sum", torch_batch, "floor"),
        ],
        # in float32 a near tie in the pooling may fall to the other side; in float64 all agree to 1e-15
        reference, tolerance=5e-3,
    )
