"""The Jacobian object and `dljacobian` with an axis: interface 4.1 to 4.4."""
import gc
import warnings
import weakref

import numpy as np
import pytest
import torch
from helpers import torch_stream, within
from torch.func import jacrev

import gradloom as gl
from gradloom.derivatives.jacobians import jacobian as jacobian_module
from gradloom.derivatives.jacobians import parts as jacobian_source

close = within(1e-12, relative=0)

D = torch.float64
STREAM = torch_stream(5)


def randn(*shape, dtype=D):
    return torch.randn(*shape, generator=STREAM, dtype=dtype)


def mlp(p, x):
    """Two dense layers, in operators that tensors and dlarrays share."""
    h = (gl.tanh if isinstance(x, gl.dlarray) or isinstance(p["w1"], gl.dlarray) else torch.tanh)(x @ p["w1"] + p["b1"])
    return h @ p["w2"] + p["b2"]


PARAMETERS = {"w1": randn(3, 5), "b1": randn(5), "w2": randn(5, 2), "b2": randn(2), "unused": randn(4)}
POINTS = randn(6, 3)


def traced(parameters=PARAMETERS):
    return {k: gl.dlarray(v) for k, v in parameters.items()}


def structured(**options):
    return gl.dlfeval(lambda p: gl.dljacobian(mlp(p, gl.dlarray(POINTS)), p, **options), traced())


@pytest.fixture(scope="module")
def reference():
    return jacrev(lambda p: mlp(p, POINTS) + 0 * p["unused"].sum())(PARAMETERS)


def test_parts_equal_the_reference_and_keep_structure(reference):
    J = structured(check=True)
    assert J.shape == (12, 3 * 5 + 5 + 5 * 2 + 2 + 4) and J.u_shape == (6, 2) and J.x_shape["w1"] == (3, 5)
    for key in PARAMETERS:
        close(J[key].dense(), reference[key])
    assert list(J.blocks) == list(PARAMETERS)
    assert J["w2"].nbytes == 6 * 5 * 8  # d u[n, o] / d w2[i, o'] is h[n, i], tied in o
    assert J["w1"].nbytes < J["w1"].dense_nbytes / 2
    assert J.nbytes == sum(J[key].nbytes for key in PARAMETERS)


def test_matrix_columns_and_nonzero(reference):
    J = structured()
    matrix = J.matrix()
    assert matrix.shape == J.shape and not matrix.traced
    for key, columns in J.columns.items():
        close(matrix[:, columns], reference[key].reshape(12, -1))
    assert np.array_equal(np.asarray(J), matrix.numpy())
    assert list(J.nonzero.columns) == ["w1", "b1", "w2", "b2"] and J.nonzero.shape == (12, 32)
    close(J["unused"].dense(), torch.zeros(6, 2, 4, dtype=D))


@pytest.mark.parametrize("kind", ["numpy", "torch", "memory-mapped", "buffer"])
def test_dense_out_is_overwritten_whole(reference, kind, tmp_path):
    J = structured()
    for key in ("w1", "w2", "b2"):
        shape = tuple(reference[key].shape)
        if kind == "numpy":
            out = np.full(shape, np.nan)
        elif kind == "torch":
            out = torch.full(shape, torch.nan, dtype=D)
        elif kind == "memory-mapped":
            out = np.lib.format.open_memmap(tmp_path / f"{key}.npy", "w+", "float64", shape)
        else:
            out = J[key].buffer()
        for _ in range(2):
            assert J[key].dense(out=out) is out
            close(out, reference[key])


def reversed_axes(shape):
    return np.full(shape[::-1], np.nan).T


LAYOUTS = {
    "negative strides": lambda shape: np.full(shape, np.nan)[::-1, ..., ::-1],
    "foreign byte order": lambda shape: np.full(shape, np.nan, dtype=np.dtype("f8").newbyteorder()),
    "both": lambda shape: np.full(shape, np.nan, dtype=np.dtype("f8").newbyteorder())[..., ::-1],
    "a part of a wider array": lambda shape: np.full((*shape[:-1], 2 * shape[-1]), np.nan)[..., ::2],
    "axes reversed": reversed_axes,
    "a field between others": lambda shape: np.zeros(shape, dtype="f4,f8,i2")["f1"],
    "not aligned": lambda shape: np.frombuffer(bytearray(8 * int(np.prod(shape)) + 1), np.uint8)[1:].view("f8").reshape(shape),
    "masked": lambda shape: np.ma.masked_array(np.zeros(shape), mask=True),
    "torch, transposed": lambda shape: torch.full(shape[::-1], torch.nan, dtype=D).permute(*range(len(shape))[::-1]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_out_is_written_right_however_it_lies_in_memory(reference, layout):
    J = structured()
    for key in ("w1", "w2", "b2"):
        out = LAYOUTS[layout](tuple(reference[key].shape))
        assert J[key].dense(out=out) is out
        close(np.ma.filled(out, np.nan).astype("f8") if isinstance(out, np.ndarray) else out, reference[key])
    number = gl.dlfeval(lambda x: gl.dljacobian(x**2, x), gl.dlarray(3.0))
    assert number.dense(out=np.zeros((), np.dtype("f8").newbyteorder())) == number.dense(out=np.zeros(())) == 6


@pytest.mark.parametrize("out", [np.lib.stride_tricks.as_strided(np.zeros(99), (6, 4), (8, 8)), torch.zeros(1, 4, dtype=D).expand(6, 4),
                                 torch.zeros(6, 4, dtype=D, device="meta"), torch.zeros(6, 4, dtype=D).to_sparse(),
                                 torch.zeros(6, 4, dtype=torch.complex128).conj().imag, np.zeros((6, 4), "f8,f8"), np.zeros((6, 4), object)],
                         ids=["overlapping", "expanded", "meta", "sparse", "negative", "structured", "objects"])
def test_out_that_cannot_be_written_is_refused(out):
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.concat([x, x[:2]]) ** 2, x), gl.dlarray(np.arange(4.0)))
    with pytest.raises((gl.ShapeError, gl.TypeRefused), match=r"out .*(give|needed)"):
        J.dense(out=out)


def test_a_buffer_is_right_for_other_values_and_returns_to_the_pool():
    parts = [gl.dlfeval(lambda p: gl.dljacobian(mlp(p, gl.dlarray(POINTS)), p), traced(p))["w2"]
             for p in (PARAMETERS, {k: v + 1 for k, v in PARAMETERS.items()})]
    buffer = parts[0].buffer()
    memory = buffer.__array_interface__["data"][0]
    for part in parts:
        part.dense(out=buffer)
        close(buffer, part.dense()._value, 0)
    del buffer
    assert parts[1].buffer().__array_interface__["data"][0] == memory


def test_out_of_the_wrong_shape_or_type_is_refused():
    part = structured()["w2"]
    with pytest.raises(gl.ShapeError, match=r"out has shape \(6, 2, 5\).*\(6, 2, 5, 2\)"):
        part.dense(out=np.zeros((6, 2, 5)))
    with pytest.raises(gl.ShapeError, match="float32"):
        part.dense(out=np.zeros((6, 2, 5, 2), dtype="float32"))
    read_only = np.zeros((6, 2, 5, 2))
    read_only.flags.writeable = False
    with pytest.raises(gl.TypeRefused, match="read-only"):
        part.dense(out=read_only)
    with pytest.raises(gl.ShapeError, match=r"J\['w1'\]"):
        structured().dense()
    with pytest.raises(KeyError, match="no part 'w9' in this Jacobian, at test_jacobian.py:.*; the parts are 'w1'"):
        structured()["w9"]


def test_products_inside_and_outside(reference):
    flat = torch.cat([reference[k].reshape(12, -1) for k in PARAMETERS], 1)
    v = {k: randn(*a.shape) for k, a in PARAMETERS.items()}
    whole = torch.cat([v[k].reshape(-1) for k in PARAMETERS])
    w = randn(6, 2)

    def inside(p):
        J = gl.dljacobian(mlp(p, gl.dlarray(POINTS)), p)
        return J @ v, J @ whole, J.T @ w, J

    jv, jflat, jtw, J = gl.dlfeval(inside, traced())
    for product in (jv, jflat, J @ v, J @ whole, J @ whole.numpy()):
        close(product, (flat @ whole).reshape(6, 2), 1e-11)
    for cotangents in (jtw, J.T @ w, J.T @ w.reshape(-1)):
        assert list(cotangents) == list(PARAMETERS)
        for key in PARAMETERS:
            close(cotangents[key], torch.einsum("no,no...->...", w, reference[key]), 1e-11)
    with pytest.raises(gl.ShapeError, match="36 elements"):
        J @ np.zeros(7)


def test_containers_of_outputs():
    x = randn(3)
    J = gl.dlfeval(lambda x: gl.dljacobian([x * 2, gl.sum(x)], x), gl.dlarray(x))
    assert J.u_shape == [(3,), ()] and J.shape == (4, 3)
    close(J.matrix(), torch.cat([2 * torch.eye(3, dtype=D), torch.ones(1, 3, dtype=D)]))
    a, b = J @ x
    close(a, 2 * x)
    close(b, x.sum())


def test_returned_jacobian_holds_no_trace_and_an_escaped_one_is_closed():
    kept, nodes = [], []

    def run(p):
        J = gl.dljacobian(mlp(p, gl.dlarray(POINTS)), p)
        kept.append(gl.dljacobian(mlp(p, gl.dlarray(POINTS)), p))
        nodes.append(weakref.ref(p["w1"]._node))
        return J

    J = gl.dlfeval(run, traced())
    kept_repr = repr(kept[0])
    assert "closed" in kept_repr
    with pytest.raises(gl.TraceError, match="return it from dlfeval"):
        kept[0]["w1"].dense()
    kept.clear()
    gc.collect()
    assert nodes[0]() is None
    assert J["w1"].dense().shape == (6, 2, 3, 5)


def test_a_returned_transpose_holds_no_trace_either():
    x = gl.dlarray([1.0, 2.0])
    close(gl.dlfeval(lambda x: gl.dljacobian(x**2, x).T, x) @ [1.0, 1.0], torch.tensor([2.0, 4.0], dtype=D))


def test_too_large_is_refused_before_allocation(monkeypatch):
    for module in (jacobian_module, jacobian_source):
        monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(jacobian_source, "free_memory", lambda: 100)
    with pytest.raises(gl.ShapeError, match="bytes|kB"):
        structured()
    monkeypatch.setattr(jacobian_source, "free_memory", lambda: 3000)
    J = structured()
    with pytest.raises(gl.ShapeError, match="J @ v"):
        J.matrix()


def test_words():
    J = structured()
    assert "Jacobian 12 x 36 float64" in repr(J) and "diagonal along u's axis 1 and x's axis 1" in repr(J["w2"])
    assert "zero: the outputs do not depend on it" in repr(J)
    assert "forwards from it" in J.explain() and "test_jacobian.py" in J.explain()
    assert J._repr_html_().startswith("<b>Jacobian")


def test_what_has_no_structure_is_exact_and_says_so():
    x = randn(4, 3)
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.reshape(gl.tanh(x), (6, 2)), x), gl.dlarray(x))
    close(J.dense(), jacrev(lambda x: torch.tanh(x).reshape(6, 2))(x))
    assert "made dense on the way" in J.explain()


def test_dense_inside_dlfeval_is_marked():
    def run(x):
        J = gl.dljacobian(x * x, x)
        return gl.dlgradient(gl.sum(J.dense()), x)

    with pytest.raises(gl.TraceError, match=r"dljacobian\(u, x, enable_higher_derivatives=True\)"):
        gl.dlfeval(run, gl.dlarray(randn(3)))


# ----- complex -----


def test_complex_parts():
    z, a, v, w = (randn(*s, dtype=torch.complex128) for s in ((4,), (3, 4), (4,), (4,)))
    J = gl.dlfeval(lambda z: gl.dljacobian(gl.matmul(a, z), z), gl.dlarray(z))
    close(J.dense(), a)
    close(J @ v, a @ v)
    J = gl.dlfeval(lambda z: gl.dljacobian(gl.abs(z) ** 2, z), gl.dlarray(z))
    close(J.dense(), torch.diag(2 * z))  # rows are gradients
    J = gl.dlfeval(lambda z: gl.dljacobian(gl.conj(z) * z * z, z), gl.dlarray(z))
    with pytest.raises(gl.TypeRefused, match=r"conj\(x\)"):
        J.dense()
    close(J.dense(conjugate=True), torch.diag(z * z))
    close(J @ v, 2 * z.conj() * z * v + z * z * v.conj())
    left = torch.sum(w.conj() * (J @ v)._value).real
    right = torch.sum((J.T @ w)._value.conj() * v).real
    assert abs(left - right) < 1e-12


def test_complex_results_of_real_inputs():
    x = randn(3)
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.exp(1j * x), x), gl.dlarray(x))
    close(J.dense(), torch.diag(1j * torch.exp(1j * x)))


# ----- with an axis -----


def test_axis_shape_labels_and_values():
    w = randn(2, 3)
    x = gl.dlarray(randn(3, 7), "CB")

    def run(x):
        u = gl.fullyconnect(gl.sin(x), gl.dlarray(w))
        return gl.dljacobian(u, x, "C"), gl.dljacobian(u, x, 0)

    for J in gl.dlfeval(run, x):
        assert J.shape == (2, 3, 7) and J.dims == "UCB"
        close(J, w[:, :, None] * torch.cos(x._value))


def test_seed_002_word_for_word():
    gl.rng(0)
    net = gl.dlnetwork([gl.layers.ImageInput((16, 16, 3)), gl.layers.Convolution2d(3, 64), gl.layers.ReLU(), gl.layers.FullyConnected(5), gl.layers.Softmax()])
    images = gl.dlarray(torch.rand(16, 16, 3, 128, generator=STREAM), "SSCB")
    targets = gl.dlarray(torch.rand(5, 128, generator=STREAM), "CB")

    def model_loss(net, X, T):
        Y = net.forward(X)
        loss = gl.l1loss(Y, T)
        X = gl.stripdims(X)
        Y = gl.stripdims(Y)
        jac = gl.dljacobian(Y, X, 0)
        gradients = gl.dlgradient(loss, net.learnables)
        return loss, gradients, jac

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _loss, gradients, jac = gl.dlfeval(model_loss, net, images, targets)
    assert jac.shape == (5, 16, 16, 3, 128) and list(gradients) == list(net.learnables)
    p = {k: v._value for k, v in net.learnables.items()}

    def one(x):
        h = torch.relu(torch.conv2d(x.permute(2, 0, 1)[None], p["conv", "weights"], p["conv", "bias"]))
        return torch.softmax(h.reshape(1, -1) @ p["fc", "weights"].T + p["fc", "bias"], -1)[0]

    expected = torch.func.vmap(jacrev(one), in_dims=3, out_dims=4)(images._value)
    close(jac, expected, 1e-5)


def test_several_axes_and_scalars():
    x = randn(2, 3)
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.sin(x), x, (0, 1)), gl.dlarray(x))
    close(J, jacrev(torch.sin)(x))
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.stack([x[0] * x[1], x[0]]), x, 0), gl.dlarray([2.0, 3.0]))
    close(J, torch.tensor([[3.0, 2.0], [1.0, 0.0]], dtype=D))


def test_axis_jacobians_are_recorded():
    x = randn(5, 3)
    w = randn(3, 3)

    def run(x):
        u = gl.tanh(x @ gl.dlarray(w))
        return gl.dlgradient(gl.sum(gl.dljacobian(u, x, 1) ** 2), x)

    expected = torch.func.grad(lambda x: (torch.func.vmap(jacrev(lambda r: torch.tanh(r @ w)))(x) ** 2).sum())(x)
    close(gl.dlfeval(run, gl.dlarray(x)), expected, 1e-11)
    with pytest.raises(gl.TraceError, match="enable_higher_derivatives=True"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dljacobian(gl.tanh(x), x, 1, enable_higher_derivatives=False)), x), gl.dlarray(x))


def test_no_matching_batch_is_refused():
    with pytest.raises(gl.ShapeError, match="leave axis out"):
        gl.dlfeval(lambda w: gl.dljacobian(gl.dlarray(randn(5, 3)) @ w, w, 1), gl.dlarray(randn(3, 4)))


def test_dependence_is_proved_disproved_or_unknown():
    x = gl.dlarray(randn(3, 5), "CB")
    with pytest.warns(gl.BatchDependenceWarning, match="mean mixes them, in test_jacobian.py"):
        gl.dlfeval(lambda x: gl.dljacobian(x - gl.mean(x, axis="B", keepdims=True), x, "C"), x)
    with pytest.warns(gl.BatchDependenceWarning, match="cannot be proved"):
        gl.dlfeval(lambda x: gl.dljacobian(gl.dlarray(gl.reshape(gl.reshape(x, (5, 3)), (3, 5)), "CB"), x, "C"), x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gl.dlfeval(lambda x: gl.dljacobian(gl.softmax(gl.tanh(x) + x[0:1]), x, "C"), x)
        gl.dlfeval(lambda x: gl.dljacobian(gl.max(x, axis="C", keepdims=True), x, "C"), x)


def test_batch_normalisation_in_training_is_reported():
    gl.rng(0)
    net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(4), gl.layers.BatchNormalization(), gl.layers.ReLU()])
    x = gl.dlarray(randn(3, 5).float(), "CB")
    with pytest.warns(gl.BatchDependenceWarning):
        gl.dlfeval(lambda net, x: gl.dljacobian(net.forward(x), x, "C"), net, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gl.dlfeval(lambda net, x: gl.dljacobian(net.predict(x), x, "C"), net, x)


def test_the_hidden_layer_of_a_network():
    gl.rng(0)
    net = gl.dlnetwork([gl.layers.ImageInput((8, 8, 1)), gl.layers.Convolution2d(3, 4, padding="same", name="conv1"), gl.layers.BatchNormalization(),
                        gl.layers.ReLU(name="relu1"), gl.layers.FullyConnected(3), gl.layers.Softmax()])
    image = gl.dlarray(torch.rand(1, 1, 8, 8, generator=STREAM), "BCSS")
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net.predict(x, outputs="relu1"), net.learnables), net, image)
    assert list(J.nonzero.columns) == [("conv1", "weights"), ("conv1", "bias"), ("batchnorm", "offset"), ("batchnorm", "scale")]
    assert J.nonzero.nbytes < J.nonzero.dense_nbytes / 4

    def row(net, x, i):
        return gl.dlgradient(gl.flatten(net.predict(x, outputs="relu1"))[i], net.learnables)

    for i in (0, 77, 200):
        g = gl.dlfeval(row, net, image, i)
        for key, part in J.blocks.items():
            close(part.dense()._value.reshape(256, *part.x_shape)[i], g[key]._value, 1e-6)


@pytest.mark.parametrize("name", ["flip", "roll", "backwards", "gather", "one observation for all", "where", "transposed"])
def test_permuted_observations_are_not_called_independent(name):
    x = gl.dlarray(randn(5, 5))
    u = {"flip": lambda x: gl.flip(x, axis=1), "roll": lambda x: gl.roll(x, 1, axis=1), "backwards": lambda x: x[:, ::-1],
         "gather": lambda x: x[:, [1, 0, 2, 4, 3]], "one observation for all": lambda x: x[:, [0, 0, 0, 0, 0]],
         "where": lambda x: gl.where(x > 0, x, gl.flip(x, axis=1)), "transposed": lambda x: x * x.T}[name]
    with pytest.warns(gl.BatchDependenceWarning):
        gl.dlfeval(lambda x: gl.dljacobian(u(x), x, 0), x)


def row_by_row(x):
    y = gl.zeros((4, 3))
    for k in range(4):
        y[k] = gl.sin(x[k]) * gl.sum(x[k])
    return y


def a_part(x):
    y = x.copy()
    y[1:3] = gl.sin(x[1:3])
    return y


@pytest.mark.parametrize("f", [row_by_row, a_part, lambda x: gl.stack([gl.sin(row) for row in x]), lambda x: gl.concat([gl.sin(x[:2]), gl.cos(x[2:])])])
def test_observations_that_are_computed_one_by_one_are_independent(f):
    x = gl.dlarray(randn(4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        J, whole = gl.dlfeval(lambda x: (gl.dljacobian(f(x), x, 1), gl.dljacobian(f(x), x)), x)
        gl.dlfeval(lambda x: gl.dllaplacian(f(x), x, 1), x)
    close(J, torch.einsum("bcbd->cbd", whole.dense()._value))


def test_products_are_marked_with_all_that_they_depend_on():
    def of_direction(x, v):
        return gl.dlgradient(gl.sum(gl.dljacobian(x**2, x) @ v), v)

    def of_second_output(a, b):
        return gl.dlgradient(gl.sum(gl.dljacobian([a**2, b**3], [a, b]).matrix()), b)

    def of_another_variable(a, b):
        product = gl.dljacobian([a * 2, b * a**2], [a]).T @ [gl.ones((2,)), gl.ones((2,))]
        return gl.dlgradient(gl.sum(product[0]), b)

    def through_numpy(a, b):
        return gl.dlgradient(gl.sum(a * np.asarray(gl.dljacobian(a**2, a))), a)

    def into_memory(a, b):
        return gl.dljacobian(a**2, a).dense(out=np.zeros((2, 2)))

    for wrong in (of_direction, of_second_output, of_another_variable, through_numpy, into_memory):
        with pytest.raises(gl.TraceError):
            gl.dlfeval(wrong, gl.dlarray([1.0, 2.0]), gl.dlarray([1.0, 0.5]))


def test_directions_are_matched_by_key_and_by_label():
    x, v = gl.dlarray(randn(3, 3), "CB"), gl.dlarray(randn(3, 3), "BC")
    inside, expected, J = gl.dlfeval(lambda x: (gl.dljacobian(x**2, x) @ v, gl.jvp(x**2, x, v), gl.dljacobian(x**2, x)), x)
    close(inside, expected._value)
    close(J @ v, expected._value)
    a, b, da, db = (randn(3) for _ in range(4))

    def products(p):
        u = p["a"] ** 2 * p["b"]
        return gl.jvp(u, p, {"b": db, "a": da}), gl.dljacobian(u, p) @ {"b": db, "a": da}

    for product in gl.dlfeval(products, {"a": gl.dlarray(a), "b": gl.dlarray(b)}):
        close(product, 2 * a * b * da + a**2 * db)
    with pytest.raises(gl.TypeRefused, match=r"gl\.real"):
        J @ (v * 1j)
    close(gl.dlfeval(lambda x: gl.dljacobian(x**2, x), gl.dlarray([1.0, 2.0])) @ [1.0, 1.0], torch.tensor([2.0, 4.0], dtype=D))


def test_a_direction_is_put_in_order_by_its_labels():
    x, v = gl.dlarray(randn(3, 5), "CB"), gl.dlarray(randn(5, 3), "BC")
    J = gl.dlfeval(lambda x: gl.dljacobian(x**2, x), x)
    close(J @ v, 2 * x._value * v._value.T)
    close(J.T @ v, 2 * x._value * v._value.T)


def test_arrays_of_two_traces_and_computed_targets_that_lead_nowhere_are_errors():
    def outer(x, axis):
        def inner(z):
            gl.dljacobian(z**2, x, *axis)
            return gl.sum(z)

        gl.value_and_gradient(inner)(np.ones(2))
        return x

    for axis in ((), (0,)):
        with pytest.raises(gl.TraceError, match="different traces"):
            gl.dlfeval(lambda x, axis=axis: outer(x, axis), gl.dlarray([1.0, 2.0]))
        with pytest.raises(gl.TraceError, match="does not depend on the target computed"):
            gl.dlfeval(lambda x, axis=axis: gl.dljacobian(x**2, x[:1], *axis), gl.dlarray([1.0, 2.0]))


def test_a_warning_names_the_line_of_its_own_trace():
    def one(x):
        y = x - gl.mean(x, axis=0)  # the first
        return gl.dljacobian(y, x, 1)

    def other(x):
        y = x - gl.mean(x, axis=0)  # the second
        return gl.dljacobian(y, x, 1)

    for function, line in ((one, "the first"), (other, "the second")):
        with pytest.warns(gl.BatchDependenceWarning, match=line):
            gl.dlfeval(function, gl.dlarray(randn(4, 3)))


def test_a_buffer_cannot_be_edited_behind_the_pool():
    part = gl.dlfeval(lambda x: gl.dljacobian(x * x, x), gl.dlarray([1.0, 2.0]))
    buffer = part.dense(out=part.buffer())
    with pytest.raises(ValueError, match="read-only"):
        buffer += 100
    close(buffer.copy(), torch.diag(torch.tensor([2.0, 4.0], dtype=D)))
