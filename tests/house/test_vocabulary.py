"""The public vocabulary: names, signatures, help, the stub file (interface 6.5 and 7)."""
import builtins
import importlib.util
import inspect
import pickle
import pydoc
import re
from pathlib import Path

import numpy as np
import pytest
from matlab_functions import NAMES as MATLAB_NAMES

import gradloom as gl
from gradloom.core.tables import PUBLIC

FUNCTIONS = sorted(n for n in vars(gl) if not n.startswith("_") and inspect.isfunction(getattr(gl, n)))


def tool(name):
    path = Path(__file__).parents[2] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_star_import_shadows_no_builtin():
    names = {}
    exec("from gradloom import *", names)
    shadowed = [n for n in names if hasattr(builtins, n) and not n.startswith("__")]
    assert not shadowed and names["dlarray"] is gl.dlarray and "tanh" in names
    assert gl.sum is not builtins.sum


def test_functions_look_written():
    def written(name):
        function = getattr(gl, name)
        return (function.__name__ == name or name in ("absolute",)) and function.__doc__ and function.__doc__.strip() and inspect.signature(function) \
            and name in pydoc.render_doc(function, renderer=pydoc.plaintext)

    assert len(FUNCTIONS) > 200
    assert [name for name in FUNCTIONS if not written(name)] == []


def test_every_public_operation_is_reachable():
    assert all(getattr(gl, name) is function for name, function in PUBLIC.items())


def test_the_stubs_are_up_to_date():
    writer = tool("make_stub")
    for path, text in writer.STUBS.items():
        assert path.read_text() == text(), f"run `make stub`: {path.name}"


def test_the_table_of_operations_is_up_to_date():
    writer = tool("make_operation_table")
    page = writer.PAGE.read_text(encoding="utf-8")
    assert page == writer.text(), "run `make table`"
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert named == set(PUBLIC) - writer.NOT_OPERATIONS
    said = {name for row in re.findall(r"^\| `.* \|$", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row.split("|")[-2])}
    assert {name for name in MATLAB_NAMES if name in named} <= said, "MATLAB's name is said in the declaration or after Source:"


def test_names_of_matlab_say_their_new_spelling():
    with pytest.raises(AttributeError, match="repmat is written tile here"):
        gl.repmat
    with pytest.raises(AttributeError, match=r"reluLayer is written layers\.ReLU here"):
        gl.reluLayer
    with pytest.raises(AttributeError, match="did you mean 'softmax'"):
        gl.sofmax


X = gl.ones((2, 3))
MISSPELLED = [
    (lambda: gl.softmax(X, axs=1), r"softmax has no axs=, at test_vocabulary\.py.*did you mean 'axis'\?; write softmax\(x, /, \*, axis=None"),
    (lambda: gl.maxpool(X, 2, strides=2), r"maxpool has no strides=, .*Keras's strides= is stride= here: write maxpool\(\.\.\., stride=2\); write maxpool\(x, pool_size, /, \*, stride=1"),
    (lambda: gl.sum(X, axes=0), r"sum has no axes=, .*the word is axis.*write sum\(\.\.\., axis=0\)"),
    (lambda: X.sum(keepdim=True), "sum has no keepdim=, .*did you mean 'keepdims'"),
    (lambda: gl.zeros(2, dtypes="float32"), r"zeros has no dtypes=, .*did you mean 'dtype'.*write zeros\(shape, labels=None"),
    (lambda: gl.dlgradient(X, X, retain=True), "dlgradient has no retain=, .*did you mean 'retain_data'"),
    (lambda: gl.jvp(X, X, X, enable_higher_derivative=True), "did you mean 'enable_higher_derivatives'"),
    (lambda: gl.dlode45(abs, (0, 1), 1.0, gradientmode="direct"), "did you mean 'gradient_mode'"),
    (lambda: gl.crossentropy(X, X, zzz=1), r"crossentropy has no zzz=.*; write crossentropy\(y, targets, weights=None, /"),
    (lambda: gl.sum(), r"missing 1 required.*write sum\(x, /"),
    (lambda: gl.sum(X, 1), r"axis is given by keyword and counts from 0: write sum\(x, axis=0\)"),
]


@pytest.mark.parametrize(("call", "message"), MISSPELLED)
def test_options_that_are_not_there_are_named_with_the_nearest(call, message):
    with pytest.raises(gl.TypeRefused, match=message):
        call()


def test_a_type_error_from_inside_is_what_it_was():
    with pytest.raises(TypeError, match="^from inside$") as caught:
        gl.value_and_gradient(lambda x: [][x] if isinstance(x, str) else (_ for _ in ()).throw(TypeError("from inside")))(np.ones(2))
    assert not isinstance(caught.value, gl.GradloomError)


def test_public_functions_are_pickled_by_their_name():
    for function in (gl.sum, gl.dlgradient, gl.jvp, gl.maxpool, gl.hessian):
        assert pickle.loads(pickle.dumps(function)) is function


# ----- what help shows ----------------------------------------------------------------------------------------------------------------------


def test_help_shows_real_types():
    shown = {name: (str(inspect.signature(function)), len(inspect.signature(function).parameters)) for name, function in PUBLIC.items()}
    declaring = ("elementwise", "multilinear", "general")
    assert [name for name, (text, _) in shown.items() if re.search(r"\bAny\b", text.replace("Callable[..., Any]", "")) and name not in (*declaring, "dlode45")] == []
    assert [name for name, (text, count) in shown.items() if text.split("(", 1)[1].replace("(", "").count(":") < count and name not in declaring] == []


SQUARE, INDICES = gl.dlarray([[4.0, 1.0], [1.0, 3.0]]), gl.dlarray([1, 2], dtype="int64")
ARGUMENTS = [(SQUARE,), (SQUARE, SQUARE), ((2, 2),), (INDICES,), (2,), (SQUARE, 2), (SQUARE, (2, 2)), ([SQUARE, SQUARE],), (SQUARE, (1, 0)), (SQUARE, 0, 1)]


def test_what_help_says_is_returned_is_returned():
    tried = 0
    for name, function in PUBLIC.items():
        said = str(inspect.signature(function).return_annotation)
        for arguments in ARGUMENTS:
            try:
                found = function(*arguments)
            except Exception:  # not its arguments
                continue
            tried += 1
            if said == "dlarray":
                assert type(found) is gl.dlarray, name
            elif said.startswith("tuple[dlarray, dlarray"):
                assert isinstance(found, tuple) and len(found) == said.count("dlarray"), name
            break
    assert tried > 200
