"""Custom layers: fields, states, random draws, and a backward of their own."""
import importlib
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import gradloom as gl

L = gl.layers


class RandomChannelDrop(gl.Layer):
    num_channels: int

    def forward(self, x):
        channel = gl.randint(0, self.num_channels)
        y = x.copy()
        y[y.at(C=channel)] = 0
        return y

    def predict(self, x):
        return x


class Counter(gl.Layer):
    """Adds up what it has seen."""

    total: gl.State

    def initialize(self, layout):
        self.total = gl.zeros(())

    def predict(self, x):
        self.total = self.total + gl.sum(x)
        return x * self.total

    def reset_state(self):
        self.total = gl.zeros_like(self.total)


class Cube(gl.Layer):
    """w x**3, with its own backward."""

    w: gl.Learnable

    def initialize(self, layout):
        self.w = gl.full((1,), 2.0)

    def predict(self, x):
        assert not x.traced
        return self.w * x ** 3

    def backward(self, x, y, y_bar):
        return 3 * self.w * x ** 2 * y_bar, gl.reshape(gl.sum(y_bar * x ** 3), (1,))


def test_seed_003():
    """A layer that drops a random channel: the gradient is zero in exactly that channel, in every run."""
    gl.rng(0)
    net = gl.dlnetwork([L.FeatureInput(10), L.FullyConnected(5, name="fc1"), RandomChannelDrop(5, name="channelDrop"),
                        L.FullyConnected(1, name="fc2")])
    x = gl.rand((10, 3), "CB")

    def gradients(net, x):
        layer_input, layer_output = net.forward(x, outputs=["fc1", "channelDrop"])
        combined = gl.sum(layer_output)
        return layer_input, layer_output, gl.dlgradient(combined, layer_input)

    dropped = set()
    for _ in range(20):
        before, after, g = (np.asarray(a) for a in gl.dlfeval(gradients, net, x))
        (channel,) = np.flatnonzero((after == 0).all(axis=1))
        dropped.add(int(channel))
        want = np.ones((5, 3))
        want[channel] = 0
        assert np.array_equal(g, want) and np.array_equal(after, before * want)
        assert before[channel].all()  # writing into the copy left the layer's input alone
    assert len(dropped) > 1
    assert np.array_equal(net.predict(x, outputs="channelDrop"), net.predict(x, outputs="fc1"))


def test_state_is_returned_and_the_network_is_not_changed():
    net = gl.dlnetwork([L.FeatureInput(2), Counter()])
    x = gl.ones((2, 1), "CB")
    y, state = net(x, return_state=True)
    assert float(state["counter", "total"]) == 2 and float(net.state["counter", "total"]) == 0
    net = net.replace(state=state)
    y, state = net.forward(x, return_state=True)
    assert float(state["counter", "total"]) == 4 and np.array_equal(y, [[4], [4]])
    assert float(net.replace(state=state).reset_state().state["counter", "total"]) == 0


def test_state_is_differentiated_through():
    net = gl.dlnetwork([L.FeatureInput(2), Counter()])
    g = gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x)), x), net, gl.dlarray([1.0, 2.0], "C"))
    assert np.array_equal(g, [6, 6])  # the square of the sum


def test_only_state_can_be_assigned_in_a_call():
    class Writes(gl.Layer):
        field: str
        w: gl.Learnable
        mean: gl.State

        def initialize(self, layout):
            self.w, self.mean = gl.ones(()), gl.zeros(())

        def predict(self, x):
            setattr(self, self.field, self.mean)
            return x

    def net(field):
        return gl.dlnetwork([L.FeatureInput(1), Writes(field)])

    assert net("mean")
    with pytest.raises(TypeError, match=r"only State fields can be assigned \(mean\), 'w' is a learnable"):
        net("w")
    with pytest.raises(TypeError, match="'field' is an option"):
        net("field")
    with pytest.raises(TypeError, match=r"'other' is not declared.*other: gl\.State"):
        net("other")


def test_a_layer_is_a_value():
    layer = L.FullyConnected(3)
    with pytest.raises(TypeError, match=r"FullyConnected\.output_size cannot be assigned.*dataclasses\.replace"):
        layer.output_size = 4
    with pytest.raises(TypeError, match=r"no field 'output_sise'; did you mean 'output_size'"):
        layer.output_sise = 4
    with pytest.raises(TypeError, match="cannot be deleted"):
        del layer.output_size
    assert replace(layer, output_size=4).output_size == 4
    with pytest.raises(TypeError):
        L.MaxPooling2d(2, 2)


def test_initialize_fills_only_what_is_unset():
    class Affine(gl.Layer):
        n: int
        a: gl.Learnable
        b: "gl.Learnable"  # as under `from __future__ import annotations`

        def initialize(self, layout):
            assert layout.sizes == {"C": 2, "B": 1} and str(layout) == "2(C) x 1(B)"
            self.a, self.b = gl.ones(self.n), gl.zeros(self.n)

        def predict(self, x):
            return x * gl.dlarray(self.a, "C") + gl.dlarray(self.b, "C")

    net = gl.dlnetwork([L.FeatureInput(2), Affine(2, b=[3.0, 4.0])])
    assert list(net.learnables) == [("affine", "a"), ("affine", "b")]
    assert np.array_equal(net(gl.dlarray([[1.0], [2.0]], "CB")), [[4], [6]])
    assert net.learnables["affine", "b"].dtype == torch.float32


POSTPONED = """
from __future__ import annotations
import gradloom
from gradloom import Learnable as Trained, State

class Shift(gradloom.Layer):
    by: float
    b: Trained
    c: Trained | None
    seen: State
    plain: int = 3

    def initialize(self, layout):
        self.b, self.c, self.seen = gradloom.ones(()), gradloom.ones(()), gradloom.zeros(())

    def predict(self, x):
        return x + self.b
"""


def test_annotations_may_be_postponed(tmp_path, monkeypatch):
    (tmp_path / "postponed_layers.py").write_text(POSTPONED)
    monkeypatch.syspath_prepend(tmp_path)
    shift = importlib.import_module("postponed_layers").Shift
    assert shift.roles == {"b": "learnable", "c": "learnable", "seen": "state"}
    net = gl.dlnetwork([L.FeatureInput(1), shift(1.0)])
    assert list(net.learnables) == [("shift", "b"), ("shift", "c")] and list(net.state) == [("shift", "seen")]


def test_optional_parameters_may_stay_unset():
    class Shift(gl.Layer):
        use: bool
        b: gl.Learnable

        def initialize(self, layout):
            if self.use:
                self.b = gl.ones(())

        def predict(self, x):
            return x if self.b is None else x + self.b

    assert len(gl.dlnetwork([L.FeatureInput(2), Shift(False)]).learnables) == 0
    assert len(gl.dlnetwork([L.FeatureInput(2), Shift(True)]).learnables) == 1


def test_a_layer_may_be_decorated_as_a_dataclass():
    @dataclass(frozen=True)
    class Steps(gl.Layer):
        by: float
        n: gl.State = None

        def initialize(self, layout):
            self.n = gl.zeros(())

        def predict(self, x):
            self.n = self.n + self.by
            return x

    net = gl.dlnetwork([Steps(2.0)], gl.zeros((1, 1), "CB"))
    assert float(net(gl.zeros((1, 1), "CB"), return_state=True)[1]["steps", "n"]) == 2


def test_layers_inherit_fields():
    class Base(gl.Layer):
        n: int
        w: gl.Learnable

        def initialize(self, layout):
            self.w = gl.ones(self.n)

        def predict(self, x):
            return x * gl.dlarray(self.w, "C")

    class More(Base):
        m: int = 2
        count: gl.State

        def initialize(self, layout):
            super().initialize(layout)
            self.count = gl.zeros(())

        def forward(self, x):
            self.count = self.count + self.m
            return super().predict(x)

    net = gl.dlnetwork([L.FeatureInput(3), More(3)])
    assert list(net.learnables) == [("more", "w")] and list(net.state) == [("more", "count")]
    assert float(net.forward(gl.ones(3, "C"), return_state=True)[1]["more", "count"]) == 2
    assert float(net.predict(gl.ones(3, "C"), return_state=True)[1]["more", "count"]) == 0


def test_several_inputs_and_outputs():
    class Parts(gl.Layer):
        output_names = ("sum", "difference")

        def predict(self, a, b):
            return a + b, a - b

    class Product(gl.Layer):
        def predict(self, a, b):
            return a * b

    a, b = gl.dlarray([3.0], "C"), gl.dlarray([2.0], "C")
    net = gl.dlnetwork([Parts(), Product()], a, b)
    assert float(net(a, b)) == 5
    assert [float(y) for y in net.predict(a, b, outputs=["parts/difference", "parts/sum"])] == [1, 5]
    with pytest.raises(KeyError, match="parts/sum, parts/difference"):
        net.predict(a, b, outputs="parts")
    assert len(gl.dlnetwork([Parts()], a, b)(a, b)) == 2


def test_an_own_backward_differentiates_to_any_order():
    net = gl.dlnetwork([L.FeatureInput(2), Cube()], dtype="float64")
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")

    def fun(net, x):
        y = net(x)
        g, gw = gl.dlgradient(gl.sum(y), x, net.learnables["cube", "w"], enable_higher_derivatives=True)
        hx, hw = gl.dlgradient(gl.sum(g * g), x, net.learnables["cube", "w"], enable_higher_derivatives=True)
        return g, gw, hx, hw, gl.dlgradient(gl.sum(hx), x), gl.jvp(y, x, gl.full_like(x, 2.0)), gl.jvp(g, x, gl.ones_like(x))

    g, gw, hx, hw, third, jvp, second = gl.dlfeval(fun, net, x)
    v = np.asarray(x)
    for found, want in [(g, 6 * v ** 2), (gw, [(v ** 3).sum()]), (hx, 144 * v ** 3), (hw, [36 * (v ** 4).sum()]), (third, 432 * v ** 2),
                        (jvp, 12 * v ** 2), (second, 12 * v)]:
        np.testing.assert_allclose(found, want)


def test_jacobians_of_an_own_backward():
    net = gl.dlnetwork([L.FeatureInput(2), Cube()], dtype="float64")
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net(x), x), net, x)
    np.testing.assert_allclose(J.matrix(), np.diag(6 * np.asarray(x).ravel() ** 2))
    assert "own backward" in str(J.explain())
    with pytest.warns(gl.BatchDependenceWarning, match="cannot be proved"):
        rows = gl.dlfeval(lambda net, x: gl.dljacobian(net(x), x, "C"), net, x)
    np.testing.assert_allclose(np.asarray(rows)[0, 0], 6 * np.asarray(x)[0] ** 2)


def test_an_own_backward_is_what_is_used():
    class Reversal(gl.Layer):
        seen: gl.State

        def initialize(self, layout):
            self.seen = gl.zeros(())

        def predict(self, x):
            self.seen = self.seen + 1
            return gl.dlarray(np.asarray(x) * 1.0, x.dims)  # NumPy is allowed: only backward says the derivative

        def backward(self, x, y, y_bar):
            return -y_bar

    def fun(net, x):
        y, state = net.forward(x, return_state=True)
        return y, state, gl.dlgradient(gl.sum(y), x)

    net = gl.dlnetwork([L.FeatureInput(2), Reversal()])
    y, state, g = gl.dlfeval(fun, net, gl.dlarray([1.0, 2.0], "C"))
    assert np.array_equal(y, [1, 2]) and np.array_equal(g, [-1, -1]) and float(state["reversal", "seen"]) == 1


def test_an_own_backward_is_checked():
    class Short(Cube):
        def backward(self, x, y, y_bar):
            return y_bar

    class Wrong(Cube):
        def backward(self, x, y, y_bar):
            return y_bar, gl.ones((7,))

    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")
    for layer, message in ((Short(), r"returned 1 cotangents, the layer has 2 \(input 0, w\)"),
                           (Wrong(), "the cotangent of w is 7, w is 1")):
        with pytest.raises(ValueError, match=message):
            gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x)), x), gl.dlnetwork([L.FeatureInput(2), layer]), x)
