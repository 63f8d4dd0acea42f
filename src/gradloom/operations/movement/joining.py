"""Joining arrays along an axis: concat along one that they have, stack along a new one."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ...core.array import among_dlarrays, labels_of, unlabelled
from ...core.declare import public
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.kinds.multilinear import Multilinear
from ...core.labels import axes_of
from ...machine.dtypes import Tensor, promoted
from .axes import array, expand_dims, fresh, reshape, squeeze
from .slices import pad_axis, slice_axis


def _join(arrays: list[Any], axis: Any, what: str) -> tuple[list[Any], str | None, int]:
    arrays, first = _alike([array(a) for a in arrays], what)
    (k,) = axes_of(axis, arrays[0].ndim, first, arrays[0].shape)
    return arrays, first, k


def _alike(arrays: list[Any], what: str) -> tuple[list[Any], str | None]:
    """Arrays that are there, and their labels, which are the same or none."""
    if not arrays:
        raise ShapeError(f"{what} needs at least one array, at {line_of(user_site())}")
    arrays = list(among_dlarrays(arrays))
    first = None
    for labels in [labels_of(a) for a in arrays]:
        if labels is not None and labels != first:
            if first is not None:
                raise LabelError(
                    f"{what} of arrays labelled {first!r} and {labels!r}, at {line_of(user_site())}; the labels must "
                    "be the same")
            first = labels
    return arrays, first


class _Concat(Multilinear):
    """Arrays, any number of them, one after the other along an axis; their sizes along it are all that a rule needs."""

    def kept(self, nodes: Sequence[Any], values: list[Any], output: Any, hidden: Sequence[Any] = ()) -> list[Any]:
        return [*(v if n is None else None for v, n in zip(values, nodes, strict=True)), None]

    def _sizes(self, v: Any, params: Any, node: Any) -> list[int]:
        return [(p.shape if p is not None else x.shape)[params["axis"]] for p, x in zip(node.parents, v, strict=False)]

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        bars: list[Any] = []
        axis, start, raw = params["axis"], 0, type(y_bar) is Tensor
        for size, want in zip(self._sizes(v, params, node), wanted, strict=True):
            bars.append((y_bar.narrow(axis, start, size) if raw else slice_axis(y_bar, axis, start, start + size))
                        if want else None)
            start += size
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        axis, total, start, y_dot = params["axis"], node.shape[params["axis"]], 0, None
        for size, dot in zip(self._sizes(v, params, node), dots, strict=True):
            if dot is not None:
                part = pad_axis(dot, axis, start, total - start - size)
                y_dot = part if y_dot is None else y_dot + part
            start += size
        return y_dot


def _cat(*parts: Tensor, axis: int) -> Tensor:
    return torch.cat(_promoted(parts), axis)


def _promoted(parts: Sequence[Tensor]) -> list[Tensor]:
    dtypes = {p.dtype for p in parts}
    if len(dtypes) == 1:
        return list(parts)
    dtype = promoted(*dtypes)
    return [p.to(dtype) for p in parts]


def _concat_on_blocks(operation: Any, inputs: Sequence[Any], params: Any) -> Any:
    """Structured Jacobians, each in its place among zeros."""
    axis = params["axis"]
    total, start, result = sum(x.shape[axis] for x in inputs), 0, None
    for x in inputs:
        part = pad_axis(x, axis, start, total - start - x.shape[axis])
        result = part if result is None else result + part
        start += x.shape[axis]
    return result


_concat = _Concat("concat", _cat, ("arrays",), [("arrays",)], {}, matlab="cat", act=_concat_on_blocks,
                  whole_axes=("axis",), samples=[
    ((2, 3), (1, 3), (4, 3), {"axis": -2}), ((2, 0), (2, 3), {"axis": -1}), ((2,), (1,), (2,), {"axis": -1})])


@public(_concat)
def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays one after the other along an axis that they have; with axis=None all their elements, as one vector.

    >>> import gradloom as gl
    >>> gl.concat([gl.dlarray([1.0, 2.0]), gl.dlarray([3.0])])
    3 dlarray float64
    [1. 2. 3.]

    Source: array API concat, MATLAB cat.
    """
    if axis is None:
        return raveled([unlabelled(array(x)) for x in arrays])
    parts, labels, k = _join(arrays, axis, "concat")
    return fresh(parts[0]) if len(parts) == 1 else _concat.apply(parts, {"axis": k - parts[0].ndim}, labels)


class _Ravel(_Concat):
    """All elements of arrays as one vector, each in C order."""

    def _sizes(self, v: Any, params: Any, node: Any) -> list[int]:
        return [math.prod((p if p is not None else x).shape) for p, x in zip(node.parents, v, strict=False)]

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        bars = super().pull(v, {"axis": -1}, node, y_bar, lead, wanted)
        if type(y_bar) is Tensor:
            return [None if bar is None else bar.reshape(lead + p.shape)
                    for bar, p in zip(bars, node.parents, strict=True)]
        return [None if bar is None else reshape(bar, (*lead, *p.shape))
                for bar, p in zip(bars, node.parents, strict=True)]

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        flat = [None if dot is None else reshape(dot, (*lead, math.prod(dot.shape[len(lead):]))) for dot in dots]
        return super().push(v, {"axis": -1}, node, flat, lead)


def _ravel_on_blocks(operation: Any, inputs: Sequence[Any], params: Any) -> Any:
    return _concat_on_blocks(_concat, [reshape(x, (math.prod(x.shape),)) for x in inputs], {"axis": -1})


_ravel = _Ravel("ravel", lambda *parts: torch.cat(_promoted([p.reshape(-1) for p in parts])),
                ("arrays",), [("arrays",)], {}, act=_ravel_on_blocks, samples=[
    ((2, 3), (1,), (), {}), ((2, 0), (3, 1), {}), ((2, 2), {})])


def raveled(arrays: list[Any]) -> Any:
    """The elements of arrays without labels as one vector."""
    return _ravel.apply(_alike(arrays, "concat")[0]) if len(arrays) != 1 else reshape(arrays[0], (-1,))


class _Stack(_Concat):
    """Arrays of one shape along a new axis: joined there with size 1 each."""

    def _sizes(self, v: Any, params: Any, node: Any) -> list[int]:
        return [1] * len(node.parents)

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        if type(y_bar) is Tensor:
            return [y_bar.select(params["axis"], k) if want else None for k, want in enumerate(wanted)]
        return [None if bar is None else squeeze(bar, axis=params["axis"])
                for bar in super().pull(v, params, node, y_bar, lead, wanted)]

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        return super().push(v, params, node, [None if dot is None else expand_dims(dot, axis=params["axis"])
                                              for dot in dots], lead)


def _stacked(*parts: Tensor, axis: int) -> Tensor:
    return torch.stack(_promoted(parts), axis)


def _stack_on_blocks(operation: Any, inputs: Sequence[Any], params: Any) -> Any:
    return _concat_on_blocks(_concat, [expand_dims(x, axis=params["axis"]) for x in inputs], params)


_stack = _Stack("stack", _stacked, ("arrays",), [("arrays",)], {}, matlab="cat", act=_stack_on_blocks, samples=[
    ((2, 3), (2, 3), {"axis": -2}), ((), (), (), {"axis": -1}), ((0, 2), (0, 2), {"axis": -3}), ((1,), {"axis": -2})])


@public(_stack)
def stack(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays of one shape along a new axis, labelled U.

    >>> import gradloom as gl
    >>> gl.stack([gl.dlarray(1.0), gl.dlarray(2.0)])
    2 dlarray float64
    [1. 2.]

    Source: array API stack.
    """
    parts, labels = _alike([array(a) for a in arrays], "stack")
    (k,) = axes_of(axis, parts[0].ndim + 1, None)
    if len({p.shape for p in parts}) > 1:
        raise ShapeError(
            f"stack needs arrays of one shape, not {sorted({tuple(p.shape) for p in parts})}, at "
            f"{line_of(user_site())}")
    return _stack.apply(parts, {"axis": k - parts[0].ndim - 1}, labels and f"{labels[:k]}U{labels[k:]}")


__all__ = ["concat", "stack"]
