"""The pull walk: cotangents backwards."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import TraceError, line_of, user_site
from ..core.operation import ITEM, OPERATIONS, Multilinear
from ..core.trace import Node, ancestors
from ..kernels import Tensor


def pull(outputs: dict[Node, Any], targets: Sequence[Node], *, recorded: bool = False, lead: tuple[int, ...] = (), release: bool = False) -> list[Any]:
    """Cotangents of the targets from cotangents of the outputs; None where no output depends on a target.

    `recorded`: cotangents are dlarrays and the walk is itself traced. `lead`: sizes of leading axes that every cotangent carries.
    `release`: drop what the walk has used.
    """
    asked = set(targets)
    order = ancestors(outputs, min(t.number for t in asked))
    active: set[Any] = set(asked)
    for node in order:
        if node not in active:
            for parent in node.parents:
                if parent in active:
                    active.add(node)
                    break
    bars: dict[Node, Any] = {node: bar for node, bar in outputs.items() if node in active}
    owned: set[Node] = set()
    found: dict[Node, Any] = {}
    known: dict[Node, Any] = {}
    raw = not recorded and not lead
    for node in reversed(order):
        y_bar = bars.pop(node, None)
        if y_bar is None:
            continue
        if node in asked:
            found[node] = y_bar
            owned.discard(node)
        parents = node.parents
        operation = node.operation
        if node.dropped is not None:
            node.restore(known)
        if raw and operation.raw_pulls is not None and not node.dtype.is_complex:
            pulls = operation.raw_pulls
            for k, parent in enumerate(parents):
                if parent in active:
                    bar = pulls[k](node.values, node.params, node, y_bar)
                    if bar is not None:
                        if bar.shape != parent.shape or bar.dtype is not parent.dtype:
                            bar = fitted(bar, parent, lead)
                        if parent not in bars:
                            bars[parent] = bar
                        elif parent in owned:
                            bars[parent].add_(bar)
                        else:
                            bars[parent] = bars[parent] + bar
                            owned.add(parent)
        elif parents:
            wanted = [p in active for p in parents]
            if True not in wanted:
                continue
            if operation.barrier:
                raise unrecorded(node)
            if operation is ITEM:
                parent = parents[0]
                parts = bars.setdefault(parent, [None] * parent.operation.outputs)
                k = node.params["k"]
                parts[k] = y_bar if parts[k] is None else parts[k] + y_bar
                continue
            if raw and operation.pull_into:
                _pull_into(operation, node, y_bar, wanted, bars, owned)
            else:
                values = handles(node) if recorded else node.values
                for parent, bar in zip(parents, operation.pull(values, node.params, node, y_bar, lead, wanted), strict=True):
                    if bar is None or parent not in active:
                        continue
                    if bar.shape != parent.shape or bar.dtype is not parent.dtype:
                        bar = fitted(bar, parent, lead)
                    if parent not in bars:
                        bars[parent] = bar
                    elif parent in owned:
                        bars[parent].add_(bar)
                    else:
                        bars[parent] = bars[parent] + bar
                        if not recorded:
                            owned.add(parent)
        if release and parents:
            node.drop()
    return [found.get(t) for t in targets]


def _pull_into(operation: Multilinear, node: Node, y_bar: Tensor, wanted: Sequence[bool], bars: dict[Node, Any], owned: set[Node]) -> None:
    """Rules that write into an accumulator: the walk owns it, and makes it where there is none."""
    for k, (name, parent) in enumerate(zip(operation.inputs, node.parents, strict=True)):
        if not wanted[k] or parent is None:
            continue
        rule = operation.pull_into.get(name)
        if rule is None:
            bar = operation.transposes[name].call(node.values, node.params, node, y_bar, (), wanted)
            bar = fitted(bar, parent, ())
            old = bars.get(parent)
            bars[parent] = bar if old is None else old + bar
            owned.add(parent) if old is not None else None
            continue
        old = bars.get(parent)
        if old is None:
            old = bars[parent] = torch.zeros(parent.shape, dtype=parent.dtype, device=y_bar.device)
        elif parent not in owned:
            old = bars[parent] = old.clone(memory_format=torch.contiguous_format)
        owned.add(parent)
        rule.call(node.values, node.params, node, (old, y_bar), (), wanted)


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
            if bar.size_of_elements(shape) if hasattr(bar, "size_of_elements") else _count(bar.shape) == _count(shape):
                bar = _function("reshape")(bar, shape)
            else:
                bar = _function("broadcast_to")(bar, shape)
    return cast(bar, node.dtype)


def _count(shape: Sequence[int]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


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
    return TraceError(f"the derivative taken in {line_of(node.site)} was not recorded, so it cannot be differentiated at {line_of(user_site())}; "
                      f"write {option} there, or detach(g) to mean a constant")
