"""Recorded derivatives of random programs, in losses that are differentiated again: every word, in every order of axes, against torch.

A program keeps one axis, that of the observations, apart from the others; where it is, and which labels say so, is drawn. The same program
runs on dlarrays and on tensors, whose derivatives are torch's, one scalar at a time.
"""

import math
import random
import warnings

import pytest
import torch
from helpers import seeded, uniform

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.core.errors import BatchDependenceWarning

LARGEST = 120  # elements of an intermediate result


def drawn(r, shape):
    return uniform(shape, torch.float64, seeded(r.randrange(1 << 30)))


def is_tensor(x):
    return isinstance(x, torch.Tensor)


# ----- steps: (r, x, b, p) -> (result, where its axis of observations is), or None where x does not fit; b is None in programs without one -----


def other(r, x, b):
    """An axis that is not that of the observations."""
    axes = [k for k in range(x.ndim) if k != b]
    return r.choice(axes) if axes else None


def along(function):
    """A step along one axis of x that keeps the axis."""
    def step(r, x, b, p):
        a = other(r, x, b)
        return None if a is None or x.shape[a] == 0 else (function(r, x, a), b)

    return step


def reduced(r, x, b, p):
    a = other(r, x, b)
    if a is None:
        return None
    keepdims = b is not None and (x.ndim <= 2 or r.random() < 0.5)
    y = r.choice([gl.sum, gl.mean, gl.max, gl.var, gl.prod])(x * 0.8, axis=a, keepdims=keepdims)
    return y, b if keepdims or b is None or a > b else b - 1


def contracted(r, x, b, p):
    a = other(r, x, b)
    return None if a is None else (gl.moveaxis(gl.moveaxis(x, a, -1) @ drawn(r, (x.shape[a], r.choice([1, 2, 3]))), -1, a), b)


def summed(r, x, b, p):
    """einsum that only sums an axis."""
    a = other(r, x, b)
    if a is None or x.ndim < 2:
        return None
    letters = "ijkl"[: x.ndim]
    return gl.einsum(f"{letters}->{letters.replace(letters[a], '')}", x), b if b is None or a > b else b - 1


def permuted(r, x, b, p):
    order = list(range(x.ndim))
    r.shuffle(order)
    return gl.permute_dims(x, tuple(order)), None if b is None else order.index(b)


def written(r, x, b, p):
    """A part is assigned: a slice, an integer, or positions."""
    a = other(r, x, b)
    if a is None:
        return None
    n = x.shape[a]
    k = r.choice([r.randrange(n), slice(0, max(1, n - 1)), [r.randrange(n), r.randrange(n)] if r.random() < 0.5 else [n - 1]])
    at = (*(slice(None),) * a, k)
    value = gl.sin(x[at])
    if isinstance(k, list) and len(set(k)) < len(k):  # the last counts
        k = k[-1:]
        at, value = (*(slice(None),) * a, k), value[(*(slice(None),) * a, slice(1, 2))]
    y = x.clone() if is_tensor(x) else x * 1
    y[at] = value
    return y, b


def connected(r, x, b, p):
    """A fully connected layer, labelled in the order that x has."""
    a = other(r, x, b)
    if a is None or b is None:
        return None
    w, o = drawn(r, (2, x.shape[a])), drawn(r, (2,))
    if is_tensor(x):
        return torch.movedim(torch.movedim(x, a, -1) @ w.T + o, -1, a), b
    labels = "".join("C" if k == a else "B" if k == b else "U" for k in range(x.ndim))
    if "U" not in labels:
        return gl.stripdims(gl.fullyconnect(dlarray(x, labels), w, o)), b
    return gl.moveaxis(gl.matmul(gl.moveaxis(x, a, -1), w.T) + o, -1, a), b


def normalised(r, x, b, p):
    a = other(r, x, b)
    if a is None or b is None or x.ndim != 2 or x.shape[a] < 2:
        return None
    scale, offset = drawn(r, (x.shape[a],)), drawn(r, (x.shape[a],))
    if is_tensor(x):
        y = torch.movedim(x, a, -1)  # the formula: third derivatives of torch's layer_norm are wrong
        y = y - y.mean(-1, keepdim=True)
        y = y / torch.sqrt((y * y).mean(-1, keepdim=True) + 0.1) * scale + offset
        return torch.movedim(y, -1, a), b
    return gl.stripdims(gl.layernorm(dlarray(x, "CB" if a == 0 else "BC"), offset, scale, epsilon=0.1)), b


def image_axes(r, x, b):
    """The axes of channels and of space, in any order; None where x is no batch of lines."""
    if x.ndim != 3 or b is None:
        return None
    s = other(r, x, b)
    (c,) = {0, 1, 2} - {b, s}
    return None if x.shape[s] < 2 else (c, s)


def convolved(r, x, b, p):
    """A convolution over one axis of three, in any order of labels."""
    if (axes := image_axes(r, x, b)) is None:
        return None
    c, s = axes
    transposed = r.random() < 0.4
    w = drawn(r, (x.shape[c], 2, 2) if transposed else (2, x.shape[c], 2))
    options = {"stride": r.choice([1, 2])}
    if is_tensor(x):
        run = torch.nn.functional.conv_transpose1d if transposed else torch.nn.functional.conv1d
        return torch.permute(run(torch.permute(x, (b, c, s)), w, **options), tuple([b, c, s].index(k) for k in range(3))), b
    labels = "".join({b: "B", c: "C", s: "S"}[k] for k in range(3))
    return gl.stripdims((gl.dltranspconv if transposed else gl.dlconv)(dlarray(x, labels), w, **options)), b


def pooled(r, x, b, p):
    if (axes := image_axes(r, x, b)) is None:
        return None
    c, s = axes
    largest = r.random() < 0.5
    if is_tensor(x):
        run = torch.nn.functional.max_pool1d if largest else torch.nn.functional.avg_pool1d
        return torch.permute(run(torch.permute(x, (b, c, s)), 2, 1), tuple([b, c, s].index(k) for k in range(3))), b
    labels = "".join({b: "B", c: "C", s: "S"}[k] for k in range(3))
    return gl.stripdims((gl.maxpool if largest else gl.avgpool)(dlarray(x, labels), 2, stride=1)), b


def merged(r, x, b, p):
    """The axes besides the observations' in one."""
    if b is None:
        return gl.reshape(x, (-1,)), None
    if x.ndim < 2:
        return None
    return gl.reshape(gl.moveaxis(x, b, 0), (x.shape[b], -1)), 0


def exponential(r, x, b, p):
    """The matrix exponential of square matrices, and their inverse."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or b not in (None, *range(x.ndim - 2)):
        return None
    return r.choice([gl.expm(x * 0.3), gl.inv(x * 0.2 + torch.eye(x.shape[-1], dtype=torch.float64))]), b


def paired(r, x, b, p):
    """Products of all pairs along one axis."""
    if b is None or x.ndim != 2:
        return None
    y = gl.moveaxis(x, b, 0)
    return gl.matmul(gl.expand_dims(y, axis=2), gl.expand_dims(gl.sin(y), axis=1)), 0


STEPS = [
    lambda r, x, b, p: (r.choice([gl.sin, gl.tanh, gl.exp, gl.square, gl.sigmoid, gl.softplus])(x * 0.7), b),
    lambda r, x, b, p: (r.choice([lambda t: t**3, gl.relu, gl.gelu, gl.abs])(x + 0.3), b),
    lambda r, x, b, p: (x * drawn(r, tuple(1 if k == b else n for k, n in enumerate(x.shape))), b),
    lambda r, x, b, p: (x * p, b),
    lambda r, x, b, p: (gl.cos(x + p) * x, b),
    lambda r, x, b, p: (x / (2 + gl.square(p * x)), b),
    reduced, contracted, summed, permuted, written, written, connected, normalised, convolved, convolved, pooled, merged, exponential, paired,
    along(lambda r, x, a: gl.roll(x, r.randint(1, 2), axis=a)),
    along(lambda r, x, a: gl.flip(x, axis=a)),
    along(lambda r, x, a: gl.cumsum(x, axis=a)),
    along(lambda r, x, a: gl.cumprod(x * 0.9, axis=a)),
    along(lambda r, x, a: gl.softmax(x, axis=a)),
    along(lambda r, x, a: gl.sort(x, axis=a)),
    along(lambda r, x, a: gl.concat([x, gl.sin(x)], axis=a)),
    along(lambda r, x, a: gl.take(x, [r.randrange(x.shape[a]) for _ in range(2)], axis=a)),
    along(lambda r, x, a: x[(*(slice(None),) * a, slice(0, max(1, x.shape[a] - 1)))]),
    along(lambda r, x, a: gl.pad(x, [(1, 0) if k == a else (0, 0) for k in range(x.ndim)])),
    along(lambda r, x, a: gl.tile(x, tuple(2 if k == a else 1 for k in range(x.ndim)))),
    along(lambda r, x, a: x * gl.norm(x + 0.1, axis=a, keepdims=True)),
    lambda r, x, b, p: (gl.roll(x, 1), None) if b is None else None,  # over the flattened array
    lambda r, x, b, p: (gl.kron(x, drawn(r, (2,) * x.ndim)), None) if b is None and x.ndim in (1, 2) else None,
    lambda r, x, b, p: (gl.repeat(x, 2), None) if b is None else None,
]


def program(seed, length):
    """A function of (x, where its observations are, a parameter) and of nothing else."""
    def run(x, b, p):
        r = random.Random(seed)
        done = 0
        while done < length:
            made = r.choice(STEPS)(r, x, b, p)
            if made is not None and 0 < math.prod(made[0].shape) <= LARGEST and made[0].ndim <= 4:
                (x, b), done = made, done + 1
        return x, b

    return run


# ----- words: what a program's result gives, once with dlarrays and once with torch ---------------------------------------------------------


def torch_gradient(y, x):
    if not y.requires_grad:
        return torch.zeros_like(x)
    (g,) = torch.autograd.grad(y, x, create_graph=True, allow_unused=True, materialize_grads=True)
    return g


class Case:
    """What is drawn once and then given to both sides."""

    def __init__(self, seed):
        r = random.Random(f"case {seed}")
        self.length = r.randint(1, 5)
        self.batched = r.random() < 0.65
        labels = list(r.choice(["BC", "BC", "BCS"])) if self.batched else []
        r.shuffle(labels)
        self.labels = "".join(labels)
        sizes = {"B": r.randint(2, 4), "C": r.randint(1, 3), "S": r.randint(2, 3)}
        shape = tuple(sizes[c] for c in labels) if self.batched else r.choice([(3,), (2, 2), (2, 3), (1, 2, 2)])
        self.x, self.p = uniform(shape, torch.float64, seeded("x", seed)), uniform((), torch.float64, seeded("p", seed)) + 0.5
        self.b = self.labels.index("B") if self.batched else None
        self.axes = tuple(k for k, c in enumerate(labels) if c != "B") if self.batched else tuple(range(len(shape)))
        self.labelled = self.batched and (labels != ["B", "C"] or r.random() < 0.5)  # without labels, axes are told by where they are
        self.function = program(seed, self.length)
        self.word = r.choice(BATCHED if self.batched else PLAIN)
        self.again = r.random() < 0.25
        self.seed = seed

    def weights(self, name, shape):
        return uniform(tuple(shape), torch.float64, seeded(name, self.seed))

    def result(self, x, p):
        return self.function(gl.stripdims(x) if type(x) is dlarray else x, self.b, p)

    def shown(self):
        return f"{self.seed}: {self.word.__name__}, x {tuple(self.x.shape)} {self.labels}, {self.length} steps"


def observed(case, u, b, x):
    """u as the words that take an axis of observations want it: (observations, results), labelled where x is."""
    u = gl.reshape(gl.moveaxis(u, b, 0), (u.shape[b], -1))
    return dlarray(u, "BC") if case.labelled and type(u) is dlarray else u


def gradient(case, x, p):
    u, _ = case.result(x, p)
    w = case.weights("w", u.shape)
    if is_tensor(x):
        return torch_gradient((u * w).sum(), x)
    return gl.dlgradient(gl.sum(u * w), x, enable_higher_derivatives=True)


def product(case, x, p):
    """jvp; torch's as the derivative of a vjp."""
    u, _ = case.result(x, p)
    v = case.weights("v", x.shape)
    if is_tensor(x):
        w = torch.zeros_like(u, requires_grad=True)
        return torch_gradient((torch_gradient((u * w).sum(), x) * v).sum(), w)
    return gl.jvp(u, x, v if not case.labelled else dlarray(v, case.labels), enable_higher_derivatives=True)


def transposed_product(case, x, p):
    u, _ = case.result(x, p)
    w = case.weights("w", u.shape)
    if is_tensor(x):
        return torch_gradient((gl.sin(u) * w).sum(), x)
    return gl.vjp(gl.sin(u), x, dlarray(w), enable_higher_derivatives=True)


def curvature(case, x, p):
    u, _ = case.result(x, p)
    w, v = case.weights("w", u.shape), case.weights("v", x.shape)
    if is_tensor(x):
        return torch_gradient((torch_gradient((u * w).sum(), x) * v).sum(), x)
    return gl.hvp(gl.sum(u * w), x, v if not case.labelled else dlarray(v, case.labels), enable_higher_derivatives=True)


def jacobian(case, x, p):
    u, b = case.result(x, p)
    u = observed(case, u, b, x)
    if is_tensor(x):
        return torch.stack([torch_gradient(u[:, k].sum(), x) for k in range(u.shape[1])])
    return gl.dljacobian(u, x, "C" if case.labelled and len(case.axes) == 1 else 1)


def structured(case, x, p):
    """The products of a recorded Jacobian with arrays, or all of it."""
    u, _ = case.result(x, p)
    w, v = case.weights("w", u.shape), case.weights("v", x.shape)
    if is_tensor(x):
        c = torch.zeros_like(u, requires_grad=True)
        across = torch_gradient((u * c).sum(), x)
        if case.seed % 3 == 0:
            return torch_gradient((across * v).sum(), c)
        if case.seed % 3 == 1:
            return torch_gradient((u * w).sum(), x)
        return torch.stack([torch_gradient(y, x) for y in u.flatten()]).reshape(*u.shape, *x.shape)
    J = gl.dljacobian(u, x, enable_higher_derivatives=True)
    return J @ dlarray(v) if case.seed % 3 == 0 else J.T @ dlarray(w) if case.seed % 3 == 1 else J.dense()


def biharmonic(case, x, p):
    """Of the first result, where x is small: torch's fifth derivatives, one by one, take long."""
    u = results_of(case, x, p)
    u = u[:, 0:1] if case.batched else u
    once = laplacian(case, x, p, u)
    return once if math.prod(x.shape) > 6 else laplacian(case, x, p, once)


def results_of(case, x, p):
    u, b = case.result(x, p)
    return observed(case, u, b, x) if case.batched else gl.sum(u * case.weights("w", u.shape))


def laplacian(case, x, p, u=None):
    """Of each result, over the axes that are not the observations'; of a weighted sum where there are none."""
    u = results_of(case, x, p) if u is None else u
    if is_tensor(x):
        parts = [u[:, k].sum() for k in range(u.shape[1])] if case.batched else [u]
        rows = []
        for y in parts:
            g = torch_gradient(y, x)
            total = torch.zeros((x.shape[case.b],) if case.batched else (), dtype=x.dtype)
            for index in torch.cartesian_prod(*[torch.arange(x.shape[a]) for a in case.axes]).reshape(-1, len(case.axes)).tolist():
                at = [slice(None)] * x.ndim
                for a, i in zip(case.axes, index, strict=True):
                    at[a] = i
                total = total + torch_gradient(g[tuple(at)].sum(), x)[tuple(at)]
            rows.append(total)
        return torch.stack(rows, dim=-1) if case.batched else rows[0]
    return gl.dllaplacian(u, x, ("CS" if len(case.axes) > 1 else "C") if case.labelled else case.axes)


def divergence(case, x, p):
    """Of a field of x's shape."""
    u, b = case.result(x, p)
    u = gl.reshape(gl.moveaxis(u, b, 0), (u.shape[b], -1))
    (a,) = case.axes[:1]
    n = x.shape[a]
    u = gl.sin(gl.matmul(u, case.weights("m", (u.shape[1], n))))
    if is_tensor(x):
        xs = x if x.ndim == 2 else None
        if xs is None:
            return torch.zeros(())
        total = sum(torch_gradient(u[:, k].sum(), x).select(a, k) for k in range(n))
        return torch.unsqueeze(total, a)
    if x.ndim != 2:
        return gl.zeros(())
    u = u if a == 1 else gl.permute_dims(u, (1, 0))
    if case.labelled:
        return gl.dldivergence(dlarray(u, case.labels), x, "C")
    return gl.dldivergence(u, x, a)


PLAIN = [gradient, product, transposed_product, curvature, structured, laplacian, laplacian, biharmonic]
BATCHED = [gradient, product, curvature, structured, jacobian, jacobian, laplacian, laplacian, laplacian, divergence, biharmonic]


def loss(case, x, p):
    """A scalar of a recorded derivative and of x, through another derivative where `again` was drawn."""
    d = case.word(case, x, p)
    d = gl.stripdims(d) if type(d) is dlarray else d
    total = gl.sum(gl.sin(d) * case.weights("d", d.shape)) + gl.sum(gl.square(gl.stripdims(x) if type(x) is dlarray else x)) * p
    if not case.again:
        return total
    v = case.weights("again", x.shape)
    if is_tensor(x):
        return (torch_gradient(total, x) * v).sum()
    return gl.sum(gl.dlgradient(total, x, enable_higher_derivatives=True) * (dlarray(v, case.labels) if case.labelled else v))


def check(seed):
    case = Case(seed)
    x, p = case.x.clone().requires_grad_(), case.p.clone().requires_grad_()
    with torch.enable_grad():
        value = loss(case, x, p)
        expected = torch.autograd.grad(value, (x, p), allow_unused=True, materialize_grads=True)
    if not all(torch.isfinite(t).all() for t in (value, *expected)):
        return False

    def run(x, p):
        y = loss(case, x, p)
        return y, gl.dlgradient(y, (x, p))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BatchDependenceWarning)  # a Jacobian along an axis is what it is defined to be, whatever mixes
        y, found = gl.dlfeval(run, dlarray(case.x, case.labels if case.labelled else None), dlarray(case.p))
    for name, f, e in zip(("value", "x", "p"), (y, *found), (value, *expected), strict=True):
        e = e.detach()
        assert tuple(f.shape) == tuple(e.shape), f"{case.shown()}: {name}"
        off = float((f._value - e).abs().max())
        assert off < 1e-7 * (1 + float(e.abs().max())), f"{case.shown()}: {name} off by {off:.3g} of {float(e.abs().max()):.3g}"
    return True


@pytest.mark.parametrize("seed", range(0, 120, 20))
def test_recorded_derivatives_of_random_programs(seed):
    assert sum(check(k) for k in range(seed, seed + 20)) > 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10_000, 12_000, 100))
def test_recorded_derivatives_of_many_random_programs(seed):
    assert sum(check(k) for k in range(seed, seed + 100)) > 80
