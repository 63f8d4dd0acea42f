"""A program as a graph of ATen's operations: heard while it runs once, on the arguments of a call.

A mode of torch's hears what its functions come down to, with the shapes that there are. Everything is named by a
number: what is given (arguments, and constants that the program reads), and what operations make. The graph is plain
data, which another process can read.
"""
from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ...machine.dtypes import Tensor
from .nodes import Node, Number
from .ranges import Range, ranges
from .rewriting import rewritten

FORMS = (torch.dtype, torch.device, torch.layout, torch.memory_format)  # what is written by its name
LIBRARIES = ("aten", "mkldnn")  # whose operations every process has
REFUSED = {"_local_scalar_dense": "a call reads a number out of an array",
           "mkldnn_rnn_layer": "torch's compiler does not know what it hands to its derivative"}


class NotInductor(Exception):
    """A program that stays with torch's own calls."""


class Listening(TorchDispatchMode):
    """Hears while it is entered. `written_out`: arrays that stand in the program itself, by number; `holds`: a truth
    value that each call must find, where an index could lie outside."""

    def __init__(self) -> None:
        super().__init__()
        self.written_out: dict[int, Tensor] = {}
        self.holds: int | None = None
        self._given: dict[int, tuple[Any, ...]] = {}
        self._read: set[int] = set()
        self._nodes: list[Node] = []
        self._numbers: dict[int, tuple[weakref.ref[Tensor], int]] = {}
        self._still: set[int] = set()  # numbers of what is the same in each call
        self._count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler, which takes seconds

    # ----- numbers -----

    def enter(self, x: Tensor, still: bool) -> int:
        """The number of something that is there: an argument, or (`still`) what is the same in each call."""
        number = self.number(x)
        if number is None:
            number = self._named(x)
            self._given[number] = tuple(x.shape), x.stride(), x.dtype
            if still:
                self._still.add(number)
        return number

    def number(self, x: Tensor) -> int | None:
        """The number of an array, where it has one."""
        known = self._numbers.get(id(x))
        return known[1] if known is not None and known[0]() is x else None

    def _named(self, x: Tensor) -> int:
        number = self._new()
        self._numbers[id(x)] = weakref.ref(x), number
        return number

    def _new(self) -> int:
        self._count += 1
        return self._count

    # ----- hearing -----

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, str(function)
        why = ("it is no operation of torch's own" if name.partition(".")[0] not in LIBRARIES
               else REFUSED.get(name.split(".")[1]))
        if why is not None:
            raise NotInductor(f"{name}: {why}")
        if name == "aten.lift_fresh.default":
            return self._lifted(args[0])
        bounded = {id(r.places): self._bounded(r) for r in ranges(name, args)}
        its, named = self._template(args, bounded), self._template(kwargs, {})
        result = function(*args, **kwargs)
        self._nodes += rewritten(Node(name, its, named, self._results(result)), self._new)
        return result

    def _lifted(self, x: Tensor) -> Tensor:
        """Numbers that stand in the program: each call has an array of its own of them."""
        kept = x.clone()
        self.written_out[self.enter(kept, still=True)] = kept
        self._nodes.append(Node("aten.clone.default", [self._template(kept, {})], {}, self._named(x)))
        return x

    def _template(self, x: Any, bounded: dict[int, int]) -> Any:
        if isinstance(x, Tensor):
            number = bounded.get(id(x)) or self.number(x)
            if number is None:
                raise NotInductor("an array comes from where nothing is heard")
            self._read.add(number)
            return Number(number)
        if type(x) in (list, tuple):
            return [self._template(y, bounded) for y in x]
        if type(x) is dict:
            return {k: self._template(y, bounded) for k, y in x.items()}
        if x is None or type(x) in (bool, int, float, str) or isinstance(x, FORMS):
            return x
        raise NotInductor(f"an operation takes a {type(x).__name__}")

    def _results(self, result: Any) -> Any:
        """Numbers of results: a new one for each that has none."""
        if isinstance(result, Tensor):
            if result.layout is not torch.strided or result.is_complex():
                raise NotInductor("complex numbers" if result.is_complex() else f"arrays that are {result.layout}")
            return self.number(result) or self._named(result)
        if result is None:
            return None
        if type(result) in (list, tuple) and all([x is None or isinstance(x, Tensor) for x in result]):
            return [self._results(x) for x in result]
        raise NotInductor("an operation gives what is no array")

    def _made(self, name: str, x: int, *args: Any) -> int:
        """The number of what an operation makes of that of an array."""
        number = self._new()
        self._read.add(x)
        self._nodes.append(Node(name, [Number(x), *args], {}, number))
        return number

    def _bounded(self, its: Range) -> int:
        """An index that is given to an operation: where it lies outside, one inside, and each call is told of it."""
        index = self.number(its.places)
        if index is None or index in self._still:
            return index or 0
        inside = self._made("aten.clamp.default", index, its.low, its.high)
        if its.besides is not None:
            left = self._made("aten.eq.Scalar", index, its.besides)
            inside = self._made("aten.where.self", left, Number(index), Number(inside))
        every = self._made("aten.all.default", self._made("aten.eq.Tensor", inside, Number(index)))
        self.holds = every if self.holds is None else self._made("aten.logical_and.default", self.holds, Number(every))
        return inside

    def graph(self, outputs: Sequence[int]) -> dict[str, Any]:
        """What leads to these outputs, as JSON has it."""
        given = [number for number in self._given if number in self._read or number in outputs]
        return {"given": [[number, *map(_plain, self._given[number])] for number in given],
                "nodes": [[node.name, _plain(node.args), _plain(node.kwargs), node.outputs] for node in self._nodes],
                "outputs": list(outputs)}


def _plain(x: Any) -> Any:
    """Arguments as JSON has them: what is no number, text, truth or list is a dict of one key."""
    if isinstance(x, Number):
        return {"array": x.number}
    if isinstance(x, FORMS):
        return {"form": str(x).removeprefix("torch.")} if not isinstance(x, torch.device) else {"device": str(x)}
    if type(x) is float and not math.isfinite(x):
        return {"float": repr(x)}
    if type(x) in (list, tuple):
        return [_plain(y) for y in x]
    if type(x) is dict:
        return {k: _plain(y) for k, y in x.items()}
    return x


__all__ = ["Listening", "NotInductor"]
