"""torch.autograd.Function inside torch code that runs here: forward on plain tensors, backward as an own backward."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._library import custom_ops
from torch.autograd.function import FunctionCtx, _SingleLevelFunction
from torch.nn.modules import _functions as hooks
from torch.utils import checkpoint
from torch.utils._pytree import tree_leaves, tree_map

from ...core import finite
from ...core.array import dlarray
from ...core.errors import TypeRefused, line_of, user_site
from ...core.trace import live
from ...derivatives.own.backward import OwnBackward, OwnBackwardOperation
from ...derivatives.own.function import remembered_array
from ...machine.caches import remembered
from ...machine.dtypes import Tensor, differentiable
from ...machine.modes import under, undispatched
from .aten.values import array_of, carries, left
from .aten.wrapped import Wrapped, running, thread, wrapped

_made = dlarray._made


def plainly(function: Callable[..., Any], /, *args: Any) -> Any:
    """Run torch code that is torch's own, on plain tensors."""
    run = running()
    try:
        thread.run = None
        return under((torch._C.DisableTorchFunction(), torch.no_grad()), undispatched, function, *args)
    finally:
        thread.run = run


class Context(FunctionCtx):
    """What forward and backward share: torch's own, and what it adds in C++."""

    saved_tensors: tuple[Any, ...] = ()
    needs_input_grad: tuple[bool, ...] = ()

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        return self.saved_tensors


class FunctionCall(OwnBackward):
    """One call of a torch.autograd.Function."""

    kind = "Function"

    def __init__(self, function: Any, args: Sequence[Any], needs: Sequence[bool]):
        self.function, self.again = function, running().again  # type: ignore[union-attr]
        self.word = f"{function.__name__}.backward"
        self.places = [k for k, a in enumerate(args) if type(a) is dlarray]
        self.names = [f"argument {k}" for k in self.places]
        self.shapes = [args[k].shape for k in self.places]
        self.labels = [None] * len(self.places)
        self.nodes = tuple(args[k]._node for k in self.places if live(args[k]._node) is not None)
        self.context = Context()
        self.context.needs_input_grad = tuple(needs)
        # fresh handles: what forward saves is found by them
        self.inputs = [a._value.detach() if type(a) is dlarray else a for a in args]
        self.results: tuple[Any, ...] = ()
        self.one = False

    def forward(self) -> None:
        """Run it, once."""
        context = self.context
        result = plainly(self._ran)
        self.one = not isinstance(result, (tuple, list))
        self.results = (result,) if self.one else tuple(result)
        context.saved_tensors = tuple(getattr(context, "to_save", None) or ())
        without = {id(x) for x in getattr(context, "non_differentiable", ())}
        self.outputs = [k for k, y in enumerate(self.results)
                        if isinstance(y, Tensor) and differentiable(y.dtype) and id(y) not in without]
        self.y_labels = [None] * len(self.outputs)
        self.y_likes = plainly(lambda: [torch.empty_like(self.results[k], device="meta") for k in self.outputs])
        held = {id(x) for x in tree_leaves(context.__dict__) if isinstance(x, Tensor)}
        self.keeps = any(id(self.inputs[k]) in held
                         for k in self.places), any(id(self.results[k]) in held for k in self.outputs)

    def _ran(self) -> Any:
        function, context, inputs = self.function, self.context, self.inputs
        if function.setup_context is torch.autograd.Function.setup_context:
            return function.forward(context, *inputs)
        result = function.forward(*inputs)
        function.setup_context(context, tuple(inputs), result)
        return result

    def run(self, values: Sequence[Tensor]) -> Any:
        """What `forward` has made."""
        outputs = tuple(self.results[k] for k in self.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def backward(self, xs: Sequence[Any], ys: Sequence[Any], y_bars: Sequence[Any], wanted: Sequence[bool],
                 recorded: bool) -> Any:
        needs = list(self.context.needs_input_grad)
        for k, want in zip(self.places, wanted, strict=True):
            needs[k] = want
        bars: list[Any] = [torch.zeros_like(y) if isinstance(y, Tensor) and differentiable(y.dtype)
                           else None for y in self.results]
        if recorded:
            def backward() -> list[Any]:
                for k, bar in zip(self.outputs, y_bars, strict=True):
                    bars[k] = wrapped(_made(bar._value, bar._node, None), True)
                made = self.function.backward(self._in_terms_of(xs, ys, needs), *bars)
                return [left(g) for g in (made if isinstance(made, (tuple, list)) else (made,))]

            found = self.again(self.word, None, backward)
        else:
            for k, bar in zip(self.outputs, y_bars, strict=True):
                bars[k] = bar._value
            context = Context()
            context.__dict__.update(self.context.__dict__, needs_input_grad=tuple(needs))
            made = plainly(self.function.backward, context, *bars)
            found = [_made(g, None, None) if isinstance(g, Tensor) else g
                     for g in (made if isinstance(made, (tuple, list)) else (made,))]
        found += [None] * (len(self.inputs) - len(found))
        return [found[k] for k in self.places]

    def _in_terms_of(self, xs: Sequence[Any], ys: Sequence[Any], needs: Sequence[bool]) -> Context:
        """The context with inputs and outputs as they were recorded; what else it holds is a number, not known to be
        constant."""
        known = {id(self.inputs[k]): x for k, x in zip(self.places, xs, strict=True)} | {
            id(self.results[k]): y for k, y in zip(self.outputs, ys, strict=True)}
        made: dict[int, Any] = {}

        def entered(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            if id(x) not in made:
                array = known.get(id(x))
                if array is None:
                    array = remembered_array(_made(x, None, None), self.nodes)
                made[id(x)] = wrapped(_made(array._value, array._node, None), live(array._node) is not None)
            return made[id(x)]

        context = Context()
        context.__dict__.update(tree_map(entered, self.context.__dict__), needs_input_grad=tuple(needs))
        return context


@remembered(None)
def _operation(function: Any, outputs: int, keeps: tuple[bool, bool]) -> OwnBackwardOperation:
    made = OwnBackwardOperation(function.__name__, outputs=outputs, own=True)
    made.keeps = keeps
    return made


def applied(function: Any, args: Sequence[Any]) -> Any:
    """Function.apply on wrapped tensors."""
    graded = torch.is_grad_enabled()
    needs = [graded and isinstance(a, Wrapped) and a.requires_grad for a in args]
    if function is checkpoint.CheckpointFunction:  # it has no derivative where no argument has one
        return under([] if any(needs) else [torch.no_grad()], args[0], *args[2:])
    if function is getattr(checkpoint, "_NoopSaveInputs", None):
        return wrapped(_made(torch.empty(0, device="cpu"), None, None))
    if function in (hooks.BackwardHookFunction,):
        raise TypeRefused(
            f"a backward hook of a module works on torch's own graph, at {line_of(user_site())}; remove the hook "
            "before from_torch, and write a torch.autograd.Function to change a gradient on its way")
    arrays = [array_of(a) if isinstance(a, Tensor) else a for a in args]
    if not graded:
        arrays = [_made(a._value, None, None) if type(a) is dlarray else a for a in arrays]
    call, found = undispatched(recorded, function, arrays, needs)
    found = [wrapped(y, any(needs) and k in call.outputs) if type(y) is dlarray else y for k, y in enumerate(found)]
    dirty = {id(x) for x in getattr(call.context, "dirty_tensors", None) or ()}
    for x, given in zip(call.inputs, args, strict=True):
        if id(x) in dirty and isinstance(given, Wrapped):
            at = next((j for j, y in enumerate(call.results) if y is x), None)
            value = found[at].array() if at is not None else _made(x, None, None)
            running().mode.put(given, value, any(needs))  # type: ignore[union-attr]
            if at is not None:
                found[at] = given
    return found[0] if call.one else tuple(found)


def recorded(function: Any, arrays: Sequence[Any], needs: Sequence[bool]) -> tuple[FunctionCall, list[Any]]:
    """A call of a function with a backward of its own on dlarrays and options, and its results."""
    call = FunctionCall(function, arrays, needs)
    call.forward()
    found: list[Any] = [_made(y, None, None) if isinstance(y, Tensor) else y for y in call.results]
    if (call.outputs and any(type(a) is dlarray and live(a._node) is not None and differentiable(a.dtype)
                             for a in arrays)):
        operation = _operation(function, len(call.outputs), call.keeps)
        made = operation.apply([arrays[k] for k in call.places], {"call": call})
        for k, y in zip(call.outputs, made if isinstance(made, tuple) else (made,), strict=True):
            found[k] = y
    else:
        finite.check(function.__name__, call.inputs, [y for y in call.results if isinstance(y, Tensor)])
    return call, found


@remembered(None)
def registered(operation: Any) -> Any:
    """The backward that was registered for an operation of torch.library, as a Function; None where there is none."""
    definition = custom_ops.OPDEFS.get(operation._schema.name)
    if definition is None or definition._backward_fn is None or any(a.kwarg_only for a in operation._schema.arguments):
        return None
    defaults = [a.default_value for a in operation._schema.arguments]

    def setup_context(context: Any, inputs: Any, output: Any) -> None:
        if definition._setup_context_fn is not None:
            definition._setup_context_fn(context, (*inputs, *defaults[len(inputs):]), output)

    return type(definition._name, (torch.autograd.Function,), {
        "forward": staticmethod(lambda *inputs: operation(*inputs)), "setup_context": staticmethod(setup_context),
        "backward": staticmethod(lambda context, *grads: definition._backward_fn(context, *grads))})


def registered_backward(operation: Any, args: Any) -> Any:
    """An operation of torch.library on dlarrays, by the backward that was registered for it."""
    function = registered(operation)
    if function is None:
        return NotImplemented
    call, found = recorded(function, args, [carries(a) for a in args])
    return found[0] if call.one else tuple(found)


# ----- where torch asks: Function.apply calls the apply of its own base, however it was reached -----

_inside = 0  # how many runs there are, in all threads


def _answer(cls: Any, *args: Any) -> Any:
    if running() is None:
        return super(_SingleLevelFunction, cls).apply(*args)
    return applied(cls, args)


_APPLY = classmethod(_answer)


def own_functions(function: Callable[..., Any], /, *args: Any) -> Any:
    """Run a function in whose runs what `torch.autograd.Function.apply` does is answered.

    What is counted and assigned here is so without a call between: neither an interrupt nor another thread comes in
    there.
    """
    global _inside
    try:
        _inside += 1
        _SingleLevelFunction.apply = _APPLY  # type: ignore[attr-defined]
        return function(*args)
    finally:
        _inside -= 1
        if not _inside:
            del _SingleLevelFunction.apply  # type: ignore[attr-defined]


__all__ = ["applied", "own_functions", "registered_backward"]
