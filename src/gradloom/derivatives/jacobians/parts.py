"""What a Jacobian object is made from: its u and x, the way to each part, and the Blocks, made when they are first
needed."""
from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import torch

from ...blocks.axis import plain
from ...blocks.block import Block, identity
from ...blocks.term import Term
from ...core.array import dlarray
from ...core.errors import GradloomError, ShapeError, TraceError, line_of, user_site
from ...core.trace import Node, ancestors
from ...machine.dtypes import Tensor
from ...machine.finite import all_finite
from ...machine.memory import free_memory, readable_bytes
from ..walks.kept_plans import remembered
from ..walks.meetings import pull, push
from ..walks.pieces import pulled, pushed
from ..walks.stand_ins import on_structure, stand_ins
from .plan import Way, ways
from .structure import structure

values_of = operator.attrgetter("values")  # of a node: its own
node_of = operator.attrgetter("node")
SMALL = 1 << 28  # what is dense smaller than this is made without asking how much memory is free


class Leaf:
    """What stays known of a u or an x when its trace has ended."""

    __slots__ = ("device", "dtype", "key", "labels", "node", "shape", "size")

    def __init__(self, array: dlarray, node: Node | None, key: Any):
        value = array._value
        self.node = node
        self.key = key
        self.shape = tuple(value.shape)
        self.labels = array._labels
        self.dtype = value.dtype
        self.device = value.device
        self.size = math.prod(self.shape)  # how many elements it has


class Source:
    """The Blocks of one `dljacobian` call, made when they are first needed, while the trace is open."""

    def __init__(self, us: list[Leaf], xs: list[Leaf], recorded: bool = False, memory_limit: int | None = None):
        self.us, self.xs = us, xs
        self.recorded = recorded
        self.memory_limit = memory_limit
        self.blocks: dict[tuple[int, int], Block | None] = {}
        self.site = user_site()
        self.trace = next(iter([leaf.node.trace for leaf in (*us, *xs) if leaf.node is not None]), None)
        self.closed = False
        self._ways: dict[int, list[Way]] = {}
        self._reached: dict[int, set[Node]] = {}

    @property
    def open(self) -> bool:
        """Whether the trace can still be walked."""
        return not self.closed and (self.trace is None or self.trace.open)

    def check_open(self, what: str) -> None:
        """An error where the trace has ended."""
        if not self.open:
            raise TraceError(
                f"{what}: this Jacobian (of {line_of(self.site)}) escaped from its dlfeval and is closed; return it "
                "from dlfeval")

    @property
    def memory(self) -> int:
        """Bytes that may be used."""
        return free_memory() if self.memory_limit is None else self.memory_limit

    def way(self, i: int, j: int) -> Way:
        """How d u_i / d x_j is made."""
        if i not in self._ways:
            u = self.us[i].node
            nodes = list(map(node_of, self.xs))
            self._ways[i] = ([Way(False)] * len(self.xs) if u is None or self.closed
                             else ways(u, nodes, self._reached.get(i), functools.partial(self._has_room, i)))
        return self._ways[i][j]

    def _has_room(self, i: int) -> bool:
        """Whether all entries of u's rows fit in memory, twice: what makes them is as large."""
        needed = 2 * self.us[i].size * self.us[i].dtype.itemsize * sum([x.size for x in self.xs])
        return needed <= SMALL and self.memory_limit is None or needed <= self.memory

    def leads(self, i: int, j: int) -> bool:
        """Whether the trace leads from x_j to u_i; it is walked once for each u."""
        u, x = self.us[i].node, self.xs[j].node
        if u is None or x is None:
            return False
        reached = self._reached.get(i)
        if reached is None:
            oldest = min([leaf.node.number for leaf in self.xs if leaf.node is not None])
            reached = self._reached[i] = set(ancestors([u], oldest))
        return x in reached

    def block(self, i: int, j: int) -> Block | None:
        """d u_i / d x_j, None where it is zero."""
        if (i, j) not in self.blocks:
            self.check_open("a structured Jacobian")
            self._make_in_words(i, j)
        return self.blocks[i, j]

    def _make_in_words(self, i: int, j: int) -> None:
        """Make a part; what does not fit in memory is refused in words."""
        try:
            self._make(i, j)
        except (RuntimeError, MemoryError, ShapeError) as error:
            kernels = error.__cause__ if isinstance(error, ShapeError) else error  # a walk has put it in words
            if (kernels is None or isinstance(kernels, GradloomError) or isinstance(kernels, RuntimeError)
                and "memory" not in str(kernels)):
                raise
            said = (str(kernels) or type(kernels).__name__).splitlines()[0][:120]
            raise ShapeError(
                f"the structured Jacobian of {line_of(self.site)} with respect to {self.xs[j].key!r} does not fit "
                f"in memory on the way: {said}; take fewer outputs, or use J @ v and J.T @ w inside "
                "dlfeval") from error

    def _make(self, i: int, j: int) -> None:
        u, x = self.us[i].node, self.xs[j].node
        if not self.leads(i, j):
            self.blocks[i, j] = None
            return
        assert u is not None and x is not None
        way = self.way(i, j)
        if way.plain and self._made_plainly(i, way.backwards):
            return
        if way.backwards:  # one walk gives all parts that are made backwards
            columns = self._together(i, plainly=False)
            self.fit(columns, [i])
            nodes = [self.xs[c].node for c in columns]
            pulled_back = pull({u: identity(u.shape, u.dtype, self.us[i].device)}, nodes, values_of=values_of)  # type: ignore[arg-type]
            for c, block in zip(columns, pulled_back, strict=True):
                self.blocks[i, c] = None if block is None else block.transposed()
            return
        rows = [i]
        if len(self.us) > 1:  # one walk gives those of every u
            rows += [r for r in range(len(self.us)) if r != i and (r, j) not in self.blocks and self.leads(r, j)
                     and not (self.way(r, j).backwards or self.way(r, j).plain)]
        self.fit([j], rows)
        outputs = []
        for r in rows:
            node = self.us[r].node
            if node is not None and node not in outputs:
                outputs.append(node)
        pushed_on = dict(zip(outputs, push(outputs, {x: identity(x.shape, x.dtype, self.xs[j].device)}), strict=True))
        for r in rows:
            self.blocks[r, j] = pushed_on[self.us[r].node]  # type: ignore[index]

    def _together(self, i: int, plainly: bool) -> list[int]:
        """The columns that are made in one walk for u_i, plainly or backwards as Blocks, and are not made yet."""
        reached = self._reached[i]
        return [c for c, way in enumerate(self._ways[i]) if way.plain is plainly and (plainly or way.backwards)
                and (i, c) not in self.blocks and self.xs[c].node in reached]

    def _made_plainly(self, i: int, backwards: bool) -> bool:
        """All entries of u_i's parts by plain rows or columns.

        False where some are not finite: a walk with many directions carries zeros that a structured one has not, and 0
        times infinity is NaN. Then the structured walks make them, from now on.
        """
        columns = self._together(i, plainly=True)
        self.fit(columns, [i])
        u: Any = self.us[i].node
        xs: list[Any] = [self.xs[c].node for c in columns]
        nodes = list(dict.fromkeys(xs))
        finite = False
        if backwards:
            seeds = {u: torch.eye(self.us[i].size, dtype=u.dtype, device=self.us[i].device)}
            found = pulled(self._reached[i], seeds, nodes, finite_only=True)
            finite = all_finite(found)
            if not finite and u.trace.guarded:
                found = pulled(self._reached[i], seeds, nodes)
        else:
            (tangents,) = pushed(self._reached[i], _all_directions(nodes, self.us[i].device), [u])
            sizes = [math.prod(x.shape) for x in nodes]
            found = [part.movedim(0, -1) for part in tangents.split(sizes)]
        if not finite and not all_finite(found):
            self._ways[i] = [way._replace(plain=False, nbytes=None) for way in self._ways[i]]
            return False
        made = dict(zip(nodes, found, strict=True))
        for c, x in zip(columns, xs, strict=True):
            self.blocks[i, c] = _whole(made[x], self.us[i].shape, x.shape)
        return True

    def planned(self, i: int, j: int) -> Block | None:
        """The Block if it is made, else its structure without data."""
        if (i, j) in self.blocks:
            return self.blocks[i, j]
        u, x = self.us[i].node, self.xs[j].node
        if u is None or x is None:
            return None
        self.check_open("the structure of a Jacobian")
        if not self.leads(i, j):
            return None
        way = self.way(i, j)
        if way.plain:
            return _whole(torch.empty((*u.shape, *x.shape), dtype=x.dtype, device="meta"), u.shape, x.shape)  # type: ignore[misc]
        if way.backwards:
            return remembered("structure backwards", [u], [x], lambda: _structure_backwards(u, x))
        return remembered("structure", [u], [x], lambda: structure(u, x))

    def fit(self, columns: Sequence[int], rows: Sequence[int] | None = None) -> None:
        """Refuse what cannot fit in memory, before anything is allocated."""
        rows = range(len(self.us)) if rows is None else rows
        height = width = 0
        for i in rows:
            height += self.us[i].size * self.us[i].dtype.itemsize
        for j in columns:
            width += self.xs[j].size
        dense_bytes = height * width
        if dense_bytes < SMALL and self.memory_limit is None:
            return
        memory = self.memory
        if 4 * dense_bytes <= memory:  # factors may hold more than the entries, but not so much more
            return
        needed = sum(self._bytes(i, j) for i in rows for j in columns)
        if needed > memory:
            raise ShapeError(
                f"the structured Jacobian of {line_of(self.site)} holds {readable_bytes(needed)}, and "
                f"{readable_bytes(memory)} of memory are free (dense: {readable_bytes(dense_bytes)}); take fewer "
                "outputs, use J @ v and J.T @ w inside dlfeval, or dljacobian(u, x, axis)")

    def _bytes(self, i: int, j: int) -> int:
        """Bytes that a part holds, or will hold."""
        if (i, j) not in self.blocks and (known := self.way(i, j).nbytes) is not None:
            return known
        block = self.planned(i, j)
        return 0 if block is None else block.nbytes

    def reduce(self, columns: Sequence[int]) -> None:
        """Make the Blocks of some columns, and forget the trace when it ends."""
        if self.closed:
            return
        self.check_open("returning a Jacobian")
        rows = range(len(self.us))
        wanted = []
        for j in columns:
            for i in rows:
                if (0, j) not in self.blocks and self.leads(i, j):
                    wanted.append(j)
                    break
        self.fit(wanted)
        for j in columns:
            for i in rows:
                if (i, j) not in self.blocks:
                    self._make_in_words(i, j)
        if self.trace is None:
            self.forget()
        else:
            self.trace.closing.append(self.forget)

    def arrays(self) -> list[Tensor]:
        """What it holds when its trace has ended: the factors of all that was made."""
        return [array for block in self.blocks.values() if block is not None for array in block.arrays()]

    def filled(self, arrays: Sequence[Tensor]) -> Source:
        """The same with other factors, in the order of `arrays`; its trace has ended."""
        made = Source(self.us, self.xs, self.recorded, self.memory_limit)
        made.site, made._ways, made.trace, made.closed = self.site, self._ways, None, True
        start = 0
        for place, block in self.blocks.items():
            count = 0 if block is None else len(block.arrays())
            made.blocks[place] = None if block is None else block.filled(arrays[start:start + count])
            start += count
        return made

    def forget(self) -> None:
        """The trace has ended: what was made is all there is."""
        self.closed = True
        self.trace = None
        for leaf in (*self.us, *self.xs):
            leaf.node = None
        self._reached.clear()


def _whole(entries: Tensor, u_shape: Sequence[int], x_shape: Sequence[int]) -> Block:
    """A Block of all its entries."""
    out, inn = [plain(n) for n in u_shape], [plain(n) for n in x_shape]
    ids = tuple([i for axis in (*out, *inn) for i in axis.indices])
    term = Term([(entries.reshape([i.size for i in ids]), ids)], out, inn)
    return Block([term], u_shape, x_shape, entries.dtype, entries.device)


def _all_directions(xs: Sequence[Node], device: Any) -> dict[Node, Tensor]:
    """One direction for each element of some arrays, one array after the other."""
    sizes = [math.prod(x.shape) for x in xs]
    seeds, start = {}, 0
    for x, n in zip(xs, sizes, strict=True):
        seed = seeds[x] = torch.zeros((sum(sizes), n), dtype=x.dtype, device=device)
        seed[start:start + n].fill_diagonal_(1)
        start += n
    return seeds


def _structure_backwards(u: Node, x: Node) -> Block | None:
    (block,) = on_structure(pull, {u: identity(u.shape, u.dtype, "meta")}, [x], values_of=stand_ins)
    return None if block is None else block.transposed()
