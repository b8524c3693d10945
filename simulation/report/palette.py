"""Colours of the pictures. Models have those of Okabe and Ito ("Color Universal Design", 2008), policies and measures those of Paul Tol's
muted scheme: no colour has two meanings on a page, and people with any colour vision can tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from matplotlib.colors import to_rgb

from ..drivers.record import CallRecord

__all__ = ["MODELS", "SERIES", "model_colours", "tint"]

MODELS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442")
SERIES: Final = ("#CC6677", "#44AA99", "#AA4499", "#999933", "#882255", "#88CCEE", "#117733", "#6699CC")


def model_colours(records: Iterable[CallRecord]) -> dict[str, str]:
    """Return a colour for each model, in the order of their names, so it is the same in every picture. Beyond seven they repeat."""
    models = sorted({record.model for record in records})
    return {model: MODELS[index % len(MODELS)] for index, model in enumerate(models)}


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """Return ``colour`` mixed with white; ``strength`` is from 0 (white) to 1."""
    red, green, blue = to_rgb(colour)
    return 1 - strength * (1 - red), 1 - strength * (1 - green), 1 - strength * (1 - blue)
