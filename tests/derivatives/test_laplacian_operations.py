"""dllaplacian through every elementwise operation, with numbers beside arrays, in every real type, against second differences."""

import numpy as np
import pytest
import torch
from helpers import seeded, uniform

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.core.tables import OPERATIONS, PUBLIC

OPERATION = {name: o for name, o in OPERATIONS.items() if isinstance(o, Elementwise)}
SHAPE = (2, 3)
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.1}
# What has no kernel in half precision on a CPU.
WITHOUT_HALF = ("erfcinv", "erfcinv_slope", "erfcx", "complex")
ARRAYS_ALONE = ("multiply_add", "complex")  # operations that take no numbers


def ways(operation):
    """(params, inputs): each real input alone an array with numbers beside it, and all of them arrays."""
    n, stream = len(operation.inputs), seeded(operation.name)
    specs = operation.samples() if callable(operation.samples) else operation.samples
    options = [s for s in specs or [{}] if isinstance(s, dict)] or [{}]

    def array():
        return uniform(SHAPE, torch.float64, stream, *operation.domain)

    def number():
        return float(uniform((), torch.float64, stream, *operation.domain))

    condition = [array() > 0] if operation.inputs[0] == "condition" else []
    free = n - len(condition)
    found = []
    arrays_alone = operation.name in ARRAYS_ALONE or specs is not None and not isinstance(specs[0], dict) and operation.public is None
    if free == 1 or not arrays_alone:
        found += [(params, [*condition, *(array() if k == j else number() for j in range(free))]) for params in options for k in range(free)]
    if free > 1:
        found += [(params, [*condition, *(array() for _ in range(free))]) for params in options]
    return found


def second_differences(operation, params, inputs, k, h=1e-3):
    """d2/dx[i]2 of the sum of real and imaginary parts, by differences of fourth order."""

    def at(t):
        y = operation.kernel(*[x + t if j == k else x for j, x in enumerate(inputs)], **params)
        return torch.view_as_real(y).sum(-1) if y.is_complex() else y.double()

    return (16 * (at(h) + at(-h)) - at(2 * h) - at(-2 * h) - 30 * at(0.0)) / (12 * h * h)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("name", list(OPERATION))
def test_laplacian_of_every_elementwise_operation_beside_numbers(name, dtype):
    operation = OPERATION[name]
    if dtype is torch.float16 and name in WITHOUT_HALF:
        with pytest.raises((RuntimeError, TypeError)):
            params, inputs = ways(operation)[0]
            operation.kernel(*[x.to(dtype) if isinstance(x, torch.Tensor) else x for x in inputs], **params)
        return
    for params, inputs in ways(operation):
        small = [x.to(dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in inputs]
        for k, x in enumerate(small):
            if not isinstance(x, torch.Tensor) or not x.is_floating_point():
                continue

            def fun(variable, k=k, small=small, params=params):
                operands = [dlarray(x) if isinstance(x, torch.Tensor) else x for x in small]
                operands[k] = 0.5 * (variable + variable)
                y = operation.apply(operands, params)
                y = PUBLIC["real"](y) + PUBLIC["imag"](y) if y.dtype.is_complex else y
                return gl.sum(1.0 * y)

            exact = [x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in small]
            expected = float(second_differences(operation, params, exact, k).sum())
            for recorded in (False, True):
                found = gl.dlfeval(lambda v, fun=fun, r=recorded: gl.dllaplacian(fun(v), v, (0, 1), enable_higher_derivatives=r), dlarray(x))
                assert found.dtype is fun(dlarray(x)).dtype
                np.testing.assert_allclose(float(found), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype],
                                           err_msg=f"{name} {params}, input {k}, recorded {recorded}")


def test_laplacians_of_functions_written_with_numbers():
    """What keeps no array at all: the case in which nothing says where and of what type a seed is made."""
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    for words, fun, expected in (("a constant of NumPy", lambda x: gl.sum(np.sqrt(2.0) * x * x), 8 * 2**0.5), ("zero", lambda x: gl.sum(0 * x), 0.0),
                                 ("a remainder", lambda x: gl.sum(x % 2.5), 0.0), ("np.cov", lambda x: gl.sum(np.cov(x)), 4.0),
                                 ("np.polyval", lambda x: gl.sum(np.polyval([1.0, 2.0, 3.0], x)), 8.0),
                                 ("softshrink", lambda x: gl.sum(torch.nn.functional.softshrink(x)), 0.0),
                                 ("half", lambda x: gl.sum(2 * gl.astype(x, "float16") ** 2), 16.0)):
        for recorded in (False, True):
            found = gl.dlfeval(lambda x, fun=fun, r=recorded: gl.dllaplacian(fun(x), x, (0, 1), enable_higher_derivatives=r), dlarray(x))
            np.testing.assert_allclose(float(found), expected, rtol=1e-12, err_msg=words)
