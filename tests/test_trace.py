"""interface.md 1.1, 1.2, 1.7, 6.2 and design 3: what dlfeval traces, what it hands over, and that nothing of it stays."""
import collections
import contextlib
import dataclasses
import functools
import gc
import inspect
import os
import sys
import threading
import types
import weakref

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core.trace import Node, Trace, ancestors, current_trace

Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass
class Point:
    x: object
    name: str = "p"


@dataclasses.dataclass(frozen=True)
class Frozen:
    inner: object
    points: list


def nodes_alive():
    gc.collect()
    return [o for o in gc.get_objects() if type(o) in (Node, Trace)]


@pytest.fixture(autouse=True)
def no_trace_is_left():
    assert current_trace() is None
    yield
    assert current_trace() is None


# ----- what is traced (1.2) -------------------------------------------------------------------------------------------

x0 = gl.dlarray([1.0, 2.0], "C")
CONTAINERS = {
    "alone": x0, "list": [x0, None], "tuple": (x0, [x0]), "named tuple": Pair(x0, [x0]), "dict": {"b": x0, "a": (x0, "text")}, "dataclass": Point(x0),
    "frozen": Frozen(x0, [Point(x0), None]), "nested": {"z": [(Pair(x0, Point(x0)),)], "k": {}}, "proxy": types.MappingProxyType({"w": x0}),
    "ordered": collections.OrderedDict(b=x0, a=x0), "default": collections.defaultdict(list, {"q": x0}), "deque": collections.deque([x0]),
}


def leaves_of(tree):
    if isinstance(tree, gl.dlarray):
        return [tree]
    if dataclasses.is_dataclass(tree):
        tree = [getattr(tree, f.name) for f in dataclasses.fields(tree)]
    if isinstance(tree, collections.abc.Mapping):
        tree = tree.values()
    return [leaf for part in tree for leaf in leaves_of(part)] if isinstance(tree, collections.abc.Iterable) and not isinstance(tree, str) else []


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_go_in_and_come_out(name):
    tree = CONTAINERS[name]

    def fun(tree):
        leaves = leaves_of(tree)
        assert leaves and all(leaf.traced and leaf.dims == "C" for leaf in leaves)
        return tree, dlgradients(leaves, tree)

    def dlgradients(leaves, tree):
        y = gl.sum(gl.stack([k * gl.sum(leaf ** 2) for k, leaf in enumerate(leaves, 1)]))
        return gl.dlgradient(y, tree)

    back, slopes = gl.dlfeval(fun, tree)
    assert type(back) is type(tree) is type(slopes)
    assert not any(leaf.traced for leaf in leaves_of(tree) + leaves_of(back) + leaves_of(slopes))
    assert [leaf.tolist() for leaf in leaves_of(back)] == [[1, 2]] * len(leaves_of(tree))
    total = sum(range(1, len(leaves_of(tree)) + 1))  # every leaf is the same place, and so one variable
    assert all(np.allclose(leaf, [2 * total, 4 * total]) and leaf.dims == "C" for leaf in leaves_of(slopes))
    if isinstance(tree, dict):
        assert list(back) == list(tree) == list(slopes)


def test_a_table_of_learnables_is_a_container():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"Layer": ["fc", "fc"], "Parameter": ["weights", "bias"], "Value": [gl.dlarray([1.0, 2.0]), gl.dlarray(3.0)], "more": [1, 2]})

    def fun(table):
        w, b = table["Value"]
        assert w.traced
        return gl.dlgradient(gl.sum(w) * b, table)

    slopes = gl.dlfeval(fun, table)
    assert list(slopes["Layer"]) == ["fc", "fc"] and list(slopes["Parameter"]) == ["weights", "bias"] and list(slopes["more"]) == [1, 2]
    assert [g.tolist() for g in slopes["Value"]] == [[3, 3], 3] and not table["Value"][0].traced


def test_arguments_by_name_and_constants():
    def fun(a, *rest, b, c=None, **more):
        assert a.traced and b.traced and c is None and rest[0].traced and more["d"].traced
        assert not any(getattr(v, "traced", False) for v in (more["n"], more["t"], more["s"], more["i"], more["m"]))
        assert isinstance(more["n"], np.ndarray) and isinstance(more["t"], torch.Tensor) and more["f"] is len
        return gl.dlgradient(a * rest[0] * b * more["d"], a, rest[0], b, more["d"])

    slopes = gl.dlfeval(fun, gl.dlarray(1.0), gl.dlarray(2.0), b=gl.dlarray(3.0), d=gl.dlarray(4.0), n=np.ones(2), t=torch.ones(2), s="s",
                        i=gl.dlarray([1], dtype="int64"), m=gl.dlarray([True]), f=len)
    assert [float(g) for g in slopes] == [24, 12, 8, 6]
    assert gl.dlfeval(lambda function: function * 2, function=gl.dlarray(1.0)).item() == 2  # dlfeval's own names are positional


def test_whatever_the_function_returns_comes_back():
    sentinel = object()
    for value in (None, 3, "text", sentinel, [sentinel, {"a": None}], np.ones(2)):
        assert gl.dlfeval(lambda x, value=value: value, x0) is value or value == [sentinel, {"a": None}]
    y, (z, [w]) = gl.dlfeval(lambda x: (x + 1, (x * 2, [x])), x0)
    assert not (y.traced or z.traced or w.traced) and y.dims == "C"
    assert gl.dlfeval(max, [gl.dlarray(1.0), gl.dlarray(3.0)]).item() == 3


def test_the_same_place_is_one_variable():
    def fun(x, again, stripped, relabelled, copied, other):
        assert x is not again and x.dims == "C" and stripped.dims == "" and relabelled.dims == "B"
        y = gl.sum(gl.stripdims(x) * gl.stripdims(again) + stripped ** 2 + gl.stripdims(relabelled) * gl.stripdims(copied) + other)
        return gl.dlgradient(y, x, again, stripped, relabelled, copied, other)

    slopes = gl.dlfeval(fun, x0, x0, gl.stripdims(x0), gl.dlarray(x0, "B"), x0.copy(), gl.dlarray([1.0, 2.0]))
    for g, labels in zip(slopes[:5], ["C", "C", "", "B", "C"]):
        assert g.tolist() == [6, 12] and g.dims == labels
    assert slopes[5].tolist() == [1, 1]


HANDLES = {"stripdims": gl.stripdims, "relabel": lambda x: gl.dlarray(x, "B"), "copy": lambda x: x.copy(), "index": lambda x: x[...], "full": lambda x: x[:],
           "permute": lambda x: gl.permute_dims(x, (0,)), "astype": lambda x: x.astype("float64"), "layout": lambda x: gl.stripdims(x, "C")}


@pytest.mark.parametrize("name", HANDLES)
def test_a_new_handle_is_the_same_place(name):
    def fun(x):
        before, y = HANDLES[name](x), gl.sum(x ** 3)
        after = HANDLES[name](x)
        hidden = gl.relu(x)
        return gl.dlgradient(y, before, after, x), gl.dlgradient(gl.sum(hidden ** 2), HANDLES[name](hidden)), after.dims

    slopes, inner, labels = gl.dlfeval(fun, x0)
    assert [g.tolist() for g in slopes] == [[3, 12]] * 3 and inner.tolist() == [2, 4] and slopes[0].dims == labels


def test_moving_axes_is_an_operation():
    def fun(x):
        moved = gl.stripdims(x, "CB")
        y = gl.sum(x ** 2)
        with pytest.raises(gl.TraceError, match="does not depend on the target computed in test_trace.py"):
            gl.dlgradient(y, moved)
        return gl.dlgradient(gl.sum(moved ** 2), moved)

    assert gl.dlfeval(fun, gl.dlarray([[1.0, 2.0, 3.0]], "BC")).shape == (3, 1)


@pytest.mark.parametrize("bad", [3, None, "text", x0])
def test_dlfeval_needs_a_function(bad):
    with pytest.raises(gl.TypeRefused, match=r"dlfeval\(fun, x, ...\)"):
        gl.dlfeval(bad, x0)


def test_functions_that_run_later_are_refused():
    started = []

    def generator(x):
        started.append(1)
        yield x

    async def coroutine(x):
        started.append(1)

    async def stream(x):
        yield x

    later = (generator, coroutine, stream, lambda x: generator(x), lambda x: coroutine(x), lambda x: stream(x), functools.partial(coroutine))
    for bad in (*later, lambda x: (e for e in [x]), lambda x: {"y": [(e for e in [x])]}):
        with pytest.raises(gl.TypeRefused, match="after the trace has ended"):
            gl.dlfeval(bad, x0)
    assert not started


# ----- a trace inside a trace (design 3) ------------------------------------------------------------------------------------


def test_nested_dlfeval_does_not_confuse_perturbations():
    def outer(x):
        slope = gl.dlfeval(lambda y: gl.dlgradient(x + y, y, enable_higher_derivatives=True), gl.dlarray(1.0))
        return gl.dlgradient(x * slope, x)

    assert gl.dlfeval(outer, gl.dlarray(1.0)).item() == 1  # not 2

    def mixed(x):  # d/dx of x * d/dy (x y^2 at y = x) = d/dx of 2 x^3
        slope = gl.dlfeval(lambda y: gl.dlgradient(x * y ** 2, y, enable_higher_derivatives=True), x)
        return gl.dlgradient(x * slope, x)

    assert gl.dlfeval(mixed, gl.dlarray(3.0)).item() == 6 * 9

    def three(x):
        inner = gl.dlfeval(lambda y: gl.dlfeval(lambda z: gl.dlgradient(x * y * z ** 2, z, enable_higher_derivatives=True), y), x)
        return inner, gl.dlgradient(inner, x)

    value, slope = gl.dlfeval(three, gl.dlarray(2.0))
    assert (value.item(), slope.item()) == (2 * 8, 6 * 4)


def test_results_of_a_nested_dlfeval_stay_traced():
    def outer(x):
        y = gl.dlfeval(lambda z: {"y": z ** 2}, x)["y"]
        assert y.traced and x.traced
        inner = gl.dlfeval(lambda c: c * 2, gl.dlarray(5.0))
        return gl.dlgradient(y + inner, x), y

    slope, y = gl.dlfeval(outer, gl.dlarray(3.0))
    assert slope.item() == 6 and not y.traced and current_trace() is None


def test_arrays_of_two_threads_do_not_mix():
    inside, done, errors = threading.Event(), threading.Event(), []
    held = []

    def one():
        def fun(x):
            held.append(x)
            inside.set()
            done.wait(10)
            return gl.dlgradient(x ** 2, x)

        held.append(gl.dlfeval(fun, gl.dlarray(3.0)).item())

    thread = threading.Thread(target=one)
    thread.start()
    inside.wait(10)
    assert current_trace() is None  # traces belong to threads
    for act in (lambda y: held[0] * y, lambda y: gl.stack([y, held[0]]), lambda y: gl.dlgradient(y, held[0])):
        with pytest.raises(gl.TraceError, match="test_trace.py") as caught:
            gl.dlfeval(act, gl.dlarray(1.0))
        errors.append(str(caught.value))
    assert "same dlfeval" in errors[0] and gl.dlfeval(lambda y: gl.dlgradient(y ** 3, y), gl.dlarray(2.0)).item() == 12
    done.set()
    thread.join()
    assert held[1] == 6 and not held[0].traced


def test_threads_in_parallel():
    results = {}

    def work(k):
        for n in range(20):
            results[k, n] = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.exp(x) * k), x), gl.dlarray([0.0, 0.0])).tolist()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 80 and all(value == [k, k] for (k, _), value in results.items())


# ----- escape, failure, memory (1.7, 6.2) --------------------------------------------------------------------------------------


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
    gc.collect()
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
    assert not nodes_alive()


def test_a_failed_call_leaves_nothing_and_changes_nothing():
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
    assert not nodes_alive()

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
