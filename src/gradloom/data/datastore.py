"""What every datastore does: observations in an order, read one by one or a mini-batch at a time."""
from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..core.errors import DataError, IndexRefused, TypeRefused, line_of, user_site
from .draws import drawn_seed, permutation

Own = TypeVar("Own", bound="Datastore")


class Part(NamedTuple):
    """One part of all observations: the labels of an observation's axes where they are known, and the classes where it
    is words."""

    name: str = ""
    labels: str | None = None
    class_names: list[Any] | None = None


class Stacked(NamedTuple):
    """One part of a mini-batch as one array, NumPy's or torch's, with the observations along `axis`.

    `coded`: the numbers are places in the class names.
    """

    array: Any
    axis: int = 0
    labels: str | None = None
    coded: bool = False


class Datastore:
    """Observations in an order. `ds[k]` is one; `len(ds)` says how many there are; `for ... in ds` reads all.

    An observation is a tuple of its parts (image and label, say), or the part alone where there is one. A datastore is
    a value: `subset`, `shuffle`, `partition`, `transform` and `combine` give others and change nothing. Only its
    reading place moves, by `read` and `reset`.
    """

    parts: tuple[Part, ...] = ()
    depth = 0  # how many transforms stand on each other, each of which draws numbers of its own
    transform: Any  # a method, which transformed.py gives
    _places: np.ndarray  # which observations of everything that there is, in order
    _place = _passes = 0  # what `read` reads next, and how often it began anew

    # ----- what each kind says -----

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        """The parts of the observation at a place of everything; `draw` decides, with the place, what is random."""
        raise NotImplementedError

    def batched(self, places: np.ndarray, draw: int) -> list[Any]:
        """For each part Stacked, or a list with one entry for each observation."""
        rows = []
        for place in places:
            try:
                rows.append(self.observed(int(place), draw))
            except Exception as error:
                error.add_note(f"while reading {self.named(int(place))} of {self!r}")
                raise
        return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in self.parts]

    def named(self, place: int) -> str:
        """What an observation is called in an error."""
        return f"observation {place}"

    # ----- reading -----

    @property
    def places(self) -> np.ndarray:
        """The place of each observation in everything that there is."""
        return self._places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        return one_or_all(self.observed(int(self._places[index_of(index, len(self))]), 0))

    def __iter__(self) -> Iterator[Any]:
        return (one_or_all(self.observed(int(place), 0)) for place in self._places)

    def read(self) -> Any:
        """The next observation; `reset` starts again. Raises DataError after the last."""
        if not self.hasdata():
            raise DataError(f"read: all {len(self)} observations have been read, at {line_of(user_site())}; ask "
                            "hasdata() first, or write reset()")
        self._place += 1
        return one_or_all(self.observed(int(self._places[self._place - 1]), self._passes))

    def read_all(self) -> list[Any]:
        """All observations in a list; the reading place stays where it is."""
        return list(self)

    def preview(self) -> Any:
        """The first observation; the reading place stays where it is."""
        if not len(self):
            raise DataError(f"preview: there are no observations, at {line_of(user_site())}; ask len(ds) first")
        return self[0]

    def hasdata(self) -> bool:
        """Whether `read` has anything left to read."""
        return self._place < len(self)

    def reset(self) -> None:
        """The next `read` is the first observation again."""
        self._place, self._passes = 0, self._passes + 1

    # ----- others -----

    def subset(self: Own, indices: Any) -> Own:
        """The observations at some indices, a slice or a mask, in that order."""
        chosen = np.asarray(range(len(self))[indices] if isinstance(indices, slice) else indices)
        if chosen.dtype.kind == "b" and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" and chosen.size:
            raise TypeRefused(f"subset takes a list of integers, a slice or a mask of {len(self)} truth values, at "
                              f"{line_of(user_site())}; write ds.subset([0, 2])")
        chosen = chosen.astype(np.int64)
        if chosen.size and not (-len(self) <= chosen.min() and chosen.max() < len(self)):
            raise DataError(f"subset: index {int(chosen.max() if chosen.max() >= len(self) else chosen.min())} of "
                            f"{len(self)} observations, at {line_of(user_site())}; they count from 0")
        return self._at(self._places[chosen])

    def shuffle(self: Own, seed: int | None = None) -> Own:
        """The same observations in another order, which the seed decides, or else `gl.rng`."""
        seed = drawn_seed() if seed is None else operator.index(seed)
        return self._at(self._places[permutation(len(self), "datastore", seed)])

    def partition(self: Own, n: int, k: int) -> Own:
        """Part k (counted from 0) of n parts in a row, as equal as they can be; each observation is in one."""
        return self._at(self._places[part_of(len(self), n, k, "ds")])

    def _at(self: Own, places: np.ndarray) -> Own:
        other = copy.copy(self)
        other._places, other._place, other._passes = places, 0, 0
        return other

    def __repr__(self) -> str:
        parts = ", ".join(part.name or "data" for part in self.parts)
        return f"{type(self).__name__} of {len(self)} observations ({parts})"


def one_or_all(parts: tuple[Any, ...]) -> Any:
    """A tuple of several, the one of one."""
    return parts[0] if len(parts) == 1 else parts


def index_of(index: Any, count: int) -> int:
    """An index among `count`, or an error that Python's sequences raise."""
    k = operator.index(index)
    if not -count <= k < count:
        raise IndexRefused(f"observation {k} of {count}, at {line_of(user_site())}; they count from 0")
    return k % count if count else 0


def part_of(count: int, n: int, k: int, what: str) -> slice:
    """Part k of n of `count` things in a row."""
    n, k = operator.index(n), operator.index(k)
    if not 0 <= k < n:
        raise DataError(f"partition({n}, {k}), at {line_of(user_site())}; the parts count from 0: write "
                        f"{what}.partition({max(n, 1)}, 0)")
    share, rest = divmod(count, n)
    start = k * share + min(k, rest)
    return slice(start, start + share + (k < rest))


class Derived(Datastore):
    """The observations of another datastore, `store`, in another form and under the same labels."""

    store: Datastore

    @property
    def labels(self) -> list[Any] | None:
        """The label of each observation of the datastore beneath, in order; None without labels."""
        labels = getattr(self.store, "labels", None)
        return None if labels is None else [labels[place] for place in self._places]

    @property
    def class_names(self) -> list[Any] | None:
        """The labels that there are, sorted."""
        return getattr(self.store, "class_names", None)


def kinds_of(parts: Sequence[Part]) -> str:
    """`image, label`, for a message."""
    return ", ".join(part.name or "data" for part in parts)


__all__ = ["Datastore", "Derived", "Part", "Stacked", "index_of", "kinds_of", "one_or_all", "part_of"]
