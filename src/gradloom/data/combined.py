"""Datastores side by side."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DataError, TypeRefused, line_of, user_site
from .datastore import Datastore


class CombinedDatastore(Datastore):
    """The parts of several datastores side by side: what `combine` returns."""

    def __init__(self, stores: tuple[Datastore, ...]):
        self.stores = stores
        self.parts = tuple(part for store in stores for part in store.parts)
        self._places = np.arange(len(stores[0]))
        self.depth = max(store.depth for store in stores)

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        return tuple(part for store in self.stores for part in store.observed(int(store.places[place]), draw))

    def batched(self, places: np.ndarray, draw: int) -> list[Any]:
        return [part for store in self.stores for part in store.batched(store.places[places], draw)]

    def named(self, place: int) -> str:
        return self.stores[0].named(int(self.stores[0].places[place]))


def combine(*stores: Datastore) -> CombinedDatastore:
    """Datastores of the same length side by side: an observation has the parts of all, in order.

    Raises DataError for different lengths, TypeRefused for what is not a datastore.

    >>> import gradloom as gl
    >>> ds = gl.combine(gl.ArrayDatastore([0.5, 1.5]), gl.ArrayDatastore(["cat", "dog"]))
    >>> ds.read_all()
    [(np.float64(0.5), 'cat'), (np.float64(1.5), 'dog')]

    Source: MATLAB combine.
    """
    for store in stores:
        if not isinstance(store, Datastore):
            raise TypeRefused(f"combine takes datastores, not {type(store).__name__}, at {line_of(user_site())}; write "
                              "combine(images, gl.ArrayDatastore(x))")
    if not stores:
        raise TypeRefused(f"combine takes datastores, none was given, at {line_of(user_site())}; write "
                          "combine(images, gl.ArrayDatastore(x))")
    lengths = [len(store) for store in stores]
    if len(set(lengths)) > 1:
        raise DataError(f"data of {', '.join(map(str, lengths))} observations does not fit together, at "
                        f"{line_of(user_site())}; give as many observations in each part")
    return CombinedDatastore(tuple(stores))


__all__ = ["CombinedDatastore", "combine"]
