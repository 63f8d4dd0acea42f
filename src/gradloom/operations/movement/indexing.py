"""Reading elements. An index is put in order once; slices and integers become one strided read, arrays a gather."""
from __future__ import annotations

import functools
import operator
import sys
from typing import Any

import numpy as np
import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray, labels_of
from ...core.declare import multilinear
from ...core.errors import IndexRefused, IndexShapeError, ShapeError, TypeRefused, known_files, line_of, user_site
from ...core.labels import described, tidy
from ...core.origin import refuse_masked
from ...core.trace import Node, live
from ...machine.dtypes import Tensor, broadcast_shapes
from .axes import permute_dims
from .selection import counted_from_start, take_at, take_operation

_getframe = sys._getframe
ALL = slice(None)


def without_ellipsis(x: Any, index: Any) -> list[Any]:
    """One entry per axis (None for new ones), Ellipsis written out."""
    entries = list(index) if type(index) is tuple else [index]
    entries = [_entry(e) for e in entries]
    used = 0
    for e in entries:
        if e is not None and e is not Ellipsis:
            used += e.ndim if isinstance(e, Tensor) and e.dtype is torch.bool else 1
    if used > x.ndim:
        raise IndexShapeError(f"{used} indices for {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise ShapeError(f"an index has one Ellipsis at most, at {line_of(user_site())}")
    at = dots[0] if dots else len(entries)
    if dots and used == x.ndim and any([isinstance(e, Tensor) for e in entries]) and all(
            [any([isinstance(e, (Tensor, int)) for e in side]) for side in (entries[:at], entries[at + 1:])]):
        raise ShapeError(
            f"an Ellipsis that stands for no axis, between arrays or integers, at {line_of(user_site())}; leave it out "
            "(NumPy would put the axes of the arrays first: write moveaxis for that)")
    return entries[:at] + [slice(None)] * (x.ndim - used) + entries[at + 1:]


def _entry(e: Any) -> Any:
    """An index entry as int, slice, None, Ellipsis or an integer or bool tensor."""
    if e is None or e is Ellipsis or type(e) is int:
        return e
    if type(e) is dlarray and e._value.dtype is torch.int64 and e._value.ndim:
        return e._value
    if type(e) is slice:
        return slice(_bound(e.start), _bound(e.stop), _bound(e.step))
    if isinstance(e, (bool, np.bool_)):
        raise TypeRefused(f"a single bool is no index, at {line_of(user_site())}; write an integer or a mask array")
    if isinstance(e, np.integer):
        return int(e)
    if type(e) is dlarray:
        e = e._value
    elif isinstance(e, (list, np.ndarray, range, tuple)):
        refuse_masked(e)
        e = np.asarray(e)
        # torch warns of memory that is read-only
        e = torch.from_numpy(np.require(e, requirements=("C", "W")) if e.size else e.astype(np.int64))
    if isinstance(e, Tensor) and e.dtype is torch.bool and not e.ndim:
        raise TypeRefused(f"a single bool is no index, at {line_of(user_site())}; write an integer or a mask array")
    if isinstance(e, Tensor) and (e.dtype is torch.bool or not (e.dtype.is_floating_point or e.dtype.is_complex)):
        if e.ndim == 0 and e.dtype is not torch.bool:
            return int(e)
        return e if e.dtype is torch.bool or e.dtype is torch.int64 else e.to(torch.int64)
    raise TypeRefused(
        f"an index is made of integers, slices, None, Ellipsis, integer arrays and masks, not {e!r:.60}, at "
        f"{line_of(user_site())}; for positions write dlarray(i, dtype=\"int64\")")


def _bound(e: Any) -> int | None:
    try:
        return None if e is None else operator.index(e)
    except TypeError:
        raise TypeRefused(f"the bounds of a slice are integers, not {e!r:.60}, at {line_of(user_site())}") from None


# ----- reading: integers, slices and None -----


def _index_kernel(x: Tensor, index: Any) -> Tensor:
    return x[index]


def completed(index: Any, lead: int) -> tuple[Any, ...]:
    return (slice(None),) * lead + (index if type(index) is tuple else (index,))


def _index_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, k = inputs[0], 0
    order: list[int | None] = []
    index = params["index"] if type(params["index"]) is tuple else (params["index"],)
    for e in index:
        if e is None:
            order.append(None)
            continue
        n = block.shape[k]
        if type(e) is int:
            block = action.selected(block, k, torch.tensor([e % n], device="cpu"))
        else:
            where = (torch.arange(n, device="cpu")[e] if e.step is None or e.step > 0
                     else torch.tensor(range(n)[e], device="cpu"))
            if len(where) != n:
                block = action.selected(block, k, where)
            order.append(k)
        k += 1
    order += range(k, block.ndim)
    return block.with_axes(order, [1 if o is None else block.shape[o] for o in order])


def _index_transpose(y_bar: Any, index: Any, x_shape: Any, lead: Any) -> Any:
    return _embed.apply((y_bar,), {"index": index, "shape": tuple(x_shape), "lead": len(lead)})


index_entries = multilinear(
    "index", _index_kernel, lead_params=lambda params, lead: {"index": completed(params["index"], len(lead))},
    transposes={"x": _index_transpose},
    fused_pull=lambda y_bar, index, x_shape, lead: (_embed_kernel(y_bar, index, x_shape, len(lead)),),
    reads_at=lambda params: params["index"] if type(params["index"]) is int else None, act=_index_on_block,
    samples=[((4, 3), {"index": (slice(1, 3), 0)}), ((4, 3), {"index": (None, slice(0, 4, 2), slice(None))}),
             ((4,), {"index": 2})],
    selects=True)


def _embed_kernel(x: Tensor, index: Any, shape: Any, lead: int) -> Tensor:
    y = x.new_zeros((*x.shape[:lead], *shape))
    y[completed(index, lead)] = x
    return y


def _embed_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    """Each axis written to its positions, an integer's from an axis of size 1."""
    block, shape, lead = inputs[0], params["shape"], params["lead"]
    order: list[int | None] = list(range(lead))
    places: list[Tensor] = []
    k = lead
    for e in params["index"] if type(params["index"]) is tuple else (params["index"],):
        if e is not None:
            n = shape[len(places)]
            order.append(None if type(e) is int else k)
            places.append(torch.tensor([e % n] if type(e) is int else range(n)[e], dtype=torch.int64, device="cpu"))
        k += type(e) is not int
    order += range(k, block.ndim)
    block = block.with_axes(order, [1 if o is None else block.shape[o] for o in order])
    for k, where in enumerate(places):
        if len(where) != shape[k]:
            block = action.placed(block, lead + k, where, shape[k])
    return block


def _embed_transpose(y_bar: Any, index: Any, shape: Any, lead: int) -> Any:
    return index_entries.apply((y_bar,), {"index": completed(index, y_bar.ndim - len(shape))})


_embed = multilinear(
    "embed_index", _embed_kernel, lead_params=lambda params, lead: {"lead": params["lead"] + len(lead)},
    transposes={"x": _embed_transpose}, act=_embed_on_block,
    samples=[((2,), {"index": (slice(1, 3), 0), "shape": (4, 3), "lead": 0}),
             ((1, 2, 2), {"index": (None, slice(0, 4, 2)), "shape": (4, 2), "lead": 0}),
             ((0, 3), {"index": slice(2, 2), "shape": (4, 3), "lead": 0}),
             ((), {"index": -1, "shape": (1,), "lead": 0})])


def is_mask_without_axes(index: Any) -> bool:
    """The array API's boolean mask of no axes, which selects all or nothing; a Python bool is a slip."""
    return type(index) is dlarray and not index._value.ndim and index._value.dtype is torch.bool


def _out_of_range(x: Any, axis: int, low: int, high: int) -> IndexError:
    return IndexError(f"positions {low} to {high} are out of range for axis {axis} of "
                      f"{described(x.shape, labels_of(x))}, at {line_of(user_site())}")


def _indices_of(n: int) -> str:
    return f"indices count from 0, here to {n - 1}, or from the end from -1" if n else "there are no elements along it"


def getitem(x: Any, index: Any) -> Any:
    """x[index]: an integer drops its axis, slices and single vectors or masks keep it with its label, None adds one
    (U)."""
    if type(index) is int and x._labels is None and x._value.ndim:
        try:
            value = x._value[index]
        except (IndexError, ValueError):  # of an integer that is not one of torch's
            raise IndexRefused(
                f"index {index} is out of range for {described(x.shape, None)}, at {line_of(user_site())}; "
                f"{_indices_of(x.shape[0])}") from None
        if x._note is not None and x._note[0] == "assigned":
            value = value.clone()  # its own memory, so that later writes need not copy
        node = x._node
        if node is None or not node.trace.open:
            return dlarray._made(value, None)
        frame = _getframe(1)
        code = frame.f_code
        site = (code, frame.f_lasti) if known_files.get(code.co_filename) is False else user_site(2)
        return dlarray._made(value, Node(index_entries, node.trace, (node,), [None, None],
                                         {"index": index}, value, site))
    strided = strided_index(x, index)
    if strided is not None:
        if all([e == ALL for e in strided]):
            return dlarray(x)
        try:
            return _fresh(x, index_entries.apply((x,), {"index": strided}))
        except ShapeError:
            pass  # an integer out of range, which is said below
    if is_mask_without_axes(index):
        return x[None][:int(index)]
    entries = without_ellipsis(x, index)
    if all([type(e) is slice and e == ALL for e in entries]):
        return dlarray(x)
    labels = x._labels or "U" * x.ndim
    if (live(x._node) is None and x._labels is None and x._value.is_cpu
        and all([isinstance(e, Tensor) and e.dtype is torch.int64 for e in entries])):
        try:
            # the kernel checks positions, on the CPU, and nobody asks for them again
            return dlarray._made(x._value[tuple(entries)], None)
        except IndexError:
            pass  # said below
    entries = checked(x, entries)
    arrays = [e for e in entries if isinstance(e, Tensor)]
    if len(arrays) == len(entries):
        return _gathered(x, entries, labels)
    basic = tuple([ALL if isinstance(e, Tensor) else e for e in _per_axis(entries)])
    # torch has no negative steps: read those axes at positions
    if any([type(e) is slice and (e.step or 1) < 0 for e in basic]):
        axis = 0
        for e in basic:
            if isinstance(e, slice) and (e.step or 1) < 0:
                n = x.shape[axis]
                where = torch.tensor(range(n)[e], dtype=torch.int64, device=x.device)
                x = take_operation.apply((x,), {"where": where, "axis": axis - x.ndim}, x._labels)
            axis += e is not None
        basic = tuple(ALL if isinstance(e, slice) and (e.step or 1) < 0 else e for e in basic)
    kept, axis = "", 0
    for e in basic:
        if e is None:
            kept += "U"
        else:
            if not isinstance(e, int):
                kept += labels[axis]
            axis += 1
    y = x
    if any([e != ALL for e in basic]):
        y = index_entries.apply((x,), {"index": basic})
    if not arrays:
        return _labelled(_fresh(x, y), kept)
    return _gathered(y, entries, kept)


def strided_index(x: dlarray, index: Any) -> tuple[Any, ...] | None:
    """The common index, as a tuple: integers and slices that torch takes as they are, of an array without labels. None
    for every other."""
    entries = index if type(index) is tuple else (index,)
    if x._labels is not None or len(entries) > x._value.ndim:
        return None
    for e in entries:
        if type(e) is slice:
            start, stop, step = e.start, e.stop, e.step
            if start is not None and type(start) is not int or stop is not None and type(stop) is not int or (
                    step is not None and (type(step) is not int or step <= 0)):
                return None
        elif type(e) is not int:
            return None
    return entries


def _fresh(x: Any, y: Any) -> Any:
    """A read of an array that is being written to gets its own memory, so that later writes need not copy."""
    if x._note is not None and x._note[0] == "assigned":
        y._value = y._value.clone()
    return y


def _labelled(x: Any, labels: str) -> Any:
    x._labels = tidy(labels)
    return x


def _per_axis(entries: list[Any]) -> list[Any]:
    """A mask over several axes stands for one entry per axis."""
    flat: list[Any] = []
    for e in entries:
        flat += [e] * (e.ndim if isinstance(e, Tensor) and e.dtype is torch.bool else 1)
    return flat


def checked(x: Any, entries: list[Any]) -> list[Any]:
    axis, entries = 0, list(entries)
    for k, e in enumerate(entries):
        if e is None:
            continue
        if isinstance(e, int) and not -x.shape[axis] <= e < x.shape[axis]:
            raise IndexRefused(
                f"index {e} is out of range for axis {axis} of {described(x.shape, labels_of(x))}, at "
                f"{line_of(user_site())}; {_indices_of(x.shape[axis])}")
        if isinstance(e, Tensor) and e.dtype is torch.bool:
            sizes = tuple(x.shape[axis:axis + e.ndim])
            if tuple(e.shape) != sizes and not e.numel() and all(
                    m in (0, n) for m, n in zip(e.shape, sizes, strict=True)):
                entries[k] = e = e.new_zeros(sizes)  # a mask of no elements selects none
            if tuple(e.shape) != sizes:
                raise IndexShapeError(
                    f"a mask of shape {tuple(e.shape)} does not fit {described(x.shape, labels_of(x))}, at "
                    f"{line_of(user_site())}")
            axis += e.ndim - 1
        elif isinstance(e, Tensor) and e.numel():
            n = x.shape[axis]
            if not counted_from_start(e, n, functools.partial(_out_of_range, x, axis)):
                entries[k] = torch.where(e < 0, e + n, e)
        axis += 1
    shapes = [tuple(e.shape) for e in entries if isinstance(e, Tensor) and e.dtype is not torch.bool]
    if len(set(shapes)) > 1:
        try:
            broadcast_shapes(*shapes)
        except ValueError:
            raise ShapeError(
                f"arrays of positions of shapes {' and '.join(map(str, shapes))} do not broadcast, at "
                f"{line_of(user_site())}; for every combination write x[i][:, j], or i[:, None] and j") from None
    return entries


# ----- reading: integer arrays and masks -----


def _gathered(y: Any, entries: list[Any], kept: str) -> Any:
    """Array entries, after integers, slices and None are done: their axes side by side, then one gather (NumPy's
    placement)."""
    tables: list[Tensor] = []
    axes: list[int] = []
    axis, n = 0, y.ndim
    for e in entries:
        if isinstance(e, int):
            continue
        if isinstance(e, Tensor):
            for table in torch.nonzero(e, as_tuple=True) if e.dtype is torch.bool else (e,):
                tables.append(table)
                axes.append(axis)
                axis += 1
        else:
            axis += 1
    separated = any([isinstance(e, int) for e in entries]) and split_by_basic(entries)
    adjacent = axes == list(range(axes[0], axes[0] + len(axes))) and not separated
    start = axes[0] if adjacent else 0
    flat = tables[0].clone() if len(tables) == 1 else tables[0]  # the user's may change
    if len(axes) == 1 and flat.ndim == 1 and adjacent:
        return _labelled(take_operation.apply((y,), {"where": flat.to(y.device), "axis": start - n}), kept)
    rest = [k for k in range(n) if k not in axes]
    sizes = tuple([y.shape[a] for a in axes])
    if not adjacent:
        y = permute_dims(y, (*axes, *rest))
    for table, size in zip(tables[1:], sizes[1:], strict=True):
        flat = torch.add(table, flat, alpha=size)
    y = take_at.apply((y,), {"where": flat.to(y.device), "axis": start - n, "sizes": sizes})
    letters = "".join([kept[k] for k in rest])
    return _labelled(y, letters[:start] + "U" * flat.ndim + letters[start:])


def split_by_basic(entries: list[Any]) -> bool:
    """Whether array and integer entries are separated by slices: then NumPy puts the result's axes first."""
    marks = [isinstance(e, (Tensor, int)) for e in entries]
    first, last = marks.index(True), len(marks) - 1 - marks[::-1].index(True)
    return not all(marks[first:last + 1])
