"""What is declared: operations by name, the public functions, and the operations that walks themselves use."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .operation import Operation

OPERATIONS: dict[str, Operation] = {}
PUBLIC: dict[str, Callable[..., Any]] = {}


class Words:
    """The operations that core and the walks use themselves: functions of tensors, dlarrays and Blocks alike, as rules
    are.

    `operations/walk_words.py` says which function each is, and is the only place that does.
    """

    astype: Callable[..., Any]
    bernoulli: Callable[..., Any]
    broadcast_to: Callable[..., Any]
    concat: Callable[..., Any]
    conj: Callable[..., Any]
    matmul: Callable[..., Any]
    matrix_transpose: Callable[..., Any]
    multiply_add: Callable[..., Any]
    norm: Callable[..., Any]
    permute_dims: Callable[..., Any]
    put: Callable[..., Any]
    randn: Callable[..., Any]
    real: Callable[..., Any]
    reshape: Callable[..., Any]
    scale: Callable[..., Any]
    square: Callable[..., Any]
    stack: Callable[..., Any]
    stripdims: Callable[..., Any]
    sum: Callable[..., Any]
    where: Callable[..., Any]


words = Words()
