"""dlfeval: a function run with its arrays traced; and constants of what is traced: detach, extractdata."""
from __future__ import annotations

import gc
import inspect
from collections.abc import Callable
from itertools import repeat
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from ...core.array import dlarray
from ...core.containers import Structure, flatten, unflatten
from ...core.errors import Site, TraceError, TypeRefused, line_of, user_site
from ...core.operation import NO_PARAMS
from ...core.trace import Node, Trace, active, live
from ...machine.memory import LITTLE, apart, places
from ...machine.questions import thread
from .marks import IDENTITY, VARIABLE

# ----- dlfeval --------------------------------------------------------------------------------------------------------


def dlfeval(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a function with its arrays traced, so that derivatives can be taken inside it.

    `dlfeval(fun, x, ...)` returns whatever fun returns, without the trace. Every floating or complex dlarray in the
    arguments (alone, in containers, in networks) becomes a variable of the trace, each place in them one of its own,
    also where the same array is passed twice; NumPy arrays, tensors and numbers are constants, and so is what the
    function reaches through a closure or a global. When it returns, everything of the trace is freed.

    >>> import gradloom as gl
    >>> def rosenbrock(x):
    ...     y = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    ...     return y, gl.dlgradient(y, x)
    >>> value, gradient = gl.dlfeval(rosenbrock, gl.dlarray([-1, 2]))
    >>> gradient
    2 dlarray float64
    [396. 200.]

    Source: MATLAB Deep Learning Toolbox, dlfeval.
    """
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & SUSPENDED:  # quick way past functions that are none of these
        if hasattr(type(function), "__dlfeval__") and active.trace is None:
            return function.__dlfeval__(args, kwargs)  # type: ignore[attr-defined]
        refuse_suspended(function)
    trace = outer = active.trace
    leaves: list[Any] | tuple[Any, ...]
    structure: Structure | None
    if not kwargs and {*map(type, args)} <= ARRAYS:  # quick way, without containers; the plain one is below
        leaves, structure = args, None
    else:
        leaves, structure = flatten((args, kwargs))
    if trace is None:
        for leaf in leaves:
            if type(leaf) is dlarray and (node := leaf._node) is not None and node.trace.open:
                trace = node.trace
                break
    owner = trace is None
    if trace is None:
        trace = Trace()
    # A trace has no cycles, so Python's search for cycles would only walk it, again and again: it waits until the trace
    # is gone.
    collecting = owner and gc.isenabled()
    try:
        active.trace = trace
        active.walking = active.walking and not owner
        if collecting:
            gc.disable()
        site = user_site()
        if structure is None:
            leaves = [*map(_variable, leaves, repeat(trace), repeat(site))]
            result = function(*leaves)
        else:
            leaves = [_variable(leaf, trace, site) if type(leaf) is dlarray else leaf for leaf in leaves]
            args, kwargs = unflatten(structure, leaves)
            result = function(*args, **kwargs)
        if owner:
            del leaves, args, kwargs  # with the results' handles gone, most of the trace frees itself
            result = _left(result, trace)
        return result
    finally:
        active.trace = outer  # assignments before calls: see `within`
        if owner:
            trace.open = False
            try:
                if collecting:
                    gc.enable()
                trace.close()
            except BaseException:  # an interrupt in here, and what it cut short is done again
                if collecting:
                    gc.enable()
                trace.close()
                raise


ARRAYS = {dlarray}
FEW = 32  # nodes of a trace up to which it is looked at
SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def refuse_suspended(function: Callable[..., Any]) -> None:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & SUSPENDED:
        raise TypeRefused(
            f"{function.__name__} is a generator or coroutine function: it would run after the trace has ended; write "
            "an ordinary function that returns its values")
    if not callable(function) or isinstance(function, dlarray):
        raise TypeRefused(
            f"dlfeval needs a function as its first argument, not {type(function).__name__}; write dlfeval(fun, x, "
            "...)")


def _variable(x: dlarray, trace: Trace, site: Site | None) -> dlarray:
    """A fresh handle to a variable of its own: each place in the arguments is one, whatever else holds the same
    array."""
    value = x._value
    if not (value.dtype.is_floating_point or value.dtype.is_complex):
        return dlarray._made(value, None, x._labels)
    parent = x._node if x._node is None else live(x._node)
    if parent is not None and parent.trace is not trace:
        raise TraceError(
            f"an argument of dlfeval belongs to another trace (made in {line_of(parent.site)}); pass it through the "
            "outer dlfeval")
    if parent is None:
        node = Node(VARIABLE, trace, (), [value], NO_PARAMS, value, site)
    else:
        node = Node(IDENTITY, trace, (parent,), [None, None], NO_PARAMS, value, site)
    return dlarray._made(value, node, x._labels)


def _left(result: Any, trace: Trace) -> Any:
    """Results as they leave the outermost dlfeval."""
    kind = type(result)
    single = kind is dlarray
    if single or kind is tuple and {*map(type, result)} <= ARRAYS:
        left = []  # quick way, without containers; the plain one is below
        # where all that was made is small, and still there, no number lies where a large array had been
        heard = thread.recording  # which puts numbers in their places itself, each time that it is replayed
        little = heard or len(trace.nodes) <= FEW
        for reference in trace.nodes if little and not heard else ():
            node = reference()
            shape = None if node is None else node.shape
            if shape is None or shape and (len(shape) > 1 or shape[0] > LITTLE):
                little = False
                break
        for r in (result,) if single else result:
            value = r._value
            # without the call of `apart` where that says no more than this
            place = None if little or value.ndim or not value.is_cpu else next(places[value.dtype], None)
            if place is not None:
                place.copy_(value)
                value = place
            elif not little and value.numel() == 1:
                value = apart(value)
            left.append(dlarray._made(value, None, r._labels))
        return left[0] if single else tuple(left)
    leaves, structure = flatten(result)
    return unflatten(structure, [_left_leaf(leaf) for leaf in leaves])


def _left_leaf(leaf: Any) -> Any:
    if type(leaf) is dlarray:
        return dlarray._made(apart(leaf._value), None, leaf._labels)
    if type(leaf) in (GeneratorType, CoroutineType, AsyncGeneratorType):
        if type(leaf) is not AsyncGeneratorType:
            leaf.close()
        raise TypeRefused(
            "dlfeval got a generator or coroutine back: it would run after the trace has ended; return a list or the "
            "values")
    leave = getattr(type(leaf), "__leave_trace__", None)
    return leave(leaf) if leave is not None else leaf


# ----- constants of what is traced ------------------------------------------------------------------------------------


def detach(x: Any, /) -> dlarray:
    """The same values, labels and device as a constant: nothing is differentiated through it.

    >>> import gradloom as gl
    >>> gl.dlfeval(lambda x: gl.dlgradient(x + gl.atan(gl.detach(x)), x), gl.dlarray(2.0))
    dlarray float64 1.0

    Source: PyTorch detach; MATLAB users write extractdata.
    """
    x = x if isinstance(x, dlarray) else dlarray(x)
    return dlarray._made(x._value, None, x._labels)


dlarray.detach = detach  # type: ignore[attr-defined]


def extractdata(x: Any, /) -> Any:
    """The values as a read-only NumPy array, a constant: shared memory on the CPU, a copy from a GPU.

    Raises TypeRefused for bfloat16: write x.astype("float32").

    >>> import gradloom as gl
    >>> gl.extractdata(gl.dlarray([1.0, 2.0]))
    array([1., 2.])

    Source: MATLAB extractdata.
    """
    return detach(x).numpy()


def isdlarray(x: Any, /) -> bool:
    """Whether x is a dlarray.

    >>> import gradloom as gl
    >>> gl.isdlarray(3)
    False
    """
    return isinstance(x, dlarray)


__all__ = ["detach", "dlfeval", "extractdata", "isdlarray"]
