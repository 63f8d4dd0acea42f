"""Calls of datastores and queues with options that they have not."""
from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from ..core.errors import TypeRefused, from_inside, line_of, user_site
from ..vocabulary.options import by_name_and_value, unknown_option

Class = TypeVar("Class", bound=type)


def explained_options(cls: Class) -> Class:
    """The class, where a call with an option that it has not is an error that spells it as it is here."""
    made: Any = cls.__init__  # type: ignore[misc]
    parameters = list(inspect.signature(made).parameters.values())[1:]
    options = [p.name for p in parameters]
    way = f"write {cls.__name__}{inspect.Signature([p.replace(annotation=p.empty) for p in parameters])}"

    @functools.wraps(made)
    def called(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            return made(self, *args, **kwargs)
        except TypeError as error:
            if from_inside(error):
                raise
            refused = error
        word = next((name for name in kwargs if name not in options), None)
        if word is not None:
            said = unknown_option(cls.__name__, word, kwargs[word], options)
            raise TypeRefused(f"{cls.__name__} has no {word}=, at {line_of(user_site())}{said}; {way}")
        known = by_name_and_value(cls.__name__, args, options)
        text = str(refused).replace(f"{cls.__name__}.__init__", cls.__name__)
        raise TypeRefused(f"{text}, at {line_of(user_site())}; {known + '; ' if known else ''}{way}")

    cls.__init__ = called  # type: ignore[misc]
    return cls


__all__ = ["explained_options"]
