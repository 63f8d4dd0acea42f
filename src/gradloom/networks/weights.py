"""Parameters of a network as a state_dict in safetensors: one array for each, under "layer.parameter"."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import FileRefused, TypeRefused, line_of, user_site
from ..machine.dtypes import NAMES, Tensor
from ..storage.files import checked_path
from ..storage.format import parsed, read_array, read_header, refused, write
from ..vocabulary.misspelled import nearest
from .body import refilled
from .network import dlnetwork
from .parameters import Key

_made = dlarray._made
WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
# What PyTorch calls the parameters of its layers: {word: the words here, the first that the layer has}.
OF_TORCH = {"weight": ("weights", "scale"), "bias": ("bias", "offset"), "running_mean": ("trained_mean",),
            "running_var": ("trained_variance",)}
Rename = Mapping[str, str | None] | Callable[[str], str | None]


def name_of(key: Key) -> str:
    """A parameter's name in a state_dict."""
    return ".".join(part for part in key if part)


def _keys(net: dlnetwork, word: str) -> tuple[Key, ...]:
    if not isinstance(net, dlnetwork):
        raise TypeRefused(f"{word} takes a network, not {type(net).__name__}, at {line_of(user_site())}; for other "
                          "containers write save(path, tree) and load(path)")
    return *net._body.learnable_keys, *net._body.state_keys


def save_weights(net: dlnetwork, path: Any, /) -> None:
    """Write a network's learnables and states to a file, each under "layer.parameter", as a state_dict in safetensors.

    Any loader of safetensors reads it; for a network made from a torch module the names are the module's own. Complex
    arrays are pairs of numbers along a last axis. `net.save` writes the layers as well.

    >>> import gradloom as gl, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    >>> gl.save_weights(net, path)
    >>> other = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    >>> other = gl.load_weights(other, path)
    >>> bool((other.learnables["fc", "weights"] == net.learnables["fc", "weights"]).all())
    True
    """
    keys = _keys(net, "save_weights")
    arrays = {name_of(key): x._value.detach() for key, x in zip(keys, net._values, strict=True)}
    write(checked_path(path, "save_weights(net, path)", net),
          {name: torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for name, x in arrays.items()},
          {"format": "pt"})


def load_weights(net: dlnetwork, path: Any, /, *, rename: Rename | None = None, strict: bool = True) -> dlnetwork:
    """The network with the learnables and states of a state_dict in safetensors; each is cast to the type that it has.

    Names in the file are "layer.parameter". PyTorch's words for parameters (weight, running_mean, ...) are understood,
    and what DataParallel and torch.compile put before all names is taken away. `rename` says what else is called
    otherwise here: {name in the file: name here}, where names may be the first parts ({"encoder.0": "conv"}), or a
    function of the name; None for what is to be left out. `path` may be the index of a file in parts
    (model.safetensors.index.json).

    Raises FileRefused, which lists what is missing, what is unexpected and what has another shape. `strict=False` loads
    what is there, and asks of it only that shapes fit.

    >>> import gradloom as gl, os, tempfile, torch
    >>> from gradloom.interop.torch.modules import from_torch
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> gl.save_weights(from_torch(torch.nn.Sequential(torch.nn.Linear(3, 2))), path)
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    >>> net = gl.load_weights(net, path, rename={"0": "fc"})

    Source: PyTorch, torch.nn.Module.load_state_dict.
    """
    keys = _keys(net, "load_weights")
    path = checked_path(path, "load_weights(net, path)", net)
    places = {name_of(key): k for k, key in enumerate(keys)}
    given = _arrays(path)
    found: dict[str, tuple[str, Tensor]] = {}
    unexpected = []
    for name in given:
        here = _here(_stripped(name, given), rename, places)
        if here is None:
            continue
        if here not in places:
            unexpected.append(name)
        elif here in found:
            raise FileRefused(f"{path} has {found[here][0]!r} and {name!r} for the parameter {here!r}, at "
                              f"{line_of(user_site())}; rename one of them, or leave it out with None")
        else:
            found[here] = name, given[name]
    values = net._values.copy()
    wrong = []
    for here, (name, x) in found.items():
        own = values[places[here]]
        value = _fitting(x, own._value)
        if value is None:
            wrong.append(f"{name} is {_described(x)}, {here} is {_described(own._value)}")
        else:
            values[places[here]] = _made(value, None, own._labels)
    missing = [name for name in places if name not in found]
    report = [f"{what}: {_listed(names)}" for what, names in
              (("missing", missing if strict else []), ("unexpected", unexpected if strict else []),
               ("not fitting", wrong)) if names]
    if report:
        near = nearest(missing[0], unexpected) if missing and unexpected and strict else ""
        raise FileRefused(f"{path} is not a state_dict of this network, at {line_of(user_site())}: "
                          f"{'; '.join(report)}{near}; write rename={{name in the file: name here}}, or strict=False "
                          "to load what is there")
    return refilled(net, values)


def _described(x: Tensor) -> str:
    return f"{' x '.join(map(str, x.shape)) or 'a number'} {NAMES[x.dtype]}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _arrays(path: str) -> dict[str, Tensor]:
    """All arrays of a file, or of the files that an index names, which lie beside it."""
    if not path.endswith(".index.json"):
        with open(path, "rb") as file:
            header = read_header(file, path)
            return {name: read_array(file, header, name, path)[0] for name in header.arrays}
    with open(path, "rb") as file:
        index = parsed(file.read(), path)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not all(isinstance(part, str) for part in names.values()):
        raise refused(path, "it has no weight_map of names and files")
    arrays: dict[str, Tensor] = {}
    for part in dict.fromkeys(names.values()):
        if part != os.path.basename(part) or not part.endswith(".safetensors"):
            raise refused(path, f"it names {part!r}, which is no safetensors file beside it")
        its = _arrays(os.path.join(os.path.dirname(path), part))
        arrays |= {name: x for name, x in its.items() if names.get(name) == part}
    if lost := set(names) - set(arrays):
        raise refused(path, f"the array {min(lost)!r} is not in the file that it names")
    return arrays


def _stripped(name: str, names: Iterable[str]) -> str:
    """A name without what a wrapper put before all of them."""
    for wrapper in WRAPPERS:
        if all(other.startswith(wrapper) for other in names):
            return _stripped(name[len(wrapper):], [other[len(wrapper):] for other in names])
    return name


def _here(name: str, rename: Rename | None, places: Mapping[str, int]) -> str | None:
    """What a name in the file is called in the network; None where it is to be left out."""
    renamed: str | None = name
    if callable(rename):
        renamed = rename(name)
    elif rename is not None:
        parts = name.split(".")
        for k in range(len(parts), 0, -1):
            first = ".".join(parts[:k])
            if first in rename:
                its = rename[first]
                renamed = None if its is None else ".".join([*([its] if its else []), *parts[k:]])
                break
    if renamed is None or renamed in places:
        return renamed
    layer, _, word = renamed.rpartition(".")
    if word == "num_batches_tracked":  # which no layer here counts
        return None
    return next((here for ours in OF_TORCH.get(word, ()) if (here := f"{layer}.{ours}") in places), renamed)


def _fitting(x: Tensor, own: Tensor) -> Tensor | None:
    """An array in the type of the parameter whose place it takes; None where it does not fit."""
    if own.is_complex() and not x.is_complex() and x.is_floating_point() and x.shape == (*own.shape, 2):
        x = torch.view_as_complex(x)
    if x.shape != own.shape or x.is_complex() and not own.is_complex():
        return None
    if own.is_floating_point() != x.is_floating_point() and not own.is_complex():
        return None
    return x.to(dtype=own.dtype, device=own.device)


__all__ = ["load_weights", "save_weights"]
