"""Every operation in the table, against finite differences, its own transpose, its structured Jacobian: see operation_checks."""

import importlib.util
import re
from pathlib import Path

import operation_checks as checks
import pytest
import torch
from block_checks import SURROUNDINGS, check_block
from operation_cases import cases, complex_cases
from operation_samples import EDGES
from operation_table import CHECKED, EXEMPT, TABLE, all_cases, each

import gradloom as gl
from gradloom.core import trace
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.core.operation import Operation

# Sizes that an operation's samples do not have.
WITHOUT_SIZE = {("batchnorm", 0): "there are no statistics of nothing: refused"}

# Surroundings that lead out of an operation's domain.
OUTSIDE = {"cholesky": ("a product before, a sum after", "products on both sides")}  # a product with a positive definite matrix need not be one


def refuses_complex(operation):
    """Whether the public function, called as its docstring shows, refuses complex numbers: where the kernel alone would run on them."""
    path = next(p for p in Path(__file__).parents if (p / "tools").is_dir()) / "tools" / "make_operation_table.py"
    spec = importlib.util.spec_from_file_location("make_operation_table", path)
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    args, kwargs = table.shown_call(operation.public.__name__, operation.public)
    operation.public(*args, **kwargs)
    args, kwargs = table.each_array((args, kwargs), lambda x: gl.astype(x, torch.complex128))
    try:
        operation.public(*args, **kwargs)
    except gl.TypeRefused:
        return True
    return False


def test_every_operation_is_checked_or_says_why():
    others = {name: o for name, o in TABLE.items() if name not in CHECKED and name not in EXEMPT}
    for name, o in others.items():
        own_walks = type(o).pull is not Operation.pull or type(o).push is not Operation.push or {"pull", "push"} & set(vars(o))
        assert o.kind == "discrete" and not own_walks, f"{name} has a derivative: it is checked, or says in EXEMPT why not"
    assert set(EXEMPT) <= set(TABLE)
    assert set(EDGES) <= set(CHECKED)
    assert {name for name, o in TABLE.items() if o.real_only or o.without_half} <= set(CHECKED)
    assert all(cases(operation) for operation in CHECKED.values())


@each(CHECKED)
def test_samples_have_every_size_and_type(operation):
    """What the checks below run on: axes of size 0, of size 1 and of an odd size, real numbers and, where there can be, complex ones."""
    found = all_cases(operation)
    arrays = [x for case in found for x in (*case.inputs, *case.run()) if isinstance(x, torch.Tensor)]
    sizes = {n for x in arrays for n in x.shape}
    for n in (0, 1):
        assert n in sizes or (operation.name, n) in WITHOUT_SIZE, f"no sample of {operation.name} has an axis of size {n}"
    assert any(n % 2 and n > 1 for n in sizes), f"no sample of {operation.name} has an axis of an odd size"
    types = {x.is_complex() for case in found for x in case.values() if x.numel()}
    assert False in types and (True in types) is not bool(operation.real_only), f"{operation.name} is checked with {'' if True in types else 'no '}complex numbers"


@each([name for name, o in CHECKED.items() if o.real_only])
def test_what_is_said_to_be_of_real_numbers_refuses_others(operation):
    """`real_only` in a declaration is needed: the kernel takes no complex numbers, or the public function refuses them."""
    specs = [None, *([EDGES[operation.name]] if operation.name in EDGES else [])]
    taken = [case for s in specs for case in complex_cases(operation, s) if any(x.is_complex() and x.numel() for x in case.values())]
    assert not taken or refuses_complex(operation), f"{taken[0]} runs"


@each(CHECKED)
def test_tangents_are_finite_differences(operation):
    for case in all_cases(operation):
        checks.check_push(case)


@each(CHECKED)
def test_cotangents_are_the_transpose(operation):
    for case in all_cases(operation):
        checks.check_adjoint(case)


@each(CHECKED)
def test_second_derivatives(operation):
    for case in all_cases(operation):
        checks.check_higher(case, 2)


@each([name for name, o in CHECKED.items() if isinstance(o, Elementwise)])
def test_third_derivatives(operation):
    for case in all_cases(operation):
        checks.check_higher(case, 3)


@each(CHECKED)
def test_leading_axes(operation):
    for case in all_cases(operation):
        checks.check_leads(case)


@each(CHECKED)
def test_what_walks_with_leading_axes_recorded_is_differentiated_again(operation):
    for turn, case in enumerate(all_cases(operation)):  # an operation has cases enough for both turns: its sizes and types
        checks.check_leads_again(case, turn)


@pytest.mark.slow
@each(CHECKED)
def test_with_leading_axes_of_both_kinds_in_every_case(operation):
    for case in all_cases(operation):
        checks.check_leads_again(case)


@each([name for name, o in CHECKED.items() if getattr(o, "fused_pull", None) is not None])
def test_fused_pulls_are_the_stated_ones(operation, monkeypatch):
    for case in all_cases(operation):
        checks.check_fused(case, monkeypatch)


@each(CHECKED)
def test_what_is_kept_is_what_is_read(operation, monkeypatch):
    monkeypatch.setattr(trace, "SMALL", 0, raising=False)
    for case in all_cases(operation):
        for part in [case, *case.alone()]:
            checks.check_kept(part)


@each([name for name, o in CHECKED.items() if not isinstance(o, Elementwise)])
def test_any_memory_gives_the_same(operation):
    for case in all_cases(operation):
        checks.check_memory(case)


@each(CHECKED)
def test_single_precision_stays_single(operation):
    for case in all_cases(operation):
        checks.check_types(case)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@each(CHECKED)
def test_half_precision_stays_half(operation, dtype):
    real = [case for case in cases(operation) if not any(x.is_complex() for x in case.values())]
    assert real, f"no case of {operation.name} is of real numbers: nothing would be checked"
    refused = 0
    for case in real:
        try:
            checks.check_half(case, dtype)
        except gl.GradloomError as error:
            assert re.search("(?i)half|bfloat16", str(error)), f"{case}: {error}"
            refused += 1
    assert (refused > 0) is bool(operation.without_half), f"{operation.name}: {refused} of {len(real)} cases are refused in half precision"


@each(CHECKED)
def test_blocks(operation):
    for case in all_cases(operation):
        check_block(case)


POSITIONED = [name for name in CHECKED if any(checks.positions_of(case) for case in cases(CHECKED[name]))]


@each(POSITIONED)
def test_where_positions_are_decides_no_tie(operation):
    """Kept proofs, and recordings that are replayed with other positions, rest on it."""
    found = [case for case in cases(operation) if checks.positions_of(case)]
    assert len(POSITIONED) > 8 and found
    for case in found:
        checks.check_positions_are_no_ties(case)


AMONG = [(name, s) for name in CHECKED for s in SURROUNDINGS if s not in OUTSIDE.get(name, ())]


@pytest.mark.parametrize(("operation", "surroundings"), [(TABLE[n], s) for n, s in AMONG], ids=[f"{n}-{s}" for n, s in AMONG])
def test_blocks_between_others(operation, surroundings):
    for case in all_cases(operation):
        check_block(case, *SURROUNDINGS[surroundings])
