"""The mode that answers ATen operations with functions of dlarrays.

Each operation is answered by its rule (a function of dlarrays, see `interop/torch/table.py` and `rules/`), else by
torch's own decomposition into others, else by an error. What is computed from constants alone runs on plain tensors.

Values never change, so writes are functional. A wrapped tensor is a place: a cell, which views share, and the steps
from the cell's value to its own. A write puts a new value into the cell; views that are read later follow their steps
again.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ....core import finite
from ....core.array import dlarray
from ....core.errors import GradloomError, TypeRefused, line_of, user_site
from ....machine.caches import remembered
from ....machine.dtypes import Tensor, differentiable
from ....machine.modes import under, undispatched
from ....machine.questions import heard
from ....machine.random import generator
from ...protocol import Unsupported, gl
from ..autograd import NeedsTrace
from ..losses import FUNCTIONS  # the last part of the table
from ..own import registered_backward
from ..table import RULES, WRITERS
from .overloads import (
    BY_STRIDES,
    DISCRETE,
    LIKE,
    MADE,
    OTHER_IN_PRIMS,
    RESIZING,
    decompositions,
    functional_of,
    opname,
    with_generator,
)
from .values import array_of, as_array, as_varying, as_wrapped, carries, constant_of, detached, raw_in_order, raw_of
from .wrapped import Step, Wrapped, leaves_of, mapped, running, strided, wrapped_whole

_made = dlarray._made
# What `undispatched` excludes; a run that begins under it dispatches nevertheless.
_PYTHON = torch._C.DispatchKeySet(
    torch._C.DispatchKey.Python) | torch._C.DispatchKeySet(torch._C.DispatchKey.PythonTLSSnapshot)


# ----- the mode -------------------------------------------------------------------------------------------------------


class Functional(TorchDispatchMode):
    """Answers every ATen operation of the functions that run under it."""

    def __init__(self, word: str):
        super().__init__()
        self.word = word
        self.error: BaseException | None = None
        self.keys = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set() - _PYTHON

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # no torch.compile in here, and no need to load it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Torch calls this with composite functions and lazy conjugation switched off, where kernels give other
        numbers: on again."""
        kwargs = kwargs or {}
        run = running()
        waits = run is not None and run.mode is not self  # for a run that began inside its own
        if ((waits or func.is_view or func._schema.is_mutable)
            and not any(isinstance(x, Wrapped) for x in leaves_of((args, kwargs)))):
            return func(*args, **kwargs)  # memory of plain tensors
        try:
            with torch._C._ForceDispatchKeyGuard(*self.keys):
                return heard(self.answered, func, args, kwargs)
        except (GradloomError, NeedsTrace) as error:
            self.error = error  # the operators of tensors take a TypeError for "not implemented"
            raise

    def answered(self, func: Any, args: Any, kwargs: Any) -> Any:
        writer = WRITERS.get(opname(func))
        if writer is not None:
            varies = requires_gradients(args, kwargs)
            return mapped(as_varying if varies else as_wrapped, writer(self, *args, **kwargs))
        if func._schema.is_mutable:
            return self.written(func, args, kwargs, requires_gradients(args, kwargs))
        if func.is_view:
            return self.viewed(func, args, kwargs)
        if not torch.is_grad_enabled():
            args, kwargs = mapped(constant_of, (args, kwargs))
            return mapped(as_wrapped, self.computed(func, args, kwargs))
        varies = False

        def entered(x: Any) -> Any:
            nonlocal varies
            if type(x) is Wrapped:
                varies = varies or x._cell.varies and not x._constant
                return x.array()
            return array_of(x)

        args, kwargs = mapped(entered, (args, kwargs))
        return mapped(as_varying if varies and opname(func) not in MADE else as_wrapped,
                      self.computed(func, args, kwargs))

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
            try:
                result = rule(*args, **kwargs)
            except Unsupported:
                result = NotImplemented
            if result is not NotImplemented:
                return result
        if name in DISCRETE:
            return on_constants(func, args, kwargs)
        decomposition = decompositions().get(func)
        if decomposition is not None or func._can_decompose():
            args, kwargs = mapped(as_wrapped, (args, kwargs))
            result = under([self], decomposition or func.decompose, *args, **kwargs)
            return mapped(array_of, result)
        if not kwargs and func.namespace not in ("aten", "prims"):
            result = undispatched(registered_backward, func, args)
            if result is not NotImplemented:
                return result
        return self._without_rule(func, args, kwargs)

    def _without_rule(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Positions, counts and truth values carry no derivative; everything else is refused."""
        try:
            result = on_constants(func, args, kwargs)
        except NotImplementedError:
            result = None
        if (result is None or any(type(x) is float or type(x) is dlarray and differentiable(x._value.dtype)
                                  for x in leaves_of(result))):
            own = opname(func)
            via = "" if own == self.word.rsplit(".", 1)[-1] else f" (through aten::{own})"
            raise TypeRefused(f"{self.word}{via} has no derivative in gradloom, at {line_of(user_site())}"
                              "; write it in other operations, "
                              "or give it detach(x) to mean a constant")
        return result

    def _drawn(self, func: Any, args: Any, kwargs: Any, traced: bool) -> Any:
        """A random draw from this library's own generator: a constant, however often it is walked."""
        if traced and (opname(func) not in LIKE or (opname(func), func._overloadname) == ("bernoulli", "default")):
            raise TypeRefused(
                f"{self.word}: a draw from an array that is differentiated carries no derivative, at "
                f"{line_of(user_site())}; give it detach(x)")
        overload = with_generator(func)
        args, kwargs = mapped(raw_of, (args, kwargs))
        device = next((x.device for x in leaves_of(args) if isinstance(x, Tensor)), kwargs.get("device") or "cpu")
        if overload is not None:
            kwargs = {**kwargs, "generator": kwargs.get("generator") or generator(device)}
        return mapped(as_array, (overload or func)(*args, **kwargs))

    # ----- views and writes -----

    def viewed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A part of a place, which shares its cell."""
        k = next(i for i, a in enumerate(func._schema.arguments) if a.alias_info is not None)
        base = args[k]
        if opname(func) == "as_strided" and not base._cell.value._value.is_contiguous():
            raise TypeRefused(
                f"{self.word}: as_strided reads an array by where its elements lie in memory, which is not in order "
                f"here, at {line_of(user_site())}; write x.contiguous().as_strided(...), or index x")
        if opname(func) == "as_strided" and base._steps:
            return self.viewed(func, (wrapped_whole(base), *strided(base, *args[1:], **kwargs)), {})
        args, kwargs = mapped(lambda x: x if x is base else array_of(x), args), mapped(array_of, kwargs)
        before, after = args[:k], args[k + 1:]
        shape = torch.empty_strided(base.shape, base.stride(), dtype=base.dtype, device="meta")
        outline = func(*before, shape, *after, **kwargs)
        steps = base._steps
        # torch says of a view under no_grad that it requires gradients
        constant = base._constant or opname(func) == "detach"
        if not torch.is_grad_enabled():
            steps = (*steps, Step(self, torch.ops.aten.detach.default, (), (), {}, None))
        value = base.array() if torch.is_grad_enabled() else detached(base.array())
        result = self.computed(func, (*before, value, *after), kwargs)
        if isinstance(outline, Tensor):
            return Wrapped(base._cell, (*steps, Step(self, func, before, after, kwargs, None)),
                           result, outline.stride(), constant)
        return [Wrapped(base._cell, (*steps, Step(self, func, before, after, kwargs, i)), part, line.stride(), constant)
                for i, (part, line) in enumerate(zip(result, outline, strict=True))]

    def written(self, func: Any, args: Any, kwargs: Any, varies: bool) -> Any:
        """An in-place operation: its out-of-place form, then the place holds the result."""
        if torch.Tag.inplace_view in func.tags and opname(func) not in RESIZING:
            return self._reshaped(func, args, kwargs)
        if opname(func) in RESIZING:
            raise TypeRefused(
                f"{self.word}: {opname(func)} changes the shape of an array in its place, at {line_of(user_site())}; "
                f"write the form that returns a new one, {opname(func).rstrip('_')}")
        if any(r.alias_info is None for r in func._schema.returns):
            raise TypeRefused(
                f"{self.word}: aten::{opname(func)} writes to its arguments beside its result, at "
                f"{line_of(user_site())}; write it in operations that return new arrays")
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
                raise TypeRefused(
                    f"{self.word}: aten::{name} writes to its arguments and has no other form, at "
                    f"{line_of(user_site())}; write it in operations that return new arrays")
            inputs = args if name.endswith("_") else args[:len(plain._schema.arguments)]
            options = {k: v for k, v in kwargs.items() if k in {a.name for a in plain._schema.arguments}}
            made = under([self], plain, *inputs, **options)
            results = [array_of(x) for x in (made if isinstance(made, (tuple, list)) else (made,))]
        for target, result in zip(targets, results, strict=True):
            self.put(target, result, varies)
        return targets[0] if len(targets) == 1 else tuple(targets)

    def _reshaped(self, func: Any, args: Any, kwargs: Any) -> Any:
        """squeeze_, t_ and their like: the place becomes its own view."""
        place = args[0]
        names = [a.name for a in func._schema.arguments]
        view = under([torch.enable_grad()], self.viewed, functional_of(func, names, [True, *names[1:]]), args, kwargs)
        undispatched(func, *args, **kwargs)
        place._steps, place._known, place._constant = view._steps, view._known, view._constant
        return place

    def _drawn_in_place(self, func: Any, args: Any, kwargs: Any) -> dlarray:
        rule = rule_of(func, opname(func))
        target = args[0]
        own = kwargs.get("generator")
        if rule is not None and own is None:
            return rule(*mapped(array_of, args), **{k: array_of(v) for k, v in kwargs.items() if k != "generator"})
        if any(carries(array_of(x)) for x in leaves_of((args[1:], kwargs))):
            raise TypeRefused(
                f"{self.word}: a draw from an array that is differentiated carries no derivative, at "
                f"{line_of(user_site())}; give it detach(x)")
        made = torch.empty(target.shape, dtype=target.dtype, device=target.device)
        func(made, *mapped(raw_of, args[1:]), **{**mapped(raw_of, kwargs), "generator": own
                                                 or generator(target.device)})
        return _made(made, None, None)

    def put(self, target: Any, value: dlarray, varies: bool = False) -> None:
        """Write a value, cast and broadcast, to a place."""
        if not isinstance(target, Wrapped):
            if carries(value):
                raise TypeRefused(
                    f"{self.word} writes a value that is differentiated into a plain tensor, at "
                    f"{line_of(user_site())}, where its derivative would be lost; make the tensor inside the function, "
                    "or with torch.zeros_like of the array")
            target.copy_(value._value)
            return
        unseen = target._constant or not torch.is_grad_enabled()
        if unseen:
            value = detached(value)
        if value.dtype is not target.dtype:
            if value.dtype.is_complex and not target.dtype.is_complex:
                value = gl.real(value)
            value = gl.astype(value, target.dtype)
        if value.shape != tuple(target.shape):
            value = gl.broadcast_to(value, tuple(target.shape))
        target.write(value, varies, unseen)


def requires_gradients(args: Any, kwargs: Any) -> bool:
    """Whether torch would say so of a result."""
    return (torch.is_grad_enabled() and any(type(x) is Wrapped and x._cell.varies and not x._constant
                                            for x in leaves_of((args, kwargs))))


@remembered(None)
def rule_of(func: Any, name: str) -> Callable[..., Any] | None:
    """What answers an operation: the rule for its overload, for its name, or what torch's function of that name is
    here."""
    if func.namespace == "prims":
        rule = RULES.get(f"prims.{name}")
        if rule is not None or name in OTHER_IN_PRIMS:
            return rule
    rule = RULES.get(f"{name}.{func._overloadname}") or RULES.get(name)
    if rule is None and name not in DISCRETE and name not in MADE:
        rule = FUNCTIONS.get(_FAMILY.sub(r"\1.", name))
    return rule


_FAMILY = re.compile("^(linalg|fft|special)_")


def on_constants(func: Any, args: Any, kwargs: Any) -> Any:
    """Torch's own kernel on plain tensors."""
    args, kwargs = mapped(raw_in_order if opname(func) in BY_STRIDES else raw_of, (args, kwargs))
    result = func(*args, **kwargs)
    if finite.checking() and "empty" not in opname(func):  # memory that nobody has written may hold anything
        given = [x for x in leaves_of((args, kwargs)) if isinstance(x, (Tensor, float))]
        finite.check(opname(func), given, leaves_of(result))
    return mapped(as_array, result)
