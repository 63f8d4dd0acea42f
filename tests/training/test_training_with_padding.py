"""Padding counts in no step of training, and in no prediction."""
import numpy as np
import pytest
from helpers import stream, within

import gradloom as gl

L = gl.layers
close = within(1e-12)
RNG = stream(13)


@pytest.mark.parametrize("solver", ["sgdm", "lbfgs", "lm"])
def test_any_parts_of_sequences_make_the_same_steps(solver):
    data = [(RNG.standard_normal((n, 4)), RNG.standard_normal((n, 2))) for n in (7, 3, 5, 6)]
    net = gl.dlnetwork([L.SequenceInput(4), L.LSTM(3), L.FullyConnected(2)], dtype="float64")
    found = []
    for size in (4, 1):  # all in one array, or each alone, without padding
        options = gl.TrainingOptions(
            solver, max_iterations=3, mini_batch_size=size, verbose=False, input_data_formats="BTC", metrics="rmse",
            target_data_formats="BTC", **({"accumulate": 4 // size, "shuffle": "never"} if solver == "sgdm" else {}))
        found.append(gl.trainnet(data, net, "mse", options))
    (together, info), (apart, its) = found
    for key, x in together.learnables.items():
        close(x, apart.learnables[key], 1e-12)
    for name in ("loss", "rmse"):
        close(info.training[name], its.training[name], 1e-12)


def test_each_prediction_has_the_steps_of_its_own_sequence():
    """Of two inputs with lengths of their own, and of a layer that makes fewer steps."""
    net = gl.dlnetwork([[L.SequenceInput(4, name="a"), L.LSTM(3, output_mode="last"), L.Concatenation("C")],
                        [L.SequenceInput(4, name="b"), L.Convolution1d(3, 2, stride=2, padding=1, name="fewer"),
                         L.GRU(3, output_mode="last", name="read")]], connections=[("read", "concat/in2")], dtype="float64")
    data = [(RNG.standard_normal((n, 4)), RNG.standard_normal((m, 4))) for n, m in ((7, 2), (3, 7), (5, 3), (6, 1))]
    outputs = ["a", "b", "fewer", "concat"]
    found = gl.minibatchpredict(net, data, mini_batch_size=3, outputs=outputs, input_data_formats=["BTC", "BTC"],
                                uniform_output=False)
    for k, xs in enumerate(data):
        alone = net.predict(*[gl.dlarray(x[None], "BTC") for x in xs], outputs=outputs)
        for of_each, y in zip(found, alone, strict=True):
            close(of_each[k], y[0], 1e-12)


def test_a_function_as_loss_or_metric_is_told_of_padding():
    data = [(RNG.standard_normal((n, 4)), RNG.standard_normal((n, 2))) for n in (7, 3, 5, 6)]
    net = gl.dlnetwork([L.SequenceInput(4), L.LSTM(3), L.FullyConnected(2)], dtype="float64")

    def trained(data, loss, metric):
        options = gl.TrainingOptions("sgdm", max_epochs=2, mini_batch_size=4, verbose=False, input_data_formats="BTC",
                                     shuffle="never", target_data_formats="BTC", metrics={"error": metric})
        return gl.trainnet(data, net, loss, options)

    def told(y, t, *, mask=None):
        return gl.mse(y, t, mask=mask)

    def not_told(y, t):
        return gl.mse(y, t)

    expected, info = trained(data, "mse", told)
    own, its = trained(data, told, gl.mse)
    for key, x in expected.learnables.items():
        assert np.array_equal(np.asarray(x), np.asarray(own.learnables[key]))
    close(info.training["error"], info.training["loss"])
    close(its.training["error"], info.training["loss"])
    for loss, metric, what in ((not_told, told, "the loss is"), (told, not_told, "the metric 'error' is")):
        with pytest.raises(gl.TypeRefused, match=f"{what} a function, not_told, .* padding .* in a keyword"):
            trained(data, loss, metric)
    even = [(x[:3], t[:3]) for x, t in data]  # nothing is padded
    close(trained(even, not_told, not_told)[1].training["loss"], trained(even, "mse", told)[1].training["error"])
