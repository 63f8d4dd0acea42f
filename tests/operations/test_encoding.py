"""Classes as ones and zeros and back, and random classes."""

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom import LabelError, ShapeError, TraceError, TypeRefused, dlfeval, dlgradient

WORDS = np.array([["cat", "dog", "ant"], ["dog", "dog", "cat"]])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, gl.dlarray, lambda x: x.tolist()], ids=["numpy", "torch", "dlarray", "list"])
def test_integers(make, axis):
    labels = np.array([[0, 2, 1], [3, 0, 0]])
    expected = np.moveaxis(np.eye(4)[labels], -1, axis)
    y = gl.onehotencode(make(labels), axis)
    assert isinstance(y, torch.Tensor if make is torch.as_tensor else gl.dlarray)
    np.testing.assert_array_equal(np.asarray(y), expected)
    assert gl.onehotencode(make(labels), axis, num_classes=6, dtype="float32").shape[axis] == 6
    back = gl.onehotdecode(y, None, axis)
    np.testing.assert_array_equal(np.asarray(back), labels)


def test_words_and_other_numbers():
    names = ["dog", "cat", "ant"]
    y = gl.onehotencode(WORDS, -1, class_names=names)
    np.testing.assert_array_equal(np.asarray(y), (WORDS[..., None] == np.array(names)).astype(float))
    np.testing.assert_array_equal(gl.onehotdecode(y, names, -1), WORDS)
    np.testing.assert_array_equal(np.asarray(gl.onehotencode(WORDS.tolist(), 0)), np.asarray(gl.onehotencode(WORDS, 0, class_names=np.unique(WORDS))))
    np.testing.assert_array_equal(np.asarray(gl.onehotencode(WORDS.astype(object), 0)), np.asarray(gl.onehotencode(WORDS, 0)))
    years = gl.dlarray([2021, 2019], "B", dtype="int64")
    y = gl.onehotencode(years, 1, class_names=[2019, 2020, 2021], dtype=torch.float32)
    assert (y.dims, y.dtype, y.tolist()) == ("BC", torch.float32, [[0, 0, 1], [1, 0, 0]])
    back = gl.onehotdecode(y, [2019, 2020, 2021])
    assert (back.dims, back.tolist()) == ("B", [2021, 2019])
    assert gl.onehotencode([True, False], 0).tolist() == [[0, 1], [1, 0]]


def test_labels():
    classes = gl.dlarray([[1, 0]], "CB", dtype="int64")
    assert gl.onehotencode(classes, "C", num_classes=3).dims == "CB"
    np.testing.assert_array_equal(np.asarray(gl.onehotencode(classes, "C", num_classes=3)), [[0, 1], [1, 0], [0, 0]])
    assert gl.onehotencode(classes, 1).dims == "CUB"
    assert gl.onehotencode(gl.dlarray([1, 0], "B", dtype="int64"), axis=0).dims == "CB"
    assert gl.onehotdecode(gl.ones((2, 3, 4), "CBT")).dims == "BT"
    assert gl.onehotdecode(gl.dlarray([[0.5, 0.5]], "BC"), ["first", "second"]).tolist() == ["first"]


def test_nothing_and_one():
    assert gl.onehotencode(np.zeros((0,), dtype=int), 0).shape == (0, 0)
    assert gl.onehotencode(np.zeros((0,), dtype=int), 1, num_classes=3).shape == (0, 3)
    assert gl.onehotencode(3, 0, num_classes=4).tolist() == [0, 0, 0, 1]
    assert gl.onehotencode(np.zeros((2, 0), dtype=str), 0, class_names=["a"]).shape == (1, 2, 0)


def test_decoding_what_is_traced_is_a_constant():
    def of(p):
        index = gl.onehotdecode(p)
        assert not index.traced
        return dlgradient(gl.sum(p * gl.onehotencode(index, 0, num_classes=3)), p)

    np.testing.assert_array_equal(np.asarray(dlfeval(of, gl.dlarray([[1.0], [3.0], [2.0]], "CB"))), [[0], [1], [0]])


def test_messages():
    for wrong, kind, message in [
        (lambda: gl.onehotencode([0.5, 1.0], 0), TypeRefused, r"integers counted from 0, or words, not float64.*astype"),
        (lambda: gl.onehotencode([-1, 1], 0), ShapeError, "labels from -1 to 1 for 2 classes"),
        (lambda: gl.onehotencode([0, 3], 0, num_classes=3), ShapeError, "labels from 0 to 3 for 3 classes.*count from 0"),
        (lambda: gl.onehotencode(["owl"], 0, class_names=["cat"]), ShapeError, "'owl' is none of the 1 class_names.*add it"),
        (lambda: gl.onehotencode([7], 0, class_names=[5, 6]), ShapeError, "7 is none of the 2"),
        (lambda: gl.onehotencode([7], 0, class_names=["a"]), TypeRefused, "the labels are integers, the class_names words"),
        (lambda: gl.onehotencode([0], 0, class_names=["a", "a"]), ShapeError, "each once"),
        (lambda: gl.onehotencode([0], 0, class_names=[0], num_classes=2), ShapeError, "not both"),
        (lambda: gl.onehotencode(gl.dlarray([[1, 0]], "CB", dtype="int64"), "B"), LabelError, r"axis='B' of 1\(C\) x 2\(B\)"),
        (lambda: gl.onehotdecode(gl.ones((2, 3))), LabelError, "needs an axis, p is 2 x 3"),
        (lambda: gl.onehotdecode(gl.ones((2, 3), "CB"), ["a"]), ShapeError, "1 class_names for 2 classes"),
    ]:
        with pytest.raises(kind, match=message) as caught:
            wrong()
        assert "test_encoding.py" in str(caught.value)


# ----- random classes ----------------------------------------------------------------------------------------------------

P = np.array([0.5, 0.0, 0.2, 0.3, 0.0])


def frequencies(drawn, classes=5):
    return np.bincount(np.asarray(drawn).ravel(), minlength=classes) / np.size(drawn)


@pytest.mark.parametrize("form", ["probabilities", "weights", "logits"])
def test_categorical_has_its_probabilities(form):
    gl.rng(3)
    with np.errstate(divide="ignore"):
        p = {"probabilities": P, "weights": 7 * P, "logits": np.log(P) + 900}[form]
    drawn = gl.categorical(p, (200, 200), from_logits=form == "logits")
    assert (drawn.shape, drawn.dtype) == ((200, 200), torch.int64)
    found = frequencies(drawn)
    np.testing.assert_allclose(found, P, atol=5 * np.sqrt(0.25 / 40000))
    assert found[1] == found[4] == 0


def test_categorical_shapes_and_labels():
    gl.rng(0)
    sure = gl.dlarray([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], "CB")
    drawn = gl.categorical(sure)
    assert (drawn.dims, drawn.tolist()) == ("B", [0, 2])
    assert gl.categorical(sure, (3, 2), "TB").tolist() == [[0, 2]] * 3
    assert gl.categorical(sure, (3, 2), "TB").dims == "TB"
    assert gl.categorical(np.asarray(sure), axis=0).tolist() == [0, 2]
    assert gl.categorical(np.asarray(sure).T, axis=1).tolist() == [0, 2]
    assert isinstance(gl.categorical(torch.tensor([0.0, 1.0]), 4), torch.Tensor)
    assert gl.categorical([[0.0, 1.0]], (2, 3), axis=1).tolist() == [[1, 1, 1]] * 2
    assert gl.categorical([0.0, 1.0]).shape == ()
    assert gl.categorical([0.0, 1.0], (0, 3)).shape == (0, 3)
    assert gl.categorical(np.zeros((0, 3)), axis=1).shape == (0,)
    assert gl.categorical([1.0], 2, dtype="int32").dtype is torch.int32
    many = gl.categorical(np.stack([P, P[::-1]]), (20000, 2), axis=1)
    np.testing.assert_allclose(frequencies(many[:, 1]), P[::-1], atol=0.02)


def test_categorical_is_of_our_own_stream():
    state = torch.get_rng_state()
    gl.rng(7)
    a = gl.categorical(P, (50,))
    b = gl.categorical(P, (50,))
    gl.rng(7)
    assert a.tolist() == gl.categorical(P, (50,)).tolist() != b.tolist()
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("extreme", "expected"), [(0.0, 1), (1 - 2.0**-53, 2)])
def test_the_ends_of_the_interval_draw_no_impossible_class(monkeypatch, extreme, expected):
    monkeypatch.setattr(torch, "rand", lambda shape, **rest: torch.full(shape, extreme, dtype=torch.float64))
    for total in (1.0, 1 + 2.0**-52, 3.7):
        assert gl.categorical([0.0, 0.5 * total, 0.5 * total, 0.0], (2,)).tolist() == [expected] * 2


def test_categorical_messages():
    for wrong, kind, message in [
        (lambda: gl.categorical([0.5, -0.5]), ShapeError, r"none negative.*from -0.5 to 0.5.*from_logits=True"),
        (lambda: gl.categorical([0.0, 0.0]), ShapeError, "not all 0"),
        (lambda: gl.categorical([float("nan"), 1.0]), ShapeError, "finite"),
        (lambda: gl.categorical([float("inf"), 1.0]), ShapeError, "finite"),
        (lambda: gl.categorical([-np.inf, -np.inf], from_logits=True), ShapeError, "at least one above -infinity"),
        (lambda: gl.categorical([[0.5], [0.5]]), LabelError, "axis="),
        (lambda: gl.categorical(gl.ones((2, 3), "CB"), (4,)), ShapeError, r"p 2\(C\) x 3\(B\) for shape \(4,\)"),
        (lambda: gl.categorical([1.0], dtype="float32"), TypeRefused, "integers, not float32"),
        (lambda: gl.categorical([1j]), TypeRefused, "real numbers"),
        (lambda: dlfeval(lambda p: gl.categorical(p), gl.dlarray([0.5, 0.5])), TraceError, "categorical"),
    ]:
        with pytest.raises(kind, match=message) as caught:
            wrong()
        assert "test_encoding.py" in str(caught.value)
