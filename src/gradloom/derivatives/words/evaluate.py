"""The words that take results, used inside `dlfeval`: dlgradient, jvp, vjp, hvp; and `dlfeval` itself."""
from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Sequence
from itertools import repeat
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

import torch

from ...core.array import dlarray
from ...core.containers import Structure, flatten, unflatten
from ...core.errors import ShapeError, Site, TraceError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...core.operation import NO_PARAMS, Operation
from ...core.trace import Node, Trace, active, ancestors, current_trace, different_traces, live
from ...machine.dtypes import Tensor
from ...operations.elementwise.arithmetic import number_like
from ..walks.meetings import pull
from ..walks.unrolled import written_out

VARIABLE = Operation("variable", lambda: None, ())
VARIABLE.recomputable = False
IDENTITY = Operation("identity", lambda x: x, ("x",))
IDENTITY.pull = lambda v, params, node, y_bar, lead, wanted: [y_bar]  # type: ignore[method-assign]
IDENTITY.push = lambda v, params, node, dots, lead: dots[0]  # type: ignore[method-assign]
UNRECORDED = Operation("unrecorded derivative", lambda x: x, ("x",))
UNRECORDED.barrier = "the derivative taken"
UNRECORDED.recomputable = False


class _Descends(Operation):
    """A recorded derivative: its value, descending from its targets even where it is constant."""

    def kept(self, nodes: Sequence[Node | None], values: list[Any], output: Any,
             hidden: Sequence[Any] = ()) -> list[Any]:
        return [v if n is None else None for v, n in zip(values, nodes, strict=True)] + [None]

    def pull(self, v: Any, params: Any, node: Node, y_bar: Any, lead: Any, wanted: Sequence[bool]) -> Sequence[Any]:
        return [y_bar if wanted[0] else None, *[None] * (len(wanted) - 1)]

    def push(self, v: Any, params: Any, node: Node, dots: Any, lead: Any) -> Any:
        return dots[0]


DESCENDS = _Descends("recorded derivative", lambda x, *targets: x, ("x",))


# ----- dlfeval --------------------------------------------------------------------------------------------------------


def dlfeval(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a function with its arrays traced, so that derivatives can be taken inside it.

    `dlfeval(fun, x, ...)` returns whatever fun returns, without the trace. Every floating or complex dlarray in the
    arguments (alone, in containers, in networks) becomes a variable of the trace, each place in them one of its own,
    also where the same array is passed twice; NumPy arrays, tensors and numbers are constants, and so is what the
    function reaches through a closure or a global. When it returns, everything of the trace is freed.

    >>> import gradloom as gl
    >>> def rosenbrock(x):
    ...     y = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    ...     return y, gl.dlgradient(y, x)
    >>> value, gradient = gl.dlfeval(rosenbrock, gl.dlarray([-1, 2]))
    >>> gradient
    2 dlarray float64
    [396. 200.]

    Source: MATLAB Deep Learning Toolbox, dlfeval.
    """
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & SUSPENDED:
        refuse_suspended(function)
    trace = outer = active.trace
    leaves: list[Any] | tuple[Any, ...]
    structure: Structure | None
    if not kwargs and {*map(type, args)} <= ARRAYS:  # quick way, without containers; the plain one is below
        leaves, structure = args, None
    else:
        leaves, structure = flatten((args, kwargs))
    if trace is None:
        for leaf in leaves:
            if type(leaf) is dlarray and (node := leaf._node) is not None and node.trace.open:
                trace = node.trace
                break
    owner = trace is None
    if trace is None:
        trace = Trace()
    # A trace has no cycles, so Python's search for cycles would only walk it, again and again: it waits until the trace
    # is gone.
    collecting = owner and gc.isenabled()
    try:
        active.trace = trace
        active.walking = active.walking and not owner
        if collecting:
            gc.disable()
        site = user_site()
        if structure is None:
            leaves = [*map(_variable, leaves, repeat(trace), repeat(site))]
            result = function(*leaves)
        else:
            leaves = [_variable(leaf, trace, site) if type(leaf) is dlarray else leaf for leaf in leaves]
            args, kwargs = unflatten(structure, leaves)
            result = function(*args, **kwargs)
        if owner:
            del leaves, args, kwargs  # with the results' handles gone, most of the trace frees itself
            result = _left(result)
        return result
    finally:
        active.trace = outer  # assignments before calls: see `within`
        if owner:
            trace.open = False
            try:
                if collecting:
                    gc.enable()
                trace.close()
            except BaseException:  # an interrupt in here, and what it cut short is done again
                if collecting:
                    gc.enable()
                trace.close()
                raise


ARRAYS = {dlarray}
SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def refuse_suspended(function: Callable[..., Any]) -> None:
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & SUSPENDED:
        raise TypeRefused(
            f"{function.__name__} is a generator or coroutine function: it would run after the trace has ended; write "
            "an ordinary function that returns its values")
    if not callable(function):
        raise TypeRefused(
            f"dlfeval needs a function as its first argument, not {type(function).__name__}; write dlfeval(fun, x, "
            "...)")


def _variable(x: dlarray, trace: Trace, site: Site | None) -> dlarray:
    """A fresh handle to a variable of its own: each place in the arguments is one, whatever else holds the same
    array."""
    value = x._value
    if not (value.dtype.is_floating_point or value.dtype.is_complex):
        return dlarray._made(value, None, x._labels)
    parent = x._node if x._node is None else live(x._node)
    if parent is not None and parent.trace is not trace:
        raise TraceError(
            f"an argument of dlfeval belongs to another trace (made in {line_of(parent.site)}); pass it through the "
            "outer dlfeval")
    if parent is None:
        node = Node(VARIABLE, trace, (), [value], NO_PARAMS, value, site)
    else:
        node = Node(IDENTITY, trace, (parent,), [None, None], NO_PARAMS, value, site)
    return dlarray._made(value, node, x._labels)


def _left(result: Any) -> Any:
    """Results as they leave the outermost dlfeval."""
    kind = type(result)
    if kind is dlarray:
        return dlarray._made(result._value, None, result._labels)
    if kind is tuple and {*map(type, result)} <= ARRAYS:
        left = []
        for r in result:
            left.append(dlarray._made(r._value, None, r._labels))
        return tuple(left)
    leaves, structure = flatten(result)
    return unflatten(structure, [_left_leaf(leaf) for leaf in leaves])


def _left_leaf(leaf: Any) -> Any:
    if type(leaf) is dlarray:
        return dlarray._made(leaf._value, None, leaf._labels)
    if type(leaf) in (GeneratorType, CoroutineType, AsyncGeneratorType):
        if type(leaf) is not AsyncGeneratorType:
            leaf.close()
        raise TypeRefused(
            "dlfeval got a generator or coroutine back: it would run after the trace has ended; return a list or the "
            "values")
    leave = getattr(type(leaf), "__leave_trace__", None)
    return leave(leaf) if leave is not None else leaf


# ----- what a derivative is taken of, and with respect to -------------------------------------------------------------


def output_node(y: Any, word: str) -> Node | None:
    """The node of a result, None where nothing of it is traced."""
    if not isinstance(y, dlarray):
        raise TypeRefused(f"{word} differentiates a dlarray that was computed inside dlfeval, not {type(y).__name__}; "
                          "is a step computed in NumPy or torch? use gradloom's functions")
    node = y._node
    if node is not None and node.trace.open:
        return node
    if current_trace() is None:
        raise TraceError(
            f"{word} is used inside a function that dlfeval runs: write dlfeval(fun, x, ...) with {word} in fun; "
            "value_and_gradient(fun) takes the function itself")
    return None


def target_node(x: Any, word: str) -> Node:
    """The node of a target, or an error that says why it is none."""
    if not isinstance(x, dlarray):
        raise TypeRefused(
            f"{word} differentiates with respect to dlarrays, not {type(x).__name__}; pass it to dlfeval as dlarray(x)")
    dtype = x._value.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise TypeRefused(
            f"{word} with respect to an array of {str(dtype)[6:]} has no meaning; write dlarray(x, dtype=\"float64\")")
    if x._note is not None and x._note[0] == "assigned":
        raise TraceError(
            f"{word} with respect to an array that was assigned into (x[...] = v in {line_of(x._note[1])}): it is no "
            "longer what was passed; copy first with buffer = x.copy(), and write into the copy")
    node = x._node
    if node is None or not node.trace.open:
        if current_trace() is None:
            raise TraceError(
                f"{word} is used inside a function that dlfeval runs: write dlfeval(fun, x, ...) with {word} in fun")
        if x._note is not None and x._note[0] == "made":
            raise TraceError(
                f"{word} with respect to an array made inside the function, in {line_of(x._note[1])}: it is a constant "
                "there; pass it to dlfeval as an argument")
        raise TraceError(
            f"{word} with respect to an array that came from outside dlfeval (captured): pass it as an argument")
    return node


def check_leads_to(results: Node | Sequence[Node] | None, nodes: Sequence[Node], word: str) -> None:
    """A target that was computed and does not lead to a result is a slip; a variable that does not is fine."""
    computed = [n for n in nodes if n.operation is not VARIABLE and n.operation is not IDENTITY]
    if not computed:
        return
    results = [results] if isinstance(results, Node) else results or []
    found = set(ancestors(results, min(n.number for n in computed)))
    for node in computed:
        if node not in found and node.operation is not DESCENDS:
            raise TraceError(
                f"{word}: the result does not depend on the target computed in {line_of(node.site)}; it was made from "
                "something else. Compute the result from this very array (x = X[:, 0]; u = net(x), not net(X))")


def one_trace(results: Sequence[Node], targets: Sequence[Node]) -> None:
    """Results and targets of two traces have nothing to do with each other: an error, not zeros."""
    for node in targets:
        if results and node.trace is not results[0].trace:
            raise different_traces(results[0], node)


def dlgradient(y: Any, /, *targets: Any, retain_data: bool = False, enable_higher_derivatives: bool = False,
               allow_complex: bool = True) -> Any:
    """The gradient of a scalar with respect to targets: leaves or intermediate results, arrays or containers of them.

    Formula: g[i] = dy / dx[i]; for complex x = a + i b, g = dy/da + i dy/db, the direction of steepest ascent.
    One target gives its gradient, several a tuple, a container the same container; each has its target's shape, labels
    and type. Use it inside a function that `dlfeval` runs.

    `retain_data=False` drops what the walk has used, so that memory falls as it goes; a later derivative computes it
    again. `enable_higher_derivatives=True` records the walk, so that the gradient can be differentiated; without it,
    doing so is an error, never a silent constant. `allow_complex=False` refuses complex targets.

    Raises ShapeError for a y of more than one element, TypeRefused for complex y and integer targets, TraceError for
    targets that are not traced.

    >>> import gradloom as gl
    >>> gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x ** 3), x), gl.dlarray([1, 2]))
    2 dlarray float64
    [ 3. 12.]

    Source: MATLAB Deep Learning Toolbox, dlgradient.
    """
    if not targets:
        raise TypeRefused("dlgradient needs at least one target: write dlgradient(y, x)")
    y_node = output_node(y, "dlgradient")
    value = y._value
    if value.numel() != 1:
        raise ShapeError(
            f"dlgradient differentiates a scalar, y is {described(y.shape, y._labels)}; write dlgradient(gl.sum(y), x) "
            "for the gradient of its sum, dljacobian(y, x) for all its elements")
    if value.dtype.is_complex:
        raise TypeRefused("dlgradient differentiates a real scalar, y is complex; write dlgradient(gl.real(y), x)")
    if (y_node is not None and not enable_higher_derivatives and allow_complex
        and (variables := _variables(targets, y_node.trace)) is not None):
        bar = written_out(y_node, variables[0]) if len(variables) == 1 else None  # the common case, without containers
        bars = (pull({y_node: torch.ones_like(value) if value.ndim else number_like(1, value)}, variables,
                     release=not retain_data) if bar is None else (bar,))
        site = user_site(2)
        found = []
        for x, bar in zip(targets, bars, strict=True):
            found.append(marked(torch.zeros_like(x._value) if bar is None else bar, x._labels, y_node, site=site))
        return found[0] if len(found) == 1 else tuple(found)
    xs: Sequence[Any]
    if all([type(x) is dlarray for x in targets]):
        xs, structures = targets, None
    else:
        xs, structures = _flat_targets(targets)
    nodes = [target_node(x, "dlgradient") for x in xs]
    if not allow_complex:
        for x in xs:
            if x._value.dtype.is_complex:
                raise TypeRefused(
                    "dlgradient(..., allow_complex=False) with respect to a complex array; write allow_complex=True, "
                    "or make it real")
    if [n for n in nodes if n.operation is not VARIABLE]:
        check_leads_to(y_node, nodes, "dlgradient")
    gradients = gradient_of(y_node, value, xs, nodes, recorded=enable_higher_derivatives,
                            release=not (retain_data or enable_higher_derivatives))
    if structures is None:
        return gradients[0] if len(gradients) == 1 else tuple(gradients)
    following = iter(gradients)
    filled = [unflatten(structure, [leaf if passes else next(following) for leaf, passes in leaves])
              for structure, leaves in structures]
    return filled[0] if len(filled) == 1 else tuple(filled)


def _variables(targets: Sequence[Any], trace: Trace) -> list[Node] | None:
    """The nodes of targets that are all variables of a trace; None where some are containers, computed, or of another
    trace."""
    nodes = []
    for x in targets:
        if type(x) is not dlarray:
            return None
        node = target_node(x, "dlgradient")
        if node.operation is not VARIABLE or node.trace is not trace:
            return None
        nodes.append(node)
    return nodes


def _flat_targets(targets: Sequence[Any]) -> tuple[list[Any], list[tuple[Structure, list[tuple[Any, bool]]]]]:
    """All arrays of several targets, and how to fill their containers: text and None in a container stay what they
    are."""
    xs: list[Any] = []
    structures = []
    for target in targets:
        leaves, structure = flatten(target)
        passing = [structure.spec is not None and isinstance(leaf, (str, bytes, type(None))) for leaf in leaves]
        xs += [leaf for leaf, passes in zip(leaves, passing, strict=True) if not passes]
        structures.append((structure, list(zip(leaves, passing, strict=True))))
    return xs, structures


def gradient_of(y_node: Node | None, value: Tensor, xs: Sequence[dlarray], nodes: Sequence[Node],
                recorded: bool, release: bool) -> list[dlarray]:
    """Gradients as arrays: nodes that descend from their targets where recorded, marked where not."""
    bars: Sequence[Any] = [None] * len(nodes)
    if y_node is not None and nodes:
        one_trace([y_node], nodes)
        one = torch.ones_like(value) if value.ndim or recorded else number_like(1, value)
        bars = pull({y_node: dlarray._made(one, None) if recorded else one}, nodes, recorded=recorded, release=release)
    site = user_site()
    return [derivative(bar, x, node, y_node, recorded, site) for bar, x, node in zip(bars, xs, nodes, strict=True)]


def derivative(bar: Any, x: dlarray, node: Node, y_node: Node | None, recorded: bool,
               site: Site | None = None) -> dlarray:
    """A derivative in the shape and labels of x, as a result of `dlgradient` and its like."""
    if bar is None:
        bar = torch.zeros_like(x._value)
    return recorded_result(bar, x._labels, [node]) if recorded else marked(bar, x._labels, y_node or node, site=site)


def recorded_result(bar: Any, labels: str | None, nodes: Sequence[Node]) -> dlarray:
    """A recorded derivative: a node that descends from its targets."""
    raw, parent = (bar._value, live(bar._node)) if type(bar) is dlarray else (bar, None)
    made = Node(DESCENDS, nodes[0].trace, (parent, *nodes), [None if parent is not None else raw,
                                                             *[None] * len(nodes), None], NO_PARAMS, raw, user_site())
    return dlarray._made(raw, made, labels)


ENABLE = "enable_higher_derivatives=True"
_WITH_ENABLE = {"option": ENABLE}


def marked(value: Tensor, labels: str | None, source: Node | Sequence[Node], option: str = ENABLE,
           directions: Sequence[dlarray] = (), site: Site | None = None) -> dlarray:
    """A derivative that was not recorded, of `source` and in `directions`: to differentiate through it is an error."""
    parents: tuple[Node, ...] = (source,) if type(source) is Node else tuple(source)  # type: ignore[arg-type]
    if directions:
        parents = (*parents, *[d._node for d in directions if live(d._node) is not None])  # type: ignore[arg-type]
    values = [*[None] * len(parents), value]  # kept: it cannot be computed again
    params = _WITH_ENABLE if option is ENABLE else {"option": option}
    return dlarray._made(value, Node(UNRECORDED, parents[0].trace, parents, values, params,
                                     value, site or user_site(2)), labels)


def detach(x: Any, /) -> dlarray:
    """The same values, labels and device as a constant: nothing is differentiated through it.

    >>> import gradloom as gl
    >>> gl.dlfeval(lambda x: gl.dlgradient(x + gl.atan(gl.detach(x)), x), gl.dlarray(2.0))
    dlarray float64 1.0

    Source: PyTorch detach; MATLAB users write extractdata.
    """
    x = x if isinstance(x, dlarray) else dlarray(x)
    return dlarray._made(x._value, None, x._labels)


dlarray.detach = detach  # type: ignore[attr-defined]


def extractdata(x: Any, /) -> Any:
    """The values as a read-only NumPy array, a constant: shared memory on the CPU, a copy from a GPU.

    Raises TypeRefused for bfloat16: write x.astype("float32").

    >>> import gradloom as gl
    >>> gl.extractdata(gl.dlarray([1.0, 2.0]))
    array([1., 2.])

    Source: MATLAB extractdata.
    """
    return detach(x).numpy()


def isdlarray(x: Any, /) -> bool:
    """Whether x is a dlarray.

    >>> import gradloom as gl
    >>> gl.isdlarray(3)
    False
    """
    return isinstance(x, dlarray)


__all__ = ["detach", "dlfeval", "dlgradient", "extractdata", "isdlarray"]
