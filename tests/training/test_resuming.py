"""Runs that were stopped and go on: with chance in the data, in the data to validate with and in the targets, with every solver."""

import numpy as np
import pytest
from helpers import stream

import gradloom as gl

L = gl.layers
RNG = stream(12)


def points(count=23, targets=None):
    x = RNG.normal(size=(count, 4))
    return x, RNG.integers(0, 3, count) if targets is None else RNG.normal(size=(count, targets))


def noisy(x, t, on_targets=False):
    """Each observation with noise of its pass."""
    def disturbed(x, t):
        noise = np.asarray(gl.randn((len(t) if on_targets else 4,), dtype="float64"))
        return (x, t + noise) if on_targets else (x + noise, t)

    return gl.combine(gl.ArrayDatastore(x), gl.ArrayDatastore(t)).transform(disturbed)


def turned(count=17):
    images = RNG.integers(0, 256, (count, 6, 6, 1)).astype("uint8")
    return gl.combine(gl.AugmentedImageDatastore((6, 6), images, rand_rotation=(-20, 20), rand_x_reflection=True), gl.ArrayDatastore(RNG.integers(0, 3, count)))


def flat(classifies=True):
    end = [L.Softmax()] if classifies else []
    return [L.FeatureInput(4), L.FullyConnected(8), L.BatchNormalization(), L.Tanh(), L.Dropout(0.2), L.FullyConnected(3), *end]


def smooth():
    return [L.FeatureInput(4), L.FullyConnected(5), L.Tanh(), L.FullyConnected(3)]


def of_images():
    return [L.ImageInput((6, 6, 1), normalization="zscore"), L.Convolution2d(3, 4), L.ReLU(), L.FullyConnected(3), L.Softmax()]


FORMATS = {"input_data_formats": "BC", "target_data_formats": "B"}
NUMBERS = {"input_data_formats": "BC", "target_data_formats": "BC"}
PICTURES = {"input_data_formats": "BSSC", "target_data_formats": "B", "shuffle": "every-epoch"}
# name: (data, layers, loss, solver, options)
RUNS = {
    "noise in the data": (lambda: noisy(*points()), flat, "crossentropy", "adam", {"shuffle": "every-epoch", **FORMATS}),
    "noise in the data to validate with": (points, flat, "crossentropy", "sgdm", lambda: {
        "validation_data": noisy(*points(9)), "validation_frequency": 3, **FORMATS}),
    "noise in targets that are normalized": (lambda: noisy(*points(targets=3), on_targets=True), lambda: flat(False), "mse", "rmsprop",
                                             {"normalize_targets": True, "metrics": "rmse", **NUMBERS}),
    "images that are turned": (turned, of_images, "crossentropy", "adamw", {"preprocessing_environment": "background", **PICTURES}),
    "images that are turned, to validate with": (turned, of_images, "crossentropy", "sgdm", lambda: {
        "validation_data": turned(9), "validation_frequency": 2, "accumulate": 2, **PICTURES}),
    "schedules": (points, flat, "crossentropy", "adam", {"learn_rate_schedule": ["warmup", "cosine"], "accumulate": 3}),
    "patience": (points, flat, "crossentropy", "sgdm", lambda: {
        "validation_data": points(9), "validation_frequency": 1, "validation_patience": 4, "initial_learn_rate": 2.0}),
    "lbfgs": (lambda: points(targets=3), smooth, "mse", "lbfgs", {"max_iterations": 7}),
    "lbfgs of noise": (lambda: noisy(*points(targets=3)), smooth, "mse", "lbfgs", {"max_iterations": 7, **NUMBERS}),
    "lm": (lambda: points(targets=3), smooth, "mse", "lm", {"max_iterations": 7}),
    "lm of noise": (lambda: noisy(*points(targets=3)), smooth, "mse", "lm", {"max_iterations": 7, **NUMBERS}),
    "an end by a tolerance": (lambda: points(5, 3), smooth, "mse", "lm", {"step_tolerance": 0.5}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_is_one_that_was_not_stopped(name, tmp_path):
    data, layers, loss, solver, options = RUNS[name]
    data, options = data(), options() if callable(options) else options
    base = {"verbose": False, "mini_batch_size": 7, "checkpoint_frequency_unit": "iteration", **options}
    if solver not in ("lbfgs", "lm"):
        base["max_epochs"] = 3

    def run(folder, seed, **more):
        gl.rng(3)
        net = gl.dlnetwork(layers(), dtype="float64")
        gl.rng(seed)
        return gl.trainnet(data, net, loss, gl.TrainingOptions(solver, **{**base, "checkpoint_path": tmp_path / folder, **more}))

    expected, info = run("whole", 9)
    last = int(info.training["iteration"][-1])
    assert last > 2
    for stop in sorted({1, 3, last - 1, last}):  # the last: a run that has ended goes no further
        if stop < last:
            run(str(stop), 9, max_iterations=stop)
        else:
            run(str(stop), 9)
        found, other = run(str(stop), 1234, resume=True)
        for key, value in {**expected.learnables, **expected.state}.items():
            assert np.array_equal(value, {**found.learnables, **found.state}[key]), (stop, key)
        for mine, its in ((info.training, other.training), (info.validation, other.validation)):
            for column in mine:
                assert column == "time" or np.array_equal(mine[column], its[column], equal_nan=True), (stop, column)
        assert (other.iteration, other.stop_reason) == (info.iteration, info.stop_reason)


def test_full_batch_solvers_see_the_same_data_at_each_step():
    """A line search compares losses: what is drawn for the data is drawn once. So with a step of size 0 nothing changes."""
    data = noisy(*points(targets=3))
    net = gl.dlnetwork(smooth(), dtype="float64")
    _, info = gl.trainnet(data, net, "mse", gl.TrainingOptions(
        "lbfgs", verbose=False, max_iterations=30, mini_batch_size=7, validation_data=data, validation_frequency=1, **NUMBERS))
    assert (np.diff(info.training["loss"]) < 0).all()
    assert len(info.training["loss"]) == 30
