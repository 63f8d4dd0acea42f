# Written by tools/make_stub.py: `make stub`.
import builtins
from collections.abc import Iterator
from typing import Any, Never

from .acceleration.accelerated import AcceleratedFunction as AcceleratedFunction
from .data.arrays import ArrayDatastore as ArrayDatastore
from .data.augmented import AugmentedImageDatastore as AugmentedImageDatastore
from .core.errors import BatchDependenceWarning as BatchDependenceWarning
from .data.combined import CombinedDatastore as CombinedDatastore
from .core.errors import DataError as DataError
from .data.datastore import Datastore as Datastore
from .derivatives.own.checking import DerivativeCheck as DerivativeCheck
from .derivatives.own.checking import DerivativeMismatch as DerivativeMismatch
from .derivatives.own.function import DifferentiableFunction as DifferentiableFunction
from .data.files import FileDatastore as FileDatastore
from .core.errors import FileRefused as FileRefused
from .core.errors import GradloomError as GradloomError
from .core.errors import GradloomWarning as GradloomWarning
from .data.files import ImageDatastore as ImageDatastore
from .core.errors import IndexRefused as IndexRefused
from .derivatives.jacobians.jacobian import Jacobian as Jacobian
from .training.lbfgs import LBFGSState as LBFGSState
from .core.errors import LabelError as LabelError
from .networks.layer import Layer as Layer
from .networks.layout import Layout as Layout
from .training.schedules import LearnRateSchedule as LearnRateSchedule
from .networks.layer import Learnable as Learnable
from .networks.parameters import Learnables as Learnables
from .core.errors import NotFinite as NotFinite
from .core.errors import ShapeError as ShapeError
from .networks.layer import State as State
from .data.tables import TableDatastore as TableDatastore
from .core.errors import TraceError as TraceError
from .training.trainnet import TrainingInfo as TrainingInfo
from .training.options import TrainingOptions as TrainingOptions
from .training.monitor import TrainingProgressMonitor as TrainingProgressMonitor
from .training.state import TrainingState as TrainingState
from .data.transformed import TransformedDatastore as TransformedDatastore
from .core.errors import TypeRefused as TypeRefused
from .core.errors import UnknownName as UnknownName
from .core.errors import ValueRefused as ValueRefused
from .interop import array_api as array_api
from .training import displays as displays
from .training import distributed as distributed
from .networks.network import dlnetwork as dlnetwork
from .networks import layers as layers
from .operations.matrices import linalg as linalg
from .data.queue import minibatchqueue as minibatchqueue

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
    def __array_namespace__(self, /, *, api_version: Any = None) -> Any: ...
    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, **options: Any) -> Any: ...
    def __bool__(self) -> bool: ...
    def __ceil__(self, /) -> Any: ...
    def __complex__(self) -> builtins.complex: ...
    def __contains__(self, item: Any) -> bool: ...
    def __copy__(self) -> Any: ...
    def __deepcopy__(self, memo: Any) -> Any: ...
    def __divmod__(self, b: Any, /) -> Any: ...
    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any: ...
    def __dlpack_device__(self) -> Any: ...
    def __eq__(self, b: Any, /) -> Any: ...
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
    def __lshift__(self, b: Any, /) -> Any: ...
    def __lt__(self, b: Any, /) -> Any: ...
    def __matmul__(self, b: Any, /) -> Any: ...
    def __mod__(self, b: Any, /) -> Any: ...
    def __mul__(self, b: Any, /) -> Any: ...
    def __ne__(self, b: Any, /) -> Any: ...
    def __neg__(self, /) -> Any: ...
    def __or__(self, b: Any, /) -> Any: ...
    def __pos__(self, /) -> Any: ...
    def __pow__(self, b: Any, /) -> Any: ...
    def __radd__(self, b: Any, /) -> Any: ...
    def __rand__(self, other: Any, /) -> Any: ...
    def __rdivmod__(self, other: Any, /) -> Any: ...
    def __repr__(self) -> str: ...
    def __rfloordiv__(self, other: Any, /) -> Any: ...
    def __rlshift__(self, other: Any, /) -> Any: ...
    def __rmatmul__(self, other: Any, /) -> Any: ...
    def __rmod__(self, other: Any, /) -> Any: ...
    def __rmul__(self, b: Any, /) -> Any: ...
    def __ror__(self, other: Any, /) -> Any: ...
    def __round__(self, decimals: Any = None) -> Any: ...
    def __rpow__(self, other: Any, /) -> Any: ...
    def __rrshift__(self, other: Any, /) -> Any: ...
    def __rshift__(self, b: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __rxor__(self, other: Any, /) -> Any: ...
    def __setitem__(self, index: Any, value: Any) -> Any: ...
    def __sub__(self, b: Any, /) -> Any: ...
    def __truediv__(self, b: Any, /) -> Any: ...
    def __trunc__(self, /) -> Any: ...
    def __xor__(self, b: Any, /) -> Any: ...
    def abs(self, /) -> Any: ...
    def acted_on(self, operation: Any, inputs: Any, params: Any) -> Any: ...
    def all(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def any(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def argmax(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def argmin(self, /, *, axis: Any = None, keepdims: Any = False) -> Any: ...
    def arrays(self) -> Any: ...
    def astype(self, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any: ...
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
    def mH(self) -> Any: ...
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
    def prod(self, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any: ...
    @property
    def real(self) -> Any: ...
    def reshape(self, /, shape: Any, *more: Any, order: Any = 'C', copy: Any = None) -> Any: ...
    @property
    def shape(self) -> Any: ...
    @property
    def size(self) -> Any: ...
    @property
    def sizes(self) -> Any: ...
    def squeeze(self, /, axis: Any = None) -> Any: ...
    def std(self, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any: ...
    def sum(self, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any: ...
    def to(self, *given: Never, device: Any = None, dtype: Any = None) -> Any: ...
    def to_device(self, device: Any, /, *, stream: Any = None) -> Any: ...
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
def acot(x: Any, /) -> Any:
    """The inverse cotangent, atan(1 / x), in radians."""
def acoth(x: Any, /) -> Any:
    """The inverse hyperbolic cotangent, atanh(1 / x)."""
def acsc(x: Any, /) -> Any:
    """The inverse cosecant, asin(1 / x), in radians."""
def acsch(x: Any, /) -> Any:
    """The inverse hyperbolic cosecant, asinh(1 / x)."""
def adamupdate(parameters: Any, gradients: Any, average_gradient: Any = None, average_squared_gradient: Any = None, iteration: Any = 1, /, learn_rate: Any = 0.001, grad_decay: Any = 0.9, sq_grad_decay: Any = 0.999, epsilon: Any = 1e-08, *, weight_decay: Any = 0.0) -> Any:
    """One step of Adam: (new parameters, new average gradient, new average squared gradient)."""
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
def argsort(x: Any, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Any:
    """The positions, counted from 0, that put the elements in order along an axis; those of equal ones increase."""
def array_equal(a: Any, b: Any, /, *, equal_nan: Any = False) -> Any:
    """Whether two arrays have one shape and equal elements; with `equal_nan`, NaN equals NaN. Labels and types do not count."""
def asarray(x: Any, /, labels: Any = None, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
    """x as a dlarray: what `dlarray(x, labels)` does, under the array API's name. The memory is copied unless `copy=False`."""
def asec(x: Any, /) -> Any:
    """The inverse secant, acos(1 / x), in radians."""
def asech(x: Any, /) -> Any:
    """The inverse hyperbolic secant, acosh(1 / x)."""
def asin(x: Any, /) -> Any:
    """The inverse sine, in radians."""
def asinh(x: Any, /) -> Any:
    """The inverse hyperbolic sine."""
def astype(x: Any, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any:
    """The same values in another type, on another device where one is given; recorded, so that a gradient has the type of x."""
def atan(x: Any, /) -> Any:
    """The inverse tangent, in radians."""
def atan2(a: Any, b: Any, /) -> Any:
    """The angle of the point (b, a), in radians."""
def atanh(x: Any, /) -> Any:
    """The inverse hyperbolic tangent."""
def attention(q: Any, k: Any, v: Any, num_heads: Any, /, *, scale: Any = 'auto', padding_mask: Any = None, attention_mask: Any = 'none', dropout_probability: Any = 0.0, return_weights: Any = False, data_format: Any = None) -> Any:
    """Scaled dot-product attention: for each query the mean of the values, weighted by how well their keys match it, in each head."""
def avgpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, padding_value: Any = 0, pool_format: Any = None, data_format: Any = None) -> Any:
    """The mean value of each window over the spatial axes."""
def batchnorm(x: Any, offset: Any, scale: Any, mean: Any = None, variance: Any = None, /, *, epsilon: Any = 1e-05, training: Any = None, mean_decay: Any = 0.1, variance_decay: Any = 0.1, data_format: Any = None) -> Any:
    """Each channel with mean 0 and variance 1, then scaled and shifted: with the batch's statistics, or with given ones."""
def bernoulli(p: Any, shape: Any = None, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Ones with probability p, else zeros; p is a number, or an array of probabilities that broadcasts to the shape."""
def beta(a: Any, b: Any, /) -> Any:
    """The beta function, gamma(a) gamma(b) / gamma(a + b), computed by logarithms."""
def bitwise_and(a: Any, b: Any, /) -> Any:
    """a & b."""
def bitwise_invert(x: Any, /) -> Any:
    """~x."""
def bitwise_left_shift(a: Any, b: Any, /) -> Any:
    """a << b."""
def bitwise_or(a: Any, b: Any, /) -> Any:
    """a | b."""
def bitwise_right_shift(a: Any, b: Any, /) -> Any:
    """a >> b."""
def bitwise_xor(a: Any, b: Any, /) -> Any:
    """a ^ b."""
def broadcast_arrays(*arrays: Any) -> Any:
    """Arrays in the shape that they broadcast to together; labels match by name, and each result has all of them."""
def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x repeated along new axes and axes of size 1. Labels of a labelled array keep their axes; new axes are U."""
def can_cast(from_: Any, to: Any, /) -> Any:
    """Whether an array or type can become another type by promotion, without loss."""
def categorical(p: Any, shape: Any = None, labels: Any = None, *, axis: Any = None, from_logits: Any = False, dtype: Any = 'int64') -> Any:
    """Random classes 0, 1, 2, ...: each with its probability in p, or exp(p) over the sum of exp(p) with `from_logits=True`."""
def ceil(x: Any, /) -> Any:
    """The smallest integer not below x; derivative 0."""
def check_derivatives(function: Any, /, *args: Any, order: Any = None, tolerance: Any = 1e-06, entries: Any = 100, seed: Any = 0, raises: Any = True) -> Any:
    """Compare every derivative of a function with finite differences: of any function, an own operation, a DifferentiableFunction."""
def check_finite() -> Any:
    """Inside it, the operation that first makes a NaN or an infinity is an error that names it and the line, in walks too."""
def check_layer(layer: Any, /, *layouts: Any, tolerance: Any = 1e-06, raises: Any = True) -> Any:
    """Try a layer out on random arrays: what it is made of, its sizes, types and states, its derivatives of every order against finite differences, in use and in training, several observations at once, saving, and acceleration: what is replayed against the plain call."""
def checkpoint(function: Any, /) -> Any:
    """The function, of whose calls a trace keeps the arguments alone: what lies between is computed again in each walk."""
def cholesky(x: Any, /, *, upper: Any = False) -> Any:
    """The lower triangular y with y y.H = x for Hermitian positive definite x; with `upper=True` the upper one with y.H y = x."""
def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max], numbers or arrays; derivative 1 on the bounds."""
def clip_gradients(gradients: Any, threshold: Any, method: Any = 'l2norm') -> Any:
    """Gradients of which none is larger than `threshold`: a container like the one given."""
def combine(*stores: Any) -> Any:
    """Datastores of the same length side by side: an observation has the parts of all, in order."""
def complex(a: Any, b: Any, /) -> Any:
    """a + b i."""
def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays one after the other along an axis that they have; with axis=None all their elements, as one vector."""
def confusionchart(t: Any, y: Any, class_names: Any = None, *, normalization: Any = 'absolute', ax: Any = None) -> Any:
    """A picture of `confusionmat`: true classes down, predicted ones across; returns matplotlib's axes."""
def confusionmat(t: Any, y: Any, class_names: Any = None) -> Any:
    """How often each true class was predicted as each class: (counts, classes), counts of shape (true, predicted)."""
def conj(x: Any, /) -> Any:
    """The complex conjugate."""
def copysign(a: Any, b: Any, /) -> Any:
    """The absolute value of a with the sign of b; derivative 0 where a is 0."""
def cos(x: Any, /) -> Any:
    """The cosine; x in radians."""
def cosh(x: Any, /) -> Any:
    """The hyperbolic cosine."""
def cosine_learn_rate(*, initial_factor: Any = 1.0, final_factor: Any = 0.01, period: Any = 30, period_growth_factor: Any = 1.0, frequency_unit: Any = 'epoch') -> Any:
    """From initial_factor down to final_factor along half a cosine over `period` steps, and again from the start."""
def cospi(x: Any, /) -> Any:
    """cos(pi x), exactly 0 halfway between integers."""
def cot(x: Any, /) -> Any:
    """The cotangent, 1 / tan(x); x in radians."""
def coth(x: Any, /) -> Any:
    """The hyperbolic cotangent, 1 / tanh(x)."""
def count_each_label(ds: Any) -> Any:
    """How many observations each label has: {label: count}, sorted by label."""
def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """How many elements over axes are not zero; a NaN is not zero."""
def cross(a: Any, b: Any, /, *, axis: Any = -1) -> Any:
    """The vector product of vectors of three along an axis; the other axes broadcast."""
def crosschannelnorm(x: Any, window_size: Any, /, *, alpha: Any = 0.0001, beta: Any = 0.75, k: Any = 2.0, data_format: Any = None) -> Any:
    """Each element divided by a power of the mean square of the channels near its own (local response normalization)."""
def crossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, classification_mode: Any = 'single-label', reduction: Any = 'sum', normalization_factor: Any = 'batch-size', from_logits: Any = False, data_format: Any = None, weights_format: Any = None) -> Any:
    """The cross-entropy between probabilities and targets, summed and divided by the batch size."""
def csc(x: Any, /) -> Any:
    """The cosecant, 1 / sin(x); x in radians."""
def csch(x: Any, /) -> Any:
    """The hyperbolic cosecant, 1 / sinh(x)."""
def ctc(y: Any, targets: Any, y_mask: Any = None, targets_mask: Any = None, /, *, blank_index: Any = 0, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', from_logits: Any = False, data_format: Any = None) -> Any:
    """Minus the logarithm of the probability of the targets, over all ways to align them with y in time, over the batch size."""
def cummax(x: Any, /, *, axis: Any = None) -> Any:
    """The largest of all elements up to each one along an axis; the first of equal ones takes the derivative, a NaN stays."""
def cummin(x: Any, /, *, axis: Any = None) -> Any:
    """The smallest of all elements up to each one along an axis; the first of equal ones takes the derivative, a NaN stays."""
def cumprod(x: Any, /, *, axis: Any = None) -> Any:
    """The product of all elements up to each one along an axis: `cumulative_prod` under its short name. Along axis 0 of a scalar it is an array of one element, as in NumPy."""
def cumsum(x: Any, /, *, axis: Any = None) -> Any:
    """The sum of all elements up to each one along an axis: `cumulative_sum` under its short name. Along axis 0 of a scalar it is an array of one element, as in NumPy."""
def cumulative_prod(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: Any = False) -> Any:
    """The product of all elements up to each one along an axis, itself included."""
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: Any = False) -> Any:
    """The sum of all elements up to each one along an axis, itself included."""
def cyclical_learn_rate(*, max_factor: Any = 10.0, period: Any = 10, step_ratio: Any = 0.5, frequency_unit: Any = 'epoch') -> Any:
    """From 1 to max_factor and back in straight lines, again and again: step_ratio of each `period` steps goes up."""
def det(x: Any, /) -> Any:
    """The determinant of square matrices; 1 of a 0 x 0 one."""
def detach(x: Any, /) -> Any:
    """The same values, labels and device as a constant: nothing is differentiated through it."""
def diag(x: Any, /, *, k: Any = 0) -> Any:
    """A square matrix with a vector on diagonal k, or diagonal k of a matrix as a vector; k > 0 is above the main one. Unlabelled."""
def diagonal(x: Any, /, *, offset: Any = 0) -> Any:
    """The diagonal of the matrices in the last two axes; `offset` counts to the right, negative to the left below."""
def diff(x: Any, /, *, axis: Any = -1, n: Any = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, taken n times."""
def digamma(x: Any, /) -> Any:
    """The derivative of gammaln, gamma'(x) / gamma(x)."""
def dims(x: Any, /) -> Any:
    """The labels of x, one letter per axis; "" when it is unlabelled."""
def divide(a: Any, b: Any, /) -> Any:
    """a / b, element by element."""
def dlaccelerate(function: Any, /, *, executor: Any = 'auto', cache_size: Any = 50) -> Any:
    """The function, whose calls cost their kernels and little else: recorded twice, then replayed."""
def dlconv(x: Any, weights: Any, bias: Any = None, /, *, stride: Any = 1, dilation_factor: Any = 1, padding: Any = 0, padding_value: Any = 0, data_format: Any = None) -> Any:
    """The convolution (cross-correlation) of x with filters, over its S axes, or over T where it has none."""
def dldivergence(u: Any, x: Any, axis: Any, /, *, enable_higher_derivatives: Any = True) -> Any:
    """The divergence of u with respect to x: the sum along `axis` of du[i] / dx[i], for each observation."""
def dlfeval(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run a function with its arrays traced, so that derivatives can be taken inside it."""
def dlgradient(y: Any, /, *targets: Any, retain_data: Any = False, enable_higher_derivatives: Any = False, allow_complex: Any = True) -> Any:
    """The gradient of a scalar with respect to targets: leaves or intermediate results, arrays or containers of them."""
def dljacobian(u: Any, x: Any, axis: Any = None, /, *, enable_higher_derivatives: Any = None, check: Any = False, memory_limit: Any = None) -> Any:
    """The Jacobian of u with respect to x."""
def dllaplacian(u: Any, x: Any, axis: Any, /, *, weights: Any = None, directions: Any = None, draws: Any = 'signs', with_gradient: Any = False, enable_higher_derivatives: Any = True) -> Any:
    """The Laplacian of u with respect to x: the sum along `axis` of d2u / dx[i]2, for each observation and each channel of u."""
def dlode45(odefun: Any, tspan: Any, y0: Any, theta: Any = None, /, *, gradient_mode: Any = 'direct', relative_tolerance: Any = 0.001, absolute_tolerance: Any = 1e-06, initial_step_size: Any = None, max_step_size: Any = None, data_format: Any = None) -> Any:
    """The solution of dy/dt = odefun(t, y, theta) with y(tspan[0]) = y0, by steps of Dormand and Prince's method of order 4(5)."""
def dltranspconv(x: Any, weights: Any, bias: Any = None, /, *, stride: Any = 1, dilation_factor: Any = 1, cropping: Any = 0, groups: Any = 1, data_format: Any = None) -> Any:
    """The transposed convolution of x with filters, over its S axes, or over T where it has none: it makes them larger."""
def dlupdate(function: Any, parameters: Any, /, *others: Any) -> Any:
    """`function` of each parameter: a new network, or a container like the one given."""
def dropout(x: Any, probability: Any = 0.5, /) -> Any:
    """x with each element set to 0 with the given probability, and the others divided by 1 - probability."""
def eig(x: Any, /) -> Any:
    """Eigenvalues, in the order of LAPACK, and eigenvectors of length 1 of square matrices, as a named tuple."""
def eigh(x: Any, /) -> Any:
    """Eigenvalues, ascending, and orthonormal eigenvectors of Hermitian matrices, as a named tuple."""
def eigvals(x: Any, /) -> Any:
    """The eigenvalues of square matrices, complex, in the order of LAPACK: `eig` without the vectors."""
def eigvalsh(x: Any, /) -> Any:
    """The eigenvalues of Hermitian matrices, ascending: `eigh` without the vectors."""
def einsum(equation: Any, /, *operands: Any) -> Any:
    """A product of arrays summed over letters, in NumPy's notation: `einsum("ij,jk->ik", a, b)`. The result is unlabelled."""
def elementwise(name: Any, kernel: Any, /, *partials: Any, complex_partials: Any = None, fused_pull: Any = None, singular: Any = False, pure: Any = False, doc: Any = '') -> Any:
    """Declare an operation of your own that works element by element; the result is its function."""
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x) - 1)."""
def embed(x: Any, weights: Any, /, *, data_format: Any = None) -> Any:
    """Each index replaced by its row of weights, along an axis C."""
def empty(shape: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """An array to be written into: zeros, since what was in memory before is nobody's business."""
def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """An array in the shape of x to be written into, with its labels, type and device: zeros."""
def equal(a: Any, b: Any, /) -> Any:
    """a == b, element by element."""
def erf(x: Any, /) -> Any:
    """The error function."""
def erfc(x: Any, /) -> Any:
    """1 - erf(x)."""
def erfcinv(x: Any, /) -> Any:
    """The inverse of erfc, from 0 to 2, accurate near 0."""
def erfcx(x: Any, /) -> Any:
    """exp(x^2) erfc(x), which does not underflow: about 1 / (x sqrt(pi)) for large x. Its derivatives keep all digits there, to any order."""
def erfinv(x: Any, /) -> Any:
    """The inverse of erf, from -1 to 1."""
def exp(x: Any, /) -> Any:
    """e ** x."""
def exp2(x: Any, /) -> Any:
    """2 ** x."""
def expand_dims(x: Any, /, *, axis: Any = 0) -> Any:
    """A new axis of size 1 (labelled U) at `axis`, counted in the result."""
def expm(x: Any, /) -> Any:
    """The exponential of square matrices: the sum of x**k / k! over all k. Not element by element: that is `exp`."""
def expm1(x: Any, /) -> Any:
    """e ** x - 1, accurate near 0."""
def exponential_learn_rate(*, drop_factor: Any = 0.1, period: Any = 1, frequency_unit: Any = 'epoch') -> Any:
    """Times drop_factor**(1 / period) after every step."""
def extractdata(x: Any, /) -> Any:
    """The values as a read-only NumPy array, a constant: shared memory on the CPU, a copy from a GPU."""
def eye(n_rows: Any, n_cols: Any = None, labels: Any = None, *, k: Any = 0, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """A matrix with ones on a diagonal and zeros elsewhere, n_rows x n_rows or n_rows x n_cols; k > 0 is a diagonal above the main one."""
def fft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any:
    """The discrete Fourier transform along one axis, or along all axes of a label. The family is `fft.fft`, `fft.ifft`, `fft.rfft`, ..."""
def fftfreq(n: Any, /, *, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `fft` of n samples that are d apart, in cycles per unit of d: first those from 0, then the negative ones."""
def fftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any:
    """`fft` along several axes: all of them, or the last len(s)."""
def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """Frequency 0 moved to the middle, along all axes unless some are given."""
def finddim(x: Any, letters: Any, /) -> Any:
    """The positions of the axes that carry a letter (or several, in that order): always a tuple, empty where there is none."""
def finfo(type: Any, /) -> Any:
    """The limits of a floating type, or that of an array: bits, eps, max, min, smallest_normal; of complex types, those of their parts."""
def flatten(x: Any, /) -> Any:
    """All elements in C order along one axis."""
def flip(x: Any, /, *, axis: Any = None) -> Any:
    """Axes in reverse direction; all of them where axis is None."""
def floor(x: Any, /) -> Any:
    """The largest integer not above x; derivative 0."""
def floor_divide(a: Any, b: Any, /) -> Any:
    """The largest integer not above a / b, consistent with mod; derivative 0."""
def fmod(a: Any, b: Any, /) -> Any:
    """a - trunc(a / b) b, with the sign of a."""
def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """An array of another library, by the DLPack protocol, as a dlarray. The memory is copied unless `copy=False`."""
def full(shape: Any, fill_value: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere: a number, or a dlarray that broadcasts to the shape (recorded where it is traced)."""
def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value everywhere in the shape of x, with its labels, type and device."""
def fullyconnect(x: Any, weights: Any, bias: Any = None, /, *, data_format: Any = None) -> Any:
    """Weights times the channels of x, plus a bias. C and S axes are merged, C first, then S in their order."""
def gamma(x: Any, /) -> Any:
    """The gamma function: (x - 1)! at integers from 1, where it is exact; infinite at 0 and negative integers."""
def gammaln(x: Any, /) -> Any:
    """The logarithm of the absolute value of the gamma function, without overflow."""
def gelu(x: Any, *, approximation: Any = 'none') -> Any:
    """x times the standard normal distribution function, x / 2 (1 + erf(x / sqrt(2))), or its tanh approximation."""
def general(name: Any, kernel: Any, /, *, push: Any, pull: Any, hidden: Any = (), outputs: Any = 1, fused_pull: Any = None, labels: Any = None, pure: Any = False, doc: Any = '') -> Any:
    """Declare an operation of your own by its push and its pull; the result is its function."""
def greater(a: Any, b: Any, /) -> Any:
    """a > b, element by element."""
def greater_equal(a: Any, b: Any, /) -> Any:
    """a >= b, element by element."""
def group_subplot(monitor: Any, group: Any, metrics: Any, /, *, scale: Any = 'linear') -> Any:
    """Draw metrics in one picture, with a "linear" or a "log" axis: `group_subplot(monitor, "losses", ["a", "b"])`."""
def groupnorm(x: Any, num_groups: Any, offset: Any, scale: Any, /, *, epsilon: Any = 1e-05, data_format: Any = None) -> Any:
    """Each group of channels of each observation with mean 0 and variance 1, then scaled and shifted channel by channel."""
def gru(x: Any, h0: Any, input_weights: Any, recurrent_weights: Any, bias: Any, /, *, reset_gate_mode: Any = 'after-multiplication', mask: Any = None, state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', data_format: Any = None) -> Any:
    """The gated recurrent unit along T: the states of all time steps, and the last one, (y, h)."""
def hessian(function: Any, /, *, argument: Any = 0, accelerate: Any = True) -> Any:
    """The function that returns the Hessian of a scalar `function` with respect to one argument; the others are passed through."""
def hfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any:
    """The real `fft` of a signal with conjugate symmetry, from its first half: n numbers, 2 (m - 1) for m entries unless given."""
def huber(y: Any, targets: Any, weights: Any = None, /, *, transition_point: Any = 1.0, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None, weights_format: Any = None) -> Any:
    """The Huber loss over the batch size: half the square of small errors, the absolute value of large ones."""
def hvp(y: Any, x: Any, v: Any, /, *, enable_higher_derivatives: Any = False) -> Any:
    """The Hessian of a scalar y with respect to x times a direction v: a walk forwards over a recorded walk backwards."""
def hypot(a: Any, b: Any, /) -> Any:
    """sqrt(a**2 + b**2) without overflow; derivative 0 at (0, 0)."""
def i0(x: Any, /) -> Any:
    """The modified Bessel function of the first kind of order 0."""
def i0e(x: Any, /) -> Any:
    """exp(-|x|) i0(x), which does not overflow; derivative 0 at 0, where it has a kink."""
def i1(x: Any, /) -> Any:
    """The modified Bessel function of the first kind of order 1."""
def i1e(x: Any, /) -> Any:
    """exp(-|x|) i1(x), which does not overflow."""
def ifft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any:
    """The inverse of `fft`. MATLAB's ifft(..., "symmetric") is `irfft`."""
def ifftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any:
    """The inverse of `fftn`."""
def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The inverse of `fftshift`."""
def ihfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any:
    """The inverse of `hfft`: the first half of a signal with conjugate symmetry, from its real spectrum."""
def iinfo(type: Any, /) -> Any:
    """The limits of an integer type, or that of an array: bits, max, min."""
def imag(x: Any, /) -> Any:
    """The imaginary part."""
def indexcrossentropy(y: Any, targets: Any, weights: Any = None, /, *, mask_index: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', from_logits: Any = False, data_format: Any = None, weights_format: Any = None) -> Any:
    """The cross-entropy for integer class indices: minus the logarithm of the probability of each target, over the batch size."""
def instancenorm(x: Any, offset: Any, scale: Any, /, *, epsilon: Any = 1e-05, data_format: Any = None) -> Any:
    """Each channel of each observation with mean 0 and variance 1, then scaled and shifted: `groupnorm` with one group for each channel."""
def interp1(x: Any, v: Any, xq: Any, /, method: Any = 'linear', *, extrapolation: Any = None) -> Any:
    """The values at places `xq` of a function known at sample points `x`, by interpolation; differentiable in all three, to any order."""
def inv(x: Any, /) -> Any:
    """The inverse of square matrices. To solve equations, `solve(a, b)` is faster and more accurate."""
def irfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any:
    """The inverse of `rfft`: n real numbers (2 (m - 1) for m entries unless given) from half of their spectrum."""
def irfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any:
    """The inverse of `rfftn`."""
def isdlarray(x: Any, /) -> Any:
    """Whether x is a dlarray."""
def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether a type is of a kind, or of one of several: a type or one of "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"."""
def isfinite(x: Any, /) -> Any:
    """x is neither NaN nor infinite."""
def isinf(x: Any, /) -> Any:
    """x is infinite."""
def isnan(x: Any, /) -> Any:
    """x is NaN."""
def jacobian(function: Any, /, *, argument: Any = 0, accelerate: Any = True) -> Any:
    """The function that returns the Jacobian of `function`'s value with respect to one argument; the others are passed through."""
def jvp(u: Any, x: Any, v: Any, /, *, enable_higher_derivatives: Any = False) -> Any:
    """The Jacobian of u with respect to x times a direction v, by one walk forwards."""
def keep_memory() -> Any:
    """Have this process keep the memory that arrays gave back, up to 256 MB, for the next ones."""
def kron(a: Any, b: Any, /) -> Any:
    """The Kronecker product: b times each element of a, laid out as a is. Unlabelled."""
def l1loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None, weights_format: Any = None) -> Any:
    """The absolute error over the batch size; derivative 0 where y equals its target."""
def l2loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None, weights_format: Any = None) -> Any:
    """The squared error over the batch size, twice `mse`."""
def layernorm(x: Any, offset: Any, scale: Any, /, *, epsilon: Any = 1e-05, operation_dimension: Any = 'auto', data_format: Any = None) -> Any:
    """Each observation with mean 0 and variance 1, then scaled and shifted channel by channel."""
def lbfgsupdate(parameters: Any, loss_function: Any, state: Any = None, /, *, line_search_method: Any = 'weak-wolfe', max_num_line_search_iterations: Any = 20, initial_step_size: Any = None) -> Any:
    """One step of L-BFGS: (new parameters, new state)."""
def leakyrelu(x: Any, scale: Any = 0.01) -> Any:
    """x where x > 0, else scale * x."""
def less(a: Any, b: Any, /) -> Any:
    """a < b, element by element."""
def less_equal(a: Any, b: Any, /) -> Any:
    """a <= b, element by element."""
def linspace(start: Any, stop: Any, /, num: Any, labels: Any = None, *, endpoint: Any = True, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """`num` evenly spaced numbers from start to stop, both included; without `endpoint` one step short of stop."""
def load(path: Any, /, *, layers: Any = ()) -> Any:
    """What `save` wrote: the same container, networks included, bit by bit."""
def load_checkpoint(path: Any, network: Any, options: Any = None, /) -> Any:
    """A state from a checkpoint, or from the newest whole one in a folder."""
def load_weights(net: Any, path: Any, /, *, rename: Any = None, strict: Any = True) -> Any:
    """The network with the learnables and states of a state_dict in safetensors; each is cast to the type that it has."""
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
def logaddexp(a: Any, b: Any, /) -> Any:
    """log(exp(a) + exp(b)), without overflow."""
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
def lstm(x: Any, h0: Any, c0: Any, input_weights: Any, recurrent_weights: Any, bias: Any, /, *, peephole_weights: Any = None, mask: Any = None, state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', data_format: Any = None) -> Any:
    """Long short-term memory along T: the states of all time steps, the last one, and the last cell, (y, h, c)."""
def lstsq(a: Any, b: Any, /, *, rtol: Any = None) -> Any:
    """The least-squares solution of a y = b, of least norm where there are several."""
def lu(x: Any, /) -> Any:
    """x = P L U with a permutation P, a lower triangular L of diagonal 1 and an upper triangular U, as a named tuple."""
def matmul(a: Any, b: Any, /) -> Any:
    """The matrix product over the last axis of a and the last but one (or only) axis of b; leading axes broadcast."""
def matrix_norm(x: Any, /, *, keepdims: Any = False, ord: Any = 'fro') -> Any:
    """The norm of the matrices in the last two axes: "fro" (of all entries), "nuc" (sum of singular values), 2 and -2 (largest and smallest singular value), 1 and -1 (column sums), inf and -inf (row sums)."""
def matrix_power(x: Any, n: Any, /) -> Any:
    """The n-th power of square matrices, by squaring; of their inverse for negative n, the identity for n = 0."""
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """How many singular values are larger than rtol (max(m, n) times the machine precision) times the largest; no derivative."""
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged."""
def max(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The largest element over axes; the first of equal ones takes the derivative. Of two arrays: `maximum(a, b)`."""
def maximum(a: Any, b: Any, /) -> Any:
    """The larger of a and b; the derivative goes to a where they are equal."""
def maxpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, pool_format: Any = None, return_indices: Any = False, data_format: Any = None) -> Any:
    """The largest value of each window over the spatial axes."""
def maxunpool(y: Any, indices: Any, size: Any, /, *, pool_format: Any = None, data_format: Any = None) -> Any:
    """Values back at the places where `maxpool` found them, zeros elsewhere."""
def mean(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The mean over axes: an integer, a label letter, several, or all of them."""
def median(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The middle element over axes, the mean of the two middle ones where their number is even; NaN where there is one."""
def meshgrid(*arrays: Any, indexing: Any = 'xy') -> Any:
    """The coordinates of a grid from those along each of its axes, all vectors: one array per axis, all of the grid's shape."""
def min(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The smallest element over axes; the first of equal ones takes the derivative. Of two arrays: `minimum(a, b)`."""
def minibatchpredict(net: Any, data: Any, /, *, mini_batch_size: Any = 128, outputs: Any = None, input_data_formats: Any = None, uniform_output: Any = True) -> Any:
    """What a network predicts for a whole data set, one mini-batch at a time, put together along B."""
def minimum(a: Any, b: Any, /) -> Any:
    """The smaller of a and b; the derivative goes to a where they are equal."""
def mod(a: Any, b: Any, /) -> Any:
    """a - floor(a / b) b, with the sign of b."""
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """Axes moved to other places, the rest in their order."""
def mse(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: Any = 'sum', normalization_factor: Any = 'batch-size', data_format: Any = None, weights_format: Any = None) -> Any:
    """HALF the squared error over the batch size: sum((y - targets)**2) / (2 N), not the mean over all elements."""
def multilinear(name: Any, kernel: Any, /, *, transposes: Any, terms: Any = None, axes: Any = None, labels: Any = None, pure: Any = False, doc: Any = '') -> Any:
    """Declare an operation of your own that is linear in each of its inputs; the result is its function."""
def multiply(a: Any, b: Any, /) -> Any:
    """a * b, element by element."""
def negative(x: Any, /) -> Any:
    """-x."""
def nextafter(a: Any, b: Any, /) -> Any:
    """The floating number next to a in the direction of b; derivative 1 in a."""
def nonzero(x: Any, /) -> Any:
    """The positions of the elements that are not zero, one vector of integers per axis, in C order: `x[nonzero(x)]` are the elements."""
def norm(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Any:
    """The Euclidean norm over axes, sqrt(sum(abs(x)**2)); its derivative at 0 is 0."""
def normalize(x: Any, /, method: Any = 'zscore', *, axis: Any = None) -> Any:
    """x along an axis with centre and scale removed; where the scale is 0 it stays."""
def not_equal(a: Any, b: Any, /) -> Any:
    """a != b, element by element."""
def onehotdecode(p: Any, /, class_names: Any = None, axis: Any = None) -> Any:
    """The class with the largest score along an axis: the inverse of onehotencode, and what a classifier's probabilities say."""
def onehotencode(labels: Any, /, axis: Any, *, class_names: Any = None, num_classes: Any = None, dtype: Any = 'float64') -> Any:
    """Class labels as ones and zeros along a new axis: 1 at the class of each label."""
def ones(shape: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Ones, float64 on the CPU unless `like`, `dtype` or `device` say otherwise."""
def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones in the shape of x, with its labels, type and device: a constant."""
def outer(a: Any, b: Any, /) -> Any:
    """a[i] b[j] for two vectors."""
def pad(x: Any, widths: Any, /, *, mode: Any = 'constant') -> Any:
    """Zeros around x; `widths` is (before, after) for each axis. One number, or one pair, stands for all axes, as NumPy has it."""
def padsequences(sequences: Any, axis: Any, *, length: Any = 'longest', direction: Any = 'right', padding_value: Any = 0.0) -> Any:
    """Sequences of different lengths as one array: (array, mask)."""
def partials(u: Any, x: Any, asked: Any, /, axis: Any = 'C', *, names: Any = None, enable_higher_derivatives: Any = True) -> Any:
    """Partial derivatives of u by the coordinates that stand along one axis of x, for each observation and each channel of u, all from one walk forwards."""
def permutation(n: Any, /, *, device: Any = None) -> Any:
    """The integers 0 ... n - 1 in random order: an index, as in x[permutation(len(x))]."""
def permute_dims(x: Any, /, axes: Any) -> Any:
    """The axes in another order; `axes` are positions or, for a labelled array, a string of its labels in the new order."""
def piecewise_learn_rate(*, drop_factor: Any = 0.1, period: Any = 10, frequency_unit: Any = 'epoch') -> Any:
    """Times drop_factor after every `period` steps."""
def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The Moore-Penrose pseudoinverse: singular values below rtol times the largest count as 0."""
def plot(network: Any, /, ax: Any = None) -> Any:
    """Draw a network: a box for each run of layers that follow one another, with each layer's name, kind and output size, and lines for what reads what, from above to below."""
def polygamma(n: Any, x: Any, /) -> Any:
    """The n-th derivative of `digamma`; n = 0 is digamma itself."""
def polynomial_learn_rate(*, initial_factor: Any = 1.0, final_factor: Any = 0.01, power: Any = 1.0, num_steps: Any = 30, frequency_unit: Any = 'epoch') -> Any:
    """From initial_factor to final_factor over num_steps steps by a power law, and final_factor from then on."""
def positive(x: Any, /) -> Any:
    """x."""
def pow(a: Any, b: Any, /) -> Any:
    """a ** b, element by element: `power` under the array API's name."""
def power(a: Any, b: Any, /) -> Any:
    """a ** b, element by element."""
def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    """The product over axes, of bools and integers in int64. Its derivative is the product of the other elements, right also where elements are zero."""
def qr(x: Any, /, *, mode: Any = 'reduced') -> Any:
    """x = Q R with orthonormal columns in Q and an upper triangular R, as a named tuple."""
def quantile(x: Any, q: Any, /, *, axis: Any = None, keepdims: Any = False, method: Any = 'linear') -> Any:
    """The value below which a part q of the elements over axes lies, by linear interpolation between neighbours in order."""
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
def record_metrics(monitor: Any, step: Any, /, **values: Any) -> Any:
    """Record metrics at a step: `record_metrics(monitor, iteration, loss=loss)`."""
def relu(x: Any, /) -> Any:
    """max(x, 0), with derivative 0 at 0."""
def remainder(a: Any, b: Any, /) -> Any:
    """a - floor(a / b) b, with the sign of b."""
def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Each entry along an axis several times in a row: `repeats` times, or as often as a vector of integers says for each entry."""
def rescale(x: Any, lower: Any = 0.0, upper: Any = 1.0, /, *, axis: Any = None) -> Any:
    """x stretched so that its smallest element becomes `lower` and its largest `upper`, over axes or all elements together."""
def reshape(x: Any, /, shape: Any, *more: Any, order: Any = 'C', copy: Any = None) -> Any:
    """The same elements in another shape, in C order; one size may be -1. `order="F"` reads and writes columns first, as MATLAB does."""
def result_type(*arrays_and_dtypes: Any) -> Any:
    """The type that arrays, types and numbers are computed in together."""
def rfft(x: Any, /, *, n: Any = None, axis: Any = -1, norm: Any = 'backward') -> Any:
    """The first n // 2 + 1 entries of `fft` of real x, which determine the others."""
def rfftfreq(n: Any, /, *, d: Any = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `rfft` of n samples that are d apart, in cycles per unit of d."""
def rfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Any = 'backward') -> Any:
    """`rfft` along the last of several axes and `fft` along the others."""
def rmspropupdate(parameters: Any, gradients: Any, average_squared_gradient: Any = None, /, learn_rate: Any = 0.001, sq_grad_decay: Any = 0.9, epsilon: Any = 1e-08) -> Any:
    """One step of RMSProp: (new parameters, new average squared gradient)."""
def rng(state: Any = None, /) -> Any:
    """The random numbers of this thread: `rng(seed)` starts them anew, `s = rng()` saves where they are, `rng(s)` continues from there."""
def roc_chart(t: Any, scores: Any, class_names: Any = None, *, ax: Any = None) -> Any:
    """The receiver operating characteristic of each class against the rest; returns matplotlib's axes."""
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Entries moved along axes by `shift`, those that leave one end entering at the other."""
def round(x: Any, /) -> Any:
    """The nearest integer, halves to even; derivative 0."""
def rsqrt(x: Any, /) -> Any:
    """1 / sqrt(x)."""
def save(path: Any, tree: Any, /) -> Any:
    """Write a container to a file: dlarrays, networks, numbers and text, in any lists, tuples and dicts."""
def save_checkpoint(state: Any, folder: Any, /, *, keep: Any = 3) -> Any:
    """Write a state into a folder, as checkpoint_<iteration>.safetensors, and keep the last `keep` of them."""
def save_weights(net: Any, path: Any, /) -> Any:
    """Write a network's learnables and states to a file, each under "layer.parameter", as a state_dict in safetensors."""
def scale(a: Any, b: Any, /) -> Any:
    """a * b where 0 times infinity is 0: how a walk multiplies a cotangent `a` with a partial `b` where something was selected."""
def scheduled_learn_rate(schedule: Any, learn_rate: Any, iteration: Any, epoch: Any = 1, iterations_per_epoch: Any = None) -> Any:
    """The learning rate at an iteration and an epoch, both counted from 1, from the one that training began with."""
def scores2label(scores: Any, class_names: Any = None, axis: Any = None) -> Any:
    """The class with the largest score of each observation: NumPy words for class_names of words, else integers."""
def searchsorted(a: Any, b: Any, /, *, side: Any = 'left', sorter: Any = None) -> Any:
    """The positions in the sorted vector a where the elements of b would keep it sorted."""
def sec(x: Any, /) -> Any:
    """The secant, 1 / cos(x); x in radians."""
def sech(x: Any, /) -> Any:
    """The hyperbolic secant, 1 / cosh(x)."""
def sgdmupdate(parameters: Any, gradients: Any, velocity: Any = None, /, learn_rate: Any = 0.01, momentum: Any = 0.9) -> Any:
    """One step of stochastic gradient descent with momentum: (new parameters, new velocity)."""
def sigmoid(x: Any, /) -> Any:
    """1 / (1 + exp(-x))."""
def sign(x: Any, /) -> Any:
    """x / abs(x), 0 at 0, NaN of NaN."""
def signbit(x: Any, /) -> Any:
    """x is negative."""
def silu(x: Any, /) -> Any:
    """x sigmoid(x), also called swish."""
def sin(x: Any, /) -> Any:
    """The sine; x in radians."""
def sinh(x: Any, /) -> Any:
    """The hyperbolic sine."""
def sinpi(x: Any, /) -> Any:
    """sin(pi x), exactly 0 at integers."""
def slogdet(x: Any, /) -> Any:
    """The sign (or phase) and the logarithm of the absolute value of the determinant, as a named tuple; no overflow."""
def softmax(x: Any, /, *, axis: Any = None, data_format: Any = None) -> Any:
    """exp(x) over the sum of exp(x) along the channels: positive numbers that sum to 1."""
def softplus(x: Any, /) -> Any:
    """log(1 + exp(x)), stable for every x."""
def solve(a: Any, b: Any, /) -> Any:
    """The solution y of a y = b for square matrices a."""
def solve_triangular(a: Any, b: Any, /, *, upper: Any = False) -> Any:
    """The solution y of a y = b where only one triangle of a is read: the lower, or with `upper=True` the upper."""
def sort(x: Any, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Any:
    """The elements in order along an axis. Equal ones keep their order, `stable` or not; a NaN counts as larger than every number."""
def sparse_hessian(function: Any, /, *, argument: Any = 0, check: Any = False, accelerate: Any = True) -> Any:
    """The function that returns the Hessian of a scalar `function` as a SciPy sparse array."""
def sparse_jacobian(function: Any, /, *, argument: Any = 0, check: Any = False, accelerate: Any = True) -> Any:
    """The function that returns the Jacobian of `function`'s value as a SciPy sparse array, for stencils, residuals and the like."""
def sparse_matmul(a: Any, x: Any, /) -> Any:
    """A constant SciPy sparse matrix times x, a vector or a matrix."""
def split_each_label(ds: Any, *shares: Any, randomized: Any = False, seed: Any = None) -> Any:
    """A datastore split so that each part has the same share of every label: as many parts as shares, and the rest."""
def sqrt(x: Any, /) -> Any:
    """The square root."""
def square(x: Any, /) -> Any:
    """x * x, element by element."""
def squeeze(x: Any, /, axis: Any = None) -> Any:
    """Without axes of size 1: all of them, or those given."""
def stack(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays of one shape along a new axis, labelled U."""
def std(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The standard deviation over axes, the square root of `var`; its derivative where it is 0 is 0."""
def stripdims(x: Any, layout: Any = None, /) -> Any:
    """x without labels: a new handle to the same place. With a layout, its axes are put in that order first."""
def subtract(a: Any, b: Any, /) -> Any:
    """a - b."""
def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    """The sum over axes: an integer, a label letter, several, or all of them."""
def summary(network: Any, /, *examples: Any) -> Any:
    """What a network is made of: for each layer its kind, the size of its output, how many learnables and states it has, their bytes, and the operations of one observation."""
def svd(x: Any, /, *, full_matrices: Any = True) -> Any:
    """x = U diag(S) Vh with orthonormal columns in U and rows in Vh, and S descending, as a named tuple."""
def svdvals(x: Any, /) -> Any:
    """The singular values, descending: `svd` without the vectors."""
def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """Entries of x along one axis, at integer positions (a vector; negatives count from the end). The axis keeps its label."""
def take_along_axis(x: Any, indices: Any, /, *, axis: Any = -1) -> Any:
    """Entries of x along one axis at integer positions that differ from row to row; negatives count from the end."""
def tan(x: Any, /) -> Any:
    """The tangent; x in radians."""
def tanh(x: Any, /) -> Any:
    """The hyperbolic tangent."""
def tensordot(a: Any, b: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over axes: the last of a with the first of b, or two lists of axes."""
def testnet(net: Any, data: Any, /, *given: Any, mini_batch_size: Any = 128, loss: Any = None, class_names: Any = None, input_data_formats: Any = None, target_data_formats: Any = None) -> Any:
    """Metrics of a network over a whole data set: one number for one name, a dict for several. `testnet(net, data, metrics)`, or `testnet(net, x, t, metrics)`."""
def tile(x: Any, repetitions: Any, /) -> Any:
    """x laid out several times along each axis."""
def topk(x: Any, k: Any, /, *, axis: Any = -1, largest: Any = True) -> Any:
    """The k largest elements along an axis in descending order (`largest=False`: the k smallest, ascending), and their positions from 0."""
def trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Any:
    """The sum of the diagonal of the matrices in the last two axes."""
def trainnet(data: Any, /, *given: Any) -> Any:
    """Train a network: `net, info = trainnet(data, net, loss, options)`, or `trainnet(x, t, net, loss, options)`."""
def transformer_block(size: Any, num_heads: Any, feedforward_size: Any, /, *, num_key_heads: Any = None, attention_mask: Any = 'none', has_padding_mask_input: Any = False, normalization: Any = 'layer', activation: Any = 'gelu', norm_first: Any = True, epsilon: Any = 1e-05, dropout_probability: Any = 0.0) -> Any:
    """A network of self-attention and then two fully connected layers at each position, each added to what enters it."""
def transpose(x: Any, *axes: Any) -> Any:
    """Axes in reverse order, or in the order given: NumPy's method."""
def trapz(y: Any, /, *, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """The integral of samples along an axis by the trapezoidal rule."""
def tril(x: Any, /, *, k: Any = 0) -> Any:
    """The lower triangle of matrices (the last two axes), zero above diagonal k; k > 0 is above the main one. Shape and labels of x."""
def triu(x: Any, /, *, k: Any = 0) -> Any:
    """The upper triangle of matrices (the last two axes), zero below diagonal k; k > 0 is above the main one. Shape and labels of x."""
def trunc(x: Any, /) -> Any:
    """x without its fraction; derivative 0."""
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
def update_info(monitor: Any, /, **values: Any) -> Any:
    """Say what a monitor shows beside its metrics: `update_info(monitor, epoch=3)`."""
def value_and_gradient(function: Any, /, *, argument: Any = 0, accelerate: Any = True) -> Any:
    """The function that returns `function`'s value and its gradient with respect to one argument; the others are passed through."""
def var(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: Any = False) -> Any:
    """The variance over axes: the mean square distance from the mean, with n - correction in the denominator."""
def vecdot(a: Any, b: Any, /, *, axis: Any = -1) -> Any:
    """sum(conj(a) b) along an axis, which has one size in both; the other axes broadcast. Labels match by name."""
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    """The norm of vectors over axes: (sum abs(x)**ord)**(1/ord); their largest entry for infinity, how many are not 0 for 0."""
def vjp(u: Any, x: Any, w: Any, /, *, enable_higher_derivatives: Any = False, retain_data: Any = True) -> Any:
    """The transposed Jacobian of u with respect to x times w, by one walk backwards: the gradient of sum(real(conj(w) u))."""
def warmup_learn_rate(*, initial_factor: Any = 0.1, final_factor: Any = 1.0, num_steps: Any = 5, frequency_unit: Any = 'iteration') -> Any:
    """From initial_factor to final_factor in a straight line over num_steps steps, and final_factor from then on."""
def where(condition: Any, a: Any, b: Any, /) -> Any:
    """a where the condition holds, else b: it selects and never multiplies, so a NaN on the side not taken does not leak."""
def xlogy(a: Any, b: Any, /) -> Any:
    """a log(b), 0 where a is 0, as in entropies."""
def zeros(shape: Any, labels: Any = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Zeros, float64 on the CPU unless `like`, `dtype` or `device` say otherwise."""
def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the shape of x, with its labels, type and device: a constant."""
