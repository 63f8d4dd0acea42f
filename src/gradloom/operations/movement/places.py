"""What an index selects: positions and places."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ...machine.dtypes import Tensor
from .indexing import split_by_basic


def basic_place(shape: Any, entries: list[Any]) -> tuple[int, ...]:
    """The shape of what integers, slices and None select."""
    sizes, axis = [], 0
    for e in entries:
        if e is None:
            sizes.append(1)
            continue
        if not isinstance(e, int):
            sizes.append(len(range(*e.indices(shape[axis]))))
        axis += 1
    return tuple(sizes)


def positions_of_index(x: Tensor, entries: list[Any]) -> Tensor:
    """Where the selected elements are in x.flatten(), in the shape of the selection (NumPy's placement)."""
    # positions along an axis, times its stride; whether they belong to the block of arrays
    parts: list[tuple[Tensor, bool]] = []
    offset, axis = 0, 0
    for e in entries:
        if e is None:
            parts.append((torch.zeros(1, dtype=torch.int64, device="cpu"), False))
            continue
        tables = torch.nonzero(e.cpu(), as_tuple=True) if isinstance(e, Tensor) and e.dtype is torch.bool else (e,)
        for table in tables:
            n, stride = x.shape[axis], math.prod(x.shape[axis + 1:])
            if isinstance(table, slice):
                parts.append((torch.tensor(range(n)[table], dtype=torch.int64, device="cpu") * stride, False))
            elif isinstance(table, int):
                offset += (table % n) * stride
            else:
                table = table.cpu()
                parts.append((torch.where(table < 0, table + n, table) * stride, True))
            axis += 1
    groups: list[Sequence[Tensor]] = [(part,) for part, block in parts if not block]
    if len(groups) < len(parts):
        first = next(k for k, e in enumerate(entries) if isinstance(e, (int, Tensor)))
        groups.insert(0 if split_by_basic(entries) else first,
                      torch.broadcast_tensors(*[part for part, block in parts if block]))
    ndim = sum(group[0].ndim for group in groups)
    flat, at = torch.tensor(offset, device="cpu"), 0
    for group in groups:
        at += group[0].ndim
        for part in group:
            flat = flat + part.reshape(*part.shape, *(1,) * (ndim - at))
    return flat.to(x.device)
