"""The structured Jacobian of an operation, alone and between others, against its Jacobian column by column."""

from __future__ import annotations

from typing import Any

import torch
from helpers import seeded, uniform
from operation_cases import REAL, Case
from operation_checks import Traced, same

from gradloom import dlarray
from gradloom.blocks.axis import plain
from gradloom.blocks.block import Block, identity
from gradloom.blocks.dense import dense
from gradloom.blocks.term import Term
from gradloom.core.tables import PUBLIC
from gradloom.derivatives.jacobians.structure import structure
from gradloom.derivatives.walks import pull as pulling
from gradloom.derivatives.walks import push as pushing


def columns(traced: Traced, k: int, at_once: bool) -> list[Any]:
    """(p, q) for each output: the Jacobian with respect to variable k and its conjugate part, column by column or as one leading axis."""
    x = traced.case.values()[k]
    n = x.numel()
    basis = torch.eye(n, dtype=x.dtype).reshape(n, *x.shape)

    def seeds(e: Any) -> list[Any]:
        return [e if j == k else None for j in range(len(traced.variables))]

    def pushed(directions: Any) -> list[Any]:
        if at_once:
            rows = traced.push(seeds(directions), lead=(n,))
        else:
            parts = [traced.push(seeds(e)) for e in directions]
            rows = [
                torch.stack([p[j] for p in parts]) if parts else y._value.new_zeros((0, *y.shape)) for j, y in enumerate(traced.outputs)
            ]
        return [r.movedim(0, -1).reshape((*y.shape, *x.shape)) for r, y in zip(rows, traced.outputs, strict=True)]

    real = pushed(basis)
    if not x.is_complex():
        return [(r, None) for r in real]
    imaginary = pushed(1j * basis)
    return [((r - 1j * i) / 2, (r + 1j * i) / 2) for r, i in zip(real, imaginary, strict=True)]


def values_of(node: Any) -> Any:
    return node.values


def check_block(case: Case, before: Any = None, after: Any = None) -> None:
    """The structured Jacobian, pushed from the identity, equals the Jacobian column by column; so does its structure without data."""
    traced = Traced(case, before, after)
    for k, x in enumerate(case.values()):
        node = traced.variables[k]
        blocks = pushing.push(traced.nodes, {node: identity(x.shape, x.dtype, x.device)})
        expected = columns(traced, k, at_once=before is not None or after is not None)
        for block, y, u, (p, q) in zip(blocks, traced.outputs, traced.nodes, expected, strict=True):
            what = f"{case}: the Block of input {k}"
            if block is None:
                same([p * 0], [p], what)
                continue
            dtype = torch.promote_types(y.dtype, x.dtype) if x.is_complex() else y.dtype  # real u of complex x: p x_dot + conj(p x_dot)
            assert (tuple(block.shape), block.dtype) == (y.shape, dtype), f"{what} is {block.shape} {block.dtype}, not {y.shape} {dtype}"
            same([dense(block)], [p], what, 1e-10)
            if q is not None:
                same([dense(block, conjugate=True)], [q], f"{what}, conjugate part", 1e-10)
            elif not any(v.is_complex() for v in (y._value, *case.values())):  # backwards is for real walks
                (pulled,) = pulling.pull({u: identity(y.shape, y.dtype, y.device)}, [node], values_of=values_of)
                assert pulled is not None and pulled.shape == tuple(x.shape), what
                same([dense(pulled.transposed())], [p], f"{what}, backwards", 1e-10)
                check_diagonal(u, node, p, what)
            if case.operation.name in NEEDS_DATA:
                continue
            (nothing,) = pushing.push([u], {node: Block([], x.shape, x.shape, x.dtype, x.device)})
            assert nothing is None or not nothing.terms and (nothing.shape, nothing.dtype) == (block.shape, block.dtype), f"{what}: of nothing"
            stand_in = structure(u, node)
            assert stand_in is not None, what
            assert [t.pattern() for t in stand_in.terms] == [t.pattern() for t in block.terms], f"{what}: structure without data"
            assert stand_in.nbytes == block.nbytes, f"{what}: {stand_in.nbytes} bytes without data, {block.nbytes} with"


def check_diagonal(u: Any, node: Any, jacobian: Any, what: str) -> None:
    """Cotangents that are diagonal along an axis of u, as the losses of a batch are, pulled as Blocks: each row alone."""
    n = len(u.shape)
    for axis, size in enumerate(u.shape):
        if size < 2:
            continue
        weights = uniform(u.shape, u.dtype, seeded("diagonal", what, axis))
        out = [plain(m) for m in u.shape]
        ids = tuple([i for a in out for i in a.indices])
        term = Term([(weights.reshape([i.size for i in ids]), ids)], out, [out[axis]])
        (pulled,) = pulling.pull({u: Block([term], u.shape, [size], u.dtype, weights.device)}, [node], values_of=values_of)
        only = torch.eye(size, dtype=u.dtype).reshape(size, *[size if k == axis else 1 for k in range(n)])
        expected = torch.tensordot(only * weights, jacobian, n)
        found = torch.zeros_like(expected) if pulled is None else dense(pulled.transposed())
        same([found], [expected], f"{what}, backwards from a diagonal along {axis}", 1e-10)


def scaled_before(x: Any) -> Any:
    """A factor on every entry."""
    return x * dlarray(uniform(x.shape, REAL, seeded("factor"), 0.9, 1.1))


def mixed_before(x: Any) -> Any:
    """Nothing tied along the last axis: a product with a matrix of averages, so that x stays in its domain."""
    if not x.ndim:
        return x
    weights = uniform((x.shape[-1],) * 2, REAL, seeded("matrix"), 0.1, 1.0)
    weights = dlarray((weights / weights.sum(0)).to(x.dtype))
    return (
        PUBLIC["matmul"](x, weights) if x.ndim > 1 else PUBLIC["reshape"](PUBLIC["matmul"](PUBLIC["reshape"](x, (1, -1)), weights), x.shape)
    )


def squared_after(y: Any) -> Any:
    return y * y


def summed_after(y: Any) -> Any:
    """A sum with weights over the last axis, and over the first."""
    if not y.ndim:
        return y
    y = PUBLIC["sum"](y * dlarray(uniform((y.shape[-1],), REAL, seeded("weights"))), axis=-1)
    return PUBLIC["sum"](y, axis=0) if y.ndim else y


def multiplied_after(y: Any) -> Any:
    return PUBLIC["matmul"](y, dlarray(uniform((y.shape[-1], 2), REAL, seeded("product")).to(y.dtype))) if y.ndim > 1 else y


SURROUNDINGS = {
    "a factor before, a square after": (scaled_before, squared_after),
    "a product after": (None, multiplied_after),
    "a product before, a sum after": (mixed_before, summed_after),
    "products on both sides": (mixed_before, multiplied_after),
}

NEEDS_DATA: dict[str, str] = {}
