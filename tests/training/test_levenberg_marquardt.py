"""The solver "lm" of trainnet: certified regression problems, pieces, its ends."""

import numpy as np
import pytest
from helpers import stream
from nist_problems import DATA, MODELS, problem

import gradloom as gl

RNG = stream(3)


class Model(gl.Layer):
    """A regression model as a layer: one learnable vector, the columns of x as its variables."""

    name_of_model: str
    b: gl.Learnable = None

    def predict(self, x):
        columns = [gl.stripdims(x)[:, k] for k in range(x.shape[1])]
        y = MODELS[self.name_of_model](self.b, columns if len(columns) > 1 else columns[0])
        return gl.dlarray(gl.expand_dims(y, axis=1), "BC")


def fitted(name, mini_batch_size=1000, **options):
    start, _, certified, rss = problem(name)
    x = gl.dlarray(np.stack([np.array(column) for column in DATA[name]["x"]], axis=1), "BC")
    t = np.log(DATA[name]["y"]) if name == "Nelson" else np.array(DATA[name]["y"])
    net = gl.dlnetwork([Model(name, b=gl.dlarray(start))], x, dtype="float64")
    queue = gl.minibatchqueue((x, gl.dlarray(t[:, None], "BC")), mini_batch_size, cast="float64")
    options = gl.TrainingOptions("lm", verbose=False, **{"gradient_tolerance": 0, "step_tolerance": 0, **options})
    net, info = gl.trainnet(queue, net, "l2loss", options)
    return np.asarray(next(iter(net.learnables.values()))), info, certified, rss, len(t)


@pytest.mark.parametrize("name", MODELS)
def test_nist_certified_values(name):
    b, info, certified, rss, count = fitted(name)
    np.testing.assert_allclose(b, certified, rtol=1e-6)
    if rss > 1e-20:
        assert info.training["loss"][-1] * count == pytest.approx(rss, rel=1e-6)


def test_any_pieces_give_the_same_steps():
    whole, info, *_ = fitted("Misra1a", max_iterations=4)
    pieces, other, *_ = fitted("Misra1a", mini_batch_size=3, max_iterations=4)
    np.testing.assert_allclose(pieces, whole, rtol=1e-10)
    np.testing.assert_allclose(other.training["loss"], info.training["loss"], rtol=1e-10)


def test_a_network_of_layers_is_fitted():
    x = np.linspace(-2, 2, 60)[:, None]
    t = np.sin(2 * x) + 0.3 * x
    gl.rng(0)
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(16), gl.layers.Tanh(), gl.layers.FullyConnected(1)],
                       dtype="float64")
    net, info = gl.trainnet(gl.dlarray(x, "BC"), gl.dlarray(t, "BC"), net, "mse", gl.TrainingOptions(
        "lm", verbose=False, max_iterations=60))
    assert info.training["loss"][-1] < 1e-4
    assert np.all(np.diff(info.training["loss"]) <= 0)


def test_frozen_parameters_stay():
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1, name="fc")], dtype="float64")
    net = net.freeze(("fc", "bias"))
    x = RNG.normal(size=(20, 1))
    after, _ = gl.trainnet(gl.dlarray(x, "BC"), gl.dlarray(2 * x + 1, "BC"), net, "mse", gl.TrainingOptions("lm", verbose=False))
    assert after.learnables["fc", "bias"].item() == net.learnables["fc", "bias"].item()
    slope = (x * (2 * x + 1)).sum() / (x * x).sum()
    assert after.learnables["fc", "weights"].item() == pytest.approx(slope, rel=1e-6)


def test_other_losses_are_refused():
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    with pytest.raises(gl.TypeRefused, match="makes sums of squares small, and the loss is 'huber'"):
        gl.trainnet(np.zeros((4, 1)), np.zeros((4, 1)), net, "huber", gl.TrainingOptions("lm"))
