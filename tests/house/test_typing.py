"""Under `mypy --strict`: a user's file that uses every public word, a custom layer, and the examples of the README."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

import gradloom as gl

ROOT = Path(__file__).parents[2]
WORDS = sorted({*gl._PUBLIC, *gl._WORDS.split()})

CUSTOM = '''
class Scale(gl.Layer):
    """An option, a learnable, a state: the learnable and the state are left out, given, assigned."""

    start: float = 1.0
    factor: gl.Learnable
    seen: gl.State = None

    def initialize(self, layout: gl.Layout) -> None:
        self.factor = gl.full((layout.sizes["C"],), self.start)

    def predict(self, x: gl.dlarray) -> gl.dlarray:
        y: gl.dlarray = self.factor * x
        return y

    def forward(self, x: gl.dlarray) -> gl.dlarray:
        self.seen = gl.sum(x)
        return self.predict(x)

    def backward(self, x: gl.dlarray, y: gl.dlarray, y_bar: gl.dlarray) -> tuple[gl.dlarray, gl.dlarray]:
        return self.factor * y_bar, gl.sum(x * y_bar, axis="B")


custom = [Scale(), Scale(3.0), Scale(start=3.0, name="scale"), Scale(2.0, factor=gl.ones(3))]
'''

ARRAYS = '''
x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")
z: gl.dlarray = 2 * x + x * 3 - x / 2 ** x @ x % 3 // 2
w: gl.dlarray = -x + +x + abs(x) - (x < 1) * (x >= 2) * (x == x) * (x != 1) * ~(x > 0) & (x <= 0) | (x > 1) ^ (x > 2)
x[0] = 1.0
x[x.at(C=0)] = x[0, 1:] + x[..., None]
rows: list[gl.dlarray] = [row for row in x]
numbers: tuple[float, int, complex, bool, int, str] = float(x), int(x), complex(x), bool(x), len(x), repr(x)
count: int = range(9)[x]


def loss(net: gl.dlnetwork, x: gl.dlarray) -> tuple[Any, Any]:
    y = gl.mse(net.forward(x), x)
    return y, gl.dlgradient(y, net.learnables)


net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(3, name="fc"), gl.layers.ReLU(name="relu"), *custom])
value, gradients = gl.dlfeval(loss, net, x)
net, velocity = gl.sgdmupdate(net, gradients, None, learn_rate=0.1)
J: gl.Jacobian = gl.dlfeval(lambda x: gl.dljacobian(x * x, x), x)
entries = J.dense(), J @ x, J.T @ x, J.matrix(), J.gram(), J.explain(), J.nbytes
with gl.check_finite():
    gl.log(x)
try:
    gl.dlarray("text")
except gl.TypeRefused as error:
    print(str(error))
'''


def call(name, function):
    """A call of a function with something for whatever it needs, and one with all that it takes."""
    needed, every = [], []
    for p in inspect.signature(function).parameters.values():
        if p.name == "self":
            continue
        by_name = f"{p.name}=a" if p.kind is p.KEYWORD_ONLY else "a"
        if p.kind is p.VAR_POSITIONAL:
            every += ["a", "a"]
        elif p.kind is not p.VAR_KEYWORD:
            every.append(by_name)
            if p.default is p.empty:
                needed.append(by_name)
    return [f"{name}({', '.join(needed)})", f"{name}({', '.join(every)})"]


def uses(prefix, thing):
    """Lines that use a function, or a class with its methods and attributes."""
    if isinstance(thing, SimpleNamespace):
        return [line for n, f in sorted(vars(thing).items()) for line in uses(f"{prefix}.{n}", f)]
    if not callable(thing) or prefix.endswith((".Learnable", ".State")):
        return [f"used: Any = {prefix}" if not prefix.endswith((".Learnable", ".State")) else f"def of_type(given: {prefix}) -> None: ..."]
    if not isinstance(thing, type):
        return call(prefix, thing)
    own = "__init__" in vars(thing) or "__new__" in vars(thing)
    lines = call(prefix, thing) if own and not issubclass(thing, BaseException) else [f"kind: type[{prefix}] = {prefix}"]
    if issubclass(thing, (BaseException, tuple)):
        return lines
    lines.append(f"def methods_{prefix.replace('.', '_')}(it: {prefix}) -> None:")
    for name in sorted(n for n in dir(thing) if not n.startswith("_")):
        member = inspect.getattr_static(thing, name)
        if isinstance(member, property):
            lines.append(f"    print(it.{name})")
        elif inspect.isfunction(member):
            lines += [f"    {line}" for line in call(f"it.{name}", bound(member))]
    return [*lines, "    pass"]


def bound(method):
    """A method as its users call it: without self."""
    made = lambda *args, **kwargs: None
    signature = inspect.signature(method)
    made.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    return made


def every_word():
    lines = ["from typing import Any", "", "import gradloom as gl", "", "a: Any = 1", *CUSTOM.split("\n"), *ARRAYS.split("\n")]
    for name in WORDS:
        thing = getattr(gl, name)
        if name == "layers":
            for layer in gl.layers.__all__:
                lines += call(f"gl.layers.{layer}", getattr(gl.layers, layer))
        elif name == "linalg":
            for word in gl.linalg.__all__:
                lines += uses(f"gl.linalg.{word}", getattr(gl.linalg, word))
        elif name == "array_api":
            standard = [n for n, t in vars(gl.array_api).items() if n in gl.array_api.STANDARD or isinstance(t, (SimpleNamespace, torch.dtype, float))]
            for word in sorted(standard):
                lines += uses(f"gl.array_api.{word}", getattr(gl.array_api, word))
        else:
            lines += uses(f"gl.{name}", thing)
    names = iter(range(10**6))
    lines = [re.sub(r"^(used|kind|def of_type)", lambda m: f"{m[1]}_{next(names)}", line) for line in lines]
    return "\n".join(lines) + "\n"


MISTAKES = ["gl.layers.ReLU(nam='relu')", "gl.linalg.nothing", "gl.sum(1, 0)", "gl.nothing", "gl.dlarray()", "gl.array_api.nothing", "gl.layers.Nothing()",
            "gl.dlarray(1.0).nothing", "gl.dlnetwork([]).nothing"]

# The README's functions have no types, and it imports what need not be installed.
README = "# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code=import-not-found"


def checked(folder, cache, **texts):
    """What `mypy --strict` finds in files of these names and texts, by name: all in one run, since it reads torch and gradloom first."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "--config-file", "", "--follow-imports", "silent", *(f"{name}.py" for name in texts)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"MYPYPATH": str(Path(gl.__file__).parents[1]), "PATH": ""})
    assert re.search(r"^(Found|Success)", run.stdout, re.MULTILINE), run.stdout + run.stderr
    return {name: [line for line in run.stdout.splitlines() if line.startswith(f"{name}.py:")] for name in texts}


def test_what_users_write(tmp_path, cache):
    """A file with every public word and the examples of the README have no errors, and each line with a mistake has one."""
    words = every_word()
    assert all(re.search(rf"\bgl\.{name}\b", words) for name in WORDS)
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(examples) > 2
    # mypy keeps what it knows of torch and of gradloom's files from run to run, and reads anew what has changed
    found = checked(tmp_path, cache.mkdir("mypy"), words=words, readme="\n\n".join([README, *examples]), mistakes="\n".join(["import gradloom as gl", *MISTAKES]))
    assert found["words"] == []
    assert found["readme"] == []
    assert {int(re.match(r"mistakes\.py:(\d+): error", line)[1]) for line in found["mistakes"] if ": error" in line} == set(range(2, 2 + len(MISTAKES))), found["mistakes"]
