"""Multilinear operations: monomials, and a transpose for each input."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...machine.dtypes import Tensor
from ..operation import Operation, padded
from ..rules import BoundRule, Rule
from ..trace import Node


class Multilinear(Operation):
    """A sum of monomials, each linear in every input that it names; a transpose for each input.

    `fused_pull` is one rule that gives all cotangents of a raw walk, or a rule for each input, so that a node keeps
    only what the traced ones need. One that reads `lead` serves cotangents with leading axes too.
    """

    kind = "multilinear"

    def __init__(self, name: str, kernel: Callable[..., Any], inputs: Sequence[str], terms: Sequence[Sequence[str]],
                 transposes: dict[str, Rule], *,
                 monomials: dict[tuple[str, ...], Rule] | None = None, reads_at: Any = None, lead_params: Any = None,
                 fused_pull: Rule | dict[str, Rule] | None = None, broadcast: bool = False,
                 row_product: bool = False, sparse_matrix: str | None = None, **rest: Any):
        super().__init__(name, kernel, inputs, **rest)
        self.terms = [tuple(t) for t in terms]
        self.transposes = {k: BoundRule(rule, self, f"transpose_{k}") for k, rule in transposes.items()}
        self.reads_at = reads_at
        self.monomials = {tuple(k): rule for k, rule in (monomials or {}).items()}
        self.fused_pull: Any = fused_pull and (
            BoundRule(fused_pull, self, "fused_pull") if callable(fused_pull) else
            self.transposes | {k: BoundRule(rule, self, f"fused_pull_{k}") for k, rule in fused_pull.items()})
        # of cotangents with leading axes
        self.pulls_of_leads: Any = (
            {k: rule if rule.leads else self.transposes[k] for k, rule in self.fused_pull.items()}
            if type(self.fused_pull) is dict else
            self.fused_pull if type(self.fused_pull) is BoundRule and self.fused_pull.leads else self.transposes)
        self.lead_params = lead_params
        self.broadcast = broadcast
        self.row_product = row_product
        self.sparse_matrix = sparse_matrix

    def reads(self, name: str) -> set[str]:
        read = set(self.transposes[name].reads) if name in self.transposes else set()
        for term in self.terms:
            if name in term:
                read |= set(term) - {name}
        fused = self.fused_pull[name] if type(self.fused_pull) is dict else self.fused_pull
        return read | (fused.reads if fused else set())

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Sequence[Any]:
        rules: Any = (self.transposes if self.fused_pull is None or type(y_bar) is not Tensor else
                      self.pulls_of_leads if lead else self.fused_pull)
        if type(rules) is BoundRule:
            return rules.call(v, params, node, y_bar, lead, wanted)  # type: ignore[no-any-return]
        bars: list[Any] = []
        for name, want in zip(self.inputs, wanted, strict=True):
            bars.append(rules[name].call(v, params, node, y_bar, lead, wanted) if want else None)
        return bars

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        if lead and self.lead_params is not None:
            params = {**params, **self.lead_params(params, lead)}
        y_dot = None
        for term in self.terms:
            for k, name in enumerate(self.inputs):
                if name not in term or dots[k] is None:
                    continue
                monomial = self.monomials.get(term)
                dot = padded(dots[k], lead, node.ndim) if self.broadcast and monomial is None else dots[k]
                inputs = [dot if n == name else v[i] if n in term else None for i, n in enumerate(self.inputs)]
                if monomial is None:
                    part = self.apply(inputs, params)
                else:
                    part = monomial(*[x for x in inputs if x is not None], node=node, lead=lead, **params)
                y_dot = part if y_dot is None else y_dot + part
        return y_dot
