"""Products of a matrix and a vector, and of two vectors, each one operation; contraction puts their operands in
order."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ...blocks import action
from ...core.kinds.multilinear import Multilinear
from ...core.operation import padded
from ...core.rules import Rule
from ...core.tables import OPERATIONS
from ...core.trace import Node
from ...machine.dtypes import Tensor, promoted
from ...machine.layouts import settled
from ...machine.products import matrix_product
from ..elementwise.arithmetic import conj
from ..movement.axes import matrix_transpose, reshape


class _Product(Multilinear):
    """A product of a and b, which have one axis more than the result, or one fewer: tangents are given the axes that
    they lack of that."""

    def __init__(self, name: str, kernel: Any, more: tuple[int, int], axes: Any, transposes: dict[str, Rule],
                 fused_pull: dict[str, Rule], samples: Any, **rest: Any):
        super().__init__(name, kernel, ("a", "b"), [("a", "b")], transposes, fused_pull=fused_pull,
                         axes=axes, samples=samples, act=action.contraction, **rest)
        self.more = more

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        dots = [None if dot is None else padded(dot, lead, node.ndim + more)
                for more, dot in zip(self.more, dots, strict=True)]
        return super().push(v, params, node, dots, lead)


def _conj(x: Any) -> Any:
    return conj(x) if x.dtype.is_complex else x


# ----- a matrix times a vector, and the product of all entries of two vectors -----


def _matvec_kernel(a: Tensor, b: Tensor) -> Tensor:
    if b.ndim == 1:
        return torch.matmul(a, b)
    if a.ndim == 2:
        return matrix_product(b, a.mT)  # vectors as rows
    return torch.matmul(a, b.unsqueeze(-1)).squeeze(-1)


def _matvec_fused(y_bar: Tensor, a: Tensor, b_shape: Any) -> Tensor:
    """The cotangent of the vector, summed over all rows of all matrices at once where there is one vector for all of
    them."""
    if len(b_shape) == 1:
        return torch.matmul(a.flatten(0, -2).mH, y_bar.flatten())
    return _matvec_kernel(a.mH, y_bar)


outer_operation: Any
matvec: Any = _Product(
    "matvec", _matvec_kernel, (1, 0), "... i k, ... k -> ... i", whole_axes=(-1, -1),
    transposes={"a": lambda y_bar, b: outer_operation.apply((y_bar, _conj(b))),
                "b": lambda y_bar, a: matvec.apply((_conj(matrix_transpose(a)), y_bar))},
    fused_pull={"a": lambda y_bar, b: y_bar.unsqueeze(-1) * b.conj().unsqueeze(-2), "b": _matvec_fused},
    samples=[((2, 3), (3,), {}), ((5, 2, 3), (3,), {}), ((2, 2, 3), (2, 3), {}), ((1, 3), (3,), {}),
             ((0, 3), (3,), {}), ((2, 0), (0,), {})])
outer_operation = _Product(
    "outer", lambda a, b: matrix_product(a.unsqueeze(-1), b.unsqueeze(-2)), (-1, -1), "... i, ... j -> ... i j",
    transposes={"a": lambda y_bar, b: matvec.apply((y_bar, _conj(b))),
                "b": lambda y_bar, a: matvec.apply((matrix_transpose(y_bar), _conj(a)))},
    fused_pull={"a": lambda y_bar, b: _matvec_kernel(y_bar, b.conj()),
                "b": lambda y_bar, a: _matvec_kernel(y_bar.mT, a.conj())},
    samples=[((2,), (3,), {}), ((1,), (3,), {}), ((0,), (3,), {}), ((2, 3), (5,), {}), ((2, 3), (2, 1), {})])


# ----- a sum of products along an axis -----


def _vecdot_kernel(a: Tensor, b: Tensor, axis: int) -> Tensor:
    if a.ndim == 1 == b.ndim and a.dtype is b.dtype and (a.is_floating_point() or a.is_complex()):
        return torch.dot(a, b)
    return (a * b).sum(axis, dtype=promoted(a.dtype, b.dtype))


def _vecdot_axes(inputs: Any, params: Any) -> Any:
    rank = max(x.ndim for x in inputs)
    letters = [f"a{k}" for k in range(rank)]
    return [letters[rank - x.ndim:] for x in inputs], [*letters[:rank + params["axis"]],
                                                       *letters[rank + params["axis"]:][1:]]


def _put_back(y_bar: Any, axis: int) -> Any:
    """The axis that was summed over, with size 1."""
    at = y_bar.ndim + 1 + axis
    return OPERATIONS["reshape"].apply((y_bar,), {"shape": (*y_bar.shape[:at], 1, *y_bar.shape[at:])})


vecdot_operation: Any = _Product(
    "vecdot", _vecdot_kernel, (1, 1), _vecdot_axes, whole_axes=("axis", "axis"),
    transposes={"a": lambda y_bar, b, axis: _put_back(y_bar, axis) * _conj(b),
                "b": lambda y_bar, a, axis: _put_back(y_bar, axis) * _conj(a)},
    fused_pull={"a": lambda y_bar, b, axis: y_bar.unsqueeze(axis) * b.conj(),
                "b": lambda y_bar, a, axis: y_bar.unsqueeze(axis) * a.conj()},
    samples=[((3,), (3,), {"axis": -1}), ((2, 3), (3,), {"axis": -1}), ((3, 1), (3, 4), {"axis": -2}),
             ((0, 3), (1, 3), {"axis": -1})])


# ----- kron -----


def _apart(x: Any, ndim: int, first: bool) -> Any:
    """An axis of size 1 after each of the last `ndim` axes, or before each."""
    lead = x.ndim - ndim
    return reshape(x, (*x.shape[:lead], *[n for size in x.shape[lead:] for n in ((size, 1) if first else (1, size))]))


def _together(x: Any, ndim: int) -> Any:
    """The last axes merged two by two."""
    lead = x.ndim - 2 * ndim
    return reshape(x, (*x.shape[:lead], *[math.prod(x.shape[k:k + 2]) for k in range(lead, x.ndim, 2)]))


def _kron_of(a: Any, b: Any, ndim: int) -> Any:
    return _together(_apart(a, ndim, True) * _apart(b, ndim, False), ndim)


def _kron_kernel(a: Tensor, b: Tensor, ndim: int) -> Any:
    return (torch.kron(settled(a.contiguous()), settled(b.contiguous())) if a.ndim == ndim == b.ndim
            else _kron_of(a, b, ndim))


def _kron_transpose(y_bar: Any, other: Any, a_shape: Any, b_shape: Any, ndim: int, first: bool) -> Any:
    """For the first operand, or the second: summed over the axes of the other one by one, which torch does faster than
    all at once."""
    pairs = [n for k in range(-ndim, 0) for n in (a_shape[k], b_shape[k])]
    g = reshape(y_bar, (*y_bar.shape[:y_bar.ndim - ndim], *pairs)) * _apart(_conj(other), ndim, not first)
    for k in range(-1, -2 * ndim, -2) if first else range(-2 * ndim, 0, 2):
        g = OPERATIONS["sum"].apply((g,), {"axis": (k,), "keepdims": True})
    shape = a_shape if first else b_shape
    return reshape(g, (*g.shape[:g.ndim - 2 * ndim], *shape[len(shape) - ndim:]))


kron_operation = Multilinear(
    "kron", _kron_kernel, ("a", "b"), [("a", "b")],
    transposes={"a": lambda y_bar, b, a_shape, b_shape, ndim: _kron_transpose(y_bar, b, a_shape, b_shape, ndim, True),
                "b": lambda y_bar, a, a_shape, b_shape, ndim: _kron_transpose(y_bar, a, a_shape, b_shape, ndim, False)},
    broadcast=True, act=lambda operation, inputs, params: _kron_of(*inputs, **params),
    samples=[((2, 3), (3, 1), {"ndim": 2}), ((2,), (3,), {"ndim": 1}), ((0, 2), (1, 3), {"ndim": 2}),
             ((2, 1, 2), (1, 3, 2), {"ndim": 3})])


__all__: list[str] = []
