"""Layers that say where in a sequence something is."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

import torch

from ...core.array import dlarray
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described
from ...machine.caches import remembered
from ...machine.questions import decided
from ...operations.movement.axes import reshape
from ...operations.movement.selection import take
from ...operations.movement.slices import slice_axis
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout
from ..options import check_sizes
from ..spatial import called


class PositionEmbedding(Layer):
    """A vector of size `dimension` for each position along T (or S) of x, which training changes.

    Formula: y[t, c] = weights[t, c]; what x holds is not read. weights: (`max_position`, dimension). y has the axes T
    (or S) and C alone: added to an array of that layout, with `Addition`, it is repeated for each observation.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.PositionEmbedding(4, 10)], gl.Layout((1, 3, 2), "CBT"))
    >>> net(gl.zeros((1, 3, 5), "CBT")).sizes
    {'T': 5, 'C': 4}

    Raises ShapeError for more positions than `max_position`, LabelError where x has not one axis of positions.

    Source: Gehring et al. 2017; MATLAB positionEmbeddingLayer.
    """

    dimension: int
    max_position: int
    weights_initializer: Initializer = field(default="narrow-normal", kw_only=True)
    weights: Learnable

    matlab: ClassVar[str] = "positionEmbeddingLayer"
    default_name: ClassVar[str] = "positionembed"

    def __post_init__(self) -> None:
        check_sizes(self, "dimension", "max_position")

    def initialize(self, layout: Layout) -> None:
        self.weights = initial(self.weights_initializer, (self.max_position, self.dimension))

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        letter, count = positions_of(self, x)
        if count > self.max_position:
            raise ShapeError(
                f"the layer {self.name!r} (PositionEmbedding) has {self.max_position} positions, x is "
                f"{described(x.shape, x._labels)}, at {line_of(user_site())}; write PositionEmbedding("
                f"{self.dimension}, {count})")
        y = slice_axis(self.weights, -2, 0, count)
        return of_each(dlarray._made(y._value, y._node, letter + "C"), letter, mask)


class SinusoidalPositionEncoding(Layer):
    """Sines and cosines of each position along T (or S) of x, at `dimension` / 2 frequencies.

    Formula: y[t, 2 k] = sin(t / 10000^(2 k / dimension)), y[t, 2 k + 1] = cos of the same, t = 0, 1, ...; what x holds
    is not read. y has the axes T (or S) and C alone: added to an array of that layout, with `Addition`, it is repeated
    for each observation.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.SinusoidalPositionEncoding(2)])
    >>> net(gl.zeros((1, 2), "CT"))
    2(T) x 2(C) dlarray float64
    [[0.         1.        ]
     [0.84147098 0.54030231]]

    Raises LabelError where x has not one axis of positions.

    Source: Vaswani et al. 2017; MATLAB sinusoidalPositionEncodingLayer.
    """

    dimension: int

    matlab: ClassVar[str] = "sinusoidalPositionEncodingLayer"
    default_name: ClassVar[str] = "positionencoding"

    def __post_init__(self) -> None:
        check_sizes(self, "dimension")

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        letter, count = positions_of(self, x)
        dtype = x.dtype.to_real() if x.dtype.is_complex else x.dtype if x.dtype.is_floating_point else torch.float64
        y = dlarray._made(_waves(count, self.dimension, dtype, x.device).clone(), None, letter + "C")
        return of_each(y, letter, mask)


@remembered(64)
def _waves(count: int, dimension: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Sines and cosines, one after the other, of positions and frequencies."""
    even = torch.arange(0, dimension, 2, dtype=torch.float64, device=device)
    angles = torch.arange(count, dtype=torch.float64, device=device)[:, None] * 10000 ** (-even / dimension)
    return torch.stack((angles.sin(), angles.cos()), -1).reshape(count, -1)[:, :dimension].to(dtype)


def of_each(y: dlarray, letter: str, mask: Any) -> dlarray:
    """The vectors of the positions, counted in each observation from its first step that is there."""
    if letter != "T" or mask is None:
        return y
    before = mask._value.cumsum(time := mask.dims.index("T")) - 1
    count = before.shape[time]
    first = torch.arange(count, device=before.device).reshape([count if k == time else 1 for k in range(mask.ndim)])
    if decided((~mask._value | (before == first)).all()):  # padding at the end
        return y
    where = dlarray._made(before.clamp(min=0).reshape(-1), None)
    z = reshape(take(dlarray._made(y._value, y._node, None), where, axis=0), (*before.shape, y.shape[1]))
    return dlarray._made(z._value, z._node, mask.dims + "C")


def positions_of(layer: Layer, x: Any) -> tuple[str, int]:
    """The letter of the positions of x, and how many there are."""
    letter = "T" if "T" in x.dims else "S"
    if x.dims.count(letter) != 1:
        raise LabelError(
            f"{called(layer)} needs one axis of positions, T or S, x is "
            f"{described(x.shape, x._labels)}, at {line_of(user_site())}; label the data, such as \"CBT\"")
    return letter, x.shape[x.dims.index(letter)]


__all__ = ["PositionEmbedding", "SinusoidalPositionEncoding"]
