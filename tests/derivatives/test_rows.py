"""Reads and writes of single rows in a loop: the raw walk, which moves rows, against the walk as it is meant."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core.tables import OPERATIONS
from gradloom.derivatives.walks.pull import pull
from gradloom.derivatives.walks.rows import Rows

READ = OPERATIONS["index"]


def program(seed, shape):
    """A function that reads and writes rows of a buffer in a random order, and uses it whole now and then."""

    def run(x):
        stream = np.random.default_rng(seed)
        buffer, kept = gl.zeros(shape, like=x) + (0.5 * x if seed % 2 else 0.0), []
        for _ in range(25):
            i, j = int(stream.integers(-shape[0], shape[0])), int(stream.integers(0, shape[0]))
            action = stream.integers(0, 7)
            if action < 3:
                buffer[i] = gl.sin(x[j]) * (kept[-1] if kept and action else 1.0)
            elif action == 3:
                kept.append(buffer[i] * x[j])
            elif action == 4:
                kept.append(gl.sum(buffer * buffer, axis=0) / 10)
            elif action == 5:
                buffer[i] = 2.0 if seed % 3 else kept[-1] if kept else x[i]
            elif len(shape) > 1:
                buffer[i, 0] = x[j, 1] * 3
        total = gl.sum(buffer**3) + gl.sum(buffer[0])
        for k in kept:
            total = total + gl.sum(k**2) / 100
        return total

    return run


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("shape", [(4,), (1,), (3, 2)])
def test_rows_move_as_the_plain_walk_says(seed, shape):
    def both(x):
        y = program(seed, shape)(x)
        raw = gl.dlgradient(y, x, retain_data=True)
        recorded = gl.dlgradient(y, x, enable_higher_derivatives=True)
        ones = torch.ones((1,), dtype=torch.float64)
        plain = gl.dlarray(pull({y._node: ones}, [x._node], lead=(1,))[0][0])
        three = pull({y._node: torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)}, [x._node], lead=(3,))[0]
        torch.testing.assert_close(three, torch.stack([plain._value, -2 * plain._value, plain._value / 2]))
        return raw, recorded, plain, gl.hvp(y, x, gl.ones(shape, like=x))

    start = np.random.default_rng(1).standard_normal(shape)
    raw, recorded, plain, product = gl.dlfeval(both, gl.dlarray(start))
    np.testing.assert_allclose(raw.numpy(), plain.numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(recorded.numpy(), plain.numpy(), rtol=1e-12, atol=1e-13)
    ahead, behind = (gl.dlfeval(both, gl.dlarray(start + h))[0].numpy() for h in (1e-6, -1e-6))
    np.testing.assert_allclose(product.numpy(), (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_written_row_alone_is_read_of_an_array_that_is_used_elsewhere(recorded):
    """Nothing of the copy's cotangent is left for the array that was copied, which has one of its own."""

    def run(x, v):
        z = 2 * x
        y = z.copy()
        y[1] = v
        total = gl.sum(gl.sin(y[1])) + gl.sum(z * z)
        return gl.dlgradient(total, x, v, enable_higher_derivatives=recorded)

    x, v = np.arange(6.0).reshape(3, 2), np.array([0.3, -2.0])
    of_x, of_v = gl.dlfeval(run, gl.dlarray(x), gl.dlarray(v))
    np.testing.assert_allclose(of_x.numpy(), 8 * x)
    np.testing.assert_allclose(of_v.numpy(), np.cos(v))


@pytest.mark.parametrize("recorded", [False, True])
def test_rows_that_are_read_in_a_loop_make_no_array_each_along_an_axis(recorded, monkeypatch):
    """`dljacobian` with an axis of a loop over rows is linear in their number."""

    def run(x):
        y = gl.zeros((40, 2), like=x)
        state = x[0]
        for k in range(1, 40):
            state = gl.sin(state) * x[k]
            y[k] = state
        monkeypatch.setattr(READ.transposes["x"], "call", None)  # which makes a whole array of each row
        return gl.dljacobian(gl.sum(y * y, axis=0), x, 0, enable_higher_derivatives=recorded)

    start = np.random.default_rng(3).standard_normal((40, 2))
    found = gl.dlfeval(run, gl.dlarray(start)).numpy()
    t = torch.tensor(start)

    def plainly(t):
        state, total = t[0], 0
        for k in range(1, 40):
            state = torch.sin(state) * t[k]
            total = total + state**2
        return total

    np.testing.assert_allclose(found, torch.func.jacrev(plainly)(t).numpy(), rtol=1e-9, atol=1e-12)


def test_a_gradient_with_respect_to_a_buffer_between_its_writes():
    def run(x):
        buffer = x.copy()
        buffer[0] = x[1] * 2
        middle = buffer.copy()
        later = middle.copy()
        later[2] = middle[0] * middle[2]
        return gl.dlgradient(gl.sum(later**2), x, middle)

    gx, gm = gl.dlfeval(run, gl.dlarray([1.0, 2.0, 3.0]))
    # later = (m0, m1, m0 m2) with m = (2 x1, x1, x2): sum of squares m0^2 + m1^2 + m0^2 m2^2
    assert gm.tolist() == [2 * 4 + 2 * 4 * 9, 4.0, 2 * 16 * 3]
    assert gx.tolist() == [0.0, 2 * gm.tolist()[0] + 4.0, 2 * 16 * 3]


def test_two_cotangents_of_one_array_join():
    def rows(dense, added, taken=()):
        r = Rows(None if dense is None else torch.tensor(dense, dtype=torch.float64))
        for at in taken:
            r.take(at)
        for at, row in added.items():
            r.add(at, torch.tensor(row, dtype=torch.float64))
        return r

    class Vector:
        shape, dtype, ndim = (3,), torch.float64, 1

    parts = [(None, {0: 1.0}), ([1.0, 2.0, 3.0], {1: 5.0}), ([10.0, 20.0, 30.0], {2: 7.0}, (2,)), (None, {0: 1.0, 1: 2.0, 2: 3.0})]
    for a in parts:
        for b in parts:
            expected = rows(*a).whole(Vector) + rows(*b).whole(Vector)
            joined = rows(*a)
            joined.join(rows(*b), Vector)
            assert torch.equal(joined.whole(Vector), expected), (a, b)
