"""NumPy's reductions: their types, first numbers and masks."""
from __future__ import annotations

from typing import Any

from ...core.errors import TypeRefused, line_of, user_site
from ...operations.neural.softmax import floating
from ..protocol import array, cast, gl
from .table import FUNCTIONS, named_as_theirs

_NEUTRAL = {"sum": 0, "prod": 1, "all": True, "any": False}  # what counts for nothing


def chosen(a: Any, where: Any, neutral: Any) -> Any:
    """a where a mask says so, what counts for nothing elsewhere."""
    a = array(a)
    return gl.where(gl.broadcast_to(array(where), a.shape), a, gl.full_like(a, neutral))


def _count(a: Any, where: Any, axis: Any, keepdims: Any) -> Any:
    """How many entries of floating numbers a mask takes, as a real number of their type."""
    return gl.sum(chosen(gl.ones_like(gl.real(a)), where, 0), axis=axis, keepdims=keepdims)


def _reduction(name: str, join: str | None = None) -> None:
    """np.sum and its like; `join` is the operation that takes an initial value in."""
    operation = getattr(gl, name)

    def call(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
        return operation(a, axis=axis, keepdims=keepdims)

    def logical(a: Any, axis: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        return operation(a if where is True else chosen(gl.not_equal(a, 0), where, _NEUTRAL[name]), axis=axis,
                         keepdims=keepdims)

    def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        a = cast(a, dtype)
        if where is True:
            return operation(a, axis=axis, keepdims=keepdims)
        a = floating(array(a))
        return gl.sum(chosen(a, where, 0), axis=axis, keepdims=keepdims) / _count(a, where, axis, keepdims)

    def with_start(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None,
                   where: Any = True) -> Any:
        a = cast(a, dtype)
        if where is not True:
            if initial is None and name not in _NEUTRAL:
                raise TypeRefused(f"np.{name} with where= begins with a number that NumPy cannot guess, at "
                                  f"{line_of(user_site())}; write np.{name}(x, where=mask, initial=number)")
            a = chosen(a, where, _NEUTRAL.get(name, initial))
        y = operation(a, axis=axis, keepdims=keepdims)
        return y if initial is None else getattr(gl, join or "")(y, initial)

    def corrected(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False, *,
                  where: Any = True, mean: Any = None, correction: Any = None) -> Any:
        ddof = ddof if correction is None else correction
        if where is True and mean is None:
            return operation(cast(a, dtype), axis=axis, keepdims=keepdims, correction=ddof)
        a = floating(array(cast(a, dtype)))
        around = FUNCTIONS["mean"](a, axis, None, True, where=where) if mean is None else mean
        squares = gl.square(gl.abs(a - around))
        count = _count(squares, where, axis, keepdims)
        y = gl.sum(chosen(squares, where, 0), axis=axis, keepdims=keepdims) / (count - ddof)
        return gl.sqrt(y) if name == "std" else y

    FUNCTIONS[name] = (with_start if join else corrected if name in ("var", "std") else mean if name == "mean"
                       else logical if name in _NEUTRAL else call)


for _name, _join in {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}.items():
    _reduction(_name, _join)
FUNCTIONS["amax"], FUNCTIONS["amin"] = FUNCTIONS["max"], FUNCTIONS["min"]
for _name in ("mean", "var", "std", "any", "all", "argmax", "argmin", "median"):
    _reduction(_name)


@named_as_theirs
def ptp(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return gl.max(a, axis=axis, keepdims=keepdims) - gl.min(a, axis=axis, keepdims=keepdims)


@named_as_theirs
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    a = array(a)
    w = gl.ones_like(gl.real(floating(a))) if weights is None else array(weights)
    if w.ndim != a.ndim and axis is not None:
        w = gl.reshape(w, tuple(n if k == axis % a.ndim else 1 for k, n in enumerate(a.shape)))
    w = gl.broadcast_to(w, a.shape)
    total = gl.sum(w, axis=axis, keepdims=keepdims)
    mean = gl.sum(a * w, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean
