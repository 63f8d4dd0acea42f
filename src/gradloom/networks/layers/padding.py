"""The padding layer."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...core.errors import LabelError, line_of, user_site
from ...core.labels import described, positions
from ...operations.neural.spatial import padded, pairs_of, with_last
from ..layer import Layer
from ..spatial import called


class Padding(Layer):
    """Values around every S: `size` is a number, one for each S, or (before, after) for each.

    `padding_value` is a number, "replicate" (1 1 | 1 2 3), "symmetric-include-edge" (2 1 | 1 2 3) or
    "symmetric-exclude-edge" (3 2 | 1 2 3).

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Padding(((1, 2),), padding_value="replicate")])(gl.dlarray([[1.0, 2.0]], "CS"))
    1(C) x 5(S) dlarray float64
    [[1. 1. 2. 2. 2.]]

    Source: PyTorch ZeroPad2d, ReflectionPad2d, ReplicationPad2d; the words are those of MATLAB dlconv's PaddingValue.
    """

    size: Any
    padding_value: Any = field(default=0, kw_only=True)

    onnx: ClassVar[str] = "Pad"

    def predict(self, x: Any) -> Any:
        axes = positions(x._labels, "S")
        if not axes:
            raise LabelError(f"{called(self)} needs an axis S, x is {described(x.shape, x._labels)}, at "
                             f"{line_of(user_site())}; label the data, such as \"BCSS\"")
        pairs = tuple(pairs_of(self.size, len(axes), "Padding's size", "all of them integers"))
        return with_last(x, axes, lambda moved: padded(moved, pairs, self.padding_value, "Padding"))
