"""``pytest --conformance package.module:name``: every rule of the conformance suite as a test, without a test file.

The plugin is loaded by every pytest in an environment that has the package, so it imports nothing until the option is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["pytest_addoption", "pytest_collection_modifyitems"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options. Those of a plain factory are as in ``llm-slots conformance``."""
    group = parser.getgroup("conformance", "conformance of adapters")
    group.addoption("--conformance", metavar="TARGET", help="check this adapter: package.module:name")
    group.addoption("--conformance-declare", action="append", default=[], metavar="NAME[=VALUE]", help="a capability")
    group.addoption(
        "--conformance-option", action="append", default=[], metavar="NAME=VALUE", help="an option of the adapter"
    )
    group.addoption(
        "--conformance-model", action="append", default=[], metavar="ID", help="a model that the server has"
    )
    group.addoption("--conformance-seed", type=int, default=0, help="of the programs that are drawn")
    group.addoption(
        "--conformance-expected-failures", metavar="FILE", help="rules known to be broken: 'id  # reason' a line"
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[Any]) -> None:
    """Add a test for each rule, where the option is given."""
    if config.getoption("--conformance", None) is not None:
        from .conformance.collecting import rule_tests

        items.extend(rule_tests(session, config))
