"""Types of elements: what they are, what they hold, what arrays of several are computed in."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ...core.array import dlarray
from ...core.declare import composite
from ...core.errors import TypeRefused, line_of, user_site
from ...core.options import dtype_asked
from ...machine.dtypes import (
    NAMES,
    NUMBER_DTYPES,
    NUMBER_TYPES,
    Tensor,
    computed_in,
    differentiable,
    promoted,
)

_KINDS = {
    "bool": {"bool"}, "signed integer": {"int8", "int16", "int32", "int64"},
    "unsigned integer": {"uint8", "uint16", "uint32", "uint64"},
    "real floating": {"float16", "bfloat16", "float32", "float64"}, "complex floating": {"complex64", "complex128"},
}
_KINDS["integral"] = _KINDS["signed integer"] | _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] | _KINDS["real floating"] | _KINDS["complex floating"]


def _dtype_of(x: Any) -> torch.dtype:
    if hasattr(x, "dtype") and not isinstance(x, type):
        return x.dtype if isinstance(x.dtype, torch.dtype) else dtype_asked(x.dtype)
    return dtype_asked(x)


@composite
def result_type(*arrays_and_dtypes: Any) -> torch.dtype:
    """The type that arrays, types and numbers are computed in together.

    Arrays and types promote by torch's table; arrays without axes and Python numbers promote only to another kind
    (bool, integer, floating, complex), and floating beside integers is float64.

    >>> import gradloom as gl
    >>> gl.result_type("float32", "float64"), gl.result_type(gl.ones(2, dtype="float32"), 2.5)
    (torch.float64, torch.float32)

    Source: array API result_type.
    """
    if not arrays_and_dtypes:
        raise TypeRefused(f"result_type of nothing, at {line_of(user_site())}; give arrays, types or numbers")
    ranked: list[list[torch.dtype]] = [[], [], []]
    for x in arrays_and_dtypes:
        if type(x) in NUMBER_TYPES:
            ranked[2].append(NUMBER_DTYPES[type(x)])
        else:
            ranked[1 if isinstance(x, (dlarray, Tensor)) and not x.ndim else 0].append(_dtype_of(x))
    return computed_in(*ranked)


@composite
def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether an array or type can become another type by promotion, without loss.

    >>> import gradloom as gl
    >>> gl.can_cast("float32", "float64"), gl.can_cast("float64", "int64")
    (True, False)

    Source: array API can_cast.
    """
    return promoted(_dtype_of(from_), dtype_asked(to)) == dtype_asked(to)


@composite
def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a type is of a kind, or of one of several: a type or one of "bool", "signed integer", "unsigned integer",
    "integral", "real floating", "complex floating", "numeric".

    >>> import gradloom as gl
    >>> gl.isdtype("float32", ("integral", "real floating"))
    True

    Source: array API isdtype.
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return str(dtype_asked(dtype))[6:] in _KINDS[kind]
    if isinstance(kind, str) and kind not in NAMES.values():
        raise TypeRefused(f"no kind {kind!r}, at {line_of(user_site())}; it is a type or one of {', '.join(_KINDS)}")
    return dtype_asked(dtype) == dtype_asked(kind)


class FloatingLimits(NamedTuple):
    """What numbers of a floating type are; `dtype` is the type of the real numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: torch.dtype
    resolution: float

    @property
    def tiny(self) -> float:
        """NumPy's word for smallest_normal."""
        return self.smallest_normal


class IntegerLimits(NamedTuple):
    """What numbers of an integer type are."""

    bits: int
    max: int
    min: int
    dtype: torch.dtype


@composite
def finfo(type: Any, /) -> FloatingLimits:
    """The limits of a floating type, or that of an array: bits, eps, max, min, smallest_normal; of complex types, those
    of their parts.

    >>> import gradloom as gl
    >>> gl.finfo("float32").eps
    1.1920928955078125e-07

    Source: array API finfo, MATLAB eps.
    """
    dtype = _dtype_of(type)
    if not differentiable(dtype):
        raise TypeRefused(
            f"finfo is of floating types, not {NAMES.get(dtype, dtype)}, at {line_of(user_site())}; write iinfo")
    its = torch.finfo(dtype)
    return FloatingLimits(its.bits, its.eps, its.max, its.min, its.smallest_normal, dtype.to_real(), its.resolution)


@composite
def iinfo(type: Any, /) -> IntegerLimits:
    """The limits of an integer type, or that of an array: bits, max, min.

    >>> import gradloom as gl
    >>> gl.iinfo("int8").max
    127

    Source: array API iinfo.
    """
    dtype = _dtype_of(type)
    if differentiable(dtype) or dtype is torch.bool:
        raise TypeRefused(
            f"iinfo is of integer types, not {NAMES.get(dtype, dtype)}, at {line_of(user_site())}; write finfo")
    its = torch.iinfo(dtype)
    return IntegerLimits(its.bits, its.max, its.min, dtype)


__all__ = ["can_cast", "finfo", "iinfo", "isdtype", "result_type"]
