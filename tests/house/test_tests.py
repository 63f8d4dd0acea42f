"""The order among the tests themselves: no test's numbers depend on which tests ran before it."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import start_streams, stream, torch_stream

FILES = sorted(Path(__file__).parents[1].rglob("*.py"))
GENERATORS = {"default_rng", "RandomState", "Generator", "Random"}
OWN = stream(4), torch_stream(4)


def shared_generators(text):
    """Lines on which a name of the whole file becomes a generator that nothing starts anew."""
    found = []
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            names = {node.attr for node in ast.walk(statement.value.func) if isinstance(node, ast.Attribute)}
            if names & GENERATORS:
                found.append(statement.lineno)
    return found


def test_no_file_has_a_generator_that_its_tests_share():
    # what is drawn while a file is read is the same for all: such a name begins with an underscore
    found = {file.name: lines for file in FILES if (lines := shared_generators(file.read_text(encoding="utf-8")))
             and not any(file.read_text(encoding="utf-8").splitlines()[k - 1].startswith("_") for k in lines)}
    assert found == {}, "write stream(seed) of helpers"


@pytest.mark.parametrize("text", ["RNG = np.random.default_rng(0)", "G = torch.Generator().manual_seed(5)", "R = random.Random(1)"])
def test_such_a_generator_is_seen(text):
    assert shared_generators(text) == [1]
    assert shared_generators(f"def test():\n    {text}") == [] == shared_generators("RNG = stream(0)")


def test_a_stream_starts_anew_for_each_test():
    def drawn():
        return OWN[0].random(), torch.rand(1, generator=OWN[1]).item(), torch.rand(1).item()

    start_streams(__file__, "one")
    first, second = drawn(), drawn()
    start_streams(__file__, "other")
    other = drawn()
    start_streams(__file__, "one")
    assert drawn() == first and drawn() == second
    assert len(np.unique([first, second, other])) == 9


def slow_seeds(text):
    """Lines that seed torch by torch.manual_seed, which writes the stack down three times: milliseconds in each test."""
    return [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.manual_seed"]


def test_torch_is_seeded_quickly():
    found = {file.name: lines for file in FILES if (lines := slow_seeds(file.read_text(encoding="utf-8")))}
    assert found == {}, "write seed_torch(seed) of helpers"
    assert slow_seeds("def test():\n    torch.manual_seed(0)") == [2]
