"""Work done ahead by threads, and handed over in order.

A thread lives as long as it has work: it ends once everything that may be done ahead is done, so that whoever stops
taking (an error, Ctrl-C in the middle of a loop) leaves no thread behind.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

IDLE = 0.2  # seconds that a thread waits for work before it ends
Job = Callable[[], Any]


class Ahead:
    """Results of jobs in the order in which `pull` gave them.

    `pull()` gives the next job, or raises StopIteration; one thread at a time calls it. The jobs run side by side.
    """

    def __init__(self, pull: Callable[[], Job], workers: int):
        self._pull, self._workers, self._room = pull, workers, 2 * workers
        self._pulling, self._changed = threading.Lock(), threading.Condition()
        self._results: dict[int, tuple[Any, BaseException | None]] = {}
        self._pulled = self._taken = 0
        self._ended = self._closed = False  # nothing more to pull; nobody takes any more
        self._threads: set[threading.Thread] = set()

    def take(self) -> Any:
        """The next result; raises what its job raised, and StopIteration after the last."""
        try:
            with self._changed:
                self._begin()
                while self._taken not in self._results:
                    if self._ended and self._taken >= self._pulled:
                        raise StopIteration
                    self._changed.wait()
                result, error = self._results.pop(self._taken)
                self._taken += 1
                self._changed.notify_all()
            if error is not None:
                raise error
        except BaseException:  # an interrupt of the waiting too
            self.close()
            raise
        return result

    def close(self) -> None:
        """Start nothing more; what is running ends after its job."""
        with self._changed:
            self._ended = self._closed = True
            self._results.clear()
            self._changed.notify_all()

    def _begin(self) -> None:
        for _ in range(self._workers - len(self._threads) if not self._ended else 0):
            thread = threading.Thread(target=self._work, name="gradloom data")
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        while (numbered := self._next_job()) is not None:
            number, job = numbered
            result, error = None, None
            try:
                result = job()
            except BaseException as raised:
                error = raised
            self._finish(number, result, error)
            del job, result, error

    def _next_job(self) -> tuple[int, Job] | None:
        with self._pulling:
            with self._changed:
                work = self._changed.wait_for(self._has_room, IDLE)
                if not work or self._ended:
                    self._threads.discard(threading.current_thread())
                    return None
                number = self._pulled
                self._pulled += 1
            try:
                return number, self._pull()
            except StopIteration:
                error = None
            except BaseException as raised:
                error = raised
            with self._changed:
                self._ended = True
                self._threads.discard(threading.current_thread())
                if error is None:
                    self._pulled -= 1
                elif not self._closed:
                    self._results[number] = None, error
                self._changed.notify_all()
            return None

    def _has_room(self) -> bool:
        return self._ended or self._pulled - self._taken < self._room

    def _finish(self, number: int, result: Any, error: BaseException | None) -> None:
        with self._changed:
            if not self._closed:
                self._results[number] = result, error
            self._changed.notify_all()


__all__ = ["Ahead"]
