"""save and load: the same bits back, any container, the format that others read, and files that are there as a whole."""
import errno
import json
import os

import numpy as np
import pytest
import safetensors.torch
import torch

import gradloom as gl
from gradloom.machine.dtypes import DTYPES
from gradloom.storage import atomic

L = gl.layers


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


def there_and_back(tree, path, **options):
    gl.save(path, tree)
    return gl.load(path, **options)


# ----- the same bits -----


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("name", DTYPES)
def test_every_type_and_shape_keeps_its_bits(name, shape, path):
    dtype = DTYPES[name]
    drawn = torch.randn((*shape, 16)).view(torch.uint8)[..., :dtype.itemsize] if shape else torch.arange(dtype.itemsize, dtype=torch.uint8)
    value = (torch.rand(shape) < 0.5) if name == "bool" else drawn.contiguous().view(dtype).reshape(shape)
    x = gl.dlarray._made(value, None, None)
    y = there_and_back(x, path)
    assert y.dtype is dtype and y.shape == shape
    assert bytes(y._value.contiguous().reshape(-1).view(torch.uint8)) == bytes(value.contiguous().reshape(-1).view(torch.uint8))


@pytest.mark.parametrize("made", [lambda x: x.T, lambda x: x[::2], lambda x: x.conj(), lambda x: x.conj().T.imag, lambda x: x.expand(3, *x.shape),
                                  lambda x: x[0, ::2][:1], lambda x: x.conj().imag[0, 1:2]])
def test_views_and_lazy_conjugates_are_written_as_they_are(made, path):
    value = made(torch.randn(4, 3, dtype=torch.complex128))
    y = there_and_back(gl.dlarray._made(value, None, None), path)
    assert torch.equal(y._value, value.resolve_conj().resolve_neg()) and y._value.is_contiguous()


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, dict):
        same(list(a), list(b))
        same(list(a.values()), list(b.values()))
    elif isinstance(a, gl.Learnables):
        same(dict(a), dict(b))
    elif isinstance(a, gl.dlarray):
        assert a.dims == b.dims and a.dtype is b.dtype and torch.equal(a._value, b._value)
    elif isinstance(a, torch.Tensor):
        assert a.dtype is b.dtype and torch.equal(a, b)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and np.array_equal(a, b)
    else:
        assert a == b or a != a and b != b


def test_any_container(path):
    tree = {
        "labelled": gl.dlarray(np.arange(6.0).reshape(1, 2, 3), "CBT"), ("a", 1): [1, 2.5, None, True, "é\n\ud800", -0.0, 10 ** 30], 3: (1, (2, [])),
        "numbers": [float("inf"), float("-inf"), float("nan"), 1 + 2j, complex("nan"), 5e-324], "numpy": np.arange(4, dtype=np.int16),
        "one": np.float32(1.5), "torch": torch.arange(5, dtype=torch.uint8), "function": gl.tanh, "empty": {}, "": {"": gl.dlarray(1.0)},
        "a.b": gl.dlarray(2.0), "a": {"b": gl.dlarray(3.0)}, "__metadata__": gl.dlarray(4.0), None: gl.Layout((2, 1), "CB"),
        "parameters": gl.Learnables({("fc", "weights"): gl.ones(2), ("fc.weights", ""): gl.zeros(2)}),
    }
    found = there_and_back(tree, path)
    same(tree, found)
    assert str(found["numbers"][3]) == "(1+2j)" and str(found[("a", 1)][5]) == "-0.0"


def test_the_same_array_in_two_places_is_there_once(path):
    x = gl.rand((1000,))
    found = there_and_back({"a": x, "b": [x]}, path)
    assert os.path.getsize(path) < 1.2 * 8000
    same({"a": x, "b": [x]}, found)


def test_a_traced_array_is_saved_as_its_value(path):
    gl.dlfeval(lambda x: gl.save(path, {"y": x * x}), gl.dlarray([3.0]))
    assert gl.load(path)["y"].tolist() == [9.0] and not gl.load(path)["y"].traced


@pytest.mark.parametrize(("thing", "said"), [
    (lambda x: x, "function"), (object(), "of type object"), ({"a": [1, {"b": object}]}, r"\['a'\]\['1'\]\['b'\] is the class object"),
    (torch.nn.Linear(2, 2), "of type Linear"), ({1, 2}, "of type set"), (b"bytes", "of type bytes"), (print, "function print"),
    ([np.array(["text"])], r"\['0'\] is an array of NumPy's <U4"), (np.arange(3, dtype=np.uint16), "uint16"), (np.uint64(2 ** 63), "uint64"),
    (np.longdouble(1), "array of NumPy's"), (np.array([None]), "object"), (np.datetime64("2020-01-01"), "datetime64"),
    ({"a": torch.ones(2, dtype=torch.uint16)}, r"\['a'\] is a tensor .*uint16.*torch.int64"), (torch.ones(2, 2).to_sparse(), "sparse"),
    (torch.ones(2, device="meta"), "meta"), (torch.ones(2).to(torch.float8_e4m3fn), "float8_e4m3fn"),
    (__import__("collections").OrderedDict(a=1), "OrderedDict"), (__import__("collections").namedtuple("P", "a")(1), "of type P"),
])
def test_what_files_do_not_hold_is_refused_and_nothing_is_written(thing, said, path):
    path.write_text("kept")
    with pytest.raises(TypeError, match=said):
        gl.save(path, thing)
    assert path.read_text() == "kept" and os.listdir(path.parent) == [path.name]


def test_a_container_that_holds_itself_is_refused(path):
    tree = []
    tree.append(tree)
    with pytest.raises(TypeError, match="does one hold itself"):
        gl.save(path, tree)


def test_arguments_the_other_way_round(path):
    with pytest.raises(TypeError, match=r"write save\(path, tree\), the path first"):
        gl.save({"a": 1}, str(path))
    with pytest.raises(TypeError, match=r"a path is text, not dict.*load\(path\)"):
        gl.load({})
    with pytest.raises(FileNotFoundError):
        gl.load(path)
    with pytest.raises(FileNotFoundError):
        gl.save(path.parent / "nowhere" / "file", 1)
    with pytest.raises(TypeError, match=r"takes classes of layers in a list, not .*layers=\[Gate\]"):
        gl.load(path, layers=[Gate()])
    with pytest.raises(TypeError, match="is no path"):
        gl.save("a\0b", 1)


# ----- networks -----


class Gate(gl.Layer):
    """A custom layer with an option, a learnable and a state."""

    power: float = 2.0
    factor: gl.Learnable
    seen: gl.State

    def initialize(self, layout):
        self.factor = gl.ones((layout.sizes["C"],))
        self.seen = gl.zeros(1, dtype="int64")

    def predict(self, x):
        return x * self.power


def network(dtype="float32"):
    gl.rng(0)
    return gl.dlnetwork([
        L.ImageInput((6, 5, 2)), L.Convolution2d((3, 2), 4, stride=(1, 2), padding=((1, 0), (0, 1)), weights_initializer="he"), L.BatchNormalization(epsilon=1e-3),
        L.ReLU(name="first"), L.Function(gl.sin), L.MaxPooling2d(2, padding="same"), L.Dropout(0.25), L.FullyConnected(3), L.Softmax()], dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_a_network_comes_back_whole(dtype, path):
    net = network(dtype)
    found = there_and_back(net, path)
    assert repr(found) == repr(net) and [repr(x) for x in found.layers] == [repr(x) for x in net.layers]
    same(found.learnables, net.learnables)
    same(found.state, net.state)
    x = gl.rand((6, 5, 2, 3), "SSCB")
    if dtype != "float16":
        same(found(x), net(x))
    net.save(path)
    same(gl.load(path).learnables, net.learnables)


def test_parameters_of_several_types_stay_as_they_are(path):
    net = gl.dlnetwork([L.FeatureInput(2), L.FullyConnected(2, name="a"), L.FullyConnected(2, name="b")])
    net = net.replace(learnables={("a", "bias"): gl.dlarray([1.0, 2.0], "C"), ("b", "bias"): gl.dlarray([1j, 2])})
    found = there_and_back(net, path)
    same(found.learnables, net.learnables)


def test_a_network_without_an_input_layer(path):
    net = gl.dlnetwork([L.FullyConnected(2), L.Tanh()], gl.rand((3, 4), "CB"))
    found = there_and_back({"nets": [net, net]}, path)["nets"]
    assert repr(found[1]) == repr(net)
    same(found[0](gl.ones((3, 1), "CB")), net(gl.ones((3, 1), "CB")))


def test_custom_layers_are_those_that_are_handed_over(path):
    net = gl.dlnetwork([L.FeatureInput(2), Gate(3.0), L.ReLU()]).replace(state={("gate", "seen"): gl.dlarray([7], dtype="int64")})
    net.save(path)
    with pytest.raises(gl.FileRefused, match=r"holds a custom layer Gate.*load\(path, layers=\[Gate\]\)"):
        gl.load(path)
    found = gl.load(path, layers=[Gate])
    assert type(found.layers[1]) is Gate and found.layers[1].power == 3.0 and found.state["gate", "seen"].dtype == torch.int64
    other = type("ReLU", (gl.Layer,), {"__annotations__": {}, "predict": lambda self, x: -x})
    gl.dlnetwork([L.FeatureInput(2), other(), L.ReLU()]).save(path)
    with pytest.raises(gl.FileRefused, match="custom layer ReLU"):
        gl.load(path)
    assert gl.load(path, layers=[other])(gl.dlarray([1.0, -2.0], "C")).tolist() == [0.0, 2.0]


def test_functions_of_users_are_named(path):
    with pytest.raises(TypeError, match=r"\['twice'\]\['function'\] is the function .*<lambda>.*functions of this library by their names"):
        gl.dlnetwork([L.FeatureInput(2), L.Function(lambda x: 2 * x, name="twice")]).save(path)


def test_a_torch_module_is_not_saved_but_its_weights(path):
    net = gl.interop.torch.modules.from_torch(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"made from a torch module.*save_weights\(net, path\)"):
        gl.save(path, [net])


# ----- the format -----


def test_other_libraries_read_it(path):
    tree = {"x": gl.rand((2, 3), dtype="float32"), "half": gl.ones(3, dtype="bfloat16"), "z": gl.dlarray([1 + 2j])}
    gl.save(path, tree)
    found = safetensors.torch.load_file(path)
    assert torch.equal(found["x"], tree["x"]._value) and torch.equal(found["half"], tree["half"]._value)
    assert found["z"].tolist() == [[1.0, 2.0]]
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "pt" and json.loads(file.metadata()["gradloom"])["version"] == 1


def test_each_array_begins_on_a_boundary_of_its_own_size(path):
    gl.save(path, [gl.ones(3, dtype="bool"), gl.ones(3), gl.ones(1, dtype="float16"), gl.ones(5, dtype="float32")])
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    for name, entry in json.loads(raw[8:8 + length]).items():
        if name != "__metadata__":
            size = np.prod(entry["shape"])
            assert (8 + length + entry["data_offsets"][0]) % ((entry["data_offsets"][1] - entry["data_offsets"][0]) // size) == 0


# ----- as a whole or not at all -----


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_what_fails_leaves_what_was_there(step, path, monkeypatch):
    gl.save(path, {"a": 1})
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        real = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda *args: full_writer(real(*args), full))
    else:
        monkeypatch.setattr(atomic.os, step, full)
    with pytest.raises(OSError, match="No space left"):
        gl.save(path, {"a": gl.ones(1000)})
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def full_writer(file, full):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            file.close()

        def write(self, data):
            return file.write(data) if len(data) <= 8 else full()

    return Full()


def test_folder_and_file_are_brought_to_the_disk_before_and_after_the_renaming(path, monkeypatch):
    done = []
    real = os.fsync, os.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda f: done.append("folder" if os.path.isdir(f"/proc/self/fd/{f}") else "file") or real[0](f))
    monkeypatch.setattr(atomic.os, "replace", lambda a, b: done.append("rename") or real[1](a, b))
    gl.save(path, 1)
    assert done == ["file", "rename", "folder"]


def test_a_link_stays_a_link_and_modes_are_the_users(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    gl.save(link, 1)
    assert link.is_symlink() and gl.load(path) == 1
    mask = os.umask(0o027)
    try:
        gl.save(tmp_path / "other", 1)
    finally:
        os.umask(mask)
    assert (tmp_path / "other").stat().st_mode & 0o777 == 0o640


# ----- graphs, nested networks, settings -----


def graph_of_chains():
    gl.rng(4)
    block = gl.dlnetwork([L.FullyConnected(4), L.BatchNormalization(), L.ReLU()], gl.zeros((3, 1), "CB"))
    return gl.dlnetwork(
        [[L.FeatureInput(3, name="left"), L.Network(block, name="block"), L.Addition(3)], [L.FeatureInput(3, name="right"), L.FullyConnected(4, name="encoder")],
         [L.FeatureInput(3, name="third"), L.Shared("encoder"), L.Tanh()]],
        connections=[("encoder", "addition/in2"), ("tanh", "addition/in3")], outputs=["addition", "block"])


def test_graphs_nested_networks_shared_layers_and_settings(path):
    net = graph_of_chains().freeze("block").set_learn_rate_factor("encoder", "bias", 0.5).set_l2_factor("encoder", "bias", 2.0)
    found = there_and_back(net, path)
    assert found.connections == net.connections and found.output_names == net.output_names and found.input_names == net.input_names
    assert found.settings == net.settings and list(found.trainable) == list(net.trainable) == [("encoder", "weights"), ("encoder", "bias")]
    assert repr(found) == repr(net)
    same(found.learnables, net.learnables)
    same(found.state, net.state)
    xs = [gl.rand((3, 2), "CB") for _ in range(3)]
    same(found(*xs), net(*xs))
    same(found.forward(*xs, return_state=True), net.forward(*xs, return_state=True))
    grown = found.add_layers([L.FullyConnected(2, name="last")], after="addition").initialize()
    assert grown.learnables["last", "weights"].shape == (2, 4)


def test_an_unfinished_network(path):
    net = gl.dlnetwork([L.FullyConnected(2), L.ReLU()], initialize=False, dtype="float64")
    found = there_and_back(net, path)
    assert not found.initialized
    done = found.initialize(gl.zeros((3, 1), "CB"))
    assert done.learnables["fc", "weights"].dtype == torch.float64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [
    [L.FeatureInput(3), L.FullyConnected(3), L.ComplexFullyConnected(2), L.ComplexReLU()],
    [L.Input((None, 16, 2), "BSC"), L.Convolution1d(1, 4), L.SpectralConvolution1d(4, 3), L.GELU(), L.Convolution1d(1, 1)]])
def test_networks_with_complex_weights_of_real_inputs(tmp_path, layers, dtype):
    """Learnables of several types: what enters stays real, in a file as in use."""
    net = gl.dlnetwork(layers, dtype=dtype)
    x = gl.rand([2 if n == 1 else n for n in net.layers[0].layout.shape], net.layers[0].layout.labels)
    net.save(tmp_path / "net.safetensors")
    again = gl.load(tmp_path / "net.safetensors")
    assert np.array_equal(np.asarray(again(x)), np.asarray(net(x)))
    assert [x.dtype for x in again.learnables.values()] == [x.dtype for x in net.learnables.values()]
    assert {x.dtype.is_complex for x in again.learnables.values()} == {True, False}
