"""The safetensors format: a header in JSON that says where each array lies, and the arrays' bytes.

Written out here because a file of ours is brought to the disk before it takes its place, has a checksum for each array,
and says what is wrong with it. Everything in a header is checked before a byte of an array is read.
"""
from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import torch

from ..core.errors import FileRefused
from ..machine.conversion import bytes_of
from ..machine.dtypes import Tensor
from .atomic import replacing

LONGEST_HEADER = 100_000_000  # bytes, as the format says
TYPES = {"BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
         "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
WORDS = {dtype: word for word, dtype in TYPES.items()}
# Types that others write and that are no types of arrays here: {word: bytes of one number}.
OTHER_TYPES = {"U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "C64": 8}
_BEGINNINGS = {b"PK\x03\x04": "a zip archive, such as torch.save and Keras write",
               b"\x80": "a pickle, which is never read", b"\x89HDF": "an HDF5 file",
               b"\x93NUMPY": "a NumPy file, which np.load reads",
               b"MATLAB": "a MATLAB file, which scipy.io.loadmat reads"}


class Entry(NamedTuple):
    """Where an array lies in a file, and what it is."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Header(NamedTuple):
    """What a file says of itself: its arrays, its texts, and where the arrays' bytes begin."""

    arrays: dict[str, Entry]
    texts: dict[str, str]
    begin: int


# ----- writing --------------------------------------------------------------------------------------------------------


def write(path: Any, arrays: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """A file of arrays and texts, there as a whole or not at all."""
    names = sorted(arrays, key=lambda name: -arrays[name].element_size())  # so that each begins on its own boundary
    entries: dict[str, Any] = {"__metadata__": dict(texts)}
    place = 0
    for name in names:
        x = arrays[name]
        size = x.numel() * x.element_size()
        entries[name] = {"dtype": WORDS[x.dtype], "shape": list(x.shape), "data_offsets": [place, place + size]}
        place += size
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > LONGEST_HEADER:
        raise FileRefused(f"the header of {path} would have {len(header):,} bytes, and safetensors allows "
                          f"{LONGEST_HEADER:,}; save the parts in files of their own")
    with replacing(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for name in names:
            file.write(bytes_of(arrays[name]))


# ----- reading --------------------------------------------------------------------------------------------------------


def read_header(file: BinaryIO, path: Any) -> Header:
    """What a file says of itself, checked against what it is."""
    size = os.fstat(file.fileno()).st_size
    beginning = file.read(8)
    length = int.from_bytes(beginning, "little")
    if len(beginning) < 8 or not 2 <= length <= min(size - 8, LONGEST_HEADER):
        kind = next((f"; it begins as {kind}" for start, kind in _BEGINNINGS.items() if beginning.startswith(start)),
                    "")
        raise FileRefused(f"{path} is no safetensors file, or a part of one: its {size:,} bytes cannot hold a header "
                          f"of {length:,}{kind}; give a file that save, save_weights or safetensors wrote")
    entries = parsed(file.read(length), f"the header of {path}")
    if not isinstance(entries, dict):
        raise refused(path, "its header is no table")
    texts = entries.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise refused(path, "its __metadata__ are no texts")
    arrays = {name: _entry(name, given, path) for name, given in entries.items()}
    place = 0
    for name, entry in sorted(arrays.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != place:
            raise refused(path, f"the array {name!r} begins at byte {entry.start:,}, and the one before it ends at "
                          f"{place:,}")
        place = entry.stop
    if 8 + length + place != size:
        raise refused(path, f"its arrays need {place:,} bytes, and it has {size - 8 - length:,}")
    return Header(arrays, texts, 8 + length)


def _entry(name: str, given: Any, path: Any) -> Entry:
    """One array of a header: its type, its shape and its place, which fit each other."""
    if not isinstance(given, dict) or set(given) != {"dtype", "shape", "data_offsets"}:
        raise refused(path, f"the array {name!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    if not isinstance(dtype, str) or dtype not in TYPES and dtype not in OTHER_TYPES:
        raise refused(path, f"the array {name!r} has the type {dtype!r}, which safetensors does not have")
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
        raise refused(path, f"the array {name!r} has the shape {shape!r} at {offsets!r}")
    width = TYPES[dtype].itemsize if dtype in TYPES else OTHER_TYPES[dtype]
    if math.prod(max(n, 1) for n in shape) * width >= 2 ** 63:
        raise refused(path, f"the array {name!r} has the shape {tuple(shape)}, which nothing can hold")
    if len(shape) > 64 or offsets[1] - offsets[0] != math.prod(shape) * width:
        raise refused(path, f"the array {name!r} of shape {tuple(shape)} and type {dtype} does not fill the bytes "
                      f"{offsets[0]:,} to {offsets[1]:,}")
    return Entry(dtype, tuple(shape), *offsets)


def _sizes(given: Any) -> bool:
    return isinstance(given, list) and all(type(n) is int and 0 <= n < 2 ** 62 for n in given)


def read_array(file: BinaryIO, header: Header, name: str, path: Any) -> tuple[Tensor, int]:
    """An array of a file, and the checksum of its bytes."""
    entry = header.arrays[name]
    if entry.dtype not in TYPES:
        raise refused(path, f"the array {name!r} is of type {entry.dtype}, of which there are no arrays here")
    raw = torch.empty(entry.stop - entry.start, dtype=torch.uint8, device="cpu")
    view = raw.numpy().data
    file.seek(header.begin + entry.start)
    if file.readinto(view) != len(view):  # type: ignore[attr-defined]
        raise refused(path, f"it ended while the array {name!r} was read")
    return raw.view(TYPES[entry.dtype]).reshape(entry.shape), zlib.crc32(view)


def parsed(text: str | bytes, what: str) -> Any:
    """JSON without repeated names and without NaN."""
    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands there twice")
        return found

    def no_number(word: str) -> Any:
        raise ValueError(f"{word} is no number of JSON")

    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        return json.loads(text, object_pairs_hook=table, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"{what} is not JSON as safetensors has it ({error}); the file is damaged, write it "
                          "anew") from None


def refused(path: Any, reason: str) -> FileRefused:
    """What is said of a file that is not what it says."""
    return FileRefused(f"{path} is damaged, or was not written by this library: {reason}; write it anew")


__all__ = ["Header", "parsed", "read_array", "read_header", "refused", "write"]
