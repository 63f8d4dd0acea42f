"""Memory: bytes in words, what a kernel that found none says, how much is free, what the C library keeps, and results
of one number apart from large arrays."""
from __future__ import annotations

import ctypes
import math
import operator
import os
import re
import sys
import time
from collections.abc import Iterator

import torch

from .dtypes import DTYPES, Tensor
from .questions import thread


def readable_bytes(count: int) -> str:
    """A byte count as people read it: 23.9 MB."""
    if count < 1000:
        return f"{count} bytes"
    power = min(int(math.log(count, 1000)), 5)
    return f"{count / 1000 ** power:.3g} {['', 'kB', 'MB', 'GB', 'TB', 'PB'][power]}"


ANSWER_HOLDS = 0.01  # seconds: asking takes 20 us, and in that time a process fills some 100 MB
_answered = (-math.inf, 0)  # when memory was asked for, and what there was


def free_memory() -> int:
    """Bytes of memory that can be had now."""
    global _answered
    asked, free = _answered
    now = time.monotonic()
    if now - asked > ANSWER_HOLDS:
        free = _ask_for_memory()
        _answered = now, free
    return free


def _ask_for_memory() -> int:
    try:
        with open("/proc/meminfo") as info:
            for line in info:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 4 << 30


# torch's words on a CPU, NumPy's, and torch's on a GPU
_WANTED = re.compile(r"(?:you tried|Unable|Tried) to allocate (?:(\d+) bytes|([\d.]+ ?[KMGTPE]iB))")


def out_of_memory(error: BaseException) -> str | None:
    """How much memory was asked for and not there, as people read it; None for any other error."""
    found = _WANTED.search(str(error))
    if found is not None:
        return readable_bytes(int(found[1])) if found[1] else found[2]
    overflowed = (isinstance(error, RuntimeError) and ("Storage size calculation overflowed" in str(error)
                                                       or "possible overflow" in str(error)))
    return "over 9 EB" if overflowed or isinstance(error, MemoryError) else None


KEPT = 256 << 20  # bytes at the end of the heap that stay with the process
SHARED = 32 << 20  # arrays below this come from the heap: the most that the C library takes by itself
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of glibc's mallopt


def keep_memory() -> bool:
    """Have this process keep the memory that arrays gave back, up to 256 MB, for the next ones.

    A page of memory that is new to the process costs ten times one that is not, and with its own settings the C library
    gives pages back and takes them again in every step of a training loop. Call it once, at the start of a program: it
    holds for the whole process, and so it is for the program to say, not for a library. Returns whether it holds: not
    without glibc (elsewhere than on Linux), where the environment sets glibc's allocator, or with
    GRADLOOM_KEEP_MEMORY=0.

    >>> import gradloom as gl
    >>> kept = gl.keep_memory()

    Source: glibc, mallopt, M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
    """
    if not sys.platform.startswith("linux") or os.environ.get("GRADLOOM_KEEP_MEMORY") == "0" or any(
            name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_",
                                            "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_MMAP_THRESHOLD, SHARED) and mallopt(_TRIM_THRESHOLD, KEPT))
    except (OSError, AttributeError):
        return False


# ----- results of one number ------------------------------------------------------------------------------------------

LITTLE = 64  # numbers of an array that leaves no hole for another
SLAB = 1 << 13  # numbers side by side: each slab lies among large arrays once

# A number that is kept lies where an array had been that was given back, and then the next array of that size finds no
# room there: a loop that keeps its losses grew by a whole array with each. Places that are free, side by side:
places: dict[torch.dtype, Iterator[Tensor]] = {dtype: iter(()) for dtype in DTYPES.values()}


_alone = operator.attrgetter("data")


def apart(value: Tensor) -> Tensor:
    """A result that is one number, in a place among others of its kind; all else as it is."""
    if value.numel() != 1 or not value.is_cpu or value.layout is not torch.strided or thread.recording:
        return value
    return alone(value)


def alone(value: Tensor) -> Tensor:
    """One number on the CPU, in a place among others of its kind."""
    place = next(places[value.dtype], None)
    if place is None:
        if torch.is_inference_mode_enabled():  # whose tensors nobody may write into afterwards
            return value
        slab = torch.empty(SLAB, dtype=value.dtype, device="cpu")
        # each counts its own changes: torch takes a number that it has kept for changed when a neighbour is written
        fresh = places[value.dtype] = map(_alone, map(slab.__getitem__, range(SLAB)))
        place = next(fresh)
    if not value.ndim:  # quick way; the plain one is below
        return place.copy_(value)
    place.copy_(value.reshape(()))
    return place.view(value.shape)
