"""checkpoint: a function of which a trace keeps the arguments; what lies between is computed again in each walk."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.containers import Structure, flatten, unflatten
from ...core.errors import TraceError, TypeRefused, line_of, user_site
from ...core.operation import NO_PARAMS, item
from ...core.trace import DifferentTraces, Node, Trace, live, walking, within
from ...machine.caches import remembered
from ...machine.dtypes import Tensor, differentiable
from ...machine.questions import computed_anew
from ...machine.random import Draws
from ..walks.meetings import pull, push
from ..words.evaluate import dlfeval, refuse_suspended
from ..words.marks import VARIABLE
from .backward import OwnBackward, OwnBackwardOperation


def checkpoint(function: Callable[..., Any], /) -> Callable[..., Any]:
    """The function, of whose calls a trace keeps the arguments alone: what lies between is computed again in each walk.

    Memory for time: of a chain of n such functions, a walk backwards holds what one of them computes and the n
    arguments, and runs each once more, about 4/3 of the time. Derivatives are those of the function itself, to any
    order, forwards and backwards; random draws are those of the first run. Outside a trace it is the function, and
    inside an accelerated function it is recorded with all that it computes again.

    Traced arrays are passed as arguments (alone, in containers, in networks); the results are arrays, alone or in
    containers. Raises TraceError where the function reads a traced array from around it, TypeRefused where it returns
    what belongs to a trace and is no array.

    >>> import gradloom as gl
    >>> layer = gl.checkpoint(lambda x, w: gl.tanh(w * x))
    >>> def gradient(x, w):
    ...     return gl.dlgradient(gl.sum(layer(layer(x, w), w)), w)
    >>> print(gl.dlfeval(gradient, gl.dlarray([0.5, 1.0]), gl.dlarray(0.3)).item().__round__(6))
    0.856525

    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 12; Chen et al., Training deep nets with
    sublinear memory cost, 2016.
    """
    refuse_suspended(function)

    @functools.wraps(function)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        places = [k for k, x in enumerate(leaves) if type(x) is dlarray and live(x._node) is not None]
        if not places:
            return function(*args, **kwargs)
        xs = [leaves[k] for k in places]
        for k in places:
            leaves[k] = None
        return _Call(function, leaves, structure, places, xs).recorded(xs)

    return checkpointed


class _Call(OwnBackward):
    """One call of such a function."""

    def __init__(self, function: Callable[..., Any], others: list[Any], structure: Structure, places: Sequence[int],
                 xs: Sequence[dlarray]):
        self.function, self.others, self.structure, self.places = function, others, structure, places
        self.word = f"checkpoint({getattr(function, '__name__', 'fun')})"
        self.names = [f"array {k}" for k in range(len(xs))]
        self.labels = [x._labels for x in xs]
        self.shapes = [x.shape for x in xs]
        self.draws = Draws()

    def identified_by(self) -> None:
        """Its numbers are no part of what is kept of a trace, and a plan may rest on them."""

    def results(self, xs: Sequence[dlarray]) -> tuple[list[Any], Structure]:
        """What the function returns for these arrays: leaves and structure."""
        leaves = list(self.others)
        for place, x, labels in zip(self.places, xs, self.labels, strict=True):
            leaves[place] = dlarray._made(x._value, x._node, labels)
        args, kwargs = unflatten(self.structure, leaves)
        return flatten(self.function(*args, **kwargs))

    def recorded(self, xs: Sequence[dlarray]) -> Any:
        """The results, as outputs of one operation of the trace."""
        trace, site = xs[0]._node.trace, user_site()  # type: ignore[union-attr]
        own = Trace()  # where the function takes derivatives itself
        try:
            variables = [dlarray._made(x._value, Node(VARIABLE, own, (), [x._value], NO_PARAMS, x._value, site), None)
                         for x in xs]
            leaves, structure = self.draws.kept(self.results, variables)
            places = []
            for k, y in enumerate(leaves):
                if type(y) is not dlarray:
                    if hasattr(type(y), "__leave_trace__"):
                        raise TypeRefused(
                            f"{self.word} returned a {type(y).__name__}, at {line_of(site)}; return arrays, and make "
                            "it of them outside")
                elif live(y._node) is not None and y._node.trace is not own:  # type: ignore[union-attr]
                    raise self._captured(site)
                elif differentiable(y._value.dtype):
                    places.append(k)
        except DifferentTraces as error:
            raise self._captured(site) from error
        finally:
            own.open = False
            own.close()
        trace.guarded = trace.guarded or own.guarded
        ys = [leaves[k] for k in places]
        self.y_labels, self.y_likes = [y._labels for y in ys], [y._value.to("meta") for y in ys]
        if ys:
            operation, result = _operation(len(ys)), tuple([y._value for y in ys])
            node = Node(operation, trace, [x._node for x in xs], [*[x._value for x in xs], None], {"call": self},
                        result if len(ys) > 1 else result[0], site)
            made = ([item(result, node, k, its) for k, its in enumerate(self.y_labels)] if len(ys) > 1
                    else [dlarray._made(result[0], node, self.y_labels[0])])
            for place, y in zip(places, made, strict=True):
                leaves[place] = y
        return unflatten(structure, leaves)

    def _captured(self, site: Any) -> TraceError:
        return TraceError(f"{self.word} reads a traced array from around it, at {line_of(site)}: its derivative would "
                          "be lost; pass it as an argument")

    def walked(self, walk: Callable[[list[dlarray], list[dlarray]], Any], values: Sequence[Any], raw: bool) -> Any:
        """What a walk gives through the function, run again: `walk(xs, ys)`, all of them traced."""

        def run(xs: list[dlarray]) -> Any:
            leaves, _ = self.draws.repeated(self.results, xs)
            ys = [y for y in leaves if type(y) is dlarray and differentiable(y._value.dtype)]
            if [tuple(y._value.shape) for y in ys] != [tuple(like.shape) for like in self.y_likes]:
                raise TraceError(f"{self.word} returned other arrays when it was run again, at {line_of(user_site())}: "
                                 "what it reads besides its arguments has changed; pass it as an argument")
            return walking(walk, xs, ys, walk=not raw)

        xs = [x if type(x) is dlarray else dlarray._made(x, None, None) for x in values[:len(self.places)]]
        if raw:
            return computed_anew(within, None, dlfeval, run, xs)
        return computed_anew(walking, dlfeval, run, xs, walk=False)


class _Checkpoint(OwnBackwardOperation):
    """Its inputs are the traced arrays among the arguments, its outputs the arrays among the results."""

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Sequence[Any]:
        y_bars = list(y_bar) if self.outputs > 1 else [y_bar]
        raw = any(type(bar) is Tensor for bar in y_bars)

        def walk(xs: list[dlarray], ys: list[dlarray]) -> list[Any]:
            seeds: dict[Node, Any] = {}
            for y, bar in zip(ys, y_bars, strict=True):
                its = live(y._node)
                if its is not None and bar is not None:
                    seeds[its] = seeds[its] + bar if its in seeds else bar
            targets = [x._node for x, want in zip(xs, wanted, strict=True) if want]
            found = iter(pull(seeds, targets, recorded=not raw, lead=lead,  # type: ignore[arg-type]
                              release=raw and not lead) if seeds else [None] * len(targets))
            return [next(found) if want else None for want in wanted]

        return params["call"].walked(walk, v, raw)  # type: ignore[no-any-return]

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        raw = any(type(d) is Tensor for d in dots)
        if not raw and not all([d is None or type(d) is dlarray for d in dots]) or any(
                [d is not None and (d if raw else d._value).is_meta for d in dots]):
            return super().push(v, params, node, dots, lead)  # structured, or without data

        def walk(xs: list[dlarray], ys: list[dlarray]) -> list[Any]:
            seeds = {x._node: dot for x, dot in zip(xs, dots, strict=True) if dot is not None}
            nodes = [live(y._node) for y in ys]
            moving = [n for n in dict.fromkeys(nodes) if n is not None]
            found: dict[Any, Any] = dict(zip(moving, push(moving, seeds, recorded=not raw,  # type: ignore[arg-type]
                                                          lead=lead), strict=True)) if moving else {}
            return [_or_zeros(found.get(n), y, lead, raw) for n, y in zip(nodes, ys, strict=True)]

        moved = params["call"].walked(walk, v, raw)
        return tuple(moved) if self.outputs > 1 else moved[0]


def _or_zeros(dot: Any, y: dlarray, lead: tuple[int, ...], raw: bool) -> Any:
    if dot is not None:
        return dot
    zeros = torch.zeros((*lead, *y.shape), dtype=y.dtype, device=y.device)
    return zeros if raw else dlarray._made(zeros, None)


@remembered(None)
def _operation(outputs: int) -> _Checkpoint:
    return _Checkpoint("checkpoint", outputs=outputs, own=True)


__all__ = ["checkpoint"]
