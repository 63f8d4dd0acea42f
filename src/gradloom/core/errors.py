"""Errors and warnings, and the user's line: where in somebody's code an array came from."""
from __future__ import annotations

import dataclasses
import importlib
import linecache
import os
import sys
from types import CodeType
from typing import Any

from ..machine.caches import cache

Site = tuple[CodeType, int]

WRITTEN = "<gradloom "  # how the files of functions that the library wrote out begin
_PACKAGE = __name__.partition(".")[0] + "."
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHONS = os.path.dirname(os.__file__) + os.sep
# of each file: whether it is gradloom's, or of a library that calls it, and so not the user's
known_files: dict[str, bool] = cache(f"{__name__}.known_files", {})
_CALLERS = ("numpy", "torch", "scipy", "optree")


class GradloomError(Exception):
    """The root of every error that gradloom raises on purpose; each message ends with what to write instead."""


class TraceError(GradloomError, RuntimeError):
    """Something about the trace: an untraced target, a derivative that was not recorded, arrays of two traces."""


class LabelError(GradloomError, ValueError):
    """Labels that do not exist, do not fit the array, or do not fit each other."""


class AxisError(LabelError, IndexError):
    """An axis that the array has not."""


class ShapeError(GradloomError, ValueError):
    """Sizes that do not fit."""


class IndexShapeError(ShapeError, IndexError):
    """An index with more axes than the array, or a mask of other sizes."""


class TypeRefused(GradloomError, TypeError):
    """A type that cannot be used in this place."""


class ValueRefused(GradloomError, ValueError):
    """A value that an option or an argument does not take."""


class IndexRefused(GradloomError, IndexError):
    """A position that is not there."""


class UnknownName(GradloomError, KeyError):
    """A name that is not there: of a layer, of a parameter, of a part of a Jacobian."""

    __str__ = Exception.__str__  # KeyError would print the repr of its message


class NotFinite(GradloomError, FloatingPointError):
    """A NaN or an infinity, where `check_finite` was on."""


class FileRefused(GradloomError, ValueError):
    """A file that is damaged, or is not what it is taken for."""


class DataError(GradloomError, RuntimeError):
    """Data that cannot be read: a broken file, observations that do not fit together, an end that was passed."""


class MissingPackage(GradloomError, ImportError):
    """A package that gradloom does without is not installed."""


class GradloomWarning(UserWarning):
    """The root of gradloom's warnings."""


class BatchDependenceWarning(GradloomWarning):
    """Observations that were taken to be independent are not, or cannot be proved to be."""


def user_site(depth: int = 1) -> Site | None:
    """The instruction outside gradloom that is running: a code object and an offset, no frame is kept."""
    frame: Any = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        inside = known_files.get(file)
        if inside is None:
            inside = known_files[file] = _is_inside(file)
        if not inside and not (file == "<string>" and str(frame.f_globals.get("__name__")).startswith(_PACKAGE)):
            return code, frame.f_lasti  # neither a file of ours nor the constructor of a dataclass of ours
        frame = frame.f_back
    return None


def is_inside(file: str) -> bool:
    """Whether a file is gradloom's, or of a library that it calls: not the user's."""
    found = known_files.get(file)
    if found is None:
        found = known_files[file] = _is_inside(file)
    return found


def _is_inside(file: str) -> bool:
    if file.startswith((_HERE, WRITTEN)) or file == dataclasses.__file__:  # whose `replace` makes a layer again
        return True
    folders = [os.path.dirname(getattr(sys.modules[name], "__file__", None) or "") for name in _CALLERS
               if name in sys.modules]
    return any(file.startswith(folder + os.sep) for folder in folders if folder)


def called_from(library: str) -> bool:
    """Whether a library's code stands between the user's line and this one."""
    frame: Any = sys._getframe(1)
    while frame is not None and is_inside(frame.f_code.co_filename):
        if f"{os.sep}{library}{os.sep}" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def is_pythons(file: str) -> bool:
    """Whether a file is of Python's own library."""
    return file.startswith(("<frozen ", _PYTHONS)) and "site-packages" not in file


def from_inside(error: BaseException) -> bool:
    """Whether an error that was just caught comes from within the function that was called, not from the call itself:
    from arguments that it does not take."""
    return error.__traceback__ is None or error.__traceback__.tb_next is not None


def line_of(site: Site | None) -> str:
    """`file.py:12: y = net(x)`, for a message."""
    if site is None:
        return "an unknown line"
    code, instruction = site
    number = code.co_firstlineno
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            number = line
    text = linecache.getline(code.co_filename, number).strip()
    name = code.co_filename if code.co_filename.startswith("<") else os.path.basename(code.co_filename)
    return f"{name}:{number}" + (f": {text}" if text else "")


EXTRAS = {"matplotlib": "plot", "networkx": "plot", "PIL": "pillow"}  # of packages, where it is called otherwise


def needed(module: str, word: str) -> Any:
    """A module of a package that not everybody has, for a word that cannot do without it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPackage(f"{word} needs {package}, which cannot be imported ({error}), at {line_of(user_site())}; "
                             f"write pip install \"gradloom[{EXTRAS.get(package, package)}]\"") from None
