"""What an update changes: the learnables of a network, or the arrays of any container, as one flat list that can be put
back."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optree

from ..core.array import dlarray
from ..core.containers import NAMESPACE, Structure, flatten, unflatten
from ..core.errors import ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..machine.caches import remembered
from ..networks.network import dlnetwork, with_learnables
from ..networks.parameters import Key, Learnables, arrays_of, items_of, keys_of, learnables_of, nearest_key
from ..networks.settings import Settings

Factors = tuple[float, float]  # of the learning rate, and of the decay
PLAIN: Factors = (1.0, 1.0)


@remembered(64)
def factors_of(settings: Settings) -> list[Factors]:
    """The factors of what is not frozen, in order."""
    keys = settings.trainable[0]
    return [(settings[key].learn_rate_factor, settings[key].l2_factor) for key in keys]


class Parameters:
    """The arrays that an update of `given` changes, in order: of a network those that are not frozen, unless
    `everything` is meant. `refilled` puts new ones in their places."""

    __slots__ = ("arrays", "factors", "given", "keys", "known", "left", "nested", "places", "structure", "word")

    def __init__(self, given: Any, word: str, everything: bool = False):
        self.given = given
        self.word = word
        self.keys: tuple[Key, ...] | None = None
        self.places: list[int] | None = None  # which of the keyed arrays change, where not all do
        self.left: frozenset[Key] = frozenset()  # keys of those that do not, though gradients may have them
        self.factors: Sequence[Factors] | None = None  # of each array, where a network has them
        self.structure: Structure | None = None
        self.known: list[Any] | None = None  # shapes
        # parts of a container with networks in it: the parameters of a network, or None for an array
        self.nested: list[Parameters | None] | None = None
        if isinstance(given, dlnetwork):
            its = given.learnables if everything else given.trainable
            self.keys, self.arrays = keys_of(its), arrays_of(its)
            settings = given.settings
            if not everything:
                self.factors = factors_of(settings)
                self.places = settings.trainable[1]
                if self.places is not None:
                    self.left = frozenset(settings) - frozenset(self.keys)
        elif type(given) is Learnables:
            self.keys, self.arrays = keys_of(given), arrays_of(given)
        else:
            self.arrays = self._of_container(given, everything)
        if all([type(x) is dlarray for x in self.arrays]):
            return
        for k, x in enumerate(self.arrays):
            if type(x) is not dlarray:
                raise TypeRefused(
                    f"{word} changes dlarrays, {self.path(k)} is {type(x).__name__}, at {line_of(user_site())}; give a "
                    "network, or a container of dlarrays")

    def _of_container(self, given: Any, everything: bool) -> list[Any]:
        leaves, self.structure = flatten(given)
        # quick way: what holds its arrays itself holds no networks; the plain one is below
        if type(given) in (list, tuple) and all([type(x) is dlarray for x in given]):
            return leaves
        parts, spec = _shallow(given)
        if not any([isinstance(part, dlnetwork) for part in parts]):
            return leaves
        self.structure = Structure(spec)
        self.nested = [Parameters(part, self.word, everything) if isinstance(part, dlnetwork) else None
                       for part in parts]
        if not everything:
            self.factors = [pair for its in self.nested for pair in ([PLAIN] if its is None else its.factors or ())]
        return [x for part, its in zip(parts, self.nested, strict=True)
                for x in ([part] if its is None else its.arrays)]

    def shapes(self) -> list[Any]:
        """Those of the arrays."""
        if self.known is None:
            self.known = [x._value.shape for x in self.arrays]
        return self.known

    def path(self, k: int) -> str:
        """Where an array is, for an error."""
        if self.keys is not None:
            return repr(self.keys[k])
        if self.nested is not None or self.structure is None:
            return f"array {k}"
        path = self.structure.paths()[k]
        return "its first argument" if path == () else "[" + "][".join(repr(p) for p in path) + "]"

    def narrow(self, gradients: Any) -> None:
        """Gradients for some of a network's learnables change those alone."""
        if (self.keys is None or type(gradients) is Learnables and keys_of(gradients) is self.keys
            or not _is_keyed(gradients)):
            return
        items = items_of(gradients, "gradients")
        found = [k for k, key in enumerate(self.keys) if key in items]
        known = len(found) + sum([key in self.left for key in items])
        if 0 < len(found) < len(self.keys) and known == len(items):
            self.places = found if self.places is None else [self.places[k] for k in found]
            self.keys, self.arrays = tuple(self.keys[k] for k in found), [self.arrays[k] for k in found]
            self.known = None
            if self.factors is not None:
                self.factors = [self.factors[k] for k in found]

    # ----- matching containers -----

    def matched(self, other: Any, what: str) -> list[Any]:
        """The arrays of a container with the same places: gradients, velocities."""
        if isinstance(other, dlnetwork):
            other = other.learnables
        theirs = keys_of(other) if type(other) is Learnables else None
        if theirs is not None and (theirs is self.keys or theirs == self.keys):
            arrays = arrays_of(other)
        elif self.keys is not None:
            arrays = self._matched_by_key(other, what)
        else:
            arrays = self._matched_by_place(other, what)
        # quick way: all is well; the plain one is below
        if all([type(x) is dlarray for x in arrays]) and [x._value.shape for x in arrays] == self.shapes():
            return arrays
        for k, (x, p) in enumerate(zip(arrays, self.arrays, strict=True)):
            if type(x) is not dlarray:
                raise TypeRefused(f"{self.word}: {what} of {self.path(k)} is {type(x).__name__}, not a dlarray, "
                                  f"at {line_of(user_site())}; {REMEDIES[what]}")
            if x._value.shape != p._value.shape:
                raise ShapeError(
                    f"{self.word}: {what} of {self.path(k)} has shape {described(x.shape, x._labels)}, the parameter "
                    f"is {described(p.shape, p._labels)}, at {line_of(user_site())}; {REMEDIES[what]}")
        return arrays

    def _matched_by_key(self, other: Any, what: str) -> list[Any]:
        assert self.keys is not None
        owner = "network" if isinstance(self.given, dlnetwork) else "first argument"
        if not _is_keyed(other):
            raise TypeRefused(
                f"{self.word}: {what} is {_kind(other)}, the {owner} needs a Mapping {{(layer, parameter): dlarray}}, "
                f"at {line_of(user_site())}; {REMEDIES[what]}")
        items = items_of(other, what)
        for key in items:
            if key not in self.keys and key not in self.left:
                raise ShapeError(
                    f"{self.word}: {what} has {key!r}, which the {owner} does not have{nearest_key(key, self.keys)}, "
                    f"at {line_of(user_site())}; {REMEDIES[what]}")
        for key in self.keys:
            if key not in items:
                raise ShapeError(f"{self.word}: {what} lacks {key!r}, at {line_of(user_site())}; {REMEDIES[what]}")
        return [items[key] for key in self.keys]

    def _matched_by_place(self, other: Any, what: str) -> list[Any]:
        assert self.structure is not None
        if self.nested is not None:
            return self._matched_networks(other, what)
        leaves, structure = flatten(other)
        if structure != self.structure and structure.paths() != self.structure.paths():
            raise TypeRefused(
                f"{self.word}: {what} is {_kind(other)}, the parameters are {_kind(self.given)}, at "
                f"{line_of(user_site())}; {REMEDIES[what]}")
        return leaves

    def _matched_networks(self, other: Any, what: str) -> list[Any]:
        assert self.structure is not None and self.nested is not None
        try:
            parts = self.structure.spec.flatten_up_to(other)
        except (ValueError, TypeError):
            raise TypeRefused(
                f"{self.word}: {what} is {_kind(other)}, the parameters are {_kind(self.given)}, at "
                f"{line_of(user_site())}; {REMEDIES[what]}") from None
        arrays: list[Any] = []
        for part, its in zip(parts, self.nested, strict=True):
            arrays += [part] if its is None else its.matched(part, what)
        return arrays

    def groups(self, decays: bool) -> list[tuple[Factors, list[int] | None]]:
        """What one call of a kernel may change together, those of one type, device and factors: (factors, places); None
        for all places. The factor of the decay counts where something decays."""
        first = self.arrays[0]._value
        kind, where = first.dtype, first.device
        factors = self.factors
        if factors is not None and not decays:
            factors = None if all([rate == 1 for rate, _ in factors]) else [(rate, 1.0) for rate, _ in factors]
        if factors is None and all([x._value.dtype is kind and x._value.device == where for x in self.arrays]):
            return [(PLAIN, None)]
        found: dict[Any, list[int]] = {}
        for k, x in enumerate(self.arrays):
            key = PLAIN if factors is None else factors[k], x._value.dtype, x._value.device
            found.setdefault(key, []).append(k)
        return [(key[0], places) for key, places in found.items()]

    # ----- putting back -----

    def refilled(self, arrays: Sequence[Any]) -> Any:
        """The network or container with other arrays in the same places, networks in a container included."""
        if self.places is not None:
            return self._refilled_in_part(arrays)
        if isinstance(self.given, dlnetwork):
            return with_learnables(self.given, arrays)
        if self.nested is None:
            return self.alike(arrays)
        return self._with_networks(list(arrays), lambda network, its: network.refilled(its))

    def _refilled_in_part(self, arrays: Sequence[Any]) -> Any:
        assert self.places is not None
        its = self.given.learnables if isinstance(self.given, dlnetwork) else self.given
        whole = list(arrays_of(its))
        for k, x in zip(self.places, arrays, strict=True):
            whole[k] = x
        return (with_learnables(self.given, whole) if isinstance(self.given, dlnetwork)
                else learnables_of(keys_of(its), whole))

    def alike(self, arrays: Sequence[Any]) -> Any:
        """Gradients, velocities: the same container, with Learnables in the place of a network."""
        arrays = list(arrays)
        if self.keys is not None:
            return learnables_of(self.keys, arrays)
        assert self.structure is not None
        if self.nested is None:
            return unflatten(self.structure, arrays)
        return self._with_networks(arrays, lambda network, its: network.alike(its))

    def _with_networks(self, arrays: list[Any], made: Any) -> Any:
        assert self.structure is not None and self.nested is not None
        parts = []
        for network in self.nested:
            count = 1 if network is None else len(network.arrays)
            its, arrays = arrays[:count], arrays[count:]
            parts.append(its[0] if network is None else made(network, its))
        return unflatten(self.structure, parts)


REMEDIES = {
    "gradients": "pass what dlgradient(loss, parameters) returned for these parameters",
    "velocity": "pass None to start, then what the last update returned",
    "average gradient": "pass None to start, then what the last update returned",
    "average squared gradient": "pass None to start, then what the last update returned",
    "another argument": "pass containers with the same places as the first",
}


def _is_keyed(given: Any) -> bool:
    return isinstance(given, Mapping) or hasattr(given, "columns")


def _shallow(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a container in which networks are leaves."""
    return optree.tree_flatten(tree, is_leaf=lambda x: isinstance(x, dlnetwork), namespace=NAMESPACE, none_is_leaf=True)


def _kind(x: Any) -> str:
    """What somebody passed, for a message."""
    if type(x) is dlarray:
        return f"a dlarray of shape {described(x.shape, x._labels)}"
    if type(x) is Learnables:
        return f"learnables {{(layer, parameter): array}} of {len(x)}"
    if isinstance(x, (list, tuple, dict)):
        return f"a {type(x).__name__} of {len(x)}"
    if hasattr(x, "shape"):
        return f"{type(x).__module__.split('.')[0]} {type(x).__name__} of shape {tuple(x.shape)}"
    return f"{type(x).__name__}" if x is not None else "None"
