"""Programs of a few numbers: the same straight line in Python's own floats, which cost 30 ns where a call of torch
costs 1 us.

An array of at most LARGEST doubles is a name for each of its elements. Python's floats are IEEE doubles, and + - * /
give the same bits as torch's. What raises instead (a division by zero, an overflow in exp) is left to the straight line
over torch.
"""
from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..machine.dtypes import Tensor
from ..machine.questions import decided, read
from .program import Program, fixed
from .recorder import Slot, Step
from .writing import Names, straight

LARGEST = 16  # elements of an array
MOST = 2000  # lines
DEEPEST = 16  # parentheses in what is written into another line
_NAME = re.compile(r"\bt\d+\b")
_BINARY = {f: symbol for symbol, names in (("*", ("mul", "__mul__", "__rmul__")), ("+", ("add", "__add__", "__radd__")),
                                           ("-", ("sub", "__sub__")), ("/", ("div", "__truediv__")))
           for name in names for owner in (Tensor, torch) if (f := getattr(owner, name, None)) is not None}
_UNARY = {f: name for name in ("exp", "log", "sin", "cos", "tanh", "sqrt", "sinh", "cosh", "atan", "expm1", "log1p")
          for owner in (Tensor, torch) if (f := getattr(owner, name, None)) is not None}
_NEGATIONS = {Tensor.neg, Tensor.__neg__, torch.neg, torch.negative, Tensor.negative}
_MOVES = {Tensor.__getitem__, Tensor.select, torch.select, Tensor.reshape, torch.reshape, Tensor.view, Tensor.squeeze,
          torch.squeeze, Tensor.unsqueeze, torch.unsqueeze, Tensor.permute, torch.permute, Tensor.expand, Tensor.narrow,
          Tensor.flatten, torch.flatten, Tensor.mT.__get__, Tensor.T.__get__}  # type: ignore[attr-defined]
_SAME = {Tensor.clone, torch.clone, Tensor.contiguous, Tensor.detach}
_SQUARES = {torch.square, Tensor.square}
_POWERS = {Tensor.pow, torch.pow, Tensor.__pow__}
_SUMS = {Tensor.sum, torch.sum}


class NotScalar(Exception):
    """A program that is not made of a few numbers."""


def scalars(program: Program) -> Callable[..., Any]:
    """The program in Python's floats; raises NotScalar where it is not made of a few doubles."""
    return _Scalars(program).function()


class _Scalars:
    def __init__(self, program: Program):
        self.program = program
        self.lines: list[str] = []
        self.names: dict[int, list[str]] = {}  # of a slot: those of its elements, in order
        self.shapes: dict[int, tuple[int, ...]] = {}
        self._truths: dict[int, str] = {}  # the name of a slot that holds one truth value
        self._known: dict[str, str] = {}  # an expression: its name
        for s in (*program.inputs, *program.outputs):
            _check(s.shape, s.dtype, s.device)
        for s in program.inputs:
            self._set(s, [f"x{s.number}_{k}" for k in range(math.prod(s.shape))])
        for number, value in program.constants.items():
            _check(tuple(value.shape), value.dtype, value.device)
            if not fixed(value) or not decided(torch.isfinite(value).all()):
                raise NotScalar("a constant that is not finite, or can change unseen")
            self.names[number] = [repr(v) for v in read(value.reshape(-1))]
            self.shapes[number] = tuple(value.shape)
        for step in program.steps:
            self._take(step)
            if len(self.lines) > MOST:
                raise NotScalar("too long")
        if len({s.root for s in program.outputs}) < len(program.outputs) or {s.root for s in program.outputs} & {
                s.root for s in program.inputs}:
            raise NotScalar("results that share memory")

    def _set(self, s: Slot, names: list[str]) -> None:
        self.names[s.number], self.shapes[s.number] = names, s.shape

    def _value(self, expression: str) -> str:
        """A name for an expression; the same one for the same."""
        if expression not in self._known:
            self._known[expression] = f"t{len(self._known)}"
            self.lines.append(f"{self._known[expression]} = {expression}")
        return self._known[expression]

    def _spread(self, x: Any, shape: tuple[int, ...]) -> list[str]:
        """The names of an operand's elements, broadcast."""
        if not isinstance(x, Slot):
            if type(x) not in (int, float) or not math.isfinite(x):
                raise NotScalar(f"an operand {x!r}")
            return [repr(float(x))] * math.prod(shape)
        its = self.names[x.number]
        places = torch.arange(len(its), device="cpu").reshape(self.shapes[x.number]).expand(shape)
        return [its[k] for k in read(places.reshape(-1))]

    def _take(self, step: Step) -> None:
        f, args, options = step.function, step.args, dict(step.kwargs)
        if step.guard and f is Tensor.__bool__ and args[0].number in self._truths:
            self.lines.append(f"if {self._truths[args[0].number]} is not {step.expected}: return None")
            return
        if f is torch.isfinite and args[0].shape == ():
            self._truths[step.outputs[0].number] = self._value(f"isfinite({self.names[args[0].number][0]})")
            return
        o = step.outputs[0] if step.outputs else None
        if step.decides or step.draws or o is None or not step.single or step.writes and "out" not in options:
            raise NotScalar(str(f))
        options.pop("out", None)
        _check(o.shape, o.dtype, o.device)
        if f in _BINARY and not options and len(args) == 2:
            found = [self._product(p, q) if _BINARY[f] == "*" else self._value(f"{p} {_BINARY[f]} {q}")
                     for p, q in zip(*[self._spread(x, o.shape) for x in args], strict=True)]
        elif f in _UNARY and not options:
            found = [self._value(f"{_UNARY[f]}({p})") for p in self._spread(args[0], o.shape)]
        elif f in _NEGATIONS:
            found = [self._value(f"-{p}") for p in self._spread(args[0], o.shape)]
        elif f in _SQUARES or f in _POWERS and not options and args[1:] in ((2,), (2.0,)):
            found = [self._value(f"{p} * {p}") for p in self._spread(args[0], o.shape)]
        elif f is torch.addcmul and set(options) <= {"value"} and len(args) == 3:
            found = self._added(args, float(options.get("value", 1)), o)
        elif f in _SAME and not options:
            found = self._spread(args[0], o.shape)
        elif f in _MOVES:
            found = self._moved(step, options)
        elif f is torch.stack and args[1:] in ((), (0,)) and options in ({}, {"dim": 0}):
            found = [n for s in args[0] for n in self._spread(s, s.shape if isinstance(s, Slot) else ())]
        elif f in _SUMS and o.shape == ():
            its = self.names[args[0].number]
            found = ["0.0"]  # as torch's does, which tells in the sign of a zero
            for n in its:
                found = [self._value(f"{found[0]} + {n}")]
        else:
            raise NotScalar(str(f))
        self._set(o, found)

    def _added(self, args: Any, value: float, o: Slot) -> list[str]:
        """addcmul: p + value (q r)."""
        found = []
        for p, q, r in zip(*[self._spread(x, o.shape) for x in args], strict=True):
            product = self._product(repr(value), self._product(q, r))
            found.append(self._value(f"{p} + {product}"))
        return found

    def _product(self, p: str, q: str) -> str:
        """1 times something is that, to the bit."""
        return q if p == "1.0" else p if q == "1.0" else self._value(f"{p} * {q}")

    def _moved(self, step: Step, options: dict[str, Any]) -> list[str]:
        """Elements in another order: the call itself, on their numbers."""
        x = step.args[0]
        if not isinstance(x, Slot) or any([isinstance(a, Slot) for a in _flat(step.args[1:])]):
            raise NotScalar("a place that is an array")
        its = self.names[x.number]
        places = torch.arange(len(its), device="cpu").reshape(self.shapes[x.number])
        moved = step.function(places, *step.args[1:], **options)
        return [its[k] for k in read(moved.reshape(-1))]

    def function(self) -> Callable[..., Any]:
        names = Names({"from_numpy": torch.from_numpy, "array": np.array, "plain": straight(self.program),
                       "isfinite": math.isfinite,
                       **{name: getattr(math, name) for name in sorted(set(_UNARY.values()))}})
        given = [f"v{s.number}" for s in self.program.inputs]
        body = [f"{', '.join(self.names[s.number])}{',' if s.shape else ''} = v{s.number}"
                f"{'.reshape(-1)' if len(s.shape) > 1 else ''}.{'tolist' if s.shape else 'item'}()"
                for s in self.program.inputs if self.names[s.number]]
        results = [f"from_numpy(array({', '.join(self.names[s.number])}))" if not s.shape else
                   f"from_numpy(array([{', '.join(self.names[s.number])}]))"
                   + (f".view({s.shape})" if len(s.shape) > 1 else "") for s in self.program.outputs]
        body += _inlined([*self.lines, f"return {', '.join(results)},"])
        lines = ["try:", *["  " + line for line in body], "except (ZeroDivisionError, OverflowError, ValueError):",
                 f"  return plain({', '.join(given)})"]
        return names.made("scalars", given, lines)


def _inlined(lines: list[str]) -> list[str]:
    """What is read once stands where it is read: no name is stored and loaded."""
    written = [line.split(" = ", 1) for line in lines]
    uses = Counter([name for *_, expression in written for name in _NAME.findall(expression)])
    inside: dict[str, str] = {}
    kept = []
    for *name, expression in written:
        expression = _NAME.sub(lambda found: inside.get(found[0], found[0]), expression)
        if name and uses[name[0]] == 1 and expression.count("(") < DEEPEST:
            inside[name[0]] = f"({expression})"
        elif not name or uses[name[0]]:
            kept.append(" = ".join([*name, expression]))
    return kept


def _flat(x: Any) -> list[Any]:
    return [z for y in x for z in _flat(y)] if isinstance(x, (list, tuple)) else [x]


def _check(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    if math.prod(shape) > LARGEST or 0 in shape or dtype is not torch.float64 or device.type != "cpu":
        raise NotScalar(f"{shape} {dtype}")


__all__ = ["NotScalar", "scalars"]
