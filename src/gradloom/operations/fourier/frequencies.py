"""The frequencies of a Fourier transform, their order, and the family in one place: `gradloom.fft`."""
from __future__ import annotations

from typing import Any

import torch

from ...core.array import dlarray
from ...core.declare import composite
from ...core.errors import ShapeError, line_of, user_site
from ...core.options import dtype_asked
from ...core.tables import PUBLIC
from ..movement.axes import array, fresh, negative_axes
from ..movement.selection import roll
from . import transforms as fourier


def _numbers(n: int, count: int) -> Any:
    if n < 1:
        raise ShapeError(f"frequencies of {n} elements, at {line_of(user_site())}; n is at least 1")
    return torch.arange(count, dtype=torch.float64, device="cpu")


def _frequencies(numbers: Any, n: int, d: float, dtype: Any, device: Any) -> Any:
    return dlarray._made((numbers / (n * d)).to(dtype_asked(dtype or "float64")).to(device or "cpu"), None)


@composite
def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `fft` of n samples that are d apart, in cycles per unit of d: first those from 0, then the
    negative ones.

    >>> import gradloom as gl
    >>> gl.fftfreq(4, d=0.5)
    4 dlarray float64
    [ 0.   0.5 -1.  -0.5]

    Source: array API fft.fftfreq.
    """
    k = _numbers(n, n)
    return _frequencies(torch.where(k < (n + 1) // 2, k, k - n), n, d, dtype, device)


@composite
def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `rfft` of n samples that are d apart, in cycles per unit of d.

    >>> import gradloom as gl
    >>> gl.rfftfreq(4, d=0.5)
    3 dlarray float64
    [0.  0.5 1. ]

    Source: array API fft.rfftfreq.
    """
    return _frequencies(_numbers(n, n // 2 + 1), n, d, dtype, device)


def _shifted(x: Any, axes: Any, forwards: bool) -> Any:
    x = array(x)
    along = negative_axes(tuple(axes) if isinstance(axes, list) else axes, x)
    shape = x.shape
    return (roll(x, tuple([shape[a] // 2 if forwards else -(shape[a] // 2) for a in along]), axis=along)
            if along else fresh(x))


@composite
def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """Frequency 0 moved to the middle, along all axes unless some are given.

    >>> import gradloom as gl
    >>> gl.fftshift(gl.fftfreq(4))
    4 dlarray float64
    [-0.5  -0.25  0.    0.25]

    Source: array API fft.fftshift, MATLAB fftshift.
    """
    return _shifted(x, axes, True)


@composite
def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The inverse of `fftshift`.

    >>> import gradloom as gl
    >>> gl.ifftshift(gl.fftshift(gl.dlarray([1.0, 2.0, 3.0])))
    3 dlarray float64
    [1. 2. 3.]

    Source: array API fft.ifftshift, MATLAB ifftshift.
    """
    return _shifted(x, axes, False)


__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]
# gradloom.fft is both the transform and, as in the array API, where its family is: gl.fft.rfft
for _name in (*fourier.__all__, *__all__):
    setattr(fourier.fft, _name, PUBLIC[_name])
