"""General operations: push and pull stated by hand."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...machine.dtypes import Tensor
from ..operation import Operation
from ..rules import BoundRule, Rule
from ..trace import Node
from ..values import Value, Values


class General(Operation):
    """Push and pull stated by hand, in library operations."""

    kind = "general"

    def __init__(self, name: str, kernel: Callable[..., Any], inputs: Sequence[str], push: Rule,
                 pull: Rule, *, fused_pull: Rule | None = None,
                 **rest: Any):
        super().__init__(name, kernel, inputs, **rest)
        self.push_rule = BoundRule(push, self, "push")
        self.pull_rule = BoundRule(pull, self, "pull")
        self.fused_pull = None if fused_pull is None else BoundRule(fused_pull, self, "fused_pull")

    def reads(self, name: str) -> set[str]:
        return self.push_rule.reads | self.pull_rule.reads | (self.fused_pull.reads if self.fused_pull else set())

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Value, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Values:
        if self.fused_pull is not None and type(y_bar) is Tensor and not lead:
            bars = self.fused_pull.call(v, params, node, y_bar, lead, wanted)
        else:
            bars = self.pull_rule.call(v, params, node, y_bar, lead, wanted)
        return bars if type(bars) in (tuple, list) else (bars,)

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Values,
             lead: tuple[int, ...]) -> Any:
        return self.push_rule.call(v, params, node, dots, lead, None)
