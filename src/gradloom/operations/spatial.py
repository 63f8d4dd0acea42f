"""What operations over spatial axes share: their options for each axis, and x brought to (B, C, *S) and back."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.array import dlarray
from ..core.errors import LabelError, ShapeError, line_of, user_site
from ..core.labels import described, positions, tidy
from .contraction import _unlabelled
from .movement import permute_dims, reshape

Sizes = tuple[int, ...]


def per_axis(value: Any, d: int, word: str) -> Sizes:
    """An option for each spatial axis, from a number or a sequence."""
    values = (value,) * d if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) != d:
        raise ShapeError(f"{word} has {len(values)} entries for {d} spatial axes, at {line_of(user_site())}")
    return values


def padding_of(padding: Any, sizes: Sequence[int], kernel: Sequence[int], stride: Sizes, dilation: Sizes, word: str) -> list[tuple[int, int]]:
    """(before, after) for each spatial axis; of an odd total in "same" the larger part goes to the end."""
    d = len(sizes)
    if padding == "same":
        pairs = []
        for n, k, s, e in zip(sizes, kernel, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * e + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        return pairs
    if padding == "causal":
        return [((k - 1) * e, 0) for k, e in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str):
        raise ShapeError(f"{word}: padding is a number, one per spatial axis, pairs, \"same\" or \"causal\", not {padding!r}")
    if not isinstance(padding, int) and len(padding) and not isinstance(padding[0], int):
        pairs = [(int(a), int(b)) for a, b in padding]
        if len(pairs) != d:
            raise ShapeError(f"{word}: padding has {len(pairs)} pairs for {d} spatial axes")
        return pairs
    return [(p, p) for p in per_axis(padding, d, "padding")]


def arranged(x: Any, labels: str, word: str) -> tuple[Any, list[int], str, tuple[int, ...]]:
    """x with axes (B, C, *S), whichever it has: the array, the order used, the labels in that order, and the spatial sizes."""
    if "C" not in labels:
        raise LabelError(f"{word} needs an axis C, x is {described(x.shape, labels)}, at {line_of(user_site())}")
    spatial = positions(labels, "S") or positions(labels, "T")
    if not spatial:
        raise LabelError(f"{word} needs an axis S (or T), x is {described(x.shape, labels)}, at {line_of(user_site())}")
    channel = positions(labels, "C")
    rest = tuple(k for k in range(x.ndim) if k not in spatial + channel)
    order = [*rest, *channel, *spatial]
    if len(rest) == 1 and order == sorted(order):  # (B, C, *S) already
        return _unlabelled(x), order, labels, (x.shape[0],)
    sizes = tuple(x.shape[k] for k in order)
    x = permute_dims(_unlabelled(x), order)
    if len(rest) != 1:
        x = reshape(x, (math.prod(sizes[:len(rest)]), *sizes[len(rest):]))
    return x, order, "".join(labels[k] for k in order), sizes[:len(rest)]


def put_back(y: Any, order: list[int], labels: str, rest: tuple[int, ...], labelled: bool) -> Any:
    """The inverse of `arranged` for a result with the same axes."""
    if len(rest) != 1:
        y = reshape(y, (*rest, *y.shape[1:]))
    inverse = [0] * len(order)
    for k, o in enumerate(order):
        inverse[o] = k
    if order != sorted(order):
        y = permute_dims(y, inverse)
    if type(y) is dlarray:
        y = dlarray._made(y._value, y._node, tidy("".join(labels[k] for k in inverse)) if labelled else None)
    return y


__all__ = ["arranged", "padding_of", "per_axis", "put_back"]
