"""Where the Jacobian of a trace can be other than zero, and, where that is cheap, what its entries are.

A walk forwards carries, for every node, the entries (row, column) of its Jacobian with respect to x, as integer arrays over all
of them at once. An elementwise operation keeps the entries of its inputs and multiplies them; an operation that only moves or adds
elements moves the rows, as running it once on probes says; of every other operation the structure comes from its own push, run on a
Block without data. The pattern holds for every trace with the same operations, parameters and positions (`alike.Signature`). As
long as all operations are of the first two kinds, the values of the entries are known too (`accumulation`).
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse
import torch

from ..core.blocks.block import identity
from ..core.blocks.sparse import places
from ..core.elementwise import Elementwise
from ..core.operation import ITEM, BoundRule
from ..core.trace import Node
from ..kernels import Tensor
from .accumulation import MOST_ENTRIES, Accumulation, Dense, Entries, Indices, Step, Sums, joined, values_of
from .planning import stand_ins
from .reverse import unrecorded


@dataclass
class Pattern:
    """Where a Jacobian of shape `shape` can be other than zero: CSR, columns in order; `accumulation` where it can give the values."""

    starts: Indices
    columns: Indices
    shape: tuple[int, int]
    accumulation: Accumulation | None
    grid: tuple[int, ...]  # x in the shape in which its elements are neighbours

    @property
    def rows(self) -> Indices:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.starts))


def pattern_of(order: Sequence[Node], device: Any = None) -> Pattern | None:
    """The pattern of d u / d x in the trace from x to u; None where it is dense, or has too many entries to be listed.

    A dense one that comes with its values is a pattern too.
    """
    x, u = order[0], order[-1]
    try:
        walk = _Walk(x, device)
        found = walk.entries_of(u, order)
    except Dense:
        return None
    m, n = math.prod(u.shape), math.prod(x.shape)
    key, entry = _unique(found, n)
    if walk.accumulation is None and 2 * len(key) > m * n:
        return None
    rows, columns = key // max(n, 1), key % max(n, 1)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=m))])
    accumulation = walk.accumulation
    if accumulation is not None:
        accumulation.result = Sums.of(entry, len(key), found, accumulation.count)
    grid = next((tuple(k.shape) for k in order if k.operation.name == "reshape" and x in k.parents), tuple(x.shape))
    return Pattern(starts.astype(np.int32), columns.astype(np.int32), (m, n), accumulation, grid)


def _unique(entries: Entries, n: int) -> tuple[Indices, Indices]:
    """The places row * n + column in order, each once, and which of them each entry is at."""
    key = entries.rows * n + entries.columns
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    new = np.ones(len(key), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    entry = np.empty(len(key), dtype=np.intp)
    entry[order] = np.cumsum(new) - 1
    return ordered[new], entry


class _Walk:
    """The walk forwards from x."""

    def __init__(self, x: Node, device: Any):
        self.x = x
        self.device = device
        self.n = math.prod(x.shape)
        self.accumulation: Accumulation | None = Accumulation()
        self.known: dict[Node, Any] = {}
        self.merge_at = max(4096, 4 * self.n)

    def entries_of(self, u: Node, order: Sequence[Node]) -> Entries:
        each = np.arange(self.n)
        nothing = Entries(each[:0], each[:0], each[:0], np.ones(0))
        self.known[self.x] = Entries(each, each, np.zeros_like(each), np.ones(self.n))
        last = {p: k for k, node in enumerate(order) for p in node.parents if p is not None}
        for k, node in enumerate(order):
            if node is not self.x and any(p in self.known for p in node.parents):
                found = self._through(k, node)
                if found is not None:
                    self.known[node] = found
            for parent in node.parents:
                if parent is not None and last[parent] == k and parent is not u:
                    self.known.pop(parent, None)
        return self.known.get(u, nothing)

    def _through(self, k: int, node: Node) -> Any:
        operation = node.operation
        if operation.barrier:
            raise unrecorded(node)
        if operation is ITEM:
            return self.known[node.parents[0]][node.params["k"]]  # type: ignore[index]
        if isinstance(operation, Elementwise) and operation.complex_partials is None:
            parts: list[Any] = [self._multiplied(k, node, j) for j, p in enumerate(node.parents) if p in self.known]
            parts = [p for p in parts if p is not None]
        else:
            parts = [self._local(node, j) for j, p in enumerate(node.parents) if p in self.known]
            if node.shape is None:
                return tuple(self._compact(joined([p[i] for p in parts])) for i in range(operation.outputs))
        return self._compact(joined(parts)) if parts else None

    def _compact(self, entries: Entries) -> Entries:
        """Entries in one place with one slot added up, where entries have doubled since that was last done."""
        if len(entries.rows) <= self.merge_at:
            return entries
        if self.accumulation is not None and (int(entries.rows.max()) + 1) * self.n * self.accumulation.count >= 1 << 62:
            self.accumulation = None  # places could no longer be told apart by one number
        slots = self.accumulation.count if self.accumulation is not None else 1
        key = entries.rows * self.n + entries.columns
        key = key * slots + entries.slots if self.accumulation is not None else key
        _, which, merged = np.unique(key, return_index=True, return_inverse=True)
        sums = np.bincount(merged, entries.coefficients)
        found = entries.taken(which)
        self.merge_at = max(self.merge_at, 2 * len(which))
        return Entries(found.rows, found.columns, found.slots, sums)

    # ----- elementwise -----

    def _multiplied(self, k: int, node: Node, j: int) -> Entries | None:
        operation: Any = node.operation
        parent = node.parents[j]
        assert parent is not None
        entries: Entries = self.known[parent]
        if tuple(parent.shape) != tuple(node.shape):
            size = math.prod(parent.shape)
            source = np.broadcast_to(np.arange(size).reshape(parent.shape), tuple(node.shape)).reshape(-1)
            entries = entries.read(source, size)
        partial = operation.partials[j]
        selects = type(operation).push is not Elementwise.push
        if not isinstance(partial, BoundRule) and not selects:
            return None if partial == 0 else entries if partial == 1 else replace(entries, coefficients=entries.coefficients * partial)
        if self.accumulation is None:
            return entries
        key, entry = _unique(entries, self.n)
        rows, first, count = key // max(self.n, 1), self.accumulation.count, len(key)
        every = count == math.prod(node.shape) and bool((rows == np.arange(count)).all())
        self.accumulation.steps.append(Step(k, j, first, Sums.of(entry, count, entries, first), rows, every, tuple(node.shape), selects))
        self.accumulation.count += count
        return Entries(rows, key % max(self.n, 1), np.arange(first, first + count), np.ones(count))

    # ----- the others -----

    def _local(self, node: Node, j: int) -> Any:
        """The entries that come through one input: selected, or multiplied with the operation's own pattern."""
        entries: Entries = self.known[node.parents[j]]  # type: ignore[index]
        sparse = node.params.get("matrix") if node.operation.name == "sparse_matmul" else None
        if sparse is not None:
            return self._times(_sparse_pattern(sparse, node), entries)
        found = _selection(node, j, self.device)
        if found is not None:
            places, coefficients, reads = found
            size = math.prod(node.parents[j].shape)  # type: ignore[union-attr]
            return entries.read(places, size, coefficients) if reads else entries.moved(places, coefficients)
        self.accumulation = None
        patterns = _own_patterns(node, j)
        if type(patterns) is tuple:
            return tuple(self._times(p, entries) for p in patterns)
        return self._times(patterns, entries)

    def _times(self, pattern: Any, entries: Entries) -> Entries:
        """A sparse matrix times the entries: values as well where an accumulation still stands."""
        if self.accumulation is not None:  # the matrix is constant
            local = pattern.tocoo()
            order = np.argsort(entries.rows, kind="stable")
            counts = np.bincount(entries.rows, minlength=pattern.shape[1])
            starts = np.cumsum(counts) - counts
            wanted = counts[local.col]
            total = int(wanted.sum())
            if total > MOST_ENTRIES:
                raise Dense
            within = np.arange(total) - np.repeat(np.cumsum(wanted) - wanted, wanted)
            found = entries.taken(order[np.repeat(starts[local.col], wanted) + within])
            return Entries(np.repeat(local.row, wanted).astype(np.int64), found.columns, found.slots, found.coefficients * np.repeat(local.data, wanted))
        ones = scipy.sparse.csr_array((np.ones(len(entries.rows), dtype=bool), (entries.rows, entries.columns)), shape=(pattern.shape[1], self.n))
        reach = np.diff(ones.indptr)[pattern.indices].sum() if pattern.nnz else 0
        if reach > 8 * MOST_ENTRIES:
            raise Dense
        product = (pattern.astype(bool) @ ones).tocoo()
        if product.nnz > MOST_ENTRIES:
            raise Dense
        return Entries(product.row.astype(np.int64), product.col.astype(np.int64), np.zeros(product.nnz, dtype=np.int64), np.ones(product.nnz))


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


def _selection(node: Node, j: int, device: Any) -> tuple[Indices, np.ndarray | None, bool] | None:
    """Of an operation that is linear in input j alone: the element that each output reads, or the output that each element is added to.

    (places, coefficients, whether outputs read). Told from probes: all ones, positions, and random numbers, which must fit; where the
    probes meet another input, they meet NaN.
    """
    if node.operation.kind != "multilinear" or node.shape is None:
        return None
    parent = node.parents[j]
    assert parent is not None
    if not (node.dtype.is_floating_point and parent.dtype.is_floating_point):
        return None
    for reads in (True, False):
        source, target = (parent, node) if reads else (node, parent)
        n = math.prod(source.shape)
        draws = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
        results: list[Any] = []
        try:
            for probe in (torch.ones(n, dtype=torch.float64), torch.arange(n, dtype=torch.float64), draws):
                found = _linear(node, j, probe.reshape(source.shape).to(device), reads)
                results.append(None if found is None else found.cpu())
        except Exception:  # it does not run on such inputs: its structure will tell
            continue
        if any(r is None or r.numel() != math.prod(target.shape) for r in results):
            continue
        ones, positions, values = (r.reshape(-1).numpy() for r in results)
        if not np.isfinite(ones).all():
            return None
        present = ones != 0
        safe = np.where(present, ones, 1)
        places = np.where(present, np.rint(positions / safe), -1).astype(np.int64)
        if len(places) and (places.max() >= n or places.min() < -1):
            continue
        fits = np.where(present, ones * draws.numpy()[places] if n else 0, 0)
        if (np.abs(fits - values) <= 1e-12 * np.abs(values)).all():
            return places, None if (ones[present] == 1).all() else ones, reads
    return None


def _linear(node: Node, j: int, probe: Tensor, forwards: bool) -> Any:
    """The operation's push, or pull, of one array through input j."""
    given: list[Any] = [None] * len(node.parents)
    values = [torch.full_like(v, math.nan) if isinstance(v, Tensor) and v.dtype.is_floating_point else math.nan if type(v) is float else v
              for v in node.values]
    if forwards:
        given[j] = probe
        y = node.operation.push(values, node.params, node, given, ())
        if tuple(y.shape) != tuple(node.shape):
            y = y.expand(node.shape)
        return y
    wanted = [k == j for k in range(len(node.parents))]
    return node.operation.pull(values, node.params, node, probe, (), wanted)[j]


def _own_patterns(node: Node, j: int) -> Any:
    """The pattern of an operation's own Jacobian with respect to input j: of its push, on a Block without data."""
    parent = node.parents[j]
    assert parent is not None
    dots: list[Any] = [None] * len(node.parents)
    dots[j] = identity(parent.shape, parent.dtype, "meta")
    n = math.prod(parent.shape)
    outputs = [tuple(node.shape)] if node.shape is not None else [tuple(v.shape) for v in _outputs(node)]
    try:
        found = node.operation.push(stand_ins(node), node.params, node, dots, ())
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
        value = node.operation.run([v if v is not None else torch.zeros(p.shape, dtype=p.dtype) for v, p in  # type: ignore[union-attr]
                                    zip(node.values[:len(node.parents)], node.parents, strict=True)], node.params)[0]
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
