"""A sample of what `make faults` does for every operation: rules made wrong one at a time are noticed, each by a check."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "tools" / "plant_faults.py"
pytestmark = pytest.mark.skipif(not PATH.is_file(), reason="the tools are not distributed")


@pytest.fixture(scope="module")
def tool():
    before, sys.path = sys.path, [*sys.path]  # the tool finds the tests' own modules by itself
    try:
        spec = importlib.util.spec_from_file_location("plant_faults", PATH)
        sys.modules["plant_faults"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path = before
        del sys.modules["plant_faults"]


def test_faults_are_noticed(tool):
    faults = list(tool.every_fault(every=12))
    assert len(faults) > 30 and len({fault.kind for fault in faults}) > 5
    assert [str(fault) for fault in faults if tool.noticed(fault) is None] == []


def test_every_operation_has_a_rule_to_make_wrong(tool):
    # what has none: rounding, of which every partial is declared 0
    without = {name for name, operation in tool.CHECKED.items() if not list(tool.faults_of(operation))}
    assert all(set(tool.CHECKED[name].stated) == {0} for name in without), without


def test_what_no_check_notices_is_reported(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plant_faults.py", "--only", "tanh"])
    assert tool.main() == 0 and "not noticed" not in capsys.readouterr().out
    monkeypatch.setattr(tool, "FACTOR", 1.0)
    assert tool.main() == 1 and "not noticed: tanh: partial x" in capsys.readouterr().out
