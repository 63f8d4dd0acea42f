"""Writing elements: x[index] = value makes a new array from the old one and the values, and rebinds the handle.

Integers and slices write to a strided place, arrays and masks to positions. Memory that nobody else can see is written
to where it is; everything else is copied first, so that no other array ever changes.
"""
from __future__ import annotations

import math
import sys
from opcode import opmap
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import constant, dlarray, operand
from ...core.calls import placed
from ...core.errors import LabelError, ShapeError, TraceError, TypeRefused, line_of, user_site
from ...core.kinds.multilinear import Multilinear
from ...core.labels import aligned, described
from ...core.trace import Node, different_traces, live
from ...machine.dtypes import NUMBER_TYPES, Tensor, broadcast_shapes
from .axes import broadcast_to, reshape
from .indexing import (
    _basic_place,
    _checked,
    _completed,
    _getitem,
    _index,
    _positions,
    _strided,
    _without_ellipsis,
    is_mask_without_axes,
)
from .selection import _take

NUMBER_KINDS = {bool: 0, int: 1, float: 2, complex: 3}
STORE_SUBSCR = opmap["STORE_SUBSCR"]


def _assign_kernel(x: Tensor, value: Any, index: Any) -> Tensor:
    return _written(x, value, {"index": index}, 0)


def _written(x: Tensor, value: Any, params: dict[str, Any], lead: int) -> Tensor:
    """A copy of x with the value in its place; both may carry leading axes."""
    if lead and isinstance(value, Tensor):
        x = x.expand(*broadcast_shapes(x.shape[:lead], value.shape[:lead]), *x.shape[lead:])
    y = x.clone(memory_format=torch.contiguous_format)
    _write(y, params, value, lead)
    return y


def _value_fitted(value: Any, index: Any, x_shape: Any, lead: int) -> Any:
    """A tangent of the written value given the axes of the place it is written to."""
    missing = len(_basic_place(x_shape,
                               [*index, *[slice(None)]
                                * (len(x_shape) - sum(e is not None for e in index))])) + lead - value.ndim
    return (reshape(value, (*value.shape[:lead], *(1,) * missing, *value.shape[lead:])) if missing > 0
            and lead else value)


class _Assign(Multilinear):
    """y = x with y[index] = value: linear in both."""

    overwrites = True
    keeps_type = True

    @staticmethod
    def writes_at(params: dict[str, Any]) -> int | None:
        """The row along axis 0 that is written, where it is one."""
        index = params["index"]
        at = index[0] if index else None  # none of a scalar
        if type(at) is not int or len(index) == 1:
            return at if type(at) is int else None
        return at if all([type(e) is slice and e == slice(None) for e in index[1:]]) else None

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
            return _assign_on_blocks(params["index"], node.shape, x_dot, value_dot)
        n = len(lead)
        if x_dot is None:
            like = value_dot
            x_dot = like.new_zeros((*lead, *node.shape)) if isinstance(like, Tensor) else dlarray._made(
                like._value.new_zeros((*lead, *node.shape)), None)
        value = 0 if value_dot is None else _value_fitted(value_dot, params["index"], node.shape, n)
        return self.apply((x_dot, value), {"index": _completed(params["index"], n)})


def _assign_on_blocks(index: Any, shape: Any, x: Block | None, value: Block | None) -> Block:
    """x with zeros in the place that is written, plus the values there."""
    parts = []
    if x is not None:
        mask = torch.ones(shape, dtype=x.dtype, device=x.device)
        mask[index] = 0
        parts.append(x.scaled(mask))
    if value is not None:
        parts.append(_embedded(value, index, tuple(shape)))
    return parts[0] if len(parts) == 1 else parts[0].plus(parts[1])


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
            where.append(torch.tensor([e % shape[axis]], device="cpu"))
        else:
            axes.append(k)
            where.append(torch.arange(shape[axis], device="cpu")[e])
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
    if type(y_bar) is Block:
        return _index.apply((y_bar,), {"index": index})
    return _getitem(y_bar, (slice(None),) * lead + index)


_assign = _Assign("assign", _assign_kernel, ("x", "value"), [("x",), ("value",)], {},
                  samples=[((4, 3), (2,), {"index": (slice(1, 3), 0)}), ((4, 3), (3,), {"index": (2,)})], selects=True,
                  # of zeros: how a pull runs it
                  act=lambda operation, inputs, params: _assign_on_blocks(params["index"], inputs[0].shape,
                                                                          inputs[0], None))


class _AssignAt(Multilinear):
    """y = x with y.flatten()[positions] = value, a vector; no position occurs twice. Linear in both."""

    keeps_type = True

    def reads(self, name: str) -> set[str]:
        return set()

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        positions, bars = params["positions"], [None, None]
        n = len(lead) + params.get("lead", 0)
        if wanted[1]:
            flat = reshape(y_bar, (*y_bar.shape[:n], math.prod(y_bar.shape[n:])))
            bars[1] = _take.apply((flat,), {"where": positions, "axis": -1})
        if wanted[0]:
            bars[0] = self.apply((y_bar, 0), {"positions": positions, "lead": n})
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        x_dot, value_dot = dots
        if Block in (type(x_dot), type(value_dot)):
            parts = [_assign_at_block(self, inputs, {**params, "shape": node.shape})
                     for inputs in ((x_dot, 0), (None, value_dot))
                     if type(inputs[0]) is Block or type(inputs[1]) is Block]
            return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator]
        if x_dot is None:
            x_dot = broadcast_to(_zero_like(value_dot), (*lead, *node.shape))
        value, n = 0 if value_dot is None else value_dot, len(lead) + params.get("lead", 0)
        return self.apply((x_dot, value), {"positions": params["positions"], "lead": n})


def _zero_like(x: Any) -> Any:
    raw = (x if isinstance(x, Tensor) else x._value).new_zeros(())
    return raw if isinstance(x, Tensor) else dlarray._made(raw, None)


def _assign_at_kernel(x: Tensor, value: Any, positions: Tensor, lead: int = 0) -> Tensor:
    return _written(x, value, {"positions": positions}, lead)


def _assign_at_block(operation: Any, inputs: Any, params: Any) -> Block:
    x, value = inputs
    n = params.get("lead", 0)
    if type(value) is Block:
        shape = tuple(params["shape"])
        own, count = math.prod(shape[n:]), math.prod(shape[:n])
        where = (torch.arange(count, device="cpu")[:, None] * own + params["positions"].cpu()).reshape(-1)
        return action.reshaped(action.placed(action.reshaped(value, (where.numel(),)), 0, where, own * count), shape)
    mask = torch.ones(x.shape, dtype=x.dtype, device=x.device)
    _write(mask, params, 0, n)
    return x.scaled(mask)


_assign_at = _AssignAt("assign_at", _assign_at_kernel, ("x", "value"), [("x",), ("value",)], {},
                       samples=[((4, 3), (2,), {"positions": torch.tensor([7, 0], device="cpu")})], selects=True,
                       act=_assign_at_block)


def _write(y: Tensor, params: dict[str, Any], value: Any, lead: int = 0) -> None:
    """Write into a contiguous tensor."""
    if isinstance(value, Tensor):
        value = (value.real if value.is_complex() and not y.is_complex() else value).to(y.dtype)
    if "index" in params:
        y[_completed(params["index"], lead) if lead else params["index"]] = value
    else:
        y.view(*y.shape[:lead], y.shape[lead:].numel())[_completed(params["positions"], lead)] = value


def _setitem(x: Any, index: Any, value: Any) -> None:
    """x[index] = value rebinds this handle to the result of a recorded write; with repeated positions the last wins."""
    if is_mask_without_axes(index):
        if bool(index):
            x[...] = value[0] if hasattr(value, "ndim") and value.ndim > x.ndim else value
        return
    value = operand(value)
    if isinstance(value, Tensor):
        value = dlarray._made(constant(value), None)
    positions, labels = None, None
    entries: Any = _strided(x, index)
    try:
        place = () if entries is None else tuple(x._value[entries].shape)
    except (IndexError, ValueError):
        entries = None  # out of range, or of what torch can say, which is said here
    if entries is None:
        entries = _checked(x, _without_ellipsis(x, index))
        if any([isinstance(e, Tensor) or isinstance(e, slice) and (e.step or 1) < 0 for e in entries]):
            positions = _positions(x._value, entries)
        place = _basic_place(x._value.shape, entries) if positions is None else tuple(positions.shape)
        labels = _place_labels(x, entries, len(place))
    value = _value_placed(x, value, place, labels)
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
        raise TypeRefused(
            f"{('bools', 'integers', 'real numbers', 'complex numbers')[kind]} cannot be written into an array of {str(dtype)[6:]} "
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
                raise LabelError(
                    f"values {described(value.shape, value._labels)} do not fit the place {described(place, labels)}, "
                                 f"at {line_of(user_site())}; their labels must be among those of the place, or write stripdims(value)")
            value = placed(value, labels)
        else:
            value = dlarray._made(value._value, value._node, None)
    if value.shape == place:
        return value
    while value.ndim > len(place) and value.shape[0] == 1:
        value = reshape(value, value.shape[1:])
    try:
        fits = broadcast_shapes(value.shape, place) == place
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"values of shape {described(value.shape, None)} do not fit the place {described(place, labels or None)}, "
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


# what a handle that shares with nobody sees, in this Python
_ALONE = _references(dlarray._made(torch.zeros(1, device="cpu"), None))


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
    made = Node(operation, node.trace, nodes, [None, None if value_node is not None else raw, None],
                params, x._value, user_site())
    return dlarray._made(x._value, made, None)


# ----- x[i][j] = v -----


def _setitem_checked(x: Any, index: Any, value: Any) -> None:
    if sys.getrefcount(x) == _TEMPORARY:
        frame = sys._getframe(1)
        if frame.f_code.co_code[frame.f_lasti] == STORE_SUBSCR:  # not x.__setitem__(i, v)
            raise TraceError(
                f"x[i][j] = v would write to a copy that nobody holds: there are no views, at {line_of(user_site())}; "
                             "write x[i, j] = v")
    if (type(index) is int and len(x._value.shape) == 1 and (type(value) is dlarray and not value._value.shape
                                                             or type(value) is float)):
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
    mine = (x._note is not None and x._note[0] == "assigned" and buffer.is_contiguous()
            and (trace is not None or value_trace is None))
    del buffer
    if not mine or _references(x) != _ALONE:
        old = x._value
        x._value = old.clone(memory_format=torch.contiguous_format)
    else:
        old = None
    x._value[index] = raw
    if trace is not None or value_trace is not None:
        values = [old if trace is None else None, None if value_trace is not None else raw, None]
        parents = (node if trace is not None else None, value_node if value_trace is not None else None)
        x._node = Node(_assign, trace or value_trace, parents, values,  # type: ignore[arg-type]
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

dlarray.__setitem__ = _setitem_checked  # type: ignore
