"""Networks in layers, in lists and in fields, and layers that share parameters: keys, derivatives, states, edits."""
import pickle

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.interop.torch import from_torch

L = gl.layers


def block(name="fc"):
    return gl.dlnetwork([L.FullyConnected(3, name=name), L.BatchNormalization(name="bn"), L.Tanh()], gl.zeros((3, 1), "CB"), dtype="float64")


def outer():
    gl.rng(0)
    return gl.dlnetwork([L.FeatureInput(3), L.Network(block(), name="block"), L.FullyConnected(1, name="last")], dtype="float64")


X = gl.dlarray(np.linspace(-1, 1, 12).reshape(3, 4), "CB")


def test_parameters_of_a_nested_network_have_its_path():
    net = outer()
    assert list(net.learnables) == [("block/fc", "weights"), ("block/fc", "bias"), ("block/bn", "offset"), ("block/bn", "scale"),
                                    ("last", "weights"), ("last", "bias")]
    assert list(net.state) == [("block/bn", "trained_mean"), ("block/bn", "trained_variance")]
    assert net.settings["block/fc", "bias"].l2_factor == 0 and net.settings["block/fc", "weights"].l2_factor == 1
    assert list(net.freeze("block").trainable) == [("last", "weights"), ("last", "bias")]
    assert net["block/fc"].weights.shape == (3, 3) and np.array_equal(net["block"].network.learnables["fc", "weights"], net.learnables["block/fc", "weights"])


def flat():
    gl.rng(0)
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(3, name="fc"), L.BatchNormalization(name="bn"), L.Tanh(), L.FullyConnected(1, name="last")],
                       dtype="float64")
    return net.replace(learnables={(k[0].removeprefix("block/"), k[1]): v for k, v in outer().learnables.items()})


def test_a_nested_network_is_what_it_is_when_written_out():
    def step(net, x):
        y, state = net.forward(x, return_state=True)
        return y, gl.dlgradient(gl.sum(y ** 2), net.learnables), state, gl.dljacobian(net.predict(x), net.learnables)

    (y, g, state, J), (z, h, other, K) = (gl.dlfeval(step, net, X) for net in (outer(), flat()))
    np.testing.assert_allclose(y, z, rtol=1e-13)
    for (key, a), b in zip(g.items(), h.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(J[key].dense(), K[key[0].removeprefix("block/"), key[1]].dense(), rtol=1e-11, atol=1e-14)
    for a, b in zip(state.values(), other.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    net = outer().replace(state=state)
    assert not np.array_equal(net.state["block/bn", "trained_mean"], outer().state["block/bn", "trained_mean"])
    assert np.array_equal(pickle.loads(pickle.dumps(net))(X), net(X))


def test_a_network_in_a_list_is_a_layer_and_is_initialised_with_it():
    inner = gl.dlnetwork([L.FullyConnected(4), L.ReLU()], initialize=False)
    net = gl.dlnetwork([L.FeatureInput(3), inner, inner, L.FullyConnected(1)])
    assert list(net.learnables)[:4] == [("network/fc", "weights"), ("network/fc", "bias"), ("network_1/fc", "weights"), ("network_1/fc", "bias")]
    assert net.learnables["network/fc", "weights"].shape == (4, 3) and net.learnables["network_1/fc", "weights"].shape == (4, 4)
    unfinished = gl.dlnetwork([L.FeatureInput(3), inner], initialize=False)
    with pytest.raises(gl.GradloomError, match=r"network/fc \(weights, bias\)"):
        unfinished(X)


class Count(gl.Layer):
    calls: gl.State

    def initialize(self, layout):
        self.reset_state()

    def reset_state(self):
        self.calls = gl.zeros(())

    def predict(self, x):
        self.calls = self.calls + 1
        return x


def test_nested_states_are_reset():
    inner = gl.dlnetwork([Count(name="count")], X)
    net = gl.dlnetwork([L.FeatureInput(3), gl.dlnetwork([L.Network(inner, name="b")], X), Count(name="own")])
    moved = net.replace(state=net.predict(X, return_state=True)[1])
    assert {key: float(x) for key, x in moved.state.items()} == {("network/b/count", "calls"): 1, ("own", "calls"): 1}
    assert {float(x) for x in moved.reset_state().state.values()} == {0}


class Mixture(gl.Layer):
    """The mean of some networks, and a scale of its own."""

    experts: list
    gate: gl.dlnetwork
    scale: gl.Learnable

    def initialize(self, layout):
        self.scale = gl.ones((1,), dtype="float64")
        self.experts = [e.initialize(layout) for e in self.experts]
        self.gate = self.gate.initialize(layout)

    def forward(self, x):
        y, state = self.gate.forward(x, return_state=True)
        self.gate = self.gate.replace(state=state)
        return self.scale * y * sum(e(x) for e in self.experts)

    def predict(self, x):
        return self.scale * self.gate(x) * sum(e(x) for e in self.experts)


def mixture():
    gl.rng(1)
    dense = lambda: gl.dlnetwork([L.FullyConnected(2, name="fc")], initialize=False)
    gate = gl.dlnetwork([L.FullyConnected(2, name="fc"), L.BatchNormalization(name="bn")], initialize=False)
    return gl.dlnetwork([L.FeatureInput(3), Mixture([dense(), dense()], gate, name="mix")], dtype="float64")


def test_networks_in_fields_and_lists():
    net = mixture()
    assert [f"{a}:{b}" for a, b in net.learnables] == [
        "mix:scale", "mix/experts/0/fc:weights", "mix/experts/0/fc:bias", "mix/experts/1/fc:weights", "mix/experts/1/fc:bias", "mix/gate/fc:weights",
        "mix/gate/fc:bias", "mix/gate/bn:offset", "mix/gate/bn:scale"]
    assert str(net.learnables["mix/experts/0/fc", "weights"].dtype) == "torch.float64"
    assert net["mix/experts/1/fc"].weights.shape == (2, 3) and net["mix"].gate.learnables["fc", "weights"].shape == (2, 3)

    def step(net, x):
        y, state = net.forward(x, return_state=True)
        return gl.dlgradient(gl.sum(y ** 2), net.learnables), state

    g, state = gl.dlfeval(step, net, X)
    eps, key = 1e-6, ("mix/experts/1/fc", "weights")
    for place in np.ndindex(2, 3):
        d = np.zeros((2, 3))
        d[place] = eps
        up, down = (float(gl.sum(net.replace(learnables={key: np.asarray(net.learnables[key]) + s * d}).forward(X) ** 2)) for s in (1, -1))
        np.testing.assert_allclose(np.asarray(g[key])[place], (up - down) / 2 / eps, rtol=1e-6, atol=1e-8)
    assert not np.array_equal(state["mix/gate/bn", "trained_mean"], np.zeros(2))


def test_what_a_nested_layer_may_not_do():
    class Swap(gl.Layer):
        net: gl.dlnetwork

        def predict(self, x):
            self.net = gl.dlnetwork([L.ReLU()])
            return x

    net = gl.dlnetwork([Swap(block(), name="s")])
    with pytest.raises(TypeError, match="'s' assigned another network to net.*replace\\(state=state\\)"):
        net.predict(X, return_state=True)

    with pytest.raises(TypeError, match="Network takes a dlnetwork, not int"):
        L.Network(3)


def test_a_torch_module_in_a_network():
    module = torch.nn.Linear(3, 2, dtype=torch.float64)
    net = gl.dlnetwork([L.FeatureInput(3), L.Function(lambda x: gl.stripdims(x, "BC")), from_torch(module), L.Tanh()], dtype="float64")
    assert list(net.learnables) == [("network", "weight"), ("network", "bias")]
    np.testing.assert_allclose(net(X), torch.tanh(module(torch.as_tensor(np.array(X)).T)).detach(), rtol=1e-12)
    g = gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x)), net.learnables), net, X)
    torch.tanh(module(torch.as_tensor(np.array(X)).T)).sum().backward()
    np.testing.assert_allclose(g["network", "weight"], module.weight.grad, rtol=1e-12)


# ----- sharing -----------------------------------------------------------------------------------------------------------


def siamese():
    gl.rng(0)
    return gl.dlnetwork([[L.FeatureInput(3, name="left"), L.Shared("encoder", name="twin"), L.Addition(name="add")],
                         [L.FeatureInput(3, name="right"), L.FullyConnected(2, name="encoder")]], connections=[("encoder", "add/in2")], dtype="float64")


def test_a_shared_layer_has_one_set_of_parameters():
    net = siamese()
    assert list(net.learnables) == [("encoder", "weights"), ("encoder", "bias")] and net["twin"].shares == "encoder"
    z = gl.rand((3, 4), "CB", dtype="float64")

    def step(net, x, z):
        return gl.dlgradient(gl.sum(net(x, z) ** 2), net.learnables)

    def hand(p, x, z):
        f = lambda x: gl.fullyconnect(x, p["encoder", "weights"], p["encoder", "bias"])
        return gl.dlgradient(gl.sum((f(x) + f(z)) ** 2), p)

    for key, g in gl.dlfeval(hand, net.learnables, X, z).items():
        np.testing.assert_allclose(gl.dlfeval(step, net, X, z)[key], g, rtol=1e-12)
    again = pickle.loads(pickle.dumps(net))
    assert np.array_equal(again(X, z), net(X, z))


def test_states_of_a_shared_layer_move_with_every_use():
    net = gl.dlnetwork([L.FeatureInput(3), Count(name="count"), L.Shared("count"), L.Shared("count")])
    assert float(net.predict(X, return_state=True)[1]["count", "calls"]) == 3 and list(net.state) == [("count", "calls")]


def test_a_shared_layer_of_a_shared_layer_is_refused():
    with pytest.raises(gl.GradloomError, match="'b' shares the layer 'a', which shares 'fc' itself: write that"):
        gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(3, name="fc"), L.Shared("fc", name="a"), L.Shared("a", name="b")])
