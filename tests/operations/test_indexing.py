"""interface.md 1.6 and 3.5: reading and writing elements as NumPy does, and the labels of what is read."""
import operator
import warnings

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


@pytest.mark.parametrize("index", [5, -4, (0, 0, 0), "a", 1.5, True, (..., ...), [0.5], np.zeros(2, bool), ([5],), (slice(None), 9),
                                   slice(1.0, 2), slice(None, gl.dlarray(1.0)), np.array(True), torch.tensor(False), {0}])
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


def test_the_gradient_of_slices_keeps_samples_apart():
    x = gl.dlarray(np.random.default_rng(0).normal(size=(5, 3)))

    def f(x):
        g = gl.dlgradient(gl.sum(x[:, 0] ** 2 * x[None, :, 1]), x, enable_higher_derivatives=True)
        return gl.dljacobian(g, x, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of samples that depend on each other, or may do so
        J = np.array(gl.dlfeval(f, x))
    a, b = np.array(x)[:, 0], np.array(x)[:, 1]
    nothing = 0 * a
    np.testing.assert_allclose(J, np.stack([np.stack([2 * b, 2 * a, nothing], -1), np.stack([2 * a, nothing, nothing], -1), np.zeros((5, 3))]))


def test_all_elements_joined():
    x, y = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.dlarray([5.0])
    z, g = gl.dlfeval(lambda x, y: (z := gl.concat([x, y], axis=None), gl.dlgradient(gl.sum(z * z), x)), x, y)
    assert z.tolist() == [1, 2, 3, 4, 5] and z.dims == "" and g.dims == "CB" and g.tolist() == [[2, 4], [6, 8]]


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_padding_with_entries(mode):
    x = gl.dlarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "CB")
    y, g = gl.dlfeval(lambda x: (y := gl.pad(x, [(0, 0), (2, 3)], mode=mode), gl.dlgradient(gl.sum(y * y), x)), x)
    np.testing.assert_array_equal(np.array(y), np.pad(np.array(x), [(0, 0), (2, 3)], mode=mode))
    counts = np.pad(np.arange(3), (2, 3), mode=mode)
    assert y.dims == "CB" and np.array_equal(np.array(g), 2 * np.array(x) * np.bincount(counts))
    with pytest.raises(gl.ShapeError, match="leave mode out"):
        gl.pad(gl.zeros((2, 0)), [(1, 1)], mode=mode)
    with pytest.raises(gl.ShapeError, match="one of constant, edge"):
        gl.pad(x, [(1, 1)], mode="mean")


def test_read_only_positions():
    """As extractdata gives them: no warning."""
    x, positions = gl.dlarray(np.arange(6.0).reshape(2, 3)), gl.extractdata(gl.dlarray([1, 0], dtype="int64"))
    assert not positions.flags.writeable
    np.testing.assert_array_equal(gl.extractdata(x[positions, positions]), [4, 0])
    x[gl.extractdata(gl.dlarray([True, False]))] = 7.0
    np.testing.assert_array_equal(gl.extractdata(x), [[7, 7, 7], [3, 4, 5]])


@pytest.mark.parametrize("index", [10 ** 30, -10 ** 30, (0, 10 ** 30)])
def test_integers_of_any_size_are_out_of_range(index):
    x = gl.dlarray(np.ones((2, 3)))
    for act in (lambda x: x[index], lambda x: operator.setitem(x.copy(), index, 1.0)):
        for run in (act, lambda x, act=act: gl.dlfeval(act, x)):
            with pytest.raises(IndexError, match="out of range"):
                run(x)


def test_an_ellipsis_between_arrays_that_stands_for_no_axis_is_refused():
    x = np.arange(24.0).reshape(2, 3, 4)
    i, j = np.array([0, 1]), np.array([2, 0])
    for read in (lambda x: x[:, i, ..., j], lambda x: x[0, ..., i, j], lambda x: x[:, 1, ..., j]):
        with pytest.raises(gl.ShapeError, match="Ellipsis that stands for no axis.*test_indexing"):
            read(gl.dlarray(x))
    y = gl.dlarray(x)
    with pytest.raises(gl.ShapeError, match="Ellipsis"):
        y[:, i, ..., j] = 0.0
    for read in (lambda x: x[..., i, j, :], lambda x: x[i, ..., j], lambda x: x[..., i], lambda x: x[i, j, ..., :], lambda x: x[0, 1, ..., 2]):
        np.testing.assert_array_equal(np.asarray(read(gl.dlarray(x))), read(x))


def test_arrays_of_positions_that_do_not_broadcast():
    x = gl.dlarray(np.arange(12.0).reshape(3, 4))
    with pytest.raises(gl.ShapeError, match=r"\(2,\) and \(3,\) do not broadcast, at test_indexing.*i\[:, None\]"):
        x[[0, 1], [0, 1, 2]]
    with pytest.raises(gl.ShapeError, match="do not broadcast"):
        x[[0, 1], [0, 1, 2]] = 1.0
