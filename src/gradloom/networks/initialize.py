"""Initial values of parameters. Random ones come from this library's generators, so that `rng(seed)` repeats them."""
from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import ShapeError, ValueRefused, line_of, user_site
from ..core.options import dtype_asked
from ..machine.random import generator
from ..vocabulary.misspelled import nearest

Initializer = str | Callable[[tuple[int, ...]], Any]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input has, for weights (outputs, inputs, *spatial)."""
    if len(shape) < 2:
        raise ShapeError(
            f"weights are (outputs, inputs, *spatial), not {tuple(shape)}; initialise vectors with zeros or ones")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def glorot(shape: Sequence[int], *, dtype: Any = "float32", device: Any = "cpu") -> dlarray:
    """Uniform in [-b, b], b = sqrt(6 / (inputs + outputs)): the variance stays the same forwards and backwards.

    `shape` is (outputs, inputs, *spatial).

    >>> from gradloom.networks.initialize import glorot
    >>> glorot((4, 3)).shape
    (4, 3)

    Source: Glorot and Bengio 2010.
    """
    bound = math.sqrt(6 / max(sum(fans(shape)), 1))
    value = torch.rand(tuple(shape), generator=generator(device), dtype=dtype_asked(dtype), device=device)
    return dlarray._made(value.mul_(2 * bound).sub_(bound), None)


def he(shape: Sequence[int], *, dtype: Any = "float32", device: Any = "cpu") -> dlarray:
    """Normal with variance 2 / inputs: for layers that a relu follows. `shape` is (outputs, inputs, *spatial).

    >>> from gradloom.networks.initialize import he
    >>> he((4, 3)).shape
    (4, 3)

    Source: He, Zhang, Ren, Sun 2015.
    """
    spread = math.sqrt(2 / max(fans(shape)[0], 1))
    value = torch.randn(tuple(shape), generator=generator(device), dtype=dtype_asked(dtype), device=device)
    return dlarray._made(value.mul_(spread), None)


def orthogonal(shape: Sequence[int], *, dtype: Any = "float32", device: Any = "cpu") -> dlarray:
    """Each square block of rows an orthogonal matrix, each drawn by itself: powers of it neither grow nor shrink.

    `shape` is (k n, n), the recurrent weights of k gates; other shapes are one block, with orthonormal rows or columns.

    >>> from gradloom.networks.initialize import orthogonal
    >>> orthogonal((8, 2)).shape
    (8, 2)

    Source: Saxe, McClelland, Ganguli 2014; Mezzadri 2007.
    """
    fans(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    count = rows // columns if columns and rows % columns == 0 else 1
    drawn = torch.randn((count, max(rows // count, columns), min(rows // count, columns)), dtype=torch.float64,
                        generator=generator(device), device=device)
    q, r = torch.linalg.qr(drawn)
    q = q * torch.diagonal(r, dim1=-2, dim2=-1).sign().unsqueeze(-2)  # without it q is not uniform
    q = q if rows // count >= columns else q.mT
    return dlarray._made(q.reshape(tuple(shape)).to(dtype_asked(dtype)), None)


def normal(shape: Sequence[int], *, dtype: Any = "float32", device: Any = "cpu") -> dlarray:
    """Normal with standard deviation 0.01, whatever the shape: for tables of vectors, which nothing is multiplied by.

    >>> from gradloom.networks.initialize import normal
    >>> normal((4, 3)).shape
    (4, 3)

    Source: MATLAB "narrow-normal".
    """
    value = torch.randn(tuple(shape), generator=generator(device), dtype=dtype_asked(dtype), device=device)
    return dlarray._made(value.mul_(0.01), None)


class _Thread(threading.local):
    without_values = False


_thread = _Thread()


@contextmanager
def without_values() -> Iterator[None]:
    """What layers initialise has shapes alone here: nothing is drawn, and no memory taken."""
    before, _thread.without_values = _thread.without_values, True
    try:
        yield
    finally:
        _thread.without_values = before


def zeros(shape: Sequence[int], *, dtype: Any = "float32", device: Any = "cpu") -> dlarray:
    """Zeros, float32 as the parameters of a network are."""
    device = "meta" if _thread.without_values else device
    return dlarray._made(torch.zeros(tuple(shape), dtype=dtype_asked(dtype), device=device), None)


def ones(shape: Sequence[int], *, dtype: Any = "float32", device: Any = "cpu") -> dlarray:
    """Ones, float32 as the parameters of a network are."""
    device = "meta" if _thread.without_values else device
    return dlarray._made(torch.ones(tuple(shape), dtype=dtype_asked(dtype), device=device), None)


INITIALIZERS: dict[str, Callable[[tuple[int, ...]], dlarray]] = {
    "glorot": glorot, "he": he, "narrow-normal": normal, "orthogonal": orthogonal, "zeros": zeros, "ones": ones}


def initial(initializer: Initializer, shape: Sequence[int]) -> Any:
    """Values of a shape from an initializer: its name, or a function of the shape."""
    if isinstance(initializer, str):
        if initializer not in INITIALIZERS:
            raise ValueRefused(
                f"no initializer {initializer!r}{nearest(initializer, INITIALIZERS)}, at {line_of(user_site())}; write "
                f"one of {', '.join(INITIALIZERS)}, or a function of the shape")
        return zeros(shape) if _thread.without_values else INITIALIZERS[initializer](tuple(shape))
    if _thread.without_values:
        return zeros(shape)
    value = initializer(tuple(shape))
    its = tuple(getattr(value, "shape", ()))
    if its != tuple(shape):
        raise ShapeError(
            f"an initializer returned shape {its} for {tuple(shape)}; return an array of the shape that it is given")
    return value


__all__ = ["glorot", "he", "initial", "normal", "ones", "orthogonal", "without_values", "zeros"]
