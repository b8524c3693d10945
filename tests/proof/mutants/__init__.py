"""The gallery's mutants: wrong coordinators, wrong managers and wrong identities, one broken decision each."""

from __future__ import annotations

from .mutant import CoordinatorMutant, IdentityMutant, ManagerMutant, Mutant
from .registry import COORDINATORS, IDENTITIES, MANAGERS, MUTANTS

__all__ = [
    "COORDINATORS",
    "IDENTITIES",
    "MANAGERS",
    "MUTANTS",
    "CoordinatorMutant",
    "IdentityMutant",
    "ManagerMutant",
    "Mutant",
]
