"""What the modules of the wire export."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import adapters.http

MODULES = [f"adapters.http.{module.name}" for module in pkgutil.iter_modules(adapters.http.__path__)]


@pytest.mark.parametrize("module", ["adapters.http", *MODULES])
def test_all_is_sorted_and_exists(module: str) -> None:
    home = importlib.import_module(module)
    names: list[str] = home.__all__
    # the linter's order
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(home, name) for name in names)
