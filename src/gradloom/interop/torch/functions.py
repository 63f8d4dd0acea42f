"""torch's protocol: torch.sin(x), F.relu(x), tensor + x record the library's operations.

A function without an entry in the table is run by `aten/recording.py`, through the ATen operations that it is made of.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.array import dlarray
from ...core.errors import TypeRefused, line_of, user_site
from ...machine.caches import remembered
from ..protocol import Unsupported, adapted, unknown
from .table import name_of
from .twins import FUNCTIONS, PASSED_ON  # the last part of the table


def fallback(function: Any, args: Any, kwargs: Any, word: str, why: str) -> Any:
    """A function without an entry, or with an option that its entry has not."""
    try:
        from .aten.recording import run
    except ImportError:
        raise unknown(f"{word}{why}", "write it in other operations") from None
    return run(function, args, kwargs)


def handle(function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """What torch calls for a function of which an argument is a dlarray."""
    kwargs = kwargs or {}
    name = name_of(function)
    word = f"torch.{name}"
    if name.endswith("_") and not name.endswith("__") or name in ("__setitem__", "__set__"):
        raise TypeRefused(
            f"{word} would write a recorded value into a tensor, at {line_of(user_site())}; write t = t + x instead of "
            "t.add_(x), and make t a dlarray before t[i] = x")
    if kwargs.get("out") is not None:
        raise TypeRefused(
            f"{word} with out= would write a recorded value into a tensor, at {line_of(user_site())}; write y = "
            f"{word}(...)")
    if name == "_pack_padded_sequence":
        raise TypeRefused(
            f"a packed sequence holds torch's tensors, at {line_of(user_site())}; pack inside a module, and run that "
            "by from_torch(module)")
    adapter = FUNCTIONS.get(name)
    if adapter is None:
        return fallback(function, args, kwargs, word, "")
    if "out" in kwargs:
        kwargs = {k: v for k, v in kwargs.items() if k != "out"}
    try:
        return adapted(word, adapter, args, kwargs)
    except Unsupported as reason:
        return fallback(function, args, kwargs, word, f" with {reason}")


@remembered(None)
def passed_on(function: Any, count: int) -> Callable[..., Any] | None:
    """The operation that takes this many arguments of a function as they are."""
    return PASSED_ON.get((name_of(function), count))


def _torch_function(cls: type, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    if not kwargs and (operation := passed_on(function, len(args))) is not None:
        return operation(*args)  # quick way: `handle` would say nothing else
    return handle(function, types, args, kwargs)


dlarray.__torch_function__ = classmethod(_torch_function)  # type: ignore[attr-defined]
