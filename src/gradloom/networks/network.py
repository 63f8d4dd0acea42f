"""The network: layers in a sequence and the values of their parameters, as one value that never changes."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.containers import register
from ..core.errors import TypeRefused, line_of, user_site
from ..core.labels import described
from ..core.trace import live
from ..machine.dtypes import COMPLEX_OF, NAMES, REAL_OF, differentiable, dtype_named, promoted
from ..operations.elementwise.arithmetic import astype
from ..vocabulary.misspelled import nearest
from .construction import construct
from .layer import Layer, Layout, written
from .learnables import Learnables, aligned_rows, checked_shape, html_table, placed
from .structure import Structure, one_output

_new = object.__new__
_set = object.__setattr__
_made = dlarray._made


class dlnetwork:
    """A sequence of layers with parameters that can be traced, differentiated and replaced.

    `dlnetwork(layers)` initialises what is unset, in float32 unless `dtype` says otherwise; layers that do not begin
    with an input layer are initialised for example arrays: `dlnetwork(layers, dlarray(x, "CB"))`. Layers without a name
    get MATLAB's.

    A network is a value. `net(x)` is `net.predict(x)`; `net.forward(x)` is the same in training. `net.learnables` and
    `net.state` are read-only Mappings {(layer, parameter): array}; `net.replace(state=..., learnables=...)` is a new
    network. Inputs are cast to the type of the learnables, and the cast is recorded.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2), gl.layers.Softmax()])
    >>> net(gl.zeros((3, 1), "CB"))
    2(C) x 1(B) dlarray float32
    [[0.5]
     [0.5]]
    >>> list(net.learnables)
    [('fc', 'weights'), ('fc', 'bias')]

    Source: MATLAB Deep Learning Toolbox, dlnetwork.
    """

    __slots__ = ("__weakref__", "_structure", "_values")
    _structure: Structure
    _values: list[Any]

    def __init__(self, layers: Layer | Sequence[Layer], /, *examples: Any, dtype: Any = "float32"):
        structure, values = construct(layers, examples, dtype)
        _set(self, "_structure", structure)
        _set(self, "_values", values)

    @classmethod
    def _made(cls, structure: Structure, values: list[Any]) -> Any:
        """The network with other values, without checks: for this library alone."""
        made = _new(cls)
        _set(made, "_structure", structure)
        _set(made, "_values", values)
        return made

    # ----- running -----

    def __call__(self, *xs: Any, outputs: str | Sequence[str] | None = None, return_state: bool = False) -> Any:
        """What `predict` returns."""
        return self._run(xs, False, outputs, return_state)

    def predict(self, *xs: Any, outputs: str | Sequence[str] | None = None, return_state: bool = False) -> Any:
        """The network in use: nothing is dropped, normalization uses trained statistics.

        `outputs` names layers ("relu1", or "layer/output"): one name gives one array, a list a tuple.
        `return_state=True` gives the pair (outputs, state), state a Mapping for `net.replace(state=state)`.
        """
        return self._run(xs, False, outputs, return_state)

    def forward(self, *xs: Any, outputs: str | Sequence[str] | None = None, return_state: bool = False) -> Any:
        """The network in training: dropout drops, normalization uses the batch's statistics and moves the trained ones.

        Options as in `predict`. The moved statistics are in the state: `y, state = net.forward(x, return_state=True)`.
        """
        return self._run(xs, True, outputs, return_state)

    def _run(self, xs: tuple[Any, ...], training: bool, outputs: Any, return_state: bool) -> Any:
        structure, values = self._structure, self._values
        dtype = self._dtype()
        xs = tuple([_input(x, dtype) for x in xs])
        wanted: Any = None
        last = len(structure.stages)
        if outputs is not None:
            outputs = outputs if isinstance(outputs, str) else tuple(outputs)
            wanted = structure.chosen(outputs)
            if not return_state:
                last = max([k for k, _ in wanted], default=-1) + 1
        states = values[len(structure.learnable_keys):] if return_state else None
        offset = len(structure.learnable_keys)
        ys: list[Any] = []
        for stage in structure.stages[:last]:
            y, layer = stage.run(values, xs, training)
            if states is not None:
                for field, k in stage.states:
                    value = layer.__dict__[field]
                    states[k - offset] = value if type(value) is dlarray else dlarray(value)
            if wanted is not None:
                ys.append(y)
            xs = y if type(y) is tuple else (y,)
            xs = tuple([_made(x._value, x._node, x._labels) for x in xs])
        if wanted is None:
            result: Any = xs[0] if len(xs) == 1 else xs
        else:
            chosen = tuple([one_output(ys[k], structure.stages[k], which) for k, which in wanted])
            result = chosen[0] if isinstance(outputs, str) else chosen
        return (result, Learnables._made(structure.state_keys, states)) if states is not None else result

    def _dtype(self) -> torch.dtype | None:
        """The type of the learnables, None where there are none."""
        values = self._values
        n = len(self._structure.learnable_keys)
        if not n:
            return None
        first = values[0]._value.dtype
        for k in range(1, n):
            if values[k]._value.dtype is not first:
                return promoted(*[v._value.dtype for v in values[:n]])
        return first

    # ----- what it is -----

    @property
    def learnables(self) -> Learnables:
        """What training changes: {(layer, parameter): array}, in layer order."""
        keys = self._structure.learnable_keys
        return Learnables._made(keys, self._values[:len(keys)])

    @property
    def state(self) -> Learnables:
        """What is carried from call to call: {(layer, parameter): array}, in layer order."""
        structure = self._structure
        return Learnables._made(structure.state_keys, self._values[len(structure.learnable_keys):])

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, with their names and their parameters."""
        return tuple(stage.complete(self._values) for stage in self._structure.stages)

    # ----- other networks -----

    def replace(self, *, state: Any = None, learnables: Any = None) -> dlnetwork:
        """The network with other parameters: any Mapping with the same keys, or with some of them.

        Raises an error that names the first key that the network does not have, or whose shape differs.

        >>> import gradloom as gl
        >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(1)])
        >>> net = net.replace(learnables={("fc", "bias"): gl.ones(1, dtype="float32")})
        >>> net(gl.zeros((3,), "C"))
        1(C) dlarray float32
        [1.]
        """
        structure = self._structure
        values = self._values.copy()
        for given, keys, start, word in ((learnables, structure.learnable_keys, 0, "learnables"),
                                         (state, structure.state_keys, len(structure.learnable_keys), "state")):
            if given is None:
                continue
            for k, value in placed(given, keys, word):
                value = value if type(value) is dlarray else dlarray(value)
                old = values[start + k]
                if word == "learnables":
                    checked_shape(value, old, keys[k], word)
                    if not differentiable(value._value.dtype):
                        raise TypeRefused(f"learnables are floating numbers, {keys[k]!r} is {NAMES[value.dtype]}, "
                                          f"at {line_of(user_site())}; write dlarray(x, dtype=\"float32\")")
                labels = value._labels or (old._labels if value.ndim == old.ndim else None)
                values[start + k] = _made(value._value, value._node, labels)
        return type(self)._made(structure, values)

    def to(self, *, device: Any = None, dtype: Any = None) -> dlnetwork:
        """The network on another device, or with parameters of another type ("float64", "bfloat16"; complex ones stay complex)."""
        wanted = None if dtype is None else dtype_named(dtype)
        if wanted is not None and not wanted.is_floating_point:
            raise TypeRefused(
                f"the parameters of a network are floating numbers, not {NAMES[wanted]}; write dtype=\"float32\"")
        values = []
        for x in self._values:
            if wanted is not None and differentiable(x._value.dtype):
                x = astype(x, COMPLEX_OF[wanted] if x._value.dtype.is_complex else wanted)
            if device is not None and x._value.device != torch.device(device):
                x = x.to(device=device) if live(x._node) is not None else _made(x._value.to(device), None, x._labels)
            values.append(x)
        return type(self)._made(self._structure, values)

    def reset_state(self) -> dlnetwork:
        """The network with the states that its layers start from (each layer's own `reset_state`)."""
        values = self._values.copy()
        for stage in self._structure.stages:
            layer = stage.bound(values)
            layer.reset_state()
            for field, k in stage.states:
                value = layer.__dict__[field]
                values[k] = value if type(value) is dlarray else dlarray(value)
        return type(self)._made(self._structure, values)

    # ----- a value -----

    def __setattr__(self, name: str, value: Any) -> None:
        words = {"state": "state", "learnables": "learnables", "State": "state", "Learnables": "learnables"}
        if name in words:
            raise TypeRefused(f"a network is a value, and net.{name} cannot be assigned, at {line_of(user_site())}; "
                              f"write net = net.replace({words[name]}={words[name]})")
        raise TypeRefused(
            f"a network is a value, and net.{name} cannot be assigned{nearest(name, words)}, at {line_of(user_site())}; "
                          "write net = net.replace(state=state, learnables=learnables)")

    def __delattr__(self, name: str) -> None:
        raise TypeRefused(f"a network is a value, and net.{name} cannot be deleted, at {line_of(user_site())}; "
                          "make a new one with dlnetwork(layers)")

    def __reduce__(self) -> Any:
        return type(self)._made, (self._structure, self._values)

    # ----- printing -----

    def _rows(self) -> list[tuple[str, str, str, str]]:
        counts: dict[str, int] = {}
        for (layer, _), x in zip(self._structure.learnable_keys, self._values, strict=False):
            counts[layer] = counts.get(layer, 0) + (x.size if type(x) is dlarray else 0)
        rows = []
        for stage in self._structure.stages:
            count = f"{counts[stage.name]:,}" if stage.name in counts else ""
            rows.append((stage.name, written(stage.layer, named=False), _sizes(stage.layouts), count))
        return rows

    def _heading(self) -> str:
        n = len(self._structure.learnable_keys)
        arrays = [x for x in self._values[:n] if type(x) is dlarray]
        count = sum(x.size for x in arrays)
        kinds = ", ".join(dict.fromkeys(NAMES[x._value.dtype] for x in arrays))
        where = ", ".join(dict.fromkeys(str(x._value.device) for x in arrays if x._value.device.type != "cpu"))
        traced = "traced" if any(live(x._node) is not None for x in arrays) else ""
        layers = len(self._structure.stages)
        return " ".join(w for w in (f"dlnetwork of {layers} layer{'s' * (layers != 1)}, {count:,} learnables",
                                    kinds, where, traced) if w)

    def __repr__(self) -> str:
        return f"{self._heading()}\n{aligned_rows([('Layer', 'Kind', 'Output', 'Learnables'), *self._rows()])}"

    def _repr_html_(self) -> str:
        return f"<p>{self._heading()}</p>" + html_table([("Layer", "Kind", "Output", "Learnables"), *self._rows()])


def _sizes(layouts: Sequence[Layout] | None) -> str:
    return "" if layouts is None else ", ".join(described(layout.shape, layout.labels) for layout in layouts)


def _input(x: Any, dtype: torch.dtype | None) -> dlarray:
    """An input as a fresh handle in the type of the learnables; real stays real and complex complex."""
    if type(x) is not dlarray:
        x = dlarray(x)
    its = x._value.dtype
    if dtype is None or its is dtype:
        return _made(x._value, x._node, x._labels)
    if its.is_complex != dtype.is_complex:
        dtype = COMPLEX_OF[dtype] if its.is_complex else REAL_OF[dtype]
    return astype(x, dtype)


register(dlnetwork, lambda net: (net._values, net._structure), dlnetwork._made, lambda net: net._structure.keys)

__all__ = ["dlnetwork"]
