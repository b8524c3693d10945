"""The report folder: every request, the numbers, the pictures, and a page that shows them all and says how to make them again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Final

from ..analysis.metrics import Summary, table
from ..drivers.manager import Replay
from ..drivers.record import json_lines
from ..workloads.workload import Workload
from .replay_plots import draw_all

__all__ = ["Origin", "write_page", "write_report"]


@dataclass(frozen=True)
class Origin:
    """Where a report comes from: the command line that repeats it, the settings it ran under, and what was assumed, as sentences."""

    command: str
    settings: Mapping[str, str]
    assumptions: tuple[str, ...]


def write_report(folder: Path, workload: Workload, replay: Replay, summary: Summary, origin: Origin) -> Path:
    """Write everything into ``folder``, made where needed; files of an earlier report are replaced. Returns the page's path.

    ``requests.jsonl`` has one record per line (:class:`CallRecord`, seconds), ``summary.json`` the :class:`Summary` and the origin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requests.jsonl").write_text(json_lines(replay.records), encoding="utf-8")
    (folder / "summary.json").write_text(_summary_json(workload, summary, origin), encoding="utf-8")
    pictures = draw_all(folder, replay.records, replay.intervals, summary.makespan)
    return write_page(
        folder,
        title=f"Replay of {workload.name}",
        introduction=_INTRODUCTION,
        text=table(summary),
        pictures=pictures,
        method="Every call went through the real manager, engine and adapter against the mock server, on a virtual clock.",
        origin=origin,
        data=("requests.jsonl", "summary.json"),
    )


def _summary_json(workload: Workload, summary: Summary, origin: Origin) -> str:
    content = {
        "workload": workload.name,
        "agents": len(workload.agents),
        "models": workload.models,
        **asdict(origin),
        "summary": asdict(summary),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_page(
    folder: Path,
    *,
    title: str,
    introduction: str,
    text: str,
    pictures: Mapping[str, str],
    method: str,
    origin: Origin,
    data: Sequence[str],
) -> Path:
    """Write ``index.html``: ``text`` as it stands, ``pictures`` (captions by file name), and links to ``data``, files beside it."""
    rows = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in origin.settings.items())
    figures = (
        f'<figure><a href="{name}"><img src="{name}" alt="{escape(caption)}"></a></figure>'
        for name, caption in pictures.items()
    )
    page = folder / "index.html"
    content = _PAGE.format(
        title=escape(title),
        introduction=escape(introduction),
        text=escape(text),
        pictures="\n".join(figures),
        method=escape(method),
        settings="\n".join(rows),
        assumptions="\n".join(f"<li>{escape(sentence)}</li>" for sentence in origin.assumptions),
        command=escape(origin.command),
        data=", ".join(f'<a href="{name}">{name}</a>' for name in data),
    )
    page.write_text(content, encoding="utf-8")
    return page


_INTRODUCTION: Final = (
    "Times are virtual seconds, counted from each request's arrival. Percentiles are nearest-rank, over the requests that succeeded."
    " TTFT and total include queueing and loading. Time spent switching is the share of the makespan in which the slot was loading or"
    " unloading a model, the first load included."
)

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
pre {{ background: #f4f4f4; padding: 1rem; overflow-x: auto; }}
img {{ max-width: 100%; }}
figure {{ margin: 1rem 0; }}
th {{ text-align: left; padding-right: 2rem; font-weight: normal; color: #555; vertical-align: top; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{introduction}</p>
<pre>{text}</pre>
{pictures}
<h2>How it was made</h2>
<p>{method}</p>
<table>
{settings}
</table>
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
