"""Writing a structured Jacobian out: whole, or in pieces of rows that can be watched and interrupted."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ...blocks import action
from ...blocks.block import Block
from ...blocks.dense import dense, held, lent_memory, write, written
from ...core.errors import ShapeError, TypeRefused
from ...core.progress import progress
from ...machine.conversion import to_numpy
from ...machine.dtypes import DTYPES, NAMES, Tensor

PIECE = 1 << 27  # bytes written at once


def written_whole(block: Block | None, memory: Tensor, kind: str, conjugate: bool, *, zeroed: bool = True,
                  clean: bool = True) -> Tensor:
    """The entries in `memory`: the terms in x_dot alone, or added to those in conj(x_dot) (`kind` "both"), as gradients
    ("gradient")."""
    if block is None:
        return memory if clean else memory.zero_()
    if kind == "terms" or kind == "both" and not any(t.conjugate for t in block.terms):
        return write(block, memory, zeroed=zeroed, clean=clean, conjugate=conjugate)
    plain, other = dense(block), dense(block, conjugate=True)
    return memory.copy_((plain if kind == "both" else plain.conj()) + other)


def entries(block: Block | None, shape: tuple[int, ...], dtype: torch.dtype, device: Any, kind: str,
            conjugate: bool) -> Tensor:
    """The entries as an array that nobody writes to."""
    if kind == "both" and block is not None and block.dtype is dtype and (whole := held(block)) is not None:
        return whole  # quick way: it is there; the plain one is below
    return written_whole(block, torch.zeros(shape, dtype=dtype, device=device), kind, conjugate)


def write_large(block: Block | None, out: Any, shape: tuple[int, ...], dtype: torch.dtype,
                kind: str, conjugate: bool) -> Any:
    """Overwrite `out` whole, in pieces of rows where it is large."""
    lent = lent_memory(out, block) if block is not None else None
    memory = lent if lent is not None else _memory(out, shape, dtype)
    total = math.prod(shape) * dtype.itemsize
    if memory is not None and (total <= 2 * PIECE or not block or not block.ndim):
        written_whole(block, memory, kind, conjugate, zeroed=lent is not None, clean=False)
    else:
        steps = list(_pieces(shape, dtype, getattr(out, "chunks", None)))
        for rows in progress(steps, len(steps), "writing a Jacobian"):
            piece = None if block is None else _rows(block, rows)
            if memory is not None:
                written_whole(piece, memory[rows], kind, conjugate, zeroed=lent is not None, clean=False)
            else:
                part = torch.zeros((rows.stop - rows.start, *shape[1:]) if shape else (), dtype=dtype,
                                   device="cpu" if block is None else block.device)
                out[rows if shape else ()] = to_numpy(written_whole(piece, part, kind, conjugate))
    if lent is not None:
        written(out, lent)
    return out


def _rows(block: Block, rows: slice) -> Block:
    """Some rows along u's first axis."""
    if not block.ndim or rows.stop - rows.start == block.shape[0]:
        return block
    return action.selected(block, 0, torch.arange(rows.start, rows.stop, device="cpu"))


def _pieces(shape: tuple[int, ...], dtype: torch.dtype, chunks: Any) -> Iterator[slice]:
    """Slices of the first axis, of whole chunks where the array has some."""
    row = max(1, math.prod(shape[1:]) * dtype.itemsize)
    step = max(1, PIECE // row)
    if chunks and isinstance(chunks, tuple) and isinstance(chunks[0], int):
        step = max(chunks[0], step // chunks[0] * chunks[0])
    for start in range(0, shape[0] if shape else 1, step):
        yield slice(start, min(start + step, shape[0] if shape else 1))


def _memory(out: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
    """A tensor over the memory of `out`; None for an array that only takes `out[a:b] = values`."""
    memory: Tensor | None = None
    if isinstance(out, Tensor):
        if out.layout is not torch.strided or out.is_meta or out.is_quantized or out.is_conj() or out.is_neg():
            raise TypeRefused(
                "out has no memory of its own numbers to write to; give a dense tensor, as torch.empty(shape, dtype=) "
                "makes one")
        memory = out.detach()
    elif isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise TypeRefused("out is read-only; give an array that can be written")
        if out.dtype.name not in DTYPES:
            raise TypeRefused(f"out is an array of {out.dtype}; {NAMES[dtype]} is needed")
        shared = out.dtype.isnative and all(s >= 0 and s % out.itemsize == 0 for s in out.strides)  # what torch takes
        if shared and type(out) in (np.ndarray, np.memmap):
            memory = torch.from_numpy(np.asarray(out))
    elif (not (hasattr(out, "shape") and hasattr(out, "dtype") and hasattr(out, "__setitem__") and shape)
          or hasattr(out, "_value")):
        raise TypeRefused(
            "out is a NumPy array (memory-mapped ones too), a torch tensor, or an array that takes out[a:b] = values "
            f"(zarr, h5py), not {type(out).__name__}")
    its = np.dtype(str(out.dtype)).name if memory is None else NAMES.get(memory.dtype, str(memory.dtype))
    if tuple(out.shape) != shape or its != NAMES[dtype]:
        raise ShapeError(f"out has shape {tuple(out.shape)} and type {its}; {shape} and {NAMES[dtype]} are needed")
    if (isinstance(out, Tensor) and _overlaps(out.stride(), shape, 1) or isinstance(out, np.ndarray)
        and _overlaps(out.strides, shape, out.itemsize)):
        raise ShapeError(
            "several elements of out lie in the same memory; give an array of its own, not one that was expanded")
    return memory


def _overlaps(strides: Sequence[int], shape: Sequence[int], size: int) -> bool:
    """Whether elements of this size may share memory: they do not where each stride passes over all that the smaller
    ones reach."""
    reach = size
    for stride, n in sorted((abs(s), n) for s, n in zip(strides, shape, strict=True) if n > 1):
        if stride < reach:
            return 0 not in shape
        reach += stride * (n - 1)
    return False
