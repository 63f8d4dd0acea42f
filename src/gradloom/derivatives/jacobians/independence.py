"""Whether observations are independent: proved, disproved, or unknown, by a walk on structure alone."""
from __future__ import annotations

import math

import torch

from ...blocks.axis import Axis, plain
from ...blocks.block import Block
from ...blocks.factors import spread_over, without_repeats
from ...blocks.term import Term
from ...core.errors import line_of
from ...core.trace import Node, ancestors
from ...machine.questions import decided
from ..walks.kept_plans import remembered
from ..walks.places import push_places
from .structure import depends

LARGEST_TABLE = 1 << 22  # positions that are compared one by one
Partners = dict[int, list[int]]  # for each batch axis of u, the axes of x that may carry the same observations


def independence(u: Node, x: Node, partners: Partners) -> tuple[str, str]:
    """("proved" | "disproved" | "unknown", reason): whether u at each position of its batch axes depends on x there
    alone.

    A tangent that differs from observation to observation is pushed through the trace's structure: if its tie to the
    observation survives, no operation mixed them.
    """
    key = tuple((k, tuple(js)) for k, js in partners.items())
    verdict, reason, at = remembered("independence", [u], [x], lambda: _independence(u, x, partners), key)
    if at is not None:  # a place in every trace alike: the line is this one's
        node = ancestors([u], x.number)[at]
        reason = f"{node.operation.name} mixes them, in {line_of(node.site)}"
    return verdict, reason


def _independence(u: Node, x: Node, partners: Partners) -> tuple[str, str, int | None]:
    """The verdict, its reason, and where in the trace the operation is that mixes observations."""
    x_axes = sorted({j for js in partners.values() for j in js})
    axes = [plain(n) for n in x.shape]
    others = [i for k, a in enumerate(axes) if k not in x_axes for i in a.indices]
    factor = torch.empty([i.size for i in others], dtype=x.dtype, device="meta")
    inn = [axes[j] for j in x_axes]
    seed = Block([Term([(factor, tuple(others))], axes, inn)], x.shape, [x.shape[j] for j in x_axes], x.dtype, "meta")
    try:
        block = push_places([u], {x: seed})[0]
    except Exception as error:  # an operation that cannot run without data: no proof either way
        reason = str(error).splitlines()[0][:80]
        return "unknown", f"an operation between cannot be followed without its data ({reason})", None
    if block is None:
        return "proved", "it does not depend on it at all", None
    pairing: dict[int, set[int]] = {k: set(js) for k, js in partners.items()}
    for term in block.terms:
        for k, allowed in pairing.items():
            allowed &= {x_axes[j] for j in _tied(term, k)}
    if all(pairing.values()) and _matching([sorted(js) for js in pairing.values()]):
        return "proved", "", None
    if block.untied:
        return "unknown", block.untied[0], None
    return "disproved", "some operation mixes them", _mixer(u, x, seed)


def _tied(term: Term, k: int) -> list[int]:
    """The in axes at whose very position out axis k always is."""
    return [j for j, b in enumerate(term.inn) if _same_places(term.out[k], b)]


def _same_places(a: Axis, b: Axis) -> bool:
    """Whether two axes are at the same position wherever both are somewhere."""
    if a.indices == b.indices and (a.positions is None) is (b.positions is None) and a.table_key == b.table_key:
        return True
    if a.positions is None and b.positions is None:
        return False
    ids = tuple(dict.fromkeys((*a.indices, *b.indices)))
    if math.prod(i.size for i in ids) > LARGEST_TABLE:
        return False
    one, other = (spread_over(*without_repeats(axis.table(), axis.indices), ids) for axis in (a, b))
    return decided(((one == other) | (one < 0) | (other < 0)).all())


def at_one_place(a: Axis, b: Axis) -> bool:
    """Whether two axes of the same indices are at one position, or both nowhere, for each of them."""
    return a.indices == b.indices and (a.table_key == b.table_key or decided((a.table() == b.table()).all()))


def _matching(choices: list[list[int]]) -> bool:
    """Whether every batch axis of u can have an axis of x of its own."""
    return (not choices or any(_matching([[j for j in other if j != first] for other in choices[1:]])
                               for first in choices[0]))


def _mixer(u: Node, x: Node, seed: Block) -> int | None:
    """Which of the nodes that lead to u is the first to lose a tie that u has lost."""
    def lost_at(node: Node) -> set[int]:
        block = push_places([node], {x: seed})[0]
        lost: set[int] = set()
        for term in block.terms if block is not None else ():
            lost |= set(range(len(term.inn))) - {j for k in range(len(term.out)) for j in _tied(term, k)}
        return lost

    lost = lost_at(u)
    for k, node in enumerate(ancestors([u], x.number)):
        if node is x or node.shape is None or not depends(node, x):
            continue
        try:
            if lost & lost_at(node):
                return k
        except Exception:  # it cannot be followed without its data; the next one may tell
            continue
    return None


__all__ = ["Partners", "at_one_place", "independence"]
