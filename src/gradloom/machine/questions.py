"""The ways to ask a tensor for a value, told apart by what a recorded program does with them.

What the program depends on is `decided`: a guard, whose other answer leads elsewhere. What only saves time is `spared`:
both answers give the same numbers, so a recording asks nothing and takes the plain way. Each takes a tensor of one
truth value, or a function that finds the answer. What saves time nearly always is `usually`: a guard where it did.
`read` takes numbers out as constants, and ends a recording. Conversions that a user asks for (`float(x)`) and numbers
in the text of an error are no questions of the library's.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from .dtypes import Tensor
from .modes import under


class _Thread(threading.local):
    recording: Any = False  # what records this thread's calls


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


def usually(quick: Callable[[], bool], question: Callable[[], Tensor]) -> bool:
    """Whether a shorter way gives the same numbers, where it nearly always does: `quick` finds that out, and `question`
    is the same as a tensor of one truth value.

    A recording that takes the shorter way asks the question each time that it is replayed; one that does not asks
    nothing.
    """
    if not thread.recording:
        return quick()
    with torch._C.DisableTorchFunction():
        answer = quick()
    return answer and bool(question())


def settled(x: Tensor) -> bool:
    """Whether an array holds the same numbers in each call: a recording is replayed with others in what depends on its
    arguments."""
    recording = thread.recording
    slot = recording.known(x) if recording else None
    return slot is None or not recording.moves(slot)


def heard(function: Callable[..., Any], /, *args: Any) -> Any:
    """Run what answers torch's calls, from within one of them: what records this thread's calls hears it, too."""
    recording = thread.recording
    if not recording or any([torch._C._get_function_stack_at(k) is recording
                             for k in range(torch._C._len_torch_function_stack())]):
        return function(*args)
    return under([recording], function, *args)


def called(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """A call of this library's own that recordings repeat, as they repeat those of torch."""
    if thread.recording:
        return thread.recording.__torch_function__(function, (), args, options)
    return function(*args, **options)


def computed_anew(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """Run what computes again what was let go: a recording does not take the first for the second."""
    return thread.recording.anew(function, *args, **options) if thread.recording else function(*args, **options)


def ends_recording(why: str) -> None:
    """What acts on the world, unheard: a recording of this thread ends there, and the call goes on."""
    if thread.recording:
        thread.recording.end(why)


def read(number: Tensor) -> Any:
    """The numbers of a tensor as Python's own, which go on as constants: a recording ends there."""
    return number.tolist()
