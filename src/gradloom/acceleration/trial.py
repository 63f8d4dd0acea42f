"""Another executor for a recording: compared with replay, and then raced with the one that is there."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from .comparing import close, generators, put_back, same_layout, telling
from .entry import MISS, Entry
from .rounding import by_rounding
from .writing import straight

TURNS = 4  # calls of each executor that are timed
LOOKS = 8  # results that are compared while each is one number all over
log = logging.getLogger("gradloom")


class Trial:
    """Stands in for an entry's `call` until it is known which executor answers from then on: on the first call replay
    runs too, and gives the same, on the next ones each executor in turn, and the faster stays. Then comes `after`.

    With `forced`, the new one stays where it gives the same.
    """

    def __init__(self, entry: Entry, run: Callable[..., Any], executor: str, forced: bool,
                 after: Callable[[], None] = lambda: None):
        self._entry, self._executor, self._forced, self._after = entry, executor, forced, after
        self._calls = entry.call, entry.with_run(run)
        self._replay = entry.call if entry.executor == "replay" else entry.with_run(straight(entry.program))
        self._times: tuple[list[float], list[float]] = [], []
        self._trusted, self._looks = False, 0
        self._words = run.words  # type: ignore[attr-defined]
        entry.notes[executor] = f"{executor}: {self._words}, on trial"
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
        found = self._replay(args, kwargs)
        if found is MISS:
            return MISS
        after = generators() if state is not None else None
        if state is not None:
            put_back(state)
        other = self._calls[1](args, kwargs)
        if after is not None:
            put_back(after)
        if other is MISS:
            self._rejected("does not take what replay does, and is not used")
        elif not close(other, found, None) and not by_rounding(entry, args, kwargs, found, other, state):
            self._rejected("gave other numbers than rounding explains and is not used; please report it")
            log.warning("an accelerated function: %s", entry.notes[self._executor])
        elif not same_layout(other, found):
            self._rejected("gave results that lie otherwise in memory, and is not used")
        elif self._looks < LOOKS and not telling(found):
            self._looks += 1  # and the next ones are compared, too
        else:
            self._trusted = True
            if self._forced:
                self._taken()
        return found

    def _rejected(self, why: str) -> None:
        self._entry.call = self._calls[0]
        self._entry.notes[self._executor] = f"{self._executor} {why}"
        self._after()

    def _taken(self) -> None:
        entry = self._entry
        entry.call, entry.executor, entry.notes[self._executor] = self._calls[1], self._executor, self._words
        self._after()

    def _settled(self) -> None:
        mine, other = min(self._times[1]), min(self._times[0])
        entry = self._entry
        if entry.call != self._called:  # another thread was here first
            return
        if mine < other:
            if entry.executor != "replay":
                entry.notes[entry.executor] = f"{entry.executor} takes {other / mine:.2f} times as long"
            self._taken()
        else:
            self._rejected(f"takes {mine / other:.2f} times as long")


__all__ = ["Trial", "log"]
