"""Sparse Jacobians and Hessians from call to call: how they are checked, in which types, after which comparisons; without SciPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from processes import run_forked

import gradloom as gl
from gradloom.derivatives.sparse import evaluation as compressed
from gradloom.derivatives.walks import signature as alike


def dense(f, x):
    return gl.jacobian(f)(x)


CANCELLING = {
    "sinc": lambda x: gl.sum(gl.sin(x) / x),
    "log1p": lambda x: gl.sum(gl.log(1 + x) / x),
    "cosine": lambda x: gl.sum((1 - gl.cos(x)) / x**2),
    "root": lambda x: gl.sum(gl.sqrt((x[1:] - x[:-1]) ** 2 + 1e-12)),
    "overflow": lambda x: gl.sum(gl.exp(x[1:] * x[:-1] / 1e-9)),
}


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CANCELLING)
def test_rounding_is_no_wrong_entry(name, dtype, scale):
    """Second derivatives that are small differences of large numbers, and such as are not finite."""
    for seed in range(3):
        gl.sparse_hessian(CANCELLING[name], check=True)((np.random.default_rng(seed).random(50) * scale).astype(dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e4])
def test_probes_see_small_mistakes(monkeypatch, dtype, size):
    """One entry of a hundred a quarter too large, in any type and at any size."""
    if size == 1e-20 and dtype == "float16":
        size = 1e-3  # the type goes no further
    x = gl.dlarray(np.linspace(1, 2, 100), dtype=dtype)
    sparse = gl.sparse_jacobian(lambda x: (x + x / 4) * size, check=True)
    sparse(x)
    values = compressed.Prepared.values

    def wrong(self, order, device):
        found = values(self, order, device).clone()
        found[17] *= 2 if "16" in dtype else 1.25
        return found

    monkeypatch.setattr(compressed.Prepared, "values", wrong)
    with pytest.raises(gl.GradloomError, match="differs from a plain walk by"):
        sparse(x)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    """SciPy has no such type: entries are float32, by every way to a sparse matrix."""
    x = gl.dlarray(np.linspace(0.5, 1, 8), dtype=dtype)
    sparse = {
        "entries": lambda x: x[1:] * x[:-1], "colours": lambda x: gl.sum(gl.softmax(gl.reshape(x, (4, 2)), axis=1) ** 2, axis=1),
        "dense": lambda x: x * gl.sum(x), "constant": lambda x: gl.dlarray([1.0, 2.0]),
    }
    for name, f in sparse.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gl.GradloomWarning)
            found = gl.sparse_jacobian(f, check=name != "constant")(x)
        assert found.dtype == np.float32, name
        np.testing.assert_allclose(found.toarray(), dense(f, np.linspace(0.5, 1, 8)), atol=0.05, err_msg=name)
    J = gl.dlfeval(lambda x: gl.dljacobian(x[1:] * x[:-1], x), x)
    for matrix in (J.tosparse(), J.aslinearoperator() @ np.eye(8)):
        assert matrix.dtype == np.float32
        np.testing.assert_allclose(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dense(sparse["entries"], np.linspace(0.5, 1, 8)), atol=0.05)


SELECTING = {
    "max": gl.max, "min": gl.min, "std": gl.std, "norm": gl.norm, "median": gl.median, "sort": gl.sort, "cummax": gl.cummax,
    "topk": lambda x, axis: gl.topk(x, 2, axis=axis)[0], "inf-norm": lambda x, axis: gl.linalg.vector_norm(x, ord=np.inf, axis=axis),
    "smallest": lambda x, axis: gl.linalg.vector_norm(x, ord=-np.inf, axis=axis), "quantile": lambda x, axis: gl.quantile(x, 0.3, axis=axis),
    "gather": lambda x, axis: gl.take_along_axis(x, gl.argsort(x, axis=axis), axis=axis), "prod": gl.prod, "logsumexp": gl.logsumexp,
    "cumprod": gl.cumulative_prod, "softmax": gl.softmax, "scan": gl.cumulative_sum,
}


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", SELECTING)
def test_every_call_of_a_function_that_selects_along_an_axis(name, axis):
    """The second call compares its parameters, arrays among them, with the first's."""
    f = lambda x: gl.sum(SELECTING[name](gl.exp(x), axis=axis) ** 3)
    words = [(gl.sparse_hessian(f), gl.hessian(f)),
             (gl.sparse_jacobian(lambda x: SELECTING[name](x**2, axis=axis)), gl.jacobian(lambda x: SELECTING[name](x**2, axis=axis)))]
    for sparse, plain in words:
        for seed in (0, 0, 1, 2):
            x = np.random.default_rng(seed).random((3, 4)) + 0.1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", gl.GradloomWarning)
                found = sparse(x).toarray()
            np.testing.assert_allclose(found, plain(x).reshape(found.shape), rtol=1e-12, atol=1e-12)


def test_equal_parameters_are_of_one_type_and_arrays_are_compared_by_their_elements():
    arrays = [2, 2.0, True, np.array([2]), torch.tensor([2]), gl.dlarray([2]), gl.dlarray([2.0, 3.0]), gl.dlarray([2.0, 3.0], "B"), (2,), [2], {"a": 2},
              np.array([2, 2]), torch.tensor([2, 2]), "2", None, slice(2), np.float64(2), {"a": gl.dlarray([2.0, 3.0])}, (gl.dlarray([2.0]),)]
    for i, a in enumerate(arrays):
        for j, b in enumerate(arrays):
            assert alike.same(a, b) is (i == j), (a, b)
    assert alike.same(gl.dlarray([1.0, 2.0], "B"), gl.dlarray([1.0, 2.0], "B"))


WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None
import numpy as np, gradloom as gl
f = lambda x: x ** 2
J = gl.dlfeval(lambda x: gl.dljacobian(x ** 2, x), gl.dlarray([1.0, 2.0]))
for word, call in {"sparse_jacobian": lambda: gl.sparse_jacobian(f), "sparse_hessian": lambda: gl.sparse_hessian(f),
                   "J.tosparse()": J.tosparse, "J.aslinearoperator()": J.aslinearoperator}.items():
    try:
        call()
    except ImportError as error:
        assert isinstance(error, gl.GradloomError)
        assert str(error).startswith(word + " needs scipy") and str(error).endswith('write pip install "gradloom[scipy]"'), error
        assert ", at <string>:" in str(error), error
    else:
        raise AssertionError(word)
assert gl.jacobian(f)(np.ones(2)).tolist() == [[2, 0], [0, 2]]
"""


def test_without_scipy_the_error_says_what_to_install():
    code, said = run_forked(WITHOUT_SCIPY)
    assert code == 0, said
