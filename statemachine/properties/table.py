"""The files of ``always`` properties, as they are evaluated: each import is a row, and the file says the rest in ``ALWAYS``."""

from __future__ import annotations

from . import always as always
from . import waiting as waiting
