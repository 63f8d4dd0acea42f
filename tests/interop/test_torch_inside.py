"""torch's own derivatives inside torch modules: flags, torch.autograd's functions and Functions as torch has them, transforms refused by name."""

import copy
import dataclasses
import threading

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from helpers import seed_torch
from torch import nn
from torch.utils import checkpoint as checkpoints

import gradloom as gl
from gradloom.interop.torch import from_torch

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own
double = torch.float64
functional = torch.autograd.functional


class Module(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run
        self.w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=double))
        self.frozen = nn.Parameter(torch.tensor([0.5, -1.0], dtype=double), requires_grad=False)
        self.register_buffer("buffer", torch.ones(2, dtype=double))
        self.linear = nn.Linear(2, 2).double()

    def forward(self, x):
        return self.run(self, x)


def flags(s, x):
    z = torch.zeros(2, dtype=double)
    z[0] = s.w[0]
    asked = [s.w, s.frozen, s.buffer, x, x * s.w, x * 2, s.w * 2, s.buffer * 2, s.w.detach(), s.w.data, s.w.t(), s.w[0], s.w > 0, torch.stack([s.w, s.w]), z,
             F.linear(x, s.linear.weight), torch.zeros(2, requires_grad=True), torch.zeros_like(s.w), s.w.clone(), x.detach(), s.w.round(), x.new_zeros(2)]
    with torch.no_grad():
        asked += [s.w * 2, s.w]
    number = 0
    for k, t in enumerate(asked):
        number += (k + 1) * (t.requires_grad + 100 * t.is_leaf + 10_000 * (t.grad_fn is None))
    return x * s.w * number


def pinn(s, x):
    x = x.detach().requires_grad_(True)
    y = torch.tanh(s.linear(x)).sum()
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    return h * g


def input_gradient(s, x):
    x = x * 1 if x.requires_grad else x.clone().requires_grad_()
    return torch.autograd.grad(torch.tanh(s.linear(x)).sum(), x, create_graph=True)[0]


def absent(s, x):
    found = torch.autograd.grad((s.w ** 2).sum(), [s.w, s.linear.weight], allow_unused=True)
    filled = torch.autograd.grad((s.w ** 2).sum(), [s.w, s.linear.weight], materialize_grads=True)
    return x * s.w * (found[1] is None) + filled[1].sum()


def parameter_inside(s, x):
    p = nn.Parameter(x.detach() * 2)
    return p * x * s.w if p.requires_grad and p.is_leaf else x


def clamped(s, x):
    s.w.data.clamp_(0, 1.5)
    return x * s.w ** 2


def written_behind(s, x):
    y = x * 1
    y.detach()[0] = 7.0
    return y ** 2 * s.w


def replaced(s, x):
    s.w.data = torch.tensor([5.0, 6.0], dtype=double)
    return x * s.w ** 2


def cut(s, x):
    y = x ** 2
    y.detach_()
    return y * s.w * x


def cube(t):
    return t ** 3


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x ** 2 * g


LIKE_TORCH = {
    "flags": flags, "pinn": pinn, "input gradient": input_gradient, "unused": absent, "parameter inside": parameter_inside, "data": clamped,
    "behind": written_behind, "new data": replaced, "detach_": cut,
    "branch on x": lambda s, x: x * 2 * s.w if x.requires_grad else x * 3 * s.w, "branch on w": lambda s, x: x * 2 if s.w.requires_grad else x * 3,
    "grad": lambda s, x: torch.autograd.grad((x ** 3 * s.w).sum(), s.w, create_graph=True)[0] * x,
    "grad of a vector": lambda s, x: torch.autograd.grad(s.w * x.sin(), s.w, x * s.w, create_graph=True)[0] * s.w,
    "constant grad": lambda s, x: torch.autograd.grad((s.w ** 2 * x.sin()).sum(), s.w)[0] * s.w * x,
    "jacobian": lambda s, x: functional.jacobian(lambda t: cube(t) * s.w, x, create_graph=True).sum(0),
    "constant jacobian": lambda s, x: functional.jacobian(lambda t: cube(t) * s.w, x).sum(0) * x,
    "hessian": lambda s, x: functional.hessian(lambda t: (cube(t) * s.w).sum(), x, create_graph=True).sum(0),
    "vjp": lambda s, x: functional.vjp(lambda t: cube(t) * s.w, x, s.buffer, create_graph=True)[1],
    "jvp": lambda s, x: functional.jvp(lambda t: cube(t) * s.w, x, s.buffer, create_graph=True)[1],
    "hvp": lambda s, x: functional.hvp(lambda t: (cube(t) * s.w).sum(), x, s.buffer, create_graph=True)[1],
    "vhp": lambda s, x: functional.vhp(lambda t: (cube(t) * s.w).sum(), x, s.buffer, create_graph=True)[1],
    "functional_call": lambda s, x: torch.func.functional_call(s.linear, {"weight": s.linear.weight * 2}, (x,)),
    "checkpoint": lambda s, x: checkpoints.checkpoint(s.linear, x, use_reentrant=False),
    "checkpoints": lambda s, x: checkpoints.checkpoint_sequential([s.linear, s.linear], 2, x, use_reentrant=False),
    "inference": lambda s, x: x + torch.inference_mode()(lambda: s.w.detach() * 2)().clone(),
    "grad of a Function": lambda s, x: torch.autograd.grad(Cube.apply(s.linear(x * s.w)[1:]).sum(), s.w, create_graph=True)[0] * x,
    "constant grad of a Function": lambda s, x: torch.autograd.grad(Cube.apply(x * s.w)[1:].sum(), s.w)[0] * x * s.w,
    "hessian of a Function": lambda s, x: functional.hessian(lambda t: (Cube.apply(t).roll(1) * s.w * t).sum(), x, create_graph=True).sum(0),
    "no grad yet": lambda s, x: x * s.w if s.w.grad is None else x,
}
REFUSED = {
    "vmap": lambda s, x: torch.func.vmap(lambda t: t * 2)(x), "vmap of linear": lambda s, x: torch.func.vmap(s.linear)(x[None])[0],
    "vmap of constants": lambda s, x: torch.func.vmap(lambda t: t * 2)(torch.ones(3, 2)).sum() * x, "func.grad": lambda s, x: torch.func.grad(lambda t: s.linear(t).sum())(x),
    "grad of an element": lambda s, x: torch.func.grad(lambda t: t[0])(x), "jacrev": lambda s, x: torch.func.jacrev(s.linear)(x).sum(0),
    "jacfwd": lambda s, x: torch.func.jacfwd(s.linear)(x).sum(0), "func.jvp": lambda s, x: torch.func.jvp(s.linear, (x,), (x,))[1],
    "func.vjp": lambda s, x: torch.func.vjp(s.linear, x)[1](x)[0], "func.hessian": lambda s, x: torch.func.hessian(lambda t: s.linear(t).sum())(x)[0],
    "linearize": lambda s, x: torch.func.linearize(s.linear, x)[1](x), "functionalize": lambda s, x: torch.func.functionalize(lambda t: t * 2)(x),
    "vectorized jacobian": lambda s, x: functional.jacobian(cube, x, vectorize=True), "backward": lambda s, x: (x * s.w).sum().backward(),
    "autograd.backward": lambda s, x: torch.autograd.backward((x * s.w).sum()), "hook": lambda s, x: (x * s.w).register_hook(lambda g: 2 * g),
    "next function": lambda s, x: (x * s.w).grad_fn.next_functions, "strided": lambda s, x: (torch.outer(x, s.w).mT * 1).as_strided((2,), (2,)),
}
WORDS = {
    "vmap": "torch.func.vmap .*write the batch as an axis", "vmap of linear": "torch.func.vmap", "vmap of constants": "torch.func.vmap", "func.grad": "torch.autograd.grad",
    "grad of an element": "torch.func.grad", "jacrev": "jacrev", "jacfwd": "jacfwd", "func.jvp": "torch.func.jvp", "func.vjp": "vjp", "func.hessian": "torch.func",
    "linearize": "forward_ad|torch.func", "functionalize": "functionalize", "vectorized jacobian": "is_grads_batched", "backward": "torch.autograd.grad",
    "autograd.backward": "torch.autograd.backward", "hook": "hooks", "next function": "torch's own graph", "strided": "contiguous",
}


def dual(s, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(s.linear(forward_ad.make_dual(x, x)))[1]


REFUSED["dual"], WORDS["dual"] = dual, "forward_ad"


def both(run, traced):
    """Values and gradients, ours and torch's, with the input, the module or both traced."""
    seed_torch(0)
    module = Module(run)
    rival = copy.deepcopy(module)
    x = torch.tensor([3.0, 5.0], dtype=double, requires_grad="x" in traced)
    y = rival(x)
    targets = ([x] if "x" in traced else []) + ([p for p in rival.parameters() if p.requires_grad] if "net" in traced else [])
    expected = torch.autograd.grad(y.sum(), targets, allow_unused=True) if targets and y.requires_grad else [None] * len(targets)
    net, array = from_torch(module), gl.dlarray(x.detach())

    def fun(net, x):
        y = net(x)
        wanted = ([x] if "x" in traced else []) + ([*net.learnables.values()] if "net" in traced else [])
        return gl.detach(y), [gl.dlgradient(gl.sum(y), t, retain_data=True) for t in wanted] if y.traced else [None] * len(wanted)

    def ours():
        if traced == ("x",):
            return gl.dlfeval(lambda x: fun(net, x), array)
        if traced == ("net",):
            return gl.dlfeval(lambda net: fun(net, array), net)
        return gl.dlfeval(fun, net, array) if traced else (net(array), [])

    return y, expected, ours(), ours()


@pytest.mark.parametrize("traced", [("x", "net"), ("x",), ("net",), ()], ids=["both", "x", "net", "neither"])
@pytest.mark.parametrize("name", LIKE_TORCH)
def test_inside_a_module_as_in_torch(name, traced):
    y, expected, *calls = both(LIKE_TORCH[name], traced)
    for value, gradients in calls:
        torch.testing.assert_close(value._value, y.detach())
        for g, e in zip(gradients, expected, strict=True):
            found = torch.zeros(()) if g is None else g._value
            torch.testing.assert_close(found, torch.zeros_like(found) if e is None else e)


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_write(name, traced):
    net, x = from_torch(Module(REFUSED[name])), gl.dlarray([3.0, 5.0])
    with pytest.raises(gl.TypeRefused, match=WORDS[name]):
        gl.dlfeval(lambda net, x: net(x), net, x) if traced else net(x)
    assert float(gl.sum(from_torch(Module(lambda s, x: x))(x))) == 8.0  # nothing of it stays


def test_torch_s_messages_stay():
    x = gl.dlarray([3.0, 5.0])
    for run, words in ((lambda s, x: torch.autograd.grad((s.buffer ** 2).sum(), s.w), "does not require grad"),
                       (lambda s, x: torch.autograd.grad((s.w ** 2).sum(), s.linear.weight), "not have been used"),
                       (lambda s, x: torch.autograd.grad(s.w, s.w), "only for scalar outputs"), (lambda s, x: (s.w * 2).requires_grad_(False), "leaf variables")):
        with pytest.raises(RuntimeError, match=words):
            from_torch(Module(run))(x)


def test_a_backward_hook_of_a_module_is_refused():
    module = Module(lambda s, x: s.linear(x))
    module.linear.register_full_backward_hook(lambda m, grad_in, grad_out: None)
    with pytest.raises(gl.TypeRefused, match="backward hook"):
        from_torch(module)(gl.dlarray([3.0, 5.0]))


def test_a_module_that_differentiates_draws_once():
    net, x = from_torch(Module(lambda s, x: torch.autograd.grad((torch.rand(2, dtype=double) * s.w ** 2).sum(), s.w, create_graph=True)[0] + x)), gl.dlarray([0.0, 0.0])
    gl.rng(3)
    first = net(x)
    gl.rng(3)
    assert torch.equal(net(x)._value, first._value) and torch.equal((first._value / torch.tensor([2.0, 4.0])), gl.rng(3) or gl.rand((2,))._value)


def test_a_generator_that_the_module_gives_is_used():
    def run(s, x):
        g = torch.Generator().manual_seed(3)
        drawn = [torch.rand(2, dtype=double, generator=g), torch.randn(2, dtype=double, generator=g), torch.randperm(2, generator=g),
                 torch.empty(2, dtype=double).uniform_(generator=g), torch.empty(2, dtype=double).normal_(generator=g), torch.bernoulli(torch.full((2,), 0.5, dtype=double), generator=g),
                 torch.multinomial(torch.ones(2), 2, generator=g), torch.normal(torch.zeros(2, dtype=double), 1.0, generator=g), torch.empty(2, dtype=double).bernoulli_(0.5, generator=g)]
        return sum((k + 1) * d for k, d in enumerate(drawn)) * x * s.w

    y, expected, *calls = both(run, ("x", "net"))
    for value, gradients in calls:
        torch.testing.assert_close(value._value, y.detach())
        torch.testing.assert_close(gradients[0]._value, expected[0])


def test_an_index_is_written_as_a_number():
    net = from_torch(Module(lambda s, x: x * len(f"{x.argmax()}{x.argmax():03d}") * (f"{x.sum():.2f}" == "8.00") * (f"{x.argmax()}" == "1")))
    assert net(gl.dlarray([3.0, 5.0])).tolist() == [12.0, 20.0]
    assert gl.dlfeval(lambda net, x: gl.detach(net(x)), net, gl.dlarray([3.0, 5.0])).tolist() == [12.0, 20.0]
    assert f"{gl.dlarray(3, dtype='int64')} {gl.dlarray(0.5):.2f} {gl.dlarray(2.5)}" == "3 0.50 2.5"


def test_other_threads_keep_torch_s_functions():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    found = []

    def elsewhere():
        x = torch.ones(2, requires_grad=True)
        found.append(torch.autograd.grad(Doubled.apply(x).sum(), x)[0].tolist())

    def run(s, x):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return Doubled.apply(x * s.w)

    y, expected, *calls = both(run, ("x", "net"))
    torch.testing.assert_close(calls[0][1][0]._value, expected[0])
    assert found and all(f == [2.0, 2.0] for f in found)


@pytest.mark.parametrize("training", [True, False])
def test_outputs_of_parts(training):
    seed_torch(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.LSTM(4, 2)).double()
    net, x = from_torch(module), torch.randn(5, 3, dtype=double)
    run = net.forward if training else net.predict
    hidden = module[0](x)
    torch.testing.assert_close(run(gl.dlarray(x), outputs="0")._value, hidden.detach())
    linear, states, last = run(gl.dlarray(x), outputs=["0", "2/1", "2/0"])
    y, (h, c) = module(x)
    torch.testing.assert_close(linear._value, module[0](x).detach())
    torch.testing.assert_close(last._value, y.detach())
    torch.testing.assert_close([s._value for s in states], [h.detach(), c.detach()])
    one, state = net(gl.dlarray(x), outputs="1", return_state=True)
    assert one.shape == (5, 4) and dict(state) == {}
    g = gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x, outputs="1") ** 2), net.learnables), net, gl.dlarray(x))
    e = torch.autograd.grad((torch.relu(module[0](x)) ** 2).sum(), module[0].weight)[0]
    torch.testing.assert_close(g["0", "weight"]._value, e)
    with pytest.raises(KeyError, match="did you mean '0'|has no part '00'"):
        net(gl.dlarray(x), outputs="00")
    with pytest.raises(KeyError, match="no output '7'"):
        net(gl.dlarray(x), outputs="2/7")
    layer = nn.Linear(3, 3).double()
    with pytest.raises(gl.TypeRefused, match="ran 2 times"):
        from_torch(nn.Sequential(layer, layer))(gl.dlarray(x), outputs="0")


@pytest.mark.parametrize("function", [
    lambda x: torch.relu(x.transpose(1, 2)).flatten(1), lambda x: (x.transpose(1, 2) * 2).reshape(2, -1), lambda x: torch.sin(x.permute(2, 0, 1)).reshape(4, 6),
    lambda x: torch.tanh(x.mT).unflatten(1, (2, 2)), lambda x: torch.exp(x.mT).contiguous().view(-1), lambda x: F.silu(x.transpose(0, 2)).view_as(x.reshape(4, 3, 2)),
    lambda x: F.softmax(x.mT, -1).flatten(), lambda x: (x.mT + x.mT).unsqueeze(0).flatten(0, 2), lambda x: x.mT.mul(2).chunk(2, 1)[1].reshape(-1),
])
def test_shapes_after_an_operation_on_a_transposed_array(function):
    x = torch.randn(2, 3, 4, dtype=double)
    net = from_torch(doing_on(function))
    for traced in (True, False):
        y = gl.dlfeval(net, gl.dlarray(x)) if traced else net(gl.dlarray(x))
        torch.testing.assert_close(y._value, function(x))


def doing_on(function):
    module = nn.Module()
    module.forward = function
    return module


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"attn_mask": torch.tensor([[True, False, True], [False, False, False], [True, True, True]])},
                                     {"attn_mask": torch.tensor([[0.3, -torch.inf, 0.0], [-torch.inf] * 3, [0.0, 0.0, 1.0]], dtype=double)}, {"scale": 0.3}])
@pytest.mark.parametrize("heads", [4, 2, 1])
def test_attention_with_grouped_heads_and_masked_rows(heads, options):
    q, k, v = (torch.randn(2, h, 3, 5, dtype=double) for h in (4, heads, heads))

    def attend(q, k, v):
        return F.scaled_dot_product_attention(q * 1, k * 1, v * 1, enable_gqa=True, **options)

    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    expected = attend(*leaves)
    wanted = torch.autograd.grad((expected ** 2).sum(), leaves)
    module = doing_on(attend)
    for function in (from_torch(module), attend):
        y, g = gl.dlfeval(lambda *xs, f=function: ((y := f(*xs)), gl.dlgradient(gl.sum(y ** 2), list(xs))), *map(gl.dlarray, (q, k, v)))
        torch.testing.assert_close(y._value, expected.detach())
        for a, b in zip(g, wanted, strict=True):
            torch.testing.assert_close(a._value, b)
        torch.testing.assert_close(function(*map(gl.dlarray, (q, k, v)))._value, expected.detach())


def test_a_mask_made_from_indices_by_vmap():
    """As language models make theirs: no numbers that could be differentiated go through the transform."""
    def masked(x):
        k = torch.arange(x.shape[-1])
        mask = torch.vmap(torch.vmap(lambda q, k: (k <= q) & (k != 1), in_dims=(None, 0)), in_dims=(0, None))(k, k)
        return torch.where(mask, x, 0.0)

    x = torch.randn(4, 4, dtype=double)
    y, g = gl.dlfeval(lambda x: ((y := from_torch(doing_on(masked))(x)), gl.dlgradient(gl.sum(y), x)), gl.dlarray(x))
    torch.testing.assert_close(y._value, masked(x))
    torch.testing.assert_close(g._value, masked(torch.ones_like(x)))


def test_results_in_a_dataclass():
    @dataclasses.dataclass
    class Result:
        value: torch.Tensor
        states: list
        name: str

    net = from_torch(Module(lambda s, x: Result(x * s.w, [x, {"w": s.w}], "r")))
    found, g = gl.dlfeval(lambda net, x: ((r := net(x)), gl.dlgradient(gl.sum(r.value), net.learnables)), net, gl.dlarray([3.0, 5.0]))
    assert found.name == "r" and found.value.tolist() == [3.0, 10.0] and found.states[1]["w"].tolist() == [1.0, 2.0]
    assert g["", "w"].tolist() == [3.0, 5.0]


WORDS_OF_RESULTS = {
    "jacobian": lambda net, x: gl.dljacobian(net(x), net.learnables), "jacobian of x": lambda net, x: gl.dljacobian(net(x), x),
    "along an axis": lambda net, x: gl.dljacobian(net(x), x, 1), "laplacian": lambda net, x: gl.dllaplacian(net(x), x, 1),
    "laplacian, differentiated": lambda net, x: [*gl.dlgradient(gl.sum(gl.dllaplacian(net(x), x, 1) ** 2), net.learnables).values()],
    "hvp": lambda net, x: gl.hvp(gl.sum(net(x) ** 2), x, gl.ones(x.shape)), "jvp": lambda net, x: gl.jvp(net(x), x, gl.ones(x.shape)),
    "vjp": lambda net, x: gl.vjp(net(x), x, gl.ones((4, 1))), "divergence": lambda net, x: gl.dldivergence(net(x) * x, x, 1),
}


@pytest.mark.filterwarnings("ignore:.*cannot be proved from the trace")  # what a Function reads of other observations is not known
@pytest.mark.parametrize("word", WORDS_OF_RESULTS)
def test_every_derivative_goes_through_a_function_with_its_own_backward(word):
    seed_torch(0)
    a, b = nn.Linear(2, 3).double(), nn.Linear(3, 1).double()

    class Net(nn.Module):
        def __init__(self, power):
            super().__init__()
            self.a, self.b, self.power = a, b, power

        def forward(self, x):
            return self.b(self.power(torch.tanh(self.a(x))))

    def found(power):
        result = gl.dlfeval(WORDS_OF_RESULTS[word], from_torch(Net(power)), gl.dlarray(torch.linspace(-1, 1, 8, dtype=double).reshape(4, 2)))
        result = result.matrix() if hasattr(result, "matrix") else result
        return [torch.as_tensor(gl.extractdata(gl.dlarray(r)).copy()) for r in (result if isinstance(result, list) else [result])]

    for ours, plain in zip(found(Cube.apply), found(cube), strict=True):
        torch.testing.assert_close(ours, plain)
