"""Operations in words that torch's compiler takes, and takes rightly."""
from __future__ import annotations

from collections.abc import Callable

from .nodes import Node, Number

New = Callable[[], int]


def rewritten(node: Node, new: New) -> list[Node]:
    """An operation as those that say the same."""
    packet, _, overload = node.name.removeprefix("aten.").partition(".")
    if packet.startswith("_foreach_"):
        return [part for one in _lists(node, packet, overload) for part in rewritten(one, new)]
    if packet.rstrip("_") in ("add", "sub") and node.kwargs.get("alpha", 1) != 1:
        return _scaled(node, new)
    if packet.rstrip("_") == "addcdiv":
        return _quotient_added(node, packet, new)
    if node.name == "aten.pow.Tensor_Scalar" and node.args[1] == -0.5:
        # what torch computes, which of -0 and of -infinity is something else than what its compiler writes
        return [Node("aten.rsqrt.default", node.args[:1], {}, node.outputs)]
    return [node]


def _scaled(node: Node, new: New) -> list[Node]:
    """a + alpha b as two operations: where b is a product of matrices torch's compiler forgets alpha (2.13)."""
    a, b = node.args
    alpha = node.kwargs["alpha"]
    if not isinstance(b, Number):
        return [Node(node.name, [a, b * alpha], {}, node.outputs)]
    scaled = new()
    return [Node("aten.mul.Tensor", [b, alpha], {}, scaled), Node(node.name, [a, Number(scaled)], {}, node.outputs)]


def _quotient_added(node: Node, packet: str, new: New) -> list[Node]:
    """a + (value b) / c in torch's order: in another one what is large overflows elsewhere."""
    a, b, c = node.args
    scaled, quotient = new(), new()
    return [Node("aten.mul.Tensor", [b, node.kwargs.get("value", 1)], {}, scaled),
            Node("aten.div.Tensor", [Number(scaled), c], {}, quotient),
            Node(f"aten.add{'_' * packet.endswith('_')}.Tensor", [a, Number(quotient)], {}, node.outputs)]


def _lists(node: Node, packet: str, overload: str) -> list[Node]:
    """An operation on lists, one by one."""
    word = packet.removeprefix("_foreach_")
    count = len(node.args[0])
    outputs = node.outputs if node.outputs is not None else [None] * count
    name = _ONE.get(word.rstrip("_"), "default")
    if word.rstrip("_") in ("addcmul", "addcdiv"):
        *arrays, value = node.args if len(node.args) > 3 else (*node.args, node.kwargs.get("value", 1))
        values = value if isinstance(value, list) else [value] * count
        return [Node(f"aten.{word}.default", [x[k] for x in arrays], {"value": values[k]}, outputs[k])
                for k in range(count)]
    return [Node(f"aten.{word}.{name}", [x[k] if isinstance(x, list) else x for x in node.args], node.kwargs,
                 outputs[k]) for k in range(count)]


# the overload that takes an array or a number, of operations that take two
_ONE = {**dict.fromkeys(("add", "sub", "mul", "div"), "Tensor")}

__all__ = ["rewritten"]
