"""Matrix products, by the faster of the libraries that torch has."""
from __future__ import annotations

import torch

from .dtypes import Tensor


def _slow_library() -> bool:
    """On AMD's processors with AVX-512, torch's matrix product (MKL) uses half of the width and oneDNN, which torch has
    too, all of it."""
    if (torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available()
        or not hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    try:
        with open("/proc/cpuinfo") as info:
            return any("AuthenticAMD" in line for line in info if line.startswith("vendor_id"))
    except OSError:
        return False


_WIDER = _slow_library()
_WORTHWHILE = 1 << 24  # products of numbers; below, the call costs more than it saves


def _dense(matrix: Tensor) -> bool:
    """Without gaps or repetitions in memory: of a slice of a wider matrix oneDNN takes 500 times as long."""
    return matrix.is_contiguous() or matrix.mT.is_contiguous()


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """torch.matmul, by the faster of the libraries that torch has."""
    if a.ndim > 1 and b.ndim > 1 and a.shape[-1] == 1 == b.shape[-2] and a.dtype is b.dtype:
        return a * b  # an outer product
    if a.ndim > 2 and b.ndim > 1 and b.shape[-1] == 1 and a.stride(-2) == 1 < a.stride(-1):
        return torch.matmul(b.mT, a.mT).mT  # transposed matrices times a column: read in order, 8 times as fast
    if (a.ndim == b.ndim == 2 and 4 * b.shape[1] <= a.shape[0] and a.stride(0) == 1 == b.stride(1)
        and a.stride(1) > 1):
        # the wide one of two tall matrices, transposed, times the narrow one: as fast or faster the other way round, up
        # to 10 times
        return torch.matmul(b.mT, a.mT).mT
    if a.ndim == 2 and b.ndim > 2 and b.shape[-1] == 1:
        return matrix_product(b.mT, a.mT).mT  # many columns by one matrix: one product, not one for each
    if (_WIDER and a.dtype is torch.float32 and b.dtype is torch.float32 and b.ndim == 2 and a.ndim > 1
        and a.is_cpu and b.is_cpu):
        n = b.shape[1]
        if (n >= 8 and a.shape[-1] > 1 and a.numel() * n >= _WORTHWHILE and a.shape[-1] == b.shape[0] and _dense(b)
            and (a.ndim > 2 or a.stride(1) == 1)):  # of a transposed one oneDNN makes a copy, which is slow to write
            return torch.ops.mkldnn._linear_pointwise(a, b.mT, None, "none", [], "")  # type: ignore[no-any-return]
    return torch.matmul(a, b)


def affine_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x weight' + bias along the last axis of x, by the faster of the libraries that torch has."""
    if (_WIDER and x.dtype is torch.float32 and x.is_cpu and weight.is_cpu and weight.dtype is torch.float32
        and (bias is None or bias.dtype is torch.float32)):
        n = weight.shape[0]
        if (n >= 8 and x.shape[-1] > 1 and x.numel() * n >= _WORTHWHILE and x.shape[-1] == weight.shape[1]
            and _dense(weight)):
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]
    return torch._C._nn.linear(x, weight, bias)
