"""How many Python calls a few everyday journeys take inside gradloom, and that what the library writes out has a name."""

import cProfile
import importlib.util
import pstats
import traceback
from pathlib import Path

import pytest
from helpers import forget

import gradloom as gl
from gradloom.core.errors import is_inside
from gradloom.core.rules import written
from gradloom.core.tables import OPERATIONS

_file = Path(__file__).parents[2] / "tools" / "count_calls.py"
_spec = importlib.util.spec_from_file_location("count_calls", _file)
count_calls = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(count_calls)

# calls are counted, not timed: a journey that takes more of them has become longer
BOUNDS = {"rosenbrock": 90, "rosenbrock_written_out": 62, "jacobian": 500, "torch_sin": 6, "numpy_sin": 6, "own_backward": 150}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_journey_takes_no_more_calls(name):
    found = count_calls.count(name)
    assert found.total() <= BOUNDS[name], found.most_common(20)


def test_every_journey_has_a_bound():
    assert BOUNDS.keys() == count_calls.JOURNEYS.keys()


def test_a_call_that_is_counted_is_seen():
    x = gl.dlarray([1.0])
    assert count_calls.calls(lambda: None).total() == 0 < count_calls.calls(lambda: x + 1).total()


# ----- what is written out --------------------------------------------------------------------------------------------


def test_a_traceback_names_the_rule_and_shows_its_line():
    f = gl.elementwise("reciprocal_of_nothing", lambda x: x * 1.0, lambda x: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        gl.dlfeval(lambda x: gl.dlgradient(f(x), x), gl.dlarray(2.0))
    said = "".join(traceback.format_exception(caught.value))
    assert 'File "<gradloom reciprocal_of_nothing.pull_x>", line 2, in reciprocal_of_nothing.pull_x' in said
    assert "return g * rule(v[0])" in said


def test_a_profile_names_the_rules():
    forget()  # from the eighteenth call on its walk is written out as one function
    journey = count_calls.rosenbrock()
    profile = cProfile.Profile()
    for _ in range(40):
        profile.runcall(journey)
    names = {name for _, _, name in pstats.Stats(profile).stats}
    assert {"add.pull_a", "subtract.pull_b", "square.pull_x", "function.gradient"} <= names


def test_written_functions_are_the_librarys_own():
    for operation in OPERATIONS.values():
        for rule in [*(getattr(operation, "raw_pulls", None) or ()), *operation._keepers.values()]:
            assert is_inside(rule.__code__.co_filename) and rule.__name__.startswith(f"{operation.name}.")


def test_two_functions_of_one_name_show_their_own_lines():
    one, other, again = (written("twice.rule", "x", f"return x / {n}") for n in ("0", "(0 * x)", "0"))
    for function, line in ((one, "return x / 0"), (other, "return x / (0 * x)"), (again, "return x / 0")):
        with pytest.raises(ZeroDivisionError) as caught:
            function(1)
        assert traceback.extract_tb(caught.value.__traceback__)[-1].line == line
    assert one.__code__.co_filename == again.__code__.co_filename != other.__code__.co_filename


def test_the_line_of_an_error_is_the_users_not_a_written_one():
    f = gl.elementwise("checked", lambda x: x * 1.0, lambda x: gl.log(x) / gl.zeros((2,)))
    with pytest.raises(gl.GradloomError, match=r"test_journeys\.py:\d+"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(f(x)), x, enable_higher_derivatives=True), gl.dlarray([1.0, 2.0, 3.0]))
