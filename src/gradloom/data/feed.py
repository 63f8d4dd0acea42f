"""Where mini-batches come from: a datastore in an order, or an iterable as it comes."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import DataError, TypeRefused, line_of, user_site
from .arrays import ArrayDatastore, SequenceDatastore, parts_of
from .combined import combine
from .datastore import Datastore
from .draws import permutation, seed_of
from .tables import TableDatastore

Job = tuple[int, tuple[Any, ...]]  # how many observations, and what `made` takes to make the mini-batch of them
Maker = Callable[..., Any]


class StoreFeed:
    """Mini-batches of a datastore."""

    shuffles = True

    def __init__(self, store: Datastore, size: int, discards: bool, share: tuple[int, int] = (1, 0)):
        self.store, self.size, self.share = store, size, share
        self.discards = discards
        self.count: int | None = len(store)

    @property
    def end(self) -> int:
        """How many observations a pass has."""
        count = len(self.store)
        return count - count % self.size if self.discards else count

    def jobs(self, seed: int, shuffles: int, epoch: int, position: int) -> Iterator[Job]:
        """What is left of a pass."""
        places = self.store.places
        if shuffles:
            places = places[permutation(len(places), "order", seed, shuffles)]
        draw, end = seed_of("pass", seed, epoch), self.end
        for start in range(position, end, self.size):
            stop = min(start + self.size, end)
            yield stop - start, (places[start:stop], draw, start)

    def made(self, maker: Maker, places: np.ndarray, draw: int, start: int) -> Any:
        """A mini-batch."""
        n, k = self.share
        if n == 1:
            return maker(self.store.batched(places, draw), (draw, start))
        its = places[k * len(places) // n:(k + 1) * len(places) // n]
        if not len(its):  # one observation says what an empty mini-batch looks like
            return maker(self.store.batched(places[:1], draw), (draw, start, k), True)
        return maker(self.store.batched(its, draw), (draw, start, k))


class IterableFeed:
    """Mini-batches of an iterable: its items are observations, or mini-batches where it is `batched`."""

    shuffles = False
    count = None
    share = (1, 0)

    def __init__(self, rows: Iterable[Any], size: int, discards: bool, batched: bool):
        self.rows, self.size, self.discards, self.batched = rows, size, discards, batched

    @property
    def once(self) -> bool:
        """Whether it is an iterator, which can be read once."""
        return iter(self.rows) is self.rows

    def jobs(self, seed: int, shuffles: int, epoch: int, position: int) -> Iterator[Job]:
        """What is left of a pass; what comes before the position is read and left."""
        rows, draw = iter(self.rows), seed_of("pass", seed, epoch)
        for _ in itertools.islice(rows, position):
            pass
        for start in itertools.count(position, 1 if self.batched else self.size):
            some = list(itertools.islice(rows, 1 if self.batched else self.size))
            if not some or not self.batched and self.discards and len(some) < self.size:
                return
            yield len(some), (some, (draw, start))

    def made(self, maker: Maker, some: list[Any], key: tuple[int, ...]) -> Any:
        """A mini-batch."""
        if self.batched:
            values = some[0]
            values = list(values.values()) if isinstance(values, Mapping) else values
            return maker(list(values) if isinstance(values, (tuple, list)) else [values], key)
        return maker([list(column) for column in zip(*map(parts_of, some), strict=True)], key)


def store_of(data: Any, formats: Any = None, class_names: Any = None) -> Datastore | None:
    """The datastore that some data is; None for an iterable."""
    if isinstance(data, Datastore):
        return data
    if isinstance(data, Mapping):
        data = tuple(data.values())
    if isinstance(data, tuple):
        several = formats if isinstance(formats, (list, tuple)) else [formats] * len(data)
        if len(several) != len(data):
            several = [None] * len(data)
        found = [store_of(part, labels, class_names) for part, labels in zip(data, several, strict=True)]
        stores = [store for store in found if store is not None]
        if not data or len(stores) < len(found):
            raise TypeRefused(f"minibatchqueue takes a tuple of arrays, datastores or sequences, at "
                              f"{line_of(user_site())}; write minibatchqueue((x, t))")
        return stores[0] if len(stores) == 1 else combine(*stores)
    if isinstance(data, str):
        raise TypeRefused(f"minibatchqueue takes data, not the text {data!r:.60}, at {line_of(user_site())}; write "
                          f"minibatchqueue(gl.ImageDatastore({data!r:.60}))")
    if hasattr(data, "columns") and hasattr(data, "iloc"):  # a table of pandas
        return TableDatastore(data)
    array = isinstance(data, (dlarray, torch.Tensor, np.ndarray)) or hasattr(data, "to_numpy") and not hasattr(
        data, "columns") or hasattr(data, "categories")
    if isinstance(data, list) and data and isinstance(data[0], (str, bool, int, float, complex, np.generic)):
        array = True
    if array:
        axis = None
        if isinstance(formats, str) and "B" in formats and not getattr(data, "dims", ""):
            axis = formats.index("B")
        return ArrayDatastore(data, axis, class_names=class_names)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return SequenceDatastore(data, class_names)
    if not hasattr(data, "__iter__"):
        raise TypeRefused(f"minibatchqueue takes arrays, a datastore, a sequence or an iterable, not "
                          f"{type(data).__name__}, at {line_of(user_site())}; write minibatchqueue((x, t))")
    return None


def feed_of(data: Any, size: int, discards: bool, batched: bool | None, formats: Any,
            class_names: Any) -> StoreFeed | IterableFeed:
    """Where the mini-batches of some data come from."""
    loads = hasattr(data, "batch_sampler") and hasattr(data, "collate_fn")  # torch's DataLoader, and those like it
    if batched is None:
        batched = loads and getattr(data, "batch_sampler", None) is not None
    store = None if batched or loads else store_of(data, formats, class_names)
    if store is not None:
        return StoreFeed(store, size, discards)
    if not hasattr(data, "__iter__"):
        raise DataError(f"minibatchqueue: batched=True takes an iterable of mini-batches, not {type(data).__name__}, "
                        f"at {line_of(user_site())}; leave batched= out")
    return IterableFeed(data, size, discards, batched)


__all__ = ["IterableFeed", "StoreFeed", "feed_of", "store_of"]
