"""How a call of a function of NumPy's is read: each argument has the name that NumPy gives it, wherever it stands."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...core.errors import TypeRefused, line_of, user_site
from ...machine.caches import remembered

# These say how NumPy works, or what it may assume, and not what comes out.
_UNHEEDED = {"assume_unique", "casting", "hermitian", "like", "optimize", "order", "overwrite_input", "subok"}


class _Reading(NamedTuple):
    """What is known of a function of NumPy's and its adapter."""

    as_written: int  # so many arguments have their place in the adapter too
    names: tuple[str, ...]  # of NumPy's arguments by position
    by_place: int  # the first ones have no name to callers
    usual: dict[str, Any]  # what NumPy takes where an argument is not given: said aloud, it means the same
    known: frozenset[str]  # the names that the adapter takes
    open: bool  # any number of arguments by position, which have no names


@remembered(None)
def _reading(function: Callable[..., Any], adapter: Callable[..., Any]) -> _Reading:
    ours = inspect.signature(adapter).parameters
    try:
        theirs = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some are written in C
        theirs = ours
    positional = [[p.name for p in its.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
                  for its in (theirs, ours)]
    by_place = sum(p.kind is p.POSITIONAL_ONLY for p in theirs.values())
    as_written = by_place
    while as_written < min(map(len, positional)) and positional[0][as_written] == positional[1][as_written]:
        as_written += 1
    return _Reading(
        as_written, tuple(positional[0]), by_place,
        {name: p.default for name, p in theirs.items() if p.default is not p.empty}, frozenset(ours),
        any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in ours.values()))


def arguments(function: Callable[..., Any], adapter: Callable[..., Any], word: str, args: tuple[Any, ...],
              kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The adapter's arguments from NumPy's: those at their default are left out, those that it has not are refused."""
    read = _reading(function, adapter)
    if not kwargs and (len(args) <= read.as_written or read.open):
        return args, kwargs  # quick way: all are where the adapter has them; the plain one is below
    place = len(args) if read.open else read.as_written
    given = dict(zip(read.names[place:], args[place:], strict=False)) | kwargs
    options = {name: value for name, value in given.items() if name in read.names[:read.by_place]
               or not (name in read.usual and _same(value, read.usual[name]) or value is np._NoValue)}
    refuse_writing(word, options, "where" in read.known)
    for name in sorted(options.keys() - read.known):
        if name in _UNHEEDED:
            del options[name]
        elif not read.open and name not in read.names[:read.by_place]:
            raise TypeRefused(f"{word} with {name}={options[name]!r:.30} has no operation, at {line_of(user_site())}; "
                              f"leave {name} out")
    by_place = [options.pop(name) for name in read.names[len(args):read.by_place] if name in options]
    return (*args[:place], *by_place), options


def _same(value: Any, usual: Any) -> bool:
    return value is usual or isinstance(value, (str, int)) and type(value) is type(usual) and value == usual


def refuse_writing(word: str, options: dict[str, Any], masked: bool = False) -> None:
    """A place to write to, and a mask of a function that has none, are refused with what to write instead."""
    out = options.get("out")
    if out is not None and any(o is not None for o in (out if isinstance(out, tuple) else (out,))):
        raise TypeRefused(f"{word} with out= would write a recorded value into an array, at {line_of(user_site())}; "
                          f"write y = {word}(...), and a = a + x instead of a += x")
    if not masked and "where" in options and options["where"] is not True:
        raise TypeRefused(
            f"{word} with where= has no operation, at {line_of(user_site())}; select with np.where(mask, {word}(x), "
            "other), or x[mask]")
