"""Cross-channel normalization: each element divided by a power of the sum of squares over the channels near its own."""
from __future__ import annotations

import operator
from typing import Any

from ....blocks import action
from ....core.array import labels_of
from ....core.declare import general, multilinear, public
from ....core.errors import ShapeError, TypeRefused, line_of, user_site
from ....machine.dtypes import Tensor
from ...elementwise.arithmetic import power, square
from .standardizing import real_and_axis

# ----- sums over a window of `before` channels, the own one and `after` -----------------------------------------------


def _window_kernel(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    y, n = x.clone(), x.shape[axis]
    for shift in range(1, n):
        size = n - shift
        if shift <= before:
            y.narrow(axis, shift, size).add_(x.narrow(axis, 0, size))
        if shift <= after:
            y.narrow(axis, 0, size).add_(x.narrow(axis, shift, size))
    return y


def _window(x: Any, axis: int, before: int, after: int) -> Any:
    return _window_sum.apply((x,), {"axis": axis, "before": before, "after": after})


_window_sum = multilinear(
    "window_sum", _window_kernel,
    transposes={"x": lambda y_bar, axis, before, after: _window(y_bar, axis, after, before)}, act=action.untying,
    samples=[((2, 5), {"axis": -1, "before": 1, "after": 2}), ((3, 2), {"axis": -2, "before": 0, "after": 4}),
             ((1, 2), {"axis": -2, "before": 1, "after": 1})])

# ----- the normalization ----------------------------------------------------------------------------------------------


def _power(s: Any, beta: float) -> Any:
    """s to the power -beta; for MATLAB's and AlexNet's beta two square roots are a third of the work."""
    if type(s) is not Tensor or beta != 0.75:
        return power(s, -beta)
    root = s.rsqrt()
    return root.sqrt().mul_(root)


def _kernel(x: Tensor, axis: int, before: int, after: int, alpha: float, beta: float,
            k: float) -> tuple[Tensor, Tensor]:
    s = _window_kernel(x.square(), axis, before, after).mul_(alpha).add_(k)
    return _power(s, beta).mul_(x), s


def _parts(x: Any, s: Any, axis: int, before: int, after: int, alpha: float, beta: float, k: float) -> tuple[Any, Any]:
    """The factor s ** -beta of x, and its slope in the windowed sum, halved; s as the kernel saved it, in a raw
    walk."""
    if type(x) is not Tensor:
        s = alpha * _window(square(x), axis, before, after) + k
    p = _power(s, beta)
    return p, -alpha * beta * p / s


def _push(x_dot: Any, x: Any, s: Any, axis: int, before: int, after: int, alpha: float, beta: float, k: float) -> Any:
    p, slope = _parts(x, s, axis, before, after, alpha, beta, k)
    return x_dot * p + 2 * _window(x_dot * x, axis, before, after) * (slope * x)


def _pull(y_bar: Any, x: Any, s: Any, axis: int, before: int, after: int, alpha: float, beta: float, k: float) -> Any:
    p, slope = _parts(x, s, axis, before, after, alpha, beta, k)
    return y_bar * p + 2 * _window(y_bar * (slope * x), axis, after, before) * x


def _fused(y_bar: Tensor, x: Tensor, s: Tensor, axis: int, before: int, after: int, alpha: float,
           beta: float) -> Tensor:
    """The same in fewer passes."""
    p = _power(s, beta)
    inner = _window_kernel((y_bar * x).mul_(p).div_(s), axis, after, before)
    return inner.mul_(x).mul_(-2 * alpha * beta).addcmul_(y_bar, p)


def _sizes(axis: int, before: int, after: int, beta: float = 0.75) -> dict[str, Any]:
    return {"axis": axis, "before": before, "after": after, "alpha": 0.7, "beta": beta, "k": 1.5}


_crosschannelnorm = general("crosschannelnorm", _kernel, hidden=("s",), push=_push, pull=_pull,
                            fused_pull=_fused, matlab="crosschannelnorm",
                            samples=[((2, 4, 3), _sizes(-2, 1, 1)), ((5, 2), _sizes(-2, 1, 2, 1.3)),
                                     ((2, 1), _sizes(-1, 2, 2)), ((0, 3), _sizes(-1, 1, 1))],
                            real_only="normalizations take real numbers", opaque=True)  # the kernel writes in place


@public(_crosschannelnorm)
def crosschannelnorm(x: Any, window_size: int, /, *, alpha: float = 1e-4, beta: float = 0.75,
                     k: float = 2.0, data_format: str | None = None) -> Any:
    """Each element divided by a power of the mean square of the channels near its own (local response normalization).

    Formula: y[c] = x[c] / (k + alpha / window_size * sum of x[j]**2)**beta, j from c - floor((window_size - 1) / 2) to
    c + floor(window_size / 2), as far as there are channels. x: any layout with C; y: as x.
    Raises LabelError without C, ShapeError for a window_size below 1, a k that is not above 0 or a negative alpha.

    >>> import gradloom as gl
    >>> gl.crosschannelnorm(gl.dlarray([[3.0], [4.0]], "CB"), 3, alpha=3.0, beta=1.0, k=5.0)
    2(C) x 1(B) dlarray float64
    [[0.1       ]
     [0.13333333]]

    Source: Krizhevsky, Sutskever, Hinton 2012; MATLAB crosschannelnorm, ONNX LRN (PyTorch's differs in even windows).
    """
    try:
        size = operator.index(window_size)
    except TypeError:
        raise TypeRefused(
            f"crosschannelnorm: window_size is a number of channels, not {window_size!r:.60}, at "
            f"{line_of(user_site())}; write 5") from None
    if size < 1:
        raise ShapeError(
            f"crosschannelnorm: window_size is {size}, at {line_of(user_site())}; it is at least 1, and 5 in most "
            "networks")
    if not k > 0 or not alpha >= 0:
        raise ShapeError(
            f"crosschannelnorm needs k above 0, alpha at least 0, not k={k!r}, alpha={alpha!r}, at "
            f"{line_of(user_site())}; write k=2, alpha=1e-4")
    x, axis, _ = real_and_axis(x, data_format, "crosschannelnorm")
    params = {"axis": axis, "before": (size - 1) // 2, "after": size // 2, "alpha": alpha / size,
              "beta": float(beta), "k": float(k)}
    return _crosschannelnorm.apply((x,), params, labels_of(x))


__all__ = ["crosschannelnorm"]
