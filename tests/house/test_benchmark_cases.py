"""The benchmark of every operation has a case for every operation, and its cases compute what torch computes."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="the benchmarks are not distributed")


@pytest.fixture(scope="module")
def benchmark():
    sys.path.append(str(ROOT))
    try:
        return importlib.import_module("benchmarks.operations")
    finally:
        sys.path.remove(str(ROOT))


def test_no_operation_is_missing(benchmark):
    assert benchmark.missing() == []


def test_a_missing_operation_is_seen(benchmark, monkeypatch):
    monkeypatch.setattr(sys.modules["benchmarks.operation_cases"], "CASES", [c for c in benchmark.CASES if c.name != "tanh"])
    assert benchmark.missing() == ["tanh"]


@pytest.mark.slow
def test_cases_agree_with_torch(benchmark):
    for case in benchmark.CASES:
        for ways, compared in zip(benchmark.ways(case), case.compared, strict=True):
            if ways and compared:
                benchmark.compare(case, *(way() for way in ways))
