"""The words of which the mock servers' answers are made."""

from __future__ import annotations

import re
from random import Random
from typing import Final

__all__ = ["made_up_tokens"]


def made_up_tokens(count: int, *origin: str | int) -> list[str]:
    """Return ``count`` words, always the same for the same ``origin``."""
    return Random(repr(origin)).choices(_WORDS, k=count)


_WORDS: Final = tuple(
    f"{word} "
    for word in re.findall(
        r"\w+",
        "an and as at by each for from in is it no not of on one or over so than that the then there this to was with"
        " answer case cost day end fact form hand line name part place point question reason rule side state step way",
    )
)
