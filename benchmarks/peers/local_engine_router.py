"""local-engine-router in front of LM Studio: ``python -m benchmarks.peers.local_engine_router``.

``init``: the configuration that its own ``init`` writes for LM Studio, an engine with both models. Otherwise an engine for each model,
because it keeps one *engine* at a time, and the list of what is loaded read from ``/api/v0/models``, which says so model by model.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from benchmarks.field.play import Plan, chat, play, read_plan

DRAIN_SECONDS: Final = 30.0  # its default
START_SECONDS: Final = 180.0  # real ones: a busy machine takes long to import it

INIT: Final = {
    "type": "api_swap",
    "enabled": True,
    "health_path": "/api/v1/models",
    "load_path": "/api/v1/models/load",
    "load_body": {"model": "{model}"},
    "unload_path": "/api/v1/models/unload",
    "unload_body": {"instance_id": "{model}"},
    "loaded_path": "/api/v1/models",
    "loaded_models_key": "data",
    "loaded_name_key": "id",
    "unload_timeout_s": 60,
    "tags_cache_ttl_s": 30,
}
LISTED: Final = {**INIT, "loaded_path": "/api/v0/models", "loaded_filter": "state==loaded"}


def config(plan: Plan, port: int) -> dict[str, Any]:
    """Its configuration: time-outs are scaled as the server's times are; the wait for memory to settle is for real memory."""
    models = sorted({call.model for call in plan.calls})
    if plan.settings["init"]:
        engines = {"lmstudio": {**INIT, "base_url": plan.url}}
        owners = dict.fromkeys(models, "lmstudio")
    else:
        owners = {model: f"engine{number}" for number, model in enumerate(models)}
        engines = {engine: {**LISTED, "base_url": plan.url} for engine in owners.values()}
    return {
        "host": "127.0.0.1",
        "port": port,
        "routing_mode": "manual",
        "drain_timeout_s": plan.real(DRAIN_SECONDS),
        "swap_memory_settle_timeout_s": 0,
        "log_file": "router.log",
        "state_file": "state.json",
        "engines": engines,
        "models": [{"id": model, "engine": engine} for model, engine in owners.items()],
    }


def main() -> None:
    """Start the router and play the plan on it."""
    plan = read_plan()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.yaml").write_text(json.dumps(config(plan, port)), encoding="utf-8")  # JSON is YAML
        command = [sys.executable, "-m", "router", "--config", "config.yaml"]
        # threads that wait end with the process, so the router has to end first
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as router:
            try:
                _wait_for(url + "/health")
                play(plan, lambda call: chat(url, call), at_end=router.terminate)
            finally:
                router.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "127.0.0.1"
    main()
