"""Recording: every call of torch that a function makes, kept as one straight line of steps.

A mode of torch's hears the calls themselves (torch.mul, Tensor.add_, a draw from a generator), with the arguments that
the caller wrote. What a call did is observed, not looked up: an argument whose version has moved was written to, a
result in the memory of another is a view. A value that becomes Python's is a guard where it is a truth or an integer;
anything else ends the recording, and the call goes on unheard, so that its result is the plain one in any case.
"""
from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..core.errors import line_of, user_site
from ..machine.dtypes import Tensor
from ..machine.random import generator
from . import calls


class Slot:
    """A place for a tensor. `root`: the number of the slot whose memory this is, its own unless it is a view; `offset`:
    where in the storage it begins."""

    __slots__ = ("device", "dtype", "number", "offset", "root", "shape", "strides", "whole")

    def __init__(self, number: int, value: Tensor, root: int):
        strided = value.layout is torch.strided
        self.number, self.root = number, root
        self.shape, self.dtype, self.device = tuple(value.shape), value.dtype, value.device
        self.strides = value.stride() if strided else None
        self.offset = int(value.storage_offset()) if strided else 0
        self.whole = strided and value.is_contiguous()

    def again(self, number: int) -> Slot:
        """Another slot for the same kind of tensor."""
        made = object.__new__(Slot)
        for name in Slot.__slots__:
            setattr(made, name, getattr(self, name))
        made.number = made.root = number
        return made

    def __repr__(self) -> str:
        return f"v{self.number}"


class Stream:
    """In the place of a generator of this library: that of the thread that replays."""

    __slots__ = ("device",)

    def __init__(self, device: torch.device):
        self.device = str(device)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.device == self.device

    __hash__ = None  # type: ignore[assignment]


class Step:
    """One call. `writes`: the slots that it changed. `form`: of several results a slot for each that is new, else None.
    `expected`: of a guard its answer, of results whose shapes depend on values these shapes. `part`: a number for
    what is computed again on purpose, 0 for all else."""

    __slots__ = ("args", "draws", "expected", "form", "function", "guard", "kwargs", "outputs", "part", "reads",
                 "single", "writes")

    def __init__(self, function: Any, args: Any, kwargs: Any, reads: Sequence[Slot], outputs: Sequence[Slot],
                 single: bool, writes: Sequence[Slot], guard: bool = False, expected: Any = None, draws: bool = False,
                 form: list[Slot | None] | None = None, part: int = 0):
        self.function, self.args, self.kwargs = function, args, kwargs
        self.reads, self.outputs, self.single, self.writes = list(reads), list(outputs), single, list(writes)
        self.guard, self.expected, self.draws, self.form, self.part = guard, expected, draws, form, part

    @property
    def decides(self) -> bool:
        """Whether another recording is needed where it comes out otherwise."""
        return self.guard or self.expected is not None

    @property
    def gives_back(self) -> bool:
        """Whether it gives no new array: nothing, or what it wrote into."""
        return not self.outputs or not self.form and self.outputs[0].number in {s.number for s in self.reads}

    def made(self, result: Any) -> list[tuple[Slot, Tensor]]:
        """The new arrays among what it gave, each with its slot."""
        if self.gives_back:
            return []
        if self.single:
            return [(self.outputs[0], result)]
        return [(s, x) for s, x in zip(self.form or (), result or (), strict=True) if s is not None]

    def replaced(self, renamed: dict[int, Slot]) -> Step:
        """The same step reading other slots."""
        if not any([s.number in renamed for s in self.reads]):
            return self
        values = {s.number: renamed.get(s.number, s) for s in self.reads}
        return Step(self.function, filled(self.args, values), filled(self.kwargs, values),
                    [values[s.number] for s in self.reads], self.outputs, self.single,
                    [values.get(s.number, s) for s in self.writes], self.guard, self.expected, self.draws, self.form,
                    self.part)


def filled(x: Any, values: dict[int, Any]) -> Any:
    """Arguments with something in the place of each slot."""
    if isinstance(x, Slot):
        return values.get(x.number, x)
    if isinstance(x, Stream):
        return generator(x.device)
    if type(x) in (list, tuple):
        return type(x)([filled(y, values) for y in x])
    if type(x) is dict:
        return {k: filled(v, values) for k, v in x.items()}
    if type(x) is slice:
        return slice(*(filled(y, values) for y in (x.start, x.stop, x.step)))
    return x


def tensors_of(x: Any, found: list[Tensor]) -> list[Tensor]:
    """The tensors in a call's arguments or results, in order."""
    if isinstance(x, Tensor):
        found.append(x)
    elif isinstance(x, (list, tuple)):
        for y in x:
            tensors_of(y, found)
    elif isinstance(x, dict):
        for y in x.values():
            tensors_of(y, found)
    elif isinstance(x, slice):
        tensors_of((x.start, x.stop, x.step), found)
    return found


def plain_tensor(x: Any) -> bool:
    """Whether something is a tensor that leaves all answers to torch, as torch's parameters do."""
    return isinstance(x, Tensor) and type(x).__torch_dispatch__ is Tensor.__torch_dispatch__ and (
        type(x) is Tensor or type(x).__torch_function__ is torch._C._disabled_torch_function_impl)


class _Seen(weakref.ref):  # type: ignore[type-arg]
    """A tensor that has a slot, as long as it lives."""

    __slots__ = ("key", "memory", "slot")
    key: int
    memory: int | None
    slot: Slot


class Recorder(TorchFunctionMode):
    """Records while it is entered. `why`: what ended the recording, None while nothing did."""

    def __init__(self, inputs: Sequence[Tensor]):
        super().__init__()
        self.steps: list[Step] = []
        self.why: str | None = None
        self.constants: dict[int, Tensor] = {}  # by the number of the slot: what was there before
        self.shared: set[int] = set()  # roots whose memory something holds that is no plain array
        self._slots: dict[int, _Seen] = {}
        self._memory: dict[int, list[int]] = {}  # a storage: its root, and how many living tensors have slots in it
        self.count = 0
        self.part = self.parts = 0
        self.inputs = [self._slot(x) for x in inputs]
        self._given = {s.root for s in self.inputs}
        self._moving = set(self._given)  # roots of what depends on the inputs, or was drawn

    def end(self, why: str) -> None:
        """Hear nothing more: what follows cannot be repeated."""
        if self.why is None:
            self.why = f"{why}, at {line_of(user_site())}"
            self.steps.clear()

    def anew(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run what computes again, to save memory, what was computed before: no step of it is a repeat."""
        outer = self.part
        try:
            self.part = self.parts = self.parts + 1
            return function(*args, **options)
        finally:
            self.part = outer

    # ----- slots -----

    def _slot(self, x: Tensor) -> Slot:
        number, self.count = self.count, self.count + 1
        memory, root = None, number
        if x.layout is torch.strided:
            memory = x.untyped_storage()._cdata
            known = self._memory.setdefault(memory, [number, 0])
            known[1] += 1
            root = known[0]
        slot = Slot(number, x, root)
        seen = _Seen(x, self._gone)
        seen.key, seen.memory, seen.slot = id(x), memory, slot
        self._slots[id(x)] = seen
        return slot

    def _gone(self, seen: Any) -> None:
        held: Any = self._slots.get(seen.key)
        if held is seen:
            del self._slots[seen.key]
        if seen.memory is not None:
            known = self._memory.get(seen.memory)
            if known is not None:
                known[1] -= 1
                if not known[1]:
                    del self._memory[seen.memory]

    def known(self, x: Tensor) -> Slot | None:
        """The slot of a tensor, where it has one."""
        seen = self._slots.get(id(x))
        return None if seen is None else seen.slot

    def slot_of(self, x: Tensor) -> Slot:
        """The slot of a tensor; one that was there before the recording is a constant."""
        seen = self._slots.get(id(x))
        if seen is not None:
            return seen.slot
        slot = self._slot(x)
        self.constants[slot.number] = x
        return slot

    def moves(self, slot: Slot) -> bool:
        """Whether what is there differs from call to call."""
        return slot.root in self._moving

    def _template(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            return self.slot_of(x)
        if isinstance(x, torch.Generator):
            return Stream(x.device) if generator(x.device) is x else x
        if type(x) in (list, tuple):
            return type(x)([self._template(y) for y in x])
        if isinstance(x, tuple):
            return tuple([self._template(y) for y in x])
        if type(x) is dict:
            return {k: self._template(y) for k, y in x.items()}
        if type(x) is slice:
            return slice(self._template(x.start), self._template(x.stop), self._template(x.step))
        return x

    # ----- hearing -----

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in calls.METADATA:
            return function(*args, **kwargs)
        if self.why is not None:
            return function(*args, **kwargs)
        if function is Tensor.__iter__:
            return iter(self.__torch_function__(Tensor.unbind, types, args))
        given = tensors_of((args, kwargs), [])
        if not all([type(x) is Tensor or plain_tensor(x) for x in given]):
            return self._answered(function, args, kwargs)
        reads = [self.slot_of(x) for x in given]
        versions = [x._version for x in given]
        moving = any([s.root in self._moving for s in reads])
        if function in calls.VALUES:
            return self._asked(function, args, kwargs, given, reads, moving)
        result = function(*args, **kwargs)
        writes = [slot for slot, x, v in zip(reads, given, versions, strict=True) if x._version != v]
        if writes and any([s.root in self._given or s.number in self.constants for s in writes]):
            there = "its argument" if any([s.root in self._given for s in writes]) else "an array from outside"
            self.end(f"it writes into {there}")
            return result
        outputs = tensors_of(result, [])
        if not all([type(x) is Tensor or plain_tensor(x) for x in outputs]):
            return result  # what answered it was heard
        if not outputs and not writes:
            if given and moving:
                self.end(f"{_named(function)} makes Python's what differs from call to call")
            return result
        if not writes:  # what an argument was already is no new slot: contiguous() of what is contiguous
            outputs = [x for x in outputs if id(x) not in self._slots]
            if not outputs:
                return result
        self._taken(function, args, kwargs, given, reads, writes, result, outputs, moving)
        return result

    def _answered(self, function: Any, args: Any, kwargs: Any) -> Any:
        """A call on tensors that answer for themselves, as in torch modules: what answers it is heard."""
        before = len(self.steps)
        result = function(*args, **kwargs)
        found = tensors_of(result, [])
        if not found and result is not None and len(self.steps) == before or not all(
                [id(x) in self._slots for x in found if plain_tensor(x)]):
            self.end(f"{_named(function)} of a tensor that answers for itself gives what no recording hears")
        return result

    def _taken(self, function: Any, args: Any, kwargs: Any, given: list[Tensor], reads: list[Slot],
               writes: list[Slot], result: Any, outputs: list[Tensor], moving: bool) -> None:
        """Keep a call as a step."""
        single = isinstance(result, Tensor)
        if not single and not all([isinstance(x, Tensor) or x is None for x in result or ()]):
            self.end(f"{_named(function)} gives nested results")
            return
        if any([isinstance(x, torch.Generator) and generator(x.device) is not x for x in (*args, *kwargs.values())]):
            self.end("it draws from a generator of its own")
            return
        templates = self._template(args), self._template(kwargs)
        slots = [self.known(x) or self._slot(x) for x in outputs]
        draws = calls.drawn(function, kwargs)
        step = Step(function, *templates, reads, slots, single, writes, draws=draws, part=self.part)
        if not single and result is not None:
            made = {id(x): s for x, s in zip(outputs, slots, strict=True)}
            step.form = [made.get(id(x)) for x in result]
        if moving or draws:
            self._moving.update([s.root for s in (*slots, *writes)])
        if any([x.layout is not torch.strided for x in (*given, *outputs)]):
            self.shared.update([s.root for s in (*reads, *slots)])
        if function in calls.SHAPED and moving and calls.depends_on_values(function, given, args):
            step.expected = [s.shape for s in slots]
        self.steps.append(step)

    def _asked(self, function: Any, args: Any, kwargs: Any, given: list[Tensor], reads: list[Slot],
               moving: bool) -> Any:
        """A value becomes Python's: a guard, or the end."""
        result = function(*args, **kwargs)
        if not moving:
            if function not in calls.TRUTHS and function not in calls.INTEGERS and given and (
                    given[0].layout is torch.strided and given[0].numel()):
                self.shared.update([s.root for s in reads])
            return result
        x = given[0]
        whole = not x.dtype.is_floating_point and not x.dtype.is_complex and x.numel() <= calls.MOST
        if function in calls.TRUTHS or function in calls.INTEGERS and whole:
            self.steps.append(Step(function, self._template(args), self._template(kwargs), reads, [], False, [],
                                   guard=True, expected=result))
        else:
            self.end(f"{_named(function)} makes Python's a value that differs from call to call")
        return result


def _named(function: Any) -> str:
    return getattr(function, "__name__", None) or str(function)


__all__ = ["Recorder", "Slot", "Step", "Stream", "filled", "plain_tensor", "tensors_of"]
