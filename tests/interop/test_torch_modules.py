"""Every module class of torch.nn, as torch's own tests sample them, through from_torch: value, gradients, second order, Jacobian and the
second call, in training and not, against torch itself."""

import copy
import functools
import re
import warnings

import pytest
import torch
from helpers import seed_torch, within
from torch.utils._pytree import tree_leaves, tree_map

import gradloom as gl
from gradloom.interop.torch import from_torch

close = within(1e-8, typed=True, nan=True)

pytest.importorskip("expecttest")

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's own, of its fast paths and of what it calls experimental
double = torch.float64
# In training these draw: what they give is held to its own gradient, not to torch's numbers.
DRAWING = {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "RReLU"}
# Classes, or samples of them, that are refused, and in which words. Lazy ones are run on their example first.
REFUSED: dict[str, str] = {}
# Of which torch's own backward keeps what forward made: differentiated once, and where that is reached in words.
OWN_BACKWARD = {"LinearCrossEntropyLoss"}
LAZY = "not known yet"
# Roots of negative numbers: the values are NaN, the gradient is NaN in torch, and 0 here, since relu did not select a NaN.
UNREAL = {"LPPool1d", "LPPool2d", "LPPool3d"}


@functools.cache
def infos():
    """Torch's list of its modules, which takes seconds to make: not before a test asks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip("torch.testing._internal.common_modules").module_db
    return {re.sub(r"\W", "_", info.name): info for info in found}


def samples(info, training):
    """(module, arguments) for each of torch's samples; arrays that require gradients are leaves of their own."""
    for sample in info.module_inputs_func(info, device="cpu", dtype=double, requires_grad=True, training=training):
        if sample.forward_input is not None:
            seed_torch(0)
            made, given = sample.constructor_input, sample.forward_input
            module = info.module_cls(*made.args, **made.kwargs).to(double).train(training)
            leaf = {}

            def own(x, leaf=leaf):
                if isinstance(x, torch.Tensor) and x.requires_grad:
                    return leaf.setdefault(id(x), x.detach().clone().requires_grad_())
                return x

            yield module, tree_map(own, (given.args, given.kwargs))


def outputs(result):
    return [y for y in tree_leaves(result) if isinstance(y, (torch.Tensor, gl.dlarray))]


def weights(k, shape):
    return torch.randn(tuple(shape), dtype=double, generator=torch.Generator().manual_seed(k))


def weighed(ys, total, real, constant):
    """One number that reads every output with its own weights."""
    loss = 0
    for k, y in enumerate(ys):
        if y.dtype.is_complex:
            loss = loss + total(real(y) * constant(weights(k, y.shape))) + total(real(y * -1j) * constant(weights(k + 50, y.shape)))
        elif y.dtype.is_floating_point:
            loss = loss + total(y * constant(weights(k, y.shape)))
    return loss


def leaves(arguments):
    return {id(x): x for x in tree_leaves(arguments) if isinstance(x, torch.Tensor) and x.requires_grad}


def ran(net, xs, arguments, training):
    """The outputs, with the leaves among the arguments replaced."""
    entered = dict(zip(leaves(arguments), xs, strict=True))

    def enter(x):
        return entered.get(id(x), gl.dlarray(x.detach())) if isinstance(x, torch.Tensor) else x

    args, kwargs = tree_map(enter, arguments)
    return outputs((net.forward if training else net.predict)(*args, **kwargs))


def ours(net, arguments, training):
    """Outputs and gradients, of learnables first."""
    arrays = leaves(arguments)

    def fun(net, xs):
        ys = ran(net, xs, arguments, training)
        loss = weighed(ys, gl.sum, gl.real, gl.dlarray)
        gradients = gl.dlgradient(loss, [net.learnables, *xs]) if isinstance(loss, gl.dlarray) and loss.traced else None
        return ys, gradients and [*gradients[0].values(), *gradients[1:]]

    gl.rng(0)
    return gl.dlfeval(fun, net, [gl.dlarray(x.detach()) for x in arrays.values()])


def flat(gradients):
    return [*gradients[0].values(), *gradients[1:]]


def second_order(net, arguments, training):
    """The gradient of the gradient along drawn directions."""

    def fun(net, xs):
        loss = weighed(ran(net, xs, arguments, training), gl.sum, gl.real, gl.dlarray)
        found = flat(gl.dlgradient(loss, [net.learnables, *xs], enable_higher_derivatives=True))
        along = sum((gl.sum(g * gl.dlarray(weights(k + 100, g.shape))) for k, g in enumerate(found)), start=0.0)
        return flat(gl.dlgradient(along, [net.learnables, *xs])) if along.traced else None

    gl.rng(0)
    return gl.dlfeval(fun, net, [gl.dlarray(x.detach()) for x in leaves(arguments).values()])


def their_second_order(module, arguments):
    """The same of torch, None where it has none."""
    targets = [*[p for p in module.parameters() if p.requires_grad], *leaves(arguments).values()]
    loss = weighed(outputs(module(*arguments[0], **arguments[1])), torch.sum, torch.real, lambda w: w)
    try:
        found = torch.autograd.grad(loss, targets, allow_unused=True, create_graph=True)
        along = sum((g * weights(k + 100, x.shape)).sum() for k, (g, x) in enumerate(zip(found, targets, strict=True)) if g is not None)
        if not along.requires_grad:
            return [torch.zeros_like(x) for x in targets]
        found = torch.autograd.grad(along, targets, allow_unused=True)
    except (RuntimeError, NotImplementedError):
        return None
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, targets, strict=True)]


BLOCK_AT_MOST = 300_000  # entries of a Jacobian


def rows_weighed(net, arguments, training):
    """The rows of the Jacobian of all outputs, weighed and added up: the gradient of the weighed sum; None where it is too large."""

    def fun(net, xs):
        ys = [y for y in ran(net, xs, arguments, training) if y.dtype.is_floating_point and y.traced]
        variables = [*net.learnables.values(), *xs]
        if not ys or sum(y.size for y in ys) * sum(x.size for x in variables) > BLOCK_AT_MOST:
            return None
        total = [torch.zeros(x.shape, dtype=x.dtype) for x in variables]
        for k, y in enumerate(ys):
            rows = torch.as_tensor(gl.dljacobian(y, [net.learnables, *xs]).matrix()._value)
            parts = (weights(k, y.shape).flatten() @ rows).split([x.size for x in variables])
            total = [t + p.reshape(t.shape) for t, p in zip(total, parts, strict=True)]
        return total

    gl.rng(0)
    return gl.dlfeval(fun, net, [gl.dlarray(x.detach()) for x in leaves(arguments).values()])


def theirs(module, arguments):
    ys = outputs(module(*arguments[0], **arguments[1]))
    arrays = leaves(arguments)
    targets = [*[p for p in module.parameters() if p.requires_grad], *arrays.values()]
    loss = weighed(ys, torch.sum, torch.real, lambda w: w)
    found = torch.autograd.grad(loss, targets, allow_unused=True) if isinstance(loss, torch.Tensor) and loss.requires_grad else [None] * len(targets)
    return ys, [torch.zeros_like(x) if g is None else g for g, x in zip(found, targets, strict=True)]


def same(a, b):
    assert torch.equal(torch.nan_to_num(a._value, 7.0), torch.nan_to_num(b._value, 7.0)), "the second call differs from the first"


def check(name, info, training, count=None):
    done = 0
    for module, arguments in samples(info, training):
        if done == count:
            break
        done += 1
        if any(torch.nn.parameter.is_lazy(p) for p in module.parameters()):
            with pytest.raises(gl.TypeRefused, match=LAZY):
                from_torch(module)
            module(*arguments[0], **arguments[1])
        net = from_torch(module)
        ys, gradients = ours(net, arguments, training)
        again, gradients_again = ours(net, arguments, training)
        expected, wanted = theirs(copy.deepcopy(module), arguments)
        gl.rng(0)
        args, kwargs = tree_map(lambda x: gl.dlarray(x.detach()) if isinstance(x, torch.Tensor) else x, arguments)
        untraced = outputs((net.forward if training else net.predict)(*args, **kwargs))
        for y, z in zip([*ys, *(gradients or [])], [*again, *(gradients_again or [])], strict=True):
            same(y, z)
        drawing = training and info.module_cls.__name__ in DRAWING
        for y, u, e in zip(ys, untraced, expected, strict=True):
            assert y.shape == tuple(e.shape) and y.dtype is e.dtype
            torch.testing.assert_close(u._value, y._value, rtol=1e-9, atol=1e-9, equal_nan=True, check_stride=False)
            if not drawing:
                close(y, e, 1e-9)
        if gradients is None:
            assert not any(g.abs().any() for g in wanted)
        elif not drawing:
            for g, e in zip(gradients, wanted, strict=True):
                if info.module_cls.__name__ in UNREAL and any(y.isnan().any() for y in expected):
                    e = torch.where(e.isnan(), g._value, e)
                close(g, e)
            if not any(y.isnan().any() for y in expected):
                further(net, module, arguments, training, gradients)
        elif info.module_cls.__name__ in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "RReLU"):  # linear in x where they are
            (x,) = outputs(arguments)
            torch.testing.assert_close((gradients[-1]._value * x.detach()).sum(), (ys[0]._value * weights(0, ys[0].shape)).sum())
    return done


def further(net, module, arguments, training, gradients):
    """The second order, against torch's, and the Jacobian, against the gradients."""
    expected = their_second_order(copy.deepcopy(module), arguments)
    if type(module).__name__ in OWN_BACKWARD and expected is not None:
        try:
            second_order(net, arguments, training)
        except gl.TraceError as error:
            assert "write it again in backward" in str(error)
            return
    if expected is not None:
        found = second_order(net, arguments, training)
        for g, e in zip(found if found is not None else [gl.zeros(e.shape) for e in expected], expected, strict=True):
            close(g, e)
    rows = rows_weighed(net, arguments, training)
    for r, g in zip(rows or [], gradients if rows else [], strict=True):
        close(gl.dlarray(r), g._value)


WITHOUT_SAMPLES: set[str] = set()


def check_part(part, parts, count=None):
    """Some of the modules, in training and not; what is wrong is gathered, so that one fault hides no other."""
    wrong = []
    for name, info in list(infos().items())[part::parts]:
        for training in (True, False):
            try:
                if name in REFUSED:
                    with pytest.raises(gl.GradloomError, match=REFUSED[name]):
                        check(name, info, training, count)
                elif not check(name, info, training, count):
                    assert name in WITHOUT_SAMPLES, "no samples"
            except Exception as error:
                wrong.append(f"{name}, {'training' if training else 'not training'}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", range(12))
def test_two_samples_of_every_module(part):
    check_part(part, 12, 2)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(24))
def test_all_samples_of_every_module(part):
    check_part(part, 24)


def test_most_of_torch_nn_is_there():
    classes = {info.module_cls for info in infos().values()}
    assert len(classes) > 110 and torch.nn.Transformer in classes and torch.nn.CTCLoss in classes
