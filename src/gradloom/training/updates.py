"""Updates: new parameters from gradients. What they are given is never changed."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..acceleration.native.lanes import Value
from ..core.array import dlarray
from ..core.calls import number
from ..core.declare import discrete
from ..core.errors import ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..machine.dtypes import Tensor
from ..machine.questions import thread
from .kernels import computed
from .parameters import Parameters
from .stepping import Rule, number_or_array, stepped

_made = dlarray._made


def sgdm_lanes(p: Value, g: Value, velocity: Value, momentum: Value, rate: Value) -> tuple[Value, ...]:
    """The step for numbers side by side."""
    velocity = velocity * momentum - g * rate
    return p + velocity, velocity


def sgdm(*tensors: Tensor, count: int, learn_rate: float, momentum: float) -> tuple[Tensor, ...]:
    """Parameters, gradients and velocities in a row; new parameters and new velocities in a row."""
    # quick way: one kernel, which a recording does not hear; the plain one is below
    found = None if thread.recording else computed(sgdm_lanes, tensors, count, momentum, learn_rate)
    if found is not None:
        return found
    parameters = tensors[:count]
    velocity = torch._foreach_mul(tensors[2 * count:], _factor(momentum, parameters))
    torch._foreach_add_(velocity, tensors[count:2 * count], alpha=-learn_rate)
    return *torch._foreach_add(parameters, velocity), *velocity


def _factor(value: float, tensors: Sequence[Tensor]) -> Any:
    """A number as torch multiplies it fastest: on the CPU a scalar tensor of the tensors' own type."""
    return number(value, tensors[0].dtype) if tensors[0].is_cpu else value


def sgdm_formula(p: Any, g: Any, velocity: Any, *, learn_rate: float, momentum: float) -> tuple[Any, ...]:
    """One parameter's step, in operations."""
    velocity = (0 if velocity is None else momentum * velocity) - learn_rate * g
    return p + velocity, velocity


SGDM = Rule("sgdmupdate", discrete("sgdmupdate", sgdm), sgdm_formula, ("velocity",), heard=True)


def sgdmupdate(parameters: Any, gradients: Any, velocity: Any = None, /, learn_rate: float = 0.01,
               momentum: float = 0.9) -> tuple[Any, Any]:
    """One step of stochastic gradient descent with momentum: (new parameters, new velocity).

    Formula: v = momentum * v - learn_rate * g; p = p + v. `parameters` is a network, which gives a new network, or a
    dlarray or any container of them; `gradients` is what dlgradient returned for them (for a network: for
    `net.learnables`, or for some of them, which then change alone). velocity is None at the first step, then what the
    last step returned. Each parameter keeps its type. A network's learn-rate factors multiply learn_rate, and frozen
    parameters stay. Traced arrays are updated on record.

    Raises TypeRefused for containers that do not match, ShapeError for keys and shapes that do not.

    >>> import gradloom as gl
    >>> p, v = gl.sgdmupdate(gl.dlarray([1.0, 2.0]), gl.dlarray([10.0, 0.0]), learn_rate=0.1)
    >>> p
    2 dlarray float64
    [0. 2.]
    >>> p, v = gl.sgdmupdate(p, gl.dlarray([0.0, 0.0]), v, learn_rate=0.1)
    >>> p
    2 dlarray float64
    [-0.9  2. ]

    Source: Sutskever, Martens, Dahl, Hinton 2013, with the learning rate inside the velocity; MATLAB sgdmupdate.
    """
    p, v = stepped(SGDM, parameters, gradients, (velocity,),
                   {"learn_rate": number_or_array(learn_rate, "learn_rate"), "momentum": float(momentum)})
    return p, v


def dlupdate(function: Callable[..., Any], parameters: Any, /, *others: Any) -> Any:
    """`function` of each parameter: a new network, or a container like the one given.

    `others` are containers with the same places (gradients, say); function gets one array of each. Where it returns
    several arrays, so does dlupdate return several containers: the parameters first.

    Raises TypeRefused for containers that do not match, ShapeError for a network's learnable that comes back in another
    shape.

    >>> import gradloom as gl
    >>> gl.dlupdate(lambda p, g: p - 0.1 * g, {"w": gl.dlarray(1.0)}, {"w": gl.dlarray(5.0)})
    {'w': dlarray float64 0.5}

    Source: MATLAB dlupdate.
    """
    if not callable(function) or isinstance(function, dlarray):
        raise TypeRefused(f"dlupdate takes a function first, not {type(function).__name__}, at {line_of(user_site())}; "
                          "write dlupdate(fun, net)")
    p = Parameters(parameters, "dlupdate", everything=True)
    columns = [p.arrays, *[p.matched(other, "another argument") for other in others]]
    rows = [function(*[_made(x._value, x._node, x._labels) for x in row]) for row in zip(*columns, strict=True)]
    several = bool(rows) and isinstance(rows[0], tuple)
    results = list(zip(*rows, strict=True)) if several else [rows]
    results = [[x if type(x) is dlarray else dlarray(x) for x in result] for result in results]
    for k, (x, old) in enumerate(zip(results[0], p.arrays, strict=True)):
        if (p.keys is not None or p.nested is not None) and x._value.shape != old._value.shape:
            raise ShapeError(
                f"dlupdate: the function returned shape {described(x.shape, x._labels)} for {p.path(k)}, which is "
                f"{described(old.shape, old._labels)}, at {line_of(user_site())}; a learnable keeps its shape")
    first = p.refilled(results[0])
    return (first, *[p.alike(result) for result in results[1:]]) if several else first


__all__ = ["dlupdate", "sgdmupdate"]
