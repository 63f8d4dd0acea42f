"""The layer: a frozen dataclass with learnable and state fields, and what it does to its inputs."""
from __future__ import annotations

import dataclasses
import functools
import inspect
import numbers
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args

import numpy as np

from ..core.errors import WRITTEN, TypeRefused, from_inside, line_of, user_site
from ..vocabulary.hints import PropertiesOfMatlab
from ..vocabulary.misspelled import nearest
from ..vocabulary.options import by_name_and_value, too_many, unknown_option
from .body import WithBody
from .masks import combined
from .registry import enter

LEARNABLE, STATE = "learnable", "state"
Learnable = Annotated[Any, LEARNABLE]
State = Annotated[Any, STATE]

_ROLE_NAMES = re.compile(r"^(?:Optional\[)?(?:\w+\.)*(Learnable|State)\]?(?:\s*\|\s*None)?$")
ALLOWED = "_may_assign"  # in the copy that one call gets: the fields that it may assign


class Layer(PropertiesOfMatlab):
    """A layer of a network. A custom layer is a subclass, which is a frozen dataclass without being decorated.

    Its annotated fields are its options. Fields of type `Learnable` are what training changes, fields of type `State`
    what is carried from call to call; both are keyword options that are None until `initialize` (or the caller) sets
    them.

    `predict(self, x)` is what the layer does: labelled arrays in, labelled arrays out. Optional are
    `forward(self, x)`: what it does in training, where that differs; assigning a State field there returns a new state;
    `initialize(self, layout)`: assigns the parameters that are unset, from the layout (`layout.sizes["C"]`) of its
    input; `reset_state(self)`: assigns State fields their initial values; `backward(self, x, y, y_bar)`: its own
    derivative, the cotangent of x (and then of each learnable field, as a tuple) from the cotangent of y; written in
    operations of this library it can be differentiated to any order.

    Of several inputs and outputs, backward receives all inputs, then all outputs, then the cotangents of all outputs.
    A parameter `memory` is the tuple of what the call returned beyond its outputs; `state_bars` that of the cotangents
    of the states that the call leaves, and the cotangent of each State field is returned last. Of a field that holds a
    network, the cotangent is a Mapping like its learnables, after those of the learnable fields.

    A layer that mixes time steps is told which of them are there in a keyword: `predict(self, x, *, mask=None)`. Where
    their number changes, `output_mask(self, mask, y)` says which of the new ones are.

    A layer is a value and never changes: every call of a network works on a copy.

    >>> import gradloom as gl
    >>> class Scale(gl.Layer):
    ...     start: float = 1.0
    ...     factor: gl.Learnable
    ...     def initialize(self, layout):
    ...         self.factor = gl.full((1,), self.start)
    ...     def predict(self, x):
    ...         return self.factor * x
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), Scale(3.0)])
    >>> net(gl.dlarray([1.0, 2.0], "C"))
    2(C) dlarray float32
    [3. 6.]

    Source: MATLAB Deep Learning Toolbox, nnet.layer.Layer.
    """

    name: str | None = field(default=None, kw_only=True)

    roles: ClassVar[dict[str, str]] = {}
    default_name: ClassVar[str] = "layer"
    matlab: ClassVar[str | None] = None  # what MATLAB calls a layer of the catalogue
    onnx: ClassVar[str | None] = None  # the ONNX operator that does the same
    input_names: ClassVar[tuple[str, ...]] = ("in",)
    output_names: ClassVar[tuple[str, ...]] = ("out",)

    if TYPE_CHECKING:  # no type checker knows that a Learnable field is an option by keyword, None where it is left out
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

        def __init__(self, *options: Any, **named: Any) -> None: ...

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.roles = _roles_declared(cls)
        if "default_name" not in cls.__dict__:
            cls.default_name = cls.__name__.lower()
        dataclass(frozen=True, eq=False, repr=False)(cls)
        _explain_calls(cls)
        _assign_through_layer(cls)
        enter(cls)

    def predict(self, *xs: Any, **options: Any) -> Any:
        """The outputs of the layer in use."""
        raise NotImplementedError(f"the layer {type(self).__name__} has no predict; write def predict(self, x) in it")

    def forward(self, *xs: Any, **options: Any) -> Any:
        """The outputs of the layer in training; those of predict, unless a layer says otherwise."""
        return self.predict(*xs)

    def initialize(self, *layouts: Any, **options: Any) -> None:
        """Assign the parameters that are unset."""

    def reset_state(self) -> None:
        """Assign State fields their initial values."""

    def output_mask(self, mask: Any, y: Any) -> Any:
        """Which steps of the output y are there, from the mask of the input (a tuple of them, None without padding,
        where there are several inputs): those that are there in all inputs, unless a layer says otherwise. Of several
        outputs it may be a tuple."""
        return combined(mask)

    def __repr__(self) -> str:
        return written(self, named=True)


def _explain_calls(cls: type[Layer]) -> None:
    """A constructor that is called with what it does not take says how it is called."""
    made = cls.__dict__.get("__init__")
    if made is None or made.__code__.co_filename != "<string>":
        return  # the user's own
    made.__code__ = made.__code__.replace(co_filename=f"{WRITTEN}{cls.__name__}>")  # no line of the user's
    parameters = dict(list(inspect.signature(made).parameters.items())[1:])
    by_position = [name for name, its in parameters.items() if its.kind is not its.KEYWORD_ONLY]

    @functools.wraps(made)
    def init(self: Layer, *args: Any, **kwargs: Any) -> None:
        args, kwargs = _plain(args), {name: _plain(value) for name, value in kwargs.items()}
        if cls.__module__.startswith(_HERE) and len(args) <= len(by_position):
            _refuse_types(cls, {**dict(zip(by_position, args, strict=False)), **kwargs})
        try:
            made(self, *args, **kwargs)
        except TypeError as error:
            if from_inside(error):
                raise
            raise TypeRefused(_call_instead(cls, args, kwargs, parameters)) from None

    cls.__init__ = init  # type: ignore[method-assign, assignment]


def _is_number(value: Any) -> bool:
    is_one = isinstance(value, numbers.Number) and not isinstance(value, bool) and value == value
    return is_one or hasattr(value, "shape")


_HERE = __name__.partition(".")[0] + "."
_OPTIONS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # what an option of the catalogue takes, by its annotation
    "float": ("a number", _is_number),
    "bool": ("True or False", lambda value: isinstance(value, int) and value in (0, 1)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "str | int": ("a text or a whole number", lambda value: isinstance(value, (str, int))),
    "tuple[int | None, ...]": ("a tuple of sizes", lambda value: isinstance(value, (tuple, list))),
    "Initializer": ("the name of an initializer, or a function of the shape",
                    lambda value: isinstance(value, str) or callable(value)),
    "Initializer | float": ("a number, the name of an initializer, or a function of the shape",
                            lambda value: isinstance(value, str) or callable(value) or _is_number(value)),
    "Normalization": ("the name of a normalization, or a function of the array",
                      lambda value: isinstance(value, str) or callable(value)),
}


def _refuse_types(cls: type[Layer], given: dict[str, Any]) -> None:
    """An error for an option of a layer of the catalogue that is of no type that it takes."""
    for name, value in given.items():
        known = cls.__dataclass_fields__.get(name)
        what, fits = _OPTIONS.get(str(known.type), ("", None)) if known is not None else ("", None)
        if fits is not None and not fits(value):
            remedy = f"; the default is {known.default!r}" if known is not None and known.default is not MISSING else ""
            raise TypeRefused(f"{cls.__name__}'s {name} is {what}, not {value!r}, at {line_of(user_site())}{remedy}")


def _plain(value: Any) -> Any:
    """An option whose numbers are Python's own: NumPy's stand in no file, and print as np.int64(3)."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list) and any([type(x) in (tuple, list) or isinstance(x, np.generic) for x in value]):
        return type(value)([_plain(x) for x in value])
    return value


def _call_instead(cls: type[Layer], args: Sequence[Any], kwargs: dict[str, Any],
                  parameters: dict[str, inspect.Parameter]) -> str:
    """What is said of a layer that was called with these arguments."""
    called, at = cls.__name__, f"at {line_of(user_site(3))}"
    plain = [p.replace(annotation=p.empty) for n, p in parameters.items() if n not in cls.roles]
    way = f"write {called}{inspect.Signature(plain)}"
    word = next((w for w in kwargs if w not in parameters), None)
    if word is not None:
        return f"{called} has no {word}=, {at}{unknown_option(called, word, kwargs[word], list(parameters))}; {way}"
    sizes = [p.name for p in plain if p.kind is not p.KEYWORD_ONLY]
    if len(args) > len(sizes):
        said = by_name_and_value(called, args, list(parameters)) or too_many(called, args, parameters) or way
        taken = " and ".join(sizes) or "nothing"
        given = "1 value was" if len(args) == 1 else f"{len(args)} values were"
        return f"{called} takes {taken} by position, {given} given, {at}; {said}"
    missing = [n for n in sizes[len(args):] if n not in kwargs and parameters[n].default is inspect.Parameter.empty]
    return f"{called} needs {' and '.join(missing) or 'other arguments'}, {at}; {way}"


def written(layer: Layer, named: bool) -> str:
    """A layer as it is written in code, without its parameters."""
    shown, by_keyword = [], []
    for f in dataclasses.fields(layer):  # type: ignore[arg-type]
        value = getattr(layer, f.name, None)
        if f.name in layer.roles or f.name == "name":
            continue
        if not f.kw_only:
            shown.append(_text(value))
        elif not _is_default(f, value):
            by_keyword.append(f"{f.name}={_text(value)}")
    if named and layer.name is not None:
        by_keyword.append(f"name={layer.name!r}")
    return f"{type(layer).__name__}({', '.join(shown + by_keyword)})"


def _text(value: Any) -> str:
    """An option as it is written in code; of a network and of a function, what it is."""
    if isinstance(value, WithBody):
        return "dlnetwork([...])"
    if type(value) in (list, tuple) and any(isinstance(part, WithBody) for part in value):
        return f"[{', '.join(map(_text, value))}]"
    return (getattr(value, "__name__", None) if callable(value) else None) or repr(value)


def _assign(layer: Layer, name: str, value: Any) -> None:
    """What `layer.name = value` does: in the copy that one call gets, State fields can be assigned."""
    allowed = layer.__dict__.get(ALLOWED)
    if allowed is None or name not in allowed:
        raise TypeRefused(_refused_assignment(layer, name, allowed is not None))
    layer.__dict__[name] = value


def _delete(layer: Layer, name: str) -> None:
    raise TypeRefused(
        f"a layer is a value: {type(layer).__name__}.{name} cannot be deleted; write dataclasses.replace(layer, "
        f"{name}=...)")


dataclass(frozen=True, eq=False, repr=False)(Layer)
Layer.__setattr__ = _assign  # type: ignore[method-assign, assignment]
Layer.__delattr__ = _delete  # type: ignore[method-assign, assignment]


def _is_default(f: dataclasses.Field[Any], value: Any) -> bool:
    if f.default is MISSING:
        return False
    try:
        return value is f.default or bool(value == f.default)
    except Exception:
        return False


def _refused_assignment(layer: Layer, name: str, in_call: bool) -> str:
    kind = type(layer).__name__
    names = [f.name for f in dataclasses.fields(layer)]  # type: ignore[arg-type]
    at = f", at {line_of(user_site(2))}"
    if not in_call:
        if name not in names:
            return (f"a layer is a value, and {kind} has no field {name!r}{nearest(name, names)}{at}; "
                    f"declare it in the class, as in {name}: float, and give it to the constructor")
        return (f"a layer is a value: {kind}.{name} cannot be assigned{at}; "
                f"write layer = dataclasses.replace(layer, {name}=...)")
    states = [n for n, role in layer.roles.items() if role == STATE]
    what = "an option" if name in names else "not declared"
    if layer.roles.get(name) == LEARNABLE:
        what = "a learnable, which an update changes"
    return (f"in a call of {kind} only State fields can be assigned ({', '.join(states) or 'it has none'}), {name!r} "
            f"is {what}{at}; use a local variable, or declare {name}: gl.State for a value that is carried from call "
            "to call")


# ----- which fields are parameters ------------------------------------------------------------------------------------


def _roles_declared(cls: type[Layer]) -> dict[str, str]:
    """The learnable and state fields of a class, in order; its own become keyword options that are None until set."""
    roles = dict(cls.roles)
    for name, annotation in inspect.get_annotations(cls).items():
        role = _role(annotation, cls)
        if role is None:
            roles.pop(name, None)
            continue
        roles[name] = role
        default = cls.__dict__.get(name)
        if not isinstance(default, dataclasses.Field):
            setattr(cls, name, field(default_factory=functools.partial(_same, default), kw_only=True))
    return roles


def _same(default: Any) -> Any:
    return default


def _role(annotation: Any, cls: type) -> str | None:
    if isinstance(annotation, str):  # from __future__ import annotations
        known = _ROLE_NAMES.match(annotation.strip())
        if known:
            return known.group(1).lower()
        try:
            annotation = eval(annotation, dict(vars(sys.modules[cls.__module__])), dict(vars(cls)))
        except Exception:
            return None
    for candidate in (annotation, *get_args(annotation)):
        for role, kind in ((LEARNABLE, Learnable), (STATE, State)):
            if candidate is kind or candidate == kind:
                return role
    return None


def _assign_through_layer(cls: type) -> None:
    """Take away the assignment methods that `dataclass` made: `Layer` decides what may be assigned."""
    for method in ("__setattr__", "__delattr__"):
        made = cls.__dict__.get(method)
        if made is not None and made.__code__.co_filename == "<string>":
            delattr(cls, method)


# ----- copies that carry parameters -----------------------------------------------------------------------------------


def options_of(layer: Layer) -> dict[str, Any]:
    """Everything that a layer holds, except its parameters."""
    return {k: v for k, v in layer.__dict__.items() if k not in layer.roles and k != ALLOWED}


def copied(layer: Layer, changes: dict[str, Any], may_assign: Sequence[str] | frozenset[str] | None = None) -> Any:
    """A copy of a layer with some fields changed; `may_assign` are fields that code running in it can assign."""
    kind = type(layer)
    _assign_through_layer(kind)
    made = object.__new__(kind)
    made.__dict__.update(layer.__dict__)
    made.__dict__.update(changes)
    made.__dict__.pop(ALLOWED, None)
    if may_assign is not None:
        made.__dict__[ALLOWED] = frozenset(may_assign)
    return made


__all__ = ["Layer", "Learnable", "State"]
