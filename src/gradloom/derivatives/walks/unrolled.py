"""The pull walk of scalar code, written out.

A function of single numbers read from a vector (Rosenbrock's, the right-hand side of an ODE) spends more on the
bookkeeping of its walk than on arithmetic. When the same walk is taken again and again it is therefore written out once
as a Python function without loops or dictionaries. The function trusts nothing: it goes through the trace that it is
given node by node, and returns None where an operation, a shape, a type or a place differs from what it was written
for; then the ordinary walk is taken.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ...core.kinds.elementwise import Elementwise
from ...core.rules import written
from ...core.trace import Node
from ...machine.caches import cache
from ...machine.dtypes import Tensor
from ...machine.questions import thread
from .pull import between
from .signature import checks

WORTHWHILE = 16  # walks from one place in a program, before its walk is written out
LONGEST = 256  # nodes
# by place: how often it was met, then its function, False where it is none
_walks: dict[tuple[int, int, int], Any] = cache(f"{__name__}._walks", {})


def written_out(y: Node, target: Node) -> Tensor | None:
    """The gradient of a scalar with respect to a variable, where its walk has been written out; None where the ordinary
    walk has to be taken."""
    if y.shape or y.site is None or not y.operation.unwatched:
        return None
    code, instruction = y.site
    place = (id(code), instruction, y.number)
    walk = _walks.get(place, 0)
    if callable(walk):
        return walk(y, target)
    if walk is not False:
        if len(_walks) > 1024:
            _walks.clear()
        _walks[place] = walk + 1 if walk < WORTHWHILE else _Writer(y, target).function()
    return None


class _Writer:
    """Writes the walk from y to a vector whose entries are read one by one."""

    def __init__(self, y: Node, target: Node):
        self.target = target
        self.place = y.site[0].co_name if y.site else "unknown"
        self.order, self.active = between((y,), {target}) if y.number - target.number < LONGEST else ([], set())
        (value,) = target.values
        one = torch.ones((), dtype=y.dtype, device=value.device)
        self.known: dict[str, Any] = {"ONE": one, "device": value.device, "dtype": y.dtype,
                                      "stack": torch.stack, "Tensor": Tensor,
                                      "isfinite": math.isfinite, "thread": thread}
        self.names = {node: "t" if node is target else f"n{k}" for k, node in enumerate(self.order)}
        self.bars: dict[Node, str] = {y: "ONE"}
        self.steps: list[str] = []

    def function(self) -> Callable[[Node, Node], Tensor | None] | bool:
        """The function, False where the trace is not scalar code."""
        nodes = [n for n in self.order if n is not self.target]
        if not nodes or self.target not in self.active or self.target.ndim != 1:
            return False
        dtype = nodes[0].dtype
        reads: dict[int, str] = {}
        reading: list[Node] = []
        for node in nodes:
            operation, bar = node.operation, self.bars.get(node)
            at = (operation.reads_at(node.params) if operation.reads_at is not None and node.parents[0] is self.target
                  else None)
            scalar = not node.shape and node.dtype is dtype and node.dropped is None
            if (bar is None or not scalar
                or at is None and (operation.raw_pulls is None or not isinstance(operation, Elementwise))):
                return False
            if any(p is not None and p not in self.names for p in node.parents):
                return False
            if at is None:
                self._pull(node, bar)
            else:
                reading.append(node)
                at %= self.target.shape[0]
                reads[at] = f"{reads[at]} + {bar}" if at in reads else bar
        if self.target.dtype is not dtype or dtype.is_complex:
            return False
        (value,) = self.target.values
        may_be_nan = "n0.trace.guarded and (thread.recording or not all(map(isfinite, bar.tolist())))"
        guard = [] if value.is_meta else [f"if {may_be_nan}: return None"]
        rows = [reads.get(k, "zero") for k in range(self.target.shape[0])]
        self.known |= {"shape": self.target.shape, "zero": torch.zeros_like(self.known["ONE"])}
        lines = [*checks(self.order, self.names, self.known, reading),
                 "if t.shape != shape or t.values[0].device != device: return None", *self.steps,
                 f"bar = stack(({', '.join(rows)},))",
                 *guard, "return bar if bar.dtype is dtype else None"]
        return written(f"{self.place}.gradient", "n0, t", *lines, **self.known)

    def _pull(self, node: Node, bar: str) -> None:
        """The cotangents of a node's parents."""
        name, operation = self.names[node], node.operation
        assert isinstance(operation, Elementwise)
        for k, parent in enumerate(node.parents):
            if parent is None:
                continue
            stated = operation.stated[k] if operation.fused_pull is None else None
            if stated == 0:
                continue
            if stated == 1:
                its = bar
            elif stated == -1:
                its = f"-{bar}"
            elif isinstance(stated, str):
                factor = f"{name}.values[{operation.inputs.index(stated)}]"
                its = (f"({factor} if type({factor}) is Tensor else ONE * {factor})" if bar == "ONE"
                       else f"{bar} * {factor}")
            else:
                self.known[f"pull_{name}_{k}"] = operation.raw_pulls[k]  # type: ignore[index]
                its = f"bar_{name}_{k}"
                self.steps += [f"{its} = pull_{name}_{k}({name}.values, {name}.params, {name}, {bar})",
                               # no derivative after all: the ordinary walk knows what to do
                               f"if {its} is None: return None"]
            before = self.bars.get(parent)
            if before is not None:
                its = f"{before} + {its}"
            if its not in (bar, f"bar_{name}_{k}"):
                self.steps.append(f"bar_{name}_{k} = {its}")
                its = f"bar_{name}_{k}"
            self.bars[parent] = its
