"""A function whose calls are recorded and replayed. The plain result, or the plain call."""
from __future__ import annotations

import contextlib
import functools
import logging
import threading
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import get_default_dtype

from ..core.array import dlarray
from ..core.containers import Structure, flatten, unflatten
from ..core.errors import GradloomWarning, line_of, user_site
from ..core.finite import checking
from ..core.trace import live
from ..derivatives.words import accelerating
from ..derivatives.words.evaluate import dlfeval
from ..machine.modes import under
from ..machine.questions import thread
from ..vocabulary.hints import AcceleratedWords
from .beside import also
from .comparing import close, generators, other_generators, put_back
from .copies import Back, copied_as_they_are
from .entry import MISS, Entry, NoKey, Refusal, held_by, key_of, plain_leaf
from .outside import Outside
from .program import Program
from .recorder import Recorder
from .scalars import NotScalar, scalars
from .snapshots import Unfollowed
from .writing import straight

SELDOM = 16  # of so many calls one is looked at where each has been of another kind
ATTEMPTS = 5  # recordings of one kind that differ, until it stays plain
log = logging.getLogger("gradloom")


class _Kind:
    """Calls of one kind that are not replayed yet: what was recorded of them, or why they stay plain."""

    __slots__ = ("attempts", "programs", "why")

    def __init__(self) -> None:
        self.attempts = 0
        self.programs: list[Program] = []  # the last of each way that the guards allow
        self.why: str | None = None


class AcceleratedFunction(AcceleratedWords):
    """A function that is recorded and replayed: made by `dlaccelerate`, or by a loop of the library's own, which is
    `quiet`: where it has its recordings other calls stay plain, and the log says so; its user could change nothing.
    Such a loop's executor may be "steady": replay, and native from a call on that is always the same."""

    def __init__(self, function: Callable[..., Any], executor: str = "auto", cache_size: int = 50,
                 quiet: bool = False):
        self.function, self.executor, self.quiet = function, executor, quiet
        self._evaluated = functools.partial(dlfeval, function)
        self.enabled = True
        self.cache_size = cache_size
        self.check_mode, self.check_tolerance = "none", 1e-4
        functools.update_wrapper(self, function, updated=())
        self._lock = threading.RLock()
        self.clear_cache()

    def clear_cache(self) -> None:
        """Forget every recording."""
        with self._lock:
            self._entries: dict[Any, tuple[Entry, ...]] = {}
            self._refusals: dict[Any, tuple[Refusal, ...]] = {}
            self._kinds: OrderedDict[Any, _Kind] = OrderedDict()
            self._outside: Outside | None = None
            self._hits = self._misses = 0
            self._alone = 0  # calls in a row that were the first of their kinds, or of none
            self._miss = ""
            self._plain: str | None = None  # why no call is accelerated
            self._crowded = False

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __reduce__(self) -> Any:
        return AcceleratedFunction, (self.function, self.executor, self.cache_size, self.quiet)

    # ----- what it is -----

    @property
    def hit_rate(self) -> float:
        """Percent of the calls that were replayed."""
        calls = self._hits + self._misses
        return 100 * self._hits / calls if calls else 0.0

    @property
    def occupancy(self) -> float:
        """Percent of the places for recordings that are taken."""
        return 100 * sum([len(its) for its in self._entries.values()]) / self.cache_size

    @property
    def why_not(self) -> str:
        """Why the last call that was not replayed was not; "" where each was."""
        return self._plain or self._miss

    def explain(self) -> str:
        """Recordings, their calls, guards and bytes, how often each was replayed, and why the last call that was not
        replayed was not."""
        name = getattr(self.function, "__name__", "fun")
        entries = [e for its in self._entries.values() for e in its]
        lines = [f"{name}: {len(entries)} recordings, {self._hits} of {self._hits + self._misses} calls replayed"]
        lines += ["; ".join([f"  {e.executor}: {e.program.described()}, replayed {e.hits} times", *e.notes.values()])
                  for e in entries]
        lines += [f"  plain: {kind.why}" for kind in self._kinds.values() if kind.why]
        if self._plain:
            lines.append(f"  every call is plain: {self._plain}")
        if self._miss:
            lines.append(f"  the last call that was not replayed: {self._miss}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"dlaccelerate({getattr(self.function, '__name__', self.function)!s})"

    # ----- calls -----

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._called(self.function, (False,), args, kwargs)

    def __dlfeval__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `dlfeval(self, ...)` gives: evaluation and function are one recording."""
        return self._called(self._evaluated, (True,), args, kwargs)

    def replaying(self, run: Callable[..., Any], way: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `run(*args, **kwargs)` gives, which calls the function, in a way that is told by `way`."""
        return self._called(run, (False, way), args, kwargs)

    def _called(self, function: Callable[..., Any], way: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.enabled or self._plain is not None or thread.recording or checking():
            return function(*args, **kwargs)
        outside = self._outside
        if outside is not None:
            changed = outside.changed()
            if changed is not None:
                with self._lock:
                    self._entries, self._refusals, self._outside = {}, {}, None
                    self._kinds.clear()
                self._miss = f"{changed} has changed"
        form: tuple[Any, ...] = way, get_default_dtype(), len(args)
        if kwargs:
            form = *form, *kwargs
        for entry in self._entries.get(form, ()):
            if entry.settled and self.check_mode == "none":  # quick way; the plain one is below
                found = entry.call(args, kwargs)
                if found is not MISS:
                    self._hits += 1
                    entry.hits += 1
                    return found
                continue
            if entry.outside is not None and (changed := entry.outside.changed()) is not None:
                self._drop(entry)
                self._miss = f"{changed} has changed"
                continue
            checked = not entry.verified or self.check_mode != "none"
            state = generators() if entry.draws else None
            found = entry.call(args, kwargs)
            if found is not MISS:
                self._hits += 1
                entry.hits += 1
                if not checked:
                    return found
                if state is not None:
                    put_back(state)
                return self._compared(entry, found, function(*args, **kwargs))
            if state is not None:
                put_back(state)
        self._misses += 1
        for refusal in self._refusals.get(form, ()):  # quick way: `_missed` finds the same, in twice the time
            if refusal.call(args, kwargs) is not MISS:
                self._miss = refusal.why
                return function(*args, **kwargs)
        if self._alone > 4 * self.cache_size and self._misses % SELDOM:  # looking costs more than it has brought
            return function(*args, **kwargs)
        return self._missed(function, form, args, kwargs)

    def _missed(self, function: Callable[..., Any], form: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that no recording answers: plain, or recorded."""
        leaves, structure = flatten((args, kwargs))
        if torch.is_inference_mode_enabled():
            return function(*args, **kwargs)
        if any([type(x) is dlarray and x._node is not None and live(x._node) is not None for x in leaves]):
            self._miss = "an argument is traced: within a trace the call is part of it"
            return function(*args, **kwargs)
        arrays = [x for x in leaves if type(x) is dlarray]
        if len({id(x) for x in arrays}) < len(arrays):
            self._miss = "one array is passed in two places"
            return function(*args, **kwargs)
        if not form[0][0] and not copied_as_they_are((args, kwargs)):
            self._miss = "an argument is a container of another class than list, tuple and dict; call it in dlfeval"
            return function(*args, **kwargs)
        try:
            key = form, key_of(leaves, structure)
            kind = self._kinds.get(key)
        except (NoKey, TypeError) as error:
            self._miss = str(error)
            self._alone += 1
            return function(*args, **kwargs)
        if kind is None:
            with self._lock:
                self._kinds[key] = _Kind()
                while len(self._kinds) > 4 * self.cache_size:
                    self._kinds.popitem(last=False)
            self._miss = "it is the first call of its kind"
            self._alone += 1
            return function(*args, **kwargs)
        self._alone = 0
        if kind.why is not None:
            self._miss = kind.why
            with self._lock, contextlib.suppress(NoKey):
                refusals = (Refusal(args, kwargs, kind.why), *self._refusals.get(form, ()))
                self._refusals = {**self._refusals, form: refusals[:self.cache_size]}
            return function(*args, **kwargs)
        if self.quiet and len(self._entries.get(form, ())) >= self.cache_size:
            self._refuse(kind, f"there are {self.cache_size} recordings of others")
            return function(*args, **kwargs)
        return self._recorded(function, form, kind, args, kwargs, leaves, structure)

    # ----- recording -----

    def _recorded(self, function: Callable[..., Any], form: Any, kind: _Kind, args: tuple[Any, ...],
                  kwargs: dict[str, Any], leaves: list[Any], structure: Structure) -> Any:
        """One call, recorded; from the second recording on that is like the one before it, there is an entry."""
        try:
            outside = self._outside or Outside(self.function, [])
            reached = Outside(self.function, [args, kwargs])  # by what the arguments run, too
        except Unfollowed as error:
            self._refuse(kind, str(error))
            return function(*args, **kwargs)
        handles = [dlarray._made(x._value.detach(), None, x._labels) if type(x) is dlarray else x for x in leaves]
        values = [x._value if type(x) is dlarray else None for x in handles]
        recorder = Recorder([v for v in values if v is not None])
        its, named = unflatten(structure, handles)
        default, others = torch.default_generator.get_state(), other_generators()
        try:
            thread.recording = recorder
            heard = under([recorder], function, *its, **named)
        finally:
            thread.recording = False
            back = Back(leaves, handles, values)
            back.filled(its, args), back.filled(named, kwargs)
        changed = reached.changed() or outside.changed()
        if changed is not None:
            recorder.end(f"it changes {changed}")
        result = back.given(heard)
        if back.returned:
            recorder.end("it returns a container that it was given")
        if back.changed:
            recorder.end("it changes its argument")
        if others != other_generators():
            recorder.end("it draws from Python's or NumPy's random numbers")
        program, why = self._program(recorder, heard, default)
        if program is None:
            self._refuse(kind, why)
            return result
        with self._lock:
            self._outside = outside
            self._kept(form, kind, program, args, kwargs, result, reached if len(reached) > len(outside) else None)
        return result

    def _program(self, recorder: Recorder, result: Any, default: Any) -> tuple[Program | None, str]:
        if recorder.why is None:
            if not any(map(held_by, flatten(result)[0])):
                recorder.end("it returns no array")
            for x in flatten(result)[0]:
                if hasattr(type(x), "__filled__") and x.__held__() is not None:
                    continue
                if type(x) is not dlarray and not plain_leaf(x):
                    recorder.end(f"it returns a {type(x).__name__}, which is no array")
                elif type(x) is dlarray and live(x._node) is not None:
                    recorder.end("it returns an array that is traced")
        if recorder.why is None and not any([step.draws for step in recorder.steps]) and not torch.equal(
                default, torch.default_generator.get_state()):
            recorder.end("it draws random numbers where no recording hears it")
        if recorder.why is not None:
            return None, recorder.why
        outputs = [recorder.slot_of(tensor) for x in flatten(result)[0] for tensor in held_by(x)]
        return Program(recorder, outputs).improved(), ""

    def _kept(self, form: Any, kind: _Kind, program: Program, args: tuple[Any, ...], kwargs: dict[str, Any],
              result: Any, outside: Outside | None) -> None:
        """Compare with the last recording that took the same way; make an entry where they agree."""
        program.returned = [x for x in flatten(result)[0] if plain_leaf(x)]
        guards = repr(program.guards)
        before = next((p for p in kind.programs if repr(p.guards) == guards), None)
        kind.attempts += 1
        if before is not None:
            differs = before.difference(program)
            if differs is None and repr(before.returned) != repr(program.returned):
                differs = "a number that it returns"
            if differs is None:
                self._enter(form, program, args, kwargs, result, outside)
                kind.programs.remove(before)
                kind.attempts = 0
                return
            kind.programs.remove(before)
            if kind.attempts >= ATTEMPTS:
                self._refuse(kind, f"what is the same for torch differs from call to call ({differs}): a number that "
                                   "comes from outside; pass it as an argument")
                return
        self._miss = "it is recorded" if before is None else "it is recorded once more"
        kind.programs = [*kind.programs[-3:], program]

    def _enter(self, form: Any, program: Program, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any,
               outside: Outside | None) -> None:
        run, executor = None, "replay"
        if self.executor in ("auto", "scalars"):  # quick way: a few numbers in Python; the plain one is below
            with contextlib.suppress(NotScalar):
                run, executor = scalars(program), "scalars"
        try:
            entry = Entry(args, kwargs, result, program, run or straight(program), executor)
        except NoKey as error:
            self._miss = str(error)
            return
        entry.outside = outside
        if executor == "replay":
            also(entry, self.executor)
        with self._lock:
            entries = (entry, *self._entries.get(form, ()))
            self._entries = {**self._entries, form: entries[:self.cache_size]}
            if len(entries) > self.cache_size and not self._crowded:
                self._crowded = True
                warnings.warn(f"an accelerated function has more than cache_size={self.cache_size} recordings, at "
                              f"{line_of(user_site())}; pass what differs from call to call as dlarrays, or raise "
                              "cache_size", GradloomWarning, stacklevel=2)

    def _drop(self, entry: Entry) -> None:
        with self._lock:
            self._entries = {form: tuple([e for e in its if e is not entry]) for form, its in self._entries.items()}

    def _refuse(self, kind: _Kind, why: str) -> None:
        if all([k.why != why for k in self._kinds.values()]):  # once for all kinds
            log.info("%r stays plain: %s", self, why)
        kind.why, kind.programs = why, []
        self._miss = why
        if not self._entries and sum([k.why is not None for k in self._kinds.values()]) >= 3:
            self._plain = why

    # ----- checking -----

    def _compared(self, entry: Entry, found: Any, plain: Any) -> Any:
        """The plain result beside the replayed one: of the first replay always, of all under check_mode."""
        first = not entry.verified
        tolerance = self.check_tolerance if not first else None
        if close(found, plain, tolerance):
            entry.trust()
            return plain
        if not first:
            warnings.warn(f"an accelerated function differs from the plain one by more than "
                 f"check_tolerance={self.check_tolerance}, at {line_of(user_site())}", GradloomWarning, stacklevel=2)
            return plain
        self._drop(entry)
        self._plain = "a replayed result was not the plain one; please report it"
        log.warning("%r stays plain: %s", self, self._plain)
        return plain


accelerating.register(AcceleratedFunction)

__all__ = ["AcceleratedFunction"]
