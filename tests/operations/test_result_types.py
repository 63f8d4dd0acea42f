"""The type of every result: each public array function on arrays of every type, with and without axes, beside numbers, traced and not.

What is right is worked out here from torch's own table (`torch.result_type`); where gradloom differs on purpose, `promoted` and the tables say why.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core.tables import PUBLIC

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
HALVES = (torch.float16, torch.bfloat16)
FLOATING = (*HALVES, torch.float32, torch.float64)
COMPLEX = (torch.complex64, torch.complex128)
TYPES = (torch.bool, *INTEGERS, *FLOATING, *COMPLEX)
NUMBERS = (True, 2, 2.0, 2j)
REAL_OF = {torch.complex64: torch.float32, torch.complex128: torch.float64}
COMPLEX_OF = {torch.float32: torch.complex64, torch.float64: torch.complex128}

REFUSED = "refused"


def each(names, entry):
    return dict.fromkeys(names.split(), entry)


def kind(dtype):
    return "complex" if dtype in COMPLEX else "half" if dtype in HALVES else "floating" if dtype in FLOATING else "bool" if dtype is torch.bool else "integer"


def promoted(*operands):
    """torch.result_type, but for two things.

    Integers beside a Python number of a higher kind, or integers with axes beside a floating or complex array without, are computed in double
    precision: Python's numbers are double, and an integer may need more digits than single precision has. There is no complex half precision:
    it is complex64.
    """
    found = operands[0]
    for other in operands[1:]:
        found = torch.result_type(*(torch.empty((1,) * x[1], dtype=x[0]) if isinstance(x, tuple) else x for x in (found, other)))
        found = (found, max(x[1] if isinstance(x, tuple) else -1 for x in operands))
    found = found[0]
    arrays = [x for x in operands if isinstance(x, tuple)]
    axes = max(x[1] for x in arrays)
    deciding = [x[0] for x in arrays if x[1] == axes]
    if all(kind(d) in ("bool", "integer") for d in deciding) and (found.is_floating_point or found.is_complex):
        return torch.complex128 if found.is_complex else torch.float64
    return torch.complex64 if found is torch.complex32 else found


def as_floating(dtype):
    """Of functions whose values are no integers: float64 of those, where torch has its default type."""
    return torch.float64 if kind(dtype) in ("bool", "integer") else dtype


def made(operand, shape=(3,)):
    if not isinstance(operand, tuple):
        return operand
    dtype, axes = operand
    return gl.dlarray(torch.ones(shape if axes else (), dtype=torch.float64).to(dtype))


def type_of(function, *operands, traced=False, shape=(3,)):
    """The type of the result, untraced and traced, which agree; or that it is refused, in words."""
    arrays = [made(x, shape) for x in operands]
    found = []
    for run in (lambda: function(*arrays), lambda: gl.dlfeval(function, *arrays), lambda: gl.dlfeval(lambda *v: function(*v), *arrays)):
        try:
            result = run()
        except gl.GradloomError as error:
            assert "cannot be computed" in str(error) or "at test_result_types.py" in str(error), f"no line, no word: {error}"
            found.append(REFUSED)
        else:
            found.append(tuple(y.dtype for y in result) if isinstance(result, (tuple, list)) else result.dtype)
    assert len(set(found)) == 1, f"untraced {found[0]}, traced {found[1:]}"
    return found[0]


# ----- two operands ---------------------------------------------------------------------------------------------------------------

NO_ORDER = {"complex": "complex numbers have no order, sign or remainder"}
WHOLE = {"complex": "bits are of integers", "half": "bits are of integers", "floating": "bits are of integers"}

# name: what is made of the promoted type, which kinds of it are refused and why
BINARY = {
    **dict.fromkeys(("add", "multiply"), (None, {})),
    "subtract": (None, {"bool": "torch and NumPy refuse: it may mean the exclusive or, or a difference of numbers"}),
    **dict.fromkeys(("power", "pow"), (None, {"bool": "torch has no power of bools; the array API asks for numbers"})),
    **dict.fromkeys(("mod", "remainder", "floor_divide", "fmod"), (None, {**NO_ORDER, "bool": "torch has no remainder of bools"})),
    **dict.fromkeys(("maximum", "minimum"), (None, NO_ORDER)),
    **dict.fromkeys(("divide", "scale"), (as_floating, {})),
    **dict.fromkeys(("atan2", "hypot", "copysign", "nextafter", "xlogy", "beta"), (as_floating, NO_ORDER)),
    "logaddexp": (as_floating, {}),
    **dict.fromkeys(("equal", "not_equal"), (lambda dtype: torch.bool, {})),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), (lambda dtype: torch.bool, {})),
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal"), (lambda dtype: torch.bool, NO_ORDER)),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (None, WHOLE)),
    **dict.fromkeys(("bitwise_left_shift", "bitwise_right_shift"), (None, {**WHOLE, "bool": "torch does not shift bools"})),
    "complex": (lambda dtype: COMPLEX_OF[as_floating(dtype)], {"complex": "its parts are real", "half": "there is no complex half precision"}),
}


def pairs():
    operands = [(d, axes) for d in TYPES for axes in (0, 1)]
    yield from itertools.product(operands, operands)
    for number in NUMBERS:
        for x in operands:
            yield x, number
            yield number, x


@pytest.mark.parametrize("name", BINARY)
def test_two_operands(name):
    make, refused = BINARY[name]
    for a, b in pairs():
        dtype = promoted(a, b)
        expected = REFUSED if kind(dtype) in refused else make(dtype) if make else dtype
        assert type_of(PUBLIC[name], a, b) == expected, f"{name} of {a} and {b}"


def test_false_is_a_number_too():
    for dtype in (d for d in TYPES if d is not torch.bool):
        assert type_of(gl.subtract, (dtype, 1), False) == type_of(gl.subtract, False, (dtype, 1)) == dtype


# ----- one operand ----------------------------------------------------------------------------------------------------------------


def same(dtype):
    return dtype


def summed(dtype):
    return torch.int64 if kind(dtype) in ("bool", "integer") else dtype


def real(dtype):
    return REAL_OF.get(dtype, dtype)


def real_floating(dtype):
    return real(as_floating(dtype))


def always(dtype):
    return lambda _: dtype


NO_COMPLEX = {"complex": "of real numbers, in torch and in SciPy"}
NO_BOOLS = {"bool": "of numbers, in the array API; torch refuses too"}
NO_HALF = {"half": "torch has no such kernel in half precision on the CPU"}

UNARY = {
    **each("acos acosh acot acoth acsc acsch asec asech asin asinh atan atanh cos cosh cot coth csc csch exp exp2 expm1 log log10 log1p log2 "
                    "reciprocal rsqrt sec sech sigmoid silu sin sinh softplus sqrt tan tanh", (as_floating, {})),
    **each("i0 i0e i1 i1e cospi digamma elu erf erfc erfinv gamma gammaln gelu leakyrelu relu sinpi", (as_floating, NO_COMPLEX)),
    **dict.fromkeys(("erfcinv", "erfcx"), (as_floating, {**NO_COMPLEX, **NO_HALF})),
    **each("floor ceil round trunc", (same, NO_COMPLEX)),
    **each("real imag", (real, {})), "abs": (real, NO_BOOLS), "angle": (real_floating, {}),
    "negative": (same, NO_BOOLS), **each("conj positive sign", (same, {})),
    "square": (lambda dtype: torch.int64 if dtype is torch.bool else dtype, {}),
    "logical_not": (always(torch.bool), {}), "signbit": (always(torch.bool), NO_COMPLEX),
    "bitwise_invert": (same, {k: WHOLE[k] for k in ("floating", "half", "complex")}),
    **each("isfinite isinf isnan", (always(torch.bool), {})),
}


@pytest.mark.parametrize("name", UNARY)
def test_one_operand(name):
    make, refused = UNARY[name]
    for dtype, axes in itertools.product(TYPES, (0, 1)):
        expected = REFUSED if kind(dtype) in refused else make(dtype)
        assert type_of(PUBLIC[name], (dtype, axes)) == expected, f"{name} of {dtype}, {axes} axes"


# ----- reductions and scans, with every way of saying the axes -----------------------------------------------------------------

REDUCED = {
    "sum": (summed, {}), "prod": (summed, {}), "count_nonzero": (always(torch.int64), {}),
    **dict.fromkeys(("all", "any"), (always(torch.bool), {})),
    "mean": (as_floating, {}), **dict.fromkeys(("var", "std"), (real_floating, {})), **dict.fromkeys(("norm", "vector_norm"), (real_floating, {})),
    "logsumexp": (as_floating, {}),
    **dict.fromkeys(("max", "min"), (same, NO_ORDER)), **dict.fromkeys(("argmax", "argmin"), (always(torch.int64), NO_ORDER)),
    "median": (as_floating, NO_ORDER),
}


@pytest.mark.parametrize("name", REDUCED)
def test_reductions(name):
    make, refused = REDUCED[name]
    for dtype in TYPES:
        expected = REFUSED if kind(dtype) in refused else make(dtype)
        ways = [((), axis) for axis in (None, ())] + [((3,), axis) for axis in (None, 0, -1, (0,), ())] + [
            ((2, 3), axis) for axis in (None, 0, 1, -2, (0,), (0, 1), (), [1, 0])]
        for (shape, axis), keepdims in itertools.product(ways, (False, True)):
            call = lambda x: PUBLIC[name](x, axis=axis, keepdims=keepdims)  # noqa: B023
            assert type_of(call, (dtype, len(shape)), shape=shape) == expected, f"{name} of {dtype} {shape}, axis {axis}, keepdims {keepdims}"


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod", "trace"])
def test_the_type_that_is_asked_for(name):
    for dtype, wanted in itertools.product(TYPES, TYPES):
        if kind(dtype) != "complex" or kind(wanted) == "complex":
            shape = (3, 3) if name == "trace" else (3,)
            assert type_of(lambda x: PUBLIC[name](x, dtype=wanted), (dtype, 1), shape=shape) == wanted, f"{name} of {dtype} as {wanted}"  # noqa: B023


SCANNED = {
    **each("cumsum cumprod cumulative_sum cumulative_prod", (summed, {})),
    **dict.fromkeys(("cummax", "cummin"), (same, NO_ORDER)),
    "diff": (lambda dtype: torch.int64 if dtype is torch.bool else dtype, {}),  # of bools: of the numbers 0 and 1, where torch has the exclusive or
    "trapz": (as_floating, {}), "sort": (same, NO_ORDER), "argsort": (always(torch.int64), NO_ORDER),
    "quantile": (as_floating, NO_ORDER), "topk": (lambda dtype: (dtype, torch.int64), NO_ORDER),
    "normalize": (as_floating, {}), "rescale": (as_floating, NO_ORDER), "softmax": (as_floating, NO_COMPLEX), "log_softmax": (as_floating, NO_COMPLEX),
}
OPTIONS = {"quantile": (0.5,), "topk": (2,)}


@pytest.mark.parametrize("name", SCANNED)
def test_along_an_axis(name):
    make, refused = SCANNED[name]
    for dtype, shape in itertools.product(TYPES, ((3,), (2, 3))):
        call = lambda x: PUBLIC[name](x, *OPTIONS.get(name, ()), axis=-1)
        assert type_of(call, (dtype, 1), shape=shape) == (REFUSED if kind(dtype) in refused else make(dtype)), f"{name} of {dtype} {shape}"


# ----- what only moves, and several arrays together ---------------------------------------------------------------------------


MOVED = {
    "broadcast_to": lambda f, x: f(x, (4, 3, 3)), "diag": lambda f, x: f(x), "diagonal": lambda f, x: f(x), "expand_dims": lambda f, x: f(x, axis=0),
    "flip": lambda f, x: f(x), "flatten": lambda f, x: f(x), "matrix_transpose": lambda f, x: f(x), "moveaxis": lambda f, x: f(x, 0, 1),
    "pad": lambda f, x: f(x, ((1, 0), (0, 2))), "permute_dims": lambda f, x: f(x, (1, 0)), "repeat": lambda f, x: f(x, 2, axis=0),
    "reshape": lambda f, x: f(x, (9,)), "roll": lambda f, x: f(x, 1), "squeeze": lambda f, x: f(x), "stripdims": lambda f, x: f(x),
    "take": lambda f, x: f(x, [0, 2], axis=0), "take_along_axis": lambda f, x: f(x, gl.dlarray([[0, 1, 2]], dtype="int64"), axis=0),
    "tile": lambda f, x: f(x, (2, 1)), "transpose": lambda f, x: f(x), "tril": lambda f, x: f(x), "triu": lambda f, x: f(x),
    "unstack": lambda f, x: f(x)[0], "fftshift": lambda f, x: f(x), "ifftshift": lambda f, x: f(x), "zeros_like": lambda f, x: f(x),
    "ones_like": lambda f, x: f(x), "empty_like": lambda f, x: f(x), "full_like": lambda f, x: f(x, 1), "asarray": lambda f, x: f(x),
    "unique_values": lambda f, x: f(gl.detach(x)), "trace": lambda f, x: f(x),
    "zeros": lambda f, x: f(2, like=x), "ones": lambda f, x: f(2, like=x), "empty": lambda f, x: f(2, like=x), "full": lambda f, x: f(2, 1, like=x),
    "eye": lambda f, x: f(2, like=x),
}
OF_MOVED = {"trace": summed}


@pytest.mark.parametrize("name", MOVED)
def test_what_only_moves(name):
    for dtype in TYPES:
        expected = OF_MOVED.get(name, same)(dtype)
        assert type_of(lambda x: MOVED[name](PUBLIC[name], x), (dtype, 1), shape=(3, 3)) == expected, f"{name} of {dtype}"


def arrays():
    for a, b in itertools.product(TYPES, TYPES):
        yield (a, 1), (b, 1)


# In products of arrays integers stay integers, as in the array API; bools have no product of matrices in torch.
TOGETHER = {
    "concat": (lambda f, a, b: f([a, b]), {}), "stack": (lambda f, a, b: f([a, b]), {}), "outer": (lambda f, a, b: f(a, b), {}),
    "kron": (lambda f, a, b: f(a, b), {}), "cross": (lambda f, a, b: f(a, b), {"bool": "torch has no difference of bools"}),
    "vecdot": (lambda f, a, b: f(a, b), {}), "tensordot": (lambda f, a, b: f(a, b, axes=1), {"bool": "torch has no matrix product of bools"}),
    "matmul": (lambda f, a, b: f(a, b), {"bool": "torch has no matrix product of bools"}),
    "einsum": (lambda f, a, b: f("i,i->", a, b), {"bool": "torch has no matrix product of bools"}),
    "where": (lambda f, a, b: f(gl.dlarray([True, False, True]), a, b), {}),
    "clip": (lambda f, a, b: f(a, b), NO_ORDER),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_arrays_together(name):
    call, refused = TOGETHER[name]
    for a, b in arrays():
        dtype = promoted(a, b)
        expected = REFUSED if kind(dtype) in refused else dtype
        assert type_of(lambda a, b: call(PUBLIC[name], a, b), a, b) == expected, f"{name} of {a} and {b}"


@pytest.mark.parametrize("name", ["outer", "kron", "where", "clip"])
def test_arrays_without_axes_beside_others(name):
    call, refused = TOGETHER[name]
    for a, b in itertools.product([(d, k) for d in TYPES for k in (0, 1)], repeat=2):
        dtype = promoted(a, b)
        expected = REFUSED if kind(dtype) in refused else dtype
        assert type_of(lambda a, b: call(PUBLIC[name], a, b), a, b) == expected, f"{name} of {a} and {b}"


@pytest.mark.parametrize("name", ["where", "clip"])
def test_numbers_beside_arrays(name):
    call, refused = TOGETHER[name]
    for dtype, axes, number in itertools.product(TYPES, (0, 1), NUMBERS):
        found = promoted((dtype, axes), number)
        expected = REFUSED if kind(found) in refused else found
        assert type_of(lambda x: call(PUBLIC[name], x, number), (dtype, axes)) == expected, f"{name} of {dtype}, {axes} axes, and {number}"  # noqa: B023


# ----- transforms, matrices, layers -----------------------------------------------------------------------------------------------


def as_complex(dtype):
    dtype = as_floating(dtype)
    return COMPLEX_OF.get(dtype, dtype)


def as_real(dtype):
    return REAL_OF.get(as_complex(dtype))


TRANSFORMS = {
    **each("fft ifft fftn ifftn", (as_complex, NO_HALF)), **each("rfft rfftn ihfft", (as_complex, {**NO_HALF, **NO_COMPLEX})),
    **each("irfft irfftn hfft", (as_real, NO_HALF)),
}
FACTORS = {"half": "LAPACK has no half precision"}
MATRICES = {
    **each("cholesky det inv pinv", (as_floating, FACTORS)), "expm": (as_floating, {}), **dict.fromkeys(("eigvalsh", "svdvals"), (real_floating, FACTORS)),
    "eigh": (lambda d: (real_floating(d), as_floating(d)), FACTORS), "qr": (lambda d: (as_floating(d),) * 2, FACTORS),
    "svd": (lambda d: (as_floating(d), real_floating(d), as_floating(d)), FACTORS), "slogdet": (lambda d: (as_floating(d), real_floating(d)), FACTORS),
    "eig": (lambda d: (as_complex(d),) * 2, FACTORS), "eigvals": (as_complex, FACTORS), "lu": (lambda d: (as_floating(d),) * 3, FACTORS),
    "matrix_norm": (real_floating, {}), "matrix_rank": (always(torch.int64), FACTORS),
}


@pytest.mark.parametrize("name", [*TRANSFORMS, *MATRICES])
def test_transforms_and_matrices(name):
    make, refused = (TRANSFORMS | MATRICES)[name]
    eye = lambda x: gl.where(gl.dlarray(torch.eye(3, dtype=torch.bool)), x, gl.zeros_like(x)) if name in MATRICES else x
    for dtype in TYPES:
        expected = REFUSED if kind(dtype) in refused else make(dtype)
        assert type_of(lambda x: PUBLIC[name](eye(x)), (dtype, 1), shape=(3, 3)) == expected, f"{name} of {dtype}"


@pytest.mark.parametrize("name", ["solve", "solve_triangular", "lstsq"])
def test_systems(name):
    eye = lambda x: gl.where(gl.dlarray(torch.eye(3, dtype=torch.bool)), x, gl.zeros_like(x))
    for a, b in arrays():
        dtype = as_floating(promoted(a, b))
        found = type_of(lambda a, b: PUBLIC[name](eye(a), b), a, b, shape=(3, 3))
        assert (found[0] if type(found) is tuple else found) == (REFUSED if kind(dtype) in FACTORS else dtype), f"{name} of {a} and {b}"


# Not arrays of numbers in and out, or tested for their types where they are tested at all.
ELSEWHERE = {
    **each("can_cast isdtype result_type finfo iinfo dims finddim", "about types and labels"),
    **each("arange linspace rand randn randint permutation bernoulli categorical rng fftfreq rfftfreq from_dlpack",
                    "makes arrays: their types are tested in test_arrays and with random numbers"),
    **each("elementwise general multilinear", "declares operations"),
    **each("array_equal nonzero searchsorted unique_all unique_counts unique_inverse onehotencode onehotdecode dlode45 ravel",
                    "positions, codes, solutions and containers, tested in their own files"),
    **each("attention avgpool batchnorm crosschannelnorm crossentropy ctc dlconv dltranspconv dropout embed fullyconnect groupnorm gru huber "
                    "indexcrossentropy instancenorm interp1 l1loss l2loss layernorm lstm maxpool maxunpool mse",
                    "layers and losses, of floating arrays: single precision stays single in test_operations"),
    **each("astype broadcast_arrays meshgrid matrix_power polygamma sparse_matmul", "by what they are given: below"),
}


def test_what_takes_more():
    for dtype in TYPES:
        x = made((dtype, 1))
        assert all(gl.astype(x, other).dtype is other for other in TYPES)
        assert [y.dtype for y in (*gl.broadcast_arrays(x, x), *gl.meshgrid(x, x))] == [dtype] * 4
        if kind(dtype) not in ("complex", "half"):
            assert gl.polygamma(1, x).dtype is as_floating(dtype)
        assert gl.matrix_power(made((dtype, 1), (2, 2)), 2).dtype is as_floating(dtype)


def test_every_public_function_is_in_one_table():
    tables = [BINARY, UNARY, REDUCED, SCANNED, MOVED, TOGETHER, TRANSFORMS, MATRICES, ELSEWHERE, dict.fromkeys(("solve", "solve_triangular", "lstsq"))]
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names)) and set(names) == set(PUBLIC), set(names) ^ set(PUBLIC)


# ----- the cases that were wrong ---------------------------------------------------------------------------------------------------


def test_a_mean_over_what_a_mask_counts():
    x, mask = gl.dlarray([1.0, 2.0, 5.0], dtype="float32"), gl.dlarray([True, False, True])
    for run in (lambda f: f(x), lambda f: gl.dlfeval(f, x)):
        assert run(lambda x: gl.sum(x) / gl.count_nonzero(mask)).dtype is torch.float32
    assert gl.power(gl.dlarray([1, 2], dtype="int64"), 2.0).dtype is torch.float64 and gl.power(gl.dlarray([True]), 2).dtype is torch.int64
    assert gl.maximum(gl.dlarray([True, False]), 2).tolist() == [2, 2]  # 2 is no bool
    assert float(gl.beta(gl.dlarray([7], dtype="int64"), gl.dlarray([3.0]))[0]) == pytest.approx(1 / 252, rel=1e-13)  # all in double precision


def test_float_power_is_double():
    for dtype in TYPES:
        x = torch.ones(3, dtype=torch.float64).to(dtype)
        for exponent in (2, 2.5, x):
            own = gl.dlarray(x) if exponent is x else exponent
            assert torch.float_power(gl.dlarray(x), own).dtype is torch.float_power(x, exponent).dtype
            if dtype is not torch.bfloat16:
                assert str(np.float_power(gl.dlarray(x), own).dtype)[6:] == np.float_power(x.numpy(), own if exponent is not x else x.numpy()).dtype.name


@pytest.mark.parametrize("axis", [-1, 1, "C"])
def test_vecdot_stretches_no_vector(axis):
    labels = ("BC", "BC") if axis == "C" else (None, None)
    for shapes in (((2, 3), (2, 1)), ((2, 1), (2, 3)), ((2, 3), (2, 4))):
        a, b = (gl.dlarray(torch.ones(shape), label) for shape, label in zip(shapes, labels, strict=True))
        with pytest.raises(gl.ShapeError, match=r"vecdot of .*(along axis|align).*test_result_types"):
            gl.vecdot(a, b, axis=axis)
    a, b = (gl.dlarray(torch.ones(2, 3), label) for label in labels)
    assert gl.vecdot(a, b, axis=axis).tolist() == [3, 3]
    with pytest.raises(gl.ShapeError, match="vecdot"):
        gl.vecdot(gl.ones((2, 3)), gl.dlarray(2.0))
    with pytest.raises(gl.ShapeError, match=r"sizes \(2, 3\) meet axes of sizes \(3, 2\)"):
        gl.tensordot(gl.ones((2, 3)), gl.ones((3, 2)), axes=2)
    with pytest.raises(gl.ShapeError, match="over 3 axes"):
        gl.tensordot(gl.ones((2, 3)), gl.ones((3, 2)), axes=3)
