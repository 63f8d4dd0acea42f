"""Torch modules as networks: `from_torch(module)` runs any torch.nn.Module on dlarrays, and differentiates it to any order."""
from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_map

from ..core.array import dlarray
from ..core.containers import register
from ..core.errors import TypeRefused, line_of, user_site
from ..networks.learnables import Key, Learnables, aligned_rows, html_table, value_described
from ..networks.network import dlnetwork
from ..operations.arithmetic import astype
from .aten import carries, dispatched, left
from .wrapped import Wrapped, wrapped

_made = dlarray._made
_set = object.__setattr__


class Module:
    """What of a torch module does not change from step to step: the module without its values, and where each value is."""

    __slots__ = ("idle", "keys", "learnable_keys", "module", "places", "stages", "state_keys", "training")

    def __init__(self, module: torch.nn.Module):
        self.training = module.training
        names = {id(x): (name, k) for k, (name, x) in reversed(list(enumerate([*module.named_parameters(), *module.named_buffers()])))}
        parameters = [x for x in module.parameters() if x.requires_grad]
        states = [x for x in module.parameters() if not x.requires_grad] + list(module.buffers())
        self.learnable_keys = tuple(_key(names[id(x)][0]) for x in parameters)
        self.state_keys = tuple(_key(names[id(x)][0]) for x in states)
        self.keys = (*self.learnable_keys, *self.state_keys)
        self.places = [id(x) for x in (*parameters, *states)]
        self.stages: tuple[Any, ...] = ()
        self.module = module
        self.idle: list[Copy] = []

    def values(self) -> list[dlarray]:
        """The module's own, copied."""
        found = {id(x): x for x in (*self.module.parameters(), *self.module.buffers())}
        return [_made(found[i].detach().clone(), None, None) for i in self.places]


class Copy:
    """A copy of a module whose parameters and buffers are places for dlarrays. One call uses it at a time."""

    __slots__ = ("fields", "module", "places")

    def __init__(self, structure: Module, values: Sequence[dlarray]):
        self.places = [wrapped(_made(x._value, None, None)) for x in values]
        for place, _ in zip(self.places, structure.learnable_keys, strict=False):
            place._is_param = True  # type: ignore[attr-defined]
        self.module = copy.deepcopy(structure.module, dict(zip(structure.places, self.places, strict=True)))
        self.fields = [(m.__dict__, dict(m.__dict__), dict(m._buffers)) for m in self.module.modules()]

    def fits(self, values: Sequence[dlarray]) -> bool:
        """Whether its places have the shapes, types and devices of these values."""
        return all(place.dtype is x._value.dtype and place.shape == x._value.shape and place.device == x._value.device
                   for place, x in zip(self.places, values, strict=True))

    def restore(self) -> None:
        """Forget what a call has left behind: values, and attributes that it set."""
        for place in self.places:
            place._cell.value = _EMPTY
        for now, before, buffers in self.fields:
            now.clear()
            now.update(before)
            before["_buffers"].clear()
            before["_buffers"].update(buffers)


_EMPTY = _made(torch.empty(0, device="cpu"), None, None)


def _key(name: str) -> Key:
    layer, _, parameter = name.rpartition(".")
    return layer, parameter


class TorchNetwork(dlnetwork):
    """A torch module as a network: what `from_torch` returns."""

    __slots__ = ()
    _structure: Any

    def __init__(self, module: torch.nn.Module):
        module = copy.deepcopy(module)
        structure = Module(module)
        _set(self, "_structure", structure)
        _set(self, "_values", structure.values())

    def __call__(self, *xs: Any, return_state: bool = False, **options: Any) -> Any:
        """What `predict` returns."""
        return self._called(xs, options, False, return_state)

    def predict(self, *xs: Any, return_state: bool = False, **options: Any) -> Any:
        """The module in evaluation; options are the module's own."""
        return self._called(xs, options, False, return_state)

    def forward(self, *xs: Any, return_state: bool = False, **options: Any) -> Any:
        """The module in training; options are the module's own. `y, state = net.forward(x, return_state=True)`."""
        return self._called(xs, options, True, return_state)

    def _called(self, xs: tuple[Any, ...], options: dict[str, Any], training: bool, return_state: bool) -> Any:
        structure, values = self._structure, self._values
        dtype = self._dtype()
        entered = {}

        def enter(x: Any) -> Any:
            if type(x) is dlarray or hasattr(x, "__array__") and not isinstance(x, Wrapped):
                if id(x) not in entered:
                    y = x if type(x) is dlarray else dlarray(x)
                    if dtype is not None and y.dtype.is_floating_point and not dtype.is_complex:
                        y = astype(y, dtype)
                    entered[id(x)] = x, wrapped(_made(y._value, y._node if carries(y) else None, None))
                return entered[id(x)][1]
            return x

        for x in (*xs, *options.values()):
            if hasattr(x, "batch_sizes"):
                dlarray(x)  # a packed sequence: refused with what to write instead
        xs, options = tree_map(enter, (xs, options))
        held: Copy | None
        try:
            held = structure.idle.pop()
        except IndexError:
            held = None
        if held is None or not held.fits(values):
            held = Copy(structure, values)
        try:
            for place, x in zip(held.places, values, strict=True):
                place._cell.value = _made(x._value, x._node if carries(x) else None, None)
            word = type(structure.module).__name__
            result, state = dispatched(word, self._run_module, held, training, return_state, xs, options)
        finally:
            held.restore()
        structure.idle.append(held)
        return (result, state) if return_state else result

    def _run_module(self, held: Copy, training: bool, return_state: bool, xs: Any, options: dict[str, Any]) -> Any:
        module = held.module
        if not training:
            module.eval()
        elif not self._structure.training:
            module.train()
        result = tree_map(left, module(*xs, **options))
        return result, self._state_of(held) if return_state else None

    def _state_of(self, held: Copy) -> Learnables:
        """Buffers as the call left them, replaced ones included."""
        structure = self._structure
        keys = structure.state_keys
        offset = len(structure.learnable_keys)
        modules = dict(held.module.named_modules())
        values = []
        for key, place in zip(keys, held.places[offset:], strict=True):
            owner = modules[key[0]]
            now = owner._buffers.get(key[1], place) if key[1] in owner._buffers else place
            values.append(left(place if now is None else now))
        return Learnables._made(keys, values)

    @property
    def layers(self) -> Any:
        """A torch module has none of this library's layers."""
        raise TypeRefused(f"this network is a torch module, at {line_of(user_site())}; its parameters are in net.learnables")

    def reset_state(self) -> Any:
        """The network with the buffers that the module came with."""
        structure = self._structure
        n = len(structure.learnable_keys)
        return type(self)._made(structure, [*self._values[:n], *structure.values()[n:]])

    def __reduce__(self) -> Any:
        raise TypeRefused("a network made from a torch module is not pickled; save net.learnables and net.state, and make it again with from_torch(module)")

    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)._made(self._structure, [copy.deepcopy(x, memo) for x in self._values])

    def _rows(self) -> list[Any]:
        return [(layer, parameter, value_described(x)) for (layer, parameter), x in zip(self._structure.keys, self._values, strict=True)]

    def _heading(self) -> str:
        count = sum(x.size for x in self._values[:len(self._structure.learnable_keys)])
        return f"torch module {type(self._structure.module).__name__}, {count:,} learnables"

    def __repr__(self) -> str:
        return f"{self._heading()}\n{aligned_rows([('Layer', 'Parameter', 'Value'), *self._rows()])}"

    def _repr_html_(self) -> str:
        return f"<p>{self._heading()}</p>" + html_table([("Layer", "Parameter", "Value"), *self._rows()])


register(TorchNetwork, lambda net: (net._values, net._structure), TorchNetwork._made, lambda net: net._structure.keys)


def from_torch(module: torch.nn.Module, /) -> TorchNetwork:
    """A torch module as a network: a value with learnables and state that runs on dlarrays and is differentiated to any order.

    The module is copied and never changed. `net(x)`, `net.predict(x)` run it in evaluation, `net.forward(x)` in training;
    `return_state=True` adds the buffers as they are afterwards. `net.learnables` holds the parameters that require gradients, keyed
    (module, parameter) by torch's names; `net.state` holds the others and the buffers. Where the module was given in training,
    `forward` leaves its parts in the modes that they had. Results carry no labels; axes are the module's own.

    Raises TypeRefused for what is no module, and for torch operations that have no derivative here.

    >>> import gradloom as gl
    >>> import torch
    >>> from gradloom.interop.torch import from_torch
    >>> net = from_torch(torch.nn.Linear(3, 2))
    >>> net(gl.zeros((4, 3))).shape
    (4, 2)
    >>> list(net.learnables)
    [('', 'weight'), ('', 'bias')]

    Source: PyTorch, torch.nn.Module.
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeRefused(f"from_torch takes a torch.nn.Module, not {type(module).__name__}, at {line_of(user_site())}; "
                          "torch functions take dlarrays as they are")
    return TorchNetwork(module)


__all__ = ["from_torch"]
