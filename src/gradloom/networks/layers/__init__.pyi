# Written by tools/make_stub.py: `make stub`.
from typing import Any

from ..layer import Layer

class AdaptiveAveragePooling2d(Layer):
    """The mean over windows that make images of `output_size`, one number or (height, width), whatever their size."""
    def __init__(self, output_size: Any, *, name: Any = None) -> None: ...
    output_size: Any
class Addition(Layer):
    """The sum of `num_inputs` inputs, which are matched by their labels."""
    def __init__(self, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    num_inputs: Any
class Attention(Layer):
    """For each query the mean of the values, weighted by how well their keys match it, in each of `num_heads` heads."""
    def __init__(self, num_heads: Any, *, name: Any = None, scale: Any = 'auto', attention_mask: Any = 'none', dropout_probability: Any = 0.0, has_padding_mask_input: Any = False, has_scores_output: Any = False, num_key_heads: Any = None) -> None: ...
    scale: Any
    attention_mask: Any
    dropout_probability: Any
    has_padding_mask_input: Any
    has_scores_output: Any
    num_heads: Any
    num_key_heads: Any
class AveragePooling1d(Layer):
    """The mean of each window of `pool_size` along S, or along T where there is no S."""
    def __init__(self, pool_size: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0, padding_value: Any = 0) -> None: ...
    pool_size: Any
    stride: Any
    padding: Any
    padding_value: Any
class AveragePooling2d(Layer):
    """The mean of each window of `pool_size`, one number or (height, width). The stride is 1 unless it is given."""
    def __init__(self, pool_size: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0, padding_value: Any = 0) -> None: ...
    pool_size: Any
    stride: Any
    padding: Any
    padding_value: Any
class AveragePooling3d(Layer):
    """The mean of each window of `pool_size`, one number or (height, width, depth)."""
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
class BiLSTM(Layer):
    """Two layers of long short-term memory, one along T and one against it, their channels one after the other."""
    def __init__(self, hidden_size: Any, *, name: Any = None, output_mode: Any = 'sequence', has_state_inputs: Any = False, has_state_outputs: Any = False, has_mask_input: Any = False, input_weights_initializer: Any = 'glorot', recurrent_weights_initializer: Any = 'orthogonal', state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', bias_initializer: Any = 'unit-forget-gate', input_weights: Any = ..., recurrent_weights: Any = ..., bias: Any = ..., hidden_state: Any = ..., cell_state: Any = ...) -> None: ...
    hidden_size: Any
    output_mode: Any
    has_state_inputs: Any
    has_state_outputs: Any
    has_mask_input: Any
    input_weights_initializer: Any
    recurrent_weights_initializer: Any
    state_activation: Any
    gate_activation: Any
    bias_initializer: Any
    input_weights: Any
    recurrent_weights: Any
    bias: Any
    hidden_state: Any
    cell_state: Any
class ClippedReLU(Layer):
    """x limited to [0, ceiling], with derivative 1 on both bounds."""
    def __init__(self, ceiling: Any, *, name: Any = None) -> None: ...
    ceiling: Any
class ComplexFullyConnected(Layer):
    """Complex weights times the channels of x, plus a complex bias; C and S axes are merged, C first."""
    def __init__(self, output_size: Any, *, name: Any = None, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ...) -> None: ...
    output_size: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
class ComplexReLU(Layer):
    """max(., 0) of the real and of the imaginary part, each by itself; of real numbers the relu."""
    def __init__(self, *, name: Any = None) -> None: ...
class ComplexToReal(Layer):
    """Real and imaginary parts in turn along an axis, which becomes twice as long: C, unless another is said."""
    def __init__(self, *, name: Any = None, operation_dimension: Any = 'C') -> None: ...
    operation_dimension: Any
class Concatenation(Layer):
    """`num_inputs` inputs one after the other along `axis`: a label ("C", "T", "S" where there is one), or a position."""
    def __init__(self, axis: Any, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    axis: Any
    num_inputs: Any
class Convolution1d(Layer):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size` along S, or along T where there is no S."""
    def __init__(self, filter_size: Any, num_filters: Any, *, name: Any = None, stride: Any = 1, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ..., padding: Any = 0, padding_value: Any = 0, num_groups: Any = 1) -> None: ...
    filter_size: Any
    stride: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
    padding: Any
    padding_value: Any
    num_filters: Any
    num_groups: Any
class Convolution2d(Layer):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size`, one number or (height, width)."""
    def __init__(self, filter_size: Any, num_filters: Any, *, name: Any = None, stride: Any = 1, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ..., padding: Any = 0, padding_value: Any = 0, num_groups: Any = 1) -> None: ...
    filter_size: Any
    stride: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
    padding: Any
    padding_value: Any
    num_filters: Any
    num_groups: Any
class Convolution3d(Layer):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size`: one number, or (height, width, depth)."""
    def __init__(self, filter_size: Any, num_filters: Any, *, name: Any = None, stride: Any = 1, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ..., padding: Any = 0, padding_value: Any = 0, num_groups: Any = 1) -> None: ...
    filter_size: Any
    stride: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
    padding: Any
    padding_value: Any
    num_filters: Any
    num_groups: Any
class Crop2d(Layer):
    """The part of an image that has the height and width of a second input, "ref": its centre, or from `location` (row, column) on."""
    def __init__(self, location: Any = 'centercrop', *, name: Any = None) -> None: ...
    location: Any
class Crop3d(Layer):
    """The part of a volume that has the sizes of a second input, "ref": its centre, or from `location` on."""
    def __init__(self, location: Any = 'centercrop', *, name: Any = None) -> None: ...
    location: Any
class CrossChannelNormalization(Layer):
    """Each element divided by a power of the mean square of the `window_channel_size` channels around its own (local response normalization)."""
    def __init__(self, window_channel_size: Any, *, name: Any = None, alpha: Any = 0.0001, beta: Any = 0.75, k: Any = 2.0) -> None: ...
    window_channel_size: Any
    alpha: Any
    beta: Any
    k: Any
class DepthConcatenation(Layer):
    """`num_inputs` inputs one after the other along their channels; their other axes have the same sizes."""
    def __init__(self, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    num_inputs: Any
class DepthToSpace2d(Layer):
    """Blocks of channels as blocks of places: an image `block_size` times as high and wide with so many fewer channels."""
    def __init__(self, block_size: Any, *, name: Any = None, mode: Any = 'dcr') -> None: ...
    block_size: Any
    mode: Any
class Dropout(Layer):
    """In training each element is 0 with the given probability, and the others are divided by 1 - probability."""
    def __init__(self, probability: Any = 0.5, *, name: Any = None) -> None: ...
    probability: Any
class ELU(Layer):
    """x where x > 0, else `alpha` (exp(x) - 1)."""
    def __init__(self, *, name: Any = None, alpha: Any = 1.0) -> None: ...
    alpha: Any
class Embedding(Layer):
    """Each index replaced by its row of a table of `count` vectors of size `dimension`, along an axis C."""
    def __init__(self, dimension: Any, count: Any, *, name: Any = None, padding_index: Any = None, weights_initializer: Any = 'narrow-normal', weights: Any = ...) -> None: ...
    dimension: Any
    count: Any
    padding_index: Any
    weights_initializer: Any
    weights: Any
class EmbeddingConcatenation(Layer):
    """A vector that training changes, put before the first position of x: what a vision transformer reads its class from."""
    def __init__(self, *, name: Any = None, weights_initializer: Any = 'zeros', weights: Any = ...) -> None: ...
    weights_initializer: Any
    weights: Any
class FeatureInput(Layer):
    """Vectors of `size` features, labelled C and, for several, B. Normalization is that of ImageInput."""
    def __init__(self, size: Any, *, name: Any = None, normalization: Any = 'none', normalization_dimension: Any = 'auto', mean: Any = ..., standard_deviation: Any = ..., min: Any = ..., max: Any = ...) -> None: ...
    normalization: Any
    normalization_dimension: Any
    mean: Any
    standard_deviation: Any
    min: Any
    max: Any
    size: Any
class Flatten(Layer):
    """The spatial axes merged into the channels: C first, then S in their order, in the place of C."""
    def __init__(self, *, name: Any = None) -> None: ...
class FullyConnected(Layer):
    """Weights times the channels of x, plus a bias; C and S axes are merged, C first."""
    def __init__(self, output_size: Any, *, name: Any = None, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', operation_dimension: Any = 'spatial-channel', weights: Any = ..., bias: Any = ...) -> None: ...
    output_size: Any
    weights_initializer: Any
    bias_initializer: Any
    operation_dimension: Any
    weights: Any
    bias: Any
class Function(Layer):
    """Any function of labelled arrays as a layer without parameters."""
    def __init__(self, function: Any, *, name: Any = None, num_inputs: Any = 1, num_outputs: Any = 1) -> None: ...
    function: Any
    num_inputs: Any
    num_outputs: Any
class GELU(Layer):
    """x / 2 (1 + erf(x / sqrt(2))); `approximation="tanh"` is the cheaper formula with tanh."""
    def __init__(self, *, name: Any = None, approximation: Any = 'none') -> None: ...
    approximation: Any
class GRU(Layer):
    """Gated recurrent units along T, `hidden_size` of them."""
    def __init__(self, hidden_size: Any, *, name: Any = None, output_mode: Any = 'sequence', has_state_inputs: Any = False, has_state_outputs: Any = False, has_mask_input: Any = False, input_weights_initializer: Any = 'glorot', recurrent_weights_initializer: Any = 'orthogonal', reset_gate_mode: Any = 'after-multiplication', state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', bias_initializer: Any = 'zeros', input_weights: Any = ..., recurrent_weights: Any = ..., bias: Any = ..., hidden_state: Any = ...) -> None: ...
    hidden_size: Any
    output_mode: Any
    has_state_inputs: Any
    has_state_outputs: Any
    has_mask_input: Any
    input_weights_initializer: Any
    recurrent_weights_initializer: Any
    reset_gate_mode: Any
    state_activation: Any
    gate_activation: Any
    bias_initializer: Any
    input_weights: Any
    recurrent_weights: Any
    bias: Any
    hidden_state: Any
class GRUProjected(Layer):
    """Gated recurrent units with fewer weights: what enters the gates, and the hidden state, are projected first."""
    def __init__(self, hidden_size: Any, output_projector_size: Any, input_projector_size: Any, *, name: Any = None, output_mode: Any = 'sequence', has_state_inputs: Any = False, has_state_outputs: Any = False, has_mask_input: Any = False, input_weights_initializer: Any = 'glorot', recurrent_weights_initializer: Any = 'orthogonal', reset_gate_mode: Any = 'after-multiplication', state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', bias_initializer: Any = 'zeros', input_weights: Any = ..., recurrent_weights: Any = ..., bias: Any = ..., hidden_state: Any = ..., projector_initializer: Any = 'orthogonal', input_projector: Any = ..., output_projector: Any = ...) -> None: ...
    hidden_size: Any
    output_mode: Any
    has_state_inputs: Any
    has_state_outputs: Any
    has_mask_input: Any
    input_weights_initializer: Any
    recurrent_weights_initializer: Any
    reset_gate_mode: Any
    state_activation: Any
    gate_activation: Any
    bias_initializer: Any
    input_weights: Any
    recurrent_weights: Any
    bias: Any
    hidden_state: Any
    output_projector_size: Any
    input_projector_size: Any
    projector_initializer: Any
    input_projector: Any
    output_projector: Any
class GaussianNoise(Layer):
    """In training a normal random number of standard deviation `deviation` is added to each element."""
    def __init__(self, deviation: Any, *, name: Any = None) -> None: ...
    deviation: Any
class GlobalAveragePooling1d(Layer):
    """The mean over S, which becomes of size 1, or over T, which is dropped, where there is no S."""
    def __init__(self, *, name: Any = None) -> None: ...
class GlobalAveragePooling2d(Layer):
    """The mean over both spatial axes, which become of size 1."""
    def __init__(self, *, name: Any = None) -> None: ...
class GlobalAveragePooling3d(Layer):
    """The mean over all three spatial axes, which become of size 1."""
    def __init__(self, *, name: Any = None) -> None: ...
class GlobalMaxPooling1d(Layer):
    """The largest value over S, which becomes of size 1, or over T, which is dropped, where there is no S."""
    def __init__(self, *, name: Any = None) -> None: ...
class GlobalMaxPooling2d(Layer):
    """The largest value over both spatial axes, which become of size 1."""
    def __init__(self, *, name: Any = None) -> None: ...
class GlobalMaxPooling3d(Layer):
    """The largest value over all three spatial axes, which become of size 1."""
    def __init__(self, *, name: Any = None) -> None: ...
class GroupNormalization(Layer):
    """Each group of channels of each observation with mean 0 and variance 1, then scaled and shifted channel by channel."""
    def __init__(self, num_groups: Any, *, name: Any = None, epsilon: Any = 1e-05, offset: Any = ..., scale: Any = ...) -> None: ...
    epsilon: Any
    offset: Any
    scale: Any
    num_groups: Any
class GroupedConvolution2d(Layer):
    """Convolution in which each group of channels has filters of its own; "channel-wise" is a group for each channel."""
    def __init__(self, filter_size: Any, num_filters_per_group: Any, num_groups: Any, *, name: Any = None, stride: Any = 1, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ..., padding: Any = 0, padding_value: Any = 0) -> None: ...
    filter_size: Any
    stride: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
    padding: Any
    padding_value: Any
    num_filters_per_group: Any
    num_groups: Any
class HardSigmoid(Layer):
    """alpha x + beta limited to [0, 1], with derivative alpha on both bounds."""
    def __init__(self, *, name: Any = None, alpha: Any = 0.2, beta: Any = 0.5) -> None: ...
    alpha: Any
    beta: Any
class HardSwish(Layer):
    """x times x / 6 + 1 / 2 limited to [0, 1]."""
    def __init__(self, *, name: Any = None) -> None: ...
class Identity(Layer):
    """x as it is: a place in a graph that has a name."""
    def __init__(self, *, name: Any = None) -> None: ...
class Image3dInput(Layer):
    """Volumes of `size` (height, width, depth, channels), whatever the layout of the data, normalized."""
    def __init__(self, size: Any, *, name: Any = None, normalization: Any = 'none', normalization_dimension: Any = 'auto', mean: Any = ..., standard_deviation: Any = ..., min: Any = ..., max: Any = ...) -> None: ...
    normalization: Any
    normalization_dimension: Any
    mean: Any
    standard_deviation: Any
    min: Any
    max: Any
    size: Any
class ImageInput(Layer):
    """Images of `size` (height, width, channels), whatever the layout of the data, normalized."""
    def __init__(self, size: Any, *, name: Any = None, normalization: Any = 'none', normalization_dimension: Any = 'auto', mean: Any = ..., standard_deviation: Any = ..., min: Any = ..., max: Any = ...) -> None: ...
    normalization: Any
    normalization_dimension: Any
    mean: Any
    standard_deviation: Any
    min: Any
    max: Any
    size: Any
class Indexing1d(Layer):
    """One entry along S, or along T where there is no S: "first", "last", "middle" (entry n // 2 of n) or an integer, which counts from the end where it is negative. The axis is dropped."""
    def __init__(self, index: Any = 'last', *, name: Any = None) -> None: ...
    index: Any
class Input(Layer):
    """Arrays of `size` along axes with these labels, in any order; a size along B or T may be None: any."""
    def __init__(self, size: Any, labels: Any, *, name: Any = None) -> None: ...
    size: Any
    labels: Any
class InstanceNormalization(Layer):
    """Each channel of each observation with mean 0 and variance 1, then scaled and shifted."""
    def __init__(self, *, name: Any = None, epsilon: Any = 1e-05, offset: Any = ..., scale: Any = ...) -> None: ...
    epsilon: Any
    offset: Any
    scale: Any
class InverseNormalization(Layer):
    """Predictions in the units of the data: it undoes a normalization, "zscore" unless another is said."""
    def __init__(self, *, name: Any = None, normalization: Any = 'zscore', normalization_dimension: Any = 'auto', mean: Any = ..., standard_deviation: Any = ..., min: Any = ..., max: Any = ...) -> None: ...
    normalization: Any
    normalization_dimension: Any
    mean: Any
    standard_deviation: Any
    min: Any
    max: Any
class LSTM(Layer):
    """Long short-term memory along T with `hidden_size` units."""
    def __init__(self, hidden_size: Any, *, name: Any = None, output_mode: Any = 'sequence', has_state_inputs: Any = False, has_state_outputs: Any = False, has_mask_input: Any = False, input_weights_initializer: Any = 'glorot', recurrent_weights_initializer: Any = 'orthogonal', state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', bias_initializer: Any = 'unit-forget-gate', input_weights: Any = ..., recurrent_weights: Any = ..., bias: Any = ..., hidden_state: Any = ..., cell_state: Any = ...) -> None: ...
    hidden_size: Any
    output_mode: Any
    has_state_inputs: Any
    has_state_outputs: Any
    has_mask_input: Any
    input_weights_initializer: Any
    recurrent_weights_initializer: Any
    state_activation: Any
    gate_activation: Any
    bias_initializer: Any
    input_weights: Any
    recurrent_weights: Any
    bias: Any
    hidden_state: Any
    cell_state: Any
class LSTMProjected(Layer):
    """Long short-term memory with fewer weights: what enters the gates, and the hidden state, are projected first."""
    def __init__(self, hidden_size: Any, output_projector_size: Any, input_projector_size: Any, *, name: Any = None, output_mode: Any = 'sequence', has_state_inputs: Any = False, has_state_outputs: Any = False, has_mask_input: Any = False, input_weights_initializer: Any = 'glorot', recurrent_weights_initializer: Any = 'orthogonal', state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', bias_initializer: Any = 'unit-forget-gate', input_weights: Any = ..., recurrent_weights: Any = ..., bias: Any = ..., hidden_state: Any = ..., cell_state: Any = ..., projector_initializer: Any = 'orthogonal', input_projector: Any = ..., output_projector: Any = ...) -> None: ...
    hidden_size: Any
    output_mode: Any
    has_state_inputs: Any
    has_state_outputs: Any
    has_mask_input: Any
    input_weights_initializer: Any
    recurrent_weights_initializer: Any
    state_activation: Any
    gate_activation: Any
    bias_initializer: Any
    input_weights: Any
    recurrent_weights: Any
    bias: Any
    hidden_state: Any
    cell_state: Any
    output_projector_size: Any
    input_projector_size: Any
    projector_initializer: Any
    input_projector: Any
    output_projector: Any
class LayerNormalization(Layer):
    """Each observation with mean 0 and variance 1, then scaled and shifted channel by channel."""
    def __init__(self, *, name: Any = None, epsilon: Any = 1e-05, offset: Any = ..., scale: Any = ..., operation_dimension: Any = 'auto') -> None: ...
    epsilon: Any
    offset: Any
    scale: Any
    operation_dimension: Any
class LeakyReLU(Layer):
    """x where x > 0, else `scale` x."""
    def __init__(self, *, name: Any = None, scale: Any = 0.01) -> None: ...
    scale: Any
class MaxPooling1d(Layer):
    """The largest value of each window of `pool_size` along S, or along T where there is no S."""
    def __init__(self, pool_size: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0) -> None: ...
    pool_size: Any
    stride: Any
    padding: Any
class MaxPooling2d(Layer):
    """The largest value of each window of `pool_size`, one number or (height, width)."""
    def __init__(self, pool_size: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0, has_unpooling_outputs: Any = False) -> None: ...
    pool_size: Any
    stride: Any
    padding: Any
    has_unpooling_outputs: Any
class MaxPooling3d(Layer):
    """The largest value of each window of `pool_size`, one number or (height, width, depth)."""
    def __init__(self, pool_size: Any, *, name: Any = None, stride: Any = 1, padding: Any = 0) -> None: ...
    pool_size: Any
    stride: Any
    padding: Any
class MaxUnpooling2d(Layer):
    """Values back at the places where max pooling found them, zeros elsewhere."""
    def __init__(self, *, name: Any = None) -> None: ...
class Mish(Layer):
    """x tanh(log(1 + exp(x)))."""
    def __init__(self, *, name: Any = None) -> None: ...
class Multiplication(Layer):
    """The product, element by element, of `num_inputs` inputs, which are matched by their labels."""
    def __init__(self, num_inputs: Any = 2, *, name: Any = None) -> None: ...
    num_inputs: Any
class Network(Layer):
    """A network as a layer of another: `network` runs with its own layers, in use or in training as the whole does."""
    def __init__(self, network: Any, *, name: Any = None) -> None: ...
    network: Any
class NeuralODE(Layer):
    """The solution of dy/dt = network(y), y(tspan[0]) = x, at the times that follow in `tspan`."""
    def __init__(self, network: Any, tspan: Any, *, name: Any = None, gradient_mode: Any = 'direct', relative_tolerance: Any = 0.001, absolute_tolerance: Any = 1e-06, initial_step_size: Any = None, max_step_size: Any = None) -> None: ...
    network: Any
    tspan: Any
    gradient_mode: Any
    relative_tolerance: Any
    absolute_tolerance: Any
    initial_step_size: Any
    max_step_size: Any
class PReLU(Layer):
    """x where x > 0, else alpha x, where each channel has an alpha of its own, which training changes."""
    def __init__(self, *, name: Any = None, alpha_initializer: Any = 0.25, alpha: Any = ...) -> None: ...
    alpha_initializer: Any
    alpha: Any
class Padding(Layer):
    """Values around every S: `size` is a number, one for each S, or (before, after) for each."""
    def __init__(self, size: Any, *, name: Any = None, padding_value: Any = 0) -> None: ...
    size: Any
    padding_value: Any
class PatchEmbedding(Layer):
    """Each patch of an image as a vector of size `output_size`: patches along one axis S, row by row."""
    def __init__(self, patch_size: Any, output_size: Any, *, name: Any = None, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ...) -> None: ...
    patch_size: Any
    output_size: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
class PeepholeLSTM(Layer):
    """Long short-term memory whose gates see the cell, too."""
    def __init__(self, hidden_size: Any, *, name: Any = None, output_mode: Any = 'sequence', has_state_inputs: Any = False, has_state_outputs: Any = False, has_mask_input: Any = False, input_weights_initializer: Any = 'glorot', recurrent_weights_initializer: Any = 'orthogonal', state_activation: Any = 'tanh', gate_activation: Any = 'sigmoid', bias_initializer: Any = 'unit-forget-gate', input_weights: Any = ..., recurrent_weights: Any = ..., bias: Any = ..., hidden_state: Any = ..., cell_state: Any = ..., peephole_weights_initializer: Any = 'zeros', peephole_weights: Any = ...) -> None: ...
    hidden_size: Any
    output_mode: Any
    has_state_inputs: Any
    has_state_outputs: Any
    has_mask_input: Any
    input_weights_initializer: Any
    recurrent_weights_initializer: Any
    state_activation: Any
    gate_activation: Any
    bias_initializer: Any
    input_weights: Any
    recurrent_weights: Any
    bias: Any
    hidden_state: Any
    cell_state: Any
    peephole_weights_initializer: Any
    peephole_weights: Any
class Permute(Layer):
    """The axes of these letters exchanged: axis j of them becomes what axis `order[j]` was."""
    def __init__(self, letters: Any, order: Any, *, name: Any = None) -> None: ...
    letters: Any
    order: Any
class PositionEmbedding(Layer):
    """A vector of size `dimension` for each position along T (or S) of x, which training changes."""
    def __init__(self, dimension: Any, max_position: Any, *, name: Any = None, weights_initializer: Any = 'narrow-normal', weights: Any = ...) -> None: ...
    dimension: Any
    max_position: Any
    weights_initializer: Any
    weights: Any
class RMSNormalization(Layer):
    """The channels of each position divided by the root of their mean square, then scaled."""
    def __init__(self, *, name: Any = None, epsilon: Any = 1e-05, scale: Any = ...) -> None: ...
    epsilon: Any
    scale: Any
class ReLU(Layer):
    """max(x, 0), with derivative 0 at 0."""
    def __init__(self, *, name: Any = None) -> None: ...
class RealToComplex(Layer):
    """Real and imaginary parts that take turns along an axis as complex numbers: it becomes half as long."""
    def __init__(self, *, name: Any = None, operation_dimension: Any = 'C') -> None: ...
    operation_dimension: Any
class Reshape(Layer):
    """The channels and spatial axes of each observation in new sizes (*spatial, channels), such as (4, 4, 512)."""
    def __init__(self, size: Any, *, name: Any = None) -> None: ...
    size: Any
class Resize2d(Layer):
    """Images of `output_size` (height, width), or `scale` times as large, or with `enable_reference_input=True` of the size of a second input, "ref"."""
    def __init__(self, output_size: Any = None, *, name: Any = None, scale: Any = None, method: Any = 'nearest', geometric_transform_mode: Any = 'half-pixel', nearest_rounding_mode: Any = 'round', enable_reference_input: Any = False) -> None: ...
    output_size: Any
    scale: Any
    method: Any
    geometric_transform_mode: Any
    nearest_rounding_mode: Any
    enable_reference_input: Any
class Resize3d(Layer):
    """Volumes of `output_size` (height, width, depth), or `scale` times as large, or with `enable_reference_input=True` of the size of a second input, "ref"."""
    def __init__(self, output_size: Any = None, *, name: Any = None, scale: Any = None, method: Any = 'nearest', geometric_transform_mode: Any = 'half-pixel', nearest_rounding_mode: Any = 'round', enable_reference_input: Any = False) -> None: ...
    output_size: Any
    scale: Any
    method: Any
    geometric_transform_mode: Any
    nearest_rounding_mode: Any
    enable_reference_input: Any
class Scaling(Layer):
    """scale x + offset, with numbers that training does not change."""
    def __init__(self, *, name: Any = None, scale: Any = 1.0, offset: Any = 0.0) -> None: ...
    scale: Any
    offset: Any
class SelfAttention(Layer):
    """Attention of a sequence to itself: queries, keys and values are linear functions of x, and y one of the result."""
    def __init__(self, num_heads: Any, num_key_channels: Any, *, name: Any = None, scale: Any = 'auto', attention_mask: Any = 'none', dropout_probability: Any = 0.0, has_padding_mask_input: Any = False, has_scores_output: Any = False, num_value_channels: Any = None, output_size: Any = None, num_key_heads: Any = None, weights_initializer: Any = 'glorot', query_weights: Any = ..., key_weights: Any = ..., value_weights: Any = ..., output_weights: Any = ..., query_bias: Any = ..., key_bias: Any = ..., value_bias: Any = ..., output_bias: Any = ...) -> None: ...
    scale: Any
    attention_mask: Any
    dropout_probability: Any
    has_padding_mask_input: Any
    has_scores_output: Any
    num_heads: Any
    num_key_channels: Any
    num_value_channels: Any
    output_size: Any
    num_key_heads: Any
    weights_initializer: Any
    query_weights: Any
    key_weights: Any
    value_weights: Any
    output_weights: Any
    query_bias: Any
    key_bias: Any
    value_bias: Any
    output_bias: Any
class SequenceInput(Layer):
    """Sequences of vectors of `size` features, or of images of `size` (*spatial, channels), labelled T besides."""
    def __init__(self, size: Any, *, name: Any = None, normalization: Any = 'none', normalization_dimension: Any = 'auto', mean: Any = ..., standard_deviation: Any = ..., min: Any = ..., max: Any = ..., min_length: Any = 1) -> None: ...
    normalization: Any
    normalization_dimension: Any
    mean: Any
    standard_deviation: Any
    min: Any
    max: Any
    size: Any
    min_length: Any
class Shared(Layer):
    """Runs another layer of the same network, with that one's parameters and states: the weights are shared."""
    def __init__(self, shares: Any, *, name: Any = None) -> None: ...
    shares: Any
class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""
    def __init__(self, *, name: Any = None) -> None: ...
class SinusoidalPositionEncoding(Layer):
    """Sines and cosines of each position along T (or S) of x, at `dimension` / 2 frequencies."""
    def __init__(self, dimension: Any, *, name: Any = None) -> None: ...
    dimension: Any
class Softmax(Layer):
    """Positive numbers that sum to 1 over C."""
    def __init__(self, *, name: Any = None) -> None: ...
class Softplus(Layer):
    """log(1 + exp(x)), a smooth relu."""
    def __init__(self, *, name: Any = None) -> None: ...
class Softsign(Layer):
    """x / (1 + |x|)."""
    def __init__(self, *, name: Any = None) -> None: ...
class SpaceToDepth(Layer):
    """Blocks of places as channels: an image `block_size` times less high and wide with so many more channels."""
    def __init__(self, block_size: Any, *, name: Any = None) -> None: ...
    block_size: Any
class SpatialDropout(Layer):
    """In training each channel of each observation is 0 with the given probability, everywhere, and the others are divided by 1 - probability."""
    def __init__(self, probability: Any = 0.5, *, name: Any = None) -> None: ...
    probability: Any
class SpectralConvolution1d(Layer):
    """The lowest `num_modes` Fourier coefficients along S times complex weights, the others left out."""
    def __init__(self, num_modes: Any, num_filters: Any, *, name: Any = None, weights: Any = ...) -> None: ...
    num_modes: Any
    num_filters: Any
    weights: Any
class SpectralConvolution2d(Layer):
    """The lowest Fourier coefficients along two S axes times complex weights, the others left out."""
    def __init__(self, num_modes: Any, num_filters: Any, *, name: Any = None, weights: Any = ...) -> None: ...
    num_modes: Any
    num_filters: Any
    weights: Any
class SpectralConvolution3d(Layer):
    """The lowest Fourier coefficients along three S axes times complex weights, the others left out."""
    def __init__(self, num_modes: Any, num_filters: Any, *, name: Any = None, weights: Any = ...) -> None: ...
    num_modes: Any
    num_filters: Any
    weights: Any
class Swish(Layer):
    """x sigmoid(x), also called SiLU."""
    def __init__(self, *, name: Any = None) -> None: ...
class Tanh(Layer):
    """The hyperbolic tangent."""
    def __init__(self, *, name: Any = None) -> None: ...
class TransposedConvolution1d(Layer):
    """Transposed convolution with `num_filters` filters of `filter_size` along S, or along T where there is no S."""
    def __init__(self, filter_size: Any, num_filters: Any, *, name: Any = None, stride: Any = 1, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ..., cropping: Any = 0, num_groups: Any = 1) -> None: ...
    filter_size: Any
    stride: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
    num_filters: Any
    cropping: Any
    num_groups: Any
class TransposedConvolution2d(Layer):
    """Transposed convolution with `num_filters` filters of `filter_size`: it makes images larger by the stride."""
    def __init__(self, filter_size: Any, num_filters: Any, *, name: Any = None, stride: Any = 1, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ..., cropping: Any = 0, num_groups: Any = 1) -> None: ...
    filter_size: Any
    stride: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
    num_filters: Any
    cropping: Any
    num_groups: Any
class TransposedConvolution3d(Layer):
    """Transposed convolution with `num_filters` filters of `filter_size`, one number or (height, width, depth)."""
    def __init__(self, filter_size: Any, num_filters: Any, *, name: Any = None, stride: Any = 1, dilation_factor: Any = 1, weights_initializer: Any = 'glorot', bias_initializer: Any = 'zeros', weights: Any = ..., bias: Any = ..., cropping: Any = 0, num_groups: Any = 1) -> None: ...
    filter_size: Any
    stride: Any
    dilation_factor: Any
    weights_initializer: Any
    bias_initializer: Any
    weights: Any
    bias: Any
    num_filters: Any
    cropping: Any
    num_groups: Any
class Upsampling(Layer):
    """Each entry repeated `scale` times along every S: one number, or one for each S."""
    def __init__(self, scale: Any, *, name: Any = None) -> None: ...
    scale: Any
class WordEmbedding(Layer):
    """Each word, an index, replaced by its row of a table of `count` vectors of size `dimension`."""
    def __init__(self, dimension: Any, count: Any, *, name: Any = None, padding_index: Any = None, weights_initializer: Any = 'narrow-normal', weights: Any = ...) -> None: ...
    dimension: Any
    count: Any
    padding_index: Any
    weights_initializer: Any
    weights: Any
class ZReLU(Layer):
    """x where its phase is in [0, pi / 2], else 0; of real numbers the relu."""
    def __init__(self, *, name: Any = None) -> None: ...

__all__ = ['AdaptiveAveragePooling2d', 'Addition', 'Attention', 'AveragePooling1d', 'AveragePooling2d', 'AveragePooling3d', 'BatchNormalization', 'BiLSTM', 'ClippedReLU', 'ComplexFullyConnected', 'ComplexReLU', 'ComplexToReal', 'Concatenation', 'Convolution1d', 'Convolution2d', 'Convolution3d', 'Crop2d', 'Crop3d', 'CrossChannelNormalization', 'DepthConcatenation', 'DepthToSpace2d', 'Dropout', 'ELU', 'Embedding', 'EmbeddingConcatenation', 'FeatureInput', 'Flatten', 'FullyConnected', 'Function', 'GELU', 'GRU', 'GRUProjected', 'GaussianNoise', 'GlobalAveragePooling1d', 'GlobalAveragePooling2d', 'GlobalAveragePooling3d', 'GlobalMaxPooling1d', 'GlobalMaxPooling2d', 'GlobalMaxPooling3d', 'GroupNormalization', 'GroupedConvolution2d', 'HardSigmoid', 'HardSwish', 'Identity', 'Image3dInput', 'ImageInput', 'Indexing1d', 'Input', 'InstanceNormalization', 'InverseNormalization', 'LSTM', 'LSTMProjected', 'LayerNormalization', 'LeakyReLU', 'MaxPooling1d', 'MaxPooling2d', 'MaxPooling3d', 'MaxUnpooling2d', 'Mish', 'Multiplication', 'Network', 'NeuralODE', 'PReLU', 'Padding', 'PatchEmbedding', 'PeepholeLSTM', 'Permute', 'PositionEmbedding', 'RMSNormalization', 'ReLU', 'RealToComplex', 'Reshape', 'Resize2d', 'Resize3d', 'Scaling', 'SelfAttention', 'SequenceInput', 'Shared', 'Sigmoid', 'SinusoidalPositionEncoding', 'Softmax', 'Softplus', 'Softsign', 'SpaceToDepth', 'SpatialDropout', 'SpectralConvolution1d', 'SpectralConvolution2d', 'SpectralConvolution3d', 'Swish', 'Tanh', 'TransposedConvolution1d', 'TransposedConvolution2d', 'TransposedConvolution3d', 'Upsampling', 'WordEmbedding', 'ZReLU']
