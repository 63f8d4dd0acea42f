"""Layers that disturb what they are given, in training alone."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described
from ...operations.creation.arrays import ones
from ...operations.creation.random import dropout, randn
from ..layer import Layer
from ..options import check_number


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
    onnx: ClassVar[str] = "Dropout"

    def __post_init__(self) -> None:
        _check_probability(self)

    def predict(self, x: Any) -> Any:
        return x

    def forward(self, x: Any) -> Any:
        return dropout(x, self.probability)


class SpatialDropout(Layer):
    """In training each channel of each observation is 0 with the given probability, everywhere, and the others are
    divided by 1 - probability.

    The axes S, T and U share one draw. Neighbouring entries of a channel say nearly the same, so that `Dropout` leaves
    most of it: here all of it goes. In use nothing is dropped.

    >>> import gradloom as gl
    >>> gl.layers.SpatialDropout(0.2)
    SpatialDropout(0.2)

    Source: Tompson, Goroshin, Jain, LeCun, Bregler 2015; MATLAB spatialDropoutLayer; PyTorch Dropout1d to Dropout3d.
    """

    probability: float = 0.5

    matlab: ClassVar[str] = "spatialDropoutLayer"

    def __post_init__(self) -> None:
        _check_probability(self)

    def predict(self, x: Any) -> Any:
        return x

    def forward(self, x: Any) -> Any:
        labels = x.dims
        if "C" not in labels:
            raise LabelError(f"the layer {self.name!r} (SpatialDropout) needs an axis C, x is "
                             f"{described(x.shape, x._labels)}, at {line_of(user_site())}; label the data, such as "
                             "\"BCSS\"")
        shape = [n if letter in "BC" else 1 for n, letter in zip(x.shape, labels, strict=True)]
        real = x.dtype.to_real() if x.dtype.is_complex else x.dtype
        return x * dropout(ones(shape, labels, dtype=real, device=x.device), self.probability)


class GaussianNoise(Layer):
    """In training a normal random number of standard deviation `deviation` is added to each element.

    In use nothing is added. The noise is drawn anew by each call, and carries no derivative.

    >>> import gradloom as gl
    >>> gl.layers.GaussianNoise(0.1)
    GaussianNoise(0.1)

    Source: Sietsma and Dow 1991; Keras GaussianNoise.
    """

    deviation: float

    def __post_init__(self) -> None:
        check_number(self, "deviation", 0)

    def predict(self, x: Any) -> Any:
        return x

    def forward(self, x: Any) -> Any:
        return x + self.deviation * randn(x.shape, x.dims or None, dtype=x.dtype, device=x.device)


def _check_probability(layer: Any) -> None:
    word = type(layer).__name__
    if not 0 <= layer.probability <= 1:
        raise ShapeError(f"{word} takes a probability in [0, 1], not {layer.probability!r}, at "
                         f"{line_of(user_site())}; write {word}(0.5)")
