"""Options of calls: what other libraries call them, and what is said of a call that a function does not take."""
from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from .matlab import snake_case
from .misspelled import nearest

# Whose word for an option: {word: the word here, the first that the function has}.
SPELLED: dict[str, dict[str, tuple[str, ...]]] = {
    "PyTorch": {
        "dim": ("axis",), "dims": ("axis",), "keepdim": ("keepdims",),
        "create_graph": ("enable_higher_derivatives",), "retain_graph": ("retain_data",),
        "kernel_size": ("filter_size", "pool_size"), "out_channels": ("num_filters",), "out_features": ("output_size",),
        "dilation": ("dilation_factor",), "negative_slope": ("scale",), "p": ("probability",), "eps": ("epsilon",),
        "batch_size": ("mini_batch_size",), "num_workers": ("workers",), "collate_fn": ("function",),
        "lr": ("learn_rate",), "approximate": ("approximation",), "weight": ("weights",),
    },
    "Keras": {
        "filters": ("num_filters",), "strides": ("stride",), "units": ("output_size",), "rate": ("probability",),
        "dilation_rate": ("dilation_factor",), "kernel_initializer": ("weights_initializer",), "alpha": ("scale",),
        "negative_slope": ("scale",), "learning_rate": ("learn_rate",), "input_shape": ("size",),
    },
    "MATLAB": {"MiniBatchFcn": ("function",), "OutputCast": ("cast",), "MiniBatchFormat": ("formats",),
               "OutputEnvironment": ("device",),
               "ReadFcn": ("read_function",), "IterationDimension": ("axis",), "FileExtensions": ("extensions",),
               "RandXReflection": ("rand_x_reflection",), "DispatchInBackground": ("workers",)},
    "JAX": {"argnums": ("argument",)},
    "NumPy": {"axes": ("axis",)},
}
_IN_SNAKE_CASE = {snake_case(word): here for word, here in SPELLED["MATLAB"].items()}  # as people guess them
# Options that others have and nobody needs here: {word: why, and what to write}.
NOT_NEEDED = {
    "in_channels": "leave it out: a layer finds out the size of its input when the network is made",
    "in_features": "leave it out: a layer finds out the size of its input when the network is made",
    "num_features": "leave it out: a layer finds out the size of its input when the network is made",
    "NumChannels": "leave it out: a layer finds out the size of its input when the network is made",
    "inplace": "leave it out: a value never changes", "activation": "write the activation as the next layer, "
    "gl.layers.ReLU()", "requires_grad": "leave it out: what is passed to dlfeval is recorded",
    "Normalization": "leave it out: inputs pass as they are; normalize the data itself, (x - mean) / std",
    "drop_last": 'write partial_mini_batch="discard"', "shuffle": "write queue.shuffle() before each pass",
    "OutputAsDlarray": "leave it out: outputs are dlarrays, with the labels that formats= gives",
    "TargetCategories": 'write classification_mode="single-label" for "exclusive", "multilabel" for "independent"',
    **{f"{option}{factor}Factor": f'write net = net.set_{snake_case(factor)}_factor("fc", "{parameter}", 2)'
       for option, parameter in {"Weight": "weights", "Bias": "bias"}.items() for factor in ("LearnRate", "L2")},
    "training": "write net.forward(x) for training and net.predict(x) for use",
    "use_bias": "leave it out: a bias starts at zero, and stays there where an update leaves its key out",
    "groups": "layers.Function(lambda x: gl.dlconv(x, weights, bias)) takes grouped weights (groups, filters, ...)",
}
# What PyTorch's order of sizes means: {layer: the line here}.
SIZES = {"Convolution2d": "Convolution2d(filter_size, num_filters), PyTorch's Conv2d(in_channels, out_channels, "
                          "kernel_size)",
         "FullyConnected": "FullyConnected(output_size), PyTorch's Linear(in_features, out_features)",
         "ImageInput": "ImageInput((height, width, channels)), one tuple",
         "BatchNormalization": "BatchNormalization(), PyTorch's BatchNorm2d(num_features)"}


def spelled(word: str, options: Sequence[str]) -> tuple[str, str] | None:
    """(whose word it is, what it is called here) of an option by another name; None for one that nobody has."""
    if (here := snake_case(word)) != word and here in options:
        return "MATLAB", here
    for source, words in SPELLED.items():
        for here in (*words.get(word, ()), *(_IN_SNAKE_CASE.get(word, ()) if source == "MATLAB" else ())):
            if here in options:
                return source, here
    return None


def shown(value: Any) -> str:
    """An option's value as it is written, where that is short."""
    text = repr(value) if isinstance(value, (bool, int, float, str, tuple, list, type(None))) else "..."
    return text if len(text) <= 40 else "..."


def unknown_option(called: str, word: str, value: Any, options: Sequence[str]) -> str:
    """What is said of an option that a call has not, after `called has no word=, at line`."""
    found = spelled(word, options)
    if found is not None:
        source, here = found
        return f"; {source}'s {word}= is {here}= here: write {called}(..., {here}={shown(value)})"
    if word in NOT_NEEDED:
        return f"; {NOT_NEEDED[word]}"
    return nearest(word, options, 1)


def by_name_and_value(called: str, args: Sequence[Any], options: Sequence[str]) -> str | None:
    """MATLAB's ..., "RetainData", true among arguments by position, as it is written here; None where there is none."""
    found = {}
    for name, value in pairwise(args):
        if isinstance(name, str) and name in options:
            found[name] = shown(value)
        elif isinstance(name, str) and (known := spelled(name, options)) is not None:
            found[known[1]] = shown(value)
    if not found:
        return None
    return f"options are given by keyword: write {called}(..., {', '.join(f'{k}={v}' for k, v in found.items())})"


def too_many(called: str, args: Sequence[Any], parameters: Mapping[str, inspect.Parameter]) -> str | None:
    """Arguments by position beyond those that a call takes so, as they are written here; None where it takes as
    many."""
    by_position = [p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_keyword = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "name"]
    rest = args[len(by_position):]
    if not rest:
        return None
    if called in SIZES:
        return f"write {SIZES[called]}"
    if len(rest) > len(by_keyword):
        return None
    given = [shown(a) for a in args[:len(by_position)]]
    named = [f"{name}={shown(value)}" for name, value in zip(by_keyword, rest, strict=False)]
    return f"{' and '.join(by_keyword[:len(rest)])} is given by keyword: write {called}({', '.join(given + named)})"


__all__ = ["by_name_and_value", "shown", "spelled", "too_many", "unknown_option"]
