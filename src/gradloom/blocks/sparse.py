"""A Block as a sparse matrix: only the entries that its structure has."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.errors import needed
from ..machine.dtypes import NAMES, Tensor, entry_type
from .axis import Axis, Index
from .block import Block
from .factors import spread_over, without_repeats
from .term import Term


def sparse_of(block: Block) -> Any:
    """The matrix of shape (out size, in size) as a SciPy CSR array; entries that several terms have are added."""
    scipy_sparse = needed("scipy.sparse", "J.tosparse()")
    rows, columns, values = [], [], []
    for term in block.terms:
        where = entries(term, block)
        rows.append(where[0].numpy())
        columns.append(where[1].numpy())
        values.append(where[2].to("cpu", entry_type(block.dtype)).numpy())
    shape = (math.prod(block.shape), math.prod(block.in_shape))
    if not rows:
        return scipy_sparse.csr_array(shape, dtype=NAMES[entry_type(block.dtype)])
    coo = scipy_sparse.coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    return coo.tocsr()


def entries(term: Term, block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """(row, column, value) of every entry of a term."""
    rows, columns, there = places(term, block)
    values = term.values(tuple(term.carried()), block.like).expand(there.shape)
    return rows, columns, values[there.to(values.device)]


def places(term: Term, block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """(row, column) of every entry of a term, and where among all values of its indices they are; a term without data
    has places too."""
    order = tuple(term.carried())
    sizes = [i.size for i in order]
    rows, rows_there = _flat(term.out, block.shape, order)
    columns, columns_there = _flat(term.inn, block.in_shape, order)
    there = (rows_there & columns_there).expand(sizes)
    return rows.expand(sizes)[there], columns.expand(sizes)[there], there


def _flat(axes: Sequence[Axis], shape: Sequence[int], order: Sequence[Index]) -> tuple[Tensor, Tensor]:
    """The position in a flattened array over the indices, and whether there is one."""
    flat, there = torch.zeros([1] * len(order), dtype=torch.int64,
                              device="cpu"), torch.ones([1] * len(order), dtype=torch.bool, device="cpu")
    for axis, n in zip(axes, shape, strict=True):
        table, ids = without_repeats(axis.table(), axis.indices)
        table = spread_over(table, ids, order)
        flat, there = flat * n + table.clamp(min=0), there & (table >= 0)
    return flat, there
