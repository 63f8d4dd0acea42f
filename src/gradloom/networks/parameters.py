"""Parameters, learnables and states alike: a read-only Mapping {(layer, parameter): array}, in layer order.

`keys_of`, `arrays_of` and `learnables_of` are its inside, for this library alone: keys and arrays side by side.
"""
from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from types import MappingProxyType
from typing import Any

import torch

from ..core.array import dlarray
from ..core.containers import register
from ..core.errors import ShapeError, TypeRefused, UnknownName, line_of, needed, user_site
from ..core.labels import described
from ..machine.dtypes import promoted
from ..vocabulary.hints import ParameterWords
from ..vocabulary.misspelled import nearest
from .summary import aligned_rows, html_table, value_described

Key = tuple[str, str]


class Learnables(ParameterWords, Mapping[Key, Any]):
    """Learnables, states, gradients or velocities of a network: {(layer, parameter): dlarray}, read-only, in layer
    order.

    It prints as MATLAB's table, `table()` is the same for pandas. `dlgradient(loss, net.learnables)` returns one.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    >>> net.learnables
    Layer  Parameter  Value
    fc     weights    2 x 3 float32
    fc     bias       2 float32
    >>> net.learnables["fc", "bias"]
    2 dlarray float32
    [0. 0.]
    """

    __slots__ = ("_arrays", "_index", "_keys")
    _keys: tuple[Key, ...]
    _arrays: list[Any]
    _index: dict[Key, int] | None

    def __init__(self, items: Mapping[Key, Any] = MappingProxyType({})):
        self._keys = tuple(items)
        self._arrays = list(items.values())
        self._index = None

    @classmethod
    def from_items(cls, items: Mapping[Key, Any]) -> Learnables:
        """From any Mapping with such keys."""
        return cls(items)

    def _find(self, key: Any) -> int:
        if self._index is None:
            self._index = {k: n for n, k in enumerate(self._keys)}
        return self._index[key]

    def __getitem__(self, key: Key) -> Any:
        try:
            return fresh(self._arrays[self._find(key)])
        except (KeyError, TypeError):
            raise UnknownName(f"no parameter {key!r}{nearest_key(key, self._keys)}") from None

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def values(self) -> ValuesView[Any]:
        """The arrays, in order."""
        return _Values(self)

    def items(self) -> ItemsView[Key, Any]:
        """Pairs of key and array, in order."""
        return _Items(self)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __setitem__(self, key: Key, value: Any) -> None:
        raise TypeRefused(
            f"parameters are read-only, at {line_of(user_site())}; write net = net.replace(learnables={{{key!r}: "
            "value})")

    def __reduce__(self) -> Any:
        return learnables_of, (self._keys, self._arrays)

    # ----- tables -----

    def table(self) -> Any:
        """The same as a pandas DataFrame with columns Layer, Parameter and Value, which gradloom takes wherever it
        takes this."""
        import numpy as np

        pd = needed("pandas", "table()")
        column = np.empty(len(self), dtype=object)
        for k, value in enumerate(self.values()):
            column[k] = value
        return pd.DataFrame({"Layer": [k[0] for k in self._keys], "Parameter": [k[1] for k in self._keys],
                             "Value": column})

    def _cells(self) -> list[tuple[str, str, str]]:
        return [(str(layer), str(parameter), value_described(x))
                for (layer, parameter), x in zip(self._keys, self._arrays, strict=True)]

    def __repr__(self) -> str:
        return aligned_rows([("Layer", "Parameter", "Value"), *self._cells()]) if self._keys else "no parameters"

    def _repr_html_(self) -> str:
        return html_table([("Layer", "Parameter", "Value"), *self._cells()])


class _Values(ValuesView[Any]):
    _mapping: Learnables

    def __iter__(self) -> Iterator[Any]:
        return map(fresh, self._mapping._arrays)


class _Items(ItemsView[Key, Any]):
    _mapping: Learnables

    def __iter__(self) -> Iterator[tuple[Key, Any]]:
        return zip(self._mapping._keys, map(fresh, self._mapping._arrays), strict=True)


def learnables_of(keys: tuple[Key, ...], arrays: list[Any]) -> Learnables:
    """From keys and arrays side by side, without checks."""
    made: Learnables = object.__new__(Learnables)
    made._keys = keys
    made._arrays = arrays
    made._index = None
    return made


def keys_of(learnables: Learnables) -> tuple[Key, ...]:
    """The keys, in order: the very tuple that the network has, so that `is` tells quickly whose they are."""
    return learnables._keys


def arrays_of(learnables: Learnables) -> list[Any]:
    """The arrays, in order: the handles themselves, which whoever reads them does not assign into."""
    return learnables._arrays


register(Learnables, lambda x: (x._arrays, x._keys), learnables_of, lambda x: x._keys)


def fresh(value: Any) -> Any:
    """A new handle to the same place, so that the parameter itself cannot be assigned into."""
    return dlarray._made(value._value, value._node, value._labels) if type(value) is dlarray else value


def common_type(arrays: Sequence[Any]) -> torch.dtype | None:
    """The type that learnables have, or are computed in where they have several; None where there are none."""
    if not arrays:
        return None
    first: torch.dtype = arrays[0]._value.dtype
    for x in arrays:
        if x._value.dtype is not first:
            return promoted(*[x._value.dtype for x in arrays])
    return first


# ----- from what callers give -----------------------------------------------------------------------------------------


def items_of(given: Any, word: str) -> dict[Key, Any]:
    """{key: value} from a Mapping, or from a pandas table with Layer, Parameter and Value."""
    if isinstance(given, Mapping):
        return dict(given)
    if (type(given).__module__.startswith("pandas") and {"Layer", "Parameter",
                                                         "Value"} <= set(getattr(given, "columns", ()))):
        return dict(zip(zip(given["Layer"], given["Parameter"], strict=True), given["Value"], strict=True))
    raise TypeRefused(
        f"{word} is a {type(given).__name__}, at {line_of(user_site())}; give a Mapping {{(layer, parameter): array}}, "
        "such as net.learnables, net.state or what dlgradient returned for them")


def placed(given: Any, keys: tuple[Key, ...], word: str) -> list[tuple[int, Any]]:
    """(place, value) for every key that is given; an unknown key is an error that names it."""
    if type(given) is Learnables and given._keys is keys:
        return list(enumerate(given._arrays))
    places = {key: k for k, key in enumerate(keys)}
    found = []
    for key, value in items_of(given, word).items():
        if key not in places:
            if not keys:
                raise UnknownName(
                    f"{word}: the network has none, {key!r} was given, at {line_of(user_site())}; leave it out")
            raise UnknownName(
                f"{word}: the network has no parameter {key!r}{nearest_key(key, keys)}, at {line_of(user_site())}; "
                f"keys are (layer, parameter), such as {keys[0]!r}")
        found.append((places[key], value))
    return found


def checked_shape(value: Any, old: Any, key: Key, word: str) -> None:
    """A parameter keeps its shape."""
    if value._value.shape != old._value.shape:
        raise ShapeError(f"{word} of {key!r} has shape {described(value.shape, value._labels)}, the parameter is "
                         f"{described(old.shape, old._labels)}, at {line_of(user_site())}; give an array of that shape")


def nearest_key(key: Any, keys: Sequence[Key]) -> str:
    """Keys like this one, for an error."""
    if isinstance(key, tuple) and len(key) == 2:
        layer, parameter = key
        its = [p for k, p in keys if k == layer]
        if its:
            return f": layer {layer!r} has {', '.join(its)}"
        return nearest(layer, list(dict.fromkeys(k for k, _ in keys)))
    return "; a key is a pair (layer, parameter)"


__all__ = ["Learnables", "arrays_of", "common_type", "keys_of", "learnables_of"]
