"""What the load benchmark counts as an error, and which rules it checks."""

import json
import math
from collections import Counter
from typing import Any

import pytest

from benchmarks.load_report import Import, Phase, as_json, broken_rules, kind_of_answer, percentile, table

FOUND = {"faces": [{"matches": [{"photo": "ada.jpg"}, {"photo": "bob.jpg"}]}]}


def load(**changes: Any) -> Phase:
    answers = Counter({"answered": 90, "refused": 900, "pending": 3})
    return Phase(**{"name": "load", "seconds": 10, "answers": answers, "page_ms": [20.0] * 100} | changes)


def imported(**changes: Any) -> Import:
    whole = {"photos": 40, "final": Counter(indexed=40), "seconds": 20.0, "outlasted_the_load": True}
    return Import(**whole | changes)


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        pytest.param(200, {}, FOUND, "answered", id="the right photo first"),
        pytest.param(200, {}, {"faces": [{"matches": []}]}, "wrong match: none", id="nothing found"),
        pytest.param(
            200, {}, {"faces": [{"matches": [{"photo": "bob.jpg"}]}]}, "wrong match: ['bob.jpg']", id="another photo"
        ),
        pytest.param(202, {}, {"ticket": "x"}, "pending", id="not yet"),
        pytest.param(503, {"Retry-After": "7"}, {"code": "busy"}, "refused", id="honest"),
        pytest.param(503, {}, {"code": "busy"}, "503 busy", id="does not say when to come again"),
        pytest.param(504, {}, {"code": "search_expired"}, "504 search_expired", id="taken and not answered"),
        pytest.param(500, {}, None, "500", id="no JSON"),
    ],
)
def test_an_answer_has_a_kind(status: int, headers: dict[str, str], body: Any, kind: str) -> None:
    assert kind_of_answer(status, headers, body, expected="ada.jpg") == kind


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7.0], 99) == 7
    assert math.isnan(percentile([], 99))


def test_a_good_run_breaks_no_rule() -> None:
    assert broken_rules(load(), imported()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"answers": Counter({"answered": 9, "504 search_expired": 2})}, "2 searches ended with: 504 search_expired."),
        ({"answers": Counter({"refused": 9})}, "No search was answered."),
        ({"page_ms": [20.0] * 98 + [100.0] * 2}, "The p99 of pages is 100 ms, not under 100 ms."),
        ({"page_ms": []}, "The p99 of pages is nan ms, not under 100 ms."),
        ({"page_errors": ["/: 503"]}, "1 pages failed, the first with: /: 503."),
    ],
)
def test_a_rule_that_the_load_broke_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert broken_rules(load(**changes), imported()) == [sentence]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"final": Counter(indexed=39)}, "1 of 40 photos were not indexed: {'indexed': 39}."),
        ({"final": Counter(indexed=39, failed=1)}, "1 of 40 photos were not indexed: {'indexed': 39, 'failed': 1}."),
        ({"outlasted_the_load": False}, "The import ended before the load did: use more photos."),
        ({"problems": ["unacked holds 1 messages."]}, "unacked holds 1 messages."),
    ],
)
def test_a_rule_that_the_import_broke_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert broken_rules(load(), imported(**changes)) == [sentence]


def test_the_table_has_a_row_for_each_phase() -> None:
    idle = Phase(name="idle", seconds=10, answers=Counter(answered=50), search_ms=[100.0] * 50, page_ms=[5.0])
    text = table([idle, load(answers=Counter({"answered": 90, "refused": 900, "500": 2}))], imported())
    assert "| idle | 50 | 50 | 0 | 0 | 5.0 | 100 / 100 / 100 | 1 | 5 / 5 / 5 |" in text
    assert "| load | 992 | 90 | 900 | 2 | 9.0 | - | 100 | 20 / 20 / 20 |" in text
    assert "Import: 40 photos in 20 s, 2.0 photos/s, outcomes {'indexed': 40}." in text


def test_programs_get_the_same_figures() -> None:
    found = json.loads(as_json([load()], imported(), ["A rule."]))
    assert found["phases"][0]["answers"] == {"answered": 90, "refused": 900, "pending": 3}
    assert found["phases"][0]["page_ms"]["p99"] == 20
    assert found["import"] == {"photos": 40, "final": {"indexed": 40}, "seconds": 20.0}
    assert found["broken"] == ["A rule."]
