"""DifferentiableFunction: a user's own code with its own derivative."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ...core.array import dlarray, operand
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.operation import Operation
from ...core.trace import Node, live
from ...machine.dtypes import NUMBER_TYPES, Tensor
from .backward import OwnBackward, OwnBackwardOperation

OWN_WORDS = ("wanted", "inputs", "outputs", "memory")
MEMORY = Operation("memory", lambda x: x, ("x",))
MEMORY.barrier = "a value that forward kept for backward"
MEMORY.recomputable = False


class DifferentiableFunction:
    """A function with its own derivative: the base of a class that states both.

    `forward(self, *inputs)` receives arrays that are not traced, so that it may be written in anything (NumPy, a
    compiled library). It returns its output, or a tuple of `num_outputs` outputs; what it returns beyond those is the
    memory, kept for backward.

    `backward(self, *y_bars)` receives the cotangent (the gradient of the result) of each output and returns that of
    each input, in its shape, None where it is zero. It also receives, by name, what its signature asks for, and only
    that is kept: `inputs`, `outputs`, `memory` (tuples), and `wanted` (for each input, whether its cotangent is
    needed).

    An object of the class is called like a function. Written in operations of gradloom, backward is differentiated to
    any order, and forwards; `inputs` and `outputs` are then traced, while memory counts as a number: to differentiate
    through it, or through a backward that is written in NumPy, is an error.

    Raises ShapeError where the cotangents do not fit the inputs.

    >>> import gradloom as gl, numpy as np
    >>> class Cube(gl.DifferentiableFunction):
    ...     def forward(self, x):
    ...         return np.asarray(x) ** 3
    ...     def backward(self, y_bar, inputs):
    ...         x, = inputs
    ...         return 3 * x ** 2 * y_bar
    >>> cube = Cube()
    >>> gl.dlfeval(lambda x: gl.dlgradient(gl.sum(cube(x)), x), gl.dlarray([1.0, 2.0]))
    2 dlarray float64
    [ 3. 12.]

    Source: MATLAB deep.DifferentiableFunction, PyTorch autograd.Function.
    """

    num_outputs: ClassVar[int] = 1
    _asked: ClassVar[tuple[str, ...]] = ()
    _operation: ClassVar[Any] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "backward" not in vars(cls) and cls._operation is not None and "num_outputs" not in vars(cls):
            return
        if type(cls.num_outputs) is not int or cls.num_outputs < 1:
            raise TypeRefused(
                f"{cls.__name__}.num_outputs is {cls.num_outputs!r}; it is how many outputs forward has, at least 1")
        parameters = inspect.signature(cls.backward).parameters.values()
        cls._asked = tuple(p.name for p in parameters if p.name in OWN_WORDS)
        cls._operation = OwnBackwardOperation(cls.__name__, outputs=cls.num_outputs, own=True)
        cls._operation.keeps = ("inputs" in cls._asked, "outputs" in cls._asked)

    def forward(self, *inputs: Any) -> Any:
        """The outputs, and then what is kept for backward."""
        raise NotImplementedError(f"{type(self).__name__} has no forward; write def forward(self, x) in it")

    def backward(self, *y_bars: Any, **asked: Any) -> Any:
        """The cotangents of the inputs from those of the outputs."""
        raise NotImplementedError(
            f"{type(self).__name__} has no backward; write def backward(self, y_bar, inputs) in it")

    def __call__(self, *inputs: Any) -> Any:
        """The outputs, recorded where an input is traced."""
        if not inputs:
            raise TypeRefused(
                f"{type(self).__name__} was called without arrays, at {line_of(user_site())}; options belong in its "
                "__init__")
        operands = [operand(x) for x in inputs]
        arrays = [x if type(x) is dlarray else dlarray(x) for x in operands]
        call = _Call(self, arrays)
        only_tensors = (any(isinstance(x, Tensor) for x in operands)
                        and all(isinstance(x, Tensor) or type(x) in NUMBER_TYPES for x in operands))
        if only_tensors:
            return call.run([x._value for x in arrays])
        return self._operation.apply(arrays, {"call": call})


class _Call(OwnBackward):
    """One call of a DifferentiableFunction."""

    def __init__(self, function: DifferentiableFunction, xs: Sequence[dlarray]):
        self.function = function
        self.word = f"{type(function).__name__}.backward"
        self.names = [f"input {k}" for k in range(len(xs))]
        self.labels = [x._labels for x in xs]
        self.shapes = [x.shape for x in xs]
        self.nodes: tuple[Node, ...] = tuple(x._node for x in xs if live(x._node) is not None)  # type: ignore[misc]
        self.memory: tuple[Any, ...] = ()

    def identified_by(self) -> Sequence[Any]:
        return [*self._told(), self.function, self.memory]

    def run(self, values: Sequence[Tensor]) -> Any:
        name, count = type(self.function).__name__, self.function.num_outputs
        result = self.function.forward(*[dlarray._made(v, None, its)
                                         for v, its in zip(values, self.labels, strict=True)])
        results = result if type(result) is tuple else (result,)
        if len(results) < count or any(y is None for y in results[:count]):
            raise ShapeError(
                f"{name}.forward returned {len(results)} results and num_outputs is {count}, at "
                f"{line_of(user_site())}; return a tuple with an array for each output, then what is kept for backward")
        ys = [y if isinstance(y, dlarray) else dlarray(y) for y in results[:count]]
        self.memory = results[count:]
        self.y_labels, self.y_likes = [y._labels for y in ys], [y._value.to("meta") for y in ys]
        return tuple(y._value for y in ys) if count > 1 else ys[0]._value

    def backward(self, xs: Sequence[Any], ys: Sequence[Any], y_bars: Sequence[dlarray], wanted: Sequence[bool],
                 recorded: bool) -> Any:
        memory = tuple(remembered_array(m, self.nodes) for m in self.memory) if recorded else self.memory
        known = {"wanted": tuple(wanted), "inputs": tuple(xs), "outputs": tuple(ys), "memory": memory}
        backward: Callable[..., Any] = self.function.backward
        return backward(*y_bars, **{name: known[name] for name in type(self.function)._asked})


def remembered_array(value: Any, nodes: tuple[Node, ...]) -> Any:
    """Memory in a walk that is differentiated again: it depends on the inputs, but how is not known."""
    if not isinstance(value, (dlarray, Tensor, np.ndarray, np.generic, float, complex)):
        return value
    x = value if isinstance(value, dlarray) else dlarray(value)
    if not nodes or not (x.dtype.is_floating_point or x.dtype.is_complex):
        return value
    made = Node(MEMORY, nodes[0].trace, nodes, [*[None] * len(nodes), x._value],
                {"option": "it again in backward, from the inputs,"}, x._value, user_site())
    return dlarray._made(x._value, made, x._labels)


__all__ = ["DifferentiableFunction"]
