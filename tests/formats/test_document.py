"""docs/formats.md says what happens."""

import pytest

from tests.formats.comparison import Comparison
from tests.formats.document import FILE, document
from tests.formats.rules import Rule, all_rules


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.sentence)
def test_a_rule_holds(rule: Rule) -> None:
    rule.check()


@pytest.mark.browser
def test_the_page_of_formats_is_what_the_tests_find(compared: list[Comparison], decoded: list[Comparison]) -> None:
    assert FILE.read_text() == document(all_rules(), compared, decoded), "run `make formats` and look at what changed"
