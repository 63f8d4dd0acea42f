"""Processes of their own, forked from one that has imported the library: importing torch takes a second or two, and nothing else of a
Python's start is looked at. What an import itself does is tested with `subprocess`.
"""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

_WAYS = multiprocessing.get_all_start_methods()
_CONTEXT = multiprocessing.get_context("forkserver" if "forkserver" in _WAYS else "spawn")
if "forkserver" in _WAYS:
    # no SciPy: what is run may want to say first how it is imported
    _CONTEXT.set_forkserver_preload(["gradloom", "torch.distributed", __name__])


class Forked:
    """A process that runs a program, as `python -c text` or `python file` would, with one thread and this environment."""

    def __init__(self, program, *args, environment=None):
        handle, said = tempfile.mkstemp()
        os.close(handle)
        self._said = Path(said)
        environment = dict(os.environ if environment is None else environment)
        self._process = _CONTEXT.Process(target=_run, args=(program, [str(a) for a in args], environment, said))
        self._process.start()

    @property
    def returncode(self):
        return self._process.exitcode

    def communicate(self, timeout=None):
        """What it said on both streams, once it has ended."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("forked", timeout)
        return self._said.read_text()

    def end(self):
        """It is killed where it still runs."""
        self._process.kill()
        self._process.join()
        self._said.unlink(missing_ok=True)


def run_forked(program, *args, environment=None, timeout=240):
    """Run a program to its end: its exit code, and what it said."""
    process = Forked(program, *args, environment=environment)
    try:
        said = process.communicate(timeout)
    finally:
        process.end()
    return process.returncode, said


def _run(program, args, environment, said):
    """What an interpreter does with a program, up to the last words of one that fails and what is to be done at the end."""
    file = os.open(said, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    name, text = ("<string>", program) if isinstance(program, str) else (str(program), Path(program).read_text())
    sys.argv = ["-c" if isinstance(program, str) else name, *args]
    code = 0
    try:
        exec(compile(text, name, "exec"), {"__name__": "__main__", "__file__": name})
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.exit(code)
