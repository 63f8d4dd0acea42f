"""A container as one vector, and back."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray, labels_of, unlabelled
from ...core.containers import flatten, unflatten
from ...core.declare import composite
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...machine.dtypes import Tensor, differentiable
from ..elementwise.arithmetic import astype
from .axes import array, reshape
from .joining import raveled
from .slices import slice_axis


@composite
def ravel(tree: Any, /) -> tuple[Any, Callable[[Any], Any]]:
    """All arrays of a container as one vector, and the function that puts such a vector back into the container.

    Shapes: the vector has one axis, the arrays leaf by leaf, each in C order, in their common type; the function gives
    back each array's shape, labels and type. Both ways are recorded. Numbers, arrays of integers or bools, text and
    None are no part of the vector: they stay in the container.

    Raises TypeRefused for a container of real and complex arrays, and the function ShapeError for a vector of another
    length.

    >>> import gradloom as gl
    >>> vector, back = gl.ravel({"w": gl.dlarray([[1.0, 2.0]]), "b": gl.dlarray(3.0)})
    >>> vector
    3 dlarray float64
    [1. 2. 3.]
    >>> back(2 * vector)["b"]
    dlarray float64 6.0

    Source: JAX ravel_pytree.
    """
    leaves, structure = flatten(tree)
    at = [k for k, leaf in enumerate(leaves) if _is_variable(leaf)]
    arrays = [array(leaves[k]) for k in at]
    shapes = [tuple(x.shape) for x in arrays]
    sizes = [math.prod(shape) for shape in shapes]
    dtypes = [x.dtype for x in arrays]
    labels = [labels_of(x) for x in arrays]
    if len({dtype.is_complex for dtype in dtypes}) > 1:
        raise TypeRefused(f"ravel of real and complex arrays: a vector has one type, at {line_of(user_site())}; "
                          "ravel the real and the complex arrays apart")
    total = sum(sizes)

    def back(vector: Any, /) -> Any:
        """The container with the elements of a vector."""
        vector = array(vector)
        if tuple(vector.shape) != (total,):
            raise ShapeError(
                f"the container holds {total} elements, the vector is {described(vector.shape, labels_of(vector))}, at "
                f"{line_of(user_site())}; pass a vector of {total}")
        filled, start = list(leaves), 0
        for k, shape, size, dtype, its in zip(at, shapes, sizes, dtypes, labels, strict=True):
            part = astype(reshape(slice_axis(vector, -1, start, start + size), shape), dtype)
            filled[k] = dlarray(part, its) if its is not None and type(part) is dlarray else part
            start += size
        return unflatten(structure, filled)

    if not arrays:
        return dlarray._made(torch.zeros(0, dtype=torch.float64, device="cpu"), None), back
    return raveled([unlabelled(x) for x in arrays]), back


def _is_variable(leaf: Any) -> bool:
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.kind in "fc"
    return isinstance(leaf, (dlarray, Tensor)) and differentiable(leaf.dtype)


__all__ = ["ravel"]
