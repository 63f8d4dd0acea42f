"""Formulas of many arrays side by side, as kernels of our own."""
import logging

import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl
from gradloom.acceleration.native.columns import Columns, columns_of, side_by_side
from gradloom.acceleration.native.lanes import Value

RNG = stream(7)
SIZES = [0, 1, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 1000]


def formula(a, b, c, rate, shift):
    return a * rate + b / c, (a * a).times_plus(shift, b) - c.intrinsic("sqrt")


def by_numpy(a, b, c, rate, shift):
    return a * rate + b / c, a * a * shift + b - np.sqrt(c)


def columns(sizes, dtype):
    return [[torch.from_numpy(RNG.uniform(0.5, 2, n)).to(dtype) for n in sizes] for _ in range(3)]


def run(kernel, given, numbers):
    written = [[torch.full_like(x, np.nan) for x in given[0]] for _ in range(2)]
    kernel([x for column in given for x in column], written, numbers)
    return written


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_size_is_computed_whole_and_nothing_beyond(dtype):
    given = columns(SIZES, dtype)
    margin = [torch.full((n + 64,), 5.0, dtype=dtype) for n in SIZES]  # what is written lies in the middle
    written = [[x[32:32 + n] for x, n in zip(margin, SIZES, strict=True)], [torch.empty_like(x) for x in given[0]]]
    Columns(formula, dtype, 2, 2)([x for column in given for x in column], written, (0.25, 3.0))
    for place in range(len(SIZES)):
        a, b, c = (column[place].double().numpy() for column in given)
        for found, truth in zip(written, by_numpy(a, b, c, 0.25, 3.0), strict=True):
            np.testing.assert_allclose(found[place].double().numpy(), truth, rtol=16 * torch.finfo(dtype).eps, atol=16 * torch.finfo(dtype).eps)
    assert all((x[:32] == 5).all() and (x[32 + n:] == 5).all() for x, n in zip(margin, SIZES, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_change_no_bit(dtype):
    given, kernel = columns([100_003, 5, 60_000, 0, 33], dtype), Columns(formula, dtype, 2, 2)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(run(kernel, given, (0.25, 3.0)))
    finally:
        torch.set_num_threads(before)
    for its in found[1:]:
        assert all(torch.equal(x, y) for a, b in zip(its, found[0], strict=True) for x, y in zip(a, b, strict=True))


def test_what_the_kernel_may_not_read_is_left_to_torch():
    plain = [torch.ones(3, 4) for _ in range(3)]
    assert columns_of(formula, plain, 2, 2) is not None
    for strange in (torch.ones(3, 4, device="meta"), torch.nn.Parameter(torch.ones(3, 4))):
        assert columns_of(formula, [*plain[:2], strange], 2, 2) is None
    for dtype in (torch.float16, torch.complex64):
        assert columns_of(formula, [x.to(dtype) for x in plain], 2, 2) is None


def test_arrays_of_a_row_are_laid_out_as_the_first():
    plain, turned, gaps = torch.rand(3, 4), torch.rand(4, 3).T, torch.rand(3, 8)[:, ::2]
    for first in (plain, turned, gaps, torch.rand(1).expand(3, 4)):
        for its in (found := side_by_side([first, turned, plain, gaps], 1)):
            assert its.stride() == torch.empty_like(first).stride()
        assert all(torch.equal(x, y) for x, y in zip(found, [first, turned, plain, gaps], strict=True))
    assert side_by_side([plain, plain], 2)[0] is plain


def test_a_kernel_that_is_wrong_is_not_used(caplog):
    def wrong(a, b, c, rate, shift):
        return formula(a, b, c, rate, shift if isinstance(a, Value) else shift + 1e-3)

    with caplog.at_level(logging.WARNING, "gradloom"):
        assert columns_of(wrong, [torch.ones(3)] * 3, 2, 2) is None
    assert "torch's kernels run instead: it gave other numbers" in caplog.text


# ----- the solvers' steps ---------------------------------------------------------------------------------------------

SHAPES = [(3, 4), (), (2, 3, 5), (1,), (0, 2), (17,)]
STEPS = {
    "sgdmupdate": lambda p, g, its, k: gl.sgdmupdate(p, g, *its, 0.05, 0.8),
    "adamupdate": lambda p, g, its, k: gl.adamupdate(p, g, *its, k, 0.05, 0.8, 0.95, 1e-7, weight_decay=0.02),
    "rmspropupdate": lambda p, g, its, k: gl.rmspropupdate(p, g, *its, 0.05, 0.95, 1e-7),
}
STATES = {"sgdmupdate": 1, "adamupdate": 2, "rmspropupdate": 1}
LAYOUTS = {"plain": lambda x: x, "transposed": lambda x: x.permute(tuple(reversed(range(x.ndim)))), "expanded": lambda x: x[..., None].expand(*x.shape, 2),
           "every other": lambda x: x[..., ::2] if x.ndim else x, "not a view": lambda x: torch.nn.Parameter(x)}


def several(word, layout, dtype, monkeypatch, kernels):
    """The numbers of four steps."""
    used = []
    if not kernels:
        monkeypatch.setattr("gradloom.training.kernels.columns_of", lambda *args: used.append(None))
    stream_ = np.random.default_rng(5)

    def drawn():
        return [gl.dlarray(LAYOUTS[layout](torch.from_numpy(np.asarray(stream_.standard_normal(s))).to(dtype)), copy=False) for s in SHAPES]

    p, its = drawn(), [None] * STATES[word]
    for k in range(1, 5):
        p, *its = STEPS[word](p, drawn(), its, k)
    monkeypatch.undo()
    assert kernels or used
    return [np.array(x) for column in (p, *its) for x in column]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128], ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("word", STEPS)
def test_steps_by_our_kernels_are_those_by_torchs(word, layout, dtype, monkeypatch):
    room = 50 * torch.finfo(dtype).eps
    found, plain = (several(word, layout, dtype, monkeypatch, kernels) for kernels in (True, False))
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=room, atol=room)


@pytest.mark.parametrize("whose", ["parameter", "gradient", "state"])
@pytest.mark.parametrize("word", STEPS)
def test_one_of_a_row_may_lie_otherwise(word, whose, monkeypatch):
    p, g, *its = (RNG.standard_normal((4, 3)) ** (2 if k > 1 else 1) for k in range(2 + STATES[word]))

    def run():
        turned = [gl.dlarray(np.asfortranarray(x) if own == whose else x, copy=False)
                  for x, own in zip((p, g, *its), ("parameter", "gradient", *["state"] * len(its)), strict=True)]
        found = STEPS[word](turned[0], turned[1], turned[2:], 3)
        return found, STEPS[word](found[0], turned[1], found[1:], 4)

    found = run()
    monkeypatch.setattr("gradloom.training.kernels.columns_of", lambda *args: None)
    for a, b in zip(sum(found, ()), sum(run(), ()), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("word", STEPS)
def test_infinite_and_missing_numbers_are_those_of_torchs_kernels(word, monkeypatch):
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-300, 1e300, 1.0]
    p, g = ([gl.dlarray(np.array(x))] for x in (np.repeat(special, 8), np.tile(special, 8)))
    found = STEPS[word](p, g, [None] * STATES[word], 1)
    monkeypatch.setattr("gradloom.training.kernels.columns_of", lambda *args: None)
    plain = STEPS[word](p, g, [None] * STATES[word], 1)
    for (a,), (b,) in zip(found, plain, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-13)


def test_a_negated_view_is_taken_as_its_numbers():
    x = gl.dlarray(torch._neg_view(torch.ones(40, dtype=torch.float64)), copy=False)
    assert not x._value.is_neg()
    p, v = gl.sgdmupdate([gl.zeros(40)], [x], None, 1.0, 0.0)
    assert np.array_equal(p[0], np.ones(40))
