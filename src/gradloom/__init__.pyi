# Written by tools/make_stub.py: `make stub`.
import builtins
from collections.abc import Iterator
from typing import Any

from .core.errors import BatchDependenceWarning as BatchDependenceWarning
from .core.errors import GradloomError as GradloomError
from .core.errors import GradloomWarning as GradloomWarning
from .derivatives.jacobian import Jacobian as Jacobian
from .core.errors import LabelError as LabelError
from .networks.layer import Layer as Layer
from .networks.layer import Layout as Layout
from .networks.layer import Learnable as Learnable
from .networks.learnables import Learnables as Learnables
from .core.errors import NotFinite as NotFinite
from .core.errors import ShapeError as ShapeError
from .networks.layer import State as State
from .core.errors import TraceError as TraceError
from .core.errors import TypeRefused as TypeRefused
from .networks.learnables import UnknownName as UnknownName
from .networks.network import dlnetwork as dlnetwork
from .networks import layers as layers

__version__: str
__all__: list[str]

class dlarray:
    """An array with labelled axes whose operations can be traced and differentiated."""
    def __init__(self, x: Any, labels: Any = None, *, dtype: Any = None, device: Any = None, copy: Any = True) -> None: ...
    @property
    def H(self) -> Any: ...
    @property
    def T(self) -> Any: ...
    def __abs__(self, /) -> Any: ...
    def __add__(self, b: Any, /) -> Any: ...
    def __and__(self, b: Any, /) -> Any: ...
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any: ...
    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any: ...
    def __bool__(self) -> bool: ...
    def __ceil__(self, /) -> Any: ...
    def __complex__(self) -> builtins.complex: ...
    def __contains__(self, item: Any) -> bool: ...
    def __copy__(self) -> Any: ...
    def __deepcopy__(self, memo: Any) -> Any: ...
    def __dlpack__(self, *, copy: Any = None, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> Any: ...
    def __eq__(self, b: Any, /) -> Any: ...  # type: ignore[override]
    def __float__(self) -> float: ...
    def __floor__(self, /) -> Any: ...
    def __floordiv__(self, b: Any, /) -> Any: ...
    def __format__(self, spec: Any) -> str: ...
    def __ge__(self, b: Any, /) -> Any: ...
    def __getitem__(self, index: Any) -> Any: ...
    def __gt__(self, b: Any, /) -> Any: ...
    def __index__(self) -> int: ...
    def __int__(self) -> int: ...
    def __invert__(self, /) -> Any: ...
    def __iter__(self) -> Iterator[dlarray]: ...
    def __le__(self, b: Any, /) -> Any: ...
    def __len__(self) -> int: ...
    def __lt__(self, b: Any, /) -> Any: ...
    def __matmul__(self, b: Any, /) -> Any: ...
    def __mod__(self, b: Any, /) -> Any: ...
    def __mul__(self, b: Any, /) -> Any: ...
    def __ne__(self, b: Any, /) -> Any: ...  # type: ignore[override]
    def __neg__(self, /) -> Any: ...
    def __or__(self, b: Any, /) -> Any: ...
    def __pos__(self, /) -> Any: ...
    def __pow__(self, b: Any, /) -> Any: ...
    def __radd__(self, b: Any, /) -> Any: ...
    def __rand__(self, other: Any, /) -> Any: ...
    def __repr__(self) -> str: ...
    def __rfloordiv__(self, other: Any, /) -> Any: ...
    def __rmatmul__(self, other: Any, /) -> Any: ...
    def __rmod__(self, other: Any, /) -> Any: ...
    def __rmul__(self, b: Any, /) -> Any: ...
    def __ror__(self, other: Any, /) -> Any: ...
    def __round__(self, /) -> Any: ...
    def __rpow__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __rxor__(self, other: Any, /) -> Any: ...
    def __setitem__(self, index: Any, value: Any) -> Any: ...
    def __sub__(self, b: Any, /) -> Any: ...
    def __truediv__(self, b: Any, /) -> Any: ...
    def __trunc__(self, /) -> Any: ...
    def __xor__(self, b: Any, /) -> Any: ...
    def abs(self, /) -> Any: ...
    def all(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def any(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def argmax(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def argmin(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def astype(self, dtype: Any, /) -> Any: ...
    def at(self, **index: Any) -> Any: ...
    def conj(self, /) -> Any: ...
    def copy(self) -> Any: ...
    def detach(self, /) -> Any: ...
    @property
    def device(self) -> Any: ...
    @property
    def dims(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def imag(self) -> Any: ...
    def item(self) -> Any: ...
    @property
    def itemsize(self) -> Any: ...
    @property
    def mT(self) -> Any: ...
    def max(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def mean(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def min(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    @property
    def nbytes(self) -> Any: ...
    @property
    def ndim(self) -> Any: ...
    def numpy(self) -> Any: ...
    def prod(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    @property
    def real(self) -> Any: ...
    def reshape(self, shape: Any, *more: Any, order: Any = 'C') -> Any: ...
    @property
    def shape(self) -> Any: ...
    @property
    def size(self) -> Any: ...
    @property
    def sizes(self) -> Any: ...
    def squeeze(self, /, *, axis: Any = None) -> Any: ...
    def std(self, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any: ...
    def sum(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def to(self, *, device: Any = None, dtype: Any = None) -> Any: ...
    def tolist(self) -> Any: ...
    @property
    def traced(self) -> Any: ...
    def transpose(self, *axes: Any) -> Any: ...
    def var(self, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any: ...

def abs(x: Any, /) -> Any:
    """The absolute value, with derivative 0 at 0."""
def acos(x: Any, /) -> Any:
    """The inverse cosine, in radians."""
def acosh(x: Any, /) -> Any:
    """The inverse hyperbolic cosine."""
def add(a: Any, b: Any, /) -> Any:
    """a + b."""
def all(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """Whether every element over axes is not zero."""
def angle(x: Any, /) -> Any:
    """The phase of a complex number, in radians."""
def any(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """Whether some element over axes is not zero."""
def arange(start: Any, stop: Any = None, step: Any = 1, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Numbers from start (0 where only one bound is given) to just before stop; float64, as all numbers: `dtype="int64"` for indices."""
def argmax(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The position of the first largest element along an axis, counted from 0."""
def argmin(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The position of the first smallest element along an axis, counted from 0."""
def asarray(x: Any, labels: Any = None, *, dtype: Any = None, device: Any = None, copy: Any = True) -> Any:
    """x as a dlarray: what `dlarray(x, labels)` does, under the array API's name."""
def asin(x: Any, /) -> Any:
    """The inverse sine, in radians."""
def asinh(x: Any, /) -> Any:
    """The inverse hyperbolic sine."""
def astype(x: Any, dtype: Any, /) -> Any:
    """The same values in another type; recorded, so that a gradient has the type of x."""
def atan(x: Any, /) -> Any:
    """The inverse tangent, in radians."""
def atan2(a: Any, b: Any, /) -> Any:
    """The angle of the point (b, a), in radians."""
def atanh(x: Any, /) -> Any:
    """The inverse hyperbolic tangent."""
def avgpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, padding_value: Any = 0, data_format: Any = None) -> Any:
    """The mean value of each window over the spatial axes."""
def batchnorm(x: Any, offset: Any, scale: Any, mean: Any = None, variance: Any = None, /, *, epsilon: Any = 1e-05, training: Any = None, data_format: Any = None) -> Any:
    """Each channel with mean 0 and variance 1, then scaled and shifted: with the batch's statistics, or with given ones."""
def bernoulli(p: Any, shape: Any = None, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Ones with probability p, else zeros; p is a number, or an array of probabilities that broadcasts to the shape."""
def bitwise_and(a: Any, b: Any, /) -> Any:
    """a & b."""
def bitwise_invert(x: Any, /) -> Any:
    """~x."""
def bitwise_or(a: Any, b: Any, /) -> Any:
    """a | b."""
def bitwise_xor(a: Any, b: Any, /) -> Any:
    """a ^ b."""
def broadcast_to(x: Any, shape: Any, /) -> Any:
    """x repeated along new axes and axes of size 1. Labels of a labelled array keep their axes; new axes are U."""
def ceil(x: Any, /) -> Any:
    """The smallest integer not below x; derivative 0."""
def check_finite() -> Any:
    """Inside it, the operation that first makes a NaN or an infinity is an error that names it and the line, in walks too."""
def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max], numbers or arrays; derivative 1 on the bounds."""
def complex(a: Any, b: Any, /) -> Any:
    """a + b i."""
def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays one after the other along an axis that they have."""
def conj(x: Any, /) -> Any:
    """The complex conjugate."""
def cos(x: Any, /) -> Any:
    """The cosine; x in radians."""
def cosh(x: Any, /) -> Any:
    """The hyperbolic cosine."""
def crossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, classification_mode: Any = 'single-label', reduction: Any = 'sum', normalization_factor: Any = 'batch-size', from_logits: Any = False, data_format: Any = None) -> Any:
    """The cross-entropy between probabilities and targets, summed and divided by the batch size."""
def detach(x: Any, /) -> Any:
    """The same values, labels and device as a constant: nothing is differentiated through it."""
def dims(x: Any, /) -> Any:
    """The labels of x, one letter per axis; "" when it is unlabelled."""
def divide(a: Any, b: Any, /) -> Any:
    """a / b, element by element."""
def dlconv(x: Any, weights: Any, bias: Any = None, /, *, stride: Any = 1, dilation_factor: Any = 1, padding: Any = 0, data_format: Any = None) -> Any:
    """The convolution (cross-correlation) of x with filters, over its S axes, or over T where it has none."""
def dlfeval(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run a function with its arrays traced, so that derivatives can be taken inside it."""
def dlgradient(y: Any, /, *targets: Any, retain_data: Any = False, enable_higher_derivatives: Any = False, allow_complex: Any = True) -> Any:
    """The gradient of a scalar with respect to targets: leaves or intermediate results, arrays or containers of them."""
def dljacobian(u: Any, x: Any, axis: Any = None, /, *, enable_higher_derivatives: Any = None, check: Any = False) -> Any:
    """The Jacobian of u with respect to x."""
def dlupdate(function: Any, parameters: Any, /, *others: Any) -> Any:
    """`function` of each parameter: a new network, or a container like the one given."""
def dropout(x: Any, probability: Any = 0.5, /) -> Any:
    """x with each element set to 0 with the given probability, and the others divided by 1 - probability."""
def einsum(equation: Any, /, *operands: Any) -> Any:
    """A product of arrays summed over letters, in NumPy's notation: `einsum("ij,jk->ik", a, b)`. The result is unlabelled."""
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x) - 1)."""
def equal(a: Any, b: Any, /) -> Any:
    """a == b, element by element."""
def erf(x: Any, /) -> Any:
    """The error function."""
def erfc(x: Any, /) -> Any:
    """1 - erf(x)."""
def exp(x: Any, /) -> Any:
    """e ** x."""
def exp2(x: Any, /) -> Any:
    """2 ** x."""
def expand_dims(x: Any, /, *, axis: Any = 0) -> Any:
    """A new axis of size 1 (labelled U) at `axis`, counted in the result."""
def expm1(x: Any, /) -> Any:
    """e ** x - 1, accurate near 0."""
def extractdata(x: Any, /) -> Any:
    """The values as a read-only NumPy array, a constant: shared memory on the CPU, a copy from a GPU."""
def eye(n: Any, columns: Any = None, labels: Any = None, *, k: Any = 0, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """A matrix with ones on a diagonal and zeros elsewhere, n x n or n x columns; k > 0 is a diagonal above the main one."""
def finddim(x: Any, letters: Any, /) -> Any:
    """The positions of the axes that carry a letter (or several, in that order): always a tuple, empty where there is none."""
def flatten(x: Any, /) -> Any:
    """All elements in C order along one axis."""
def flip(x: Any, /, *, axis: Any = None) -> Any:
    """Axes in reverse direction; all of them where axis is None."""
def floor(x: Any, /) -> Any:
    """The largest integer not above x; derivative 0."""
def floor_divide(a: Any, b: Any, /) -> Any:
    """The largest integer not above a / b, consistent with mod; derivative 0."""
def full(shape: Any, value: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere: a number, or a dlarray that broadcasts to the shape (recorded where it is traced)."""
def full_like(x: Any, value: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere in the shape of x, with its labels, type and device."""
def fullyconnect(x: Any, weights: Any, bias: Any = None, /, *, data_format: Any = None) -> Any:
    """Weights times the channels of x, plus a bias. C and S axes are merged, C first, then S in their order."""
def gelu(x: Any, *, approximation: Any = 'none') -> Any:
    """x times the standard normal distribution function, x / 2 (1 + erf(x / sqrt(2))), or its tanh approximation."""
def greater(a: Any, b: Any, /) -> Any:
    """a > b, element by element."""
def greater_equal(a: Any, b: Any, /) -> Any:
    """a >= b, element by element."""
def groupnorm(x: Any, num_groups: Any, offset: Any, scale: Any, /, *, epsilon: Any = 1e-05, data_format: Any = None) -> Any:
    """Each group of channels of each observation with mean 0 and variance 1, then scaled and shifted channel by channel."""
def huber(y: Any, targets: Any, weights: Any = None, /, *, transition_point: Any = 1.0, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None) -> Any:
    """The Huber loss over the batch size: half the square of small errors, the absolute value of large ones."""
def hvp(y: Any, x: Any, v: Any, /, *, enable_higher_derivatives: Any = False) -> Any:
    """The Hessian of a scalar y with respect to x times a direction v: a walk forwards over a recorded walk backwards."""
def hypot(a: Any, b: Any, /) -> Any:
    """sqrt(a**2 + b**2) without overflow; derivative 0 at (0, 0)."""
def imag(x: Any, /) -> Any:
    """The imaginary part."""
def indexcrossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask_index: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', from_logits: Any = False, data_format: Any = None) -> Any:
    """The cross-entropy for integer class indices: minus the logarithm of the probability of each target, over the batch size."""
def instancenorm(x: Any, offset: Any, scale: Any, /, *, epsilon: Any = 1e-05, data_format: Any = None) -> Any:
    """Each channel of each observation with mean 0 and variance 1, then scaled and shifted: `groupnorm` with one group for each channel."""
def isdlarray(x: Any, /) -> Any:
    """Whether x is a dlarray."""
def isfinite(x: Any, /) -> Any:
    """x is neither NaN nor infinite."""
def isinf(x: Any, /) -> Any:
    """x is infinite."""
def isnan(x: Any, /) -> Any:
    """x is NaN."""
def jvp(u: Any, x: Any, v: Any, /, *, enable_higher_derivatives: Any = False) -> Any:
    """The Jacobian of u with respect to x times a direction v, by one walk forwards."""
def l1loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None) -> Any:
    """The absolute error over the batch size; derivative 0 where y equals its target."""
def l2loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None) -> Any:
    """The squared error over the batch size, twice `mse`."""
def layernorm(x: Any, offset: Any, scale: Any, /, *, epsilon: Any = 1e-05, operation_dimension: Any = 'auto', data_format: Any = None) -> Any:
    """Each observation with mean 0 and variance 1, then scaled and shifted channel by channel."""
def leakyrelu(x: Any, scale: Any = 0.01) -> Any:
    """x where x > 0, else scale * x."""
def less(a: Any, b: Any, /) -> Any:
    """a < b, element by element."""
def less_equal(a: Any, b: Any, /) -> Any:
    """a <= b, element by element."""
def linspace(start: Any, stop: Any, count: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """`count` evenly spaced numbers from start to stop, both included."""
def log(x: Any, /) -> Any:
    """The natural logarithm."""
def log10(x: Any, /) -> Any:
    """The logarithm to base 10."""
def log1p(x: Any, /) -> Any:
    """log(1 + x), accurate near 0."""
def log2(x: Any, /) -> Any:
    """The logarithm to base 2."""
def log_softmax(x: Any, /, *, axis: Any = None, data_format: Any = None) -> Any:
    """The logarithm of softmax along the channels, exact also where softmax underflows."""
def logical_and(a: Any, b: Any, /) -> Any:
    """Both are not zero."""
def logical_not(x: Any, /) -> Any:
    """x is zero."""
def logical_or(a: Any, b: Any, /) -> Any:
    """One or both are not zero."""
def logical_xor(a: Any, b: Any, /) -> Any:
    """Exactly one is not zero."""
def logsumexp(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """log(sum(exp(x))) over axes, without overflow."""
def matmul(a: Any, b: Any, /) -> Any:
    """The matrix product over the last axis of a and the last but one (or only) axis of b; leading axes broadcast."""
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
def max(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The largest element over axes; the first of equal ones takes the derivative. Of two arrays: `maximum(a, b)`."""
def maximum(a: Any, b: Any, /) -> Any:
    """The larger of a and b; the derivative goes to a where they are equal."""
def maxpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, data_format: Any = None) -> Any:
    """The largest value of each window over the spatial axes."""
def mean(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The mean over axes: an integer, a label letter, several, or all of them."""
def min(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The smallest element over axes; the first of equal ones takes the derivative. Of two arrays: `minimum(a, b)`."""
def minimum(a: Any, b: Any, /) -> Any:
    """The smaller of a and b; the derivative goes to a where they are equal."""
def mod(a: Any, b: Any, /) -> Any:
    """a - floor(a / b) b, with the sign of b."""
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """Axes moved to other places, the rest in their order."""
def mse(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None) -> Any:
    """HALF the squared error over the batch size: sum((y - targets)**2) / (2 N), not the mean over all elements."""
def multiply(a: Any, b: Any, /) -> Any:
    """a * b, element by element."""
def negative(x: Any, /) -> Any:
    """-x."""
def norm(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The Euclidean norm over axes, sqrt(sum(abs(x)**2)); its derivative at 0 is 0."""
def not_equal(a: Any, b: Any, /) -> Any:
    """a != b, element by element."""
def ones(shape: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Ones, float64 on the CPU unless `like`, `dtype` or `device` say otherwise."""
def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones in the shape of x, with its labels, type and device: a constant."""
def outer(a: Any, b: Any, /) -> Any:
    """a[i] b[j] for two vectors."""
def pad(x: Any, widths: Any, /) -> Any:
    """Zeros around x; `widths` is (before, after) for each axis, from the last backwards where fewer are given."""
def permutation(n: Any, /, *, device: Any = None) -> Any:
    """The integers 0 ... n - 1 in random order: an index, as in x[permutation(len(x))]."""
def permute_dims(x: Any, axes: Any, /) -> Any:
    """The axes in another order; `axes` are positions or, for a labelled array, a string of its labels in the new order."""
def positive(x: Any, /) -> Any:
    """x."""
def power(a: Any, b: Any, /) -> Any:
    """a ** b, element by element."""
def prod(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The product over axes. Its derivative is the product of the other elements, right also where elements are zero."""
def rand(shape: Any = (), labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Random numbers, uniform in [0, 1); float64 on the CPU, or the type and device of `like`."""
def randint(low: Any, high: Any, shape: Any = (), labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Random integers from low to high - 1; int64 unless `dtype` says otherwise. `like` gives the device alone."""
def randn(shape: Any = (), labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Random numbers from the standard normal distribution; float64 on the CPU, or the type and device of `like`."""
def ravel(tree: Any, /) -> Any:
    """All arrays of a container as one vector, and the function that puts such a vector back into the container."""
def real(x: Any, /) -> Any:
    """The real part."""
def reciprocal(x: Any, /) -> Any:
    """1 / x."""
def relu(x: Any, /) -> Any:
    """max(x, 0), with derivative 0 at 0."""
def remainder(a: Any, b: Any, /) -> Any:
    """a - floor(a / b) b, with the sign of b."""
def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Each entry along an axis several times in a row."""
def reshape(x: Any, shape: Any, *more: Any, order: Any = 'C') -> Any:
    """The same elements in another shape, in C order; one size may be -1. `order="F"` reads and writes columns first, as MATLAB does."""
def rng(state: Any = None, /) -> Any:
    """The random numbers of this thread: `rng(seed)` starts them anew, `s = rng()` saves where they are, `rng(s)` continues from there."""
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Entries moved along axes by `shift`, those that leave one end entering at the other."""
def round(x: Any, /) -> Any:
    """The nearest integer, halves to even; derivative 0."""
def rsqrt(x: Any, /) -> Any:
    """1 / sqrt(x)."""
def scale(a: Any, b: Any, /) -> Any:
    """a * b where 0 times infinity is 0: how a walk multiplies a cotangent `a` with a partial `b` that can be infinite."""
def sgdmupdate(parameters: Any, gradients: Any, velocity: Any = None, /, *, learn_rate: Any = 0.01, momentum: Any = 0.9) -> Any:
    """One step of stochastic gradient descent with momentum: (new parameters, new velocity)."""
def sigmoid(x: Any, /) -> Any:
    """1 / (1 + exp(-x))."""
def sign(x: Any, /) -> Any:
    """x / abs(x), 0 at 0."""
def signbit(x: Any, /) -> Any:
    """x is negative."""
def silu(x: Any, /) -> Any:
    """x sigmoid(x), also called swish."""
def sin(x: Any, /) -> Any:
    """The sine; x in radians."""
def sinh(x: Any, /) -> Any:
    """The hyperbolic sine."""
def softmax(x: Any, /, *, axis: Any = None, data_format: Any = None) -> Any:
    """exp(x) over the sum of exp(x) along the channels: positive numbers that sum to 1."""
def softplus(x: Any, /) -> Any:
    """log(1 + exp(x)), stable for every x."""
def sparse_matmul(a: Any, x: Any, /) -> Any:
    """A constant SciPy sparse matrix times x, a vector or a matrix."""
def sqrt(x: Any, /) -> Any:
    """The square root."""
def square(x: Any, /) -> Any:
    """x * x, element by element."""
def squeeze(x: Any, /, *, axis: Any = None) -> Any:
    """Without axes of size 1: all of them, or those given."""
def stack(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays of one shape along a new axis, labelled U."""
def std(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The standard deviation over axes, the square root of `var`; its derivative where it is 0 is 0."""
def stripdims(x: Any, layout: Any = None, /) -> Any:
    """x without labels: a new handle to the same place. With a layout, its axes are put in that order first."""
def subtract(a: Any, b: Any, /) -> Any:
    """a - b."""
def sum(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The sum over axes: an integer, a label letter, several, or all of them."""
def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """Entries of x along one axis, at integer positions (a vector; negatives count from the end). The axis keeps its label."""
def tan(x: Any, /) -> Any:
    """The tangent; x in radians."""
def tanh(x: Any, /) -> Any:
    """The hyperbolic tangent."""
def tensordot(a: Any, b: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over axes: the last of a with the first of b, or two lists of axes."""
def tile(x: Any, repetitions: Any, /) -> Any:
    """x laid out several times along each axis."""
def transpose(x: Any, *axes: Any) -> Any:
    """Axes in reverse order, or in the order given: NumPy's method."""
def trunc(x: Any, /) -> Any:
    """x without its fraction; derivative 0."""
def value_and_gradient(function: Any, /, *, argument: Any = 0) -> Any:
    """The function that returns `function`'s value and its gradient with respect to one argument; the others are passed through."""
def var(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The variance over axes: the mean square distance from the mean, with n - correction in the denominator."""
def vecdot(a: Any, b: Any, /, *, axis: Any = -1) -> Any:
    """sum(conj(a) b) along an axis."""
def vjp(u: Any, x: Any, w: Any, /, *, enable_higher_derivatives: Any = False, retain_data: Any = True) -> Any:
    """The transposed Jacobian of u with respect to x times w, by one walk backwards: the gradient of sum(real(conj(w) u))."""
def where(condition: Any, a: Any, b: Any, /) -> Any:
    """a where the condition holds, else b: it selects and never multiplies, so a NaN on the side not taken does not leak."""
def zeros(shape: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Zeros, float64 on the CPU unless `like`, `dtype` or `device` say otherwise."""
def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape of x, with its labels, type and device: a constant."""
