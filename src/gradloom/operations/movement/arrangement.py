"""One array as several, and several in one shape: unstack, broadcast_arrays, meshgrid."""
from __future__ import annotations

from typing import Any

from ...core.array import dlarray, labels_of, relabelled, unlabelled
from ...core.calls import broadcast_operands
from ...core.declare import composite
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described, without
from ...core.tables import OPERATIONS
from ...core.trace import Node, live
from ...machine.dtypes import NUMBER_TYPES, broadcast_shapes
from .axes import array, broadcast_to, negative_axes


@composite
def unstack(x: Any, /, *, axis: Any = 0) -> tuple[Any, ...]:
    """The entries along an axis, which is dropped, as a tuple: the inverse of `stack`.

    >>> import gradloom as gl
    >>> gl.unstack(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]), axis=1)[0]
    2 dlarray float64
    [1. 3.]

    Source: array API unstack.
    """
    x = array(x)
    axes = negative_axes(axis, x)
    if len(axes) != 1:
        raise ShapeError(
            f"unstack works along one axis, axis={axis!r} names {len(axes)} of {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}")
    k = axes[0] + x.ndim
    labels = without(labels_of(x), [k])
    places = [(*(slice(None),) * k, i) if k else i for i in range(x.shape[k])]
    if type(x) is not dlarray:
        return tuple([OPERATIONS["index"].apply((x,), {"index": place}) for place in places])
    parts, node = x._value.unbind(k), live(x._node)
    if node is None:
        return tuple([dlarray._made(part, None, labels) for part in parts])
    index, site = OPERATIONS["index"], user_site()  # the nodes that so many reads make
    return tuple([dlarray._made(part, Node(index, node.trace, (node,), [None, None], {"index": place}, part, site),
                                labels)
                  for part, place in zip(parts, places, strict=True)])


@composite
def broadcast_arrays(*arrays: Any) -> list[Any]:
    """Arrays in the shape that they broadcast to together; labels match by name, and each result has all of them.

    >>> import gradloom as gl
    >>> [a.shape for a in gl.broadcast_arrays(gl.ones((2, 1)), gl.ones(3))]
    [(2, 3), (2, 3)]

    Source: array API broadcast_arrays.
    """
    if not arrays:
        return []
    inputs, labels = list(arrays), None
    if not all([type(x) is dlarray and x._labels is None for x in arrays]):
        inputs, labels = broadcast_operands(OPERATIONS["add"], arrays)
        inputs = [array(x) if type(x) in NUMBER_TYPES else x for x in inputs]
    try:
        shape = broadcast_shapes(*[x.shape for x in inputs])
    except ValueError:
        shown = ", ".join(described(x.shape, labels_of(x)) for x in inputs)
        raise ShapeError(
            f"the shapes {shown} do not broadcast, at {line_of(user_site())}; make them equal, or give axes size 1 "
            "with expand_dims") from None
    return [relabelled(broadcast_to(unlabelled(x), shape), labels) for x in inputs]


@composite
def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """The coordinates of a grid from those along each of its axes, all vectors: one array per axis, all of the grid's
    shape.

    With indexing="ij" axis k of the grid belongs to vector k; with "xy" the first two axes are exchanged. Unlabelled.

    >>> import gradloom as gl
    >>> x, y = gl.meshgrid([1.0, 2.0, 3.0], [5.0, 6.0])
    >>> y
    2 x 3 dlarray float64
    [[5. 5. 5.]
     [6. 6. 6.]]

    Source: array API meshgrid, MATLAB meshgrid and ndgrid.
    """
    if indexing not in ("xy", "ij"):
        raise TypeRefused(f"meshgrid has indexing \"xy\" or \"ij\", not {indexing!r:.40}, at {line_of(user_site())}")
    vectors = [unlabelled(array(a)) for a in arrays]
    for v in vectors:
        if v.ndim > 1:
            raise ShapeError(
                f"meshgrid takes vectors, not {described(v.shape, None)}, at {line_of(user_site())}; write flatten(x)")
    n = len(vectors)
    place = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    sizes = [v.shape[0] if v.ndim else 1 for v in vectors]
    shape = tuple([sizes[k] for k in place])  # the exchange is its own inverse
    apply = OPERATIONS["reshape"].apply
    columns = [apply((v,), {"shape": (size, *(1,) * (n - 1 - k))}) if k < n - 1 or not v.ndim
               else v for k, v, size in zip(place, vectors, sizes, strict=True)]
    return [broadcast_to(v, shape) for v in columns]


__all__ = ["broadcast_arrays", "meshgrid", "unstack"]
