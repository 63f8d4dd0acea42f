"""Memory that a solver's steps take in turn: what was returned two steps ago, where nobody else has it any more.

A step returns new arrays and leaves the old as they are. In a loop the old ones are let go when the step has returned,
so the step after the next can write where they were, instead of into fresh memory: large arrays would be new pages, and
small ones a call of the allocator each. Only arrays that a step itself returned are written over, never a caller's own;
and only if no handle, view, NumPy array or capsule refers to them: whoever keeps an old network keeps its numbers. A
torch storage object, taken from such an array and kept without it, is not seen.
"""
from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from typing import Any

import torch

from ..machine.caches import cache
from ..machine.dtypes import Tensor
from ..machine.questions import thread

MOST = 64 << 20  # bytes of spare memory; beyond them it is worth more than the time
Column = tuple[Tensor, ...] | list[Tensor]


def _references(tensors: Column) -> list[int]:
    return list(map(sys.getrefcount, tensors))


_use_count: Any = Tensor._use_count  # type: ignore[attr-defined]
_storage_use_count: Any = torch._C._storage_Use_Count  # type: ignore[attr-defined]
_lone = [torch.empty(1, device="cpu")]
# references to a tensor that a list has, and to its memory, where nothing else does: torch's versions differ
ALONE, STORED = _references(_lone)[0], _storage_use_count(_lone[0].untyped_storage()._cdata)


class Arrays:
    """What one step returned: its columns, by themselves where it is spare and else by weak references."""

    __slots__ = ("columns", "refs", "storages")

    def __init__(self, columns: Sequence[Column]):
        self.columns: Sequence[Column] | None = columns
        self.refs = [weakref.ref(x) for column in columns for x in column]
        self.storages = [[x.untyped_storage()._cdata for x in column] for column in columns]

    def are(self, tensors: Sequence[Tensor]) -> bool:
        """Whether these are the tensors."""
        return len(tensors) == len(self.refs) and all([ref() is x for ref, x in zip(self.refs, tensors, strict=True)])

    def free(self) -> bool:
        """Whether nobody else refers to any of them."""
        assert self.columns is not None
        return all([max(_references(column)) == ALONE and max(map(_use_count, column)) == 1
                    and max(map(_storage_use_count, storages)) == STORED
                    for column, storages in zip(self.columns, self.storages, strict=True)])


# {id of the last tensor of what a step returned: (that tensor, weakly; all of it; what may be written over next)}
_returned: dict[int, tuple[Any, Arrays, Arrays | None]] = cache(f"{__name__}.returned", {})


def taken(columns: Sequence[Column]) -> tuple[Sequence[Column] | None, Arrays | None, Arrays | None]:
    """For a step from these arrays: columns to write into (None: there are none), what they are, and what the arrays
    are, if a step returned them."""
    if thread.recording:
        return None, None, None
    found = _returned.pop(id(columns[-1][-1]), None)
    if found is None or not found[1].are([x for column in columns for x in column]):
        return None, None, None
    _, own, spare = found
    if spare is None or not spare.free():
        return None, None, own
    return spare.columns, spare, own


def left(columns: Sequence[Column], known: Arrays | None, olds: Sequence[Column], old: Arrays | None) -> None:
    """What a step returned, and what it started from, if that was a step's own."""
    if thread.recording or known is None and not _worth(columns):
        return
    its = Arrays(columns) if known is None else known
    its.columns = None
    if old is not None:
        old.columns = olds
    key = columns[-1][-1]
    place = id(key)
    _returned[place] = weakref.ref(key, lambda _: _returned.pop(place, None)), its, old


def _worth(columns: Sequence[Column]) -> bool:
    """Whether memory is to be kept for another step: of arrays on the CPU, laid out plainly, and not too much."""
    return (all([x.is_cpu and x.is_contiguous() and x._base is None for column in columns for x in column])
            and sum([x.nbytes for column in columns for x in column]) <= MOST)


__all__ = ["left", "taken"]
