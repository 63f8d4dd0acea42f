"""Operations that select elements along axes and put them back: take, flip, roll, repeat, tile."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray, labels_of, raw
from ...core.declare import composite, multilinear, public
from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ...core.tables import OPERATIONS
from ...machine.conversion import listed
from ...machine.dtypes import Tensor
from ...machine.questions import decided, usually
from ..creation.arrays import allocated
from .axes import array, expand_dims, flatten, fresh, negative_axes, reshape

# ----- take and put along one axis -----


def _take_transpose(y_bar: Any, where: Tensor, axis: int, x_shape: Any) -> Any:
    return put.apply((y_bar,), {"where": where, "axis": axis, "size": x_shape[axis]})


take_operation = multilinear(
    "take", lambda x, where, axis: x.index_select(axis, where), transposes={"x": _take_transpose},
    fused_pull=lambda y_bar, where, axis, x_shape, lead: (_index_add(y_bar, where, axis, x_shape[axis]),),
    act=lambda operation, inputs, params: action.selected(inputs[0], inputs[0].ndim + params["axis"],
                                                          params["where"].cpu()),
    samples=[((4, 3), {"where": torch.tensor([2, 0, 0], device="cpu"), "axis": -2})], selects=True)


def _index_add(x: Tensor, where: Tensor, axis: int, size: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = size
    y = torch.zeros(shape, dtype=x.dtype, device=x.device)
    # each is quicker there
    return y.scatter_add_(0, where, x) if x.ndim == 1 else y.index_add_(axis, where, x.contiguous())


def _put_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, where = inputs[0], params["where"].cpu()
    return action.placed(block, block.ndim + params["axis"], where, params["size"])


put = multilinear(
    "put", _index_add,
    transposes={"x": lambda y_bar, where, axis: take_operation.apply((y_bar,), {"where": where, "axis": axis})},
    act=_put_on_block,
    samples=[((3, 2), {"where": torch.tensor([3, 0, 1], device="cpu"), "axis": -2, "size": 5}),
             ((3, 2), {"where": torch.tensor([1, 1, 0], device="cpu"), "axis": -2, "size": 3})])


# ----- selections from several axes read as one, at positions of any shape -----


def _take_at_kernel(x: Tensor, where: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    k = x.ndim + axis
    x = x if len(sizes) == 1 else x.flatten(k, k + len(sizes) - 1)
    if where.ndim == 1:
        return x.index_select(k, where)
    taken = x.index_select(k, where.reshape(-1))
    return taken.reshape(x.shape[:k] + where.shape + x.shape[k + 1:])


def _put_at_kernel(x: Tensor, where: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    last = x.ndim + axis + len(sizes)  # of the axes of `where`, and one on
    k = last - where.ndim
    if where.ndim != 1:
        x, where = x.reshape(x.shape[:k] + (where.numel(),) + x.shape[last:]), where.reshape(-1)
    y = _index_add(x, where, k, math.prod(sizes))
    return y if len(sizes) == 1 else y.reshape(y.shape[:k] + sizes + y.shape[k + 1:])


def _take_at_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), where, sizes = inputs, params["where"], params["sizes"]
    k = block.ndim + params["axis"]
    before, after = block.shape[:k], block.shape[k + len(sizes):]
    flat = action.reshaped(block, (*before, math.prod(sizes), *after))
    return action.reshaped(action.selected(flat, k, where.reshape(-1).cpu()), (*before, *where.shape, *after))


def _put_at_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), where, sizes = inputs, params["where"], params["sizes"]
    last = block.ndim + params["axis"] + len(sizes)
    before, after = block.shape[:last - where.ndim], block.shape[last:]
    flat = action.reshaped(block, (*before, where.numel(), *after))
    return action.reshaped(action.placed(flat, len(before), where.reshape(-1).cpu(), math.prod(sizes)),
                           (*before, *sizes, *after))


def _take_at_transpose(y_bar: Any, where: Tensor, axis: int, sizes: tuple[int, ...]) -> Any:
    return _put_at.apply((y_bar,), {"where": where, "axis": axis, "sizes": sizes})


def _put_at_transpose(y_bar: Any, where: Tensor, axis: int, sizes: tuple[int, ...]) -> Any:
    return take_at.apply((y_bar,), {"where": where, "axis": axis, "sizes": sizes})


_AT = {"where": torch.tensor([[5, 0, 5], [2, 4, 1]], device="cpu"), "axis": -2, "sizes": (2, 3)}
take_at = multilinear(
    "take_at", _take_at_kernel, act=_take_at_on_block, transposes={"x": _take_at_transpose},
    fused_pull=lambda y_bar, where, axis, sizes: (_put_at_kernel(y_bar, where, axis, sizes),),
    samples=[((2, 3), _AT), ((2, 2, 3, 1), _AT | {"axis": -3}),
             ((3, 2), {"where": torch.tensor(2, device="cpu"), "axis": -2, "sizes": (3,)}),
             ((2, 1), {"where": torch.zeros(0, 1, dtype=torch.int64, device="cpu"), "axis": -2, "sizes": (2, 1)})],
    selects=True)
_put_at = multilinear(
    "put_at", _put_at_kernel, act=_put_at_on_block, transposes={"x": _put_at_transpose},
    samples=[((2, 3), _AT), ((2, 2, 3, 1), _AT | {"axis": -3}),
             ((2,), {"where": torch.tensor(2, device="cpu"), "axis": -2, "sizes": (3,)}),
             ((0, 1), {"where": torch.zeros(0, 1, dtype=torch.int64, device="cpu"), "axis": -2, "sizes": (2, 1)})])


@public(take_operation)
def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """Entries of x along one axis, at integer positions (a vector; negatives count from the end). The axis keeps its
    label.

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
    return take_operation.apply((x,), {"where": where, "axis": k}, labels_of(x))


def positions_vector(indices: Any, size: int, device: Any) -> Tensor:
    """Integer positions as a tensor, negatives resolved, checked against the size."""
    raw = indices._value if type(indices) is dlarray else listed(indices)
    if not raw.numel():
        raw = raw.to(torch.int64)
    if raw.dtype.is_floating_point or raw.dtype.is_complex or raw.dtype is torch.bool or raw.ndim != 1:
        raise ShapeError(
            f"positions are a vector of integers, not {raw.dtype} {tuple(raw.shape)}, at {line_of(user_site())}")
    counted = counted_from_start(raw, size, lambda low, high: ShapeError(
        f"positions reach from {low} to {high}, the axis has size {size}, at {line_of(user_site())}"))
    where = raw if raw.dtype is torch.int64 and raw.device == device else raw.to(device=device, dtype=torch.int64)
    if not counted:
        return torch.where(where < 0, where + size, where)
    return where if where is not raw or type(indices) in (dlarray, list) else where.clone()  # the user's may change


def least_and_greatest(positions: Tensor) -> tuple[int, int]:
    """The range that positions have, for an error or a question; (0, -1) where there are none."""
    if not positions.numel():
        return 0, -1
    low, high = torch.aminmax(positions)
    return int(low), int(high)


def counted_from_start(positions: Tensor, size: int, error: Callable[[int, int], Exception]) -> bool:
    """Whether all positions along an axis count from its start; else some count from its end. Those that it has not are
    an error, made of the least and the greatest."""
    if in_range(positions, 0, size):
        return True
    if not in_range(positions, -size, size):
        raise error(*least_and_greatest(positions))
    return False


def in_range(positions: Tensor, start: int, stop: int) -> bool:
    """Whether all positions are from `start` to below `stop`, as they nearly always are: a recording in which they were
    asks each time that it is replayed."""
    def quick() -> bool:
        low, high = least_and_greatest(positions)
        return start <= low and high < stop

    return usually(quick, lambda: ((positions >= start) & (positions < stop)).all())


def _selected_on_block(where: Any) -> Any:
    """An operation that selects along several axes: `where(n, k, params)` are the positions along axis k of size n,
    None for all in order."""

    def act(operation: Any, inputs: Any, params: Any) -> Block:
        block = inputs[0]
        for k in range(-block.ndim, 0):
            at = where(block.shape[k], k, params)
            block = block if at is None else action.selected(block, k + block.ndim, at)
        return block

    return act


_flip = multilinear(
    "flip", lambda x, axis: x.flip(axis), transposes={"x": lambda y_bar, axis: _flip.apply((y_bar,), {"axis": axis})},
    fused_pull=lambda y_bar, axis: (y_bar.flip(axis),),
    act=_selected_on_block(lambda n, k, params: torch.arange(n - 1, -1, -1, device="cpu")
                           if k in params["axis"] else None),
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
    x = array(x)
    axes = negative_axes(axis, x)
    return _flip.apply((x,), {"axis": axes}, labels_of(x)) if axes else fresh(x)


def _rolled(n: int, k: int, params: Any) -> Any:
    shift = sum(s for a, s in zip(params["axis"], params["shift"], strict=True) if a == k)
    return (torch.arange(n, device="cpu") - shift) % n if n and shift % n else None


_roll = multilinear(
    "roll", lambda x, shift, axis: x.roll(shift, axis), act=_selected_on_block(_rolled),
    transposes={"x": lambda y_bar, shift, axis: _roll.apply(
                    (y_bar,), {"shift": tuple(-s for s in shift), "axis": axis})},
    fused_pull=lambda y_bar, shift, axis: (y_bar.roll([-s for s in shift], axis),),
    samples=[((2, 3), {"shift": (1,), "axis": (-1,)}), ((2, 3, 2), {"shift": (-4, 1), "axis": (-2, -3)}),
             ((1, 0), {"shift": (2, 1), "axis": (-2, -1)})])


def _rolled_behind(x: Any, shift: int, lead: tuple[int, ...]) -> Any:
    """All elements behind the leading axes rolled as one axis."""
    if not lead or type(x) is Block:
        return _roll_all.apply((x,), {"shift": shift})
    flat = reshape(x, (*lead, math.prod(x.shape[len(lead):])))
    return reshape(_roll.apply((flat,), {"shift": (shift,), "axis": (-1,)}), tuple(x.shape))


def _roll_all_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), n = inputs, math.prod(inputs[0].shape)
    return action.reshaped(action.selected(action.reshaped(block, (n,)), 0,
                                           (torch.arange(n, device="cpu") - params["shift"]) % max(n, 1)), block.shape)


_roll_all = multilinear(
    "roll_all", lambda x, shift: x.roll(shift), act=_roll_all_on_block,
    fused_pull=lambda y_bar, shift: (y_bar.roll(-shift),),
    transposes={"x": lambda y_bar, shift, lead: _rolled_behind(y_bar, -shift, lead)},
    monomials={("x",): lambda x, shift, lead, node: _rolled_behind(x, shift, lead)},
    samples=[((2, 3), {"shift": 2}), ((2, 1, 3), {"shift": -4}), ((0, 2), {"shift": 1}), ((), {"shift": 1})])


@public(_roll)
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Entries moved along axes by `shift`, those that leave one end entering at the other.

    >>> import gradloom as gl
    >>> gl.roll(gl.dlarray([1.0, 2.0, 3.0]), 1, axis=0)
    3 dlarray float64
    [3. 1. 2.]

    Source: array API roll.
    """
    x = array(x)
    axes = (-1,) if axis is None else negative_axes(axis, x)
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(
            f"roll of {len(axes)} axes by {len(shifts)} shifts, at {line_of(user_site())}; write one number, or one "
            "for each axis")
    if axis is None and x.ndim != 1:
        return _roll_all.apply((x,), {"shift": int(shifts[0])})
    return (_roll.apply((x,), {"shift": tuple([int(s) for s in shifts]), "axis": axes}, labels_of(x))
            if axes else fresh(x))


@composite
def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Each entry along an axis several times in a row: `repeats` times, or as often as a vector of integers says for
    each entry.

    Without `axis`, all elements in C order. Raises ShapeError where the vector has another length, or a negative number
    in it.

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
    if type(repeats) is int and repeats >= 0:
        where = allocated("repeat", x.shape, lambda: torch.arange(n, device=x.device).repeat_interleave(repeats))
        return take_operation.apply((x,), {"where": where, "axis": k}, labels_of(x))
    counts = listed(raw(repeats)).to(x.device)
    if (counts.is_floating_point() or counts.is_complex() or counts.ndim > 1 or counts.numel() not in (1, n)
        or decided((counts < 0).any())):
        raise ShapeError(
            f"repeat takes a number of times, or {n} of them, not {described(tuple(counts.shape), None)} "
            f"{str(counts.dtype)[6:]}, at {line_of(user_site())}; write integers that are not negative, one for each "
            "entry along the axis")
    counts = counts.reshape(-1).to(torch.int64).expand(n)
    where = allocated("repeat", x.shape, lambda: torch.arange(n, device=x.device).repeat_interleave(counts))
    return take_operation.apply((x,), {"where": where, "axis": k}, labels_of(x))


def _tile_transpose(y_bar: Any, counts: tuple[int, ...], x_shape: Any, lead: tuple[int, ...]) -> Any:
    """The copies along each axis added up, one axis after the other: torch takes 20 times as long for all at once."""
    y_bar = reshape(y_bar, (*lead, *[n for pair in zip(counts, x_shape, strict=True) for n in pair]))
    for k in range(-2 * len(counts), 0, 2):
        y_bar = OPERATIONS["sum"].apply((y_bar,), {"axis": (k,), "keepdims": True})
    return reshape(y_bar, (*lead, *x_shape))


def _tile_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), counts = inputs, params["counts"]
    for k, (count, n) in enumerate(zip(counts, block.shape, strict=True)):
        block = action.selected(block, k, torch.arange(n, device="cpu").repeat(count)) if count != 1 else block
    return block


_tile = multilinear(
    "tile", lambda x, counts: x.repeat(counts), transposes={"x": _tile_transpose}, act=_tile_on_block,
    lead_params=lambda params, lead: {"counts": (*(1,) * len(lead), *params["counts"])},
    samples=[((2, 3), {"counts": (3, 2)}), ((1, 3), {"counts": (2, 1)}), ((0, 2), {"counts": (1, 2)}),
             ((3,), {"counts": (0,)})])


@public(_tile)
def tile(x: Any, repetitions: Any, /) -> Any:
    """x laid out several times along each axis.

    >>> import gradloom as gl
    >>> gl.tile(gl.dlarray([1.0, 2.0]), (2,))
    4 dlarray float64
    [1. 2. 1. 2.]

    Source: array API tile, MATLAB repmat.
    """
    x = array(x)
    counts = tuple(repetitions) if isinstance(repetitions, (tuple, list)) else (repetitions,)
    while x.ndim < len(counts):
        x = expand_dims(x, axis=0)
    counts = (1,) * (x.ndim - len(counts)) + tuple([int(n) for n in counts])
    return _tile.apply((x,), {"counts": counts}, labels_of(x)) if any([n != 1 for n in counts]) else fresh(x)


__all__ = ["flip", "repeat", "roll", "take", "tile"]
