"""What a network does with its parameters: a graph of layers, a torch module, or anything else that keeps this
protocol."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .parameters import Key
from .settings import Settings

_new = object.__new__
_set = object.__setattr__


class Body(Protocol):
    """The part of a network that no step changes. Values are its parameters side by side: all learnables, then all
    states, each in the order of its keys.
    """

    @property
    def learnable_keys(self) -> tuple[Key, ...]:
        """(layer, parameter) of what training changes."""

    @property
    def state_keys(self) -> tuple[Key, ...]:
        """(layer, parameter) of what is carried from call to call."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the arrays that it runs on are called, in order."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """What it returns where nothing is asked for by name is called; () where only a run can tell."""

    @property
    def takes_masks(self) -> bool:
        """Whether `run` has the option mask=: which steps of its inputs are there."""

    @property
    def separator(self) -> str:
        """What stands between the names of a part and of its parts: "/" in "block/conv1"."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What the cells of its rows are."""

    def run(self, values: list[Any], xs: tuple[Any, ...], training: bool, wanted: str | Sequence[str] | None,
            stateful: bool, options: dict[str, Any]) -> tuple[Any, list[Any] | None]:
        """Outputs, and new states where they are asked for.

        `wanted` names outputs: one name gives one array, several a tuple. `options` are the caller's other keywords.
        """

    def replayed(self) -> Callable[..., Any] | None:
        """What predicts with a network of it, in calls that are replayed; None where they are not."""

    def reset(self, values: list[Any]) -> list[Any]:
        """Values with the states that it starts from."""

    def runs(self) -> list[Any]:
        """What it runs besides its values: layers, functions, classes."""

    def reads(self) -> list[tuple[str, Callable[[], Any]]]:
        """What it reads that these do not hold, in words, and how it is read."""

    def layers(self, values: list[Any], settings: Settings) -> tuple[Any, ...]:
        """Its layers with their parameters and settings, for those that have layers."""

    def heading(self, values: list[Any]) -> str:
        """The line above its rows."""

    def rows(self, values: list[Any]) -> list[tuple[str, ...]]:
        """What it prints: one row for each of its parts, one cell for each column."""


class WithBody:
    """What has a body, values and settings: `dlnetwork`, for the files that it imports itself."""

    __slots__ = ("__weakref__", "_body", "_settings", "_values")
    _body: Body
    _values: list[Any]
    _settings: Settings


def filled(kind: type, body: Body, values: list[Any], settings: Settings | None = None) -> Any:
    """A network of a body with these values, without checks."""
    made: Any = _new(kind)
    _set(made, "_body", body)
    _set(made, "_values", values)
    _set(made, "_settings", Settings(body.learnable_keys, {}) if settings is None else settings)
    return made


def refilled(network: Any, values: list[Any]) -> Any:
    """The network with other values, without checks."""
    return filled(type(network), network._body, values, network._settings)


__all__ = ["Body", "WithBody", "filled", "refilled"]
