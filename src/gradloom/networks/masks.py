"""Masks of padded sequences: which time steps of an array are there. They go through a network beside the arrays.

A mask is an array of truth values with the axes T and maybe B. None is one that hides nothing.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..machine.dtypes import Tensor
from ..machine.questions import decided
from ..operations.elementwise.choice import where
from .body import WithBody
from .spatial import called

Mask = dlarray | None


def entering(given: Any, xs: Sequence[dlarray], names: Sequence[str]) -> tuple[Mask, ...] | None:
    """The masks of a network's inputs, from one array or one (or None) for each input; None where nothing is hidden."""
    if given is None:
        return None
    masks = tuple(given) if isinstance(given, (tuple, list)) and len(xs) > 1 else (given,)
    if len(masks) != len(xs):
        raise ShapeError(f"{len(masks)} mask{'s' * (len(masks) != 1)} for {len(xs)} inputs ({', '.join(names)}), at "
                         f"{line_of(user_site())}; give one for each, None for an input without padding")
    checked = tuple([None if mask is None else _entering(mask, x) for mask, x in zip(masks, xs, strict=True)])
    return None if all(mask is None for mask in checked) else checked


def _entering(given: Any, x: dlarray) -> Mask:
    mask = given if type(given) is dlarray else dlarray(given)
    its = x._labels or ""
    expected = "".join(letter for letter in its if letter in "BT")
    if "T" not in expected:
        raise LabelError(f"a mask says which time steps are there, x is {described(x.shape, x._labels)}, at "
                         f"{line_of(user_site())}; label the axis of time T")
    labels = mask._labels or (expected if mask.ndim == len(expected) else "T" if mask.ndim == 1 else "")
    sizes = dict(zip(its, x.shape, strict=True))
    if ("T" not in labels or set(labels) - set(expected) or len(labels) != mask.ndim
            or any(sizes[letter] != n for letter, n in zip(labels, mask.shape, strict=True))):
        raise ShapeError(f"the mask is {described(mask.shape, mask._labels)}, x is {described(x.shape, x._labels)}, at "
                         f"{line_of(user_site())}; it has the axes B and T of x, 1 for what is there, 0 for padding")
    value = mask._value != 0
    return None if decided(value.all()) else dlarray._made(value, None, labels)


def told(net: WithBody, masks: Sequence[Mask]) -> dict[str, Any]:
    """The options with which a network runs where these are the masks of its inputs. What a torch module is told is its
    own matter."""
    return {"mask": masks if len(masks) > 1 else masks[0]} if net._body.takes_masks else {}


def predicted(net: Any, xs: Sequence[Any], masks: Sequence[Mask] | None, outputs: Any) -> tuple[Any, Sequence[Mask]]:
    """What a network predicts, and which steps of each output are there. A torch module's are those of the first input
    with padding and as many steps."""
    if masks is not None and net._body.takes_masks:
        y, _, left = net._body.run_masked(net._values, xs, told(net, masks)["mask"], False, outputs)
        ys = y if isinstance(y, tuple) else (y,)
        return y, (None,) * len(ys) if left is None else left
    y = net.predict(*xs, outputs=outputs)
    hiding = [mask for mask in masks or () if mask is not None]
    return y, [next((mask for mask in hiding if mask.sizes["T"] == one.sizes.get("T")), None)
               for one in (y if isinstance(y, tuple) else (y,))]


def combined(masks: Any) -> Mask:
    """What is there in all of several arrays that are combined step by step, from the mask or masks of a layer."""
    if not isinstance(masks, tuple):
        return masks  # type: ignore[no-any-return]
    found: Mask = None
    for mask in masks:
        if mask is not None and mask is not found:
            found = mask if found is None else found & mask
    return found


def aligned(mask: dlarray, x: Any) -> Tensor:
    """The mask with the axes of x, of size 1 where it has none."""
    its, labels = x._labels, mask._labels or ""
    if set(labels) - set(its):
        raise ShapeError(f"x {described(x.shape, its)} is the same for all observations, and its mask "
                         f"{described(mask.shape, labels)} is not, at {line_of(user_site())}; add it to an array with "
                         "an axis B before")
    order = sorted(range(mask.ndim), key=lambda k: its.index(labels[k]))
    value = mask._value.permute(order)
    return value.reshape([n if letter in labels else 1 for letter, n in zip(its, x.shape, strict=True)])


def filled(x: Any, mask: Mask, value: Any = 0) -> Any:
    """x with a number in the place of padding, whatever was there."""
    return x if mask is None else where(dlarray._made(aligned(mask, x), None), x, value)


def ones_where(x: Any, mask: dlarray) -> dlarray:
    """1 where something is there and 0 where padding is, along the axes of the mask alone, in x's type."""
    dtype = x._value.dtype.to_real() if x._value.dtype.is_complex else x._value.dtype
    return dlarray._made(aligned(mask, x).to(dtype), None, x._labels)


def counted(mask: dlarray) -> Tensor:
    """How many steps are there in each observation, along a last axis of size 1."""
    value = mask._value
    return (value.sum(0) if mask._labels == "T" else value.sum(mask.dims.index("T"))).unsqueeze(-1)


def resampled(mask: dlarray, y: Any, count: Callable[[Tensor], Tensor], stride: int, layer: Any) -> dlarray:
    """The mask of what a layer makes along T, whose padding has to be at one end: `count` says how many steps come of
    how many, one each `stride`."""
    time = mask.dims.index("T")
    value = mask._value.movedim(time, -1)
    n, m = value.shape[-1], y.shape[y.dims.index("T")]
    its, at = counted(mask), torch.arange(n, device=value.device)
    left, after = count(its).clamp(min=0), torch.arange(m, device=value.device)
    if decided((value == (at < its)).all()):
        made = after < left
    elif decided(((value == (at >= n - its)) & ((n - its) % stride == 0)).all()):
        made = after >= m - left
    else:
        raise ShapeError(f"{called(layer)} cannot tell which of its steps are there, at {line_of(user_site())}; pad "
                         "sequences at the end, as sequence_padding_direction=\"right\" does")
    return dlarray._made(made.movedim(-1, time), None, mask._labels)


def takes_mask(function: Callable[..., Any]) -> bool:
    """Whether a layer's predict or forward, or a function, has a keyword `mask`."""
    try:
        mask = inspect.signature(function).parameters.get("mask")
    except (TypeError, ValueError):  # some builtins do not tell
        return False
    return mask is not None and mask.kind is mask.KEYWORD_ONLY


def refuse(layer: Any, why: str, remedy: str) -> TypeRefused:
    """The error of a layer that cannot keep padding out."""
    return TypeRefused(f"{called(layer)} {why}, at {line_of(user_site())}; {remedy}, or give sequences of one length "
                       "in each mini-batch (mini_batch_size=1, or sequence_length=)")


def left_by(stage: Any, mask: Mask, y: Any, told: bool) -> Mask:
    """The mask of what a layer returned, if that still has steps."""
    if mask is None:
        return None
    labels = y._labels or ""
    if "T" not in labels and told:
        return None
    if "T" in labels and y.shape[labels.index("T")] == mask.shape[mask.dims.index("T")]:
        return mask
    raise refuse(stage.layer, f"makes {described(y.shape, y._labels)} of a sequence with padding, and does not say "
                 "what it does with padding", "in a layer of your own write def predict(self, x, *, mask=None), and "
                 "def output_mask(self, mask, y) where the number of steps changes")


__all__ = ["Mask", "aligned", "combined", "counted", "entering", "filled", "left_by", "ones_where", "refuse",
           "resampled", "takes_mask", "told"]
