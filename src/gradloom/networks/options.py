"""What layers say about options and inputs that do not fit, each in one place."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.errors import ShapeError, line_of, user_site
from ..core.labels import channel_last_order
from ..vocabulary.misspelled import nearest
from .layer import Layer
from .layout import Layout
from .spatial import called


def check_sizes(layer: Layer, *names: str) -> None:
    """These options of a layer are positive integers, or None where that is their default."""
    for name in names:
        value = getattr(layer, name)
        default = type(layer).__dataclass_fields__[name].default
        if value is None and default is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ShapeError(f"{type(layer).__name__}'s {name} is a positive integer, not {value!r}, at "
                             f"{line_of(user_site())}")


def check_choice(layer: Layer, name: str, choices: Sequence[str]) -> None:
    """An option of a layer is one of these words."""
    value = getattr(layer, name)
    if value not in choices:
        hint = nearest(value, choices) if isinstance(value, str) else ""
        raise ShapeError(f"{type(layer).__name__}'s {name} is one of {', '.join(map(repr, choices))}, not {value!r}, "
                         f"at {line_of(user_site())}{hint}")


def check_number(layer: Layer, name: str, low: float, high: float = float("inf")) -> None:
    """An option of a layer is a number in [low, high]."""
    value = getattr(layer, name)
    if not isinstance(value, (int, float)) or not low <= value <= high:
        reach = f"of at least {low}" if high == float("inf") else f"in [{low}, {high}]"
        raise ShapeError(f"{type(layer).__name__}'s {name} is a number {reach}, not {value!r}, at "
                         f"{line_of(user_site())}")


def channels_of(layer: Layer, layout: Layout) -> int:
    """How many channels enter a layer, which needs an axis C."""
    if "C" not in (layout.labels or ""):
        raise ShapeError(f"{called(layer)} needs an axis C, its input is {layout}, "
                         f"at {line_of(user_site())}; label the data, such as \"CB\"")
    channels: int = layout.sizes["C"]
    return channels


def merged_size(layer: Layer, layout: Layout) -> int:
    """How many numbers enter a layer that merges S axes into the channels."""
    merged = channel_last_order(layout.labels or "")
    if not merged:
        raise ShapeError(f"{called(layer)} needs an axis C or S, its input is "
                         f"{layout}, at {line_of(user_site())}; label the data, such as \"CB\"")
    return math.prod(layout.shape[k] for k in merged)


def relabelled(x: Any, labels: str) -> Any:
    """The same array under other labels."""
    return type(x)._made(x._value, x._node, labels or None)


def along_channels(x: Any) -> Any:
    """A vector of parameters, one for each channel, as an array with the axis C."""
    return relabelled(x, "C")


__all__ = ["along_channels", "channels_of", "check_choice", "check_number", "check_sizes", "merged_size", "relabelled"]
