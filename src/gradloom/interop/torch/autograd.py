"""torch's own derivatives inside torch code that runs here.

`torch.autograd.grad` is a walk over our trace; transforms are refused by name.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.errors import TypeRefused, line_of, user_site
from ...core.trace import Node, ancestors, live
from ...derivatives.walks.pull import pull
from ...derivatives.words.gradient import derivative
from ...machine.dtypes import Tensor
from ..protocol import cast, gl
from .aten.wrapped import OVERWRITTEN, Wrapped, wrapped

_made = dlarray._made


class NeedsTrace(BaseException):
    """Torch code takes a derivative of values that are not recorded: it is run again, recorded."""


def _arrays(x: Any) -> list[Any]:
    return [x] if isinstance(x, Tensor) else list(x)


def _gradients(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
               create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
               is_grads_batched: bool = False, materialize_grads: bool = False) -> Any:
    """torch.autograd.grad; a result is a constant unless create_graph=True, as in torch."""
    if is_grads_batched:
        raise TypeRefused(
            f"torch.autograd.grad(is_grads_batched=True) is a vmap, which has no meaning here, at "
            f"{line_of(user_site())}; write one call for each row of grad_outputs")
    ys, xs = _arrays(outputs), _arrays(inputs)
    seeds = [None] * len(ys) if grad_outputs is None else _arrays(grad_outputs)
    for k, y in enumerate(ys):
        if not (isinstance(y, Wrapped) and y.requires_grad):
            raise RuntimeError(f"element {k} of tensors does not require grad and does not have a grad_fn")
    if not all(isinstance(x, Wrapped) and x.requires_grad for x in xs):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    nodes = [_place(live(x.array()._node)) for x in xs]
    results = [live(y.array()._node) for y in ys]
    if None in nodes or None in results:
        raise NeedsTrace
    starts: dict[Node, Any] = {}
    for y, seed, node in zip(ys, seeds, results, strict=True):
        value = y.array()
        if seed is None and value.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if seed is not None and tuple(seed.shape) != value.shape:
            raise RuntimeError(f"Mismatch in shape: grad_output has a shape of {tuple(seed.shape)} and output has a "
                               f"shape of {value.shape}.")
        bar = (_made(torch.ones_like(value._value), None, None) if seed is None
               else cast(_array(seed, create_graph), value.dtype))
        starts[node] = gl.add(starts[node], bar) if node in starts else bar  # type: ignore[index]
    return _walked(starts, xs, nodes, create_graph, (allow_unused or materialize_grads) is True, materialize_grads)


def _place(node: Node | None) -> Node | None:
    """The variable, however often torch's code put other numbers into it."""
    while node is not None and node.operation is OVERWRITTEN:
        node = node.parents[0]
    return node


def _array(x: Any, graded: bool) -> dlarray:
    x = x.array() if isinstance(x, Wrapped) else _made(x.detach(), None, None)
    return x if graded else _made(x._value, None, None)


def _walked(starts: dict[Node, Any], xs: Sequence[Any], nodes: Sequence[Any], recorded: bool, unused: bool,
            zeros: bool) -> tuple[Any, ...]:
    seeds = starts if recorded else {node: bar._value for node, bar in starts.items()}
    bars = pull(seeds, nodes, recorded=recorded, release=False)
    leading: set[Node] | None = None
    found: list[Any] = []
    for bar, x, node in zip(bars, xs, nodes, strict=True):
        if bar is None and not zeros:
            leading = set(ancestors(starts)) if leading is None else leading
            if node not in leading:
                if not unused:
                    raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph. "
                                       "Set allow_unused=True if this is the desired behavior.")
                found.append(None)
                continue
        if recorded:
            found.append(wrapped(derivative(bar, x.array(), node, None, True), True))
        else:
            found.append(wrapped(_made(torch.zeros_like(x.array()._value) if bar is None else bar, None, None)))
    return tuple(found)


def _backward(*args: Any, **options: Any) -> Any:
    raise TypeRefused(
        f"torch.autograd.backward fills .grad, which a value of gradloom has not, at {line_of(user_site())}; write "
        "torch.autograd.grad(y, x, create_graph=True) inside, gl.dlgradient(y, x) outside")


def _dual(*args: Any, **options: Any) -> Any:
    raise TypeRefused(
        f"torch.autograd.forward_ad does not run on values of gradloom, at {line_of(user_site())}; write "
        "gl.jvp(y, x, v) outside the module, or torch.autograd.functional.jvp(f, x, v, create_graph=True) inside")


ANSWERED: dict[Any, Callable[..., Any]] = {torch.autograd.grad: _gradients, torch.autograd.backward: _backward,
                                           torch._VF._make_dual: _dual, torch._VF._unpack_dual: _dual}  # type: ignore[attr-defined]

_INSTEAD = {
    "Vmap": ("torch.func.vmap", "write the batch as an axis, which torch's operations take"),
    "Grad": ("torch.func.grad, vjp or jacrev", "write torch.autograd.grad(y, x, create_graph=True) or "
                                               "torch.autograd.functional.jacobian inside the module, gl.dlgradient "
                                               "or gl.dljacobian outside"),
    "Jvp": ("torch.func.jvp or jacfwd", "write torch.autograd.functional.jvp(f, x, v, create_graph=True) inside the "
                                        "module, gl.jvp outside"),
    "Functionalize": ("torch.func.functionalize", "leave it out: writes are functional here"),
}


def refuse_transform(interpreter: Any) -> None:
    """A transform of torch.func is running, below which our values would be taken for memory."""
    kind = interpreter.key().name
    what, instead = _INSTEAD.get(kind, (f"torch.func's {kind}", "write it without"))
    raise TypeRefused(f"{what} does not run on values of gradloom, at {line_of(user_site())}; {instead}")


__all__ = ["ANSWERED", "NeedsTrace", "refuse_transform"]
