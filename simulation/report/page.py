"""Write the page of a report: one file with everything inside, readable on light and dark, wide and narrow screens.

The page says in a sentence what was found, and shows the numbers and the pictures. It ends with the settings, the assumptions, and the
command line that repeats the run. The data and a PNG of each picture lie beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from .figures import PageFigure

__all__ = ["Origin", "Table", "write_page"]

SHORT_ROWS: Final = 20


@dataclass(frozen=True)
class Origin:
    """The origin of a report: the command line that repeats it, the settings, and the assumptions, as sentences."""

    command: str
    settings: Mapping[str, str]
    assumptions: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Numbers as text: a title, a row of headings, and rows of as many cells."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_page(
    folder: Path,
    *,
    title: str,
    findings: Sequence[str],
    introduction: str,
    tables: Sequence[Table],
    pictures: Sequence[PageFigure],
    method: str,
    origin: Origin,
    data: Sequence[str],
) -> Path:
    """Write ``index.html``: ``findings`` are sentences, ``data`` files beside the page. Returns its path.

    Long tables come after the pictures.
    """
    page = folder / "index.html"
    short = [table for table in tables if len(table.rows) <= SHORT_ROWS]
    content = _PAGE.format(
        title=escape(title),
        findings="\n".join(f"<p class=finding>{escape(sentence)}</p>" for sentence in findings),
        introduction=escape(introduction),
        tables="\n".join(map(_table, short)),
        long_tables="\n".join(_table(table) for table in tables if table not in short),
        pictures="\n".join(map(_figure, pictures)),
        method=escape(method),
        settings="\n".join(_row((name, value), head=True) for name, value in origin.settings.items()),
        assumptions="\n".join(f"<li>{escape(sentence)}</li>" for sentence in origin.assumptions),
        command=escape(origin.command),
        data=", ".join(f'<a href="{name}">{name}</a>' for name in data),
    )
    page.write_text(content, encoding="utf-8")
    return page


def _figure(picture: PageFigure) -> str:
    caption = escape(picture.caption)
    link = f'<a href="{picture.png}">PNG</a>'
    return f"<figure><figcaption>{caption} {link}</figcaption><div class=wide>{picture.svg}</div></figure>"


def _table(table: Table) -> str:
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in table.head)
    rows = "\n".join(_row(row, head=True) for row in table.rows)
    return (
        f"<h2>{escape(table.title)}</h2><div class=wide><table class=numbers><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(cells: Sequence[str], *, head: bool) -> str:
    first, *rest = map(escape, cells)
    return f"<tr><th scope=row>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --text: #222; --page: #fff; --quiet: #595959; --line: #ddd; --box: #f4f4f4; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #e6e6e6; --page: #16181b; --quiet: #a8a8a8; --line: #3a3d42; --box: #22252a; }}
}}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }}
body {{ color: var(--text); background: var(--page); }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }}
h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
.finding {{ font-size: 1.15rem; }}
.wide {{ overflow-x: auto; }}
.wide svg {{ display: block; width: 100%; min-width: 45rem; height: auto; font-family: system-ui, sans-serif; color: var(--text); }}
figure {{ margin: 2rem 0; }}
figcaption {{ font-weight: 600; }}
figcaption a {{ font-weight: normal; font-size: 0.85rem; }}
a {{ color: inherit; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: 0.25rem 0.75rem; border-bottom: 1px solid var(--line); vertical-align: top; text-align: left; }}
th {{ font-weight: normal; color: var(--quiet); padding-left: 0; }}
.numbers th:first-child {{ position: sticky; left: 0; background: var(--page); color: var(--text); }}
.numbers td, .numbers thead th:not(:first-child) {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
td {{ overflow-wrap: anywhere; }}
pre {{ background: var(--box); padding: 0.75rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
{findings}
{tables}
{pictures}
{long_tables}
<h2>How to read it</h2>
<p>{introduction}</p>
<h2>How it was made</h2>
<p>{method}</p>
<div class=wide><table>
{settings}
</table></div>
<h2>Assumptions</h2>
<ul>
{assumptions}
</ul>
<h2>Again</h2>
<pre>{command}</pre>
<p>Data: {data}</p>
</body>
</html>
"""
