"""check_finite: who first made a NaN or an infinity. Off, it costs nothing.

On, it stands between every operation, a user's own too and those that are declared while it is on, and whoever asks for
its kernel or rules: the class `Operation` then answers such questions itself. It is on while a thread holds the lock of
a block. An interrupt at any moment leaves nothing on: a lock is taken and given back in one instruction, and the rest
goes when an operation is next asked for something.
"""
from __future__ import annotations

import _thread
import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from typing import Any

import torch

from ..machine.dtypes import NUMBER_TYPES, Tensor
from .array import dlarray
from .errors import NotFinite, line_of, user_site
from .labels import described
from .operand import Operand
from .operation import Operation

_REMEDY = "guard what is undefined with gl.where or gl.clip, or add a small number before the operation"


class _Block(_thread.RLock, ContextDecorator):  # type: ignore[misc, name-defined, unused-ignore]
    """One `check_finite` block: a lock that the thread in it holds."""

    def _recreate_cm(self) -> _Block:  # as a decorator: a block for each call
        return check_finite()

    @property
    def held(self) -> bool:
        """Whether this thread is in it."""
        return self._is_owned()  # type: ignore[attr-defined, no-any-return, unused-ignore]


class _Local(threading.local):
    ruling = False  # whether a derivative rule is running: what it makes is checked as a whole


_local = _Local()
_blocks: list[weakref.ref[_Block]] = []
_switching = threading.RLock()  # for `_blocks`, and for whether `Operation` answers itself


def check_finite() -> _Block:
    """Inside it, the operation that first makes a NaN or an infinity is an error that names it and the line, in walks
    too.

    An infinity that was given (a mask of -inf) may pass; a NaN that was given is an error where it is first used.
    Operations of your own, DifferentiableFunctions and layers with a backward of their own are seen as the library's
    are. It holds for this thread, and makes every operation slower.

    Raises NotFinite.

    >>> import gradloom as gl
    >>> with gl.check_finite():
    ...     y = gl.log(gl.dlarray([1.0, 0.0]))
    Traceback (most recent call last):
    gradloom.core.errors.NotFinite: log(x 2) made an infinity in 1 of 2 elements, ...

    Source: PyTorch detect_anomaly.
    """
    block = _Block()
    with _switching:
        _blocks[:] = [*[reference for reference in _blocks if reference() is not None], weakref.ref(block)]
        Operation.__getattribute__ = _answered  # type: ignore[method-assign, assignment]
    return block


def checking() -> bool:
    """Whether this thread is in a `check_finite` block."""
    for reference in _blocks:
        block = reference()
        if block is not None and block.held:
            return True
    return False


def _answered(operation: Operation, name: str) -> Any:
    """What an operation is asked for, while there are blocks."""
    value = object.__getattribute__(operation, name)
    if name not in _CHECKED or value is None or _local.ruling:
        return value
    if checking():
        return _CHECKED[name](operation, value)
    with _switching:
        _blocks[:] = [reference for reference in _blocks if reference() is not None]
        if not _blocks and "__getattribute__" in vars(Operation):
            del Operation.__getattribute__
    return value


def _checked_kernel(operation: Operation, kernel: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(kernel)
    def run(*values: Any, **params: Any) -> Any:
        result = kernel(*values, **params)
        outputs = result[:operation.outputs] if isinstance(result, tuple) else (result,)
        check(operation.name, values, outputs, operation.inputs)
        return result

    return run


def check(name: str, values: Sequence[Any], outputs: Sequence[Any], inputs: Sequence[str] = ()) -> None:
    """What a kernel made of values, where this thread is in a block; kernels that are no operation's are checked here
    too."""
    if not checking() or _local.ruling:
        return
    found = _made([v for v in values if v is not None], outputs)
    if found is not None:
        words = [f"{word} " for word in inputs] or [""] * len(values)
        operands = ", ".join(f"{word}{_operand(v)}" for word, v in zip(words, values, strict=False) if v is not None)
        raise NotFinite(f"{name}({operands}) {found}, at {line_of(user_site())}; {_REMEDY}")


def _checked_rule(operation: Operation, what: str, rule: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(rule)
    def run(v: Any, params: Any, node: Any, given: Any, *rest: Any) -> Any:
        outer = _local.ruling
        if outer or not checking():
            return rule(v, params, node, given, *rest)
        try:
            _local.ruling = True
            bars = rule(v, params, node, given, *rest)
        finally:
            _local.ruling = outer
        found = _made(_arrays(given), _arrays(bars))
        if found is not None:
            raise NotFinite(f"the derivative of {operation.name} (computed in {line_of(node.site)}) "
                            f"{found} of its {what}, at {line_of(user_site())}; {_REMEDY}")
        return bars

    return run


# What an operation is asked for when it runs, or when a walk comes through it.
_CHECKED: dict[str, Callable[[Operation, Any], Any]] = {
    "kernel": _checked_kernel,
    "raw_pulls": lambda operation, pulls: [_checked_rule(operation, "cotangent", pull) for pull in pulls],
    "factors": lambda operation, factors: [None] * len(factors),  # so that every cotangent is seen
    "pull": lambda operation, pull: _checked_rule(operation, "cotangent", pull),
    "push": lambda operation, push: _checked_rule(operation, "tangent", push),
    "unwatched": lambda operation, unwatched: False,
}


def _operand(x: Any) -> str:
    return repr(x) if not isinstance(x, Tensor) else described(x.shape, None) if x.ndim else format(x.item(), "g")


def _arrays(x: Any) -> list[Any]:
    parts = x if isinstance(x, (list, tuple)) else (x,)
    found = [part._value if type(part) is dlarray else part for part in parts if isinstance(part, (dlarray, Tensor))]
    return found + [array for part in parts if isinstance(part, Operand) and part.structured for array in part.arrays()]


def _made(inputs: Sequence[Any], outputs: Sequence[Any]) -> str | None:
    """What is wrong with the outputs, None where nothing is, or only what was given."""
    for y in outputs:
        if not _strided(y) or bool(torch.isfinite(y).all()):
            continue
        nans = int(torch.isnan(y).sum())
        if nans:
            given = any(_holds(torch.isnan, x) for x in inputs)
            return f"{'was given a NaN and has it' if given else 'made a NaN'} in {nans} of {y.numel()} elements"
        if not any(_holds(torch.isinf, x) for x in inputs):
            return f"made an infinity in {int(torch.isinf(y).sum())} of {y.numel()} elements"
    return None


def _holds(test: Callable[[Tensor], Tensor], x: Any) -> bool:
    if type(x) in NUMBER_TYPES:
        x = torch.tensor(x, device="cpu")
    return _strided(x) and bool(test(x).any())


def _strided(x: Any) -> bool:
    return isinstance(x, Tensor) and x.layout is torch.strided and not x.is_meta


__all__ = ["check_finite", "checking"]
