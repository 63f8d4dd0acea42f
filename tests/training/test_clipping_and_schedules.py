"""clip_gradients against torch, learn-rate schedules against torch's."""
import math

import numpy as np
import pytest
import torch

import gradloom as gl

METHODS = ["l2norm", "global-l2norm", "absolute-value"]


def arrays(dtype=torch.float64):
    stream = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=stream, dtype=dtype) * scale for shape, scale in [((3, 4), 1.0), ((), 5.0), ((7,), 0.01), ((0,), 1.0), ((2, 2), 0.0)]]


def by_torch(given, threshold, method):
    parameters = [torch.nn.Parameter(torch.zeros_like(x)) for x in given]
    for p, x in zip(parameters, given, strict=True):
        p.grad = x.clone()
    if method == "absolute-value":
        torch.nn.utils.clip_grad_value_(parameters, threshold)
    elif method == "global-l2norm":
        torch.nn.utils.clip_grad_norm_(parameters, threshold)
    else:
        for p in parameters:
            torch.nn.utils.clip_grad_norm_([p], threshold)
    return [p.grad for p in parameters]


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("threshold", [0.005, 0.5, 3.0, 1e3])
@pytest.mark.parametrize("method", METHODS)
def test_as_torch(method, threshold, recorded):
    given = arrays()
    clip = lambda g: gl.clip_gradients(g, threshold, method)
    tree = {"a": [gl.dlarray(x) for x in given[:3]], "b": tuple(gl.dlarray(x) for x in given[3:])}
    found = gl.dlfeval(clip, tree) if recorded else clip(tree)
    assert type(found["b"]) is tuple
    for x, y, old in zip([*found["a"], *found["b"]], by_torch(given, threshold, method), given, strict=True):
        torch.testing.assert_close(x._value, y, rtol=1e-3 if threshold < 0.1 else 1e-5, atol=0)  # torch adds 1e-6 to the norm
        if torch.linalg.vector_norm(old) < threshold and method == "l2norm":
            assert torch.equal(x._value, old)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_the_promise_to_the_last_digits(method, recorded):
    """Norms by NumPy; complex numbers keep their direction."""
    given = [*arrays(), torch.tensor([3 + 4j, 0.3j])]
    clip = lambda g: gl.clip_gradients(g, 1.5, method)
    tree = [gl.dlarray(x) for x in given]
    found = [np.asarray(x) for x in (gl.dlfeval(clip, tree) if recorded else clip(tree))]
    old = [x.numpy() for x in given]
    if method == "absolute-value":
        sizes = [np.maximum(np.abs(x) / 1.5, 1) for x in old]
    else:
        norms = [np.linalg.norm(x.ravel()) for x in old]
        sizes = [max(n / 1.5, 1) for n in ([np.linalg.norm(norms)] * len(old) if method == "global-l2norm" else norms)]
    for x, y, size in zip(found, old, sizes, strict=True):
        np.testing.assert_allclose(x, y / size, rtol=1e-6 if x.dtype == np.complex64 else 1e-7 if method == "global-l2norm" else 1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_types_labels_and_keys_stay(method):
    g = gl.Learnables({("a", "w"): gl.dlarray(np.full((2, 1), 300.0), "CB", dtype="float16"), ("b", "w"): gl.dlarray([3.0], dtype="float32")})
    found = gl.clip_gradients(g, 2.0, method)
    assert type(found) is gl.Learnables and [x.dtype for x in found.values()] == [torch.float16, torch.float32] and found["a", "w"].dims == "CB"
    assert all(bool(gl.all(gl.isfinite(x))) and float(gl.norm(gl.stripdims(x).astype("float64"))) <= 2.0 * 2 ** 0.5 for x in found.values())


def test_a_clipped_gradient_is_differentiated():
    def fun(x):
        y = gl.sum(gl.clip_gradients(x, 1.0) * gl.dlarray([1.0, 0.0]))
        return gl.dlgradient(y, x)

    # d/dx of x / |x|, first component: (|x|**2 - x x') / |x|**3 in its first row
    np.testing.assert_allclose(gl.dlfeval(fun, gl.dlarray([3.0, 4.0])), [16 / 125, -12 / 125], rtol=1e-12)
    np.testing.assert_allclose(gl.dlfeval(fun, gl.dlarray([0.0, 0.0])), [1.0, 0.0])


def test_refusals_of_clipping():
    with pytest.raises(TypeError, match=r"no method 'l2'.*l2norm"):
        gl.clip_gradients(gl.dlarray(1.0), 1.0, "l2")
    with pytest.raises(TypeError, match="is positive, not 0.0"):
        gl.clip_gradients(gl.dlarray(1.0), 0)
    x = {"a": gl.dlarray(1.0)}
    assert gl.clip_gradients(x, float("inf")) is x


# ----- schedules -----


def rates_of_torch(maker, steps):
    solver = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = maker(solver)
    rates = []
    for _ in range(steps):
        rates.append(solver.param_groups[0]["lr"])
        solver.step()
        schedule.step()
    return rates


T = torch.optim.lr_scheduler
PAIRS = {
    "piecewise": (gl.piecewise_learn_rate(drop_factor=0.3, period=4), lambda s: T.StepLR(s, 4, 0.3)),
    "exponential": (gl.exponential_learn_rate(drop_factor=0.9), lambda s: T.ExponentialLR(s, 0.9)),
    "warmup": (gl.warmup_learn_rate(initial_factor=0.2, num_steps=6, frequency_unit="epoch"), lambda s: T.LinearLR(s, 0.2, 1.0, 6)),
    "polynomial": (gl.polynomial_learn_rate(final_factor=1e-300, power=2.0, num_steps=9), lambda s: T.PolynomialLR(s, 9, 2.0)),
    "cosine": (gl.cosine_learn_rate(final_factor=0.1, period=5, period_growth_factor=2), lambda s: T.CosineAnnealingWarmRestarts(s, 5, 2, 0.03)),
    "cyclical": (gl.cyclical_learn_rate(max_factor=4.0, period=10, step_ratio=0.3), lambda s: T.CyclicLR(s, 0.3, 1.2, 3, 7, cycle_momentum=False)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_schedules_as_torch(name):
    schedule, maker = PAIRS[name]
    found = [schedule(0.3, 1, k) for k in range(1, 31)]
    np.testing.assert_allclose(found, rates_of_torch(maker, 30), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("unit", ["epoch", "iteration"])
@pytest.mark.parametrize("name", ["none", *PAIRS])
def test_names_and_units(name, unit):
    assert gl.scheduled_learn_rate(name, 0.3, 1, 1) == pytest.approx({"warmup": 0.03}.get(name, 0.3))
    if name != "none":
        schedule = getattr(gl, f"{name}_learn_rate")(frequency_unit=unit)
        moved = schedule(0.3, 5, 1) != schedule(0.3, 1, 1)
        assert moved == (unit == "iteration" and name != "piecewise") and (schedule(0.3, 1, 25) != schedule(0.3, 1, 1)) == (unit == "epoch")
        assert eval(repr(schedule), vars(gl))(0.3, 7, 8) == schedule(0.3, 7, 8)


def test_lists_follow_each_other():
    """Five iterations of warm-up, and then the epochs go on from where they are: MATLAB's example."""
    both = ["warmup", gl.polynomial_learn_rate(num_steps=20, final_factor=0.5, frequency_unit="iteration")]
    assert gl.scheduled_learn_rate(both, 1.0, 5) == pytest.approx(0.1 + 0.9 * 4 / 5)
    assert gl.scheduled_learn_rate(both, 1.0, 15) == pytest.approx(1 - 0.5 * 9 / 20)  # its tenth
    epochs = [gl.warmup_learn_rate(frequency_unit="epoch", num_steps=5), gl.piecewise_learn_rate(drop_factor=0.5, period=2)]
    assert [gl.scheduled_learn_rate(epochs, 1.0, 1, k) for k in (5, 6, 7, 8)] == pytest.approx([0.82, 1, 1, 0.5])
    mixed = [gl.warmup_learn_rate(num_steps=20), gl.piecewise_learn_rate(drop_factor=0.5, period=1), ]
    assert gl.scheduled_learn_rate(mixed, 1.0, 21, 3, 10) == 1.0 and gl.scheduled_learn_rate(mixed, 1.0, 31, 4, 10) == 0.5
    with pytest.raises(TypeError, match=r"how many iterations an epoch has.*iterations_per_epoch="):
        gl.scheduled_learn_rate(mixed, 1.0, 21, 3)
    three = [gl.warmup_learn_rate(num_steps=2), gl.polynomial_learn_rate(num_steps=3, frequency_unit="iteration"), lambda rate, k, e: rate / k]
    assert [gl.scheduled_learn_rate(three, 1.0, k, 1, 100) for k in (6, 7, 8)] == pytest.approx([1, 1 / 2, 1 / 3])


def test_refusals_of_schedules():
    for give, said in [("piecwise", "did you mean 'piecewise'"), (3, "a name, a function"), ([], "a name, a function")]:
        with pytest.raises(TypeError, match=said):
            gl.scheduled_learn_rate(give, 1.0, 1)
    with pytest.raises(TypeError, match="drop_factor is a positive number, not -1"):
        gl.piecewise_learn_rate(drop_factor=-1)
    with pytest.raises(TypeError, match="frequency_unit is \"epoch\" or \"iteration\", not 'batch'"):
        gl.cosine_learn_rate(frequency_unit="batch")
    with pytest.raises(TypeError, match="step_ratio is between 0 and 1"):
        gl.cyclical_learn_rate(step_ratio=1.0)
    with pytest.raises(TypeError, match="at least 1"):
        gl.cosine_learn_rate(period_growth_factor=math.nan)
