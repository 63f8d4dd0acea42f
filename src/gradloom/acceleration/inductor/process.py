"""Torch's compiler in a process of its own: what it needs, and what it makes.

In this process it would hold Python's lock for seconds and more, in which each call of torch's waits for it.
"""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from typing import Any

from ...machine.caches import remembered
from ..background import ending
from .graph import NotInductor

LONGEST = 600.0  # seconds that compiling may take
LOOKS = 0.1  # seconds between looks at whether somebody still waits
NICE = 10  # how far a compiler steps back where the program goes on meanwhile
_FILE = os.path.join(os.path.dirname(__file__), "compiler.py")


class NotCompiled(Exception):
    """What torch's compiler or the C++ compiler has to say."""


@remembered(1)
def lacking() -> str:
    """What is not there of what compiling needs, in words; "" where all is."""
    if os.name != "posix" or not sys.executable:
        return "a system that starts processes as Linux does"
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return f"a C++ compiler ({compiler}), which is not found"
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        return "Python's headers (Python.h), which are not installed"
    return ""


def compiled(graph: dict[str, Any], threads: int, aside: bool, wanted: Callable[[], bool]) -> Any:
    """A graph as a function of its given arrays. The process that compiles it ends with this one, and as soon as nobody
    wants it; it is compiled for so many threads, `aside` says whether others go first."""
    graph = {**graph, "parent": os.getpid(), "threads": threads, "nice": NICE if aside else 0}
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1",
                   "PYTHONPATH": os.pathsep.join([p for p in sys.path if p])}
    child = subprocess.Popen([sys.executable, "-P", _FILE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        made, said = _answer(child, json.dumps(graph).encode(), wanted)
    finally:
        _end(child)
    if child.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or [f"it ended with {child.returncode}"]
        raise NotCompiled(lines[-1])
    return _loaded(made)


def _answer(child: subprocess.Popen[bytes], graph: bytes, wanted: Callable[[], bool]) -> tuple[bytes, bytes]:
    start, given = time.monotonic(), graph
    while True:
        try:
            return child.communicate(given or None, LOOKS)
        except subprocess.TimeoutExpired:
            given = b""
        if ending() or not wanted():
            raise NotInductor("nobody waits for it")
        if time.monotonic() - start > LONGEST:
            raise NotInductor(f"compiling takes longer than {LONGEST:.0f} seconds")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing of it runs on: of what the process started, either."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def _loaded(made: bytes) -> Any:
    import torch._inductor.config as settings

    with settings.patch(compile_threads=1):  # else the import starts processes that would compile
        from torch._inductor.standalone_compile import AOTCompiledArtifact

        return AOTCompiledArtifact.deserialize(made)


__all__ = ["NotCompiled", "compiled", "lacking"]
