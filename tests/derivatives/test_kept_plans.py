"""What is kept of one trace is used only for traces in which it says the same: warm plans against cleared ones.

Every operation is run with several numbers, masks, positions and options in turn, so that the plan of one is there when the next asks.
"""

import copy
import functools
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from helpers import forget
from operation_cases import carrying, cases, is_variable
from operation_table import CHECKED, each

import gradloom as gl
from gradloom import BatchDependenceWarning, GradloomError, dlarray
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.derivatives.jacobians import independence, parts, plan
from gradloom.derivatives.sparse import evaluation
from gradloom.derivatives.sparse.pattern import pattern_of
from gradloom.derivatives.walks import kept_plans as planning
from gradloom.derivatives.walks.keys import frozen

NUMBERS = [0, 1, 1.0, 3, 0.5, 2, -1, 0.0, True]


def altered(value):
    """The same kind of constant with another content; None where there is no other."""
    if isinstance(value, torch.Tensor) and value.dtype is torch.bool:
        return ~value
    if isinstance(value, torch.Tensor) and not is_variable(value) and value.numel() > 1 and value.layout is torch.strided:
        return value.flip(0)
    return None


def variants(operation):
    """Groups of runs that differ in nothing but numbers, masks, positions or options: functions of one variable, with its value."""
    for case in cases(operation):
        for k in case.variables:
            x = case.inputs[k]
            runs = [case]
            for j, value in enumerate(case.inputs):
                if j != k and (other := altered(value)) is not None:
                    runs.append(type(case)(operation, (*case.inputs[:j], other, *case.inputs[j + 1:]), case.params))
            for name, value in case.params.items():
                if (other := altered(value)) is not None:
                    runs.append(type(case)(operation, case.inputs, {**case.params, name: other}))
            yield x, [(k, c.inputs, c.params) for c in runs]
    if isinstance(operation, Elementwise) and len(operation.inputs) == 2 and operation.samples is None:  # others are of arrays alone
        low, high = operation.domain
        x = torch.linspace(max(low, 0.1), high, 6, dtype=torch.float64).reshape(2, 3)
        for k in (0, 1):
            yield x, [(k, (x, n) if k == 0 else (n, x), {}) for n in NUMBERS]


def found(operation, x, run):
    """Everything that rests on a kept plan, of one run: the Laplacian, the independence of observations, the Block and what it holds."""
    k, inputs, params = run

    def fun(x):
        given = [dlarray._made(v, None) if is_variable(v) and j != k else v for j, v in enumerate(inputs)]
        given[k] = x * x  # so that the tangent bends, and is needed
        numbers = any(type(v) in (bool, int, float) for v in given)
        y = operation.public(*given) if numbers and not params and operation.public is not None else operation.apply(given, params)
        count = carrying(operation)
        outputs = [o for o in (y if isinstance(y, tuple) else (y,))[:len(count)] if type(o) is dlarray and o._node is not None]
        answers = []
        for u in outputs:
            for word in WORDS:
                with warnings.catch_warnings(record=True) as seen:
                    warnings.simplefilter("always", BatchDependenceWarning)
                    try:
                        answer = word(u, x)
                    except GradloomError as error:
                        answer = type(error).__name__
                answers.append((answer, [str(w.message).split(": ", 1)[1] for w in seen]))
        return answers

    return gl.dlfeval(fun, dlarray(x))


def laplacian(u, x):
    return np.asarray(gl.extractdata(gl.dllaplacian(gl.sum(u), x, tuple(range(x.ndim)), enable_higher_derivatives=False))) if x.ndim else None


def along_an_axis(u, x):
    return np.asarray(gl.extractdata(gl.dljacobian(u, x, -1, enable_higher_derivatives=False))) if u.ndim and x.ndim else None


def structured(u, x):
    J = gl.dljacobian(u, x)
    planned, dense = J.nbytes, J.dense()._value.numpy()
    assert planned == J.nbytes, "the Jacobian holds another number of bytes than was planned"
    return planned, dense


WORDS = (laplacian, along_an_axis, structured)


def equal(a, b):
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b


@each(CHECKED)
def test_a_kept_plan_is_that_of_the_same_numbers(operation):
    for x, runs in variants(operation):
        cold = []
        for run in runs:
            forget()
            cold.append(found(operation, x, run))
        for run, expected in (*reversed([*zip(runs, cold)][:-1]), *zip(runs, cold)):  # the plan of the last is at hand
            _, inputs, params = run
            assert equal(found(operation, x, run), expected), f"{operation.name} {inputs} {params}: with plans of other runs at hand"


def test_the_exponent_decides():
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]])
    power = lambda x, n: gl.dllaplacian(gl.sum(x ** n, axis=1, keepdims=True), x, 1)
    base = lambda x, n: gl.dllaplacian(gl.sum(n ** x, axis=1, keepdims=True), x, 1)
    for n, expected in ((1, [0, 0]), (3, [18, 42]), (2, [4, 4]), (1.0, [0, 0]), (0, [0, 0])):
        assert np.allclose(gl.dlfeval(power, x, n).tolist(), np.reshape(expected, (2, 1)))
    for n in (1.0, 1.5, 1, 2):
        expected = (np.log(n) ** 2 * n ** np.asarray(x)).sum(1, keepdims=True)
        assert np.allclose(gl.dlfeval(base, x, n), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_factor_of_zero_proves_nothing_of_another(dtype):
    forget()
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], dtype=dtype)
    fun = lambda x, n: gl.dljacobian(n * gl.cumsum(x, axis=0), x, 1)
    for n in (0, 0.0):
        gl.dlfeval(fun, x, n)
    for n in (2, 0.5, -1, 1):
        with pytest.warns(BatchDependenceWarning, match="cumsum"):
            gl.dlfeval(fun, x, n)


def test_bytes_are_those_of_these_positions():
    forget()
    x = gl.dlarray(np.arange(8.0))

    def held(x, where):
        y = x * x
        for _ in range(6):  # so long a trace is planned
            y = gl.sin(y)
        J = gl.dljacobian(gl.take(y, where), x)
        return J.nbytes, J

    for where in ([0, 1, 2, 3], [0, 0, 0, 0], [7, 3, 3, 1]):
        planned, J = gl.dlfeval(held, x, gl.dlarray(where, dtype="int64"))
        assert planned == J.nbytes, where


class Swish(gl.Layer):
    """A layer with its own backward, whose derivative its fields decide."""

    steepness: float = 1.0
    choice: object = None

    def predict(self, x):
        return x * gl.sigmoid(self.steepness * x)

    def backward(self, x, y, y_bar):
        if self.steepness == 0:
            return y_bar * 0.5
        s = gl.sigmoid(self.steepness * x)
        return y_bar * (s + self.steepness * x * s * (1 - s))


class Chosen(gl.DifferentiableFunction):
    """A function that has no derivative where its field, or what it kept for backward, says so."""

    def __init__(self, moves, kept=True):
        self.moves, self.kept = moves, kept

    def forward(self, x):
        return 0.5 * x, self.kept

    def backward(self, y_bar, memory):
        return 0.5 * y_bar if self.moves and memory[0] else None


@pytest.fixture
def searches(monkeypatch):
    """How often something has been looked for in a trace's structure since this was last asked: what was not remembered."""
    count = 0

    def counted(kind, outputs, inputs, find, *rest, **options):
        def counting():
            nonlocal count
            count += 1
            return find()

        return remembered(kind, outputs, inputs, counting, *rest, **options)

    remembered = planning.remembered
    for module in (plan, parts, independence):
        monkeypatch.setattr(module, "remembered", counted)
    forget()

    def since():
        nonlocal count
        found, count = count, 0
        return found

    return since


def network(layer):
    layers = [gl.layers.FeatureInput(4), gl.layers.FullyConnected(5), gl.layers.Tanh(), layer, gl.layers.FullyConnected(3),
              gl.layers.Tanh(), gl.layers.FullyConnected(2)]
    gl.rng(0)
    return gl.dlnetwork(layers)


def jacobian(net):
    """Bytes and entries of the Jacobian with respect to all learnables."""

    def fun(net, x):
        J = gl.dljacobian(net.forward(x), net.learnables)
        return J.nbytes, np.asarray(gl.extractdata(J.matrix()))

    return gl.dlfeval(fun, net, gl.dlarray(np.linspace(-1, 1, 8).reshape(4, 2), "CB", dtype="float32"))


def test_the_plan_of_a_network_with_its_own_backward_is_kept(searches):
    net = network(Swish())
    first = jacobian(net)
    assert searches() > 0
    assert equal(jacobian(net), first) and searches() == 0
    assert equal(jacobian(network(Swish())), first) and searches() == 0  # as good as the same
    assert np.allclose(first[1], jacobian(network(gl.layers.Function(lambda x: x * gl.sigmoid(x))))[1])


@pytest.mark.parametrize("other", [Swish(0.0), Swish(2.0), Swish(choice=[1]), Swish(choice={"a": 1.0}), Swish(choice=np.array([1, 2])),
                                   Swish(choice=lambda x: x), Swish(choice=Chosen(True)), Swish(choice=torch.ones(2))])
def test_another_field_is_another_plan(searches, other):
    jacobian(network(Swish()))
    assert searches() > 0
    found = jacobian(network(other))
    assert searches() > 0
    assert equal(jacobian(network(other)), found) and searches() == 0
    forget()
    assert equal(jacobian(network(other)), found)


def test_what_no_field_shows_is_not_remembered(searches):
    net = network(Swish(choice=np.random.default_rng(0)))
    found = jacobian(net)
    assert searches() > 0
    assert equal(jacobian(net), found) and searches() > 0


def test_a_function_with_its_own_derivative_is_its_class_its_fields_and_its_memory(searches):
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]])

    def fun(x, function):
        y = x
        for _ in range(6):  # so long a trace is planned
            y = gl.sin(y)
        J = gl.dljacobian(function(y), x)
        return J.nbytes, np.asarray(gl.extractdata(J.matrix()))

    for given in ((True, True), (False, True), (True, False)):
        found = gl.dlfeval(fun, x, Chosen(*given))
        assert searches() > 0 and found[1].any() == all(given)
        assert equal(gl.dlfeval(fun, x, Chosen(*given)), found) and searches() == 0


def test_a_sparse_pattern_is_found_once_for_the_same_fields(monkeypatch):
    found = []
    monkeypatch.setattr(evaluation, "pattern_of", lambda *args: found.append(1) or pattern_of(*args))
    function = Chosen(True)
    x = np.arange(5.0)
    sparse = gl.sparse_jacobian(lambda x: function(gl.sin(x)) * 2)
    for moves, patterns in ((True, 1), (True, 1), (False, 2), (True, 2)):
        function.moves = moves
        assert np.allclose(sparse(x).toarray(), np.diag(np.cos(x)) * moves)
        assert len(found) == patterns


def made_with(n):
    return lambda x: x + n


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


def around_itself():
    found = [1]
    found.append(found)
    return found


DIFFERENT = [1, 1.0, True, 0.0, -0.0, 1j, "1", b"1", None, ..., (1,), [1], {"a": 1}, {"a": 2}, {1}, frozenset((1,)), slice(1), slice(1, 2), range(1),
             torch.float32, torch.Size((1,)), np.float32(1), np.array([1.0]), np.array([2.0]), torch.tensor([1.0]), torch.tensor([2.0]),
             torch.tensor([1.0], dtype=torch.bfloat16), gl.dlarray([1.0]), gl.dlarray([1.0], "B"), made_with(1), made_with(2), made_with, torch.sin,
             functools.partial(made_with, 1), functools.partial(made_with, 2), gl.layers.Tanh(), gl.layers.FullyConnected(1), gl.layers.FullyConnected(2)]
# Users' classes and objects, which can change behind a key: keys in what a call with a derivative of its own is identified by, alone.
TOLD = [Slotted(1), Slotted(2), Slotted, Chosen(True), Chosen(False), OrderedDict(a=1)]


def test_everything_can_be_a_key():
    values = [*DIFFERENT, *TOLD]
    keys = [frozen(value, True, told=k >= len(DIFFERENT)) for k, value in enumerate(values)]
    for k, (key, value) in enumerate(zip(keys, values, strict=True)):
        assert key is not None and hash(key) is not None, value
        assert frozen(copy.deepcopy(value), True, told=k >= len(DIFFERENT)) == key, value
    assert frozen(made_with(1), True) == frozen(made_with(1), True)
    for i, a in enumerate(keys):
        assert [j for j, b in enumerate(keys) if a == b] == [i], values[i]


def noted():
    pass


noted.flag = True
READ = 1


class Fields(set):
    pass


@pytest.mark.parametrize("value", [*TOLD, lambda x: READ * x, lambda x: (lambda: READ)(), noted, np, Chosen(True).forward, Fields((1,)),
                                   functools.partial(Slotted, 1)],
                         ids=lambda value: type(value).__name__)
def test_what_can_change_behind_a_key_has_none(value):
    assert frozen(value, True) is None


def test_a_parameter_that_changes_what_it_is_changes_the_plan():
    class Mode:
        square = False

    modal = gl.elementwise("modal", lambda x, *, m=None: x * x if m.square else 3 * x, lambda x, m: 2 * x if m.square else 3.0)
    mode = Mode()

    def laplacian(x):
        return gl.dllaplacian(gl.expand_dims(gl.sum(modal(x, m=mode)), axis=0), x, 0)

    assert gl.dlfeval(laplacian, gl.dlarray([1.0, 2.0])).item() == 0
    Mode.square = True
    assert gl.dlfeval(laplacian, gl.dlarray([1.0, 2.0])).item() == 4


def test_a_class_attribute_changes_the_key_of_a_function_with_its_own_derivative():
    before = frozen(Chosen(True), True, told=True)
    Chosen.extra = 1
    try:
        assert frozen(Chosen(True), True, told=True) != before
    finally:
        del Chosen.extra
    assert frozen(Chosen(True), True, told=True) == before


def test_a_pattern_is_not_kept_for_positions_that_changed_in_place():
    order = [2, 0, 1]
    moved = gl.multilinear("moved_by_a_list", lambda x, *, p=None: x[..., p],
                           transposes={"x": lambda y_bar, p: gl.take(y_bar, np.argsort(p), axis=-1)}, labels="x")
    fun, x = lambda x: moved(x ** 2, p=order), np.array([1.0, 2.0, 3.0])
    sparse = gl.sparse_jacobian(fun)
    for _ in range(2):
        np.testing.assert_array_equal(sparse(x).toarray(), gl.jacobian(fun)(x))
        order.reverse()


@pytest.mark.parametrize("value", [np.random.default_rng(0), torch.Generator(), around_itself(), np.array([object()], dtype=object), torch.eye(3).to_sparse(),
                                   torch.zeros(1 << 17), iter([1]), np.sin, (x for x in ()), np.random.default_rng(0).random, [np.random.default_rng(0)]],
                         ids=lambda value: type(value).__name__)
def test_what_cannot_be_a_key_is_none(value):
    assert frozen(value, True) is None
