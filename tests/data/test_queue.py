"""minibatchqueue: order, places, bits after resuming with and without threads, parts, formats, types, classes, errors."""
import gc
import itertools
import multiprocessing
import threading
import time
import tracemalloc

import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl

RNG = stream(0)
WORKERS = [0, 1, 3]


def numbers(queue):
    """Everything that is left of a pass, as NumPy arrays."""
    return [[np.array(x) for x in (batch if isinstance(batch, tuple) else (batch,))] for batch in queue]


def same(a, b):
    return len(a) == len(b) and all(x.dtype == y.dtype and np.array_equal(x, y) for xs, ys in zip(a, b) for x, y in zip(xs, ys, strict=True))


def data(count=23):
    return RNG.standard_normal((count, 3)), np.arange(count)


# ----- arrays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, lambda x: gl.dlarray(x, "BC" if np.ndim(x) == 2 else "B")], ids=["numpy", "torch", "dlarray"])
def test_every_observation_once_in_order(make, workers):
    x, t = data()
    queue = gl.minibatchqueue((make(x), make(t)), 5, formats=["BC", "B"], workers=workers)
    assert len(queue) == 5 and queue.num_observations == 23 and queue.mini_batch_size == 5
    batches = list(queue)
    assert [a.shape for a, _ in batches] == [(5, 3)] * 4 + [(3, 3)]
    assert all(a.dims == "BC" and a.dtype == torch.float32 and b.dims == "B" and b.dtype == torch.int64 for a, b in batches)
    np.testing.assert_array_equal(np.concatenate([np.array(a) for a, _ in batches]), x.astype(np.float32))
    np.testing.assert_array_equal(np.concatenate([np.array(b) for _, b in batches]), t)
    assert not queue.hasdata()
    with pytest.raises(gl.DataError, match=r"all mini-batches.*at test_queue\.py.*reset\(\) or shuffle"):
        queue.next()


@pytest.mark.parametrize("count", [1, 4, 5, 10, 11])
def test_partial_mini_batches(count):
    x = np.arange(count)
    assert [b.shape[0] for b in gl.minibatchqueue(x, 5)] == [5] * (count // 5) + [count % 5] * (count % 5 > 0)
    queue = gl.minibatchqueue(x, 5, "discard")
    assert len(queue) == count // 5 and [b.shape[0] for b in queue] == [5] * (count // 5)


def test_nothing_is_shared_with_the_data():
    x = RNG.random((4, 2), dtype=np.float32)
    kept = x.copy()
    batch = gl.minibatchqueue(x, 4).next()
    x[:] = 0
    np.testing.assert_array_equal(np.array(batch), kept)


def test_the_axis_of_the_observations_is_b():
    x = RNG.random((2, 7, 3))
    for given in (gl.dlarray(x, "CBT"), x):
        batches = list(gl.minibatchqueue(given, 4, formats="CBT", cast=None))
        assert [b.shape for b in batches] == [(2, 4, 3), (2, 3, 3)] and batches[0].dims == "CBT"
        np.testing.assert_array_equal(np.concatenate([np.array(b) for b in batches], 1), x)
    moved = gl.minibatchqueue(gl.dlarray(x, "CBT"), 7, formats="BTC", cast=None).next()
    assert moved.dims == "BTC"
    np.testing.assert_array_equal(np.array(moved), x.transpose(1, 2, 0))
    of_store = gl.minibatchqueue(gl.ArrayDatastore(x, axis=1), 7, formats="BCT", cast=None).next()
    np.testing.assert_array_equal(np.array(of_store), x.transpose(1, 0, 2))


def test_a_memory_mapped_array_is_read_piece_by_piece(tmp_path):
    x = RNG.random((50, 3))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    queue = gl.minibatchqueue(mapped, 8, formats="BC", cast="float64")
    np.testing.assert_array_equal(np.concatenate([np.array(b) for b in queue]), x)


# ----- order --------------------------------------------------------------------------------------------------------


def test_shuffle_and_reset():
    t = np.arange(40)
    gl.rng(3)
    queue = gl.minibatchqueue(t, 7)
    orders = []
    for _ in range(3):
        queue.shuffle()
        orders.append(np.concatenate([np.array(b) for b in queue]).tolist())
    assert all(sorted(order) == t.tolist() for order in orders)
    assert len({tuple(order) for order in [*orders, t.tolist()]}) == 4
    queue.reset()
    assert np.concatenate([np.array(b) for b in queue]).tolist() == orders[-1]
    gl.rng(3)
    again = gl.minibatchqueue(t, 5)
    again.shuffle()
    assert np.concatenate([np.array(b) for b in again]).tolist() == orders[0]
    other = gl.minibatchqueue(t, 5)
    other.shuffle()
    assert np.concatenate([np.array(b) for b in other]).tolist() != orders[0]


def test_a_shuffle_is_fair():
    """Each number is at each place equally often: a chi-squared test whose bound a fair shuffle passes 999,999 times in a million."""
    queue = gl.minibatchqueue(np.arange(6), 6, seed=1)
    counts = np.zeros((6, 6))
    for _ in range(3000):
        queue.shuffle()
        counts[np.arange(6), np.array(queue.next())] += 1
    assert ((counts - 500) ** 2 / 500).sum() < 72  # chi-squared of 25 degrees of freedom


def test_a_for_loop_goes_on_where_the_queue_is():
    queue = gl.minibatchqueue(np.arange(10), 3)
    assert queue.next().tolist() == [0, 1, 2]
    assert [b.tolist() for b in queue] == [[3, 4, 5], [6, 7, 8], [9]]
    assert [b.tolist() for b in queue][0] == [0, 1, 2]
    assert next(iter(queue)).tolist() == [0, 1, 2]


def randomly(x, t):
    return x + gl.extractdata(gl.rand(x.shape)), t


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("stop", [0, 1, 4, 5, 7])
def test_a_resumed_run_sees_the_same_bits(workers, stop):
    x, t = data()
    whole = gl.minibatchqueue((x, t), 5, function=randomly, seed=9)
    whole.shuffle()
    first, state = [], None
    for k in range(12):
        if not whole.hasdata():
            whole.shuffle()
        if k == stop:
            state = whole.state()
        first.append([np.array(a) for a in whole.next()])
    assert all(type(v) is int for v in state.values())
    gl.rand((3,))
    resumed = gl.minibatchqueue((x, t), 5, function=randomly, workers=workers)
    resumed.next()
    resumed.restore({key: np.int64(value) for key, value in state.items()})
    assert resumed.state() == state
    second = []
    for _ in range(stop, 12):
        if not resumed.hasdata():
            resumed.shuffle()
        second.append([np.array(a) for a in resumed.next()])
    assert same(first[stop:], second)
    assert not np.array_equal(first[0][0], first[5][0]) and not np.allclose(first[0][0], x[first[0][1]])


def test_the_place_is_in_observations():
    queue = gl.minibatchqueue(np.arange(20), 6, seed=1)
    queue.shuffle()
    seen = queue.next().tolist()
    other = gl.minibatchqueue(np.arange(20), 4)
    other.restore(queue.state())
    assert sorted(seen + np.concatenate([np.array(b) for b in other]).tolist()) == list(range(20))
    with pytest.raises(gl.DataError, match=r"state is of 20 observations, the data has 19, at test_queue"):
        gl.minibatchqueue(np.arange(19), 4).restore(queue.state())


def test_what_a_function_draws_leaves_the_thread_s_own_numbers_alone():
    x, t = data()
    gl.rng(5)
    expected = gl.rand((3,)).tolist()
    for workers in WORKERS:
        queue = gl.minibatchqueue((x, t), 5, function=randomly, seed=1, workers=workers)
        gl.rng(5)
        list(queue)
        assert gl.rand((3,)).tolist() == expected


# ----- parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 7, 25])
def test_partitions_have_each_observation_once(n):
    queue = gl.minibatchqueue(np.arange(23), 4)
    queue.next()
    parts = [queue.partition(n, k) for k in range(n)]
    for part in parts:
        part.shuffle()
    found = [[v for b in part for v in b.tolist()] for part in parts]
    assert sorted(itertools.chain(*found)) == list(range(23))
    assert max(map(len, found)) - min(map(len, found)) <= 1
    with pytest.raises(gl.DataError, match=r"count from 0"):
        queue.partition(n, n)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_shares_make_each_mini_batch_of_the_whole(n):
    x, t = data()
    rows = list(zip(x, t.tolist(), strict=True))
    for given in ((x, t), rows):
        whole = gl.minibatchqueue(given, 5, seed=4)
        whole.shuffle()
        parts = [whole.share(n, k) for k in range(n)]
        assert all(part.state() == whole.state() for part in parts)
        for a, b in whole:
            several = [part.next() for part in parts]
            np.testing.assert_array_equal(np.concatenate([np.array(p[0]) for p in several]), np.array(a))
            np.testing.assert_array_equal(np.concatenate([np.array(p[1]) for p in several]), np.array(b))
            assert all(p[0].shape[1:] == a.shape[1:] and p[0].dtype == a.dtype for p in several)
            assert all(part.state() == whole.state() for part in parts)


# ----- what data may be ----------------------------------------------------------------------------------------------


class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, k):
        if not 0 <= k < 10:
            raise IndexError
        return torch.full((2,), float(k)), k * k


class Rows:
    """As a Hugging Face dataset looks: rows are dictionaries, features know classes."""

    class _Feature:
        names = ["cat", "dog"]

    features = {"pixels": None, "label": _Feature}

    def __len__(self):
        return 6

    def __getitem__(self, k):
        return {"pixels": [k, 2 * k], "label": k % 2}


@pytest.mark.parametrize("workers", WORKERS)
def test_sequences_and_torch_datasets(workers):
    queue = gl.minibatchqueue(Squares(), 4, formats=["BC", "B"], workers=workers)
    batches = list(queue)
    assert [b.tolist() for _, b in batches] == [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]
    assert batches[0][0].dims == "BC" and batches[0][0].tolist() == [[k, k] for k in range(4)]
    queue = gl.minibatchqueue(Rows(), 6, formats=["BC", "B"], cast=["float32", None])
    x, t = queue.next()
    assert x.tolist() == [[k, 2 * k] for k in range(6)] and t.tolist() == [0, 1] * 3 and queue.class_names == ["cat", "dog"]


@pytest.mark.parametrize("workers", WORKERS)
def test_torch_s_data_loader(workers):
    loader = torch.utils.data.DataLoader(Squares(), batch_size=3)
    queue = gl.minibatchqueue(loader, formats=["BC", "B"], workers=workers)
    for _ in range(2):
        assert [b.tolist() for _, b in queue] == [[0, 1, 4], [9, 16, 25], [36, 49, 64], [81]]
    queue.reset()
    queue.next()
    other = gl.minibatchqueue(loader, formats=["BC", "B"], workers=workers)
    other.restore(queue.state())
    assert [b.tolist() for _, b in other] == [[9, 16, 25], [36, 49, 64], [81]]
    with pytest.raises(gl.DataError, match="order of DataLoader is its own"):
        queue.shuffle()
    with pytest.raises(TypeError, match="hasdata"):
        len(queue)


@pytest.mark.parametrize("workers", WORKERS)
def test_iterables(workers):
    queue = gl.minibatchqueue((k for k in range(7)), 3, workers=workers)
    assert not queue.can_shuffle and queue.hasdata() and queue.num_observations is None
    assert [b.tolist() for b in queue] == [[0, 1, 2], [3, 4, 5], [6]]
    with pytest.raises(gl.DataError, match="can be read once"):
        queue.reset()
    assert [b.tolist() for b in gl.minibatchqueue(iter(range(7)), 3, "discard", workers=workers)] == [[0, 1, 2], [3, 4, 5]]
    pairs = iter([(np.ones((2, 3)), np.zeros(2)), (np.ones((1, 3)), np.zeros(1))])
    assert [x.sizes["B"] for x, _ in gl.minibatchqueue(pairs, batched=True, formats=["BC", "B"], workers=workers)] == [2, 1]


def test_sequence_is_the_kind_that_a_range_and_a_dictionary_of_arrays_are():
    assert [b.tolist() for b in gl.minibatchqueue(range(5), 3)] == [[0, 1, 2], [3, 4]]
    x, t = gl.minibatchqueue({"x": np.ones((3, 2)), "t": ["a", "b", "a"]}, 3).next()
    assert x.shape == (3, 2) and t.tolist() == [0, 1, 0]


# ----- outputs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "cast", "found"), [
    (np.zeros((3, 2)), "float32", torch.float32), (np.zeros((3, 2), np.float32), "float64", torch.float64),
    (np.zeros((3, 2), np.uint8), "float32", torch.float32), (np.zeros((3, 2), np.uint16), "float32", torch.float32),
    (np.zeros(3, np.uint8), "float32", torch.uint8), (np.zeros((3, 2), np.int64), "float32", torch.int64),
    (np.zeros((3, 2), bool), "float32", torch.bool), (np.zeros((3, 2), np.int64), ["float32"], torch.float32),
    (np.zeros((3, 2), complex), "float32", torch.complex64), (np.zeros((3, 2), complex), "float64", torch.complex128),
    (np.zeros((3, 2)), None, torch.float64), (np.zeros((3, 2), ">f8"), None, torch.float64), (torch.zeros(3, 2).bfloat16(), None, torch.bfloat16),
])
def test_types(given, cast, found):
    assert gl.minibatchqueue(given, 3, cast=cast).next().dtype == found


def test_words_are_classes():
    words = ["dog", "cat", "ant", "dog"]
    queue = gl.minibatchqueue((np.ones((4, 2)), words), 4)
    t = queue.next()[1]
    assert t.tolist() == [2, 1, 0, 2] and t.dims == "B" and t.dtype == torch.int64 and queue.class_names == ["ant", "cat", "dog"]
    queue = gl.minibatchqueue((np.ones((4, 2)), np.array(words)), 4, class_names=["dog", "cat", "ant", "eel"])
    assert queue.next()[1].tolist() == [0, 1, 2, 0] and queue.class_names == ["dog", "cat", "ant", "eel"]
    rows = list(zip(np.ones((4, 2)), words, strict=True))
    queue = gl.minibatchqueue(rows, 4)
    assert queue.next()[1].tolist() == [2, 1, 0, 2] and queue.class_names == ["ant", "cat", "dog"]
    with pytest.raises(gl.DataError, match=r"'ant' is none of the 1 class_names"):
        gl.minibatchqueue((np.ones((4, 2)), words), 4, class_names=["cat"])
    with pytest.raises(gl.DataError, match="class_names="):
        gl.minibatchqueue(iter(rows), 4).next()


def test_classes_of_pandas():
    pd = pytest.importorskip("pandas")
    column = pd.Series(["low", "high", "low"], dtype=pd.CategoricalDtype(["low", "high"]))
    queue = gl.minibatchqueue((np.ones((3, 2)), column), 3)
    assert queue.next()[1].tolist() == [0, 1, 0] and queue.class_names == ["low", "high"]
    assert gl.minibatchqueue(pd.Series([1.5, 2.5]), 2).next().tolist() == [1.5, 2.5]
    with pytest.raises(gl.DataError, match="label 1 is missing"):
        gl.minibatchqueue(pd.Series(["low", None], dtype="category"), 2)


def test_a_function_of_the_mini_batch():
    x, t = data()
    words = np.array(["odd" if k % 2 else "even" for k in t])

    def encoded(x, words):
        assert isinstance(x, np.ndarray) and x.shape[1] == 3
        return x * 2, gl.onehotencode(words, 0, class_names=["even", "odd"])

    queue = gl.minibatchqueue((x, words), 5, function=encoded, formats=["BC", "CB"])
    a, b = queue.next()
    np.testing.assert_allclose(np.array(a), 2 * x[:5], rtol=1e-6)
    assert b.dims == "CB" and b.tolist() == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]] and queue.class_names == ["even", "odd"]
    queue = gl.minibatchqueue(gl.dlarray(x, "BC"), 5, function=lambda x: (x, gl.sum(x, axis="C")))
    a, b = queue.next()
    assert a.dims == "BC" and b.dims == "B"
    rows = gl.minibatchqueue([np.ones(3), np.ones(2)], 2, function=lambda rows: np.array([row.sum() for row in rows]))
    assert rows.next().tolist() == [3, 2]


# ----- sequences of different lengths ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
def test_sequences_are_padded(workers):
    lengths = [3, 5, 1, 4]
    rows = [RNG.random((2, n)) for n in lengths]
    queue = gl.minibatchqueue((rows, ["a", "b", "a", "b"]), 3, formats=["BCT", "B"], masks=True, cast="float64", workers=workers)
    x, t, mask = queue.next()
    assert x.shape == (3, 2, 5) and x.dims == "BCT" and mask.dims == "BT" and t.tolist() == [0, 1, 0]
    assert np.array(mask).sum(1).tolist() == lengths[:3]
    for k, row in enumerate(rows[:3]):
        np.testing.assert_array_equal(np.array(x)[k, :, :lengths[k]], row)
        assert not np.array(x)[k, :, lengths[k]:].any()
    assert queue.next()[0].shape == (1, 2, 4)


@pytest.mark.parametrize(("length", "direction", "expected"), [
    ("longest", "right", [[1, 2, 3], [4, 5, 9], [6, 9, 9]]), ("longest", "left", [[1, 2, 3], [9, 4, 5], [9, 9, 6]]),
    ("shortest", "right", [[1], [4], [6]]), ("shortest", "left", [[3], [5], [6]]),
    (2, "right", [[1, 2], [4, 5], [6, 9]]), (2, "left", [[2, 3], [4, 5], [9, 6]]), (4, "right", [[1, 2, 3, 9], [4, 5, 9, 9], [6, 9, 9, 9]]),
])
def test_lengths_directions_and_values(length, direction, expected):
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0], [6.0]]
    x, mask = gl.padsequences(rows, 0, length=length, direction=direction, padding_value=9)
    assert x.tolist() == expected and np.array_equal(np.array(mask), np.array(expected) != 9)
    queue = gl.minibatchqueue([np.array(row) for row in rows], 3, formats="BT", masks=True, sequence_length=length, sequence_padding_direction=direction, sequence_padding_value=9)
    y, its = queue.next()
    assert y.tolist() == expected and its.tolist() == mask.tolist()


def test_labelled_sequences():
    x, mask = gl.padsequences([gl.ones((3, 2), "TC"), gl.ones((1, 2), "TC")], "T")
    assert x.dims == "BTC" and mask.dims == "BT" and gl.sum(x).item() == 8
    queue = gl.minibatchqueue([gl.ones((3, 2), "TC"), gl.ones((1, 2), "TC")], 2, formats="CBT")
    assert queue.next().sizes == {"C": 2, "B": 2, "T": 3}
    with pytest.raises(gl.ShapeError, match="differ not only along axis 0"):
        gl.padsequences([np.ones((3, 2)), np.ones((3, 4))], 0)
    with pytest.raises(gl.ShapeError, match="do not fit into one array.*formats="):
        gl.minibatchqueue([np.ones(3), np.ones(4)], 2).next()


# ----- threads and errors ---------------------------------------------------------------------------------------------


def threads():
    gc.collect()
    return [t for t in threading.enumerate() if t.name == "gradloom data"]


def no_thread_is_left():
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not threads()


@pytest.mark.parametrize("workers", WORKERS)
def test_the_order_is_kept_whatever_takes_longest(workers):
    def slowly(x):
        time.sleep(0.01 * (x[0] % 3))
        return x

    queue = gl.minibatchqueue(np.arange(30), 2, function=slowly, workers=workers)
    assert np.concatenate([np.array(b) for b in queue]).tolist() == list(range(30))
    assert no_thread_is_left()


def test_threads_work_side_by_side():
    met = threading.Barrier(3)

    def meeting(x):
        met.wait(timeout=20)  # passes only where three mini-batches are made at once
        return x

    assert len(list(gl.minibatchqueue(np.arange(6), 1, function=meeting, workers=3))) == 6


@pytest.mark.slow
def test_processes():
    x, t = data()
    threads_ = gl.minibatchqueue((x, t), 5, function=randomly, seed=9, workers=1)
    queue = gl.minibatchqueue((x, t), 5, function=randomly, seed=9, workers=2, processes=True)
    queue.shuffle()
    threads_.shuffle()
    assert same(numbers(threads_), numbers(queue))
    queue.reset()
    threads_.reset()
    assert same(numbers(threads_), numbers(queue))
    broken = gl.minibatchqueue(Broken(), 3, workers=1, processes=True)
    with pytest.raises(OSError, match="disk on fire") as caught:
        list(broken)
    assert any("observation 7" in note for note in caught.value.__notes__)
    for each in (queue, broken):
        each.close()
    deadline = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


def test_what_cannot_go_to_another_process():
    with pytest.raises(gl.TypeRefused, match=r"to other processes, which fails here.*at test_queue.*leave processes= out"):
        gl.minibatchqueue(np.ones(3), function=lambda x: x, workers=1, processes=True).next()
    with pytest.raises(gl.ShapeError, match="workers=2, processes=True"):
        gl.minibatchqueue(np.ones(3), processes=True)


class Broken(Squares):
    def __getitem__(self, k):
        if k == 7:
            raise OSError("disk on fire")
        return super().__getitem__(k)


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_comes_in_its_turn_with_name_and_line(workers):
    queue = gl.minibatchqueue(Broken(), 3, workers=workers)
    assert queue.next()[1].tolist() == [0, 1, 4] and queue.next()[1].tolist() == [9, 16, 25]
    for _ in range(2):  # asking again reads again
        with pytest.raises(OSError, match="disk on fire") as caught:
            queue.next()  # here
        notes = "\n".join(caught.value.__notes__)
        assert "observation 7" in notes and "# here" in notes and "test_queue.py" in notes
    assert queue.state()["position"] == 6 and no_thread_is_left()


@pytest.mark.parametrize("workers", WORKERS)
def test_the_end_of_an_iterator_inside_is_an_error(workers):
    def fails(x):
        return next(iter([]))

    with pytest.raises(gl.DataError, match="StopIteration"):
        list(gl.minibatchqueue(np.arange(6), 2, function=fails, workers=workers))


def test_an_interrupt_leaves_no_thread_and_loses_nothing():
    release = threading.Event()

    def interrupting(x):
        if x[0] == 4 and not release.is_set():
            raise KeyboardInterrupt
        return x

    queue = gl.minibatchqueue(np.arange(12), 2, function=interrupting, workers=2)
    seen = []
    with pytest.raises(KeyboardInterrupt):
        for batch in queue:
            seen += batch.tolist()
    assert seen == [0, 1, 2, 3] and no_thread_is_left()
    release.set()
    assert [v for b in queue for v in b.tolist()] == list(range(4, 12))


def test_a_loop_that_stops_leaves_no_thread():
    queue = gl.minibatchqueue(np.arange(1000), 1, workers=3)
    for _ in queue:
        break
    assert threads() and no_thread_is_left()
    assert queue.next().tolist() == [1]
    queue.close()
    assert no_thread_is_left() and queue.next().tolist() == [2]


def test_no_more_is_made_ahead_than_there_is_room_for():
    made = []

    def counting(x):
        made.append(x[0])
        return x

    queue = gl.minibatchqueue(np.arange(1000), 1, function=counting, workers=2)
    queue.next()
    assert no_thread_is_left()
    assert len(made) == 5  # one taken, and two for each thread


@pytest.mark.parametrize(("call", "message"), [
    (lambda: gl.minibatchqueue("digits"), r"not the text 'digits'.*ImageDatastore"),
    (lambda: gl.minibatchqueue(3), "not int, at test_queue"),
    (lambda: gl.minibatchqueue((np.ones(3), np.ones(4))), "3, 4 observations does not fit"),
    (lambda: gl.minibatchqueue(np.ones(3), 0), "mini_batch_size=0"),
    (lambda: gl.minibatchqueue(np.ones(3), partial_mini_batch="drop"), 'is "return" or "discard"'),
    (lambda: gl.minibatchqueue(np.ones(3), formats="BX"), "one letter of S, C, B, T, U"),
    (lambda: gl.minibatchqueue((np.ones(3), np.ones(3)), formats=["B"]), "formats or cast say 1 outputs, the data has 2"),
    (lambda: gl.minibatchqueue(np.ones((3, 2)), formats="BCS").next(), "names 3 axes; write one letter"),
    (lambda: gl.minibatchqueue(gl.ones((3, 2), "BC"), formats="BS").next(), "other letters"),
    (lambda: gl.minibatchqueue(gl.ones((3, 2), "SC")), "no axis B"),
    (lambda: gl.minibatchqueue(np.array([1.0, None])), "numbers or words"),
    (lambda: gl.minibatchqueue([np.ones(2)], 2, sequence_length="long"), '"longest", "shortest" or a positive integer'),
    (lambda: gl.minibatchqueue([np.ones(2)], 2, sequence_padding_direction="up"), '"right" or the "left"'),
    (lambda: gl.minibatchqueue(np.ones(3), function=3), "takes a function"),
])
def test_errors_say_what_to_write(call, message):
    with pytest.raises(gl.GradloomError, match=message):
        call()


def test_memory_does_not_grow_with_the_passes(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for k in range(16):
        Image.fromarray(RNG.integers(0, 256, (32, 32), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    images = gl.AugmentedImageDatastore((24, 24), gl.ImageDatastore(tmp_path), rand_rotation=(-9, 9))
    queues = [gl.minibatchqueue(images, 8, workers=w) for w in (0, 2)] + [gl.minibatchqueue(data(), 5, function=randomly)]

    def passes(count):
        for _ in range(count):
            for queue in queues:
                queue.shuffle()
                for _ in queue:
                    pass
        no_thread_is_left()

    passes(1)
    tracemalloc.start()
    try:
        passes(1)
        before = memory()
        passes(4)
        assert memory() - before < 40_000  # a pass reads 64 kB of pixels
    finally:
        tracemalloc.stop()


def memory():
    """Bytes that Python and NumPy hold, and those of the tensors that are alive."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0] + sum(x.nbytes for x in gc.get_objects() if type(x) is torch.Tensor and x.layout is torch.strided)


@pytest.mark.parametrize("change", [None, {}, {"a": 1}, [], {"position": -1}, {"position": 99}, {"position": "3"}, {"seed": None}])
def test_what_is_no_place_is_refused(change):
    queue = gl.minibatchqueue(np.ones((9, 2)), 4, formats="BC")
    queue.next()
    state = {**queue.state(), **change} if isinstance(change, dict) and change and "a" not in change else change
    with pytest.raises(gl.DataError, match=r"is no place of a queue, at test_queue\.py"):
        queue.restore(state)
    assert queue.next().shape == (4, 2)  # it is where it was


def test_a_function_that_returns_nothing():
    with pytest.raises(gl.TypeRefused, match="function= returned None; return the outputs"):
        gl.minibatchqueue(np.ones((9, 2)), 4, function=lambda x: None).next()
