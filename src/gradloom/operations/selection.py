"""Operations that select elements along axes and put them back: take, flip, roll, repeat, tile, slices and pads."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..core.array import dlarray, labels_of, raw
from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.errors import ShapeError, line_of, user_site
from ..core.labels import described
from ..core.multilinear import multilinear
from ..core.operation import composite, public
from ..kernels import Tensor
from .creation import allocated
from .movement import array, broadcast_to, expand_dims, flatten, fresh, negative_axes, reshape

# ----- selections along axes: flip, roll, repeat, tile -----

_take = multilinear(
    "take", lambda x, where, axis: x.index_select(axis, where),
    transposes={"x": lambda y_bar, where, axis, x_shape, lead: _put.apply((y_bar,), {"where": where, "axis": axis, "size": x_shape[axis]})},
    act=lambda operation, inputs, params: action.selected(inputs[0], inputs[0].ndim + params["axis"], params["where"].cpu()),
    samples=[((4, 3), {"where": torch.tensor([2, 0, 0]), "axis": -2})])


def _index_add(x: Tensor, where: Tensor, axis: int, size: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = size
    y = torch.zeros(shape, dtype=x.dtype, device=x.device)
    return y.scatter_add_(0, where, x) if x.ndim == 1 else y.index_add_(axis, where, x.contiguous())  # each is quicker there


def _put_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, where = inputs[0], params["where"].cpu()
    return action.placed(block, block.ndim + params["axis"], where, params["size"])


_put = multilinear(
    "put", _index_add, transposes={"x": lambda y_bar, where, axis: _take.apply((y_bar,), {"where": where, "axis": axis})}, act=_put_on_block,
    samples=[((3, 2), {"where": torch.tensor([3, 0, 1]), "axis": -2, "size": 5}), ((3, 2), {"where": torch.tensor([1, 1, 0]), "axis": -2, "size": 3})])


@public(_take)
def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """Entries of x along one axis, at integer positions (a vector; negatives count from the end). The axis keeps its label.

    >>> import gradloom as gl
    >>> gl.take(gl.dlarray([10.0, 20.0, 30.0]), [2, 0], axis=0)
    2 dlarray float64
    [30. 10.]

    Source: array API take.
    """
    x = array(x)
    if axis is None and x.ndim != 1:
        raise ShapeError(f"take needs axis= for an array of {x.ndim} axes, at {line_of(user_site())}")
    (k,) = negative_axes(0 if axis is None else axis, x)
    where = positions_vector(indices, x.shape[k], getattr(x, "device", None))
    return _take.apply((x,), {"where": where, "axis": k}, labels_of(x))


def positions_vector(indices: Any, size: int, device: Any) -> Tensor:
    """Integer positions as a tensor, negatives resolved, checked against the size."""
    raw = indices._value if type(indices) is dlarray else torch.as_tensor(indices)
    if not raw.numel():
        raw = raw.to(torch.int64)
    if raw.dtype.is_floating_point or raw.dtype is torch.bool or raw.ndim != 1:
        raise ShapeError(f"positions are a vector of integers, not {raw.dtype} {tuple(raw.shape)}, at {line_of(user_site())}")
    raw = raw.to(device=device, dtype=torch.int64)
    if raw.numel() and (int(raw.min()) < -size or int(raw.max()) >= size):
        raise ShapeError(f"positions reach from {int(raw.min())} to {int(raw.max())}, the axis has size {size}, at {line_of(user_site())}")
    return torch.where(raw < 0, raw + size, raw)


def _selected_on_block(where: Any) -> Any:
    """An operation that selects along several axes: `where(n, k, params)` are the positions along axis k of size n, None for all in order."""

    def act(operation: Any, inputs: Any, params: Any) -> Block:
        block = inputs[0]
        for k in range(-block.ndim, 0):
            at = where(block.shape[k], k, params)
            block = block if at is None else action.selected(block, k + block.ndim, at)
        return block

    return act


_flip = multilinear(
    "flip", lambda x, axis: x.flip(axis), transposes={"x": lambda y_bar, axis: _flip.apply((y_bar,), {"axis": axis})},
    act=_selected_on_block(lambda n, k, params: torch.arange(n - 1, -1, -1) if k in params["axis"] else None),
    samples=[((2, 3), {"axis": (-1,)}), ((2, 3, 2), {"axis": (-3, -1)}), ((0, 1), {"axis": (-2, -1)})])


@public(_flip)
def flip(x: Any, /, *, axis: Any = None) -> Any:
    """Axes in reverse direction; all of them where axis is None.

    >>> import gradloom as gl
    >>> gl.flip(gl.dlarray([1.0, 2.0, 3.0]))
    3 dlarray float64
    [3. 2. 1.]

    Source: array API flip, MATLAB flip.
    """
    x = fresh(array(x))
    axes = negative_axes(axis, x)
    return _flip.apply((x,), {"axis": axes}, labels_of(x)) if axes else x


def _rolled(n: int, k: int, params: Any) -> Any:
    shift = sum(s for a, s in zip(params["axis"], params["shift"], strict=True) if a == k)
    return (torch.arange(n) - shift) % n if n and shift % n else None


_roll = multilinear(
    "roll", lambda x, shift, axis: x.roll(shift, axis), act=_selected_on_block(_rolled),
    transposes={"x": lambda y_bar, shift, axis: _roll.apply((y_bar,), {"shift": tuple(-s for s in shift), "axis": axis})},
    samples=[((2, 3), {"shift": (1,), "axis": (-1,)}), ((2, 3, 2), {"shift": (-4, 1), "axis": (-2, -3)}), ((1, 0), {"shift": (2, 1), "axis": (-2, -1)})])


@public(_roll)
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Entries moved along axes by `shift`, those that leave one end entering at the other.

    >>> import gradloom as gl
    >>> gl.roll(gl.dlarray([1.0, 2.0, 3.0]), 1, axis=0)
    3 dlarray float64
    [3. 1. 2.]

    Source: array API roll.
    """
    x = fresh(array(x))
    if axis is None:
        return reshape(roll(flatten(x), shift, axis=0), x.shape)
    axes = negative_axes(axis, x)
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll of {len(axes)} axes by {len(shifts)} shifts, at {line_of(user_site())}; write one number, or one for each axis")
    return _roll.apply((x,), {"shift": tuple(int(s) for s in shifts), "axis": axes}, labels_of(x)) if axes else x


@composite
def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Each entry along an axis several times in a row: `repeats` times, or as often as a vector of integers says for each entry.

    Without `axis`, all elements in C order. Raises ShapeError where the vector has another length, or a negative number in it.

    >>> import gradloom as gl
    >>> gl.repeat(gl.dlarray([1.0, 2.0]), 2, axis=0)
    4 dlarray float64
    [1. 1. 2. 2.]

    Source: array API repeat, MATLAB repelem.
    """
    x = array(x)
    if axis is None:
        x, axis = flatten(x), 0
    (k,) = negative_axes(axis, x)
    n = x.shape[k]
    counts = torch.as_tensor(raw(repeats), device=x.device)
    if counts.is_floating_point() or counts.is_complex() or counts.ndim > 1 or counts.numel() not in (1, n) or bool((counts < 0).any()):
        raise ShapeError(f"repeat takes a number of times, or {n} of them, not {described(tuple(counts.shape), None)} {str(counts.dtype)[6:]}, "
                         f"at {line_of(user_site())}; write integers that are not negative, one for each entry along the axis")
    where = allocated("repeat", described(x.shape, labels_of(x)),
                      lambda: torch.arange(n, device=x.device).repeat_interleave(counts.reshape(-1).to(torch.int64).expand(n)))
    return _take.apply((x,), {"where": where, "axis": k}, labels_of(x))


@composite
def tile(x: Any, repetitions: Any, /) -> Any:
    """x laid out several times along each axis.

    >>> import gradloom as gl
    >>> gl.tile(gl.dlarray([1.0, 2.0]), (2,))
    4 dlarray float64
    [1. 2. 1. 2.]

    Source: array API tile, MATLAB repmat.
    """
    x = fresh(array(x))
    counts = tuple(repetitions) if isinstance(repetitions, (tuple, list)) else (repetitions,)
    while x.ndim < len(counts):
        x = expand_dims(x, axis=0)
    counts = (1,) * (x.ndim - len(counts)) + tuple(int(n) for n in counts)
    if all(n == 1 for n in counts):
        return x
    labels, sizes = labels_of(x), x.shape
    apart = [n for pair in zip(counts, sizes, strict=True) for n in pair]
    x = reshape(x, [n for size in sizes for n in (1, size)])
    x = reshape(broadcast_to(x, apart), [n * size for n, size in zip(counts, sizes, strict=True)])
    return dlarray._made(x._value, x._node, labels) if type(x) is dlarray else x


# ----- slices and pads along one axis -----

_slice = multilinear(
    "slice", lambda x, axis, start, stop: x.narrow(axis, start, stop - start),
    transposes={"x": lambda y_bar, axis, start, stop, x_shape: pad_axis(y_bar, axis, start, x_shape[axis] - stop)},
    act=lambda operation, inputs, params: action.selected(inputs[0], inputs[0].ndim + params["axis"], torch.arange(params["start"], params["stop"])),
    samples=[((4, 3), {"axis": -2, "start": 1, "stop": 3})])


def _zero_pad(x: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    return torch.constant_pad_nd(x, [n for pair in reversed(pairs) for n in pair])


def _pad_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, pairs = inputs[0], params["pairs"]
    for k, (before, after) in enumerate(pairs, block.ndim - len(pairs)):
        if before or after:
            n = block.shape[k]
            block = action.placed(block, k, torch.arange(n) + before, n + before + after)
    return block


def unpadded(y: Any, pairs: tuple[tuple[int, int], ...], x_shape: Any) -> Any:
    """What `pairs` of padding along the last axes surround."""
    for k, (before, after) in enumerate(pairs, -len(pairs)):
        if before or after:
            y = slice_axis(y, k, before, before + x_shape[k])
    return y


_pad = multilinear(
    "pad", _zero_pad, transposes={"x": lambda y_bar, pairs, x_shape: unpadded(y_bar, pairs, x_shape)}, act=_pad_on_block,
    samples=[((2, 3), {"pairs": ((1, 2),)}), ((2, 1, 3), {"pairs": ((0, 1), (2, 0))})])


def slice_axis(x: Any, axis: int, start: int, stop: int) -> Any:
    """x[..., start:stop, ...] along one (negative) axis."""
    return _slice.apply((x,), {"axis": axis, "start": start, "stop": stop}, labels_of(x))


def pad_axis(x: Any, axis: int, before: int, after: int) -> Any:
    """Zeros before and after along one (negative) axis."""
    return _pad.apply((x,), {"pairs": ((before, after), *((0, 0),) * (-axis - 1))}, labels_of(x)) if before or after else x


def zeros_around(x: Any, pairs: tuple[tuple[int, int], ...]) -> Any:
    """Zeros before and after along the last axes."""
    return _pad.apply((x,), {"pairs": tuple(pairs)}, labels_of(x)) if any(map(any, pairs)) else x


@public(_pad)
def pad(x: Any, widths: Any, /, *, mode: str = "constant") -> Any:
    """Zeros around x; `widths` is (before, after) for each axis. One number, or one pair, stands for all axes, as NumPy has it.

    mode: "constant" for zeros, "edge", "reflect", "symmetric" or "wrap" for entries of x, as NumPy names them.

    >>> import gradloom as gl
    >>> gl.pad(gl.dlarray([1.0, 2.0]), [(1, 0)])
    3 dlarray float64
    [0. 1. 2.]

    Source: NumPy pad.
    """
    x = fresh(array(x))
    try:
        sizes = np.asarray(widths, dtype=np.int64)
        pairs = tuple((int(before), int(after)) for before, after in (np.broadcast_to(sizes, (x.ndim, 2)) if sizes.size else ()))
    except (TypeError, ValueError):
        raise ShapeError(f"pad of {described(x.shape, labels_of(x))} by {widths!r:.60}, at {line_of(user_site())}; write (before, after) for each of the "
                         f"{x.ndim} axes, as in {[(0, 0)] * max(x.ndim - 1, 0) + [(1, 1)]} for the last") from None
    if any(n < 0 for pair in pairs for n in pair):
        raise ShapeError(f"pad of {described(x.shape, labels_of(x))} by {pairs}, at {line_of(user_site())}; write (before, after), not negative")
    if mode == "constant":
        return zeros_around(x, pairs)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ShapeError(f"pad: mode {mode!r}, at {line_of(user_site())}; it is one of constant, edge, reflect, symmetric, wrap")
    for k, pair in enumerate(pairs, start=-len(pairs)):
        if any(pair):
            if not x.shape[k]:
                raise ShapeError(f"pad of {described(x.shape, labels_of(x))} with mode={mode!r} along axis {k}, which is empty, "
                                 f"at {line_of(user_site())}; leave mode out for zeros")
            where = torch.from_numpy(np.pad(np.arange(x.shape[k]), pair, mode=mode)).to(x.device)  # type: ignore[call-overload]
            x = _take.apply((x,), {"where": where, "axis": k}, labels_of(x))
    return x


__all__ = ["flip", "pad", "repeat", "roll", "take", "tile"]
