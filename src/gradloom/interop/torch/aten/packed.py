"""Packed sequences, and recurrent layers on them, written out in torch's functions of plain arrays.

torch's own kernels read the memory of the batch sizes, and have no derivative that is made of operations. A packed
array holds the sequences time by time, those that have ended left out: between two ends it is an array of times and
sequences.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ....machine.dtypes import Tensor
from ....machine.modes import under, undispatched
from .values import raw_of


def _plain(function: Callable[..., Any], *args: Any) -> Any:
    """What torch itself makes of positions and sizes."""
    return under((torch._C.DisableTorchFunction(),), undispatched, function, *map(raw_of, args))


def pack(function: Callable[..., Any], x: Any, lengths: Any, batch_first: bool) -> Any:
    """Sequences of several lengths, sorted, as a packed array: (data, batch sizes)."""
    first, second = x.shape[:2]
    positions, sizes = _plain(lambda n: function(
        torch.arange(first * second, device="cpu").reshape(first, second, 1), n, batch_first), lengths)
    return x.flatten(0, 1)[positions[:, 0].to(x.device)], sizes


def unpack(function: Callable[..., Any], data: Any, sizes: Any, batch_first: bool, padding_value: Any,
           total_length: int) -> Any:
    """A packed array as sequences that are padded: (sequences, lengths)."""
    count = data.shape[0]
    positions, lengths = _plain(lambda n: function(
        torch.arange(1, count + 1, device="cpu")[:, None], n, batch_first, 0, total_length), sizes)
    padding = data.new_full((1, *data.shape[1:]), padding_value)
    return torch.cat([padding, data])[positions[..., 0].to(data.device)], lengths


def recurrence(function: Callable[..., Any], data: Any, sizes: Any, hx: Any = None, weights: Any = None,
               has_biases: bool = True, num_layers: int = 1, dropout: float = 0.0, train: bool = False,
               bidirectional: bool = False) -> Any:
    """torch.lstm, gru, rnn_tanh or rnn_relu of a packed array: (data, the last states)."""
    if not isinstance(sizes, torch.Tensor) or sizes.dtype is not torch.int64 or sizes.ndim != 1:
        return NotImplemented  # arrays of times and sequences
    counts = _plain(Tensor.tolist, sizes)
    ways, backwards = 2 if bidirectional else 1, _plain(_backwards, counts).to(data.device) if bidirectional else None
    each, states = len(weights) // (num_layers * ways), hx if isinstance(hx, (tuple, list)) else (hx,)
    ends: list[list[Any]] = []
    for layer in range(num_layers):
        sides = []
        for way in range(ways):
            k = layer * ways + way
            y, end = _along(function, data[backwards] if way else data, counts, [h[k:k + 1] for h in states],
                            weights[k * each:(k + 1) * each], has_biases)
            sides.append(y[backwards] if way else y)
            ends.append(end)
        data = torch.cat(sides, -1) if bidirectional else sides[0]
        if dropout and train and layer < num_layers - 1:
            data = torch.dropout(data, dropout, True)
    return (data, *[torch.cat([end[j] for end in ends]) for j in range(len(states))])


def _along(function: Callable[..., Any], data: Any, counts: Sequence[int], states: list[Any], weights: Any,
           has_biases: bool) -> tuple[Any, list[Any]]:
    """One layer in one direction: its outputs, and the state of each sequence at its end."""
    parts, ended, start = [], [], 0
    for count, group in itertools.groupby(counts):
        times = sum(1 for _ in group)
        if count < states[0].shape[1]:
            ended.append([h[:, count:] for h in states])
            states = [h[:, :count] for h in states]
        part = data[start:start + times * count].reshape(times, count, data.shape[-1])
        y, *states = function(part, tuple(states) if len(states) > 1 else states[0], weights, has_biases, 1, 0.0, False,
                              False, False)
        parts.append(y.flatten(0, 1))
        start += times * count
    last = [states, *reversed(ended)]
    return torch.cat(parts), [torch.cat([its[j] for its in last], 1) for j in range(len(states))]


def _backwards(counts: Sequence[int]) -> Tensor:
    """For each place of a packed array that of the same sequence as far from the other end."""
    starts = [0, *itertools.accumulate(counts)]
    lengths = [sum(1 for count in counts if count > k) for k in range(counts[0])]
    return torch.tensor([starts[lengths[k] - 1 - t] + k for t, count in enumerate(counts) for k in range(count)],
                        device="cpu")


MADE_OF = {"_pack_padded_sequence": pack, "_pad_packed_sequence": unpack,
           **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrence)}
