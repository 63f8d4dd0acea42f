"""The pull walk: cotangents backwards."""
from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ...blocks.block import Block
from ...core.finite import checking
from ...core.trace import SMALL, Node, walking
from ...machine.dtypes import Tensor
from ...machine.finite import all_finite
from . import steps, tied
from .failures import FAILURES, refuse_in_words
from .rows import Rows, write_of_row
from .steps import Reader, add, hand, handles, pulled, reader

_number = operator.attrgetter("number")


def pull(outputs: dict[Node, Any], targets: Sequence[Node], *, recorded: bool = False, lead: tuple[int, ...] = (),
         release: bool = False, values_of: Reader | None = None, finite_only: bool = False) -> list[Any]:
    """Cotangents of the targets from cotangents of the outputs; None where no output depends on a target.

    Cotangents are tensors, dlarrays (`recorded`: the walk is itself traced) or Blocks (then `values_of` gives a node's
    values). `lead`: sizes of leading axes that every cotangent carries. `release`: drop what the walk has used, which a
    walk of tensors without leading axes can do. `finite_only`: the caller looks whether all is finite, and takes
    nothing else of a walk of tensors with leading axes.
    """
    try:
        return _pulled(outputs, targets, recorded, lead, release, values_of, finite_only)
    except FAILURES as error:
        refuse_in_words(error)
        raise


def _pulled(outputs: dict[Node, Any], targets: Sequence[Node], recorded: bool, lead: tuple[int, ...], release: bool,
            values_of: Reader | None, finite_only: bool) -> list[Any]:
    asked = set(targets)
    order, active = between(outputs, asked)
    bars = {node: bar for node, bar in outputs.items() if node in active}
    guard = bool(order) and order[0].trace.guarded
    if recorded:
        found = walking(_plain, bars, order, active, asked, reader(handles), lead)
    elif (lead or values_of is not None) and (not guard or checking() or _without_data(bars.values())):
        found = _plain(bars, order, active, asked, reader(values_of), lead)
    elif lead or values_of is not None:
        seeds = bars.copy()
        found = _unguarded(bars, order, active, asked, reader(values_of), lead)
        if not finite_only and not all_finite(_arrays(found.values())):  # as below
            found = _plain(seeds, order, active, asked, reader(values_of), lead)
    else:
        if guard and checking():  # which sees each product, and is not to see the first walk's
            found = _raw(bars, order, active, asked, release, guarded=True)
            return [found.get(t) for t in targets]
        seeds = bars.copy() if guard else bars
        found = _raw(bars, order, active, asked, release)
        # what was not selected may have been infinite: once more, with 0 times infinity as 0
        if guard and not all_finite(found.values()):
            found = _raw(seeds, order, active, asked, release, guarded=True)
    return [found.get(t) for t in targets]


def _plain(bars: dict[Node, Any], order: list[Node], active: set[Any], asked: set[Node],
           read: Reader, lead: tuple[int, ...]) -> dict[Node, Any]:
    """The walk as it is meant."""
    found: dict[Node, Any] = {}
    rows: dict[Node, Rows] = {}
    for node in order:
        y_bar = bars.pop(node, None)
        if node in rows:
            if (node.operation.writes_at is not None and node not in asked
                and write_of_row(node, rows, y_bar, active, bars, None, lead)):
                continue
            y_bar = rows.pop(node).whole(node, y_bar)
        if y_bar is None:
            continue
        if node in asked:
            found[node] = y_bar
        parents = node.parents
        if not parents:
            continue
        # rows that are repeated for each direction need not be, and are read as the others are
        if type(y_bar) is not Block and (not lead or node.shape is not None
                                         and tuple(y_bar.shape) == (*lead, *node.shape)):
            at = node.operation.reads_at(node.params) if node.operation.reads_at is not None else None
            if at is not None and parents[0] in active:
                rows.setdefault(parents[0], Rows(None, len(lead))).add(at % parents[0].shape[0], y_bar)  # type: ignore[arg-type, union-attr]
                continue
            if (node.operation.writes_at is not None and node not in asked
                and write_of_row(node, rows, y_bar, active, bars, None, lead)):
                continue
        for parent, bar in (tied.pulled(node, y_bar, active, read) if type(y_bar) is Block and not lead
                            else pulled(node, y_bar, active, read, lead)):
            hand(bars, None, parent, bar, lead)
    return found


def _unguarded(bars: dict[Node, Any], order: list[Node], active: set[Any], asked: set[Node],
               read: Reader, lead: tuple[int, ...]) -> dict[Node, Any]:
    """The walk as if nothing had been selected."""
    trace = order[0].trace
    try:
        trace.guarded = False
        return _plain(bars, order, active, asked, read, lead)
    finally:
        trace.guarded = True


def _without_data(bars: Iterable[Any]) -> bool:
    return any([torch.device(bar.device).type == "meta" for bar in bars])


def _arrays(bars: Iterable[Any]) -> list[Tensor]:
    """All that is held; of Blocks their factors."""
    return [a for bar in bars for a in ([f for term in bar.terms for f, _ in term.factors] if type(bar) is Block
                                        else [bar])]


def _raw(bars: dict[Node, Any], order: list[Node], active: set[Any], asked: set[Node], release: bool,
         guarded: bool = False) -> dict[Node, Any]:
    """The same on tensors without leading axes: it owns the memory it accumulates in, keeps the cotangents of rows that
    were read or written one by one as rows, and undoes other writes in place."""
    found: dict[Node, Any] = {}
    read = reader()
    owned: set[Node] = set()
    rows: dict[Node, Rows] = {}
    for node in order:
        y_bar = bars.pop(node, None)
        if rows and node in rows:
            if (node.operation.writes_at is not None and node not in asked
                and write_of_row(node, rows, y_bar, active, bars, owned)):
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
        operation = node.operation
        pulls = operation.raw_pulls
        if pulls is not None and not guarded and not node.dtype.is_complex:
            values = node.values if node.dropped is None else read(node)
            # quick way: `pulled` and `hand` without the calls, as most nodes come through here; the plain one is in
            # steps.py
            for k, parent in enumerate(parents):
                if parent not in active or parent in owned and _add_product(bars[parent], operation, k, values, y_bar):  # type: ignore[index]
                    continue
                if (bar := pulls[k](values, node.params, node, y_bar)) is not None:
                    if bar.shape != parent.shape or bar.dtype is not parent.dtype:  # type: ignore[union-attr]
                        bar = steps.fitted(bar, parent, ())  # type: ignore[arg-type]
                    elif bar is not y_bar and operation.makes[k] and parent not in bars:
                        owned.add(parent)  # type: ignore[arg-type]
                    if parent in bars:
                        add(bars, owned, parent, bar)  # type: ignore[arg-type]
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
                and write_of_row(node, rows, y_bar, active, bars, owned)):
                continue
            if operation.overwrites:
                _undo_write(node, y_bar if node in owned else y_bar.clone(memory_format=torch.contiguous_format),
                            active, bars, owned)
                if release:
                    node.drop()
                continue
            if operation.barrier and any(p in active for p in parents):
                steps.refuse(node)
        wanted = [p in active for p in parents]
        if True in wanted:  # quick way: `pulled` without the calls, 1 us a node; the plain one is in steps.py
            values = node.values if node.dropped is None else read(node)
            for parent, bar in zip(parents, operation.pull(values, node.params, node, y_bar, (), wanted), strict=True):
                if bar is not None and parent in active:
                    hand(bars, owned, parent, bar)
        if release:
            node.drop()
    return found


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


def _add_product(total: Tensor, operation: Any, k: int, values: list[Any], y_bar: Tensor) -> bool:
    """The pull of input k added to what its parent has, which the walk owns, in one pass: where it is a product with
    another input in one shape and type."""
    at = operation.factors[k]
    if at is None:
        return False
    factor = values[at]
    if type(factor) is not Tensor or y_bar.shape != total.shape or not factor.dtype is y_bar.dtype is total.dtype:
        return False
    total.addcmul_(y_bar, factor)
    return True


def _undo_write(node: Node, y_bar: Tensor, active: set[Any], bars: dict[Node, Any], owned: set[Node]) -> None:
    """y = x with y[index] = value, backwards: the written place is value's, the rest is x's, in the same memory."""
    x, value = node.parents
    written = y_bar[node.params["index"]]  # integers and slices: a view
    if value in active:
        hand(bars, owned, value, written.clone())
    if x in active:
        written.zero_()
        if y_bar.dtype is not x.dtype:  # type: ignore[union-attr]
            y_bar = steps.fitted(y_bar, x, ())  # type: ignore[arg-type]
        if x not in bars:
            bars[x] = y_bar  # type: ignore[index]
            owned.add(x)  # type: ignore[arg-type]
        else:
            add(bars, owned, x, y_bar)  # type: ignore[arg-type]
