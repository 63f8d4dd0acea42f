"""Backwards through a diagonal: where each entry of u has a part of an array of its own, as the losses of a batch have,
an ordinary cotangent says all that a structured one does, and an operation's own pull serves.

Such a Block is g[y] along some axes of y that are those of u, and zero elsewhere. Where an operation keeps the parts
apart, its pull of the ordinary cotangent g is the diagonal of what a Block would give, in one kernel instead of a rule
written out in products. That it does keep them apart is proved by its own rule, run once on structure alone.
"""
from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from ...blocks.axis import plain
from ...blocks.block import Block
from ...blocks.dense import dense
from ...blocks.term import Term
from ...core.tables import OPERATIONS
from ...core.trace import Node
from ...machine.caches import cache
from ...machine.dtypes import Tensor
from ...machine.modes import under
from . import steps
from .keys import LARGEST, content_of, exactly, frozen
from .stand_ins import on_structure, stand_ins, stays_real
from .steps import Reader

Ties = tuple[int, ...]  # for each in axis the out axis with which it is diagonal, -1 where it has size 1
_kept: dict[Any, Ties | None] = cache(f"{__name__}._kept", {})
KNOWN = 1 << 12  # proofs that are kept


def pulled(node: Node, y_bar: Block, active: Collection[Any], read: Reader) -> list[tuple[Any, Any]]:
    """The parents that are active, each with its cotangent: plainly to those of which y's parts stay apart."""
    at = _worthwhile(node, y_bar)
    if at is None:
        return steps.pulled(node, y_bar, active, read, ())
    steps.refuse(node)
    ties = [_ties_of(node, k, at) if p in active and p.dtype is not None else None  # type: ignore[union-attr]
            for k, p in enumerate(node.parents)]
    apart = [t is not None for t in ties]
    if True not in apart:
        return steps.pulled(node, y_bar, active, read, ())
    bar = _diagonal(y_bar, at)
    try:
        plainly = node.operation.pull(read(node), node.params, node, bar, (), apart)
    except Exception:
        if not bar.is_meta:
            raise
        return steps.pulled(node, y_bar, active, read, ())  # a kernel that cannot be followed without data
    others = [p in active and not kept for p, kept in zip(node.parents, apart, strict=True)]
    structured: Sequence[Any] = [None] * len(others)
    if True in others:
        whole = _as_block(bar, at, y_bar) if _is_wide(y_bar) else y_bar
        structured = node.operation.pull(read(node), node.params, node, whole, (), others)
    found: list[tuple[Any, Any]] = []
    for k, parent in enumerate(node.parents):
        if (tied := ties[k]) is not None and plainly[k] is not None:
            found.append((parent, _as_block(steps.fitted(plainly[k], parent, ()), tied, y_bar)))  # type: ignore[arg-type]
        elif others[k] and structured[k] is not None:
            found.append((parent, structured[k]))
    return found


def _worthwhile(node: Node, y_bar: Block) -> Ties | None:
    """The ties of a Block that holds about as many numbers as its diagonal has, where the operation is real."""
    if node.shape is None or not node.parents or y_bar.dtype.is_complex or node.dtype.is_complex or not y_bar.in_shape:
        return None
    if 2 * sum([t.stored for t in y_bar.terms]) < math.prod(node.shape):
        return None
    return _ties(y_bar)


def _is_wide(block: Block) -> bool:
    """Whether its diagonal is no larger than what it holds."""
    return len(block.terms) > 1 or len(block.terms[0].factors) > 1


def _ties(block: Block) -> Ties | None:
    """With which out axis each in axis is diagonal in every term; None where one is not."""
    found: Ties | None = None
    for term in block.terms:
        if term.conjugate:
            return None
        at = {axis.indices[0]: k for k, axis in enumerate(term.out) if axis.positions is None
              and len(axis.indices) == 1}
        its: list[int] = []
        for axis in term.inn:
            if axis.positions is not None or len(axis.indices) > 1:
                return None
            k = at.get(axis.indices[0]) if axis.indices else -1
            if k is None:
                return None
            its.append(k)
        if found is not None and found != tuple(its) or len({k for k in its if k >= 0}) < sum(k >= 0 for k in its):
            return None
        found = tuple(its)
    return found if found and max(found) >= 0 else None


def _diagonal(block: Block, at: Ties) -> Tensor:
    """The entries along the ties, in the out shape."""
    if len(block.terms) == 1 and len(block.terms[0].factors) == 1 and block.terms[0].coefficient == 1:
        ((array, ids),) = block.terms[0].factors
        axes = block.terms[0].out
        if ids == tuple([i for axis in axes for i in axis.indices]) and all([a.positions is None for a in axes]):
            return array.reshape(block.shape)  # quick way: it is there; the plain one is below
    terms = [t.replaced(inn=()) for t in block.terms]
    return dense(Block(terms, block.shape, (), block.dtype, block.device))


def _as_block(bar: Tensor, at: Ties, like: Block) -> Block:
    """The Block that has these entries along its ties."""
    out = [plain(n) for n in bar.shape]
    ids = tuple([i for axis in out for i in axis.indices])
    inn = [plain(n) if k < 0 else out[k] for k, n in zip(at, like.in_shape, strict=True)]
    return like.made([Term([(bar.reshape([i.size for i in ids]), ids)], out, inn)], bar.shape, bar.dtype)


# ----- the proof ------------------------------------------------------------------------------------------------------


def _ties_of(node: Node, k: int, at: Ties) -> Ties | None:
    """The ties that a diagonal cotangent of parent k has where the node's has those; None where the pull mixes parts,
    or that cannot be told."""
    key = _key(node, k, at)
    if key is None:
        return None
    if key not in _kept:
        while len(_kept) >= KNOWN:
            _kept.pop(next(iter(_kept)), None)
        _kept[key] = _proved(node, k, at)
    return _kept[key]


def _key(node: Node, k: int, at: Ties) -> Any:
    """What the structure of a pull rests on.

    Of positions only their shape counts: what is read or written at positions is no tie, wherever they are, so that a
    proof holds for others too, and for those that a recording is replayed with. An author's own rule may decide by
    them: there they are a part of it.
    """
    own = OPERATIONS.get(node.operation.name) is not node.operation
    params = frozen(node.params, own) if node.params else ()
    if params is None:
        return None
    kinds: list[Any] = []
    for j, value in enumerate(node.values):
        if isinstance(value, Tensor):
            decides = own and j < len(node.parents) and stays_real(value)
            if decides and value.numel() > LARGEST:
                return None
            kinds.append((value.shape, value.dtype, content_of(value) if decides else None))
        else:
            kinds.append(value if value is None else exactly(value) if not isinstance(value, tuple) else len(value))
    # what was dropped is there in the walk
    return node.operation, params, tuple(kinds), node.shape, node.dtype, node.parents[k].shape, k, at, node.dropped  # type: ignore[union-attr]


def _proved(node: Node, k: int, at: Ties) -> Ties | None:
    parent: Any = node.parents[k]
    if parent.dtype.is_complex:
        return None
    in_shape = [1 if j < 0 else node.shape[j] for j in at]
    wanted = [j == k for j in range(len(node.parents))]

    def run() -> Any:
        like = Block([], node.shape, in_shape, node.dtype, "meta")
        bar = _as_block(torch.empty(node.shape, dtype=node.dtype, device="meta"), at, like)
        found = node.operation.pull(stand_ins(node), node.params, node, bar, (), wanted)[k]
        return None if found is None else steps.fitted(found, parent, ())

    try:
        # what counts or records the walk is not to see it
        found = under([_disable_current_modes(), torch._C.DisableTorchFunction()], on_structure, run)
    except Exception:  # it cannot be followed without data
        return None
    return _ties(found) if type(found) is Block else None


__all__ = ["pulled"]
