"""Reading and writing elements. An index is put in order once; slices and integers become one strided read, arrays a gather."""
from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from opcode import opmap
from typing import Any

import numpy as np
import torch

from ..core.array import constant, dlarray, labels_of, operand
from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.calls import placed
from ..core.errors import LabelError, ShapeError, TraceError, TypeRefused, line_of, user_site
from ..core.labels import aligned, described, tidy
from ..core.multilinear import Multilinear, multilinear
from ..core.trace import Node, different_traces, live
from ..kernels import NUMBER_TYPES, Tensor, broadcast_shapes
from .movement import _take, array, broadcast_to, permute_dims, reshape

INTEGERS = (int, np.integer)
NUMBER_KINDS = {bool: 0, int: 1, float: 2, complex: 3}
STORE_SUBSCR = opmap["STORE_SUBSCR"]


def _without_ellipsis(x: Any, index: Any) -> list[Any]:
    """One entry per axis (None for new ones), Ellipsis written out."""
    entries = list(index) if type(index) is tuple else [index]
    entries = [_entry(e) for e in entries]
    used = 0
    for e in entries:
        if e is not None and e is not Ellipsis:
            used += e.ndim if isinstance(e, Tensor) and e.dtype is torch.bool else 1
    if used > x.ndim:
        raise ShapeError(f"{used} indices for {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise ShapeError(f"an index has one Ellipsis at most, at {line_of(user_site())}")
    at = dots[0] if dots else len(entries)
    return entries[:at] + [slice(None)] * (x.ndim - used) + entries[at + 1:]


def _entry(e: Any) -> Any:
    """An index entry as int, slice, None, Ellipsis or an integer or bool tensor."""
    if e is None or e is Ellipsis or type(e) is int:
        return e
    if type(e) is slice:
        return slice(_bound(e.start), _bound(e.stop), _bound(e.step))
    if isinstance(e, (bool, np.bool_)):
        raise TypeRefused(f"a single bool is no index, at {line_of(user_site())}; write an integer or a mask array")
    if isinstance(e, np.integer):
        return int(e)
    if type(e) is dlarray:
        e = e._value
    elif isinstance(e, (list, np.ndarray, range, tuple)):
        e = np.asarray(e)
        e = torch.from_numpy(e.astype(np.int64) if not e.size else np.ascontiguousarray(e).reshape(e.shape))
    if isinstance(e, Tensor) and e.dtype is torch.bool and not e.ndim:
        raise TypeRefused(f"a single bool is no index, at {line_of(user_site())}; write an integer or a mask array")
    if isinstance(e, Tensor) and (e.dtype is torch.bool or not (e.dtype.is_floating_point or e.dtype.is_complex)):
        if e.ndim == 0 and e.dtype is not torch.bool:
            return int(e)
        return e if e.dtype is torch.bool else e.to(torch.int64)
    raise TypeRefused(f"an index is made of integers, slices, None, Ellipsis, integer arrays and masks, not {e!r:.60}, at {line_of(user_site())}; "
                      "for positions write dlarray(i, dtype=\"int64\")")


def _bound(e: Any) -> int | None:
    try:
        return None if e is None else operator.index(e)
    except TypeError:
        raise TypeRefused(f"the bounds of a slice are integers, not {e!r:.60}, at {line_of(user_site())}") from None


# ----- reading: integers, slices and None -----


def _index_kernel(x: Tensor, index: Any) -> Tensor:
    return x[index]


def _completed(index: Any, lead: int) -> tuple[Any, ...]:
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
            block = action.selected(block, k, torch.tensor([e % n]))
        else:
            where = torch.arange(n)[e] if e.step is None or e.step > 0 else torch.tensor(range(n)[e])
            if len(where) != n:
                block = action.selected(block, k, where)
            order.append(k)
        k += 1
    order += range(k, block.ndim)
    return block.with_axes(order, [1 if o is None else block.shape[o] for o in order])


_index = multilinear(
    "index", _index_kernel, lead_params=lambda params, lead: {"index": _completed(params["index"], len(lead))},
    transposes={"x": lambda y_bar, index, x_shape, lead: _embed.apply((y_bar,), {"index": index, "shape": tuple(x_shape), "lead": len(lead)})},
    reads_at=lambda params: params["index"] if type(params["index"]) is int else None, act=_index_on_block,
    samples=[((4, 3), {"index": (slice(1, 3), 0)}), ((4, 3), {"index": (None, slice(0, 4, 2), slice(None))}), ((4,), {"index": 2})])


def _embed_kernel(x: Tensor, index: Any, shape: Any, lead: int) -> Tensor:
    y = torch.zeros((*x.shape[:lead], *shape), dtype=x.dtype, device=x.device)
    y[_completed(index, lead)] = x
    return y


_embed = multilinear(
    "embed_index", _embed_kernel, lead_params=lambda params, lead: {"lead": params["lead"] + len(lead)},
    transposes={"x": lambda y_bar, index, shape, lead: _index.apply((y_bar,), {"index": _completed(index, y_bar.ndim - len(shape))})},
    act=action.untying, samples=[((2,), {"index": (slice(1, 3), 0), "shape": (4, 3), "lead": 0})])


def _getitem(x: Any, index: Any) -> Any:
    """x[index]: an integer drops its axis, slices and single vectors or masks keep it with its label, None adds one (U)."""
    if type(index) is int and x._labels is None and x._value.ndim:
        try:
            value = x._value[index]
        except IndexError:
            raise IndexError(f"index {index} is out of range for {described(x.shape, None)}, at {line_of(user_site())}") from None
        if x._note is not None and x._note[0] == "assigned":
            value = value.clone()  # its own memory, so that later writes need not copy
        node = x._node
        if node is None or not node.trace.open:
            return dlarray._made(value, None)
        return dlarray._made(value, Node(_index, node.trace, (node,), [None, None], {"index": index}, value, user_site(2)))
    entries = _without_ellipsis(x, index)
    if all(isinstance(e, slice) and e == slice(None) for e in entries):
        return dlarray(x)
    labels = list(x._labels or "U" * x.ndim)
    entries = _checked(x, entries)
    arrays = [k for k, e in enumerate(entries) if isinstance(e, Tensor)]
    basic = tuple(slice(None) if isinstance(e, Tensor) else e for e in _per_axis(entries))
    backwards = [(k, e) for k, e in enumerate(basic) if isinstance(e, slice) and (e.step or 1) < 0]
    if backwards:  # torch has no negative steps: read those axes at positions
        axis = 0
        for e in basic:
            if isinstance(e, slice) and (e.step or 1) < 0:
                n = x.shape[axis]
                x = _take.apply((x,), {"where": torch.tensor(range(n)[e], dtype=torch.int64, device=x.device), "axis": axis - x.ndim}, x._labels)
            axis += e is not None
        basic = tuple(slice(None) if isinstance(e, slice) and (e.step or 1) < 0 else e for e in basic)
    kept, axis = [], 0
    for e in basic:
        if e is None:
            kept.append("U")
        else:
            if not isinstance(e, int):
                kept.append(labels[axis])
            axis += 1
    y = x
    if any(e != slice(None) for e in basic):
        y = _index.apply((x,), {"index": basic})
    if not arrays:
        return _labelled(_fresh(x, y), "".join(kept))
    return _gathered(y, entries, kept)


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


def _checked(x: Any, entries: list[Any]) -> list[Any]:
    axis = 0
    for e in entries:
        if e is None:
            continue
        if isinstance(e, int) and not -x.shape[axis] <= e < x.shape[axis]:
            raise IndexError(f"index {e} is out of range for axis {axis} of {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
        if isinstance(e, Tensor) and e.dtype is torch.bool:
            if tuple(e.shape) != tuple(x.shape[axis:axis + e.ndim]):
                raise ShapeError(f"a mask of shape {tuple(e.shape)} does not fit {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
            axis += e.ndim - 1
        elif isinstance(e, Tensor) and e.numel():
            n = x.shape[axis]
            if int(e.min()) < -n or int(e.max()) >= n:
                raise IndexError(f"positions {int(e.min())} to {int(e.max())} are out of range for axis {axis} of "
                                 f"{described(x.shape, labels_of(x))}, at {line_of(user_site())}")
        axis += 1
    return entries


# ----- reading: integer arrays and masks -----


def _gathered(y: Any, entries: list[Any], kept: list[str]) -> Any:
    """Array entries, after integers, slices and None are done: their axes side by side, then one gather (NumPy's placement)."""
    tables: list[Tensor] = []
    axes: list[int] = []
    axis = 0
    shape = y.shape
    for e in entries:
        if isinstance(e, int):
            continue
        if isinstance(e, Tensor):
            parts = torch.nonzero(e, as_tuple=True) if e.dtype is torch.bool else (torch.where(e < 0, e + shape[axis], e),)
            for part in parts:
                tables.append(part)
                axes.append(axis)
                axis += 1
        else:
            axis += 1
    separated = any(isinstance(e, int) for e in entries) and _split_by_basic(entries)
    adjacent = axes == list(range(axes[0], axes[0] + len(axes))) and not separated
    if len(axes) == 1 and tables[0].ndim == 1 and adjacent:
        return _labelled(_take.apply((y,), {"where": tables[0].to(y.device), "axis": axes[0] - y.ndim}), "".join(kept))
    start = axes[0] if adjacent else 0
    rest = [k for k in range(y.ndim) if k not in axes]
    order = [*rest[:start], *axes, *rest[start:]]
    y = permute_dims(dlarray._made(y._value, y._node, None), order)
    tables = list(torch.broadcast_tensors(*tables))
    sizes = [shape[a] for a in axes]
    flat = torch.zeros_like(tables[0])
    for table, n in zip(tables, sizes, strict=True):
        flat = flat * n + table
    count = int(np.prod(sizes))
    y = reshape(y, (*y.shape[:start], count, *y.shape[start + len(axes):]))
    y = _take.apply((y,), {"where": flat.reshape(-1).to(y.device), "axis": start - y.ndim})
    y = reshape(y, (*y.shape[:start], *flat.shape, *y.shape[start + 1:]))
    letters = [kept[k] for k in rest]
    return _labelled(y, "".join([*letters[:start], *"U" * flat.ndim, *letters[start:]]))


def _split_by_basic(entries: list[Any]) -> bool:
    """Whether array and integer entries are separated by slices: then NumPy puts the result's axes first."""
    marks = [isinstance(e, (Tensor, int)) for e in entries]
    first, last = marks.index(True), len(marks) - 1 - marks[::-1].index(True)
    return not all(marks[first:last + 1])


# ----- writing -----


def _set_kernel(x: Tensor, value: Any, index: Any, lead: int = 0) -> Tensor:
    shape = x.shape if not isinstance(value, Tensor) else torch.broadcast_shapes(x.shape[:lead], value.shape[:lead]) + x.shape[lead:]
    y = x.expand(shape).clone(memory_format=torch.contiguous_format)
    y[_completed(index, lead)] = value.to(y.dtype) if isinstance(value, Tensor) else value
    return y


def _value_fitted(value: Any, index: Any, x_shape: Any, lead: int) -> Any:
    """A tangent of the written value given the axes of the place it is written to."""
    missing = len(_basic_place(x_shape, [*index, *[slice(None)] * (len(x_shape) - sum(e is not None for e in index))])) + lead - value.ndim
    return reshape(value, (*value.shape[:lead], *(1,) * missing, *value.shape[lead:])) if missing > 0 and lead else value


class _Assign(Multilinear):
    """y = x with y[index] = value: linear in both."""

    overwrites = True

    def reads(self, name: str) -> set[str]:
        return set()

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        index = _completed(params["index"], len(lead))
        bars: list[Any] = [None, None]
        if wanted[1]:
            bars[1] = _read(y_bar, params["index"], len(lead))
        if wanted[0]:
            bars[0] = self.apply((y_bar, 0), {"index": index})
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        x_dot, value_dot = dots
        if type(x_dot) is Block or type(value_dot) is Block:
            return self._push_block(params, node, x_dot, value_dot)
        n = len(lead)
        if x_dot is None:
            like = value_dot
            x_dot = like.new_zeros((*lead, *node.shape)) if isinstance(like, Tensor) else dlarray._made(
                like._value.new_zeros((*lead, *node.shape)), None)
        value = 0 if value_dot is None else _value_fitted(value_dot, params["index"], node.shape, n)
        return self.apply((x_dot, value), {"index": params["index"], "lead": n} if n else {"index": params["index"]})

    def _push_block(self, params: Any, node: Any, x_dot: Any, value_dot: Any) -> Any:
        parts = []
        if x_dot is not None:
            mask = torch.ones(node.shape, dtype=x_dot.dtype)
            mask[params["index"]] = 0
            parts.append(x_dot.scaled(mask.to(x_dot.device)))
        if value_dot is not None:
            parts.append(_embedded(value_dot, params["index"], tuple(node.shape)))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _embedded(block: Block, index: Any, shape: tuple[int, ...]) -> Block:
    """A Block of values placed in zeros of a larger shape."""
    index = index if type(index) is tuple else (index,)
    index = (*index, *(slice(None),) * (len(shape) - sum(e is not None for e in index)))
    place = torch.empty(shape, device="meta")[index].shape
    block = block.broadcast(place)
    axes: list[int | None] = []
    k, axis = 0, 0
    where: list[Any] = []
    for e in index:
        if e is None:
            k += 1
            continue
        if type(e) is int:
            axes.append(None)
            where.append(torch.tensor([e % shape[axis]]))
        else:
            axes.append(k)
            where.append(torch.arange(shape[axis])[e])
            k += 1
        axis += 1
    block = block.with_axes(axes, [1 if a is None else block.shape[a] for a in axes])
    for d, positions in enumerate(where):
        if len(positions) != shape[d]:
            block = action.placed(block, d, positions, shape[d])
    return block


def _read(y_bar: Any, index: Any, lead: int) -> Any:
    """A cotangent at the place that was written."""
    index = index if type(index) is tuple else (index,)
    if type(y_bar) is Tensor:
        return y_bar[_completed(index, lead)].clone()
    return _getitem(y_bar, (slice(None),) * lead + index)


_assign = _Assign("assign", _set_kernel, ("x", "value"), [("x",), ("value",)], {},
                  samples=[((4, 3), (2,), {"index": (slice(1, 3), 0)}), ((4, 3), (3,), {"index": (2,)})])


class _AssignAt(Multilinear):
    """y = x with y.flatten()[positions] = value, a vector; no position occurs twice. Linear in both."""

    def reads(self, name: str) -> set[str]:
        return set()

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        positions, bars = params["positions"], [None, None]
        if wanted[1]:
            flat = reshape(y_bar, (*lead, node.shape.numel()))
            bars[1] = _take.apply((flat,), {"where": positions, "axis": -1})
        if wanted[0]:
            bars[0] = self.apply((y_bar, 0), {"positions": positions, "lead": len(lead)})
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        x_dot, value_dot = dots
        if Block in (type(x_dot), type(value_dot)):
            parts = [_assign_at_block(self, inputs, {**params, "shape": node.shape}) for inputs in ((x_dot, 0), (None, value_dot))
                     if type(inputs[0]) is Block or type(inputs[1]) is Block]
            return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator]
        if x_dot is None:
            x_dot = broadcast_to(_zero_like(value_dot), (*lead, *node.shape))
        return self.apply((x_dot, 0 if value_dot is None else value_dot), {"positions": params["positions"], "lead": len(lead)})


def _zero_like(x: Any) -> Any:
    raw = (x if isinstance(x, Tensor) else x._value).new_zeros(())
    return raw if isinstance(x, Tensor) else dlarray._made(raw, None)


def _assign_at_kernel(x: Tensor, value: Any, positions: Tensor, lead: int = 0) -> Tensor:
    shape = x.shape if not isinstance(value, Tensor) else (*broadcast_shapes(x.shape[:lead], value.shape[:lead]), *x.shape[lead:])
    y = x.expand(shape).clone(memory_format=torch.contiguous_format)
    _write(y, {"positions": positions}, value, lead)
    return y


def _assign_at_block(operation: Any, inputs: Any, params: Any) -> Block:
    x, value = inputs
    if type(value) is Block:
        shape = params["shape"]
        return action.reshaped(action.placed(value, 0, params["positions"].cpu(), shape.numel()), tuple(shape))
    mask = torch.ones(x.shape, dtype=x.dtype, device=x.device)
    _write(mask, params, 0)
    return x.scaled(mask)


_assign_at = _AssignAt("assign_at", _assign_at_kernel, ("x", "value"), [("x",), ("value",)], {},
                       samples=[((4, 3), (2,), {"positions": torch.tensor([7, 0])})])
_assign_at.act = _assign_at_block


def _write(y: Tensor, params: dict[str, Any], value: Any, lead: int = 0) -> None:
    """Write into a contiguous tensor."""
    value = value.to(y.dtype) if isinstance(value, Tensor) else value
    if "index" in params:
        y[_completed(params["index"], lead)] = value
    else:
        y.view(*y.shape[:lead], y.shape[lead:].numel())[_completed(params["positions"], lead)] = value


def _setitem(x: Any, index: Any, value: Any) -> None:
    """x[index] = value rebinds this handle to the result of a recorded write; with repeated positions the last wins."""
    entries = _checked(x, _without_ellipsis(x, index))
    value = operand(value)
    if isinstance(value, Tensor):
        value = dlarray._made(constant(value), None)
    basic = not any(isinstance(e, Tensor) or isinstance(e, slice) and (e.step or 1) < 0 for e in entries)
    positions = None if basic else _positions(x._value, entries)
    place = _basic_place(x._value.shape, entries) if positions is None else tuple(positions.shape)
    value = _value_placed(x, value, place, _place_labels(x, entries, len(place)))
    if positions is None:
        operation: Multilinear = _assign
        params: dict[str, Any] = {"index": tuple(entries)}
    else:
        flat, kept = _unique_last(positions.reshape(-1))
        operation, params = _assign_at, {"positions": flat}
        if type(value) is dlarray:
            value = reshape(broadcast_to(value, place), (positions.numel(),))
            value = value if kept is None else _take.apply((value,), {"where": kept, "axis": -1})
    node = live(x._node)
    if not _private(x):
        result = operation.apply((dlarray._made(x._value, x._node, None), value), params)
    elif node is not None:
        result = _assigned_in_place(x, operation, value, params)
    elif type(value) is dlarray and live(value._node) is not None:
        result = operation.apply((dlarray._made(x._value, None, None), value), params)
    else:
        _write(x._value, params, value._value if type(value) is dlarray else value)
        result = dlarray._made(x._value, None)
    x._value, x._node, x._note = result._value, result._node, ("assigned", user_site())


def _basic_place(shape: Any, entries: list[Any]) -> tuple[int, ...]:
    """The shape of what integers, slices and None select."""
    sizes, axis = [], 0
    for e in entries:
        if e is None:
            sizes.append(1)
            continue
        if not isinstance(e, int):
            sizes.append(len(range(*e.indices(shape[axis]))))
        axis += 1
    return tuple(sizes)


def _positions(x: Tensor, entries: list[Any]) -> Tensor:
    """Where the selected elements are in x.flatten(), in the shape of the selection (NumPy's placement)."""
    parts: list[tuple[Tensor, bool]] = []  # positions along an axis, times its stride; whether they belong to the block of arrays
    offset, axis = 0, 0
    for e in entries:
        if e is None:
            parts.append((torch.zeros(1, dtype=torch.int64), False))
            continue
        tables = torch.nonzero(e.cpu(), as_tuple=True) if isinstance(e, Tensor) and e.dtype is torch.bool else (e,)
        for table in tables:
            n, stride = x.shape[axis], math.prod(x.shape[axis + 1:])
            if isinstance(table, slice):
                parts.append((torch.tensor(range(n)[table], dtype=torch.int64) * stride, False))
            elif isinstance(table, int):
                offset += (table % n) * stride
            else:
                table = table.cpu()
                parts.append((torch.where(table < 0, table + n, table) * stride, True))
            axis += 1
    groups: list[Sequence[Tensor]] = [(part,) for part, block in parts if not block]
    if len(groups) < len(parts):
        first = next(k for k, e in enumerate(entries) if isinstance(e, (int, Tensor)))
        groups.insert(0 if _split_by_basic(entries) else first, torch.broadcast_tensors(*[part for part, block in parts if block]))
    ndim = sum(group[0].ndim for group in groups)
    flat, at = torch.tensor(offset), 0
    for group in groups:
        at += group[0].ndim
        for part in group:
            flat = flat + part.reshape(*part.shape, *(1,) * (ndim - at))
    return flat.to(x.device)


def _place_labels(x: dlarray, entries: list[Any], ndim: int) -> str | None:
    """The labels of the place that an index selects: as those of a read."""
    if x._labels is None:
        return None
    vectors = [e for e in entries if isinstance(e, Tensor)]
    if len(vectors) > 1 or any(e.ndim != 1 for e in vectors) or vectors and any(isinstance(e, int) for e in entries):
        return _getitem(dlarray._made(x._value, None, x._labels), tuple(entries))._labels or "U" * ndim
    letters, axis = "", 0
    for e in entries:
        if e is None:
            letters += "U"
            continue
        letters += "" if isinstance(e, int) else x._labels[axis]
        axis += 1
    return letters


def _value_placed(x: dlarray, value: Any, place: tuple[int, ...], labels: str | None) -> Any:
    """The value, checked: of a type that x holds without loss of kind, in the order of the place's labels, of a shape that fits."""
    dtype = x._value.dtype
    if type(value) in NUMBER_TYPES:
        kind = NUMBER_KINDS[type(value)]
    else:
        kind = _kind(value.dtype)
    if kind > _kind(dtype):
        needed = ("bool", "int64", "float64", "complex128")[kind]
        raise TypeRefused(f"{('bools', 'integers', 'real numbers', 'complex numbers')[kind]} cannot be written into an array of {str(dtype)[6:]} "
                          f"without loss, at {line_of(user_site())}; write x = x.astype({needed!r}) first")
    if type(value) in NUMBER_TYPES:
        return value
    if value._labels is not None:
        if labels is not None:
            try:
                fits = len(aligned(labels, value._labels)[0]) == len(labels)
            except LabelError:
                fits = False
            if not fits:
                raise LabelError(f"values {described(value.shape, value._labels)} do not fit the place {described(place, labels)}, "
                                 f"at {line_of(user_site())}; their labels must be among those of the place, or write stripdims(value)")
            value = placed(value, labels)
        else:
            value = dlarray._made(value._value, value._node, None)
    while value.ndim > len(place) and value.shape[0] == 1:
        value = reshape(value, value.shape[1:])
    try:
        fits = broadcast_shapes(value.shape, place) == place
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"values of shape {described(value.shape, None)} do not fit the place {described(place, labels or None)}, "
                         f"at {line_of(user_site())}; they must have its shape, or broadcast to it")
    return value


def _kind(dtype: torch.dtype) -> int:
    return 3 if dtype.is_complex else 2 if dtype.is_floating_point else 0 if dtype is torch.bool else 1


def _unique_last(positions: Tensor) -> tuple[Tensor, Tensor | None]:
    """Positions without repetition, and which of the values go there (None: all); of equal positions the last stays."""
    ordered, order = torch.sort(positions, stable=True)
    last = torch.ones(len(ordered), dtype=torch.bool, device=positions.device)
    last[:-1] = ordered[1:] != ordered[:-1]
    if bool(last.all()):
        return positions, None
    return ordered[last], order[last]


def _references(x: dlarray) -> tuple[int, int]:
    """How many references the array's tensor and its memory have, as seen from here."""
    value = x._value
    return sys.getrefcount(value), torch._C._storage_Use_Count(value.untyped_storage()._cdata)  # type: ignore[attr-defined]


_ALONE = _references(dlarray._made(torch.zeros(1), None))  # what a handle that shares with nobody sees, in this Python


def _private(x: dlarray) -> bool:
    """Whether nothing but this handle refers to its memory: no other handle, node, tensor or view."""
    return x._note is not None and x._note[0] == "assigned" and x._value.is_contiguous() and _references(x) == _ALONE


def _assigned_in_place(x: dlarray, operation: Multilinear, value: Any, params: dict[str, Any]) -> dlarray:
    """The same node as a copying write would make, over the old memory."""
    node = x._node
    assert node is not None
    raw, value_node = value, None
    if type(value) is dlarray:
        raw, value_node = value._value, live(value._node)
        if value_node is not None and value_node.trace is not node.trace:
            raise different_traces(node, value_node)
    _write(x._value, params, raw)
    nodes = (node, value_node)
    made = Node(operation, node.trace, nodes, [None, None if value_node is not None else raw, None], params, x._value, user_site())
    return dlarray._made(x._value, made, None)


# ----- x[i][j] = v -----


def _setitem_checked(x: Any, index: Any, value: Any) -> None:
    if sys.getrefcount(x) == _TEMPORARY:
        frame = sys._getframe(1)
        if frame.f_code.co_code[frame.f_lasti] == STORE_SUBSCR:  # not x.__setitem__(i, v)
            raise TraceError(f"x[i][j] = v would write to a copy that nobody holds: there are no views, at {line_of(user_site())}; "
                             "write x[i, j] = v")
    if type(index) is int and len(x._value.shape) == 1 and (type(value) is dlarray and not value._value.shape or type(value) is float):
        _set_element(x, index, value)
    else:
        _setitem(x, index, value)


def _set_element(x: dlarray, index: int, value: Any) -> None:
    """`_setitem` for one element of a vector, where a loop spends its time: the same node, without the general case's questions."""
    buffer, node = x._value, x._node
    raw, value_node = value, None
    if type(value) is dlarray:
        raw, value_node = value._value, value._node
    trace = None if node is None or not node.trace.open else node.trace
    value_trace = None if value_node is None or not value_node.trace.open else value_node.trace
    n = buffer.shape[0]
    fits = buffer.dtype.is_floating_point if value is raw else raw.dtype is buffer.dtype
    if trace is not value_trace and trace is not None and value_trace is not None or not -n <= index < n or not fits:
        return _setitem(x, index, value)  # what is wrong, or a cast that must be recorded
    site = user_site(2)
    place = (index,)
    mine = x._note is not None and x._note[0] == "assigned" and buffer.is_contiguous() and (trace is not None or value_trace is None)
    del buffer
    if not mine or _references(x) != _ALONE:
        old = x._value
        x._value = old.clone(memory_format=torch.contiguous_format)
    else:
        old = None
    x._value[index] = raw
    if trace is not None or value_trace is not None:
        values = [old if trace is None else None, None if value_trace is not None else raw, None]
        x._node = Node(_assign, trace or value_trace, (node if trace is not None else None, value_node if value_trace is not None else None), values,  # type: ignore[arg-type]
                       {"index": place}, x._value, site)
    else:
        x._node = None
    x._note = ("assigned", site)


class _Probe:
    """How many references an assignment sees on an object with a name, and on one without."""

    seen = 0

    def __getitem__(self, index: Any) -> _Probe:
        return _Probe()

    def __setitem__(self, index: Any, value: Any) -> None:
        _Probe.seen = sys.getrefcount(self)


def _temporary_references() -> int:
    probe = _Probe()
    probe[0][0] = None
    temporary = _Probe.seen
    probe[0] = None
    return temporary if _Probe.seen > temporary else -1  # where the two look alike, the check is off


_TEMPORARY = _temporary_references()

dlarray.__getitem__ = _getitem  # type: ignore
dlarray.__setitem__ = _setitem_checked  # type: ignore

__all__ = ["array"]
