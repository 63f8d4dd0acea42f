"""dlaccelerate: the word, its options and what it says of itself."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.errors import TypeRefused, line_of, user_site
from ..derivatives.words.evaluate import refuse_suspended
from ..vocabulary.misspelled import nearest
from .accelerated import AcceleratedFunction

EXECUTORS = ("auto", "replay", "scalars", "native", "inductor")


def dlaccelerate(function: Callable[..., Any], /, *, executor: str = "auto",
                 cache_size: int = 50) -> AcceleratedFunction:
    """The function, whose calls cost their kernels and little else: recorded twice, then replayed.

    `fast = dlaccelerate(fun)` takes and returns what `fun` does, on its own and in `dlfeval(fast, ...)`, for which
    evaluation and derivatives are one recording. The first call of a kind is plain, the second and third are recorded
    and compared, from the fourth on it is replayed, and the first replay is compared with the plain call. A kind is:
    shapes, labels, types, strides and devices of arrays, the structure of containers and networks, everything else by
    value.

    It is the plain result, or the plain call. A Python decision on a value (`if gl.sum(x) > 0`) is a guard, which is
    asked on each call; another answer leads to another recording. Random numbers are drawn afresh. What the function
    reads from outside (closure, globals, defaults, attributes) is compared on each call. A function that turns a value
    into a Python float or a NumPy array, prints, or changes something outside stays plain; `fast.explain()` says why
    and in which line. So do calls with arrays that are traced.

    `fast.enabled`, `cache_size`, `hit_rate` and `occupancy` (percent), `check_mode` ("none", "tolerance": each call is
    compared with the plain one), `check_tolerance`, `fast.clear_cache()`. `executor` is "replay" (torch's calls, one
    after the other), "scalars" (arrays of at most 16 doubles as Python's floats), "native" (elementwise chains compiled
    by llvmlite, the extra `native`), "inductor" (the whole of it by torch's compiler, which takes half a minute and
    needs a C++ compiler) or "auto", which finds out.

    >>> import gradloom as gl
    >>> def rosenbrock(x):
    ...     y = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    ...     return y, gl.dlgradient(y, x)
    >>> fast = gl.dlaccelerate(rosenbrock)
    >>> for k in range(5):
    ...     value, gradient = gl.dlfeval(fast, gl.dlarray([-1.0, 2.0]))
    >>> gradient
    2 dlarray float64
    [396. 200.]
    >>> fast.hit_rate
    40.0

    Source: MATLAB Deep Learning Toolbox, dlaccelerate.
    """
    refuse_suspended(function)
    if executor not in EXECUTORS:
        raise TypeRefused(f"no executor {executor!r}{nearest(executor, EXECUTORS)}, at {line_of(user_site())}; write "
                          f"one of {', '.join(EXECUTORS)}")
    if isinstance(function, AcceleratedFunction):
        return function
    return AcceleratedFunction(function, executor, cache_size)


__all__ = ["dlaccelerate"]
