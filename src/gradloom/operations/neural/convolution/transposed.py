"""Transposed convolution: the transpose of `dlconv` with respect to its input, as an operation of its own."""
from __future__ import annotations

from typing import Any, NamedTuple

from ....core.array import labels_of, unlabelled
from ....core.declare import public
from ....core.errors import ShapeError, line_of, user_site
from ....core.labels import described
from ....machine.caches import remembered
from ...matrices.contraction import layout_of
from ...movement.axes import array
from ...movement.slices import slice_axis
from ..spatial import Layout, Sizes, fixed, layout, pairs_of, per_axis, spatial_axes
from .convolution import check_weights, operands, transposed_operation


class _Plan(NamedTuple):
    """What a call of these shapes and options does."""

    layout: Layout
    params: dict[str, Any]
    filters: int
    cut: Sizes | None  # the sizes kept of what the kernel gives, where it cannot crop so itself


@remembered(4096)
def _plan(labels: str, shape: Sizes, w_shape: Sizes, w_labels: str | None, stride: Any, dilation: Any,
          cropping: Any, groups: int) -> _Plan:
    spatial = spatial_axes(labels, len(w_shape) - 2, w_labels, shape, "dltranspconv")
    d = len(spatial)
    way = layout(labels, shape, spatial, "dltranspconv")
    check_weights("dltranspconv", labels, shape, w_shape, d, "(channels, filters per group, *spatial)")
    (n,) = [shape[k] for k in range(len(shape)) if labels[k] == "C"]
    if not isinstance(groups, int) or groups < 1 or n != w_shape[0] or n % groups or n == 0:
        raise ShapeError(
            f"dltranspconv of x {described(shape, labels)} with weights {described(w_shape, None)} in "
            f"groups={groups!r}: x needs {w_shape[0]} channels that divide into the groups, at {line_of(user_site())}; "
            "weights are (channels, filters per group, *spatial)")
    sizes, kernel = [shape[k] for k in spatial], w_shape[2:]
    strides, dilations = per_axis(stride, d, "stride"), per_axis(dilation, d, "dilation_factor")
    whole = [(m - 1) * s + e * (k - 1) + 1 for m, k, s, e in zip(sizes, kernel, strides, dilations, strict=True)]
    if cropping == "same":
        totals = [full - m * s for full, m, s in zip(whole, sizes, strides, strict=True)]
        pairs = [(max(t, 0) // 2, t - max(t, 0) // 2) for t in totals]
    else:
        pairs = pairs_of(cropping, d, "dltranspconv cropping", "\"same\"")
    kept = tuple(full - a - b for full, (a, b) in zip(whole, pairs, strict=True))
    for m, full, size in zip(sizes, whole, kept, strict=True):
        if m < 1 or size < 1:
            raise ShapeError(
                f"dltranspconv: cropping {cropping!r} of a result of {full} leaves nothing, x is "
                f"{described(shape, labels)}, at {line_of(user_site())}; crop less")
    direct = all(a - b >= 0 and (a - b < max(s, e)) for (a, b), s, e in zip(pairs, strides, dilations, strict=True))
    padding = tuple(a if direct else min(a, b) for a, b in pairs)
    made = kept if direct else tuple(full - 2 * p for full, p in zip(whole, padding, strict=True))
    params = {"stride": strides, "padding": padding, "dilation": dilations, "groups": groups, "sizes": made}
    return _Plan(way, params, w_shape[1] * groups, None if direct
                 else tuple(a - p for (a, _), p in zip(pairs, padding, strict=True)) + kept)


@public(transposed_operation)
def dltranspconv(x: Any, weights: Any, bias: Any = None, /, *, stride: Any = 1, dilation_factor: Any = 1,
                 cropping: Any = 0, groups: int = 1,
                 data_format: str | None = None) -> Any:
    """The transposed convolution of x with filters, over its S axes, or over T where it has none: it makes them larger.

    Formula: y[n, o, stride s + dilation_factor k - cropping] += weights[c, o, k] x[n, c, s], plus bias[o].
    x: any layout with C and up to three S or T; weights: (channels, filters per group, *spatial); bias: (filters,) or
    None; y: x's layout with stride (n - 1) + dilation_factor (k - 1) + 1 along each S, less what is cropped. Options
    are one number or one per spatial axis; cropping may also be (before, after) for each, or "same" (size n stride, of
    an odd total the larger part at the end). `groups` divides channels and filters. Which axes: as in `dlconv`.
    Raises LabelError without labels or data_format, ShapeError where sizes do not fit.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[[1.0, 2.0]]], "BCS")
    >>> gl.dltranspconv(x, [[[1.0, 10.0]]], stride=2)
    1(B) x 1(C) x 4(S) dlarray float64
    [[[ 1. 10.  2. 20.]]]

    Source: MATLAB dltranspconv.
    """
    x, weights = array(x), array(weights)
    labels = layout_of(x, data_format, "dltranspconv")
    plan = _plan(labels, tuple(x.shape), tuple(weights.shape), labels_of(weights), fixed(stride),
                 fixed(dilation_factor), fixed(cropping), groups)
    own = labels_of(x)
    y = transposed_operation.apply(operands("dltranspconv", plan.layout.arranged(x), unlabelled(weights),
                                            bias, plan.filters), plan.params)
    if plan.cut is not None:
        d = len(plan.cut) // 2
        for k in range(d):
            y = slice_axis(y, k - d, plan.cut[k], plan.cut[k] + plan.cut[k + d])
    return plan.layout.put_back(y, own)


__all__ = ["dltranspconv"]
