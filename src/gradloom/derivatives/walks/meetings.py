"""The two walks as every derivative takes them: with what the rules of eigen- and singular vectors leave out.

Where two values meet (operations/matrices/equal_values.py), the numerator h of their vectors' turn is 0 over a gap
that is 0. The quotient is the derivative of h as the values part, and h is made of cotangents: so the trace from the
vectors on is walked backwards, recorded, and that walk is pushed through in a direction in which all near values part.
What is found is one more cotangent of the matrix. Forwards it is the same second derivative the other way around: the
trace is pushed through as the values part, recorded, and that is pushed through as the vectors turn.

Near values that are not equal have a quotient too. It is taken where it differs from the limit by more than its own
rounding can be. What does depend on the choice of equal values' vectors has no derivative, and warns.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray
from ...core.trace import Node, ancestors
from ...machine.dtypes import Tensor
from ...operations.matrices.equal_values import over_gaps
from . import pull as pulling
from . import push as pushing
from .limits import (
    Met,
    Seeds,
    add_to,
    again,
    check,
    cotangents,
    counted,
    examined,
    limit_backwards,
    limits_forwards,
    outputs_of,
    probe,
    traced_quotients,
)
from .steps import output_of


def pull(outputs: Seeds, targets: Sequence[Node], *, recorded: bool = False, lead: tuple[int, ...] = (),
         release: bool = False, values_of: Callable[[Node], list[Any]] | None = None,
         finite_only: bool = False) -> list[Any]:
    """The pull walk (pull.py), right also where values meet."""
    if targets and targets[0].trace.meetings:
        outputs = _with_turns(outputs, targets, recorded, lead)
    return pulling.pull(outputs, targets, recorded=recorded, lead=lead, release=release, values_of=values_of,
                        finite_only=finite_only)


def push(outputs: Sequence[Node], seeds: Seeds, *, recorded: bool = False, lead: tuple[int, ...] = ()) -> list[Any]:
    """The push walk (push.py), right also where values meet."""
    if outputs and outputs[0].trace.meetings and (met := _met(ancestors(outputs, min([n.number for n in seeds])))):
        return _pushed(outputs, seeds, met, recorded, lead)
    return pushing.push(outputs, seeds, recorded=recorded, lead=lead)


def _met(order: Sequence[Node]) -> list[Met]:
    """Those among some nodes whose vectors are used, in their order."""
    known = {reference() for reference in order[0].trace.meetings} if order else set()
    items: dict[Node, list[Node]] = {}
    for node in order:
        if output_of(node) is not None and node.parents[0] in known:
            items.setdefault(node.parents[0], []).append(node)  # type: ignore[arg-type]
    found = []
    for node in order:
        if node in items:
            meeting: Any = node.operation.meeting
            vectors = [i for i in items[node] if output_of(i) in meeting.vectors]
            if vectors:
                found.append(Met(node, [i for i in items[node] if output_of(i) == meeting.values], vectors))
    return found


def meets(u: Node, x: Node) -> bool:
    """Whether values that meet lie between two nodes."""
    known = {reference() for reference in u.trace.meetings}
    return bool(known) and any([node in known for node in ancestors([u], x.number)])


# ----- backwards ------------------------------------------------------------------------------------------------------


def _with_turns(outputs: Seeds, targets: Sequence[Node], recorded: bool, lead: tuple[int, ...]) -> Seeds:
    """The cotangents that a walk starts from, with one more for each matrix whose values meet."""
    order, active = pulling.between(outputs, set(targets))
    found = dict(outputs)
    constant = dict(outputs)  # the same, but what later meetings add is no function of the earlier ones' vectors
    for met in _met(order):
        x = met.node.parents[0]
        if met.node not in active or x not in active:
            continue
        more: Any
        if any([type(bar) is Block for bar in found.values()]):
            more = still = added([_turn_of_block(met, node, bar) for node, bar in constant.items()])
        else:
            seeds = {n: bar if type(bar) is dlarray else dlarray._made(bar, None) for n, bar in constant.items()}
            more = _turn(met, seeds, recorded, lead)
            still = more.detach() if type(more) is dlarray else more  # type: ignore[attr-defined]
        if more is not None:
            found[x] = found[x] + more if x in found else more  # type: ignore[index]
            constant[x] = constant[x] + still if x in constant else still  # type: ignore[index]
    return found


def _turn(met: Met, seeds: Seeds, recorded: bool, lead: tuple[int, ...]) -> Any:
    """The cotangent of the matrix that the near pairs give."""
    bars = cotangents(met, seeds, lead)
    if all([bar is None for bar in bars]):
        return None
    pairs = examined(met, bars, recorded)
    check(met, pairs, list(seeds))
    y, pivots = outputs_of(met, recorded)
    if not recorded:
        divided = over_gaps(pairs.numerators, pairs.inverses)
        quotients = [a if b is None else a + b for a, b in zip(pairs.limits, divided, strict=True)]
        return met.meeting.assembled(y, quotients)
    parts = []
    if pairs.moving and not again(met, list(seeds)):
        more = limit_backwards(met, pairs)
        parts += [more, counted(torch.zeros_like(more._value), met.node, 1)]
    elif pairs.moving:
        parts.append(counted(met.meeting.assembled(outputs_of(met)[0], pairs.limits), met.node, 0))
    if pairs.divided:
        numerators = met.meeting.numerators(y, bars, pivots)
        parts.append(met.meeting.assembled(y, traced_quotients(met, y, numerators, pairs)))
    return added(parts)


def added(parts: Sequence[Any]) -> Any:
    """Their sum, None where there are none."""
    total = None
    for part in parts:
        total = part if total is None else total if part is None else total + part
    return total


def _turn_of_block(met: Met, node: Node, block: Block) -> Block | None:
    """The same of a structured Jacobian, row by row."""
    if not set(ancestors([node], met.node.number)) & set(met.vectors):
        return None
    x: Any = met.node.parents[0]

    def run(array: Tensor, lead: tuple[int, ...]) -> Tensor:
        more = _turn(met, {node: dlarray._made(array, None)}, False, lead)
        return torch.zeros((*lead, *x.shape), dtype=x.dtype, device=array.device) if more is None else more

    return action.through_arrays(block, run, range(block.ndim), f"{met.node.operation.name} has values that meet")


# ----- forwards -------------------------------------------------------------------------------------------------------


def _pushed(outputs: Sequence[Node], seeds: Seeds, met: Sequence[Met], recorded: bool,
            lead: tuple[int, ...]) -> list[Any]:
    """Tangents, with what each meeting adds to those of everything after it."""
    matrices: list[Any] = [m.node.parents[0] for m in met]
    wanted = [*outputs, *matrices]
    dots = dict(zip(wanted, pushing.push(wanted, seeds, recorded=recorded, lead=lead), strict=True))
    for k, one in enumerate(met):
        x_dot = dots[matrices[k]]
        later = list(dict.fromkeys([*outputs, *matrices[k + 1:]]))
        if x_dot is not None:
            for node, more in _turns(one, x_dot, later, recorded, lead).items():
                dots[node] = more if dots[node] is None else dots[node] + more
    return [dots[node] for node in outputs]


def _turns(met: Met, x_dot: Any, later: list[Node], recorded: bool, lead: tuple[int, ...]) -> Seeds:
    """What the near pairs add to the tangents of later nodes."""
    meeting = met.meeting
    after = set(met.vectors)
    later = [node for node in later if after & set(ancestors([node], min(n.number for n in after)))]
    if not later:
        return {}
    y, pivots = outputs_of(met)
    bars = cotangents(met, {node: dlarray._made(probe(node, y[0].device), None) for node in later}, ())
    if all([bar is None for bar in bars]):
        return {}
    pairs = examined(met, bars)
    still = x_dot._value if type(x_dot) is dlarray else x_dot
    turns = meeting.turns(y, still)
    check(met, pairs, later, turns)
    counts = recorded and not again(met, later)
    found = limits_forwards(met, x_dot if counts else still, later, pairs, counts, lead) if pairs.moving else {}
    if counts:
        found = {node: more + counted(torch.zeros_like(more._value), met.node, 1) for node, more in found.items()}
    elif recorded:
        found = {node: counted(more, met.node, 0) for node, more in found.items()}
    if pairs.divided:
        if recorded:
            y, pivots = outputs_of(met, True)
            quotients = traced_quotients(met, y, meeting.turns(y, x_dot), pairs)
        else:
            quotients = over_gaps(turns, pairs.inverses)
        seeds = met.turning(meeting.turned(y, quotients, pivots))
        add_to(found, later, pushing.push(later, seeds, recorded=recorded, lead=lead))
    return found


# ----- second derivatives ---------------------------------------------------------------------------------------------


def directions(seed: Tensor, tied: bool, axes: Sequence[int], x: Node) -> Iterator[Tensor]:
    """The directions of the Laplacian's walk (curvature/walk.py) one by one, in the shape of x."""
    rows = seed.expand(seed.shape[0], *x.shape)
    if not tied:
        yield from rows
        return
    axes = sorted(axes)
    count = math.prod(x.shape[k] for k in axes)
    hot = torch.eye(count, dtype=seed.dtype, device=seed.device)
    for one in hot.reshape(count, *[x.shape[k] if k in axes else 1 for k in range(x.ndim)]):
        yield rows[0] * one


def tangents(u: Node, x: Node, axes: Sequence[int], seed: Tensor, tied: bool, recorded: bool) -> Any:
    """(directions, *u.shape): how u moves along each."""
    along = torch.stack(list(directions(seed, tied, axes, x)))
    return push([u], {x: dlarray._made(along, None) if recorded else along}, recorded=recorded, lead=(len(along),))[0]


def second(u: Node, x: Node, axes: Sequence[int], seed: Tensor, tied: bool, recorded: bool) -> Any:
    """The sum of second derivatives of u over the directions, each by a push of a push; None where it is zero."""
    total = None
    for along in directions(seed, tied, axes, x):
        constant = dlarray._made(along, None)
        (u_dot,) = push([u], {x: constant}, recorded=True)
        if type(u_dot) is dlarray and u_dot._node is not None:
            (found,) = push([u_dot._node], {x: constant if recorded else along}, recorded=recorded)
            if found is not None:
                total = found if total is None else total + found
    return total


__all__ = ["meets", "pull", "push", "second", "tangents"]
