"""Write docs/operations.md: every public operation with its kind, types, labels, structured walks and MATLAB name.

Run it with `make table`; a test compares the file with what this would write. Nothing is stated here by hand: kinds and
MATLAB names are in the table of operations; types and labels are tried on the call that the docstring shows; walks on
the declared samples.
"""
from __future__ import annotations

import contextlib
import doctest
import inspect
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import gradloom as gl
from gradloom import dlarray
from gradloom.blocks.block import Block, identity
from gradloom.core.operation import Operation
from gradloom.core.tables import PUBLIC
from gradloom.core.trace import Node, Trace
from gradloom.derivatives.walks import pull as pulling
from gradloom.derivatives.walks import push as pushing
from gradloom.derivatives.words.marks import VARIABLE
from gradloom.vocabulary.matlab import table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operations.md"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "operations")]

from operation_cases import Case, cases, outputs_of  # noqa: E402

FLOATING = {"half": torch.float16, "single": torch.float32, "double": torch.float64, "complex": torch.complex128}
LETTERS = "CBTSU"


# ----- the call that a docstring shows -----


class Recorder:
    """gradloom, which remembers the arguments of the first call of one function."""

    def __init__(self, name: str):
        self.name = name
        self.call: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def __getattr__(self, name: str) -> Any:
        function = getattr(gl, name)
        if name != self.name:
            return function

        def recorded(*args: Any, **kwargs: Any) -> Any:
            if self.call is None:
                self.call = args, kwargs
            return function(*args, **kwargs)

        return recorded


def shown_call(name: str, function: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments of the first call in the docstring's example; without one, two numbers for each input."""
    recorder = Recorder(name)
    namespace: dict[str, Any] = {}
    gl.rng(0)
    for example in doctest.DocTestParser().get_examples(inspect.cleandoc(function.__doc__ or "")):
        if example.source.strip() == "import gradloom as gl":
            namespace["gl"] = recorder
            continue
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(example.source, name, "single"), namespace)
        if recorder.call is not None:
            args, kwargs = recorder.call
            return tuple(dlarray(a) if numbers(a) else a for a in args), kwargs
    operation = getattr(function, "operation", None)
    if operation is None or "shape" in inspect.signature(function).parameters:
        return None
    args = (dlarray([0.25, 0.75]),) * len(operation.inputs)
    return (tuple(gl.astype(gl.ceil(a), "int64") for a in args) if name.startswith("bitwise") else args), {}


def numbers(thing: Any) -> bool:
    """A list of floating numbers, nested or not."""
    return bool(thing) and all(type(t) is float or numbers(t) for t in thing) if type(thing) is list else False


def floating(x: Any, every: bool = False) -> bool:
    return isinstance(x, dlarray) and (every or x.dtype.is_floating_point or x.dtype.is_complex)


def each_array(thing: Any, change: Callable[[dlarray], Any], every: bool = False) -> Any:
    """The same arguments with every floating array changed (with every array, where that is asked for)."""
    if isinstance(thing, dlarray):
        return change(thing) if floating(thing, every) else thing
    if type(thing) in (list, tuple):
        return type(thing)(each_array(t, change, every) for t in thing)
    return {k: each_array(v, change, every) for k, v in thing.items()} if type(thing) is dict else thing


def arrays_in(thing: Any, every: bool = False) -> Iterator[dlarray]:
    """The floating arrays (or all arrays) among arguments or results."""
    if isinstance(thing, dlarray):
        if floating(thing, every):
            yield thing
    elif isinstance(thing, (list, tuple)):
        for t in thing:
            yield from arrays_in(t, every)


# ----- one column each -----


def types(function: Any, args: Any, kwargs: Any, discrete: bool) -> str:
    """The types that the shown call takes; of an operation without derivative, bools and integers too."""
    if next(arrays_in(args, discrete), None) is None:
        return "by `dtype=`" if {"dtype", "labels"} <= set(inspect.signature(function).parameters) else ""

    def taken(dtype: torch.dtype) -> Any:
        def cast(x: dlarray) -> dlarray:
            return gl.astype(gl.ceil(x) if dtype is torch.int64 and x.dtype.is_floating_point else x, dtype)

        try:
            return function(*each_array(args, cast, discrete), **each_array(kwargs, cast, discrete))
        except gl.GradloomError:
            return None

    found = [word for word, dtype in FLOATING.items() if taken(dtype) is not None]
    result = taken(torch.int64)
    if result is not None:
        found.append("integers as double" if any(y.dtype == torch.float64 for y in arrays_in((result,)))
                     else "integers")
    if discrete and taken(torch.bool) is not None:
        found.append("bools")
    return ", ".join(found)


def labels(function: Any, args: Any, kwargs: Any) -> str:
    """What becomes of labels."""
    options = inspect.signature(function).parameters
    if "data_format" in options:
        return "read; without labels `data_format=`" + (" or `axis=`" if "axis" in options else "")
    given = list(arrays_in(args, True))
    if not given:
        return "by `labels`" if "labels" in options else ""
    if not max(x.ndim for x in given):  # numbers, so that the operation takes every shape
        args = each_array(args, lambda x: gl.stack([x, x]), True)
        given = list(arrays_in(args, True))
    own = LETTERS[:given[0].ndim]

    def labelled(x: dlarray) -> dlarray:
        return dlarray(gl.stripdims(x), own if x.ndim == len(own) else None)

    reduces = {"keepdims", "axis"} <= set(options)
    try:
        result = function(*each_array(args, labelled, True), **(kwargs | {"axis": 0} if reduces else kwargs))
    except gl.GradloomError:
        return "by position, labels refused"
    y = next(iter(arrays_in((result,), True)), None)
    if y is None:
        return ""
    if y.dims != own and sorted(y.dims) == sorted(own):
        return "move with their axes"
    return ("kept" if y.dims == own else "kept; the reduced axis dropped" if reduces else "those of the axes that stay"
            if y.dims else "dropped")


def sample_outputs(case: Case, values: list[Any]) -> list[Any]:
    return outputs_of(case, case.operation.apply(case.at(values).inputs, case.params))


def sample_runs(operation: Operation) -> Iterator[tuple[list[Any], Callable[[list[Any]], Any]]]:
    """The real samples of an operation: its variables, and a function of them."""
    for case in cases(operation):
        if not any(x.is_complex() for x in case.values()):
            yield case.values(), partial(sample_outputs, case)


def shown_run(function: Any, args: Any, kwargs: Any) -> Iterator[tuple[list[Any], Callable[[list[Any]], Any]]]:
    """The same of the call that a docstring shows."""
    found = [x for x in arrays_in(args) if not x.dtype.is_complex]

    def run(values: list[Any]) -> Any:
        given = dict(zip(map(id, found), values, strict=True))
        return list(arrays_in((function(*each_array(args, lambda x: dlarray(given.get(id(x), x), x.dims or None)),
                                        **kwargs),)))

    if found:
        yield [x._value for x in found], run


def walks(runs: Any) -> tuple[str, str]:
    """Whether structured Jacobians keep their structure, pushed forwards and pulled backwards."""
    forwards: list[bool] = []
    backwards: list[bool] = []
    for values, run in runs:
        for k, x in enumerate(values):
            if not x.numel():
                continue
            node = Node(VARIABLE, Trace(), (), [x], {}, x, None)
            for y in run([dlarray._made(x, node) if j == k else dlarray(v) for j, v in enumerate(values)]):
                if y._node is None:
                    continue
                forwards.append(kept(pushing.push([y._node], {node: identity(x.shape, x.dtype, x.device)})[0]))
                if not y.dtype.is_complex:  # backwards is for real walks
                    seed = {y._node: identity(y._value.shape, y.dtype, y._value.device)}
                    with contextlib.suppress(gl.TypeRefused):
                        backwards.append(kept(pulling.pull(seed, [node], values_of=lambda node: node.values)[0]))
    return told(forwards), told(backwards)


def kept(block: Any) -> bool:
    return not isinstance(block, Block) or not block.untied


def told(found: list[bool]) -> str:
    return "" if not found else "structured" if all(found) else "in part" if any(found) else "untied"


def matlab(name: str, function: Any, operation: Operation | None) -> str:
    """MATLAB's name: declared, or in the docstring, or the table of names that are spelled differently."""
    spelled = [m for m, here in table().items()
               if re.match(rf"(?:.*, or )?{name}(?:\([^().]*\))?(?:,? or .*| \(.*\))?$", here)]
    said = re.search(r"MATLAB (\w+)", (function.__doc__ or "").partition("Source:")[2])
    found = [operation.matlab if operation is not None and getattr(operation.public, "__name__", "") == name else None,
             said[1] if said else None, *spelled]
    return ", ".join(f"`{m}`" for m in dict.fromkeys(found) if m)


# ----- the page -----


def original(function: Any) -> Any:
    """A public function as its family declares it."""
    inside = inspect.getclosurevars(function).nonlocals.get("function") if function.__name__ != "call" else None
    return inside if inside is not None and inspect.isfunction(inside) else function


@cache
def modules() -> dict[Path, ModuleType]:
    """The library's modules by their files."""
    return {Path(m.__file__ or "").resolve(): m for n, m in sys.modules.items() if n.startswith("gradloom.")}


def family(name: str, function: Any) -> ModuleType:
    """The module that declares a public function."""
    module = modules()[Path(original(function).__code__.co_filename).resolve()]
    if not module.__name__.startswith("gradloom.core"):
        return module
    return sys.modules[function.operation.module]


def row(name: str, function: Any) -> str:
    operation: Any = getattr(function, "operation", None)
    kind = "composite" if operation is None else operation.kind
    call = shown_call(name, function)
    runs = (sample_runs(operation) if kind in ("elementwise", "multilinear", "general") else shown_run(function, *call)
            if call and operation is None else ())
    cells = [f"`{name}`", kind, *((types(function, *call, kind == "discrete"), labels(function, *call))
                                  if call else ("", "")), *walks(runs),
             matlab(name, function, operation)]
    return "| " + " | ".join(cells) + " |"


def text() -> str:
    """The whole page."""
    families: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, function in sorted(PUBLIC.items()):
            if name not in NOT_OPERATIONS:
                module = family(name, function)
                stem = module.__name__.rpartition(".")[2]
                titles[stem] = " ".join((module.__doc__ or "").split("\n\n")[0].split())
                families.setdefault(stem, []).append(row(name, function))
    lines = [HEAD]
    for stem, rows in sorted(families.items()):
        lines += ["", "", f"## {stem}", "", titles[stem], "", *COLUMNS, *rows]
    return "\n".join([*lines, ""])


NOT_OPERATIONS = {"elementwise", "multilinear", "general", "rng", "finfo", "iinfo", "result_type",
                  "can_cast", "isdtype", "dims", "finddim", "ravel"}
COLUMNS = ["| operation | kind | types | labels | Jacobian forwards | Jacobian backwards | MATLAB |",
           "|---|---|---|---|---|---|---|"]
HEAD = """\
# The operations

Written by `make table` from the table of operations. Each explains itself: `help(gl.softmax)`.

*Kind*: how its derivative is stated. **elementwise**: partial derivatives; **multilinear**: linear in each input, a transpose for each;
**general**: a push and a pull by hand; **composite**: written in other operations, which differentiate it; **discrete**: no derivative.
All but the discrete ones are differentiated to every order, forwards and backwards.
*Types*: what the call in its docstring takes (half: float16). *Labels*: what becomes of those of the first argument.
*Jacobian*: whether a structured Jacobian goes through without being made dense along an axis ("made dense on the way" in `J.explain()`): **structured**, on
all samples of the tests (of a composite, in the call of its docstring), **in part**, on some of them, or **untied**, on none."""


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
    print(f"wrote {PAGE}")
