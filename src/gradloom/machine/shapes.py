"""What torch's operations make of arrays without data (the meta device): shapes and types, found here for those that
structure is mostly made of.

torch finds them in Python: 50 us a call, and the first of a process imports the compiler, 800 modules in two to three
seconds. Elementwise operations, reductions, matrix products and joined arrays have shapes that follow from their
operands, by what torch itself says of each of them (its tags); the type is that of the same call on arrays of one
element, made once. All else is left to torch.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .caches import cache, remembered
from .dtypes import Tensor, broadcast_shapes

aten = torch.ops.aten
_types: dict[Any, torch.dtype] = cache(f"{__name__}._types", {})


class Shapes(TorchDispatchMode):
    """While it is on, operations on arrays without data are answered by their shapes and types."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # a mode that torch's compiler may look into: the others import it

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = _answer_of(function)
        found = None if answer is None else answer(function, args, kwargs or {})
        return function(*args, **(kwargs or {})) if found is None else found


@remembered()
def _answer_of(function: Any) -> Callable[..., Tensor | None] | None:
    """How an operation of torch is answered; None where that is left to torch."""
    schema = function._schema
    if len(schema.returns) != 1 or str(schema.returns[0].type) != "Tensor" or function.is_view:
        return None
    if function in _PRODUCTS:
        return _product
    if function is aten.cat.default:
        return _joined
    if _is_elementwise(function):
        return _elementwise
    if torch.Tag.reduction in function.tags and {a.name for a in schema.arguments} <= _REDUCING:
        return _reduced
    if function in _ALIKE:
        return _alike
    if function.overloadpacket in _LIKE:
        return _like
    return None


def _is_elementwise(function: Any) -> bool:
    packet = function.overloadpacket
    if function._schema.is_mutable:  # what writes into given memory is what its other forms are
        return packet in _UNTAGGED or any(torch.Tag.pointwise in getattr(packet, n).tags for n in packet.overloads())
    return packet in _UNTAGGED or torch.Tag.pointwise in function.tags


def _made(function: Any, args: Sequence[Any], kwargs: dict[str, Any], shape: Sequence[int]) -> Tensor:
    """The array of this shape, in the type that the call has on arrays of one element."""
    key = (function, *[(a.dtype, a.ndim > 0) if isinstance(a, Tensor) else type(a) for a in args], *kwargs.items())
    dtype = _types.get(key)
    if dtype is None:
        small = [torch.ones((1,) * a.ndim, dtype=a.dtype, device="cpu") if isinstance(a, Tensor) else a for a in args]
        dtype = _types[key] = function(*small, **kwargs).dtype
    return torch.empty(shape, dtype=dtype, device="meta")


def _elementwise(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor | None:
    tensors = [a for a in args if isinstance(a, Tensor)]
    if function._schema.is_mutable:
        written = kwargs.get("out", kwargs.get("grad_input", args[0]))
        fits = written.is_meta and broadcast_shapes(*[t.shape for t in tensors]) == tuple(written.shape)
        return written if fits else None  # else torch resizes it, or refuses
    if (True not in [t.is_meta for t in tensors] or any([not isinstance(a, _SIMPLE) for a in args])
        or any([not isinstance(v, _SIMPLE) for v in kwargs.values()])):
        return None
    first = tensors[0].shape
    shape = first if all([t.shape == first for t in tensors]) else broadcast_shapes(*[t.shape for t in tensors])
    return _made(function, args, kwargs, shape)


# elementwise too, which torch does not say
_UNTAGGED = (aten.softplus_backward, aten.elu_backward, aten.hardtanh_backward, aten.hardsigmoid_backward,
             aten.hardswish, aten.hardswish_backward, aten.mish_backward, aten.leaky_relu_backward,
             aten.softshrink_backward, aten.hardshrink_backward)
_SIMPLE = (Tensor, bool, int, float, complex, str, type(None))


def _alike(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor | None:
    """In the shape of the first operand."""
    return _made(function, args, {}, args[0].shape) if args[0].is_meta and not kwargs else None


def _like(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor | None:
    """An array of given content like another."""
    x, device = args[0], kwargs.get("device")
    if not x.is_meta or device is not None and torch.device(device).type != "meta":
        return None
    return torch.empty(x.shape, dtype=kwargs.get("dtype") or x.dtype, device="meta")


_LIKE = (aten.empty_like, aten.zeros_like, aten.ones_like, aten.full_like)
_ALIKE = (aten.flip.default, aten.roll.default, aten.tril.default, aten.triu.default, aten.cumsum.default,
          aten._softmax.default, aten._log_softmax.default)


def _reduced(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor | None:
    x = args[0]
    given = {**dict(zip([a.name for a in function._schema.arguments], args, strict=False)), **kwargs}
    dims = given.get("dim")
    if not x.is_meta or not x.numel() or "out" in given or "dim" in kwargs:
        return None
    dims = range(x.ndim) if dims is None or dims == [] else [dims] if type(dims) is int else dims
    gone = {d % max(x.ndim, 1) for d in dims}
    shape = [1 if k in gone else n for k, n in enumerate(x.shape) if given.get("keepdim", False) or k not in gone]
    return _made(function, args, kwargs, shape)


_REDUCING = {"self", "dim", "keepdim", "dtype"}


def _product(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor | None:
    """Rows of the first matrices, columns of the second."""
    a, b = args
    if kwargs or not (a.is_meta and b.is_meta) or a.dtype is not b.dtype or a.shape[-1] != b.shape[a.ndim - 2]:
        return None
    return torch.empty((*a.shape[:-1], *b.shape[a.ndim - 1:]), dtype=a.dtype, device="meta")


_PRODUCTS = (aten.mm.default, aten.bmm.default, aten.mv.default)


def _joined(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor | None:
    arrays, dim = args[0], args[1] if len(args) > 1 else 0
    first = arrays[0]
    if kwargs or not all([a.is_meta and a.dtype is first.dtype and a.ndim == first.ndim > 0 for a in arrays]):
        return None
    shape = list(first.shape)
    shape[dim] = sum([a.shape[dim] for a in arrays])
    return torch.empty(shape, dtype=first.dtype, device="meta")


__all__ = ["Shapes"]
