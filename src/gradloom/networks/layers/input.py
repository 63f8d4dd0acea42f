"""Input layers: what enters a network. They check it, normalize it and pass it on; and the layer that undoes that."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import GradloomError, LabelError, ShapeError, ValueRefused, line_of, user_site
from ...core.labels import LAYOUTS, described, positions
from ...core.labels import checked as checked_labels
from ...machine.dtypes import differentiable
from ...operations.elementwise.arithmetic import astype
from ...vocabulary.misspelled import nearest
from ..initialize import zeros
from ..layer import Layer, State
from ..layout import Layout
from ..normalizing import BACKWARD, DIMENSIONS, FORWARD, STATISTICS, Normalization, placed, statistics_of
from ..spatial import called


class _Normalizing(Layer):
    """What layers with statistics of data have in common. A statistic that is not there yet is an empty array."""

    normalization: Normalization = field(default="none", kw_only=True)
    normalization_dimension: str = field(default="auto", kw_only=True)
    mean: State
    standard_deviation: State
    min: State
    max: State

    def check_options(self) -> None:
        """Refuse normalizations that there are not, and statistics that the one here does not take."""
        kind, site = type(self).__name__, line_of(user_site())
        if not callable(self.normalization) and self.normalization not in STATISTICS:
            raise ValueRefused(
                f"{kind} has no normalization={self.normalization!r}{nearest(str(self.normalization), STATISTICS)}, at "
                f"{site}; write one of {', '.join(map(repr, STATISTICS))}, or a function of the array")
        if self.normalization_dimension not in DIMENSIONS:
            raise ValueRefused(f"{kind} has no normalization_dimension={self.normalization_dimension!r}, at {site}; "
                               f"write one of {', '.join(map(repr, DIMENSIONS))}")
        for word in ("mean", "standard_deviation", "min", "max"):
            if getattr(self, word) is not None and word not in self.wanted:
                takers = ", ".join(repr(name) for name, its in STATISTICS.items() if word in its)
                raise ValueRefused(f"{kind} with normalization={self.normalization!r} takes no {word}=, at {site}; "
                                   f"write normalization= one of {takers}")

    @property
    def wanted(self) -> Sequence[str]:
        """The statistics that its normalization takes."""
        return STATISTICS[self.normalization] if isinstance(self.normalization, str) else ()

    @property
    def lacking(self) -> list[str]:
        """Those of them that are not there yet."""
        its = {word: getattr(self, word) for word in self.wanted}
        return [word for word, value in its.items() if value is None or isinstance(value, dlarray) and not value.size]

    def statistics(self, batches: Any) -> dict[tuple[str | None, str], Any]:
        """The statistics of data, an array or several in turn, as `net.replace(state=...)` takes them."""
        return {(self.name, word): value
                for word, value in statistics_of(self.wanted, batches, self.normalization_dimension).items()}

    def initialize(self, layout: Layout) -> None:
        for word in self.lacking:
            setattr(self, word, zeros((0,)))

    def normalized(self, x: Any, formulas: Any) -> Any:
        """x by the formula of its normalization."""
        how = self.normalization
        if how == "none":
            return x
        if not isinstance(how, str):
            return how(x)
        if self.lacking and not x.size:  # no observation, as where a file's sizes are checked
            return x
        if self.lacking:
            raise GradloomError(
                f"{called(self)} normalizes by {' and '.join(self.lacking)}, which it does not have yet, at "
                f"{line_of(user_site())}; train it, give the statistics, as in {self.lacking[0]}=..., or take them "
                f"from data: net = net.replace(state=net.layers[0].statistics(x))")
        statistics = [placed(getattr(self, word), x, f"{word} of {called(self)}") for word in self.wanted]
        if not differentiable(x._value.dtype):  # one number alone would give whole numbers another type than several do
            x = astype(x, statistics[0]._value.dtype)
        return formulas[how](x, *statistics)


class _SizedInput(_Normalizing):
    """What input layers of a given size have in common."""

    entering: ClassVar[str] = ""  # what they take, in an error
    batches: ClassVar[str] = "B"

    def sizes(self) -> tuple[int, ...]:
        """Its size, along (*S, C)."""
        raise NotImplementedError

    @property
    def layout(self) -> Layout:
        """One observation in MATLAB's order."""
        sizes = self.sizes()
        return Layout((*sizes, *(1,) * len(self.batches)), "S" * (len(sizes) - 1) + "C" + self.batches)

    def predict(self, x: Any) -> Any:
        labels, sizes = x._labels, self.sizes()
        if labels is None:
            labels = _labels_of(x, self)  # refuses
        its = tuple([x._value.shape[k] for k in positions(labels, "S") + positions(labels, "C")])
        if its != sizes:
            raise ShapeError(
                f"the input layer {self.name!r} takes {self.entering}{described(sizes, 'S' * (len(sizes) - 1) + 'C')}, "
                f"x is {described(x.shape, labels)}, at {line_of(user_site())}; label or reshape x accordingly")
        # quick way: `normalized` says the same
        return x if self.normalization == "none" else self.normalized(x, FORWARD)


class ImageInput(_SizedInput):
    """Images of `size` (height, width, channels), whatever the layout of the data, normalized.

    They are labelled S, S, C and, for several, B. `normalization` is "none", "zerocenter" (x - mean), "zscore" ((x -
    mean) / standard_deviation), "rescale-symmetric" (from min ... max to -1 ... 1), "rescale-zero-one" (to 0 ... 1), or
    a function of the array. Statistics are options and states: one number, one for each channel, or one for each entry
    of (*S, C). Where they are not given, training finds them, for each channel, or as `normalization_dimension`
    ("channel", "element", "all") says; `net.replace(state=layer.statistics(x))` takes them from data by hand.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((28, 28, 1)), gl.layers.Convolution2d(5, 20)])
    >>> net(gl.zeros((7, 1, 28, 28), "BCSS")).sizes
    {'B': 7, 'C': 20, 'S': (24, 24)}
    >>> net = gl.dlnetwork([gl.layers.ImageInput((1, 2, 1), normalization="rescale-zero-one", min=0, max=255)])
    >>> net(gl.dlarray([[[51.0, 255.0]]], "CSS")).tolist()
    [[[0.2, 1.0]]]

    Source: MATLAB imageInputLayer, whose Normalization is "zerocenter" unless it is said.
    """

    size: tuple[int, int, int]

    matlab: ClassVar[str] = "imageInputLayer"
    entering: ClassVar[str] = "images "
    default_name: ClassVar[str] = "imageinput"

    def __post_init__(self) -> None:
        _check_sizes(self.size, 3, "ImageInput", "(height, width, channels), such as (28, 28, 1)")
        self.check_options()

    def sizes(self) -> tuple[int, ...]:
        return tuple(self.size)


class Image3dInput(_SizedInput):
    """Volumes of `size` (height, width, depth, channels), whatever the layout of the data, normalized.

    They are labelled S, S, S, C and, for several, B. Normalization is that of ImageInput.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.Image3dInput((4, 4, 4, 1), normalization="zerocenter", mean=1.0)])
    >>> float(net(gl.ones((1, 4, 4, 4), "CSSS"))[0, 0, 0, 0])
    0.0

    Source: MATLAB image3dInputLayer.
    """

    size: tuple[int, int, int, int]

    matlab: ClassVar[str] = "image3dInputLayer"
    entering: ClassVar[str] = "volumes "
    default_name: ClassVar[str] = "image3dinput"

    def __post_init__(self) -> None:
        _check_sizes(self.size, 4, "Image3dInput", "(height, width, depth, channels), such as (16, 16, 16, 1)")
        self.check_options()

    def sizes(self) -> tuple[int, ...]:
        return tuple(self.size)


class FeatureInput(_SizedInput):
    """Vectors of `size` features, labelled C and, for several, B. Normalization is that of ImageInput.

    >>> import gradloom as gl
    >>> gl.layers.FeatureInput(10)
    FeatureInput(10)
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2, normalization="zscore")])
    >>> x = gl.dlarray([[1.0, 3.0], [10.0, 30.0]], "CB")
    >>> net = net.replace(state=net.layers[0].statistics(x))
    >>> net(x).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]

    Source: MATLAB featureInputLayer.
    """

    size: int

    matlab: ClassVar[str] = "featureInputLayer"
    default_name: ClassVar[str] = "input"

    def __post_init__(self) -> None:
        _check_sizes((self.size,), 1, "FeatureInput", "the number of features")
        self.check_options()

    def sizes(self) -> tuple[int, ...]:
        return (self.size,)


class SequenceInput(_SizedInput):
    """Sequences of vectors of `size` features, or of images of `size` (*spatial, channels), labelled T besides.

    `min_length` is the least number of time steps; the network is made for so many. Normalization is that of
    ImageInput.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.SequenceInput(3, min_length=4), gl.layers.Convolution1d(4, 2)])
    >>> net(gl.zeros((3, 5, 10), "CBT")).sizes
    {'C': 2, 'B': 5, 'T': 7}

    Source: MATLAB sequenceInputLayer.
    """

    size: int | tuple[int, ...]
    min_length: int = field(default=1, kw_only=True)

    matlab: ClassVar[str] = "sequenceInputLayer"
    entering: ClassVar[str] = "sequences of "
    default_name: ClassVar[str] = "sequenceinput"
    batches: ClassVar[str] = "BT"

    def __post_init__(self) -> None:
        sizes = self.size if isinstance(self.size, (tuple, list)) else (self.size,)
        _check_sizes(sizes, max(min(len(sizes), 4), 1), "SequenceInput",
                     "the number of features, or (*spatial, channels), such as (28, 28, 1)")
        _check_sizes((self.min_length,), 1, "SequenceInput", "a min_length of at least 1")
        self.check_options()

    def sizes(self) -> tuple[int, ...]:
        return tuple(self.size) if isinstance(self.size, (tuple, list)) else (self.size,)

    @property
    def layout(self) -> Layout:
        """One observation of the least length, in MATLAB's order."""
        its = super().layout
        return Layout((*its.shape[:-1], self.min_length), its.labels)

    def predict(self, x: Any) -> Any:
        labels = _labels_of(x, self)
        if "T" not in labels or x._value.shape[labels.index("T")] < self.min_length:
            raise ShapeError(
                f"the input layer {self.name!r} takes sequences of {self.min_length} or more time steps, x is "
                f"{described(x.shape, labels)}, at {line_of(user_site())}; label the time steps T, as in \"CBT\"")
        return super().predict(x)


class Input(Layer):
    """Arrays of `size` along axes with these labels, in any order; a size along B or T may be None: any.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.Input((None, 3), "BC"), gl.layers.FullyConnected(2)])
    >>> net(gl.zeros((3, 5), "CB")).sizes
    {'C': 2, 'B': 5}

    Source: MATLAB inputLayer.
    """

    size: tuple[int | None, ...]
    labels: str

    matlab: ClassVar[str] = "inputLayer"
    default_name: ClassVar[str] = "input"

    def __post_init__(self) -> None:
        labels = checked_labels(self.labels, len(self.size)) or ""
        for n, letter in zip(self.size, labels, strict=False):
            if not (isinstance(n, int) and n > 0 or n is None and letter in "BT"):
                raise ShapeError(f"Input takes positive sizes, None along B and T, and labels, not {self.size!r} and "
                                 f"{self.labels!r}, at {line_of(user_site())}; write Input((None, 3), \"BC\")")

    @property
    def layout(self) -> Layout:
        """One observation of one time step."""
        return Layout(tuple(n or 1 for n in self.size), self.labels)

    def predict(self, x: Any) -> Any:
        labels = _labels_of(x, self)
        for letter in dict.fromkeys(labels + self.labels):
            wanted = [n for n, its in zip(self.size, self.labels, strict=True) if its == letter]
            found = [x._value.shape[k] for k in positions(labels, letter)]
            if len(wanted) != len(found) or any(n is not None and n != m for n, m in zip(wanted, found, strict=True)):
                sizes = " x ".join(f"{'any' if n is None else n}({its})"
                                   for n, its in zip(self.size, self.labels, strict=True))
                raise ShapeError(f"the input layer {self.name!r} takes {sizes}, x is {described(x.shape, labels)}, at "
                                 f"{line_of(user_site())}; label or reshape x accordingly")
        return x


class InverseNormalization(_Normalizing):
    """Predictions in the units of the data: it undoes a normalization, "zscore" unless another is said.

    Formula: y standard_deviation + mean for "zscore", y + mean for "zerocenter", and min ... max for the two that
    rescale. Statistics are those of ImageInput, here of the targets.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.InverseNormalization(mean=10.0, standard_deviation=2.0)], gl.zeros(2, "C"))
    >>> net(gl.dlarray([-1.0, 1.0], "C"))
    2(C) dlarray float64
    [ 8. 12.]

    Source: MATLAB inverseNormalizationLayer.
    """

    normalization: Normalization = field(default="zscore", kw_only=True)

    matlab: ClassVar[str] = "inverseNormalizationLayer"
    default_name: ClassVar[str] = "inversenorm"

    def __post_init__(self) -> None:
        if callable(self.normalization):
            raise ValueRefused(f"InverseNormalization undoes no function, at {line_of(user_site())}; write "
                             "layers.Function(inverse)")
        self.check_options()

    def predict(self, x: Any) -> Any:
        return self.normalized(x, BACKWARD)


def _labels_of(x: Any, layer: Layer) -> str:
    if x._labels is None:
        raise LabelError(
            f"the input layer {layer.name!r} needs to know the axes of x, which is unlabelled "
            f"({described(x.shape, None)}), at {line_of(user_site())}; write dlarray(x, labels), such as {LAYOUTS}")
    labels: str = x._labels
    return labels


def _check_sizes(sizes: Any, count: int, word: str, meaning: str) -> None:
    if (not isinstance(sizes, (tuple, list)) or len(sizes) != count
        or not all(isinstance(n, int) and n > 0 for n in sizes)):
        raise ShapeError(f"{word} takes {meaning}, not {sizes!r}, at {line_of(user_site())}")
