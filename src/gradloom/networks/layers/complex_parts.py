"""Layers that make real numbers of complex ones, and complex numbers of real ones: the two parts side by side along an
axis."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described, positions
from ...operations.elementwise.arithmetic import imag, real
from ...operations.movement.axes import reshape
from ...operations.movement.joining import stack
from ...operations.movement.slices import slice_axis
from ..layer import Layer
from ..options import relabelled
from ..spatial import called


class _Parts(Layer):
    """What both have in common: the axis along which the parts take turns."""

    operation_dimension: str | int = field(default="C", kw_only=True)

    def __post_init__(self) -> None:
        axis = self.operation_dimension
        if isinstance(axis, bool) or not (isinstance(axis, int) or axis in ("C", "S", "B", "T", "U", "last")):
            raise ShapeError(f"{type(self).__name__}'s operation_dimension is a letter of C, S, B, T and U, \"last\" "
                             f"or an integer, not {axis!r}, at {line_of(user_site())}")

    def axis_in(self, x: Any) -> int:
        """Where the parts of x are side by side: of several axes with the letter the first."""
        where, n = self.operation_dimension, x.ndim
        if isinstance(where, str):
            found = [n - 1] if where == "last" and n else list(positions(x._labels, where)) if where != "last" else []
        else:
            found = [where % n] if -n <= where < n else []
        if not found:
            raise LabelError(f"{called(self)} works along {where!r}, x is {described(x.shape, x._labels)}, at "
                             f"{line_of(user_site())}; label the data, or give another operation_dimension")
        return found[0]


class ComplexToReal(_Parts):
    """Real and imaginary parts in turn along an axis, which becomes twice as long: C, unless another is said.

    Formula: y[2 k] = real(x[k]), y[2 k + 1] = imag(x[k]). `operation_dimension` is a letter (the first axis that
    carries it), "last" or a position. Of real x the second parts are 0.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.ComplexToReal()])(gl.dlarray([1 + 2j, 3 - 4j], "C"))
    4(C) dlarray float64
    [ 1.  2.  3. -4.]

    Source: MATLAB complexToRealLayer.
    """

    matlab: ClassVar[str] = "complexToRealLayer"

    def predict(self, x: Any) -> Any:
        axis = self.axis_in(x)
        plain = relabelled(x, "")
        both = stack([real(plain), imag(plain)], axis=axis + 1)
        y = reshape(both, (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1:]))
        return relabelled(y, x._labels)


class RealToComplex(_Parts):
    """Real and imaginary parts that take turns along an axis as complex numbers: it becomes half as long.

    Formula: y[k] = x[2 k] + i x[2 k + 1]. It undoes `ComplexToReal`, whose operation_dimension it has.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.RealToComplex()])(gl.dlarray([1.0, 2.0, 3.0, -4.0], "C"))
    2(C) dlarray complex128
    [1.+2.j 3.-4.j]

    Raises ShapeError for an odd number of entries, TypeRefused for complex x.

    Source: MATLAB realToComplexLayer.
    """

    matlab: ClassVar[str] = "realToComplexLayer"

    def predict(self, x: Any) -> Any:
        axis = self.axis_in(x)
        if x.dtype.is_complex:
            raise TypeRefused(f"{called(self)} takes real arrays, x is complex, at {line_of(user_site())}; leave the "
                              "layer out")
        if x.shape[axis] % 2:
            raise ShapeError(f"{called(self)} takes pairs along axis {axis}, x is {described(x.shape, x._labels)}, at "
                             f"{line_of(user_site())}; the size there is even")
        pairs = reshape(relabelled(x, ""), (*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1:]))
        first, second = (slice_axis(pairs, axis + 1 - pairs.ndim, k, k + 1) for k in (0, 1))
        shape = (*x.shape[:axis], x.shape[axis] // 2, *x.shape[axis + 1:])
        return relabelled(reshape(first, shape) + 1j * reshape(second, shape), x._labels)


__all__ = ["ComplexToReal", "RealToComplex"]
