"""Mini-batches made by other processes, for functions that hold Python's lock.

What travels between them is pickled, as Python's own processes do it; no file is.
"""
from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch

from ..core.errors import DataError, TypeRefused, line_of, user_site

_made: Any = None  # in a worker: what makes mini-batches


class Processes:
    """Processes that call `made`, which begin when they are first needed and stay until `close`."""

    def __init__(self, made: Any, count: int):
        try:
            ForkingPickler.dumps(made)
        except Exception as error:  # whatever an object says of itself
            raise TypeRefused(f"processes=True sends the data and function= to other processes, which fails here "
                              f"({error}), at {line_of(user_site())}; define the functions at the top of a file, or "
                              "use threads: leave processes= out (of trainnet, preprocessing_environment="
                              "\"background\")") from error
        # a copy of this process ("fork") could stop for ever: its threads, torch's among them, would not be there
        self._pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin, (made,))

    def call(self, *arguments: Any) -> Any:
        """`made(*arguments)` of one of the processes."""
        try:
            return self._pool.submit(_call, arguments).result()
        except BrokenProcessPool as error:
            raise DataError("a process that makes mini-batches ended without a word: it was killed, it lacked memory, "
                            "or the program starts its work outside of `if __name__ == \"__main__\":`; put it "
                            "inside, or leave processes= out") from error

    def close(self) -> None:
        """End the processes, what they are at included."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _begin(made: Any) -> None:
    global _made
    _made = made
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which ends its processes
    torch.set_num_threads(1)


def _call(arguments: tuple[Any, ...]) -> Any:
    return _made(*arguments)


__all__ = ["Processes"]
