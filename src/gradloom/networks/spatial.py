"""What layers over spatial axes share: a size for each axis, and which axes of x they work on."""
from __future__ import annotations

from typing import Any

from ..core.errors import LabelError, ShapeError, line_of, user_site
from ..core.labels import described, positions

Sizes = int | tuple[int, ...]

COUNTS = {1: "one axis S (or T)", 2: "two axes S (or one S and T)", 3: "three axes S (or two S and T)"}
EXAMPLES = {1: "BCS", 2: "BCSS", 3: "BCSSS"}


def sizes_of(value: Any, d: int, word: str) -> tuple[int, ...]:
    """A positive size for each of d axes, from one number or d of them."""
    sizes = (value,) * d if isinstance(value, int) else tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(sizes) != d or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes):
        what = "one positive integer" + (f" or {d} of them" if d > 1 else "")
        raise ShapeError(f"{word} is {what}, not {value!r}, at {line_of(user_site())}; write {word.split()[-1]}=2")
    return sizes


def check_count(value: Any, word: str) -> None:
    """Refuse what is not a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ShapeError(f"{word} is a positive integer, not {value!r}, at {line_of(user_site())}; write "
                         f"{word.split()[-1]}=8")


def letters_of(shape: Any, labels: str | None, d: int, who: str) -> str:
    """Which axes a layer of d axes works on: the S, with T where one S is missing."""
    letters = labels or ""
    if letters.count("S") == d:
        return "S"
    if letters.count("S") == d - 1 and "T" in letters:
        return "ST" if d > 1 else "T"
    raise LabelError(
        f"{who} works on {COUNTS[d]}, x is {described(shape, labels)}, at {line_of(user_site())}; label the data, such "
        f"as \"{EXAMPLES[d]}\"")


def axes_worked(x: Any, d: int, who: str) -> tuple[int, ...]:
    """Their positions in x, S before T."""
    return tuple(k for letter in letters_of(x.shape, x._labels, d, who) for k in positions(x._labels, letter))


def called(layer: Any) -> str:
    """A layer in the text of an error."""
    return f"the layer {layer.name!r} ({type(layer).__name__})"


__all__ = ["Sizes", "axes_worked", "called", "check_count", "letters_of", "sizes_of"]
