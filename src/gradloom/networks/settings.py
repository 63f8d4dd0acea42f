"""What training is told about each learnable: factors of its learning rate and of its L2 regularization, and whether it
is frozen. Data beside a network's body and values.
"""
from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..core.errors import TypeRefused, UnknownName, line_of, user_site
from ..vocabulary.misspelled import nearest
from .parameters import Key, nearest_key


@dataclass(frozen=True, slots=True)
class Setting:
    """How training treats one learnable: its learning rate and its L2 factor are multiplied by these; a frozen one
    stays as it is."""

    learn_rate_factor: float = 1.0
    l2_factor: float = 1.0
    frozen: bool = False

    def __post_init__(self) -> None:
        for name in ("learn_rate_factor", "l2_factor"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < math.inf:
                raise TypeRefused(f"{name} is a finite number that is not negative, not {value!r}, at "
                                  f"{line_of(user_site())}; write 0.0 for none")
            object.__setattr__(self, name, float(value))
        if not isinstance(self.frozen, bool):
            raise TypeRefused(f"frozen is True or False, not {self.frozen!r}, at {line_of(user_site())}")


USUAL, UNREGULARIZED = Setting(), Setting(l2_factor=0.0)


class Settings(Mapping[Key, Setting]):
    """The setting of each learnable: {(layer, parameter): Setting}, read-only; those that are as usual take no room."""

    __slots__ = ("_changed", "_keys", "_trainable")

    def __init__(self, keys: tuple[Key, ...], changed: Mapping[Key, Setting]):
        self._keys = keys
        self._changed = {key: setting for key, setting in changed.items() if setting != USUAL}
        self._trainable: tuple[tuple[Key, ...], list[int] | None] | None = None

    def __getitem__(self, key: Key) -> Setting:
        found = self._changed.get(key)
        if found is not None:
            return found
        if key not in self._keys:
            raise UnknownName(f"no learnable {key!r}{nearest_key(key, self._keys)}")
        return USUAL

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        return self is other or type(other) is Settings and (
            self._keys == other._keys and self._changed == other._changed)

    def __hash__(self) -> int:
        return hash((self._keys, frozenset(self._changed.items())))

    def __repr__(self) -> str:
        return f"Settings({dict(self)!r})"

    def __reduce__(self) -> Any:
        return Settings, (self._keys, self._changed)

    @property
    def trainable(self) -> tuple[tuple[Key, ...], list[int] | None]:
        """The keys of what is not frozen, and their places among all (None: all of them)."""
        if self._trainable is None:
            frozen = {key for key, setting in self._changed.items() if setting.frozen}
            places = [k for k, key in enumerate(self._keys) if key not in frozen]
            self._trainable = ((self._keys, None) if len(places) == len(self._keys)
                               else (tuple(self._keys[k] for k in places), places))
        return self._trainable

    def changed(self, keys: Sequence[Key], **fields: Any) -> Settings:
        """Settings in which these keys have other fields."""
        return Settings(self._keys, self._changed | {key: dataclasses.replace(self[key], **fields) for key in keys})

    def updated(self, given: Mapping[Key, Setting]) -> Settings:
        """Settings in which some keys have those that are given."""
        for key, setting in given.items():
            if key not in self._keys:
                raise UnknownName(f"settings: the network has no learnable {key!r}{nearest_key(key, self._keys)}, at "
                                  f"{line_of(user_site())}")
            if not isinstance(setting, Setting):
                raise TypeRefused(f"settings of {key!r} is {type(setting).__name__}, not a Setting, at "
                                  f"{line_of(user_site())}; write dataclasses.replace(net.settings[{key!r}], "
                                  "frozen=True)")
        return Settings(self._keys, {**self._changed, **given})

    def for_keys(self, keys: tuple[Key, ...], usual: Callable[[Key], Setting], kept: Callable[[Key], bool]) -> Settings:
        """Settings of other keys: those that are here already where `kept` says so, the usual ones of the others."""
        mine = set(self._keys)
        return Settings(keys, {key: self[key] if key in mine and kept(key) else usual(key) for key in keys})


def matching(keys: Sequence[Key], patterns: Sequence[Any], separator: str, word: str) -> list[Key]:
    """The keys that patterns name: of layers ("conv*", "block", whose layers inside are meant too), or (layer,
    parameter)."""
    if not patterns:
        return list(keys)
    chosen: set[Key] = set()
    for pattern in patterns:
        if isinstance(pattern, tuple) and len(pattern) == 2 and all(isinstance(part, str) for part in pattern):
            its = [key for key in keys if fnmatchcase(key[1], pattern[1]) and _of_layer(key[0], pattern[0], separator)]
        elif isinstance(pattern, str):
            its = [key for key in keys if _of_layer(key[0], pattern, separator)]
        else:
            raise TypeRefused(f"net.{word} takes names of layers or pairs (layer, parameter), not {pattern!r}, at "
                              f"{line_of(user_site())}; write net.{word}(\"conv*\")")
        if not its:
            said = (nearest(pattern, list(dict.fromkeys(layer for layer, _ in keys))) if isinstance(pattern, str)
                    else nearest_key(pattern, keys))
            raise UnknownName(f"net.{word}: no layer with learnables is called {pattern!r}{said}, at "
                              f"{line_of(user_site())}; they are {', '.join(dict.fromkeys(k for k, _ in keys))}")
        chosen.update(its)
    return [key for key in keys if key in chosen]


def _of_layer(layer: str, pattern: str, separator: str) -> bool:
    """Whether a pattern names a layer, or one that it is part of."""
    parts = layer.split(separator)
    return any(fnmatchcase(separator.join(parts[:n]), pattern) for n in range(1, len(parts) + 1))


__all__ = ["UNREGULARIZED", "USUAL", "Setting", "Settings", "matching"]
