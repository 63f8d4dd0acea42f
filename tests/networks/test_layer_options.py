"""What people write as options of layers: numbers and arrays of other libraries, and what is refused with their line."""
import dataclasses

import numpy as np
import pytest
import torch

import gradloom as gl

L = gl.layers
FUNCTION = gl.dlnetwork([L.FullyConnected(2), L.Tanh()], gl.zeros((2, 1), "CB"))


@pytest.mark.parametrize("times", [[0.0, 1.0], np.array([0.0, 1.0]), np.float32([0, 1]), gl.dlarray([0.0, 1.0]), torch.tensor([0.0, 1.0]),
                                   (np.float64(0), 1)])
def test_times_of_a_neural_ode(times):
    layer = L.NeuralODE(FUNCTION, times)
    assert repr(layer) == "NeuralODE(dlnetwork([...]), (0.0, 1.0))"
    net = gl.dlnetwork([L.FeatureInput(2), layer])
    assert np.array_equal(net(gl.ones((2, 3), "CB")), gl.dlnetwork([L.FeatureInput(2), L.NeuralODE(FUNCTION, (0.0, 1.0))])(gl.ones((2, 3), "CB")))


def test_several_times_in_an_array():
    net = gl.dlnetwork([L.FeatureInput(2), L.NeuralODE(FUNCTION, np.linspace(0, 1, 5))])
    assert net(gl.ones((2, 3), "CB")).sizes == {"C": 2, "B": 3, "T": 4}


@pytest.mark.parametrize("times", [5, "ab", [0.0, 0.0], [0.0, np.nan], [1.0], np.zeros((2, 2)), None])
def test_what_is_no_time(times):
    with pytest.raises(gl.ShapeError, match=r"(?s)NeuralODE: tspan is a vector.*test_layer_options.py.*write \(0.0, 1.0\)"):
        L.NeuralODE(FUNCTION, times)


def test_numbers_of_numpy_are_pythons():
    shown = [L.FullyConnected(np.int64(3)), L.ImageInput((np.int64(3), 4, np.int32(1))), L.Dropout(np.float32(0.5)),
             L.Convolution2d([np.int64(3), 3], np.int8(2), padding=((np.int64(1), 2), (0, 0)))]
    assert list(map(repr, shown)) == ["FullyConnected(3)", "ImageInput((3, 4, 1))", "Dropout(0.5)",
                                      "Convolution2d([3, 3], 2, padding=((1, 2), (0, 0)))"]


def test_a_layer_that_is_replaced_names_the_line():
    with pytest.raises(gl.ShapeError, match=r"test_layer_options\.py:\d+: dataclasses\.replace"):
        dataclasses.replace(L.LSTM(3), hidden_size=-1)


@pytest.mark.parametrize("groups", [0, 1.5, "each"])
def test_groups_are_checked_when_a_layer_is_made(groups):
    with pytest.raises(gl.ShapeError, match="num_groups is"):
        L.GroupNormalization(groups)


def test_labels_are_named_where_a_torch_module_does_not_fit():
    module = gl.interop.torch.from_torch(torch.nn.Linear(3, 2))
    with pytest.raises(gl.ShapeError, match=r"Linear was given 3\(C\) x 1\(B\), at test_layer_options\.py.*stripdims\(x, \"BC\"\)"):
        gl.dlnetwork([L.FeatureInput(3), L.Network(module)])
    with pytest.raises(gl.ShapeError) as caught:
        module(gl.zeros((4, 5)))
    assert "was given" not in str(caught.value)  # nothing is labelled


class Force(gl.Layer):
    """The negative gradient of a network, which is the layer's own."""

    energy: object

    def predict(self, x):
        def slope(x, energy):
            return -gl.dlgradient(gl.sum(energy.predict(x)), x, enable_higher_derivatives=True)
        return gl.dlfeval(slope, x, self.energy)


class Bend(gl.Layer):
    """A second derivative of a function of each observation."""

    def predict(self, x):
        def bend(x):
            return gl.partials(gl.sum(x ** 3, axis="C", keepdims=True), x, ["aa"], axis="C", names="ab")[0]
        return gl.dlfeval(bend, x)


def test_layers_that_take_derivatives_run_traced_or_not():
    energy = gl.dlnetwork([L.FullyConnected(4), L.Tanh(), L.FullyConnected(1)], gl.Layout((1, 2), "BC"), dtype="float64")
    net = gl.dlnetwork([L.FeatureInput(2), Force(energy)], dtype="float64")
    x = gl.dlarray(np.random.default_rng(0).standard_normal((5, 2)), "BC")
    key = ("force/fc", "weights")

    def total(weights):
        return float(gl.sum(net.replace(learnables={key: weights}).predict(x) ** 2))

    g = gl.dlfeval(lambda net: gl.dlgradient(gl.sum(net.predict(x) ** 2), net.trainable), net)[key]
    w, d = np.array(net.learnables[key]), np.zeros((4, 2))
    d[1, 0] = 1e-6
    assert float(g[1, 0]) == pytest.approx((total(w + d) - total(w - d)) / 2e-6, rel=1e-6)
    bent = gl.dlnetwork([L.FeatureInput(2), Bend()], dtype="float64")
    np.testing.assert_allclose(bent(x), 6 * np.asarray(x)[:, :1], rtol=1e-12)


def test_a_layer_with_a_bare_derivative_says_what_to_write():
    class Bare(gl.Layer):
        def predict(self, x):
            return gl.dlgradient(gl.sum(x ** 2), x)

    with pytest.raises(gl.TraceError, match="write dlfeval"):
        gl.dlnetwork([L.FeatureInput(2), Bare()])


def test_a_mini_batch_without_observations_has_no_statistics():
    net = gl.dlnetwork([L.FeatureInput(3), L.BatchNormalization()])
    assert net.predict(gl.zeros((0, 3), "BC")).shape == (0, 3)
    with pytest.raises(gl.ShapeError, match=r"0\(B\) x 3\(C\) has no elements.*test_layer_options.py.*leave empty"):
        net.forward(gl.zeros((0, 3), "BC"))


def test_what_makes_no_network_names_the_line():
    for wrong in (lambda: gl.dlnetwork([]), lambda: gl.dlnetwork(["relu"]), lambda: gl.dlnetwork([L.FullyConnected(2)]),
                  lambda: gl.dlnetwork([L.FeatureInput(2), L.Function(lambda x: 3)])):
        with pytest.raises(gl.GradloomError, match=r"test_layer_options\.py"):
            wrong()


TYPED = ("float", "bool", "str", "str | int", "tuple[int | None, ...]", "Initializer", "Initializer | float", "Normalization")
OPTIONS = [(name, option.name) for name in L.__all__ for option in dataclasses.fields(getattr(L, name)) if option.type in TYPED]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_of_no_type_that_it_takes(name, option):
    kind = getattr(L, name)
    sizes = {its.name: (2, 2) if "tuple" in str(its.type) else 2 for its in dataclasses.fields(kind) if not its.kw_only and its.default is dataclasses.MISSING}
    for value in ({}, object(), float("nan")):
        with pytest.raises(gl.GradloomError, match=rf"(?s){option}.*test_layer_options\.py"):
            kind(**{**sizes, option: value})


def test_there_are_options_of_each_type():
    assert {option.type for name in L.__all__ for option in dataclasses.fields(getattr(L, name))} >= set(TYPED)
    assert len(OPTIONS) > 100


def test_one_and_zero_are_truth_values_and_arrays_are_numbers():
    assert L.LSTM(2, has_state_outputs=1).output_names == ("out", "hidden", "cell")
    net = gl.dlnetwork([L.Scaling(scale=np.array([1.0, 2.0]))])
    assert net(gl.ones((1, 2), "BC")).tolist() == [[1, 2]]


@pytest.mark.parametrize("made", [
    lambda: gl.Layout((1, 2), "QC"), lambda: gl.Layout((1, 2, 3), "BC"), lambda: gl.Layout(3, "C"),
    lambda: gl.Layout((1, -2), "BC"), lambda: gl.Layout("BC", (1, 2)), lambda: gl.Layout((1, 2.5), "BC"),
    lambda: gl.dlarray([1.0], "Q"), lambda: gl.dlarray([[1.0]], "BB"), lambda: gl.zeros((2, 3), "BCT"),
    lambda: L.Input((None, 3), "QQ"), lambda: gl.LBFGSState(history_size=-1),
    lambda: gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2, name="a/b")]),
    lambda: gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2)]).set_learn_rate_factor("fc", "bias", -1)])
def test_what_is_refused_where_it_is_made_names_the_line(made):
    with pytest.raises(gl.GradloomError, match=r"test_layer_options\.py:\d+"):
        made()


def test_unpooling_reads_what_pooling_says():
    with pytest.raises(gl.ShapeError, match="has_unpooling_outputs=True"):
        gl.dlnetwork([L.MaxUnpooling2d()], *[gl.Layout((1, 4, 6, 6), "BCSS")] * 3)
