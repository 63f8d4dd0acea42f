"""Line searches: how far to go along a direction in which a function falls."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

METHODS = ("weak-wolfe", "strong-wolfe", "backtracking")
DECREASE, CURVATURE = 1e-4, 0.9  # the constants of the Wolfe conditions
FLAT = 1e-15  # relative changes of a loss that are no more than rounding
NARROWEST = 0.1  # share of a bracket that a new step keeps from its ends


class Sample(NamedTuple):
    """A step, the function's value there and its slope along the direction."""

    step: float
    value: float
    slope: float


def search(function: Callable[[float], Sample], start: Sample, method: str, most: int, first: float) -> Sample | None:
    """The first step tried that meets the conditions of a method; None where none of `most` does.

    All ask for a sufficient decrease. weak-wolfe asks that the slope is no longer steep downwards as well, strong-wolfe
    that it is steep in neither direction. A bracket is kept: from its lower end the function still falls steeply, at
    its upper end it rises or is not low enough, so that a step between them meets the conditions.
    """
    low, high, step = start, None, first
    for _ in range(most):
        at = function(step)
        if not _falls(at, start):
            high = at
        elif method == "backtracking" or (at.slope >= CURVATURE * start.slope
                                          and (method == "weak-wolfe" or at.slope <= -CURVATURE * start.slope)):
            return at
        elif at.slope < 0:
            low = at
        else:
            high = at
        step = 4 * low.step if high is None else _between(low, high)
    return None


def _falls(at: Sample, start: Sample) -> bool:
    """Whether a step decreases the function enough; where values differ by rounding alone, the slopes tell."""
    if not math.isfinite(at.value) or not math.isfinite(at.slope):
        return False
    if at.value <= start.value + DECREASE * at.step * start.slope:
        return True
    return (at.value <= start.value + FLAT * abs(start.value)
            and at.slope <= (2 * DECREASE - 1) * start.slope)


def _between(low: Sample, high: Sample) -> float:
    """Where the cubic through two samples is least, kept from the ends of the bracket."""
    width = high.step - low.step
    if not math.isfinite(high.value) or not math.isfinite(high.slope):
        return low.step + NARROWEST * width
    theta = 3 * (low.value - high.value) / width + low.slope + high.slope
    scale = max(abs(theta), abs(low.slope), abs(high.slope))
    root = (theta / scale) ** 2 - low.slope / scale * (high.slope / scale)
    if root < 0:
        return low.step + width / 2
    gamma = scale * math.sqrt(root)
    divisor = 2 * gamma - low.slope + high.slope
    share = (gamma - low.slope + theta) / divisor if divisor else 0.5
    return low.step + min(max(share, NARROWEST), 1 - NARROWEST) * width


__all__ = ["METHODS", "Sample", "search"]
