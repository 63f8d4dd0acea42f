"""check_finite: who first made a NaN or an infinity. Off, it costs nothing: switching it on wraps the kernels and rules themselves."""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..kernels import NUMBER_TYPES, Tensor
from .array import dlarray
from .errors import NotFinite, line_of, user_site
from .labels import described
from .operation import OPERATIONS, Operation

_thread = threading.local()  # `depth`: how many check_finite this thread is in; `rule`: how many derivative rules
_lock = threading.Lock()
_users = 0
_originals: dict[Operation, dict[str, Any]] = {}
_REMEDY = "guard what is undefined with gl.where or gl.clip, or add a small number before the operation"


@contextmanager
def check_finite() -> Iterator[None]:
    """Inside it, the operation that first makes a NaN or an infinity is an error that names it and the line, in walks too.

    An infinity that was given (a mask of -inf) may pass; a NaN that was given is an error where it is first used.
    It holds for this thread, and makes every operation slower.

    Raises NotFinite.

    >>> import gradloom as gl
    >>> with gl.check_finite():
    ...     y = gl.log(gl.dlarray([1.0, 0.0]))
    Traceback (most recent call last):
    gradloom.core.errors.NotFinite: log(x 2) made an infinity in 1 of 2 elements, ...

    Source: PyTorch detect_anomaly.
    """
    _thread.depth = checking() + 1
    _enter()
    try:
        yield
    finally:
        _leave()
        _thread.depth -= 1


def checking() -> int:
    """How many `check_finite` blocks this thread is in."""
    return getattr(_thread, "depth", 0)


def _enter() -> None:
    global _users
    with _lock:
        _users += 1
        for operation in list(OPERATIONS.values()):
            if operation not in _originals:
                _wrap(operation)


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if not _users:
            for operation, original in _originals.items():
                for name, value in original.items():
                    setattr(operation, name, value)
                for name in {"pull", "push"} - set(original):
                    vars(operation).pop(name, None)
            _originals.clear()


def _wrap(operation: Operation) -> None:
    """Put checks around an operation's kernel and rules."""
    its = vars(operation)
    _originals[operation] = {name: its[name] for name in ("kernel", "raw_pulls", "factors", "pull", "push") if name in its}
    operation.kernel = _checked_kernel(operation, operation.kernel)
    if operation.raw_pulls is not None:
        operation.raw_pulls = [_checked_rule(operation, "cotangent", rule, lambda v, p, node, g: node) for rule in operation.raw_pulls]
        operation.factors = [None] * len(operation.raw_pulls)  # so that every cotangent is seen
    operation.pull = _checked_rule(operation, "cotangent", operation.pull, lambda v, p, node, *_: node)  # type: ignore[method-assign]
    operation.push = _checked_rule(operation, "tangent", operation.push, lambda v, p, node, *_: node)  # type: ignore[method-assign]


def _checked_kernel(operation: Operation, kernel: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(kernel)
    def run(*values: Any, **params: Any) -> Any:
        result = kernel(*values, **params)
        if checking() and not getattr(_thread, "rule", 0):
            outputs = result[:operation.outputs] if isinstance(result, tuple) else (result,)
            found = _made([v for v in values if v is not None], outputs)
            if found is not None:
                operands = ", ".join(f"{name} {(described(v.shape, None) if v.ndim else format(v.item(), 'g')) if isinstance(v, Tensor) else repr(v)}"
                                     for name, v in zip(operation.inputs, values, strict=False) if v is not None)
                raise NotFinite(f"{operation.name}({operands}) {found}, at {line_of(user_site())}; {_REMEDY}")
        return result

    return run


def _checked_rule(operation: Operation, what: str, rule: Callable[..., Any], node_of: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(rule)
    def run(*args: Any) -> Any:
        if not checking():
            return rule(*args)
        _thread.rule = getattr(_thread, "rule", 0) + 1
        try:
            bars = rule(*args)
        finally:
            _thread.rule -= 1
        found = None if _thread.rule else _made(_arrays(args[3]), _arrays(bars))
        if found is not None:
            raise NotFinite(f"the derivative of {operation.name} (computed in {line_of(node_of(*args).site)}) {found} of its {what}, "
                            f"at {line_of(user_site())}; {_REMEDY}")
        return bars

    return run


def _arrays(x: Any) -> list[Any]:
    parts = x if isinstance(x, (list, tuple)) else (x,)
    return [part._value if type(part) is dlarray else part for part in parts if isinstance(part, (dlarray, Tensor))]


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
        x = torch.tensor(x)
    return _strided(x) and bool(test(x).any())


def _strided(x: Any) -> bool:
    return isinstance(x, Tensor) and x.layout is torch.strided and not x.is_meta


__all__ = ["check_finite", "checking"]
