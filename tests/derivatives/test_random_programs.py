"""Random programs of a dozen operations: every walk agrees with torch, and the structured Jacobian with all of them.

One function is run on dlarrays, which are traced, and on tensors, whose kernels torch differentiates.
"""

import math
import random

import pytest
import torch
from operation_cases import seeded, uniform

import gradloom as gl
from gradloom.blocks.block import identity
from gradloom.blocks.dense import dense
from gradloom.core.array import dlarray
from gradloom.core.trace import Node, Trace
from gradloom.derivatives.jacobians.structure import structure
from gradloom.derivatives.walks import pull as reverse
from gradloom.derivatives.walks import push as forward
from gradloom.derivatives.words.evaluate import VARIABLE, dlfeval, dlgradient
from gradloom.derivatives.words.products import jvp

SHAPES = [(3,), (2, 3), (2, 2, 3), (1, 4), (4, 1), (2, 1, 3), (6,), (4, 3)]
LARGEST = 150  # elements of an intermediate result

# ----- steps: (r, x, earlier results) -> a result, or None where x does not fit -----------------------------------------


def drawn(r, shape):
    return uniform(shape, torch.float64, seeded(r.randrange(1 << 30)))


def some_axes(r, x):
    return tuple(sorted(r.sample(range(x.ndim), r.randint(1, x.ndim))))


def broadcastable(r, x, values):
    """An earlier result that broadcasts with x."""
    for y in r.sample(values, len(values)):
        try:
            if math.prod(torch.broadcast_shapes(tuple(x.shape), tuple(y.shape))) <= LARGEST:
                return y
        except RuntimeError:
            continue
    return None


def factors(r, n):
    """Sizes whose product is n."""
    sizes = []
    while n > 1:
        sizes.append(r.choice([d for d in range(2, n + 1) if n % d == 0]))
        n //= sizes[-1]
    if r.random() < 0.3:
        sizes.insert(r.randint(0, len(sizes)), 1)
    return tuple(sizes)


def cut(r, x):
    a = r.randrange(x.ndim)
    start = r.randrange(x.shape[a])
    return x[(*(slice(None),) * a, slice(start, r.randint(start + 1, x.shape[a]), r.choice([1, 1, 2])))]


def taken(r, x):
    a = r.randrange(x.ndim)
    return gl.take(x, [r.randrange(x.shape[a]) for _ in range(r.randint(1, 4))], axis=a)


def chosen(r, x):
    mask = drawn(r, tuple(x.shape)) > 0
    return gl.where(mask if isinstance(x, torch.Tensor) else dlarray(mask), x, gl.sin(x) if r.random() < 0.5 else 0.0)


def convolved(r, x):
    d = x.ndim - 1
    weights = drawn(r, (2, x.shape[0], *(2,) * d))
    options = {"padding": r.choice([0, 1]), "stride": r.choice([1, 2])}
    images = gl.reshape(x, (1, *x.shape))
    if isinstance(x, torch.Tensor):
        return gl.dlconv(images, weights, data_format="BC" + "S" * d, **options)[0]
    return gl.stripdims(gl.dlconv(dlarray(images, "BC" + "S" * d), weights, **options))[0]


def permuted(r, x):
    order = list(range(x.ndim))
    r.shuffle(order)
    return gl.permute_dims(x, tuple(order))


def is_small(x, most):
    return x.ndim > 0 and 0 < math.prod(x.shape) <= most


STEPS = [
    lambda r, x, vs: r.choice([gl.sin, gl.tanh, gl.exp, gl.square, gl.sigmoid, gl.abs, gl.relu])(x * 0.5),
    lambda r, x, vs: x + drawn(r, r.choice([tuple(x.shape), tuple(x.shape[-1:]), (1,) * x.ndim, ()])),
    lambda r, x, vs: x * drawn(r, r.choice([tuple(x.shape), tuple(x.shape[-1:]), tuple(r.choice([1, n]) for n in x.shape)])),
    lambda r, x, vs: x + y if (y := broadcastable(r, x, vs)) is not None else None,
    lambda r, x, vs: x * y if (y := broadcastable(r, x, vs)) is not None else None,
    lambda r, x, vs: x @ drawn(r, (x.shape[-1], r.choice([1, 2, 3]))) if x.ndim > 1 else None,
    lambda r, x, vs: gl.einsum("ij,ik->jk", x, drawn(r, (x.shape[0], 2))) if x.ndim == 2 else None,
    lambda r, x, vs: gl.einsum("ii->i", x) if x.ndim == 2 and x.shape[0] == x.shape[1] else None,
    lambda r, x, vs: r.choice([gl.sum, gl.mean])(x, axis=some_axes(r, x), keepdims=r.random() < 0.5) if x.ndim else None,
    lambda r, x, vs: r.choice([gl.var, gl.norm, gl.softmax, gl.max])(x, axis=r.randrange(x.ndim)) if x.ndim else None,
    lambda r, x, vs: gl.prod(x * 0.7, axis=r.randrange(x.ndim)) if x.ndim else None,
    lambda r, x, vs: gl.reshape(x, factors(r, math.prod(x.shape))),
    lambda r, x, vs: permuted(r, x),
    lambda r, x, vs: cut(r, x) if x.ndim else None,
    lambda r, x, vs: x[r.randrange(x.shape[0])] if x.ndim else None,
    lambda r, x, vs: taken(r, x) if x.ndim else None,
    lambda r, x, vs: gl.pad(x, [(r.randint(0, 2), r.randint(0, 1))]) if is_small(x, 60) else None,
    lambda r, x, vs: gl.concat([x, gl.sin(x), x * 2][: r.randint(2, 3)], axis=r.randrange(x.ndim)) if is_small(x, 60) else None,
    lambda r, x, vs: gl.flip(x, axis=r.randrange(x.ndim)) if x.ndim else None,
    lambda r, x, vs: gl.roll(x, r.randint(1, 3), axis=r.randrange(x.ndim)) if x.ndim else None,
    lambda r, x, vs: gl.tile(x, (2,)) if is_small(x, 40) else None,
    lambda r, x, vs: gl.broadcast_to(x, (2, *x.shape)) if is_small(x, 40) else None,
    lambda r, x, vs: gl.outer(gl.flatten(x), gl.flatten(gl.sin(x))) if is_small(x, 12) else None,
    lambda r, x, vs: r.choice([gl.flatten, gl.squeeze])(x),
    lambda r, x, vs: chosen(r, x),
    lambda r, x, vs: convolved(r, x) if x.ndim in (2, 3) and min(x.shape) >= 2 and is_small(x, 40) else None,
]


def program(seed, length):
    def run(x):
        r = random.Random(seed)
        values = [x]
        while len(values) <= length:
            y = r.choice(STEPS)(r, r.choice(values[-3:]), values)
            if y is not None and math.prod(y.shape) <= LARGEST:
                values.append(y)
        return values[-1]

    return run


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
    trace = Trace()
    node = Node(VARIABLE, trace, (), [x], {}, x, None)
    y = function(dlarray._made(x, node))
    if y._node is None:
        return
    n, m = x.numel(), y.size
    w, v = uniform(y.shape, torch.float64, seeded("w", seed)), uniform(x.shape, torch.float64, seeded("v", seed))
    expected, gradient, curvature = referee(function, x, w, v)
    if not all(torch.isfinite(t).all() for t in (expected, gradient, curvature)):
        return
    (pushed,) = forward.push([y._node], {node: torch.eye(n, dtype=x.dtype).reshape(n, *x.shape)}, lead=(n,))
    (pulled,) = reverse.pull({y._node: torch.eye(m, dtype=x.dtype).reshape(m, *y.shape)}, [node], lead=(m,))
    (block,) = forward.push([y._node], {node: identity(x.shape, x.dtype, x.device)})
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
