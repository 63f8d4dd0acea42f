"""The three ways to ask a tensor for a value, told apart because a recorded program repeats only one of them.

What the program depends on is `decided`: a guard, whose other answer leads elsewhere. What only saves time is `spared`:
both answers give the same numbers, so a recording asks nothing and takes the plain way. Each takes a tensor of one
truth value, or a function that finds the answer. `read` takes numbers out as constants, and ends a recording.
Conversions that a user asks for (`float(x)`) and numbers in the text of an error are no questions of the library's.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .dtypes import Tensor


class _Thread(threading.local):
    recording = False


thread = _Thread()


def decided(answer: Tensor | Callable[[], bool]) -> bool:
    """What the program depends on."""
    return bool(answer) if isinstance(answer, Tensor) else answer()


def spared(answer: Tensor | Callable[[], bool]) -> bool:
    """Whether a shorter way gives the same numbers; a recording, which holds for other numbers too, answers no, and so
    does a tensor without data."""
    if thread.recording:
        return False
    if isinstance(answer, Tensor):
        return not answer.is_meta and bool(answer)
    return answer()


def read(number: Tensor) -> Any:
    """The numbers of a tensor as Python's own, which go on as constants: a recording ends there."""
    return number.tolist()
