"""What training makes small: a loss by its name or as a function, and how much a mini-batch weighs in it.

A loss gives the mean over a mini-batch and the weight of that mean, the number of observations. Over several
mini-batches (accumulated, of different sizes, of several processes) means times weights are summed, and divided once.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.array import dlarray
from ..core.errors import ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..machine.questions import decided
from ..networks.masks import takes_mask
from ..operations.neural.losses.crossentropy import crossentropy
from ..operations.neural.losses.losses import huber, l1loss, l2loss, mse
from ..vocabulary.misspelled import nearest

Loss = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], tuple[Any, int]]  # of outputs, targets and their masks


def _binary_crossentropy(y: Any, t: Any, **options: Any) -> Any:
    return crossentropy(y, t, classification_mode="multilabel", **options)


def _mean_absolute_error(y: Any, t: Any, **options: Any) -> Any:
    return l1loss(y, t, **options)


BY_NAME: dict[str, Callable[..., Any]] = {
    # indexcrossentropy is the same, and takes no mask
    "crossentropy": crossentropy, "index-crossentropy": crossentropy, "binary-crossentropy": _binary_crossentropy,
    "mse": mse, "mean-squared-error": mse, "mae": _mean_absolute_error, "mean-absolute-error": _mean_absolute_error,
    "huber": huber, "l1loss": l1loss, "l2loss": l2loss,
}
CLASSIFIES = ("crossentropy", "index-crossentropy")  # binary crossentropy compares numbers, one for each class
COMPARES = tuple(name for name in BY_NAME if "crossentropy" not in name)  # numbers with numbers
LEAST_SQUARES = {"mse": 0.5, "mean-squared-error": 0.5, "l2loss": 1.0}  # {name: factor of the square}


def loss_of(given: Any) -> Loss:
    """A loss from its name, or from a function of outputs and targets that returns a scalar."""
    if isinstance(given, str):
        if given not in BY_NAME:
            raise TypeRefused(f"trainnet knows no loss {given!r}{nearest(given, BY_NAME)}, at {line_of(user_site())}; "
                              f"write one of {', '.join(BY_NAME)}, or a function of outputs and targets")
        return _of_arrays(BY_NAME[given], given)
    if not callable(given) or isinstance(given, dlarray):
        raise TypeRefused(f"a loss is a name or a function of outputs and targets, not {type(given).__name__}, at "
                          f"{line_of(user_site())}; write \"crossentropy\", or lambda y, t: gl.mse(y, t)")
    return _of_function(given)


def _of_arrays(function: Callable[..., Any], name: str) -> Loss:
    """One of the library's losses, of each output and its target; several are added."""

    def loss(ys: Sequence[Any], ts: Sequence[Any], masks: Sequence[Any]) -> tuple[Any, int]:
        if len(ys) != len(ts):
            raise ShapeError(
                f"the loss {name!r} needs a target for each output: the network has {len(ys)}, the data {len(ts)} "
                f"target{'s' * (len(ts) != 1)}, at {line_of(user_site())}; give (x, t), or a function as the loss")
        total = None
        for y, t, mask in zip(ys, ts, masks, strict=True):
            part = function(y, t) if mask is None else function(y, t, mask=mask)
            total = part if total is None else total + part
        return total, observations_of(ys[0])

    return loss


def _of_function(function: Callable[..., Any]) -> Loss:
    """A user's loss: the mean over the observations, as theirs is to be."""

    def loss(ys: Sequence[Any], ts: Sequence[Any], masks: Sequence[Any]) -> tuple[Any, int]:
        value = function(*ys, *ts, **masking(function, masks, "the loss"))
        if type(value) is not dlarray or value.size != 1:
            its = described(value.shape, value._labels) if type(value) is dlarray else type(value).__name__
            raise ShapeError(f"the loss function returned {its}, at {line_of(user_site())}; return one number that is "
                             "computed from the outputs: gl.mean(...), gl.mse(y, t)")
        return value, observations_of(ys[0])

    return loss


def masking(function: Callable[..., Any], masks: Sequence[Any], what: str) -> dict[str, Any]:
    """The keyword in which a user's function learns which time steps of the targets are there. One that does not ask
    would count padding, and is refused where there is some."""
    if takes_mask(function):
        return {"mask": masks[0] if len(masks) == 1 else tuple(masks) if masks else None}
    if any([mask is not None and not decided(mask._value.all()) for mask in masks]):
        name = getattr(function, "__name__", type(function).__name__)
        raise TypeRefused(f"{what} is a function, {name}, that would count the padding of sequences, at "
                          f"{line_of(user_site())}; take the mask of the targets in a keyword and leave out what it "
                          "hides, as in lambda y, t, *, mask=None: gl.mse(y, t, mask=mask)")
    return {}


def observations_of(y: Any) -> int:
    """How many observations an array holds."""
    labels = y._labels
    return int(y._value.shape[labels.index("B")]) if labels is not None and "B" in labels else 1


__all__ = ["BY_NAME", "CLASSIFIES", "COMPARES", "LEAST_SQUARES", "Loss", "loss_of", "masking",
           "observations_of"]
