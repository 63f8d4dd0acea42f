"""Which way to walk for each part of a Jacobian: forwards from it, or backwards from u, shared by all that are taken
so; as a structured Jacobian, or plainly with a direction for each row or column.

The walks run on structure alone, and what they would do is counted: kernel calls, operations, bytes written. A factored
Block is a lazy product, so that a walk meets at the narrowest place by itself: a product is formed where it is smaller
than its factors. A plain walk repeats everything for each direction, but a call of it costs a third. So where u has few
elements and the structure gives nothing, plain rows are the cheapest, and where x has few, plain columns.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ...blocks.block import Block, identity
from ...core.trace import Node, ancestors
from ...machine.dtypes import Tensor
from ...machine.modes import under
from ...machine.shapes import Shapes
from ..walks.kept_plans import remembered
from ..walks.pull import pull
from ..walks.push import push
from ..walks.stand_ins import stand_ins, stays_real

# operations from x to u: so near, forwards is what its own layer does, and planning would cost more than it saves
SHORT = 5
# operations, and numbers in what a walk carries: either way only its calls would count, and the plan costs as many
LONG, TINY = 64, 1 << 14
# of one, roughly (measured on networks of 80 to 380 operations): only ratios matter. A kernel call of a structured walk
# has more code around it.
BLOCK_CALL, PLAIN_CALL, OPERATION, BYTE = 18e-6, 7e-6, 1e-11, 2e-10
TIED = 4  # how many times cheaper a plain walk must be where it would give up that a Jacobian may be a diagonal


class Cost(NamedTuple):
    """What a walk does; `call` is the seconds of one call."""

    calls: int
    operations: int
    bytes: int
    call: float = BLOCK_CALL

    @property
    def seconds(self) -> float:
        """A rough estimate, to compare walks by."""
        return self.calls * self.call + self.operations * OPERATION + self.bytes * BYTE

    def __str__(self) -> str:
        return f"{_short(self.operations)} operations, {_short(self.bytes)}B written, {self.calls} kernel calls"


class Way(NamedTuple):
    """How one part is made: the way, what it costs, and what the other way would."""

    backwards: bool
    cost: Cost | None = None  # None: not estimated
    other: Cost | None = None
    nbytes: int | None = None  # of the Block it makes
    plain: bool = False  # by plain walks: all entries, rows where they go backwards, else columns


class _Meter(TorchDispatchMode):
    """Counts what torch is asked to do."""

    def __init__(self, limit: float = math.inf, call: float = BLOCK_CALL) -> None:
        super().__init__()
        self.calls = self.operations = self.bytes = 0
        self.limit = limit
        self.call = call

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as Shapes, below it

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _on_one_device(args):  # positions stay real where structure rests on them; kernels take one device
            args = tree_map_only(Tensor, lambda t: t.to("meta") if t.ndim else t, args)
        result = function(*args, **kwargs)
        made = [r for r in (result if isinstance(result, tuple) else (result,)) if isinstance(r, Tensor) and r.is_meta]
        if made:
            self.calls += 1
            for r in made:
                if r._base is None or r.numel() != r._base.numel():
                    self.bytes += r.numel() * r.element_size()
                self.operations += _operations(function, args, r)
            if self.calls % 16 == 0 and self.cost.seconds > self.limit:
                raise OverflowError("dearer than the other way")
        return result

    @property
    def cost(self) -> Cost:
        return Cost(self.calls, self.operations, self.bytes, self.call)


def _on_one_device(args: Any) -> bool:
    """Whether no array without data meets one with data."""
    devices = {t.is_meta for a in args for t in (a if type(a) is list else (a,)) if isinstance(t, Tensor) and t.ndim}
    return len(devices) < 2


def _operations(function: Any, args: Any, result: Tensor) -> int:
    name = function.overloadpacket.__name__ if hasattr(function, "overloadpacket") else ""
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        a = args[1] if name in ("addmm", "baddbmm") else args[0]
        return 2 * result.numel() * a.shape[-1]
    if name == "convolution":
        return 2 * result.numel() * math.prod(args[1].shape[1:])
    if name == "convolution_backward":  # each of its results takes what the convolution does
        return 2 * args[0].numel() * math.prod(args[2].shape[1:]) if result.ndim > 1 else args[0].numel()
    return result.numel()


def ways(u: Node, xs: Sequence[Node | None], between: Collection[Node] | None = None,
         has_room: Callable[[], bool] = lambda: True) -> list[Way]:
    """For each x the cheapest way to d u / d x.

    `between` are the nodes that lead to u, where they are known; `has_room` says whether all entries fit in memory.
    """
    nodes = [x for x in dict.fromkeys(xs) if x is not None]
    if not nodes:
        return [Way(False)] * len(xs)
    order = ancestors([u], min(n.number for n in nodes)) if between is None else between
    near = Way(False)
    if len(order) - len(nodes) <= SHORT or any([n.dtype is not None and n.dtype.is_complex for n in order]):
        return [near] * len(xs)
    room = has_room()
    rows, columns = math.prod(u.shape), sum([math.prod(x.shape) for x in nodes])
    if len(order) > LONG and max([math.prod(n.shape) for n in order if n.shape is not None]) * rows <= TINY:
        backwards = len(nodes) > 1 or rows <= columns
        plain = room and min(rows, columns) <= LONG and all([x.shape != u.shape for x in nodes])
        backwards = rows <= columns if plain else backwards
        return [near if x is None else Way(backwards, plain=plain, nbytes=_dense_bytes(u, x) if plain else None)
                for x in xs]
    found = dict(zip(nodes, remembered("ways", [u], nodes, lambda: _ways(u, nodes, room), room, roughly=True),
                     strict=True))
    return [near if x is None else found[x] for x in xs]


def _dense_bytes(u: Node, x: Node) -> int:
    return math.prod(u.shape) * math.prod(x.shape) * x.dtype.itemsize


def _ways(u: Node, nodes: list[Node], room: bool) -> list[Way]:
    """The cheapest way to each of some nodes, structured or plain."""
    reached = set(ancestors([u], min(n.number for n in nodes)))
    there = [x for x in nodes if x in reached]
    plain, backwards = _plain(u, there) if there and room else (None, False)
    limit = math.inf if plain is None else TIED * plain.seconds
    found, tied = _structured(u, nodes, reached, limit)
    if plain is None:
        return found or [Way(backwards)] * len(nodes)
    if found is None:
        return [Way(backwards, plain, None, _dense_bytes(u, x), plain=True) for x in nodes]
    kept = {}  # what is near u and a diagonal stays one
    for x, way in zip(nodes, found, strict=True):
        if x in tied:
            near = Way(False, way.other, way.cost, way.nbytes) if way.backwards else way
            if near.cost is not None:
                kept[x] = near
    own = math.fsum(way.cost.seconds for way in kept.values() if way.cost is not None)
    if plain.seconds * (TIED if len(kept) < len(tied) else 1) + own >= _total(found):
        return found
    return [kept[x] if x in kept else Way(backwards, plain, way.cost, _dense_bytes(u, x), plain=True)
            for x, way in zip(nodes, found, strict=True)]


def _total(found: Sequence[Way]) -> float:
    """Seconds of all walks together: what goes backwards is one walk, as long as its longest."""
    costs = [(way.backwards, way.cost.seconds) for way in found if way.cost is not None]
    return (max([s for backwards, s in costs if backwards], default=0.0)
            + math.fsum(s for backwards, s in costs if not backwards))


def _structured(u: Node, nodes: Sequence[Node], reached: Collection[Node],
                limit: float) -> tuple[list[Way] | None, set[Node]]:
    """The cheapest structured way to each, and which of u's shape are tied to u along an axis; None where all are
    dearer than `limit` seconds, or cannot be followed without data."""
    newest_first = sorted((x for x in nodes if x in reached), key=lambda x: -x.number)
    backwards, blocks = _backwards(u, newest_first, limit)
    whole = backwards[newest_first[-1]] if newest_first else None
    forwards: dict[Node, Cost | None] = {}
    blocks_forwards: dict[Node, Block | None] = {}
    left = limit if whole is None else whole.seconds
    for x in newest_first:
        forwards[x], blocks_forwards[x] = _forwards(u, x, left)
        if forwards[x] is None:
            break  # dearer than everything backwards; what is older is dearer still
    # Backwards is shared: everything down to some x comes with one walk. The best cut between what is taken so and what
    # is not:
    best, cut = math.inf, -1
    for count in range(len(newest_first) + 1):
        walk = backwards[newest_first[count - 1]] if count else Cost(0, 0, 0)
        alone = [forwards.get(x) for x in newest_first[count:]]
        if walk is None or None in alone:
            continue
        total = walk.seconds + math.fsum(c.seconds for c in alone if c is not None)
        if total < best:
            best, cut = total, count
    if cut < 0:
        return None, set()
    chosen = set(newest_first[:cut])
    made = [blocks.get(x) if x in chosen else blocks_forwards.get(x) for x in nodes]
    # how much a Block holds may be another number at other positions
    held = ([None] * len(nodes) if _rests_on_positions(reached)
            else [0 if block is None else block.nbytes for block in made])
    found = [Way(True, backwards.get(x), forwards.get(x), nbytes) if x in chosen else
             Way(False, forwards.get(x), backwards.get(x), nbytes)
             for x, nbytes in zip(nodes, held, strict=True)]
    return found, {x for x, block in zip(nodes, made, strict=True)
                   if block is not None and x.shape == u.shape and _tied(block)}


def _tied(block: Block) -> bool:
    """Whether some term is diagonal along an axis."""
    return any([not t.in_indices().isdisjoint([i for axis in t.out for i in axis.indices]) for t in block.terms])


def _plain(u: Node, xs: Sequence[Node]) -> tuple[Cost | None, bool]:
    """What plain rows cost, or plain columns where those are fewer, for all of some arrays; and whether it is rows.

    None where they cannot be followed without data.
    """
    rows, columns = math.prod(u.shape), sum([math.prod(x.shape) for x in xs])
    backwards = rows <= columns
    meter = _Meter(call=PLAIN_CALL)
    try:
        if backwards:
            seed = torch.empty((rows, *u.shape), dtype=u.dtype, device="meta")
            under([Shapes(), meter], pull, {u: seed}, xs, lead=(rows,), values_of=stand_ins)
        else:
            seeds = {x: torch.empty((columns, *x.shape), dtype=x.dtype, device="meta") for x in xs}
            under([Shapes(), meter], push, [u], seeds, lead=(columns,), values_of=stand_ins)
    except Exception:
        return None, backwards
    return meter.cost, backwards


def _rests_on_positions(nodes: Iterable[Node]) -> bool:
    """Whether some structure rests on positions, or on what an author's own code decides by.

    A plan that is kept without contents does not know them.
    """
    return any(stays_real(v) or hasattr(v, "identified_by") for node in nodes
               for v in (*node.values, *node.params.values()))


def _forwards(u: Node, x: Node, limit: float) -> tuple[Cost | None, Block | None]:
    """The cost of a structured walk from x, None where it is more than `limit` seconds, or cannot be followed without
    data; and what it makes."""
    meter = _Meter(limit)
    try:
        (block,) = under([Shapes(), meter], push, [u], {x: identity(x.shape, x.dtype, "meta")}, values_of=stand_ins)
    except Exception:
        return None, None
    return meter.cost, block


def _backwards(u: Node, xs: Sequence[Node],
               limit: float) -> tuple[dict[Node, Cost | None], dict[Node, Block | None]]:
    """The cost of one structured walk from u, as far as each x; and what it makes."""
    meter = _Meter(limit)
    costs: dict[int, Cost] = {}

    def counted(node: Node) -> list[Any]:
        costs[node.number] = meter.cost
        return stand_ins(node)

    try:
        blocks = under([Shapes(), meter], pull, {u: identity(u.shape, u.dtype, "meta")}, xs, values_of=counted)
    except Exception:
        return dict.fromkeys(xs), {}
    found: dict[Node, Cost | None] = {}
    for x in xs:
        older = [number for number in costs if number < x.number]
        found[x] = costs[max(older)] if older else meter.cost  # the reading when the walk has passed x
    return found, dict(zip(xs, blocks, strict=True))


def _short(n: float) -> str:
    for name in ("", "k", "M", "G"):
        if n < 1000:
            return f"{n:.0f} {name}" if not name else f"{n:.3g} {name}"
        n /= 1000
    return f"{n:.3g} T"


__all__ = ["Cost", "Way", "ways"]
