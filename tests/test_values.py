"""interface.md 1.6 and design 3: values never change; a write rebinds one handle, whatever else holds its memory."""
import gc
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
    held = held() if callable(held) else held[0] if isinstance(held, list) else held
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
