"""interface.md 4.6, 6.4 and 7: value_and_gradient, check_finite, the errors and their lines, MATLAB's names."""
import builtins
import inspect
import math
import re
import threading

import numpy as np
import pytest
import scipy.optimize
import torch

import gradloom as gl
from gradloom.core.operation import Operation
from gradloom.core.tables import OPERATIONS
from gradloom.core.trace import current_trace
from gradloom.vocabulary.matlab import snake_case, table


def rosenbrock(x):
    return gl.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


# ----- value_and_gradient (4.6) -----------------------------------------------------------------------------------------


def test_numpy_in_fresh_writable_numpy_out():
    function = gl.value_and_gradient(rosenbrock)
    x = np.array([-1.0, 2.0])
    value, gradient = function(x)
    assert type(value) is float and value == 104 and type(gradient) is np.ndarray and gradient.tolist() == [396, 200]
    assert gradient.flags.writeable and gradient.flags.owndata and gradient.flags.c_contiguous
    gradient[:] = 0
    again = function(x)[1]
    assert again.tolist() == [396, 200] and not np.shares_memory(again, gradient) and x.tolist() == [-1, 2]
    for shape in ((), (3, 1), (2, 0)):
        value, gradient = gl.value_and_gradient(lambda x: gl.sum(x ** 2))(np.ones(shape))
        assert gradient.shape == shape and gradient.dtype == np.float64 and isinstance(gradient, np.ndarray) and gradient.flags.writeable
    strided = np.ones((4, 4), "float32").T[::2]
    value, gradient = gl.value_and_gradient(lambda x: gl.sum(x * 3))(strided)
    assert gradient.dtype == np.float32 and type(value) is float and gradient.flags.c_contiguous and (gradient == 3).all()
    gradient[0, 0] = 7  # not one stretched element
    assert gradient[1, 1] == 3
    value, gradient = gl.value_and_gradient(lambda z: gl.sum(gl.abs(z) ** 2))(np.array([1 + 2j]))
    assert gradient.tolist() == [2 + 4j]


def test_what_is_given_comes_back():
    def fun(x):
        return gl.sum(x ** 2)

    both = gl.value_and_gradient(fun)
    value, gradient = both(gl.dlarray([1.0, 2.0], "C"))
    assert isinstance(value, gl.dlarray) and gradient.dims == "C" and not gradient.traced and not value.traced
    value, gradient = both(torch.tensor([1.0, 2.0]))
    assert isinstance(value, torch.Tensor) and isinstance(gradient, torch.Tensor) and gradient.dtype is torch.float32
    assert both(3) == (9.0, 6.0) and both(3.0) == (9.0, 6.0) and type(both(3)[1]) is float
    value, gradient = both(np.float32(3))
    assert type(value) is float and type(gradient) is np.float32
    tree = {"w": np.ones(2), "b": [3.0, gl.dlarray(1.0)], "name": "n", "none": None}
    value, gradient = gl.value_and_gradient(lambda p: gl.sum(p["w"]) * p["b"][0] * p["b"][1])(tree)
    assert list(gradient) == list(tree) and gradient["w"].tolist() == [3, 3] and gradient["b"][0] == 2 and gradient["b"][1].item() == 6
    assert isinstance(value, gl.dlarray) and gradient["name"] == "n" and gradient["none"] is None
    value, gradient = gl.value_and_gradient(lambda p: p[0] * p[1])([2.0, 5.0])
    assert (value, gradient) == (10, [5, 2])


def test_the_other_arguments_are_passed_through():
    seen = []

    def fun(x, a, *rest, scale=1.0, **more):
        seen.append((a, rest, more))
        return gl.sum(x * a) * scale

    array, thing = np.array([1.0, 2.0]), object()
    value, gradient = gl.value_and_gradient(fun)(np.ones(2), array, thing, scale=3.0, k=thing)
    assert seen[0][0] is array and seen[0][1] == (thing,) and seen[0][2] == {"k": thing} and value == 9 and gradient.tolist() == [3, 6]
    for argument, expected in ((1, [3, 3]), ("a", [3, 3]), (-1, [3, 3])):
        assert gl.value_and_gradient(fun, argument=argument)(np.ones(2), array, scale=3.0)[1].tolist() == expected
    assert gl.value_and_gradient(fun, argument="scale")(np.ones(2), array, scale=3.0)[1] == 3
    value, gradients = gl.value_and_gradient(fun, argument=(0, "scale"))(np.ones(2), array, scale=3.0)
    assert gradients[0].tolist() == [3, 6] and gradients[1] == 3 and type(gradients) is tuple
    assert gl.value_and_gradient(fun, argument=(1,))(np.ones(2), array)[1][0].tolist() == [1, 1]
    both = gl.value_and_gradient(fun)
    assert both.__name__ == "fun" and list(inspect.signature(both).parameters) == ["x", "a", "rest", "scale", "more"]


def test_calls_that_cannot_be():
    both = gl.value_and_gradient(lambda x, n=0: gl.sum(x ** 2))
    for args in ((), ("text",), (None,), ([],)):
        with pytest.raises(gl.TypeRefused):
            both(*args)
    with pytest.raises(gl.TypeRefused, match='dtype="float64"'):
        both(np.array([1, 2]))
    with pytest.raises(gl.ShapeError, match=r"gl.sum\(y\)"):
        gl.value_and_gradient(lambda x: x)(np.ones(2))
    with pytest.raises(gl.TypeRefused, match="NumPy or torch"):
        gl.value_and_gradient(lambda x: 3.0)(np.ones(2))
    with pytest.raises(gl.TypeRefused, match=r"np\.spacing"):
        gl.value_and_gradient(lambda x: np.spacing(x))(np.ones(2))
    with pytest.raises(gl.TypeRefused, match="argument"):
        gl.value_and_gradient(lambda x: x, argument="y")(np.ones(2))
    with pytest.raises(gl.TypeRefused, match="argument"):
        gl.value_and_gradient(lambda x: x, argument=3)(np.ones(2))
    for bad in (None, 1.5, (), True):
        with pytest.raises(gl.TypeRefused, match="argument=0"):
            gl.value_and_gradient(lambda x: x, argument=bad)

    def generator(x):
        yield x

    for bad in (3, generator):
        with pytest.raises(gl.TypeRefused):
            gl.value_and_gradient(bad)
    assert current_trace() is None


def test_inside_dlfeval():
    both = gl.value_and_gradient(lambda x, c: gl.sum(c * x ** 3))

    def fun(x, c):
        value, gradient = both(x, c)  # traced: recorded, also for what is passed through
        fixed = both(gl.dlarray([1.0]), c)[1]  # a constant, whose derivative depends on c
        plain, slope = both(np.array([2.0]), 5.0)  # NumPy: a trace of its own
        assert type(plain) is float and type(slope) is np.ndarray and plain == 40 and current_trace() is x._node.trace
        return gl.dlgradient(gl.sum(gradient) + gl.sum(fixed), x, c)

    x_bar, c_bar = gl.dlfeval(fun, gl.dlarray([1.0, 2.0]), gl.dlarray(2.0))
    assert x_bar.tolist() == [12, 24] and c_bar.item() == 3 + 12 + 3

    def leaks(x):  # as NumPy the dependence on x would be lost
        return gl.value_and_gradient(lambda z: gl.sum(z * x))(np.ones(2))

    with pytest.raises(gl.TraceError, match="traces"):
        gl.dlfeval(leaks, gl.dlarray([1.0, 2.0]))
    assert current_trace() is None
    hessian = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.value_and_gradient(rosenbrock)(x)[1]), x), gl.dlarray([-1.0, 2.0]))
    assert hessian.tolist() == [1200 - 800 + 2 + 400, 200 + 400]


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "TNC", "SLSQP"])
def test_scipy_minimizes(method):
    x0 = np.array([-1.2, 1.0, 0.5])
    found = scipy.optimize.minimize(gl.value_and_gradient(rosenbrock), x0, jac=True, method=method, options={"maxfun" if method == "TNC" else "maxiter": 2000})
    assert np.allclose(found.x, 1, atol=1e-3) and x0.tolist() == [-1.2, 1, 0.5]


def test_scipy_passes_arguments_and_checks_the_gradient():
    both = gl.value_and_gradient(lambda x, a, b: gl.sum(gl.cosh(x - a)) * b)
    found = scipy.optimize.minimize(both, np.zeros(3), args=(np.arange(3.0), 2.0), jac=True)
    assert np.allclose(found.x, [0, 1, 2], atol=1e-4)
    assert scipy.optimize.check_grad(lambda x: both(x, 0.5, 1.0)[0], lambda x: both(x, 0.5, 1.0)[1], np.array([0.3, -0.2, 2.0])) < 1e-5
    seen = []
    scipy.optimize.minimize(gl.value_and_gradient(lambda x: seen.append(x) or gl.sum(x ** 2)), np.ones(2), jac=True)
    assert seen[0].tolist() == [1, 1]  # SciPy writes into its vector; what escaped is untouched


# ----- check_finite (6.4) ---------------------------------------------------------------------------------------------------


def test_check_finite_names_the_operation_and_the_line():
    x = gl.dlarray([1.0, 0.0, -1.0])
    for call, words in ((lambda: gl.log(x), r"log\(x 3\) made a NaN in 1 of 3"), (lambda: 1 / x, r"divide\(a 1, b 3\) made an infinity in 1 of 3"),
                        (lambda: gl.exp(x * 1000), "exp"), (lambda: gl.sqrt(x), "sqrt.*made a NaN"), (lambda: x / 0, "divide"), (lambda: gl.sum(x * 1e308 * 1e308), "multiply"),
                        (lambda: gl.matmul(x * 1e200, x * 1e200), "matmul"), (lambda: gl.dlfeval(lambda x: gl.exp(x * 1000) * 0, x), "exp"),
                        (lambda: gl.dlfeval(lambda x: x * 2 / (x * 0), x), "divide")):
        call()
        with gl.check_finite(), pytest.raises(gl.NotFinite, match=f"(?s)(?=.*test_functions.py:\\d+).*{words}.*gl.where") as caught:
            call()
        assert isinstance(caught.value, gl.GradloomError) and isinstance(caught.value, FloatingPointError)
        call()


def test_check_finite_in_walks():
    def fun(x):
        y = gl.sum(gl.sqrt(x))
        return gl.dlgradient(y, x)

    x = gl.dlarray([4.0, 0.0])
    assert gl.dlfeval(fun, x).tolist() == [0.25, math.inf]
    words = r"the derivative of sqrt \(computed in test_functions.py:\d+: y = gl.sum.*made an infinity in 1 of 2.*at test_functions.py:\d+: return"
    for variant in (fun, lambda x: gl.dlgradient(gl.sum(gl.sqrt(x)), x, enable_higher_derivatives=True), lambda x: gl.jvp(gl.sqrt(x), x, np.ones(2))):
        with gl.check_finite(), pytest.raises(gl.NotFinite, match=words if variant is fun else "the derivative of sqrt"):
            gl.dlfeval(variant, x)
        assert current_trace() is None
    guarded = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.where(x > 0, gl.sqrt(x), 0.0)), x), x)
    with gl.check_finite():
        assert gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.where(x > 0, gl.sqrt(x), 0.0)), x), x).tolist() == guarded.tolist() == [0.25, 0]
        second = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(gl.where(x > 0, gl.sqrt(x), 0.0)), x, enable_higher_derivatives=True)), x), x)
    assert second.tolist() == [-1 / 32, 0]


def test_check_finite_and_what_was_given():
    with gl.check_finite():
        masked = gl.where(gl.dlarray([True, False]), gl.dlarray([1.0, 2.0]), -math.inf)  # an infinity may be given
        assert gl.exp(masked).tolist()[1] == 0 and gl.softmax(masked, axis=0).tolist() == [1, 0]
        with pytest.raises(gl.NotFinite, match="was given a NaN"):
            gl.dlarray([math.nan, 1.0]) * 2
        with pytest.raises(gl.NotFinite, match="made a NaN"):
            masked - masked
        with gl.check_finite():
            pass
        with pytest.raises(gl.NotFinite):
            gl.log(gl.dlarray(0.0))
        assert (gl.dlarray([1, 2], dtype="int64") > 1).tolist() == [False, True]


def watched():
    """Whether operations answer through check_finite; asked of one first, since it goes when it is not needed."""
    gl.exp(gl.dlarray(0.0))
    return "__getattribute__" in vars(Operation)


def test_check_finite_is_for_this_thread_and_leaves_nothing():
    before = {name: dict(vars(o)) for name, o in OPERATIONS.items()}
    results = []
    with gl.check_finite():
        thread = threading.Thread(target=lambda: results.append(gl.log(gl.dlarray(0.0)).item()))
        thread.start()
        thread.join()
        assert watched()
    assert results == [-math.inf] and not watched()
    for name, o in OPERATIONS.items():
        assert vars(o).keys() == before[name].keys() and all(vars(o)[k] is v for k, v in before[name].items() if k in ("kernel", "pull", "push", "raw_pulls"))
    with pytest.raises(KeyboardInterrupt), gl.check_finite():
        raise KeyboardInterrupt
    assert gl.log(gl.dlarray(0.0)).item() == -math.inf and not watched()


# ----- errors, names, help (6.4, 6.5, 7) ------------------------------------------------------------------------------------------


def test_the_hierarchy_of_errors():
    for error, builtin in ((gl.TraceError, RuntimeError), (gl.LabelError, ValueError), (gl.ShapeError, ValueError), (gl.TypeRefused, TypeError)):
        assert issubclass(error, gl.GradloomError) and issubclass(error, builtin)
    assert issubclass(gl.GradloomWarning, UserWarning) and issubclass(gl.BatchDependenceWarning, gl.GradloomWarning)


def test_lines_in_notebooks():
    import linecache

    source = "def fun(x):\n    hidden = x[0:1] * 2\n    return gl.dlgradient(gl.sum(x), hidden)\n"
    name = "<ipython-input-7-abcdef>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    cell = {"gl": gl}
    exec(compile(source, name, "exec"), cell)
    with pytest.raises(gl.TraceError, match=r"<ipython-input-7-abcdef>:2: hidden = x\[0:1\] \* 2"):
        gl.dlfeval(cell["fun"], gl.dlarray([1.0, 2.0]))
    with pytest.raises(gl.TraceError, match="<string>"):
        exec("gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x), x * 2), gl.dlarray([1.0, 2.0]))", {"gl": gl})


def test_matlabs_names():
    for name, here in table().items():
        if name not in vars(gl):
            with pytest.raises(AttributeError) as caught:
                getattr(gl, name)
            assert re.search(rf"MATLAB's {name} (is written|will be) {re.escape(here)} here", str(caught.value))
        simple = here.split(", or ")[-1]
        if simple.isidentifier() and simple.islower():  # later pieces of the library
            assert hasattr(gl, simple) or simple in ("trainnet", "split_each_label", "count_each_label", "check_layer"), simple
    assert [snake_case(n) for n in ("splitEachLabel", "retainData", "L2Regularization", "already_snake", "ReLU")] == \
        ["split_each_label", "retain_data", "l2_regularization", "already_snake", "re_lu"]
    with pytest.raises(AttributeError, match=r"did you mean 'softmax'"):
        gl.sofmax
    with pytest.raises(AttributeError, match="written value_and_gradient here"):
        gl.valueAndGradient
    assert not hasattr(gl, "__wrapped__") and not hasattr(gl, "_something")


def test_a_star_import_hides_no_builtin():
    space = {}
    exec("from gradloom import *", space)
    hidden = {n for n in space if n != "__builtins__" and hasattr(builtins, n)}
    assert not hidden and {"dlarray", "dlfeval", "dlgradient", "stripdims", "ravel", "value_and_gradient", "check_finite", "softmax"} <= set(space)
    assert "sum" not in gl.__all__ and gl.sum


def test_functions_look_written():
    for name in gl.__all__:
        function = getattr(gl, name)
        if inspect.isfunction(function):
            assert function.__doc__ and inspect.signature(function) and function.__name__ == name, name
