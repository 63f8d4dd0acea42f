"""Pooling to a given size: the mean over windows that cover an axis evenly."""
from __future__ import annotations

from typing import Any

import torch

from ....core.array import dlarray
from ....core.tables import OPERATIONS
from ..spatial import Sizes, along_last_axes


def averaged(x: Any, size: Sizes) -> Any:
    """x with means along its last axes: window j of m is floor(j n / m) ... ceil((j + 1) n / m)."""
    spatial = x.shape[x.ndim - len(size):]
    if all(m and n % m == 0 for n, m in zip(spatial, size, strict=True)):  # quick way: windows side by side
        window = tuple(n // m for n, m in zip(spatial, size, strict=True))
        return OPERATIONS["avgpool"].apply((x,), {"size": window, "stride": window, "padding": (0,) * len(size),
                                                  "count_padding": True})
    # the plain one: a matrix of means along each axis
    return along_last_axes(x, [_means(n, m, x) for n, m in zip(spatial, size, strict=True)])


def _means(n: int, m: int, like: Any) -> dlarray:
    means = torch.zeros(n, m, dtype=like.dtype, device=like.device)
    for j in range(m):
        start, stop = j * n // m, -(-(j + 1) * n // m)
        means[start:stop, j] = 1 / (stop - start)
    return dlarray._made(means, None)


__all__ = ["averaged"]
