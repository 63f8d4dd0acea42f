"""The register of layers: what is declared in networks/layers/ is exported, documented, in the stub and known by MATLAB's name, without a list."""
import ast
import importlib.util
import re
from pathlib import Path

import pytest

import gradloom as gl
from gradloom.networks.registry import CATALOGUE
from gradloom.vocabulary.matlab import LAYERS, LEFT_OUT, table

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src" / "gradloom" / "networks" / "layers"


def declared(sources):
    """{class: its docstring} of every public subclass of Layer, direct or not, in the texts of files."""
    classes = {node.name: node for text in sources.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)}

    def is_layer(name):
        return name in ("Layer", "Recurrent") or name in classes and any(is_layer(getattr(base, "id", getattr(base, "attr", ""))) for base in classes[name].bases)

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


@pytest.mark.parametrize("name", sorted(name for name, layer in CATALOGUE.items() if layer.matlab))
def test_matlab_s_name_is_stated_once_and_said(name):
    matlab = CATALOGUE[name].matlab
    if matlab is None:  # MATLAB has no such layer
        assert name not in LAYERS.values()
        return
    assert re.search(rf"Source: .*\b{matlab}\b", CATALOGUE[name].__doc__, re.DOTALL)
    assert LAYERS[matlab] == name and matlab not in LEFT_OUT
    with pytest.raises(AttributeError, match=rf"{matlab} is written {name} here"):
        getattr(gl.layers, matlab)
    with pytest.raises(AttributeError, match=rf"{matlab} is written layers\.{name} here"):
        getattr(gl, matlab)


# MATLAB's lists of layers to R2026b (Deep Learning Toolbox, and what other toolboxes add to it), its output layers included
LISTED = """
additionLayer adaptiveAveragePooling2dLayer anchorBoxLayer attentionLayer averagePooling1dLayer averagePooling2dLayer averagePooling3dLayer
batchNormalizationLayer bilstmLayer classificationLayer clippedReluLayer complexFullyConnectedLayer complexReluLayer complexToRealLayer realToComplexLayer concatenationLayer
convolution1dLayer convolution2dLayer convolution3dLayer crop2dLayer crop3dLayer crossChannelNormalizationLayer cwtLayer depthConcatenationLayer
depthToSpace2dLayer dicePixelClassificationLayer dropoutLayer dwtLayer eluLayer embeddingConcatenationLayer embeddingLayer featureInputLayer flattenLayer focalLossLayer
fullyConnectedLayer functionLayer geluLayer globalAveragePooling1dLayer globalAveragePooling2dLayer globalAveragePooling3dLayer
globalMaxPooling1dLayer globalMaxPooling2dLayer globalMaxPooling3dLayer groupNormalizationLayer groupedConvolution2dLayer gruLayer
gruProjectedLayer icwtLayer identityLayer image3dInputLayer imageInputLayer indexing1dLayer inputLayer instanceNormalizationLayer
inverseNormalizationLayer istftLayer layerNormalizationLayer leakyReluLayer lstmLayer lstmProjectedLayer maxPooling1dLayer maxPooling2dLayer
maxPooling3dLayer maxUnpooling2dLayer modwtLayer multiplicationLayer networkLayer neuralODELayer patchEmbeddingLayer permuteLayer
pixelClassificationLayer pointCloudInputLayer positionEmbeddingLayer preluLayer quadraticLayer rcnnBoxRegressionLayer regionProposalLayer
regressionLayer reluLayer reshapeLayer resize2dLayer resize3dLayer roiAlignLayer roiInputLayer roiMaxPooling2dLayer rpnClassificationLayer
rpnSoftmaxLayer scalingLayer selfAttentionLayer sequenceFoldingLayer sequenceInputLayer sequenceUnfoldingLayer sigmoidLayer
sinusoidalPositionEncodingLayer softmaxLayer softplusLayer spaceToDepthLayer spatialDropoutLayer spectralConvolution1dLayer
spectralConvolution2dLayer spectralConvolution3dLayer ssdMergeLayer stftLayer swishLayer tanhLayer transposedConv1dLayer transposedConv2dLayer
transposedConv3dLayer tverskyPixelClassificationLayer weightedAdditionLayer wordEmbeddingLayer yolov2OutputLayer yolov2ReorgLayer
yolov2TransformLayer zreluLayer
"""
MATLABS = set(LISTED.split())


def unaccounted(there, left_out):
    """Layers of MATLAB's list that are neither there nor left out, or both, and names that its list does not have."""
    found = [f"{name} is nowhere" for name in sorted(MATLABS - {*there, *left_out})]
    found += [f"{name} is there and left out" for name in sorted({*there} & {*left_out})]
    return found + [f"{name} is no layer of MATLAB's" for name in sorted({*there, *left_out} - MATLABS)]


def test_every_layer_of_matlab_is_there_or_left_out_with_a_reason():
    assert unaccounted(LAYERS, LEFT_OUT) == []
    assert all(len(reason) > 10 for reason in LEFT_OUT.values())


def test_a_layer_that_nobody_speaks_of_is_found():
    rest = MATLABS - {"reluLayer", "tanhLayer"}
    assert unaccounted({*rest, "tanhLayer"}, {"reluLayer": ""}) == []
    assert unaccounted({*rest, "tanhLayer"}, {}) == ["reluLayer is nowhere"]
    assert unaccounted({*rest, "tanhLayer"}, {"reluLayer": "", "tanhLayer": ""}) == ["tanhLayer is there and left out"]
    assert unaccounted({*rest, "tanhLayer", "rleuLayer"}, {"reluLayer": ""}) == ["rleuLayer is no layer of MATLAB's"]


def test_a_layer_that_is_left_out_says_why():
    for place in (gl.layers, gl):
        with pytest.raises(AttributeError, match="MATLAB's roiAlignLayer is left out here: part of one object detector"):
            place.roiAlignLayer
    with pytest.raises(AttributeError, match="left out here: a loss is a function here, which the training loop is given: crossentropy"):
        gl.layers.classificationLayer


def test_the_page_of_names_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_layer_table", ROOT / "tools" / "make_layer_table.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    for path, text in writer.PAGES.items():
        page = path.read_text(encoding="utf-8")
        assert page == text(page), f"run `make table`: {path.name}"
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE)) == sorted(CATALOGUE)
