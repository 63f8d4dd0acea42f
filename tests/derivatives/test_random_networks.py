"""200 random networks: structured Jacobians, divergences and Laplacians equal what plain gradients give, one entry at a time, to 1e-10.

What is compared with is made by `dlgradient` of single elements, which walks plain tensors; tests/operations/test_operations.py holds it
against finite differences.
"""
import math
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from random_networks import STEPS, Weights, network, start

import gradloom as gl
from gradloom.blocks import action
from gradloom.blocks.block import Block
from gradloom.derivatives.curvature import walk as carrier
from gradloom.derivatives.jacobians import independence as proofs
from gradloom.derivatives.jacobians import parts as jacobian_source
from gradloom.derivatives.jacobians import plan as plans
from gradloom.derivatives.jacobians.independence import independence
from gradloom.derivatives.walks import kept_plans

COUNT, EVERY = 200, 5
SEEDS = [pytest.param(k, marks=() if k % EVERY == 0 else pytest.mark.slow) for k in range(COUNT)]
TOLERANCE = 1e-10


def near(found, expected, what):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: {found.shape} instead of {expected.shape}"
    scale = max(1.0, float(np.abs(expected).max())) if expected.size else 1.0
    worst = float(np.abs(found - expected).max()) / scale if expected.size else 0.0
    assert worst <= TOLERANCE, f"{what} differs by {worst:.1e}"


def drawn(seed):
    """x, and the weights of network number `seed`."""
    x, _, _ = start(seed)
    w = Weights()
    network(seed, w, x)
    return x, w.values


def elements(u):
    """The elements of u, each a scalar, in C order."""
    return [u[where] for where in np.ndindex(*u.shape)]


def by_columns(seed, x, weights):
    """{part: d u / d part as a matrix}, one gradient for each element of u."""

    def run(p):
        u, _ = network(seed, Weights(p["w"]), p["x"])
        return [dict(gradients(y, p)) for y in elements(u)]

    def gradients(y, p):
        g = gl.dlgradient(y, p, retain_data=True)
        yield "x", g["x"]
        yield from g["w"].items()

    rows = gl.dlfeval(run, {"x": x, "w": weights})
    return {key: np.stack([np.asarray(row[key]).reshape(-1) for row in rows]) for key in rows[0]}


@contextmanager
def taken(backwards):
    """Every part of a Jacobian made one way."""
    old = jacobian_source.ways
    jacobian_source.ways = lambda u, xs, between=None, has_room=None: [plans.Way(backwards)] * len(xs)
    try:
        yield
    finally:
        jacobian_source.ways = old


def structured(seed, x, weights):
    return gl.dlfeval(lambda p: gl.dljacobian(network(seed, Weights(p["w"]), p["x"])[0], p), {"x": x, "w": weights})


def check_blocks(seed):
    x, weights = drawn(seed)
    expected = by_columns(seed, x, weights)
    for backwards in (False, True, None):
        if backwards is None:
            J = structured(seed, x, weights)
        else:
            with taken(backwards):
                J = structured(seed, x, weights)
        for key, part in expected.items():
            block = J["x"] if key == "x" else J["w", key]
            near(np.asarray(block.dense()).reshape(part.shape), part, f"network {seed}, {key}, {'by plan' if backwards is None else f'{backwards=}'}")
    squares = np.sum(np.concatenate(list(expected.values()), axis=1) ** 2, axis=1)  # of norms, which lose half the digits where terms cancel
    near(np.asarray(J.row_norms()).reshape(-1) ** 2, squares, f"network {seed}, squares of the row norms")
    check_independence(seed, x, weights, expected["x"])


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks(seed):
    check_blocks(seed)


def check_independence(seed, x, weights, matrix):
    """Never "proved" where an observation of u depends on another one of x."""

    def run(x):
        u, layout = network(seed, Weights(weights), x)
        k, j = layout.index("B"), start(seed)[1].index("B")
        if u._node is None:
            return None
        return independence(u._node, x._node, {k: [j]})[0], u.shape, k, j

    answer = gl.dlfeval(run, x)
    if answer is None:
        return
    verdict, shape, k, j = answer
    table = np.abs(np.moveaxis(np.moveaxis(matrix.reshape(*shape, *x.shape), len(shape) + j, 0), k + 1, 1)).reshape(2, 2, -1).max(axis=2)
    mixed = table[0, 1] > 1e-12 or table[1, 0] > 1e-12
    assert not (mixed and verdict == "proved"), f"network {seed}: {verdict}, but observations mix"


# ----- divergence and Laplacian -------------------------------------------------------------------------------------------


def rest(letters):
    return [k for k, letter in enumerate(letters) if letter != "B"]


def as_field(seed, w, x):
    """A network's u brought to x's shape, so that it has a divergence; None where u has lost what x's size needs."""
    _, layout, _ = start(seed)
    u, u_layout = network(seed, w, x)
    order = [u_layout.index("B"), *rest(u_layout)]
    flat = gl.reshape(gl.permute_dims(gl.stripdims(u), order), (2, -1))
    n = math.prod(x.shape) // 2
    flat = flat @ gl.dlarray(np.random.default_rng(seed).standard_normal((flat.shape[1], n)))
    places = [layout.index("B"), *rest(layout)]
    field = gl.permute_dims(gl.reshape(flat, [x.shape[k] for k in places]), [places.index(k) for k in range(len(places))])
    return gl.dlarray(field, "".join(x.dims)) if x.dims else field


def same_observation(x, layout, b):
    return [at for at in np.ndindex(*x.shape) if at[layout.index("B")] == b]


def check_curvature(seed):
    """What was compared; not the rest where the library says that observations mix, or that it cannot tell."""
    compared = []
    x, weights = drawn(seed)
    _, layout, _ = start(seed)
    axes = tuple(rest(layout))

    def divergence(x):
        u = as_field(seed, Weights(weights), x)
        found = gl.dldivergence(u, x, axes)
        sums = [sum(float(gl.extractdata(gl.dlgradient(u[at], x, retain_data=True)[at])) for at in same_observation(x, layout, b)) for b in range(2)]
        return found, sums

    def laplacian(x):
        u = as_field(seed, Weights(weights), x)
        place = layout.index("B")
        u = gl.sum(u * gl.sin(u), axis=axes, keepdims=True)
        found = gl.dllaplacian(u, x, axes)
        sums = []
        for b in range(2):
            y = u[tuple(b if k == place else 0 for k in range(u.ndim))]
            g = gl.dlgradient(y, x, retain_data=True, enable_higher_derivatives=True)
            sums.append(sum(float(gl.extractdata(gl.dlgradient(g[at], x, retain_data=True)[at])) for at in same_observation(x, layout, b)))
        return found, sums

    for f, name in ((divergence, "divergence"), (laplacian, "Laplacian")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", gl.BatchDependenceWarning)
                found, expected = gl.dlfeval(f, x)
        except gl.BatchDependenceWarning:
            continue
        except gl.TraceError as error:
            assert "not independent" in str(error), error
            continue
        near(np.asarray(found).reshape(2), np.array(expected), f"network {seed}, {name}")
        compared.append(name)
    return compared


@pytest.mark.parametrize("seed", SEEDS)
def test_divergence_and_laplacian(seed):
    check_curvature(seed)


# ----- that they can fail -------------------------------------------------------------------------------------------------


def forgotten(patch):
    patch.setattr(Block, "plus", lambda self, other: self)


def turned(patch, selected=action.selected):
    patch.setattr(action, "selected", lambda block, k, where: selected(block, k, where.flip(0)))


def halved(patch, source=carrier.source):
    patch.setattr(carrier, "source", lambda *args: None if (found := source(*args)) is None else found * 0.5)


def believed(patch):
    patch.setattr(proofs, "_tied", lambda term, k: list(range(len(term.inn))))


@pytest.mark.parametrize(("plant", "check", "complaint"), [
    (forgotten, check_blocks, "differs"), (turned, check_blocks, "differs"), (halved, check_curvature, "Laplacian differs"),
    (believed, check_blocks, "but observations mix"), (believed, check_curvature, "differs"),
])
def test_a_planted_mistake_is_found(monkeypatch, plant, check, complaint):
    monkeypatch.setattr(kept_plans, "_plans", type(kept_plans._plans)())
    plant(monkeypatch)
    for seed in range(0, COUNT, EVERY):
        try:
            check(seed)
        except AssertionError as error:
            assert complaint in str(error)
            return
    raise AssertionError("no network showed it")


def test_nearly_all_are_compared():
    compared = [check_curvature(seed) for seed in range(0, COUNT, EVERY)]
    assert sum(map(len, compared)) >= 0.75 * 2 * len(compared)
    names = set()
    for seed in range(COUNT):
        used = []
        network(seed, Weights(), start(seed)[0], used)
        names.update(used)
    assert names == {step.__name__ for step in STEPS}
