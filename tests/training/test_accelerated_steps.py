"""Steps of trainnet that are replayed: the numbers of plain ones, random numbers included; what cannot be recorded stays plain."""

import logging

import numpy as np
import pytest

import gradloom as gl
from gradloom.acceleration import beside
from gradloom.training import evaluation, levenberg_marquardt

L = gl.layers


def noted(monkeypatch, module):
    """The accelerated functions that a module makes from now on."""
    made = []

    class Noted(module.AcceleratedFunction):
        def __init__(self, *args, **given):
            super().__init__(*args, **given)
            made.append(self)

    monkeypatch.setattr(module, "AcceleratedFunction", Noted)
    return made


@pytest.fixture
def steps(monkeypatch):
    """The accelerated functions that training made."""
    return noted(monkeypatch, evaluation)


def points(count=57):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 4))
    return x, np.argmax(x[:, :3], axis=1)


def sequences():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(3 + k % 4, 2)) for k in range(31)], np.arange(31) % 2


CASES = {
    "dropout and statistics": (points, [L.FeatureInput(4), L.FullyConnected(8), L.BatchNormalization(), L.Dropout(0.5), L.ReLU(), L.FullyConnected(3), L.Softmax()],
                               {"metrics": ["accuracy"], "shuffle": "every-epoch"}),
    "accumulated": (points, [L.FeatureInput(4), L.FullyConnected(8), L.Dropout(0.2), L.Tanh(), L.FullyConnected(3), L.Softmax()], {"accumulate": 3}),
    "images": (lambda: (np.random.default_rng(2).normal(size=(30, 1, 6, 6)), np.arange(30) % 3),
               [L.ImageInput((6, 6, 1)), L.Convolution2d(3, 4, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2d(2, stride=2), L.FullyConnected(3), L.Softmax()], {}),
    "padded sequences": (sequences, [L.SequenceInput(2), L.LSTM(3), L.FullyConnected(2), L.Softmax()], {"input_data_formats": "BTC"}),
}


def trained(case, solver="adam", loss="index-crossentropy", **given):
    data, layers, options = CASES[case]
    x, t = data()
    if case == "padded sequences":
        t = [np.full(len(row), label) for row, label in zip(x, t, strict=True)]
        options = {"input_data_formats": "BTC", "target_data_formats": "BT"}
    gl.rng(3)
    net = gl.dlnetwork(layers, dtype="float64")
    its = {"max_epochs": 8, "mini_batch_size": 10, "verbose": False, **options, **given}
    net, info = gl.trainnet(x, t, net, loss, gl.TrainingOptions(solver, **its))
    numbers = np.concatenate([np.ravel(np.asarray(p)) for p in (*net.learnables.values(), *net.state.values())])
    return numbers, info, np.asarray(gl.rand((3,)))


@pytest.fixture(params=["replayed", "compiled"])
def compiled(request, monkeypatch):
    """Whether loops are compiled after a few steps."""
    if request.param == "compiled":
        pytest.importorskip("llvmlite")
        monkeypatch.setattr(beside, "ENOUGH", 3)
    return request.param == "compiled"


@pytest.mark.parametrize("case", CASES)
def test_replayed_steps_give_the_numbers_of_plain_ones(case, steps, compiled):
    plain, told, drawn = trained(case, acceleration="none")
    assert steps.pop().hit_rate == 0
    numbers, info, then = trained(case)
    step = steps.pop()
    assert step.hit_rate > 40 and ("  native: " in step.explain()) == compiled
    if compiled:  # always with the same step
        np.testing.assert_array_equal(numbers, trained(case)[0])
    # before a batch normalization a bias has no slope but that of rounding, which adam makes larger
    room = 1e-9 if compiled else 1e-12
    np.testing.assert_allclose(numbers, plain, rtol=room, atol=room)
    for name in told.training:
        if name != "time":
            np.testing.assert_allclose(info.training[name], told.training[name], rtol=room, err_msg=name)
    np.testing.assert_array_equal(then, drawn)  # as many numbers were drawn


def test_levenberg_marquardt_is_replayed(monkeypatch, compiled):
    made = noted(monkeypatch, levenberg_marquardt)
    x, _ = points(50)
    t = np.sin(x[:, :2])

    def run(acceleration):
        gl.rng(0)
        net = gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(5), L.Tanh(), L.FullyConnected(2)], dtype="float64")
        options = gl.TrainingOptions("lm", max_iterations=12, mini_batch_size=20, verbose=False, acceleration=acceleration)
        return gl.trainnet(x, t, net, "mse", options)[1].training["loss"]

    found, plain = run("auto"), run("none")
    np.testing.assert_allclose(found, plain, rtol=1e-9)
    assert found[-1] < found[0] / 10
    assert made[0].hit_rate > 40 and made[1].hit_rate == 0
    assert ("  native: " in made[0].explain()) == compiled


def test_lbfgs_is_replayed(steps):
    x, t = points()

    def run(acceleration):
        gl.rng(0)
        net = gl.dlnetwork(CASES["accumulated"][1], dtype="float64")
        net, info = gl.trainnet(x, t, net, "index-crossentropy", gl.TrainingOptions("lbfgs", max_iterations=6, mini_batch_size=20, verbose=False, acceleration=acceleration))
        return info.training["loss"]

    np.testing.assert_allclose(run("auto"), run("none"), rtol=1e-12)
    assert steps[0].hit_rate > 40


def test_a_loss_that_cannot_be_recorded_is_said_once_in_the_log(steps, caplog):
    seen = []

    def loss(y, t):
        value = gl.indexcrossentropy(y, t)
        seen.append(float(gl.detach(value)))
        return value

    with caplog.at_level(logging.INFO, "gradloom"):
        numbers, info, _ = trained("accumulated", loss=loss, accumulate=1)
    assert steps[0].hit_rate == 0 and len(seen) == info.iteration
    assert [record.message for record in caplog.records if "stays plain" in record.message] == [caplog.records[0].message]
    assert "training_step" in caplog.records[0].message
    np.testing.assert_allclose(numbers, trained("accumulated", accumulate=1)[0], rtol=1e-12, atol=1e-12)


def test_of_many_lengths_of_sequences_some_are_replayed_and_the_log_says_so(steps, caplog):
    x = [np.zeros((1 + k, 1)) for k in range(60)]
    net = gl.dlnetwork([L.SequenceInput(1), L.GlobalAveragePooling1d(), L.FullyConnected(1)])
    options = gl.TrainingOptions("sgdm", mini_batch_size=1, max_epochs=5, shuffle="never", verbose=False, input_data_formats="BTC")
    with caplog.at_level(logging.INFO, "gradloom"):
        _, info = gl.trainnet((x, np.zeros(60)), net, "mse", options)  # warnings are errors
    assert info.iteration == 300 and steps[0].occupancy == 100 and steps[0].hit_rate == pytest.approx(100 * 2 * 50 / 300)
    assert [record.message for record in caplog.records if "stays plain" in record.message] == [
        "dlaccelerate(training_step) stays plain: there are 50 recordings of others"]


def test_runs_with_checkpoints_stay_plain(steps, tmp_path):
    # one that goes on from a checkpoint begins with plain steps, and is to come to the same bits
    trained("accumulated", checkpoint_path=tmp_path)
    assert steps[0].hit_rate == 0
