"""Levenberg-Marquardt in trainnet: steps from J'J and J'r, which are summed over pieces of the data."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from ..acceleration.accelerated import AcceleratedFunction
from ..core.array import dlarray
from ..core.errors import TypeRefused, line_of, user_site
from ..derivatives.jacobians.along_axis import dljacobian
from ..derivatives.words.evaluate import detach, dlfeval
from ..machine.dtypes import Tensor
from ..machine.questions import read
from ..networks.masks import filled
from ..networks.network import dlnetwork
from ..operations.movement.vectors import ravel
from .losses import LEAST_SQUARES, observations_of
from .metrics import Sums
from .quasi_newton import stop_reason
from .sources import Batch

if TYPE_CHECKING:
    from .loop import Loop


def levenberg_marquardt(loss: Any) -> Callable[[Loop], Iterator[dict[str, float]]]:
    """Steps for a loss that is a sum of squares: "mse" or "l2loss"."""
    if not isinstance(loss, str) or loss not in LEAST_SQUARES:
        raise TypeRefused(f"the solver \"lm\" makes sums of squares small, and the loss is {loss!r}, at "
                          f"{line_of(user_site())}; write \"mse\" or \"l2loss\", or another solver")
    return lambda loop: _steps(loop, LEAST_SQUARES[loss])


def _steps(loop: Loop, factor: float) -> Iterator[dict[str, float]]:
    """Solve (J'J + damping I) step = -J'r; damp less after a step that makes the sum of squares smaller, more
    after one that does not, which is not taken.

    Source: Marquardt 1963; Hagan and Menhaj 1994.
    """
    options, state = loop.options, loop.state
    damping, size, length = state.solver_state or (options.initial_damping_factor, None, None)
    pieces = AcceleratedFunction(_pieces, "steady", quiet=True)
    pieces.enabled = loop.accelerated
    loop.stop_reason = _ended(loop, size, length, damping)
    while not loop.stop_reason:
        net = state.network
        normal, slope, squares, count, values = _normal_equations(loop, net, pieces)
        if not math.isfinite(squares):
            state = loop.state = state.advanced(net, (damping, None, None))
            yield {**values, "damping": damping}
            return
        size = 2 * factor / count * float(read(slope.abs().max()))
        length = None
        while size > options.gradient_tolerance and damping <= options.max_damping_factor:
            step = _solved(normal, slope, damping)
            tried = None if step is None else _moved(net, step)
            found, told = (math.nan, values) if tried is None else _measured(loop, tried)
            if tried is not None and step is not None and found < squares:
                net, values, length = tried, told, float(read(step.norm()))
                damping = max(damping * options.damping_decrease_factor, 1e-20)
                break
            damping *= options.damping_increase_factor
        state = loop.state = state.advanced(net, (damping, size, length))
        loop.stop_reason = _ended(loop, size, length, damping)
        yield {**values, "damping": damping}


def _ended(loop: Loop, size: float | None, length: float | None, damping: float) -> str:
    if damping > loop.options.max_damping_factor:
        return stop_reason(loop, size, length) or "max_damping_factor was reached"
    return stop_reason(loop, size, length)


def _solved(normal: Tensor, slope: Tensor, damping: float) -> Tensor | None:
    """The step; None where the damped matrix is not positive definite to rounding."""
    matrix = normal.clone()
    matrix.diagonal().add_(damping)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return None if read(failed) else torch.cholesky_solve(-slope[:, None], factor)[:, 0]


def _moved(net: dlnetwork, step: Tensor) -> dlnetwork:
    vector, back = ravel(net.trainable)
    return net.replace(learnables=back(dlarray._made(vector._value + step.to(vector._value.dtype), None)))


def _pieces(batch: Batch, net: dlnetwork) -> Any:
    """Of a mini-batch: J'J, J'r, the residuals r and the network's output."""
    y = net.predict(*map(detach, batch.inputs), **batch.told(net))  # data is constant
    r = _residuals(y, batch)
    J = dljacobian(filled(y, batch.masks[0]), net.trainable)  # padding has no rows
    return J.T.gram(), ravel(J.T @ r)[0], r, y


def _normal_equations(loop: Loop, net: dlnetwork,
                      pieces: AcceleratedFunction) -> tuple[Tensor, Tensor, float, int, dict[str, float]]:
    """J'J, J'r, r'r, how many observations, and what is told, over all data, one mini-batch at a time."""
    size = sum([x.size for x in net.trainable.values()])
    like = {"dtype": torch.float64, "device": next(iter(net.trainable.values())).device}
    normal, slope = torch.zeros((size, size), **like), torch.zeros(size, **like)
    squares, count = 0.0, 0
    sums = Sums(loop.metrics)
    for batch in loop.everything():
        gram, product, r, y = dlfeval(pieces, batch, net)
        its = observations_of(y)
        normal += _wide(gram).reshape(size, size)  # of a single parameter it has that one's shape
        slope += _wide(product)
        square = float(read(_wide(r).square().sum()))
        value, weight = loop.loss((y,), batch.targets, batch.masks)
        sums.add(value.item(), weight, (y,), batch.targets, batch.masks)
        squares, count = squares + square, count + its
    normal, slope, told = loop.group.summed([normal, slope, torch.tensor([squares, count], **like)])
    return normal, slope, float(told[0]), int(told[1]), sums.over(loop.group).values()


def _measured(loop: Loop, net: dlnetwork) -> tuple[float, dict[str, float]]:
    """r'r, and what is told, over all data."""
    total = torch.zeros((), dtype=torch.float64, device=next(iter(net.trainable.values())).device)
    sums = Sums(loop.metrics)
    for batch in loop.everything():
        y = net.predict(*batch.inputs, **batch.told(net))
        total += _wide(_residuals(y, batch)).square().sum()
        value, weight = loop.loss((y,), batch.targets, batch.masks)
        sums.add(value.item(), weight, (y,), batch.targets, batch.masks)
    return float(read(loop.group.summed([total])[0])), sums.over(loop.group).values()


def _residuals(y: Any, batch: Batch) -> dlarray:
    """y - t, as y is labelled; 0 where a mask hides."""
    if not isinstance(y, dlarray) or len(batch.targets) != 1:
        raise TypeRefused(f"the solver \"lm\" takes one output and one target, at {line_of(user_site())}; concatenate "
                          "them, or take another solver")
    target: Any = detach(batch.targets[0])
    r = y - target
    if r.shape != y.shape:
        raise TypeRefused(f"the targets have shape {tuple(target.shape)}, the output {tuple(y.shape)}, at "
                          f"{line_of(user_site())}; give them one shape")
    return filled(r, batch.masks[0])  # type: ignore[no-any-return]


def _wide(x: dlarray) -> Tensor:
    """In double precision: squares of condition numbers are in J'J."""
    return x._value.detach().double()


__all__ = ["levenberg_marquardt"]

