"""The command: verdicts, exit codes, files, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from adapters.__main__ import main as adapters_main
from adapters.conformance import RULES, Call, Start, check

from .zoo import ZOO
from .zoo.server import TOKEN

GOOD = "tests.conformance.zoo.good:ZooSubject"
FAST = ["--examples", "0"]
SUBJECTS = {name: animal.subject for name, animal in ZOO.items()}
EndsTwice, KeepsEvicted, ShowsToken = SUBJECTS["EndsTwice"], SUBJECTS["KeepsEvicted"], SUBJECTS["ShowsToken"]
BROKEN, SHOULD, LEAKY = (f"{__name__}:{name}" for name in ("EndsTwice", "KeepsEvicted", "ShowsToken"))


def main(arguments: list[str]) -> int:
    return adapters_main(["conformance", *arguments])


def test_a_correct_adapter_gives_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert adapters_main(["conformance", GOOD, *FAST]) == 0
    printed = capsys.readouterr().out
    assert printed.count(" PASS") == len(RULES) + 1  # and the summary
    assert "0 FAIL, 0 SKIPPED, 0 UNDETERMINED" in printed


def test_a_broken_must_gives_one_and_a_test_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([BROKEN, *FAST]) == 1
    printed = capsys.readouterr().out
    source = printed[printed.index("from adapters.conformance import *") : printed.rindex(f"{BROKEN}:")]
    namespace: dict[str, object] = {}
    exec(source, namespace)
    test = namespace["test_stream_order"]
    assert callable(test)
    with pytest.raises(AssertionError, match="stream-order: after the closing event comes 'end'"):
        test()


def test_a_broken_should_alone_gives_zero() -> None:
    assert main([SHOULD, *FAST]) in (0, 3)
    assert check(KeepsEvicted, examples=0).failed == ["eviction-is-broken"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["no.such.module:name"],
        ["adapters:Nothing"],
        [GOOD, "--rule", "no-such-rule"],
        [GOOD, "--declare", "parallel=2"],
        ["adapters:FakeAdapter", "--declare", "nonsense"],
        [GOOD, "--no-such-option"],
        [GOOD, "--expected-failures", "no-such-file"],
    ],
)
def test_wrong_usage_gives_two(arguments: list[str]) -> None:
    assert main(arguments) == 2


def test_no_command_gives_two() -> None:
    assert adapters_main([]) == adapters_main(["nothing"]) == 2


def unusable(config: object) -> object:
    """A factory that fails."""
    raise ValueError("no such model")


def test_what_cannot_be_run_is_undetermined(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{__name__}:unusable", *FAST]) == 3
    assert "no program can be run: ValueError: no such model" in capsys.readouterr().out


def test_our_adapters_as_a_user_types_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters:FakeAdapter", *FAST]) == 0
    assert " FAIL  " not in capsys.readouterr().out
    absent = ["--option", "base_url=http://127.0.0.1:9"]
    for name in ("LMStudioAdapter", "OllamaAdapter", "LlamaCppAdapter", "OpenAIAdapter", "AnthropicAdapter"):
        assert main([f"adapters:{name}", *FAST, *absent]) == 3
        printed = capsys.readouterr().out
        assert printed.startswith("No rule could be looked at: no call is taken: AdapterConnectError: ")
        assert f"adapters:{name}: 0 PASS, 0 FAIL, 0 SKIPPED, {len(RULES)} UNDETERMINED" in printed


def test_expected_failures_are_no_failures_and_unexpected_passes_are(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("# known\nstream-order  # two ends\n")
    assert main([BROKEN, *FAST, "--rule", "stream-order", "--expected-failures", str(file)]) == 0
    assert main([GOOD, *FAST, "--expected-failures", str(file)]) == 1
    file.write_text("no-such-rule\n")
    assert main([GOOD, *FAST, "--expected-failures", str(file)]) == 2


def test_verdicts_as_json_junit_and_markdown(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.json", "a.xml", "a.md")]
    files = [
        text
        for path, kind in zip(paths, ("json", "junit", "markdown"), strict=True)
        for text in (f"--{kind}", str(path))
    ]
    assert main([BROKEN, *FAST, *files]) == 1
    written = json.loads(paths[0].read_text())
    assert [row["rule"] for row in written["rules"] if row["verdict"] == "FAIL"] == ["stream-order"]
    assert written["exit_code"] == 1
    suite = ElementTree.fromstring(paths[1].read_text())
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["stream-order"]
    assert len(suite) == len(RULES)
    assert paths[2].read_text().count("\n| `") == len(RULES)


def test_the_list_has_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for rule in RULES:
        assert (
            f"{rule.id} ({rule.severity})\n  {rule.sentence}\n  Why: {rule.reason}\n  Source: {rule.source}" in printed
        )


def test_no_report_shows_a_credential() -> None:
    report = check(ShowsToken, examples=0)
    assert report.failed == ["secrets-hidden"]
    for text in (report.table(), report.to_json(), report.to_junit(), report.to_markdown()):
        assert TOKEN not in text
    assert all(TOKEN not in str(verdict.reason) for verdict in report.verdicts)


def test_a_drawn_program_is_shrunk() -> None:
    report = check(SUBJECTS["HiddenLimit"], examples=40, seed=3)
    verdict = next(verdict for verdict in report.verdicts if verdict.outcome == "FAIL")
    assert verdict.program is not None
    assert verdict.program[0] == Start()
    assert len(verdict.program) == 2
    assert not isinstance(verdict.program[1], Call)
