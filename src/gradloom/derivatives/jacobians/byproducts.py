"""What users ask of a Jacobian besides its entries, from its factors: kernels, norms of rows, the diagonal, sparse
matrices.

Where a Jacobian is recorded, the same from its recorded rows, so that it can be differentiated.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...blocks.block import Block
from ...blocks.compose import composed, row_products
from ...blocks.dense import dense
from ...blocks.sparse import sparse_of
from ...blocks.term import Term
from ...core.array import dlarray
from ...core.containers import flatten, unflatten
from ...core.errors import GradloomError, ShapeError, TypeRefused, line_of, needed, user_site
from ...core.labels import described
from ...core.tables import words
from ...machine.conversion import to_numpy
from ...machine.dtypes import NAMES, entry_type
from ...machine.memory import readable_bytes
from ..walks.meetings import push
from .description import described_term
from .independence import at_one_place
from .parts import SMALL

if TYPE_CHECKING:
    from .jacobian import Jacobian


def _real(J: Jacobian, what: str) -> None:
    if J.dtype.is_complex:
        raise TypeRefused(f"{what} is for real u of real x; for complex ones use J @ v and J.T @ w")


def _fits(J: Jacobian, rows: int, columns: int, what: str) -> None:
    needed = rows * columns * J.dtype.itemsize
    if needed > SMALL and needed > J._source.memory:
        raise ShapeError(
            f"{what} of {rows} x {columns} needs {readable_bytes(needed)}, {readable_bytes(J._source.memory)} are "
            "free; use products with vectors, or parts J[key]")


def times_transposed(J: Jacobian, other: Jacobian) -> dlarray:
    """J1 J2' of two Jacobians with respect to the same x, of shape (*u1.shape, *u2.shape)."""
    _real(J, "J1 @ J2.T")
    _real(other, "J1 @ J2.T")
    mine, theirs = J._x_structure.paths(), other._x_structure.paths()
    keyed = [()] not in (mine, theirs)  # not a part on its own
    if keyed and set(mine) != set(theirs):
        raise ShapeError(
            "J1 @ J2.T needs two Jacobians with respect to the same x; only one of them has "
            f"{sorted(map(str, {*mine} ^ {*theirs}))[0]}, at {line_of(user_site())}; leave .nonzero out, or take the "
            "same parts J[key] of both")
    if keyed and mine != theirs:  # the same container in another order
        other = type(other)(other._source, other._rows, [other._columns[theirs.index(path)] for path in mine],
                            other._u_structure, J._x_structure)
    shapes = [[x.shape for x in which._xs] for which in (J, other)]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"J1 @ J2.T needs two Jacobians with respect to the same x, not of {shapes[0]} and {shapes[1]}, at "
            f"{line_of(user_site())}; take both with respect to one x")
    if len(J._rows) != 1 or len(other._rows) != 1:
        raise ShapeError(
            "J1 @ J2.T and J.gram() are for one u, not a container; write dljacobian(u[0], x), or stack them")
    u, v = J._us[0], other._us[0]
    _fits(J, u.size, v.size, "J1 @ J2.T")
    if J._recorded or other._recorded:
        product = words.matmul(J.matrix(), words.matrix_transpose(other.matrix()))
        return words.reshape(product, (*u.shape, *v.shape))
    total = torch.zeros((*u.shape, *v.shape), dtype=torch.promote_types(J.dtype, other.dtype), device=u.device)
    for j, k in zip(J._columns, other._columns, strict=True):
        a, b = J._source.block(J._rows[0], j), other._source.block(other._rows[0], k)
        if a is not None and b is not None:
            total += dense(composed(a, b.transposed()))
    return J._result(total, None)


def transposed_times(J: Jacobian, other: Jacobian) -> dlarray:
    """J1' J2 of two Jacobians of the same u: (*x1.shape, *x2.shape) for one x each, else a matrix."""
    _real(J, "J1.T @ J2")
    _real(other, "J1.T @ J2")
    if [u.shape for u in J._us] != [u.shape for u in other._us]:
        raise ShapeError(
            f"J1.T @ J2 needs two Jacobians of the same u, not of {[u.shape for u in J._us]} and "
            f"{[u.shape for u in other._us]}, at {line_of(user_site())}")
    _fits(J, J.shape[1], other.shape[1], "J1.T @ J2")
    if J._recorded or other._recorded:
        result = words.matmul(words.matrix_transpose(J.matrix()), other.matrix())
    else:
        value = torch.zeros((J.shape[1], other.shape[1]), dtype=torch.promote_types(J.dtype, other.dtype),
                            device=J._us[0].device)
        for i, j, (_, rows) in J._places():
            for r, k, (_, columns) in other._places():
                if J._rows.index(i) == other._rows.index(r):
                    a, b = J._source.block(i, j), other._source.block(r, k)
                    if a is not None and b is not None:
                        part = dense(composed(a.transposed(), b))
                        value[rows, columns] += part.reshape(rows.stop - rows.start, columns.stop - columns.start)
        result = J._result(value, None)
    single = len(J._columns) == len(other._columns) == 1
    return words.reshape(result, (*J._xs[0].shape, *other._xs[0].shape)) if single else result


def row_norms(J: Jacobian) -> Any:
    """The norm of each row, in u's container."""
    _real(J, "J.row_norms()")
    norms, top = [], 0
    for i, u in zip(J._rows, J._us, strict=True):
        if J._recorded:
            rows = words.norm(J.matrix()[top:top + u.size], axis=1)  # type: ignore[index]
            norms.append(words.reshape(rows, u.shape))
            top += u.size
            continue
        squares = torch.zeros(u.shape, dtype=u.dtype, device=u.device)
        for j in J._columns:
            block = J._source.block(i, j)
            if block is not None:
                squares += row_products(block, block)
        norms.append(J._result(squares.clamp(min=0).sqrt(), u.labels))
    return unflatten(J._u_structure, norms)


def diagonal(J: Jacobian, i: int, j: int) -> dlarray:
    """The diagonal, proved from the structure to be all there is."""
    u, x = J._source.us[i], J._source.xs[j]
    if u.shape != x.shape:
        raise ShapeError(
            f"diagonal() is for u and x of one shape, not {described(u.shape, u.labels)} and "
            f"{described(x.shape, x.labels)}")
    block = J._source.block(i, j)
    total = torch.zeros(u.shape, dtype=J.dtype, device=u.device)
    for term in block.terms if block is not None else ():
        for k, (a, b) in enumerate(zip(term.out, term.inn, strict=True)):
            if not at_one_place(a, b):
                raise ShapeError(
                    f"this Jacobian is not proved to be diagonal: u's axis {k} is not where x's axis {k} is "
                    f"({described_term(term, u, x)}); write J.dense(), or dljacobian(u, x, axis) for batches")
        if term.conjugate:
            raise TypeRefused("u depends on conj(x) too, so its Jacobian is not a diagonal of numbers; use J @ v")
    if J._recorded:  # what J' times ones gives is then the diagonal alone
        ones = dlarray._made(torch.ones(u.shape, dtype=u.dtype, device=u.device), None)
        (found,) = flatten(J.T @ ones)[0]
        return dlarray._made(found._value, found._node, u.labels)
    for term in block.terms if block is not None else ():
        order = tuple(dict.fromkeys(n for axis in term.out for n in axis.indices))
        values = term.values(order, total).expand([n.size for n in order])
        total += dense(Block([Term([(values, order)], term.out, ())], u.shape, (), J.dtype, u.device))
    return J._result(total, u.labels)


def sparse(J: Jacobian) -> Any:
    """The matrix as a SciPy CSR array."""
    scipy_sparse = needed("scipy.sparse", "J.tosparse()")
    _real(J, "J.tosparse()")
    strips: dict[int, list[Any]] = {i: [] for i in J._rows}
    for i, j, (rows, columns) in J._places():
        block = J._source.block(i, j)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        strips[i].append(scipy_sparse.csr_array(shape, dtype=NAMES[entry_type(J.dtype)]) if block is None
                         else sparse_of(block))
    parts = list(strips.values())
    return parts[0][0] if len(parts) == len(parts[0]) == 1 else scipy_sparse.block_array(parts, format="csr")


def linear_operator(J: Jacobian) -> Any:
    """As a SciPy LinearOperator on flat vectors."""
    linalg, dtype = needed("scipy.sparse.linalg", "J.aslinearoperator()"), np.dtype(NAMES[entry_type(J.dtype)])
    _real(J, "J.aslinearoperator()")

    def flat(tree: Any) -> np.ndarray:
        return np.concatenate([to_numpy(leaf._value.to(entry_type(leaf.dtype))).reshape(-1)
                               for leaf in flatten(tree)[0]])

    def times(product: Callable[[Any], Any]) -> Callable[[Any], np.ndarray]:
        return lambda v: flat(product(dlarray(np.asarray(v).reshape(-1), dtype=J.dtype)))

    return linalg.LinearOperator(J.shape, matvec=times(lambda v: J @ v), rmatvec=times(lambda w: J.T @ w), dtype=dtype)


def probe(J: Jacobian, seed: int = 0) -> None:
    """Compare the Blocks with plain walks on random directions; an error where they differ."""
    source, stream = J._source, torch.Generator().manual_seed(seed)
    for j in J._columns:
        x = source.xs[j]
        v = torch.randn(x.shape, dtype=x.dtype, generator=stream, device="cpu").to(x.device)
        outputs = [u.node for u in J._us if u.node is not None]
        assert x.node is not None
        plain = dict(zip(outputs, push(outputs, {x.node: v}), strict=True)) if outputs else {}
        for i, u in zip(J._rows, J._us, strict=True):
            expected = plain.get(u.node) if u.node is not None else None
            found = J._product(i, j, v)
            expected, found = (torch.zeros(u.shape, dtype=u.dtype, device=u.device) if t is None
                               else t for t in (expected, found))
            limit = 1e3 * torch.finfo(u.dtype).eps * max(float(expected.abs().max()) if expected.numel() else 0, 1)
            worst = float((found - expected).abs().max()) if found.numel() else 0.0
            if not worst <= limit:
                raise GradloomError(
                    f"the structured Jacobian with respect to {x.key!r} differs from a plain walk by {worst:.1e}; "
                    "please report it, and use dljacobian(u, x, axis) or dlgradient meanwhile")
