"""The gallery's mutants: wrong models, wrong managers and wrong identities, one broken decision each."""

from __future__ import annotations

from .mutant import CoordinatorMutant, IdentityMutant, ManagerMutant, Mutant
from .registry import IDENTITIES, MANAGERS, MODELS, MUTANTS

__all__ = [
    "IDENTITIES",
    "MANAGERS",
    "MODELS",
    "MUTANTS",
    "CoordinatorMutant",
    "IdentityMutant",
    "ManagerMutant",
    "Mutant",
]
