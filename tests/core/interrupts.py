"""Ctrl-C at every place where Python lets it in, one after the other, or at random moments.

The interpreter raises a KeyboardInterrupt when a Python function starts and when a call of a function written in C is done (and where a loop
turns). A profiler is told of the first two within the very instruction, and what it raises is raised there.
"""

from __future__ import annotations

import contextlib
import gc
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.autograd.function import _SingleLevelFunction

import gradloom as gl
from gradloom.core.operation import Operation
from gradloom.core.trace import current_trace
from gradloom.interop.torch.aten.wrapped import running

PLACES = ("call", "c_return")


def interrupted_everywhere(program: Callable[[], Any], most: int) -> Iterator[int]:
    """Run a program again and again, interrupted at another of its places each time; at `most` of them, evenly chosen."""
    program()  # what the first run alone does is no part of it
    total = interrupted(program, 0)
    with quick_collections():
        for place in range(1, total, max(1, total // most)):
            interrupted(program, place)
            yield place


def interrupted(program: Callable[[], Any], place: int) -> int:
    """Run a program with an interrupt at a place, by its number, 0 for none; how many places it has come to."""
    count = 0

    def profiler(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        if event in PLACES:
            count += 1
            if count == place:
                raise KeyboardInterrupt

    try:
        sys.setprofile(profiler)
        program()
    except KeyboardInterrupt:
        assert place
    finally:
        sys.setprofile(None)
    return count


def interrupted_at_random(program: Callable[[], Any], count: int, seed: int = 0) -> Iterator[int]:
    """Run a program again and again until a timer has interrupted it so often, each time after a random part of the time that it takes."""
    stream, strikes = random.Random(seed), 0
    start = time.perf_counter()
    for _ in range(20):
        program()
    each = (time.perf_counter() - start) / 20
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with quick_collections():
            while strikes < count:
                struck = False
                try:
                    signal.setitimer(signal.ITIMER_REAL, max(1e-6, stream.uniform(0, 1.3) * each))
                    program()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    struck = True
                if struck:
                    strikes += 1
                    yield strikes
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


ERRORS = np.geterr()


def assert_nothing_is_left(escaped: list[Any]) -> None:
    """No trace, no mode, no check is on, the collector is; what was appended to a list has become an ordinary array."""
    gc.collect()  # what refers to itself ends now, and not in the middle of something else
    assert current_trace() is None, "a trace stayed open"
    assert gc.isenabled(), "the cycle collector stayed off"
    assert gl.log(gl.dlarray(0.0)).item() == -float("inf"), "check_finite stayed on"
    assert "__getattribute__" not in vars(Operation)
    assert torch.is_grad_enabled() and not torch._C._len_torch_dispatch_stack() and not torch._C._len_torch_function_stack(), "a mode of torch stayed on"
    assert running() is None and "apply" not in vars(_SingleLevelFunction), "a run of torch code stayed on"
    assert np.geterr() == ERRORS, "NumPy stayed quiet"
    assert not any(x.traced or (x + 1).traced or x._node is not None and (x._node.values or x._node.parents) for x in escaped), "a node stayed full"
    assert (gl.dlarray([1.0]) * 2).traced is False


@contextlib.contextmanager
def quick_collections() -> Iterator[None]:
    """The cycle collector looks at what is new alone."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def collector_on() -> Iterator[None]:
    before = gc.isenabled()
    gc.enable()
    try:
        yield
    finally:
        if not before:
            gc.disable()
