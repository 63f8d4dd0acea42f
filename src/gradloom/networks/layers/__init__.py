"""The catalogue of layers, public as `gradloom.layers`. Sizes are positional, everything else is given by keyword."""
from __future__ import annotations

from typing import Any

from ...vocabulary.matlab import layer_message
from .activation import GELU, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from .convolution import Convolution2d
from .dropout import Dropout
from .flatten import Flatten
from .fullyconnected import FullyConnected
from .function import Function
from .input import FeatureInput, ImageInput
from .normalization import BatchNormalization
from .pooling import AveragePooling2d, GlobalAveragePooling2d, MaxPooling2d

__all__ = ["AveragePooling2d", "BatchNormalization", "Convolution2d", "Dropout", "FeatureInput",
           "Flatten", "FullyConnected", "Function",
           "GELU", "GlobalAveragePooling2d", "ImageInput", "LeakyReLU", "MaxPooling2d", "ReLU",
           "Sigmoid", "Softmax", "Tanh"]


def __getattr__(name: str) -> Any:
    raise AttributeError(layer_message(name, __all__))
