"""ATen's samplers of images: of volumes at points, and resizing with antialiasing. The argument names are ATen's."""
from __future__ import annotations

import itertools
import math
from typing import Any

import torch

from .....core.array import raw
from ....by_position import taken
from ....protocol import constant, gl
from ...table import rule

# ----- at points -----


def _unnormalized(x: Any, size: int, align_corners: bool) -> Any:
    """From -1 ... 1 to pixels: centres of the outer ones at the ends, or their outer edges."""
    return (x + 1) * ((size - 1) / 2) if align_corners else ((x + 1) * size - 1) / 2


def _reflected(x: Any, twice_low: int, twice_high: int) -> Any:
    """x folded back at the ends of an interval."""
    if twice_low == twice_high:
        return constant(torch.zeros_like(raw(x)))
    low, span = twice_low / 2, (twice_high - twice_low) / 2
    away = gl.abs(x - low)
    flips = torch.floor(raw(away) / span)
    extra = away - constant(flips * span)
    return gl.where(constant(flips % 2 == 0), extra + low, span - extra + low)


def _clipped(x: Any, size: int) -> Any:
    """Between the outer pixels; outside, and on them, with derivative 0, as in torch."""
    value = raw(x)
    return gl.where(constant((value > 0) & (value < size - 1)), x, constant(value.clamp(0, size - 1)))


def _located(x: Any, size: int, padding_mode: int, align_corners: bool) -> Any:
    """Pixels to read; padding: 0 zeros, 1 the border, 2 reflections."""
    x = _unnormalized(x, size, align_corners)
    if padding_mode == 2:
        x = _reflected(x, 0, 2 * (size - 1)) if align_corners else _reflected(x, -1, 2 * size - 1)
    return x if padding_mode == 0 else _clipped(x, size)


@rule("grid_sampler_3d")
def _grid_sampler_3d(x: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """The mean of the eight voxels around each point, or the nearest (mode 1); outside of the volume 0."""
    n, channels, *sizes = x.shape
    points = [_located(grid[..., 2 - k], sizes[k], padding_mode, align_corners) for k in range(3)]
    if interpolation_mode == 1:
        corners: Any = [[(torch.round(raw(p)), None)] for p in points]
    else:
        corners = []
        for p in points:
            low = torch.floor(raw(p))
            corners.append([(low, constant(low + 1) - p), (low + 1, p - constant(low))])
    rows = torch.arange(n * channels, device=x.device).reshape(n, channels, 1, 1, 1) * math.prod(sizes)
    total: Any = None
    for corner in itertools.product(*corners):
        inside = torch.ones(grid.shape[:-1], dtype=torch.bool, device=x.device)
        flat = torch.zeros(grid.shape[:-1], dtype=torch.int64, device=x.device)
        weight: Any = None
        for (at, its), size in zip(corner, sizes, strict=True):
            inside = inside & (at >= 0) & (at < size)
            flat = flat * size + at.nan_to_num(0).clamp(0, size - 1).to(torch.int64)
            weight = its if weight is None else weight * its
        values = taken(x, rows + flat[:, None])
        part = gl.where(constant(inside[:, None]), values if weight is None
                        else values * gl.expand_dims(weight, axis=1), 0.0)
        total = part if total is None else total + part
    return total


# ----- resizing with antialiasing: linear along each axis -----


def _resized(name: str) -> None:
    kernel = getattr(torch.ops.aten, name)

    def resized(x: Any, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None) -> Any:
        for axis, size, scale in ((-2, output_size[0], scales_h), (-1, output_size[1], scales_w)):
            n = x.shape[axis]
            eye = torch.eye(n, dtype=x.dtype, device=x.device).reshape(1, n, 1, n)
            matrix = kernel(eye, [1, size], align_corners, None, scale).reshape(n, size)
            x = gl.moveaxis(gl.matmul(gl.moveaxis(x, axis, -1), constant(matrix)), -1, axis)
        return x

    rule(name)(resized)


for _name in ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"):
    _resized(_name)

__all__: list[str] = []
