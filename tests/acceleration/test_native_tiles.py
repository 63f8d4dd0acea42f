"""Chains over many rows as blocks of rows, in the executor "native"."""

from __future__ import annotations

import math

import pytest
import torch
from executor_cases import TYPES, recorded
from helpers import stream

import gradloom as gl

pytest.importorskip("llvmlite")
from gradloom.acceleration.native import native, tiles

rng = stream(22)


@pytest.fixture
def seen(monkeypatch):
    """How many groups each tile has."""
    found = []
    original = tiles.Tile.parts

    def parts(self, rows):
        found.append((rows, len(self.groups)))
        return original(self, rows)

    monkeypatch.setattr(tiles.Tile, "parts", parts)
    return found


@pytest.fixture
def eager(monkeypatch):
    """Tiles wherever they are possible."""
    for name, value in {"LEAST": 1, "WORK": 1, "NEAR": 1 << 13, "ROWS": 64}.items():
        monkeypatch.setattr(tiles, name, value)


def arrays(dtype, *shapes):
    return [torch.tensor(rng.normal(size=s) / 3, dtype=dtype) for s in shapes]


def close(found, expected, dtype, count):
    for x, y in zip(found, expected, strict=True):
        scale = max(1.0, float(y.abs().max()))
        torch.testing.assert_close(x, y.to(dtype), rtol=0, atol=64 * math.sqrt(count) * torch.finfo(dtype).eps * scale)
        assert x.stride() == y.stride()


def network(x, w, b, v):
    """Layers forwards and backwards, with sums over rows, products with turned matrices, a row from the middle."""
    y = torch.tanh(x @ w + b)
    z = torch.tanh(y @ w.mT - b)
    out = torch.sigmoid(z @ v)
    slope = out * (1 - out) * (out - 0.5)
    z_bar = slope @ v.mT * (1 - z * z)
    y_bar = z_bar @ w * (1 - y * y)
    grads = x.mT @ y_bar + z_bar.mT @ y
    return out, grads, z.mT @ slope, y_bar.sum(0) - z_bar.sum(0), (out * out).mean(), z


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [2100, 4001, 5000])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_layers_and_their_gradients(dtype, count, threads, seen):
    x, w, b, v = arrays(dtype, (count, 40), (40, 40), (40,), (40, 3))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        run = native(recorded(network, torch.zeros_like(x), w, b, v))
        assert seen and seen[0][1] >= 6 and len({rows for rows, _ in seen}) == 1 + bool(count % seen[0][0])
        expected = network(*(a.double() for a in (x, w, b, v)))
        for _ in range(3):
            close(run(x, w, b, v), expected, dtype, count)
    finally:
        torch.set_num_threads(before)


def test_what_is_not_about_rows_and_what_needs_all_of_them(seen, eager):
    """Sums over rows that the rows need again, arrays turned, added to in place and returned, rows of several numbers, a
    square array, what is read at other rows."""
    def fun(x, w, s):
        y = torch.tanh(x * w) * 2
        mean = y.mean(0)
        z = (y - mean) * torch.exp(-x * x)
        z += y
        turned = (z.mT * 2).contiguous()
        shifted = torch.zeros_like(z)
        shifted[1:] = z[:-1] * y[1:]
        blocks = (z.reshape(-1, 4, 5) * w.reshape(4, 5)).sum(1)
        total = torch.cos(z) + torch.sin(shifted) * y
        return total, turned, mean, blocks, (total * z).sum(0), total.sum(1), (s @ s[:, :20]) + s.sum(0)[:, None], total.flip(0)

    x, w, s = arrays(torch.float64, (901, 20), (20,), (110, 110))
    run = native(recorded(fun, x * 0, w, s))
    assert len(seen) > 2
    for _ in range(2):
        close(run(x, w, s), fun(x, w, s), torch.float64, 901)


def test_special_values_stay_in_their_rows():
    x, w, b, v = arrays(torch.float64, (2050, 40), (40, 40), (40,), (40, 3))
    fun = lambda *a: network(*a)[:1]
    run = native(recorded(fun, x, w, b, v))
    x[7, 3], x[2049, 0] = math.nan, math.inf
    found, expected = run(x, w, b, v)[0], fun(x, w, b, v)[0]
    assert torch.equal(found.isnan(), expected.isnan()) and found.isnan().any()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("seed", range(12))
def test_random_chains(seed, seen, eager):
    """Operations on rows, sums over rows, along them and over all, products, parts, in place, in random order."""
    draws = stream(100 + seed)
    m, n = int(draws.integers(130, 400)), int(draws.integers(3, 20))

    made = [
        lambda a, b, w, c: torch.tanh(a) * b, lambda a, b, w, c: a @ w + c, lambda a, b, w, c: a * a.sum(1, keepdim=True),
        lambda a, b, w, c: b - a.mean(0), lambda a, b, w, c: a + (a.mT @ b / m)[0], lambda a, b, w, c: torch.cat([a[1:], b[:1]], 0) * 0.5,
        lambda a, b, w, c: torch.sigmoid(a @ w.mT) - b * c, lambda a, b, w, c: torch.where(a > 0, b, a).reshape(-1).reshape(m, n),
        lambda a, b, w, c: (a * 2).mul_(0.5).add_(b),
    ]
    given = [lambda a, b: a.sum(0), lambda a, b: a.mT @ b, lambda a, b: (a * b).mT.contiguous(), lambda a, b: a * 2 + b, lambda a, b: (a * b).sum()]

    def fun(x, w, c):
        its, out = [x * 1.5, torch.tanh(x)], []
        for k in choices:
            a, b = its[-1 - k % 2], its[-1 - k % 3 % len(its)]
            if k < len(made):
                its.append(made[k](a, b, w, c))
            else:
                out.append(given[k - len(made)](a, b))
        return *out, *its[-2:]

    choices = [int(k) for k in draws.integers(0, len(made) + len(given), size=24)]
    x, w, c = (torch.tensor(draws.normal(size=s) / 3) for s in ((m, n), (n, n), (n,)))
    run = native(recorded(fun, x * 0.5, w, c))
    assert seen
    for _ in range(2):
        for found, expected in zip(run(x, w, c), fun(x, w, c), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_small_chains_are_left_as_they_are(seen):
    x, w, b, v = arrays(torch.float32, (1024, 4), (4, 4), (4,), (4, 3))
    close(native(recorded(network, x, w, b, v))(x, w, b, v), network(x, w, b, v), torch.float32, 1024)
    assert not seen


def test_partial_derivatives_of_a_network_over_many_points(seen):
    """A loss of second derivatives and its gradient: the plain numbers."""
    w = [gl.dlarray(x) for x in arrays(torch.float64, (2, 30), (30,), (30, 30), (30,), (30, 1))]
    x = gl.dlarray(rng.uniform(-1, 1, size=(4100, 2)))

    def loss(w, x):
        u = gl.tanh(gl.tanh(x @ w[0] + w[1]) @ w[2] + w[3]) @ w[4]
        u_x, heat = gl.partials(u, x, ["x", {"t": 1, "xx": -0.1}], 1, names="xt")
        value = gl.mean((heat + u * u_x) ** 2)
        return value, gl.dlgradient(value, w)

    fast = gl.dlaccelerate(loss, executor="native")
    value, gradient = gl.dlfeval(loss, w, x)
    for _ in range(6):
        found, slopes = gl.dlfeval(fast, w, x)
        for a, b in zip([found, *slopes], [value, *gradient], strict=True):
            torch.testing.assert_close(torch.tensor(a.numpy()), torch.tensor(b.numpy()), rtol=1e-11, atol=1e-13)
    assert seen and fast.hit_rate > 0 and "native" in fast.explain()


def test_what_is_written_over_is_read_at_the_same_place():
    """Two calls in one loop, one of which goes through an array along its columns: the other's result cannot take its place."""
    def fun(x, y):
        s = torch.softmax(y, 1)
        return x * s * 2, (y + 1) * y + 2

    x, y = arrays(torch.float64, (8, 381), (381, 8))
    run = native(recorded(fun, x.mT * 0, y * 0))
    close(run(x.mT, y), fun(x.mT, y), torch.float64, 8)
