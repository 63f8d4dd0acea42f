"""Dtypes, devices, conversions and random generators: the thin policy on top of torch's array functions.

Everything right of this module handles `torch.Tensor` values that never require gradients.
"""
from __future__ import annotations

import contextvars
import ctypes
import math
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils import _python_dispatch

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
        except TypeError:
            name = str(dtype)
    if name not in DTYPES:
        raise TypeError(f"no dtype {dtype!r}; write one of {', '.join(DTYPES)}")
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
    rank = max(len(s) for s in shapes)
    result = [1] * rank
    for shape in shapes:
        for k, n in enumerate(shape, start=rank - len(shape)):
            if n != 1 and result[k] != n:
                if result[k] != 1:
                    raise ValueError(f"shapes {', '.join(str(tuple(s)) for s in shapes)} do not broadcast")
                result[k] = n
    return tuple(result)


def device_named(device: Any) -> torch.device:
    """A device that holds values."""
    named = torch.device(device)
    if named.type == "meta":
        raise TypeError('the device "meta" holds no values; write device="cpu", or that of another array')
    return named


def refuse_strange(x: Tensor, converted: bool = False) -> None:
    """A tensor that is no array of numbers in a type that there is; `converted`: to another type as it is taken."""
    if x.is_nested:
        raise TypeError(
            "a nested tensor has rows of unequal length; write x.to_padded_tensor(0.0), and mask what is beyond each length")
    if x.layout is not torch.strided:
        raise TypeError(
            f"the tensor is sparse ({str(x.layout)[6:]}); write x.to_dense(), or gl.matmul(A, x) with a SciPy sparse A")
    if x.is_quantized:
        raise TypeError(f"the tensor is quantized ({str(x.dtype)[6:]}); write x.dequantize()")
    if x.is_meta:
        raise TypeError(
            'the tensor is on the device "meta" and holds no values; write torch.empty_like(x, device="cpu"), and fill it')
    if x.dtype not in NAMES and not converted:
        wanted = "complex64" if x.dtype.is_complex else "float32" if x.dtype.is_floating_point else "int64"
        raise TypeError(f"there are no arrays of {str(x.dtype)[6:]}; write x.to(torch.{wanted})")


def as_tensor(x: Any, dtype: Any = None, device: Any = None, copy: bool = True) -> Tensor:
    """A tensor with the values of `x`: Python numbers and lists of them are float64, arrays keep their type."""
    if isinstance(x, Tensor):
        refuse_strange(x, dtype is not None)
        value = x.detach()
        wanted = value.dtype if dtype is None else dtype_named(dtype)
        return value.to(device=value.device if device is None else device_named(device), dtype=wanted, copy=copy)
    if hasattr(x, "batch_sizes"):
        raise TypeError(
            "a packed sequence is no array; pad it with torch.nn.utils.rnn.pad_packed_sequence(x), and mask what is beyond each length")
    if not isinstance(x, (np.ndarray, np.generic)):
        x = np.asarray(x)
        if x.dtype.kind in "iu" and dtype is None:
            x = x.astype(np.float64)
        copy = copy and x.base is not None
    if x.dtype.kind in "OUSMm" or x.dtype.name not in DTYPES:
        if x.dtype.name in ("uint16", "uint32", "uint64"):
            if x.dtype.name == "uint64" and x.size and x.max() > np.iinfo(np.int64).max:
                raise TypeError("these unsigned integers are too large for int64; write x.astype('float64')")
            x = x.astype(np.int64)
        elif x.dtype.kind == "f":
            raise TypeError(f"arrays of {x.dtype.name} are not supported; write x.astype('float64')")
        else:
            raise TypeError(
                f"an array of numbers is needed, not of {x.dtype.name}; rows of unequal length or text are not arrays")
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    if copy or not x.flags.writeable or any(s < 0 for s in x.strides):
        x = np.array(x, copy=True, order="C")
    value = torch.from_numpy(x) if isinstance(x, np.ndarray) else torch.as_tensor(x, device="cpu")
    if dtype is not None or device is not None:
        value = value.to(device=None if device is None else device_named(device), dtype=None
                         if dtype is None else dtype_named(dtype))
    return value


def transform_of(x: Tensor) -> str | None:
    """Which of torch's transforms is running on this tensor: it would differentiate or batch what is computed from it."""
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        kind = "vmap" if torch._C._functorch.is_batchedtensor(x) else "grad, jacrev, vjp, jvp or another transform"
        return f"torch.func's {kind}"
    forward = sys.modules.get("torch.autograd.forward_ad")
    if (forward is not None and forward._current_level >= 0
        and torch._VF._unpack_dual(x, level=forward._current_level)[1] is not None):
        return "a forward-mode dual level of torch"
    return None


def listed(x: Any) -> Tensor:
    """Positions as a tensor: those in a list or a NumPy array are on the CPU."""
    return x if isinstance(x, Tensor) else torch.as_tensor(x, device="cpu")


def to_numpy(value: Tensor) -> np.ndarray:
    """The values as NumPy sees them: shared on the CPU, a copy from elsewhere."""
    if value.dtype is torch.bfloat16:
        raise TypeError("NumPy has no bfloat16; write x.astype('float32') first")
    return value.detach().resolve_conj().resolve_neg().cpu().numpy()


def entry_type(dtype: torch.dtype) -> torch.dtype:
    """The type of a sparse matrix's entries: SciPy has none in half precision."""
    return torch.float32 if dtype in HALF else dtype


def readable_bytes(count: int) -> str:
    """A byte count as people read it: 23.9 MB."""
    if count < 1000:
        return f"{count} bytes"
    power = min(int(math.log(count, 1000)), 5)
    return f"{count / 1000 ** power:.3g} {['', 'kB', 'MB', 'GB', 'TB', 'PB'][power]}"


# torch's words on a CPU, NumPy's, and torch's on a GPU
_WANTED = re.compile(r"(?:you tried|Unable|Tried) to allocate (?:(\d+) bytes|([\d.]+ ?[KMGTPE]iB))")


def out_of_memory(error: BaseException) -> str | None:
    """How much memory was asked for and not there, as people read it; None for any other error."""
    found = _WANTED.search(str(error))
    if found is not None:
        return readable_bytes(int(found[1])) if found[1] else found[2]
    overflowed = (isinstance(error, RuntimeError) and ("Storage size calculation overflowed" in str(error)
                                                       or "possible overflow" in str(error)))
    return "over 9 EB" if overflowed or isinstance(error, MemoryError) else None


# ----- how arrays lie in memory ---------------------------------------------------------------------------------------

_TOGETHER = {4: ((0, 2, 3, 1), torch.channels_last), 5: ((0, 2, 3, 4, 1), torch.channels_last_3d)}


def settled(x: Tensor) -> Tensor:
    """The same memory with strides along axes of size 1 as they are where an array of its layout is new.

    There strides mean nothing, but torch reads the layout off them too, and kernels that ask for one take the array for
    what it is not: they refuse it, or, where two operands differ, compute wrong numbers in silence.
    """
    shape = x.shape
    if 1 not in shape:
        return x
    order, layout = _TOGETHER.get(x.ndim, ((), torch.contiguous_format))
    if order and x.stride() == (together := _strides(shape, order)):
        return x  # with one channel the memory is that of both layouts, and the strides say which was meant
    if x.is_contiguous():
        return x.as_strided(shape, _strides(shape, range(x.ndim)))
    return x.as_strided(shape, together) if order and x.is_contiguous(memory_format=layout) else x


@lru_cache(maxsize=1024)
def _strides(shape: tuple[int, ...], order: Sequence[int]) -> tuple[int, ...]:
    """Those of new memory in which the axes lie in an order."""
    strides, step = [0] * len(shape), 1
    for k in reversed(order):
        strides[k] = step
        step *= shape[k]
    return tuple(strides)


def channels_last(x: Tensor) -> Tensor:
    """The same images laid out with their channels together; with one channel, the same memory with strides that say so."""
    if 1 not in x.shape:
        return x.contiguous(memory_format=torch.channels_last)
    together = _strides(x.shape, _TOGETHER[4][0])
    if x.stride() == together:
        return x
    if x.shape[1] == 1 and x.is_contiguous():  # quick way: the same memory; the plain one is below
        return x.as_strided(x.shape, together)
    return settled(x.movedim(1, -1).contiguous()).movedim(-1, 1)


# ----- modes of torch -------------------------------------------------------------------------------------------------


_MARKS = [name for name in vars(_python_dispatch) if name.startswith("_is_in_")]


def under(modes: Sequence[AbstractContextManager[Any]], function: Callable[..., Any], /, *args: Any,
          **options: Any) -> Any:
    """Run a function under modes of torch, which are off afterwards.

    Their exits are written in Python: an interrupt that comes just before one would leave its mode on for good. What is
    on afterwards, and was not before, is therefore taken off here.
    """
    state = vars(_python_dispatch)
    marks, gradients = {name: state[name] for name in _MARKS}, torch.is_grad_enabled()
    dispatching, overriding = torch._C._len_torch_dispatch_stack(), torch._C._len_torch_function_stack()
    try:
        return _entered(modes, function, args, options)
    finally:
        state.update(marks)
        torch._C._set_grad_enabled(gradients)
        while torch._C._len_torch_dispatch_stack() > dispatching:
            torch._C._pop_torch_dispatch_stack(None)
        while torch._C._len_torch_function_stack() > overriding:
            torch._C._pop_torch_function_stack()


def _entered(modes: Sequence[AbstractContextManager[Any]], function: Callable[..., Any], args: Any,
             options: Any) -> Any:
    if not modes:
        return function(*args, **options)
    with modes[0]:
        return _entered(modes[1:], function, args, options)


def undispatched(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """Run a function outside the modes that answer torch's operations."""
    guards: list[Any] = []
    try:
        guards.append(torch._C._DisableTorchDispatch())  # it ends when nothing refers to it
        return function(*args, **options)
    finally:
        guards.clear()


def without_complaints(function: Callable[..., Any], /, *args: Any) -> Any:
    """Run a function while NumPy says nothing of infinities and NaN: in a context of its own, which an interrupt ends too."""
    def quiet() -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return contextvars.copy_context().run(quiet)


# ----- random numbers: own generators, one per device and thread -----------------------------------------------------

_streams = threading.local()


def generator(device: Any = "cpu") -> torch.Generator:
    """This thread's generator for a device, seeded with 0 until `seed` is called."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    key = str(device)
    table = _streams.__dict__
    if key not in table:
        stream = torch.Generator(device=device)
        stream.manual_seed(table.get("seed", 0))
        table[key] = stream
    return table[key]


def seed(value: int) -> None:
    """Start this thread's generators, on every device, from `value`."""
    table = _streams.__dict__
    table["seed"] = int(value)
    for stream in table.values():
        if isinstance(stream, torch.Generator):
            stream.manual_seed(int(value))


def random_state() -> dict[str, Any]:
    """The state of this thread's generators, for `restore_random_state`."""
    generator("cpu")
    table = _streams.__dict__
    return {"seed": table.get("seed", 0), "streams": {k: s.get_state() for k, s in table.items()
                                                      if isinstance(s, torch.Generator)}}


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue from a state that `random_state` returned."""
    seed(state["seed"])
    for key, value in state["streams"].items():
        generator(key).set_state(value)


# ----- matrix products ------------------------------------------------------------------------------------------------


def _slow_library() -> bool:
    """On AMD's processors with AVX-512, torch's matrix product (MKL) uses half of the width and oneDNN, which torch has too, all of it."""
    if (torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available()
        or not hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    try:
        with open("/proc/cpuinfo") as info:
            return any("AuthenticAMD" in line for line in info if line.startswith("vendor_id"))
    except OSError:
        return False


_WIDER = _slow_library()
_WORTHWHILE = 1 << 20  # products of numbers; below, the call costs more than it saves
_WIDE = 64  # columns that a transposed matrix must meet: oneDNN reads its rows from a copy, which is slow to write


def _dense(matrix: Tensor) -> bool:
    """Without gaps or repetitions in memory: of a slice of a wider matrix oneDNN takes 500 times as long."""
    return matrix.is_contiguous() or matrix.mT.is_contiguous()


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """torch.matmul, by the faster of the libraries that torch has."""
    if a.ndim > 1 and b.ndim > 1 and a.shape[-1] == 1 == b.shape[-2] and a.dtype is b.dtype:
        return a * b  # an outer product
    if a.ndim > 2 and b.ndim > 1 and b.shape[-1] == 1 and a.stride(-2) == 1 < a.stride(-1):
        return torch.matmul(b.mT, a.mT).mT  # transposed matrices times a column: read in order, 8 times as fast
    if (a.ndim == b.ndim == 2 and b.shape[1] < min(a.shape[0], 8) and a.stride(0) == 1 == b.stride(1)
        and a.stride(1) > 1):
        # the wide one of two tall matrices, transposed, times the narrow one: 2 to 10 times as fast the other way round
        return torch.matmul(b.mT, a.mT).mT
    if a.ndim == 2 and b.ndim > 2 and b.shape[-1] == 1:
        return matrix_product(b.mT, a.mT).mT  # many columns by one matrix: one product, not one for each
    if (_WIDER and a.dtype is torch.float32 and b.dtype is torch.float32 and b.ndim == 2 and a.ndim > 1
        and a.is_cpu and b.is_cpu):
        n = b.shape[1]
        if n >= 8 and a.shape[-1] > 1 and a.numel() * n >= _WORTHWHILE and a.shape[-1] == b.shape[0] and _dense(b):
            if a.ndim == 2 and a.stride(1) != 1:
                m = a.shape[0]
                if max(m, n) < _WIDE or not _dense(a):
                    return torch.matmul(a, b)
                if m > n >= 8 and b.stride(1) == 1:  # the narrower one is copied
                    return torch.ops.mkldnn._linear_pointwise(b.mT, a, None, "none", [], "").mT  # type: ignore[no-any-return]
            return torch.ops.mkldnn._linear_pointwise(a, b.mT, None, "none", [], "")  # type: ignore[no-any-return]
    return torch.matmul(a, b)


def affine_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x weight' + bias of a matrix x, by the faster of the libraries that torch has."""
    if (_WIDER and x.dtype is torch.float32 and x.is_cpu and weight.is_cpu and weight.dtype is torch.float32
        and (bias is None or bias.dtype is torch.float32)):
        n = weight.shape[0]
        if (n >= 8 and x.shape[1] > 1 and x.numel() * n >= _WORTHWHILE and x.shape[1] == weight.shape[1]
            and _dense(weight)):
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]
    return torch._C._nn.linear(x, weight, bias)


# ----- memory that arrays have given back -----------------------------------------------------------------------------

KEPT = 256 << 20  # bytes at the end of the heap that stay with the process
SHARED = 32 << 20  # arrays below this come from the heap: the most that the C library takes by itself
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of glibc's mallopt


def keep_freed_memory() -> bool:
    """Have glibc keep what arrays gave back, for the next ones: a page that is new to the process costs ten times one
    that is not.

    False where there is no glibc, where the user has set its allocator, or has set GRADLOOM_KEEP_MEMORY=0.
    """
    if not sys.platform.startswith("linux") or os.environ.get("GRADLOOM_KEEP_MEMORY") == "0" or any(
            name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_",
                                            "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_MMAP_THRESHOLD, SHARED) and mallopt(_TRIM_THRESHOLD, KEPT))
    except (OSError, AttributeError):
        return False


keep_freed_memory()
