"""Which way to walk for each part of a Jacobian: forwards from it, or backwards from u, shared by all that are taken
so.

Both walks run on structure alone, and what they would do is counted: kernel calls, operations, bytes written. A
factored Block is a lazy product, so that a walk meets at the narrowest place by itself: a product is formed where it is
smaller than its factors.
"""
from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from torch.utils._python_dispatch import TorchDispatchMode

from ...blocks.block import identity
from ...core.trace import Node, ancestors
from ...machine.dtypes import Tensor
from ...machine.modes import under
from ..walks.kept_plans import remembered
from ..walks.pull import pull
from ..walks.push import push
from ..walks.stand_ins import stand_ins, stays_real

# operations from x to u: so near, forwards is what its own layer does, and planning would cost more than it saves
SHORT = 5
# operations, and numbers in what a walk carries: either way only its calls would count, and the plan costs as many
LONG, TINY = 64, 1 << 14
SECONDS = {"calls": 3e-6, "operations": 1e-11, "bytes": 2e-10}  # of one, roughly: only ratios matter


class Cost(NamedTuple):
    """What a walk does."""

    calls: int
    operations: int
    bytes: int

    @property
    def seconds(self) -> float:
        """A rough estimate, to compare walks by."""
        return sum(n * SECONDS[name] for n, name in zip(self, self._fields, strict=True))

    def __str__(self) -> str:
        return f"{_short(self.operations)} operations, {_short(self.bytes)}B written, {self.calls} kernel calls"


class Way(NamedTuple):
    """How one part is made: the way, what it costs, and what the other way would."""

    backwards: bool
    cost: Cost | None = None  # None: not estimated
    other: Cost | None = None
    nbytes: int | None = None  # of the Block it makes


class _Meter(TorchDispatchMode):
    """Counts what torch is asked to do."""

    def __init__(self, limit: float = math.inf) -> None:
        super().__init__()
        self.calls = self.operations = self.bytes = 0
        self.limit = limit

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.is_meta:
            self.calls += 1
            if result._base is None or result.numel() != result._base.numel():
                self.bytes += result.numel() * result.element_size()
            self.operations += _operations(function, args, result)
            if self.calls % 16 == 0 and self.cost.seconds > self.limit:
                raise OverflowError("dearer than the other way")
        return result

    @property
    def cost(self) -> Cost:
        return Cost(self.calls, self.operations, self.bytes)


def _operations(function: Any, args: Any, result: Tensor) -> int:
    name = function.overloadpacket.__name__ if hasattr(function, "overloadpacket") else ""
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        a = args[1] if name in ("addmm", "baddbmm") else args[0]
        return 2 * result.numel() * a.shape[-1]
    if name == "convolution":
        return 2 * result.numel() * math.prod(args[1].shape[1:])
    return result.numel()


def ways(u: Node, xs: Sequence[Node | None], between: Collection[Node] | None = None) -> list[Way]:
    """For each x the cheaper way to d u / d x. `between` are the nodes that lead to u, where they are known."""
    nodes = [x for x in dict.fromkeys(xs) if x is not None]
    if not nodes:
        return [Way(False)] * len(xs)
    order = ancestors([u], min(n.number for n in nodes)) if between is None else between
    plain = Way(False)
    if len(order) - len(nodes) <= SHORT or any([n.dtype is not None and n.dtype.is_complex for n in order]):
        return [plain] * len(xs)
    if (len(order) > LONG and max([math.prod(n.shape) for n in order if n.shape is not None])
        * math.prod(u.shape) <= TINY):
        backwards = len(nodes) > 1 or math.prod(u.shape) <= math.prod(nodes[0].shape)
        return [plain if x is None else Way(backwards) for x in xs]
    found = dict(zip(nodes, remembered("ways", [u], nodes, lambda: _ways(u, nodes), contents=False), strict=True))
    return [plain if x is None else found[x] for x in xs]


def _ways(u: Node, nodes: list[Node]) -> list[Way]:
    reached = set(ancestors([u], min(n.number for n in nodes)))
    newest_first = sorted((x for x in nodes if x in reached), key=lambda x: -x.number)
    backwards, held = _backwards(u, newest_first)
    whole = backwards[newest_first[-1]] if newest_first else None
    forwards: dict[Node, Cost | None] = {}
    held_forwards: dict[Node, int] = {}
    for x in newest_first:
        forwards[x], held_forwards[x] = _forwards(u, x, math.inf if whole is None else whole.seconds)
        if forwards[x] is None:
            break  # dearer than everything backwards; what is older is dearer still
    # Backwards is shared: everything down to some x comes with one walk. The best cut between what is taken so and what
    # is not:
    best, cut = math.inf, 0
    for count in range(len(newest_first) + 1):
        walk = backwards[newest_first[count - 1]] if count else Cost(0, 0, 0)
        alone = [forwards.get(x) for x in newest_first[count:]]
        if walk is None or None in alone:
            continue
        total = walk.seconds + math.fsum(c.seconds for c in alone if c is not None)
        if total < best:
            best, cut = total, count
    if _rests_on_positions(reached):  # how much a Block holds may be another number at other positions
        held, held_forwards = {}, {}
    chosen = set(newest_first[:cut])
    return [Way(True, backwards.get(x), forwards.get(x), held.get(x)) if x in chosen else
            Way(False, forwards.get(x), backwards.get(x), held_forwards.get(x))
            for x in nodes]


def _rests_on_positions(nodes: Iterable[Node]) -> bool:
    """Whether some structure rests on positions, or on what an author's own code decides by.

    A plan that is kept without contents does not know them.
    """
    return any(stays_real(v) or hasattr(v, "identified_by") for node in nodes
               for v in (*node.values, *node.params.values()))


def _forwards(u: Node, x: Node, limit: float) -> tuple[Cost | None, int]:
    """The cost of a walk from x, None where it is more than `limit` seconds, or cannot be followed without data; and
    what it makes."""
    meter = _Meter(limit)
    try:
        (block,) = under([meter], push, [u], {x: identity(x.shape, x.dtype, "meta")}, values_of=stand_ins)
    except Exception:
        return None, 0
    return meter.cost, 0 if block is None else block.nbytes


def _backwards(u: Node, xs: Sequence[Node]) -> tuple[dict[Node, Cost | None], dict[Node, int]]:
    """The cost of one walk from u, as far as each x; and what it makes."""
    meter = _Meter()
    costs: dict[int, Cost] = {}

    def counted(node: Node) -> list[Any]:
        costs[node.number] = meter.cost
        return stand_ins(node)

    try:
        blocks = under([meter], pull, {u: identity(u.shape, u.dtype, "meta")}, xs, values_of=counted)
    except Exception:
        return dict.fromkeys(xs), {}
    found: dict[Node, Cost | None] = {}
    for x in xs:
        older = [number for number in costs if number < x.number]
        found[x] = costs[max(older)] if older else meter.cost  # the reading when the walk has passed x
    return found, {x: 0 if block is None else block.nbytes for x, block in zip(xs, blocks, strict=True)}


def _short(n: float) -> str:
    for name in ("", "k", "M", "G"):
        if n < 1000:
            return f"{n:.0f} {name}" if not name else f"{n:.3g} {name}"
        n /= 1000
    return f"{n:.3g} T"


__all__ = ["Cost", "Way", "ways"]
