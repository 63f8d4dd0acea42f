"""Tables: rows as observations."""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.errors import DataError, TypeRefused, line_of, needed, user_site
from ..vocabulary.misspelled import nearest
from .arrays import array_of
from .datastore import Datastore, Part, Stacked


class TableDatastore(Datastore):
    """The rows of a table: `TableDatastore(table, targets="label")`.

    table: a CSV or parquet file, a list of them that have the same columns, or a pandas DataFrame. An observation is
    (features, target): the features as an array of the columns in `features` (default: all but the targets); the target
    as the entry of the column `targets`, or an array where several are named; without targets= the features alone. A
    column of words as the target is classes. `options` are those of pandas.read_csv or read_parquet.

    Raises DataError for missing entries, TypeRefused for columns of words among the features.

    >>> import gradloom as gl, pandas as pd
    >>> table = pd.DataFrame({"length": [1.0, 2.0], "width": [0.5, 0.25], "kind": ["small", "large"]})
    >>> ds = gl.TableDatastore(table, targets="kind")
    >>> ds.read(), ds.class_names
    ((array([1. , 0.5]), 'small'), ['large', 'small'])

    Source: MATLAB tabularTextDatastore and parquetDatastore.
    """

    def __init__(self, table: Any, targets: str | Sequence[str] | None = None, *,
                 features: Sequence[str] | None = None, **options: Any):
        frame = table if hasattr(table, "columns") and hasattr(table, "iloc") else _read(table, options)
        columns = list(frame.columns)
        wanted = [] if targets is None else [targets] if isinstance(targets, str) else list(targets)
        chosen = [c for c in columns if c not in wanted] if features is None else list(features)
        for name in (*wanted, *chosen):
            if name not in columns:
                raise DataError(f"TableDatastore: there is no column {name!r}{nearest(name, columns)}, at "
                                f"{line_of(user_site())}; the columns are {', '.join(map(repr, columns))}")
        for name in (*wanted, *chosen):
            if bool(np.asarray(frame[name].isna()).any()):
                row = int(np.argmax(np.asarray(frame[name].isna())))
                raise DataError(f"TableDatastore: column {name!r} has no entry in row {row}, at "
                                f"{line_of(user_site())}; write TableDatastore(table.dropna(), ...)")
        words = [name for name in chosen if frame[name].dtype.kind not in "biuf"]
        if words:
            raise TypeRefused(f"TableDatastore: column {words[0]!r} is words, at {line_of(user_site())}; leave it out "
                              "of features=, or write it as numbers with pandas.get_dummies")
        self._features = np.ascontiguousarray(frame[chosen].to_numpy())
        self.feature_names, self.target_names = chosen, wanted
        self.parts = (Part("features", "C"),)
        self._targets: np.ndarray | None = None
        self._coded = False
        if len(wanted) == 1:
            self._targets, self._coded, names, _ = array_of(frame[wanted[0]])
            self.parts += (Part(wanted[0], None, names),)
        elif wanted:
            self._targets = np.ascontiguousarray(frame[wanted].to_numpy())
            if self._targets.dtype.kind not in "biuf":
                raise TypeRefused(f"TableDatastore: several targets are numbers, at {line_of(user_site())}; give one "
                                  "column of words as targets=")
            self.parts += (Part("targets", "C"),)
        self._places = np.arange(len(frame))

    @property
    def class_names(self) -> list[Any] | None:
        """The words of the target, sorted; None where it is numbers."""
        return self.parts[-1].class_names

    @property
    def labels(self) -> list[Any] | None:
        """The target of each row where it is words; else None."""
        names = self.class_names
        return None if names is None or self._targets is None else [names[k] for k in self._targets[self._places]]

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        row = self._features[place].copy()
        if self._targets is None:
            return (row,)
        names, target = self.class_names, self._targets[place]
        return row, names[target] if names is not None else target.copy()

    def batched(self, places: np.ndarray, draw: int) -> list[Any]:
        columns = [Stacked(self._features[places], 0, "BC")]
        if self._targets is not None:
            labels = "B" if self._targets.ndim == 1 else "BC"
            columns.append(Stacked(self._targets[places], 0, labels, self._coded))
        return columns

    def named(self, place: int) -> str:
        return f"row {place}"


def _read(table: Any, options: dict[str, Any]) -> Any:
    pandas = needed("pandas", "TableDatastore")
    paths = [table] if isinstance(table, (str, os.PathLike)) else table
    if not isinstance(paths, Sequence) or not len(paths):
        raise TypeRefused(f"TableDatastore takes a file, a list of files or a DataFrame, not {type(table).__name__}, "
                          f"at {line_of(user_site())}; write TableDatastore(\"table.csv\")")
    frames = []
    for path in map(os.fspath, paths):
        if not os.path.exists(path):
            raise DataError(f"TableDatastore: there is no {path!r}, at {line_of(user_site())}; give a file that is "
                            f"there (the current folder is {os.getcwd()!r})")
        parquet = path.lower().endswith((".parquet", ".pq"))
        try:
            frames.append((pandas.read_parquet if parquet else pandas.read_csv)(path, **options))
        except (ValueError, OSError, pandas.errors.ParserError) as error:
            raise DataError(f"{path!r} cannot be read as a table: {error}, at {line_of(user_site())}; mend it, or give "
                            "the options of pandas that it needs") from error
    for path, frame in zip(paths, frames, strict=True):
        if list(frame.columns) != list(frames[0].columns):
            raise DataError(f"TableDatastore: {os.fspath(path)!r} has other columns than the first file, at "
                            f"{line_of(user_site())}; give files with the same columns")
    return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)


__all__ = ["TableDatastore"]
