"""Operations: what a kernel computes, and its derivative stated once.

Three kinds. `elementwise` states partial derivatives; `multilinear` states its monomials and a transpose for each
input; `general` states a push and a pull by hand. Rules are written in library operations, so that one rule runs on
tensors (fast), on dlarrays (and is itself traced) and on Blocks (and keeps their structure).

A rule is a function whose parameter names say what it reads, and only that is kept in the trace:
the operation's inputs (`x`, `a`, `b`, `weight`, ...), its output `y`, its hidden outputs, its parameters (`axis`, ...),
`y_bar` (a cotangent, in a pull), `x_dot` (a tangent, in a push), `y_shape`, `x_shape`, `y_place`, `x_place` (their
nodes), `lead` (the sizes of leading axes that tangents and cotangents carry over their primal's shape), `wanted` (which
inputs' cotangents are asked for).
"""
from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import repeat
from operator import is_not
from typing import Any

import torch

from ..machine.dtypes import Tensor
from ..machine.memory import out_of_memory
from .array import constant, dlarray
from .errors import GradloomError, ShapeError, TypeRefused, line_of, user_site
from .labels import described
from .operand import Operand
from .origin import refuse_transform
from .rules import BoundRule, Rule, written
from .tables import OPERATIONS, words
from .trace import Node, different_traces

_made = dlarray._made
NO_PARAMS: dict[str, Any] = {}
NONES = repeat(None)  # as many as are asked for


class Operation:
    """One primitive: a kernel and its rules. `apply` runs it; public functions put user-facing arguments in order
    first."""

    kind = "discrete"
    recomputable = True
    barrier = ""  # what a walk must not pass through, in words
    raw_pulls: Any = None  # elementwise operations: the pull of each input on real tensors
    # of elementwise operations, for each input: the other input that its pull multiplies with, None where it is no such
    # product
    factors: Any = ()
    # of elementwise operations, for each input: whether its pull gives y_bar itself or memory of its own, and never an
    # array that something else holds
    makes: Any = ()
    keeps_type = False  # its result has the type of its first input, whatever the others are
    overwrites = False  # writes at params["index"]: a raw walk undoes it in the memory that it owns
    reads_at: Any = None  # of operations that can read one row along axis 0: which, from the parameters
    writes_at: Any = None  # of operations that can write one
    # the product of each row of its first input with the matrix that is its second: all that lies above the rows may be
    # folded into them, and the result is memory of its own
    row_product = False
    # the parameter that is a constant sparse matrix, where it is that times (..., k, j)
    sparse_matrix: str | None = None
    # of operations with vectors that belong to values: rules that the walks complete where values meet
    meeting: Any = None
    # False while check_finite sees every kernel and rule: walks that were written out are not taken then
    unwatched = True
    # how an opaque operation runs on tensors that require gradients: set by interop/torch/graph.py
    on_graph: Any = None
    # what a recorded rule may leave at the node for a later walk: rules that read this name get it, or None
    leaves = ""

    def __init__(self, name: str, kernel: Callable[..., Any], inputs: Sequence[str], *, hidden: Sequence[str] = (),
                 outputs: int = 1,
                 axes: Any = None, whole_axes: Sequence[int | str | None] | None = None, commutes: bool = False,
                 domain: tuple[float, float] = (-2.0, 2.0), samples: Any = None,
                 matlab: str | None = None, own: bool = False,
                 selects: bool = False, meeting: Any = None, squared: Rule | None = None,
                 act: Callable[..., Any] | None = None,
                 real_only: str = "", without_half: str = "", torch: Sequence[str] | None = None,
                 opaque: bool = False, carrying: Sequence[int] | None = None):
        self.name = name
        self.kernel = kernel
        self.inputs = tuple(inputs)
        self.hidden = tuple(hidden)
        self.outputs = outputs
        self.single = len(self.inputs) == 1 == outputs and not self.hidden
        self.axes = axes
        # for each input the one axis that its tangent must have whole, counted from the end, or the parameter that
        # names it; along all others the tangent may have size 1 where it is constant. None for an input, or for all:
        # the tangent must be whole
        self.whole_axes = whole_axes
        self.commutes = commutes  # a op b is b op a, so that the reflected operator is the operator itself
        self.domain = domain
        # it selects some of its inputs' entries, which marks the trace: what was not selected counts for nothing, were
        # it infinite
        self.selects = selects
        self.samples = samples
        self.matlab = matlab
        self.meeting = meeting
        self.public: Callable[..., Any] | None = None
        self.act = act
        # torch's autograd cannot follow the kernel, or not rightly: on tensors with gradients the rules stand in for it
        self.opaque = opaque
        self.carrying = carrying  # which of its outputs carry a derivative; None where all floating ones do
        self.real_only = real_only  # why it takes no complex numbers
        self.without_half = without_half  # why it takes no half precision
        # torch's functions, and ATen's operations, that are this one with its arguments; unsaid, an elementwise
        # operation's own name where torch has it
        self.torch = torch
        self.module = _declared_in()
        # its square from its inputs, smooth where it is not
        self.squared = None if squared is None else BoundRule(squared, self, "squared")
        self._keepers: dict[tuple[bool, ...], Callable[..., list[Any]]] = {}
        if "y" in self.inputs:
            raise ValueError(f"operation {name!r}: y is the output's name in rules; call the input something else")
        if name in OPERATIONS:
            raise ValueError(f"an operation named {name!r} exists already")
        if not own:  # a user's own operation is in no table: it may be declared again in a notebook
            OPERATIONS[name] = self

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    @cached_property
    def ordinary(self) -> bool:
        """Whether a raw walk asks nothing of it but its pull."""
        return (self.reads_at is None and self.writes_at is None and not self.overwrites
                and not self.barrier)

    # ----- running -----

    def run(self, inputs: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...]:
        """The kernel on raw values: outputs, hidden ones last."""
        result = self.kernel(*inputs, **params)
        if not self.hidden:
            return (result,)
        return (result[0], *result[1:]) if self.outputs == 1 else (tuple(result[:self.outputs]), *result[self.outputs:])

    def apply(self, inputs: Sequence[Any], params: dict[str, Any] = NO_PARAMS, labels: Any = None) -> Any:
        """Run on tensors, dlarrays or Blocks; record where an input is traced. `labels` are the result's (one string,
        or one per output)."""
        # quick way: one array, without lists; the plain one is below
        if self.single and len(inputs) == 1 and type(inputs[0]) is dlarray:
            value, node = inputs[0]._value, inputs[0]._node
            try:
                result = self.kernel(value, **params)
            except Exception:
                pass  # refused below, in words
            else:
                if node is None or not node.trace.open:
                    return _made(result, None, labels)
                return _made(result, Node(self, node.trace, (node,), self.kept((node,), [value], result),
                                          params, result, user_site(2)), labels)
        values: list[Any] = []
        nodes: list[Node | None] = []
        trace = None
        array = tensors = False
        for x in inputs:
            if type(x) is dlarray:
                array = True
                values.append(x._value)
                node = x._node
                if node is not None:
                    its = node.trace
                    if not its.open:
                        node = None
                    elif trace is None:
                        trace = its
                    elif trace is not its:
                        raise different_traces(next(n for n in nodes if n is not None), node)
                nodes.append(node)
            elif isinstance(x, Operand):
                return x.acted_on(self, inputs, params)
            else:
                tensors = tensors or isinstance(x, Tensor)
                values.append(x)
                nodes.append(None)
        if tensors and not array and self.opaque:
            for v in values:
                if isinstance(v, Tensor):
                    refuse_transform(v)
            if torch.is_grad_enabled() and any([isinstance(v, Tensor) and v.requires_grad for v in values]):
                return Operation.on_graph(self, values, params)
        if tensors and array:
            values = [constant(v) if isinstance(x, Tensor) else v for x, v in zip(inputs, values, strict=True)]
        try:
            result = self.kernel(*values, **params)
        except GradloomError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError, OverflowError, NotImplementedError,
                AssertionError) as error:
            raise self.refusal(inputs, error) from error
        hidden: Sequence[Any] = ()
        if self.hidden:
            hidden = result[self.outputs:]
            result = result[0] if self.outputs == 1 else tuple(result[:self.outputs])
        if not array:
            return result
        node = None
        if trace is not None:
            node = Node(self, trace, nodes, self.kept(nodes, values, result, hidden), params, result, user_site(2))
            if self.meeting is not None and self.meeting.meets(result):
                trace.meetings.append(weakref.ref(node))
        if self.outputs > 1:
            return tuple(item(result, node, k, labels[k] if labels else None) for k in range(self.outputs))
        return _made(result, node, labels)

    def kept(self, nodes: Sequence[Node | None], values: list[Any], output: Any,
             hidden: Sequence[Any] = ()) -> list[Any]:
        """The values that a node keeps: constants, and what the rules of its traced inputs read."""
        mask = tuple(map(is_not, nodes, NONES))
        keeper = self._keepers.get(mask)
        if keeper is None:
            keeper = self._keepers[mask] = self._keeper(mask)
        return keeper(values, output, hidden)

    def _keeper(self, mask: tuple[bool, ...]) -> Callable[..., list[Any]]:
        """`kept` for one way of being traced, written out: every recorded call comes through it."""
        n = len(mask)
        places = [f"values[{k}]" for k in range(n)] + ["output"] + [f"hidden[{k}]" for k in range(len(self.hidden))]
        source = ", ".join(place if keep else "None" for place, keep in zip(places, self.kept_for(mask), strict=True))
        traced = "_".join(name for name, its in zip(self.inputs, mask, strict=True) if its)
        return written(f"{self.name}.kept_{traced}", "values, output, hidden", f"return [{source}]")

    def kept_for(self, mask: tuple[bool, ...]) -> tuple[bool, ...]:
        """Of inputs, output and hidden outputs, which are kept when `mask` says which inputs are traced."""
        read: set[str] = set()
        for name, traced in zip(self.inputs, mask, strict=True):
            if traced:
                read |= self.reads(name)
        names = (*self.inputs, "y", *self.hidden)
        return tuple(name in read or (k < len(mask) and not mask[k]) for k, name in enumerate(names))

    def reads(self, name: str) -> set[str]:
        """Which values the rules read when the input `name` is traced."""
        return set()

    def refusal(self, inputs: Sequence[Any], error: Exception) -> GradloomError:
        """What went wrong in a kernel, with the operands and the user's line."""
        operands = ", ".join(f"{n} {described(x.shape, getattr(x, '_labels', None))}" if hasattr(x, "shape")
                             else f"{n} {x!r}"
                             for n, x in zip(self.inputs, inputs, strict=False))
        kind, reason = reason_of(error, _mismatch(self.inputs, inputs) if "size of tensor" in str(error) else None)
        return kind(f"{self.name}({operands}) cannot be computed, at {line_of(user_site())}: {reason}")

    # ----- derivatives -----

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Sequence[Any]:
        """Cotangents of the inputs, None where absent."""
        return [None] * len(wanted)

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        """The tangent of the output from tangents of the inputs (None where absent)."""
        return None


def _declared_in() -> str:
    """The module whose statement declares an operation: the first above that has no constructors of them."""
    frame = sys._getframe(2)
    while (str(frame.f_globals["__name__"]).startswith(_CONSTRUCTORS) and frame.f_code.co_name != "<module>"
           and frame.f_back is not None):
        frame = frame.f_back
    return str(frame.f_globals["__name__"])


_CONSTRUCTORS = ("gradloom.core.", "gradloom.operations.own")


def reason_of(error: BaseException, mismatch: str | None = None) -> tuple[type[GradloomError], str]:
    """What a kernel's error is, and what it says: its first line, unless something better is known."""
    wanted = out_of_memory(error)
    reason = (f"it takes {wanted} of memory, which is not there; work in parts, or take a smaller type" if wanted else
              mismatch or str(error).split("\n")[0])
    if "bitwise_" in reason and "not implemented for" in reason:  # MATLAB's x ^ 2
        reason += "; bits are of integers and booleans, a power is written x ** y"
    told = ("dtype", "not implemented for", "not support")
    refused = isinstance(error, TypeError) or any(part in reason for part in told)
    return TypeRefused if refused else ShapeError, reason


def _mismatch(names: Sequence[str], inputs: Sequence[Any]) -> str:
    """Which axes do not broadcast, and what to do about it."""
    arrays = [(n, x, getattr(x, "_labels", None)) for n, x in zip(names, inputs, strict=False) if hasattr(x, "shape")]
    for k in range(1, max(x.ndim for _, x, _ in arrays) + 1):
        sized = [(n, x.shape[-k], labels[-k] if labels else None) for n, x, labels in arrays
                 if x.ndim >= k and x.shape[-k] != 1]
        if len({size for _, size, _ in sized}) > 1:
            where = next((f"axis {label}" for _, _, label in sized if label), f"axis {-k}")
            unlabelled = next((n for n, x, labels in arrays if labels is None and x.ndim), None)
            remedy = (f"label it, as in dlarray({unlabelled}, \"C\"), so that it is matched by name"
                      if unlabelled and any(la for _, _, la in arrays)
                      else "make them equal, or give one of them size 1 with expand_dims or reshape")
            return f"{where} has size " + " and ".join(f"{size} in {n}" for n, size, _ in sized) + f"; {remedy}"
    return "their shapes do not broadcast"


def square_of(y: dlarray) -> Any:
    """The square of what an operation that states it has made; None where what it reads is no longer kept."""
    node = y._node
    if node is None or not node.trace.open or node.dropped is not None or node.operation.squared is None:
        return None
    inputs = [_made(v, parent) if isinstance(v, Tensor) else v
              for v, parent in zip(node.values, node.parents, strict=False)]
    squared = node.operation.squared.call(inputs, node.params, node, None, (), None)
    return _made(squared._value, squared._node, y._labels)


def padded(dot: Any, lead: tuple[int, ...], ndim: int) -> Any:
    """Insert axes of size 1 between a tangent's leading axes and its own, so that it broadcasts like its primal."""
    missing = ndim + len(lead) - dot.ndim
    if missing <= 0 or not lead:
        return dot
    return words.reshape(dot, (*lead, *(1,) * missing, *dot.shape[len(lead):]))


def item(result: Any, node: Node | None, k: int, labels: str | None) -> dlarray:
    """One output of an operation that has several."""
    if node is None or not result[k].dtype.is_floating_point and not result[k].dtype.is_complex:
        return dlarray._made(result[k], None, labels)
    return dlarray._made(result[k], Node(ITEM, node.trace, (node,), [None, None], {"k": k}, result[k], node.site),
                         labels)


class Outputs(list[Any]):
    """What a walk carries for a node with several outputs: one for each, None where there is none; added part by
    part."""

    shape = dtype = None  # as those of the node

    def __add__(self, other: Any) -> Outputs:
        return Outputs([b if a is None else a if b is None else a + b for a, b in zip(self, other, strict=True)])

    def add_(self, other: Any) -> None:
        """The same in this list; the arrays in it may be somebody else's, and stay."""
        self[:] = self + other


class _Item(Operation):
    """Output k of its parent, which is all that it is linear in."""

    kind = "item"

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Sequence[Any]:
        (parent,) = node.parents
        bars = Outputs([None] * parent.operation.outputs)  # type: ignore[union-attr]
        bars[params["k"]] = y_bar
        return (bars,)

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        return dots[0][params["k"]]


ITEM = _Item("item", lambda x, k: x[k], ("x",))
