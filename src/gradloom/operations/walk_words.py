"""Which operations core and the walks use themselves: the only place that says so. They are reached as
`words.reshape(x, shape)`."""
from __future__ import annotations

from typing import Any

from ..core.tables import words
from .creation import random
from .elementwise import arithmetic, choice
from .matrices import contraction
from .movement import axes, joining, labelling, selection
from .sums import reduction

words.astype = arithmetic.astype
words.conj = arithmetic.conj
words.real = arithmetic.real
words.square = arithmetic.square
words.where = choice.where
words.sum = reduction.sum

words.reshape = axes.reshape
words.broadcast_to = axes.broadcast_to
words.permute_dims = axes.permute_dims
words.matrix_transpose = axes.matrix_transpose
words.stack = joining.stack
words.concat = joining.concat
words.stripdims = labelling.stripdims

words.matmul = contraction.matmul
words.norm = reduction.norm
words.randn = random.randn
words.bernoulli = random.bernoulli


def _multiply_add(a: Any, b: Any, c: Any) -> Any:
    return arithmetic.multiply_add.apply((a, b, c))


def _scale(a: Any, b: Any) -> Any:
    return arithmetic.scale.operation.apply((a, b))  # type: ignore[attr-defined]


def put(x: Any, where: Any, axis: int, size: int) -> Any:
    """Rows added to their places along an axis of the given size."""
    return selection.put.apply((x,), {"where": where, "axis": axis, "size": size})


words.multiply_add = _multiply_add  # a + b * c, in one pass
words.scale = _scale  # a * b where 0 times infinity is 0
words.put = put
