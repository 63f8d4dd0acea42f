"""Layers that make a sequence of vectors of an image."""
from __future__ import annotations

import math
from dataclasses import field
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described
from ...operations.movement.axes import broadcast_to, permute_dims, reshape
from ...operations.movement.joining import concat
from ...operations.neural.convolution.convolution import dlconv
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout
from ..options import channels_of, check_sizes
from .position_embedding import positions_of


class PatchEmbedding(Layer):
    """Each patch of an image as a vector of size `output_size`: patches along one axis S, row by row.

    Formula: y[o, p] = sum over c, i of weights[o, c, i] x[c, i in patch p] + bias[o]: a convolution whose stride is its
    window. `patch_size`: a number, or one for each S axis, which it divides. weights: (output_size, channels,
    *patch_size); bias: (output_size,). The S axes of x become one, the last of them running fastest.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((8, 8, 3)), gl.layers.PatchEmbedding(4, 16)])
    >>> net(gl.zeros((2, 3, 8, 8), "BCSS")).sizes
    {'B': 2, 'C': 16, 'S': 4}

    Raises ShapeError where a patch size does not divide an axis.

    Source: Dosovitskiy et al. 2021; MATLAB patchEmbeddingLayer with SpatialFlattenMode="row-major".
    """

    patch_size: int | tuple[int, ...]
    output_size: int
    weights_initializer: Initializer = field(default="glorot", kw_only=True)
    bias_initializer: Initializer = field(default="zeros", kw_only=True)
    weights: Learnable
    bias: Learnable

    matlab: ClassVar[str] = "patchEmbeddingLayer"
    default_name: ClassVar[str] = "patchembed"

    def __post_init__(self) -> None:
        check_sizes(self, "output_size")
        sizes = (self.patch_size,) if isinstance(self.patch_size, int) else self.patch_size
        if not isinstance(sizes, tuple) or not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ShapeError(f"PatchEmbedding's patch_size is a positive integer, or a tuple of one for each S axis, "
                             f"not {self.patch_size!r}, at {line_of(user_site())}")

    def initialize(self, layout: Layout) -> None:
        patch = self._patch(layout)
        self.weights = initial(self.weights_initializer, (self.output_size, channels_of(self, layout), *patch))
        self.bias = initial(self.bias_initializer, (self.output_size,))

    def _patch(self, its: Any) -> tuple[int, ...]:
        """The patch's size along each S axis of an array or a layout."""
        sizes = [n for n, c in zip(its.shape, its.labels or "", strict=False) if c == "S"]
        patch = (self.patch_size,) * len(sizes) if isinstance(self.patch_size, int) else self.patch_size
        if not sizes or len(patch) != len(sizes) or any(n % m for n, m in zip(sizes, patch, strict=True)):
            raise ShapeError(
                f"the layer {self.name!r} (PatchEmbedding) has patches of {self.patch_size}, which divide the axes S, "
                f"its input is {its}, at {line_of(user_site())}; crop or resize the images")
        return patch

    def predict(self, x: Any) -> Any:
        patch = self._patch(Layout(x.shape, x._labels))
        y = dlconv(x, self.weights, self.bias, stride=patch)
        labels = y.dims
        place, rest = labels.index("S"), [k for k, c in enumerate(labels) if c != "S"]
        order = [*[k for k in rest if k < place], *[k for k, c in enumerate(labels) if c == "S"],
                 *[k for k in rest if k > place]]
        y = permute_dims(dlarray._made(y._value, y._node, None), order)
        shape = (*y.shape[:place], math.prod(y.shape[place:place + len(patch)]), *y.shape[place + len(patch):])
        y = reshape(y, shape)
        return dlarray._made(y._value, y._node, labels[:place] + "S" + "".join(labels[k] for k in rest if k > place))


class EmbeddingConcatenation(Layer):
    """A vector that training changes, put before the first position of x: what a vision transformer reads its class
    from.

    Formula: y[:, 0] = weights, y[:, 1 + p] = x[:, p] along T (or S), for each observation. weights: (channels,).

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.EmbeddingConcatenation()], gl.Layout((3, 1, 4), "CBS"))
    >>> net(gl.zeros((3, 2, 4), "CBS")).sizes
    {'C': 3, 'B': 2, 'S': 5}

    Raises LabelError where x has not one axis of positions.

    Source: Devlin et al. 2019; Dosovitskiy et al. 2021; MATLAB embeddingConcatenationLayer.
    """

    weights_initializer: Initializer = field(default="zeros", kw_only=True)
    weights: Learnable

    matlab: ClassVar[str] = "embeddingConcatenationLayer"
    default_name: ClassVar[str] = "cls_embed"

    def initialize(self, layout: Layout) -> None:
        self.weights = initial(self.weights_initializer, (channels_of(self, layout),))

    def predict(self, x: Any) -> Any:
        letter, _ = positions_of(self, x)
        labels = x.dims
        if "C" not in labels:
            raise LabelError(
                f"the layer {self.name!r} (EmbeddingConcatenation) needs an axis C, x is "
                f"{described(x.shape, x._labels)}, at {line_of(user_site())}; label the data, such as \"CBS\"")
        first = reshape(self.weights, [n if c == "C" else 1 for n, c in zip(x.shape, labels, strict=True)])
        first = broadcast_to(first, [1 if c == letter else n for n, c in zip(x.shape, labels, strict=True)])
        return concat([dlarray._made(first._value, first._node, labels), x], axis=letter)


__all__ = ["EmbeddingConcatenation", "PatchEmbedding"]
