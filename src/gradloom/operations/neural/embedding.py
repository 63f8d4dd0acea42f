"""Embedding: indices replaced by their rows of a table of weights."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...core.array import dlarray, labels_of, unlabelled
from ...core.declare import composite
from ...core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ...core.labels import checked, described
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ..movement.axes import array, moveaxis
from ..movement.selection import in_range, take_at
from .softmax import floating


def _indices(x: Any, count: int) -> Tensor:
    """The indices as integers, each of them checked."""
    raw: Tensor = x._value if type(x) is dlarray else x
    if raw.dtype is torch.bool or raw.is_complex():
        raise TypeRefused(
            f"embed takes integer indices, not {str(raw.dtype)[6:]}, at {line_of(user_site())}; write dlarray(x, "
            "dtype=\"int64\")")
    if raw.is_floating_point() and not decided((raw == raw.round()).all()):
        k = int((raw != raw.round()).flatten().nonzero()[0])
        raise TypeRefused(
            f"embed takes integer indices, {raw.flatten()[k].item()} {_place(raw, k)} is none, at "
            f"{line_of(user_site())}; write round(x), or dlarray(x, dtype=\"int64\")")
    if raw.numel() and not in_range(raw, 0, count):
        k = int(((raw < 0) | (raw >= count)).flatten().nonzero()[0])
        raise ShapeError(
            f"embed: index {int(raw.flatten()[k])} {_place(raw, k)} is not in 0 to {count - 1}, the rows of "
            f"weights, at {line_of(user_site())}; indices count from 0 (MATLAB's 1 is 0 here)")
    where = raw.to(torch.int64)
    return where.clone() if where is x else where  # the user's may change


def _place(x: Tensor, k: int) -> str:
    return f"at {tuple(int(i) for i in np.unravel_index(k, x.shape))}" if x.ndim else "given"


@composite
def embed(x: Any, weights: Any, /, *, data_format: str | None = None) -> Any:
    """Each index replaced by its row of weights, along an axis C.

    Formula: y[..., c] = weights[x[...], c]. x: integers counted from 0, any labels; weights: (vocabulary, embedding),
    PyTorch's layout and the transpose of MATLAB's; y: x's axes and then C, or C in its place where x has one, of size
    1. An unlabelled x gives an unlabelled y; `data_format=` is needed only to say where its C is. Repeated indices add
    up in the gradient with respect to weights; x has none.
    Raises ShapeError for an index out of range, TypeRefused where x is not whole numbers, LabelError where x has more
    than one channel.

    >>> import gradloom as gl
    >>> gl.embed(gl.dlarray([2, 0], "T", dtype="int64"), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    2(T) x 2(C) dlarray float64
    [[5. 6.]
     [1. 2.]]

    Source: MATLAB embed; PyTorch embedding.
    """
    x, weights = array(x), floating(weights)
    labels = labels_of(x)
    if weights.ndim != 2:
        raise ShapeError(
            f"embed: weights are (vocabulary, embedding), not {described(weights.shape, labels_of(weights))}, at "
            f"{line_of(user_site())}")
    if labels is not None and data_format not in (None, labels):
        raise LabelError(
            f"embed: x is labelled {labels!r} already, data_format={data_format!r} contradicts it; leave data_format "
            "out")
    layout = labels or checked(data_format, x.ndim) or "U" * x.ndim
    if "C" in layout and x.shape[layout.index("C")] != 1:
        raise LabelError(
            f"embed gives each index channels of its own, x {described(x.shape, layout)} has some, at "
            f"{line_of(user_site())}; label it with U or S in the place of C")
    where = _indices(x, weights.shape[0])
    if "C" in layout:
        where = where.squeeze(layout.index("C"))
    where = where.to(weights.device)
    y = take_at.apply((unlabelled(weights),), {"where": where, "axis": -2, "sizes": (weights.shape[0],)})
    if type(x) is dlarray and type(y) is Tensor:
        y = dlarray._made(y, None)
    if "C" in layout:
        y = moveaxis(y, -1, layout.index("C"))
    else:
        layout += "C"
    return dlarray._made(y._value, y._node, layout) if labels is not None and type(y) is dlarray else y


__all__ = ["embed"]
