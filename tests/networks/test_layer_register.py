"""The register of layers: what is declared in networks/layers/ is exported, documented, in the stub and known by MATLAB's name, without a list."""
import ast
import importlib.util
import re
from pathlib import Path

import pytest

import gradloom as gl
from gradloom.networks.registry import CATALOGUE
from gradloom.vocabulary.matlab import LAYERS, PLANNED_LAYERS, table

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src" / "gradloom" / "networks" / "layers"


def declared(sources):
    """{class: its docstring} of every public subclass of Layer, direct or not, in the texts of files."""
    classes = {node.name: node for text in sources.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)}

    def is_layer(name):
        return name == "Layer" or name in classes and any(is_layer(getattr(base, "id", getattr(base, "attr", ""))) for base in classes[name].bases)

    return {name: ast.get_docstring(node) or "" for name, node in classes.items() if is_layer(name) and not name.startswith("_")}


def complaints(sources):
    """What is not right with the layers in the texts of files."""
    stub = (FOLDER / "__init__.pyi").read_text(encoding="utf-8")
    found = []
    for name, doc in declared(sources).items():
        if name not in gl.layers.__all__ or getattr(gl.layers, name, None) is not CATALOGUE.get(name):
            found.append(f"{name} is not exported")
        if f"class {name}(Layer):" not in stub or f"'{name}'" not in stub.split("__all__ =")[1]:
            found.append(f"{name} is not in the stub")
        if ">>> " not in doc or "\nSource: " not in doc:
            found.append(f"{name} is not documented")
    return found


SOURCES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}


def test_every_layer_is_exported_documented_and_in_the_stub():
    assert sorted(declared(SOURCES)) == sorted(CATALOGUE) == gl.layers.__all__
    assert complaints(SOURCES) == []


@pytest.mark.parametrize(("text", "said"), [
    ("class Planted(Layer):\n    pass", ["Planted is not exported", "Planted is not in the stub", "Planted is not documented"]),
    ("class Planted(ReLU):\n    '''x.\n\n    >>> 1\n    1\n\n    Source: nobody.\n    '''", ["Planted is not exported", "Planted is not in the stub"]),
    ("class _Base(Layer):\n    pass\n\nclass Other:\n    pass", []),
])
def test_a_layer_that_is_not_exported_is_caught(text, said):
    assert complaints({**SOURCES, "planted.py": text}) == said


def test_a_class_enters_by_being_declared():
    """In a module of the folder, and nowhere else."""
    before = dict(CATALOGUE)
    names = {"__name__": "gradloom.networks.layers.planted", "Layer": gl.Layer}
    try:
        exec("class Planted(Layer):\n    matlab = 'plantedLayer'\n\nclass _Hidden(Layer):\n    pass", names)
        assert CATALOGUE["Planted"] is names["Planted"] and "_Hidden" not in CATALOGUE
        assert table()["plantedLayer"] == "layers.Planted"
    finally:
        CATALOGUE.clear()
        CATALOGUE.update(before)
        LAYERS.pop("plantedLayer", None)


def test_layers_of_users_do_not_enter():
    class Mine(gl.Layer):
        matlab = "mineLayer"

        def predict(self, x):
            return x

    class Rectifier(gl.layers.ReLU):
        pass

    assert "Mine" not in CATALOGUE and "Rectifier" not in CATALOGUE and "mineLayer" not in LAYERS
    assert LAYERS["reluLayer"] == "ReLU"
    with pytest.raises(AttributeError, match="Mine"):
        gl.layers.Mine


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_matlab_s_name_is_stated_once_and_said(name):
    matlab = CATALOGUE[name].matlab
    if matlab is None:  # MATLAB has no such layer
        assert name not in LAYERS.values()
        return
    assert re.search(rf"Source: .*\b{matlab}\b", CATALOGUE[name].__doc__, re.DOTALL)
    assert LAYERS[matlab] == name and matlab not in PLANNED_LAYERS and name not in PLANNED_LAYERS.values()
    with pytest.raises(AttributeError, match=rf"{matlab} is written {name} here"):
        getattr(gl.layers, matlab)
    with pytest.raises(AttributeError, match=rf"{matlab} is written layers\.{name} here"):
        getattr(gl, matlab)


def test_planned_layers_say_so():
    with pytest.raises(AttributeError, match="not there yet"):
        gl.layers.lstmLayer
    with pytest.raises(AttributeError, match="not there yet"):
        gl.layers.LSTM


def test_the_page_of_names_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_layer_table", ROOT / "tools" / "make_layer_table.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    for path, text in writer.PAGES.items():
        page = path.read_text(encoding="utf-8")
        assert page == text(page), f"run `make table`: {path.name}"
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE)) == sorted(CATALOGUE)
