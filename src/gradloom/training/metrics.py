"""Metrics: numbers that tell how good a network is. Each is sums that are added up over mini-batches, and what is made
of them at the end, so that any partition of the data gives the same number."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from ..core.array import dlarray
from ..core.errors import DataError, ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..machine.dtypes import Tensor
from ..vocabulary.misspelled import nearest
from .distributed.group import Group
from .losses import masking, observations_of


class Metric(Protocol):
    """What training asks a metric for: sums of one mini-batch, sums of two, and the number that they make."""

    name: str
    larger_is_better: bool

    def of(self, y: Any, t: Any, mask: Any) -> Any:
        """The sums of one mini-batch: one tensor, or one for each thing that is summed."""

    def added(self, a: Any, b: Any) -> Any:
        """The sums of two parts of the data."""

    def value(self, sums: Any) -> float:
        """The number."""


# ----- predictions and targets side by side -----


def _rows(y: Any, t: Any, mask: Any, word: str) -> tuple[Tensor, Tensor]:
    """Scores (observations, classes), and targets alike or class indices; what a mask hides is left out."""
    labels = y._labels or ("BC" if y.ndim == 2 else "B")
    raw, target = y._value.detach(), t._value.detach()
    classes = labels.find("C")
    if classes < 0:
        raise ShapeError(f"the metric {word!r} needs scores with an axis C, y is {described(y.shape, y._labels)}, at "
                         f"{line_of(user_site())}; label the output")
    rest = labels.replace("C", "", 1)
    rows = raw.movedim(classes, -1)
    if target.ndim == raw.ndim:
        target = _ordered(t, labels, word).movedim(classes, -1).reshape(-1, rows.shape[-1])
    else:
        target = _ordered(t, rest, word).reshape(-1)
    rows = rows.reshape(-1, rows.shape[-1])
    if mask is not None:
        seen = _ordered(mask, rest, word).reshape(-1).bool()
        rows, target = rows[seen], target[seen]
    return rows, target


def _ordered(a: Any, labels: str, word: str) -> Tensor:
    """The axes of an array in the order of these labels."""
    its, raw = a._labels, a._value.detach()
    if its is None or its == labels:
        return raw
    if sorted(its) != sorted(labels):
        raise ShapeError(f"the metric {word!r}: targets {described(a.shape, its)} beside predictions labelled "
                         f"{labels!r}, at {line_of(user_site())}; give targets the predictions' labels")
    order: list[int] = []
    for letter in labels:
        order.append(next(k for k, found in enumerate(its) if found == letter and k not in order))
    return raw.permute(order)


def _pairs(y: Any, t: Any, mask: Any, word: str) -> tuple[Tensor, Tensor]:
    """All predicted numbers and their targets, in float64."""
    raw = y._value.detach()
    labels = y._labels or ""
    if "C" in labels and raw.shape[labels.index("C")] == 1 and t._labels is not None and "C" not in t._labels:
        place, labels = labels.index("C"), labels.replace("C", "")  # a single channel, which the targets leave out
        raw = raw.squeeze(place)
    target = _ordered(t, labels, word) if labels else t._value.detach()
    if target.shape != raw.shape:
        raise ShapeError(f"the metric {word!r}: targets {described(t.shape, t._labels)} beside predictions "
                         f"{described(y.shape, y._labels)}, at {line_of(user_site())}; they need one shape")
    if mask is not None:
        rest = [k for k, letter in enumerate(labels) if letter in "BT"]
        seen = _ordered(mask, "".join(labels[k] for k in rest), word).bool()
        shape = [raw.shape[k] if k in rest else 1 for k in range(raw.ndim)]
        seen = seen.reshape(shape).expand(raw.shape)
        raw, target = raw[seen], target[seen]
    return raw.reshape(-1).double(), target.reshape(-1).double()


# ----- classification -----


class _Counted:
    """A metric of how often each class was right, missed or wrongly said: true and false positives and negatives."""

    larger_is_better = True

    def __init__(self, name: str, formula: Callable[[Tensor], Tensor], multilabel: bool):
        self.name, self._formula, self._multilabel = name, formula, multilabel

    def of(self, y: Any, t: Any, mask: Any) -> Any:
        rows, target = _rows(y, t, mask, self.name)
        classes = rows.shape[-1]
        if self._multilabel or classes == 1:  # one score says whether, and not which
            said, true = rows >= 0.5, target.reshape(rows.shape) >= 0.5
            counts = [said & true, said & ~true, ~said & true, ~said & ~true]
            return torch.stack([c.sum(0).double() for c in counts])
        true = target.argmax(-1) if target.ndim == 2 else target.long()
        said = rows.argmax(-1)
        right = torch.bincount(true[said == true], minlength=classes).double()
        told, there = (torch.bincount(k, minlength=classes).double() for k in (said, true))
        return torch.stack([right, told - right, there - right, len(true) - told - there + right])

    def added(self, a: Any, b: Any) -> Any:
        return a + b

    def value(self, sums: Any) -> float:
        if self.name == "accuracy" and not self._multilabel and sums.shape[1] > 1:
            return float(sums[0].sum() / (sums[0] + sums[2]).sum())
        return float(self._formula(sums))


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b.clamp_min(1), torch.zeros_like(a))


_COUNTED: dict[str, Callable[[Tensor], Tensor]] = {
    "accuracy": lambda s: (s[0] + s[3]).sum() / s.sum(),
    "precision": lambda s: _ratio(s[0], s[0] + s[1]).mean(),
    "recall": lambda s: _ratio(s[0], s[0] + s[2]).mean(),
    "fscore": lambda s: _ratio(2 * s[0], 2 * s[0] + s[1] + s[2]).mean(),
}


class _AreaUnderCurve:
    """The area under the ROC curve of each class against the others, averaged over the classes that occur beside
    others. It needs all scores at once, so its sums are the scores."""

    name = "auc"
    larger_is_better = True

    def of(self, y: Any, t: Any, mask: Any) -> Any:
        rows, target = _rows(y, t, mask, self.name)
        if target.ndim == 1 and rows.shape[-1] > 1:
            target = torch.eye(rows.shape[-1], device=rows.device)[target.long()]
        return rows.double(), target.reshape(rows.shape) >= 0.5

    def added(self, a: Any, b: Any) -> Any:
        return torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]])

    def value(self, sums: Any) -> float:
        areas = [_area(scores, true) for scores, true in zip(sums[0].T, sums[1].T, strict=True)
                 if 0 < int(true.sum()) < len(true)]
        return sum(areas) / len(areas) if areas else math.nan


def _area(scores: Tensor, true: Tensor) -> float:
    """By ranks, those of equal scores averaged. Source: Hanley and McNeil 1982."""
    _, place, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    rank = (counts.cumsum(0) - (counts.double() - 1) / 2)[place]
    positives = int(true.sum())
    return float((rank[true].sum() - positives * (positives + 1) / 2) / (positives * (len(true) - positives)))


# ----- regression -----


class _Summed:
    """A metric of sums over all predicted numbers."""

    def __init__(self, name: str, terms: Callable[[Tensor, Tensor], Tensor], formula: Callable[[Tensor], Tensor],
                 larger_is_better: bool):
        self.name, self._terms, self._formula, self.larger_is_better = name, terms, formula, larger_is_better

    def of(self, y: Any, t: Any, mask: Any) -> Any:
        y, t = _pairs(y, t, mask, self.name)
        return torch.cat([self._terms(y, t), torch.tensor([float(len(y))], device=y.device, dtype=torch.float64)])

    def added(self, a: Any, b: Any) -> Any:
        return a + b

    def value(self, sums: Any) -> float:
        return float(self._formula(sums))


class _Determination:
    """R squared: one minus the share of the targets' variance that is left. Variances of parts are put together with
    the shift of their means. Source: Chan, Golub, LeVeque 1983."""

    name = "rsquared"
    larger_is_better = True

    def of(self, y: Any, t: Any, mask: Any) -> Any:
        y, t = _pairs(y, t, mask, self.name)
        return torch.stack([((y - t) ** 2).sum(), t.mean(), ((t - t.mean()) ** 2).sum(), t.new_tensor(float(len(t)))])

    def added(self, a: Any, b: Any) -> Any:
        count, shift = a[3] + b[3], b[1] - a[1]
        return torch.stack([a[0] + b[0], a[1] + shift * b[3] / count,
                            a[2] + b[2] + shift ** 2 * a[3] * b[3] / count, count])

    def value(self, sums: Any) -> float:
        return float(1 - sums[0] / sums[2])


def _root_mean_square() -> Metric:
    return _Summed("rmse", lambda y, t: ((y - t) ** 2).sum()[None], lambda s: (s[0] / s[1]).sqrt(), False)


def _mean_percentage() -> Metric:
    return _Summed("mape", lambda y, t: ((y - t) / t).abs().sum()[None], lambda s: 100 * s[0] / s[1], False)


class _OfFunction:
    """A user's function of outputs and targets: the mean over a mini-batch, weighed by its observations."""

    larger_is_better = False

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        self._function = function
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))

    def of(self, y: Any, t: Any, mask: Any) -> Any:
        count, told = float(observations_of(y)), masking(self._function, (mask,), f"the metric {self.name!r}")
        found = self._function(y, t, **told)
        try:
            value = float(found)
        except (TypeError, ValueError) as error:
            raise TypeRefused(f"the metric {self.name!r} returned {type(found).__name__}, at {line_of(user_site())}: "
                              f"{error}; return one number, the mean over the mini-batch") from None
        return torch.tensor([value * count, count], dtype=torch.float64, device="cpu")

    def added(self, a: Any, b: Any) -> Any:
        return a + b

    def value(self, sums: Any) -> float:
        return float(sums[0] / sums[1])


_COLUMNS = ("iteration", "epoch", "time", "loss", "learn_rate", "damping")  # of the history, beside the metrics
NAMES = (*_COUNTED, "auc", "rmse", "mape", "rsquared")


def metrics_of(given: Any, multilabel: bool = False) -> list[Metric]:
    """Metrics from names, functions, {name: function}, or a sequence of them."""
    if isinstance(given, dict):
        found: list[Metric] = [_OfFunction(function, name) for name, function in given.items()]
    else:
        if given is None or isinstance(given, str) or callable(given) or hasattr(given, "of"):
            given = () if given is None or given == "" else (given,)
        found = [_metric(one, multilabel) for one in given]
    names = [metric.name for metric in found]
    for name in names:
        if name in _COLUMNS or names.count(name) > 1:
            said = (f"a metric is named {name!r}, as another column of the history" if name in _COLUMNS else
                    f"two metrics are named {name!r}")
            raise TypeRefused(f"{said}, at {line_of(user_site())}; give it as {{\"error\": function}}")
    return found


def _metric(given: Any, multilabel: bool) -> Metric:
    if hasattr(given, "of") and hasattr(given, "value"):
        return given
    if callable(given) and not isinstance(given, dlarray):
        return _OfFunction(given)
    if given in _COUNTED:
        return _Counted(given, _COUNTED[given], multilabel)
    found = {"auc": _AreaUnderCurve, "rmse": _root_mean_square, "mape": _mean_percentage,
             "rsquared": _Determination}.get(given)
    if found is None:
        raise TypeRefused(f"there is no metric {given!r}{nearest(str(given), NAMES)}, at {line_of(user_site())}; write "
                          f"one of {', '.join(NAMES)}, or a function of outputs and targets")
    return found()


class Sums:
    """Metrics and a loss over several mini-batches."""

    def __init__(self, metrics: Sequence[Metric]):
        self._metrics = metrics
        self._sums: list[Any] = [None] * len(metrics)
        self._loss = self._weight = 0.0

    def add(self, loss: float, weight: float, ys: Sequence[Any], ts: Sequence[Any], masks: Sequence[Any]) -> None:
        """One more mini-batch; metrics are those of the first output."""
        if self._metrics and not ts:
            raise DataError(f"metrics compare outputs with targets, and the data has none, at {line_of(user_site())}; "
                            "leave metrics= out, or give targets")
        self._loss += loss * weight
        self._weight += weight
        for k, metric in enumerate(self._metrics):
            found = metric.of(ys[0], ts[0], masks[0])
            self._sums[k] = found if self._sums[k] is None else metric.added(self._sums[k], found)

    @property
    def weight(self) -> float:
        """The weights that were added."""
        return self._weight

    def over(self, group: Group) -> Sums:
        """The sums of all processes, added in the order of their numbers."""
        if group.size == 1:
            return self
        leaves = [[] if sums is None else _leaves(metric, sums)
                  for metric, sums in zip(self._metrics, self._sums, strict=True)]
        head = torch.tensor([self._loss, self._weight, *map(len, leaves)], dtype=torch.float64, device="cpu")
        total = Sums(self._metrics)
        for column in group.gathered([head, *[x for its in leaves for x in its]]):
            assert column[0] is not None
            loss, weight, *counts = column[0].tolist()
            total._loss, total._weight = total._loss + loss, total._weight + weight
            rest: list[Any] = column[1:]
            for k, (metric, count) in enumerate(zip(self._metrics, map(int, counts), strict=True)):
                its, rest = rest[:count], rest[count:]
                if its:
                    found = its[0] if count == 1 else tuple(its)
                    total._sums[k] = found if total._sums[k] is None else metric.added(total._sums[k], found)
        return total

    def values(self) -> dict[str, float]:
        """The loss and every metric over all that was added."""
        if not self._weight:
            raise DataError(f"the data has no observations, at {line_of(user_site())}; give some")
        found = {"loss": self._loss / self._weight}
        for metric, sums in zip(self._metrics, self._sums, strict=True):
            found[metric.name] = math.nan if sums is None else metric.value(sums)
        return found


def _leaves(metric: Metric, sums: Any) -> list[Tensor]:
    """The sums of a metric as arrays that can be sent."""
    several = list(sums) if isinstance(sums, (tuple, list)) else [sums]
    for x in several:
        if not isinstance(x, (Tensor, int, float)):
            raise TypeRefused(f"the metric {metric.name!r} sums up {type(x).__name__}, which processes cannot send "
                              f"each other, at {line_of(user_site())}; let its `of` return a tensor, or a tuple of "
                              "them")
    return [x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64, device="cpu") for x in several]


__all__ = ["NAMES", "Metric", "Sums", "metrics_of"]
