"""Updates: new parameters from gradients. What they are given is never changed."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.calls import number
from ..core.declare import discrete
from ..core.errors import ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..core.trace import live
from ..machine.dtypes import NAMES, Tensor, differentiable
from ..operations.elementwise.arithmetic import astype
from .parameters import Parameters

_made = dlarray._made


def _sgdm_kernel(*tensors: Tensor, count: int, learn_rate: float, momentum: float) -> tuple[Tensor, ...]:
    """Parameters, gradients and, after the first step, velocities in a row; new parameters and new velocities in a
    row."""
    parameters, gradients = tensors[:count], tensors[count:2 * count]
    if len(tensors) > 2 * count:
        velocity = torch._foreach_mul(tensors[2 * count:], _factor(momentum, parameters))
        torch._foreach_add_(velocity, gradients, alpha=-learn_rate)
    else:
        velocity = torch._foreach_mul(gradients, _factor(-learn_rate, parameters))
    return *torch._foreach_add(parameters, velocity), *velocity


def _factor(value: float, tensors: Sequence[Tensor]) -> Any:
    """A number as torch multiplies it fastest: on the CPU a scalar tensor of the tensors' own type, where they have
    one."""
    dtype = tensors[0].dtype
    return number(value, dtype) if all([x.dtype is dtype and x.is_cpu for x in tensors]) else value


SGDM = discrete("sgdmupdate", _sgdm_kernel)


def sgdmupdate(parameters: Any, gradients: Any, velocity: Any = None, /, learn_rate: float = 0.01,
               momentum: float = 0.9) -> tuple[Any, Any]:
    """One step of stochastic gradient descent with momentum: (new parameters, new velocity).

    Formula: v = momentum * v - learn_rate * g; p = p + v. `parameters` is a network, which gives a new network, or a
    dlarray or any container of them; `gradients` is what dlgradient returned for them (for a network: for
    `net.learnables`, or for some of them, which then change alone). velocity is None at the first step, then what the
    last step returned. Each parameter keeps its type. Traced arrays are updated on record.

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
    p = Parameters(parameters, "sgdmupdate")
    p.narrow(gradients)
    gs = p.matched(gradients, "gradients")
    vs = [] if is_empty(velocity) else p.matched(velocity, "velocity")
    learn_rate, momentum = float(learn_rate), float(momentum)
    ps = p.arrays
    count = len(ps)
    if not count:
        return parameters, p.alike([])
    tensors = [x._value for x in ps]
    for k, x in enumerate(tensors):
        if not differentiable(x.dtype):
            raise TypeRefused(f"sgdmupdate of an array of {NAMES[x.dtype]} ({p.path(k)}), at {line_of(user_site())}; "
                              "parameters are floating numbers: dlarray(x, dtype=\"float32\")")
    if any([x._node is not None and live(x._node) is not None for x in (*ps, *gs, *vs)]):
        moves = [(momentum * v if vs else 0) - learn_rate * g for g, v in zip(gs, vs or gs, strict=True)]
        moves = [_like(m, x) for m, x in zip(moves, ps, strict=True)]
        return p.refilled([_like(x + m, x) for x, m in zip(ps, moves, strict=True)]), p.alike(moves)
    for others in (gs, vs):
        raw = [x._value for x in others]
        if any([x.dtype is not own.dtype for x, own in zip(raw, tensors, strict=False)]):
            raw = [_typed(x, tensors[k], p, k) for k, x in enumerate(raw)]
        tensors += raw
    new = SGDM.apply(tensors, {"count": count, "learn_rate": learn_rate, "momentum": momentum})
    labels = [x._labels for x in ps]
    return (p.refilled([_made(x, None, its) for x, its in zip(new[:count], labels, strict=True)]),
            p.alike([_made(x, None, its) for x, its in zip(new[count:], labels, strict=True)]))


def _typed(x: Tensor, parameter: Tensor, p: Parameters, k: int) -> Tensor:
    """A gradient or velocity in its parameter's type."""
    if x.dtype is parameter.dtype:
        return x
    if x.dtype.is_complex and not parameter.dtype.is_complex:
        raise TypeRefused(
            f"{p.word}: the gradient of {p.path(k)} is complex, the parameter is real, at {line_of(user_site())}; "
            "write gl.real(g)")
    return x.to(parameter.dtype)


def _like(x: dlarray, parameter: dlarray) -> dlarray:
    """A recorded result in its parameter's type and labels."""
    if x._value.dtype is not parameter._value.dtype:
        x = astype(x, parameter._value.dtype)
    return _made(x._value, x._node, parameter._labels)


def is_empty(state: Any) -> bool:
    """Whether a solver's state is yet to begin: None, or something empty, as MATLAB's []."""
    if state is None:
        return True
    if isinstance(state, dlarray) or hasattr(state, "shape"):
        return 0 in tuple(state.shape) and len(tuple(state.shape)) == 1
    try:
        return len(state) == 0
    except TypeError:
        return False


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
    p = Parameters(parameters, "dlupdate")
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
