"""Where the Jacobian of a trace can be other than zero, and, where that is cheap, what its entries are.

A walk forwards carries, for every node, the entries (row, column) of its Jacobian with respect to x, as integer arrays
over all of them at once. An elementwise operation keeps the entries of its inputs and multiplies them; an operation
that only moves or adds elements moves the rows, as running it once on probes says; of every other operation the
structure comes from its own push, run on a Block without data. The pattern holds for every trace with the same
operations, parameters and positions (`walks.signature.Signature`). As long as all operations are of the first two
kinds, the values of the entries are known too (partials.py).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch

from ...blocks.block import identity
from ...blocks.sparse import places
from ...core.kinds.elementwise import Elementwise
from ...core.operation import padded
from ...core.rules import BoundRule
from ...core.trace import Node
from ...machine.dtypes import Tensor
from ...machine.modes import without_complaints
from ..walks.signature import same
from ..walks.stand_ins import on_structure, stand_ins
from ..walks.steps import output_of, refuse
from .entries import (
    MOST_ENTRIES,
    Dense,
    Entries,
    Indices,
    Part,
    Places,
    count_of,
    joined,
    moved,
    multiplied,
    read,
    whole,
)
from .partials import Accumulation, Place, Step, Sums, added, number_of, partial_of, values_of


@dataclass
class Pattern:
    """Where a Jacobian of shape `shape` can be other than zero: CSR, columns in order; `accumulation` where it can give
    the values."""

    starts: Indices
    columns: Indices
    shape: tuple[int, int]
    accumulation: Accumulation | None
    grid: tuple[int, ...]  # x in the shape in which its elements are neighbours

    @property
    def rows(self) -> Indices:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.starts))


def pattern_of(order: Sequence[Node], device: Any = None, free: Collection[Place] = ()) -> Pattern | None:
    """The pattern of d u / d x in the trace from x to u; None where it is dense, or has too many entries to be listed.

    A dense one that comes with its values is a pattern too. `free` are the partials that are known to change though
    they are numbers.
    """
    x, u = order[0], order[-1]
    try:
        walk = _Walk(x, device, free)
        found = without_complaints(walk.entries_of, u, order)  # probes may meet NaN
    except Dense:
        return None
    m, n = math.prod(u.shape), math.prod(x.shape)
    places = Places(found, m, n)
    if walk.accumulation is None and 2 * len(places.rows) > m * n:
        return None
    starts = np.zeros(m + 1, dtype=np.int32)
    np.cumsum(np.bincount(places.rows, minlength=m), out=starts[1:])
    if walk.accumulation is not None:
        walk.accumulation.ends = found, places
    return Pattern(starts, places.columns.astype(np.int32, copy=False), (m, n), walk.accumulation,
                   walk.grid or tuple(x.shape))


class _Walk:
    """The walk forwards from x."""

    def __init__(self, x: Node, device: Any, free: Collection[Place]):
        self.x = x
        self.device = device
        self.free = free
        self.n = math.prod(x.shape)
        self.accumulation: Accumulation | None = Accumulation()
        self.known: dict[Node, Any] = {}
        self.merge_at = max(4096, 16 * self.n)
        self.selections: dict[Any, Any] = {}
        self.probes: dict[int, tuple[Tensor, np.ndarray]] = {}
        self.grid: tuple[int, ...] | None = None  # the other axes that x is first regrouped to

    def entries_of(self, u: Node, order: Sequence[Node]) -> Entries:
        self.known[self.x] = [Part(None, np.arange(self.n, dtype=np.int32), 0, 1.0)]
        last = {p: k for k, node in enumerate(order) for p in node.parents if p is not None}
        for k, node in enumerate(order):
            if node is not self.x and any(p in self.known for p in node.parents):
                found = self._through(k, node)
                if found is not None:
                    self.known[node] = found
            for parent in node.parents:
                if parent is not None and last[parent] == k and parent is not u:
                    self.known.pop(parent, None)
        return self.known.get(u, [])  # type: ignore[no-any-return]

    def _through(self, k: int, node: Node) -> Any:
        operation = node.operation
        refuse(node)
        output = output_of(node)
        if output is not None:
            return self.known[node.parents[0]][output]  # type: ignore[index]
        if isinstance(operation, Elementwise) and operation.complex_partials is None:
            parts: list[Any] = [self._multiplied(k, node, j) for j, p in enumerate(node.parents) if p in self.known]
            parts = [p for p in parts if p is not None]
        else:
            parts = [self._local(node, j) for j, p in enumerate(node.parents) if p in self.known]
            if node.shape is None:
                return tuple(self._compact(joined([p[i] for p in parts])) for i in range(operation.outputs))
        return None if not parts else self._compact(joined(parts)) if len(parts) > 1 else parts[0]

    def _compact(self, entries: Entries) -> Entries:
        """Entries in one place with one slot added up, where entries have doubled since that was last done."""
        if count_of(entries) <= self.merge_at:
            return entries
        p = whole(entries)
        slots = self.accumulation.count if self.accumulation is not None else 1
        m = int(p.rows.max()) + 1  # type: ignore[union-attr]
        if m * self.n * slots >= 1 << 62:
            self.accumulation, slots = None, 1  # places could no longer be told apart by one number
        if self.accumulation is None:
            p = p._replace(slots=np.zeros_like(p.columns))
        places = Places([p._replace(columns=p.columns.astype(np.int64) * slots + p.slots)], m, self.n * slots)
        self.merge_at = max(self.merge_at, 2 * len(places.rows))
        columns, found = np.divmod(places.columns, slots)
        return [Part(places.rows, columns, found, added(places.of_entries(), p.coefficients, len(columns)))]

    # ----- elementwise -----

    def _multiplied(self, k: int, node: Node, j: int) -> Entries | None:
        operation: Any = node.operation
        parent = node.parents[j]
        assert parent is not None
        entries: Entries = self.known[parent]
        if parent.shape != node.shape:
            size = math.prod(parent.shape)
            entries = read(entries, np.broadcast_to(np.arange(size).reshape(parent.shape),
                                                    tuple(node.shape)).reshape(-1), size)
        partial = operation.partials[j]
        selects = type(operation).push is not Elementwise.push
        if not isinstance(partial, BoundRule) and not selects:
            return None if partial == 0 else entries if partial == 1 else [p.times(float(partial)) for p in entries]
        if self.accumulation is None or not entries:
            return entries
        at = None
        if not selects:
            partial, at = partial_of(node, j)
            number = number_of(partial) if (k, j) not in self.free and _constant(node, operation.partials[j]) else None
            if number is not None:
                if number == 0 and node.trace.guarded:  # whatever it meets
                    folded = [p._replace(slots=0, coefficients=p.coefficients * 0.0) for p in entries]
                else:
                    folded = [p.times(number) for p in entries]
                if (number == 0 or all(_represented(p.coefficients, q.coefficients)
                                       for p, q in zip(entries, folded, strict=True))):
                    self.accumulation.numbers.append(((k, j), at, number))
                    return folded
        rows: Indices | None
        if entries[0].rows is None and all(p.rows is None and p.columns is entries[0].columns for p in entries):
            rows, columns, sums = None, entries[0].columns, Sums.aligned(entries)
        else:
            places = Places(entries, math.prod(node.shape), self.n)
            rows, columns = places.rows, places.columns
            sums = Sums.of(places.of_entries(), len(rows), whole(entries))
            if len(rows) == math.prod(node.shape) and (rows == np.arange(len(rows))).all():
                rows = None
        first = self.accumulation.count
        self.accumulation.count = last = first + len(columns)
        at_rows = None if rows is None else torch.tensor(rows, dtype=torch.int64, device="cpu")
        self.accumulation.steps.append(Step((k, j), at, slice(first, last), sums, at_rows, tuple(node.shape), selects))
        return [Part(rows, columns, range(first, last), 1.0)]

    # ----- the others -----

    def _local(self, node: Node, j: int) -> Any:
        """The entries that come through one input: selected, or multiplied with the operation's own pattern."""
        entries: Entries = self.known[node.parents[j]]  # type: ignore[index]
        matrix = node.operation.sparse_matrix
        if matrix is not None:
            return self._times(_sparse_pattern(node.params[matrix], node), entries)
        found = self._selection(node, j)
        if found is not None:
            places, coefficients, reads, present = found
            if places is None:
                if node.parents[j] is self.x and node.shape != self.x.shape and self.grid is None:
                    self.grid = tuple(node.shape)
                return entries
            if not reads:
                return moved(entries, places, coefficients, present)
            return read(entries, places, math.prod(node.parents[j].shape), coefficients, present)  # type: ignore[union-attr]
        self.accumulation = None
        patterns = _own_patterns(node, j)
        if type(patterns) is tuple:
            return tuple(self._times(p, entries) for p in patterns)
        return self._times(patterns, entries)

    def _times(self, pattern: Any, entries: Entries) -> Entries:
        """A sparse matrix times the entries: values as well where an accumulation still stands."""
        if self.accumulation is not None:  # the matrix is constant
            return multiplied(pattern, entries)
        p = whole(entries)
        ones = scipy.sparse.csr_array((np.ones(len(p.columns), dtype=bool), (p.rows, p.columns)),
                                      shape=(pattern.shape[1], self.n))
        reach = np.diff(ones.indptr)[pattern.indices].sum() if pattern.nnz else 0
        if reach > 8 * MOST_ENTRIES:
            raise Dense
        product = (pattern.astype(bool) @ ones).tocoo()
        if product.nnz > MOST_ENTRIES:
            raise Dense
        return [Part(product.row.astype(np.int64), product.col.astype(np.int64), 0, 1.0)]

    def _selection(self, node: Node, j: int) -> Selection | None:
        """`_selected`, found once where nothing but parameters and shapes decides."""
        if any(v is not None for v in node.values):
            return _selected(node, j, self._probes)
        alike = self.selections.setdefault((node.operation, j, node.shape, node.dtype,
                                            *[p and (p.shape, p.dtype) for p in node.parents]), [])
        for params, found in alike:
            if same(params, node.params):
                return found  # type: ignore[no-any-return]
        alike.append((node.params, _selected(node, j, self._probes)))
        return alike[-1][1]  # type: ignore[no-any-return]

    def _probes(self, n: int) -> tuple[Tensor, np.ndarray]:
        """All ones, positions, and random numbers: where the operation runs, and as NumPy."""
        if n not in self.probes:
            draws = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n), device="cpu")
            probes = torch.stack([torch.ones(n, dtype=torch.float64, device="cpu"),
                                  torch.arange(n, dtype=torch.float64, device="cpu"), draws])
            self.probes[n] = probes.to(self.device), probes.numpy()
        return self.probes[n]


def _constant(node: Node, rule: BoundRule) -> bool:
    """Whether a partial reads only constants."""
    inputs = node.operation.inputs
    return all(name in inputs and node.parents[inputs.index(name)] is None for name in rule.reads)


def _represented(before: Any, product: Any) -> bool:
    """Whether coefficients times a number have neither overflowed nor vanished."""
    if type(product) is float:
        return math.isfinite(product) and (product != 0 or before == 0)
    return bool(np.all(np.isfinite(product) & ((product != 0) | (before == 0))))


def _sparse_pattern(matrix: Tensor, node: Node) -> Any:
    """The Jacobian of a constant sparse matrix times (..., k, j)."""
    parts = matrix.values(), matrix.col_indices(), matrix.crow_indices()
    a = scipy.sparse.csr_array(tuple(map(values_of, parts)), shape=tuple(matrix.shape))
    *batch, _, width = node.shape
    for left, size in ((False, width), (True, math.prod(batch))):
        if size != 1:
            eye = scipy.sparse.eye_array(size)
            a = scipy.sparse.kron(eye, a, "csr") if left else scipy.sparse.kron(a, eye, "csr")
    return a


# places, None where all stay; coefficients; whether outputs read; whether none is -1
Selection = tuple[Indices | None, np.ndarray | None, bool, bool]
LEAD = (3,)  # probes


def _selected(node: Node, j: int, probes: Callable[[int], tuple[Tensor, np.ndarray]]) -> Selection | None:
    """Of an operation that is linear in input j alone: the element that each output reads, or the output that each
    element is added to.

    Told from probes: all ones, positions, and random numbers, which must fit; where the probes meet another input, they
    meet NaN.
    """
    if node.operation.kind != "multilinear" or node.shape is None:
        return None
    parent = node.parents[j]
    assert parent is not None
    if not (node.dtype.is_floating_point and parent.dtype.is_floating_point):
        return None
    # the smaller of the two is more likely to be a plain selection of the other
    grows = math.prod(node.shape) > math.prod(parent.shape)
    for reads in (False, True) if grows else (True, False):
        source, target = (parent, node) if reads else (node, parent)
        n = math.prod(source.shape)
        given, numbers = probes(n)
        try:
            result = _linear(node, j, given.reshape(*LEAD, *source.shape), reads)
        except Exception:  # it does not run on such inputs: its structure will tell
            continue
        if result is None or result.numel() != LEAD[0] * math.prod(target.shape):
            continue
        found = result.reshape(*LEAD, -1).cpu().numpy()
        places = found[1].astype(np.int64)
        if not len(places) or n and places.view(np.uint64).max() < n and (numbers.take(places, axis=1) == found).all():
            if reads and len(places) == n and (places == np.arange(n)).all():
                return None, None, True, True
            return places, None, reads, True
        if not np.isfinite(found).all():
            return None
        ones, positions, draws = found
        present = ones != 0
        places = np.where(present, np.rint(positions / np.where(present, ones, 1)), -1).astype(np.int64)
        if places.max() >= n or places.min() < -1:
            continue
        fits = ones * numbers[2].take(places) if n else np.zeros(len(places))
        if (np.abs(fits - draws) <= 1e-12 * np.abs(draws)).all():
            return places, None if (ones[present] == 1).all() else ones, reads, bool(present.all())
    return None


def _linear(node: Node, j: int, probes: Tensor, forwards: bool) -> Any:
    """The operation's push, or pull, of arrays through input j."""
    given: list[Any] = [None] * len(node.parents)
    values = [torch.full_like(v, math.nan) if isinstance(v, Tensor) and v.dtype.is_floating_point
              else math.nan if type(v) is float else v
              for v in node.values]
    if forwards:
        given[j] = probes
        y = padded(node.operation.push(values, node.params, node, given, LEAD), LEAD, node.ndim)
        if y.shape[1:] != node.shape:
            y = y.expand(*LEAD, *node.shape)
        return y
    wanted = [k == j for k in range(len(node.parents))]
    return node.operation.pull(values, node.params, node, probes, LEAD, wanted)[j]


def _own_patterns(node: Node, j: int) -> Any:
    """The pattern of an operation's own Jacobian with respect to input j: of its push, on a Block without data."""
    parent = node.parents[j]
    assert parent is not None
    dots: list[Any] = [None] * len(node.parents)
    dots[j] = identity(parent.shape, parent.dtype, "meta")
    n = math.prod(parent.shape)
    outputs = [tuple(node.shape)] if node.shape is not None else [tuple(v.shape) for v in _outputs(node)]
    try:
        found = on_structure(node.operation.push, stand_ins(node), node.params, node, dots, ())
    except Exception:  # an operation that cannot run without data: every output may depend on every element
        found = None
        patterns = [_full(math.prod(s), n) for s in outputs]
        return tuple(patterns) if node.shape is None else patterns[0]
    blocks = found if type(found) is tuple else (found,)
    patterns = [_block_pattern(b, s, n) for b, s in zip(blocks, outputs, strict=True)]
    return tuple(patterns) if node.shape is None else patterns[0]


def _outputs(node: Node) -> Sequence[Any]:
    value = next((v for v in node.values[len(node.parents):] if type(v) is tuple), None)
    if value is None:  # not kept: the shapes are known where it is run again
        given = zip(node.values[:len(node.parents)], node.parents, strict=True)
        inputs = [v if v is not None else torch.zeros(p.shape, dtype=p.dtype, device="cpu")  # type: ignore[union-attr]
                  for v, p in given]
        value = node.operation.run(inputs, node.params)[0]
    return value  # type: ignore[no-any-return]


def _full(m: int, n: int) -> Any:
    if m * n > MOST_ENTRIES:
        raise Dense
    return scipy.sparse.csr_array(np.ones((m, n), dtype=bool))


def _block_pattern(block: Any, shape: tuple[int, ...], n: int) -> Any:
    m = math.prod(shape)
    if block is None:
        return scipy.sparse.csr_array((m, n), dtype=bool)
    if sum(t.represented for t in block.terms) > MOST_ENTRIES:
        raise Dense
    if tuple(block.shape) != shape:
        block = block.broadcast(shape)
    found = [places(t, block) for t in block.terms]
    if not found:
        return scipy.sparse.csr_array((m, n), dtype=bool)
    rows, columns = torch.cat([f[0] for f in found]).numpy(), torch.cat([f[1] for f in found]).numpy()
    return scipy.sparse.csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(m, n))


__all__ = ["Pattern", "pattern_of"]
