"""docs/errors.md lists every error with its cause and cure, as the classes say them."""

from __future__ import annotations

from pathlib import Path

import pytest

import statemachine
from statemachine import ProviderManagerError
from statemachine.__main__ import main
from statemachine.errors_page import page, public_errors

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors"]) == 0
    assert capsys.readouterr().out == PAGE.read_text(encoding="utf-8"), "python -m statemachine errors > docs/errors.md"


def test_every_public_error_is_on_it_with_a_cure_of_its_own() -> None:
    kinds = list(public_errors())
    public = {getattr(statemachine, name) for name in statemachine.__all__}
    assert set(kinds) == {kind for kind in public if isinstance(kind, type) and issubclass(kind, ProviderManagerError)}
    for kind in kinds:
        assert "cure" in vars(kind), f"{kind.__name__} has no cure of its own"
        assert kind.cure in page().replace("`", "``")
        assert kind.__doc__
