# Written by tools/make_stub.py: `make stub`.
from typing import Any

__array_api_version__: str
def abs(x: Any, /) -> Any:
    """The absolute value, with derivative 0 at 0."""
def acos(x: Any, /) -> Any:
    """The inverse cosine, in radians."""
def acosh(x: Any, /) -> Any:
    """The inverse hyperbolic cosine."""
def add(x1: Any, x2: Any, /) -> Any:
    """a + b."""
def all(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """Whether every element over axes is not zero."""
def any(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """Whether some element over axes is not zero."""
def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """Numbers from start to just before stop; int64 where all are integers."""
def argmax(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The position of the first largest element along an axis, counted from 0."""
def argmin(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The position of the first smallest element along an axis, counted from 0."""
def argsort(x: Any, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Any:
    """The positions, counted from 0, that put the elements in order along an axis; those of equal ones increase."""
def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
    """obj as an array; one that is an array of this library stays at its place in the trace."""
def asin(x: Any, /) -> Any:
    """The inverse sine, in radians."""
def asinh(x: Any, /) -> Any:
    """The inverse hyperbolic sine."""
def astype(x: Any, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any:
    """The same values in another type."""
def atan(x: Any, /) -> Any:
    """The inverse tangent, in radians."""
def atan2(x1: Any, x2: Any, /) -> Any:
    """The angle of the point (b, a), in radians."""
def atanh(x: Any, /) -> Any:
    """The inverse hyperbolic tangent."""
def bitwise_and(x1: Any, x2: Any, /) -> Any:
    """a & b."""
def bitwise_invert(x: Any, /) -> Any:
    """~x."""
def bitwise_left_shift(x1: Any, x2: Any, /) -> Any:
    """a << b."""
def bitwise_or(x1: Any, x2: Any, /) -> Any:
    """a | b."""
def bitwise_right_shift(x1: Any, x2: Any, /) -> Any:
    """a >> b."""
def bitwise_xor(x1: Any, x2: Any, /) -> Any:
    """a ^ b."""
bool: Any
def broadcast_arrays(*arrays: Any) -> Any:
    """Arrays of one shape."""
def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x repeated along new axes and axes of size 1. Labels of a labelled array keep their axes; new axes are U."""
def can_cast(from_: Any, to: Any, /) -> Any:
    """Whether an array or type can become another type by promotion, without loss."""
def ceil(x: Any, /) -> Any:
    """The smallest integer not below x; derivative 0."""
def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max], numbers or arrays; derivative 1 on the bounds."""
complex128: Any
complex64: Any
def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays one after the other."""
def conj(x: Any, /) -> Any:
    """The complex conjugate."""
def copysign(x1: Any, x2: Any, /) -> Any:
    """The absolute value of a with the sign of b; derivative 0 where a is 0."""
def cos(x: Any, /) -> Any:
    """The cosine; x in radians."""
def cosh(x: Any, /) -> Any:
    """The hyperbolic cosine."""
def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """How many elements over axes are not zero; a NaN is not zero."""
def cumulative_prod(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: Any = False) -> Any:
    """The product of all elements up to each one along an axis, itself included."""
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: Any = False) -> Any:
    """The sum of all elements up to each one along an axis, itself included."""
def diff(x: Any, /, *, axis: Any = -1, n: Any = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, taken n times."""
def divide(x1: Any, x2: Any, /) -> Any:
    """a / b, element by element."""
e: Any
def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    ...
def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape of x."""
def equal(x1: Any, x2: Any, /) -> Any:
    """a == b, element by element."""
def exp(x: Any, /) -> Any:
    """e ** x."""
def expand_dims(x: Any, /, axis: Any = 0) -> Any:
    """A new axis of size 1."""
def expm1(x: Any, /) -> Any:
    """e ** x - 1, accurate near 0."""
def eye(n_rows: Any, n_cols: Any = None, /, *, k: Any = 0, dtype: Any = None, device: Any = None) -> Any:
    """Ones on a diagonal."""
class _fft:
    @staticmethod
    def fft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def fftfreq(n: Any, /, *, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any: ...
    @staticmethod
    def fftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def fftshift(x: Any, /, *, axes: Any = None) -> Any: ...
    @staticmethod
    def hfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def ifft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def ifftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def ifftshift(x: Any, /, *, axes: Any = None) -> Any: ...
    @staticmethod
    def ihfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def irfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def irfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def rfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any: ...
    @staticmethod
    def rfftfreq(n: Any, /, *, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any: ...
    @staticmethod
    def rfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any: ...
fft: type[_fft]
def finfo(type: Any, /) -> Any:
    """The limits of a floating type, or that of an array: bits, eps, max, min, smallest_normal; of complex types, those of their parts."""
def flip(x: Any, /, *, axis: Any = None) -> Any:
    """Axes in reverse direction; all of them where axis is None."""
float32: Any
float64: Any
def floor(x: Any, /) -> Any:
    """The largest integer not above x; derivative 0."""
def floor_divide(x1: Any, x2: Any, /) -> Any:
    """The largest integer not above a / b, consistent with mod; derivative 0."""
def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """An array of another library as a constant."""
def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere, of its own type."""
def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere in the shape of x."""
def greater(x1: Any, x2: Any, /) -> Any:
    """a > b, element by element."""
def greater_equal(x1: Any, x2: Any, /) -> Any:
    """a >= b, element by element."""
def hypot(x1: Any, x2: Any, /) -> Any:
    """sqrt(a**2 + b**2) without overflow; derivative 0 at (0, 0)."""
def iinfo(type: Any, /) -> Any:
    """The limits of an integer type, or that of an array: bits, max, min."""
def imag(x: Any, /) -> Any:
    """The imaginary part."""
inf: Any
int16: Any
int32: Any
int64: Any
int8: Any
def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether a type is of a kind, or of one of several: a type or one of "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"."""
def isfinite(x: Any, /) -> Any:
    """x is neither NaN nor infinite."""
def isinf(x: Any, /) -> Any:
    """x is infinite."""
def isnan(x: Any, /) -> Any:
    """x is NaN."""
def less(x1: Any, x2: Any, /) -> Any:
    """a < b, element by element."""
def less_equal(x1: Any, x2: Any, /) -> Any:
    """a <= b, element by element."""
class _linalg:
    @staticmethod
    def cholesky(x: Any, /, *, upper: Any = False) -> Any: ...
    @staticmethod
    def cross(a: Any, b: Any, /, *, axis: Any = -1) -> Any: ...
    @staticmethod
    def det(x: Any, /) -> Any: ...
    @staticmethod
    def diagonal(x: Any, /, *, offset: Any = 0) -> Any: ...
    @staticmethod
    def eigh(x: Any, /) -> Any: ...
    @staticmethod
    def eigvalsh(x: Any, /) -> Any: ...
    @staticmethod
    def inv(x: Any, /) -> Any: ...
    @staticmethod
    def matmul(a: Any, b: Any, /) -> Any: ...
    @staticmethod
    def matrix_norm(x: Any, /, *, keepdims: Any = False, ord: Any = 'fro') -> Any: ...
    @staticmethod
    def matrix_power(x: Any, n: Any, /) -> Any: ...
    @staticmethod
    def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any: ...
    @staticmethod
    def matrix_transpose(x: Any, /) -> Any: ...
    @staticmethod
    def outer(a: Any, b: Any, /) -> Any: ...
    @staticmethod
    def pinv(x: Any, /, *, rtol: Any = None) -> Any: ...
    @staticmethod
    def qr(x: Any, /, *, mode: Any = 'reduced') -> Any: ...
    @staticmethod
    def slogdet(x: Any, /) -> Any: ...
    @staticmethod
    def solve(a: Any, b: Any, /) -> Any: ...
    @staticmethod
    def svd(x: Any, /, *, full_matrices: Any = True) -> Any: ...
    @staticmethod
    def svdvals(x: Any, /) -> Any: ...
    @staticmethod
    def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any: ...
    @staticmethod
    def trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Any: ...
    @staticmethod
    def vecdot(a: Any, b: Any, /, *, axis: Any = -1) -> Any: ...
    @staticmethod
    def vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any: ...
linalg: type[_linalg]
def linspace(start: Any, stop: Any, /, num: Any, *, dtype: Any = None, device: Any = None, endpoint: Any = True) -> Any:
    """`num` evenly spaced numbers from start to stop."""
def log(x: Any, /) -> Any:
    """The natural logarithm."""
def log10(x: Any, /) -> Any:
    """The logarithm to base 10."""
def log1p(x: Any, /) -> Any:
    """log(1 + x), accurate near 0."""
def log2(x: Any, /) -> Any:
    """The logarithm to base 2."""
def logaddexp(x1: Any, x2: Any, /) -> Any:
    """log(exp(a) + exp(b)), without overflow."""
def logical_and(a: Any, b: Any, /) -> Any:
    """Both are not zero."""
def logical_not(x: Any, /) -> Any:
    """x is zero."""
def logical_or(a: Any, b: Any, /) -> Any:
    """One or both are not zero."""
def logical_xor(a: Any, b: Any, /) -> Any:
    """Exactly one is not zero."""
def matmul(a: Any, b: Any, /) -> Any:
    """The matrix product over the last axis of a and the last but one (or only) axis of b; leading axes broadcast."""
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
def max(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The largest element over axes; the first of equal ones takes the derivative. Of two arrays: `maximum(a, b)`."""
def maximum(x1: Any, x2: Any, /) -> Any:
    """The larger of a and b; the derivative goes to a where they are equal."""
def mean(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The mean over axes: an integer, a label letter, several, or all of them."""
def meshgrid(*arrays: Any, indexing: Any = 'xy') -> Any:
    """Coordinates on a grid."""
def min(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The smallest element over axes; the first of equal ones takes the derivative. Of two arrays: `minimum(a, b)`."""
def minimum(x1: Any, x2: Any, /) -> Any:
    """The smaller of a and b; the derivative goes to a where they are equal."""
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """Axes moved to other places, the rest in their order."""
def multiply(x1: Any, x2: Any, /) -> Any:
    """a * b, element by element."""
nan: Any
def negative(x: Any, /) -> Any:
    """-x."""
newaxis: Any
def nextafter(x1: Any, x2: Any, /) -> Any:
    """The floating number next to a in the direction of b; derivative 1 in a."""
def nonzero(x: Any, /) -> Any:
    """The positions of the elements that are not zero, one vector of integers per axis, in C order: `x[nonzero(x)]` are the elements."""
def not_equal(x1: Any, x2: Any, /) -> Any:
    """a != b, element by element."""
def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    ...
def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones in the shape of x, with its labels, type and device: a constant."""
def permute_dims(x: Any, /, axes: Any) -> Any:
    """The axes in another order; `axes` are positions or, for a labelled array, a string of its labels in the new order."""
pi: Any
def positive(x: Any, /) -> Any:
    """x."""
def pow(x1: Any, x2: Any, /) -> Any:
    """a ** b, element by element."""
def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    """The product over axes, of bools and integers in int64. Its derivative is the product of the other elements, right also where elements are zero."""
def real(x: Any, /) -> Any:
    """The real part."""
def reciprocal(x: Any, /) -> Any:
    """1 / x."""
def remainder(x1: Any, x2: Any, /) -> Any:
    """a - floor(a / b) b, with the sign of b."""
def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Each entry along an axis several times in a row: `repeats` times, or as often as a vector of integers says for each entry."""
def reshape(x: Any, /, shape: Any, *, copy: Any = None) -> Any:
    """The same elements in another shape."""
def result_type(*arrays_and_dtypes: Any) -> Any:
    """The type that arrays and types are computed in together."""
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Entries moved along axes by `shift`, those that leave one end entering at the other."""
def round(x: Any, /) -> Any:
    """The nearest integer, halves to even; of complex numbers each part for itself."""
def searchsorted(a: Any, b: Any, /, *, side: Any = 'left', sorter: Any = None) -> Any:
    """The positions in the sorted vector a where the elements of b would keep it sorted."""
def sign(x: Any, /) -> Any:
    """x / abs(x), 0 at 0, NaN of NaN."""
def signbit(x: Any, /) -> Any:
    """x is negative."""
def sin(x: Any, /) -> Any:
    """The sine; x in radians."""
def sinh(x: Any, /) -> Any:
    """The hyperbolic sine."""
def sort(x: Any, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Any:
    """The elements in order along an axis. Equal ones keep their order, `stable` or not; a NaN counts as larger than every number."""
def sqrt(x: Any, /) -> Any:
    """The square root."""
def square(x: Any, /) -> Any:
    """x * x, element by element."""
def squeeze(x: Any, /, axis: Any) -> Any:
    """Without axes of size 1."""
def stack(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays of one shape along a new axis, labelled U."""
def std(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The standard deviation over axes, the square root of `var`; its derivative where it is 0 is 0."""
def subtract(x1: Any, x2: Any, /) -> Any:
    """a - b."""
def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    """The sum over axes: an integer, a label letter, several, or all of them."""
def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """Entries of x along one axis, at integer positions (a vector; negatives count from the end). The axis keeps its label."""
def take_along_axis(x: Any, indices: Any, /, *, axis: Any = -1) -> Any:
    """Entries of x along one axis at integer positions that differ from row to row; negatives count from the end."""
def tan(x: Any, /) -> Any:
    """The tangent; x in radians."""
def tanh(x: Any, /) -> Any:
    """The hyperbolic tangent."""
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over axes."""
def tile(x: Any, repetitions: Any, /) -> Any:
    """The array several times along each axis."""
def tril(x: Any, /, *, k: Any = 0) -> Any:
    """The lower triangle of matrices (the last two axes), zero above diagonal k; k > 0 is above the main one. Shape and labels of x."""
def triu(x: Any, /, *, k: Any = 0) -> Any:
    """The upper triangle of matrices (the last two axes), zero below diagonal k; k > 0 is above the main one. Shape and labels of x."""
def trunc(x: Any, /) -> Any:
    """x without its fraction; derivative 0."""
uint8: Any
def unique_all(x: Any, /) -> Any:
    """The distinct values of x in order, the first position of each in the flattened x, the position of each element's value, and the counts. Complex values are ordered by their real parts, equal ones by their imaginary parts."""
def unique_counts(x: Any, /) -> Any:
    """The distinct values of x in order, and how often each occurs."""
def unique_inverse(x: Any, /) -> Any:
    """The distinct values of x in order, and for each element the position of its value among them."""
def unique_values(x: Any, /) -> Any:
    """The distinct values of x, in order, each as its first element: a vector. Every NaN is a value of its own."""
def unstack(x: Any, /, *, axis: Any = 0) -> Any:
    """The entries along an axis, which is dropped, as a tuple: the inverse of `stack`."""
def var(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The variance over axes: the mean square distance from the mean, with n - correction in the denominator."""
def vecdot(a: Any, b: Any, /, *, axis: Any = -1) -> Any:
    """sum(conj(a) b) along an axis, which has one size in both; the other axes broadcast. Labels match by name."""
def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """x1 where the condition holds, x2 elsewhere; a Python number takes the other's type."""
def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    ...
def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape of x, with its labels, type and device: a constant."""
def __array_namespace_info__() -> Any: ...
