"""A function as a layer."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described
from ..layer import Layer
from ..masks import refuse, takes_mask


class Function(Layer):
    """Any function of labelled arrays as a layer without parameters.

    It takes `num_inputs` arrays, called in1, in2, ... where there are several, and returns `num_outputs`, as a tuple,
    called out1, out2, ...

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.Function(lambda x: 2 * x, name="twice")])
    >>> net(gl.dlarray([1.0, 2.0], "C"))
    2(C) dlarray float64
    [2. 4.]

    Source: MATLAB functionLayer.
    """

    function: Callable[..., Any]
    num_inputs: int = field(default=1, kw_only=True)
    num_outputs: int = field(default=1, kw_only=True)

    matlab: ClassVar[str] = "functionLayer"

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, dlarray):
            raise TypeRefused(
                f"Function takes a function, not {type(self.function).__name__}, at {line_of(user_site())}; write "
                "Function(fun)")
        for name in ("num_inputs", "num_outputs"):
            n = getattr(self, name)
            if not isinstance(n, int) or isinstance(n, bool) or n < 1:
                raise ShapeError(f"{name} of Function is how many there are, not {n!r}, at {line_of(user_site())}; "
                                 f"write {name}=1")

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """in, or in1, in2, ..."""
        n = self.num_inputs
        return tuple(f"in{k + 1}" for k in range(n)) if n > 1 else ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """out, or out1, out2, ..."""
        n = self.num_outputs
        return tuple(f"out{k + 1}" for k in range(n)) if n > 1 else ("out",)

    def predict(self, *xs: Any, mask: Any = None) -> Any:
        if mask is None:
            return self.function(*xs)
        if takes_mask(self.function):
            return self.function(*xs, mask=mask)
        y = self.function(*xs)
        for part in y if isinstance(y, tuple) else (y,):
            if isinstance(part, dlarray) and "T" not in part.dims:
                raise refuse(self, f"makes {described(part.shape, part._labels)} of a sequence with padding, and is "
                             "not told what padding is", "give the function a keyword, def function(x, *, mask=None)")
        return y
