"""A server with LM Studio's paths, as small as it can be: two models, no memory limit, loads of 0.3 s, answers as long as they are told.

``/api/v1/models/load`` makes another instance each time, as the real one does: ``key``, ``key:2``, ``key:3``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

__all__ = ["SmallServer", "say"]

MODELS: Final = ("small", "large")
LOAD_SECONDS: Final = 0.3
TOKEN_SECONDS: Final = 0.1
BEGAN: Final = time.monotonic()


def say(*words: object) -> None:
    """Print with the time."""
    print(f"{time.monotonic() - BEGAN:5.1f} s ", *words, flush=True)


class SmallServer:
    """``loaded``: the instances; ``most``: the most different models that were loaded at once; ``killed``: answers cut by an unload."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.most = 0
        self.killed = 0

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on a free port; yields the URL."""
        handler = type("Handler", (_Handler,), {"owner": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
            http.daemon_threads = True
            threading.Thread(target=http.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{http.server_port}"
            http.shutdown()

    def load(self, model: str) -> str:
        """Make one more instance."""
        time.sleep(LOAD_SECONDS)
        copies = sum(name.split(":")[0] == model for name in self.loaded)
        instance = f"{model}:{copies + 1}" if copies else model
        self.loaded.append(instance)
        self.most = max(self.most, len({name.split(":")[0] for name in self.loaded}))
        say(f"server: {instance} is loaded, together with {self.loaded[:-1] or 'nothing'}")
        return instance

    def unload(self, instance: str) -> None:
        """Forget an instance, whatever it does."""
        if instance in self.loaded:
            self.loaded.remove(instance)
            say(f"server: {instance} is unloaded")


class _Handler(BaseHTTPRequestHandler):
    owner: SmallServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        loaded = self.owner.loaded
        if self.path == "/api/v1/models":
            rows = [{"key": m, "loaded_instances": [{"id": i} for i in loaded if i.split(":")[0] == m]} for m in MODELS]
            self._send({"models": rows})
        else:
            idle = [{"id": m, "state": "not-loaded"} for m in MODELS if m not in loaded]
            self._send({"data": [*({"id": i, "state": "loaded"} for i in loaded), *idle]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/v1/models/load":
            self._send({"instance_id": self.owner.load(body["model"]), "status": "loaded"})
        elif self.path == "/api/v1/models/unload":
            self.owner.unload(body["instance_id"])
            self._send({"instance_id": body["instance_id"]})
        else:
            self._answer(body)

    def _answer(self, body: dict[str, Any]) -> None:
        model = body["model"]
        if model not in self.owner.loaded:
            self.owner.load(model)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for _ in range(body["max_tokens"]):
            if model not in self.owner.loaded:
                self.owner.killed += 1
                say(f"server: an answer of {model} is cut")
                self.wfile.write(b'data: {"error": {"message": "Model unloaded"}}\n\n')
                return
            time.sleep(TOKEN_SECONDS)
            self.wfile.write(b'data: {"choices": [{"delta": {"content": "word "}}]}\n\n')
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
