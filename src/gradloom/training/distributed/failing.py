"""What processes tell each other when one of them fails, through the store in which they met."""
from __future__ import annotations

import os
import socket
import time
from typing import Any

from ...core.errors import GradloomError, is_inside, line_of, user_site

PATIENCE = 5.0  # seconds until a process that says nothing is taken for dead, once one of the others missed it


class ProcessFailed(GradloomError, RuntimeError):
    """A process that others train with failed, died or did not answer."""


class Words:
    """What each process said of its end, by its number; "" says that it lost another one. Nothing is said twice."""

    def __init__(self, store: Any, rank: int, size: int, keeps: bool):
        self._store, self._rank, self._size = store, rank, size
        self._keeps = keeps  # whether the store ends with this process
        self._said = False
        self._set(f"name/{rank}", f"process {rank} ({socket.gethostname()}, pid {os.getpid()})")

    def said(self) -> str:
        """Why another process ended; "" where none did, as far as is known."""
        if self._store is None:
            return ""
        found = self._ended()
        told = next((f"{self._name(k)} failed: {found[k]}" for k in sorted(found) if found[k] and k != self._rank), "")
        if told:
            self._say("")
            return told
        return self.of_the_dead() if any(k != self._rank for k in found) else ""

    def of_the_dead(self) -> str:
        """Which processes ended without a word: those that do not answer, where one was missed."""
        if self._store is None:
            return "another process ended"
        self._say("")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = self._ended()
            told = next((f"{self._name(k)} failed: {found[k]}" for k in sorted(found) if found[k]), "")
            if told:
                return told
            if self._store is None:
                return "process 0 ended, and with it the store in which the processes met"
            if len(found) == self._size:
                break
            time.sleep(0.05)
        dead = [k for k in range(self._size) if k not in self._ended()]
        if not dead:
            return "the connection between processes broke"
        return (f"{' and '.join([self._name(k) for k in dead])} ended without a word (it was killed, or lacked memory)")

    def tell(self, error: BaseException) -> None:
        """Say why this process ends; the one that keeps the store stays until the others have read it."""
        if self._store is None or isinstance(error, ProcessFailed):
            return
        text, line = str(error).partition("\n")[0][:500], _line_of(error)
        self._say(f"{type(error).__name__}: {text}" + ("" if line in text else f", at {line}"))
        self.linger()

    def linger(self) -> None:
        """The process that keeps the store waits for the others to read what it says."""
        end = time.monotonic() + PATIENCE
        while self._keeps and self._store is not None and len(self._ended()) < self._size and time.monotonic() < end:
            time.sleep(0.05)

    # ----- the store -----

    def _say(self, text: str) -> None:
        if not self._said:
            self._said = True
            self._set(f"ended/{self._rank}", text)

    def _set(self, key: str, text: str) -> None:
        try:
            self._store.set(key, "." + text)  # a store has no empty values
        except RuntimeError:  # the process that kept it is gone
            self._store = None

    def _get(self, key: str) -> str | None:
        if self._store is None:
            return None
        try:
            return str(self._store.get(key).decode()[1:]) if self._store.check([key]) else None
        except RuntimeError:
            self._store = None
            return None

    def _ended(self) -> dict[int, str]:
        found = {k: self._get(f"ended/{k}") for k in range(self._size)}
        return {k: text for k, text in found.items() if text is not None}

    def _name(self, k: int) -> str:
        return self._get(f"name/{k}") or f"process {k}"


def _line_of(error: BaseException) -> str:
    """The user's line in which an error was raised."""
    site, step = None, error.__traceback__
    while step is not None:
        if not is_inside(step.tb_frame.f_code.co_filename):
            site = step.tb_frame.f_code, step.tb_lasti
        step = step.tb_next
    return line_of(site or user_site())


__all__ = ["ProcessFailed", "Words"]
