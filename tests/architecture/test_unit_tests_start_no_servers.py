"""tests/unit needs no Redis and no Milvus: a test that starts a server belongs in tests/integration."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
UNIT = sorted((TESTS / "unit").rglob("*.py"))
#: Modules that start servers and processes of the service.
STARTERS = {"tests.redis_server", "tests.servers", "tests.service"}


@pytest.mark.parametrize("path", UNIT, ids=[str(path.relative_to(TESTS)) for path in UNIT])
def test_a_unit_test_starts_no_server(path: Path) -> None:
    text = path.read_text()
    imported = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert not imported & STARTERS
    assert "pytest.mark.services" not in text
