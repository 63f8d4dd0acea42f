"""The words that solvers take: functions that return Jacobians and Hessians, dense or sparse, of what they are given."""
from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.errors import ShapeError, TraceError, TypeRefused, line_of, needed, user_site
from ...core.labels import described
from ...core.tables import PUBLIC
from ...core.trace import Node, ancestors, current_trace, live
from ...machine.dtypes import NAMES, NUMBER_TYPES, Tensor, differentiable
from ...machine.memory import free_memory, readable_bytes
from ..jacobians.along_axis import dljacobian
from ..jacobians.structural_zeros import cleared
from ..walks.meetings import pull, push
from .evaluate import dlfeval, dlgradient, refuse_suspended
from .functions import _as_variable, _place, apart

PIECE = 1 << 20  # bytes of the widest tangent of one walk


def jacobian(function: Callable[..., Any], /, *, argument: int | str = 0) -> Callable[..., Any]:
    """The function that returns the Jacobian of `function`'s value with respect to one argument; the others are passed
    through.

    Formula: J[i, j] = d f(x)[i] / d x[j], of shape (*f(x).shape, *x.shape). `argument` is the position or name of the
    argument. `function` receives it as a dlarray and returns a dlarray, or a list of scalars. The walks go forwards
    where x has no more elements than f(x), else backwards, many directions at once, in pieces.

    NumPy in, fresh writable NumPy out; torch tensors in, a tensor out; a dlarray in, a dlarray out, recorded where it
    is traced. `scipy.optimize.least_squares(f, x0, jac=gl.jacobian(f))` and `scipy.integrate.solve_ivp(f, ...,
    jac=gl.jacobian(f, argument=1))` take it as it is.

    Raises TypeRefused for integer or complex arrays, ShapeError where the result does not fit in memory.

    >>> import gradloom as gl, numpy as np
    >>> gl.jacobian(lambda x: x[1:] * x[:-1])(np.array([1.0, 2.0, 3.0]))
    array([[2., 1., 0.],
           [0., 3., 2.]])

    Source: JAX jacfwd and jacrev; SciPy optimize.least_squares(jac=).
    """
    return _derivative(function, argument, jacobian_of, "jacobian")


def hessian(function: Callable[..., Any], /, *, argument: int | str = 0) -> Callable[..., Any]:
    """The function that returns the Hessian of a scalar `function` with respect to one argument; the others are passed
    through.

    Formula: H[i, j] = d2 f(x) / d x[i] d x[j], of shape (*x.shape, *x.shape): the gradient's Jacobian. What comes in
    goes out as for `jacobian`. `scipy.optimize.minimize(f, x0, method="trust-exact", jac=..., hess=gl.hessian(f))`
    takes it as it is, and `NonlinearConstraint(c, low, high, hess=gl.hessian(lambda x, v: gl.sum(v * c(x))))`.

    Raises ShapeError where the value is not a scalar, TypeRefused for integer or complex arrays.

    >>> import gradloom as gl, numpy as np
    >>> gl.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])

    Source: JAX hessian; SciPy optimize.minimize(hess=).
    """
    return _derivative(function, argument, _hessian_of, "hessian")


def sparse_jacobian(function: Callable[..., Any], /, *, argument: int | str = 0,
                    check: bool = False) -> Callable[..., Any]:
    """The function that returns the Jacobian of `function`'s value as a SciPy sparse array, for stencils, residuals and
    the like.

    Formula: J[i, j] = d f(x)[i] / d x[j], of shape (f(x).size, x.size), CSR, rows and columns in C order. The pattern
    is found from the operations of `function`; where these multiply and move elements only, the entries follow at once,
    otherwise they come from as many walks, taken together, as the pattern has colours. Both are kept for the next call,
    as long as `function` takes the same branch. The pattern may hold entries that are zero; those of half precision are
    float32, since SciPy has none. Where it is dense, a GradloomWarning says so and all columns are computed.

    `check=True` compares each result with plain walks in random directions. `scipy.optimize.least_squares`,
    `solve_ivp(jac=)` and `NonlinearConstraint(jac=)` take it as it is.

    Raises TypeRefused for integer or complex arrays, TraceError inside a trace of the argument (nothing is recorded),
    MissingPackage (an ImportError) without SciPy.

    >>> import gradloom as gl, numpy as np
    >>> J = gl.sparse_jacobian(lambda x: x[1:] * x[:-1])(np.array([1.0, 2.0, 3.0]))
    >>> J.toarray()
    array([[2., 1., 0.],
           [0., 3., 2.]])

    Source: Gebremedhin, Manne, Pothen, "What color is your Jacobian?", SIAM Review 47 (2005).
    """
    needed("scipy.sparse", "sparse_jacobian")  # SciPy is loaded where it is asked for
    from ..sparse.evaluation import sparse

    kept: list[Any] = []
    return _derivative(function, argument, lambda u, x, record: sparse(kept, u, x, False, check), "sparse_jacobian")


def sparse_hessian(function: Callable[..., Any], /, *, argument: int | str = 0,
                   check: bool = False) -> Callable[..., Any]:
    """The function that returns the Hessian of a scalar `function` as a SciPy sparse array.

    Formula: H[i, j] = d2 f(x) / d x[i] d x[j], of shape (x.size, x.size), CSR. As `sparse_jacobian` of the gradient;
    where walks are needed, a star colouring makes use of the symmetry.

    Raises ShapeError where the value is not a scalar, TypeRefused for integer or complex arrays.

    >>> import gradloom as gl, numpy as np
    >>> H = gl.sparse_hessian(lambda x: gl.sum(x[1:] * x[:-1] ** 2))(np.array([1.0, 2.0, 3.0]))
    >>> H.toarray()
    array([[4., 2., 0.],
           [2., 6., 4.],
           [0., 4., 0.]])

    Source: Gebremedhin, Tarafdar, Manne, Pothen, "New acyclic and star coloring algorithms", SIAM J. Sci. Comput. 29
    (2007).
    """
    needed("scipy.sparse", "sparse_hessian")
    from ..sparse.evaluation import sparse

    kept: list[Any] = []
    return _derivative(function, argument, lambda y, x, record: sparse(kept, _gradient(y, x), x, True, check),
                       "sparse_hessian")


# ----- what goes in and out -------------------------------------------------------------------------------------------


def _derivative(function: Callable[..., Any], argument: int | str, derive: Callable[[Any, dlarray, bool], Any],
                word: str) -> Callable[..., Any]:
    refuse_suspended(function)
    if not isinstance(argument, (int, str)) or isinstance(argument, bool):
        raise TypeRefused(f"argument is the position or name of one argument, not {argument!r}; write argument=0")

    @functools.wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        place = _place(function, argument, args, kwargs)
        given = args[place] if isinstance(place, int) else kwargs[place]
        x = _as_variable(given)
        if type(x) is not dlarray:
            raise TypeRefused(
                f"{word} differentiates with respect to one array, and argument {argument!r} is a {type(given).__name__}; "
                              "pass a NumPy array: ravel(tree) makes one vector of a container")
        if not differentiable(x.dtype) or x.dtype.is_complex:
            raise TypeRefused(
                f"{word} is for real floating-point arrays, and argument {argument!r} is {NAMES[x.dtype]}; "
                              + ("write a function of its real and imaginary parts" if x.dtype.is_complex
                                 else 'write x.astype("float64")'))
        record = type(given) is dlarray and (current_trace() is not None or live(given._node) is not None)
        if record and word.startswith("sparse"):
            raise TraceError(
                f"{word} is not recorded, at {line_of(user_site())}; write {word[7:]}, or dljacobian(u, x), inside dlfeval")

        def run(variable: dlarray) -> Any:
            filled, named = list(args), dict(kwargs)
            if isinstance(place, int):
                filled[place] = variable
            else:
                named[place] = variable
            u = function(*filled, **named)
            return derive(dlarray(u) if isinstance(u, (list, tuple)) else u, variable, record)

        return _as_given(apart(not record, dlfeval, run, x), given)

    return derivative


def _as_given(found: Any, given: Any) -> Any:
    """A dense result as what x was: fresh memory."""
    if not isinstance(found, dlarray) or type(given) is dlarray:
        return found
    if isinstance(given, Tensor):
        return found._value.clone()
    result = np.array(found, order="C")
    if result.ndim:
        return result
    return result.item() if type(given) in NUMBER_TYPES else result[()]


def trace_between(u: Any, x: dlarray) -> list[Node]:
    """The trace from x to u; empty where u does not depend on x."""
    if type(u) is not dlarray or (u_node := live(u._node)) is None:
        return []
    if u.dtype.is_complex:
        raise TypeRefused(
            f"the function's value is complex, at {line_of(user_site())}; return gl.real(u) and gl.imag(u), for example by concat")
    assert x._node is not None
    order = ancestors([u_node], x._node.number)
    return order if order[0] is x._node and differentiable(u.dtype) else []


def _gradient(y: Any, x: dlarray) -> Any:
    """The gradient of a scalar, recorded; it may be constant."""
    if type(y) is not dlarray:
        y = dlarray(y)
    if y.size == 1 and live(y._node) is None:
        return dlarray._made(torch.zeros(x.shape, dtype=x.dtype, device=x.device), None)
    return dlgradient(y, x, enable_higher_derivatives=True)


# ----- dense ----------------------------------------------------------------------------------------------------------


def jacobian_of(u: Any, x: dlarray, record: bool = False) -> Any:
    if type(u) is not dlarray:
        u = dlarray(u)
    order = trace_between(u, x)
    m, n = math.prod(u.shape), math.prod(x.shape)
    shape = (*u.shape, *x.shape)
    if record:
        flat = PUBLIC["reshape"](dlarray._made(u._value, u._node, None), (m,))
        return PUBLIC["reshape"](PUBLIC["stripdims"](dljacobian(flat, x, 0)), shape)
    dtype = torch.promote_types(u.dtype, x.dtype) if differentiable(u.dtype) else x.dtype
    needed = m * n * dtype.itemsize
    if needed > 1 << 28 and needed > free_memory():
        raise ShapeError(
            f"the Jacobian of {described(u.shape, None)} by {described(x.shape, None)} needs {readable_bytes(needed)}, "
                         f"{readable_bytes(free_memory())} are free, at {line_of(user_site())}; write sparse_jacobian, or dljacobian(u, x), which keeps "
                         "structure")
    if not order or not m * n:
        return dlarray._made(torch.zeros(shape, dtype=dtype, device=x.device), None)
    if n <= m:
        found = pushed(order, torch.eye(n, dtype=x.dtype, device=x.device)).T
    else:
        found = pulled(order, torch.eye(m, dtype=u.dtype, device=u.device))
    found = cleared(found.to(dtype).reshape(shape), order[-1], order[0], range(u.ndim))
    return dlarray._made(found, None)


def _hessian_of(y: Any, x: dlarray, record: bool) -> Any:
    return jacobian_of(_gradient(y, x), x, record)


def pushed(order: list[Node], seeds: Tensor) -> Tensor:
    """Tangents (directions, u.size) along seeds (directions, x.size), in pieces."""
    x, u = order[0], order[-1]
    return _together([push([u], {x: piece.reshape(-1, *x.shape)}, lead=(len(piece),))[0]
                      for piece in _pieces(order, seeds)], seeds, u)


def pulled(order: list[Node], seeds: Tensor) -> Tensor:
    """Cotangents (directions, x.size) from seeds (directions, u.size), in pieces."""
    x, u = order[0], order[-1]
    return _together([pull({u: piece.reshape(-1, *u.shape)}, [x], lead=(len(piece),))[0]
                      for piece in _pieces(order, seeds)], seeds, x)


def _together(pieces: Sequence[Tensor | None], seeds: Tensor, node: Node) -> Tensor:
    """One row for each direction; a walk that meets nothing but zeros gives None."""
    found = [p for p in pieces if p is not None]
    if not found:
        return torch.zeros((len(seeds), math.prod(node.shape)), dtype=node.dtype, device=seeds.device)
    return (found[0] if len(found) == 1 else torch.cat(found)).reshape(len(seeds), -1)


def _pieces(order: list[Node], seeds: Tensor) -> Sequence[Tensor]:
    """Directions in groups of about one size, whose widest array stays in cache."""
    widest = max(math.prod(node.shape) * node.dtype.itemsize for node in order if node.shape is not None)
    groups = round(len(seeds) * widest / PIECE)
    return seeds.tensor_split(min(max(groups, 1), len(seeds)))


__all__ = ["hessian", "jacobian", "sparse_hessian", "sparse_jacobian"]
