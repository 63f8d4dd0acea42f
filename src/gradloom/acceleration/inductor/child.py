"""What runs in a process of its own: a graph comes in, torch's compiler makes it machine code in its own folder, and
what is to be loaded goes out.

The process ends with the one that started it, also while it imports torch, and takes the C++ compiler along.
"""
from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import threading
import time

LOOKS = 0.1  # seconds between looks at whether the parent lives


def ends_with(parent: int) -> None:
    """End this process, and all that it started, once the one that started it is gone."""
    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOKS)
        os.killpg(0, signal.SIGTERM)  # upon which the C++ compiler removes what it has not finished

    threading.Thread(target=look, daemon=True).start()


def main() -> None:
    ends_with(int(sys.argv[1]))
    os.nice(int(sys.argv[2]))
    graph = json.loads(sys.stdin.read())
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever prints meanwhile
    made = runpy.run_path(os.path.join(os.path.dirname(__file__), "compiler.py"))["compiled"](graph)
    with os.fdopen(answer, "wb") as file:
        file.write(made)


if __name__ == "__main__":
    main()
