"""The argument parser of every command: what is wrong with a command line is told in one line, without the usage."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """Ends the process with status 2 and one line where the arguments are wrong. Options cannot be shortened."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Say ``message`` and end the process."""
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")
