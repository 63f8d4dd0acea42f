"""What derivatives of fields are taken of: u and x of one trace, in which the observations do not mix."""
from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.errors import (
    BatchDependenceWarning,
    LabelError,
    ShapeError,
    TraceError,
    TypeRefused,
    line_of,
    user_site,
)
from ...core.labels import axes_of, described, positions
from ...core.trace import Node
from ..jacobians.independence import independence
from ..words.gradient import check_leads_to, one_trace, output_node, target_node
from ..words.marks import marked, recorded_result


def checked(u: Any, x: Any, word: str) -> tuple[Node | None, Node]:
    """The nodes of u and x, both real and of one trace."""
    u_node, x_node = output_node(u, word), target_node(x, word)
    for name, array in (("u", u), ("x", x)):
        if array.dtype.is_complex:
            raise TypeRefused(
                f"{word} is defined for real u and x, {name} is complex, at {line_of(user_site())}; write "
                f"gl.real({name}) and gl.imag({name})")
    check_leads_to(u_node, [x_node], word)
    one_trace([u_node] if u_node is not None else [], [x_node])
    return u_node, x_node


def coordinates(axis: Any, x: dlarray, word: str) -> tuple[int, ...]:
    """The axes of x that `axis` names: not its observations alone, over which nobody sums derivatives."""
    axes = axes_of(axis, x.ndim, x._labels, x.shape)
    if x._labels is not None and [x._labels[k] for k in axes] == ["B"]:
        raise LabelError(
            f"{word}: axis {axes[0]} of x {described(x.shape, x._labels)} is that of its observations, at "
            f"{line_of(user_site())}; name the axis of its coordinates, such as \"C\" (axes count from 0, MATLAB's 1 "
            "is 0 here)")
    return axes


def result(found: Any, shape: Sequence[int], u: dlarray, u_node: Node | None, x_node: Node, recorded: bool) -> dlarray:
    """What a walk found, zero where it found nothing, as an array with u's labels."""
    if found is None:
        found = torch.zeros(tuple(shape), dtype=u.dtype, device=u._value.device)
    return recorded_result(found, u._labels, [x_node]) if recorded else marked(found, u._labels, u_node or x_node)


def own_axes(u: dlarray, x: dlarray, axis: Any, x_axes: Sequence[int]) -> tuple[int, ...]:
    """The axes of u that `axis` names: its channels."""
    if u._labels is not None and x._labels is not None:
        letters = {x._labels[k] for k in x_axes}
        return tuple(k for k, letter in enumerate(u._labels) if letter in letters)
    return tuple(x_axes) if u.ndim == x.ndim else ()


def observations(u: dlarray, x: dlarray, u_node: Node | None, x_node: Node, u_axes: Sequence[int],
                  x_axes: Sequence[int], word: str) -> list[int]:
    """The axes of x that are observations of u, with proof that they do not mix."""
    choices: dict[int, list[int]] = {}
    free = [j for j in range(x.ndim) if j not in x_axes and x.shape[j] > 1]
    for k in range(u.ndim):
        if k in u_axes or u.shape[k] == 1:
            continue
        if u._labels is not None and x._labels is not None:
            letter = u._labels[k]
            same = positions(x._labels, letter)
            if u._labels.count(letter) == len(same):
                same = same[positions(u._labels, letter).index(k):][:1]
        else:
            same = tuple(sorted(free, key=lambda j: (j != k, j)))
        choices[k] = [j for j in same if j in free and x.shape[j] == u.shape[k]]
    lost = [k for k, js in choices.items() if not js]
    if lost and len(free) > len(choices) - len(lost):
        raise ShapeError(
            f"{word} of u {described(u.shape, u._labels)} with respect to x {described(x.shape, x._labels)}: axis "
            f"{lost[0]} of u has no axis of x that it belongs to, at {line_of(user_site())}; write dljacobian(u, x) "
            "for derivatives of everything")
    ks = [k for k in choices if choices[k]]
    pairings = [js for js in itertools.islice(itertools.product(*[choices[k] for k in ks]), 64)
                if len(set(js)) == len(js)]
    if not ks or u_node is None:
        return list(pairings[0]) if pairings else []
    first: Any = None
    for js in pairings:
        verdict, reason = independence(u_node, x_node, {k: [j] for k, j in zip(ks, js, strict=True)})
        if verdict == "proved":
            return list(js)
        first = first or (verdict, reason, js)
    verdict, reason, js = first or ("disproved", "two axes of u belong to one of x", ())
    where = f"{word} at {line_of(user_site())}: "
    if verdict == "disproved":
        raise TraceError(
            f"{where}the observations of u {described(u.shape, u._labels)} are not independent: {reason}. Write "
            "dljacobian(u, x) for all derivatives, or sum u over its observations first")
    warnings.warn(
        f"{where}whether the observations of u {described(u.shape, u._labels)} are independent cannot be proved from "
        f"the trace: {reason}. If they are not, the result is a sum over other observations too",
        BatchDependenceWarning, stacklevel=3)
    return list(js)


__all__ = ["checked", "coordinates", "observations", "own_axes", "result"]
