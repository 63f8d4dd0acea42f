"""The Jacobian object: a structured linear map from x's container to u's."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...blocks.block import Block
from ...blocks.dense import borrow, dense
from ...core.array import dlarray
from ...core.containers import Structure, flatten, unflatten
from ...core.errors import ShapeError, TraceError, TypeRefused, UnknownName, line_of, user_site
from ...core.tables import words
from ...core.trace import Node
from ...machine.conversion import to_numpy
from ...machine.dtypes import NAMES, Tensor
from ...machine.memory import readable_bytes
from ...vocabulary.hints import JacobianWords
from ..walks.meetings import pull, push
from ..words.directions import distributed
from ..words.marks import marked, recorded_result
from . import byproducts
from .combination import Combination, VectorSpace, product, recorded_rows
from .description import explained, shown
from .parts import SMALL, Leaf, Source
from .transposed import TransposedJacobian
from .writing import entries, write_large

OPTION = "dljacobian(u, x, enable_higher_derivatives=True)"


class Jacobian(VectorSpace, JacobianWords):
    """The derivative of u with respect to x as a linear map that keeps its structure: made by `dljacobian(u, x)`.

    `J[key]` and `J.blocks` are its parts, `J.dense(out=)` a part as an array of shape (*u.shape, *x.shape),
    `J.matrix()` the whole with rows in C order and columns leaf by leaf. `J @ v`, `J.T @ w` and `J1 @ J2.T` are its
    products, `J.gram()` is J J', `J.row_norms()` the norms of its rows, `J.diagonal()` what is on the diagonal where
    there is nothing else. Inside dlfeval it is lazy; returned from dlfeval it holds its factors and no trace.
    """

    __gradloom_leaf__ = True
    __array_ufunc__ = None

    def __init__(self, source: Source | Combination, rows: Sequence[int], columns: Sequence[int],
                 u_structure: Structure, x_structure: Structure):
        self._source = source
        self._rows = tuple(rows)
        self._columns = tuple(columns)
        self._u_structure = u_structure
        self._x_structure = x_structure

    # ----- what it is -----

    @property
    def _us(self) -> list[Leaf]:
        return [self._source.us[i] for i in self._rows]

    @property
    def _xs(self) -> list[Leaf]:
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
        raise UnknownName(f"no part {key!r} in this Jacobian, at {line_of(user_site())}; the parts are {shown}")

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
                if any(source.blocks[i, j] is not None if (i, j) in source.blocks else source.leads(i, j)
                       for i in self._rows)]
        paths = self._x_structure.paths()
        _, structure_ = flatten({paths[k][0] if len(paths[k]) == 1 else paths[k]: 0 for k in keep})
        return Jacobian(self._source, self._rows, [self._columns[k] for k in keep], self._u_structure, structure_)

    # ----- arrays -----

    def _single(self, what: str) -> tuple[int, int]:
        if len(self._rows) != 1 or len(self._columns) != 1:
            keys = [p[0] if len(p) == 1 else p for p in self._x_structure.paths()]
            raise ShapeError(f"{what} is for one part; write J[{keys[0]!r}].{what}, or J.matrix() for the whole"
                             if keys else f"{what} of an empty Jacobian")
        return self._rows[0], self._columns[0]

    def _entries(self, block: Block | None, i: int, j: int, conjugate: bool) -> tuple[str, bool]:
        """How entries are made of the terms in x_dot and in conj(x_dot)."""
        u, x = self._source.us[i], self._source.xs[j]
        if block is None or not x.dtype.is_complex:
            return "both", False
        if not u.dtype.is_complex:
            return "gradient", False
        if not conjugate and any(t.conjugate for t in block.terms):
            raise TypeRefused(
                "u depends on conj(x) as well, so du/dx alone does not describe it; use J @ v, or "
                "dense(conjugate=True) for du/dconj(x)")
        return "terms", conjugate

    def dense(self, out: Any = None, *, conjugate: bool = False) -> Any:
        """One part as an array of shape (*u.shape, *x.shape), written whole into `out` where it is given.

        `out` is any array of that shape and type that takes `out[a:b] = values`: NumPy's, memory-mapped ones, torch's,
        zarr's; or `J.buffer()`, the fast way. What is large is written in pieces, with a progress bar, and can be
        interrupted. For real u of complex x an entry is the gradient; for complex u it is du/dx, an error where u
        depends on conj(x) too; `conjugate=True` gives du/dconj(x).
        """
        i, j = self._single("dense()")
        u, x = self._source.us[i], self._source.xs[j]
        shape = (*u.shape, *x.shape)
        if out is not None:
            self._refuse_open("J.dense(out=...)")
            block = self._source.block(i, j)
            kind, conj = self._entries(block, i, j, conjugate)
            return write_large(block, out, shape, self.dtype, kind, conj)
        needed = math.prod(shape) * self.dtype.itemsize
        if needed > SMALL and needed > self._source.memory:
            raise ShapeError(
                f"the dense Jacobian of shape {shape} needs {readable_bytes(needed)}, "
                f"{readable_bytes(self._source.memory)} are free; keep the structure (J @ v, J.T @ w, J[key]), or give "
                "out= a memory-mapped array")
        if self._recorded:
            return self._recorded_rows(i, j)
        block = self._source.block(i, j)
        kind, conj = self._entries(block, i, j, conjugate)
        return self._result(entries(block, shape, self.dtype, u.device, kind, conj), None)

    @property
    def _recorded(self) -> bool:
        """Whether what it gives can be differentiated again."""
        return self._source.recorded and self._source.open

    def _recorded_rows(self, i: int, j: int) -> dlarray:
        """A part by one recorded walk backwards with every row as a leading axis."""
        if isinstance(self._source, Combination):
            return recorded_rows(self, i, j)
        u, x = self._source.us[i], self._source.xs[j]
        if u.dtype.is_complex:
            raise TypeRefused(
                "a recorded Jacobian of complex u is not an array of gradients; take those of gl.real(u) and "
                "gl.imag(u)")
        bar: Any = None
        if self._source.leads(i, j):
            seed = torch.eye(u.size, dtype=u.dtype, device=u.device).reshape((*u.shape, *u.shape))
            (bar,) = pull({u.node: dlarray._made(seed, None)}, [x.node], recorded=True, lead=tuple(u.shape))  # type: ignore[dict-item, list-item]
        if bar is None:
            bar = torch.zeros((*u.shape, *x.shape), dtype=self.dtype, device=u.device)
        return recorded_result(bar, None, [leaf.node for leaf in self._source.xs if leaf.node is not None])

    def buffer(self) -> Any:
        """Memory for `dense(out=)` from a pool that remembers which entries are zero; it returns to the pool when let
        go."""
        i, j = self._single("buffer()")
        block = self._source.block(i, j)
        u, x = self._source.us[i], self._source.xs[j]
        if block is None or x.dtype.is_complex or block.dtype is not self.dtype:
            return np.zeros((*u.shape, *x.shape), dtype=NAMES[self.dtype])
        return borrow(block)

    def matrix(self) -> dlarray:
        """The whole as one array of shape (u.size, total size of x), rows in C order, columns leaf by leaf."""
        rows, columns = self.shape
        needed = self.dense_nbytes
        if needed > self._source.memory:
            raise ShapeError(
                f"the matrix of {rows} x {columns} needs {readable_bytes(needed)}, "
                f"{readable_bytes(self._source.memory)} are free; keep the structure: J @ v, J.T @ w, "
                "J[key].dense(out=)")
        if self._recorded:
            reshape, concat = words.reshape, words.concat
            strips = [[reshape(self._recorded_rows(i, j), (self._source.us[i].size, self._source.xs[j].size))
                       for j in self._columns] for i in self._rows]
            return concat([concat(strip, axis=1) for strip in strips], axis=0)
        result = torch.zeros((rows, columns), dtype=self.dtype, device=self._us[0].device)
        for i, j, there in self._places():
            block = self._source.block(i, j)
            if block is not None:
                part = entries(block, (*block.shape, *block.in_shape), self.dtype, block.device,
                               *self._entries(block, i, j, False))
                result[there] = part.reshape(result[there].shape)
        return self._result(result, None)

    def _places(self) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
        """(row part, column part, where it is in the matrix)."""
        top = 0
        for i in self._rows:
            left, m = 0, self._source.us[i].size
            for j in self._columns:
                n = self._source.xs[j].size
                yield i, j, (slice(top, top + m), slice(left, left + n))
                left += n
            top += m

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._refuse_open("np.asarray(J)")
        value = to_numpy(self.matrix()._value)
        return value if dtype is None else value.astype(dtype)

    def _result(self, value: Tensor, labels: str | None, given: Sequence[dlarray] = ()) -> dlarray:
        """A constant outside dlfeval; inside, a derivative that was not recorded: of every u, and in the directions
        given."""
        sources = [u.node for u in self._source.us if u.node is not None]
        if self._source.open and sources:
            return marked(value, labels, sources, OPTION, directions=given)
        return dlarray._made(value, None, labels)

    # ----- by-products: from the factors, never from the dense Jacobian -----

    def gram(self) -> dlarray:
        """J J' with shape (*u.shape, *u.shape): for u the outputs of a network and x its learnables, the neural tangent
        kernel.

        Formula: G[i, j] = sum_k J[i, k] J[j, k]. `J.T.gram()` is J' J. Source: Jacot, Gabriel and Hongler 2018.
        """
        return self @ self.T

    def row_norms(self) -> Any:
        """The Euclidean norm of each row over all of x, in u's shape: for u the losses of observations, their
        gradients' norms.

        Formula: n[i] = sqrt(sum_k J[i, k]^2). The gradients are never written. Source: Goodfellow 2015,
        arXiv:1510.01799.
        """
        return byproducts.row_norms(self)

    def diagonal(self) -> dlarray:
        """The diagonal d u[i] / d x[i], in u's shape, with proof from the structure that every other entry is zero; an
        error where there is none."""
        return byproducts.diagonal(self, *self._single("diagonal()"))

    def tosparse(self) -> Any:
        """The matrix as a SciPy sparse array (CSR), only the entries that the structure has."""
        self._refuse_open("J.tosparse()")
        return byproducts.sparse(self)

    def aslinearoperator(self) -> Any:
        """As `scipy.sparse.linalg.LinearOperator`: products with flat vectors, for iterative solvers."""
        self._refuse_open("J.aslinearoperator()")
        return byproducts.linear_operator(self)

    def _refuse_open(self, what: str) -> None:
        """What leaves the library while the trace is open would be a constant."""
        if self._source.open and any(u.node is not None for u in self._source.us):
            raise TraceError(
                f"{what} would make a constant of a derivative, at {line_of(user_site())}; return J from dlfeval and "
                "write it out there, or use J.dense() and J.matrix(), which cannot be differentiated by accident")

    # ----- products -----

    def __matmul__(self, v: Any) -> Any:
        """J v: v in x's container, or one flat vector; the result in u's. J1 @ J2.T is an array of shape (*u1.shape,
        *u2.shape)."""
        if isinstance(v, TransposedJacobian):
            return byproducts.times_transposed(self, v.T)
        if isinstance(self._source, Combination) and self._source.open:
            return product(self, v)
        given = distributed(v, self._xs, self._x_structure, "J @ v")
        directions = [d._value for d in given]
        if (self._recorded or self._source.open
            and not all((i, j) in self._source.blocks for i in self._rows for j in self._columns)):
            seeds: dict[Node, Any] = {}
            for x, d in zip(self._xs, given if self._recorded else directions, strict=True):
                assert x.node is not None
                seeds[x.node] = seeds[x.node] + d if x.node in seeds else d
            outputs = [u.node for u in self._us if u.node is not None]
            dots = dict(zip(outputs, push(outputs, seeds, recorded=self._recorded), strict=True)) if outputs else {}
            values = [dots.get(u.node) if u.node is not None else None for u in self._us]
        else:
            values = [self._summed([self._product(i, j, d) for j, d in zip(self._columns, directions, strict=True)])
                      for i in self._rows]
        made = [self._walked(torch.zeros(u.shape, dtype=u.dtype, device=u.device) if y is None else y, u.labels, given)
                for u, y in zip(self._us, values, strict=True)]
        return unflatten(self._u_structure, made)

    def _walked(self, value: Any, labels: str | None, given: Sequence[dlarray]) -> dlarray:
        """The result of a product: recorded where the Jacobian is."""
        if self._recorded:
            return recorded_result(value, labels, [x.node for x in self._xs if x.node is not None])
        return self._result(value, labels, given)

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

    def __held__(self) -> list[Tensor] | None:
        """The tensors that it consists of, None while its trace is open or where it is a sum of others."""
        source = self._source
        return source.arrays() if isinstance(source, Source) and source.closed else None

    def __filled__(self, arrays: Sequence[Tensor]) -> Jacobian:
        """The same with other tensors, in the order of those that it holds."""
        assert isinstance(self._source, Source)
        return Jacobian(self._source.filled(arrays), self._rows, self._columns, self._u_structure, self._x_structure)

    # ----- words -----

    def __repr__(self) -> str:
        return shown(self)

    def _repr_html_(self) -> str:
        import html

        head, *rest = repr(self).split("\n")
        return f"<b>{html.escape(head)}</b><ul>" + "".join(f"<li>{html.escape(line.strip())}</li>"
                                                           for line in rest) + "</ul>"

    def explain(self) -> str:
        """The plan: for each part the way of the walk with its operations and bytes, the rejected one, what is held,
        and where and why structure was given up."""
        return explained(self)
