"""Random programs of a dozen operations, the same on dlarrays and on tensors."""

from __future__ import annotations

import math
import random

import torch
from helpers import seeded, uniform

import gradloom as gl
from gradloom.core.array import dlarray

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
