"""What every operation with a derivative is held to, from its declaration alone: one function per check.

Arrays of a floating or complex type are variables of a trace; tangents and cotangents are written `dots` and `bars`, one per
variable or output, as in the walks.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from helpers import node_of, seeded, uniform, variable
from operation_cases import REAL, Case, is_variable, outputs_of
from torch.utils._pytree import tree_leaves, tree_map

from gradloom import dlarray, dlfeval, dlgradient, jvp
from gradloom.blocks.block import identity
from gradloom.blocks.dense import dense
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.core.operation import Operation
from gradloom.core.tables import PUBLIC
from gradloom.core.trace import Trace
from gradloom.derivatives.walks import pull as pulling
from gradloom.derivatives.walks import push as pushing
from gradloom.derivatives.walks import tied
from gradloom.derivatives.walks.stand_ins import stays_real

# ----- walks ------------------------------------------------------------------------------------------------------------


class Traced:
    """A case run on variables of a trace of its own. `before` and `after` are functions of arrays around it."""

    def __init__(self, case: Case, before: Any = None, after: Any = None):
        self.case = case
        self.trace = Trace()
        handles: list[Any] = list(case.inputs)
        self.variables = []
        for k in case.variables:
            x = case.inputs[k]
            handles[k] = variable(x, self.trace)
            self.variables.append(node_of(handles[k]))
            if before is not None:
                handles[k] = before(handles[k])
        result = case.operation.apply(handles, case.params)
        outputs = outputs_of(case, result)
        self.node = outputs[0]._node if case.operation.outputs == 1 else outputs[0]._node.parents[0]
        self.outputs = [after(y) for y in outputs] if after is not None else outputs
        self.nodes = [y._node for y in self.outputs]

    def push(self, dots: list[Any], recorded: bool = False, lead: tuple[int, ...] = ()) -> list[Any]:
        """Tangents of the outputs; zeros where absent."""
        seeds = {v: dlarray._made(d, None) if recorded else d for v, d in zip(self.variables, dots, strict=True) if d is not None}
        found = pushing.push(self.nodes, seeds, recorded=recorded, lead=lead) if seeds else [None] * len(self.nodes)
        return [self._raw(d, y._value, recorded, lead) for d, y in zip(found, self.outputs, strict=True)]

    def pull(self, bars: list[Any], recorded: bool = False, lead: tuple[int, ...] = ()) -> list[Any]:
        """Cotangents of the variables; zeros where absent."""
        seeds = {n: dlarray._made(b, None) if recorded else b.clone() for n, b in zip(self.nodes, bars, strict=True)}
        found = pulling.pull(seeds, self.variables, recorded=recorded, lead=lead)
        return [self._raw(b, x, recorded, lead) for b, x in zip(found, self.case.values(), strict=True)]

    @staticmethod
    def _raw(x: Any, like: Any, recorded: bool, lead: tuple[int, ...]) -> Any:
        if x is None:
            return torch.zeros((*lead, *like.shape), dtype=like.dtype)
        assert type(x) is (dlarray if recorded else torch.Tensor), f"a walk {'' if recorded else 'not '}recorded gives a {type(x).__name__}"
        x = x._value if recorded else x
        assert tuple(x.shape) == (*lead, *like.shape), f"shape {tuple(x.shape)} for {(*lead, *like.shape)}"
        assert x.dtype == like.dtype, f"type {x.dtype} for {like.dtype}"
        return x


def directions(like: list[Any], *key: Any, lead: tuple[int, ...] = ()) -> list[Any]:
    stream = seeded(*key)
    return [uniform((*lead, *x.shape), x.dtype, stream) for x in like]


def inner(a: list[Any], b: list[Any]) -> torch.Tensor:
    """Re <a, b>, the real inner product of lists of arrays."""
    return sum(((x.conj() * y).real.sum() for x, y in zip(a, b, strict=True)), torch.zeros((), dtype=REAL))


def slope(function: Any, values: list[Any], dots: list[Any], h: float = 1e-4) -> list[Any]:
    """The derivative of a function of arrays in a direction, by central differences of fourth order."""

    def at(t: float) -> list[Any]:
        return function([x if d is None else x + t * d for x, d in zip(values, dots, strict=True)])

    return [(8 * (b - a) - (d - c)) / (12 * h) for a, b, c, d in zip(at(-h), at(h), at(-2 * h), at(2 * h), strict=True)]


def same(found: Any, expected: Any, what: str, tolerance: float = 1e-9) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape, f"{what}: shape {tuple(a.shape)}, not {tuple(b.shape)}"
        if a.numel():
            error = float((a - b).abs().max() / (1 + b.abs().max()))
            assert error < tolerance, f"{what}: off by {error:.1e}\n{a}\n{b}"


def in_type(case: Case, dtype: Any) -> Case:
    """The case with its variables in a smaller type."""
    return case.at([x.to(dtype) for x in case.values()])


LEADS = ((2,), (3,), (1, 2))  # leading axes of walks
AGAIN = ((2,), (1, 2))  # and of those whose results are differentiated again


# ----- the checks -------------------------------------------------------------------------------------------------------


def check_push(case: Case) -> None:
    """Tangents equal finite differences, for each input alone and all together."""
    values, traced = case.values(), Traced(case)
    for k in [*range(len(values)), None]:
        dots = [d if k in (None, j) else None for j, d in enumerate(directions(values, "push", k))]
        expected = slope(lambda v: case.at(v).run(), values, dots)
        same(traced.push(dots), expected, f"{case}: push of input {k}", 1e-8)
        same(traced.push(dots, recorded=True), expected, f"{case}: recorded push of input {k}", 1e-8)


def check_adjoint(case: Case) -> None:
    """<y_bar, J x_dot> = <J' y_bar, x_dot>, raw and recorded; the same cotangents where the other inputs are constants."""
    traced = Traced(case)
    dots = directions(case.values(), "dots")
    bars = directions([y._value for y in traced.outputs], "bars")
    raw, recorded = traced.pull(bars), traced.pull(bars, recorded=True)
    same(recorded, raw, f"{case}: recorded and raw pull", 1e-12)
    expected = inner(bars, traced.push(dots))
    assert abs(inner(raw, dots) - expected) < 1e-10 * (1 + abs(expected)), (
        f"{case}: <y_bar, J x_dot> {expected}, <J' y_bar, x_dot> {inner(raw, dots)}"
    )
    for part, bar in zip(case.alone(), raw, strict=False):
        alone = Traced(part)
        same(alone.pull(bars), [bar], f"{part}: pull", 1e-12)
        same(alone.pull(bars, recorded=True), [bar], f"{part}: recorded pull", 1e-12)


def check_higher(case: Case, order: int) -> None:
    """Derivatives of derivatives, by every order of walks, equal differences of the derivative below."""
    count = len(case.variables)
    outputs = [y._value for y in Traced(case).outputs]
    bars = directions(outputs, "weights")
    ways = [directions(case.values(), "direction", k) for k in range(order)]

    def potential(values: list[Any], walks: str) -> Any:
        """<bars, y>, then one derivative in a given direction per letter: b by a pull, f by a push."""
        result = case.operation.apply(case.at(values).inputs, case.params)
        phi = weighted(outputs_of(case, result), bars)
        for letter, way in zip(walks, ways, strict=False):
            if letter == "b":
                phi = weighted(
                    dlgradient(phi, *values, enable_higher_derivatives=True)
                    if count > 1
                    else [dlgradient(phi, values[0], enable_higher_derivatives=True)],
                    way,
                )
            else:
                phi = jvp(phi, values, [dlarray(d) for d in way], enable_higher_derivatives=True)
        return phi

    def number(values: list[Any], walks: str) -> Any:
        return dlfeval(lambda *v: potential(list(v), walks), *[dlarray(x) for x in values])._value.reshape(())

    below = "b" * (order - 1)
    expected = slope(lambda v: [number(v, below)], case.values(), ways[order - 1])
    for walks in {"b" * order, "f" * order, "b" * (order - 1) + "f", "f" * (order - 1) + "b"}:
        same([number(case.values(), walks)], expected, f"{case}: derivative {walks}", 1e-7)
    gradients = dlfeval(lambda *v: dlgradient(potential(list(v), below), *v), *[dlarray(x) for x in case.values()])
    gradients = gradients if type(gradients) is tuple else (gradients,)
    for g, x in zip(gradients, case.values(), strict=True):
        assert (g.shape, g.dtype) == (tuple(x.shape), x.dtype), f"{case}: the gradient of {tuple(x.shape)} {x.dtype} is {g.shape} {g.dtype}"
    expected_slope = expected[0]
    found = inner([g._value for g in gradients], ways[order - 1])
    assert abs(found - expected_slope) < 1e-7 * (1 + abs(expected_slope)), f"{case}: the last gradient, raw"


def weighted(arrays: Any, weights: list[Any]) -> Any:
    total: Any = 0.0
    for a, w in zip(arrays, weights, strict=True):
        product = a * dlarray(w.conj()) if w.is_complex() else a * dlarray(w)
        total = PUBLIC["sum"](PUBLIC["real"](product)) + total
    return total


def check_leads(case: Case) -> None:
    """Walks with leading axes equal the stack of plain walks."""
    traced = Traced(case)
    values, outputs = case.values(), [y._value for y in traced.outputs]
    dots, bars = directions(values, "dots", lead=(3,)), directions(outputs, "bars", lead=(3,))

    def plain(walk: Any, starts: list[Any]) -> list[Any]:
        """What the walk finds from each of the three starts, one at a time and stacked."""
        found = [walk([None if s is None else s[i] for s in starts]) for i in range(3)]
        return [torch.stack(parts) for parts in zip(*found, strict=True)]

    def first(stacks: list[Any], lead: tuple[int, ...]) -> list[Any]:
        """As many of the three as the leading axes have places."""
        return [None if x is None else x[: math.prod(lead)].reshape(*lead, *x.shape[1:]) for x in stacks]

    pulled = plain(traced.pull, bars)
    for k in [*range(len(dots)), None] if len(dots) > 1 else [None]:
        chosen = [d if k in (None, j) else None for j, d in enumerate(dots)]
        pushed = plain(traced.push, chosen)
        for lead in LEADS:
            for recorded in (False, True):
                same(traced.push(first(chosen, lead), recorded, lead), first(pushed, lead), f"{case}: push of input {k} with lead {lead}", 1e-12)
    for lead in LEADS:
        for recorded in (False, True):
            same(traced.pull(first(bars, lead), recorded, lead), first(pulled, lead), f"{case}: pull with lead {lead}", 1e-12)


def check_leads_again(case: Case, turn: int | None = None) -> None:
    """What a recorded walk with leading axes has made is differentiated as the sum of what plain recorded walks make, by every walk.

    The tangents and cotangents that it starts from depend on the variables, so that every node it makes lies on the way. With a turn, a push
    and a pull have one of two kinds of leading axes each, at the next turn the other; without, both.
    """
    traced = Traced(case)
    values, outputs = case.values(), [y._value for y in traced.outputs]
    one, two = torch.ones((), dtype=REAL), torch.tensor([1.0, 2.0], dtype=REAL)
    dots, dots_two = directions(values, "again"), directions(values, "again", 2, lead=(2,))

    def start(ways: list[Any], nodes: Any, likes: list[Any]) -> dict[Any, Any]:
        return {n: dlarray._made(w, None) * dlarray._made(x, n) if bool(x.isfinite().all()) else dlarray._made(w, None)
                for w, n, x in zip(ways, nodes, likes, strict=True)}

    def walked(ahead: bool, ways: list[Any], weights: list[Any], lead: tuple[int, ...]) -> Any:
        """The node of a weighted sum of what a recorded walk finds, None where it is constant."""
        if ahead:
            found = pushing.push(traced.nodes, start(ways, traced.variables, values), recorded=True, lead=lead)
        else:
            found = pulling.pull(start(ways, traced.nodes, outputs), traced.variables, recorded=True, lead=lead)
        there = [(x, w) for x, w in zip(found, weights, strict=True) if x is not None]
        total = weighted(*zip(*there, strict=True)) if there else None
        return total._node if type(total) is dlarray else None

    def filled(found: Any, lead: tuple[int, ...] = ()) -> list[Any]:
        return [torch.zeros((*lead, *x.shape), dtype=x.dtype) if g is None else g._value if type(g) is dlarray else g for g, x in zip(found, values, strict=True)]

    for ahead in (True, False):
        ways_two = directions(values if ahead else outputs, "ways", lead=(2,))
        weights_two = directions(outputs if ahead else values, "weights", lead=(2,))
        bars = [torch.zeros_like(x) for x in values]
        for i in range(2):
            node = walked(ahead, [w[i] for w in ways_two], [w[i] for w in weights_two], ())
            if node is not None:
                bars = [a + b for a, b in zip(bars, filled(pulling.pull({node: one.clone()}, traced.variables)), strict=True)]
        slopes = torch.stack([inner(bars, [d[i] for d in dots_two]) for i in range(2)])
        for lead in AGAIN if turn is None else (AGAIN[(turn + ahead) % 2],):
            what = f"{case}: {'push' if ahead else 'pull'} with lead {lead}, "
            node = walked(ahead, *([w.reshape(*lead, *w.shape[1:]) for w in drawn] for drawn in (ways_two, weights_two)), lead)
            if node is None:
                same(bars, [torch.zeros_like(x) for x in values], what + "constant", 1e-300)
                continue
            if not any(v.is_complex() for v in (*values, *outputs)):
                for variable, x, bar in zip(traced.variables, values, bars, strict=True):
                    (block,) = pushing.push([node], {variable: identity(x.shape, x.dtype, x.device)})
                    same([torch.zeros_like(x) if block is None else dense(block)], [bar], f"{what}Block", 1e-10)
                    (block,) = pulling.pull({node: identity((), REAL, x.device)}, [variable], values_of=lambda n: n.values)
                    same([torch.zeros_like(x) if block is None else dense(block.transposed())], [bar], f"{what}Block, backwards", 1e-10)
            for recorded in (False, True):
                how = "recorded " if recorded else ""

                def held(x: Any, recorded: bool = recorded) -> Any:
                    return dlarray._made(x, None) if recorded else x.clone()

                same(filled(pulling.pull({node: held(one)}, traced.variables, recorded=recorded)), bars, f"{what}{how}pull", 1e-10)
                found = pulling.pull({node: held(two)}, traced.variables, recorded=recorded, lead=(2,))
                same(filled(found, (2,)), [torch.stack([b, 2 * b]) for b in bars], f"{what}{how}pull with leading axes", 1e-10)
                for lead_two, its, expected in (((), dots, inner(bars, dots)), ((2,), dots_two, slopes)):
                    (y_dot,) = pushing.push([node], dict(zip(traced.variables, map(held, its), strict=True)), recorded=recorded, lead=lead_two)
                    y_dot = torch.zeros_like(expected) if y_dot is None else y_dot._value if recorded else y_dot
                    same([y_dot], [expected], f"{what}{how}push with lead {lead_two}", 1e-10)


def check_fused(case: Case, monkeypatch: Any) -> None:
    """A fused pull equals the stated one."""
    traced = Traced(case)
    bars = directions([y._value for y in traced.outputs], "bars")
    fused = traced.pull(bars)
    with monkeypatch.context() as patch:
        patch.setattr(case.operation, "fused_pull", None)
        patch.setattr(case.operation, "raw_pulls", None)
        same(fused, traced.pull(bars), f"{case}: the fused and the stated pull", 1e-12)


def check_kept(case: Case) -> None:
    """A node keeps what its rules name, and what it does not keep is not read; what was dropped can be computed again."""
    operation = case.operation
    inputs = tuple(x.clone() if is_variable(x) else x for x in case.inputs)
    case = replace(case, inputs=inputs)
    traced = Traced(case)
    node = traced.node
    if len(operation.inputs) == len(inputs) and type(operation).kept is Operation.kept:  # otherwise any number of operands
        read = set().union(*(operation.reads(operation.inputs[k]) for k in case.variables))
        names = (*operation.inputs, "y", *operation.hidden)
        kept = {name for name, value in zip(names, node.values, strict=True) if value is not None}
        constants = {operation.inputs[k] for k, x in enumerate(inputs) if k not in case.variables and x is not None}
        absent = {operation.inputs[k] for k, x in enumerate(inputs) if x is None}
        assert kept == (read | constants) - absent, f"{case}: the node keeps {sorted(kept)}, its rules read {sorted(read)}"
    dots, bars = directions(case.values(), "dots"), directions([y._value for y in traced.outputs], "bars")

    def everything() -> list[Any]:
        return [*traced.push(dots), *traced.push(dots, recorded=True), *traced.pull(bars), *traced.pull(bars, recorded=True)]

    expected = everything()
    if operation.recomputable:
        node.drop()
        same(everything(), expected, f"{case}: after dropping and computing again", 1e-12)
        traced = Traced(case)
        node = traced.node
    values = [v for value in node.values for v in (value if isinstance(value, tuple) else (value,))]
    held = {v.untyped_storage().data_ptr() for v in values if isinstance(v, torch.Tensor) and v.layout is torch.strided}
    for x in (*(x for x in inputs if is_variable(x)), *(y._value for y in traced.outputs)):
        if x.untyped_storage().data_ptr() not in held and x.numel():
            torch.as_strided(x, (x.untyped_storage().nbytes() // x.element_size(),), (1,), 0).fill_(torch.nan)
    same(everything(), expected, f"{case}: after what is not kept was poisoned", 1e-12)


def spaced(x: Any) -> Any:
    """The same numbers with others between them in memory, the axes in the opposite order."""
    back = tuple(reversed(range(x.ndim)))
    buffer = torch.full((*(x.shape[k] for k in back), 3), torch.nan, dtype=x.dtype)
    buffer[..., 1] = x.permute(back)
    return buffer[..., 1].permute(back)


def check_memory(case: Case) -> None:
    """How numbers lie in memory changes no result, and no input is written to; single precision too, which has kernels of its own."""
    single = {torch.float64: torch.float32, torch.complex128: torch.complex64}
    for plain, tolerance in ((case, 1e-12), (case.at([x.to(single[x.dtype]) for x in case.values()]), 1e-4)):
        expected, count = Traced(plain), len(plain.variables)
        y = [y._value for y in expected.outputs]
        dots, bars = directions(plain.values(), "dots"), directions(y, "bars")
        y_dots, x_bars = expected.push(dots), expected.pull(bars)
        for some in {range(count), *(range(k, k + 1) for k in range(count))}:
            apart = plain.at([spaced(x) if k in some else x for k, x in enumerate(plain.values())])
            before = [x.clone() for x in apart.values()]
            traced, what = Traced(apart), f"{plain}, inputs {list(some)} spaced in memory"
            same([y._value for y in traced.outputs], y, what, tolerance)
            laid = spaced if len(some) == count else torch.clone
            same(traced.push([laid(d) for d in dots]), y_dots, f"{what}: push", tolerance)
            same(traced.pull([laid(b) for b in bars]), x_bars, f"{what}: pull", tolerance)
            assert all(torch.equal(a, b) for a, b in zip(apart.values(), before, strict=True)), f"{what}: an input was written to"


def check_types(case: Case) -> None:
    """In single precision everything stays in single precision."""
    single = {torch.float64: torch.float32, torch.complex128: torch.complex64}
    small = case.at([x.to(single[x.dtype]) for x in case.values()])
    for chosen in [small] + [
        small.at([v if j == k else x for j, (v, x) in enumerate(zip(small.values(), case.values(), strict=True))])
        for k in range(len(case.variables))
        if len(case.variables) > 1 and isinstance(case.operation, Elementwise)
    ]:
        traced, exact = Traced(chosen), Traced(case)
        dots, bars = directions(case.values(), "dots"), directions([y._value for y in exact.outputs], "bars")
        own_dots = [d.to(x.dtype) for d, x in zip(dots, chosen.values(), strict=True)]
        own_bars = [b.to(y._value.dtype) for b, y in zip(bars, traced.outputs, strict=True)]
        for recorded in (False, True):
            same(traced.push(own_dots, recorded), exact.push(dots), f"{chosen}: push in single precision", 1e-3)
            same(traced.pull(own_bars, recorded), exact.pull(bars), f"{chosen}: pull in single precision", 1e-3)


def check_half(case: Case, dtype: Any) -> None:
    """In half precision walks stay in half precision, with leading axes too. A GradloomError where the kernel refuses it."""
    case = in_type(case, dtype)
    traced = Traced(case)
    for lead in ((), (2,)):
        dots = directions(case.values(), "dots", lead=lead)
        bars = directions([y._value for y in traced.outputs], "bars", lead=lead)
        for recorded in (False, True):
            traced.push(dots, recorded, lead)  # each result's type is checked there
            traced.pull(bars, recorded, lead)


# ----- positions ----------------------------------------------------------------------------------------------------------


def positions_of(case: Case) -> list[torch.Tensor]:
    """The arrays of positions among a case's parameters."""
    return [v for v in tree_leaves(case.params) if stays_real(v)]


def ties_of(case: Case) -> list[Any]:
    """What is proved of a diagonal cotangent of each variable: diagonal along one axis of the output, or along all."""
    node = Traced(case).node
    axes = range(len(node.shape or ()))
    return [tied._proved(node, k, at) for k, parent in enumerate(node.parents) if parent is not None
            for at in [*[(a,) for a in axes], tuple(axes)] if at]


def check_positions_are_no_ties(case: Case) -> None:
    """A proof that parts stay apart holds for other positions: turned round, all the same, in order."""
    found = ties_of(case)
    for other in (lambda v: v.flip(tuple(range(v.ndim))), lambda v: v.reshape(-1)[-1:].expand(v.numel()).reshape(v.shape).clone(),
                  lambda v: v.reshape(-1).sort()[0].reshape(v.shape)):
        moved = tree_map(lambda v, other=other: other(v) if stays_real(v) else v, case.params)
        assert ties_of(replace(case, params=moved)) == found, f"{case}: what is tied changes with the positions"
