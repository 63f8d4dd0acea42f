"""What all normalizations share: (x - mean) / sqrt(variance + epsilon), then scaled and shifted channel by channel.

Offset and scale are vectors over the channels; axes are counted from the end. The derivative of the standardized values
with respect to x is symmetric, so that push and pull share `through`.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ....core.array import dlarray, labels_of, raw, unlabelled
from ....core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ....core.labels import described, positions
from ....machine.dtypes import NUMBER_TYPES, Tensor
from ....machine.questions import usually
from ...creation.arrays import full
from ...elementwise.arithmetic import square
from ...elementwise.mathematics import rsqrt
from ...matrices.contraction import layout_of, promoted_arrays
from ...movement.axes import array, reshape
from ...sums.reduction import mean, sum
from ..softmax import floating

Axes = tuple[int, ...]

# ----- rules -----


def over_channels(vector: Any, axis: int, ndim: int) -> Any:
    """A vector over the channels, leading axes before it, as it broadcasts over an array of `ndim` axes."""
    return reshape(vector, (*vector.shape[:-1], *(1,) * (ndim + axis), vector.shape[-1], *(1,) * (-axis - 1)))


def all_but(ndim: int, axis: int) -> Axes:
    return tuple(k for k in range(-ndim, 0) if k != axis)


FAR = 1024.0  # deviations


def far(x: Tensor, mean: Tensor, inverse: Tensor) -> bool:
    """Whether some mean is so many deviations from 0 that x - mean has the rounding of the mean for its digits; asked
    on the CPU alone.

    A kernel then works on x without its first entries, and saves None for the mean: the walks do the same.
    """
    # or is NaN
    return (mean.device.type == "cpu" and x.numel() > 0
            and not usually(lambda: torch.linalg.vector_norm(mean * inverse, math.inf).item() <= FAR,
                            lambda: torch.linalg.vector_norm(mean * inverse, math.inf) <= FAR))


def first_entries(x: Tensor, axes: Axes) -> Tensor:
    """The first entry along axes, with size 1: x less these has the same deviations, and digits for them."""
    for k in axes:
        x = x.narrow(k, 0, 1)
    return x


def standardized(x: Any, axes: Axes, epsilon: float, saved: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """(x - mean) / deviation and 1 / deviation; in a raw walk from what the kernel saved."""
    if saved is not None:
        return (x - saved[0]) * saved[1], saved[1]
    centre, centred, inverse = _centred(x, axes, epsilon)
    if far(raw(x), raw(centre), raw(inverse)):
        first = first_entries(raw(x), axes)
        _, centred, inverse = _centred(x - (dlarray._made(first, None) if type(x) is dlarray else first), axes, epsilon)
    return centred * inverse, inverse


def _centred(x: Any, axes: Axes, epsilon: float) -> tuple[Any, Any, Any]:
    """The mean, what is left without it, and 1 / deviation."""
    centre = mean(x, axis=axes, keepdims=True)
    centred = x - centre
    return centre, centred, rsqrt(mean(square(centred), axis=axes, keepdims=True) + epsilon)


def through(g: Any, z: Any, inverse: Any, axes: Axes) -> Any:
    """The derivative of the standardized values z, which is symmetric, times a tangent or cotangent g."""
    return (g - mean(g, axis=axes, keepdims=True) - mean(g * z, axis=axes, keepdims=True) * z) * inverse


def affine_push(z_dot: Any, offset_dot: Any, scale_dot: Any, z: Any, scale: Any, axis: int, ndim: int) -> Any:
    """The tangent of scale * z + offset."""
    y_dot = None if z_dot is None else z_dot * over_channels(scale, axis, ndim)
    if scale_dot is not None:
        part = over_channels(scale_dot, axis, ndim) * z
        y_dot = part if y_dot is None else y_dot + part
    if offset_dot is not None:
        part = over_channels(offset_dot, axis, ndim)
        y_dot = part if y_dot is None else y_dot + part
    return y_dot


def affine_pull(y_bar: Any, z: Any, axis: int, ndim: int, wanted: Sequence[bool]) -> tuple[Any, Any]:
    """Cotangents of offset and scale."""
    others = all_but(ndim, axis)
    return (sum(y_bar, axis=others) if wanted[1] else None), (sum(y_bar * z, axis=others) if wanted[2] else None)


# ----- operands -----


def real_and_axis(x: Any, data_format: str | None, word: str) -> tuple[Any, int, str]:
    """x as real floating numbers, its channel axis and what its axes are."""
    x = floating(x)
    if x.dtype.is_complex:
        raise TypeRefused(
            f"{word} takes real numbers, x is {str(x.dtype)[6:]}, at {line_of(user_site())}; write {word}(real(x), "
            "...)")
    labels = layout_of(x, data_format, word)
    if "C" not in labels:
        raise LabelError(f"{word} needs an axis C, x is {described(x.shape, labels)}, at {line_of(user_site())}; "
                         "label it, or write data_format=")
    return x, labels.index("C") - x.ndim, labels


def with_parameters(x: Any, axis: int, word: str, **parameters: Any) -> list[Any]:
    """x and its parameters, each a vector over the channels, in one type."""
    channels = x.shape[axis]
    vectors = []
    for name, p in parameters.items():
        if type(p) is not dlarray:
            p = full((channels,), p, like=x) if type(p) in NUMBER_TYPES else array(p)
        labels = labels_of(p)
        if labels is None and raw(p).shape == (channels,):
            vectors.append(p)
            continue
        if (math.prod(p.shape) != channels or labels is not None and channels > 1
            and p.shape.index(channels) not in positions(labels, "C")):
            raise ShapeError(f"{word}: {name} {described(p.shape, labels)} for x {described(x.shape, labels_of(x))}, "
                             f"at {line_of(user_site())}; it has one number for each of the {channels} channels, along "
                             "C")
        vectors.append(reshape(unlabelled(p), (channels,)))
    return promoted_arrays(unlabelled(x), *vectors)
