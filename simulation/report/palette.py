"""Colours of the pictures, those of Okabe and Ito ("Color Universal Design", 2008): people with any colour vision can tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from matplotlib.colors import to_rgb

from ..drivers.record import CallRecord

__all__ = ["PALETTE", "model_colours", "tint"]

PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442")


def model_colours(records: Iterable[CallRecord]) -> dict[str, str]:
    """A colour for each model, by the models' names: the same in every picture. Beyond seven they repeat."""
    models = sorted({record.model for record in records})
    return {model: PALETTE[index % len(PALETTE)] for index, model in enumerate(models)}


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """``colour`` thinned with white; ``strength`` is from 0 (white) to 1."""
    red, green, blue = to_rgb(colour)
    return 1 - strength * (1 - red), 1 - strength * (1 - green), 1 - strength * (1 - blue)
