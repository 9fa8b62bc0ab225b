"""Small pieces of static HTML for notebook representations.

Plain text in, escaped text out: no script, no style sheet, no color of its own, so that a table reads the same in a
light and a dark notebook.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_TABLE = "border-collapse:collapse;margin:0.3em 0;color:inherit;background:transparent"
_LINE = "1px solid rgba(128,128,128,0.5)"
_CELL = "padding:0.15em 0.7em;text-align:{align};color:inherit;background:transparent;border-bottom:" + _LINE


def number(value: float, digits: int = 3) -> str:
    """Write a number with a few significant digits and no exponent where it can be avoided.

    Parameters
    ----------
    value : float
        The number.
    digits : int
        Significant digits.

    Returns
    -------
    text : str
        For example ``"6.71"``, ``"1200"`` or ``"2.5e-07"``.

    Examples
    --------
    >>> number(6.7123), number(1234.4), number(2.5e-7)
    ('6.71', '1234', '2.5e-07')
    """
    if 10**digits <= abs(value) < 10**7:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write rows as an HTML table; every cell is escaped, numbers are aligned to the right.

    Parameters
    ----------
    title : str
        A line above the table; may be empty.
    header : sequence of str
        Column titles.
    rows : iterable of sequences
        Cells; floats are written with `number`, everything else with `str`.

    Returns
    -------
    html : str
        One ``<table>`` element.

    Examples
    --------
    >>> "&lt;b&gt;" in table("Patients", ["name"], [["<b>"]])
    True
    """
    head = "".join(f'<th style="{_CELL.format(align="left")}">{escape(str(name))}</th>' for name in header)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    above = f'<caption style="text-align:left;color:inherit">{escape(title)}</caption>' if title else ""
    return f'<table style="{_TABLE}">{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(cell: object) -> str:
    numeric = isinstance(cell, int | float) and not isinstance(cell, bool)
    text = number(cell) if isinstance(cell, float) else str(cell)
    return f'<td style="{_CELL.format(align="right" if numeric else "left")}">{escape(text)}</td>'


def paragraph(text: str) -> str:
    """Write one escaped paragraph.

    Parameters
    ----------
    text : str
        What to say.

    Returns
    -------
    html : str
        One ``<p>`` element.
    """
    return f'<p style="margin:0.2em 0;color:inherit">{escape(text)}</p>'


def picture(png: bytes, *, alt: str) -> str:
    """Embed a PNG picture, with words for those who cannot see it.

    Parameters
    ----------
    png : bytes
        The encoded picture.
    alt : str
        What the picture shows.

    Returns
    -------
    html : str
        One ``<img>`` element with the data inside.
    """
    data = base64.b64encode(png).decode("ascii")
    words = escape(alt, quote=True)
    return f'<img alt="{words}" style="max-width:100%;background:white" src="data:image/png;base64,{data}">'


def section(title: str, *parts: str) -> str:
    """Put HTML parts under a title.

    Parameters
    ----------
    title : str
        Plain text; escaped here.
    *parts : str
        HTML from the other functions of this file; empty ones are left out.

    Returns
    -------
    html : str
        One ``<div>`` element.
    """
    body = "".join(part for part in parts if part)
    return f'<div style="color:inherit"><p style="margin:0.2em 0"><strong>{escape(title)}</strong></p>{body}</div>'


def drawn(picture: str, *shown: Any, **how: Any) -> Any:
    """Draw with `twinprob.plots`, the one wing of pictures, which is imported only when somebody asks for one.

    Parameters
    ----------
    picture : str
        Its function.
    *shown, **how
        As that function takes them.

    Returns
    -------
    figure : matplotlib Figure
    """
    return getattr(importlib.import_module("twinprob.presentation.plots"), picture)(*shown, **how)
