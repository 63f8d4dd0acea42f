"""Classes as ones and zeros, and back: preparation of data, which carries no derivative."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray, labels_of
from ...core.declare import composite, discrete, public
from ...core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ...core.labels import axes_of, described, tidy
from ...core.options import dtype_asked
from ...machine.dtypes import Tensor, differentiable
from ..movement.axes import array, reshape
from ..sums.extremes import argmax
from .losses.weighted_sums import targets_of


def _onehot_kernel(x: Tensor, axis: int, size: int, dtype: torch.dtype) -> Tensor:
    return (x.unsqueeze(axis) == torch.arange(size, device=x.device).reshape(-1, *(1,) * (-axis - 1))).to(dtype)


_onehot = discrete("onehotencode", _onehot_kernel, matlab="onehotencode")


def _text(x: Any) -> np.ndarray | None:
    """Labels that are words, as a NumPy array; None for numbers."""
    if isinstance(x, (dlarray, Tensor)):
        return None
    words = np.asarray(x)
    if words.dtype.kind == "O" and all(isinstance(word, str) for word in words.flat):
        words = words.astype(str)
    return words if words.dtype.kind in "US" else None


def _names(class_names: Any, site: str) -> np.ndarray:
    names = np.asarray(class_names._value if type(class_names) is dlarray else class_names)
    if names.dtype.kind == "O":
        names = names.astype(str)
    if names.ndim != 1 or len(np.unique(names)) != names.size or names.dtype.kind not in "USiu":
        raise ShapeError(
            f"class_names are words or integers, each once, not {class_names!r:.80}, at {site}; write "
            "class_names=[\"cat\", \"dog\"]")
    return names


def _positions(labels: Any, names: np.ndarray, site: str) -> Any:
    """Where each label is among the names."""
    raw = np.asarray(labels._value.cpu() if type(labels) is dlarray else labels.cpu() if isinstance(labels, Tensor)
                     else labels)
    if (raw.dtype.kind in "US") != (names.dtype.kind in "US"):
        kinds = ["words" if a.dtype.kind in "US" else "integers" for a in (raw, names)]
        raise TypeRefused(
            f"onehotencode: the labels are {kinds[0]}, the class_names {kinds[1]}, at {site}; write both in one kind")
    order = np.argsort(names, kind="stable")
    found = (np.searchsorted(names, raw, sorter=order).clip(max=names.size - 1) if names.size
             else np.zeros(raw.shape, dtype=np.int64))
    places = order[found] if names.size else found
    wrong = raw != names[places] if names.size else np.ones(raw.shape, dtype=bool)
    if wrong.any():
        raise ShapeError(
            f"onehotencode: {raw[wrong].flat[0].item()!r} is none of the {names.size} class_names, at {site}; add it "
            "to class_names")
    return torch.from_numpy(np.ascontiguousarray(places, dtype=np.int64))


@public(_onehot)
def onehotencode(labels: Any, /, axis: Any, *, class_names: Any = None, num_classes: int | None = None,
                 dtype: Any = "float64") -> Any:
    """Class labels as ones and zeros along a new axis: 1 at the class of each label.

    labels: integers counted from 0, bools, or words (a list or NumPy array of strings), of any shape. The new axis
    stands at position `axis` of the result; where labels are labelled it is C, or U if they have a C. A letter as
    `axis` names an axis of size 1, which takes the classes. The classes are `class_names`, in that order; else 0 to
    num_classes - 1; else 0 to the largest label, or the words sorted.
    Raises ShapeError for a label that is no class, TypeRefused for floating labels.

    >>> import gradloom as gl
    >>> gl.onehotencode(gl.dlarray([1, 0, 2], "B", dtype="int64"), 0)
    3(C) x 3(B) dlarray float64
    [[0. 1. 0.]
     [1. 0. 0.]
     [0. 0. 1.]]
    >>> gl.onehotencode(["dog", "cat"], 1, class_names=["cat", "dog"], dtype="float32")
    2 x 2 dlarray float32
    [[0. 1.]
     [1. 0.]]

    Source: MATLAB onehotencode.
    """
    site = line_of(user_site())
    words: Any = _text(labels)
    x: Any = targets_of(labels) if words is None else words
    if words is None and differentiable(x.dtype):
        raise TypeRefused(f"onehotencode takes integers counted from 0, or words, not {str(x.dtype)[6:]}, at {site}; "
                          "write labels.astype(\"int64\")")
    if class_names is not None and num_classes is not None:
        raise ShapeError(f"onehotencode takes class_names or num_classes, not both, at {site}; leave one out")
    kept = None if words is not None else labels_of(x)
    shape = tuple(x.shape)
    if class_names is not None or words is not None:
        names = np.unique(words) if class_names is None else _names(class_names, site)
        size = names.size if num_classes is None else operator.index(num_classes)
        if size < names.size:
            raise ShapeError(
                f"onehotencode: {names.size} different words for num_classes={size}, at {site}; leave num_classes out")
        places = _positions(x, names, site)
        places = (places.to(x.device) if isinstance(x, Tensor)
                  else dlarray._made(places if words is not None else places.to(x.device), None))
    else:
        raw = x._value if type(x) is dlarray else x
        raw = raw.to(torch.int64)
        low, high = (int(raw.min()), int(raw.max())) if raw.numel() else (0, -1)
        size = high + 1 if num_classes is None else operator.index(num_classes)
        if low < 0 or high >= size:
            raise ShapeError(
                f"onehotencode: labels from {low} to {high} for {size} classes, at {site}; they count from 0 to "
                "num_classes - 1, other numbers need class_names=")
        places = dlarray._made(raw, None) if type(x) is dlarray else raw
    if isinstance(axis, str):
        k = axes_of(axis, len(shape), kept, shape)
        if len(k) != 1 or shape[k[0]] != 1:
            raise LabelError(
                f"onehotencode: axis={axis!r} of {described(shape, kept)}, at {site}; it names one axis of size 1, "
                "which takes the classes: write an integer for a new axis")
        places = reshape(places, shape[:k[0]] + shape[k[0] + 1:])
        return _onehot.apply((places,), {"axis": k[0] - len(shape), "size": size, "dtype": dtype_asked(dtype)}, kept)
    (at,) = axes_of(axis, len(shape) + 1, None)
    result = None if kept is None else kept[:at] + ("U" if "C" in kept else "C") + kept[at:]
    return _onehot.apply((places,), {"axis": at - len(shape) - 1, "size": size, "dtype": dtype_asked(dtype)},
                         tidy(result))


@composite
def onehotdecode(p: Any, /, class_names: Any = None, axis: Any = None) -> Any:
    """The class with the largest score along an axis: the inverse of onehotencode, and what a classifier's
    probabilities say.

    p: scores or ones and zeros; axis: an integer or a letter, C where p is labelled and axis is missing. class_names:
    the classes in order; integers, or None for 0, 1, 2, ..., give an integer array with p's other labels, words a NumPy
    array of strings. The first of equal scores counts. Raises ShapeError where there are not as many class_names as
    scores.

    >>> import gradloom as gl
    >>> gl.onehotdecode(gl.dlarray([[0.1, 0.8], [0.9, 0.2]], "CB"))
    2(B) dlarray int64
    [1 0]
    >>> gl.onehotdecode([[0.1, 0.9], [0.8, 0.2]], ["cat", "dog"], 1).tolist()
    ['dog', 'cat']

    Source: MATLAB onehotdecode.
    """
    site = line_of(user_site())
    p = array(p)
    if axis is None:
        if "C" not in (labels_of(p) or ""):
            raise LabelError(
                f"onehotdecode needs an axis, p is {described(p.shape, labels_of(p))}, at {site}; write "
                "onehotdecode(p, class_names, axis)")
        axis = "C"
    k = axes_of(axis, p.ndim, labels_of(p), p.shape)
    if len(k) != 1:
        raise LabelError(
            f"onehotdecode works along one axis, axis={axis!r} names {len(k)} of {described(p.shape, labels_of(p))}, "
            f"at {site}")
    index = argmax(p, axis=k[0])
    if class_names is None:
        return index
    names = _names(class_names, site)
    if names.size != p.shape[k[0]]:
        raise ShapeError(
            f"onehotdecode: {names.size} class_names for {p.shape[k[0]]} classes of "
            f"{described(p.shape, labels_of(p))}, at {site}; give one for each")
    raw = index._value if type(index) is dlarray else index
    if names.dtype.kind in "US":
        return names[raw.cpu().numpy()]
    chosen = torch.from_numpy(names.astype(np.int64)).to(raw.device)[raw]
    return dlarray._made(chosen, None, labels_of(index)) if type(index) is dlarray else chosen


__all__ = ["onehotdecode", "onehotencode"]
