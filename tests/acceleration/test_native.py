"""The executor "native": loops of our own beside torch's calls."""

from __future__ import annotations

import gc
import logging
import math
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from executor_cases import (
    NN,
    ONE,
    TWO,
    TYPES,
    assert_same,
    chain,
    close,
    given,
    penalty,
    recorded,
    special,
    wrong_in_threads,
)
from helpers import stream
from processes import run_forked

import gradloom as gl
from gradloom.acceleration import AcceleratedFunction, beside, trial
from gradloom.acceleration.program import Program
from gradloom.acceleration.recorder import Recorder
from gradloom.acceleration.writing import straight
from gradloom.machine.modes import under

pytest.importorskip("llvmlite")
from gradloom.acceleration.native import executor, jobs, native, rules

rng = stream(22)


def both(fun, *xs):
    """(torch's results, those of the compiled program at the same values). It is recorded at others."""
    program = recorded(fun, *[x.clone() if x.dtype is torch.bool else torch.zeros_like(x) for x in xs])
    run = native(program)
    expected, found = straight(program)(*xs), run(*xs)
    for x, y in zip(run(*xs), found, strict=True):
        assert torch.equal(x.nan_to_num(7.0) if x.is_floating_point() else x, y.nan_to_num(7.0) if y.is_floating_point() else y)
    return expected, found


LOOSE = {"tan": 8, "pow 1.7": 8, "softplus": 8, "erfc": 128, "sinh": 8, "cosh": 8, "silu_backward": 16}
CANCELLING = ("lerp", "add alpha", "addcmul", "addcdiv", "silu_backward")


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_array_at_special_values(name, dtype):
    f = ONE[name]
    x = special(dtype, rng)
    expected, found = both(lambda x: (f(x), f(-x)), x)
    assert_same(found, expected, LOOSE.get(name, 4), x.abs() if name in CANCELLING else None)
    for x, y in zip(found, expected, strict=True):
        if x.dtype is not torch.bool:
            zero = y == 0
            assert torch.equal(x[zero].signbit(), y[zero].signbit())


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("name", "ulps"), [("exp", 1.0), ("expm1", 2.4), ("tanh", 2.4)])
def test_exponentials_to_units_in_the_last_place(name, ulps, dtype):
    """Of float32 against float64 everywhere, of float64 against mpmath at random places; where they begin to be infinite, 0, 1 or -1, and numbers that are not normal."""
    mpmath = pytest.importorskip("mpmath")
    f, wide = getattr(torch, name), torch.float64
    edges = torch.tensor([88.722839, 88.72284, -103.97, -103.98, 709.782712893384, 709.78271289338403, 709.44, -745.1332191019411, -745.1332191019412, -708.4, -87.4, 9.01, 19.06, -37.4, -17.3], dtype=wide)
    x = torch.cat([torch.linspace(-110, 90, 40_001, dtype=wide), torch.linspace(-2, 2, 40_003, dtype=wide), *(s * torch.logspace(-320, 2.9, 10_000, dtype=wide) for s in (1, -1)), edges]).to(dtype)
    expected, (y, _) = both(lambda x: (f(x), x * 3), x)
    assert torch.equal(torch.isfinite(y), torch.isfinite(expected[0])) and torch.equal(y.signbit(), expected[0].signbit())
    places = torch.tensor(rng.integers(0, len(x), 3000)) if dtype is wide else torch.arange(len(x))
    places = torch.cat([places, torch.arange(len(x) - len(edges), len(x))])
    places = places[torch.isfinite(y[places])]
    with mpmath.workdps(40):
        exact = [getattr(mpmath, name)(mpmath.mpf(v)) for v in x[places].tolist()] if dtype is wide else f(x[places].double()).tolist()
        units = np.spacing(np.abs(np.array([float(e) for e in exact]).astype(y.numpy().dtype))).tolist()
        errors = [abs(v - e) / u for v, e, u in zip(y[places].tolist(), exact, units, strict=True)]
    assert max(errors) <= ulps
    small = x[x.abs() < (1e-4 if dtype is torch.float32 else 5e-9)]
    if name == "tanh":  # that it is below x is asked in programs
        assert torch.equal(both(lambda x: (torch.tanh(x) * 1, x + 1), small)[1][0], small)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_arrays_at_special_values(name, dtype):
    f, x = TWO[name], special(dtype, rng)
    a, b = x[:, None].expand(-1, len(x)).contiguous(), x[None].expand(len(x), -1).contiguous()
    expected, found = both(lambda a, b: (f(a, b), f(b, a)), a, b)
    assert_same(found, expected, LOOSE.get(name, 4), a.abs() + b.abs() + (a * b).abs() + b * b if name in CANCELLING else None)


def test_torch_leaves_zeros_where_it_does():
    """relu and clamp of -0, products of zeros: the same bits."""
    x = special(torch.float32, rng)
    expected, found = both(lambda x: (torch.relu(-x), x * 0, torch.clamp_min(x, 0.0) + 0 * x), x)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0)) and torch.equal(a.signbit()[b == 0], b.signbit()[b == 0])


SHAPES = [((5, 7), (5, 7)), ((5, 7), (7,)), ((5, 7), (5, 1)), ((5, 7), ()), ((3, 5, 17), (5, 1)), ((3, 5, 17), (3, 1, 17)), ((33,), (33,)), ((1, 64), (64, 1)), ((), ()), ((2, 3, 4, 5), (3, 1, 5)), ((70, 130), (130,))]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_broadcasting(shapes, dtype):
    a, b = (torch.tensor(rng.normal(size=s), dtype=dtype) for s in shapes)
    expected, found = both(lambda a, b: (a * b + b, torch.exp(a - b) * a, (a > b) & (b > 0), torch.where(a > b, a, b) * 2), a, b)
    assert_same(found, expected, 8, 1 + abs(a) + abs(b) + abs(a * b))


LAYOUTS = {
    "transposed": lambda x: x.mT, "every second column": lambda x: x[..., ::2], "every second row": lambda x: x[..., ::2, :], "permuted": lambda x: x.movedim(0, -1),
    "a part": lambda x: x[..., 1:4], "expanded": lambda x: x[..., :1].expand(x.shape), "turned twice": lambda x: x.permute(-1, *range(x.ndim - 1)),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("shape", [(6, 9), (4, 5, 6), (3, 33, 18)], ids=str)
def test_layouts_of_inputs_and_of_what_is_between(name, shape):
    view, x = LAYOUTS[name], torch.tensor(rng.normal(size=shape))
    expected, found = both(lambda x: (view(x) * 2 + 1, (view(x * x) - 1) * view(x), view(x).sum() + x.mean(), (view(x) * 3).sum(-1), (view(x) * 3).sum(0)), x)
    assert_same(found, expected, 64, torch.tensor(float(x.numel())))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(7,), (5, 33), (200, 50), (3, 70, 40), (100_000,), (9, 8193), (5000, 3), (2, 3, 4, 5), (1, 5), (5, 1)], ids=str)
def test_reductions(shape, dtype):
    """Over all axes, the last, the leading ones, one in the middle: to the accuracy of a sum in parts."""
    x = torch.tensor(rng.uniform(0.5, 1, size=shape), dtype=dtype)

    def fun(x):
        y = x * x
        some = [y.sum(), y.mean(), y.sum(-1), y.sum(0), y.sum(0, keepdim=True), torch.mean(y, -1, keepdim=True), y.sum(tuple(range(y.ndim - 1)))]
        return (*some, *([y.sum(1), y.sum((0, -1)), y.mean(1, keepdim=True)] if y.ndim > 2 else []), y.sum() * 2 + x.sum())

    _, found = both(fun, x)
    expected = straight(recorded(fun, x.double()))(x.double())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b.to(dtype), rtol=32 * torch.finfo(dtype).eps, atol=0)


PRODUCTS = {
    "matrix and vector": ((9, 40), (40,)), "vector and matrix": ((40,), (40, 9)), "vectors": ((40,), (40,)), "column": ((9, 40), (40, 1)), "row": ((1, 40), (40, 9)), "outer": ((9, 1), (1, 40)),
    "small": ((5, 7), (7, 6)), "several": ((3, 9, 40), (40,)), "several of each": ((3, 5, 4), (3, 4, 6)), "broadcast": ((2, 1, 5, 4), (3, 4, 6)), "large vector": ((300, 700), (700,)),
    "many small": ((70, 9, 10), (70, 10, 11)), "thin": ((500, 3), (3, 70)), "rows by rows": ((10, 900), (900, 13)), "one matrix for all": ((6, 30, 20), (20, 17)),
    "more columns than lanes": ((33, 40), (40, 65)), "panels of columns": ((33, 60), (60, 200)), "many panels": ((3, 20, 40), (40, 130)), "two columns": ((50, 129), (129, 2)),
}
EINSUMS = {
    "kij,nkj->nki": dict(k=5, i=10, j=10, n=70), "nki,nkj->kij": dict(k=5, i=10, j=10, n=130), "nki,kij->nkj": dict(k=5, i=10, j=10, n=70), "ij,jk->ki": dict(i=37, j=20, k=19),
    "abc,cd->dab": dict(a=4, b=5, c=6, d=7), "abcd,cde->abe": dict(a=3, b=11, c=4, d=5, e=18), "ai,bi->ab": dict(a=33, b=31, i=9), "bij,bjk->bik": dict(b=1, i=9, j=70, k=17),
    "a,b->ab": dict(a=20, b=30), "ij,ij->ij": dict(i=20, j=30), "ij,ij->i": dict(i=20, j=30), "bij,bij->": dict(b=3, i=20, j=30), "ij,jk->i k": dict(i=1, j=20, k=3)
}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_that_are_loops(name, dtype):
    """Also of what lies turned in memory, and of parts."""
    a, b = (torch.tensor(rng.uniform(0.5, 1, size=s), dtype=dtype) for s in PRODUCTS[name])

    def turned(x):
        return x.mT.contiguous().mT if x.ndim > 1 else torch.stack([x, x], 1)[:, 0]

    def fun(a, b):
        return a @ b * 2, turned(a * 2) @ (b + 1), torch.matmul(a + 1, turned(b * 2)), torch.matmul(turned(a + 1), turned(b * 2)).sum()

    _, found = both(fun, a, b)
    for x, y in zip(found, fun(a.double(), b.double()), strict=True):
        torch.testing.assert_close(x, y.to(dtype), rtol=64 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("words", EINSUMS)
def test_contractions_that_are_loops(words, dtype):
    """In the order in which torch lays the result, of operands in other orders too; no call of torch's is left."""
    sizes, (one, other) = EINSUMS[words], words.split("->")[0].split(",")
    a, b = (torch.tensor(rng.uniform(0.5, 1, size=[sizes[k] for k in w]), dtype=dtype) for w in (one, other))

    def turned(x):
        return x.permute(*range(x.ndim)[::-1]).contiguous().permute(*range(x.ndim)[::-1])

    def fun(a, b):
        return torch.einsum(words, a, b) * 2, torch.einsum(words, turned(a) + 1, b), torch.einsum(words, a + 1, turned(b * 2))

    assert "einsum" not in native(recorded(fun, a, b)).__doc__
    expected, found = both(fun, a, b)
    for x, e, y in zip(found, expected, fun(a.double(), b.double()), strict=True):
        assert x.stride() == e.stride()
        torch.testing.assert_close(x, y.to(dtype), rtol=64 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(40, 20, 30), (3, 40, 20, 30), (33, 60, 200)], ids=str)
def test_linear_with_and_without_a_bias(shape, dtype):
    *many, m, k, n = shape
    x, w, b = (torch.tensor(rng.uniform(0.5, 1, size=s), dtype=dtype) for s in ((*many, m, k), (n, k), (n,)))

    def fun(x, w, b):
        words = [NN.linear, *([lambda x, w, b: torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")] if dtype is torch.float32 and torch.backends.mkldnn.is_available() else [])]
        return tuple(y for f in words for y in (f(x + 1, w, b) * 2, f(x, w * 2, None)))

    run = native(recorded(fun, x, w, b))
    assert "linear" not in run.__doc__
    _, found = both(fun, x, w, b)
    for y, e in zip(found, fun(x, w, b), strict=True):
        torch.testing.assert_close(y, e, rtol=64 * torch.finfo(dtype).eps, atol=0)


def test_contractions_that_stay_torchs():
    """Of three operands, sums over one alone, an axis twice, large matrices."""
    x = torch.tensor(rng.normal(size=(40, 40)))
    for f in (lambda x: torch.einsum("ai,bi,ci->abc", x[:3], x[:4], x[:5]), lambda x: torch.einsum("ij,kl->il", x, x + 1), lambda x: torch.einsum("ii,ij->ij", x, x + 1),
              lambda x: torch.einsum("...j,jk->...k", x, x + 1), lambda x: torch.einsum("ij,jk", x, x + 1), lambda x: torch.einsum("ij,jk->ik", x, x)):
        assert "einsum" in native(recorded(lambda x, f=f: f(torch.tanh(x * 2)), x)).__doc__
        expected, found = both(lambda x, f=f: f(torch.tanh(x * 2)), x)
        assert_same(found, expected, 256, torch.tensor(1e3))


def test_special_values_in_products():
    """What is infinite or not a number stays in its row and column, and reaches no lane beside it."""
    a, b = torch.tensor(rng.normal(size=(3, 11, 10))), torch.tensor(rng.normal(size=(3, 10, 13)))
    a[0, 1, 2], b[1, 3, 4], a[2, 10, 9], b[2, 9, 12] = math.nan, math.inf, -math.inf, 0.0
    expected, found = both(lambda a, b: (torch.einsum("bij,bjk->bik", a, b), torch.matmul(a + 1, b * 2)), a, b)
    assert_same(found, expected, 64, torch.tensor(10.0))


def test_writing_in_place_copies_and_parts():
    def fun(x, y):
        z = x * y
        z.add_(y, alpha=2)
        z[1:3, ::2] = y[1:3, ::2] * 5
        w = torch.zeros(4, 12, dtype=x.dtype)
        w[:, 3:9] = z
        w[0] = 7.0
        w += w.new_ones(12)
        v = torch.cat([w[:, :3], z, torch.stack([x[:, 0], y[:, 1]], 1)], 1)
        z.mul_(0.5)
        return w, v, torch.stack([z.sum(), x.sum(), w.sum()]), z

    x, y = (torch.tensor(rng.normal(size=(4, 6))) for _ in range(2))
    expected, found = both(fun, x, y)
    assert_same(found, expected, 16)


def test_calls_for_lists_of_arrays():
    """Each array of a list as by itself: with numbers, lists of numbers, an array for all, in place, and one array twice."""
    def fun(a, b, c, k):
        xs, ys = [a * 1, b * 2, c - 1], [torch.tanh(a), b, c]
        velocity = torch._foreach_mul(xs, 0.9)
        torch._foreach_add_(velocity, ys, alpha=-0.1)
        moved = torch._foreach_add(xs, velocity)
        torch._foreach_addcmul_(xs, ys, ys, value=0.5)
        sizes = torch._foreach_sqrt(torch._foreach_abs(xs))
        torch._foreach_mul_([sizes[0], sizes[0], sizes[1]], [2.0, 3.0, 4.0])
        return *velocity, *moved, *sizes, *torch._foreach_addcdiv(moved, ys, sizes, value=-0.2), *torch._foreach_mul(ys, k)

    xs = [torch.tensor(rng.normal(size=s)) for s in ((40, 7), (7,), (3, 5, 2), ())]
    assert "_foreach" not in native(recorded(fun, *xs)).__doc__
    expected, found = both(fun, *xs)
    assert_same(found, expected, 16)


def test_orders_of_reading_and_writing():
    """What is read before it is written over, also through views, and what is read afterwards."""

    def fun(x):
        y = x + 1
        first, flat = y[:2] * 3, y.reshape(-1)[1::2] * 2
        y[0] = y[1] * 2
        y[:2].mul_(y[2:])
        rows = y.sum(0)
        y.copy_(x)
        return first, flat, rows, y * rows, y.T @ y

    expected, found = both(fun, torch.tensor(rng.normal(size=(4, 5))))
    assert_same(found, expected, 64)


def test_strides_of_axes_of_one_are_torchs():
    """Kinds of calls are told apart by them, too: of a column that is a row turned, the last is its length, which no place tells."""
    x = torch.tensor(rng.normal(size=(1, 260)))
    expected, found = both(lambda x: (torch.tanh(x[:, ::2].T) * 2, torch.maximum(x[:, ::2].T, x[0, 3]) - 1), x)
    assert [y.stride() for y in found] == [y.stride() for y in expected] == [(1, 130), (1, 130)]


def test_an_element_whose_place_is_an_array():
    """x[k] of an integer array k without axes is a view, somewhere else in each call."""
    table = torch.arange(5.0) * 10

    def fun(x):
        k = (x * 2).sum().long()
        return table[k] * 2 + x.exp(), (x * 3)[k] + 1

    for value in (0.0, 0.5, 1.5):
        expected, found = both(fun, torch.tensor([value, 0.0, 0.0, 0.0]))
        assert_same(found, expected)


def test_views_of_what_is_computed_once_keep_its_memory():
    """Of two equal products one is dropped; a view of that one is a view of the other, which nobody may write over."""

    def fun(x):
        first, second = x * 3, x * 3
        turned = second.mT
        y = torch.sin(first) + 1
        for _ in range(3):
            y = torch.cos(y) * y
        return torch.softmax(y, 1) @ turned, y.sum()

    x = torch.tensor(rng.normal(size=(6, 6)))
    program = recorded(fun, x)
    assert sum([step.function in (torch.mul, torch.Tensor.mul, torch.Tensor.__mul__) and 3 in step.args for step in program.steps]) == 1
    for found in (straight(program)(x), native(program)(x)):
        assert_same(found, fun(x), 64, torch.tensor(10.0))


@pytest.mark.parametrize("seed", range(25))
def test_random_chains(seed):
    fun, xs = chain(seed)
    expected, found = both(fun, *xs)
    assert_same(found, expected, 1e4, torch.tensor(1.0))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_threads_share_large_loops(dtype, threads):
    """Also where all add to the same sums; as many as torch has at the time of the call."""
    x = torch.tensor(rng.uniform(0.5, 1, size=(2003, 130)), dtype=dtype)

    def fun(x):
        y = torch.exp(x * x)
        small, wide = y[:, :10], y[:, 10:22]
        products = torch.einsum("ni,ij->nj", small, wide[:10]), torch.einsum("ni,nj->ij", small, wide), torch.einsum("ni,nj->ji", small, wide)
        return y, y.sum(), y.sum(0), y.sum(1), (y * 2).mean(), x[:, :1] * y + y[:1], *products

    run = native(recorded(fun, x))
    assert "_part" in run.text or os.cpu_count() == 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = run(x)
        assert all(torch.equal(a, b) for a, b in zip(found, run(x), strict=True))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(found, fun(x.double()), strict=True):
        torch.testing.assert_close(a, b.to(dtype), rtol=64 * torch.finfo(dtype).eps, atol=0)


# ----- as an executor of accelerated functions -----


def test_it_is_compiled_while_the_calls_go_on_and_the_faster_one_stays():
    fast = gl.dlaccelerate(penalty)
    for k in range(20):
        xs = given(rng)
        close(gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs))
        if k == 6:
            assert jobs.settled(60)
    words = fast.explain()
    assert "  native: " in words and " kernels, " in words or "native takes" in words, words


def test_native_is_taken_where_it_is_asked_for():
    fast = gl.dlaccelerate(penalty, executor="native")
    kept = []
    for _ in range(8):
        xs = given(rng)
        kept.append((gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs)))
    for found, expected in kept:  # no call writes into the results of one before it
        close(found, expected)
    assert "  native: " in fast.explain() and "replayed 5 times" in fast.explain(), fast.explain()


@pytest.mark.parametrize("function", ["tanh", "square", "mul"])
def test_a_kernel_that_is_wrong_is_not_used(monkeypatch, caplog, function):
    for owner in (torch, torch.Tensor):
        monkeypatch.setitem(rules.RULES, getattr(owner, function), lambda *xs, **options: xs[0] * 1.01)
    fast = gl.dlaccelerate(penalty, executor="native")
    with caplog.at_level(logging.WARNING, logger="gradloom"):
        for _ in range(8):
            xs = given(rng)
            close(gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs))
    assert "replay: " in fast.explain() and "native gave other numbers than rounding explains and is not used" in fast.explain()
    assert "gave other numbers" in caplog.text


# float32 work whose results are of float64, or what is left where sums cancel: they differ by roundings that are large
# beside them
ROUNDED = {
    "ends in float64": lambda x: gl.sum((gl.tanh(x * 3) * gl.exp(-x * x)).astype("float64")),
    "begins in float64": lambda x: gl.sum((x.astype("float64") * 3).astype("float32") * gl.tanh(x)).astype("float64"),
    "what is left of columns": lambda x: gl.sum(gl.tanh(x * 3) - gl.mean(gl.tanh(x * 3), axis=0), axis=0),
    "a sum in two orders": lambda x: gl.sum(gl.tanh(x * 2)) - gl.sum(gl.sum(gl.tanh(x * 2), axis=0)),
    "products in two orders": lambda x: gl.sum(x @ (x.T @ gl.tanh(x))) - gl.sum((x @ x.T) @ gl.tanh(x)),
    "with draws": lambda x: gl.sum(gl.tanh(x) * gl.rand(x.shape, dtype="float32")).astype("float64"),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_what_rounding_explains_is_taken(name):
    fast = gl.dlaccelerate(ROUNDED[name], executor="native")
    for _ in range(6):
        gl.dlfeval(fast, gl.dlarray(rng.normal(size=(300, 70)).astype(np.float32)))
    assert "native: " in fast.explain().split("\n")[1]


@pytest.mark.parametrize("name", ROUNDED)
def test_what_rounding_does_not_explain_is_not(monkeypatch, name):
    """Of some 21,000 terms one is missing, of the size that they have there."""
    term = 150.0 if "products" in name else 1.0

    def planted(program):
        run = native(program)

        def wrong(*xs):
            return tuple([y - term for y in run(*xs)])

        wrong.words = run.words
        return wrong

    monkeypatch.setattr(beside, "native", planted)
    fast = gl.dlaccelerate(ROUNDED[name], executor="native")
    for _ in range(6):
        gl.dlfeval(fast, gl.dlarray(rng.normal(size=(300, 70)).astype(np.float32)))
    assert "native gave other numbers" in fast.explain()


def test_what_cannot_be_compiled_is_replayed(monkeypatch):
    def broken(program):
        raise RuntimeError("LLVM says no")

    monkeypatch.setattr(beside, "native", broken)
    for way in ("auto", "native"):
        fast = gl.dlaccelerate(penalty, executor=way)
        for _ in range(6):
            xs = given(rng)
            close(gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs))
            assert jobs.settled(60)
        assert "replay: " in fast.explain() and "native could not be compiled (LLVM says no)" in fast.explain()


def test_a_program_without_chains_says_so():
    fast = gl.dlaccelerate(lambda x: gl.sort(x), executor="native")
    for _ in range(5):
        fast(gl.dlarray(rng.normal(size=50)))
    assert "replay: " in fast.explain() and "native: no calls that could share a loop" in fast.explain()


def test_without_llvmlite_everything_is_replayed(monkeypatch):
    monkeypatch.setattr(beside, "available", lambda: False)
    for way in ("auto", "native"):
        fast = gl.dlaccelerate(penalty, executor=way)
        for _ in range(5):
            gl.dlfeval(fast, *given(rng))
        assert "replay: " in fast.explain() and ("pip install gradloom[native]" in fast.explain()) == (way == "native")


def test_a_result_in_another_order_lies_not_where_it_is_made_from(monkeypatch):
    monkeypatch.setattr(trial, "telling", lambda result: True)

    def fun(x, y):
        return (gl.sin(x.T) * gl.cumsum(y, axis=0)).T

    fast, zeros = gl.dlaccelerate(fun, executor="native"), gl.zeros((6, 6))
    for _ in range(6):
        fast(zeros, gl.zeros((6, 6)))  # any order of zeros is zeros: the comparison sees nothing
    assert "  native: " in fast.explain()
    x, y = gl.dlarray(rng.normal(size=(6, 6))), gl.dlarray(rng.normal(size=(6, 6)))
    np.testing.assert_allclose(fast(x, y), fun(x, y), rtol=1e-13)


def test_what_is_one_number_all_over_proves_nothing():
    def fun(x):
        return gl.sin(x) * 2 * gl.exp(x)

    fast = gl.dlaccelerate(fun, executor="native")
    for _ in range(7):
        fast(gl.zeros(30))
    assert "native: 1 kernels, 0 bytes kept, on trial" in fast.explain() and "  replay: " in fast.explain()
    for _ in range(2):
        x = gl.dlarray(rng.normal(size=30))
        np.testing.assert_allclose(fast(x), fun(x), rtol=1e-13)
    assert "  native: " in fast.explain()
    always = gl.dlaccelerate(fun, executor="native")
    for _ in range(14):
        always(gl.zeros(30))
    assert "  native: " in always.explain()  # it may never be anything else


def test_updates_with_an_array_as_iteration_are_compiled():
    def step(p, m, v, k):
        return gl.adamupdate(p, gl.sin(p) * 2 + 1, m, v, k, 0.1)

    fast = gl.dlaccelerate(step, executor="native")
    start = gl.dlarray(rng.normal(size=(5, 7)))
    found, plain = ([start, gl.zeros((5, 7)), gl.zeros((5, 7))] for _ in range(2))
    for k in range(1, 9):
        found, plain = fast(*found, gl.dlarray(float(k))), step(*plain, gl.dlarray(float(k)))
    assert "  native: " in fast.explain()
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_steady_functions_are_compiled_before_the_same_call_each_time(monkeypatch):
    monkeypatch.setattr(beside, "ENOUGH", 4)
    def numbers(found):
        value, gradients = found
        return np.concatenate([np.ravel(x) for x in (value, *gradients)])

    xs, executors, results = given(rng), [], []
    for _ in range(2):
        fast = AcceleratedFunction(penalty, "steady")
        results.append([numbers(gl.dlfeval(fast, *xs)) for _ in range(12)])
        executors.append(fast.explain())
    assert all("  native: " in words and "replayed 9 times" in words for words in executors)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))  # the same bits
    plain = numbers(gl.dlfeval(penalty, *xs))
    for found in results[0]:
        np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-13)


def test_steady_functions_are_replayed_without_llvmlite(monkeypatch):
    monkeypatch.setattr(beside, "ENOUGH", 2)
    monkeypatch.setattr(beside, "available", lambda: False)
    fast = AcceleratedFunction(penalty, "steady")
    for _ in range(8):
        gl.dlfeval(fast, *given(rng))
    assert "  replay: " in fast.explain() and "native" not in fast.explain()


def test_random_numbers_are_those_of_the_plain_calls():
    def fun(x):
        return gl.sum(gl.tanh(x + gl.rand(30)) * gl.exp(-x))

    results = []
    for f in (fun, gl.dlaccelerate(fun, executor="native")):
        gl.rng(3)
        results.append([float(f(gl.dlarray(np.linspace(0, 1, 30) * k))) for k in range(9)] + [float(gl.rand(1))])
    np.testing.assert_allclose(*results, rtol=1e-14)
    assert "  native: " in f.explain()


def test_two_threads_with_one_function():
    fast = gl.dlaccelerate(penalty, executor="native")
    for _ in range(6):
        gl.dlfeval(fast, *given(rng))
    assert not wrong_in_threads(fast, rng, 10)


def test_what_is_let_go_takes_its_code_along():
    made = []

    def kept(text):
        made.append(weakref.ref(code := compiled(text)))
        return code

    compiled = executor.Compiled
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "Compiled", kept)
        for _ in range(3):
            fast = gl.dlaccelerate(penalty, executor="native")
            for _ in range(5):
                gl.dlfeval(fast, *given(rng))
    del fast
    gc.collect()
    assert len(made) == 3 and not any([ref() for ref in made])


def test_a_process_that_ends_does_not_wait_for_what_is_compiled(tmp_path):
    """Neither when it ends by itself nor when it is killed; nothing is left behind."""
    code = """
import sys, numpy as np, gradloom as gl
from gradloom.acceleration.native import jobs
def fun(x):
    for k in range(60):
        x = gl.tanh(x * (1 + k) + gl.exp(-x * k))
    y = gl.sum(x)
    return y
fasts = [gl.dlaccelerate(lambda x, k=k: fun(x) * k) for k in range(6)]
for fast in fasts:
    for k in range(4):
        fast(gl.dlarray(np.ones(40) * k))
assert jobs.thread is not None, "nothing is being compiled"
if sys.argv[1] == "kill":
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, "end"], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not done.stderr and not list(tmp_path.iterdir())
    assert run_forked(code, "kill", environment=environment) == (-9, "")
    assert not list(tmp_path.iterdir())


def test_a_view_that_a_later_call_reads_too_comes_before_the_first():
    """A lone elementwise call stays torch's, and reads the view that is returned as well."""
    def viewed(x):
        part = x.select(1, 0)
        return torch.cumsum((x > part) * x, 0), part.square(), part

    assert_same(*both(viewed, torch.tensor(rng.normal(size=(3, 3, 2)))))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_parts_of_complex_arrays_that_do_not_begin_their_memory(dtype):
    """Offsets of parts count numbers, those of the array pairs of them; the imaginary part of a conjugate carries a sign
    that its memory does not."""
    def parts(z):
        return torch.real(z) * 2 + torch.imag(z) * 3, torch.imag(torch.conj(z)) * 2 + torch.tanh(torch.real(z))

    z = torch.complex(*torch.tensor(rng.normal(size=(2, 90)))).to(dtype)[7:50]
    recorder = Recorder([z])
    results = under([recorder], parts, z)
    assert_same(native(Program(recorder, [recorder.slot_of(y) for y in results]).improved())(z), parts(z))


def test_a_view_of_an_array_that_numpy_shares_is_read_where_it_lies():
    """Such an array is not looked at in advance, as it may change; a kernel reads it as it is in each call."""
    shared = np.array([2.0])
    one = torch.from_numpy(shared)
    x = torch.tensor(rng.normal(size=5))
    program = recorded(lambda x: torch.tanh(one.expand(5) * x) + 1, x)
    run = native(program)
    for value in (2.0, -3.0):
        shared[0] = value
        assert_same(run(x), (torch.tanh(value * x) + 1,))


def test_a_view_whose_place_is_told_in_the_storage():
    """Arrays between kernels lie in a workspace, where `as_strided` with an offset would read and write those beside them."""
    places = torch.tensor([3, 0, 3])

    def viewed(x):
        beside, out = torch.tanh(x) + 1, torch.sin(x) * 2
        out.as_strided((4,), (1,), 0).index_put_((places,), x[:3], accumulate=True)
        return torch.cumsum(beside * out, 0), beside.as_strided((2,), (3,), 1) + 1

    assert_same(*both(viewed, torch.tensor(rng.normal(size=6))))


def test_jacobians_whose_terms_meet_are_compiled():
    """Their entries are added at places told in the array, wherever that lies."""
    def matrix(x):
        return gl.dljacobian(gl.sin(x) * gl.roll(x, 1, axis=0), x).matrix()

    fast = gl.dlaccelerate(matrix, executor="native")
    for _ in range(8):
        x = gl.dlarray(rng.normal(size=5))
        np.testing.assert_allclose(gl.dlfeval(fast, x), gl.dlfeval(matrix, x), rtol=1e-12)
    assert "  native: " in fast.explain() and "other numbers" not in fast.explain()
