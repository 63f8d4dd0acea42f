"""The right-hand side of a differential equation, as the steps call it."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.array import dlarray, labels_of
from ...core.containers import flatten, unflatten
from ...core.errors import ShapeError, TraceError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...core.trace import current_trace, live
from ...machine.dtypes import Tensor
from ...operations.elementwise.arithmetic import astype
from ...operations.movement.axes import permute_dims
from ..words.evaluate import dlfeval


class Right:
    """The right-hand side, with the arrays that it depends on (of theta, and of a network) taken apart."""

    def __init__(self, odefun: Any, theta: Any, labels: str | None):
        self.network = hasattr(odefun, "learnables")
        self.with_theta = theta is not None
        self.labels = labels
        leaves, self.structure = flatten((odefun if self.network else None, theta))
        self.odefun = odefun
        self.leaves = leaves
        self.places = [k for k, leaf in enumerate(leaves) if type(leaf) is dlarray]

    @property
    def parameters(self) -> list[dlarray]:
        return [self.leaves[k] for k in self.places]

    def __call__(self, t: float, y: dlarray, parameters: Sequence[dlarray]) -> dlarray:
        try:
            return self._slope(t, y, parameters)
        except TraceError:
            if current_trace() is None or all(live(x._node) is not None for x in (y, *parameters)):
                raise
        # It takes a derivative with respect to one of them, which is a constant so far.
        slope: dlarray = dlfeval(lambda y, *parameters: self._slope(t, y, parameters), y, *parameters)
        return slope

    def _slope(self, t: float, y: dlarray, parameters: Sequence[dlarray]) -> dlarray:
        leaves = list(self.leaves)
        for k, p in zip(self.places, parameters, strict=True):
            leaves[k] = dlarray._made(p._value, p._node, self.leaves[k]._labels)
        network, theta = unflatten(self.structure, leaves)
        y = dlarray._made(y._value, y._node, self.labels)
        slope = network(y) if self.network else self.odefun(t, y, theta) if self.with_theta else self.odefun(t, y)
        if not isinstance(slope, (dlarray, np.ndarray, Tensor, float)):
            raise TypeRefused(
                f"dlode45: odefun returns an array with the shape of y, not {type(slope).__name__}, at "
                f"{line_of(user_site())}")
        slope = slope if isinstance(slope, dlarray) else dlarray(slope)
        if (labels_of(slope) not in (None, self.labels) and self.labels is not None
            and sorted(slope.dims) == sorted(self.labels)):
            slope = permute_dims(slope, self.labels)
        if slope.shape != y.shape:
            raise ShapeError(
                f"dlode45: odefun returned {described(slope.shape, slope._labels)} for y "
                f"{described(y.shape, self.labels)}, at {line_of(user_site())}; it returns dy/dt, in the shape of y")
        return astype(slope, y.dtype) if slope.dtype is not y.dtype else slope


def plain(x: dlarray) -> dlarray:
    return dlarray._made(x._value, x._node, None)
