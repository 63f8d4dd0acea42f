"""What a function can read or change besides its arguments: the accelerated one gives the plain result, or is the plain one."""

from __future__ import annotations

import collections
import contextvars
import functools
import importlib
import itertools
import random
import sys
import threading
import time
import types

import numpy as np
import pytest
import torch

import gradloom as gl

SCALE, HISTORY, SETTINGS, TABLE, WEIGHTS = 2.0, [], {"k": 3.0}, np.ones(2), gl.dlarray([1.0, 1.0])


class Model:
    factor = 1.0

    def __init__(self):
        self.rate, self.weights, self.calls = 2.0, gl.dlarray([1.0, 2.0]), 0

    def step(self, x):
        return x * self.rate * self.factor + self.weights

    def counting(self, x):
        self.calls += 1
        return x * self.calls

    @property
    def double(self):
        return 2 * self.rate


class Slotted:
    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 2.0


def helper(x):
    return x * SCALE


def closures():
    count, scale = 0.0, [2.0]

    def counter(x):
        nonlocal count
        count += 1
        return x * count

    return counter, (lambda x: x * scale[0]), scale


def assign(name, value):
    globals()[name] = value


def with_default(x, k=[2.0]):  # noqa: B006
    return x * k[0]


def with_named_default(x, *, k=2.0):
    return x * k


class Cached:
    rate = 2.0

    @functools.cached_property
    def double(self):
        return 2 * self.rate


model, slotted, cached = Model(), Slotted(), Cached()
counter, listed, scale = closures()


def appended(x):
    HISTORY.append(1)
    return x * 2


def change_default():
    with_named_default.__kwdefaults__["k"] = with_named_default.__kwdefaults__["k"] + 1


# name: the function, what changes outside in the middle of the calls, whether it is replayed at all (None: either)
CASES = {
    "global number": (lambda x: x * SCALE, lambda: assign("SCALE", SCALE + 1), True),
    "global of a helper": (lambda x: helper(x), lambda: assign("SCALE", SCALE + 1), True),
    "entry of a dict": (lambda x: x * SETTINGS["k"], lambda: SETTINGS.update(k=SETTINGS["k"] + 1), True),
    "list around it": (listed, lambda: scale.append(scale.pop() + 1), True),
    "mutable default": (with_default, lambda: with_default.__defaults__[0].append(with_default.__defaults__[0].pop() + 1), True),
    "keyword default": (with_named_default, change_default, True),
    "attribute of an object": (lambda x: model.step(x), lambda: setattr(model, "rate", model.rate + 1), True),
    "attribute of a class": (lambda x: model.step(x), lambda: setattr(Model, "factor", Model.factor + 1), True),
    "cached property": (lambda x: x * cached.double, lambda: setattr(cached, "double", cached.double + 1), True),
    "property": (lambda x: x * model.double, lambda: setattr(model, "rate", model.rate + 1), True),
    "slot of an object": (lambda x: x * slotted.rate, lambda: setattr(slotted, "rate", slotted.rate + 1), True),
    "method": (model.step, lambda: setattr(model, "rate", model.rate + 1), True),
    "array in an object": (lambda x: model.step(x), lambda: setattr(model, "weights", model.weights + 1), True),
    "global array": (lambda x: x * WEIGHTS, lambda: assign("WEIGHTS", WEIGHTS + 1), True),
    "global array, assigned into": (lambda x: x * WEIGHTS, lambda: WEIGHTS.__setitem__(0, 7.0), True),
    "NumPy array, written into": (lambda x: x * TABLE, lambda: TABLE.__iadd__(1), True),
    "counter (nonlocal)": (counter, None, False), "counter (attribute)": (lambda x: model.counting(x), None, False),
    "history.append": (appended, None, False), "np.random": (lambda x: x * np.random.rand(2), None, False),
    "random": (lambda x: x * random.random(), None, False), "gl.rand": (lambda x: x * gl.rand((2,)), None, True),
    "if bool": (lambda x: x * 2 if gl.sum(x) > 0 else x * 3, None, True),
    "draw, then a branch": (lambda x: x * gl.rand((2,)) if gl.sum(x) > 0 else x * 3, None, True),
    "if float(...) > 0": (lambda x: x * 2 if float(gl.sum(x)) > 0 else x * 3, None, False),
    "extractdata": (lambda x: x * gl.extractdata(x), None, False), "x[int(argmax)]": (lambda x: x * x[int(gl.argmax(x))], None, True),
    "print": (lambda x: (str(x), x * 2)[1], None, False),
    "range(int(...))": (lambda x: sum([x for _ in range(int(gl.sum(x > 0)))], x), None, True),
    "x[mask]": (lambda x: gl.sum(x[x > 0]) * x, None, True), "x.item()": (lambda x: x * x[0].item(), None, False),
    "max(a, b)": (lambda x: x * max(x[0], x[1]), None, True), "in a list": (lambda x: x * 2 if x[0] in [1.0, 2.0] else x * 3, None, None),
    "shape": (lambda x: x * x.shape[0], None, True), "the clock": (lambda x: x * (0 * time.time() + 2), None, None),
    "assigns into its argument": (lambda x: (x.__setitem__(0, 2.0), x * 3)[1], None, False),
    "seeds": (lambda x: (gl.rng(3), x * gl.rand((2,)))[1], None, False),
}
POINTS = [[1.0, 2.0], [2.0, 1.5], [1.0, 2.0], [0.5, 1.0], [3.0, -1.0], [-2.0, 0.5], [2.0, 0.25], [1.5, 2.5], [0.5, 3.0], [1.0, 7.0], [2.0, 2.5], [1.5, 3.0]]


def seed(k):
    np.random.seed(k)
    random.seed(k)
    gl.rng(k)


@pytest.mark.parametrize("evaluated", [False, True], ids=["called", "in dlfeval"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_outside(name, evaluated):
    """Each call gives the plain result, changes what the plain call changes, and leaves the generators where that does."""
    f, change, replayed = CASES[name]
    if evaluated and name in ("if float(...) > 0", "x.item()"):
        pytest.skip("traced arrays refuse to become Python's numbers")
    if evaluated and name == "assigns into its argument":
        replayed = True  # what it gets is a variable of its own
    fast = gl.dlaccelerate(f)

    def run(function, x):
        return gl.dlfeval(function, x) if evaluated else function(x)

    for k, values in enumerate(POINTS):
        if k == 6 and change:
            change()
        before = model.calls, counter.__closure__[0].cell_contents, list(HISTORY)
        a, b = gl.dlarray(values), gl.dlarray(values)
        seed(k)
        found, after = run(fast, a), gl.rand(())
        changed = model.calls, counter.__closure__[0].cell_contents, list(HISTORY)
        model.calls, counter.__closure__[0].cell_contents, HISTORY[:] = before
        seed(k)
        expected = run(f, b)
        assert np.array_equal(found.numpy(), expected.numpy()), (k, fast.explain())
        assert after == gl.rand(()), (k, fast.explain())
        assert np.array_equal(a.numpy(), b.numpy())
        assert changed == (model.calls, counter.__closure__[0].cell_contents, list(HISTORY)), (k, fast.explain())
    if replayed is not None:
        assert (fast.hit_rate > 0) is replayed, fast.explain()


# ----- kinds of things that are read or changed, each changed in the middle of the calls ------------------------------


class Base:
    rate = 2.0


class Derived(Base):
    pass


class Late:
    pass


class Listed(list):
    pass


def of_attribute(x):
    return x * of_attribute.scale


def wrapped(x):
    return memoized() * x


@functools.cache
def memoized():
    return 2.0


Pair = collections.namedtuple("Pair", "a")
VARIABLE = contextvars.ContextVar("VARIABLE", default=2.0)


def changed_by(make, read, write, *, replayed=None):
    """A function that reads something, and what changes it."""

    def case():
        thing = make()
        write(thing, 2.0)
        return (lambda x: x * read(thing)), (lambda: write(thing, 5.0)), replayed

    return case


def with_inner(x):
    inner = gl.dlaccelerate(lambda x: x * SCALE)
    return lambda x: inner(x) * 1


KINDS = {
    "attribute of a function": lambda: (setattr(of_attribute, "scale", 2.0), (of_attribute, lambda: setattr(of_attribute, "scale", 5.0), True))[1],
    "SimpleNamespace": changed_by(types.SimpleNamespace, lambda c: c.s, lambda c, v: setattr(c, "s", v), replayed=True),
    "defaultdict": changed_by(lambda: collections.defaultdict(float), lambda c: c["s"], lambda c, v: c.__setitem__("s", v), replayed=False),
    "OrderedDict": changed_by(collections.OrderedDict, lambda c: c["s"], lambda c, v: c.__setitem__("s", v), replayed=False),
    "deque": changed_by(lambda: collections.deque([0.0]), lambda c: c[0], lambda c, v: c.__setitem__(0, v), replayed=False),
    "list subclass": changed_by(lambda: Listed([0.0]), lambda c: c[0], lambda c, v: c.__setitem__(0, v), replayed=False),
    "namedtuple of a list": changed_by(lambda: Pair([0.0]), lambda c: c.a[0], lambda c, v: c.a.__setitem__(0, v), replayed=True),
    "context variable": changed_by(lambda: VARIABLE, lambda c: c.get(), lambda c, v: c.set(v), replayed=False),
    "attribute of a thread": changed_by(threading.local, lambda c: c.s, lambda c, v: setattr(c, "s", v), replayed=False),
    "attribute that shadows the class's": changed_by(Derived, lambda c: c.rate, lambda c, v: v == 2.0 or setattr(c, "rate", v), replayed=True),
    "attribute of a derived class": changed_by(lambda: Derived, lambda c: c.rate, lambda c, v: v == 2.0 or setattr(c, "rate", v), replayed=True),
    "getattr with a default": changed_by(Late, lambda c: getattr(c, "later", 2.0), lambda c, v: v == 2.0 or setattr(c, "later", v), replayed=True),
    "hasattr": changed_by(Late, lambda c: 5.0 if hasattr(c, "later2") else 2.0, lambda c, v: v == 2.0 or setattr(c, "later2", v), replayed=True),
    "iterator": changed_by(lambda: itertools.cycle([1.0, 2.0, 3.0]), lambda c: next(c), lambda c, v: None, replayed=False),
    "an accelerated function": lambda: (with_inner(None), lambda: assign("SCALE", SCALE + 1), True),
    "list of a partial": lambda: (lambda held: (functools.partial(lambda k, x: x * k[0], held), lambda: held.__setitem__(0, 5.0), True))([2.0]),
    "what is remembered": lambda: (wrapped, None, True),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_things(name):
    f, change, replayed = KINDS[name]()
    g = KINDS[name]()[0] if name == "iterator" else None
    fast = gl.dlaccelerate(f)
    plain = g or f
    try:
        for k, values in enumerate(POINTS):
            if k == 6 and change:
                change()
            assert np.array_equal(fast(gl.dlarray(values)).numpy(), plain(gl.dlarray(values)).numpy()), (k, fast.explain())
        if replayed is not None:
            assert (fast.hit_rate > 0) is replayed, fast.explain()
    finally:
        if "rate" in Derived.__dict__:
            del Derived.rate
        VARIABLE.set(2.0)


def entry_rebound(xs):
    xs["a"] = xs["a"] * 2
    return xs["a"] + 1


def list_grown(xs):
    xs.append(xs[0] * 2)
    return xs[0] + 1


@pytest.mark.parametrize(("f", "make"), [(entry_rebound, lambda: {"a": gl.dlarray([1.0])}), (list_grown, lambda: [gl.dlarray([1.0])])])
def test_what_is_done_to_a_container_is_done(f, make):
    fast = gl.dlaccelerate(f)
    for _ in range(8):
        mine, theirs = make(), make()
        assert np.array_equal(fast(mine).numpy(), f(theirs).numpy())
        assert len(mine) == len(theirs)
        values = [list(xs.values()) if isinstance(xs, dict) else xs for xs in (mine, theirs)]
        assert [v.tolist() for v in values[0]] == [v.tolist() for v in values[1]]


def test_an_argument_that_is_returned_is_the_argument():
    fast = gl.dlaccelerate(lambda x: (x, x * 2, x))
    for _ in range(8):
        x = gl.dlarray([1.0, 2.0])
        a, b, c = fast(x)
        assert a is x and c is x
        x[0] = 9.0
        assert a[0] == 9.0 and b[0] == 2.0
    assert fast.hit_rate > 0


def test_one_array_in_two_places_is_another_kind():
    f = lambda a, b: a * 2 if a is b else a * 3
    fast = gl.dlaccelerate(f)
    for k in range(10):
        a, b = gl.dlarray([1.0]), gl.dlarray([1.0])
        b = a if k > 7 else b
        assert fast(a, b) == f(a, b)


def test_what_a_kernel_refuses_is_left_to_the_function():
    def f(x, k):
        try:
            return x[k]
        except IndexError:
            return x[0] * 7

    fast = gl.dlaccelerate(f)
    for k in (0, 1, 0, 1, 0, 5, 1, 9):
        x, place = gl.dlarray([1.0, 2.0]), gl.dlarray(k, dtype="int64")
        assert fast(x, place) == f(x, place)


def test_memory_that_numpy_shares():
    held = np.array([2.0, 3.0])
    weights = gl.dlarray(held, copy=False)
    fast = gl.dlaccelerate(lambda x: x * (weights * 2))
    for k in range(10):
        held[0] = 1.0 + k
        assert np.array_equal(fast(gl.dlarray([1.0, 1.0])).numpy(), held * 2), fast.explain()


class Replaced:
    def go(self, x):
        return x * 2


class Meta(type):
    @property
    def rate(cls):
        return LATER[0]


class WithMeta(metaclass=Meta):
    pass


LATER = [2.0]
replaced_one = Replaced()
own = gl.elementwise("scaled_by_a_global", lambda x: x * SCALE, lambda x: SCALE)


def not_there_yet(x):
    try:
        return x * ARRIVES_LATER
    except NameError:
        return x


def recoded(x):
    return x * 2


def recoded_otherwise(x):
    return x * 7


@pytest.mark.parametrize(("f", "change"), [
    (lambda x: replaced_one.go(x), lambda: setattr(Replaced, "go", lambda self, x: x * 7)),
    (lambda x: x * WithMeta.rate, lambda: LATER.__setitem__(0, 7.0)),
    (lambda x: own(x), lambda: assign("SCALE", SCALE + 1)),
    (not_there_yet, lambda: assign("ARRIVES_LATER", 7.0)),
    (recoded, lambda: setattr(recoded, "__code__", recoded_otherwise.__code__)),
], ids=["method", "property of a metaclass", "own operation", "a global that is not there yet", "code"])  # fmt: skip
def test_code_that_is_replaced(f, change):
    fast = gl.dlaccelerate(f)
    for k, values in enumerate(POINTS):
        if k == 6:
            change()
        assert np.array_equal(fast(gl.dlarray(values)).numpy(), f(gl.dlarray(values)).numpy()), (k, fast.explain())
    assert fast.hit_rate > 0, fast.explain()


@pytest.mark.parametrize(("f", "within"), [
    (lambda x: x * (1 + torch.is_grad_enabled()), torch.no_grad()),
    (lambda x: x * (1 + (np.geterr()["divide"] == "warn")), np.errstate(divide="ignore")),
], ids=["torch's", "NumPy's"])  # fmt: skip
def test_settings_that_are_asked_for(f, within):
    fast, x = gl.dlaccelerate(f), gl.dlarray([1.0, 2.0])
    for _ in range(5):
        assert fast(x)[0] == 2.0
    with within:
        assert fast(x)[0] == 1.0, fast.explain()


def test_what_was_written_before_an_error_is_written():
    def f(x):
        x[0] = x[1] * 2
        raise ValueError("after all")

    fast = gl.dlaccelerate(f)
    for _ in range(5):
        x = gl.dlarray([1.0, 2.0])
        with pytest.raises(ValueError, match="after all"):
            fast(x)
        assert x[0] == 4.0


@pytest.mark.parametrize("kind", ["folder without __init__", "made at run time", "called as one of Python's"])
def test_modules_that_are_the_users(kind, tmp_path, monkeypatch):
    """What a module holds is compared on each call, whether it has a file and whatever it is called."""
    text = "rate = 1.0\nbox = [1.0]\ndef scaled(x):\n    return x * rate * box[0]\n"
    name = "this" if kind == "called as one of Python's" else f"advised_{kind[:4]}"
    monkeypatch.setitem(sys.modules, name, None)  # taken away when the test ends
    del sys.modules[name]
    if kind == "made at run time":
        module = package = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(text, module.__dict__)
        fun = lambda x: package.scaled(x) + package.rate
    else:
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.py").write_text(text)
        if name == "this":
            (tmp_path / name / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path))
        module = importlib.import_module(f"{name}.part")
        package = sys.modules[name]
        fun = lambda x: package.part.scaled(x) + package.part.rate
    fast = gl.dlaccelerate(fun)
    for k in range(15):
        module.rate, module.box[0] = 1.0 + (k > 5), 1.0 + (k > 10)
        assert fast(gl.dlarray([1.0, 2.0 + k])).tolist() == fun(gl.dlarray([1.0, 2.0 + k])).tolist()
    assert fast.hit_rate > 20


TABLE_OF, ROW, NUMBERS, TENSOR, HELD = {"rate": 1.0}, [1.0], np.ones(3), torch.ones(2, dtype=torch.float64), gl.dlarray([1.0, 1.0])
rate_of, first_of, mean_of, total_of, sum_of, bound_of = (
    TABLE_OF.get, ROW.__getitem__, NUMBERS.mean, TENSOR.sum, HELD.sum, functools.partial(TABLE_OF.get, "rate"))


def _of_above(x):
    from . import settings as whole
    from .settings import rate
    return x * rate * whole.box[0]


def _of_a_module(x):
    return x * lazily.rate  # noqa: F821


@pytest.mark.parametrize("fun", [
    lambda x: x * rate_of("rate"), lambda x: x * first_of(0), lambda x: x * float(mean_of()), lambda x: x * total_of(), lambda x: x * sum_of(), lambda x: x * bound_of(),
    lambda x: sum(x * v for v in map(rate_of, ["rate"])), _of_above, _of_a_module], ids=["get", "getitem", "mean", "tensor", "dlarray", "partial", "map", "above", "module"])
def test_what_is_reached_through_something_else(fun, monkeypatch):
    """Methods that are built in belong to something; modules are imported by where they lie, and have attributes by name."""
    settings, lazily = types.ModuleType("held.settings"), types.ModuleType("lazily")
    settings.rate, settings.box, lazily.box = 1.0, [1.0], ROW
    exec("def __getattr__(name):\n    return box[0]", lazily.__dict__)
    held = types.ModuleType("held")
    held.settings = settings
    for name, module in (("held", held), ("held.settings", settings)):
        monkeypatch.setitem(sys.modules, name, module)
    if fun in (_of_above, _of_a_module):
        fun = types.FunctionType(fun.__code__, {"__name__": "held.part", "__package__": "held", "lazily": lazily, "__builtins__": __builtins__})
    fast = gl.dlaccelerate(fun)
    for k in range(12):
        value = 1.0 + (k > 6)
        TABLE_OF["rate"], ROW[0], settings.rate, settings.box[0], NUMBERS[:] = value, value, value, value, value
        if k in (0, 7):
            TENSOR.fill_(value)
            HELD[:] = value
        assert fast(gl.dlarray([1.0, 2.0 + k])).tolist() == fun(gl.dlarray([1.0, 2.0 + k])).tolist()
    assert fast.hit_rate > 20


def test_a_global_of_an_attributes_name_may_change():
    fast, x = gl.dlaccelerate(lambda x: model.step(x)), gl.dlarray([1.0, 2.0])
    try:
        for k in range(8):
            assign("rate", float(k))  # as a loop's variable is
            assert np.allclose(np.asarray(fast(x)), np.asarray(model.step(x)))
    finally:
        del globals()["rate"]
    assert fast.hit_rate > 50
