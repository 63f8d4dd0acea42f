"""np.pad in all of its modes: what stands around an array is copied from it, or computed along one axis after the
other."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.array import raw
from ...core.errors import TypeRefused, line_of, user_site
from ...machine.conversion import to_numpy
from ...machine.dtypes import differentiable
from ..protocol import array, gl
from .table import named_as_theirs

_COPIED = ("edge", "reflect", "symmetric", "wrap")
_STATISTICS: dict[str, str] = {"maximum": "max", "minimum": "min", "mean": "mean", "median": "median"}
_array = array  # where an argument has its name
# What each mode takes besides its widths, as NumPy has it.
_OPTIONS = {"constant": ("constant_values",), "linear_ramp": ("end_values",), "reflect": ("reflect_type",),
            "symmetric": ("reflect_type",), **dict.fromkeys(_STATISTICS, ("stat_length",))}


@named_as_theirs
def pad(array: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    a = _array(array)
    if not isinstance(mode, str) or mode not in (*_COPIED, *_STATISTICS, "constant", "linear_ramp", "empty"):
        raise TypeRefused(
            f"np.pad with mode={mode!r:.60} has no operation, at {line_of(user_site())}; write one of NumPy's modes by "
            "name, or np.concatenate with what stands before and after")
    if (wrong := next((name for name in options if name not in _OPTIONS.get(mode, ())), None)) is not None:
        raise TypeRefused(f"np.pad with mode={mode!r} has no {wrong}=, at {line_of(user_site())}; leave {wrong} out")
    widths = _pairs(pad_width, a.ndim)
    if mode in _COPIED and options.get("reflect_type", "even") == "even":
        return gl.pad(a, widths, mode=mode)
    if not differentiable(raw(a).dtype):  # NumPy rounds what it computes of integers
        return _array(np.pad(to_numpy(raw(a)), widths, mode=mode, **options))  # type: ignore[call-overload]
    if mode in ("constant", "empty"):
        return _constant(a, widths, options.get("constant_values", 0))
    around = _AROUND["odd" if "reflect_type" in options else mode if mode == "linear_ramp" else "statistic"]
    values = _pairs(options.get("end_values", 0) if mode == "linear_ramp" else options.get("stat_length"), a.ndim)
    for k, pair in enumerate(widths):
        if any(pair):
            before, after = around(a, k, pair, values[k], mode)
            a = gl.concat([x for x in (before, a, after) if x is not None], axis=k)
    return a


def _pairs(given: Any, ndim: int) -> list[Any]:
    """A pair for each axis, from whatever NumPy spreads over them."""
    if isinstance(given, dict):
        given = [given.get(k, given.get(k - ndim, 0)) for k in range(ndim)]
        given = [(w, w) if np.ndim(w) == 0 else tuple(w) for w in given]
    return [(None, None)] * ndim if given is None else np.broadcast_to(np.asarray(given), (ndim, 2)).tolist()


def _constant(a: Any, widths: Any, values: Any) -> Any:
    padded = gl.pad(a, tuple(tuple(w) for w in widths))
    if np.ndim(values) == 0 and values == 0:
        return padded
    inside = np.pad(np.ones(a.shape, dtype=bool), widths)
    around = (values if np.ndim(values) == 0 else  # a number for each side of each axis
              gl.astype(_array(np.pad(np.zeros(a.shape), widths, constant_values=values)), a.dtype))
    return gl.where(_array(inside), padded, around)


def _part(a: Any, k: int, start: int, stop: int) -> Any:
    """The entries from start to stop along axis k."""
    return a[(slice(None),) * k + (slice(start, stop),)]


def _along(values: Any, a: Any, k: int) -> Any:
    """A number for each entry along axis k, in the type of a."""
    return gl.astype(gl.reshape(_array(values), (-1,) + (1,) * (a.ndim - k - 1)), a.dtype)


def _ramps(a: Any, k: int, pair: Any, ends: Any, mode: str) -> tuple[Any, Any]:
    """Straight lines from the numbers at both ends to the first and the last entry."""

    def ramp(edge: Any, width: int, end: Any, order: int) -> Any:
        part = _along(np.arange(width)[::order] / width, a, k) if width else None
        return None if part is None else end + (edge - end) * part

    return (ramp(_part(a, k, 0, 1), pair[0], ends[0], 1),
            ramp(_part(a, k, a.shape[k] - 1, a.shape[k]), pair[1], ends[1], -1))


def _statistics(a: Any, k: int, pair: Any, lengths: Any, mode: str) -> tuple[Any, Any]:
    """One number of the first and of the last entries, of all unless their count is given."""
    n, statistic = a.shape[k], getattr(gl, _STATISTICS[mode])

    def side(width: int, start: int, stop: int) -> Any:
        value = statistic(_part(a, k, start, stop), axis=k, keepdims=True)
        return gl.broadcast_to(value, tuple(width if j == k else size for j, size in enumerate(a.shape)))

    first, last = (n if length is None else min(int(length), n) for length in lengths)
    return (side(pair[0], 0, first) if pair[0] else None, side(pair[1], n - last, n) if pair[1] else None)


def _odd(a: Any, k: int, pair: Any, _: Any, mode: str) -> tuple[Any, Any]:
    """Reflected through the points at both ends: f(2 end - i) = 2 f(end) - f(i), so that f(i + period) = f(i) +
    2 (last - first)."""
    n = a.shape[k]
    first, last = _part(a, k, 0, 1), _part(a, k, n - 1, n)
    if n == 1:
        return tuple(gl.repeat(first, width, axis=k) if width else None for width in pair)  # type: ignore[return-value]
    period = 2 * (n - 1) if mode == "reflect" else 2 * n

    def side(places: Any) -> Any:
        turns, within = np.divmod(places, period)
        mirrored = within >= n
        taken = gl.take(a, np.where(mirrored, period - within - (mode == "symmetric"), within), axis=k)
        return (_along(np.where(mirrored, -1.0, 1.0), a, k) * taken
                + _along(2.0 * mirrored, a, k) * last + _along(2.0 * turns, a, k) * (last - first))

    return (side(np.arange(-pair[0], 0)) if pair[0] else None, side(np.arange(n, n + pair[1])) if pair[1] else None)


_AROUND: dict[str, Callable[..., tuple[Any, Any]]] = {"odd": _odd, "linear_ramp": _ramps, "statistic": _statistics}
