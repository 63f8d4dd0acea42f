"""Torch functions on dlarrays, recorded through the ATen operations that they are made of.

`run` calls a torch function with every dlarray as a `Wrapped` tensor, under a dispatch mode that answers each ATen operation:
by its rule (a function of dlarrays, see `aten_rules`), else by torch's own decomposition into others, else by an error. What is
computed from constants alone runs on plain tensors.

Values never change, so writes are functional. A wrapped tensor is a place: a cell, which views share, and the steps from the cell's
value to its own. A write puts a new value into the cell; views that are read later follow their steps again.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from ..core import finite
from ..core.array import constant, dlarray, refuse_computed
from ..core.errors import GradloomError, TypeRefused, line_of, nearest, user_site
from ..core.trace import live
from ..kernels import Tensor, differentiable, under
from .aten_overloads import DISCRETE, LIKE, OTHER_IN_PRIMS, RESIZING, decompositions, functional_of, opname, with_generator
from .protocol import gl
from .wrapped import Step, Wrapped, leaves_of, mapped, strided, wrapped, wrapped_whole

RULES: dict[str, Callable[..., Any]] = {}  # "add" or "sum.dim_IntList" or "prims.sum": a function of dlarrays
WRITERS: dict[str, Callable[..., Any]] = {}  # operations that write without saying so, or in a way of their own: a function of Wrapped tensors
WHOLE: dict[str, Callable[..., Any]] = {}  # torch functions that are one operation here: a function of dlarrays
_made = dlarray._made


# ----- the mode ------------------------------------------------------------------------------------------------------------------


def carries(x: Any) -> bool:
    """Whether this is an array with a derivative."""
    return type(x) is dlarray and live(x._node) is not None and differentiable(x._value.dtype)


def detached(x: dlarray) -> dlarray:
    """The value as a constant."""
    return _made(x._value, None, None)


class Functional(TorchDispatchMode):
    """Answers every ATen operation of the functions that run under it."""

    def __init__(self, word: str):
        super().__init__()
        self.word = word
        self.error: GradloomError | None = None
        self.keys = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # no torch.compile in here, and no need to load it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Torch calls this with composite functions and lazy conjugation switched off, where kernels give other numbers: on again."""
        kwargs = kwargs or {}
        if (func.is_view or func._schema.is_mutable) and not any(isinstance(x, Wrapped) for x in leaves_of((args, kwargs))):
            return func(*args, **kwargs)  # memory of plain tensors
        try:
            with torch._C._ForceDispatchKeyGuard(*self.keys):
                return self.answered(func, args, kwargs)
        except GradloomError as error:
            self.error = error  # the operators of tensors take a TypeError for "not implemented"
            raise

    def answered(self, func: Any, args: Any, kwargs: Any) -> Any:
        writer = WRITERS.get(opname(func))
        if writer is not None:
            return mapped(lambda x: wrapped(x) if type(x) is dlarray else x, writer(self, *args, **kwargs))
        if func._schema.is_mutable:
            return self.written(func, args, kwargs)
        if func.is_view:
            return self.viewed(func, args, kwargs)
        constants = not torch.is_grad_enabled()
        if constants:
            refuse_own_backward()
        args, kwargs = mapped(constant_of if constants else array_of, (args, kwargs))
        return mapped(as_wrapped, self.computed(func, args, kwargs))

    # ----- values -----

    def computed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An operation that writes nothing, on dlarrays."""
        name = opname(func)
        rule = rule_of(func, name)
        traced = any(carries(x) for x in leaves_of((args, kwargs)))
        if torch.Tag.nondeterministic_seeded in func.tags and rule is None:
            return self._drawn(func, args, kwargs, traced)
        if name == "_local_scalar_dense":
            return args[0].item()
        if not traced and (rule is None or torch.Tag.nondeterministic_seeded not in func.tags):
            return on_constants(func, args, kwargs)
        if rule is not None:
            result = rule(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if name in DISCRETE:
            return on_constants(func, args, kwargs)
        decomposition = decompositions().get(func)
        if decomposition is not None or func._can_decompose():
            args, kwargs = mapped(as_wrapped, (args, kwargs))
            result = under([self], decomposition or func.decompose, *args, **kwargs)
            return mapped(array_of, result)
        return self._without_rule(func, args, kwargs)

    def _without_rule(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Positions, counts and truth values carry no derivative; everything else is refused."""
        try:
            result = on_constants(func, args, kwargs)
        except NotImplementedError:
            result = None
        if result is None or any(type(x) is float or type(x) is dlarray and differentiable(x._value.dtype) for x in leaves_of(result)):
            own = opname(func)
            via = "" if own == self.word.rsplit(".", 1)[-1] else f" (through aten::{own})"
            raise TypeRefused(f"{self.word}{via} has no derivative in gradloom, at {line_of(user_site())}"
                              f"{nearest(own, sorted(supported()))}; write it in other operations, "
                              "or give it detach(x) to mean a constant")
        return result

    def _drawn(self, func: Any, args: Any, kwargs: Any, traced: bool) -> Any:
        """A random draw from this library's own generator: a constant, however often it is walked."""
        if traced and (opname(func) not in LIKE or (opname(func), func._overloadname) == ("bernoulli", "default")):
            raise TypeRefused(f"{self.word}: a draw from an array that is differentiated carries no derivative, at {line_of(user_site())}; "
                              "give it detach(x)")
        from ..kernels import generator

        overload = with_generator(func)
        args, kwargs = mapped(raw_of, (args, kwargs))
        device = next((x.device for x in leaves_of(args) if isinstance(x, Tensor)), kwargs.get("device") or "cpu")
        if overload is not None:
            kwargs = {**kwargs, "generator": generator(device)}
        return mapped(as_array, (overload or func)(*args, **kwargs))

    # ----- views and writes -----

    def viewed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A part of a place, which shares its cell."""
        k = next(i for i, a in enumerate(func._schema.arguments) if a.alias_info is not None)
        base = args[k]
        if opname(func) == "as_strided" and base._steps:
            return self.viewed(func, (wrapped_whole(base), *strided(base, *args[1:], **kwargs)), {})
        args, kwargs = mapped(lambda x: x if x is base else array_of(x), args), mapped(array_of, kwargs)
        before, after = args[:k], args[k + 1:]
        shape = torch.empty_strided(base.shape, base.stride(), dtype=base.dtype, device="meta")
        outline = func(*before, shape, *after, **kwargs)
        steps = base._steps
        if not torch.is_grad_enabled():
            refuse_own_backward()
            steps = (*steps, Step(self, torch.ops.aten.detach.default, (), (), {}, None))
        value = base.array() if torch.is_grad_enabled() else detached(base.array())
        result = self.computed(func, (*before, value, *after), kwargs)
        if isinstance(outline, Tensor):
            return Wrapped(base._cell, (*steps, Step(self, func, before, after, kwargs, None)), result, outline.stride())
        return [Wrapped(base._cell, (*steps, Step(self, func, before, after, kwargs, i)), part, line.stride())
                for i, (part, line) in enumerate(zip(result, outline, strict=True))]

    def written(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An in-place operation: its out-of-place form, then the place holds the result."""
        if torch.Tag.inplace_view in func.tags and opname(func) not in RESIZING:
            return self._reshaped(func, args, kwargs)
        if opname(func) in RESIZING:
            raise TypeRefused(f"{self.word}: {opname(func)} changes the shape of an array in its place, at {line_of(user_site())}; "
                              f"write the form that returns a new one, {opname(func).rstrip('_')}")
        if any(r.alias_info is None for r in func._schema.returns):
            raise TypeRefused(f"{self.word}: aten::{opname(func)} writes to its arguments beside its result, at {line_of(user_site())}; "
                              "write it in operations that return new arrays")
        places = [a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments]
        names = [a.name for a in func._schema.arguments]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        targets = [given[name] for name, place in zip(names, places, strict=True) if place]
        name = opname(func)
        if name == "copy_":
            results: Any = [array_of(given["src"])]
        elif torch.Tag.nondeterministic_seeded in func.tags:
            results = [self._drawn_in_place(func, args, kwargs)]
        else:
            plain = functional_of(func, names, places)
            if plain is None:
                raise TypeRefused(f"{self.word}: aten::{name} writes to its arguments and has no other form, at {line_of(user_site())}; "
                                  "write it in operations that return new arrays")
            inputs = args if name.endswith("_") else args[:len(plain._schema.arguments)]
            options = {k: v for k, v in kwargs.items() if k in {a.name for a in plain._schema.arguments}}
            made = under([self], plain, *inputs, **options)
            results = [array_of(x) for x in (made if isinstance(made, (tuple, list)) else (made,))]
        for target, result in zip(targets, results, strict=True):
            self.put(target, result)
        return targets[0] if len(targets) == 1 else tuple(targets)

    def _reshaped(self, func: Any, args: Any, kwargs: Any) -> Any:
        """squeeze_, t_ and their like: the place becomes its own view."""
        place = args[0]
        names = [a.name for a in func._schema.arguments]
        view = self.viewed(functional_of(func, names, [True, *names[1:]]), args, kwargs)
        undispatched(func, *args, **kwargs)
        place._steps, place._known = view._steps, view._known
        return place

    def _drawn_in_place(self, func: Any, args: Any, kwargs: Any) -> dlarray:
        from ..kernels import generator

        rule = RULES.get(f"{opname(func)}.{func._overloadname}") or RULES.get(opname(func))
        target = args[0]
        if rule is not None:
            return rule(*mapped(array_of, args), **{k: array_of(v) for k, v in kwargs.items() if k != "generator"})
        if any(carries(array_of(x)) for x in leaves_of((args[1:], kwargs))):
            raise TypeRefused(f"{self.word}: a draw from an array that is differentiated carries no derivative, at {line_of(user_site())}; "
                              "give it detach(x)")
        made = torch.empty(target.shape, dtype=target.dtype, device=target.device)
        func(made, *mapped(raw_of, args[1:]), **{**mapped(raw_of, kwargs), "generator": generator(target.device)})
        return _made(made, None, None)

    def put(self, target: Any, value: dlarray) -> None:
        """Write a value, cast and broadcast, to a place."""
        if not isinstance(target, Wrapped):
            if carries(value):
                raise TypeRefused(f"{self.word} writes a value that is differentiated into a plain tensor, at {line_of(user_site())}, where its "
                                  "derivative would be lost; make the tensor inside the function, or with torch.zeros_like of the array")
            target.copy_(value._value)
            return
        if not torch.is_grad_enabled():  # torch's meaning: other numbers, the same derivative
            refuse_own_backward()
            value, old = detached(value), target.array()
            if carries(old):
                value = gl.add(old, detached(gl.subtract(gl.astype(value, old.dtype), detached(old))))
        if value.dtype is not target.dtype:
            if value.dtype.is_complex and not target.dtype.is_complex:
                value = gl.real(value)
            value = gl.astype(value, target.dtype)
        if value.shape != tuple(target.shape):
            value = gl.broadcast_to(value, tuple(target.shape))
        target.write(value)


def rule_of(func: Any, name: str) -> Callable[..., Any] | None:
    if func.namespace == "prims":
        return RULES.get(f"prims.{name}") or (RULES.get(name) if name not in OTHER_IN_PRIMS else None)
    return RULES.get(f"{name}.{func._overloadname}") or RULES.get(name)


def supported() -> set[str]:
    """The ATen operations that have a derivative here."""
    names = {opname(f) for f in decompositions() if hasattr(f, "_schema") and f.namespace == "aten"} | {name.partition(".")[0] for name in RULES}
    return {name for name in names if not name.startswith("_") and not name.endswith(("_", "_backward", "prims"))}


def on_constants(func: Any, args: Any, kwargs: Any) -> Any:
    """Torch's own kernel on plain tensors."""
    args, kwargs = mapped(raw_of, (args, kwargs))
    result = func(*args, **kwargs)
    if finite.checking() and "empty" not in opname(func):  # memory that nobody has written may hold anything
        given = [x for x in leaves_of((args, kwargs)) if isinstance(x, (Tensor, float))]
        finite.check(opname(func), given, leaves_of(result))
    return mapped(as_array, result)


def array_of(x: Any) -> Any:
    """What rules compute with: dlarrays; a plain tensor is a constant, as it is now."""
    if isinstance(x, Wrapped):
        return x.array()
    return _made(constant(x), None, None) if isinstance(x, Tensor) else x


def constant_of(x: Any) -> Any:
    x = array_of(x)
    return detached(x) if type(x) is dlarray else x


def raw_of(x: Any) -> Any:
    x = x.array() if isinstance(x, Wrapped) else x
    return x._value if type(x) is dlarray else x


def as_array(x: Any) -> Any:
    return _made(x, None, None) if isinstance(x, Tensor) else x


def as_wrapped(x: Any) -> Any:
    if type(x) is dlarray:
        return wrapped(x)
    return wrapped(_made(x, None, None)) if isinstance(x, Tensor) and not isinstance(x, Wrapped) else x


_OWN_BACKWARD = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]


def refuse_own_backward() -> None:
    """Gradients are off: in the user's `no_grad`, where values are constants, or inside a torch.autograd.Function, which has its own backward."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code is not _RUN:
        if frame.f_code is _OWN_BACKWARD:
            raise TypeRefused(f"a torch.autograd.Function states its own backward, which gradloom does not read, at {line_of(user_site())}; "
                              "write it as a layer or an operation of gradloom")
        frame = frame.f_back


# ----- running a function --------------------------------------------------------------------------------------------------------


def run(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A torch function on dlarrays, recorded through the ATen operations that it is made of.

    Plain tensors are constants. Floating results are dlarrays without labels. Raises TypeRefused where an operation has no rule
    and where a value would be written into an argument, TraceError where a value that is differentiated would leave the trace.
    """
    word = name_of(func)
    places: dict[int, tuple[dlarray, Wrapped]] = {}

    def entered(x: Any) -> Any:
        if type(x) is dlarray:
            if id(x) not in places:
                places[id(x)] = x, wrapped(_made(x._value, x._node if carries(x) else None, None))
            return places[id(x)][1]
        if isinstance(x, Tensor):
            refuse_computed(x)
            return x.detach()
        return x

    args, kwargs = tree_map(entered, (tuple(args), dict(kwargs or {})))
    result = dispatched(word, func, *args, **kwargs)
    for _, place in places.values():
        if place._cell.version:
            raise TypeRefused(f"{word} writes into an array that it was given, at {line_of(user_site())}; values never change: "
                              "write the form that returns a new one (without inplace=True, out= or a trailing _)")
    return tree_map(left, result)


def left(x: Any) -> Any:
    """A result of a torch function as a dlarray."""
    x = array_of(x)
    return _made(x._value, x._node, None) if type(x) is dlarray else x


class Whole(TorchFunctionMode):
    """Answers the few torch functions that are operations of this library as a whole, before torch takes them apart.

    While it is on, torch's attention layers do not take their fused way around the operations that are answered here.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = WHOLE.get(getattr(func, "__name__", ""))
        if rule is not None and not kwargs and any(isinstance(x, Wrapped) for x in leaves_of(args)):
            constants = not torch.is_grad_enabled()
            if constants:
                refuse_own_backward()
            result = undispatched(lambda: rule(*mapped(constant_of if constants else array_of, args)))
            if result is not NotImplemented:
                return mapped(as_wrapped, result)
        return func(*args, **(kwargs or {}))


def dispatched(word: str, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """Run torch code, answered by the rules."""
    from . import aten_layers, aten_linalg, aten_moving, aten_rules  # noqa: F401  the tables

    mode = Functional(word)
    try:
        return under((torch.enable_grad(), mode, Whole()), function, *args, **options)
    except TypeError as error:
        if mode.error is None or isinstance(error, GradloomError):
            raise
        raise mode.error from None
    finally:
        mode.error = None  # it holds the frames it went through, and they the mode


def undispatched(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    """Run a function outside the modes that answer torch."""
    guards: list[Any] = []
    try:
        guards.append(torch._C._DisableTorchDispatch())  # it ends when nothing refers to it
        return function(*args, **options)
    finally:
        guards.clear()


def name_of(func: Any) -> str:
    """`torch.nn.functional.relu`, for messages."""
    name = getattr(func, "__name__", None) or getattr(func, "__qualname__", None) or type(func).__name__
    module = getattr(func, "__module__", None) or getattr(getattr(func, "__objclass__", None), "__name__", None) or "torch"
    return f"{str(module).replace('torch._C._', 'torch.')}.{name}"


_RUN = dispatched.__code__
