"""One step of a walk, and all that walks of every kind do at a node.

A node whose derivative was not recorded is refused; what an earlier walk has dropped is computed again; the rule is
told what is wanted, and is given the values that the walk reads: the recorded ones, arrays of the trace where the walk
is itself recorded, or stand-ins. What it makes is put into the shape and type of the node that it is of, and handed on.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from ...blocks.block import Block
from ...core.array import dlarray
from ...core.errors import TraceError, line_of, user_site
from ...core.operation import ITEM, item, padded
from ...core.tables import words
from ...core.trace import Node
from ...machine.dtypes import Tensor

Reader = Callable[[Node], list[Any]]
Step = Callable[[Node, Sequence[Any], Reader, tuple[int, ...]], Any]


def pulled(node: Node, y_bar: Any, active: Collection[Any], read: Reader,
           lead: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """The parents that are active, each with its cotangent from that of the node, where there is one."""
    parents = node.parents
    wanted = [p in active for p in parents]
    if True not in wanted:
        return []
    refuse(node)
    bars = node.operation.pull(read(node), node.params, node, y_bar, lead, wanted)
    return [(parent, bar) for parent, bar, want in zip(parents, bars, wanted, strict=True) if want and bar is not None]


def pushed(node: Node, dots: Sequence[Any], read: Reader, lead: tuple[int, ...]) -> Any:
    """The tangent of the node from those of its parents, some of which move; None where there is none."""
    if node.operation.barrier:  # quick way: `refuse` without the call
        raise unrecorded(node)
    y_dot = node.operation.push(read(node), node.params, node, dots, lead)
    if y_dot is None or node.shape is None:
        return y_dot
    shape = (*lead, *node.shape)
    if tuple(y_dot.shape) != shape:
        y_dot = padded(y_dot, lead, node.ndim)
        y_dot = y_dot.broadcast(shape) if type(y_dot) is Block else words.broadcast_to(y_dot, shape)
    return y_dot if y_dot.dtype is node.dtype else cast(y_dot, node.dtype)


# ----- before the rule ------------------------------------------------------------------------------------------------


def refuse(node: Node) -> None:
    """An error where a walk must not pass."""
    if node.operation.barrier:
        raise unrecorded(node)


def unrecorded(node: Node) -> TraceError:
    """The error for a walk through a derivative that was not recorded."""
    option = node.params.get("option", "enable_higher_derivatives=True")
    return TraceError(
        f"{node.operation.barrier} in {line_of(node.site)} was not recorded, so it cannot be differentiated at "
        f"{line_of(user_site())}; write {option} there, or detach(g) to mean a constant")


def output_of(node: Node) -> int | None:
    """Which of its parent's several outputs a node is; None where it is an operation that ran."""
    return node.params["k"] if node.operation is ITEM else None


def reader(values_of: Reader | None = None) -> Reader:
    """What a walk reads at a node, the recorded values unless it says otherwise.

    What was dropped is computed again, once in the walk.
    """
    known: dict[Node, Any] = {}

    def read(node: Node) -> list[Any]:
        if node.dropped is not None:
            node.restore(known)
        return node.values if values_of is None else values_of(node)

    return read


def handles(node: Node) -> list[Any]:
    """The node's values as arrays in the trace, for a walk that is itself recorded."""
    n = len(node.parents)
    made: list[Any] = []
    for k, value in enumerate(node.values):
        if type(value) is tuple:  # several outputs
            made.append(tuple(item(value, node, j, None) for j in range(len(value))))
        elif not isinstance(value, Tensor):
            made.append(value)
        elif k < n:
            made.append(dlarray._made(value, node.parents[k], None))
        else:
            made.append(dlarray._made(value, node if k == n else None, None))
    return made


# ----- after the rule -------------------------------------------------------------------------------------------------


def hand(bars: dict[Node, Any], owned: set[Node] | None, parent: Any, bar: Any, lead: tuple[int, ...] = ()) -> None:
    """A cotangent to a parent: in its shape and type, added to what is there."""
    its = bar.shape
    if (its[len(lead):] if lead and its is not None else its) != parent.shape or bar.dtype is not parent.dtype:
        bar = fitted(bar, parent, lead)
    if parent in bars:
        add(bars, owned, parent, bar)
    else:
        bars[parent] = bar


def add(bars: dict[Node, Any], owned: set[Node] | None, parent: Node, bar: Any) -> None:
    """Accumulate: into memory that the walk owns from the second time on; a recorded walk owns none."""
    if owned is None:
        bars[parent] = bars[parent] + bar
    elif parent in owned:
        bars[parent].add_(bar)
    else:
        bars[parent] = bars[parent] + bar
        owned.add(parent)


def fitted(bar: Any, node: Node, lead: tuple[int, ...]) -> Any:
    """A cotangent summed over the axes that its node was broadcast along, real for a real node, in its type."""
    n = len(lead)
    own = tuple(bar.shape[n:])
    if own != tuple(node.shape):
        extra = len(own) - node.ndim
        axes = tuple(range(n, n + extra)) + tuple(n + extra + k for k, size in enumerate(node.shape)
                                                  if size == 1 and own[extra + k] != 1)
        if any([bar.shape[k] != 1 for k in axes]):
            bar = bar.sum(axes) if type(bar) is Tensor else words.sum(bar, axis=axes, keepdims=False)
        if tuple(bar.shape[n:]) != tuple(node.shape):
            shape = (*bar.shape[:n], *node.shape)
            same_size = math.prod(bar.shape) == math.prod(shape)
            bar = (words.reshape if same_size else words.broadcast_to)(bar, shape)
    return cast(bar, node.dtype)


def cast(x: Any, dtype: torch.dtype) -> Any:
    """In a node's type: the real part where it is real."""
    if x.dtype is dtype:
        return x
    if x.dtype.is_complex and not dtype.is_complex:
        x = words.real(x)
    return x if x.dtype is dtype else words.astype(x, dtype)
