"""What no operation can compute with: every public function says so as an error of the house, with the user's line, or computes."""

import inspect
import os
import warnings

import numpy as np
import pytest

import gradloom as gl
from gradloom.core.tables import PUBLIC

X, LABELLED = gl.dlarray(np.arange(6.0).reshape(2, 3) + 1), gl.dlarray(np.ones((2, 3)), "CB")
STRANGE = {"nothing": None, "text": "abc", "a dict": {"a": 1}, "a pair": (1, 2), "a negative number": -1, "a fraction": 2.5, "a complex number": 1j,
           "a function": len, "an object": object(), "an array": X, "a labelled array": LABELLED}
WRITES_FILES = {"save", "load"}
TAKES_ANYTHING = {"dims", "ravel", "isdlarray"}


def calls_of(function):
    """Arguments with something strange in each place, as many as a function must have, and one more where it takes it."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in parameters)
    for count in range(max(needed, 1), min(max(needed, 1) + 1, max(len(parameters), 1)) + 1):
        for k in range(count):
            for x in (X, LABELLED):
                yield from ((what, (*[x] * k, strange, *[x] * (count - k - 1))) for what, strange in STRANGE.items())


def options_of(function):
    """Arrays where it must have something, and something strange for an option."""
    parameters = inspect.signature(function).parameters.values()
    needed = [X] * sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY or p.default is not p.empty and p.kind is p.POSITIONAL_OR_KEYWORD:
            yield from ((f"{p.name}={what}", needed, {p.name: strange}) for what, strange in STRANGE.items())


def test_what_linalg_has_is_what_the_module_has():
    assert all(getattr(gl.linalg, name) is PUBLIC[name] for name in gl.linalg.__all__ if name in PUBLIC)


MADE = {"load_checkpoint": 2, "save_checkpoint": 2, "FileDatastore": 2, "ImageDatastore": 1, "TableDatastore": 1, "ArrayDatastore": 1, "CombinedDatastore": 1,
        "TransformedDatastore": 2, "Learnables": 1, "minibatchqueue": 1, "dlarray": 2, "dlnetwork": 1}


@pytest.mark.parametrize("name", MADE)
def test_strange_arguments_of_what_is_made_and_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no text names a file
    made = getattr(gl, name)
    calls = [(strange,) * MADE[name] for strange in STRANGE.values()] + [(X, *[strange] * (MADE[name] - 1)) for strange in STRANGE.values()]
    options = ("labels", "dtype") if name == "dlarray" else ("mini_batch_size", "class_names", "sequence_padding_value", "cast") if name == "minibatchqueue" else ()
    for args, kwargs in [*[(args, {}) for args in calls], *[((X,), {option: strange}) for option in options for strange in STRANGE.values()]]:
        try:
            made(*args, **kwargs)
        except (gl.GradloomError, FileNotFoundError) as error:
            assert os.path.basename(__file__) in str(error) or name == "dlarray" and "labels" in str(error), error


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - WRITES_FILES))
def test_strange_arguments(name):
    function, here, said = PUBLIC[name], os.path.basename(__file__), 0
    for what, args, options in [*[(what, args, {}) for what, args in calls_of(function)], *options_of(function)]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                function(*args, **options)
        except gl.GradloomError as error:
            said += here in str(error)
        except Exception as error:
            pytest.fail(f"{name} with {what}: {type(error).__name__}: {error}")
    assert said or name in TAKES_ANYTHING, name


@pytest.mark.parametrize(("call", "said"), [
    (lambda x: gl.broadcast_to(x, 2.5), r"broadcast_to cannot take \(2 x 3, 2\.5\): .*at test_strange.*; write broadcast_to\(x"),
    (lambda x: gl.einsum(x, x), r"einsum cannot take \(2 x 3, 2 x 3\).*; write einsum\("),
    (lambda x: gl.roll(gl.dlarray(x, "CB"), "abc", axis=0), r"roll cannot take \(2\(C\) x 3\(B\), 'abc', axis=0\)"),
])
def test_it_says_what_was_given_and_how_it_is_called(call, said):
    with pytest.raises(gl.GradloomError, match=said):
        call(X)


def test_an_error_of_the_users_own_code_stays_what_it_is():
    """Whoever calls a function of the user's lets its errors through."""

    def fun(x):
        return {}["missing"]

    for call in (lambda: gl.dlfeval(fun, X), lambda: gl.hessian(fun)(np.ones(2)), lambda: gl.checkpoint(fun)(X), lambda: gl.dlode45(lambda t, y, p: fun(t), [0, 1], X, ())):
        with pytest.raises(KeyError, match="missing") as error:
            call()
        assert not isinstance(error.value, gl.GradloomError)
