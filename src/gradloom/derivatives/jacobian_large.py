"""Writing a structured Jacobian out: whole, or in pieces of rows that can be watched and interrupted."""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.blocks.dense import dense, lent_memory, write, written
from ..core.errors import ShapeError, TypeRefused
from ..core.progress import progress
from ..kernels import NAMES, Tensor, to_numpy

PIECE = 1 << 27  # bytes written at once


def written_whole(block: Block | None, memory: Tensor, kind: str, conjugate: bool, *, zeroed: bool = True, clean: bool = True) -> Tensor:
    """The entries in `memory`: the terms in x_dot alone, or added to those in conj(x_dot) (`kind` "sum"), as gradients ("gradient")."""
    if block is None:
        return memory if clean else memory.zero_()
    if kind == "terms" or kind == "sum" and not any(t.conjugate for t in block.terms):
        return write(block, memory, zeroed=zeroed, clean=clean, conjugate=conjugate)
    plain, other = dense(block), dense(block, conjugate=True)
    return memory.copy_((plain if kind == "sum" else plain.conj()) + other)


def write_large(block: Block | None, out: Any, shape: tuple[int, ...], dtype: torch.dtype, kind: str, conjugate: bool) -> Any:
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
                part = torch.zeros((rows.stop - rows.start, *shape[1:]), dtype=dtype)
                out[rows] = to_numpy(written_whole(piece, part, kind, conjugate))
    if lent is not None:
        written(out, lent)
    return out


def _rows(block: Block, rows: slice) -> Block:
    """Some rows along u's first axis."""
    return block if rows.stop - rows.start == block.shape[0] else action.selected(block, 0, torch.arange(rows.start, rows.stop))


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
        memory = out.detach()
    elif isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise TypeRefused("out is read-only; give an array that can be written")
        memory = torch.from_numpy(np.asarray(out))
    elif not (hasattr(out, "shape") and hasattr(out, "dtype") and hasattr(out, "__setitem__") and shape) or hasattr(out, "_value"):
        raise TypeRefused(f"out is a NumPy array (memory-mapped ones too), a torch tensor, or an array that takes out[a:b] = values (zarr, h5py), "
                          f"not {type(out).__name__}")
    its = str(out.dtype) if memory is None else NAMES.get(memory.dtype, str(memory.dtype))
    if tuple(out.shape) != shape or np.dtype(its) != np.dtype(NAMES[dtype]) if its != "bfloat16" else memory is None or memory.dtype is not dtype:
        raise ShapeError(f"out has shape {tuple(out.shape)} and type {its}; {shape} and {NAMES[dtype]} are needed")
    return memory
