"""Reading and writing elements at positions of the flattened array: what has no operation of its own."""
from __future__ import annotations

import math
from typing import Any

import torch

from ..core.array import dlarray
from ..core.tables import OPERATIONS
from .protocol import cast, gl


def positions(x: Any) -> torch.Tensor:
    """The place of each element in the flattened array."""
    return torch.arange(math.prod(x.shape), device=x.device).reshape(x.shape)


def taken(x: Any, where: torch.Tensor) -> Any:
    """The elements at positions of the flattened array."""
    flat = gl.reshape(x, (-1,)) if x.ndim != 1 else x
    return gl.reshape(OPERATIONS["take"].apply((flat,), {"where": where.reshape(-1), "axis": -1}), tuple(where.shape))


def added(x: Any, where: torch.Tensor, values: Any) -> Any:
    """x with values added at positions, repeated ones each time."""
    values = gl.broadcast_to(values, tuple(where.shape)) if tuple(values.shape) != tuple(where.shape) else values
    flat = gl.reshape(cast(values, x.dtype), (-1,))
    total = OPERATIONS["put"].apply((flat,), {"where": where.reshape(-1), "axis": -1, "size": math.prod(x.shape)})
    return x + gl.reshape(total, x.shape)


def put_at(x: Any, where: torch.Tensor, values: Any) -> Any:
    """x with values written at positions; of repeated ones the last wins."""
    if hasattr(values, "shape"):
        values = cast(values, x.dtype)
        values = gl.broadcast_to(values, tuple(where.shape)) if tuple(values.shape) != tuple(where.shape) else values
    return written_at(x, where, values)


def written_at(base: dlarray, where: torch.Tensor, value: Any) -> dlarray:
    """A copy of base with a value at positions of the flattened array."""
    flat: Any = gl.reshape(base, (-1,)) if base.ndim != 1 else base.copy()
    flat[where.reshape(-1)] = gl.reshape(value, (-1,)) if getattr(value, "ndim", 0) else value
    return gl.reshape(dlarray._made(flat._value, flat._node, None), base.shape)
