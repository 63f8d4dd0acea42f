"""The recorded program: steps from input slots to output slots, and what is improved in them before they are kept."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..machine.dtypes import Tensor
from ..machine.memory import LITTLE, readable_bytes
from .calls import EMPTY, FROM_SHAPES, INTO, LIKE, REARRANGING
from .recorder import Recorder, Slot, Step, Stream, filled

FOLDED = 1 << 20  # numbers of a result that is computed once, instead of in each call


class Program:
    """Steps over slots. `constants` are tensors that were there before, by the number of their slot."""

    def __init__(self, recorder: Recorder, outputs: Sequence[Slot]):
        self.inputs, self.outputs = list(recorder.inputs), list(outputs)
        self.steps, self.constants = list(recorder.steps), dict(recorder.constants)
        self.shared = set(recorder.shared)
        self.folded: set[int] = set()  # constants that were computed here: nobody else holds them
        self.recorded = len(self.steps)
        self._count = recorder.count
        self.returned: list[Any] = []  # what it gives besides arrays

    # ----- what it is -----

    @property
    def guards(self) -> list[Any]:
        """The answers on which it rests."""
        return [step.expected for step in self.steps if step.decides]

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return any([step.draws for step in self.steps])

    def nbytes(self) -> int:
        """Bytes of the constants that it holds."""
        return sum(x.numel() * x.element_size() for x in self.constants.values() if x.layout is torch.strided)

    @property
    def small(self) -> bool:
        """Whether nothing that it makes is large."""
        return all([_size(s) <= LITTLE for step in self.steps for s in step.outputs])

    def described(self) -> str:
        """Its calls and bytes in a few words."""
        return (f"{len(self.steps)} calls of {self.recorded}, {len(self.guards)} guards, "
                f"{readable_bytes(self.nbytes())} of constants")

    def difference(self, other: Program) -> str | None:
        """In what two recordings of one kind differ, though they were given arrays of the same kind; None where they
        are the same program."""
        if len(self.steps) != len(other.steps):
            return f"{len(self.steps)} calls in one recording, {len(other.steps)} in another"
        for a, b in zip(self.steps, other.steps, strict=True):
            if a.function is not b.function and a.function != b.function:  # attributes come as new wrappers
                return f"{_word(a)} in one recording, {_word(b)} in another"
            if not _alike((a.args, a.kwargs), (b.args, b.kwargs)):
                return f"the arguments of {_word(a)}"
            if a.guard is not b.guard or not _alike(a.expected, b.expected):
                return f"the answer of {_word(a)}"
        if [s.number for s in self.outputs] != [s.number for s in other.outputs]:
            return "its results"
        if self.constants.keys() != other.constants.keys():
            return "the arrays that it reads from outside"
        for number, x in self.constants.items():
            if not _same_array(x, other.constants[number]):
                return "an array that comes from outside"
        return None

    # ----- passes -----

    def improved(self) -> Program:
        """All passes, in order of gain."""
        self._drop_unused()
        self._drop_idle()
        self._fold()
        self._drop_repeats()
        self._ask_once()
        self._drop_unused()
        used = {s.number for step in self.steps for s in step.reads} | {s.number for s in self.outputs}
        self.constants = {k: x for k, x in self.constants.items() if k in used}
        return self

    def _written(self) -> set[int]:
        return {s.root for step in self.steps for s in step.writes}

    def _drop_unused(self) -> None:
        """Steps that lead to no output, guard or draw go."""
        needed, kept = {s.root for s in self.outputs}, []
        for step in reversed(self.steps):
            if step.decides or step.draws or any([s.root in needed for s in (*step.outputs, *step.writes)]):
                kept.append(step)
                needed.update([s.root for s in step.reads])
        self.steps = kept[::-1]

    def _drop_idle(self) -> None:
        """Views that show an array as it is go; what reads them reads the array."""
        renamed: dict[int, Slot] = {}
        returned = {s.number for s in self.outputs}
        kept = []
        for given in self.steps:
            step = given.replaced(renamed)
            if step.function in REARRANGING and len(step.reads) == 1 == len(step.outputs) and not step.writes:
                (x,), (y,) = step.reads, step.outputs
                if y.number not in returned and (x.root, x.shape, x.strides, x.offset, x.dtype) == (
                        y.root, y.shape, y.strides, y.offset, y.dtype) and x.strides is not None:
                    renamed[y.number] = x
                    continue
            kept.append(step)
        self.steps = kept

    def _fold(self) -> None:
        """What does not depend on the inputs is computed now."""
        known = {k: x for k, x in self.constants.items() if fixed(x)}
        written, kept = self._written(), []
        returned = {s.root for s in self.outputs}
        for step in self.steps:
            # of tensors among its arguments only the one whose shape it takes
            made = step.function in FROM_SHAPES and (not step.reads or step.function in LIKE and len(step.reads) == 1
                                                     and step.args[:1] == (step.reads[0],))
            known_now = made or bool(step.reads) and step.function not in EMPTY and all(
                [s.number in known for s in step.reads])
            if (not known_now or step.decides or step.draws or step.writes
                    or any([s.root in written or s.root in returned for s in (*step.outputs, *step.reads)])
                    or sum([_size(s) for s in step.outputs]) > FOLDED):
                kept.append(step)
                continue
            values = {s.number: known[s.number] if s.number in known else _stand_in(s) for s in step.reads}
            result = step.function(*filled(step.args, values), **filled(step.kwargs, values))
            known.update({s.number: x for s, x in step.made(result)})
            self.folded.update([s.number for s in step.outputs if s.root == s.number])
        self.steps, self.constants = kept, {**self.constants, **known}

    def _drop_repeats(self) -> None:
        """What is computed twice is computed once."""
        written, renamed, seen, kept = self._written(), {}, {}, []  # type: ignore[var-annotated]
        returned = {s.root for s in self.outputs}
        roots: dict[int, int] = {}  # of what is not computed again: the memory that stands for it, also for its views
        for given in self.steps:
            step = given.replaced(renamed)
            for s in step.outputs:
                s.root = roots.get(s.root, s.root)
            if (not step.decides and not step.draws and not step.writes and step.function not in EMPTY
                    and not any([s.root in written or s.root in returned for s in (*step.reads, *step.outputs)])):
                key = _key((step.function, step.args, step.kwargs, step.part))
                before = seen.setdefault(key, step) if key is not None else step
                if before is not step:
                    renamed.update({old.number: new for old, new in zip(step.outputs, before.outputs, strict=True)})
                    roots.update({old.root: new.root for old, new in zip(step.outputs, before.outputs, strict=True)})
                    self.shared |= {new for old, new in roots.items() if old in self.shared}
                    continue
            kept.append(step)
        self.steps = kept

    def _ask_once(self) -> None:
        """Whether everything that must be finite is: one question at the end, in the place of one for each array."""
        asked = {step.outputs[0].number: step for step in self.steps if step.function is torch.isfinite}
        guards = [step for step in self.steps if step.guard and step.function is Tensor.__bool__
                  and step.expected is True and step.reads[0].number in asked]
        totals: dict[Any, dict[int, Slot]] = {}
        for guard in guards:
            total = asked[guard.reads[0].number].reads[0]
            if total.shape == () and total.root not in self._written():
                totals.setdefault((total.dtype, total.device), {})[total.number] = total
        single = {next(iter(its)) for its in totals.values() if len(its) == 1}
        merged = {n for its in totals.values() for n in its} - single
        if not merged:
            return
        self.steps = [step for step in self.steps if not (
            step in guards and asked[step.reads[0].number].reads[0].number in merged)]
        for its in totals.values():
            if len(its) > 1:
                stacked, total, finite = (self.fresh(total) for total in [next(iter(its.values()))] * 3)
                stacked.shape, stacked.strides, finite.dtype = (len(its),), (1,), torch.bool
                slots = list(its.values())
                self.steps += [Step(torch.stack, (slots,), {}, slots, [stacked], True, []),
                               Step(Tensor.sum, (stacked,), {}, [stacked], [total], True, []),
                               Step(torch.isfinite, (total,), {}, [total], [finite], True, []),
                               Step(Tensor.__bool__, (finite,), {}, [finite], [], False, [], guard=True, expected=True)]

    def fresh(self, like: Slot) -> Slot:
        """A slot for something that is added."""
        self._count += 1
        return like.again(self._count)

    def in_place(self) -> list[Step]:
        """The steps, elementwise ones writing over an operand that nobody reads afterwards: no new memory, one stream
        less. An executor that keeps no arrays between such steps takes them as they are."""
        last: dict[int, int] = {}
        slots: dict[int, set[int]] = {}
        for k, step in enumerate(self.steps):
            for s in (*step.reads, *step.outputs):
                last[s.root] = k
                slots.setdefault(s.root, set()).add(s.number)
        held = {s.root for s in (*self.outputs, *self.inputs)} | self.shared
        held |= {s.root for step in self.steps for s in step.reads if s.number in self.constants}
        renamed: dict[int, Slot] = {}
        done = []
        for k, given in enumerate(self.steps):
            step = given.replaced(renamed)
            into = INTO.get(step.function)
            o = step.outputs[0] if step.outputs else None
            if (into is not None and o is not None and not step.decides and not step.writes
                    and "out" not in step.kwargs and o.whole and o.root == o.number and o.root not in held
                    and isinstance(step.args[0], Slot)):
                for s in step.reads:
                    if (s.whole and s.shape == o.shape and s.dtype is o.dtype and s.root not in held
                            and last[s.root] == k and len(slots[s.root]) == 1):
                        step = Step(into, step.args, {**step.kwargs, "out": s}, step.reads, [s], True, [s])
                        renamed[o.number] = s
                        last[s.root] = last[o.root]
                        slots[s.root] |= slots[o.root] - {o.number}
                        break
            done.append(step)
        return done


def fixed(x: Tensor) -> bool:
    """Whether nobody writes an array unseen, as what NumPy shares can be: its version would tell."""
    return x.layout is torch.strided and not x.is_meta and x.untyped_storage().resizable()


def _word(step: Step) -> str:
    return getattr(step.function, "__name__", None) or str(step.function)


def _size(s: Slot) -> int:
    size = 1
    for n in s.shape:
        size *= n
    return size


def _stand_in(s: Slot) -> Tensor:
    """A tensor of a slot's kind, for a call that asks for no more than that."""
    return (torch.empty(s.shape, dtype=s.dtype, device=s.device) if s.strides is None
            else torch.empty_strided(s.shape, s.strides, dtype=s.dtype, device=s.device))


def _same_array(a: Tensor, b: Tensor) -> bool:
    """Whether two arrays from outside are the same, to the bit."""
    if a is b:
        return True
    if a.shape != b.shape or a.dtype is not b.dtype or a.layout is not b.layout or a.device != b.device:
        return False
    if a.layout is torch.sparse_csr:
        return all([_same_array(f(a), f(b)) for f in (Tensor.crow_indices, Tensor.col_indices, Tensor.values)])
    if a.layout is not torch.strided:
        return False
    if a.is_meta:
        return True
    if a.dtype.is_floating_point or a.dtype.is_complex:
        return bool(((a == b) | (a != a) & (b != b)).all())
    return torch.equal(a, b)


def _alike(a: Any, b: Any) -> bool:
    """Whether two calls' arguments are the same."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Slot):
        return a.number == b.number and a.shape == b.shape and a.dtype is b.dtype and a.strides == b.strides
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all([_alike(x, y) for x, y in zip(a, b, strict=True)])
    if isinstance(a, dict):
        return tuple(a) == tuple(b) and all([_alike(x, y) for x, y in zip(a.values(), b.values(), strict=True)])
    if isinstance(a, slice):
        return _alike((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (float, complex, np.generic)):
        return repr(a) == repr(b)
    try:
        return bool(a == b)
    except Exception:
        return False


def _key(x: Any) -> Any:
    """A call as something that can be a key, None where it cannot."""
    if isinstance(x, Slot):
        return "slot", x.number
    if isinstance(x, (list, tuple)):
        parts = tuple([_key(y) for y in x])
        return None if None in parts else (type(x).__name__, *parts)
    if type(x) is dict:
        return _key(tuple(x.items()))
    if type(x) is slice:
        return _key(("slice", x.start, x.stop, x.step))
    if isinstance(x, (torch.Generator, Stream, np.ndarray)) or getattr(type(x), "__hash__", None) is None:
        return None
    return type(x).__name__, x, repr(x) if isinstance(x, (float, complex)) else ""


__all__ = ["Program", "fixed"]
