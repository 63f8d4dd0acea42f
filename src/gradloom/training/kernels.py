"""The numbers of a solver's step by one kernel of our own, into memory that nobody has any more."""
from __future__ import annotations

import torch

from ..acceleration.native.columns import Formula, columns_of, side_by_side
from ..machine.dtypes import Tensor
from .spares import left, taken


def computed(formula: Formula, tensors: tuple[Tensor, ...], count: int, *numbers: float) -> tuple[Tensor, ...] | None:
    """New parameters and states, from parameters, gradients and states in a row, `count` of each; None where there is
    no kernel for them. `formula` says what is computed of numbers side by side, and of `numbers`."""
    olds = [tensors[k:k + count] for k in (0, *range(2 * count, len(tensors), count))]
    compiled = columns_of(formula, tensors, len(olds), len(numbers))
    if compiled is None:
        return None
    columns, known, old = taken(olds)
    rows = side_by_side(tensors, count)
    if columns is None:  # fresh memory
        columns = [list(map(torch.empty_like, rows[:count])) for _ in olds]
    compiled(rows, columns, numbers)
    left(columns, known, olds, old)
    return tuple([x for column in columns for x in column])


__all__ = ["computed"]
