"""What torch's functions that move elements record: views, selections, joins."""
from __future__ import annotations

import math
from typing import Any

from ...core.array import raw
from ...machine.questions import read
from ..by_position import positions, taken
from ..numpy.mathematics import FUNCTIONS as NUMPY
from ..protocol import array, gl
from .table import FUNCTIONS, axes, of_torch

# ----- shapes -----


@of_torch
def reshape(input: Any, shape: Any) -> Any:
    size = tuple(shape)
    if -1 in size:
        rest = math.prod(n for n in size if n != -1)
        size = tuple(math.prod(input.shape) // max(rest, 1) if n == -1 else n for n in size)
    return input if size == tuple(input.shape) else gl.reshape(input, size)


FUNCTIONS["ravel"] = lambda input: gl.reshape(input, (-1,))
FUNCTIONS["permute"] = lambda input, dims: gl.permute_dims(input, tuple(dims))
FUNCTIONS["movedim"] = FUNCTIONS["moveaxis"] = lambda input, source, destination: (
    gl.moveaxis(input, source, destination) if input.ndim else input)
FUNCTIONS["unsqueeze"] = lambda input, dim: gl.expand_dims(input, axis=dim)


@of_torch
def squeeze(input: Any, dim: Any = None) -> Any:
    if dim is None:
        return NUMPY["squeeze"](input)
    dims = dim if isinstance(dim, (list, tuple)) else (dim,)
    gone = tuple(k for k in dims if input.ndim and input.shape[k] == 1)
    return NUMPY["squeeze"](input, gone) if gone else input


FUNCTIONS["t"] = lambda input: gl.matrix_transpose(input) if input.ndim == 2 else input
FUNCTIONS["adjoint"] = lambda input: gl.conj(gl.matrix_transpose(input))
FUNCTIONS["broadcast_to"] = lambda input, size: gl.broadcast_to(input, size)


@of_torch
def broadcast_tensors(*tensors: Any) -> Any:
    return NUMPY["broadcast_arrays"](*(tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors))


@of_torch
def flip(input: Any, *dims: Any, **named: Any) -> Any:
    """The axes one by one, in a list, or as dims=."""
    axis = named["dims"] if named else dims[0] if len(dims) == 1 else dims
    return gl.flip(input, axis=axes(axis)) if input.ndim and (isinstance(axis, int) or len(axis)) else input


FUNCTIONS["fliplr"], FUNCTIONS["flipud"] = NUMPY["fliplr"], NUMPY["flipud"]


@of_torch
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    shifts = tuple(shifts) if isinstance(shifts, (list, tuple)) else (shifts,)
    axis = axes(dims)
    if axis is None:
        return gl.roll(input, shifts[0], axis=None)
    return gl.roll(input, shifts, axis=axis if isinstance(axis, tuple) else (axis,))


FUNCTIONS["rot90"] = lambda input, k=1, dims=(0, 1): NUMPY["rot90"](input, k, dims)
FUNCTIONS["tile"] = lambda input, dims: gl.tile(input, dims)
FUNCTIONS["diagonal"] = lambda input, offset=0, dim1=0, dim2=1: NUMPY["diagonal"](input, offset, dim1, dim2)
FUNCTIONS["diag"] = lambda input, diagonal=0: NUMPY["diag"](input, diagonal)
FUNCTIONS["trace"] = lambda input: NUMPY["trace"](input)
FUNCTIONS["tril"] = lambda input, diagonal=0: NUMPY["tril"](input, diagonal)
FUNCTIONS["triu"] = lambda input, diagonal=0: NUMPY["triu"](input, diagonal)
FUNCTIONS["narrow"] = lambda input, dim, start, length: _sliced(input, dim, start, start + length)
FUNCTIONS["select"] = lambda input, dim, index: input[(*(slice(None),) * (dim % input.ndim), int(index))]
FUNCTIONS["unbind"] = lambda input, dim=0: tuple(FUNCTIONS["select"](input, dim, k) for k in range(input.shape[dim]))
FUNCTIONS["index_select"] = lambda input, dim, index: (
    gl.take(input, raw(index).reshape(-1), axis=dim) if input.ndim else input)


@of_torch
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    index = raw(index)
    if not input.ndim:
        return input if not index.ndim else gl.reshape(input, tuple(index.shape))
    if (index.ndim == input.ndim and all(k == dim % input.ndim or n == input.shape[k]
                                         for k, n in enumerate(index.shape))):
        return gl.take_along_axis(input, index, axis=dim)
    return taken(input, positions(input).gather(dim, index))


FUNCTIONS["take_along_dim"] = lambda input, indices, dim=None: (
    gl.take_along_axis(input, indices, axis=dim) if dim is not None
    else gl.take_along_axis(gl.reshape(input, (-1,)), raw(indices).reshape(-1), axis=0))
FUNCTIONS["__getitem__"] = lambda input, index: array(input)[index]
FUNCTIONS["repeat_interleave"] = lambda input, repeats, dim=None, *, output_size=None: gl.repeat(
    input, repeats, axis=dim)


def _sliced(x: Any, dim: int, start: int, stop: int) -> Any:
    return x[(*(slice(None),) * (dim % x.ndim), slice(start, stop))]


@of_torch
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    if not input.ndim:
        return input
    order = list(range(input.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return gl.permute_dims(input, tuple(order))


FUNCTIONS["swapaxes"] = lambda input, axis0, axis1: transpose(input, axis0, axis1)
FUNCTIONS["swapdims"] = transpose


@of_torch
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    n = input.ndim
    first, last = start_dim % n if n else 0, end_dim % n if n else 0
    return gl.reshape(input, (*input.shape[:first], math.prod(input.shape[first:last + 1]), *input.shape[last + 1:]))


@of_torch
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    dim = dim % input.ndim
    return gl.reshape(input, (*input.shape[:dim], *sizes, *input.shape[dim + 1:]))


@of_torch
def cat(tensors: Any, dim: int = 0) -> Any:
    parts = [x for x in tensors if tuple(x.shape) != (0,)] or [tensors[0]]  # an empty vector joins anything, in torch
    return gl.concat(parts, axis=dim)


FUNCTIONS["concat"] = FUNCTIONS["concatenate"] = cat
FUNCTIONS["stack"] = lambda tensors, dim=0: gl.stack(list(tensors), axis=dim)
for _name in ("vstack", "hstack", "dstack", "column_stack"):
    FUNCTIONS[_name] = lambda tensors, _name=_name: NUMPY[_name](list(tensors))
FUNCTIONS["row_stack"] = FUNCTIONS["vstack"]
for _name in ("atleast_1d", "atleast_2d"):
    FUNCTIONS[_name] = lambda *tensors, _name=_name: (
        tuple(NUMPY[_name](x) for x in tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple))
        else NUMPY[_name](*tensors))
FUNCTIONS["meshgrid"] = lambda *tensors, indexing="ij": NUMPY["meshgrid"](
    *(tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors), indexing=indexing)


@of_torch
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    n = tensor.shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        ends = [*range(size, n, size), n]
    else:
        ends = [sum(split_size_or_sections[:k + 1]) for k in range(len(split_size_or_sections))]
    return tuple(_sliced(tensor, dim, i, j) for i, j in zip([0, *ends[:-1]], ends, strict=True))


FUNCTIONS["chunk"] = lambda input, chunks, dim=0: split(input, max(-(-input.shape[dim] // chunks), 1), dim)


@of_torch
def tensor_split(input: Any, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None,
                 sections: Any = None, tensor_indices_or_sections: Any = None) -> Any:
    """A count of parts, or where they begin; either may be a tensor, and has one name or another."""
    where = next(w for w in (indices_or_sections, indices, sections, tensor_indices_or_sections) if w is not None)
    return tuple(NUMPY["array_split"](input, read(raw(where)) if hasattr(where, "tolist") else where, dim))
