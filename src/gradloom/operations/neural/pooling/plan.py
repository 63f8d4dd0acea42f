"""What a call of pooling does: which axes, their windows, and the way of x to them and back."""
from __future__ import annotations

from typing import Any, NamedTuple

from torch.utils.weak import WeakIdKeyDictionary

from ....core.array import dlarray
from ....core.errors import LabelError, ShapeError, line_of, user_site
from ....core.labels import described, positions
from ....machine.caches import remembered
from ....machine.dtypes import Tensor
from ...matrices.contraction import layout_of
from ...movement.axes import permute_dims
from ..spatial import Sizes, fixed, padding_of, per_axis


class Plan(NamedTuple):
    """What is pooled: the order that puts the pooled axes last (None where they are), the way back, and the windows
    (size None: one)."""

    axes: Sizes
    order: Sizes | None
    inverse: Sizes
    size: Sizes | None
    stride: Sizes
    before: Sizes
    after: Sizes

    @property
    def params(self) -> dict[str, Any]:
        """Of `maxpool`."""
        return {"size": self.size, "stride": self.stride, "before": self.before, "after": self.after}


# positions in windows that do not overlap, each with the axes and sizes that they count over
_apart = WeakIdKeyDictionary()


def know_apart(place: Tensor, plan: Plan, shape: Sizes) -> None:
    """Remember of positions, in the layout of x, that they lie in x and no two are the same, where the windows say
    so."""
    if plan.size is not None and all(s >= n for s, n in zip(plan.stride, plan.size, strict=True)):
        _apart[place] = (plan.axes, tuple(shape[k] for k in plan.axes), place._version)


def known_apart(place: Tensor, axes: Sizes, spatial: Sizes) -> bool:
    return _apart.get(place) == (axes, spatial, place._version)  # the user may have written into a tensor since


@remembered(4096)
def _plan(labels: str, shape: Sizes, pool_size: Any, stride: Any, padding: Any, pool_format: str | None,
          word: str, whole: bool) -> Plan:
    axes = pooled_axes(labels, shape, pool_format, word)
    d = len(axes)
    if isinstance(pool_size, str):
        if pool_size != "global":
            raise ShapeError(
                f"{word}: pool_size is a number, one per spatial axis or \"global\", not {pool_size!r}, at "
                f"{line_of(user_site())}")
        if word == "avgpool" or d > 3 and not whole:  # a reduction is faster there, or all there is
            return Plan(axes, None, (), None, (), (), ())
        pool_size, stride, padding = tuple(shape[k] for k in axes), 1, 0
    if d > 3:
        raise ShapeError(
            f"{word} pools 1, 2 or 3 axes, x {described(shape, labels)} has {d}, at {line_of(user_site())}; reshape "
            "it, or pool \"global\"")
    size, strides = per_axis(pool_size, d, f"{word} pool_size"), per_axis(stride, d, f"{word} stride")
    pairs = padding_of(padding, [shape[k] for k in axes], size, strides, (1,) * d, word)
    for k, n, (b, a) in zip(axes, size, pairs, strict=True):
        if b >= n or a >= n:
            raise ShapeError(
                f"{word}: padding {b}, {a} for windows of {n}, at {line_of(user_site())}; it must be less than the "
                "window")
        if shape[k] + b + a < n:
            raise ShapeError(
                f"{word}: windows of {n} in an axis of {shape[k]} with padding {b}, {a}, at {line_of(user_site())}; "
                f"pool_size is at most {shape[k] + b + a}, or \"global\"")
    channel = positions(labels, "C")
    rest = [k for k in range(len(shape)) if k not in axes + channel]
    order = (*rest, *channel, *axes)  # C next to S keeps channels_last memory as it is
    inverse = tuple(order.index(k) for k in range(len(shape)))
    before, after = zip(*pairs, strict=True)
    return Plan(axes, None if order == tuple(range(len(shape))) else order, inverse, size, strides, before, after)


def pooled_axes(labels: str, shape: Sizes, pool_format: str | None, word: str) -> Sizes:
    """The axes S, or T where there is none; or those that pool_format names, in its order."""
    if pool_format is None:
        axes = positions(labels, "S") or positions(labels, "T")
    else:
        found = {letter: positions(labels, letter) for letter in "ST"}
        axes = tuple(k for letter in dict.fromkeys(pool_format) for k in found.get(letter, ()))
        if (set(pool_format) - {"S", "T"} or any(pool_format.count(letter) not in (1, len(found[letter]))
                                                 or not found[letter] for letter in set(pool_format))):
            raise LabelError(
                f"{word}: pool_format={pool_format!r} does not name axes of x {described(shape, labels)}, at "
                f"{line_of(user_site())}; it is \"S\" (all S), \"T\" or \"ST\"")
    if not axes:
        raise LabelError(
            f"{word} needs an axis S (or T), x is {described(shape, labels)}, at {line_of(user_site())}; label it, or "
            "write data_format=")
    return axes


def planned(x: Any, pool_size: Any, stride: Any, padding: Any, pool_format: str | None, data_format: str | None,
            word: str, whole: bool = False) -> Plan:
    return _plan(layout_of(x, data_format, word), tuple(x.shape), fixed(pool_size), fixed(stride),
                 fixed(padding), pool_format, word, whole)


def arranged(x: Any, plan: Plan) -> Any:
    x = dlarray._made(x._value, x._node, None) if type(x) is dlarray and x._labels is not None else x
    return x if plan.order is None else permute_dims(x, plan.order)


def put_back(y: Any, plan: Plan, labels: str | None) -> Any:
    y = y if plan.order is None else permute_dims(y, plan.inverse)
    return dlarray._made(y._value, y._node, labels) if labels is not None else y


__all__ = ["Plan", "arranged", "know_apart", "known_apart", "planned", "pooled_axes", "put_back"]
