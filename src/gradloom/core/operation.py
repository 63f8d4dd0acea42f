"""Operations: what a kernel computes, and its derivative stated once.

Three kinds. `elementwise` states partial derivatives; `multilinear` states its monomials and a transpose for each input;
`general` states a push and a pull by hand. Rules are written in library operations, so that one rule runs on tensors (fast),
on dlarrays (and is itself traced) and on Blocks (and keeps their structure).

A rule is a function whose parameter names say what it reads, and only that is kept in the trace:
the operation's inputs (`x`, `a`, `b`, `weight`, ...), its output `y`, its hidden outputs, its parameters (`axis`, ...),
`y_bar` (a cotangent, in a pull), `x_dot` (a tangent, in a push), `y_shape`, `x_shape`, `lead` (the sizes of leading axes that
tangents and cotangents carry over their primal's shape), `wanted` (which inputs' cotangents are asked for).
"""
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..kernels import NUMBER_TYPES, Tensor
from .array import Operand, constant, dlarray, operand
from .blocks import action
from .blocks.block import Block
from .errors import GradloomError, ShapeError, TypeRefused, _inside, line_of, user_site
from .labels import aligned, described, tidy
from .trace import Node, different_traces

OPERATIONS: dict[str, Operation] = {}
_made = dlarray._made
_getframe = sys._getframe
PUBLIC: dict[str, Callable[..., Any]] = {}
NO_PARAMS: dict[str, Any] = {}
REAL_TYPES = frozenset((bool, int, float))
Rule = Callable[..., Any]


class Operation:
    """One primitive: a kernel and its rules. `apply` runs it; public functions put user-facing arguments in order first."""

    kind = "discrete"
    recomputable = True
    barrier = ""  # what a walk must not pass through, in words
    raw_pulls: Any = None  # elementwise operations: the pull of each input on real tensors
    overwrites = False  # writes at params["index"]: a raw walk undoes it in the memory that it owns
    reads_at: Any = None  # of operations that read one entry along axis 0: the walk gathers their cotangents

    def __init__(self, name: str, kernel: Callable[..., Any], inputs: Sequence[str], *, hidden: Sequence[str] = (), outputs: int = 1,
                 axes: Any = None, domain: tuple[float, float] = (-2.0, 2.0), samples: Any = None, matlab: str | None = None):
        self.name = name
        self.kernel = kernel
        self.inputs = tuple(inputs)
        self.hidden = tuple(hidden)
        self.outputs = outputs
        self.axes = axes
        self.domain = domain
        self.samples = samples
        self.matlab = matlab
        self.public: Callable[..., Any] | None = None
        self.act: Callable[..., Any] | None = None
        self._kept: dict[tuple[bool, ...], tuple[bool, ...]] = {}
        if "y" in self.inputs:
            raise ValueError(f"operation {name!r}: y is the output's name in rules; call the input something else")
        if name in OPERATIONS:
            raise ValueError(f"an operation named {name!r} exists already")
        OPERATIONS[name] = self

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    # ----- running -----

    def run(self, inputs: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...]:
        """The kernel on raw values: outputs, hidden ones last."""
        result = self.kernel(*inputs, **params)
        if not self.hidden:
            return (result,)
        return (result[0], *result[1:]) if self.outputs == 1 else (tuple(result[:self.outputs]), *result[self.outputs:])

    def apply(self, inputs: Sequence[Any], params: dict[str, Any] = NO_PARAMS, labels: Any = None) -> Any:
        """Run on tensors, dlarrays or Blocks; record where an input is traced. `labels` are the result's (one string, or one per output)."""
        values: list[Any] = []
        nodes: list[Node | None] = []
        trace = None
        array = tensors = False
        for x in inputs:
            kind = type(x)
            if kind is dlarray:
                array = True
                values.append(x._value)
                node = x._node
                if node is not None and node.trace.open:
                    if trace is None:
                        trace = node.trace
                    elif trace is not node.trace:
                        raise different_traces(next(n for n in nodes if n is not None), node)
                    nodes.append(node)
                else:
                    nodes.append(None)
            elif kind is Block:
                return self.act_on_block(inputs, params)
            else:
                tensors = tensors or isinstance(x, Tensor)
                values.append(x)
                nodes.append(None)
        if tensors and array:
            values = [constant(v) if isinstance(x, Tensor) else v for x, v in zip(inputs, values, strict=True)]
        try:
            result = self.kernel(*values, **params)
        except GradloomError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, AssertionError) as error:
            raise self.refusal(inputs, error) from error
        hidden: Sequence[Any] = ()
        if self.hidden:
            hidden = result[self.outputs:]
            result = result[0] if self.outputs == 1 else tuple(result[:self.outputs])
        if not array:
            return result
        node = None
        if trace is not None:
            node = Node(self, trace, nodes, self.kept(nodes, values, result, hidden), params, result, user_site())
        if self.outputs > 1:
            return tuple(item(result, node, k, labels[k] if labels else None) for k in range(self.outputs))
        return dlarray._made(result, node, labels)

    def kept(self, nodes: Sequence[Node | None], values: list[Any], output: Any, hidden: Sequence[Any] = ()) -> list[Any]:
        """The values that a node keeps: constants, and what the rules of its traced inputs read."""
        keep = self.kept_for(tuple([n is not None for n in nodes]))
        return [v if k else None for v, k in zip((*values, output, *hidden), keep, strict=True)]

    def kept_for(self, mask: tuple[bool, ...]) -> tuple[bool, ...]:
        """Of inputs, output and hidden outputs, which are kept when `mask` says which inputs are traced."""
        keep = self._kept.get(mask)
        if keep is None:
            read: set[str] = set()
            for name, traced in zip(self.inputs, mask, strict=True):
                if traced:
                    read |= self.reads(name)
            names = (*self.inputs, "y", *self.hidden)
            keep = self._kept[mask] = tuple(name in read or (k < len(mask) and not mask[k]) for k, name in enumerate(names))
        return keep

    def reads(self, name: str) -> set[str]:
        """Which values the rules read when the input `name` is traced."""
        return set()

    def refusal(self, inputs: Sequence[Any], error: Exception) -> GradloomError:
        """What went wrong in a kernel, with the operands and the user's line."""
        operands = ", ".join(f"{n} {described(x.shape, getattr(x, '_labels', None))}" if hasattr(x, "shape") else f"{n} {x!r}"
                             for n, x in zip(self.inputs, inputs, strict=False))
        reason = str(error).split("\n")[0]
        kind: type[GradloomError] = TypeRefused if isinstance(error, TypeError) or "dtype" in reason or "not implemented for" in reason or (
            "not supported" in reason) else ShapeError
        return kind(f"{self.name}({operands}) cannot be computed, at {line_of(user_site())}: {reason}")

    # ----- derivatives -----

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...], wanted: Sequence[bool]) -> Sequence[Any]:
        """Cotangents of the inputs, None where absent."""
        return [None] * len(wanted)

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        """The tangent of the output from tangents of the inputs (None where absent)."""
        return None

    def act_on_block(self, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        """The operation on a Block in the place of one input in which it is linear."""
        if self.act is None:
            raise TypeRefused(f"{self.name} is not linear and cannot act on a structured Jacobian; use it on arrays")
        return self.act(self, inputs, params)


# ----- rules: functions whose parameter names say what they read ------------------------------------------------------


class BoundRule:
    """A rule with its parameter names resolved to where the values are, once."""

    __slots__ = ("arguments", "call", "reads", "rule")

    def __init__(self, rule: Rule, operation: Operation):
        names = list(inspect.signature(rule).parameters)
        slots = {name: k for k, name in enumerate((*operation.inputs, "y", *operation.hidden))}
        self.rule = rule
        self.reads: set[str] = set()
        arguments = []
        for name in names:
            stem = name.rsplit("_", 1)[0]
            if name in slots:
                self.reads.add(name)
                arguments.append(f"v[{slots[name]}]")
            elif name == "y_bar":
                arguments.append("g")
            elif name.endswith("_dot") and stem in slots:
                arguments.append(f"g[{slots[stem]}]")
            elif name == "y_shape":
                arguments.append("node.shape")
            elif name.endswith("_shape") and stem in slots:
                arguments.append(f"shape_of(node, v, {slots[stem]})")
            elif name in ("lead", "wanted"):
                arguments.append(name)
            else:
                arguments.append(f"p[{name!r}]")
        self.arguments = ", ".join(arguments)
        source = f"lambda v, p, node, g, lead, wanted: rule({self.arguments})"
        self.call: Callable[..., Any] = eval(source, {"rule": rule, "shape_of": _input_shape})


def _input_shape(node: Node, v: list[Any], k: int) -> Any:
    parent = node.parents[k]
    if parent is not None:
        return parent.shape
    return torch.Size(()) if type(v[k]) in NUMBER_TYPES else v[k].shape


def padded(dot: Any, lead: tuple[int, ...], ndim: int) -> Any:
    """Insert axes of size 1 between a tangent's leading axes and its own, so that it broadcasts like its primal."""
    missing = ndim + len(lead) - dot.ndim
    if missing <= 0 or not lead:
        return dot
    return OPERATIONS["reshape"].apply((dot,), {"shape": (*lead, *(1,) * missing, *dot.shape[len(lead):])})


def item(result: Any, node: Node | None, k: int, labels: str | None) -> dlarray:
    """One output of an operation that has several."""
    if node is None or not result[k].dtype.is_floating_point and not result[k].dtype.is_complex:
        return dlarray._made(result[k], None, labels)
    return dlarray._made(result[k], Node(ITEM, node.trace, (node,), [None, None], {"k": k}, result[k], node.site), labels)


class _Item(Operation):
    """Output k of its parent. The walks know it; a tuple of cotangents is what its parent's pull receives."""

    kind = "item"


ITEM = _Item("item", lambda x, k: x[k], ("x",))


# ----- elementwise ------------------------------------------------------------------------------------------------------


class Elementwise(Operation):
    """y[i] = f(a[i], b[i], ...), broadcasting; partials from (y, *inputs), p and q where f is not holomorphic."""

    kind = "elementwise"

    def __init__(self, name: str, kernel: Callable[..., Any], partials: Sequence[Any], inputs: Sequence[str], *, complex_partials: Any = None,
                 fused_pull: Rule | None = None, singular: bool = False, **rest: Any):
        super().__init__(name, kernel, inputs, **rest)
        self.singular = singular
        self.partials = [self._bound(p) for p in partials]
        self.complex_partials = None if complex_partials is None else [(self._bound(p), self._bound(q)) for p, q in complex_partials]
        self.fused_pull = None if fused_pull is None else BoundRule(fused_pull, self)
        self.raw_pulls = None if complex_partials is not None else [self._raw_pull(p) for p in partials]
        self.linear = all(type(p) in NUMBER_TYPES for p in partials) and complex_partials is None
        self.floating = name not in ("add", "subtract", "multiply", "negative", "positive", "square", "abs", "sign", "mod", "maximum", "minimum", "power")

    def _bound(self, partial: Any) -> Any:
        if isinstance(partial, str):
            partial = eval(f"lambda {partial}: {partial}")
        return BoundRule(partial, self) if callable(partial) else partial

    def _raw_pull(self, partial: Any) -> Callable[..., Any]:
        """The pull of one input on real tensors, as one function."""
        if self.fused_pull is not None:
            return eval(f"lambda v, p, node, g: rule({self.fused_pull.arguments})", {"rule": self.fused_pull.rule, "shape_of": _input_shape})
        if isinstance(partial, str):
            product = "scaled(g, v[{}])" if self.singular else "g * v[{}]"
            return eval(f"lambda v, p, node, g: {product.format(self.inputs.index(partial))}", {"scaled": scaled})
        if not callable(partial):
            return {1: lambda v, p, node, g: g, -1: lambda v, p, node, g: -g, 0: lambda v, p, node, g: None}.get(
                partial, lambda v, p, node, g: g * partial)
        source = BoundRule(partial, self).arguments
        product = "scaled(g, rule({}))" if self.singular else "g * rule({})"
        return eval(f"lambda v, p, node, g: {product.format(source)}", {"rule": partial, "scaled": scaled, "shape_of": _input_shape})

    def reads(self, name: str) -> set[str]:
        k = self.inputs.index(name)
        rules = [self.partials[k], *(self.complex_partials[k] if self.complex_partials else ())]
        read = set().union(*(r.reads for r in rules if isinstance(r, BoundRule)))
        return read | (self.fused_pull.reads if self.fused_pull else set())

    def _partials_at(self, k: int, v: list[Any], params: dict[str, Any], node: Node) -> tuple[Any, Any]:
        """(p, q) of input k: q is 0 where only the real derivative or a holomorphic one matters."""
        parent = node.parents[k]
        p: Any
        q: Any = 0
        if self.complex_partials is not None and parent is not None and parent.dtype.is_complex:
            p, q = self.complex_partials[k]
        else:
            p = self.partials[k]
        if isinstance(p, BoundRule):
            p = p.call(v, params, node, None, (), None)
        if isinstance(q, BoundRule):
            q = q.call(v, params, node, None, (), None)
        return p, q

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...], wanted: Sequence[bool]) -> Sequence[Any]:
        if node.dtype.is_complex or self.complex_partials is not None:
            return [self._complex_pull(k, v, params, node, y_bar) if want else None for k, want in enumerate(wanted)]
        if self.fused_pull is not None and type(y_bar) is Tensor:
            return [self.fused_pull.call(v, params, node, y_bar, lead, wanted)]
        bars: list[Any] = []
        for k, want in enumerate(wanted):
            if not want:
                bars.append(None)
                continue
            p = self.partials[k]
            if type(p) is BoundRule:
                p = p.call(v, params, node, None, (), None)
                bars.append(scaled(y_bar, p) if self.singular else y_bar * p)
            else:
                bars.append(y_bar if p == 1 else -y_bar if p == -1 else None if p == 0 else y_bar * p)
        return bars

    def _complex_pull(self, k: int, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any) -> Any:
        p, q = self._partials_at(k, v, params, node)
        bar = None
        if type(p) not in NUMBER_TYPES or p != 0:
            bar = self._product(y_bar, _conjugate(p))
        if type(q) not in NUMBER_TYPES or q != 0:
            other = self._product(_conjugate(y_bar), q)
            bar = other if bar is None else bar + other
        return bar

    def _product(self, bar: Any, p: Any) -> Any:
        if type(p) in NUMBER_TYPES:
            return bar if p == 1 else -bar if p == -1 else bar * p
        return scaled(bar, p) if self.singular else bar * p

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        y_dot = None
        for k, x_dot in enumerate(dots):
            if x_dot is None:
                continue
            p, q = self._partials_at(k, v, params, node)
            if lead:
                x_dot = padded(x_dot, lead, node.ndim)
            for coefficient, dot in ((p, x_dot), (q, None)):
                if type(coefficient) in NUMBER_TYPES and coefficient == 0:
                    continue
                term = self._product(_conjugate(x_dot) if dot is None else dot, coefficient)
                y_dot = term if y_dot is None else y_dot + term
        return y_dot


def _conjugate(x: Any) -> Any:
    if type(x) in NUMBER_TYPES:
        return x.conjugate()
    return OPERATIONS["conj"].apply((x,)) if x.dtype.is_complex else x


def scaled(bar: Any, p: Any) -> Any:
    """bar * p with 0 * infinity = 0: the product of walks through operations whose partial can be infinite."""
    if type(p) in NUMBER_TYPES:
        return bar * p
    return OPERATIONS["scale"].apply((bar, p))


def elementwise(name: str, kernel: Callable[..., Any], *partials: Any, inputs: Sequence[str] | None = None, doc: str = "",
                operators: Sequence[str] = (), public: bool = True, **rest: Any) -> Callable[..., Any]:
    """Declare an elementwise operation and return its public function.

    A partial is a number, the name of an input, or a rule such as `lambda y: 1 - y * y`. `operators` are the special methods that it provides.
    """
    inputs = tuple(inputs or (("x",), ("a", "b"), ("a", "b", "c"))[len(partials) - 1])
    operation = Elementwise(name, kernel, partials, inputs, **rest)
    operation.act = _elementwise_act
    call: Callable[..., Any]
    if len(inputs) == 1:
        call = _unary(operation)
    elif len(inputs) == 2:
        call = _binary(operation)
    else:
        call = _nary(operation)
    return _dressed(call, operation, doc, operators)


def _elementwise_act(operation: Elementwise, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
    if not operation.linear:
        raise TypeRefused(f"{operation.name} is not linear and cannot act on a structured Jacobian; use it on arrays")
    result = None
    for x, p in zip(inputs, operation.partials, strict=True):
        if type(x) is not Block:
            raise TypeRefused(f"{operation.name} of a structured Jacobian and an array is not linear")
        term = x if p == 1 else x.times(p)
        result = term if result is None else result.plus(term)
    return result


def _unary(operation: Elementwise) -> Callable[..., Any]:
    keep_x, keep_y = operation.kept_for((True,))

    def call(x: Any, /) -> Any:
        if type(x) is not dlarray:
            if type(x) is Tensor:
                return operation.kernel(x)
            x = operand(x)
            if type(x) in NUMBER_TYPES:
                x = dlarray(x)
            if type(x) is not dlarray:
                return operation.apply((x,))
        value = x._value
        node = x._node
        if node is None or not node.trace.open:
            return operation.apply((_floating(x, ()) if operation.floating else x,), NO_PARAMS, x._labels)
        try:
            result = operation.kernel(value)
        except (RuntimeError, TypeError, ValueError) as error:
            raise operation.refusal((x,), error) from None
        frame = _getframe(1)
        code = frame.f_code
        site = (code, frame.f_lasti) if _inside.get(code.co_filename) is False else user_site(2)
        values = [value if keep_x else None, result if keep_y else None]
        return _made(result, Node(operation, node.trace, (node,), values, NO_PARAMS, result, site), x._labels)

    return call


def _binary(operation: Elementwise) -> Callable[..., Any]:
    general = _nary(operation)
    as_scalar = operation.name in ("add", "subtract", "multiply", "divide")
    keep_both = operation.kept_for((True, True))
    keep_a = operation.kept_for((True, False))
    keep_b = operation.kept_for((False, True))

    def call(a: Any, b: Any, /) -> Any:
        # The common cases: two arrays with the same labels, or an array and a number, one of them traced.
        a_node = b_node = None
        if type(a) is dlarray:
            a_value = a._value
            a_node = a._node
            labels = a._labels
            if type(b) is dlarray:
                if b._labels != labels:
                    return general(a, b)
                b_value = b._value
                b_node = b._node
            elif type(b) in REAL_TYPES:
                b_value = b
                if as_scalar:
                    b_value = _numbers.get((b, a_value.dtype))
                    if b_value is None:
                        b_value = number(b, a_value.dtype)
            else:
                return general(a, b)
        elif type(b) is dlarray and type(a) in REAL_TYPES:
            b_value = b._value
            a_value = a
            if as_scalar:
                a_value = _numbers.get((a, b_value.dtype))
                if a_value is None:
                    a_value = number(a, b_value.dtype)
            b_node = b._node
            labels = b._labels
        elif type(a) is Tensor and (type(b) is Tensor or type(b) in NUMBER_TYPES) or type(b) is Tensor and type(a) in NUMBER_TYPES:
            return operation.kernel(a, b)
        else:
            return general(a, b)
        if a_node is None:
            if b_node is None or not b_node.trace.open:
                return general(a, b)
            trace = b_node.trace
            keep = keep_b
        elif b_node is None:
            trace = a_node.trace
            if not trace.open:
                return general(a, b)
            keep = keep_a
        else:
            trace = a_node.trace
            if trace is not b_node.trace or not trace.open:
                return general(a, b)
            keep = keep_both
        try:
            result = operation.kernel(a_value, b_value)
        except (RuntimeError, TypeError, ValueError) as error:
            raise operation.refusal((a, b), error) from None
        if labels is not None and len(result.shape) != len(labels):
            return general(a, b)
        frame = _getframe(1)
        code = frame.f_code
        site = (code, frame.f_lasti) if _inside.get(code.co_filename) is False else user_site(2)
        values = [a_value if keep[0] else None, b_value if keep[1] else None, result if keep[2] else None]
        return _made(result, Node(operation, trace, (a_node, b_node), values, NO_PARAMS, result, site), labels)

    return call


_numbers: dict[tuple[Any, Any], Any] = {}


def number(value: Any, dtype: torch.dtype) -> Any:
    """A real Python number as a scalar tensor of an array's own type, made once: torch takes those faster than numbers."""
    scalar = _numbers.get((value, dtype))
    if scalar is None:
        if value == 0 or value != value or dtype not in (torch.float32, torch.float64):
            return value
        if len(_numbers) >= 1024:
            _numbers.clear()
        scalar = _numbers[value, dtype] = torch.tensor(float(value), dtype=dtype)
    return scalar


def _nary(operation: Elementwise) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        inputs, labels = broadcast_operands(operation, args)
        if operation.floating:
            inputs = [_floating(x, inputs) for x in inputs]
        return operation.apply(inputs, NO_PARAMS, labels)

    return call


def _floating(x: Any, inputs: Sequence[Any]) -> Any:
    """Integers in a floating operation are float64, unless a floating array decides the type."""
    if type(x) is dlarray and x._node is None and not (x._value.dtype.is_floating_point or x._value.dtype.is_complex):
        for other in inputs:
            if type(other) is dlarray and other._value.ndim and (other._value.dtype.is_floating_point or other._value.dtype.is_complex):
                return x
        return dlarray._made(x._value.to(torch.float64), None, x._labels)
    return x


def broadcast_operands(operation: Operation, args: Sequence[Any]) -> tuple[list[Any], str | None]:
    """Operands put in order for broadcasting by position, and the result's labels."""
    inputs = [operand(x) for x in args]
    if not any(isinstance(x, (Operand, Tensor)) for x in inputs):
        inputs[0] = dlarray(inputs[0])
    if any(type(x) is dlarray for x in inputs):
        inputs = [dlarray._made(constant(x), None, None) if isinstance(x, Tensor) else x for x in inputs]
    labels = None
    for x in inputs:
        its = x._labels if type(x) is dlarray else None
        if its is not None and labels is not None and its != labels:
            try:
                labels = aligned(labels, its)[0]
            except GradloomError as error:
                raise type(error)(f"{_operands(operation, inputs)}: {error}, at {line_of(user_site())}") from None
        elif its is not None and labels is None:
            labels = its
    if labels is None:
        return inputs, None
    inputs = [_placed(x, labels) if type(x) is dlarray and x._labels is not None and x._labels != labels else x for x in inputs]
    rank = max(x.ndim for x in inputs if isinstance(x, Operand))
    if rank > len(labels):
        labels = "U" * (rank - len(labels)) + labels
    labelled = [x for x in inputs if type(x) is dlarray and x._labels is not None]
    for x in inputs:
        if type(x) is dlarray and x._labels is None and x.ndim:
            for k in range(1, x.ndim + 1):
                if x.shape[-k] != 1 and any(o.ndim >= k for o in labelled) and all(o.ndim < k or o.shape[-k] == 1 for o in labelled):
                    raise ShapeError(f"{_operands(operation, inputs)}: an unlabelled operand may not stretch a labelled axis of size 1, "
                                     f"at {line_of(user_site())}; label it, as in dlarray(x, \"B\"), or reshape it")
    return inputs, labels


def _operands(operation: Operation, inputs: Sequence[Any]) -> str:
    shown = [described(x.shape, getattr(x, "_labels", None)) if hasattr(x, "shape") else repr(x) for x in inputs]
    return f"{operation.name} of " + " and ".join(shown)


def _placed(x: dlarray, labels: str) -> dlarray:
    """The same array with its axes where `labels` has them, size 1 where it has none."""
    places = aligned(labels, x._labels or "")[2]
    order = [p for p in places if p is not None]
    if order != sorted(order):
        ndim = x.ndim
        x = OPERATIONS["permute_dims"].apply((x,), {"axes": tuple(p - ndim for p in order)})
    sizes = iter(x.shape)
    shape = tuple(1 if p is None else next(sizes) for p in places)
    if shape != tuple(x.shape):
        x = OPERATIONS["reshape"].apply((x,), {"shape": shape})
    return dlarray._made(x._value, x._node, labels)


# ----- multilinear ------------------------------------------------------------------------------------------------------


class Multilinear(Operation):
    """A sum of monomials, each linear in every input that it names; a transpose for each input."""

    kind = "multilinear"

    def __init__(self, name: str, kernel: Callable[..., Any], inputs: Sequence[str], terms: Sequence[Sequence[str]], transposes: dict[str, Rule], *,
                 monomials: dict[tuple[str, ...], Rule] | None = None, reads_at: Any = None, lead_params: Any = None,
                 fused_pull: Rule | None = None, broadcast: bool = False, **rest: Any):
        super().__init__(name, kernel, inputs, **rest)
        self.terms = [tuple(t) for t in terms]
        self.transposes = {k: BoundRule(rule, self) for k, rule in transposes.items()}
        self.reads_at = reads_at
        self.monomials = {tuple(k): rule for k, rule in (monomials or {}).items()}
        self.fused_pull = None if fused_pull is None else BoundRule(fused_pull, self)
        self.lead_params = lead_params
        self.broadcast = broadcast

    def reads(self, name: str) -> set[str]:
        read = set(self.transposes[name].reads) if name in self.transposes else set()
        for term in self.terms:
            if name in term:
                read |= set(term) - {name}
        return read | (self.fused_pull.reads if self.fused_pull else set())

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...], wanted: Sequence[bool]) -> Sequence[Any]:
        if self.fused_pull is not None and type(y_bar) is Tensor and not lead:
            return self.fused_pull.call(v, params, node, y_bar, lead, wanted)
        return [self.transposes[name].call(v, params, node, y_bar, lead, wanted) if want else None
                for name, want in zip(self.inputs, wanted, strict=True)]

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        if lead and self.lead_params is not None:
            params = {**params, **self.lead_params(params, lead)}
        y_dot = None
        for term in self.terms:
            for k, name in enumerate(self.inputs):
                if name not in term or dots[k] is None:
                    continue
                dot = padded(dots[k], lead, node.ndim) if self.broadcast else dots[k]
                inputs = [dot if n == name else v[i] if n in term else None for i, n in enumerate(self.inputs)]
                monomial = self.monomials.get(term)
                if monomial is None:
                    part = self.apply(inputs, params)
                else:
                    part = monomial(*[x for x in inputs if x is not None], node=node, lead=lead, **params)
                y_dot = part if y_dot is None else y_dot + part
        return y_dot


def multilinear(name: str, kernel: Callable[..., Any], inputs: Sequence[str] = ("x",), *, terms: Sequence[Sequence[str]] | None = None,
                transposes: dict[str, Rule], act: Any = None, **rest: Any) -> Multilinear:
    """Declare an operation that is linear in each of its inputs; one monomial of all inputs unless `terms` says otherwise."""
    operation = Multilinear(name, kernel, inputs, terms if terms is not None else [tuple(inputs)], transposes, **rest)
    operation.act = act or (action.untying if operation.axes is None else action.contraction)
    return operation


# ----- general ----------------------------------------------------------------------------------------------------------


class General(Operation):
    """Push and pull stated by hand, in library operations."""

    kind = "general"

    def __init__(self, name: str, kernel: Callable[..., Any], inputs: Sequence[str], push: Rule, pull: Rule, *, fused_pull: Rule | None = None,
                 **rest: Any):
        super().__init__(name, kernel, inputs, **rest)
        self.push_rule = BoundRule(push, self)
        self.pull_rule = BoundRule(pull, self)
        self.fused_pull = None if fused_pull is None else BoundRule(fused_pull, self)

    def reads(self, name: str) -> set[str]:
        return self.push_rule.reads | self.pull_rule.reads | (self.fused_pull.reads if self.fused_pull else set())

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...], wanted: Sequence[bool]) -> Sequence[Any]:
        if self.fused_pull is not None and type(y_bar) is Tensor and not lead:
            bars = self.fused_pull.call(v, params, node, y_bar, lead, wanted)
        else:
            bars = self.pull_rule.call(v, params, node, y_bar, lead, wanted)
        return bars if type(bars) in (tuple, list) else (bars,)

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        return self.push_rule.call(v, params, node, dots, lead, None)


def general(name: str, kernel: Callable[..., Any], inputs: Sequence[str] = ("x",), *, push: Rule, pull: Rule, **rest: Any) -> General:
    """Declare an operation whose push and pull are stated by hand."""
    return General(name, kernel, inputs, push, pull, **rest)


def discrete(name: str, kernel: Callable[..., Any], inputs: Sequence[str] = ("x",), **rest: Any) -> Operation:
    """Declare an operation whose result carries no derivative: comparisons, rounding, positions."""
    return Operation(name, kernel, inputs, **rest)


# ----- public functions -------------------------------------------------------------------------------------------------


def public(operation: Operation, *, operators: Sequence[str] = (), method: bool = False) -> Callable[[Any], Any]:
    """Tie a user-facing function to its operation: the table, the docs and the special methods read it from here."""

    def tie(function: Any) -> Any:
        return _dressed(function, operation, function.__doc__ or "", operators, method)

    return tie


def composite(function: Any) -> Any:
    """A public function that is written in other operations and needs no rule."""
    function.__module__ = "gradloom"
    PUBLIC[function.__name__] = explained(function)
    return function


def explained(function: Any) -> Any:
    """The function as users have it: a call with dim=, or with an axis by position, is an error that spells it as it is here."""
    parameters = inspect.signature(function).parameters
    if "axis" not in parameters:
        return function
    by_keyword = parameters["axis"].kind is inspect.Parameter.KEYWORD_ONLY
    function.__signature__ = inspect.signature(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # from inside
            refused, name = error, function.__name__
        word = next((w for w in ("dim", "dims", "axes") if w in kwargs), None)
        if word is not None:
            raise TypeRefused(f"{name} has no {word}=, at {line_of(user_site())}; the word is axis, an integer counted from 0, a label letter "
                              f"or several: write {name}(..., axis={kwargs[word]!r})")
        if by_keyword and "positional" in str(refused):
            other = f", or {name}imum(a, b) for the {name} of two arrays" if name in ("max", "min") else ""
            raise TypeRefused(f"{refused}, at {line_of(user_site())}; axis is given by keyword and counts from 0: write {name}(x, axis=0) "
                              f"for the first axis, MATLAB's 1{other}")
        plain = [p.replace(annotation=p.empty) for p in parameters.values()]
        raise TypeRefused(f"{refused}, at {line_of(user_site())}; write {name}{inspect.Signature(plain)}")

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(call, name, getattr(function, name))
    call.__dict__ = function.__dict__  # one signature and one operation for both
    return call


def _dressed(function: Any, operation: Operation, doc: str, operators: Sequence[str], method: bool = False) -> Any:
    function.__name__ = function.__qualname__ = operation.name if function.__name__ == "call" else function.__name__
    function.__module__ = "gradloom"
    function.__doc__ = doc
    function.operation = operation
    operation.public = function
    PUBLIC[function.__name__] = shown = explained(function)
    for name in operators:
        commutes = operation.name in ("add", "multiply")
        setattr(Operand, name, _reflected(function) if name.startswith("__r") and not commutes else function)
    if method:
        setattr(dlarray, function.__name__, shown)
    return function


def _reflected(function: Any) -> Any:
    def method(self: Any, other: Any, /) -> Any:
        return function(other, self)

    return method


__all__ = ["OPERATIONS", "PUBLIC", "Elementwise", "General", "Multilinear", "Operation", "composite", "discrete", "elementwise", "general", "multilinear", "public",
           "scaled", "tidy"]
