"""L-BFGS in trainnet: each step asks for the loss of all data and its gradients, as often as its line search needs."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core.array import dlarray
from ..machine.questions import read
from ..networks.network import dlnetwork
from ..operations.creation.arrays import zeros
from .evaluation import Total
from .lbfgs import LBFGSState, lbfgsupdate
from .state import regularized

if TYPE_CHECKING:
    from .loop import Loop


def quasi_newton(loop: Loop) -> Iterator[dict[str, float]]:
    """Steps of L-BFGS. The network is run as in use: a line search needs the same function each time, so nothing is
    dropped, and statistics stay."""
    options = loop.options
    state = loop.state
    solver = state.solver_state[0] if state.solver_state else LBFGSState(
        options.history_size, float(options.initial_inverse_hessian_factor))
    loop.stop_reason = _ended(loop, solver)
    while not loop.stop_reason:
        net, solver = lbfgsupdate(state.network, lambda net: objective(loop, net), solver,
                                  line_search_method=options.line_search_method,
                                  max_num_line_search_iterations=options.max_num_line_search_iterations,
                                  initial_step_size=options.initial_step_size)
        state = loop.state = state.advanced(net, (solver,))
        loop.stop_reason = _ended(loop, solver)
        yield dict(solver.additional_loss_function_outputs[0])


def _ended(loop: Loop, solver: LBFGSState) -> str:
    if solver.line_search_status == "failed":
        return "the line search found no smaller loss"
    return stop_reason(loop, solver.gradients_norm, solver.step_norm)


def stop_reason(loop: Loop, gradient: float | None, step: float | None) -> str:
    """Why a full-batch solver is at its end; "" where it is not."""
    if gradient is not None and gradient <= loop.options.gradient_tolerance:
        return "gradient_tolerance was reached"
    if step is not None and step <= loop.options.step_tolerance:
        return "step_tolerance was reached"
    return ""


def objective(loop: Loop, net: dlnetwork) -> tuple[float, Any, dict[str, float]]:
    """Loss with its L2 term, gradients, and the loss and the metrics that are told, over all data."""
    total = Total(loop.metrics, loop.group)
    for batch in loop.everything():
        total.add(loop.differentiated.of(net, batch), batch)
    values = total.values()
    gradients = total.gradients(net.trainable)
    factor, penalty = loop.options.l2_regularization, 0.0
    if factor:
        gradients = regularized(net, gradients, factor)
        penalty = factor / 2 * sum([net.settings[key].l2_factor * _square(x) for key, x in net.trainable.items()])
    frozen = {key: zeros(x.shape, like=x) for key, x in net.learnables.items() if net.settings[key].frozen}
    return values["loss"] + penalty, {**gradients, **frozen} if frozen else gradients, values


def _square(x: dlarray) -> float:
    return float(read(x._value.abs().square().sum()))


__all__ = ["objective", "quasi_newton", "stop_reason"]
