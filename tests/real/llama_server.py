"""A real llama.cpp server in router mode, as a process of the tests. It tells by its own log which models it loaded, and in which order."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["LlamaServer", "why_not_run"]

START_SECONDS: Final = 60
STOP_SECONDS: Final = 10
POLL_SECONDS: Final = 0.02
_LISTENING: Final = re.compile(r"llama_server: listening on http://127\.0\.0\.1:(\d+)")
_READY: Final = re.compile(r'cmd_child_to_router:state:\{"state":"ready","payload":\{"id":"([^"]+)"')


def why_not_run(program: Path) -> str | None:
    """Why the program cannot run on this machine (its C library is too old, say), or None where it can."""
    environment = {"LD_LIBRARY_PATH": str(program.parent)}
    try:
        done = subprocess.run([program, "--version"], env=environment, capture_output=True, timeout=START_SECONDS)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else f"exit code {done.returncode}, {done.stderr[-200:]!r}"


class LlamaServer:
    """``llama-server --models-dir``: every ``NAME.gguf`` of the folder is a model called NAME; at most one is loaded.

    ``start`` and ``kill`` may be repeated: the server comes back at the same address. Everything blocks, and is bounded.
    """

    def __init__(self, program: Path, models: Path, log: Path, *more: str) -> None:
        self._command = [str(program), "--models-dir", str(models), "--models-max", "1", "--host", "127.0.0.1", *more]
        self._environment = {"LD_LIBRARY_PATH": str(program.parent), "HOME": str(log.parent)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it listens."""
        position = len(self.log())
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._command, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while (listening := _LISTENING.search(self.log(), position)) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not start: {self.log()[position:][-2000:]}")
            time.sleep(POLL_SECONDS)
        self.port = int(listening[1])

    def kill(self) -> None:
        """Kill the server; its models' processes end by themselves when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None

    def stop(self) -> None:
        """Ask the server to stop, and wait until it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill_model(self) -> None:
        """Kill the processes of the models, as a crash of their engine would."""
        assert self._process is not None, "the server must run"
        command = ["pkill", "--signal", "KILL", "--parent", str(self._process.pid)]
        subprocess.run(command, check=True)

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def loads(self) -> list[str]:
        """The models that were loaded since the log began, in this order. A model that was loaded twice is there twice."""
        return _READY.findall(self.log())

    # ---- what a user does beside the programs under test ----

    def states(self) -> dict[str, str]:
        """The state of every model, by its name."""
        rows: Sequence[Any] = self._request("GET", "/models")["data"]
        return {row["id"]: row["status"]["value"] for row in rows}

    def resident(self) -> list[str]:
        """The models that are not unloaded."""
        return [name for name, state in self.states().items() if state != "unloaded"]

    def is_answering(self, model: str) -> bool:
        """Whether the loaded ``model`` is making an answer."""
        slots: Sequence[Any] = self._request("GET", f"/slots?model={model}")
        return any(slot["is_processing"] for slot in slots)

    def wait_idle(self, model: str) -> None:
        """Wait until the loaded ``model`` makes no answer."""
        self._wait(lambda: not self.is_answering(model), f"{model} goes on answering")

    def wait_gone(self, model: str) -> None:
        """Wait until the server has noticed that ``model`` is gone."""
        self._wait(lambda: model not in self.resident(), f"{model} is still there")

    def load(self, model: str) -> None:
        """Load ``model`` and wait until it is loaded."""
        self._request("POST", "/models/load", {"model": model})
        self._wait(lambda: self.states()[model] == "loaded", f"{model} is not loaded")

    def unload(self, model: str) -> None:
        """Unload ``model`` and wait until it is gone."""
        self._request("POST", "/models/unload", {"model": model})
        self.wait_gone(model)

    def empty(self) -> None:
        """Unload what is loaded."""
        for model in self.resident():
            self.unload(model)

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            assert time.monotonic() < deadline, otherwise
            time.sleep(POLL_SECONDS)

    def _request(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from None
