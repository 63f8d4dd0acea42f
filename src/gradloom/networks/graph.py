"""A graph of layers: nodes with named inputs and outputs, edges, the order of running, and where each value is read
last.

No arrays are here, only who reads what. It is worked out once, when the graph is made.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import GradloomError, TypeRefused, line_of, user_site
from ..vocabulary.misspelled import nearest
from .parameters import UnknownName

ENTERING = -1  # the node that stands for what the network is given

# A value that a node reads: (which node, which of its outputs); None for all of them, as many as they are.
Source = tuple[int, int | None]


@dataclass(frozen=True)
class Node:
    """A layer's place in a graph: its name, and what its inputs and outputs are called."""

    name: str
    inputs: tuple[str, ...] = ("in",)
    outputs: tuple[str, ...] = ("out",)

    def called(self, names: Sequence[str], k: int) -> str:
        """One of its inputs or outputs, as it is written: "relu1" where there is one, "add/in2" where there are
        more."""
        return self.name if len(names) == 1 else f"{self.name}/{names[k]}"


@dataclass(frozen=True)
class Plan:
    """One way through a graph: what runs in which order, what each reads, and what nothing reads afterwards."""

    steps: tuple[tuple[int, tuple[Source, ...], tuple[int, ...]], ...]
    returned: tuple[Source, ...]
    single: bool  # one array is returned, not a tuple


class Graph:
    """Who reads what among nodes. Without edges it is a chain: each node reads all that the one before it returns."""

    __slots__ = ("_plans", "chain", "input_names", "nodes", "order", "output_names", "places", "returned", "sources")

    def __init__(self, nodes: Sequence[Node], edges: Iterable[tuple[str, str]] | None = None):
        self.nodes = tuple(nodes)
        self.places = {node.name: k for k, node in enumerate(nodes)}
        self.chain = edges is None
        self._plans: dict[Any, Plan] = {}
        last = len(self.nodes) - 1
        if edges is None:
            self.sources: list[tuple[Source, ...]] = [((k - 1, None),) for k in range(len(self.nodes))]
            self.order = list(range(len(self.nodes)))
            first, final = self.nodes[0], self.nodes[last]
            self.input_names = tuple(first.called(first.inputs, i) for i in range(len(first.inputs)))
            self.output_names = tuple(final.called(final.outputs, i) for i in range(len(final.outputs)))
            self.returned: tuple[Source, ...] = ((last, None),)
            return
        faults: list[str] = []
        self.sources, self.input_names = self._joined(list(edges), faults)
        self.order = self._ordered(faults)
        if faults:
            raise GradloomError(f"these layers make no network, at {line_of(user_site())}: " + "; ".join(faults))
        read = {source for sources in self.sources for source in sources}
        self.returned = tuple((k, i) for k, node in enumerate(self.nodes) for i in range(len(node.outputs))
                              if (k, i) not in read)
        self.output_names = tuple(self.nodes[k].called(self.nodes[k].outputs, i or 0) for k, i in self.returned)

    # ----- making it -----

    def _joined(self, edges: list[tuple[str, str]],
                faults: list[str]) -> tuple[list[tuple[Source, ...]], tuple[str, ...]]:
        """What each node reads, and the names of the inputs that no edge leads to: those of the network, in order."""
        found: list[list[Source | None]] = [[None] * len(node.inputs) for node in self.nodes]
        for edge in edges:
            source, target = (self._end(end, kind, faults) for end, kind in zip(edge, ("output", "input"), strict=True))
            if source is None or target is None:
                continue
            k, i = target
            if found[k][i] is not None:
                faults.append(f"two edges lead into {self.nodes[k].called(self.nodes[k].inputs, i)!r}")
            found[k][i] = source
        names: list[str] = []
        for node, its in zip(self.nodes, found, strict=True):
            for i, one in enumerate(its):
                if one is None:
                    its[i] = (ENTERING, len(names))
                    names.append(node.called(node.inputs, i))
        return [tuple(one for one in its if one is not None) for its in found], tuple(names)

    def _end(self, end: str, kind: str, faults: list[str]) -> tuple[int, int] | None:
        """(node, which of its outputs or inputs) of one end of an edge; None, and a fault, where there is none."""
        name, _, part = end.partition("/")
        if name not in self.places:
            faults.append(f"there is no layer {name!r}{nearest(name, self.places)}")
            return None
        k = self.places[name]
        parts = self.nodes[k].outputs if kind == "output" else self.nodes[k].inputs
        if not part and len(parts) == 1:
            return k, 0
        if part not in parts:
            its = ", ".join(f"{name}/{p}" for p in parts)
            faults.append(f"the layer {name!r} has no {kind} {part!r}{nearest(part, parts)}; it has {its}" if part
                          else f"the layer {name!r} has {len(parts)} {kind}s; write one of {its}")
            return None
        return k, parts.index(part)

    def _ordered(self, faults: list[str]) -> list[int]:
        """Every node after those that it reads, otherwise as they stand; a circle is a fault that names it."""
        waits = [{k for k, _ in sources if k != ENTERING} for sources in self.sources]
        readers: list[list[int]] = [[] for _ in self.nodes]
        for k, its in enumerate(waits):
            for j in its:
                readers[j].append(k)
        ready = [k for k, its in enumerate(waits) if not its]
        heapq.heapify(ready)
        order = []
        while ready:
            k = heapq.heappop(ready)
            order.append(k)
            for reader in readers[k]:
                waits[reader].discard(k)
                if not waits[reader]:
                    heapq.heappush(ready, reader)
        if len(order) < len(self.nodes):
            circle = [min(k for k, its in enumerate(waits) if its)]
            while circle.count(circle[-1]) < 2:
                circle.append(min(waits[circle[-1]]))
            circle = circle[circle.index(circle[-1]):][::-1]
            faults.append(f"{' -> '.join(self.nodes[k].name for k in circle)} is a circle")
        return order

    # ----- ways through it -----

    def plan(self, wanted: str | Sequence[str] | None, everything: bool) -> Plan:
        """The way to the outputs that are asked for by name (None: those that nothing reads); `everything` runs all
        nodes, for the sake of their states.
        """
        if wanted is not None and not isinstance(wanted, str):
            wanted = tuple(wanted)
        plan = self._plans.get((wanted, everything))
        if plan is None:
            plan = self._plans[wanted, everything] = self._planned(wanted, everything)
        return plan

    def _planned(self, wanted: str | Sequence[str] | None, everything: bool) -> Plan:
        returned = (self.returned if wanted is None
                    else tuple(self._output(name) for name in ((wanted,) if isinstance(wanted, str) else wanted)))
        needed = set(self.order) if everything else self._needed(returned)
        kept = {k for k, _ in returned}
        steps = []
        for k in reversed([k for k in self.order if k in needed]):
            ended = {k, *(j for j, _ in self.sources[k])} - kept  # itself, where nothing reads it
            kept |= ended
            steps.append((k, self.sources[k], tuple(sorted(ended))))
        return Plan(tuple(reversed(steps)), returned, isinstance(wanted, str) or wanted is None and len(returned) == 1)

    def _needed(self, ends: Sequence[Source]) -> set[int]:
        """The nodes that values depend on."""
        found: set[int] = set()
        left = [k for k, _ in ends]
        while left:
            k = left.pop()
            if k != ENTERING and k not in found:
                found.add(k)
                left += [j for j, _ in self.sources[k]]
        return found

    def _output(self, name: Any) -> Source:
        """What a caller names: a layer, or "layer/output"."""
        if not isinstance(name, str):
            raise TypeRefused(
                f"outputs are names of layers, not {name!r}, at {line_of(user_site())}; write outputs=[\"relu\", "
                "\"fc\"]")
        layer, _, output = name.partition("/")
        if layer not in self.places:
            raise UnknownName(
                f"no layer {layer!r} in this network{nearest(layer, self.places)}, at {line_of(user_site())}; its "
                f"layers are {', '.join(self.places)}")
        k = self.places[layer]
        names = self.nodes[k].outputs
        if not output:
            # a layer may return several outputs and name one: which it is, only a run can tell
            return k, None
        if output not in names:
            raise UnknownName(
                f"the layer {layer!r} has no output {output!r}{nearest(output, names)}, at {line_of(user_site())}; its "
                f"outputs are {', '.join(names)}")
        return k, names.index(output)


__all__ = ["ENTERING", "Graph", "Node", "Plan", "Source"]
