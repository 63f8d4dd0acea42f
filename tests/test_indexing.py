"""interface.md 1.6, 3.5 and design 3: reading and writing elements as NumPy does, and values that never change."""
import gc
import operator
import pickle

import numpy as np
import pytest
import torch

import gradloom as gl

# ----- random indices, against NumPy --------------------------------------------------------------------------------------


def random_slice(rng, n):
    start, stop = (None if rng.random() < 0.4 else int(rng.integers(-n - 1, n + 2)) for _ in range(2))
    return slice(start, stop, None if rng.random() < 0.5 else int(rng.choice([1, 2, 3, -1, -2])))


def random_index(rng, shape, writing=False):
    """An index tuple with a little of everything; in writing, no negative steps and no positions twice."""
    entries, axis, table = [], 0, None
    while axis < len(shape):
        n, kind = shape[axis], rng.choice(["int", "slice", "all", "array", "mask", "none", "numpy"], p=[0.2, 0.25, 0.15, 0.15, 0.1, 0.1, 0.05])
        if kind == "none":
            entries.append(None)
            continue
        if kind in ("int", "numpy"):
            entries.append((int if kind == "int" else np.int64)(rng.integers(-n, n)))
        elif kind == "slice":
            s = random_slice(rng, n)
            entries.append(slice(s.start, s.stop, abs(s.step) if s.step else None) if writing else s)
        elif kind == "all":
            entries.append(slice(None))
        elif kind == "mask" and table is None:
            mask = rng.random(n) < 0.6
            table = int(mask.sum()),
            entries.append(mask)
        elif kind == "array":
            form = rng.choice(["1", "2", "0"]) if table is None else None
            if form is not None:
                table = {"1": (2,), "2": (2, 2), "0": (1,)}[str(form)]
            if writing:
                positions = rng.permutation(n)[:int(np.prod(table))]
                if positions.size != int(np.prod(table)):
                    entries.append(slice(None))
                    axis += 1
                    continue
                entries.append(positions.reshape(table))
            else:
                entries.append(rng.integers(-n, n, size=table))
        else:
            entries.append(slice(None))
        axis += 1
    if rng.random() < 0.2 and entries:  # an Ellipsis in the place of some trailing full slices, or of nothing
        while entries and isinstance(entries[-1], slice) and entries[-1] == slice(None):
            entries.pop()
        entries.insert(len(entries), Ellipsis)
    return tuple(entries) if len(entries) != 1 or rng.random() < 0.5 else entries[0]


def as_given(rng, index):
    """The same index as lists, tensors or dlarrays."""
    def changed(e):
        if isinstance(e, np.ndarray):
            return [lambda: e, lambda: e.tolist(), lambda: torch.from_numpy(e), lambda: gl.dlarray(e)][rng.integers(4)]()
        return e

    return tuple(changed(e) for e in index) if isinstance(index, tuple) else changed(index)


@pytest.mark.parametrize("seed", range(8))
def test_reading_is_numpys(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        shape = tuple(int(n) for n in rng.integers(1, 5, size=rng.integers(1, 5)))
        a = rng.normal(size=shape)
        index = random_index(rng, shape)
        try:
            expected = a[index]
        except IndexError:
            with pytest.raises((IndexError, gl.ShapeError)):
                gl.dlarray(a)[as_given(rng, index)]
            continue
        given = as_given(rng, index)
        y = gl.dlarray(a)[given]
        assert y.shape == expected.shape and np.array_equal(y, expected), (shape, index)
        w = rng.normal(size=expected.shape)
        ours = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x[given] * w), x), gl.dlarray(a))  # noqa: B023
        its = np.zeros(shape)
        np.add.at(its, index, w)
        assert np.allclose(ours, its), (shape, index)


@pytest.mark.parametrize("seed", range(8))
def test_writing_is_numpys(seed):
    rng = np.random.default_rng(100 + seed)
    for _ in range(60):
        shape = tuple(int(n) for n in rng.integers(1, 5, size=rng.integers(1, 4)))
        a = rng.normal(size=shape)
        index = random_index(rng, shape, writing=True)
        place = a[index].shape
        values = rng.normal(size=[place, place[1:], (), tuple(1 if rng.random() < 0.3 else n for n in place)][rng.integers(4)])
        expected, w = a.copy(), rng.normal(size=shape)
        expected[index] = values
        given = as_given(rng, index)

        def written(x, v, given=given):
            x[given] = v
            return x

        assert np.array_equal(written(gl.dlarray(a), values), expected), (shape, index, values.shape)

        def gradient(x, v, w=w, written=written):
            y = written(x.copy(), v)
            return gl.dlgradient(gl.sum(y * w), x, v)

        x_bar, v_bar = gl.dlfeval(gradient, gl.dlarray(a), gl.dlarray(values))
        rest = w.copy()
        rest[index] = 0
        assert np.allclose(x_bar, rest)
        part = w[index]
        lead = part.ndim - values.ndim
        part = part.sum(axis=tuple(range(lead))) if lead > 0 else part
        kept = tuple(k for k, n in enumerate(values.shape[max(-lead, 0):]) if n == 1 and part.shape[k] != 1)
        assert np.allclose(v_bar, part.sum(axis=kept, keepdims=True).reshape(values.shape)), (shape, index, values.shape)


@pytest.mark.parametrize("index", [5, -4, (0, 0, 0), "a", 1.5, True, (..., ...), [0.5], np.zeros(2, bool), ([5],), (slice(None), 9)])
def test_indices_that_do_not_fit(index):
    x = gl.dlarray(np.zeros((3, 2)))
    for act in (lambda: x[index], lambda: x.__setitem__(index, 1.0), lambda: operator.setitem(x, index, 1.0)):
        with pytest.raises((gl.GradloomError, IndexError), match="test_indexing.py") as caught:
            act()
        assert isinstance(caught.value, (IndexError, ValueError, TypeError))
    assert x.tolist() == [[0, 0]] * 3


def test_values_that_do_not_fit_change_nothing():
    x = gl.dlarray(np.zeros((3, 2)))
    for index, value in ((0, [1.0, 2.0, 3.0]), ((), np.zeros((4, 2))), (0, 2j), (slice(None), gl.dlarray([1j, 2])), (0, "a"), (0, None)):
        with pytest.raises(gl.GradloomError):
            x[index] = value
    i = gl.dlarray([1, 2], dtype="int64")
    for value in (2.5, gl.dlarray([2.5]), np.array(2.5)):
        with pytest.raises(gl.TypeRefused, match="astype"):
            i[0] = value
    i[0] = True
    assert x.tolist() == [[0, 0]] * 3 and i.tolist() == [1, 2] and not x.traced


@pytest.mark.parametrize(("index", "values", "counted"), [
    ([0, 1, 0], [1.0, 2.0, 3.0], [0, 1, 1]), (([0, 0, 1], slice(None)), [[1.0, 1], [2, 2], [3, 3]], [[0, 0], [1, 1], [1, 1]]),
    ([[0, 0], [1, 1]], [[1.0, 2], [3, 4]], [[0, 1], [0, 1]]), (([0, 0, 1], [1, 1, 0]), [1.0, 2, 3], [0, 1, 1]),
    ((slice(None), [1, -1]), [[1.0, 2]] * 3, [[0, 1]] * 3), (([0, -3], 1), [4.0, 5.0], [0, 1]),
])
def test_with_repeated_indices_the_last_wins(index, values, counted):
    matrix = isinstance(index, tuple)
    a = np.zeros((3, 2)) if matrix else np.zeros(3)
    expected = a.copy()
    expected[index] = values

    def fun(x, v):
        y = x.copy()
        y[index] = v
        return y, *gl.dlgradient(gl.sum(y), x, v)

    y, x_bar, v_bar = gl.dlfeval(fun, gl.dlarray(a), gl.dlarray(values))
    untouched = np.ones_like(a)
    untouched[index] = 0
    assert np.array_equal(y, expected) and np.array_equal(x_bar, untouched) and np.array_equal(v_bar, counted)
    x = gl.dlarray(a)
    x[0] = 0  # now it owns its memory
    x[index] = np.array(values)
    assert np.array_equal(x, expected)


def test_the_users_index_array_may_change_later():
    def fun(x):
        i, mask, t = np.array([0, 1]), np.array([True, False, False]), torch.tensor([2])
        read = gl.sum(x[i]) + 10 * gl.sum(x[mask]) + 100 * gl.sum(x[t])
        y = x.copy()
        y[i] = [0.0, 0.0]
        i[:], mask[:], t[0] = 2, True, 0
        return gl.dlgradient(read, x, retain_data=True), gl.dlgradient(gl.sum(y), x)

    read, wrote = gl.dlfeval(fun, gl.dlarray([1.0, 2.0, 3.0]))
    assert read.tolist() == [11, 1, 100] and wrote.tolist() == [0, 0, 1]


def test_the_users_tensors_and_arrays_may_change_later():
    def fun(x):
        t, a = torch.ones(2, dtype=torch.float64), np.ones(2)
        y = gl.sum(x * t + x * a + gl.concat([x, t])[:2] * a) + x @ t + gl.sum(gl.where(t > 0, x, 0)) + gl.sum(t * x) + gl.dlarray(t) @ x
        z = x.copy()
        z[0] = t[0]
        t.zero_(), a.fill(0)
        assert gl.extractdata(z)[0] == 1
        return gl.dlgradient(y, x)

    assert gl.dlfeval(fun, gl.dlarray([1.0, 2.0])).tolist() == [7, 7]


# ----- values never change (1.6) ----------------------------------------------------------------------------------------


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


def test_what_rules_read_is_never_overwritten():
    def fun(v):
        y = gl.zeros(3)
        y[:] = v
        square = y * y  # keeps y
        y[0] = 100.0
        root = gl.exp(y)
        y[1] = 100.0
        first = gl.dlgradient(gl.sum(square), v, retain_data=False)
        y[2] = 100.0
        again = gl.dlgradient(gl.sum(square) + gl.sum(root[1:]), v)  # what was dropped is computed again, as it was
        return first, again

    first, again = gl.dlfeval(fun, gl.dlarray([1.0, 2.0, 3.0]))
    assert first.tolist() == [2, 4, 6] and np.allclose(again, [2, 4 + np.exp(2), 6 + np.exp(3)])


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


# ----- labels (3.5) -----------------------------------------------------------------------------------------------------------


def test_labels_of_reads():
    x = gl.dlarray(np.zeros((2, 3, 4, 5)), "SCSB")
    for index, labels, shape in ((0, "CSB", (3, 4, 5)), ((slice(None), 1), "SSB", (2, 4, 5)), ((slice(0, 1),), "SCSB", (1, 3, 4, 5)),
                                 (([0, 1, 0],), "SCSB", (3, 3, 4, 5)), ((..., None), "SCSBU", (2, 3, 4, 5, 1)), ((None, 0), "UCSB", (1, 3, 4, 5)),
                                 ((..., np.array([True, False, True, False, False])), "SCSB", (2, 3, 4, 2)), (x.at(C=1, B=slice(0, 2)), "SSB", (2, 4, 2)),
                                 (x.at(S=(0, 1)), "CB", (3, 5)), ((slice(None, None, -1),), "SCSB", (2, 3, 4, 5)), (([[0, 1]], 0), "UUSB", (1, 2, 4, 5))):
        y = x[index]
        assert (y.dims, y.shape) == (labels, shape), index
    for index in (x.at(S=(0, 0), C=0, B=0), (0, 0, 0, 0)):
        assert x[index].dims == "" and x[index].shape == ()


def test_code_with_letters_is_independent_of_layout():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 4, 5))
    results = []
    for layout in ("CBS", "BSC", "SCB"):
        x = gl.permute_dims(gl.dlarray(a, "CBS"), layout)

        def fun(x):
            y = x.copy()
            y[y.at(C=1, B=slice(0, 2))] = 0.0
            y[y.at(C=0)] = x[x.at(C=2)] * 2
            y[y.at(S=1)] = gl.permute_dims(x[x.at(S=0)], "BC")  # labels are matched, not positions
            return gl.permute_dims(y, "CBS"), gl.permute_dims(gl.dlgradient(gl.sum(y * y), x), "CBS")

        results.append(gl.dlfeval(fun, x))
    for y, slope in results[1:]:
        assert np.array_equal(y, results[0][0]) and np.allclose(slope, results[0][1])
    with pytest.raises(gl.LabelError, match="entries"):
        gl.dlarray(np.zeros((2, 2)), "SS").at(S=0)
    with pytest.raises(gl.LabelError):
        x.at(T=0)
    with pytest.raises(gl.LabelError):
        x[x.at(C=0)] = gl.dlarray(np.zeros((4, 5)), "TS")
