"""Sequences of different lengths as one array, with the mask that says what is data."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import DataError, ShapeError, line_of, user_site
from ..core.labels import axes_of, described


class Padding(NamedTuple):
    """How long sequences become, at which end, and with which value."""

    length: str | int = "longest"
    direction: str = "right"
    value: float = 0.0


def checked_padding(length: Any, direction: Any, value: Any, word: str) -> Padding:
    """The options of padding, or an error that lists them."""
    if length not in ("longest", "shortest"):
        try:
            length = operator.index(length)
        except TypeError:
            length = 0
        if length < 1:
            raise ShapeError(f"{word}: the length of sequences is \"longest\", \"shortest\" or a positive integer, at "
                             f"{line_of(user_site())}; write length=\"longest\"")
    if direction not in ("left", "right"):
        raise ShapeError(f"{word}: sequences are padded at the \"right\" or the \"left\", not {direction!r}, at "
                         f"{line_of(user_site())}; write direction=\"right\"")
    return Padding(length, direction, float(value))


def padded(arrays: Sequence[np.ndarray], axis: int, padding: Padding) -> tuple[list[np.ndarray], np.ndarray]:
    """The arrays with one length along an axis, and the mask (observations, length)."""
    lengths = [x.shape[axis] for x in arrays]
    wanted = (padding.length if isinstance(padding.length, int) else
              max(lengths) if padding.length == "longest" else min(lengths))
    right = padding.direction == "right"
    mask = np.zeros((len(arrays), wanted), dtype=bool)
    made = []
    for k, x in enumerate(arrays):
        length = min(x.shape[axis], wanted)
        at = (slice(None),) * axis
        if length < x.shape[axis]:  # what is too long loses the end that is padded
            x = x[(*at, slice(length) if right else slice(x.shape[axis] - length, None))]
        its = slice(length) if right else slice(wanted - length, None)
        mask[k, its] = True
        if length < wanted:
            longer = np.full((*x.shape[:axis], wanted, *x.shape[axis + 1:]), padding.value, dtype=x.dtype)
            longer[(*at, its)] = x
            x = longer
        made.append(x)
    return made, mask


def padsequences(sequences: Sequence[Any], axis: int | str, *, length: str | int = "longest",
                 direction: str = "right", padding_value: float = 0.0) -> tuple[dlarray, dlarray]:
    """Sequences of different lengths as one array: (array, mask).

    sequences: arrays of the same shape but along `axis`, which is the time. The array has the sequences along a new
    axis 0, labelled B where the sequences are labelled. The mask has shape (sequences, length) and is True where there
    is data. length: "longest", "shortest" or an integer; what is longer loses its end, its beginning where direction is
    "left". Raises ShapeError for sequences that differ elsewhere.

    >>> import gradloom as gl
    >>> x, mask = gl.padsequences([[1.0, 2.0, 3.0], [4.0]], 0)
    >>> x
    2 x 3 dlarray float64
    [[1. 2. 3.]
     [4. 0. 0.]]
    >>> mask.tolist()
    [[True, True, True], [True, False, False]]

    Source: MATLAB padsequences, whose mask has the shape of the array.
    """
    padding = checked_padding(length, direction, padding_value, "padsequences")
    if not len(sequences):
        raise DataError(f"padsequences: there are no sequences, at {line_of(user_site())}; give one or more")
    labels = sequences[0]._labels if type(sequences[0]) is dlarray else None
    arrays = [np.asarray(x) for x in sequences]
    first = arrays[0]
    (k,) = axes_of(axis, first.ndim, labels, first.shape)
    for x in arrays:
        if x.ndim != first.ndim or x.shape[:k] + x.shape[k + 1:] != first.shape[:k] + first.shape[k + 1:]:
            raise ShapeError(
                f"padsequences: sequences of {described(first.shape, labels)} and {described(x.shape, labels)} differ "
                f"not only along axis {axis!r}, at {line_of(user_site())}; give the axis of time")
    made, mask = padded(arrays, k, padding)
    return (dlarray._made(torch.from_numpy(np.stack(made)), None, None if labels is None else "B" + labels),
            dlarray._made(torch.from_numpy(mask), None, "BT" if labels is not None else None))


__all__ = ["Padding", "checked_padding", "padded", "padsequences"]
