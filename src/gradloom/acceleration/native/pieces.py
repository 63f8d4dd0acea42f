"""A call as pieces of loops."""
from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...machine.dtypes import Tensor
from ..calls import FROM_SHAPES
from ..recorder import Slot, Step
from .convolutions import CONVOLUTIONS, convolution
from .exponentials import exp
from .lanes import KINDS, SIZES, Lanes, NotFused, Value
from .places import Access, Piece, Read, between, broadcast, rows
from .products import PRODUCTS, product
from .rules import RULES, WRITES, found

_SUMS, _MEANS = ({f for f, writes in found(name) if not writes} for name in ("sum", "mean"))
_MULTIPLYING: dict[Any, Any] = {**dict.fromkeys(PRODUCTS, product), **dict.fromkeys(CONVOLUTIONS, convolution)}
_CASTS = {Tensor.to, Tensor.float, Tensor.double, Tensor.type}
_SOFTMAX_SLOPES = {torch.ops.aten._softmax_backward_data: False, torch.ops.aten._log_softmax_backward_data: True}
AGAIN = 4  # how often each number of an operand is read, for a copy of it to be worth while
_FILLS = {f: (value, place) for name, value, place in (
    ("zeros", 0.0, None), ("zeros_like", 0.0, None), ("new_zeros", 0.0, None), ("zero_", 0.0, None),
    ("ones", 1.0, None), ("ones_like", 1.0, None), ("new_ones", 1.0, None), ("full", None, 1), ("full_like", None, 1),
    ("new_full", None, 2), ("fill_", None, 1)) for owner in (torch, Tensor)
    if (f := getattr(owner, name, None)) is not None}


# Calls for lists of arrays, and the call for one; those that write do so to the first list.
_EACH: dict[Any, Any] = {}
for _name in dir(torch):
    if _name.startswith("_foreach_"):
        _one = getattr(Tensor if _name.endswith("_") else torch, _name.removeprefix("_foreach_"), None)
        if _one in RULES:
            _EACH[getattr(torch, _name)] = _one


def pieces(step: Step, numbers: dict[int, float], width: int, functions: Any,
           fresh: Callable[[Slot], Slot]) -> list[Piece] | None:
    """What a call does, in order; None where loops do not do it. `numbers`: constants of one element, by slot;
    `fresh`: what gives a slot for something between."""
    each = _EACH.get(step.function)
    if step.decides or step.draws or not step.single and step.function is not Tensor.__setitem__ and each is None:
        return None
    try:
        if step.function in _MULTIPLYING:
            made = _MULTIPLYING[step.function](step, fresh)
        else:
            its = (_decoded(step, numbers, fresh) if each is None else
                   [_elementwise(one, numbers) for one in _one_by_one(step, each)])
            made = [p for piece in its for p in _laid_along(piece, fresh)]
        for piece in made:
            _check(piece, Lanes(width, functions))
    except (NotFused, TypeError, ValueError, ZeroDivisionError, AttributeError, KeyError, IndexError):
        return None
    if len(made) == 1 and step.function not in _MULTIPLYING and each is None:
        made[0].step = step
    return made


def _laid_along(piece: Piece, fresh: Callable[[Slot], Slot]) -> list[Piece]:
    """A piece after copies of what it would read again and again across its last axis, number by number."""
    made = []
    for number, a in piece.reads.items():
        axes = [k for k, t in enumerate(a.strides) if t]
        shape = tuple([piece.shape[k] for k in axes])
        if not piece.shape or a.strides[-1] < 2 or AGAIN * math.prod(shape) > math.prod(piece.shape):
            continue
        source, copy = a.slot, between(fresh, a.slot, shape)
        strides = [0] * len(a.strides)
        for k, t in zip(axes, rows(shape), strict=True):
            strides[k] = t
        made.append(Piece(functools.partial(_read, source), shape, Access(copy, 0, rows(shape)), [a.along(axes)]))
        piece.reads[number] = Access(copy, 0, tuple(strides))
    return [*made, piece]


def _read(source: Slot, lanes: Lanes, read: Read) -> Value:
    return read(source)


def _check(piece: Piece, lanes: Lanes) -> None:
    for a in piece.accesses():
        s = a.slot
        if s.dtype not in KINDS or s.device.type != "cpu" or s.strides is None or any([t < 0 for t in a.strides]):
            raise NotFused("an array of another kind")
        if a is not piece.output and s.root == piece.output.slot.root and a.place != piece.output.place:
            raise NotFused("it writes what it reads elsewhere")
    if 0 in piece.shape:
        raise NotFused("nothing to compute")
    if not piece.reduces and 0 in piece.output.strides:
        raise NotFused("places that are written to several times")
    piece.compute(lanes, lambda s: Value(lanes, KINDS[s.dtype], "%x"))


def _decoded(step: Step, numbers: dict[int, float], fresh: Callable[[Slot], Slot]) -> list[Piece]:
    f = step.function
    if f in _FILLS and (f not in FROM_SHAPES or not step.writes):
        return [_fill(step)]
    if f is Tensor.__setitem__:
        return [_set(step, numbers)]
    if f in (torch.stack, torch.cat):
        return _joined(step, numbers)
    if f in _SUMS or f in _MEANS:
        return _reduced(step, f in _MEANS)
    if f is torch.constant_pad_nd:
        return _padded(step)
    if f in _SOFTMAX_SLOPES:
        return _softmax_slope(step, fresh)
    return [_elementwise(step, numbers)]


def _one_by_one(step: Step, function: Any) -> list[Step]:
    """The calls for one array each of which a call for lists consists."""
    count = len(step.args[0])
    outputs = step.args[0] if function in WRITES else step.form
    if outputs is None or len(outputs) != count or not all([isinstance(o, Slot) for o in outputs]):
        raise NotFused("results of another form")

    def at(x: Any, k: int) -> Any:
        return x[k] if type(x) in (list, tuple) else x

    made = []
    for k, o in enumerate(outputs):
        args, kwargs = tuple([at(x, k) for x in step.args]), {word: at(x, k) for word, x in step.kwargs.items()}
        reads = [x for x in (*args, *kwargs.values()) if isinstance(x, Slot)]
        made.append(Step(function, args, kwargs, reads, [o], True, [o] if function in WRITES else []))
    return made


def _whole(s: Slot) -> Access:
    return Access(s, s.offset, s.strides or ())


def _elementwise(step: Step, numbers: dict[int, float]) -> Piece:
    f, kwargs = step.function, dict(step.kwargs)
    target = kwargs.pop("out", None) or kwargs.pop("grad_input", None)
    if f in WRITES:
        target = step.args[0]
    if {s.number for s in step.writes} != ({target.number} if target is not None else set()):
        raise NotFused("it writes elsewhere")
    o = target if target is not None else step.outputs[0]
    cast = f in _CASTS
    if cast:
        if any([isinstance(x, Slot) for x in (*step.args[1:], *kwargs.values())]):
            raise NotFused("like another array")
        rule, args, kwargs = (lambda x: x), step.args[:1], {}
    else:
        rule, args = RULES[f], step.args
    cast = cast or f is Tensor.copy_
    reads = [x for x in (*args, *kwargs.values()) if isinstance(x, Slot) and x.number not in numbers]
    if f is Tensor.copy_:
        reads = reads[-1:] if isinstance(args[1], Slot) else []
    kind = common(o, [x for x in (*args, *kwargs.values()) if isinstance(x, Slot)], cast)

    def compute(lanes: Lanes, read: Read) -> Value:
        def value(x: Any) -> Any:
            if not isinstance(x, Slot):
                return x
            if x.number in numbers:
                return lanes.number(numbers[x.number], kind)
            if x is o and f is Tensor.copy_:
                return None
            its = read(x)
            return its if its.kind == "i1" else its.to(kind)

        result = rule(*[value(x) for x in args], **{k: value(x) for k, x in kwargs.items()})
        if not isinstance(result, Value):
            result = lanes.number(result, KINDS[o.dtype])
        return result.to(KINDS[o.dtype])

    return Piece(compute, o.shape, _whole(o), reads)


def common(o: Slot, reads: Sequence[Slot], cast: bool) -> str:
    """The kind in which a call computes: numbers of no axes take that of the arrays."""
    kinds = [KINDS[s.dtype] for s in reads]
    arrays = [KINDS[s.dtype] for s in reads if s.shape] or kinds
    arrays = [k for k in arrays if k != "i1"] or [k for k in kinds if k != "i1"]
    widest = max(arrays, key=SIZES.__getitem__, default="float")
    if o.dtype is torch.bool or cast:
        return widest
    if arrays and SIZES[widest] > SIZES[KINDS[o.dtype]]:
        raise NotFused("it computes in a wider type than its result's")
    return KINDS[o.dtype]


def _copy(x: Any, o: Slot, numbers: dict[int, float]) -> tuple[Callable[[Lanes, Read], Value], list[Slot]]:
    kind = KINDS[o.dtype]
    if not isinstance(x, Slot):
        return lambda lanes, read: lanes.number(x, kind), []
    if x.number in numbers:
        return lambda lanes, read: lanes.number(numbers[x.number], kind), []
    return lambda lanes, read: read(x).to(kind), [x]


def _fill(step: Step) -> Piece:
    number, place = _FILLS[step.function]
    if place is not None:
        number = step.args[place] if len(step.args) > place else step.kwargs["fill_value"]
    o = step.outputs[0]
    if isinstance(number, Slot) or "out" in step.kwargs:
        raise NotFused("a number that is an array")
    return Piece(lambda lanes, read: lanes.number(number, KINDS[o.dtype]), o.shape, _whole(o), [])


def _set(step: Step, numbers: dict[int, float]) -> Piece:
    x, index, value = step.args
    its = index if type(index) is tuple else (index,)
    if not all([type(i) in (int, slice, type(None), type(...)) for i in its]):
        raise NotFused("a place that is an array")
    view = torch.empty_strided(x.shape, x.strides, device="meta")[index]
    compute, reads = _copy(value, x, numbers)
    return Piece(compute, tuple(view.shape), Access(x, x.offset + int(view.storage_offset()), view.stride()), reads)


def _joined(step: Step, numbers: dict[int, float]) -> list[Piece]:
    """stack and cat: a copy for each part."""
    its, axis = step.args[0], step.args[1] if len(step.args) > 1 else step.kwargs.get("dim", 0)
    o = step.outputs[0]
    if step.writes or len(step.args) + len(step.kwargs) > 2 or o.strides is None:
        raise NotFused("options")
    axis = axis % len(o.shape)
    stacks, start, made = step.function is torch.stack, o.offset, []
    for s in its:
        if not isinstance(s, Slot) or len(s.shape) + stacks != len(o.shape):
            raise NotFused("parts of other shapes")
        strides = o.strides[:axis] + o.strides[axis + 1:] if stacks else o.strides
        compute, reads = _copy(s, o, numbers)
        made.append(Piece(compute, s.shape, Access(o, start, strides), reads))
        start += o.strides[axis] * (1 if stacks else s.shape[axis])
    return made


def _padded(step: Step) -> list[Piece]:
    """A number everywhere, and x in the middle."""
    (x, sizes, *more), o = step.args, step.outputs[0]
    value, kind = (more or [0])[0], KINDS[o.dtype]
    if step.kwargs or min(sizes) < 0 or isinstance(value, Slot) or o.strides is None:
        raise NotFused("options")
    start = sum([before * t for before, t in zip(sizes[::2], o.strides[::-1], strict=False)])
    return [Piece(lambda lanes, read: lanes.number(value, kind), o.shape, _whole(o), []),
            Piece(lambda lanes, read: read(x), x.shape, Access(o, o.offset + start, o.strides), [x])]


def _softmax_slope(step: Step, fresh: Callable[[Slot], Slot]) -> list[Piece]:
    """Of y = softmax(x): (g - sum(g y)) y; of its logarithm: g - exp(y) sum(g)."""
    (g, y, axis, dtype), o, logarithm = step.args, step.outputs[0], _SOFTMAX_SLOPES[step.function]
    if step.kwargs or not g.dtype is y.dtype is o.dtype is dtype:
        raise NotFused("options")
    axis = axis % len(g.shape)
    total = between(fresh, g, tuple([1 if k == axis else n for k, n in enumerate(g.shape)]))

    def summed(lanes: Lanes, read: Read) -> Value:
        return read(g) if logarithm else read(g) * read(y)

    def slope(lanes: Lanes, read: Read) -> Value:
        return read(g) - exp(read(y)) * read(total) if logarithm else (read(g) - read(total)) * read(y)

    return [Piece(summed, g.shape, Access(total, 0, broadcast(total, g.shape)), [g] if logarithm else [g, y],
                  g.shape[axis] > 1),
            Piece(slope, o.shape, _whole(o), [g, y, total])]


def _reduced(step: Step, mean: bool) -> list[Piece]:
    x, o, options = step.args[0], step.outputs[0], dict(step.kwargs)
    words = dict(zip(("dim", "keepdim"), step.args[1:], strict=False)) | options
    dims = words.pop("dim", words.pop("axis", None))
    if type(dims) is torch.dtype or len(step.args) > 3 or step.writes or words.pop("dtype", o.dtype) is not o.dtype:
        raise NotFused("options")
    keep = words.pop("keepdim", False)
    if words or x.dtype not in KINDS or o.dtype not in KINDS or torch.bool in (x.dtype, o.dtype):
        raise NotFused("options")
    dims = range(len(x.shape)) if dims is None or dims in ((), []) else [dims] if type(dims) is int else dims
    gone = {d % len(x.shape) for d in dims}
    kept = [k for k in range(len(x.shape)) if k not in gone]
    its = [o.strides[k if keep else i] for i, k in enumerate(kept)]  # type: ignore[index]
    if [o.shape[k if keep else i] for i, k in enumerate(kept)] != [x.shape[k] for k in kept]:
        raise NotFused("a result of another shape")
    strides = [0] * len(x.shape)
    for k, t in zip(kept, its, strict=True):
        strides[k] = t
    count = math.prod([x.shape[k] for k in gone])
    kind = KINDS[o.dtype]
    made = [Piece(lambda lanes, read: read(x).to(kind), x.shape, Access(o, o.offset, tuple(strides)), [x], count > 1)]
    if mean and count != 1:
        made.append(Piece(lambda lanes, read: read(o) / float(count), o.shape, _whole(o), [o]))
    return made


__all__ = ["pieces"]
