"""The dropout layer."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import ShapeError, line_of, user_site
from ...operations.creation.random import dropout
from ..layer import Layer


class Dropout(Layer):
    """In training each element is 0 with the given probability, and the others are divided by 1 - probability.

    In use nothing is dropped. What is dropped is drawn anew by each call; every derivative uses the draw of its own
    forward pass.

    >>> import gradloom as gl
    >>> gl.layers.Dropout(0.2)
    Dropout(0.2)

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014; MATLAB dropoutLayer.
    """

    probability: float = 0.5

    matlab: ClassVar[str] = "dropoutLayer"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ShapeError(
                f"Dropout takes a probability in [0, 1], not {self.probability!r}, at {line_of(user_site())}; write "
                "Dropout(0.5)")

    def predict(self, x: Any) -> Any:
        return x

    def forward(self, x: Any) -> Any:
        return dropout(x, self.probability)
