"""The rules by which files become pictures: each is a sentence, a reason, and a check that it holds.

docs/formats.md is made of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from tests.formats import others
from tests.formats.corpus import files
from worker.config import ImageLimits
from worker.errors import ImageError
from worker.images.decoding import DecodedImage, decode
from worker.recognition.interfaces import Image

Check = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of a section of the document. `check` fails where it does not hold."""

    section: str
    sentence: str
    reason: str
    check: Check


_RULES: list[Rule] = []


def rule(section: str, sentence: str, *, because: str) -> Callable[[Check], Check]:
    """Note a rule whose check is the function below."""

    def note(check: Check) -> Check:
        _RULES.append(Rule(section=section, sentence=sentence, reason=because, check=check))
        return check

    return note


def all_rules() -> list[Rule]:
    """Return the rules in the order of the document."""
    for module in ("containers", "orientation", "colours", "metadata", "damage", "kept_metadata"):
        import_module(f"tests.formats.rules.{module}")
    return list(_RULES)


def shown(data: bytes) -> DecodedImage:
    return decode(data, limits=ImageLimits())


def refused(data: bytes) -> str:
    """Return the code with which the file is refused."""
    try:
        shown(data)
    except ImageError as error:
        return error.code
    raise AssertionError("it is a picture")


def data_of(name: str) -> bytes:
    """Return the bytes of a file of the corpus."""
    return next(file.data for file in (*files(), *others.files()) if file.name == name)


def pixels_of(name: str) -> Image:
    return shown(data_of(name)).pixels
