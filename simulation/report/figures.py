"""What all plots share: names from outside are plain text, and figures are saved without a display."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["plain_text", "saved"]


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw in this block: a dollar sign in the name of a model or an agent begins no formula."""
    with matplotlib.rc_context({"text.parse_math": False}):
        yield


def saved(folder: Path, figures: Mapping[str, tuple[str, Figure]]) -> dict[str, str]:
    """Write each (caption, figure) into ``folder``, which must exist. Returns captions by file name."""
    for name, (_, figure) in figures.items():
        FigureCanvasAgg(figure)
        figure.savefig(folder / name, dpi=110)
    return {name: caption for name, (caption, _) in figures.items()}
