"""How operations and public functions are declared: the constructors, and what makes a function one that users have."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..machine.dtypes import Tensor
from ..vocabulary.options import by_name_and_value, shown, unknown_option
from .array import dlarray
from .calls import binary, nary, unary
from .errors import (
    GradloomError,
    IndexRefused,
    TypeRefused,
    ValueRefused,
    from_inside,
    is_inside,
    is_pythons,
    line_of,
    user_site,
)
from .kinds.elementwise import Elementwise
from .kinds.general import General
from .kinds.multilinear import Multilinear
from .labels import described
from .operation import Operation
from .rules import Rule
from .tables import PUBLIC

# ----- operations, one constructor for each kind ----------------------------------------------------------------------


def elementwise(name: str, kernel: Callable[..., Any], *partials: Any, inputs: Sequence[str] | None = None,
                doc: str = "", repeats: bool = False, **rest: Any) -> Callable[..., Any]:
    """Declare an elementwise operation and return its public function.

    A partial is a number, the name of an input, or a rule such as `lambda y: 1 - y * y`. `repeats`: as an operator it
    is one that Python has for text and lists too.
    """
    inputs = tuple(inputs or (("x",), ("a", "b"), ("a", "b", "c"))[len(partials) - 1])
    operation = Elementwise(name, kernel, partials, inputs, **rest)
    call: Callable[..., Any]
    if len(inputs) == 1:
        call = unary(operation)
    elif len(inputs) == 2:
        call = binary(operation, repeats)
    else:
        call = nary(operation)
    return dressed(call, operation, doc if ">>>" in doc else documented(operation, doc))


def documented(operation: Operation, doc: str) -> str:
    """A docstring with shapes and an example, for an operation of one line."""
    low, high = operation.domain
    values = [round(low + (high - low) * part, 2) for part in (0.75, 0.6, 0.4)][:len(operation.inputs)]
    arrays = [torch.tensor(v, dtype=torch.float64, device="cpu") for v in values]
    shown = ", ".join(f"gl.dlarray({v})" for v in values)
    broadcast = ("Any shape and labels, which the result keeps." if len(values) == 1
                 else "Shapes broadcast; labels match by name.")
    made = repr(dlarray._made(operation.kernel(*arrays), None))
    example = f">>> import gradloom as gl\n    >>> gl.{operation.name}({shown})\n    {made}"
    return f"{doc}\n\n    {broadcast}\n\n    {example}\n    "


def multilinear(name: str, kernel: Callable[..., Any], inputs: Sequence[str] = ("x",), *,
                terms: Sequence[Sequence[str]] | None = None,
                transposes: dict[str, Rule], **rest: Any) -> Multilinear:
    """Declare an operation that is linear in each of its inputs; one monomial of all inputs unless `terms` says
    otherwise."""
    return Multilinear(name, kernel, inputs, terms if terms is not None else [tuple(inputs)], transposes, **rest)


def general(name: str, kernel: Callable[..., Any], inputs: Sequence[str] = ("x",), *, push: Rule,
            pull: Rule, **rest: Any) -> General:
    """Declare an operation whose push and pull are stated by hand."""
    return General(name, kernel, inputs, push, pull, **rest)


def discrete(name: str, kernel: Callable[..., Any], inputs: Sequence[str] = ("x",), **rest: Any) -> Operation:
    """Declare an operation whose result carries no derivative: comparisons, rounding, positions."""
    return Operation(name, kernel, inputs, **rest)


# ----- public functions -----------------------------------------------------------------------------------------------


def public(operation: Operation) -> Callable[[Any], Any]:
    """Tie a user-facing function to its operation: the table, the docs and the special methods read it from here."""

    def tie(function: Any) -> Any:
        return dressed(function, operation, function.__doc__ or "", True)

    return tie


def composite(function: Any) -> Any:
    """A public function that is written in other operations and needs no rule."""
    function.__module__ = "gradloom"
    PUBLIC[function.__name__] = explained(function, True)
    return function


# What a function says of an argument that it cannot compute with, and how users meet it.
_REFUSALS: dict[type, type[GradloomError]] = {
    TypeError: TypeRefused, AttributeError: TypeRefused, ValueError: ValueRefused, KeyError: ValueRefused,
    OverflowError: ValueRefused, IndexError: IndexRefused}


def _users(error: BaseException) -> bool:
    """Whether an error comes from code of the user's that the function called."""
    trace: Any = error.__traceback__ and error.__traceback__.tb_next
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not is_inside(file) and not is_pythons(file):
            return True
        trace = trace.tb_next
    return False


def _shown(x: Any) -> str:
    return described(x.shape, getattr(x, "_labels", None)) if isinstance(x, (dlarray, Tensor)) else f"{x!r:.40}"


def _way(name: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    return f"write {name}{inspect.Signature([p.replace(annotation=p.empty) for p in parameters.values()])}"


def _cannot_take(name: str, args: Any, kwargs: Any, refused: BaseException, way: str) -> str:
    given = ", ".join([*map(_shown, args), *(f"{k}={_shown(v)}" for k, v in kwargs.items())])
    return f"{name} cannot take ({given}): {refused}, at {line_of(user_site())}; {way}"


def explained_class(made: type) -> None:
    """The same for what makes objects of a class."""
    init: Any = made.__init__  # type: ignore[misc]
    _, *parameters = inspect.signature(init).parameters.values()

    @functools.wraps(init)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> None:
        try:
            return init(self, *args, **kwargs)  # type: ignore[no-any-return]
        except (TypeError, AttributeError, ValueError, LookupError, OverflowError) as error:
            kind = _REFUSALS.get(type(error))
            if kind is None or from_inside(error) and _users(error):
                raise
            way = _way(made.__name__, {p.name: p for p in parameters})
            raise kind(_cannot_take(made.__name__, args, kwargs, error, way)) from error

    made.__init__ = call  # type: ignore[misc]


def explained(function: Any, always: bool = False) -> Any:
    """The function as users have it: a call with an option that it has not, with an axis by position, or with something
    that it cannot compute with is an error that spells it as it is here."""
    parameters = inspect.signature(function).parameters
    if not always and "axis" not in parameters and not any(p.kind is p.KEYWORD_ONLY for p in parameters.values()):
        return function
    by_keyword = "axis" in parameters and parameters["axis"].kind is inspect.Parameter.KEYWORD_ONLY
    options = [n for n, p in parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    function.__signature__ = inspect.signature(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (TypeError, AttributeError, ValueError, LookupError, OverflowError) as error:
            kind, refused, name, inside = _REFUSALS.get(type(error)), error, function.__name__, from_inside(error)
            if kind is None or inside and _users(error):
                raise
        way = _way(name, parameters)
        if inside:
            raise kind(_cannot_take(name, args, kwargs, refused, way)) from refused
        word = next((w for w in kwargs if w not in parameters), None)
        if word in ("dim", "dims", "axes") and "axis" in parameters:
            raise TypeRefused(
                f"{name} has no {word}=, at {line_of(user_site())}; the word is axis, an integer counted from 0, a "
                f"label letter or several: write {name}(..., axis={shown(kwargs[word])})")
        if word is not None:
            unknown = unknown_option(name, word, kwargs[word], options)
            raise TypeRefused(f"{name} has no {word}=, at {line_of(user_site())}{unknown}; {way}")
        if (said := by_name_and_value(name, args, options)) is not None:
            raise TypeRefused(f"{refused}, at {line_of(user_site())}; {said}; {way}")
        if by_keyword and "were given" in str(refused):
            of_two = f"{name}imum"
            other = f", or {of_two}(a, b) for the {name} of two arrays" if of_two in PUBLIC else ""
            called = f"{name}([a, b]" if next(iter(parameters)) == "arrays" else f"{name}(x"
            every = f"; over all of them it is {called})" if "all" in [a for a in args if isinstance(a, str)] else ""
            raise TypeRefused(
                f"{refused}, at {line_of(user_site())}; axis is given by keyword and counts from 0: write {called}, "
                f"axis=0) for the first axis, MATLAB's 1{every}{other}")
        raise TypeRefused(f"{refused}, at {line_of(user_site())}; {way}")

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(call, name, getattr(function, name))
    call.__dict__ = function.__dict__  # one signature and one operation for both
    return call


def dressed(function: Any, operation: Operation, doc: str, always: bool = False) -> Any:
    function.__name__ = function.__qualname__ = operation.name if function.__name__ == "call" else function.__name__
    function.__module__ = "gradloom"
    function.__doc__ = doc
    function.operation = operation
    operation.public = function
    PUBLIC[function.__name__] = explained(function, always)
    return function
