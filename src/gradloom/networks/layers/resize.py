"""Layers that make images larger or smaller by interpolation."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...core.errors import ShapeError, ValueRefused, line_of, user_site
from ...core.labels import positions
from ...operations.neural.resizing import resized
from ...operations.neural.spatial import with_last
from ...vocabulary.misspelled import nearest
from ..layer import Layer
from ..spatial import Sizes, axes_worked, called, sizes_of


class _Resize(Layer):
    """What layers that resize `rank` axes have in common."""

    output_size: Sizes | None = None
    scale: float | tuple[float, ...] | None = field(default=None, kw_only=True)
    method: str = field(default="nearest", kw_only=True)
    geometric_transform_mode: str = field(default="half-pixel", kw_only=True)
    nearest_rounding_mode: str = field(default="round", kw_only=True)
    enable_reference_input: bool = field(default=False, kw_only=True)

    onnx: ClassVar[str] = "Resize"
    rank: ClassVar[int]
    linear: ClassVar[str]  # what the linear method is called in this rank

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if (self.output_size is not None) + (self.scale is not None) + self.enable_reference_input != 1:
            raise ShapeError(f"{kind} takes output_size, scale or enable_reference_input=True, one of them, at "
                             f"{line_of(user_site())}; write {kind}(scale=2)")
        if self.output_size is not None:
            sizes_of(self.output_size, self.rank, f"{kind}'s output_size")
        if self.scale is not None:
            self.scales()
        for word, known in (("method", ("nearest", self.linear)),
                            ("geometric_transform_mode", ("half-pixel", "asymmetric")),
                            ("nearest_rounding_mode", ("round", "floor"))):
            value = getattr(self, word)
            if value not in known:
                raise ValueRefused(f"{kind} has no {word}={value!r}{nearest(str(value), known)}, at "
                                   f"{line_of(user_site())}; write one of {', '.join(map(repr, known))}")

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """in, and what has the size to come."""
        return ("in", "ref") if self.enable_reference_input else ("in",)

    def scales(self) -> tuple[float, ...]:
        """How much larger along each axis."""
        given = self.scale
        scales: tuple[Any, ...] = tuple(given) if isinstance(given, (tuple, list)) else (given,) * self.rank
        if len(scales) != self.rank or not all(isinstance(n, (int, float)) and n > 0 for n in scales):
            raise ShapeError(f"{type(self).__name__}'s scale is one positive number or {self.rank} of them, not "
                             f"{given!r}, at {line_of(user_site())}; write scale=2")
        return scales

    def predict(self, x: Any, *reference: Any) -> Any:
        axes = axes_worked(x, self.rank, called(self))
        if reference:
            size = tuple(reference[0].shape[k] for k in axes_worked(reference[0], self.rank, called(self)))
        elif self.output_size is not None:
            size = sizes_of(self.output_size, self.rank, "output_size")
        else:
            size = tuple(int(x.shape[k] * n) for k, n in zip(axes, self.scales(), strict=True))
        if 0 in size:
            raise ShapeError(f"{called(self)} would make images of {size}, at {line_of(user_site())}; write a larger "
                             "scale")
        how = "linear" if self.method == self.linear else "nearest"
        return with_last(x, axes, lambda moved: resized(moved, size, how, self.geometric_transform_mode,
                                                        self.nearest_rounding_mode))


class Resize2d(_Resize):
    """Images of `output_size` (height, width), or `scale` times as large, or with `enable_reference_input=True` of the
    size of a second input, "ref".

    Formula: entry j of m along an axis of n lies at (j + 1/2) n / m - 1/2 in x ("half-pixel"), or at j n / m
    (`geometric_transform_mode="asymmetric"`). `method="nearest"` takes the nearest entry (`nearest_rounding_mode`:
    "round", or "floor"), "bilinear" interpolates; outside, the border goes on. A scaled size is rounded down.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Resize2d(scale=2)])(gl.dlarray([[[1.0, 2.0]]], "CSS")).tolist()
    [[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]

    Source: MATLAB resize2dLayer.
    """

    matlab: ClassVar[str] = "resize2dLayer"
    default_name: ClassVar[str] = "resize"
    rank: ClassVar[int] = 2
    linear: ClassVar[str] = "bilinear"


class Resize3d(_Resize):
    """Volumes of `output_size` (height, width, depth), or `scale` times as large, or with
    `enable_reference_input=True` of the size of a second input, "ref".

    `method` is "nearest" or "trilinear"; formula and options are those of Resize2d.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Resize3d((4, 4, 2), method="trilinear")])(gl.ones((2, 2, 2, 3), "SSSC")).shape
    (4, 4, 2, 3)

    Source: MATLAB resize3dLayer.
    """

    matlab: ClassVar[str] = "resize3dLayer"
    default_name: ClassVar[str] = "resize3d"
    rank: ClassVar[int] = 3
    linear: ClassVar[str] = "trilinear"


class Upsampling(Layer):
    """Each entry repeated `scale` times along every S: one number, or one for each S.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Upsampling(2)])(gl.dlarray([[1.0, 2.0]], "CS"))
    1(C) x 4(S) dlarray float64
    [[1. 1. 2. 2.]]

    Source: PyTorch Upsample, Keras UpSampling2D; MATLAB resize2dLayer does the same.
    """

    scale: Sizes

    onnx: ClassVar[str] = "Resize"

    def __post_init__(self) -> None:
        given = self.scale
        sizes_of(given, len(given) if isinstance(given, (tuple, list)) else 1, "Upsampling's scale")

    def predict(self, x: Any) -> Any:
        axes = positions(x._labels, "S")
        if not 0 < len(axes) < 4:
            raise ShapeError(f"{called(self)} works on one, two or three axes S, x has {len(axes)}, at "
                             f"{line_of(user_site())}; label the data, such as \"BCSS\"")
        scale = sizes_of(self.scale, len(axes), f"{called(self)}'s scale")
        size = tuple(x.shape[k] * n for k, n in zip(axes, scale, strict=True))
        return with_last(x, axes, lambda moved: resized(moved, size, "nearest", "half-pixel", "round"))
