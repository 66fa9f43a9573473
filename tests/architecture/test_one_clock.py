"""Times that are kept or sent are those of the shared clock (tasks/clock), never of this host's wall clock."""

import ast
from collections.abc import Iterator

import pytest
from django.conf import settings

#: What reads this host's wall clock, or has Django do so.
FORBIDDEN = frozenset({"time.time", "time.time_ns", "timezone.now", "timezone.localtime", "timezone.localdate"})
FORBIDDEN_METHODS = frozenset({"now", "utcnow", "today"})  # of datetime and date
FORBIDDEN_OPTIONS = frozenset({"auto_now", "auto_now_add"})
FORBIDDEN_NAMES = frozenset({"Now"})  # the database's clock is another host's

#: Where a wall clock is right, and why.
ALLOWED = {
    "tasks/clock/shared.py": "estimates the shared clock, and says how far the wall clock is off it",
}


def wall_clocks(source: str) -> Iterator[str]:
    """Yield what reads a wall clock in this module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                if f"{module}.{name}" in FORBIDDEN or (module in ("datetime", "date") and name in FORBIDDEN_METHODS):
                    yield f"{module}.{name}"
            case ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr=name) if name in FORBIDDEN_METHODS:
                yield f"datetime.{name}"
            case ast.ImportFrom(module=str(module), names=names):
                imported = (f"{module.rpartition('.')[2]}.{each.name}" for each in names)
                yield from (name for name in imported if name in FORBIDDEN)
                yield from (each.name for each in names if each.name in FORBIDDEN_NAMES)
            case ast.keyword(arg=str(option)) if option in FORBIDDEN_OPTIONS:
                yield option


def test_only_the_shared_clock_reads_a_wall_clock() -> None:
    found = {
        str(path.relative_to(settings.BASE_DIR)): sorted(set(wall_clocks(path.read_text())))
        for package in ("tasks", "webapp", "worker")
        for path in (settings.BASE_DIR / package).rglob("*.py")
    }
    assert {path: clocks for path, clocks in found.items() if clocks and path not in ALLOWED} == {}
    assert all(found[path] for path in ALLOWED), "an exception that is no longer needed"


@pytest.mark.parametrize(
    "line",
    [
        "import time; time.time()",
        "import time; f(clock=time.time)",
        "from time import time",
        "from django.utils.timezone import now",
        "from django.utils import timezone; timezone.now()",
        "from datetime import datetime; datetime.now(UTC)",
        "import datetime; datetime.datetime.now()",
        "from datetime import date; date.today()",
        "models.DateTimeField(auto_now_add=True)",
        "from django.db.models.functions import Now",
    ],
)
def test_each_way_to_a_wall_clock_is_found(line: str) -> None:
    assert list(wall_clocks(line))


def test_the_shared_clock_and_durations_are_no_wall_clock() -> None:
    assert list(wall_clocks("import time; time.monotonic(); clock.now(); clock.utcnow()")) == []
