"""The words that take a function and return a function: used anywhere, they return what they were given."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.containers import flatten, unflatten
from ...core.errors import TypeRefused
from ...core.trace import current_trace, live, within
from ...machine.dtypes import NUMBER_TYPES, Tensor
from .accelerating import Calls
from .evaluate import dlfeval, refuse_suspended
from .gradient import dlgradient

_PLAIN = frozenset((np.dtype("float64"), np.dtype("float32")))  # NumPy's own, in this machine's order of bytes


def value_and_gradient(function: Callable[..., Any], /, *, argument: int | str
                       | tuple[int | str, ...] = 0, accelerate: bool = True) -> Callable[..., Any]:
    """The function that returns `function`'s value and its gradient with respect to one argument; the others are passed
    through.

    Formula: x, ... -> (f(x, ...), df/dx). `argument` is the position or name of the argument, or several of them for a
    tuple of gradients. `function` receives it as dlarrays and returns a scalar dlarray.

    The result is of the kind that was given: for NumPy arrays (alone or in containers) the value is a Python number and
    the gradient fresh writable NumPy arrays; for numbers, numbers; for torch tensors, tensors; for dlarrays, dlarrays.
    It has the argument's container, shapes and types. `scipy.optimize.minimize(value_and_gradient(f), x0, jac=True)`
    takes it as it is. Called with traced arrays inside `dlfeval`, the gradient is recorded and can be differentiated
    again.

    Calls are recorded and replayed as by `dlaccelerate`, or plain where that is not possible: the function that is
    returned has an `explain()`, which says why. `accelerate=False` makes all of them plain.

    Raises ShapeError where the value is not a scalar, TypeRefused for integer arrays.

    >>> import gradloom as gl, numpy as np
    >>> def rosenbrock(x):
    ...     return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    >>> value, gradient = gl.value_and_gradient(rosenbrock)(np.array([-1.0, 2.0]))
    >>> print(value, gradient)
    104.0 [396. 200.]

    Source: JAX value_and_grad; SciPy optimize.minimize(jac=True).
    """
    refuse_suspended(function)
    several = isinstance(argument, tuple)
    wanted: tuple[int | str, ...] = argument if isinstance(argument, tuple) else (argument,)
    if not wanted or not all(isinstance(a, (int, str)) and not isinstance(a, bool) for a in wanted):
        raise TypeRefused(
            f"argument is the position or name of an argument, or a tuple of them, not {argument!r}; write argument=0")
    calls = Calls(function, accelerate, "value_and_gradient")

    @functools.wraps(function)
    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        places = tuple([place_of(function, a, args, kwargs) for a in wanted])
        inputs = tuple([args[p] if isinstance(p, int) else kwargs[p] for p in places])
        leaves, structure = flatten(inputs if several else inputs[0])
        given = [x for x in leaves if type(x) is dlarray]
        record = bool(given) and (current_trace() is not None or any([live(x._node) is not None for x in given]))
        variables = [as_variable(x) for x in leaves]
        if not any([type(x) is dlarray for x in variables]):
            raise TypeRefused(f"argument {argument!r} holds no array to differentiate with respect to; "
                              "pass a dlarray, a NumPy array or numbers")

        def run(variables: list[Any], others: list[Any], /, **named: Any) -> tuple[Any, Any]:
            def traced(variables: list[Any]) -> tuple[Any, Any]:
                filled = unflatten(structure, variables)
                y = called(function, places, filled if several else (filled,), others, named)
                targets = [x for x in variables if type(x) is dlarray]
                gradients = dlgradient(y, *targets, enable_higher_derivatives=record)
                return y, gradients if len(targets) > 1 else (gradients,)

            return apart(not record, dlfeval, traced, variables)  # type: ignore[no-any-return]

        if record:
            y, gradients = run(variables, list(args), **kwargs)
        else:
            y, gradients = calls(run, (places, structure), *without(places, variables, args, kwargs))
        found = iter(gradients)
        filled = [_returned(next(found), x) if type(v) is dlarray else x
                  for v, x in zip(variables, leaves, strict=True)]
        return _value(y, leaves), unflatten(structure, filled)

    both.explain = calls.explain  # type: ignore[attr-defined]
    return both


def place_of(function: Callable[..., Any], argument: int | str, args: tuple[Any, ...],
             kwargs: dict[str, Any]) -> int | str:
    """Where an argument is in a call: its position, or its name among the keywords."""
    if isinstance(argument, int):
        if -len(args) <= argument < len(args):
            return argument % len(args)
        raise TypeRefused(f"argument={argument}, and {len(args)} arguments were given by position; "
                          "write argument= with the name of one given by keyword")
    if argument in kwargs:
        return argument
    try:
        position = list(inspect.signature(function).parameters).index(argument)
    except ValueError:
        position = len(args)
    if position < len(args):
        return position
    raise TypeRefused(f"argument={argument!r} was not given; pass it, by position or by name")


def without(places: Sequence[int | str], variables: Any, args: Sequence[Any],
            kwargs: dict[str, Any]) -> tuple[tuple[Any, list[Any]], dict[str, Any]]:
    """The arguments of what `Calls` runs: the variables beside the others, with nothing in the variables' places."""
    others, named = list(args), dict(kwargs)
    for place in places:
        if isinstance(place, int):
            others[place] = None
        else:
            named[place] = None
    return (variables, others), named


def called(function: Callable[..., Any], places: Sequence[int | str], inputs: Sequence[Any], others: list[Any],
           named: dict[str, Any]) -> Any:
    """What the function gives, with the inputs in their places."""
    others, named = list(others), dict(named)
    for place, x in zip(places, inputs, strict=True):
        if isinstance(place, int):
            others[place] = x
        else:
            named[place] = x
    return function(*others, **named)


def as_variable(x: Any) -> Any:
    """A dlarray for what can be differentiated; text, None and the like stay what they are."""
    if type(x) is dlarray or not isinstance(x, (np.ndarray, np.generic, Tensor, *NUMBER_TYPES)) or isinstance(x, bool):
        return x
    if type(x) is np.ndarray and x.dtype in _PLAIN and x.flags.c_contiguous and x.flags.writeable:
        return dlarray._made(torch.from_numpy(x).clone(), None)  # quick way; the plain one is below
    return dlarray(x)


def as_numpy(x: dlarray) -> np.ndarray:
    """Fresh writable memory, in C order."""
    value = x._value
    if value.is_cpu and value.dtype in (torch.float64, torch.float32):
        return np.array(value.numpy(), order="C")  # quick way; the plain one is below
    return np.array(x, order="C")


def apart(own: bool, function: Callable[..., Any], /, *args: Any) -> Any:
    """Run a function, its trace apart from the one that this thread is running, of which a result in NumPy would be a
    constant."""
    return within(None, function, *args) if own else function(*args)


def _returned(g: dlarray, x: Any) -> Any:
    """A gradient as what x was: fresh memory, never shared with a trace or with another gradient."""
    if type(x) is dlarray:
        return g
    if isinstance(x, Tensor):
        return g._value.clone()
    if isinstance(x, np.ndarray):
        return as_numpy(g)
    return g.item() if type(x) in NUMBER_TYPES else np.array(g)[()]


def _value(y: dlarray, leaves: list[Any]) -> Any:
    if any(type(x) is dlarray for x in leaves):
        return y
    return y._value.clone() if any(isinstance(x, Tensor) for x in leaves) else y.item()


__all__ = ["value_and_gradient"]
