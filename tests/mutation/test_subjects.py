"""The campaigns go on naming what there is."""

from __future__ import annotations

import pytest

from .subjects import CAMPAIGNS, ROOT


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_what_is_mutated_exists_and_so_do_its_tests(name: str) -> None:
    campaign = CAMPAIGNS[name]
    files = [*map(campaign.path, campaign.subjects), *(ROOT / test.split("::")[0] for test in campaign.tests)]
    assert [str(file) for file in files if not file.exists()] == []
    assert {*campaign.at_home} <= {*campaign.subjects}
    assert {test for tests in campaign.at_home.values() for test in tests} <= {*campaign.tests}
