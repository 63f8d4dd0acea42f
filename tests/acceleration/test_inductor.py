"""The executor "inductor": whole programs by torch's compiler.

What a program becomes is a graph of ATen's operations; torch without its compiler runs it in most of these tests.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from executor_cases import (
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

import gradloom as gl
from gradloom.acceleration import beside
from gradloom.acceleration.inductor import NotInductor, executor, jobs, lacking, process
from gradloom.acceleration.inductor.compiler import module_of
from gradloom.acceleration.inductor.executor import Heard
from gradloom.acceleration.writing import straight

rng = stream(23)
aten = torch.ops.aten
needs_compiler = pytest.mark.skipif(bool(lacking()), reason=f"torch's compiler needs {lacking()}")


def uncompiled(graph, threads, aside, wanted):
    """In the place of what is compiled: the graph as another process reads it, by torch."""
    return module_of(json.loads(json.dumps(graph)))


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setattr(executor, "compiled", uncompiled)
    monkeypatch.setattr(executor, "_loaded", [])


def heard(fun, *xs):
    """(the program of a function, its graph as a function): recorded, and heard, at other values than these."""
    zeros = [torch.zeros_like(x) if x.is_floating_point() else x.clone() for x in xs]
    program = recorded(fun, *zeros)
    hearing = Heard(program)
    for x, y in zip(hearing(*zeros), straight(program)(*zeros), strict=True):
        assert torch.equal(x.nan_to_num(7.0) if x.is_floating_point() else x, y.nan_to_num(7.0) if y.is_floating_point() else y)
    return program, hearing.function(False, lambda: True)


def both(fun, *xs):
    """(torch's results, those of the graph)."""
    program, run = heard(fun, *xs)
    return straight(program)(*xs), run(*xs)


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_array_at_special_values(without_compiler, name):
    for dtype in TYPES:
        expected, found = both(lambda x: (ONE[name](x), ONE[name](-x)), special(dtype, rng))
        assert_same(found, expected, 1)


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_arrays_at_special_values(without_compiler, name):
    for dtype in TYPES:
        x = special(dtype, rng)
        a, b = x[:, None].expand(-1, len(x)).contiguous(), x[None].expand(len(x), -1).contiguous()
        expected, found = both(lambda a, b: (TWO[name](a, b), TWO[name](b, a)), a, b)
        assert_same(found, expected, 1, a.abs() + b.abs())


@pytest.mark.parametrize("seed", range(12))
def test_random_chains(without_compiler, seed):
    fun, xs = chain(seed)
    assert_same(*reversed(both(fun, *xs)), 16, torch.tensor(1.0))


def test_orders_of_reading_and_writing(without_compiler):
    """What is read before it is written over, also through views, and what is read afterwards."""

    def fun(x):
        y = x + 1
        first, flat = y[:2] * 3, y.reshape(-1)[1::2] * 2
        y[0] = y[1] * 2
        y[:2].mul_(y[2:])
        rows = y.sum(0)
        y.copy_(x)
        z = torch.zeros(4, 5)
        z[1:3, ::2] = y[1:3, ::2]
        z.sub_(x, alpha=3)
        return first, flat, rows, y * rows, y.T @ y, z

    assert_same(*reversed(both(fun, torch.tensor(rng.normal(size=(4, 5)), dtype=torch.float32))), 4)


def test_results_that_are_arguments_constants_or_views_of_them(without_compiler):
    table = torch.arange(6.0).reshape(2, 3)

    def fun(x, y):
        return x, x.mT[1:], table, table.T, x * y, (x * y).mT, y

    xs = torch.tensor(rng.normal(size=(2, 3))), torch.tensor(rng.normal(size=(2, 3)))
    expected, found = both(fun, *xs)
    assert_same(found, expected)
    assert found[0] is xs[0] and found[6] is xs[1] and found[2] is not table
    assert found[1].untyped_storage().data_ptr() == xs[0].untyped_storage().data_ptr()


def test_lists_and_several_results(without_compiler):
    def fun(x, y):
        a, b = torch._foreach_mul([x, y], [2.0, 3.0])
        torch._foreach_add_([a, b], [y, y], alpha=-0.5)
        c = torch._foreach_addcdiv([a, b], [x, y], [y, x], value=0.25)
        values, places = torch.sort(x)
        top = torch.max(y, 1)
        return a, b, *c, *torch._foreach_sqrt([x * x, y * y]), values, places, top.values, top.indices, *torch.unbind(x, 1)

    assert_same_any(*both(fun, torch.tensor(rng.normal(size=(3, 4))), torch.tensor(rng.normal(size=(3, 4)))))


def assert_same_any(expected, found):
    for x, y in zip(found, expected, strict=True):
        assert x.dtype is y.dtype
        torch.testing.assert_close(x, y, rtol=1e-14, atol=1e-14)


def test_guards_are_asked(without_compiler):
    def fun(x):
        y = x * 2
        return y.exp() if y.sum() >= 0 else y.sin()

    _, run = heard(fun, torch.zeros(3))
    torch.testing.assert_close(run(torch.ones(3))[0], torch.full((3,), math.exp(2)))
    assert run(-torch.ones(3)) is None


INDEXED = {
    "gather": (lambda x, k: x.gather(0, k.expand(2, 3)), 4), "x[k]": (lambda x, k: x[k], 4), "x[:, k]": (lambda x, k: x[:, k], 3),
    "index_select": (lambda x, k: x.index_select(1, k[0]), 3), "scatter": (lambda x, k: (x * 1).scatter(0, k.expand(2, 3), 7.0), 4),
    "scatter_add": (lambda x, k: torch.zeros(4, 3).scatter_add(0, k.expand(2, 3), x[:2]), 4),
    "index_add": (lambda x, k: (x * 1).index_add(0, k[0], x[:1] * 2), 4), "x[k] = 1": (lambda x, k: (x * 1).index_put((k,), torch.ones(())), 4),
    "embedding": (lambda x, k: torch.embedding(x, k), 4), "take": (lambda x, k: torch.take(x, k), 12),
    "nll": (lambda x, k: torch.ops.aten.nll_loss_forward(x, k[:, 0].expand(4), None, 1, -5), 3),
}
FROM_THE_END = ("x[k]", "x[:, k]", "x[k] = 1", "take")


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_that_lies_outside_is_told_of(without_compiler, name):
    """In compiled code torch's own refusal ends the process: threads share the loop."""
    fun, size = INDEXED[name]
    x = torch.tensor(rng.normal(size=(4, 3)), dtype=torch.float32)
    _, run = heard(lambda x, k: fun(x, k) if isinstance(fun(x, k), torch.Tensor) else tuple(fun(x, k)), x, torch.tensor([[1]]))
    allowed = [*range(size), *(range(-size, 0) if name in FROM_THE_END else [-5] if name == "nll" else [])]
    for k in range(-size - 2, size + 2):
        found, place = run(x, torch.tensor([[k]])), torch.tensor([[k]])
        if k in allowed:
            expected = fun(x, place)
            assert_same(found, expected if isinstance(expected, tuple) else (expected,))
        else:
            assert found is None
            with pytest.raises((IndexError, RuntimeError)):
                fun(x, place)


REFUSED = {
    "random numbers are drawn": lambda x: x + torch.rand(3), "complex numbers": lambda x: torch.fft.rfft(x).abs(),
    "shapes depend on values": lambda x: x[x > -1] * 2, "arrays that are not strided": lambda x: (x.to_sparse() * 2).to_dense(),
    "a call reads a number out of an array": lambda x: x[(x.sum() * 0).long()],
    "it computes nothing": lambda x: x[1:],
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_said_in_a_graph_stays_with_replay(without_compiler, words):
    program = recorded(REFUSED[words], torch.ones(3))
    hearing = Heard(program)
    if not hearing.why:
        hearing(torch.ones(3))
    with pytest.raises(NotInductor, match=words):
        hearing.function(False, lambda: True)
    assert straight(program)(torch.ones(3)) is not None and hearing(torch.ones(3)) is not None


def test_what_numpy_shares_is_read_in_each_call(without_compiler):
    shared = np.array([2.0])
    one = torch.from_numpy(shared)
    _, run = heard(lambda x: torch.tanh(one * x) + 1, torch.ones(5))
    for value in (2.0, -3.0):
        shared[0] = value
        torch.testing.assert_close(run(torch.ones(5))[0], torch.tanh(torch.full((5,), value, dtype=torch.float64)) + 1)


def test_with_another_number_of_threads_it_is_replayed(without_compiler, monkeypatch):
    program = recorded(lambda x: x * 2, torch.ones(3))
    hearing = Heard(program)
    hearing(torch.ones(3))
    run, before = hearing.function(False, lambda: True), torch.get_num_threads()
    monkeypatch.setattr(executor, "compiled", None)
    torch.set_num_threads(before + 1)
    try:
        assert run.__closure__ is not None
        torch.testing.assert_close(run(torch.ones(3))[0], torch.full((3,), 2.0))
    finally:
        torch.set_num_threads(before)


# ----- as an executor of accelerated functions -----


def test_it_is_taken_where_it_is_asked_for(without_compiler):
    fast = gl.dlaccelerate(penalty, executor="inductor")
    kept = []
    for _ in range(9):
        xs = given(rng)
        kept.append((gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs)))
    for found, expected in kept:
        close(found, expected)
    assert "  inductor: " in fast.explain() and "replayed 6 times; compiled in" in fast.explain(), fast.explain()


def test_it_is_asked_once_the_calls_have_cost_enough(without_compiler, monkeypatch):
    monkeypatch.setattr(beside, "available", lambda: False)
    for patience, words in ((-1.0, ("inductor takes", "  inductor: ")), (1e9, ("replayed 17 times\n",))):
        monkeypatch.setattr(beside, "PATIENCE", patience)
        fast = gl.dlaccelerate(penalty)
        for _ in range(20):
            xs = given(rng)
            close(gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs))
            assert jobs.settled(60)
        assert any(word in fast.explain() for word in words), fast.explain()


def test_what_is_wrong_is_not_used(monkeypatch, caplog):
    def wrong(*args):
        made = uncompiled(*args)
        return lambda *xs: [y * 1.01 if y.is_floating_point() else y for y in made(*xs)]

    monkeypatch.setattr(executor, "compiled", wrong)
    fast = gl.dlaccelerate(penalty, executor="inductor")
    with caplog.at_level(logging.WARNING, logger="gradloom"):
        for _ in range(8):
            xs = given(rng)
            close(gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs))
    assert "replay: " in fast.explain() and "inductor gave other numbers than rounding explains and is not used" in fast.explain()
    assert "gave other numbers" in caplog.text


def test_results_that_lie_otherwise_are_not_used(monkeypatch):
    monkeypatch.setattr(executor, "compiled", lambda *args: lambda *xs: [(max(xs, key=torch.numel) * 2).mT.contiguous().mT])
    fast = gl.dlaccelerate(lambda x: x * 2, executor="inductor")
    for _ in range(8):
        fast(gl.dlarray(rng.normal(size=(3, 4))))
    assert "replay: " in fast.explain() and "lie otherwise in memory" in fast.explain()


@pytest.mark.parametrize("way", ["refused", "broken"])
def test_what_cannot_be_compiled_is_replayed(monkeypatch, way):
    def broken(*args):
        raise NotInductor("too long") if way == "refused" else RuntimeError("g++ says no")

    monkeypatch.setattr(executor, "compiled", broken)
    fast = gl.dlaccelerate(penalty, executor="inductor")
    for _ in range(7):
        xs = given(rng)
        close(gl.dlfeval(fast, *xs), gl.dlfeval(penalty, *xs))
    assert "replay: " in fast.explain()
    assert ("inductor: too long" if way == "refused" else "inductor could not compile it (g++ says no)") in fast.explain()


def test_what_it_does_not_take_says_so():
    fast = gl.dlaccelerate(lambda x: x + gl.rand(50), executor="inductor")
    for _ in range(6):
        fast(gl.dlarray(rng.normal(size=50)))
    assert "replay: " in fast.explain() and "inductor: random numbers are drawn" in fast.explain()


def test_without_a_compiler_everything_is_replayed(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    lacking.cache_clear()
    try:
        fast = gl.dlaccelerate(penalty, executor="inductor")
        for _ in range(6):
            gl.dlfeval(fast, *given(rng))
        assert "replay: " in fast.explain()
        assert "inductor needs a C++ compiler (no-such-compiler), which is not found" in fast.explain()
    finally:
        lacking.cache_clear()


def test_an_index_outside_is_the_plain_call_and_its_error(without_compiler):
    fast = gl.dlaccelerate(lambda x, k: gl.sum(x[k] ** 2), executor="inductor")
    x = gl.dlarray(rng.normal(size=5))
    for k in range(9):
        fast(x, gl.dlarray([k % 5, 1], dtype="int64"))
    assert "  inductor: " in fast.explain()
    with pytest.raises((IndexError, gl.GradloomError), match="7"):
        fast(x, gl.dlarray([7, 1], dtype="int64"))
    assert float(fast(x, gl.dlarray([2, 1], dtype="int64"))) == pytest.approx(float(x[2] ** 2 + x[1] ** 2))


def test_threads_with_one_function(without_compiler):
    fast = gl.dlaccelerate(penalty, executor="inductor")
    assert not wrong_in_threads(fast, rng, 6) and "  inductor: " in fast.explain()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_waits_for_nothing(monkeypatch):
    """It has no thread that would make what its parent waits for."""
    go_on = threading.Event()
    monkeypatch.setattr(executor, "compiled", lambda *args: go_on.wait(60) and uncompiled(*args))
    fast = gl.dlaccelerate(penalty, executor="inductor")
    for _ in range(4):
        gl.dlfeval(fast, *given(rng))
    with pytest.warns(DeprecationWarning) if sys.version_info >= (3, 12) else contextlib.nullcontext():
        child = os.fork()
    if not child:
        answer = 1
        try:
            close(gl.dlfeval(fast, *(xs := given(rng))), gl.dlfeval(penalty, *xs))
            answer = int("when this process began" not in fast.explain())
        finally:
            os._exit(answer)
    assert os.waitpid(child, 0)[1] == 0
    go_on.set()
    gl.dlfeval(fast, *given(rng))
    assert "compiled in" in fast.explain()


def test_what_is_let_go_is_forgotten_and_what_is_loaded_is_counted(monkeypatch):
    made = []

    def kept(*args):
        module = uncompiled(*args)
        made.append(weakref.ref(module))
        return module

    monkeypatch.setattr(executor, "compiled", kept)
    monkeypatch.setattr(executor, "_loaded", [])
    monkeypatch.setattr(executor, "MOST", 3)
    for k in range(4):
        fast = gl.dlaccelerate(penalty, executor="inductor")
        for _ in range(7):
            gl.dlfeval(fast, *given(rng))
        assert ("this process has loaded 3 functions" in fast.explain()) == (k == 3)
    del fast
    gc.collect()
    assert len(made) == 3 and not any([ref() for ref in made])


# ----- with the compiler -----


@pytest.mark.slow
@needs_compiler
def test_a_program_is_compiled(monkeypatch):
    """Products with a factor, which torch's compiler forgets where it is given them as they are; guards, indices, sums."""
    monkeypatch.setattr(process, "LONGEST", 1e4)

    def fun(v, c, x, k):
        product = v - 0.01 * (c.mT @ x)
        y = gl.sum(gl.tanh(product) ** 2)
        return y, gl.dlgradient(y, v, c), product[k], product

    fast = gl.dlaccelerate(fun, executor="inductor")
    for n in range(8):
        xs = [gl.dlarray(rng.normal(size=s).astype(np.float32)) for s in ((20, 70), (9, 20), (9, 70))]
        k = gl.dlarray([n, 0], dtype="int64")
        found, expected = gl.dlfeval(fast, *xs, k), gl.dlfeval(fun, *xs, k)
        for a, b in zip((found[0], *found[1], *found[2:]), (expected[0], *expected[1], *expected[2:]), strict=True):
            np.testing.assert_allclose(gl.extractdata(a), gl.extractdata(b), rtol=1e-4, atol=1e-5)
    assert "  inductor: " in fast.explain() and "compiled in" in fast.explain(), fast.explain()
    with pytest.raises((IndexError, gl.GradloomError)):
        gl.dlfeval(fast, *xs, gl.dlarray([20, 0], dtype="int64"))


COMPILED = {"one array": ONE, "two arrays": TWO}


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("which", COMPILED)
def test_functions_at_special_values_compiled(which, dtype):
    x = special(dtype, rng)
    if which == "two arrays" and dtype is torch.float32:
        x = x[x != 1e20]  # a product with it overflows before it is added, or does not: as kernels join the two
    xs = (x,) if which == "one array" else (x[:, None].expand(-1, len(x)).contiguous(), x[None].expand(len(x), -1).contiguous())
    its = COMPILED[which]
    program, run = heard(lambda *xs: tuple([f(*xs) for f in its.values()]), *xs)
    for name, a, b in zip(its, run(*xs), straight(program)(*xs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4 if dtype is torch.float32 else 1e-9, atol=1e-29, equal_nan=True, msg=lambda m, name=name: f"{name}: {m}")


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_chains_compiled(seed):
    fun, xs = chain(100 + seed)
    expected, found = both(fun, *xs)
    assert_same(found, expected, 1e5, torch.tensor(1.0))


PROGRAM = """
import os, signal, sys, threading, time, numpy as np, gradloom as gl
from gradloom.acceleration.inductor import jobs, process
def fun(x):
    for k in range(40):
        x = gl.tanh(x * (1 + k) + gl.cumsum(x * k))
    return gl.sum(x)
fast = gl.dlaccelerate(fun, executor="inductor")
for k in range(4):
    fast(gl.dlarray(np.ones(40) * k))
assert jobs.thread is not None, "nothing is being compiled"
time.sleep(float(sys.argv[2]))
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "forget":
    del fast
    assert jobs.settled(20)
"""


def of_process(folder):
    """The processes whose temporary folder this is."""
    found = []
    for place in os.listdir("/proc"):
        try:
            with open(f"/proc/{place}/environ", "rb") as file:
                if place.isdigit() and str(folder).encode() in file.read():
                    found.append(int(place))
        except OSError:
            continue
    return found


@needs_compiler
@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are looked up in /proc")
@pytest.mark.parametrize("seconds", [0.5, 8.0])
@pytest.mark.parametrize("way", ["end", "kill", "forget"])
def test_a_process_that_ends_takes_its_compiler_along(tmp_path, way, seconds):
    """It waits for nothing, and leaves nothing but torch's own folder."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "torch")}
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM, way, str(seconds)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == (-9 if way == "kill" else 0), done.stderr
    assert time.monotonic() - start < seconds + 60 and not done.stderr
    for _ in range(300):  # the machine may be busy
        if not of_process(tmp_path):
            break
        time.sleep(0.1)
    assert not of_process(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] in ([], ["torch"])


@needs_compiler
@pytest.mark.slow
def test_compiling_has_an_end_and_errors_say_what_the_compiler_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    program = recorded(lambda x: torch.tanh(x) * 2, torch.ones(3))
    hearing = Heard(program)
    hearing(torch.ones(3))
    monkeypatch.setattr(process, "LONGEST", 0.3)
    with pytest.raises(NotInductor, match="takes longer than"):
        hearing.function(False, lambda: True)
    monkeypatch.setattr(process, "LONGEST", 600.0)
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(process.NotCompiled, match="ompiler"):
        hearing.function(False, lambda: True)
