"""Learn-rate schedules: how the learning rate changes, as functions of the iteration and the epoch."""
from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import TypeRefused, line_of, user_site
from ..vocabulary.misspelled import nearest


@dataclass(frozen=True)
class LearnRateSchedule:
    """A factor of the learning rate for each step, called as `schedule(learn_rate, iteration, epoch)`.

    `factor` is a function of the steps that are behind: 0 at the first. A step is an iteration or an epoch, as
    `frequency_unit` says; after `num_steps` of them the next schedule of a list goes on.
    """

    factor: Callable[[int], float]
    frequency_unit: str
    num_steps: float
    name: str

    def __call__(self, learn_rate: float, iteration: int, epoch: int) -> float:
        """The learning rate at an iteration and an epoch, both counted from 1."""
        return learn_rate * self.factor((iteration if self.frequency_unit == "iteration" else epoch) - 1)

    def __repr__(self) -> str:
        return self.name


def _schedule(factor: Callable[[int], float], unit: str, steps: float, name: str,
              **options: float) -> LearnRateSchedule:
    if unit not in ("epoch", "iteration"):
        raise TypeRefused(f"{name}: frequency_unit is \"epoch\" or \"iteration\", not {unit!r}, at "
                          f"{line_of(user_site())}")
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
            raise TypeRefused(f"{name}: {option} is a positive number, not {value!r}, at {line_of(user_site())}")
    shown = ", ".join(f"{option}={value!r}" for option, value in options.items())
    return LearnRateSchedule(factor, unit, steps, f"{name}({shown}, frequency_unit={unit!r})")


def piecewise_learn_rate(*, drop_factor: float = 0.1, period: int = 10,
                         frequency_unit: str = "epoch") -> LearnRateSchedule:
    """Times drop_factor after every `period` steps.

    >>> import gradloom as gl
    >>> schedule = gl.piecewise_learn_rate(drop_factor=0.5, period=2)
    >>> [schedule(1.0, iteration=1, epoch=k) for k in range(1, 6)]
    [1.0, 1.0, 0.5, 0.5, 0.25]

    Source: MATLAB piecewiseLearnRate.
    """
    return _schedule(lambda k: drop_factor ** (k // period), frequency_unit, math.inf, "piecewise_learn_rate",
                     drop_factor=drop_factor, period=period)


def exponential_learn_rate(*, drop_factor: float = 0.1, period: int = 1,
                           frequency_unit: str = "epoch") -> LearnRateSchedule:
    """Times drop_factor**(1 / period) after every step.

    >>> import gradloom as gl
    >>> schedule = gl.exponential_learn_rate(drop_factor=0.25, period=2)
    >>> [schedule(1.0, iteration=1, epoch=k) for k in range(1, 4)]
    [1.0, 0.5, 0.25]

    Source: MATLAB exponentialLearnRate.
    """
    return _schedule(lambda k: drop_factor ** (k / period), frequency_unit, math.inf, "exponential_learn_rate",
                     drop_factor=drop_factor, period=period)


def warmup_learn_rate(*, initial_factor: float = 0.1, final_factor: float = 1.0, num_steps: int = 5,
                      frequency_unit: str = "iteration") -> LearnRateSchedule:
    """From initial_factor to final_factor in a straight line over num_steps steps, and final_factor from then on.

    >>> import gradloom as gl
    >>> schedule = gl.warmup_learn_rate(initial_factor=0.5, num_steps=2)
    >>> [schedule(1.0, iteration=k, epoch=1) for k in range(1, 5)]
    [0.5, 0.75, 1.0, 1.0]

    Source: MATLAB warmupLearnRate.
    """
    return _schedule(lambda k: initial_factor + (final_factor - initial_factor) * min(k / num_steps, 1.0),
                     frequency_unit, num_steps, "warmup_learn_rate",
                     initial_factor=initial_factor, final_factor=final_factor, num_steps=num_steps)


def polynomial_learn_rate(*, initial_factor: float = 1.0, final_factor: float = 0.01, power: float = 1.0,
                          num_steps: int = 30, frequency_unit: str = "epoch") -> LearnRateSchedule:
    """From initial_factor to final_factor over num_steps steps by a power law, and final_factor from then on.

    Formula, after k steps: final + (initial - final) (1 - k / num_steps)**power.

    >>> import gradloom as gl
    >>> schedule = gl.polynomial_learn_rate(final_factor=0.5, num_steps=2)
    >>> [schedule(1.0, iteration=1, epoch=k) for k in range(1, 5)]
    [1.0, 0.75, 0.5, 0.5]

    Source: MATLAB polynomialLearnRate.
    """
    return _schedule(lambda k: final_factor + (initial_factor - final_factor) * max(1 - k / num_steps, 0.0) ** power,
                     frequency_unit, num_steps, "polynomial_learn_rate", initial_factor=initial_factor,
                     final_factor=final_factor, power=power, num_steps=num_steps)


def cosine_learn_rate(*, initial_factor: float = 1.0, final_factor: float = 0.01, period: int = 30,
                      period_growth_factor: float = 1.0, frequency_unit: str = "epoch") -> LearnRateSchedule:
    """From initial_factor down to final_factor along half a cosine over `period` steps, and again from the start.

    Each period is period_growth_factor times as long as the one before.

    >>> import gradloom as gl
    >>> schedule = gl.cosine_learn_rate(final_factor=0.5, period=2)
    >>> [schedule(1.0, iteration=1, epoch=k) for k in range(1, 4)]
    [1.0, 0.75, 1.0]

    Source: Loshchilov and Hutter 2017; MATLAB cosineLearnRate.
    """
    def factor(k: int) -> float:
        length, left = float(period), float(k)
        while left >= length:
            left -= length
            length *= period_growth_factor
        return final_factor + (initial_factor - final_factor) * (1 + math.cos(math.pi * left / length)) / 2

    if not period_growth_factor >= 1:
        raise TypeRefused(f"cosine_learn_rate: period_growth_factor is at least 1, not {period_growth_factor!r}, at "
                          f"{line_of(user_site())}")
    return _schedule(factor, frequency_unit, math.inf, "cosine_learn_rate", initial_factor=initial_factor,
                     final_factor=final_factor, period=period, period_growth_factor=period_growth_factor)


def cyclical_learn_rate(*, max_factor: float = 10.0, period: int = 10, step_ratio: float = 0.5,
                        frequency_unit: str = "epoch") -> LearnRateSchedule:
    """From 1 to max_factor and back in straight lines, again and again: step_ratio of each `period` steps goes up.

    >>> import gradloom as gl
    >>> schedule = gl.cyclical_learn_rate(max_factor=3.0, period=4)
    >>> [schedule(1.0, iteration=1, epoch=k) for k in range(1, 6)]
    [1.0, 2.0, 3.0, 2.0, 1.0]

    Source: Smith 2017; MATLAB cyclicalLearnRate.
    """
    def factor(k: int) -> float:
        part = k % period / period
        up = part / step_ratio if part <= step_ratio else (1 - part) / (1 - step_ratio)
        return 1 + (max_factor - 1) * up

    if not 0 < step_ratio < 1:
        raise TypeRefused(f"cyclical_learn_rate: step_ratio is between 0 and 1, not {step_ratio!r}, at "
                          f"{line_of(user_site())}")
    return _schedule(factor, frequency_unit, math.inf, "cyclical_learn_rate", max_factor=max_factor, period=period,
                     step_ratio=step_ratio)


SCHEDULES: dict[str, Callable[[], LearnRateSchedule]] = {
    "none": lambda: LearnRateSchedule(lambda k: 1.0, "epoch", math.inf, "none"),
    "piecewise": piecewise_learn_rate, "warmup": warmup_learn_rate, "polynomial": polynomial_learn_rate,
    "exponential": exponential_learn_rate, "cosine": cosine_learn_rate, "cyclical": cyclical_learn_rate}


def schedule_of(given: Any) -> Any:
    """A schedule from its name, or from what is one: a schedule, a function, a list of them."""
    if isinstance(given, str):
        if given not in SCHEDULES:
            raise TypeRefused(f"there is no learn-rate schedule {given!r}{nearest(given, SCHEDULES)}, at "
                              f"{line_of(user_site())}; write one of {', '.join(SCHEDULES)}")
        return SCHEDULES[given]()
    if isinstance(given, (list, tuple)) and given and not any(isinstance(one, (list, tuple)) for one in given):
        return [schedule_of(one) for one in given]
    if callable(given):
        return given
    raise TypeRefused(f"a learn-rate schedule is a name, a function of (learn_rate, iteration, epoch) or a list of "
                      f"them, not {given!r}, at {line_of(user_site())}; write \"piecewise\"")


def scheduled_learn_rate(schedule: Any, learn_rate: float, iteration: int, epoch: int = 1,
                         iterations_per_epoch: int | None = None) -> float:
    """The learning rate at an iteration and an epoch, both counted from 1, from the one that training began with.

    `schedule` is a name ("none", "piecewise", "warmup", "polynomial", "exponential", "cosine", "cyclical"), what
    `cosine_learn_rate` and its like return, a function of (learn_rate, iteration, epoch), or a list of them that follow
    each other, each after the num_steps of the one before. A list that counts iterations and epochs needs
    `iterations_per_epoch`.

    >>> import gradloom as gl
    >>> [round(gl.scheduled_learn_rate(["warmup", "piecewise"], 0.1, k, 1, 100), 3) for k in (1, 2, 6, 7)]
    [0.01, 0.028, 0.1, 0.1]
    >>> gl.scheduled_learn_rate(lambda rate, iteration, epoch: rate / epoch, 0.1, 8, epoch=2)
    0.05

    Source: MATLAB trainingOptions, LearnRateSchedule.
    """
    found = schedule_of(schedule)
    if not isinstance(found, list):
        return float(found(learn_rate, iteration, epoch))
    behind = {"iteration": 0, "epoch": 0}  # steps that are over when a schedule begins
    for k, one in enumerate(found):
        unit, steps = getattr(one, "frequency_unit", "iteration"), getattr(one, "num_steps", math.inf)
        now = iteration if unit == "iteration" else epoch
        if k == len(found) - 1 or now - behind[unit] <= steps:
            return float(one(learn_rate, iteration - behind["iteration"], epoch - behind["epoch"]))
        behind = _after(behind, unit, int(steps), found[k + 1:], iterations_per_epoch)
    raise AssertionError("the last schedule has no end")


def _after(behind: dict[str, int], unit: str, steps: int, rest: Sequence[Any],
           iterations_per_epoch: int | None) -> dict[str, int]:
    """Iterations and epochs that are over after `steps` more of a unit."""
    behind = {**behind, unit: behind[unit] + steps}
    other = "epoch" if unit == "iteration" else "iteration"
    if all(getattr(one, "frequency_unit", other) == unit for one in rest):
        return behind
    if iterations_per_epoch is None:
        raise TypeRefused(f"a list of schedules that counts iterations and epochs needs to know how many iterations an "
                          f"epoch has, at {line_of(user_site())}; write iterations_per_epoch=..., or give all of them "
                          "one frequency_unit")
    behind[other] = (behind[unit] // iterations_per_epoch if unit == "iteration"
                     else behind[unit] * iterations_per_epoch)
    return behind


__all__ = ["LearnRateSchedule", "cosine_learn_rate", "cyclical_learn_rate", "exponential_learn_rate",
           "piecewise_learn_rate", "polynomial_learn_rate", "schedule_of", "scheduled_learn_rate", "warmup_learn_rate"]
