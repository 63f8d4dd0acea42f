"""Every cache of the library: each registers under a name, so that all can be listed, and emptied.

Emptying one costs time and changes no result. What an author declares (operations, rules) is a table, not a cache.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
Mapping = TypeVar("Mapping", bound=MutableMapping[Any, Any])


class Cache(NamedTuple):
    """How many entries a cache has now, and how it forgets them."""

    size: Callable[[], int]
    clear: Callable[[], None]


_caches: dict[str, Cache] = {}


def remembered(maxsize: int | None = 4096) -> Callable[[Function], Function]:
    """A decorator: the function with its last results remembered by its arguments."""

    def remember(function: Function) -> Function:
        kept = functools.lru_cache(maxsize)(function)
        name = f"{function.__module__}.{function.__qualname__}"
        _caches[name] = Cache(lambda: kept.cache_info().currsize, kept.cache_clear)
        return kept  # type: ignore[return-value]

    return remember


def cache(name: str, entries: Mapping) -> Mapping:
    """A mapping that its owner fills, listed under its module's name and its own."""
    _caches[name] = Cache(entries.__len__, entries.clear)
    return entries


def sizes() -> dict[str, int]:
    """How many entries each cache has."""
    return {name: cache.size() for name, cache in sorted(_caches.items())}


def clear(name: str | None = None) -> None:
    """Empty one cache, or all."""
    for each in _caches if name is None else [name]:
        _caches[each].clear()
