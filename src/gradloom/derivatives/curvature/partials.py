"""`partials`: several partial derivatives of a field, of any order, by one walk."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...core.errors import ShapeError, TypeRefused, ValueRefused, line_of, user_site
from ...core.labels import described
from ..jacobians.structure import depends
from .jets import Jet, Sum, Word, partial_derivatives
from .observations import checked, coordinates, observations, own_axes, result


def partials(u: Any, x: Any, asked: Any, /, axis: Any = "C", *, names: Any = None,
             enable_higher_derivatives: bool = True) -> Any:
    """Partial derivatives of u by the coordinates that stand along one axis of x, for each observation and each channel
    of u, all from one walk forwards.

    Formula: "xxt" is d3u / dx dx dt. `asked` is a list of derivatives of any order, and the result a tuple of arrays
    with u's shape and labels; one text alone gives one array. `names` says which coordinate is which position of
    `axis`, an integer or a label of x. A derivative is written in their letters, in any order: `names="xt"` has "x",
    "t", "xx", "xt". Names longer than a letter, and positions where there are no names, stand in a tuple:
    `[("x1", "x1")]`, `[(0, 0, 1)]`.

    Only the tangents that the derivatives need are carried: "xx" takes "x" and "xx". A sum of derivatives times numbers
    is written as a dict, `{"t": 1, "xx": -0.01}` for u_t - 0.01 u_xx, and costs what one derivative does, wherever it
    is of at most second order and all that bends u works element by element. The results are recorded unless
    `enable_higher_derivatives=False`. The other axes of x are observations, which must not mix.

    Raises ValueError for a derivative by something that is no name, TypeRefused for a factor that is no real number,
    ShapeError where the names do not fit `axis`,
    TraceError where the trace shows that u mixes observations, TypeRefused for complex u or x; a BatchDependenceWarning
    says that it cannot tell.

    >>> import gradloom as gl
    >>> def heat(x):
    ...     u = gl.sin(x[0:1]) * gl.exp(-x[1:2])
    ...     u_t, u_xx = gl.partials(u, x, ["t", "xx"], "C", names="xt")
    ...     return u_t - u_xx
    >>> gl.dlfeval(heat, gl.dlarray([[0.5, 1.0], [0.0, 0.1]], "CB"))
    1(C) x 2(B) dlarray float64
    [[0. 0.]]
    >>> def heat_at_once(x):
    ...     u = gl.sin(x[0:1]) * gl.exp(-x[1:2])
    ...     return gl.partials(u, x, {"t": 1, "xx": -1}, "C", names="xt")
    >>> gl.dlfeval(heat_at_once, gl.dlarray([[0.5, 1.0], [0.0, 0.1]], "CB"))
    1(C) x 2(B) dlarray float64
    [[0. 0.]]

    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 13; Dangel et al. 2025, Collapsing Taylor Mode.
    """
    word = "partials"
    u_node, x_node = checked(u, x, word)
    x_axes = coordinates(axis, x, word)
    if len(x_axes) != 1:
        raise ShapeError(
            f"{word}: the coordinates stand along one axis of x, which is {described(x.shape, x._labels)}; axis "
            f"{axis!r} is {len(x_axes)}, at {line_of(user_site())}; write x with the coordinates along C, or name one "
            "axis by its integer")
    (along,) = x_axes
    count = x.shape[along]
    places = _places(names, x, along)
    one = isinstance(asked, (str, dict))
    wanted = [_sum(its, places) if isinstance(its, dict) else _word(its, places) for its in ([asked] if one else asked)]
    batches = observations(u, x, u_node, x_node, own_axes(u, x, axis, x_axes), x_axes, word)
    if left := [k for k in range(x.ndim) if k != along and k not in batches and x.shape[k] > 1]:
        raise ShapeError(
            f"{word}: axis {left[0]} of x {described(x.shape, x._labels)} is neither the coordinates' nor one of the "
            f"observations of u {described(u.shape, u._labels)}, at {line_of(user_site())}; write dljacobian(u, x)")
    jet: Jet = {}
    if wanted and depends(u_node, x_node):
        assert u_node is not None
        hot = torch.eye(count, dtype=x.dtype, device=x._value.device)
        shape = [count if k == along else 1 for k in range(x.ndim)]
        seeds = {a: hot[a].reshape(shape) for a in range(count)}
        jet = partial_derivatives(u_node, x_node, seeds, set(wanted), enable_higher_derivatives)
    results = tuple([result(jet.get(w), u.shape, u, u_node, x_node, enable_higher_derivatives) for w in wanted])
    return results[0] if one else results


def _places(names: Any, x: Any, axis: int) -> dict[Any, int]:
    """The position of each name; without names, of each position."""
    count = x.shape[axis]
    if names is None:
        return {k: k for k in range(count)}
    places = {name: k for k, name in enumerate(names)}
    if len(places) != len(names) or len(places) != count or not all([isinstance(name, str) and name for name in names]):
        raise ShapeError(
            f"partials: {count} coordinates stand along axis {axis} of x {described(x.shape, x._labels)}, and names is "
            f"{names!r}, at {line_of(user_site())}; write a different name for each, as in names=\"xt\"")
    return places


def _sum(factors: dict[Any, Any], places: dict[Any, int]) -> Sum:
    """Derivatives times numbers."""
    terms: dict[Word, float] = {}
    for derivative, factor in factors.items():
        if isinstance(factor, (bool, np.bool_)) or not isinstance(factor, (int, float, np.integer, np.floating)):
            raise TypeRefused(
                f"partials: the factor of {derivative!r} in a sum is a number, not {type(factor).__name__}, at "
                f"{line_of(user_site())}; ask for {derivative!r} by itself, and multiply it")
        word = _word(derivative, places)
        terms[word] = terms.get(word, 0.0) + float(factor)
    return Sum(tuple([(word, factor) for word, factor in sorted(terms.items()) if factor]))


def _word(derivative: Any, places: dict[Any, int]) -> Word:
    """The sorted positions of one derivative, which is written by names or by positions."""
    letters = [derivative] if isinstance(derivative, (str, int)) and derivative in places else derivative
    letters = letters if isinstance(letters, (str, list, tuple)) else [letters]
    if not letters or any([letter not in places for letter in letters]):
        known = ", ".join(map(repr, places))
        kind = "names of names=" if isinstance(next(iter(places), 0), str) else "positions, or names with names=,"
        raise ValueRefused(
            f"partials: {derivative!r} is no derivative by the coordinates {known}, at {line_of(user_site())}; write "
            f"one or more of these {kind} for each, as in \"xt\" with names=\"xt\"")
    return tuple(sorted([places[letter] for letter in letters]))


__all__ = ["partials"]
