"""Statistics of batch normalization over all data, found by one more pass when training is over."""
from __future__ import annotations

from typing import Any

from ..core.array import dlarray
from ..networks.network import dlnetwork
from ..operations.creation.arrays import zeros
from .evaluation import Part, Total
from .loop import Loop, part_of
from .losses import observations_of
from .sources import Batch

_NAMES = ("trained_mean", "trained_variance")


def with_population_statistics(loop: Loop, net: dlnetwork) -> dlnetwork:
    """The network with the mean and the variance of each channel over all training data, which goes through it as in
    training: each mini-batch is normalized by its own. Source: Ioffe and Szegedy 2015, algorithm 2."""
    found: dict[str, Any] = {layer: net[layer] for layer, name in net.state if name == _NAMES[0]}
    layers = {layer: its for layer, its in found.items() if hasattr(its, "population_state")}
    if not layers:
        return net
    ours = [(layer, name) for layer in layers for name in _NAMES]
    empty = net.replace(state={key: zeros(x.shape, like=x) if key in ours else x for key, x in net.state.items()})
    states, weights = [], []
    try:
        for batch in loop.once_more():
            total = Total([], loop.group)
            states.append(part_of(loop, empty, batch, total, _forward))
            total.values()  # over all processes
            weights.append(total.sums.weight)
    finally:
        loop.queue.close()
    shares = [weight / sum(weights) for weight in weights]
    state = dict(net.state)
    for layer, its in layers.items():
        parts = [{name: one[layer, name]._value for name in _NAMES} for one in states]
        for name, value in its.population_state(parts, shares).items():
            old = net.state[layer, name]
            state[layer, name] = dlarray._made(value.to(old._value.dtype), None, old._labels)
    return net.replace(state=state)


def _forward(net: dlnetwork, batch: Batch, summed: bool = False) -> Part:
    """The state that a mini-batch leaves, without a loss."""
    state = net.forward(*batch.inputs, return_state=True, **batch.told(net))[1]
    x = batch.shown(0)
    weight = observations_of(x) * x.sizes.get("T", 1)  # without padding
    return Part(0.0, weight, None, weight, {key: x for key, x in state.items() if "B" not in x.dims}, ())


__all__ = ["with_population_statistics"]
