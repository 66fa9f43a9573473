"""The web never waits for a Celery result: it would hold a thread, and for ever if Redis lost the result."""

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

#: Ways to a Celery result, or to a task object whose methods return one.
FORBIDDEN = frozenset(
    {"AsyncResult", "EagerResult", "GroupResult", "ResultSet", "allow_join_result"}
    | {"apply_async", "delay", "delay_on_commit", "send_task", "signature"}
)


def used_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.name.rpartition(".")[2] for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


def test_the_web_touches_no_celery_result():
    files = (settings.BASE_DIR / "webapp").rglob("*.py")
    found = {str(path): FORBIDDEN.intersection(used_names(path)) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def test_what_sending_gets_from_celery_is_dropped():
    tree = ast.parse((settings.BASE_DIR / "tasks" / "sending.py").read_text())
    dropped = {
        node.value.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
    }
    assert "send_task" in dropped
