"""Discrete Fourier transforms. Each is linear, real-linear where it takes or gives real numbers, and states its exact
transpose.

Two kernels do it all: `fft` of complex numbers, in both directions, and `rfft` between real numbers and the half of
their spectrum that determines them. The entries of that half which stand for two (all but frequency 0 and, for even n,
the last) weigh 2 in the one direction and 1/2 in the other. On a structured Jacobian only the transformed axes are
untied.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray, labels_of
from ...core.declare import composite, multilinear, public
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...machine.dtypes import HALF, Tensor
from ..elementwise.arithmetic import conj, real
from ..movement.axes import array, negative_axes
from ..movement.slices import pad_axis, slice_axis
from ..neural.softmax import floating

OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _on_axes(operation: Any, inputs: Any, params: Any) -> Block:
    block = inputs[0]
    mixed = [k for k in range(block.ndim) if k - block.ndim in params["axes"]]
    return action.through_arrays(block, lambda x, lead: operation.apply((x,), params), mixed,
                                 f"{operation.name} mixes the axes that it transforms")


# ----- complex -----


def _refuse_half(x: Tensor) -> None:
    if x.dtype in HALF:
        raise TypeError("there are no transforms in half precision; write x.astype('float32')")


def _fft_kernel(x: Tensor, axes: tuple[int, ...], inverse: bool, norm: str) -> Tensor:
    _refuse_half(x)
    if not x.numel():  # which torch refuses
        return x + 0j
    return (torch.fft.ifftn if inverse else torch.fft.fftn)(x, dim=axes, norm=norm)


def transformed(x: Any, axes: tuple[int, ...], inverse: bool, norm: str) -> Any:
    """The transform over axes counted from the end, inside rules."""
    return _fft.apply((x,), {"axes": axes, "inverse": inverse, "norm": norm})


_fft = multilinear(
    "fft", _fft_kernel, act=_on_axes, matlab="fft",
    transposes={"x": lambda y_bar, axes, inverse, norm: transformed(y_bar, axes, not inverse, OPPOSITE[norm])},
    samples=[((2, 5), {"axes": (-1,), "inverse": False, "norm": "backward"}),
             ((4, 2), {"axes": (-2,), "inverse": True, "norm": "backward"}),
             ((3, 2, 2), {"axes": (-3, -1), "inverse": False, "norm": "forward"}),
             ((1, 3), {"axes": (-2, -1), "inverse": True, "norm": "ortho"}),
             ((0, 3), {"axes": (-1,), "inverse": False, "norm": "backward"})],
                   without_half="no complex numbers are made of it")


# ----- real numbers and half of their spectrum -----


def weights(n: int, middle: float, like: Any) -> Tensor:
    """1 for the entries of the half spectrum that stand for themselves, `middle` for those that stand for two."""
    w = torch.full((n // 2 + 1,), middle, dtype=torch.float32 if like.dtype is torch.complex64 else torch.float64,
                   device=like.device)
    w[0] = 1
    if n % 2 == 0:
        w[-1] = 1
    return w


def _weighted(x: Any, n: int, middle: float, axis: int) -> Any:
    w = weights(n, middle, x).reshape((-1, *(1,) * (-1 - axis)))
    return x * (dlarray._made(w, None) if type(x) is dlarray else w)


def _half(x: Any, axes: tuple[int, ...], norm: str) -> Any:
    return _rfft.apply((x,), {"axes": axes, "norm": norm})


def _whole(x: Any, axes: tuple[int, ...], n: int, norm: str) -> Any:
    return _irfft.apply((x,), {"axes": axes, "n": n, "norm": norm})


def _rfft_transpose(y_bar: Any, axes: Any, norm: str, x_shape: Any) -> Any:
    n = x_shape[axes[-1]]
    return _whole(_weighted(y_bar, n, 0.5, axes[-1]), axes, n, OPPOSITE[norm])


def _rfft_kernel(x: Tensor, axes: tuple[int, ...], norm: str) -> Tensor:
    _refuse_half(x)
    if not x.numel():
        return slice_axis(x + 0j, axes[-1], 0, x.shape[axes[-1]] // 2 + 1)
    return torch.fft.rfftn(x, dim=axes, norm=norm)


def _irfft_kernel(x: Tensor, axes: tuple[int, ...], n: int, norm: str) -> Tensor:
    _refuse_half(x)
    if not x.numel():
        return x.new_zeros([n if k - x.ndim == axes[-1] else size for k, size in enumerate(x.shape)],
                           dtype=x.real.dtype)
    sizes = [n if a == axes[-1] else x.shape[a] for a in axes]
    return torch.fft.irfftn(x if x.is_complex() else x + 0j, s=sizes, dim=axes, norm=norm)


def _irfft_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    """The real part of the complex transform of the weighted half spectrum."""
    axes, n, norm = params["axes"], params["n"], params["norm"]
    half = _weighted(inputs[0], n, 2.0, axes[-1])
    return real(transformed(pad_axis(half, axes[-1], 0, n - n // 2 - 1), axes, True, norm))


def _rfft_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    axes = params["axes"]
    return slice_axis(transformed(inputs[0], axes, False, params["norm"]), axes[-1], 0,
                      inputs[0].shape[axes[-1]] // 2 + 1)


_rfft = multilinear(
    "rfft", _rfft_kernel, transposes={"x": _rfft_transpose}, act=_rfft_on_block,
    samples=[((2, 5), {"axes": (-1,), "norm": "backward"}), ((4, 2), {"axes": (-2,), "norm": "forward"}),
             ((3, 2, 4), {"axes": (-3, -1), "norm": "ortho"}),
             ((3, 1), {"axes": (-1,), "norm": "backward"}), ((0, 3), {"axes": (-1,), "norm": "backward"})],
                    real_only="the transform of real numbers", without_half="no complex numbers are made of it")


def _irfft_fused(y_bar: Tensor, axes: Any, n: int, norm: str) -> tuple[Tensor]:
    """What stands for two is doubled in place."""
    half = _rfft_kernel(y_bar, axes, OPPOSITE[norm])
    half.narrow(axes[-1], 1, (n - 1) // 2).mul_(2)
    return (half,)


_irfft = multilinear(
    "irfft", _irfft_kernel, act=_irfft_on_block, fused_pull=_irfft_fused,
    transposes={"x": lambda y_bar, axes, n, norm: _weighted(_half(y_bar, axes, OPPOSITE[norm]), n, 2.0, axes[-1])},
    samples=[((2, 3), {"axes": (-1,), "n": 5, "norm": "backward"}),
             ((3, 2), {"axes": (-2,), "n": 4, "norm": "forward"}),
             ((3, 2, 3), {"axes": (-3, -1), "n": 4, "norm": "ortho"}),
             ((3, 1), {"axes": (-1,), "n": 1, "norm": "backward"}),
             ((0, 2), {"axes": (-1,), "n": 3, "norm": "backward"})], without_half="no complex numbers are made of it")


# ----- public functions -----


def _operand(x: Any, word: str, axes: Any, sizes: Any, norm: str) -> tuple[Any, tuple[int, ...], list[int | None]]:
    """x, the axes counted from the end, and the sizes asked for along them."""
    x = floating(x)
    if norm not in OPPOSITE:
        raise ShapeError(
            f"{word}: norm is \"backward\", \"ortho\" or \"forward\", not {norm!r}, at {line_of(user_site())}")
    if axes is None:
        axes = tuple(range(-x.ndim, 0)) if sizes is None else tuple(range(-len(sizes), 0))
    found = negative_axes(tuple(axes) if isinstance(axes, list) else axes, x)
    lengths = [None] * len(found) if sizes is None else list(sizes)
    if len(lengths) != len(found):
        raise ShapeError(
            f"{word}: {len(lengths)} sizes for {len(found)} axes of {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; give one size for each axis")
    if not found:
        raise ShapeError(
            f"{word} needs an axis, x is {described(x.shape, labels_of(x))}, at {line_of(user_site())}; write x[None]")
    for a, n in zip(found, lengths, strict=True):
        if n is not None and n < 1 or n is None and x.shape[a] == 0:
            raise ShapeError(
                f"{word} over {n or 0} elements of {described(x.shape, labels_of(x))}, at {line_of(user_site())}; it "
                "takes at least one")
    return x, found, lengths


def _fitted(x: Any, axis: int, n: int | None) -> Any:
    """x cut, or filled with zeros, to n entries along an axis."""
    size = x.shape[axis]
    if n is None or n == size:
        return x
    return slice_axis(x, axis, 0, n) if n < size else pad_axis(x, axis, 0, n - size)


def _complex_transform(x: Any, word: str, axes: Any, sizes: Any, norm: str, inverse: bool) -> Any:
    x, axes, sizes = _operand(x, word, axes, sizes, norm)
    labels = labels_of(x)
    for a, n in zip(axes, sizes, strict=True):
        x = _fitted(x, a, n)
    return _fft.apply((x,), {"axes": axes, "inverse": inverse, "norm": norm}, labels)


def _real_transform(x: Any, word: str, axes: Any, sizes: Any, norm: str) -> Any:
    x, axes, sizes = _operand(x, word, axes, sizes, norm)
    if x.dtype.is_complex:
        raise TypeRefused(
            f"{word} takes real numbers, x is {str(x.dtype)[6:]}, at {line_of(user_site())}; write "
            f"{word.replace('r', '', 1)}(x), or real(x)")
    labels = labels_of(x)
    for a, n in zip(axes, sizes, strict=True):
        x = _fitted(x, a, n)
    return _rfft.apply((x,), {"axes": axes, "norm": norm}, labels)


def _real_inverse(x: Any, word: str, axes: Any, sizes: Any, norm: str) -> Any:
    x, axes, sizes = _operand(x, word, axes, sizes, norm)
    labels, last = labels_of(x), axes[-1]
    n = 2 * (x.shape[last] - 1) if sizes[-1] is None else int(sizes[-1])
    if n < 1:
        raise ShapeError(
            f"{word}: one frequency is the spectrum of 0 or of 1 element, at {line_of(user_site())}; write n=1")
    for a, size in zip(axes[:-1], sizes[:-1], strict=True):
        x = _fitted(x, a, size)
    return _irfft.apply((_fitted(x, last, n // 2 + 1),), {"axes": axes, "n": n, "norm": norm}, labels)


@public(_fft)
def fft(x: Any, /, *, n: int | None = None, axis: Any = -1, norm: str = "backward") -> Any:
    """The discrete Fourier transform along one axis, or along all axes of a label. The family is `fft.fft`, `fft.ifft`,
    `fft.rfft`, ...

    Formula: y[k] = sum over j of x[j] exp(-2 pi i j k / n). x is cut or filled with zeros to n entries. `norm` says
    where the factor 1/n is: "backward" in the inverse, "forward" here, "ortho" as 1/sqrt(n) in both. Shape and labels
    of x; complex.
    Raises ShapeError for another norm and for no elements.

    >>> import gradloom as gl
    >>> gl.abs(gl.fft(gl.dlarray([1.0, 1.0, 1.0, 1.0])))
    4 dlarray float64
    [4. 0. 0. 0.]

    Source: array API fft.fft, MATLAB fft.
    """
    return _complex_transform(x, "fft", axis, _each(n, axis, x), norm, False)


def _each(n: int | None, axis: Any, x: Any) -> list[int | None] | None:
    """The same size along each axis that is meant."""
    return None if n is None else [int(n)] * len(negative_axes(axis, array(x)))


@composite
def ifft(x: Any, /, *, n: int | None = None, axis: Any = -1, norm: str = "backward") -> Any:
    """The inverse of `fft`. MATLAB's ifft(..., "symmetric") is `irfft`.

    Formula: y[j] = 1/n sum over k of x[k] exp(2 pi i j k / n).

    >>> import gradloom as gl
    >>> gl.real(gl.ifft(gl.dlarray([4.0, 0.0])))
    2 dlarray float64
    [2. 2.]

    Source: array API fft.ifft, MATLAB ifft.
    """
    return _complex_transform(x, "ifft", axis, _each(n, axis, x), norm, True)


@composite
def fftn(x: Any, /, *, s: Sequence[int] | None = None, axes: Any = None, norm: str = "backward") -> Any:
    """`fft` along several axes: all of them, or the last len(s).

    >>> import gradloom as gl
    >>> gl.abs(gl.fftn(gl.ones((2, 2))))
    2 x 2 dlarray float64
    [[4. 0.]
     [0. 0.]]

    Source: array API fft.fftn, MATLAB fftn and fft2.
    """
    return _complex_transform(x, "fftn", axes, s, norm, False)


@composite
def ifftn(x: Any, /, *, s: Sequence[int] | None = None, axes: Any = None, norm: str = "backward") -> Any:
    """The inverse of `fftn`.

    >>> import gradloom as gl
    >>> gl.real(gl.ifftn(gl.fftn(gl.ones((2, 2)))))
    2 x 2 dlarray float64
    [[1. 1.]
     [1. 1.]]

    Source: array API fft.ifftn, MATLAB ifftn and ifft2.
    """
    return _complex_transform(x, "ifftn", axes, s, norm, True)


@public(_rfft)
def rfft(x: Any, /, *, n: int | None = None, axis: Any = -1, norm: str = "backward") -> Any:
    """The first n // 2 + 1 entries of `fft` of real x, which determine the others.

    Raises TypeRefused for complex x.

    >>> import gradloom as gl
    >>> gl.abs(gl.rfft(gl.dlarray([1.0, 1.0, 1.0, 1.0])))
    3 dlarray float64
    [4. 0. 0.]

    Source: array API fft.rfft.
    """
    return _real_transform(x, "rfft", axis, _each(n, axis, x), norm)


@public(_irfft)
def irfft(x: Any, /, *, n: int | None = None, axis: Any = -1, norm: str = "backward") -> Any:
    """The inverse of `rfft`: n real numbers (2 (m - 1) for m entries unless given) from half of their spectrum.

    The imaginary parts of frequency 0 and, for even n, of the last do not count.

    >>> import gradloom as gl
    >>> gl.irfft(gl.dlarray([4.0, 0.0, 0.0]))
    4 dlarray float64
    [1. 1. 1. 1.]

    Source: array API fft.irfft, MATLAB ifft(..., "symmetric").
    """
    return _real_inverse(x, "irfft", axis, _each(n, axis, x), norm)


@composite
def rfftn(x: Any, /, *, s: Sequence[int] | None = None, axes: Any = None, norm: str = "backward") -> Any:
    """`rfft` along the last of several axes and `fft` along the others.

    >>> import gradloom as gl
    >>> gl.rfftn(gl.ones((2, 4))).shape
    (2, 3)

    Source: array API fft.rfftn.
    """
    return _real_transform(x, "rfftn", axes, s, norm)


@composite
def irfftn(x: Any, /, *, s: Sequence[int] | None = None, axes: Any = None, norm: str = "backward") -> Any:
    """The inverse of `rfftn`.

    >>> import gradloom as gl
    >>> gl.irfftn(gl.rfftn(gl.ones((2, 3))), s=(2, 3))
    2 x 3 dlarray float64
    [[1. 1. 1.]
     [1. 1. 1.]]

    Source: array API fft.irfftn.
    """
    return _real_inverse(x, "irfftn", axes, s, norm)


@composite
def hfft(x: Any, /, *, n: int | None = None, axis: Any = -1, norm: str = "backward") -> Any:
    """The real `fft` of a signal with conjugate symmetry, from its first half: n numbers, 2 (m - 1) for m entries
    unless given.

    >>> import gradloom as gl
    >>> gl.hfft(gl.dlarray([1.0, 0.0, 0.0]))
    4 dlarray float64
    [1. 1. 1. 1.]

    Source: array API fft.hfft.
    """
    x = array(x)
    return _real_inverse(conj(x) if x.dtype.is_complex else x, "hfft", axis, _each(n, axis, x),
                         OPPOSITE.get(norm, norm))


@composite
def ihfft(x: Any, /, *, n: int | None = None, axis: Any = -1, norm: str = "backward") -> Any:
    """The inverse of `hfft`: the first half of a signal with conjugate symmetry, from its real spectrum.

    >>> import gradloom as gl
    >>> gl.real(gl.ihfft(gl.dlarray([1.0, 1.0, 1.0, 1.0])))
    3 dlarray float64
    [1. 0. 0.]

    Source: array API fft.ihfft.
    """
    return conj(_real_transform(x, "ihfft", axis, _each(n, axis, x), OPPOSITE.get(norm, norm)))


__all__ = ["fft", "fftn", "hfft", "ifft", "ifftn", "ihfft", "irfft", "irfftn", "rfft", "rfftn"]
