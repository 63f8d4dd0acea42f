"""Which arguments of an operation are places in another array, and what they may be.

Torch refuses an index that lies outside. In compiled code that refusal comes in the middle of a loop that threads
share, where it ends the process.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ...machine.dtypes import Tensor


class Range(NamedTuple):
    """An index, the least and the most that it may be, and what else it may be, which means that it is left out."""

    places: Tensor
    low: int
    high: int
    besides: int | None = None


def ranges(name: str, args: Any) -> list[Range]:
    """The indices among the arguments of an operation."""
    rule = _RULES.get(name.rpartition(".")[0])
    return [] if rule is None else rule(args)


Rule = Callable[[Any], list[Range]]


def _along(axis: int, index: int) -> Rule:
    """Places along an axis of the first argument; `axis` and `index` say which arguments these are."""
    def rule(args: Any) -> list[Range]:
        x = args[0]
        return [Range(args[index], 0, (x.shape[args[axis]] if x.ndim else 1) - 1)]

    return rule


def _selected(args: Any) -> list[Range]:
    """x[a, :, b]: counted from either end. A mask takes as many axes as it has."""
    x, axis, found = args[0], 0, []
    for index in args[1]:
        if index is None:
            axis += 1
        elif index.dtype in (torch.bool, torch.uint8):
            axis += index.ndim
        else:
            found.append(Range(index, -x.shape[axis], x.shape[axis] - 1))
            axis += 1
    return found


def _flat(args: Any) -> list[Range]:
    return [Range(args[1], -args[0].numel(), args[0].numel() - 1)]


def _rows(args: Any) -> list[Range]:
    return [Range(args[1], 0, args[0].shape[0] - 1)]


def _rows_back(args: Any) -> list[Range]:
    return [Range(args[1], 0, args[2] - 1)]


def _classes(args: Any) -> list[Range]:
    """Targets of a negative log-likelihood, (input, target, weight, reduction, what is left out)."""
    return [Range(args[1], 0, args[0].shape[1 if args[0].ndim > 1 else 0] - 1,
                  args[4] if len(args) > 4 else -100)]


def _classes_back(args: Any) -> list[Range]:
    return _classes(args[1:])


def _unpooled(count: int) -> Rule:
    return lambda args: [Range(args[1], 0, math.prod(args[2][-count:]) - 1)]


_RULES: dict[str, Rule] = {
    **dict.fromkeys([f"aten.{word}" for word in ("gather", "scatter", "scatter_", "scatter_add", "scatter_add_",
                                                 "scatter_reduce", "scatter_reduce_", "index_select", "index_add",
                                                 "index_add_", "index_copy", "index_copy_", "index_fill",
                                                 "index_fill_", "index_reduce", "index_reduce_")], _along(1, 2)),
    **dict.fromkeys([f"aten.{word}" for word in ("index", "index_put", "index_put_", "_unsafe_index",
                                                 "_unsafe_index_put", "_index_put_impl_")], _selected),
    **dict.fromkeys(["aten.take", "aten.put", "aten.put_"], _flat),
    "aten.embedding": _rows, "aten.embedding_dense_backward": _rows_back,
    **dict.fromkeys(["aten.nll_loss_forward", "aten.nll_loss2d_forward"], _classes),
    **dict.fromkeys(["aten.nll_loss_backward", "aten.nll_loss2d_backward"], _classes_back),
    "aten.max_unpool2d": _unpooled(2), "aten.max_unpool3d": _unpooled(3),
}

__all__ = ["ranges"]
