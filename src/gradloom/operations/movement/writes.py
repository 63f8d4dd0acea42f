"""Indexed writes as operations: an array with some of its entries replaced."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray
from ...core.kinds.multilinear import Multilinear
from ...machine.dtypes import Tensor, broadcast_shapes
from .axes import broadcast_to, reshape
from .indexing import completed, getitem, index_entries
from .places import basic_place
from .selection import take_operation


def _assign_kernel(x: Tensor, value: Any, index: Any) -> Tensor:
    return _written(x, value, {"index": index}, 0)


def _written(x: Tensor, value: Any, params: dict[str, Any], lead: int) -> Tensor:
    """A copy of x with the value in its place; both may carry leading axes."""
    if lead and isinstance(value, Tensor):
        x = x.expand(*broadcast_shapes(x.shape[:lead], value.shape[:lead]), *x.shape[lead:])
    y = x.clone(memory_format=torch.contiguous_format)
    write(y, params, value, lead)
    return y


def _value_fitted(value: Any, index: Any, x_shape: Any, lead: int) -> Any:
    """A tangent of the written value given the axes of the place it is written to."""
    rest = len(x_shape) - sum(e is not None for e in index)
    missing = len(basic_place(x_shape, [*index, *[slice(None)] * rest])) + lead - value.ndim
    if missing <= 0 or not lead:
        return value
    return reshape(value, (*value.shape[:lead], *(1,) * missing, *value.shape[lead:]))


class _Assign(Multilinear):
    """y = x with y[index] = value: linear in both."""

    overwrites = True
    keeps_type = True

    @staticmethod
    def writes_at(params: dict[str, Any]) -> int | None:
        """The row along axis 0 that is written, where it is one."""
        index = params["index"]
        at = index[0] if index else None  # none of a scalar
        if type(at) is not int or len(index) == 1:
            return at if type(at) is int else None
        return at if all([type(e) is slice and e == slice(None) for e in index[1:]]) else None

    def reads(self, name: str) -> set[str]:
        return set()

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        index = completed(params["index"], len(lead))
        bars: list[Any] = [None, None]
        if wanted[1]:
            bars[1] = _read(y_bar, params["index"], len(lead))
        if wanted[0]:
            bars[0] = self.apply((y_bar, 0), {"index": index})
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        x_dot, value_dot = dots
        if type(x_dot) is Block or type(value_dot) is Block:
            return _assign_on_blocks(params["index"], node.shape, x_dot, value_dot)
        n = len(lead)
        if x_dot is None:
            like = value_dot
            x_dot = like.new_zeros((*lead, *node.shape)) if isinstance(like, Tensor) else dlarray._made(
                like._value.new_zeros((*lead, *node.shape)), None)
        value = 0 if value_dot is None else _value_fitted(value_dot, params["index"], node.shape, n)
        return self.apply((x_dot, value), {"index": completed(params["index"], n)})


def _assign_on_blocks(index: Any, shape: Any, x: Block | None, value: Block | None) -> Block:
    """x with zeros in the place that is written, plus the values there."""
    parts = []
    if x is not None:
        mask = torch.ones(shape, dtype=x.dtype, device=x.device)
        mask[index] = 0
        parts.append(x.scaled(mask))
    if value is not None:
        parts.append(_embedded(value, index, tuple(shape)))
    return parts[0] if len(parts) == 1 else parts[0].plus(parts[1])


def _embedded(block: Block, index: Any, shape: tuple[int, ...]) -> Block:
    """A Block of values placed in zeros of a larger shape."""
    index = index if type(index) is tuple else (index,)
    index = (*index, *(slice(None),) * (len(shape) - sum(e is not None for e in index)))
    place = torch.empty(shape, device="meta")[index].shape
    block = block.broadcast(place)
    axes: list[int | None] = []
    k, axis = 0, 0
    where: list[Any] = []
    for e in index:
        if e is None:
            k += 1
            continue
        if type(e) is int:
            axes.append(None)
            where.append(torch.tensor([e % shape[axis]], device="cpu"))
        else:
            axes.append(k)
            where.append(torch.arange(shape[axis], device="cpu")[e])
            k += 1
        axis += 1
    block = block.with_axes(axes, [1 if a is None else block.shape[a] for a in axes])
    for d, positions in enumerate(where):
        if len(positions) != shape[d]:
            block = action.placed(block, d, positions, shape[d])
    return block


def _read(y_bar: Any, index: Any, lead: int) -> Any:
    """A cotangent at the place that was written."""
    index = index if type(index) is tuple else (index,)
    if type(y_bar) is Tensor:
        return y_bar[completed(index, lead)].clone()
    if type(y_bar) is Block:
        return index_entries.apply((y_bar,), {"index": index})
    return getitem(y_bar, (slice(None),) * lead + index)


assign = _Assign("assign", _assign_kernel, ("x", "value"), [("x",), ("value",)], {},
                 samples=[((4, 3), (2,), {"index": (slice(1, 3), 0)}), ((4, 3), (3,), {"index": (2,)})], selects=True,
                 # of zeros: how a pull runs it
                 act=lambda operation, inputs, params: _assign_on_blocks(
                     params["index"], inputs[0].shape, inputs[0], None))


class _AssignAt(Multilinear):
    """y = x with y.flatten()[positions] = value, a vector; no position occurs twice. Linear in both."""

    keeps_type = True

    def reads(self, name: str) -> set[str]:
        return set()

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        positions, bars = params["positions"], [None, None]
        n = len(lead) + params.get("lead", 0)
        if wanted[1]:
            flat = reshape(y_bar, (*y_bar.shape[:n], math.prod(y_bar.shape[n:])))
            bars[1] = take_operation.apply((flat,), {"where": positions, "axis": -1})
        if wanted[0]:
            bars[0] = self.apply((y_bar, 0), {"positions": positions, "lead": n})
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        x_dot, value_dot = dots
        if Block in (type(x_dot), type(value_dot)):
            parts = [_assign_at_block(self, inputs, {**params, "shape": node.shape})
                     for inputs in ((x_dot, 0), (None, value_dot))
                     if type(inputs[0]) is Block or type(inputs[1]) is Block]
            return parts[0] if len(parts) == 1 else parts[0] + parts[1]  # type: ignore[operator]
        if x_dot is None:
            x_dot = broadcast_to(_zero_like(value_dot), (*lead, *node.shape))
        value, n = 0 if value_dot is None else value_dot, len(lead) + params.get("lead", 0)
        return self.apply((x_dot, value), {"positions": params["positions"], "lead": n})


def _zero_like(x: Any) -> Any:
    raw = (x if isinstance(x, Tensor) else x._value).new_zeros(())
    return raw if isinstance(x, Tensor) else dlarray._made(raw, None)


def _assign_at_kernel(x: Tensor, value: Any, positions: Tensor, lead: int = 0) -> Tensor:
    return _written(x, value, {"positions": positions}, lead)


def _assign_at_block(operation: Any, inputs: Any, params: Any) -> Block:
    x, value = inputs
    n = params.get("lead", 0)
    if type(value) is Block:
        shape = tuple(params["shape"])
        own, count = math.prod(shape[n:]), math.prod(shape[:n])
        where = (torch.arange(count, device="cpu")[:, None] * own + params["positions"].cpu()).reshape(-1)
        return action.reshaped(action.placed(action.reshaped(value, (where.numel(),)), 0, where, own * count), shape)
    mask = torch.ones(x.shape, dtype=x.dtype, device=x.device)
    write(mask, params, 0, n)
    return x.scaled(mask)


assign_at = _AssignAt("assign_at", _assign_at_kernel, ("x", "value"), [("x",), ("value",)], {},
                      samples=[((4, 3), (2,), {"positions": torch.tensor([7, 0], device="cpu")})], selects=True,
                      act=_assign_at_block)


def write(y: Tensor, params: dict[str, Any], value: Any, lead: int = 0) -> None:
    """Write into a contiguous tensor."""
    if isinstance(value, Tensor):
        value = (value.real if value.is_complex() and not y.is_complex() else value).to(y.dtype)
    if "index" in params:
        y[completed(params["index"], lead) if lead else params["index"]] = value
    else:
        y.view(*y.shape[:lead], y.shape[lead:].numel())[completed(params["positions"], lead)] = value
