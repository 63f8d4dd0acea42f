"""Every function of MATLAB that takes dlarrays is here under its name, or its name is an error with the spelling that is."""

import re

import pytest
from matlab_functions import NAMES

import gradloom as gl
from gradloom import dlfeval
from gradloom.vocabulary.foreign import PLANNED
from gradloom.vocabulary.matlab import ABSENT, table

TABLE = table()

# Words of the right side of the table that are not names of functions here: operands, Python's own, prose.
WORDS = """
A B False Hermitian True a and are axes axis b device dtype equal_nan float high i k largest leading low matrices n not of or
pages peak print shape the v x y
"""


def wrong(name):
    """What is wrong with a name of MATLAB here, None where it is a function or an error with the spelling that is."""
    try:
        there = getattr(gl, name)
    except AttributeError as refused:
        words = "no counterpart here" if name in ABSENT else "planned" if name in PLANNED else f"MATLAB's {name} is written {TABLE[name]} here"
        return None if words in str(refused) else f"{name}: {refused} does not say {words!r}"
    if name in TABLE:
        return f"{name} is here, and needs no other spelling"
    return None if callable(there) else f"{name} is not callable"


def test_each_name_is_here_or_says_how_it_is_spelled():
    assert len(NAMES) > 200
    assert [line for line in map(wrong, NAMES) if line] == []


def test_the_new_spellings_exist():
    there = {*WORDS.split(), *dir(gl)}
    spelled = [(name, word) for name in NAMES if name in TABLE for word in re.findall(r"(?<![.\w\"])[A-Za-z_]\w*", TABLE[name])]
    assert [f"{name} is written {TABLE[name]!r}, and there is no {word}" for name, word in spelled if word not in there] == []


# Spellings that a name alone does not prove: the code of the table, and what MATLAB's function gives on the same numbers.
A, B = [[4.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [3.0, 5.0]]
SPELLED = {
    "mldivide": ("solve(A, B)", [[0.0, 0.1], [1.0, 1.6]]),
    "mrdivide": ("solve(B.mT, A.mT).mT", [[-17.0, 7.0], [-1.0, 1.0]]),
    "mtimes": ("A @ B", [[7.0, 13.0], [11.0, 19.0]]),
    "ldivide": ("B / A", [[0.25, 2.0], [1.5, 5 / 3]]),
    "ctranspose": ("A.H", [[4.0, 2.0], [1.0, 3.0]]),
    "rem": ("fmod(-5.0 * A, 3.0)", [[-2.0, -2.0], [-1.0, 0.0]]),
    "fix": ("trunc(-A / 3)", [[-1.0, 0.0], [0.0, -1.0]]),
    "dot": ("vecdot(A, B, axis=0)", [10.0, 17.0]),
    "maxk": ("topk(A, 1)[0]", [[4.0], [3.0]]),
    "mink": ("topk(A, 1, largest=False)[0]", [[1.0], [2.0]]),
    "range": ("max(A) - min(A)", 3.0),
    "repmat": ("tile(A, (1, 2))", [[4.0, 1.0, 4.0, 1.0], [2.0, 3.0, 2.0, 3.0]]),
    "repelem": ("repeat(A, 2, axis=1)", [[4.0, 4.0, 1.0, 1.0], [2.0, 2.0, 3.0, 3.0]]),
    "circshift": ("roll(A, 1, axis=0)", [[2.0, 3.0], [4.0, 1.0]]),
    "vecnorm": ("norm(A, axis=0)", [20**0.5, 10**0.5]),
    "horzcat": ("concat([A, B], axis=1)", [[4.0, 1.0, 1.0, 2.0], [2.0, 3.0, 3.0, 5.0]]),
    "vertcat": ("concat([A, B], axis=0)", [[4.0, 1.0], [2.0, 3.0], [1.0, 2.0], [3.0, 5.0]]),
    "prctile": ("quantile(A, 30 / 100, axis=0, method=\"hazen\")", [2.2, 1.2]),
    "paddata": ("pad(A, [(0, 1), (0, 0)])", [[4.0, 1.0], [2.0, 3.0], [0.0, 0.0]]),
    "depthToSpace": ("reshape(permute_dims(reshape(A, (2, 1, 2)), (0, 2, 1)), (4, 1))", [[4.0], [1.0], [2.0], [3.0]]),
    "invlogit": ("sigmoid(A - A)", [[0.5, 0.5], [0.5, 0.5]]),
    "psnr": ("10 * log10(10 ** 2 / mean((A - A - 1) ** 2))", 20.0),
}


@pytest.mark.parametrize("name", SPELLED)
def test_the_new_spelling_computes_what_matlab_computes(name):
    code, expected = SPELLED[name]
    found = dlfeval(lambda a, b: eval(code, {**vars(gl), "A": a, "B": b}), gl.dlarray(A), gl.dlarray(B))
    assert gl.sum(gl.abs(found - gl.dlarray(expected))).item() < 1e-12
