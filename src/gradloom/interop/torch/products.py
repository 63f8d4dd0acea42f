"""What torch's products, linear algebra, Fourier transforms, creation and questions record."""
from __future__ import annotations

from typing import Any

import torch

from ...core.array import dlarray
from ...machine.questions import read
from ..numpy.mathematics import FUNCTIONS as NUMPY
from ..protocol import array, cast, gl, linalg
from .shapes import FUNCTIONS
from .table import of_torch, only

# ----- products -----

FUNCTIONS["einsum"] = lambda equation, *operands: gl.einsum(
    equation, *(operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands))


@of_torch
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """An axis of size 1 meets one of any size, in torch."""
    a, b = array(a), array(b)
    if isinstance(dims, torch.Tensor) and dims.ndim:
        dims = read(dims)
    pairs = (range(-int(dims), 0), range(int(dims))) if not isinstance(dims, (list, tuple)) else dims
    shapes = list(a.shape), list(b.shape)
    for i, j in zip(*pairs, strict=True):
        if 1 in (a.shape[i], b.shape[j]):
            shapes[0][i] = shapes[1][j] = max(a.shape[i], b.shape[j])
    a, b = (x if list(x.shape) == shape else gl.broadcast_to(x, tuple(shape))
            for x, shape in zip((a, b), shapes, strict=True))
    return gl.tensordot(a, b, axes=dims if isinstance(dims, (list, tuple)) else int(dims))


FUNCTIONS["outer"] = FUNCTIONS["ger"] = lambda input, vec2: gl.outer(input, vec2)
FUNCTIONS["inner"] = lambda input, other: NUMPY["inner"](input, other)
FUNCTIONS["kron"] = lambda input, other: NUMPY["kron"](input, other)
FUNCTIONS["cross"] = FUNCTIONS["linalg.cross"] = lambda input, other, dim=-1: NUMPY["cross"](input, other, axis=dim)
FUNCTIONS["diff"] = lambda input, n=1, dim=-1, prepend=None, append=None: NUMPY["diff"](input, n, dim, prepend, append)


@of_torch
def trapezoid(y: Any, x: Any = None, *, dx: Any = 1.0, dim: int = -1) -> Any:
    """Places of several axes broadcast with the samples."""
    if x is not None and x.ndim > 1:
        y, x = FUNCTIONS["broadcast_tensors"](y, x)
    return NUMPY["trapezoid"](y, x, dx, dim)


FUNCTIONS["trapz"] = trapezoid
FUNCTIONS["linalg.vecdot"] = lambda input, other, *, dim=-1: gl.vecdot(input, other, axis=dim)
FUNCTIONS["linalg.multi_dot"] = lambda tensors: NUMPY["linalg.multi_dot"](tensors)


# ----- linear algebra, Fourier transforms -----

FUNCTIONS["linalg.qr"] = lambda A, mode="reduced": linalg.qr(A, mode=mode)
FUNCTIONS["linalg.svd"] = lambda A, full_matrices=True, *, driver=None: linalg.svd(A, full_matrices=full_matrices)
FUNCTIONS["linalg.matrix_power"] = lambda A, n: linalg.matrix_power(A, n)
FUNCTIONS["linalg.vector_norm"] = lambda x, ord=2, dim=None, keepdim=False, *, dtype=None: NUMPY["linalg.vector_norm"](
    cast(x, dtype), axis=dim, keepdims=keepdim, ord=ord)
FUNCTIONS["linalg.matrix_norm"] = lambda A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None: NUMPY["linalg.norm"](
    cast(A, dtype), ord, dim, keepdim)
FUNCTIONS["linalg.norm"] = lambda A, ord=None, dim=None, keepdim=False, *, dtype=None: NUMPY["linalg.norm"](
    cast(A, dtype), ord, dim, keepdim)


def _norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None,
          dtype: Any = None) -> Any:
    x = cast(input, dtype)
    if p == "nuc":
        return FUNCTIONS["linalg.matrix_norm"](x, "nuc", (-2, -1) if dim is None else dim, keepdim)
    return NUMPY["linalg.vector_norm"](x, axis=dim, keepdims=keepdim, ord=2 if p in ("fro", None) else p)


FUNCTIONS["norm"] = _norm


def _transform(name: str) -> Any:
    return lambda input, n=None, dim=-1, norm=None: NUMPY[f"fft.{name}"](input, n, dim, norm)


def _transforms(name: str, axes: Any) -> Any:
    return lambda input, s=None, dim=axes, norm=None: NUMPY[f"fft.{name}"](input, s, dim, norm)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    FUNCTIONS[f"fft.{_name}"] = _transform(_name)
for _name in ("fftn", "ifftn", "rfftn", "irfftn"):
    FUNCTIONS[f"fft.{_name}"] = _transforms(_name, None)
    FUNCTIONS[f"fft.{_name[:-1]}2"] = _transforms(f"{_name[:-1]}2", (-2, -1))
for _name in ("fftshift", "ifftshift"):
    FUNCTIONS[f"fft.{_name}"] = lambda input, dim=None, _name=_name: NUMPY[f"fft.{_name}"](input, dim)


# ----- creation, questions -----


def _like(fill: float) -> Any:
    def call(input: Any, *, dtype: Any = None, device: Any = None, layout: Any = None, requires_grad: bool = False,
             memory_format: Any = None) -> Any:
        only(requires_grad=(requires_grad, False))
        return gl.full_like(input, fill, dtype=dtype, device=device)

    return call


for _name, _fill in {"zeros_like": 0, "ones_like": 1, "empty_like": 0}.items():
    FUNCTIONS[_name] = _like(_fill)
FUNCTIONS["full_like"] = lambda input, fill_value, *, dtype=None, device=None: gl.full_like(
    input, fill_value, dtype=dtype, device=device)
for _name in ("rand", "randn"):
    FUNCTIONS[f"{_name}_like"] = lambda input, *, dtype=None, device=None, _name=_name: getattr(gl, _name)(
        tuple(input.shape), like=input, dtype=dtype, device=device)
FUNCTIONS["clone"] = lambda input, *, memory_format=None: array(input).copy()
FUNCTIONS["is_floating_point"] = lambda input: input.dtype.is_floating_point
FUNCTIONS["is_complex"] = lambda input: input.dtype.is_complex
FUNCTIONS["numel"] = lambda input: input.size
FUNCTIONS["is_nonzero"] = lambda input: bool(input)
FUNCTIONS["equal"] = lambda input, other: NUMPY["array_equal"](input, other)
FUNCTIONS["allclose"] = lambda input, other, rtol=1e-5, atol=1e-8, equal_nan=False: NUMPY["allclose"](
    input, other, rtol, atol, equal_nan)
FUNCTIONS["isclose"] = lambda input, other, rtol=1e-5, atol=1e-8, equal_nan=False: NUMPY["isclose"](
    input, other, rtol, atol, equal_nan)
FUNCTIONS["result_type"] = lambda tensor1, tensor2: torch.result_type(
    *(x._value if type(x) is dlarray else x for x in (tensor1, tensor2)))
FUNCTIONS["complex"] = lambda real, imag: gl.complex(real, imag)
