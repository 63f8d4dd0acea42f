"""Slices and pads along axes."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import labels_of
from ...core.declare import multilinear, public
from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ...machine.dtypes import Tensor
from .axes import array, fresh
from .selection import take_operation


def _slice_fused(y_bar: Tensor, axis: int, start: int, stop: int, x_shape: Any, lead: Any) -> tuple[Tensor]:
    return (_zero_pad(y_bar, ((start, x_shape[axis] - stop), *((0, 0),) * (-axis - 1))),)


_slice = multilinear(
    "slice", lambda x, axis, start, stop: x.narrow(axis, start, stop - start),
    transposes={"x": lambda y_bar, axis, start, stop, x_shape: pad_axis(y_bar, axis, start, x_shape[axis] - stop)},
    fused_pull=_slice_fused,
    act=lambda operation, inputs, params: action.selected(inputs[0], inputs[0].ndim + params["axis"],
                                                          torch.arange(params["start"], params["stop"], device="cpu")),
    samples=[((4, 3), {"axis": -2, "start": 1, "stop": 3})], selects=True)


def _zero_pad(x: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    return torch.constant_pad_nd(x, [n for pair in reversed(pairs) for n in pair])


def _pad_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, pairs = inputs[0], params["pairs"]
    for k, (before, after) in enumerate(pairs, block.ndim - len(pairs)):
        if before or after:
            n = block.shape[k]
            block = action.placed(block, k, torch.arange(n, device="cpu") + before, n + before + after)
    return block


def unpadded(y: Any, pairs: tuple[tuple[int, int], ...], x_shape: Any) -> Any:
    """What `pairs` of padding along the last axes surround."""
    for k, (before, after) in enumerate(pairs, -len(pairs)):
        if before or after:
            y = slice_axis(y, k, before, before + x_shape[k])
    return y


def _within(y: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    """The same, as a view."""
    places: list[Any] = [slice(before, n - after)
                         for (before, after), n in zip(pairs, y.shape[y.ndim - len(pairs):], strict=True)]
    return y[(..., *places)]


_pad = multilinear(
    "pad", _zero_pad, transposes={"x": lambda y_bar, pairs, x_shape: unpadded(y_bar, pairs, x_shape)},
    act=_pad_on_block,
    fused_pull=lambda y_bar, pairs, lead: (_within(y_bar, pairs),),
    samples=[((2, 3), {"pairs": ((1, 2),)}), ((2, 1, 3), {"pairs": ((0, 1), (2, 0))})])


def slice_axis(x: Any, axis: int, start: int, stop: int) -> Any:
    """x[..., start:stop, ...] along one (negative) axis."""
    return _slice.apply((x,), {"axis": axis, "start": start, "stop": stop}, labels_of(x))


def pad_axis(x: Any, axis: int, before: int, after: int) -> Any:
    """Zeros before and after along one (negative) axis."""
    return (_pad.apply((x,), {"pairs": ((before, after), *((0, 0),) * (-axis - 1))}, labels_of(x))
            if before or after else x)


def zeros_around(x: Any, pairs: tuple[tuple[int, int], ...]) -> Any:
    """Zeros before and after along the last axes."""
    return _pad.apply((x,), {"pairs": tuple(pairs)}, labels_of(x)) if any(map(any, pairs)) else x


def _pairs(widths: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """Widths as (before, after) for each axis, spread as NumPy spreads them."""
    if type(widths) in (tuple, list) and len(widths) == ndim and all(
            [type(pair) in (tuple, list) and len(pair) == 2 and type(pair[0]) is type(pair[1]) is int
             for pair in widths]):
        return tuple([(before, after) for before, after in widths])
    sizes = np.asarray(widths)
    if sizes.size and sizes.dtype.kind not in "iu":
        raise TypeError  # 1.5 is no width
    pairs = np.broadcast_to(sizes, (ndim, 2)) if sizes.size else ()
    return tuple((int(before), int(after)) for before, after in pairs)


@public(_pad)
def pad(x: Any, widths: Any, /, *, mode: str = "constant") -> Any:
    """Zeros around x; `widths` is (before, after) for each axis. One number, or one pair, stands for all axes, as NumPy
    has it.

    mode: "constant" for zeros, "edge", "reflect", "symmetric" or "wrap" for entries of x, as NumPy names them.

    >>> import gradloom as gl
    >>> gl.pad(gl.dlarray([1.0, 2.0]), [(1, 0)])
    3 dlarray float64
    [0. 1. 2.]

    Source: NumPy pad.
    """
    x = fresh(array(x))
    try:
        pairs = _pairs(widths, x.ndim)
    except (TypeError, ValueError):
        raise ShapeError(
            f"pad of {described(x.shape, labels_of(x))} by {widths!r:.60}, at {line_of(user_site())}; write (before, "
            f"after) for each of the {x.ndim} axes, as in {[(0, 0)] * max(x.ndim - 1, 0) + [(1, 1)]} for the "
            "last") from None
    if any([before < 0 or after < 0 for before, after in pairs]):
        raise ShapeError(
            f"pad of {described(x.shape, labels_of(x))} by {pairs}, at {line_of(user_site())}; write (before, after), "
            "not negative")
    if mode == "constant":
        return zeros_around(x, pairs)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ShapeError(
            f"pad: mode {mode!r}, at {line_of(user_site())}; it is one of constant, edge, reflect, symmetric, wrap")
    for k, pair in enumerate(pairs, start=-len(pairs)):
        if any(pair):
            if not x.shape[k]:
                raise ShapeError(
                    f"pad of {described(x.shape, labels_of(x))} with mode={mode!r} along axis {k}, which is empty, at "
                    f"{line_of(user_site())}; leave mode out for zeros")
            where = torch.from_numpy(np.pad(np.arange(x.shape[k]), pair, mode=mode)).to(x.device)  # type: ignore[call-overload]
            x = take_operation.apply((x,), {"where": where, "axis": k}, labels_of(x))
    return x


__all__ = ["pad", "pad_axis", "slice_axis", "unpadded", "zeros_around"]
