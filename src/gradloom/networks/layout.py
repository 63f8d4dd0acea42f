"""Layouts: the shape and labels of what enters a layer."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.array import dlarray
from ..core.labels import described, positions
from ..vocabulary.hints import LayoutWords


@dataclass(frozen=True)
class Layout(LayoutWords):
    """The shape and labels of a layer's input, as `initialize` sees it. The batch has size 1 there."""

    shape: tuple[int, ...]
    labels: str | None = None

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes by letter: an integer, or a tuple where several axes carry the letter."""
        found: dict[str, Any] = {}
        for letter in dict.fromkeys(self.labels or ""):
            its = tuple(self.shape[k] for k in positions(self.labels, letter))
            found[letter] = its if letter in "SU" and len(its) > 1 else its[0]
        return found

    def __str__(self) -> str:
        return described(self.shape, self.labels)


def layout_of(x: dlarray) -> Layout:
    """Shape and labels."""
    return Layout(x.shape, x._labels)


__all__ = ["Layout", "layout_of"]
