"""The record: what is to be known of an operation is a field of its declaration. The ground and the walks know none by its name."""

import ast
from pathlib import Path

import pytest

import gradloom.interop.torch.modules  # declares the last operations
from gradloom.core.operation import Operation
from gradloom.core.tables import OPERATIONS, PUBLIC, Words, words

SOURCE = Path(gradloom.__file__).parent
WINGS = ("core", "blocks", "derivatives")
TABLES = ("OPERATIONS", "PUBLIC")
KINDS = {"elementwise", "multilinear", "general"}  # which are constructors too


def operations_by_name(text, names):
    """Where a name of an operation decides something: (line, name) of each comparison, membership, table and getattr."""
    found = []

    def note(*nodes):
        found.extend((n.lineno, n.value) for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value in names)

    def note_all(node):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            note(*node.elts)
        elif isinstance(node, ast.Dict):
            note(*node.keys)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("frozenset", "set", "tuple", "list", "dict"):
            for inner in node.args:
                note_all(inner)

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            for left, comparison, right in zip(operands, node.ops, operands[1:], strict=False):
                if isinstance(comparison, (ast.In, ast.NotIn)):
                    note_all(right)
                else:
                    note(left, right)
        elif isinstance(node, ast.MatchValue):
            note(node.value)
        elif isinstance(node, ast.Subscript):
            called = getattr(node.value, "id", getattr(node.value, "attr", None))
            if called in TABLES:
                note(node.slice)
            note_all(node.value)
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", None))
            table = getattr(node.func, "value", None)
            if called == "getattr" or called == "get" and getattr(table, "id", getattr(table, "attr", None)) in TABLES:
                note(*node.args)
            if called == "get":
                note_all(table)
        elif isinstance(node, ast.Assign):  # a list of names that is kept, all of them operations
            before = len(found)
            note_all(node.value)
            entries = getattr(node.value, "elts", getattr(node.value, "keys", ()))
            if len(found) - before < max(len(entries), 2):
                del found[before:]
    return sorted(set(found))


def test_no_operation_stands_by_its_name():
    """A fact about an operation is a field that is asked for; what a walk runs itself is in `words`."""
    paths = [path for wing in WINGS for path in sorted((SOURCE / wing).rglob("*.py"))]
    found = {path.relative_to(SOURCE).as_posix(): operations_by_name(path.read_text(encoding="utf-8"), set(OPERATIONS) - KINDS) for path in paths}
    assert len(found) > 50
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("text", [
    'if operation.name == "matmul": pass',
    'if operation.name != "matmul": pass',
    'as_scalar = operation.name in ("add", "matmul")',
    'mixed = {"matmul": (-1, -2), "linear": (-1, None)}.get(operation.name)',
    'x = OPERATIONS["matmul"].apply((x,))',
    'x = tables.PUBLIC["matmul"](x)',
    'x = OPERATIONS.get("matmul")',
    'x = getattr(gl, "matmul")',
    'FOLDED = ("matmul", "linear")',
    'FOLDED = frozenset(["matmul", "linear"])\nif name in FOLDED: pass',
    'match name:\n    case "matmul": pass',
    'y = {"matmul": 1, "linear": 2}[name]',
])
def test_a_name_that_decides_is_found(text):
    assert "matmul" in {name for _, name in operations_by_name(text, {"matmul", "linear", "add"})}


@pytest.mark.parametrize("text", [
    '"""matmul"""',
    'raise TypeError("matmul")',
    'y = node.params["matmul"]',
    'MATMUL = Operation("matmul", kernel, ("a",))',
    'known = {"matmul": torch.matmul, "Tensor": Tensor}',
    'if "matmul" in text: pass',
])
def test_a_name_that_is_only_said_is_not(text):
    assert operations_by_name(text, {"matmul", "linear", "add"}) == []


def test_every_word_of_the_walks_is_filled():
    assert set(vars(words)) == set(Words.__annotations__)
    assert all(callable(word) for word in vars(words).values())


def test_every_public_operation_is_in_the_table():
    for name, function in PUBLIC.items():
        operation = getattr(function, "operation", None)
        assert operation is None or isinstance(operation, Operation) and OPERATIONS[operation.name] is operation, name
