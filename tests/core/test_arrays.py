"""interface.md section 2: the types of arrays, their attributes, operators from either side, printing."""
import math

import numpy as np
import pytest
import torch

import gradloom as gl

TYPES = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool", "uint8", "int8", "int16", "int32", "int64"]


def name_of(x):
    return str(x.dtype).removeprefix("torch.")


# ----- types (2.1) ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "dtype"), [
    (3, "float64"), (-1.5, "float64"), (2j, "complex128"), (True, "bool"), ([-1, 2], "float64"), ([[1, 2.5], [3, 4]], "float64"),
    ([True, False], "bool"), ([1, 2j], "complex128"), ([], "float64"), ((1, 2), "float64"), (range(3), "float64"),
    (np.arange(3), "int64"), (np.float32(2), "float32"), (np.zeros(2, "uint8"), "uint8"), (np.zeros(2, ">f4"), "float32"),
    (np.zeros(2, "uint16"), "int64"), (np.array(True), "bool"), (torch.zeros(2, dtype=torch.bfloat16), "bfloat16"),
])
def test_numbers_become_float64_and_arrays_keep_their_type(given, dtype):
    assert name_of(gl.dlarray(given)) == dtype


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_can_be_asked_for_by_name(dtype):
    x = gl.dlarray([1, 0], dtype=dtype)
    assert name_of(x) == dtype
    assert name_of(x.astype(dtype)) == dtype
    assert [complex(v) for v in x.tolist()] == [1, 0]


def test_integers_are_differentiable_unless_they_are_indices():
    def gradient(x):
        return gl.dlgradient(gl.sum(x * x), x)

    assert gl.dlfeval(gradient, gl.dlarray([-1, 2])).tolist() == [-2, 4]
    with pytest.raises(gl.TypeRefused, match='dlarray\\(x, dtype="float64"\\)'):
        gl.dlfeval(lambda x, i: gl.dlgradient(gl.sum(x[i]), i), gl.dlarray([1, 2]), gl.dlarray([0, 1], dtype="int64"))


def test_numbers_that_do_not_fit():
    x = gl.dlarray([1.0, 2.0])
    assert (x * 10 ** 30).tolist() == gl.dlfeval(lambda x: x * 10 ** 30, x).tolist() == [1e30, 2e30]
    with pytest.raises(gl.TypeRefused, match="too large"):
        gl.dlarray(np.array([2 ** 63 + 5], dtype="uint64"))
    assert gl.dlarray(np.array([2 ** 62], dtype="uint64")).tolist() == [2 ** 62]
    with pytest.raises(gl.TypeRefused, match="float64"):
        gl.dlarray(np.array([1.0], dtype=np.longdouble))


@pytest.mark.parametrize("act", [lambda: gl.dlarray([1j]) < gl.dlarray([2j]), lambda: gl.relu(gl.dlarray([1j])), lambda: gl.max(gl.dlarray([1j])),
                                 lambda: -gl.dlarray([True]), lambda: gl.dlarray([1.0]) & gl.dlarray([2.0]), lambda: gl.maximum(gl.dlarray(1j), 1.0)])
def test_what_a_type_cannot_do(act):
    with pytest.raises(gl.TypeRefused, match="test_arrays.py"):
        act()


def test_devices():
    x = gl.dlarray([1.0, 2.0])
    for call in (lambda: x + x.to(device="meta"), lambda: gl.dlfeval(lambda x: x.to(device="meta") * x, x), lambda: gl.where(x > 0, x.to(device="meta"), x)):
        with pytest.raises(gl.GradloomError, match=r"(?s)(?=.*cpu).*meta"):
            call()
    for call in (lambda: gl.dlarray([1.0], device="nowhere"), lambda: x.to(device="nowhere")):
        with pytest.raises(gl.TypeRefused):
            call()
    if not torch.cuda.is_available():
        for call in (lambda: gl.dlarray([1.0], device="cuda"), lambda: x.to(device="cuda")):
            with pytest.raises(gl.GradloomError, match="CUDA"):
                call()
    assert x.to(device="meta").device.type == "meta" and gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x.to(device="cpu") ** 2), x), x).tolist() == [2, 4]


@pytest.mark.parametrize("bad", ["text", [1, [2, 3]], None, object(), np.array(["a"]), {"a": 1}, [None], np.zeros(2, "datetime64[s]")])
def test_what_is_no_array_of_numbers_is_refused(bad):
    with pytest.raises(gl.TypeRefused):
        gl.dlarray(bad)


def test_an_unknown_dtype_lists_those_there_are():
    with pytest.raises(TypeError, match="float32"):
        gl.dlarray(1, dtype="float31")


BINARY = [gl.add, gl.subtract, gl.multiply, gl.divide, gl.power, gl.maximum, gl.minimum, gl.atan2, gl.hypot, gl.mod,
          lambda a, b: gl.where(a == a, a, b), lambda a, b: gl.concat([gl.reshape(a, (-1,)), gl.reshape(b, (-1,))])]
WEAK = [2, 2.5, np.float64(2.5), np.int64(2), np.array(2.5), np.float32(2.5)]


@pytest.mark.parametrize("operation", BINARY[:-1])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scalars_never_promote_an_array_within_its_kind(operation, dtype):
    x = gl.dlarray([1.0, 3.0], dtype=dtype)
    for scalar in WEAK:
        assert name_of(operation(x, scalar)) == dtype
        assert name_of(operation(scalar, x)) == dtype
    zero_dimensional = gl.dlarray(np.float64(2.5))
    assert name_of(operation(x, zero_dimensional)) == dtype
    assert name_of(gl.dlfeval(operation, x, zero_dimensional)) == dtype
    assert name_of(gl.dlfeval(lambda x: operation(x, 2.5), x)) == dtype
    assert name_of(gl.dlfeval(lambda x: operation(2, x), x)) == dtype


def test_a_scalar_of_a_higher_kind_promotes():
    i, x = gl.dlarray([1, 2], dtype="int32"), gl.dlarray([1.0, 2.0], dtype="float32")
    assert name_of(i * 2) == "int32" and name_of(i * 2.5) in ("float32", "float64")
    assert name_of(x * 2j) == "complex64"

    def order(x):  # the number that comes first must not decide the type of the next
        return x * 2, x * (2 + 0j), x * 2.0

    assert [name_of(y) for y in gl.dlfeval(order, x)] == ["float32", "complex64", "float32"]
    assert [name_of(y) for y in gl.dlfeval(lambda x: (x * (2 + 0j), x * 2), x)] == ["complex64", "float32"]
    assert [y.tolist() for y in gl.dlfeval(lambda x: (x * True, x * 1, x + 1.0), x)] == [[1, 2], [1, 2], [2, 3]]


def test_arrays_promote_in_every_operation_alike():
    a, b = gl.dlarray([1.0, 2.0], dtype="float32"), gl.dlarray([3.0, 4.0], dtype="float64")
    for operation in BINARY:
        assert name_of(operation(a, b)) == "float64" == name_of(operation(b, a))
        assert name_of(gl.dlfeval(operation, a, b)) == "float64"
    m, n = gl.dlarray(np.ones((2, 2), "float32")), gl.dlarray(np.ones((2, 2)))
    assert name_of(m @ n) == name_of(n @ m) == name_of(m @ np.ones(2)) == name_of(gl.einsum("ij,jk->ik", m, n)) == "float64"
    assert name_of(gl.fullyconnect(gl.dlarray(m, "CB"), n)) == "float64"
    assert name_of(gl.concat([a, b])) == name_of(gl.stack([a, b])) == "float64"
    assert name_of(gl.dlarray([1, 2], dtype="int64") * a) == "float32"


def test_a_gradient_has_the_type_of_its_target_through_promotion():
    def gradients(a, b, m):
        return gl.dlgradient(gl.sum(m @ (a * b)), a, b, m)

    a, b, m = gl.dlarray([1, 2], dtype="float32"), gl.dlarray([3, 4]), gl.dlarray([[1, 2]], dtype="float16")
    assert [name_of(g) for g in gl.dlfeval(gradients, a, b, m)] == ["float32", "float64", "float16"]


# ----- attributes, methods, a sequence along axis 0 (2.4) --------------------------------------------------------------


def test_attributes():
    x = gl.dlarray(np.arange(24.0, dtype="float32").reshape(2, 3, 4), "SCS")
    assert (x.shape, x.ndim, x.size, name_of(x), x.device.type, x.dims) == ((2, 3, 4), 3, 24, "float32", "cpu", "SCS")
    assert x.sizes == {"S": (2, 4), "C": 3} and not x.traced and (x.itemsize, x.nbytes) == (4, 96)
    assert x.T.shape == (4, 3, 2) and x.mT.shape == (2, 4, 3) and x.mT.dims == "SSC"
    z = gl.dlarray([[1 + 2j, 3j]])
    assert z.real.tolist() == [[1, 0]] and z.imag.tolist() == [[2, 3]] and z.H.tolist() == [[1 - 2j], [-3j]]
    assert z.conj().tolist() == [[1 - 2j, -3j]] and gl.dlarray([-2.0]).abs().tolist() == [2]
    assert round(gl.dlarray(2.6)).item() == 3 and math.floor(gl.dlarray(2.6)).item() == 2 and math.trunc(gl.dlarray(-2.6)).item() == -2
    assert gl.dlarray([1.0]).imag.tolist() == [0] and abs(gl.dlarray(-2.0)).item() == 2
    with pytest.raises(AttributeError):
        x.shape = (24,)
    with pytest.raises(AttributeError):
        x.anything = 1
    with pytest.raises(TypeError):
        hash(x)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "std", "var", "any", "all", "argmax", "argmin"])
def test_methods_are_the_functions(name):
    a = np.random.default_rng(0).normal(size=(3, 4))
    for axis in (None, 0, 1):
        expected = getattr(np, name)(a, axis=axis)
        assert np.allclose(getattr(gl.dlarray(a), name)(axis=axis), expected) and np.allclose(getattr(gl, name)(a, axis=axis), expected)


def test_methods_that_move():
    x = gl.dlarray([[1.0, 2.0, 3.0]])
    assert x.reshape((3, 1)).shape == x.reshape(3, 1).shape == x.reshape(-1, 1).shape == x.transpose().shape == (3, 1)
    assert x.squeeze().shape == x.squeeze(axis=0).shape == (3,)
    assert name_of(x.to(dtype="float32")) == name_of(x.astype("float32")) == "float32"
    assert x.to(device="cpu").tolist() == x.copy().tolist() == x.detach().tolist() == x.numpy().tolist() == [[1, 2, 3]]
    assert name_of(gl.dlfeval(lambda x: gl.dlgradient(gl.sum(x.to(dtype="float32") ** 2), x), x)) == "float64"


def test_a_sequence_along_axis_0():
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "BC")
    a, b = x
    assert len(x) == 2 and a.tolist() == [1, 2] and b.dims == "C" and [r.tolist() for r in x] == [[1, 2], [3, 4]]
    assert 3.0 in x and 5 not in x
    for use in (len, iter):
        with pytest.raises(TypeError):
            use(gl.dlarray(1.0))
    assert gl.dlfeval(lambda x: gl.dlgradient(sum(r[0] for r in x), x), x).tolist() == [[1, 0], [1, 0]]


# ----- operators from either side (2.5) ----------------------------------------------------------------------------------

OPERATORS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b, "**": lambda a, b: a ** b,
             "@": lambda a, b: a @ b, "%": lambda a, b: a % b, "<": lambda a, b: a < b, "==": lambda a, b: a == b, ">=": lambda a, b: a >= b,
             "//": lambda a, b: a // b}


@pytest.mark.parametrize("sign", OPERATORS)
def test_operators_reach_us_from_either_side(sign):
    operator, x = OPERATORS[sign], np.array([1.0, 2.0])
    others = [np.array([3.0, 2.0]), torch.tensor([3.0, 2.0], dtype=torch.float64), [3.0, 2.0]]
    if sign != "@":
        others += [np.float64(2), np.float32(2), 2, 2.0, np.array(2.0), torch.tensor(2.0)]
    for other in others:
        for a, b in ((gl.dlarray(x), other), (other, gl.dlarray(x))):
            y, expected = operator(a, b), operator(*(np.asarray(v) for v in (a, b)))
            assert type(y) is gl.dlarray and np.allclose(y, expected) and y.shape == expected.shape, (sign, type(a), type(b))


def test_tensors_in_tensors_out():
    t, x = torch.tensor([1.0, 4.0]), gl.dlarray([1.0, 4.0])
    for y in (gl.sqrt(t), gl.multiply(t, 2), gl.multiply(2, t), gl.sum(t), gl.matmul(t, t), gl.stack([t, t]), gl.where(t > 1, t, 0), gl.max(t),
              gl.reshape(t, (2, 1)), gl.relu(t), gl.concat([t, t]), gl.equal(t, 1), gl.var(t), gl.stripdims(t), gl.softplus(t), gl.norm(t), gl.maximum(t, 2)):
        assert type(y) is torch.Tensor
    for y in (gl.add(t, x), gl.add(x, t), gl.add(t, np.ones(2)), gl.add(np.ones(2), np.ones(2)), gl.add(t, [1, 2]), gl.add(1, 2), gl.sqrt(4), gl.sum([1, 2]),
              gl.stack([t, x]), gl.matmul(t, x), gl.concat([t, np.ones(2)]), gl.sum(np.ones(2)), gl.where(True, 1, 2), gl.matmul(np.ones(2), t)):
        assert type(y) is gl.dlarray


def test_none_and_text_are_no_operands():
    x = gl.dlarray([1.0])
    for bad in (None, "a", {}):
        with pytest.raises(TypeError):
            x + bad
        with pytest.raises(TypeError):
            bad * x


# ----- printing (2.6) ------------------------------------------------------------------------------------------------------


def test_printing():
    x = gl.dlarray(np.arange(6.0).reshape(2, 3), "CB")
    assert repr(x) == "2(C) x 3(B) dlarray float64\n[[0. 1. 2.]\n [3. 4. 5.]]" == str(x) == f"{x}"
    assert repr(gl.dlarray([1.0, 2.0])) == "2 dlarray float64\n[1. 2.]"
    assert repr(gl.dlarray(104.0)) == "dlarray float64 104.0"
    assert repr(gl.dlarray(1, dtype="int64")) == "dlarray int64 1" and repr(gl.dlarray(True)) == "dlarray bool True"
    assert f"{gl.dlarray(1.25):.1f}" == "1.2" and f"{gl.dlarray([2.0]):.2f}" == "2.00"
    assert repr(gl.dlarray([])) == "0 dlarray float64\n[]"
    assert gl.dlfeval(lambda x: repr(x), gl.dlarray(1.0)) == "dlarray float64 traced 1.0"
    long = repr(gl.dlarray(np.zeros((1000, 1000))))
    assert long.startswith("1000 x 1000 dlarray float64\n") and "..." in long and len(long) < 1000
    assert "float16" in repr(gl.dlarray([1], dtype="float16")) and "1.+2.j" in repr(gl.dlarray([1 + 2j]))
    with np.printoptions(precision=2):
        assert "0.33" in repr(gl.dlarray([1 / 3])) and "0.333" not in repr(gl.dlarray([1 / 3]))


def test_pythons_round_and_divmod():
    x = gl.dlarray([1.256, -2.5, 3.5], "C")
    for decimals in (None, 0, 1, 2, -1):
        found = round(x, decimals) if decimals is not None else round(x)
        np.testing.assert_allclose(np.asarray(found), np.round(np.asarray(x), decimals or 0))
        assert found.dims == "C"
    whole = round(gl.dlarray(1234, dtype="int64"), -2)
    assert whole.item() == 1200 and whole.dtype is torch.int64 and round(gl.dlarray(7, dtype="int64"), 2).item() == 7
    for a, b in ((x, 2), (7, x), (x, x * 1.5), (np.array([5.0, 6.0, 7.0]), gl.stripdims(x))):
        found, expected = divmod(a, b), np.divmod(np.asarray(a), np.asarray(b))
        np.testing.assert_allclose([np.asarray(part) for part in found], expected)
    assert gl.dlfeval(lambda x: gl.dlgradient(gl.sum(divmod(x, 2.0)[1] + round(x, 1)), x), x).tolist() == [1, 1, 1]
