"""What torch says of its own operations: their names, their other forms, and which of them carry no derivative."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ....machine.caches import cache, remembered


@remembered(None)
def opname(func: Any) -> str:
    """`add` of aten::add.Tensor."""
    name: str = func._schema.name
    return name.split("::")[1]


RESIZING = frozenset(("set_", "resize_", "resize_as_", "swap_"))
OTHER_IN_PRIMS = frozenset(("transpose", "squeeze", "sum", "prod", "amax", "amin", "var", "cat",
                            "clone", "reshape", "slice", "slice_in_dim", "select"))

# Whose result depends on where in memory the elements lie.
BY_STRIDES = frozenset(("view", "_unsafe_view", "_reshape_alias", "as_strided", "view_as_complex"))

# Piecewise constant, or made without reading the values.
LIKE = frozenset(("bernoulli", "rand_like", "randn_like", "randint_like"))
_DISCRETE = """
eq ne lt le gt ge isnan isinf isfinite isposinf isneginf signbit logical_not logical_and logical_or logical_xor any all
argmax argmin argsort nonzero count_nonzero floor ceil round trunc fix heaviside floor_divide searchsorted bucketize
isin histc equal isclose allclose sym_size sym_stride sym_numel size stride is_same_size histogram bincount unique_dim
_unique2 unique_consecutive
"""
_MADE = """
zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty new_empty_strided empty_strided
scalar_tensor
"""
MADE = LIKE | frozenset(_MADE.split())
DISCRETE = frozenset(_DISCRETE.split()) | (MADE - LIKE)


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Torch's own, loaded when first needed."""
    from torch._decomp import decomposition_table

    return decomposition_table


def with_generator(func: Any) -> Any:
    """The overload of a random operation that takes a generator."""
    if any(a.name == "generator" for a in func._schema.arguments):
        return func
    name = "generator" if func._overloadname == "default" else f"{func._overloadname}_generator"
    return getattr(func._overloadpacket, name, None)


_functional: dict[Any, Any] = cache(f"{__name__}._functional", {})


def functional_of(func: Any, names: list[str], places: list[bool]) -> Any:
    """The form of an in-place or out= operation that returns new arrays."""
    if func not in _functional:
        name = opname(func)
        inplace = name.endswith("_")
        wanted = names if inplace else [n for n, place in zip(names, places, strict=True) if not place]
        packet = getattr(torch.ops.aten, name[:-1] if inplace else name, None)
        kinds = [str(a.type) for a in func._schema.arguments if a.name in wanted]
        found = None
        for overload in packet.overloads() if packet is not None else ():
            other = getattr(packet, overload)
            if not other._schema.is_mutable and [str(a.type) for a in other._schema.arguments] == kinds:
                found = other
                break
        _functional[func] = found
    return _functional[func]
