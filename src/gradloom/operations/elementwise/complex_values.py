"""Complex values where torch's kernels differ from C99's Annex G, which the array API follows: at infinities, NaN and
signed zeros. Of real numbers they are torch's."""
from __future__ import annotations

import math

import torch

from ...machine.dtypes import Tensor


def expm1_kernel(z: Tensor) -> Tensor:
    """e ** x cos(y) - 1 = expm1(x) cos(y) - 2 sin(y / 2) ** 2, which keeps its digits near 0, and e ** x sin(y)."""
    if not z.is_complex():
        return torch.expm1(z)
    x, y = z.real, z.imag
    real = torch.expm1(x) * torch.cos(y) - 2 * torch.sin(y / 2) ** 2
    imaginary = torch.exp(x) * torch.sin(y)
    nowhere = torch.isinf(x) & ~torch.isfinite(y)  # infinitely far in no direction
    real = torch.where(nowhere, torch.where(x > 0, math.inf, -1.0).to(x.dtype), real)
    imaginary = torch.where(nowhere & (x < 0) | (y == 0), torch.copysign(torch.zeros_like(y), y), imaginary)
    return torch.complex(real, imaginary)


def log1p_kernel(z: Tensor) -> Tensor:
    """The modulus of what is infinite in one part is infinite, whatever the other."""
    y = torch.log1p(z)
    if not z.is_complex():
        return y
    return torch.complex(torch.where(torch.isinf(z.real) | torch.isinf(z.imag), math.inf, y.real), y.imag)


def tanh_kernel(z: Tensor) -> Tensor:
    """Infinitely far, where the standard has a zero with the sign of z's imaginary part."""
    y = torch.tanh(z)
    if not z.is_complex():
        return y
    far = torch.isinf(z.real) & torch.isfinite(z.imag)
    return torch.complex(y.real, torch.where(far, torch.copysign(torch.zeros_like(z.imag), z.imag), y.imag))


def acos_kernel(z: Tensor) -> Tensor:
    """Its imaginary part has the sign that z's has not: one side of the cut continues each half of the plane."""
    y = torch.acos(z)
    return torch.complex(y.real, torch.copysign(y.imag, -z.imag)) if z.is_complex() else y
