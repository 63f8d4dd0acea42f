"""Masks of recurrent layers: steps that are padding leave the states as they are, without a step of their own.

A padded step gets one more channel, of 1, whose weights close the gates for what is new and open them for what is old,
to the bit: a sigmoid of -10,000 is 0 and of 10,000 is 1, in every type, as their clipped line is. So the cell of an
lstm and the state of a gru stay. The state of an lstm does not, since it is the cell through another gate: the steps
that are there are brought to the front, where nothing comes before them that is not there, and each step reads the
state of the last step that was.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ....machine.dtypes import Tensor
from ....machine.questions import usually
from ...elementwise.choice import where
from ...matrices.stacks import constant_like
from ...movement.along_axis import take_along_axis
from ...movement.joining import concat
from .lstm import as_step

FAR = 1e4  # float16 has it


class Masked(NamedTuple):
    """What a mask makes of x and its weights, and how the states come back to their steps (None: as they are)."""

    x: Any
    weights: Any
    last: Tensor | None

    def states(self, y: Any, h0: Any) -> Any:
        """The state after each step: that of the last step that was there, or the first."""
        if self.last is None:
            return y
        return take_along_axis(concat([as_step(h0, ()), y], axis=-3), self.last, axis=-3)


def masked(x: Any, weights: Any, there: Tensor, signs: tuple[int, ...], kept: bool) -> Masked:
    """x (T, B, C) and its weights (gates, C) with a channel that says what is padding, `there` (T, B, 1) what is not.

    `signs` says of each gate whether padding opens it (1), closes it (-1) or does not matter (0); `kept` that the
    states stay by that alone, else the steps that are there come first.
    """
    there = there.expand(*x.shape[:2], 1)
    x = where(there, x, 0)  # whatever padding holds, be it NaN
    last = None
    if not kept:
        last = there.to(torch.int64).cumsum(0)
        first = there[1:] <= there[:-1]
        if not usually(lambda: bool(first.all()), first.all):  # quick way: padding at the end; the plain one is here
            order = (~there).to(torch.uint8).argsort(dim=0, stable=True)
            x, there = take_along_axis(x, order, axis=-3), there.gather(0, order)
    flag = constant_like((~there).to(x.dtype), x)
    size = weights.shape[0] // len(signs)
    column = torch.tensor(signs, dtype=weights.dtype, device=weights.device).mul_(FAR).repeat_interleave(size)
    return Masked(concat([x, flag], axis=-1), concat([weights, constant_like(column.unsqueeze(1), weights)], axis=-1),
                  last)


__all__ = ["Masked", "masked"]
