"""`dljacobian`: with an axis, one walk backwards with rows as a leading axis; without, a structured Jacobian object."""
from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from ...blocks.axis import plain
from ...blocks.block import Block
from ...blocks.dense import dense
from ...blocks.term import Term
from ...core.array import dlarray
from ...core.containers import flatten
from ...core.errors import BatchDependenceWarning, ShapeError, TypeRefused, line_of, user_site
from ...core.labels import axes_of, described, positions, tidy
from ...core.trace import Node, ancestors
from ..walks.meetings import pull
from ..words.gradient import check_leads_to, one_trace, output_node, target_node
from ..words.marks import marked, recorded_result
from . import byproducts
from .independence import Partners, independence
from .jacobian import Jacobian
from .parts import Leaf, Source
from .structural_zeros import cleared

WORTHWHILE = 1 << 15  # numbers in a result for which structure is worth looking at


def dljacobian(u: Any, x: Any, axis: Any = None, /, *, enable_higher_derivatives: bool | None = None,
               check: bool = False,
               memory_limit: int | None = None) -> Any:
    """The Jacobian of u with respect to x.

    `dljacobian(u, x, axis)`: an array of shape (u.shape[axis], *x.shape), labelled "U" + x's labels; the other axes of
    u are batches. Formula: J[i, j] = d (sum over the other axes of u[i, ...]) / d x[j]. `axis` is an integer or a label
    letter (several give one leading axis each). Recorded unless `enable_higher_derivatives=False`. Where observations
    are not independent along the batches a BatchDependenceWarning names the operation that mixes them.

    `dljacobian(u, x)`: a Jacobian object for any container x (and u), which keeps its structure: `J[key]`,
    `J.dense(out=)`, `J.matrix()`, `J @ v`, `J.T @ w`, `J.gram()`, `J.row_norms()`, `J.explain()`. `check=True` compares
    it with random probes; `memory_limit` bytes are the most that its factors or its dense form may take (default: what
    is free). With `enable_higher_derivatives=True` what it gives inside dlfeval can be differentiated.

    Raises ShapeError where x has no axis that matches a batch of u, TraceError for targets that are not traced.

    >>> import gradloom as gl
    >>> def f(x):
    ...     return gl.dljacobian(gl.stack([x[0] * x[1], x[0]]), x, 0)
    >>> gl.dlfeval(f, gl.dlarray([2.0, 3.0]))
    2 x 2 dlarray float64
    [[3. 2.]
     [1. 0.]]

    Source: MATLAB Deep Learning Toolbox, dljacobian.
    """
    if axis is None:
        return jacobian_object(u, x, check, bool(enable_higher_derivatives), memory_limit)
    recorded = True if enable_higher_derivatives is None else enable_higher_derivatives
    u_node, x_node = output_node(u, "dljacobian"), target_node(x, "dljacobian")
    if u.dtype.is_complex:
        raise TypeRefused(
            "dljacobian(u, x, axis) differentiates real u; write gl.real(u) and gl.imag(u), or dljacobian(u, x)")
    axes = _axes(u, x, axis)
    check_leads_to(u_node, [x_node], "dljacobian")
    one_trace([u_node] if u_node is not None else [], [x_node])
    others = [k for k in range(u.ndim) if k not in axes and u.shape[k] > 1]
    if others:
        partners = _partners(u, x, others, "dljacobian")
        if u_node is not None:
            warn_if_dependent(u, u_node, x_node, partners, "dljacobian")
    lead = tuple(u.shape[k] for k in axes)
    labels = None if x._labels is None else "U" * len(axes) + x._labels
    if u_node is None:
        value = torch.zeros((*lead, *x.shape), dtype=x.dtype, device=x.device)
        return recorded_result(value, tidy(labels), [x_node]) if recorded else marked(value, tidy(labels), x_node)
    real = all(n.dtype is None or not n.dtype.is_complex for n in ancestors([u_node], x_node.number))
    if not recorded and real and math.prod(lead) * x.size >= WORTHWHILE:
        bar = _rows_from_factors(u, u_node, x_node, axes)
    else:
        seed = rows_of_ones(u._value, axes)
        (bar,) = pull({u_node: dlarray._made(seed, None) if recorded else seed}, [x_node], recorded=recorded, lead=lead)
    if bar is None:
        bar = torch.zeros((*lead, *x.shape), dtype=x.dtype, device=x.device)
    bar = cleared(bar, u_node, x_node, axes)
    return recorded_result(bar, tidy(labels), [x_node]) if recorded else marked(bar, tidy(labels), u_node)


def _rows_from_factors(u: dlarray, u_node: Node, x_node: Node, axes: Sequence[int]) -> Any:
    """The same rows by one walk of a Block whose in axes are u's `axes`: what does not differ from row to row, or from
    observation to observation, is not repeated on the way."""
    out = [plain(n) for n in u_node.shape]
    seed = Block([Term((), out, [out[k] for k in axes])], u_node.shape, [u_node.shape[k] for k in axes],
                 u_node.dtype, u.device)
    (bar,) = pull({u_node: seed}, [x_node], values_of=lambda node: node.values)
    return None if bar is None else dense(bar.transposed())


def rows_of_ones(value: Any, axes: Sequence[int]) -> Any:
    """For each row a cotangent: one at its place along `axes`, for every batch."""
    seed = torch.ones((), dtype=value.dtype, device=value.device)
    for d, k in enumerate(axes):
        n = value.shape[k]
        shape = [1] * (len(axes) + value.ndim)
        shape[d] = shape[len(axes) + k] = n
        seed = seed * torch.eye(n, dtype=value.dtype, device=value.device).reshape(shape)
    return seed.expand(*[value.shape[k] for k in axes], *value.shape)


def _axes(u: dlarray, x: dlarray, axis: Any) -> tuple[int, ...]:
    axes = axes_of(axis, u.ndim, u._labels, u.shape)
    if not axes:
        raise ShapeError(
            f"dljacobian needs an axis of u, which is {described(u.shape, u._labels)}; leave axis out for a Jacobian "
            "object")
    return axes


def _partners(u: dlarray, x: dlarray, others: Sequence[int], word: str) -> Partners:
    """For each batch axis of u the axes of x that match it: by label where both are labelled (several S in order), else
    by size."""
    found: Partners = {}
    for k in others:
        if u._labels is not None and x._labels is not None:
            letter = u._labels[k]
            same = positions(x._labels, letter)
            if u._labels.count(letter) == len(same):
                same = same[positions(u._labels, letter).index(k):][:1]
            js = [j for j in same if x.shape[j] == u.shape[k]]
        else:
            js = [j for j, n in enumerate(x.shape) if n == u.shape[k]]
        found[k] = js
    if not any(found.values()):
        raise ShapeError(
            f"{word} of u {described(u.shape, u._labels)}: its other axes are batches, and x "
            f"{described(x.shape, x._labels)} has no axis that matches one, at {line_of(user_site())}; axes count from "
            "0 (MATLAB's 1 is 0 here); leave axis out for the Jacobian of everything: dljacobian(u, x)")
    return found


def warn_if_dependent(u: dlarray, u_node: Node, x_node: Node, partners: Partners, word: str) -> None:
    """Warn where the trace disproves that observations are independent, or cannot tell."""
    verdict, reason = independence(u_node, x_node, partners)
    if verdict == "proved":
        return
    where = line_of(user_site())
    if verdict == "disproved":
        text = (f"{word} at {where}: the observations of u {described(u.shape, u._labels)} are not independent: "
                f"{reason}. The result is the gradient of u summed over its other axes; leave axis out for the whole "
                "Jacobian")
    else:
        text = (f"{word} at {where}: whether the observations of u {described(u.shape, u._labels)} are independent "
                f"cannot be proved from the trace: {reason}. If they are not, the result is the gradient of u summed "
                "over its other axes")
    warnings.warn(text, BatchDependenceWarning, stacklevel=3)


def jacobian_object(u: Any, x: Any, check: bool, recorded: bool, memory_limit: int | None) -> Jacobian:
    """`dljacobian(u, x)` without an axis."""
    us, u_structure = flatten(u)
    xs, x_structure = flatten(x)
    u_leaves = [Leaf(a, output_node(a, "dljacobian"), path) for a, path in zip(us, u_structure.paths(), strict=True)]
    x_leaves = [Leaf(a, target_node(a, "dljacobian"), path[0] if len(path) == 1 else path)
                for a, path in zip(xs, x_structure.paths(), strict=True)]
    results = [leaf.node for leaf in u_leaves if leaf.node is not None]
    targets = [leaf.node for leaf in x_leaves if leaf.node is not None]
    check_leads_to(results, targets, "dljacobian")
    one_trace(results, targets)
    source = Source(u_leaves, x_leaves, recorded, memory_limit)
    J = Jacobian(source, range(len(us)), range(len(xs)), u_structure, x_structure)
    if check:
        byproducts.probe(J)
    return J


__all__ = ["dljacobian"]
