"""Values in and out: tensors from what users have, and back."""
from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from .dtypes import DTYPES, NAMES, Tensor, dtype_named


def device_there(device: Any) -> torch.device:
    """A device that torch has here."""
    try:
        named = torch.device(device)
    except (RuntimeError, TypeError):
        raise TypeError(f'no device {device!r:.40}; write device="cpu" or device="cuda"') from None
    if named.type == "cuda" and not torch.cuda.is_available():
        raise TypeError(f'torch finds no CUDA device here, {str(named)!r} was asked for; write device="cpu", or '
                        'device="cuda" if torch.cuda.is_available() else "cpu"')
    return named


def device_named(device: Any) -> torch.device:
    """A device that holds values."""
    named = device_there(device)
    if named.type == "meta":
        raise TypeError('the device "meta" holds no values; write device="cpu", or that of another array')
    return named


def refuse_strange(x: Tensor, converted: bool = False) -> None:
    """A tensor that is no array of numbers in a type that there is; `converted`: to another type as it is taken."""
    if x.is_nested:
        raise TypeError(
            "a nested tensor has rows of unequal length; write x.to_padded_tensor(0.0), and mask what is beyond each "
            "length")
    if x.layout is not torch.strided:
        raise TypeError(
            f"the tensor is sparse ({str(x.layout)[6:]}); write x.to_dense(), or gl.matmul(A, x) with a SciPy sparse A")
    if x.is_quantized:
        raise TypeError(f"the tensor is quantized ({str(x.dtype)[6:]}); write x.dequantize()")
    if x.is_meta:
        raise TypeError(
            'the tensor is on the device "meta" and holds no values; write torch.empty_like(x, device="cpu"), '
            "and fill it")
    if x.dtype not in NAMES and not converted:
        wanted = "complex64" if x.dtype.is_complex else "float32" if x.dtype.is_floating_point else "int64"
        raise TypeError(f"there are no arrays of {str(x.dtype)[6:]}; write x.to(torch.{wanted})")


def as_tensor(x: Any, dtype: Any = None, device: Any = None, copy: bool = True) -> Tensor:
    """A tensor with the values of `x`: Python numbers and lists of them are float64, arrays keep their type."""
    if isinstance(x, Tensor):
        refuse_strange(x, dtype is not None)
        value = x.detach().resolve_neg()  # the memory of an array holds its numbers, not their negatives
        wanted = value.dtype if dtype is None else dtype_named(dtype)
        return value.to(device=value.device if device is None else device_named(device), dtype=wanted, copy=copy)
    if hasattr(x, "batch_sizes"):
        raise TypeError(
            "a packed sequence is no array; pad it with torch.nn.utils.rnn.pad_packed_sequence(x), and mask what is "
            "beyond each length")
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
        # torch's own memory, which NumPy does not share
        value = torch.tensor(np.array(x, order="C") if any(s < 0 for s in x.strides) else x, device="cpu")
    else:
        value = torch.from_numpy(x) if isinstance(x, np.ndarray) else torch.as_tensor(x, device="cpu")
    if dtype is not None or device is not None:
        value = value.to(device=None if device is None else device_named(device), dtype=None
                         if dtype is None else dtype_named(dtype))
    return value


def transform_of(x: Tensor) -> str | None:
    """Which of torch's transforms is running on this tensor: it would differentiate or batch what is computed from
    it."""
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
    if isinstance(x, Tensor):
        return x
    try:
        return torch.as_tensor(x, device="cpu")
    except RuntimeError:
        raise TypeError(f"positions are integers, not {type(x).__name__}") from None


def to_numpy(value: Tensor) -> np.ndarray:
    """The values as NumPy sees them: shared on the CPU, a copy from elsewhere."""
    if value.dtype is torch.bfloat16:
        raise TypeError("NumPy has no bfloat16; write x.astype('float32') first")
    return value.detach().resolve_conj().resolve_neg().cpu().numpy()


def bytes_of(value: Tensor) -> memoryview:
    """An array's bytes in the order of its axes."""
    ordered = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    flat = ordered.as_strided((value.numel(),), (1,))  # of one number torch keeps whatever stride it had
    return flat.view(torch.uint8).numpy().data
