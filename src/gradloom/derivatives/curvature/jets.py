"""The walk behind partial derivatives of any order: at each node a jet, one tangent for each derivative that is needed.

A derivative is a word, the sorted positions that it is taken by: (0, 0, 1) is u_xxt. A word needs those of all its
parts, and no others. An operation that is linear in what moves pushes each word for itself. Of an elementwise one

    y_ab = sum_i p_i x_i,ab + sum_ij p_ij x_i,a x_j,b.

A sum of derivatives up to the second order is one tangent, too, where only such operations bend: the sum of what its
words give (the heat operator u_t - a u_xx is carried in the place of u_t and u_xx).

Whatever else bends, and every third order, comes from the operation's own push, taken once for each letter of the word:
values and tangents are variables, and along a each moves by the tangent that has one letter a more. Tangents keep size
1 along axes where they are constant.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from ...core.array import dlarray
from ...core.errors import user_site
from ...core.kinds.elementwise import product
from ...core.operation import NO_PARAMS
from ...core.tables import words
from ...core.trace import Node, Trace, ancestors, live, walking
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.questions import spared
from ..walks.failures import FAILURES, refuse_in_words
from ..walks.meetings import meets
from ..walks.meetings import push as push_apart
from ..walks.places import is_plain
from ..walks.push import push
from ..walks.steps import handles, output_of, reader, refuse
from ..words.marks import IDENTITY
from .bending import Partials, partials_of, replica, whole
from .pushing import linear_part
from .walk import Route, route

Word = tuple[int, ...]


class Sum(NamedTuple):
    """Derivatives times numbers, added up."""

    terms: tuple[tuple[Word, float], ...]


Key = Any  # a Word or a Sum
Jet = dict[Key, Any]


def partial_derivatives(u: Node, x: Node, along: dict[int, Tensor], asked: Collection[Key], recorded: bool) -> Jet:
    """Those of u that are asked, as far as they are not zero. `along[a]` is the tangent of x for the letter a."""
    try:
        return walking(_partial_derivatives, u, x, along, asked, recorded)  # type: ignore[no-any-return]
    except FAILURES as error:
        refuse_in_words(error)
        raise


def _partial_derivatives(u: Node, x: Node, along: dict[int, Tensor], asked: Collection[Key], recorded: bool) -> Jet:
    alone = [word for word in asked if not isinstance(word, Sum)]
    sums = [word for word in asked if isinstance(word, Sum)]
    summed = [word for its in sums for word, _ in its.terms]
    apart = meets(u, x)  # of such a trace only walks in a row know the second derivatives
    order = ancestors([u], x.number)
    its_route: Route = route(u, x, (), order) if not apart else Route([], [], [])
    if sums and not apart and max([len(word) for word in (*alone, *summed)], default=0) <= 2 and all(
            [is_plain(node) for node, bent in zip(order, its_route.bent, strict=True) if bent]):
        # quick way: a tangent for each sum; the plain one, with one for each of its words, is below
        needed = _parts([*alone, *[word[:1] for word in summed if len(word) > 1],
                         *[word[1:] for word in summed if len(word) > 1]])
        jet = _Walk(x, _seeds(along, [*needed, *sums], recorded), [*needed, *sums], asked, recorded, order,
                    its_route).jet()
    else:
        needed = _parts([*alone, *summed])
        if apart:
            tangents: dict[tuple[int, Word], dlarray] = {
                (0, (a,)): dlarray._made(whole(tangent, x.shape, 0), None) for a, tangent in along.items()}
            jet = _in_turn(u, {(0, ()): x}, tangents, needed, recorded, push_apart)
        else:
            jet = _Walk(x, _seeds(along, needed, recorded), needed, {*alone, *summed}, recorded, order,
                        its_route).jet()
        jet.update({its: total for its in sums if (total := _total(its, jet)) is not None})
    return {word: whole(tangent, u.shape, 0) for word, tangent in jet.items() if word in asked}


def _seeds(along: dict[int, Tensor], needed: Sequence[Key], recorded: bool) -> Jet:
    """How x moves: of a sum, by the numbers that its first derivatives have."""
    first: Jet = {(a,): dlarray._made(tangent, None) if recorded else tangent for a, tangent in along.items()}
    return {word: seed for word in needed
            if (seed := _total(word, first) if isinstance(word, Sum) else first.get(word)) is not None}


def _total(its: Sum, jet: Jet) -> Any:
    """A sum of what a jet has of its words."""
    total = None
    for word, factor in its.terms:
        if word in jet:
            total = factor * jet[word] if total is None else total + factor * jet[word]
    return total


def _terms(its: Key) -> Sequence[tuple[Word, float]]:
    """The words of a sum with their factors; a word is a sum of itself."""
    return its.terms if isinstance(its, Sum) else ((its, 1),)


def _parts(asked: Collection[Word]) -> list[Word]:
    """The words that are needed: every part of those that are asked, short ones first."""
    found = {part for word in asked for n in range(1, len(word) + 1) for part in itertools.combinations(word, n)}
    return sorted(found, key=lambda word: (len(word), word))


class _Walk:
    """One walk from x to u."""

    def __init__(self, x: Node, seeds: Jet, needed: Sequence[Key], asked: Collection[Key], recorded: bool,
                 order: Sequence[Node], its_route: Route):
        self.x, self.seeds, self.needed, self.asked, self.recorded = x, seeds, needed, asked, recorded
        self.order, self.route = order, its_route
        self.highest = max([len(word) for key in needed for word, _ in _terms(key)], default=0)
        self.read = reader(handles if recorded else None)
        self.partials: dict[Node, Partials] = {}

    def jet(self) -> Jet:
        """The jet of u."""
        last = {parent: k for k, node in enumerate(self.order) for parent in node.parents}
        jets: dict[Node, Jet] = {self.x: self.seeds}
        for k, node in enumerate(self.order):
            if node is not self.x:
                carried = [jets.get(p, {}) for p in node.parents]  # type: ignore[arg-type]
                if found := self._through(k, node, carried) if any(carried) else {}:
                    jets[node] = found
            for parent in node.parents:
                if last[parent] == k:
                    jets.pop(parent, None)  # type: ignore[arg-type]
            self.partials.pop(node, None)
        return jets.get(self.order[-1], {})

    def _through(self, k: int, node: Node, carried: Sequence[Jet]) -> Jet:
        refuse(node)
        output = output_of(node)
        if output is not None:
            return {word: parts[output] for word, parts in carried[0].items() if parts[output] is not None}
        # what nothing later bends is pushed on only where it is asked
        needed = [word for word in self.needed if self.route.needed[k] or word in self.asked]
        bent = self.route.bent[k] and self.highest > 1
        if not bent or is_plain(node) and self.highest == 2:
            # quick way: no trace of its own; the plain one is below
            found = {word: self._pushed(node, word, carried, bent) for word in needed}
        else:
            jet = self._in_turn(node, carried, _parts(needed))
            found = {word: jet.get(word) for word in needed}
        return {w: tangent for w, tangent in found.items() if tangent is not None and not self._still(node, tangent)}

    def _still(self, node: Node, tangent: Any) -> bool:
        """Whether a part of x does not move along a direction."""
        return (node.operation.selects and node.parents[0] is self.x and type(tangent) is not tuple
                and spared(~(tangent._value if type(tangent) is dlarray else tangent).any()))

    def _pushed(self, node: Node, word: Key, carried: Sequence[Jet], bent: bool) -> Any:
        """By the partials of the operation."""
        if bent and node not in self.partials:
            self.read(node)
            self.partials[node] = partials_of(node, [bool(jet) for jet in carried], self.recorded, node.values)
        dots = [jet.get(word) for jet in carried]
        moves = any([dot is not None for dot in dots])
        y_dot = linear_part(node, dots, (), self.read, self.recorded, self.partials) if moves else None
        pairs = [term for term in _terms(word) if len(term[0]) == 2]
        if not bent or not pairs:
            return y_dot
        for (i, j), p in self.partials[node][1].items():
            both = None
            for ((a, b), factor), (m, n) in itertools.product(pairs, dict.fromkeys([(i, j), (j, i)])):
                left, right = carried[m].get((a,)), carried[n].get((b,))
                if left is not None and right is not None:
                    part = words.square(left) if left is right else left * right
                    part = part if factor == 1 else factor * part
                    both = part if both is None else both + part
            if both is None:
                continue
            if y_dot is not None and not node.trace.guarded and type(p) not in NUMBER_TYPES:
                y_dot = words.multiply_add(y_dot, both, p)
            else:
                part = product(both, p, node.trace.guarded)
                y_dot = part if y_dot is None else y_dot + part
        return y_dot

    def _in_turn(self, node: Node, carried: Sequence[Jet], needed: Sequence[Word]) -> Jet:
        """By the operation's own push, over variables in the places of all that moves."""
        self.read(node)
        copy, variables = replica(node, [bool(jet) for jet in carried], self.recorded, node.values)
        places: dict[tuple[int, Word], Node] = {}
        tangents = {}
        for i, (jet, parent) in enumerate(zip(carried, node.parents, strict=True)):
            if jet:
                places[i, ()] = variables[i]  # type: ignore[assignment]
            for word, tangent in jet.items():
                tangents[i, word] = moving = _variable(node.trace, whole(tangent, parent.shape, 0))  # type: ignore[union-attr]
                places[i, word] = moving._node  # type: ignore[assignment]
        return _in_turn(copy, places, tangents, needed, self.recorded, push)


def _variable(trace: Trace, tangent: Any) -> dlarray:
    """A tangent that moves: recorded, it descends from the one that it stands for."""
    raw, parent = (tangent._value, live(tangent._node)) if type(tangent) is dlarray else (tangent, None)
    value = raw if parent is None else None
    return dlarray._made(raw, Node(IDENTITY, trace, (parent,), [value, None], NO_PARAMS, raw, user_site()))


def _in_turn(end: Node, places: dict[tuple[int, Word], Node], tangents: dict[tuple[int, Word], dlarray],
             needed: Sequence[Word], recorded: bool, push: Callable[..., list[Any]]) -> Jet:
    """The jet of a node by one push for each word, each of a result of another one.

    `places[i, word]` is where input i, or its tangent, may move; along a it moves by `tangents[i, word and a]`.
    """
    reached: dict[Word, list[Node | None]] = {(): [end]}
    jet: Jet = {}
    for word in needed:
        before = reached.get(word[:-1], [])
        nodes = [node for node in before if node is not None]
        seeds: dict[Node, Any] = {}
        for (i, part), place in places.items():
            tangent = tangents.get((i, tuple(sorted((*part, word[-1])))))
            if tangent is not None:
                seeds[place] = tangent
        if not nodes or not seeds:
            continue
        moved = dict(zip(nodes, push(nodes, seeds, recorded=True), strict=True))
        found: Any = [None if node is None else moved[node] for node in before]
        if len(word) == 1 and type(found[0]) is tuple:  # the node has several outputs
            found = [*found[0]]
        reached[word] = [live(y._node) if type(y) is dlarray else None for y in found]
        if any([y is not None for y in found]):
            parts = tuple([y if recorded or type(y) is not dlarray else y._value for y in found])
            jet[word] = parts if end.shape is None else parts[0]
    return jet


__all__ = ["Jet", "Sum", "Word", "partial_derivatives"]
