"""Products of a Jacobian or a Hessian with a direction, of results and inside `dlfeval`: jvp, vjp, hvp."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.containers import Structure, flatten, unflatten
from ...core.trace import Node
from ..walks.meetings import pull, push
from .directions import direction, matched
from .gradient import check_leads_to, dlgradient, one_trace, output_node, target_node
from .marks import marked, recorded_result


def _directions(xs: Sequence[dlarray], structure: Structure, v: Any, word: str,
                recorded: bool) -> tuple[list[dlarray], list[Any]]:
    """A direction for each array, and what a walk carries of them."""
    directions = [direction(d, x.shape, x._labels, x.dtype, word)
                  for x, d in zip(xs, matched(v, structure, word), strict=True)]
    return directions, [d if recorded else d._value for d in directions]


def _ends(u: Any, x: Any, word: str) -> tuple[tuple[list[Any], Structure, list[Node | None], list[Node]],
                                              tuple[list[Any], Structure, list[Node]]]:
    """The results with their container, nodes and those that are traced; the targets with theirs; both checked."""
    outputs, u_structure = flatten(u)
    xs, structure = flatten(x)
    u_nodes = [output_node(o, word) for o in outputs]
    nodes = [target_node(t, word) for t in xs]
    live_nodes = [n for n in u_nodes if n is not None]
    check_leads_to(live_nodes, nodes, word)
    one_trace(live_nodes, nodes)
    return (outputs, u_structure, u_nodes, live_nodes), (xs, structure, nodes)


def _seeds(nodes: Sequence[Node | None], carried: Sequence[Any]) -> dict[Node, Any]:
    """What a walk starts from at each node; several arrays may be at one place."""
    seeds: dict[Node, Any] = {}
    for node, seed in zip(nodes, carried, strict=True):
        if node is not None:
            seeds[node] = seeds[node] + seed if node in seeds else seed
    return seeds


def _product(found: Any, like: dlarray, targets: Sequence[Node], recorded: bool, source: Node,
             directions: Sequence[dlarray]) -> dlarray:
    """What a walk found, zero where it found nothing, in the shape and labels of `like`."""
    raw = torch.zeros_like(like._value) if found is None else found
    return (recorded_result(raw, like._labels, targets) if recorded
            else marked(raw, like._labels, source, directions=directions))


def jvp(u: Any, x: Any, v: Any, /, *, enable_higher_derivatives: bool = False) -> Any:
    """The Jacobian of u with respect to x times a direction v, by one walk forwards.

    Formula: J v = d/dt u(x + t v) at t = 0. u, and the result, may be any container; v has x's container and shapes.

    >>> import gradloom as gl
    >>> gl.dlfeval(lambda x: gl.jvp(x ** 2, x, gl.dlarray([1.0, 0.0])), gl.dlarray([3.0, 4.0]))
    2 dlarray float64
    [6. 0.]

    Source: Griewank and Walther, Evaluating Derivatives, 2008.
    """
    (outputs, u_structure, u_nodes, live_nodes), (xs, structure, nodes) = _ends(u, x, "jvp")
    recorded = enable_higher_derivatives
    directions, carried = _directions(xs, structure, v, "jvp", recorded)
    pushed: dict[Node | None, Any] = (dict(zip(live_nodes, push(live_nodes, _seeds(nodes, carried), recorded=recorded),
                                               strict=True)) if live_nodes else {})
    return unflatten(u_structure, [_product(pushed.get(u_node), o, nodes, recorded, u_node or nodes[0], directions)
                                   for o, u_node in zip(outputs, u_nodes, strict=True)])


def vjp(u: Any, x: Any, w: Any, /, *, enable_higher_derivatives: bool = False, retain_data: bool = True) -> Any:
    """The transposed Jacobian of u with respect to x times w, by one walk backwards: the gradient of sum(real(conj(w)
    u)).

    w has u's container and shapes, the result x's.

    >>> import gradloom as gl
    >>> gl.dlfeval(lambda x: gl.vjp(x ** 2, x, gl.dlarray([1.0, 10.0])), gl.dlarray([3.0, 4.0]))
    2 dlarray float64
    [ 6. 80.]

    Source: Griewank and Walther, Evaluating Derivatives, 2008.
    """
    (outputs, u_structure, u_nodes, live_nodes), (xs, structure, nodes) = _ends(u, x, "vjp")
    recorded = enable_higher_derivatives
    directions, carried = _directions(outputs, u_structure, w, "vjp", recorded)
    bars = _seeds(u_nodes, carried)
    pulled: Sequence[Any] = (pull(bars, nodes, recorded=recorded, release=not (retain_data or recorded))
                             if bars else [None] * len(nodes))
    return unflatten(structure, [_product(bar, t, [node], recorded, node if bar is None else live_nodes[-1],
                                          [*directions, *outputs])
                                 for bar, t, node in zip(pulled, xs, nodes, strict=True)])


def hvp(y: Any, x: Any, v: Any, /, *, enable_higher_derivatives: bool = False) -> Any:
    """The Hessian of a scalar y with respect to x times a direction v: a walk forwards over a recorded walk backwards.

    >>> import gradloom as gl
    >>> gl.dlfeval(lambda x: gl.hvp(gl.sum(x ** 3), x, gl.dlarray([1.0, 0.0])), gl.dlarray([3.0, 4.0]))
    2 dlarray float64
    [18.  0.]

    Source: Pearlmutter 1994.
    """
    g = dlgradient(y, x, enable_higher_derivatives=True)
    return jvp(g, x, v, enable_higher_derivatives=enable_higher_derivatives)


__all__ = ["hvp", "jvp", "vjp"]
