"""Torch functions on dlarrays, recorded through the ATen operations that they are made of.

`run` calls a torch function with every dlarray as a `Wrapped` tensor, under a mode that answers each ATen operation
(`mode.py`).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_map

from ....core.array import dlarray
from ....core.errors import GradloomError, TraceError, TypeRefused, line_of, user_site
from ....core.origin import refuse_computed
from ....core.trace import current_trace
from ....machine.dtypes import Tensor
from ....machine.modes import under
from ..autograd import NeedsTrace, refuse_transform
from ..own import own_functions
from . import rules  # noqa: F401  which fill the tables
from .mode import Functional
from .values import carries, left
from .whole import Whole
from .wrapped import Run, Wrapped, running, thread, wrapped

_made = dlarray._made


# ----- running a function ---------------------------------------------------------------------------------------------


def run(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A torch function on dlarrays, recorded through the ATen operations that it is made of.

    Plain tensors are constants. Floating results are dlarrays without labels. Raises TypeRefused where an operation has
    no rule and where a value would be written into an argument, TraceError where a value that is differentiated would
    leave the trace.
    """
    word = name_of(func)
    places: dict[int, tuple[dlarray, Wrapped]] = {}

    def entered(x: Any) -> Any:
        if type(x) is dlarray:
            if id(x) not in places:
                traced = carries(x)
                places[id(x)] = x, wrapped(_made(x._value, x._node if traced else None, None), traced, True)
            return places[id(x)][1]
        if isinstance(x, Tensor):
            refuse_computed(x)
            return x.detach()
        return x

    args, kwargs = tree_map(entered, (tuple(args), dict(kwargs or {})))
    trace = next((x._node.trace for x, place in places.values() if place.requires_grad), None)  # type: ignore[union-attr]

    def recorded() -> Any:
        for _, place in places.values():
            place._cell.run = running()
        return tree_map(left, func(*args, **kwargs))

    try:
        result = dispatched(word, trace, recorded)
    except NeedsTrace:
        raise TraceError(f"{word} differentiates what is not recorded, at {line_of(user_site())}; write "
                         "dlfeval(fun, x, ...) with it in fun") from None
    for _, place in places.values():
        if place._cell.version:
            raise TypeRefused(
                f"{word} writes into an array that it was given, at {line_of(user_site())}; values never change: write "
                "the form that returns a new one (without inplace=True, out= or a trailing _)")
    return result


_transform = torch._C._functorch.peek_interpreter_stack


def dispatched(word: str, trace: Any, function: Callable[..., Any], /, *args: Any) -> Any:
    """Run torch code, answered by the rules; what it differentiates is recorded on `trace`."""
    interpreter = _transform()
    if interpreter is not None:
        refuse_transform(interpreter)
    mode = Functional(word)
    outer, run = running(), Run(word, mode, current_trace() or trace, dispatched)
    try:
        thread.run = run
        return under((torch._C._ForceDispatchKeyGuard(*mode.keys), torch.enable_grad(), mode, Whole()),
                     own_functions, function, *args)
    except TypeError as error:
        if mode.error is None or isinstance(error, GradloomError):
            raise
        raise mode.error from None
    finally:
        thread.run = outer
        run.over, run.mode = True, None
        mode.error = None  # it holds the frames it went through, and they the mode


def name_of(func: Any) -> str:
    """`torch.nn.functional.relu`, for messages."""
    name = getattr(func, "__name__", None) or getattr(func, "__qualname__", None) or type(func).__name__
    module = (getattr(func, "__module__", None) or getattr(getattr(func, "__objclass__", None), "__name__", None)
              or "torch")
    return f"{str(module).replace('torch._C._', 'torch.')}.{name}"
