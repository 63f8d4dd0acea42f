"""Convolutions by multiplying Fourier coefficients, of which the low ones have weights: the layers of a Fourier neural
operator."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described, positions
from ...operations.creation.random import randn
from ...operations.fourier.transforms import irfftn, rfftn
from ...operations.matrices.contraction import einsum
from ...operations.movement.axes import permute_dims
from ...operations.movement.joining import concat
from ...operations.movement.slices import pad, slice_axis
from ..layer import Layer, Learnable
from ..layout import Layout
from ..options import channels_of, check_sizes
from ..spatial import called


class _SpectralConvolution(Layer):
    """What spectral convolutions of any rank have in common."""

    num_modes: int | tuple[int, ...]
    num_filters: int
    weights: Learnable

    rank: ClassVar[int]

    def __post_init__(self) -> None:
        check_sizes(self, "num_filters")
        if len(self.modes) != self.rank or not all(isinstance(m, int) and m > 0 for m in self.modes):
            raise ShapeError(f"{type(self).__name__}'s num_modes is a positive integer"
                             f"{f', or {self.rank} of them' if self.rank > 1 else ''}, not {self.num_modes!r}, at "
                             f"{line_of(user_site())}")

    @property
    def modes(self) -> tuple[int, ...]:
        """How many frequencies along each S axis have weights."""
        return self.num_modes if isinstance(self.num_modes, tuple) else (self.num_modes,) * self.rank

    def initialize(self, layout: Layout) -> None:
        channels = channels_of(self, layout)
        *both, last = self.modes
        shape = (self.num_filters, channels, *[2 * m for m in both], last)
        self.weights = randn(shape, dtype="complex64") / math.sqrt(channels * self.num_filters)

    def predict(self, x: Any) -> Any:
        labels, n, modes = x.dims, self.rank, self.modes
        sizes = [x.shape[k] for k in positions(labels, "S")]
        if len(sizes) != n or "C" not in labels or set(labels) - set("BCS"):
            raise LabelError(f"{called(self)} needs C and {n} S axes, and no other "
                             f"than B beside them, x is {described(x.shape, x._labels)}, at {line_of(user_site())}; "
                             f"label the data, such as \"BC{'S' * n}\"")
        if any(2 * m > size for m, size in zip(modes, sizes, strict=True)):
            raise ShapeError(f"{called(self)} has {self.num_modes} modes, x is "
                             f"{described(x.shape, x._labels)}, at {line_of(user_site())}; there are at most half as "
                             "many modes as points along each S axis")
        order = [*positions(labels, "B"), labels.index("C"), *positions(labels, "S")]
        y = permute_dims(dlarray._made(x._value, x._node, None), order)
        axes = list(range(-n, 0))
        low = rfftn(y, axes=axes)
        for axis, m in zip(axes[:-1], modes, strict=False):
            size = low.shape[axis]
            low = concat([slice_axis(low, axis, 0, m), slice_axis(low, axis, size - m, size)], axis=axis)
        low = slice_axis(low, -1, 0, modes[-1])
        letters = "xyz"[:n]
        batch = "b" if "B" in labels else ""
        low = einsum(f"{batch}i{letters},oi{letters}->{batch}o{letters}", low, self.weights)
        low = _widened(low, -1, modes[-1], sizes[-1] // 2 + 1 - modes[-1])
        for axis, m, size in zip(axes[:-1], modes, sizes, strict=False):
            low = _widened(low, axis, m, size - 2 * m)
        y = permute_dims(irfftn(low, s=sizes, axes=axes), [order.index(k) for k in range(len(order))])
        return dlarray._made(y._value, y._node, labels)


def _widened(x: Any, axis: int, place: int, count: int) -> Any:
    """x with zeros put in along an axis: `count` of them before `place`."""
    def padded(part: Any) -> Any:
        widths = [(0, 0)] * part.ndim
        widths[axis] = (0, count)
        return pad(part, widths)

    if place == x.shape[axis]:
        return padded(x)
    return concat([padded(slice_axis(x, axis, 0, place)), slice_axis(x, axis, place, x.shape[axis])], axis=axis)


class SpectralConvolution1d(_SpectralConvolution):
    """The lowest `num_modes` Fourier coefficients along S times complex weights, the others left out.

    Formula: y = irfft(sum over channels i of weights[o, i, k] rfft(x)[i, k]), k below num_modes. weights: (num_filters,
    channels, num_modes), complex. y has num_filters channels and the points of x, and does the same to a function
    whatever the number of points it is sampled at.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.SpectralConvolution1d(4, 8)], gl.Layout((1, 2, 16), "BCS"))
    >>> net(gl.zeros((3, 2, 32), "BCS")).sizes
    {'B': 3, 'C': 8, 'S': 32}

    Raises ShapeError for more modes than half of the points.

    Source: Li et al. 2021 (Fourier neural operator); MATLAB spectralConvolution1dLayer.
    """

    rank: ClassVar[int] = 1
    matlab: ClassVar[str] = "spectralConvolution1dLayer"
    default_name: ClassVar[str] = "spectralconv"


class SpectralConvolution2d(_SpectralConvolution):
    """The lowest Fourier coefficients along two S axes times complex weights, the others left out.

    Formula: y = irfft2(sum over channels i of weights[o, i, j, k] rfft2(x)[i, j, k]), with `num_modes` frequencies of
    each sign along the first S axis (the positive ones first in weights) and as many along the second. weights:
    (num_filters, channels, 2 num_modes[0], num_modes[1]), complex. num_modes: a number, or one for each S axis.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.SpectralConvolution2d(2, 8)], gl.Layout((1, 2, 8, 8), "BCSS"))
    >>> net(gl.zeros((3, 2, 16, 12), "BCSS")).sizes
    {'B': 3, 'C': 8, 'S': (16, 12)}

    Raises ShapeError for more modes than half of the points.

    Source: Li et al. 2021 (Fourier neural operator); MATLAB spectralConvolution2dLayer.
    """

    rank: ClassVar[int] = 2
    matlab: ClassVar[str] = "spectralConvolution2dLayer"
    default_name: ClassVar[str] = "spectralconv"


class SpectralConvolution3d(_SpectralConvolution):
    """The lowest Fourier coefficients along three S axes times complex weights, the others left out.

    As `SpectralConvolution2d`, with frequencies of both signs along the first two S axes. weights: (num_filters,
    channels, 2 num_modes[0], 2 num_modes[1], num_modes[2]), complex.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.SpectralConvolution3d(2, 3)], gl.Layout((1, 2, 4, 4, 4), "BCSSS"))
    >>> net(gl.zeros((1, 2, 4, 6, 8), "BCSSS")).sizes
    {'B': 1, 'C': 3, 'S': (4, 6, 8)}

    Raises ShapeError for more modes than half of the points.

    Source: Li et al. 2021 (Fourier neural operator); MATLAB spectralConvolution3dLayer.
    """

    rank: ClassVar[int] = 3
    matlab: ClassVar[str] = "spectralConvolution3dLayer"
    default_name: ClassVar[str] = "spectralconv"


__all__ = ["SpectralConvolution1d", "SpectralConvolution2d", "SpectralConvolution3d"]
