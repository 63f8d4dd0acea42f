"""Data brought to a common scale."""
from __future__ import annotations

from typing import Any

from ...core.array import raw
from ...core.declare import composite
from ...core.errors import TypeRefused, line_of, user_site
from ...machine.dtypes import NUMBER_TYPES
from ...machine.questions import spared
from ..elementwise.arithmetic import divide
from ..elementwise.choice import where
from ..movement.along_axis import single_axis
from ..neural.softmax import floating
from .extremes import max, min
from .reduction import mean, norm, std


@composite
def rescale(x: Any, lower: Any = 0.0, upper: Any = 1.0, /, *, axis: Any = None) -> Any:
    """x stretched so that its smallest element becomes `lower` and its largest `upper`, over axes or all elements
    together.

    Formula: lower + (x - min) / (max - min) (upper - lower), `lower` where all elements are equal. Shape and labels of
    x.

    >>> import gradloom as gl
    >>> gl.rescale(gl.dlarray([2.0, 4.0, 3.0]))
    3 dlarray float64
    [0.  1.  0.5]

    Source: MATLAB rescale.
    """
    x = floating(x)
    low = min(x, axis=axis, keepdims=True)
    width = max(x, axis=axis, keepdims=True) - low
    y = divide(x - low, _one_for_zero(width))
    span = upper - lower
    if type(span) not in NUMBER_TYPES or span != 1:
        y = y * span
    return y if type(lower) in NUMBER_TYPES and lower == 0 else lower + y


@composite
def normalize(x: Any, /, method: str = "zscore", *, axis: Any = None) -> Any:
    """x along an axis with centre and scale removed; where the scale is 0 it stays.

    Formula, by `method`: "zscore": (x - mean) / std, with n - 1 in std; "center": x - mean; "scale": x / std; "norm": x
    over its Euclidean norm; "range": to [0, 1], as `rescale`. Shape and labels of x; `axis` may be left out for a
    vector. Raises TypeRefused for another method.

    >>> import gradloom as gl
    >>> gl.normalize(gl.dlarray([1.0, 2.0, 3.0]))
    3 dlarray float64
    [-1.  0.  1.]

    Source: MATLAB normalize.
    """
    x = floating(x)
    methods = ("zscore", "center", "scale", "norm", "range")
    if method not in methods:
        raise TypeRefused(
            f"normalize: method {method!r:.40}, at {line_of(user_site())}; it is one of {', '.join(methods)}")
    k = single_axis(x, axis, "normalize")
    if method == "range":
        return rescale(x, axis=k)
    if method in ("zscore", "center"):
        x = x - mean(x, axis=k, keepdims=True)
    if method == "center":
        return x
    size = (norm(x, axis=k, keepdims=True) if method == "norm" else
            std(x, axis=k, correction=float(x.shape[k] > 1), keepdims=True))
    return divide(x, _one_for_zero(size))


def _one_for_zero(width: Any) -> Any:
    return width if spared((raw(width) != 0).all()) else where(width == 0, 1.0, width)


__all__ = ["normalize", "rescale"]
