"""Arrays as bytes that travel between processes, and as flat buckets that are summed."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ...machine.conversion import bytes_of
from ...machine.dtypes import Tensor

BUCKET = 25 * 2 ** 20  # bytes that one all-reduce takes
_CODES = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64, torch.complex64, torch.complex128)
_NOTHING = -1


def packed(tensors: Sequence[Tensor | None]) -> bytes:
    """Arrays, some of which are not there, as bytes: for each its type, its shape, its numbers."""
    parts: list[bytes] = []
    for x in tensors:
        if x is None:
            parts.append(np.array([_NOTHING], np.int64).tobytes())
            continue
        parts.append(np.array([_CODES.index(x.dtype), x.ndim, *x.shape], np.int64).tobytes())
        its = bytes(bytes_of(torch.view_as_real(x.detach().resolve_conj()) if x.dtype.is_complex else x))
        parts.append(its + b"\0" * (-len(its) % 8))
    return b"".join(parts)


def unpacked(data: bytes) -> list[Tensor | None]:
    """The arrays of such bytes, on the CPU."""
    found: list[Tensor | None] = []
    words, place = np.frombuffer(data, np.int64), 0
    while place < len(words):
        code = int(words[place])
        if code == _NOTHING:
            found.append(None)
            place += 1
            continue
        dtype, start = _CODES[code], place + 2 + int(words[place + 1])
        shape = tuple(map(int, words[place + 2:start]))
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = (torch.frombuffer(bytearray(data[8 * start:8 * start + size]), dtype=dtype) if size
               else torch.empty(0, dtype=dtype, device="cpu"))
        found.append(raw.reshape(shape))
        place = start + -(-size // 8)
    return found


def buckets(tensors: Sequence[Tensor]) -> Iterator[list[int]]:
    """The places of arrays that travel together: of one type, on one device, in order, until a bucket is full."""
    open_ones: dict[tuple[torch.dtype, torch.device], tuple[list[int], int]] = {}
    for k, x in enumerate(tensors):
        key = x.dtype, x.device
        places, size = open_ones.get(key, ([], 0))
        its = x.numel() * x.element_size()
        if places and size + its > BUCKET:
            yield places
            places, size = [], 0
        places.append(k)
        open_ones[key] = places, size + its
    for places, _ in open_ones.values():
        yield places


__all__ = ["BUCKET", "buckets", "packed", "unpacked"]
