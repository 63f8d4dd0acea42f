"""Writing elements: x[index] = value makes a new array from the old one and the values, and rebinds the handle.

Integers and slices write to a strided place, arrays and masks to positions. Memory that nobody else can see is written
to where it is; everything else is copied first, so that no other array ever changes.
"""
from __future__ import annotations

import sys
from opcode import opmap
from typing import Any

import torch

from ...core.array import constant, dlarray, operand
from ...core.calls import placed
from ...core.errors import LabelError, ShapeError, TraceError, TypeRefused, line_of, user_site
from ...core.kinds.multilinear import Multilinear
from ...core.labels import aligned, described
from ...core.trace import Node, different_traces, live
from ...machine.dtypes import NUMBER_TYPES, Tensor, broadcast_shapes
from ...machine.questions import spared
from .axes import broadcast_to, reshape
from .indexing import checked, getitem, is_mask_without_axes, strided_index, without_ellipsis
from .places import basic_place, positions_of_index
from .selection import take_operation
from .writes import assign, assign_at, write

NUMBER_KINDS = {bool: 0, int: 1, float: 2, complex: 3}
STORE_SUBSCR = opmap["STORE_SUBSCR"]


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
    entries: Any = strided_index(x, index)
    try:
        place = () if entries is None else tuple(x._value[entries].shape)
    except (IndexError, ValueError):
        entries = None  # out of range, or of what torch can say, which is said here
    if entries is None:
        entries = checked(x, without_ellipsis(x, index))
        if any([isinstance(e, Tensor) or isinstance(e, slice) and (e.step or 1) < 0 for e in entries]):
            positions = positions_of_index(x._value, entries)
        place = basic_place(x._value.shape, entries) if positions is None else tuple(positions.shape)
        labels = _place_labels(x, entries, len(place))
    value = _value_placed(x, value, place, labels)
    if positions is None:
        operation: Multilinear = assign
        params: dict[str, Any] = {"index": tuple(entries)}
    else:
        flat, kept = _unique_last(positions.reshape(-1))
        operation, params = assign_at, {"positions": flat}
        if type(value) is dlarray:
            value = reshape(broadcast_to(value, place), (positions.numel(),))
            value = value if kept is None else take_operation.apply((value,), {"where": kept, "axis": -1})
    node = live(x._node)
    if not _private(x):
        result = operation.apply((dlarray._made(x._value, x._node, None), value), params)
    elif node is not None:
        result = _assigned_in_place(x, operation, value, params)
    elif type(value) is dlarray and live(value._node) is not None:
        result = operation.apply((dlarray._made(x._value, None, None), value), params)
    else:
        write(x._value, params, value._value if type(value) is dlarray else value)
        result = dlarray._made(x._value, None)
    x._value, x._node, x._note = result._value, result._node, ("assigned", user_site())


def _place_labels(x: dlarray, entries: list[Any], ndim: int) -> str | None:
    """The labels of the place that an index selects: as those of a read."""
    if x._labels is None:
        return None
    vectors = [e for e in entries if isinstance(e, Tensor)]
    if len(vectors) > 1 or any(e.ndim != 1 for e in vectors) or vectors and any(isinstance(e, int) for e in entries):
        return getitem(dlarray._made(x._value, None, x._labels), tuple(entries))._labels or "U" * ndim
    letters, axis = "", 0
    for e in entries:
        if e is None:
            letters += "U"
            continue
        letters += "" if isinstance(e, int) else x._labels[axis]
        axis += 1
    return letters


def _value_placed(x: dlarray, value: Any, place: tuple[int, ...], labels: str | None) -> Any:
    """The value, checked: of a type that x holds without loss of kind, in the order of the place's labels, of a shape
    that fits."""
    dtype = x._value.dtype
    if type(value) in NUMBER_TYPES:
        kind = NUMBER_KINDS[type(value)]
    else:
        kind = _kind(value.dtype)
    if kind > _kind(dtype):
        needed = ("bool", "int64", "float64", "complex128")[kind]
        raise TypeRefused(
            f"{('bools', 'integers', 'real numbers', 'complex numbers')[kind]} cannot be written into an array of "
            f"{str(dtype)[6:]} without loss, at {line_of(user_site())}; write x = x.astype({needed!r}) first")
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
                    f"at {line_of(user_site())}; their labels must be among those of the place, or write "
                    "stripdims(value)")
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
    if spared(last.all()):
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
    write(x._value, params, raw)
    nodes = (node, value_node)
    made = Node(operation, node.trace, nodes, [None, None if value_node is not None else raw, None],
                params, x._value, user_site())
    return dlarray._made(x._value, made, None)


# ----- x[i][j] = v -----


def setitem(x: Any, index: Any, value: Any) -> None:
    """`x[index] = value`, but not where x is a copy that nobody holds."""
    if sys.getrefcount(x) == _TEMPORARY:
        frame = sys._getframe(1)
        if frame.f_code.co_code[frame.f_lasti] == STORE_SUBSCR:  # not x.__setitem__(i, v)
            raise TraceError(
                f"x[i][j] = v would write to a copy that nobody holds: there are no views, at {line_of(user_site())}; "
                "write x[i, j] = v")
    if (type(index) is int and len(x._value.shape) == 1
        and (type(value) is dlarray and not value._value.shape or type(value) is float)):
        _set_element(x, index, value)
    else:
        _setitem(x, index, value)


def _set_element(x: dlarray, index: int, value: Any) -> None:
    """Quick way of `_setitem`, for one element of a vector, where a loop spends its time: the same node, without the
    general case's questions."""
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
        x._node = Node(assign, trace or value_trace, parents, values,  # type: ignore[arg-type]
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
