"""A function as a layer."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import TypeRefused, line_of, user_site
from ..layer import Layer


class Function(Layer):
    """Any function of labelled arrays as a layer without parameters.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.Function(lambda x: 2 * x, name="twice")])
    >>> net(gl.dlarray([1.0, 2.0], "C"))
    2(C) dlarray float64
    [2. 4.]

    Source: MATLAB functionLayer.
    """

    function: Callable[..., Any]

    matlab: ClassVar[str] = "functionLayer"

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, dlarray):
            raise TypeRefused(
                f"Function takes a function, not {type(self.function).__name__}, at {line_of(user_site())}; write "
                "Function(fun)")

    def predict(self, *xs: Any) -> Any:
        return self.function(*xs)
