"""The network: a body and the values of its parameters, as one value that never changes."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Never, final

from ..core.array import dlarray
from ..core.containers import register
from ..core.errors import TypeRefused, line_of, user_site
from ..core.options import dtype_asked
from ..core.trace import live
from ..machine.dtypes import COMPLEX_OF, NAMES, differentiable
from ..machine.questions import thread
from ..operations.elementwise.arithmetic import astype
from ..operations.methods import by_keyword
from ..storage.files import save
from ..vocabulary.hints import NetworkWords
from ..vocabulary.misspelled import nearest
from . import editing
from .body import Body, filled, refilled
from .building import construct
from .edited import Edited
from .layer import Layer
from .parameters import Key, Learnables, checked_shape, learnables_of, placed
from .settings import Setting, Settings, matching
from .summary import aligned_rows, html_table

_set = object.__setattr__
_made = dlarray._made


@final
class dlnetwork(NetworkWords, Edited):
    """A network: a body (a graph of layers, a torch module) with parameters that can be traced, differentiated and
    replaced.

    `dlnetwork(layers)` is a chain. `dlnetwork([chain, chain], connections=[("relu1", "add/in2")])` is a graph: the
    layers of each chain read one another in turn, a connection leads from a layer ("layer/output" where it has several)
    to an input of another. A list of layers with connections is one chain and what they add; a network in a list is a
    layer. `outputs` names what the network returns, otherwise what nothing reads. Its inputs stand in the order of the
    layers.

    What is unset is initialised, in float32 unless `dtype` says otherwise; inputs without an input layer are described
    by example arrays or layouts: `dlnetwork(layers, dlarray(x, "CB"))`. With `initialize=False` that is left to
    `net.initialize()`. Layers without a name get MATLAB's. All that is wrong with a graph is one GradloomError.

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

    __slots__ = ()

    def __init__(self, layers: Any = (), /, *examples: Any, connections: Iterable[tuple[str, str]] | None = None,
                 outputs: Sequence[str] | str | None = None, dtype: Any = "float32", initialize: bool = True):
        body, values, settings = construct(layers, examples, dtype, connections, outputs, initialize)
        _set(self, "_body", body)
        _set(self, "_values", values)
        _set(self, "_settings", settings)

    # ----- running -----

    def __call__(self, *xs: Any, outputs: str | Sequence[str] | None = None, return_state: bool = False,
                 **options: Any) -> Any:
        """What `predict` returns."""
        return self.predict(*xs, outputs=outputs, return_state=return_state, **options)

    def predict(self, *xs: Any, outputs: str | Sequence[str] | None = None, return_state: bool = False,
                **options: Any) -> Any:
        """The network in use: nothing is dropped, normalization uses trained statistics.

        `outputs` names layers ("relu1", or "layer/output"): one name gives one array, a list a tuple.
        `return_state=True` gives the pair (outputs, state), state a Mapping for `net.replace(state=state)`. `mask` says
        which steps of a padded sequence are there (axes B and T; of several inputs one for each, or None): padding has
        no part in the outputs. Other options go to a torch module's own forward.

        Calls on untraced arrays are replayed where they can be, as those of an accelerated function; where not, the log
        says why.
        """
        if not options and not return_state and _untraced(self._values, xs):
            fast = self._body.replayed()
            if fast is not None:
                return fast(self, *xs) if outputs is None else fast(self, *xs, outputs=outputs)
        return self._run(xs, False, outputs, return_state, options)

    def forward(self, *xs: Any, outputs: str | Sequence[str] | None = None, return_state: bool = False,
                **options: Any) -> Any:
        """The network in training: dropout drops, normalization uses the batch's statistics and moves the trained ones.

        Options as in `predict`. The moved statistics are in the state: `y, state = net.forward(x, return_state=True)`.
        """
        return self._run(xs, True, outputs, return_state, options)

    def _run(self, xs: tuple[Any, ...], training: bool, outputs: Any, return_state: bool,
             options: dict[str, Any]) -> Any:
        body = self._body
        y, state = body.run(self._values, xs, training, outputs, return_state, options)
        return (y, learnables_of(body.state_keys, state)) if state is not None else y

    # ----- what it is -----

    @property
    def learnables(self) -> Learnables:
        """What training changes: {(layer, parameter): array}, in layer order."""
        keys = self._body.learnable_keys
        return learnables_of(keys, self._values[:len(keys)])

    @property
    def state(self) -> Learnables:
        """What is carried from call to call: {(layer, parameter): array}, in layer order."""
        body = self._body
        return learnables_of(body.state_keys, self._values[len(body.learnable_keys):])

    @property
    def trainable(self) -> Learnables:
        """The learnables without those that are frozen: what an update changes, and a gradient is needed of."""
        body, (keys, places) = self._body, self._settings.trainable
        count = len(body.learnable_keys)
        if places is None:
            return learnables_of(body.learnable_keys, self._values[:count])
        return learnables_of(keys, [self._values[k] for k in places])

    @property
    def settings(self) -> Settings:
        """How training treats each learnable: {(layer, parameter): Setting}, with learn_rate_factor, l2_factor and
        frozen; `net.replace(settings=...)` changes some."""
        return self._settings

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, with their names and their parameters."""
        return self._body.layers(self._values, self._settings)

    def __getitem__(self, name: str) -> Layer:
        """A layer with its parameters, by its name; "block/conv1" is one of a network in the layer "block"."""
        return editing.layer_of(self, name)

    @property
    def connections(self) -> tuple[tuple[str, str], ...]:
        """Who reads what, by name: ("relu1", "add/in2")."""
        return editing.graph_of(self, "connections").graph.connections

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the arrays that it runs on are called, in order: input layers, and inputs that nothing leads to."""
        return self._body.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the arrays that it returns are called, in order."""
        return self._body.output_names

    @property
    def initialized(self) -> bool:
        """Whether everything that it needs to run is set."""
        return not getattr(self._body, "unset", ())

    # ----- other networks -----

    def replace(self, *, state: Any = None, learnables: Any = None,
                settings: Mapping[Key, Setting] | None = None) -> dlnetwork:
        """The network with other parameters or settings: any Mapping with the same keys, or with some of them.

        Raises an error that names the first key that the network does not have, or whose shape differs.

        >>> import gradloom as gl
        >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(1)])
        >>> net = net.replace(learnables={("fc", "bias"): gl.ones(1, dtype="float32")})
        >>> net(gl.zeros((3,), "C"))
        1(C) dlarray float32
        [1.]
        """
        body = self._body
        values = self._values.copy()
        for given, keys, start, word in ((learnables, body.learnable_keys, 0, "learnables"),
                                         (state, body.state_keys, len(body.learnable_keys), "state")):
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
        return filled(dlnetwork, body, values, self._settings if settings is None else self._settings.updated(settings))

    def to(self, *given: Never, device: Any = None, dtype: Any = None) -> dlnetwork:
        """The network on another device, or with parameters of another type ("float64", "bfloat16"; complex ones stay
        complex)."""
        where = by_keyword(given, device, "net.to")
        wanted = None if dtype is None else dtype_asked(dtype)
        if wanted is not None and not wanted.is_floating_point:
            raise TypeRefused(
                f"the parameters of a network are floating numbers, not {NAMES[wanted]}; write dtype=\"float32\"")
        values = []
        for x in self._values:
            if wanted is not None and differentiable(x._value.dtype):
                x = astype(x, COMPLEX_OF[wanted] if x._value.dtype.is_complex else wanted)
            if where is not None and x._value.device != where:
                x = x.to(device=where) if live(x._node) is not None else _made(x._value.to(where), None, x._labels)
            values.append(x)
        return refilled(self, values)

    def reset_state(self) -> dlnetwork:
        """The network with the states that its layers start from, before another sequence: each layer's own
        `reset_state`. What training has found, such as the statistics of a normalization, is no such state and stays.
        """
        return refilled(self, self._body.reset(self._values))

    # ----- what training is told -----

    def set_learn_rate_factor(self, layer: str, parameter: str, factor: float, /) -> dlnetwork:
        """The network in which the learning rate of a learnable is multiplied by a factor; 1 is usual.

        `layer` and `parameter` are names or patterns ("conv*", "*").

        >>> import gradloom as gl
        >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(1)])
        >>> net.set_learn_rate_factor("fc", "bias", 2).settings["fc", "bias"].learn_rate_factor
        2.0

        Source: MATLAB setLearnRateFactor.
        """
        return self._set("set_learn_rate_factor", [(layer, parameter)], learn_rate_factor=factor)

    def set_l2_factor(self, layer: str, parameter: str, factor: float, /) -> dlnetwork:
        """The network in which the L2 regularization of a learnable is multiplied by a factor: 1 is usual, 0 for the
        biases of the catalogue's layers.

        `layer` and `parameter` are names or patterns ("conv*", "*").

        Source: MATLAB setL2Factor.
        """
        return self._set("set_l2_factor", [(layer, parameter)], l2_factor=factor)

    def freeze(self, *which: str | tuple[str, str]) -> dlnetwork:
        """The network in which learnables are frozen: not in `net.trainable`, and left alone by updates.

        `which` are names of layers or patterns ("conv*"; "block" means the layers of a nested network too), or pairs
        (layer, parameter); without any, all are frozen. States are no learnables: `forward` still moves them.

        Raises UnknownName for a name or a pattern that nothing matches.

        >>> import gradloom as gl
        >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(4), gl.layers.FullyConnected(1)])
        >>> list(net.freeze("fc").trainable)
        [('fc_1', 'weights'), ('fc_1', 'bias')]

        Source: MATLAB freezeNetwork.
        """
        return self._set("freeze", which, frozen=True)

    def unfreeze(self, *which: str | tuple[str, str]) -> dlnetwork:
        """The network in which learnables are no longer frozen: those that are named as in `freeze`, or all.

        Source: MATLAB unfreezeNetwork.
        """
        return self._set("unfreeze", which, frozen=False)

    def _set(self, word: str, which: Sequence[Any], **fields: Any) -> dlnetwork:
        keys = matching(self._body.learnable_keys, which, self._body.separator, word)
        return filled(dlnetwork, self._body, self._values, self._settings.changed(keys, **fields))

    def save(self, path: Any, /) -> None:
        """Write the network to a file, with its layers, parameters and settings; `load(path)` gives it back.

        >>> import gradloom as gl, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
        >>> gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)]).save(path)
        >>> gl.load(path)
        dlnetwork of 2 layers, 8 learnables float32
        Layer  Kind               Output       Learnables
        input  FeatureInput(3)    3(C) x 1(B)
        fc     FullyConnected(2)  2(C) x 1(B)  8
        """
        save(path, self)

    # ----- a value -----

    def __setattr__(self, name: str, value: Any) -> None:
        words = {"state": "state", "learnables": "learnables", "State": "state", "Learnables": "learnables"}
        if name in words:
            raise TypeRefused(f"a network is a value, and net.{name} cannot be assigned, at {line_of(user_site())}; "
                              f"write net = net.replace({words[name]}={words[name]})")
        raise TypeRefused(
            f"a network is a value, and net.{name} cannot be assigned{nearest(name, words)}, at "
            f"{line_of(user_site())}; write net = net.replace(state=state, learnables=learnables)")

    def __delattr__(self, name: str) -> None:
        raise TypeRefused(f"a network is a value, and net.{name} cannot be deleted, at {line_of(user_site())}; "
                          "make a new one with dlnetwork(layers)")

    def __reduce__(self) -> Any:
        return network_of, (self._body, self._values, self._settings)

    # ----- printing -----

    def __repr__(self) -> str:
        body = self._body
        return f"{body.heading(self._values)}\n{aligned_rows([body.columns, *body.rows(self._values)])}"

    def _repr_html_(self) -> str:
        body = self._body
        return f"<p>{body.heading(self._values)}</p>" + html_table([body.columns, *body.rows(self._values)])


def _untraced(values: Sequence[Any], xs: Sequence[Any]) -> bool:
    """Whether a call on these arrays is a part of no trace, and of no recording."""
    return (not thread.recording and all([type(x) is dlarray and x._node is None for x in xs])
            and (not values or values[0]._node is None))


def network_of(body: Body, values: list[Any], settings: Settings | None = None) -> dlnetwork:
    """A body with these values, without checks; every setting is as usual where none are given."""
    return filled(dlnetwork, body, values, settings)


def with_learnables(network: dlnetwork, arrays: Sequence[Any]) -> dlnetwork:
    """The network with other learnables, all of them, in the order of their keys, without checks."""
    return refilled(network, [*arrays, *network._values[len(arrays):]])


def _keys(network: dlnetwork) -> list[Any]:
    return [*network._body.learnable_keys, *network._body.state_keys]


def _rebuilt(rest: tuple[Body, Settings], values: list[Any]) -> dlnetwork:
    made = object.__new__(dlnetwork)
    _set(made, "_values", values)
    _set(made, "_body", rest[0])
    _set(made, "_settings", rest[1])
    return made


register(dlnetwork, lambda net: (net._values, (net._body, net._settings)), _rebuilt, _keys)

__all__ = ["dlnetwork", "network_of", "with_learnables"]
