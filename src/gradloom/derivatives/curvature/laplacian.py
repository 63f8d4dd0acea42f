"""`dldivergence` and `dllaplacian`: sums of first and second derivatives along an axis, observation by observation."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.errors import ShapeError, TypeRefused, ValueRefused, line_of, user_site
from ...core.labels import axes_of, described
from ...core.tables import words
from ...core.trace import live, walking
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ..jacobians.structure import depends
from ..walks.meetings import meets, pull
from ..walks.meetings import second as second_apart
from ..walks.meetings import tangents as tangents_apart
from ..walks.steps import cast
from .observations import checked, coordinates, observations, own_axes, result
from .walk import Walk


def dldivergence(u: Any, x: Any, axis: Any, /, *, enable_higher_derivatives: bool = True) -> Any:
    """The divergence of u with respect to x: the sum along `axis` of du[i] / dx[i], for each observation.

    `axis` is an integer or a label letter, looked up in both, or several; u and x have the same sizes along it. The
    other axes are observations, which must not mix. The result has u's shape and labels with size 1 along `axis`, and
    is recorded unless `enable_higher_derivatives=False`.

    Raises ShapeError where the sizes differ, TraceError where the trace shows that u mixes observations; a
    BatchDependenceWarning says that it cannot tell.

    >>> import gradloom as gl
    >>> gl.dlfeval(lambda x: gl.dldivergence(x ** 2, x, "C"), gl.dlarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "CB"))
    1(C) x 3(B) dlarray float64
    [[10. 14. 18.]]

    Source: MATLAB Deep Learning Toolbox, dldivergence.
    """
    word = "dldivergence"
    u_node, x_node = checked(u, x, word)
    x_axes, u_axes = coordinates(axis, x, word), axes_of(axis, u.ndim, u._labels, u.shape)
    sizes = [x.shape[k] for k in x_axes]
    if not x_axes or sizes != [u.shape[k] for k in u_axes]:
        raise ShapeError(
            f"{word} of u {described(u.shape, u._labels)} with respect to x {described(x.shape, x._labels)}: along "
            f"axis {axis!r} they must have the same size, at {line_of(user_site())}")
    batches = observations(u, x, u_node, x_node, u_axes, x_axes, word)
    if left := [k for k in range(x.ndim) if k not in x_axes and k not in batches and x.shape[k] > 1]:
        raise ShapeError(
            f"{word}: axis {left[0]} of x {described(x.shape, x._labels)} is neither an axis of the sum nor one of the "
            f"observations of u {described(u.shape, u._labels)}, at {line_of(user_site())}; name it in axis, or write "
            "dljacobian(u, x)")
    shape = tuple(1 if k in u_axes else n for k, n in enumerate(u.shape))
    found = None
    count = math.prod(sizes)
    if count and depends(u_node, x_node):
        assert u_node is not None
        order = sorted(range(len(x_axes)), key=lambda d: x_axes[d])
        if meets(u_node, x_node):
            tangents = tangents_apart(u_node, x_node, x_axes, _one(x), True, enable_higher_derivatives)
        else:
            tangents = Walk(u_node, x_node, x_axes, _one(x), True, enable_higher_derivatives).tangents()
        if tangents is not None:
            # Directions count the axes of x in their order; each meets the entry of u that it belongs to.
            hot = torch.eye(count, dtype=torch.bool, device=u._value.device).reshape(count, *[sizes[d] for d in order])
            where = sorted(range(len(u_axes)), key=lambda d: u_axes[d])
            hot = hot.permute(0, *[1 + order.index(d) for d in where])
            hot = hot.reshape(count, *[u.shape[k] if k in u_axes else 1 for k in range(u.ndim)])
            if enable_higher_derivatives:
                # Chosen, not multiplied: other derivatives may be infinite.
                chosen = walking(words.where, dlarray._made(hot, None), tangents, 0)
                found = words.reshape(words.sum(chosen, axis=(0, *[1 + k for k in u_axes])), shape)
            else:
                zero = torch.zeros((), dtype=tangents.dtype, device=tangents.device)
                found = torch.where(hot, tangents, zero).sum((0, *[1 + k for k in u_axes])).reshape(shape)
    return result(found, shape, u, u_node, x_node, enable_higher_derivatives)


def dllaplacian(u: Any, x: Any, axis: Any, /, *, weights: Any = None, directions: int | None = None,
                draws: str = "signs", with_gradient: bool = False, enable_higher_derivatives: bool = True) -> Any:
    """The Laplacian of u with respect to x: the sum along `axis` of d2u / dx[i]2, for each observation and each channel
    of u.

    `axis` is x's: an integer, a label letter, or several. Axes of x that u has too (by label, else by size) are
    observations, which must not mix; axes that only x has are summed over as `axis` is. The result has u's shape and
    labels, and is recorded unless `enable_higher_derivatives=False`; the Laplacian of a Laplacian is the biharmonic.

    `weights`: constants a for sum a[i] d2u / dx[i]2 (a vector) or sum a[i, j] d2u / dx[i] dx[j] (a matrix), i and j
    counting the entries along `axis`. `directions=n`: an unbiased estimate from n random directions v, the mean of v' H
    v, for very many inputs; the same draw for all observations. With `draws="signs"` its variance is 2/n times the sum
    of H[i, j]**2 over i != j, with `draws="normal"` over all i, j.

    `with_gradient=True` gives (gradient, Laplacian) of a u with one channel, the gradient in x's shape and labels: from
    the same walk, or, with `weights` or `directions`, from one walk backwards more.

    Raises TraceError where the trace shows that u mixes observations, TypeRefused for complex u or x, ShapeError for
    the gradient of a u of several channels; a BatchDependenceWarning says that it cannot tell.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")
    >>> gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(x ** 3, axis="C", keepdims=True), x, "C"), x)
    1(C) x 2(B) dlarray float64
    [[24. 36.]]

    Source: MATLAB Deep Learning Toolbox, dllaplacian; Li et al. 2024, Forward Laplacian; Dangel et al. 2025, Collapsing
    Taylor Mode.
    """
    word = "dllaplacian"
    u_node, x_node = checked(u, x, word)
    x_axes = coordinates(axis, x, word)
    if not x_axes:
        raise ShapeError(
            f"{word} needs an axis of x, which is {described(x.shape, x._labels)}, at {line_of(user_site())}")
    u_axes = own_axes(u, x, axis, x_axes)
    batches = observations(u, x, u_node, x_node, u_axes, x_axes, word)
    summed = [*x_axes, *[k for k in range(x.ndim) if k not in x_axes and k not in batches]]
    if with_gradient and u.size != math.prod([x.shape[k] for k in batches]):
        raise ShapeError(
            f"{word}(..., with_gradient=True) is of one channel, u is {described(u.shape, u._labels)} and x "
            f"{described(x.shape, x._labels)}, at {line_of(user_site())}; write dljacobian(u, x, axis) for the "
            "gradients of several")
    seeds = _seeds(x, x_axes, summed, weights, directions, draws)
    total: Any = None
    gradient: Any = None
    if all(x.shape[k] for k in summed) and depends(u_node, x_node):
        assert u_node is not None
        apart = meets(u_node, x_node)  # of such a trace only two walks in a row know the second derivatives
        shared = with_gradient and not apart and weights is None and directions is None
        if with_gradient and not shared:
            one = torch.ones_like(u._value)
            (gradient,) = pull({u_node: dlarray._made(one, None) if enable_higher_derivatives else one}, [x_node],
                               recorded=enable_higher_derivatives)
        for sign, seed, tied, moving in seeds:
            if apart:
                found = second_apart(u_node, x_node, summed, seed, tied, enable_higher_derivatives)
            else:
                walk = Walk(u_node, x_node, summed, seed, tied, enable_higher_derivatives, moving)
                tangents, found = walk.tangents_and_second() if shared else (None, walk.second())
                if tangents is not None:
                    gradient = walking(_placed, tangents, u, x, summed, batches)
            if found is not None:
                found = found if sign > 0 else -found
                total = found if total is None else total + found
    laplacian = result(total, u.shape, u, u_node, x_node, enable_higher_derivatives)
    if not with_gradient:
        return laplacian
    return result(gradient, x.shape, x, u_node, x_node, enable_higher_derivatives), laplacian


def _placed(tangents: Any, u: dlarray, x: dlarray, summed: Sequence[int], batches: Sequence[int]) -> Any:
    """How a u of one channel moves along each entry of the axes `summed`, in the shape of x."""
    moving = sorted(k for k in summed if x.shape[k] != 1)
    axes = [*moving, *batches]  # those of x, in the order in which the tangents have them
    tangents = words.reshape(tangents, [x.shape[k] for k in axes])
    placed = words.reshape(words.permute_dims(tangents, [axes.index(k) for k in sorted(axes)]), x.shape)
    return cast(placed, x.dtype)


def _one(x: dlarray) -> Tensor:
    return torch.ones((1,) * (1 + x.ndim), dtype=x.dtype, device=x._value.device)


# ----- directions -----------------------------------------------------------------------------------------------------


ASKED = 64
# sign, tangents of x, whether they are tied, and of each axis the entries that move, where that is known
Seed = tuple[int, Tensor, bool, dict[int, list[int]]]


def _seeds(x: dlarray, x_axes: Sequence[int], summed: Sequence[int], weights: Any, directions: int | None,
           draws: str) -> list[Seed]:
    """Of each walk; second derivatives with negative weights are subtracted."""
    factors: list[Seed] = [(1, _one(x), True, {})] if weights is None else _weighted(x, x_axes, summed, weights)
    if directions is None:
        return factors
    if isinstance(directions, bool) or not isinstance(directions, int) or directions < 1:
        raise TypeRefused(
            f"directions is how many random directions to take, at least 1, not {directions!r}, at "
            f"{line_of(user_site())}")
    if draws not in ("signs", "normal"):
        raise ValueRefused(
            f"dllaplacian has no draws={draws!r}, at {line_of(user_site())}; write draws=\"signs\" or draws=\"normal\"")
    drawn: list[Seed] = []
    for sign, seed, tied, _ in factors:
        shape = ((directions, *[x.shape[k] if k in summed else 1 for k in range(x.ndim)])
                 if tied else (directions, seed.shape[0]))
        if draws == "normal":
            v = words.randn(shape, like=x)._value
        else:
            v = 2 * words.bernoulli(0.5, shape, like=x)._value - 1
        v = v.to(x.dtype) * directions**-0.5
        drawn.append((sign, v * seed if tied else torch.tensordot(v, seed, 1), False, {}))
    return drawn


def _weighted(x: dlarray, x_axes: Sequence[int], summed: Sequence[int], weights: Any) -> list[Seed]:
    """Tangents F with F' S F = a, by the signs S; those of a vector stay tied to their places, and those of weight 0
    are not walked."""
    if isinstance(weights, dlarray) and live(weights._node) is not None:
        raise TypeRefused(f"the weights of dllaplacian are constants, at {line_of(user_site())}; write detach(weights)")
    a = (weights if isinstance(weights, dlarray) else dlarray(weights))._value.to(x.dtype).to(x._value.device)
    sizes = [x.shape[k] for k in x_axes]
    count = math.prod(sizes)
    if tuple(a.shape) not in ((count,), (count, count)):
        raise ShapeError(
            f"the weights of dllaplacian are ({count},) or ({count}, {count}) for {count} entries along axis, not "
            f"{described(a.shape, None)}, at {line_of(user_site())}")
    if len(summed) > len(x_axes) and any(x.shape[k] > 1 for k in summed[len(x_axes):]):
        raise ShapeError(
            f"weights count the entries along axis, and x {described(x.shape, x._labels)} has others that u has not, "
            f"at {line_of(user_site())}; name them in axis")
    if a.ndim == 1:
        values, rows = a, None
    else:
        values, vectors = torch.linalg.eigh((a + a.mT) / 2)
        rows = vectors.mT
    found: list[Seed] = []
    for sign in (1, -1):
        part = (sign * values).clamp(min=0)
        if not decided((part > 0).any()):
            continue
        seed = part.sqrt().unsqueeze(0) if rows is None else (part.sqrt().unsqueeze(1) * rows)[part > 0]
        order = sorted(range(len(x_axes)), key=lambda d: x_axes[d])
        seed = seed.reshape(-1, *sizes).permute(0, *[1 + d for d in order])
        seed = seed.reshape(-1, *[x.shape[k] if k in x_axes else 1 for k in range(x.ndim)])
        found.append((sign, seed, rows is None, _moving(seed[0], x_axes) if rows is None else {}))
    return found


def _moving(seed: Tensor, x_axes: Sequence[int]) -> dict[int, list[int]]:
    """Of each axis the entries that move; asked one by one, so not of a long axis."""
    found = {}
    for k in x_axes:
        if seed.shape[k] <= ASKED:
            entries = seed.movedim(k, 0).reshape(seed.shape[k], -1)
            found[k] = [i for i, entry in enumerate(entries) if decided((entry != 0).any())]
    return found


__all__ = ["dldivergence", "dllaplacian"]
