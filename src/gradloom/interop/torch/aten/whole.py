"""The mode that answers torch's functions before torch takes them apart: those that are an operation of this library,
and the common views.

What is answered here is answered by `mode.py` too, operation by operation, for three times as much time.
"""
from __future__ import annotations

import functools
import inspect
import itertools
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ....core.errors import GradloomError, from_inside
from ....core.finite import checking
from ....core.tables import OPERATIONS
from ....machine.caches import remembered
from ....machine.dtypes import Tensor, differentiable
from ....machine.modes import under, undispatched
from ...protocol import Unsupported
from ..autograd import ANSWERED, refuse_transform
from ..table import WHOLE, name_of
from ..twins import FUNCTIONS
from .packed import MADE_OF
from .values import array_of, as_varying, as_wrapped, carries, constant_of
from .wrapped import Step, Wrapped, leaves_of, mapped, running

# Of the functions in `WHOLE`, those that constants take too: the first is quicker so, the second writes behind torch's
# dispatcher.
ALWAYS = frozenset(("linear", "ctc_loss"))

# Functions with one ATen operation of their name and arguments, whose result is never memory of an argument.
_ALIKE = """
abs absolute acos add addmm asin atan atan2 baddbmm bmm celu cos cosh div divide elu erf erfc erfinv exp exp2 expm1 gelu
hardsigmoid hardswish hardtanh leaky_relu lerp log log10 log1p log2 log_softmax logsumexp masked_fill maximum mean
minimum mish mm pad mul multiply mv neg negative pow reciprocal relu relu6 rsqrt selu sigmoid sin sinh softmax softplus
sqrt square sub subtract sum tan tanh true_divide
cat concat stack conv1d conv2d conv3d nn.functional.batch_norm nn.functional.embedding
nn.functional.adaptive_avg_pool1d nn.functional.adaptive_avg_pool2d nn.functional.adaptive_avg_pool3d
"""
ALIKE = frozenset(_ALIKE.split())
# Those whose result is a constant, whatever they are given: an ATen operation of their name is in DISCRETE.
CONSTANT = frozenset(("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "logical_not", "logical_and",
                      "logical_or", "logical_xor", "any", "all", "argmax", "argmin"))
# Those that give new memory, here answered where no argument carries a derivative.
_NEW = """
bitwise_and bitwise_not bitwise_or clone cumsum diff floor_divide full_like gather index_select isin isclose new_full
new_ones new_zeros one_hot ones_like outer remainder repeat repeat_interleave roll tril triu where zeros_like
__and__ __eq__ __ge__ __gt__ __invert__ __le__ __lt__ __ne__ __or__
"""
NEW = frozenset(_NEW.split())
MADE_OF_NUMBERS = frozenset(("arange", "full", "ones", "zeros"))
# Those that torch has written in Python, of other functions: these are answered one by one.
WRITTEN_OUT = frozenset(("multi_head_attention_forward",))
# Those that write their result into their first argument.
INTO = {"add_": "add", "sub_": "sub", "mul_": "mul", "div_": "div", "relu_": "relu", "sigmoid_": "sigmoid",
        "tanh_": "tanh"}
_UNREAD = frozenset((int, float, bool, type(None), torch.dtype, str))  # arguments that hold no array


class Whole(TorchFunctionMode):
    """Answers the torch functions that are operations of this library as a whole, before torch takes them apart.

    While it is on, torch's attention layers do not take their fused way around the operations that are answered here.
    """

    def __torch_function__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return self.answered(func, args, kwargs or {})
        except GradloomError as error:
            # the operators of tensors take a TypeError for "not implemented"
            running().mode.error = error  # type: ignore[union-attr]
            raise

    def answered(self, func: Any, args: Any, kwargs: Any) -> Any:
        interpreter = _transform()
        if interpreter is not None:
            if interpreter.key().name != "Vmap" or any(
                    isinstance(x, Tensor) and differentiable(x.dtype) for x in leaves_of((args, kwargs))):
                refuse_transform(interpreter)
            return func(*args, **kwargs)  # masks made from indices
        answered = ANSWERED.get(func)
        if answered is not None:
            return undispatched(answered, *args, **kwargs)
        if kwargs and kwargs.get("requires_grad"):
            return func(*args, **{**kwargs, "requires_grad": False}).requires_grad_()
        name = getattr(func, "__name__", "")
        if name in MADE_OF:
            result = under([self], MADE_OF[name], func, *args, **kwargs)
            if result is not NotImplemented:
                return result
        if name in WRITTEN_OUT:
            return under([self], _opened(func), *args, **kwargs)
        answer = _answer(func)
        if answer is not None and not torch._C._is_any_autocast_enabled():
            result = undispatched(answer, args, kwargs)
            if result is not NotImplemented:
                return result
        return func(*args, **kwargs)


_transform = torch._C._functorch.peek_interpreter_stack


@remembered(None)
def _opened(func: Any) -> Any:
    """A function in Python without its first question, whether a mode is to answer it."""
    never = dict.fromkeys([name for name in func.__globals__ if name.startswith("has_torch_function")], _never)
    opened = types.FunctionType(func.__code__, func.__globals__ | never, func.__name__, func.__defaults__,
                                func.__closure__)
    opened.__kwdefaults__ = func.__kwdefaults__
    return opened


def _never(*_: Any) -> bool:
    return False


@remembered(None)
def _answer(func: Any) -> Callable[[Any, Any], Any] | None:
    """What answers a function's arguments, NotImplemented where torch is to take it apart; None where it always is."""
    name = getattr(func, "__name__", "")
    if name in WHOLE:
        return _Operation(WHOLE[name], name in ALWAYS)
    if getattr(func, "__module__", None) == "torch.nn.functional" or name_of(func) != name:
        name = name_of(func)
    view = _VIEWS.get(name)
    if view is not None:
        return view
    if name in ALIKE:
        return _Operation(FUNCTIONS[name], False, func)
    if name in CONSTANT or name in NEW:
        return functools.partial(_on_constants, func, name in CONSTANT)
    if name in MADE_OF_NUMBERS:
        return functools.partial(_of_numbers, func)
    return _Operation(FUNCTIONS[INTO[name]], False, None, into=True) if name in INTO else None


# ----- operations -----------------------------------------------------------------------------------------------------


class _Operation:
    """A function that answers with an operation, where one of its arguments carries a derivative.

    `always`: also where none does. `plain`: torch's own function, which answers where none does. `into`: the result is
    written into the first argument.
    """

    __slots__ = ("always", "into", "place", "plain", "rule")

    def __init__(self, rule: Callable[..., Any], always: bool, plain: Any = None, into: bool = False):
        self.rule = rule
        self.always = always
        self.plain = plain
        self.into = into
        names = list(inspect.signature(rule).parameters)
        self.place = names.index("inplace") if "inplace" in names else None  # of torch's `inplace=`

    def __call__(self, args: Any, kwargs: Any) -> Any:
        graded = torch.is_grad_enabled()
        there = varies = recorded = False

        def entered(x: Any) -> Any:
            nonlocal there, varies, recorded
            if type(x) in _UNREAD:
                return x
            if type(x) is Wrapped:
                there = True
                varies = varies or graded and x._cell.varies and not x._constant
            array = array_of(x) if graded else constant_of(x)
            recorded = recorded or carries(array)
            return array

        given = [entered(x) if type(x) is Wrapped else mapped(entered, x) for x in args]
        named = mapped(entered, kwargs) if kwargs else kwargs
        into = self.into or self.place is not None and (
            kwargs.get("inplace") or len(args) > self.place and args[self.place])
        if not there or not (recorded or self.always):
            constant = there and self.plain is not None and not varies and not into
            return _on_constants(self.plain, True, args, kwargs) if constant else NotImplemented
        if into and not (graded and recorded and args and type(args[0]) is Wrapped):
            return NotImplemented
        try:
            result = self.rule(*given, **named)
        except Unsupported:
            return NotImplemented
        except TypeError as error:
            if from_inside(error) or isinstance(error, GradloomError):
                raise
            return NotImplemented  # torch has more names for an argument than the rule
        if into:
            if result.shape != tuple(args[0].shape):
                return NotImplemented
            running().mode.put(args[0], result, varies)  # type: ignore[union-attr]
            return args[0]
        return mapped(as_varying if varies else as_wrapped, result)


def _on_constants(func: Any, always: bool, args: Any, kwargs: Any) -> Any:
    """Torch's own function, whose result is a constant: `always`, or where no argument carries a derivative."""
    if "out" in kwargs or checking():
        return NotImplemented
    there, still = False, True

    def entered(x: Any) -> Any:
        nonlocal there, still
        if type(x) is not Wrapped:
            return x
        value = x.array()
        there, still = True, still and (always or not (x.requires_grad or carries(value)))
        return value._value

    args, kwargs = mapped(entered, (args, kwargs))
    return mapped(as_wrapped, func(*args, **kwargs)) if there and still else NotImplemented


def _of_numbers(func: Any, args: Any, kwargs: Any) -> Any:
    """An array made of numbers alone."""
    if "out" in kwargs or not all([type(x) in _UNREAD or type(x) is torch.Size or type(x) is tuple for x in args]):
        return NotImplemented
    return as_wrapped(func(*args, **kwargs))


# ----- views ----------------------------------------------------------------------------------------------------------


class _View:
    """A view of a wrapped array: torch's own operation, this library's, and what makes ATen's arguments of those that
    were given."""

    __slots__ = ("func", "name", "named")

    def __init__(self, func: Any, name: str, named: Callable[..., Any]):
        self.func = func
        self.name = name
        self.named = named

    def __call__(self, args: Any, kwargs: Any) -> Any:
        base = args[0] if args else None
        if kwargs or type(base) is not Wrapped or not torch.is_grad_enabled():
            return NotImplemented
        value = base.array()
        after = self.named(*args[1:])
        if after is None:
            return NotImplemented
        try:
            strides, params = _outline(self.func, self.name, base.shape, base.stride(), after)
        except Exception:
            return NotImplemented  # torch refuses it in its own words
        result = value if params is None else OPERATIONS[self.name].apply((value,), params)
        if strides is None:  # memory of its own
            return as_varying(result) if base.requires_grad else as_wrapped(result)
        step = Step(running().mode, self.func, (), after, {}, None)  # type: ignore[union-attr]
        return Wrapped(base._cell, (*base._steps, step), result, strides, base._constant)


@remembered(4096)
def _outline(func: Any, name: str, shape: Any, strides: Any, after: Any) -> tuple[Any, dict[str, Any] | None]:
    """The strides of a view of such an array, None where it is no view, and the parameters of the operation, None
    where it is the array itself."""
    part = func(torch.empty_strided(shape, strides, device="meta"), *after)
    if name == "permute_dims":
        n = len(shape)
        order = after[0] if len(after) == 1 else _exchanged(n, *(after or (0, 1)))
        params = {"axes": tuple([k - n if k >= 0 else k for k in order])}
    else:
        params = {"shape": tuple(part.shape)}
    same = part.shape == shape and (name != "permute_dims" or params["axes"] == tuple(range(-n, 0)))
    return part.stride() if part._is_view() else None, None if same else params


def _exchanged(n: int, i: int, j: int) -> list[int]:
    """The axes of which two have changed their places."""
    order = list(range(n))
    if n:
        order[i], order[j] = order[j], order[i]
    return order


def _integers(xs: Sequence[Any]) -> bool:
    return all([type(x) is int for x in xs])


def _sizes(*sizes: Any) -> tuple[Any, ...] | None:
    """One argument, sizes or axes one by one, or in a list."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    return (sizes,) if sizes and _integers(sizes) else None


def _numbers(count: int, *rest: int) -> Callable[..., Any]:
    """So many integers; `rest` are those that may be left out."""
    most = count + len(rest)
    return lambda *xs: ((*xs, *rest[len(xs) - count:]) if count <= len(xs) <= most and _integers(xs) else None)


_aten = torch.ops.aten
_VIEWS: dict[str, Callable[[Any, Any], Any]] = {
    "view": _View(_aten.view.default, "reshape", _sizes),
    "reshape": _View(_aten.reshape.default, "reshape", _sizes),
    "flatten": _View(_aten.flatten.using_ints, "reshape", _numbers(0, 0, -1)),
    "unsqueeze": _View(_aten.unsqueeze.default, "reshape", _numbers(1)),
    "squeeze": _View(_aten.squeeze.dim, "reshape", _numbers(1)),
    "permute": _View(_aten.permute.default, "permute_dims", _sizes),
    "transpose": _View(_aten.transpose.int, "permute_dims", _numbers(2)),
    "swapaxes": _View(_aten.transpose.int, "permute_dims", _numbers(2)),
    "expand": _View(_aten.expand.default, "broadcast_to", _sizes),
}


def _basic(index: Any) -> bool:
    """Whether an index takes numbers, slices, new axes, and what lies between."""
    return all([i is None or i is Ellipsis or type(i) is int or type(i) is slice and (i.step is None or type(i.step)
                is int and i.step > 0) and all([n is None or type(n) is int for n in (i.start, i.stop)])
                for i in index])


def _indexed(args: Any, kwargs: Any) -> Any:
    """x[index], of which a part is a view."""
    base, index = args
    value: Any
    if type(base) is not Wrapped or not torch.is_grad_enabled():
        return NotImplemented
    value = base.array()
    index = index if type(index) is tuple else (index,)
    if not _basic(index):
        return NotImplemented
    try:
        part = torch.empty_strided(base.shape, base.stride(), device="meta")[index]
    except Exception:
        return NotImplemented  # torch refuses it in its own words
    return Wrapped(base._cell, (*base._steps, Index(index)), value[index], part.stride(), base._constant)  # type: ignore[index]


class Index(Step):
    """The part of a base at an index."""

    __slots__ = ("index",)

    def __init__(self, index: Any):
        self.index = index

    def of(self, base: Any) -> Any:
        return base[self.index]

    def positions(self, where: Tensor) -> Tensor:
        return where[self.index]


_VIEWS["__getitem__"] = _indexed


def _contiguous(args: Any, kwargs: Any) -> Any:
    """x in memory of its own, unless it is in order there."""
    base = args[0] if args else None
    if len(args) != 1 or kwargs or type(base) is not Wrapped or not torch.is_grad_enabled() or base.is_contiguous():
        return NotImplemented
    value = base.array()
    return as_varying(value) if base.requires_grad else as_wrapped(value)


def _split(args: Any, kwargs: Any) -> Any:
    """The parts of x along an axis, each a view; a size for all, or one for each."""
    given = dict(zip(("tensor", "sizes", "dim"), args, strict=False)) | kwargs
    base, sizes, dim = given.pop("tensor", None), given.pop("sizes", given.pop("split_size", None)), given.pop("dim", 0)
    if given or type(base) is not Wrapped or type(dim) is not int or not torch.is_grad_enabled():
        return NotImplemented
    n = base.shape[dim] if -base.ndim <= dim < base.ndim else 0
    if type(sizes) is int and sizes > 0:
        ends = [*range(sizes, n, sizes), n]
    elif isinstance(sizes, (list, tuple)) and _integers(sizes) and sum(sizes) == n and min(sizes, default=-1) >= 0:
        ends = list(itertools.accumulate(sizes))
    else:
        return NotImplemented
    if not n:
        return NotImplemented
    axis, value, strides = dim % base.ndim - base.ndim, base.array(), base.stride()
    before = (slice(None),) * (dim % base.ndim)
    return tuple([Wrapped(base._cell, (*base._steps, Index((*before, slice(i, j)))),
                          OPERATIONS["slice"].apply((value,), {"axis": axis, "start": i, "stop": j}),
                          strides, base._constant)
                  for i, j in zip([0, *ends[:-1]], ends, strict=True)])


_VIEWS.update(contiguous=_contiguous, split=_split)
