"""Modes of torch and NumPy that a function runs under, and that are off afterwards whatever happens."""
from __future__ import annotations

import contextlib
import contextvars
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch.utils import _python_dispatch

_MARKS = [name for name in vars(_python_dispatch) if name.startswith("_is_in_")]


def under(modes: Sequence[AbstractContextManager[Any]], function: Callable[..., Any], /, *args: Any,
          **options: Any) -> Any:
    """Run a function under modes of torch, which are off afterwards.

    Their exits are written in Python: an interrupt that comes just before one would leave its mode on for good. What is
    on afterwards, and was not before, is therefore taken off here, and what was on is put back.
    """
    state = vars(_python_dispatch)
    marks, gradients = {name: state[name] for name in _MARKS}, torch.is_grad_enabled()
    dispatching, overriding = torch._C._len_torch_dispatch_stack(), torch._C._len_torch_function_stack()
    outer = [torch._C._get_function_stack_at(k) for k in range(overriding)]
    try:
        return _entered(modes, function, args, options)
    except BaseException as error:
        _end_contexts(error)
        # torch takes a mode off while it answers a call; an interrupt then leaves it off, and its exit finds none
        before = error.__context__
        if isinstance(error, RuntimeError) and isinstance(before, KeyboardInterrupt) and "mode stack" in str(error):
            raise before from None
        raise
    finally:
        state.update(marks)
        torch._C._set_grad_enabled(gradients)
        while torch._C._len_torch_dispatch_stack() > dispatching:
            torch._C._pop_torch_dispatch_stack(None)
        while torch._C._len_torch_function_stack() > overriding:
            torch._C._pop_torch_function_stack()
        for mode in outer[torch._C._len_torch_function_stack():]:
            torch._C._push_on_torch_function_stack(mode)


def _end_contexts(error: BaseException | None) -> None:
    """End the contexts that an interrupt broke off as they were entered or left.

    They are suspended generators of torch's, such as the one that puts a mode on again after a call. Their end is when
    they are collected, and with an error that refers to itself that may be in the middle of something else.
    """
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename == contextlib.__file__:
                with contextlib.suppress(RuntimeError):  # of an error around this one, whose context still runs
                    frame.clear()
        error = error.__context__


def _entered(modes: Sequence[AbstractContextManager[Any]], function: Callable[..., Any], args: Any,
             options: Any) -> Any:
    if not modes:
        return function(*args, **options)
    with modes[0]:
        return _entered(modes[1:], function, args, options)


def undispatched(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """Run a function outside the modes that answer torch's operations."""
    guards: list[Any] = []
    try:
        guards.append(torch._C._DisableTorchDispatch())  # it ends when nothing refers to it
        return function(*args, **options)
    finally:
        guards.clear()


def without_complaints(function: Callable[..., Any], /, *args: Any) -> Any:
    """Run a function while NumPy says nothing of infinities and NaN: in a context of its own, which an interrupt ends
    too."""
    def quiet() -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return contextvars.copy_context().run(quiet)
