"""Random programs of a dozen operations: every walk agrees with torch, and the structured Jacobian with all of them.

One function is run on dlarrays, which are traced, and on tensors, whose kernels torch differentiates.
"""

import random

import pytest
import torch
from helpers import seeded, traced, uniform
from random_programs import SHAPES, program

import gradloom as gl
from gradloom import dlarray, dlfeval, dlgradient, jvp
from gradloom.blocks.block import identity
from gradloom.blocks.dense import dense
from gradloom.derivatives.jacobians.structure import structure
from gradloom.derivatives.walks import pull as pulling
from gradloom.derivatives.walks import push as pushing

# ----- what holds for each ----------------------------------------------------------------------------------------------


def referee(function, x, w, v):
    """Torch's Jacobian, and the gradient and Hessian-vector product of <w, function>."""
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        (g,) = torch.autograd.grad((function(x * 1) * w).sum(), x, create_graph=True)
        second = torch.autograd.grad((g * v).sum(), x, allow_unused=True)[0] if g.requires_grad else None
    return torch.func.jacrev(function)(x.detach()), g.detach(), torch.zeros_like(v) if second is None else second


def close(found, expected, what):
    assert float((found - expected).abs().max()) < 1e-8 * (1 + float(expected.abs().max())), what


def check_program(seed, length):
    x = uniform(random.Random(-seed).choice(SHAPES), torch.float64, seeded("x", seed))
    function = program(seed, length)
    y, (node,) = traced(function, x)
    if y._node is None:
        return
    n, m = x.numel(), y.size
    w, v = uniform(y.shape, torch.float64, seeded("w", seed)), uniform(x.shape, torch.float64, seeded("v", seed))
    expected, gradient, curvature = referee(function, x, w, v)
    if not all(torch.isfinite(t).all() for t in (expected, gradient, curvature)):
        return
    (pushed,) = pushing.push([y._node], {node: torch.eye(n, dtype=x.dtype).reshape(n, *x.shape)}, lead=(n,))
    (pulled,) = pulling.pull({y._node: torch.eye(m, dtype=x.dtype).reshape(m, *y.shape)}, [node], lead=(m,))
    (block,) = pushing.push([y._node], {node: identity(x.shape, x.dtype, x.device)})
    pushed = pushed if pushed is not None else torch.zeros(n, *y.shape, dtype=y.dtype)  # absent: zero in every direction
    close(pushed.movedim(0, -1).reshape(expected.shape), expected, "push")
    close(pulled.reshape(expected.shape), expected, "pull")
    close(dense(block), expected, "the Block")
    planned = structure(y._node, node)
    assert planned.nbytes == block.nbytes, "the Block without data"
    assert [t.pattern() for t in planned.terms] == [t.pattern() for t in block.terms], "the Block without data"

    def derivatives(x):
        phi = gl.sum(function(x) * dlarray(w))
        recorded, raw = dlgradient(phi, x, enable_higher_derivatives=True), dlgradient(phi, x, retain_data=True)
        slope = jvp(phi, x, dlarray(v), enable_higher_derivatives=True)
        along = gl.sum(recorded * dlarray(v))
        return raw, recorded, jvp(recorded, x, dlarray(v)), dlgradient(along, x, retain_data=True), dlgradient(slope, x, retain_data=True)

    raw, recorded, *seconds = dlfeval(derivatives, dlarray(x))
    close(raw._value, gradient, "the gradient")
    close(recorded._value, gradient, "the recorded gradient")
    for word, second in zip(("push over pull", "pull over pull", "pull over push"), seconds, strict=True):
        close(second._value, curvature, word)


@pytest.mark.parametrize("seed", range(0, 240, 24))
def test_random_programs(seed):
    for k in range(seed, seed + 24):
        check_program(k, 6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10_000, 13_000, 100))
def test_many_random_programs(seed):
    for k in range(seed, seed + 100):
        check_program(k, 6 + k % 8)
