"""Types of elements: their names, which can be differentiated, what arrays of several are computed in."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Tensor = torch.Tensor
NUMBERS = (bool, int, float, complex)
NUMBER_TYPES = frozenset(NUMBERS)
NUMBER_DTYPES = {bool: torch.bool, int: torch.int64, float: torch.float64, complex: torch.complex128}
DTYPES = {
    "bool": torch.bool, "uint8": torch.uint8, "int8": torch.int8, "int16": torch.int16, "int32": torch.int32,
    "int64": torch.int64,
    "float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64,
    "complex64": torch.complex64, "complex128": torch.complex128,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
REAL_OF = {torch.complex64: torch.float32, torch.complex128: torch.float64}
HALF = (torch.float16, torch.bfloat16)  # of which there are no complex numbers, and whose sums overflow early
COMPLEX_OF = {torch.float16: torch.complex64, torch.bfloat16: torch.complex64, torch.float32: torch.complex64,
              torch.float64: torch.complex128}


def dtype_named(dtype: Any) -> torch.dtype:
    """A torch dtype from a torch dtype, a NumPy dtype, a Python type or a name."""
    if isinstance(dtype, torch.dtype):
        if dtype not in NAMES:
            raise TypeError(f"there are no arrays of {str(dtype)[6:]}; write one of {', '.join(DTYPES)}")
        return dtype
    if isinstance(dtype, type) and dtype in NUMBER_DTYPES:
        return NUMBER_DTYPES[dtype]
    name = dtype if isinstance(dtype, str) and dtype in DTYPES else None
    if name is None:
        name = ({"single": "float32", "double": "float64", "half": "float16", "logical": "bool"}.get(dtype)
                if isinstance(dtype, str) else None)
    if name is None:
        try:
            name = np.dtype(dtype).name
        except (TypeError, ValueError):
            name = str(dtype)
    if name not in DTYPES:
        raise TypeError(f"no dtype {dtype!r:.60}; write one of {', '.join(DTYPES)}")
    return DTYPES[name]


def differentiable(dtype: torch.dtype) -> bool:
    """Whether arrays of this type can carry a derivative."""
    return dtype.is_floating_point or dtype.is_complex


def promoted(*dtypes: torch.dtype) -> torch.dtype:
    """The type that arrays of these types are computed in: torch's table."""
    result = dtypes[0]
    for dtype in dtypes[1:]:
        if dtype is not result:
            result = torch.promote_types(result, dtype)
    return result


def kind_of(dtype: torch.dtype) -> int:
    """The kind, in order: bools, integers, floating and complex numbers."""
    return 3 if dtype.is_complex else 2 if dtype.is_floating_point else 0 if dtype is torch.bool else 1


def computed_in(*groups: Sequence[torch.dtype]) -> torch.dtype:
    """The type that operands are computed in together: types of arrays, of arrays without axes, of Python numbers.

    Each group promotes by torch's table; a later one moves the result to another kind only: floating and complex
    numbers beside integers to double precision.
    """
    result: torch.dtype | None = None
    for dtype in [promoted(*group) for group in groups if group]:
        if result is None:
            result = dtype
        elif kind_of(dtype) > kind_of(result):
            if differentiable(result):
                result = promoted(result, torch.complex64)
            else:
                result = torch.complex128 if dtype.is_complex else torch.float64 if dtype.is_floating_point else dtype
    assert result is not None
    return result


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to (torch's own function takes 60 us)."""
    rank = max(map(len, shapes))
    result = [1] * rank
    for shape in shapes:
        for k, n in enumerate(shape, start=rank - len(shape)):
            if n != 1 and result[k] != n:
                if result[k] != 1:
                    raise ValueError(f"shapes {', '.join(str(tuple(s)) for s in shapes)} do not broadcast")
                result[k] = n
    return tuple(result)


def entry_type(dtype: torch.dtype) -> torch.dtype:
    """The type of a sparse matrix's entries: SciPy has none in half precision."""
    return torch.float32 if dtype in HALF else dtype
