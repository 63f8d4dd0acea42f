"""The product of two large arrays over named indices as matrix products, each operand read in the order in which it
lies in memory.

An operand that is no matrix as it lies (the windows of an image, of which neighbours share their elements) is copied
for one matrix product at a time: the copy stays in cache, and the whole of it is never in memory.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from ..machine.dtypes import Tensor
from ..machine.products import matrix_product
from .axis import Ids, Index

# products of numbers in one matrix product, from which it repays being called by itself; smaller ones are one batch
LARGE = 1 << 22


def as_matrix_products(a: tuple[Tensor, Ids], b: tuple[Tensor, Ids], keep: Ids) -> Tensor | None:
    """The sum of a * b over what `keep` lacks, as an array over `keep`; None where it is no large matrix product on a
    CPU."""
    (x, xs), (y, ys) = a, b
    summed = [i for i in xs if i in ys and i not in keep]
    left, right = [i for i in xs if i not in ys], [i for i in ys if i not in xs]
    if not (summed and left and right and x.is_cpu and y.is_cpu) or not set(keep) >= {*left, *right}:
        return None
    m, k, n = (math.prod(i.size for i in ids) for ids in (left, summed, right))
    batch = [i for i in xs if i in ys and i in keep]
    if m * k * n < LARGE or not all(i.size for i in batch):
        return None
    steps = _steps(*a), _steps(*b)
    first, second = steps if x.numel() >= y.numel() else steps[::-1]  # the larger one is read in its order
    together = [sorted(ids, key=lambda i: (-first[i], -second[i])) for ids in (batch, summed)]
    rows, columns = sorted(left, key=lambda i: -steps[0][i]), sorted(right, key=lambda i: -steps[1][i])
    left_matrix = _matrices(x, xs, steps[0], together[0], rows, together[1])
    right_matrix = _matrices(y, ys, steps[1], together[0], together[1], columns)
    sizes = [i.size for i in together[0]]
    here = (0,) * len(sizes)
    one, other = left_matrix(here), right_matrix(here)
    # the left operand is read along what is summed, or is the smaller one
    turned = one.stride(1) != 1 and (other.stride(0) == 1 or n < m)

    def product(one: Tensor, other: Tensor) -> Tensor:
        return matrix_product(other.mT, one.mT) if turned else matrix_product(one, other)

    if math.prod(sizes) == 1:
        result = product(one, other)
    else:
        result = x.new_empty((*sizes, *((n, m) if turned else (m, n))))
        for place in itertools.product(*map(range, sizes)):
            result[place] = product(left_matrix(place), right_matrix(place))
    order = (*together[0], *((*columns, *rows) if turned else (*rows, *columns)))
    return result.reshape([i.size for i in order]).permute([order.index(i) for i in keep])


def _steps(array: Tensor, ids: Ids) -> dict[Index, float]:
    """How far a step of each index moves in memory; not at all is as good as furthest."""
    return {i: stride if stride and i.size > 1 else math.inf for i, stride in zip(ids, array.stride(), strict=True)}


def _matrices(array: Tensor, ids: Ids, steps: dict[Index, float], batch: Sequence[Index], rows: Sequence[Index],
              columns: Sequence[Index]) -> Callable[[tuple[int, ...]], Tensor]:
    """The matrix of rows and columns at each place of the batch; what is together in memory stays together where it has
    to be copied."""
    across = min(map(steps.__getitem__, rows)) < min(map(steps.__getitem__, columns))
    groups = (columns, rows) if across else (rows, columns)
    array = array.permute([ids.index(i) for i in (*batch, *groups[0], *groups[1])])
    shape = [math.prod(i.size for i in group) for group in groups]

    def matrix(place: tuple[int, ...]) -> Tensor:
        found = array[place].reshape(shape)
        if found.stride(1) != 1 or found.stride(0) < found.shape[1]:
            found = found.contiguous()
        return found.mT if across else found

    return matrix
