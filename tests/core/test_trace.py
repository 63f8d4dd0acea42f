"""interface.md 1.1, 1.2 and design 3: what dlfeval traces, what it hands over, traces inside traces and beside each other."""
import collections
import dataclasses
import functools
import threading
import types

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core.trace import current_trace

Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass
class Point:
    x: object
    name: str = "p"


@dataclasses.dataclass(frozen=True)
class Frozen:
    inner: object
    points: list


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
    for k, leaf in enumerate(leaves_of(slopes), 1):  # every leaf holds the same array, and each place is a variable of its own
        assert np.allclose(leaf, [2 * k, 4 * k]) and leaf.dims == "C"
    if isinstance(tree, dict):
        assert list(back) == list(tree) == list(slopes)


def test_each_place_in_the_arguments_is_a_variable_of_its_own():
    x = gl.dlarray([1.0, 2.0])
    assert gl.dlfeval(lambda a, b: gl.dlgradient(gl.sum(a * b), a), x, x).tolist() == [1, 2]
    assert [g.tolist() for g in gl.dlfeval(lambda a, b: gl.dlgradient(gl.sum(a * b ** 2), a, b), x, x)] == [[1, 4], [2, 8]]
    slopes = gl.dlfeval(lambda tree: gl.dlgradient(gl.sum(tree["a"] * tree["b"][0]), tree), {"a": x, "b": [x]})
    assert slopes["a"].tolist() == slopes["b"][0].tolist() == [1, 2]
    inner = gl.dlfeval(lambda x: gl.dlfeval(lambda a, b: gl.dlgradient(gl.sum(a * b), a), x, x), x)  # nested as well
    assert inner.tolist() == [1, 2]
    through = gl.dlfeval(lambda x: gl.dlgradient(gl.dlfeval(lambda a, b: gl.sum(a * b), x, x), x), x)  # of what both come from, the sum
    assert through.tolist() == [2, 4]
    assert gl.dlfeval(lambda a, b: gl.dlgradient(gl.sum(a * gl.stripdims(a) * b), a), x, x).tolist() == [2, 8]  # one variable used twice


def test_a_target_network_is_a_constant():
    net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(1, name="fc")])
    observed, later = gl.dlarray([[1.0, -1.0], [0.5, 2.0]], "BC"), gl.dlarray([[0.3, 0.4], [-1.0, 1.5]], "BC")

    def loss(net, target):
        error = net(observed) - (1.0 + 0.9 * target(later))
        return gl.dlgradient(gl.sum(error ** 2), net.learnables)

    twice, copied = gl.dlfeval(loss, net, net), gl.dlfeval(loss, net, net.replace(learnables=dict(net.learnables)))
    constant = gl.dlfeval(lambda n: loss(n, net), net)
    for key in net.learnables:
        assert np.array_equal(twice[key], constant[key]) and np.array_equal(twice[key], copied[key])


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


def test_handles_to_one_array_in_several_places_are_several_variables():
    def fun(x, again, stripped, relabelled, copied, other):
        assert x is not again and x.dims == "C" and stripped.dims == "" and relabelled.dims == "B"
        y = gl.sum(gl.stripdims(x) * gl.stripdims(again) + stripped ** 2 + gl.stripdims(relabelled) * gl.stripdims(copied) + other)
        return gl.dlgradient(y, x, again, stripped, relabelled, copied, other)

    slopes = gl.dlfeval(fun, x0, x0, gl.stripdims(x0), gl.dlarray(x0, "B"), x0.copy(), gl.dlarray([1.0, 2.0]))
    expected = [[1, 2], [1, 2], [2, 4], [1, 2], [1, 2], [1, 1]]
    for g, labels, its in zip(slopes, ["C", "C", "", "B", "C", ""], expected):
        assert g.tolist() == its and g.dims == labels


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
