"""Another executor for a recording: compared with the one that is there, and then raced with it."""
from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from typing import Any

from .comparing import close, generators, put_back
from .entry import MISS, Entry
from .native import NotNative, available, jobs, native
from .rounding import by_rounding

TURNS = 4  # calls of each executor that are timed
log = logging.getLogger("gradloom")


class Trial:
    """Stands in for an entry's `call` until it is known which executor answers from then on: on the first call both
    run, and give the same, on the next ones each runs in turn, and the faster stays.

    With `forced`, the new one stays where it gives the same.
    """

    def __init__(self, entry: Entry, run: Callable[..., Any], executor: str, forced: bool):
        self._entry, self._executor, self._forced = entry, executor, forced
        self._calls = entry.call, entry.with_run(run)
        self._times: tuple[list[float], list[float]] = [], []
        self._trusted = False
        self._words = run.words  # type: ignore[attr-defined]
        entry.call = self._called

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry = self._entry
        if not entry.verified:  # what it is compared with is not trusted yet
            return self._calls[0](args, kwargs)
        if not self._trusted:
            return self._compared(args, kwargs)
        turn = len(self._times[0]) > len(self._times[1])
        start = time.perf_counter()
        found = self._calls[turn](args, kwargs)
        if found is not MISS:
            self._times[turn].append(time.perf_counter() - start)
            if len(self._times[1]) >= TURNS:
                self._settled()
        return found

    def _compared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry = self._entry
        state = generators() if entry.draws else None
        found = self._calls[0](args, kwargs)
        if found is MISS:
            return MISS
        after = generators() if state is not None else None
        if state is not None:
            put_back(state)
        other = self._calls[1](args, kwargs)
        if after is not None:
            put_back(after)
        if other is MISS or not close(other, found, None) and not by_rounding(entry, args, kwargs, found, other, state):
            entry.call = self._calls[0]
            entry.note = f"{self._executor} gave other numbers than rounding explains and is not used; please report it"
            log.warning("an accelerated function: %s", entry.note)
            return found
        self._trusted = True
        if self._forced:
            entry.call, entry.executor, entry.note = self._calls[1], self._executor, self._words
        return found

    def _settled(self) -> None:
        mine, other = min(self._times[1]), min(self._times[0])
        entry = self._entry
        if mine < other:
            entry.call, entry.executor, entry.note = self._calls[1], self._executor, self._words
        else:
            entry.call = self._calls[0]
            entry.note = f"{self._executor} takes {mine / other:.2f} times as long"


def also_native(entry: Entry, forced: bool) -> None:
    """Compile an entry's program, beside the calls that go on or, where that is asked for, before them, and try it."""
    if not available():
        if forced:
            entry.note = "native needs llvmlite, which is not installed; write pip install gradloom[native]"
        return
    held = weakref.ref(entry)

    def compiled() -> None:
        entry = held()
        if entry is None:
            return
        try:
            run = native(entry.program)
        except NotNative as error:
            entry.note = f"native: {error}"
            return
        except Exception as error:
            entry.note = f"native could not be compiled ({error})"
            log.warning("an accelerated function: %s", entry.note)
            return
        entry.note = f"native: {run.words}, on trial"  # type: ignore[attr-defined]
        Trial(entry, run, "native", forced)

    if forced:
        compiled()
    else:
        entry.note = "native is being compiled" if jobs.later(compiled) else "native: too much is being compiled"


__all__ = ["Trial", "also_native"]
