"""Entries along one axis at positions that differ from row to row: what sorting, medians and running extremes are made
of."""
from __future__ import annotations

from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray, labels_of, raw
from ...core.declare import multilinear, public
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described
from ...machine.conversion import listed
from ...machine.dtypes import Tensor, broadcast_shapes
from .axes import array, broadcast_to, negative_axes
from .selection import counted_from_start


def single_axis(x: Any, axis: Any, word: str) -> int:
    """The one axis to work along, counted from the end; it may be left out where there is only one."""
    if axis is None:
        if x.ndim != 1:
            raise ShapeError(
                f"{word} needs axis= for an array of {x.ndim} axes, {described(x.shape, labels_of(x))}, at "
                f"{line_of(user_site())}; write {word}(x, axis=0), or {word}(flatten(x)) for all elements in a row")
        return -1
    axes = negative_axes(axis, x)
    if len(axes) != 1:
        raise LabelError(
            f"{word} works along one axis, axis={axis!r} names {len(axes)} of {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; reshape them into one")
    return axes[0]


# ----- picking along an axis, and its transpose -----


def _wide(where: Tensor, x: Tensor | Block) -> Tensor:
    """The positions over x's leading axes too."""
    return where if where.ndim == x.ndim else where.expand(*x.shape[:x.ndim - where.ndim], *where.shape)


def _pick_kernel(x: Tensor, where: Tensor, axis: int) -> Tensor:
    return x.gather(axis, _wide(where, x))


def _put_kernel(x: Tensor, where: Tensor, axis: int, size: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = size
    return torch.zeros(shape, dtype=x.dtype, device=x.device).scatter_add_(axis, _wide(where, x), x)


def _on_last_axis(block: Block, axis: int, where: Tensor, act: Any) -> Block:
    """An action along the last axis, with positions over all axes, along another: what is along the others stays so."""
    order = [k for k in range(block.ndim) if k != block.ndim + axis] + [block.ndim + axis]
    back = [order.index(k) for k in range(block.ndim)]
    block = block.with_axes(order, [block.shape[k] for k in order])
    block = act(block, where.permute(order))
    return block.with_axes(back, [block.shape[k] for k in back])


def _pick_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    """A selector along the axis: no factor."""
    block, axis = inputs[0], params["axis"]
    return _on_last_axis(block, axis, _wide(params["where"], block),
                         lambda block, where: action.gathered_at(block, [where], where.shape[-1:]))


def _put_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, axis, size = inputs[0], params["axis"], params["size"]
    return _on_last_axis(block, axis, _wide(params["where"], block),
                         lambda block, where: action.scattered_to(block, [where], [size], 1))


_WHERE = torch.tensor([[2, 0, 0], [1, 1, 3]], device="cpu")
_SAMPLES = [((2, 4), {"where": _WHERE, "axis": -1}), ((3, 2), {"where": _WHERE[:, :2] % 3, "axis": -2}),
            ((3,), {"where": _WHERE[0, :1], "axis": -1}),
            ((2, 0), {"where": _WHERE[:, :0], "axis": -1}), ((1, 1), {"where": _WHERE[:1, 1:2], "axis": -1})]
_pick = multilinear("take_along_axis", _pick_kernel, act=_pick_on_block, samples=_SAMPLES,
                    transposes={"x": lambda y_bar, where, axis, x_shape: put_along(y_bar, where, axis, x_shape[axis])},
                    selects=True)
_put = multilinear("put_along_axis", _put_kernel,
                   transposes={"x": lambda y_bar, where, axis: pick_along(y_bar, where, axis)}, act=_put_on_block,
                   samples=[((2, 3), {"where": _WHERE, "axis": -1, "size": 4}),
                            ((2, 3), {"where": _WHERE % 2, "axis": -2, "size": 2}),
                            ((1,), {"where": _WHERE[0, :1], "axis": -1, "size": 3}),
                            ((2, 0), {"where": _WHERE[:, :0], "axis": -1, "size": 2})])


def pick_along(x: Any, where: Any, axis: int) -> Any:
    """x at integer positions of its own rank along one (negative) axis."""
    return _pick.apply((x,), {"where": raw(where), "axis": axis})


def put_along(x: Any, where: Any, axis: int, size: int) -> Any:
    """The entries of x added up at positions along one (negative) axis of a given size."""
    return _put.apply((x,), {"where": raw(where), "axis": axis, "size": size})


@public(_pick)
def take_along_axis(x: Any, indices: Any, /, *, axis: Any = -1) -> Any:
    """Entries of x along one axis at integer positions that differ from row to row; negatives count from the end.

    Formula, for the last axis: y[i, k] = x[i, indices[i, k]]. `indices` has as many axes as x and broadcasts with it,
    except along `axis`, whose size the result takes. Labels of x.
    Raises ShapeError for positions that are no integers, do not fit or are out of range.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[3.0, 1.0, 2.0], [5.0, 6.0, 4.0]])
    >>> gl.take_along_axis(x, gl.argsort(x))
    2 x 3 dlarray float64
    [[1. 2. 3.]
     [4. 5. 6.]]

    Source: array API take_along_axis.
    """
    x = array(x)
    where = raw(indices) if isinstance(indices, (dlarray, Tensor)) else listed(indices)
    where = where if where.numel() else where.to(torch.int64)
    k = single_axis(x, axis, "take_along_axis")
    shown = f"positions {described(where.shape, None)} for x {described(x.shape, labels_of(x))} along axis {k + x.ndim}"
    if where.dtype.is_floating_point or where.dtype.is_complex or where.dtype is torch.bool:
        raise ShapeError(
            f"take_along_axis: positions are integers, not {str(where.dtype)[6:]}, at {line_of(user_site())}; write "
            "dlarray(i, dtype=\"int64\")")
    rest = [n if j != x.ndim + k else 1 for j, n in enumerate(x.shape)]
    try:
        shape = list(broadcast_shapes(rest, [n if j != where.ndim + k else 1 for j, n in enumerate(where.shape)]))
    except ValueError:
        shape = []
    if where.ndim != x.ndim or not shape:
        raise ShapeError(
            f"take_along_axis: {shown}: as many axes are needed, of the same sizes or 1 but for that one, at "
            f"{line_of(user_site())}")
    n, m = x.shape[k], where.shape[k]
    counted = counted_from_start(where, n, lambda low, high: ShapeError(
        f"take_along_axis: {shown} reach from {low} to {high}, at {line_of(user_site())}; they go from {-n} to "
        f"{n - 1}"))
    # the user's may change
    where = (torch.where(where < 0, where + n, where) if not counted else where if type(indices) is dlarray
             else where.clone())
    where = where.to(device=x.device, dtype=torch.int64)
    x = broadcast_to(x, tuple(n if j == x.ndim + k else size for j, size in enumerate(shape)))
    where = where.expand([m if j == x.ndim + k else size for j, size in enumerate(shape)])
    return _pick.apply((x,), {"where": where, "axis": k}, labels_of(x))


__all__ = ["take_along_axis"]
