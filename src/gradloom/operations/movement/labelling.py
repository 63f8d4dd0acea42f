"""Words about labels: what they are, where they are, and without them."""
from __future__ import annotations

from typing import Any

from ...core.array import dlarray, labels_of
from ...core.declare import composite
from ...core.errors import LabelError, line_of, user_site
from ...core.labels import LETTERS, described, positions
from .axes import array, permute_dims


@composite
def dims(x: Any, /) -> str:
    """The labels of x, one letter per axis; "" when it is unlabelled.

    >>> import gradloom as gl
    >>> gl.dims(gl.zeros((2, 3), "CB"))
    'CB'

    Source: MATLAB dims.
    """
    return labels_of(x) or ""


@composite
def finddim(x: Any, letters: str, /) -> tuple[int, ...]:
    """The positions of the axes that carry a letter (or several, in that order): always a tuple, empty where there is
    none.

    Raises LabelError for what is no label.

    >>> import gradloom as gl
    >>> x = gl.zeros((5, 2, 4, 3), "SCSB")
    >>> gl.finddim(x, "S"), gl.finddim(x, "C"), gl.finddim(x, "T")
    ((0, 2), (1,), ())

    Source: MATLAB finddim.
    """
    if not isinstance(letters, str) or not letters or set(letters) - set(LETTERS):
        raise LabelError(
            f"finddim looks for a letter of {', '.join(LETTERS)}, not {letters!r}, at {line_of(user_site())}; write "
            "finddim(x, \"S\")")
    return tuple(k for letter in dict.fromkeys(letters) for k in positions(labels_of(x), letter))


@composite
def stripdims(x: Any, layout: str | None = None, /) -> Any:
    """x without labels: a new handle to the same place. With a layout, its axes are put in that order first.

    `layout` names each label of x once, such as "SSCB"; several S (or U) keep their order.

    Raises LabelError for a layout that does not name the labels of x.

    >>> import gradloom as gl
    >>> x = gl.zeros((8, 3, 5), "BCS")
    >>> gl.stripdims(x).shape, gl.stripdims(x, "SCB").shape
    ((8, 3, 5), (5, 3, 8))

    Source: MATLAB stripdims.
    """
    x = array(x)
    labels = labels_of(x)
    if layout is not None:
        if not isinstance(layout, str) or labels is None or sorted(layout) != sorted(labels):
            remedy = (f"name each label once, as in stripdims(x, {labels!r})" if labels is not None
                      else "label the array first, as in dlarray(x, \"BCSS\"), or use permute_dims")
            raise LabelError(
                f"stripdims to the layout {layout!r} of {described(x.shape, labels)}, at {line_of(user_site())}; "
                f"{remedy}")
        x = permute_dims(x, layout)
    return dlarray._made(x._value, x._node, None) if type(x) is dlarray else x


__all__ = ["dims", "finddim", "stripdims"]
