"""Creation: arrays of zeros, ones, ranges. Shape first; `like=` gives the type and the device. All are constants."""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

from ...core.array import dlarray, labels_of
from ...core.declare import composite
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.options import dtype_asked
from ...machine.conversion import device_named
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.memory import out_of_memory
from ...machine.questions import read
from ..elementwise.arithmetic import astype
from ..movement.axes import array, broadcast_to


def sizes_of(shape: Any, word: str) -> tuple[int, ...]:
    """A shape, from one integer or a sequence of them."""
    try:
        sizes = tuple(operator.index(n) for n in shape) if hasattr(shape, "__len__") else (operator.index(shape),)
    except TypeError:
        raise ShapeError(
            f"{word} takes the shape as an integer or a tuple of them, not {shape!r:.60}, at {line_of(user_site())}; "
            f"write {word}((2, 3))") from None
    if any(n < 0 for n in sizes):
        raise ShapeError(f"{word} of shape {sizes}: sizes are not negative, at {line_of(user_site())}")
    return sizes


def allocated(word: str, shape: Any, make: Callable[[], Tensor]) -> Tensor:
    """What `make` makes; where there is no memory for it, an error that says how much it takes."""
    try:
        return make()
    except (RuntimeError, MemoryError) as error:
        wanted = out_of_memory(error)
        if wanted is None:
            raise
        shape = tuple(shape) if isinstance(shape, torch.Size) else shape
        raise ShapeError(
            f"{word} of {shape} takes {wanted} of memory, which is not there, at {line_of(user_site())}; write a "
            "smaller shape or dtype, or work in parts") from None


def type_and_device(like: Any, dtype: Any, device: Any) -> dict[str, Any]:
    """What a new array is made of: its own dtype and device where given, else those of `like`, else float64 on the
    CPU."""
    if device is not None:
        try:
            device = device_named(device)
        except (RuntimeError, TypeError) as error:
            raise TypeRefused(f"no device {device!r:.40}, at {line_of(user_site())}: {error}") from None
    if like is not None:
        like = array(like)
        dtype = like.dtype if dtype is None else dtype
        device = like.device if device is None else device
    return {"dtype": torch.float64 if dtype is None else dtype_asked(dtype), "device": torch.device("cpu")
            if device is None else device}


def constant(value: Tensor, labels: Any, like: Any, word: str) -> Any:
    """A new array as a constant: a tensor where `like` is one, else a dlarray."""
    if labels is not None and not isinstance(labels, str):
        raise TypeRefused(
            f"{word} takes the shape as one tuple and then labels, not {labels!r:.60}, at {line_of(user_site())}; "
            f"write {word}((2, 3), \"CB\")")
    if isinstance(like, Tensor) and labels is None:
        return value
    return dlarray(value, labels, copy=False)


@composite
def zeros(shape: Any, labels: str | None = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Zeros, float64 on the CPU unless `like`, `dtype` or `device` say otherwise.

    `like` is an array whose type and device are taken (not its labels); `labels` has one letter per axis.
    Raises ShapeError for what is not a shape.

    >>> import gradloom as gl
    >>> gl.zeros((2, 3), "CB")
    2(C) x 3(B) dlarray float64
    [[0. 0. 0.]
     [0. 0. 0.]]

    Source: array API zeros, MATLAB zeros.
    """
    sizes, made = sizes_of(shape, "zeros"), type_and_device(like, dtype, device)
    return constant(allocated("zeros", sizes, lambda: torch.zeros(sizes, **made)), labels, like, "zeros")


@composite
def ones(shape: Any, labels: str | None = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Ones, float64 on the CPU unless `like`, `dtype` or `device` say otherwise.

    `like` is an array whose type and device are taken (not its labels); `labels` has one letter per axis.
    Raises ShapeError for what is not a shape.

    >>> import gradloom as gl
    >>> gl.ones(2, dtype="float32")
    2 dlarray float32
    [1. 1.]

    Source: array API ones, MATLAB ones.
    """
    sizes, made = sizes_of(shape, "ones"), type_and_device(like, dtype, device)
    return constant(allocated("ones", sizes, lambda: torch.ones(sizes, **made)), labels, like, "ones")


@composite
def full(shape: Any, fill_value: Any, labels: str | None = None, *, like: Any = None, dtype: Any = None,
         device: Any = None) -> Any:
    """One value everywhere: a number, or a dlarray that broadcasts to the shape (recorded where it is traced).

    Numbers give float64 (bools bool, complex numbers complex128) unless `like`, `dtype` or `device` say otherwise.

    >>> import gradloom as gl
    >>> gl.full((2,), 7)
    2 dlarray float64
    [7. 7.]

    Source: array API full.
    """
    shape, value = sizes_of(shape, "full"), fill_value
    if type(value) not in NUMBER_TYPES:
        value = array(value)
        if value.ndim or type(value) is dlarray and value.traced:
            if dtype is not None or like is not None:
                value = astype(value, type_and_device(like, dtype, None)["dtype"])
            filled = broadcast_to(value, shape)
            return dlarray(filled, labels) if labels is not None else filled
        value = read(value)
    if dtype is None and like is None:
        dtype = {bool: "bool", complex: "complex128"}.get(type(value))
    made = type_and_device(like, dtype, device)
    try:
        return constant(allocated("full", shape, lambda: torch.full(shape, value, **made)), labels, like, "full")
    except ShapeError:
        raise
    except (RuntimeError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise TypeRefused(
            f"full cannot write {value!r} as {str(made['dtype'])[6:]}, at {line_of(user_site())}: {reason}; give "
            "dtype=") from None


@composite
def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape of x, with its labels, type and device: a constant.

    >>> import gradloom as gl
    >>> gl.zeros_like(gl.dlarray([[1.0, 2.0]], "CB"))
    1(C) x 2(B) dlarray float64
    [[0. 0.]]

    Source: array API zeros_like.
    """
    x = array(x)
    sizes, made = tuple(x.shape), type_and_device(x, dtype, device)
    return constant(allocated("zeros_like", sizes, lambda: torch.zeros(sizes, **made)), labels_of(x), x, "zeros_like")


@composite
def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones in the shape of x, with its labels, type and device: a constant.

    >>> import gradloom as gl
    >>> gl.ones_like(gl.dlarray([[1.0, 2.0]], "CB"))
    1(C) x 2(B) dlarray float64
    [[1. 1.]]

    Source: array API ones_like.
    """
    x = array(x)
    sizes, made = tuple(x.shape), type_and_device(x, dtype, device)
    return constant(allocated("ones_like", sizes, lambda: torch.ones(sizes, **made)), labels_of(x), x, "ones_like")


@composite
def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere in the shape of x, with its labels, type and device.

    >>> import gradloom as gl
    >>> gl.full_like(gl.dlarray([[1.0, 2.0]], "CB"), 5)
    1(C) x 2(B) dlarray float64
    [[5. 5.]]

    Source: array API full_like.
    """
    x = array(x)
    return full(tuple(x.shape), fill_value, labels_of(x), like=x, dtype=dtype, device=device)


@composite
def eye(n_rows: int, n_cols: int | None = None, labels: str | None = None, *, k: int = 0, like: Any = None,
        dtype: Any = None,
        device: Any = None) -> Any:
    """A matrix with ones on a diagonal and zeros elsewhere, n_rows x n_rows or n_rows x n_cols; k > 0 is a diagonal
    above the main one.

    >>> import gradloom as gl
    >>> gl.eye(2)
    2 x 2 dlarray float64
    [[1. 0.]
     [0. 1.]]

    Source: array API eye, MATLAB eye.
    """
    rows, columns = sizes_of((n_rows, n_rows if n_cols is None else n_cols), "eye")
    made = type_and_device(like, dtype, device)
    value = allocated("eye", (rows, columns), lambda: torch.zeros((rows, columns), **made))
    if -rows < k < columns:
        value.diagonal(k).fill_(1)
    return constant(value, labels, like, "eye")


@composite
def arange(start: Any, stop: Any = None, step: Any = 1, labels: str | None = None, *, like: Any = None,
           dtype: Any = None,
           device: Any = None) -> Any:
    """Numbers from start (0 where only one bound is given) to just before stop; float64, as all numbers:
    `dtype="int64"` for indices.

    >>> import gradloom as gl
    >>> gl.arange(3)
    3 dlarray float64
    [0. 1. 2.]

    Source: array API arange, MATLAB's colon, which includes the last one.
    """
    first, last = (_number(v, "arange") for v in ((0, start) if stop is None else (start, stop)))
    step = _number(step, "arange")
    if step == 0:
        raise ShapeError(f"arange with a step of 0, at {line_of(user_site())}; write full((n,), {first})")
    made = type_and_device(like, dtype, device)
    if (last - first) / step <= 0:
        return constant(torch.zeros((0,), **made), labels, like, "arange")
    return constant(allocated("arange", (first, last, step), lambda: torch.arange(first, last, step, **made)),
                    labels, like, "arange")


@composite
def linspace(start: Any, stop: Any, /, num: int, labels: str | None = None, *, endpoint: bool = True,
             like: Any = None, dtype: Any = None,
             device: Any = None) -> Any:
    """`num` evenly spaced numbers from start to stop, both included; without `endpoint` one step short of stop.

    >>> import gradloom as gl
    >>> gl.linspace(0, 1, 5)
    5 dlarray float64
    [0.   0.25 0.5  0.75 1.  ]

    Source: array API linspace, MATLAB linspace.
    """
    (count,) = sizes_of(num, "linspace")
    ends = _number(start, "linspace"), _number(stop, "linspace")
    made = type_and_device(like, dtype, device)
    value = allocated("linspace", count, lambda: torch.linspace(*ends, count if endpoint else count + 1, **made))
    return constant(value[:count], labels, like, "linspace")


def _number(x: Any, word: str) -> Any:
    """A Python number; a traced one is refused, since the result would be a constant."""
    x = array(x) if type(x) not in NUMBER_TYPES else x
    return x.item() if type(x) not in NUMBER_TYPES else x


@composite
def asarray(x: Any, /, labels: str | None = None, *, dtype: Any = None, device: Any = None,
            copy: bool | None = None) -> dlarray:
    """x as a dlarray: what `dlarray(x, labels)` does, under the array API's name. The memory is copied unless
    `copy=False`.

    >>> import gradloom as gl
    >>> gl.asarray([1, 2])
    2 dlarray float64
    [1. 2.]

    Source: array API asarray.
    """
    return dlarray(x, labels, dtype=dtype, device=device, copy=copy is not False)


@composite
def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> dlarray:
    """An array of another library, by the DLPack protocol, as a dlarray. The memory is copied unless `copy=False`.

    >>> import gradloom as gl, numpy as np
    >>> gl.from_dlpack(np.array([1.0, 2.0]))
    2 dlarray float64
    [1. 2.]

    Source: array API from_dlpack.
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeRefused(
            f"from_dlpack needs an array with __dlpack__, not {type(x).__name__}, at {line_of(user_site())}; write "
            "dlarray(x)")
    return dlarray(torch.from_dlpack(x), device=device, copy=copy is not False)


@composite
def empty(shape: Any, labels: str | None = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """An array to be written into: zeros, since what was in memory before is nobody's business.

    >>> import gradloom as gl
    >>> gl.empty((2, 3)).shape
    (2, 3)

    Source: array API empty.
    """
    return zeros(shape, labels, like=like, dtype=dtype, device=device)


@composite
def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """An array in the shape of x to be written into, with its labels, type and device: zeros.

    >>> import gradloom as gl
    >>> gl.empty_like(gl.dlarray([[1.0, 2.0]], "CB")).dims
    'CB'

    Source: array API empty_like.
    """
    return zeros_like(x, dtype=dtype, device=device)


__all__ = ["arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like",
           "linspace", "ones", "ones_like", "zeros", "zeros_like"]
