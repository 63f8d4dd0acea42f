"""check_layer: what it says of good layers, and that each of its trials notices a layer that is wrong there."""
import itertools

import numpy as np
import pytest

import gradloom as gl

L = gl.layers
CB = gl.Layout((2, 1), "CB")


@pytest.mark.parametrize(("layer", "layouts"), [
    (L.FullyConnected(3), [CB]), (L.BatchNormalization(), [CB]), (L.Dropout(0.4), [CB]), (L.Addition(), [CB, CB]), (L.FeatureInput(2), []),
    (L.Convolution2d(2, 2), [gl.Layout((3, 3, 1, 1), "SSCB")]), (L.Softmax(), [gl.Layout((3,), "C")]),
    (L.Function(lambda a, b: (a * b, a - b), num_inputs=2, num_outputs=2), [CB, CB]),
    (L.Network(gl.dlnetwork([L.FullyConnected(2), L.Tanh()], initialize=False)), [CB]),
    (L.LSTM(2), [gl.Layout((2, 1, 3), "CBT")]), (L.ComplexFullyConnected(2), [CB]),
    (L.ComplexFullyConnected(2), [gl.dlarray([[1 + 2j], [0]], "CB")]), (L.SpectralConvolution1d(2, 3), [gl.Layout((2, 1, 6), "CBS")]),
    (L.Embedding(3, 10), [gl.dlarray([[0, 9, 4]], "BT", dtype="int64")]),
    (L.LSTM(2, has_mask_input=True), [gl.Layout((2, 1, 3), "CBT"), gl.dlarray([[True, True, False]], "BT")])])
def test_good_layers_pass(layer, layouts):
    report = gl.check_layer(layer, *layouts)
    assert report.ok and bool(report) and "FAILED" not in repr(report) and repr(report).splitlines()[0] == repr(layer)
    assert {t.what for t in report.trials if t.ok} >= {"constructor", "initialize", "in use", "in training", "types", "derivatives in use"}


class OneHot(gl.Layer):
    """Takes whole numbers only, and has nothing to learn."""

    count: int

    def predict(self, x):
        assert not x.dtype.is_floating_point
        return gl.dlarray(gl.stack([x == k for k in range(self.count)], axis=0), "C" + x.dims).astype("float64")


def test_whole_numbers_enter_as_they_are():
    report = gl.check_layer(OneHot(3), gl.dlarray([0, 2, 1], "B", dtype="int64"))
    trials = {t.what: t for t in report.trials}
    assert report.ok and trials["accelerated"].ok and "takes whole numbers" in trials["derivatives in use"].note
    seen = []

    class Sees(OneHot):
        def predict(self, x):
            seen.append(x)
            return super().predict(x)

    gl.check_layer(Sees(3), gl.dlarray([5, 7], "B", dtype="int32"), raises=False)
    assert {str(x.dtype) for x in seen} == {"torch.int32"} and {int(n) for x in seen[1:] for n in np.asarray(x)} == {5, 7}
    with pytest.raises(TypeError, match="draws from the entries of 0\\(B\\), which has none"):
        gl.check_layer(OneHot(3), gl.dlarray(np.zeros(0, "int64"), "B"))


class Good(gl.Layer):
    def predict(self, x):
        return x ** 2


class WrongBackward(Good):
    def backward(self, x, y, y_bar):
        return 3 * x * y_bar


class Forgets(gl.Layer):
    size: float

    def __post_init__(self):
        object.__setattr__(self, "size", self.size + 1)

    def predict(self, x):
        return self.size * x


class Starts(gl.Layer):
    w: gl.Learnable

    def initialize(self, layout):
        raise RuntimeError("no start")

    def predict(self, x):
        return x


class Overwrites(gl.Layer):
    def predict(self, x):
        x._value.zero_()
        return x * 1.0


class LosesTheBatch(gl.Layer):
    def predict(self, x):
        return gl.sum(x, axis="B")


class OneType(gl.Layer):
    def predict(self, x):
        return x.astype("float32") * 1.0


class Grows(gl.Layer):
    seen: gl.State

    def initialize(self, layout):
        self.seen = gl.zeros((1,))

    def predict(self, x):
        self.seen = gl.concat([self.seen, self.seen])
        return x


class Mixes(gl.Layer):
    def predict(self, x):
        return x - gl.mean(x, axis="B")


class Jumps(gl.Layer):
    def predict(self, x):
        return x * 1.0

    def forward(self, x):
        return gl.detach(x) * x


class Counts(gl.Layer):
    """No function of its input: it counts where nobody sees."""

    def predict(self, x):
        return x * next(COUNTER)


COUNTER = itertools.count(1)


class NamesTwo(gl.Layer):
    output_names = ("first", "second")

    def predict(self, x):
        return x


class NamesTwoOfThree(NamesTwo):
    def predict(self, x):
        return x, x, x


class Shrinks(Good):
    """Has another size in training than the layers behind it know."""

    def forward(self, x):
        return x[:1]


@pytest.mark.parametrize(("layer", "trial", "note"), [
    (WrongBackward(), "derivatives in use", "pull"), (Forgets(1.0), "constructor", "made again"), (Starts(), "initialize", "no start"),
    (Overwrites(), "in use", "input 0 was changed"), (LosesTheBatch(), "in use", "no axis B"), (OneType(), "types", "float64 gives float32"),
    (Grows(), "states", "seen of 1 becomes 2"), (Mixes(), "several observations", "observation 0"), (Jumps(), "derivatives in training", ""),
    (NamesTwo(), "in use", "returns 1 output and names 2"), (NamesTwoOfThree(), "in use", "returns 3 outputs and names 2"),
    (Shrinks(), "in training", "gives 1(C) x 3(B), in use 2(C) x 3(B)"),
    (Counts(), "accelerated", "call 0 of the accelerated layer in use is not the plain one")])
def test_a_layer_that_is_wrong_is_told_where(layer, trial, note):
    report = gl.check_layer(layer, CB, raises=False)
    failed = {t.what: t.note for t in report.failures}
    assert trial in failed and note in failed[trial] and f"{len(failed)} FAILED" in repr(report)
    with pytest.raises(AssertionError, match=rf"of {type(layer).__name__} failed, at test_check_layer"):
        gl.check_layer(layer, CB)


def test_what_is_refused():
    with pytest.raises(TypeError, match="check_layer takes a layer, not type"):
        gl.check_layer(Good, CB)
    with pytest.raises(TypeError, match=r"a layout for each input of the layer, or an array like it, not \(\)"):
        gl.check_layer(Good())


def test_parts_of_complex_numbers_undo_each_other():
    x = gl.dlarray([[1 + 2j, -1j], [3, 4 - 1j]], "CB")
    for where in ("C", "B", "last", 0, -1):
        both = gl.dlnetwork([L.ComplexToReal(operation_dimension=where), L.RealToComplex(operation_dimension=where)])
        assert np.array_equal(both(x), x) and not both.predict(x, outputs="complextoreal").dtype.is_complex
    net = gl.dlnetwork([L.RealToComplex()])
    for given, error, message in ((gl.ones(3, "C"), ValueError, "takes pairs along axis 0, x is 3\\(C\\).*even"),
                                  (x, TypeError, "takes real arrays, x is complex"),
                                  (gl.ones(2, "B"), ValueError, "works along 'C', x is 2\\(B\\)")):
        with pytest.raises(error, match=message):
            net(given)
    with pytest.raises(ValueError, match="operation_dimension is a letter of C, S, B, T and U"):
        L.ComplexToReal(operation_dimension="Z")
