"""The cases that an operation is checked on, drawn from its declaration: shapes, parameters and domain."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from helpers import seeded, uniform

from gradloom import dlarray
from gradloom.core.kinds.elementwise import Elementwise

REAL, COMPLEX = torch.float64, torch.complex128

# Shapes of elementwise operations, by the number of operands; a number stands for itself.
SHAPES = {
    1: [(), (3,), (2, 3), (1,), (0,), (2, 1)],
    2: [
        ((3,), (3,)),
        ((3,), (2, 3)),
        ((3, 3), (3,)),
        ((), (2, 3)),
        ((2, 1), (1, 3)),
        ((1,), (0, 1)),
        ((2, 3), 0.7),
        (0.7, (2, 3)),
        ((1, 3), (2, 3, 3)),
    ],
    3: [((3,), (2, 3), (2, 1)), ((2, 3), (), (3,)), ((2, 3), (2, 3), (2, 3)), ((0, 1), (1,), (0, 3))],
}


@dataclass(frozen=True)
class Case:
    """One way to run an operation."""

    operation: Any
    inputs: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    constants: tuple[int, ...] = ()  # arrays of a floating type that are not traced

    def __str__(self) -> str:
        shown = [
            f"{'' if k in self.variables else 'constant '}{tuple(x.shape)} {str(x.dtype)[6:]}" if isinstance(x, torch.Tensor) else repr(x)
            for k, x in enumerate(self.inputs)
        ]
        options = ", ".join(f"{k}={v!r:.40}" for k, v in self.params.items())
        return f"{self.operation.name}({', '.join(shown)}; {options})"

    @cached_property
    def variables(self) -> list[int]:
        """Which inputs carry a derivative."""
        return [k for k, x in enumerate(self.inputs) if is_variable(x) and k not in self.constants]

    def at(self, values: list[Any]) -> Case:
        """The same with other values of the variables."""
        inputs = list(self.inputs)
        for k, value in zip(self.variables, values, strict=True):
            inputs[k] = value
        return replace(self, inputs=tuple(inputs))

    def alone(self) -> list[Case]:
        """The cases with one variable, the others constant, where there are several."""
        own = self.variables
        return [replace(self, constants=tuple(j for j in own if j != k)) for k in own] if len(own) > 1 else []

    def values(self) -> list[Any]:
        return [self.inputs[k] for k in self.variables]

    def run(self) -> list[Any]:
        """The outputs that carry a derivative, by the kernel alone."""
        return outputs_of(self, self.operation.run(self.inputs, self.params)[0])


def is_variable(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and (x.is_floating_point() or x.is_complex())


def carrying(operation: Any) -> tuple[int, ...]:
    """The outputs that carry a derivative, as the declaration says."""
    return tuple(operation.carrying or range(operation.outputs))


def outputs_of(case: Case, result: Any) -> list[Any]:
    """The outputs that carry a derivative."""
    found = result if isinstance(result, tuple) else (result,)
    found = [found[k] for k in carrying(case.operation)]
    return [y for y in found if is_variable(y._value if type(y) is dlarray else y)]


def cases(operation: Any, dtype: Any = REAL, specs: Any = None) -> list[Case]:
    """The cases of an operation: its declared samples and, where it is elementwise, every way to broadcast."""
    stream = seeded(operation.name, str(dtype))

    def drawn(spec: Any) -> Any:
        is_shape = isinstance(spec, tuple) and all(type(n) is int for n in spec)
        return uniform(spec, dtype, stream, *operation.domain) if is_shape else spec

    if specs is None:
        specs = operation.samples() if callable(operation.samples) else operation.samples
    if isinstance(operation, Elementwise) and (specs is None or isinstance(specs[0], dict)):
        n = len(operation.inputs)
        return [
            Case(operation, tuple(drawn(s) for s in (shapes if n > 1 else (shapes,))), params)
            for params in specs or [{}]
            for shapes in SHAPES[n]
        ]
    assert specs, f"{operation.name} declares no samples"
    return [Case(operation, tuple(drawn(s) for s in spec[:-1]), spec[-1]) for spec in specs]


def complex_cases(operation: Any, specs: Any = None) -> list[Case]:
    """The cases with complex inputs, and with one real among them, that the kernel takes.

    Not those that stay real, since a sample gives their numbers: they are among the real cases.
    """
    found = []
    for case in cases(operation, COMPLEX, specs):
        mixed = (
            []
            if operation.keeps_type or len(case.variables) < 2  # complex values for a real array are refused before
            else [
                case.at([x.real.clone() if j == k else x for j, x in enumerate(case.values())])
                for k, y in enumerate(case.values())
                if y.is_complex()
            ]
        )
        for c in [case, *mixed]:
            try:
                if any(x.is_complex() for x in c.values()) and c.run():
                    found.append(c)
            except (RuntimeError, TypeError, NotImplementedError):
                continue
    return found
