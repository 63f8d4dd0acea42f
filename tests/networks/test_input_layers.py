"""Input layers: what they refuse, the statistics of data, and how a network gets them later."""

import numpy as np
import pytest
from helpers import stream, within

import gradloom as gl

L = gl.layers
RNG = stream(3)
close = within(1e-10)


def numbers(*shape):
    return RNG.normal(3.0, 2.0, shape)


@pytest.mark.parametrize(("dimension", "axes"), [("auto", (0, 2, 3)), ("channel", (0, 2, 3)), ("element", (0,)), ("all", (0, 1, 2, 3))])
@pytest.mark.parametrize("labels", ["BCSS", "SBSC"])
def test_statistics_are_numpys_whatever_the_batches_and_the_layout(dimension, axes, labels):
    x = numbers(12, 2, 3, 4)
    expected = {"mean": x.mean(axes), "standard_deviation": x.std(axes), "min": x.min(axes), "max": x.max(axes)}
    batches = [gl.permute_dims(gl.dlarray(part, "BCSS"), labels) for part in (x[:5], x[5:6], x[6:])]
    for how, names in (("zscore", ["mean", "standard_deviation"]), ("rescale-symmetric", ["min", "max"])):
        layer = L.ImageInput((3, 4, 2), normalization=how, normalization_dimension=dimension, name="images")
        found = layer.statistics(iter(batches))
        assert list(found) == [("images", name) for name in names]
        for name in names:
            value = found["images", name]
            close(np.moveaxis(np.asarray(value), -1, 0) if value.ndim == 3 else value, expected[name])
        one = layer.statistics(gl.dlarray(x, "BCSS"))
        for key, value in one.items():
            close(value, found[key])


def test_far_from_zero_no_digit_is_lost():
    x = gl.dlarray(1e6 + numbers(1000, 1), "BC")
    spread = L.FeatureInput(1, normalization="zscore").statistics([x[k:k + 10] for k in range(0, 1000, 10)])[None, "standard_deviation"]
    close(spread, np.asarray(x).std(0), 1e-8)


@pytest.mark.parametrize(("how", "value"), [("zscore", 0.0), ("zerocenter", 0.0), ("rescale-symmetric", -1.0), ("rescale-zero-one", 0.0)])
def test_what_never_changes_divides_nothing_by_zero(how, value):
    net = gl.dlnetwork([L.FeatureInput(2, normalization=how)])
    x = gl.dlarray(np.full((2, 5), 7.0), "CB")
    net = net.replace(state=net.layers[0].statistics(x))
    assert np.array_equal(net(x), np.full((2, 5), value))


def test_a_network_is_made_before_its_statistics_are_known():
    net = gl.dlnetwork([L.ImageInput((4, 4, 2), normalization="zscore"), L.Convolution2d(3, 2), L.FullyConnected(3),
                        L.InverseNormalization()])
    first, last = net.layers[0], net.layers[-1]
    assert first.lacking == last.lacking == ["mean", "standard_deviation"]
    assert list(net.state) == [("imageinput", "mean"), ("imageinput", "standard_deviation"), ("inversenorm", "mean"), ("inversenorm", "standard_deviation")]
    x, t = gl.dlarray(numbers(6, 2, 4, 4), "BCSS"), gl.dlarray(numbers(6, 3), "BC")
    with pytest.raises(gl.GradloomError, match=r"'imageinput' \(ImageInput\) normalizes by mean and standard_deviation, which it does not have yet.*statistics"):
        net(x)
    net = net.replace(state={**first.statistics(x), **last.statistics(t)})
    assert net.layers[0].lacking == []
    h = net.predict(x, outputs="imageinput")
    close(np.asarray(h).mean((0, 2, 3)), np.zeros(2), 1e-6)
    close(np.asarray(h).std((0, 2, 3)), np.ones(2), 1e-6)
    y = net.predict(x, outputs="fc")
    close(net(x), np.asarray(y, dtype="float64") * np.asarray(t).std(0) + np.asarray(t).mean(0), 1e-5)


@pytest.mark.parametrize("how", ["zscore", "zerocenter", "rescale-symmetric", "rescale-zero-one"])
def test_the_inverse_undoes_the_normalization(how):
    x = gl.dlarray(numbers(3, 8), "CB")
    statistics = {name: value for (_, name), value in L.FeatureInput(3, normalization=how).statistics(x).items()}
    net = gl.dlnetwork([L.FeatureInput(3, normalization=how, **statistics), L.InverseNormalization(normalization=how, **statistics)], dtype="float64")
    close(net(x), x)


@pytest.mark.parametrize(("make", "said"), [
    (lambda: L.ImageInput((2, 2, 1), normalization="zcore"), r"no normalization='zcore'; did you mean 'zscore'"),
    (lambda: L.ImageInput((2, 2, 1), normalization="zscore", min=0), r"normalization='zscore' takes no min=.*'rescale-symmetric', 'rescale-zero-one'"),
    (lambda: L.ImageInput((2, 2, 1), mean=0), r"normalization='none' takes no mean=.*'zerocenter', 'zscore'"),
    (lambda: L.FeatureInput(2, normalization_dimension="batch"), r"no normalization_dimension='batch'.*'element'"),
    (lambda: L.InverseNormalization(normalization=abs), r"undoes no function.*Function\(inverse\)"),
    (lambda: L.Image3dInput((2, 2, 1)), r"Image3dInput takes \(height, width, depth, channels\)"),
    (lambda: L.SequenceInput(0), r"SequenceInput takes the number of features"),
    (lambda: L.SequenceInput(2, min_length=0), r"min_length of at least 1"),
    (lambda: L.Input((None, 3), "CB"), r"None along B and T"),
])
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(("layer", "x", "said"), [
    (L.SequenceInput(3, min_length=4), gl.zeros((3, 2), "CT"), r"takes sequences of 4 or more time steps, x is 3\(C\) x 2\(T\)"),
    (L.SequenceInput(3), gl.zeros((3, 2), "CB"), r"label the time steps T"),
    (L.Image3dInput((2, 2, 2, 1)), gl.zeros((2, 2, 1), "SSC"), r"takes volumes 2\(S\) x 2\(S\) x 2\(S\) x 1\(C\)"),
    (L.Input((None, 3), "BC"), gl.zeros((2, 4), "BC"), r"takes any\(B\) x 3\(C\), x is 2\(B\) x 4\(C\)"),
    (L.Input((None, 3), "BC"), gl.zeros((2, 3, 1), "BCT"), r"takes any\(B\) x 3\(C\)"),
    (L.FeatureInput(3, normalization="zerocenter", mean=np.zeros((2, 3))), gl.zeros((2, 3), "BC"), r"mean of the layer 'input' \(FeatureInput\) is 2 x 3"),
])
def test_what_does_not_fit_is_named(layer, x, said):
    with pytest.raises(gl.GradloomError, match=said):
        gl.dlnetwork([layer])(x)


def test_statistics_need_labels_and_data():
    layer = L.FeatureInput(2, normalization="zscore")
    with pytest.raises(gl.LabelError, match="labelled arrays"):
        layer.statistics([np.zeros((2, 3))])
    with pytest.raises(gl.ShapeError, match="no data"):
        layer.statistics([])


@pytest.mark.parametrize("statistic", [100.0, [100.0], [[[100.0]]]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_numbers_take_the_type_of_the_statistics(statistic, dtype):
    net = gl.dlnetwork([L.ImageInput((2, 2, 1), normalization="zerocenter", mean=statistic)], dtype=dtype)
    y = net(gl.dlarray(np.arange(4, dtype="uint8").reshape(2, 2, 1), "SSC"))
    assert str(y.dtype) == f"torch.{dtype}" and np.array_equal(np.asarray(y).ravel(), [-100, -99, -98, -97])
