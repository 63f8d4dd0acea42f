"""The order of the house: who may import whom in src/gradloom, and what is imported nowhere. Read from the source, nothing is run."""

import ast
import builtins
import functools
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl

SOURCE = Path(__file__).parents[2] / "src" / "gradloom"

# What stands right may import what stands left, never the other way.
LAYERS = ("vocabulary", "machine", "core", "blocks", "operations", "derivatives", "acceleration", "storage", "networks", "data", "training",
          "interop", "cli")

ARRAY_LIBRARIES = {"torch", "numpy", "scipy", "jax", "jaxlib", "autograd", "cupy", "tensorflow", "pandas"}
# torch's own derivatives and layers, also under their other names: only interop knows them.
RIVALS = ("torch.autograd", "torch.func", "torch.nn", "torch.vmap", "torch._functorch", "functorch")
PICKLES = ("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "shelve", "joblib", "torch.save", "torch.load")


def inside(name, *packages):
    """Is the dotted name one of the packages, or in one of them?"""
    return any(name == package or name.startswith(package + ".") for package in packages)


class References(ast.NodeVisitor):
    """Every dotted name that a module imports, at any depth, or reaches through what it imported: (name, line)."""

    def __init__(self, path):
        self.package = ["gradloom", *Path(path).parts[:-1]]
        self.aliases = {}
        self.found = []

    def read(self, tree):
        self.visit_imports(tree)
        self.visit(tree)
        return sorted(set(self.found), key=lambda reference: (reference[1], reference[0]))

    def read_imports(self, tree):
        """What is imported alone, names of packages before what is taken from them left out."""
        self.visit_imports(tree)
        return self.found

    def absolute(self, name, level):
        if not level:
            return name
        return ".".join(self.package[: len(self.package) - level + 1] + ([name] if name else []))

    def visit_imports(self, tree):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.found.append((alias.name, node.lineno))
                    top = alias.name.split(".")[0]
                    self.aliases[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                base = self.absolute(node.module, node.level)
                for alias in node.names:
                    name = base if alias.name == "*" else f"{base}.{alias.name}"
                    self.found.append((name, node.lineno))
                    self.aliases[alias.asname or alias.name] = name

    def visit_Attribute(self, node):
        inner, attributes = node, []
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self.visit(inner)
        elif inner.id in self.aliases:
            self.found.append((".".join([self.aliases[inner.id], *reversed(attributes)]), node.lineno))

    def visit_Call(self, node):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            name = str(node.args[0].value)
            self.found.append((self.absolute(name.lstrip("."), len(name) - len(name.lstrip("."))), node.lineno))
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
                self.found.append(("pickle", node.lineno))
        self.generic_visit(node)


@functools.cache
def tree(text):
    """The syntax tree of a text: all rules read the same."""
    return ast.parse(text)


@functools.cache
def references(path, text):
    return References(path).read(tree(text))


def array_library_behind(name, sources, seen):
    """The array library that importing the dotted name brings in, directly or through other modules of gradloom, or None."""
    top = name.split(".")[0]
    if top in ARRAY_LIBRARIES:
        return top
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1) if top == "gradloom" else ():
        stem = "/".join(parts[:length])
        for path in (f"{stem}.py", f"{stem}/__init__.py"):
            if path in seen:
                return None
            if path in sources:
                seen.add(path)
                behind = (array_library_behind(other, sources, seen) for other, _ in references(path, sources[path]))
                return next(filter(None, behind), None)
    return None


@pytest.fixture(scope="module", autouse=True)
def trees_are_let_go():
    yield
    tree.cache_clear()  # 100 MB of the library's syntax


def violations(sources):
    """What is out of order in {path under src/gradloom: text}, one line each."""
    found = []
    for path, text in sorted(sources.items()):
        where = Path(path)
        if "utils" in (*where.parts[:-1], where.stem):
            found.append(f"{path}: nothing is called utils: name the file after the concept that it holds")
        layer = where.parts[0] if len(where.parts) > 1 else where.stem
        if layer not in LAYERS and path != "__init__.py":
            found.append(f"{path}: is in no layer of the house ({' -> '.join(LAYERS)})")
        for name, line in references(path, text):
            if inside(name, "gradloom") and layer in LAYERS:
                other = name.split(".")[1] if "." in name else None
                if other not in LAYERS:
                    found.append(f"{path}:{line}: {layer} imports the public vocabulary ({name}): import from the layer that defines it")
                elif LAYERS.index(other) > LAYERS.index(layer):
                    found.append(f"{path}:{line}: {layer} imports {name}, which stands right of it: {' -> '.join(LAYERS)}")
            if inside(name, *RIVALS) and layer != "interop":
                found.append(f"{path}:{line}: {name} outside interop: kernels come from torch.*, torch.ops.aten and torch._C._nn")
            if inside(name, *PICKLES):
                found.append(f"{path}:{line}: {name}: nothing is pickled, files are safetensors")
            if path == "core/labels.py" and (library := array_library_behind(name, sources, {path})):
                found.append(f"{path}:{line}: {name} brings in {library}: labels know no array library")
    return found


@functools.cache
def read_house(root):
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in sorted(root.rglob("*.py"))}


def test_the_house_is_in_order():
    assert SOURCE.is_dir()
    assert violations(read_house(SOURCE)) == []


ARRAY = {"core/array.py": "import torch\n"}


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("core/array.py", "from gradloom.operations import arithmetic", "core/array.py:1: core imports gradloom.operations.arithmetic"),
        ("core/array.py", "def add(a, b):\n    from gradloom.operations.arithmetic import add\n    return add(a, b)", "core/array.py:2: "),
        ("core/array.py", "from ..operations import arithmetic", "core imports gradloom.operations.arithmetic"),
        ("core/__init__.py", "from ..operations import arithmetic", "core imports gradloom.operations.arithmetic"),
        ("blocks/term.py", "from ..derivatives.walks.pull import pull", "blocks imports gradloom.derivatives.walks.pull.pull"),
        ("core/operation.py", "from ..blocks.block import Block", "core imports gradloom.blocks.block.Block"),
        ("machine/products.py", "import gradloom.core.array", "machine imports gradloom.core.array"),
        ("machine/products.py", "from .. import core", "machine imports gradloom.core"),
        ("machine/products.py", "import gradloom.machine\ngradloom.core.array.dlarray", "machine/products.py:2: machine imports gradloom.core.array"),
        ("operations/matrices/linalg.py", "if TYPE_CHECKING:\n    import gradloom.networks as n", "operations imports gradloom.networks"),
        ("derivatives/walks/pull.py", "from gradloom.acceleration.program import Program", "derivatives imports"),
        (
            "acceleration/program.py",
            "import importlib\nimportlib.import_module('gradloom.networks')",
            "acceleration imports gradloom.networks",
        ),
        ("acceleration/program.py", "import_module('..networks', __package__)", "acceleration imports gradloom.networks"),
        ("networks/layer.py", "from gradloom.data import datastore", "networks imports gradloom.data.datastore"),
        ("data/images.py", "__import__('gradloom.training')", "data imports gradloom.training"),
        ("training/trainnet.py", "from gradloom.interop import onnx", "training imports gradloom.interop.onnx"),
        ("networks/layer.py", "import gradloom as gl", "the public vocabulary"),
        ("networks/layer.py", "from gradloom import dlarray", "the public vocabulary"),
        ("networks/layer.py", "from .. import *", "the public vocabulary"),
        ("helpers.py", "", "is in no layer"),
        ("networks/utils.py", "", "nothing is called utils"),
        ("core/utils/__init__.py", "", "nothing is called utils"),
        ("machine/products.py", "import torch.nn", "torch.nn outside interop"),
        ("machine/products.py", "import torch.nn.functional as F", "torch.nn.functional outside interop"),
        ("machine/products.py", "from torch import nn", "torch.nn outside interop"),
        ("machine/products.py", "from torch.nn import functional", "torch.nn.functional outside interop"),
        ("machine/products.py", "import torch\ny = torch.nn.functional.conv2d(x, w)", "machine/products.py:2: torch.nn.functional.conv2d outside interop"),
        (
            "machine/products.py",
            "import torch as t\nt.nn.functional.conv2d(x, w).relu()",
            "machine/products.py:2: torch.nn.functional.conv2d outside interop",
        ),
        ("derivatives/walks/pull.py", "from torch.autograd import grad", "torch.autograd.grad outside interop"),
        ("derivatives/walks/pull.py", "import torch\ntorch.autograd.grad(y, x)", "torch.autograd.grad outside interop"),
        ("derivatives/walks/push.py", "import torch\njacobian = lambda f: torch.func.jacrev(f)", "torch.func.jacrev outside interop"),
        ("derivatives/walks/push.py", "from torch import vmap", "torch.vmap outside interop"),
        ("__init__.py", "from torch.func import jvp", "torch.func.jvp outside interop"),
        ("core/labels.py", "import numpy as np", "core/labels.py:1: numpy brings in numpy"),
        ("core/labels.py", "def f():\n    import torch", "core/labels.py:2: torch brings in torch"),
        ("core/labels.py", "from .array import dlarray", "gradloom.core.array.dlarray brings in torch"),
        ("core/labels.py", "from gradloom.core import array", "gradloom.core.array brings in torch"),
        ("training/checkpoint.py", "import pickle", "pickle: nothing is pickled"),
        ("training/checkpoint.py", "from pickle import dumps", "pickle.dumps: nothing is pickled"),
        ("training/checkpoint.py", "import torch\ntorch.save(x, path)", "torch.save: nothing is pickled"),
        ("interop/torch.py", "import numpy as np\nnp.load(path, allow_pickle=True)", "pickle: nothing is pickled"),
    ],
)
def test_what_is_out_of_order_is_found(path, text, message):
    found = violations({**ARRAY, path: text})
    assert found
    assert all(message in line for line in found)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "__init__.py",
            "from .operations.arithmetic import add\nfrom gradloom.interop import onnx\nimport gradloom.networks.layers as layers",
        ),
        ("machine/products.py", "import torch\ntorch.no_grad()\ntorch.ops.aten.convolution\ntorch._C._nn.linear\ntorch.functional.einsum"),
        ("operations/arithmetic.py", "from gradloom import machine\nfrom gradloom.core.array import dlarray\nfrom . import reduction"),
        ("operations/arithmetic.py", "import gradloom.machine.products as k, gradloom.core\nk.add\ngradloom.core.array.dlarray"),
        ("blocks/term.py", "from ..core.labels import Labels\nfrom .. import machine\nfrom . import index"),
        ("interop/torch.py", "import torch.nn as nn\nfrom torch.autograd import Function\nfrom gradloom.training import updates"),
        ("core/labels.py", "from dataclasses import dataclass\nfrom .errors import LabelError"),
        ("core/containers.py", "import optree\n\nclass Tree:\n    def __reduce__(self):\n        '''for pickle'''"),
        ("data/images.py", "import numpy as np\nnp.load(path, allow_pickle=False)"),
        ("networks/layer.py", "def nn(torch):\n    return self.nn.functional"),
    ],
)
def test_what_is_in_order_passes(path, text):
    assert violations({**ARRAY, "core/errors.py": "class LabelError(ValueError): ...", path: text}) == []


def test_labels_are_followed_through_other_modules():
    sources = {"core/labels.py": "from .errors import LabelError", "core/errors.py": "from . import lines", "core/lines.py": "import numpy"}
    assert violations(sources) == ["core/labels.py:1: gradloom.core.errors.LabelError brings in numpy: labels know no array library"]


def test_modules_that_import_each_other_are_read_once():
    assert violations({"core/labels.py": "from . import errors", "core/errors.py": "from . import labels"}) == []


def test_files_are_found_at_any_depth(tmp_path):
    (tmp_path / "core" / "blocks").mkdir(parents=True)
    (tmp_path / "core" / "blocks" / "term.py").write_text("import gradloom.training")
    assert len(violations(read_house(tmp_path))) == 1


# ----- caches and questions ------------------------------------------------------------------------------------------------------

MAPPINGS = {"dict", "OrderedDict", "WeakKeyDictionary", "WeakValueDictionary", "defaultdict"}


def loose_caches(path, text):
    """Caches that no list knows: functools' own, and mappings of a module that are made empty and are no declared table (those are in capitals)."""
    found = []
    for node in ast.walk(tree(text)):
        if isinstance(node, (ast.Name, ast.Attribute)) and (getattr(node, "id", None) or node.attr) in ("lru_cache", "cache") and isinstance(
                getattr(node, "value", None), ast.Name) and node.value.id == "functools":
            found.append(f"{path}:{node.lineno}: functools.{node.attr}: write remembered(...) of machine/caches.py")
        if isinstance(node, ast.ImportFrom) and node.module == "functools" and {a.name for a in node.names} & {"lru_cache", "cache"}:
            found.append(f"{path}:{node.lineno}: functools' cache: write remembered(...) of machine/caches.py")
    for node in tree(text).body:
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
        if not isinstance(target, ast.Name) or target.id.isupper() or node.value is None:
            continue
        made = node.value
        called = getattr(getattr(made, "func", None), "id", None) or getattr(getattr(made, "func", None), "attr", None)
        if isinstance(made, ast.Dict) and not made.keys or isinstance(made, ast.Call) and called in MAPPINGS and not made.args:
            found.append(f"{path}:{node.lineno}: {target.id}: write cache(name, ...) of machine/caches.py")
    return found


NO_CACHES = {
    "machine/caches.py": "the list itself", "interop/torch/copies.py": "copies of the user's own", "blocks/dense.py": "memory that is lent, and its versions, is state",
}


def test_every_cache_can_be_listed_and_emptied():
    import gradloom as gl
    from gradloom.machine import caches

    sources = read_house(SOURCE)
    assert [line for path, text in sources.items() if path not in NO_CACHES for line in loose_caches(path, text)] == []
    assert all(loose_caches(path, sources[path]) for path in NO_CACHES)
    gl.dlfeval(lambda x: gl.dlgradient(gl.sum(2.0 * gl.tanh(x), axis=0), x), gl.dlarray([1.0, 2.0]))
    assert sum(caches.sizes().values()) > 0
    caches.clear()
    assert set(caches.sizes().values()) == {0}
    assert gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x ** 2), x), gl.dlarray([1.0, 2.0])).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("text", ["import functools\n@functools.cache\ndef f(): ...", "from functools import lru_cache", "_known: dict[int, int] = {}",
                                  "import weakref\n_known = weakref.WeakKeyDictionary()"])
def test_a_cache_that_is_not_listed_is_found(text):
    assert len(loose_caches("core/array.py", text)) == 1


# Who asks a tensor for a value without saying why: not the library, but its user, or nothing but NumPy.
ASKING = {
    "creation/arrays.py": "a number that a user gave: a dlarray refuses to give it where it is traced",
    "derivatives/own/checking.py": "a check, which nobody records",
    "derivatives/words/functions.py": "the user's result, as a number", "derivatives/words/solvers.py": "the user's result, as a number",
    "derivatives/sparse/partials.py": "numbers of NumPy", "derivatives/sparse/pattern.py": "masks of NumPy",
}


def questions(path, text):
    """Where a tensor is asked for a value outside `decided`, `spared`, `usually` and `read`, and not for the text of an error."""
    found = []

    def visit(node, told):
        told = told or isinstance(node, ast.Raise) or isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("decided", "spared", "usually", "read")
        if isinstance(node, ast.Call) and not told:
            function, arguments = node.func, node.args
            asks = isinstance(function, ast.Attribute) and function.attr == "item" and not arguments
            asks = asks or isinstance(function, ast.Attribute) and function.attr == "equal" and getattr(function.value, "id", "") == "torch"
            if isinstance(function, ast.Name) and function.id == "bool" and len(arguments) == 1:
                asks = asks or any(isinstance(n, ast.Attribute) and n.attr in ("any", "all", "amin", "amax", "sum", "isnan", "isfinite")
                                   for n in ast.walk(arguments[0]))
            if asks:
                found.append(f"{path}:{node.lineno}: {ast.unparse(node)[:60]}: say decided(...) or spared(...) of machine/questions.py")
        for child in ast.iter_child_nodes(node):
            visit(child, told)

    visit(tree(text), False)
    return found


def test_whoever_asks_a_tensor_for_a_value_says_why():
    asked = {path: questions(path, text) for path, text in read_house(SOURCE).items() if path.split("/")[0] in ("operations", "blocks", "derivatives")}
    assert [line for path, lines in asked.items() if not any(path.endswith(p) for p in ASKING) for line in lines] == []
    for path in ASKING:
        assert any(asked[p] for p in asked if p.endswith(path)), f"{path} asks nothing any more"


@pytest.mark.parametrize("text", ["if bool(x.any()): pass", "n = x.item()", "if torch.equal(a, b): pass", "if not bool((x > 0).all()): pass"])
def test_a_question_that_does_not_say_why_is_found(text):
    assert len(questions("operations/f.py", text)) == 1
    assert questions("operations/f.py", "if decided(x.any()) and spared(lambda: x.item() > 0): raise ValueError(x.item())") == []


# ----- a network's own affairs -------------------------------------------------------------------------------------------

NETWORKS = {"body.py": "WithBody", "network.py": "dlnetwork", "settings.py": "Settings", "parameters.py": "Learnables", "running.py": "LayerGraph", "graph.py": "Graph"}


def own_names(sources):
    """The underscore attributes and methods of networks and their parameters, but for those that arrays have too."""
    found = set()
    for file, kind in NETWORKS.items():
        [its] = [node for node in tree(sources[f"networks/{file}"]).body if isinstance(node, ast.ClassDef) and node.name == kind]
        for node in its.body:
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign) and node.targets[0].id == "__slots__":
                found |= set(ast.literal_eval(node.value))
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def taken_from_networks(sources):
    """Where a module outside networks/ reads such a name of something that is not its own self."""
    names, found = own_names(sources), []
    for path, text in sorted(sources.items()):
        for node in ast.walk(tree(text)) if not path.startswith("networks/") else ():
            if isinstance(node, ast.Attribute) and node.attr in names and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_what_a_network_holds_is_read_in_networks_alone():
    house = read_house(SOURCE)
    assert {"_body", "_values", "_keys", "_arrays", "_plans"} <= own_names(house)
    assert taken_from_networks(house) == []


@pytest.mark.parametrize(("path", "text", "found"), [
    ("training/loop.py", "def step(net):\n    return net._values[0]", ["training/loop.py:2: net._values"]),
    ("interop/torch/modules.py", "keys = self.network._body.learnable_keys", ["interop/torch/modules.py:1: self.network._body"]),
    ("training/loop.py", "given._arrays = []", ["training/loop.py:1: given._arrays"]),
    ("derivatives/walk.py", "class Walk:\n    def go(self):\n        return self._values", []),
    ("networks/saving.py", "net._values", []),
    ("training/loop.py", "x._value, x._node", []),
])
def test_a_look_into_a_network_is_found(path, text, found):
    house = {name: text_ for name, text_ in read_house(SOURCE).items() if name.startswith("networks/")}
    assert taken_from_networks({**house, path: text}) == found


def private_imports(sources):
    """Names with an underscore that cross a file."""
    modules = {("gradloom/" + p).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for p in sources}
    return [f"{path}:{node.lineno}: {alias.name} is private where it comes from" for path, text in sources.items() for node in ast.walk(tree(text))
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("gradloom")) for alias in node.names
            if alias.name.startswith("_") and not alias.name.startswith("__") and not any(m.endswith("." + alias.name) for m in modules)]


def test_no_private_name_crosses_a_file():
    assert private_imports(read_house(SOURCE)) == []
    assert len(private_imports({"core/array.py": "from .trace import _number, Node"})) == 1


def circles(sources):
    """Modules that import each other, at any depth of a function; imports for types alone are none."""
    names = {("gradloom/" + p).removesuffix(".py").removesuffix("/__init__").replace("/", "."): p for p in sources}
    graph = {}
    for name, path in names.items():
        typing = [n for n in ast.walk(tree(sources[path])) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
        hidden = {line for n in typing for line in range(n.lineno, n.end_lineno + 1)}
        found = set()
        for reference, line in References(path).read_imports(tree(sources[path])):
            if line not in hidden:
                target = next((".".join(reference.split(".")[:k]) for k in range(len(reference.split(".")), 0, -1)
                               if ".".join(reference.split(".")[:k]) in names), None)
                if target not in (None, name):
                    found.add(target)
        graph[name] = found
    return [name for name in graph if name in reached(graph, name)]


def reached(graph, start):
    seen, pending = set(), list(graph[start])
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += graph[name]
    return seen


def test_no_modules_import_each_other():
    assert circles(read_house(SOURCE)) == []
    assert circles({"core/a.py": "from .b import f", "core/b.py": "def f():\n    from . import a", "core/c.py": "from .a import f"}) == [
        "gradloom.core.a", "gradloom.core.b"]


# Errors of Python's own classes that nobody meets as they are: who raises them, and why.
PLAIN_ERRORS = {
    "machine/": "below the errors: whoever calls it says it with the user's line",
    "interop/torch/autograd.py": "torch's own words",
    "interop/torch/aten/wrapped.py": "torch's own words",
    "interop/torch/twins.py": "a table of the library that is wrong",
    "interop/torch/table.py": "a table of the library that is wrong",
    "core/operation.py": "a declaration, said again by operations/own.py",
    "core/declare.py": "as the user's own call raised it",
    "interop/torch/aten/rules/movement.py": "a table of the library that is wrong",
    "derivatives/jacobians/plan.py": "caught: the other way is taken",
    "training/schedules.py": "never: the last schedule has no end",
    "networks/checking.py": "a line of the report",
    "storage/format.py": "caught, a FileRefused",
    "blocks/": "caught: the walk goes on without the Block",
    "operations/elementwise/arithmetic.py": "caught: the walk goes on without the Block",
    "operations/movement/slices.py": "caught: an index of another kind",
    "operations/fourier/transforms.py": "a kernel's refusal, said with the operation and the line",
    "operations/matrices/inverses.py": "a kernel's refusal, said with the operation and the line",
    "operations/neural/sequences/lstm.py": "a kernel's refusal, said with the operation and the line",
    "operations/elementwise/bessel.py": "a kernel's refusal, said with the operation and the line",
    "operations/elementwise/mathematics.py": "a kernel's refusal, said with the operation and the line",
}
# what Python's own protocols ask for, the methods that others write, and a file that is not there
PROTOCOL_ERRORS = {"AttributeError", "NotImplementedError", "StopIteration", "KeyboardInterrupt", "FileNotFoundError"}


def plain_errors(sources):
    """Errors of Python's own classes, which `except gl.GradloomError` would not catch."""
    return [f"{path}:{node.lineno}: {raised.id}" for path, text in sources.items() if not any(map(path.startswith, PLAIN_ERRORS))
            for node in ast.walk(tree(text)) if isinstance(node, ast.Raise) and node.exc is not None
            for raised in [node.exc.func if isinstance(node.exc, ast.Call) else node.exc]
            if isinstance(raised, ast.Name) and raised.id in PYTHON_ERRORS - PROTOCOL_ERRORS]


PYTHON_ERRORS = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)}


def test_what_users_meet_is_an_error_of_the_house():
    assert plain_errors(read_house(SOURCE)) == []
    assert len(plain_errors({"core/array.py": "def f():\n    raise ValueError('no')"})) == 1
    unused = [path for path in PLAIN_ERRORS if not any(p.startswith(path) for p in read_house(SOURCE))]
    assert unused == []


@pytest.mark.parametrize("call", [
    lambda x: x[5], lambda x: x[5, 1], lambda x: gl.zeros(3, dtype="foo"), lambda x: x.to(dtype="foo"), lambda x: x.astype("foo"),
    lambda x: gl.rand(3, dtype="uint32"), lambda x: gl.sum(x, dtype="foo"), lambda x: len(gl.sum(x)), lambda x: list(gl.sum(x)),
    lambda x: gl.minibatchqueue(np.ones((4, 3)), cast="foo"), lambda x: gl.dlnetwork([gl.layers.FullyConnected(3, weights_initializer="foo")], gl.ones((2, 2), labels="CB")),
    lambda x: gl.dlfeval(lambda x: gl.dljacobian(x * 2, {"a": x})["b"], x), lambda x: gl.ArrayDatastore(np.ones(3))[3],
    lambda x: gl.dlfeval(lambda x: gl.partials(gl.sum(x, axis=1, keepdims=True), x, ["z"], axis=1, names="xy"), gl.ones((2, 2))),
    lambda x: gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(x, axis=1, keepdims=True), x, 1, directions=2, draws="foo"), gl.ones((2, 2)))])
def test_such_an_error_names_the_users_line(call):
    with pytest.raises(gl.GradloomError) as error:
        call(gl.dlarray([1.0, 2.0]))
    assert "test_house.py:" in str(error.value), str(error.value)
