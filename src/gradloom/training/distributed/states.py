"""What layers carry from step to step, of all processes: one state from those that each process came to."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.errors import ShapeError, TypeRefused, UnknownName, line_of, user_site
from ...machine.dtypes import Tensor
from ...networks.network import dlnetwork
from ...networks.parameters import Key
from .group import Group

Values = dict[Key, Tensor]


def shares_statistics(network: dlnetwork) -> bool:
    """Whether a network has layers with statistics over the batch, in layers that are networks, too."""
    return any([name == "trained_mean" for _, name in network.state])


def summed_by(group: Group, counts: bool) -> Callable[[Tensor], Tensor]:
    """The sum over the processes; one that does not count brings zeros, whatever it computes."""
    return lambda x: group.summed([x if counts else torch.zeros_like(x)])[0]


def combined_state(group: Group, network: dlnetwork, state: Mapping[Key, Any] | None, weight: float) -> dict[Key, Any]:
    """The state of all processes: of a layer with `combined_state` as it says, else means by weight.

    `network` is the one before the step, so that what did not move is not sent; `state` is None, and the weight 0,
    where a process had no observations. What has an axis B belongs to observations and stays where it is.
    """
    before = network.state
    if not before or group.size == 1:
        return dict(state or before)
    moved = {key: x for key, x in (state or {}).items() if x._value is not before[key]._value and "B" not in x.dims}
    sent = [torch.tensor([float(weight)], dtype=torch.float64, device="cpu")]
    sent += [moved[key]._value if weight and key in moved else None for key in before]  # type: ignore[misc]
    columns = group.gathered(sent)
    weights = [float(column[0]) for column in columns if column[0] is not None]
    parts: list[Values] = []
    for column, its in zip(columns, weights, strict=True):
        if its:
            parts.append({key: x for key, x in zip(before, column[1:], strict=True) if x is not None})
    shares = [its / sum(weights) for its in weights if its]
    keys = [key for key in before if any(key in part for part in parts)]
    found = dict(state or before)
    for layer in dict.fromkeys(name for name, _ in keys):
        names = [name for its, name in keys if its == layer]
        together = [{name: part.get((layer, name), before[layer, name]._value.detach().cpu()) for name in names}
                    for part in parts]
        for name, value in _of_layer(network, layer, together, shares).items():
            old = before[layer, name]
            found[layer, name] = dlarray._made(value.to(old._value.device, old._value.dtype), None, old._labels)
    return found


def _of_layer(network: dlnetwork, layer: str, parts: Sequence[dict[str, Tensor]],
              shares: Sequence[float]) -> dict[str, Tensor]:
    try:
        its: Any = network[layer]
    except UnknownName:  # a module of torch
        its = None
    if hasattr(its, "combined_state"):
        return dict(its.combined_state(parts, shares))
    return {name: _mean([part[name] for part in parts], shares, layer, name) for name in parts[0]}


def _mean(values: Sequence[Tensor], shares: Sequence[float], layer: str, name: str) -> Tensor:
    first = values[0]
    if any(x.shape != first.shape for x in values):
        raise ShapeError(f"the state {(layer, name)!r} has other shapes on other processes: "
                         f"{', '.join(str(tuple(x.shape)) for x in values)}, at {line_of(user_site())}; label its axis "
                         "of observations B, or give its layer combined_state(states, shares)")
    if all(torch.equal(x, first) for x in values):
        return first
    if not (first.dtype.is_floating_point or first.dtype.is_complex):
        raise TypeRefused(f"the state {(layer, name)!r} is not of floating numbers, and differs between processes, at "
                          f"{line_of(user_site())}; give its layer combined_state(states, shares)")
    wide = torch.complex128 if first.dtype.is_complex else torch.float64
    total = torch.zeros(first.shape, dtype=wide, device=first.device)
    for x, share in zip(values, shares, strict=True):
        total += share * x.to(wide)
    return total


__all__ = ["combined_state", "shares_statistics", "summed_by"]
