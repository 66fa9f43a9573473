"""What the load benchmark counts as an error, and which rules it checks."""

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.load_report import (
    CAREFUL,
    FLOODER,
    HEAVY,
    Import,
    Phase,
    Run,
    as_json,
    broken_rules,
    figures,
    kind_of_answer,
    percentile,
    table,
)

FOUND = {"faces": [{"matches": [{"photo": "ada.jpg"}, {"photo": "bob.jpg"}]}]}


def phase(**changes: Any) -> Phase:
    answers = Counter({"answered": 400, "refused": 900, "pending": 3})
    return Phase(**{"seconds": 10, "answers": answers, "page_ms": [20.0] * 100} | changes)


def imported(**changes: Any) -> Import:
    whole = {"photos": 40, "final": Counter(indexed=40), "seconds": 20.0, "outlasted_the_load": True}
    return Import(**whole | changes)


def run(**changes: Any) -> Run:
    good = Run(
        idle=phase(answers=Counter(answered=300)),
        capacity=phase(answers=Counter(answered=410)),
        load=phase(),
        heavy=phase(by_user={name: Counter(answered=200) for name in HEAVY}),
        flood=phase(by_user={FLOODER: Counter(answered=300, refused=900), CAREFUL: Counter(answered=10)}),
        imported=imported(),
        removal_seconds=[0.5, 2.0],
    )
    return replace(good, **changes)


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
        pytest.param(429, {"Retry-After": "7"}, {"code": "slow_down"}, "refused", id="too many requests"),
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
    assert broken_rules(run()) == []


def heavy(first: int, second: int) -> Phase:
    return phase(by_user=dict(zip(HEAVY, (Counter(answered=first), Counter(answered=second)), strict=True)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"load": phase(answers=Counter({"answered": 400, "504 search_expired": 2}))},
            "2 searches of the phase 'load' ended with: 504 search_expired.",
        ),
        (
            {"flood": phase(answers=Counter({"500 internal": 1}), by_user=run().flood.by_user)},
            "1 searches of the phase 'flood' ended with: 500 internal.",
        ),
        (
            {"load": phase(answers=Counter(answered=380))},
            "All users together got 0.93 of the capacity, not 0.95.",
        ),
        (
            {"capacity": phase(answers=Counter())},
            "All users together got nan of the capacity, not 0.95.",
        ),
        ({"heavy": heavy(100, 150)}, "One heavy user got 0.67 of what the other got, not 0.80."),
        ({"heavy": heavy(0, 0)}, "One heavy user got nan of what the other got, not 0.80."),
        (
            {"flood": phase(by_user={CAREFUL: Counter(answered=9, refused=1)})},
            "The user who asked once a second was told: {'answered': 9, 'refused': 1}.",
        ),
        ({"flood": phase()}, "The user who asked once a second was told: {}."),
        ({"removal_seconds": [1.0, 12.0]}, "A removal took 12.0 s, not 10 s."),
        ({"removal_seconds": []}, "A removal took nan s, not 10 s."),
        (
            {"load": phase(page_ms=[20.0] * 98 + [100.0] * 2)},
            "The p99 of pages is 100 ms, not under 100 ms.",
        ),
        ({"load": phase(page_ms=[])}, "The p99 of pages is nan ms, not under 100 ms."),
        ({"load": phase(page_errors=["/: 503"])}, "1 pages failed, the first with: /: 503."),
        (
            {"imported": imported(final=Counter(indexed=39, failed=1))},
            "1 of 40 photos were not indexed: {'indexed': 39, 'failed': 1}.",
        ),
        (
            {"imported": imported(outlasted_the_load=False)},
            "The import ended before the load did: use more photos.",
        ),
        ({"imported": imported(problems=["unacked holds 1 messages."])}, "unacked holds 1 messages."),
    ],
)
def test_a_broken_rule_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert broken_rules(run(**changes)) == [sentence]


def test_answers_are_counted_by_kind_and_by_who_searched() -> None:
    answers = [
        {"who": CAREFUL, "kind": "answered", "seconds": 0.1},
        {"who": FLOODER, "kind": "refused", "seconds": 0.01},
        {"who": FLOODER, "kind": "504 search_expired", "seconds": 30.0},
    ]
    found = Phase.of(answers, [{"ms": 5.0, "error": "/: 500"}], seconds=10)
    assert found.by_user == {CAREFUL: Counter(answered=1), FLOODER: Counter({"refused": 1, "504 search_expired": 1})}
    assert (found.search_ms, found.page_ms, found.page_errors) == ([100.0], [5.0], ["/: 500"])
    assert found.errors == {"504 search_expired": 1}


def test_the_table_has_a_column_for_each_service() -> None:
    slow = run(load=phase(answers=Counter({"answered": 205, "504 search_expired": 7, "500": 2})))
    text = table({"before": figures(slow), "now": figures(run())})
    assert "| | before | now |" in text
    assert "| load: accepted but expired | 7 | 0 |" in text
    assert "| load: other errors | 2 | 0 |" in text
    assert "| load: goodput (of the capacity) | 0.50 | 0.98 |" in text
    assert "| beside a flooder: once a second, answered | 10 of 10 | 10 of 10 |" in text


def test_programs_get_the_same_figures() -> None:
    found = json.loads(as_json(run(), ["A rule."]))
    assert found["phases"]["load"]["answers"] == {"answered": 400, "refused": 900, "pending": 3}
    assert found["phases"]["load"]["page_ms"]["p99"] == 20
    assert found["import"] == {"photos": 40, "final": {"indexed": 40}, "seconds": 20.0}
    assert found["figures"] == figures(run())
    assert found["broken"] == ["A rule."]
