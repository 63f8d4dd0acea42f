"""Reading and writing elements. An index is put in order once; slices and integers become one strided read, arrays a gather."""
from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray, labels_of, operand
from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.errors import ShapeError, TraceError, TypeRefused, line_of, user_site
from ..core.labels import described, tidy
from ..core.operation import Multilinear, multilinear
from ..core.trace import Node, different_traces, live
from ..kernels import NUMBER_TYPES, Tensor
from .movement import _take, array, permute_dims, reshape

INTEGERS = (int, np.integer)


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
        e = torch.from_numpy(e.astype(np.int64) if not e.size else np.ascontiguousarray(e))
    if isinstance(e, Tensor) and (e.dtype is torch.bool or not (e.dtype.is_floating_point or e.dtype.is_complex)):
        if e.ndim == 0 and e.dtype is not torch.bool:
            return int(e)
        return e if e.dtype is torch.bool else e.to(torch.int64)
    raise TypeRefused(f"an index is made of integers, slices, None, Ellipsis, integer arrays and masks, not {e!r:.60}, at {line_of(user_site())}; "
                      "for positions write dlarray(i, dtype=\"int64\")")


def _bound(e: Any) -> int | None:
    return None if e is None else int(e)


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
    place = torch.empty(x_shape, device="meta")[_meta(index)].shape
    missing = len(place) + lead - value.ndim
    return reshape(value, (*value.shape[:lead], *(1,) * missing, *value.shape[lead:])) if missing > 0 and lead else value


def _meta(index: Any) -> Any:
    return tuple(e.to("meta") if isinstance(e, Tensor) and e.dtype is not torch.bool else e for e in (index if type(index) is tuple else (index,)))


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
    if any(isinstance(e, Tensor) for e in index):
        return action.untying(_embed, (block,), {"index": index, "shape": shape, "lead": 0})
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


def _setitem(x: Any, index: Any, value: Any) -> None:
    """x[index] = value rebinds this handle to the result of a recorded write; with repeated positions the last wins."""
    entries = _checked(x, _without_ellipsis(x, index))
    if any(isinstance(e, slice) and (e.step or 1) < 0 for e in entries):
        raise ShapeError(f"writing backwards is not supported, at {line_of(user_site())}; write x[a:b] = flip(value)")
    value = operand(value)
    if isinstance(value, Tensor):
        value = dlarray._made(value.detach(), None)
    node = live(x._node)
    place = torch.empty(x._value.shape, device="meta")[_meta(tuple(entries))] if not any(
        isinstance(e, Tensor) and e.dtype is torch.bool for e in entries) else None
    value = _value_placed(x, value, None if place is None else tuple(place.shape))
    repeats = _unique_last(entries)
    if repeats is not None:
        entries, value = repeats(entries, value)
    params = {"index": tuple(entries)}
    if isinstance(value, dlarray) and live(value._node) is not None or node is not None:
        if node is not None and _private(x) and not any(isinstance(e, Tensor) for e in entries):
            result = _assigned_in_place(x, value, params)
        else:
            result = _assign.apply((dlarray._made(x._value, x._node, None), value), params)
    elif _private(x):
        x._value[params["index"]] = value._value.to(x._value.dtype) if type(value) is dlarray else value
        result = dlarray._made(x._value, None)
    else:
        result = _assign.apply((dlarray._made(x._value, None, None), value), params)
    x._value, x._node, x._note = result._value, result._node, ("assigned", user_site())


def _value_placed(x: dlarray, value: Any, place: tuple[int, ...] | None) -> Any:
    if type(value) in NUMBER_TYPES:
        if type(value) is complex and not x.dtype.is_complex:
            raise TypeRefused(f"a complex number cannot be written into an array of {x.dtype}, at {line_of(user_site())}; write x.astype('complex128') first")
        return value
    if value.dtype.is_complex and not x.dtype.is_complex:
        raise TypeRefused(f"complex values cannot be written into an array of {x.dtype}, at {line_of(user_site())}; write x.astype('complex128') first")
    if place is not None:
        while value.ndim > len(place) and value.shape[0] == 1:
            value = reshape(value, value.shape[1:])
        try:
            fits = tuple(torch.broadcast_shapes(tuple(value.shape), place)) == place
        except RuntimeError:
            fits = False
        if not fits:
            raise ShapeError(f"values of shape {described(value.shape, labels_of(value))} do not fit the place of shape {place}, at {line_of(user_site())}")
    return value


def _unique_last(entries: list[Any]) -> Any:
    """With a single vector of positions that repeats, keep the last of each."""
    vectors = [(k, e) for k, e in enumerate(entries) if isinstance(e, Tensor) and e.dtype is not torch.bool]
    if len(vectors) != 1 or vectors[0][1].ndim != 1:
        return None
    k, e = vectors[0]
    raw = e.tolist()
    last = {position: n for n, position in enumerate(raw)}
    if len(last) == len(raw):
        return None
    keep = sorted(last.values())
    axis = sum(not isinstance(other, int) for other in entries[:k])

    def reduced(entries: list[Any], value: Any) -> tuple[list[Any], Any]:
        chosen = [*entries[:k], e[keep], *entries[k + 1:]]
        if type(value) is dlarray:
            rank = sum(not isinstance(other, int) for other in entries)
            from_end = axis - rank
            if -from_end <= value.ndim and value.shape[from_end] == len(raw):
                value = _take.apply((dlarray._made(value._value, value._node, None),), {"where": torch.tensor(keep), "axis": from_end})
        return chosen, value

    return reduced


def _references(x: dlarray) -> tuple[int, int]:
    """How many references the array's tensor and its memory have, as seen from here."""
    value = x._value
    return sys.getrefcount(value), torch._C._storage_Use_Count(value.untyped_storage()._cdata)  # type: ignore[attr-defined]


_ALONE = _references(dlarray._made(torch.zeros(1), None))  # what a handle that shares with nobody sees, in this Python


def _private(x: dlarray) -> bool:
    """Whether nothing but this handle refers to its memory: no other handle, node, tensor or view."""
    return x._note is not None and x._note[0] == "assigned" and x._value.is_contiguous() and _references(x) == _ALONE


def _assigned_in_place(x: dlarray, value: Any, params: dict[str, Any]) -> dlarray:
    """The same node as a copying write would make, over the old memory."""
    node = x._node
    assert node is not None
    raw, value_node = value, None
    if type(value) is dlarray:
        raw, value_node = value._value.to(x._value.dtype), live(value._node)
        if value_node is not None and value_node.trace is not node.trace:
            raise different_traces(node, value_node)
    x._value[params["index"]] = raw
    nodes = (node, value_node)
    made = Node(_assign, node.trace, nodes, [None, None if value_node is not None else raw, None], params, x._value, user_site())
    return dlarray._made(x._value, made, None)


# ----- x[i][j] = v -----


def _setitem_checked(x: Any, index: Any, value: Any) -> None:
    if sys.getrefcount(x) == _TEMPORARY:
        raise TraceError(f"x[i][j] = v would write to a copy that nobody holds: there are no views, at {line_of(user_site())}; write x[i, j] = v")
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
    if trace is not value_trace and trace is not None and value_trace is not None or not -n <= index < n or value_trace is not None and (
            raw.dtype is not buffer.dtype):
        return _setitem(x, index, value)  # what is wrong, or a cast that must be recorded
    if type(value) is dlarray and raw.dtype.is_complex and not buffer.dtype.is_complex:
        return _setitem(x, index, value)
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

dlarray.__getitem__ = _getitem  # type: ignore[attr-defined]
dlarray.__setitem__ = _setitem_checked  # type: ignore[attr-defined]

__all__ = ["array"]
