"""Entries of a Jacobian as they come: in parts, which are moved about together and put in order once, in the end.

An entry is coefficient * slot at a row and a column. What the slots are is said in `partials.py`; slot 0 is the number
1.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

MOST_ENTRIES = 1 << 24  # beyond this many entries a pattern is taken for dense
Indices = np.ndarray


class Dense(Exception):
    """The pattern has too many entries to be worth knowing."""


class Part(NamedTuple):
    """Entries of a Jacobian: number k adds coefficients[k] * slot[slots[k]] at (rows[k], columns[k])."""

    rows: Indices | None  # None: 0, 1, 2, ..., so that every row has one entry
    columns: Indices
    slots: Indices | range | int
    coefficients: np.ndarray | float

    def spelled(self) -> Part:
        """The same with four arrays."""
        n = len(self.columns)
        slots: Any = self.slots
        slots = (np.full(n, slots) if type(slots) is int else np.arange(slots.start, slots.stop)
                 if type(slots) is range else slots)
        return Part(np.arange(n) if self.rows is None else self.rows, self.columns, slots,
                    np.broadcast_to(self.coefficients, n))

    def taken(self, which: Any, rows: Indices | None) -> Part:
        """Some of them, in other rows."""
        slots, coefficients = self.slots, self.coefficients
        if type(slots) is range:
            slots = which + slots.start
        elif type(slots) is not int:
            slots = slots[which]  # type: ignore[index]
        return Part(rows, self.columns[which], slots, coefficients[which] if isinstance(coefficients, np.ndarray)
                    else coefficients)

    def times(self, factor: np.ndarray | float) -> Part:
        """The entries times a number, or times one each."""
        return self._replace(coefficients=self.coefficients * factor)


Entries = list[Part]  # several may meet in one place


def count_of(entries: Entries) -> int:
    """How many entries there are."""
    return sum(len(p.columns) for p in entries)


def whole(entries: Entries) -> Part:
    """All entries in four arrays."""
    if len(entries) == 1:
        return entries[0].spelled()
    if not entries:
        return Part(np.arange(0), np.arange(0), np.arange(0), np.ones(0))
    return Part(*map(np.concatenate, zip(*(p.spelled() for p in entries), strict=True)))


def moved(entries: Entries, target: Indices, coefficients: np.ndarray | None = None, present: bool = False) -> Entries:
    """Each row r becomes row target[r], times coefficients[r]; -1 is nowhere. `present`: it is known that there is
    none."""
    found = []
    for p in entries:
        rows = target if p.rows is None else target[p.rows]
        if coefficients is not None:
            p = p.times(coefficients if p.rows is None else coefficients[p.rows])
        if not present and len(rows) and rows.min() < 0:
            there = np.flatnonzero(rows >= 0)
            found.append(p.taken(there, rows[there]))
        else:
            found.append(p._replace(rows=rows))
    return found


def read(entries: Entries, source: Indices, size: int, coefficients: np.ndarray | None = None,
         present: bool = False) -> Entries:
    """Row r is what row source[r] was, times coefficients[r]; -1 reads zero. `size`: how many rows there were;
    `present`: no row is -1."""
    there: Indices | None = None  # which rows there are, where some are not
    if not present and len(source) and source.min() < 0:
        there = np.flatnonzero(source >= 0)
        source, coefficients = source[there], None if coefficients is None else coefficients[there]
    found, scattered = [], []
    for p in entries:
        if p.rows is not None:
            scattered.append(p)
            continue
        p = p.taken(source, there)
        found.append(p if coefficients is None else p.times(coefficients))
    if not scattered:
        return found
    if len(source) <= size:
        inverse = np.full(size, -1)
        inverse[source] = np.arange(len(source)) if there is None else there
        if np.count_nonzero(inverse >= 0) == len(source):  # no row is read twice
            factor = None
            if coefficients is not None:
                factor = np.zeros(size)
                factor[source] = coefficients
            return found + moved(scattered, inverse, factor)
    p = whole(scattered)
    which, wanted = _of_rows(p.rows, source, size)
    p = p.taken(which, np.repeat(np.arange(len(source)) if there is None else there, wanted))
    return [*found, p if coefficients is None else p.times(np.repeat(coefficients, wanted))]


def _of_rows(rows: Any, source: Indices, size: int) -> tuple[Indices, Indices]:
    """Which entries are in row source[0], then in row source[1], ...; and how many in each."""
    counts = np.bincount(rows, minlength=size)
    starts = np.cumsum(counts) - counts
    wanted = counts[source]
    total = int(wanted.sum())
    if total > MOST_ENTRIES:
        raise Dense
    within = np.arange(total) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    return np.argsort(rows, kind="stable")[np.repeat(starts[source], wanted) + within], wanted


def multiplied(matrix: Any, entries: Entries) -> Entries:
    """A constant sparse matrix times the entries."""
    local, p = matrix.tocoo(), whole(entries)
    which, wanted = _of_rows(p.rows, local.col, matrix.shape[1])
    return [p.taken(which, np.repeat(local.row, wanted).astype(np.int64)).times(np.repeat(local.data, wanted))]


def joined(parts: Sequence[Entries]) -> Entries:
    """All entries of several; what is plainly in the same places with the same slots is added up."""
    found: dict[Any, Part] = {}
    for p in (p for entries in parts for p in entries):
        key = id(p.rows), id(p.columns), p.slots if type(p.slots) in (int, range) else id(p.slots)
        same = found.get(key)
        found[key] = p if same is None else p._replace(coefficients=p.coefficients + same.coefficients)
    entries = list(found.values())
    if count_of(entries) > MOST_ENTRIES:
        raise Dense
    return entries


class Places:
    """The places row * n + column at which entries are, in order, each once."""

    def __init__(self, entries: Entries, m: int, n: int):
        ends = np.cumsum([len(p.columns) for p in entries])
        # fresh memory is dear
        key = np.empty(ends[-1] if entries else 0, dtype=np.int32 if m * n < 1 << 31 else np.int64)
        before: dict[int, Indices] = {}  # of rows, which several parts share
        for p, end in zip(entries, ends, strict=True):
            count = len(p.columns)
            if id(p.rows) not in before:
                before[id(p.rows)] = (np.arange(count, dtype=key.dtype) if p.rows is None
                                      else p.rows.astype(key.dtype)) * n
            np.add(before[id(p.rows)], p.columns, out=key[end - count:end], casting="same_kind")
        self._order = np.argsort(key, kind="stable")
        key = key.take(self._order)
        self._new = np.ones(len(key), dtype=bool)
        np.not_equal(key[1:], key[:-1], out=self._new[1:])
        key = key[self._new]
        self.rows = key // max(n, 1)
        self.columns = np.subtract(key, self.rows * n, out=key)

    def of_entries(self) -> Indices:
        """Which place each entry is at."""
        found = np.empty(len(self._order), dtype=np.intp)
        found[self._order] = np.cumsum(self._new) - 1
        return found


__all__ = ["MOST_ENTRIES", "Dense", "Entries", "Indices", "Part", "Places", "count_of", "joined",
           "moved", "multiplied", "read", "whole"]
