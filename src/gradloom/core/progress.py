"""Progress of long work: a bar on stderr, only for work over two seconds and only where somebody is looking."""
from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

AFTER = 2.0  # seconds
Step = TypeVar("Step")


def watched() -> bool:
    """Whether stderr is a terminal, or this is a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def progress(steps: Iterable[Step], total: int, what: str) -> Iterator[Step]:
    """The steps, with a bar (tqdm where it is installed, else lines) once they have taken more than two seconds."""
    if not watched():
        yield from steps
        return
    start, shown = time.monotonic(), 0.0
    bar: Any = None
    try:
        for k, step in enumerate(steps):
            yield step
            now = time.monotonic()
            if now - start < AFTER:
                continue
            if bar is None and not shown:
                bar = _bar(total, what, k)
            if bar is not None:
                bar.update(1)
            elif now - shown > AFTER:
                shown = now
                print(f"{what}: {k + 1} of {total}", file=sys.stderr, flush=True)
    finally:  # an interrupt too takes the bar away
        if bar is not None:
            bar.close()


def _bar(total: int, what: str, done: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, desc=what, initial=done, leave=False)
