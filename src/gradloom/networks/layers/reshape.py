"""The reshape layer."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import channel_last_order, described
from ...operations.movement.axes import permute_dims, reshape
from ..layer import Layer
from ..spatial import called


class Reshape(Layer):
    """The channels and spatial axes of each observation in new sizes (*spatial, channels), such as (4, 4, 512).

    The entries are counted with C first, then S in their order, before and after: the inverse of Flatten. One size may
    be -1: what is left. The new axes stand in the place of C, in the order C, S.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(24), gl.layers.Reshape((3, 4, 2))])
    >>> net(gl.zeros((5, 24), "BC")).sizes
    {'B': 5, 'C': 2, 'S': (3, 4)}

    Source: MATLAB reshapeLayer.
    """

    size: tuple[int, ...]

    matlab: ClassVar[str] = "reshapeLayer"
    onnx: ClassVar[str] = "Reshape"

    def __post_init__(self) -> None:
        its = self.size
        if (not isinstance(its, (tuple, list)) or not its or not all(isinstance(n, int) for n in its)
                or any(n < 1 and n != -1 for n in its) or list(its).count(-1) > 1):
            raise ShapeError(f"Reshape takes sizes (*spatial, channels), at most one of them -1, not {its!r}, at "
                             f"{line_of(user_site())}; write Reshape((4, 4, 512))")

    def predict(self, x: Any) -> Any:
        labels, shape = x._labels or "", x.shape
        merged = channel_last_order(labels)
        if not merged:
            raise LabelError(f"{called(self)} needs an axis C or S, x is {described(shape, x._labels)}, at "
                             f"{line_of(user_site())}; label the data, such as \"BC\"")
        count, size = math.prod(shape[k] for k in merged), (self.size[-1], *self.size[:-1])
        known = math.prod(n for n in size if n != -1)
        if count % known or -1 not in size and count != known:
            raise ShapeError(f"{called(self)} puts {count} entries into {self.size}, x is {described(shape, labels)}, "
                             f"at {line_of(user_site())}; write sizes whose product is {count}")
        size = tuple(count // known if n == -1 else n for n in size)
        first = labels.index("C") if "C" in labels else merged[0]
        before = [k for k in range(x.ndim) if k not in merged and k < first]
        after = [k for k in range(x.ndim) if k not in merged and k > first]
        x = permute_dims(dlarray._made(x._value, x._node, None), (*before, *merged, *after))
        y = reshape(x, (*[shape[k] for k in before], *size, *[shape[k] for k in after]))
        return dlarray(y, "".join([*[labels[k] for k in before], "C", "S" * (len(size) - 1),
                                   *[labels[k] for k in after]]))
