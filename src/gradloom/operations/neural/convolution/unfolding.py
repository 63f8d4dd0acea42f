"""Images as columns of windows, and columns added up to images: torch's unfold and fold, each the other's transpose."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ....blocks import action
from ....blocks.block import Block
from ....core.declare import multilinear
from ....machine.dtypes import Tensor
from ..spatial import Sizes

aten = torch.ops.aten


def _unfold_kernel(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Tensor:
    y = aten.im2col(x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:]), kernel, dilation, padding, stride)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _fold_kernel(x: Tensor, sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Tensor:
    y = aten.col2im(x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]), sizes, kernel, dilation, padding, stride)
    return y.reshape(*x.shape[:-2], *y.shape[1:])


def _on_block(mixed: int) -> Callable[..., Block]:
    """Image by image, each as a whole: its last axes."""

    def act(operation: Any, inputs: Any, params: Any) -> Block:
        (block,) = inputs
        return action.through_arrays(block, lambda array, lead: operation.kernel(array, **params),
                                     range(block.ndim - mixed, block.ndim), f"{operation.name} mixes an image")

    return act


_SAMPLES: list[dict[str, Any]] = [
    {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 0), "dilation": (1, 1)},
    {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 1), "dilation": (2, 1)},
]
_unfold = multilinear(
    "unfold", _unfold_kernel, act=_on_block(3),
    transposes={"x": lambda y_bar, x_shape, kernel, stride, padding, dilation: fold(
        y_bar, tuple(x_shape[-2:]), kernel, stride, padding, dilation)},
    samples=[((2, 2, 4, 5), _SAMPLES[0]), ((1, 4, 3), _SAMPLES[1]), ((0, 1, 4, 5), _SAMPLES[0])])
_fold = multilinear(
    "fold", _fold_kernel, act=_on_block(2),
    transposes={"x": lambda y_bar, kernel, stride, padding, dilation: unfold(y_bar, kernel, stride, padding, dilation)},
    samples=[((2, 12, 10), {**_SAMPLES[0], "sizes": (4, 5)}), ((4, 8), {**_SAMPLES[1], "sizes": (4, 3)}),
             ((0, 6, 10), {**_SAMPLES[0], "sizes": (4, 5)})])


def unfold(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """(..., channels, height, width) to (..., channels * window, places)."""
    return _unfold.apply((x,), {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation})


def fold(x: Any, sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """(..., channels * window, places) to (..., channels, *sizes), what meets is added."""
    return _fold.apply((x,), {"sizes": sizes, "kernel": kernel, "stride": stride, "padding": padding,
                              "dilation": dilation})


__all__ = ["fold", "unfold"]
