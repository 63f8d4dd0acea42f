"""What was found of a trace's structure, kept by its signature: the second call pays nothing."""
from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ...core.trace import Node
from ...machine.caches import cache
from .signature import outline, signature

KEPT_PLANS = 256
KEPT_ROWS = 1 << 19  # of all keys together, which hold an account of each node: some tens of megabytes
_plans: OrderedDict[Any, Any] = cache(f"{__name__}._plans", OrderedDict())
_lock = threading.Lock()


_ABSENT = object()


class _Key:
    """A key that is hashed once."""

    __slots__ = ("hashed", "rows", "value")

    def __init__(self, value: Any, rows: int):
        self.value = value
        self.hashed = hash(value)
        self.rows = rows

    def __hash__(self) -> int:
        return self.hashed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.hashed == other.hashed and bool(self.value == other.value)


def remembered(kind: str, outputs: Sequence[Node], inputs: Sequence[Node], find: Any, extra: Any = (),
               roughly: bool = False) -> Any:
    """What `find()` says, kept by the trace's signature; `roughly`: by its outline, for what may be another's."""
    its = (outline if roughly else signature)(outputs, inputs)
    if its is None:
        return find()
    key = _Key((kind, its, extra), len(its[0]))
    with _lock:
        found = _plans.get(key, _ABSENT)
        if found is not _ABSENT:
            _plans.move_to_end(key)
            return found
    found = find()
    with _lock:
        _plans[key] = found
        rows = sum([k.rows for k in _plans])
        while len(_plans) > KEPT_PLANS or rows > KEPT_ROWS and len(_plans) > 1:
            rows -= _plans.popitem(last=False)[0].rows
    return found


__all__ = ["remembered"]
