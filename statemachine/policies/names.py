"""The ways to say which policy: a name such as ``fifo`` or ``gated:4``, a class, another factory, or an instance."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from types import ModuleType
from typing import Final

from ..checks import shown
from ..errors import ConfigurationError
from . import table
from .policy import NamedPolicy, Policy, PolicyFactory

__all__ = ["BASELINE", "DEFAULT", "NAMES", "factory_of", "name_of", "policies_named", "policy_named"]

BASELINE: Final = "fifo"
"""The policy that all others are compared with."""

DEFAULT: Final = "gated"
"""The policy of a manager that is not told another."""

_POLICIES: Final[dict[str, NamedPolicy]] = {
    name: file.POLICY
    for name, file in vars(table).items()
    if isinstance(file, ModuleType) and name.isidentifier()  # pytest adds modules of its own, under names that are none
}

NAMES: Final = ", ".join(f"{name}[:{parameter}]" if parameter else name for name, (_, parameter) in _POLICIES.items())
"""All of them, for help and errors."""


def factory_of(policy: PolicyFactory | Policy | str) -> PolicyFactory:
    """Return a factory for ``policy``. Each queue gets a copy of an instance, which must be unused. Raises ConfigurationError."""
    if isinstance(policy, str):
        return policy_named(policy)
    if callable(policy):
        return policy
    if hasattr(policy, "choose"):
        return partial(deepcopy, policy)
    raise ConfigurationError("policy", f"must be a policy, a factory of policies, or one of {NAMES}", shown(policy))


def policy_named(text: str) -> PolicyFactory:
    """Return a factory for the policy that ``text`` names. Raises ConfigurationError."""
    name, colon, number = text.partition(":")
    policy, parameter = _POLICIES.get(name, (None, None))
    if policy is None or (colon and not (parameter and number.isascii() and number.isdigit())):
        raise ConfigurationError("policy", f"must be one of {NAMES}", f"a string of {len(text)} characters")
    return partial(policy, int(number)) if colon else policy


def name_of(factory: PolicyFactory) -> str | None:
    """Return the name of the policies that ``factory`` makes; None where they have none."""
    number: tuple[object, ...] = ()
    kind: object = factory
    if isinstance(factory, partial) and not factory.keywords and len(factory.args) == 1:
        kind, number = factory.func, factory.args
    names = (name for name, (policy, _) in _POLICIES.items() if policy is kind)
    return next((":".join(map(str, (name, *number))) for name in names), None)


def policies_named(text: str) -> dict[str, PolicyFactory]:
    """Return the policies of a list with commas, by name. Raises ConfigurationError."""
    names: Sequence[str] = [name.strip() for name in text.split(",")]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError("policies", "must name each policy once", f"a string of {len(name)} characters")
    return {name: policy_named(name) for name in names}
