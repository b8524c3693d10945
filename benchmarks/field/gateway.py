"""Our gateway, to plain clients: ``python -m benchmarks.field.gateway``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from .play import chat, play, read_plan


def main() -> None:
    """Start the gateway and play the plan on it."""
    plan = read_plan()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "gateway.toml")
        provider = f'[providers.server]\nkind = "{plan.server}"\nbase_url = "{plan.url}"\nparallel = {plan.parallel}\n'
        settings.write_text(f"[gateway]\nport = 0\n{provider}", encoding="utf-8")
        command = [sys.executable, "-m", "adapters", "serve", "--config", str(settings)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
            assert gateway.stdout is not None
            said = next(line for line in gateway.stdout if "listening on" in line)
            url = next(word for word in said.split() if word.startswith("http")).rstrip(".,/")
            try:
                play(plan, lambda call: chat(url, call, **plan.parameters), at_end=gateway.terminate)
            finally:
                gateway.terminate()


if __name__ == "__main__":
    main()
