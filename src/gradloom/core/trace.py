"""The trace: what was computed, from what, so that it can be walked backwards and forwards.

A node is one operation that ran. It refers to its parents, never to handles, and keeps only the values that its rules
read; constants among its inputs are kept by reference, so that what a walk dropped can be computed again.
"""
from __future__ import annotations

import gc
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .errors import Site, TraceError, line_of, user_site

if TYPE_CHECKING:
    from .operation import Operation


class _Active(threading.local):
    trace: Trace | None = None  # of the outermost `dlfeval` that this thread is running
    walking = False  # this thread records a walk: what its rules select is no selection of the user's


active = _Active()
_weak = weakref.ref
COLLECT_EVERY = 1 << 17  # nodes
SMALL = 256  # a walk through arrays of fewer elements drops nothing


class Trace:
    """All nodes made during one outermost `dlfeval`."""

    __slots__ = ("__weakref__", "closing", "collect_at", "guarded", "meetings", "nodes", "number", "open", "prune_at")

    def __init__(self) -> None:
        self.open = True
        # something was selected: what was not may be infinite, and counts for nothing (0 times infinity is 0)
        self.guarded = False
        self.meetings: list[weakref.ref[Node]] = []  # operations with vectors of values that are equal, or nearly
        self.number = 0
        self.nodes: list[weakref.ref[Node]] = []
        self.prune_at = 4096
        self.collect_at = COLLECT_EVERY
        self.closing: list[Callable[[], None]] = []  # what returned results forget with the trace

    def prune(self) -> None:
        """Forget references to nodes that are gone; in long traces, let Python look for the user's own cycles among
        what is new."""
        if self.number >= self.collect_at:
            gc.collect(1)
            self.collect_at = self.number + COLLECT_EVERY
        self.nodes = [r for r in self.nodes if r() is not None]
        self.meetings = [r for r in self.meetings if r() is not None]
        self.prune_at = self.number + max(4096, len(self.nodes))

    def close(self) -> None:
        """Empty every node that is still alive; arrays that escaped become ordinary ones. Cut short, it can be done
        again."""
        self.open = False
        for forget in self.closing:
            forget()
        for reference in self.nodes:
            node = reference()
            if node is not None:
                node.parents = ()
                node.values = []
                node.params = {}
        self.closing = []
        self.nodes = []


class Node:
    """One operation that ran: `values` are its inputs, output and hidden outputs, each None where no rule reads it."""

    __slots__ = ("__weakref__", "dropped", "dtype", "number", "operation", "params", "parents",
                 "shape", "site", "trace", "values")

    def __init__(self, operation: Operation, trace: Trace, parents: Sequence[Node | None],
                 values: list[Any], params: dict[str, Any],
                 output: Any, site: Site | None):
        self.operation = operation
        self.trace = trace
        self.parents = parents
        self.values = values
        self.params = params
        self.site = site
        self.dropped: tuple[int, ...] | None = None  # which values a walk has forgotten
        if type(output) is not tuple:
            self.shape: Any = output.shape
            self.dtype: Any = output.dtype
        else:  # several outputs: each has a node of its own
            self.shape = self.dtype = None
        if operation.selects and not trace.guarded and not active.walking:
            trace.guarded = True
        self.number = number = trace.number
        trace.number = number + 1
        trace.nodes.append(_weak(self))
        if number >= trace.prune_at:
            trace.prune()

    @property
    def ndim(self) -> int:
        """The number of axes of the output."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<{self.operation.name} {tuple(self.shape or ())} made in {line_of(self.site)}>"

    def drop(self) -> None:
        """Forget the values that can be computed again from the parents."""
        parents = self.parents
        if self.dropped is not None or not self.operation.recomputable:
            return
        n = len(parents)
        # what a rule left here beside them is not computed again
        values = self.values[:n + 1 + len(self.operation.hidden)]
        hollow = [k for k, v in enumerate(values) if v is not None and (k >= n or parents[k] is not None)]
        if hollow:
            self.dropped = tuple(hollow)
            self.values = values
            for k in hollow:
                values[k] = None

    def restore(self, known: dict[Node, Any]) -> None:
        """Compute dropped values again; `known` remembers outputs during one walk."""
        hollow = self.dropped
        if hollow is None:
            return
        n = len(self.parents)
        values = list(self.values)
        if any(k >= n for k in hollow):
            inputs, outputs = evaluated(self, known)
            fresh = [*inputs, *outputs]
        else:
            fresh = [value_of(p, known) if p is not None and k in hollow else None for k, p in enumerate(self.parents)]
        for k in hollow:
            values[k] = fresh[k]
        self.values = values
        self.dropped = None


def stored_value(node: Node) -> Any:
    """The node's output where it is at hand, else None."""
    n = len(node.parents)
    return node.values[n] if len(node.values) > n else None


def value_of(node: Node, known: dict[Node, Any]) -> Any:
    """The output of a node, computed again (in dependency order, no recursion) where it was not kept."""
    pending = [node]
    while pending:
        top = pending[-1]
        if top in known:
            pending.pop()
            continue
        value = stored_value(top)
        if value is not None:
            known[top] = value
            pending.pop()
            continue
        missing = [p for k, p in enumerate(top.parents) if p is not None and top.values[k] is None and p not in known]
        if missing:
            pending += missing
            continue
        evaluated(top, known)
        pending.pop()
    return known[node]


def evaluated(node: Node, known: dict[Node, Any]) -> tuple[list[Any], tuple[Any, ...]]:
    """Inputs and outputs (hidden ones last) of a node, run again."""
    if not node.operation.recomputable:
        raise TraceError(
            f"the value of {node.operation.name} (made in {line_of(node.site)}) is no longer kept; write "
            "dlgradient(..., retain_data=True)")
    inputs = [node.values[k] if p is None or node.values[k] is not None else value_of(p, known)
              for k, p in enumerate(node.parents)]
    outputs = node.operation.run(inputs, node.params)
    known[node] = outputs[0]
    return inputs, outputs


def current_trace() -> Trace | None:
    """The trace of the outermost `dlfeval` that this thread is running."""
    return active.trace


def within(trace: Trace | None, function: Callable[..., Any], /, *args: Any) -> Any:
    """Run a function with another trace, or none, as the one that this thread is running.

    What sets state back does so in a `finally`, by assignments, before its first call: Python lets an interrupt in at
    calls. A context manager that is written in Python is one call too late.
    """
    outer = active.trace
    try:
        active.trace = trace
        return function(*args)
    finally:
        active.trace = outer


def walking(function: Callable[..., Any], /, *args: Any, walk: bool = True) -> Any:
    """Run what records a walk: what its rules select marks no trace. `walk=False`: what an author states in it marks it
    again."""
    outer = active.walking
    try:
        active.walking = walk
        return function(*args)
    finally:
        active.walking = outer


def selected(*xs: Any) -> None:
    """Mark the traces of arrays of which a mask, or weights that may be 0, select."""
    for x in xs:
        node = live(getattr(x, "_node", None))
        if node is not None and not active.walking:
            node.trace.guarded = True


def live(node: Node | None) -> Node | None:
    """The node, unless its trace has ended."""
    return node if node is not None and node.trace.open else None


def ancestors(start: Iterable[Node], oldest: int = 0) -> list[Node]:
    """The nodes that lead to `start`, itself included, oldest first; nothing made before number `oldest` is visited."""
    seen = set(start)
    pending = list(seen)
    while pending:
        for parent in pending.pop().parents:
            if parent is not None and parent not in seen and parent.number >= oldest:
                seen.add(parent)
                pending.append(parent)
    return sorted(seen, key=_number)


_number = operator.attrgetter("number")


class DifferentTraces(TraceError):
    """Operands of two traces meet."""


def different_traces(a: Node, b: Node) -> DifferentTraces:
    """The error for operands of two traces."""
    return DifferentTraces(
        f"two arrays of different traces meet: one made in {line_of(a.site)}, one in {line_of(b.site)}, at "
        f"{line_of(user_site())}; pass both through the same dlfeval")
