"""What is said of a word that is not there: the nearest ones."""
from __future__ import annotations

import difflib
from typing import Any


def nearest(name: str, names: Any, count: int = 3) -> str:
    """Names like `name`, for 'did you mean'."""

    found = difflib.get_close_matches(str(name), [str(n) for n in names], n=count, cutoff=0.5)
    return f"; did you mean {' or '.join(repr(f) for f in found)}?" if found else ""
