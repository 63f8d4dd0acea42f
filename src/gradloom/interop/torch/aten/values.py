"""What torch's code sees of a value, what rules compute with, and the ways between them."""
from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch.utils._pytree import tree_map

from ....core.array import constant, dlarray
from ....core.errors import TypeRefused, line_of, user_site
from ....core.trace import live
from ....machine.dtypes import NAMES, Tensor, differentiable
from .wrapped import Wrapped, wrapped

_made = dlarray._made


def carries(x: Any) -> bool:
    """Whether this is an array with a derivative."""
    return type(x) is dlarray and live(x._node) is not None and differentiable(x._value.dtype)


def detached(x: dlarray) -> dlarray:
    """The value as a constant."""
    return _made(x._value, None, None)


def array_of(x: Any) -> Any:
    """What rules compute with: dlarrays; a plain tensor is a constant, as it is now."""
    if isinstance(x, Wrapped):
        return x.array()
    return _made(constant(x), None, None) if isinstance(x, Tensor) else x


def constant_of(x: Any) -> Any:
    x = array_of(x)
    return detached(x) if type(x) is dlarray else x


def raw_of(x: Any) -> Any:
    x = x.array() if isinstance(x, Wrapped) else x
    return x._value if type(x) is dlarray else x


def raw_in_order(x: Any) -> Any:
    """In memory as a wrapped tensor claims to be: in C order."""
    x = raw_of(x)
    return x.contiguous() if isinstance(x, Tensor) else x


def as_array(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    if x.layout is not torch.strided:
        raise TypeRefused(f"arrays are dense, this would be one of layout {x.layout}, at {line_of(user_site())}; leave "
                          "it dense, or make it sparse outside")
    if x.dtype not in NAMES:
        raise TypeRefused(f"there are no arrays of {str(x.dtype)[6:]}, which torch gives here, at "
                          f"{line_of(user_site())}; call it on extractdata(x)")
    return _made(x, None, None)


def as_wrapped(x: Any) -> Any:
    if type(x) is dlarray:
        return wrapped(x)
    return wrapped(_made(x, None, None)) if isinstance(x, Tensor) and not isinstance(x, Wrapped) else x


def as_varying(x: Any) -> Any:
    """As a tensor that requires gradients, where it is a floating one."""
    if type(x) is dlarray:
        return wrapped(x, True)
    x = as_wrapped(x)
    if isinstance(x, Wrapped) and not x._steps and differentiable(x.dtype):
        x._cell.varies = True
    return x


def left(x: Any) -> Any:
    """A result of a torch function as a dlarray; a dataclass with such results in its fields."""
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        fields = {f.name: tree_map(left, getattr(x, f.name)) for f in dataclasses.fields(x) if f.init}
        return dataclasses.replace(x, **fields)
    x = array_of(x)
    return _made(x._value, x._node, None) if type(x) is dlarray else x
