"""Cross-entropy, of probabilities or of what goes into softmax or sigmoid: one operation for both, for targets of any
kind."""
from __future__ import annotations

from typing import Any

import torch

from ....core.array import dlarray, labels_of
from ....core.declare import composite, general, public
from ....core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ....core.labels import described
from ....machine.dtypes import Tensor, differentiable
from ....machine.questions import decided, read, usually
from ...elementwise.activations import sigmoid, softplus
from ...elementwise.arithmetic import astype, scale
from ...elementwise.choice import clip
from ...elementwise.mathematics import log
from ...movement.axes import permute_dims, reshape
from ...sums.reduction import sum
from ..softmax import log_softmax, softmax
from .weighted_sums import (
    elementwise_pull,
    elementwise_push,
    finished,
    is_index,
    labels_for,
    like_predictions,
    placed,
    predictions_of,
    product,
    reduced,
    spread,
    targets_of,
    weighted,
    weighted_total,
)

aten = torch.ops.aten


def tiny(x: Any) -> float:
    return torch.finfo(x.dtype).tiny


def constant_like(raw: Tensor, x: Any) -> Any:
    """A constant of the same kind as x, for a rule."""
    return dlarray._made(raw, None) if type(x) is dlarray else raw


def _dense(targets: Any, x: Any, axis: int) -> Any:
    """Targets as probabilities: class indices become ones and zeros, a constant in x's type."""
    if not is_index(targets):
        return targets
    raw = targets._value if type(targets) is dlarray else targets
    hot = torch.zeros(tuple(x.shape), dtype=x.dtype, device=x.device)
    return constant_like(hot.scatter_(axis, raw.unsqueeze(axis), 1), x)


def clipped_log(x: Any) -> Any:
    """log(x), x clipped away from 0."""
    return log(clip(x, tiny(x), None))


def log_slope(x: Any) -> Any:
    """The derivative of `_log`: 0 where x is clipped."""
    raw = x._value if type(x) is dlarray else x
    return constant_like((raw >= tiny(raw)).to(raw.dtype), x) / clip(x, tiny(x), None)


def _at_index(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """Weights at class indices; they may be of size 1 on any axis."""
    if x.shape[axis] == 1:
        return x
    shape = list(index.shape)
    shape[axis] = x.shape[axis]
    return x.expand(shape).gather(axis, index)


def _crossentropy_kernel(x: Tensor, targets: Tensor, weights: Tensor | None, axis: int, mode: str,
                         from_logits: bool, clipped: bool, factor: float,
                         reduction: str) -> tuple[Tensor, Tensor]:
    """The loss, and log_softmax(x) where that is in it. `clipped` is False where no probability can be so small that it
    is clipped."""
    if mode == "multilabel":
        e = (torch.logaddexp(x, x.new_zeros(())) - targets * x if from_logits else
             (targets - 1) * (1 - x).clamp_min_(tiny(x)).log_() - targets * x.clamp_min(tiny(x)).log_())
        return weighted_total(e, weights, factor, reduction), x.new_empty(0)
    logs = torch.log_softmax(x, axis) if from_logits else x.new_empty(0)
    if not is_index(targets):
        e = logs * targets if from_logits else (x.clamp_min(tiny(x)).log_() if clipped else x.log()).mul_(targets)
        return weighted_total(e if reduction == "sum" else e.neg_(), weights, -factor, reduction), logs
    index = targets.unsqueeze(axis)
    try:
        e = logs.gather(axis, index) if from_logits else x.gather(axis, index).clamp_min_(tiny(x)).log_()
    except (IndexError, RuntimeError):
        _check_indices(targets, x.shape[axis])
        raise
    if reduction == "sum":
        return weighted_total(e, None if weights is None else _at_index(weights, index, axis), -factor, reduction), logs
    return weighted_total(e.neg_(), None if weights is None else _at_index(weights, index, axis),
                          factor, reduction).squeeze(axis), logs


def _check_indices(index: Tensor, classes: int) -> None:
    """An error for class indices that are none; read where a kernel has refused them already."""
    outside = (index < 0) | (index >= classes)
    if not decided(outside.any()):
        return
    place = tuple(read(torch.nonzero(outside)[0]))
    value, at = int(index[place]), ", ".join(map(str, place))
    way = "write targets - 1" if decided((index == classes).any() & (index > 0).all()) else (
        f"to leave targets out, write indexcrossentropy(y, targets, mask_index={value})")
    raise ShapeError(
        f"crossentropy: the class index at targets[{at}] is {value}, and the {classes} classes along C are numbered "
        f"from 0 to {classes - 1}, at {line_of(user_site())}; {way}")


def _slopes_and_value(x: Any, t: Any, mode: str, from_logits: bool) -> tuple[Any, Any]:
    """Slopes of an element's loss in its prediction and its target, and the loss itself."""
    if mode == "single-label":
        return (lambda: -(t * log_slope(x)), lambda: -clipped_log(x)), lambda: -(t * clipped_log(x))
    if from_logits:
        return (lambda: sigmoid(x) - t, lambda: -x), lambda: softplus(x) - t * x
    return ((lambda: (1 - t) * log_slope(1 - x) - t * log_slope(x), lambda: clipped_log(1 - x) - clipped_log(x)),
            lambda: (t - 1) * clipped_log(1 - x) - t * clipped_log(x))


def _crossentropy_push(x_dot: Any, targets_dot: Any, weights_dot: Any, x: Any, targets: Any,
                       weights: Any, axis: int, mode: str,
                       from_logits: bool, factor: float, reduction: str) -> Any:
    t = _dense(targets, x, axis)
    if mode == "single-label" and from_logits:
        parts = []
        if x_dot is not None:
            tw = weighted(t, weights)
            parts.append(sum(x_dot * softmax(x, axis=axis), axis=axis, keepdims=True) * tw - x_dot * tw)
        if targets_dot is not None:
            parts.append(-product(targets_dot, weights, log_softmax(x, axis=axis)))
        if weights_dot is not None:
            parts.append(-(weights_dot * (t * log_softmax(x, axis=axis))))
    else:
        slopes, value = _slopes_and_value(x, t, mode, from_logits)
        parts = elementwise_push((x_dot, targets_dot, weights_dot), slopes, value, weights)
    y_dot = reduced(parts, factor, reduction, x.ndim)
    return sum(y_dot, axis=axis) if is_index(targets) and reduction != "sum" else y_dot


def _crossentropy_pull(y_bar: Any, x: Any, targets: Any, weights: Any, axis: int, mode: str,
                       from_logits: bool, factor: float,
                       reduction: str, wanted: Any) -> Any:
    t = _dense(targets, x, axis)
    if is_index(targets) and reduction != "sum":
        at = y_bar.ndim + 1 + axis
        y_bar = reshape(y_bar, (*y_bar.shape[:at], 1, *y_bar.shape[at:]))
    g = spread(y_bar, factor, reduction, x.ndim)
    if mode != "single-label" or not from_logits:
        slopes, value = _slopes_and_value(x, t, mode, from_logits)
        return elementwise_pull(g, slopes, value, weights, wanted)
    bars: list[Any] = [None] * 3
    if wanted[0]:
        gt = product(g, weights, t)
        bars[0] = scale(sum(gt, axis=axis, keepdims=True), softmax(x, axis=axis)) - gt
    if wanted[1]:
        bars[1] = -product(g, weights, log_softmax(x, axis=axis))
    if wanted[2]:
        bars[2] = -(g * (t * log_softmax(x, axis=axis)))
    return bars


def _crossentropy_fused(y_bar: Tensor, x: Tensor, targets: Tensor, logs: Tensor, weights: Any,
                        axis: int, mode: str, from_logits: bool, clipped: bool,
                        factor: float, reduction: str, wanted: Any) -> Any:
    """Quick ways: a sum without weights, of which the targets are constants; the plain one is _crossentropy_pull."""
    index = is_index(targets)
    if mode == "multilabel" and from_logits and reduction == "sum" and weights is None and not wanted[1]:
        return torch.sigmoid(x).sub_(targets).mul_(y_bar * factor), None, None
    if mode == "multilabel" or reduction != "sum" or weights is not None or wanted[1]:
        return _crossentropy_pull(y_bar, x, targets, weights, axis, mode, from_logits, factor, reduction, wanted)
    g = y_bar * -factor
    if index:
        where = targets.unsqueeze(axis)
        slope = g.expand(where.shape) if from_logits else log_slope(x.gather(axis, where)) * g
        bar = torch.zeros_like(x).scatter_(axis, where, slope)
        return aten._log_softmax_backward_data(bar, logs, axis, x.dtype) if from_logits else bar, None, None
    if not from_logits:
        bar = (targets / x).mul_(g)
        return bar.masked_fill_(x < tiny(x), 0) if clipped else bar, None, None
    return aten._log_softmax_backward_data(targets * g, logs, axis, x.dtype), None, None


def _options(**changed: Any) -> dict[str, Any]:
    return {"axis": -2, "mode": "single-label", "from_logits": False, "clipped": True, "factor": 0.5,
            "reduction": "sum"} | changed


_MODES = [{"mode": mode, "from_logits": logits} for mode in ("single-label", "multilabel") for logits in (False, True)]
_INDEX = torch.tensor([2, 0, 1, 2], device="cpu")
_crossentropy = general(
    "crossentropy", _crossentropy_kernel, ("x", "targets", "weights"), push=_crossentropy_push, pull=_crossentropy_pull,
    fused_pull=_crossentropy_fused, hidden=("logs",), domain=(0.2, 0.8), matlab="crossentropy",
    samples=[*[((3, 4), (3, 4), None, _options(**m)) for m in _MODES], ((3, 4), (3, 4), None, _options(clipped=False)),
             *[((3, 4), (3, 4), (3, 1), _options(**m, reduction="none", factor=1)) for m in _MODES],
             *[((3, 4), _INDEX, None, _options(**m)) for m in _MODES[:2]],
             *[((3, 4), _INDEX, (3, 1), _options(**m, reduction="none", factor=1)) for m in _MODES[:2]]],
                        real_only="losses take real predictions")


@public(_crossentropy)
def crossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None,
                 classification_mode: str = "single-label",
                 reduction: str = "sum", normalization_factor: str = "batch-size", from_logits: bool = False,
                 data_format: str | None = None, weights_format: str | None = None) -> Any:
    """The cross-entropy between probabilities and targets, summed and divided by the batch size.

    Formula: -(1/N) sum of t log(y); "multilabel": -(1/N) sum of t log(y) + (1 - t) log(1 - y). N is the size of B, 1
    when absent; with `normalization_factor` "all-elements" the number of elements of y, "mask-included" (or
    "target-included") the sum of the mask, "none" 1. y holds probabilities over C, as softmax (sigmoid for
    "multilabel") gives them, clipped away from 0 before the logarithm. `from_logits=True` takes what goes into softmax
    or sigmoid: exact for every size, and faster.

    y: any layout with C. targets: y's axes, in any order of labels, or integer class indices counted from 0, without C.
    weights: one for each class, or labelled, or with `weights_format`. mask: 0 and 1, y's shape, or labelled; what it
    hides has no influence. The result is an unlabelled scalar; `reduction="none"` gives each element's part (for class
    indices, each observation's).

    Raises ShapeError for values outside [0, 1] or, single-label, that do not sum to 1 over C to within 1e-3 (checked on
    the CPU); LabelError where y is unlabelled and data_format is missing.

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
        raise ShapeError(f"classification_mode is \"single-label\" or \"multilabel\", not {classification_mode!r}, "
                         f"at {line_of(user_site())}")
    y, targets = predictions_of(y, word), targets_of(targets)
    labels = labels_for(y, targets, data_format, word)
    if "C" not in labels:
        raise LabelError(f"{word} needs an axis C, y is {described(y.shape, labels)}, at {line_of(user_site())}; "
                         "write dlarray(y, \"CB\") or data_format=")
    axis = labels.index("C") - y.ndim
    if targets.ndim == y.ndim - 1:
        if classification_mode == "multilabel":
            raise ShapeError(
                f"{word} multilabel needs a target for every class, not class indices, at {line_of(user_site())}; "
                "write eye(classes)[indices]")
        targets = _class_indices(targets, y, labels, axis, word)
    else:
        targets = like_predictions(placed(targets, y, labels, "targets", word), y, "targets", word)
    clipped = True
    if classification_mode == "single-label" and not from_logits:
        clipped = check_probabilities(y, axis, mask is not None, word)
    params = {"axis": axis, "mode": classification_mode, "from_logits": bool(from_logits), "clipped": clipped}
    return finished(_crossentropy, y, targets, weights, mask, params, labels, reduction, normalization_factor,
                    word, weights_format)


def check_probabilities(y: Any, axis: int, masked: bool, word: str) -> bool:
    """Refuse what cannot be probabilities; whether some may be so small that they are clipped."""
    raw = y._value if type(y) is dlarray else y
    if raw.device.type != "cpu" or not raw.numel():
        return True
    tolerance = 1e-3 if raw.dtype in (torch.float32, torch.float64) else 2e-2
    room = tiny(raw)

    def off() -> Tensor:
        """How far a sum is from 1; the largest where not all classes count."""
        return raw.amax().sub_(1) if masked else raw.sum(axis).sub_(1).abs_().max()

    if usually(lambda: read(raw.amin()) >= room and read(off()) <= tolerance,
               lambda: (raw.amin() >= room) & (off() <= tolerance)):
        return False  # none is far above 1
    low, high, far = raw.amin(), raw.amax(), off()
    if decided((low < -tolerance) | (high > 1 + tolerance) | (far > tolerance)):  # a NaN is no such value
        sums = "" if masked else f", off 1 by up to {read(far):.2g} in their sum over C"
        raise ShapeError(f"{word} takes probabilities, y has values from {read(low):.4g} to {read(high):.4g}{sums}, at "
                         f"{line_of(user_site())}; write {word}(softmax(y), targets), or {word}(y, targets, "
                         "from_logits=True)")
    return not decided(low >= room)


def _class_indices(targets: Any, y: Any, labels: str, axis: int, word: str) -> Any:
    """Class indices as int64, in the order of y's axes without C."""
    if differentiable(targets.dtype) or targets.dtype is torch.bool:
        raise TypeRefused(
            f"{word}: targets without C are class indices, integers counted from 0, not {str(targets.dtype)[6:]}, at "
            f"{line_of(user_site())}; write dlarray(targets, labels, dtype=\"int64\")")
    rest = labels.replace("C", "")
    shape = tuple(n for k, n in enumerate(y.shape) if k != axis + y.ndim)
    if labels_of(targets) is not None:
        if sorted(labels_of(targets) or "") != sorted(rest):
            raise LabelError(
                f"{word}: class indices {described(targets.shape, labels_of(targets))} for y "
                f"{described(y.shape, labels)}, at {line_of(user_site())}; they need y's labels without C, {rest!r}")
        targets = permute_dims(targets, rest)
    if tuple(targets.shape) != shape:
        raise ShapeError(
            f"{word}: class indices {described(targets.shape, labels_of(targets))} for y {described(y.shape, labels)}, "
            f"at {line_of(user_site())}; they need y's shape without C, {shape}")
    return targets if targets.dtype is torch.int64 else astype(targets, "int64")


@composite
def indexcrossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask_index: int | None = None,
                      reduction: str = "sum",
                      normalization_factor: str = "batch-size", from_logits: bool = False,
                      data_format: str | None = None,
                      weights_format: str | None = None) -> Any:
    """The cross-entropy for integer class indices: minus the logarithm of the probability of each target, over the
    batch size.

    Formula: -(1/N) sum of log(y[target]). Indices count from 0; targets equal to `mask_index` contribute nothing, and
    `normalization_factor="target-included"` counts the others. Everything else as in `crossentropy`.

    >>> import gradloom as gl
    >>> y = gl.dlarray([[0.5, 0.25], [0.5, 0.75]], "CB")
    >>> print(f"{gl.indexcrossentropy(y, [0, -1], mask_index=-1, normalization_factor='target-included'):.4f}")
    0.6931

    Source: MATLAB indexcrossentropy.
    """
    targets = targets_of(targets)
    mask = None
    if mask_index is not None:
        raw = targets._value if type(targets) is dlarray else targets
        hidden = raw == mask_index
        labels = labels_of(targets)
        mask, targets = ((dlarray._made(v, None, labels) if type(targets) is dlarray else v)
                         for v in (~hidden, raw.masked_fill(hidden, 0)))
    return crossentropy(y, targets, weights, mask=mask, reduction=reduction, normalization_factor=normalization_factor,
                        from_logits=from_logits,
                        data_format=data_format, weights_format=weights_format)


__all__ = ["crossentropy", "indexcrossentropy"]
