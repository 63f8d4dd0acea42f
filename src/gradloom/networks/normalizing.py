"""How data is normalized where it enters a network: formulas, the statistics that each takes, and those of data."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import LabelError, ShapeError, line_of, user_site
from ..core.labels import described, positions
from ..operations.movement.axes import reshape

Normalization = str | Callable[[Any], Any]

# which statistics a normalization takes
STATISTICS = {"none": (), "zerocenter": ("mean",), "zscore": ("mean", "standard_deviation"),
              "rescale-symmetric": ("min", "max"), "rescale-zero-one": ("min", "max")}

FORWARD: dict[str, Callable[..., Any]] = {
    "zerocenter": lambda x, mean: x - mean,
    "zscore": lambda x, mean, deviation: (x - mean) / deviation,
    "rescale-symmetric": lambda x, low, high: (x - low) / (high - low) * 2 - 1,
    "rescale-zero-one": lambda x, low, high: (x - low) / (high - low)}

BACKWARD: dict[str, Callable[..., Any]] = {
    "zerocenter": lambda y, mean: y + mean,
    "zscore": lambda y, mean, deviation: y * deviation + mean,
    "rescale-symmetric": lambda y, low, high: (y + 1) / 2 * (high - low) + low,
    "rescale-zero-one": lambda y, low, high: y * (high - low) + low}

# the axes along which statistics differ, the rest is pooled
DIMENSIONS = {"auto": "C", "channel": "C", "element": "SC", "all": ""}


def placed(statistic: Any, x: Any, word: str) -> dlarray:
    """A statistic with the labels that match it with x: one number, one for each channel, or one for each entry of (*S,
    C)."""
    if statistic._labels is not None:
        return dlarray._made(statistic._value, statistic._node, statistic._labels)
    if statistic.size == 1:
        return reshape(statistic, ())
    letters = "S" * (x._labels or "").count("S") + "C"
    if statistic.ndim not in (1, len(letters)):
        raise ShapeError(
            f"{word} is {described(statistic.shape, None)} for x {described(x.shape, x._labels)}, at "
            f"{line_of(user_site())}; give one number, one for each channel, or one for each entry of (*S, C)")
    return dlarray._made(statistic._value, statistic._node, letters if statistic.ndim == len(letters) else "C")


def statistics_of(names: Sequence[str], batches: Any, dimension: str) -> dict[str, dlarray]:
    """{name: value} of statistics of labelled arrays, one or several, that are read once, in double precision.

    An entry that never changes gets the deviation 1, or a largest value 1 above its smallest, so that nothing is
    divided by 0.
    """
    kept, seen = DIMENSIONS[dimension], _Seen()
    several: Iterable[Any] = [batches] if isinstance(batches, dlarray) else batches
    for batch in several:
        if not isinstance(batch, dlarray) or batch._labels is None:
            raise LabelError(f"statistics are of labelled arrays, not {type(batch).__name__} without labels, at "
                             f"{line_of(user_site())}; write dlarray(x, \"BCSS\")")
        order = [k for letter in kept for k in positions(batch._labels, letter)]
        labels = "".join(batch._labels[k] for k in order)
        rest = [k for k in range(batch.ndim) if k not in order]
        x = batch._value.detach().permute(*rest, *order).double()
        seen.add(x.reshape(-1, *x.shape[len(rest):]), labels)
    if not seen.count:
        raise ShapeError(f"statistics of no data, at {line_of(user_site())}; give at least one observation")
    return {name: dlarray._made(seen.value(name), None, seen.labels or None) for name in names}


class _Seen:
    """What is known of the observations so far: count, mean, sum of squared differences from it, bounds."""

    count = 0
    labels = ""
    mean: Any = 0.0
    squares: Any = 0.0
    low: Any = None
    high: Any = None

    def add(self, x: torch.Tensor, labels: str) -> None:
        """More observations, along the first axis."""
        n = x.shape[0]
        if not n:
            return
        total, mean = self.count + n, x.mean(0)
        shift = mean - self.mean
        self.squares = self.squares + ((x - mean) ** 2).sum(0) + shift**2 * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        low, high = x.amin(0), x.amax(0)
        self.low = low if self.low is None else torch.minimum(self.low, low)
        self.high = high if self.high is None else torch.maximum(self.high, high)
        self.count, self.labels = total, labels

    def value(self, name: str) -> torch.Tensor:
        """One statistic."""
        if name == "standard_deviation":
            deviation = (self.squares / self.count).sqrt()
            return torch.where(deviation > 0, deviation, torch.ones_like(deviation))
        if name == "max":
            return torch.where(self.high > self.low, self.high, self.low + 1)
        found: torch.Tensor = {"mean": self.mean, "min": self.low}[name]
        return found


__all__ = ["BACKWARD", "DIMENSIONS", "FORWARD", "STATISTICS", "Normalization", "placed", "statistics_of"]
