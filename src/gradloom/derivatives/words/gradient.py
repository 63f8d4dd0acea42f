"""dlgradient, and what a derivative is taken of and with respect to."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.containers import Structure, flatten, unflatten
from ...core.errors import ShapeError, Site, TraceError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...core.trace import Node, Trace, ancestors, current_trace, different_traces
from ...machine.dtypes import Tensor
from ...operations.elementwise.arithmetic import number_like
from ...vocabulary.options import by_name_and_value
from ..walks.meetings import pull
from ..walks.unrolled import written_out
from .marks import DESCENDS, IDENTITY, VARIABLE, marked, recorded_result

OPTIONS = ("retain_data", "enable_higher_derivatives", "allow_complex")


def output_node(y: Any, word: str) -> Node | None:
    """The node of a result, None where nothing of it is traced."""
    if isinstance(y, (list, tuple)) and y and all(isinstance(part, dlarray) for part in y):
        names = ", ".join(f"y{k + 1}" for k in range(min(len(y), 3))) + (", ..." if len(y) > 3 else "")
        raise TypeRefused(
            f"{word} differentiates one scalar, {len(y)} results were given, at {line_of(user_site())}; write "
            f"dljacobian([{names}], x) for all their derivatives: one Jacobian, J.matrix() has a row for each; "
            f"or dlgradient(y1 + y2, x) for the gradient of their sum")
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
    if isinstance(x, str) and (option := by_name_and_value(word, [x, True], OPTIONS)) is not None:
        # MATLAB's dlgradient(y, x, "RetainData", true)
        raise TypeRefused(f"{word} differentiates with respect to dlarrays, {x!r} is the name of an option, at "
                          f"{line_of(user_site())}; {option}")
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
        # quick way: scalar code whose walk has been written out; the plain one is pull
        bar = written_out(y_node, variables[0]) if len(variables) == 1 else None
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
