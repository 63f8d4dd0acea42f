"""What a network does with its parameters: a graph of layers, a torch module, or anything else that keeps this
protocol."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .parameters import Key


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
    def columns(self) -> tuple[str, ...]:
        """What the cells of its rows are."""

    def run(self, values: list[Any], xs: tuple[Any, ...], training: bool, wanted: str | Sequence[str] | None,
            stateful: bool, options: dict[str, Any]) -> tuple[Any, list[Any] | None]:
        """Outputs, and new states where they are asked for.

        `wanted` names outputs: one name gives one array, several a tuple. `options` are the caller's other keywords.
        """

    def reset(self, values: list[Any]) -> list[Any]:
        """Values with the states that it starts from."""

    def layers(self, values: list[Any]) -> tuple[Any, ...]:
        """Its layers with their parameters, for those that have layers."""

    def heading(self, values: list[Any]) -> str:
        """The line above its rows."""

    def rows(self, values: list[Any]) -> list[tuple[str, ...]]:
        """What it prints: one row for each of its parts, one cell for each column."""


__all__ = ["Body"]
