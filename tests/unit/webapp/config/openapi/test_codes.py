"""docs/api.md lists every code that the API may answer with, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from tests.error_classes import ERROR_CLASSES
from webapp.config.openapi.answers import PROBLEMS

ROOT = Path(settings.BASE_DIR)
#: Pages whose problems no API client meets.
PAGES_ONLY = ("webapp/accounts/login", "webapp/accounts/own", "webapp/accounts/views", "webapp/operations")
#: What making an API key may say, which only pages and a command do.
OF_KEYS = {"key_expiry", "key_galleries", "key_name", "key_scopes", "too_many_keys"}
#: Codes that the code writes in two parts.
PUT_TOGETHER = {"upload_too_large", "quota_galleries", "quota_photos", "quota_bytes"}


def written_codes() -> Iterator[str]:
    """The codes of the problems in the code, as they are written there."""
    for path in (ROOT / "webapp").rglob("*.py"):
        if str(path.relative_to(ROOT)).startswith(PAGES_ONLY):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and is_problem(node.func) and node.args:
                code = node.args[0]
                if isinstance(code, ast.Constant) and re.fullmatch(r"\w+", str(code.value or "")):
                    yield code.value


def is_problem(function: ast.expr) -> bool:
    """Whether a call makes a Problem; or is the `super().__init__` of a class, which may be one of its kinds."""
    if isinstance(function, ast.Attribute):
        return function.attr == "__init__"
    return isinstance(function, ast.Name) and function.id in ("Problem", "Unauthenticated")


def documented_codes() -> set[str]:
    section = (ROOT / "docs" / "api.md").read_text().partition("\n## Codes\n")[2]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)} - {"code"}


def test_the_page_lists_every_code() -> None:
    codes = {*written_codes(), *(each.code for each in ERROR_CLASSES)} - OF_KEYS
    assert codes - documented_codes() == set()


def test_no_code_on_the_page_is_invented() -> None:
    code = "".join(path.read_text() for room in ("webapp", "tasks", "worker") for path in (ROOT / room).rglob("*.py"))
    quoted = set(re.findall(r'"(\w+)"', code))
    assert documented_codes() - quoted - PUT_TOGETHER == set()


def test_no_example_of_a_problem_has_an_invented_code() -> None:
    codes = {*written_codes(), *(each.code for each in ERROR_CLASSES)} | PUT_TOGETHER
    assert {code for _, code, _ in PROBLEMS.values()} - codes == set()
