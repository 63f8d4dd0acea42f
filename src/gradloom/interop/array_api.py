"""The array API standard's namespace (2024.12): what `x.__array_namespace__()` is.

The functions are gradloom's own. Where the standard differs from the rest of the library, it is the standard that holds
here: Python integers are int64 and not float64, `squeeze` takes its axis by position, shapes may be given by name.
"""
from __future__ import annotations

import builtins
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import LabelError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..core.tables import PUBLIC
from ..machine.dtypes import DTYPES, NUMBER_TYPES
from .numpy.mathematics import FUNCTIONS as NUMPY
from .numpy.special import UFUNCS as SPECIAL
from .protocol import fft as _fft
from .protocol import gl
from .protocol import linalg as _linalg

__array_api_version__ = "2024.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")

_WORDS = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh bitwise_and
bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor broadcast_arrays broadcast_to can_cast ceil
clip concat conj copysign cos cosh count_nonzero cumulative_prod cumulative_sum diff divide empty empty_like equal exp
expand_dims expm1 eye finfo flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag
isdtype isfinite isinf isnan less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or
logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum moveaxis multiply negative nextafter nonzero
not_equal ones ones_like permute_dims positive pow prod real reciprocal remainder repeat reshape result_type roll round
searchsorted sign signbit sin sinh sort sqrt square squeeze stack std subtract sum take take_along_axis tan tanh
tensordot tile tril triu trunc unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
zeros_like
"""
STANDARD = _WORDS.split()

_namespace = globals()
for _name in STANDARD:
    if _name in PUBLIC:
        _namespace[_name] = PUBLIC[_name]
    elif _name in NUMPY:
        _namespace[_name] = NUMPY[_name]
pow = PUBLIC["power"]

e, pi, inf, nan, newaxis = math.e, math.pi, math.inf, math.nan, None
_TYPES = {name: DTYPES[name] for name in DTYPES if name not in ("bool", "float16", "bfloat16")}
_namespace.update(_TYPES)
bool = torch.bool
_TYPES = {"bool": torch.bool, **_TYPES}


# ----- creation: Python integers are integers -----


def _type_of(value: Any) -> Any:
    """The type of an array of Python numbers, at any depth."""
    raw = np.asarray(value)
    return torch.int64 if raw.dtype.kind in "iu" else None


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> dlarray:
    """obj as an array; one that is an array of this library stays at its place in the trace."""
    if type(obj) is dlarray and not copy and dtype in (None, obj.dtype) and device in (None, obj.device):
        return obj  # the array itself, which is the one way to share what is written into it
    if isinstance(obj, (list, tuple, int)) and not any_arrays(obj) and dtype is None:
        dtype = _type_of(obj)
    return dlarray(obj, dtype=dtype, device=device)


def any_arrays(obj: Any) -> Any:
    """Whether arrays are in a list, at any depth."""
    return (isinstance(obj, (dlarray, torch.Tensor, np.ndarray)) or isinstance(obj, (list, tuple))
            and builtins.any(map(any_arrays, obj)))


def _filled(value: float) -> Any:
    def create(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
        return gl.full(shape, value, dtype=torch.float64 if dtype is None else dtype, device=device)

    return create


zeros, ones, empty = _filled(0), _filled(1), _filled(0)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere, of its own type."""
    dtype = torch.int64 if dtype is None and type(fill_value) is int else dtype
    return gl.full(shape, fill_value, dtype=dtype, device=device)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere in the shape of x."""
    return gl.full_like(x, fill_value, dtype=dtype, device=device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape of x."""
    return gl.zeros_like(x, dtype=dtype, device=device)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """Numbers from start to just before stop; int64 where all are integers."""
    integers = all_integers(start, stop, step)
    return gl.arange(start, stop, step, dtype=torch.int64 if dtype is None and integers else dtype, device=device)


def all_integers(*numbers: Any) -> Any:
    """Whether every bound that is given is a Python integer."""
    return not builtins.any(n is not None and not isinstance(n, int) for n in numbers)


def linspace(start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: Any = True) -> Any:
    """`num` evenly spaced numbers from start to stop."""
    y = gl.linspace(start, stop, num if endpoint else num + 1, dtype=dtype, device=device)
    return y if endpoint else y[:-1]


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Any:
    """Ones on a diagonal."""
    return gl.eye(n_rows, n_cols, k=k, dtype=dtype, device=device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> dlarray:
    """An array of another library as a constant."""
    return x if type(x) is dlarray else dlarray(torch.from_dlpack(x), device=device)


def astype(x: Any, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any:
    """The same values in another type."""
    return x.to(device=device, dtype=dtype)


# ----- arguments that have another form in the standard -----


def reshape(x: Any, /, shape: Any, *, copy: Any = None) -> Any:
    """The same elements in another shape."""
    return gl.reshape(x, tuple(shape) if hasattr(shape, "__len__") else shape)


def squeeze(x: Any, /, axis: Any) -> Any:
    """Without axes of size 1."""
    return gl.squeeze(x, axis=axis)


def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays one after the other."""
    return NUMPY["concatenate"](list(arrays), axis)


def tile(x: Any, repetitions: Any, /) -> Any:
    """The array several times along each axis."""
    return gl.tile(x, repetitions)


def expand_dims(x: Any, /, axis: Any = 0) -> Any:
    """A new axis of size 1."""
    return gl.expand_dims(x, axis=axis)


def _of_their_types(function: Any) -> Any:
    """A function of two arrays, where one without axes has a type like any other array."""

    def call(x1: Any, x2: Any, /) -> Any:
        if type(x1) is dlarray is type(x2) and x1.dtype is not x2.dtype and not (x1.ndim and x2.ndim):
            common = gl.result_type(x1.dtype, x2.dtype)
            x1, x2 = gl.astype(x1, common), gl.astype(x2, common)
        return function(x1, x2)

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    return call


_OF_TWO = """
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide
greater greater_equal hypot less less_equal logaddexp maximum minimum multiply nextafter not_equal pow remainder
subtract
"""
for _name in _OF_TWO.split():
    _namespace[_name] = _of_their_types(_namespace[_name])


def round(x: Any, /) -> Any:
    """The nearest integer, halves to even; of complex numbers each part for itself."""
    return NUMPY["round"](x)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over axes."""
    return _of_their_types(lambda x1, x2: gl.tensordot(x1, x2, axes=axes))(x1, x2)


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The type that arrays and types are computed in together."""
    return gl.result_type(*(x.dtype if type(x) is dlarray else x for x in arrays_and_dtypes))


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """x1 where the condition holds, x2 elsewhere; a Python number takes the other's type."""
    if type(x1) in NUMBER_TYPES and type(x2) in NUMBER_TYPES:
        x1 = dlarray(x1, dtype=torch.int64 if type(x1) is int and type(x2) is int else None)
    if type(x1) is dlarray is type(x2) and not (x1.ndim and x2.ndim):
        common = gl.result_type(x1.dtype, x2.dtype)
        x1, x2 = gl.astype(x1, common), gl.astype(x2, common)
    return gl.where(condition, x1, x2)


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """Coordinates on a grid."""
    return list(NUMPY["meshgrid"](*arrays, indexing=indexing))


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """Arrays of one shape."""
    return list(NUMPY["broadcast_arrays"](*arrays))


# ----- extension modules -----


def _extension(family: Any, words: str) -> SimpleNamespace:
    """The functions of an extension module that are there."""
    found = {}
    for word in words.split():
        try:
            found[word] = getattr(family, word)
        except TypeRefused:
            continue
    return SimpleNamespace(**found)


linalg = _extension(_linalg,
                    "cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank "
                    "matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm")
fft = _extension(_fft, "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift")


linalg.tensordot = tensordot


class _Special:
    """SciPy's special functions by name: what `scipy.special` looks for where SCIPY_ARRAY_API=1 is set."""

    def __getattr__(self, name: str) -> Any:
        try:
            return SPECIAL[name]
        except KeyError:
            raise AttributeError(f"scipy.special.{name} has no operation in gradloom") from None


special = _Special()


# ----- what there is -----

_KINDS = {
    "bool": "bool", "signed integer": "int8 int16 int32 int64", "unsigned integer": "uint8",
    "real floating": "float32 float64",
    "complex floating": "complex64 complex128",
}
_KINDS["integral"] = f"{_KINDS['signed integer']} {_KINDS['unsigned integer']}"
_KINDS["numeric"] = f"{_KINDS['integral']} {_KINDS['real floating']} {_KINDS['complex floating']}"


class _Information:
    """What `__array_namespace_info__()` returns."""

    def capabilities(self) -> dict[str, Any]:
        """Which optional behaviour there is."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> torch.device:
        """Where new arrays are."""
        return torch.device("cpu")

    def devices(self) -> list[torch.device]:
        """Where arrays can be."""
        return [torch.device("cpu"), *(torch.device("cuda", k) for k in range(torch.cuda.device_count()))]

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The types of new arrays."""
        return {"real floating": torch.float64, "complex floating": torch.complex128, "integral": torch.int64,
                "indexing": torch.int64}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The types there are, of one kind or of several."""
        kinds = _KINDS if kind is None else (kind,) if isinstance(kind, str) else kind
        wanted = {name for k in kinds for name in _KINDS[k].split()}
        return {name: dtype for name, dtype in _TYPES.items() if name in wanted}


def __array_namespace_info__() -> _Information:
    """What this namespace offers."""
    return _Information()


def _array_namespace(self: dlarray, /, *, api_version: str | None = None) -> Any:
    """The array API namespace of an unlabelled array."""
    import sys

    if api_version is not None and api_version not in VERSIONS:
        raise TypeRefused(
            f"no array API version {api_version!r}, at {line_of(user_site())}; write one of {', '.join(VERSIONS)}")
    if self._labels is not None:
        raise LabelError(
            f"the array API standard knows no labels, x is {described(self.shape, self._labels)}, at "
            f"{line_of(user_site())}; write stripdims(x)")
    return sys.modules[__name__]


def _to_device(self: dlarray, device: Any, /, *, stream: Any = None) -> dlarray:
    """The same values on another device."""
    return self.to(device=device)  # type: ignore[attr-defined, no-any-return]


dlarray.__array_namespace__ = _array_namespace  # type: ignore[attr-defined]
dlarray.to_device = _to_device  # type: ignore[attr-defined]

__all__ = [*(name for name in STANDARD if name in _namespace), *_TYPES, "e", "pi", "inf", "nan",
           "newaxis", "linalg", "fft",
           "__array_api_version__", "__array_namespace_info__"]
