"""interface.md 1.3 to 1.6: dlgradient, its targets and options. torch is the referee."""
import gc
import weakref

import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl
from gradloom.core.tables import OPERATIONS
from gradloom.core.trace import Node, ancestors

rng = stream(0)


def with_line(words):
    """A message that says this, and names a line of this file."""
    return f"(?s)(?=.*test_gradient.py:\\d+).*{words}"


# ----- known answers ----------------------------------------------------------------------------------------------------


def test_rosenbrock_both_ways():
    def vector(x):
        y = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        return y, gl.dlgradient(y, x)

    def scalars(x1, x2):
        y = 100 * (x2 - x1 ** 2) ** 2 + (1 - x1) ** 2
        return y, *gl.dlgradient(y, x1, x2)

    value, gradient = gl.dlfeval(vector, gl.dlarray([-1, 2]))
    assert (value.item(), gradient.tolist()) == (104, [396, 200])
    assert [v.item() for v in gl.dlfeval(scalars, gl.dlarray(-1), gl.dlarray(2))] == [104, 396, 200]


@pytest.mark.parametrize("point", [-2.0, 0.0, 3.5])
def test_what_is_extracted_is_a_constant(point):
    for constant in (lambda x: gl.atan(gl.extractdata(x)), lambda x: gl.atan(gl.detach(x)), lambda x: np.arctan(gl.extractdata(x))):
        assert gl.dlfeval(lambda x, constant=constant: gl.dlgradient(x + constant(x), x), gl.dlarray(point)).item() == 1


def test_relu_at_zero():
    slope = [gl.dlfeval(lambda x: gl.dlgradient(gl.relu(x), x), gl.dlarray(v)).item() for v in (0.0, np.finfo(float).eps)]
    assert slope == [0, 1]


# ----- complex numbers (design 3) ------------------------------------------------------------------------------------------

z0 = np.array([1 + 2j, -0.5 + 0.3j, -2j, 3.0 + 0j])
COMPLEX = {
    "re((2+3i)x)": lambda m, z: m.real(z * (2 + 3j)), "|z|^2": lambda m, z: m.abs(z) ** 2, "abs": lambda m, z: m.abs(z), "angle": lambda m, z: m.angle(z),
    "z conj(z)": lambda m, z: m.real(z * m.conj(z)), "imag": lambda m, z: m.imag(z * z), "exp": lambda m, z: m.real(m.exp(z)),
    "chain": lambda m, z: m.abs(m.exp(m.sin(z) / (z * z + 5)) * m.conj(z)), "sqrt": lambda m, z: m.imag(m.sqrt(z + 5) * z),
    "power": lambda m, z: m.real(z ** 3 + (2 + 1j) * z), "tanh": lambda m, z: m.abs(m.tanh(z) - m.conj(z)), "mixed": lambda m, z: m.real(z) * m.imag(z * 2j),
    "divide": lambda m, z: m.real((1 + 2j) / (z + 4)), "matmul": lambda m, z: m.real(m.matmul(z, m.conj(z) * 2j)) + m.real(m.sum(z)),
    "sigmoid": lambda m, z: m.imag(m.sigmoid(z) * z),
    "log": lambda m, z: m.real(m.log(z + 6)) * m.angle(z + 6), "sign": lambda m, z: m.real(gl.sign(z) if m is gl else torch.sgn(z)),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_gradients_are_torchs(name):
    f = COMPLEX[name]
    ours = gl.dlfeval(lambda z: gl.dlgradient(gl.sum(f(gl, z)), z), gl.dlarray(z0))
    t = torch.tensor(z0, requires_grad=True)
    torch.sum(f(torch, t)).backward()
    assert np.allclose(ours, t.grad.numpy(), atol=1e-12)
    if name == "re((2+3i)x)":
        assert ours.tolist() == [2 - 3j] * 4


def test_the_gradient_of_a_real_variable_is_real():
    def fun(x, w):
        y = gl.sum(gl.abs(gl.exp(1j * x) * w + 0.5))
        return gl.dlgradient(y, x, w)

    x, w = np.array([0.3, -1.0]), np.array([1 + 1j, 2.0])
    slopes = gl.dlfeval(fun, gl.dlarray(x), gl.dlarray(w))
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    torch.sum(torch.abs(torch.exp(1j * tx) * tw + 0.5)).backward()
    assert slopes[0].dtype is torch.float64 and np.allclose(slopes[0], tx.grad) and np.allclose(slopes[1], tw.grad)


def test_complex_results_and_targets_are_refused_where_they_must_be():
    z = gl.dlarray([1 + 2j])
    with pytest.raises(gl.TypeRefused, match=r"gl.real\(y\)"):
        gl.dlfeval(lambda z: gl.dlgradient(gl.sum(z * z), z), z)
    with pytest.raises(gl.TypeRefused, match="allow_complex"):
        gl.dlfeval(lambda z: gl.dlgradient(gl.sum(gl.real(z)), z, allow_complex=False), z)
    x = gl.dlarray([1.0, 2.0])  # complex in between is allowed
    assert gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.real(gl.exp(1j * x))), x, allow_complex=False), x).dtype is torch.float64


# ----- higher derivatives (1.5) ------------------------------------------------------------------------------------------------

X, W1, B1, W2 = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=(5, 1))


def critic(m, x, w1, b1, w2):
    return m.matmul(m.tanh(m.matmul(x, w1) + b1), w2)


def penalty(m, slope):
    return m.sum((m.sqrt(m.sum(slope ** 2, **({"axis": 1} if m is gl else {"dim": 1}))) - 1) ** 2)


def test_the_gradient_penalty_of_a_wgan():
    def loss(x, w1, b1, w2):
        slope = gl.dlgradient(gl.sum(critic(gl, x, w1, b1, w2)), x, enable_higher_derivatives=True)
        return gl.dlgradient(penalty(gl, slope), w1, b1, w2)

    ours = gl.dlfeval(loss, *map(gl.dlarray, (X, W1, B1, W2)))
    t = [torch.tensor(a, requires_grad=True) for a in (X, W1, B1, W2)]
    slope, = torch.autograd.grad(critic(torch, *t).sum(), t[0], create_graph=True)
    for g, expected in zip(ours, torch.autograd.grad(penalty(torch, slope), t[1:])):
        assert np.allclose(g, expected.numpy(), atol=1e-10, rtol=1e-10)


def test_the_same_without_the_option_is_an_error():
    def loss(x, w1, b1, w2):
        slope = gl.dlgradient(gl.sum(critic(gl, x, w1, b1, w2)), x)  # the line that is named
        return gl.dlgradient(penalty(gl, slope), w1)

    with pytest.raises(gl.TraceError, match=r"(?s)test_gradient.py:\d+: slope = gl.dlgradient.*not recorded.*test_gradient.py:\d+: return "
                                            r".*enable_higher_derivatives=True.*detach\(g\)"):
        gl.dlfeval(loss, *map(gl.dlarray, (X, W1, B1, W2)))


def test_third_derivatives_of_a_small_network():
    def ours(x, w1, b1, w2):
        y = gl.sum(critic(gl, x, w1, b1, w2))
        first = gl.dlgradient(y, x, enable_higher_derivatives=True)
        second = gl.dlgradient(gl.sum(first ** 2), x, enable_higher_derivatives=True)
        return second, *gl.dlgradient(gl.sum(gl.sin(second)), x, w1, b1, w2)

    t = [torch.tensor(a, requires_grad=True) for a in (X, W1, B1, W2)]
    first, = torch.autograd.grad(critic(torch, *t).sum(), t[0], create_graph=True)
    second, = torch.autograd.grad((first ** 2).sum(), t[0], create_graph=True)
    third = torch.autograd.grad(torch.sin(second).sum(), t)
    for g, expected in zip(gl.dlfeval(ours, *map(gl.dlarray, (X, W1, B1, W2))), (second, *third), strict=True):
        assert np.allclose(g, expected.detach().numpy(), atol=1e-10)


def test_fifth_derivative_of_one_variable():
    def fun(x):
        y = gl.exp(2 * x)
        for _ in range(5):
            y = gl.dlgradient(y, x, enable_higher_derivatives=True)
        return y

    assert np.isclose(gl.dlfeval(fun, gl.dlarray(0.5)).item(), 32 * np.exp(1))


def test_a_recorded_derivative_that_is_constant_has_derivative_zero():
    def fun(x, w):
        first = gl.dlgradient(3 * x, x, enable_higher_derivatives=True)
        second = gl.dlgradient(first, x, enable_higher_derivatives=True)
        zero = gl.dlgradient(w * 2, x, enable_higher_derivatives=True)  # an independent leaf
        return first, second, gl.dlgradient(second, x), gl.dlgradient(zero, x), gl.dlgradient(first, w), gl.dlgradient(first * w, w)

    assert [v.item() for v in gl.dlfeval(fun, gl.dlarray(2.0), gl.dlarray(5.0))] == [3, 0, 0, 0, 0, 3]

    def intermediate(x):  # it descends from a computed target too, where no operation leads from one to the other
        h = gl.exp(x)
        slope = gl.dlgradient(3 * h, h, enable_higher_derivatives=True)
        return slope, gl.dlgradient(slope, h)

    assert [v.item() for v in gl.dlfeval(intermediate, gl.dlarray(2.0))] == [3, 0]


# ----- marks: what was not recorded is no constant (1.5, 1.8) ----------------------------------------------------------------------

MARKED = {"dlgradient": lambda y, x: gl.dlgradient(gl.sum(y), x), "jvp": lambda y, x: gl.jvp(y, x, x.detach()),
          "vjp": lambda y, x: gl.vjp(y, x, x.detach()), "hvp": lambda y, x: gl.hvp(gl.sum(y), x, x.detach())}


@pytest.mark.parametrize("word", MARKED)
def test_an_unrecorded_derivative_in_a_later_walk_is_an_error(word):
    def fun(x, use):
        y = x ** 3
        return use(MARKED[word](y, x), y, x)

    x = gl.dlarray([1.0, 2.0])
    for use in (lambda g, y, x: gl.dlgradient(gl.sum(g), x), lambda g, y, x: gl.dlgradient(gl.sum(g * y), x),
                lambda g, y, x: gl.jvp(g * y, x, x.detach()), lambda g, y, x: gl.vjp(g, x, x.detach()),
                lambda g, y, x: gl.dlgradient(gl.sum(gl.concat([g, x])), x), lambda g, y, x: gl.dlgradient(gl.sum(g[1:] * 0), x)):
        with pytest.raises(gl.TraceError, match=with_line("not recorded.*enable_higher_derivatives=True")):
            gl.dlfeval(fun, x, use)
    for refused in (float, np.asarray, lambda g: g.tolist()):
        with pytest.raises(gl.TraceError, match=with_line("detach")):
            gl.dlfeval(fun, x, lambda g, y, x, refused=refused: refused(gl.sum(g)))
    detached = gl.dlfeval(fun, x, lambda g, y, x: gl.dlgradient(gl.sum(gl.detach(g) * x), x))
    assert np.allclose(detached, gl.dlfeval(fun, x, lambda g, y, x: g))

    def printing(g, y, x):
        assert "traced" in repr(g) and f"{gl.sum(g):.2f}" and bool(gl.sum(g) > 0) and str(g)
        gl.extractdata(g)
        return gl.dlgradient(gl.sum(y), x)  # a walk that does not pass through the mark

    assert gl.dlfeval(fun, x, printing).tolist() == [3, 12]


# ----- targets (1.3) -------------------------------------------------------------------------------------------------------------


def test_intermediates_are_targets():
    def fun(x, w):
        h = gl.tanh(x @ w)
        k = gl.exp(h)
        y = gl.sum(k * h)
        return gl.dlgradient(y, h, k, x, w), (h, k)

    (h_bar, k_bar, x_bar, w_bar), (h, k) = gl.dlfeval(fun, gl.dlarray(X), gl.dlarray(W1))
    h, k = np.array(h), np.array(k)
    assert np.allclose(h_bar, k + k * h) and np.allclose(k_bar, h)
    assert np.allclose(x_bar, ((k + k * h) * (1 - h ** 2)) @ W1.T) and np.allclose(w_bar, X.T @ ((k + k * h) * (1 - h ** 2)))


def test_a_target_that_is_computed_asks_nothing_of_its_operation():
    """What it was computed from is not asked for: its pull, which may be dear, or refuse, is not run."""
    asked = []

    def pull(y_bar, wanted):
        asked.append(wanted)
        return (2 * y_bar,)

    twice = gl.general("twice", lambda x: 2 * x, push=lambda x_dot: 2 * x_dot, pull=pull)

    def run(x):
        h = twice(x)
        y = gl.sum(h * h)
        return gl.dlgradient(y, h), gl.dlgradient(y, x)

    to_h, to_x = gl.dlfeval(run, gl.dlarray([1.0, 2.0]))
    np.testing.assert_array_equal(np.asarray(to_h), [4, 8])
    np.testing.assert_array_equal(np.asarray(to_x), [8, 16])
    assert asked == [[True]]


def test_containers_of_targets():
    def fun(x, tree):
        y = gl.sum(x ** 2) + tree["b"][0] * tree["a"]
        return gl.dlgradient(y, x, tree), gl.dlgradient(y, [tree]), gl.dlgradient(y, tree["b"]), gl.dlgradient(y, {}), gl.dlgradient(y, x, x)

    tree = {"b": [gl.dlarray(3.0), None], "a": gl.dlarray(4.0), "name": "n"}
    (x_bar, t_bar), [again], [b_bar, none], empty, twice = gl.dlfeval(fun, gl.dlarray([1.0, 2.0], "C"), tree)
    assert x_bar.dims == "C" and x_bar.tolist() == [2, 4] and list(t_bar) == ["b", "a", "name"] and t_bar["name"] == "n" and empty == {}
    assert t_bar["b"][0].item() == again["b"][0].item() == b_bar.item() == 4 and t_bar["a"].item() == 3 and none is None
    assert twice[0].tolist() == twice[1].tolist() == [2, 4]


def test_leaves_that_do_not_matter_get_zeros():
    def fun(x, w):
        return gl.dlgradient(gl.sum(x), w, x), gl.dlgradient(gl.dlarray(3.0), x), gl.dlgradient(gl.sum(x) * 0, x), gl.dlgradient(gl.floor(x[0]), x)

    (w_bar, x_bar), constant, zero, floor = gl.dlfeval(fun, gl.dlarray([1.0, 2.0]), gl.dlarray(np.ones((2, 3), "float32"), "CB"))
    assert w_bar.tolist() == [[0] * 3] * 2 and w_bar.dims == "CB" and w_bar.dtype is torch.float32 and x_bar.tolist() == [1, 1]
    assert constant.tolist() == zero.tolist() == floor.tolist() == [0, 0]


def test_a_computed_target_that_does_not_lead_to_y():
    def fun(x):
        u = gl.sum(x ** 2)
        first = x[:, 0]  # the line that is named
        return gl.dlgradient(u, first)

    with pytest.raises(gl.TraceError, match=r"test_gradient.py:\d+: first = x\[:, 0\]"):
        gl.dlfeval(fun, gl.dlarray(X))
    with pytest.raises(gl.TraceError, match="does not depend"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.dlarray(1.0), x * 2), gl.dlarray(X))


def test_targets_that_are_none():
    captured, x0 = gl.dlarray([1.0, 2.0]), gl.dlarray([1.0, 2.0])

    def made(x):
        inside = gl.dlarray([0.0, 0.0])
        return gl.dlgradient(gl.sum(x + inside), inside)

    with pytest.raises(gl.TraceError, match=r"test_gradient.py:\d+: inside = gl.dlarray.*pass it to dlfeval as an argument"):
        gl.dlfeval(made, x0)
    for target in (lambda: gl.zeros(2), lambda: gl.dlarray(gl.dlarray([1.0]), "C"), lambda: gl.dlarray([1.0]).copy()):
        with pytest.raises(gl.TraceError, match="made inside"):
            gl.dlfeval(lambda x, target=target: gl.dlgradient(gl.sum(x), target()), x0)
    with pytest.raises(gl.TraceError, match=r"came from outside dlfeval \(captured\): pass it as an argument"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x * captured), captured), x0)
    with pytest.raises(gl.TypeRefused, match='dlarray\\(x, dtype="float64"\\)'):
        gl.dlfeval(lambda x, i: gl.dlgradient(gl.sum(x), i), x0, gl.dlarray([1], dtype="int64"))
    for bad in (3.0, None, np.ones(2), torch.ones(2), "x", [1.0]):
        with pytest.raises(gl.TypeRefused, match=r"dlarray\(x\)"):
            gl.dlfeval(lambda x, bad=bad: gl.dlgradient(gl.sum(x), bad), x0)
    with pytest.raises(gl.TypeRefused, match="at least one target"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x)), x0)
    for outside in (lambda: gl.dlgradient(x0[0], x0), lambda: gl.jvp(x0, x0, x0), lambda: gl.vjp(x0, x0, x0), lambda: gl.hvp(x0[0], x0, x0)):
        with pytest.raises(gl.TraceError, match=r"dlfeval\(fun, x, ...\)"):
            outside()


def test_an_array_that_was_assigned_into_is_no_target():
    def fun(x):
        buffer = x.copy()
        buffer[0] = 5.0  # the line that is named
        y = gl.sum(buffer ** 2)
        right = gl.dlgradient(y, x)
        with pytest.raises(gl.TraceError, match=r"test_gradient.py:\d+: buffer\[0\] = 5.0.*x.copy\(\)"):
            gl.dlgradient(y, buffer)
        copied = buffer.copy()  # another handle, that was not
        z = gl.sum(copied ** 2) + gl.sum(copied * 3) + gl.sum(gl.exp(copied))
        return right, *gl.dlgradient(z, copied, x)

    right, at_copy, x_bar = gl.dlfeval(fun, gl.dlarray([1.0, 2.0]))
    slope = 2 * np.array([5, 2]) + 3 + np.exp([5, 2])
    assert right.tolist() == [0, 4] and np.allclose(at_copy, slope) and np.allclose(x_bar, [0, slope[1]])


def test_only_a_real_scalar_is_differentiated():
    for shape in ((), (1,), (1, 1), (1, 1, 1)):
        assert gl.dlfeval(lambda x: gl.dlgradient(x ** 2, x), gl.dlarray(np.full(shape, 3.0))).tolist() == np.full(shape, 6.0).tolist()
    for y in (lambda x: x, lambda x: x[:0], lambda x: gl.dlarray(gl.stripdims(x), "C")):
        with pytest.raises(gl.ShapeError, match=r"(?s)y is (2|0).*gl.sum\(y\).*dljacobian\(y, x\)"):
            gl.dlfeval(lambda x, y=y: gl.dlgradient(y(x), x), gl.dlarray([1.0, 2.0]))
    for bad in (3.0, np.float64(2), torch.ones(()), None):
        with pytest.raises(gl.TypeRefused, match="NumPy or torch"):
            gl.dlfeval(lambda x, bad=bad: gl.dlgradient(bad, x), gl.dlarray([1.0, 2.0]))


# ----- retain, discard, recompute (design 3) ------------------------------------------------------------------------------------------


def adversary(x, g, d, **options):
    """The two losses of a GAN, that share the generated images."""
    fake = gl.tanh(x @ g)
    score_fake, score_real = gl.sigmoid(fake @ d), gl.sigmoid(gl.cos(x) @ d)
    loss_d = -gl.mean(gl.log(score_real) + gl.log(1 - score_fake))
    loss_g = -gl.mean(gl.log(score_fake) * gl.sqrt(score_fake))
    first = gl.dlgradient(loss_g, g, **options)
    return first, gl.dlgradient(loss_d, d, **options), gl.dlgradient(loss_g, g)


def test_dropping_and_keeping_give_the_same_numbers():
    big = gl.dlarray(rng.normal(size=(40, 30))), gl.dlarray(rng.normal(size=(30, 30)) / 5), gl.dlarray(rng.normal(size=(30, 20)) / 5)
    dropped, kept = gl.dlfeval(adversary, *big), gl.dlfeval(adversary, *big, retain_data=True)
    recorded = gl.dlfeval(adversary, *big, enable_higher_derivatives=True)
    for a, b, c in zip(dropped, kept, recorded):
        assert np.array_equal(a, b) and np.allclose(a, c, rtol=1e-12)
    assert np.array_equal(dropped[0], dropped[2])


def test_dropped_random_draws_are_the_same_again():
    def fun(x):
        y = gl.exp(x * gl.rand(x.shape)) * gl.rand(x.shape)
        return gl.dlgradient(gl.sum(y), x), gl.dlgradient(gl.sum(y), x, retain_data=True)

    first, second = gl.dlfeval(fun, gl.dlarray(rng.normal(size=1000)))
    assert np.array_equal(first, second)


def test_memory_falls_as_the_walk_goes(monkeypatch):
    def live(**options):
        size, values, counts = 1000, [], []

        def fun(x):
            y = x
            for _ in range(20):
                y = gl.sin(y)
                values.append(weakref.ref(y._value))
            loss = gl.sum(y)
            del y
            original = Node.drop
            monkeypatch.setattr(Node, "drop", lambda node: (original(node), counts.append(sum(v() is not None for v in values)))[0])
            g = gl.dlgradient(loss, x, **options)
            monkeypatch.setattr(Node, "drop", original)
            after = sum(v() is not None for v in values)
            stored = [v for node in ancestors([loss._node]) for v in node.values if v is not None]
            assert gl.dlgradient(loss, x, **options).shape == g.shape
            again = [v for node in ancestors([loss._node]) for v in node.values if v is not None]
            assert len(again) == len(stored)  # what was computed again is dropped again
            return g, after

        gc.collect()
        _, after = gl.dlfeval(fun, gl.dlarray(np.ones(size)))
        return counts, after

    counts, after = live()
    assert counts == sorted(counts, reverse=True) and counts[0] - counts[-1] >= 18 and after <= 1
    assert live(retain_data=True)[1] >= 19


def test_only_what_can_be_computed_again_is_dropped():
    def fun(x, w):
        kept = gl.dlgradient(gl.sum(gl.exp(x) ** 2), x)  # a marked derivative
        mean = gl.batchnorm(gl.reshape(x, (250, 2)), gl.zeros(2), gl.ones(2), data_format="BC")[1]  # a statistic
        y = gl.sum(kept * w * gl.exp(kept * w * 1e-3)) * gl.sum(mean * w[:2])
        return gl.dlgradient(y, w), gl.dlgradient(y, w)

    first, second = gl.dlfeval(fun, gl.dlarray(rng.normal(size=500)), gl.dlarray(rng.normal(size=500)))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("seed", range(5))
def test_a_dropped_channel_has_exactly_zero_gradient(seed):
    def fun(x):
        keep = gl.rand((1, 8, 1, 1)) > 0.5
        y = gl.where(keep, x * 2.0, 0.0)
        g = gl.dlgradient(gl.sum(gl.exp(y)), x, enable_higher_derivatives=True)
        return keep, g, gl.dlgradient(gl.sum(g), x)

    gl.rng(seed)
    keep, *slopes = gl.dlfeval(fun, gl.dlarray(rng.normal(size=(4, 8, 3, 3)), "BCSS"))
    keep = np.asarray(keep).ravel()
    for g in slopes:
        g = np.array(g)
        assert (g[:, ~keep] == 0).all() and (g[:, keep] != 0).all()


# ----- memory of the walk -----


def test_products_are_added_where_the_walk_owns_the_memory():
    """Arrays that are read many times, by products, sums and powers: the walk of tensors equals the recorded one and leaves all values alone."""
    rng = np.random.default_rng(5)
    a, b = gl.dlarray(rng.standard_normal((3, 4))), gl.dlarray(rng.standard_normal((3, 4)))
    c = gl.dlarray(rng.standard_normal((4,)))
    programs = {
        "squares": lambda a, b, c: a * a + a * b + a * a * b,
        "the same cotangent for two": lambda a, b, c: (a + b) + (a * b + (a + b) * a),
        "broadcasting": lambda a, b, c: a * c + (c * c) * (b * a) + c * 2.0 + c,
        "a sum under a product": lambda a, b, c: ((s := a + b) * s) * c + s,
        "of a shared slope": lambda a, b, c: gl.tanh(a) * gl.tanh(a) + (y := gl.sigmoid(a * b)) * y + y,
        "a fused sum": lambda a, b, c: OPERATIONS["multiply_add"].apply((a, a, b)) * OPERATIONS["multiply_add"].apply((b, a, a)),
        "a write into it": lambda a, b, c: written(a * b, c * 2) * a + a,
        "two types": lambda a, b, c: gl.astype(a, "float32") * gl.astype(b, "float32") + gl.astype(a, "float32") * b,
    }

    def written(x, value):
        y = x * x
        y[1] = value
        return y * x

    for name, program in programs.items():

        def run(a, b, c, program=program):
            u = program(a, b, c)
            y = gl.sum(gl.sin(u) * u)
            recorded = gl.dlgradient(y, (a, b, c, u), enable_higher_derivatives=True)
            return recorded, gl.dlgradient(y, (a, b, c, u), retain_data=True), gl.dlgradient(y, (a, b, c, u)), y, gl.sum(gl.sin(u) * u)

        recorded, kept, dropped, before, after = gl.dlfeval(run, a, b, c)
        assert float(before) == float(after), name
        for r, k, d in zip(recorded, kept, dropped, strict=True):
            np.testing.assert_allclose(np.asarray(k), np.asarray(r), rtol=1e-5 if name == "two types" else 1e-12, atol=1e-5 if name == "two types" else 1e-12,
                                       err_msg=name)
            np.testing.assert_array_equal(np.asarray(k), np.asarray(d), err_msg=name)


def test_what_a_users_rule_returns_is_not_added_to():
    """A fused pull of the user's own may give memory that it keeps."""
    kept = torch.full((3,), 2.0, dtype=torch.float64)
    double = gl.elementwise("double", lambda x: 2 * x, 2, fused_pull=lambda y_bar: kept)
    x = gl.dlarray([1.0, 2.0, 3.0])
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x * 5.0 + x * x + double(x)), x), x)
    np.testing.assert_array_equal(np.asarray(g), 5 + 2 * np.array([1.0, 2.0, 3.0]) + 2)
    assert torch.equal(kept, torch.full((3,), 2.0, dtype=torch.float64))
