"""Things from outside as they are at one time: by value, by identity and version, or by what is in them."""
from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.containers import children_of
from ..core.trace import live
from ..machine.dtypes import Tensor

LARGE = 1 << 16  # bytes of a NumPy array: reading all of a larger one on each call costs more than it saves
PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, slice, type(Ellipsis), range)
MISSING = object()


class Unfollowed(Exception):
    """Something that a function reads and that cannot be compared."""


def snapshot(value: Any, words: str) -> tuple[Any, Callable[[Any], bool] | None]:
    """(what is kept, how it is compared): None for the same thing."""
    kind = type(value)
    if kind in (bool, type(None), type(Ellipsis)) or value is MISSING:
        return value, None
    if kind in PLAIN:
        text = repr(value)
        return None, lambda v: v is value or type(v) is kind and repr(v) == text
    if kind is dlarray:
        return None, _as_array(value, words)
    if isinstance(value, Tensor):
        return None, _as_tensor(value)
    if isinstance(value, np.ndarray):
        return None, _as_ndarray(value, words)
    if isinstance(value, np.generic):
        return None, lambda v: type(v) is kind and v.tobytes() == value.tobytes()
    if kind is list or isinstance(value, tuple):
        parts = [_part(x, words) for x in value]
        return None, lambda v: type(v) is kind and len(v) == len(parts) and all(
            [same(x) for same, x in zip(parts, v, strict=True)])
    if kind is dict:
        keys, held = [(type(k), k) for k in value], [_part(x, words) for x in value.values()]
        return None, lambda v: type(v) is dict and [(type(k), k) for k in v] == keys and all(
            [same(x) for same, x in zip(held, v.values(), strict=True)])
    if kind in (set, frozenset):
        members = sorted([(type(x).__name__, repr(x)) for x in value])
        return None, lambda v: type(v) is kind and sorted([(type(x).__name__, repr(x)) for x in v]) == members
    inside = children_of(value)
    if inside is not None:
        children, rest = [_part(x, words) for x in inside[0]], inside[1]

        def same(v: Any) -> bool:
            its = children_of(v) if type(v) is kind else None
            return its is not None and its[1] == rest and len(its[0]) == len(children) and all(
                [alike(x) for alike, x in zip(children, its[0], strict=True)])

        return None, same
    return value, None


def _part(value: Any, words: str) -> Callable[[Any], bool]:
    kept, same = snapshot(value, words)
    return same if same is not None else lambda v: v is kept


def _as_array(x: dlarray, words: str) -> Callable[[Any], bool]:
    if live(x._node) is not None:
        raise Unfollowed(f"{words} is traced; pass it as an argument")
    same, labels = _as_tensor(x._value), x._labels
    return lambda v: type(v) is dlarray and v._labels == labels and same(v._value) and live(v._node) is None


def _as_tensor(x: Tensor) -> Callable[[Any], bool]:
    ref: Any = weakref.ref(x)
    version = x._version  # an address is used again: identity is asked of the living

    def same(v: Any) -> bool:
        return v is not None and ref() is v and v._version == version

    return same


def _as_ndarray(x: np.ndarray, words: str) -> Callable[[Any], bool]:
    if x.dtype.hasobject:
        raise Unfollowed(f"{words} is an array of objects")
    if x.nbytes > LARGE:
        raise Unfollowed(f"{words} is a NumPy array of {x.nbytes:,} bytes, which would be compared on each call; "
                         "make it a dlarray, or pass it as an argument")
    shape, dtype, digest = x.shape, x.dtype, x.tobytes()
    return lambda v: (type(v) is np.ndarray and v.shape == shape and v.dtype == dtype and v.tobytes() == digest)


__all__ = ["MISSING", "PLAIN", "Unfollowed", "snapshot"]
