"""Torch modules as networks: `from_torch(module)` runs any torch.nn.Module on dlarrays, and differentiates it to any
order."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch.utils._pytree import tree_map

from ...core.array import dlarray
from ...core.errors import ShapeError, TraceError, TypeRefused, UnknownName, line_of, user_site
from ...core.labels import described
from ...derivatives.words.evaluate import dlfeval
from ...machine.random import random_state, restore_random_state
from ...networks.network import dlnetwork, network_of
from ...networks.parameters import Key, common_type
from ...networks.settings import Settings
from ...networks.summary import value_described
from ...operations.elementwise.arithmetic import astype
from ...vocabulary.misspelled import nearest
from .aten.recording import dispatched
from .aten.values import carries, left
from .aten.wrapped import Cell, Wrapped, wrapped
from .autograd import NeedsTrace
from .copies import Contents, copied, shared_code
from .flow import flow_of

_made = dlarray._made
_HOOKS = [getattr(torch.nn.modules.module, name) for name in (
    "_global_forward_pre_hooks", "_global_forward_hooks", "_global_backward_pre_hooks", "_global_backward_hooks")]


class TorchBody:
    """A torch module as the body of a network: the module without its values, and where each value is."""

    __slots__ = ("differentiates", "followed", "idle", "learnable_keys", "module", "places", "state_keys", "training")
    columns = ("Layer", "Parameter", "Value")
    separator = "."
    takes_masks = False  # a module takes what its own forward does
    output_names: tuple[str, ...] = ()  # the module's own affair

    def __init__(self, module: torch.nn.Module):
        self.training = module.training
        names = {id(x): (name, k)
                 for k, (name, x) in reversed(list(enumerate([*module.named_parameters(), *module.named_buffers()])))}
        parameters = [x for x in module.parameters() if x.requires_grad]
        states = [x for x in module.parameters() if not x.requires_grad] + list(module.buffers())
        self.learnable_keys = tuple(_key(names[id(x)][0]) for x in parameters)
        self.state_keys = tuple(_key(names[id(x)][0]) for x in states)
        self.places = [id(x) for x in (*parameters, *states)]
        self.module = module
        self.idle: list[Copy] = []
        # it takes derivatives itself, and is recorded even where the caller records nothing
        self.differentiates = False
        self.followed: list[Any] | None = None  # by recordings

    def values(self) -> list[dlarray]:
        """The module's own, copied."""
        found = {id(x): x for x in (*self.module.parameters(), *self.module.buffers())}
        return [_made(found[i].detach().clone(), None, None) for i in self.places]

    @property
    def input_names(self) -> tuple[str, ...]:
        """The arguments of the module's forward."""
        return tuple(inspect.signature(self.module.forward).parameters)

    def replayed(self) -> None:
        """Calls of a module stay plain: what it reads and changes is its own."""

    def runs(self) -> list[Any]:
        """The code of the user's that it runs, and the modules and classes that its parts refer to. The rest is a copy
        that nobody else reaches, and what a call changes in it is put back."""
        if self.followed is None:
            self.followed = list({id(x): x for x in shared_code(self.module)}.values())
        return self.followed

    def reads(self) -> list[tuple[str, Callable[[], Any]]]:
        """The hooks that torch runs around every module."""
        return [("a hook of torch's for all modules", lambda: [list(hooks.values()) for hooks in _HOOKS])]

    def run(self, values: list[Any], xs: tuple[Any, ...], training: bool, wanted: str | Sequence[str] | None,
            stateful: bool, options: dict[str, Any]) -> tuple[Any, list[Any] | None]:
        """The module in evaluation or in training; options are the module's own.

        `wanted` names modules inside ("encoder.0", or "lstm/0" where one has several outputs).
        """
        dtype = common_type(values[:len(self.learnable_keys)])
        places: dict[int, int] = {}
        given: list[dlarray] = []
        kept: list[Any] = []  # so that no two have one id

        def enter(x: Any) -> Any:
            """An array among the arguments, as its place among `given`."""
            if type(x) is dlarray or hasattr(x, "__array__") and not isinstance(x, Wrapped):
                if id(x) not in places:
                    y = x if type(x) is dlarray else dlarray(x)
                    if dtype is not None and y.dtype.is_floating_point and not dtype.is_complex:
                        y = astype(y, dtype)
                    places[id(x)] = len(given)
                    given.append(y)
                    kept.append(x)
                return _Place(places[id(x)])
            return x

        for x in (*xs, *options.values()):
            if hasattr(x, "batch_sizes"):
                dlarray(x)  # a packed sequence: refused with what to write instead
        simple = not options and all([type(x) is dlarray for x in xs])  # torch's trees take their time
        arguments = ([enter(x) for x in xs], options) if simple else tree_map(enter, (xs, options))
        varies = [carries(x) for x in given]

        def run(values: Sequence[dlarray], given: Sequence[dlarray]) -> Any:
            return self._ran(values, given, varies, arguments, training, wanted, stateful)

        def recorded() -> Any:
            try:
                return dlfeval(run, values, given)
            except NeedsTrace:
                raise TraceError(
                    f"{type(self.module).__name__} takes a derivative with respect to a value that was made outside "
                    f"the call, at {line_of(user_site())}; pass it as an argument, or make it in forward") from None

        try:
            return self._tried(run, recorded, varies, values, given)
        except ShapeError as error:
            if not any([x._labels for x in given]):
                raise
            shown = " and ".join([described(x.shape, x._labels) for x in given])
            raise ShapeError(
                f"{error}; {type(self.module).__name__} was given {shown}, at {line_of(user_site())}, and reads axes "
                "as they stand, whatever their labels; bring them to the module's order, as in stripdims(x, \"BC\"), "
                "and label what comes back: dlarray(y, \"BC\")") from error

    def _tried(self, run: Callable[..., Any], recorded: Callable[[], Any], varies: Sequence[bool], values: Any,
               given: Any) -> Any:
        """A plain call; one that is recorded where the module takes derivatives itself."""
        if self.differentiates:
            return recorded()
        state = None if any(varies) else random_state()
        try:
            return run(values, given)
        except NeedsTrace:
            if state is not None:
                restore_random_state(state)
            self.differentiates = True
            return recorded()

    def _ran(self, values: Sequence[dlarray], given: Sequence[dlarray], varies: Sequence[bool], arguments: Any,
             training: bool, wanted: Any, stateful: bool) -> tuple[Any, list[Any] | None]:
        """One call, on a copy of the module that nobody else uses meanwhile."""
        held: Copy | None
        try:
            held = self.idle.pop()
        except IndexError:
            held = None
        if held is None or not held.fits(values):
            held = Copy(self, values)
        trace = next((x._node.trace for x in (*given, *values) if carries(x)), None)  # type: ignore[union-attr]

        def answered() -> Any:
            held.fill(values, len(self.learnable_keys))
            inputs = [wrapped(_made(x._value, x._node if carries(x) else None, None), varying,
                              x._node is None or not x._node.parents)
                      for x, varying in zip(given, varies, strict=True)]
            xs, options = arguments
            if not options and all([type(x) is _Place for x in xs]):
                xs = [inputs[x.index] for x in xs]
            else:
                xs, options = tree_map(lambda x: inputs[x.index] if type(x) is _Place else x, arguments)
            result = held.ran(xs, options, training, self.training, wanted)
            return result, self._state_of(held) if stateful else None

        try:
            result, state = dispatched(type(self.module).__name__, trace, answered)
        finally:
            try:
                held.restore()
            except BaseException:  # an interrupt in there, and what it cut short is done again
                held.restore()
                raise
        if held.contents.whole:
            self.idle.append(held)
        return result, state

    def _state_of(self, held: Copy) -> list[Any]:
        """Buffers as the call left them, replaced ones included."""
        modules = dict(held.module.named_modules())
        values = []
        for key, place in zip(self.state_keys, held.places[len(self.learnable_keys):], strict=True):
            owner = modules[key[0]]
            now = owner._buffers.get(key[1], place) if key[1] in owner._buffers else place
            values.append(left(place if now is None else now))
        return values

    def reset(self, values: list[Any]) -> list[Any]:
        """The buffers that the module came with."""
        n = len(self.learnable_keys)
        return [*values[:n], *self.values()[n:]]

    def layers(self, values: list[Any], settings: Settings) -> NoReturn:
        """A torch module has none of this library's layers."""
        raise TypeRefused(
            f"this network is a torch module, at {line_of(user_site())}; its parameters are in net.learnables")

    def kind_of(self, layer: str) -> str:
        """The class of a module inside."""
        return type(self.module.get_submodule(layer)).__name__

    def sizes(self, xs: Sequence[Any]) -> dict[str, str]:
        """What each module inside returns, in a run of a copy of the module on torch's own tensors, in evaluation."""
        found: dict[str, str] = {}
        module = copied(self.module, {}).eval()
        dtype = next((x.dtype for x in module.parameters()), torch.float32)
        tensors = [x._value if type(x) is dlarray else torch.as_tensor(x, device="cpu") for x in xs]
        for name, part in module.named_modules():
            part.register_forward_hook(lambda _, __, y, name=name: found.__setitem__(
                name, " x ".join(map(str, y.shape)) if isinstance(y, torch.Tensor) else ""))
        with torch.no_grad():
            module(*[x.to(dtype) if x.is_floating_point() else x for x in tensors])
        return found

    def picture(self, values: list[Any]) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
        """What `plot` draws: (name, kind, size) of modules and functions, and who reads whom, as torch.fx sees it."""
        return flow_of(self.module)

    def heading(self, values: list[Any]) -> str:
        """The module's class and how many numbers are trained."""
        count = sum(x.size for x in values[:len(self.learnable_keys)])
        return f"torch module {type(self.module).__name__}, {count:,} learnables"

    def rows(self, values: list[Any]) -> list[tuple[str, ...]]:
        """Each parameter and buffer."""
        keys = (*self.learnable_keys, *self.state_keys)
        return [(*key, value_described(x)) for key, x in zip(keys, values, strict=True)]

    def __reduce__(self) -> NoReturn:
        raise TypeRefused(
            "a network made from a torch module is not pickled; save net.learnables and net.state, and make it again "
            "with from_torch(module)")

    def __deepcopy__(self, memo: Any) -> TorchBody:
        return self  # it never changes


class Copy:
    """A copy of a module whose parameters and buffers are places for dlarrays. One call uses it at a time."""

    __slots__ = ("contents", "modes", "module", "places")

    def __init__(self, body: TorchBody, values: Sequence[dlarray]):
        self.places = [wrapped(_made(x._value, None, None)) for x in values]
        for place, _ in zip(self.places, body.learnable_keys, strict=False):
            place._is_param = True  # type: ignore[attr-defined]
        self.module = copied(body.module, dict(zip(body.places, self.places, strict=True)))
        self.modes = [(m, m.training) for m in self.module.modules()]
        self.module.eval()
        self.contents = Contents(self.module, body.module)

    def fits(self, values: Sequence[dlarray]) -> bool:
        """Whether its places have the shapes, types and devices of these values."""
        return all(place.dtype is x._value.dtype and place.shape == x._value.shape and place.device == x._value.device
                   for place, x in zip(self.places, values, strict=True))

    def fill(self, values: Sequence[dlarray], learnables: int) -> None:
        """Put values into the places; the learnables require gradients, as torch says of them."""
        for k, (place, x) in enumerate(zip(self.places, values, strict=True)):
            place._cell = Cell(_made(x._value, x._node if carries(x) else None, None), k < learnables, True)
            place._steps, place._known, place._constant = (), None, False

    def ran(self, xs: Any, options: dict[str, Any], training: bool, as_given: bool, outputs: Any) -> Any:
        """What the module returns, or its parts that `outputs` names; `as_given`: parts that were in evaluation stay so
        in training."""
        if training and as_given:
            for m, mode in self.modes:
                m.training = mode
        elif training:
            self.module.train()
        seen: Any = None if outputs is None else Watched(self.module, outputs)
        result = self.module(*xs, **options)
        if outputs is not None:
            return seen.chosen()
        return left(result) if type(result) is Wrapped else tree_map(left, result)

    def restore(self) -> None:
        """Forget what a call has left behind."""
        for place in self.places:
            place._cell = _EMPTY
            place._steps, place._known = (), None
        self.contents.restore()


_EMPTY = Cell(_made(torch.empty(0, device="cpu"), None, None))


def _key(name: str) -> Key:
    layer, _, parameter = name.rpartition(".")
    return layer, parameter


class _Place:
    """An array among the arguments of a call, by its place among those that were given."""

    __slots__ = ("index",)

    def __init__(self, index: int):
        self.index = index


class Watched:
    """What modules inside return, by the names that `outputs=` asks for."""

    def __init__(self, module: torch.nn.Module, outputs: str | Sequence[str] | None):
        self.single = isinstance(outputs, str)
        self.names = [] if outputs is None else [outputs] if isinstance(outputs, str) else list(outputs)
        self.seen: dict[str, list[Any]] = {}
        modules = dict(module.named_modules(remove_duplicate=False)) if self.names else {}
        for name in self.names:
            layer = name.partition("/")[0]
            if not layer or layer not in modules:
                known = [n for n in modules if n]
                raise UnknownName(
                    f"outputs={name!r}: the module has no part {layer!r}{nearest(layer, known)}, at "
                    f"{line_of(user_site())}; it has {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}")
            if layer not in self.seen:
                self.seen[layer] = []
                modules[layer].register_forward_hook(self._hook(self.seen[layer]))

    @staticmethod
    def _hook(seen: list[Any]) -> Any:
        return lambda module, inputs, output: seen.append(tree_map(left, output))

    def chosen(self) -> Any:
        """One result, or a tuple."""
        found = tuple(self._one(name) for name in self.names)
        return found[0] if self.single else found

    def _one(self, name: str) -> Any:
        layer, _, which = name.partition("/")
        seen = self.seen[layer]
        if len(seen) != 1:
            raise TypeRefused(
                f"outputs={name!r}: this part ran {len(seen)} times in the call, at {line_of(user_site())}; give the "
                "uses parts of their own, or return the value from the module")
        result = seen[0]
        if not which:
            return result
        try:
            return (result[int(which)] if which.isdecimal() else result[which] if isinstance(result, dict)
                    else getattr(result, which))
        except (IndexError, KeyError, AttributeError, TypeError):
            raise UnknownName(f"outputs={name!r}: the part {layer!r} has no output {which!r}, at "
                              f"{line_of(user_site())}") from None


def from_torch(module: torch.nn.Module, /) -> dlnetwork:
    """A torch module as a network: a value with learnables and state that runs on dlarrays and is differentiated to any
    order.

    The module is copied and never changed. `net(x)`, `net.predict(x)` run it in evaluation, `net.forward(x)` in
    training; `return_state=True` adds the buffers as they are afterwards. `net.learnables` holds the parameters that
    require gradients, keyed (module, parameter) by torch's names; `net.state` holds the others and the buffers. Where
    the module was given in training, `forward` leaves its parts in the modes that they had. Results carry no labels;
    axes are the module's own.

    Raises TypeRefused for what is no module, and for torch operations that have no derivative here.

    >>> import gradloom as gl
    >>> import torch
    >>> from gradloom.interop.torch.modules import from_torch
    >>> net = from_torch(torch.nn.Linear(3, 2))
    >>> net(gl.zeros((4, 3))).shape
    (4, 2)
    >>> list(net.learnables)
    [('', 'weight'), ('', 'bias')]

    Source: PyTorch, torch.nn.Module.
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeRefused(
            f"from_torch takes a torch.nn.Module, not {type(module).__name__}, at {line_of(user_site())}; torch "
            "functions take dlarrays as they are")
    for name, x in (*module.named_parameters(), *module.named_buffers()):
        if torch.nn.parameter.is_lazy(x):
            raise TypeRefused(
                f"the shape of {name} is not known yet, at {line_of(user_site())}; run the module on an example "
                "first: module(x), then from_torch(module)")
    body = TorchBody(copied(module, {}))
    return network_of(body, body.values())


__all__ = ["from_torch"]
