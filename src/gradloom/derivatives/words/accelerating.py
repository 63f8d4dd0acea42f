"""How the functions for solvers accelerate: from the second call on, by what the floor above registers."""
from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from ...core.errors import TypeRefused, line_of, user_site

Run = Callable[..., Any]


class Accelerated(Protocol):
    """A function whose calls are recorded."""

    def replaying(self, run: Run, way: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `run(*args, **kwargs)` gives, recorded and replayed: `run` calls the function, and `way` tells what
        else it does."""

    def explain(self) -> str:
        """What is recorded, and why a call was not replayed."""


_makers: list[Callable[[Run], Accelerated]] = []


def register(maker: Callable[[Run], Accelerated]) -> None:
    """What makes an accelerated function."""
    _makers.append(maker)


class Calls:
    """The calls of one function for solvers: `calls(run, way, args, kwargs)` is `run(*args, **kwargs)`."""

    __slots__ = ("_accelerate", "_accelerated", "_function")

    def __init__(self, function: Run, accelerate: bool, word: str):
        if not isinstance(accelerate, bool):
            raise TypeRefused(f"accelerate is True or False, not {accelerate!r}, at {line_of(user_site())}; write "
                              f"{word}(fun, accelerate=False) for plain calls")
        self._function, self._accelerate = function, accelerate
        self._accelerated: Accelerated | None = None

    def __call__(self, run: Run, way: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._accelerated is not None:
            return self._accelerated.replaying(run, way, args, kwargs)
        result = run(*args, **kwargs)
        if self._accelerate and _makers:  # many a function is made for one call
            self._accelerated = _makers[0](self._function)
        return result

    def explain(self) -> str:
        """What is recorded of the calls, and why the last one that was not replayed was not."""
        if not self._accelerate:
            return "every call is plain: accelerate=False"
        return "no call has been made" if self._accelerated is None else self._accelerated.explain()


__all__ = ["Calls", "register"]
