"""Interpolation between samples along one axis. The interval of each place is found once; what follows is arithmetic on
reads."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.array import dlarray, labels_of, raw, relabelled, unlabelled
from ...core.declare import composite
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described, tidy
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.questions import decided, spared
from ..elementwise.arithmetic import divide
from ..elementwise.choice import where
from ..elementwise.discrete import isnan
from ..elementwise.mathematics import absolute
from ..matrices.tridiagonal import tridiagonal_solution
from ..movement.axes import array, reshape
from ..movement.joining import concat
from ..movement.selection import take_operation
from ..movement.slices import slice_axis
from ..neural.softmax import floating

METHODS = ("linear", "nearest", "next", "previous", "pchip", "makima", "cubic", "spline")
_NOT_HERE = {"v5cubic": "\"cubic\"", "zero": "\"previous\"", "slinear": "\"linear\"",
             "quadratic": "\"cubic\" or \"spline\"", "akima": "\"makima\"",
             "nearest-up": "\"nearest\""}


@composite
def interp1(x: Any, v: Any, xq: Any, /, method: str = "linear", *, extrapolation: Any = None) -> Any:
    """The values at places `xq` of a function known at sample points `x`, by interpolation; differentiable in all
    three, to any order.

    x: (n,), distinct, in any order; v: (n, ...), the values, functions side by side along further axes; xq: any shape;
    the result: xq's shape, then v's further axes, with xq's labels first. `method` is "linear"; "nearest" (halfway: the
    later one), "next" or "previous"; or piecewise cubic: "pchip" (keeps monotone), "makima" (little overshoot), "cubic"
    (MATLAB's convolution, for evenly spaced points), "spline" (two continuous derivatives, not-a-knot at the ends:
    SciPy's "cubic"). On a sample point the derivative in xq is that of the interval after it. "cubic" reads single
    points as if they were moved within the parabola through them and their neighbours. Outside the samples the result
    is NaN; `extrapolation` is a number to write there, or "extrap" to continue the outermost interval.
    Raises ShapeError for sizes that do not fit, fewer than two points or equal ones, and for "cubic" with points that
    are not evenly spaced; TypeRefused for an unknown method.

    >>> import gradloom as gl
    >>> gl.interp1([0.0, 1.0, 3.0], [0.0, 10.0, 30.0], gl.dlarray([0.5, 2.0, 4.0]))
    3 dlarray float64
    [ 5. 20. nan]

    Source: MATLAB interp1; Fritsch and Butland 1984 (pchip), Akima 1970 with MATLAB's weights (makima), Keys 1981
    (cubic), de Boor 1978 (spline).
    """
    x, v, xq = floating(unlabelled(array(x))), floating(array(v)), floating(xq)
    n = v.shape[0] if v.ndim else 0
    if x.ndim != 1 or n != x.shape[0] or n < 2:
        raise ShapeError(
            f"interp1: sample points {described(x.shape, None)} for values {described(v.shape, labels_of(v))}, at "
            f"{line_of(user_site())}; give a vector of two points or more, and as many values along the first axis")
    if method not in METHODS:
        way = f"; here that is {_NOT_HERE[method]}" if isinstance(method, str) and method in _NOT_HERE else ""
        raise TypeRefused(
            f"interp1: method {method!r:.40}, at {line_of(user_site())}; it is one of {', '.join(METHODS)}{way}")
    if extrapolation not in (None, "extrap") and type(extrapolation) not in NUMBER_TYPES:
        raise TypeRefused(
            f"interp1: extrapolation {extrapolation!r:.40}, at {line_of(user_site())}; it is a number or \"extrap\"")
    for a, what in ((x, "sample points"), (xq, "places")):
        if a.dtype.is_complex:
            raise TypeRefused(
                f"interp1: {what} are real numbers, not {str(a.dtype)[6:]}, at {line_of(user_site())}; write real(x)")
    if method == "pchip" and v.dtype.is_complex:
        raise TypeRefused(
            f"interp1: \"pchip\" is for real values, not {str(v.dtype)[6:]}, which have no order, at "
            f"{line_of(user_site())}; interpolate real(v) and imag(v)")
    letters = (labels_of(xq) or "U" * xq.ndim) + (labels_of(v) or "U" * v.ndim)[1:]
    x, v, shape, more = _in_order(x, unlabelled(v), n, xq.shape, v.shape[1:])
    places = reshape(unlabelled(xq), (math.prod(shape),))
    k = torch.searchsorted(raw(x).contiguous(), raw(places).contiguous().to(raw(x).dtype),
                           right=True).sub_(1).clamp_(0, n - 2)
    y = _between(x, reshape(v, (n, math.prod(more))), reshape(places, (-1, 1)) if places.shape[0]
                 else reshape(places, (0, 1)), k, method)
    inside = reshape((places >= raw(x)[0]) & (places <= raw(x)[-1]), (places.shape[0], 1))
    if extrapolation != "extrap":
        y = where(inside, y, math.nan if extrapolation is None else extrapolation)
    y = where(reshape(isnan(places), (places.shape[0], 1)), math.nan, y)
    y = reshape(y, (*shape, *more))
    return relabelled(y, tidy(letters) if all(letters.count(c) < 2 for c in "CBT") else None)


def _in_order(x: Any, v: Any, n: int, shape: Any, more: Any) -> tuple[Any, Any, tuple[int, ...], tuple[int, ...]]:
    """Sample points and values by increasing x."""
    step = raw(x).diff()
    if not spared((step > 0).all()):
        order = torch.argsort(raw(x), stable=True)
        if not decided((raw(x)[order].diff() > 0).all()):
            raise ShapeError(
                f"interp1: sample points are distinct numbers, at {line_of(user_site())}; two are equal or one is NaN: "
                "remove them")
        x, v = _read(x, order), _read(v, order)
    return x, v, tuple(shape), tuple(more)


def _read(a: Any, where_: Tensor) -> Any:
    return take_operation.apply((a,), {"where": where_, "axis": -a.ndim})


def _between(x: Any, v: Any, places: Any, k: Tensor, method: str) -> Any:
    """The value at each place (q, 1) from the interval k that it is in; v is (n, m)."""
    if method in ("nearest", "next", "previous"):
        left, right, at = raw(x)[k], raw(x)[k + 1], raw(places)[:, 0]
        later = {"nearest": at - left >= right - at, "next": at > left, "previous": at >= right}[method]
        return _read(v, k + later) + 0 * places  # of derivative 0 in the places, recorded
    x = reshape(x, (x.shape[0], 1))
    width = slice_axis(x, -2, 1, x.shape[0]) - slice_axis(x, -2, 0, x.shape[0] - 1)
    slope = divide(slice_axis(v, -2, 1, v.shape[0]) - slice_axis(v, -2, 0, v.shape[0] - 1), width)
    s = places - _read(x, k)
    if method == "linear":
        return _read(v, k) + s * _read(slope, k)
    if method == "cubic":
        _check_even(raw(x)[:, 0])
    d = _AT_POINTS[method](width, slope)
    h, delta, before, after = _read(width, k), _read(slope, k), _read(d, k), _read(d, k + 1)
    square_term = divide(3 * delta - 2 * before - after, h)
    cube_term = divide(before - 2 * delta + after, h * h)
    return _read(v, k) + s * (before + s * (square_term + s * cube_term))


def _ends(a: Any) -> tuple[Any, Any]:
    """All but the last row, all but the first."""
    n = a.shape[0]
    return slice_axis(a, -2, 0, n - 1), slice_axis(a, -2, 1, n)


def _row(a: Any, k: int) -> Any:
    k = k % a.shape[0]
    return slice_axis(a, -2, k, k + 1)


def _pchip(width: Any, slope: Any) -> Any:
    """Derivatives at the sample points: a weighted harmonic mean of the slopes beside each, 0 where they differ in
    sign."""
    if slope.shape[0] == 1:
        return concat([slope, slope], axis=-2)
    (h0, h1), (s0, s1) = _ends(width), _ends(slope)
    same = raw(s0) * raw(s1) > 0
    same = dlarray._made(same, None) if type(s0) is dlarray else same
    w0, w1 = 2 * h1 + h0, h1 + 2 * h0
    inner = where(same, divide(w0 + w1, divide(w0, where(same, s0, 1.0)) + divide(w1, where(same, s1, 1.0))), 0.0)

    def end(h0: Any, h1: Any, s0: Any, s1: Any) -> Any:
        """A one-sided three-point formula, kept monotone."""
        d = divide((2 * h0 + h1) * s0 - h0 * s1, h0 + h1)
        wrong = raw(d) * raw(s0) <= 0
        far = (raw(s0) * raw(s1) <= 0) & (raw(d).abs() > 3 * raw(s0).abs())
        wrong, far = (dlarray._made(m, None) if type(d) is dlarray else m for m in (wrong, far))
        return where(wrong, 0.0, where(far, 3 * s0, d))

    first = end(_row(width, 0), _row(width, 1), _row(slope, 0), _row(slope, 1))
    last = end(_row(width, -1), _row(width, -2), _row(slope, -1), _row(slope, -2))
    return concat([first, inner, last], axis=-2)


def _makima(width: Any, slope: Any) -> Any:
    """Derivatives at the sample points: slopes beside each weighted by how little they change on the other side."""
    first, last = _row(slope, 0), _row(slope, -1)
    if slope.shape[0] > 1:
        low, high = 2 * first - _row(slope, 1), 2 * last - _row(slope, -2)
    else:
        low, high = first, last
    m = concat([2 * low - first, low, slope, high, 2 * high - last], axis=-2)
    before, after = _ends(m)
    change = absolute(after - before) + absolute(after + before) * 0.5
    n = slope.shape[0] + 1
    w0, w1 = slice_axis(change, -2, 2, n + 2), slice_axis(change, -2, 0, n)
    left, right = slice_axis(m, -2, 1, n + 1), slice_axis(m, -2, 2, n + 2)
    flat = w0 + w1 == 0
    return where(flat, 0.0, divide(w0 * left + w1 * right, where(flat, 1.0, w0 + w1)))


def _check_even(x: Tensor) -> None:
    """Whether points are evenly spaced, to rounding."""
    step = x.diff()
    eps = torch.finfo(x.dtype).eps
    # nor infinite
    if not decided(((step - step.mean()).abs() <= eps ** 0.5 * step.mean() + 4 * eps * x.abs().max()).all()):
        raise ShapeError(
            f"interp1: \"cubic\" is for evenly spaced sample points, their distances are from {step.min().item():.6g} "
            f"to {step.max().item():.6g}, at {line_of(user_site())}; write \"spline\", which MATLAB takes there, or "
            "\"makima\"")


def _parabolas(width: Any, slope: Any) -> Any:
    """Derivatives at the sample points: of the parabola through each and its neighbours, which makes the cubic that of
    Keys' convolution."""
    if slope.shape[0] == 1:
        return concat([slope, slope], axis=-2)
    (h0, h1), (s0, s1) = _ends(width), _ends(slope)
    inner = divide(h1 * s0 + h0 * s1, h0 + h1)
    return concat([2 * _row(slope, 0) - _row(inner, 0), inner, 2 * _row(slope, -1) - _row(inner, -1)], axis=-2)


def _spline(width: Any, slope: Any) -> Any:
    """Derivatives at the sample points that make the second derivative continuous, and the third one at the points next
    to the ends."""
    n = slope.shape[0] + 1
    if n < 4:
        return _parabolas(width, slope)  # the conditions at both ends are one: a single polynomial
    (h0, h1), (s0, s1) = _ends(width), _ends(slope)  # beside each inner point
    # Second derivatives at the inner points; those at the ends continue the line through the next two.
    first, last = divide(_row(width, 0), _row(width, 1)), divide(_row(width, -1), _row(width, -2))
    middle = 2 * (h0 + h1)
    ends = [_row(width, 0) * (1 + first), *([] if n == 4 else [slice_axis(middle, -2, 1, n - 3) * 0]),
            _row(width, -1) * (1 + last)]
    middle = middle + concat(ends, axis=-2)
    upper, lower = _ends(h1)[0], _ends(h0)[1]
    upper = concat([_row(upper, 0) - _row(width, 0) * first, slice_axis(upper, -2, 1, n - 3)], axis=-2)
    lower = concat([slice_axis(lower, -2, 0, n - 4), _row(lower, -1) - _row(width, -1) * last], axis=-2)
    inner = tridiagonal_solution(lower, middle, upper, 6 * (s1 - s0))
    low = (1 + first) * _row(inner, 0) - first * _row(inner, 1)
    high = (1 + last) * _row(inner, -1) - last * _row(inner, -2)
    before, after = _ends(concat([low, inner, high], axis=-2))
    at_start = slope - width * (2 * before + after) * (1 / 6)
    return concat([at_start, _row(slope, -1) + _row(width, -1) * (_row(before, -1) + 2 * high) * (1 / 6)], axis=-2)


_AT_POINTS = {"pchip": _pchip, "makima": _makima, "cubic": _parabolas, "spline": _spline}

__all__ = ["interp1"]
