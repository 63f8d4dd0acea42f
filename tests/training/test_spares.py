"""Steps of a solver write where earlier results were, and only where nobody has these any more."""
import gc
import threading

import numpy as np
import pytest
import torch
from helpers import stream, tensor

import gradloom as gl
from gradloom.machine import caches
from gradloom.training import spares

RNG = stream(3)
SHAPES = [(3, 4), (4,), (), (2, 3, 2)]


def arrays(dtype="float64"):
    return [gl.dlarray(RNG.standard_normal(shape), dtype=dtype) for shape in SHAPES]


def addresses(its):
    return {x._value.data_ptr() for x in its}


def steps(parameters, gradients, count, keep=lambda *results: None):
    """Several steps of Adam; what `keep` returns of each is kept."""
    kept, m, v = [], None, None
    for k in range(1, count + 1):
        parameters, m, v = gl.adamupdate(parameters, gradients, m, v, k, 0.1)
        kept.append(keep(parameters, m, v))
    return parameters, m, v, kept


def numbers(its):
    return [tensor(x).numpy().copy() for x in its]


def test_memory_goes_back_and_forth():
    seen = steps(arrays(), arrays(), 8, lambda p, m, v: (addresses(p), addresses(m), addresses(v)))[3]
    for column in range(3):
        assert seen[4][column] == seen[6][column] and seen[5][column] == seen[7][column] != seen[4][column]


def test_the_numbers_are_those_of_fresh_memory():
    start, gradients = arrays(), arrays()
    *found, _ = steps(start, gradients, 6)
    parameters, m, v = start, None, None
    for k in range(1, 7):
        parameters, m, v = gl.adamupdate(parameters, gradients, m, v, k, 0.1)
        caches.clear(f"{spares.__name__}.returned")
    for a, b in zip(found, (parameters, m, v), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(numbers(a), numbers(b), strict=True))


KEEPERS = {
    "containers": lambda p, m, v: (p, m, v),
    "one array": lambda p, m, v: (p[0],),
    "a part of one": lambda p, m, v: (p[0][1:],),
    "NumPy": lambda p, m, v: (gl.extractdata(v[3]),),
    "a tensor": lambda p, m, v: (torch.from_dlpack(m[0]),),
    "a capsule": lambda p, m, v: (torch.from_dlpack(m[1].__dlpack__(copy=False)),),
    "a view": lambda p, m, v: (p[3]._value.flatten(),),
    "detached": lambda p, m, v: (m[2]._value.detach(),),
    "its memory": lambda p, m, v: (torch.empty(0, dtype=torch.float64).set_(v[1]._value.untyped_storage()),),
}


@pytest.mark.parametrize("name", KEEPERS)
def test_what_somebody_keeps_stays(name):
    copies = []

    def keep(*results):
        its = KEEPERS[name](*results)
        leaves = [x for part in its for x in (part if isinstance(part, list) else [part])]
        copies.append(numbers(leaves))
        return leaves

    kept = steps(arrays(), arrays(), 8, keep)[3]
    assert all(np.array_equal(x, copy) for its, copied in zip(kept, copies, strict=True)
               for x, copy in zip(numbers(its), copied, strict=True))


def test_what_the_caller_brought_is_never_written_over():
    mine = [np.ones(shape) for shape in SHAPES]
    start = [gl.dlarray(x, copy=False) for x in mine]
    m, v = [[gl.dlarray(x, copy=False) for x in its] for its in ([np.zeros(s) for s in SHAPES] for _ in range(2))]
    p = start
    for k in range(1, 6):
        p, m, v = gl.adamupdate(p, [gl.ones(s) for s in SHAPES], m, v, k)
        start = None
    assert all((x == 1).all() for x in mine)


def test_two_loops_from_one_step():
    p, m, v, _ = steps(arrays(), gradients := arrays(), 4)
    before = [numbers(x) for x in (p, m, v)]
    branches = [gl.adamupdate(p, gradients, m, v, 5, rate) for rate in (0.1, 0.2, 0.1)]
    assert all(np.array_equal(a, b) for its, copied in zip((p, m, v), before, strict=True)
               for a, b in zip(numbers(its), copied, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(numbers(branches[0][0]), numbers(branches[2][0]), strict=True))
    assert not np.array_equal(branches[0][0][0], branches[1][0][0])


def test_networks_that_are_kept_keep_their_numbers():
    net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
    best, m, v, copied = [], None, None, []
    for k in range(1, 9):
        net, m, v = gl.adamupdate(net, {key: gl.ones(x.shape) for key, x in net.learnables.items()}, m, v, k)
        if k % 3 == 0:
            best.append(net)
            copied.append({key: np.array(x) for key, x in net.learnables.items()})
    for its, copy in zip(best, copied, strict=True):
        assert all(np.array_equal(its.learnables[key], x) for key, x in copy.items())


def test_nothing_is_kept_when_a_loop_is_over():
    name = f"{spares.__name__}.returned"
    gc.collect()
    before = caches.sizes()[name]
    results = steps(arrays(), arrays(), 5)
    assert caches.sizes()[name] > before
    del results
    gc.collect()
    assert caches.sizes()[name] == before


def test_large_states_take_no_spare_memory(monkeypatch):
    monkeypatch.setattr(spares, "MOST", 100)
    name = f"{spares.__name__}.returned"
    before = caches.sizes()[name]
    results = steps(arrays(), arrays(), 3)
    assert caches.sizes()[name] == before and results


def test_threads_do_not_share():
    found = {}
    start, gradients = arrays(), arrays()

    def run(k):
        found[k] = numbers(steps(start, gradients, 50)[0])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for k in range(4) for a, b in zip(found[k], found[0], strict=True))


def test_accelerated_updates_are_the_plain_ones():
    """Replayed with other iterations and rates, which are arrays."""
    fast = gl.dlaccelerate(lambda p, g, m, v, k, rate: gl.adamupdate(p, g, m, v, k, rate))
    p, m, v, _ = steps(arrays(), gradients := arrays(), 2)
    q, n, w = p, m, v
    for k in range(3, 12):
        p, m, v = fast(p, gradients, m, v, gl.dlarray(k), gl.dlarray(0.1 / k))
        q, n, w = gl.adamupdate(q, gradients, n, w, k, 0.1 / k)
        for its, plain in ((p, q), (m, n), (v, w)):
            assert all(np.array_equal(x, y) for x, y in zip(numbers(its), numbers(plain), strict=True))
    assert fast.hit_rate > 50
