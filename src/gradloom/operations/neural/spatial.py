"""What operations over spatial axes share: their options for each axis, x brought to (B, C, *S) and back, and
padding."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray
from ...core.declare import general, multilinear
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described, positions
from ...machine.dtypes import Tensor
from ..matrices.contraction import matmul
from ..movement.axes import moveaxis, permute_dims, reshape
from ..movement.slices import unpadded, zeros_around

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


# ----- options -----


def fixed(option: Any) -> Any:
    """An option as something to remember by: lists as tuples, integers of other libraries as Python's."""
    if type(option) in (int, str, tuple, type(None)):
        return option
    if isinstance(option, str):
        return str(option)
    return (tuple(fixed(o) for o in option) if hasattr(option, "__len__") else option.__index__()
            if hasattr(option, "__index__") else option)


def per_axis(value: Any, d: int, word: str, least: int = 1) -> Sizes:
    """An option for each spatial axis, from a number or a sequence of integers."""
    try:
        values = (value.__index__(),) * d if hasattr(value, "__index__") else tuple(v.__index__() for v in value)
    except (AttributeError, TypeError):
        raise ShapeError(
            f"{word} is an integer, or one for each of {d} spatial axes, not {value!r}, at "
            f"{line_of(user_site())}") from None
    if len(values) != d:
        raise ShapeError(
            f"{word} has {len(values)} entries for {d} spatial axes, at {line_of(user_site())}; write "
            f"{word}={values[:1] or 1} or {d} entries")
    if any(v < least for v in values):
        raise ShapeError(f"{word} is {value!r}, at {line_of(user_site())}; it must be at least {least} along each axis")
    return values


def padding_of(padding: Any, sizes: Sequence[int], kernel: Sequence[int], stride: Sizes, dilation: Sizes,
               word: str) -> list[tuple[int, int]]:
    """(before, after) for each spatial axis; of an odd total in "same" the larger part goes to the end."""
    if padding == "same":
        pairs = []
        for n, k, s, e in zip(sizes, kernel, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * e + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        return pairs
    if padding == "causal":
        return [((k - 1) * e, 0) for k, e in zip(kernel, dilation, strict=True)]
    return pairs_of(padding, len(sizes), f"{word} padding", "\"same\" or \"causal\"")


def pairs_of(given: Any, d: int, word: str, words: str) -> list[tuple[int, int]]:
    """(before, after) for each spatial axis, from a number, one for each axis, or pairs."""
    if isinstance(given, str):
        raise ShapeError(
            f"{word} is a number, one per spatial axis, (before, after) for each, {words}, not {given!r}, at "
            f"{line_of(user_site())}")
    if hasattr(given, "__len__") and len(given) and all(hasattr(p, "__len__") and len(p) == 2 for p in given):
        if len(given) != d:
            raise ShapeError(
                f"{word} has {len(given)} pairs for {d} spatial axes, at {line_of(user_site())}; write (before, after) "
                "for each")
        before, after = (per_axis([p[k] for p in given], d, word, 0) for k in (0, 1))
        return list(zip(before, after, strict=True))
    return [(p, p) for p in per_axis(given, d, word, 0)]


# ----- layouts -----


class Layout(NamedTuple):
    """The way of x to (B, C, *S) and back: None where there is nothing to do."""

    order: Sizes | None
    flat: Sizes | None  # the shape with all batches as one axis
    rest: Sizes
    inverse: Sizes | None

    def arranged(self, x: Any) -> Any:
        """x without labels, its axes in order."""
        if type(x) is dlarray and x._labels is not None:
            x = dlarray._made(x._value, x._node, None)
        if self.order is not None:
            x = permute_dims(x, self.order)
        return x if self.flat is None else reshape(x, self.flat)

    def put_back(self, y: Any, labels: str | None) -> Any:
        """The inverse, for a result with the same axes."""
        if self.flat is not None:
            y = reshape(y, (*self.rest, *y.shape[1:]))
        if self.inverse is not None:
            y = permute_dims(y, self.inverse)
        return dlarray._made(y._value, y._node, labels) if labels is not None else y


def layout(labels: str, shape: Sizes, spatial: Sizes, word: str) -> Layout:
    """How x reaches (B, C, *S), whichever of them it has."""
    channel = positions(labels, "C")
    if not channel:
        raise LabelError(
            f"{word} needs an axis C, x is {described(shape, labels)}, at {line_of(user_site())}; label it, as in "
            "dlarray(x, \"BCSS\")")
    rest = tuple(k for k in range(len(shape)) if k not in spatial + channel)
    order = (*rest, *channel, *spatial)
    inverse = tuple(order.index(k) for k in range(len(order)))
    sizes = tuple(shape[k] for k in order)
    flat = None if len(rest) == 1 else (math.prod(sizes[:len(rest)]), *sizes[len(rest):])
    moved = order != tuple(range(len(order)))
    return Layout(order if moved else None, flat, sizes[:len(rest)], inverse if moved else None)


def spatial_axes(labels: str, d: int | None, its: str | None, shape: Sizes, word: str) -> Sizes:
    """Which axes are convolved: the S, then T; weights of d spatial axes, or their labels `its`, say which of them."""
    space, time = positions(labels, "S"), positions(labels, "T")
    if its is not None:
        if set(its[2:]) - set("ST") or its[2:].count("S") not in (0, len(space)) or its[2:].count("T") > len(time):
            raise LabelError(
                f"{word}: weights labelled {its!r} do not fit x {described(shape, labels)}, at {line_of(user_site())}; "
                "the letters are (filters, channels, *spatial), such as \"UCSS\" over all S of x or \"UCT\" over T")
        return (space if "S" in its[2:] else ()) + (time if "T" in its[2:] else ())
    if not space and not time:
        raise LabelError(
            f"{word} needs an axis S (or T), x is {described(shape, labels)}, at {line_of(user_site())}; label it, or "
            "write data_format=")
    return space + time if space and time and d == len(space) + 1 else space or time


# ----- axes brought last, where kernels want them -----


def with_last(x: Any, axes: Sequence[int], function: Callable[[Any], Any]) -> Any:
    """What a function makes of x with these axes last and without labels; they go back, and x's labels stay."""
    order = (*(k for k in range(x.ndim) if k not in axes), *axes)
    labels = x._labels if type(x) is dlarray else None
    moved = order != tuple(range(x.ndim))
    x = dlarray._made(x._value, x._node, None) if labels is not None else x
    y = function(permute_dims(x, order) if moved else x)
    y = permute_dims(y, tuple(order.index(k) for k in range(len(order)))) if moved else y
    return dlarray._made(y._value, y._node, labels) if labels is not None else y


def along_last_axes(x: Any, matrices: Sequence[Any]) -> Any:
    """x times a matrix along each of its last axes, without labels."""
    for k, matrix in zip(range(-len(matrices), 0), matrices, strict=True):
        x = moveaxis(matmul(moveaxis(x, k, -1), matrix), -1, k)
    return x


# ----- padding with values -----

_filled = general(
    "pad_with", lambda x, pairs, value: torch.constant_pad_nd(x, [n for pair in reversed(pairs) for n in pair], value),
    push=lambda x_dot, pairs: zeros_around(x_dot, pairs),
    pull=lambda y_bar, pairs, x_shape: unpadded(y_bar, pairs, x_shape),
    samples=[((2, 3), {"pairs": ((1, 2),), "value": 3.0}), ((2, 3, 2), {"pairs": ((0, 1), (2, 0)), "value": -1.0})])

BORDERS = {"replicate": None, "symmetric-include-edge": 1, "symmetric-exclude-edge": 0}
_NATIVE = {"replicate": "replication", "symmetric-exclude-edge": "reflection"}


def _continued(n: int, before: int, after: int, border: str) -> Tensor:
    """Positions that continue 0 ... n - 1 on both sides: held at the ends, or reflected with the end twice (1) or once
    (0)."""
    at, edge = torch.arange(-before, n + after, device="cpu"), BORDERS[border]
    if edge is None:
        return at.clamp(0, n - 1)
    period = max(2 * n - 2 + 2 * edge, 1)
    at = at % period
    return torch.where(at < n, at, period - edge - at)


def _tables(sizes: Sequence[int], pairs: Pairs, border: str) -> list[tuple[int, Tensor]]:
    """(axis, positions along it) of each axis that is padded."""
    return [(k, _continued(n, *pair, border)) for k, n, pair in zip(range(-len(pairs), 0), sizes, pairs, strict=True)
            if any(pair)]


def _native(name: str, sizes: Sequence[int], pairs: Pairs, border: str) -> Any:
    """Torch's kernel, where there is one for these pads."""
    if border not in _NATIVE or len(pairs) > 3 or 0 in sizes:
        return None
    if border != "replicate" and any(p >= n for n, pair in zip(sizes, pairs, strict=True) for p in pair):
        return None
    return getattr(torch.ops.aten, f"{_NATIVE[border]}_pad{len(pairs)}d{name}")


def _batched(x: Tensor, d: int) -> Tensor:
    """x with all but its last d axes as two."""
    return x if x.ndim == d + 2 else x.reshape(1, math.prod(x.shape[:x.ndim - d]), *x.shape[x.ndim - d:])


def _border_kernel(x: Tensor, pairs: Pairs, border: str) -> Tensor:
    d = len(pairs)
    sizes = x.shape[x.ndim - d:]
    kernel = _native("", sizes, pairs, border)
    if kernel is not None and x.numel():
        y = kernel(_batched(x, d), [n for pair in reversed(pairs) for n in pair])
        return y.reshape(*x.shape[:x.ndim - d], *y.shape[2:])
    for axis, where in _tables(sizes, pairs, border):
        x = x.index_select(axis, where.to(x.device))
    return x


def _folded_kernel(y: Tensor, pairs: Pairs, border: str, sizes: Sizes) -> Tensor:
    d = len(pairs)
    kernel = _native("_backward", sizes, pairs, border)
    if kernel is not None and y.numel():
        folded = _batched(y, d)
        x = kernel(folded, folded.new_empty(1).expand(*folded.shape[:2], *sizes),
                   [n for pair in reversed(pairs) for n in pair])
        return x.reshape(*y.shape[:y.ndim - d], *sizes)
    for axis, where in _tables(sizes, pairs, border):
        shape = list(y.shape)
        shape[axis] = sizes[axis]
        y = torch.zeros(shape, dtype=y.dtype, device=y.device).index_add_(axis, where.to(y.device), y)
    return y


def _border_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), pairs = inputs, params["pairs"]
    for axis, where in _tables(block.shape[block.ndim - len(pairs):], pairs, params["border"]):
        block = action.selected(block, block.ndim + axis, where)
    return block


def _folded_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), sizes = inputs, params["sizes"]
    for axis, where in _tables(sizes, params["pairs"], params["border"]):
        block = action.placed(block, block.ndim + axis, where, sizes[axis])
    return block


_AROUND = {"pairs": ((1, 2), (0, 1)), "border": "symmetric-exclude-edge"}
_folded: Any
_border = multilinear(
    "pad_border", _border_kernel, act=_border_on_block,
    transposes={"x": lambda y_bar, pairs, border, x_shape: _folded.apply(
        (y_bar,), {"pairs": pairs, "border": border, "sizes": tuple(x_shape[-len(pairs):])})},
    samples=[((2, 3, 2), _AROUND), ((2, 3), {"pairs": ((2, 4),), "border": "symmetric-include-edge"}),
             ((3,), {"pairs": ((1, 2),), "border": "replicate"})])
_folded = multilinear(
    "pad_border_transpose", _folded_kernel, act=_folded_on_block,
    transposes={"x": lambda y_bar, pairs, border, sizes: _border.apply((y_bar,), {"pairs": pairs, "border": border})},
    samples=[((2, 6, 3), _AROUND | {"sizes": (3, 2)}),
             ((2, 9), {"pairs": ((2, 4),), "border": "symmetric-include-edge", "sizes": (3,)})])


def padded(x: Any, pairs: Pairs, value: Any, word: str) -> Any:
    """x with `value` around its last axes: a number, or one of the words for what its border repeats."""
    if not any(map(any, pairs)):
        return x
    if isinstance(value, str):
        if value not in BORDERS:
            raise ShapeError(
                f"{word}: padding_value is a number, {', '.join(map(repr, BORDERS))}, not {value!r}, at "
                f"{line_of(user_site())}")
        if 0 in x.shape[x.ndim - len(pairs):]:
            raise ShapeError(
                f"{word}: padding_value={value!r} of an axis without elements, at {line_of(user_site())}; pad it with "
                "a number")
        return _border.apply((x,), {"pairs": pairs, "border": value})
    if type(value) is dlarray or isinstance(value, Tensor):
        raise ShapeError(f"{word}: padding_value is a constant, a Python number or a word, at {line_of(user_site())}")
    return zeros_around(x, pairs) if value == 0 else _filled.apply((x,), {"pairs": pairs, "value": value})


__all__ = ["Layout", "Pairs", "Sizes", "along_last_axes", "fixed", "layout", "padded", "padding_of", "pairs_of",
           "per_axis", "spatial_axes", "with_last", "zeros_around"]
