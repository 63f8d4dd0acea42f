"""A user's own operation in one declaration: the constructors that this library's operations are made with, and named
after them."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..blocks.action import einsum_letters
from ..core.array import dlarray, labels_of
from ..core.calls import binary, broadcast_operands, nary, unary
from ..core.declare import composite
from ..core.errors import LabelError, TypeRefused, ValueRefused, line_of, user_site
from ..core.kinds.elementwise import Elementwise
from ..core.kinds.general import General
from ..core.kinds.multilinear import Multilinear
from ..core.labels import described, tidy
from ..core.operation import Operation
from ..core.tables import OPERATIONS
from ..machine.dtypes import NUMBER_TYPES, Tensor
from ..vocabulary.misspelled import nearest
from .matrices.contraction import promoted_arrays
from .movement.axes import array
from .neural.softmax import floating


@composite
def elementwise(name: str, kernel: Callable[..., Any], /, *partials: Any, complex_partials: Any = None,
                fused_pull: Any = None,
                singular: bool = False, pure: bool = False, doc: str = "") -> Callable[..., Any]:
    """Declare an operation of your own that works element by element; the result is its function.

    `kernel` computes it on torch tensors. One partial derivative for each input: a number, or a function whose
    parameter names say what it reads, the inputs by the kernel's names and the result as `y`. What follows the inputs
    in the kernel's signature are parameters, given by keyword. `complex_partials` are pairs (d/dz, d/dconj z) where the
    operation is not holomorphic; `fused_pull` is a faster pull on tensors; `singular=True` says that a partial can be
    infinite (0 times infinity is 0 in a trace in which something was selected, for every operation, said or not);
    `pure=True` that the kernel gives the same for the same (then memory can be saved by computing it again). The
    function broadcasts, keeps labels, and differentiates to any order in every walk, structured Jacobians included.
    Raises ValueError for a name of this library, TypeRefused where kernel, partials or rules do not fit together.

    >>> import gradloom as gl, torch
    >>> softsign = gl.elementwise("softsign", lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + gl.abs(x)) ** 2)
    >>> softsign(gl.dlarray([1.0, -3.0], "C"))
    2(C) dlarray float64
    [ 0.5  -0.75]
    >>> gl.check_derivatives(softsign, gl.dlarray([1.0, -3.0])).ok
    True
    """
    if not partials:
        raise TypeRefused(
            f"{name} states no partial derivative, at {line_of(user_site())}; write one for each input, 0 where there "
            "is none")
    inputs, parameters = _signature(name, kernel, len(partials))
    pairs = complex_partials and [tuple(map(_rule, pair)) for pair in complex_partials]
    operation = _declared(Elementwise, name, kernel, [_rule(p) for p in partials], inputs, complex_partials=pairs,
                          fused_pull=fused_pull, singular=singular)
    _check_rules(operation, {**dict.fromkeys(parameters)}, [*operation.partials, operation.fused_pull])
    call: Callable[..., Any] = (unary, binary)[len(inputs) - 1](operation) if len(inputs) < 3 else nary(operation)
    return _function(operation, call if not parameters else _with_parameters(operation, parameters), doc, pure)


@composite
def multilinear(name: str, kernel: Callable[..., Any], /, *, transposes: dict[str, Any], terms: Any = None,
                axes: Any = None, labels: str | None = None,
                pure: bool = False, doc: str = "") -> Callable[..., Any]:
    """Declare an operation of your own that is linear in each of its inputs; the result is its function.

    `kernel` computes it on torch tensors. `transposes` states, for each input by the kernel's name, the cotangent of
    that input from `y_bar`, the other inputs, `x_shape`, `y_shape` and parameters (keyword-only in the kernel, or with
    a default). `terms` are the monomials where it is a sum of some. Kernel and transposes must accept leading axes:
    count axes from the end. `axes`, such as "n i, o i -> n o", says how axes correspond: then labels are carried, and
    where the kernel is `einsum` of these axes, structured Jacobians go through it; otherwise `labels` names the input
    whose labels the result has.
    Raises ValueError for a name of this library, TypeRefused where kernel and transposes do not fit together.

    >>> import gradloom as gl
    >>> back = {"x": lambda y_bar: flipped(y_bar)}
    >>> flipped = gl.multilinear("flipped", lambda x: x.flip(-1), transposes=back, labels="x")
    >>> flipped(gl.dlarray([1.0, 2.0, 3.0]))
    3 dlarray float64
    [3. 2. 1.]
    """
    inputs, parameters = _signature(name, kernel, len(transposes))
    if set(transposes) != set(inputs):
        raise TypeRefused(
            f"{name} has the inputs {', '.join(inputs)} and transposes for {', '.join(transposes)}, at "
            f"{line_of(user_site())}; state one for each input")
    operation = _declared(Multilinear, name, kernel, inputs, [tuple(t) for t in terms] if terms else [inputs],
                          {x: _rule(rule) for x, rule in transposes.items()},
                          axes=axes if not parameters and _contracts(kernel, axes) else None)
    _check_rules(operation, {**dict.fromkeys(parameters)}, operation.transposes.values())
    return _function(operation, _with_parameters(operation, parameters, _label_rule(operation, axes, labels)),
                     doc, pure)


@composite
def general(name: str, kernel: Callable[..., Any], /, *, push: Any, pull: Any, hidden: Sequence[str] = (),
            outputs: int = 1, fused_pull: Any = None,
            labels: str | None = None, pure: bool = False, doc: str = "") -> Callable[..., Any]:
    """Declare an operation of your own by its push and its pull; the result is its function.

    `kernel` computes it on torch tensors: one result or a tuple of `outputs`, then those named in `hidden`, which only
    rules read. `push` gives the tangent of the result from the tangents of the inputs (`x_dot`, None where absent),
    `pull` the cotangents of the inputs from `y_bar`. Their parameter names say what they read: inputs by the kernel's
    names, `y`, hidden results, parameters (keyword-only in the kernel, or with a default), `x_shape`, `wanted`, `lead`.
    Written in operations of gradloom they are differentiated to any order. Tangents and cotangents can carry leading
    axes: count axes from the end. `labels` names the input whose labels the result has.
    Raises ValueError for a name of this library, TypeRefused where kernel and rules do not fit together.

    >>> import gradloom as gl, torch
    >>> cumulated = gl.general("cumulated", lambda x: torch.cumsum(x, -1), push=lambda x_dot: cumulated(x_dot),
    ...                        pull=lambda y_bar: gl.flip(cumulated(gl.flip(y_bar, axis=-1)), axis=-1), labels="x")
    >>> cumulated(gl.dlarray([1.0, 2.0, 3.0]))
    3 dlarray float64
    [1. 3. 6.]
    """
    inputs, parameters = _signature(name, kernel, None)
    operation = _declared(General, name, kernel, inputs, _rule(push), _rule(pull), hidden=hidden, outputs=outputs,
                          fused_pull=fused_pull)
    _check_rules(operation, {**dict.fromkeys(parameters)},
                 [operation.push_rule, operation.pull_rule, operation.fused_pull])
    return _function(operation, _with_parameters(operation, parameters, _label_rule(operation, None, labels)),
                     doc, pure)


# ----- declarations -----


def _declared(kind: Any, name: str, kernel: Any, *stated: Any, **rest: Any) -> Any:
    if name in OPERATIONS:
        raise ValueRefused(
            f"gradloom has an operation named {name!r}, at {line_of(user_site())}; give yours another name")
    try:
        return kind(name, _checked_kernel(name, kernel), *stated, **rest, own=True)
    except ValueError as error:
        raise TypeRefused(f"{error}, at {line_of(user_site())}") from None


def _signature(name: str, kernel: Any, count: int | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the inputs, and the parameters with their defaults."""
    try:
        parameters = list(inspect.signature(kernel).parameters.values())
    except (TypeError, ValueError):  # a function of torch
        if count is None or count > 3:
            raise TypeRefused(
                f"{name}: the kernel's signature cannot be read, at {line_of(user_site())}; wrap it as lambda x: "
                "kernel(x)") from None
        return (("x",), ("a", "b"), ("a", "b", "c"))[count - 1], {}
    free = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    count = len([p for p in free if p.default is p.empty]) if count is None else count
    if len(free) < count or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise TypeRefused(
            f"{name}: the kernel takes {', '.join(p.name for p in parameters) or 'nothing'} and {count} derivatives "
            f"are stated, at {line_of(user_site())}; state one for each input, which come first in its signature")
    rest = [p for p in parameters if p not in free[:count]]
    return tuple(p.name for p in free[:count]), {p.name: p.default for p in rest}


def _contracts(kernel: Any, axes: Any) -> bool:
    """Whether the kernel is the sum of products that `axes` says, and not that times something, or of conjugates:
    tried with numbers."""
    if not isinstance(axes, str):
        return False
    letters, out = einsum_letters(axes, tuple([len(part.split()) for part in axes.split("->")[0].split(",")]))
    places = {name: k for k, name in enumerate(dict.fromkeys([name for names in letters for name in names]))}
    numbers = torch.Generator("cpu").manual_seed(0)

    def agrees(dtype: torch.dtype) -> bool:
        inputs = [torch.rand([places[name] + 2 for name in names], dtype=dtype, device="cpu", generator=numbers)
                  for names in letters]
        expected = torch.einsum(*[part for x, names in zip(inputs, letters, strict=True)
                                  for part in (x, [places[name] for name in names])], [places[name] for name in out])
        y = kernel(*inputs)
        return bool(y.shape == expected.shape and torch.allclose(y, expected))

    try:
        real = agrees(torch.float64)
    except Exception:  # it takes other sizes, or does what einsum does not
        return False
    try:
        return real and agrees(torch.complex128)
    except Exception:  # it takes no complex numbers
        return real


def _rule(rule: Any) -> Any:
    """A rule that runs on tensors gives tensors, whatever it makes of numbers: `gl.log(2.0)` and `gl.zeros(x.shape)`
    are dlarrays."""
    if not callable(rule):
        return rule

    @functools.wraps(rule)
    def run(*args: Any) -> Any:
        result = rule(*args)
        if any([type(x) is dlarray or isinstance(x, (tuple, list)) and dlarray in map(type, x) for x in args]):
            return result
        if isinstance(result, (tuple, list)):
            return tuple([x._value if type(x) is dlarray else x for x in result])
        return result._value if type(result) is dlarray else result

    return run


def _checked_kernel(name: str, kernel: Any) -> Any:
    def run(*values: Any, **params: Any) -> Any:
        if any([type(v) in NUMBER_TYPES for v in values]):
            like = next(v for v in values if isinstance(v, Tensor))
            values = tuple([torch.full((), v, dtype=torch.result_type(like, v), device=like.device)
                            if type(v) in NUMBER_TYPES else v for v in values])
        result = kernel(*values, **params)
        for y in result if type(result) is tuple else (result,):
            if not isinstance(y, Tensor):
                raise TypeRefused(
                    f"the kernel of {name} returned a {type(y).__name__}, at {line_of(user_site())}; it is given torch "
                    "tensors and returns torch tensors: for code in NumPy write a DifferentiableFunction")
        return result

    return run


def _check_rules(operation: Operation, parameters: dict[str, Any], rules: Any) -> None:
    """Whether what a rule reads is there: a misspelled name is an error at once, not in the first walk."""
    tangents = {f"{n}_dot" for n in operation.inputs}
    known = {*operation.inputs, *operation.hidden, *parameters, *tangents, *(f"{n}_shape" for n in operation.inputs),
             "y", "y_bar", "y_shape", "lead", "wanted"}
    for bound in rules:
        for read in inspect.signature(bound.rule).parameters if hasattr(bound, "rule") else ():
            if read not in known:
                raise TypeRefused(
                    f"a rule of {operation.name} reads {read!r}, which it has not, at {line_of(user_site())}"
                    f"{nearest(read, known)}; it can read {', '.join(sorted(known))}")


def _function(operation: Operation, call: Any, doc: str, pure: bool) -> Any:
    operation.recomputable = pure
    call.__name__ = call.__qualname__ = operation.name
    call.__doc__ = doc or f"{operation.name}({', '.join(operation.inputs)}): an operation of kind {operation.kind}."
    call.operation = operation
    operation.public = call
    return call


# ----- calls -----


def _with_parameters(operation: Any, parameters: dict[str, Any], label_rule: Any = None) -> Callable[..., Any]:
    names = operation.inputs

    def call(*args: Any, **given: Any) -> Any:
        if len(args) != len(names):
            by_keyword = "; parameters are given by keyword" if parameters else ""
            raise TypeRefused(
                f"{operation.name} takes {len(names)} array{'s' * (len(names) > 1)} ({', '.join(names)}), {len(args)} "
                f"were given, at {line_of(user_site())}{by_keyword}")
        unknown = next((name for name in given if name not in parameters), None)
        missing = next((name for name, default in parameters.items() if default is inspect.Parameter.empty
                        and name not in given), None)
        if unknown is not None or missing is not None:
            wrong = f"has no parameter {unknown!r}" if unknown is not None else f"needs {missing}="
            raise TypeRefused(
                f"{operation.name} {wrong}, at {line_of(user_site())}; its parameters are "
                f"{', '.join(parameters) or 'none'}")
        params = {name: given.get(name, default) for name, default in parameters.items()}
        if label_rule is None:
            inputs, labels = broadcast_operands(operation, args)
            return operation.apply([floating(x) if hasattr(x, "dtype") else x for x in inputs], params, labels)
        inputs = [None if x is None else array(x) for x in args]
        if operation.kind == "multilinear":
            inputs = promoted_arrays(*inputs)
        plain = [dlarray._made(x._value, x._node, None) if type(x) is dlarray else x for x in inputs]
        y = operation.apply(plain, params)
        labels = label_rule(inputs)
        for part in y if isinstance(y, tuple) else (y,):
            if labels is not None and type(part) is dlarray:
                if part.ndim != len(labels):
                    raise LabelError(
                        f"{operation.name}: the result is {described(part.shape, None)}, the labels that it should "
                        f"have are {labels!r}, at {line_of(user_site())}; leave labels= out of its declaration")
                part._labels = tidy(labels)
        return y

    return call


def _label_rule(operation: Operation, axes: Any, labels: str | None) -> Callable[[Sequence[Any]], str | None]:
    if labels is not None and labels not in operation.inputs:
        raise TypeRefused(
            f"{operation.name}: labels={labels!r} is none of its inputs ({', '.join(operation.inputs)}), at "
            f"{line_of(user_site())}")
    if labels is not None:
        return lambda inputs: labels_of(inputs[operation.inputs.index(labels)])
    if not isinstance(axes, str):
        return lambda inputs: None

    def descended(inputs: Sequence[Any]) -> str | None:
        """An output axis has the label of the input axis of the same letter."""
        letters, out = einsum_letters(axes, tuple([x.ndim for x in inputs]))
        found: dict[str, str] = {}
        for names, x in zip(letters, inputs, strict=True):
            for name, label in zip(names, labels_of(x) or "", strict=False):
                found.setdefault(name, label)
        return "".join(found.get(name, "U") for name in out) if found else None

    return descended


__all__ = ["elementwise", "general", "multilinear"]
