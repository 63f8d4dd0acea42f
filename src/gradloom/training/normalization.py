"""Statistics of the data that training finds: those of input layers, and those of targets that are normalized."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.errors import TypeRefused, line_of, user_site
from ..data import minibatchqueue
from ..networks.layers.input import InverseNormalization
from ..networks.network import dlnetwork
from ..networks.normalizing import BACKWARD, FORWARD, placed, statistics_of
from ..operations.elementwise.arithmetic import astype
from .losses import Loss
from .metrics import Metric
from .sources import Batch, batches, without_padding

_NAMES = ("mean", "standard_deviation")


def with_input_statistics(net: dlnetwork, queue: minibatchqueue, again: bool) -> dlnetwork:
    """The network whose input layers have the statistics of the data: those that lack them, or all of them `again`."""
    inputs: list[Any] = [layer for layer in net.layers if hasattr(layer, "layout") and hasattr(layer, "statistics")]
    names = list(net.input_names)
    for layer in inputs:
        if layer.wanted and (again or layer.lacking):
            place = names.index(layer.name) if layer.name in names else 0
            found = layer.statistics(batch.shown(place) for batch in batches(queue, len(names)))
            net = net.replace(state=found)
    return net


class Targets:
    """Targets of mean 0 and deviation 1, for each channel, while the network is trained; metrics are in their units."""

    def __init__(self, statistics: dict[str, Any]):
        self._statistics = statistics

    def _mapped(self, x: Any, formulas: Any) -> Any:
        its = [astype(placed(self._statistics[name], x, name), x.dtype) for name in _NAMES]
        return formulas["zscore"](x, *its)

    def loss(self, loss: Loss) -> Loss:
        """A loss of normalized targets."""

        def normalized(ys: Sequence[Any], ts: Sequence[Any], masks: Sequence[Any]) -> tuple[Any, int]:
            return loss(ys, [self._mapped(t, FORWARD) for t in ts], masks)

        return normalized

    def metrics(self, metrics: Sequence[Metric]) -> list[Metric]:
        """Metrics of predictions in the units of the targets."""
        return [_InUnits(metric, self) for metric in metrics]

    def undone(self, y: Any) -> Any:
        """Predictions in the units of the targets."""
        return self._mapped(y, BACKWARD)

    def finished(self, net: dlnetwork) -> dlnetwork:
        """The network that ends with the inverse."""
        layer = InverseNormalization(**{name: value.astype(next(iter(net.learnables.values())).dtype)
                                        for name, value in self._statistics.items()})
        (last,) = net.output_names
        return net.add_layers(layer, after=last).initialize()


class _InUnits:
    """A metric of predictions in the units of the targets."""

    def __init__(self, metric: Metric, targets: Targets):
        self._metric, self._targets = metric, targets
        self.name, self.larger_is_better = metric.name, metric.larger_is_better
        self.added, self.value = metric.added, metric.value

    def of(self, y: Any, t: Any, mask: Any) -> Any:
        return self._metric.of(self._targets.undone(y), t, mask)


def target_statistics(queue: minibatchqueue, inputs: int) -> dict[str, Any]:
    """The mean and the deviation of the targets, for each channel."""
    return statistics_of(_NAMES, (_only(batch) for batch in batches(queue, inputs)), "auto")


def _only(batch: Batch) -> Any:
    if len(batch.targets) != 1 or not batch.targets[0].dtype.is_floating_point:
        raise TypeRefused(f"normalize_targets=True takes one target of floating numbers, at {line_of(user_site())}; "
                          "normalize yourself, or leave it out")
    return without_padding(batch.targets[0], batch.masks[0])


__all__ = ["Targets", "target_statistics", "with_input_statistics"]
