"""Hypothesis profiles, by ``HYPOTHESIS_PROFILE`` in the environment: nothing for the usual bounded one, ``thorough`` for a long campaign,
``mutation`` for one that comes to the same verdict each time and does not say more than that."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

settings.register_profile("default", deadline=None, print_blob=True, max_examples=100)
settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=5000, stateful_step_count=100)
settings.register_profile(
    "mutation", deadline=None, max_examples=25, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
