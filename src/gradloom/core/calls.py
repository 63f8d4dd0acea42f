"""How a call of an elementwise operation reaches its kernel: the quick ways, broadcasting, labels."""
from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..machine.caches import cache
from ..machine.dtypes import NUMBER_DTYPES, NUMBER_TYPES, Tensor, computed_in, differentiable
from .array import constant, dlarray, foreign, operand
from .errors import GradloomError, ShapeError, known_files, line_of, user_site
from .labels import aligned, described
from .operand import Operand
from .operation import NO_PARAMS, Operation
from .tables import words
from .trace import Node

if TYPE_CHECKING:
    from .kinds.elementwise import Elementwise

REAL_TYPES = frozenset((bool, int, float))
INTEGRAL = frozenset((torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))
# of which the kernels promote as stated
FULL = frozenset((torch.float32, torch.float64, torch.complex64, torch.complex128))
_made = dlarray._made
_getframe = sys._getframe


def unary(operation: Elementwise, depth: int = 1) -> Callable[..., Any]:
    """The public function of one operand; `depth`: how many frames above its own the caller's is."""
    keep_x, keep_y = operation.kept_for((True,))

    def call(x: Any, /) -> Any:
        if type(x) is not dlarray:
            if type(x) is Tensor:
                return operation.apply((x,)) if operation.opaque else operation.kernel(x)
            x = operand(x)
            if type(x) in NUMBER_TYPES:
                x = dlarray(x)
            if type(x) is not dlarray:
                return operation.apply((x,))
        value = x._value
        node = x._node
        if node is None or not node.trace.open:
            return operation.apply((_floating(x, ()) if operation.promotes else x,), NO_PARAMS, x._labels)
        try:
            result = operation.kernel(value)
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise operation.refusal((x,), error) from None
        frame = _getframe(depth)
        code = frame.f_code
        site = (code, frame.f_lasti) if known_files.get(code.co_filename) is False else user_site(depth + 1)
        values = [value if keep_x else None, result if keep_y else None]
        return _made(result, Node(operation, node.trace, (node,), values, NO_PARAMS, result, site), x._labels)

    return call


def binary(operation: Elementwise, repeats: bool = False) -> Callable[..., Any]:
    """The public function of two operands; as an operator and, from the right, as a reflected one.

    `repeats`: as an operator it is one that Python has for text and lists too.
    """
    general = nary(operation)
    call: Any = _binary(operation, general)
    asking = left_to_the_other(general, repeats)
    call.operator = _binary(operation, asking)
    call.reflected = reflected(_binary(operation, asking, 2))
    return call


def _binary(operation: Elementwise, general: Callable[..., Any], depth: int = 1) -> Callable[..., Any]:
    as_scalar = operation.takes_numbers
    keep_both = operation.kept_for((True, True))
    keep_a = operation.kept_for((True, False))
    keep_b = operation.kept_for((False, True))

    def call(a: Any, b: Any, /) -> Any:
        # The common cases: two arrays with the same labels, or an array and a number.
        a_node = b_node = None
        b_value: Any
        if type(a) is dlarray:
            a_value: Any = a._value
            a_node = a._node
            labels = a._labels
            if type(b) is dlarray:
                if b._labels != labels:
                    return general(a, b)
                b_value = b._value
                b_node = b._node
                if b_value.dtype is not a_value.dtype and not {a_value.dtype, b_value.dtype} <= FULL:
                    return general(a, b)
            elif type(b) in REAL_TYPES:
                b_value = b
                if as_scalar:
                    b_value = _numbers.get((b, a_value.dtype))
                    if b_value is None:
                        b_value = number(b, a_value.dtype)
            else:
                return general(a, b)
        elif type(b) is dlarray and type(a) in REAL_TYPES:
            b_value = b._value
            a_value = a
            if as_scalar:
                a_value = _numbers.get((a, b_value.dtype))
                if a_value is None:
                    a_value = number(a, b_value.dtype)
            b_node = b._node
            labels = b._labels
        elif (type(a) is Tensor and (type(b) is Tensor or type(b) in NUMBER_TYPES) or type(b) is Tensor
              and type(a) in NUMBER_TYPES):
            return operation.kernel(a, b)
        else:
            return general(a, b)
        if a_node is None:
            if b_node is None:
                if type(a) is dlarray and a_value.dtype not in FULL or type(b) is dlarray and b_value.dtype not in FULL:
                    return general(a, b)
                trace = None
                keep = keep_both
            else:
                trace = b_node.trace
                keep = keep_b
                if not trace.open:
                    return general(a, b)
        elif b_node is None:
            trace = a_node.trace
            if not trace.open:
                return general(a, b)
            keep = keep_a
        else:
            trace = a_node.trace
            if trace is not b_node.trace or not trace.open:
                return general(a, b)
            keep = keep_both
        try:
            result = operation.kernel(a_value, b_value)
        except (RuntimeError, TypeError, ValueError, OverflowError):
            return general(a, b)  # which takes integers of any size, and says what is wrong
        if labels is not None and len(result.shape) != len(labels):
            return general(a, b)
        if trace is None:
            return _made(result, None, labels)
        frame = _getframe(depth)
        code = frame.f_code
        site = (code, frame.f_lasti) if known_files.get(code.co_filename) is False else user_site(depth + 1)
        values = [a_value if keep[0] else None, b_value if keep[1] else None, result if keep[2] else None]
        return _made(result, Node(operation, trace, (a_node, b_node), values, NO_PARAMS, result, site), labels)

    return call


def left_to_the_other(function: Callable[..., Any], repeats: bool = False) -> Callable[..., Any]:
    """A function of two operands as an operator: what is no array of numbers is asked for its own method (Python's
    NotImplemented).

    Not text and lists in a product, which Python would repeat.
    """

    def method(a: Any, b: Any, /) -> Any:
        return (NotImplemented if type(b) is not dlarray and foreign(b)
                and not (repeats and isinstance(b, (str, bytes, list, tuple)))
                else function(a, b))

    return method


def reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of two operands as the operator that is asked from the right."""

    def method(self: Any, other: Any, /) -> Any:
        return function(other, self)

    return method


_numbers: dict[tuple[Any, Any], Any] = cache(f"{__name__}._numbers", {})


def number(value: Any, dtype: torch.dtype) -> Any:
    """A real Python number as a scalar tensor of an array's own type, made once: torch takes those faster than
    numbers."""
    scalar = _numbers.get((value, dtype))
    if scalar is None:
        if value == 0 or value != value or dtype not in (torch.float32, torch.float64):
            return value
        if len(_numbers) >= 1024:
            _numbers.clear()
        try:
            # wherever torch has its default: it goes with arrays of any device
            scalar = torch.tensor(float(value), dtype=dtype, device="cpu")
        except OverflowError:
            return value  # larger than any float: the kernel refuses it, with the user's line
        if type(scalar) is Tensor:  # not what one of torch's modes makes of it
            _numbers[value, dtype] = scalar
    return scalar


def nary(operation: Elementwise) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        inputs, labels = broadcast_operands(operation, args)
        if operation.promotes:
            inputs = [_floating(x, inputs) for x in inputs]
        return operation.apply(mixed(inputs), NO_PARAMS, labels)

    return call


def mixed(inputs: Sequence[Any]) -> Sequence[Any]:
    """Operands of several kinds: integers beside floating or complex numbers, or 0-d arrays of them, are computed in
    double precision.

    Half precision beside complex numbers, of which it has none, is complex64; bools beside numbers are numbers. All
    else promotes in the kernel, by torch's table.
    """
    kinds = {x._value.dtype for x in inputs if type(x) is dlarray}
    if bool in map(type, inputs) and torch.bool not in kinds:
        inputs = [int(x) if type(x) is bool else x for x in inputs]  # which torch does not subtract
    if kinds <= FULL:
        return inputs
    sized = {x._value.dtype for x in inputs if type(x) is dlarray and x._value.ndim} or kinds
    numbers = {*map(type, inputs)}
    if torch.bool in kinds and (len(kinds) > 1 or not numbers <= {dlarray, bool}):
        types = [NUMBER_DTYPES[t] for t in numbers if t in NUMBER_DTYPES]
        wanted = computed_in(list(sized), list(kinds), types)
        inputs = [words.astype(x, wanted) if type(x) is dlarray and x._value.dtype is torch.bool else x
                  for x in inputs]
        return mixed(inputs)
    complex_ = complex in numbers or any(d.is_complex for d in kinds - sized)
    if sized <= INTEGRAL and (complex_ or float in numbers or not kinds <= INTEGRAL):
        wanted = torch.complex128 if complex_ else torch.float64
    elif complex_ and not sized & FULL and not sized <= INTEGRAL:
        wanted = torch.complex64
    else:
        return list(inputs)
    return [words.astype(x, wanted) if type(x) is dlarray and x._value.dtype in sized else x for x in inputs]


def _floating(x: Any, inputs: Sequence[Any]) -> Any:
    """Integers in a floating operation are of the type that it is computed in: float64, unless a floating array
    decides."""
    if type(x) is dlarray and x._node is None and not (x._value.dtype.is_floating_point or x._value.dtype.is_complex):
        arrays = [o._value for o in inputs or (x,) if type(o) is dlarray]
        dtype = computed_in([v.dtype for v in arrays if v.ndim], [v.dtype for v in arrays if not v.ndim])
        return dlarray._made(x._value.to(dtype if differentiable(dtype) else torch.float64), None, x._labels)
    return x


def broadcast_operands(operation: Operation, args: Sequence[Any]) -> tuple[list[Any], str | None]:
    """Operands put in order for broadcasting by position, and the result's labels."""
    arrays = False
    for x in args:
        if type(x) is dlarray and x._labels is None:
            arrays = True
        elif type(x) not in REAL_TYPES or type(x) is int and not -2 ** 63 <= x < 2 ** 63:
            break
    else:
        if arrays:  # the common case: nothing to convert, nothing to align
            return list(args), None
    inputs = [operand(x) for x in args]
    if not any([isinstance(x, (Operand, Tensor)) for x in inputs]):
        inputs[0] = dlarray(inputs[0])
    if dlarray in map(type, inputs):
        inputs = [dlarray._made(constant(x), None, None) if isinstance(x, Tensor) else x for x in inputs]
    labels = None
    for x in inputs:
        its = x._labels if type(x) is dlarray else None
        if its is not None and labels is not None and its != labels:
            try:
                labels = aligned(labels, its)[0]
            except GradloomError as error:
                raise type(error)(f"{_operands(operation, inputs)}: {error}, at {line_of(user_site())}") from None
        elif its is not None and labels is None:
            labels = its
    if labels is None:
        return inputs, None
    inputs = [placed(x, labels) if type(x) is dlarray and x._labels is not None and x._labels != labels
              else x for x in inputs]
    rank = max([x.ndim for x in inputs if hasattr(x, "ndim")])
    if rank > len(labels):
        labels = "U" * (rank - len(labels)) + labels
    labelled = [x for x in inputs if type(x) is dlarray and x._labels is not None]
    for x in inputs:
        if type(x) is dlarray and x._labels is None:
            for k in range(1, x._value.ndim + 1):
                if (x._value.shape[-k] != 1 and any(o.ndim >= k for o in labelled)
                    and all(o.ndim < k or o.shape[-k] == 1 for o in labelled)):
                    raise ShapeError(
                        f"{_operands(operation, inputs)}: an unlabelled operand may not stretch a labelled axis of "
                        f"size 1, at {line_of(user_site())}; label it, as in dlarray(x, \"B\"), or reshape it")
    return inputs, labels


def _operands(operation: Operation, inputs: Sequence[Any]) -> str:
    shown = [described(x.shape, getattr(x, "_labels", None)) if hasattr(x, "shape") else repr(x) for x in inputs]
    return f"{operation.name} of " + " and ".join(shown)


def placed(x: dlarray, labels: str) -> dlarray:
    """The same array with its axes where `labels` has them, size 1 where it has none."""
    places = aligned(labels, x._labels or "")[2]
    order = [p for p in places if p is not None]
    if order != sorted(order):
        ndim = x.ndim
        x = words.permute_dims(x, tuple(p - ndim for p in order))
    sizes = iter(x.shape)
    shape = tuple(1 if p is None else next(sizes) for p in places)
    if shape != tuple(x.shape):
        x = words.reshape(x, shape)
    return dlarray._made(x._value, x._node, labels)
