"""Elementwise operations: partial derivatives stated once."""
from __future__ import annotations

import cmath
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...machine.dtypes import NUMBER_TYPES, Tensor
from ..array import dlarray
from ..operation import Operation, padded
from ..rules import BoundRule, Rule, written
from ..tables import words
from ..trace import Node
from ..values import Factor, Value, Values

Stated = Rule | str | complex  # a partial as it is declared: a rule, the name of an input, or a number
Bound = BoundRule | complex | None


class Elementwise(Operation):
    """y[i] = f(a[i], b[i], ...), broadcasting; partials from (y, *inputs), p and q where f is not holomorphic."""

    kind = "elementwise"

    def __init__(self, name: str, kernel: Callable[..., Any], partials: Sequence[Stated], inputs: Sequence[str],
                 *, complex_partials: Sequence[tuple[Stated | None, Stated | None]] | None = None,
                 fused_pull: Rule | Sequence[Rule | None] | None = None, singular: bool = False,
                 complex_fused: bool = False,
                 own: bool = False, finds_output: bool = False, promotes: bool = True, takes_numbers: bool = False,
                 leaves: str = "", **rest: Any):
        self.leaves = leaves
        super().__init__(name, kernel, inputs, own=own, **rest)
        # its partial is a function of the input, and reads y to find it again further on
        self.finds_output = finds_output
        self.complex_fused = complex_fused  # whether the fused pulls are right for complex numbers too
        self.singular = singular
        self.stated = tuple(partials)
        self.partials = [self._bound(p, f"partial_{x}") for p, x in zip(partials, self.inputs, strict=True)]
        # no derivative at all; a factor that happens to be 0 is one
        self.absent = [type(p) in NUMBER_TYPES and p == 0 for p in partials]
        self.complex_partials = (None if complex_partials is None else
                                 [(self._bound(p, f"partial_{x}"), self._bound(q, f"conjugate_partial_{x}"))
                                  for (p, q), x in zip(complex_partials, self.inputs, strict=True)])
        self.fused_pull: BoundRule | list[BoundRule | None] | None = (
            BoundRule(fused_pull, self, "fused_pull") if callable(fused_pull) else
            [f and BoundRule(f, self, f"fused_pull_{x}") for f, x in zip(fused_pull, self.inputs, strict=True)]
            if fused_pull else None)
        self.raw_pulls = (None if complex_partials is not None else
                          [self._raw_pull(p, k) for k, p in enumerate(partials)])
        self.factors = [self.inputs.index(p) if isinstance(p, str) and self.fused(k) is None
                        else None for k, p in enumerate(partials)]
        self.makes = [self.fused(k) is None or not own for k in range(len(partials))]
        self.linear = all(type(p) in NUMBER_TYPES for p in partials) and complex_partials is None
        self.promotes = promotes  # whether integers are computed with as float64; else they stay integers
        # whether its kernel gives the same for a real number and for that number as a scalar tensor of the array's
        # type: such a tensor is made once, and torch takes it faster
        self.takes_numbers = takes_numbers

    def _bound(self, partial: Stated | None, what: str = "partial") -> Bound:
        if isinstance(partial, str):
            partial = written(f"{self.name}.{what}", partial, f"return {partial}")
        return BoundRule(partial, self, what) if callable(partial) else partial

    def fused(self, k: int) -> BoundRule | None:
        """The fused pull of input k: one rule, or one for each of several inputs."""
        rules = self.fused_pull
        return rules[k] if isinstance(rules, list) else rules

    def _raw_pull(self, partial: Stated, k: int = 0) -> Callable[..., Any]:
        """The pull of one input on real tensors, as one function."""
        fused = self.fused(k)
        rule: Stated | None
        if fused is not None:
            source, rule = f"rule({fused.arguments})", fused.rule
        elif isinstance(partial, str):
            source, rule = f"g * v[{self.inputs.index(partial)}]", None
        elif callable(partial):
            bound = BoundRule(partial, self, f"partial_{self.inputs[k]}")
            source, rule = f"g * rule({bound.arguments})", partial
        else:
            signs: dict[complex, str] = {1: "g", -1: "-g", 0: "None"}
            source, rule = signs.get(partial, "g * rule"), partial
        return written(f"{self.name}.pull_{self.inputs[k]}", "v, p, node, g", f"return {source}", rule=rule)

    def reads(self, name: str) -> set[str]:
        k = self.inputs.index(name)
        rules = [self.partials[k], *(self.complex_partials[k] if self.complex_partials else ())]
        read = set().union(*(r.reads for r in rules if isinstance(r, BoundRule)))
        fused = self.fused(k)
        return read if fused is None else read | fused.reads

    def _partials_at(self, k: int, v: list[Any], params: dict[str, Any],
                     node: Node) -> tuple[Factor | None, Factor | None]:
        """(p, q) of input k, None where there is none: q where only the real derivative or a holomorphic one matters, p
        of conj."""
        parent = node.parents[k]
        p: Bound
        q: Bound = None
        if self.complex_partials is not None and parent is not None and parent.dtype.is_complex:
            p, q = self.complex_partials[k]
        else:
            p = self.partials[k]
        return self._partial_at(p, v, params, node), None if q is None else self._partial_at(q, v, params, node)

    @staticmethod
    def _partial_at(p: Bound, v: list[Any], params: dict[str, Any], node: Node) -> Factor | None:
        if isinstance(p, BoundRule):
            return p.call(v, params, node, None, (), None)
        # a partial that is declared 0 is none; one that happens to be is a factor
        return None if type(p) in NUMBER_TYPES and p == 0 else p

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Value, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Values:
        complex_ = node.dtype.is_complex or self.complex_partials is not None
        raw = type(y_bar) is Tensor and not lead and (self.complex_fused or not complex_) and not node.trace.guarded
        bars: list[Any] = []
        for k, want in enumerate(wanted):
            fused = self.fused(k) if raw else None
            if not want:
                bars.append(None)
            elif fused is not None:
                bars.append(fused.call(v, params, node, y_bar, lead, wanted))
            elif complex_:
                bars.append(self._complex_pull(k, v, params, node, y_bar))
            else:
                p: Any = self.partials[k]
                if type(p) is BoundRule:
                    p = p.call(v, params, node, None, (), None)
                bars.append(None if self.absent[k] else self._product(y_bar, p, node))
        return bars

    def _complex_pull(self, k: int, v: list[Any], params: dict[str, Any], node: Node, y_bar: Value) -> Any:
        p, q = self._partials_at(k, v, params, node)
        bar = None
        if p is not None:
            bar = self._product(y_bar, _conjugate(p), node)
        if q is not None:
            other = self._product(_conjugate(y_bar), q, node)
            bar = other if bar is None else bar + other
        return bar

    def _product(self, bar: Any, p: Factor, node: Node) -> Any:
        """bar * p; in a trace in which something was selected, 0 times infinity is 0."""
        return product(bar, p, node.trace.guarded and not (
            # quick way for what selects: its partial is 0, 1 or a finite factor, and meets nothing infinite
            self.selects and getattr(bar, "structured", False) and not bar.folded))

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Values,
             lead: tuple[int, ...]) -> Any:
        y_dot = None
        for k, x_dot in enumerate(dots):
            if x_dot is None:
                continue
            p, q = self._partials_at(k, v, params, node)
            if lead:
                x_dot = padded(x_dot, lead, node.ndim)
            for coefficient, dot in ((p, x_dot), (q, None)):
                if coefficient is None:
                    continue
                term = self._product(_conjugate(x_dot) if dot is None else dot, coefficient, node)
                y_dot = term if y_dot is None else y_dot + term
        return y_dot


def _conjugate(x: Any) -> Any:
    if type(x) in NUMBER_TYPES:
        return x.conjugate()
    return words.conj(x) if x.dtype.is_complex else x


def product(bar: Any, p: Any, guarded: bool) -> Any:
    """What a walk carries times a partial; where something was selected, `guarded`, 0 times infinity is 0."""
    if type(p) in NUMBER_TYPES and (p == 1 or p == -1):
        return bar if p == 1 else -bar
    if guarded:
        return scaled(bar, p)
    if type(p) is Tensor and type(bar) is not Tensor and bar.structured:
        return bar.scaled(p)  # quick way for a structured Jacobian; the operator says the same
    return bar * p


def scaled(bar: Any, p: Any) -> Any:
    """bar * p with 0 * infinity = 0: the product of walks through a trace in which something was selected."""
    if type(p) in NUMBER_TYPES:
        if p != 0 and cmath.isfinite(p):
            return bar * p
        if p == 0 and getattr(bar, "structured", False):
            return bar.zero()
        dtype = bar.dtype if type(p) is not complex else torch.promote_types(bar.dtype, torch.complex64)
        p = torch.full((), p, dtype=dtype, device=bar.device)
        p = dlarray._made(p, None) if type(bar) is dlarray else p
    return words.scale(bar, p)
