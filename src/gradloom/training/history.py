"""Histories: what training recorded, as a table of columns."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..core.errors import GradloomError, needed
from ..vocabulary.misspelled import nearest


class History(Mapping[str, np.ndarray]):
    """A table of what was recorded: {column: array}, one entry for each row. `table()` is the same for pandas.

    >>> from gradloom.training.history import History
    >>> history = History()
    >>> history.append(iteration=1, loss=2.5)
    >>> history.append(iteration=2, loss=2.0)
    >>> history["loss"]
    array([2.5, 2. ])
    """

    def __init__(self, columns: Mapping[str, Any] | None = None):
        self._columns = {name: [float(x) for x in column] for name, column in (columns or {}).items()}

    def append(self, **row: float) -> None:
        """One more row; a column that it does not have gets a NaN."""
        if row.keys() == self._columns.keys():  # quick way: nothing is missing; the plain one is below
            for name, value in row.items():
                self._columns[name].append(float(value))
            return
        count = self.rows
        for name in row:
            if name not in self._columns:
                self._columns[name] = [math.nan] * count
        for name, column in self._columns.items():
            column.append(float(row.get(name, math.nan)))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def last(self) -> dict[str, float]:
        """The last row."""
        return {name: column[-1] for name, column in self._columns.items()} if self.rows else {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            raise MissingColumn(f"the history has no column {name!r}{nearest(name, self._columns)}; its columns are "
                                f"{', '.join(self._columns) or 'none, nothing was recorded'}")
        column = self._columns[name]
        return np.array(column, dtype=np.int64 if name in ("iteration", "epoch") else np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def table(self) -> Any:
        """A pandas DataFrame."""
        return needed("pandas", "table()").DataFrame({name: self[name] for name in self})

    def __repr__(self) -> str:
        return f"History of {self.rows} rows: {', '.join(self._columns)}"


class MissingColumn(GradloomError, KeyError):
    """A column that a history does not have."""

    __str__ = Exception.__str__


__all__ = ["History"]
