"""What stands at the ends of a trace: variables, and results of walks, recorded or marked."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.array import dlarray
from ...core.errors import Site, user_site
from ...core.operation import NO_PARAMS, Operation
from ...core.trace import Node, live
from ...machine.dtypes import Tensor

VARIABLE = Operation("variable", lambda: None, ())
VARIABLE.recomputable = False
IDENTITY = Operation("identity", lambda x: x, ("x",))
IDENTITY.pull = lambda v, params, node, y_bar, lead, wanted: [y_bar]  # type: ignore[method-assign]
IDENTITY.push = lambda v, params, node, dots, lead: dots[0]  # type: ignore[method-assign]
UNRECORDED = Operation("unrecorded derivative", lambda x: x, ("x",))
UNRECORDED.barrier = "the derivative taken"
UNRECORDED.recomputable = False


class _Descends(Operation):
    """A recorded derivative: its value, descending from its targets even where it is constant."""

    def kept(self, nodes: Sequence[Node | None], values: list[Any], output: Any,
             hidden: Sequence[Any] = ()) -> list[Any]:
        return [v if n is None else None for v, n in zip(values, nodes, strict=True)] + [None]

    def pull(self, v: Any, params: Any, node: Node, y_bar: Any, lead: Any, wanted: Sequence[bool]) -> Sequence[Any]:
        return [y_bar if wanted[0] else None, *[None] * (len(wanted) - 1)]

    def push(self, v: Any, params: Any, node: Node, dots: Any, lead: Any) -> Any:
        return dots[0]


DESCENDS = _Descends("recorded derivative", lambda x, *targets: x, ("x",))


def recorded_result(bar: Any, labels: str | None, nodes: Sequence[Node]) -> dlarray:
    """A recorded derivative: a node that descends from its targets."""
    raw, parent = (bar._value, live(bar._node)) if type(bar) is dlarray else (bar, None)
    values = [None if parent is not None else raw, *[None] * len(nodes), None]
    made = Node(DESCENDS, nodes[0].trace, (parent, *nodes), values, NO_PARAMS, raw, user_site())
    return dlarray._made(raw, made, labels)


ENABLE = "enable_higher_derivatives=True"
_WITH_ENABLE = {"option": ENABLE}


def marked(value: Tensor, labels: str | None, source: Node | Sequence[Node], option: str = ENABLE,
           directions: Sequence[dlarray] = (), site: Site | None = None) -> dlarray:
    """A derivative that was not recorded, of `source` and in `directions`: to differentiate through it is an error."""
    parents: tuple[Node, ...] = (source,) if type(source) is Node else tuple(source)  # type: ignore[arg-type]
    if directions:
        parents = (*parents, *[d._node for d in directions if live(d._node) is not None])  # type: ignore[arg-type]
    values = [*[None] * len(parents), value]  # kept: it cannot be computed again
    params = _WITH_ENABLE if option is ENABLE else {"option": option}
    return dlarray._made(value, Node(UNRECORDED, parents[0].trace, parents, values, params,
                                     value, site or user_site(2)), labels)
