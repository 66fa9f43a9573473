"""The rules by which files become pictures: each is a sentence, a reason, and a check that it holds.

docs/formats.md is made of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

Check = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of a section of the document. `check` fails where it does not hold."""

    section: str
    sentence: str
    reason: str
    check: Check


RULES: list[Rule] = []


def rule(section: str, sentence: str, *, because: str) -> Callable[[Check], Check]:
    """Note a rule whose check is the function below."""

    def note(check: Check) -> Check:
        RULES.append(Rule(section=section, sentence=sentence, reason=because, check=check))
        return check

    return note
