"""How operations act on a Block: contraction, movement, and the general way out, untying."""
from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from ..machine.caches import remembered
from ..machine.dtypes import Tensor
from .axis import Axis, Index, plain
from .block import Block, empty
from .factors import restricted, spread_over, without_repeats
from .term import Term

given = partial(operator.is_not, None)  # these two run in the interpreter, not in frames of their own
shape_of = operator.attrgetter("shape")


def position_of_block(inputs: Sequence[Any]) -> int:
    """Which input is the Block; a product of two is not linear."""
    kinds = [*map(type, inputs)]
    if kinds.count(Block) != 1:
        raise TypeError("an operation acts on one structured Jacobian at a time")
    return kinds.index(Block)


def contract(block: Block, k: int, inputs: Sequence[Any], letters: Sequence[Sequence[str]], out: Sequence[str],
             sizes: dict[str, int], why: str = "") -> Block:
    """A product of inputs summed over the letters that `out` lacks; input k is the Block, the others are arrays.

    `letters` name the axes of each input. An axis of size 1 where its letter is larger broadcasts.
    """
    shape = [*map(sizes.__getitem__, out)]
    room = math.prod(shape)
    block = block.gathered(room) if len(block.terms) > 1 else block
    dtype, like = block.dtype, empty(block.dtype, block.device)
    for j, x in enumerate(inputs):
        if j != k and isinstance(x, Tensor):
            dtype = torch.promote_types(dtype, x.dtype)

    terms = []
    for term in block.terms:
        axes: dict[str, Axis] = {}
        gone: list[Axis] = []
        for name, axis, n in zip(letters[k], term.out, block.shape, strict=True):
            if n == sizes[name]:
                axes[name] = axis
            else:
                gone.append(axis)  # stretched
        for name, n in sizes.items():
            if name not in axes:
                axes[name] = plain(n)
            if name not in out:
                gone.append(axes[name])
        new = term.replaced(out=[*map(axes.__getitem__, out)])
        read: list[Axis] = []
        for j, x in enumerate(inputs):
            if j == k or not isinstance(x, Tensor):
                continue
            at: list[Axis | None] = []
            for name, n in zip(letters[j], x.shape, strict=True):
                if n == 1 and (sizes[name] != 1 or not axes[name].indices):
                    at.append(None)
                else:
                    at.append(axes[name])
                    read.append(axes[name])
            new = new.times(*restricted(x, at))
        terms.append(new.without(gone, like, read, room))
    return block.made(terms, shape, dtype)


@remembered(1024)
def einsum_letters(axes: str, ndims: tuple[int, ...]) -> tuple[list[list[str]], list[str]]:
    """`"... i k, k j -> ... i j"` as one list of letters per input and one for the output: to be read, not changed."""
    left, right = axes.split("->")
    inputs = [part.split() for part in left.split(",")]
    wide = max([n - (len(names) - 1) for names, n in zip(inputs, ndims, strict=True) if "..." in names], default=0)
    batch = [f"...{k}" for k in range(wide)]

    def filled(names: list[str], n: int | None) -> list[str]:
        if "..." not in names:
            return names
        at = names.index("...")
        count = wide if n is None else n - (len(names) - 1)
        return names[:at] + batch[wide - count:] + names[at + 1:]

    return [filled(names, n) for names, n in zip(inputs, ndims, strict=True)], filled(right.split(), None)


def contraction(operation: Any, inputs: Sequence[Any], params: dict[str, Any]) -> Block:
    """The action of an operation whose `axes` are an index term, or a function of (inputs, params) that gives one."""
    axes = operation.axes(inputs, params) if callable(operation.axes) else operation.axes
    present = [*filter(given, inputs)]
    shapes = [*map(shape_of, present)]
    k = position_of_block(present)
    letters, out = einsum_letters(axes, tuple(map(len, shapes))) if isinstance(axes, str) else axes
    sizes: dict[str, int] = {}
    for names, shape in zip(letters, shapes, strict=True):
        for name, n in zip(names, shape, strict=True):
            if sizes.get(name, 1) == 1:
                sizes[name] = n
    return contract(present[k], k, present, letters, out, sizes)


# ----- movement -------------------------------------------------------------------------------------------------------


def selected(block: Block, k: int, where: Tensor) -> Block:
    """Read out axis k at `where` (a vector of positions, on the CPU): slices, flips, gathers."""
    index = Index(len(where))
    shape = (*block.shape[:k], len(where), *block.shape[k + 1:])
    return block.mapped(lambda term: _selected(term, k, where, index, block.like), shape)


def _selected(term: Term, k: int, where: Tensor, index: Index, like: Tensor) -> Sequence[Term]:
    size = len(where)
    axis = term.out[k]
    if len(axis.indices) != 1 and axis.positions is None and axis.size > 1:
        term, _ = term.joined(axis.indices)
        axis = term.out[k]
    if not axis.indices and axis.positions is None:  # size 1: every entry reads the same one
        return [_with_out(term, k, plain(size))]
    if axis.positions is None:
        term = term.substituted(axis.indices[0], where, (index,))
        return [_with_out(term, k, Axis((index,), size) if size != 1
                          else Axis((index,), 1, torch.zeros(1, dtype=torch.int64, device="cpu")))]
    if len(torch.unique(where)) < len(where):
        term = term.untied(k, like)
        return _selected(term, k, where, index, like)
    inverse = torch.full((axis.size + 1,), -1, device="cpu")
    inverse[where] = torch.arange(size, device="cpu")
    landed = inverse[axis.positions]  # position -1 reads the last entry, which is -1
    if not axis.indices:
        return [_with_out(term, k, Axis((), size, landed))] if int(landed) >= 0 else []
    if len(axis.indices) > 1:
        return [_with_out(term, k, Axis(axis.indices, size, landed))]
    kept = torch.nonzero(landed >= 0).reshape(-1)
    if not len(kept):
        return []
    survivor = Index(len(kept))
    term = term.substituted(axis.indices[0], kept, (survivor,))
    return [_with_out(term, k, Axis((survivor,), size, landed[kept]))]


def placed(block: Block, k: int, where: Tensor, size: int) -> Block:
    """Write out axis k to `where` (a vector, on the CPU) of an axis of another size, zero elsewhere: pads,
    concatenation, scatters."""

    def act(term: Term) -> Sequence[Term]:
        axis = term.out[k]
        table = (torch.where(axis.table() < 0, -1, where[axis.table().clamp(min=0)]) if axis.size != 1
                 or axis.positions is not None else where[0])
        return [_with_out(term, k, Axis(axis.indices, size, table))]

    return block.mapped(act, (*block.shape[:k], size, *block.shape[k + 1:]))


def gathered_at(block: Block, tables: Sequence[Tensor], sizes: Sequence[int]) -> Block:
    """The last out axes read together at positions that may differ everywhere: maxima, sorts.

    `tables` holds for each of them its position over the axes before, which stay, and new axes of `sizes`.
    """
    kept = block.ndim - len(tables)
    shape = (*block.shape[:kept], *sizes)
    tables = [t.cpu().expand(shape) for t in tables]
    notes: list[str] = []

    def act(term: Term) -> Sequence[Term]:
        seen = {i for a in term.out[:kept] for i in a.indices}
        for k in range(kept, block.ndim):
            axis = term.out[k]
            if axis.positions is not None or seen & set(axis.indices):
                notes.append("entries are selected by value where positions were not plain")
                term = term.untied(k, block.like)
            elif len(axis.indices) > 1:
                term, _ = term.joined(axis.indices)
            seen |= set(term.out[k].indices)
        places = [*term.out[:kept], *(plain(n) for n in sizes)]
        chosen = {a.indices[0]: without_repeats(*restricted(t, places))
                  for a, t in zip(term.out[kept:], tables, strict=True) if a.indices}
        return [term.replaced(out=(*term.out[:kept], *places[kept:])).read_at(chosen).eliminated()]

    result = block.mapped(act, shape)
    result.untied = (*result.untied, *dict.fromkeys(notes))
    return result


def scattered_to(block: Block, tables: Sequence[Tensor], sizes: Sequence[int], own: int) -> Block:
    """The transpose of `gathered_at`: the last `own` out axes added to positions, over all axes, in new axes of
    `sizes`."""
    kept = block.ndim - own
    tables = [t.cpu().expand(block.shape) for t in tables]

    def act(term: Term) -> Sequence[Term]:
        axes = []
        for table, size in zip(tables, sizes, strict=True):
            where, ids = restricted(table, term.out)
            where, ids = without_repeats(where, ids)
            for axis in term.out[kept:]:
                if axis.positions is not None:
                    where = where.masked_fill(spread_over(axis.positions < 0, axis.indices, ids), -1)
            axes.append(Axis(ids, size, where))
        return [term.replaced(out=(*term.out[:kept], *axes))]

    return block.mapped(act, (*block.shape[:kept], *sizes))


def _with_out(term: Term, k: int, axis: Axis) -> Term:
    return term.replaced(out=(*term.out[:k], axis, *term.out[k + 1:]))


def reshaped(block: Block, shape: Sequence[int]) -> Block:
    """Out axes regrouped, through the common refinement of both shapes; untied where there is none."""
    shape = tuple(shape)
    if shape == block.shape:
        return block
    if 0 in shape:
        return block.made([], shape)
    pairs = refinement(block.shape, shape)
    notes: list[str] = []

    def act(term: Term) -> Sequence[Term]:
        out: list[Axis] = [Axis((), 1)] * len(shape)
        for sources, targets in pairs:
            if len(sources) == 1 and len(targets) == 1:
                out[targets[0]] = term.out[sources[0]]
                continue
            if any([term.out[s].positions is not None for s in sources]):
                axes = _retabled([term.out[s] for s in sources], [shape[t] for t in targets])
            else:
                term, axes = _regrouped(term, sources, [shape[t] for t in targets], block, notes)
            for t, axis in zip(targets, axes, strict=True):
                out[t] = axis
        return [term.replaced(out=out).without([a for a, n in zip(term.out, block.shape, strict=True) if n == 1],
                                               block.like)]

    result = block.mapped(act, shape)
    if notes:
        result.untied = (*result.untied, *(n for n in dict.fromkeys(notes) if n not in result.untied))
    return result


def refinement(a: Sequence[int], b: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Smallest groups of axes of `a` and `b` with equal products; axes of size 1 are left out."""
    pairs: list[tuple[list[int], list[int]]] = []
    i, j = [k for k, n in enumerate(a) if n != 1], [k for k, n in enumerate(b) if n != 1]
    while i or j:
        left, right = [i.pop(0)], [j.pop(0)]
        m, n = a[left[0]], b[right[0]]
        while m != n:
            if m < n:
                left.append(i.pop(0))
                m *= a[left[-1]]
            else:
                right.append(j.pop(0))
                n *= b[right[-1]]
        pairs.append((left, right))
    return pairs


def _retabled(sources: Sequence[Axis], sizes: Sequence[int]) -> list[Axis]:
    """Axes that are read at positions, regrouped: the same indices at other positions."""
    ids = tuple(dict.fromkeys(i for a in sources for i in a.indices))
    flat, absent = torch.zeros([i.size for i in ids], dtype=torch.int64,
                               device="cpu"), torch.zeros([i.size for i in ids], dtype=torch.bool, device="cpu")
    for axis in sources:
        table, its = without_repeats(axis.table(), axis.indices)
        table = spread_over(table, its, ids)
        flat, absent = flat * axis.size + table.clamp(min=0), absent | (table < 0)
    axes = []
    for size in reversed(sizes):
        axes.append(Axis(ids, size, (flat % size).masked_fill(absent, -1)))
        flat = flat // size
    return axes[::-1]


def _regrouped(term: Term, sources: Sequence[int], sizes: Sequence[int], block: Block,
               notes: list[str]) -> tuple[Term, list[Axis]]:
    """The indices of the source axes, split where needed, dealt out to axes of the given sizes."""
    queue = [i for s in sources for i in term.out[s].indices]
    axes: list[Axis] = []
    for size in sizes:
        taken: list[Index] = []
        left = size
        while left > 1:
            i = queue.pop(0)
            if i.size <= left and left % i.size == 0:
                taken.append(i)
                left //= i.size
            elif i.size > left and i.size % left == 0:
                parts = (Index(left), Index(i.size // left))
                term = term.split(i, parts)
                queue = [p for q in queue for p in (parts if q is i else (q,))]
                axes = [Axis(tuple(p for q in x.indices for p in (parts if q is i else (q,))), x.size) for x in axes]
                taken = [p for q in taken for p in (parts if q is i else (q,))]
                taken.append(parts[0])
                queue.insert(0, parts[1])
                left = 1
            else:
                return _flattened(term, sources, sizes, block, notes)
        axes.append(Axis(tuple(taken), size))
    return term, axes


def _flattened(term: Term, sources: Sequence[int], sizes: Sequence[int], block: Block,
               notes: list[str]) -> tuple[Term, list[Axis]]:
    """No common refinement: untie the source axes, make one dense factor of what depends on them, and cut it anew."""
    notes.append(f"reshape of axes {[block.shape[s] for s in sources]} to {list(sizes)} has no common refinement")
    term = term.untied(sources, block.like).compressed(block.like)
    old = tuple(i for s in sources for i in term.out[s].indices)
    hit = [f for f in term.factors if set(f[1]) & set(old)]
    rest = [f for f in term.factors if not set(f[1]) & set(old)]
    others = tuple(dict.fromkeys(i for _, ids in hit for i in ids if i not in old))
    order = (*others, *old)
    whole = Term(hit, (), ()).values(order, block.like).expand([i.size for i in order])
    axes = [plain(n) for n in sizes]
    array = whole.reshape([i.size for i in others] + [n for n in sizes if n != 1])
    return term.replaced(factors=(*rest, (array, (*others, *(i for a in axes for i in a.indices))))), axes


# ----- the general way out --------------------------------------------------------------------------------------------


def through_arrays(block: Block, run: Callable[[Tensor, tuple[int, ...]], Tensor], mixed: Sequence[int],
                   why: str) -> Block:
    """Any linear operation on a Block: `run(array, lead)` on arrays whose leading axis holds every index outside the
    out axes.

    The out axes `mixed` are the ones that the operation mixes or needs whole; the result's axes are fresh indices,
    except that those not mixed must keep their number and order, and keep their index.
    """
    results = []
    shape: tuple[int, ...] = ()
    dtype = block.dtype
    notes: list[str] = []
    if not block.terms:
        nothing = run(torch.zeros((1, *block.shape), dtype=dtype, device=block.device), (1,))
        return block.made([], nothing.shape[1:], nothing.dtype)
    for term in block.terms:
        for k in mixed:
            tied = term
            term = term.untied(k, block.like)
            if term is not tied:
                notes.append(why)
        term = term.compressed(block.like)
        mixed_ids = [i for k in mixed for i in term.out[k].indices]
        kept = [k for k in range(block.ndim) if k not in mixed]
        order = [i for i in term.carried() if i not in mixed_ids]
        array = term.values([*order, *mixed_ids], block.like)
        varying = [i for i, n in zip(order, array.shape, strict=False) if n == i.size]
        array = array.reshape([i.size for i in varying] + list(array.shape[len(order):]))
        array = array.expand([i.size for i in (*varying, *mixed_ids)])
        sizes = [block.shape[k] if k in mixed else 1 for k in range(block.ndim)]
        array = array.reshape(math.prod(i.size for i in varying), *sizes)
        result = run(array, (array.shape[0],))
        axes = [term.out[k] if k in kept else plain(n) for k, n in enumerate(result.shape[1:])]
        shape = tuple(block.shape[k] if k in kept else n for k, n in enumerate(result.shape[1:]))
        fresh = tuple(i for k, a in enumerate(axes) if k not in kept for i in a.indices)
        factor = result.reshape([i.size for i in (*varying, *fresh)])
        dtype = factor.dtype
        results.append(Term([(factor, (*varying, *fresh))], axes, term.inn, conjugate=term.conjugate))
    return block.made(results, shape, dtype, tuple(dict.fromkeys(notes)))


def in_one_rank(inputs: Sequence[Any]) -> list[Any]:
    """Operands with axes of size 1 before those that have fewer: what a recorded walk with leading axes has made may
    lack them on one side."""
    ndim = max(x.ndim for x in inputs if x is not None)

    def filled(x: Any) -> Any:
        if x is None or x.ndim == ndim:
            return x
        shape = (*(1,) * (ndim - x.ndim), *x.shape)
        return reshaped(x, shape) if type(x) is Block else x.reshape(shape)

    return [filled(x) for x in inputs]


def untying(operation: Any, inputs: Sequence[Any], params: dict[str, Any]) -> Block:
    """Run an operation that has no structured action: every out axis untied, the others as leading axes."""
    k = position_of_block([x for x in inputs])
    block = inputs[k]

    def run(array: Tensor, lead: tuple[int, ...]) -> Tensor:
        changed = ({**params, **operation.lead_params(params, lead)} if getattr(operation, "lead_params", None)
                   else params)
        return operation.apply([array if j == k else x for j, x in enumerate(inputs)], changed)

    return through_arrays(block, run, range(block.ndim), f"{operation.name} has no structured action")
