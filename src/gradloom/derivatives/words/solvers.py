"""The words that solvers take: functions that return Jacobians and Hessians, dense or sparse, of what they are
given."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from ...core.array import dlarray
from ...core.errors import TraceError, TypeRefused, line_of, needed, user_site
from ...core.trace import current_trace, live
from ...machine.dtypes import NAMES, NUMBER_TYPES, Tensor, differentiable
from ..sparse.dense import jacobian_of
from .accelerating import Calls
from .evaluate import dlfeval, refuse_suspended
from .functions import apart, as_numpy, as_variable, called, place_of, without
from .gradient import dlgradient


def jacobian(function: Callable[..., Any], /, *, argument: int | str = 0,
             accelerate: bool = True) -> Callable[..., Any]:
    """The function that returns the Jacobian of `function`'s value with respect to one argument; the others are passed
    through.

    Formula: J[i, j] = d f(x)[i] / d x[j], of shape (*f(x).shape, *x.shape). `argument` is the position or name of the
    argument. `function` receives it as a dlarray and returns a dlarray, or a list of scalars. The walks go forwards
    where x has no more elements than f(x), else backwards, many directions at once, in pieces.

    NumPy in, fresh writable NumPy out; torch tensors in, a tensor out; a dlarray in, a dlarray out, recorded where it
    is traced. `scipy.optimize.least_squares(f, x0, jac=gl.jacobian(f))` and `scipy.integrate.solve_ivp(f, ...,
    jac=gl.jacobian(f, argument=1))` take it as it is. Calls are recorded and replayed as by `dlaccelerate`, or plain
    where that is not possible: the function that is returned has an `explain()`, which says why. `accelerate=False`
    makes all of them plain.

    Raises TypeRefused for integer or complex arrays, ShapeError where the result does not fit in memory.

    >>> import gradloom as gl, numpy as np
    >>> gl.jacobian(lambda x: x[1:] * x[:-1])(np.array([1.0, 2.0, 3.0]))
    array([[2., 1., 0.],
           [0., 3., 2.]])

    Source: JAX jacfwd and jacrev; SciPy optimize.least_squares(jac=).
    """
    return _derivative(function, argument, jacobian_of, "jacobian", accelerate)


def hessian(function: Callable[..., Any], /, *, argument: int | str = 0,
            accelerate: bool = True) -> Callable[..., Any]:
    """The function that returns the Hessian of a scalar `function` with respect to one argument; the others are passed
    through.

    Formula: H[i, j] = d2 f(x) / d x[i] d x[j], of shape (*x.shape, *x.shape): the gradient's Jacobian. What comes in
    goes out as for `jacobian`. `scipy.optimize.minimize(f, x0, method="trust-exact", jac=..., hess=gl.hessian(f))`
    takes it as it is, and `NonlinearConstraint(c, low, high, hess=gl.hessian(lambda x, v: gl.sum(v * c(x))))`. Calls
    are replayed as those of `jacobian`.

    Raises ShapeError where the value is not a scalar, TypeRefused for integer or complex arrays.

    >>> import gradloom as gl, numpy as np
    >>> gl.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])

    Source: JAX hessian; SciPy optimize.minimize(hess=).
    """
    return _derivative(function, argument, _hessian_of, "hessian", accelerate)


def sparse_jacobian(function: Callable[..., Any], /, *, argument: int | str = 0, check: bool = False,
                    accelerate: bool = True) -> Callable[..., Any]:
    """The function that returns the Jacobian of `function`'s value as a SciPy sparse array, for stencils, residuals and
    the like.

    Formula: J[i, j] = d f(x)[i] / d x[j], of shape (f(x).size, x.size), CSR, rows and columns in C order. The pattern
    is found from the operations of `function`; where these multiply and move elements only, the entries follow at once,
    otherwise they come from as many walks, taken together, as the pattern has colours. Both are kept for the next call,
    as long as `function` takes the same branch. The pattern may hold entries that are zero; those of half precision are
    float32, since SciPy has none. Where it is dense, a GradloomWarning says so and all columns are computed.

    `check=True` compares each result with plain walks in random directions. `scipy.optimize.least_squares`,
    `solve_ivp(jac=)` and `NonlinearConstraint(jac=)` take it as it is. Calls are replayed as those of `jacobian`,
    unless they are checked.

    Raises TypeRefused for integer or complex arrays, TraceError inside a trace of the argument (nothing is recorded),
    MissingPackage (an ImportError) without SciPy.

    >>> import gradloom as gl, numpy as np
    >>> J = gl.sparse_jacobian(lambda x: x[1:] * x[:-1])(np.array([1.0, 2.0, 3.0]))
    >>> J.toarray()
    array([[2., 1., 0.],
           [0., 3., 2.]])

    Source: Gebremedhin, Manne, Pothen, "What color is your Jacobian?", SIAM Review 47 (2005).
    """
    sparse, kept = _sparse("sparse_jacobian"), []  # type: ignore[var-annotated]
    return _derivative(function, argument, lambda u, x, record: sparse(kept, u, x, False, check),
                       "sparse_jacobian", False if check else accelerate)


def sparse_hessian(function: Callable[..., Any], /, *, argument: int | str = 0, check: bool = False,
                   accelerate: bool = True) -> Callable[..., Any]:
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
    sparse, kept = _sparse("sparse_hessian"), []  # type: ignore[var-annotated]
    return _derivative(function, argument, lambda y, x, record: sparse(kept, _gradient(y, x), x, True, check),
                       "sparse_hessian", False if check else accelerate)


def _sparse(word: str) -> Callable[..., Any]:
    """How sparse results are evaluated: SciPy is loaded where it is asked for, and missed in words."""
    needed("scipy.sparse", word)
    from ..sparse.evaluation import sparse

    return sparse


# ----- what goes in and out -------------------------------------------------------------------------------------------


def _derivative(function: Callable[..., Any], argument: int | str, derive: Callable[[Any, dlarray, bool], Any],
                word: str, accelerate: bool) -> Callable[..., Any]:
    refuse_suspended(function)
    if not isinstance(argument, (int, str)) or isinstance(argument, bool):
        raise TypeRefused(f"argument is the position or name of one argument, not {argument!r}; write argument=0")
    calls = Calls(function, accelerate, word)

    @functools.wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        place = place_of(function, argument, args, kwargs)
        given = args[place] if isinstance(place, int) else kwargs[place]
        x = as_variable(given)
        if type(x) is not dlarray:
            raise TypeRefused(
                f"{word} differentiates with respect to one array, and argument {argument!r} is a "
                f"{type(given).__name__}; pass a NumPy array: ravel(tree) makes one vector of a container")
        if not differentiable(x.dtype) or x.dtype.is_complex:
            raise TypeRefused(
                f"{word} is for real floating-point arrays, and argument {argument!r} is {NAMES[x.dtype]}; "
                + ("write a function of its real and imaginary parts" if x.dtype.is_complex
                   else 'write x.astype("float64")'))
        record = type(given) is dlarray and (current_trace() is not None or live(given._node) is not None)
        if record and word.startswith("sparse"):
            raise TraceError(
                f"{word} is not recorded, at {line_of(user_site())}; write {word[7:]}, or dljacobian(u, x), inside "
                "dlfeval")

        def run(x: dlarray, others: list[Any], /, **named: Any) -> Any:
            def traced(x: dlarray) -> Any:
                u = called(function, (place,), (x,), others, named)
                return derive(dlarray(u) if isinstance(u, (list, tuple)) else u, x, record)

            return apart(not record, dlfeval, traced, x)

        if record:
            return run(x, list(args), **kwargs)
        return _as_given(calls(run, place, *without((place,), x, args, kwargs)), given)

    derivative.explain = calls.explain  # type: ignore[attr-defined]
    return derivative


def _as_given(found: Any, given: Any) -> Any:
    """A dense result as what x was: fresh memory."""
    if type(found) is not dlarray:
        return found.csr()
    if type(given) is dlarray:
        return found
    if isinstance(given, Tensor):
        return found._value.clone()
    result = as_numpy(found)
    if result.ndim:
        return result
    return result.item() if type(given) in NUMBER_TYPES else result[()]


def _gradient(y: Any, x: dlarray) -> Any:
    """The gradient of a scalar, recorded; it may be constant."""
    if type(y) is not dlarray:
        y = dlarray(y)
    if y.size == 1 and live(y._node) is None:
        return dlarray._made(torch.zeros(x.shape, dtype=x.dtype, device=x.device), None)
    return dlgradient(y, x, enable_higher_derivatives=True)


def _hessian_of(y: Any, x: dlarray, record: bool) -> Any:
    return jacobian_of(_gradient(y, x), x, record)


__all__ = ["hessian", "jacobian", "sparse_hessian", "sparse_jacobian"]
