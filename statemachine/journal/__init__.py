"""The journal: write every event and effect of a coordinator as JSON lines, and verify such a file.

A journal is a proof that can be checked: :func:`.verify.verify` replays it through ``Coordinator.step`` and evaluates every ``always``
property. It contains no text, no option and no credential. Configurations are distinguished by a digest.
"""

from __future__ import annotations

__all__: list[str] = []
