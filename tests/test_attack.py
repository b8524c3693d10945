"""A campaign goes on where it was, and tells what it has come to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from statemachine.checking.coverage import IMPOSSIBLE

from . import attack
from .core.covered import EVERYTHING, as_names, by_names


@pytest.fixture(autouse=True)
def rounds_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "ROUND", settings(attack.ROUND, max_examples=5))


def test_an_interrupted_campaign_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "coordinator.json"
    first = attack.Campaign(attack.SUBJECTS["coordinator"], file)
    first.round()
    second = attack.Campaign(attack.SUBJECTS["coordinator"], file)
    assert second.done == first.done
    second.round()
    assert second.done["rounds"] == 2
    assert second.done["steps"] > first.done["steps"]
    assert sum(by_names(second.done["covered"]).values()) > sum(by_names(first.done["covered"]).values())
    assert attack.main(["coordinator", "--steps", "1", "--log", str(tmp_path)]) == 0  # they have been done
    told = capsys.readouterr().out
    assert told.startswith(second.line(1))
    assert second.coverage() in told
    assert (tmp_path / "coordinator.txt").read_text() == told.rstrip("\n") + "\n"


def test_what_was_never_seen_is_told(tmp_path: Path) -> None:
    lines = attack.Campaign(attack.SUBJECTS["manager"], tmp_path / "manager.json").coverage().splitlines()
    assert {f"never: {one}" for one in EVERYTHING if one not in IMPOSSIBLE} <= set(lines)


def test_names_are_as_good_as_what_they_name() -> None:
    assert as_names(by_names({str(one): 3 for one in EVERYTHING})) == {str(one): 3 for one in EVERYTHING}
