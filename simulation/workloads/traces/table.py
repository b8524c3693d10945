"""The trace formats: each import is a row, named as its file, which says the rest in ``FORMAT``."""

from __future__ import annotations

from . import azure as azure
from . import burstgpt as burstgpt
from . import mooncake as mooncake
from . import slots as slots
from . import spans as spans
from . import weka as weka
