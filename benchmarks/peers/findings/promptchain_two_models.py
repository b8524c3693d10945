"""promptchain 0.1.1: with ``max_resident=1``, two models are resident when a second thread asks while the first one's model answers.

``_make_room`` skips a model that is in use, and then "the load proceeds anyway". Where both models fit into memory, nothing is lost; where
they do not, the server refuses the load, or swaps memory to disk. To wait for the victim's ``request_lock`` instead of skipping it would
keep the promise of ``max_resident``.

On a cold start two threads at once have the same effect, because room is made before the load and the model counts only after it.
"""

from __future__ import annotations

import threading
import time

from promptchain import Endpoint, ModelManager

from benchmarks.peers.findings.small_server import SmallServer, say


def main() -> None:
    """Ask for one model, and for the other while the first answers."""
    server = SmallServer()
    with server.running() as url:
        manager = ModelManager(policy="auto", max_resident=1)
        for name in ("small", "large"):
            manager.register(name, Endpoint("lmstudio", name, base_url=url))

        def ask(name: str, tokens: int) -> None:
            with manager.use(name) as model:
                model.complete(user_message="hello", max_tokens=tokens)
            say(f"client: {name} has answered")

        first = threading.Thread(target=ask, args=("small", 20))
        first.start()
        time.sleep(1)
        ask("large", 3)
        first.join()
    print(f"different models resident at once: {server.most}; asked for: at most 1")


if __name__ == "__main__":
    main()
