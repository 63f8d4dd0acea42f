"""The permute layer."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.array import dlarray
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import described, positions
from ...operations.movement.axes import permute_dims
from ..layer import Layer
from ..spatial import called


class Permute(Layer):
    """The axes of these letters exchanged: axis j of them becomes what axis `order[j]` was.

    `Permute("CT", (1, 0))` makes channels of the time steps and time steps of the channels. Labels say what an axis
    is, not where it stands: only such an exchange changes what the layers after it compute. x's layout is kept.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.Permute("SSC", (2, 0, 1))])
    >>> net(gl.zeros((5, 2, 3, 4), "BCSS")).sizes
    {'B': 5, 'C': 4, 'S': (2, 3)}

    Source: MATLAB permuteLayer.
    """

    letters: str
    order: tuple[int, ...]

    matlab: ClassVar[str] = "permuteLayer"
    onnx: ClassVar[str] = "Transpose"

    def __post_init__(self) -> None:
        if not isinstance(self.order, (tuple, list)) or sorted(self.order) != list(range(len(self.letters))):
            raise ShapeError(f"Permute takes the letters of axes and an order of them, not {self.letters!r} and "
                             f"{self.order!r}, at {line_of(user_site())}; write Permute(\"CT\", (1, 0))")

    def predict(self, x: Any) -> Any:
        labels, taken = x._labels or "", dict.fromkeys(self.letters, 0)
        if any(labels.count(letter) != self.letters.count(letter) for letter in taken):
            raise LabelError(f"{called(self)} exchanges {self.letters!r}, x is {described(x.shape, x._labels)}, at "
                             f"{line_of(user_site())}; name all its axes of each letter")
        places = []
        for letter in self.letters:
            places.append(positions(labels, letter)[taken[letter]])
            taken[letter] += 1
        order = list(range(x.ndim))
        for place, k in zip(places, self.order, strict=True):
            order[place] = places[k]
        return dlarray(permute_dims(dlarray._made(x._value, x._node, None), order), labels)
