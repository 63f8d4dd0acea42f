"""The flatten layer."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import LabelError, line_of, user_site
from ...core.labels import channel_last_order, described
from ...operations.movement.axes import permute_dims, reshape
from ..layer import Layer


class Flatten(Layer):
    """The spatial axes merged into the channels: C first, then S in their order, in the place of C.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((4, 3, 2)), gl.layers.Flatten()])
    >>> net(gl.zeros((5, 2, 4, 3), "BCSS")).sizes
    {'B': 5, 'C': 24}

    Source: MATLAB flattenLayer, which merges S first.
    """

    matlab: ClassVar[str] = "flattenLayer"
    onnx: ClassVar[str] = "Flatten"

    def predict(self, x: Any) -> Any:
        labels = x._labels or ""
        merged = channel_last_order(labels)
        if not merged:
            raise LabelError(
                f"the layer {self.name!r} (Flatten) needs an axis C or S, x is {described(x.shape, x._labels)}, at "
                f"{line_of(user_site())}; label the data, such as \"BCSS\"")
        first = labels.index("C") if "C" in labels else merged[0]
        before = [k for k in range(x.ndim) if k not in merged and k < first]
        after = [k for k in range(x.ndim) if k not in merged and k > first]
        shape = x.shape
        x = permute_dims(dlarray._made(x._value, x._node, None), (*before, *merged, *after))
        y = reshape(x, (*[shape[k] for k in before], math.prod(shape[k] for k in merged), *[shape[k] for k in after]))
        return dlarray(y, "".join([*[labels[k] for k in before], "C", *[labels[k] for k in after]]))
