"""Processes that share a mini-batch: how statistics over the batch are those of all of it.

Whoever trains in several processes says so with `together`; a layer over the batch asks `is_together()` and sums with
`shared_sum`, which is recorded: its cotangents are summed over the processes, too, so that gradients are those of one
process with the whole mini-batch.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..core.declare import multilinear
from ..machine.dtypes import Tensor

Summed = Callable[[Tensor], Tensor]


class _Thread(threading.local):
    summed: Summed | None = None


_thread = _Thread()


@contextmanager
def together(summed: Summed) -> Iterator[None]:
    """Inside, this thread's mini-batch is a part; `summed` gives the sum over all processes, and each calls it as
    often as the others."""
    before, _thread.summed = _thread.summed, summed
    try:
        yield
    finally:
        _thread.summed = before


def is_together() -> bool:
    """Whether this thread's mini-batch is a part of one."""
    return _thread.summed is not None


shared_sum = multilinear(
    "shared_sum", lambda x: x.clone() if _thread.summed is None else _thread.summed(x),
    transposes={"x": lambda y_bar: shared_sum.apply((y_bar,), {})}, samples=[((2, 3), {}), ((0,), {}), ((1,), {})])
shared_sum.recomputable = False  # another process would not compute it again

__all__ = ["is_together", "shared_sum", "together"]
