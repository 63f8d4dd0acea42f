"""Images made larger or smaller by torch's kernels: nearest, linear and cubic, also antialiased.

All of them are linear and take the axes one after the other, so a Block meets one small matrix along each axis.
"""
from __future__ import annotations

import math
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray
from ...core.declare import multilinear
from ...machine.caches import remembered
from ...machine.dtypes import Tensor
from ...machine.questions import thread
from .spatial import Sizes, along_last_axes

aten = torch.ops.aten


def _images(x: Tensor, d: int) -> Tensor:
    """All before the last d axes as images of one channel."""
    return x.reshape(math.prod(x.shape[:x.ndim - d]), 1, *x.shape[x.ndim - d:])


def _resize_kernel(x: Tensor, kernel: str, size: Sizes, rest: tuple[Any, ...]) -> Tensor:
    """`kernel` is ATen's name, `rest` what follows the size among its arguments: align_corners, scales."""
    d = len(size)
    return getattr(aten, kernel)(_images(x, d), size, *rest).reshape(*x.shape[:x.ndim - d], *size)


def _back_kernel(y: Tensor, kernel: str, size: Sizes, rest: tuple[Any, ...], spatial: Sizes) -> Tensor:
    d = len(size)
    flat = _images(y, d)
    back = getattr(aten, f"{kernel}_backward")(flat, size, (*flat.shape[:2], *spatial), *rest)
    return back.reshape(*y.shape[:y.ndim - d], *spatial)


def _weights(kernel: str, n: int, m: int, k: int, d: int, rest: tuple[Any, ...], like: Tensor) -> Tensor:
    """(n, m): what the kernel makes of the unit vectors along axis k of d. They lie along the last axis: antialiasing
    to a width of 1 is wrong in torch 2.13."""
    if thread.recording:
        return _of_units(kernel, n, m, k, d, rest, like.dtype, like.device)
    return _kept_of_units(kernel, n, m, k, d, rest, like.dtype, like.device)


def _of_units(kernel: str, n: int, m: int, k: int, d: int, rest: tuple[Any, ...], of: torch.dtype,
              device: torch.device) -> Tensor:
    dtype = of if of in (torch.float32, torch.float64) else torch.float32
    lone, scales = (1,) * (d - 1), (*[None] * (d - 1), rest[len(rest) - d + k])
    units = torch.eye(n, dtype=dtype, device=device).reshape(n, 1, *lone, n)
    return getattr(aten, kernel)(units, (*lone, m), *rest[:len(rest) - d], *scales).reshape(n, m).to(of)


_kept_of_units = remembered(16)(_of_units)


def _along_axes(block: Block, kernel: str, size: Sizes, rest: tuple[Any, ...], spatial: Sizes,
                transposed: bool) -> Block:
    for k, (n, m) in enumerate(zip(spatial, size, strict=True)):
        at = block.ndim - len(size) + k
        matrix = _weights(kernel, n, m, k, len(size), rest, block.like)
        letters = [f"a{j}" for j in range(block.ndim)]
        names = ["new", f"a{at}"] if transposed else [f"a{at}", "new"]
        sizes = dict(zip(letters, block.shape, strict=True)) | {"new": n if transposed else m}
        block = action.contract(block, 0, (block, matrix), [letters, names],
                                [*letters[:at], "new", *letters[at + 1:]], sizes)
    return block


def _resize_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block = inputs[0]
    return _along_axes(block, **params, spatial=tuple(block.shape[block.ndim - len(params["size"]):]),
                       transposed=False)


_REAL = "torch resizes images of real numbers only; its error says so"
_HALF = "torch's antialiasing takes none; its error says so"
_back: Any
_SAMPLES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 3), {"kernel": "upsample_bilinear2d", "size": (6, 5), "rest": (False, None, None)}),
    ((4, 3), {"kernel": "upsample_bicubic2d", "size": (3, 5), "rest": (True, None, None)}),
    ((2, 3, 4), {"kernel": "upsample_nearest1d", "size": (8,), "rest": (2.0,)}),
    ((1, 2, 3, 2, 3), {"kernel": "upsample_trilinear3d", "size": (4, 3, 2), "rest": (False, None, None, None)}),
    ((0, 3), {"kernel": "upsample_linear1d", "size": (5,), "rest": (False, None)}),
    ((2, 4, 6), {"kernel": "_upsample_bilinear2d_aa", "size": (2, 4), "rest": (False, None, None)}),
]
_resize = multilinear(
    "resize", _resize_kernel, act=_resize_on_block, samples=_SAMPLES, real_only=_REAL, without_half=_HALF,
    transposes={"x": lambda y_bar, kernel, size, rest, x_shape: _back.apply(
        (y_bar,), dict(kernel=kernel, size=size, rest=rest, spatial=tuple(x_shape[-len(size):])))})
_back = multilinear(
    "resize_transpose", _back_kernel, act=lambda operation, inputs, params: _along_axes(
        inputs[0], **params, transposed=True),
    samples=[((*shape[:-len(params["size"])], *params["size"]), params | {"spatial": shape[-len(params["size"]):]})
             for shape, params in _SAMPLES],
    real_only=_REAL, without_half=_HALF,
    transposes={"x": lambda y_bar, kernel, size, rest, spatial: _resize.apply(
        (y_bar,), dict(kernel=kernel, size=size, rest=rest))})

# ----- what layers ask for -----

_LINEAR = {1: "upsample_linear1d", 2: "upsample_bilinear2d", 3: "upsample_trilinear3d"}


def resized(x: Any, size: Sizes, method: str, transform: str, rounding: str) -> Any:
    """x with its last axes resized, without labels.

    method: "nearest" or "linear". transform: entry j of m lies at (j + 1/2) n / m - 1/2 ("half-pixel") or at j n / m
    ("asymmetric") among n. rounding, of the nearest: "round" or "floor".
    """
    d = len(size)
    spatial = tuple(x.shape[x.ndim - d:])
    # quick way: torch's kernels have these
    if (method, transform) == ("linear", "half-pixel"):
        return _resize.apply((x,), {"kernel": _LINEAR[d], "size": size, "rest": (False, *(None,) * d)})
    if method == "nearest" and (transform, rounding) in (("half-pixel", "round"), ("asymmetric", "floor")):
        kernel = "_upsample_nearest_exact" if rounding == "round" else "upsample_nearest"
        return _resize.apply((x,), {"kernel": f"{kernel}{d}d", "size": size, "rest": (None,) * d})
    # the plain one: a matrix along each axis
    return along_last_axes(x, [dlarray._made(_interpolation(n, m, method, transform, rounding).to(x._value), None)
                               for n, m in zip(spatial, size, strict=True)])


def _interpolation(n: int, m: int, method: str, transform: str, rounding: str) -> Tensor:
    """(n, m): column j has the weights of the n entries in entry j."""
    j = torch.arange(m, device="cpu")
    twice = (2 * j + 1) * n - m if transform == "half-pixel" else 2 * j * n  # 2 m times the place of j
    if method == "nearest":
        low = (twice + m if rounding == "round" else twice).div(2 * m, rounding_mode="floor").clamp(0, n - 1)
        share = torch.zeros(m, dtype=torch.float64, device="cpu")
    else:
        place = (twice.double() / (2 * m)).clamp(0, n - 1)
        low = place.long().clamp(max=max(n - 2, 0))
        share = place - low
    weights = torch.zeros(n, m, dtype=torch.float64, device="cpu")
    weights[low, j] += 1 - share
    weights[(low + 1).clamp(max=n - 1), j] += share
    return weights


__all__ = ["resized"]
