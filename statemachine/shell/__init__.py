"""What every command of the project shares: options, errors, Ctrl-C, exit statuses and worker processes.

A command is a module with a frozen dataclass ``Options`` and a function ``run(options) -> exit status``. :mod:`.options` makes a
parser of the dataclass, :mod:`.command` runs the module, and :mod:`.workers` spreads tasks over processes. No command sees the
parser or its result.
"""

from __future__ import annotations

__all__: list[str] = []
