"""Layers that replace indices by vectors."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

import torch

from ...core.errors import TypeRefused, line_of, user_site
from ...operations.elementwise.choice import where
from ...operations.movement.axes import expand_dims
from ...operations.neural.embedding import embed
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout
from ..options import check_sizes
from ..spatial import called


class Embedding(Layer):
    """Each index replaced by its row of a table of `count` vectors of size `dimension`, along an axis C.

    Formula: y[..., c] = weights[x[...], c]. x: whole numbers counted from 0, any labels, at most one channel; weights:
    (count, dimension). Where x is `padding_index` y is 0, and the row gets no gradient.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.Embedding(4, 10)], gl.Layout((1, 3), "BT"))
    >>> net(gl.dlarray([[2, 0, 9]], "BT", dtype="int64")).sizes
    {'B': 1, 'T': 3, 'C': 4}

    Raises ShapeError for an index out of range, TypeRefused where x is not whole numbers, or where the network's type
    does not hold every index exactly.

    Source: MATLAB embeddingLayer; PyTorch Embedding.
    """

    dimension: int
    count: int
    padding_index: int | None = field(default=None, kw_only=True)
    weights_initializer: Initializer = field(default="narrow-normal", kw_only=True)
    weights: Learnable

    matlab: ClassVar[str] = "embeddingLayer"
    onnx: ClassVar[str] = "Gather"

    def __post_init__(self) -> None:
        check_sizes(self, "dimension", "count")

    def initialize(self, layout: Layout) -> None:
        self.weights = initial(self.weights_initializer, (self.count, self.dimension))

    def predict(self, x: Any) -> Any:
        if x.dtype.is_floating_point and self.count > 2 / torch.finfo(x.dtype).eps:
            raise TypeRefused(
                f"{called(self)} has {self.count} rows, and {str(x.dtype)[6:]}, to "
                f"which the network casts its inputs, does not hold every index up to that, at {line_of(user_site())}; "
                "write net.to(dtype=\"float32\")")
        y = embed(x, self.weights)
        if self.padding_index is None:
            return y
        there = x != self.padding_index
        return where(there if x.dims else expand_dims(there, axis=-1), y, 0.0)


class WordEmbedding(Embedding):
    """Each word, an index, replaced by its row of a table of `count` vectors of size `dimension`.

    As `Embedding`, under MATLAB's name for words; weights: (count, dimension).

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.WordEmbedding(4, 10)], gl.Layout((1, 3), "BT"))
    >>> net(gl.dlarray([[2, 0, 9]], "BT", dtype="int64")).sizes
    {'B': 1, 'T': 3, 'C': 4}

    Source: MATLAB wordEmbeddingLayer, whose index 1 is 0 here.
    """

    matlab: ClassVar[str] = "wordEmbeddingLayer"


__all__ = ["Embedding", "WordEmbedding"]
