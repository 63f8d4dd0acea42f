"""Writing a Block as one array: strided writes along its diagonals, and pooled memory that remembers its zeros."""
from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch

from ..machine.caches import cache
from ..machine.dtypes import NUMBER_TYPES, Tensor
from .axis import Index
from .block import Block
from .factors import Factor, contracted, repeated
from .term import Term


def write(block: Block, out: Tensor, zeroed: bool = False, clean: bool = False, conjugate: bool = False) -> Tensor:
    """Write d out / d in to `out`, of shape (*shape, *in_shape), whole.

    `zeroed`: it is zero already wherever the Block is zero. `clean`: it is zero everywhere.
    """
    whole = math.prod(block.shape) * math.prod(block.in_shape)
    covering: list[Term] = []
    others: list[Term] = []
    for t in block.terms:
        if t.conjugate == conjugate and (count := t.represented):
            covers = count == whole and all([a.positions is None for a in (*t.out, *t.inn)])
            (covering if covers else others).append(t)
    plans = [(t, *_steps(t, out)) for t in (*covering, *others)]
    if not clean and not covering and not (zeroed and len(plans) == 1 and _is_direct(*plans[0][2:])):
        out.zero_()
    for k, plan in enumerate(plans):
        _write_term(*plan, out, block.like, add=k > 0)
    return out


def _steps(term: Term, out: Tensor) -> tuple[int, dict[Index, int], list[tuple[Any, int]]]:
    """How far one step of each index moves in memory, from where, and the axes that do not move evenly."""
    order = list(term.carried())
    steps, start = dict.fromkeys(order, 0), 0
    tables: list[tuple[Any, int]] = []
    for axis, stride in zip((*term.out, *term.inn), out.stride(), strict=True):
        affine = axis.affine()
        if affine is None:
            tables.append((axis, stride))
            continue
        start += affine[0] * stride
        for i, step in zip(axis.indices, affine[1], strict=True):
            steps[i] += step * stride
    return start, steps, tables


def _is_direct(steps: dict[Index, int], tables: Sequence[Any]) -> bool:
    """Whether a term's entries have evenly spaced places of their own: windows of windows meet in one place."""
    reach = 0
    for i in sorted(steps, key=steps.__getitem__):
        if i.size > 1:
            if steps[i] <= reach:
                return False
            reach += (i.size - 1) * steps[i]
    return not tables


def _write_term(term: Term, start: int, steps: dict[Index, int], tables: Sequence[Any], out: Tensor,
                like: Tensor, add: bool) -> None:
    order = list(steps)
    if not _is_direct(steps, tables):
        _scatter(term, out, like, order, steps, start, tables)
        return
    order.sort(key=lambda i: -steps[i])
    if start:  # told from where `out` begins: a replay may have it elsewhere in its storage
        extent = _extent(out)
        out = out.as_strided((extent,), (1,)).narrow(0, start, extent - start)
    target = out.as_strided([i.size for i in order], [steps[i] for i in order])
    _product_into(term, order, target, like, add)


def _product_into(term: Term, order: Sequence[Index], target: Tensor, like: Tensor, add: bool) -> None:
    """The term's values, multiplied straight into their places where two factors hold them."""
    factors = list(term.factors)
    carried = set(order)
    nothing_summed = all(set(ids) <= carried for _, ids in factors)
    if term.coefficient != 1:
        factors.append((torch.full((), term.coefficient, dtype=like.dtype, device=like.device), ()))
    while len(factors) > 2 and nothing_summed:
        _join_smallest(factors)
    if len(factors) == 2 and nothing_summed and factors[0][0].dtype == target.dtype:
        a, b = (repeated(array, ids, order) for array, ids in factors)
        if not add:
            torch.mul(a, b, out=target)
        else:
            target.addcmul_(a, b)
        return
    values = term.values(order, like)
    if add:
        target.add_(values)
    else:
        target.copy_(values.expand(target.shape))


def _join_smallest(factors: list[Factor]) -> None:
    """Multiply the two factors whose product is smallest."""
    pairs = [(math.prod(i.size for i in {*a[1], *b[1]}), j, k) for k, b in enumerate(factors)
             for j, a in enumerate(factors[:k])]
    _, j, k = min(pairs)
    b, a = factors.pop(k), factors.pop(j)
    ids = tuple(dict.fromkeys((*a[1], *b[1])))
    factors.append((contracted((a, b), ids), ids))


def _scatter(term: Term, out: Tensor, like: Tensor, order: Sequence[Index], steps: dict[Index, int],
             start: int, tables: Any) -> None:
    """Positions that do not grow evenly, or meet: linear offsets of every entry, absent ones left out."""
    sizes = [i.size for i in order]
    where = torch.full(sizes, start, dtype=torch.int64, device="cpu")
    present = torch.ones(sizes, dtype=torch.bool, device="cpu")
    for d, i in enumerate(order):
        along = [-1 if k == d else 1 for k in range(len(order))]
        where += (torch.arange(i.size, device="cpu") * steps[i]).reshape(along)
    for axis, stride in tables:
        table = axis.positions.permute([axis.indices.index(i) for i in order if i in axis.indices])
        table = table.reshape([i.size if i in axis.indices else 1 for i in order])
        where = where + table.clamp(min=0) * stride
        present = present & (table >= 0)
    values = term.values(order, like).expand(sizes)
    flat = out.as_strided((_extent(out),), (1,))
    where, values = where[present].to(out.device), values[present.to(out.device)].to(out.dtype)
    flat.index_put_((where,), values, accumulate=True)


def _extent(out: Tensor) -> int:
    return 1 + sum((n - 1) * s for n, s in zip(out.shape, out.stride(), strict=True)) if out.numel() else 0


def dense(block: Block, conjugate: bool = False) -> Tensor:
    """The Block as one new array."""
    out = torch.zeros((*block.shape, *block.in_shape), dtype=block.dtype, device=block.device)
    return write(block, out, zeroed=True, clean=True, conjugate=conjugate)


def held(block: Block) -> Tensor | None:
    """The entries of a Block that holds them all as they are, without a copy; None of any other."""
    if len(block.terms) != 1:
        return None
    (term,) = block.terms
    if len(term.factors) != 1 or term.conjugate or type(term.coefficient) not in NUMBER_TYPES or term.coefficient != 1:
        return None
    ((array, ids),) = term.factors
    axes = (*term.out, *term.inn)
    if ids != tuple([i for axis in axes for i in axis.indices]) or any([axis.positions is not None for axis in axes]):
        return None
    shape = (*block.shape, *block.in_shape)
    return array.reshape(shape) if array.numel() == math.prod(shape) and array.dtype is block.dtype else None


# ----- pooled memory --------------------------------------------------------------------------------------------------

_pool: dict[Any, list[Tensor]] = cache(f"{__name__}._pool", {})
_lent: dict[int, tuple[weakref.ref[Any], Any, Tensor]] = {}
_versions: dict[int, int] = {}  # of lent memory after our own last write: what somebody else wrote since is not trusted
POOL_LIMIT = 8
PATTERNS_LIMIT = 64


def pattern_of(block: Block) -> Any:
    """Equal for Blocks whose entries lie at the same places of equal arrays."""
    return block.shape, block.in_shape, block.dtype, str(block.device), frozenset(t.pattern() for t in block.terms)


def borrow(block: Block) -> Any:
    """An array of the Block's shape from the pool, zero where the Block is zero; it returns to the pool when it is let
    go."""
    key = pattern_of(block)
    free = _pool.setdefault(key, [])
    while len(_pool) > PATTERNS_LIMIT:  # where values select, each value has a pattern of its own
        _pool.pop(next(iter(_pool)), None)
    try:
        memory = free.pop()
    except IndexError:
        memory = torch.zeros((*block.shape, *block.in_shape), dtype=block.dtype, device=block.device)
    if memory.device.type == "cpu" and memory.dtype is not torch.bfloat16:
        lent: Any = memory.numpy()
        lent.flags.writeable = False  # only `dense(out=)` writes to it: an edit would be taken for zeros later
    else:
        lent = memory.view_as(memory)
    name = id(lent)
    _versions[name] = memory._version

    def back(_: Any) -> None:
        _lent.pop(name, None)
        if _versions.pop(name, None) != memory._version:
            memory.zero_()
        if len(free) < POOL_LIMIT:
            free.append(memory)

    _lent[name] = (weakref.ref(lent, back), key, memory)
    return lent


def lent_memory(array: Any, block: Block) -> Tensor | None:
    """The pool's memory behind an array that `borrow` gave for Blocks of this pattern."""
    entry = _lent.get(id(array))
    if entry is None or entry[0]() is not array or entry[1] != pattern_of(block):
        return None
    memory = entry[2]
    if _versions[id(array)] != memory._version:
        memory.zero_()
    return memory


def written(array: Any, memory: Tensor) -> None:
    """The library itself has written lent memory: its zeros can be trusted again."""
    _versions[id(array)] = memory._version
