"""The algebra of axis labels: plain strings in, plain tuples out. No array library is imported here.

An array's labels are a string with one letter per axis of S (spatial), C (channel), B (batch), T (time), U
(unspecified), or None: unlabelled, which is also what a string of U alone means. C, B and T occur at most once.
"""
from __future__ import annotations

from collections.abc import Sequence

from ..machine.caches import remembered
from .errors import AxisError, LabelError, line_of, user_site

LETTERS = "SCBTU"
LAYOUTS = '"BCSS" (PyTorch), "BSSC" (Keras), "SSCB" (MATLAB)'


def _here() -> str:
    return f", at {line_of(user_site())}"


def checked(labels: str | None, ndim: int) -> str | None:
    """The labels of an array with `ndim` axes, or a LabelError; all U is None."""
    if labels is None:
        return None
    if not isinstance(labels, str):
        raise LabelError(f"labels are a string with one letter per axis, such as \"SSCB\", not {labels!r:.60}{_here()}")
    return _checked(labels, ndim)


@remembered(4096)
def _checked(labels: str, ndim: int) -> str | None:
    if labels in ("single", "double", "half", "like") or labels.startswith(("float", "int", "bool", "complex")):
        named = {"single": "float32", "double": "float64", "half": "float16"}.get(labels, labels)
        raise LabelError(f"{labels!r} is no labels, which are one letter per axis, such as \"SSCB\"{_here()}; write "
                         + ("like=x" if labels == "like" else f"dtype=\"{named}\""))
    for letter in labels:
        if letter not in LETTERS:
            raise LabelError(
                f"no label {letter!r} in {labels!r}{_here()}; labels are S (spatial), C (channel), B (batch), T "
                "(time), U (unspecified)")
    for letter in "CBT":
        if labels.count(letter) > 1:
            raise LabelError(
                f"label {letter!r} occurs {labels.count(letter)} times in {labels!r}{_here()}; C, B and T at most "
                "once, use S or U")
    if len(labels) != ndim:
        raise LabelError(f"labels {labels!r} name {len(labels)} axes, the array has {ndim}{_here()}; write one letter "
                         "per axis")
    return None if labels.strip("U") == "" else labels


def described(shape: Sequence[int], labels: str | None) -> str:
    """`3(C) x 128(B)`, or `3 x 128` when unlabelled, for messages and printing."""
    if not len(shape):
        return "scalar"
    if labels is None:
        return " x ".join(str(n) for n in shape)
    return " x ".join(f"{n}({label})" for n, label in zip(shape, labels, strict=True))


@remembered(1024)
def positions(labels: str | None, letter: str) -> tuple[int, ...]:
    """The axes that carry a letter; unlabelled axes are all U."""
    return tuple([k for k, other in enumerate(labels or "") if other == letter])


@remembered(4096)
def _letter_axes(labels: str | None, letters: str, shape: str) -> tuple[int, ...]:
    axes: list[int] = []
    for letter in letters:
        if letter not in LETTERS:
            raise LabelError(f"no axis {letter!r}; an axis is an integer or a label letter of {', '.join(LETTERS)}; a "
                             "sum over all axes is one without axis=")
        found = positions(labels, letter)
        if not found:
            raise LabelError(f"no axis carries the label {letter!r}: the array is {shape}"
                             + ("; it is unlabelled, give axis= as an integer or label it with dlarray(x, labels)"
                                if labels is None else ""))
        axes += found
    if len(set(axes)) != len(axes):
        raise LabelError(f"axis {letters!r} names a letter twice; name each once")
    return tuple(axes)


def axes_of(axis: object, ndim: int, labels: str | None, shape: Sequence[int] = ()) -> tuple[int, ...]:
    """Axis positions (0-based, not negative) for an integer, a letter (all axes that carry it) or several of them."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, str):
        return _letter_axes(labels, axis, described(shape, labels) if len(shape) == ndim else str(labels))
    if isinstance(axis, (tuple, list)):
        found: list[int] = []
        for a in axis:
            found += axes_of(a, ndim, labels, shape)
        if len(set(found)) != len(found):
            raise LabelError(f"axis {axis!r} names an axis twice")
        return tuple(found)
    try:
        k = axis.__index__()  # type: ignore[attr-defined]
    except AttributeError:
        raise LabelError(f"axis is an integer, a label letter or several of them, not {axis!r}") from None
    if not -ndim <= k < ndim:
        raise AxisError(f"axis {k} is out of range for {ndim} axes; axes count from 0 (MATLAB's 1 is 0 here)")
    return (k % ndim,)


def reduced_axes(axis: object, ndim: int, labels: str | None, shape: Sequence[int] = ()) -> tuple[int, ...]:
    """The axes that a reduction goes over; the one element of a scalar is what stands along its axis 0, or -1, as in
    NumPy and torch: there is nothing to reduce."""
    if not ndim and (type(axis) is int and axis in (0, -1) or axis in ((0,), (-1,))):
        return ()
    return axes_of(axis, ndim, labels, shape)


@remembered(4096)
def aligned(a: str, b: str) -> tuple[str, tuple[int | None, ...], tuple[int | None, ...]]:
    """Match two labelled operands by label: result labels, and for each operand the axis to use at each result axis
    (None: size 1).

    Several S (or U) match in order; they must be equally many, or absent on one side. The left operand's labels come
    first.
    """
    for letter in "SU":
        na, nb = a.count(letter), b.count(letter)
        if na and nb and na != nb:
            raise LabelError(f"labels {a!r} and {b!r} do not match: {na} axes {letter} on the left, {nb} on the right; "
                             "they must be equally many or absent on one side (stripdims removes labels)")
    result = a + "".join(letter for letter in b if letter not in a)
    return result, _places(a, result), _places(b, result)


def _places(labels: str, result: str) -> tuple[int | None, ...]:
    seen: dict[str, int] = {}
    places: list[int | None] = []
    for letter in result:
        found = positions(labels, letter)
        k = seen.get(letter, 0)
        seen[letter] = k + 1
        places.append(found[k] if k < len(found) else None)
    return tuple(places)


def without(labels: str | None, axes: Sequence[int]) -> str | None:
    """Labels after some axes are dropped."""
    if labels is None:
        return None
    return tidy("".join(letter for k, letter in enumerate(labels) if k not in axes))


def tidy(labels: str | None) -> str | None:
    """None for labels that say nothing."""
    return labels if labels is not None and labels.strip("U") else None


def channel_last_order(labels: str) -> tuple[int, ...]:
    """The order in which merged axes are read: C first, then the S in their order."""
    return positions(labels, "C") + positions(labels, "S")
