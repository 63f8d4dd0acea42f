"""A graph of layers: nodes with named inputs and outputs, edges, the order of running, and where each value is read
last.

No arrays are here, only who reads what. It is worked out once, when the graph is made.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import GradloomError, TypeRefused, UnknownName, line_of, user_site
from ..vocabulary.misspelled import nearest

ENTERING = -1  # the node that stands for what the network is given
NOWHERE = -2  # the node that stands for what an edge names and is not there

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

    __slots__ = ("_plans", "chain", "entries", "input_names", "nodes", "order", "output_names", "outputs", "places",
                 "returned", "sources")

    def __init__(self, nodes: Sequence[Node], edges: Iterable[tuple[str, str]] | None = None,
                 outputs: Sequence[str] | None = None, faults: list[str] | None = None):
        """`faults` takes what is wrong, for a caller who looks further; without it that is an error."""
        self.nodes = tuple(nodes)
        self.places = {node.name: k for k, node in enumerate(nodes)}
        self.chain = edges is None
        self.outputs = outputs  # the names that were asked for; None for what nothing reads
        self._plans: dict[Any, Plan] = {}
        last = len(self.nodes) - 1
        if edges is None:
            self.sources: list[tuple[Source, ...]] = [((k - 1, None),) for k in range(len(self.nodes))]
            self.order = list(range(len(self.nodes)))
            first, final = self.nodes[0], self.nodes[last]
            self.entries = [(0, i) for i in range(len(first.inputs))]  # (node, which of its inputs) of what enters
            self.input_names = tuple(first.called(first.inputs, i) for i in range(len(first.inputs)))
            self.output_names = tuple(final.called(final.outputs, i) for i in range(len(final.outputs)))
            self.returned: tuple[Source, ...] = ((last, None),)
            return
        found: list[str] = []
        self.sources, self.entries = self._joined(list(edges), found)
        self.input_names = tuple(self.nodes[k].called(self.nodes[k].inputs, i) for k, i in self.entries)
        self.order = self._ordered(found)
        read = {source for sources in self.sources for source in sources}
        self.returned = tuple((k, i) for k, node in enumerate(self.nodes) for i in range(len(node.outputs))
                              if (k, i) not in read)
        if outputs is not None:
            ends = [self._end(name, "output", found) for name in outputs]
            self.returned = tuple(end for end in ends if end is not None)
        self.output_names = tuple(self.nodes[k].called(self.nodes[k].outputs, i or 0) for k, i in self.returned)
        if faults is not None:
            faults += found
        elif found:
            raise ill_formed(found)

    @property
    def connections(self) -> tuple[tuple[str, str], ...]:
        """Who reads what, by name: ("relu1", "add/in2")."""
        found = []
        for node, sources in zip(self.nodes, self.sources, strict=True):
            for i, (k, which) in enumerate(sources):
                if k == ENTERING:
                    continue
                source = self.nodes[k]
                ends = ([(which, i)] if which is not None  # in a chain, all that there is
                        else list(zip(range(len(source.outputs)), range(len(node.inputs)), strict=False)))
                found += [(source.called(source.outputs, o), node.called(node.inputs, j)) for o, j in ends]
        return tuple(found)

    # ----- making it -----

    def _joined(self, edges: list[tuple[str, str]],
                faults: list[str]) -> tuple[list[tuple[Source, ...]], list[tuple[int, int]]]:
        """What each node reads, and the inputs that no edge leads to: those of the network, in order."""
        found: list[list[Source | None]] = [[None] * len(node.inputs) for node in self.nodes]
        for edge in edges:
            if not isinstance(edge, (tuple, list)) or len(edge) != 2:
                faults.append(f"a connection is a pair such as (\"relu1\", \"add/in2\"), not {edge!r}")
                continue
            source, target = (self._end(end, kind, faults) for end, kind in zip(edge, ("output", "input"), strict=True))
            if target is None:
                continue
            k, i = target
            if source is None:
                found[k][i] = found[k][i] or (NOWHERE, 0)
                continue
            if found[k][i] not in (None, (NOWHERE, 0)):
                faults.append(f"two edges lead into {self.nodes[k].called(self.nodes[k].inputs, i)!r}")
            found[k][i] = source
        entries: list[tuple[int, int]] = []
        for k, its in enumerate(found):
            for i, one in enumerate(its):
                if one is None:
                    its[i] = (ENTERING, len(entries))
                    entries.append((k, i))
        return [tuple(one for one in its if one is not None) for its in found], entries

    def _end(self, end: Any, kind: str, faults: list[str]) -> tuple[int, int] | None:
        """(node, which of its outputs or inputs) of one end of an edge; None, and a fault, where there is none."""
        if not isinstance(end, str):
            faults.append(f"a connection joins names such as (\"relu1\", \"add/in2\"), not {end!r}")
            return None
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
        waits = [{k for k, _ in sources if k >= 0} for sources in self.sources]
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
            wanted = tuple(wanted) if isinstance(wanted, Iterable) else (wanted,)
        try:
            plan = self._plans.get((wanted, everything))
        except TypeError:  # what cannot be hashed is no name, as planning says
            plan = None
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
            if k >= 0 and k not in found:
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


def ill_formed(faults: Sequence[str]) -> GradloomError:
    """The error that tells all that is wrong with a graph."""
    return GradloomError(f"these layers make no network, at {line_of(user_site())}: " + "; ".join(faults))


__all__ = ["ENTERING", "NOWHERE", "Graph", "Node", "Plan", "Source", "ill_formed"]
