"""A program as one Python function over torch's functions."""
from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from ..machine.dtypes import Tensor
from ..machine.random import generator
from .calls import OPERATORS
from .program import Program
from .recorder import Slot, Step, Stream

_numbers = count(1)


class Names:
    """What a text refers to, by name."""

    def __init__(self, bound: dict[str, Any] | None = None):
        self.bound: dict[str, Any] = {"generator": generator, **(bound or {})}
        self._known: dict[int, str] = {}

    def of(self, x: Any) -> str:
        """How a value is written: itself where that is text enough, else a name."""
        if x is None or type(x) in (bool, int, str) or type(x) is float and math.isfinite(x):
            return repr(x)
        name = self._known.get(id(x))
        if name is None:
            word = "".join([c if c.isalnum() else "_" for c in getattr(x, "__name__", type(x).__name__)])
            name = self._known[id(x)] = f"{word}_{len(self.bound)}"
            self.bound[name] = x
        return name

    def made(self, name: str, arguments: Sequence[str], lines: Sequence[str]) -> Callable[..., Any]:
        """The function of this text. What it refers to are its closure's, which it reads fastest."""
        body = "\n    ".join(lines)
        text = (f"def make({', '.join(self.bound)}):\n  def {name}({', '.join(arguments)}):\n    {body}\n"
                f"  return {name}\n")
        file = f"<accelerated {name} {next(_numbers)}>"
        space: dict[str, Any] = {}
        exec(compile(text, file, "exec"), space)
        made: Callable[..., Any] = space["make"](**self.bound)
        made.__doc__ = text
        return made


def straight(program: Program) -> Callable[..., Any]:
    """The straight line: input tensors in, a tuple of tensors out; None where a guard does not hold."""
    names = Names({f"v{number}": x for number, x in program.constants.items()})
    steps = program.in_place()
    last = {s.number: k for k, step in enumerate(steps) for s in (*step.reads, *step.outputs)}
    kept = {s.number for s in (*program.outputs, *program.inputs)} | set(program.constants)
    # what enters is let go as soon as it was read for the last time only by its caller
    lines = []
    for k, step in enumerate(steps):
        lines += statements(step, names)
        gone = sorted({s.number for s in (*step.reads, *step.outputs) if last[s.number] == k} - kept)
        if gone:
            lines.append("del " + ", ".join([f"v{n}" for n in gone]))
    # an array from outside goes out as a copy: nobody may change what the next call reads
    lines.append("return (" + "".join([f"v{s.number}.clone(), " if s.number in program.constants else f"v{s.number}, "
                                       for s in program.outputs]) + ")")
    return names.made("replay", [f"v{s.number}" for s in program.inputs], lines)


def statements(step: Step, names: Names) -> list[str]:
    call = _written(step, names)
    if step.guard:
        return [f"if {call} != {names.of(step.expected)}: return None"]
    if step.gives_back:
        return [call]
    if step.single:
        lines = [f"v{step.outputs[0].number} = {call}"]
    elif len(step.form or ()):
        lines = [f"{', '.join(['_' if s is None else f'v{s.number}' for s in step.form or ()])}, = {call}"]
    else:
        lines = [call]
    if step.expected is not None:
        wrong = " or ".join([f"v{s.number}.shape != {e!r}" for s, e in zip(step.outputs, step.expected, strict=True)])
        lines.append(f"if {wrong}: return None")
    return lines


def _written(step: Step, names: Names) -> str:
    """The call as it is written."""
    function = step.function

    def value(x: Any) -> str:
        if isinstance(x, Slot):
            return f"v{x.number}"
        if isinstance(x, Stream):
            return f"generator({x.device!r})"
        if type(x) is list:
            return f"[{', '.join(map(value, x))}]"
        if type(x) is tuple:
            return f"({', '.join(map(value, x))},)" if x else "()"
        if type(x) is dict:
            return "{" + ", ".join([f"{k!r}: {value(v)}" for k, v in x.items()]) + "}"
        if type(x) is slice:
            return f"slice({value(x.start)}, {value(x.stop)}, {value(x.step)})"
        return names.of(x)

    args, kwargs = step.args, step.kwargs
    if isinstance(function, types.MethodWrapperType) and function.__name__ == "__get__":  # an attribute
        return f"{value(args[0])}.{function.__self__.__name__}"  # type: ignore[attr-defined]
    if function is Tensor.__getitem__:
        return f"{value(args[0])}[{value(args[1])}]"
    if function in OPERATORS and len(args) == 2 and not kwargs and isinstance(args[0], Slot):
        return f"{value(args[0])} {OPERATORS[function]} {value(args[1])}"
    if all([k.isidentifier() for k in kwargs]):
        options = [f"{k}={value(x)}" for k, x in kwargs.items()]
    else:
        options = [f"**{value(kwargs)}"]
    return f"{names.of(function)}({', '.join([value(x) for x in args] + options)})"


__all__ = ["Names", "statements", "straight"]
