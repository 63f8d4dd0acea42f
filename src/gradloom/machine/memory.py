"""Memory: bytes in words, what a kernel that found none says, how much is free, and what the C library keeps."""
from __future__ import annotations

import ctypes
import math
import os
import re
import sys


def readable_bytes(count: int) -> str:
    """A byte count as people read it: 23.9 MB."""
    if count < 1000:
        return f"{count} bytes"
    power = min(int(math.log(count, 1000)), 5)
    return f"{count / 1000 ** power:.3g} {['', 'kB', 'MB', 'GB', 'TB', 'PB'][power]}"


def free_memory() -> int:
    """Bytes of memory that can be had now."""
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


def keep_freed_memory() -> bool:
    """Have glibc keep what arrays gave back, for the next ones: a page that is new to the process costs ten times one
    that is not.

    False where there is no glibc, where the user has set its allocator, or has set GRADLOOM_KEEP_MEMORY=0.
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
