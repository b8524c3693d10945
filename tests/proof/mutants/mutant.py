"""What a mutant is: one small broken decision, and what is meant to catch it.

``row`` is the known defect that it stands for: D1-D21 and S1-S10 are what other managers do, ``deadlock``, ``head-of-line`` and
``starvation`` what is reported of local servers in the field, R1-R13 what attacks on this library found, ``classic`` what is got wrong
everywhere, ``contract`` a promise of this library's own, and ``found here`` a mistake of ours. Several are separated by a slash.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from statemachine.core.coordinator import Coordinator

from ..identity import ConfigPart
from ..subject import Part

__all__ = ["CoordinatorMutant", "IdentityMutant", "ManagerMutant", "Mutant"]


class CoordinatorMutant(NamedTuple):
    """A wrong coordinator, the scenario of the checker that shows it, and the property that it violates there."""

    name: str
    row: str
    make: type[Coordinator]
    scenario: str
    caught_by: str


class ManagerMutant(NamedTuple):
    """A wrong manager, or a model whose fault only a manager shows; and the layer that catches it first."""

    name: str
    row: str
    make: Part
    caught_by: str


class IdentityMutant(NamedTuple):
    """A wrong class of a configuration, and the statement about identity that does not hold with it."""

    name: str
    row: str
    make: ConfigPart
    caught_by: str


Mutant: TypeAlias = CoordinatorMutant | ManagerMutant | IdentityMutant
