"""The adapter of docs/conformance.md, against a real server on loopback: what the page says about it is so."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from adapters.conformance import check

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


class _Lines(BaseHTTPRequestHandler):
    """Answers with the words of the prompt, one a line, and ``done``."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        lines = "".join(f"{word}\n" for word in [*body["messages"][-1]["content"].split(), "done"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(lines)))
        self.end_headers()
        self.wfile.write(lines)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is to be printed."""


@contextmanager
def _serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Lines)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_adapter_of_the_page_gets_the_verdict_of_the_page() -> None:
    example = re.search(r"```python\n(# mine\.py\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    namespace: dict[str, Any] = {}
    exec(example[1], namespace)
    with _serving() as url:
        report = check(namespace["MyAdapter"], options={"base_url": url}, capabilities={"parallel": 4}, examples=0)
    assert report.failed == ["no-leftovers"]
    assert report.exit_code == 0
