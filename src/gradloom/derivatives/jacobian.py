"""The Jacobian object: a structured linear map from x's container to u's, and `dljacobian`, which makes it."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.blocks.block import Block, identity
from ..core.blocks.dense import borrow, dense, lent_memory, write, written
from ..core.containers import Structure, flatten, unflatten
from ..core.errors import GradloomError, ShapeError, TraceError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..core.operation import PUBLIC
from ..core.trace import Node
from ..kernels import NAMES, NUMBER_TYPES, Tensor, readable_bytes, to_numpy
from .directions import direction, matched
from .forward import push
from .operators import marked
from .planning import depends, free_memory, remembered, structure
from .reverse import pull

OPTION = "dljacobian(u, x, axis)"
SMALL = 1 << 28  # what is dense smaller than this is made without asking how much memory is free


class _Leaf:
    """What stays known of a u or an x when its trace has ended."""

    __slots__ = ("device", "dtype", "key", "labels", "node", "shape")

    def __init__(self, array: dlarray, node: Node | None, key: Any):
        self.node = node
        self.key = key
        self.shape = array.shape
        self.labels = array._labels
        self.dtype = array.dtype
        self.device = array.device

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class _Source:
    """The Blocks of one `dljacobian` call, made when they are first needed, while the trace is open."""

    def __init__(self, us: list[_Leaf], xs: list[_Leaf]):
        self.us, self.xs = us, xs
        self.blocks: dict[tuple[int, int], Block | None] = {}
        self.site = user_site()
        self.closed = False

    @property
    def open(self) -> bool:
        return not self.closed and all(leaf.node is None or leaf.node.trace.open for leaf in (*self.us, *self.xs))

    def check_open(self, what: str) -> None:
        if not self.open:
            raise TraceError(f"{what}: this Jacobian (of {line_of(self.site)}) escaped from its dlfeval and is closed; return it from dlfeval")

    def block(self, i: int, j: int) -> Block | None:
        """d u_i / d x_j, None where it is zero."""
        if (i, j) not in self.blocks:
            self.check_open("a structured Jacobian")
            x = self.xs[j]
            outputs = [u.node for u in self.us if u.node is not None and depends(u.node, x.node)]
            pushed: dict[Node | None, Block | None] = {}
            if outputs:
                self.fit([j])
                assert x.node is not None
                try:
                    pushed = dict(zip(outputs, push(outputs, {x.node: identity(x.shape, x.dtype, x.device)}), strict=True))
                except (RuntimeError, MemoryError) as error:
                    if isinstance(error, GradloomError) or isinstance(error, RuntimeError) and "memory" not in str(error):
                        raise
                    raise ShapeError(f"the structured Jacobian of {line_of(self.site)} with respect to {x.key!r} does not fit in memory on the way: "
                                     f"{str(error).splitlines()[0][:120]}; take fewer outputs, or use J @ v and J.T @ w inside dlfeval") from error
            for k, u in enumerate(self.us):
                self.blocks[k, j] = pushed.get(u.node) if u.node is not None else None
        return self.blocks[i, j]

    def planned(self, i: int, j: int) -> Block | None:
        """The Block if it is made, else its structure without data."""
        if (i, j) in self.blocks:
            return self.blocks[i, j]
        u, x = self.us[i].node, self.xs[j].node
        if u is None or x is None:
            return None
        self.check_open("the structure of a Jacobian")
        if not depends(u, x):
            return None
        return remembered("structure", [u], [x], lambda: structure(u, x))

    def fit(self, columns: Sequence[int]) -> None:
        """Refuse what cannot fit in memory, before anything is allocated."""
        dense_bytes = sum(u.size * self.xs[j].size * u.dtype.itemsize for u in self.us for j in columns)
        if dense_bytes < SMALL:
            return
        memory = free_memory()
        needed = 0
        for i in range(len(self.us)):
            for j in columns:
                block = self.planned(i, j)
                needed += 0 if block is None else block.nbytes
        if needed > memory:
            raise ShapeError(f"the structured Jacobian of {line_of(self.site)} holds {readable_bytes(needed)}, and {readable_bytes(memory)} of memory are free "
                             f"(dense: {readable_bytes(dense_bytes)}); take fewer outputs, use J @ v and J.T @ w inside dlfeval, or dljacobian(u, x, axis)")

    def reduce(self, columns: Sequence[int]) -> None:
        """Make the Blocks of some columns, and forget the trace when it ends."""
        if self.closed:
            return
        self.check_open("returning a Jacobian")
        self.fit([j for j in columns if (0, j) not in self.blocks and any(depends(u.node, self.xs[j].node) for u in self.us)])
        for j in columns:
            self.block(0, j)
        trace = next((leaf.node.trace for leaf in (*self.us, *self.xs) if leaf.node is not None), None)
        if trace is None:
            self.forget()
        else:
            trace.closing.append(self.forget)

    def forget(self) -> None:
        """The trace has ended: what was made is all there is."""
        self.closed = True
        for leaf in (*self.us, *self.xs):
            leaf.node = None


class Jacobian:
    """The derivative of u with respect to x as a linear map that keeps its structure: made by `dljacobian(u, x)`.

    `J[key]` and `J.blocks` are its parts, `J.dense(out=)` a part as an array of shape (*u.shape, *x.shape), `J.matrix()` the
    whole with rows in C order and columns leaf by leaf. `J @ v` and `J.T @ w` are its products. Inside dlfeval it is lazy;
    returned from dlfeval it holds its factors and no trace.
    """

    __gradloom_leaf__ = True
    __array_ufunc__ = None

    def __init__(self, source: _Source, rows: Sequence[int], columns: Sequence[int], u_structure: Structure, x_structure: Structure):
        self._source = source
        self._rows = tuple(rows)
        self._columns = tuple(columns)
        self._u_structure = u_structure
        self._x_structure = x_structure

    # ----- what it is -----

    @property
    def _us(self) -> list[_Leaf]:
        return [self._source.us[i] for i in self._rows]

    @property
    def _xs(self) -> list[_Leaf]:
        return [self._source.xs[j] for j in self._columns]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        return sum(u.size for u in self._us), sum(x.size for x in self._xs)

    @property
    def u_shape(self) -> Any:
        """The shape of u, in its container where it has one."""
        return unflatten(self._u_structure, [u.shape for u in self._us])

    @property
    def x_shape(self) -> Any:
        """The shape of x, in its container where it has one."""
        return unflatten(self._x_structure, [x.shape for x in self._xs])

    @property
    def dtype(self) -> torch.dtype:
        """The type of its entries."""
        dtype = self._us[0].dtype
        for leaf in (*self._us, *self._xs):
            dtype = torch.promote_types(dtype, leaf.dtype)
        return dtype

    def _planned(self) -> list[tuple[int, int, Block | None]]:
        return [(i, j, self._source.planned(i, j)) for j in self._columns for i in self._rows]

    @property
    def nbytes(self) -> int:
        """Bytes that its factors hold, or will hold."""
        return sum(b.nbytes for _, _, b in self._planned() if b is not None)

    @property
    def dense_nbytes(self) -> int:
        """Bytes of the whole as one matrix."""
        rows, columns = self.shape
        return rows * columns * self.dtype.itemsize

    # ----- parts -----

    @property
    def blocks(self) -> Any:
        """The parts, in x's container."""
        return unflatten(self._x_structure, [self._part(k) for k in range(len(self._columns))])

    def _part(self, k: int) -> Jacobian:
        return Jacobian(self._source, self._rows, [self._columns[k]], self._u_structure, Structure(None))

    def __getitem__(self, key: Any) -> Jacobian:
        return self._part(self._position(key))

    def _position(self, key: Any) -> int:
        paths = self._x_structure.paths()
        wanted = [(key,), key if isinstance(key, tuple) else (key,)]
        for k, path in enumerate(paths):
            if path in wanted:
                return k
        if len(paths) == 1 and paths[0] == () and key in (0, ()):
            return 0
        shown = ", ".join(repr(p[0] if len(p) == 1 else p) for p in paths[:8]) + (", ..." if len(paths) > 8 else "")
        raise KeyError(f"no part {key!r}; the parts are {shown}")

    @property
    def columns(self) -> Mapping[Any, slice]:
        """The columns of each part in `matrix()`."""
        found, start = {}, 0
        for path, x in zip(self._x_structure.paths(), self._xs, strict=True):
            found[path[0] if len(path) == 1 else path] = slice(start, start + x.size)
            start += x.size
        return found

    @property
    def nonzero(self) -> Jacobian:
        """Without the parts of which u provably does not depend: `{key: part}` order is kept."""
        source = self._source
        keep = [k for k, j in enumerate(self._columns)
                if any(source.blocks[i, j] is not None if (i, j) in source.blocks else depends(source.us[i].node, source.xs[j].node) for i in self._rows)]
        paths = self._x_structure.paths()
        _, structure_ = flatten({paths[k][0] if len(paths[k]) == 1 else paths[k]: 0 for k in keep})
        return Jacobian(self._source, self._rows, [self._columns[k] for k in keep], self._u_structure, structure_)

    # ----- arrays -----

    def _single(self, what: str) -> tuple[int, int]:
        if len(self._rows) != 1 or len(self._columns) != 1:
            keys = [p[0] if len(p) == 1 else p for p in self._x_structure.paths()]
            raise ShapeError(f"{what} is for one part; write J[{keys[0]!r}].{what}, or J.matrix() for the whole" if keys else f"{what} of an empty Jacobian")
        return self._rows[0], self._columns[0]

    def _entries(self, block: Block, i: int, j: int, conjugate: bool) -> tuple[str, bool]:
        """How entries are made of the terms in x_dot and in conj(x_dot)."""
        u, x = self._source.us[i], self._source.xs[j]
        if not x.dtype.is_complex:
            return "sum", False
        if not u.dtype.is_complex:
            return "gradient", False
        if not conjugate and any(t.conjugate for t in block.terms):
            raise TypeRefused("u depends on conj(x) as well, so du/dx alone does not describe it; use J @ v, or dense(conjugate=True) for du/dconj(x)")
        return "terms", conjugate

    def dense(self, out: Any = None, *, conjugate: bool = False) -> Any:
        """One part as an array of shape (*u.shape, *x.shape), written whole into `out` where it is given.

        `out` is any array of that shape and type (NumPy, memory-mapped, torch), or `J.buffer()`, the fast way. For real u of
        complex x an entry is the gradient; for complex u it is du/dx, an error where u depends on conj(x) too;
        `conjugate=True` gives du/dconj(x).
        """
        i, j = self._single("dense()")
        u, x = self._source.us[i], self._source.xs[j]
        shape = (*u.shape, *x.shape)
        dtype = self.dtype
        if out is not None:
            self._refuse_open("J.dense(out=...)")
        memory, lent = None, None
        block = self._source.block(i, j)
        if out is not None:
            if block is not None:
                lent = lent_memory(out, block)
            memory = lent if lent is not None else _writable(out, shape, dtype)
        elif math.prod(shape) * dtype.itemsize > SMALL and math.prod(shape) * dtype.itemsize > free_memory():
            raise ShapeError(f"the dense Jacobian of shape {shape} needs {readable_bytes(math.prod(shape) * dtype.itemsize)}, "
                             f"{readable_bytes(free_memory())} are free; keep the structure (J @ v, J.T @ w, J[key]), or give out= a memory-mapped array")
        if block is None:
            result = memory.zero_() if memory is not None else torch.zeros(shape, dtype=dtype, device=u.device)
        else:
            kind, conj = self._entries(block, i, j, conjugate)
            result = memory if memory is not None else torch.zeros(shape, dtype=dtype, device=u.device)
            if kind == "terms" or not any(t.conjugate for t in block.terms) and kind == "sum":
                write(block, result, zeroed=memory is None or lent is not None, clean=memory is None, conjugate=conj)
            else:
                plain_, other = dense(block), dense(block, conjugate=True)
                result.copy_((plain_ if kind == "sum" else plain_.conj()) + other)
        if lent is not None:
            written(out, lent)
        if out is not None:
            return out
        return self._result(result, None)

    def buffer(self) -> Any:
        """Memory for `dense(out=)` from a pool that remembers which entries are zero; it returns to the pool when let go."""
        i, j = self._single("buffer()")
        block = self._source.block(i, j)
        u, x = self._source.us[i], self._source.xs[j]
        if block is None or x.dtype.is_complex:
            return np.zeros((*u.shape, *x.shape), dtype=NAMES[self.dtype])
        return borrow(block)

    def matrix(self) -> dlarray:
        """The whole as one array of shape (u.size, total size of x), rows in C order, columns leaf by leaf."""
        rows, columns = self.shape
        needed = self.dense_nbytes
        if needed > free_memory():
            raise ShapeError(f"the matrix of {rows} x {columns} needs {readable_bytes(needed)}, {readable_bytes(free_memory())} are free; keep the "
                             "structure: J @ v, J.T @ w, J[key].dense(out=)")
        result = torch.zeros((rows, columns), dtype=self.dtype, device=self._us[0].device)
        top = 0
        for i in self._rows:
            left = 0
            for j in self._columns:
                part = Jacobian(self._source, [i], [j], Structure(None), Structure(None))
                m, n = self._source.us[i].size, self._source.xs[j].size
                if self._source.block(i, j) is not None:
                    result[top:top + m, left:left + n] = part.dense()._value.reshape(m, n)
                left += n
            top += m
        return self._result(result, None)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._refuse_open("np.asarray(J)")
        value = to_numpy(self.matrix()._value)
        return value if dtype is None else value.astype(dtype)

    def _result(self, value: Tensor, labels: str | None, given: Sequence[dlarray] = ()) -> dlarray:
        """A constant outside dlfeval; inside, a derivative that was not recorded: of every u, and in the directions given."""
        sources = [u.node for u in self._source.us if u.node is not None]
        if self._source.open and sources:
            return marked(value, labels, sources, OPTION, directions=given)
        return dlarray._made(value, None, labels)

    def _refuse_open(self, what: str) -> None:
        """What leaves the library while the trace is open would be a constant."""
        if self._source.open and any(u.node is not None for u in self._source.us):
            raise TraceError(f"{what} would make a constant of a derivative, at {line_of(user_site())}; return J from dlfeval and write it out there, or use "
                             "J.dense() and J.matrix(), which cannot be differentiated by accident")

    # ----- products -----

    def __matmul__(self, v: Any) -> Any:
        """J v: v in x's container, or one flat vector; the result in u's."""
        given = _distributed(v, self._xs, self._x_structure, "J @ v")
        directions = [d._value for d in given]
        if self._source.open and not all((i, j) in self._source.blocks for i in self._rows for j in self._columns):
            seeds: dict[Node, Tensor] = {}
            for x, d in zip(self._xs, directions, strict=True):
                assert x.node is not None
                seeds[x.node] = seeds[x.node] + d if x.node in seeds else d
            outputs = [u.node for u in self._us if u.node is not None]
            dots = dict(zip(outputs, push(outputs, seeds), strict=True)) if outputs else {}
            values = [dots.get(u.node) if u.node is not None else None for u in self._us]
        else:
            values = [self._summed([self._product(i, j, d) for j, d in zip(self._columns, directions, strict=True)]) for i in self._rows]
        made = [self._result(torch.zeros(u.shape, dtype=u.dtype, device=u.device) if y is None else y, u.labels, given)
                for u, y in zip(self._us, values, strict=True)]
        return unflatten(self._u_structure, made)

    def _product(self, i: int, j: int, d: Tensor) -> Tensor | None:
        block = self._source.block(i, j)
        if block is None:
            return None
        y = dense(block.applied(d))
        u = self._source.us[i]
        return y.real.to(u.dtype) if y.is_complex() and not u.dtype.is_complex else y.to(u.dtype)

    @staticmethod
    def _summed(parts: Sequence[Tensor | None]) -> Tensor | None:
        total = None
        for part in parts:
            if part is not None:
                total = part if total is None else total + part
        return total

    @property
    def T(self) -> TransposedJacobian:
        """The transpose, for `J.T @ w`."""
        return TransposedJacobian(self)

    def __leave_trace__(self) -> Jacobian:
        self._source.reduce(self._columns)
        return self

    # ----- words -----

    def _words(self, i: int, j: int, block: Block | None) -> str:
        x = self._source.xs[j]
        if block is None:
            return "zero: the outputs do not depend on it"
        dense_bytes = self._source.us[i].size * x.size * self.dtype.itemsize
        terms = "; ".join(dict.fromkeys(_described(t, self._source.us[i], x) for t in block.terms[:4])) or "zero"
        return f"{terms}. {readable_bytes(block.nbytes)} held, {readable_bytes(dense_bytes)} dense"

    def __repr__(self) -> str:
        rows, columns = self.shape
        lines = [f"Jacobian {rows} x {columns} {NAMES[self.dtype]}"]
        if not self._source.open and not self._source.closed:
            return lines[0] + " (closed: it escaped from its dlfeval; return it from there)"
        paths = self._x_structure.paths()
        for k, j in enumerate(self._columns):
            for i in self._rows:
                name = "" if paths[k] == () else f"{paths[k][0] if len(paths[k]) == 1 else paths[k]!r}: "
                lines.append(f"  {name}{self._source.us[i].shape} by {self._source.xs[j].shape}: {self._words(i, j, self._source.planned(i, j))}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        import html

        head, *rest = repr(self).split("\n")
        return f"<b>{html.escape(head)}</b><ul>" + "".join(f"<li>{html.escape(line.strip())}</li>" for line in rest) + "</ul>"

    def explain(self) -> str:
        """The plan: for each part the direction of the walk, what is held, and where and why structure was given up."""
        lines = [f"Jacobian {self.shape[0]} x {self.shape[1]}, taken in {line_of(self._source.site)}"]
        paths = self._x_structure.paths()
        for k, j in enumerate(self._columns):
            for i in self._rows:
                block = self._source.planned(i, j)
                name = "x" if paths[k] == () else repr(paths[k][0] if len(paths[k]) == 1 else paths[k])
                lines.append(f"{name}: forwards from it; {self._words(i, j, block)}")
                lines += [f"  made dense on the way: {note}" for note in (block.untied if block is not None else ())]
        return "\n".join(lines)

    def probed(self, seed: int = 0, tolerance: float | None = None) -> Jacobian:
        """Compare the Blocks with plain walks on random directions; an error where they differ."""
        stream = torch.Generator().manual_seed(seed)
        for j in self._columns:
            x = self._source.xs[j]
            v = torch.randn(x.shape, dtype=x.dtype, generator=stream).to(x.device)
            outputs = [u.node for u in self._us if u.node is not None]
            assert x.node is not None
            plain_ = dict(zip(outputs, push(outputs, {x.node: v}), strict=True)) if outputs else {}
            for i, u in zip(self._rows, self._us, strict=True):
                expected = plain_.get(u.node) if u.node is not None else None
                self._source.block(i, j)
                found = self._product(i, j, v)
                expected, found = (torch.zeros(u.shape, dtype=u.dtype, device=u.device) if t is None else t for t in (expected, found))
                limit = tolerance or 1e3 * torch.finfo(u.dtype).eps * max(float(expected.abs().max()) if expected.numel() else 0, 1)
                worst = float((found - expected).abs().max()) if found.numel() else 0.0
                if not worst <= limit:
                    raise GradloomError(f"the structured Jacobian with respect to {x.key!r} differs from a plain walk by {worst:.1e}; please report it, "
                                        "and use dljacobian(u, x, axis) or dlgradient meanwhile")
        return self


class TransposedJacobian:
    """J.T: `J.T @ w` is the cotangent of x, in x's container, by one walk backwards or by the factors."""

    __array_ufunc__ = None

    def __init__(self, jacobian: Jacobian):
        self.T = jacobian

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        rows, columns = self.T.shape
        return columns, rows

    def __repr__(self) -> str:
        return f"transpose of {self.T!r}"

    def __matmul__(self, w: Any) -> Any:
        """J' w: w in u's container, or one flat vector; the result in x's."""
        J = self.T
        source = J._source
        given = _distributed(w, J._us, J._u_structure, "J.T @ w")
        cotangents = [d._value for d in given]
        values: list[Tensor | None]
        if source.open:
            bars: dict[Node, Tensor] = {}
            for u, bar in zip(J._us, cotangents, strict=True):
                if u.node is not None:
                    bars[u.node] = bars[u.node] + bar if u.node in bars else bar
            nodes = [x.node for x in J._xs]
            values = list(pull(bars, nodes)) if bars else [None] * len(nodes)  # type: ignore[arg-type]
        else:
            values = []
            for j in J._columns:
                parts = []
                for i, bar in zip(J._rows, cotangents, strict=True):
                    block = source.block(i, j)
                    parts.append(None if block is None else dense(block.transposed().applied(bar)))
                total = J._summed(parts)
                x = source.xs[j]
                values.append(total if total is None else (total.real if total.is_complex() and not x.dtype.is_complex else total).to(x.dtype))
        made = [J._result(torch.zeros(x.shape, dtype=x.dtype, device=x.device) if bar is None else bar, x.labels, given)
                for x, bar in zip(J._xs, values, strict=True)]
        return unflatten(J._x_structure, made)


def _described(term: Any, u: _Leaf, x: _Leaf) -> str:
    """A term in words: what its factors are, which axes are tied, what is summed."""
    inn = term.in_indices()
    out = {i for axis in term.out for i in axis.indices}
    ties = [(k, j) for k, a in enumerate(term.out) for j, b in enumerate(term.inn) if set(a.indices) & set(b.indices)]
    selection = any(axis.positions is not None for axis in (*term.out, *term.inn))
    nothing = "a selection" if selection else "the identity" if ties and not inn - {i for a in term.out for i in a.indices} else "a constant"
    factors = {0: nothing, 1: "one array"}.get(len(term.factors), f"a product of {len(term.factors)} arrays")
    if term.factors and selection:
        factors += " at selected places"
    if len(term.factors) == 2 and any(not set(ids) & inn for _, ids in term.factors) and any(not set(ids) & out for _, ids in term.factors):
        factors = "an outer product"
    words = [factors]
    if ties:
        words.append("diagonal along " + ", ".join(f"u's axis {_axis_name(k, u)} and x's axis {_axis_name(j, x)}" for k, j in ties))
    summed = {i for _, ids in term.factors for i in ids} - inn - out
    if summed:
        words.append(f"summed over {' x '.join(str(i.size) for i in summed)}")
    if term.conjugate:
        words.append("times conj(x)")
    return ", ".join(words)


def _axis_name(k: int, leaf: _Leaf) -> str:
    return f"{k} ({leaf.labels[k]})" if leaf.labels is not None else str(k)


def _distributed(v: Any, leaves: Sequence[_Leaf], its: Structure, what: str) -> list[dlarray]:
    """A direction for each leaf, from its container or from one flat vector."""
    given = [v] if type(v) is dlarray else flatten(v)[0]
    if len(given) > 1 and all(type(g) in NUMBER_TYPES for g in given):  # a list of numbers is a vector
        v = dlarray(v)
        given = [v]
    total = sum(leaf.size for leaf in leaves)
    if len(given) == 1 and (len(leaves) > 1 or np.shape(_raw(given[0])) != leaves[0].shape):
        one = given[0] if type(given[0]) is dlarray else dlarray(given[0])
        if one.ndim != 1 or one.size != total:
            raise ShapeError(f"{what} needs a flat vector of {total} elements or the Jacobian's container, not {described(one.shape, one._labels)}, "
                             f"at {line_of(user_site())}")
        pieces, start = [], 0
        for leaf in leaves:
            piece = PUBLIC["reshape"](one[start:start + leaf.size], leaf.shape)  # type: ignore[index]
            pieces.append(direction(piece, leaf.shape, leaf.labels, leaf.dtype, what))
            start += leaf.size
        return pieces
    return [direction(d, leaf.shape, leaf.labels, leaf.dtype, what) for d, leaf in zip(matched(v, its, what), leaves, strict=True)]


def _raw(x: Any) -> Any:
    return x._value if type(x) is dlarray else x


def _writable(out: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor over the memory of `out`."""
    if isinstance(out, Tensor):
        memory = out.detach()
    elif isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise TypeRefused("out is read-only; give an array that can be written")
        memory = torch.from_numpy(np.asarray(out))
    else:
        raise TypeRefused(f"out is a NumPy array (memory-mapped ones too) or a torch tensor, not {type(out).__name__}")
    if tuple(memory.shape) != shape or memory.dtype is not dtype:
        raise ShapeError(f"out has shape {tuple(memory.shape)} and type {memory.dtype}; {shape} and {dtype} are needed")
    return memory


def jacobian_object(u: Any, x: Any, output: Callable[..., Any], target: Callable[..., Any], check: bool) -> Jacobian:
    """`dljacobian(u, x)` without an axis."""
    us, u_structure = flatten(u)
    xs, x_structure = flatten(x)
    u_leaves = [_Leaf(a, output(a, "dljacobian"), path) for a, path in zip(us, u_structure.paths(), strict=True)]
    x_leaves = [_Leaf(a, target(a, "dljacobian"), path[0] if len(path) == 1 else path) for a, path in zip(xs, x_structure.paths(), strict=True)]
    source = _Source(u_leaves, x_leaves)
    J = Jacobian(source, range(len(us)), range(len(xs)), u_structure, x_structure)
    return J.probed() if check else J
