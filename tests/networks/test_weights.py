"""load_weights and save_weights: state_dicts in safetensors, of torch modules and of networks of layers."""
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import seed_torch

import gradloom as gl
from gradloom.interop.torch.modules import from_torch

L = gl.layers


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def module():
    seed_torch(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3)).eval()


def network(dtype="float32"):
    return gl.dlnetwork([L.ImageInput((6, 6, 1)), L.Convolution2d(3, 4), L.BatchNormalization(), L.ReLU(), L.Flatten(), L.FullyConnected(3)], dtype=dtype)


NAMES = {"0": "conv", "1": "batchnorm", "4": "fc"}


def trained():
    net = module()
    with torch.no_grad():
        net[1].running_mean.normal_()
        net[1].running_var.uniform_(0.5, 2)
        net[1].weight.normal_()
    return net


def test_a_state_dict_of_torch_computes_the_same(path):
    torch_net = trained()
    safetensors.torch.save_file(torch_net.state_dict(), path)
    net = gl.load_weights(network(), path, rename=NAMES)
    x = torch.randn(2, 1, 6, 6)
    np.testing.assert_allclose(gl.stripdims(net(gl.dlarray(x, "BCSS"))), torch_net(x).detach(), atol=1e-5)


def test_what_is_saved_torch_loads(path):
    net = network()
    gl.save_weights(net, path)
    found = safetensors.torch.load_file(path)
    assert list(sorted(found)) == sorted(f"{a}.{b}" for a, b in [*net.learnables, *net.state])
    other = trained()
    gl.save_weights(from_torch(other), path)
    fresh = module()
    fresh.load_state_dict(safetensors.torch.load_file(path))
    assert all(torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), other.state_dict().values(), strict=True))


def test_modules_take_them_too(path):
    other = trained()
    safetensors.torch.save_file({f"module._orig_mod.{name}": x for name, x in other.state_dict().items()}, path)
    net = gl.load_weights(from_torch(module()), path)
    x = torch.randn(2, 1, 6, 6)
    np.testing.assert_allclose(net(gl.dlarray(x)), other(x).detach(), atol=1e-6)
    assert net.state["1", "num_batches_tracked"].dtype == torch.int64


def test_types_labels_and_settings_stay(path):
    net = network("float64").freeze("conv")
    net = net.replace(learnables={("fc", "bias"): gl.dlarray([1.0, 2.0, 3.0], "C")})
    gl.save_weights(network("bfloat16"), path)
    found = gl.load_weights(net, path)
    assert found.settings == net.settings and found.learnables["fc", "bias"].dims == "C"
    assert all(x.dtype == torch.float64 for x in found.learnables.values())


def test_complex_parameters_are_pairs(path):
    net = gl.dlnetwork([L.FeatureInput(2), L.FullyConnected(2)]).replace(learnables={("fc", "bias"): gl.dlarray([1 + 2j, 3j])})
    gl.save_weights(net, path)
    assert safetensors.torch.load_file(path)["fc.bias"].tolist() == [[1, 2], [0, 3]]
    assert gl.load_weights(net, path).learnables["fc", "bias"].tolist() == [1 + 2j, 3j]


def test_a_network_file_holds_weights(path):
    net = network()
    net.save(path)
    found = gl.load_weights(network(), path)
    assert all(torch.equal(found.learnables[k]._value, v._value) for k, v in net.learnables.items())


def test_one_error_lists_everything(path):
    net = network()
    gl.save_weights(net, path)
    arrays = safetensors.torch.load_file(path)
    arrays["fc.weight_"] = arrays.pop("fc.weights")
    arrays["conv.bias"] = torch.zeros(5)
    arrays["batchnorm.scale"] = torch.zeros(4, dtype=torch.int32)
    arrays["extra.x"] = torch.zeros(1)
    safetensors.torch.save_file(arrays, path)
    with pytest.raises(gl.FileRefused) as refused:
        gl.load_weights(net, path)
    for words in ("missing: fc.weights", "extra.x", "fc.weight_", "conv.bias is 5 float32, conv.bias is 4 float32", "batchnorm.scale is 4 int32",
                  "did you mean 'fc.weight_'", "rename={name in the file: name here}, or strict=False"):
        assert words in str(refused.value), words
    with pytest.raises(gl.FileRefused, match=r"not fitting: .*conv.bias") as refused:
        gl.load_weights(net, path, strict=False)
    assert "missing" not in str(refused.value)
    del arrays["conv.bias"], arrays["batchnorm.scale"]
    safetensors.torch.save_file(arrays, path)
    found = gl.load_weights(net, path, strict=False)
    assert torch.equal(found.learnables["fc", "bias"]._value, net.learnables["fc", "bias"]._value)


@pytest.mark.parametrize("rename", [
    {"enc.0": "conv", "enc.1": "batchnorm", "head": "fc", "drop": None},
    {"enc": "", "enc.0": "conv", "enc.1": "batchnorm", "head.weight": "fc.weights", "head.bias": "fc.bias", "drop.x": None},
    lambda name: None if name.startswith("drop") else name.replace("enc.0", "conv").replace("enc.1", "batchnorm").replace("head", "fc"),
])
def test_renaming(rename, path):
    arrays = {name.replace("0.", "enc.0.").replace("1.", "enc.1.").replace("4.", "head."): x for name, x in trained().state_dict().items()}
    safetensors.torch.save_file({**arrays, "drop.x": torch.zeros(1)}, path)
    found = gl.load_weights(network(), path, rename=rename)
    assert torch.equal(found.learnables["fc", "weights"]._value, arrays["head.weight"])
    assert torch.equal(found.state["batchnorm", "trained_variance"]._value, arrays["enc.1.running_var"])


def test_two_names_for_one_parameter_are_refused(path):
    gl.save_weights(network(), path)
    with pytest.raises(gl.FileRefused, match=r"has 'conv.bias' and 'fc.bias' for the parameter 'conv.bias'|'fc.bias' and 'conv.bias'"):
        gl.load_weights(network(), path, rename={"fc.bias": "conv.bias"})


def test_files_in_parts(tmp_path):
    arrays = trained().state_dict()
    names = list(arrays)
    safetensors.torch.save_file({n: arrays[n] for n in names[:4]}, tmp_path / "model-1.safetensors")
    safetensors.torch.save_file({n: arrays[n] for n in names[4:]}, tmp_path / "model-2.safetensors")
    index = {n: f"model-{1 + (n in names[4:])}.safetensors" for n in names}
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    found = gl.load_weights(network(), path, rename=NAMES)
    assert torch.equal(found.learnables["fc", "weights"]._value, arrays["4.weight"])
    for bad in ("../model-1.safetensors", "/etc/passwd", "sub/model-1.safetensors", "model-1.bin"):
        path.write_text(json.dumps({"weight_map": {**index, names[0]: bad}}))
        with pytest.raises(gl.FileRefused, match="is no safetensors file beside it"):
            gl.load_weights(network(), path, rename=NAMES)
    path.write_text(json.dumps({"weight_map": {**index, "more": "model-1.safetensors"}}))
    with pytest.raises(gl.FileRefused, match="the array 'more' is not in the file"):
        gl.load_weights(network(), path, rename=NAMES)
    path.write_text("[]")
    with pytest.raises(gl.FileRefused, match="no weight_map"):
        gl.load_weights(network(), path)


def test_refusals(path):
    gl.save(path, {"x": gl.ones(2)})
    with pytest.raises(TypeError, match=r"takes a network, not dict.*save\(path, tree\)"):
        gl.save_weights({"a": 1}, path)
    with pytest.raises(gl.FileRefused, match="missing: conv.weights"):
        gl.load_weights(network(), path)
    gl.save_weights(network(), path)
    with pytest.raises(gl.FileRefused, match=r"holds arrays, and no container.*load_weights\(net, path\)"):
        gl.load(path)
