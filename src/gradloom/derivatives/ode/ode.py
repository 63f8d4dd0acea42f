"""Initial value problems: dlode45, whose derivative is that of its steps, or the solution of the adjoint equation."""
from __future__ import annotations

from typing import Any

import numpy as np

from ...core.array import dlarray, labels_of
from ...core.declare import composite
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import checked, described
from ...machine.dtypes import Tensor
from ...operations.neural.softmax import floating
from .adjoint import ADJOINT, Problem
from .right_side import Right, plain
from .steps import Options

# ----- the public function --------------------------------------------------------------------------------------------


def times_of(tspan: Any, word: str = "dlode45") -> tuple[float, ...]:
    """Times from a list, a tuple or an array."""
    try:
        times = np.asarray(tspan, dtype=np.float64)
    except (TypeError, ValueError):
        times = np.zeros(0)
    steps = np.diff(times.reshape(-1))
    if (times.ndim != 1 or len(times) < 2 or not np.isfinite(times).all()
        or not ((steps > 0).all() or (steps < 0).all())):
        raise ShapeError(
            f"{word}: tspan is a vector of at least two times, all increasing or all decreasing, not {tspan!r}, at "
            f"{line_of(user_site())}; write (0.0, 1.0)")
    return tuple(float(t) for t in times)


def _positive(value: Any, name: str, optional: bool = False) -> Any:
    if value is None and optional:
        return None
    if not float(value) > 0:
        raise ShapeError(f"dlode45: {name} is a positive number, not {value!r}, at {line_of(user_site())}")
    return float(value)


@composite
def dlode45(odefun: Any, tspan: Any, y0: Any, theta: Any = None, /, *, gradient_mode: str = "direct",
            relative_tolerance: float = 1e-3,
            absolute_tolerance: float = 1e-6, initial_step_size: float | None = None,
            max_step_size: float | None = None,
            data_format: str | None = None) -> Any:
    """The solution of dy/dt = odefun(t, y, theta) with y(tspan[0]) = y0, by steps of Dormand and Prince's method of
    order 4(5).

    `odefun(t, y, theta)`, or `odefun(t, y)` without theta, takes a number t and returns dy/dt in the shape of y; a
    network is called with y. theta: any container of arrays. tspan: times, increasing or decreasing; of two times the
    result is the state at the last, in y0's shape and labels; of more, the states at tspan[1:] along a last axis T.
    Steps are chosen so that the error of each is at most max(absolute_tolerance, relative_tolerance |y|) everywhere,
    and are at most `max_step_size` long, a tenth of tspan unless given; states between them are interpolated. All are
    in the units of tspan and y. tspan and the choice of steps carry no derivative. Inside `dlfeval` odefun may itself
    take derivatives: `dlgradient(energy(y), y, enable_higher_derivatives=True)`.

    `gradient_mode="direct"` differentiates the steps, to any order and in every walk. "adjoint" solves the adjoint
    equation backwards: memory does not grow with the number of steps, gradients agree with direct ones to the
    tolerance, and odefun may use no traced array that is neither y nor in theta. Forwards (jvp, hvp, structured
    Jacobians) it solves the tangent equation alongside, once for each direction; there "direct" is quicker.
    Raises ShapeError for a tspan that is not monotone and where odefun returns another shape, GradloomError where steps
    become too small, TraceError for a captured traced array in adjoint mode.

    >>> import gradloom as gl
    >>> y = gl.dlode45(lambda t, y, theta: -theta * y, (0.0, 1.0), [1.0], gl.dlarray(2.0), relative_tolerance=1e-6)
    >>> print(f"{y.item():.4f}")
    0.1353

    Source: Dormand and Prince 1980, Shampine 1986, Chen et al. 2018; MATLAB dlode45.
    """
    times = times_of(tspan)
    if gradient_mode not in ("direct", "adjoint"):
        raise ShapeError(
            f"dlode45: gradient_mode is \"direct\" or \"adjoint\", not {gradient_mode!r}, at {line_of(user_site())}")
    options = Options(_positive(relative_tolerance, "relative_tolerance"),
                      _positive(absolute_tolerance, "absolute_tolerance"),
                      _positive(initial_step_size, "initial_step_size", True),
                      _positive(max_step_size, "max_step_size", True))
    given, y0 = y0, floating(y0)
    y0 = dlarray(y0) if isinstance(y0, Tensor) else y0
    labels = labels_of(y0)
    if labels is not None and data_format not in (None, labels):
        raise LabelError(
            f"dlode45: y0 is labelled {labels!r} already, data_format={data_format!r} contradicts it; leave "
            "data_format out")
    if "T" in (labels or checked(data_format, y0.ndim) or ""):
        raise LabelError(
            f"dlode45: T is the time of the solution, y0 is {described(y0.shape, labels or data_format)}, at "
            f"{line_of(user_site())}; label that axis S or U")
    problem = Problem(Right(odefun, theta, labels), times, options)
    if gradient_mode == "adjoint":
        y = ADJOINT.apply((plain(y0), *[plain(p) for p in problem.right.parameters]), {"problem": problem})
    else:
        y = problem.solve(plain(y0), problem.right.parameters)
    if isinstance(given, Tensor) and not problem.right.parameters and y._node is None:
        return y._value
    return dlarray._made(y._value, y._node, labels if labels is None or len(times) == 2 else labels + "T")


__all__ = ["dlode45", "times_of"]
