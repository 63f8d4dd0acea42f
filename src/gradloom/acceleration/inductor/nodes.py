"""Operations with numbers in the place of arrays."""
from __future__ import annotations

from typing import Any


class Number:
    """In the place of an array."""

    __slots__ = ("number",)

    def __init__(self, number: int):
        self.number = number


class Node:
    """One operation: its name, its arguments, and the numbers of its results: one, or a list of them and None."""

    __slots__ = ("args", "kwargs", "name", "outputs")

    def __init__(self, name: str, args: list[Any], kwargs: dict[str, Any], outputs: Any):
        self.name, self.args, self.kwargs, self.outputs = name, args, kwargs, outputs


__all__ = ["Node", "Number"]
