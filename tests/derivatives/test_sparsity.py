"""Patterns of sparse Jacobians: never less than the true one, exactly it where structure is exact; their values by both ways."""
import random

import numpy as np
import pytest
import scipy.sparse
import torch
from helpers import stream
from hypothesis import given, settings
from hypothesis import strategies as st

import gradloom as gl
from gradloom.derivatives.sparse import evaluation as compressed
from gradloom.derivatives.sparse import pattern as sparsity
from gradloom.derivatives.sparse.dense import trace_between
from gradloom.derivatives.sparse.entries import Part, Places, joined, moved, multiplied, read, whole
from gradloom.derivatives.walks.signature import Signature

N = 12
RNG = stream(3)
POINT = RNG.standard_normal(N) + 0.1
OTHER = RNG.standard_normal(N)
MATRIX = scipy.sparse.random_array((N, N), density=0.2, format="csr", rng=RNG)
DENSE = RNG.standard_normal((N, N))
WEIGHTS = RNG.standard_normal(N)
KERNEL = RNG.standard_normal((2, 1, 2, 2))


def written(x):
    y = gl.zeros(N, like=x)
    for i in range(1, N):
        y[i] = x[i] * x[i - 1]
    return y


def recurrence(x):
    state, seen = x[0], []
    for i in range(1, N):
        state = gl.tanh(x[i]) + 0.1 * x[i - 1] * x[i]
        seen.append(state)
    return gl.stack(seen)


def grid(x):
    return gl.reshape(x, (3, 4))


EXACT = {  # the pattern is what a Jacobian without zeros by accident has
    "elementwise": lambda x: x**2,
    "stencil": lambda x: gl.roll(x, 1) - 2 * x + gl.roll(x, -1) + gl.exp(x),
    "slices": lambda x: x[1:] * x[:-1],
    "steps": lambda x: x[::2] / (2 + gl.sin(x[1::2])),
    "reversed": lambda x: x[::-1] * x,
    "gather with repeats": lambda x: gl.sin(x[np.array([3, 3, 0, 5, 11, 2, 2])]) * x[0],
    "pad": lambda x: gl.pad(x[2:5] ** 2, [(1, 2)]),
    "concat": lambda x: gl.concat([x[3:], x[:2] ** 3, 2 * x]),
    "stack": lambda x: gl.stack([x, gl.roll(x, 2) ** 2], axis=1),
    "sums": lambda x: gl.sum(grid(x) ** 2, axis=1),
    "means": lambda x: gl.mean(grid(x) ** 2, axis=0),
    "products": lambda x: gl.prod(grid(x), axis=1),
    "maxima": lambda x: gl.max(grid(x), axis=1),
    "sorted": lambda x: gl.sort(grid(x), axis=0),
    "sparse matrix": lambda x: gl.matmul(MATRIX, x**2) + x,
    "sparse matrices": lambda x: gl.matmul(MATRIX, gl.tanh(gl.matmul(MATRIX, x))),
    "sparse matrix of columns": lambda x: gl.matmul(MATRIX[:6, :6], gl.reshape(x**2, (6, 2))),
    "writes": written,
    "recurrence": recurrence,
    "softmax": lambda x: gl.softmax(grid(x), axis=1),
    "einsum": lambda x: gl.einsum("i,i->i", WEIGHTS, x),
    "broadcast": lambda x: gl.reshape(x, (N, 1)) * gl.reshape(x[:2], (1, 2)),
    "row of all": lambda x: gl.sum(x) * x[:3],
    "norms": lambda x: gl.norm(grid(x), axis=1),
    "scalar": lambda x: gl.sum(x**2),
    "linear": lambda x: 3 * x - 2 * x[::-1],
    "constant": lambda x: gl.zeros(3),
    "list": lambda x: [x[0] * x[1], x[2]],
    "dense matrix": lambda x: gl.matmul(DENSE, x),
    "diagonal": lambda x: gl.matmul(DENSE[:2, :2], gl.reshape(x, (2, 6))) * 1.5,
    "transposed": lambda x: gl.matmul(gl.reshape(x, (4, 3)).T, DENSE[:4, :2]),
    "repeated": lambda x: gl.repeat(x[:4], 3) * x,
    "convolution": lambda x: gl.dlconv(gl.reshape(x, (1, 1, 3, 4)), KERNEL, np.zeros(2), data_format="BCSS"),
    "convolution's weights": lambda x: gl.dlconv(DENSE[:4, :4].reshape(1, 1, 4, 4), gl.reshape(x, (3, 1, 2, 2)), np.zeros(3), data_format="BCSS"),
    "topk": lambda x: gl.sum(gl.sort(grid(x), axis=1)[:, 1:], axis=1),
}
LARGER = {  # the pattern holds what other values of the same shapes could need
    "no derivative": lambda x: gl.floor(x) + 0 * x,
    "where": lambda x: gl.where(x > 0, x**2, gl.roll(x, 2)),
    "maximum": lambda x: gl.maximum(x, x[::-1]),
    "relu": lambda x: gl.relu(x[1:] - x[:-1]),
    "cumulative sum": lambda x: gl.cumulative_sum(grid(x) ** 2, axis=1),
}
ALL = EXACT | LARGER


def dense(f, x):
    return gl.jacobian(f)(x).reshape(-1, x.size)


def numerical(f, x, step=1e-6):
    def flat(x):
        u = f(gl.dlarray(x))
        u = gl.dlarray(u) if isinstance(u, list) else u
        return np.array(u).reshape(-1)

    return np.stack([(flat(x + step * e) - flat(x - step * e)) / (2 * step) for e in np.eye(x.size)], axis=1)


@pytest.fixture(params=["partials", "walks"])
def way(request, monkeypatch):
    """Values from partials where that can be, and from compressed walks."""
    if request.param == "walks":

        def without_values(*args):
            pattern = sparsity.pattern_of(*args)
            if pattern is not None:
                pattern.accumulation = None
            return pattern

        monkeypatch.setattr(compressed, "pattern_of", without_values)
    return request.param


@pytest.mark.filterwarnings("ignore::gradloom.GradloomWarning")
@pytest.mark.parametrize("name", ALL)
def test_values_and_patterns(name, way):
    f = ALL[name]
    sparse = gl.sparse_jacobian(f, check=True)
    for x in (POINT, OTHER, POINT):
        expected = dense(f, x)
        found = sparse(x)
        assert found.shape == expected.shape and found.format == "csr" and found.has_sorted_indices
        np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(expected, numerical(f, x), rtol=1e-4, atol=1e-6)
        if name in EXACT:
            assert found.nnz == np.count_nonzero(expected)


def signature_of(f, x):
    found = []

    def run(x):
        order = trace_between(f(x), x)
        found.append(Signature(order))
        return found[0].order(order[-1], order[0]) == order

    assert gl.dlfeval(run, gl.dlarray(x))
    return found[0]


def fits(signature, f, x):
    return gl.dlfeval(lambda x: signature.order(f(x)._node, x._node) is not None, gl.dlarray(x))


def test_signatures_tell_apart_what_patterns_rest_on():
    signature = signature_of(lambda x: 2 * x[1:] * WEIGHTS[1:], POINT)
    assert fits(signature, lambda x: 3 * x[1:] * OTHER[1:], OTHER)  # numbers and floating constants are free
    assert not fits(signature, lambda x: 2 * x[:-1] * WEIGHTS[1:], POINT)
    assert not fits(signature, lambda x: 2 * x[1:] * WEIGHTS[1:] + 1, POINT)
    assert not fits(signature, lambda x: 2 * x[1:] * WEIGHTS[1:], POINT.astype("float32"))
    assert not fits(signature, lambda x: 2 * x[1:] * x[1:], POINT)
    signature = signature_of(lambda x: x[np.array([1, 2])], POINT)
    assert fits(signature, lambda x: x[np.array([1, 2])], OTHER) and not fits(signature, lambda x: x[np.array([2, 1])], POINT)
    signature = signature_of(lambda x: gl.matmul(MATRIX, x), POINT)
    assert not fits(signature, lambda x: gl.matmul(2 * MATRIX, x), POINT)
    signature = signature_of(lambda x: gl.sort(x), POINT)
    assert not fits(signature, lambda x: gl.sort(x), OTHER)


def test_another_branch_is_another_pattern(way):
    def f(x):
        return x[1:] * x[:-1] if bool(x[0] > 0) else gl.sin(x[:-1])

    sparse = gl.sparse_jacobian(f, check=True)
    low = POINT - 10
    for x in (POINT, low, POINT, low, low):
        np.testing.assert_allclose(sparse(x).toarray(), dense(f, x), atol=1e-13)
    assert sparse(POINT).nnz == 22 and sparse(low).nnz == 11


def test_what_is_kept_is_bounded():
    def f(x, shift):
        return gl.roll(x, shift) * x

    sparse = gl.sparse_jacobian(f)
    for shift in (*range(N), *range(N)):
        np.testing.assert_allclose(sparse(POINT, shift).toarray(), gl.jacobian(f)(POINT, shift))


def test_x_and_parts_of_it(way):
    assert (gl.sparse_jacobian(lambda x: x)(POINT).toarray() == np.eye(N)).all()
    assert gl.sparse_jacobian(lambda x: x[:0])(POINT).shape == (0, N)
    assert gl.sparse_jacobian(lambda x: x)(np.ones((0, 3))).shape == (0, 0)


def test_another_shape_is_another_pattern(way):
    sparse = gl.sparse_jacobian(lambda x: x[1:] * x[:-1])
    for n in (5, 3, 2, 1, 7):
        assert sparse(np.ones(n)).shape == (n - 1, n) and sparse(np.ones(n)).nnz == 2 * (n - 1)


def test_selections_by_value_are_found_anew(way):
    def f(x):
        return gl.max(grid(x), axis=0) * gl.sort(x)[:4]

    sparse = gl.sparse_jacobian(f, check=True)
    for seed in range(12):
        x = np.random.default_rng(seed).standard_normal(N)
        np.testing.assert_allclose(sparse(x).toarray(), dense(f, x), atol=1e-13)


def test_constants_that_change_are_read_anew(way):
    constant = [2.0, WEIGHTS]

    def f(x):
        return constant[0] * x**2 * constant[1] + gl.roll(x, 1) * constant[0]

    sparse = gl.sparse_jacobian(f, check=True)
    sparse(POINT)
    constant[:] = [3.0, OTHER]
    np.testing.assert_allclose(sparse(POINT).toarray(), dense(f, POINT))
    times = gl.sparse_jacobian(lambda x, a, t: t * gl.matmul(a, x) + x)
    for a, t in ((MATRIX, 1.0), (2 * MATRIX, 1.0), (MATRIX.T, 3.0)):
        np.testing.assert_allclose(times(POINT, a, t).toarray(), t * a.toarray() + np.eye(N))


def test_what_is_not_selected_does_not_leak(way):
    def f(x):
        return gl.where(x > 0, gl.sqrt(gl.where(x > 0, x, 1.0)), 0 * x) + gl.where(x > 0, gl.log(x), x)

    x = np.array([-1.0, 0.0, 2.0])
    found = gl.sparse_jacobian(f)(x)
    np.testing.assert_allclose(found.toarray(), np.diag([1, 1, 0.5 / np.sqrt(2) + 0.5]))
    roots = gl.sparse_jacobian(lambda x: gl.where(x < 9, gl.sqrt(0 * x), x))(x)  # 0 times infinity is 0 there
    np.testing.assert_allclose(roots.toarray(), np.zeros((3, 3)))
    roots = gl.sparse_jacobian(lambda x: gl.sqrt(0 * x))(x)  # and undefined where nothing is selected
    np.testing.assert_allclose(roots.toarray(), np.diag([np.nan] * 3))


def test_dense_patterns_are_said():
    a = RNG.standard_normal((60, 60))
    sparse = gl.sparse_jacobian(lambda x: gl.matmul(a, gl.tanh(x)), check=True)
    x = RNG.standard_normal(60)
    with pytest.warns(gl.GradloomWarning, match="60 by 60 is dense, and all of it is computed, at .*write jacobian"):
        np.testing.assert_allclose(sparse(x).toarray(), a * (1 - np.tanh(x) ** 2), atol=1e-12)
    arrow = np.diag(np.ones(60))
    arrow[0] = arrow[:, 0] = 1
    with pytest.warns(gl.GradloomWarning, match="needs 60 colours"):
        half = gl.sparse_jacobian(lambda x: gl.concat([gl.cumulative_sum(x)[-1:], gl.cumulative_sum(gl.stack([x[1:], gl.full((59,), 1.0) * x[0]]), axis=0)[1]]))
        np.testing.assert_allclose(half(x).toarray(), arrow)


def test_a_pattern_with_too_many_entries_is_dense(monkeypatch):
    monkeypatch.setattr(sparsity, "MOST_ENTRIES", 100)
    from gradloom.derivatives.sparse import entries

    monkeypatch.setattr(entries, "MOST_ENTRIES", 100)
    with pytest.warns(gl.GradloomWarning, match="dense"):
        found = gl.sparse_jacobian(lambda x: x * gl.sum(x) / 2 - x)(np.ones(40))
    np.testing.assert_allclose(found.toarray(), 0.5 + np.eye(40) * 19)


def test_entries_are_merged_where_they_meet():
    def f(x):
        for _ in range(30):
            x = x + x
        return x

    found = gl.sparse_jacobian(f)(np.ones(600))
    assert found.nnz == 600 and (found.diagonal() == 2.0**30).all()


def test_probes_see_a_wrong_entry(monkeypatch):
    sparse = gl.sparse_jacobian(lambda x: x**2 + gl.roll(x, 1), check=True)
    sparse(POINT)
    monkeypatch.setattr("gradloom.derivatives.sparse.partials.Accumulation.values", lambda self, order: torch.ones(24, dtype=torch.float64))
    with pytest.raises(gl.GradloomError, match=r"differs from a plain walk by .*use jacobian"):
        sparse(POINT)


# ----- what is kept between calls is looked at in each ----------------------------------------------------------------------


def analyses(monkeypatch):
    """How often a pattern has been found."""
    count = []

    def counted(*args):
        count.append(args)
        return sparsity.pattern_of(*args)

    monkeypatch.setattr(compressed, "pattern_of", counted)
    return count


def test_numbers_may_change_from_call_to_call(monkeypatch):
    count = analyses(monkeypatch)

    def f(x, t, a):
        return a * (gl.roll(x, 1) - 2 * x) * 0.5 + t * x * gl.sin(t * x) - x / a

    sparse = gl.sparse_jacobian(f)
    for k, (t, a) in enumerate([(1, 2.0), (1, 2.0), (3, 2.0), (0, 2.5), (0.5, -1e-3), (7.5, 2.0), (1, 2.0), (np.inf, 2.0), (2, 1.0)]):
        found, expected = sparse(POINT, t, a), dense(lambda x: f(x, t, a), POINT)  # noqa: B023
        assert found.nnz == 2 * N
        np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12, atol=1e-13) if np.isfinite(t) else None
        assert len(count) == [1, 1, 2, 3, 3, 3, 3, 3, 3][k]  # a number that has changed once is read anew ever after


def test_a_number_in_memory_that_others_write_to():
    memory = np.array(2.0)
    shared = gl.dlarray(memory, copy=False)
    sparse = gl.sparse_jacobian(lambda x: shared * x + x**2)
    for value in (2.0, 3.0, -1.0):
        memory[...] = value
        np.testing.assert_allclose(sparse(POINT).diagonal(), value + 2 * POINT)


def test_a_number_may_become_an_array():
    sparse = gl.sparse_jacobian(lambda x, a: a * gl.roll(x, 1) + x)
    for a in (2.0, WEIGHTS, 3, gl.dlarray(WEIGHTS), np.array(4.0), OTHER[:1]):
        np.testing.assert_allclose(sparse(POINT, a).toarray(), dense(lambda x: a * gl.roll(x, 1) + x, POINT))  # noqa: B023


def test_numbers_that_are_zero_or_neither_overflow_nor_vanish_in_between():
    for f in (lambda x: gl.exp(x - 600) * 1e200 * 1e200, lambda x: gl.exp(x + 600) * 1e-200 * 1e-200, lambda x: 0 * x + 0 * gl.sin(x) + 0.0 * gl.roll(x, 1)):
        expected = dense(f, POINT)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(gl.sparse_jacobian(f)(POINT).toarray(), expected, rtol=1e-12)
    assert gl.sparse_jacobian(lambda x, a: a * x + a * gl.roll(x, 1))(POINT, 0).nnz == 2 * N


def test_elements_of_x_are_no_constants(monkeypatch):
    count = analyses(monkeypatch)

    def f(x):
        return x[0] * gl.roll(x, 1) + gl.sum(x) * x

    sparse = gl.sparse_jacobian(f, check=True)
    for x in (POINT, OTHER, -POINT):
        np.testing.assert_allclose(sparse(x).toarray(), dense(f, x), rtol=1e-12, atol=1e-13)
    assert len(count) == 1


def test_numbers_of_a_hessian_may_change():
    def f(x, t):
        return gl.sum(t * x[1:] ** 2 * x[:-1] + t * x[1:])

    sparse = gl.sparse_hessian(f, check=True)
    for t in (2.0, 3, 0, 2.5):
        np.testing.assert_allclose(sparse(POINT, t).toarray(), gl.hessian(f)(POINT, t), rtol=1e-12, atol=1e-13)


def test_elementwise_functions_of_other_shapes_and_types():
    sparse = gl.sparse_jacobian(lambda x: gl.sin(x) * x)
    for x in (POINT, POINT[:5], POINT.reshape(3, 4), POINT.astype("float32"), POINT):
        found = sparse(x)
        assert found.shape == (x.size, x.size) and found.dtype == x.dtype
        np.testing.assert_allclose(found.diagonal(), (np.sin(x) + x * np.cos(x)).ravel(), rtol=1e-6)


def test_the_same_operations_in_another_order_are_told_apart(way):
    def f(x, kind):
        a, b = gl.sin(x), gl.cos(gl.roll(x, 1))
        c = gl.sin(x) if kind == 3 else a
        return {0: a * b - a, 1: a * b - b, 2: b * a - a, 3: a * b - c, 4: a * a - a}[kind]

    sparse = gl.sparse_jacobian(f, check=True)
    for kind in (0, 1, 2, 3, 4, 3, 2, 1, 0, 4):
        np.testing.assert_allclose(sparse(POINT, kind).toarray(), dense(lambda x: f(x, kind), POINT), atol=1e-13)  # noqa: B023


def test_signatures_tell_apart_how_operations_are_joined():
    signature = signature_of(lambda x: gl.sin(x) * gl.cos(x), POINT)
    assert fits(signature, lambda x: gl.sin(x) * gl.cos(x), OTHER)
    assert not fits(signature, lambda x: gl.cos(x) * gl.sin(x), POINT) and not fits(signature, lambda x: gl.sin(x) * gl.sin(x), POINT)
    assert not fits(signature, lambda x: gl.sin(x) * gl.cos(gl.sin(x)), POINT) and not fits(signature, lambda x: x, POINT)
    assert not fits(signature_of(lambda x: x, POINT), gl.sin, POINT) and fits(signature_of(lambda x: x, POINT), lambda x: x, OTHER)
    once = signature_of(lambda x: (lambda y: y * y)(gl.sin(x)), POINT)
    assert not fits(once, lambda x: gl.sin(x) * gl.sin(x), POINT)
    several = signature_of(lambda x: gl.stack([x, x]), POINT)
    assert not fits(several, lambda x: gl.stack([x, x, x]), POINT) and not fits(several, lambda x: gl.stack([x, gl.dlarray(OTHER)]), POINT)
    assert not fits(signature_of(lambda x: x * WEIGHTS, POINT), lambda x: x * np.ones((1, N)), POINT)
    two = signature_of(lambda x: gl.concat([x[:6], x[6:]]), POINT)
    assert fits(two, lambda x: gl.concat([x[:6], x[6:]]), OTHER) and not fits(two, lambda x: gl.concat([x[:6], x[6:], x[:0]]), POINT)


def test_other_variables_of_the_trace_are_constants():
    def inner(x, y):
        return gl.sin(x) * y + gl.cumulative_sum(y)

    def outer(y):
        order = trace_between(inner(gl.dlarray(y), y), y)
        return [Signature(order).order(order[-1], y._node) == order]

    assert gl.dlfeval(outer, gl.dlarray(POINT)) == [True]


def test_a_gradient_inside_that_drops_what_it_has_used(way):
    def f(x):
        w = x * x * x + 2 * x
        gl.dlgradient(gl.sum(w * w), x)
        return 3 * w + gl.roll(w, 1) * x

    sparse = gl.sparse_jacobian(f, check=True)
    x = RNG.standard_normal(300)  # small arrays are not dropped
    for point in (x, x + 1):
        np.testing.assert_allclose(sparse(point).toarray(), dense(f, point), rtol=1e-12)


def test_results_share_nothing():
    for f in (lambda x: 2 * gl.roll(x, 1), lambda x: x**2 + gl.roll(x, 1)):
        sparse = gl.sparse_jacobian(f)
        first = sparse(POINT)
        expected = first.toarray()
        first.data[:], first.indices[:], first.indptr[:] = 7, 0, 0
        assert (sparse(POINT).toarray() == expected).all()


def test_entries_that_double_are_merged(monkeypatch):
    most = []
    whole = sparsity.whole
    monkeypatch.setattr(sparsity, "whole", lambda entries: most.append(sum(len(p.columns) for p in entries)) or whole(entries))

    def f(x):
        x = gl.sin(x)
        for k in range(14):
            x = x + gl.roll(x, 1) * (1 if k % 3 else 2)
        return x * x

    x = RNG.standard_normal(400) / 100
    sparse = gl.sparse_jacobian(f, check=True)
    np.testing.assert_allclose(sparse(x).toarray(), dense(f, x), rtol=1e-9, atol=1e-12)
    assert max(most) <= 64 * len(x)  # and not 2**14


def test_places_in_order():
    rng = np.random.default_rng(1)
    for m, n in ((7, 5), (1 << 20, 1 << 20), (0, 3), (3, 0)):  # the second has places beyond 32 bits
        parts = []
        for _ in range(3):
            count = 40 if m * n else 0
            parts.append(Part(rng.integers(0, max(m, 1), count), rng.integers(0, max(n, 1), count), 0, 1.0))
        found = Places(parts, m, n)
        rows, columns = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
        expected = sorted(set(zip(rows.tolist(), columns.tolist(), strict=True)))
        assert list(zip(found.rows.tolist(), found.columns.tolist(), strict=True)) == expected
        assert [expected[k] for k in found.of_entries()] == list(zip(rows.tolist(), columns.tolist(), strict=True))
    assert not len(Places([], 3, 4).rows)


@pytest.mark.parametrize("seed", range(20))
def test_entries_are_read_and_moved_as_matrices_are(seed):
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(1, 9, 3)
    entries = [Part(None, rng.integers(0, n, m), 0, 1.5), Part(rng.integers(0, m, 6), rng.integers(0, n, 6), 0, rng.standard_normal(6)),
               Part(None, rng.integers(0, n, m), 0, rng.standard_normal(m))]

    def matrix(entries, m):
        p = whole(entries)
        return scipy.sparse.coo_array((p.coefficients, (p.rows, p.columns)), shape=(m, n)).toarray()

    before = matrix(entries, m)
    places, factors = rng.integers(-1, m, k), rng.standard_normal(k)
    if seed % 2:
        places = rng.permutation(m)[:k]  # no row twice
        k, factors = len(places), factors[:len(places)]
    select = np.zeros((k, m))
    select[np.arange(k)[places >= 0], places[places >= 0]] = 1
    np.testing.assert_allclose(matrix(read(entries, places, m), k), select @ before)
    np.testing.assert_allclose(matrix(read(entries, places, m, factors), k), factors[:, None] * select @ before)
    target, factors = rng.integers(-1, k, m), rng.standard_normal(m)
    put = np.zeros((k, m))
    put[target[target >= 0], np.arange(m)[target >= 0]] = 1
    np.testing.assert_allclose(matrix(moved(entries, target), k), put @ before)
    np.testing.assert_allclose(matrix(moved(entries, target, factors), k), put @ (factors[:, None] * before))
    np.testing.assert_allclose(matrix(joined([entries, entries, entries[1:]]), m), 2 * before + matrix(entries[1:], m))
    a = scipy.sparse.random_array((k, m), density=0.5, format="csr", rng=rng)
    np.testing.assert_allclose(matrix(multiplied(a, entries), k), a @ before)


# ----- random functions -----------------------------------------------------------------------------------------------------


def step(r, x, values):
    """One more array from the last one, and earlier ones."""
    n = x.shape[0]
    y = r.choice([v for v in values if v.shape == x.shape])
    kind = r.randrange(13)
    if kind == 0:
        return gl.roll(x, r.randrange(n)) - r.choice([1, 2.5]) * y
    if kind == 1:
        return gl.sin(x) * y
    if kind == 2:
        a = r.randrange(n)
        return gl.concat([x[a:], gl.tanh(y[:a])])
    if kind == 3:
        return gl.sin(x)[np.array([r.randrange(n) for _ in range(r.randint(1, 8))])]
    if kind == 4:
        return gl.pad(x[: max(n - 2, 1)], [(r.randrange(2), r.randrange(3))])
    if kind == 5:
        return gl.where(x > 0.1, y, gl.tanh(x))
    if kind == 6:
        return gl.concat([x, gl.max(gl.stack([x, y]), axis=0)])[:: r.choice([1, 2, -1])]
    if kind == 7:
        return gl.sort(gl.concat([x, gl.sin(y)]))[:n]
    if kind == 8:
        matrix = scipy.sparse.random_array((r.randint(1, 8), n), density=0.3, format="csr", rng=np.random.default_rng(r.randrange(999)))
        return gl.matmul(matrix, x)
    if kind == 9:
        z = x + 0
        for k in range(n):
            if r.random() < 0.5:
                z[k] = gl.cos(x[k]) * y[r.randrange(n)]
        return z
    if kind == 10:
        return gl.sum(gl.reshape(gl.concat([x, y]), (2, n)) ** 2, axis=0) / 4
    if kind == 11:
        return gl.concat([gl.tanh(gl.sum(x))[None] * y[:1], x])
    return gl.softmax(gl.reshape(gl.concat([x, y]), (n, 2)), axis=1)[:, 0]


def test_a_parameter_that_becomes_an_array():
    scaled = gl.elementwise("scaled_by", lambda x, *, by: x * by, lambda by: by)
    held = {}
    sparse = gl.sparse_jacobian(lambda x: scaled(x, by=held["by"]), check=True)
    row = torch.arange(1.0, 5.0, dtype=torch.float64)
    for by in (2.0, row, 3.0, 2 * row, row[0], 1):
        held["by"] = by
        np.testing.assert_array_equal(sparse(POINT[:4]).toarray(), np.diag(np.broadcast_to(np.asarray(by, dtype=float), 4)))


@pytest.mark.parametrize("form", ["csr", "coo", "csc"])
def test_a_captured_sparse_matrix_that_is_written_into(form):
    """Between two calls, and between an operation and its derivative: a constant is what it was when it was used."""
    a = scipy.sparse.eye_array(5, format=form)

    def f(x):
        return gl.sparse_matmul(a, x * x)

    def gradient(x):
        y = gl.sum(f(x))
        a.data[:] = 7
        return gl.dlgradient(y, x)

    sparse, x = gl.sparse_jacobian(f), POINT[:5]
    for value in (1.0, 4.0, -2.0):
        a.data[2] = value
        np.testing.assert_allclose(sparse(x).toarray(), a.toarray() * 2 * x)
    before = a.diagonal()
    np.testing.assert_allclose(np.asarray(gl.dlfeval(gradient, gl.dlarray(x))), before * 2 * x)


def program(seed, x):
    r = random.Random(seed)
    values = [x]
    for _ in range(r.randint(1, 6)):
        values.append(step(r, values[-1], values))
    return values[-1]


@pytest.mark.filterwarnings("ignore::gradloom.GradloomWarning")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_random_functions(seed):
    def f(x):
        return program(seed, x)

    sparse = gl.sparse_jacobian(f, check=True)
    for x in (POINT[:7], OTHER[:7]):
        np.testing.assert_allclose(sparse(x).toarray(), dense(f, x), rtol=1e-9, atol=1e-10)


@pytest.mark.filterwarnings("ignore::gradloom.GradloomWarning")
@pytest.mark.parametrize("seed", range(40))
def test_random_functions_both_ways(seed, way):
    def f(x):
        return program(seed, x)

    sparse = gl.sparse_jacobian(f, check=True)
    x = POINT[:7]
    np.testing.assert_allclose(sparse(x).toarray(), dense(f, x), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(sparse(x).toarray(), numerical(f, x), rtol=1e-4, atol=1e-5)
