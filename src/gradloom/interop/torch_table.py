"""What torch's functions of arrays record: adapters with torch's own arguments. `FUNCTIONS` is read by the protocol and by its tests."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ..core.array import dlarray
from .numpy_mathematics import FUNCTIONS as NUMPY
from .protocol import Unsupported, array, cast, gl, in_double, linalg

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def of_torch(function: Any) -> Any:
    """An adapter, under its own name."""
    FUNCTIONS[function.__name__.removesuffix("_")] = function
    return function


def only(**options: Any) -> None:
    """Options at any value but their default go to the operations that the function is made of."""
    for name, (value, default) in options.items():
        if value is not default and not (isinstance(value, (int, float, str, tuple)) and value == default):
            raise Unsupported(f"{name}={value!r:.30}")


# ----- element by element -----

_UNARY_SAME = """
abs acos acosh angle asin asinh atan atanh ceil conj cos cosh digamma erf erfc erfinv exp exp2 expm1 floor imag isfinite isinf isnan log
log10 log1p log2 logical_not negative positive real reciprocal rsqrt sigmoid sign signbit sin sinh sqrt square tan tanh trunc
"""
_UNARY = {
    **{name: name for name in _UNARY_SAME.split()},
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctanh": "atanh",
    "neg": "negative", "bitwise_not": "bitwise_invert", "fix": "trunc", "conj_physical": "conj", "sgn": "sign", "lgamma": "gammaln",
    "special.expit": "sigmoid", "special.erf": "erf", "special.erfc": "erfc", "special.erfinv": "erfinv", "special.exp2": "exp2",
    "special.expm1": "expm1", "special.log1p": "log1p", "special.gammaln": "gammaln", "special.digamma": "digamma", "special.psi": "digamma",
}
for _name, _public in _UNARY.items():
    FUNCTIONS[_name] = lambda input, _public=_public: getattr(gl, _public)(input)
FUNCTIONS["frac"] = lambda input: input - gl.trunc(input)
FUNCTIONS["deg2rad"] = lambda input: input * (math.pi / 180)
FUNCTIONS["rad2deg"] = lambda input: input * (180 / math.pi)
FUNCTIONS["round"] = lambda input, *, decimals=0: NUMPY["round"](input, decimals)
FUNCTIONS["sinc"] = FUNCTIONS["special.sinc"] = lambda input: NUMPY["sinc"](input)
FUNCTIONS["nan_to_num"] = lambda input, nan=None, posinf=None, neginf=None: NUMPY["nan_to_num"](input, True, nan or 0.0, posinf, neginf)

_BINARY_SAME = """
atan2 floor_divide hypot logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor maximum minimum not_equal copysign nextafter
fmod logaddexp xlogy multiply greater greater_equal less less_equal matmul
"""
_BINARY = {
    **{name: name for name in _BINARY_SAME.split()},
    "arctan2": "atan2", "special.xlogy": "xlogy", "eq": "equal", "ne": "not_equal", "gt": "greater", "ge": "greater_equal", "lt": "less",
    "le": "less_equal", "mul": "multiply", "true_divide": "divide", "remainder": "mod", "__and__": "bitwise_and", "__or__": "bitwise_or",
    "__xor__": "bitwise_xor", "__matmul__": "matmul", "__floordiv__": "floor_divide",
}
for _name, _public in _BINARY.items():
    FUNCTIONS[_name] = lambda input, other, _public=_public: getattr(gl, _public)(input, other)
FUNCTIONS["pow"] = lambda input, exponent: gl.power(input, exponent)
FUNCTIONS["float_power"] = lambda input, exponent: gl.power(in_double(input), in_double(exponent))
for _name in ("mm", "bmm"):
    FUNCTIONS[_name] = lambda input, mat2: gl.matmul(input, mat2)
FUNCTIONS["mv"] = lambda input, vec: gl.matmul(input, vec)
FUNCTIONS["dot"] = lambda input, tensor: gl.matmul(input, tensor)
FUNCTIONS["vdot"] = lambda input, other: gl.matmul(gl.conj(input), other)
FUNCTIONS["add"] = lambda input, other, *, alpha=1: gl.add(input, other if alpha == 1 else gl.multiply(other, alpha))
FUNCTIONS["sub"] = FUNCTIONS["subtract"] = lambda input, other, *, alpha=1: gl.subtract(input, other if alpha == 1 else gl.multiply(other, alpha))
FUNCTIONS["rsub"] = FUNCTIONS["__rsub__"] = lambda input, other, *, alpha=1: gl.subtract(other, input if alpha == 1 else input * alpha)
for _name, _public in {"__rpow__": "power", "__rdiv__": "divide", "__rtruediv__": "divide", "__rmul__": "multiply", "__radd__": "add",
                       "__rmod__": "mod", "__rmatmul__": "matmul", "__rfloordiv__": "floor_divide"}.items():
    FUNCTIONS[_name] = lambda input, other, _public=_public: getattr(gl, _public)(other, input)


@of_torch
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    y = gl.divide(input, other) if rounding_mode != "floor" else gl.floor_divide(input, other)
    return gl.trunc(y) if rounding_mode == "trunc" else y


FUNCTIONS["divide"] = div
FUNCTIONS["lerp"] = lambda input, end, weight: gl.add(input, gl.multiply(weight, gl.subtract(end, input)))
FUNCTIONS["addcmul"] = lambda input, tensor1, tensor2, *, value=1: gl.add(input, gl.multiply(tensor1, tensor2) * value)
FUNCTIONS["addcdiv"] = lambda input, tensor1, tensor2, *, value=1: gl.add(input, gl.divide(tensor1, tensor2) * value)
for _name in ("addmm", "addmv", "baddbmm"):
    FUNCTIONS[_name] = lambda input, a, b, *, beta=1, alpha=1: gl.add(gl.multiply(input, beta), gl.matmul(a, b) * alpha)


@of_torch
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    return gl.clip(input, min, max)


FUNCTIONS["clip"] = clamp
FUNCTIONS["clamp_min"] = lambda input, min: gl.clip(input, min, None)
FUNCTIONS["clamp_max"] = lambda input, max: gl.clip(input, None, max)
FUNCTIONS["where"] = lambda condition, input=None, other=None: (
    gl.nonzero(condition) if input is None and other is None else gl.where(condition, input, other))
FUNCTIONS["masked_fill"] = lambda input, mask, value: gl.where(mask, value, input)

# ----- reductions -----


def _reduction(name: str, public: str, word: str = "dim") -> None:
    def call(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        return getattr(gl, public)(cast(input, dtype), axis=dim if dim != () else None, keepdims=keepdim)

    FUNCTIONS[name] = call


for _name, _public in {"sum": "sum", "mean": "mean", "any": "any", "all": "all", "argmax": "argmax", "argmin": "argmin", "amax": "max",
                       "amin": "min", "logsumexp": "logsumexp", "prod": "prod", "special.logsumexp": "logsumexp"}.items():
    _reduction(_name, _public)


def _moment(name: str) -> None:
    def call(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        correction = (1 if unbiased else 0) if unbiased is not None else 1 if correction is None else correction
        return getattr(gl, name)(input, axis=dim, correction=correction, keepdims=keepdim)

    FUNCTIONS[name] = call
    FUNCTIONS[f"{name}_mean"] = lambda input, dim=None, unbiased=None, keepdim=False, *, correction=1: (
        call(input, dim, unbiased, keepdim, correction=correction),
        gl.mean(input, axis=None if isinstance(dim, bool) else dim, keepdims=keepdim))


_moment("var")
_moment("std")


def _extreme(name: str, other_name: str) -> None:
    result = getattr(torch.return_types, name)

    def call(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        if dim is None and other is None:
            return getattr(gl, name)(input)
        if other is not None or not isinstance(dim, int):
            return getattr(gl, other_name)(input, dim if other is None else other)
        return result((getattr(gl, name)(input, axis=dim, keepdims=keepdim), getattr(gl, f"arg{name}")(input, axis=dim, keepdims=keepdim)))

    FUNCTIONS[name] = call


_extreme("max", "maximum")
_extreme("min", "minimum")


@of_torch
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    places = gl.argsort(input, axis=dim, descending=descending)
    return torch.return_types.sort((gl.sort(input, axis=dim, descending=descending), places))


FUNCTIONS["argsort"] = lambda input, dim=-1, descending=False, stable=False: gl.argsort(input, axis=dim, descending=descending)
FUNCTIONS["cumsum"] = lambda input, dim, *, dtype=None: gl.cumsum(cast(input, dtype), axis=dim)
FUNCTIONS["cumprod"] = lambda input, dim, *, dtype=None: gl.cumprod(cast(input, dtype), axis=dim)
FUNCTIONS["count_nonzero"] = lambda input, dim=None: gl.count_nonzero(input, axis=dim)


# ----- shapes -----

FUNCTIONS["reshape"] = lambda input, shape: gl.reshape(input, shape)
FUNCTIONS["ravel"] = lambda input: gl.reshape(input, (-1,))
FUNCTIONS["permute"] = lambda input, dims: gl.permute_dims(input, dims)
FUNCTIONS["movedim"] = FUNCTIONS["moveaxis"] = lambda input, source, destination: gl.moveaxis(input, source, destination)
FUNCTIONS["unsqueeze"] = lambda input, dim: gl.expand_dims(input, axis=dim)
FUNCTIONS["squeeze"] = lambda input, dim=None: NUMPY["squeeze"](input, dim if dim is None else tuple(
    k for k in ((dim,) if isinstance(dim, int) else dim) if input.shape[k] == 1)) if dim != () else input
FUNCTIONS["t"] = lambda input: gl.matrix_transpose(input) if input.ndim == 2 else input
FUNCTIONS["adjoint"] = lambda input: gl.conj(gl.matrix_transpose(input))
FUNCTIONS["broadcast_to"] = lambda input, size: gl.broadcast_to(input, size)
FUNCTIONS["broadcast_tensors"] = lambda *tensors: NUMPY["broadcast_arrays"](*(tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors))
FUNCTIONS["flip"] = lambda input, dims: gl.flip(input, axis=dims)
FUNCTIONS["fliplr"], FUNCTIONS["flipud"] = NUMPY["fliplr"], NUMPY["flipud"]
FUNCTIONS["roll"] = lambda input, shifts, dims=None: gl.roll(input, shifts, axis=dims if dims != () else None)
FUNCTIONS["rot90"] = lambda input, k=1, dims=(0, 1): NUMPY["rot90"](input, k, dims)
FUNCTIONS["tile"] = lambda input, dims: gl.tile(input, dims)
FUNCTIONS["diagonal"] = lambda input, offset=0, dim1=0, dim2=1: NUMPY["diagonal"](input, offset, dim1, dim2)
FUNCTIONS["diag"] = lambda input, diagonal=0: NUMPY["diag"](input, diagonal)
FUNCTIONS["trace"] = lambda input: NUMPY["trace"](input)
FUNCTIONS["tril"] = lambda input, diagonal=0: NUMPY["tril"](input, diagonal)
FUNCTIONS["triu"] = lambda input, diagonal=0: NUMPY["triu"](input, diagonal)
FUNCTIONS["narrow"] = lambda input, dim, start, length: _sliced(input, dim, start, start + length)
FUNCTIONS["select"] = lambda input, dim, index: input[(*(slice(None),) * (dim % input.ndim), index)]
FUNCTIONS["unbind"] = lambda input, dim=0: tuple(gl.moveaxis(input, dim, 0))
FUNCTIONS["index_select"] = lambda input, dim, index: gl.take(input, index, axis=dim)
FUNCTIONS["gather"] = lambda input, dim, index, *, sparse_grad=False: gl.take_along_axis(input, index, axis=dim)
FUNCTIONS["take_along_dim"] = lambda input, indices, dim: gl.take_along_axis(input, indices, axis=dim)
FUNCTIONS["__getitem__"] = lambda input, index: array(input)[index]
FUNCTIONS["repeat_interleave"] = lambda input, repeats, dim=None, *, output_size=None: gl.repeat(input, repeats, axis=dim)


def _sliced(x: Any, dim: int, start: int, stop: int) -> Any:
    return x[(*(slice(None),) * (dim % x.ndim), slice(start, stop))]


@of_torch
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    return NUMPY["swapaxes"](input, dim0, dim1)


FUNCTIONS["swapaxes"] = lambda input, axis0, axis1: transpose(input, axis0, axis1)
FUNCTIONS["swapdims"] = transpose


@of_torch
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    n = input.ndim
    first, last = start_dim % n if n else 0, end_dim % n if n else 0
    return gl.reshape(input, (*input.shape[:first], math.prod(input.shape[first:last + 1]), *input.shape[last + 1:]))


@of_torch
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    dim = dim % input.ndim
    return gl.reshape(input, (*input.shape[:dim], *sizes, *input.shape[dim + 1:]))


FUNCTIONS["cat"] = FUNCTIONS["concat"] = FUNCTIONS["concatenate"] = lambda tensors, dim=0: gl.concat(list(tensors), axis=dim)
FUNCTIONS["stack"] = lambda tensors, dim=0: gl.stack(list(tensors), axis=dim)
for _name in ("vstack", "hstack", "dstack", "column_stack"):
    FUNCTIONS[_name] = lambda tensors, _name=_name: NUMPY[_name](list(tensors))
FUNCTIONS["row_stack"] = FUNCTIONS["vstack"]
for _name in ("atleast_1d", "atleast_2d"):
    FUNCTIONS[_name] = lambda *tensors, _name=_name: NUMPY[_name](*tensors)
FUNCTIONS["meshgrid"] = lambda *tensors, indexing="ij": NUMPY["meshgrid"](
    *(tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors), indexing=indexing)


@of_torch
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    n = tensor.shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        ends = [*range(size, n, size), n]
    else:
        ends = [sum(split_size_or_sections[:k + 1]) for k in range(len(split_size_or_sections))]
    return tuple(_sliced(tensor, dim, i, j) for i, j in zip([0, *ends[:-1]], ends, strict=True))


FUNCTIONS["chunk"] = lambda input, chunks, dim=0: split(input, max(-(-input.shape[dim] // chunks), 1), dim)
FUNCTIONS["tensor_split"] = lambda input, indices_or_sections, dim=0: tuple(NUMPY["array_split"](input, indices_or_sections, dim))


# ----- products -----

FUNCTIONS["einsum"] = lambda equation, *operands: gl.einsum(
    equation, *(operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands))
FUNCTIONS["tensordot"] = lambda a, b, dims=2: gl.tensordot(a, b, axes=dims)
FUNCTIONS["outer"] = FUNCTIONS["ger"] = lambda input, vec2: gl.outer(input, vec2)
FUNCTIONS["inner"] = lambda input, other: NUMPY["inner"](input, other)
FUNCTIONS["kron"] = lambda input, other: NUMPY["kron"](input, other)
FUNCTIONS["cross"] = FUNCTIONS["linalg.cross"] = lambda input, other, dim=-1: NUMPY["cross"](input, other, axis=dim)
FUNCTIONS["diff"] = lambda input, n=1, dim=-1, prepend=None, append=None: NUMPY["diff"](input, n, dim, prepend, append)
FUNCTIONS["trapezoid"] = FUNCTIONS["trapz"] = lambda y, x=None, *, dx=1.0, dim=-1: NUMPY["trapezoid"](y, x, dx, dim)
FUNCTIONS["linalg.matmul"] = lambda input, other: gl.matmul(input, other)
FUNCTIONS["linalg.vecdot"] = lambda input, other, *, dim=-1: gl.vecdot(input, other, axis=dim)
FUNCTIONS["linalg.multi_dot"] = lambda tensors: NUMPY["linalg.multi_dot"](tensors)


# ----- linear algebra, Fourier transforms -----

for _name in ("inv", "det", "slogdet", "svdvals"):
    FUNCTIONS[f"linalg.{_name}"] = lambda A, _name=_name: getattr(linalg, _name)(A)
FUNCTIONS["linalg.qr"] = lambda A, mode="reduced": linalg.qr(A, mode=mode)
FUNCTIONS["linalg.svd"] = lambda A, full_matrices=True, *, driver=None: linalg.svd(A, full_matrices=full_matrices)
FUNCTIONS["linalg.matrix_power"] = lambda A, n: linalg.matrix_power(A, n)
FUNCTIONS["linalg.vector_norm"] = lambda x, ord=2, dim=None, keepdim=False, *, dtype=None: NUMPY["linalg.vector_norm"](
    cast(x, dtype), axis=dim, keepdims=keepdim, ord=ord)
FUNCTIONS["linalg.matrix_norm"] = lambda A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None: NUMPY["linalg.norm"](
    cast(A, dtype), ord, dim, keepdim)
FUNCTIONS["linalg.norm"] = lambda A, ord=None, dim=None, keepdim=False, *, dtype=None: NUMPY["linalg.norm"](cast(A, dtype), ord, dim, keepdim)
FUNCTIONS["norm"] = lambda input, p="fro", dim=None, keepdim=False, out=None, dtype=None: NUMPY["linalg.vector_norm"](
    cast(input, dtype), axis=dim, keepdims=keepdim, ord=2 if p in ("fro", None) else p)
for _name in ("inverse", "det", "slogdet"):
    FUNCTIONS[_name] = FUNCTIONS[f"linalg.{'inv' if _name == 'inverse' else _name}"]


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
FUNCTIONS["full_like"] = lambda input, fill_value, *, dtype=None, device=None: gl.full_like(input, fill_value, dtype=dtype, device=device)
for _name in ("rand", "randn"):
    FUNCTIONS[f"{_name}_like"] = lambda input, *, dtype=None, device=None, _name=_name: getattr(gl, _name)(
        tuple(input.shape), like=input, dtype=dtype, device=device)
FUNCTIONS["clone"] = lambda input, *, memory_format=None: array(input).copy()
FUNCTIONS["is_floating_point"] = lambda input: input.dtype.is_floating_point
FUNCTIONS["is_complex"] = lambda input: input.dtype.is_complex
FUNCTIONS["numel"] = lambda input: input.size
FUNCTIONS["is_nonzero"] = lambda input: bool(input)
FUNCTIONS["equal"] = lambda input, other: NUMPY["array_equal"](input, other)
FUNCTIONS["allclose"] = lambda input, other, rtol=1e-5, atol=1e-8, equal_nan=False: NUMPY["allclose"](input, other, rtol, atol, equal_nan)
FUNCTIONS["isclose"] = lambda input, other, rtol=1e-5, atol=1e-8, equal_nan=False: NUMPY["isclose"](input, other, rtol, atol, equal_nan)
FUNCTIONS["result_type"] = lambda tensor1, tensor2: torch.result_type(*(x._value if type(x) is dlarray else x for x in (tensor1, tensor2)))
FUNCTIONS["complex"] = lambda real, imag: gl.complex(real, imag)
