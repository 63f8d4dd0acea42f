"""The arguments that a recorded call gets, which are copies, and what was done to them put back."""
from __future__ import annotations

from typing import Any

from ..core.array import dlarray
from ..core.containers import children_of, flatten


def copied_as_they_are(x: Any) -> bool:
    """Whether a copy of a container is as good as it: of lists, tuples, dicts, and of this library's."""
    kind = type(x)
    if kind in (list, tuple):
        return all(map(copied_as_they_are, x))
    if kind is dict:
        return all(map(copied_as_they_are, x.values()))
    inside = children_of(x)
    if inside is not None:
        return kind.__module__.partition(".")[0] == "gradloom"
    leaves, _ = flatten(x)
    return len(leaves) == 1 and leaves[0] is x


class Back:
    """Puts what a function did to copies of its arguments where the caller sees it."""

    def __init__(self, leaves: list[Any], handles: list[Any], values: list[Any]):
        self.changed = self.returned = False
        self._containers: dict[int, Any] = {}  # copies of lists and dicts: the caller's own
        self._given = {id(handle): x for x, handle in zip(leaves, handles, strict=True) if type(handle) is dlarray}
        for x, handle, value in zip(leaves, handles, values, strict=True):
            if value is not None and (handle._value is not value or handle._labels != x._labels):
                x._value, x._node, x._labels, x._note = handle._value, handle._node, handle._labels, handle._note
                self.changed = True

    def given(self, result: Any) -> Any:
        """A result with the caller's own arrays where the function returned what it was given."""
        if id(result) in self._containers:
            self.returned = True
            return self._containers[id(result)]
        if type(result) in (list, tuple):
            new = [self.given(x) for x in result]
            return result if all([a is b for a, b in zip(new, result, strict=True)]) else type(result)(new)
        if type(result) is dict:
            named = {k: self.given(x) for k, x in result.items()}
            return result if all([named[k] is result[k] for k in named]) else named
        return self._given.get(id(result), result)

    def filled(self, now: Any, given: Any) -> Any:
        """What stands in a place of the caller's: what stood there, with what was changed in it."""
        if id(now) in self._given:
            return self._given[id(now)]
        kind = type(given)
        inside = children_of(now)
        if inside is not None and type(now) is kind:  # a value that never changes: is it the one that stood there?
            its = children_of(given)[0]  # type: ignore[index]
            same = len(its) == len(inside[0]) and all(
                [self._given.get(id(v)) is g for v, g in zip(inside[0], its, strict=True)])
            return given if same else now
        if type(now) is not kind or kind not in (list, dict) and not issubclass(kind, tuple):
            return now
        if not issubclass(kind, tuple):
            self._containers[id(now)] = given
        new: Any
        if kind is dict:
            new = {k: self.filled(v, given.get(k)) for k, v in now.items()}
            same = list(new) == list(given) and all([new[k] is given[k] for k in given])
        else:
            before = [*given, *[None] * len(now)]
            listed: Any = [self.filled(v, g) for v, g in zip(now, before, strict=False)]
            new = kind(*listed) if hasattr(kind, "_fields") else kind(listed)
            same = len(new) == len(given) and all([v is g for v, g in zip(new, given, strict=True)])
        if same:
            return given
        self.changed = True
        if issubclass(kind, tuple):
            return new
        given.clear()
        given.update(new) if kind is dict else given.extend(new)
        return given


__all__ = ["Back", "copied_as_they_are"]
