"""Data in memory: arrays, and sequences of observations that others hold."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import DataError, ShapeError, TypeRefused, line_of, user_site
from ..core.labels import axes_of, described, positions
from .called import explained_options
from .datastore import Datastore, Part, Stacked


@explained_options
class ArrayDatastore(Datastore):
    """The observations of an array along an axis: axis 0, or B where it is labelled.

    `ArrayDatastore(x, axis=0)`. x: an array of numbers, or words in a list, a NumPy array or a pandas column, which are
    classes. Nothing is copied until it is read, so that a memory-mapped array stays on the disk.

    Raises TypeRefused for what is not an array.

    >>> import gradloom as gl
    >>> ds = gl.ArrayDatastore(["dog", "cat", "dog"])
    >>> ds.class_names, ds.read(), len(ds)
    (['cat', 'dog'], 'dog', 3)

    Source: MATLAB arrayDatastore.
    """

    def __init__(self, x: Any, axis: int | str | None = None, *, class_names: Any = None):
        self._array, self._codes, names, labels = array_of(x, class_names)
        ndim = self._array.ndim
        if not ndim:
            raise ShapeError(f"ArrayDatastore takes an array with an axis of observations, not one number, at "
                             f"{line_of(user_site())}; write ArrayDatastore([x])")
        if axis is None:
            found = positions(labels, "B")
            if labels is not None and not found:
                raise ShapeError(f"ArrayDatastore: {described(self._array.shape, labels)} has no axis B, at "
                                 f"{line_of(user_site())}; write ArrayDatastore(x, axis=0), or label it")
            self._axis = found[0] if found else 0
        else:
            (self._axis,) = axes_of(axis, ndim, labels, tuple(self._array.shape))
        self._labels = labels
        inner = None if labels is None else labels[:self._axis] + labels[self._axis + 1:]
        self.parts = (Part("data" if names is None else "label", inner, names),)
        self._places = np.arange(self._array.shape[self._axis])

    @property
    def class_names(self) -> list[Any] | None:
        """The classes in order, where the array is words; else None."""
        return self.parts[0].class_names

    @property
    def labels(self) -> list[Any] | None:
        """The label of each observation, in order, where the array is words; else None."""
        names = self.class_names
        return None if names is None or self._array.ndim != 1 else [names[k] for k in self._array[self._places]]

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        if self._codes:
            names = self.parts[0].class_names
            assert names is not None
            return (names[self._array[place]],)
        x = self._array
        x = x.select(self._axis, place) if isinstance(x, torch.Tensor) else x[(slice(None),) * self._axis + (place,)]
        if self.parts[0].labels is not None or isinstance(x, torch.Tensor):
            return (dlarray(x, self.parts[0].labels),)
        return (np.array(x) if isinstance(x, np.ndarray) else x,)

    def batched(self, places: np.ndarray, draw: int) -> list[Any]:
        x = self._array
        if isinstance(x, torch.Tensor):
            taken: Any = x.index_select(self._axis, torch.from_numpy(places).to(x.device))
        else:
            taken = np.take(x, places, axis=self._axis)
        return [Stacked(taken, self._axis, self._labels, self._codes)]


def array_of(x: Any, class_names: Any = None) -> tuple[Any, bool, list[Any] | None, str | None]:
    """(a NumPy array or a tensor, whether it is codes of classes, the classes, labels)."""
    if isinstance(x, dlarray):
        return x._value, False, None, x._labels
    if isinstance(x, torch.Tensor):
        return x.detach(), False, None, None
    categories = getattr(getattr(x, "cat", x), "categories", None)  # a pandas column, or a Categorical
    if categories is not None:
        codes = np.asarray(getattr(x, "cat", x).codes, dtype=np.int64)
        if (codes < 0).any():
            raise DataError(f"class label {int(np.argmin(codes))} is missing, at {line_of(user_site())}; leave out "
                            "observations without a label")
        return codes, True, [name.item() if hasattr(name, "item") else name for name in categories], None
    array = x if isinstance(x, np.ndarray) else np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)
    if array.dtype.kind in "OU":
        if not all(isinstance(word, str) for word in array.flat):
            raise TypeRefused(f"data is numbers or words, not {type(_odd_one(array)).__name__}, at "
                              f"{line_of(user_site())}; write a list of arrays, or leave out what is missing")
        return *coded(array.astype(str), class_names), None
    if array.dtype.kind not in "biufc":
        raise TypeRefused(f"data is numbers or words, not {array.dtype}, at {line_of(user_site())}; write "
                          "x.astype(\"float64\")")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array, False, None, None


def _odd_one(array: np.ndarray) -> Any:
    return next(word for word in array.flat if not isinstance(word, str))


def coded(words: np.ndarray, class_names: Any) -> tuple[np.ndarray, bool, list[Any]]:
    """The place of each word among the class names: those given, else the words that occur, sorted."""
    found, codes = np.unique(words, return_inverse=True)
    names = [str(name) for name in found]
    codes = codes.reshape(words.shape).astype(np.int64)
    if class_names is None:
        return codes, True, names
    given = [str(name) for name in class_names]
    if missing := [name for name in names if name not in given]:
        raise DataError(f"{missing[0]!r} is none of the {len(given)} class_names, at {line_of(user_site())}; add it to "
                        "class_names")
    return np.array([given.index(name) for name in names], dtype=np.int64)[codes], True, given


class SequenceDatastore(Datastore):
    """The observations of anything with `len(x)` and `x[k]`: a list of arrays of different lengths, torch's and Hugging
    Face's datasets."""

    def __init__(self, rows: Any, class_names: Any = None):
        self._rows = rows
        self._places = np.arange(len(rows))
        self._keys: list[str] | None = None
        first = rows[0] if len(rows) else None
        names = [""]
        if isinstance(first, Mapping):
            self._keys = names = list(first)
        values = self._split(first)
        if len(values) > 1 and self._keys is None:
            names = [""] * len(values)
        features = getattr(rows, "features", None) or {}
        parts = []
        for k, (name, value) in enumerate(zip(names, values, strict=True)):
            classes = getattr(features.get(name), "names", None) if isinstance(features, Mapping) else None
            if classes is None and isinstance(value, str):
                classes = class_names
                if classes is None and isinstance(rows, list):  # which costs nothing to look through
                    classes = sorted({str(self._split(row)[k]) for row in rows})
            labels = value._labels if type(value) is dlarray else None
            parts.append(Part(str(name), labels, None if classes is None else list(classes)))
        self.parts = tuple(parts)

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        return self._split(self._rows[place])

    def _split(self, row: Any) -> tuple[Any, ...]:
        if self._keys is not None:
            if list(row) != self._keys:
                raise DataError(f"an observation has {', '.join(map(str, row))}, the first has "
                                f"{', '.join(self._keys)}; give all the same entries")
            return tuple(plain(row[key]) for key in self._keys)
        return parts_of(row)


def parts_of(row: Any) -> tuple[Any, ...]:
    """The parts of an observation: those of a tuple or of a dictionary, else itself."""
    values = row.values() if isinstance(row, Mapping) else row if isinstance(row, tuple) else (row,)
    return tuple(plain(value) for value in values)


def plain(value: Any) -> Any:
    """A part of an observation as an array, a number or a word; a picture of Pillow as height x width x channels."""
    if isinstance(value, (np.ndarray, torch.Tensor, dlarray, str, bool, int, float, complex)):
        return value
    if isinstance(value, (list, tuple)) or hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        array = np.asarray(value)
        return array[..., None] if hasattr(value, "getbands") and array.ndim == 2 else array
    return value


__all__ = ["ArrayDatastore", "SequenceDatastore", "array_of", "coded", "parts_of", "plain"]
