"""What a Jacobian gives besides its entries: kernels, norms of rows, diagonals, sparse matrices, large arrays, recorded ones, plans."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import torch
from helpers import seeded, stream, uniform, within
from random_programs import SHAPES, program

import gradloom as gl
from gradloom.core import progress as progress_module
from gradloom.derivatives.jacobians import parts as jacobian_source
from gradloom.derivatives.jacobians import plan as plans
from gradloom.derivatives.jacobians import writing as jacobian_large

close = within(1e-10, nan=True)

RNG = stream(5)
PARTS = {"w": RNG.standard_normal((5, 6)), "b": RNG.standard_normal(6), "v": RNG.standard_normal((6, 3)), "unused": RNG.standard_normal(2)}
X = RNG.standard_normal((7, 5))


def net(p, x=X):
    return gl.tanh(gl.tanh(gl.dlarray(x) @ p["w"] + p["b"]) @ p["v"])


def jacobian(f=net, p=PARTS, **options):
    return gl.dlfeval(lambda p: gl.dljacobian(f(p), p, **options), {k: gl.dlarray(v) for k, v in p.items()})


def test_gram_and_its_transpose():
    J = jacobian()
    matrix = np.asarray(J.matrix())
    close(J.gram(), (matrix @ matrix.T).reshape(7, 3, 7, 3))
    close(J.T.gram(), matrix.T @ matrix)
    close(J["w"].T.gram(), (matrix[:, :30].T @ matrix[:, :30]).reshape(5, 6, 5, 6))


def test_a_kernel_between_two_batches():
    other = RNG.standard_normal((4, 5))
    J, K = jacobian(), jacobian(lambda p: net(p, other))
    close(J @ K.T, (np.asarray(J.matrix()) @ np.asarray(K.matrix()).T).reshape(7, 3, 4, 3))
    close(J.T @ J, np.asarray(J.matrix()).T @ np.asarray(J.matrix()))
    with pytest.raises(gl.ShapeError, match="same x"):
        J @ K["w"].T
    with pytest.raises(gl.ShapeError, match="same u"):
        J.T @ K


def test_products_meet_by_key():
    a, b = gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, 5.0])

    def run(p):
        return gl.dljacobian(gl.sum(p["a"] ** 2 + p["b"] ** 3), p), gl.dljacobian(gl.sum(p["a"]), p).nonzero, gl.dljacobian(gl.sum(p["b"]), p).nonzero

    J, only_a, only_b = gl.dlfeval(run, {"a": a, "b": b})
    K, *_ = gl.dlfeval(run, {"b": b, "a": a})
    assert (J @ K.T).item() == pytest.approx(J.gram().item())
    with pytest.raises(gl.ShapeError, match=r"only one of them has .*nonzero"):
        only_a @ only_b.T
    assert (only_a["a"] @ J["a"].T).item() == 2 * 1 + 2 * 2


def test_row_norms_are_those_of_per_sample_gradients():
    def losses(p):
        return gl.sum((net(p) - 1) ** 2, axis=1)

    J = jacobian(losses)
    close(J.row_norms(), np.linalg.norm(np.asarray(J.matrix()), axis=1))
    assert J.row_norms().shape == (7,)
    assert J.nbytes < J.dense_nbytes


def test_diagonal_is_proved():
    x = gl.dlarray(RNG.standard_normal((4, 3)))
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.sin(x) * x + gl.exp(x), x), x)
    close(J.diagonal(), np.diag(np.asarray(J.matrix())).reshape(4, 3))
    assert J.diagonal().shape == (4, 3) and gl.dlfeval(lambda x: gl.dljacobian(3 * x, x), x).diagonal().tolist() == [[3.0] * 3] * 4
    with pytest.raises(gl.ShapeError, match="not proved to be diagonal"):
        gl.dlfeval(lambda x: gl.dljacobian(gl.softmax(x, axis=-1), x), x).diagonal()
    with pytest.raises(gl.ShapeError, match="not proved to be diagonal"):
        gl.dlfeval(lambda x: gl.dljacobian(gl.flip(x, axis=0), x), x).diagonal()
    with pytest.raises(gl.ShapeError, match="one shape"):
        gl.dlfeval(lambda x: gl.dljacobian(gl.sum(x, axis=0), x), x).diagonal()


@pytest.mark.parametrize("picked", [([0, 1], [2, 3]), ([2, 3], [0, 1]), ([1, 0], [3, 2]), ([0], [1, 2, 3]), ([0, 1], [0, 1]), ([0, 1, 2], [1]), ([3, 3], [2, 3])])
@pytest.mark.parametrize("axis", [0, 1])
def test_diagonals_of_what_was_picked_and_joined(picked, axis):
    """Right where there is nothing beside the diagonal, else refused."""
    x = gl.dlarray(RNG.standard_normal((4, 4)))

    def parts(x):
        return [f(gl.take(x, where, axis=axis)) for f, where in zip((gl.sin, gl.exp), picked, strict=True)]

    J = gl.dlfeval(lambda x: gl.dljacobian(gl.concat(parts(x), axis=axis), x), x)
    matrix = np.asarray(J.matrix())
    if np.array_equal(matrix, np.diag(np.diag(matrix))):
        close(J.diagonal(), np.diag(matrix).reshape(4, 4))
    else:
        with pytest.raises(gl.ShapeError, match=f"u's axis {axis} is not where x's axis {axis} is"):
            J.diagonal()


@pytest.mark.parametrize("seed", range(0, 30, 10))
def test_of_random_programs(seed):
    """Kernels, norms, sparse matrices and diagonals are those of the dense matrix, or a diagonal is refused."""
    for k in range(seed, seed + 10):
        x = gl.dlarray(uniform(SHAPES[k % len(SHAPES)], torch.float64, seeded(k)))
        J = gl.dlfeval(lambda x, k=k: gl.dljacobian(program(k, 5)(x) * 1, x) if program(k, 5)(x).traced else None, x)
        if J is None:
            continue
        matrix = np.asarray(J.matrix())
        if not np.isfinite(matrix).all():
            continue
        close(J.row_norms(), np.linalg.norm(matrix, axis=1).reshape(J.u_shape))
        close(J.gram(), (matrix @ matrix.T).reshape(J.u_shape * 2))
        close(J.T.gram(), (matrix.T @ matrix).reshape(J.x_shape * 2))
        close(J.tosparse().toarray(), matrix)
        close((2 * J - J).matrix(), matrix)
        if J.u_shape == J.x_shape:
            try:
                diagonal = J.diagonal()
            except gl.ShapeError:
                continue
            close(diagonal, np.diag(matrix).reshape(J.x_shape))
            close(matrix, np.diag(np.diag(matrix)))


def test_sparse_and_linear_operator():
    def f(p):
        x = p["x"]
        return gl.concat([x[1:] - x[:-1], x[::2] ** 2], axis=0), gl.sum(p["w"]) * x[0:2]

    def run(p):
        u, v = f(p)
        return gl.dljacobian(u, p), gl.dljacobian((u, v), p)

    J, both = gl.dlfeval(run, {"x": gl.dlarray(RNG.standard_normal(9)), "w": gl.dlarray(RNG.standard_normal(3))})
    sparse = J["x"].tosparse()
    close(sparse.toarray(), J["x"].matrix())
    assert sparse.nnz == 8 * 2 + 5
    close(both.tosparse().toarray(), both.matrix())
    operator = both.aslinearoperator()
    v, w = RNG.standard_normal(12), RNG.standard_normal(15)
    close(operator @ v, np.asarray(both.matrix()) @ v)
    close(operator.T @ w, np.asarray(both.matrix()).T @ w)


def test_recorded_jacobians_train():
    """The derivative of a function of a Jacobian, against nested differences."""
    weights = RNG.standard_normal((4, 3))

    def loss(p, recorded=True):
        x = p["x"]
        u = gl.tanh(gl.matmul(x, p["w"])) ** 2
        J = gl.dljacobian(u, x, enable_higher_derivatives=recorded)
        parts = [gl.sum(J.dense() ** 2), gl.sum(gl.sin(J.matrix())), gl.sum((J @ gl.dlarray(weights[:, :2])) ** 2), gl.sum(gl.cos(J.row_norms())),
                 gl.sum(J.gram() ** 2), gl.sum((J.T @ gl.ones((4, 3), like=x)) ** 3)]
        return parts

    start = {"x": RNG.standard_normal((4, 2)), "w": RNG.standard_normal((2, 3))}

    def gradients(p):
        return [gl.dlgradient(part, p) for part in loss(p)]

    found = gl.dlfeval(gradients, {k: gl.dlarray(v) for k, v in start.items()})

    def values(p):
        return np.array([float(v) for v in gl.dlfeval(loss, {k: gl.dlarray(v) for k, v in p.items()})])

    h = 1e-5
    for key in start:
        for at in [(0, 0), (1, 1)]:
            step = np.zeros_like(start[key])
            step[at] = h
            slope = (values({**start, key: start[key] + step}) - values({**start, key: start[key] - step})) / (2 * h)
            close([float(g[key][at]) for g in found], slope, 1e-6)
    with pytest.raises(gl.TraceError, match="enable_higher_derivatives=True"):
        gl.dlfeval(lambda p: gl.dlgradient(loss(p, recorded=False)[0], p), {k: gl.dlarray(v) for k, v in start.items()})


def test_a_recorded_diagonal():
    def run(x):
        J = gl.dljacobian(gl.sin(x), x, enable_higher_derivatives=True)
        return gl.dlgradient(gl.sum(J.diagonal()), x)

    x = RNG.standard_normal((3, 2))
    close(gl.dlfeval(run, gl.dlarray(x)), -np.sin(x))


class Zarr:
    """An array that only takes slices of its first axis."""

    def __init__(self, shape, dtype, chunks):
        self.shape, self.dtype, self.chunks, self.data, self.writes = shape, np.dtype(dtype), chunks, np.full(shape, np.nan, dtype), []

    def __setitem__(self, where, values):
        self.writes.append((where.start, where.stop))
        self.data[where] = values


@pytest.mark.parametrize("piece", [1 << 27, 4000, 100])
def test_out_takes_pieces(monkeypatch, tmp_path, piece):
    monkeypatch.setattr(jacobian_large, "PIECE", piece)
    J = jacobian()["w"]
    expected = np.asarray(J.dense())
    stored = Zarr((7, 3, 5, 6), "float64", (2, 3, 5, 6))
    assert J.dense(out=stored) is stored
    close(stored.data, expected)
    assert all(start % 2 == 0 for start, _ in stored.writes) and len(stored.writes) == {1 << 27: 1, 4000: 2, 100: 4}[piece]
    mapped = np.memmap(tmp_path / "j", dtype="float64", mode="w+", shape=(7, 3, 5, 6))
    mapped[:] = np.nan
    J.dense(out=mapped)
    close(mapped, expected)
    tensor = torch.full((7, 3, 5, 6), torch.nan, dtype=torch.float64)
    close(J.dense(out=tensor), expected)
    for _ in range(3):
        lent = J.buffer()
        close(J.dense(out=lent), expected)
    zero = jacobian()["unused"]
    assert not np.asarray(zero.dense(out=np.full((7, 3, 2), 9.0))).any()


def test_out_is_checked():
    J = jacobian()["w"]
    with pytest.raises(gl.ShapeError, match="are needed"):
        J.dense(out=Zarr((7, 3, 5, 6), "float32", None))
    with pytest.raises(gl.ShapeError, match="are needed"):
        J.dense(out=np.zeros((7, 3, 5, 5)))
    with pytest.raises(gl.TypeRefused, match="zarr"):
        J.dense(out=[1.0])


def test_an_interrupted_write_stops():
    class Interrupting(Zarr):
        def __setitem__(self, where, values):
            super().__setitem__(where, values)
            if len(self.writes) == 2:
                raise KeyboardInterrupt

    J = jacobian()["w"]
    stored = Interrupting((7, 3, 5, 6), "float64", (1, 3, 5, 6))
    old, jacobian_large.PIECE = jacobian_large.PIECE, 1
    try:
        with pytest.raises(KeyboardInterrupt):
            J.dense(out=stored)
    finally:
        jacobian_large.PIECE = old
    assert stored.writes == [(0, 1), (1, 2)]


def test_progress_is_shown_only_where_somebody_looks(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(progress_module, "AFTER", 0.0)
    monkeypatch.setattr(progress_module, "_bar", lambda *args: None)  # as without tqdm
    for output, seen in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", output)
        assert list(progress_module.progress(range(3), 3, "writing")) == [0, 1, 2]
        assert ("writing" in output.getvalue()) == seen


def deep(p):
    h = gl.dlarray(X)
    for k in range(4):
        h = gl.tanh(h @ p[f"w{k}"] + p[f"b{k}"])
    return h


def deep_parts(width=8):
    draw = np.random.default_rng(3).standard_normal
    return {f"{n}{k}": draw((5 if k == 0 else width, width) if n == "w" else (width,)) / 3 for k in range(4) for n in "wb"}


def test_a_plan_goes_backwards_for_few_outputs_and_forwards_for_the_last_layer():
    parts = deep_parts(256)  # so large that its entries are what costs
    J = jacobian(lambda p: gl.sum(deep(p) ** 2, axis=1), parts)
    ways = {key: J._source.way(0, J._position(key)).backwards for key in parts}
    last = jacobian(lambda p: deep({**{k: gl.dlarray(v) for k, v in parts.items()}, **p}), {k: parts[k] for k in ("w3", "b3")})
    assert ways["w0"] and not last._source.way(0, 0).backwards
    text = J.explain()
    assert "backwards from u" in text and "operations" in text and "written" in text and "not forwards" in text
    plain = gl.dlfeval(lambda p: [gl.dlgradient(gl.sum(deep(p)[k] ** 2), p, retain_data=True) for k in range(7)], {k: gl.dlarray(v) for k, v in parts.items()})
    for key in parts:
        close(J[key].dense(), np.stack([np.asarray(g[key]) for g in plain]))


def few_by_many(p):
    return gl.stack([gl.sum(deep(p)), gl.mean(deep(p) ** 2), gl.max(deep(p))])


def many_by_few(p):
    a, b = p["a"], p["b"]
    t = gl.dlarray(np.linspace(0.0, 1.0, 300))
    for _ in range(4):
        t = gl.sin(a * t) + gl.cos(b[0] * t) * b[1] + t * gl.exp(-a)
    return t


def log_of_half(p):  # the slope of a square root at 0 is infinite, and the other half does not meet it
    h = gl.sqrt(p["x"])
    for _ in range(6):
        h = h + gl.sin(h) * 0.1
    return gl.stack([gl.sum(h[:2]), gl.sum(h[2:])])


FEW = {"few by many": (few_by_many, deep_parts(), True), "many by few": (many_by_few, {"a": np.array(0.3), "b": np.array([0.7, -0.2])}, False)}


@pytest.mark.parametrize("name", FEW)
def test_few_rows_or_columns_of_small_arrays_are_walked_plainly(monkeypatch, name):
    f, parts, rows = FEW[name]
    J = jacobian(f, parts)
    ways = [J._source.way(0, j) for j in range(len(parts))]
    assert all(way.plain and way.backwards is rows for way in ways)
    assert f"plain {'rows' if rows else 'columns'}, one walk for all" in J.explain()
    plain_walk = jacobian(f, parts, check=True)
    monkeypatch.setattr(jacobian_source.Source, "_has_room", lambda self, i: False)
    structured = jacobian(f, parts)
    assert not any(structured._source.way(0, j).plain for j in range(len(parts)))
    for key in parts:
        close(J[key].dense(), structured[key].dense(), 1e-12)
        close(plain_walk[key].dense(), structured[key].dense(), 1e-12)
    v = {key: RNG.standard_normal(np.shape(part)) for key, part in parts.items()}
    close(J @ v, structured @ v, 1e-12)
    assert J.nbytes == J.dense_nbytes


def test_what_a_direction_does_not_meet_is_zero_also_where_another_meets_infinity(monkeypatch):
    parts = {"x": np.array([0.0, 1.0, 2.0, 3.0, 4.0])}
    J = jacobian(log_of_half, parts)
    monkeypatch.setattr(plans, "_structured", lambda u, nodes, reached, limit: (None, set()))
    clear = jacobian(log_of_half, parts)
    assert np.isinf(np.asarray(clear["x"].dense())[0, 0]) and not np.isnan(np.asarray(clear["x"].dense())).any()
    close(np.asarray(J["x"].dense())[:, 1:], np.asarray(clear["x"].dense())[:, 1:], 1e-12)


def test_a_jacobian_that_is_diagonal_keeps_its_structure_in_a_long_trace():
    def f(p):
        h = p["x"]
        for _ in range(80):
            h = h + 0.01 * gl.sin(h)
        return h

    J = jacobian(f, {"x": np.linspace(0.1, 1.0, 7)})
    close(J["x"].diagonal(), np.diagonal(np.asarray(J["x"].dense())), 1e-12)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("f", [net, lambda p: gl.sum(net(p) ** 2, axis=1), lambda p: gl.softmax(net(p), axis=-1)])
def test_both_ways_give_the_same(monkeypatch, backwards, f):
    monkeypatch.setattr(plans, "ways", None)
    monkeypatch.setattr(jacobian_source, "ways", lambda u, xs, between=None, has_room=None: [plans.Way(backwards, None, None)] * len(xs))
    J = jacobian(f)
    probe = jacobian(f, check=True)
    monkeypatch.undo()
    close(J.matrix(), jacobian(f).matrix())
    close(probe.matrix(), J.matrix())


def test_a_memory_limit_refuses_before_allocation():
    with pytest.raises(gl.ShapeError, match="of memory are free|are free"):
        jacobian(memory_limit=100)
    J = jacobian(memory_limit=5000)
    old, jacobian_source.SMALL = jacobian_source.SMALL, 0
    with pytest.raises(gl.ShapeError, match="keep the structure"):
        J.matrix()
    jacobian_source.SMALL = old


def test_complex_ones_are_refused_with_the_way_on():
    z = gl.dlarray(RNG.standard_normal(3) + 1j)
    J = gl.dlfeval(lambda z: gl.dljacobian(z * z, z), z)
    for ask in (lambda: J.gram(), lambda: J.row_norms(), lambda: J.tosparse(), lambda: J.aslinearoperator(), lambda: J.T.gram()):
        with pytest.raises(gl.TypeRefused, match="J @ v"):
            ask()


def test_rows_along_an_axis_from_factors_equal_those_of_the_plain_walk(monkeypatch):
    from gradloom.derivatives.jacobians import along_axis as batched

    x, w, v = RNG.standard_normal((4, 2, 5, 5)), RNG.standard_normal((3, 2, 3, 3)), RNG.standard_normal((27, 4))

    def run(x):
        h = gl.maxpool(gl.relu(gl.dlconv(x, w, np.zeros(3), data_format="BCSS")), 1, data_format="BCSS")
        u = gl.softmax(gl.reshape(h, (4, 27)) @ gl.dlarray(v), axis=-1)
        return gl.dljacobian(u, x, 1, enable_higher_derivatives=False)

    plain = gl.dlfeval(run, gl.dlarray(x))
    monkeypatch.setattr(batched, "WORTHWHILE", 0)
    close(gl.dlfeval(run, gl.dlarray(x)), plain, 1e-12)
    both = gl.dlfeval(lambda x: gl.dljacobian(gl.stack([x * x, gl.sin(x)]), x, (0, 2), enable_higher_derivatives=False), gl.dlarray(x[0, 0]))
    monkeypatch.undo()
    close(both, gl.dlfeval(lambda x: gl.dljacobian(gl.stack([x * x, gl.sin(x)]), x, (0, 2), enable_higher_derivatives=False), gl.dlarray(x[0, 0])))
