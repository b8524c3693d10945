"""What users do without a manager: ``python -m benchmarks.field.alone``. Calls go straight to the server, which loads just in time."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext

from .play import Call, chat, play, read_plan


def main() -> None:
    """Play the plan with no lock, a lock for each model, or one lock for all (``lock`` of the settings)."""
    plan = read_plan()
    one = threading.Lock()
    of_model: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
    which = plan.settings["lock"]

    def lock(model: str) -> AbstractContextManager[object]:
        return nullcontext() if which == "none" else one if which == "one" else of_model[model]

    def answer(call: Call) -> str:
        with lock(call.model):
            return chat(plan.url, call, **plan.parameters)

    play(plan, answer)


if __name__ == "__main__":
    main()
