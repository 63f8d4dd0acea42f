"""Executors that are compiled beside the calls of a recording, or before them where they are asked for."""
from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from . import inductor
from .entry import MISS, Entry
from .native import NotNative, available, jobs, native
from .trial import Trial, log

PATIENCE = 30.0  # seconds that calls have cost before torch's compiler, which takes about as many, is asked
ENOUGH = 300  # calls of a recording, which cost about what compiling its loops does
LOOKS = 1.0  # seconds between looks at whether what a call waits for is still being made


def also(entry: Entry, executor: str) -> None:
    """Have an entry's program compiled, too, as `executor` says, and try what comes out of it."""
    if executor == "native":
        _native(entry, True, lambda: None)
    elif executor == "inductor":
        _inductor(entry, True)
    elif executor == "steady" and available():
        _counted(entry)
    elif executor == "auto":
        _native(entry, False, lambda: _patient(entry))


def _native(entry: Entry, forced: bool, after: Callable[[], None]) -> None:
    """Loops between torch's calls, by llvmlite; then comes `after`."""
    if not available():
        if forced:
            entry.notes["native"] = "native needs llvmlite, which is not installed; write pip install gradloom[native]"
        return after()
    held = weakref.ref(entry)

    def compiled() -> None:
        entry = held()
        if entry is None:
            return
        try:
            run = native(entry.program)
        except NotNative as error:
            entry.notes["native"] = f"native: {error}"
            after()
        except Exception as error:
            entry.notes["native"] = f"native could not be compiled ({error})"
            log.warning("an accelerated function: %s", entry.notes["native"])
            after()
        else:
            Trial(entry, run, "native", forced, after)

    if forced:
        compiled()
    else:
        entry.notes["native"] = ("native is being compiled" if jobs.later(compiled)
                                 else "native: too much is being compiled")


class _Until:
    """Stands in for an entry's call until calls have cost enough, as `cost` says of a result and its seconds; `then`
    comes before the next."""

    def __init__(self, entry: Entry, enough: float, cost: Callable[[Any, float], float], then: Callable[[Entry], None]):
        self._held, self._call, self._left = weakref.ref(entry), entry.call, enough
        self._cost, self._then = cost, then
        entry.call = self._called

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        start = time.perf_counter()
        found = self._call(args, kwargs)
        self._left -= self._cost(found, time.perf_counter() - start)
        entry = self._held()
        if self._left <= 0 and entry is not None and entry.call == self._called:  # other threads may be in here, too
            entry.call = self._call
            self._then(entry)
        return found


def _counted(entry: Entry) -> None:
    """Compile loops when the entry was replayed often enough. When that is depends on nothing but the calls: a program
    gives the same bits each time."""
    _Until(entry, ENOUGH, lambda found, seconds: found is not MISS,
           lambda entry: _native(entry, True, lambda: None))


def _patient(entry: Entry) -> None:
    """Ask torch's compiler once the calls have cost as much as it will."""
    if not inductor.lacking():
        _Until(entry, PATIENCE, lambda found, seconds: seconds, lambda entry: _inductor(entry, False))


def _inductor(entry: Entry, forced: bool) -> None:
    """The whole program, by torch's compiler: the next call is heard, and what was heard is compiled."""
    lacking = inductor.lacking()
    heard = inductor.Heard(entry.program)
    if lacking or heard.why:
        entry.notes["inductor"] = f"inductor needs {lacking}" if lacking else f"inductor: {heard.why}"
    else:
        _Compiling(entry, heard, forced)


class _Compiling:
    """Stands in for an entry's call until one was heard and, where it is asked for (`forced`), until that is
    compiled."""

    def __init__(self, entry: Entry, heard: inductor.Heard, forced: bool):
        self._held, self._heard, self._forced = weakref.ref(entry), heard, forced
        self._call, self._hearing = entry.call, entry.with_run(heard)
        self._lock, self._done = threading.Lock(), threading.Event()
        entry.call = self._called

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry = self._held()
        if entry is None or not self._lock.acquire(blocking=False):  # another thread's call is heard
            return self._call(args, kwargs)
        try:
            if entry.call != self._called:
                return self._call(args, kwargs)
            found = self._hearing(args, kwargs)
            if self._heard.ready or self._heard.why:
                entry.call, entry.notes["inductor"] = self._call, f"inductor: {self._heard.why}"
            if self._heard.ready and inductor.jobs.later(self._compiled):
                entry.notes["inductor"] = "inductor is compiling"
                if self._forced:
                    entry.call = self._waiting
            elif self._heard.ready:
                entry.notes["inductor"] = "inductor: too much is being compiled"
            return found
        finally:
            self._lock.release()

    def _waiting(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        while not self._done.wait(LOOKS) and inductor.jobs.thread is not None:
            continue
        entry = self._held()
        if entry is not None and entry.call == self._waiting:  # in a forked process, which has none of the threads
            entry.call, entry.notes["inductor"] = self._call, "inductor was being compiled when this process began"
        return self._call(args, kwargs) if entry is None else entry.call(args, kwargs)

    def _compiled(self) -> None:
        """Runs in a thread of its own, or is let go where nobody waits for it any more."""
        try:
            run = self._heard.function(not self._forced, lambda: self._held() is not None)
        except inductor.NotInductor as error:
            self._given_up(f"inductor: {error}")
        except Exception as error:
            self._given_up(f"inductor could not compile it ({error})")
        else:
            entry = self._held()
            if entry is not None:
                entry.call = self._call
                Trial(entry, run, "inductor", self._forced)
        finally:
            self._done.set()

    def _given_up(self, why: str) -> None:
        log.info("an accelerated function: %s", why)
        entry = self._held()
        if entry is not None:
            entry.call, entry.notes["inductor"] = self._call, why


__all__ = ["also"]
