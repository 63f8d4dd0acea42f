"""Sparse Jacobians: what is kept of each branch of a function, and the evaluation, from partials or from compressed
walks."""
from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch

from ...core.array import dlarray
from ...core.errors import GradloomError, GradloomWarning, line_of, user_site
from ...core.trace import Node, live
from ...machine.dtypes import NAMES, Tensor, entry_type
from ..walks.pieces import pulled, pushed
from ..walks.signature import Signature
from .coloring import Coloring, colored, symmetric
from .dense import jacobian_of, trace_between
from .partials import Place
from .pattern import Pattern, pattern_of

SMALL = 1 << 10  # entries of a Jacobian that is small even where it is dense
PROBES = 8  # random directions in which a result is checked
SLACK = 8  # times what rounding has been seen to do
KEPT = 8  # branches of a function whose patterns are kept


class Prepared:
    """What is kept of one branch of a function: its signature, pattern and, once it is asked for, colouring."""

    def __init__(self, order: list[Node], square: bool, device: Any = None):
        self.signature = Signature(order)
        self.square = square
        self.free: set[Place] = set()  # numbers that have changed between calls
        self.shape = math.prod(order[-1].shape), math.prod(order[0].shape)
        self.dtype = entry_type(order[0].dtype)
        self.pattern = pattern_of(order, device)
        if self.pattern is not None and square and self.pattern.accumulation is None:
            self.pattern = _symmetrized(self.pattern)
        self._coloring: Coloring | None = None
        self.seeds: Tensor | None = None
        self.gather: Tensor | None = None
        if self.pattern is not None:
            p = self.pattern
            self.empty = scipy.sparse.csr_array((np.zeros(len(p.columns)), p.columns, p.starts), shape=p.shape)
            self.empty.has_canonical_format = True

    @property
    def coloring(self) -> Coloring:
        """The colouring of the pattern, found once."""
        if self._coloring is None:
            p = self.pattern
            assert p is not None
            self._coloring = (symmetric(p.starts, p.columns, p.shape[0], p.grid) if self.square
                              else colored(p.starts, p.columns, p.shape, p.grid))
        return self._coloring

    def slow(self) -> str:
        """Why it takes about as long as a dense one, in words."""
        if self.pattern is None:
            return "is dense, and all of it is computed"
        if self.pattern.accumulation is None and 2 * self.coloring.count > min(self.pattern.shape):
            return f"is sparse, but its pattern needs {self.coloring.count} colours, one walk for each"
        return ""

    def values(self, order: list[Node], device: Any) -> Tensor:
        """The entries of the pattern in this trace."""
        p = self.pattern
        assert p is not None
        if p.accumulation is not None:
            changed = p.accumulation.changed(order)
            if changed:
                self.free |= changed
                found = pattern_of(order, device, self.free)
                assert found is not None and found.accumulation is not None  # numbers decide nothing else
                self.pattern = p = found
            return p.accumulation.values(order)  # type: ignore[union-attr]
        coloring = self.coloring
        backwards = coloring.by == "rows"
        if not coloring.count:
            return torch.zeros(0, dtype=self.dtype, device="cpu")
        if self.seeds is None or self.gather is None:
            self.seeds = torch.from_numpy(coloring.colors) == torch.arange(coloring.count, device="cpu")[:, None]
            self.gather = torch.tensor(coloring.gather, dtype=torch.int64, device="cpu")
        seeds = self.seeds.to(device, order[-1 if backwards else 0].dtype)
        if backwards:
            (compressed,) = pulled(order, {order[-1]: seeds}, [order[0]])
        else:
            (compressed,) = pushed(order, {order[0]: seeds}, [order[-1]])
        return compressed.to("cpu", entry_type(compressed.dtype)).reshape(-1).index_select(0, self.gather)


class SparseResult:
    """A sparse Jacobian on its way out: its entries as a tensor, in the order of a pattern or all of them."""

    __slots__ = ("_empty", "_values")

    def __init__(self, empty: Any, values: Tensor):
        self._empty, self._values = empty, values

    def __held__(self) -> list[Tensor]:
        """The tensor of which it consists."""
        return [self._values]

    def __filled__(self, tensors: Sequence[Tensor]) -> SparseResult:
        """The same with other entries."""
        return SparseResult(self._empty, tensors[0])

    def csr(self) -> Any:
        """As SciPy's, of fresh arrays."""
        if self._empty is None:
            return scipy.sparse.csr_array(self._values.numpy())
        found = object.__new__(scipy.sparse.csr_array)  # cheaper than making and checking a new one
        vars(found).update(vars(self._empty))
        found.data, found.indices, found.indptr = self._values.numpy(), found.indices.copy(), found.indptr.copy()
        return found


def _symmetrized(p: Pattern) -> Pattern:
    a = scipy.sparse.csr_array((np.ones(len(p.columns)), p.columns, p.starts), shape=p.shape)
    a = scipy.sparse.csr_array(a + a.T)
    a.sort_indices()
    return Pattern(a.indptr.astype(np.int32), a.indices.astype(np.int32), p.shape, None, p.grid)


def sparse(kept: list[Prepared], u: Any, x: dlarray, square: bool, check: bool) -> SparseResult:
    """The sparse Jacobian of u, by what is kept of the same branch or is kept from now on."""
    node = live(u._node) if type(u) is dlarray else None
    if node is None or x._node is None:
        return _nothing(u, x)
    prepared = order = None
    for prepared in kept:
        order = prepared.signature.order(node, x._node)
        if order is not None:
            break
    else:
        order = trace_between(u, x)
        if not order:
            return _nothing(u, x)
        prepared = Prepared(order, square, x.device)
        kept.append(prepared)
        del kept[:-KEPT]
        if math.prod(prepared.shape) > SMALL and (why := prepared.slow()):
            m, n = prepared.shape
            warnings.warn(
                f"the {'Hessian' if square else 'Jacobian'} of {m} by {n} {why}, at {line_of(user_site())}; write "
                f"{'hessian' if square else 'jacobian'}, or dljacobian(u, x), which keeps other structure "
                "too", GradloomWarning, stacklevel=2)
    if prepared.pattern is None:
        entries = jacobian_of(u, x)._value.reshape(prepared.shape)
        found = SparseResult(None, entries.to("cpu", entry_type(entries.dtype)))
    else:
        values = prepared.values(order, x.device)
        found = SparseResult(prepared.empty, values.to(prepared.dtype))
    if check:
        _probe(found.csr(), order, x.device)
    return found


def _nothing(u: Any, x: dlarray) -> SparseResult:
    m = math.prod(u.shape if type(u) is dlarray else np.shape(u))
    dtype = entry_type(x.dtype)
    return SparseResult(scipy.sparse.csr_array((m, math.prod(x.shape)), dtype=NAMES[dtype]),
                        torch.zeros(0, dtype=dtype, device="cpu"))


def _probe(found: Any, order: list[Node], device: Any) -> None:
    """Compare with plain walks in random directions.

    How far rounding alone moves a walk is measured: in a sum of two directions it would give the sum of what it gives
    in each.
    """
    x, u = order[0], order[-1]
    a, b = _directions(x.dtype, (PROBES, *x.shape))
    (tangents,) = pushed(order, {x: torch.cat((a, b, a + b)).to(device)}, [u])
    walked = tangents.reshape(3 * PROBES, -1).to("cpu", torch.float64).numpy()
    parts, expected = walked[:2 * PROBES].reshape(2, PROBES, -1), walked[2 * PROBES:]
    v = (a + b).to(torch.float64).numpy().reshape(PROBES, -1)
    with np.errstate(invalid="ignore", over="ignore"):
        matrix = found.astype(np.float64)
        product = (matrix @ v.T).T
        rounding = np.nan_to_num(np.abs(parts.sum(0) - expected), nan=np.inf).max(0, initial=0)
        size = (abs(matrix) @ np.abs(v).T).T + np.abs(expected)
        limit = SLACK * (2 * rounding + torch.finfo(u.dtype).eps * size + torch.finfo(u.dtype).tiny)
        error = np.abs(product - expected)
    wrong = np.isfinite(expected) & ~(error <= limit)  # a walk that is not finite says nothing
    if wrong.any():
        raise GradloomError(
            f"the sparse Jacobian differs from a plain walk by {error[wrong].max():.1e}; please report it, and use "
            "jacobian meanwhile")


def _directions(dtype: torch.dtype, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Two random directions of one sign each that have no zero and are added without rounding."""
    stream = torch.Generator("cpu").manual_seed(0)
    count = int(torch.finfo(dtype).eps ** -0.5)
    a, b = (torch.randint(1, count, shape, generator=stream, device="cpu") for _ in range(2))
    sign = torch.randint(0, 2, shape, generator=stream, device="cpu") * 2 - 1
    return (a * sign).to(dtype) / count, (b * sign).to(dtype) / count


__all__ = ["Prepared", "SparseResult", "sparse"]
