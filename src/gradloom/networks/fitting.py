"""Parameters that are given: whether they have the shapes that the options of their layer say."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import ShapeError, line_of, user_site
from ..core.labels import described
from .initialize import without_values
from .layer import LEARNABLE, Layer, copied
from .layout import Layout
from .registry import CATALOGUE


def check_given(layer: Layer, name: str, layouts: Sequence[Layout], given: Mapping[str, Any],
                assignable: Sequence[str]) -> None:
    """An error where learnables that were given to a layer of the catalogue are not as large as those that it would
    have made: it would run as another layer than it says. One number may stand for all channels."""
    shapes = {field: x.shape for field, x in given.items() if layer.roles[field] == LEARNABLE and x is not None}
    kind = type(layer)
    if not shapes or CATALOGUE.get(kind.__name__) is not kind or kind.initialize is Layer.initialize:
        return
    made = copied(layer, {"name": name, **dict.fromkeys(layer.roles)}, (*layer.roles, *assignable))
    with without_values():
        made.initialize(*layouts)
    for field, shape in shapes.items():
        its = getattr(made, field)
        if its is not None and shape != its.shape and (shape != (1,) or its.ndim != 1):
            raise ShapeError(
                f"the parameter {(name, field)!r} has shape {described(shape, None)}, and {layer!r} of "
                f"{', '.join(map(str, layouts))} has one of {described(its.shape, None)}, at {line_of(user_site())}; "
                "give an array of that shape, or the option that says its size")


__all__ = ["check_given"]
