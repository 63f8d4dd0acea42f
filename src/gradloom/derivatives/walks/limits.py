"""What the near values of one meeting give: limits, quotients, warnings.

The numerator h of a turn vanishes where its gap t does, whichever way the values part. Along a direction s of the
values, in which t moves by r,

    h / t = (h' - t h'' / (2 r) + ...) / r,        h', h'' the derivatives of h along s,

since h is 0 at the point t / r behind on s. Two terms make the limit right to first order in t: it can be
differentiated once more itself, and says when it is differentiated twice.
"""
from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch

from ...blocks.block import Block
from ...core.array import dlarray, raw
from ...core.errors import GradloomError, GradloomWarning, line_of, user_site
from ...core.operation import Operation
from ...core.trace import Node, ancestors
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ...operations.matrices.equal_values import inverse_where, over_gaps
from . import pull as pulling
from . import push as pushing
from .steps import handles, output_of, reader

Seeds = dict[Node, Any]


class Met(NamedTuple):
    """An operation with values that meet, and the nodes of its outputs that a walk comes through."""

    node: Node
    values: list[Node]
    vectors: list[Node]

    @property
    def meeting(self) -> Any:
        """The rules of its operation."""
        return self.node.operation.meeting

    def parting(self) -> Seeds:
        """All near values part."""
        split = self.meeting.split(outputs_of(self)[0])
        return {item: split for item in self.values}

    def turning(self, turned: Sequence[Any]) -> Seeds:
        """The vectors move."""
        return {item: turned[item.params["k"]] for item in self.vectors}


class Pairs(NamedTuple):
    """What is to be done with the near pairs: lists of an array for each kind of gap.

    `first` and `second` are the cotangents' derivatives as the values part; `factors` are 1 / r where the limit is
    taken, 0 elsewhere, `limits` the limits there; `inverses` are 1 / t where the quotient is; `wrong` says where
    there is no derivative. `unseen`: why limits cannot be found, if so.
    """

    numerators: list[Any]
    first: list[Any]
    second: list[Any]
    factors: list[Tensor]
    limits: list[Tensor]
    inverses: list[Tensor]
    wrong: list[Tensor]
    unseen: Exception | None

    @property
    def moving(self) -> bool:
        """Whether anything but 0 can come of the limits."""
        return any([f is not None for f in self.first])

    @property
    def divided(self) -> bool:
        """Whether there are quotients."""
        return any([decided(i.any()) for i in self.inverses])


def outputs_of(met: Met, recorded: bool = False) -> tuple[Any, Any]:
    """The outputs of the operation and its hidden one."""
    node = met.node
    values = reader(handles if recorded else None)(node)
    return values[len(node.parents)], values[-1]


def cotangents(met: Met, seeds: Seeds, lead: tuple[int, ...]) -> list[Any]:
    """Of each output, the cotangent as an array of the trace, None for the values and where there is none."""
    try:
        pulled = pulling.pull(seeds, met.vectors, recorded=True, lead=lead)
    except GradloomError:  # a backward that cannot be recorded
        still = pulling.pull({node: raw(bar) for node, bar in seeds.items()}, met.vectors, lead=lead)
        pulled = [None if bar is None else dlarray._made(bar, None) for bar in still]
    bars: list[Any] = [None] * met.node.operation.outputs
    for item, bar in zip(met.vectors, pulled, strict=True):
        if bar is not None:
            k: Any = output_of(item)
            bars[k] = bar if bars[k] is None else bars[k] + bar
    return bars


def moved(arrays: Sequence[Any], seeds: Seeds, recorded: bool = False) -> list[Any]:
    """How arrays of the trace move, None where they do not."""
    nodes = [a._node for a in arrays if type(a) is dlarray and a._node is not None]
    if not nodes or not seeds:
        return [None] * len(arrays)
    seeds = {node: dlarray._made(seed, None) for node, seed in seeds.items()} if recorded else seeds
    found = dict(zip(nodes, pushing.push(nodes, seeds, recorded=recorded), strict=True))
    return [found.get(a._node) if type(a) is dlarray and a._node is not None else None for a in arrays]


def _chosen(met: Met, bars: Sequence[Any], still: Sequence[Any], near: Sequence[Tensor]) -> list[Tensor]:
    """How the numerators move as vectors of near values are chosen differently; not, where nothing depends on that.

    A numerator may be 0 by chance, as that of sum(v) is for the vectors [[1, 0], [0, 1]]; then it moves.
    """
    meeting, (y, pivots) = met.meeting, outputs_of(met)
    like = y[meeting.vectors[0]]
    angles: list[Any] = [None] * len(near)
    for k, pairs in enumerate(near[:2]):
        some = _varied(pairs.shape, like.dtype, like.device) * pairs
        angles[k] = some - some.mH
    turned = meeting.turned(y, angles, pivots)
    found = meeting.skews(turned, still)
    others = moved(bars, met.turning(turned))
    if all([o is None for o in others]):
        return found
    return [a + b for a, b in zip(found, meeting.skews(y, others), strict=True)]


def examined(met: Met, bars: Sequence[Any], recorded: bool = False) -> Pairs:
    """From the cotangents of the vectors: what to do with each pair."""
    meeting = met.meeting
    y, pivots = outputs_of(met)
    split = meeting.split(y)
    still = [None if bar is None else bar._value for bar in bars]
    unseen = None
    first: list[Any] = [None] * len(bars)
    second, chosen = first, []
    try:
        first = moved(bars, met.parting(), True)
        second = moved(first, met.parting(), recorded)
        chosen = _chosen(met, bars, still, meeting.pairs(y))
    except GradloomError as error:
        unseen, first = error, second
    gaps, along, near = meeting.gaps(y[meeting.values], y), meeting.gaps(split, y), meeting.pairs(y)
    equal = [a & b for a, b in zip(near, meeting.equal(y), strict=True)]
    parts = [torch.where(a, b, 1) for a, b in zip(near, along, strict=True)]
    limits = [torch.zeros_like(p) for p in parts]
    for power, change in ((1, first), (2, second)):
        if any([c is not None for c in change]):
            of = meeting.numerators(y, [None if c is None else raw(c) for c in change], pivots)
            for k, (numerator, gap, p) in enumerate(zip(of, gaps, parts, strict=True)):
                if numerator is not None:
                    limits[k] = limits[k] + (numerator / p if power == 1 else -numerator * gap / (2 * p * p)) * near[k]
    numerators = meeting.numerators(y, still, pivots)
    lengths, largest = meeting.lengths(still), meeting.largest(y)
    n, eps = split.shape[-1], torch.finfo(split.dtype).eps
    most = _largest(limits)
    length, rounded = lengths.amax(-1)[..., None, None], n * eps * largest  # how exactly the values are known
    found = Pairs(numerators, first, second, [], [], [], [], unseen)
    for k, (gap, numerator, limit) in enumerate(zip(gaps, numerators, limits, strict=True)):
        numerator = torch.zeros_like(limit) if numerator is None else numerator
        scale = lengths[..., None, :] if gap.shape[-2] == 1 else lengths[..., None, :] + lengths[..., None]
        close = torch.where(near[k] & ~equal[k], gap, 1)
        quotient = numerator / close
        rounding = 16 * eps * scale + quotient.abs() * rounded
        depends = torch.zeros_like(near[k])
        if k < len(chosen):
            depends = chosen[k].abs() > eps ** 0.5 * scale + 4 * meeting.nearness(y) * most + eps * length
        agree = (quotient - limit).abs() * gap.abs() <= rounding
        taken = equal[k] if unseen else near[k] & (equal[k] | agree & ~depends)
        least = max(eps ** 0.75, 16 * n * eps) * scale + 10 * rounded * most + eps * length
        wrong = depends | (numerator.abs() > least)
        found.factors.append(torch.where(taken, 1 / parts[k], 0))
        found.limits.append(torch.where(taken, limit, 0))
        found.inverses.append(torch.where(near[k] & ~taken, 1 / close, 0))
        found.wrong.append(equal[k] & wrong)
    return found


def _largest(arrays: Sequence[Tensor]) -> Tensor:
    """The largest entry of each matrix, by its size."""
    return functools.reduce(torch.maximum, [a.abs().amax((-2, -1), keepdim=True) for a in arrays])


def _warn(node: Node, what: str) -> None:
    where = f"{line_of(user_site())} ({node.operation.name} in {line_of(node.site)})"
    warnings.warn(f"singular or eigenvalues are equal, at {where}: {what}", GradloomWarning, stacklevel=2)


CHOICE = ("what is differentiated depends on the choice of their vectors, so that its first and second derivatives are "
          "not right; write it with what all vectors of equal values have in common, such as (v * f(w)) @ v.H, or with "
          "the values alone")
AGAIN = ("first and second derivatives of what is made of their vectors are right, third ones, which are asked for "
         "here, are not; write a function of the matrix (inv, det, expm, ...)")


def check(met: Met, pairs: Pairs, outputs: Sequence[Node], turns: Sequence[Any] | None = None) -> None:
    """Warn where there is no derivative, or it cannot be seen; not, where the walk will say more of it on its way.

    Forwards, `turns` say where vectors turn at all.
    """
    wrong = [w | (f != 0) if pairs.unseen else w for w, f in zip(pairs.wrong, pairs.factors, strict=True)]
    there = [decided(w.any()) for w in wrong] if turns is None else list(map(_turns_there, turns, wrong))
    if not any(there) or any([not node.params["left"] for node in _limits_on_the_way(met, outputs)]):
        return
    if pairs.unseen is None:
        _warn(met.node, CHOICE)
        return
    reason = str(pairs.unseen).splitlines()[0][:120]
    _warn(met.node,
          f"what is made of their vectors cannot be differentiated twice ({reason}), so how equal values part is left "
          "out and even its first derivative is not right; use operations with derivatives of every order")


def _turns_there(turn: Any, wrong: Tensor) -> bool:
    """Whether vectors turn into each other that have no derivative; of a structured Jacobian it is not known."""
    if not decided(wrong.any()) or type(turn) is Block:
        return decided(wrong.any())
    limit = torch.finfo(turn.dtype).eps ** 0.75 * (turn.abs().amax() if turn.numel() else 0)
    return decided((wrong & (turn.abs() > limit)).any())


def again(met: Met, outputs: Sequence[Node]) -> bool:
    """Whether any limit at these values is."""
    return bool(_limits_on_the_way(met, outputs))


def _limits_on_the_way(met: Met, outputs: Sequence[Node]) -> list[Node]:
    order = ancestors(outputs, met.node.number)
    return [node for node in order if node.operation is LIMIT and node.params["of"] is met.node]


# ----- limits ---------------------------------------------------------------------------------------------------------


def limit_backwards(met: Met, pairs: Pairs) -> Any:
    """The cotangent of the matrix that the limits give, as an array of the trace."""
    y, pivots = outputs_of(met, True)
    quotients = over_gaps(met.meeting.numerators(y, pairs.first, pivots), pairs.factors)
    if any([s is not None for s in pairs.second]):
        bends = over_gaps(met.meeting.numerators(y, pairs.second, pivots), _bends(met, y, pairs))
        quotients = [q if b is None else q - b for q, b in zip(quotients, bends, strict=True)]
    return met.meeting.assembled(y, quotients)


def limits_forwards(met: Met, x_dot: Any, later: Sequence[Node], pairs: Pairs, recorded: bool,
                    lead: tuple[int, ...]) -> Seeds:
    """What the limits add to later nodes' tangents: derivatives as the values part, once and twice, and vectors
    turn."""
    y, pivots = outputs_of(met, recorded)
    turns = met.meeting.turns(y, x_dot)
    split = {item: dlarray._made(s, None) for item, s in met.parting().items()}
    found: Seeds = {}
    along = {node: node for node in later}  # each, and its derivative along the split
    for factors in (pairs.factors, [-b for b in _bends(met, y, pairs)]):
        if not split or not along:
            break
        parted = pushing.push(list(along.values()), split, recorded=True)
        places = {node: getattr(dot, "_node", None) for node, dot in zip(along, parted, strict=True)}
        along = {node: place for node, place in places.items() if place is not None}
        if along:
            seeds = met.turning(met.meeting.turned(y, over_gaps(turns, factors), pivots))
            add_to(found, along, pushing.push(list(along.values()), seeds, recorded=recorded, lead=lead))
    return found


def add_to(found: Seeds, nodes: Iterable[Node], tangents: Sequence[Any]) -> None:
    """Tangents of nodes, None where there is none, to those that are found."""
    for node, more in zip(nodes, tangents, strict=True):
        if more is not None:
            found[node] = found[node] + more if node in found else more


def _bends(met: Met, y: Any, pairs: Pairs) -> list[Any]:
    """t / (2 r**2)."""
    gaps = met.meeting.gaps(y[met.meeting.values], y)
    return [gap * (0.5 * factor * factor) for gap, factor in zip(gaps, pairs.factors, strict=True)]


def traced_quotients(met: Met, y: Any, numerators: Sequence[Any], pairs: Pairs) -> list[Any]:
    """Numerators over gaps that are near, and not equal."""
    gaps = met.meeting.gaps(y[met.meeting.values], y)
    return over_gaps(numerators, [inverse_where(gap, i != 0) for gap, i in zip(gaps, pairs.inverses, strict=True)])


class _Limit(Operation):
    """A term of value 0, or a limit as a constant, that can be differentiated as often as is `left`, and then warns."""

    recomputable = False

    def pull(self, v: Any, params: Any, node: Node, y_bar: Any, lead: Any, wanted: Sequence[bool]) -> Sequence[Any]:
        if type(y_bar) is not Block and not decided(raw(y_bar).any()):
            return [None]
        return [self._through(node, y_bar, node.parents[0], lead)]

    def push(self, v: Any, params: Any, node: Node, dots: Any, lead: Any) -> Any:
        return self._through(node, dots[0], node, lead)

    def _through(self, node: Node, carried: Any, like: Any, lead: Any) -> Any:
        left = node.params["left"]
        if not left and not (type(carried) is Block and torch.device(carried.device).type == "meta"):
            _warn(node.params["of"], AGAIN)
        if not left or type(carried) is not dlarray:
            return None
        zeros = torch.zeros((*lead, *like.shape), dtype=like.dtype, device=carried._value.device)
        return counted(zeros, node.params["of"], left - 1)


LIMIT = _Limit("limit at equal values", lambda x: x, ("x",))


def counted(value: Tensor, source: Node, left: int) -> dlarray:
    """A value that was made of limits at the meeting of `source`."""
    params = {"of": source, "left": left}
    node = Node(LIMIT, source.trace, (source.parents[0],), [None, value], params, value, source.site)
    return dlarray._made(value, node)


# ----- probes ---------------------------------------------------------------------------------------------------------


def probe(node: Node, device: Any) -> Tensor:
    """A cotangent that treats no two entries alike."""
    return _varied(node.shape, node.dtype, device)


def _varied(shape: Any, dtype: Any, device: Any) -> Tensor:
    values = torch.cos(torch.arange(math.prod(shape), dtype=torch.float64, device=device) * 1.7 + 0.3)
    return (torch.complex(values, torch.sin(2.3 * values)) if dtype.is_complex else values).to(dtype).reshape(shape)
