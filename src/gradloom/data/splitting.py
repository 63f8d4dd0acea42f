"""Labels: how many of each there are, and datastores split by them."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..core.errors import DataError, TypeRefused, line_of, user_site
from .combined import CombinedDatastore
from .datastore import Datastore
from .draws import drawn_seed, permutation, seed_of


def labels_in(ds: Any, word: str) -> list[str]:
    """The label of each observation, without reading anything else."""
    labels = getattr(ds, "labels", None)
    if labels is None and isinstance(ds, CombinedDatastore):
        for store in ds.stores:
            if (its := getattr(store, "labels", None)) is not None:
                whole = dict(zip(store.places.tolist(), its, strict=True))
                labels = [whole[int(store.places[place])] for place in ds.places]
                break
    if labels is None:
        kind = f"this {type(ds).__name__} has no labels" if isinstance(ds, Datastore) else (
            f"it takes a datastore, not {type(ds).__name__}")
        raise TypeRefused(f"{word}: {kind}, at {line_of(user_site())}; write {word}(gl.ImageDatastore(path), ...)")
    return labels


def count_each_label(ds: Datastore) -> dict[str, int]:
    """How many observations each label has: {label: count}, sorted by label.

    Raises TypeRefused for a datastore without labels.

    >>> import gradloom as gl
    >>> gl.count_each_label(gl.ArrayDatastore(["dog", "cat", "dog"]))
    {'cat': 1, 'dog': 2}

    Source: MATLAB countEachLabel.
    """
    labels, counts = np.unique(np.asarray(labels_in(ds, "count_each_label"), dtype=str), return_counts=True)
    return {str(label): int(count) for label, count in zip(labels, counts, strict=True)}


def split_each_label(ds: Datastore, *shares: int | float, randomized: bool = False,
                     seed: int | None = None) -> tuple[Datastore, ...]:
    """A datastore split so that each part has the same share of every label: as many parts as shares, and the rest.

    shares: integers are counts of each label, numbers between 0 and 1 fractions; fractions that sum to 1 leave no rest.
    The parts are in the order of the datastore. randomized=True chooses by chance, which `gl.rng` or seed= decides.
    Raises DataError where a label has too few observations.

    >>> import gradloom as gl
    >>> ds = gl.ArrayDatastore(["dog", "cat", "dog", "cat", "cat"])
    >>> train, test = gl.split_each_label(ds, 1)
    >>> train.read_all(), test.read_all()
    (['dog', 'cat'], ['dog', 'cat', 'cat'])

    Source: MATLAB splitEachLabel.
    """
    labels = np.asarray(labels_in(ds, "split_each_label"), dtype=str)
    site = line_of(user_site())
    if not shares:
        raise TypeRefused(f"split_each_label takes counts or fractions, at {site}; write split_each_label(ds, 0.8)")
    counts = all(isinstance(share, (int, np.integer)) for share in shares)
    if counts and min(shares) < 0 or not counts and not all(0 < share < 1 for share in shares):
        raise DataError(f"split_each_label{tuple(shares)}: counts are integers from 0 on, fractions are between 0 and "
                        f"1, at {site}; write split_each_label(ds, 50) or split_each_label(ds, 0.8)")
    whole = not counts and abs(sum(shares) - 1) < 1e-9
    if not counts and sum(shares) > 1 + 1e-9:
        raise DataError(f"split_each_label: fractions that sum to {sum(shares):g}, at {site}; their sum is at most 1")
    if randomized:
        seed = drawn_seed() if seed is None else operator.index(seed)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        its = np.flatnonzero(labels == label)
        if randomized:
            its = its[permutation(len(its), "split", seed_of("split", seed or 0, str(label)))]
        ends = np.cumsum(shares) if counts else np.floor(np.cumsum(shares) * len(its) + 0.5).astype(int)
        if ends[-1] > len(its):
            raise DataError(f"split_each_label: label {str(label)!r} has {len(its)} observations, {int(ends[-1])} are "
                            f"asked for, at {site}; ask for fewer, or for a fraction: split_each_label(ds, 0.8)")
        for part, chosen in zip(parts, np.split(its, ends), strict=True):
            part.append(chosen)
    made = [np.sort(np.concatenate(part)) if part else np.zeros(0, dtype=int) for part in parts]
    return tuple(ds.subset(chosen) for chosen in (made[:-1] if whole else made))


__all__ = ["count_each_label", "split_each_label"]
