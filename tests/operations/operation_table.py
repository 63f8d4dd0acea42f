"""The table of operations as tests see it: which are checked, and on which cases."""

from __future__ import annotations

import functools

import pytest
import torch
from operation_cases import cases, complex_cases
from operation_samples import EDGES

import gradloom.interop.torch.modules  # noqa: F401  (its operations are in the table, too)
from gradloom.core.tables import OPERATIONS

TABLE = dict(OPERATIONS)

# Why an operation is not checked here. One of kind "discrete" without walks of its own carries no derivative and needs no reason.
EXEMPT = {
    "item": "one output of several: checked with the operations that have several",
    "variable": "a place that dlfeval makes, not computed",
    "identity": "a variable of a nested dlfeval: tested with dlfeval",
    "unrecorded derivative": "refuses to be walked: tested with dlgradient",
    "recorded derivative": "what dlgradient returns: checked wherever a derivative is taken again",
    "limit at equal values": "what the walks put in where eigenvalues meet: tested with those, in test_equal_values",
    "overwritten": "an array that torch code has written into: tested with from_torch",
    "ode": "as exact as its solver's tolerance: tested with dlode45",
}
CHECKED = {name: o for name, o in TABLE.items() if o.kind in ("elementwise", "multilinear", "general") and name not in EXEMPT}


def each(names):
    return pytest.mark.parametrize("operation", [TABLE[n] for n in names], ids=list(names))


def content(thing):
    """What tells two cases apart: every number of theirs, in which type and how it lies in memory."""
    if isinstance(thing, torch.Tensor):
        return (str(thing.dtype), tuple(thing.shape), thing.stride(), repr(thing.tolist())) if thing.layout is torch.strided else id(thing)
    if isinstance(thing, (tuple, list)):
        return tuple(map(content, thing))
    return repr(thing)


@functools.cache
def all_cases(operation):
    """Its samples and edges, of real numbers and, where there are, of complex ones: each once, made once, since no check writes to them."""
    specs = [None, *([EDGES[operation.name]] if operation.name in EDGES else [])]
    real = [case for s in specs for case in cases(operation, specs=s)]
    others = [] if operation.real_only else [case for s in specs for case in complex_cases(operation, s)]
    # samples that are given as complex numbers come twice
    return tuple({content((case.inputs, list(case.params.items()), case.constants)): case for case in (*real, *others)}.values())
