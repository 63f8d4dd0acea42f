"""interface.md 1.7, 6.2 and design 3: what escapes, what fails, and that nothing of a trace stays."""
import collections
import contextlib
import gc
import inspect
import os
import platform
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from processes import run_forked

import gradloom as gl
from gradloom.core.trace import Node, Trace, ancestors, current_trace


def nodes_alive(but=()):
    """Nodes and traces that are alive, but for those that were before: NumPy keeps the operand of a `reduceat` that was refused for ever."""
    gc.collect()
    known = {id(o) for o in but}
    return [o for o in gc.get_objects() if type(o) in (Node, Trace) and id(o) not in known]


@pytest.fixture(autouse=True)
def no_trace_is_left():
    assert current_trace() is None
    yield
    assert current_trace() is None


def test_what_escapes_is_an_ordinary_array():
    history = []

    def fun(x):
        history.extend([x, x ** 2, {"y": gl.exp(x)}, gl.dlgradient(gl.sum(x ** 2), x, enable_higher_derivatives=True)])
        return None

    gl.dlfeval(fun, gl.dlarray([1.0, 2.0]))
    for y in (history[0], history[1], history[2]["y"], history[3]):
        assert not y.traced and np.asarray(y).shape == (2,) and (y + 1).tolist() == (np.asarray(y) + 1).tolist()
        y[0] = 0.0
    assert gl.dlfeval(lambda z: gl.dlgradient(gl.sum(z * history[1]), z), gl.dlarray([0.0, 0.0])).tolist() == [0, 4]  # a constant there
    assert gl.dlfeval(lambda z: gl.dlgradient(gl.sum(z ** 2), z), history[1]).tolist() == [0, 8]  # or a variable


def test_after_dlfeval_nothing_of_the_trace_is_alive():
    before = nodes_alive()
    gc.disable()
    try:
        watched, kept = [], []

        def fun(x, w):
            y = gl.relu(x @ w)
            for value in (y, y * 2, gl.sum(y)):
                watched.append(weakref.ref(value._node))
                watched.append(weakref.ref(value._value))
            watched.append(weakref.ref(x._node.trace))
            g = gl.dlgradient(gl.sum(y ** 2), w, enable_higher_derivatives=True)
            h = gl.dlgradient(gl.sum(g ** 2), w)
            kept.append(gl.exp(gl.sum(y)))
            return g, h

        result = gl.dlfeval(fun, gl.dlarray(np.ones((2, 3))), gl.dlarray(np.ones((3, 4))))
        assert all(reference() is None for reference in watched if not isinstance(reference(), Trace))
        node = kept[0]._node
        assert node is None or not node.parents and not node.values and not node.params
        assert not any(r.traced for r in result)
        del kept[:], node
        assert all(reference() is None for reference in watched)
    finally:
        gc.enable()
    assert not nodes_alive(before)


def test_a_failed_call_leaves_nothing_and_changes_nothing():
    before = nodes_alive()
    x, tree = gl.dlarray([1.0, 2.0]), {"a": gl.dlarray(1.0)}

    def fail(error):
        def fun(x, tree):
            tree["a"] = x[0]
            x[0] = 9.0
            tree["b"] = gl.dlfeval(lambda z: z * 2, x)
            raise error

        return fun

    for error in (KeyError("k"), KeyboardInterrupt(), SystemExit(), GeneratorExit(), gl.TraceError("t")):
        with pytest.raises(type(error)):
            gl.dlfeval(fail(error), x, tree)
        assert current_trace() is None and x.tolist() == [1, 2] and set(tree) == {"a"} and tree["a"].item() == 1
    assert not x.traced
    del error
    assert not nodes_alive(before)

    def recovers(x):
        y = x ** 2
        for bad in (lambda: gl.dlgradient(y, x), lambda: gl.dlgradient(gl.sum(y), 3), lambda: y @ gl.dlarray(np.ones((3, 3))), lambda: y[5],
                    lambda: gl.dlfeval(fail(ValueError()), y, {})):
            with contextlib.suppress(gl.GradloomError, IndexError, ValueError):
                bad()
                raise AssertionError("no error")
        return gl.dlgradient(gl.sum(y), x)

    assert gl.dlfeval(recovers, x).tolist() == [2, 4]


def test_an_interrupt_anywhere_leaves_no_trace_open():
    """Ctrl-C on every line that dlfeval runs before its `finally`."""
    lines, first = inspect.getsourcelines(gl.dlfeval)
    end = first + next(k for k, line in enumerate(lines) if line.strip() == "finally:")
    x, count, hit = gl.dlarray([1.0, 2.0]), [0], []

    def fun(x):
        return gl.dlgradient(gl.sum(x ** 2), x)

    def at(limit):
        def tracer(frame, event, argument):
            if event == "line" and (frame.f_code is not gl.dlfeval.__code__ or frame.f_lineno < end) and not set_back(frame):
                count[0] += 1
                if count[0] == limit:
                    hit.append(limit)
                    raise KeyboardInterrupt
            return tracer

        return tracer

    def set_back(frame):  # what the `finally` itself calls
        while frame is not None and frame.f_code is not gl.dlfeval.__code__:
            frame = frame.f_back
        return frame is not None and frame.f_lineno >= end

    before = sys.gettrace()
    for limit in range(1, 10_000):
        count[0] = 0
        sys.settrace(at(limit))
        try:
            gl.dlfeval(fun, x)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert current_trace() is None and gc.isenabled() and not x.traced
        if not hit or hit[-1] != limit:
            break
    assert 50 < limit < 10_000 and gl.dlfeval(fun, x).tolist() == [2, 4]


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_ten_thousand_calls_do_not_grow_the_process():
    history = collections.deque(maxlen=1)
    x = gl.dlarray(np.ones(100))

    def fun(x):
        y = gl.sum(gl.exp(x[1:] - x[:-1]) * x[0])
        history.append(y)
        return gl.dlgradient(y, x)

    def calls(count):
        for _ in range(count):
            gl.dlfeval(fun, x)

    calls(500)
    before, objects = resident(), len(gc.get_objects())
    calls(10_000)
    assert resident() - before < 4e6 and len(gc.get_objects()) - objects < 200


def test_what_nobody_needs_is_freed_while_the_function_runs():
    alive = []

    def fun(x):
        y = x
        for _ in range(50):
            gl.exp(x)  # nobody keeps it
            alive.append(weakref.ref(gl.exp(x)._node))
        y = y * 2
        assert sum(r() is not None for r in alive) <= 1
        trace = y._node.trace
        for _ in range(20_000):
            y * 2
        assert len(trace.nodes) < 10_000  # the list of references is pruned
        return y

    gl.dlfeval(fun, gl.dlarray(1.0))


def test_a_long_loop_neither_overflows_the_stack_nor_is_quadratic():
    visited = {"pull": 0, "made": 0}
    step = gl.multiply.operation

    def fun(x, n):
        y = x
        for _ in range(n):
            y = y * 1.0001
        raw = step.raw_pulls
        step.raw_pulls = [counted(rule) for rule in raw]
        try:
            g = gl.dlgradient(y, x)
        finally:
            step.raw_pulls = raw
        again = gl.dlgradient(y * y, x, enable_higher_derivatives=True)  # after what was used was dropped: computed again
        return g, again, y._node.number, len(ancestors([y._node]))

    def counted(rule):
        def run(*args):
            visited["pull"] += 1
            return rule(*args)

        return run

    n = 10_000
    limit = sys.getrecursionlimit()
    g, again, made, seen = gl.dlfeval(fun, gl.dlarray(1.0), n)
    assert np.isclose(g.item(), 1.0001 ** n) and np.isclose(again.item(), 2 * 1.0001 ** (2 * n))
    assert visited["pull"] == n and seen == n + 1 and made <= n + 1 and sys.getrecursionlimit() == limit


def test_a_walk_costs_what_leads_to_y():
    def fun(x):
        for _ in range(1000):
            gl.exp(x)
        others = [gl.exp(x) for _ in range(1000)]
        y = x * x
        assert len(ancestors([y._node])) == 2
        return gl.dlgradient(y, x), others

    assert gl.dlfeval(fun, gl.dlarray(3.0))[0].item() == 6


CALLS = """
import resource, sys, torch, gradloom
print(gradloom.keep_memory() if "keep" in sys.argv else False)
def call():
    arrays = [torch.zeros(1 << 20) for _ in range(8)]  # 4 MB each
    return sum(len(a) for a in arrays)
for _ in range(5):
    call()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    call()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 10)
"""


def plain_environment():
    """Without words about memory."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_", "GRADLOOM_"))}


GLIBC = pytest.mark.skipif(not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc",
                           reason="it is glibc that is asked to keep memory")


@GLIBC
def test_memory_that_arrays_gave_back_is_used_again():
    def faults(*words, **changed):
        environment = plain_environment() | changed
        if any(name.startswith("MALLOC_") for name in changed):  # which is read when a process begins
            said = subprocess.run([sys.executable, "-c", CALLS, *words], env=environment, capture_output=True, text=True, check=True).stdout
        else:
            said = run_forked(CALLS, *words, environment=environment)[1]
        kept, count = said.split()
        return kept == "True", int(count)

    kept, count = faults("keep")
    assert kept and count < 500
    small = {"MALLOC_TRIM_THRESHOLD_": "100000", "MALLOC_MMAP_THRESHOLD_": "100000"}
    kept, count = faults("keep", **small)
    assert not kept and count > 2000  # the user's word
    assert faults("keep", GRADLOOM_KEEP_MEMORY="0")[0] is False


@GLIBC
def test_importing_the_library_leaves_the_allocator_alone():
    program = """
import ctypes, sys
asked = []
plain = ctypes.CDLL
class Watched:
    def __init__(self, *args): self.library = plain(*args)
    def __getattr__(self, name):
        if name == "mallopt": asked.append(name)
        return getattr(self.library, name)
ctypes.CDLL = lambda *args, **options: Watched(*args) if args == (None,) else plain(*args, **options)
import gradloom
before = len(asked)
gradloom.keep_memory()
print(before, len(asked))
"""
    done = subprocess.run([sys.executable, "-c", program], env=plain_environment(), capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before == 0 < after


HISTORY = """
import os, gradloom as gl
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1000
def grown(keep, container):
    if keep:
        gl.keep_memory()
    x = gl.rand((200, 1000), dtype="float64")  # 1.6 MB
    def step(w, x):
        y = gl.tanh(x * w)
        loss = gl.mean((y * y - 0.5) ** 2)
        return {"loss": loss, "gradient": gl.dlgradient(loss, w)} if container else (loss, gl.dlgradient(loss, w))
    w, history = gl.dlarray(1.0), []
    for k in range(120):
        if k == 20:
            before = resident()
        found = gl.dlfeval(step, w, x)
        loss, gradient = found.values() if isinstance(found, dict) else found
        w = w - 0.01 * gradient
        history.append(loss)
    assert len({loss.item() for loss in history}) == len(history)
    return resident() - before
for case in ((True, False), (True, True), (False, False)):  # each in a process of its own
    child = os.fork()
    if not child:
        print(grown(*case), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@GLIBC
def test_a_history_of_losses_keeps_the_losses_alone():
    code, said = run_forked(HISTORY, environment=plain_environment())
    assert code == 0, said
    grown = [float(line) for line in said.split()]
    assert len(grown) == 3, said
    assert max(grown) < 20, grown  # MB; 160 where each loss keeps an array's room


def test_results_of_one_number_are_numbers_of_their_own():
    kept = []
    for shape in ((), (1,), (1, 1)):
        for dtype in ("float32", "float64", "complex64", "int64", "bool"):
            for value in (0, 1):
                x = gl.full(shape, value, dtype=dtype)
                kept += [(value, x, y) for y in (gl.dlfeval(lambda x: x, x), *gl.dlfeval(lambda x: (x, [x]), x)[:1],
                                                 *gl.dlfeval(lambda x: (x, x), x))]
    for value, x, y in kept:
        assert y.shape == x.shape and y.dtype is x.dtype and not y.traced and (np.asarray(y) == value).all()


def test_torch_may_keep_a_result_while_others_are_made():
    square = lambda x: gl.sum(x * x)
    kept = gl.dlfeval(square, gl.dlarray([1.0, 2.0]))._value
    t = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    y = t * kept
    again = gl.dlfeval(square, gl.dlarray([1.0, 5.0]))
    y.backward()
    assert float(t.grad) == 5 and float(again) == 26
