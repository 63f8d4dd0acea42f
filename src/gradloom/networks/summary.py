"""What networks and their parameters print: rows as a text table and as HTML, and arrays in a few words."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ..core.array import dlarray
from ..core.labels import described
from ..core.trace import live
from ..machine.dtypes import NAMES


def value_described(value: Any) -> str:
    """Shape and type of a parameter: `20 x 1 x 5 x 5 float32`."""
    if type(value) is not dlarray:
        return repr(value)
    return f"{described(value.shape, value._labels)} {NAMES[value._value.dtype]}"


def arrays_described(arrays: Sequence[Any]) -> str:
    """How many numbers arrays hold, of which types, where, and whether they are traced: `159 learnables float32`."""
    arrays = [x for x in arrays if type(x) is dlarray]
    kinds = ", ".join(dict.fromkeys(NAMES[x._value.dtype] for x in arrays))
    where = ", ".join(dict.fromkeys(str(x._value.device) for x in arrays if x._value.device.type != "cpu"))
    traced = "traced" if any(live(x._node) is not None for x in arrays) else ""
    return " ".join(w for w in (f"{sum(x.size for x in arrays):,} learnables", kinds, where, traced) if w)


def aligned_rows(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a text table; columns are as wide as they need to be."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as an HTML table, the first as its head."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


__all__ = ["aligned_rows", "arrays_described", "html_table", "value_described"]
