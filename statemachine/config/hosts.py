"""One spelling for each host: addresses are written in many ways, and names too.

Example: ``127.1``, ``0x7f.0.0.1``, ``[0:0:0:0:0:0:0:1]`` and ``0.0.0.0`` are all this host, ``localhost``.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote

__all__ = ["host_name"]

_THIS_HOST = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1", "::"})
"""Names of the host itself. A client that asks the unspecified address is connected to it, too."""
_NUMBER = re.compile(r"0x[0-9a-f]{1,8}|[0-9]{1,12}")


def host_name(host: str) -> str:
    """Return one spelling of ``host``: of an address as a resolver reads it, of a name in ASCII and without the dot at its end."""
    spelled = _spelled(unquote(host).lower().rstrip(".") or host)
    return "localhost" if spelled in _THIS_HOST else spelled


def _spelled(host: str) -> str:
    if ":" in host:
        try:
            address = IPv6Address(host)
        except ValueError:
            return host
        return str(address.ipv4_mapped or address)
    parts = host.split(".")
    if len(parts) <= 4 and all(_NUMBER.fullmatch(part) for part in parts):
        return _address([_number(part) for part in parts]) or host
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _number(part: str) -> int:
    """Return the number that a part of an address stands for: hexadecimal, octal or decimal, as C has them. -1: none."""
    try:
        return int(part, 16 if part.startswith("0x") else 8 if part.startswith("0") else 10)
    except ValueError:
        return -1


def _address(parts: list[int]) -> str | None:
    """Return the IPv4 address of one to four numbers, of which the last fills what the others leave (``127.1``); None: there is none."""
    *first, last = parts
    if not all(0 <= part < 256 for part in first) or not 0 <= last < 256 ** (4 - len(first)):
        return None
    return str(IPv4Address(sum(part << (24 - 8 * place) for place, part in enumerate(first)) + last))
