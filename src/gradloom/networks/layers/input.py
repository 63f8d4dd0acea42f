"""Input layers: what enters a network. They check it and pass it on; nothing is normalized."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import LAYOUTS, described, positions
from ..layer import Layer
from ..layout import Layout


class ImageInput(Layer):
    """Images of `size` (height, width, channels), whatever the layout of the data.

    They are labelled S, S, C and, for several, B.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((28, 28, 1)), gl.layers.Convolution2d(5, 20)])
    >>> net(gl.zeros((7, 1, 28, 28), "BCSS")).sizes
    {'B': 7, 'C': 20, 'S': (24, 24)}

    Source: MATLAB imageInputLayer, with Normalization="none".
    """

    size: tuple[int, int, int]

    matlab: ClassVar[str] = "imageInputLayer"
    default_name: ClassVar[str] = "imageinput"

    def __post_init__(self) -> None:
        _check_sizes(self.size, 3, "ImageInput", "(height, width, channels), such as (28, 28, 1)")

    @property
    def layout(self) -> Layout:
        """One image in MATLAB's order."""
        return Layout((*self.size, 1), "SSCB")

    def predict(self, x: Any) -> Any:
        height, width, channels = self.size
        labels = _labels_of(x, self)
        its = [x._value.shape[k] for k in positions(labels, "S") + positions(labels, "C")]
        if its != [height, width, channels]:
            raise ShapeError(
                f"the input layer {self.name!r} takes images {described((height, width, channels), 'SSC')}, x is "
                f"{described(x.shape, labels)}, at {line_of(user_site())}; label or reshape x accordingly")
        return x


class FeatureInput(Layer):
    """Vectors of `size` features, labelled C and, for several, B.

    >>> import gradloom as gl
    >>> gl.layers.FeatureInput(10)
    FeatureInput(10)

    Source: MATLAB featureInputLayer, with Normalization="none".
    """

    size: int

    matlab: ClassVar[str] = "featureInputLayer"
    default_name: ClassVar[str] = "input"

    def __post_init__(self) -> None:
        _check_sizes((self.size,), 1, "FeatureInput", "the number of features")

    @property
    def layout(self) -> Layout:
        """One observation."""
        return Layout((self.size, 1), "CB")

    def predict(self, x: Any) -> Any:
        labels = _labels_of(x, self)
        if [x._value.shape[k] for k in positions(labels, "C")] != [self.size] or "S" in labels:
            raise ShapeError(
                f"the input layer {self.name!r} takes {described((self.size,), 'C')}, x is "
                f"{described(x.shape, labels)}, at {line_of(user_site())}; label or reshape x accordingly")
        return x


def _labels_of(x: Any, layer: Layer) -> str:
    if x._labels is None:
        raise LabelError(
            f"the input layer {layer.name!r} needs to know the axes of x, which is unlabelled "
            f"({described(x.shape, None)}), at {line_of(user_site())}; write dlarray(x, labels), such as {LAYOUTS}")
    return x._labels


def _check_sizes(sizes: Any, count: int, word: str, meaning: str) -> None:
    if (not isinstance(sizes, (tuple, list)) or len(sizes) != count
        or not all(isinstance(n, int) and n > 0 for n in sizes)):
        raise ShapeError(f"{word} takes {meaning}, not {sizes!r}, at {line_of(user_site())}")
