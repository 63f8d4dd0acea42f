"""Reads and writes of single rows in a loop, backwards: only rows move, and the array is put together once."""
from __future__ import annotations

from typing import Any

import torch

from ...core.tables import words
from ...core.trace import Node
from ...machine.dtypes import Tensor
from .steps import cast, hand


class Rows:
    """A cotangent as rows along axis 0: those of an array, but for those that were taken away, and those that were
    added.

    Reads and writes of single rows in a loop only move rows in and out; the array is put together once.
    """

    __slots__ = ("added", "dense", "front", "taken")

    def __init__(self, dense: Tensor | None, front: int = 0):
        self.dense = dense
        self.front = front  # axes of the walk's own before that of the rows
        self.added: dict[int, Tensor] = {}
        self.taken: set[int] = set()

    def add(self, at: int, row: Tensor) -> None:
        """One more contribution to a row."""
        added = self.added
        added[at] = added[at] + row if at in added else row

    def take(self, at: int) -> Tensor | None:
        """A row, which is then no longer there."""
        row = self.added.pop(at, None)
        if self.dense is not None and at not in self.taken:
            self.taken.add(at)
            where: Any = (*(slice(None),) * self.front, at)
            there = self.dense[where]
            row = there if row is None else row + there
        return row

    def join(self, other: Rows, node: Node) -> None:
        """Add another cotangent of the same node."""
        if other.dense is not None:
            if self.dense is None:
                self.dense, self.taken = other.dense, other.taken
            else:
                self.dense, self.added, self.taken = self.whole(node, other.whole(node)), {}, set()
                return
        for at, row in other.added.items():
            self.add(at, row)

    def whole(self, node: Node, other: Any = None) -> Any:
        """All rows as an array of its own, with the rest of the cotangent of `node` added to it."""
        n, bar = node.shape[0], self.dense
        if bar is not None and self.taken:
            bar = words.where(self._there(node, bar.device), bar, 0.0)  # type: ignore[misc]
        if self.added:
            places, rows = list(self.added), list(self.added.values())
            if len(places) == n:
                rows = [self.added[k] for k in range(n)]
            stacked = (torch.stack(rows, self.front) if type(rows[0]) is Tensor else
                       words.stack(rows, axis=self.front))
            stacked = cast(stacked, node.dtype)
            if len(places) < n:
                where = torch.tensor(places, device=stacked.device)
                stacked = words.put(stacked, where, -node.ndim, n)
            bar = stacked if bar is None else bar + stacked
        bar = bar.clone() if bar is self.dense and type(bar) is Tensor else bar
        return bar if other is None else other + bar

    def _there(self, node: Node, device: Any) -> Any:
        """Which rows were not taken."""
        mask = torch.ones((node.shape[0], *(1,) * (node.ndim - 1)), dtype=torch.bool, device=device)
        mask[torch.tensor(list(self.taken), device=device)] = False
        return mask


def write_of_row(node: Node, rows: dict[Node, Rows], y_bar: Any, active: set[Any], bars: dict[Node, Any],
                 owned: set[Node] | None, lead: tuple[int, ...] = ()) -> bool:
    """y = x with y[at] = value, backwards: the row at `at` is value's, the others are x's. False where it is not a row
    that was written."""
    writes_at = node.operation.writes_at
    at = None if writes_at is None else writes_at(node.params)
    if at is None:
        return False
    if lead and y_bar is not None and tuple(y_bar.shape) != (*lead, *node.shape):
        y_bar = words.broadcast_to(y_bar, (*lead, *node.shape))
    its = rows.pop(node, None)
    if its is None or its.dense is not None and y_bar is not None:
        its = Rows(y_bar if its is None else its.whole(node, y_bar), len(lead))
    elif y_bar is not None:
        its.dense = y_bar
    x, value = node.parents
    row = its.take(at if at >= 0 else at + node.shape[0])
    if row is not None and value in active:
        hand(bars, owned, value, row, lead)
    if x in active and (its.added or its.dense is not None):
        before = rows.setdefault(x, its)  # type: ignore[arg-type]
        if before is not its:
            before.join(its, x)  # type: ignore[arg-type]
    return True


__all__ = ["Rows", "write_of_row"]
