"""Updates that scale each number's step by the size of its gradients: Adam and RMSProp."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..acceleration.native.lanes import Value
from ..core.array import dlarray
from ..core.declare import discrete
from ..core.errors import TypeRefused, line_of, user_site
from ..machine.dtypes import Tensor
from ..machine.layouts import laid_out_as
from ..operations.elementwise.arithmetic import imag, real
from ..operations.elementwise.mathematics import sqrt
from .kernels import computed
from .stepping import Rule, number_or_array, stepped


def by_parts(kernel: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """The kernel with complex numbers as pairs of real ones, whose sizes are averaged apart."""

    def run(*tensors: Tensor, **options: Any) -> tuple[Tensor, ...]:
        if not tensors[0].is_complex():
            return kernel(*tensors, **options)
        pairs = kernel(*[torch.view_as_real(x.resolve_conj()) for x in tensors], **options)
        return tuple([torch.view_as_complex(x) for x in pairs])

    return run


def formula_by_parts(formula: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The same of a recorded formula."""

    def run(*arrays: Any, **options: Any) -> tuple[Any, ...]:
        if not arrays[0].dtype.is_complex:
            return formula(*arrays, **options)
        halves = [formula(*[None if x is None else part(x) for x in arrays], **options) for part in (real, imag)]
        return tuple(a + 1j * b for a, b in zip(*halves, strict=True))

    return run


# ----- Adam -----------------------------------------------------------------------------------------------------------


def adam_lanes(p: Value, g: Value, average: Value, square: Value, keep: Value, decay: Value, rest: Value,
               sq_decay: Value, sq_rest: Value, scale: Value, epsilon: Value, rate: Value) -> tuple[Value, ...]:
    """The step for numbers side by side."""
    average = g.times_plus(rest, average * decay)
    square = (g * g).times_plus(sq_rest, square * sq_decay)
    size = square.intrinsic("sqrt").times_plus(scale, epsilon)
    return p * keep - average * rate / size, average, square


@by_parts
def adam(*tensors: Tensor, count: int, iteration: float, learn_rate: float, grad_decay: float, sq_grad_decay: float,
         epsilon: float, weight_decay: float) -> tuple[Tensor, ...]:
    """Parameters, gradients, average gradients and average squared gradients in a row; new ones, without gradients."""
    # quick way: one kernel that leaves what it reads; the plain one is below
    correction, sq_correction = 1 - grad_decay ** iteration, 1 - sq_grad_decay ** iteration
    if 0 < correction <= 1 and 0 < sq_correction <= 1:
        found = computed(adam_lanes, tensors, count, 1 - learn_rate * weight_decay, grad_decay, 1 - grad_decay,
                         sq_grad_decay, 1 - sq_grad_decay, 1 / math.sqrt(sq_correction), epsilon,
                         learn_rate / correction)
        if found is not None:
            return found
    step = torch.tensor(iteration, dtype=torch.float64, device=tensors[0].device)
    options: dict[str, Any] = {"lr": learn_rate, "beta1": grad_decay, "beta2": sq_grad_decay, "eps": epsilon,
                               "weight_decay": weight_decay, "amsgrad": False, "maximize": False}
    results: list[list[Tensor]] = [[], [], []]
    for places in bunches(tensors[:count]):
        new, slopes, means, sizes = (list(tensors[k * count:(k + 1) * count][places]) for k in range(4))
        new, means, sizes = (list(torch._foreach_clone(its)) for its in (new, means, sizes))
        if not all([x.is_contiguous() for its in (new, slopes, means, sizes) for x in its]):
            slopes, means, sizes = (laid_out_as(new, its) for its in (slopes, means, sizes))
        torch._fused_adamw_(new, slopes, means, sizes, [], [step] * len(new), **options)
        for column, its in zip(results, (new, means, sizes), strict=True):
            column += its
    return tuple([x for column in results for x in column])


def bunches(tensors: Sequence[Tensor]) -> Iterator[slice]:
    """Places of tensors in a row that are worked on together: their copies are still near when the kernel reads
    them."""
    if not tensors[0].is_cpu:
        yield slice(0, len(tensors))
        return
    start = numbers = 0
    for k, x in enumerate(tensors):
        if numbers + x.numel() > BUNCH and k > start:
            yield slice(start, k)
            start, numbers = k, 0
        numbers += x.numel()
    yield slice(start, len(tensors))


BUNCH = 1 << 17  # numbers


@formula_by_parts
def adam_formula(p: Any, g: Any, average: Any, square: Any, *, iteration: float, learn_rate: float, grad_decay: float,
                 sq_grad_decay: float, epsilon: float, weight_decay: float) -> tuple[Any, ...]:
    """One parameter's step, in operations."""
    average = (0 if average is None else grad_decay * average) + (1 - grad_decay) * g
    square = (0 if square is None else sq_grad_decay * square) + (1 - sq_grad_decay) * (g * g)
    size = sqrt(square) / math.sqrt(1 - sq_grad_decay ** iteration) + epsilon
    move = learn_rate / (1 - grad_decay ** iteration) * average / size
    return p * (1 - learn_rate * weight_decay) - move, average, square


ADAM = Rule("adamupdate", discrete("adamupdate", adam), adam_formula, ("average gradient", "average squared gradient"))


def adamupdate(parameters: Any, gradients: Any, average_gradient: Any = None, average_squared_gradient: Any = None,
               iteration: int = 1, /, learn_rate: float = 0.001, grad_decay: float = 0.9, sq_grad_decay: float = 0.999,
               epsilon: float = 1e-8, *, weight_decay: float = 0.0) -> tuple[Any, Any, Any]:
    """One step of Adam: (new parameters, new average gradient, new average squared gradient).

    Formula, with t the iteration, which begins at 1: m = grad_decay m + (1 - grad_decay) g; v = sq_grad_decay v +
    (1 - sq_grad_decay) g**2; p = (1 - learn_rate weight_decay) p - learn_rate m' / (sqrt(v') + epsilon), where
    m' = m / (1 - grad_decay**t) and v' = v / (1 - sq_grad_decay**t). `weight_decay` is decoupled from the gradients
    (AdamW). Of complex numbers the two parts are averaged apart.

    `parameters` is a network, which gives a new network, or a dlarray or any container of them; `gradients` is what
    dlgradient returned for them. Both averages are None at the first step, then what the last step returned. Each
    parameter keeps its type. A network's learn-rate factors multiply learn_rate, its L2 factors weight_decay, and
    frozen parameters stay. Traced arrays are updated on record. In an accelerated function give iteration and
    learn_rate as arrays of one number: Python's own are constants, and each makes another recording.

    Raises TypeRefused for containers that do not match, ShapeError for keys and shapes that do not.

    >>> import gradloom as gl
    >>> p, m, v = gl.adamupdate(gl.dlarray([1.0, 2.0]), gl.dlarray([10.0, -0.1]), None, None, 1, learn_rate=0.5)
    >>> [round(x, 4) for x in p.tolist()]
    [0.5, 2.5]
    >>> p, m, v = gl.adamupdate(p, gl.dlarray([0.0, 0.0]), m, v, 2, learn_rate=0.5)
    >>> [round(x, 4) for x in p.tolist()]
    [0.165, 2.835]

    Source: Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019 for the decay; MATLAB adamupdate.
    """
    p, m, v = stepped(ADAM, parameters, gradients, (average_gradient, average_squared_gradient),
                      {"iteration": step_of(iteration), "learn_rate": number_or_array(learn_rate, "learn_rate"),
                       "grad_decay": float(grad_decay), "sq_grad_decay": float(sq_grad_decay),
                       "epsilon": float(epsilon), "weight_decay": float(weight_decay)})
    return p, m, v


def step_of(iteration: Any) -> Any:
    """The number of a step, from 1 on."""
    if isinstance(iteration, (dlarray, Tensor)):  # what it is, the kernel sees
        return number_or_array(iteration, "iteration")
    if not float(iteration) >= 1:
        raise TypeRefused(f"adamupdate: iteration is {iteration!r}, and iterations are counted from 1, at "
                          f"{line_of(user_site())}; write adamupdate(net, gradients, avg, avg_sq, 1) at the first step")
    return float(iteration)


# ----- RMSProp --------------------------------------------------------------------------------------------------------


def rmsprop_lanes(p: Value, g: Value, square: Value, decay: Value, rest: Value, epsilon: Value,
                  rate: Value) -> tuple[Value, ...]:
    """The step for numbers side by side."""
    square = (g * g).times_plus(rest, square * decay)
    return p - g * rate / (square.intrinsic("sqrt") + epsilon), square


@by_parts
def rmsprop(*tensors: Tensor, count: int, learn_rate: float, sq_grad_decay: float,
            epsilon: float) -> tuple[Tensor, ...]:
    """Parameters, gradients and average squared gradients in a row; new ones, without gradients."""
    # quick way: one kernel; the plain one is below
    found = computed(rmsprop_lanes, tensors, count, sq_grad_decay, 1 - sq_grad_decay, epsilon, learn_rate)
    if found is not None:
        return found
    gradients = tensors[count:2 * count]
    squares = torch._foreach_mul(tensors[2 * count:], sq_grad_decay)
    torch._foreach_addcmul_(squares, gradients, gradients, value=1 - sq_grad_decay)
    sizes = torch._foreach_sqrt(squares)
    torch._foreach_add_(sizes, epsilon)
    return *torch._foreach_addcdiv(tensors[:count], gradients, sizes, value=-learn_rate), *squares


@formula_by_parts
def rmsprop_formula(p: Any, g: Any, square: Any, *, learn_rate: float, sq_grad_decay: float,
                    epsilon: float) -> tuple[Any, ...]:
    """One parameter's step, in operations."""
    square = (0 if square is None else sq_grad_decay * square) + (1 - sq_grad_decay) * (g * g)
    return p - learn_rate * g / (sqrt(square) + epsilon), square


RMSPROP = Rule("rmspropupdate", discrete("rmspropupdate", rmsprop), rmsprop_formula, ("average squared gradient",))


def rmspropupdate(parameters: Any, gradients: Any, average_squared_gradient: Any = None, /, learn_rate: float = 0.001,
                  sq_grad_decay: float = 0.9, epsilon: float = 1e-8) -> tuple[Any, Any]:
    """One step of RMSProp: (new parameters, new average squared gradient).

    Formula: v = sq_grad_decay v + (1 - sq_grad_decay) g**2; p = p - learn_rate g / (sqrt(v) + epsilon). Of complex
    numbers the two parts are averaged apart. Parameters, gradients and the average are as in `adamupdate`.

    Raises TypeRefused for containers that do not match, ShapeError for keys and shapes that do not.

    >>> import gradloom as gl
    >>> p, v = gl.rmspropupdate(gl.dlarray([1.0, 2.0]), gl.dlarray([10.0, -0.1]), learn_rate=0.1, sq_grad_decay=0.75)
    >>> [round(x, 4) for x in p.tolist()]
    [0.8, 2.2]

    Source: Tieleman and Hinton 2012, lecture 6.5; MATLAB rmspropupdate.
    """
    p, v = stepped(RMSPROP, parameters, gradients, (average_squared_gradient,),
                   {"learn_rate": number_or_array(learn_rate, "learn_rate"), "sq_grad_decay": float(sq_grad_decay),
                    "epsilon": float(epsilon)})
    return p, v


__all__ = ["adamupdate", "rmspropupdate"]
