# Written by tools/make_stub.py: `make stub`.
from typing import Any

from ..layer import Layer

class Addition(Layer):
    """The sum of `num_inputs` inputs, which are matched by their labels."""
    def __init__(self, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    num_inputs: Any
class AveragePooling2d(Layer):
    """The mean of each window of `pool_size`, one number or (height, width). The stride is 1 unless it is given."""
    def __init__(self, pool_size: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0, padding_value: Any = 0) -> None: ...
    pool_size: Any
    stride: Any
    padding: Any
    padding_value: Any
class BatchNormalization(Layer):
    """Each channel with mean 0 and variance 1 over the batch, then scaled and shifted."""
    def __init__(self, *, name: Any = None, epsilon: Any = 1e-05, mean_decay: Any = 0.1, variance_decay: Any = 0.1, offset: Any = ..., scale: Any = ..., trained_mean: Any = ..., trained_variance: Any = ...) -> None: ...
    epsilon: Any
    mean_decay: Any
    variance_decay: Any
    offset: Any
    scale: Any
    trained_mean: Any
    trained_variance: Any
class Concatenation(Layer):
    """`num_inputs` inputs one after the other along `axis`: a label ("C", "T", "S" where there is one), or a position."""
    def __init__(self, axis: Any, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    axis: Any
    num_inputs: Any
class Convolution2d(Layer):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size`, one number or (height, width)."""
    def __init__(self, filter_size: Any, num_filters: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ...) -> None: ...
    filter_size: Any
    num_filters: Any
    stride: Any
    padding: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
class DepthConcatenation(Layer):
    """`num_inputs` inputs one after the other along their channels; their other axes have the same sizes."""
    def __init__(self, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    num_inputs: Any
class Dropout(Layer):
    """In training each element is 0 with the given probability, and the others are divided by 1 - probability."""
    def __init__(self, probability: Any = 0.5, *, name: Any = None) -> None: ...
    probability: Any
class FeatureInput(Layer):
    """Vectors of `size` features, labelled C and, for several, B."""
    def __init__(self, size: Any, *, name: Any = None) -> None: ...
    size: Any
class Flatten(Layer):
    """The spatial axes merged into the channels: C first, then S in their order, in the place of C."""
    def __init__(self, *, name: Any = None) -> None: ...
class FullyConnected(Layer):
    """Weights times the channels of x, plus a bias; C and S axes are merged, C first."""
    def __init__(self, output_size: Any, *, name: Any = None, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ...) -> None: ...
    output_size: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
class Function(Layer):
    """Any function of labelled arrays as a layer without parameters."""
    def __init__(self, function: Any, *, name: Any = None) -> None: ...
    function: Any
class GELU(Layer):
    """x / 2 (1 + erf(x / sqrt(2))); `approximation="tanh"` is the cheaper formula with tanh."""
    def __init__(self, *, name: Any = None, approximation: Any = 'none') -> None: ...
    approximation: Any
class GlobalAveragePooling2d(Layer):
    """The mean over both spatial axes, which become of size 1."""
    def __init__(self, *, name: Any = None) -> None: ...
class ImageInput(Layer):
    """Images of `size` (height, width, channels), whatever the layout of the data."""
    def __init__(self, size: Any, *, name: Any = None) -> None: ...
    size: Any
class LeakyReLU(Layer):
    """x where x > 0, else `scale` x."""
    def __init__(self, *, name: Any = None, scale: Any = 0.01) -> None: ...
    scale: Any
class MaxPooling2d(Layer):
    """The largest value of each window of `pool_size`, one number or (height, width)."""
    def __init__(self, pool_size: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0) -> None: ...
    pool_size: Any
    stride: Any
    padding: Any
class Multiplication(Layer):
    """The product, element by element, of `num_inputs` inputs, which are matched by their labels."""
    def __init__(self, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    num_inputs: Any
class Network(Layer):
    """A network as a layer of another: `network` runs with its own layers, in use or in training as the whole does."""
    def __init__(self, network: Any, *, name: Any = None) -> None: ...
    network: Any
class ReLU(Layer):
    """max(x, 0), with derivative 0 at 0."""
    def __init__(self, *, name: Any = None) -> None: ...
class Shared(Layer):
    """Runs another layer of the same network, with that one's parameters and states: the weights are shared."""
    def __init__(self, shares: Any, *, name: Any = None) -> None: ...
    shares: Any
class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""
    def __init__(self, *, name: Any = None) -> None: ...
class Softmax(Layer):
    """Positive numbers that sum to 1 over C."""
    def __init__(self, *, name: Any = None) -> None: ...
class Tanh(Layer):
    """The hyperbolic tangent."""
    def __init__(self, *, name: Any = None) -> None: ...

__all__ = ['Addition', 'AveragePooling2d', 'BatchNormalization', 'Concatenation', 'Convolution2d', 'DepthConcatenation', 'Dropout', 'FeatureInput', 'Flatten', 'FullyConnected', 'Function', 'GELU', 'GlobalAveragePooling2d', 'ImageInput', 'LeakyReLU', 'MaxPooling2d', 'Multiplication', 'Network', 'ReLU', 'Shared', 'Sigmoid', 'Softmax', 'Tanh']
