"""MATLAB's names that are spelled differently here: one table for the error and for the docs."""
from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import nearest

FUNCTIONS = {
    # arithmetic, comparison, logic
    "plus": "a + b, or add", "minus": "a - b, or subtract", "times": "a * b, or multiply", "rdivide": "a / b, or divide",
    "ldivide": "b / a, or divide(b, a)", "uminus": "-x, or negative", "uplus": "+x, or positive", "mtimes": "a @ b, or matmul",
    "pagemtimes": "a @ b, or matmul (leading axes are the pages)", "mldivide": "solve(A, b)", "mrdivide": "solve(B.mT, A.mT).mT",
    "ctranspose": "x.H", "pagetranspose": "x.mT", "pagectranspose": "x.H", "fix": "trunc", "pow2": "exp2", "realsqrt": "sqrt",
    "reallog": "log", "realpow": "power", "eq": "a == b, or equal", "ne": "a != b, or not_equal", "lt": "a < b, or less",
    "le": "a <= b, or less_equal", "gt": "a > b, or greater", "ge": "a >= b, or greater_equal", "swish": "silu",
    # shapes
    "permute": "permute_dims", "ipermute": "permute_dims", "repmat": "tile", "repelem": "repeat", "circshift": "roll", "cat": "concat",
    "horzcat": "concat([a, b], axis=1)", "vertcat": "concat([a, b], axis=0)", "numel": "x.size", "ndims": "x.ndim", "size": "x.shape",
    "length": "max(x.shape)", "isempty": "x.size == 0", "isscalar": "x.size == 1", "isvector": "x.ndim == 1", "vecnorm": "norm",
    # types, devices
    "single": 'x.astype("float32")', "double": 'x.astype("float64")', "half": 'x.astype("float16")', "logical": 'x.astype("bool")',
    "cast": "x.astype(dtype)", "underlyingType": "x.dtype", "isfloat": "x.dtype.is_floating_point", "isreal": "not x.dtype.is_complex",
    "gather": 'x.to(device="cpu")', "gpuArray": 'x.to(device="cuda")',
    # random numbers, creation
    "randi": "randint(low, high, shape)", "Inf": 'float("inf")', "NaN": 'float("nan")',
    # derivatives, training
    "resetState": "net.reset_state()", "classificationLayer": "crossentropy as the loss", "regressionLayer": "mse as the loss",
    "trainNetwork": "trainnet", "layerGraph": "dlnetwork", "dag2dlnetwork": "dlnetwork", "networkDataLayout": "Layout",
    "checkLayer": "check_layer", "isFormatted": "bool(x.dims)",
    # options that people write as functions
    "trainingOptions": "TrainingOptions", "imageDatastore": "ImageDatastore", "arrayDatastore": "ArrayDatastore",
    "fileDatastore": "FileDatastore", "augmentedImageDatastore": "AugmentedImageDatastore", "combinedDatastore": "CombinedDatastore",
    "trainingProgressMonitor": "TrainingProgressMonitor", "splitEachLabel": "split_each_label", "countEachLabel": "count_each_label",
}

LAYERS = {
    "imageInputLayer": "ImageInput", "image3dInputLayer": "Image3dInput", "featureInputLayer": "FeatureInput",
    "sequenceInputLayer": "SequenceInput", "inputLayer": "Input", "convolution1dLayer": "Convolution1d",
    "convolution2dLayer": "Convolution2d", "convolution3dLayer": "Convolution3d", "groupedConvolution2dLayer": "GroupedConvolution2d",
    "transposedConv1dLayer": "TransposedConvolution1d", "transposedConv2dLayer": "TransposedConvolution2d",
    "transposedConv3dLayer": "TransposedConvolution3d", "fullyConnectedLayer": "FullyConnected",
    "batchNormalizationLayer": "BatchNormalization", "layerNormalizationLayer": "LayerNormalization",
    "groupNormalizationLayer": "GroupNormalization", "instanceNormalizationLayer": "InstanceNormalization",
    "crossChannelNormalizationLayer": "CrossChannelNormalization", "reluLayer": "ReLU", "leakyReluLayer": "LeakyReLU",
    "clippedReluLayer": "ClippedReLU", "eluLayer": "ELU", "geluLayer": "GELU", "swishLayer": "Swish", "tanhLayer": "Tanh",
    "sigmoidLayer": "Sigmoid", "softplusLayer": "Softplus", "softmaxLayer": "Softmax", "dropoutLayer": "Dropout",
    "spatialDropoutLayer": "SpatialDropout", "maxPooling1dLayer": "MaxPooling1d", "maxPooling2dLayer": "MaxPooling2d",
    "maxPooling3dLayer": "MaxPooling3d", "averagePooling1dLayer": "AveragePooling1d", "averagePooling2dLayer": "AveragePooling2d",
    "averagePooling3dLayer": "AveragePooling3d", "globalMaxPooling1dLayer": "GlobalMaxPooling1d",
    "globalMaxPooling2dLayer": "GlobalMaxPooling2d", "globalMaxPooling3dLayer": "GlobalMaxPooling3d",
    "globalAveragePooling1dLayer": "GlobalAveragePooling1d", "globalAveragePooling2dLayer": "GlobalAveragePooling2d",
    "globalAveragePooling3dLayer": "GlobalAveragePooling3d", "maxUnpooling2dLayer": "MaxUnpooling2d", "additionLayer": "Addition",
    "multiplicationLayer": "Multiplication", "concatenationLayer": "Concatenation", "depthConcatenationLayer": "DepthConcatenation",
    "flattenLayer": "Flatten", "lstmLayer": "LSTM", "bilstmLayer": "BiLSTM", "gruLayer": "GRU", "lstmProjectedLayer": "LSTMProjected",
    "gruProjectedLayer": "GRUProjected", "wordEmbeddingLayer": "WordEmbedding", "embeddingLayer": "Embedding",
    "positionEmbeddingLayer": "PositionEmbedding", "selfAttentionLayer": "SelfAttention", "attentionLayer": "Attention",
    "neuralODELayer": "NeuralODE", "networkLayer": "Network", "functionLayer": "Function", "resize2dLayer": "Resize2d",
    "identityLayer": "Identity",
}

TABLE = {**FUNCTIONS, **{name: f"layers.{here}" for name, here in LAYERS.items()}}


def snake_case(name: str) -> str:
    """`splitEachLabel` as `split_each_label`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


PLANNED = {"trainnet", "dlaccelerate", "dldivergence", "dllaplacian", "adamupdate", "rmspropupdate", "lbfgsupdate", "minibatchqueue", "dlode45",
           "dltranspconv", "lstm", "gru", "embed", "attention", "save", "load", "jacobian", "hessian", "sparse_jacobian", "sparse_hessian"}


def layer_message(name: str, known: Iterable[str]) -> str:
    """What the AttributeError for a layer that is not there says."""
    known = list(known)
    if LAYERS.get(name) in known:
        return f"module 'gradloom.layers' has no attribute {name!r}: MATLAB's {name} is written {LAYERS[name]} here"
    if name in LAYERS or name in LAYERS.values():
        return f"module 'gradloom.layers' has no attribute {name!r}: this layer is not there yet; the layers are {', '.join(known)}"
    return f"module 'gradloom.layers' has no attribute {name!r}" + nearest(name, known)


def message(name: str, known: Iterable[str]) -> str:
    """What the AttributeError for a name that is not there says: the spelling here, or names like it."""
    known = [k for k in known if not k.startswith("_")]
    text = f"module 'gradloom' has no attribute {name!r}"
    if name in PLANNED:
        return f"{text}: it is planned and not there yet"
    if name in TABLE:
        return f"{text}: MATLAB's {name} is written {TABLE[name]} here"
    for spelled in (snake_case(name), name[:1].upper() + name[1:]):
        if spelled != name and spelled in known:
            return f"{text}: MATLAB's {name} is written {spelled} here"
    return text + nearest(name, known)
