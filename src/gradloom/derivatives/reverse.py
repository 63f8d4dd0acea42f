"""The pull walk: cotangents backwards."""
from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import TraceError, line_of, user_site
from ..core.operation import ITEM, OPERATIONS
from ..core.trace import SMALL, Node
from ..kernels import Tensor

_number = operator.attrgetter("number")


def pull(outputs: dict[Node, Any], targets: Sequence[Node], *, recorded: bool = False, lead: tuple[int, ...] = (), release: bool = False) -> list[Any]:
    """Cotangents of the targets from cotangents of the outputs; None where no output depends on a target.

    `recorded`: cotangents are dlarrays and the walk is itself traced. `lead`: sizes of leading axes that every cotangent carries.
    `release`: drop what the walk has used.
    """
    asked = set(targets)
    order, active = between(outputs, asked)
    bars: dict[Node, Any] = {node: bar for node, bar in outputs.items() if node in active}
    owned: set[Node] = set()
    reads: dict[Node, dict[int, Any]] = {}
    found: dict[Node, Any] = {}
    known: dict[Node, Any] = {}
    raw = not recorded and not lead
    for node in order:
        y_bar = bars.pop(node, None)
        if reads and node in reads:
            y_bar = gathered(reads.pop(node), node, y_bar, node in owned)
            owned.add(node)
        if y_bar is None:
            continue
        if node in asked:
            found[node] = y_bar
            owned.discard(node)
        parents = node.parents
        operation = node.operation
        if node.dropped is not None:
            node.restore(known)
        pulls = operation.raw_pulls
        if pulls is not None and raw and not node.dtype.is_complex:
            values, params = node.values, node.params
            for k, parent in enumerate(parents):
                if parent not in active or (bar := pulls[k](values, params, node, y_bar)) is None:
                    continue
                if bar.shape != parent.shape or bar.dtype is not parent.dtype:  # type: ignore[union-attr]
                    bar = fitted(bar, parent, lead)  # type: ignore[arg-type]
                if parent not in bars:
                    bars[parent] = bar  # type: ignore[index]
                else:
                    _add(bars, owned, parent, bar)  # type: ignore[arg-type]
        elif raw and operation.reads_at is not None and (at := operation.reads_at(node.params)) is not None:
            _note_read(reads, parents[0], at, y_bar)  # type: ignore[arg-type]
            continue
        elif raw and operation.overwrites:
            _undo_write(node, y_bar if node in owned else y_bar.clone(memory_format=torch.contiguous_format), active, bars, owned)
        elif True in (wanted := [p in active for p in parents]):
            if operation.barrier:
                raise unrecorded(node)
            if operation is ITEM:
                _collect(parents[0], node.params["k"], y_bar, bars)
                continue
            values = handles(node) if recorded else node.values
            for parent, bar in zip(parents, operation.pull(values, node.params, node, y_bar, lead, wanted), strict=True):
                if bar is None or parent not in active:
                    continue
                if bar.shape != parent.shape or bar.dtype is not parent.dtype:  # type: ignore[union-attr]
                    bar = fitted(bar, parent, lead)  # type: ignore[arg-type]
                if parent not in bars:
                    bars[parent] = bar  # type: ignore[index]
                elif recorded:
                    bars[parent] = bars[parent] + bar  # type: ignore[index]
                else:
                    _add(bars, owned, parent, bar)  # type: ignore[arg-type]
        if release and (operation.kind != "elementwise" or y_bar.numel() >= SMALL):
            node.drop()
    return [found.get(t) for t in targets]


def between(outputs: Iterable[Node], asked: set[Node]) -> tuple[list[Node], set[Any]]:
    """The nodes that lead to the outputs, newest first, and those of them that depend on an asked-for one."""
    oldest = min([t.number for t in asked])
    seen: set[Any] = set(outputs)
    pending = list(seen)
    strangers = False  # whether some of them start from elsewhere
    while pending:
        node = pending.pop()
        parents = node.parents
        if not parents and node not in asked:
            strangers = True
        for parent in parents:
            if parent is not None and parent not in seen:
                if parent.number >= oldest:
                    seen.add(parent)
                    pending.append(parent)
                else:
                    strangers = True
    order = sorted(seen, key=_number, reverse=True)
    if not strangers:
        return order, seen
    active: set[Any] = asked & seen
    for node in reversed(order):
        if node not in active:
            for parent in node.parents:
                if parent in active:
                    active.add(node)
                    break
    return order, active


def _add(bars: dict[Node, Any], owned: set[Node], parent: Node, bar: Tensor) -> None:
    """Accumulate: into memory that the walk owns from the second time on."""
    if parent in owned:
        bars[parent].add_(bar)
    else:
        bars[parent] = bars[parent] + bar
        owned.add(parent)


def _note_read(reads: dict[Node, dict[int, Any]], source: Node, at: int, y_bar: Tensor) -> None:
    """Remember the cotangent of one entry along axis 0, to be gathered when the array's turn comes."""
    place = reads.get(source)
    if place is None:
        place = reads[source] = {}
    if at < 0:
        at += source.shape[0]
    place[at] = place[at] + y_bar if at in place else y_bar


def _undo_write(node: Node, y_bar: Tensor, active: set[Any], bars: dict[Node, Any], owned: set[Node]) -> None:
    """y = x with y[index] = value, backwards: the written place is value's, the rest is x's, in the same memory."""
    x, value = node.parents
    written = y_bar[node.params["index"]]  # integers and slices: a view
    if value in active:
        bar = written.clone()
        if bar.shape != value.shape or bar.dtype is not value.dtype:  # type: ignore[union-attr]
            bar = fitted(bar, value, ())  # type: ignore[arg-type]
        if value not in bars:
            bars[value] = bar  # type: ignore[index]
        else:
            _add(bars, owned, value, bar)  # type: ignore[arg-type]
    if x in active:
        written.zero_()
        if y_bar.dtype is not x.dtype:  # type: ignore[union-attr]
            y_bar = fitted(y_bar, x, ())  # type: ignore[arg-type]
        if x not in bars:
            bars[x] = y_bar  # type: ignore[index]
            owned.add(x)  # type: ignore[arg-type]
        else:
            _add(bars, owned, x, y_bar)  # type: ignore[arg-type]


def _collect(parent: Any, k: int, y_bar: Any, bars: dict[Node, Any]) -> None:
    """A cotangent for one of several outputs."""
    parts = bars.setdefault(parent, [None] * parent.operation.outputs)
    parts[k] = y_bar if parts[k] is None else parts[k] + y_bar


def gathered(place: dict[int, Tensor], node: Node, y_bar: Any, mine: bool) -> Tensor:
    """The cotangent of an array whose entries along axis 0 were read one by one: one write for all of them.

    Where the walk owns `y_bar` (`mine`) they are added to it, so that a loop that reads after each write stays linear.
    """
    n = node.shape[0]
    if len(place) == n and n > 1:
        bar = torch.stack([place[k] for k in range(n)])
    elif mine and y_bar is not None and len(place) == 1:
        (at, row), = place.items()
        y_bar[at].add_(cast(row, node.dtype))
        return y_bar
    else:
        rows = torch.stack(list(place.values()))
        bar = torch.zeros(node.shape, dtype=node.dtype, device=rows.device)
        bar[torch.tensor(list(place), device=rows.device)] = cast(rows, node.dtype)
    bar = cast(bar, node.dtype)
    return bar if y_bar is None else y_bar + bar


def handles(node: Node) -> list[Any]:
    """The node's values as arrays in the trace, for a walk that is itself recorded."""
    n = len(node.parents)
    made: list[Any] = []
    for k, value in enumerate(node.values):
        if not isinstance(value, Tensor):
            made.append(value)
        elif k < n:
            made.append(dlarray._made(value, node.parents[k], None))
        else:
            made.append(dlarray._made(value, node if k == n else None, None))
    return made


def fitted(bar: Any, node: Node, lead: tuple[int, ...]) -> Any:
    """A cotangent summed over the axes that its node was broadcast along, real for a real node, in its type."""
    n = len(lead)
    own = tuple(bar.shape[n:])
    if own != tuple(node.shape):
        extra = len(own) - node.ndim
        axes = tuple(range(n, n + extra)) + tuple(n + extra + k for k, size in enumerate(node.shape) if size == 1 and own[extra + k] != 1)
        if axes:
            bar = _function("sum")(bar, axis=axes, keepdims=False)
        if tuple(bar.shape[n:]) != tuple(node.shape):
            shape = (*bar.shape[:n], *node.shape)
            same_size = math.prod(bar.shape) == math.prod(shape)
            bar = _function("reshape" if same_size else "broadcast_to")(bar, shape)
    return cast(bar, node.dtype)


def cast(x: Any, dtype: torch.dtype) -> Any:
    """In a node's type: the real part where it is real."""
    if x.dtype is dtype:
        return x
    if x.dtype.is_complex and not dtype.is_complex:
        x = _function("real")(x)
    return x if x.dtype is dtype else _function("astype")(x, dtype)


def _function(name: str) -> Any:
    return OPERATIONS[name].public


def unrecorded(node: Node) -> TraceError:
    """The error for a walk through a derivative that was not recorded."""
    option = node.params.get("option", "enable_higher_derivatives=True")
    return TraceError(f"{node.operation.barrier} in {line_of(node.site)} was not recorded, so it cannot be differentiated at {line_of(user_site())}; "
                      f"write {option} there, or detach(g) to mean a constant")
