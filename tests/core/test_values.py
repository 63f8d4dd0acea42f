"""interface.md 1.6 and design 3: values never change; a write rebinds one handle, whatever else holds its memory."""
import gc
import operator
import pickle

import numpy as np
import pytest
import torch

import gradloom as gl


def test_a_write_rebinds_one_handle():
    x = gl.dlarray([1.0, 2.0, 3.0, 4.0])
    others = {"copy": x.copy(), "again": gl.dlarray(x), "read": x[1:], "row": x[0], "reshaped": x.reshape(2, 2), "stripped": gl.stripdims(x),
              "detached": x.detach(), "view": gl.extractdata(x), "whole": x[...], "T": x.T, "positive": +x, "real": x.real, "same type": x.astype("float64")}
    before = {name: np.array(y) for name, y in others.items()}
    alias = x
    x[0] = 10.0
    x[1:3] = 20.0
    assert alias is x and x.tolist() == [10, 20, 20, 4]
    for name, y in others.items():
        assert np.array_equal(y, before[name]), name
    x += 1
    assert x is not alias and alias.tolist() == [10, 20, 20, 4]


NO_OPERATION = {
    "concat": lambda x: gl.concat([x]), "flip": lambda x: gl.flip(x, axis=()), "tile": lambda x: gl.tile(x, (1,)), "pad": lambda x: gl.pad(x, []),
    "roll": lambda x: gl.roll(x, 0, axis=()), "max": lambda x: gl.max(x, axis=()), "prod": lambda x: gl.prod(x, axis=()), "sum": lambda x: gl.sum(x, axis=()),
    "clip": lambda x: gl.clip(x, None, None), "reshape": lambda x: gl.reshape(x, x.shape), "permute": lambda x: gl.permute_dims(x, range(x.ndim)),
    "squeeze": lambda x: gl.squeeze(x), "broadcast": lambda x: gl.broadcast_to(x, x.shape), "index": lambda x: x[:], "ellipsis": lambda x: x[...],
    "to": lambda x: x.to(), "astype": lambda x: gl.astype(x, "float64"), "positive": gl.positive, "real": gl.real, "stripdims": gl.stripdims,
    "detach": gl.detach, "flatten": gl.flatten, "expand": lambda x: gl.expand_dims(x, axis=()), "moveaxis": lambda x: gl.moveaxis(x, (), ()),
    "dlarray": gl.dlarray, "transpose": gl.transpose, "ravel": lambda x: gl.ravel([x])[0], "back": lambda x: gl.ravel([x])[1](x)[0],
    "repeat": lambda x: gl.repeat(x, 1, axis=0), "dlfeval": lambda x: gl.dlfeval(lambda x: x, x), "iter": lambda x: list(x)[0], "conj": gl.conj,
}


@pytest.mark.parametrize("name", NO_OPERATION)
@pytest.mark.parametrize("owner", [False, True])
def test_an_operation_that_changes_nothing_still_gives_its_own_handle(name, owner):
    x = gl.dlarray([1.0, 2.0])
    if owner:
        x[0] = 1.0
    y = NO_OPERATION[name](x)
    if y.ndim:
        y[0] = 99.0
    else:
        y[...] = 99.0
    assert x.tolist() == [1, 2]
    x[1] = 5.0
    assert 5 not in np.atleast_1d(np.array(y))


def holders(x):
    """Ways to hold on to the memory of x."""
    yield "alias", x.copy()
    yield "in a list", [x.copy()]
    yield "numpy", gl.extractdata(x)
    yield "numpy slice", np.asarray(x)[1:]
    yield "dlpack", torch.utils.dlpack.from_dlpack(x.__dlpack__(copy=False))
    yield "dlpack copied", torch.from_dlpack(x)
    yield "as_tensor", torch.as_tensor(x)
    yield "reshape", gl.reshape(x, (2, 2))
    yield "stack", gl.stack([x, x])
    yield "broadcast", gl.broadcast_to(x, (2, 4))
    yield "transpose", x.reshape(2, 2).T
    yield "detach", gl.detach(x)
    yield "shared", gl.dlarray(x.detach()._value, copy=False)
    yield "read", x[1:]
    yield "item", x[2]
    yield "conj", gl.conj(x)
    yield "row of reshape", x.reshape(2, 2)[0]
    yield "pickled", pickle.loads(pickle.dumps(x))
    yield "closure", (lambda y: lambda: y)(x.copy())
    yield "dlfeval", gl.dlfeval(lambda y: y, x)
    yield "memory", memoryview(np.asarray(x))
    yield "gradient", gl.dlfeval(lambda y: gl.dlgradient(gl.sum(0.5 * y * y), y), x)


def seen(held):
    held = held() if callable(held) and not isinstance(held, gl.dlarray) else held[0] if isinstance(held, list) else held
    if isinstance(held, torch.Tensor):
        held = held.numpy()
    return np.array(held)


WRITES = {"element": (1, 50.0), "slice": (slice(2, 4), 60.0), "positions": ([0, 1], 70.0), "all": (..., 80.0), "mask": (np.array([1, 0, 0, 1], bool), 90.0)}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", [name for name, _ in holders(gl.dlarray([1.0, 2.0, 3.0, 4.0]))])
def test_reused_memory_never_changes_another_array(name, write):
    x = gl.dlarray([1.0, 2.0, 3.0, 4.0])
    x[3] = 5.0  # from here on the handle owns its memory, and writes reuse it
    held = dict(holders(x))[name]
    gc.collect()
    expected = seen(dict(holders(gl.dlarray(x.tolist())))[name])
    final = np.array(x)
    for index, value in (WRITES[write], *WRITES.values()):  # this one first, while the memory is shared
        x[index] = value
        final[index] = value
        assert np.array_equal(seen(held), expected) and np.array_equal(x, final)
    if name in ("as_tensor", "dlpack copied", "stack"):
        (held if isinstance(held, torch.Tensor) else held._value)[...] = -1
        assert np.array_equal(x, final)


@pytest.mark.parametrize("write", WRITES)
def test_memory_shared_by_the_caller_is_never_written_to(write):
    index, value = WRITES[write]
    for given in (np.arange(4.0), torch.arange(4.0, dtype=torch.float64)):
        x = gl.dlarray(given, copy=False)
        x[index] = value
        assert given.tolist() == [0, 1, 2, 3] and value in x.tolist()
        y = gl.dlfeval(lambda x, given=given: writes_in_place(gl.dlarray(given, copy=False), x), gl.dlarray(1.0))
        assert given.tolist() == [0, 1, 2, 3] and y.tolist() == [1, 1, 1, 1]


def writes_in_place(buffer, value):
    for index in (0, slice(1, 2), [2, 3]):
        buffer[index] = value
    return buffer


def test_memory_is_reused_where_nobody_else_holds_it():
    x = gl.zeros(1000)
    x[0] = 1.0
    place = x._value.data_ptr()
    for k in range(5):
        x[k] = float(k)
    assert x._value.data_ptr() == place

    def fun(v):
        y = gl.zeros(1000)
        y[0] = v
        place = y._value.data_ptr()
        for k in range(1, 5):
            y[k] = y[k - 1] * v
        assert y._value.data_ptr() == place
        return y[:5], gl.dlgradient(gl.sum(y), v)

    powers, slope = gl.dlfeval(fun, gl.dlarray(2.0))
    assert powers.tolist() == [2, 4, 8, 16, 32] and float(slope) == 1 + 2 * 2 + 3 * 4 + 4 * 8 + 5 * 16


def test_a_loop_that_reads_and_writes_is_linear(monkeypatch):
    """Nothing of the array's size is made for each step: neither by the writes, nor by the walk."""
    n, made = 3000, []

    def fun(x):
        y = gl.zeros(n)
        y[0] = x
        for name in ("zeros", "zeros_like", "stack", "empty"):
            monkeypatch.setattr(torch, name, counted(getattr(torch, name)))
        for k in range(1, n):
            y[k] = y[k - 1] * 0.999
        g = gl.dlgradient(gl.sum(y), x)
        monkeypatch.undo()
        return g, y._node.number

    def counted(function):
        def run(*args, **options):
            result = function(*args, **options)
            made.append(result.numel())
            return result

        return run

    clone = torch.Tensor.clone
    monkeypatch.setattr(torch.Tensor, "clone", lambda x, **options: made.append(x.numel()) or clone(x, **options))
    g, nodes = gl.dlfeval(fun, gl.dlarray(1.0))
    assert np.isclose(g.item(), (1 - 0.999 ** n) / 0.001) and nodes <= 3 * n and sum(made) < 20 * n


@pytest.mark.parametrize("more", [0, 1000])  # large arrays are dropped by a walk, and computed again
def test_what_rules_read_is_never_overwritten(more):
    def fun(v):
        y = gl.zeros(3 + more)
        y[:] = v
        square = y * y  # keeps y
        y[0] = 100.0
        root = gl.exp(y)
        y[1] = 100.0
        first = gl.dlgradient(gl.sum(square), v, retain_data=False)
        y[2] = 100.0
        again = gl.dlgradient(gl.sum(square) + gl.sum(root[1:]), v)  # what was dropped is computed again, as it was
        return first, again

    v = np.array([1.0, 2.0, 3.0] + [0.5] * more)
    first, again = gl.dlfeval(fun, gl.dlarray(v))
    expected = 2 * v + np.exp(v)
    assert np.array_equal(first, 2 * v) and np.allclose(again, [2, *expected[1:]])


def test_a_value_that_is_itself_written_to_later():
    def fun(v):
        inner = gl.zeros(2)
        inner[:] = v
        outer = gl.zeros((2, 2))
        outer[0] = inner
        inner[0] = 50.0
        outer[1] = inner
        return outer, gl.dlgradient(gl.sum(outer), v)

    outer, slope = gl.dlfeval(fun, gl.dlarray([1.0, 2.0]))
    assert outer.tolist() == [[1, 2], [50, 2]] and slope.tolist() == [1, 2]
    x = gl.dlarray([1.0, 2.0, 3.0])
    x[0] = 0.0
    x[1:] = x[:-1]
    x[:] = x[::-1]
    assert x.tolist() == [2, 0, 0]


def test_callers_arrays_are_never_changed_from_inside():
    x, inside = gl.dlarray([1.0, 2.0]), []
    tree = {"a": x, "b": [x]}

    def fun(tree, y):
        tree["a"][0] = 9.0
        y[1] = 8.0
        inside.extend([tree["a"].tolist() if not tree["a"].traced else 0, tree["b"][0][0] * 1])
        tree["new"] = y
        return y

    y = gl.dlfeval(fun, tree, x)
    assert x.tolist() == [1, 2] and y.tolist() == [1, 8] and set(tree) == {"a", "b"} and float(inside[1]) == 1


def test_x_i_j_is_no_place_to_write_to():
    x = gl.dlarray(np.zeros((2, 2)))
    with pytest.raises(gl.TraceError, match=r"x\[i, j\] = v"):
        x[0][1] = 5.0
    with pytest.raises(gl.TraceError, match="no views"):
        exec("x[0][1] = 5.0", {"x": x})
    x.__setitem__((0, 1), 4.0)
    row = x[0]
    row[1] = 5.0
    x[0, 1] = 6.0
    holder = {"x": x}
    holder["x"][1, 1] = 7.0
    [x][0][1, 0] = 8.0
    assert row.tolist() == [0, 5] and x.tolist() == [[0, 6], [8, 7]]


class Other:
    """An operand of another library, whose own methods answer."""

    def answer(self, other):
        return "other"

    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = answer
    __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = answer
    __hash__ = None


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift",
                                  "eq", "ne", "lt", "le", "gt", "ge"])
@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_what_is_no_array_answers_for_itself(name, dtype):
    assert getattr(operator, name)(gl.dlarray([1, 0], dtype=dtype), Other()) == "other"


@pytest.mark.parametrize("other", ["text", None, {}, object(), [1, "a"], np.array(["a", "b"])])
def test_what_is_no_array_is_unequal_and_does_not_compute(other):
    x = gl.dlarray([1.0, 2.0])
    if not isinstance(other, np.ndarray):  # which hands == back to us, as a ufunc
        assert (x == other) is False and (x != other) is True
    for name in ("add", "sub", "mul", "truediv", "pow", "matmul", "lt"):
        for pair in ((x, other), (other, x), (gl.dlarray([1], dtype="int64"), other), (other, gl.dlarray([1], dtype="int64"))):
            with pytest.raises(TypeError):
                getattr(operator, name)(*pair)
    with pytest.raises(gl.TypeRefused):
        gl.add(x, other)
    assert x == pytest.approx([1.0, 2.0]) and x != pytest.approx([1.0, 2.1])


def test_operators_keep_their_sides():
    x = gl.dlarray([8, 4], dtype="int64")
    assert (x >> 1).tolist() == [4, 2] and (64 >> x).tolist() == [0, 4] and (x << 1).tolist() == [16, 8]
    assert (x - 1).tolist() == [7, 3] and (1 - x).tolist() == [-7, -3] and round(gl.dlarray(2.6)).item() == 3


NUMBERS_BESIDE = {"number": lambda v: v, "0-d": lambda v: gl.dlarray(v), "0-d single": lambda v: gl.dlarray(v, dtype="complex64" if type(v) is complex else "float32")}
COMPUTED = {
    "add": operator.add, "radd": lambda a, b: b + a, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv, "power": operator.pow,
    "rpower": lambda a, b: b ** a, "where": lambda a, b: gl.where([True, False], a, b), "where_other": lambda a, b: gl.where([True, False], b, a),
    "numpy": np.add, "torch": torch.add}
REAL_ONLY = {"maximum": gl.maximum, "minimum": gl.minimum, "mod": operator.mod, "floor_divide": operator.floordiv, "hypot": gl.hypot, "atan2": gl.atan2}
TYPES_BESIDE = [("bool", 2.5, "float64"), ("int8", 2.5, "float64"), ("int64", 2.5, "float64"), ("float16", 2.5, "float16"), ("float32", 2.5, "float32"),
                ("float64", 2.5, "float64"), ("int64", 2j, "complex128"), ("float16", 2j, "complex64"), ("float32", 2j, "complex64"),
                ("float64", 2j, "complex128"), ("complex64", 2.5, "complex64")]


@pytest.mark.parametrize(("dtype", "value", "expected"), TYPES_BESIDE)
@pytest.mark.parametrize("beside", NUMBERS_BESIDE)
def test_a_number_beside_an_array(dtype, value, expected, beside):
    a, b = gl.dlarray([1, 2], dtype=dtype), NUMBERS_BESIDE[beside](value)
    assert gl.result_type(a, b) == getattr(torch, expected)
    real = not (a.dtype.is_complex or type(value) is complex)
    for name, function in {**COMPUTED, **(REAL_ONLY if real else {})}.items():
        y = function(a, b)
        assert y.dtype == getattr(torch, expected), name
        exact = np.complex128 if not real else np.float64
        want = function(gl.dlarray(np.array(a).astype(exact)), gl.dlarray(value))
        assert np.allclose(np.array(y), np.array(want), rtol=2e-3 if dtype == "float16" else 1e-5), name


@pytest.mark.parametrize("b", [gl.dlarray(2.5), gl.dlarray(2.5, dtype="float32")], ids=["double", "single"])
def test_a_traced_number_beside_integers(b):
    n = gl.dlarray([1, 2], dtype="int64")

    def f(b):
        y = b * n + gl.where(n > 1, n, b)
        return y, gl.dlgradient(gl.sum(y), b)

    y, g = gl.dlfeval(f, b)
    assert y.dtype == torch.float64 and g.dtype == b.dtype
    assert y.tolist() == [5.0, 7.0] and g.item() == 4


def test_traced_half_precision_beside_complex_numbers():
    """Traced or not, in one type: torch's own for the two has no kernels."""
    h, c = gl.dlarray([1, 2], dtype="float16"), gl.dlarray(2j, dtype="complex64")
    for name in ("add", "subtract", "multiply", "divide", "power"):
        y, g = gl.dlfeval(lambda h, c, name=name: ((y := COMPUTED[name](h, c)), gl.dlgradient(gl.sum(gl.real(y)), h)), h, c)
        assert y.dtype == torch.complex64 and g.dtype == torch.float16
        assert np.allclose(np.array(y), np.array(COMPUTED[name](h, c)))


def test_integers_of_any_size_beside_an_array():
    x, big = gl.dlarray([2.0, 3.0]), 2 ** 70
    for name, function in {**COMPUTED, **REAL_ONLY}.items():
        if name in ("numpy", "torch", "where", "where_other"):
            continue
        for traced in (lambda f, x: f(x), gl.dlfeval):
            y = traced(lambda x, function=function: function(x, big), x)
            assert y.dtype == torch.float64 and np.array_equal(np.array(y), np.array(function(x, float(big)))), name
            with pytest.raises(gl.GradloomError, match="integer of 1329 bits.*test_values.py"):
                traced(lambda x, function=function: function(x, 10 ** 400), x)


def test_integers_beside_integers():
    flag, small, large = (gl.dlarray([1, 0], dtype=t) for t in ("bool", "int8", "int64"))
    assert (flag + small).dtype == (small + True).dtype == torch.int8 and (small + large).dtype == (flag + 2).dtype == torch.int64
    assert gl.clip(large, 0, 1).dtype == torch.int64 and gl.clip(large, 0.5, 1).dtype == torch.float64
    assert gl.where([True, False], 2.5, 1).dtype == torch.float64 and gl.where([True, False], 2j, 1).dtype == torch.complex128
    big = 2 ** 24 + 1
    assert not (gl.dlarray([big], dtype="int64") == float(big - 1)).item()


@pytest.mark.parametrize("name", ["mean", "norm", "var", "std", "logsumexp"])
@pytest.mark.parametrize("made", [torch.tensor, lambda values: gl.dlarray(values, dtype="int64"), lambda values: np.array(values)])
def test_reductions_that_divide_take_integers_as_double(name, made):
    found = getattr(gl, name)(made([1, 2, 4]))
    assert found.dtype is torch.float64 and float(found) == pytest.approx(getattr(gl, name)([1.0, 2.0, 4.0]).item())
