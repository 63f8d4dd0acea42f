"""What a network is made of, as a table: kinds, sizes, parameters, memory and operations, part by part."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from ..core.errors import TypeRefused, line_of, user_site
from ..core.labels import described
from .body import WithBody
from .building import stand_ins
from .layer import written
from .running import LayerGraph
from .summary import aligned_rows, html_table


@dataclass(frozen=True)
class Part:
    """One part of a network: a layer, or a module with parameters of its own.

    `output` is None where no run told the sizes, `operations` (multiplications and additions of matrix products and
    convolutions, for one observation) where they were not counted.
    """

    name: str
    kind: str
    output: str | None
    learnables: int
    state: int
    bytes: int
    operations: int | None


@dataclass(frozen=True)
class Summary:
    """The parts of a network and their totals; it prints as a table, and as HTML in a notebook."""

    heading: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parts: tuple[Part, ...]
    operations: int | None

    @property
    def learnables(self) -> int:
        """How many numbers training changes."""
        return sum(part.learnables for part in self.parts)

    @property
    def state(self) -> int:
        """How many numbers are carried from call to call."""
        return sum(part.state for part in self.parts)

    @property
    def bytes(self) -> int:
        """The memory of learnables and states."""
        return sum(part.bytes for part in self.parts)

    def _cells(self) -> list[tuple[str, ...]]:
        def number(n: int | None) -> str:
            return f"{n:,}" if n else ""

        rows = [(p.name, p.kind, p.output or "", number(p.learnables), number(p.state), number(p.bytes),
                 number(p.operations)) for p in self.parts]
        total = ("total", "", "", number(self.learnables), number(self.state), number(self.bytes),
                 number(self.operations))
        return [("Layer", "Kind", "Output", "Learnables", "State", "Bytes", "Operations"), *rows, total]

    def _ends(self) -> str:
        return f"inputs: {', '.join(self.inputs) or 'none'}; outputs: {', '.join(self.outputs) or 'as it returns'}"

    def __repr__(self) -> str:
        return f"{self.heading}\n{self._ends()}\n{aligned_rows(self._cells())}"

    def _repr_html_(self) -> str:
        return f"<p>{self.heading}<br>{self._ends()}</p>{html_table(self._cells())}"


def summary(network: Any, /, *examples: Any) -> Summary:
    """What a network is made of: for each layer its kind, the size of its output, how many learnables and states it
    has, their bytes, and the operations of one observation.

    Operations are the multiplications and additions of matrix products, convolutions and attention, counted in a run on
    zeros with a batch of 1; elementwise work is not counted. `examples` (arrays or layouts) describe the inputs where
    no input layer does, or another size of them. A torch module lists its modules with parameters of their own; with
    example arrays it has sizes and operations too, of a run on these.

    Raises TypeRefused for what is no network.

    >>> import gradloom as gl
    >>> gl.summary(gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2), gl.layers.ReLU()]))
    dlnetwork of 3 layers, 8 learnables float32
    inputs: input; outputs: relu
    Layer  Kind               Output       Learnables  State  Bytes  Operations
    input  FeatureInput(3)    3(C) x 1(B)
    fc     FullyConnected(2)  2(C) x 1(B)  8                  32     12
    relu   ReLU()             2(C) x 1(B)
    total                                  8                  32     12

    Source: MATLAB analyzeNetwork, summary.
    """
    if not isinstance(network, WithBody):
        raise TypeRefused(f"summary takes a dlnetwork, not {type(network).__name__}, at {line_of(user_site())}; a "
                          "torch module becomes one with from_torch(module)")
    body, values = network._body, network._values
    count = len(body.learnable_keys)
    numbers: dict[str, list[int]] = {}
    for k, ((layer, _), x) in enumerate(zip((*body.learnable_keys, *body.state_keys), values, strict=True)):
        its = numbers.setdefault(layer.partition("/")[0] if isinstance(body, LayerGraph) else layer, [0, 0, 0])
        its[k >= count] += x.size
        its[2] += x.size * x.itemsize
    kinds = ({stage.name: written(stage.layer, named=False) for stage in body.stages} if isinstance(body, LayerGraph)
             else {layer: getattr(body, "kind_of", lambda layer: "")(layer) for layer in numbers})
    ran = _tried(network, examples)
    untold: tuple[str | None, int | None] = (None, None)
    parts = []
    for name, kind in kinds.items():
        output, operations = ran.get(name, untold)
        learnables, state, memory = numbers.get(name, [0, 0, 0])
        parts.append(Part(name, kind, output, learnables, state, memory, operations))
    return Summary(body.heading(values), tuple(body.input_names), tuple(body.output_names), tuple(parts),
                   ran.get("", untold)[1])


def _tried(network: Any, examples: Sequence[Any]) -> dict[str, tuple[str | None, int | None]]:
    """Sizes and operations of each part, and of all ("") in a run on zeros; nothing where nobody says what enters."""
    body = network._body
    if not network.initialized:
        return {}
    if not isinstance(body, LayerGraph):
        if not examples or not hasattr(body, "sizes"):
            return {}
        sizes, total = _counted(lambda: body.sizes(examples))  # type: ignore[attr-defined]
        return {**{name: (size, None) for name, size in sizes.items()}, "": (sizes.get(""), total)}
    given = examples or body.input_layouts
    if given is None:
        return {}
    xs = stand_ins(given, network._values)
    found: dict[str, tuple[str | None, int | None]] = {}
    total = 0
    for stage, y, operations in body.tried(network._values, xs, _counted):
        ys = y if type(y) is tuple else (y,)
        found[stage.name] = (", ".join(described(x.shape, x._labels) for x in ys), operations)
        total += operations
    return {**found, "": (None, total)}


def _counted(run: Any) -> tuple[Any, int]:
    """What a run returns, and the operations of the kernels in it that torch has a formula for."""
    from torch.utils.flop_counter import flop_registry  # brings in what importing gradloom does without

    class Counting(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            y = function(*args, **(kwargs or {}))
            formula = flop_registry.get(function._overloadpacket)
            if formula is not None:
                self.total += formula(*args, **(kwargs or {}), out_val=y)
            return y

    with Counting() as counter:
        y = run()
    return y, counter.total


__all__ = ["Part", "Summary", "summary"]
