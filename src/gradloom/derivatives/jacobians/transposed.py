"""The transpose of a Jacobian."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ...blocks.dense import dense
from ...core.array import dlarray
from ...core.containers import unflatten
from ...core.trace import Node
from ...machine.dtypes import Tensor
from ..walks.meetings import pull
from ..words.directions import distributed
from . import byproducts
from .combination import Combination, transposed_product

if TYPE_CHECKING:
    from .jacobian import Jacobian


class TransposedJacobian:
    """J.T: `J.T @ w` is the cotangent of x, in x's container, by one walk backwards or by the factors."""

    __gradloom_leaf__ = True
    __array_ufunc__ = None

    def __init__(self, jacobian: Jacobian):
        self.T = jacobian

    def __leave_trace__(self) -> TransposedJacobian:
        self.T.__leave_trace__()
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        rows, columns = self.T.shape
        return columns, rows

    def __repr__(self) -> str:
        return f"transpose of {self.T!r}"

    def __matmul__(self, w: Any) -> Any:
        """J' w: w in u's container, or one flat vector; the result in x's. J1.T @ J2 of one part each is J1' J2."""
        J = self.T
        source = J._source
        if isinstance(w, type(J)):
            return byproducts.transposed_times(J, w)
        if isinstance(source, Combination) and source.open:
            return transposed_product(J, w)
        given = distributed(w, J._us, J._u_structure, "J.T @ w")
        cotangents = [d._value for d in given]
        values: list[Tensor | None]
        if source.open:
            bars: dict[Node, Any] = {}
            for u, bar in zip(J._us, given if J._recorded else cotangents, strict=True):
                if u.node is not None:
                    bars[u.node] = bars[u.node] + bar if u.node in bars else bar
            nodes = [x.node for x in J._xs]
            values = list(pull(bars, nodes, recorded=J._recorded)) if bars else [None] * len(nodes)  # type: ignore[arg-type]
        else:
            values = []
            for j in J._columns:
                parts = []
                for i, bar in zip(J._rows, cotangents, strict=True):
                    block = source.block(i, j)
                    parts.append(None if block is None else dense(block.transposed().applied(bar)))
                total = J._summed(parts)
                x = source.xs[j]
                values.append(total if total is None else (total.real if total.is_complex()
                                                           and not x.dtype.is_complex else total).to(x.dtype))
        made = [J._walked(torch.zeros(x.shape, dtype=x.dtype, device=x.device) if bar is None else bar, x.labels, given)
                for x, bar in zip(J._xs, values, strict=True)]
        return unflatten(J._x_structure, made)

    def gram(self) -> dlarray:
        """J' J with shape (*x.shape, *x.shape) for one x, (total, total) for a container: the Gauss-Newton matrix of a
        squared loss."""
        return self @ self.T
