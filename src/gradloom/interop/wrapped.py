"""What torch's functions see of a dlarray: a tensor without memory, whose views share a cell, so that writes are functional."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import TraceError, TypeRefused, line_of, user_site
from ..kernels import Tensor
from .aten_overloads import opname
from .protocol import gl

_made = dlarray._made


class Cell:
    """What a wrapped tensor and its views share: the value, and how often it was written."""

    __slots__ = ("value", "version")

    def __init__(self, value: dlarray):
        self.value = value
        self.version = 0


class Wrapped(Tensor):
    """A dlarray as torch's functions see it: shape, type and strides, no memory."""

    _cell: Cell
    _steps: tuple[Step, ...]
    _known: tuple[int, dlarray] | None

    @staticmethod
    def __new__(cls, cell: Cell, steps: tuple[Step, ...] = (), known: dlarray | None = None, strides: Any = None) -> Wrapped:
        value = cell.value._value if known is None else known._value
        made: Any = Tensor._make_wrapper_subclass(
            cls, value.shape, strides=contiguous_strides(value.shape) if strides is None else strides, dtype=value.dtype, device=value.device)
        made._cell = cell
        made._steps = steps
        made._known = None if known is None else (cell.version, known)
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise TraceError(f"{func} meets a value of a torch function that has returned, at {line_of(user_site())}; "
                          "return it from the function or module instead of keeping it elsewhere")

    def array(self) -> dlarray:
        """The value, as it is now."""
        cell = self._cell
        if not self._steps:
            return cell.value
        if self._known is None or self._known[0] != cell.version:
            value = cell.value
            for step in self._steps:
                value = step.of(value)
            self._known = (cell.version, value)
        return self._known[1]

    def write(self, value: dlarray) -> None:
        """Put a value of this shape and type into the place."""
        cell = self._cell
        if self._steps:
            base = cell.value
            where = torch.arange(base.size, device=base.device).reshape(base.shape)
            for step in self._steps:
                where = step.positions(where)
            value = written_at(base, where, value)
        cell.value = value
        cell.version += 1

    # What takes a value out of torch follows the library's conversions.

    def __bool__(self) -> bool:
        return bool(self.array())

    def __int__(self) -> int:
        return int(self.array())

    def __float__(self) -> float:
        return float(self.array())

    def __complex__(self) -> complex:
        return complex(self.array())

    def __index__(self) -> int:
        return self.array().__index__()

    def item(self) -> Any:
        return self.array().item()

    def tolist(self) -> Any:
        return self.array().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        return self.array().numpy()

    def __array__(self, dtype: Any = None) -> Any:  # type: ignore[override]
        return self.array().__array__(dtype)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<a torch function's {self.array()!r}>"

    def __deepcopy__(self, memo: Any) -> Wrapped:
        return wrapped(self.array())

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeRefused(f"a value inside a torch function cannot be saved, at {line_of(user_site())}; return it")


class Step:
    """One view: what takes a base to its part, as an operation on dlarrays and as torch's own on positions."""

    __slots__ = ("after", "before", "func", "kwargs", "mode", "which")

    def __init__(self, mode: Any, func: Any, before: tuple[Any, ...], after: tuple[Any, ...], kwargs: dict[str, Any], which: int | None):
        self.mode = mode
        self.func = func
        self.before = before
        self.after = after
        self.kwargs = kwargs
        self.which = which

    def of(self, base: dlarray) -> dlarray:
        result = self.mode.computed(self.func, (*self.before, base, *self.after), self.kwargs)
        return result if self.which is None else result[self.which]

    def positions(self, where: Tensor) -> Tensor:
        name = opname(self.func)
        if name in ("view_as_real", "view_as_complex", "real", "imag") or name == "view" and self.func._overloadname == "dtype":
            raise TypeRefused(f"a write through {name} of an array that is differentiated, at {line_of(user_site())}; "
                              "compute the real and imaginary parts and join them with torch.complex")
        if name in ("_conj", "_neg_view", "detach", "alias"):
            return where
        result = self.func(*self.before, where, *self.after, **self.kwargs)
        return result if self.which is None else result[self.which]


def wrapped(value: dlarray) -> Wrapped:
    """A place of its own that holds a value."""
    return Wrapped(Cell(value))


def wrapped_whole(part: Wrapped) -> Wrapped:
    """The whole array that this is a view of."""
    return Wrapped(part._cell)


def strided(part: Wrapped, size: Any, stride: Any, storage_offset: int | None = None) -> tuple[Any, Any, int]:
    """as_strided of a view in terms of the whole array."""
    if storage_offset is None:
        where = torch.arange(part._cell.value.size, device="cpu").reshape(part._cell.value.shape)
        for step in part._steps:
            where = step.positions(where)
        storage_offset = int(where.reshape(-1)[0]) if where.numel() else 0
    return size, stride, storage_offset


def contiguous_strides(shape: Any) -> list[int]:
    """Strides of an array in C order."""
    strides, step = [0] * len(shape), 1
    for k in range(len(shape) - 1, -1, -1):
        strides[k] = step
        step *= max(shape[k], 1)
    return strides


def written_at(base: dlarray, where: Tensor, value: Any) -> dlarray:
    """A copy of base with a value at positions of the flattened array."""
    flat: Any = gl.reshape(base, (-1,)) if base.ndim != 1 else base.copy()
    flat[where.reshape(-1)] = gl.reshape(value, (-1,)) if getattr(value, "ndim", 0) else value
    return gl.reshape(_made(flat._value, flat._node, None), base.shape)


# ----- trees of arguments and results -----


def mapped(function: Callable[[Any], Any], x: Any) -> Any:
    """The function on every leaf of what operations take and return: numbers, arrays, lists of them (torch's own trees take ten times as long)."""
    kind = type(x)
    if kind is list or kind is tuple:
        made = [function(e) if type(e) in _LEAVES else mapped(function, e) for e in x]
        return made if kind is list else tuple(made)
    if kind is dict:
        return {k: mapped(function, e) for k, e in x.items()} if x else x
    if isinstance(x, tuple):
        return tuple([mapped(function, e) for e in x])
    return function(x)


_LEAVES = frozenset((Wrapped, dlarray, Tensor, int, float, bool, type(None)))  # most of them


def leaves_of(x: Any) -> list[Any]:
    """The leaves, in order."""
    found: list[Any] = []
    mapped(found.append, x)
    return found
