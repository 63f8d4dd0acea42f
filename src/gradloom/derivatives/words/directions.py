"""Directions and cotangents that a user gives: matched to arrays by key, put in their axis order, labels and type."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.array import dlarray
from ...core.containers import Structure, flatten
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...core.tables import words
from ...machine.dtypes import NUMBER_TYPES


def matched(given: Any, structure: Structure, word: str) -> list[Any]:
    """The leaves of a container in the order of another, by key."""
    leaves, its = flatten(given)
    wanted = structure.paths()
    if len(leaves) != len(wanted):
        raise ShapeError(
            f"{word} needs {len(wanted)} arrays, in the same container; {len(leaves)} were given, at "
            f"{line_of(user_site())}")
    paths = its.paths()
    if len(wanted) == 1 or paths == wanted:
        return leaves
    if set(paths) != set(wanted):
        raise ShapeError(
            f"{word}: the keys {[*map(str, paths)][:6]} are not the expected {[*map(str, wanted)][:6]}, at "
            f"{line_of(user_site())}")
    return [leaves[paths.index(path)] for path in wanted]


def direction(given: Any, shape: Sequence[int], labels: str | None, dtype: Any, word: str) -> dlarray:
    """One direction for an array of this shape, these labels and this type; the cast is recorded."""
    d = given if isinstance(given, dlarray) else dlarray(given)
    if d._labels != labels and d._labels is not None and labels is not None and sorted(d._labels) == sorted(labels):
        d = words.permute_dims(d, labels)
    if d.shape != tuple(shape) or d._labels not in (None, labels):
        raise ShapeError(
            f"{word}: a direction {described(d.shape, d._labels)} for an array {described(shape, labels)}, at "
            f"{line_of(user_site())}; they must have the same shape and labels")
    if d._value.dtype.is_complex and not dtype.is_complex:
        raise TypeRefused(f"{word}: a complex direction for a real array, at {line_of(user_site())}; write gl.real(v)")
    return words.astype(dlarray._made(d._value, d._node), dtype)


def distributed(v: Any, leaves: Sequence[Any], its: Structure, what: str) -> list[dlarray]:
    """A direction for each leaf, from its container or from one flat vector."""
    given = [v] if type(v) is dlarray else flatten(v)[0]
    if len(given) > 1 and all(type(g) in NUMBER_TYPES for g in given):  # a list of numbers is a vector
        v = dlarray(v)
        given = [v]
    total = sum(leaf.size for leaf in leaves)
    by_label = (len(given) == len(leaves) == 1 and type(given[0]) is dlarray and given[0].ndim == len(leaves[0].shape)
                and given[0]._labels is not None)
    if (len(given) == 1 and not by_label and (len(leaves) > 1
                                              or np.shape(getattr(given[0], "_value", given[0])) != leaves[0].shape)):
        one = given[0] if type(given[0]) is dlarray else dlarray(given[0])
        if one.ndim != 1 or one.size != total:
            raise ShapeError(
                f"{what} needs a flat vector of {total} elements or the Jacobian's container, not "
                f"{described(one.shape, one._labels)}, at {line_of(user_site())}")
        pieces, start = [], 0
        for leaf in leaves:
            piece = words.reshape(one[start:start + leaf.size], leaf.shape)  # type: ignore[index]
            pieces.append(direction(piece, leaf.shape, leaf.labels, leaf.dtype, what))
            start += leaf.size
        return pieces
    return [direction(d, leaf.shape, leaf.labels, leaf.dtype, what)
            for d, leaf in zip(matched(v, its, what), leaves, strict=True)]
