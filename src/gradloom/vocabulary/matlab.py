"""MATLAB's names that are spelled differently here: one table for the error and for the docs."""
from __future__ import annotations

import re

FUNCTIONS = {
    # arithmetic, comparison, logic
    "plus": "a + b, or add", "minus": "a - b, or subtract", "times": "a * b, or multiply",
    "rdivide": "a / b, or divide",
    "ldivide": "b / a, or divide(b, a)", "uminus": "-x, or negative", "uplus": "+x, or positive",
    "mtimes": "a @ b, or matmul",
    "pagemtimes": "a @ b, or matmul (leading axes are the pages)", "mldivide": "solve(A, b)",
    "mrdivide": "solve(B.mT, A.mT).mT",
    "ctranspose": "x.H", "pagetranspose": "x.mT", "pagectranspose": "x.H", "fix": "trunc",
    "pow2": "exp2", "realsqrt": "sqrt",
    "reallog": "log", "realpow": "power", "eq": "a == b, or equal", "ne": "a != b, or not_equal",
    "lt": "a < b, or less",
    "le": "a <= b, or less_equal", "gt": "a > b, or greater", "ge": "a >= b, or greater_equal", "swish": "silu",
    "and": "a & b, or logical_and", "or": "logical_or", "xor": "a ^ b, or logical_xor", "not": "~x, or logical_not",
    "rem": "fmod", "psi": "digamma(x), or polygamma(k, x)", "eps": "finfo(x.dtype).eps", "isequal": "array_equal",
    "isequaln": "array_equal(a, b, equal_nan=True)", "bitshift": "bitwise_left_shift, or bitwise_right_shift",
    "find": "nonzero",
    "nnz": "count_nonzero", "unique": "unique_values, or unique_all", "maxk": "topk",
    "mink": "topk(x, k, largest=False)",
    "dot": "vecdot", "range": "max(x) - min(x)", "prctile": "quantile(x, p / 100, method=\"hazen\")",
    "spline": "interp1(x, v, xq, \"spline\")", "pchip": "interp1(x, v, xq, \"pchip\")",
    "makima": "interp1(x, v, xq, \"makima\")",
    # shapes
    "permute": "permute_dims", "ipermute": "permute_dims", "repmat": "tile", "repelem": "repeat",
    "circshift": "roll", "cat": "concat([a, b], axis=0)",
    "horzcat": "concat([a, b], axis=1)", "vertcat": "concat([a, b], axis=0)", "numel": "x.size",
    "ndims": "x.ndim", "size": "x.shape",
    "shiftdim": "permute_dims, or squeeze", "paddata": "pad", "trimdata": "x[:n]", "resize": "pad, or x[:n]",
    "colon": "arange",
    "subsref": "x[i]", "subsasgn": "x[i] = v", "subsindex": "x[i]", "depthToSpace": "reshape, permute_dims, reshape",
    "spaceToDepth": "reshape, permute_dims, reshape",
    "ndgrid": "meshgrid(..., indexing=\"ij\")", "length": "max(x.shape)", "isempty": "x.size == 0",
    "isscalar": "x.size == 1", "isvector": "x.ndim == 1", "ismatrix": "x.ndim == 2",
    "isrow": "x.ndim == 2 and x.shape[0] == 1",
    "iscolumn": "x.ndim == 2 and x.shape[1] == 1", "vecnorm": "norm(x, axis=0)",
    # types, devices
    "single": 'x.astype("float32")', "double": 'x.astype("float64")', "half": 'x.astype("float16")',
    "logical": 'x.astype("bool")',
    "cast": "x.astype(dtype)", "underlyingType": "x.dtype", "isfloat": "x.dtype.is_floating_point",
    "isreal": "not x.dtype.is_complex",
    "isnumeric": 'isdtype(x.dtype, "numeric")', "islogical": 'isdtype(x.dtype, "bool")', "disp": "print(x)",
    "display": "print(x)",
    "gather": 'x.to(device="cpu")', "gpuArray": 'x.to(device="cuda")',
    # random numbers, creation
    "randi": "randint(low, high, shape)", "Inf": 'float("inf")', "NaN": 'float("nan")',
    "true": 'True, or ones(shape, dtype="bool")',
    "false": 'False, or zeros(shape, dtype="bool")',
    # derivatives, training
    "resetState": "net.reset_state()", "lbfgsState": "LBFGSState", "dlmtimes": "matmul",
    "assembleNetwork": "dlnetwork", "classificationLayer": "crossentropy as the loss",
    "regressionLayer": "mse as the loss",
    "trainNetwork": "trainnet", "layerGraph": "dlnetwork", "dag2dlnetwork": "dlnetwork", "networkDataLayout": "Layout",
    "checkLayer": "check_layer", "isFormatted": "bool(x.dims)",
    # linear algebra, Fourier transforms, own operations
    "chol": "cholesky(x, upper=True)", "rank": "matrix_rank",
    "mpower": "matrix_power",
    "linsolve": "solve_triangular, or solve", "pageinv": "inv (leading axes are the pages)",
    "pagesvd": "svd (leading axes are the pages)",
    "pagemldivide": "solve(A, b)", "fft2": "fftn(x, axes=(0, 1))", "ifft2": "ifftn(x, axes=(0, 1))",
    "checkGradients": "check_derivatives",
    "invlogit": "sigmoid", "psnr": "10 * log10(peak ** 2 / mean((x - y) ** 2))",
    # options that people write as functions
    "trainingOptions": "TrainingOptions", "imageDatastore": "ImageDatastore", "arrayDatastore": "ArrayDatastore",
    "fileDatastore": "FileDatastore", "augmentedImageDatastore": "AugmentedImageDatastore",
    "combinedDatastore": "CombinedDatastore", "tabularTextDatastore": "TableDatastore",
    "imageDataAugmenter": "AugmentedImageDatastore", "rocmetrics": "roc_chart",
    "trainingProgressMonitor": "TrainingProgressMonitor", "splitEachLabel": "split_each_label",
    "countEachLabel": "count_each_label",
}

# Layers enter themselves (networks/registry.py).
LAYERS: dict[str, str] = {}
# Layers of MATLAB's list that are left out, and why: with those that are there, all that it has.
_LOSS = "a loss is a function here, which the training loop is given"
_DETECTION = "part of one object detector of MATLAB's, whose other parts are not layers"
_SIGNALS = "a transform of another toolbox (signals, wavelets); fft and the operations on it are there"
LEFT_OUT = {
    "classificationLayer": f"{_LOSS}: crossentropy", "regressionLayer": f"{_LOSS}: mse",
    "pixelClassificationLayer": f"{_LOSS}: crossentropy", "dicePixelClassificationLayer": _LOSS,
    "tverskyPixelClassificationLayer": _LOSS, "focalLossLayer": _LOSS, "rcnnBoxRegressionLayer": _LOSS,
    "sequenceFoldingLayer": "B and T are axes of their own here, and nothing is folded",
    "sequenceUnfoldingLayer": "B and T are axes of their own here, and nothing is folded",
    "pointCloudInputLayer": "Input takes arrays of every kind; point clouds have no type of their own here",
    "roiInputLayer": _DETECTION, "roiMaxPooling2dLayer": _DETECTION, "roiAlignLayer": _DETECTION,
    "rpnSoftmaxLayer": _DETECTION, "rpnClassificationLayer": _DETECTION, "regionProposalLayer": _DETECTION,
    "ssdMergeLayer": _DETECTION, "anchorBoxLayer": _DETECTION, "yolov2TransformLayer": _DETECTION,
    "yolov2OutputLayer": _DETECTION, "yolov2ReorgLayer": "SpaceToDepth does the same",
    "stftLayer": _SIGNALS, "istftLayer": _SIGNALS, "cwtLayer": _SIGNALS, "icwtLayer": _SIGNALS,
    "modwtLayer": _SIGNALS, "dwtLayer": _SIGNALS,
    "quadraticLayer": "of reinforcement learning's critics; a Function of three lines",
    "weightedAdditionLayer": "an example of MATLAB's documentation: a custom layer of five lines",
}


def name_layer(matlab: str, here: str) -> None:
    """Say that MATLAB's layer is there, and how it is written."""
    LAYERS[matlab] = here


def table() -> dict[str, str]:
    """Every name of MATLAB that is spelled differently here, with its spelling."""
    return {**FUNCTIONS, **{name: f"layers.{here}" for name, here in LAYERS.items()}}


def snake_case(name: str) -> str:
    """`splitEachLabel` as `split_each_label`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


# Functions of other toolboxes without a counterpart.
ABSENT = {"dlresize", "ssim", "multissim", "dlstft", "dlistft", "dlcwt", "dlmodwt", "roialign",
          "generalizedDice", "doublelogit"}
