"""The functions of the array API standard 2024.12 (its linalg and fft extensions apart): present, and called as the standard says."""

import inspect

import pytest

import gradloom as gl

# Signatures as the standard writes them, without defaults and types. What stands before / has no name to callers.
STANDARD = """
arange(start, /, stop, step, *, dtype, device)
asarray(obj, /, *, dtype, device, copy)
empty(shape, *, dtype, device)
empty_like(x, /, *, dtype, device)
eye(n_rows, n_cols, /, *, k, dtype, device)
from_dlpack(x, /, *, device, copy)
full(shape, fill_value, *, dtype, device)
full_like(x, /, fill_value, *, dtype, device)
linspace(start, stop, /, num, *, dtype, device, endpoint)
meshgrid(*arrays, indexing)
ones(shape, *, dtype, device)
ones_like(x, /, *, dtype, device)
tril(x, /, *, k)
triu(x, /, *, k)
zeros(shape, *, dtype, device)
zeros_like(x, /, *, dtype, device)
astype(x, dtype, /, *, copy, device)
can_cast(from_, to, /)
finfo(type, /)
iinfo(type, /)
isdtype(dtype, kind)
result_type(*arrays_and_dtypes)
take(x, indices, /, *, axis)
take_along_axis(x, indices, /, *, axis)
matmul(x1, x2, /)
matrix_transpose(x, /)
tensordot(x1, x2, /, *, axes)
vecdot(x1, x2, /, *, axis)
broadcast_arrays(*arrays)
broadcast_to(x, /, shape)
concat(arrays, /, *, axis)
expand_dims(x, /, *, axis)
flip(x, /, *, axis)
moveaxis(x, source, destination, /)
permute_dims(x, /, axes)
repeat(x, repeats, /, *, axis)
reshape(x, /, shape, *, copy)
roll(x, /, shift, *, axis)
squeeze(x, /, axis)
stack(arrays, /, *, axis)
tile(x, repetitions, /)
unstack(x, /, *, axis)
argmax(x, /, *, axis, keepdims)
argmin(x, /, *, axis, keepdims)
count_nonzero(x, /, *, axis, keepdims)
nonzero(x, /)
searchsorted(x1, x2, /, *, side, sorter)
where(condition, x1, x2, /)
unique_all(x, /)
unique_counts(x, /)
unique_inverse(x, /)
unique_values(x, /)
argsort(x, /, *, axis, descending, stable)
sort(x, /, *, axis, descending, stable)
cumulative_prod(x, /, *, axis, dtype, include_initial)
cumulative_sum(x, /, *, axis, dtype, include_initial)
max(x, /, *, axis, keepdims)
mean(x, /, *, axis, keepdims)
min(x, /, *, axis, keepdims)
prod(x, /, *, axis, dtype, keepdims)
std(x, /, *, axis, correction, keepdims)
sum(x, /, *, axis, dtype, keepdims)
var(x, /, *, axis, correction, keepdims)
all(x, /, *, axis, keepdims)
any(x, /, *, axis, keepdims)
diff(x, /, *, axis, n, prepend, append)
clip(x, /, min, max)
"""
UNARY = ["abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_invert", "ceil", "conj", "cos", "cosh", "exp", "expm1", "floor", "imag", "isfinite", "isinf", "isnan", "log", "log1p", "log2", "log10", "logical_not", "negative", "positive", "real", "reciprocal", "round", "sign", "signbit", "sin", "sinh", "square", "sqrt", "tan", "tanh", "trunc"]
BINARY = ["add", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "copysign", "divide", "equal", "floor_divide", "greater", "greater_equal", "hypot", "less", "less_equal", "logaddexp", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "multiply", "nextafter", "not_equal", "pow", "remainder", "subtract"]

DEFAULTS = {  # what the standard fixes and programs rely on
    "argsort": {"axis": -1, "descending": False, "stable": True},
    "sort": {"axis": -1, "descending": False, "stable": True},
    "diff": {"axis": -1, "n": 1, "prepend": None, "append": None},
    "take_along_axis": {"axis": -1},
    "vecdot": {"axis": -1},
    "tensordot": {"axes": 2},
    "expand_dims": {"axis": 0},
    "concat": {"axis": 0},
    "stack": {"axis": 0},
    "unstack": {"axis": 0},
    "searchsorted": {"side": "left", "sorter": None},
    "meshgrid": {"indexing": "xy"},
    "cumulative_sum": {"axis": None, "dtype": None, "include_initial": False},
    "cumulative_prod": {"axis": None, "dtype": None, "include_initial": False},
    "linspace": {"endpoint": True},
    "std": {"axis": None, "correction": 0.0, "keepdims": False},
    "clip": {"min": None, "max": None},
}


def parsed():
    for line in STANDARD.strip().splitlines():
        name, _, rest = line.partition("(")
        yield name, [p.strip() for p in rest.rstrip(")").split(",")]
    yield from ((name, ["x", "/"]) for name in UNARY)
    yield from ((name, ["x1", "x2", "/"]) for name in BINARY)


CASES = dict(parsed())


def complaints(function, names):
    """What a caller by the standard would stumble over."""
    own = inspect.signature(function).parameters
    positional = [p for p in own.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    many = any(p.kind is p.VAR_POSITIONAL for p in own.values())
    slash = names.index("/") if "/" in names else 0
    star = next((k for k, n in enumerate(names) if n.startswith("*")), len(names))
    by_position = [n for n in names[:star] if n != "/"]
    if len(positional) < len(by_position) and not many:
        yield f"takes {len(positional)} arguments by position, not {len(by_position)}"
    for k, name in enumerate(names):
        if name in ("/", "*") or k < slash:
            continue
        if name.startswith("*"):
            if not many:
                yield f"does not take any number of arguments as {name}"
        elif name not in own or own[name].kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL):
            yield f"has no {name}="
        elif k < star and [p.name for p in positional].index(name) != by_position.index(name):
            yield f"{name} is at another place"
    known = {n.lstrip("*") for n in names}
    for p in positional[len(by_position) :]:
        if p.default is p.empty and p.name not in known:
            yield f"needs {p.name}, which the standard does not know"


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_call_by_the_standard_is_understood(name):
    assert not list(complaints(getattr(gl, name), CASES[name]))


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_defaults_are_the_standards(name):
    parameters = inspect.signature(getattr(gl, name)).parameters
    assert {p: parameters[p].default for p in DEFAULTS[name]} == DEFAULTS[name]


def test_complaints_are_found():
    assert list(complaints(lambda x: 0, ["x", "/", "*", "axis"])) == ["has no axis="]
    assert list(complaints(lambda x: 0, ["x1", "x2", "/"])) == ["takes 1 arguments by position, not 2"]
    assert list(complaints(lambda x, y, /, *, n: 0, ["x", "/", "*", "n"])) == ["needs y, which the standard does not know"]
    assert list(complaints(lambda a, b: 0, ["b", "a"])) == ["b is at another place", "a is at another place"]
    assert "does not take any number of arguments as *arrays" in list(complaints(lambda a: 0, ["*arrays"]))


def test_the_functions_work():
    x = gl.dlarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert gl.broadcast_to(x, shape=(2, 2, 3)).shape == (2, 2, 3)
    assert gl.permute_dims(x, axes=(1, 0)).shape == (3, 2)
    assert gl.reshape(x, shape=(3, 2), copy=True).shape == (3, 2)
    assert gl.squeeze(gl.dlarray([[1.0]]), 0).shape == (1,)
    assert gl.sum(gl.dlarray([True, True])).item() == 2
    assert str(gl.sum(x, dtype="float32").dtype) == "torch.float32"
    assert str(gl.prod(x, dtype="float32").dtype) == "torch.float32"
    assert gl.prod(gl.zeros((0, 2)), axis=0).tolist() == [1, 1]
    assert str(gl.astype(x, "float32", copy=False, device="cpu").dtype) == "torch.float32"
    assert gl.linspace(0, 1, 4, endpoint=False).tolist() == [0, 0.25, 0.5, 0.75]
    assert gl.linspace(0, 1, num=0, endpoint=False).shape == (0,)
    assert gl.full((2,), fill_value=3).tolist() == [3, 3]
    assert gl.full_like(x, fill_value=3).tolist() == [[3] * 3] * 2
    assert gl.eye(2, 3, k=1).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert gl.empty((2, 0)).shape == (2, 0) and gl.empty_like(x, dtype="float32").shape == (2, 3)
    assert (gl.dlarray([1, 2], dtype="int64") << 2).tolist() == [4, 8]
    assert (16 >> gl.dlarray([1, 2], dtype="int64")).tolist() == [8, 4]
    assert gl.pow(2.0, x).tolist() == [[2, 4, 8], [16, 32, 64]]


def test_dlpack():
    import numpy as np

    own = np.array([1.0, 2.0])
    copied, shared = gl.from_dlpack(own), gl.from_dlpack(own, copy=False)
    own[0] = 5
    assert copied.tolist() == [1, 2] and shared.tolist() == [5, 2]
    with pytest.raises(gl.TypeRefused, match="write dlarray"):
        gl.from_dlpack([1.0])


def test_asarray_copies_unless_told_otherwise():
    import numpy as np

    own = np.array([1.0, 2.0])
    arrays = [gl.asarray(own), gl.asarray(own, copy=None), gl.asarray(own, copy=True), gl.asarray(own, copy=False)]
    own[0] = 5
    assert [a.tolist()[0] for a in arrays] == [1, 1, 1, 5]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("float32", "float64"), "float64"),
        (("int32", "int8"), "int32"),
        (("uint8", "int8"), "int16"),
        (("float32", 2.5), "float32"),
        (("float32", 2), "float32"),
        (("int32", 2), "int32"),
        (("int32", 2.5), "float64"),
        (("bool", True), "bool"),
        (("bool", 1), "int64"),
        (("float32", 1j), "complex64"),
        (("float64", 1j), "complex128"),
        (("complex64", "float64"), "complex128"),
        ((1, 2.0), "float64"),
    ],
)
def test_result_type(arguments, expected):
    assert str(gl.result_type(*arguments))[6:] == expected
    arrays = [gl.ones(2, dtype=a) if isinstance(a, str) else a for a in arguments]
    assert str(gl.result_type(*arrays))[6:] == expected


def test_scalars_do_not_promote_within_their_kind():
    assert str(gl.result_type(gl.ones(2, dtype="float32"), gl.dlarray(1.0)))[6:] == "float32"
    assert gl.result_type(gl.ones(2, dtype="float32"), gl.dlarray(1.0)) == (gl.ones(2, dtype="float32") * gl.dlarray(1.0)).dtype


def test_types():
    assert gl.can_cast("int8", "int16") and not gl.can_cast("complex64", "float32") and gl.can_cast(gl.ones(1, dtype="float32"), "complex64")
    assert gl.isdtype("int8", "signed integer") and gl.isdtype("uint8", "integral") and not gl.isdtype("bool", "numeric")
    assert gl.isdtype("float32", "float32") and gl.isdtype("complex64", ("bool", "complex floating"))
    assert gl.finfo("float64").bits == 64 and gl.finfo(gl.ones(1, dtype="float32")).eps == 2.0**-23 and gl.finfo("complex64").bits == 32
    assert gl.iinfo("uint8").max == 255 and gl.iinfo("int64").min == -(2**63)
    for call, message in [
        (lambda: gl.finfo("int8"), "write iinfo"),
        (lambda: gl.iinfo("float32"), "write finfo"),
        (lambda: gl.isdtype("int8", "whole"), "signed integer"),
        (lambda: gl.can_cast("int8", "int7"), "int7"),
        (lambda: gl.result_type(), "give arrays"),
    ]:
        with pytest.raises(gl.TypeRefused, match=message):
            call()
