"""Losses: cross-entropy and the losses of a difference. Each is one operation: a weighted sum over all elements, times a factor.

Inside, `x` are the predictions, and `weights` is None or the product of weights and mask with as many axes as x. A weight of 0
selects: what it hides may be NaN.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray, labels_of
from ..core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ..core.labels import aligned, described, tidy
from ..core.operation import General, composite, general, public
from ..kernels import Tensor, differentiable
from .arithmetic import astype, scale, square
from .contraction import layout_of, promoted_arrays
from .elementwise import absolute, clip, log, sigmoid, sign, softplus
from .movement import array, permute_dims, reshape
from .reduction import sum
from .softmax import floating, log_softmax, softmax


# ----- the weighted sum that all losses are -----


def _weighted(e: Any, weights: Any) -> Any:
    """weights * e, 0 where the weight is 0."""
    return e if weights is None else scale(weights, e)


def _product(g: Any, weights: Any, slope: Any) -> Any:
    """A tangent or cotangent g times a slope and the weights, 0 where the weight is 0."""
    return g * slope if weights is None else scale(g * weights, slope)


def _total(e: Tensor, weights: Tensor | None, factor: float, reduction: str) -> Tensor:
    """The end of a kernel."""
    if weights is not None:
        e = torch.where(weights == 0, e.new_zeros(()), e * weights)
    return e.sum() * factor if reduction == "sum" else e


def _reduced(parts: list[Any], factor: float, reduction: str, ndim: int) -> Any:
    """The end of a push: the sum of the parts that each input's tangent has in the elements' tangents."""
    e_dot = parts[0]
    for part in parts[1:]:
        e_dot = e_dot + part
    return sum(e_dot, axis=tuple(range(-ndim, 0))) * factor if reduction == "sum" else e_dot


def _spread(y_bar: Any, factor: float, reduction: str, ndim: int) -> Any:
    """The start of a pull: the cotangent of each element's loss, by broadcasting."""
    if reduction != "sum":
        return y_bar
    y_bar = y_bar * factor
    return reshape(y_bar, (*y_bar.shape, *(1,) * ndim)) if y_bar.ndim else y_bar


def _elementwise_push(dots: Any, slopes: Any, value: Callable[[], Any], weights: Any) -> list[Any]:
    """Parts of the tangent where an element's loss depends on its own prediction and target: slopes in those, value for the weights."""
    parts = [_product(dot, weights, slope()) for dot, slope in zip(dots[:2], slopes, strict=True) if dot is not None]
    return parts if dots[2] is None else [*parts, dots[2] * value()]


def _elementwise_pull(g: Any, slopes: Any, value: Callable[[], Any], weights: Any, wanted: Any) -> list[Any]:
    bars = [_product(g, weights, slope()) if want else None for slope, want in zip(slopes, wanted[:2], strict=True)]
    return [*bars, g * value() if wanted[2] else None]


# ----- cross-entropy -----


def _is_index(targets: Any) -> bool:
    return not differentiable(targets.dtype)


def _tiny(x: Any) -> float:
    return torch.finfo(x.dtype).tiny


def _like(raw: Tensor, x: Any) -> Any:
    """A constant of the same kind as x, for a rule."""
    return dlarray._made(raw, None) if type(x) is dlarray else raw


def _dense(targets: Any, x: Any, axis: int) -> Any:
    """Targets as probabilities: class indices become ones and zeros, a constant in x's type."""
    if not _is_index(targets):
        return targets
    raw = targets._value if type(targets) is dlarray else targets
    hot = torch.zeros(tuple(x.shape), dtype=x.dtype, device=x.device)
    return _like(hot.scatter_(axis, raw.unsqueeze(axis), 1), x)


def _log(x: Any) -> Any:
    """log(x), x clipped away from 0."""
    return log(clip(x, _tiny(x), None))


def _log_slope(x: Any) -> Any:
    """The derivative of `_log`: 0 where x is clipped."""
    raw = x._value if type(x) is dlarray else x
    return _like((raw >= _tiny(raw)).to(raw.dtype), x) / clip(x, _tiny(x), None)


def _at_index(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """x, which may be of size 1 on the other axes, at class indices."""
    shape = list(index.shape)
    shape[axis] = x.shape[axis]
    return x.expand(shape).gather(axis, index)


def _crossentropy_kernel(x: Tensor, targets: Tensor, weights: Tensor | None, axis: int, mode: str, from_logits: bool, factor: float,
                         reduction: str) -> Tensor:
    if mode == "multilabel":
        e = (torch.logaddexp(x, x.new_zeros(())) - targets * x if from_logits else
             (targets - 1) * (1 - x).clamp_min_(_tiny(x)).log_() - targets * x.clamp_min(_tiny(x)).log_())
        return _total(e, weights, factor, reduction)
    if from_logits:
        x = torch.log_softmax(x, axis)
    if not _is_index(targets):
        return _total((x if from_logits else x.clamp_min(_tiny(x)).log_()) * -targets, weights, factor, reduction)
    index = targets.unsqueeze(axis)
    e = x.gather(axis, index)
    e = -(e if from_logits else e.clamp_min(_tiny(x)).log_())
    total = _total(e, None if weights is None else _at_index(weights, index, axis), factor, reduction)
    return total if reduction == "sum" else total.squeeze(axis)


def _slopes_and_value(x: Any, t: Any, mode: str, from_logits: bool) -> Any:
    """Slopes of an element's loss in its prediction and its target, and the loss itself."""
    if mode == "single-label":
        return (lambda: -(t * _log_slope(x)), lambda: -_log(x)), lambda: -(t * _log(x))
    if from_logits:
        return (lambda: sigmoid(x) - t, lambda: -x), lambda: softplus(x) - t * x
    return ((lambda: (1 - t) * _log_slope(1 - x) - t * _log_slope(x), lambda: _log(1 - x) - _log(x)),
            lambda: (t - 1) * _log(1 - x) - t * _log(x))


def _crossentropy_push(x_dot: Any, targets_dot: Any, weights_dot: Any, x: Any, targets: Any, weights: Any, axis: int, mode: str, from_logits: bool,
                       factor: float, reduction: str) -> Any:
    t = _dense(targets, x, axis)
    if mode == "single-label" and from_logits:
        parts = []
        if x_dot is not None:
            tw = _weighted(t, weights)
            parts.append(sum(x_dot * softmax(x, axis=axis), axis=axis, keepdims=True) * tw - x_dot * tw)
        if targets_dot is not None:
            parts.append(-_product(targets_dot, weights, log_softmax(x, axis=axis)))
        if weights_dot is not None:
            parts.append(-(weights_dot * (t * log_softmax(x, axis=axis))))
    else:
        parts = _elementwise_push((x_dot, targets_dot, weights_dot), *_slopes_and_value(x, t, mode, from_logits), weights)
    y_dot = _reduced(parts, factor, reduction, x.ndim)
    return sum(y_dot, axis=axis) if _is_index(targets) and reduction != "sum" else y_dot


def _crossentropy_pull(y_bar: Any, x: Any, targets: Any, weights: Any, axis: int, mode: str, from_logits: bool, factor: float, reduction: str,
                       wanted: Any) -> Any:
    t = _dense(targets, x, axis)
    if _is_index(targets) and reduction != "sum":
        at = y_bar.ndim + 1 + axis
        y_bar = reshape(y_bar, (*y_bar.shape[:at], 1, *y_bar.shape[at:]))
    g = _spread(y_bar, factor, reduction, x.ndim)
    if mode != "single-label" or not from_logits:
        return _elementwise_pull(g, *_slopes_and_value(x, t, mode, from_logits), weights, wanted)
    bars: list[Any] = [None] * 3
    if wanted[0]:
        gt = _product(g, weights, t)
        bars[0] = scale(sum(gt, axis=axis, keepdims=True), softmax(x, axis=axis)) - gt
    if wanted[1]:
        bars[1] = -_product(g, weights, log_softmax(x, axis=axis))
    if wanted[2]:
        bars[2] = -(g * (t * log_softmax(x, axis=axis)))
    return bars


def _crossentropy_fused(y_bar: Tensor, x: Tensor, targets: Tensor, weights: Any, axis: int, mode: str, from_logits: bool, factor: float,
                        reduction: str, wanted: Any) -> Any:
    """The common cases in one new array: softmax minus targets, and class indices."""
    index = _is_index(targets)
    if mode == "multilabel" or reduction != "sum" or weights is not None or wanted[1] or not (from_logits or index):
        return _crossentropy_pull(y_bar, x, targets, weights, axis, mode, from_logits, factor, reduction, wanted)
    g = y_bar * factor
    if index:
        where = targets.unsqueeze(axis)
        if not from_logits:
            return torch.zeros_like(x).scatter_(axis, where, _log_slope(x.gather(axis, where)) * -g), None, None
        bar = torch.softmax(x, axis)
        return bar.scatter_add_(axis, where, bar.new_full((), -1.0).expand(where.shape)).mul_(g), None, None
    return torch.softmax(x, axis).mul_(targets.sum(axis, keepdim=True)).sub_(targets).mul_(g), None, None


def _options(**changed: Any) -> dict[str, Any]:
    return {"axis": -2, "mode": "single-label", "from_logits": False, "factor": 0.5, "reduction": "sum"} | changed


_MODES = [{"mode": mode, "from_logits": logits} for mode in ("single-label", "multilabel") for logits in (False, True)]
_INDEX = torch.tensor([2, 0, 1, 2])
_crossentropy = general(
    "crossentropy", _crossentropy_kernel, ("x", "targets", "weights"), push=_crossentropy_push, pull=_crossentropy_pull,
    fused_pull=_crossentropy_fused, domain=(0.2, 0.8), matlab="crossentropy",
    samples=[*[((3, 4), (3, 4), None, _options(**m)) for m in _MODES],
             *[((3, 4), (3, 4), (3, 1), _options(**m, reduction="none", factor=1)) for m in _MODES],
             *[((3, 4), _INDEX, None, _options(**m)) for m in _MODES[:2]],
             *[((3, 4), _INDEX, (3, 1), _options(**m, reduction="none", factor=1)) for m in _MODES[:2]]])


@public(_crossentropy)
def crossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, classification_mode: str = "single-label", reduction: str = "sum",
                 normalization_factor: str = "batch-size", from_logits: bool = False, data_format: str | None = None) -> Any:
    """The cross-entropy between probabilities and targets, summed and divided by the batch size.

    Formula: -(1/N) sum of t log(y); "multilabel": -(1/N) sum of t log(y) + (1 - t) log(1 - y). N is the size of B, 1 when absent;
    with `normalization_factor` "all-elements" the number of elements of y, "mask-included" the sum of the mask, "none" 1.
    y holds probabilities over C, as softmax (sigmoid for "multilabel") gives them, clipped away from 0 before the logarithm.
    `from_logits=True` takes what goes into softmax or sigmoid: exact for every size, and faster.

    y: any layout with C. targets: y's axes, in any order of labels, or integer class indices counted from 0, without C.
    weights: one for each class, or labelled. mask: 0 and 1, y's shape, or labelled; what it hides has no influence.
    The result is an unlabelled scalar; `reduction="none"` gives each element's part (for class indices, each observation's).

    Raises ShapeError for values outside [0, 1] or, single-label, that do not sum to 1 over C to within 1e-3 (checked on the CPU);
    LabelError where y is unlabelled and data_format is missing.

    >>> import gradloom as gl
    >>> y = gl.dlarray([[0.5, 0.25], [0.5, 0.75]], "CB")
    >>> print(f"{gl.crossentropy(y, [0, 1]):.4f}")
    0.4904
    >>> print(f"{gl.crossentropy(gl.log(y), [0, 1], from_logits=True):.4f}")
    0.4904

    Source: MATLAB crossentropy.
    """
    word = "crossentropy"
    if classification_mode not in ("single-label", "multilabel"):
        raise ShapeError(f"classification_mode is \"single-label\" or \"multilabel\", not {classification_mode!r}, at {line_of(user_site())}")
    y, targets = _predictions(y, word), _targets(targets)
    labels = _labels_for(y, targets, data_format, word)
    if "C" not in labels:
        raise LabelError(f"{word} needs an axis C, y is {described(y.shape, labels)}, at {line_of(user_site())}; write dlarray(y, \"CB\") or data_format=")
    axis = labels.index("C") - y.ndim
    if targets.ndim == y.ndim - 1:
        if classification_mode == "multilabel":
            raise ShapeError(f"{word} multilabel needs a target for every class, not class indices, at {line_of(user_site())}; "
                             "write eye(classes)[indices]")
        targets = _class_indices(targets, y, labels, axis, word)
    else:
        targets = _like_predictions(_placed(targets, y, labels, "targets", word), y, "targets", word)
    if classification_mode == "single-label" and not from_logits:
        _check_probabilities(y, axis, mask is not None, word)
    params = {"axis": axis, "mode": classification_mode, "from_logits": bool(from_logits)}
    return _finished(_crossentropy, y, targets, weights, mask, params, labels, reduction, normalization_factor, word)


def _check_probabilities(y: Any, axis: int, masked: bool, word: str) -> None:
    raw = y._value if type(y) is dlarray else y
    if raw.device.type != "cpu" or not raw.numel():
        return
    tolerance = 1e-3 if raw.dtype in (torch.float32, torch.float64) else 2e-2
    low, high = raw.aminmax()
    off = 0.0 if masked else float((raw.sum(axis) - 1).abs().max())
    if low < -tolerance or high > 1 + tolerance or off > tolerance:
        sums = "" if masked else f", off 1 by up to {off:.2g} in their sum over C"
        raise ShapeError(f"{word} takes probabilities, y has values from {low.item():.4g} to {high.item():.4g}{sums}, at {line_of(user_site())}; "
                         f"write {word}(softmax(y), targets), or {word}(y, targets, from_logits=True)")


def _class_indices(targets: Any, y: Any, labels: str, axis: int, word: str) -> Any:
    """Class indices as int64, in the order of y's axes without C."""
    if differentiable(targets.dtype) or targets.dtype is torch.bool:
        raise TypeRefused(f"{word}: targets without C are class indices, integers counted from 0, not {str(targets.dtype)[6:]}, "
                          f"at {line_of(user_site())}; write dlarray(targets, labels, dtype=\"int64\")")
    rest = labels.replace("C", "")
    shape = tuple(n for k, n in enumerate(y.shape) if k != axis + y.ndim)
    if labels_of(targets) is not None:
        if sorted(labels_of(targets) or "") != sorted(rest):
            raise LabelError(f"{word}: class indices {described(targets.shape, labels_of(targets))} for y {described(y.shape, labels)}, "
                             f"at {line_of(user_site())}; they need y's labels without C, {rest!r}")
        targets = permute_dims(targets, rest)
    if tuple(targets.shape) != shape:
        raise ShapeError(f"{word}: class indices {described(targets.shape, labels_of(targets))} for y {described(y.shape, labels)}, "
                         f"at {line_of(user_site())}; they need y's shape without C, {shape}")
    return targets if targets.dtype is torch.int64 else astype(targets, "int64")


@composite
def indexcrossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask_index: int | None = None, reduction: str = "sum",
                      normalization_factor: str = "batch-size", from_logits: bool = False, data_format: str | None = None) -> Any:
    """The cross-entropy for integer class indices: minus the logarithm of the probability of each target, over the batch size.

    Formula: -(1/N) sum of log(y[target]). Indices count from 0; targets equal to `mask_index` contribute nothing, and
    `normalization_factor="target-included"` counts the others. Everything else as in `crossentropy`.

    >>> import gradloom as gl
    >>> y = gl.dlarray([[0.5, 0.25], [0.5, 0.75]], "CB")
    >>> print(f"{gl.indexcrossentropy(y, [0, -1], mask_index=-1, normalization_factor='target-included'):.4f}")
    0.6931

    Source: MATLAB indexcrossentropy.
    """
    targets = _targets(targets)
    mask = None
    if mask_index is not None:
        raw = targets._value if type(targets) is dlarray else targets
        hidden = raw == mask_index
        wrapped = [dlarray._made(v, None, labels_of(targets)) if type(targets) is dlarray else v for v in (~hidden, raw.masked_fill(hidden, 0))]
        mask, targets = wrapped
    factor = "mask-included" if normalization_factor == "target-included" else normalization_factor
    return crossentropy(y, targets, weights, mask=mask, reduction=reduction, normalization_factor=factor, from_logits=from_logits,
                        data_format=data_format)


# ----- losses of the difference d = y - targets -----


def _difference_loss(name: str, kernel: Any, slope: Any, value: Any, domain: tuple[float, float] = (-2.0, 2.0)) -> General:
    """`kernel(x, targets, delta)` of tensors; `slope(d, delta)` and `value(d, delta)` of one element. `delta` is huber's alone."""

    def run(x: Tensor, targets: Tensor, weights: Tensor | None, factor: float, reduction: str, delta: float) -> Tensor:
        return _total(kernel(x, targets, delta), weights, factor, reduction)

    def push(x_dot: Any, targets_dot: Any, weights_dot: Any, x: Any, targets: Any, weights: Any, factor: float, reduction: str, delta: float) -> Any:
        d = x - targets
        slopes = lambda: slope(d, delta), lambda: -slope(d, delta)
        return _reduced(_elementwise_push((x_dot, targets_dot, weights_dot), slopes, lambda: value(d, delta), weights), factor, reduction, x.ndim)

    def pull(y_bar: Any, x: Any, targets: Any, weights: Any, factor: float, reduction: str, delta: float, wanted: Any) -> Any:
        d = x - targets
        g = _spread(y_bar, factor, reduction, x.ndim)
        bar = _product(g, weights, slope(d, delta)) if wanted[0] or wanted[1] else None
        return bar if wanted[0] else None, -bar if wanted[1] else None, g * value(d, delta) if wanted[2] else None

    params = {"factor": 0.25, "reduction": "sum", "delta": 0.7}
    samples = [((3, 4), (3, 4), None, params), ((3, 4), (3, 4), (3, 4), params), ((3, 4), (3, 4), (3, 1), params | {"factor": 1, "reduction": "none"})]
    return general(name, run, ("x", "targets", "weights"), push=push, pull=pull, samples=samples, domain=domain, matlab=name)


def _huber_value(d: Any, delta: float) -> Any:
    c = clip(d, -delta, delta)
    return c * (d - 0.5 * c)


def _difference(word: str, operation: General, y: Any, targets: Any, weights: Any, mask: Any, reduction: str, normalization_factor: str,
                data_format: str | None, delta: float = 1.0) -> Any:
    y, targets = _predictions(y, word), _targets(targets)
    free = reduction == "none" or normalization_factor in ("none", "all-elements", "mask-included")
    labels = _labels_for(y, targets, data_format, word, "U" * y.ndim if free else None)
    targets = _like_predictions(_placed(targets, y, labels, "targets", word), y, "targets", word)
    return _finished(operation, y, targets, weights, mask, {"delta": delta}, labels, reduction, normalization_factor, word)


_mse = _difference_loss("mse", lambda x, targets, delta: (x - targets).square_().mul_(0.5), lambda d, delta: d, lambda d, delta: 0.5 * square(d))
_l1loss = _difference_loss("l1loss", lambda x, targets, delta: (x - targets).abs_(), lambda d, delta: sign(d), lambda d, delta: absolute(d))
_l2loss = _difference_loss("l2loss", lambda x, targets, delta: (x - targets).square_(), lambda d, delta: 2 * d, lambda d, delta: square(d))
_huber = _difference_loss("huber", lambda x, targets, delta: torch._C._nn.huber_loss(x, targets, 0, delta),
                          lambda d, delta: clip(d, -delta, delta), _huber_value)


@public(_mse)
def mse(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: str = "sum", normalization_factor: str = "batch-size",
        data_format: str | None = None) -> Any:
    """HALF the squared error over the batch size: sum((y - targets)**2) / (2 N), not the mean over all elements.

    Formula: (1 / 2N) sum of (y - t)**2. N is the size of B, 1 when absent; with `normalization_factor` "all-elements" the number of
    elements of y, "mask-included" the sum of the mask, "none" 1. y: any layout; targets: y's axes, in any order of labels.
    weights, mask: y's shape, or labelled; what the mask hides has no influence. The result is an unlabelled scalar;
    `reduction="none"` gives each element's half square.

    Raises LabelError where y is unlabelled and data_format is missing, ShapeError where the shapes differ.

    >>> import gradloom as gl
    >>> gl.mse(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 7.5

    Source: MATLAB mse, which is PyTorch's mse_loss times (elements per observation) / 2.
    """
    return _difference("mse", _mse, y, targets, weights, mask, reduction, normalization_factor, data_format)


@public(_l2loss)
def l2loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: str = "sum", normalization_factor: str = "batch-size",
           data_format: str | None = None) -> Any:
    """The squared error over the batch size, twice `mse`.

    Formula: (1/N) sum of (y - t)**2. Shapes, options and errors as in `mse`.

    >>> import gradloom as gl
    >>> gl.l2loss(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 15.0

    Source: MATLAB l2loss.
    """
    return _difference("l2loss", _l2loss, y, targets, weights, mask, reduction, normalization_factor, data_format)


@public(_l1loss)
def l1loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: str = "sum", normalization_factor: str = "batch-size",
           data_format: str | None = None) -> Any:
    """The absolute error over the batch size; derivative 0 where y equals its target.

    Formula: (1/N) sum of abs(y - t). Shapes, options and errors as in `mse`.

    >>> import gradloom as gl
    >>> gl.l1loss(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 5.0

    Source: MATLAB l1loss.
    """
    return _difference("l1loss", _l1loss, y, targets, weights, mask, reduction, normalization_factor, data_format)


@public(_huber)
def huber(y: Any, targets: Any, weights: Any = None, /, *, transition_point: float = 1.0, mask: Any = None, reduction: str = "sum",
          normalization_factor: str = "batch-size", data_format: str | None = None) -> Any:
    """The Huber loss over the batch size: half the square of small errors, the absolute value of large ones.

    Formula: (1/N) sum of d**2 / 2 where abs(d) <= delta, else delta (abs(d) - delta / 2), with d = y - t and delta the transition point.
    Shapes, options and errors as in `mse`.

    >>> import gradloom as gl
    >>> gl.huber(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 4.0

    Source: Huber 1964; MATLAB huber.
    """
    if not transition_point > 0:
        raise ShapeError(f"huber needs a transition_point above 0, not {transition_point!r}, at {line_of(user_site())}; write l1loss for none")
    return _difference("huber", _huber, y, targets, weights, mask, reduction, normalization_factor, data_format, float(transition_point))


# ----- putting operands in order -----


def _predictions(y: Any, word: str) -> Any:
    y = floating(y)
    if y.dtype.is_complex:
        raise TypeRefused(f"{word} takes real predictions, y is {str(y.dtype)[6:]}, at {line_of(user_site())}; write {word}(real(y), ...), abs(y) or imag(y)")
    return y


def _targets(targets: Any) -> Any:
    """An array; integers in lists stay integers, since they may be class indices."""
    if isinstance(targets, (list, tuple, int)) and not isinstance(targets, bool):
        try:
            raw = np.asarray(targets)
        except (ValueError, TypeError, RuntimeError):
            return array(targets)
        if raw.dtype.kind in "iu":
            return dlarray(raw, dtype="int64")
    return array(targets)


def _labels_for(y: Any, targets: Any, data_format: str | None, word: str, default: str | None = None) -> str:
    """What y's axes are: its labels, those of targets of the same rank, the data_format, or the default."""
    if labels_of(y) is None and data_format is None:
        if labels_of(targets) is not None and targets.ndim == y.ndim:
            return labels_of(targets) or ""
        if default is not None or not y.ndim:
            return default or ""
    return layout_of(y, data_format, word)


def _placed(a: Any, y: Any, labels: str, what: str, word: str) -> Any:
    """a with y's axes in y's order, of size 1 where it has none."""
    its = labels_of(a)
    if its is None:
        if tuple(a.shape) == tuple(y.shape) or not a.ndim:
            return a if a.ndim == y.ndim else reshape(a, (1,) * y.ndim)
        if "C" in labels:
            k = labels.index("C")
            if what == "weights" and tuple(a.shape) == (y.shape[k],):
                return reshape(a, tuple(n if j == k else 1 for j, n in enumerate(y.shape)))
            if what == "mask" and tuple(a.shape) == tuple(n for j, n in enumerate(y.shape) if j != k):
                return reshape(a, (*a.shape[:k], 1, *a.shape[k:]))
        raise ShapeError(f"{word}: {what} {described(a.shape, None)} for y {described(y.shape, tidy(labels))}, at {line_of(user_site())}; "
                         f"give {what} y's shape or labels")
    result, _, places = aligned(labels, its)
    if result != labels:
        raise LabelError(f"{word}: {what} {described(a.shape, its)} has axes that y {described(y.shape, tidy(labels))} lacks, at {line_of(user_site())}; "
                         f"give {what} y's labels")
    a = permute_dims(a, tuple(p for p in places if p is not None))
    sizes = iter(a.shape)
    shape = tuple(1 if p is None else next(sizes) for p in places)
    a = reshape(a, shape)
    if any(n not in (1, m) for n, m in zip(shape, y.shape, strict=True)):
        raise ShapeError(f"{word}: {what} {described(shape, labels)} for y {described(y.shape, labels)}, at {line_of(user_site())}; the sizes must be the same")
    return dlarray._made(a._value, a._node, None)


def _like_predictions(a: Any, y: Any, what: str, word: str) -> Any:
    """The whole of y's shape, and floating."""
    if tuple(a.shape) != tuple(y.shape):
        raise ShapeError(f"{word}: {what} {described(a.shape, labels_of(a))} for y {described(y.shape, labels_of(y))}, at {line_of(user_site())}; "
                         "the shapes must be the same")
    return a if differentiable(a.dtype) else astype(a, y.dtype)


def _finished(operation: General, y: Any, targets: Any, weights: Any, mask: Any, params: dict[str, Any], labels: str, reduction: str,
              normalization_factor: str, word: str) -> Any:
    """Weights and mask in one, the factor of the normalization, and the operation run."""
    if reduction not in ("sum", "none"):
        raise ShapeError(f"{word}: reduction is \"sum\" or \"none\", not {reduction!r}, at {line_of(user_site())}")
    if normalization_factor not in ("batch-size", "all-elements", "mask-included", "none"):
        raise ShapeError(f"{word}: normalization_factor is \"batch-size\", \"all-elements\", \"mask-included\" or \"none\", not {normalization_factor!r}, "
                         f"at {line_of(user_site())}")
    if weights is not None:
        weights = _placed(array(weights), y, labels, "weights", word)
        weights = weights if differentiable(weights.dtype) else astype(weights, y.dtype)
    if mask is not None:
        mask = _placed(array(mask), y, labels, "mask", word)
        mask = mask if mask.dtype == y.dtype else astype(mask, y.dtype)
        weights = mask if weights is None else scale(mask, weights)
    count, divide_by = 1, None
    if reduction == "sum":
        if normalization_factor == "batch-size":
            count = y.shape[labels.index("B")] if "B" in labels else 1
        elif normalization_factor == "all-elements":
            count = math.prod(y.shape)
        elif normalization_factor == "mask-included":
            count, divide_by = (math.prod(targets.shape), None) if mask is None else (1, sum(mask))
    kept = None
    if reduction == "none" and (labels_of(y) is not None or labels_of(targets) is not None):
        kept = tidy(labels.replace("C", "") if _is_index(targets) else labels)
    if _is_index(targets):
        y, weights = promoted_arrays(y, weights)
    else:
        y, targets, weights = promoted_arrays(y, targets, weights)
    loss = operation.apply((y, targets, weights), {**params, "factor": 1 / count if count else float("nan"), "reduction": reduction}, kept)
    return loss if divide_by is None else loss / divide_by


__all__ = ["crossentropy", "huber", "indexcrossentropy", "l1loss", "l2loss", "mse"]
