"""The structure and the plan of a Jacobian in words."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...blocks.block import Block
from ...blocks.term import Term
from ...core.errors import line_of
from ...machine.dtypes import NAMES
from ...machine.memory import readable_bytes
from .combination import Combination
from .parts import Leaf, Source
from .plan import Cost, Way


def structure_in_words(block: Block | None, u: Leaf, x: Leaf) -> str:
    """The structure of one part."""
    if block is None:
        return "zero: the outputs do not depend on it"
    dense_bytes = u.size * x.size * block.dtype.itemsize
    terms = "; ".join(dict.fromkeys(described_term(t, u, x) for t in block.terms[:4])) or "zero"
    return f"{terms}. {readable_bytes(block.nbytes)} held, {readable_bytes(dense_bytes)} dense"


def described_term(term: Term, u: Leaf, x: Leaf) -> str:
    """A term in words: what its factors are, which axes are tied, what is summed."""
    inn = term.in_indices()
    out = {i for axis in term.out for i in axis.indices}
    ties = [(k, j) for k, a in enumerate(term.out) for j, b in enumerate(term.inn) if set(a.indices) & set(b.indices)]
    selection = any(axis.positions is not None for axis in (*term.out, *term.inn))
    nothing = "a selection" if selection else "the identity" if ties and not inn - out else "a constant"
    factors = {0: nothing, 1: "one array"}.get(len(term.factors), f"a product of {len(term.factors)} arrays")
    if term.factors and selection:
        factors += " at selected places"
    if (len(term.factors) == 2 and any(not set(ids) & inn for _, ids in term.factors)
        and any(not set(ids) & out for _, ids in term.factors)):
        factors = "an outer product"
    parts = [factors]
    if ties:
        parts.append("diagonal along " + ", ".join(f"u's axis {_axis_name(k, u)} and x's axis {_axis_name(j, x)}"
                                                   for k, j in ties))
    summed = {i for _, ids in term.factors for i in ids} - inn - out
    if summed:
        parts.append(f"summed over {' x '.join(str(i.size) for i in summed)}")
    if term.conjugate:
        parts.append("times conj(x)")
    return ", ".join(parts)


def _axis_name(k: int, leaf: Leaf) -> str:
    return f"{k} ({leaf.labels[k]})" if leaf.labels is not None else str(k)


def _taken(source: Any) -> str:
    """Where a Jacobian was taken."""
    return source.taken if isinstance(source, Combination) else line_of(source.site)


def _shared_walks(J: Any, names: dict[int, str]) -> dict[int, tuple[list[int], str]]:
    """For each u several of whose parts come with one walk: their columns, and what is said of that walk."""
    source, found = J._source, {}
    for i in J._rows if isinstance(source, Source) else ():
        there = [j for j in J._columns if source.planned(i, j) is not None]
        ways = {j: way for j in there if (way := source.way(i, j)).cost is not None and (way.backwards or way.plain)}
        if len(ways) < 2:
            continue
        costs = [way.cost for way in ways.values()]
        others = [way.other for way in ways.values()]
        cost = max(costs, key=lambda c: c.seconds)  # of the walk as far as the last of them
        other = ("dearer, or it cannot be followed without data" if None in others
                 else str(_sum_of(others)))
        named = ", ".join(names[j] for j in ways) if len(ways) < 6 else f"{len(ways)} parts"
        first = next(iter(ways.values()))
        chosen, instead = ((_plainly(first), "structured") if first.plain else
                           ("backwards from u", "forwards from each"))
        found[i] = [*ways], f"{named}: {chosen}, one walk for all {len(ways)} ({cost}), not {instead} ({other})"
    return found


def _sum_of(costs: Sequence[Cost]) -> Cost:
    """What several walks cost together."""
    return Cost(sum([c.calls for c in costs]), sum([c.operations for c in costs]), sum([c.bytes for c in costs]))


def _plainly(way: Way) -> str:
    return f"plain {'rows' if way.backwards else 'columns'}"


def way_words(way: Way) -> str:
    """The way to a part, and what the other one would cost."""
    if way.plain:
        text = f"{_plainly(way)}, one walk for all parts" + (f" ({way.cost})" if way.cost is not None else "")
        return text + (f", not structured ({way.other})" if way.other is not None else
                       "" if way.cost is None else ", not structured (dearer, or it cannot be followed without data)")
    if way.cost is None and way.other is None:
        return "forwards from it, its own layer or near it"
    chosen, other = (("backwards from u, in one walk with all that are", "forwards") if way.backwards
                     else ("forwards from it", "backwards"))
    text = chosen + (f" ({way.cost})" if way.cost is not None else "")
    return text + (f", not {other} ({way.other})" if way.other is not None
                   else f", not {other} (dearer, or it cannot be followed without data)")


def shown(J: Any) -> str:
    """The Jacobian in words, part by part."""
    rows, columns = J.shape
    lines = [f"Jacobian {rows} x {columns} {NAMES[J.dtype]}"]
    source = J._source
    if not source.open and not source.closed:
        return lines[0] + " (closed: it escaped from its dlfeval; return it from there)"
    paths = J._x_structure.paths()
    for k, j in enumerate(J._columns):
        for i in J._rows:
            name = "" if paths[k] == () else f"{paths[k][0] if len(paths[k]) == 1 else paths[k]!r}: "
            lines.append(
                f"  {name}{source.us[i].shape} by {source.xs[j].shape}: "
                f"{structure_in_words(source.planned(i, j), source.us[i], source.xs[j])}")
    return "\n".join(lines)


def explained(J: Any) -> str:
    """The plan: for each part the way and the rejected one, what is held, and where and why structure was given up."""
    source = J._source
    lines = [f"Jacobian {J.shape[0]} x {J.shape[1]}, taken in {_taken(source)}"]
    if isinstance(source, Combination):
        lines += [f"{c:g} times\n  {explained(K)}".replace("\n", "\n  ") for c, K in source.parts]
    paths = J._x_structure.paths()
    names = {j: "x" if path == () else repr(path[0] if len(path) == 1 else path)
             for j, path in zip(J._columns, paths, strict=True)}
    shared = _shared_walks(J, names)
    lines += [said for _, said in shared.values()]
    for j in J._columns:
        for i in J._rows:
            block, name = source.planned(i, j), names[j]
            together = i in shared and j in shared[i][0]
            way = "" if block is None or not isinstance(source, Source) else f"{way_words(source.way(i, j))}; "
            held = structure_in_words(block, source.us[i], source.xs[j])
            lines.append(f"{name}: {'in that walk; ' if together else way}{held}")
            lines += [f"  made dense on the way: {note}" for note in (block.untied if block is not None else ())]
    return "\n".join(lines)
