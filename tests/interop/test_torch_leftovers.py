"""A call leaves nothing in a torch module: the second call equals the first, wherever the module keeps what it computed."""

import collections
import copy
import dataclasses
import functools
import itertools
import random
import threading
import types
import weakref

import numpy as np
import pytest
import torch
from helpers import seed_torch
from torch import nn

import gradloom as gl
from gradloom.interop.torch import from_torch
from gradloom.interop.torch.aten.wrapped import Wrapped
from gradloom.interop.torch.copies import reached

double = torch.float64


class Slots:
    __slots__ = ("_known", "items", "value")

    def __init__(self):
        self.items = []
        self._known = None


class Shared(dict):
    """One that says that it cannot be copied."""

    def __deepcopy__(self, memo):
        return self


@dataclasses.dataclass
class Data:
    seen: list = dataclasses.field(default_factory=list)


class Plain:
    def __init__(self):
        self.value, self.items = None, []


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=double))
        self.linear = nn.Linear(2, 2).double()
        self.kept = self.start()

    def start(self):
        return None


def keeping(start, read, write, **attributes):
    """A module that computes w * 3 once, where `read` finds nothing, and keeps it."""

    def forward(self, x):
        found = read(self)
        if found is None:
            found = self.w * 3
            write(self, found)
        return x * found

    return type("Keeps", (Base,), {"start": lambda self: start(), "forward": forward, **attributes})


def doing(start, forward, **attributes):
    return type("Does", (Base,), {"start": lambda self: start(), "forward": forward, **attributes})


def first(items):
    return next(iter(items), None)


def closed_over():
    memo = {}
    return lambda w: memo.setdefault("b", w * 3)


def rebinding():
    found = None

    def once(w):
        nonlocal found
        if found is None:
            found = w * 3
        return found

    return once


class Cached(Base):
    @functools.cached_property
    def b(self):
        return self.w * 3

    def forward(self, x):
        return x * self.b


class Remembering(Base):
    @functools.lru_cache(None)  # noqa: B019
    def b(self):
        return self.w * 3

    def forward(self, x):
        return x * self.b()


class RememberingItself(Base):
    def __init__(self):
        super().__init__()
        self.b = functools.lru_cache(lambda k: self.w * k)

    def forward(self, x):
        return x * self.b(3)


class Default(Base):
    def forward(self, x, memo={}):  # noqa: B006
        return x * memo.setdefault("b", self.w * 3)


class Inner(Base):
    class Store:
        values = {}

    def start(self):
        return self.Store()

    def forward(self, x):
        return x * self.kept.values.setdefault("b", self.w * 3)


def item(read):
    return lambda self: read(self.kept)


KEEPERS = {
    "dict": keeping(dict, item(lambda k: k.get("b")), lambda s, b: s.kept.update(b=b)),
    "ordered dict": keeping(collections.OrderedDict, item(lambda k: k.get("b")), lambda s, b: s.kept.update(b=b)),
    "default dict": keeping(lambda: collections.defaultdict(list), item(lambda k: first(k["b"])), lambda s, b: s.kept["b"].append(b)),
    "user dict": keeping(collections.UserDict, item(lambda k: k.get("b")), lambda s, b: s.kept.update(b=b)),
    "weak keys": keeping(weakref.WeakKeyDictionary, lambda s: s.kept.get(s.linear), lambda s, b: s.kept.update({s.linear: b})),
    "list": keeping(list, item(first), lambda s, b: s.kept.append(b)),
    "set": keeping(set, item(first), lambda s, b: s.kept.add(b)),
    "deque": keeping(lambda: collections.deque(maxlen=2), item(first), lambda s, b: s.kept.append(b)),
    "nested": keeping(lambda: {"a": [{}]}, item(lambda k: k["a"][0].get("b")), lambda s, b: s.kept["a"][0].update(b=b)),
    "tuple": keeping(lambda: ([],), item(lambda k: first(k[0])), lambda s, b: s.kept[0].append(b)),
    "object": keeping(Plain, item(lambda k: k.value), lambda s, b: setattr(s.kept, "value", b)),
    "object's list": keeping(Plain, item(lambda k: first(k.items)), lambda s, b: s.kept.items.append(b)),
    "namespace": keeping(types.SimpleNamespace, item(lambda k: getattr(k, "b", None)), lambda s, b: setattr(s.kept, "b", b)),
    "dataclass": keeping(Data, item(lambda k: first(k.seen)), lambda s, b: s.kept.seen.append(b)),
    "slot": keeping(Slots, item(lambda k: getattr(k, "value", None)), lambda s, b: setattr(s.kept, "value", b)),
    "slot that was there": keeping(Slots, item(lambda k: k._known), lambda s, b: setattr(s.kept, "_known", b)),
    "slot's list": keeping(Slots, item(lambda k: first(k.items)), lambda s, b: s.kept.items.append(b)),
    "not to be copied": keeping(Shared, item(lambda k: k.get("b")), lambda s, b: s.kept.update(b=b)),
    "attribute": keeping(Plain, lambda s: getattr(s, "b", None), lambda s, b: setattr(s, "b", b)),
    "buffer": keeping(Plain, lambda s: getattr(s, "b", None), lambda s, b: s.register_buffer("b", b)),
    "class's dict": keeping(Plain, lambda s: type(s).memo.get("b"), lambda s, b: type(s).memo.update(b=b), memo={}),
    "class": keeping(Plain, lambda s: type(s).b, lambda s, b: setattr(type(s), "b", b), b=None),
    "another class's dict": Inner, "default argument": Default, "cached property": Cached, "cached method": Remembering, "own cache": RememberingItself,
    "closure": doing(closed_over, lambda s, x: x * s.kept(s.w)),
    "rebound closure": doing(rebinding, lambda s, x: x * s.kept(s.w)),
    "partial": doing(lambda: functools.partial(lambda memo, w: memo.setdefault("b", w * 3), {}), lambda s, x: x * s.kept(s.w)),
}


def second(values):
    """The next one, as a factor."""
    return 1 + float(next(values))


def counted(s, x):
    s.n = getattr(s, "n", 0) + 1
    return x * s.w * s.n


def hooked(s, x):
    s.linear.register_forward_hook(lambda m, i, o: o * 2)
    return s.linear(x)


def grown(s, x):
    s.add_module(f"part{len(list(s.children()))}", nn.Identity())
    return x * s.w * len(list(s.children()))


def flipped(s, x):
    s.linear.train(not s.linear.training)
    return x * s.w * (2 if s.linear.training else 3)


def changed_class(s, x):
    s.kept.__class__ = type("Other", (type(s.kept),), {})
    return x * s.w * len(type(s.kept).__mro__)


DOERS = {
    "counter": doing(dict, counted), "hook": doing(dict, hooked), "module": doing(dict, grown), "mode": doing(dict, flipped), "type": doing(Plain, changed_class),
    "module list": doing(dict, lambda s, x: (s.parts.append(nn.Identity()), x * s.w * len(s.parts))[1], parts=property(lambda s: s._modules.setdefault("parts", nn.ModuleList()))),
    "tensor": doing(lambda: torch.zeros(2, dtype=double), lambda s, x: (s.kept.add_(1), x * s.kept * s.w)[1]),
    "large tensor": doing(lambda: torch.zeros(1 << 18, dtype=double), lambda s, x: (s.kept.add_(1), x * s.kept[:2] * s.w)[1]),
    "class's tensor": doing(dict, lambda s, x: (s.shared.add_(1), x * s.shared * s.w)[1], shared=torch.zeros(2, dtype=double)),
    "list of tensors": doing(lambda: [torch.zeros(2, dtype=double)], lambda s, x: (s.kept[0].add_(1), x * s.kept[0] * s.w)[1]),
    "numpy": doing(lambda: np.zeros(2), lambda s, x: (s.kept.__iadd__(1), x * torch.tensor(s.kept) * s.w)[1]),
    "bytes": doing(lambda: bytearray(1), lambda s, x: (s.kept.append(1), x * len(s.kept) * s.w)[1]),
    "counts": doing(collections.Counter, lambda s, x: (s.kept.update("a"), x * s.kept["a"] * s.w)[1]),
    "generator": doing(lambda: torch.Generator().manual_seed(3), lambda s, x: x * torch.rand(2, dtype=double, generator=s.kept) * s.w),
    "random": doing(lambda: random.Random(3), lambda s, x: x * s.kept.random() * s.w),
    "numpy's generator": doing(lambda: np.random.default_rng(3), lambda s, x: x * s.kept.random() * s.w),
    "count": doing(itertools.count, lambda s, x: x * second(s.kept) * s.w), "iterator": doing(lambda: iter([1, 2, 3]), lambda s, x: x * second(s.kept) * s.w),
    "Python module": doing(lambda: np, lambda s, x: x * float(s.kept.pi) * s.w), "lock": doing(threading.Lock, lambda s, x: x * s.w),
    "requires_grad": doing(dict, lambda s, x: (x * s.w * (2 if s.w.requires_grad else 3), s.w.requires_grad_(False))[0]),
}


def evaluated(net, x):
    def fun(net, x):
        y = net(x)
        return y, *gl.dlgradient(gl.sum(y), [*net.learnables.values(), x])

    return [a._value for a in gl.dlfeval(fun, net, x)]


def left_behind(*modules):
    return [x for module in modules for x in reached(module) if isinstance(x, Wrapped) and x._cell.run is not None]


@pytest.mark.parametrize("name", [*KEEPERS, *DOERS])
def test_the_second_call_equals_the_first_and_torch_s_first(name):
    seed_torch(0)
    module = (KEEPERS | DOERS)[name]().eval()
    net, x = from_torch(module), gl.dlarray([3.0, 5.0])
    calls = [evaluated(net, x), [net(x)._value], evaluated(net, x)]
    leaf = torch.tensor([3.0, 5.0], dtype=double, requires_grad=True)
    assert not left_behind(module, net._body.module, *[c.module for c in net._body.idle])
    trained = [p for p in module.parameters() if p.requires_grad]
    y = module(leaf)
    expected = [y.detach(), *[torch.zeros_like(p) if g is None else g for p, g in zip(
        [*trained, leaf], torch.autograd.grad(y.sum(), [*trained, leaf], allow_unused=True, materialize_grads=True), strict=True)]] if (
        name != "requires_grad") else None
    for call in calls:
        for a, b in zip(call, calls[0], strict=False):
            assert torch.equal(a, b)
    for a, b in zip(calls[0], expected or [], strict=False):
        torch.testing.assert_close(a, b)


def test_hidden_states_do_not_grow():
    class Hooked(Base):
        def __init__(self):
            super().__init__()
            self.hidden = []
            self.linear.register_forward_hook(lambda module, inputs, output: self.hidden.append(output))

        def forward(self, x):
            y = self.linear(x)
            return y, tuple(self.hidden)

    module = Hooked()
    net = from_torch(module)
    for _ in range(3):
        y, hidden = net(gl.dlarray([1.0, 2.0]))
        assert len(hidden) == 1 and torch.equal(hidden[0]._value, y._value)
    assert module.hidden == []


MEMO = {}


def test_a_value_kept_in_a_global_is_no_silent_constant():
    class Global(Base):
        def forward(self, x):
            return x * MEMO.setdefault("b", self.w * 3)

    MEMO.clear()
    net, x = from_torch(Global()), gl.dlarray([3.0, 5.0])
    net(x)
    with pytest.raises(gl.TraceError, match="kept from an earlier call"):
        evaluated(net, x)
    MEMO.clear()


@pytest.mark.parametrize(("start", "words"), [
    (lambda: (k for k in range(3)), "attribute kept"), (lambda: open(__file__), "attribute kept"),  # noqa: SIM115
    (lambda: nn.LazyLinear(2), "module\\(x\\), then from_torch"),
])
def test_what_cannot_be_copied_is_refused_by_name(start, words):
    module = doing(start, lambda s, x: x)()
    with pytest.raises(gl.TypeRefused, match=words):
        from_torch(module)
    getattr(module.kept, "close", lambda: None)()


def test_a_kept_tensor_that_was_computed_with_gradients_is_refused_where_it_is_read():
    net = from_torch(doing(lambda: torch.ones(2, requires_grad=True) * 2, lambda s, x: x * s.kept)())
    with pytest.raises(gl.TypeRefused, match="detach"):
        net(gl.dlarray([3.0, 5.0]))


def test_a_lazy_module_that_has_run_is_taken():
    module = nn.Sequential(nn.LazyLinear(3), nn.ReLU()).double()
    x = torch.ones(2, 4, dtype=double)
    y = module(x)
    torch.testing.assert_close(from_torch(module)(gl.dlarray(x))._value, y.detach())


def test_copies_of_a_network():
    net = from_torch(KEEPERS["dict"]())
    x = gl.dlarray([3.0, 5.0])
    for other in (copy.copy(net), copy.deepcopy(net)):
        assert torch.equal(other(x)._value, net(x)._value)
