"""What the documentation shows is run: every Python block of README and docs, and the examples in the docstrings of public names.

The blocks of a file run in order, in one namespace. A block with `>>>` is a doctest. What another block prints is compared with
the ```text block that follows it, where there is one; `...` stands for anything, in both kinds.
"""

import contextlib
import doctest
import inspect
import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import gradloom as gl
from gradloom.core.tables import PUBLIC
from gradloom.vocabulary.matlab import LEFT_OUT, table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPTIONS = doctest.ELLIPSIS
FENCE = re.compile(r"^```([a-z]*)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    """A fenced block: its language, its text, the number of the line before it, and where it stands in its page."""

    language: str
    text: str
    line: int
    start: int
    end: int


def blocks(page):
    """The fenced blocks of a page, in order."""
    return [Block(m[1], m[2], page.count("\n", 0, m.start(2)), m.start(), m.end()) for m in FENCE.finditer(page)]


def examples(page):
    """(Python block, what it prints or None) in order."""
    found = blocks(page)
    for block, after in zip(found, [*found[1:], None]):
        if block.language == "python":
            shown = after is not None and after.language == "text" and not page[block.end:after.start].strip()
            yield block, after.text if shown else None


def run(page, name="page"):
    """Run the examples of a page; the first that fails raises."""
    namespace = {"__name__": "example"}
    for block, expected in examples(page):
        if ">>> " in block.text:
            run_doctest(block.text, f"{name}, line {block.line}", namespace)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * block.line + block.text, name, "exec"), namespace)
        if expected is not None and not doctest.OutputChecker().check_output(expected, printed.getvalue(), OPTIONS):
            raise AssertionError(f"{name}, line {block.line}: the page says\n{expected}\nthe block prints\n{printed.getvalue()}")


def run_doctest(text, name, namespace):
    """Run one doctest in a namespace, which it changes."""
    test = doctest.DocTestParser().get_doctest(text, namespace, name, None, None)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test, out=report.write, clear_globs=False)
    namespace.update(test.globs)
    if runner.failures:
        raise AssertionError(report.getvalue())


@pytest.fixture(autouse=True)
def same_random_numbers():
    gl.rng(0)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def test_links_between_pages():
    for path in PAGES:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)#]+)", text):
            if not re.match(r"[a-z]+:", target):
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} points to {target}, which is not there"


@pytest.mark.parametrize(("page", "complaint"), [
    ("```python\nx = 1\n```\n\n```python\nassert x == 2\n```", None),
    ("```python\nprint(1)\n```\n\n```text\n2\n```", "the page says"),
    ("```python\n>>> 1 + 1\n3\n```", "Expected:"),
    ("```python\nimport gradloom as gl\nprint(gl.dlarray(1.0))\n```\n```text\ndlarray float64 2.0\n```", "the block prints"),
])
def test_a_wrong_page_is_found(page, complaint):
    with pytest.raises(AssertionError, match=complaint):
        run(page)


@pytest.mark.parametrize("page", [
    "```python\nx = 1\n```\nwords\n```python\nassert x == 1\n```",
    "```python\nprint('1.2345')\n```\n\n```text\n1.2...\n```",
    "```python\nprint(1)\n```\nwords between\n```text\n2\n```",
    "```python\n>>> x = 2\n```\n```python\nassert x == 2\n```",
    "```sh\npip install nothing\n```",
])
def test_a_right_page_passes(page):
    run(page)


# ----- docstrings --------------------------------------------------------------------------------------------------------


@cache
def public_objects():
    """Every public function and class by its name, and every layer."""
    found = {name: getattr(gl, name) for name in gl.__all__}
    found |= PUBLIC
    for name in gl.layers.__all__:
        found[f"layers.{name}"] = getattr(gl.layers, name)
    return {name: thing for name, thing in found.items() if callable(thing)}


def docstrings(name, thing):
    """(name, docstring) of a function, or of a class and its own methods."""
    yield name, thing.__doc__ or ""
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            doc = getattr(value, "__doc__", None)
            if not member.startswith("_") and isinstance(doc, str) and (callable(value) or isinstance(value, property)):
                yield f"{name}.{member}", doc


def test_docstrings_are_read_from_functions_classes_and_methods():
    found = {name for name, thing in public_objects().items() for name, doc in docstrings(name, thing) if ">>>" in doc}
    assert {"dlfeval", "sum", "dlarray", "dlnetwork.replace", "layers.ImageInput"} <= found


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_docstrings(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for part, doc in docstrings(name, public_objects()[name]):
        if ">>>" in doc:
            run_doctest(inspect.cleandoc(doc), part, {"__name__": "example"})


# ----- the table of MATLAB's names ---------------------------------------------------------------------------------------


def test_the_table_of_matlab_names_is_whole():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs" / "matlab_names.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [*((name, f"`{here}`") for name, here in table().items()), *LEFT_OUT.items()]
