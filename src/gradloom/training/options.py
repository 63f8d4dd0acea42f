"""TrainingOptions: what trainnet does, checked when it is made."""
from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import TypeRefused, line_of, user_site
from ..core.labels import LETTERS
from ..vocabulary.hints import PropertiesOfMatlab
from ..vocabulary.misspelled import nearest
from ..vocabulary.options import by_name_and_value
from ..vocabulary.training_options import HERE, LEFT_OUT
from .metrics import metrics_of
from .schedules import schedule_of

SOLVERS = ("sgdm", "adam", "adamw", "rmsprop", "lbfgs", "lm")
FIRST_ORDER = SOLVERS[:4]
FULL_BATCH = SOLVERS[4:]

# ----- what values an option takes -----


class Check(NamedTuple):
    """What an option takes: a test, the words for it, and whether its numbers are whole ones."""

    test: Callable[[Any], bool]
    words: str
    whole: bool = False


def _number(x: Any) -> bool:
    return isinstance(x, numbers.Real) and not isinstance(x, bool) and not math.isnan(x)


def _count(x: Any) -> bool:
    return _number(x) and x >= 1 and float(x).is_integer()


def _one_of(*words: str) -> Check:
    return Check(lambda x: isinstance(x, str) and x in words, "one of " + ", ".join(f'"{word}"' for word in words))


def _is_place(x: Any) -> bool:
    if x in PLACES:
        return True
    try:
        return bool(torch.device(x))
    except (RuntimeError, TypeError):
        return False


PLACES = ("auto", "gpu", "parallel", "parallel-cpu", "parallel-gpu")
POSITIVE = Check(lambda x: _number(x) and x > 0, "a positive number")
NOT_NEGATIVE = Check(lambda x: _number(x) and 0 <= x < math.inf, "a number of at least 0")
SHARE = Check(lambda x: _number(x) and 0 <= x < 1, "a number from 0 to below 1")
COUNT = Check(_count, "a whole number of at least 1", True)
COUNT_OR_NONE = Check(lambda x: x is None or _count(x), "a whole number of at least 1, or None", True)
COUNT_OR_INFINITE = Check(lambda x: x == math.inf or _count(x), "a whole number of at least 1, or inf", True)
SWITCH = Check(lambda x: isinstance(x, bool), "True or False")
ANYTHING = Check(lambda x: True, "anything")
FUNCTION = Check(lambda x: x is None or callable(x), "a function, or None")
PATH = Check(lambda x: x is None or isinstance(x, str) or hasattr(x, "__fspath__"), "a folder, or None")
FORMATS = Check(lambda x: x is None or all(its is None or isinstance(its, str) and set(its) <= set(LETTERS)
                                           for its in ([x] if isinstance(x, str) else x)),
                f"labels as \"BCSS\", of the letters {', '.join(LETTERS)}, a list of them, or None")
PLACE = Check(_is_place, "\"auto\", \"cpu\", \"gpu\", \"parallel\", \"parallel-cpu\", \"parallel-gpu\" or a device of "
                         "torch")
LENGTH = Check(lambda x: x in ("longest", "shortest") or _count(x), "\"longest\", \"shortest\" or a whole number", True)


def _option(default: Any, check: Check, *solvers: str) -> Any:
    """An option with its default, its check, and the solvers that have it (none named: all). A dictionary has a default
    for each of its solvers, and None for the others."""
    by_solver = default if isinstance(default, dict) else {}
    return field(default=None if by_solver else default,
                 metadata={"check": check, "solvers": solvers, "by_solver": by_solver})


@dataclass(frozen=True, init=False, repr=False, eq=False)
class TrainingOptions(PropertiesOfMatlab):
    """What `trainnet` does: `TrainingOptions("sgdm", max_epochs=4, ...)`. Checked when it is made.

    The solver is "sgdm", "adam", "adamw", "rmsprop", "lbfgs" or "lm". The options and their defaults are those of
    MATLAB's trainingOptions, in snake_case; `docs/training_options.md` lists them, and what differs. Besides them:

    accumulate: mini-batches whose gradients make one step, divided once by the sum of their weights. resume: go on from
    the newest whole checkpoint in `checkpoint_path`. max_time: seconds of training, those before a resumption included.
    dry_run: one step and one validation, nothing is written. average_weights: the decay of an exponential average of
    the learnables, which is the network returned. normalize_targets: train on targets of mean 0 and deviation 1; the
    network returned undoes it.

    Raises TypeRefused for an option that does not exist or that the solver does not have, and for a value that the
    option does not take.

    >>> import gradloom as gl
    >>> options = gl.TrainingOptions("adam", max_epochs=4)
    >>> options.initial_learn_rate, options.mini_batch_size
    (0.001, 128)

    Source: MATLAB trainingOptions.
    """

    solver: str = field(metadata={"check": _one_of(*SOLVERS), "solvers": (), "by_solver": {}})
    # how steps are made
    initial_learn_rate: float = _option({"sgdm": 0.01, "adam": 0.001, "adamw": 0.001, "rmsprop": 0.001}, POSITIVE,
                                        *FIRST_ORDER)
    learn_rate_schedule: Any = _option("none", ANYTHING, *FIRST_ORDER)
    learn_rate_drop_factor: float = _option(0.1, POSITIVE, *FIRST_ORDER)
    learn_rate_drop_period: int = _option(10, COUNT, *FIRST_ORDER)
    momentum: float = _option({"sgdm": 0.9}, SHARE, "sgdm")
    gradient_decay_factor: float = _option({"adam": 0.9, "adamw": 0.9}, SHARE, "adam", "adamw")
    squared_gradient_decay_factor: float = _option({"adam": 0.999, "adamw": 0.999, "rmsprop": 0.9}, SHARE, "adam",
                                                   "adamw", "rmsprop")
    epsilon: float = _option({"adam": 1e-8, "adamw": 1e-8, "rmsprop": 1e-8}, POSITIVE, "adam", "adamw", "rmsprop")
    l2_regularization: float = _option(1e-4, NOT_NEGATIVE, *FIRST_ORDER, "lbfgs")
    gradient_threshold: float = _option(math.inf, POSITIVE, *FIRST_ORDER)
    gradient_threshold_method: str = _option("l2norm", _one_of("l2norm", "global-l2norm", "absolute-value"),
                                             *FIRST_ORDER)
    max_iterations: int | None = _option({"lbfgs": 1000, "lm": 1000}, COUNT_OR_NONE)
    gradient_tolerance: float = _option({"lbfgs": 1e-5, "lm": 1e-5}, NOT_NEGATIVE, *FULL_BATCH)
    step_tolerance: float = _option({"lbfgs": 1e-5, "lm": 1e-5}, NOT_NEGATIVE, *FULL_BATCH)
    line_search_method: str = _option("weak-wolfe", _one_of("weak-wolfe", "strong-wolfe", "backtracking"), "lbfgs")
    history_size: int = _option(10, COUNT, "lbfgs")
    initial_inverse_hessian_factor: float = _option(1.0, POSITIVE, "lbfgs")
    max_num_line_search_iterations: int = _option(20, COUNT, "lbfgs")
    initial_step_size: float | None = _option(None, Check(lambda x: x is None or _number(x) and x > 0,
                                                          "a positive number, or None"), "lbfgs")
    initial_damping_factor: float = _option(1e-3, POSITIVE, "lm")
    max_damping_factor: float = _option(1e10, POSITIVE, "lm")
    damping_increase_factor: float = _option(10.0, Check(lambda x: _number(x) and x > 1, "a number above 1"), "lm")
    damping_decrease_factor: float = _option(0.1, Check(lambda x: _number(x) and 0 < x < 1,
                                                        "a number between 0 and 1"), "lm")
    # the data
    max_epochs: int = _option(30, COUNT, *FIRST_ORDER)
    mini_batch_size: int = _option(128, COUNT)
    shuffle: str = _option("once", _one_of("once", "never", "every-epoch"), *FIRST_ORDER)
    accumulate: int = _option(1, COUNT, *FIRST_ORDER)
    input_data_formats: Any = _option(None, FORMATS)
    target_data_formats: Any = _option(None, FORMATS)
    sequence_length: Any = _option("longest", LENGTH)
    sequence_padding_value: float = _option(0.0, Check(_number, "a number"))
    sequence_padding_direction: str = _option("right", _one_of("right", "left"))
    preprocessing_environment: str = _option("serial", _one_of("serial", "background", "parallel"))
    execution_environment: Any = _option("auto", PLACE)
    acceleration: str = _option("auto", _one_of("auto", "none"))
    reset_input_normalization: bool = _option(True, SWITCH)
    normalize_targets: bool = _option(False, SWITCH, *FIRST_ORDER, "lbfgs")
    # validation and what is returned
    batch_normalization_statistics: str = _option("auto", _one_of("auto", "moving", "population"), *FIRST_ORDER)
    validation_data: Any = _option(None, ANYTHING)
    validation_frequency: int = _option(50, COUNT)
    validation_patience: float = _option(math.inf, COUNT_OR_INFINITE)
    metrics: Any = _option((), ANYTHING)
    objective_metric_name: str = _option("loss", Check(lambda x: isinstance(x, str), "the name of a metric"))
    output_network: str = _option("auto", _one_of("auto", "last-iteration", "best-validation"))
    average_weights: float | None = _option(None, Check(lambda x: x is None or _number(x) and 0 < x < 1,
                                                        "a decay between 0 and 1, or None"), *FIRST_ORDER)
    # what is seen and kept
    verbose: bool = _option(True, SWITCH)
    verbose_frequency: int = _option(50, COUNT)
    plots: Any = _option("none", Check(lambda x: x in ("none", "training-progress") or hasattr(x, "record"),
                                       "\"none\", \"training-progress\" or a TrainingProgressMonitor"))
    output_function: Any = _option(None, FUNCTION)
    checkpoint_path: Any = _option(None, PATH)
    checkpoint_frequency: int = _option(1, COUNT)
    checkpoint_frequency_unit: str = _option("epoch", _one_of("epoch", "iteration"))
    resume: bool = _option(False, SWITCH)
    max_time: float = _option(math.inf, POSITIVE)
    dry_run: bool = _option(False, SWITCH)

    def __init__(self, *given: Any, **options: Any):
        site = line_of(user_site())
        given = (*given, options.pop("solver")) if "solver" in options else given
        if len(given) != 1:
            way = by_name_and_value("TrainingOptions", given[1:], list(FIELDS))
            raise TypeRefused(f"TrainingOptions takes the solver by position, {len(given)} values were given, at {site}"
                              "; " + (way or "write TrainingOptions(\"sgdm\", max_epochs=4)"))
        [solver] = given
        _checked("solver", solver, FIELDS["solver"].metadata["check"], site)
        values = dict(options)
        for name, value in options.items():
            if name in LEFT_OUT:
                raise TypeRefused(f"TrainingOptions has no option {name!r}, at {site}: {LEFT_OUT[name]}")
            if name not in FIELDS or name == "solver":
                raise TypeRefused(f"TrainingOptions has no option {name!r}{_nearest(name)}, at {site}; write "
                                  "TrainingOptions(\"sgdm\", max_epochs=4), and help(TrainingOptions) for the list")
            about = FIELDS[name].metadata
            if about["solvers"] and solver not in about["solvers"]:
                raise TypeRefused(f"{name} is an option of {', '.join(about['solvers'])}, the solver is {solver}, at "
                                  f"{site}; leave {name}= out")
            values[name] = _checked(name, value, about["check"], site)
        for name, its in FIELDS.items():
            value = solver if name == "solver" else values.get(name, default_of(its, solver))
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_given", tuple(options))
        self._check_together(site)

    def _check_together(self, site: str) -> None:
        schedule_of(self.learn_rate_schedule)
        metrics_of(self.metrics)
        if self.resume and self.checkpoint_path is None:
            raise TypeRefused(f"resume=True goes on from a checkpoint, and there is no folder of them, at {site}; "
                              "write checkpoint_path=\"checkpoints\"")
        if self.output_network == "best-validation" and self.validation_data is None:
            raise TypeRefused(f"output_network=\"best-validation\" needs data to validate with, at {site}; write "
                              "validation_data=(x, t)")

    def given(self, name: str) -> bool:
        """Whether an option was given, and is no default."""
        return name in self.__dict__["_given"]

    def __repr__(self) -> str:
        shown = "".join(f", {name}={_short(getattr(self, name))}" for name in self.__dict__["_given"])
        return f"TrainingOptions({self.solver!r}{shown})"


FIELDS = {its.name: its for its in fields(TrainingOptions)}


def default_of(its: Any, solver: str) -> Any:
    """The default of a field for a solver."""
    return None if its.default is MISSING else its.metadata["by_solver"].get(solver, its.default)


def _checked(name: str, value: Any, check: Check, site: str) -> Any:
    """The value, a number as Python's own."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        right = not isinstance(value, dlarray) and bool(check.test(value))
    except (TypeError, ValueError, RuntimeError):  # a comparison that arrays refuse
        right = False
    if check is not ANYTHING and not right:
        words = check.words.replace("one of ", "").replace('"', "").split(", ") if isinstance(value, str) else ()
        raise TypeRefused(f"TrainingOptions: {name} is {check.words}, not {_short(value)}{nearest(str(value), words)}, "
                          f"at {site}; write {name}={_example(check)}")
    return int(value) if check.whole and isinstance(value, float) and value != math.inf else value


def _nearest(name: str) -> str:
    """The nearest options, MATLAB's spelling included."""
    return f"; did you mean {HERE[name][0]!r}?" if name in HERE else nearest(name, FIELDS)


def _example(check: Check) -> str:
    word = check.words.removeprefix("one of ").split(",")[0]
    return EXAMPLES.get(check, "1" if check.whole and check is not LENGTH else word)


EXAMPLES = {POSITIVE: "0.01", NOT_NEGATIVE: "0", SHARE: "0.9", SWITCH: "True", FORMATS: "\"BCSS\""}


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float, bool, tuple, type(None))) else type(value).__name__
    return text if len(text) < 60 else f"{type(value).__name__}(...)"


TrainingOptions.__init__.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
    inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY),
    inspect.Parameter("solver", inspect.Parameter.POSITIONAL_ONLY),
    *[inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=its.default)
      for name, its in FIELDS.items() if name != "solver"]])

__all__ = ["FIELDS", "FIRST_ORDER", "FULL_BATCH", "SOLVERS", "TrainingOptions", "default_of"]
