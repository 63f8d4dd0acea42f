"""Layers that make image places of channels, and channels of image places."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import ShapeError, ValueRefused, line_of, user_site
from ...core.labels import described, positions
from ...operations.movement.axes import permute_dims, reshape
from ..layer import Layer
from ..spatial import Sizes, axes_worked, called, sizes_of

# how the channels of x are counted: block row, block column, channel ("dcr"), or channel first ("crd")
MODES = ("dcr", "crd")


def _arranged(layer: Layer, x: Any) -> tuple[Any, Any, tuple[int, ...]]:
    """x as (rest, height, width, C) without labels, the way back, and these three sizes."""
    axes = axes_worked(x, 2, called(layer))
    channel = positions(x._labels, "C")
    if not channel:
        raise ShapeError(f"{called(layer)} needs an axis C, x is {described(x.shape, x._labels)}, at "
                         f"{line_of(user_site())}; label the data, such as \"BCSS\"")
    order = (*(k for k in range(x.ndim) if k not in axes + channel), *axes, *channel)
    labels = x._labels

    def back(y: Any) -> Any:
        return dlarray(permute_dims(y, tuple(order.index(k) for k in range(len(order)))), labels)

    return permute_dims(dlarray._made(x._value, x._node, None), order), back, tuple(x.shape[k] for k in order[-3:])


class DepthToSpace2d(Layer):
    """Blocks of channels as blocks of places: an image `block_size` times as high and wide with so many fewer channels.

    Formula: with blocks of a x b, y[c, a i + p, b j + q] = x[(p b + q) C' + c, i, j] for `mode="dcr"`, and
    x[(c a + p) b + q, i, j] for "crd" (PyTorch's pixel_shuffle); C' is the number of channels of y.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.DepthToSpace2d(2)])
    >>> net(gl.dlarray([[[1.0]], [[2.0]], [[3.0]], [[4.0]]], "CSS")).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]

    Source: MATLAB depthToSpace2dLayer; Shi et al. 2016.
    """

    block_size: Sizes
    mode: str = field(default="dcr", kw_only=True)

    matlab: ClassVar[str] = "depthToSpace2dLayer"
    onnx: ClassVar[str] = "DepthToSpace"
    default_name: ClassVar[str] = "depthtospace"

    def __post_init__(self) -> None:
        sizes_of(self.block_size, 2, "DepthToSpace2d's block_size")
        if self.mode not in MODES:
            raise ValueRefused(f"DepthToSpace2d has no mode={self.mode!r}, at {line_of(user_site())}; write "
                               "mode=\"dcr\" or mode=\"crd\"")

    def predict(self, x: Any) -> Any:
        a, b = sizes_of(self.block_size, 2, "block_size")
        moved, back, (h, w, c) = _arranged(self, x)
        if c % (a * b):
            raise ShapeError(f"{called(self)} makes blocks of {a} x {b} of {c} channels, x is "
                             f"{described(x.shape, x._labels)}, at {line_of(user_site())}; their number must be "
                             f"divisible by {a * b}")
        d, n = c // (a * b), moved.ndim - 3
        split = (a, b, d) if self.mode == "dcr" else (d, a, b)
        row, column, depth = (n + 2 + split_at for split_at in ((0, 1, 2) if self.mode == "dcr" else (1, 2, 0)))
        y = reshape(moved, (*moved.shape[:n], h, w, *split))
        y = permute_dims(y, (*range(n), n, row, n + 1, column, depth))
        return back(reshape(y, (*moved.shape[:n], h * a, w * b, d)))


class SpaceToDepth(Layer):
    """Blocks of places as channels: an image `block_size` times less high and wide with so many more channels.

    Formula: with blocks of a x b and C channels, y[(p b + q) C + c, i, j] = x[c, a i + p, b j + q]: the inverse of
    DepthToSpace2d.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.SpaceToDepth(2)])
    >>> net(gl.dlarray([[[1.0, 2.0], [3.0, 4.0]]], "CSS")).tolist()
    [[[1.0]], [[2.0]], [[3.0]], [[4.0]]]

    Source: MATLAB spaceToDepthLayer.
    """

    block_size: Sizes

    matlab: ClassVar[str] = "spaceToDepthLayer"
    onnx: ClassVar[str] = "SpaceToDepth"

    def __post_init__(self) -> None:
        sizes_of(self.block_size, 2, "SpaceToDepth's block_size")

    def predict(self, x: Any) -> Any:
        a, b = sizes_of(self.block_size, 2, "block_size")
        moved, back, (h, w, c) = _arranged(self, x)
        if h % a or w % b:
            raise ShapeError(f"{called(self)} makes channels of blocks of {a} x {b}, x is "
                             f"{described(x.shape, x._labels)}, at {line_of(user_site())}; its sizes must be divisible "
                             "by those of a block")
        n = moved.ndim - 3
        y = reshape(moved, (*moved.shape[:n], h // a, a, w // b, b, c))
        y = permute_dims(y, (*range(n), n, n + 2, n + 1, n + 3, n + 4))
        return back(reshape(y, (*moved.shape[:n], h // a, w // b, a * b * c)))
