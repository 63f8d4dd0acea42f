"""Sums and multiples of Jacobians, lazy and structured; and Jacobians that hold Blocks and nothing else, as unpickled
ones do.
"""
from __future__ import annotations

import copy
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch

from ...blocks.block import Block
from ...core.containers import Structure, flatten, unflatten
from ...core.errors import ShapeError, TraceError, TypeRefused, line_of, user_site
from ...core.tables import words
from ...machine.memory import free_memory
from ..words.directions import distributed
from .parts import Leaf

if TYPE_CHECKING:
    from .jacobian import Jacobian

Part = tuple[Any, Any]  # a number, and what it multiplies


class VectorSpace:
    """J1 + J2, J1 - J2, c * J, J / c and -J: Jacobians again, lazy, and structured as their parts are."""

    def __add__(self, other: Any) -> Any:
        """J1 + J2, of the same u and x, or of others of their shapes."""
        if isinstance(other, VectorSpace):
            return combined([(1, self), (1, other)], "J1 + J2")
        return self if type(other) is int and other == 0 else NotImplemented  # sum([J1, J2]) begins with 0

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return combined([(1, self), (-1, other)], "J1 - J2") if isinstance(other, VectorSpace) else NotImplemented

    def __mul__(self, number: Any) -> Any:
        """J times a number."""
        c = number_of(number)
        return NotImplemented if c is None else combined([(c, self)], "c * J")

    __rmul__ = __mul__

    def __truediv__(self, number: Any) -> Any:
        c = number_of(number)
        return NotImplemented if c is None else combined([(1 / c, self)], "J / c")

    def __neg__(self) -> Any:
        return combined([(-1, self)], "-J")

    def __pos__(self) -> Any:
        return self

    def __reduce__(self) -> Any:
        return reduced(cast("Jacobian", self))


class Combination:
    """What a sum of multiples of Jacobians is made from, in the place of a Source; without parts, the Blocks alone."""

    recorded = False
    site = None

    def __init__(self, us: Sequence[Leaf], xs: Sequence[Leaf], parts: Sequence[Part],
                 blocks: dict[tuple[int, int], Block | None], taken: str):
        self.us, self.xs = list(us), list(xs)
        self.parts = list(parts)
        self.blocks = blocks
        self.taken = taken
        self.recorded = any(J._source.recorded for _, J in parts)

    @property
    def closed(self) -> bool:
        """Whether the Blocks are all there is."""
        return all(J._source.closed for _, J in self.parts)

    @property
    def open(self) -> bool:
        """Whether some trace can still be walked."""
        return any(J._source.open for _, J in self.parts)

    @property
    def memory(self) -> int:
        """Bytes that may be used."""
        return min([J._source.memory for _, J in self.parts], default=free_memory())

    def leads(self, i: int, j: int) -> bool:
        """Whether u_i may depend on x_j."""
        if not self.parts:
            return self.blocks[i, j] is not None
        return any(J._source.blocks[there] is not None if (there := (J._rows[i], J._columns[j])) in J._source.blocks
                   else J._source.leads(*there) for _, J in self.parts)

    def block(self, i: int, j: int) -> Block | None:
        """The sum of the parts' Blocks, None where it is zero."""
        if (i, j) not in self.blocks:
            self.blocks[i, j] = _total([(c, J._source.block(J._rows[i], J._columns[j])) for c, J in self.parts])
        return self.blocks[i, j]

    def planned(self, i: int, j: int) -> Block | None:
        """The Block if it is made, or can be made of what is; else its structure without data."""
        if (i, j) in self.blocks or any((J._rows[i], J._columns[j]) in J._source.blocks for _, J in self.parts):
            return self.block(i, j)
        return _total([(c, J._source.planned(J._rows[i], J._columns[j])) for c, J in self.parts])

    def reduce(self, columns: Sequence[int]) -> None:
        """Make the Blocks of some columns, and let the parts go."""
        for _, J in self.parts:
            J._source.reduce([J._columns[j] for j in columns])
        rows = range(len(self.parts[0][1]._rows)) if self.parts else ()
        for j in columns:
            for i in rows:
                self.block(i, j)
        self.parts = []
        for leaf in (*self.us, *self.xs):
            leaf.node = None


def _total(parts: Sequence[tuple[Any, Block | None]]) -> Block | None:
    total: Block | None = None
    for c, block in parts:
        if block is not None:
            scaled = block if type(c) is int and c == 1 else block.times(c)
            total = scaled if total is None else total.plus(scaled)
    return total


# ----- what the operators make ----------------------------------------------------------------------------------------


def combined(parts: Sequence[Part], word: str) -> Jacobian:
    """The sum of multiples of Jacobians of one shape: of the same u and x, or of others of that shape."""
    flat: list[Part] = []
    for c, J in parts:
        inner = J._source.parts if isinstance(J._source, Combination) and J._source.parts and _whole(J) else None
        flat += [(c * d, K) for d, K in inner] if inner else [(c, J)]
    first = flat[0][1]
    for _, J in flat[1:]:
        for mine, theirs, name in ((first._us, J._us, "u"), (first._xs, J._xs, "x")):
            if [leaf.shape for leaf in mine] != [leaf.shape for leaf in theirs]:
                raise ShapeError(
                    f"{word} needs Jacobians of one shape, {name} is {[leaf.shape for leaf in mine]} in one and "
                    f"{[leaf.shape for leaf in theirs]} in the other, at {line_of(user_site())}; leave .nonzero out, "
                    "or take the same parts J[key] of both")
        if first._x_structure.paths() != J._x_structure.paths():
            raise ShapeError(f"{word} needs Jacobians with respect to the same container x, at {line_of(user_site())}; "
                             "take both with respect to one x, or parts J[key]")
    us = [_leaf(leaf, [J._us[i] for _, J in flat], [c for c, _ in flat]) for i, leaf in enumerate(first._us)]
    xs = [_leaf(leaf, [J._xs[j] for _, J in flat], []) for j, leaf in enumerate(first._xs)]
    others = [leaf for _, J in flat[1:] for leaf in J._us]  # so that what is made of it is marked with all its nodes
    source = Combination([*us, *map(copy.copy, others)], xs, flat, {}, line_of(user_site()))
    return type(first)(source, range(len(us)), range(len(xs)), first._u_structure, first._x_structure)


def _whole(J: Jacobian) -> bool:
    """Whether it is all of its combination, not a part J[key]."""
    return J._columns == tuple(range(len(J._source.xs)))


def _leaf(leaf: Leaf, same: Sequence[Leaf], factors: Sequence[Any]) -> Leaf:
    """A u or an x of the sum: of the type of all."""
    made = copy.copy(leaf)
    for other in same:
        made.dtype = torch.promote_types(made.dtype, other.dtype)
    if any(isinstance(c, complex) for c in factors):
        made.dtype = torch.promote_types(made.dtype, torch.complex64)
    return made


def number_of(c: Any) -> Any:
    """A factor as a Python number; None for what is none, an error for an array."""
    kinds: list[tuple[Any, Any]] = [(numbers.Integral, int), (numbers.Real, float), (numbers.Complex, complex)]
    for kind, made in kinds:  # NumPy's too
        if isinstance(c, kind):
            return made(c)
    if hasattr(c, "shape"):
        raise TypeRefused(f"a Jacobian is multiplied by a number, not by an array, at {line_of(user_site())}; write "
                          "c * (J @ v) for one product, c * J.dense() for the array, or float(c) for a constant")
    return None


def product(J: Jacobian, v: Any) -> Any:
    """J v, part by part: recorded where the parts are."""
    return _summed([(c, K @ v) for c, K in _parts(J)])


def transposed_product(J: Jacobian, w: Any) -> Any:
    """J' w, part by part: the transpose of c K is that of K after conj(c)."""
    given = distributed(w, J._us, J._u_structure, "J.T @ w")
    results = []
    for c, K in _parts(J):
        scaled = [c.conjugate() * bar for bar in given]
        scaled = [bar if u.dtype.is_complex or not bar._value.dtype.is_complex else words.real(bar)
                  for bar, u in zip(scaled, K._us, strict=True)]
        results.append((1, K.T @ unflatten(J._u_structure, scaled)))
    return _summed(results)


def recorded_rows(J: Jacobian, i: int, j: int) -> Any:
    """A part as an array, recorded where the parts are."""
    kind, none = type(J), Structure(None)
    return _summed([(c, kind(K._source, [K._rows[i]], [K._columns[j]], none, none).dense())
                    for c, K in J._source.parts])  # type: ignore[union-attr]


def _parts(J: Jacobian) -> list[Part]:
    """The parts, with the columns that J has."""
    kind = type(J)
    return [(c, kind(K._source, [K._rows[i] for i in J._rows], [K._columns[j] for j in J._columns], J._u_structure,
                     J._x_structure)) for c, K in J._source.parts]  # type: ignore[union-attr]


def _summed(trees: Sequence[tuple[Any, Any]]) -> Any:
    """Containers added, leaf by leaf."""
    totals: list[Any] = []
    for k, (c, tree) in enumerate(trees):
        leaves, structure = flatten(tree)
        scaled = [c * leaf for leaf in leaves]
        totals = scaled if not k else [a + b for a, b in zip(totals, scaled, strict=True)]
    return unflatten(structure, totals)


# ----- pickling -------------------------------------------------------------------------------------------------------


def reduced(J: Jacobian) -> Any:
    """What `pickle` keeps of a Jacobian: its Blocks, and where it was taken, as text."""
    source = J._source
    if not source.closed:
        raise TraceError(f"a Jacobian is pickled when it has left its dlfeval, at {line_of(user_site())}; return it "
                         "from there")
    taken = source.taken if isinstance(source, Combination) else line_of(source.site)
    us, xs = [copy.copy(u) for u in J._us], [copy.copy(x) for x in J._xs]
    blocks = {(i, j): source.block(r, c) for i, r in enumerate(J._rows) for j, c in enumerate(J._columns)}
    return _rebuilt, (type(J), us, xs, blocks, taken, J._u_structure, J._x_structure)


def _rebuilt(kind: type[Jacobian], us: list[Leaf], xs: list[Leaf], blocks: dict[tuple[int, int], Block | None],
             taken: str, u_structure: Structure, x_structure: Structure) -> Jacobian:
    source = Combination(us, xs, [], blocks, taken)
    return kind(source, range(len(us)), range(len(xs)), u_structure, x_structure)  # type: ignore[arg-type]


__all__ = ["Combination", "VectorSpace", "product", "recorded_rows", "transposed_product"]
