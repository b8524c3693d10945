"""The gallery: every known defect has its mutant, every mutant is killed, and a survivor is told of."""

from __future__ import annotations

import json
import logging

import pytest

from statemachine import ProviderManagerConfig
from tests.proof import mutants
from tests.proof.__main__ import main
from tests.proof.gallery import show
from tests.proof.mutants import IDENTITIES, MANAGERS, MUTANTS, IdentityMutant
from tests.proof.subject import Subject, as_argument, subject_of
from tests.proof.trials import exhibit

ROWS = {
    *(f"D{number}" for number in range(1, 22)),
    *(f"S{number}" for number in range(1, 5)),
    *(f"R{number}" for number in (1, 2, 3, 4, 5, 9, 13)),
    *("deadlock", "head-of-line", "starvation", "classic"),
}


def test_every_row_has_a_mutant() -> None:
    assert {row for mutant in MUTANTS for row in mutant.row.split("/")} >= ROWS


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", IDENTITIES, ids=lambda m: m.name)
def test_every_wrong_identity_is_caught_by_the_statement_meant_for_it(mutant: IdentityMutant) -> None:
    caught = exhibit(mutant).caught
    assert caught is not None
    assert caught.what == mutant.caught_by


def test_every_wrong_manager_is_caught_by_the_layer_meant_for_it() -> None:
    """In processes of their own: what they leave behind is their own fault."""
    found = {one.name: one.caught and one.caught.layer for one in show([m.name for m in MANAGERS], quick=True, jobs=2)}
    assert found == {mutant.name: mutant.caught_by for mutant in MANAGERS}


def test_what_is_found_is_reproduced_by_name() -> None:
    """Also with a model inside of the manager."""
    for mutant in MANAGERS:
        subject = Subject.with_part(mutant.make)
        (name,) = as_argument(subject)
        assert isinstance(name, str)
        assert subject_of(name) == subject


def test_the_command_shows_a_counterexample_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "starts twice", "name parsed", "--quick", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 of 2 killed" in out
    assert "1. " in out
    assert "def test_started_once_in_api_raise" in out
    assert main(["--only", "starts twice", "--quick", "--jobs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["starts twice"]
    assert (found["killed"], found["row"], found["trials"][0]["what"]) == (True, "S2", "started_once")


def test_a_survivor_is_told_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    harmless = IdentityMutant("harmless", "D14", ProviderManagerConfig, "names_are_data")
    monkeypatch.setattr(mutants, "MUTANTS", (*IDENTITIES, harmless))
    assert main(["--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert "SURVIVES; not by: identity" in out
    assert f"{len(IDENTITIES)} of {len(IDENTITIES) + 1} killed" in out


def test_what_a_mutant_logs_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    show(["late start counts"], quick=True, jobs=1)
    assert caplog.records == []
    logging.getLogger("statemachine").warning("afterwards")
    assert [record.message for record in caplog.records] == ["afterwards"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no mutant is called nothing"):
        show(["nothing"])
