"""Files that are there as a whole or not at all, whatever happens while they are written."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO


@contextmanager
def replacing(path: Any) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` at the end.

    It is written beside it, brought to the disk and renamed, and so is the folder's entry. Where the writing fails,
    what was at `path` is still there.
    """
    path = os.path.realpath(os.fspath(path))
    beside = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.part"
    file = os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666), "wb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


__all__ = ["replacing"]
