"""Where other libraries' arrays enter: tensors that torch is about to differentiate, masked arrays, pandas; and operations on tensors that require gradients."""

import numpy as np
import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from operation_cases import cases

import gradloom as gl
from gradloom.core.tables import OPERATIONS

double = torch.float64
T = torch.tensor([1.0, 2.0], dtype=double)


def square(x):
    return gl.sum(x ** 2)


# What makes something of ours from a tensor: refused while a transform runs on it.
DOORS = {
    "dlarray": gl.dlarray, "list": lambda t: gl.dlarray([1.0, 2.0]) * gl.stack([gl.dlarray(1.0), gl.dlarray(t[0])]), "copy=False": lambda t: gl.dlarray(t, copy=False),
    "value_and_gradient": lambda t: gl.value_and_gradient(square)(t)[0], "gradient": lambda t: gl.value_and_gradient(square)(t)[1],
    "hessian": lambda t: gl.hessian(square)(t), "jacobian": lambda t: gl.jacobian(lambda x: x ** 2)(t), "detach": gl.detach, "extractdata": gl.extractdata,
    "product": lambda t: gl.dlarray([1.0, 2.0]) * t, "tensor first": lambda t: t * gl.dlarray([1.0, 2.0]), "torch function": lambda t: torch.maximum(gl.dlarray([1.0, 2.0]), t),
    "matmul": lambda t: gl.matmul(gl.dlarray([1.0, 2.0]), t), "constant": lambda t: gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x * t), x), gl.dlarray([1.0, 2.0])),
    "assignment": lambda t: gl.dlarray([1.0, 2.0]).__setitem__(0, t[0]), "ctc": lambda t: gl.ctc(t[:, None].expand(2, 3), torch.tensor([1]), from_logits=True, data_format="TC"),
    "torch's own": lambda t: torch.special.i0e(gl.dlarray([1.0]) + t[0]), "where": lambda t: gl.where(gl.dlarray([True, False]), t, 0.0),
}


def dual(f, t):
    with forward_ad.dual_level():
        return f(forward_ad.make_dual(t, torch.ones_like(t)))


def number(f):
    return lambda t: torch.as_tensor(f(t)._value if isinstance(f(t), gl.dlarray) else f(t)).sum()


TRANSFORMS = {
    "grad": lambda f, t: torch.func.grad(number(f))(t), "vjp": lambda f, t: torch.func.vjp(number(f), t), "jvp": lambda f, t: torch.func.jvp(f, (t,), (t,)),
    "jacrev": lambda f, t: torch.func.jacrev(f)(t), "jacfwd": lambda f, t: torch.func.jacfwd(f)(t), "hessian": lambda f, t: torch.func.hessian(f)(t),
    "vmap": lambda f, t: torch.func.vmap(f)(torch.stack([t, t])), "dual": dual, "computed": lambda f, t: f(t.clone().requires_grad_() * 1),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("door", DOORS)
def test_a_tensor_that_torch_is_about_to_differentiate_is_refused(door, transform):
    if (door, transform) == ("ctc", "computed"):  # an operation on tensors alone, on torch's graph
        return
    with pytest.raises(gl.TypeRefused, match="running|require gradients"):
        TRANSFORMS[transform](DOORS[door], T)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("function", [gl.sin, gl.tanh, lambda t: gl.softmax(t, axis=0), lambda t: gl.cumsum(t, axis=0), lambda t: gl.norm(t), lambda t: gl.sum(t * t)])
def test_operations_on_tensors_are_differentiated_by_torch_s_transforms(function):
    expected = gl.jacobian(function)(T)
    for found in (torch.func.jacrev(function)(T), torch.func.jacfwd(function)(T)):
        torch.testing.assert_close(found, torch.as_tensor(expected))


# ----- operations on tensors that require gradients -----

UNDIFFERENTIATED = {"floor_divide", "mod", "silu_slope"}  # torch has no derivative of their kernels, and says so


def differentiable_cases():
    for name, operation in OPERATIONS.items():
        try:
            found = list(cases(operation))
        except Exception:
            continue  # it has none
        if any(case.values() for case in found):
            yield pytest.param(operation, found, id=name)


DIFFERENTIABLE = list(differentiable_cases())


def total(outputs, add, real, imag):
    loss = 0.0
    for k, y in enumerate(outputs):
        if y.dtype.is_floating_point:
            loss = loss + add(y * (k + 1.3))
        elif y.dtype.is_complex:
            loss = loss + add(real(y)) * (k + 1.0) + add(imag(y)) * (k + 0.5)
    return loss


@pytest.mark.parametrize(("operation", "found"), DIFFERENTIABLE)
def test_torch_s_gradient_of_an_operation_on_tensors_is_ours(operation, found):
    refused = ran = 0
    for case in found:
        values = case.values()

        def run(xs, array, case=case):
            inputs = list(case.inputs)
            for k, x in zip(case.variables, xs, strict=True):
                inputs[k] = x
            inputs = [gl.dlarray(v) if array and isinstance(v, torch.Tensor) else v for v in inputs]
            result = operation.apply(tuple(inputs), case.params)
            return result if isinstance(result, tuple) else (result,)

        def gradient(*xs, run=run):
            loss = total([y for y in run(xs, True) if y.traced], gl.sum, gl.real, gl.imag)
            return gl.dlgradient(loss, list(xs))

        try:
            expected = gl.dlfeval(gradient, *map(gl.dlarray, values))
        except gl.GradloomError:
            continue  # without a derivative, or with nothing that is traced
        leaves = [v.clone().requires_grad_() for v in values]
        try:
            loss = total(run(leaves, False), torch.sum, torch.real, torch.imag)
            grads = torch.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else [None] * len(leaves)
        except RuntimeError as error:
            assert "is not implemented" in str(error)
            refused += 1
            continue
        ran += 1
        for a, b in zip(expected, grads, strict=True):
            torch.testing.assert_close(a._value, torch.zeros_like(a._value) if b is None else b, rtol=1e-6, atol=1e-8, equal_nan=True, check_stride=False)
    assert not refused or operation.name in UNDIFFERENTIATED


def forwards(loss, values, directions):
    return torch.func.jvp(loss, tuple(values), tuple(directions))[1]


def backwards(loss, values, directions):
    gradients = torch.func.grad(loss, tuple(range(len(values))))(*values)
    return sum((g.conj() * v).real.sum() for g, v in zip(gradients, directions, strict=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("operation", "found"), DIFFERENTIABLE)
def test_torch_s_transforms_of_an_operation_on_tensors_are_right_or_refused(operation, found):
    for case in found:
        values = case.values()
        directions = [torch.randn(v.shape, dtype=v.dtype, generator=torch.Generator().manual_seed(k)) for k, v in enumerate(values)]

        def loss(*xs, case=case):
            inputs = list(case.inputs)
            for k, x in zip(case.variables, xs, strict=True):
                inputs[k] = x
            array = isinstance(xs[0], gl.dlarray)
            result = operation.apply(tuple(gl.dlarray(v) if array and isinstance(v, torch.Tensor) else v for v in inputs), case.params)
            outputs = [y for y in (result if isinstance(result, tuple) else (result,)) if not array or y.traced]
            return total(outputs, gl.sum, gl.real, gl.imag) if array else total(outputs, torch.sum, torch.real, torch.imag)

        try:
            gradients = gl.dlfeval(lambda *xs, loss=loss: gl.dlgradient(loss(*xs), list(xs)), *map(gl.dlarray, values))
        except gl.GradloomError:
            continue
        along = sum((g._value.conj() * v).real.sum() for g, v in zip(gradients, directions, strict=True))
        for transform in (forwards, backwards):
            try:
                theirs = transform(loss, values, directions)
            except (RuntimeError, NotImplementedError, gl.GradloomError, ValueError, TypeError, AttributeError):
                continue  # torch has no such derivative, or it is refused
            torch.testing.assert_close(torch.as_tensor(theirs).to(along.dtype), along, rtol=1e-6, atol=1e-8, equal_nan=True)


@pytest.mark.parametrize("function", [
    lambda t: gl.erfcx(t), gl.sinpi, lambda t: gl.polygamma(1, t.abs() + 1), lambda t: gl.attention(t.reshape(1, 2, 3), t.reshape(1, 2, 3), t.reshape(1, 2, 3), 1, data_format="BTC"),
    lambda t: gl.lstm(t.reshape(3, 2), t[:2] * 0, t[:2] * 0, t.repeat(2)[:8].outer(t[:1]).expand(8, 2) * 0.3, t[:1].expand(8, 2) * 0.2, t.repeat(2)[:8], data_format="TC")[0],
])
def test_second_derivatives_on_torch_s_graph(function):
    t = torch.tensor([0.3, -0.7, 1.1, 0.4, -0.2, 0.9], dtype=double)

    def loss(t):
        return (function(t) ** 2).sum()

    assert torch.autograd.gradcheck(loss, t.clone().requires_grad_())
    assert torch.autograd.gradgradcheck(loss, t.clone().requires_grad_())


# ----- masks -----

MASKED = np.ma.array([1.0, 2.0], mask=[False, True])


@pytest.mark.parametrize("use", [
    gl.dlarray, gl.sin, lambda m: gl.dlarray([m, m]), lambda m: gl.stack([m, m]), lambda m: gl.dlarray([1.0, 2.0]) * m, lambda m: np.add(m, gl.dlarray([1.0, 2.0])),
    lambda m: gl.value_and_gradient(square)(m), lambda m: gl.dlarray([1.0, 2.0]) * m[1], lambda m: gl.dlarray([1.0, 2.0])[m > 0], lambda m: gl.where(m > 0, gl.dlarray(1.0), 0.0),
    lambda m: gl.dlarray([[1.0], m[1:]]),
])
def test_a_masked_array_is_refused(use):
    with pytest.raises(gl.TypeRefused, match=r"gl.where\(mask"):
        use(MASKED)


def test_a_masked_array_without_a_mask_is_an_array():
    assert gl.dlarray(np.ma.array([1.0, 2.0])).tolist() == [1.0, 2.0] and (gl.dlarray([1.0, 2.0]) * np.ma.array([3.0, 4.0])).tolist() == [3.0, 8.0]


@pytest.mark.filterwarnings("ignore")
def test_a_masked_tensor_is_refused():
    masked = torch.masked.masked_tensor(T, torch.tensor([True, False]))
    for use in (gl.dlarray, lambda m: gl.dlarray([1.0, 2.0]) * m, lambda m: m * gl.dlarray([1.0, 2.0]), lambda m: torch.add(gl.dlarray([1.0, 2.0]), m),
                lambda m: gl.value_and_gradient(square)(m)):
        with pytest.raises(gl.TypeRefused, match="to_tensor"):
            use(masked)


# ----- pandas -----


def test_operators_of_pandas_reach_ours():
    pandas = pytest.importorskip("pandas")
    series, frame = pandas.Series([1.0, 2.0]), pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    x = gl.dlarray([3.0, 5.0])

    def both(x):
        found = [series * x, x * series, series - x, series / x, series ** x, series + x, frame * x, frame - x, series < x, series == x, series.index + x]
        assert all(isinstance(y, gl.dlarray) for y in found)
        return gl.dlgradient(gl.sum(series * x) + gl.sum(series ** x) + gl.sum(frame * x), x), [gl.detach(y) for y in found]

    g, found = gl.dlfeval(both, x)
    s, v, f = series.to_numpy(), np.array([3.0, 5.0]), frame.to_numpy()
    np.testing.assert_allclose(g, s + s ** v * np.log(s) + f.sum(0))
    for y, e in zip(found, [s * v, v * s, s - v, s / v, s ** v, s + v, f * v, f - v, s < v, s == v, np.arange(2) + v], strict=True):
        np.testing.assert_allclose(y, e)
