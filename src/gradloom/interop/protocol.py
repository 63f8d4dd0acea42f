"""What the protocols of other libraries have in common: public operations by name, and what is said of a function that
has none."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..core.array import dlarray
from ..core.containers import flatten
from ..core.errors import TypeRefused, from_inside, line_of, user_site
from ..core.tables import PUBLIC
from ..machine.dtypes import NUMBER_TYPES, differentiable


class _Operations:
    """The public operations as attributes."""

    def __init__(self, family: str = "") -> None:
        self._family = family

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(_module(self._family), name, None) if self._family else None
        function = function or PUBLIC.get(name)
        if function is None:
            raise TypeRefused(
                f"gradloom.{self._family}{name} is not there yet, at {line_of(user_site())}; write it in other "
                "operations")
        return function


def _module(family: str) -> Any:
    from .. import operations

    return getattr(operations, {"fft.": "fourier"}.get(family, family[:-1]), None)


class Unsupported(Exception):
    """An option that an adapter has no operation for; the function itself may be made of others."""


gl = _Operations()
linalg = _Operations("linalg.")
fft = _Operations("fft.")


def array(x: Any) -> Any:
    """x as a dlarray; one stays what it is."""
    return x if type(x) is dlarray else dlarray(x)


def constant(x: Any) -> dlarray:
    """A tensor made by an adapter as an array that carries no derivative."""
    return dlarray._made(x, None, None)


def cast(x: Any, dtype: Any) -> Any:
    """x in another type, where one is given; of complex numbers the real part, where that is real."""
    if dtype is None or x.dtype is dtype:
        return x
    return gl.astype(gl.real(x) if x.dtype.is_complex and not dtype.is_complex else x, dtype)


def in_double(x: Any) -> Any:
    """In double precision, complex where x is; Python numbers are that already."""
    return (x if type(x) in NUMBER_TYPES else gl.astype(array(x), "complex128" if array(x).dtype.is_complex
                                                        else "float64"))


def mantissa_and_exponent(x: Any) -> tuple[Any, Any]:
    """x = mantissa 2 ** exponent, with the exponent a constant; in two steps, since a power may overflow."""
    x = array(x)
    exponent = torch.frexp(x._value).exponent
    half = -exponent // 2
    parts = [torch.ldexp(torch.ones_like(x._value), e) for e in (half, -exponent - half)]
    return x * constant(parts[0]) * constant(parts[1]), constant(exponent)


def arrays_in(arguments: Any) -> list[dlarray]:
    """The dlarrays among arguments, at any depth."""
    return [leaf for leaf in flatten(arguments)[0] if type(leaf) is dlarray]


def traced_in(arguments: Any) -> bool:
    """Whether a value that carries a derivative is among the arguments."""
    return any(x.traced and differentiable(x._value.dtype) for x in arrays_in(arguments))


def unknown(word: str, way: str) -> TypeRefused:
    """The error for a function that has no operation."""
    return TypeRefused(f"{word} has no operation in gradloom, at {line_of(user_site())}; {way}")


def adapted(word: str, adapter: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """The adapter's result; arguments that it does not take are refused by name."""
    try:
        return adapter(*args, **kwargs)
    except TypeError as error:
        if from_inside(error):
            raise
        refused = str(error).split("() ", 1)[-1]
    raise TypeRefused(
        f"{word}: {refused}, at {line_of(user_site())}; the operation has no such argument: write it without")
