"""Metrics: against scikit-learn, over any partition of the data."""

import numpy as np
import pytest
from helpers import stream
from sklearn import metrics as referee

import gradloom as gl
from gradloom.training.metrics import NAMES, Sums, metrics_of

RNG = stream(2)


def over(names, y, t, labels="BC", mask=None, parts=(50,), multilabel=False):
    """The metrics over the data in parts of these sizes."""
    sums, start = Sums(metrics_of(names, multilabel)), 0
    for count in parts:
        part = slice(start, start + count)
        start += count
        target = gl.dlarray(t[part], "B" if t.ndim == 1 else labels)
        sums.add(0.0, count, [gl.dlarray(y[part], labels)], [target], [None if mask is None else gl.dlarray(mask[part], "BT")])
    assert start == len(y)
    return sums.values()


@pytest.mark.parametrize("parts", [(50,), (1, 7, 42), (10,) * 5])
def test_classification(parts):
    y = RNG.dirichlet(np.ones(4), 50)
    t = RNG.integers(0, 4, 50)
    t[:4] = range(4)
    found = over(["accuracy", "precision", "recall", "fscore", "auc"], y, t, parts=parts)
    said = y.argmax(1)
    assert found["accuracy"] == pytest.approx(referee.accuracy_score(t, said), abs=1e-12)
    for name, function in [("precision", referee.precision_score), ("recall", referee.recall_score), ("fscore", referee.f1_score)]:
        assert found[name] == pytest.approx(function(t, said, average="macro", zero_division=0), abs=1e-12), name
    assert found["auc"] == pytest.approx(referee.roc_auc_score(t, y, multi_class="ovr", average="macro"), abs=1e-12)
    hot = over(["accuracy", "precision", "recall", "fscore", "auc"], y, np.eye(4)[t], parts=parts)
    assert hot == pytest.approx(found, abs=1e-12)


def test_many_labels_at_once():
    y, t = RNG.random((50, 3)), (RNG.random((50, 3)) > 0.4).astype(float)
    found = over(["accuracy", "precision", "recall", "fscore"], y, t, multilabel=True, parts=(20, 30))
    said = y >= 0.5
    assert found["accuracy"] == pytest.approx((said == t).mean())
    assert found["fscore"] == pytest.approx(referee.f1_score(t, said, average="macro"))
    assert found["recall"] == pytest.approx(referee.recall_score(t, said, average="macro"))


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("labels", ["BC", "B"])
def test_one_score_says_whether(labels, multilabel):
    """Of a network with one output, whatever the loss; the targets may leave its channel out."""
    y, t = RNG.random((50, 1)), (RNG.random(50) > 0.4).astype(float)
    said = y[:, 0] >= 0.5
    found = over(["accuracy", "precision", "recall", "fscore", "auc"], y, t if labels == "B" else t[:, None], multilabel=multilabel, parts=(20, 30))
    assert found == pytest.approx({"loss": 0, "accuracy": (said == t).mean(), "precision": referee.precision_score(t, said), "auc": referee.roc_auc_score(t, y[:, 0]),
                                   "recall": referee.recall_score(t, said), "fscore": referee.f1_score(t, said)})


def test_equal_scores_count_half():
    y = np.round(RNG.random((50, 1)), 1)
    t = (RNG.random((50, 1)) > 0.5).astype(float)
    assert over("auc", y, t, parts=(25, 25))["auc"] == pytest.approx(referee.roc_auc_score(t[:, 0], y[:, 0]), abs=1e-12)


@pytest.mark.parametrize("parts", [(50,), (1, 7, 42)])
def test_regression(parts):
    t = RNG.normal(size=(50, 2)) + 1e4
    y = t + 0.1 * RNG.normal(size=(50, 2))
    found = over(["rmse", "mape", "rsquared"], y, t, parts=parts)
    assert found["rmse"] == pytest.approx(referee.mean_squared_error(t.ravel(), y.ravel()) ** 0.5, rel=1e-12)
    assert found["mape"] == pytest.approx(100 * referee.mean_absolute_percentage_error(t.ravel(), y.ravel()), rel=1e-12)
    assert found["rsquared"] == pytest.approx(referee.r2_score(t.ravel(), y.ravel()), rel=1e-9)


def test_what_a_mask_hides_does_not_count():
    y, t = RNG.normal(size=(50, 4, 2)), RNG.normal(size=(50, 4, 2))
    mask = RNG.random((50, 4)) > 0.3
    found = over(["rmse"], y, t, labels="BTC", mask=mask, parts=(20, 30))
    assert found["rmse"] == pytest.approx(np.sqrt(((y - t)[mask] ** 2).mean()), rel=1e-12)
    index = RNG.integers(0, 2, (50, 4))
    sums = Sums(metrics_of("accuracy"))
    sums.add(0.0, 50, [gl.dlarray(y, "BTC")], [gl.dlarray(index, "BT")], [gl.dlarray(mask, "BT")])
    assert sums.values()["accuracy"] == pytest.approx((y.argmax(2) == index)[mask].mean())


def test_functions_are_weighed_by_observations():
    y, t = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
    found = over({"mean error": lambda y, t: gl.mean(gl.abs(y - t))}, y, t, parts=(1, 9, 40))
    assert found["mean error"] == pytest.approx(np.abs(y - t).mean())


def test_axes_in_any_order():
    y, t = RNG.random((50, 3)), RNG.integers(0, 3, 50)
    sums = Sums(metrics_of("accuracy"))
    sums.add(0.0, 50, [gl.dlarray(y.T, "CB")], [gl.dlarray(t, "B")], [None])
    assert sums.values()["accuracy"] == (y.argmax(1) == t).mean()
    with pytest.raises(gl.ShapeError, match="'accuracy' needs scores with an axis C"):
        sums.add(0.0, 50, [gl.dlarray(t * 1.0, "B")], [gl.dlarray(t, "B")], [None])


def test_every_name_is_made():
    assert [metric.name for metric in metrics_of(list(NAMES))] == list(NAMES)
    with pytest.raises(gl.TypeRefused, match="no metric 'f1'.*write one of accuracy"):
        metrics_of("f1")


@pytest.mark.parametrize(("metrics", "said"), [
    ({"loss": lambda y, t: 1.0}, "'loss', as another column"), ({"iteration": lambda y, t: 1.0}, "as another column"),
    (["rmse", "rmse"], "two metrics are named 'rmse'"), ([lambda y, t: 1.0, lambda y, t: 2.0], "two metrics are named '<lambda>'")])
def test_no_metric_takes_the_column_of_another(metrics, said):
    with pytest.raises(gl.TypeRefused, match=rf"{said}.* test_metrics\.py.*metrics="):
        gl.TrainingOptions("sgdm", metrics=metrics)


def test_what_a_metric_returns_is_a_number_and_needs_targets():
    x, net = np.ones((4, 2)), gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(1)])
    options = {"max_epochs": 1, "verbose": False}
    with pytest.raises(gl.TypeRefused, match=r"the metric 'error' returned NoneType.*test_metrics\.py.*one number"):
        gl.trainnet((x, x[:, 0]), net, "mse", gl.TrainingOptions("sgdm", metrics={"error": lambda y, t: None}, **options))
    for metrics in ("rmse", lambda y: 1.0):
        with pytest.raises(gl.DataError, match="metrics compare outputs with targets, and the data has none"):
            gl.trainnet((x,), net, lambda y: gl.mean(y ** 2), gl.TrainingOptions("sgdm", metrics=metrics, **options))


def test_testnet_takes_data_in_parts():
    x, t = RNG.standard_normal((9, 2)), RNG.standard_normal(9)
    net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(1)])
    expected = gl.testnet(net, (x, t), ["rmse", "loss"], loss="mse")
    assert gl.testnet(net, x, t, ["rmse", "loss"], loss="mse") == expected and gl.testnet(net, x, t, "rmse") == expected["rmse"]
    for given in ((), (x, t, "rmse")):
        with pytest.raises(gl.TypeRefused, match=r"testnet takes a network, data and metrics.*test_metrics\.py"):
            gl.testnet(net, x, *given)


@pytest.mark.parametrize("words", [np.array(["a", "b"] * 3), ["a", "b"] * 3, np.array(["a", "b"] * 3, dtype=object)])
def test_words_are_no_numbers(words):
    net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(1)])
    for loss in ("mse", "l1loss", "huber"):
        with pytest.raises(gl.TypeRefused, match=rf"words, which are classes, and the loss '{loss}' compares numbers"):
            gl.trainnet((np.ones((6, 2)), words), net, loss, gl.TrainingOptions("sgdm", verbose=False))
