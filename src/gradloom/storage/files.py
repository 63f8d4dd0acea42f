"""save and load: any container, with networks in it, as one file."""
from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from typing import Any

from ..core.array import dlarray
from ..core.errors import FileRefused, TypeRefused, line_of, user_site
from ..machine.conversion import bytes_of
from .format import Header, parsed, read_array, read_header, refused, write
from .trees import Reader, Writer

VERSION = 1


def save(path: Any, tree: Any, /) -> None:
    """Write a container to a file: dlarrays, networks, numbers and text, in any lists, tuples and dicts.

    The file is safetensors, whose header holds everything but the arrays as JSON; `load` gives the same bits back. It
    is there as a whole or not at all: it is written beside `path`, brought to the disk and renamed. Traced arrays are
    saved as their values, without their trace.

    Raises TypeRefused for what files do not hold: functions that are not of this library, objects of other classes.

    >>> import gradloom as gl, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> gl.save(path, {"x": gl.dlarray([1.0, 2.0], "C"), "epoch": 3, "name": "first"})
    >>> gl.load(path)
    {'x': 2(C) dlarray float64
    [1. 2.], 'epoch': 3, 'name': 'first'}

    Source: the safetensors format, github.com/huggingface/safetensors.
    """
    path = checked_path(path, "save(path, tree)", tree)
    writer = Writer(path)
    text = json.dumps({"version": VERSION, "tree": writer.tree(tree),
                       "arrays": {name: zlib.crc32(bytes_of(x)) for name, x in writer.arrays.items()}},
                      separators=(",", ":"), ensure_ascii=True)
    write(path, writer.arrays, {"format": "pt", "gradloom": text, "checksum": str(zlib.crc32(text.encode()))})


def load(path: Any, /, *, layers: Sequence[type] = ()) -> Any:
    """What `save` wrote: the same container, networks included, bit by bit.

    Nothing in a file is executed: layers come from this library's catalogue, and custom layers are only those that you
    hand over, `load(path, layers=[Gate])`. Types, shapes, names and checksums are checked, and arrays are on the CPU.

    Raises FileRefused for a file that is damaged or is none of `save`'s, FileNotFoundError where there is none.

    >>> import gradloom as gl, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    >>> gl.save(path, net)
    >>> bool((gl.load(path).learnables["fc", "weights"] == net.learnables["fc", "weights"]).all())
    True
    """
    path = checked_path(path, "load(path)", None)
    if not isinstance(layers, (list, tuple)) or not all(isinstance(cls, type) for cls in layers):
        raise TypeRefused(f"load takes classes of layers in a list, not {layers!r}, at {line_of(user_site())}; write "
                          "load(path, layers=[Gate])")
    with open(path, "rb") as file:
        header = read_header(file, path)
        told = _told(header, path)
        arrays = {}
        for name, checksum in told["arrays"].items():
            arrays[name], found = read_array(file, header, name, path)
            if found != checksum:
                raise refused(path, f"the array {name!r} has other bytes than were written")
    reader = Reader(path, arrays, {cls.__name__: cls for cls in layers})
    tree = reader.thing(told["tree"])
    if unused := set(arrays) - reader.used:
        raise refused(path, f"nothing speaks of its array {min(unused)!r}")
    return tree


def _told(header: Header, path: Any) -> dict[str, Any]:
    """What the text of a file says, checked against its header."""
    text = header.texts.get("gradloom")
    if text is None:
        raise FileRefused(f"{path} holds arrays, and no container of gradloom's; write net = load_weights(net, path) "
                          "for the parameters of a network")
    if header.texts.get("checksum") != str(zlib.crc32(text.encode(errors="surrogatepass"))):
        raise refused(path, "its text is not the one that was written")
    if set(header.texts) != {"format", "gradloom", "checksum"} or header.texts["format"] != "pt":
        raise refused(path, "its __metadata__ has other texts than format, gradloom and checksum")
    told = parsed(text, f"the text of {path}")
    if not isinstance(told, dict) or type(told.get("version")) is not int or told["version"] < 1:
        raise refused(path, "its text has no version")
    if told["version"] > VERSION:
        raise FileRefused(f"{path} was written by a later version of gradloom (files of version {told['version']}, "
                          f"this one reads {VERSION}); write pip install --upgrade gradloom")
    if set(told) != {"version", "tree", "arrays"} or not isinstance(told["arrays"], dict):
        raise refused(path, "its text has other parts than version, tree and arrays")
    if different := set(told["arrays"]) ^ set(header.arrays):
        raise refused(path, f"text and header differ in the array {min(different)!r}")
    return told


def checked_path(path: Any, way: str, tree: Any) -> str:
    """A path as text."""
    if isinstance(path, (str, os.PathLike)) and isinstance(made := os.fspath(path), str) and made:
        if "\0" in made:
            raise TypeRefused(f"{made!r} is no path, at {line_of(user_site())}; write {way}")
        return made
    swapped = isinstance(tree, (str, os.PathLike)) or isinstance(path, dlarray)
    raise TypeRefused(f"a path is text, not {type(path).__name__}, at {line_of(user_site())}; write {way}"
                      + (", the path first" if swapped else ""))


__all__ = ["load", "save"]
