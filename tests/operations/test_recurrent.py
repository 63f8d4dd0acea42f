"""lstm and gru against torch's, against their formulas, in every layout, and through every walk."""

import numpy as np
import pytest
import torch
from helpers import within

import gradloom as gl
from gradloom.operations.neural.sequences import lstm as lstm_module

close = within(1e-12)

T, B, C, H = 5, 3, 4, 2
LAYOUTS = ["TBC", "CBT", "BTC", "CTB", "BCT", "TCB"]
MODES = ["after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"]


def drawn(*shapes, dtype=torch.float64, seed=0):
    stream = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=stream, dtype=torch.float64).to(dtype) for s in shapes]


def lstm_arrays(dtype=torch.float64, t=T, b=B, c=C, h=H):
    return drawn((t, b, c), (b, h), (b, h), (4 * h, c), (4 * h, h), (4 * h,), dtype=dtype)


def gru_arrays(dtype=torch.float64, biases=1, t=T, b=B, c=C, h=H):
    return drawn((t, b, c), (b, h), (3 * h, c), (3 * h, h), (3 * h * biases,), dtype=dtype)


def torch_lstm(x, h, c, w, r, b):
    y, h, c = torch.lstm(x, (h[None], c[None]), [w, r, b, torch.zeros_like(b)], True, 1, 0.0, True, False, False)
    return y, h[0], c[0]


def torch_gru(x, h, w, r, b):
    n = 3 * h.shape[-1]
    second = b[n:] if len(b) > n else torch.zeros_like(b)
    y, h = torch.gru(x, h[None], [w, r, b[:n], second], True, 1, 0.0, True, False, False)
    return y, h[0]


ACTIVATIONS = {"tanh": torch.tanh, "softsign": lambda x: x / (1 + x.abs()), "relu": torch.relu, "sigmoid": torch.sigmoid,
               "hard-sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1)}


def formula_lstm(x, h, c, w, r, b, state, gate):
    steps = []
    for x_t in x:
        i, f, g, o = (x_t @ w.T + h @ r.T + b).chunk(4, 1)
        c = gate(f) * c + gate(i) * state(g)
        h = gate(o) * state(c)
        steps.append(h)
    return torch.stack(steps), h, c


def formula_gru(x, h, w, r, b, mode, state, gate):
    steps = []
    n = h.shape[1]
    second = b[3 * n:] if len(b) > 3 * n else torch.zeros(3 * n, dtype=x.dtype)
    for x_t in x:
        xr, xu, xn = (x_t @ w.T + b[:3 * n]).chunk(3, 1)
        hr, hu, hn = (h @ r.T + second).chunk(3, 1)
        reset, update = gate(xr + hr), gate(xu + hu)
        candidate = state(xn + ((reset * h) @ r[2 * n:].T if mode.startswith("before") else reset * hn))
        h = (1 - update) * candidate + update * h
        steps.append(h)
    return torch.stack(steps), h


# ----- values and gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("function", "reference", "arrays", "options"), [
    (gl.lstm, torch_lstm, lstm_arrays, {}), (gl.gru, torch_gru, gru_arrays, {}),
    (gl.gru, torch_gru, lambda dtype: gru_arrays(dtype, 2), {"reset_gate_mode": MODES[2]})], ids=["lstm", "gru", "gru with two biases"])
def test_values_and_gradients_are_torchs(function, reference, arrays, options, dtype):
    inputs = arrays(dtype)
    tolerance = 1e-12 if dtype is torch.float64 else 1e-5
    leaves = [x.clone().requires_grad_() for x in inputs]
    expected = reference(*leaves)
    weights = drawn(*[e.shape for e in expected], dtype=dtype, seed=1)
    torch_gradients = torch.autograd.grad([(e * w).sum() for e, w in zip(expected, weights)], leaves)

    def run(*arrays):
        found = function(*arrays, data_format="TBC", **options)
        loss = sum((gl.sum(f * gl.dlarray(w)) for f, w in zip(found, weights)), gl.dlarray(0.0, dtype=dtype))
        return found, gl.dlgradient(loss, *arrays)

    found, gradients = gl.dlfeval(run, *[gl.dlarray(x) for x in inputs])
    for f, e in zip((*found, *function(*inputs, data_format="TBC", **options)), expected * 2):  # traced, then tensors alone
        close(f, e, tolerance)
    for f, e in zip(gradients, torch_gradients):
        close(f, e, 10 * tolerance)


@pytest.mark.parametrize("used", [0, 1, 2])
def test_single_precision_gradient_of_each_output(used):
    inputs = lstm_arrays(torch.float32)
    leaves = [x.clone().requires_grad_() for x in inputs]
    expected = torch.autograd.grad((torch_lstm(*leaves)[used] ** 2).sum(), leaves)
    found = gl.dlfeval(lambda *a: gl.dlgradient(gl.sum(gl.lstm(*a, data_format="TBC")[used] ** 2), *a), *[gl.dlarray(x) for x in inputs])
    for f, e in zip(found, expected):
        close(f, e, 1e-4)


def test_single_precision_without_the_fast_kernel(monkeypatch):
    inputs = lstm_arrays(torch.float32)
    fast = gl.lstm(*inputs, data_format="TBC")
    monkeypatch.setattr(lstm_module, "_by_onednn", lambda *a: None)
    for f, e in zip(gl.lstm(*inputs, data_format="TBC"), fast):
        close(f, e, 1e-5)


@pytest.mark.parametrize("state", ["tanh", "softsign", "relu"])
@pytest.mark.parametrize("gate", ["sigmoid", "hard-sigmoid"])
def test_activations_and_reset_modes(state, gate):
    options = {"state_activation": state, "gate_activation": gate, "data_format": "TBC"}
    inputs = lstm_arrays()
    for f, e in zip(gl.lstm(*inputs, **options), formula_lstm(*inputs, ACTIVATIONS[state], ACTIVATIONS[gate]), strict=True):
        close(f, e)
    for mode in MODES:
        inputs = gru_arrays(biases=2 if mode == MODES[2] else 1)
        expected = formula_gru(*inputs, mode, ACTIVATIONS[state], ACTIVATIONS[gate])
        for f, e in zip(gl.gru(*inputs, reset_gate_mode=mode, **options), expected, strict=True):
            close(f, e)


@pytest.mark.parametrize("mode", MODES)
def test_second_and_third_derivatives_of_reset_modes(mode):
    x, h, w, r, b = [gl.dlarray(a) for a in gru_arrays(biases=2 if mode == MODES[2] else 1, t=3)]
    direction = gl.dlarray(drawn((3 * H, H), seed=3)[0])

    def along(r, order):
        y = gl.sum(gl.gru(x, h, w, r, b, reset_gate_mode=mode, data_format="TBC")[0] ** 2)
        for _ in range(order):
            y = gl.sum(gl.dlgradient(y, r, enable_higher_derivatives=True) * direction)
        return y

    step = 1e-4
    for order in (1, 2, 3):
        found = gl.dlfeval(along, r, order).item()
        ends = [gl.dlfeval(along, r + s * step * direction, order - 1).item() for s in (1, -1)]
        assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-6)


def test_one_node_for_all_time_steps():
    def count(x):
        before = x._node.trace.number
        gl.lstm(x, *lstm_arrays(t=50)[1:])
        return x._node.trace.number - before

    counts = [gl.dlfeval(count, gl.dlarray(drawn((t, B, C))[0], "TBC")) for t in (2, 50)]
    assert counts[0] == counts[1] < 10


def test_structured_jacobian_of_the_last_state():
    inputs = [gl.dlarray(a) for a in lstm_arrays(t=3)]

    def both(w, r):
        _, h, c = gl.lstm(*inputs[:3], w, r, inputs[5], data_format="TBC")
        u = h + c
        return [gl.dljacobian(u, z) for z in (w, r)], [gl.stack([gl.dlgradient(e, z, retain_data=True) for e in gl.flatten(u)]) for z in (w, r)]

    blocks, rows = gl.dlfeval(both, inputs[3], inputs[4])
    for j, row in zip(blocks, rows):
        np.testing.assert_allclose(np.asarray(j.matrix()), np.asarray(row).reshape(B * H, -1), atol=1e-12)


# ----- layouts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", LAYOUTS)
def test_results_keep_the_order_of_the_labels(labels):
    x, h, c, w, r, b = lstm_arrays()
    y0, h0, c0 = torch_lstm(x, h, c, w, r, b)
    arranged = gl.permute_dims(gl.dlarray(x, "TBC"), labels)
    state = labels.replace("T", "")
    for given_h, given_c in ((gl.dlarray(h, "BC"), gl.dlarray(c.T, "CB")), (h if state == "BC" else h.T, c if state == "BC" else c.T)):
        y, h1, c1 = gl.lstm(arranged, given_h, given_c, w, r, b)
        assert (y.dims, h1.dims, c1.dims) == (labels, state, state)
        for f, e, order in ((y, y0, "TBC"), (h1, h0, "BC"), (c1, c0, "BC")):
            close(gl.permute_dims(f, order), e)
    unlabelled, h2, _ = gl.lstm(gl.stripdims(arranged), h1 * 0 + gl.permute_dims(gl.dlarray(h, "BC"), state), gl.dlarray(c, "BC"), w, r, b,
                                data_format=labels)
    assert unlabelled.dims == h2.dims == "" and unlabelled.shape == y.shape
    close(unlabelled, y._value)


def test_absent_axes_and_merged_ones():
    x, h, c, w, r, b = lstm_arrays()
    full = gl.lstm(gl.dlarray(x, "TBC"), h, c, w, r, b)[0]
    one = gl.lstm(gl.dlarray(x[:, 1], "TC"), h[1], c[1], w, r, b)
    assert [a.dims for a in one] == ["TC", "C", "C"]
    close(one[0], full._value[:, 1])
    step = gl.lstm(gl.dlarray(x[0].T, "CB"), h.T, c.T, w, r, b)
    assert [a.dims for a in step] == ["CB", "CB", "CB"]
    close(step[0], full._value[0].T)
    close(gl.lstm(gl.dlarray(x[0, 0], "C"), h[0], c[0], w, r, b)[1], full._value[0, 0])
    images = gl.lstm(gl.dlarray(x.reshape(T, B, 2, 2), "TBSS"), h, c, w, r, b)
    assert images[0].dims == "TBC"
    close(images[0], full._value)
    y, _ = gl.gru(gl.dlarray(x[:, 0], "TC"), h[0], *gru_arrays()[2:])
    assert y.dims == "TC" and y.shape == (T, H)


@pytest.mark.parametrize("shape", [(H,), (H, 1)])
def test_states_broadcast_over_the_batch(shape):
    x, h, c, w, r, b = lstm_arrays()
    one = h[0].reshape(shape)
    for labels in LAYOUTS:
        arranged = gl.permute_dims(gl.dlarray(x, "TBC"), labels)
        y, *_ = gl.lstm(arranged, one, one, w, r, b)
        close(gl.permute_dims(y, "TBC"), torch_lstm(x, h[:1].expand(B, H), h[:1].expand(B, H), w, r, b)[0])
    g = gl.dlfeval(lambda s: gl.dlgradient(gl.sum(gl.lstm(gl.dlarray(x, "TBC"), s, s, w, r, b)[0]), s), gl.dlarray(one))
    assert g.shape == shape


@pytest.mark.parametrize(("t", "b"), [(1, 3), (4, 0), (0, 3), (0, 0), (1, 1)])
def test_sizes_zero_and_one(t, b):
    inputs = lstm_arrays(t=t, b=b)
    gradients = gl.dlfeval(lambda *a: gl.dlgradient(sum((gl.sum(z) for z in gl.lstm(*a, data_format="TBC")), gl.dlarray(0.0)), *a), *map(gl.dlarray, inputs))
    assert [g.shape for g in gradients] == [tuple(x.shape) for x in inputs]
    y, h, c = gl.lstm(*inputs, data_format="TBC")
    assert y.shape == (t, b, H)
    if not t:
        close(h, inputs[1])
        close(c, inputs[2])
        assert (gradients[1]._value == 1).all() and (gradients[3]._value == 0).all()
    x, h0, *weights = gru_arrays(t=t, b=b)
    y, h = gl.gru(x, h0, *weights, data_format="TBC")
    assert y.shape == (t, b, H) and h.shape == (b, H)
    if not t:
        close(h, h0)


def test_saturated_gates_leak_no_nan():
    x, h, c, w, r, b = lstm_arrays()
    for function, inputs in ((gl.lstm, (x * 1e4, h, c, w, r, b)), (gl.gru, (x * 1e4, h, *gru_arrays()[2:]))):
        found = gl.dlfeval(lambda *a, f=function: gl.dlgradient(gl.sum(f(*a, data_format="TBC")[0]), *a), *map(gl.dlarray, inputs))
        assert all(torch.isfinite(g._value).all() for g in found)


# ----- errors --------------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused():
    x, h, c, w, r, b = lstm_arrays()
    labelled = gl.dlarray(x, "TBC")
    with pytest.raises(gl.LabelError, match="unlabelled.*data_format"):
        gl.lstm(x, h, c, w, r, b)
    with pytest.raises(gl.LabelError, match="needs an axis C or S"):
        gl.lstm(gl.dlarray(x, "TBU"), h, c, w, r, b)
    with pytest.raises(gl.ShapeError, match=r"input_weights 8 x 3.*5\(T\) x 3\(B\) x 4\(C\).*\(4 hidden, 4\)"):
        gl.lstm(labelled, h, c, w[:, :3], r, b)
    with pytest.raises(gl.ShapeError, match=r"\(6 hidden,\)"):
        gl.gru(labelled, h, *gru_arrays()[2:], reset_gate_mode=MODES[2])
    with pytest.raises(gl.ShapeError, match=r"h0 is.*\(2,\) for all observations, or 3\(B\) x 2\(C\)"):
        gl.lstm(labelled, h[:2], c, w, r, b)
    with pytest.raises(gl.ShapeError, match="c0 is"):
        gl.lstm(labelled, h, gl.dlarray(x, "TBC"), w, r, b)
    with pytest.raises(gl.TypeRefused, match="complex"):
        gl.lstm(gl.dlarray(x.to(torch.complex128), "TBC"), h, c, w, r, b)
    with pytest.raises(gl.ShapeError, match="'softsign'.*not 'sine'"):
        gl.lstm(labelled, h, c, w, r, b, state_activation="sine")
    with pytest.raises(gl.ShapeError, match="reset_gate_mode is one of.*test_recurrent.py"):
        gl.gru(labelled, h, *gru_arrays()[2:], reset_gate_mode="never")
