"""The body of a network: a graph of layers that is no chain, what runs of it, what is forgotten, and what is refused."""
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.interop.torch import from_torch
from gradloom.networks.body import Body
from gradloom.networks.building import construct
from gradloom.networks.graph import Graph, Node
from gradloom.networks.network import network_of

L = gl.layers


class Add(gl.Layer):
    input_names = ("in1", "in2")

    def predict(self, a, b):
        return a + b


class Halves(gl.Layer):
    """The first and the last channels."""

    output_names = ("first", "last")

    def predict(self, x):
        half = x.sizes["C"] // 2
        return x[x.at(C=slice(0, half))], x[x.at(C=slice(half, None))]


class Watch(gl.Layer):
    """Passes on what it is given, as new memory, and tells who ran and what of the earlier values is alive."""

    ran: list
    made: dict

    def predict(self, x):
        gc.collect()
        self.ran.append((self.name, sorted(name for name, value in self.made.items() if value() is not None)))
        y = x * 1.0
        self.made[self.name] = weakref.ref(y._value)
        return y


class Count(gl.Layer):
    calls: gl.State

    def initialize(self, layout):
        self.calls = gl.zeros(())

    def predict(self, x):
        self.calls = self.calls + 1
        return x


def graph(layers, edges, *examples, dtype="float64"):
    """The network of a body that was built with edges."""
    return network_of(*construct([[layer] for layer in layers], examples, dtype, edges))


def branches():
    """in -> fc1 -> tanh -> add <- fc2 <- in, add -> softmax: listed in an order in which it cannot run."""
    return graph([L.Softmax(), Add(name="add"), L.FeatureInput(3, name="in"), L.FullyConnected(2, name="fc1"), L.Tanh(name="tanh"),
                  L.FullyConnected(2, name="fc2")],
                 [("in", "fc1"), ("fc1", "tanh"), ("tanh", "add/in1"), ("fc2", "add/in2"), ("in", "fc2"), ("add", "softmax")])


X = gl.dlarray([[1.0, -2.0], [0.5, 1.5], [2.0, 0.0]], "CB")


def test_two_branches_meet_in_an_addition():
    gl.rng(0)
    net = branches()
    p = net.learnables
    assert list(p) == [("fc1", "weights"), ("fc1", "bias"), ("fc2", "weights"), ("fc2", "bias")]

    def by_hand(p, x):
        h = gl.tanh(gl.fullyconnect(x, p["fc1", "weights"], p["fc1", "bias"]))
        return gl.softmax(h + gl.fullyconnect(x, p["fc2", "weights"], p["fc2", "bias"]))

    np.testing.assert_allclose(net(X), by_hand(p, X), rtol=1e-14)

    def loss(run):
        return lambda p, x: gl.dlgradient(gl.sum(run(p, x)[0] ** 2), [p, x])

    (ours, x_bar), (theirs, x_hand) = (gl.dlfeval(loss(run), p, X) for run in (lambda p, x: net.replace(learnables=p)(x), by_hand))
    for key in p:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(x_bar, x_hand, rtol=1e-13)


def test_sizes_are_found_along_the_edges():
    rows = repr(branches()).splitlines()
    assert rows[0] == "dlnetwork of 6 layers, 16 learnables float64"
    assert [row.split()[0] for row in rows[2:]] == ["softmax", "add", "in", "fc1", "tanh", "fc2"] and "2(C) x 1(B)" in rows[3]


def test_outputs_in_the_middle_run_what_they_need_and_no_more():
    ran, made = [], {}
    net = graph([L.FeatureInput(3, name="in"), Watch(ran, made, name="a"), Watch(ran, made, name="b"), Watch(ran, made, name="c"), Add(name="add")],
                [("in", "a"), ("a", "b"), ("a", "c"), ("b", "add/in1"), ("c", "add/in2")])
    ran.clear()
    c, a = net.predict(X, outputs=["c", "a"])
    assert [name for name, _ in ran] == ["a", "c"] and np.array_equal(a, X) and np.array_equal(c, X)
    ran.clear()
    assert net.predict(X, outputs=[]) == () and ran == []
    one = net.predict(X, outputs="add")
    assert np.array_equal(one, 2 * np.asarray(X)) and [name for name, _ in ran] == ["a", "b", "c"]


def test_a_node_with_two_outputs():
    net = graph([L.FeatureInput(4, name="in"), Halves(name="halves"), L.Tanh(name="t"), Add(name="add")],
                [("in", "halves"), ("halves/last", "t"), ("halves/first", "add/in1"), ("t", "add/in2")])
    x = gl.dlarray([1.0, 2.0, 3.0, 4.0], "C")
    np.testing.assert_allclose(net(x), np.array([1, 2]) + np.tanh([3, 4]))
    assert np.array_equal(net.predict(x, outputs="halves/last"), [3, 4])
    with pytest.raises(KeyError, match="the layer 'halves' has 2 outputs.*halves/first, halves/last"):
        net.predict(x, outputs="halves")


def test_what_nothing_reads_is_returned_in_the_order_of_the_layers():
    net = graph([L.FeatureInput(4, name="in"), L.Tanh(name="t"), Halves(name="halves")], [("in", "halves"), ("halves/last", "t")])
    t, first = net(gl.dlarray([1.0, 2.0, 3.0, 4.0], "C"))
    np.testing.assert_allclose(t, np.tanh([3, 4]))
    assert np.array_equal(first, [1, 2])


def test_inputs_that_no_edge_leads_to_are_the_networks_own():
    net = graph([Add(name="add"), L.FullyConnected(2, name="fc", weights=np.eye(2), bias=np.zeros(2))], [("fc", "add/in2")],
                gl.zeros((2, 1), "CB"), gl.zeros((2, 1), "CB"))
    assert np.array_equal(net(gl.dlarray([1.0, 2.0], "C"), gl.dlarray([10.0, 20.0], "C")), [11, 22])
    with pytest.raises(TypeError, match=r"takes 2 inputs \(add/in1, fc\), 1 was given"):
        net(X)


def test_the_output_of_one_layer_read_twice_is_two_handles():
    class Zeroes(gl.Layer):
        def predict(self, x):
            x[0] = 0.0
            return x

    net = graph([L.FeatureInput(3, name="in"), Zeroes(name="z"), L.Function(lambda x: 1 * x, name="same"), Add(name="add")],
                [("in", "z"), ("in", "same"), ("z", "add/in1"), ("same", "add/in2")])
    want = 2 * np.asarray(X)
    want[0] /= 2
    assert np.array_equal(net(X), want)
    twice = graph([L.FeatureInput(3, name="in"), Add(name="add")], [("in", "add/in1"), ("in", "add/in2")])
    assert np.array_equal(twice(X), 2 * np.asarray(X))


def test_values_are_forgotten_after_their_last_use():
    ran, made = [], {}
    names = "abcde"
    net = graph([L.FeatureInput(3, name="in"), *[Watch(ran, made, name=name) for name in names], Add(name="add")],
                [("in", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("a", "e"), ("d", "add/in1"), ("e", "add/in2")])

    def alive(**options):
        ran.clear()
        made.clear()
        kept = net.predict(X, **options)
        return dict(ran), kept

    seen, _ = alive()
    assert seen == {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a", "c"], "e": ["a", "d"]}
    seen, kept = alive(outputs=["b", "add"])
    assert seen["e"] == ["a", "b", "d"] and len(kept) == 2
    seen, _ = alive(outputs="d")
    assert seen == {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}


def test_what_nothing_reads_is_forgotten_at_once():
    ran, made = [], {}
    net = graph([L.FeatureInput(3, name="in"), *[Watch(ran, made, name=name) for name in "acb"]], [("in", "a"), ("a", "b"), ("a", "c")])
    ran.clear()
    made.clear()
    net.predict(X, outputs="b", return_state=True)
    assert ran == [("a", []), ("c", ["a"]), ("b", ["a"])]


def test_new_states_are_those_of_every_layer():
    net = graph([L.FeatureInput(3, name="in"), Count(name="left"), Count(name="right"), Add(name="add")],
                [("in", "left"), ("in", "right"), ("left", "add/in1"), ("right", "add/in2")])
    y, state = net.predict(X, outputs="left", return_state=True)
    assert np.array_equal(y, X) and {key: float(value) for key, value in state.items()} == {("left", "calls"): 1, ("right", "calls"): 1}
    again = net.replace(state=state).predict(X, return_state=True)[1]
    assert float(again["right", "calls"]) == 2


def test_a_chain_is_a_graph_that_happens_to_be_a_chain():
    def layers():
        gl.rng(0)
        return [L.FeatureInput(3, name="in"), L.FullyConnected(4, name="fc"), L.BatchNormalization(name="bn"), L.Tanh(name="t")]

    chain, edges = gl.dlnetwork(layers(), dtype="float64"), graph(layers(), [("in", "fc"), ("fc", "bn"), ("bn", "t")])

    def run(net, x):
        y, state = net.forward(x, return_state=True)
        return y, state, gl.dlgradient(gl.sum(y ** 2), net.learnables)

    (a, its_state, its), (b, state, gradients) = (gl.dlfeval(run, net, X) for net in (chain, edges))
    assert np.array_equal(a, b)
    assert all(np.array_equal(its_state[key], state[key]) for key in state)
    assert all(np.array_equal(its[key], gradients[key]) for key in gradients)


def test_graphs_are_values():
    gl.rng(0)
    net = branches()
    other = pickle.loads(pickle.dumps(net))
    assert np.array_equal(net(X), other(X))
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net(x), net.learnables), net, X)
    row = gl.dlfeval(lambda net, x: gl.dlgradient(net(x)[1, 0], net.learnables), net, X)
    np.testing.assert_allclose(J["fc1", "weights"].dense()[1, 0], row["fc1", "weights"], atol=1e-14)
    new, _ = gl.sgdmupdate(net, row, learn_rate=1.0)
    np.testing.assert_allclose(new.learnables["fc2", "bias"], np.asarray(net.learnables["fc2", "bias"]) - np.asarray(row["fc2", "bias"]))


def test_all_faults_are_told_at_once():
    nodes = [Node("a"), Node("b"), Node("add", ("in1", "in2")), Node("halves", outputs=("first", "last"))]
    edges = [("a", "b"), ("b", "a"), ("c", "b"), ("a", "add"), ("halves", "add/in1"), ("halves/fist", "add/in1"), ("b", "add/in2"), ("a", "add/in2")]
    with pytest.raises(gl.GradloomError) as refused:
        Graph(nodes, edges)
    text = str(refused.value)
    for fault in ("there is no layer 'c'", "the layer 'add' has 2 inputs; write one of add/in1, add/in2", "the layer 'halves' has 2 outputs",
                  "has no output 'fist'; did you mean 'first'", "two edges lead into 'add/in2'", "a -> b -> a is a circle"):
        assert fault in text, fault


def test_the_order_keeps_to_the_list_where_it_can():
    def order(edges):
        return [nodes[k].name for k in Graph(nodes, edges).order]

    nodes = [Node(name) for name in "abcd"]
    assert order([("a", "b"), ("b", "c"), ("c", "d")]) == list("abcd")
    assert order([("d", "a"), ("a", "b"), ("b", "c")]) == list("dabc")
    assert order([]) == list("abcd")


def test_a_network_of_layers_has_no_options():
    net = gl.dlnetwork([L.FeatureInput(3), L.Tanh()])
    with pytest.raises(TypeError, match=r"no option output=, at test_network_graphs\.py.*outputs=, return_state= and mask="):
        net.predict(X, output="tanh")


def test_a_layer_that_names_more_than_it_returns():
    class Alone(gl.Layer):
        output_names = ("one", "two")

        def predict(self, x):
            return x

    net = gl.dlnetwork([L.FeatureInput(3), Alone()])
    assert np.array_equal(net.predict(X, outputs="alone/one"), X)
    with pytest.raises(gl.GradloomError, match="returned 1 output and names 2"):
        net.predict(X, outputs="alone/two")


# ----- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [lambda: gl.dlnetwork([L.FeatureInput(3, name="in"), L.FullyConnected(2, name="fc")]), branches,
                                  lambda: from_torch(torch.nn.Linear(3, 2))])
def test_every_network_is_a_plain_one_with_a_body(made):
    """Parameters and a body; nothing is overridden."""
    net = made()
    assert type(net) is gl.dlnetwork and gl.dlnetwork.__final__
    body = net._body
    members = [name for name, thing in vars(Body).items() if not name.startswith("_") and (callable(thing) or isinstance(thing, property))]
    assert {"run", "rows", "reset", "learnable_keys", "input_names", "columns"} <= set(members) and all(hasattr(body, name) for name in members)
    assert (*body.learnable_keys, *body.state_keys) == (*net.learnables, *net.state)
    assert all(len(row) == len(body.columns) for row in body.rows(net._values))
    assert net.replace(learnables=net.learnables)._body is body


def test_what_inputs_and_outputs_are_called():
    net = gl.dlnetwork([L.FeatureInput(4, name="in"), Halves(name="halves")])._body
    assert net.input_names == ("in",) and net.output_names == ("halves/first", "halves/last")
    assert branches()._body.output_names == ("softmax",)
    assert from_torch(torch.nn.Linear(3, 2))._body.input_names == ("input",)


def test_anything_that_keeps_the_protocol_is_a_body():
    class Power:
        """x to a trained power."""

        learnable_keys, state_keys = (("", "exponent"),), (("", "calls"),)
        input_names, output_names, columns, separator = ("x",), ("y",), ("Kind",), "/"

        def run(self, values, xs, training, wanted, stateful, options):
            return xs[0] ** values[0], [values[1] + 1] if stateful else None

        def reset(self, values):
            return [values[0], gl.dlarray(0.0)]

        def layers(self, values):
            return ()

        def heading(self, values):
            return "a power"

        def rows(self, values):
            return [("power",)]

    net = network_of(Power(), [gl.dlarray(3.0), gl.dlarray(0.0)])
    y, state = net(gl.dlarray(2.0), return_state=True)
    assert float(y) == 8 and float(state["", "calls"]) == 1 and repr(net) == "a power\nKind\npower"
    g = gl.dlfeval(lambda net, x: gl.dlgradient(net(x), net.learnables), net, gl.dlarray(2.0))
    np.testing.assert_allclose(g["", "exponent"], 8 * np.log(2))
    new, _ = gl.sgdmupdate(net.replace(state=state), g, learn_rate=0.5)
    np.testing.assert_allclose(new.learnables["", "exponent"], 3 - 4 * np.log(2))
    assert float(new.state["", "calls"]) == 1 and float(new.reset_state().state["", "calls"]) == 0


@pytest.mark.parametrize("outputs", [2, ["alone", 2], [["alone"]], [None], 1.5, b"alone"])
def test_outputs_are_names(outputs):
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2, name="alone")])
    with pytest.raises(gl.TypeRefused, match=r"outputs are names of layers, not .* test_network_graphs\.py"):
        net.predict(gl.ones(3, "C"), outputs=outputs)
