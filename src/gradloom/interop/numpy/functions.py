"""NumPy's protocols: np.sin(x), np.sum(x, axis=0), np.stack([x, y]), np.add.reduce(x) record the library's
operations."""
from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.array import dlarray
from ...core.containers import flatten, unflatten
from ...core.errors import TypeRefused, line_of, user_site
from ...core.tables import PUBLIC
from ...machine.caches import remembered
from ..protocol import adapted, constant, gl, in_double, mantissa_and_exponent, traced_in, unknown
from .reading import arguments, refuse_writing
from .special import UFUNCS as SPECIAL
from .table import FUNCTIONS

# NumPy's ufuncs that are spelled differently here; the others have the name of their operation.
_SPELLED = {
    "absolute": "abs", "fabs": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "conjugate": "conj", "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift", "rint": "round", "true_divide": "divide",
}
# Written in other operations.
_COMPOSED: dict[str, Callable[..., Any]] = {
    "float_power": lambda a, b: gl.power(in_double(a), in_double(b)),
    "cbrt": SPECIAL["cbrt"],
    "deg2rad": lambda x: x * (np.pi / 180), "radians": lambda x: x * (np.pi / 180),
    "rad2deg": lambda x: x * (180 / np.pi), "degrees": lambda x: x * (180 / np.pi),
    "divmod": lambda a, b: (gl.floor_divide(a, b), gl.mod(a, b)),
    "modf": lambda x: (x - gl.trunc(x), gl.trunc(x)),
    "fmax": lambda a, b: gl.where(gl.isnan(a), b, gl.where(gl.isnan(b), a, gl.maximum(a, b))),
    "fmin": lambda a, b: gl.where(gl.isnan(a), b, gl.where(gl.isnan(b), a, gl.minimum(a, b))),
    "logaddexp2": lambda a, b: gl.logaddexp(a * math.log(2), b * math.log(2)) / math.log(2),
    "heaviside": lambda x, at_zero: gl.where(gl.equal(x, 0), at_zero, (gl.sign(x) + 1) / 2),
    "ldexp": lambda x, n: x * gl.exp2(n * 1.0),
    "frexp": mantissa_and_exponent,
    "matvec": lambda a, b: gl.matmul(a, b[..., None])[..., 0],
    "vecmat": lambda a, b: gl.matmul(gl.conj(a)[..., None, :], b)[..., 0, :],
}


_HOMES = ("scipy.special", "scipy.special._ufuncs", "scipy.special._special_ufuncs")


@remembered(1024)
def library_of(ufunc: Any) -> str:
    """Whose a ufunc is: "np", "scipy.special", or nobody's that is known. A name alone says nothing: `huber` of SciPy
    is no `gl.huber`, and everybody can make a ufunc that is called `sigmoid`."""
    name = ufunc.__name__
    if getattr(np._core.umath, name, None) is ufunc:  # type: ignore[attr-defined]
        return "np"
    return "scipy.special" if any(
        [getattr(sys.modules.get(home), name, None) is ufunc for home in _HOMES]) else ""


@remembered(1024)
def ufunc_operation(ufunc: Any) -> Callable[..., Any] | None:
    """What a ufunc of NumPy or SciPy records."""
    library, name = library_of(ufunc), ufunc.__name__
    if library == "np":
        return PUBLIC.get(_SPELLED.get(name, name)) or _COMPOSED.get(name)
    return SPECIAL.get(name) if library else None


UFUNCS = tuple(sorted({f.__name__ for f in vars(np).values() if isinstance(f, np.ufunc) and ufunc_operation(f)}))

# ufunc.reduce and ufunc.accumulate of these are reductions of ours.
_REDUCED = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all",
            "logical_or": "any",
            "logaddexp": "logsumexp"}
_ACCUMULATED = {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin"}

_WAYS = {
    "at": "write x[i] = x[i] + v, or x.at(...) for the index",
    "reduceat": "write one sum for each slice, np.stack([np.sum(x[a:b]), ...])",
    "reduce": "write np.sum, np.prod, np.max, np.min, np.all or np.any",
    "accumulate": "write np.cumsum or np.cumprod",
}


def _constants(function: Callable[..., Any], word: str, args: Any, kwargs: Any) -> Any:
    """A function without an operation computes with values, as it does with any other constant. Of traced arrays only
    positions, counts, truth values and text come out, which carry no derivative."""
    traced = traced_in((args, kwargs))
    leaves, structure = flatten((args, kwargs))
    args, kwargs = unflatten(structure, [np.asarray(constant(leaf._value)) if type(leaf) is dlarray else leaf
                                         for leaf in leaves])
    if not traced:
        return function(*args, **kwargs)
    try:
        result = function(*args, **kwargs)
    except Exception:
        result = None  # it writes into what it is given, perhaps
    if result is None or any(np.asarray(leaf).dtype.kind not in "biuUS" and not isinstance(leaf, (type, np.dtype))
                             for leaf in flatten(result)[0]):
        raise unknown(word, "write it in other operations, or extractdata(x) to mean a constant")
    return result


def array_ufunc(self: dlarray, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """np.sin(x), np.add(a, x), np.add.reduce(x, axis=0), np.multiply.outer(a, x)."""
    operation = ufunc_operation(ufunc)
    if method == "__call__" and not options and operation is not None:
        return operation(*inputs)  # quick way: there is no option to refuse or to heed; the plain one is below
    name, library = ufunc.__name__, library_of(ufunc)
    word = (f"{library}.{name}" if library else f"the ufunc {name}") + (f".{method}" if method != "__call__" else "")
    if method in ("reduce", "accumulate"):
        reduction = (_REDUCED if method == "reduce" else _ACCUMULATED).get(name) if library == "np" else None
        operation = FUNCTIONS.get(reduction) if reduction else None  # type: ignore[arg-type]
        operation = operation or (PUBLIC.get(reduction) if reduction else None)
    if operation is None or method in ("at", "reduceat"):
        if method == "at" or traced_in((inputs, options)) and method in _WAYS:
            raise TypeRefused(f"{word} has no operation, at {line_of(user_site())}; {_WAYS[method]}")
        return _constants(ufunc if method == "__call__" else getattr(ufunc, method), word, inputs, options)
    refuse_writing(word, options)
    options = {k: v for k, v in options.items()
               if k not in ("out", "where", "casting", "subok", "order") and v is not np._NoValue}
    if method in ("reduce", "accumulate"):
        x, axis, *rest = (*inputs, options.pop("axis", 0))[:2] if len(inputs) < 2 else inputs
        dtype = rest[0] if rest else options.pop("dtype", None)
        x = x if dtype is None else gl.astype(x, dtype)
        initial = options.pop("initial", None)
        y = adapted(word, operation, (x,), {"axis": axis, **options})
        return y if initial is None else PUBLIC[_SPELLED.get(name, name)](y, initial)
    dtype = options.pop("dtype", None)
    if name == "vecdot" and "axis" in options:
        return operation(*inputs, axis=options["axis"])
    if options:
        return _constants(ufunc, f"{word} with {', '.join(options)}", inputs, options)
    if dtype is not None:
        inputs = tuple(gl.astype(x, dtype) for x in inputs)
    if method == "outer":
        a, b = (x if isinstance(x, dlarray) else dlarray(x) for x in inputs)
        inputs = (gl.reshape(a, (*a.shape, *(1,) * b.ndim)), b)
    return operation(*inputs)


def array_function(self: dlarray, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """np.sum(x, axis=0), np.stack([x, y]), np.linalg.inv(x): every function of NumPy that is not a ufunc."""
    module = (getattr(function, "__module__", None) or "numpy").removeprefix("numpy").removeprefix(".")
    name = function.__name__
    if module in ("linalg", "fft", "lib.scimath"):  # of which some have a namesake
        name = f"{module.replace('lib.scimath', 'emath')}.{name}"
    adapter = FUNCTIONS.get(name)
    word = f"np.{name}"
    if adapter is None:
        return _constants(function, word, args, kwargs)
    args, options = arguments(function, adapter, word, args, kwargs)
    return adapted(word, adapter, args, options)


dlarray.__array_ufunc__ = array_ufunc  # type: ignore[assignment]
dlarray.__array_function__ = array_function  # type: ignore[attr-defined]
