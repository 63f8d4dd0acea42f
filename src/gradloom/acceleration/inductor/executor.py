"""The executor "inductor": a whole program as one function that torch's compiler makes.

What must be asked on each call (guards) is asked of results, once the rest is done; what is only a view of an argument
is made of that, as it was recorded.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ...machine.dtypes import Tensor
from ...machine.modes import under
from ..program import Program, fixed
from ..recorder import Slot, Step, filled
from ..writing import Names, statements, straight
from .graph import Listening, NotInductor
from .process import compiled

MOST = 64  # functions that one process loads, since what is loaded stays
_loaded: list[None] = []


class Heard:
    """A program that runs as it was recorded, and is heard while it does. `why` says what stands against compiling it;
    `ready` whether it was heard to its end."""

    def __init__(self, program: Program):
        self.program = program
        self._plain = straight(program)
        self._listening: Listening | None = None
        self._numbers: dict[int, int] = {}  # of a slot: the number of its array
        self._threads = 0
        self.why = _refused(program)

    @property
    def ready(self) -> bool:
        """Whether there is something to compile."""
        return self._listening is not None

    def __call__(self, *values: Tensor) -> Any:
        """What the program gives: None where a guard does not hold."""
        if not self.why:
            try:
                return self._heard(values)
            except NotInductor as error:
                self.why = str(error)
        return self._plain(*values)

    def _heard(self, values: tuple[Tensor, ...]) -> Any:
        program, listening = self.program, Listening()
        arrays = {**program.constants, **{s.number: x for s, x in zip(program.inputs, values, strict=True)}}
        if len({id(x) for x in arrays.values()}) < len(arrays):
            raise NotInductor("one array comes in two places")
        numbers = {n: listening.enter(x, n in program.constants and fixed(x)) for n, x in arrays.items()}
        kept = set(arrays) | {s.number for s in _asked(program)}
        last = {s.number: k for k, step in enumerate(program.steps) for s in (*step.reads, *step.outputs)}
        for k, step in enumerate(program.steps):
            args, options = filled(step.args, arrays), filled(step.kwargs, arrays)
            if step.guard:
                if step.function(*args, **options) != step.expected:
                    return None
                continue
            result = under([listening], step.function, *args, **options)
            for s, x in step.made(result):
                arrays[s.number] = x
                number = listening.number(x)
                if number is None:
                    raise NotInductor("an array comes from where nothing is heard")
                numbers[s.number] = number
            for s in (*step.reads, *step.outputs):
                if last[s.number] == k and s.number not in kept:
                    arrays.pop(s.number, None)
        self._listening, self._numbers, self._threads = listening, numbers, torch.get_num_threads()
        return tuple([arrays[s.number].clone() if s.number in program.constants else arrays[s.number]
                      for s in program.outputs])

    # ----- the function -----

    def function(self, aside: bool, wanted: Callable[[], bool]) -> Callable[..., Any]:
        """The program compiled; `aside`: while it runs as it is, `wanted` says whether anybody still needs it."""
        listening, program = self._listening, self.program
        if listening is None:
            raise NotInductor(self.why or "it was not heard")
        if len(_loaded) >= MOST:
            raise NotInductor(f"this process has loaded {MOST} functions, which stay")
        views = list(self._views())
        own = {s.number for step in views for s in step.outputs} | program.constants.keys()
        own |= {s.number for s in program.inputs}
        results = list(dict.fromkeys([self._numbers[s.number] for s in _asked(program) if s.number not in own]))
        if not results:
            raise NotInductor("it computes nothing")
        outputs = results + [listening.holds] if listening.holds is not None else results
        given = {self._numbers[n]: f"v{n}" for n in (*[s.number for s in program.inputs], *program.constants)}
        given |= {n: f"c{n}" for n in listening.written_out}
        graph = listening.graph(outputs)
        start = time.monotonic()
        made = compiled(graph, self._threads, aside, wanted)
        seconds = time.monotonic() - start
        _loaded.append(None)
        bound = {f"v{n}": x for n, x in program.constants.items()}
        bound |= {f"c{n}": x for n, x in listening.written_out.items()}
        names = Names({**bound, "compiled": made, "threads": torch.get_num_threads, "plain": self._plain})
        arguments = [f"v{s.number}" for s in program.inputs]
        lines = [f"if threads() != {self._threads}: return plain({', '.join(arguments)})",
                 f"{', '.join([f'r{n}' for n in outputs])}, = compiled("
                 f"{', '.join([given[number] for number, *_ in graph['given']])})"]
        if listening.holds is not None:
            lines.append(f"if not r{listening.holds}: return None")
        lines += [f"v{s.number} = r{self._numbers[s.number]}" for s in
                  {s.number: s for s in _asked(program) if s.number not in own}.values()]
        for step in (*views, *[step for step in program.steps if step.guard]):
            lines += statements(step, names)
        lines.append("return (" + "".join([f"v{s.number}{'.clone()' if s.number in program.constants else ''}, "
                                           for s in program.outputs]) + ")")
        run = names.made("inductor", arguments, lines)
        run.words = f"compiled in {seconds:.1f} s"  # type: ignore[attr-defined]
        return run

    def _views(self) -> Iterator[Step]:
        """The steps that make, of arguments and constants, those views of them that somebody reads afterwards."""
        program = self.program
        there = {s.number for s in program.inputs} | program.constants.keys()
        outer = {s.root for s in program.inputs}
        outer |= {s.root for step in program.steps for s in step.reads if s.number in program.constants}
        needed = {s.number for s in _asked(program) if s.root in outer} - there
        found = []
        for step in reversed(program.steps):
            if needed & {s.number for s in step.outputs}:
                if not all([s.root in outer for s in step.reads]):
                    raise NotInductor("a result is a view whose place is computed")
                needed |= {s.number for s in step.reads} - there
                found.append(step)
        return reversed(found)


def _refused(program: Program) -> str:
    """What can be said against a program before it is heard; "" where nothing can."""
    slots = [*program.inputs, *[s for step in program.steps for s in (*step.reads, *step.outputs)]]
    if program.draws:
        return "random numbers are drawn"
    if any([step.decides and not step.guard for step in program.steps]):
        return "shapes depend on values"
    if any([s.strides is None for s in slots]):
        return "arrays that are not strided"
    if any([s.dtype.is_complex for s in slots]):
        return "complex numbers"
    device = next((s.device for s in slots if s.device.type != "cpu"), None)
    return f"arrays on {device}" if device is not None else ""


def _asked(program: Program) -> list[Slot]:
    """What is read when all is done: results, and what guards ask."""
    return [*program.outputs, *[s for step in program.steps if step.guard for s in step.reads]]


__all__ = ["Heard"]
