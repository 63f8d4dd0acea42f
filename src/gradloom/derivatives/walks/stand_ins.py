"""Stand-ins: what a walk on structure alone reads instead of values, arrays that know shape and type."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...core.trace import Node
from ...machine.dtypes import Tensor
from ...machine.modes import under
from ...machine.shapes import Shapes


def on_structure(walk: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """Run a walk that reads stand-ins, with shapes found here where torch is slow at them."""
    return under([Shapes()], walk, *args, **options)


def stand_ins(node: Node) -> list[Any]:
    """The node's values as arrays without data; integers, which select, stay real."""
    n = len(node.parents)
    dropped = node.dropped or ()
    made: list[Any] = []
    for k, value in enumerate(node.values):
        if k in dropped:
            source = node.parents[k] if k < n else node
            value = None if source is None else torch.empty(source.shape, dtype=source.dtype, device="meta")
        elif type(value) is tuple:
            value = tuple(map(_stand_in, value))
        else:
            value = _stand_in(value)
        made.append(value)
    return made


def _stand_in(value: Any) -> Any:
    if isinstance(value, Tensor) and not stays_real(value):
        # repeated where the value is
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return value


def stays_real(value: Any) -> bool:
    """Whether it is an array of positions, which no stand-in replaces."""
    return (isinstance(value, Tensor) and not (value.dtype.is_floating_point or value.dtype.is_complex
                                               or value.dtype is torch.bool))


__all__ = ["on_structure", "stand_ins", "stays_real"]
