"""Layouts: the shape and labels of what enters a layer."""
from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

from ..core.array import dlarray
from ..core.errors import ShapeError, line_of, user_site
from ..core.labels import checked, described, positions
from ..vocabulary.hints import LayoutWords


@dataclass(frozen=True)
class Layout(LayoutWords):
    """The shape and labels of a layer's input, as `initialize` sees it. The batch has size 1 there."""

    shape: tuple[int, ...]
    labels: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.shape, (tuple, list)) or not all(
                [isinstance(n, numbers.Integral) and n >= 0 for n in self.shape]):
            raise ShapeError(f"a Layout is the sizes of axes and their labels, not {self.shape!r} and {self.labels!r}, "
                             f"at {line_of(user_site())}; write Layout((1, 3), \"BC\")")
        checked(self.labels, len(self.shape))
        object.__setattr__(self, "shape", tuple([int(n) for n in self.shape]))

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
