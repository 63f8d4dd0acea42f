"""sgdmupdate and dlupdate: new parameters from gradients, for networks and for any container."""
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import gradloom as gl

L = gl.layers


def network():
    return gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4), L.BatchNormalization(), L.Tanh(), L.FullyConnected(2)])


def gradients_of(net, x):
    def fun(net, x):
        y, state = net.forward(x, return_state=True)
        return gl.dlgradient(gl.sum(y * y), net.learnables), state

    return gl.dlfeval(fun, net, x)


# ----- the formula -----


def test_the_formula_step_by_step():
    p, v = gl.dlarray([1.0, -2.0]), None
    want_p, want_v = np.array([1.0, -2.0]), np.zeros(2)
    for k in range(4):
        g = np.array([0.5, k])
        p, v = gl.sgdmupdate(p, gl.dlarray(g), v, learn_rate=0.1, momentum=0.8)
        want_v = 0.8 * want_v - 0.1 * g
        want_p = want_p + want_v
        np.testing.assert_allclose(p, want_p)
        np.testing.assert_allclose(v, want_v)


def test_against_torch():
    gl.rng(0)
    p = gl.rand((3, 2), dtype="float32")
    other = torch.nn.Parameter(torch.from_numpy(np.array(p)))
    solver = torch.optim.SGD([other], lr=0.01, momentum=0.9)
    v = None
    for _ in range(5):
        g = gl.rand((3, 2), dtype="float32")
        p, v = gl.sgdmupdate(p, g, v)
        other.grad = torch.from_numpy(np.array(g))
        solver.step()
    np.testing.assert_allclose(p, other.detach(), rtol=1e-6)


def test_defaults_are_matlabs():
    p, v = gl.sgdmupdate(gl.dlarray(1.0), gl.dlarray(1.0))
    assert float(p) == pytest.approx(0.99) and float(v) == pytest.approx(-0.01)
    p, v = gl.sgdmupdate(p, gl.dlarray(0.0), v)
    assert float(v) == pytest.approx(-0.009)


@pytest.mark.parametrize("start", [None, [], (), {}, np.array([]), gl.dlarray([])])
def test_velocity_starts_from_nothing(start):
    assert float(gl.sgdmupdate(gl.dlarray(1.0), gl.dlarray(1.0), start)[0]) == pytest.approx(0.99)


def test_a_digits_sized_loop_learns():
    gl.rng(1)
    net, velocity = network(), None
    x = gl.rand((3, 20), "CB", dtype="float32")
    target = gl.stack([gl.sum(x, axis="C"), gl.dlarray(np.asarray(x)[0], "B")])

    def loss_of(net, x):
        y, state = net.forward(x, return_state=True)
        loss = gl.mean((gl.stripdims(y) - gl.stripdims(target)) ** 2)
        return loss, state, gl.dlgradient(loss, net.learnables)

    losses = []
    for _ in range(200):
        loss, state, gradients = gl.dlfeval(loss_of, net, x)
        net = net.replace(state=state)
        net, velocity = gl.sgdmupdate(net, gradients, velocity, learn_rate=0.1)
        losses.append(float(loss))
    assert losses[-1] < 0.05 * losses[0]
    assert np.asarray(net.state["batchnorm", "trained_mean"]).any()


# ----- nothing is changed in place, types and labels stay -----


def test_nothing_is_changed_in_place():
    net = network()
    g, state = gradients_of(net, gl.rand((3, 5), "CB"))
    before = {k: np.array(v) for k, v in net.learnables.items()}
    g_before = {k: np.array(v) for k, v in g.items()}
    new, v = gl.sgdmupdate(net, g)
    v_before = {k: np.array(x) for k, x in v.items()}
    newer, w = gl.sgdmupdate(new, g, v)
    for found, want in ((net.learnables, before), (g, g_before), (v, v_before)):
        assert all(np.array_equal(found[k], want[k]) for k in want)
    assert not np.array_equal(newer.learnables["fc", "weights"], new.learnables["fc", "weights"])


def test_each_parameter_keeps_its_type_and_labels():
    p = [gl.dlarray(np.ones(2, np.float32)), gl.dlarray(np.ones(2)), gl.dlarray(np.ones((2, 1)), "CB", dtype="bfloat16"),
         gl.dlarray([1 + 1j, 2])]
    g = [gl.ones(2), gl.ones(2), gl.ones((2, 1)), gl.dlarray([1j, 1])]
    for _ in range(2):
        p, v = gl.sgdmupdate(p, g, None)
        p, v = gl.sgdmupdate(p, g, v)
    assert [x.dtype for x in p] == [torch.float32, torch.float64, torch.bfloat16, torch.complex128] == [x.dtype for x in v]
    assert p[2].dims == "CB"
    with pytest.raises(TypeError, match="complex, the parameter is real"):
        gl.sgdmupdate(gl.dlarray([1.0]), gl.dlarray([1j]))


def test_gradients_with_respect_to_the_network_itself():
    net, x = network(), gl.rand((3, 5), "CB")
    g, _ = gradients_of(net, x)
    whole = gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net.forward(x) ** 2), net), net, x)
    assert isinstance(whole, gl.dlnetwork) and not np.asarray(whole.state["batchnorm", "trained_mean"]).any()
    new, _ = gl.sgdmupdate(net, whole)
    want, _ = gl.sgdmupdate(net, g)
    for key in want.learnables:
        np.testing.assert_allclose(new.learnables[key], want.learnables[key], atol=1e-6)


def test_the_rest_of_the_network_stays():
    net = network()
    g, state = gradients_of(net, gl.rand((3, 5), "CB"))
    net = net.replace(state=state)
    new, _ = gl.sgdmupdate(net, g)
    assert isinstance(new, gl.dlnetwork)
    assert np.array_equal(new.state["batchnorm", "trained_mean"], state["batchnorm", "trained_mean"])


# ----- containers -----

Pair = namedtuple("Pair", "a b")


@dataclass(frozen=True)
class Model:
    w: object
    b: object


@pytest.mark.parametrize("made", [
    lambda a, b: [a, b], lambda a, b: (a, b), lambda a, b: {"w": a, "b": b}, Pair, lambda a, b: {"deep": [a, {"er": b}]}, Model,
    lambda a, b: gl.Learnables({("l", "w"): a, ("l", "b"): b}), lambda a, b: gl.Learnables({("l", "w"): a, ("l", "b"): b}).table(),
])
def test_containers_come_back_as_they_were(made):
    p = made(gl.dlarray([1.0, 2.0]), gl.dlarray(3.0))
    g = made(gl.dlarray([1.0, 0.0]), gl.dlarray(10.0))
    new, v = gl.sgdmupdate(p, g, learn_rate=1.0)
    new, v = gl.sgdmupdate(new, g, v, learn_rate=1.0, momentum=1.0)
    assert type(new) is type(p) and type(v) is type(p)
    sums = gl.dlupdate(lambda x, y: x + y, p, g)
    assert type(sums) is type(p)
    leaves = np.concatenate([np.ravel(x) for x in gl_leaves(new)])
    np.testing.assert_allclose(leaves, [-2, 2, -27])


def test_tables_of_parameters_of_one_shape():
    p = gl.Learnables({("a", "w"): gl.dlarray([1.0, 2.0]), ("b", "w"): gl.dlarray([3.0, 4.0])}).table()
    new, v = gl.sgdmupdate(p, gl.dlupdate(lambda x: gl.ones_like(x), p), learn_rate=1.0)
    assert [list(np.asarray(x)) for x in new["Value"]] == [[0, 1], [2, 3]] and list(new["Layer"]) == ["a", "b"]


def test_nothing_to_update():
    net = gl.dlnetwork([L.FeatureInput(2), L.ReLU()])
    same, v = gl.sgdmupdate(net, net.learnables)
    assert same is net and len(v) == 0
    assert gl.sgdmupdate({}, {}) == ({}, {})
    assert isinstance(gl.dlupdate(lambda p: p, net), gl.dlnetwork)


def gl_leaves(tree):
    from gradloom.core.containers import flatten

    return flatten(tree)[0]


def test_networks_in_containers():
    """MATLAB's struct of networks, or a network and an unknown coefficient."""
    net, x = network(), gl.rand((3, 5), "CB")

    def fun(p, x):
        loss = p["k"] * gl.sum(p["net"].forward(x) ** 2)
        return gl.dlgradient(loss, {"net": p["net"].learnables, "k": p["k"]})

    p = {"net": net, "k": gl.dlarray(2.0)}
    g = gl.dlfeval(fun, p, x)
    new, v = gl.sgdmupdate(p, g)
    new, v = gl.sgdmupdate(new, g, v)
    assert isinstance(new["net"], gl.dlnetwork) and isinstance(v["net"], gl.Learnables)
    alone, w = gl.sgdmupdate(net, g["net"])
    alone, w = gl.sgdmupdate(alone, g["net"], w)
    assert np.array_equal(new["net"].learnables["fc", "weights"], alone.learnables["fc", "weights"])
    np.testing.assert_allclose(new["k"], 2 - 0.01 * float(g["k"]) * (1 + 1.9), rtol=1e-6)
    doubled = gl.dlupdate(lambda x: 2 * x, p)
    assert float(doubled["k"]) == 4 and isinstance(doubled["net"], gl.dlnetwork)


def test_some_parameters_of_a_network():
    net = network()
    x = gl.rand((3, 5), "CB")
    mine = {k: p for k, p in net.learnables.items() if k[0] == "fc"}
    g, _ = gradients_of(net, x)
    mine, v = gl.sgdmupdate(mine, {k: g[k] for k in mine})
    new = net.replace(learnables=mine)
    assert not np.array_equal(new.learnables["fc", "weights"], net.learnables["fc", "weights"])
    assert np.array_equal(new.learnables["fc_1", "weights"], net.learnables["fc_1", "weights"])
    same, w = gl.sgdmupdate(net, {k: g[k] for k in mine})
    assert isinstance(same, gl.dlnetwork) and list(w) == list(v)
    for key, value in new.learnables.items():
        assert np.array_equal(same.learnables[key], value)
    same, w = gl.sgdmupdate(same, {k: g[k] for k in mine}, w)
    table, w = gl.sgdmupdate(net.learnables, {k: g[k] for k in mine}, v)
    assert type(table) is gl.Learnables and list(table) == list(net.learnables)


# ----- what is refused -----


def test_wrong_containers_for_a_network():
    net = network()
    g, _ = gradients_of(net, gl.rand((3, 5), "CB"))
    _, v = gl.sgdmupdate(net, g)
    with pytest.raises(TypeError, match=r"gradients is numpy ndarray of shape \(3,\).*dlgradient"):
        gl.sgdmupdate(net, np.zeros(3))
    with pytest.raises(TypeError, match="gradients is a list of 2"):
        gl.sgdmupdate(net, [1, 2])
    with pytest.raises(TypeError, match=r"velocity is numpy ndarray.*pass None to start"):
        gl.sgdmupdate(net, g, np.zeros((1, 1)))
    with pytest.raises(TypeError, match=r"velocity is int.*pass None to start"):
        gl.sgdmupdate(net, g, 0)
    with pytest.raises(ValueError, match=r"velocity lacks \('fc', 'bias'\).*pass None to start"):
        gl.sgdmupdate(net, g, {k: x for k, x in v.items() if k != ("fc", "bias")})
    with pytest.raises(ValueError, match="gradients lacks"):
        gl.sgdmupdate(net, {})
    with pytest.raises(ValueError, match=r"gradients has \('fd', 'bias'\), which the network does not have; did you mean 'fc'"):
        gl.sgdmupdate(net, {**g, ("fd", "bias"): g["fc", "bias"]})
    with pytest.raises(ValueError, match=r"gradients of \('fc', 'bias'\) has shape 3, the parameter is 4"):
        gl.sgdmupdate(net, {**g, ("fc", "bias"): gl.zeros(3)})
    with pytest.raises(TypeError, match=r"velocity of \('fc', 'bias'\) is ndarray, not a dlarray"):
        gl.sgdmupdate(net, g, {**v, ("fc", "bias"): np.zeros(4)})


def test_rate_and_momentum_by_position_as_in_matlab():
    p, g, v = gl.dlarray(1.0), gl.dlarray(2.0), gl.dlarray(0.5)
    given = gl.sgdmupdate(p, g, v, 0.1, 0.5)
    assert [x.item() for x in given] == [x.item() for x in gl.sgdmupdate(p, g, v, learn_rate=0.1, momentum=0.5)] == pytest.approx([1.05, 0.05])
    with pytest.raises(TypeError, match=r"sgdmupdate has no lr=.*PyTorch's lr= is learn_rate= here"):
        gl.sgdmupdate(p, g, v, lr=0.1)


def test_wrong_containers():
    p = {"w": gl.dlarray([1.0]), "b": gl.dlarray(1.0)}
    with pytest.raises(TypeError, match="gradients is a list of 2, the parameters are a dict of 2"):
        gl.sgdmupdate(p, [gl.dlarray([1.0]), gl.dlarray(1.0)])
    with pytest.raises(TypeError, match="gradients is None"):
        gl.sgdmupdate(p, None)
    with pytest.raises(ValueError, match=r"gradients of \['w'\] has shape 2, the parameter is 1"):
        gl.sgdmupdate(p, {"w": gl.zeros(2), "b": gl.dlarray(1.0)})
    with pytest.raises(TypeError, match=r"sgdmupdate changes dlarrays, \['w'\] is ndarray"):
        gl.sgdmupdate({"w": np.zeros(1)}, {"w": gl.zeros(1)})
    with pytest.raises(TypeError, match="int64"):
        gl.sgdmupdate(gl.dlarray([1], dtype="int64"), gl.dlarray([1.0]))
    with pytest.raises(TypeError, match="a function first"):
        gl.dlupdate(p, lambda x: x)
    with pytest.raises(TypeError, match="another argument"):
        gl.dlupdate(lambda x, y: x, p, [1.0])
    nets = {"net": network()}
    with pytest.raises(TypeError, match=r"gradients is a dict of 1, the parameters are a dict of 1"):
        gl.sgdmupdate(nets, {"other": nets["net"].learnables})


# ----- traced -----


def test_an_update_inside_a_function_is_recorded():
    """A step of gradient descent that is itself differentiated: f(p) = (p - lr f'(p))**2 for f(p) = p**2."""
    def outer(p):
        g = gl.dlgradient(p ** 2, p, enable_higher_derivatives=True)
        new, v = gl.sgdmupdate(p, g, learn_rate=0.25)
        return new, gl.dlgradient(new ** 2, p)

    new, g = gl.dlfeval(outer, gl.dlarray(3.0))
    assert float(new) == 1.5 and float(g) == 1.5  # new = p / 2, d(new**2)/dp = p / 2

    def silent(p):
        new, v = gl.sgdmupdate(p, gl.dlgradient(p ** 2, p), learn_rate=0.25)
        return gl.dlgradient(new ** 2, p)

    with pytest.raises(gl.TraceError, match="was not recorded"):
        gl.dlfeval(silent, gl.dlarray(3.0))


def test_a_network_updated_inside_a_function():
    net, x = network(), gl.rand((3, 5), "CB")

    def step(net, x):
        g = gl.dlgradient(gl.sum(net.forward(x) ** 2), net.learnables)
        return gl.sgdmupdate(net, g), g

    (new, v), g = gl.dlfeval(step, net, x)
    want, _ = gl.sgdmupdate(net, g)
    np.testing.assert_allclose(new.learnables["fc", "weights"], want.learnables["fc", "weights"], rtol=1e-6)
    assert new.learnables["fc", "weights"].dtype == torch.float32 and not new.learnables["fc", "weights"].traced


# ----- dlupdate -----


def test_dlupdate_of_a_network():
    net = network()
    double = gl.dlupdate(lambda p: p.astype("float64"), net)
    assert all(p.dtype == torch.float64 for p in double.learnables.values())
    shrunk = gl.dlupdate(lambda p, g: p - 0.5 * g, net, net.learnables)
    np.testing.assert_allclose(shrunk.learnables["fc", "weights"], 0.5 * np.asarray(net.learnables["fc", "weights"]))
    with pytest.raises(ValueError, match=r"returned shape scalar for \('fc', 'weights'\)"):
        gl.dlupdate(gl.sum, net)


def test_dlupdate_with_several_results():
    net = network()
    new, norms = gl.dlupdate(lambda p: (-p, gl.sum(p * p)), net)
    assert isinstance(new, gl.dlnetwork) and isinstance(norms, gl.Learnables)
    assert norms["fc", "weights"].shape == ()
    a, b = gl.dlupdate(lambda p, q: (p + q, p - q), [gl.dlarray(3.0)], [gl.dlarray(1.0)])
    assert [float(a[0]), float(b[0])] == [4, 2]


def test_dlupdate_gets_handles_of_its_own():
    def zeroed(p):
        p[0] = 0
        return p

    p = [gl.dlarray([1.0, 2.0])]
    assert np.array_equal(gl.dlupdate(zeroed, p)[0], [0, 2]) and np.array_equal(p[0], [1, 2])


def test_weight_decay_as_in_matlab():
    """gradients(idx) = dlupdate(@(g, w) g + l2 w, gradients(idx), net.Learnables(idx))."""
    net = network()
    g, _ = gradients_of(net, gl.rand((3, 5), "CB"))
    weights = [k for k in net.learnables if k[1] == "weights"]
    decayed = gl.dlupdate(lambda g, w: g + 0.1 * w, {k: g[k] for k in weights}, {k: net.learnables[k] for k in weights})
    new, _ = gl.sgdmupdate(net, {**g, **decayed})
    want = net.learnables["fc", "weights"] - 0.01 * (g["fc", "weights"] + 0.1 * net.learnables["fc", "weights"])
    np.testing.assert_allclose(new.learnables["fc", "weights"], want, atol=1e-6)


@pytest.mark.parametrize("update", [gl.sgdmupdate, gl.rmspropupdate,
                                    lambda p, g, learn_rate: gl.adamupdate(p, g, None, None, 1, learn_rate)])
def test_a_rate_may_be_an_array_and_has_a_derivative(update):
    p, g = gl.dlarray([1.0, -2.0]), gl.dlarray([0.5, 3.0])
    plain = update(p, g, learn_rate=0.1)[0]
    assert np.array_equal(plain, update(p, g, learn_rate=gl.dlarray(0.1))[0])

    def slope(rate):
        y = gl.sum(update(p, g, learn_rate=rate)[0])
        return gl.dlgradient(y, rate)

    found = float(gl.dlfeval(slope, gl.dlarray(0.1)))
    step = float(gl.sum(update(p, g, learn_rate=0.1 + 1e-6)[0])) - float(gl.sum(update(p, g, learn_rate=0.1 - 1e-6)[0]))
    assert found == pytest.approx(step / 2e-6, rel=1e-6)
    with pytest.raises(TypeError, match="learn_rate is one real number"):
        update(p, g, learn_rate=gl.dlarray([0.1, 0.2]))
