"""How much an operation bends: the sum over directions r and pairs of inputs i, j of p_ij x_dot_i[r] x_dot_j[r].

Elementwise operations state their partials p_i in library operations, so p_ij is the push of p_i; a product of two
tangents is the operation itself applied to both; every other operation is pushed through its own push, direction by
direction.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.kinds.elementwise import product
from ...core.operation import NO_PARAMS, padded
from ...core.rules import BoundRule
from ...core.tables import words
from ...core.trace import Node, Trace
from ...machine.caches import cache
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ..walks.keys import frozen
from ..walks.places import is_plain
from ..walks.push import push
from ..walks.signature import number_key
from ..walks.stand_ins import on_structure, stand_ins, stays_real
from ..walks.steps import handles
from ..words.marks import IDENTITY, VARIABLE

Partials = tuple[list[Any], dict[tuple[int, int], Any]]
FEW = 8  # rows that are added up one by one


def bends(node: Node, active: set[Node]) -> bool:
    """Whether the operation has a second derivative in the inputs that are active; in doubt yes."""
    operation: Any = node.operation
    if operation.kind not in ("elementwise", "multilinear", "general"):
        return False
    moving = tuple([p in active for p in node.parents])
    if operation.kind == "multilinear":
        return bool(_pairs(node, moving))
    plain = is_plain(node)
    if plain and operation.linear:
        return False
    key = _kind_of(node, moving, plain)
    found = None if key is None else _bending.get(key)
    if found is None:
        try:
            found = on_structure(_bends, node, moving, plain)
        except Exception:  # it cannot run without data
            found = True
        if key is not None:
            while len(_bending) >= KEPT:  # the oldest first
                _bending.pop(next(iter(_bending)), None)
            _bending[key] = found
    return found  # type: ignore[no-any-return]


KEPT = 4096
_bending: dict[Any, bool] = cache(f"{__name__}._bending", {})


def _kind_of(node: Node, moving: tuple[bool, ...], plain: bool) -> Any:
    """What the answer rests on, as a key; None where that cannot be told.

    Elementwise operations say the same of every shape, and of every number that no rule reads; positions stay real
    among stand-ins.
    """
    operation, values = node.operation, node.values
    params = frozen(node.params, True) if node.params else ()
    if params is None or any([stays_real(v) or type(v) is tuple for v in values]):
        return None
    kinds = tuple([None if v is None else (v.dtype, v.ndim if plain else v.shape) if isinstance(v, Tensor) else
                   number_key(operation, k, v) for k, v in enumerate(values)])
    if plain:
        return operation, params, moving, node.dtype, kinds, node.trace.guarded
    given = tuple([None if p is None else (p.shape, p.dtype) for p in node.parents])
    return operation, params, moving, node.shape, node.dtype, kinds, node.trace.guarded, node.dropped, given


def _bends(node: Node, moving: Sequence[bool], plain: bool) -> bool:
    operation: Any = node.operation
    if plain:
        return bool(partials_of(node, moving, False, stand_ins(node))[1])
    if operation.kind == "elementwise":
        stated = operation.complex_partials is not None  # then what is absent is so of real inputs alone
        carrying = [name for name, moves, absent in zip(operation.inputs, moving, operation.absent, strict=True)
                    if moves and (stated or not absent)]
        if not set().union(*[operation.reads(name) for name in carrying]) & {"y", *carrying}:
            return False  # its partials are constant: it selects
    dots = [torch.empty((1, *p.shape), dtype=p.dtype, device="meta") if moves else None  # type: ignore[union-attr]
            for p, moves in zip(node.parents, moving, strict=True)]
    return _pushed_twice(node, stand_ins(node), dots, moving, False) is not None


def replica(node: Node, moving: Sequence[bool], recorded: bool, values: list[Any]) -> tuple[Node, list[Node | None]]:
    """The node once more, over variables in the places of the inputs that move: its rules can be pushed through
    alone."""
    trace = node.trace  # where a backward of the author's own is run
    variables = [_variable(trace, parent, recorded) if moves else parent if recorded else None
                 for parent, moves in zip(node.parents, moving, strict=True)]
    return Node(node.operation, trace, tuple(variables), values, node.params, node, node.site), variables


# ----- elementwise ----------------------------------------------------------------------------------------------------


def partials_of(node: Node, moving: Sequence[bool], recorded: bool, values: list[Any]) -> Partials:
    """Partials p_i and second partials p_ij (i <= j) of an elementwise operation at its values.

    A rule reads inputs and output; the output moves by p_j when input j does, so that the operation itself need not run
    again.
    """
    operation: Any = node.operation
    trace = node.trace if recorded else Trace()
    trace.guarded = node.trace.guarded
    # a node keeps none where no partial reads any
    device = max((v for v in values if isinstance(v, Tensor)), key=_rank, default=_NOWHERE).device
    # nothing else moves its partial: no variable is needed
    alone = operation.finds_output or len(getattr(operation.partials[0], "reads", ())) == 1
    if recorded and len(moving) == 1 and alone:
        places: list[Node | None] = [*node.parents]
        output: Any = node
    else:
        places = [_variable(trace, parent if moves else None, recorded)
                  for parent, moves in zip(node.parents, moving, strict=True)]
        output = _variable(trace, node, recorded)
    n = len(places)
    v: list[Any] = [dlarray._made(value, places[k] or (node.parents[k] if recorded else None)
                                  if k < n else output if k == n else None)
                    if isinstance(value, Tensor) else value for k, value in enumerate(values)]
    ps: list[Any] = [p.call(v, node.params, node, None, (), None) if moves and isinstance(p, BoundRule) else p
                     for p, moves in zip(operation.partials, moving, strict=True)]
    seconds = {}
    for j, variable in enumerate(places):
        if variable is None:
            continue
        asked = [i for i in range(j + 1) if moving[i] and type(ps[i]) is dlarray and ps[i]._node is not None]
        seeds: dict[Node, Any] = {}
        if any(name == operation.inputs[j] for i in asked for name in operation.partials[i].reads):
            seeds[variable] = _filled(1.0, variable, device, recorded)
        if any("y" in operation.partials[i].reads for i in asked) and (type(ps[j]) not in NUMBER_TYPES or ps[j] != 0):
            p = _filled(ps[j], node, device, recorded) if type(ps[j]) in NUMBER_TYPES else whole(ps[j], node.shape, 0)
            seeds[output] = p if recorded or type(p) is not dlarray else p._value
        if not seeds:
            continue
        for i, found in zip(asked, push([ps[i]._node for i in asked], seeds, recorded=recorded), strict=True):
            if found is not None:
                seconds[i, j] = found
    return ps if recorded else [p._value if type(p) is dlarray else p for p in ps], seconds


_rank = Tensor.dim  # a number beside arrays may lie on another device
_NOWHERE = torch.empty((), device="meta")


def _variable(trace: Trace, like: Node | None, recorded: bool) -> Node | None:
    """A fresh variable in the place of a node: of a trace of its own, or, recorded, one that descends from it."""
    if like is None:
        return None
    if recorded:
        return Node(IDENTITY, trace, (like,), [None, None], NO_PARAMS, like, like.site)
    return Node(VARIABLE, trace, (), [None], NO_PARAMS, like, like.site)


def _filled(value: Any, node: Node, device: torch.device, recorded: bool) -> Any:
    """A constant in the shape of a node."""
    made = torch.full((), value, dtype=node.dtype, device=device).expand(node.shape)
    return dlarray._made(made, None) if recorded else made


def elementwise_partials(node: Node, values: list[Any], recorded: bool, known: dict[Node, Partials]) -> list[Any]:
    """The partials of an elementwise operation, computed once in a walk."""
    if node not in known:
        operation: Any = node.operation
        known[node] = [p.call(values, node.params, node, None, (), None) if isinstance(p, BoundRule)
                       and parent is not None else p
                       for p, parent in zip(operation.partials, node.parents, strict=True)], {}
    return known[node][0]


def elementwise_push(node: Node, dots: Sequence[Any], ps: Sequence[Any], n: int) -> Any:
    """sum p_i x_dot_i, with n leading axes; tangents keep size 1 where they are constant."""
    y_dot = None
    for dot, p, absent in zip(dots, ps, node.operation.absent, strict=True):  # type: ignore[attr-defined]
        if dot is None or absent:
            continue
        dot = padded(dot, tuple(dot.shape[:n]), node.ndim)
        part = product(dot, p, node.trace.guarded)
        y_dot = part if y_dot is None else y_dot + part
    return y_dot


# ----- the source -----------------------------------------------------------------------------------------------------


def source(node: Node, values: list[Any], dots: Sequence[Any], recorded: bool, known: dict[Node, Partials],
           sums: dict[Node, Any]) -> Any:
    """sum over r, i, j of p_ij x_dot_i[r] x_dot_j[r]; None where it is zero. The tangents `dots` have one leading axis.

    Of elementwise operations only the sums of products go into `sums`: pieces of the directions add to them.
    """
    moving = [d is not None for d in dots]
    if is_plain(node):
        if node not in known:
            known[node] = partials_of(node, moving, recorded, node.values)
        mine = sums.setdefault(node, {})
        for i, j in known[node][1]:
            a, b = (padded(dots[k], (dots[k].shape[0],), node.ndim) for k in (i, j))
            mine[i, j] = added_up(a, b, mine.get((i, j)))
        return None
    dots = [None if d is None else whole(d, p.shape) for d, p in zip(dots, node.parents, strict=True)]  # type: ignore[union-attr]
    if node.operation.kind == "multilinear":
        return _product_source(node, values, dots, moving)
    return _pushed_twice(node, node.values, dots, moving, recorded)


def elementwise_source(node: Node, sums: dict[tuple[int, int], Any], seconds: dict[tuple[int, int], Any],
                       total: Any) -> Any:
    """What the sums of products give with the second partials, added to a second order that is there already."""
    for (i, j), p in seconds.items():
        if total is not None and i == j and not node.trace.guarded and type(p) not in NUMBER_TYPES:
            total = words.multiply_add(total, sums[i, j], p)
            continue
        part = product(sums[i, j], p, node.trace.guarded)
        part = part if i == j else 2 * part
        total = part if total is None else total + part
    return total


def whole(tangent: Any, shape: Any, n: int = 1) -> Any:
    """A tangent with n leading axes in its node's full shape; several outputs pass."""
    if type(tangent) is tuple or shape is None:
        return tangent
    full = (*tangent.shape[:n], *shape)
    return tangent if tuple(tangent.shape) == full else words.broadcast_to(tangent, full)


def added_up(a: Any, b: Any, total: Any = None) -> Any:
    """The sum over the leading axis of a * b, added to a total that the walk owns."""
    rows = a.shape[0]
    if isinstance(a, Tensor) and (rows <= FEW or total is not None):
        first = a.unbind()
        second = first if a is b else b.unbind()
        start = 0
        if total is None:
            total, start = first[0] * second[0], 1
        for r in range(start, rows):
            total.addcmul_(first[r], second[r])
        return total
    products = words.square(a) if a is b else a * b
    if rows == 1:
        return words.reshape(products, tuple(products.shape[1:]))
    return added_lead(products)


def _pairs(node: Node, moving: Sequence[bool]) -> list[tuple[int, int]]:
    """Pairs of moving inputs that are multiplied with each other."""
    operation: Any = node.operation
    if len(operation.inputs) == len(node.parents):
        terms = [[k for k, name in enumerate(operation.inputs) if name in term] for term in operation.terms]
    else:  # any number of operands, which are kept where they are multiplied with each other
        terms = [[k for k in range(len(node.parents)) if node.values[k] is not None or k in (node.dropped or ())]]
    return [(i, j) for term in terms for b, j in enumerate(term) for i in term[:b] if moving[i] and moving[j]]


def _product_source(node: Node, values: list[Any], dots: Sequence[Any], moving: Sequence[bool]) -> Any:
    operation: Any = node.operation
    total = None
    for i, j in _pairs(node, moving):
        if operation.broadcast and len(dots) == 2:
            part = added_lead(operation.apply([padded(d, (d.shape[0],), node.ndim) for d in dots], node.params))
        else:
            part = None
            for r in range(dots[i].shape[0]):
                filled = [row(dots[i], r) if k == i else v for k, v in enumerate(values)]
                others = [row(dots[j], r) if k == j else None for k in range(len(dots))]
                one = operation.push(filled, node.params, node, others, ())
                part = one if part is None else part + one
        part = 2 * part
        total = part if total is None else total + part
    return total


def added_lead(x: Any) -> Any:
    return words.sum(x, axis=0)


def row(x: Any, r: int) -> Any:
    """Direction r of a tangent."""
    if type(x) is tuple:
        return tuple(None if part is None else part[r] for part in x)
    return None if x is None else x[r]


def take_rows(x: Any, first: int, last: int) -> Any:
    """Some directions of a tangent."""
    return tuple(None if part is None else part[first:last] for part in x) if type(x) is tuple else x[first:last]


def plus(a: Any, b: Any) -> Any:
    """The sum of two second orders; of several outputs, part by part."""
    if type(a) is tuple:
        return tuple(y if x is None else x if y is None else x + y for x, y in zip(a, b, strict=True))
    return a + b


def _pushed_twice(node: Node, values: list[Any], dots: Sequence[Any], moving: Sequence[bool], recorded: bool) -> Any:
    """Each direction pushed through the push in the same direction."""
    rows = next(d.shape[0] for d in dots if d is not None)
    total = None
    for r in range(rows):
        copy, variables = replica(node, moving, recorded, values)
        along = [row(d, r) for d in dots]
        first = [None if d is None else d if type(d) is dlarray else dlarray._made(d, None) for d in along]
        y_dot = node.operation.push(handles(copy), node.params, copy, first, ())
        parts = y_dot if type(y_dot) is tuple else (y_dot,)
        nodes = [p._node if type(p) is dlarray and p._node is not None else None for p in parts]
        asked = [n for n in nodes if n is not None]
        if not asked:  # the push was taken, and is the same whatever the inputs are
            return None
        seeds: dict[Node, Any] = {v: d for v, d in zip(variables, along, strict=True) if v is not None
                                  and d is not None}
        pushed = dict(zip(asked, push(asked, seeds, recorded=recorded), strict=True))
        found: Any = tuple(pushed.get(n) if n is not None else None for n in nodes)
        if all(f is None for f in found):
            continue
        found = found if type(y_dot) is tuple else found[0]
        total = found if total is None else plus(total, found)
    return total


__all__ = ["Partials", "bends", "elementwise_partials", "elementwise_push", "elementwise_source", "plus", "replica",
           "source", "take_rows", "whole"]
