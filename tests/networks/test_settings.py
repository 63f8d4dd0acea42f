"""What training is told of learnables: factors and freezing, their places beside body and values, and what they refuse."""
import pickle

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.interop.torch import from_torch
from gradloom.networks.settings import Setting

L = gl.layers


def net():
    gl.rng(0)
    return gl.dlnetwork([L.ImageInput((4, 4, 1)), L.Convolution2d(3, 2, name="conv1"), L.BatchNormalization(name="bn1"), L.ReLU(), L.FullyConnected(2, name="fc")],
                        dtype="float64")


def test_biases_of_the_catalogue_are_not_regularized():
    class Mine(gl.Layer):
        bias: gl.Learnable

        def initialize(self, layout):
            self.bias = gl.zeros((1,))

        def predict(self, x):
            return x + self.bias

    class Dense(L.FullyConnected):
        pass

    its = gl.dlnetwork([L.FeatureInput(2), L.FullyConnected(2), Mine(), Dense(2)]).settings
    assert {key: s.l2_factor for key, s in its.items()} == {
        ("fc", "weights"): 1, ("fc", "bias"): 0, ("mine", "bias"): 1, ("dense", "weights"): 1, ("dense", "bias"): 0}
    assert all(s.learn_rate_factor == 1 and not s.frozen for s in its.values())


def test_factors_and_freezing_make_new_networks():
    a = net()
    b = a.set_learn_rate_factor("conv1", "weights", 3).set_l2_factor("*", "bias", 0.5).freeze("conv*", ("bn1", "scale"))
    assert b.settings["conv1", "weights"] == Setting(3.0, 1.0, True) and b.settings["fc", "bias"] == Setting(1.0, 0.5)
    assert list(b.trainable) == [("bn1", "offset"), ("fc", "weights"), ("fc", "bias")] and list(b.learnables) == list(a.learnables)
    assert list(b.unfreeze("conv1").trainable)[0] == ("conv1", "weights") and list(b.unfreeze().trainable) == list(a.learnables)
    assert list(a.freeze().trainable) == [] and list(a.trainable) == list(a.learnables)
    assert b._body is a._body and all(x is y for x, y in zip(a._values, b._values, strict=True))


def test_settings_stay_with_the_network():
    b = net().freeze("conv1").set_learn_rate_factor("fc", "weights", 2)
    x = gl.rand((4, 4, 1, 3), "SSCB")

    def step(n, x):
        y, state = n.forward(x, return_state=True)
        return n, gl.dlgradient(gl.sum(y ** 2), n.trainable), state

    inside, gradients, state = gl.dlfeval(step, b, x)
    assert list(gradients) == list(b.trainable)
    updated, _ = gl.sgdmupdate(b, gradients)
    assert np.array_equal(updated.learnables["conv1", "weights"], b.learnables["conv1", "weights"])
    assert not np.array_equal(updated.learnables["fc", "weights"], b.learnables["fc", "weights"])
    for other in (inside, updated, b.replace(state=state), b.to(dtype="float32"), b.reset_state(), pickle.loads(pickle.dumps(b)),
                  gl.dlupdate(lambda p: 2 * p, b)):
        assert other.settings == b.settings, other


def test_settings_can_be_replaced():
    a = net()
    b = a.replace(settings={("fc", "bias"): Setting(frozen=True)})
    assert b.settings["fc", "bias"].frozen and a.replace(settings=b.settings).settings == b.settings
    with pytest.raises(KeyError, match=r"no learnable \('fc', 'biass'\): layer 'fc' has weights, bias"):
        a.replace(settings={("fc", "biass"): Setting()})
    with pytest.raises(TypeError, match="is dict, not a Setting.*dataclasses.replace"):
        a.replace(settings={("fc", "bias"): {"frozen": True}})


def test_parts_of_a_torch_module_are_frozen_by_their_names():
    module = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 4)), torch.nn.Linear(4, 1))
    a = from_torch(module).freeze("0").set_learn_rate_factor("1", "bias", 10)
    assert list(a.trainable) == [("1", "weight"), ("1", "bias")] and a.settings["1", "bias"].learn_rate_factor == 10
    g = gl.dlfeval(lambda n, x: gl.dlgradient(gl.sum(n(x) ** 2), n.trainable), a, gl.rand((5, 3)))
    new, _ = gl.sgdmupdate(a, g)
    assert np.array_equal(new.learnables["0.0", "weight"], a.learnables["0.0", "weight"]) and new.settings == a.settings


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda n: n.freeze("cnv1"), KeyError, "no layer with learnables is called 'cnv1'; did you mean 'conv1'.*at test_settings"),
    (lambda n: n.freeze("relu"), KeyError, "they are conv1, bn1, fc"),
    (lambda n: n.freeze(3), TypeError, "not 3"),
    (lambda n: n.set_learn_rate_factor("fc", "weight", 1), KeyError, "layer 'fc' has weights, bias"),
    (lambda n: n.set_learn_rate_factor("fc", "weights", -1), TypeError, "not negative, not -1"),
    (lambda n: n.set_l2_factor("fc", "weights", float("nan")), TypeError, "finite"),
    (lambda n: n.set_l2_factor("fc", "weights", True), TypeError, "finite"),
])
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(net())


def test_a_network_in_a_layer_has_its_part_of_the_settings():
    inner = gl.dlnetwork([L.FullyConnected(2, name="fc"), L.Tanh(), L.FullyConnected(2, name="last")], initialize=False)
    net = gl.dlnetwork([L.FeatureInput(3), L.Network(inner, name="block")]).freeze("block/fc").set_learn_rate_factor(
        "block/last", "weights", 3.0)
    block = net["block"].network
    assert [key for key, its in block.settings.items() if its.frozen] == [("fc", "weights"), ("fc", "bias")]
    assert list(block.trainable) == [("last", "weights"), ("last", "bias")]
    assert block.settings["last", "weights"].learn_rate_factor == 3 and block.settings["last", "bias"].l2_factor == 0
    assert gl.dlnetwork(net.layers).settings == net.settings  # a network of these layers is told the same
    assert net.unfreeze()["block"].network.trainable.keys() == block.learnables.keys()
