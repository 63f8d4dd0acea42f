"""Predicted classes beside the true ones: counts, and pictures."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import ShapeError, TypeRefused, line_of, needed, user_site
from ..core.labels import described, positions
from ..operations.neural.encoding import onehotdecode


def scores2label(scores: Any, class_names: Sequence[Any] | None = None, axis: int | str | None = None) -> Any:
    """The class with the largest score of each observation: NumPy words for class_names of words, else integers.

    scores: what a classifier returns; the classes are along `axis`, C where scores are labelled. class_names: the
    classes in order, those of `queue.class_names`. Raises ShapeError where there are not as many class_names as scores.

    >>> import gradloom as gl
    >>> gl.scores2label(gl.dlarray([[0.1, 0.9], [0.8, 0.2]], "BC"), ["cat", "dog"]).tolist()
    ['dog', 'cat']

    Source: MATLAB scores2label.
    """
    return onehotdecode(scores, class_names, axis)


def confusionmat(t: Any, y: Any, class_names: Sequence[Any] | None = None) -> tuple[np.ndarray, list[Any]]:
    """How often each true class was predicted as each class: (counts, classes), counts of shape (true, predicted).

    t, y: the true and the predicted classes, words or integers; with class_names of words, integers are places in them.
    The classes are class_names, else those that occur, sorted. Raises ShapeError for different numbers of observations.

    >>> import gradloom as gl
    >>> counts, names = gl.confusionmat(["cat", "dog", "dog"], ["cat", "cat", "dog"])
    >>> counts.tolist(), names
    ([[1, 0], [1, 1]], ['cat', 'dog'])

    Source: MATLAB confusionmat.
    """
    true, predicted = _listed(t, class_names, "confusionmat"), _listed(y, class_names, "confusionmat")
    if len(true) != len(predicted):
        raise ShapeError(f"confusionmat: {len(true)} true classes and {len(predicted)} predicted ones, at "
                         f"{line_of(user_site())}; give one of each for every observation")
    names = sorted({*true, *predicted}) if class_names is None else list(class_names)
    places = {name: k for k, name in enumerate(names)}
    for name in (*true, *predicted):
        if name not in places:
            raise ShapeError(f"confusionmat: {name!r} is none of the {len(names)} class_names, at "
                             f"{line_of(user_site())}; add it, or leave class_names out")
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, ([places[name] for name in true], [places[name] for name in predicted]), 1)
    return counts, names


def _listed(classes: Any, class_names: Sequence[Any] | None, word: str) -> list[Any]:
    """Classes as a list of words or integers."""
    found = np.asarray(classes.cpu() if isinstance(classes, torch.Tensor) else classes).reshape(-1)
    if found.dtype.kind == "f" or found.dtype.kind == "c":
        raise TypeRefused(f"{word} takes classes, words or integers, not {found.dtype}, at {line_of(user_site())}; "
                          "write scores2label(scores, class_names)")
    values = found.tolist()
    if class_names is not None and found.dtype.kind in "iu" and all(isinstance(name, str) for name in class_names):
        if found.size and not 0 <= found.min() <= found.max() < len(class_names):
            raise ShapeError(f"{word}: class {int(found.max())} of {len(class_names)} class_names, at "
                             f"{line_of(user_site())}; they count from 0")
        return [class_names[k] for k in values]
    return values


def confusionchart(t: Any, y: Any, class_names: Sequence[Any] | None = None, *, normalization: str = "absolute",
                   ax: Any = None) -> Any:
    """A picture of `confusionmat`: true classes down, predicted ones across; returns matplotlib's axes.

    normalization: "absolute" shows counts, "row-normalized" shares of each true class, "column-normalized" shares of
    each predicted one. ax: the axes to draw in; new ones where it is missing. Raises as confusionmat.

    >>> import gradloom as gl
    >>> ax = gl.confusionchart(["cat", "dog", "dog"], ["cat", "cat", "dog"])
    >>> [text.get_text() for text in ax.texts]
    ['1', '0', '1', '1']

    Source: MATLAB confusionchart.
    """
    ways = ("absolute", "row-normalized", "column-normalized")
    if normalization not in ways:
        raise TypeRefused(f"confusionchart: normalization is one of {', '.join(ways)}, not {normalization!r}, at "
                          f"{line_of(user_site())}; leave it out for counts")
    counts, names = confusionmat(t, y, class_names)
    axis = {"absolute": None, "row-normalized": 1, "column-normalized": 0}[normalization]
    totals = np.ones((1, 1)) if axis is None else counts.sum(axis, keepdims=True)
    shown = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals != 0)
    right = np.eye(len(names), dtype=bool)
    # right ones in blue, wrong ones in orange, each the darker the larger its share of the true class
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    depth = share[..., None] * 0.85
    colour = np.where(right[..., None], [0.12, 0.40, 0.70], [0.85, 0.37, 0.10])
    ax = _axes(ax, "confusionchart")
    ax.imshow(1 - depth * (1 - colour), aspect="equal")
    for i, row in enumerate(shown):
        for j, value in enumerate(row):
            text = f"{counts[i, j]}" if axis is None else f"{100 * value:.1f}%"
            ax.text(j, i, text, ha="center", va="center", color="white" if share[i, j] > 0.6 else "black")
    words = [str(name) for name in names]
    ax.set_xticks(range(len(names)), words, rotation=45 if max(map(len, words), default=0) > 4 else 0)
    ax.set_yticks(range(len(names)), words)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax


def roc_curve(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(false positive rate, true positive rate, area under the curve) of one class, over all thresholds.

    Equal scores pass a threshold together, so the curve has one corner for each different score.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.r_[np.diff(scores[order]) != 0, True] if len(scores) else np.zeros(0, dtype=bool)
    hits = np.r_[0, np.cumsum(positive[order])[last]]
    misses = np.r_[0, np.cumsum(~positive[order])[last]]
    true_rate, false_rate = hits / max(hits[-1], 1), misses / max(misses[-1], 1)
    return false_rate, true_rate, float(np.trapezoid(true_rate, false_rate))


def roc_chart(t: Any, scores: Any, class_names: Sequence[Any] | None = None, *, ax: Any = None) -> Any:
    """The receiver operating characteristic of each class against the rest; returns matplotlib's axes.

    t: the true classes, integers, or words of class_names; scores: labelled with B and C, or (observations, classes).
    The legend has the area under each curve. Raises ShapeError for sizes that do not fit.

    >>> import gradloom as gl
    >>> ax = gl.roc_chart([0, 0, 1], gl.dlarray([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]], "BC"), ["cat", "dog"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['cat (area 1.000)', 'dog (area 1.000)']

    Source: MATLAB rocmetrics and plot.
    """
    values = np.asarray(scores)
    labels = scores._labels if type(scores) is dlarray else None
    if labels is not None and (sorted(labels) != ["B", "C"]) or values.ndim != 2:
        raise ShapeError(f"roc_chart: scores are {described(values.shape, labels)}, at {line_of(user_site())}; give "
                         "(observations, classes), or labels \"BC\"")
    if labels is not None and positions(labels, "C") == (0,):
        values = values.T
    names = list(range(values.shape[1])) if class_names is None else list(class_names)
    true = _listed(t, class_names, "roc_chart")
    if len(names) != values.shape[1] or len(true) != len(values):
        raise ShapeError(f"roc_chart: {len(true)} true classes and {len(names)} class_names for scores of "
                         f"{values.shape[0]} observations and {values.shape[1]} classes, at {line_of(user_site())}; "
                         "give one for each")
    ax = _axes(ax, "roc_chart")
    for k, name in enumerate(names):
        positive = np.array([label == name for label in true], dtype=bool)
        false_rate, true_rate, area = roc_curve(positive, values[:, k])
        ax.plot(false_rate, true_rate, label=f"{name} (area {area:.3f})")
    ax.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal")
    ax.legend(loc="lower right")
    return ax


def _axes(ax: Any, word: str) -> Any:
    """Those that were given, or new ones."""
    return needed("matplotlib.pyplot", word).subplots()[1] if ax is None else ax


__all__ = ["confusionchart", "confusionmat", "roc_chart", "scores2label"]
