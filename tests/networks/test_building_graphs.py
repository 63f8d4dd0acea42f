"""Networks that are graphs, as people write them: chains and connections, faults, editing by value."""
import gc
import weakref

import numpy as np
import pytest

import gradloom as gl

L = gl.layers


def residual(**options):
    gl.rng(0)
    return gl.dlnetwork([L.FeatureInput(3, name="in"), L.FullyConnected(4, name="fc1"), L.Tanh(name="t"), L.FullyConnected(4, name="fc2"),
                         L.Addition(name="add"), L.ReLU(name="out")], connections=[("fc1", "add/in2")], dtype="float64", **options)


X = gl.dlarray([[1.0, -2.0], [0.5, 1.5], [2.0, 0.0]], "CB")


def by_hand(p, x):
    h = gl.fullyconnect(x, p["fc1", "weights"], p["fc1", "bias"])
    return gl.relu(gl.fullyconnect(gl.tanh(h), p["fc2", "weights"], p["fc2", "bias"]) + h)


def test_one_chain_and_a_connection():
    net = residual()
    np.testing.assert_allclose(net(X), by_hand(net.learnables, X), rtol=1e-14)
    assert net.connections == (("in", "fc1"), ("fc1", "t"), ("t", "fc2"), ("fc2", "add/in1"), ("fc1", "add/in2"), ("add", "out"))
    assert net.input_names == ("in",) and net.output_names == ("out",) and net.initialized
    again = gl.dlnetwork(net.layers, connections=net.connections, dtype="float64")
    assert np.array_equal(again(X), net(X)) and again.connections == net.connections


def test_a_list_of_chains():
    gl.rng(0)
    net = gl.dlnetwork(
        [[L.FeatureInput(3, name="a"), L.FullyConnected(2, name="fa"), L.Concatenation("C", name="both"), L.FullyConnected(1, name="y")],
         [L.FeatureInput(2, name="b"), L.Tanh(name="tb")]], connections=[("tb", "both/in2")], outputs=["y", "tb"])
    b = gl.rand((2, 2), "CB")
    y, tb = net(X, b)
    assert net.input_names == ("a", "b") and net.output_names == ("y", "tb")
    p = net.learnables
    both = gl.concat([gl.fullyconnect(X, p["fa", "weights"], p["fa", "bias"]), gl.dlarray(np.tanh(b), "CB")], axis="C")
    np.testing.assert_allclose(y, gl.fullyconnect(both, p["y", "weights"], p["y", "bias"]), rtol=1e-5)
    np.testing.assert_allclose(tb, np.tanh(b), rtol=1e-6)


def test_examples_describe_inputs_in_their_order():
    net = gl.dlnetwork([[L.FullyConnected(2, name="f"), L.Addition(name="add")], [L.FeatureInput(5, name="middle"), L.FullyConnected(2)],
                        [L.FullyConnected(2, name="g")]], gl.Layout((3, 1), "CB"), gl.zeros((4, 7), "CB"),
                       connections=[("fc", "add/in2")], outputs=["add", "g"])
    assert net.input_names == ("f", "middle", "g")
    assert net.learnables["f", "weights"].shape == (2, 3) and net.learnables["g", "weights"].shape == (2, 4)
    with pytest.raises(TypeError, match="1 examples were given for 2 inputs that no input layer describes"):
        gl.dlnetwork([[L.FullyConnected(2, name="f")], [L.FullyConnected(2, name="g")]], gl.zeros((4, 7), "CB"))


def test_every_fault_is_told_in_one_error():
    with pytest.raises(gl.GradloomError) as refused:
        gl.dlnetwork([[L.FeatureInput(3, name="in"), L.FullyConnected(4, name="fc1"), L.Addition(3, name="add")],
                      [L.FeatureInput(2, name="b"), L.FullyConnected(5, name="wide"), L.FullyConnected(2, name="fc1")],
                      [L.ReLU(name="p"), L.ReLU(name="q")]],
                     connections=[("wide", "add/in2"), ("fcl", "add/in2"), ("q", "p"), ("wide", "add/in2")], outputs=["ad"])
    for said in ("two layers are named 'fc1'", "there is no layer 'fcl'; did you mean 'fc1'", "p -> q -> p is a circle", "two edges lead into 'add/in2'",
                 "nothing leads into 'add/in3'", "there is no layer 'ad'; did you mean 'add'", "at test_building_graphs.py"):
        assert said in str(refused.value), said


def test_sizes_that_do_not_meet_are_told_of_every_layer():
    with pytest.raises(gl.GradloomError) as refused:
        gl.dlnetwork([[L.FeatureInput(3, name="in"), L.FullyConnected(4, name="four"), L.Addition(name="add1")],
                      [L.FullyConnected(5, name="five"), L.Addition(name="add2")]],
                     connections=[("in", "five"), ("five", "add1/in2"), ("four", "add2/in2")])
    assert "the layer 'add1': " in str(refused.value) and "the layer 'add2': " in str(refused.value)


@pytest.mark.parametrize(("layers", "options", "said"), [
    ([L.FeatureInput(3), L.Addition(name="add")], {}, "nothing leads into 'add/in2'"),
    ([[L.FeatureInput(3), L.FeatureInput(3, name="b")]], {}, "'b' is an input layer"),
    ([L.FeatureInput(3, name="a"), L.ReLU()], {"connections": [("a", 3)]}, "not 3"),
    ([L.FeatureInput(3, name="a"), L.ReLU()], {"connections": ["ab", ("a",)]}, "is a pair such as"),
    ([L.FeatureInput(3), L.Shared("nobody")], {}, "shares the layer 'nobody', which is not there"),
])
def test_what_is_refused(layers, options, said):
    with pytest.raises(gl.GradloomError, match=said):
        gl.dlnetwork(layers, **options)


def test_connections_are_given_by_keyword():
    with pytest.raises(TypeError, match=r"connections are given by keyword: dlnetwork\(layers, connections="):
        gl.dlnetwork([L.ReLU(name="a"), L.Addition(name="add")], [("a", "add/in2")])


def test_a_list_in_a_list_is_a_chain_and_costs_what_one_costs():
    net = gl.dlnetwork([[L.FeatureInput(3, name="a"), L.FullyConnected(2), L.Tanh()]])
    assert net._body.graph.chain


def test_a_chain_forgets_what_it_has_read():
    alive, made = [], []

    class Watch(gl.Layer):
        def predict(self, x):
            gc.collect()
            alive.append([ref() is not None for ref in made])
            y = x * 1.0
            made.append(weakref.ref(y._value))
            return y

    net = gl.dlnetwork([L.FeatureInput(3), Watch(), Watch(), Watch(), Watch()])
    alive.clear()
    made.clear()
    net.predict(X)
    assert alive == [[], [True], [False, True], [False, False, True]]


# ----- unfinished networks and edits ---------------------------------------------------------------------------------


def test_an_unfinished_network_says_what_is_unset():
    net = gl.dlnetwork([L.FullyConnected(4, name="fc1"), L.BatchNormalization(name="bn"), L.ReLU()], initialize=False)
    assert not net.initialized and list(net.learnables) == []
    with pytest.raises(gl.GradloomError, match=r"not initialised, at test_building.*: fc1 \(weights, bias\), bn \(offset, scale, trained_mean.*net\.initialize\(\)"):
        net(X)
    done = net.initialize(X)
    assert done.initialized and not net.initialized and done(X).shape == (4, 2) and done.settings["fc1", "bias"].l2_factor == 0


def test_initialize_keeps_what_is_set():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4, name="fc", weights=np.ones((4, 3)))], initialize=False, dtype="float64")
    assert list(net.learnables) == [("fc", "weights")]
    done = net.initialize()
    assert np.array_equal(done.learnables["fc", "weights"], np.ones((4, 3))) and str(done.learnables["fc", "bias"].dtype) == "torch.float64"


def test_edits_share_what_did_not_change():
    net = residual().freeze("fc1").set_learn_rate_factor("fc2", "weights", 3)
    edited = net.replace_layer("t", [L.ReLU(name="r"), L.FullyConnected(4, name="mid"), L.Tanh()])
    assert not edited.initialized and edited["tanh"].name == "tanh"
    done = edited.initialize()
    for key in net.learnables:
        assert done.learnables[key]._value is net.learnables[key]._value
        assert done.settings[key] == net.settings[key]
    assert done.settings["mid", "bias"].l2_factor == 0 and str(done.learnables["mid", "bias"].dtype) == "torch.float64"
    assert ("fc1", "r") in done.connections and ("tanh", "fc2") in done.connections and done(X).shape == (4, 2)
    assert net.connections == residual().connections


def test_either_name_of_an_only_end_disconnects():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4), L.ReLU(), L.FullyConnected(2)])
    for ends in (("fc", "relu"), ("fc", "relu/in"), ("fc/out", "relu"), ("fc/out", "relu/in")):
        assert net.disconnect_layers(*ends).input_names == ("input", "relu")
    for ends in (("fc/in", "relu"), ("fc", "relu/out"), (["fc"], "relu"), (3, None)):
        with pytest.raises(gl.UnknownName, match="nothing leads from"):
            net.disconnect_layers(*ends)


def test_layers_are_added_removed_connected_and_disconnected():
    net = residual()
    net = net.disconnect_layers("fc1", "add/in2").add_layers([L.FullyConnected(4, name="skip")], after="in").connect_layers("skip", "add/in2").initialize()
    p = net.learnables
    h = gl.fullyconnect(X, p["fc1", "weights"], p["fc1", "bias"])
    want = gl.relu(gl.fullyconnect(gl.tanh(h), p["fc2", "weights"], p["fc2", "bias"]) + gl.fullyconnect(X, p["skip", "weights"], p["skip", "bias"]))
    np.testing.assert_allclose(net(X), want, rtol=1e-14)
    cut = net.remove_layers("out")
    assert cut.output_names == ("add",) and list(cut.learnables) == list(net.learnables)
    alone = net.remove_layers(["in", "out"]).add_input_layer(L.FeatureInput(3, name="new"), "fc1")
    assert alone.input_names == ("new", "skip")
    with pytest.raises(gl.GradloomError, match="nothing leads into 'skip'"):
        alone.initialize()


def test_an_edited_chain_is_a_chain():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2), L.Softmax()])
    other = net.replace_layer("fc", L.FullyConnected(5)).initialize()
    assert other._body.graph.chain and other.learnables["fc", "weights"].shape == (5, 3) and list(other.learnables)[0] == ("fc", "weights")
    more = other.add_layers(L.FullyConnected(1, name="last"), after="softmax").initialize()
    assert more._body.graph.chain and more(gl.ones(3, "C")).shape == (1,)
    assert np.array_equal(more.learnables["fc", "weights"], other.learnables["fc", "weights"])


def test_edits_inside_a_trace_keep_the_parameters_on_it():
    def loss(net, x):
        other = net.remove_layers("out").add_layers([L.Tanh(name="end")], after="add")
        return gl.dlgradient(gl.sum(other(x)), net.learnables)

    net = residual()
    gradients = gl.dlfeval(loss, net, X)

    def hand(p, x):
        h = gl.fullyconnect(x, p["fc1", "weights"], p["fc1", "bias"])
        return gl.dlgradient(gl.sum(gl.tanh(gl.fullyconnect(gl.tanh(h), p["fc2", "weights"], p["fc2", "bias"]) + h)), p)

    for key, g in gl.dlfeval(hand, net.learnables, X).items():
        np.testing.assert_allclose(gradients[key], g, rtol=1e-12)


@pytest.mark.parametrize(("edit", "error", "message"), [
    (lambda n: n.remove_layers("fc"), KeyError, "no layer 'fc'; did you mean"),
    (lambda n: n.replace_layer("fcl", L.ReLU()), KeyError, "did you mean 'fc1'"),
    (lambda n: n.connect_layers("fc1", "add/in2"), gl.GradloomError, "two edges lead into 'add/in2'"),
    (lambda n: n.connect_layers("out", "fc1"), gl.GradloomError, "two edges lead into 'fc1'"),
    (lambda n: n.disconnect_layers("fc2", "add/in2"), KeyError, "nothing leads from 'fc2' to 'add/in2'"),
    (lambda n: n.add_layers([L.ReLU(name="t")]), gl.GradloomError, "two layers are named 't'"),
    (lambda n: n.remove_layers([layer.name for layer in n.layers]), TypeError, "leaves no network"),
    (lambda n: n.add_input_layer(L.ReLU()), TypeError, "takes an input layer"),
    (lambda n: n.add_input_layer(L.FeatureInput(3)), TypeError, "0 inputs have no input layer"),
    (lambda n: n["fc3"], KeyError, "did you mean 'fc1'"),
])
def test_edits_that_are_refused(edit, error, message):
    with pytest.raises(error, match=message):
        edit(residual())


def test_a_layer_by_its_name():
    layer = residual()["fc1"]
    assert type(layer) is L.FullyConnected and layer.name == "fc1" and layer.weights.shape == (4, 3)
