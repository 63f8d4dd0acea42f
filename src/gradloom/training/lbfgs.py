"""L-BFGS: steps from an approximation of the inverse Hessian that the last steps and gradients make."""
from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import ShapeError, TypeRefused, line_of, user_site
from ..machine.dtypes import HALF, REAL_OF, Tensor, promoted
from ..machine.questions import read
from ..storage.trees import register
from ..vocabulary.hints import PropertiesOfMatlab
from ..vocabulary.misspelled import nearest
from .line_search import METHODS, Sample, search
from .parameters import Parameters
from .stepping import is_empty

_made = dlarray._made
POSITIVE = 1e-10  # of |s| |y|: how positive s'y must be, so that the approximation stays positive definite


@dataclass(frozen=True)
class LBFGSState(PropertiesOfMatlab):
    """What L-BFGS carries from update to update, and what the last update found.

    `LBFGSState(history_size=10, initial_inverse_hessian_factor=1.0)` begins: the inverse Hessian is that factor times
    the identity. What follows is for reading: `loss`, `gradients`, `gradients_norm` and
    `additional_loss_function_outputs` at the new parameters, `step_norm`, `line_search_status` ("completed", or
    "failed": the parameters stayed), and the history, as vectors of all parameters.

    >>> import gradloom as gl
    >>> gl.LBFGSState(history_size=5).line_search_status
    ''

    Source: MATLAB lbfgsState.
    """

    history_size: int = 10
    initial_inverse_hessian_factor: float = 1.0
    inverse_hessian_factor: float | None = None
    step_history: tuple[dlarray, ...] = ()
    gradients_difference_history: tuple[dlarray, ...] = ()
    loss: float | None = None
    gradients: Any = None
    gradients_norm: float | None = None
    additional_loss_function_outputs: tuple[Any, ...] = ()
    step_norm: float | None = None
    line_search_status: str = ""
    point: dlarray | None = None  # the parameters, as a vector, that loss and gradients belong to

    def __post_init__(self) -> None:
        if not isinstance(self.history_size, numbers.Integral) or self.history_size < 1:
            raise TypeRefused(f"LBFGSState's history_size is a positive integer, not {self.history_size!r}, at "
                              f"{line_of(user_site())}; write LBFGSState(history_size=10)")
        if not 0 < self.initial_inverse_hessian_factor < math.inf:
            raise TypeRefused("LBFGSState's initial_inverse_hessian_factor is a positive number, not "
                              f"{self.initial_inverse_hessian_factor!r}, at {line_of(user_site())}")

    def __repr__(self) -> str:
        told = {"loss": self.loss, "gradients_norm": self.gradients_norm, "step_norm": self.step_norm,
                "line_search_status": self.line_search_status}
        return (f"LBFGSState(history_size={self.history_size}, "
                f"initial_inverse_hessian_factor={self.initial_inverse_hessian_factor}"
                + "".join(f", {word}={value!r}" for word, value in told.items() if value not in (None, "")) + ")")


FIELDS = tuple(f.name for f in dataclasses.fields(LBFGSState))


def _read_state(tree: dict[str, Any], reader: Any) -> LBFGSState:
    try:
        return LBFGSState(**{name: reader.thing(tree[name]) for name in FIELDS})
    except TypeError as error:
        raise reader.refused(f"a state of L-BFGS cannot be made of what stands there ({error})") from None


register("lbfgs state", LBFGSState, lambda x, writer: {name: writer.tree(getattr(x, name), name) for name in FIELDS},
         FIELDS, _read_state)


class Point:
    """The parameters at a place, as one vector, with loss and gradients there."""

    __slots__ = ("extra", "gradient", "gradients", "loss", "parameters", "vector")

    def __init__(self, vector: Tensor, parameters: Any, loss: float, gradients: Any, gradient: Tensor,
                 extra: tuple[Any, ...]):
        self.vector, self.parameters, self.loss = vector, parameters, loss
        self.gradients, self.gradient, self.extra = gradients, gradient, extra


class Problem:
    """A loss of parameters in any container, as a function of one vector."""

    def __init__(self, parameters: Any, function: Callable[[Any], Any]):
        self.p = Parameters(parameters, "lbfgsupdate")
        self.function = function
        types = [REAL_OF.get(x._value.dtype, x._value.dtype) for x in self.p.arrays]
        self.dtype = promoted(*[torch.float32 if t in HALF else t for t in types], torch.float32)

    def vector(self, arrays: Sequence[Any]) -> Tensor:
        """Arrays side by side; complex numbers as pairs."""
        raw = [x._value for x in arrays]
        raw = [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in raw]
        return torch.cat([x.reshape(-1).to(self.dtype) for x in raw]).detach()

    def filled(self, vector: Tensor) -> Any:
        """The container with the numbers of a vector."""
        arrays, place = [], 0
        for x in self.p.arrays:
            value = x._value
            count = value.numel() * (2 if value.is_complex() else 1)
            part = vector[place:place + count]
            place += count
            if value.is_complex():
                part = torch.view_as_complex(part.reshape(*value.shape, 2).to(REAL_OF[value.dtype], copy=True))
            else:
                part = part.reshape(value.shape).to(value.dtype, copy=True)
            arrays.append(_made(part, None, x._labels))
        return self.p.refilled(arrays)

    def at(self, vector: Tensor, parameters: Any = None) -> Point:
        """Loss and gradients of parameters."""
        parameters = self.filled(vector) if parameters is None else parameters
        found = self.function(parameters)
        if not isinstance(found, (tuple, list)) or len(found) < 2:
            raise TypeRefused(f"lbfgsupdate: the loss function returned {type(found).__name__}, at "
                              f"{line_of(user_site())}; return (loss, gradients), as dlfeval of a function that calls "
                              "dlgradient does")
        loss, gradients, *extra = found
        value = loss._value if isinstance(loss, dlarray) else torch.as_tensor(loss, device="cpu")
        if value.numel() != 1 or value.is_complex():
            raise ShapeError(f"lbfgsupdate: the loss has shape {tuple(value.shape)}, at {line_of(user_site())}; return "
                             "a real scalar, such as gl.mean(loss)")
        return Point(vector, parameters, float(read(value.reshape(()))), gradients,
                     self.vector(self.p.matched(gradients, "gradients")), tuple(extra))


def lbfgsupdate(parameters: Any, loss_function: Callable[[Any], Any], state: LBFGSState | None = None, /, *,
                line_search_method: str = "weak-wolfe", max_num_line_search_iterations: int = 20,
                initial_step_size: float | None = None) -> tuple[Any, LBFGSState]:
    """One step of L-BFGS: (new parameters, new state).

    `loss_function(parameters)` returns (loss, gradients) or (loss, gradients, more...), where more is kept in the
    state; the line search calls it several times, so it must be the same function of the parameters each time: all
    observations, and nothing random. `parameters` is a network, a dlarray or any container of them. `state` is None or
    an `LBFGSState` to start, then what the last update returned.

    line_search_method is "weak-wolfe", "strong-wolfe" (both keep the approximation of the inverse Hessian positive
    definite) or "backtracking". Where no step of max_num_line_search_iterations meets the conditions, the parameters
    stay, `state.line_search_status` is "failed", and the next update begins with an empty history. With
    initial_step_size no number changes by more than that in the first step that is tried.

    Raises TypeRefused for what is no loss function, and for containers that do not match.

    >>> import gradloom as gl
    >>> def loss(x):
    ...     y = (x[0] - 1) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    ...     return y, gl.dlgradient(y, x)
    >>> x, state = gl.dlarray([-1.2, 1.0]), None
    >>> for _ in range(50):
    ...     x, state = gl.lbfgsupdate(x, lambda x: gl.dlfeval(loss, x), state)
    ...     if state.gradients_norm < 1e-6:
    ...         break
    >>> [round(value, 6) for value in x.tolist()]
    [1.0, 1.0]

    Source: Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 7.4 and 3.5; MATLAB lbfgsupdate.
    """
    if not callable(loss_function) or isinstance(loss_function, dlarray):
        raise TypeRefused(f"lbfgsupdate takes a function of the parameters, not {type(loss_function).__name__}, at "
                          f"{line_of(user_site())}; write lbfgsupdate(net, lambda net: dlfeval(model_loss, net, x, t), "
                          "state)")
    if line_search_method not in METHODS:
        raise TypeRefused(f"lbfgsupdate has no line search {line_search_method!r}"
                          f"{nearest(str(line_search_method), METHODS)}, at {line_of(user_site())}; write one of "
                          f"{', '.join(METHODS)}")
    if is_empty(state) if not isinstance(state, LBFGSState) else False:
        state = LBFGSState()
    if not isinstance(state, LBFGSState):
        raise TypeRefused(f"lbfgsupdate: the state is {type(state).__name__}, at {line_of(user_site())}; pass None or "
                          "LBFGSState() to start, then what the last update returned")
    problem = Problem(parameters, loss_function)
    start = _start(problem, parameters, state)
    steps = [x._value for x in state.step_history]
    changes = [x._value for x in state.gradients_difference_history]
    factor = state.inverse_hessian_factor or state.initial_inverse_hessian_factor
    if not steps and initial_step_size is not None:
        factor = float(initial_step_size) / max(_number(start.gradient.abs().amax()), 1e-300)
    direction = descent(start.gradient, steps, changes, factor)
    slope = _number(direction @ start.gradient)
    if steps and not slope < 0:  # rounding has spoilt the history
        steps, changes = [], []
        direction = -factor * start.gradient
        slope = _number(direction @ start.gradient)

    points: dict[float, Point] = {}

    def sample(step: float) -> Sample:
        points.clear()  # the last one is the one that is kept
        at = points[step] = problem.at(start.vector + step * direction)
        return Sample(step, at.loss, _number(at.gradient @ direction))

    found = None
    if slope < 0 and math.isfinite(slope):
        found = search(sample, Sample(0.0, start.loss, slope), line_search_method, max_num_line_search_iterations, 1.0)
    if found is None:
        return parameters, _told(state, start, "failed", 0.0, [], [], None)
    end = points[found.step]
    step, change = end.vector - start.vector, end.gradient - start.gradient
    curvature = _number(step @ change)
    if curvature > POSITIVE * _number(step.norm()) * _number(change.norm()):
        steps, changes = [*steps, step][-state.history_size:], [*changes, change][-state.history_size:]
        factor = curvature / _number(change @ change)
    return end.parameters, _told(state, end, "completed", _number(step.norm()), steps, changes, factor)


def _start(problem: Problem, parameters: Any, state: LBFGSState) -> Point:
    """Loss and gradients where the update begins: those that the last one ended with, where nobody changed the
    parameters since."""
    vector = problem.vector(problem.p.arrays)
    known = state.point
    if known is not None and known._value.shape != vector.shape:
        raise ShapeError(f"lbfgsupdate: the state is one of {known.size} numbers, the parameters have "
                         f"{vector.numel()}, at {line_of(user_site())}; pass LBFGSState() to start")
    if known is None or state.loss is None or not torch.equal(known._value.to(vector), vector):
        return problem.at(vector, parameters)
    gradient = problem.vector(problem.p.matched(state.gradients, "gradients"))
    return Point(vector, parameters, state.loss, state.gradients, gradient, state.additional_loss_function_outputs)


def descent(gradient: Tensor, steps: Sequence[Tensor], changes: Sequence[Tensor], factor: float) -> Tensor:
    """Minus the approximate inverse Hessian times the gradient: the recursion of two loops."""
    if gradient.is_cpu:  # quick way: NumPy begins sooner on short vectors; the plain one is below
        found = _two_loops(gradient.numpy().copy(), [s.numpy() for s in steps], [y.numpy() for y in changes], factor)
        return torch.from_numpy(found)
    return _two_loops(gradient.clone(), steps, changes, factor)


def _two_loops(q: Any, steps: Sequence[Any], changes: Sequence[Any], factor: float) -> Any:
    """With NumPy's vectors or torch's: q is changed, and returned."""
    alphas = []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        rho = 1 / float(s @ y)
        alpha = rho * float(s @ q)
        alphas.append((rho, alpha))
        q -= alpha * y
    q *= factor
    for s, y, (rho, alpha) in zip(steps, changes, reversed(alphas), strict=True):
        q += (alpha - rho * float(y @ q)) * s
    q *= -1
    return q


def _told(state: LBFGSState, at: Point, status: str, step: float, steps: Sequence[Tensor], changes: Sequence[Tensor],
          factor: float | None) -> LBFGSState:
    return dataclasses.replace(
        state, inverse_hessian_factor=factor, step_history=tuple(_made(x, None) for x in steps),
        gradients_difference_history=tuple(_made(x, None) for x in changes), loss=at.loss, gradients=at.gradients,
        gradients_norm=_number(at.gradient.norm()), additional_loss_function_outputs=at.extra, step_norm=step,
        line_search_status=status, point=_made(at.vector, None))


def _number(x: Tensor) -> float:
    return float(read(x))


__all__ = ["LBFGSState", "lbfgsupdate"]
