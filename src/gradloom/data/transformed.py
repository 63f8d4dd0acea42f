"""Observations changed as they are read."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import DataError, TypeRefused, line_of, user_site
from .arrays import parts_of
from .datastore import Datastore, Derived, Part, kinds_of
from .draws import drawing


class TransformedDatastore(Derived):
    """The observations of a datastore as a function makes them: what `transform` returns."""

    def __init__(self, store: Datastore, function: Callable[..., Any], parts: int | None = None):
        self.store, self._function = store, function
        self._places = np.arange(len(store))
        self.depth = store.depth + 1
        self.parts = store.parts if parts is None else (*store.parts, *[Part()] * parts)[:parts]

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        values = self.store.observed(int(self.store.places[place]), draw)
        with drawing("transform", self.depth, draw, place):
            made = parts_of(self._function(*values))
        if len(made) != len(self.parts):
            raise DataError(f"the function of transform gave {len(made)} parts of an observation, {len(self.parts)} "
                            f"are expected ({kinds_of(self.parts)}); return one for each, or say parts={len(made)}")
        return made

    def named(self, place: int) -> str:
        return self.store.named(int(self.store.places[place]))


def transform(ds: Datastore, function: Callable[..., Any], *, parts: int | None = None) -> TransformedDatastore:
    """The observations as `function` makes them, each time that they are read.

    function takes the parts of an observation as its arguments and returns as many: of images with labels it is
    `lambda image, label: (image / 255, label)`. `parts` says how many it returns, where that is another number. What it
    draws with gl.rand depends on the observation and the pass alone.

    Raises DataError, when it is read, for another number of parts.

    >>> import gradloom as gl
    >>> gl.ArrayDatastore([1.0, 2.0]).transform(lambda x: 10 * float(x)).read_all()
    [10.0, 20.0]

    Source: MATLAB transform.
    """
    if not callable(function):
        raise TypeRefused(f"transform takes a function of the parts of an observation, not {type(function).__name__}, "
                          f"at {line_of(user_site())}; write ds.transform(lambda x: 2 * x)")
    return TransformedDatastore(ds, function, parts)


Datastore.transform = transform  # datastore.py knows no kinds

__all__ = ["TransformedDatastore"]
