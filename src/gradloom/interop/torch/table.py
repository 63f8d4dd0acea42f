"""What torch's functions of arrays record: adapters with torch's own arguments. `FUNCTIONS` is read by the protocol and
by its tests."""
from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from ...core.array import dlarray, labels_of, raw
from ...machine.caches import remembered
from ..numpy.mathematics import FUNCTIONS as NUMPY
from ..protocol import Unsupported, cast, gl, in_double


class Table(dict[str, Callable[..., Any]]):
    """Names of torch to functions of dlarrays. A name, ATen's `linalg_qr` for `linalg.qr` too, is stated once, in one
    of the tables."""

    _owners: ClassVar[dict[str, Table]] = {}

    def __setitem__(self, name: str, function: Callable[..., Any]) -> None:
        overload = name.startswith("prims.") or self.of_aten and "." in name
        base = name if name.startswith("prims.") else name.partition(".")[0] if overload else _PREFIX.sub(r"\1_", name)
        if self._owners.setdefault(base, self) is not self or name in self:
            raise ValueError(f"{name} is stated twice")
        super().__setitem__(name, function)

    def __init__(self, of_aten: bool = False):
        super().__init__()
        self.of_aten = of_aten

    def update(self, *tables: Any, **functions: Any) -> None:
        for name, function in dict(*tables, **functions).items():
            self[name] = function


_PREFIX = re.compile(r"^(linalg|fft|special)\.")
# what torch.* and torch.nn.functional.* have, with torch's arguments; ATen's operations of these names have them too
FUNCTIONS = Table()
RULES = Table(of_aten=True)  # of ATen alone: "_softmax" or "sum.dim_IntList" or "prims.sum"
# torch functions that are one operation here: a function of dlarrays
WHOLE: dict[str, Callable[..., Any]] = {}
# ATen's operations that write without saying so, or in a way of their own: functions of wrapped tensors
WRITERS = Table(of_aten=True)


_PREFIXES = ("linalg_", "fft_", "special_")


@remembered(None)
def name_of(function: Any) -> str:
    """What the function is called in torch: "sin", "linalg.inv", "nn.functional.batch_norm"."""
    name = getattr(function, "__name__", "")
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return f"{prefix[:-1]}.{name[len(prefix):]}"
    its = (getattr(function, "__module__", None) == "torch.nn.functional"
           or getattr(torch.nn.functional, name, None) is function)
    if its and f"nn.functional.{name}" in FUNCTIONS:
        return f"nn.functional.{name}"
    return name


def of_torch(function: Any) -> Any:
    """An adapter, under its own name."""
    FUNCTIONS[function.__name__.removesuffix("_")] = function
    return function


def of_functional(function: Any) -> Any:
    """An adapter for a function of torch.nn.functional whose arguments or results are not those of ATen's operation of
    that name."""
    FUNCTIONS[f"nn.functional.{function.__name__}"] = function
    return function


def rule(*names: str) -> Callable[[Any], Any]:
    """The function answers the ATen operations of these names: `sum`, one overload `sum.dim_IntList`, torch's primitive
    `prims.sum`."""

    def tie(function: Any) -> Any:
        for name in names:
            RULES[name] = function
        return function

    return tie


def only(**options: Any) -> None:
    """Options at any value but their default go to the operations that the function is made of."""
    for name, (value, default) in options.items():
        if value is not default and not (isinstance(value, (int, float, str, tuple)) and value == default):
            raise Unsupported(f"{name}={value!r:.30}")


# ----- element by element -----

FUNCTIONS["frac"] = lambda input: input - gl.trunc(input)
FUNCTIONS["deg2rad"] = lambda input: input * (math.pi / 180)
FUNCTIONS["rad2deg"] = lambda input: input * (180 / math.pi)
FUNCTIONS["round"] = lambda input, *, decimals=0: NUMPY["round"](input, decimals)
FUNCTIONS["sinc"] = FUNCTIONS["special.sinc"] = lambda input: NUMPY["sinc"](input)
FUNCTIONS["nan_to_num"] = lambda input, nan=None, posinf=None, neginf=None: NUMPY["nan_to_num"](
    input, True, nan or 0.0, posinf, neginf)

FUNCTIONS["pow"] = lambda input, exponent: gl.power(input, exponent)
FUNCTIONS["float_power"] = lambda input, exponent: gl.power(in_double(input), in_double(exponent))
for _name in ("mm", "bmm"):
    FUNCTIONS[_name] = lambda input, mat2: gl.matmul(input, mat2)
FUNCTIONS["mv"] = lambda input, vec: gl.matmul(input, vec)
FUNCTIONS["dot"] = lambda input, tensor: gl.matmul(input, tensor)
FUNCTIONS["vdot"] = lambda input, other: gl.matmul(gl.conj(input), other)
FUNCTIONS["add"] = lambda input, other, *, alpha=1: gl.add(input, other if alpha == 1 else gl.multiply(other, alpha))
FUNCTIONS["sub"] = FUNCTIONS["subtract"] = lambda input, other, *, alpha=1: gl.subtract(
    input, other if alpha == 1 else gl.multiply(other, alpha))
FUNCTIONS["rsub"] = FUNCTIONS["__rsub__"] = lambda input, other, *, alpha=1: gl.subtract(
    other, input if alpha == 1 else input * alpha)
for _name, _public in {"__rpow__": "power", "__rdiv__": "divide", "__rtruediv__": "divide",
                       "__rmul__": "multiply", "__radd__": "add",
                       "__rmod__": "mod", "__rmatmul__": "matmul", "__rfloordiv__": "floor_divide"}.items():
    FUNCTIONS[_name] = lambda input, other, _public=_public: getattr(gl, _public)(other, input)


@of_torch
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    y = gl.divide(input, other) if rounding_mode != "floor" else gl.floor_divide(input, other)
    return gl.trunc(y) if rounding_mode == "trunc" else y


FUNCTIONS["divide"] = div
FUNCTIONS["lerp"] = lambda input, end, weight: gl.add(input, gl.multiply(weight, gl.subtract(end, input)))
FUNCTIONS["addcmul"] = lambda input, tensor1, tensor2, *, value=1: gl.add(input, gl.multiply(tensor1, tensor2) * value)
FUNCTIONS["addcdiv"] = lambda input, tensor1, tensor2, *, value=1: gl.add(input, gl.divide(tensor1, tensor2) * value)


def plus(input: Any, product: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta input + alpha product; with beta 0 the input is not read."""
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else gl.add(input if beta == 1 else gl.multiply(input, beta), product)


for _name in ("addmm", "addmv", "baddbmm"):
    FUNCTIONS[_name] = lambda input, a, b, *, beta=1, alpha=1: plus(input, gl.matmul(a, b), beta, alpha)


@of_torch
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    return gl.clip(input, min, max)


FUNCTIONS["clip"] = clamp
FUNCTIONS["clamp_min"] = lambda input, min: gl.clip(input, min, None)
FUNCTIONS["clamp_max"] = lambda input, max: gl.clip(input, None, max)
FUNCTIONS["where"] = lambda condition, input=None, other=None: (
    gl.nonzero(condition) if input is None and other is None else gl.where(condition, input, other))
FUNCTIONS["masked_fill"] = lambda input, mask, value: gl.where(
    mask, cast(value, input.dtype) if type(value) is dlarray else value, input)

# ----- reductions -----


def axes(dim: Any) -> Any:
    """torch's dim as axis: none or an empty list are all."""
    if dim is None or isinstance(dim, (list, tuple)) and not dim:
        return None
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def _moment(name: str) -> None:
    def call(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        correction = (1 if unbiased else 0) if unbiased is not None else 1 if correction is None else correction
        return getattr(gl, name)(input, axis=axes(dim), correction=correction, keepdims=keepdim)

    FUNCTIONS[name] = call
    FUNCTIONS[f"{name}_mean"] = lambda input, dim=None, unbiased=None, keepdim=False, *, correction=1: (
        call(input, dim, unbiased, keepdim, correction=correction),
        gl.mean(input, axis=None if isinstance(dim, bool) else axes(dim), keepdims=keepdim))


_moment("var")
_moment("std")


def _extreme(name: str, other_name: str) -> None:
    result = getattr(torch.return_types, name)

    def call(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        if dim is None and other is None:
            return getattr(gl, name)(input)
        if other is not None or not isinstance(dim, int):
            return getattr(gl, other_name)(input, dim if other is None else other)
        if not input.ndim:
            return result((input, dlarray(0, dtype="int64")))
        return result((getattr(gl, name)(input, axis=dim, keepdims=keepdim),
                       getattr(gl, f"arg{name}")(input, axis=dim, keepdims=keepdim)))

    FUNCTIONS[name] = call


_extreme("max", "maximum")
_extreme("min", "minimum")


@of_torch
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool | None = False) -> Any:
    where = torch.sort(raw(input), dim=dim, descending=descending, stable=bool(stable))[1]
    places = dlarray(where, labels_of(input))
    values: Any = gl.take_along_axis(input, where, axis=dim) if input.ndim else input
    return torch.return_types.sort((values, places))  # type: ignore[arg-type]


FUNCTIONS["argsort"] = lambda input, dim=-1, descending=False, stable=False: sort(input, dim, descending, stable)[1]
FUNCTIONS["cumsum"] = lambda input, dim, *, dtype=None: (
    gl.cumsum(cast(input, dtype), axis=dim) if input.ndim else cast(input, dtype))
FUNCTIONS["cumprod"] = lambda input, dim, *, dtype=None: (
    gl.cumprod(cast(input, dtype), axis=dim) if input.ndim else cast(input, dtype))
FUNCTIONS["polygamma"] = FUNCTIONS["special.polygamma"] = lambda n, input: gl.polygamma(n, input)
FUNCTIONS["count_nonzero"] = lambda input, dim=None: gl.count_nonzero(input, axis=dim)
FUNCTIONS["special.ndtri"] = lambda input: gl.erfcinv(input * 2) * -math.sqrt(2)
