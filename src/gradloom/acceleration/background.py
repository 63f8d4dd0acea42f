"""Work that is done beside the program: of one kind one job at a time, in a thread that ends with its last job."""
from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable

MOST = 64  # jobs that wait; what comes on top is left undone
_every: weakref.WeakSet[Jobs] = weakref.WeakSet()


class Jobs:
    """Jobs of one kind; the name is that of the thread."""

    def __init__(self, name: str):
        self.name = name
        _every.add(self)
        self._begin()

    def _begin(self) -> None:
        self.changed = threading.Condition()
        self.waiting: deque[Callable[[], None]] = deque()
        self.thread: threading.Thread | None = None

    def later(self, job: Callable[[], None]) -> bool:
        """Have a job done; whether there was room for it."""
        with self.changed:
            if len(self.waiting) >= MOST:
                return False
            self.waiting.append(job)
            if self.thread is None:
                self.thread = threading.Thread(target=self._work, name=self.name)
                self.thread.start()
            return True

    def _work(self) -> None:
        while True:
            with self.changed:
                # a process that ends does not wait for what nobody will call
                if not self.waiting or ending():
                    self.waiting.clear()
                    self.thread = None
                    self.changed.notify_all()
                    return
                job = self.waiting.popleft()
            job()
            del job

    def settled(self, seconds: float) -> bool:
        """Wait until nothing is left to do; whether that came in time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.thread is None, seconds)


def working() -> bool:
    """Whether anything is being done."""
    return any([each.thread is not None for each in _every])


def ending() -> bool:
    """Whether the program has come to its end, and nobody will call what is made now."""
    return not threading.main_thread().is_alive()


def _in_child() -> None:
    """A forked process has none of its parent's threads."""
    for each in _every:
        each._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

__all__ = ["Jobs", "ending", "working"]
