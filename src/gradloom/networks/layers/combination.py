"""Layers of several inputs: their sum, their product, and one after the other along an axis."""
from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import LETTERS, described
from ...operations.movement.axes import permute_dims
from ...operations.movement.joining import concat
from ..layer import Layer
from ..masks import refuse
from ..spatial import called


class _Combination(Layer):
    """What layers of `num_inputs` inputs, called in1, in2 and so on, have in common."""

    if TYPE_CHECKING:  # each declares it after the options of its own
        num_inputs: int

    def __post_init__(self) -> None:
        n = self.num_inputs
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ShapeError(f"{type(self).__name__} takes how many inputs it has, not num_inputs={n!r}, at "
                             f"{line_of(user_site())}; write num_inputs=2")

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """in1, in2, ..."""
        return tuple(f"in{k}" for k in range(1, self.num_inputs + 1))


class Addition(_Combination):
    """The sum of `num_inputs` inputs, which are matched by their labels.

    An axis that one of them lacks, or has with size 1, is repeated. Inputs are called in1, in2, ...

    >>> import gradloom as gl
    >>> gl.layers.Addition(3).predict(gl.ones(2, "C"), gl.ones(2, "C"), gl.ones(2, "C"))
    2(C) dlarray float64
    [3. 3.]

    Source: MATLAB additionLayer.
    """

    num_inputs: int = 2

    matlab: ClassVar[str] = "additionLayer"
    onnx: ClassVar[str] = "Sum"

    def predict(self, *xs: Any) -> Any:
        return functools.reduce(operator.add, xs)


class Multiplication(_Combination):
    """The product, element by element, of `num_inputs` inputs, which are matched by their labels.

    An axis that one of them lacks, or has with size 1, is repeated. Inputs are called in1, in2, ...

    >>> import gradloom as gl
    >>> gl.layers.Multiplication().predict(gl.dlarray([1.0, 2.0], "C"), gl.dlarray([3.0, 4.0], "C"))
    2(C) dlarray float64
    [3. 8.]

    Source: MATLAB multiplicationLayer.
    """

    num_inputs: int = 2

    matlab: ClassVar[str] = "multiplicationLayer"
    onnx: ClassVar[str] = "Mul"

    def predict(self, *xs: Any) -> Any:
        return functools.reduce(operator.mul, xs)


class _Joined(_Combination):
    """Inputs one after the other along an axis, in the order of the first one's axes."""

    def _joined(self, axis: Any, xs: Any) -> Any:
        first = xs[0]._labels
        if first is not None:
            for x in xs:
                if sorted(x._labels or "") != sorted(first):
                    raise LabelError(
                        f"{called(self)} joins arrays of the same axes, not "
                        f"{' and '.join(described(x.shape, x._labels) for x in xs)}, at {line_of(user_site())}; "
                        "bring them to the same labels before, with layers.Flatten or layers.Function")
        if isinstance(axis, str) and (first or "").count(axis) > 1:
            raise LabelError(
                f"{called(self)} joins along one axis, {axis!r} names "
                f"{(first or '').count(axis)} of {described(xs[0].shape, first)}, at {line_of(user_site())}; give its "
                f"position, such as axis={(first or '').index(axis)}")
        return concat([x if x._labels == first else permute_dims(x, first) for x in xs], axis=axis)


class Concatenation(_Joined):
    """`num_inputs` inputs one after the other along `axis`: a label ("C", "T", "S" where there is one), or a position.

    Their other axes have the same sizes. Inputs in another order of axes are brought to that of the first, of which a
    position counts the axes.

    Raises LabelError where the labels differ, or where the axis names several.

    >>> import gradloom as gl
    >>> gl.layers.Concatenation("C").predict(gl.dlarray([1.0], "C"), gl.dlarray([2.0, 3.0], "C"))
    3(C) dlarray float64
    [1. 2. 3.]

    Source: MATLAB concatenationLayer.
    """

    axis: str | int
    num_inputs: int = 2

    matlab: ClassVar[str] = "concatenationLayer"
    onnx: ClassVar[str] = "Concat"
    default_name: ClassVar[str] = "concat"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.axis not in tuple(LETTERS) if isinstance(self.axis, str)
                else not isinstance(self.axis, int) or isinstance(self.axis, bool)):
            raise LabelError(f"Concatenation joins along a label or a position, not axis={self.axis!r}, at "
                             f"{line_of(user_site())}; write Concatenation(\"C\", {self.num_inputs!r})")

    def predict(self, *xs: Any, mask: Any = None) -> Any:
        return self._joined(self.axis, xs)

    def output_mask(self, mask: Any, y: Any) -> Any:
        if self.axis != "T" and (not isinstance(self.axis, int) or y.dims[self.axis] != "T"):
            return super().output_mask(mask, y)
        raise refuse(self, "puts what follows after the padding, not after the end of a sequence",
                     "concatenate before the sequences are padded")


class DepthConcatenation(_Joined):
    """`num_inputs` inputs one after the other along their channels; their other axes have the same sizes.

    Raises LabelError where the labels differ.

    >>> import gradloom as gl
    >>> gl.layers.DepthConcatenation().predict(gl.zeros((2, 2, 3), "SSC"), gl.zeros((4, 2, 2), "CSS")).sizes
    {'S': (2, 2), 'C': 7}

    Source: MATLAB depthConcatenationLayer.
    """

    num_inputs: int = 2

    matlab: ClassVar[str] = "depthConcatenationLayer"
    onnx: ClassVar[str] = "Concat"
    default_name: ClassVar[str] = "depthcat"

    def predict(self, *xs: Any) -> Any:
        return self._joined("C", xs)
