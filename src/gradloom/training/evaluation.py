"""Loss and gradients of a mini-batch, and the loss and metrics of a whole data set."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..acceleration.accelerated import AcceleratedFunction
from ..data import minibatchqueue
from ..derivatives.words.evaluate import detach, dlfeval
from ..derivatives.words.gradient import dlgradient
from ..networks.network import dlnetwork
from .combination import combined, scaled
from .distributed.group import ALONE, Group
from .distributed.words import summed_gradients
from .losses import Loss
from .metrics import Metric, Sums
from .sources import Batch, batches


class Part(NamedTuple):
    """What one mini-batch gives: the mean of its loss and the weight of that mean, gradients, what those must be
    multiplied with to be those of the sum, the network's new state, and its outputs."""

    loss: float
    weight: int
    gradients: Any
    factor: int
    state: Any
    outputs: tuple[Any, ...]


class Differentiated:
    """Loss and gradients of mini-batches, in training or as the network is used: `of(net, batch)`. Where it can be
    recorded it is replayed, with the same numbers, to rounding when its loops are compiled; where not, the log says
    once why it stays plain.

    `outputs` says whether somebody asks for the network's outputs: metrics do.
    """

    def __init__(self, loss: Loss, training: bool, outputs: bool, accelerated: bool):

        # what tells one recording from another first
        def training_step(batch: Batch, net: dlnetwork, summed: bool) -> Any:
            run = net.forward if training else net.predict
            # data is constant
            y, state = run(*map(detach, batch.inputs), return_state=True, **batch.told(net))
            ys = y if isinstance(y, tuple) else (y,)
            value, weight = loss(ys, [detach(t) for t in batch.targets], batch.masks)
            goal = value * weight if summed else value
            return value, weight, dlgradient(goal, net.trainable), state, ys if outputs else ()

        # the same seed gives the same bits twice: no executor that is ready at some time
        self._step = AcceleratedFunction(training_step, "steady", quiet=True)
        self._step.enabled = accelerated

    def of(self, net: dlnetwork, batch: Batch, summed: bool = False) -> Part:
        """A mini-batch. Where `summed`, the gradients are those of the sum: statistics over other processes' parts
        make theirs depend on this one's numbers."""
        value, weight, gradients, state, ys = dlfeval(self._step, batch, net, summed)
        # the states of recurrent layers are of these observations, and none of the next mini-batch's
        kept = {key: x for key, x in state.items() if "B" not in x.dims}
        return Part(value.item(), weight, gradients, 1 if summed else weight, kept, ys)


class Total:
    """Parts of one step: sums of losses, of gradients and of weights, divided once. Processes that train together add
    theirs here."""

    def __init__(self, metrics: Sequence[Metric], group: Group = ALONE):
        self.sums = Sums(metrics)
        self._group = group
        self._gradients: Any = None
        self._only: Part | None = None
        self._weight = 0

    def add(self, part: Part, batch: Batch) -> None:
        """One more part."""
        self.sums.add(part.loss, part.weight, part.outputs, batch.targets, batch.masks)
        if self._weight == 0:
            self._only = part
        elif self._gradients is None:
            assert self._only is not None
            self._gradients = combined(self._only.gradients, part.gradients, self._only.factor, part.factor)
        else:
            self._gradients = combined(self._gradients, part.gradients, 1.0, part.factor)
        self._weight += part.weight

    def values(self) -> dict[str, float]:
        """The loss and the metrics over all parts, of all processes."""
        self.sums = self.sums.over(self._group)
        return self.sums.values()

    def gradients(self, learnables: Any) -> Any:
        """The gradients with respect to these learnables of the mean over all parts; after `values`."""
        if self._group.size > 1:
            own = self._only.gradients if self._only is not None and self._gradients is None else self._gradients
            weight = 0 if own is None else self._only.factor if self._only and self._gradients is None else 1
            return summed_gradients(self._group, learnables if own is None else own, weight, self.sums.weight)
        if self._gradients is None:  # quick way: one part, whose mean it is; the plain one is below
            assert self._only is not None
            return self._only.gradients
        return scaled(self._gradients, 1 / self._weight)


def evaluated(net: dlnetwork, queue: minibatchqueue, loss: Loss, metrics: Sequence[Metric],
              group: Group = ALONE, seed: int | None = None) -> dict[str, float]:
    """The loss and the metrics of a network in use, over all of a queue's data, of which each process has its
    part. With a seed, what is drawn for the data is the same each time."""
    sums = Sums(metrics)
    for batch in batches(queue, len(net.input_names), seed):
        if group.size > 1 and batch.is_empty:
            continue
        y = net.predict(*batch.inputs, **batch.told(net))
        ys = y if isinstance(y, tuple) else (y,)
        value, weight = loss(ys, batch.targets, batch.masks)
        sums.add(value.item(), weight, ys, batch.targets, batch.masks)
    return sums.over(group).values()


__all__ = ["Differentiated", "Part", "Total", "evaluated"]
