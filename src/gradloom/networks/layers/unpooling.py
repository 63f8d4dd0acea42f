"""The layer that puts what max pooling chose back at its place."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import described
from ...machine.questions import read
from ...operations.movement.axes import permute_dims
from ...operations.neural.pooling.unpooling import maxunpool
from ..layer import Layer
from ..spatial import axes_worked, called, letters_of


class MaxUnpooling2d(Layer):
    """Values back at the places where max pooling found them, zeros elsewhere.

    Its inputs are "in", "indices" and "size", the last two from a MaxPooling2d with `has_unpooling_outputs=True` whose
    windows do not overlap.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.MaxPooling2d(2, stride=2, has_unpooling_outputs=True),
    ...                     gl.layers.MaxUnpooling2d()])
    >>> net(gl.dlarray([[[1.0, 4.0], [3.0, 2.0]]], "CSS")).tolist()
    [[[0.0, 4.0], [0.0, 0.0]]]

    Source: MATLAB maxUnpooling2dLayer.
    """

    matlab: ClassVar[str] = "maxUnpooling2dLayer"
    onnx: ClassVar[str] = "MaxUnpool"
    default_name: ClassVar[str] = "unpool"
    input_names: ClassVar[tuple[str, ...]] = ("in", "indices", "size")

    def predict(self, x: Any, indices: Any, size: Any) -> Any:
        shape, sizes = list(x.shape), read(size._value)
        if size.shape != (2,):
            raise ShapeError(f"{called(self)} reads 2 sizes at its input \"size\", "
                             f"{described(size.shape, size._labels)} was given, at {line_of(user_site())}; connect "
                             "MaxPooling2d(2, stride=2, has_unpooling_outputs=True)")
        for k, n in zip(axes_worked(x, 2, called(self)), sizes, strict=True):
            shape[k] = n
        if indices._labels != x._labels and sorted(indices._labels or "") == sorted(x._labels):
            indices = permute_dims(indices, x._labels)
        return maxunpool(x, indices, shape, pool_format=letters_of(x.shape, x._labels, 2, called(self)))
