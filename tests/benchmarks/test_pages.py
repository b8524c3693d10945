"""The figures on the page are those of the results."""

from __future__ import annotations

from benchmarks.pages.tables import PAGE, TABLES, filled


def test_the_page_tells_what_was_measured() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "python -m benchmarks tables"


def test_every_table_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in TABLES if page.count(f"<!-- {name} -->") != 1] == []
