"""Whether arrays are surely finite: one pass that only reads, and one question to a tensor."""
from __future__ import annotations

import cmath
from collections.abc import Iterable, Sequence
from functools import partial

import torch

from .dtypes import HALF, Tensor
from .questions import thread, usually

FEW = 32  # numbers that are quicker looked at one by one


def all_finite(arrays: Iterable[Tensor]) -> bool:
    """Whether there is surely neither infinity nor NaN in any: one pass that only reads, and one question for all that
    are not small."""
    if not thread.recording:  # quick way; the plain one is below
        return _finite(arrays)
    given = [x for x in arrays if not x.is_meta]
    return not given or usually(partial(_finite, given), lambda: torch.isfinite(_total(given)))


def _finite(arrays: Iterable[Tensor]) -> bool:
    sums = []
    for array in arrays:
        if array.is_cpu and array.numel() <= FEW:  # quick way; the sums below say the same
            numbers = array.tolist() if array.ndim == 1 else array.reshape(-1).tolist()
            if not all(map(cmath.isfinite, numbers)):
                return False
        elif not array.is_meta:
            sums.append(array)
    return not sums or cmath.isfinite(_total(sums).item())


def _total(arrays: Sequence[Tensor]) -> Tensor:
    sums = [x.sum(dtype=torch.float32) if x.dtype in HALF else x.sum() for x in arrays]
    return sums[0] if len(sums) == 1 else torch.stack(sums).sum()


def finite(array: Tensor) -> bool:
    """The same of one array; where to ask would have to wait for another device, no."""
    return array.is_cpu and all_finite((array,))
