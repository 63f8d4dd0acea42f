"""Every layer of the catalogue against torch: each has cases in layer_cases/, each case goes through every check of layer_checks."""

import importlib
from pathlib import Path

import pytest
import torch
from layer_checks import CHECKS, case, check_files, given

import gradloom as gl
from gradloom.networks.registry import CATALOGUE

FOLDER = Path(__file__).parent / "layer_cases"
FAMILIES = {path.stem: importlib.import_module(f"layer_cases.{path.stem}").CASES for path in sorted(FOLDER.glob("*.py"))}
CASES = {name: cases for family in FAMILIES.values() for name, cases in family.items()}
EACH = [pytest.param(one, id=f"{name}-{k}") for name, cases in CASES.items() for k, one in enumerate(cases)]


def complaints(catalogue, families):
    """What is wrong with the cases as a list: layers without one, cases of no layer, cases of another layer."""
    found = [f"{name} has no case in tests/networks/layer_cases" for name in catalogue if not any(family.get(name) for family in families.values())]
    for word, family in families.items():
        found += [f"{word} has cases of {name}, which is no layer" for name in family if name not in catalogue]
        found += [f"a case of {name} in {word} is of {type(one.layer).__name__}" for name, cases in family.items() for one in cases
                  if type(one.layer).__name__ != name]
    found += [f"{name} has cases in {sum(name in family for family in families.values())} files" for name in catalogue
              if sum(name in family for family in families.values()) > 1]
    return found


def test_every_layer_has_cases():
    assert complaints(CATALOGUE, FAMILIES) == []


def test_a_layer_without_cases_is_found():
    relu = case(gl.layers.ReLU(), given("BC", 2, 3), equivalent=lambda x, p, training: x.relu())
    assert complaints(["ReLU", "Tanh"], {"a": {"ReLU": [relu], "Tanh": []}}) == ["Tanh has no case in tests/networks/layer_cases"]
    assert complaints(["ReLU"], {"a": {"ReLU": [relu]}, "b": {"ReLU": [relu], "Relu": []}}) == [
        "b has cases of Relu, which is no layer", "ReLU has cases in 2 files"]
    assert complaints(["Tanh"], {"a": {"Tanh": [relu]}}) == ["a case of Tanh in a is of ReLU"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("one", EACH)
def test_layers_are_torchs(one, check):
    check(one)


@pytest.mark.parametrize("one", EACH)
def test_files_keep_every_bit(one, tmp_path):
    check_files(one, tmp_path)


# ----- planted mistakes -----------------------------------------------------------------------------------------------


class Wrong(gl.Layer):
    """y = w tanh(x) over C, with a mistake of a kind."""

    kind: str
    w: gl.Learnable
    seen: gl.State

    def initialize(self, layout):
        self.w, self.seen = gl.ones((layout.sizes["C"],), dtype="float32"), gl.zeros((), dtype="float32")

    def predict(self, x):
        w = gl.dlarray(gl.stripdims(self.w), "C")
        y = gl.tanh(x) * w
        if self.kind == "value":
            y = y + 1e-9
        if self.kind == "single" and x.dtype == torch.float32:
            y = y * (1 + 1e-4)
        if self.kind == "type":
            y = y.astype("float64")
        if self.kind == "gradient":
            y = gl.detach(y - 1.001 * y) + 1.001 * y
        if self.kind == "parameter":
            y = y + 0.001 * (gl.detach(w) - w)
        if self.kind == "second":
            y = y + (x - gl.detach(x)) ** 2
        if self.kind == "order" and x.dims.index("C") == 0:
            y = -y
        if self.kind == "labels" and x.dims.index("C") == 0:
            y = gl.stripdims(y)
        return y

    def forward(self, x):
        y = Wrong.predict(self, x)
        if self.kind != "state":
            self.seen = self.seen + 1
        return 2 * y if self.kind == "training" else y


def right(x, p, training):
    y = torch.tanh(x) * p["w"]
    return (y, {"seen": p["seen"] + 1}) if training else y


def failed(one, checks):
    found = set()
    for check in checks:
        try:
            check(one)
        except AssertionError:
            found.add(check.__name__.removeprefix("check_"))
    return found


@pytest.mark.parametrize(("kind", "by"), [
    ("none", set()), ("value", {"values", "label_orders", "second_derivatives"}), ("single", {"values", "gradients"}), ("type", {"values"}),
    ("gradient", {"gradients", "second_derivatives", "jacobian", "laplacian"}), ("parameter", {"gradients", "second_derivatives", "jacobian"}),
    ("second", {"second_derivatives", "laplacian"}), ("order", {"label_orders"}), ("labels", {"label_orders"}), ("state", {"values"}),
    ("training", {"values", "label_orders", "gradients", "second_derivatives", "jacobian", "laplacian"})])
def test_a_planted_mistake_is_caught(kind, by):
    assert failed(case(Wrong(kind), given("BC", 2, 3), equivalent=right), CHECKS) == by


def test_a_file_that_loses_a_bit_is_found(tmp_path, monkeypatch):
    one = case(gl.layers.FullyConnected(2), given("BC", 2, 3), equivalent=None)
    check_files(one, tmp_path)
    monkeypatch.setattr("layer_checks.pickle.loads", lambda data: gl.dlnetwork([gl.layers.FullyConnected(2, name="fc")], gl.zeros((2, 3), "BC")))
    with pytest.raises(AssertionError):
        check_files(one, tmp_path)
