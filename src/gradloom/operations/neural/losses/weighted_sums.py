"""What all losses share: a weighted sum over all elements times a factor, and their operands put in order.

`x` are the predictions, and `weights` is None or the product of weights and mask with as many axes as x. A weight of 0
selects: what it hides may be NaN.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ....core.array import among_dlarrays, dlarray, labels_of, raw
from ....core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ....core.kinds.general import General
from ....core.labels import aligned, described, tidy
from ....core.trace import selected
from ....machine.dtypes import Tensor, differentiable
from ...elementwise.arithmetic import astype, scale
from ...matrices.contraction import layout_of, promoted_arrays
from ...movement.axes import array, permute_dims, reshape
from ...sums.reduction import sum
from ..softmax import floating

# ----- rules -----


def weighted(e: Any, weights: Any) -> Any:
    """weights * e, 0 where the weight is 0."""
    return e if weights is None else scale(weights, e)


def product(g: Any, weights: Any, slope: Any) -> Any:
    """A tangent or cotangent g times a slope and the weights, 0 where the weight is 0."""
    return g * slope if weights is None else scale(g * weights, slope)


def weighted_total(e: Tensor, weights: Tensor | None, factor: float, reduction: str) -> Tensor:
    """The end of a kernel."""
    if weights is not None:
        e = torch.where(weights == 0, e.new_zeros(()), e * weights)
    return e.sum() * factor if reduction == "sum" else e


def reduced(parts: list[Any], factor: float, reduction: str, ndim: int) -> Any:
    """The end of a push: the sum of the parts that each input's tangent has in the elements' tangents."""
    e_dot = parts[0]
    for part in parts[1:]:
        e_dot = e_dot + part
    return sum(e_dot, axis=tuple(range(-ndim, 0))) * factor if reduction == "sum" else e_dot


def spread(y_bar: Any, factor: float, reduction: str, ndim: int) -> Any:
    """The start of a pull: the cotangent of each element's loss, by broadcasting."""
    if reduction != "sum":
        return y_bar
    y_bar = y_bar * factor
    return reshape(y_bar, (*y_bar.shape, *(1,) * ndim)) if y_bar.ndim else y_bar


def elementwise_push(dots: Any, slopes: Any, value: Callable[[], Any], weights: Any) -> list[Any]:
    """Parts of the tangent where an element's loss depends on its own prediction and target: slopes in those, value for
    the weights."""
    parts = [product(dot, weights, slope()) for dot, slope in zip(dots[:2], slopes, strict=True) if dot is not None]
    return parts if dots[2] is None else [*parts, dots[2] * value()]


def elementwise_pull(g: Any, slopes: Any, value: Callable[[], Any], weights: Any, wanted: Any) -> list[Any]:
    bars = [product(g, weights, slope()) if want else None for slope, want in zip(slopes, wanted[:2], strict=True)]
    return [*bars, g * value() if wanted[2] else None]


# ----- operands -----


def is_index(targets: Any) -> bool:
    """Whether targets are class indices."""
    return not differentiable(targets.dtype)


def predictions_of(y: Any, word: str) -> Any:
    y = floating(y)
    if y.dtype.is_complex:
        raise TypeRefused(f"{word} takes real predictions, y is {str(y.dtype)[6:]}, at {line_of(user_site())}; "
                          f"write {word}(real(y), ...), or imag(y) or abs(y)")
    return y


def targets_of(targets: Any) -> Any:
    """An array; integers in lists stay integers, since they may be class indices."""
    if isinstance(targets, (list, tuple, int)) and not isinstance(targets, bool):
        try:
            found = np.asarray(targets)
        except (ValueError, TypeError, RuntimeError):
            return array(targets)
        if found.dtype.kind in "iu":
            return dlarray(found, dtype="int64")
    return array(targets)


def labels_for(y: Any, targets: Any, data_format: str | None, word: str, default: str | None = None) -> str:
    """What y's axes are: its labels, those of targets of the same rank, the data_format, or the default."""
    if labels_of(y) is None and data_format is None:
        if labels_of(targets) is not None and targets.ndim == y.ndim:
            return labels_of(targets) or ""
        if default is not None or not y.ndim:
            return default or ""
    return layout_of(y, data_format, word)


def placed(a: Any, y: Any, labels: str, what: str, word: str, data_format: str | None = None) -> Any:
    """a with y's axes in y's order, of size 1 where it has none; `data_format` says what the axes of an unlabelled a
    are."""
    a, _ = among_dlarrays((a, y))
    its = labels_of(a) if data_format is None else layout_of(a, data_format, f"{word}: {what}")
    if its is None:
        if raw(a).shape == raw(y).shape or not a.ndim:
            return a if a.ndim == y.ndim else reshape(a, (1,) * y.ndim)
        if "C" in labels:
            k = labels.index("C")
            if what == "weights" and tuple(a.shape) == (y.shape[k],):
                return reshape(a, tuple(n if j == k else 1 for j, n in enumerate(y.shape)))
            if what == "mask" and tuple(a.shape) == tuple(n for j, n in enumerate(y.shape) if j != k):
                return reshape(a, (*a.shape[:k], 1, *a.shape[k:]))
        raise ShapeError(
            f"{word}: {what} {described(a.shape, None)} for y {described(y.shape, tidy(labels))}, at "
            f"{line_of(user_site())}; give {what} y's shape or labels")
    # MATLAB's "UC" of one row
    if "U" not in labels and {n for n, letter in zip(a.shape, its, strict=True) if letter == "U"} == {1}:
        a, its = reshape(a, tuple(n for n, letter in zip(a.shape, its, strict=True)
                                  if letter != "U")), its.replace("U", "")
    result, _, places = aligned(labels, its)
    if result != labels:
        raise LabelError(
            f"{word}: {what} {described(a.shape, its)} has axes that y {described(y.shape, tidy(labels))} lacks, at "
            f"{line_of(user_site())}; give {what} y's labels")
    a = permute_dims(a, tuple(p for p in places if p is not None))
    sizes = iter(a.shape)
    shape = tuple(1 if p is None else next(sizes) for p in places)
    a = reshape(a, shape)
    if any(n not in (1, m) for n, m in zip(shape, y.shape, strict=True)):
        raise ShapeError(
            f"{word}: {what} {described(shape, labels)} for y {described(y.shape, labels)}, at {line_of(user_site())}; "
            "the sizes must be the same")
    return dlarray._made(a._value, a._node, None) if type(a) is dlarray else a


def like_predictions(a: Any, y: Any, what: str, word: str) -> Any:
    """The whole of y's shape, and floating."""
    if raw(a).shape != raw(y).shape:
        raise ShapeError(f"{word}: {what} {described(a.shape, labels_of(a))} for y {described(y.shape, labels_of(y))}, "
                         f"at {line_of(user_site())}; the shapes must be the same")
    return a if differentiable(a.dtype) else astype(a, y.dtype)


def finished(operation: General, y: Any, targets: Any, weights: Any, mask: Any, params: dict[str, Any],
             labels: str, reduction: str,
             normalization_factor: str, word: str, weights_format: str | None = None) -> Any:
    """Weights and mask in one, the factor of the normalization, and the operation run."""
    normalization_factor = "mask-included" if normalization_factor == "target-included" else normalization_factor
    if reduction not in ("sum", "none"):
        raise ShapeError(f"{word}: reduction is \"sum\" or \"none\", not {reduction!r}, at {line_of(user_site())}")
    if normalization_factor not in ("batch-size", "all-elements", "mask-included", "none"):
        raise ShapeError(
            f"{word}: normalization_factor is \"batch-size\", \"all-elements\", \"mask-included\" or \"none\", not "
            f"{normalization_factor!r}, at {line_of(user_site())}")
    if weights is not None:
        weights = placed(array(weights), y, labels, "weights", word, weights_format)
        weights = weights if differentiable(weights.dtype) else astype(weights, y.dtype)
    if mask is not None:
        mask = placed(array(mask), y, labels, "mask", word)
        mask = mask if mask.dtype == y.dtype else astype(mask, y.dtype)
        weights = mask if weights is None else scale(mask, weights)
    if weights is not None:
        selected(y, targets)
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
        kept = tidy(labels.replace("C", "") if is_index(targets) else labels)
    if is_index(targets):
        y, weights = promoted_arrays(y, weights)
    else:
        y, targets, weights = promoted_arrays(y, targets, weights)
    loss = operation.apply((y, targets, weights), {**params, "factor": 1 / count if count else float("nan"),
                                                   "reduction": reduction}, kept)
    return loss if divide_by is None else loss / divide_by
