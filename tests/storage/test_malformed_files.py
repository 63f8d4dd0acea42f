"""Files that are not what they say: more than 500, made from one good file, are each refused with a clear error.

Nothing in them is executed, nothing is written, and no more memory is taken than the file is long.
"""
import copy
import io
import itertools
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.storage.format import read_header

L = gl.layers


def network():
    gl.rng(0)
    return gl.dlnetwork([
        L.ImageInput((4, 4, 1)), L.Convolution2d((3, 2), 2, padding=((1, 0), (0, 1))), L.BatchNormalization(), L.Function(gl.relu, name="f"), L.FullyConnected(3)])


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a file with a network, an array, complex numbers and text."""
    path = tmp_path_factory.mktemp("good") / "good.safetensors"
    gl.save(path, {"net": network(), "x": gl.dlarray([1.0, 2.0], "C"), "z": [gl.dlarray([1 + 2j]), 1 + 1j, float("inf")], "t": ("a", None)})
    return path.read_bytes()


def taken_apart(raw):
    """(header, told, data) of a file."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + length])
    return header, json.loads(header["__metadata__"]["gradloom"]), raw[8 + length:]


def put_together(header, told, data, honest=True):
    """A file again: with right checksums, as somebody who means harm writes it, or with those that were there."""
    header = copy.deepcopy(header)
    if told is not None:
        if honest:
            for name, entry in header.items():
                place = entry.get("data_offsets") if isinstance(entry, dict) else None
                if isinstance(told, dict) and isinstance(place, list) and len(place) == 2 and {type(n) for n in place} == {int}:
                    told["arrays"][name] = zlib.crc32(data[place[0]:place[1]])
        text = told if isinstance(told, str) else json.dumps(told)
        header["__metadata__"] = {"format": "pt", "gradloom": text, "checksum": str(zlib.crc32(text.encode()))}
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


# ----- ways to spoil it -----


def shortened(good):
    length = int.from_bytes(good[:8], "little")
    places = {*range(0, 12), *range(12, len(good), len(good) // 60), 8 + length - 1, 8 + length, 8 + length + 1, len(good) - 1}
    for k in sorted(places):
        yield f"cut at {k}", good[:k]
    yield "longer", good + b"\0"
    yield "twice", good + good


def with_other_bytes(good):
    """One byte changed, anywhere."""
    for k in np.random.default_rng(0).permutation(len(good))[:150]:
        spoilt = bytearray(good)
        spoilt[k] ^= 1 << (k % 7)
        yield f"byte {k}", bytes(spoilt)


def other_kinds(good):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"\0" * 10_000_000)
    yield "zip bomb", stream.getvalue()
    stream = io.BytesIO()
    torch.save({"w": torch.ones(2)}, stream)
    yield "torch.save", stream.getvalue()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield f"pickle {protocol}", pickle.dumps(Bomb(), protocol)
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    yield "npy", stream.getvalue()
    for text in (b"", b"{}", b"[]", b"import os", b"#!/bin/sh\necho", b"\x89HDF\r\n\x1a\n" + bytes(100), b"MATLAB 5.0 MAT-file" + bytes(200), bytes(64), b"\xff" * 64):
        yield f"text {text[:8]!r}", text
    for length in (0, 1, 2 ** 31, 2 ** 62, 2 ** 63, 2 ** 64 - 1, 100_000_001, len(good)):
        yield f"header of {length}", struct.pack("<Q", length) + good[8:]
    for header in (b"null", b"[]", b"1", b'"a"', b"{", b'{"a":}', b"{'a': 1}", b'{"a": NaN}', b'{"__metadata__": []}', b'{"__metadata__": {"format": 1}}', b"\xff\xfe{}",
                   b"[" * 100_000, b'{"a":' * 50_000, b'{"a": 1, "a": 1}', b"{}", b'{"__metadata__": {"gradloom": "{}"}}'):
        yield f"header {header[:20]!r}", len(header).to_bytes(8, "little") + header


class Bomb:
    """A pickle that would write a file."""

    def __reduce__(self):
        return exec, ("import gradloom; gradloom.EXPLODED = True",)


def lying_headers(good):
    header, told, data = taken_apart(good)
    name, other = "net.fc.weights", "net.fc.bias"
    entry = header[name]
    start, stop = entry["data_offsets"]
    changes = {
        "type": [("dtype", d) for d in ("F64", "F16", "BOOL", "I8", "U64", "C64", "F4", "float32", "O", "", None, 3, ["F32"], "__reduce__")],
        "shape": [("shape", s) for s in ([], [3], [5, 3], [3, 0], [3, -5], [-3, -5], [2 ** 62, 4], [2 ** 31, 2 ** 33], [10 ** 30], [3.0, 5.0], [True, 15], "3x5", None, {}, [[3, 5]],
                                          [1] * 65, [3, 5, 1e9], [0] * 3, [0, 2 ** 61])],
        "place": [("data_offsets", p) for p in ([0, 1], [stop, start], [start, stop + 4], [start - 4, stop], [start + 4, stop + 4], [-8, 52], [0, 2 ** 62], [2 ** 63, 2 ** 63 + 60],
                                                 [float(start), float(stop)], [start], [start, stop, stop], None, "0:60", [len(data), len(data) + stop - start], [True, False])],
    }
    for what, its in changes.items():
        for field, value in its:
            yield f"{what} {value!r}", put_together({**header, name: {**entry, field: value}}, told, data)
    for field in entry:
        yield f"without {field}", put_together({**header, name: {k: v for k, v in entry.items() if k != field}}, told, data)
    yield "more fields", put_together({**header, name: {**entry, "execute": "rm"}}, told, data)
    yield "no table", put_together({**header, name: [entry]}, told, data)
    yield "two in one place", put_together({**header, "another": entry}, told, data)
    yield "exchanged", put_together({**header, name: header[other], other: entry}, told, data)
    yield "an array more", put_together({**header, "more": {"dtype": "U8", "shape": [1], "data_offsets": [len(data), len(data) + 1]}}, told, data + b"\0")
    yield "an array less", put_together({k: v for k, v in header.items() if k != name}, told, data)
    for path in ("../../etc/passwd", "/etc/passwd", "a\0b", "..", "C:\\x", "x" * 10_000):
        yield f"array called {path[:20]!r}", put_together({(path if k == name else k): v for k, v in header.items()}, told, data)
    yield "bytes changed, checksums old", put_together(header, told, data[:40] + b"\1" + data[41:], honest=False)


def of_the_text(good):
    header, told, data = taken_apart(good)
    yield "no text", put_together({**header, "__metadata__": {"format": "pt"}}, None, data)
    yield "no checksum", put_together({**header, "__metadata__": {"format": "pt", "gradloom": json.dumps(told)}}, None, data)
    for text in ("", "{}", "[]", "null", "{", '{"version": 1}', '{"version": 2, "tree": 1, "arrays": {}}', '{"version": "1", "tree": 1, "arrays": {}}', '{"version": true, "tree": 1, "arrays": {}}',
                 '{"version": 1, "tree": 1, "arrays": []}', '{"version": 1, "tree": 1, "arrays": {}, "run": "x"}', '{"version": 1, "version": 1}', "[" * 100_000,
                 '{"version": 1e999, "tree": 1}', '{"version": 0, "tree": 1, "arrays": {}}', '{"version": -1, "tree": 1, "arrays": {}}', "__import__('os')", '{"version": -1}'):
        yield f"text {text[:30]!r}", put_together(header, text, data)
    for arrays in ({}, {"x": 1}, {name: -1 for name in told["arrays"]}, {name: "0" for name in told["arrays"]}, {name: None for name in told["arrays"]}):
        yield f"checksums {str(arrays)[:20]}", put_together(header, {**told, "arrays": arrays}, data, honest=False)
    yield "nothing speaks of the arrays", put_together(header, {**told, "tree": 1}, data)


def lying_types(good):
    """An array of each type that files have, spoken of as one of each type that arrays have."""
    widths = {"BOOL": 1, "U8": 1, "I16": 2, "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "U16": 2, "C64": 8}
    for word, width in widths.items():
        data = bytes(6 * width)
        header = {"a": {"dtype": word, "shape": [3, 2], "data_offsets": [0, len(data)]}}
        for dtype in ("bool", "int16", "float16", "bfloat16", "float32", "complex64", "complex128", "complex32", "uint16"):
            for kind, more in (("tensor", {}), ("numpy", {}), ("numpy number", {}), ("dlarray", {"labels": None})):
                tree = {"kind": kind, "array": "a", "dtype": dtype, "shape": [3] if "complex" in dtype else [3, 2], **more}
                yield f"{word} as {dtype} {kind}", put_together(header, {"version": 1, "tree": tree, "arrays": {}}, data)
    for shape in ([2 ** 61, 0, 2 ** 61], [0, 2 ** 62 - 1]):
        tree = {"kind": "dlarray", "array": "a", "dtype": "float32", "shape": shape, "labels": None}
        yield f"nothing of {shape}", put_together({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}, {"version": 1, "tree": tree, "arrays": {}}, b"")


VALUES = (None, True, 0, -1, 1.5, 10 ** 20, "", "x", "../x", "__class__", [], [None], [[]], {}, {"kind": "dict", "items": []}, {"kind": "exec"}, {"kind": "function", "name": "eval"})


def places_of(tree, path=()):
    """Every place of a piece of JSON."""
    yield path
    inner = enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ()
    for key, value in inner:
        yield from places_of(value, (*path, key))


def put(tree, path, value):
    tree = copy.deepcopy(tree)
    if not path:
        return value
    at = tree
    for key in path[:-1]:
        at = at[key]
    if value is DELETED:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return tree


DELETED = object()


def other_trees(good):
    """Every place of the graph with other things in it, every field left out and one more, all with right checksums."""
    header, told, data = taken_apart(good)
    stream = np.random.default_rng(1)
    for path in places_of(told["tree"]):
        at = told["tree"]
        for key in path:
            at = at[key]
        if isinstance(at, dict):
            yield f"{path} one more", put_together(header, put(told, ("tree", *path, "__init__"), "x"), data)
        if path and isinstance(path[-1], str):
            yield f"{path} left out", put_together(header, put(told, ("tree", *path), DELETED), data)
        value = VALUES[stream.integers(len(VALUES))]
        yield f"{path} = {value!r}", put_together(header, put(told, ("tree", *path), value), data)


def bad_networks(good):
    """Graphs that are JSON of the right form, and no networks."""
    header, told, data = taken_apart(good)
    net = ("tree", "items", 0, 1)
    at = told
    for key in net:
        at = at[key]
    layers = at["layers"]
    names = [layer["name"] for layer in layers]
    for word in ("Exec", "os.system", "Layer", "_Combination", "Convolution2D", "__import__", "gradloom.layers.ReLU", "object", "conv"):
        yield f"layer {word}", put_together(header, put(told, (*net, "layers", 3, "type"), word), data)
        yield f"custom {word}", put_together(header, put(put(told, (*net, "layers", 3, "type"), word), (*net, "layers", 3, "custom"), True), data)
    chain = [[a, b] for a, b in itertools.pairwise(names)]
    for what, edges in {
        "circle": [*chain, [names[-1], names[1]]], "self": [*chain[:-1], ["fc", "fc"]], "unknown": [*chain, ["nobody", "fc"]], "unknown input": [*chain[:-1], ["f", "fc/in7"]],
        "two into one": [*chain, ["conv", "fc"]], "no pair": [*chain, ["fc"]], "numbers": [[0, 1]], "a loop of two": [["conv", "batchnorm"], ["batchnorm", "conv"]], "text": "conv-fc",
    }.items():
        yield f"connections: {what}", put_together(header, put(told, (*net, "connections"), edges), data)
    for name in ("", "a/b", names[1], None, 3):
        yield f"name {name!r}", put_together(header, put(told, (*net, "layers", 4, "name"), name), data)
    for option, value in (("filter_size", 10 ** 18), ("filter_size", [3, 2]), ("num_filters", -2), ("num_filters", 3), ("stride", 0), ("padding", "everywhere"), ("stride", float("1e300"))):
        yield f"{option}={value}", put_together(header, put(told, (*net, "layers", 1, "options", option), value), data)
    for size in ([4, 4], [4, 4, 2], [2 ** 40, 2 ** 40, 1], [0, 4, 1], [-4, 4, 1], ["4", 4, 1]):
        its = {"kind": "tuple", "items": size}
        yield f"image of {size}", put_together(header, put(told, (*net, "layers", 0, "options", "size"), its), data)
    for layout in ([[[3, 1], "CBB"]], [[[-3], "C"]], [[["3"], "C"]], "CB", [["3", "C"]]):
        yield f"layout {layout}", put_together(header, put(told, (*net, "layouts", 4), layout), data)
    for setting in (["fc", "bias", 1.0, 1.0], ["fc", "nothing", 1.0, 1.0, True], ["fc", "bias", -1.0, 1.0, False], ["fc", "bias", 1.0, 1.0, 1], [["fc", "bias", 1.0, 0.0, False]] * 2):
        yield f"setting {setting}", put_together(header, put(told, (*net, "settings"), setting if isinstance(setting[0], list) else [setting]), data)
    deep = 1
    for _ in range(5000):
        deep = [deep]
    yield "deep", put_together(header, "{" + f'"version": 1, "arrays": {json.dumps(told["arrays"])}, "tree": {"[" * 900 + "]" * 900}' + "}", data)
    for name in ("eval", "exec", "save", "load", "__import__", "print", "os.system", "gl.relu", ""):
        if not hasattr(gl, name) or name in ("save", "load"):
            yield f"function {name}", put_together(header, put(told, (*net, "layers", 3, "options", "function", "name"), name), data)


WAYS = [lying_types, shortened, with_other_bytes, other_kinds, lying_headers, of_the_text, other_trees, bad_networks]


def refused(raw, path, **options):
    """The error that a file meets; None where it is read."""
    path.write_bytes(raw)
    try:
        gl.load(path, **options)
    except gl.GradloomError as error:
        return error
    finally:
        assert path.read_bytes() == raw
    return None


@pytest.mark.parametrize("way", WAYS)
def test_each_is_refused_with_a_clear_error(way, good, tmp_path):
    path = tmp_path / "file"
    folder = os.listdir(tmp_path.parent)
    for what, raw in way(good):
        if raw == good:
            continue
        error = refused(raw, path)
        if error is None and harmless(raw, path):
            continue
        assert isinstance(error, gl.FileRefused), what
        assert str(path) in str(error) and len(str(error)) < 2000 and "; " in str(error), (what, str(error))
        assert os.listdir(tmp_path) == ["file"], what
    assert not hasattr(gl, "EXPLODED") and os.listdir(tmp_path.parent) == folder


def harmless(raw, path):
    """Whether a file that was read says what it gives: a text, a number or a bool of the tree may be any other."""
    written = path.with_name("again")
    gl.save(written, gl.load(path))
    again, given = (named_in_order(taken_apart(its)[1]["tree"], {}) for its in (written.read_bytes(), raw))
    written.unlink()
    return again == given


def named_in_order(tree, names):
    """A tree whose arrays are called by their order: another key of a dict gives them other names."""
    if isinstance(tree, list):
        return [named_in_order(item, names) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: names.setdefault(value, len(names)) if key == "array" else named_in_order(value, names) for key, value in tree.items()}


def test_there_are_more_than_five_hundred(good):
    assert sum(sum(raw != good for _, raw in way(good)) for way in WAYS) > 500


def test_the_good_one_is_read(good, tmp_path):
    assert refused(good, tmp_path / "file") is None
    header, told, data = taken_apart(good)
    assert refused(put_together(header, told, data), tmp_path / "file") is None, "put together again it must be good"


def test_what_is_said(good, tmp_path):
    """The fault by name, and what to do."""
    header, told, data = taken_apart(good)
    said = {
        b"PK\x03\x04" + bytes(60): "begins as a zip archive, such as torch.save",
        pickle.dumps(Bomb()): "begins as a pickle, which is never read",
        good[:-3]: r"its arrays need [\d,]+ bytes, and it has",
        put_together({**header, "net.fc.weights": {**header["net.fc.weights"], "shape": [5, 4]}}, told, data): r"the array 'net.fc.weights' of shape \(5, 4\) and type F32 does not fill",
        good[:-1] + bytes([good[-1] ^ 1]): "has other bytes than were written",
        put_together(header, {**told, "version": 2}, data): "later version.*pip install --upgrade",
    }
    for raw, words in said.items():
        error = refused(raw, tmp_path / "file")
        with pytest.raises(gl.FileRefused, match=words):
            raise error


def test_lies_about_sizes_take_no_memory(good, tmp_path):
    header, told, data = taken_apart(good)
    path = tmp_path / "file"
    size = 10 ** 13
    huge = {**header, "more": {"dtype": "U8", "shape": [size], "data_offsets": [len(data), len(data) + size]}}
    tracemalloc.start()
    try:
        assert refused(put_together(huge, told, data), path) is not None
        at = put(told, ("tree", "items", 0, 1, "layers", 0, "options", "size"), {"kind": "tuple", "items": [10 ** 7, 10 ** 7, 1]})
        assert refused(put_together(header, at, data), path) is not None
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_weights_of_every_spoilt_file_are_refused_or_whole(good, tmp_path):
    """load_weights reads the same header; what is no state_dict of the network is refused, and the network stays."""
    path, net = tmp_path / "file", network()
    before = {k: np.array(v) for k, v in net.learnables.items()}
    for way in (shortened, other_kinds, lying_headers):
        for what, raw in way(good):
            path.write_bytes(raw)
            try:
                gl.load_weights(net, path, rename={"net": "", "x": None, "z": None})
            except gl.FileRefused:
                continue
            with open(path, "rb") as file:
                assert set(read_header(file, path).arrays) >= {"net.fc.weights"}, what
    assert all(np.array_equal(net.learnables[k], v) for k, v in before.items())
