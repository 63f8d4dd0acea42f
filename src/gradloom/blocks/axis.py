"""Named indices, and array axes as functions of them: an index, several in C order, or a table of positions over
them."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..machine.dtypes import Tensor
from ..machine.questions import decided, settled


class Index:
    """A name for something that is counted: identity is what matters, `size` is how far it counts."""

    __slots__ = ("size",)

    def __init__(self, size: int):
        self.size = size

    def __repr__(self) -> str:
        return f"i{id(self) // 16 % 9973}:{self.size}"


Ids = tuple[Index, ...]


class Axis:
    """One array axis of `size`, at `positions[indices]`, or at the indices themselves (C order) where positions is
    None.

    A position of -1 is nowhere: that entry of the term is not there.
    """

    __slots__ = ("_absent", "_affine", "_key", "indices", "positions", "size")

    def __init__(self, indices: Ids, size: int, positions: Tensor | None = None):
        self._key: Any = None
        self._absent: bool | None = None
        self._affine: Any = False  # not yet known
        self.indices = indices
        self.size = size
        self.positions = positions

    def table(self) -> Tensor:
        """Positions over the grid of the indices."""
        if self.positions is not None:
            return self.positions
        return torch.arange(self.size, device="cpu").reshape([i.size for i in self.indices])

    @property
    def absent(self) -> bool:
        """Whether some position is nowhere."""
        if self._absent is None:
            self._absent = self.positions is not None and decided((self.positions < 0).any())
        return self._absent

    def present(self) -> Tensor:
        """The table with 0 for what is nowhere."""
        return self.table().clamp(min=0) if self.absent else self.table()

    @property
    def table_key(self) -> Any:
        """Equal for equal tables of positions; None where there is none."""
        if self._key is None and self.positions is not None:
            known = settled(self.positions)
            self._key = (tuple(self.positions.shape), self.positions.numpy().tobytes()) if known else id(self.positions)
        return self._key

    def affine(self) -> tuple[int, list[int]] | None:
        """(start, step of each index) where positions grow evenly, else None."""
        if self._affine is False:
            self._affine = self._evenly()
        return self._affine

    def _evenly(self) -> tuple[int, list[int]] | None:
        sizes = [i.size for i in self.indices]
        if self.positions is None:
            steps, step = [], 1
            for n in reversed(sizes):
                steps.append(step)
                step *= n
            return 0, steps[::-1]
        if not self.positions.numel() or not settled(self.positions):
            return None
        table = self.positions.numpy()
        start = int(table[(0,) * table.ndim])
        expected: Any = start
        steps = []
        for d, n in enumerate(sizes):
            step = int(table[tuple([int(k == d) for k in range(len(sizes))])]) - start if n > 1 else 0
            steps.append(step)
            expected = np.add.outer(expected, np.arange(n) * step)
        return ((start, steps) if start >= 0 and all([s >= 0 for s in steps]) and np.array_equal(expected, table)
                else None)

    def __repr__(self) -> str:
        return f"{list(self.indices)}" + ("" if self.positions is None else f"@{self.size}")


def plain(size: int) -> Axis:
    """A fresh axis; axes of size 1 carry no index and are never tied."""
    return Axis((Index(size),), size) if size != 1 else Axis((), 1)
