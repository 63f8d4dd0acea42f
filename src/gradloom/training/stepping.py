"""One step of a solver for all parameters in one grouped call. What it is given is never changed."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import TypeRefused, line_of, user_site
from ..core.labels import described
from ..core.operation import Operation
from ..core.trace import live
from ..machine.dtypes import NAMES, Tensor, differentiable
from ..machine.questions import called
from ..operations.elementwise.arithmetic import astype
from ..operations.movement.axes import reshape
from .parameters import Factors, Parameters

_made = dlarray._made


@dataclass(frozen=True)
class Rule:
    """How a solver changes parameters.

    `operation` takes parameters, gradients and each of the states side by side, of one type and on one device, and
    returns new parameters and new states so; `formula` is the same for one parameter, in operations that are recorded.
    Both take the solver's options by name: to the operation they are numbers, in a formula they may be arrays. `heard`:
    whether a recording hears the calls that the operation makes of torch, and can make loops of its own of them.
    """

    word: str
    operation: Operation
    formula: Callable[..., tuple[Any, ...]]
    states: tuple[str, ...]
    heard: bool = False
    run: Callable[..., Any] = field(init=False)  # the operation; options may be tensors of one number

    def __post_init__(self) -> None:
        kernel = self.operation.kernel

        def run(*tensors: Tensor, **options: Any) -> Any:
            with torch._C.DisableTorchFunction():  # a recording has it as one step
                return kernel(*tensors, **{k: v.item() if isinstance(v, Tensor) else v for k, v in options.items()})

        object.__setattr__(self, "run", run)


def number_or_array(value: Any, word: str) -> Any:
    """An option that may differ from step to step: a number, or an array of one, so that an accelerated function need
    not be recorded for each; a dlarray only where it is traced."""
    if not isinstance(value, (dlarray, Tensor)):
        return float(value)
    its = value._value if isinstance(value, dlarray) else value
    if its.numel() != 1 or its.is_complex():
        raise TypeRefused(f"{word} is one real number, not {described(its.shape, None)}, at {line_of(user_site())}; "
                          f"write {word}=0.01")
    if isinstance(value, dlarray) and value._node is not None and live(value._node) is not None:
        return reshape(value, ())
    return its.detach().reshape(()).double()


def stepped(rule: Rule, parameters: Any, gradients: Any, states: Sequence[Any],
            options: dict[str, Any]) -> tuple[Any, ...]:
    """New parameters, and new states, each a container like the gradients. An empty state begins with zeros.

    A network's factors multiply the learning rate and the weight decay of each of its parameters; what is frozen stays.
    """
    p = Parameters(parameters, rule.word)
    p.narrow(gradients)
    gs = p.matched(gradients, "gradients")
    olds = [None if is_empty(state) else p.matched(state, what)
            for what, state in zip(rule.states, states, strict=True)]
    ps = p.arrays
    if not ps:
        return parameters, *[p.alike([]) for _ in olds]
    tensors = [x._value for x in ps]
    for k, x in enumerate(tensors):
        if not differentiable(x.dtype):
            raise TypeRefused(f"{rule.word} of an array of {NAMES[x.dtype]} ({p.path(k)}), at {line_of(user_site())}; "
                              "parameters are floating numbers: dlarray(x, dtype=\"float32\")")
    groups = p.groups(options.get("weight_decay", 0.0) != 0)
    traced = any([type(option) is dlarray for option in options.values()])
    if traced or any([x._node is not None and live(x._node) is not None for its in (ps, gs, *olds) for x in its or ()]):
        news = _recorded(rule, ps, gs, olds, groups, options)
    else:
        columns = [tensors, _typed(gs, tensors, p)]
        columns += [[torch.zeros_like(x) for x in tensors] if old is None else _typed(old, tensors, p) for old in olds]
        news = _computed(rule, columns, groups, options)
        labels = [x._labels for x in ps]
        news = [[_made(x, None, its) for x, its in zip(column, labels, strict=True)] for column in news]
    return p.refilled(news[0]), *[p.alike(column) for column in news[1:]]


Group = tuple[Factors, list[int] | None]


def _computed(rule: Rule, columns: list[list[Tensor]], groups: Sequence[Group],
              options: dict[str, Any]) -> list[list[Tensor]]:
    """One call of the operation for each group of parameters that it may take together."""
    if len(groups) == 1 and groups[0][1] is None:  # quick way: one call for all; the plain one is below
        count = len(columns[0])
        results = _run(rule, [x for column in columns for x in column],
                       {"count": count, **_scaled(options, groups[0][0])})
        return [list(results[k:k + count]) for k in range(0, len(results), count)]
    news: list[list[Any]] = [[None] * len(column) for column in (columns[0], *columns[2:])]
    for factors, some in groups:
        places = range(len(columns[0])) if some is None else some
        results = _run(rule, [column[k] for column in columns for k in places],
                       {"count": len(places), **_scaled(options, factors)})
        for n, x in enumerate(results):
            news[n // len(places)][places[n % len(places)]] = x
    return news


def _run(rule: Rule, tensors: Sequence[Tensor], options: dict[str, Any]) -> Sequence[Tensor]:
    """The operation, one step of a recording where that does not hear it; its refusals are in words."""
    try:
        if rule.heard and not any([isinstance(v, Tensor) for v in options.values()]):
            return rule.operation.kernel(*tensors, **options)
        return called(rule.run, *tensors, **options)  # type: ignore[no-any-return]
    except RuntimeError as error:
        raise rule.operation.refusal(tensors, error) from error


def _recorded(rule: Rule, ps: Sequence[Any], gs: Sequence[Any], olds: Sequence[Any], groups: Sequence[Group],
              options: dict[str, Any]) -> list[list[Any]]:
    """The formula for each parameter, on record."""
    news: list[list[Any]] = [[None] * len(ps) for _ in range(1 + len(olds))]
    for factors, some in groups:
        its = _scaled(options, factors)
        for k in range(len(ps)) if some is None else some:
            found = rule.formula(ps[k], gs[k], *[None if old is None else old[k] for old in olds], **its)
            for column, x in zip(news, found, strict=True):
                column[k] = _like(x, ps[k])
    return news


def _scaled(options: dict[str, Any], factors: Factors) -> dict[str, Any]:
    rate, decay = factors
    if rate == decay == 1:
        return options
    scaled = {**options, "learn_rate": options["learn_rate"] * rate}
    if "weight_decay" in scaled:
        scaled["weight_decay"] *= decay
    return scaled


def _typed(arrays: Sequence[Any], tensors: Sequence[Tensor], p: Parameters) -> list[Tensor]:
    """Gradients or states in the types of their parameters."""
    raw = [x._value for x in arrays]
    if any([x.dtype is not own.dtype for x, own in zip(raw, tensors, strict=True)]):
        raw = [_cast(x, own, p, k) for k, (x, own) in enumerate(zip(raw, tensors, strict=True))]
    return raw


def _cast(x: Tensor, parameter: Tensor, p: Parameters, k: int) -> Tensor:
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


__all__ = ["Rule", "is_empty", "number_or_array", "stepped"]
