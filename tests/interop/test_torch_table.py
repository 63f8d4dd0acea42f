"""One table of torch's names: none is stated twice, and a torch function, its module and ATen's operation give the same number and the same slope."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gradloom as gl
from gradloom.core.declare import elementwise
from gradloom.core.tables import PUBLIC
from gradloom.interop.torch import from_torch, twins
from gradloom.interop.torch.aten import recording as aten
from gradloom.interop.torch.aten.rules import matrices, movement, neural, pointwise
from gradloom.interop.torch.functions import FUNCTIONS
from gradloom.interop.torch.table import RULES, WHOLE, WRITERS, Table

double = torch.float64
PARTS = (neural, matrices, movement, pointwise)


def base(name):
    """ATen's name of an entry: linalg_qr of "linalg.qr", sum of "sum.dim_IntList"."""
    for family in ("linalg.", "fft.", "special."):
        name = name.replace(family, family[:-1] + "_")
    return name.partition(".")[0]


def test_no_name_is_stated_twice():
    functions = {base(name) for name in FUNCTIONS if not name.startswith("nn.functional.")}
    others = {base(name) for table in (RULES, WRITERS) for name in table if not name.startswith("prims.")}
    assert len(functions) > 250 and len(others) > 100
    assert functions & others == set()
    assert {base(name) for name in RULES} & {base(name) for name in WRITERS} == set()
    assert [name for name in WHOLE if name in FUNCTIONS and name != "linear" and WHOLE[name] is not FUNCTIONS[name]] == []


def test_a_second_statement_is_refused():
    for table, name in ((RULES, "relu6"), (RULES, "sum.dim_IntList"), (FUNCTIONS, "_softmax"), (FUNCTIONS, "sin"), (RULES, "linalg_qr"), (WRITERS, "_softmax")):
        with pytest.raises(ValueError, match="stated twice"):
            table[name] = None
    assert isinstance(FUNCTIONS, Table)


POINTS = torch.tensor([-20.0, -6, -3, -1, -0.5, -1e-9, 0, 1e-9, 0.1, 0.5, 1, 3, 6, 20, 25], dtype=double)
ACTIVATIONS = {
    "relu": (nn.ReLU(), F.relu), "relu6": (nn.ReLU6(), F.relu6), "hardtanh": (nn.Hardtanh(-0.5, 3.0), lambda x: F.hardtanh(x, -0.5, 3.0)),
    "hardsigmoid": (nn.Hardsigmoid(), F.hardsigmoid), "hardswish": (nn.Hardswish(), F.hardswish), "hardshrink": (nn.Hardshrink(), F.hardshrink),
    "softshrink": (nn.Softshrink(), F.softshrink), "leaky_relu": (nn.LeakyReLU(), F.leaky_relu), "elu": (nn.ELU(0.5), lambda x: F.elu(x, 0.5)), "selu": (nn.SELU(), F.selu),
    "celu": (nn.CELU(0.5), lambda x: F.celu(x, 0.5)), "softplus": (nn.Softplus(), F.softplus), "softplus 2": (nn.Softplus(2.0, 3.0), lambda x: F.softplus(x, 2.0, 3.0)),
    "gelu": (nn.GELU(), F.gelu), "silu": (nn.SiLU(), F.silu), "mish": (nn.Mish(), F.mish), "logsigmoid": (nn.LogSigmoid(), F.logsigmoid), "softsign": (nn.Softsign(), F.softsign),
    "tanhshrink": (nn.Tanhshrink(), F.tanhshrink), "threshold": (nn.Threshold(0.1, 5.0), lambda x: F.threshold(x, 0.1, 5.0)), "rrelu": (nn.RReLU(), F.rrelu),
    "clamp": (None, lambda x: torch.clamp(x, -0.5, 3.0)), "relu_": (nn.ReLU(inplace=True), F.relu), "relu6_": (nn.ReLU6(inplace=True), F.relu6),
    "hardswish_": (nn.Hardswish(inplace=True), F.hardswish), "hardtanh_": (nn.Hardtanh(inplace=True), F.hardtanh),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_corners_are_torch_s_in_functions_and_modules(name):
    module, function = ACTIVATIONS[name]
    x = POINTS.clone().requires_grad_()
    y = function(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    ways = [function, lambda x: aten.run(function, (x,), {}), lambda x: aten.run(lambda x: function(x * 1), (x,), {})] + ([from_torch(module.double())] if module else [])
    for way in ways:
        value, g = gl.dlfeval(lambda x, f=way: ((y := f(x)), gl.dlgradient(gl.sum(y), x)), gl.dlarray(POINTS))
        torch.testing.assert_close(value._value, y.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(g._value, slope, rtol=1e-7, atol=1e-12)  # torch's hardsigmoid has a sixth in single precision


def gradients(function, xs):
    """What torch has, and what a function, ATen's operation and a module have of it."""
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in xs]
    expected = function(*leaves)
    expected = expected if isinstance(expected, tuple) else (expected,)
    floats = [x for x in leaves if x.requires_grad]
    wanted = torch.autograd.grad(sum((k + 1) * (y ** 2).sum() for k, y in enumerate(expected) if y.requires_grad), floats)

    def fun(*arrays, way):
        ys = way(*arrays)
        ys = ys if isinstance(ys, tuple) else (ys,)
        loss = sum((k + 1) * gl.sum(y ** 2) for k, (y, e) in enumerate(zip(ys, expected, strict=True)) if e.requires_grad)
        return ys, gl.dlgradient(loss, [a for a, x in zip(arrays, xs, strict=True) if x.is_floating_point()])

    for way in (function, lambda *a: aten.run(function, a, {}), lambda *a: aten.run(lambda *a: function(*[x * 1 for x in a]), a, {})):
        ys, found = gl.dlfeval(fun, *map(gl.dlarray, xs), way=way)
        yield [e.detach() for e in expected], [y._value for y in ys], wanted, [g._value for g in found]


def made(seed, *shape):
    return torch.randn(shape, dtype=double, generator=torch.Generator().manual_seed(seed))


SPECIAL = {
    "masked rows": (lambda q: F.scaled_dot_product_attention(q, q * 2, q + 1, attn_mask=torch.tensor([[True, False], [False, False]])), made(0, 1, 2, 2, 3)),
    "masked rows, three axes": (lambda q, m: F.scaled_dot_product_attention(q, q * 2, q + 1, attn_mask=m), made(0, 2, 2, 3), torch.tensor([[0.0, -torch.inf], [-torch.inf] * 2], dtype=double)),
    "safe softmax": (lambda x: torch.ops.aten._safe_softmax(torch.where(torch.tensor([[True], [False]]), x, -torch.inf), -1), made(1, 2, 3)),
    "safe softmax, first axis": (lambda x: torch._safe_softmax(torch.where(torch.tensor([True, False, True]), x, -torch.inf), 0), made(1, 2, 3)),
    "cosine that broadcasts": (lambda a, b: F.cosine_similarity(a, b, dim=1), made(2, 3, 4), made(3, 1, 4)),
    "cosine over a broadcast axis": (lambda a, b: F.cosine_similarity(a, b, dim=0), made(2, 3, 4), made(3, 1, 4)),
    "cosine of rows": (lambda a, b: F.cosine_similarity(a, b, dim=-1), made(2, 3, 4), made(3, 4)),
    "softplus": (lambda x: F.softplus(x * 10, 1.0, 5.0), made(4, 6)),
    "addmm without its first": (lambda x, a, b: torch.addmm(x / 0, a, b, beta=0), made(0, 2), made(1, 3, 2), made(2, 2, 2)),
    "layer_norm": (lambda x, w, b: torch.native_layer_norm(x, (4,), w, b, 1e-5), made(5, 3, 4), made(6, 4), made(7, 4)),
    "layer_norm, two axes": (lambda x: torch.native_layer_norm(x, (3, 4), None, None, 1e-5), made(5, 2, 3, 4)),
    "group_norm": (lambda x, w, b: torch.native_group_norm(x, w, b, 2, 4, 3, 2, 1e-5), made(5, 2, 4, 3), made(6, 4), made(7, 4)),
    "max over nothing to choose": (lambda x: torch.max(x.sum(), 0)[0], made(3, 3)), "sort": (lambda x: torch.sort(x, 0, descending=True)[0], made(3, 4, 2)),
    "kl_div of a number": (lambda x, t: F.kl_div(x, t.abs(), reduction="batchmean"), made(3), made(4)),
    "ctc": (lambda x: F.ctc_loss(torch.log_softmax(x, -1), torch.tensor([[1, 2], [2, 2]]), (5, 4), (2, 1)), made(8, 5, 2, 4)),
    "ctc, one after the other": (lambda x: F.ctc_loss(torch.log_softmax(x, -1), torch.tensor([1, 2, 2]), torch.tensor([5, 4]), torch.tensor([2, 1]), reduction="sum"), made(8, 5, 2, 4)),
}


def on_constants_in_torch(function):
    """torch's statistics have no derivative; ours are constants."""
    def run(*xs):
        y, mean, rstd = function(*xs)
        return y, mean.detach(), rstd.detach()

    return run


for _name in ("layer_norm", "layer_norm, two axes", "group_norm"):
    SPECIAL[_name] = (on_constants_in_torch(SPECIAL[_name][0]), *SPECIAL[_name][1:])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SPECIAL)
def test_functions_with_something_to_get_wrong(name):
    function, *xs = SPECIAL[name]
    if name == "addmm without its first":
        xs[0] = torch.zeros(2, dtype=double)
    for expected, ys, wanted, found in gradients(function, xs):
        for y, e in zip(ys, expected, strict=True):
            torch.testing.assert_close(y, e)
        for g, w in zip(found, wanted, strict=True):
            torch.testing.assert_close(g, torch.nan_to_num(w))


def test_unpooling_takes_the_last_of_several():
    x = torch.tensor([[[1.0, 2.0, 3.0]]], dtype=double)
    places = torch.tensor([[[4, 1, 4]]])

    def unpooled(x):
        return F.max_unpool1d(x * 1, places, 2, 2, output_size=(6,))

    y, g = gl.dlfeval(lambda x: ((y := aten.run(unpooled, (x,), {})), gl.dlgradient(gl.sum(y * y), x)), gl.dlarray(x))
    assert y.tolist() == [[[0.0, 2.0, 0.0, 0.0, 3.0, 0.0]]] == unpooled(x).tolist() == aten.run(unpooled, (gl.dlarray(x),), {}).tolist()
    assert g.tolist() == [[[0.0, 4.0, 6.0]]]


def test_a_complex_logarithm_is_on_torch_s_branch():
    z = torch.complex(made(0, 5), 3 * made(1, 5))
    leaf = z.clone().requires_grad_()
    expected = torch.logcumsumexp(leaf, 0)
    (wanted,) = torch.autograd.grad((expected.real * made(2, 5) + expected.imag * made(3, 5)).sum(), leaf)

    def fun(z):
        y = torch.logcumsumexp(z, 0)
        return y, gl.dlgradient(gl.sum(gl.real(y) * made(2, 5) + gl.imag(y) * made(3, 5)), z)

    y, g = gl.dlfeval(fun, gl.dlarray(z))
    torch.testing.assert_close(y._value, expected.detach())
    torch.testing.assert_close(g._value, wanted)


def test_ctc_of_other_numbers_is_refused():
    with pytest.raises(gl.TypeRefused, match="log_softmax"):
        gl.dlfeval(lambda x: F.ctc_loss(x, torch.tensor([[1]]), (3,), (1,)), gl.dlarray(made(0, 3, 1, 2)))


def declared(name, kernel, *partials, **rest):
    """An operation of the library's own, in no table."""
    function = elementwise(name, kernel, *partials, own=True, **rest)
    PUBLIC.pop(name)
    return function


def test_the_names_that_declarations_say_are_what_is_found():
    assert {"sin", "arcsin", "special.psi", "eq", "amax", "inverse", "__and__"} <= set(FUNCTIONS)
    assert twins.twin(gl.asin) is torch.asin and twins.twin(gl.silu) is F.silu and twins.twin(gl.softmax) is None
    assert twins.twin(gl.softplus) is None  # torch's takes beta: it has an adapter
    for function in PUBLIC.values():
        names = twins.TWINS.get(function.__name__, ())
        assert all(name in FUNCTIONS or name in RULES for name in names)
        operation = getattr(function, "operation", None)
        assert operation is None or operation.torch is None or set(operation.torch) == set(names)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"torch": ("sofsign",)}, AttributeError, "torch has no sofsign"),
    ({"torch": ("softplus",)}, ValueError, "softplus is stated twice"),
])
def test_a_name_that_is_wrong_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        twins._state(declared("trial", torch.tanh, lambda y: 1 - y * y, **options))


def test_a_function_with_options_is_not_called_the_same():
    with pytest.raises(TypeError, match="whose arguments need an adapter"):
        twins._adapter(gl.gelu, "trial")


def test_one_statement_is_enough():
    """With the composite of softsign taken away, an operation that says its name is what torch's function records."""
    composite = FUNCTIONS.pop("softsign")
    trial = declared("trial", lambda x: x / (1 + x.abs()), lambda x: gl.square(1 / (1 + gl.abs(x))), torch=("softsign",))
    try:
        twins._state(trial)
        assert gl.dlfeval(lambda x: F.softsign(x)._node.operation, gl.dlarray([1.0])) is trial.operation
    finally:
        FUNCTIONS.pop("softsign", None)
        FUNCTIONS["softsign"] = composite
