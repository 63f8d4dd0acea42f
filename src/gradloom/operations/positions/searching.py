"""Searching, counting and sets: positions and selections whose number depends on the values. Positions and counts
carry no derivative; distinct values are elements of the array."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ...core.array import dlarray, labels_of, raw, unlabelled
from ...core.declare import composite, discrete, public
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...core.operation import NO_PARAMS
from ...machine.conversion import listed
from ...machine.dtypes import Tensor, promoted
from ...machine.questions import decided
from ..movement.axes import array, reshape
from ..movement.selection import take_operation
from ..sums.reduction import torch_axes, without_trace


class UniqueAll(NamedTuple):
    """The distinct values, the first position of each in the flattened x, for each element of x the position of its
    value, and how often."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """The distinct values, and how often each occurs."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """The distinct values, and for each element of x the position of its value."""

    values: Any
    inverse_indices: Any


# ----- counting and positions -----

_count_nonzero = discrete("count_nonzero", lambda x, axis, keepdims: torch.sum(x != 0, axis, keepdim=keepdims)
                          if axis else (x != 0).to(torch.int64))
_nonzero = discrete("nonzero", torch.nonzero, matlab="find")


@public(_count_nonzero)
def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements over axes are not zero; a NaN is not zero.

    >>> import gradloom as gl
    >>> int(gl.count_nonzero(gl.dlarray([1.0, 0.0, 2.0])))
    2

    Source: array API count_nonzero, MATLAB nnz.
    """
    return torch_axes(_count_nonzero, x, axis, keepdims)


@public(_nonzero)
def nonzero(x: Any, /) -> tuple[Any, ...]:
    """The positions of the elements that are not zero, one vector of integers per axis, in C order: `x[nonzero(x)]` are
    the elements.

    >>> import gradloom as gl
    >>> gl.nonzero(gl.dlarray([0.0, 3.0, 4.0]))[0]
    2 dlarray int64
    [1 2]

    Source: array API nonzero, MATLAB find.
    """
    x = array(x)
    if not x.ndim:
        raise ShapeError(f"nonzero of a scalar has no positions, at {line_of(user_site())}; write x != 0")
    table = _nonzero.apply((raw(x),), NO_PARAMS)
    return tuple(_like(column, x) for column in table.unbind(-1))


def _like(value: Tensor, x: Any) -> Any:
    return dlarray._made(value, None) if type(x) is dlarray else value


def _searchsorted_kernel(a: Tensor, b: Tensor, side: str) -> Tensor:
    dtype = promoted(a.dtype, b.dtype)
    return torch.searchsorted(a.to(dtype).contiguous(), b.to(dtype).contiguous(), side=side)


_searchsorted = discrete("searchsorted", _searchsorted_kernel, ("a", "b"))


@public(_searchsorted)
def searchsorted(a: Any, b: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """The positions in the sorted vector a where the elements of b would keep it sorted.

    Formula, for side="left": i with a[i - 1] < b <= a[i]; for "right": a[i - 1] <= b < a[i]. Shape and labels of b,
    integers. `sorter` are positions that sort a, as argsort gives. Raises ShapeError for an a that is no vector,
    TypeRefused for another side.

    >>> import gradloom as gl
    >>> gl.searchsorted([1.0, 2.0, 3.0], gl.dlarray([2.5, 0.0]))
    2 dlarray int64
    [2 0]

    Source: array API searchsorted.
    """
    a, b = without_trace(array(a)), without_trace(array(b))
    if a.ndim != 1:
        raise ShapeError(
            f"searchsorted looks in a vector, not in {described(a.shape, labels_of(a))}, at {line_of(user_site())}; "
            "write flatten(x)")
    if side not in ("left", "right"):
        raise TypeRefused(f"searchsorted has side \"left\" or \"right\", not {side!r:.40}, at {line_of(user_site())}")
    if sorter is not None:
        order = raw(sorter) if isinstance(sorter, (dlarray, Tensor)) else listed(sorter)
        a = _like(raw(a)[order.to(torch.int64)], a)
    labels = labels_of(b)
    return _searchsorted.apply((dlarray._made(a._value, None) if type(a) is dlarray else a, b), {"side": side}, labels)


# ----- sets -----


def _distinct(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distinct values in order, their first positions, the inverse and the counts; every NaN is distinct, as the
    standard has it."""
    flat = x.reshape(-1)
    if x.is_complex():  # by their real parts, equal ones by their imaginary parts
        order = torch.sort(flat.imag, stable=True).indices
        order = order[torch.sort(flat.real[order], stable=True).indices]
        ordered = flat[order]
    else:
        ordered, order = torch.sort(flat, stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    group = new.cumsum(0) - 1
    inverse = torch.empty_like(order).scatter_(0, order, group)
    return ordered[new], order[new], inverse.reshape(x.shape), torch.bincount(group, minlength=int(new.sum()))


_unique = discrete("unique_all", _distinct, hidden=("places", "inverse", "counts"), matlab="unique")


def _sets(x: Any) -> list[Any]:
    x = array(x)
    places, *rest = _unique.run((raw(x),), NO_PARAMS)[1:]
    values = take_operation.apply((reshape(unlabelled(x), (-1,)),), {"where": places, "axis": -1})
    return [values, _like(places, x), *[_like(part, x) for part in rest]]


@public(_unique)
def unique_all(x: Any, /) -> UniqueAll:
    """The distinct values of x in order, the first position of each in the flattened x, the position of each element's
    value, and the counts. Complex values are ordered by their real parts, equal ones by their imaginary parts.

    >>> import gradloom as gl
    >>> gl.unique_all(gl.dlarray([3.0, 1.0, 3.0])).inverse_indices
    3 dlarray int64
    [1 0 1]

    Source: array API unique_all, MATLAB unique.
    """
    return UniqueAll(*_sets(x))


@composite
def unique_counts(x: Any, /) -> UniqueCounts:
    """The distinct values of x in order, and how often each occurs.

    >>> import gradloom as gl
    >>> gl.unique_counts(gl.dlarray([3.0, 1.0, 3.0])).counts
    2 dlarray int64
    [1 2]

    Source: array API unique_counts.
    """
    values, _, _, counts = _sets(x)
    return UniqueCounts(values, counts)


@composite
def unique_inverse(x: Any, /) -> UniqueInverse:
    """The distinct values of x in order, and for each element the position of its value among them.

    >>> import gradloom as gl
    >>> gl.unique_inverse(gl.dlarray([3.0, 1.0, 3.0])).values
    2 dlarray float64
    [1. 3.]

    Source: array API unique_inverse.
    """
    values, _, inverse, _ = _sets(x)
    return UniqueInverse(values, inverse)


@composite
def unique_values(x: Any, /) -> Any:
    """The distinct values of x, in order, each as its first element: a vector. Every NaN is a value of its own.

    >>> import gradloom as gl
    >>> gl.unique_values(gl.dlarray([3.0, 1.0, 3.0]))
    2 dlarray float64
    [1. 3.]

    Source: array API unique_values.
    """
    return _sets(x)[0]


@composite
def array_equal(a: Any, b: Any, /, *, equal_nan: bool = False) -> bool:
    """Whether two arrays have one shape and equal elements; with `equal_nan`, NaN equals NaN. Labels and types do not
    count.

    >>> import gradloom as gl
    >>> gl.array_equal(gl.dlarray([1.0, 2.0]), [1, 2])
    True

    Source: NumPy array_equal, MATLAB isequal and isequaln.
    """
    a, b = raw(array(a)), raw(array(b))
    if tuple(a.shape) != tuple(b.shape):
        return False
    same = a == b
    return decided((same | (a != a) & (b != b) if equal_nan else same).all())


__all__ = ["array_equal", "count_nonzero", "nonzero", "searchsorted", "unique_all", "unique_counts",
           "unique_inverse", "unique_values"]
