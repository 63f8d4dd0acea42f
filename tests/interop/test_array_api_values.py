"""Values and types that the array API standard fixes where torch's kernels have others: infinities, NaN, signed zeros, small integers."""

import cmath
import math

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom import array_api as xp

inf, nan = math.inf, math.nan


def same(found, expected):
    """Equal, zeros with their signs and NaN included."""
    found = complex(gl.extractdata(found))
    return all(a == b and math.copysign(1, a) == math.copysign(1, b) or math.isnan(a) and math.isnan(b)
               for a, b in ((found.real, complex(expected).real), (found.imag, complex(expected).imag)))


@pytest.mark.parametrize(("name", "a", "b", "expected"), [
    ("floor_divide", inf, 2.0, inf), ("floor_divide", inf, -2.0, -inf), ("floor_divide", -inf, 2.0, -inf), ("floor_divide", -inf, -2.0, inf),
    ("floor_divide", 3.0, -inf, -0.0), ("floor_divide", -3.0, inf, -0.0), ("floor_divide", 3.0, inf, 0.0), ("floor_divide", inf, inf, nan),
    ("floor_divide", nan, inf, nan), ("floor_divide", -7.0, 2.0, -4.0),
    ("remainder", -0.0, 2.0, 0.0), ("remainder", 0.0, -2.0, -0.0), ("remainder", -4.0, 2.0, 0.0), ("remainder", 4.0, -2.0, -0.0),
    ("remainder", 5.0, -3.0, -1.0), ("remainder", 1.0, -inf, -inf), ("remainder", -1.0, inf, inf), ("remainder", inf, 2.0, nan)])
def test_quotients_and_remainders(name, a, b, expected):
    symbol = {"floor_divide": lambda a, b: a // b, "remainder": lambda a, b: a % b}[name]
    for x, y in ((gl.dlarray(a), gl.dlarray(b)), (gl.dlarray(a), b), (a, gl.dlarray(b)), (gl.dlarray(a, dtype="float32"), b)):
        assert same(symbol(x, y), expected), (x, y)
        assert same(getattr(xp, name)(x, y), expected)
    assert (gl.dlarray([7, -7], dtype="int32") // 2).tolist() == [3, -4] and (gl.dlarray([7, -7], dtype="int8") % 4).tolist() == [3, 1]


def test_zeros_of_a_remainder_are_numpys():
    a, b = (np.array(v) for v in zip(*[(x, y) for x in (-6.0, -0.0, 0.0, 6.0) for y in (-3.0, 3.0, 4.0)], strict=True))
    found, expected = gl.extractdata(gl.dlarray(a) % gl.dlarray(b)), np.mod(a, b)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


COMPLEX = [
    ("expm1", complex(inf, 0), complex(inf, 0)), ("expm1", complex(-inf, inf), complex(-1, 0)), ("expm1", complex(inf, nan), complex(inf, nan)),
    ("expm1", complex(inf, inf), complex(inf, nan)), ("expm1", complex(-inf, nan), complex(-1, 0)), ("expm1", complex(nan, 0), complex(nan, 0)),
    ("expm1", complex(0, -0.0), complex(0, -0.0)), ("expm1", complex(1, nan), complex(nan, nan)),
    ("log1p", complex(inf, nan), complex(inf, nan)), ("log1p", complex(-inf, nan), complex(inf, nan)), ("log1p", complex(nan, inf), complex(inf, nan)),
    ("log1p", complex(nan, 1), complex(nan, nan)),
    ("tanh", complex(inf, 2), complex(1, 0)), ("tanh", complex(inf, -2), complex(1, -0.0)), ("tanh", complex(-inf, 1), complex(-1, 0)),
    ("acos", complex(0, 0), complex(math.pi / 2, -0.0)), ("acos", complex(-0.0, 0), complex(math.pi / 2, -0.0)),
    ("acos", complex(0, -0.0), complex(math.pi / 2, 0.0)), ("acos", complex(0, nan), complex(math.pi / 2, nan))]


@pytest.mark.parametrize(("name", "z", "expected"), COMPLEX)
def test_complex_functions_where_parts_are_not_finite(name, z, expected):
    assert same(getattr(gl, name)(gl.dlarray(z)), expected)
    # in an array, whose kernel is another
    assert same(getattr(gl, name)(gl.dlarray([z] * 9))[8], expected)


def test_complex_functions_keep_their_digits():
    mpmath = pytest.importorskip("mpmath")
    draw = np.random.default_rng(0)
    for scale in (1e-12, 1e-3, 1.0, 5.0):
        z = (draw.normal(size=20) + 1j * draw.normal(size=20)) * scale
        truth = np.array([complex(mpmath.expm1(mpmath.mpc(v))) for v in z])
        np.testing.assert_allclose(gl.extractdata(gl.expm1(gl.dlarray(z))).real, truth.real, rtol=1e-10, atol=1e-16 * scale)
        np.testing.assert_allclose(gl.extractdata(gl.expm1(gl.dlarray(z))).imag, truth.imag, rtol=1e-13)
        np.testing.assert_allclose(gl.extractdata(gl.acos(gl.dlarray(z))), [cmath.acos(v) for v in z], rtol=1e-13)


def test_the_sign_of_nan_is_nan():
    for dtype in ("float32", "float64", "bfloat16"):
        y = gl.sign(gl.dlarray([nan, -2.0, 0.0, inf], dtype=dtype)).tolist()
        assert math.isnan(y[0]) and y[1:] == [-1, 0, 1]
    assert gl.sign(gl.dlarray([-3, 0, 2], dtype="int8")).tolist() == [-1, 0, 1]


def test_rounding_of_integers():
    for dtype in ("uint8", "int8", "int64", "bool"):
        x = gl.dlarray(np.array([0, 1]).astype(dtype))
        for function in (gl.round, gl.floor, gl.ceil, gl.trunc):
            assert function(x).tolist() == x.tolist() and function(x).dtype is x.dtype


def test_rounding_of_complex_numbers_is_the_standards_alone():
    z = gl.dlarray([1.5 - 0.4j, -2.5 + 2.6j])
    assert xp.round(z).tolist() == [2, -2 + 3j]
    with pytest.raises(gl.TypeRefused):
        gl.round(z)


def test_limits_say_their_type():
    for name in ("float32", "float64"):
        limits = gl.finfo(name)
        assert limits.dtype is getattr(torch, name) and limits.tiny == limits.smallest_normal == np.finfo(name).tiny
        assert (limits.bits, limits.eps, limits.max, limits.min) == (np.finfo(name).bits, np.finfo(name).eps, np.finfo(name).max, np.finfo(name).min)
    assert gl.finfo("complex64").dtype is torch.float32 and gl.finfo("complex128").dtype is torch.float64 and gl.finfo("bfloat16").dtype is torch.bfloat16
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        assert gl.iinfo(name) == (np.iinfo(name).bits, np.iinfo(name).max, np.iinfo(name).min, getattr(torch, name))


def test_sums_have_the_type_that_is_asked_for():
    x = gl.dlarray([100, 100, 100], dtype="int8")
    for namespace in (gl, xp):
        assert namespace.sum(x, dtype="int8").dtype is torch.int8 and namespace.sum(x, dtype="int8").item() == 44
        assert namespace.prod(x, dtype="uint8").dtype is torch.uint8 and namespace.sum(x).item() == 300


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_moments_over_no_axes_have_the_shape_of_the_array(name, keepdims):
    x = np.array([[1.0, 2.0, 4.0]])
    for correction in (0.0, 1.0):
        y = getattr(gl, name)(gl.dlarray(x), axis=(), correction=correction, keepdims=keepdims)
        assert y.shape == x.shape and (np.isnan(gl.extractdata(y)).all() if correction else (gl.extractdata(y) == 0).all())


def test_distinct_complex_numbers():
    z = np.array([[1 + 2j, 1 - 1j, 0], [1 + 2j, 0, 3]])
    values, index, inverse, counts = np.unique(z, return_index=True, return_inverse=True, return_counts=True)
    found = gl.unique_all(gl.dlarray(z))
    for part, expected in zip(found, (values, index, inverse, counts), strict=True):
        np.testing.assert_array_equal(gl.extractdata(part), expected)
    assert gl.unique_values(gl.dlarray([complex(nan, 0), 1j, complex(nan, 0)])).shape == (3,)


def test_masks_of_no_elements_and_of_too_many_axes():
    x = gl.dlarray([[1.0, 2.0]])
    for shape in ((0,), (0, 2), (1, 0), (0, 0)):
        assert x[gl.zeros(shape, dtype="bool")].shape == (0,) + (2,) * (len(shape) == 1)
    y = gl.dlarray([1.0, 2.0])
    y[gl.zeros((0,), dtype="bool")] = 5.0
    assert y.tolist() == [1, 2]
    for bad in ((3,), (1, 2, 1), (0, 3)):
        with pytest.raises(IndexError) as caught:
            x[gl.ones(bad, dtype="bool")]
        assert isinstance(caught.value, gl.ShapeError)


def test_arrays_without_axes_have_a_type_in_the_standards_functions():
    """Operators and the rest of the library take them as numbers, as torch does."""
    small, large = gl.dlarray(1.0, dtype="float64"), gl.dlarray([1.0, 2.0], dtype="float32")
    assert xp.add(small, large).dtype is torch.float64 and gl.add(small, large).dtype is torch.float32 and (small + large).dtype is torch.float32
    assert xp.minimum(small, gl.zeros(0, dtype="float32")).dtype is torch.float64 and xp.where(gl.dlarray([True]), small, large).dtype is torch.float64
    assert xp.bitwise_or(gl.dlarray(1, dtype="int16"), gl.dlarray([1], dtype="int8")).dtype is torch.int16
    assert xp.result_type(small, large) is torch.float64 and xp.add(large, 2.0).dtype is torch.float32 and gl.result_type(small, large) is torch.float32


def test_products_of_arrays_without_axes_and_without_elements():
    wide, narrow = gl.dlarray(2, dtype="int64"), gl.dlarray([3], dtype="int8")
    for namespace in (xp, xp.linalg):
        y = namespace.tensordot(wide, narrow, axes=((), ()))
        assert y.dtype is torch.int64 and y.tolist() == [6]
    for shapes, axes in (((0, 0), (0, 2)), 1), (((2, 0), (3, 0)), 0), (((0, 3), (0, 3)), 2), (((0, 2), (2, 0)), 1):
        a, b = (np.zeros(s) for s in shapes)
        assert gl.tensordot(gl.dlarray(a), gl.dlarray(b), axes=axes).shape == np.tensordot(a, b, axes=axes).shape


def test_integers_compare_as_they_are():
    for a, b in ((-1, "uint8"), (128, "int8"), (300, "uint8")):
        x, y = gl.dlarray(a, dtype="int16"), gl.dlarray([0, 44], dtype=b)
        for symbol in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"):
            expected = getattr(np, symbol)(np.int64(a), [0, 44]).tolist()
            assert getattr(gl, symbol)(x, y).tolist() == expected and getattr(xp, symbol)(x, y).tolist() == expected
        assert (y < x).tolist() == [v < a for v in (0, 44)]


def test_a_deviation_of_one_element_is_zero_to_every_order():
    """No kink: it is 0 wherever the element is."""
    def curvature(x):
        return gl.hvp(gl.sum(gl.std(x, axis=0) * gl.sum(x)), x, np.ones((1, 3)))

    np.testing.assert_array_equal(gl.extractdata(gl.dlfeval(curvature, gl.dlarray([[1.0, 2.0, 3.0]]))), 0)
    directional = gl.dlfeval(lambda x: gl.jvp(gl.std(x, axis=0), x, np.ones((1, 3))), gl.dlarray([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(gl.extractdata(directional), 0)


def test_calls_as_the_standard_writes_them():
    x = gl.dlarray([1.0, 2.0])
    assert xp.expand_dims(x, 1).shape == (2, 1) and xp.expand_dims(x, axis=0).shape == (1, 2)
    assert torch.from_dlpack(x.__dlpack__(stream=None, max_version=(1, 0), copy=True)).tolist() == [1, 2]
    assert torch.from_dlpack(x.__dlpack__(dl_device=x.__dlpack_device__())).tolist() == [1, 2]


def test_an_axis_that_is_not_there_is_an_error_of_an_index():
    x = gl.dlarray([[1.0, 2.0]])
    for call in (lambda: xp.expand_dims(x, axis=3), lambda: xp.expand_dims(x, axis=-4), lambda: gl.sum(x, axis=2), lambda: gl.flip(x, axis=-3)):
        with pytest.raises(IndexError, match="out of range") as caught:
            call()
        assert isinstance(caught.value, gl.LabelError)


def test_asarray_shares_an_array_unless_a_copy_is_asked_for():
    for copy, value in ((False, 9), (None, 9), (True, 1)):
        x = xp.asarray([1, 2])
        y = xp.asarray(x, copy=copy)
        x[0] = 9
        assert y.tolist() == [value, 2] and xp.asarray(x, dtype=xp.float32, copy=copy).dtype is xp.float32
