"""Predicted classes beside the true ones: counts and curves against scikit-learn, and what the pictures show."""
import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl

RNG = stream(2)
NAMES = ["ant", "bee", "cat"]


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def classes(count=200):
    return RNG.integers(0, 3, count), RNG.integers(0, 3, count)


def test_the_class_with_the_largest_score():
    scores = RNG.random((5, 3))
    expected = scores.argmax(1)
    assert gl.scores2label(gl.dlarray(scores, "BC")).tolist() == expected.tolist()
    assert gl.scores2label(gl.dlarray(scores.T, "CB"), NAMES).tolist() == [NAMES[k] for k in expected]
    assert gl.scores2label(scores, NAMES, 1).tolist() == [NAMES[k] for k in expected]
    with pytest.raises(gl.ShapeError, match="2 class_names for 3 classes"):
        gl.scores2label(gl.dlarray(scores, "BC"), NAMES[:2])


def test_counts_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    t, y = classes()
    expected = metrics.confusion_matrix(t, y)
    for make in (np.asarray, list, torch.as_tensor, lambda x: gl.dlarray(x, "B", dtype="int64"), lambda x: [NAMES[k] for k in x]):
        for other in (np.asarray, make):
            counts, names = gl.confusionmat(make(t), other(y), NAMES)
            np.testing.assert_array_equal(counts, expected)
            assert names == NAMES
    counts, names = gl.confusionmat(t[t > 0], y[t > 0] * 0 + 5)
    assert names == [1, 2, 5] and counts[:, 2].tolist() == [(t == 1).sum(), (t == 2).sum(), 0]


def test_curves_are_those_of_scikit_learn(plt):
    metrics = pytest.importorskip("sklearn.metrics")
    t = classes()[0]
    scores = RNG.integers(0, 12, (200, 3)) / 11 + (t[:, None] == np.arange(3)) * 0.3  # with many equal ones
    ax = gl.roc_chart(t, scores, NAMES)
    for k, line in enumerate(ax.get_lines()[:3]):
        false_rate, true_rate, _ = metrics.roc_curve(t == k, scores[:, k], drop_intermediate=False)
        np.testing.assert_allclose(line.get_xdata(), false_rate)
        np.testing.assert_allclose(line.get_ydata(), true_rate)
        area = metrics.roc_auc_score(t == k, scores[:, k])
        assert f"{NAMES[k]} (area {area:.3f})" == ax.get_legend().get_texts()[k].get_text()
    other = plt.subplots()[1]
    assert gl.roc_chart([NAMES[k] for k in t], gl.dlarray(scores.T, "CB"), NAMES, ax=other) is other
    for a, b in zip(ax.get_lines(), other.get_lines(), strict=True):
        np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


@pytest.mark.parametrize(("normalization", "texts"), [
    ("absolute", ["3", "1", "0", "2"]), ("row-normalized", ["75.0%", "25.0%", "0.0%", "100.0%"]), ("column-normalized", ["100.0%", "33.3%", "0.0%", "66.7%"]),
])
def test_what_the_confusion_chart_shows(plt, normalization, texts):
    given = plt.subplots()[1]
    ax = gl.confusionchart(list("aaaabb"), list("aaabbb"), normalization=normalization, ax=given)
    assert ax is given and [text.get_text() for text in ax.texts] == texts
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"] == [tick.get_text() for tick in ax.get_yticklabels()]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_a_class_that_never_occurs(plt):
    ax = gl.confusionchart(["a"], ["a"], ["a", "b"], normalization="row-normalized")
    assert [text.get_text() for text in ax.texts] == ["100.0%", "0.0%", "0.0%", "0.0%"]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: gl.confusionmat([0, 1], [0]), "2 true classes and 1 predicted ones, at test_classes"),
    (lambda: gl.confusionmat([0, 1], [0.5, 1.0]), "write scores2label"),
    (lambda: gl.confusionmat(["a"], ["b"], ["a"]), "'b' is none of the 1 class_names"),
    (lambda: gl.confusionmat([0, 3], [0, 1], NAMES), "class 3 of 3 class_names"),
    (lambda: gl.confusionchart([0], [0], normalization="rows"), "row-normalized"),
    (lambda: gl.roc_chart([0, 1], np.ones((2, 2, 2))), "observations, classes"),
    (lambda: gl.roc_chart([0, 1], np.ones((3, 2))), "2 true classes and 2 class_names for scores of 3 observations"),
])
def test_errors_say_what_to_write(call, message):
    with pytest.raises(gl.GradloomError, match=message):
        call()
