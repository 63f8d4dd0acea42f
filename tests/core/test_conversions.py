"""interface.md 2.2, 1.8 to 1.10 and 6.3: how arrays enter and leave the library, and what is never a constant by accident."""
import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch

import gradloom as gl


def same_memory(x, tensor):
    return x._value.data_ptr() == tensor.data_ptr()


# ----- entering and leaving (2.2, 1.8, 1.9) -----------------------------------------------------------------------------


def test_memory_is_copied_unless_shared_on_the_callers_word():
    for given in (np.arange(4.0), torch.arange(4.0), np.arange(8.0)[::2], np.arange(4.0)[::-1]):
        x = gl.dlarray(given)
        before = x.tolist()
        given[0] = 99
        assert x.tolist() == before
    for given in (np.arange(4.0), torch.arange(4.0)):
        x = gl.dlarray(given, copy=False)
        given[0] = 99
        assert x.tolist() == [99, 1, 2, 3]
    nested = [np.arange(2.0), np.arange(2.0)]
    x = gl.dlarray(nested)
    nested[0][0] = 99
    assert x.tolist() == [[0, 1], [0, 1]]


def test_read_only_memory_is_never_written_to():
    given = np.arange(3.0)
    given.flags.writeable = False
    x = gl.dlarray(given, copy=False)
    x[0] = 5
    assert given.tolist() == [0, 1, 2] and x.tolist() == [5, 1, 2]


def test_numpy_views_are_read_only_and_copies_are_not():
    x = gl.dlarray([1.0, 2.0])
    view = gl.extractdata(x)
    assert not view.flags.writeable and not np.asarray(x).flags.writeable and not x.numpy().flags.writeable
    assert np.shares_memory(view, np.asarray(x))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5
    fresh = np.array(x)
    fresh[0] = 5
    assert x.tolist() == [1, 2]
    assert np.asarray(x, dtype="float32").dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype="float32", copy=False)
    assert np.array(gl.dlarray([1, 2j])).tolist() == [1, 2j]
    assert np.asarray(gl.conj(gl.dlarray([1, 2j]))).tolist() == [1, -2j]


def test_dlpack_is_a_copy_unless_asked_otherwise():
    x = gl.dlarray([1.0, 2.0])
    torch.from_dlpack(x)[0] = 9
    np.from_dlpack(x)
    assert x.tolist() == [1, 2]
    assert same_memory(x, torch.utils.dlpack.from_dlpack(x.__dlpack__(copy=False)))


def test_tensors_that_were_computed_with_gradients_are_refused():
    leaf = torch.ones(2, requires_grad=True)
    assert not gl.dlarray(leaf)._value.requires_grad
    x = gl.dlarray([1.0, 2.0])
    with pytest.raises(gl.TypeRefused, match="detach"):
        gl.dlarray(leaf * 2)
    for mixed in (lambda: x * (leaf * 2), lambda: (leaf * 2) * x, lambda: gl.stack([x, leaf * 2]), lambda: x @ (leaf * 2), lambda: gl.dlarray([leaf * 2])):
        with pytest.raises(gl.TypeRefused, match="detach"):
            mixed()
    y = x * leaf
    assert not y._value.requires_grad and y.tolist() == [1, 2]


def test_bfloat16_has_no_numpy():
    x = gl.dlarray([1.0], dtype="bfloat16")
    with pytest.raises(gl.TypeRefused, match=r"astype\('float32'\)"):
        gl.extractdata(x)
    assert x.astype("float32").numpy().tolist() == [1] and "bfloat16" in repr(x)


CONVERSIONS = {
    "float": float, "int": int, "complex": complex, "item": lambda x: x.item(), "tolist": lambda x: x.tolist(), "asarray": np.asarray,
    "array": lambda x: np.array([x, x]), "dlpack": torch.from_dlpack, "numpy": lambda x: x.numpy(), "math": math.sqrt,
    "assigned": lambda x: np.zeros(2).__setitem__(0, x), "as_tensor": torch.as_tensor,
}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_a_traced_array_is_no_constant_by_accident(convert):
    words = []

    def fun(x):
        with pytest.raises((gl.TraceError, RuntimeError, ValueError, TypeError)) as caught:
            convert(x)
        words.append(f"{caught.value} {caught.value.__cause__}")  # NumPy puts its own words first
        with pytest.raises((gl.TraceError, RuntimeError, ValueError, TypeError)):
            convert(gl.dlgradient(x * x, x))  # a marked derivative counts as traced
        convert(gl.detach(x)), convert(gl.dlarray(3.0))

    gl.dlfeval(fun, gl.dlarray(2.0))
    convert(gl.dlarray(2.0))
    if convert is not CONVERSIONS["as_tensor"]:
        for way in ("extractdata(x)", "detach(x)", "gl.stack([...])", "np.array([...])", "zeros", "gl.matmul(A, x)"):
            assert way in words[0]
        assert "test_conversions.py" in words[0]


def test_what_carries_no_derivative_converts_freely_while_traced():
    def fun(x, i):
        assert bool(x > 0) and bool(x) and f"{x:.1f}" == "2.0" and "traced" in repr(x) and str(x) and f"{x}"
        assert int(i) == 2 and float(i) == 2 and list(range(i)) == [0, 1] and [5, 6, 7][i] == 7 and np.asarray(i) == 2
        assert np.asarray(x > 0).item() is True and (x > 0).item() is True and int(x > 0) == 1
        assert gl.extractdata(x) == 2
        return x

    gl.dlfeval(fun, gl.dlarray(2.0), gl.dlarray(2, dtype="int64"))


def test_an_index_is_an_integer():
    assert [1, 2, 3][gl.dlarray(1, dtype="int32")] == 2
    for bad in (gl.dlarray(1.0), gl.dlarray(True), gl.dlarray([1, 2], dtype="int64")):
        with pytest.raises((gl.TypeRefused, gl.ShapeError)):
            [1, 2, 3][bad]


def test_several_elements_are_no_condition():
    for convert in (bool, float, int, complex):
        with pytest.raises(gl.ShapeError, match=r"one element.*2"):
            convert(gl.dlarray([1.0, 2.0]))
    assert bool(gl.dlarray([[3.0]])) and float(gl.dlarray([3.0])) == 3


def test_a_list_of_arrays_is_a_recorded_stack():
    def fun(a, b):
        y = gl.dlarray([a, b, a * b])
        nested = gl.dlarray([[a, b], [b, 2.0]])
        return gl.dlgradient(gl.sum(y * y) + gl.sum(nested), a, b)

    a, b = (float(g) for g in gl.dlfeval(fun, gl.dlarray(2.0), gl.dlarray(3.0)))
    assert (a, b) == (2 * 2 + 2 * 6 * 3 + 1, 2 * 3 + 2 * 6 * 2 + 2)


# ----- the session: saving, copying, comparing (6.3) -------------------------------------------------------------------------


def test_untraced_arrays_work_in_other_libraries(tmp_path):
    x = gl.dlarray([[1.0, 2.0]], "BC")
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x), copy.deepcopy({"x": [x]})["x"][0]):
        assert type(again) is gl.dlarray and again.dims == "BC" and again.tolist() == [[1, 2]] and not again.traced
    assert not same_memory(copy.deepcopy(x), x._value)
    np.save(tmp_path / "x.npy", x)
    assert np.load(tmp_path / "x.npy").tolist() == [[1, 2]]
    np.testing.assert_array_equal(x, [[1, 2]])
    np.testing.assert_allclose(x, np.array([[1.0, 2.0]]))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(x, [[1, 3]])
    joblib = pytest.importorskip("joblib")
    stream = io.BytesIO()
    joblib.dump(x, stream)
    stream.seek(0)
    assert joblib.load(stream).tolist() == [[1, 2]] and joblib.hash(x) == joblib.hash(gl.dlarray([[1.0, 2.0]], "BC"))


def test_matplotlib_draws_arrays():
    pyplot = pytest.importorskip("matplotlib.figure")
    axes = pyplot.Figure().subplots()
    line, = axes.plot(gl.dlarray([0.0, 1.0]), gl.dlarray([1.0, 2.0]))
    axes.imshow(gl.dlarray([[0.0, 1.0]]))
    assert line.get_ydata().tolist() == [1, 2]


def test_a_traced_array_that_is_pickled_arrives_untraced():
    def fun(x):
        again = pickle.loads(pickle.dumps(x * 2))
        assert not again.traced and float(again) == 4
        assert copy.copy(x).traced
        return gl.dlgradient(copy.deepcopy([x ** 2])[0], x)  # a copy is no constant by accident

    assert gl.dlfeval(fun, gl.dlarray(2.0)).item() == 4
