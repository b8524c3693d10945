"""Turn figures into parts of a page: an SVG that follows the page's colours, a PNG beside the page, and bounds on their size.

In the SVG black is the page's text colour and the background is the page's, so a figure is readable on light and on dark. A figure with
more than ``SHAPES_LIMIT`` shapes is an image inside the SVG: its caption says so.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

__all__ = ["POINTS_LIMIT", "SHAPES_LIMIT", "PageFigure", "plain_text", "saved", "thinned"]

SHAPES_LIMIT: Final = 4000
"""Most shapes that a figure's SVG draws one by one."""
POINTS_LIMIT: Final = 1000
"""Most points of a curve."""

_STYLE: Final = {
    "text.parse_math": False,  # a dollar sign in the name of a model or an agent begins no formula
    "svg.fonttype": "none",
    "svg.hashsalt": "llm-slot-manager",  # the same figure has the same bytes
    "font.size": 11.0,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


_COLOURS: Final = {
    "<text ": '<text fill="currentColor" ',
    "#000000": "currentColor",
    "stroke: #eeeeee": "stroke: currentColor; stroke-opacity: 0.15",
    "stroke: #bbbbbb": "stroke: currentColor; stroke-opacity: 0.35",
}
"""Black and faint lines take the page's colours."""


class PageFigure(NamedTuple):
    """A figure on a page: what it shows in a sentence, its SVG, and the PNG beside the page."""

    caption: str
    svg: str
    png: str


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw in this block with the style of the page's figures; names from outside are plain text."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # its keys are a union of all names there are
        yield


def thinned(values: Sequence[float]) -> list[float]:
    """Return at most :data:`POINTS_LIMIT` of ``values``, sorted and evenly spread by rank, with both extremes."""
    ordered = sorted(values)
    if len(ordered) <= POINTS_LIMIT:
        return ordered
    last = len(ordered) - 1
    return [ordered[round(rank * last / (POINTS_LIMIT - 1))] for rank in range(POINTS_LIMIT)]


def saved(folder: Path, figures: Mapping[str, tuple[str, Figure]]) -> list[PageFigure]:
    """Write a PNG of each (caption, figure) into ``folder``, which must exist. Returns them as pictures of a page."""
    pictures = []
    for name, (caption, figure) in figures.items():
        FigureCanvasAgg(figure)
        figure.savefig(folder / name, dpi=110, facecolor="white", metadata={"Software": None})
        figure.suptitle("")  # the page has the caption
        shapes = _shapes(figure)
        if shapes > SHAPES_LIMIT:
            caption = f"{caption} (the {shapes:,} bars are drawn as an image)"
        pictures.append(PageFigure(caption, _svg(figure), name))
    return pictures


def _shapes(figure: Figure) -> int:
    """Count the bars and marks; where they are too many, draw them as one image."""
    drawn: list[Collection] = [artist for artist in figure.findobj(Collection) if isinstance(artist, Collection)]
    shapes = sum(len(artist.get_paths()) for artist in drawn)
    if shapes > SHAPES_LIMIT:
        for artist in drawn:
            artist.set_rasterized(True)
    for line in figure.findobj(Line2D):
        _rasterise_if_long(line)
    return shapes


def _rasterise_if_long(artist: Artist) -> None:
    if isinstance(artist, Line2D) and len(artist.get_path()) > 4 * POINTS_LIMIT:
        artist.set_rasterized(True)


def _svg(figure: Figure) -> str:
    FigureCanvasSVG(figure)
    content = io.StringIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None}
    figure.savefig(content, format="svg", dpi=80, metadata=metadata)
    text = content.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)
    for colour, shown in _COLOURS.items():
        text = text.replace(colour, shown)
    return text
