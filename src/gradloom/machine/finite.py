"""Whether arrays are surely finite: one pass that only reads, and one question to a tensor."""
from __future__ import annotations

import cmath
from collections.abc import Iterable
from functools import partial

import torch

from .dtypes import HALF, Tensor
from .questions import spared

FEW = 32  # numbers that are quicker looked at one by one


def all_finite(arrays: Iterable[Tensor]) -> bool:
    """Whether there is surely neither infinity nor NaN in any: one pass that only reads, and one question for all that
    are not small."""
    return spared(partial(_finite, arrays))


def _finite(arrays: Iterable[Tensor]) -> bool:
    sums = []
    for array in arrays:
        if array.is_cpu and array.numel() <= FEW:  # quick way; the sums below say the same
            numbers = array.tolist() if array.ndim == 1 else array.reshape(-1).tolist()
            if not all(map(cmath.isfinite, numbers)):
                return False
        elif not array.is_meta:
            sums.append(array.sum(dtype=torch.float32) if array.dtype in HALF else array.sum())
    total = sums[0] if len(sums) == 1 else sum(sums[1:], sums[0]) if sums else None
    return total is None or cmath.isfinite(total.item())


def finite(array: Tensor) -> bool:
    """The same of one array; where to ask would have to wait for another device, no."""
    return array.is_cpu and all_finite((array,))
