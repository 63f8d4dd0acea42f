"""Jacobians of functions as arrays: all columns, or all rows."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.array import dlarray
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...core.tables import words
from ...core.trace import Node, ancestors, live
from ...machine.dtypes import differentiable
from ...machine.memory import free_memory, readable_bytes
from ..jacobians.along_axis import dljacobian
from ..jacobians.structural_zeros import cleared
from ..walks.pieces import pulled, pushed


def trace_between(u: Any, x: dlarray) -> list[Node]:
    """The trace from x to u; empty where u does not depend on x."""
    if type(u) is not dlarray or (u_node := live(u._node)) is None:
        return []
    if u.dtype.is_complex:
        raise TypeRefused(
            f"the function's value is complex, at {line_of(user_site())}; return gl.real(u) and gl.imag(u), for "
            "example by concat")
    assert x._node is not None
    order = ancestors([u_node], x._node.number)
    return order if order[0] is x._node and differentiable(u.dtype) else []


def jacobian_of(u: Any, x: dlarray, record: bool = False) -> Any:
    if type(u) is not dlarray:
        u = dlarray(u)
    order = trace_between(u, x)
    m, n = math.prod(u.shape), math.prod(x.shape)
    shape = (*u.shape, *x.shape)
    if record:
        flat = words.reshape(dlarray._made(u._value, u._node, None), (m,))
        return words.reshape(words.stripdims(dljacobian(flat, x, 0)), shape)
    dtype = torch.promote_types(u.dtype, x.dtype) if differentiable(u.dtype) else x.dtype
    needed = m * n * dtype.itemsize
    if needed > 1 << 28 and needed > free_memory():
        raise ShapeError(
            f"the Jacobian of {described(u.shape, None)} by {described(x.shape, None)} needs {readable_bytes(needed)}, "
            f"{readable_bytes(free_memory())} are free, at {line_of(user_site())}; write sparse_jacobian, or "
            "dljacobian(u, x), which keeps structure")
    if not order or not m * n:
        return dlarray._made(torch.zeros(shape, dtype=dtype, device=x.device), None)
    if n <= m:
        (found,) = pushed(order, {order[0]: torch.eye(n, dtype=x.dtype, device=x.device)}, [order[-1]])
        found = found.reshape(n, m).T
    else:
        (found,) = pulled(order, {order[-1]: torch.eye(m, dtype=u.dtype, device=u.device)}, [order[0]])
    found = cleared(found.to(dtype).reshape(shape), order[-1], order[0], range(u.ndim))
    return dlarray._made(found, None)
