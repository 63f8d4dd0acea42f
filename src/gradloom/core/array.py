"""The array: a handle that holds a value, its place in the trace, and its labels."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..machine.conversion import as_tensor, refuse_strange, to_numpy
from ..machine.dtypes import NAMES, NUMBER_TYPES, NUMBERS, Tensor, differentiable
from ..vocabulary.hints import ArrayWords
from .errors import LabelError, ShapeError, TraceError, TypeRefused, ValueRefused, called_from, line_of, user_site
from .labels import axes_of, checked, described, positions
from .operand import Operand
from .options import dtype_asked
from .origin import refuse_computed, refuse_masked
from .tables import words
from .trace import Node, current_trace, live


class dlarray(ArrayWords, Operand):
    """An array with labelled axes whose operations can be traced and differentiated.

    `dlarray(x, labels)` takes NumPy arrays, tensors, lists and numbers; `labels` has one letter per axis of S
    (spatial), C (channel), B (batch), T (time), U (unspecified), in the order of the axes: nothing is moved. Python
    numbers become float64, arrays keep their type. The memory is copied; `copy=False` shares it, on the caller's word.
    A dlarray gives a new handle to the same place; a list of dlarrays is stacked, and both are recorded.

    Raises LabelError for labels that do not fit, TypeRefused for what is not an array of numbers.

    >>> import gradloom as gl
    >>> gl.dlarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "CB")
    2(C) x 3(B) dlarray float64
    [[1. 2. 3.]
     [4. 5. 6.]]

    Source: MATLAB Deep Learning Toolbox, dlarray.
    """

    __slots__ = ("__weakref__", "_labels", "_node", "_note", "_value")
    __gradloom_leaf__ = True
    __hash__ = None  # type: ignore[assignment]
    _value: Tensor
    _node: Node | None
    _labels: str | None
    _note: Any

    def __init__(self, x: Any, labels: str | None = None, *, dtype: Any = None, device: Any = None, copy: bool = True):
        self._node = None
        self._note = None
        if isinstance(x, (list, tuple)) and _holds_arrays(x):
            x = _stacked(x)
            if labels is None:
                labels = x._labels
        if isinstance(x, dlarray):
            if dtype is not None and dtype_asked(dtype) != x._value.dtype or device is not None:
                x = x.to(dtype=dtype, device=device)  # type: ignore[attr-defined]
            self._value, self._node = x._value, x._node
            # this handle was not written into
            self._note = x._note if x._note is not None and x._note[0] == "made" else None
            self._labels = checked(labels, x._value.ndim) if labels is not None else x._labels
            return
        if isinstance(x, Tensor):
            refuse_computed(x)
        else:
            refuse_masked(x)
        try:
            self._value = as_tensor(x, dtype, device, copy)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:  # the last where torch has no CUDA
            raise TypeRefused(
                f"dlarray cannot hold this {type(x).__name__}, at {line_of(user_site())}: {error}") from None
        try:
            self._labels = checked(labels, self._value.ndim)
        except LabelError as error:
            raise LabelError(f"{error}; the array is {described(self._value.shape, None)}") from None
        if current_trace() is not None:
            self._note = ("made", user_site())

    @staticmethod
    def _made(value: Tensor, node: Node | None, labels: str | None = None) -> dlarray:
        """A handle, without checks: for this library alone."""
        x: dlarray = _new(dlarray)
        x._value = value
        x._node = node
        x._labels = labels
        x._note = None
        return x

    # ----- what it is -----

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return tuple(self._value.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._value.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._value.numel()

    @property
    def dtype(self) -> torch.dtype:
        """The type of the elements; compares equal to its name through `str(x.dtype)`."""
        return self._value.dtype

    @property
    def device(self) -> torch.device:
        """Where the values live."""
        return self._value.device

    @property
    def dims(self) -> str:
        """The labels, '' when unlabelled."""
        return self._labels or ""

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes by letter: an integer, or a tuple where several axes carry the letter."""
        found: dict[str, Any] = {}
        for letter in dict.fromkeys(self.dims):
            its = tuple(self._value.shape[k] for k in positions(self._labels, letter))
            found[letter] = its[0] if len(its) == 1 else its
        return found

    @property
    def traced(self) -> bool:
        """Whether operations on this array are being recorded."""
        return live(self._node) is not None

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._value.element_size()

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._value.numel() * self._value.element_size()

    def at(self, **index: Any) -> tuple[Any, ...]:
        """The index tuple for this array's layout from letters: `y[y.at(C=k, B=slice(0, 8))]`."""
        where: list[Any] = [slice(None)] * self.ndim
        for letter, entry in index.items():
            axes = axes_of(letter, self.ndim, self._labels, self.shape)
            entries = entry if isinstance(entry, tuple) else (entry,)
            if len(entries) != len(axes):
                raise LabelError(
                    f"at({letter}=...) needs {len(axes)} entries, one per axis {letter} of "
                    f"{described(self.shape, self._labels)}, not {len(entries)}; write {letter}=(i, j)")
            for axis, e in zip(axes, entries, strict=True):
                where[axis] = e
        return tuple(where)

    # ----- leaving the library -----

    def _refuse_traced(self, what: str) -> None:
        if live(self._node) is not None:
            raise TraceError(
                f"{what} would make a constant of a traced array, at {line_of(user_site())}; write extractdata(x) or "
                "detach(x) to mean that, gl.stack([...]) instead of np.array([...]), np.concatenate([a, b]) instead of "
                "np.r_[a, b], np.zeros_like(x) or gl.zeros(shape, like=x) for a buffer, gl.matmul(A, x) for a sparse A"
                + ("; SciPy's functions that keep to the array API record where SCIPY_ARRAY_API=1 is set before SciPy "
                   "is imported" if called_from("scipy") else ""))

    def _refuse_traced_float(self, what: str) -> None:
        if differentiable(self._value.dtype):
            self._refuse_traced(what)

    def _one(self, what: str) -> Any:
        if self._value.numel() != 1:
            raise ShapeError(
                f"{what} needs one element, the array is {described(self.shape, self._labels)}, at "
                f"{line_of(user_site())}; index it first, or use any() or all()")
        return self._value.item()

    def __bool__(self) -> bool:
        return bool(self._one("bool(x)"))

    def __float__(self) -> float:
        self._refuse_traced_float("float(x)")
        return float(self._one("float(x)"))

    def __int__(self) -> int:
        self._refuse_traced_float("int(x)")
        return int(self._one("int(x)"))

    def __complex__(self) -> complex:
        self._refuse_traced_float("complex(x)")
        return complex(self._one("complex(x)"))

    def __index__(self) -> int:
        if differentiable(self._value.dtype) or self._value.dtype is torch.bool:
            raise TypeRefused(f"an array of {NAMES[self._value.dtype]} is no index, at {line_of(user_site())}; write "
                              "dlarray(x, dtype=\"int64\")")
        return int(self._one("an index"))

    def item(self) -> Any:
        """The one element as a Python number. Refused while traced."""
        self._refuse_traced_float("x.item()")
        return self._one("x.item()")

    def tolist(self) -> Any:
        """Nested lists of Python numbers. Refused while traced."""
        self._refuse_traced_float("x.tolist()")
        return self._value.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._refuse_traced_float("np.asarray(x)")
        try:
            value = to_numpy(self._value)
        except TypeError as error:
            raise TypeRefused(str(error)) from None
        if dtype is not None and np.dtype(dtype) != value.dtype:
            if copy is False:
                raise ValueRefused(
                    f"another type needs a copy, at {line_of(user_site())}; write np.asarray(x, dtype)")
            return value.astype(dtype)
        if copy:
            return value.copy()
        value.flags.writeable = False
        return value

    def numpy(self) -> np.ndarray:
        """The values as a read-only NumPy array. Refused while traced; extractdata(x) is allowed there."""
        return self.__array__()

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
        self._refuse_traced_float("the DLPack protocol")
        value = self._value if copy is False else self._value.clone()
        options: dict[str, Any] = {} if dl_device is None else {"dl_device": dl_device}
        return value.__dlpack__(stream=stream, **options)

    def __dlpack_device__(self) -> Any:
        return self._value.__dlpack_device__()

    def __reduce__(self) -> Any:
        value = self._value.detach().cpu()
        raw = value.contiguous().view(torch.int16) if value.dtype is torch.bfloat16 else value
        return _rebuilt, (to_numpy(raw), NAMES[value.dtype], self._labels, str(self._value.device))

    def __copy__(self) -> dlarray:
        return dlarray(self)

    def __deepcopy__(self, memo: Any) -> dlarray:
        if live(self._node) is not None:
            return dlarray(self)  # as a constant it would lose its derivative by accident
        return dlarray._made(self._value.clone(), None, self._labels)

    def copy(self) -> dlarray:
        """A new handle to the same place: free, since values never change."""
        return dlarray(self)

    # ----- a sequence along axis 0 -----

    def __len__(self) -> int:
        if not self._value.ndim:
            raise TypeRefused(f"a scalar has no length, at {line_of(user_site())}; x.size is its number of elements")
        return self._value.shape[0]

    def __iter__(self) -> Iterator[dlarray]:
        if not self._value.ndim:
            raise TypeRefused(
                f"a scalar cannot be iterated over, at {line_of(user_site())}; write [x], or reshape(x, -1)")
        return (self[k] for k in range(self._value.shape[0]))  # type: ignore[index]

    def __contains__(self, item: Any) -> bool:
        return (bool((self._value == item).any()) if isinstance(item, NUMBERS)
                else any(bool((row == item).all()) for row in self))  # type: ignore

    # ----- printing -----

    def _heading(self) -> str:
        parts = [described(self.shape, self._labels) if self.ndim else "", "dlarray", NAMES[self._value.dtype]]
        if self.traced:
            parts.append("traced")
        if self._value.device.type != "cpu":
            parts.append(str(self._value.device))
        return " ".join(p for p in parts if p)

    def __repr__(self) -> str:
        value = self._value.detach().cpu()
        shown = to_numpy(value.float() if value.dtype is torch.bfloat16 else value)
        if not self.ndim:
            return f"{self._heading()} {shown[()]}"
        return f"{self._heading()}\n{np.array2string(shown, threshold=200, edgeitems=3)}"

    def __format__(self, spec: str) -> str:
        if not self.ndim:  # a number, as NumPy and torch write it
            return format(self._value.item(), spec)
        return format(self._one(f"format {spec!r}"), spec) if spec else str(self)


_new = object.__new__


def _rebuilt(raw: np.ndarray, dtype: str, labels: str | None, device: str) -> dlarray:
    value = as_tensor(raw)
    if dtype == "bfloat16":
        value = value.view(torch.bfloat16)
    return dlarray._made(value.to(device), None, labels)


def _holds_arrays(x: Any) -> bool:
    return any(isinstance(e, dlarray) or isinstance(e, (list, tuple)) and _holds_arrays(e) for e in x)


def _stacked(x: Any) -> dlarray:
    return words.stack([_stacked(e) if isinstance(e, (list, tuple)) else e for e in x])


def constant(x: Any) -> Any:
    """A torch tensor among dlarrays: its values as they are now, a constant."""
    if not isinstance(x, Tensor):
        return x
    refuse_computed(x)
    try:
        refuse_strange(x)
    except TypeError as error:
        raise TypeRefused(f"{error}, at {line_of(user_site())}") from None
    return x.detach().clone()


def among_dlarrays(arrays: Sequence[Any]) -> Sequence[Any]:
    """Operands together: where there is a dlarray, tensors beside it are constants."""
    if dlarray in map(type, arrays) and any([isinstance(x, Tensor) for x in arrays]):
        return [dlarray._made(constant(x), None) if isinstance(x, Tensor) else x for x in arrays]
    return arrays


def operand(x: Any) -> Any:
    """What an operation computes with: dlarrays, Blocks, tensors and Python numbers pass, all else becomes a constant
    dlarray."""
    if type(x) is int and not -2 ** 63 <= x < 2 ** 63:
        try:
            return float(x)
        except OverflowError:
            raise TypeRefused(
                f"an integer of {x.bit_length()} bits is larger than any float, at {line_of(user_site())}") from None
    if isinstance(x, (Operand, Tensor)) or type(x) in NUMBER_TYPES:
        return x
    if isinstance(x, (np.bool_, np.integer, np.floating, np.complexfloating)):
        return x.item()
    if isinstance(x, np.ndarray) and not x.ndim and x.dtype.kind in "biufc":
        refuse_masked(x)
        return x.item()
    if x is None:
        raise TypeRefused(f"an array is needed, not None, at {line_of(user_site())}")
    return dlarray(x)


def foreign(x: Any) -> bool:
    """Whether an operand is no array of numbers, which an operator leaves to the other side's own method."""
    if isinstance(x, (Operand, Tensor, *NUMBERS)) or isinstance(x, (list, tuple)) and _holds_arrays(x):
        return False
    if hasattr(x, "tocsr"):
        return False  # a sparse matrix, which matmul takes
    try:
        return np.asarray(x).dtype.kind not in "biufc"
    except (TypeError, ValueError, RuntimeError):
        return False  # rows of unequal length, tensors that require gradients: refused with a reason


def raw(x: Any) -> Any:
    """The values of an array, as a constant."""
    return x._value if type(x) is dlarray else x


def unlabelled(x: Any) -> Any:
    """The same place without labels."""
    return dlarray._made(x._value, x._node, None) if type(x) is dlarray and x._labels is not None else x


def relabelled(x: Any, labels: str | None) -> Any:
    """A result of this library, which nobody else holds yet, with labels."""
    return dlarray._made(x._value, x._node, labels) if type(x) is dlarray else x


def labels_of(x: Any) -> str | None:
    """The labels of a dlarray, None for everything else."""
    return x._labels if type(x) is dlarray else None
