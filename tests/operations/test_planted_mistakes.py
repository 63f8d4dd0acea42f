"""The checks of test_operations can fail: a mistake planted in a rule is caught by the check that is there for it."""

import operation_checks as checks
import pytest
import torch
from block_checks import check_block, multiplied_after, scaled_before, summed_after
from operation_cases import cases, complex_cases

import gradloom as gl
from gradloom import GradloomError, dlarray
from gradloom.blocks import action
from gradloom.blocks.block import Block
from gradloom.blocks.term import Term
from gradloom.core import calls
from gradloom.core.kinds import elementwise
from gradloom.core.rules import BoundRule
from gradloom.core.tables import OPERATIONS
from gradloom.derivatives.walks import steps, tied
from gradloom.operations.matrices import tridiagonal

# ----- how a mistake is planted -----------------------------------------------------------------------------------------


def partial(name, k, rule):
    """Another partial, in every form in which the operation holds it."""

    def plant(patch):
        o = OPERATIONS[name]
        patch.setattr(o, "fused_pull", None)
        patch.setattr(o, "partials", [o._bound(rule) if j == k else p for j, p in enumerate(o.partials)])
        patch.setattr(o, "raw_pulls", [o._raw_pull(rule) if j == k else p for j, p in enumerate(o.raw_pulls)])
        patch.setattr(o, "_keepers", {})
        remake(o, patch)

    return plant


def remake(operation, patch):
    """The public function, which knows what is kept."""
    patch.setattr(operation, "public", calls.unary(operation) if len(operation.inputs) == 1 else calls.binary(operation))


def transpose(name, key, change):
    """A transpose, changed."""

    def plant(patch):
        o = OPERATIONS[name]
        rule, other = o.transposes[key].call, BoundRule(lambda y_bar: y_bar, o)
        other.call = lambda v, p, node, g, lead, wanted: change(rule, v, p, node, g, lead, wanted)
        patch.setitem(o.transposes, key, other)
        patch.setattr(o, "fused_pull", None)

    return plant


def replaced(target, attribute, value):
    return lambda patch: patch.setattr(target, attribute, value)


def pull_rule(name, rule):
    return lambda patch: patch.setattr(OPERATIONS[name], "pull_rule", BoundRule(rule, OPERATIONS[name]))


def fused(name, rule):
    def plant(patch):
        o = OPERATIONS[name]
        patch.setattr(o, "fused_pull", BoundRule(rule, o))
        patch.setattr(o, "raw_pulls", [o._raw_pull(None)])

    return plant


# ----- the mistakes -----------------------------------------------------------------------------------------------------


def constant(x):
    """x, without what it came from."""
    return dlarray._made(x._value, None) if isinstance(x, dlarray) else x


def line(f, slope):
    """A partial that is right, and whose own derivative is right, but which stops there."""

    def rule(x):
        at = constant(x)
        return f(at) + slope(at) * (x - at)

    return rule


def not_summed(bar, node, lead):
    return bar


def lead_summed(bar, node, lead):
    extra = bar.ndim - node.ndim
    return steps.cast(gl.sum(bar, axis=tuple(range(extra))) if extra else bar, node.dtype)


def bias_at_the_front(bias, node, lead, **options):
    return gl.reshape(bias, (*bias.shape, *(1,) * (node.ndim - 2)))


def shifted(operation, inputs, params):
    where = torch.arange(params["start"], params["stop"])
    return action.selected(inputs[0], inputs[0].ndim + params["axis"], where.flip(0))


def scaled_backwards(block, array, scaled=Block.scaled):
    return scaled(block, array.flip(-1) if array.ndim else array)


def second(case):
    checks.check_higher(case, 2)


def third(case):
    checks.check_higher(case, 3)


def block_between(case):
    check_block(case, scaled_before, multiplied_after)


def block_summed(case):
    check_block(case, None, summed_after)


def block_of_a_residual(case):
    check_block(case, None, lambda y: y + gl.sin(y))


def bands_as_they_are(y_bar, lower, middle, upper, y, wanted):
    return tridiagonal._pull(y_bar, upper, middle, lower, y, wanted)


def bands_exchanged(y_bar, lower, middle, upper, y, wanted):
    low, *between, high, bar = tridiagonal._pull(y_bar, lower, middle, upper, y, wanted)
    return [high, *between, low, bar]


PERMUTE, SUM = OPERATIONS["permute_dims"], OPERATIONS["sum"]

MISTAKES = {  # what is planted: the operation, how, and the check that must catch it
    "a wrong partial": ("tanh", partial("tanh", 0, lambda y: 1 - y), checks.check_push),
    "a wrong sign": ("cos", partial("cos", 0, lambda x: gl.sin(x)), checks.check_push),
    "a dropped factor 2": ("square", partial("square", 0, lambda x: x), checks.check_push),
    "a partial forgotten": ("multiply", partial("multiply", 1, 0), checks.check_push),
    "partials exchanged": ("divide", partial("divide", 0, lambda y, b: -y / b), checks.check_push),
    "a derivative that is a constant": ("exp", partial("exp", 0, constant), second),
    "a second derivative that is a constant": ("sin", partial("sin", 0, line(gl.cos, lambda x: -gl.sin(x))), third),
    "a conjugate forgotten": ("multiply", replaced(elementwise, "_conjugate", lambda x: x), checks.check_adjoint),
    "bands that are not transposed": ("solve_tridiagonal", pull_rule("solve_tridiagonal", bands_as_they_are), checks.check_adjoint),
    "cotangents of the wrong band": ("solve_tridiagonal", pull_rule("solve_tridiagonal", bands_exchanged), checks.check_adjoint),
    "a doubled transpose": ("matmul", transpose("matmul", "a", lambda rule, *given: 2 * rule(*given)), checks.check_adjoint),
    "a transpose without its conjugate": (
        "matmul",
        transpose("matmul", "b", lambda rule, v, *given: rule([gl.conj(x) if x is not None else x for x in v], *given)),
        checks.check_adjoint,
    ),
    "transposed axes": (
        "permute_dims",
        transpose("permute_dims", "x", lambda rule, v, p, node, g, *_: PERMUTE.apply((g,), p)),
        checks.check_adjoint,
    ),
    "a mean that is a sum": ("mean", transpose("mean", "x", lambda rule, *given: SUM.transposes["x"].call(*given)), checks.check_adjoint),
    "a cotangent not summed": ("add", replaced(steps, "fitted", not_summed), checks.check_adjoint),
    "tangents that are not padded": ("add", replaced(elementwise, "padded", lambda dot, lead, ndim: dot), checks.check_leads),
    "leading axes that are summed": ("add", replaced(steps, "fitted", lead_summed), checks.check_leads),
    "a bias without an axis for the batch": (
        "dlconv",
        lambda patch: patch.setitem(OPERATIONS["dlconv"].monomials, ("bias",), bias_at_the_front),
        checks.check_leads,
    ),
    "a fused kernel of another function": ("relu", fused("relu", lambda y_bar, y: torch.ops.aten.threshold_backward(y_bar, y, 1)), "fused"),
    "a value that no rule reads": ("exp", replaced(OPERATIONS["exp"], "_keepers", {(True,): lambda v, y, hidden: [v[0], y]}), checks.check_kept),
    "a value that is not kept": ("exp", replaced(OPERATIONS["exp"], "_keepers", {(True,): lambda v, y, hidden: [None, None]}), checks.check_kept),
    "a type that widens": ("mean", transpose("mean", "x", lambda rule, *given: gl.astype(rule(*given), "float32")), checks.check_adjoint),
    "a Block without its factor": ("tanh", replaced(Block, "scaled", lambda self, array: self), check_block),
    "a factor along the wrong axis": ("softmax", replaced(Block, "scaled", scaled_backwards), check_block),
    "a term forgotten": ("add", replaced(Block, "plus", lambda self, other: self), block_of_a_residual),
    "a sum that is not counted": ("broadcast_to", replaced(Term, "without", lambda self, *_, **__: self.eliminated()), block_summed),
    "a factor forgotten": ("matmul", replaced(Term, "eliminated", lambda self, room=0: self.replaced(factors=self.factors[:-1])), block_between),
    "a diagonal that is not one": ("softmax", replaced(tied, "_ties_of", lambda node, k, at: at), check_block),
    "entries of a slice shifted": ("slice", replaced(OPERATIONS["slice"], "act", shifted), check_block),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake, monkeypatch):
    name, plant, check = MISTAKES[mistake]
    if check == "fused":

        def check(case):
            checks.check_fused(case, monkeypatch)

    found = cases(OPERATIONS[name]) + complex_cases(OPERATIONS[name])
    for case in found:
        check(case)
    noticed = 0
    with monkeypatch.context() as patch:
        plant(patch)
        for case in found:
            try:
                check(case)
            except AssertionError:
                noticed += 1
            except (RuntimeError, GradloomError):  # shapes that do not fit: noticed, but not by the check
                continue
    assert noticed, f"{mistake} in {name} was not noticed"
    for case in found:  # and it is gone again
        check(case)
