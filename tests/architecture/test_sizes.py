"""Files that one reads in a sitting, and folders that one takes in at a glance."""

from collections import Counter
from pathlib import Path

from django.conf import settings

MOST_LINES = 350
MOST_MODULES = 15

FILES = [
    file
    for package in ("worker", "tasks", "webapp")
    for file in (settings.BASE_DIR / package).rglob("*.py")
    if "migrations" not in file.parts
]


def shown(file: Path) -> str:
    return str(file.relative_to(settings.BASE_DIR))


def test_no_file_is_longer_than_a_sitting() -> None:
    lengths = {shown(file): len(file.read_text().splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_folder_has_more_modules_than_one_takes_in() -> None:
    counts = Counter(shown(file.parent) for file in FILES if file.name != "__init__.py")
    assert {name: count for name, count in counts.items() if count > MOST_MODULES} == {}
