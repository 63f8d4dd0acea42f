"""The pull walk: cotangents backwards."""
from __future__ import annotations

import cmath
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from ...blocks.block import Block
from ...core.array import dlarray
from ...core.errors import TraceError, line_of, user_site
from ...core.finite import checking
from ...core.operation import ITEM, item
from ...core.tables import words
from ...core.trace import SMALL, Node, walking
from ...machine.dtypes import HALF, Tensor
from ...machine.questions import spared
from .failures import FAILURES, refuse_in_words

_number = operator.attrgetter("number")
FEW = 32  # numbers that are quicker looked at one by one


def pull(outputs: dict[Node, Any], targets: Sequence[Node], *, recorded: bool = False, lead: tuple[int, ...] = (),
         release: bool = False,
         values_of: Callable[[Node], list[Any]] | None = None) -> list[Any]:
    """Cotangents of the targets from cotangents of the outputs; None where no output depends on a target.

    Cotangents are tensors, dlarrays (`recorded`: the walk is itself traced) or Blocks (then `values_of` gives a node's
    values). `lead`: sizes of leading axes that every cotangent carries. `release`: drop what the walk has used, which a
    walk of tensors without leading axes can do.
    """
    try:
        return _pulled(outputs, targets, recorded, lead, release, values_of)
    except FAILURES as error:
        refuse_in_words(error)
        raise


def _pulled(outputs: dict[Node, Any], targets: Sequence[Node], recorded: bool, lead: tuple[int, ...], release: bool,
            values_of: Callable[[Node], list[Any]] | None) -> list[Any]:
    asked = set(targets)
    order, active = between(outputs, asked)
    bars = {node: bar for node, bar in outputs.items() if node in active}
    if recorded:
        found = walking(_plain, bars, order, active, asked, handles, lead)
    elif lead or values_of is not None:
        found = _plain(bars, order, active, asked, values_of or (lambda node: node.values), lead)
    else:
        guard = bool(order) and order[0].trace.guarded
        if guard and checking():  # which sees each product, and is not to see the first walk's
            found = _raw(bars, order, active, asked, release, guarded=True)
            return [found.get(t) for t in targets]
        seeds = bars.copy() if guard else bars
        found = _raw(bars, order, active, asked, release)
        # what was not selected may have been infinite: once more, with 0 times infinity as 0
        if guard and not finite(found.values()):
            found = _raw(seeds, order, active, asked, release, guarded=True)
    return [found.get(t) for t in targets]


def _plain(bars: dict[Node, Any], order: list[Node], active: set[Any], asked: set[Node],
           values_of: Callable[[Node], list[Any]],
           lead: tuple[int, ...]) -> dict[Node, Any]:
    """The walk as it is meant."""
    found: dict[Node, Any] = {}
    known: dict[Node, Any] = {}
    rows: dict[Node, Rows] = {}
    for node in order:
        y_bar = bars.pop(node, None)
        if node in rows:
            if (node.operation.writes_at is not None and node not in asked
                and _write_of_row(node, rows, y_bar, active, bars, None)):
                continue
            y_bar = rows.pop(node).whole(node, y_bar)
        if y_bar is None:
            continue
        if node in asked:
            found[node] = y_bar
        parents = node.parents
        if not lead and type(y_bar) is not Block:
            at = node.operation.reads_at(node.params) if node.operation.reads_at is not None else None
            if at is not None and parents[0] in active:
                rows.setdefault(parents[0], Rows(None)).add(at % parents[0].shape[0], y_bar)  # type: ignore[arg-type, union-attr]
                continue
            if (node.operation.writes_at is not None and node not in asked
                and _write_of_row(node, rows, y_bar, active, bars, None)):
                continue
        wanted = [p in active for p in parents]
        if True not in wanted:
            continue
        operation = node.operation
        if operation.barrier:
            raise unrecorded(node)
        if operation is ITEM:
            _collect(parents[0], node.params["k"], y_bar, bars)
            continue
        if node.dropped is not None:
            node.restore(known)
        for parent, bar in zip(parents, operation.pull(values_of(node), node.params, node, y_bar, lead, wanted),
                               strict=True):
            if bar is not None and parent in active:
                _hand(bars, None, parent, bar, lead)
    return found


def _raw(bars: dict[Node, Any], order: list[Node], active: set[Any], asked: set[Node], release: bool,
         guarded: bool = False) -> dict[Node, Any]:
    """The same on tensors without leading axes: it owns the memory it accumulates in, keeps the cotangents of rows that
    were read or written one by one as rows, and undoes other writes in place."""
    found: dict[Node, Any] = {}
    known: dict[Node, Any] = {}
    owned: set[Node] = set()
    rows: dict[Node, Rows] = {}
    for node in order:
        y_bar = bars.pop(node, None)
        if rows and node in rows:
            if (node.operation.writes_at is not None and node not in asked
                and _write_of_row(node, rows, y_bar, active, bars, owned)):
                continue
            y_bar = rows.pop(node).whole(node, y_bar)
            owned.add(node)
        if y_bar is None:
            continue
        parents = node.parents
        if node in asked:
            found[node] = y_bar
            if not parents:
                continue
            owned.discard(node)
        if node.dropped is not None:
            node.restore(known)
        operation = node.operation
        pulls = operation.raw_pulls
        if pulls is not None and not guarded and not node.dtype.is_complex:
            values = node.values
            for k, parent in enumerate(parents):  # `_hand`, without the call: most nodes come through here
                if parent not in active or parent in owned and _add_product(bars[parent], operation, k, values, y_bar):  # type: ignore[index]
                    continue
                if (bar := pulls[k](values, node.params, node, y_bar)) is not None:
                    if bar.shape != parent.shape or bar.dtype is not parent.dtype:  # type: ignore[union-attr]
                        bar = fitted(bar, parent, ())  # type: ignore[arg-type]
                    elif bar is not y_bar and operation.makes[k] and parent not in bars:
                        owned.add(parent)  # type: ignore[arg-type]
                    if parent in bars:
                        _add(bars, owned, parent, bar)  # type: ignore[arg-type]
                    else:
                        bars[parent] = bar  # type: ignore[index]
            if release and node.shape and y_bar.numel() >= SMALL:  # a walk through small arrays drops nothing
                node.drop()
            continue
        if not operation.ordinary:
            if operation.reads_at is not None and (at := operation.reads_at(node.params)) is not None:
                source = parents[0]
                if source in active:
                    its = rows.get(source)  # type: ignore[arg-type]
                    if its is None:
                        its = rows[source] = Rows(None)  # type: ignore[index]
                    its.add(at if at >= 0 else at + source.shape[0], y_bar)  # type: ignore[union-attr]
                continue
            if (operation.writes_at is not None and node not in asked
                and _write_of_row(node, rows, y_bar, active, bars, owned)):
                continue
            if operation.overwrites:
                _undo_write(node, y_bar if node in owned else y_bar.clone(memory_format=torch.contiguous_format),
                            active, bars, owned)
                if release:
                    node.drop()
                continue
            if operation.barrier and any(p in active for p in parents):
                raise unrecorded(node)
            if operation is ITEM:
                if parents[0] in active:
                    _collect(parents[0], node.params["k"], y_bar, bars)
                continue
        wanted = [p in active for p in parents]
        if True in wanted:  # not of a target that was computed from what is not asked for
            for parent, bar in zip(parents, operation.pull(node.values, node.params, node, y_bar, (), wanted),
                                   strict=True):
                if bar is not None and parent in active:
                    _hand(bars, owned, parent, bar)
        if release:
            node.drop()
    return found


def finite(bars: Iterable[Tensor]) -> bool:
    """Whether there is surely neither infinity nor NaN in any: one pass that only reads, and one question for all that are not small."""
    sums = []
    for bar in bars:
        if bar.is_cpu and bar.numel() <= FEW:  # quick way; the sums below say the same
            numbers = bar.tolist() if bar.ndim == 1 else bar.reshape(-1).tolist()
            if not all(map(cmath.isfinite, numbers)):
                return False
        elif not bar.is_meta:
            sums.append(bar.sum(dtype=torch.float32) if bar.dtype in HALF else bar.sum())
    total = sums[0] if len(sums) == 1 else sum(sums[1:], sums[0]) if sums else None
    return total is None or spared(lambda: cmath.isfinite(total.item()))


def between(outputs: Iterable[Node], asked: set[Node]) -> tuple[list[Node], set[Any]]:
    """The nodes that lead to the outputs, newest first, and those of them that depend on an asked-for one."""
    oldest = min([t.number for t in asked])
    seen: set[Any] = set(outputs)
    pending = list(seen)
    strangers = False  # whether some of them start from elsewhere
    while pending:
        node = pending.pop()
        parents = node.parents
        if not parents and node not in asked:
            strangers = True
        for parent in parents:
            if parent is not None and parent not in seen:
                if parent.number >= oldest:
                    seen.add(parent)
                    pending.append(parent)
                else:
                    strangers = True
    order = sorted(seen, key=_number, reverse=True)
    if not strangers:
        return order, seen
    active: set[Any] = asked & seen
    for node in reversed(order):
        if node not in active:
            for parent in node.parents:
                if parent in active:
                    active.add(node)
                    break
    return order, active


def _hand(bars: dict[Node, Any], owned: set[Node] | None, parent: Any, bar: Any, lead: tuple[int, ...] = ()) -> None:
    """A cotangent to a parent: in its shape and type, added to what is there."""
    if bar.shape != parent.shape or bar.dtype is not parent.dtype:
        bar = fitted(bar, parent, lead)
    if parent in bars:
        _add(bars, owned, parent, bar)
    else:
        bars[parent] = bar


def _add(bars: dict[Node, Any], owned: set[Node] | None, parent: Node, bar: Any) -> None:
    """Accumulate: into memory that the walk owns from the second time on; a recorded walk owns none."""
    if owned is None:
        bars[parent] = bars[parent] + bar
    elif parent in owned:
        bars[parent].add_(bar)
    else:
        bars[parent] = bars[parent] + bar
        owned.add(parent)


def _add_product(total: Tensor, operation: Any, k: int, values: list[Any], y_bar: Tensor) -> bool:
    """The pull of input k added to what its parent has, which the walk owns, in one pass: where it is a product with another input in one shape and type."""
    at = operation.factors[k]
    if at is None:
        return False
    factor = values[at]
    if type(factor) is not Tensor or y_bar.shape != total.shape or not factor.dtype is y_bar.dtype is total.dtype:
        return False
    total.addcmul_(y_bar, factor)
    return True


class Rows:
    """A cotangent as rows along axis 0: those of an array, but for those that were taken away, and those that were
    added.

    Reads and writes of single rows in a loop only move rows in and out; the array is put together once.
    """

    __slots__ = ("added", "dense", "taken")

    def __init__(self, dense: Tensor | None):
        self.dense = dense
        self.added: dict[int, Tensor] = {}
        self.taken: set[int] = set()

    def add(self, at: int, row: Tensor) -> None:
        """One more contribution to a row."""
        added = self.added
        added[at] = added[at] + row if at in added else row

    def take(self, at: int) -> Tensor | None:
        """A row, which is then no longer there."""
        row = self.added.pop(at, None)
        if self.dense is not None and at not in self.taken:
            self.taken.add(at)
            row = self.dense[at] if row is None else row + self.dense[at]
        return row

    def join(self, other: Rows, node: Node) -> None:
        """Add another cotangent of the same node."""
        if other.dense is not None:
            if self.dense is None:
                self.dense, self.taken = other.dense, other.taken
            else:
                self.dense, self.added, self.taken = self.whole(node, other.whole(node)), {}, set()
                return
        for at, row in other.added.items():
            self.add(at, row)

    def whole(self, node: Node, other: Any = None) -> Any:
        """All rows as an array of its own, with the rest of the cotangent of `node` added to it."""
        n, bar = node.shape[0], self.dense
        if bar is not None and self.taken:
            bar = words.where(self._there(node, bar.device), bar, 0.0)
        if self.added:
            places, rows = list(self.added), list(self.added.values())
            if len(places) == n:
                rows = [self.added[k] for k in range(n)]
            stacked = torch.stack(rows) if type(rows[0]) is Tensor else words.stack(rows)
            stacked = cast(stacked, node.dtype)
            if len(places) < n:
                where = torch.tensor(places, device=stacked.device)
                stacked = words.put(stacked, where, -node.ndim, n)
            bar = stacked if bar is None else bar + stacked
        bar = bar.clone() if bar is self.dense and type(bar) is Tensor else bar
        return bar if other is None else other + bar

    def _there(self, node: Node, device: Any) -> Any:
        """Which rows were not taken."""
        mask = torch.ones((node.shape[0], *(1,) * (node.ndim - 1)), dtype=torch.bool, device=device)
        mask[torch.tensor(list(self.taken), device=device)] = False
        return mask


def _write_of_row(node: Node, rows: dict[Node, Rows], y_bar: Any, active: set[Any], bars: dict[Node, Any],
                  owned: set[Node] | None) -> bool:
    """y = x with y[at] = value, backwards: the row at `at` is value's, the others are x's. False where it is not a row that was written."""
    at = node.operation.writes_at(node.params)
    if at is None:
        return False
    its = rows.pop(node, None)
    if its is None or its.dense is not None and y_bar is not None:
        its = Rows(y_bar if its is None else its.whole(node, y_bar))
    elif y_bar is not None:
        its.dense = y_bar
    x, value = node.parents
    row = its.take(at if at >= 0 else at + node.shape[0])
    if row is not None and value in active:
        _hand(bars, owned, value, row)
    if x in active and (its.added or its.dense is not None):
        before = rows.setdefault(x, its)  # type: ignore[arg-type]
        if before is not its:
            before.join(its, x)  # type: ignore[arg-type]
    return True


def _undo_write(node: Node, y_bar: Tensor, active: set[Any], bars: dict[Node, Any], owned: set[Node]) -> None:
    """y = x with y[index] = value, backwards: the written place is value's, the rest is x's, in the same memory."""
    x, value = node.parents
    written = y_bar[node.params["index"]]  # integers and slices: a view
    if value in active:
        _hand(bars, owned, value, written.clone())
    if x in active:
        written.zero_()
        if y_bar.dtype is not x.dtype:  # type: ignore[union-attr]
            y_bar = fitted(y_bar, x, ())  # type: ignore[arg-type]
        if x not in bars:
            bars[x] = y_bar  # type: ignore[index]
            owned.add(x)  # type: ignore[arg-type]
        else:
            _add(bars, owned, x, y_bar)  # type: ignore[arg-type]


def _collect(parent: Any, k: int, y_bar: Any, bars: dict[Node, Any]) -> None:
    """A cotangent for one of several outputs."""
    parts = bars.setdefault(parent, [None] * parent.operation.outputs)
    parts[k] = y_bar if parts[k] is None else parts[k] + y_bar


def handles(node: Node) -> list[Any]:
    """The node's values as arrays in the trace, for a walk that is itself recorded."""
    n = len(node.parents)
    made: list[Any] = []
    for k, value in enumerate(node.values):
        if type(value) is tuple:  # several outputs
            made.append(tuple(item(value, node, j, None) for j in range(len(value))))
        elif not isinstance(value, Tensor):
            made.append(value)
        elif k < n:
            made.append(dlarray._made(value, node.parents[k], None))
        else:
            made.append(dlarray._made(value, node if k == n else None, None))
    return made


def fitted(bar: Any, node: Node, lead: tuple[int, ...]) -> Any:
    """A cotangent summed over the axes that its node was broadcast along, real for a real node, in its type."""
    n = len(lead)
    own = tuple(bar.shape[n:])
    if own != tuple(node.shape):
        extra = len(own) - node.ndim
        axes = tuple(range(n, n + extra)) + tuple(n + extra + k for k, size in enumerate(node.shape)
                                                  if size == 1 and own[extra + k] != 1)
        if any([bar.shape[k] != 1 for k in axes]):
            bar = bar.sum(axes) if type(bar) is Tensor else words.sum(bar, axis=axes, keepdims=False)
        if tuple(bar.shape[n:]) != tuple(node.shape):
            shape = (*bar.shape[:n], *node.shape)
            same_size = math.prod(bar.shape) == math.prod(shape)
            bar = (words.reshape if same_size else words.broadcast_to)(bar, shape)
    return cast(bar, node.dtype)


def cast(x: Any, dtype: torch.dtype) -> Any:
    """In a node's type: the real part where it is real."""
    if x.dtype is dtype:
        return x
    if x.dtype.is_complex and not dtype.is_complex:
        x = words.real(x)
    return x if x.dtype is dtype else words.astype(x, dtype)


def unrecorded(node: Node) -> TraceError:
    """The error for a walk through a derivative that was not recorded."""
    option = node.params.get("option", "enable_higher_derivatives=True")
    return TraceError(
        f"{node.operation.barrier} in {line_of(node.site)} was not recorded, so it cannot be differentiated at {line_of(user_site())}; "
                      f"write {option} there, or detach(g) to mean a constant")
